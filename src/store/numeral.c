/* Numbers as texts write them. */
#include "store/numeral.h"

#include "core/decimal.h"
#include "store/encoding_ops.h"

const int64_t numeral_power10[NUMERAL_DIGITS_MAX + 1] = {
    1,
    10,
    100,
    1000,
    10000,
    100000,
    1000000,
    10000000,
    100000000,
    1000000000,
    10000000000,
    100000000000,
    1000000000000,
    10000000000000,
    100000000000000,
    1000000000000000,
    10000000000000000,
    100000000000000000,
    1000000000000000000,
};

bool numeral_parse(struct str s, struct numeral_parts *ret)
{
    const char *p = s.p, *end = s.p + s.n;
    while (p < end && *p == ' ')
        p++;
    const char *digits = p;
    uint64_t m = 0;
    for (; p < end && (uint8_t)(*p - '0') < 10; p++)
        m = m * 10 + (uint64_t)(*p - '0');
    size_t spaces = (size_t)(digits - s.p), whole = (size_t)(p - digits), frac = 0;
    if (p < end && *p == '.') {
        const char *point = p++;
        for (; p < end && (uint8_t)(*p - '0') < 10; p++)
            m = m * 10 + (uint64_t)(*p - '0');
        frac = (size_t)(p - point - 1);
        if (frac == 0)
            return false;
    }
    if (p != end || !numeral_ok(spaces, whole, frac))
        return false;
    *ret = (struct numeral_parts){.mantissa = (int64_t)m,
                                  .spaces = (uint8_t)spaces,
                                  .whole = (uint8_t)whole,
                                  .frac = (uint8_t)frac,
                                  .length = (uint8_t)s.n,
                                  .zero = whole > 1 && *digits == '0'};
    return true;
}

bool numeral_look_form(const struct numeral_look *l, struct numeral_form *ret)
{
    if (l->zeros && (l->spaces || !l->one_length))
        return false;
    *ret = (struct numeral_form){l->frac, 0, 0};
    if (l->zeros || l->spaces) {
        ret->pad = l->zeros ? '0' : ' ';
        ret->width = (uint8_t)l->shortest;
    }
    return true;
}

bool numeral_form_of(const struct values *v, struct numeral_form *ret, int64_t *mantissa)
{
    struct numeral_look look;
    struct numeral_parts p;
    if (v->n == 0 || !numeral_parse(values_text(v, 0), &p))
        return false;
    numeral_look_first(&look, &p);
    for (uint32_t i = 0; i < v->n; i++) {
        if (!numeral_parse(values_text(v, i), &p) || !numeral_look_add(&look, &p))
            return false;
        mantissa[i] = p.mantissa;
    }
    struct numeral_form f;
    if (!numeral_look_form(&look, &f))
        return false;
    for (uint32_t i = 0; look.spaces && i < v->n; i++)
        if (numeral_write(&f, mantissa[i], NULL) != values_text(v, i).n)
            return false;
    *ret = f;
    return true;
}

bool numeral_form_ok(const struct numeral_form *f)
{
    return f->frac <= NUMERAL_FRAC_MAX && f->width <= NUMERAL_WIDTH_MAX &&
           (f->pad == '0' || f->pad == ' ' || (f->pad == 0 && f->width == 0));
}

/* Digits without padding, with those of the fraction and one before it. */
static unsigned digits_of(const struct numeral_form *f, int64_t m)
{
    unsigned n = decimal_digits((uint64_t)m);
    return n > f->frac ? n : f->frac + 1u;
}

bool numeral_fits(const struct numeral_form *f, int64_t m)
{
    return m >= 0 && m < numeral_power10[NUMERAL_DIGITS_MAX];
}

size_t numeral_write(const struct numeral_form *f, int64_t m, char *to)
{
    unsigned digits = digits_of(f, m), n = digits + (f->frac > 0);
    unsigned total = n > f->width ? n : f->width;
    uint64_t left = (uint64_t)m;
    if (!to)
        return total;
    char *p = to + total;
    if (f->frac) {
        p = decimal_put_before(p, &left, f->frac);
        *--p = '.';
    }
    p = decimal_put_before(p, &left, digits - f->frac);
    while (p > to)
        *--p = (char)f->pad;
    return total;
}

enum err numeral_texts(const struct numeral_form *f, const int64_t *mantissa, const uint32_t *rank,
                       uint32_t n, enum lane lane, struct arena *a, struct values *ret)
{
    uint64_t most = 0; /* as unsigned numbers, negative ones are the largest */
    for (uint32_t i = 0; i < n; i++) {
        uint64_t m = (uint64_t)mantissa[rank ? rank[i] : i];
        most = m > most ? m : most;
    }
    if (!numeral_fits(f, (int64_t)most))
        return err_set(ERR_CORRUPT, "a number out of its digits' range");
    struct text_out out;
    TRY(text_out_init(&out, n, n * (uint64_t)numeral_write(f, (int64_t)most, NULL), a));
    for (uint32_t i = 0; i < n; i++) {
        out.used += numeral_write(f, mantissa[rank ? rank[i] : i], out.bytes + out.used);
        out.off[++out.n] = (uint32_t)out.used;
    }
    *ret = text_out_values(&out, lane);
    return OK;
}
