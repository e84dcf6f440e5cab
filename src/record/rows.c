/* Looking at rows, whatever holds them.
 *
 * Shapes say which rows have a column. For the first few columns that are asked for, every shape is
 * looked through; the index below turns that around for the rest: column -> the shapes that hold
 * it, built once for a set of rows. From that and the row's shape numbers a column's presence
 * bitmap with a rank directory is made on first use and kept. A column that every row has needs
 * neither. Invariant (checked by whoever opens rows from bytes): a column's n is the number of rows
 * whose shape holds it, so that ranks never pass n. */
#include "record/rows.h"

#include "core/hash.h"
#include "record/bitmap.h"
#include "record/predicate.h"

enum { ASKED_BEFORE_INDEX = 6 };

struct rows_index {
    uint32_t asked;  /* columns whose presence was made without `begin` */
    uint32_t *begin; /* n_columns + 1: where a column's shapes begin in `shape`; NULL: not yet */
    uint16_t *shape;
    struct presence *presence; /* by column; bits NULL: not made yet */
    uint8_t *holds;            /* scratch: by shape, whether it holds the column at hand */
    uint32_t last;             /* with `begin`: the column made last, + 1 */
    uint32_t *end;             /* with `begin`: by shape, of its rows in `row` */
    uint32_t *row;             /* by shape, ascending */
};

enum err rows_time(struct rows *r, const int64_t **ret)
{
    if (!r->time_cache)
        TRY(r->ops->time(r, &r->time_cache));
    *ret = r->time_cache;
    return OK;
}

enum err rows_flags(struct rows *r, const uint8_t **ret)
{
    if (!r->flags && r->ops->flags)
        TRY(r->ops->flags(r, &r->flags));
    *ret = r->flags;
    return OK;
}

enum err rows_shape_of(struct rows *r, const uint16_t **ret)
{
    if (!r->shape_cache && r->n_shapes > 1) {
        TRY(r->ops->shape_of(r, &r->shape_cache));
    } else if (!r->shape_cache) {
        uint16_t *zeros = arena_try_alloc(r->arena, r->n * sizeof(*zeros));
        if (!zeros)
            return err_set(ERR_NOMEM, "no memory for the shapes of %u rows", r->n);
        r->shape_cache = memset(zeros, 0, r->n * sizeof(*zeros));
    }
    *ret = r->shape_cache;
    return OK;
}

static bool is_column(uint32_t token)
{
    return token < SHAPE_OPEN;
}

static enum err no_index(const struct rows *r)
{
    return err_set(ERR_NOMEM, "no memory for an index of %u columns", r->n_columns);
}

static enum err index_new(struct rows *r)
{
    struct rows_index *x = arena_try_alloc(r->arena, sizeof(*x));
    struct presence *presence = ARENA_TRY_ARRAY(r->arena, struct presence, r->n_columns);
    uint8_t *holds = ARENA_TRY_ARRAY(r->arena, uint8_t, r->n_shapes);
    if (!x || !presence || !holds)
        return no_index(r);
    *x = (struct rows_index){.presence = presence, .holds = holds};
    memset(presence, 0, r->n_columns * sizeof(*presence));
    r->index = x;
    return OK;
}

/* The rows of each shape. */
static enum err index_rows(struct rows *r, const uint16_t *shape_of)
{
    struct rows_index *x = r->index;
    x->end = ARENA_TRY_ARRAY(r->arena, uint32_t, r->n_shapes + 1);
    x->row = ARENA_TRY_ARRAY(r->arena, uint32_t, r->n);
    if (!x->end || !x->row)
        return no_index(r);
    memset(x->end, 0, (r->n_shapes + 1) * sizeof(*x->end));
    for (uint32_t i = 0; i < r->n; i++)
        x->end[shape_of[i] + 1]++;
    for (uint32_t s = 1; s <= r->n_shapes; s++)
        x->end[s] += x->end[s - 1];
    /* Beginnings become ends. */
    for (uint32_t i = 0; i < r->n; i++)
        x->row[x->end[shape_of[i]]++] = i;
    return OK;
}

static enum err index_build(struct rows *r)
{
    struct arena *a = r->arena;
    struct rows_index *x = r->index;
    uint64_t tokens = 0;
    for (uint32_t s = 0; s < r->n_shapes; s++)
        tokens += r->shapes[s].n;
    uint32_t *begin = ARENA_TRY_ARRAY(a, uint32_t, r->n_columns + 1);
    uint16_t *shape = ARENA_TRY_ARRAY(a, uint16_t, tokens);
    if (!begin || !shape)
        return no_index(r);
    memset(begin, 0, (r->n_columns + 1) * sizeof(*begin));
    for (uint32_t s = 0; s < r->n_shapes; s++)
        for (uint32_t t = 0; t < r->shapes[s].n; t++)
            if (is_column(r->shapes[s].token[t]))
                begin[r->shapes[s].token[t]]++;
    /* Counts become ends, and the fill from behind turns the ends into beginnings. */
    for (uint32_t c = 1; c <= r->n_columns; c++)
        begin[c] += begin[c - 1];
    for (uint32_t s = r->n_shapes; s-- > 0;)
        for (uint32_t t = 0; t < r->shapes[s].n; t++)
            if (is_column(r->shapes[s].token[t]))
                shape[--begin[r->shapes[s].token[t]]] = (uint16_t)s;
    const uint16_t *shape_of;
    TRY(rows_shape_of(r, &shape_of));
    TRY(index_rows(r, shape_of));
    x->begin = begin;
    x->shape = shape;
    return OK;
}

/* Bits of the rows whose shape is marked. */
static void fill_marked(const uint16_t *shape_of, const uint8_t *holds, uint32_t n, uint64_t *bits)
{
    for (uint32_t w = 0; w < bitmap_words(n); w++) {
        uint32_t base = w * 64;
        uint32_t end = n - base < 64 ? n - base : 64;
        uint64_t word = 0;
        for (uint32_t i = 0; i < end; i++)
            word |= (uint64_t)holds[shape_of[base + i]] << i;
        bits[w] = word;
    }
}

/* Bits of the rows of the column's shapes. */
static void fill_indexed(const struct rows_index *x, uint32_t col, uint32_t n, uint64_t *bits)
{
    memset(bits, 0, bitmap_words(n) * sizeof(*bits));
    for (uint32_t i = x->begin[col]; i < x->begin[col + 1]; i++) {
        uint32_t s = x->shape[i];
        for (uint32_t k = s ? x->end[s - 1] : 0; k < x->end[s]; k++)
            bitmap_set(bits, x->row[k]);
    }
}

/* Returns how many bits are set. */
static uint32_t rank_words(const uint64_t *bits, uint32_t n, uint32_t *rank)
{
    uint32_t count = 0;
    for (uint32_t w = 0; w < bitmap_words(n); w++) {
        rank[w] = count;
        count += bitmap_ones(bits[w]);
    }
    return count;
}

static void mark_shapes(const struct rows *r, uint32_t col, uint8_t *holds)
{
    for (uint32_t s = 0; s < r->n_shapes; s++) {
        const struct shape *shape = &r->shapes[s];
        bool has = false;
        for (uint32_t t = 0; t < shape->n; t++)
            has |= shape->token[t] == col;
        holds[s] = has;
    }
}

/* Fields that come together in records stand in the same shapes, mostly next to each other. */
static bool same_shapes(const struct rows_index *x, uint32_t a, uint32_t b)
{
    uint32_t n = x->begin[a + 1] - x->begin[a];
    return n == x->begin[b + 1] - x->begin[b] &&
           memcmp(x->shape + x->begin[a], x->shape + x->begin[b], n * sizeof(*x->shape)) == 0;
}

static enum err presence_make(struct rows *r, uint32_t col, struct presence *ret)
{
    struct rows_index *x = r->index;
    const uint16_t *shape_of;
    if (x->last && same_shapes(x, x->last - 1, col) &&
        r->columns[col].n == r->columns[x->last - 1].n) {
        *ret = x->presence[x->last - 1];
        return OK;
    }
    TRY(rows_shape_of(r, &shape_of));
    size_t words = bitmap_words(r->n);
    uint64_t *bits = ARENA_TRY_ARRAY(r->arena, uint64_t, words);
    uint32_t *rank = ARENA_TRY_ARRAY(r->arena, uint32_t, words);
    if (!bits || !rank)
        return err_set(ERR_NOMEM, "no memory for the presence of a column in %u rows", r->n);
    if (x->begin) {
        fill_indexed(x, col, r->n, bits);
    } else {
        mark_shapes(r, col, x->holds);
        fill_marked(shape_of, x->holds, r->n, bits);
    }
    uint32_t count = rank_words(bits, r->n, rank);
    if (count != r->columns[col].n)
        return err_set(ERR_CORRUPT, "column %u has %u values, its shapes have %u rows", col,
                       r->columns[col].n, count);
    *ret = (struct presence){false, bits, rank};
    x->last = x->begin ? col + 1 : 0;
    return OK;
}

enum err rows_presence(struct rows *r, uint32_t col, struct presence *ret)
{
    CHECK(col < r->n_columns);
    if (r->columns[col].n == r->n) {
        *ret = (struct presence){.all = true};
        return OK;
    }
    if (!r->index)
        TRY(index_new(r));
    struct presence *p = &r->index->presence[col];
    if (!p->bits) {
        if (!r->index->begin && r->index->asked++ == ASKED_BEFORE_INDEX)
            TRY(index_build(r));
        TRY(presence_make(r, col, p));
    }
    *ret = *p;
    return OK;
}

/* 64 bits (or what is left) of a bitmap from bit `at` on. */
static uint64_t bits_from(const uint64_t *bits, uint32_t n, uint32_t at)
{
    uint64_t v = bits[at >> 6] >> (at & 63);
    if ((at & 63) && (at >> 6) + 1 < bitmap_words(n))
        v |= bits[(at >> 6) + 1] << (64 - (at & 63));
    return v;
}

enum err rows_spread(struct rows *r, uint32_t col, const uint64_t *value_bits, uint64_t *row_bits)
{
    struct presence p;
    TRY(rows_presence(r, col, &p));
    uint32_t n = r->columns[col].n;
    if (p.all) {
        for (size_t w = 0; w < bitmap_words(n); w++)
            row_bits[w] |= value_bits[w];
        return OK;
    }
    for (size_t w = 0; w < bitmap_words(r->n); w++) {
        uint64_t have = p.bits[w];
        if (!have)
            continue;
        uint64_t v = bits_from(value_bits, n, p.rank[w]);
        if (have == UINT64_MAX) {
            row_bits[w] |= v;
            continue;
        }
        uint64_t out = 0;
        for (; have && v; have &= have - 1, v >>= 1)
            out |= -(v & 1) & have & -have;
        row_bits[w] |= out;
    }
    return OK;
}

uint32_t rows_find(const struct rows *r, struct str name, uint32_t from)
{
    uint64_t h = hash64(name);
    for (uint32_t c = from; c < r->n_columns; c++)
        if (r->columns[c].name_hash == h && path_has_name(r->columns[c].path, name))
            return c;
    return UINT32_MAX;
}

struct str rows_path_behind(const struct rows *r, const struct shape *s, uint32_t token)
{
    while (token < s->n && s->token[token] == SHAPE_OPEN)
        token++;
    CHECK(token < s->n && s->token[token] < r->n_columns);
    return r->columns[s->token[token]].path;
}

enum err rows_origin(struct rows *r, uint32_t row, struct origin_run *ret)
{
    CHECK(row < r->n);
    const struct origin_run *run;
    uint32_t n;
    TRY(r->ops->origin(r, &run, &n));
    uint32_t low = 0, high = n; /* the last run that begins at or before the row */
    while (high - low > 1) {
        uint32_t mid = low + (high - low) / 2;
        if (run[mid].row <= row)
            low = mid;
        else
            high = mid;
    }
    if (!n || run[low].row > row)
        return err_set(ERR_CORRUPT, "row %u has no origin", row);
    *ret = run[low];
    ret->index += row - run[low].row;
    ret->row = row;
    return OK;
}

enum err rows_order(struct rows *r, uint32_t row, struct row_order *ret)
{
    const int64_t *time;
    struct origin_run origin;
    TRY(rows_time(r, &time));
    TRY(rows_origin(r, row, &origin));
    *ret = (struct row_order){time[row], origin.position, origin.partition, origin.index};
    return OK;
}

static enum err plain_time(struct rows *r, const int64_t **ret)
{
    *ret = ((const struct plain_rows *)r->impl)->time;
    return OK;
}

static enum err plain_shape_of(struct rows *r, const uint16_t **ret)
{
    *ret = ((const struct plain_rows *)r->impl)->shape_of;
    return OK;
}

static enum err plain_origin(struct rows *r, const struct origin_run **ret, uint32_t *ret_n)
{
    const struct plain_rows *p = r->impl;
    *ret = p->run;
    *ret_n = p->n_runs;
    return OK;
}

const struct rows_ops plain_rows_ops = {plain_time, plain_shape_of, plain_origin};

static enum err plain_values(const struct column *c, struct arena *a, struct values *ret)
{
    *ret = *(const struct values *)c->impl;
    return OK;
}

static enum err no_memory(uint32_t n)
{
    return err_set(ERR_NOMEM, "no memory for %u values", n);
}

static enum err gather_text(const struct values *v, const uint32_t *pos, uint32_t n,
                            struct arena *a, struct values *ret)
{
    uint32_t *off = ARENA_TRY_ARRAY(a, uint32_t, (size_t)n + 1);
    if (!off)
        return no_memory(n);
    uint64_t total = 0;
    for (uint32_t i = 0; i < n; i++) {
        off[i] = (uint32_t)total;
        total += values_text(v, pos[i]).n;
    }
    if (total > UINT32_MAX)
        return err_set(ERR_LIMIT, "%u values have more than 4 GiB", n);
    off[n] = (uint32_t)total;
    char *bytes = arena_try_alloc(a, total);
    if (!bytes)
        return no_memory(n);
    for (uint32_t i = 0; i < n; i++)
        memcpy(bytes + off[i], values_text(v, pos[i]).p, off[i + 1] - off[i]);
    ret->off = off;
    ret->bytes = bytes;
    return OK;
}

static enum err gather_words(const int64_t *from, const uint32_t *pos, uint32_t n, struct arena *a,
                             const int64_t **ret)
{
    int64_t *to = ARENA_TRY_ARRAY(a, int64_t, n);
    if (!to)
        return no_memory(n);
    for (uint32_t i = 0; i < n; i++)
        to[i] = from[pos[i]];
    *ret = to;
    return OK;
}

static enum err gather_doubles(const double *from, const uint32_t *pos, uint32_t n, struct arena *a,
                               const double **ret)
{
    double *to = ARENA_TRY_ARRAY(a, double, n);
    if (!to)
        return no_memory(n);
    for (uint32_t i = 0; i < n; i++)
        to[i] = from[pos[i]];
    *ret = to;
    return OK;
}

static enum err gather_bytes(const uint8_t *from, const uint32_t *pos, uint32_t n, struct arena *a,
                             const uint8_t **ret)
{
    uint8_t *to = ARENA_TRY_ARRAY(a, uint8_t, n);
    if (!to)
        return no_memory(n);
    for (uint32_t i = 0; i < n; i++)
        to[i] = from[pos[i]];
    *ret = to;
    return OK;
}

enum err values_gather(const struct values *v, const uint32_t *pos, uint32_t n, struct arena *a,
                       struct values *ret)
{
    struct values out = {.n = n, .lane = v->lane};
    if (lane_is_text(v->lane)) {
        TRY(gather_text(v, pos, n, a, &out));
    } else if (v->lane == LANE_INT || v->lane == LANE_DEC) {
        TRY(gather_words(v->i64, pos, n, a, &out.i64));
        if (v->lane == LANE_DEC)
            TRY(gather_bytes(v->scale, pos, n, a, &out.scale));
    } else if (v->lane == LANE_DBL) {
        TRY(gather_doubles(v->f64, pos, n, a, &out.f64));
    } else if (v->lane == LANE_BOOL) {
        TRY(gather_bytes(v->u8, pos, n, a, &out.u8));
    }
    *ret = out;
    return OK;
}

enum err values_pick(const struct values *v, const uint32_t *pos, uint32_t n, struct arena *a,
                     struct values *ret)
{
    struct str *to = ARENA_TRY_ARRAY(a, struct str, n);
    if (!to)
        return no_memory(n);
    struct values out = {.n = n, .lane = v->lane, .text = to};
    for (uint32_t i = 0; i < n; i++) {
        to[i] = values_text(v, pos[i]);
        out.text_bytes += to[i].n;
    }
    *ret = out;
    return OK;
}

static enum err plain_get(const struct column *c, const uint32_t *pos, uint32_t n, struct arena *a,
                          struct values *ret)
{
    return values_gather(c->impl, pos, n, a, ret);
}

static enum err plain_match(const struct column *c, const struct predicate *p, struct arena *a,
                            uint64_t *bits)
{
    return predicate_match(p, c->impl, bits);
}

static bool plain_may_match(const struct column *c, const struct predicate *p)
{
    return true;
}

const struct column_ops plain_column_ops = {
    .values = plain_values,
    .get = plain_get,
    .match = plain_match,
    .may_match = plain_may_match,
};
