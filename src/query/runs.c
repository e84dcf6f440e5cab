/* A block ends a run of length 4^k, about, where k pairs of bits of a hash of its name are zero. A
 * run is cut behind those blocks within it that end the longest. It is kept where it begins behind
 * one that ends a longer one than these, and ends with such a one: then no other block can become
 * part of it. */
#include "query/runs.h"

#include "core/hash.h"

struct walk {
    struct runs *r;
    uint8_t *ends; /* of each block, k */
};

static uint8_t ends(const struct block_ref *ref)
{
    uint64_t hash = hash_mix(hash_mix(ref->lasting) + ref->place);
    return hash ? (uint8_t)(__builtin_ctzll(hash) / 2) : 32;
}

static void taken(struct runs *r, uint32_t from, uint32_t to, const struct partial *kept)
{
    for (uint32_t i = from; i < to; i++)
        r->taken[i] = true;
    partial_count(true, to - from);
    blob_unref(kept->blob);
}

static enum err merge_part(struct walk *w, uint32_t from, uint32_t to, struct agg_table *into,
                           uint64_t *matched, bool *all);

/* The parts between the blocks within [from, to) that end the longest runs. */
static enum err merge_parts(struct walk *w, uint32_t from, uint32_t to, uint8_t longest,
                            struct agg_table *into, uint64_t *matched, bool *all)
{
    for (uint32_t at = from, end; at < to; at = end) {
        for (end = at + 1; end < to && w->ends[end - 1] != longest;)
            end++;
        TRY(merge_part(w, at, end, into, matched, all));
    }
    return OK;
}

static enum err merge_run(struct walk *w, uint32_t from, uint32_t to, uint8_t longest,
                          struct agg_table *into, uint64_t *matched, bool *all)
{
    struct runs *r = w->r;
    struct partial kept;
    if (partial_get_run(r->ref + from, to - from, r->key, &kept)) {
        enum err err = agg_merge_written(into, kept.table);
        *matched += kept.matched;
        taken(r, from, to, &kept);
        return err;
    }
    struct agg_table *mine = agg_new(r->pipe, &r->scan->memory);
    uint64_t n = 0;
    bool whole = true;
    enum err err = merge_parts(w, from, to, longest, mine, &n, &whole);
    if (err == OK && whole)
        partial_put_run(r->ref + from, to - from, r->key, mine, n);
    if (err == OK)
        err = agg_merge(into, mine);
    agg_free(mine);
    *matched += n;
    *all &= whole;
    return err;
}

static enum err merge_part(struct walk *w, uint32_t from, uint32_t to, struct agg_table *into,
                           uint64_t *matched, bool *all)
{
    struct runs *r = w->r;
    struct partial kept;
    TRY(scan_check(r->scan));
    if (to - from > 1) {
        uint8_t longest = 0;
        for (uint32_t i = from; i + 1 < to; i++)
            longest = w->ends[i] > longest ? w->ends[i] : longest;
        if (from > 0 && w->ends[to - 1] > longest)
            return merge_run(w, from, to, longest, into, matched, all);
        return merge_parts(w, from, to, longest, into, matched, all);
    }
    if (!partial_get(r->ref[from], r->key, &kept)) {
        *all = false;
        return OK;
    }
    enum err err = agg_merge_written(into, kept.table);
    *matched += kept.matched;
    taken(r, from, to, &kept);
    return err;
}

enum err runs_merge(struct runs *r, struct arena *arena, struct agg_table *into)
{
    struct walk w = {.r = r, .ends = ARENA_ARRAY(arena, uint8_t, r->n + 1)};
    bool all = true;
    r->taken = ARENA_ARRAY(arena, bool, r->n + 1);
    for (uint32_t i = 0; i < r->n; i++)
        w.ends[i] = ends(r->ref[i]);
    return r->n ? merge_part(&w, 0, r->n, into, &r->matched, &all) : OK;
}
