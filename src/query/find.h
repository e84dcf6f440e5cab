/* One scan, read several ways at once: the best rows in an order, how many match, and groups of
 * them. What Elasticsearch's _search asks for with one body.
 *
 *   find_init(&f); what is above the line is filled in; find_run; find_each, groups; find_release
 *
 * Threads: one runs it; the scan is spread over the engine's pool. Bounds: the query's memory. */
#ifndef WEIR_QUERY_FIND_H
#define WEIR_QUERY_FIND_H

#include "query/hits.h"
#include "record/batch.h"

/* Groups of those rows that a filter of their own lets through too. */
struct find_group {
    const struct filter *filter; /* NULL: all that match */
    const struct pipe *stats;    /* a PIPE_STATS */
    struct batch *result;        /* a row a group, ordered by the groups' keys */
};

struct find {
    const struct query_request
        *request; /* streams, times, deadline; q, limit and cursor are not used */
    const struct filter *filter;
    struct sort_keys keys; /* none: newest first, or oldest first */
    bool oldest;
    const struct row_order *beyond; /* without keys: a page's start; may be NULL */
    const struct hits_after *after; /* with keys: the same */
    uint64_t from, size;            /* of the rows */
    uint64_t total_max;             /* count so many that match, then no more; 0: none */
    struct find_group *group;
    uint32_t n_groups;
    /* ---- results ---- */
    _Atomic uint64_t total; /* exact up to total_max; above it: there are more */
    struct query_meta meta;
    struct hits hits;
    struct scan scan;
    struct agg_table **table; /* group number * workers + worker */
    struct arena arena;
    bool header_counts;
    int64_t started_ns;
};

void find_init(struct find *f);
NODISCARD enum err find_run(struct query_engine *e, struct find *f);
/* The rows from `from` on, in order. */
NODISCARD enum err find_each(struct find *f, const struct row_style *style, void *ctx,
                             enum err (*fn)(void *ctx, const struct hit *hit, struct str line));
void find_release(struct find *f);

/* The columns of a stream, or of several, by their dotted names: each pair of name and lane once.
 * Reads directories, no values. ERR_LIMIT past 100,000. */
struct find_field {
    struct str name;
    enum lane lane;
    uint64_t values;
};
NODISCARD enum err find_fields(struct query_engine *e, const struct query_request *r,
                               struct arena *arena, struct find_field **ret, uint32_t *ret_n);

#endif
