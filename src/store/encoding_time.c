/* Times written as text: the form once, and for each value its distance from the row's _time,
 * which is nearly always the same, for _time came from it.
 *
 * ENC_TIME
 *   part 0   u8 number of forms (1..16); per form 8 bytes: u8 kind, digits, sep, frac, zone, 0, i16
 *            offset in minutes (record/timestamp.h); with more than one form, the form numbers of
 *            all values as integers (ints.c)
 *   part 1   nanoseconds from the row's _time to the value's time, of all values, as integers
 * ENC_INSTANT
 *   The same, but that the nanoseconds are those since 1970: for times that _time did not come
 *   from, as where that is the arrival.
 *
 * The encoder writes each text back and compares, so that what does not come back to the byte is
 * never held this way. */
#include "record/scan.h"
#include "record/timestamp.h"
#include "store/encoding_ops.h"
#include "store/numeral.h"

enum { FORMS_MAX = 16, FORM_BYTES = 8, SAMPLE = 16 };

struct forms {
    struct time_form form[FORMS_MAX];
    uint32_t n;
};

/* ---- writing ---- */

static bool form_number(struct forms *f, const struct time_form *form, uint32_t *ret)
{
    uint32_t i = 0;
    while (i < f->n && !time_form_eq(&f->form[i], form))
        i++;
    if (i == FORMS_MAX)
        return false;
    if (i == f->n)
        f->form[f->n++] = *form;
    *ret = i;
    return true;
}

static bool parse_one(struct str s, int64_t near, struct forms *forms, uint32_t *ret_form,
                      int64_t *ret_ns)
{
    struct time_form form;
    char back[TIME_TEXT_MAX];
    if (s.n > TIME_TEXT_MAX || !time_parse(s, near, &form, ret_ns) || !time_form_exact(&form))
        return false;
    return str_eq(s, str_of(back, time_format(&form, *ret_ns, back))) &&
           form_number(forms, &form, ret_form);
}

/* A time in the minute of the one before it, as is most of a log: of "2025-02-15 12:00:07.123Z"
 * only the seconds and their fraction differ. */
enum { DATE_CLOCK_BYTES = 19, MINUTE_BYTES = 16, SECONDS_AT = MINUTE_BYTES + 1 };

static bool digits_of(struct str s, size_t from, size_t to, int64_t *ret)
{
    int64_t v = 0;
    for (size_t i = from; i < to; i++) {
        if ((uint8_t)(s.p[i] - '0') > 9)
            return false;
        v = v * 10 + (s.p[i] - '0');
    }
    *ret = v;
    return true;
}

/* Seconds and fraction of a time of the form, in nanoseconds. */
static bool read_seconds(struct str s, const struct time_form *f, int64_t *ret)
{
    int64_t sec, frac = 0;
    size_t end = DATE_CLOCK_BYTES + (f->frac ? 1u + f->digits : 0);
    if (s.n < end || !digits_of(s, SECONDS_AT, DATE_CLOCK_BYTES, &sec) || sec > 59 ||
        (f->frac && !digits_of(s, DATE_CLOCK_BYTES + 1, end, &frac)))
        return false;
    *ret = sec * 1000000000 + frac * numeral_power10[9 - f->digits];
    return true;
}

/* The time read last: of which form, its nanoseconds, and those in its minute (below 0: not known).
 */
struct last_time {
    struct str s;
    uint32_t form;
    int64_t ns, seconds;
};

/* Whether s, of the form f of the last one to the byte, is in its minute; takes its place then. */
static bool same_minute(struct str s, const struct time_form *f, struct last_time *last)
{
    const int64_t most = INT64_MAX - (int64_t)60 * 1000000000;
    size_t end = DATE_CLOCK_BYTES + (f->frac ? 1u + f->digits : 0);
    int64_t is;
    struct str was = last->s;
    if (last->ns > most || last->ns < -most || f->kind != TIME_ISO || s.n != was.n || s.n < end ||
        !scan_equal(s.p, was.p, MINUTE_BYTES) || s.p[MINUTE_BYTES] != was.p[MINUTE_BYTES] ||
        (f->frac && s.p[DATE_CLOCK_BYTES] != was.p[DATE_CLOCK_BYTES]) ||
        !scan_equal(s.p + end, was.p + end, s.n - end) ||
        (last->seconds < 0 && !read_seconds(was, f, &last->seconds)) || !read_seconds(s, f, &is))
        return false;
    last->ns += is - last->seconds;
    last->seconds = is;
    last->s = s;
    return true;
}

static bool sample_fits(const struct encoder *e)
{
    const struct values *v = e->v;
    uint32_t n = v->n < SAMPLE ? v->n : SAMPLE, step = v->n / n, form;
    struct forms forms = {.n = 0};
    int64_t ns;
    for (uint32_t i = 0; i < n; i++)
        if (!parse_one(values_text(v, i * step), e->o->time[i * step], &forms, &form, &ns))
            return false;
    return true;
}

static enum err forms_part(const struct encoder *e, const struct forms *f, const int64_t *code,
                           struct part_out *ret)
{
    struct buf b;
    buf_init(&b, SIZE_MAX);
    buf_put_u8(&b, (uint8_t)f->n);
    for (uint32_t i = 0; i < f->n; i++) {
        const struct time_form *t = &f->form[i];
        uint8_t bytes[6] = {t->kind, t->digits, t->sep, t->frac, t->zone, 0};
        buf_put(&b, bytes, sizeof(bytes));
        buf_put_u16(&b, (uint16_t)t->offset_min);
    }
    if (f->n > 1)
        ints_encode(code, e->v->n, INTS_PACKED, e->scratch, &b);
    *ret = (struct part_out){.raw = arena_str(e->scratch, buf_str(&b)), .zip = ZIP_SAMPLE};
    buf_release(&b);
    return OK;
}

/* What all differences to the value before are multiples of. */
static uint64_t common_step(const int64_t *v, uint32_t n)
{
    uint64_t g = 0;
    for (uint32_t i = 1; i < n && g != 1; i++) {
        int64_t d = (int64_t)((uint64_t)v[i] - (uint64_t)v[i - 1]);
        uint64_t a = d < 0 ? 0 - (uint64_t)d : (uint64_t)d;
        while (a) {
            uint64_t t = g % a;
            g = a;
            a = t;
        }
    }
    return g;
}

/* The distances from _time, or, where those step more finely than the times and take more bytes,
 * the times. */
static enum err distances_part(const struct encoder *e, int64_t *off, struct part_out *ret,
                               uint8_t *ret_encoding)
{
    uint32_t n = e->v->n;
    uint64_t step = common_step(off, n);
    TRY(part_of_ints(off, n, e->o, e->scratch, ret));
    *ret_encoding = ENC_TIME;
    for (uint32_t i = 0; step && i < n; i++)
        off[i] = (int64_t)((uint64_t)off[i] + (uint64_t)e->o->time[i]);
    if (step == 0 || step >= common_step(off, n))
        return OK;
    struct part_out instants;
    TRY(part_of_ints(off, n, e->o, e->scratch, &instants));
    if (part_out_bytes(&instants) < part_out_bytes(ret)) {
        *ret = instants;
        *ret_encoding = ENC_INSTANT;
    }
    return OK;
}

enum err encode_time(const struct encoder *e)
{
    const struct values *v = e->v;
    if (!e->o->time || !sample_fits(e))
        return not_mine();
    struct forms forms = {.n = 0};
    int64_t *code = arena_alloc(e->scratch, v->n * sizeof(int64_t));
    int64_t *off = arena_alloc(e->scratch, v->n * sizeof(int64_t));
    struct last_time last = {0};
    for (uint32_t i = 0; i < v->n; i++) {
        struct str s = values_text(v, i);
        bool near = i && same_minute(s, &forms.form[last.form], &last);
        if (!near && !(i && e->o->time[i] == e->o->time[i - 1] && str_eq(s, last.s))) {
            if (!parse_one(s, e->o->time[i], &forms, &last.form, &last.ns))
                return not_mine();
            last.s = s;
            last.seconds = -1;
        }
        code[i] = last.form;
        off[i] = (int64_t)((uint64_t)last.ns - (uint64_t)e->o->time[i]);
    }
    e->stats->alike = forms.n == 1 && forms.form[0].kind == TIME_ISO;
    struct part_out part[2];
    TRY(forms_part(e, &forms, code, &part[0]));
    TRY(distances_part(e, off, &part[1], &e->stats->encoding));
    return chunk_write(e->stats->encoding, v->n, part, 2, e->o, e->scratch, e->out);
}

/* ---- reading ---- */

static enum err forms_open(const struct chunk *c, struct arena *a, struct forms *ret,
                           int64_t **ret_code)
{
    struct str head;
    TRY(chunk_part_bytes(c, 0, &head));
    struct reader r = reader_of(head);
    struct forms f = {.n = read_u8(&r)};
    if (f.n == 0 || f.n > FORMS_MAX || !lane_is_text(c->lane) ||
        (c->encoding == ENC_TIME && !c->time))
        return err_set(ERR_CORRUPT, "bad forms of times");
    for (uint32_t i = 0; i < f.n; i++) {
        struct time_form *t = &f.form[i];
        t->kind = read_u8(&r);
        t->digits = read_u8(&r);
        t->sep = read_u8(&r);
        t->frac = read_u8(&r);
        t->zone = read_u8(&r);
        read_u8(&r);
        t->offset_min = (int16_t)read_u16(&r);
        if (t->kind >= TIME_KIND_COUNT || t->digits > 9 || t->offset_min < -1440 ||
            t->offset_min > 1440 || !time_form_exact(t))
            return err_set(ERR_CORRUPT, "bad form of times");
    }
    *ret_code = NULL;
    if (f.n > 1) {
        int64_t *code = ARENA_TRY_ARRAY(a, int64_t, c->n);
        if (!code)
            return err_set(ERR_NOMEM, "no memory for %u forms", c->n);
        TRY(ints_decode(&r, c->n, a, code));
        for (uint32_t i = 0; i < c->n; i++)
            if ((uint64_t)code[i] >= f.n)
                return err_set(ERR_CORRUPT, "bad number of a form of times");
        *ret_code = code;
    }
    if (r.bad || reader_left(&r))
        return err_set(ERR_CORRUPT, "bad forms of times");
    *ret = f;
    return OK;
}

static enum err texts_of(const struct chunk *c, const uint32_t *pos, const int64_t *off, uint32_t n,
                         struct arena *a, struct values *ret)
{
    struct forms f;
    int64_t *code;
    const int64_t *time = NULL;
    struct text_out out;
    struct time_writer w = {0};
    TRY(forms_open(c, a, &f, &code));
    if (c->encoding == ENC_TIME)
        TRY(c->time(c->time_ctx, &time));
    TRY(text_out_init(&out, n, (uint64_t)n * TIME_TEXT_MAX, a));
    for (uint32_t i = 0; i < n; i++) {
        uint32_t at = pos ? pos[i] : i;
        int64_t ns = (int64_t)((time ? (uint64_t)time[at] : 0) + (uint64_t)off[i]);
        out.used += time_format_next(&w, &f.form[code ? code[at] : 0], ns, out.bytes + out.used);
        out.off[++out.n] = (uint32_t)out.used;
    }
    *ret = text_out_values(&out, c->lane);
    return OK;
}

static enum err time_values(const struct chunk *c, struct arena *a, struct values *ret)
{
    int64_t *off;
    TRY(part_ints(c, 1, 0, c->n, a, &off));
    return texts_of(c, NULL, off, c->n, a, ret);
}

static enum err time_get(const struct chunk *c, const uint32_t *pos, uint32_t n, struct arena *a,
                         struct values *ret)
{
    int64_t *off;
    TRY(part_ints_get(c, 1, 0, pos, n, a, &off));
    return texts_of(c, pos, off, n, a, ret);
}

/* Times of digits alone hold none of the letters that most needles have. */
static void allow(const struct forms *f, bool allowed[256])
{
    for (const char *p = "0123456789-+:.,/ tzutc"; *p; p++)
        allowed[(uint8_t)*p] = true;
    for (uint32_t i = 0; i < f->n; i++)
        if (f->form[i].kind == TIME_APACHE || f->form[i].kind == TIME_RFC1123 ||
            f->form[i].kind == TIME_SYSLOG)
            for (int l = 'a'; l <= 'z'; l++)
                allowed[l] = true;
}

static enum err time_match(const struct chunk *c, const struct predicate *p, struct arena *a,
                           uint64_t *bits)
{
    struct forms f;
    int64_t *code;
    bool allowed[256] = {0};
    TRY(forms_open(c, a, &f, &code));
    allow(&f, allowed);
    if (!text_could_match(p, allowed))
        return OK;
    struct values v;
    TRY(time_values(c, a, &v));
    return predicate_match(p, &v, bits);
}

const struct encoding_ops encoding_time = {
    .name = "time", .values = time_values, .get = time_get, .match = time_match};
const struct encoding_ops encoding_instant = {
    .name = "instant", .values = time_values, .get = time_get, .match = time_match};
