/* Charts: a grid of buckets by series.
 *
 * Groups come as (series, time) with the states of the functions. The series with the largest sums
 * of the first function over all buckets get columns; the states of all others are merged, bucket
 * by bucket, into one called OTHER, which is exact for every function, since states merge. Rows
 * without the field are the series NULL. A bucket or cell that no group fills has the empty state:
 * 0 for counts, null for the rest. */
#include "query/chart.h"

#include "core/clock.h"
#include "query/agg_impl.h"
#include "record/timestamp.h"

#include <math.h>
#include <stdlib.h>

enum { CELLS_MAX = 4 << 20 };

int64_t chart_width(int64_t least)
{
    static const int64_t nice[] = {
        1000000,          2000000,         5000000,         10000000,         20000000,
        50000000,         100000000,       200000000,       500000000,        NS_PER_S,
        2 * NS_PER_S,     5 * NS_PER_S,    10 * NS_PER_S,   15 * NS_PER_S,    30 * NS_PER_S,
        60 * NS_PER_S,    120 * NS_PER_S,  300 * NS_PER_S,  600 * NS_PER_S,   900 * NS_PER_S,
        1800 * NS_PER_S,  3600 * NS_PER_S, 7200 * NS_PER_S, 10800 * NS_PER_S, 21600 * NS_PER_S,
        43200 * NS_PER_S, NS_PER_DAY,      2 * NS_PER_DAY,  7 * NS_PER_DAY,   14 * NS_PER_DAY,
        30 * NS_PER_DAY,  90 * NS_PER_DAY};
    for (size_t i = 0; i < sizeof(nice) / sizeof(*nice); i++)
        if (nice[i] >= least)
            return nice[i];
    return (least / (365 * NS_PER_DAY) + 1) * 365 * NS_PER_DAY;
}

const struct pipe *chart_settle(const struct pipe *pipe, int64_t from, int64_t to,
                                struct arena *arena)
{
    if (!pipe->chart || pipe->chart->span_ns)
        return pipe;
    uint32_t bins = pipe->chart->bins ? pipe->chart->bins : 1;
    uint64_t span = (uint64_t)to - (uint64_t)from;
    uint64_t least = span / bins + (span % bins != 0);
    struct pipe *settled = ARENA_NEW(arena, struct pipe);
    struct by_spec *by = ARENA_ARRAY(arena, struct by_spec, pipe->n_by);
    *settled = *pipe;
    memcpy(by, pipe->by, pipe->n_by * sizeof(*by));
    by[pipe->n_by - 1].bin_ns = chart_width(least > INT64_MAX ? INT64_MAX : (int64_t)least);
    settled->by = by;
    return settled;
}

struct series {
    struct str cell; /* of the key; n == 0: OTHER, or all there is */
    struct scalar value;
    int64_t bucket; /* while its scores are summed up */
    double score;
};

struct chart {
    struct agg_table *t;
    const struct pipe *pipe;
    struct arena *arena;
    int64_t width, first; /* of the buckets */
    uint32_t n_buckets;
    struct series *series; /* with columns first, in their order */
    uint32_t n_series, n_columns;
    bool other;           /* a column more */
    struct state **state; /* by bucket, column: the states of its functions */
    const struct state *empty;
};

/* The cell of the series (empty without one) and the start of the bucket. */
static int64_t split_key(const struct chart *c, struct str key, struct str *ret_cell,
                         struct scalar *ret)
{
    struct reader r = reader_of(key);
    *ret_cell = (struct str){0};
    if (c->pipe->chart->split) {
        *ret = agg_cell(&r);
        *ret_cell = str_of(key.p, key.n - reader_left(&r));
    }
    return agg_cell(&r).i64;
}

/* ---- series ---- */

static int by_cell(const void *a, const void *b)
{
    const struct series *x = a, *y = b;
    int cmp = str_cmp(x->cell, y->cell);
    return cmp ? cmp : (x->bucket > y->bucket) - (x->bucket < y->bucket);
}

static int by_score(const void *a, const void *b)
{
    const struct series *x = a, *y = b;
    bool nx = x->value.lane == SCALAR_NONE, ny = y->value.lane == SCALAR_NONE;
    if (nx != ny) /* NULL takes no column from another */
        return nx ? 1 : -1;
    if (x->score != y->score)
        return x->score > y->score ? -1 : 1;
    int cmp = scalar_cmp(&x->value, &y->value);
    return cmp ? cmp : str_cmp(x->cell, y->cell);
}

static int by_value(const void *a, const void *b)
{
    const struct series *x = a, *y = b;
    int cmp = scalar_cmp(&x->value, &y->value);
    return cmp ? cmp : str_cmp(x->cell, y->cell);
}

/* One for each series, with the sum of its first function over all buckets. */
static void gather_series(struct chart *c)
{
    struct agg_table *t = c->t;
    struct series *all = ARENA_ARRAY(c->arena, struct series, t->n + 1);
    for (uint32_t g = 0; g < t->n; g++) {
        double v = agg_number(&c->pipe->agg[0], &t->group[g]->state[0]);
        all[g].bucket = split_key(c, t->group[g]->key, &all[g].cell, &all[g].value);
        all[g].score = isfinite(v) ? v : 0;
    }
    if (t->n > 1)
        qsort(all, t->n, sizeof(*all), by_cell);
    uint32_t n = 0;
    for (uint32_t g = 0; g < t->n; g++) {
        if (n && str_eq(all[n - 1].cell, all[g].cell))
            all[n - 1].score += all[g].score;
        else
            all[n++] = all[g];
    }
    c->series = all;
    c->n_series = n;
}

/* Which series get a column: the largest, then in the order of their values, NULL last. */
static void choose_series(struct chart *c)
{
    const struct chart_spec *spec = c->pipe->chart;
    gather_series(c);
    if (c->n_series > 1)
        qsort(c->series, c->n_series, sizeof(*c->series), by_score);
    bool null = c->n_series && c->series[c->n_series - 1].value.lane == SCALAR_NONE && spec->split;
    uint32_t most =
        spec->series && spec->series < CHART_SERIES_MAX ? spec->series : CHART_SERIES_MAX;
    uint32_t named = c->n_series - null;
    c->n_columns = named < most ? named : most;
    c->other = c->n_columns < named && spec->other;
    if (null) {
        struct series last = c->series[c->n_series - 1];
        memmove(&c->series[c->n_columns + 1], &c->series[c->n_columns],
                (c->n_series - 1 - c->n_columns) * sizeof(last));
        c->series[c->n_columns++] = last;
    }
    if (c->n_columns > 1)
        qsort(c->series, c->n_columns, sizeof(*c->series), by_value);
}

/* The column of a series; the number of columns for OTHER. */
static uint32_t column_of(const struct chart *c, struct str cell)
{
    for (uint32_t i = 0; i < c->n_columns; i++)
        if (str_eq(c->series[i].cell, cell))
            return i;
    return c->n_columns;
}

/* ---- the grid ---- */

static int64_t floor_to(int64_t v, int64_t width)
{
    int64_t q = v / width;
    return (v % width < 0 ? q - 1 : q) * width;
}

static enum err place_buckets(struct chart *c, int64_t from, int64_t to)
{
    struct agg_table *t = c->t;
    int64_t first = INT64_MAX, last = INT64_MIN;
    for (uint32_t g = 0; g < t->n; g++) {
        struct str cell;
        struct scalar value;
        int64_t at = split_key(c, t->group[g]->key, &cell, &value);
        first = at < first ? at : first;
        last = at > last ? at : last;
    }
    if (c->pipe->chart->fill && from != INT64_MIN && floor_to(from, c->width) < first)
        first = floor_to(from, c->width);
    if (c->pipe->chart->fill && to != INT64_MAX && to > from && floor_to(to - 1, c->width) > last)
        last = floor_to(to - 1, c->width);
    if (first > last) /* nothing found, and an end is open */
        return OK;
    uint64_t n = ((uint64_t)last - (uint64_t)first) / (uint64_t)c->width + 1;
    if (n > CHART_BUCKETS_MAX)
        return err_set(ERR_LIMIT,
                       "a timechart of %llu rows, more than %d: make span= wider, or narrow the "
                       "time range",
                       (unsigned long long)n, CHART_BUCKETS_MAX);
    c->first = first;
    c->n_buckets = (uint32_t)n;
    return OK;
}

static enum err merge_cell(struct chart *c, struct state **cell, struct state *with)
{
    size_t grown = 0;
    if (!*cell) {
        *cell = with;
        return OK;
    }
    for (uint32_t a = 0; a < c->pipe->n_aggs; a++)
        grown += agg_merge_state(&c->pipe->agg[a], &(*cell)[a], &with[a]);
    if (grown && reservation_grow(&c->t->res, grown) != OK)
        return agg_too_large(c->t);
    return OK;
}

static enum err fill_grid(struct chart *c)
{
    struct agg_table *t = c->t;
    uint32_t columns = c->n_columns + c->other;
    if ((uint64_t)c->n_buckets * columns > CELLS_MAX)
        return err_set(ERR_LIMIT,
                       "a timechart of more than %d cells: make span= wider or limit= "
                       "smaller",
                       CELLS_MAX);
    size_t bytes = ((size_t)c->n_buckets * columns + 1) * sizeof(*c->state);
    c->state = arena_try_alloc(c->arena, bytes);
    if (!c->state)
        return agg_too_large(t);
    memset(c->state, 0, bytes);
    for (uint32_t g = 0; g < t->n; g++) {
        struct str cell;
        struct scalar value;
        int64_t at = split_key(c, t->group[g]->key, &cell, &value);
        uint32_t column = column_of(c, cell);
        size_t bucket = (size_t)(((uint64_t)at - (uint64_t)c->first) / (uint64_t)c->width);
        if (column < columns)
            TRY(merge_cell(c, &c->state[bucket * columns + column], t->group[g]->state));
    }
    return OK;
}

/* ---- rows ---- */

static struct str series_name(const struct chart *c, uint32_t column, struct arena *arena)
{
    if (column == c->n_columns)
        return STR("OTHER");
    const struct scalar *s = &c->series[column].value;
    if (s->lane == SCALAR_NONE)
        return STR("NULL");
    if (s->lane == LANE_STR || s->text.p)
        return s->text;
    struct buf b;
    buf_init(&b, 1 << 10);
    scalar_json(&b, s);
    struct str name = arena_str(arena, buf_str(&b));
    buf_release(&b);
    return name;
}

/* The names of the cells of a row: of a function, of a series, or of both. */
static struct str *cell_names(struct chart *c, uint32_t columns)
{
    uint32_t n_aggs = c->pipe->n_aggs;
    struct str *name = ARENA_ARRAY(c->arena, struct str, (size_t)columns * n_aggs + 1);
    for (uint32_t i = 0; i < columns; i++)
        for (uint32_t a = 0; a < n_aggs; a++) {
            struct str *to = &name[i * n_aggs + a];
            struct str agg = c->pipe->agg[a].name;
            if (!c->pipe->chart->split)
                *to = agg;
            else if (n_aggs == 1)
                *to = series_name(c, i, c->arena);
            else
                *to = arena_printf(c->arena, "%.*s: %.*s", STR_ARG(agg),
                                   STR_ARG(series_name(c, i, c->arena)));
        }
    return name;
}

static bool bucket_is_empty(const struct chart *c, struct state *const *state, uint32_t columns)
{
    for (uint32_t i = 0; i < columns; i++)
        if (state[i])
            return false;
    return !c->pipe->chart->fill;
}

static void put_rows(struct chart *c, struct batch *out)
{
    uint32_t columns = c->n_columns + c->other, n_aggs = c->pipe->n_aggs;
    struct str *name = cell_names(c, columns);
    struct str time_name = c->pipe->by[c->pipe->n_by - 1].name;
    for (uint32_t b = 0; b < c->n_buckets; b++) {
        struct state **state = c->state + (size_t)b * columns;
        char text[TIME_TEXT_MAX];
        if (bucket_is_empty(c, state, columns))
            continue;
        size_t n = time_rfc3339(c->first + (int64_t)b * c->width, text);
        batch_begin(out);
        batch_text(out, time_name, LANE_STR, str_of(text, n));
        for (uint32_t i = 0; i < columns; i++)
            for (uint32_t a = 0; a < n_aggs; a++)
                agg_put_result(out, name[i * n_aggs + a], &c->pipe->agg[a],
                               state[i] ? &state[i][a] : &c->empty[a]);
        batch_end(out, 0, STR("{}"));
    }
}

enum err chart_result(struct agg_table *t, int64_t from, int64_t to, struct batch *out)
{
    struct chart c = {.t = t, .pipe = t->pipe, .arena = &t->arena};
    c.width = t->pipe->by[t->pipe->n_by - 1].bin_ns;
    c.empty = ARENA_ARRAY(c.arena, struct state, t->pipe->n_aggs);
    choose_series(&c);
    if (!t->pipe->chart->split)
        c.n_columns = 1;
    TRY(place_buckets(&c, from, to));
    if (!c.n_buckets)
        return OK;
    TRY(fill_grid(&c));
    put_rows(&c, out);
    return t->arena.failed ? agg_too_large(t) : OK;
}
