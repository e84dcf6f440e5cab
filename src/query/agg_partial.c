/* A table of groups as bytes and back, for who keeps it in memory (partial.h).
 *
 *   u64 groups; of each: u64 length of its key, the key; of each function a state:
 *     u64 n, then
 *     sum, avg        i128 whole, i128 near, u64 real, and + 2 where a struct wide follows
 *     min ... last    u64 lane, scale, numeric as bytes; i64, f64; i64 time, u64 position, u64
 *                     partition and index; u64 length of the text, the text
 *     percentile      u64 items (0: none), u64 form; f64 total, min, max, then by the form
 *       a digest      u64 sorted; f64 values; f64 weights
 *       runs          of equal values, ascending: f64 values; f64 how many of each
 *       whole + k     runs, where all values by 10^k are integers: u64 bytes, and in these varints:
 *                     the first integer (zigzag), then what the next is greater by, and before each
 *                     of them how many there are of it
 *     distinct        u64 hashes, u64 capacity (0: none), u64 1 where there are registers; the
 *                     hashes or 2^16 registers
 *
 * Texts and keys are followed by zeros up to a multiple of 8. */
#include "query/agg_impl.h"

#include "core/mem.h"
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

enum quantile_form { FORM_DIGEST, FORM_RUNS, FORM_WHOLE };
enum { POWERS = 7, WHOLE_MAX = 1 << 30 };
static const double power_of_ten[POWERS] = {1, 10, 100, 1e3, 1e4, 1e5, 1e6};

static bool same(double a, double b)
{
    return memcmp(&a, &b, sizeof(a)) == 0; /* NOLINT(bugprone-suspicious-memory-comparison): -0 */
}

/* Sorted values become runs of equal ones, in place; the numbers go to `count`. */
static uint32_t to_runs(double *value, uint32_t n, double *count)
{
    uint32_t runs = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (runs && same(value[runs - 1], value[i])) {
            count[runs - 1]++;
            continue;
        }
        value[runs] = value[i];
        count[runs++] = 1;
    }
    return runs;
}

/* The least power by which all are integers, from which they come back bit by bit. */
static int whole_by(const double *value, uint32_t n)
{
    int k = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (!(value[i] > -WHOLE_MAX && value[i] < WHOLE_MAX))
            return POWERS;
        while (k < POWERS &&
               !same((double)llround(value[i] * power_of_ten[k]) / power_of_ten[k], value[i]))
            k++;
        if (k == POWERS)
            return k;
    }
    return k;
}

static void put_whole(const double *value, const double *count, uint32_t n, int k, struct buf *out)
{
    struct buf packed;
    int64_t last = 0;
    buf_init(&packed, SIZE_MAX);
    for (uint32_t i = 0; i < n; i++) {
        int64_t v = llround(value[i] * power_of_ten[k]);
        buf_put_varint(&packed, (uint64_t)count[i]);
        buf_put_varint(&packed, i ? (uint64_t)(v - last) : zigzag(v));
        last = v;
    }
    put_text(out, buf_str(&packed));
    buf_release(&packed);
}

static void put_runs(const struct quantile *q, struct buf *out)
{
    double *value = mem_alloc(2 * q->n * sizeof(*value)), *count = value + q->n;
    memcpy(value, q->value, q->n * sizeof(*value));
    uint32_t n = to_runs(value, q->n, count);
    int k = whole_by(value, n);
    buf_put_u64(out, n);
    buf_put_u64(out, k < POWERS ? FORM_WHOLE + (uint64_t)k : FORM_RUNS);
    put_f64(out, q->total);
    put_f64(out, q->min);
    put_f64(out, q->max);
    if (k < POWERS) {
        put_whole(value, count, n, k, out);
    } else {
        buf_put(out, value, n * sizeof(double));
        buf_put(out, count, n * sizeof(double));
    }
    mem_free(value);
}

static void put_quantile(struct quantile *q, struct buf *out)
{
    if (!q || !q->n) {
        buf_put_u64(out, 0);
        return;
    }
    quantile_settle(q);
    if (!q->weight) {
        put_runs(q, out);
        return;
    }
    buf_put_u64(out, q->n);
    buf_put_u64(out, FORM_DIGEST);
    put_f64(out, q->total);
    put_f64(out, q->min);
    put_f64(out, q->max);
    buf_put_u64(out, q->sorted);
    buf_put(out, q->value, q->n * sizeof(double));
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

static void put_i128(struct buf *out, __int128 v)
{
    buf_put_u64(out, (uint64_t)v);
    buf_put_u64(out, (uint64_t)((unsigned __int128)v >> 64));
}

static void put_sum(const struct state *s, struct buf *out)
{
    const struct wide *wide = s->sum.wide;
    put_i128(out, s->sum.whole);
    put_i128(out, s->sum.near);
    buf_put_u64(out, (uint64_t)s->real | (uint64_t)(wide != NULL) << 1);
    if (wide)
        buf_put(out, wide, sizeof(*wide));
}

static void put_state(const struct agg_spec *spec, const struct state *s, struct buf *out)
{
    buf_put_u64(out, s->n);
    switch (spec->kind) {
    case AGG_COUNT:
        return;
    case AGG_SUM:
    case AGG_AVG:
        put_sum(s, out);
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
    bool runs;        /* the quantile is of FORM_RUNS or FORM_WHOLE */
    struct buf *room; /* for what is unpacked */
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

static void read_whole(struct reader *r, int k, struct buf *room, struct quantile *q)
{
    struct reader packed = reader_of(read_text(r));
    int64_t v = 0;
    buf_clear(room);
    q->value = (double *)(void *)buf_reserve(room, 2 * q->n * sizeof(double));
    q->weight = q->value + q->n;
    for (uint32_t i = 0; i < q->n; i++) {
        q->weight[i] = (double)read_varint(&packed);
        uint64_t more = read_varint(&packed);
        v += i ? (int64_t)more : unzigzag(more);
        q->value[i] = (double)v / power_of_ten[k];
    }
}

static void read_quantile(struct reader *r, struct read_state *to)
{
    struct quantile *q = &to->quantile;
    *q = (struct quantile){.n = (uint32_t)read_u64(r)};
    if (!q->n)
        return;
    uint64_t form = read_u64(r);
    q->cap = q->n;
    q->total = read_f64(r);
    q->min = read_f64(r);
    q->max = read_f64(r);
    to->runs = form != FORM_DIGEST;
    to->state.sketch = q;
    if (form >= FORM_WHOLE) {
        read_whole(r, (int)(form - FORM_WHOLE), to->room, q);
        return;
    }
    if (form == FORM_DIGEST)
        q->sorted = (uint32_t)read_u64(r);
    q->value = (double *)(uintptr_t)read_bytes(r, q->n * sizeof(double)).p;
    q->weight = (double *)(uintptr_t)read_bytes(r, q->n * sizeof(double)).p;
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

static __int128 read_i128(struct reader *r)
{
    uint64_t low = read_u64(r);
    return (__int128)((unsigned __int128)read_u64(r) << 64 | low);
}

static void read_sum(struct reader *r, struct state *s)
{
    s->sum.whole = read_i128(r);
    s->sum.near = read_i128(r);
    uint64_t flags = read_u64(r);
    s->real = flags & 1;
    if (flags & 2)
        s->sum.wide = (struct wide *)(uintptr_t)read_bytes(r, sizeof(struct wide)).p;
}

static void read_state(const struct agg_spec *spec, struct reader *r, struct read_state *to)
{
    to->state = (struct state){.n = read_u64(r)};
    switch (spec->kind) {
    case AGG_COUNT:
        return;
    case AGG_SUM:
    case AGG_AVG:
        read_sum(r, &to->state);
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

/* The bytes that it grew by. */
static size_t merge_read(const struct agg_spec *spec, struct state *into, struct read_state *from)
{
    if (!from->runs)
        return agg_merge_state(spec, into, &from->state);
    if (!into->sketch)
        into->sketch = NEW(struct quantile);
    size_t before = quantile_bytes(into->sketch);
    quantile_merge_runs(into->sketch, &from->quantile);
    return quantile_bytes(into->sketch) - before;
}

enum err agg_merge_written(struct agg_table *into, struct str bytes)
{
    struct reader r = reader_of(bytes);
    struct buf room;
    size_t grown = 0;
    uint64_t groups = read_u64(&r);
    bool fits = agg_room(into, groups > into->n ? groups : into->n);
    buf_init(&room, SIZE_MAX);
    for (uint64_t left = groups; left > 0 && fits; left--) {
        struct group *g = agg_group(into, read_text(&r));
        fits = g != NULL;
        for (uint32_t a = 0; fits && a < into->pipe->n_aggs; a++) {
            struct read_state from = {.room = &room};
            read_state(&into->pipe->agg[a], &r, &from);
            CHECK(!r.bad); /* written by agg_write, and never left memory */
            grown += merge_read(&into->pipe->agg[a], &g->state[a], &from);
        }
    }
    buf_release(&room);
    if (fits && grown)
        fits = reservation_grow(&into->res, grown) == OK;
    return fits ? OK : agg_too_large(into);
}
