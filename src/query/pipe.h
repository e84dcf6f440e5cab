/* A query as parsed: a filter and its pipes. `top` is written out as stats, sort and limit, `where`
 * is a filter: what runs knows five pipes. Lives in the arena given to the parser; immutable. */
#ifndef WEIR_QUERY_PIPE_H
#define WEIR_QUERY_PIPE_H

#include "filter/filter.h"

enum agg_kind {
    AGG_COUNT,
    AGG_SUM,
    AGG_AVG,
    AGG_MIN,
    AGG_MAX,
    AGG_PERCENTILE,
    AGG_DISTINCT,
    AGG_VALUES,
    AGG_FIRST,
    AGG_LAST
};
struct agg_spec {
    enum agg_kind kind;
    struct str field; /* n == 0 for count() */
    double quantile;  /* PERCENTILE: 0..1 */
    struct str name;  /* of the result */
};
struct by_spec {
    struct str field; /* "_time" for time bins */
    struct str name;
    bool bin_time;
    int64_t bin_ns;
    double bin_width; /* > 0: numeric bins */
};
struct sort_key {
    struct str field;
    bool descending;
};

enum pipe_kind { PIPE_STATS, PIPE_WHERE, PIPE_SORT, PIPE_LIMIT, PIPE_FIELDS };
struct pipe {
    enum pipe_kind kind;
    const struct agg_spec *agg;
    uint32_t n_aggs;
    const struct by_spec *by;
    uint32_t n_by;
    const struct filter *where;
    const struct sort_key *key;
    uint32_t n_keys;
    uint64_t limit, offset;
    const struct str *field;
    uint32_t n_fields;
};

struct query_tree {
    const struct filter *filter;
    const struct pipe *pipe;
    uint32_t n_pipes;
};

#define PIPES_MAX 64
#define AGGS_MAX 64
#define BY_MAX 16

/* ERR_INVALID as filter_parse: several lines with a caret. */
NODISCARD enum err query_parse(struct str text, int64_t now_ns, struct arena *arena,
                               struct query_tree *ret, size_t *ret_at);

#endif
