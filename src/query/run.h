/* Plans of parts of queries: the pipes that work on a table in memory, for whoever has made one;
 * the `stats` that a query begins with. */
#ifndef WEIR_QUERY_RUN_H
#define WEIR_QUERY_RUN_H

#include "query/output.h"
#include "query/pipe.h"
#include "query/query.h"

struct batch;

/* Takes over `b`; runs the tree's pipes from `next` on and writes what comes out. `memory`: bytes
 * of groups. */
NODISCARD enum err query_run_table(const struct query_tree *tree, uint32_t next,
                                   struct row_style style, size_t memory, struct batch *b,
                                   const struct query_sink *sink);

/* The filter and the `stats` behind it, in the arena; ERR_INVALID where something else comes
 * before. */
NODISCARD enum err query_stats_plan(const struct query_request *q, struct arena *arena,
                                    const struct filter **ret_filter, const struct pipe **ret_pipe);

#endif
