/* Quantiles by a merging t-digest, distinct counts by HyperLogLog; see sketch.h for the sources. */
#include "query/sketch.h"

#include "core/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CENTROIDS = 400, FRESH = 4096, SMALL_SORT = 48 };

static void grow(struct quantile *q, uint32_t need)
{
    if (need <= q->cap)
        return;
    uint32_t cap = q->cap ? q->cap * 2 : 64;
    cap = cap < need ? need : cap;
    q->value = mem_realloc(q->value, cap * sizeof(double));
    if (q->weight)
        q->weight = mem_realloc(q->weight, cap * sizeof(double));
    q->cap = cap;
}

/* k1: clusters near the ends hold few values. One step on from the angle whose sine is 2 q0 - 1, by
 * the addition theorem. */
static double scale_limit(double q0)
{
    static const double step_sin = 0x1.0159438a60e6fp-6, step_cos = 0x1.ffefd47916312p-1;
    double x = 2 * q0 - 1;
    if (x >= step_cos)
        return 1;
    double cosine = x * x < 1 ? sqrt(1 - x * x) : 0;
    return (x * step_cos + cosine * step_sin + 1) / 2;
}

/* Doubles as integers of the same order, and back. */
static uint64_t to_ordered(double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof(bits));
    return bits >> 63 ? ~bits : bits | 1ULL << 63;
}

static double from_ordered(uint64_t key)
{
    uint64_t bits = key >> 63 ? key & ~(1ULL << 63) : ~key;
    double v;
    memcpy(&v, &bits, sizeof(v));
    return v;
}

/* Least significant byte first; a byte that all keys share costs one pass over a histogram only. */
static void sort_values(double *value, uint32_t n)
{
    if (n < SMALL_SORT) {
        for (uint32_t i = 1; i < n; i++) {
            double v = value[i];
            uint32_t k = i;
            for (; k && value[k - 1] > v; k--)
                value[k] = value[k - 1];
            value[k] = v;
        }
        return;
    }
    uint64_t *key = mem_alloc(2 * n * sizeof(*key)), *other = key + n, *from = key;
    uint32_t(*count)[256] = mem_zalloc(8 * sizeof(*count));
    for (uint32_t i = 0; i < n; i++) {
        key[i] = to_ordered(value[i]);
        for (int b = 0; b < 8; b++)
            count[b][key[i] >> 8 * b & 255]++;
    }
    for (int b = 0; b < 8; b++) {
        if (count[b][from[0] >> 8 * b & 255] == n)
            continue;
        uint32_t at = 0;
        for (int k = 0; k < 256; k++) {
            uint32_t here = count[b][k];
            count[b][k] = at;
            at += here;
        }
        for (uint32_t i = 0; i < n; i++)
            other[count[b][from[i] >> 8 * b & 255]++] = from[i];
        uint64_t *swap = from;
        from = other;
        other = swap;
    }
    for (uint32_t i = 0; i < n; i++)
        value[i] = from_ordered(from[i]);
    mem_free(count);
    mem_free(key);
}

/* From values to centroids of one value each. */
static void weigh(struct quantile *q)
{
    if (q->weight)
        return;
    grow(q, 1);
    q->weight = mem_alloc(q->cap * sizeof(double));
    for (uint32_t i = 0; i < q->n; i++)
        q->weight[i] = 1;
}

struct centroid {
    double mean, weight;
};

/* Merges two ascending runs that lie next to each other. */
static void merge_runs(const struct centroid *from, uint32_t n, uint32_t second,
                       struct centroid *to)
{
    uint32_t a = 0, b = second;
    for (uint32_t i = 0; i < n; i++) {
        bool first = b == n || (a < second && !(from[a].mean > from[b].mean));
        to[i] = from[first ? a++ : b++];
    }
}

static uint32_t run_end(const struct centroid *c, uint32_t at, uint32_t n)
{
    while (++at < n && !(c[at - 1].mean > c[at].mean))
        ;
    return at;
}

/* Ascending runs (NaN is in none the less) are merged two by two: digests that came in are one run
 * each. Returns where the
 * result is, `c` or `other`. */
static struct centroid *sort_centroids(struct centroid *c, struct centroid *other, uint32_t n)
{
    for (bool whole = n == 0; !whole;) {
        for (uint32_t at = 0; at < n;) {
            uint32_t second = run_end(c, at, n), end = second < n ? run_end(c, second, n) : n;
            whole = at == 0 && end == n;
            merge_runs(c + at, end - at, second - at, other + at);
            at = end;
        }
        struct centroid *swap = c;
        c = other;
        other = swap;
    }
    return c;
}

/* Orders the fresh centroids: single values, unless another digest was merged in. */
static void sort_fresh(struct quantile *q)
{
    double *value = q->value + q->sorted, *weight = q->weight + q->sorted;
    uint32_t n = q->n - q->sorted;
    bool single = true;
    for (uint32_t i = 0; i < n; i++)
        single &= weight[i] == 1;
    if (single) {
        sort_values(value, n);
        return;
    }
    struct centroid *room = mem_alloc(2 * n * sizeof(*room));
    for (uint32_t i = 0; i < n; i++)
        room[i] = (struct centroid){value[i], weight[i]};
    const struct centroid *c = sort_centroids(room, room + n, n);
    for (uint32_t i = 0; i < n; i++) {
        value[i] = c[i].mean;
        weight[i] = c[i].weight;
    }
    mem_free(room);
}

/* The merged ones and the fresh ones in one order. */
static struct centroid *in_order(const struct quantile *q)
{
    struct centroid *c = mem_alloc(q->n * sizeof(*c));
    uint32_t a = 0, b = q->sorted;
    for (uint32_t i = 0; i < q->n; i++) {
        bool first = b == q->n || (a < q->sorted && q->value[a] <= q->value[b]);
        uint32_t from = first ? a++ : b++;
        c[i] = (struct centroid){q->value[from], q->weight[from]};
    }
    return c;
}

static void compress(struct quantile *q)
{
    weigh(q);
    if (q->n == q->sorted)
        return;
    sort_fresh(q);
    struct centroid *c = in_order(q);
    uint32_t out = 0;
    double before = 0, limit = q->total * scale_limit(0);
    struct centroid now = c[0];
    for (uint32_t i = 1; i < q->n; i++) {
        if (before + now.weight + c[i].weight <= limit) {
            now.weight += c[i].weight;
            now.mean += (c[i].mean - now.mean) * c[i].weight / now.weight;
            continue;
        }
        before += now.weight;
        limit = q->total * scale_limit(before / q->total);
        q->value[out] = now.mean;
        q->weight[out++] = now.weight;
        now = c[i];
    }
    q->value[out] = now.mean;
    q->weight[out++] = now.weight;
    q->n = q->sorted = out;
    mem_free(c);
}

static void add_weighted(struct quantile *q, double v, double weight)
{
    if (isnan(v))
        return;
    if (q->weight ? q->n - q->sorted >= FRESH : q->n >= QUANTILE_EXACT)
        compress(q);
    grow(q, q->n + 1);
    q->value[q->n] = v;
    if (q->weight)
        q->weight[q->n] = weight;
    q->min = q->total == 0 || v < q->min ? v : q->min;
    q->max = q->total == 0 || v > q->max ? v : q->max;
    q->n++;
    q->total += weight;
}

void quantile_add(struct quantile *q, double v)
{
    add_weighted(q, v, 1);
}

/* The centroids of another digest, as many at once as there is room for. What an empty one gets
 * stays merged as it is. */
static void add_digest(struct quantile *into, const struct quantile *from)
{
    bool first = into->n == 0;
    for (uint32_t at = 0; at < from->n;) {
        if (into->n - into->sorted >= FRESH)
            compress(into);
        uint32_t room = FRESH - (into->n - into->sorted);
        uint32_t n = from->n - at < room ? from->n - at : room;
        grow(into, into->n + n);
        memcpy(into->value + into->n, from->value + at, n * sizeof(double));
        memcpy(into->weight + into->n, from->weight + at, n * sizeof(double));
        for (uint32_t i = 0; i < n; i++)
            into->total += from->weight[at + i];
        into->n += n;
        at += n;
    }
    if (first && into->n == from->n)
        into->sorted = from->sorted;
}

void quantile_merge(struct quantile *into, const struct quantile *from)
{
    if (from->n == 0)
        return;
    bool first = into->total == 0;
    double min = from->min, max = from->max;
    if (from->weight) {
        weigh(into);
        add_digest(into, from);
    } else {
        for (uint32_t i = 0; i < from->n; i++)
            add_weighted(into, from->value[i], 1);
    }
    into->min = first || min < into->min ? min : into->min;
    into->max = first || max > into->max ? max : into->max;
}

void quantile_merge_runs(struct quantile *into, const struct quantile *runs)
{
    if (into->weight || into->n + runs->total > QUANTILE_EXACT) {
        quantile_merge(into, runs);
        return;
    }
    for (uint32_t i = 0; i < runs->n; i++)
        for (uint64_t left = (uint64_t)runs->weight[i]; left > 0; left--)
            add_weighted(into, runs->value[i], 1);
}

void quantile_settle(struct quantile *q)
{
    if (q->weight)
        compress(q);
    else
        sort_values(q->value, q->n);
}

static double exact_get(struct quantile *q, double phi)
{
    sort_values(q->value, q->n);
    double rank = ceil(phi * q->n);
    uint32_t i = rank < 1 ? 0 : (uint32_t)rank - 1;
    return q->value[i < q->n ? i : q->n - 1];
}

double quantile_get(struct quantile *q, double phi)
{
    if (q->n == 0)
        return NAN;
    if (!q->weight)
        return exact_get(q, phi);
    compress(q);
    double target = phi * q->total, before = 0;
    for (uint32_t i = 0; i < q->n; i++) {
        double half = q->weight[i] / 2;
        if (target > before + half) {
            before += q->weight[i];
            continue;
        }
        /* Between the middle of the centroid before and the middle of this one. */
        double left = i ? q->value[i - 1] : q->min;
        double left_at = i ? before - q->weight[i - 1] / 2 : 0;
        double span = before + half - left_at;
        return span > 0 ? left + (q->value[i] - left) * (target - left_at) / span : q->value[i];
    }
    double last = q->weight[q->n - 1] / 2;
    double over = target - (q->total - last);
    return q->value[q->n - 1] + (q->max - q->value[q->n - 1]) * (last > 0 ? over / last : 1);
}

void quantile_release(struct quantile *q)
{
    mem_free(q->value);
    mem_free(q->weight);
    *q = (struct quantile){0};
}

size_t quantile_bytes(const struct quantile *q)
{
    return q->cap * sizeof(double) * (q->weight ? 2 : 1);
}

/* ---- distinct ---- */

enum { HLL_BITS = 16, HLL_REGS = 1 << HLL_BITS, HLL_Q = 64 - HLL_BITS };

static void hll_add(uint8_t *reg, uint64_t hash)
{
    uint64_t rest = hash << HLL_BITS;
    uint8_t rho = (uint8_t)(rest ? __builtin_clzll(rest) + 1 : HLL_Q + 1);
    uint8_t *r = &reg[hash >> HLL_Q];
    if (rho > *r)
        *r = rho;
}

static void to_registers(struct distinct *d)
{
    uint8_t *reg = mem_zalloc(HLL_REGS);
    for (uint32_t i = 0; i < d->cap; i++)
        if (d->hash[i])
            hll_add(reg, d->hash[i]);
    mem_free(d->hash);
    d->hash = NULL;
    d->reg = reg;
    d->cap = 0;
}

static bool set_put(uint64_t *table, uint32_t cap, uint64_t hash)
{
    uint32_t i = (uint32_t)hash & (cap - 1);
    while (table[i]) { /* NOLINT(clang-analyzer-core.NullDereference): cap is not 0 */
        if (table[i] == hash)
            return false;
        i = (i + 1) & (cap - 1);
    }
    table[i] = hash;
    return true;
}

static void set_grow(struct distinct *d)
{
    uint32_t cap = d->cap ? d->cap * 2 : 16;
    uint64_t *table = mem_zalloc(cap * sizeof(*table));
    for (uint32_t i = 0; i < d->cap; i++)
        if (d->hash[i])
            set_put(table, cap, d->hash[i]);
    mem_free(d->hash);
    d->hash = table;
    d->cap = cap;
}

void distinct_add(struct distinct *d, uint64_t hash)
{
    if (d->reg) {
        hll_add(d->reg, hash);
        return;
    }
    hash = hash ? hash : 1;
    if ((d->n + 1) * 2 > d->cap)
        set_grow(d);
    d->n += set_put(d->hash, d->cap, hash);
    if (d->n > DISTINCT_EXACT)
        to_registers(d);
}

void distinct_merge(struct distinct *into, const struct distinct *from)
{
    for (uint32_t i = 0; !from->reg && i < from->cap; i++)
        if (from->hash[i])
            distinct_add(into, from->hash[i]);
    if (!from->reg)
        return;
    if (!into->reg)
        to_registers(into);
    for (uint32_t i = 0; i < HLL_REGS; i++)
        if (from->reg[i] > into->reg[i])
            into->reg[i] = from->reg[i];
}

static double sigma(double x)
{
    if (x == 1)
        return INFINITY;
    double y = 1, z = x, before;
    do {
        x *= x;
        before = z;
        z += x * y;
        y += y;
    } while (z != before);
    return z;
}

static double tau(double x)
{
    if (x == 0 || x == 1)
        return 0;
    double y = 1, z = 1 - x, before;
    do {
        x = sqrt(x);
        before = z;
        y /= 2;
        z -= (1 - x) * (1 - x) * y;
    } while (z != before);
    return z / 3;
}

uint64_t distinct_count(const struct distinct *d)
{
    if (!d->reg)
        return d->n;
    uint32_t count[HLL_Q + 2] = {0};
    for (uint32_t i = 0; i < HLL_REGS; i++)
        count[d->reg[i]]++;
    double m = HLL_REGS;
    double z = m * tau(1 - count[HLL_Q + 1] / m);
    for (int k = HLL_Q; k >= 1; k--)
        z = (z + count[k]) / 2;
    z += m * sigma(count[0] / m);
    return (uint64_t)llround(m * m / (2 * M_LN2) / z);
}

void distinct_release(struct distinct *d)
{
    mem_free(d->hash);
    mem_free(d->reg);
    *d = (struct distinct){0};
}

size_t distinct_bytes(const struct distinct *d)
{
    return d->reg ? HLL_REGS : d->cap * sizeof(uint64_t);
}
