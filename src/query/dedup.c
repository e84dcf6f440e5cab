/* Keeping the newest rows of each key. The keys are groups of an aggregation (agg_impl.h) whose one
 * state holds a heap of hits, the oldest on top, which gives way to a newer one when the heap is
 * full. Which rows stay depends on their order alone, not on threads or blocks. */
#include "query/dedup.h"

#include "core/mem.h"
#include "query/agg_impl.h"

struct kept {
    uint32_t n, cap;
    struct hit *hit;
};

struct loose { /* rows without the whole key, where these stay */
    struct hit *hit;
    size_t n, cap;
};

struct dedup {
    const struct pipe *pipe;
    struct pipe groups; /* as the aggregation sees it */
    struct agg_spec rows;
    struct agg_table **table;
    struct loose *loose;
    unsigned workers;
};

struct dedup *dedup_new(const struct pipe *pipe, unsigned workers, struct account *memory)
{
    struct dedup *d = NEW(struct dedup);
    d->pipe = pipe;
    d->rows = (struct agg_spec){.kind = AGG_ROWS};
    d->groups = (struct pipe){
        .kind = PIPE_STATS, .agg = &d->rows, .n_aggs = 1, .by = pipe->by, .n_by = pipe->n_by};
    d->workers = workers;
    d->table = NEW_ARRAY(struct agg_table *, workers);
    d->loose = NEW_ARRAY(struct loose, workers);
    for (unsigned i = 0; i < workers; i++)
        d->table[i] = agg_new(&d->groups, memory);
    return d;
}

static void release_kept(struct agg_table *t)
{
    for (uint32_t g = 0; t && g < t->n; g++) {
        struct kept *k = t->group[g]->state[0].sketch;
        if (k)
            mem_free(k->hit);
    }
}

void dedup_free(struct dedup *d)
{
    if (!d)
        return;
    for (unsigned i = 0; i < d->workers; i++) {
        release_kept(d->table[i]);
        agg_free(d->table[i]);
        mem_free(d->loose[i].hit);
    }
    mem_free(d->table);
    mem_free(d->loose);
    mem_free(d);
}

/* ---- the heap: hit[0] is the oldest ---- */

static bool older(const struct hit *a, const struct hit *b)
{
    return hit_order_cmp(a, b) > 0;
}

static void sift_down(struct kept *k)
{
    for (uint32_t i = 0;;) {
        uint32_t child = 2 * i + 1;
        if (child + 1 < k->n && older(&k->hit[child + 1], &k->hit[child]))
            child++;
        if (child >= k->n || !older(&k->hit[child], &k->hit[i]))
            return;
        struct hit swap = k->hit[i];
        k->hit[i] = k->hit[child];
        k->hit[child] = swap;
        i = child;
    }
}

static void sift_up(struct kept *k)
{
    for (uint32_t i = k->n - 1; i && older(&k->hit[i], &k->hit[(i - 1) / 2]); i = (i - 1) / 2) {
        struct hit swap = k->hit[i];
        k->hit[i] = k->hit[(i - 1) / 2];
        k->hit[(i - 1) / 2] = swap;
    }
}

/* Returns the bytes it took. */
static size_t keep(struct state *s, uint64_t limit, const struct hit *hit)
{
    struct kept *k = s->sketch;
    size_t grown = 0;
    if (!k) {
        k = s->sketch = NEW(struct kept);
        grown = sizeof(*k) + 32;
    }
    if (k->n == limit) {
        if (older(&k->hit[0], hit)) {
            k->hit[0] = *hit;
            sift_down(k);
        }
        return grown;
    }
    if (k->n == k->cap) {
        uint32_t cap = k->cap ? k->cap * 2 : 1;
        grown += (cap - k->cap) * sizeof(*hit);
        k->hit = mem_realloc(k->hit, cap * sizeof(*hit));
        k->cap = cap;
    }
    k->hit[k->n++] = *hit;
    sift_up(k);
    return grown;
}

static enum err charge(struct agg_table *t, size_t bytes)
{
    if (bytes && reservation_grow(&t->res, bytes) != OK)
        return agg_too_large(t);
    return t->arena.failed ? agg_too_large(t) : OK;
}

static enum err keep_loose(struct dedup *d, unsigned worker, const struct hit *hit)
{
    struct loose *l = &d->loose[worker];
    size_t before = l->cap;
    ARRAY_GROW(l->hit, l->cap, l->n + 1);
    l->hit[l->n++] = *hit;
    return charge(d->table[worker], (l->cap - before) * sizeof(*hit));
}

enum err dedup_visit(struct dedup *d, const struct scan_block *b)
{
    struct agg_table *t = d->table[b->worker];
    struct fold f = {.t = t, .rows = b->rows, .row = b->row, .n = b->n, .scratch = b->arena};
    size_t grown = 0;
    TRY(agg_codes(&f, false));
    for (uint32_t i = 0; i < b->n; i++) {
        struct hit hit;
        if (f.code[i] == CODE_NONE && !d->pipe->keep_empty)
            continue;
        TRY(hit_of(b, i, &hit));
        if (f.code[i] == CODE_NONE)
            TRY(keep_loose(d, b->worker, &hit));
        else
            grown += keep(&f.group[f.code[i]]->state[0], d->pipe->limit, &hit);
    }
    return charge(t, grown);
}

static enum err merge(struct dedup *d, struct agg_table *into, const struct agg_table *from)
{
    for (uint32_t i = 0; i < from->n; i++) {
        const struct kept *k = from->group[i]->state[0].sketch;
        struct group *g = agg_group(into, from->group[i]->key);
        size_t grown = 0;
        if (!g)
            return agg_too_large(into);
        for (uint32_t h = 0; k && h < k->n; h++)
            grown += keep(&g->state[0], d->pipe->limit, &k->hit[h]);
        TRY(charge(into, grown));
    }
    return OK;
}

enum err dedup_finish(struct dedup *d, struct hits *h)
{
    for (unsigned i = 1; i < d->workers; i++) {
        TRY(merge(d, d->table[0], d->table[i]));
        release_kept(d->table[i]);
        agg_free(d->table[i]);
        d->table[i] = NULL;
    }
    for (uint32_t g = 0; g < d->table[0]->n; g++) {
        const struct kept *k = d->table[0]->group[g]->state[0].sketch;
        for (uint32_t i = 0; k && i < k->n; i++)
            TRY(hits_add(h, &k->hit[i]));
    }
    for (unsigned w = 0; w < d->workers; w++)
        for (size_t i = 0; i < d->loose[w].n; i++)
            TRY(hits_add(h, &d->loose[w].hit[i]));
    return OK;
}

enum err dedup_table(const struct pipe *pipe, struct rows *rows, const uint32_t *all, uint32_t n,
                     struct account *memory, struct arena *arena, uint32_t *row, uint32_t *ret_n)
{
    struct pipe groups = {.kind = PIPE_STATS, .by = pipe->by, .n_by = pipe->n_by};
    struct agg_table *t = agg_new(&groups, memory);
    struct fold f = {.t = t, .rows = rows, .row = all, .n = n, .scratch = arena};
    enum err err = agg_codes(&f, false);
    uint32_t kept = 0;
    if (err == OK && f.n_codes)
        memset(f.count, 0, f.n_codes * sizeof(*f.count));
    for (uint32_t i = 0; i < n && err == OK; i++)
        if (f.code[i] == CODE_NONE ? pipe->keep_empty : f.count[f.code[i]]++ < pipe->limit)
            row[kept++] = all[i];
    agg_free(t);
    *ret_n = kept;
    return err;
}
