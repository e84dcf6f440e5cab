/* What the two files of aggregations share: the tree as it was read, and what was found for it. For
 * nobody else. */
#ifndef WEIR_QUERY_DSL_AGGS_IMPL_H
#define WEIR_QUERY_DSL_AGGS_IMPL_H

#include "core/clock.h"
#include "query/dsl_search.h"

enum {
    LEVELS_MAX = 256,
    BUCKETS_MAX = 65536, /* of a histogram, empty ones included */
    PERCENTS_MAX = 32,
    FILTERS_MAX = 128,
    TERMS_SIZE_DEFAULT = 10,
};

enum agg_type {
    TYPE_TERMS,
    TYPE_DATE_HISTOGRAM,
    TYPE_HISTOGRAM,
    TYPE_FILTER,
    TYPE_FILTERS,
    TYPE_RANGE,
    TYPE_MISSING,
    TYPE_METRIC, /* avg, sum, min, max, value_count, cardinality: one number */
    TYPE_STATS,
    TYPE_PERCENTILES,
};

/* A condition of filter, filters, range, missing, and the level behind it. */
struct branch {
    struct str name; /* filters, range: the key */
    const struct filter *filter;
    double from, to; /* range; NaN: open */
    struct level *level;
};

struct node {
    struct str name;
    enum agg_type type;
    struct str field;
    /* metrics: their functions in the level's stats */
    uint32_t first, n_functions;
    double percent[PERCENTS_MAX];
    bool keyed;
    enum agg_kind metric;
    /* by key */
    struct level *level;
    uint64_t size, min_doc_count;
    struct str missing; /* p NULL: none */
    struct by_spec by;  /* date_histogram, histogram: the bins */
    int64_t bound_min, bound_max;
    bool by_key, ascending, bounded;
    struct str order; /* a metric's name; n == 0: the count */
    bool as_text;     /* date_histogram: the format asks for text */
    /* by conditions */
    struct branch *branch;
    uint32_t n_branches;
};

struct level {
    struct node *node;
    uint32_t n_nodes;
    const struct filter *filter; /* NULL: all */
    struct by_spec by[BY_MAX];
    uint32_t n_by;
    struct agg_spec function[AGGS_MAX];
    uint32_t n_functions;
    struct pipe stats;
    /* What was found: rows * (n_by + n_functions) cells, sorted by keys. */
    struct scalar *cell;
    uint32_t *row;
    uint32_t n_rows;
};

struct dsl_aggs {
    struct level *level[LEVELS_MAX]; /* the first is the root */
    uint32_t n;
    struct find_group *group;
};

/* As Elasticsearch writes numbers that it computed: with a point. */
struct str dsl_number_text(struct arena *a, double v);

#endif
