/* A test on single values, compiled once, used by every filter, alert rule and tail: on plain values, on
 * dictionary entries, on templates. Immutable after its making; threads: any (regex match data is
 * thread-local).
 *
 * What it means on each lane (design, "Matching, exactly"):
 * - PRED_TEXT: the folded text occurs, and where an edge of it that is a word character must stand at a
 *   word's edge (edge_left, edge_right), it does. `parts` with gaps come from * and ?. On BOOL lanes the
 *   text is "true" or "false"; on number lanes the whole value: numeric equality when the text is a number,
 *   else (with wildcards) the pattern against the value's text.
 * - PRED_EQUAL: equality to the letter with the value's text (number lanes: numeric equality).
 * - PRED_REGEX: PCRE2, unanchored, on text lanes and on the text of numbers.
 * - PRED_RANGE: numbers against number lanes exactly (whatever lane), and against text lanes whose whole
 *   text is a number; times (when both the bound and the text parse as times) as times; else bytes-wise.
 * - PRED_EXISTS: any value but null.
 * LANE_ARR: TEXT and REGEX see the JSON text; EQUAL and numeric TEXT hold when a top-level scalar does. */
#ifndef WEIR_RECORD_PREDICATE_H
#define WEIR_RECORD_PREDICATE_H

#include "record/rows.h"

enum predicate_kind { PRED_TEXT, PRED_EQUAL, PRED_REGEX, PRED_RANGE, PRED_EXISTS };

/* An exact decimal number: (-1)^neg * 0.d1d2d3... * 10^exp, or zero when n_digits is 0. */
struct number {
    bool neg;
    int32_t exp;
    uint32_t n_digits;
    const char *digits; /* '0'..'9', no leading or trailing zeros */
    bool is_i64;        /* and its value, where it is an integer in range */
    int64_t i64;
    double f64;         /* nearest double */
};
/* Parses a whole JSON-like number; digits are copied to the arena. */
bool number_parse(struct str s, struct arena *a, struct number *ret);
/* Exact comparison of two number texts of any lane: <0, 0, >0. */
int number_cmp(const struct number *a, const struct number *b);

struct predicate_part {
    struct str text;     /* folded */
    bool any_before;     /* a '*' before it: may start anywhere behind the part before */
    uint32_t skip;       /* '?'s before it: exactly so many code points (at least, with any_before) */
};
struct predicate_bound {
    bool set, inclusive;
    struct str text;
    bool is_number, is_time;
    struct number number;
    int64_t time_ns;     /* the instant; for an inclusive upper bound, the end of what it covers */
};
struct predicate {
    enum predicate_kind kind;
    struct str text;                 /* TEXT: folded; EQUAL: as given; REGEX: the pattern */
    /* TEXT */
    bool edge_left, edge_right;      /* word edges asked for */
    const struct predicate_part *parts;
    uint32_t n_parts;                /* 1 and no wildcards for a plain term */
    uint32_t tail_skip;              /* '?'s behind the last part */
    bool ascii;                      /* text has no byte above 127 */
    bool is_number;                  /* the whole text is a number: numeric equality on number lanes */
    struct number number;
    /* Hashes of the words that every matching text must hold whole; for token filters. */
    const uint64_t *word_hash;
    uint32_t n_words;
    /* RANGE */
    struct predicate_bound low, high;
    /* REGEX */
    void *regex;                     /* compiled */
    struct str literal;              /* a literal every match must hold (not folded), or empty */
};

/* Matches every plain value of a lane; bit i of `bits` for value i (bits zeroed by the caller). */
NODISCARD enum err predicate_match(const struct predicate *p, const struct values *v, uint64_t *bits);
/* One text, as the text lane `lane` would. For dictionary entries and templates. ERR_LIMIT when a regex
 * passes its match limit. */
NODISCARD enum err predicate_match_text(const struct predicate *p, enum lane lane, struct str s,
                                        bool *ret);
/* Could an integer in [min,max] match (block pruning)? */
bool predicate_may_match_ints(const struct predicate *p, int64_t min, int64_t max);
/* Equality on whole values, for filters over whole values: the hash64 that a matching LANE_STR value must
 * have, when kind is PRED_EQUAL. */

/* Makers; everything lives in the arena. Errors: ERR_INVALID with the reason (a bad regex names its byte). */
/* `pattern`: may hold unescaped * and ? given as bytes 0x01 and 0x02 (the query parser does the escapes). */
#define PATTERN_ANY '\x01'
#define PATTERN_ONE '\x02'
NODISCARD enum err predicate_text(struct arena *a, struct str pattern, struct predicate *ret);
NODISCARD enum err predicate_equal(struct arena *a, struct str text, struct predicate *ret);
NODISCARD enum err predicate_regex(struct arena *a, struct str pattern, struct predicate *ret);
NODISCARD enum err predicate_range(struct arena *a, const struct predicate_bound *low,
                                   const struct predicate_bound *high, struct predicate *ret);
void predicate_exists(struct predicate *ret);

#endif
