/* Steps: pipes that look at one row at a time and answer with none, one or several in its place:
 * where, extract, unnest. They run over the rows of a block within the scan, on every worker, and
 * over tables of results. What a row becomes depends on that row alone. */
#ifndef WEIR_QUERY_STEPS_H
#define WEIR_QUERY_STEPS_H

#include "query/pipe.h"
#include "record/rows.h"

/* Selected rows, and which of the rows that the first step was given each came from. Ascending
 * both; `from` may repeat. Everything lives in the arena. */
struct step_rows {
    struct rows *rows;
    const uint32_t *row;
    const uint32_t *from; /* positions in the first `row`; NULL: i comes from i */
    uint32_t n;
};

static inline bool pipe_is_step(const struct pipe *p)
{
    return p->kind == PIPE_WHERE || p->kind == PIPE_EXTRACT || p->kind == PIPE_UNNEST;
}
/* Runs `n` steps; s->n may become 0. */
NODISCARD enum err steps_run(const struct pipe *const *step, uint32_t n, struct step_rows *s,
                             struct arena *arena);

#endif
