/* Transforms that several threads run: chains of one configuration, as many as there are threads at
 * work in them at a time. Where a stage keeps something over the rows (dedup, throttle) there is
 * one chain, and the threads take turns: what it remembers is of all rows.
 *
 * Threads: any. Life: the configuration that it was made from outlives it; stages_free waits until
 * nobody holds it. */
#ifndef WEIR_PIPELINE_STAGES_H
#define WEIR_PIPELINE_STAGES_H

#include "transform/transform.h"

struct stages;
enum { STAGES_CHAINS_MAX = 32 };

/* As chain_new. */
NODISCARD enum err stages_new(const struct tree *list, struct stages **ret);
void stages_free(struct stages *s); /* NULL is fine */
/* Whoever holds it may take chains; NULL is fine. */
struct stages *stages_hold(struct stages *s);
void stages_release(struct stages *s);
/* A chain for the caller alone; waits while all are in use. */
struct chain *stages_take(struct stages *s);
void stages_give(struct stages *s, struct chain *c);
uint32_t stages_count(const struct stages *s);
/* The counts of all its chains together; those at work are read as they are. */
void stages_stage(struct stages *s, uint32_t stage, struct chain_stage *ret);

#endif
