#include "query/exact.h"

#include "core/mem.h"

#include <math.h>

enum { LIMB_BITS = 32, ADDED_MAX = 1 << 30, UNIT_BIT = 1074 - EXACT_UNIT, ONE_BIT = 1074 };
enum { SOME_INFINITE = 1, SOME_NEGATIVE = 2, SOME_NAN = 4 };
#define LIMB_MASK 0xffffffffLL

/* Carries, so that every limb but the last is within 32 bits. */
static void wide_settle(struct wide *w)
{
    for (unsigned i = 0; i + 1 < WIDE_LIMBS; i++) {
        w->limb[i + 1] += w->limb[i] >> LIMB_BITS;
        w->limb[i] &= LIMB_MASK;
    }
    w->added = 0;
}

/* Adds m * 2^(bit - 1074). */
static void wide_add(struct wide *w, uint64_t m, unsigned bit, bool negative)
{
    unsigned __int128 v = (unsigned __int128)m << bit % LIMB_BITS;
    int64_t *to = &w->limb[bit / LIMB_BITS];
    for (unsigned i = 0; i < 3; i++, v >>= LIMB_BITS) {
        int64_t part = (int64_t)((uint64_t)v & (uint64_t)LIMB_MASK);
        to[i] += negative ? -part : part;
    }
    if (++w->added >= ADDED_MAX)
        wide_settle(w);
}

static void wide_add_128(struct wide *w, __int128 v, unsigned bit)
{
    unsigned __int128 m = v < 0 ? -(unsigned __int128)v : (unsigned __int128)v;
    wide_add(w, (uint64_t)m, bit, v < 0);
    wide_add(w, (uint64_t)(m >> 64), bit + 64, v < 0);
}

static void wide_add_double(struct wide *w, double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof(bits));
    unsigned power = bits >> 52 & 0x7ff;
    uint64_t m = bits & (((uint64_t)1 << 52) - 1);
    if (power == 0x7ff)
        w->special |= m ? SOME_NAN : bits >> 63 ? SOME_NEGATIVE : SOME_INFINITE;
    else
        wide_add(w, power ? m | (uint64_t)1 << 52 : m, power ? power - 1 : 0, bits >> 63);
}

void exact_add_wide(struct exact *e, double v)
{
    if (fpclassify(v) == FP_ZERO)
        return;
    if (!e->wide)
        e->wide = NEW(struct wide);
    wide_add_double(e->wide, v);
}

static void wide_merge(struct wide *into, const struct wide *from)
{
    struct wide settled = *from;
    wide_settle(&settled);
    for (unsigned i = 0; i < WIDE_LIMBS; i++)
        into->limb[i] += settled.limb[i];
    into->special |= settled.special;
    wide_settle(into);
}

void exact_merge(struct exact *into, const struct exact *from)
{
    __int128 near;
    into->whole += from->whole;
    if (__builtin_add_overflow(into->near, from->near, &near)) {
        if (!into->wide)
            into->wide = NEW(struct wide);
        wide_add_128(into->wide, from->near, UNIT_BIT);
    } else {
        into->near = near;
    }
    if (from->wide) {
        if (!into->wide)
            into->wide = NEW(struct wide);
        wide_merge(into->wide, from->wide);
    }
}

/* The magnitude of a settled sum whose greatest limb is limb[h], rounded: its first 54 bits, and
 * whether a bit behind them is set. */
static double round_limbs(const int64_t *limb, unsigned h)
{
    unsigned __int128 first = 0;
    unsigned bits = 128 - (unsigned)__builtin_clzll((uint64_t)limb[h]) + 32, drop;
    uint64_t rest = 0, m;
    for (unsigned i = 0; i < 4; i++)
        first = first << LIMB_BITS | (h >= i ? (uint64_t)limb[h - i] : 0);
    for (unsigned i = 4; i <= h; i++)
        rest |= (uint64_t)limb[h - i];
    int low = LIMB_BITS * ((int)h - 3) - ONE_BIT; /* the power of its last bit */
    if ((int)bits + low < -1021)                  /* a subnormal: it is a double as it stands */
        return ldexp((double)(uint64_t)(first >> (LIMB_BITS * (3 - h))), -ONE_BIT);
    drop = bits - 54;
    rest |= (first & (((unsigned __int128)1 << drop) - 1)) != 0;
    m = (uint64_t)(first >> drop);
    m = (m >> 1) + (m & 1 && (rest || m & 2));
    return ldexp((double)m, low + (int)drop + 1);
}

static double wide_get(struct wide *w)
{
    if (w->special)
        return w->special == SOME_INFINITE   ? INFINITY
               : w->special == SOME_NEGATIVE ? -INFINITY
                                             : NAN;
    wide_settle(w);
    bool negative = w->limb[WIDE_LIMBS - 1] < 0;
    if (negative) {
        for (unsigned i = 0; i < WIDE_LIMBS; i++)
            w->limb[i] = -w->limb[i];
        wide_settle(w);
    }
    unsigned h = WIDE_LIMBS;
    while (h && !w->limb[h - 1])
        h--;
    double v = h ? round_limbs(w->limb, h - 1) : 0;
    return negative ? -v : v;
}

double exact_get(const struct exact *e)
{
    if (!e->wide && !e->near)
        return (double)e->whole;
    if (!e->wide && !e->whole)
        return ldexp((double)e->near, -EXACT_UNIT);
    struct wide all = {0};
    if (e->wide)
        all = *e->wide;
    wide_add_128(&all, e->whole, ONE_BIT);
    wide_add_128(&all, e->near, UNIT_BIT);
    return wide_get(&all);
}

bool exact_is_int(const struct exact *e, int64_t *ret)
{
    if (e->near || e->wide || e->whole > INT64_MAX || e->whole < INT64_MIN)
        return false;
    *ret = (int64_t)e->whole;
    return true;
}

void exact_release(struct exact *e)
{
    mem_free(e->wide);
    e->wide = NULL;
}
