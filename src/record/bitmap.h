/* Bitmaps over rows or values: arrays of 64-bit words, bit i of word i/64. Bits past the end stay
 * zero.
 * Threads: pure functions. */
#ifndef WEIR_RECORD_BITMAP_H
#define WEIR_RECORD_BITMAP_H

#include "core/arena.h"

static inline size_t bitmap_words(uint32_t n)
{
    return ((size_t)n + 63) / 64;
}
static inline bool bitmap_get(const uint64_t *b, uint32_t i)
{
    return b[i >> 6] >> (i & 63) & 1;
}
static inline void bitmap_set(uint64_t *b, uint32_t i)
{
    b[i >> 6] |= (uint64_t)1 << (i & 63);
}
static inline void bitmap_clear(uint64_t *b, uint32_t i)
{
    b[i >> 6] &= ~((uint64_t)1 << (i & 63));
}
/* Set bits of a word. */
static inline uint32_t bitmap_ones(uint64_t v)
{
#if defined(__POPCNT__) || defined(__aarch64__)
    return (uint32_t)__builtin_popcountll(v);
#else /* where that would be a call */
    v -= v >> 1 & 0x5555555555555555;
    v = (v & 0x3333333333333333) + (v >> 2 & 0x3333333333333333);
    v = (v + (v >> 4)) & 0x0f0f0f0f0f0f0f0f;
    return (uint32_t)(v * 0x0101010101010101 >> 56);
#endif
}
uint64_t *bitmap_new(struct arena *a, uint32_t n); /* zeros */
void bitmap_fill(uint64_t *b, uint32_t n);
uint32_t bitmap_count(const uint64_t *b, uint32_t n);
bool bitmap_any(const uint64_t *b, uint32_t n);
void bitmap_and(uint64_t *b, const uint64_t *with, uint32_t n);
void bitmap_or(uint64_t *b, const uint64_t *with, uint32_t n);
void bitmap_andnot(uint64_t *b, const uint64_t *with, uint32_t n);
void bitmap_not(uint64_t *b, uint32_t n);
/* Ascending indexes of set bits; `out` has room for all. Returns how many. */
uint32_t bitmap_list(const uint64_t *b, uint32_t n, uint32_t *out);

#endif
