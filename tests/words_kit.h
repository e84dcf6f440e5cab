/* The words of texts as encoders put them, held against those of the texts themselves. */
#ifndef WEIR_TESTS_WORDS_KIT_H
#define WEIR_TESTS_WORDS_KIT_H

#include "record/rows.h"
#include "record/words.h"
#include "test.h"

#include <stdlib.h>

enum { WORDS_MAX = 1 << 18 };

struct words {
    uint64_t *hash;
    uint32_t n;
};

static void words_take(void *ctx, uint64_t hash)
{
    struct words *w = ctx;
    assert_true(w->n < WORDS_MAX);
    w->hash[w->n++] = hash;
}

static inline struct words words_none(struct arena *a)
{
    return (struct words){ARENA_ARRAY(a, uint64_t, WORDS_MAX), 0};
}

static inline struct words words_of(const struct values *v, struct arena *a)
{
    struct words w = words_none(a);
    for (uint32_t i = 0; i < v->n; i++)
        words_hashes(values_text(v, i), words_take, &w);
    return w;
}

static inline int words_cmp(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static inline void words_sort_unique(struct words *w)
{
    uint32_t kept = 0;
    qsort(w->hash, w->n, sizeof(*w->hash), words_cmp);
    for (uint32_t i = 0; i < w->n; i++)
        if (!kept || w->hash[kept - 1] != w->hash[i])
            w->hash[kept++] = w->hash[i];
    w->n = kept;
}

static inline void assert_same_words(struct words *want, struct words *got)
{
    words_sort_unique(want);
    words_sort_unique(got);
    assert_int_equal(got->n, want->n);
    assert_memory_equal(got->hash, want->hash, want->n * sizeof(*want->hash));
}

#endif
