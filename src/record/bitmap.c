/* Bitmaps, a word at a time. Invariant kept by every function: bits at and past n are zero, so that
 * counts, emptiness and word-wise operations need no mask of their own. */
#include "record/bitmap.h"

static uint64_t tail_mask(uint32_t n)
{
    return n & 63 ? ((uint64_t)1 << (n & 63)) - 1 : ~(uint64_t)0;
}

uint64_t *bitmap_new(struct arena *a, uint32_t n)
{
    return ARENA_ARRAY(a, uint64_t, bitmap_words(n));
}

void bitmap_fill(uint64_t *b, uint32_t n)
{
    size_t words = bitmap_words(n);
    if (words == 0)
        return;
    memset(b, 0xff, words * sizeof(*b));
    b[words - 1] = tail_mask(n);
}

uint32_t bitmap_count(const uint64_t *b, uint32_t n)
{
    uint32_t count = 0;
    for (size_t w = 0; w < bitmap_words(n); w++)
        count += bitmap_ones(b[w]);
    return count;
}

bool bitmap_any(const uint64_t *b, uint32_t n)
{
    for (size_t w = 0; w < bitmap_words(n); w++) {
        if (b[w])
            return true;
    }
    return false;
}

void bitmap_and(uint64_t *b, const uint64_t *with, uint32_t n)
{
    for (size_t w = 0; w < bitmap_words(n); w++)
        b[w] &= with[w];
}

void bitmap_or(uint64_t *b, const uint64_t *with, uint32_t n)
{
    for (size_t w = 0; w < bitmap_words(n); w++)
        b[w] |= with[w];
}

void bitmap_andnot(uint64_t *b, const uint64_t *with, uint32_t n)
{
    for (size_t w = 0; w < bitmap_words(n); w++)
        b[w] &= ~with[w];
}

void bitmap_not(uint64_t *b, uint32_t n)
{
    size_t words = bitmap_words(n);
    if (words == 0)
        return;
    for (size_t w = 0; w < words; w++)
        b[w] = ~b[w];
    b[words - 1] &= tail_mask(n);
}

uint32_t bitmap_list(const uint64_t *b, uint32_t n, uint32_t *out)
{
    uint32_t count = 0;
    for (size_t w = 0; w < bitmap_words(n); w++) {
        for (uint64_t bits = b[w]; bits; bits &= bits - 1)
            out[count++] = (uint32_t)(w * 64 + (size_t)__builtin_ctzll(bits));
    }
    return count;
}
