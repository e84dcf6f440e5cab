/* The table of encodings, and the choice among them.
 *
 * A chunk names its encoding; everything a reader asks of it goes through the encoding's row in the
 * table. How each holds its values stands on top of its file: encoding_plain.c (plain, const),
 * encoding_dict.c, encoding_hex.c, encoding_prefix_int.c, encoding_time.c, encoding_numeral.c
 * (numeral, clock), encoding_template.c, encoding_difference.c, encoding_refs.c,
 * encoding_number.c (ints, decimal, double, empty). Not every encoding fits every lane; an encoding
 * that meets a foreign lane answers ERR_CORRUPT.
 *
 * Choice, for text: constant; at the level of ingest references to other columns, where block.c
 * found that they pay; times; templates for lines of a log, of which many are different, at the
 * level of ingest; a dictionary where a sample promises few distinct values; else
 * the first that fits of numerals, times of day, a prefix and a number, hexadecimal digits,
 * templates, plain. Each of them gives up early, most on a sample. In a merge, which has time, and
 * in the slots of templates, which are small, a dictionary has to be smaller than what else fits,
 * and texts that repeat other columns (block.c says which) are tried with references to those. In
 * slots, at the level of ingest, numbers and times come first. In the rare-values chunk, where zstd
 * goes over all columns together, only constant, times and plain are tried. */
#include "store/encoding_ops.h"

static const struct encoding_ops *const table[ENC_COUNT] = {
    [ENC_PLAIN] = &encoding_plain,       [ENC_CONST] = &encoding_const,
    [ENC_DICT] = &encoding_dict,         [ENC_INTS] = &encoding_ints,
    [ENC_DECIMAL] = &encoding_decimal,   [ENC_DOUBLE] = &encoding_double,
    [ENC_HEX] = &encoding_hex,           [ENC_TIME] = &encoding_time,
    [ENC_EMPTY] = &encoding_empty,       [ENC_PREFIX_INT] = &encoding_prefix_int,
    [ENC_NUMERAL] = &encoding_numeral,   [ENC_CLOCK] = &encoding_clock,
    [ENC_TEMPLATE] = &encoding_template, [ENC_REFS] = &encoding_refs,
    [ENC_INSTANT] = &encoding_instant,   [ENC_DIFFERENCE] = &encoding_difference,
};

const struct encoding_ops *encoding_ops(uint8_t id)
{
    return id < ENC_COUNT ? table[id] : NULL;
}

const char *encoding_name(uint8_t id)
{
    const struct encoding_ops *ops = encoding_ops(id);
    return ops ? ops->name : "unknown";
}

/* ---- choosing ---- */

enum { FEW_ENTRIES = 4 /* one in so many values, at most */ };

typedef enum err encode_fn(const struct encoder *);

/* The first that takes the values; where none does, and a NULL ends them, ERR_UNSUPPORTED. */
static enum err encode_first(encode_fn *const *fn, const struct encoder *e)
{
    enum err err = (*fn)(e);
    while (err == ERR_UNSUPPORTED && *++fn)
        err = (*fn)(e);
    return err;
}

/* Replaces what was appended from `start` on if fn makes it smaller. */
static enum err encode_if_smaller(encode_fn *const *fn, const struct encoder *e, size_t start)
{
    struct chunk_stats stats = {0};
    struct buf other;
    buf_init(&other, SIZE_MAX);
    struct encoder again = *e;
    again.out = &other;
    again.stats = &stats;
    enum err err = encode_first(fn, &again);
    if (err == OK && other.n < e->out->n - start) {
        e->out->n = start;
        *e->stats = stats;
        buf_put_str(e->out, buf_str(&other));
    }
    buf_release(&other);
    return err == ERR_UNSUPPORTED ? OK : err;
}

/* A dictionary, unless (where that is asked) one of the others is smaller. At the level of ingest
 * one of few entries is not compared: it hardly ever loses. */
static enum err encode_dict_or(encode_fn *const *rest, const struct encoder *e, bool compare)
{
    size_t start = e->out->n;
    enum err err = encode_dict(e);
    if (err == ERR_UNSUPPORTED)
        return encode_first(rest, e);
    bool few =
        e->o->zstd_level <= ENCODE_QUICK_LEVEL && e->stats->distinct <= e->v->n / FEW_ENTRIES;
    if (err != OK || !compare || few)
        return err;
    return encode_if_smaller(rest, e, start);
}

/* Numbers and times first, whose columns a dictionary rarely makes smaller. */
static enum err encode_measure_or(encode_fn *const *rest, const struct encoder *e)
{
    static encode_fn *const measure[] = {encode_difference, encode_numeral, encode_clock,
                                         encode_time};
    enum err err = ERR_UNSUPPORTED;
    for (size_t i = 0; err == ERR_UNSUPPORTED && i < sizeof(measure) / sizeof(*measure); i++)
        err = measure[i](e);
    return err == ERR_UNSUPPORTED ? encode_dict_or(rest, e, true) : err;
}

enum err encode_text(const struct encoder *e)
{
    static encode_fn *const rest[] = {encode_numeral, encode_clock,    encode_prefix_int,
                                      encode_hex,     encode_template, encode_plain};
    static encode_fn *const lines[] = {encode_template, encode_dict, encode_plain};
    static encode_fn *const refs[] = {encode_refs, NULL}, *const difference[] = {encode_difference,
                                                                                 NULL};
    static encode_fn *const small[] = {encode_const, encode_time, encode_plain};
    static encode_fn *const slot[] = {encode_numeral,    encode_clock, encode_time,
                                      encode_prefix_int, encode_hex,   encode_template,
                                      encode_plain};
    size_t start = e->out->n;
    bool quick = e->o->zstd_level <= ENCODE_QUICK_LEVEL;
    if (e->o->refs && quick)
        return encode_refs(e);
    if (e->o->small)
        return encode_first(small, e);
    if (e->o->inner && quick)
        return encode_measure_or(slot, e);
    if (e->o->inner) {
        TRY(encode_dict_or(slot, e, true));
        return e->o->siblings ? encode_if_smaller(difference, e, start) : OK;
    }
    enum err err = encode_const(e);
    if (err == ERR_UNSUPPORTED)
        err = encode_time(e);
    if (err != ERR_UNSUPPORTED)
        return err;
    if (quick && texts_are_many_lines(e->v, e->scratch))
        return encode_first(lines, e);
    TRY(encode_dict_or(rest, e, !quick));
    return !quick && e->o->refs ? encode_if_smaller(refs, e, start) : OK;
}

enum err chunk_encode(const struct values *v, const struct encode_options *o, struct arena *scratch,
                      struct buf *out, struct chunk_stats *ret)
{
    CHECK(v->n > 0);
    struct chunk_stats stats = {0};
    struct encoder e = {v, o, scratch, out, &stats};
    enum err err;
    if (lane_is_text(v->lane))
        err = encode_text(&e);
    else if (lane_is_empty(v->lane))
        err = encode_empty(&e);
    else if (v->lane == LANE_DEC)
        err = encode_decimal(&e);
    else if (v->lane == LANE_DBL)
        err = encode_double(&e);
    else
        err = encode_ints(&e);
    if (err == OK)
        *ret = stats;
    return err;
}

/* ---- reading ---- */

enum err chunk_values(const struct chunk *c, struct arena *a, struct values *ret)
{
    return table[c->encoding]->values(c, a, ret);
}

/* Of a lane without text. */
static enum err pick_numbers(const struct values *v, const uint32_t *pos, uint32_t n,
                             struct arena *a, struct values *ret)
{
    struct values out = {.n = n, .lane = v->lane};
    double *f64 = ARENA_TRY_ARRAY(a, double, n);
    if (!f64)
        return err_set(ERR_NOMEM, "no memory for %u numbers", n);
    for (uint32_t i = 0; i < n; i++)
        f64[i] = v->f64[pos[i]];
    out.f64 = f64;
    *ret = out;
    return OK;
}

enum err chunk_get(const struct chunk *c, const uint32_t *pos, uint32_t n, struct arena *a,
                   struct values *ret)
{
    const struct encoding_ops *ops = table[c->encoding];
    if (n == c->n)
        return ops->values(c, a, ret);
    if (ops->get)
        return ops->get(c, pos, n, a, ret);
    struct values all;
    TRY(ops->values(c, a, &all));
    return lane_is_text(c->lane) ? text_pick(&all, pos, n, a, ret)
                                 : pick_numbers(&all, pos, n, a, ret);
}

enum err chunk_json(const struct chunk *c, uint32_t from, uint32_t n, struct arena *a,
                    struct json_texts **ret)
{
    const struct encoding_ops *ops = table[c->encoding];
    return c->lane == LANE_STR && ops->json ? ops->json(c, from, n, a, ret) : ERR_UNSUPPORTED;
}

enum err chunk_match(const struct chunk *c, const struct predicate *p, struct arena *a,
                     uint64_t *bits)
{
    const struct encoding_ops *ops = table[c->encoding];
    if (p->kind == PRED_EXISTS) {
        if (c->lane != LANE_NULL)
            bitmap_fill(bits, c->n);
        return OK;
    }
    if (ops->match)
        return ops->match(c, p, a, bits);
    struct values v;
    TRY(ops->values(c, a, &v));
    return predicate_match(p, &v, bits);
}

enum err chunk_codes(const struct chunk *c, struct arena *a, struct values *ret_dict,
                     const uint32_t **ret_code)
{
    const struct encoding_ops *ops = table[c->encoding];
    return ops->codes ? ops->codes(c, a, ret_dict, ret_code) : ERR_UNSUPPORTED;
}

enum err chunk_alike(const struct chunk *c, struct arena *a, struct values *ret,
                     const uint32_t **ret_code)
{
    const struct encoding_ops *ops = table[c->encoding];
    struct values unused;
    return ops->alike ? ops->alike(c, a, ret, ret_code)
                      : chunk_codes(c, a, ret ? ret : &unused, ret_code);
}

/* ---- shared by text encodings ---- */

enum err text_out_init(struct text_out *t, uint32_t n, uint64_t bytes, struct arena *a)
{
    if (bytes > UINT32_MAX)
        return err_set(ERR_LIMIT, "texts of %llu bytes at once", (unsigned long long)bytes);
    *t = (struct text_out){.max = bytes};
    t->off = ARENA_TRY_ARRAY(a, uint32_t, (size_t)n + 1);
    t->bytes = arena_try_alloc(a, bytes + 1);
    if (!t->off || !t->bytes)
        return err_set(ERR_NOMEM, "no memory for %llu bytes of text", (unsigned long long)bytes);
    t->off[0] = 0;
    return OK;
}

enum err text_pick(const struct values *v, const uint32_t *pos, uint32_t n, struct arena *a,
                   struct values *ret)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < n; i++)
        bytes += values_text(v, pos[i]).n;
    struct text_out out;
    TRY(text_out_init(&out, n, bytes, a));
    for (uint32_t i = 0; i < n; i++)
        text_out_add(&out, values_text(v, pos[i]));
    *ret = text_out_values(&out, v->lane);
    return OK;
}

enum err texts_together(const struct values *v, struct arena *a, struct values *ret)
{
    struct text_out out;
    *ret = *v;
    if (!v->text)
        return OK;
    TRY(text_out_init(&out, v->n, v->text_bytes, a));
    for (uint32_t i = 0; i < v->n; i++)
        text_out_add(&out, v->text[i]);
    *ret = text_out_values(&out, v->lane);
    return OK;
}

void bits_put(uint64_t *bits, uint32_t at, const uint64_t *from, uint32_t n)
{
    unsigned shift = at & 63;
    uint64_t *to = bits + (at >> 6);
    for (uint32_t w = 0; w < bitmap_words(n); w++) {
        to[w] |= from[w] << shift;
        if (shift && from[w] >> (64 - shift))
            to[w + 1] |= from[w] >> (64 - shift);
    }
}

static bool all_allowed(struct str s, const bool allowed[256], bool fold)
{
    for (size_t i = 0; i < s.n; i++) {
        uint8_t c = (uint8_t)s.p[i];
        if (fold && c >= 'A' && c <= 'Z')
            c += 32;
        if (!allowed[c])
            return false;
    }
    return true;
}

/* Folding takes no text of ASCII to anything but ASCII, but may take other letters there (the
 * Kelvin sign to k): the texts of the caller are ASCII, so only the needle's own bytes matter. */
bool text_could_match(const struct predicate *p, const bool allowed[256])
{
    if (p->kind == PRED_EQUAL)
        return p->is_number || all_allowed(p->text, allowed, true);
    if (p->kind == PRED_REGEX)
        return all_allowed(p->literal, allowed, true);
    if (p->kind != PRED_TEXT)
        return true;
    for (uint32_t i = 0; i < p->n_parts; i++)
        if (!all_allowed(p->parts[i].text, allowed, false))
            return false;
    return true;
}
