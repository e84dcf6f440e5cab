/* The pipes that work on a table in memory, for whoever has made one. */
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

#endif
