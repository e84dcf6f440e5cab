/* Texts that are numbers, and times of day.
 *
 * ENC_NUMERAL
 *   part 0   u8 digits behind the point (0..9), u8 pad (0, '0' or ' '), u8 width (numeral.h)
 *   part 1   the mantissas of all values as integers (ints.c), each in 0 .. 10^18 - 1
 * ENC_CLOCK
 *   part 0   u8 mark before the fraction ('.', ',' or 0: none), u8 digits of the fraction (0..9),
 *            u8 1: relative to the rows' _time
 *   part 1   as integers: the time of day, hh:mm:ss and fraction, in units of its last digit; where
 *            relative, minus the time of day of _time (UTC) in the same unit, cut down, modulo a
 *            day: 0 up to the units of a day */
#include "store/encoding_ops.h"
#include "store/siblings.h"

enum { SAMPLE = 64 };

/* A copy of the values at every `step`. */
static enum err sample_of(const struct values *v, struct arena *a, struct values *ret)
{
    uint32_t n = v->n < SAMPLE ? v->n : SAMPLE, pos[SAMPLE];
    for (uint32_t i = 0; i < n; i++)
        pos[i] = (uint32_t)((uint64_t)i * v->n / n);
    return text_pick(v, pos, n, a, ret);
}

static struct part_out few_bytes(struct arena *a, uint8_t x, uint8_t y, uint8_t z)
{
    char *b = arena_alloc(a, 3);
    b[0] = (char)x;
    b[1] = (char)y;
    b[2] = (char)z;
    return (struct part_out){.raw = str_of(b, 3), .zip = ZIP_NEVER};
}

enum err numerals_read(const struct encoder *e, struct numeral_form *ret, int64_t **ret_number)
{
    struct siblings *s = e->o->siblings;
    struct values few;
    int64_t some[SAMPLE];
    if (s && s->read) {
        *ret = s->form;
        *ret_number = s->number;
        return s->is_number ? OK : not_mine();
    }
    TRY(sample_of(e->v, e->scratch, &few));
    if (s)
        s->read = true;
    if (!numeral_form_of(&few, ret, some))
        return not_mine();
    int64_t *number = s ? s->number : arena_alloc(e->scratch, e->v->n * sizeof(int64_t));
    if (!numeral_form_of(e->v, ret, number))
        return not_mine();
    if (s) {
        s->form = *ret;
        s->is_number = true;
    }
    *ret_number = number;
    return OK;
}

enum err encode_numeral(const struct encoder *e)
{
    struct numeral_form f;
    int64_t *number = NULL;
    TRY(numerals_read(e, &f, &number));
    struct part_out part[2] = {few_bytes(e->scratch, f.frac, f.pad, f.width)};
    TRY(part_of_ints(number, e->v->n, e->o, e->scratch, &part[1]));
    e->stats->encoding = ENC_NUMERAL;
    return chunk_write(ENC_NUMERAL, e->v->n, part, 2, e->o, e->scratch, e->out);
}

/* ---- reading ---- */

static enum err form_open(const struct chunk *c, struct numeral_form *ret)
{
    struct str head;
    TRY(chunk_part_bytes(c, 0, &head));
    struct reader r = reader_of(head);
    ret->frac = read_u8(&r);
    ret->pad = read_u8(&r);
    ret->width = read_u8(&r);
    if (r.bad || reader_left(&r) || !numeral_form_ok(ret) || !lane_is_text(c->lane))
        return err_set(ERR_CORRUPT, "bad form of numerals");
    return OK;
}

enum err numeral_mantissas(const struct chunk *c, struct arena *a, int64_t **ret)
{
    struct numeral_form f;
    TRY(form_open(c, &f));
    return part_ints(c, 1, 0, c->n, a, ret);
}

static enum err numbers_at(const struct chunk *c, uint32_t from, uint32_t n, struct arena *a,
                           const int64_t **ret)
{
    int64_t *number;
    if (n == c->n) {
        TRY(part_ints(c, 1, 0, n, a, &number));
        *ret = number;
        return OK;
    }
    uint32_t *pos = ARENA_TRY_ARRAY(a, uint32_t, n);
    if (!pos)
        return err_set(ERR_NOMEM, "no memory for %u numbers", n);
    for (uint32_t i = 0; i < n; i++)
        pos[i] = from + i;
    TRY(part_ints_get(c, 1, 0, pos, n, a, &number));
    *ret = number;
    return OK;
}

enum err chunk_numerals(const struct chunk *c, uint32_t from, uint32_t n, struct arena *a,
                        struct numeral_form *ret, const int64_t **ret_number)
{
    int64_t *all = NULL;
    CHECK(n <= c->n && from <= c->n - n);
    if (c->encoding == ENC_DIFFERENCE) {
        TRY(difference_numbers(c, a, ret, &all));
        *ret_number = all + from;
        return OK;
    }
    if (c->encoding != ENC_NUMERAL)
        return not_mine();
    TRY(form_open(c, ret));
    return numbers_at(c, from, n, a, ret_number);
}

static enum err numeral_values(const struct chunk *c, struct arena *a, struct values *ret)
{
    struct numeral_form f;
    int64_t *number;
    TRY(form_open(c, &f));
    TRY(part_ints(c, 1, 0, c->n, a, &number));
    return numeral_texts(&f, number, NULL, c->n, c->lane, a, ret);
}

static enum err numeral_get(const struct chunk *c, const uint32_t *pos, uint32_t n, struct arena *a,
                            struct values *ret)
{
    struct numeral_form f;
    int64_t *number;
    TRY(form_open(c, &f));
    TRY(part_ints_get(c, 1, 0, pos, n, a, &number));
    return numeral_texts(&f, number, NULL, n, c->lane, a, ret);
}

bool numeral_could_match(const struct predicate *p)
{
    static const bool allowed[256] = {
        ['0'] = true, ['1'] = true, ['2'] = true, ['3'] = true, ['4'] = true, ['5'] = true,
        ['6'] = true, ['7'] = true, ['8'] = true, ['9'] = true, ['.'] = true, [' '] = true};
    return text_could_match(p, allowed);
}

static enum err numeral_match(const struct chunk *c, const struct predicate *p, struct arena *a,
                              uint64_t *bits)
{
    if (!numeral_could_match(p))
        return OK;
    struct values v;
    TRY(numeral_values(c, a, &v));
    return predicate_match(p, &v, bits);
}

/* ---- times of day ---- */

struct clock_form {
    uint8_t mark, digits;
    bool relative;
};
enum { DAY_SECONDS = 86400, CLOCK_TEXT_MAX = 18 };

static bool two_digits(const char *p, unsigned below, int64_t *ret)
{
    unsigned a = (uint8_t)(p[0] - '0'), b = (uint8_t)(p[1] - '0');
    *ret = a * 10 + b;
    return a < 10 && b < 10 && a * 10 + b < below;
}

static bool clock_read(struct str s, struct clock_form *f, int64_t *ret)
{
    int64_t h, m, sec, frac = 0;
    if (s.n < 8 || s.n > CLOCK_TEXT_MAX || s.p[2] != ':' || s.p[5] != ':' ||
        !two_digits(s.p, 24, &h) || !two_digits(s.p + 3, 60, &m) || !two_digits(s.p + 6, 60, &sec))
        return false;
    *f = (struct clock_form){0};
    if (s.n > 8) {
        f->mark = (uint8_t)s.p[8];
        f->digits = (uint8_t)(s.n - 9);
        if ((f->mark != '.' && f->mark != ',') || f->digits == 0 || f->digits > 9)
            return false;
    }
    for (size_t i = 9; i < s.n; i++) {
        if ((uint8_t)(s.p[i] - '0') > 9)
            return false;
        frac = frac * 10 + (s.p[i] - '0');
    }
    *ret = ((h * 60 + m) * 60 + sec) * numeral_power10[f->digits] + frac;
    return true;
}

static size_t clock_bytes(const struct clock_form *f)
{
    return 8 + (f->mark ? 1u + f->digits : 0);
}

static void clock_write(const struct clock_form *f, int64_t v, char *to)
{
    int64_t unit = numeral_power10[f->digits], frac = v % unit, sec = v / unit;
    for (unsigned i = f->digits; i-- > 0; frac /= 10)
        to[9 + i] = (char)('0' + frac % 10);
    if (f->mark)
        to[8] = (char)f->mark;
    int64_t field[3] = {sec / 3600, sec / 60 % 60, sec % 60};
    for (unsigned i = 0; i < 3; i++) {
        to[i * 3] = (char)('0' + field[i] / 10);
        to[i * 3 + 1] = (char)('0' + field[i] % 10);
        if (i < 2)
            to[i * 3 + 2] = ':';
    }
}

/* The time of day of _time in the form's unit. */
static int64_t clock_of_time(const struct clock_form *f, int64_t ns)
{
    int64_t day = (int64_t)DAY_SECONDS * 1000000000, of_day = ns % day;
    return (of_day < 0 ? of_day + day : of_day) / (1000000000 / numeral_power10[f->digits]);
}

/* Near zero modulo a day, so that a zone's distance stays one number across midnight. */
static int64_t clock_near(const struct clock_form *f, int64_t v)
{
    int64_t day = DAY_SECONDS * numeral_power10[f->digits];
    return v < 0 ? v + day : v;
}

static bool clocks_read(const struct values *v, struct clock_form *f, int64_t *to)
{
    for (uint32_t i = 0; i < v->n; i++) {
        struct clock_form mine;
        if (!clock_read(values_text(v, i), &mine, &to[i]))
            return false;
        if (i == 0)
            *f = mine;
        if (mine.mark != f->mark || mine.digits != f->digits)
            return false;
    }
    return true;
}

enum err encode_clock(const struct encoder *e)
{
    const struct values *v = e->v;
    struct clock_form f;
    struct values few;
    int64_t some[SAMPLE];
    TRY(sample_of(v, e->scratch, &few));
    if (!clocks_read(&few, &f, some))
        return not_mine();
    int64_t *clock = arena_alloc(e->scratch, v->n * sizeof(int64_t));
    if (!clocks_read(v, &f, clock))
        return not_mine();
    struct part_out part[2], relative;
    TRY(part_of_ints(clock, v->n, e->o, e->scratch, &part[1]));
    if (e->o->time) {
        for (uint32_t i = 0; i < v->n; i++)
            clock[i] = clock_near(&f, clock[i] - clock_of_time(&f, e->o->time[i]));
        TRY(part_of_ints(clock, v->n, e->o, e->scratch, &relative));
        f.relative = part_out_bytes(&relative) < part_out_bytes(&part[1]);
        if (f.relative)
            part[1] = relative;
    }
    part[0] = few_bytes(e->scratch, f.mark, f.digits, f.relative);
    e->stats->encoding = ENC_CLOCK;
    return chunk_write(ENC_CLOCK, v->n, part, 2, e->o, e->scratch, e->out);
}

static enum err clock_open(const struct chunk *c, struct clock_form *ret)
{
    struct str head;
    TRY(chunk_part_bytes(c, 0, &head));
    struct reader r = reader_of(head);
    ret->mark = read_u8(&r);
    ret->digits = read_u8(&r);
    uint8_t relative = read_u8(&r);
    ret->relative = relative;
    bool mark = ret->mark == '.' || ret->mark == ',';
    if (r.bad || reader_left(&r) || relative > 1 || ret->digits > 9 || mark != (ret->digits > 0) ||
        (!mark && ret->mark) || !lane_is_text(c->lane) || (relative && !c->time))
        return err_set(ERR_CORRUPT, "bad form of times of day");
    return OK;
}

static enum err clock_texts(const struct chunk *c, const uint32_t *pos, uint32_t n, struct arena *a,
                            struct values *ret)
{
    struct clock_form f;
    TRY(clock_open(c, &f));
    int64_t *clock;
    if (pos)
        TRY(part_ints_get(c, 1, 0, pos, n, a, &clock));
    else
        TRY(part_ints(c, 1, 0, n, a, &clock));
    const int64_t *time = NULL;
    if (f.relative)
        TRY(c->time(c->time_ctx, &time));
    struct text_out out;
    TRY(text_out_init(&out, n, (uint64_t)n * clock_bytes(&f), a));
    int64_t day = DAY_SECONDS * numeral_power10[f.digits];
    for (uint32_t i = 0; i < n; i++) {
        int64_t v = clock[i];
        if (v < 0 || v >= day)
            return err_set(ERR_CORRUPT, "a time of day out of its range");
        if (time)
            v = (v + clock_of_time(&f, time[pos ? pos[i] : i])) % day;
        clock_write(&f, v, out.bytes + out.used);
        out.used += clock_bytes(&f);
        out.off[++out.n] = (uint32_t)out.used;
    }
    *ret = text_out_values(&out, c->lane);
    return OK;
}

static enum err clock_values(const struct chunk *c, struct arena *a, struct values *ret)
{
    return clock_texts(c, NULL, c->n, a, ret);
}

static enum err clock_match(const struct chunk *c, const struct predicate *p, struct arena *a,
                            uint64_t *bits)
{
    static const bool allowed[256] = {
        ['0'] = true, ['1'] = true, ['2'] = true, ['3'] = true, ['4'] = true,
        ['5'] = true, ['6'] = true, ['7'] = true, ['8'] = true, ['9'] = true,
        ['.'] = true, [':'] = true, [','] = true};
    if (!text_could_match(p, allowed))
        return OK;
    struct values v;
    TRY(clock_values(c, a, &v));
    return predicate_match(p, &v, bits);
}

const struct encoding_ops encoding_numeral = {
    .name = "numeral", .values = numeral_values, .get = numeral_get, .match = numeral_match};
const struct encoding_ops encoding_clock = {
    .name = "clock", .values = clock_values, .get = clock_texts, .match = clock_match};
