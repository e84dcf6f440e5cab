/* A query as parsed: a filter and its pipes. `top`, `rare`, `values`, `timechart` and `patterns`
 * are written out as stats, sort and limit, `where` is a filter: what runs knows eight pipes. Lives
 * in the arena given to the parser; immutable. */
#ifndef WEIR_QUERY_PIPE_H
#define WEIR_QUERY_PIPE_H

#include "filter/filter.h"
#include "record/extract.h"

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
    AGG_LAST,
    AGG_EXAMPLES, /* of patterns: a few different values */
    AGG_ROWS,     /* of dedup: the rows themselves */
};
struct agg_spec {
    enum agg_kind kind;
    struct str field; /* n == 0 for count() */
    double quantile;  /* PERCENTILE: 0..1 */
    uint32_t most;    /* EXAMPLES: so many */
    struct str name;  /* of the result */
};
struct by_spec {
    struct str field; /* "_time" for time bins */
    struct str name;
    bool bin_time;
    int64_t bin_ns;
    int64_t bin_shift_ns; /* time bins are cut in time moved ahead by it: a zone's, or weeks' */
    int32_t bin_months;   /* > 0: of so many months of the calendar, not of bin_ns */
    double bin_width;     /* > 0: numeric bins */
    bool required;        /* rows without a value are left out, not gathered under null */
    bool whole;           /* an array is one value; else each of its scalars is */
    bool pattern;         /* of the value's text, not the value */
};
/* A timechart: groups by time, and by one field where it splits, laid out as a row a time with a
 * column a series. The field's `by` stands before that of the time. */
struct chart_spec {
    int64_t span_ns; /* 0: chosen by the range, for about `bins` */
    uint32_t bins;
    uint32_t series; /* so many columns, the largest; 0: all */
    bool split, other, null, fill;
};
/* What `patterns` says beside the groups of its stats, whose first `by` is the pattern. */
struct patterns_spec {
    int64_t new_since; /* only patterns first seen at or after it */
};
struct sort_key {
    struct str field;
    bool descending;
};

enum pipe_kind {
    PIPE_STATS,
    PIPE_WHERE,
    PIPE_SORT,
    PIPE_LIMIT,
    PIPE_FIELDS,
    PIPE_EXTRACT,
    PIPE_UNNEST,
    PIPE_DEDUP,
    PIPE_KIND_COUNT
};
extern const char *const pipe_kind_names[];
struct pipe {
    enum pipe_kind kind;
    const struct agg_spec *agg;
    uint32_t n_aggs;
    const struct by_spec *by;
    uint32_t n_by;                        /* DEDUP: the key */
    const struct chart_spec *chart;       /* STATS: may be NULL */
    const struct patterns_spec *patterns; /* STATS: may be NULL */
    const struct filter *where;
    const struct sort_key *key;
    uint32_t n_keys;
    uint64_t limit, offset; /* DEDUP: limit rows a key */
    bool keep_empty;        /* DEDUP: rows without the whole key stay */
    const struct str *field;
    uint32_t n_fields;
    const struct extractor *extractor;
    struct str from, into; /* EXTRACT: read; UNNEST: the array, and what its elements are called */
};

struct query_tree {
    const struct filter *filter;
    const struct pipe *pipe;
    uint32_t n_pipes;
};

#define PIPES_MAX 64
#define AGGS_MAX 64
#define PIPE_EXPANDS_MAX 4 /* pipes that one in the text may stand for */
#define BY_MAX 16
#define CHART_SERIES_MAX 1000
#define PATTERN_EXAMPLES_MAX 10
#define CHART_BUCKETS_MAX 100000

/* How filters are read (in front and in `where`) is said by `o`; stop_at_pipe is implied.
 * ERR_INVALID as filter_parse: several lines with a caret. */
NODISCARD enum err query_parse(struct str text, const struct filter_options *o, struct arena *arena,
                               struct query_tree *ret, size_t *ret_at);

#endif
