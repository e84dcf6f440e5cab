/* The body of _search: what is looked for, in which order, which rows of it, what is shown of them
 * and which groups are made. Made by dsl_search, run by a find (query/find.h), written by the API.
 * Lives in the arena of its dsl; immutable. */
#ifndef WEIR_QUERY_DSL_SEARCH_H
#define WEIR_QUERY_DSL_SEARCH_H

#include "query/dsl.h"
#include "query/find.h"

enum {
    DSL_SIZE_MAX = 10000, /* rows an answer, and from + size */
    DSL_TOTAL_DEFAULT = 10000,
    DSL_SORTS_MAX = 16,
};

/* One value of a hit's "sort". */
enum dsl_sort_kind {
    DSL_SORT_KEY,   /* of keys[key] */
    DSL_SORT_TIME,  /* the record's time, in nanoseconds or as text */
    DSL_SORT_PLACE, /* its place in the total order, newest first: _doc, _shard_doc */
    DSL_SORT_SCORE, /* always 1 */
};
struct dsl_sort {
    enum dsl_sort_kind kind;
    uint32_t key;
    bool as_text, as_millis; /* TIME */
};

/* A field of "fields" or "docvalue_fields": a name with '*' for any text. */
struct dsl_shown {
    struct str pattern;
    bool millis; /* times as epoch milliseconds */
};

struct dsl_aggs;

struct dsl_search {
    const struct filter *filter;
    struct sort_keys keys; /* none: newest first, or oldest first */
    bool oldest;
    const struct dsl_sort *sort;
    uint32_t n_sorts; /* 0: none was asked for */
    uint32_t n_shown; /* of the sorts, in answers: what a page needs beyond is kept from them */
    const struct row_order *beyond; /* a page's start: without keys, with keys */
    const struct hits_after *after;
    uint64_t from, size;
    uint64_t total_max; /* UINT64_MAX: all; 0: do not count */
    bool source, scores, version;
    const struct str *include, *exclude;
    uint32_t n_include, n_exclude;
    const struct dsl_shown *field;
    uint32_t n_fields;
    struct dsl_aggs *aggs; /* NULL: none */
    struct str pit;        /* its id; n == 0: none */
    int64_t timeout_ns;    /* 0: none */
};

/* `body` NULL: everything. ERR_INVALID with the place. */
NODISCARD enum err dsl_search(struct dsl *d, const json_t *body, struct dsl_search *ret);
/* For parameters of a URL and for scrolling: reads an order, `place` adds the place where it is
 * missing, and a page's start. Call in this order. */
NODISCARD enum err dsl_read_sort(struct dsl *d, const json_t *sort, bool place,
                                 struct dsl_search *s);
NODISCARD enum err dsl_read_after(struct dsl *d, const json_t *after, struct dsl_search *s);
/* A list of names, or one with commas in a text. */
NODISCARD enum err dsl_names(struct dsl *d, const json_t *value, const struct str **ret,
                             uint32_t *ret_n);
/* The values of a hit's "sort", all n_sorts or the first `n`, as JSON. */
void dsl_put_sort(struct buf *out, const struct dsl_search *s, const struct hit *hit, uint32_t n);

/* ---- dsl_aggs.c ---- */

/* Reads "aggs"; *ret NULL where there are none. */
NODISCARD enum err dsl_read_aggs(struct dsl *d, const json_t *aggs, struct dsl_aggs **ret);
/* The groups to find; hands them to `f`. */
void dsl_groups(struct dsl_aggs *a, struct find *f);
/* {"name":{...},...} from what was found. */
NODISCARD enum err dsl_put_aggs(struct dsl_aggs *a, const struct find *f, struct arena *arena,
                                struct buf *out);

#endif
