/* The filter language: Lucene / Elasticsearch query-string syntax, parsed to a tree and evaluated
 * on rows. The one evaluator of search, alerts, tail and routes.
 *
 * Syntax: word  "phrase"  field:word  field:"phrase"  field:="exact"  field:(a OR b)  pre*  wi?d*
 * /regex/ field:/regex/  field:pattern(ID)  field:pattern("text")  field:[a TO b]  field:{a TO b}
 * field:>5 (>=, <, <=)  field:*  _exists_:field  *  (all) AND && OR || NOT ! - +  ( )  and
 * backslash escapes. Space means AND. NOT binds tighter than AND, AND tighter than OR. Fields:
 * dotted names (wildcards allowed: `http.*:x`); _time _stream _id ingested_at; the aliases message,
 * level, service, host (resolved per shape, record/batch.h). Comments: none. Lucene's boost (^2),
 * slop and fuzziness (~) are refused with an error that says so.
 *
 * A parsed filter is immutable; any thread may evaluate it. It lives in the arena given to
 * filter_parse. */
#ifndef WEIR_FILTER_FILTER_H
#define WEIR_FILTER_FILTER_H

#include "record/predicate.h"
#include "record/rows.h"

struct filter;

struct filter_options {
    int64_t now_ns;    /* for relative times in ranges */
    bool or_default;   /* space means OR (Elasticsearch-compatible endpoints) */
    bool stop_at_pipe; /* stop at a top-level '|', for the query language; *ret_end says where */
    struct str default_field; /* n == 0: a term without a field looks in every field */
    /* Besides default_field: a term without a field looks in each of these. */
    const struct str *more_fields;
    uint32_t n_more_fields;
    bool boosts; /* ^2 is passed over: it says how to order, not what matches */
    /* May be NULL: what a field's name in the text stands for. */
    struct str (*rename)(struct str name, struct arena *arena);
};

/* An empty text matches everything. On ERR_INVALID err_text() is several lines: what is wrong, the
 * query, a caret below the place, and where possible a suggestion. *ret_at (may be NULL): byte of
 * the error. */
NODISCARD enum err filter_parse(struct str text, const struct filter_options *options,
                                struct arena *arena, const struct filter **ret, size_t *ret_end,
                                size_t *ret_at);
/* Trees made by hand: for API parameters, and for query languages of other systems. A field is
 * named as in the language, without escapes; wildcards in it and in a pattern are PATTERN_ANY and
 * PATTERN_ONE. Everything lives in the arena. */
const struct filter *filter_equal(struct arena *arena, struct str field, struct str value);
const struct filter *filter_and(struct arena *arena, const struct filter *a,
                                const struct filter *b);
/* Records without a value in the field. */
const struct filter *filter_lacks(struct arena *arena, struct str field);
enum filter_kind { FILTER_ALL, FILTER_LEAF, FILTER_AND, FILTER_OR, FILTER_NOT };
/* FILTER_AND or FILTER_OR of n > 0 children. */
const struct filter *filter_list(struct arena *a, enum filter_kind kind,
                                 const struct filter *const *child, uint32_t n);
const struct filter *filter_not(struct arena *a, const struct filter *f);
const struct filter *filter_everything(void);
const struct filter *filter_exists(struct arena *a, struct str field);
/* What `field:pattern` means: existence where it is '*', a span where the field is a time, else
 * text. */
NODISCARD enum err filter_term(struct arena *a, struct str field, struct str pattern,
                               int64_t now_ns, const struct filter **ret);
/* Records whose field's text has the pattern of that id (record/template_cut.h). */
const struct filter *filter_pattern(struct arena *a, struct str field, uint64_t id);
NODISCARD enum err filter_regex(struct arena *a, struct str field, struct str pattern,
                                const struct filter **ret);
/* An end of a range; text.p NULL: open. */
struct filter_bound {
    struct str text;
    bool inclusive;
};
/* ERR_INVALID where the field is a time and a bound is none. */
NODISCARD enum err filter_range(struct arena *a, struct str field, struct filter_bound low,
                                struct filter_bound high, int64_t now_ns,
                                const struct filter **ret);

/* Sets the bits of the rows that match; `bits` is zeroed by the caller (rows->n bits). */
NODISCARD enum err filter_eval(const struct filter *f, struct rows *rows, struct arena *arena,
                               uint64_t *bits);
/* False only where surely no row matches; reads filters and bounds, never values. */
bool filter_may_match(const struct filter *f, struct rows *rows);
bool filter_is_all(const struct filter *f);
/* Whether it and its text (filter_write) say the same of the same rows at any time: it has no bound
 * that is a time, which may be relative to now. */
bool filter_is_lasting(const struct filter *f);
/* The stream test alone: false when no record of that stream can match. */
bool filter_may_match_stream(const struct filter *f, struct str stream);
/* Time bounds implied by _time ranges at the top: narrows [*from, *to). */
void filter_time_bounds(const struct filter *f, int64_t *from, int64_t *to);
/* A canonical text of the tree, for explain and for tests. */
void filter_write(const struct filter *f, struct buf *out);

/* For searching source bytes before anything is decoded: the line of every matching record, be it
 * text (record/text_line.h) or a JSON object that begins the line, holds one of these texts. One
 * that begins with '\n' stands at the line's begin. False: nothing can be told, every line has to
 * be looked at. */
struct filter_needles {
    struct needle needle[NEEDLES_MAX];
    uint32_t n, n_ascii; /* the first n_ascii are all that bytes below 128 can hold */
};
bool filter_needles(const struct filter *f, struct filter_needles *ret);
/* Whether, of a record that is a line of text, more than `message` may decide: its time, its level,
 * the level's word alone. */
bool filter_asks_beyond_text(const struct filter *f);
/* Where in a text the terms, phrases and regexes that are not negated stand, for showing: in order
 * by term, perhaps overlapping. */
void filter_spans(const struct filter *f, struct str text, void *ctx,
                  void (*fn)(void *ctx, size_t from, size_t to));

/* _id as text: "<partition>-<position>-<index>" in lower-case hexadecimal without leading zeros. */
#define FILTER_ID_MAX 48
size_t filter_row_id(const struct origin_run *origin, char *out);

#endif
