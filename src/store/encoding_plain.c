/* Plain and constant text.
 *
 * ENC_PLAIN
 *   part 0   u8 log2 of the page size, then the lengths of all values as integers (ints.c)
 *   part i   page i - 1: the bytes of values, back to back. A page is closed when the next value
 *            would make it larger than the page size and it is not empty, so the lengths tell where
 *            pages end. No page is empty: values of no bytes belong to the page before.
 * ENC_CONST
 *   part 0   the bytes of the one value
 *
 * Pages keep get() cheap: only those that hold an asked-for value are decompressed. */
#include "store/encoding_ops.h"

enum { PAGE_LOG_MIN = 12, PAGE_LOG = 20, PAGE_LOG_LONG = 23, PAGE_LOG_MAX = 28 };
enum { SAMPLE_BYTES = 256 << 10, LONG_FROM = 2 << 20, LONG_RATIO = 10 };

/* ---- writing ---- */

/* Text that repeats itself much (stack traces) repeats over long distances too, and is quick to
 * decompress: longer pages. */
static unsigned page_log_for(const struct encoder *e)
{
    size_t total = e->v->off[e->v->n] - e->v->off[0];
    struct str zipped;
    if (e->o->small || total < LONG_FROM)
        return PAGE_LOG;
    struct str sample = str_of(e->v->bytes + e->v->off[0], SAMPLE_BYTES);
    bool zips = zip_bytes(sample, e->o->zstd_level, e->scratch, &zipped);
    return zips && zipped.n < SAMPLE_BYTES / LONG_RATIO ? PAGE_LOG_LONG : PAGE_LOG;
}

struct pages {
    struct part_out *part; /* part[0] is free for the lengths */
    uint32_t n;            /* with part 0 */
};

static void cut_pages(const struct values *v, unsigned page_log, struct arena *a, struct pages *ret)
{
    size_t total = v->off[v->n] - v->off[0], page = (size_t)1 << page_log;
    ret->part = ARENA_ARRAY(a, struct part_out, 2 + 2 * (total >> page_log) + 1);
    ret->n = 1;
    uint32_t start = v->off[0];
    for (uint32_t i = 0; i <= v->n; i++) {
        bool last = i == v->n;
        uint32_t at = v->off[i];
        if (at > start && (last || v->off[i + 1] - start > page)) {
            ret->part[ret->n++] =
                (struct part_out){.raw = str_of(v->bytes + start, at - start), .zip = ZIP_TRY};
            start = at;
        }
    }
}

static enum err encode_pages(const struct encoder *e)
{
    const struct values *v = e->v;
    int64_t *length = arena_alloc(e->scratch, v->n * sizeof(int64_t) + 1);
    for (uint32_t i = 0; i < v->n; i++)
        length[i] = v->off[i + 1] - v->off[i];
    struct part_out lengths;
    TRY(part_of_ints(length, v->n, e->o, e->scratch, &lengths));
    unsigned page_log = page_log_for(e);
    struct pages pages;
    cut_pages(v, page_log, e->scratch, &pages);
    char *head = arena_alloc(e->scratch, lengths.raw.n + 1);
    head[0] = (char)page_log;
    memcpy(head + 1, lengths.raw.p, lengths.raw.n);
    /* Planes came compressed without the byte before them: once more with it. */
    pages.part[0] = (struct part_out){.raw = str_of(head, lengths.raw.n + 1),
                                      .zip = lengths.packed.n ? ZIP_TRY : lengths.zip};
    e->stats->encoding = ENC_PLAIN;
    return chunk_write(ENC_PLAIN, v->n, pages.part, pages.n, e->o, e->scratch, e->out);
}

enum err encode_plain(const struct encoder *e)
{
    struct values together;
    struct encoder all = *e;
    TRY(texts_together(e->v, e->scratch, &together));
    all.v = &together;
    return encode_pages(&all);
}

/* Whether all texts of so many bytes together are the first. */
static bool are_first(const struct values *v, struct str first, uint64_t total)
{
    if (v->text) {
        for (uint32_t i = 1; i < v->n; i++)
            if (!str_eq(v->text[i], first))
                return false;
        return true;
    }
    for (uint32_t i = 1; i < v->n; i++)
        if (v->off[i] - v->off[i - 1] != first.n)
            return false;
    /* They are where the bytes are themselves moved on by one value. */
    return !first.n || memcmp(first.p, first.p + first.n, total - first.n) == 0;
}

enum err encode_const(const struct encoder *e)
{
    const struct values *v = e->v;
    struct str first = values_text(v, 0);
    if (v->n == 1)
        return not_mine();
    uint64_t total = values_bytes(v);
    if (total != (uint64_t)first.n * v->n || !str_eq(first, values_text(v, v->n - 1)) ||
        !are_first(v, first, total))
        return not_mine();
    struct part_out part = {.raw = first, .zip = ZIP_TRY};
    e->stats->encoding = ENC_CONST;
    e->stats->distinct = 1;
    return chunk_write(ENC_CONST, v->n, &part, 1, e->o, e->scratch, e->out);
}

/* ---- reading ---- */

/* Where each value and each page is. */
struct plain {
    uint32_t *off; /* n + 1 */
    size_t page_bytes;
};

static enum err plain_open(const struct chunk *c, struct arena *a, struct plain *ret)
{
    struct str head;
    if (!lane_is_text(c->lane))
        return err_set(ERR_CORRUPT, "texts in a column of type %s", lane_name(c->lane));
    TRY(chunk_part_bytes(c, 0, &head));
    unsigned log = head.n ? (uint8_t)head.p[0] : 0;
    if (log < PAGE_LOG_MIN || log > PAGE_LOG_MAX)
        return err_set(ERR_CORRUPT, "bad page size of a plain chunk");
    int64_t *length;
    TRY(part_ints(c, 0, 1, c->n, a, &length));
    uint32_t *off = ARENA_TRY_ARRAY(a, uint32_t, (size_t)c->n + 1);
    if (!off)
        return err_set(ERR_NOMEM, "no memory for %u texts", c->n);
    uint64_t at = 0;
    off[0] = 0;
    for (uint32_t i = 0; i < c->n; i++) {
        if (length[i] < 0 || length[i] > UINT32_MAX)
            return err_set(ERR_CORRUPT, "bad length of a text");
        at += (uint64_t)length[i];
        off[i + 1] = (uint32_t)at;
        if (at > UINT32_MAX)
            return err_set(ERR_CORRUPT, "texts of more than 4 GiB");
    }
    *ret = (struct plain){off, (size_t)1 << log};
    return OK;
}

/* A walk over pages: values [first, end) and the part that holds them. */
struct page {
    uint32_t first, end, part;
    uint32_t bytes;
};

/* False after the last; start with zeros. Checks the part's length against the values'. */
static enum err next_page(const struct chunk *c, const struct plain *p, struct page *page,
                          bool *ret)
{
    uint32_t first = page->end, end = first;
    while (end < c->n &&
           (p->off[end + 1] - p->off[first] <= p->page_bytes || p->off[end] == p->off[first]))
        end++;
    page->first = first;
    page->end = end;
    page->bytes = p->off[end] - p->off[first];
    page->part += page->bytes > 0;
    *ret = first < end;
    if (page->bytes && (page->part >= c->n_parts || c->part[page->part].raw_n != page->bytes))
        return err_set(ERR_CORRUPT, "the pages of a plain chunk do not add up");
    if (!*ret && page->part + 1 != c->n_parts)
        return err_set(ERR_CORRUPT, "a plain chunk with too many pages");
    return OK;
}

static enum err plain_values(const struct chunk *c, struct arena *a, struct values *ret)
{
    struct plain p;
    TRY(plain_open(c, a, &p));
    struct page page = {0};
    bool more;
    TRY(next_page(c, &p, &page, &more));
    struct values v = {.n = c->n, .lane = c->lane, .off = p.off, .bytes = ""};
    if (page.end == c->n) { /* the usual case: one page needs no copy */
        struct str bytes = {"", 0};
        if (page.bytes)
            TRY(chunk_part_bytes(c, page.part, &bytes));
        v.bytes = bytes.p;
        *ret = v;
        return next_page(c, &p, &page, &more);
    }
    char *to = arena_try_alloc(a, p.off[c->n]);
    if (!to)
        return err_set(ERR_NOMEM, "no memory for %u bytes of text", p.off[c->n]);
    for (; more;) {
        struct str bytes = {"", 0};
        if (page.bytes)
            TRY(chunk_part_bytes(c, page.part, &bytes));
        if (page.bytes)
            memcpy(to + p.off[page.first], bytes.p, bytes.n);
        TRY(next_page(c, &p, &page, &more));
    }
    v.bytes = to;
    *ret = v;
    return OK;
}

static enum err plain_get(const struct chunk *c, const uint32_t *pos, uint32_t n, struct arena *a,
                          struct values *ret)
{
    struct plain p;
    TRY(plain_open(c, a, &p));
    uint64_t total = 0;
    for (uint32_t i = 0; i < n; i++)
        total += p.off[pos[i] + 1] - p.off[pos[i]];
    struct text_out out;
    TRY(text_out_init(&out, n, total, a));
    struct page page = {0};
    bool more;
    TRY(next_page(c, &p, &page, &more));
    for (uint32_t i = 0; more;) {
        struct str bytes = {"", 0};
        if (page.bytes && i < n && pos[i] < page.end)
            TRY(chunk_part_bytes(c, page.part, &bytes));
        for (; i < n && pos[i] < page.end; i++)
            text_out_add(&out, str_of(bytes.p + (p.off[pos[i]] - p.off[page.first]),
                                      p.off[pos[i] + 1] - p.off[pos[i]]));
        TRY(next_page(c, &p, &page, &more));
    }
    *ret = text_out_values(&out, c->lane);
    return OK;
}

static enum err match_page(const struct chunk *c, const struct plain *p, const struct page *page,
                           const struct predicate *pred, struct arena *a, uint64_t *bits)
{
    uint32_t n = page->end - page->first;
    struct str bytes = {"", 0};
    if (page->bytes)
        TRY(chunk_part_bytes(c, page->part, &bytes));
    uint32_t *off = ARENA_TRY_ARRAY(a, uint32_t, (size_t)n + 1);
    uint64_t *part = ARENA_TRY_ARRAY(a, uint64_t, bitmap_words(n) + 1);
    if (!off || !part)
        return err_set(ERR_NOMEM, "no memory to match %u texts", n);
    memset(part, 0, bitmap_words(n) * sizeof(*part));
    for (uint32_t i = 0; i <= n; i++)
        off[i] = p->off[page->first + i] - p->off[page->first];
    struct values v = {.n = n, .lane = c->lane, .off = off, .bytes = bytes.p};
    TRY(predicate_match(pred, &v, part));
    bits_put(bits, page->first, part, n);
    return OK;
}

static enum err plain_match(const struct chunk *c, const struct predicate *pred, struct arena *a,
                            uint64_t *bits)
{
    struct plain p;
    TRY(plain_open(c, a, &p));
    struct page page = {0};
    bool more;
    TRY(next_page(c, &p, &page, &more));
    while (more) {
        TRY(match_page(c, &p, &page, pred, a, bits));
        TRY(next_page(c, &p, &page, &more));
    }
    return OK;
}

static enum err const_text(const struct chunk *c, struct str *ret)
{
    if (!lane_is_text(c->lane) || c->n_parts != 1)
        return err_set(ERR_CORRUPT, "a constant chunk of a wrong form");
    return chunk_part_bytes(c, 0, ret);
}

static enum err const_repeat(const struct chunk *c, uint32_t n, struct arena *a, struct values *ret)
{
    struct str text;
    TRY(const_text(c, &text));
    struct text_out out;
    TRY(text_out_init(&out, n, (uint64_t)text.n * n, a));
    for (uint32_t i = 0; i < n; i++)
        text_out_add(&out, text);
    *ret = text_out_values(&out, c->lane);
    return OK;
}

static enum err const_values(const struct chunk *c, struct arena *a, struct values *ret)
{
    return const_repeat(c, c->n, a, ret);
}

static enum err const_get(const struct chunk *c, const uint32_t *pos, uint32_t n, struct arena *a,
                          struct values *ret)
{
    return const_repeat(c, n, a, ret);
}

static enum err const_match(const struct chunk *c, const struct predicate *p, struct arena *a,
                            uint64_t *bits)
{
    struct str text;
    TRY(const_text(c, &text));
    bool hit;
    TRY(predicate_match_text(p, c->lane, text, &hit));
    if (hit)
        bitmap_fill(bits, c->n);
    return OK;
}

static enum err const_distinct(const struct chunk *c, struct arena *a, struct values *ret)
{
    return const_repeat(c, 1, a, ret);
}

static enum err const_codes(const struct chunk *c, struct arena *a, struct values *ret_dict,
                            const uint32_t **ret_code)
{
    uint32_t *code = ARENA_TRY_ARRAY(a, uint32_t, c->n);
    if (!code)
        return err_set(ERR_NOMEM, "no memory for %u codes", c->n);
    memset(code, 0, sizeof(*code) * c->n);
    TRY(const_distinct(c, a, ret_dict));
    *ret_code = code;
    return OK;
}

const struct encoding_ops encoding_plain = {
    .name = "plain", .values = plain_values, .get = plain_get, .match = plain_match};
const struct encoding_ops encoding_const = {.name = "const",
                                            .values = const_values,
                                            .get = const_get,
                                            .match = const_match,
                                            .codes = const_codes,
                                            .distinct = const_distinct};
