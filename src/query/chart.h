/* Laying a timechart out: from groups by time, and by one field where it splits, to a row a bucket
 * of time with a column a series. Owner: as agg.h. */
#ifndef WEIR_QUERY_CHART_H
#define WEIR_QUERY_CHART_H

#include "query/agg.h"

struct scan;

/* A width of time that people read (1, 2, 5, 10, 15, 30 of a unit), at least `least`. */
int64_t chart_width(int64_t least);
/* The pipe with its width chosen, where it was left open, for times [from, to); in the arena. */
const struct pipe *chart_settle(const struct pipe *pipe, int64_t from, int64_t to,
                                struct arena *arena);
/* Rows of all groups of `t`, whose pipe has a chart. Buckets go from `from` to `to` where these are
 * not INT64_MIN and INT64_MAX, else from the first that is there to the last. ERR_LIMIT when there
 * would be more than CHART_BUCKETS_MAX. */
NODISCARD enum err chart_result(struct agg_table *t, int64_t from, int64_t to, struct batch *out);

#endif
