/* Texts of one length that differ only in hexadecimal digits of one case: request and trace ids
 * with their prefixes, UUIDs, MAC addresses.
 *
 * ENC_HEX
 *   part 0   u8 length of every text (1..255); u8 flags (1: upper case); the text, with any byte at
 *            the places of digits; a bitmap of ceil(length / 8) bytes, bit i % 8 of byte i / 8 set
 *            where place i is a digit
 *   part 1   per value ceil(digits / 2) bytes, the first digit in the high half; a last odd digit
 *            leaves the low half 0
 *
 * Equality is decided on the packed bytes. */
#include "store/encoding_ops.h"

enum { LENGTH_MAX = 255, DIGITS_MIN = 4, UPPER = 1, SAMPLE = 64 };

/* The form of all values. */
struct pattern {
    uint8_t length, flags;
    uint8_t place[LENGTH_MAX]; /* where the digits are */
    uint32_t digits;
    char text[LENGTH_MAX + 1];
};

static uint8_t nibble_lower[256], nibble_upper[256]; /* 0xff: none */

__attribute__((constructor)) static void fill_nibbles(void)
{
    memset(nibble_lower, 0xff, 256);
    memset(nibble_upper, 0xff, 256);
    for (int i = 0; i < 16; i++) {
        nibble_lower[(uint8_t) "0123456789abcdef"[i]] = (uint8_t)i;
        nibble_upper[(uint8_t) "0123456789ABCDEF"[i]] = (uint8_t)i;
    }
}

static const uint8_t *nibbles(const struct pattern *p)
{
    return p->flags & UPPER ? nibble_upper : nibble_lower;
}

static uint32_t packed_bytes(const struct pattern *p)
{
    return (p->digits + 1) / 2;
}

/* ---- writing ---- */

/* Places where values[0, n) of one length differ; false when a value has another length. */
static bool differing(const struct values *v, uint32_t n, uint32_t step, uint8_t *diff)
{
    struct str first = values_text(v, 0);
    memset(diff, 0, first.n);
    for (uint32_t i = 0; i < n; i++) {
        struct str s = values_text(v, i * step);
        if (s.n != first.n)
            return false;
        for (size_t k = 0; k < s.n; k++)
            diff[k] |= (uint8_t)(s.p[k] ^ first.p[k]);
    }
    return true;
}

static bool has_digit(const struct values *v, uint32_t n, uint32_t step, size_t at, char from,
                      char to)
{
    for (uint32_t i = 0; i < n; i++) {
        char c = values_text(v, i * step).p[at];
        if (c >= from && c <= to)
            return true;
    }
    return false;
}

static bool pattern_of(const struct values *v, uint32_t n, uint32_t step, struct pattern *ret)
{
    struct str first = values_text(v, 0);
    uint8_t diff[LENGTH_MAX];
    if (first.n == 0 || first.n > LENGTH_MAX || !differing(v, n, step, diff))
        return false;
    struct pattern p = {.length = (uint8_t)first.n};
    memcpy(p.text, first.p, first.n);
    for (size_t k = 0; k < first.n; k++) {
        if (!diff[k])
            continue;
        p.place[p.digits++] = (uint8_t)k;
        if (!(p.flags & UPPER) && has_digit(v, n < SAMPLE ? n : SAMPLE, step, k, 'A', 'F'))
            p.flags |= UPPER;
    }
    *ret = p;
    return p.digits >= DIGITS_MIN;
}

static bool pack_value(const struct pattern *p, struct str s, uint8_t *to)
{
    const uint8_t *nibble = nibbles(p);
    const uint8_t *from = (const uint8_t *)s.p;
    uint8_t bad = 0;
    uint32_t k = 0;
    for (; k + 1 < p->digits; k += 2) {
        uint8_t hi = nibble[from[p->place[k]]], lo = nibble[from[p->place[k + 1]]];
        bad |= (uint8_t)(hi | lo);
        *to++ = (uint8_t)(hi << 4 | lo);
    }
    if (k < p->digits) {
        uint8_t hi = nibble[from[p->place[k]]];
        bad |= hi;
        *to = (uint8_t)(hi << 4);
    }
    return !(bad & 0xf0);
}

static bool sample_fits(const struct values *v)
{
    uint32_t n = v->n < SAMPLE ? v->n : SAMPLE;
    uint32_t step = v->n / n;
    struct pattern p;
    uint8_t packed[LENGTH_MAX];
    if (!pattern_of(v, n, step, &p))
        return false;
    for (uint32_t i = 0; i < n; i++)
        if (!pack_value(&p, values_text(v, i * step), packed))
            return false;
    return true;
}

static struct str pattern_bytes(const struct pattern *p, struct arena *a)
{
    size_t map = (p->length + 7u) / 8, n = 2 + p->length + map;
    uint8_t *b = arena_zalloc(a, n);
    b[0] = p->length;
    b[1] = p->flags;
    memcpy(b + 2, p->text, p->length);
    for (uint32_t k = 0; k < p->digits; k++)
        b[2 + p->length + p->place[k] / 8] |= (uint8_t)(1 << (p->place[k] % 8));
    return str_of((char *)b, n);
}

enum err encode_hex(const struct encoder *e)
{
    const struct values *v = e->v;
    struct pattern p;
    if (v->n < 2 || !sample_fits(v) || !pattern_of(v, v->n, 1, &p))
        return not_mine();
    size_t each = packed_bytes(&p), total = each * v->n;
    uint8_t *packed = arena_alloc(e->scratch, total);
    for (uint32_t i = 0; i < v->n; i++)
        if (!pack_value(&p, values_text(v, i), packed + each * i))
            return not_mine();
    struct part_out part[2] = {
        {.raw = pattern_bytes(&p, e->scratch), .zip = ZIP_NEVER},
        {.raw = str_of((char *)packed, total), .zip = ZIP_SAMPLE},
    };
    e->stats->encoding = ENC_HEX;
    return chunk_write(ENC_HEX, v->n, part, 2, e->o, e->scratch, e->out);
}

/* ---- reading ---- */

static enum err hex_open(const struct chunk *c, struct pattern *ret, const uint8_t **ret_packed)
{
    struct str head, packed;
    TRY(chunk_part_bytes(c, 0, &head));
    TRY(chunk_part_bytes(c, 1, &packed));
    struct reader r = reader_of(head);
    struct pattern p = {.length = read_u8(&r), .flags = read_u8(&r)};
    struct str text = read_bytes(&r, p.length), map = read_bytes(&r, (p.length + 7u) / 8);
    if (r.bad || reader_left(&r) || p.length == 0 || !lane_is_text(c->lane))
        return err_set(ERR_CORRUPT, "bad pattern of hexadecimal texts");
    memcpy(p.text, text.p, text.n);
    for (uint32_t k = 0; k < p.length; k++)
        if ((uint8_t)map.p[k / 8] >> (k % 8) & 1)
            p.place[p.digits++] = (uint8_t)k;
    if (packed.n != (size_t)packed_bytes(&p) * c->n)
        return err_set(ERR_CORRUPT, "hexadecimal texts do not add up");
    *ret = p;
    *ret_packed = (const uint8_t *)packed.p;
    return OK;
}

static void unpack_value(const struct pattern *p, const uint8_t *from, char *to)
{
    const char *digit = p->flags & UPPER ? "0123456789ABCDEF" : "0123456789abcdef";
    memcpy(to, p->text, p->length);
    for (uint32_t k = 0; k < p->digits; k++) {
        uint8_t b = from[k / 2];
        to[p->place[k]] = digit[k % 2 ? b & 15 : b >> 4];
    }
}

static enum err unpack_some(const struct chunk *c, const uint32_t *pos, uint32_t n, struct arena *a,
                            struct values *ret)
{
    struct pattern p;
    const uint8_t *packed;
    TRY(hex_open(c, &p, &packed));
    struct text_out out;
    TRY(text_out_init(&out, n, (uint64_t)n * p.length, a));
    size_t each = packed_bytes(&p);
    for (uint32_t i = 0; i < n; i++) {
        unpack_value(&p, packed + each * (pos ? pos[i] : i), out.bytes + out.used);
        out.used += p.length;
        out.off[++out.n] = (uint32_t)out.used;
    }
    *ret = text_out_values(&out, c->lane);
    return OK;
}

static enum err hex_values(const struct chunk *c, struct arena *a, struct values *ret)
{
    return unpack_some(c, NULL, c->n, a, ret);
}

static enum err hex_get(const struct chunk *c, const uint32_t *pos, uint32_t n, struct arena *a,
                        struct values *ret)
{
    return unpack_some(c, pos, n, a, ret);
}

static char fold(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

/* The text that a whole value must be, letter case aside; false when the predicate asks for less.
 */
static bool whole_needle(const struct predicate *p, enum lane lane, const struct pattern *form,
                         struct str *ret)
{
    for (uint32_t k = 0; k < form->length; k++)
        if ((uint8_t)form->text[k] >= 0x80)
            return false;
    bool plain_text = p->kind == PRED_TEXT && p->n_parts == 1 && p->tail_skip == 0 &&
                      !p->tail_any && !p->parts[0].any_before && !p->parts[0].skip && p->ascii;
    if (lane != LANE_STR || !(p->kind == PRED_EQUAL || plain_text))
        return false;
    *ret = p->kind == PRED_EQUAL ? p->text : p->parts[0].text;
    return p->kind == PRED_EQUAL || ret->n >= form->length;
}

/* The needle as a value's packed bytes; false when no value can be it. */
static bool pack_needle(const struct pattern *form, struct str needle, uint8_t *to)
{
    if (needle.n != form->length)
        return false;
    char text[LENGTH_MAX];
    for (uint32_t k = 0; k < form->length; k++) {
        text[k] = needle.p[k];
        if (fold(text[k]) != fold(form->text[k]) && !memchr(form->place, (int)k, form->digits))
            return false;
    }
    for (uint32_t k = 0; k < form->digits; k++) {
        char *c = &text[form->place[k]];
        *c = fold(*c);
        if (form->flags & UPPER && *c >= 'a')
            *c = (char)(*c - 32);
    }
    return pack_value(form, str_of(text, form->length), to);
}

static enum err match_needle(const struct chunk *c, const struct predicate *p,
                             const struct pattern *form, const uint8_t *packed, struct str needle,
                             uint64_t *bits)
{
    uint8_t want[LENGTH_MAX];
    if (!pack_needle(form, needle, want))
        return OK;
    size_t each = packed_bytes(form);
    for (uint32_t i = 0; i < c->n; i++) {
        if (memcmp(packed + each * i, want, each) != 0)
            continue;
        char text[LENGTH_MAX];
        bool hit;
        unpack_value(form, packed + each * i, text);
        TRY(predicate_match_text(p, c->lane, str_of(text, form->length), &hit));
        if (hit)
            bitmap_set(bits, i);
    }
    return OK;
}

static enum err hex_match(const struct chunk *c, const struct predicate *p, struct arena *a,
                          uint64_t *bits)
{
    struct pattern form;
    const uint8_t *packed;
    TRY(hex_open(c, &form, &packed));
    struct str needle;
    if (whole_needle(p, c->lane, &form, &needle))
        return match_needle(c, p, &form, packed, needle, bits);
    bool allowed[256] = {0};
    for (const char *d = "0123456789abcdef"; *d; d++)
        allowed[(uint8_t)*d] = true;
    for (uint32_t k = 0; k < form.length; k++)
        allowed[(uint8_t)fold(form.text[k])] = true;
    if (!text_could_match(p, allowed))
        return OK;
    struct values v;
    TRY(hex_values(c, a, &v));
    return predicate_match(p, &v, bits);
}

const struct encoding_ops encoding_hex = {
    .name = "hex", .values = hex_values, .get = hex_get, .match = hex_match};
