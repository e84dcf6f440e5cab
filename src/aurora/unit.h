/* A unit under way: the records of the bytes [from, to) of one file, as frames; and where they go.
 * Threads: one. Bounds: a batch, and frames of about UNIT_BYTES of log text. */
#ifndef WEIR_AURORA_UNIT_H
#define WEIR_AURORA_UNIT_H

#include "aurora/progress.h"
#include "pipeline/output.h"
#include "pipeline/stages.h"
#include "record/frame.h"

enum { UNIT_BYTES = 2 << 20, UNIT_OUTPUTS_MAX = 8 };

struct unit_frame {
    struct buf bytes;
    uint32_t rows;
};
struct unit {
    struct stages *stages; /* what records go through before they are sealed; NULL: nothing */
    struct batch *batch, *changed;
    struct arena arena;
    struct unit_frame *frame; /* those past n_frames keep their memory */
    uint32_t n_frames, cap;
    uint64_t rows;
    struct str stream;
    int64_t arrival_ns;
};
/* The stages outlive it. */
void unit_init(struct unit *u, struct stages *stages);
void unit_release(struct unit *u);
/* Begins anew: nothing in it. The stream's name must outlive it. */
void unit_clear(struct unit *u, struct str stream, int64_t arrival_ns);
/* The batch becomes a frame, if it has rows, and the stages leave some. */
NODISCARD enum err unit_seal(struct unit *u);
static inline uint64_t unit_rows(const struct unit *u)
{
    return u->rows + batch_rows(u->batch);
}

struct unit_refusal {
    void *ctx;
    void (*refused)(void *ctx, uint32_t frame, uint32_t row, const char *reason);
};
/* Sends all frames to one output, sealed. As output_send. */
NODISCARD enum err unit_send(struct unit *u, struct output *o, const struct strand *l,
                             const struct unit_refusal *refusal, int64_t *ret_wait_ns);

#endif
