#include "output/groups.h"

#include "core/hash.h"
#include "core/mem.h"

void groups_init(struct groups *g)
{
    *g = (struct groups){0};
    buf_init(&g->bytes, SIZE_MAX);
}

void groups_release(struct groups *g)
{
    buf_release(&g->bytes);
    mem_free(g->group);
}

void groups_clear(struct groups *g)
{
    g->n = 0;
    memset(g->bucket, 0, sizeof(g->bucket));
    buf_clear(&g->bytes);
}

uint32_t groups_find(struct groups *g, size_t from, size_t split)
{
    struct str bytes = str_from(buf_str(&g->bytes), from);
    uint64_t hash = hash64_seed(bytes, split);
    uint32_t *bucket = &g->bucket[hash % GROUPS_BUCKETS];
    for (uint32_t i = *bucket; i > 0; i = g->group[i - 1].next) {
        const struct group *is = &g->group[i - 1];
        if (is->hash == hash && is->split == split && str_eq(groups_bytes(g, i - 1), bytes)) {
            g->bytes.n = from;
            return i - 1;
        }
    }
    ARRAY_GROW(g->group, g->cap, g->n + 1);
    g->group[g->n] = (struct group){hash, from, bytes.n, split, *bucket};
    *bucket = ++g->n;
    return g->n - 1;
}
