/* Kept answers of blocks. A blob is
 *
 *   u64 length of the key, u64 rows that matched, the key and zeros up to a multiple of 8
 *   of an answer of many blocks: u64 blocks; of each: u64 lasting, u64 place
 *   the table of groups (agg_partial.c)
 *
 * Its place in the cache is the block's, and a hash of the key with the highest bit set, which no
 * part of a chunk has. Blocks in memory have numbers of their own with the highest bits set. An
 * answer of many has the place of the streams and the length of the range asked for, so that pages
 * with different ranges do not drive out each other's. It is used only where each of its blocks is
 * asked for: as their names are never used again, it can be too old, but not wrong. */
#include "query/partial.h"

#include "core/hash.h"
#include "core/mem.h"
#include "core/metrics.h"

enum { KEPT_MAX = 256 << 10 };
/* A block is cut at so many times at most, if it has so many rows. */
enum { CUTS = 16, CUT_ROWS = 8192 };
#define MARK CHUNK_KEY_KEPT
#define MANY (LASTING_BLOCK | LASTING_FRAME) /* no block's name begins so */

static void put_by(const struct by_spec *by, struct buf *key)
{
    buf_put_lstr(key, by->field);
    buf_put_u64(key, (uint64_t)by->bin_ns);
    buf_put_u64(key, (uint64_t)by->bin_shift_ns);
    buf_put_u32(key, (uint32_t)by->bin_months);
    buf_put(key, &by->bin_width, sizeof(by->bin_width));
    buf_put_u8(key,
               (uint8_t)(by->bin_time | by->required << 1 | by->whole << 2 | by->pattern << 3));
}

static void put_agg(const struct agg_spec *agg, struct buf *key)
{
    buf_put_u8(key, (uint8_t)agg->kind);
    buf_put_lstr(key, agg->field);
    buf_put(key, &agg->quantile, sizeof(agg->quantile));
}

bool partial_key(const struct scan *s, const struct pipe *pipe, struct buf *key)
{
    if (s->n_steps || s->request->nocache || !chunk_cache_keeps() || !agg_can_write(pipe) ||
        !filter_is_lasting(s->filter) ||
        (!pipe->n_by && filter_is_all(s->filter) && agg_counts_rows(pipe)))
        return false;
    filter_write(s->filter, key);
    buf_put_byte(key, 0);
    for (uint32_t k = 0; k < pipe->n_by; k++)
        put_by(&pipe->by[k], key);
    buf_put_byte(key, 0);
    for (uint32_t a = 0; a < pipe->n_aggs; a++)
        put_agg(&pipe->agg[a], key);
    return true;
}

bool partial_may_keep(const struct scan *s, const struct block_ref *ref)
{
    return ref->lasting && scan_covers(s, ref);
}

struct chunk_key partial_place(const struct block_ref *ref, struct str key)
{
    return (struct chunk_key){ref->lasting, ref->place, hash64(key) | MARK};
}

static size_t padded(size_t n)
{
    return (n + 7) & ~(size_t)7;
}

/* What stands behind the key, where it is this one. */
static bool read_head(struct str bytes, struct str key, uint64_t *ret_matched, struct str *ret_rest)
{
    uint64_t head[2];
    memcpy(head, bytes.p, sizeof(head));
    if (head[0] != key.n || !str_eq(str_of(bytes.p + sizeof(head), key.n), key))
        return false;
    *ret_matched = head[1];
    *ret_rest = str_from(bytes, sizeof(head) + padded(key.n));
    return true;
}

static void put_head(struct buf *b, struct str key, uint64_t matched)
{
    buf_init(b, KEPT_MAX);
    buf_put_u64(b, key.n);
    buf_put_u64(b, matched);
    buf_put_str(b, key);
    while (b->n % 8)
        buf_put_byte(b, 0);
}

static struct blob *to_blob(const struct buf *b)
{
    char *p = mem_alloc(b->n);
    memcpy(p, b->p, b->n);
    return blob_take(p, b->n, OWNER_CACHE);
}

bool partial_get(const struct block_ref *ref, struct str key, struct partial *ret)
{
    struct chunk_key at = partial_place(ref, key);
    struct blob *b = chunk_cache_get(&at);
    if (b && read_head(b->bytes, key, &ret->matched, &ret->table)) {
        ret->blob = b;
        return true;
    }
    blob_unref(b);
    return false;
}

void partial_count(bool hit, uint32_t blocks)
{
    metric_add(metric_counter("weir_query_kept_blocks_total",
                              hit ? "result=\"hit\"" : "result=\"miss\"",
                              "Blocks of aggregations that could be answered from what is kept."),
               blocks);
}

bool partial_put(const struct block_ref *ref, struct str key, const struct agg_table *t,
                 uint64_t matched)
{
    struct chunk_key at = partial_place(ref, key);
    struct buf b;
    put_head(&b, key, matched);
    agg_write(t, &b);
    bool fits = b.n < KEPT_MAX;
    if (fits) {
        struct blob *blob = to_blob(&b);
        chunk_cache_put(&at, blob);
        blob_unref(blob);
    }
    buf_release(&b);
    return fits;
}

static void add_edge(struct cut *c, const struct block_ref *ref, int64_t from, int64_t to)
{
    c->edge[c->n_edges++] = (struct edge_name){ref->lasting, ref->place, from, to};
}

bool partial_cut(const struct scan *s, const struct block_ref *ref, struct buf *key,
                 struct cut *ret)
{
    uint64_t span = (uint64_t)ref->time_max - (uint64_t)ref->time_min, width = 1;
    while (width < span / CUTS)
        width *= 2;
    if (!ref->lasting || ref->rows < CUT_ROWS || span > INT64_MAX / 2 ||
        ref->time_min < INT64_MIN + (int64_t)width ||
        ref->time_max > INT64_MAX - 2 * (int64_t)width)
        return false;
    int64_t grid = (int64_t)width;
    *ret = (struct cut){.from = ref->time_min, .to = ref->time_max + 1};
    if (s->from > ref->time_min) {
        ret->from = (s->from + grid - 1) & -grid;
        if (ret->from > s->from)
            add_edge(ret, ref, ret->from - grid, ret->from);
    }
    if (s->to <= ref->time_max) {
        ret->to = s->to & -grid;
        if (ret->to < s->to)
            add_edge(ret, ref, ret->to, ret->to + grid);
    }
    buf_put_u64(key, (uint64_t)ret->from);
    buf_put_u64(key, (uint64_t)ret->to);
    return ret->from < ret->to;
}

/* ---- answers of many blocks ---- */

bool partial_in_scope(enum partial_scope scope, const struct block_ref *ref)
{
    return scope == PARTIAL_ALL || !(ref->lasting & LASTING_FRAME);
}

struct chunk_key partial_place_many(const struct scan *s, struct str key, enum partial_scope scope)
{
    const struct query_request *r = s->request;
    uint64_t to = (uint64_t)(s->to == INT64_MAX ? r->now_ns : s->to);
    uint64_t hash = hash64_seed(r->org, (uint64_t)scope);
    hash = hash64_seed(r->stream, hash);
    for (uint32_t i = 0; i < r->n_streams; i++)
        hash = hash64_seed(r->streams[i], hash);
    hash = hash_mix(hash + (s->from == INT64_MIN ? 0 : to - (uint64_t)s->from));
    return (struct chunk_key){MANY, hash, hash64(key) | MARK};
}

/* Which of the scan's blocks the answer is of: `n` names, in the order that the scan has them. */
static bool find_all(const struct scan *s, struct reader *names, uint64_t n, bool *taken)
{
    uint32_t k = 0;
    for (; n; n--) {
        uint64_t lasting = read_u64(names), at = read_u64(names);
        while (k < s->n_blocks && (s->block[k]->lasting != lasting || s->block[k]->place != at))
            k++;
        if (k == s->n_blocks || !partial_may_keep(s, s->block[k]))
            return false;
        taken[k++] = true;
    }
    return true;
}

static void take_out(struct scan *s, const bool *taken, struct partial_blocks *ret)
{
    uint32_t left = 0;
    for (uint32_t k = 0; k < s->n_blocks; k++)
        if (taken[k])
            ret->ref[ret->n++] = s->block[k];
        else
            s->block[left++] = s->block[k];
    s->n_blocks = left;
    s->pruned_early += ret->n;
    s->matched += ret->matched;
    partial_count(true, ret->n);
}

enum err partial_get_many(struct scan *s, struct str key, enum partial_scope scope,
                          struct arena *arena, struct agg_table *into, struct partial_blocks *ret)
{
    struct chunk_key at = partial_place_many(s, key, scope);
    struct blob *b = chunk_cache_get(&at);
    struct str rest;
    enum err err = OK;
    *ret = (struct partial_blocks){0};
    if (b && read_head(b->bytes, key, &ret->matched, &rest)) {
        struct reader r = reader_of(rest);
        uint64_t n = read_u64(&r);
        bool *taken = ARENA_ARRAY(arena, bool, s->n_blocks + 1);
        ret->ref = (const struct block_ref **)ARENA_ARRAY(arena, struct block_ref *, n + 1);
        if (n <= s->n_blocks && find_all(s, &r, n, taken)) {
            err = agg_merge_written(into, str_from(rest, 8 + 16 * (size_t)n));
            take_out(s, taken, ret);
        }
    }
    blob_unref(b);
    return err;
}

static void put_names(struct buf *b, const struct block_ref *const *ref, uint32_t n)
{
    buf_put_u64(b, n);
    for (uint32_t i = 0; i < n; i++) {
        buf_put_u64(b, ref[i]->lasting);
        buf_put_u64(b, ref[i]->place);
    }
}

void partial_put_many(const struct scan *s, struct str key, enum partial_scope scope,
                      const struct partial_blocks *blocks, const struct agg_table *t)
{
    struct chunk_key at = partial_place_many(s, key, scope);
    struct buf b;
    put_head(&b, key, blocks->matched);
    put_names(&b, blocks->ref, blocks->n);
    agg_write(t, &b);
    if (b.n < KEPT_MAX) {
        struct blob *blob = to_blob(&b);
        chunk_cache_replace(&at, blob);
        blob_unref(blob);
    }
    buf_release(&b);
}

/* ---- answers of runs ---- */

static struct chunk_key place_run(const struct block_ref *const *ref, uint32_t n, struct str key)
{
    uint64_t hash = n;
    for (uint32_t i = 0; i < n; i++)
        hash = hash_mix(hash_mix(hash + ref[i]->lasting) + ref[i]->place);
    return (struct chunk_key){MANY, hash, hash64(key) | MARK};
}

bool partial_get_run(const struct block_ref *const *ref, uint32_t n, struct str key,
                     struct partial *ret)
{
    struct chunk_key at = place_run(ref, n, key);
    struct blob *b = chunk_cache_get(&at);
    struct str rest;
    bool same = b && read_head(b->bytes, key, &ret->matched, &rest);
    if (same) {
        struct reader names = reader_of(rest);
        same = read_u64(&names) == n;
        for (uint32_t i = 0; i < n && same; i++)
            same = read_u64(&names) == ref[i]->lasting && read_u64(&names) == ref[i]->place;
        ret->blob = b;
        ret->table = str_from(rest, 8 + 16 * (size_t)n);
    }
    if (!same)
        blob_unref(b);
    return same;
}

void partial_put_run(const struct block_ref *const *ref, uint32_t n, struct str key,
                     const struct agg_table *t, uint64_t matched)
{
    struct chunk_key at = place_run(ref, n, key);
    struct buf b;
    put_head(&b, key, matched);
    put_names(&b, ref, n);
    agg_write(t, &b);
    if (b.n < KEPT_MAX) {
        struct blob *blob = to_blob(&b);
        chunk_cache_put(&at, blob);
        blob_unref(blob);
    }
    buf_release(&b);
}
