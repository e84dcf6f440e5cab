/* A test on single values, compiled once, used by every filter, alert rule and tail: on plain
 * values, on dictionary entries, on templates. Immutable after its making; threads: any (regex
 * match data is thread-local).
 *
 * What it means on each lane (design, "Matching, exactly"):
 * - PRED_TEXT: the folded text occurs, and where an edge of it that is a word character must stand
 * at a word's edge (edge_left, edge_right), it does. `parts` with gaps come from * and ?. On BOOL
 * lanes the text is "true" or "false"; on number lanes the whole value: numeric equality when the
 * text is a number, else (with wildcards) the pattern against the value's text.
 * - PRED_EQUAL: equality to the letter with the value's text (number lanes: numeric equality).
 * - PRED_REGEX: PCRE2, unanchored, on text lanes and on the text of numbers.
 * - PRED_RANGE: a bound that is a number is met by numbers only: exactly, whatever lane, and by
 * text lanes whose whole text is a number. A bound that is a time is met by times only: text that
 * parses as one, and numbers as epochs. Any other bound compares bytes with text lanes.
 * - PRED_EXISTS: any value but null.
 * - PRED_PATTERN: the value's text has the pattern of that id (record/template_cut.h).
 * LANE_ARR: TEXT and REGEX see the JSON text; EQUAL, RANGE and numeric TEXT hold when a top-level
 * scalar does. LANE_JSON: TEXT, EQUAL and REGEX see the JSON text (the filter looks inside by
 * itself). */
#ifndef WEIR_RECORD_PREDICATE_H
#define WEIR_RECORD_PREDICATE_H

#include "record/needle.h"
#include "record/regex_finder.h"
#include "record/rows.h"

enum predicate_kind { PRED_TEXT, PRED_EQUAL, PRED_REGEX, PRED_RANGE, PRED_EXISTS, PRED_PATTERN };

/* An exact decimal number: (-1)^neg * 0.d1d2d3... * 10^exp, or zero when n_digits is 0. */
struct number {
    bool neg;
    int32_t exp;
    uint32_t n_digits;
    const char *digits; /* '0'..'9', no leading or trailing zeros */
    bool is_i64;        /* and its value, where it is an integer in range */
    int64_t i64;
    double f64; /* nearest double */
};
/* Parses a whole JSON-like number; digits are copied to the arena. */
bool number_parse(struct str s, struct arena *a, struct number *ret);
/* Exact comparison of two number texts of any lane: <0, 0, >0. */
int number_cmp(const struct number *a, const struct number *b);

struct predicate_part {
    struct str text; /* folded */
    bool any_before; /* a '*' before it: may start anywhere behind the part before */
    uint32_t skip;   /* '?'s before it: exactly so many code points (at least, with any_before) */
};
struct predicate_bound {
    bool set, inclusive;
    struct str text;
    bool is_number, is_time;
    struct number number;
    bool takes_nearest; /* the double nearest to the number is within the bound (by its text) */
    int64_t time_ns;    /* the instant; for inclusive upper and exclusive lower bounds the last
                           nanosecond of what the text covers (a date: its day) */
};
struct predicate {
    enum predicate_kind kind;
    struct str text; /* TEXT: folded; EQUAL: as given; REGEX: the pattern */
    /* TEXT */
    bool edge_left, edge_right; /* word edges asked for */
    const struct predicate_part *parts;
    uint32_t n_parts;   /* 1 and no wildcards for a plain term */
    uint32_t tail_skip; /* '?'s behind the last part */
    bool tail_any;      /* a '*' behind the last part */
    bool has_needle;    /* the longest ASCII part (TEXT) or the literal (REGEX) */
    struct needle needle;
    bool needle_rare_fold; /* it has a letter that U+0130 or U+212A fold to */
    bool ascii;            /* text has no byte above 127 */
    bool is_number;        /* the whole text is a number: numeric equality on number lanes */
    struct number number;
    /* Hashes of the words that every matching text must hold whole; for token filters over the
     * words of LANE_STR values, and of those other lanes that predicate_needs_words says. */
    const uint64_t *word_hash;
    uint32_t n_words;
    /* RANGE; TEXT and EQUAL of a number: from it to it */
    struct predicate_bound low, high;
    /* REGEX */
    void *regex;                  /* compiled */
    struct str literal;           /* a literal every match must hold (not folded), or empty */
    const struct needle *needles; /* every match holds one of these n_needles; 0: none known */
    uint32_t n_needles;
    const struct regex_finder *finder; /* what finds values that could match, or NULL */
    uint64_t pattern;                  /* PATTERN: its id */
};

/* Matches every plain value of a lane; bit i of `bits` for value i (bits zeroed by the caller). */
NODISCARD enum err predicate_match(const struct predicate *p, const struct values *v,
                                   uint64_t *bits);
/* One text, as the text lane `lane` would. For dictionary entries and templates. ERR_LIMIT when a
 * regex passes its match limit. */
NODISCARD enum err predicate_match_text(const struct predicate *p, enum lane lane, struct str s,
                                        bool *ret);
/* The first place at or after `at` of a text where TEXT, EQUAL's text or REGEX stands, as bytes
 * [*ret_from, *ret_to): for showing, not for deciding. */
bool predicate_span(const struct predicate *p, struct str s, size_t at, size_t *ret_from,
                    size_t *ret_to);
/* Instants, against bounds that are times (a range with others matches none). */
void predicate_match_times(const struct predicate *p, const int64_t *ns, uint32_t n,
                           uint64_t *bits);
/* Could an integer in [min,max] match (block pruning)? */
bool predicate_may_match_ints(const struct predicate *p, int64_t min, int64_t max);
/* The same for decimals of one scale, by their mantissas. */
bool predicate_may_match_decimals(const struct predicate *p, int64_t min, int64_t max,
                                  unsigned scale);
/* Whether every matching value of that lane holds the words of word_hash. */
bool predicate_needs_words(const struct predicate *p, enum lane lane);
/* Whether a text holds one of the letters outside ASCII that fold into it. */
bool predicate_rare_fold(struct str s);
/* Makers; everything lives in the arena. Errors: ERR_INVALID with the reason (a bad regex names its
 * byte). */
/* `pattern`: may hold unescaped * and ? given as bytes 0x01 and 0x02 (the query parser does the
 * escapes). */
#define PATTERN_ANY '\x01'
#define PATTERN_ONE '\x02'
NODISCARD enum err predicate_text(struct arena *a, struct str pattern, struct predicate *ret);
NODISCARD enum err predicate_equal(struct arena *a, struct str text, struct predicate *ret);
NODISCARD enum err predicate_regex(struct arena *a, struct str pattern, struct predicate *ret);
NODISCARD enum err predicate_range(struct arena *a, const struct predicate_bound *low,
                                   const struct predicate_bound *high, struct predicate *ret);
/* A bound from its text: a number, else a time (relative ones to now_ns), else text. */
void predicate_bound_init(struct arena *a, struct str text, bool inclusive, bool is_low,
                          int64_t now_ns, struct predicate_bound *ret);
/* A bound that is a time whatever its text looks like; false when it is none. */
bool predicate_bound_time(struct str text, bool inclusive, bool is_low, int64_t now_ns,
                          struct predicate_bound *ret);
void predicate_exists(struct predicate *ret);
void predicate_pattern(uint64_t id, struct predicate *ret);

#endif
