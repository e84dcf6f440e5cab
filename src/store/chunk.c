/* The container of encoded values.
 *
 *   u64     XXH3-64 of everything behind it; absent in a small chunk (inside the rare-values chunk)
 *           and in an inner one (inside another chunk): the outer checksum covers those
 *   u8      encoding (enum encoding_id)
 *   u8      version of the encoding, 1
 *   varint  number of values
 *   varint  number of parts, then for each part
 *             varint  stored length * 2 + (1: one zstd frame)
 *             varint  length when decompressed; only with zstd
 *   bytes   the parts, back to back, to exactly the end of the chunk
 *
 * What the parts mean is the encoding's. They are decompressed one by one and kept by the chunk;
 * those of chunks in files also in the chunk cache, so that the next query finds them decompressed.
 */
#include "store/chunk.h"

#include "core/hash.h"
#include "core/mem.h"
#include "core/thread.h"
#include "store/chunk_cache.h"
#include "store/encoding_ops.h"

#include <zstd.h>

enum { ZIP_FROM = 32, KEPT_MAX = 2 << 20, CHUNK_HEAD_MAX = 64, PART_HEAD_MAX = 20 };
enum {
    INTS_ZIP_FROM = 64,
    INTS_ZIP_FROM_QUICK = 256, /* what zstd saves of fewer is not worth a call at ingest */
};
enum { VERSION = 1, SAMPLE_BYTES = 8192, SAMPLE_FROM = 32768, SAMPLE_VALUES = 4096 };
/* More than any zstd frame can expand: a run of 128 KiB takes at least 3 bytes. */
enum { ZSTD_RATIO_MAX = 64 << 10 };
#define PART_RAW_MAX ((uint64_t)1 << 30)

/* ---- zstd, its contexts kept per thread ---- */

struct zstd_contexts {
    ZSTD_CCtx *c;
    ZSTD_DCtx *d;
    struct buf to; /* compressed bytes, before it is known how many: at most KEPT_MAX */
};

static void contexts_free(void *p)
{
    struct zstd_contexts *z = p;
    ZSTD_freeCCtx(z->c);
    ZSTD_freeDCtx(z->d);
    buf_release(&z->to);
    mem_free(z);
}

static void *contexts_make(void)
{
    struct zstd_contexts *z = NEW(struct zstd_contexts);
    z->c = ZSTD_createCCtx();
    z->d = ZSTD_createDCtx();
    buf_init(&z->to, KEPT_MAX);
    CHECK(z->c && z->d);
    return z;
}

static struct zstd_contexts *contexts(void)
{
    static struct thread_own all = THREAD_OWN(contexts_make, contexts_free);
    return thread_own(&all);
}

static bool saves(size_t from, size_t to)
{
    return to + from / 32 < from;
}

/* To memory of the thread's that the next call uses again, or, where that is too small, to the
 * arena's. */
static bool zip_somewhere(struct str raw, int level, struct arena *scratch, struct str *ret)
{
    if (raw.n < ZIP_FROM)
        return false;
    struct zstd_contexts *z = contexts();
    size_t bound = ZSTD_compressBound(raw.n);
    buf_clear(&z->to);
    char *to = bound <= KEPT_MAX ? buf_reserve(&z->to, bound) : arena_try_alloc(scratch, bound);
    if (!to)
        return false;
    size_t n = ZSTD_compressCCtx(z->c, to, bound, raw.p, raw.n, level);
    if (ZSTD_isError(n) || !saves(raw.n, n))
        return false;
    *ret = str_of(to, n);
    return true;
}

bool zip_bytes(struct str raw, int level, struct arena *scratch, struct str *ret)
{
    struct str zipped;
    if (!zip_somewhere(raw, level, scratch, &zipped))
        return false;
    bool kept = ZSTD_compressBound(raw.n) <= KEPT_MAX;
    *ret = kept ? arena_str(scratch, zipped) : zipped;
    return true;
}

enum err unzip_bytes(struct str zipped, char *to, size_t n)
{
    size_t got = ZSTD_decompressDCtx(contexts()->d, to, n, zipped.p, zipped.n);
    if (ZSTD_isError(got))
        return err_set(ERR_CORRUPT, "zstd: %s", ZSTD_getErrorName(got));
    if (got != n)
        return err_set(ERR_CORRUPT, "zstd: %zu bytes instead of %zu", got, n);
    return OK;
}

/* ---- writing ---- */

/* Bytes that look random to a sample are left alone: most packed integers and hexadecimal digits.
 */
static bool sample_zips(struct str raw, int level, struct arena *scratch)
{
    if (level <= ENCODE_QUICK_LEVEL && raw.n < INTS_ZIP_FROM_QUICK)
        return false;
    if (raw.n < SAMPLE_FROM)
        return true;
    struct str unused, sample = str_of(raw.p + raw.n / 2 - SAMPLE_BYTES / 2, SAMPLE_BYTES);
    return zip_somewhere(sample, level, scratch, &unused);
}

static void part_zip(struct part_out *p, const struct encode_options *o, struct arena *scratch)
{
    if (o->small || p->zip == ZIP_NEVER || p->packed.n)
        return;
    if (p->zip == ZIP_SAMPLE && !sample_zips(p->raw, o->zstd_level, scratch))
        return;
    struct str packed;
    if (zip_bytes(p->raw, o->zstd_level, scratch, &packed))
        p->packed = packed;
}

size_t chunk_bytes_max(const struct part_out *part, uint32_t n_parts)
{
    size_t bytes = CHUNK_HEAD_MAX + (size_t)n_parts * PART_HEAD_MAX;
    for (uint32_t i = 0; i < n_parts; i++)
        bytes += part_out_bytes(&part[i]);
    return bytes;
}

enum err chunk_write(uint8_t encoding, uint32_t n, struct part_out *part, uint32_t n_parts,
                     const struct encode_options *o, struct arena *scratch, struct buf *out)
{
    CHECK(n <= CHUNK_VALUES_MAX && n_parts < CHUNK_PARTS_MAX);
    size_t start = out->n;
    for (uint32_t i = 0; i < n_parts; i++)
        part_zip(&part[i], o, scratch);
    if (!buf_reserve(out, chunk_bytes_max(part, n_parts)))
        return err_set(ERR_LIMIT, "an encoded block is limited to %zu bytes", out->max);
    bool summed = !o->small && !o->inner;
    if (summed)
        buf_put_u64(out, 0);
    buf_put_u8(out, encoding);
    buf_put_u8(out, VERSION);
    buf_put_varint(out, n);
    buf_put_varint(out, n_parts);
    for (uint32_t i = 0; i < n_parts; i++) {
        bool zipped = part[i].packed.n;
        buf_put_varint(out, (uint64_t)(zipped ? part[i].packed.n : part[i].raw.n) << 1 | zipped);
        if (zipped)
            buf_put_varint(out, part[i].raw.n);
    }
    for (uint32_t i = 0; i < n_parts; i++)
        buf_put_str(out, part[i].packed.n ? part[i].packed : part[i].raw);
    if (summed) {
        size_t from = start + CHUNK_SUM_BYTES;
        uint64_t sum = hash64(str_of(out->p + from, out->n - from));
        for (int i = 0; i < CHUNK_SUM_BYTES; i++)
            out->p[start + (size_t)i] = (char)(sum >> (8 * i));
    }
    return OK;
}

/* Whether zstd over whole bytes beats bit packing, by a sample of n > SAMPLE_VALUES values: at the
 * level of ingest by a quarter, for it takes ten times as long. */
static bool planes_win(const int64_t *v, uint32_t n, int level, struct arena *scratch)
{
    size_t share = level <= ENCODE_QUICK_LEVEL ? 4 : 16;
    const int64_t *from = v + (n - SAMPLE_VALUES) / 2;
    struct buf packed, planes;
    buf_init(&packed, SIZE_MAX);
    buf_init(&planes, SIZE_MAX);
    const struct ints_plan *plan = ints_plan(from, SAMPLE_VALUES, scratch);
    ints_put(plan, INTS_PACKED, &packed);
    ints_put(plan, INTS_PLANES, &planes);
    struct str zipped;
    bool win = zip_somewhere(buf_str(&planes), level, scratch, &zipped) &&
               zipped.n + packed.n / share < packed.n;
    buf_release(&packed);
    buf_release(&planes);
    return win;
}

static struct str buf_to_arena(struct buf *b, struct arena *a)
{
    struct str s = arena_str(a, buf_str(b));
    buf_release(b);
    return s;
}

enum err part_of_ints(const int64_t *v, uint32_t n, const struct encode_options *o,
                      struct arena *scratch, struct part_out *ret)
{
    return part_of_ints_behind((struct str){0}, v, n, o, scratch, ret);
}

enum err part_of_ints_behind(struct str head, const int64_t *v, uint32_t n,
                             const struct encode_options *o, struct arena *scratch,
                             struct part_out *ret)
{
    struct buf b, planes;
    int64_t min = 0, max = 0;
    buf_init(&b, SIZE_MAX);
    buf_init(&planes, SIZE_MAX);
    buf_put_str(&b, head);
    struct arena_mark mark = arena_mark(scratch);
    const struct ints_plan *plan = n ? ints_plan(v, n, scratch) : NULL;
    if (plan) {
        ints_put(plan, INTS_PACKED, &b);
        ints_range(plan, &min, &max);
    }
    bool sampled = n > SAMPLE_VALUES, quick = o->zstd_level <= ENCODE_QUICK_LEVEL;
    if (!o->small && !o->packed && b.n >= (quick ? INTS_ZIP_FROM_QUICK : INTS_ZIP_FROM) &&
        (!sampled || planes_win(v, n, o->zstd_level, scratch))) {
        buf_put_str(&planes, head);
        ints_put(plan, INTS_PLANES, &planes);
    }
    arena_rewind(scratch, &mark);
    struct str zipped;
    if (planes.n && zip_bytes(buf_str(&planes), o->zstd_level, scratch, &zipped) &&
        zipped.n < b.n && (sampled || zipped.n + b.n / 16 < b.n))
        *ret = (struct part_out){.raw = buf_to_arena(&planes, scratch), .packed = zipped};
    else
        *ret = (struct part_out){.raw = buf_to_arena(&b, scratch), .zip = ZIP_SAMPLE};
    ret->min = min;
    ret->max = max;
    buf_release(&b);
    buf_release(&planes);
    return OK;
}

/* ---- reading ---- */

bool chunk_sum_ok(struct str bytes)
{
    struct reader r = reader_of(bytes);
    uint64_t sum = read_u64(&r);
    return !r.bad && sum == hash64(str_from(bytes, CHUNK_SUM_BYTES));
}

static enum err read_part(struct reader *r, struct chunk_part *p)
{
    uint64_t head = read_varint(r);
    p->zstd = head & 1;
    p->stored.n = head >> 1;
    uint64_t raw = p->zstd ? read_varint(r) : p->stored.n;
    if (r->bad || raw > PART_RAW_MAX || raw > (uint64_t)p->stored.n * ZSTD_RATIO_MAX)
        return err_set(ERR_CORRUPT, "bad length of a chunk's part");
    p->raw_n = (uint32_t)raw;
    return OK;
}

static enum err read_parts(struct reader *r, struct chunk *c)
{
    for (uint32_t i = 0; i < c->n_parts; i++)
        TRY(read_part(r, &c->part[i]));
    for (uint32_t i = 0; i < c->n_parts; i++) {
        struct chunk_part *p = &c->part[i];
        p->stored = read_bytes(r, p->stored.n);
        if (!p->zstd) {
            p->raw = p->stored;
            p->loaded = true;
        }
    }
    if (r->bad || reader_left(r))
        return err_set(ERR_CORRUPT, "the parts of a chunk do not add up");
    return OK;
}

enum err chunk_open(struct str bytes, enum chunk_trust trust, enum lane lane, uint32_t n,
                    struct arena *a, struct chunk *ret)
{
    struct chunk c;
    TRY(chunk_open_as(bytes, trust, 0, n, a, &c));
    c.lane = lane;
    *ret = c;
    return OK;
}

enum err chunk_open_as(struct str bytes, enum chunk_trust trust, uint8_t encoding, uint32_t n,
                       struct arena *a, struct chunk *ret)
{
    struct reader r = reader_of(bytes);
    if (trust == CHUNK_VERIFY && !chunk_sum_ok(bytes))
        return err_set(ERR_CORRUPT, "bad checksum of a chunk of %zu bytes", bytes.n);
    if (trust != CHUNK_SMALL)
        read_u64(&r);
    struct chunk c = {.n = n, .arena = a};
    c.encoding = read_u8(&r);
    uint8_t version = read_u8(&r);
    uint64_t values = read_varint(&r), parts = read_varint(&r);
    if (r.bad || values != n || n > CHUNK_VALUES_MAX)
        return err_set(ERR_CORRUPT, "a chunk of %llu values instead of %u",
                       (unsigned long long)values, n);
    bool known = encoding ? c.encoding == encoding : encoding_ops(c.encoding) != NULL;
    if (version != VERSION || !known)
        return err_set(ERR_UNSUPPORTED, "encoding %u version %u is not known", c.encoding, version);
    if (parts >= CHUNK_PARTS_MAX || parts > reader_left(&r))
        return err_set(ERR_CORRUPT, "a chunk of %llu parts", (unsigned long long)parts);
    c.n_parts = (uint32_t)parts;
    c.part = ARENA_TRY_ARRAY(a, struct chunk_part, parts);
    if (!c.part)
        return err_set(ERR_NOMEM, "no memory for the parts of a chunk");
    memset(c.part, 0, sizeof(*c.part) * parts);
    TRY(read_parts(&r, &c));
    *ret = c;
    return OK;
}

enum err chunk_open_inner(const struct chunk *outer, uint32_t part, struct str bytes, uint32_t n,
                          struct arena *a, struct chunk *ret)
{
    struct chunk c;
    TRY(chunk_open(bytes, CHUNK_SMALL, outer->lane, n, a, &c));
    c.inner = outer->inner + 1;
    if (c.inner > CHUNK_INNER_MAX)
        return err_set(ERR_CORRUPT, "chunks inside chunks, too deep");
    c.cache_segment = outer->cache_segment;
    c.cache_offset = outer->cache_offset;
    c.cache_part = (outer->cache_part + part + 1) * CHUNK_PARTS_MAX;
    *ret = c;
    return OK;
}

static void unref_blob(void *b)
{
    blob_unref(b);
}

/* Through the cache: part i has the key (segment, offset of the chunk, cache_part + i + 1). */
static enum err load_cached(const struct chunk *c, uint32_t part, struct chunk_part *p)
{
    struct chunk_key key = {c->cache_segment, c->cache_offset, c->cache_part + part + 1};
    struct blob *b = chunk_cache_get(&key);
    if (!b || b->bytes.n != p->raw_n) {
        blob_unref(b);
        char *to = mem_alloc(p->raw_n ? p->raw_n : 1);
        enum err err = unzip_bytes(p->stored, to, p->raw_n);
        if (err != OK) {
            mem_free(to);
            return err;
        }
        b = blob_take(to, p->raw_n, OWNER_CACHE);
        chunk_cache_put(&key, b);
    }
    arena_defer(c->arena, unref_blob, b);
    p->raw = b->bytes;
    return OK;
}

/* u32 offsets of n + 1, then the bytes. */
static struct blob *values_blob(const struct values *v)
{
    size_t head = ((size_t)v->n + 1) * sizeof(uint32_t), bytes = v->off[v->n] - v->off[0];
    char *to = mem_alloc(head + bytes);
    uint32_t *off = (uint32_t *)to;
    for (uint32_t i = 0; i <= v->n; i++)
        off[i] = v->off[i] - v->off[0];
    if (bytes)
        memcpy(to + head, v->bytes + v->off[0], bytes);
    return blob_take(to, head + bytes, OWNER_CACHE);
}

enum err chunk_values_kept(const struct chunk *c, struct arena *a, struct values *ret)
{
    if (!c->cache_segment || !lane_is_text(c->lane))
        return chunk_values(c, a, ret);
    struct chunk_key key = {c->cache_segment, c->cache_offset, c->cache_part + CHUNK_PARTS_MAX};
    struct blob *b = chunk_cache_get(&key);
    size_t head = ((size_t)c->n + 1) * sizeof(uint32_t);
    if (!b || b->bytes.n < head) {
        blob_unref(b);
        TRY(chunk_values(c, a, ret));
        b = values_blob(ret);
        chunk_cache_put(&key, b);
    }
    arena_defer(a, unref_blob, b);
    *ret = (struct values){.n = c->n,
                           .lane = c->lane,
                           .off = (const uint32_t *)b->bytes.p,
                           .bytes = b->bytes.p + head};
    return OK;
}

enum err chunk_part_bytes(const struct chunk *c, uint32_t part, struct str *ret)
{
    if (part >= c->n_parts)
        return err_set(ERR_CORRUPT, "a chunk lacks part %u", part);
    struct chunk_part *p = &c->part[part];
    if (!p->loaded && c->cache_segment) {
        TRY(load_cached(c, part, p));
    } else if (!p->loaded) {
        char *to = arena_try_alloc(c->arena, p->raw_n);
        if (!to)
            return err_set(ERR_NOMEM, "no memory to decompress %u bytes", p->raw_n);
        TRY(unzip_bytes(p->stored, to, p->raw_n));
        p->raw = str_of(to, p->raw_n);
    }
    p->loaded = true;
    *ret = p->raw;
    return OK;
}

static enum err ints_reader(const struct chunk *c, uint32_t part, size_t from, uint32_t n,
                            struct arena *a, struct reader *ret, int64_t **ret_to)
{
    struct str bytes;
    TRY(chunk_part_bytes(c, part, &bytes));
    int64_t *to = ARENA_TRY_ARRAY(a, int64_t, n);
    if (!to)
        return err_set(ERR_NOMEM, "no memory for %u integers", n);
    *ret = reader_of(str_from(bytes, from));
    *ret_to = to;
    return OK;
}

enum err part_ints(const struct chunk *c, uint32_t part, size_t from, uint32_t n, struct arena *a,
                   int64_t **ret)
{
    struct reader r;
    int64_t *to = NULL;
    TRY(ints_reader(c, part, from, n, a, &r, &to));
    TRY(ints_decode(&r, n, a, to));
    if (reader_left(&r))
        return err_set(ERR_CORRUPT, "bytes behind the integers of a chunk");
    *ret = to;
    return OK;
}

enum err part_ints_get(const struct chunk *c, uint32_t part, size_t from, const uint32_t *pos,
                       uint32_t n, struct arena *a, int64_t **ret)
{
    struct reader r;
    int64_t *to = NULL;
    TRY(ints_reader(c, part, from, n, a, &r, &to));
    TRY(ints_get(&r, c->n, pos, n, a, to));
    *ret = to;
    return OK;
}
