/* A dictionary of distinct texts and a code for each value.
 *
 * ENC_DICT
 *   part 0   varint number of entries (1..n), then an inner chunk (without checksum) of the entries
 *            in ascending order of their bytes (plain, hex or prefix_int), or, of lines, in order
 *            of first appearance (template or plain)
 *   part 1   the codes of all values (codes.c)
 *
 * Sorting brings entries that look alike together, which the entries' own encoding likes. Whether a
 * column is worth a dictionary is asked of a sample first: in a sample of s values of D distinct
 * ones about D (1 - exp(-s / D)) are distinct. */
#include "record/scan.h"
#include "record/words.h"
#include "store/codes.h"
#include "store/encoding_ops.h"
#include "store/quick_hash.h"

#include <stdlib.h>

enum {
    LINE_BYTES = 20,
    TABLE_FIRST = 512,
    SAMPLE = 4096,
    SAMPLE_FROM = SAMPLE * 4, /* at ingest; of fewer values the first are the sample */
    LINES_SAMPLE = 64,
    LINES_SHARE = 8, /* of the sample, different */
    LINES_ENTRIES = 4096,
    ENTRIES_MAX = 32768,
    DISTINCT_SHARE = 2 /* at most n / this */
};

/* ---- writing ---- */

/* Open addressing: entry number + 1 and some of its hash, or 0. Small at first: most columns have
 * few different values, and a large one takes time to clear. */
struct table {
    uint64_t *slot;
    uint32_t mask;
    uint32_t *first; /* per entry: the value that brought it */
    uint32_t n;
    struct arena *a;
};

static void table_init(struct table *t, uint32_t entries, struct arena *a)
{
    uint32_t size = TABLE_FIRST;
    t->slot = ARENA_ARRAY(a, uint64_t, size);
    t->mask = size - 1;
    t->first = arena_alloc(a, ((size_t)entries + 1) * sizeof(uint32_t));
    t->n = 0;
    t->a = a;
}

static void table_grow(struct table *t, const struct values *v)
{
    uint32_t size = (t->mask + 1) * 4;
    t->slot = ARENA_ARRAY(t->a, uint64_t, size);
    t->mask = size - 1;
    for (uint32_t k = 0; k < t->n; k++) {
        uint64_t h = quick_hash(values_text(v, t->first[k]));
        uint32_t at = (uint32_t)h & t->mask;
        while (t->slot[at])
            at = (at + 1) & t->mask;
        t->slot[at] = (h & 0xffffffff00000000ULL) | (k + 1);
    }
}

static uint32_t table_add(struct table *t, const struct values *v, uint32_t i)
{
    struct str s = values_text(v, i);
    uint64_t h = quick_hash(s), tag = h & 0xffffffff00000000ULL;
    if (t->n > t->mask / 2)
        table_grow(t, v);
    for (uint32_t at = (uint32_t)h & t->mask;; at = (at + 1) & t->mask) {
        uint64_t slot = t->slot[at];
        if (!slot) {
            t->first[t->n++] = i;
            t->slot[at] = tag | t->n;
            return t->n - 1;
        }
        uint32_t entry = (uint32_t)slot - 1;
        if ((slot & 0xffffffff00000000ULL) == tag && str_eq(s, values_text(v, t->first[entry])))
            return entry;
    }
}

/* Whether a sample of SAMPLE texts has more different ones than `most`. */
static bool sample_has_more(const struct values *v, double most, struct arena *a)
{
    struct table t;
    table_init(&t, SAMPLE, a);
    for (uint64_t i = 0; i < SAMPLE && t.n <= most; i++)
        table_add(&t, v, (uint32_t)(i * v->n / SAMPLE)); /* to the last: halves may differ */
    return t.n > most;
}

bool texts_are_many_lines(const struct values *v, struct arena *a)
{
    uint32_t spaces = 0;
    if (v->n <= SAMPLE || values_bytes(v) < (uint64_t)v->n * LINE_BYTES)
        return false;
    for (uint32_t i = 0; i < LINES_SAMPLE; i++) {
        struct str s = values_text(v, (uint32_t)((uint64_t)i * v->n / LINES_SAMPLE));
        spaces += s.n && memchr(s.p, ' ', s.n);
    }
    return spaces > LINES_SAMPLE / 2 && sample_has_more(v, SAMPLE / LINES_SHARE, a);
}

/* How many different ones a sample of n > SAMPLE values has where half of all are different. */
static double sample_bound(uint32_t n)
{
    /* With D = n / 2: s (1 - s / 2D + ...), the first terms of the series. */
    double share = (double)SAMPLE / n;
    return SAMPLE * (1 - share + share * share * 2 / 3);
}

static bool sample_promises(const struct values *v, struct arena *a)
{
    return v->n <= SAMPLE || !sample_has_more(v, sample_bound(v->n), a);
}

/* The same of values whose numbers are known. */
static bool numbers_promise(const uint32_t *code, uint32_t n, uint32_t different, struct arena *a)
{
    if (n <= SAMPLE)
        return true;
    uint64_t *seen = ARENA_ARRAY(a, uint64_t, bitmap_words(different));
    for (uint64_t i = 0; i < SAMPLE; i++)
        bitmap_set(seen, code[i * n / SAMPLE]);
    return bitmap_count(seen, different) <= sample_bound(n);
}

struct sort_entry {
    uint64_t prefix; /* the first bytes, most significant first */
    struct str text;
    uint32_t was;
};

static uint64_t prefix_of(struct str s)
{
    uint8_t b[8] = {0};
    memcpy(b, s.p, s.n < 8 ? s.n : 8);
    uint64_t v;
    memcpy(&v, b, 8);
    return __builtin_bswap64(v);
}

static int entry_cmp(const void *a, const void *b)
{
    const struct sort_entry *x = a, *y = b;
    if (x->prefix != y->prefix)
        return x->prefix < y->prefix ? -1 : 1;
    return str_cmp(x->text, y->text);
}

static size_t common_prefix(struct str a, struct str b)
{
    return scan_same(a.p, b.p, a.n < b.n ? a.n : b.n);
}

/* Lines: their templates make the entries small, in whatever order, and codes of lines that follow
 * each other repeat where the lines do. At the level of ingest only of thousands: fewer are mostly
 * smaller in order, where each has its like beside it, and take half the time. */
static bool entries_are_lines(const struct encoder *e, const struct values *v,
                              const struct table *t)
{
    uint64_t bytes = 0;
    if (e->o->zstd_level <= ENCODE_QUICK_LEVEL && t->n < LINES_ENTRIES)
        return false;
    for (uint32_t i = 0; i < t->n; i++)
        bytes += values_text(v, t->first[i]).n;
    return !e->o->slot && bytes >= (uint64_t)t->n * LINE_BYTES;
}

static enum err entries_as_met(const struct table *t, const struct values *v, struct arena *a,
                               struct values *ret)
{
    return values_pick(v, t->first, t->n, a, ret);
}

/* Entries in order, and for each entry number its place. */
static enum err sort_entries(const struct table *t, const struct values *v, struct arena *a,
                             struct values *ret, uint32_t *place)
{
    struct sort_entry *e = arena_alloc(a, t->n * sizeof(*e));
    struct str first = values_text(v, t->first[0]);
    size_t shared = first.n;
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < t->n; i++) {
        e[i].text = values_text(v, t->first[i]);
        e[i].was = i;
        bytes += e[i].text.n;
        first.n = shared;
        shared = common_prefix(first, e[i].text);
    }
    for (uint32_t i = 0; i < t->n; i++)
        e[i].prefix = prefix_of(str_from(e[i].text, shared));
    qsort(e, t->n, sizeof(*e), entry_cmp);
    struct text_out out;
    TRY(text_out_init(&out, t->n, bytes, a));
    for (uint32_t i = 0; i < t->n; i++) {
        text_out_add(&out, e[i].text);
        place[e[i].was] = i;
    }
    *ret = text_out_values(&out, v->lane);
    return OK;
}

static uint32_t entries_max(uint32_t n)
{
    uint32_t max = n / DISTINCT_SHARE;
    return max > ENTRIES_MAX ? ENTRIES_MAX : max;
}

/* Codes of the values, or false when there are too many distinct ones, or among the first SAMPLE
 * more than `most`. */
static bool collect(const struct values *v, double most, struct table *t, uint32_t *code,
                    struct arena *a)
{
    uint32_t max = entries_max(v->n);
    table_init(t, max + 1, a);
    for (uint32_t i = 0; i < v->n; i++) {
        if (i == SAMPLE && t->n > most)
            return false;
        uint32_t same = v->same ? v->same[i] : i;
        if (same == i && i && str_eq(values_text(v, i), values_text(v, i - 1)))
            same = i - 1;
        if (same != i) {
            code[i] = code[same];
            continue;
        }
        code[i] = table_add(t, v, i);
        if (t->n > max)
            return false;
    }
    return true;
}

static enum err entries_part(const struct encoder *e, const struct values *entries, bool lines,
                             struct part_out *ret)
{
    struct buf b;
    buf_init(&b, SIZE_MAX);
    buf_put_varint(&b, entries->n);
    struct encode_options o = *e->o;
    o.inner++;
    struct chunk_stats unused;
    struct encoder inner = {entries, &o, e->scratch, &b, &unused};
    o.time = NULL;
    enum err err = lines ? encode_template(&inner) : encode_prefix_int(&inner);
    if (err == ERR_UNSUPPORTED)
        err = encode_hex(&inner);
    if (err == ERR_UNSUPPORTED)
        err = encode_plain(&inner);
    if (err == OK) {
        *ret = (struct part_out){.raw = arena_str(e->scratch, buf_str(&b)), .zip = ZIP_NEVER};
    }
    buf_release(&b);
    return err;
}

/* The words of all values are those of the entries. */
static void put_words(const struct encoder *e, const struct values *entries, size_t chunk_bytes)
{
    struct word_sink *sink = e->o->words;
    if (!sink || sink->done || entries->n < WORDS_DICT_MIN)
        return;
    if (sink->bound)
        sink->bound(sink->ctx, chunk_bytes);
    for (uint32_t i = 0; i < entries->n && !word_sink_full(sink); i++)
        words_hashes(values_text(entries, i), sink->fn, sink->ctx);
    sink->done = true;
}

/* The entries stand in v; codes become places. */
static enum err put_dict(const struct encoder *e, const struct values *v, const struct table *t,
                         uint32_t *code)
{
    struct arena *a = e->scratch;
    struct values entries;
    uint32_t n = e->v->n, *place = arena_alloc(a, t->n * sizeof(uint32_t));
    bool lines = entries_are_lines(e, v, t);
    TRY(lines ? entries_as_met(t, v, a, &entries) : sort_entries(t, v, a, &entries, place));
    for (uint32_t i = 0; !lines && i < n; i++)
        code[i] = place[code[i]];
    struct part_out part[2];
    TRY(entries_part(e, &entries, lines, &part[0]));
    TRY(part_of_codes(code, n, e->o, a, &part[1]));
    e->stats->encoding = ENC_DICT;
    e->stats->distinct = t->n;
    size_t start = e->out->n;
    TRY(chunk_write(ENC_DICT, n, part, 2, e->o, a, e->out));
    put_words(e, &entries, e->out->n - start);
    return OK;
}

enum err encode_dict(const struct encoder *e)
{
    const struct values *v = e->v;
    bool first = e->o->zstd_level <= ENCODE_QUICK_LEVEL && !e->o->inner && v->n < SAMPLE_FROM;
    if (v->n < 4 || (!first && !sample_promises(v, e->scratch)))
        return not_mine();
    struct table t;
    uint32_t *code = arena_alloc(e->scratch, v->n * sizeof(*code));
    double most = first && v->n > SAMPLE ? sample_bound(v->n) : v->n;
    return collect(v, most, &t, code, e->scratch) ? put_dict(e, v, &t, code) : not_mine();
}

enum err encode_dict_known(const struct encoder *e, const struct values *different, uint32_t *code)
{
    uint32_t n = e->v->n;
    if (n < 4 || different->n > entries_max(n) ||
        !numbers_promise(code, n, different->n, e->scratch))
        return not_mine();
    struct table t = {.n = different->n};
    t.first = arena_alloc(e->scratch, t.n * sizeof(*t.first));
    for (uint32_t i = 0; i < t.n; i++)
        t.first[i] = i;
    return put_dict(e, different, &t, code);
}

/* ---- reading ---- */

static enum err entries_chunk(const struct chunk *c, struct chunk **ret)
{
    struct str bytes;
    TRY(chunk_part_bytes(c, 0, &bytes));
    struct reader r = reader_of(bytes);
    uint64_t n = read_varint(&r);
    if (r.bad || n == 0 || n > c->n || !lane_is_text(c->lane))
        return err_set(ERR_CORRUPT, "a dictionary of %llu entries", (unsigned long long)n);
    struct str rest = str_from(bytes, bytes.n - reader_left(&r));
    struct chunk *inner = ARENA_TRY_ARRAY(c->arena, struct chunk, 1);
    if (!inner)
        return err_set(ERR_NOMEM, "no memory for a dictionary");
    TRY(chunk_open_inner(c, 0, rest, (uint32_t)n, c->arena, inner));
    if (inner->encoding != ENC_PLAIN && inner->encoding != ENC_HEX &&
        inner->encoding != ENC_PREFIX_INT && inner->encoding != ENC_TEMPLATE)
        return err_set(ERR_CORRUPT, "entries of a dictionary in encoding %u", inner->encoding);
    *ret = inner;
    return OK;
}

static enum err entries_of(const struct chunk *c, struct values *ret)
{
    struct chunk *inner = NULL;
    TRY(entries_chunk(c, &inner));
    return chunk_values_kept(inner, c->arena, ret);
}

static enum err dict_codes(const struct chunk *c, struct arena *a, struct values *ret_dict,
                           const uint32_t **ret_code)
{
    struct values entries;
    uint32_t *code;
    TRY(entries_of(c, &entries));
    TRY(part_codes(c, 1, c->n, entries.n, a, &code));
    *ret_dict = entries;
    *ret_code = code;
    return OK;
}

static enum err dict_values(const struct chunk *c, struct arena *a, struct values *ret)
{
    struct values entries;
    const uint32_t *code;
    TRY(dict_codes(c, a, &entries, &code));
    return text_pick(&entries, code, c->n, a, ret);
}

static enum err dict_get(const struct chunk *c, const uint32_t *pos, uint32_t n, struct arena *a,
                         struct values *ret)
{
    struct values entries;
    TRY(entries_of(c, &entries));
    uint32_t *code;
    TRY(part_codes_get(c, 1, c->n, entries.n, pos, n, a, &code));
    return text_pick(&entries, code, n, a, ret);
}

static enum err dict_match(const struct chunk *c, const struct predicate *p, struct arena *a,
                           uint64_t *bits)
{
    struct chunk *entries = NULL;
    TRY(entries_chunk(c, &entries));
    uint64_t *hit = ARENA_TRY_ARRAY(a, uint64_t, bitmap_words(entries->n));
    if (!hit)
        return err_set(ERR_NOMEM, "no memory to match %u entries", entries->n);
    memset(hit, 0, bitmap_words(entries->n) * sizeof(*hit));
    TRY(chunk_match(entries, p, a, hit));
    uint32_t hits = bitmap_count(hit, entries->n);
    if (hits == 0)
        return OK;
    if (hits == entries->n) {
        bitmap_fill(bits, c->n);
        return OK;
    }
    uint32_t *code;
    TRY(part_codes(c, 1, c->n, entries->n, a, &code));
    for (uint32_t i = 0; i < c->n; i++)
        bits[i >> 6] |= (uint64_t)bitmap_get(hit, code[i]) << (i & 63);
    return OK;
}

static enum err dict_distinct(const struct chunk *c, struct arena *a, struct values *ret)
{
    return entries_of(c, ret);
}

const struct encoding_ops encoding_dict = {.name = "dict",
                                           .values = dict_values,
                                           .get = dict_get,
                                           .match = dict_match,
                                           .codes = dict_codes,
                                           .distinct = dict_distinct};
