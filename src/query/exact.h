/* The exact sum of numbers: the same in whatever order they are added and their parts are merged,
 * and rounded once, when it is read.
 *
 * Integers are added in 128 bits, which their number cannot overflow. A double is an integer times
 * a power of two: those that are multiples of 2^-EXACT_UNIT and below 2^50, as what logs measure
 * is, are added as integers, too. All others go to one that is wide enough for any double, made
 * when it is first needed.
 * Owner: one thread at a time. All zero is an empty sum. */
#ifndef WEIR_QUERY_EXACT_H
#define WEIR_QUERY_EXACT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { EXACT_UNIT = 76, EXACT_SHIFT_MAX = 126 - 53, WIDE_LIMBS = 70 };

/* Limb i counts 2^(32 i - 1074); written to bytes as it stands. */
struct wide {
    int64_t limb[WIDE_LIMBS];
    uint32_t added;   /* since limbs were carried */
    uint32_t special; /* bits: some infinity, some negative one, some that is no number */
};

struct exact {
    __int128 whole, near; /* integers; doubles as multiples of 2^-EXACT_UNIT */
    struct wide *wide;    /* the rest; may be NULL */
};

static inline void exact_add_int(struct exact *e, int64_t v)
{
    e->whole += v;
}

/* What does not fit beside the others. */
void exact_add_wide(struct exact *e, double v);

static inline void exact_add(struct exact *e, double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof(bits));
    unsigned power = bits >> 52 & 0x7ff, shift = power - (1075 - EXACT_UNIT);
    unsigned __int128 m = (bits & (((uint64_t)1 << 52) - 1)) | (uint64_t)1 << 52;
    if (__builtin_expect(shift <= EXACT_SHIFT_MAX, 1)) { /* so that it is no subnormal */
        __int128 part = (__int128)(m << shift), sum;
        if (!__builtin_add_overflow(e->near, bits >> 63 ? -part : part, &sum)) {
            e->near = sum;
            return;
        }
    }
    exact_add_wide(e, v);
}

void exact_merge(struct exact *into, const struct exact *from);
/* The double nearest to it, ties to even; infinite or NaN where a part is. */
double exact_get(const struct exact *e);
/* Whether it is an int64. */
bool exact_is_int(const struct exact *e, int64_t *ret);
void exact_release(struct exact *e);

#endif
