/* Telling a text by one that it is like.
 *
 * Why this finds what cutting finds: a token is a variable or not by its own bytes (and those of
 * the spaces before a number), and where tokens begin and end is decided by the classes of the
 * bytes there. Static text is compared byte by byte, so tokens in it are the same and none of them
 * is a variable. At the place of a variable a token begins in s as it does in the text: the same
 * bytes, or the end of a variable, stand before it. The token is cut by itself, unless its bytes
 * make that needless: digits behind which the static text ends the token are a number whatever
 * they are; and a token that differs from the text's in digits alone, digit for digit, is cut
 * as that was. */
#include "store/template_like.h"

#include "record/scan.h"
#include "store/hex_look.h"
#include "store/template.h"

#include <string.h>

enum { SHORT_BYTES = 32, PREFIX_FROM = 8, WORDS_FROM = 8 };

static inline bool is_digit(char c)
{
    return (uint8_t)(c - '0') < 10;
}

static inline uint64_t load8(const char *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof(v));
    return v;
}

static inline uint32_t load4(const char *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof(v));
    return v;
}

/* memcmp of what is mostly short. */
static inline bool same_bytes(const char *a, const char *b, size_t n)
{
    size_t i = 0;
    if (n > SHORT_BYTES)
        return memcmp(a, b, n) == 0;
    if (n >= 8) {
        for (; i + 8 <= n; i += 8)
            if (load8(a + i) != load8(b + i))
                return false;
        return load8(a + n - 8) == load8(b + n - 8);
    }
    if (n >= 4)
        return load4(a) == load4(b) && load4(a + n - 4) == load4(b + n - 4);
    for (; i < n; i++)
        if (a[i] != b[i])
            return false;
    return true;
}

/* ---- digit for digit ---- */

#define EACH(byte) (UINT64_MAX / 255 * (byte))

static inline uint64_t first_low(uint64_t x)
{
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    x = __builtin_bswap64(x);
#endif
    return x;
}

/* The high bit of each byte that is no digit. */
static inline uint64_t no_digits(uint64_t x)
{
    uint64_t t = x ^ EACH('0');
    return (((t & EACH(0x7f)) + EACH(0x76)) | t) & EACH(0x80);
}

static inline bool same_shape8(uint64_t a, uint64_t b)
{
    if (a == b) /* as most of what is long */
        return true;
    uint64_t d = a ^ b, differ = (((d & EACH(0x7f)) + EACH(0x7f)) | d) & EACH(0x80);
    return (differ & (no_digits(a) | no_digits(b))) == 0;
}

/* The same bytes but for digits, where digits stand in both. */
static inline bool same_shape(const char *a, const char *b, size_t n)
{
    size_t i = 0;
    if (n >= 8) {
        for (; i + 8 <= n; i += 8)
            if (!same_shape8(load8(a + i), load8(b + i)))
                return false;
        return same_shape8(load8(a + n - 8), load8(b + n - 8));
    }
    for (; i < n; i++)
        if (a[i] != b[i] && !(is_digit(a[i]) && is_digit(b[i])))
            return false;
    return true;
}

/* ---- word for word ---- */

/* Which bytes are of words, as template_cut.c has it. */
static inline scan_bytes words_of(scan_bytes v)
{
    return scan_digits16(v) | scan_letters16(v);
}

/* Sixteen bytes or, of eight to fifteen, the first and the last eight. */
static inline scan_bytes load16(const char *p, size_t n)
{
    scan_bytes v;
    uint64_t half[2];
    if (n >= sizeof(v)) {
        memcpy(&v, p, sizeof(v));
    } else {
        half[0] = load8(p);
        half[1] = load8(p + n - sizeof(half[1]));
        memcpy(&v, half, sizeof(v));
    }
    return v;
}

/* Whether they are the same but for those of words, where words stand in both; the digits of `a`
 * are added to *digits. */
static inline bool same_words16(scan_bytes a, scan_bytes b, scan_bytes *digits)
{
    *digits |= scan_digits16(a);
    return scan_bits((scan_bytes)(a != b) & ~(words_of(a) & words_of(b))) == 0;
}

/* The same of n bytes, at least WORDS_FROM, and there is a digit in `a`. */
static inline bool same_words(const char *a, const char *b, size_t n)
{
    scan_bytes digits = {0};
    for (size_t i = 0; i + sizeof(digits) <= n; i += sizeof(digits))
        if (!same_words16(load16(a + i, n), load16(b + i, n), &digits))
            return false;
    size_t last = n < sizeof(digits) ? 0 : n - sizeof(digits);
    return same_words16(load16(a + last, n), load16(b + last, n), &digits) && scan_bits(digits);
}

/* ---- making ---- */

/* Whether n bytes are a hexadecimal number with letters, and with digits or a prefix; one that is
 * short has none, for 0xff is cut as 0 and a unit. */
static inline bool is_hex(const char *p, size_t n)
{
    size_t prefix = n >= PREFIX_FROM && p[0] == '0' && p[1] == 'x' ? 2 : 0;
    unsigned look = hex_look(p + prefix, n - prefix);
    return (look | (prefix ? HEX_DIGITS : 0u)) == (HEX_DIGITS | HEX_LETTERS);
}

/* Whether n bytes are 0x and hexadecimal digits: one is no letter, for 0xff is cut as 0 and a unit,
 * and there are fewer than an id has. */
static inline bool is_short_hex(const char *p, size_t n)
{
    if (n < 3 || n >= PREFIX_FROM || p[0] != '0' || p[1] != 'x')
        return false;
    return (hex_look(p + 2, n - 2) & (HEX_DIGITS | HEX_OTHER)) == HEX_DIGITS;
}

static size_t skip_spaces(struct str s, size_t i)
{
    while (i < s.n && s.p[i] == ' ')
        i++;
    return i;
}

/* Whether variable v of the text, the number p, is what match_number() takes: see there. */
static bool is_number(struct str text, enum template_cut cut, const struct like_var *v,
                      const struct numeral_parts *p)
{
    struct str rest = str_from(text, v->to);
    if ((p->frac && cut == TEMPLATE_FINE) || (v->lead && (p->frac || p->spaces)))
        return false;
    size_t letters = template_letters(rest);
    if (letters && (v->lead || !template_is_unit(str_of(rest.p, letters))))
        return false;
    return template_ends_token(str_from(rest, letters), cut);
}

static bool begins(struct str s, const char *marks)
{
    return s.n && s.p[0] && strchr(marks, s.p[0]);
}

/* Whether what stands behind variable v of the text ends it, whatever digits are in it: a date may
 * go on with a time, and both with a fraction, unless static text behind the mark says no. `next`:
 * where the variable behind it begins. */
static bool ends_here(struct str text, enum template_cut cut, const struct like_var *v, size_t next)
{
    struct str rest = str_from(text, v->to);
    size_t n = v->to - v->from;
    bool mark = n == TEMPLATE_DATE_BYTES        ? begins(rest, " ")
                : n == TEMPLATE_DATE_TIME_BYTES ? begins(rest, ".,")
                                                : false;
    bool may_go_on = mark && rest.n > 1 && (next == v->to + 1 || is_digit(rest.p[1]));
    return !may_go_on && template_ends_token(rest, cut);
}

/* Whether same_words is to be asked. */
static bool has_words(struct str var)
{
    bool digit = false;
    for (size_t i = 0; i < var.n; i++)
        digit |= is_digit(var.p[i]);
    return digit && var.n >= WORDS_FROM && template_is_joined(var);
}

/* What can be told beforehand of the static text between `after` and variable v. */
static void set_piece(struct str text, size_t after, struct like_var *v, enum template_cut cut)
{
    size_t n = v->from - after;
    v->padded = n && text.p[v->from - 1] == ' ' && !v->lead;
    v->fraction = !v->lead && cut == TEMPLATE_JOINED;
    if (n <= 8) {
        uint8_t mask[8] = {0};
        memset(mask, 0xff, n);
        memcpy(&v->first, text.p + after, n);
        memcpy(&v->mask, mask, sizeof(mask));
    }
}

/* Up to the first or last eight of n bytes in a word, and which bytes of it they are. */
static uint64_t edge_of(const char *p, size_t n, bool last, uint64_t *mask)
{
    char byte[sizeof(uint64_t)] = {0}, is[sizeof(byte)] = {0};
    size_t few = n < sizeof(byte) ? n : sizeof(byte), at = last ? sizeof(byte) - few : 0;
    for (size_t i = 0; i < few; i++) {
        byte[at + i] = p[last ? n - few + i : i];
        is[at + i] = (char)0xff;
    }
    *mask = load8(is);
    return load8(byte);
}

void like_begin(struct str text, enum template_cut cut, const struct template_var *var, uint32_t n,
                struct like *ret)
{
    size_t head = n ? var[0].from : text.n, behind = n ? var[n - 1].to : 0;
    *ret = (struct like){.text = text, .cut = cut, .n = n};
    ret->tail_bytes = (uint32_t)(text.n - behind);
    ret->head = edge_of(text.p, head, false, &ret->head_mask);
    ret->tail = edge_of(text.p + behind, ret->tail_bytes, true, &ret->tail_mask);
}

void like_make(struct like *l, const struct template_var *var, struct arena *a)
{
    struct str text = l->text;
    enum template_cut cut = l->cut;
    uint32_t n = l->n;
    struct like_var *to = arena_alloc(a, ((size_t)n + 1) * sizeof(*to));
    size_t after = 0;
    for (uint32_t i = 0; i < n; i++) {
        struct template_var again;
        struct numeral_parts parts;
        size_t start = skip_spaces(text, var[i].from);
        size_t before = start == var[i].from ? template_letters_before(text, after, start) : 0;
        if (!template_token(text, start - before, cut, after, &again) ||
            again.from != var[i].from || again.to != var[i].to)
            return;
        struct str s = str_of(text.p + var[i].from, var[i].to - var[i].from);
        to[i] = (struct like_var){.from = var[i].from,
                                  .to = var[i].to,
                                  .hex = (uint32_t)template_hex_length(s),
                                  .lead = (uint32_t)before};
        to[i].ends = ends_here(text, cut, &to[i], i + 1 < n ? var[i + 1].from : text.n);
        to[i].all_hex = s.n > 1 && is_hex(s.p, s.n);
        to[i].short_hex = is_short_hex(s.p, s.n);
        to[i].words = has_words(s);
        to[i].numeral = numeral_parse(s, &parts);
        to[i].number = to[i].numeral && is_number(text, cut, &to[i], &parts);
        set_piece(text, after, &to[i], cut);
        after = var[i].to;
    }
    l->var = to;
}

/* ---- matching ---- */

/* The number of eight digits, the first in the lowest byte: pairs, then fours, then all of them. */
static inline uint64_t eight_digits(uint64_t x)
{
    const uint64_t pair = 0x000000ff000000ffULL;
    x = x * 10 + (x >> 8);
    return (((x & pair) * (100 + (1000000ULL << 32))) +
            ((x >> 16 & pair) * (1 + (10000ULL << 32)))) >>
           32;
}

/* Digits at `at`, which are appended to those of *m: where they end. */
static inline size_t read_digits(struct str s, size_t at, uint64_t *m)
{
    uint64_t v = *m;
    if (s.n - at >= 8) {
        uint64_t x = first_low(load8(s.p + at)), other = no_digits(x);
        unsigned n = other ? (unsigned)__builtin_ctzll(other) / 8 : 8;
        if (n == 0)
            return at;
        v = v * (uint64_t)numeral_power10[n] + eight_digits((x - EACH('0')) << (64 - 8 * n));
        at += n;
        if (n < 8) {
            *m = v;
            return at;
        }
    }
    for (; at < s.n && is_digit(s.p[at]); at++)
        v = v * 10 + (uint64_t)(s.p[at] - '0');
    *m = v;
    return at;
}

/* A number at `at`: where it ends, or 0. */
static inline size_t match_number(const struct like_var *v, struct str s, size_t at,
                                  struct numeral_parts *ret)
{
    uint64_t m = 0;
    size_t begin = at, digits;
    while (v->padded && at < s.n && s.p[at] == ' ')
        at++;
    digits = at;
    at = read_digits(s, at, &m);
    size_t whole = at - digits, frac = 0;
    if (whole == 0)
        return 0;
    if (at + 1 < s.n && s.p[at] == '.' && v->fraction && is_digit(s.p[at + 1])) {
        size_t point = at;
        at = read_digits(s, point + 1, &m);
        frac = at - point - 1;
    }
    bool ok = numeral_ok(digits - begin, whole, frac);
    *ret = (struct numeral_parts){.mantissa = (int64_t)m,
                                  .spaces = (uint8_t)(digits - begin),
                                  .whole = ok ? (uint8_t)whole : 0,
                                  .frac = (uint8_t)frac,
                                  .length = (uint8_t)(at - begin),
                                  .zero = whole > 1 && s.p[digits] == '0'};
    return at;
}

/* Whether n bytes at `at` are in s what variable v is in the text: behind them stands the same
 * byte, which ends the token. Neither a number nor a name has digits and letters up to f alone, or
 * with 0x before them; other digits may make, or end, such a prefix. */
static inline bool same_token(const struct like *l, const struct like_var *v, struct str s,
                              size_t at, size_t n)
{
    if (!v->ends || n > s.n - at)
        return false;
    if (v->to < l->text.n ? at + n == s.n || s.p[at + n] != l->text.p[v->to] : at + n != s.n)
        return false;
    const char *was = l->text.p + v->from;
    if (v->all_hex)
        return is_hex(s.p + at, n);
    if (v->short_hex)
        return is_short_hex(s.p + at, n);
    if (v->words)
        return same_words(s.p + at, was, n);
    return (n < 2 || was[1] != 'x' || was[0] == s.p[at]) && same_shape(s.p + at, was, n);
}

/* Another variable at `at`: where it ends, or 0. */
static inline size_t match_token(const struct like *l, const struct like_var *v, struct str s,
                                 size_t at, size_t after, struct numeral_parts *ret)
{
    struct template_var var;
    size_t n = v->to - v->from;
    if (same_token(l, v, s, at, n)) {
        var = (struct template_var){(uint32_t)at, (uint32_t)(at + n)};
    } else if (!template_token(s, at - v->lead, l->cut, after, &var) || var.from != at ||
               template_hex_length(str_of(s.p + at, var.to - at)) != v->hex) {
        return 0;
    }
    if (!v->numeral || !numeral_parse(str_of(s.p + at, var.to - at), ret))
        ret->whole = 0;
    return var.to;
}

/* Whether the static text before variable v stands at `at`. */
static inline bool same_piece(const struct like_var *v, struct str s, size_t at, const char *piece,
                              size_t n)
{
    if (v->mask && s.n - at >= 8)
        return (load8(s.p + at) & v->mask) == v->first;
    return n <= s.n - at && same_bytes(s.p + at, piece, n);
}

bool like_match(const struct like *l, struct str s, struct template_var *to,
                struct numeral_parts *parts)
{
    size_t at = 0, end = 0; /* of the variable before: in s, in the text */
    for (uint32_t i = 0; i < l->n; i++) {
        const struct like_var *v = &l->var[i];
        size_t after = at, piece = v->from - end;
        if (!same_piece(v, s, at, l->text.p + end, piece))
            return false;
        at += piece;
        size_t next = v->number ? match_number(v, s, at, &parts[i])
                                : match_token(l, v, s, at, after, &parts[i]);
        if (next == 0)
            return false;
        to[i] = (struct template_var){(uint32_t)at, (uint32_t)next};
        at = next;
        end = v->to;
    }
    return s.n - at == l->tail_bytes && same_bytes(s.p + at, l->text.p + end, l->tail_bytes);
}
