/* A table of groups as bytes and back, for who keeps it in memory (partial.h).
 *
 *   u64 groups; of each: u64 length of its key, the key; of each function a state:
 *     u64 n, then
 *     sum, avg        i64 sum, f64 fsum, f64 frest, u64 real
 *     min ... last    u64 lane, scale, numeric as bytes; i64, f64; i64 time, u64 position, u64
 *                     partition and index; u64 length of the text, the text
 *     percentile      u64 values (0: none), sorted, u64 1 where there are weights; f64 total, min,
 *                     max; f64 values; f64 weights
 *     distinct        u64 hashes, u64 capacity (0: none), u64 1 where there are registers; the
 *                     hashes or 2^16 registers
 *
 * Texts and keys are followed by zeros up to a multiple of 8. */
#include "query/agg_impl.h"

#include "query/partial.h"
#include "query/sketch.h"

enum { REGISTERS = 1 << 16 };

bool agg_can_write(const struct pipe *pipe)
{
    for (uint32_t a = 0; a < pipe->n_aggs; a++)
        if (pipe->agg[a].kind > AGG_DISTINCT && pipe->agg[a].kind != AGG_FIRST &&
            pipe->agg[a].kind != AGG_LAST)
            return false;
    return !pipe->patterns;
}

/* ---- writing ---- */

static void put_text(struct buf *out, struct str s)
{
    buf_put_u64(out, s.n);
    buf_put_str(out, s);
    while (out->n % 8 && out->n < out->max)
        buf_put_byte(out, 0);
}

static void put_f64(struct buf *out, double v)
{
    buf_put(out, &v, sizeof(v));
}

static void put_best(const struct state *s, struct buf *out)
{
    uint64_t flags =
        (uint64_t)s->best.lane | (uint64_t)s->best.scale << 8 | (uint64_t)s->best.numeric << 16;
    buf_put_u64(out, flags);
    buf_put_u64(out, (uint64_t)s->best.i64);
    put_f64(out, s->best.f64);
    buf_put_u64(out, (uint64_t)s->order.time);
    buf_put_u64(out, s->order.position);
    buf_put_u64(out, (uint64_t)s->order.partition << 32 | s->order.index);
    put_text(out, s->best.text);
}

static void put_quantile(struct quantile *q, struct buf *out)
{
    if (q)
        quantile_settle(q);
    buf_put_u64(out, q ? q->n : 0);
    if (!q || !q->n)
        return;
    buf_put_u64(out, q->sorted);
    buf_put_u64(out, q->weight != NULL);
    put_f64(out, q->total);
    put_f64(out, q->min);
    put_f64(out, q->max);
    buf_put(out, q->value, q->n * sizeof(double));
    if (q->weight)
        buf_put(out, q->weight, q->n * sizeof(double));
}

static void put_distinct(const struct distinct *d, struct buf *out)
{
    buf_put_u64(out, d ? d->n : 0);
    buf_put_u64(out, d ? d->cap : 0);
    buf_put_u64(out, d && d->reg);
    if (d && d->reg)
        buf_put(out, d->reg, REGISTERS);
    else if (d)
        buf_put(out, d->hash, d->cap * sizeof(uint64_t));
}

static void put_state(const struct agg_spec *spec, const struct state *s, struct buf *out)
{
    buf_put_u64(out, s->n);
    switch (spec->kind) {
    case AGG_COUNT:
        return;
    case AGG_SUM:
    case AGG_AVG:
        buf_put_u64(out, (uint64_t)s->sum);
        put_f64(out, s->fsum);
        put_f64(out, s->frest);
        buf_put_u64(out, s->real);
        return;
    case AGG_PERCENTILE:
        put_quantile(s->sketch, out);
        return;
    case AGG_DISTINCT:
        put_distinct(s->sketch, out);
        return;
    default:
        put_best(s, out);
    }
}

void agg_write(const struct agg_table *t, struct buf *out)
{
    buf_put_u64(out, t->n);
    for (uint32_t g = 0; g < t->n; g++) {
        put_text(out, t->group[g]->key);
        for (uint32_t a = 0; a < t->pipe->n_aggs; a++)
            put_state(&t->pipe->agg[a], &t->group[g]->state[a], out);
    }
}

/* ---- reading ---- */

/* A state over the bytes, for agg_merge_state to read; its sketch is one of these. */
struct read_state {
    struct state state;
    union {
        struct quantile quantile;
        struct distinct distinct;
    };
};

static struct str read_text(struct reader *r)
{
    uint64_t n = read_u64(r);
    struct str s = read_bytes(r, n);
    (void)read_bytes(r, (8 - n % 8) % 8);
    return s;
}

static double read_f64(struct reader *r)
{
    uint64_t bits = read_u64(r);
    double v;
    memcpy(&v, &bits, sizeof(v));
    return v;
}

static void read_best(struct reader *r, struct state *s)
{
    uint64_t flags = read_u64(r);
    s->best.lane = (uint8_t)flags;
    s->best.scale = (uint8_t)(flags >> 8);
    s->best.numeric = flags >> 16 & 1;
    s->best.i64 = (int64_t)read_u64(r);
    s->best.f64 = read_f64(r);
    s->order.time = (int64_t)read_u64(r);
    s->order.position = read_u64(r);
    uint64_t both = read_u64(r);
    s->order.partition = (uint32_t)(both >> 32);
    s->order.index = (uint32_t)both;
    s->best.text = read_text(r);
    if (!s->best.text.n && !lane_is_text(s->best.lane))
        s->best.text.p = NULL;
}

static void read_quantile(struct reader *r, struct read_state *to)
{
    struct quantile *q = &to->quantile;
    *q = (struct quantile){.n = (uint32_t)read_u64(r)};
    if (!q->n)
        return;
    q->cap = q->n;
    q->sorted = (uint32_t)read_u64(r);
    bool weights = read_u64(r);
    q->total = read_f64(r);
    q->min = read_f64(r);
    q->max = read_f64(r);
    q->value = (double *)(uintptr_t)read_bytes(r, q->n * sizeof(double)).p;
    if (weights)
        q->weight = (double *)(uintptr_t)read_bytes(r, q->n * sizeof(double)).p;
    to->state.sketch = q;
}

static void read_distinct(struct reader *r, struct read_state *to)
{
    struct distinct *d = &to->distinct;
    *d = (struct distinct){.n = (uint32_t)read_u64(r), .cap = (uint32_t)read_u64(r)};
    if (read_u64(r))
        d->reg = (uint8_t *)(uintptr_t)read_bytes(r, REGISTERS).p;
    else
        d->hash = (uint64_t *)(uintptr_t)read_bytes(r, d->cap * sizeof(uint64_t)).p;
    if (d->cap || d->reg)
        to->state.sketch = d;
}

static void read_state(const struct agg_spec *spec, struct reader *r, struct read_state *to)
{
    to->state = (struct state){.n = read_u64(r)};
    switch (spec->kind) {
    case AGG_COUNT:
        return;
    case AGG_SUM:
    case AGG_AVG:
        to->state.sum = (int64_t)read_u64(r);
        to->state.fsum = read_f64(r);
        to->state.frest = read_f64(r);
        to->state.real = read_u64(r);
        return;
    case AGG_PERCENTILE:
        read_quantile(r, to);
        return;
    case AGG_DISTINCT:
        read_distinct(r, to);
        return;
    default:
        read_best(r, &to->state);
    }
}

enum err agg_merge_written(struct agg_table *into, struct str bytes)
{
    struct reader r = reader_of(bytes);
    size_t grown = 0;
    for (uint64_t left = read_u64(&r); left > 0; left--) {
        struct group *g = agg_group(into, read_text(&r));
        if (!g)
            return agg_too_large(into);
        for (uint32_t a = 0; a < into->pipe->n_aggs; a++) {
            struct read_state from;
            read_state(&into->pipe->agg[a], &r, &from);
            CHECK(!r.bad); /* written by agg_write, and never left memory */
            grown += agg_merge_state(&into->pipe->agg[a], &g->state[a], &from.state);
        }
    }
    return grown && reservation_grow(&into->res, grown) != OK ? agg_too_large(into) : OK;
}
