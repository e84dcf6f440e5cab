/* Entries and codes.
 *
 * Texts come in sequences, and so do those that repeat: what stands behind a text that is equal to
 * one before is held against what stood behind that one, as many texts at once as are equal. Where
 * that fails a table by looks knows the last text that looked so. A column of which most texts are
 * new is given up after the first few. */
#include "record/coded.h"

#include "record/looks.h"
#include "record/predicate.h"
#include "record/scan.h"

enum {
    TEXTS_MIN = 1024, /* wide records, of which a frame has few, repeat few bytes a column */
    LENGTH_MIN = 16,
    SAMPLE = 256,
    SAMPLE_SHARE = 32,  /* of the texts */
    REPEATS_SHARE = 32, /* of the sample */
    RUN_BYTES = 512,
    TABLE_MAX = 1 << 14
};

/* ---- making ---- */

struct coding {
    const struct values *v;
    uint32_t *recent; /* texts by their looks: number + 1 */
    uint32_t mask;
    uint32_t *first; /* of each entry, the text that it is */
    uint16_t *code;
    uint32_t n_entries;
    uint64_t entry_bytes;
};

/* How many texts are the same from text i and from text `at`, before it, on: of some hundred bytes
 * at most. */
static uint32_t same_texts(const struct values *v, uint32_t i, uint32_t at)
{
    const uint32_t *x = v->off + i, *y = v->off + at;
    uint32_t n = 0, max = v->n - i;
    size_t length = x[1] - x[0], bytes = v->off[v->n] - x[0];
    if (y[1] - y[0] != length)
        return 0;
    size_t most = length > RUN_BYTES ? length : bytes < RUN_BYTES ? bytes : RUN_BYTES;
    size_t same = scan_same(v->bytes + x[0], v->bytes + y[0], most);
    while (n < max && x[n + 1] - x[0] <= same && x[n + 1] - x[0] == y[n + 1] - y[0])
        n++;
    return n;
}

/* The last text that looks like text i, which takes its place; i where there is none. */
static uint32_t last_like(struct coding *c, uint32_t i)
{
    uint32_t *recent = &c->recent[looks_of(values_text(c->v, i)) & c->mask], was = *recent;
    *recent = i + 1;
    return was ? was - 1 : i;
}

/* False where there are more entries than could pay. */
static bool code_texts(struct coding *c)
{
    const struct values *v = c->v;
    uint32_t next = 0, max = v->n / 2 < CODED_ENTRIES_MAX ? v->n / 2 : CODED_ENTRIES_MAX;
    for (uint32_t i = 0, n; i < v->n; i += n) {
        n = next < i ? same_texts(v, i, next) : 0;
        if (!n) {
            uint32_t at = last_like(c, i);
            n = at < i ? same_texts(v, i, at) : 0;
            next = n ? at : next + 1;
        }
        for (uint32_t k = 0; k < n; k++)
            c->code[i + k] = c->code[next + k];
        next += n;
        if (n)
            continue;
        if (c->n_entries == max)
            return false;
        c->code[i] = (uint16_t)c->n_entries;
        c->first[c->n_entries++] = i;
        c->entry_bytes += v->off[i + 1] - v->off[i];
        n = 1;
    }
    return true;
}

/* Whether enough texts of a sample look like another one of it. */
static bool sample_repeats(struct coding *c)
{
    uint32_t n = c->v->n / SAMPLE_SHARE, repeats = 0;
    n = n < SAMPLE ? n : SAMPLE;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t at = (uint32_t)((uint64_t)i * c->v->n / n);
        repeats += last_like(c, at) != at;
    }
    return repeats > n / REPEATS_SHARE;
}

static void put_entries(const struct coding *c, struct arena *a, struct values *ret)
{
    uint32_t *off = arena_alloc(a, ((size_t)c->n_entries + 1) * sizeof(*off)), at = 0;
    char *bytes = arena_alloc(a, c->entry_bytes + 1);
    for (uint32_t i = 0; i < c->n_entries; i++) {
        struct str s = values_text(c->v, c->first[i]);
        memcpy(bytes + at, s.p, s.n);
        off[i] = at;
        at += (uint32_t)s.n;
    }
    off[c->n_entries] = at;
    *ret = (struct values){.n = c->n_entries, .lane = c->v->lane, .off = off, .bytes = bytes};
}

bool coded_make(const struct values *v, struct arena *a, struct coded_values *ret)
{
    if (!lane_is_text(v->lane) || v->n < TEXTS_MIN)
        return false;
    uint64_t bytes = v->off[v->n] - v->off[0];
    if (bytes < (uint64_t)v->n * LENGTH_MIN)
        return false;
    uint32_t size = 64;
    while (size < v->n && size < TABLE_MAX)
        size *= 2;
    struct coding c = {.v = v, .mask = size - 1};
    c.recent = ARENA_ARRAY(a, uint32_t, size);
    c.first = arena_alloc(a, ((size_t)v->n / 2 + 1) * sizeof(*c.first));
    c.code = arena_alloc(a, v->n * sizeof(*c.code));
    if (!sample_repeats(&c))
        return false;
    memset(c.recent, 0, size * sizeof(*c.recent));
    if (!code_texts(&c) || c.entry_bytes > bytes / 4 * 3)
        return false;
    *ret = (struct coded_values){.n = v->n, .width = coded_width(c.n_entries), .text_bytes = bytes};
    put_entries(&c, a, &ret->v);
    uint8_t *code = (uint8_t *)c.code;
    for (uint32_t i = 0; ret->width == 1 && i < v->n; i++)
        code[i] = (uint8_t)c.code[i];
    ret->code = code;
    return true;
}

/* ---- looking at them ---- */

static enum err no_memory(uint32_t n)
{
    return err_set(ERR_NOMEM, "no memory for %u values", n);
}

/* pos NULL: all, as they stand. */
static enum err coded_get(const struct column *column, const uint32_t *pos, uint32_t n,
                          struct arena *a, struct values *ret)
{
    const struct coded_values *c = column->impl;
    uint32_t *code = ARENA_TRY_ARRAY(a, uint32_t, n);
    if (!code)
        return no_memory(n);
    for (uint32_t i = 0; i < n; i++)
        code[i] = coded_at(c, pos ? pos[i] : i);
    return values_gather(&c->v, code, n, a, ret);
}

static enum err coded_values(const struct column *column, struct arena *a, struct values *ret)
{
    return coded_get(column, NULL, column->n, a, ret);
}

static enum err coded_match(const struct column *column, const struct predicate *p, struct arena *a,
                            uint64_t *bits)
{
    const struct coded_values *c = column->impl;
    uint64_t *hit = ARENA_TRY_ARRAY(a, uint64_t, bitmap_words(c->v.n));
    if (!hit)
        return no_memory(c->v.n);
    memset(hit, 0, bitmap_words(c->v.n) * sizeof(*hit));
    TRY(predicate_match(p, &c->v, hit));
    for (uint32_t i = 0; i < c->n; i++)
        bits[i >> 6] |= (uint64_t)bitmap_get(hit, coded_at(c, i)) << (i & 63);
    return OK;
}

static bool coded_may_match(const struct column *column, const struct predicate *p)
{
    return true;
}

const struct column_ops coded_column_ops = {
    .values = coded_values,
    .get = coded_get,
    .pick = coded_get,
    .match = coded_match,
    .may_match = coded_may_match,
};
