/* Texts of a common prefix and a decimal number: user_28140, host-0042, ids as strings.
 *
 * ENC_PREFIX_INT
 *   part 0   u8 digits (0: each number has just its own, without leading zeros; 1..18: every number
 *            has that many, with zeros in front), then the prefix to the end of the part
 *   part 1   the numbers of all values as integers (ints.c), each in 0 .. 10^18 - 1 */
#include "store/encoding_ops.h"
#include "store/numeral.h"

enum { DIGITS_MAX = NUMERAL_DIGITS_MAX, SAMPLE = 64, PREFIX_MAX = 255 };

struct form {
    struct str prefix;
    uint8_t digits;
};

/* ---- writing ---- */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* The first value without its digits, cut to what all share; false when that leaves no numbers. */
static bool form_of(const struct values *v, uint32_t n, uint32_t step, struct form *ret)
{
    struct str prefix = values_text(v, 0);
    size_t length = prefix.n;
    bool same_length = true;
    while (prefix.n && is_digit(prefix.p[prefix.n - 1]))
        prefix.n--;
    if (prefix.n > PREFIX_MAX || prefix.n == length)
        return false;
    bool zeros = false;
    for (uint32_t i = 0; i < n; i++) {
        struct str s = values_text(v, i * step);
        if (!str_starts(s, prefix) || s.n == prefix.n || s.n - prefix.n > DIGITS_MAX)
            return false;
        same_length &= s.n == length;
        zeros |= s.p[prefix.n] == '0' && s.n > prefix.n + 1;
    }
    if (zeros && !same_length)
        return false;
    *ret = (struct form){prefix, zeros ? (uint8_t)(length - prefix.n) : 0};
    return true;
}

static bool number_of(const struct form *f, struct str s, int64_t *ret)
{
    int64_t v = 0;
    for (size_t i = f->prefix.n; i < s.n; i++) {
        if (!is_digit(s.p[i]))
            return false;
        v = v * 10 + (s.p[i] - '0');
    }
    *ret = v;
    return true;
}

static bool numbers_of(const struct values *v, uint32_t n, uint32_t step, const struct form *f,
                       int64_t *to)
{
    for (uint32_t i = 0; i < n; i++)
        if (!number_of(f, values_text(v, i * step), &to[i]))
            return false;
    return true;
}

enum err encode_prefix_int(const struct encoder *e)
{
    const struct values *v = e->v;
    struct form f;
    int64_t few[SAMPLE];
    if (v->n < 2)
        return not_mine();
    uint32_t sample = v->n < SAMPLE ? v->n : SAMPLE, step = v->n / sample;
    if (!form_of(v, sample, step, &f) || !numbers_of(v, sample, step, &f, few))
        return not_mine();
    int64_t *number = arena_alloc(e->scratch, v->n * sizeof(int64_t));
    if (!form_of(v, v->n, 1, &f) || !numbers_of(v, v->n, 1, &f, number))
        return not_mine();
    char *head = arena_alloc(e->scratch, f.prefix.n + 1);
    head[0] = (char)f.digits;
    memcpy(head + 1, f.prefix.p, f.prefix.n);
    struct part_out part[2] = {{.raw = str_of(head, f.prefix.n + 1), .zip = ZIP_NEVER}};
    TRY(part_of_ints(number, v->n, e->o, e->scratch, &part[1]));
    e->stats->encoding = ENC_PREFIX_INT;
    return chunk_write(ENC_PREFIX_INT, v->n, part, 2, e->o, e->scratch, e->out);
}

/* ---- reading ---- */

static enum err form_open(const struct chunk *c, struct form *ret)
{
    struct str head;
    TRY(chunk_part_bytes(c, 0, &head));
    if (head.n == 0 || (uint8_t)head.p[0] > DIGITS_MAX || !lane_is_text(c->lane))
        return err_set(ERR_CORRUPT, "bad form of numbers behind a prefix");
    *ret = (struct form){str_from(head, 1), (uint8_t)head.p[0]};
    return OK;
}

static unsigned digits_of(const struct form *f, int64_t v)
{
    unsigned n = 1;
    while (n < DIGITS_MAX && v >= numeral_power10[n])
        n++;
    return f->digits ? f->digits : n;
}

static bool number_fits(const struct form *f, int64_t v)
{
    return v >= 0 && v < numeral_power10[f->digits ? f->digits : DIGITS_MAX];
}

static void put_number(const struct form *f, int64_t v, struct text_out *out)
{
    unsigned n = digits_of(f, v);
    char *to = out->bytes + out->used;
    memcpy(to, f->prefix.p, f->prefix.n);
    to += f->prefix.n;
    for (unsigned i = n; i-- > 0; v /= 10)
        to[i] = (char)('0' + v % 10);
    out->used += f->prefix.n + n;
    out->off[++out->n] = (uint32_t)out->used;
}

static enum err texts_of(const struct chunk *c, const struct form *f, const int64_t *number,
                         uint32_t n, struct arena *a, struct values *ret)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (!number_fits(f, number[i]))
            return err_set(ERR_CORRUPT, "a number out of its digits' range");
        bytes += f->prefix.n + digits_of(f, number[i]);
    }
    struct text_out out;
    TRY(text_out_init(&out, n, bytes, a));
    for (uint32_t i = 0; i < n; i++)
        put_number(f, number[i], &out);
    *ret = text_out_values(&out, c->lane);
    return OK;
}

static enum err prefix_int_values(const struct chunk *c, struct arena *a, struct values *ret)
{
    struct form f;
    int64_t *number;
    TRY(form_open(c, &f));
    TRY(part_ints(c, 1, 0, c->n, a, &number));
    return texts_of(c, &f, number, c->n, a, ret);
}

static enum err prefix_int_get(const struct chunk *c, const uint32_t *pos, uint32_t n,
                               struct arena *a, struct values *ret)
{
    struct form f;
    int64_t *number;
    TRY(form_open(c, &f));
    TRY(part_ints_get(c, 1, 0, pos, n, a, &number));
    return texts_of(c, &f, number, n, a, ret);
}

/* Equality asks for one number. */
static enum err match_equal(const struct chunk *c, const struct form *f, struct str text,
                            struct arena *a, uint64_t *bits)
{
    size_t digits = text.n - f->prefix.n;
    int64_t want;
    if (!str_starts(text, f->prefix) || digits == 0 || digits > DIGITS_MAX ||
        (f->digits ? digits != f->digits : digits > 1 && text.p[f->prefix.n] == '0') ||
        !number_of(f, text, &want))
        return OK;
    int64_t *number;
    TRY(part_ints(c, 1, 0, c->n, a, &number));
    for (uint32_t i = 0; i < c->n; i++)
        bits[i >> 6] |= (uint64_t)(number[i] == want) << (i & 63);
    return OK;
}

static enum err prefix_int_match(const struct chunk *c, const struct predicate *p, struct arena *a,
                                 uint64_t *bits)
{
    struct form f;
    TRY(form_open(c, &f));
    if (p->kind == PRED_EQUAL && c->lane == LANE_STR)
        return match_equal(c, &f, p->text, a, bits);
    bool allowed[256] = {0};
    bool ascii = true;
    for (int d = '0'; d <= '9'; d++)
        allowed[d] = true;
    for (size_t i = 0; i < f.prefix.n; i++) {
        char b = f.prefix.p[i];
        ascii &= (uint8_t)b < 0x80;
        allowed[(uint8_t)(b >= 'A' && b <= 'Z' ? b + 32 : b)] = true;
    }
    if (ascii && !text_could_match(p, allowed))
        return OK;
    struct values v;
    TRY(prefix_int_values(c, a, &v));
    return predicate_match(p, &v, bits);
}

const struct encoding_ops encoding_prefix_int = {.name = "prefix_int",
                                                 .values = prefix_int_values,
                                                 .get = prefix_int_get,
                                                 .match = prefix_int_match};
