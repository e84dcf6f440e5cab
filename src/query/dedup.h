/* dedup over a scan: of each key the newest rows. A table of keys a worker, merged; then the rows
 * are hits, newest first. Owner: one thread at a time, but visit: a worker each. */
#ifndef WEIR_QUERY_DEDUP_H
#define WEIR_QUERY_DEDUP_H

#include "query/hits.h"

struct dedup;

/* `pipe` is a PIPE_DEDUP and outlives it; `memory`: of all workers. */
struct account;
struct dedup *dedup_new(const struct pipe *pipe, unsigned workers, struct account *memory);
void dedup_free(struct dedup *d);
/* As a scan's visit. */
NODISCARD enum err dedup_visit(struct dedup *d, const struct scan_block *b);
/* Hands the rows kept to hits that have been begun without keys. */
NODISCARD enum err dedup_finish(struct dedup *d, struct hits *h);
/* Of the first n rows of a table, in their order: which stay. `row` has room for n. */
NODISCARD enum err dedup_table(const struct pipe *pipe, struct rows *rows, const uint32_t *all,
                               uint32_t n, struct account *memory, struct arena *arena,
                               uint32_t *row, uint32_t *ret_n);

#endif
