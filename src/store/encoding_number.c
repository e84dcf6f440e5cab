/* Numbers, booleans and values without bytes.
 *
 * ENC_INTS     part 0: the values (BOOL: 0 or 1) as integers (ints.c)
 * ENC_DECIMAL  part 0: the scales (1..18) as integers; part 1: the mantissas as integers
 * ENC_DOUBLE   part 0: u8 0, then 8 planes of n bytes: the lowest byte of all, the next, ...
 *              or u8 1, then the values as integers: every value is a whole number of at most 2^53,
 *              none a negative zero
 * ENC_EMPTY    no parts */
#include "store/encoding_ops.h"

#include <math.h>

enum { SCALE_MAX = 18, DOUBLE_PLANES = 0, DOUBLE_INTS = 1 };

static void note_range(struct chunk_stats *s, const struct part_out *ints)
{
    s->has_range = true;
    s->min = ints->min;
    s->max = ints->max;
}

/* ---- writing ---- */

static int64_t *widen(const uint8_t *v, uint32_t n, struct arena *a)
{
    int64_t *to = arena_alloc(a, n * sizeof(int64_t));
    for (uint32_t i = 0; i < n; i++)
        to[i] = v[i];
    return to;
}

enum err encode_ints(const struct encoder *e)
{
    const struct values *v = e->v;
    const int64_t *i64 = v->lane == LANE_BOOL ? widen(v->u8, v->n, e->scratch) : v->i64;
    struct part_out part;
    TRY(part_of_ints(i64, v->n, e->o, e->scratch, &part));
    e->stats->encoding = ENC_INTS;
    note_range(e->stats, &part);
    return chunk_write(ENC_INTS, v->n, &part, 1, e->o, e->scratch, e->out);
}

enum err encode_decimal(const struct encoder *e)
{
    const struct values *v = e->v;
    struct part_out part[2];
    const int64_t *scale = widen(v->scale, v->n, e->scratch);
    TRY(part_of_ints(scale, v->n, e->o, e->scratch, &part[0]));
    TRY(part_of_ints(v->i64, v->n, e->o, e->scratch, &part[1]));
    e->stats->encoding = ENC_DECIMAL;
    bool one = true;
    for (uint32_t i = 1; i < v->n; i++)
        one &= v->scale[i] == v->scale[0];
    if (one) {
        note_range(e->stats, &part[1]);
        e->stats->scale = v->scale[0];
    }
    return chunk_write(ENC_DECIMAL, v->n, part, 2, e->o, e->scratch, e->out);
}

static bool whole_numbers(const double *v, uint32_t n, int64_t *to)
{
    for (uint32_t i = 0; i < n; i++) {
        if (!(fabs(v[i]) <= 9007199254740992.0) || v[i] != floor(v[i]) ||
            (v[i] == 0 && signbit(v[i])))
            return false;
        to[i] = (int64_t)v[i];
    }
    return true;
}

enum err encode_double(const struct encoder *e)
{
    const struct values *v = e->v;
    struct buf b;
    buf_init(&b, SIZE_MAX);
    int64_t *whole = arena_alloc(e->scratch, v->n * sizeof(int64_t));
    if (whole_numbers(v->f64, v->n, whole)) {
        buf_put_u8(&b, DOUBLE_INTS);
        ints_encode(whole, v->n, INTS_PLANES, e->scratch, &b);
    } else {
        buf_put_u8(&b, DOUBLE_PLANES);
        char *to = buf_reserve(&b, (size_t)v->n * 8);
        CHECK(to);
        for (uint32_t i = 0; i < v->n; i++) {
            uint64_t bits;
            memcpy(&bits, &v->f64[i], 8);
            for (unsigned k = 0; k < 8; k++)
                to[(size_t)k * v->n + i] = (char)(bits >> (8 * k));
        }
        b.n += (size_t)v->n * 8;
    }
    struct part_out part = {.raw = buf_str(&b), .zip = ZIP_TRY};
    e->stats->encoding = ENC_DOUBLE;
    enum err err = chunk_write(ENC_DOUBLE, v->n, &part, 1, e->o, e->scratch, e->out);
    buf_release(&b);
    return err;
}

enum err encode_empty(const struct encoder *e)
{
    e->stats->encoding = ENC_EMPTY;
    return chunk_write(ENC_EMPTY, e->v->n, NULL, 0, e->o, e->scratch, e->out);
}

/* ---- reading ---- */

static enum err narrow(const int64_t *v, uint32_t n, int64_t min, int64_t max, struct arena *a,
                       const uint8_t **ret)
{
    uint8_t *to = ARENA_TRY_ARRAY(a, uint8_t, n);
    if (!to)
        return err_set(ERR_NOMEM, "no memory for %u values", n);
    for (uint32_t i = 0; i < n; i++) {
        if (v[i] < min || v[i] > max)
            return err_set(ERR_CORRUPT, "a value out of its range");
        to[i] = (uint8_t)v[i];
    }
    *ret = to;
    return OK;
}

static enum err ints_result(const struct chunk *c, const int64_t *v, uint32_t n, struct arena *a,
                            struct values *ret)
{
    struct values out = {.n = n, .lane = c->lane};
    if (c->lane == LANE_BOOL)
        TRY(narrow(v, n, 0, 1, a, &out.u8));
    else if (c->lane == LANE_INT)
        out.i64 = v;
    else
        return err_set(ERR_CORRUPT, "integers in a column of type %s", lane_name(c->lane));
    *ret = out;
    return OK;
}

static enum err ints_values(const struct chunk *c, struct arena *a, struct values *ret)
{
    int64_t *v;
    TRY(part_ints(c, 0, 0, c->n, a, &v));
    return ints_result(c, v, c->n, a, ret);
}

static enum err ints_pick(const struct chunk *c, const uint32_t *pos, uint32_t n, struct arena *a,
                          struct values *ret)
{
    int64_t *v;
    TRY(part_ints_get(c, 0, 0, pos, n, a, &v));
    return ints_result(c, v, n, a, ret);
}

static enum err decimal_result(const struct chunk *c, const int64_t *scale, const int64_t *mantissa,
                               uint32_t n, struct arena *a, struct values *ret)
{
    struct values out = {.n = n, .lane = c->lane, .i64 = mantissa};
    if (c->lane != LANE_DEC)
        return err_set(ERR_CORRUPT, "decimals in a column of type %s", lane_name(c->lane));
    TRY(narrow(scale, n, 1, SCALE_MAX, a, &out.scale));
    *ret = out;
    return OK;
}

static enum err decimal_values(const struct chunk *c, struct arena *a, struct values *ret)
{
    int64_t *scale, *mantissa;
    TRY(part_ints(c, 0, 0, c->n, a, &scale));
    TRY(part_ints(c, 1, 0, c->n, a, &mantissa));
    return decimal_result(c, scale, mantissa, c->n, a, ret);
}

static enum err decimal_get(const struct chunk *c, const uint32_t *pos, uint32_t n, struct arena *a,
                            struct values *ret)
{
    int64_t *scale, *mantissa;
    TRY(part_ints_get(c, 0, 0, pos, n, a, &scale));
    TRY(part_ints_get(c, 1, 0, pos, n, a, &mantissa));
    return decimal_result(c, scale, mantissa, n, a, ret);
}

static void planes_to_doubles(const uint8_t *p, uint32_t n, double *to)
{
    for (uint32_t i = 0; i < n; i++) {
        uint64_t bits = 0;
        for (unsigned k = 0; k < 8; k++)
            bits |= (uint64_t)p[(size_t)k * n + i] << (8 * k);
        memcpy(&to[i], &bits, 8);
    }
}

static enum err double_values(const struct chunk *c, struct arena *a, struct values *ret)
{
    struct str bytes;
    TRY(chunk_part_bytes(c, 0, &bytes));
    uint8_t kind = bytes.n ? (uint8_t)bytes.p[0] : 255;
    double *to = ARENA_TRY_ARRAY(a, double, c->n);
    if (!to)
        return err_set(ERR_NOMEM, "no memory for %u numbers", c->n);
    if (c->lane != LANE_DBL)
        return err_set(ERR_CORRUPT, "doubles in a column of type %s", lane_name(c->lane));
    if (kind == DOUBLE_INTS) {
        int64_t *v;
        TRY(part_ints(c, 0, 1, c->n, a, &v));
        for (uint32_t i = 0; i < c->n; i++)
            to[i] = (double)v[i];
    } else if (kind == DOUBLE_PLANES && bytes.n - 1 == (size_t)c->n * 8) {
        planes_to_doubles((const uint8_t *)bytes.p + 1, c->n, to);
    } else {
        return err_set(ERR_CORRUPT, "bad form of doubles");
    }
    *ret = (struct values){.n = c->n, .lane = c->lane, .f64 = to};
    return OK;
}

static enum err empty_values(const struct chunk *c, struct arena *a, struct values *ret)
{
    if (!lane_is_empty(c->lane))
        return err_set(ERR_CORRUPT, "no values in a column of type %s", lane_name(c->lane));
    *ret = (struct values){.n = c->n, .lane = c->lane};
    return OK;
}

static enum err empty_get(const struct chunk *c, const uint32_t *pos, uint32_t n, struct arena *a,
                          struct values *ret)
{
    TRY(empty_values(c, a, ret));
    ret->n = n;
    return OK;
}

const struct encoding_ops encoding_ints = {.name = "ints", .values = ints_values, .get = ints_pick};
const struct encoding_ops encoding_decimal = {
    .name = "decimal", .values = decimal_values, .get = decimal_get};
const struct encoding_ops encoding_double = {.name = "double", .values = double_values};
const struct encoding_ops encoding_empty = {
    .name = "empty", .values = empty_values, .get = empty_get};
