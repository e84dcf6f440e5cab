/* Tallies: the distinct values of a column and their counts.
 *
 * Where the column is a dictionary its codes are counted, else its values go through a hash table,
 * which gives up when they hardly repeat. A tally in the cache is
 *
 *   u32   distinct values; 0: the column has no tally
 *   u32[] their counts
 *   texts: u32 offsets, one more than values, then bytes; integers: padding to 8, then i64[]
 *
 * in the machine's order of bytes: it never leaves memory. */
#include "store/tally.h"

#include "core/hash.h"
#include "core/mem.h"

enum {
    TALLY_PART = -1, /* of the chunk's key */
    DISTINCT_MAX = 1 << 15,
    BYTES_MAX = 1 << 20,
    PATIENCE = 32768, /* values that are looked at before giving up */
    SHARE = 4,        /* at most 1 / this of the values may be distinct */
};

/* Distinct values, by the position of the first of each. */
struct table {
    const struct values *v;
    uint32_t *slot; /* 1 + entry */
    uint32_t mask, n;
    uint32_t *first, *count;
};

static uint64_t value_hash(const struct values *v, uint32_t i)
{
    return lane_is_text(v->lane) ? hash64(values_text(v, i)) : hash_mix((uint64_t)v->i64[i]);
}

static bool value_eq(const struct values *v, uint32_t i, uint32_t k)
{
    return lane_is_text(v->lane) ? str_eq(values_text(v, i), values_text(v, k))
                                 : v->i64[i] == v->i64[k];
}

static void table_add(struct table *t, uint32_t i)
{
    uint32_t at = (uint32_t)value_hash(t->v, i) & t->mask;
    for (; t->slot[at]; at = (at + 1) & t->mask)
        if (value_eq(t->v, i, t->first[t->slot[at] - 1])) {
            t->count[t->slot[at] - 1]++;
            return;
        }
    t->first[t->n] = i;
    t->count[t->n++] = 1;
    t->slot[at] = t->n;
}

/* False: they hardly repeat. */
static bool count_values(const struct values *v, struct arena *a, struct table *t)
{
    *t = (struct table){.v = v, .mask = 4 * DISTINCT_MAX - 1};
    t->slot = ARENA_ARRAY(a, uint32_t, t->mask + 1);
    t->first = ARENA_ARRAY(a, uint32_t, DISTINCT_MAX + 1);
    t->count = ARENA_ARRAY(a, uint32_t, DISTINCT_MAX + 1);
    for (uint32_t i = 0; i < v->n; i++) {
        table_add(t, i);
        if (t->n > DISTINCT_MAX || (i >= PATIENCE && t->n > i / SHARE))
            return false;
    }
    return true;
}

static enum err count_codes(const uint32_t *code, uint32_t n, uint32_t entries, struct arena *a,
                            const uint32_t **ret)
{
    enum { WAYS = 4 };
    uint32_t *count = ARENA_TRY_ARRAY(a, uint32_t, (size_t)entries * WAYS + 1);
    if (!count)
        return err_set(ERR_NOMEM, "no memory to count %u codes", n);
    memset(count, 0, ((size_t)entries * WAYS + 1) * sizeof(*count));
    /* A run of one code would wait for its own last increment: four tables take turns. */
    for (uint32_t i = 0; i < n; i++)
        count[(size_t)(i % WAYS) * entries + code[i]]++;
    for (uint32_t k = 0; k < entries; k++)
        for (uint32_t w = 1; w < WAYS; w++)
            count[k] += count[(size_t)w * entries + k];
    *ret = count;
    return OK;
}

static enum err make(const struct column *col, bool cached, struct arena *a, struct values *ret,
                     const uint32_t **ret_count)
{
    const uint32_t *code;
    struct table t;
    struct values v;
    enum err err = col->ops->codes ? col->ops->codes(col, a, ret, &code) : ERR_UNSUPPORTED;
    if (err == OK)
        return count_codes(code, col->n, ret->n, a, ret_count);
    if (err != ERR_UNSUPPORTED || !cached)
        return err;
    TRY(col->ops->values(col, a, &v));
    if (!count_values(&v, a, &t))
        return ERR_UNSUPPORTED;
    TRY(values_gather(&v, t.first, t.n, a, ret));
    *ret_count = t.count;
    return OK;
}

/* ---- the cache ---- */

static void keep(const struct chunk_key *key, const struct values *v, const uint32_t *count)
{
    bool text = v && lane_is_text(v->lane);
    uint32_t n = v ? v->n : 0, bytes = text ? v->off[n] - v->off[0] : 0;
    size_t values_at = ((size_t)n + 1) * 4;
    if (v && !text)
        values_at = (values_at + 7) & ~(size_t)7;
    size_t size = values_at + (text ? ((size_t)n + 1) * 4 + bytes : (size_t)n * 8);
    if (n > DISTINCT_MAX || size > BYTES_MAX)
        return;
    char *p = mem_zalloc(size);
    memcpy(p, &n, 4);
    if (n)
        memcpy(p + 4, count, (size_t)n * 4);
    for (uint32_t i = 0; text && i <= n; i++) {
        uint32_t off = v->off[i] - v->off[0];
        memcpy(p + values_at + (size_t)i * 4, &off, 4);
    }
    if (text && bytes)
        memcpy(p + values_at + ((size_t)n + 1) * 4, v->bytes + v->off[0], bytes);
    else if (v && !text)
        memcpy(p + values_at, v->i64, (size_t)n * 8);
    struct blob *b = blob_take(p, size, OWNER_CACHE);
    chunk_cache_put(key, b);
    blob_unref(b);
}

static void unref(void *b)
{
    blob_unref(b);
}

/* From the cache; ERR_NOTFOUND, without a text: it is not there. */
static enum err kept(const struct chunk_key *key, enum lane lane, struct arena *a,
                     struct values *ret, const uint32_t **ret_count)
{
    struct blob *b = chunk_cache_get(key);
    uint32_t n;
    if (!b)
        return ERR_NOTFOUND;
    arena_defer(a, unref, b);
    const char *p = b->bytes.p;
    memcpy(&n, p, 4);
    if (n == 0)
        return ERR_UNSUPPORTED;
    size_t values_at = ((size_t)n + 1) * 4;
    *ret = (struct values){.n = n, .lane = lane};
    *ret_count = (const uint32_t *)(const void *)(p + 4);
    if (lane_is_text(lane)) {
        ret->off = (const uint32_t *)(const void *)(p + values_at);
        ret->bytes = p + values_at + ((size_t)n + 1) * 4;
    } else {
        ret->i64 = (const int64_t *)(const void *)(p + ((values_at + 7) & ~(size_t)7));
    }
    return OK;
}

enum err tally_of(const struct column *col, const struct chunk_key *key, struct arena *a,
                  struct values *ret, const uint32_t **ret_count)
{
    struct chunk_key at = {key->segment, key->offset, (uint32_t)TALLY_PART};
    if (col->lane != LANE_STR && col->lane != LANE_NUM && col->lane != LANE_INT)
        return ERR_UNSUPPORTED;
    if (at.segment) {
        enum err err = kept(&at, col->lane, a, ret, ret_count);
        if (err != ERR_NOTFOUND)
            return err;
    }
    enum err err = make(col, at.segment != 0, a, ret, ret_count);
    if (at.segment && (err == OK || err == ERR_UNSUPPORTED))
        keep(&at, err == OK ? ret : NULL, err == OK ? *ret_count : NULL);
    return err;
}
