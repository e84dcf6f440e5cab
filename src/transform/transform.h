/* Transforms: what changes records on their way. A *chain* is a list of stages, each a name with
 * its arguments, as the configuration has them; docs/transforms.md describes every one. A stage
 * works on the rows of a batch at once: it looks at a column, makes the fields that come new as a
 * batch beside it, and the two are zipped (record/derive.h); what is not touched is not copied.
 *
 * Deterministic: the same rows with the same arrival give the same result, so that a chain may
 * stand behind a queue and be run again (dedup's window aside). Nothing a stage does can fail a
 * record: what does not parse stays as it is, and is counted.
 * Threads: a chain is one thread's at a time. Bounds: memory is the caller's arena. */
#ifndef WEIR_TRANSFORM_TRANSFORM_H
#define WEIR_TRANSFORM_TRANSFORM_H

#include "core/tree.h"
#include "record/rows.h"

struct chain;
struct chain_stage {
    const char *name; /* "json" */
    uint64_t in, out; /* records */
    uint64_t dropped; /* in - out */
    uint64_t missed;  /* that a parser found nothing in */
};

/* A list of stages: each a map of one member, or a bare name. ERR_INVALID says where and what, with
 * a suggestion. */
NODISCARD enum err chain_new(const struct tree *list, struct chain **ret);
void chain_free(struct chain *c); /* NULL is fine */
uint32_t chain_stages(const struct chain *c);
void chain_stage(const struct chain *c, uint32_t stage, struct chain_stage *ret);
/* Runs stages [from, to) (to UINT32_MAX: all). `in` must live as long as the arena; ret->n may be
 * 0. */
NODISCARD enum err chain_run(struct chain *c, uint32_t from, uint32_t to, struct rows *in,
                             int64_t arrival_ns, struct arena *a, struct rows *ret);

#endif
