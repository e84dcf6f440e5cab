/* A query over rows that are no store's: lines of files, fed in their order by whoever reads them.
 * The same language: what stands in front of the first pipe that does more than narrow is one
 * filter, evaluated by the caller. Without an order of their own rows keep the one they are fed in,
 * which `limit` counts.
 *
 * Threads: query_local_fold from any worker, each with its own number; query_local_add and
 * query_local_finish from one. Memory: `memory` bytes of groups, or of rows held. */
#ifndef WEIR_QUERY_LOCAL_H
#define WEIR_QUERY_LOCAL_H

#include "query/output.h"
#include "query/pipe.h"
#include "query/query.h"

struct query_local;
struct batch;

/* ERR_INVALID as query_parse. */
NODISCARD enum err query_local_new(struct str text, int64_t now_ns, unsigned workers, size_t memory,
                                   struct query_local **ret);
void query_local_free(struct query_local *l);
const struct filter *query_local_filter(const struct query_local *l);
/* Nothing but a filter: the caller shows what it finds. */
bool query_local_is_filter(const struct query_local *l);
/* Rows go to query_local_fold, in any order; else to query_local_add, in theirs. */
bool query_local_folds(const struct query_local *l);
/* Selected rows, ascending. */
NODISCARD enum err query_local_fold(struct query_local *l, unsigned worker, struct rows *rows,
                                    const uint32_t *row, uint32_t n, struct arena *scratch);
/* Rows that match, all of them. ERR_EOF: enough, nothing more is wanted. */
NODISCARD enum err query_local_add(struct query_local *l, struct rows *rows,
                                   const struct query_sink *sink);
NODISCARD enum err query_local_finish(struct query_local *l, const struct query_sink *sink);

#endif
