/* Integer sequences in few bytes: constants, frames of reference, deltas, runs, each divided by its
 * common divisor and bit-packed in blocks of 128, or split into byte planes where an entropy coder
 * follows. Layout: ints.c. Every int64 comes back exactly; sums and differences wrap. Threads: pure
 * functions. */
#ifndef WEIR_STORE_INTS_H
#define WEIR_STORE_INTS_H

#include "core/arena.h"
#include "core/buf.h"

enum ints_form {
    INTS_PACKED, /* the smallest of all */
    INTS_PLANES, /* whole bytes, plane by plane, for zstd; constants and runs stay as they are */
};

/* Appends n values; nothing when n is 0. `out` must be able to hold them. */
void ints_encode(const int64_t *v, uint32_t n, enum ints_form form, struct arena *scratch,
                 struct buf *out);
/* The same in two steps, for who wants both forms; n > 0, and v stays. The plan is the arena's. */
struct ints_plan;
const struct ints_plan *ints_plan(const int64_t *v, uint32_t n, struct arena *scratch);
void ints_put(const struct ints_plan *p, enum ints_form form, struct buf *out);
/* The least and the greatest of the values. */
void ints_range(const struct ints_plan *p, int64_t *ret_min, int64_t *ret_max);
/* Reads exactly n values. ERR_CORRUPT where the bytes are none of ours. `scratch` is for runs. */
NODISCARD enum err ints_decode(struct reader *r, uint32_t n, struct arena *scratch, int64_t *out);
/* The values at n_pos ascending positions below n; unpacks only those where the form allows. */
NODISCARD enum err ints_get(struct reader *r, uint32_t n, const uint32_t *pos, uint32_t n_pos,
                            struct arena *scratch, int64_t *out);
/* Bits that hold v: 0 for 0. */
static inline unsigned ints_width(uint64_t v)
{
    return v ? 64 - (unsigned)__builtin_clzll(v) : 0;
}

#endif
