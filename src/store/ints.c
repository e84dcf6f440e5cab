/* Integer sequences in few bytes.
 *
 * A sequence of n int64 (n is known from outside; 0 values are 0 bytes):
 *
 *   u8 kind    low four bits: 0 constant, 1 frame, 2 delta, 3 runs;
 *              bit 4: residues in planes instead of packed
 *   constant   zigzag varint value
 *   frame      zigzag varint base, varint divisor, residues of all n:
 *              value = base + residue * divisor
 *   delta      zigzag varint first value, zigzag varint base, varint divisor,
 *              residues of n - 1: value = value before + base + residue * divisor
 *   runs       varint count (1..n), a sequence of `count` values, a sequence of `count` lengths
 *              (each at least 1, together n); neither of the two is of kind runs
 *
 *   residues, packed   u8 width of all in bits (0..64), or 255 and one such byte a block of 128;
 *                      then the blocks, each ceil(count * width / 8) bytes; value i at bits
 *                      [i * width, (i + 1) * width), low bits first
 *   residues, planes   u8 bytes a value (1..8), then the lowest byte of every value, then the next
 *                      byte of every value, and so on
 *
 * All arithmetic is modulo 2^64, so that no range of values is special. The encoder measures frame,
 * delta and runs and takes the smallest, but runs at once where they are few. */
#include "store/ints.h"

#include <stdlib.h>
#ifdef __x86_64__
#include <immintrin.h>
#endif

enum { KIND_CONST, KIND_FRAME, KIND_DELTA, KIND_RUNS, KIND_MASK = 15, FLAG_PLANES = 16 };
enum { BASE_BLOCKS = 4, BASE_RANGE = 16, STEPS = 8, WAY_EACH = 8 };
enum {
    RUNS_SURE = 256 /* no other way is measured where there is at most one in so many values */
};
enum { BLOCK = 128, WIDTH_EACH = 255, WIDTH_MAX = 64, FILL = 8 };

static uint32_t block_count(uint32_t n)
{
    return n / BLOCK + (n % BLOCK != 0);
}

static uint32_t block_len(uint32_t n, uint32_t block)
{
    uint32_t left = n - block * BLOCK;
    return left < BLOCK ? left : BLOCK;
}

static size_t packed_bytes(uint32_t n, unsigned width)
{
    return ((size_t)n * width + 7) / 8;
}

static uint64_t load64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof(v));
    return v;
}

/* ---- encoding ---- */

/* Of a block of a sequence, or of the steps of one. */
struct extent {
    int64_t min, max;
};
struct scan {
    struct extent all, steps;
    uint32_t runs;
    struct extent *of, *step; /* of each block: its values, the steps to the values behind them */
};

static inline void widen(struct extent *x, int64_t v)
{
    x->min = v < x->min ? v : x->min;
    x->max = v > x->max ? v : x->max;
}

static inline void widen_by(struct extent *x, const struct extent *y)
{
    x->min = y->min < x->min ? y->min : x->min;
    x->max = y->max > x->max ? y->max : x->max;
}

static inline int64_t step_at(const int64_t *v, uint32_t i)
{
    return (int64_t)((uint64_t)v[i + 1] - (uint64_t)v[i]);
}

/* The sum of n steps without their signs, at most BLOCK of them. */
static double way_of(const int64_t *v, uint32_t n, const struct extent *steps)
{
    const int64_t small = (int64_t)1 << 54;
    uint64_t sum = 0;
    double way = 0;
    if (steps->min > -small && steps->max < small) {
        for (uint32_t i = 0; i < n; i++) {
            int64_t d = step_at(v, i);
            sum += (uint64_t)(d < 0 ? -d : d);
        }
        return (double)sum;
    }
    for (uint32_t i = 0; i < n; i++) {
        double d = (double)step_at(v, i);
        way += d < 0 ? -d : d;
    }
    return way;
}

/* About the sum of all steps without their signs: of every WAY_EACH-th block. */
static double way_of_all(const int64_t *v, uint32_t n, const struct scan *s)
{
    double way = 0;
    uint32_t seen = 0;
    for (uint32_t b = 0; b < block_count(n - 1); b += WAY_EACH) {
        uint32_t len = block_len(n - 1, b);
        way += way_of(v + (size_t)b * BLOCK, len, &s->step[b]);
        seen += len;
    }
    return way * (n - 1) / seen;
}

/* Of the first values and the steps to the values behind them; returns of how many. */
#ifdef __x86_64__
#define AVX2 __attribute__((target("avx2")))

AVX2 static void widen_by_lanes(struct extent *x, __m256i min, __m256i max)
{
    int64_t lane[8];
    _mm256_storeu_si256((__m256i *)lane, min);
    _mm256_storeu_si256((__m256i *)(lane + 4), max);
    for (unsigned i = 0; i < 4; i++)
        widen_by(x, &(struct extent){lane[i], lane[i + 4]});
}

AVX2 static uint32_t scan_lanes(const int64_t *v, uint32_t steps, struct extent *of,
                                struct extent *step, uint32_t *runs)
{
    __m256i min = _mm256_set1_epi64x(INT64_MAX), max = _mm256_set1_epi64x(INT64_MIN);
    __m256i step_min = min, step_max = max, same = _mm256_setzero_si256();
    uint32_t n = steps / 4 * 4;
    for (uint32_t i = 0; i < n; i += 4) {
        __m256i x = _mm256_loadu_si256((const __m256i *)(v + i));
        __m256i d = _mm256_sub_epi64(_mm256_loadu_si256((const __m256i *)(v + i + 1)), x);
        min = _mm256_blendv_epi8(min, x, _mm256_cmpgt_epi64(min, x));
        max = _mm256_blendv_epi8(max, x, _mm256_cmpgt_epi64(x, max));
        step_min = _mm256_blendv_epi8(step_min, d, _mm256_cmpgt_epi64(step_min, d));
        step_max = _mm256_blendv_epi8(step_max, d, _mm256_cmpgt_epi64(d, step_max));
        same = _mm256_sub_epi64(same, _mm256_cmpeq_epi64(d, _mm256_setzero_si256()));
    }
    int64_t equal[4];
    _mm256_storeu_si256((__m256i *)equal, same);
    *runs += n - (uint32_t)(equal[0] + equal[1] + equal[2] + equal[3]);
    widen_by_lanes(of, min, max);
    widen_by_lanes(step, step_min, step_max);
    return n;
}

static uint32_t scan_some(const int64_t *v, uint32_t steps, struct extent *of, struct extent *step,
                          uint32_t *runs)
{
    return steps >= 4 && __builtin_cpu_supports("avx2") ? scan_lanes(v, steps, of, step, runs) : 0;
}
#else
static uint32_t scan_some(const int64_t *v, uint32_t steps, struct extent *of, struct extent *step,
                          uint32_t *runs)
{
    (void)v, (void)steps, (void)of, (void)step, (void)runs;
    return 0;
}
#endif

/* A block of n values, behind all of which but maybe the last another stands: so many steps. */
static void scan_block(const int64_t *v, uint32_t n, uint32_t steps, struct extent *of,
                       struct extent *step, uint32_t *runs)
{
    *of = *step = (struct extent){INT64_MAX, INT64_MIN};
    uint32_t i = scan_some(v, steps, of, step, runs);
    for (; i < steps; i++) {
        int64_t d = step_at(v, i);
        widen(of, v[i]);
        widen(step, d);
        *runs += d != 0;
    }
    for (; i < n; i++)
        widen(of, v[i]);
}

static struct scan scan_values(const int64_t *v, uint32_t n, struct arena *scratch)
{
    uint32_t blocks = block_count(n);
    struct scan s = {{v[0], v[0]}, {INT64_MAX, INT64_MIN}, .runs = 1};
    s.of = arena_alloc(scratch, blocks * 2 * sizeof(*s.of));
    s.step = s.of + blocks;
    for (uint32_t b = 0; b < blocks; b++) {
        uint32_t len = block_len(n, b), left = n - 1 - b * BLOCK;
        scan_block(v + (size_t)b * BLOCK, len, left < len ? left : len, &s.of[b], &s.step[b],
                   &s.runs);
        widen_by(&s.all, &s.of[b]);
        widen_by(&s.steps, &s.step[b]);
    }
    return s;
}

/* A way to write the sequence: what is left of each value (of `of` where the kind is frame, of the
 * steps between them where it is delta), and what that costs packed. */
struct plan {
    uint8_t kind;
    const int64_t *of;
    int64_t base;
    bool below; /* some residues are negative, as numbers modulo 2^64 */
    uint64_t divisor;
    uint32_t n;
    uint8_t *width; /* per block */
    unsigned width_max;
    size_t bytes; /* packed residues */
    bool uniform;
};

static uint64_t gcd(uint64_t a, uint64_t b)
{
    while (b) {
        uint64_t t = a % b;
        a = b;
        b = t;
    }
    return a;
}

/* Divides by what mostly divides, for a multiplication instead of a division: by the inverse of the
 * odd part modulo 2^64, by which multiples of it, and only those, become at most `most`. */
struct divider {
    uint64_t inverse, most;
    unsigned shift;
};

static struct divider divider_of(uint64_t d)
{
    unsigned shift = (unsigned)__builtin_ctzll(d);
    uint64_t odd = d >> shift,
             x = (odd * 3) ^ 2; /* right in five bits, and each step doubles them */
    for (int i = 0; i < 4; i++)
        x *= 2 - odd * x;
    return (struct divider){x, UINT64_MAX / odd, shift};
}

/* Of a multiple. */
static inline uint64_t divided(uint64_t v, const struct divider *d)
{
    return (v >> d->shift) * d->inverse;
}

static inline bool divides(const struct divider *d, uint64_t v)
{
    return !(v & (((uint64_t)1 << d->shift) - 1)) && divided(v, d) <= d->most;
}

static inline uint64_t size_of(uint64_t r, bool below)
{
    return below && r >> 63 ? 0 - r : r;
}

/* The residues of block b before they are divided. */
static void undivided(const struct plan *p, uint32_t b, uint64_t *to)
{
    const int64_t *v = p->of + (size_t)b * BLOCK;
    uint32_t len = block_len(p->n, b);
    uint64_t base = (uint64_t)p->base;
    if (p->kind == KIND_FRAME)
        for (uint32_t i = 0; i < len; i++)
            to[i] = (uint64_t)v[i] - base;
    else
        for (uint32_t i = 0; i < len; i++)
            to[i] = (uint64_t)step_at(v, i) - base;
}

static uint64_t common_divisor(const struct plan *p)
{
    uint64_t r[BLOCK], g = 0;
    struct divider by = {0};
    for (uint32_t b = 0; b < block_count(p->n) && g != 1; b++) {
        undivided(p, b, r);
        for (uint32_t i = 0; i < block_len(p->n, b) && g != 1; i++) {
            uint64_t x = size_of(r[i], p->below);
            if (!x || (g && divides(&by, x)))
                continue;
            g = gcd(x, g);
            by = divider_of(g);
        }
    }
    return g ? g : 1;
}

static void residues_of(const struct plan *p, uint32_t b, uint64_t *to)
{
    undivided(p, b, to);
    if (p->divisor == 1)
        return;
    struct divider by = divider_of(p->divisor);
    for (uint32_t i = 0; i < block_len(p->n, b); i++) {
        uint64_t x = divided(size_of(to[i], p->below), &by);
        to[i] = p->below && to[i] >> 63 ? 0 - x : x;
    }
}

static unsigned width_of(const struct plan *p, const struct extent *x)
{
    if (p->below && x->min < p->base)
        return WIDTH_MAX;
    uint64_t most = (uint64_t)x->max - (uint64_t)p->base;
    return ints_width(p->divisor > 1 ? most / p->divisor : most);
}

static void plan_measure(struct plan *p, const struct extent *x, struct arena *scratch)
{
    uint32_t blocks = block_count(p->n);
    p->width = arena_alloc(scratch, blocks ? blocks : 1);
    size_t each = blocks;
    for (uint32_t b = 0; b < blocks; b++) {
        unsigned w = width_of(p, &x[b]);
        p->width[b] = (uint8_t)w;
        p->width_max = w > p->width_max ? w : p->width_max;
        each += packed_bytes(block_len(p->n, b), w);
    }
    size_t same = packed_bytes(p->n, p->width_max);
    p->uniform = same <= each;
    p->bytes = 1 + (p->uniform ? same : each);
}

static int extent_cmp(const void *a, const void *b)
{
    int64_t x = ((const struct extent *)a)->min, y = ((const struct extent *)b)->min;
    return x < y ? -1 : x > y;
}

static uint64_t cost_of_base(const struct extent *x, uint32_t blocks, uint32_t from)
{
    uint64_t bits = (uint64_t)from * WIDTH_MAX;
    for (uint32_t b = from; b < blocks; b++)
        bits += ints_width((uint64_t)x[b].max - (uint64_t)x[from].min);
    return bits;
}

/* Whether a block of the full width could be saved by any base: each block takes what its own
 * values ask for at least. */
static bool base_matters(const struct extent *of, uint32_t blocks, int64_t min)
{
    uint64_t bits = 0, least = 0;
    for (uint32_t b = 0; b < blocks; b++) {
        bits += ints_width((uint64_t)of[b].max - (uint64_t)min);
        least += ints_width((uint64_t)of[b].max - (uint64_t)of[b].min);
    }
    return bits > least + WIDTH_MAX;
}

/* The least value, or one above it where the few below, in blocks of the full width, are worth it:
 * a step back where the lines of two connections meet must not make every step forward wide. */
static int64_t choose_base(const struct extent *of, uint32_t blocks, const struct extent *all,
                           struct arena *scratch)
{
    uint64_t range = (uint64_t)all->max - (uint64_t)all->min;
    uint32_t best = 0;
    if (blocks < BASE_BLOCKS || range < BASE_RANGE || range > INT64_MAX / 2 ||
        !base_matters(of, blocks, all->min))
        return all->min;
    struct extent *x = arena_alloc(scratch, blocks * sizeof(*x));
    memcpy(x, of, blocks * sizeof(*x));
    qsort(x, blocks, sizeof(*x), extent_cmp);
    uint64_t least = cost_of_base(x, blocks, 0);
    for (uint32_t from = 1; from <= blocks / 4; from = from * 2 + 1) {
        uint64_t cost = cost_of_base(x, blocks, from);
        best = cost < least ? from : best;
        least = cost < least ? cost : least;
    }
    return x[best].min;
}

/* of: the blocks of what is to be written, all: of them together. */
static void plan_kind(struct plan *p, uint8_t kind, const int64_t *v, uint32_t n,
                      const struct extent *of, const struct extent *all, struct arena *scratch)
{
    *p = (struct plan){.kind = kind, .of = v, .n = n};
    p->base = choose_base(of, block_count(n), all, scratch);
    p->below = p->base != all->min;
    p->divisor = common_divisor(p);
    plan_measure(p, of, scratch);
}

static char *pack(const uint64_t *r, uint32_t n, unsigned width, char *to)
{
    char *end = to + packed_bytes(n, width);
    uint64_t acc = 0;
    unsigned bits = 0;
    for (uint32_t i = 0; i < n; i++) {
        acc |= r[i] << bits;
        bits += width;
        if (bits >= 64) {
            memcpy(to, &acc, 8);
            to += 8;
            bits -= 64;
            acc = bits ? r[i] >> (width - bits) : 0;
        }
    }
    memcpy(to, &acc, 8);
    return end;
}

/* Blocks of one width lie as if they were packed as one, for a whole one ends with a byte. */
static void put_packed(const struct plan *p, struct buf *out)
{
    uint32_t blocks = block_count(p->n);
    uint64_t r[BLOCK];
    buf_put_u8(out, p->uniform ? (uint8_t)p->width_max : WIDTH_EACH);
    if (!p->uniform)
        buf_put(out, p->width, blocks);
    char *to = buf_reserve(out, p->bytes + 8), *start = to;
    CHECK(to);
    for (uint32_t b = 0; b < blocks; b++) {
        residues_of(p, b, r);
        to = pack(r, block_len(p->n, b), p->uniform ? p->width_max : p->width[b], to);
    }
    out->n += (size_t)(to - start);
}

static void put_planes(const struct plan *p, struct buf *out)
{
    unsigned bytes = p->width_max <= 8 ? 1 : (p->width_max + 7) / 8;
    uint64_t r[BLOCK];
    buf_put_u8(out, (uint8_t)bytes);
    uint8_t *to = (uint8_t *)buf_reserve(out, (size_t)p->n * bytes);
    CHECK(to);
    for (uint32_t b = 0; b < block_count(p->n); b++) {
        uint32_t len = block_len(p->n, b);
        residues_of(p, b, r);
        for (unsigned k = 0; k < bytes; k++) {
            uint8_t *plane = to + (size_t)k * p->n + (size_t)b * BLOCK;
            for (uint32_t i = 0; i < len; i++)
                plane[i] = (uint8_t)(r[i] >> (8 * k));
        }
    }
    out->n += (size_t)p->n * bytes;
}

static void put_plan(const struct plan *p, enum ints_form form, struct buf *out)
{
    buf_put_u8(out, p->kind | (form == INTS_PLANES ? FLAG_PLANES : 0));
    if (p->kind == KIND_DELTA)
        buf_put_varint(out, zigzag(p->of[0]));
    buf_put_varint(out, zigzag(p->base));
    buf_put_varint(out, p->divisor);
    if (form == INTS_PLANES)
        put_planes(p, out);
    else
        put_packed(p, out);
}

struct ints_plan {
    const int64_t *v;
    struct extent all;
    bool constant;
    struct plan best;
    struct str runs; /* the whole sequence by runs, where that is the smallest */
};

static void make_plan(struct ints_plan *p, const int64_t *v, uint32_t n, bool runs,
                      struct arena *scratch);

static void put_any(const struct ints_plan *p, enum ints_form form, struct buf *out)
{
    if (p->constant) {
        buf_put_u8(out, KIND_CONST);
        buf_put_varint(out, zigzag(p->v[0]));
    } else if (p->runs.n) {
        buf_put_str(out, p->runs);
    } else {
        put_plan(&p->best, form, out);
    }
}

/* Values or lengths of runs. */
static void put_part(const int64_t *v, uint32_t n, struct arena *scratch, struct buf *out)
{
    struct ints_plan p;
    make_plan(&p, v, n, false, scratch);
    put_any(&p, INTS_PACKED, out);
}

static void put_runs(const int64_t *v, uint32_t n, uint32_t runs, struct arena *scratch,
                     struct buf *out)
{
    int64_t *value = arena_alloc(scratch, runs * sizeof(int64_t));
    int64_t *length = arena_alloc(scratch, runs * sizeof(int64_t));
    uint32_t k = 0;
    for (uint32_t i = 0, start = 0; i < n; i = start) {
        while (start < n && v[start] == v[i])
            start++;
        value[k] = v[i];
        length[k++] = start - i;
    }
    CHECK(k == runs);
    buf_put_u8(out, KIND_RUNS);
    buf_put_varint(out, runs);
    put_part(value, runs, scratch, out);
    put_part(length, runs, scratch, out);
}

static void try_runs(struct ints_plan *p, uint32_t n, uint32_t runs, struct arena *scratch,
                     size_t most)
{
    struct buf b;
    buf_init(&b, SIZE_MAX);
    put_runs(p->v, n, runs, scratch, &b);
    if (b.n <= most)
        p->runs = arena_str(scratch, buf_str(&b));
    buf_release(&b);
}

static void make_plan(struct ints_plan *p, const int64_t *v, uint32_t n, bool runs,
                      struct arena *scratch)
{
    struct scan s = scan_values(v, n, scratch);
    *p = (struct ints_plan){.v = v, .all = s.all, .constant = s.all.min == s.all.max};
    if (p->constant)
        return;
    if (runs && s.runs <= n / RUNS_SURE) {
        try_runs(p, n, s.runs, scratch, SIZE_MAX);
        return;
    }
    plan_kind(&p->best, KIND_FRAME, v, n, s.of, &s.all, scratch);
    uint64_t range = (uint64_t)s.all.max - (uint64_t)s.all.min;
    /* The values are near each other, or all but a few. */
    if ((uint64_t)s.steps.max - (uint64_t)s.steps.min < range ||
        way_of_all(v, n, &s) * STEPS < (double)range * n) {
        struct plan delta;
        plan_kind(&delta, KIND_DELTA, v, n - 1, s.step, &s.steps, scratch);
        if (delta.bytes < p->best.bytes)
            p->best = delta;
    }
    if (runs && s.runs <= n / 4)
        try_runs(p, n, s.runs, scratch, p->best.bytes);
}

const struct ints_plan *ints_plan(const int64_t *v, uint32_t n, struct arena *scratch)
{
    CHECK(n);
    struct ints_plan *p = ARENA_NEW(scratch, struct ints_plan);
    make_plan(p, v, n, true, scratch);
    return p;
}

void ints_put(const struct ints_plan *p, enum ints_form form, struct buf *out)
{
    put_any(p, form, out);
}

void ints_range(const struct ints_plan *p, int64_t *ret_min, int64_t *ret_max)
{
    *ret_min = p->all.min;
    *ret_max = p->all.max;
}

void ints_encode(const int64_t *v, uint32_t n, enum ints_form form, struct arena *scratch,
                 struct buf *out)
{
    struct ints_plan p;
    if (!n)
        return;
    make_plan(&p, v, n, true, scratch);
    put_any(&p, form, out);
}

/* ---- decoding ---- */

/* Residues as they lie in the bytes. */
struct residues {
    const uint8_t *p, *end;
    uint32_t n;
    bool planes;
    unsigned width;      /* of all, or bytes of planes */
    const uint8_t *each; /* per block, or NULL */
};

static enum err corrupt(const char *what)
{
    return err_set(ERR_CORRUPT, "integers: %s", what);
}

static enum err read_residues(struct reader *r, uint32_t n, bool planes, struct residues *ret)
{
    struct residues d = {.n = n, .planes = planes, .width = read_u8(r)};
    size_t bytes = 0;
    if (planes) {
        if (d.width < 1 || d.width > 8)
            return corrupt("bad number of planes");
        bytes = (size_t)n * d.width;
    } else if (d.width == WIDTH_EACH) {
        d.each = (const uint8_t *)read_bytes(r, block_count(n)).p;
        for (uint32_t b = 0; d.each && b < block_count(n); b++) {
            if (d.each[b] > WIDTH_MAX)
                return corrupt("bad width");
            bytes += packed_bytes(block_len(n, b), d.each[b]);
        }
    } else if (d.width <= WIDTH_MAX) {
        bytes = packed_bytes(n, d.width);
    } else {
        return corrupt("bad width");
    }
    struct str data = read_bytes(r, bytes);
    if (r->bad)
        return corrupt("bytes are missing");
    d.p = (const uint8_t *)data.p;
    d.end = d.p + data.n;
    *ret = d;
    return OK;
}

/* Needs 9 readable bytes behind the first byte of the last value. */
static void unpack_loose(const uint8_t *p, uint32_t n, unsigned width, uint64_t *out)
{
    if (width > 56) {
        for (uint32_t i = 0; i < n; i++) {
            size_t bit = (size_t)i * width;
            unsigned s = bit & 7;
            uint64_t v = load64(p + (bit >> 3)) >> s;
            if (s)
                v |= (uint64_t)p[(bit >> 3) + 8] << (64 - s);
            out[i] = width == 64 ? v : v & (((uint64_t)1 << width) - 1);
        }
        return;
    }
    uint64_t mask = ((uint64_t)1 << width) - 1;
    for (uint32_t i = 0; i < n; i++) {
        size_t bit = (size_t)i * width;
        out[i] = load64(p + (bit >> 3)) >> (bit & 7) & mask;
    }
}

/* n <= BLOCK. The last bytes of the data are copied first, so that loads may be loose. */
static void unpack(const uint8_t *p, const uint8_t *end, uint32_t n, unsigned width, uint64_t *out)
{
    uint8_t copy[BLOCK * 8 + 16];
    size_t bytes = packed_bytes(n, width);
    if (width == 0) {
        memset(out, 0, n * sizeof(*out));
        return;
    }
    if ((size_t)(end - p) < bytes + 9) {
        memcpy(copy, p, bytes);
        memset(copy + bytes, 0, 16);
        p = copy;
    }
    unpack_loose(p, n, width, out);
}

static void decode_planes(const struct residues *d, uint64_t *out)
{
    for (uint32_t i = 0; i < d->n; i++)
        out[i] = d->p[i];
    for (unsigned k = 1; k < d->width; k++) {
        const uint8_t *plane = d->p + (size_t)k * d->n;
        for (uint32_t i = 0; i < d->n; i++)
            out[i] |= (uint64_t)plane[i] << (8 * k);
    }
}

static void decode_residues(const struct residues *d, uint64_t *out)
{
    if (d->planes) {
        decode_planes(d, out);
        return;
    }
    const uint8_t *p = d->p;
    for (uint32_t b = 0; b < block_count(d->n); b++) {
        uint32_t len = block_len(d->n, b);
        unsigned w = d->each ? d->each[b] : d->width;
        unpack(p, d->end, len, w, out + (size_t)b * BLOCK);
        p += packed_bytes(len, w);
    }
}

static uint64_t one_packed(const uint8_t *p, const uint8_t *end, uint32_t i, unsigned width)
{
    uint8_t copy[9] = {0};
    size_t bit = (size_t)i * width;
    const uint8_t *at = p + (bit >> 3);
    size_t left = (size_t)(end - at);
    memcpy(copy, at, left < sizeof(copy) ? left : sizeof(copy));
    unsigned s = bit & 7;
    uint64_t v = load64(copy) >> s;
    if (s)
        v |= (uint64_t)copy[8] << (64 - s);
    /* NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult): width is at most 64 */
    return width == 64 ? v : v & (((uint64_t)1 << width) - 1);
}

static void pick_planes(const struct residues *d, const uint32_t *pos, uint32_t n, uint64_t *out)
{
    for (uint32_t i = 0; i < n; i++)
        out[i] = d->p[pos[i]];
    for (unsigned k = 1; k < d->width; k++) {
        const uint8_t *plane = d->p + (size_t)k * d->n;
        for (uint32_t i = 0; i < n; i++)
            out[i] |= (uint64_t)plane[pos[i]] << (8 * k);
    }
}

/* Of blocks of which many are wanted, all are unpacked. */
static void pick_packed(const struct residues *d, const uint32_t *pos, uint32_t n, uint64_t *out)
{
    const uint8_t *p = d->p;
    uint64_t all[BLOCK];
    for (uint32_t block = 0, i = 0, end; i < n; i = end) {
        for (; block < pos[i] / BLOCK; block++)
            p += packed_bytes(BLOCK, d->each ? d->each[block] : d->width);
        unsigned w = d->each ? d->each[block] : d->width;
        for (end = i + 1; end < n && pos[end] / BLOCK == block;)
            end++;
        bool many = end - i > BLOCK / 8;
        if (many)
            unpack(p, d->end, block_len(d->n, block), w, all);
        for (uint32_t k = i; k < end; k++)
            out[k] = many ? all[pos[k] % BLOCK] : w ? one_packed(p, d->end, pos[k] % BLOCK, w) : 0;
    }
}

static void pick_residues(const struct residues *d, const uint32_t *pos, uint32_t n, uint64_t *out)
{
    if (d->planes)
        pick_planes(d, pos, n, out);
    else
        pick_packed(d, pos, n, out);
}

static enum err read_frame(struct reader *r, uint32_t n, bool planes, int64_t *ret_base,
                           uint64_t *ret_divisor, struct residues *ret)
{
    *ret_base = unzigzag(read_varint(r));
    *ret_divisor = read_varint(r);
    return read_residues(r, n, planes, ret);
}

static enum err decode_delta(struct reader *r, uint32_t n, bool planes, int64_t *out)
{
    uint64_t at = (uint64_t)unzigzag(read_varint(r));
    int64_t base;
    uint64_t divisor;
    struct residues d;
    TRY(read_frame(r, n - 1, planes, &base, &divisor, &d));
    out[0] = (int64_t)at;
    uint64_t *u = (uint64_t *)out + 1;
    decode_residues(&d, u);
    for (uint32_t i = 0; i + 1 < n; i++) {
        at += (uint64_t)base + u[i] * divisor;
        u[i] = at;
    }
    return OK;
}

static enum err decode(struct reader *r, uint32_t n, bool runs, struct arena *scratch,
                       int64_t *out);

/* A run of `length` at out[at]; what lies behind it may be written over. Most runs are short: they
 * cost one wide store. */
static inline void fill(int64_t *out, uint32_t at, uint32_t length, uint32_t n, int64_t value)
{
    uint32_t end = at + length;
    if (length <= FILL && at + FILL <= n) {
        for (uint32_t i = 0; i < FILL; i++)
            out[at + i] = value;
        return;
    }
    for (; at < end; at++)
        out[at] = value;
}

static enum err decode_runs(struct reader *r, uint32_t n, struct arena *scratch, int64_t *out)
{
    uint64_t count = read_varint(r);
    if (r->bad || count == 0 || count > n)
        return corrupt("bad number of runs");
    int64_t *value = ARENA_TRY_ARRAY(scratch, int64_t, count * 2);
    if (!value)
        return err_set(ERR_NOMEM, "no memory for %u integers", n);
    int64_t *length = value + count;
    TRY(decode(r, (uint32_t)count, false, scratch, value));
    TRY(decode(r, (uint32_t)count, false, scratch, length));
    uint32_t at = 0;
    for (uint32_t k = 0; k < count; k++) {
        if (length[k] < 1 || length[k] > (int64_t)(n - at))
            return corrupt("bad length of a run");
        fill(out, at, (uint32_t)length[k], n, value[k]);
        at += (uint32_t)length[k];
    }
    return at == n ? OK : corrupt("runs do not add up");
}

static enum err decode(struct reader *r, uint32_t n, bool runs, struct arena *scratch, int64_t *out)
{
    uint8_t head = read_u8(r);
    bool planes = head & FLAG_PLANES;
    uint8_t kind = head & KIND_MASK;
    if (r->bad || head > (FLAG_PLANES | KIND_MASK) || (planes && kind == KIND_CONST))
        return corrupt("bad kind");
    if (kind == KIND_CONST) {
        int64_t v = unzigzag(read_varint(r));
        for (uint32_t i = 0; i < n; i++)
            out[i] = v;
        return r->bad ? corrupt("bytes are missing") : OK;
    }
    if (kind == KIND_DELTA)
        return decode_delta(r, n, planes, out);
    if (kind == KIND_RUNS && runs && !planes)
        return decode_runs(r, n, scratch, out);
    if (kind != KIND_FRAME)
        return corrupt("bad kind");
    int64_t base;
    uint64_t divisor;
    struct residues d;
    TRY(read_frame(r, n, planes, &base, &divisor, &d));
    uint64_t *u = (uint64_t *)out;
    decode_residues(&d, u);
    for (uint32_t i = 0; i < n; i++)
        u[i] = (uint64_t)base + u[i] * divisor;
    return OK;
}

enum err ints_decode(struct reader *r, uint32_t n, struct arena *scratch, int64_t *out)
{
    return n ? decode(r, n, true, scratch, out) : OK;
}

enum err ints_get(struct reader *r, uint32_t n, const uint32_t *pos, uint32_t n_pos,
                  struct arena *scratch, int64_t *out)
{
    if (n_pos == 0)
        return OK;
    CHECK(pos[n_pos - 1] < n);
    uint8_t head = reader_left(r) ? *r->p : 0;
    if ((head & KIND_MASK) != KIND_FRAME) {
        struct arena_mark mark = arena_mark(scratch);
        int64_t *all = ARENA_TRY_ARRAY(scratch, int64_t, n);
        if (!all)
            return err_set(ERR_NOMEM, "no memory for %u integers", n);
        TRY(ints_decode(r, n, scratch, all));
        for (uint32_t i = 0; i < n_pos; i++)
            out[i] = all[pos[i]];
        arena_rewind(scratch, &mark);
        return OK;
    }
    read_u8(r);
    if (head & ~(KIND_MASK | FLAG_PLANES))
        return corrupt("bad kind");
    int64_t base;
    uint64_t divisor;
    struct residues d;
    TRY(read_frame(r, n, head & FLAG_PLANES, &base, &divisor, &d));
    uint64_t *u = (uint64_t *)out;
    pick_residues(&d, pos, n_pos, u);
    for (uint32_t i = 0; i < n_pos; i++)
        u[i] = (uint64_t)base + u[i] * divisor;
    return OK;
}
