/* Patterns of a chunk's texts. What is kept in the cache is
 *
 *   u32   patterns; 0: only a look at every value would tell
 *   u32   0
 *   i64[] the least time of each, then the greatest
 *   u32[] their counts, then PATTERN_SAMPLES positions each, then offsets, one more than patterns
 *   the bytes of all patterns
 *
 * in the machine's order of bytes: it never leaves memory. Codes are not kept: they are the
 * chunk's own, one part of which is in the cache anyway. */
#include "store/patterns.h"

#include "core/buf.h"
#include "core/mem.h"
#include "record/template_cut.h"

enum { PATTERNS_PART = -2 /* of the chunk's key */, KEPT_MAX = 4 << 20 };

struct found {
    struct values pattern;
    struct pattern_sums sums;
};

static enum err no_memory(uint32_t n)
{
    return err_set(ERR_NOMEM, "no memory for the patterns of %u texts", n);
}

/* ---- making ---- */

static enum err cut_all(const struct values *text, struct arena *a, struct values *ret)
{
    struct buf all;
    uint32_t *off = ARENA_TRY_ARRAY(a, uint32_t, (size_t)text->n + 1);
    if (!off)
        return no_memory(text->n);
    buf_init(&all, SIZE_MAX);
    off[0] = 0;
    for (uint32_t i = 0; i < text->n && all.n <= UINT32_MAX; i++) {
        template_pattern(values_text(text, i), &all);
        off[i + 1] = (uint32_t)all.n;
    }
    char *bytes = all.n <= UINT32_MAX ? arena_try_alloc(a, all.n + 1) : NULL;
    enum err err = bytes ? OK : no_memory(text->n);
    if (err == OK && all.n)
        memcpy(bytes, all.p, all.n);
    buf_release(&all);
    *ret = (struct values){.n = text->n, .lane = LANE_STR, .off = off, .bytes = bytes};
    return err;
}

static enum err add_up(const struct chunk *c, const uint32_t *code, uint32_t n, struct arena *a,
                       struct pattern_sums *ret)
{
    uint32_t *count = ARENA_TRY_ARRAY(a, uint32_t, (size_t)n + 1);
    uint32_t *sample = ARENA_TRY_ARRAY(a, uint32_t, (size_t)n * PATTERN_SAMPLES + 1);
    int64_t *first = ARENA_TRY_ARRAY(a, int64_t, (size_t)n + 1);
    int64_t *last = ARENA_TRY_ARRAY(a, int64_t, (size_t)n + 1);
    const int64_t *time;
    if (!count || !sample || !first || !last)
        return no_memory(c->n);
    TRY(c->time(c->time_ctx, &time));
    memset(count, 0, n * sizeof(*count));
    memset(first, 0, n * sizeof(*first));
    memset(last, 0, n * sizeof(*last));
    memset(sample, 0xff, (size_t)n * PATTERN_SAMPLES * sizeof(*sample));
    for (uint32_t i = c->n; i-- > 0;) { /* a block's rows are in order of time */
        uint32_t k = code[i];
        if (count[k] == 0)
            last[k] = time[i];
        first[k] = time[i];
        if (count[k] < PATTERN_SAMPLES)
            sample[(size_t)k * PATTERN_SAMPLES + count[k]] = i;
        count[k]++;
    }
    *ret = (struct pattern_sums){count, first, last, sample};
    return OK;
}

/* ---- the cache ---- */

static char *put(char *to, const void *from, size_t n)
{
    if (n)
        memcpy(to, from, n);
    return to + n;
}

static void keep(const struct chunk_key *key, const struct found *f)
{
    uint32_t n = f ? f->pattern.n : 0, head[2] = {n, 0};
    size_t bytes = n ? f->pattern.off[n] : 0;
    size_t size = sizeof(head) + (size_t)n * (16 + 4 + PATTERN_SAMPLES * 4 + 4) + 4 + bytes;
    if (size > KEPT_MAX)
        return;
    char *p = mem_zalloc(size), *to = put(p, head, sizeof(head));
    if (n) {
        to = put(to, f->sums.first, n * sizeof(int64_t));
        to = put(to, f->sums.last, n * sizeof(int64_t));
        to = put(to, f->sums.count, n * sizeof(uint32_t));
        to = put(to, f->sums.sample, (size_t)n * PATTERN_SAMPLES * sizeof(uint32_t));
        to = put(to, f->pattern.off, ((size_t)n + 1) * sizeof(uint32_t));
        (void)put(to, f->pattern.bytes, bytes);
    }
    struct blob *b = blob_take(p, size, OWNER_CACHE);
    chunk_cache_put(key, b);
    blob_unref(b);
}

static void unref(void *b)
{
    blob_unref(b);
}

/* ERR_NOTFOUND, without a text: it is not there. */
static enum err kept(const struct chunk_key *key, struct arena *a, struct found *ret)
{
    struct blob *b = chunk_cache_get(key);
    uint32_t n;
    if (!b)
        return ERR_NOTFOUND;
    arena_defer(a, unref, b);
    memcpy(&n, b->bytes.p, sizeof(n));
    if (n == 0)
        return ERR_UNSUPPORTED;
    const int64_t *first = (const int64_t *)(const void *)(b->bytes.p + 8);
    const uint32_t *count = (const uint32_t *)(const void *)(first + (size_t)n * 2);
    const uint32_t *sample = count + n, *off = sample + (size_t)n * PATTERN_SAMPLES;
    ret->sums = (struct pattern_sums){count, first, first + n, sample};
    ret->pattern =
        (struct values){.n = n, .lane = LANE_STR, .off = off, .bytes = (const char *)(off + n + 1)};
    return OK;
}

/* ---- both ---- */

static enum err make(const struct chunk *c, bool sums, struct arena *a, struct found *ret,
                     const uint32_t **ret_code)
{
    struct values text;
    TRY(chunk_alike(c, a, &text, ret_code));
    TRY(cut_all(&text, a, &ret->pattern));
    return sums ? add_up(c, *ret_code, text.n, a, &ret->sums) : OK;
}

enum err patterns_of(const struct chunk *c, const struct chunk_key *key, struct arena *a,
                     struct values *ret, const uint32_t **ret_code, struct pattern_sums *ret_sums)
{
    struct chunk_key at = {key->segment, key->offset, (uint32_t)PATTERNS_PART};
    struct found f = {0};
    const uint32_t *code;
    enum err err = at.segment ? kept(&at, a, &f) : ERR_NOTFOUND;
    if (err == OK && ret_code)
        err = chunk_alike(c, a, NULL, ret_code);
    if (err == ERR_NOTFOUND) {
        err = make(c, at.segment || ret_sums, a, &f, &code);
        if (at.segment && (err == OK || err == ERR_UNSUPPORTED))
            keep(&at, err == OK ? &f : NULL);
        if (err == OK && ret_code)
            *ret_code = code;
    }
    if (err != OK)
        return err;
    *ret = f.pattern;
    if (ret_sums)
        *ret_sums = f.sums;
    return OK;
}
