/* Kept answers of blocks. A blob is
 *
 *   u64 length of the key, u64 rows that matched, the key and zeros up to a multiple of 8
 *   the table of groups (agg_partial.c)
 *
 * Its place in the cache is the block's, and a hash of the key with the highest bit set, which no
 * part of a chunk has. Blocks in memory have numbers of their own with the highest bit set. */
#include "query/partial.h"

#include "core/hash.h"
#include "core/mem.h"
#include "core/metrics.h"
#include "store/chunk_cache.h"

enum { KEPT_MAX = 256 << 10 };
#define MARK ((uint64_t)1 << 63)

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
    if (s->n_steps || s->request->nocache || !agg_can_write(pipe) ||
        !filter_is_lasting(s->filter) || (filter_is_all(s->filter) && agg_counts_rows(pipe)))
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

static bool place(const struct scan *s, const struct block_ref *ref, struct str key,
                  struct chunk_key *ret)
{
    *ret = (struct chunk_key){ref->lasting, ref->place, hash64(key) | MARK};
    return ref->lasting && scan_covers(s, ref);
}

static void count(const char *result)
{
    char labels[32];
    snprintf(labels, sizeof(labels), "result=\"%s\"", result);
    metric_add(metric_counter("weir_query_kept_blocks_total", labels,
                              "Blocks of aggregations that could be answered from what is kept."),
               1);
}

static size_t padded(size_t n)
{
    return (n + 7) & ~(size_t)7;
}

bool partial_get(const struct scan *s, const struct block_ref *ref, struct str key,
                 struct agg_table *into, uint64_t *ret_matched)
{
    struct chunk_key at;
    uint64_t head[2];
    if (!place(s, ref, key, &at))
        return false;
    struct blob *b = chunk_cache_get(&at);
    bool is = false;
    if (b) {
        memcpy(head, b->bytes.p, sizeof(head));
        is = head[0] == key.n && str_eq(str_of(b->bytes.p + sizeof(head), key.n), key) &&
             agg_merge_written(into, str_from(b->bytes, sizeof(head) + padded(key.n))) == OK;
        *ret_matched = head[1];
        blob_unref(b);
    }
    count(is ? "hit" : "miss");
    return is;
}

bool partial_put(const struct scan *s, const struct block_ref *ref, struct str key,
                 const struct agg_table *t, uint64_t matched)
{
    struct chunk_key at;
    uint64_t head[2] = {key.n, matched};
    struct buf b;
    if (!place(s, ref, key, &at))
        return true;
    buf_init(&b, KEPT_MAX);
    buf_put(&b, head, sizeof(head));
    buf_put_str(&b, key);
    while (b.n % 8)
        buf_put_byte(&b, 0);
    agg_write(t, &b);
    bool fits = b.n < KEPT_MAX;
    if (fits) {
        char *p = mem_alloc(b.n);
        memcpy(p, b.p, b.n);
        struct blob *blob = blob_take(p, b.n, OWNER_CACHE);
        chunk_cache_put(&at, blob);
        blob_unref(blob);
    }
    buf_release(&b);
    return fits;
}
