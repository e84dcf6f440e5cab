/* What the pipe `patterns` adds to stats: blocks that are wanted whole are answered from what is
 * known of their patterns; examples; the id of a pattern and the filter that finds its rows.
 *
 * Its functions stand in a fixed order: the count, the first and the last time, examples (perhaps
 * none). */
#include "query/agg_impl.h"

#include "core/mem.h"
#include "filter/filter.h"
#include "query/bins.h"
#include "record/template_cut.h"
#include "record/timestamp.h"

#include <stdlib.h>

enum { THE_COUNT, THE_FIRST, THE_LAST, THE_EXAMPLES };

/* ---- examples ---- */

struct example {
    struct row_order order;
    struct str json; /* mem.h's */
};
/* The newest that were met, the newest first; all different, each as it was met last: whatever
 * order the blocks come in. */
struct examples {
    uint32_t n;
    struct example item[PATTERN_EXAMPLES_MAX];
};

void examples_release(void *examples)
{
    struct examples *e = examples;
    for (uint32_t i = 0; i < e->n; i++)
        mem_free((char *)(uintptr_t)e->item[i].json.p);
}

/* Whether a value of that time could still come among them. */
static bool examples_take(const struct agg_spec *spec, const struct state *s, int64_t time)
{
    const struct examples *e = s->sketch;
    return !e || e->n < spec->most || time >= e->item[e->n - 1].order.time;
}

/* In the place of the one at `at`, or newer ones' behind which it comes. */
static void put_example(struct examples *e, uint32_t at, const struct example *x)
{
    struct example item = *x;
    for (; at > 0 && row_order_cmp(&item.order, &e->item[at - 1].order) > 0; at--)
        e->item[at] = e->item[at - 1];
    e->item[at] = item;
}

static size_t examples_add(const struct agg_spec *spec, struct state *s,
                           const struct row_order *order, struct str json)
{
    if (!examples_take(spec, s, order->time))
        return 0;
    if (!s->sketch)
        s->sketch = NEW(struct examples);
    struct examples *e = s->sketch;
    for (uint32_t i = 0; i < e->n; i++)
        if (str_eq(e->item[i].json, json)) {
            if (row_order_cmp(order, &e->item[i].order) > 0)
                put_example(e, i, &(struct example){*order, e->item[i].json});
            return 0;
        }
    if (e->n == spec->most) {
        if (row_order_cmp(order, &e->item[e->n - 1].order) <= 0)
            return 0;
        mem_free((char *)(uintptr_t)e->item[--e->n].json.p);
    }
    put_example(e, e->n++, &(struct example){*order, str_of(mem_strdup(json), json.n)});
    s->n++;
    return json.n + sizeof(struct example);
}

size_t examples_merge(const struct agg_spec *spec, struct state *into, const struct state *from)
{
    const struct examples *e = from->sketch;
    size_t grown = 0;
    for (uint32_t i = 0; e && i < e->n; i++)
        grown += examples_add(spec, into, &e->item[i].order, e->item[i].json);
    return grown;
}

void examples_put(struct batch *b, struct str name, const struct state *s)
{
    const struct examples *e = s->sketch;
    struct buf out;
    buf_init(&out, SIZE_MAX);
    buf_put_byte(&out, '[');
    for (uint32_t i = 0; e && i < e->n; i++) {
        if (i)
            buf_put_byte(&out, ',');
        buf_put_str(&out, e->item[i].json);
    }
    buf_put_byte(&out, ']');
    batch_text(b, name, LANE_ARR, buf_str(&out));
    buf_release(&out);
}

/* A row whose value may become an example of a group. */
struct candidate {
    uint32_t row;
    struct state *state;
};
struct candidates {
    struct candidate *item;
    uint32_t n;
};

static int by_row(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    return (x->row > y->row) - (x->row < y->row);
}

/* Reads the candidates' values. */
static enum err add_candidates(struct fold *f, const struct agg_spec *spec, struct candidates *c)
{
    struct field_values values;
    struct buf json;
    size_t grown = 0;
    enum err err = OK;
    if (c->n == 0)
        return OK;
    qsort(c->item, c->n, sizeof(*c->item), by_row);
    uint32_t *row = arena_alloc(f->scratch, c->n * sizeof(*row)), n = 0;
    for (uint32_t i = 0; i < c->n; i++)
        if (i == 0 || c->item[i].row != row[n - 1])
            row[n++] = c->item[i].row;
    TRY(field_read(f->rows, spec->field, row, n, f->scratch, &values));
    buf_init(&json, SIZE_MAX);
    for (uint32_t p = 0; p < values.n; p++) {
        const struct field_piece *piece = &values.piece[p];
        uint32_t next = 0;
        for (uint32_t i = 0; i < piece->n && err == OK; i++) {
            uint32_t its = row[piece->sel ? piece->sel[i] : i];
            struct scalar v = scalar_of(&piece->v, piece->code ? piece->code[i] : i);
            struct row_order order;
            buf_clear(&json);
            scalar_json(&json, &v);
            err = rows_order(f->rows, its, &order);
            while (c->item[next].row < its)
                next++;
            for (; err == OK && next < c->n && c->item[next].row == its; next++)
                grown += examples_add(spec, c->item[next].state, &order, buf_str(&json));
        }
    }
    buf_release(&json);
    if (err == OK && grown && reservation_grow(&f->t->res, grown) != OK)
        return agg_too_large(f->t);
    return err;
}

struct timed {
    int64_t time;
    uint32_t i; /* of the selected rows */
};

static int by_time(const void *a, const void *b)
{
    const struct timed *x = a, *y = b;
    return x->time != y->time ? (x->time > y->time) - (x->time < y->time)
                              : (x->i > y->i) - (x->i < y->i);
}

/* The selected rows in the order of their times; NULL: they are. Those of a frame are as they
 * came, those of a block are sorted. */
static struct timed *sort_rows(struct fold *f, const int64_t *time)
{
    uint32_t sorted = 1;
    while (sorted < f->n && time[f->row[sorted - 1]] <= time[f->row[sorted]])
        sorted++;
    if (sorted >= f->n)
        return NULL;
    struct timed *t = arena_alloc(f->scratch, f->n * sizeof(*t));
    for (uint32_t i = 0; i < f->n; i++)
        t[i] = (struct timed){time[f->row[i]], i};
    qsort(t, f->n, sizeof(*t), by_time);
    return t;
}

/* Of each group the newest rows of the block. */
enum err fold_examples(struct fold *f, uint32_t agg)
{
    const struct agg_spec *spec = &f->t->pipe->agg[agg];
    uint32_t *have = ARENA_ARRAY(f->scratch, uint32_t, (size_t)f->n_codes + 1);
    size_t most = (size_t)f->n_codes * spec->most, all = f->begin ? f->begin[f->n] : f->n;
    struct candidates c = {
        arena_alloc(f->scratch, ((most < all ? most : all) + 1) * sizeof(*c.item)), 0};
    const int64_t *time;
    TRY(rows_time(f->rows, &time));
    const struct timed *sorted = sort_rows(f, time);
    for (uint32_t at = f->n; at-- > 0;) {
        uint32_t i = sorted ? sorted[at].i : at;
        uint32_t end = f->begin ? f->begin[i + 1] : i + 1;
        for (uint32_t k = f->begin ? f->begin[i] : i; k < end; k++) {
            uint32_t code = f->code[k];
            if (code == CODE_NONE || have[code] == spec->most)
                continue;
            struct state *s = &f->group[code]->state[agg];
            if (!examples_take(spec, s, time[f->row[i]]))
                continue;
            have[code]++;
            c.item[c.n++] = (struct candidate){f->row[i], s};
        }
    }
    return add_candidates(f, spec, &c);
}

/* ---- whole blocks ---- */

static struct group *group_of(struct fold *f, uint8_t lane, struct str pattern, struct buf *key)
{
    buf_clear(key);
    buf_put_u8(key, lane);
    buf_put_lstr(key, pattern);
    return agg_group(f->t, buf_str(key));
}

static void add_sums(struct fold *f, struct group *g, uint32_t count, int64_t first, int64_t last)
{
    const struct agg_spec *agg = f->t->pipe->agg;
    g->state[THE_COUNT].n += count;
    agg_add_time(&agg[THE_FIRST], &g->state[THE_FIRST], first);
    agg_add_time(&agg[THE_LAST], &g->state[THE_LAST], last);
}

/* The row of a column's value. */
static uint32_t row_of(const struct presence *has, uint32_t pos)
{
    if (has->all)
        return pos;
    uint32_t w = 0;
    while (has->rank[w] + bitmap_ones(has->bits[w]) <= pos)
        w++;
    uint64_t bits = has->bits[w];
    for (uint32_t skip = pos - has->rank[w]; skip > 0; skip--)
        bits &= bits - 1;
    return w * 64 + (uint32_t)__builtin_ctzll(bits);
}

/* Those rows that have no value. */
static enum err add_missing(struct fold *f, const struct presence *has, struct buf *key)
{
    const int64_t *time;
    uint32_t n = 0;
    int64_t first = INT64_MAX, last = INT64_MIN;
    TRY(rows_time(f->rows, &time));
    for (uint32_t i = 0; i < f->rows->n; i++) {
        if (presence_has(has, i))
            continue;
        n++;
        first = time[i] < first ? time[i] : first;
        last = time[i] > last ? time[i] : last;
    }
    if (n == 0)
        return OK;
    struct group *g = group_of(f, SCALAR_NONE, (struct str){0}, key);
    if (!g)
        return agg_too_large(f->t);
    add_sums(f, g, n, first, last);
    return OK;
}

static enum err add_patterns(struct fold *f, const struct values *pattern,
                             const struct pattern_sums *sums, const struct presence *has)
{
    const struct pipe *pipe = f->t->pipe;
    const struct agg_spec *spec = pipe->n_aggs > THE_EXAMPLES ? &pipe->agg[THE_EXAMPLES] : NULL;
    struct candidates c = {0};
    struct buf key;
    enum err err = OK;
    c.item = arena_alloc(f->scratch, ((size_t)pattern->n * PATTERN_SAMPLES + 1) * sizeof(*c.item));
    buf_init(&key, SIZE_MAX);
    for (uint32_t i = 0; i < pattern->n && err == OK; i++) {
        if (!sums->count[i])
            continue;
        struct group *g = group_of(f, LANE_STR, values_text(pattern, i), &key);
        if (!g) {
            err = agg_too_large(f->t);
            break;
        }
        add_sums(f, g, sums->count[i], sums->first[i], sums->last[i]);
        for (uint32_t k = 0; spec && k < PATTERN_SAMPLES && k < spec->most; k++) {
            uint32_t pos = sums->sample[i * PATTERN_SAMPLES + k];
            struct state *s = &g->state[THE_EXAMPLES];
            if (pos != UINT32_MAX && examples_take(spec, s, sums->last[i]))
                c.item[c.n++] = (struct candidate){row_of(has, pos), s};
        }
    }
    if (err == OK && !has->all)
        err = add_missing(f, has, &key);
    buf_release(&key);
    return err == OK && spec ? add_candidates(f, spec, &c) : err;
}

enum err agg_patterns(struct fold *f, bool *ret)
{
    const struct pipe *pipe = f->t->pipe;
    const struct column *col;
    struct pattern_sums sums;
    struct values pattern;
    struct presence has;
    uint32_t number = 0;
    *ret = false;
    if (pipe->n_by != 1 || f->n != f->rows->n)
        return OK;
    TRY(agg_only_column(f->rows, pipe->by[0].field, &col, &number));
    if (!col || !col->ops->patterns)
        return OK;
    enum err err = col->ops->patterns(col, f->scratch, &pattern, NULL, &sums);
    if (err != OK)
        return err == ERR_UNSUPPORTED ? OK : err;
    *ret = true;
    TRY(rows_presence(f->rows, number, &has));
    return add_patterns(f, &pattern, &sums, &has);
}

/* ---- a pattern's row ---- */

bool patterns_wanted(const struct pipe *pipe, const struct group *g)
{
    return !pipe->patterns || g->state[THE_FIRST].best.i64 >= pipe->patterns->new_since;
}

void patterns_put_id(struct batch *b, const struct group *g)
{
    struct reader r = reader_of(g->key);
    struct scalar pattern = agg_cell(&r);
    char id[TEMPLATE_ID_TEXT];
    if (pattern.lane == SCALAR_NONE) {
        batch_empty(b, STR("id"), LANE_NULL);
        return;
    }
    template_id_write(template_id(pattern.text), id);
    batch_text(b, STR("id"), LANE_STR, str_of(id, sizeof(id)));
}

static struct str number_text_of(struct arena *a, double v)
{
    return arena_printf(a, "%.17g", v);
}

static const struct filter *range_of(struct arena *a, struct str field, struct str low,
                                     struct str high)
{
    const struct filter *f = NULL;
    struct filter_bound from = {low, true}, to = {high, false};
    return filter_range(a, field, from, to, 0, &f) == OK ? f : filter_everything();
}

static const struct filter *filter_of_cell(struct arena *a, const struct by_spec *by,
                                           const struct scalar *s)
{
    if (s->lane == SCALAR_NONE)
        return filter_lacks(a, by->field);
    if (by->pattern)
        return filter_pattern(a, by->field, template_id(s->text));
    if (by->bin_time) {
        char from[TIME_TEXT_MAX], to[TIME_TEXT_MAX];
        size_t n = time_rfc3339(s->i64, from), m = time_rfc3339(bin_next(by, s->i64), to);
        return range_of(a, by->field, str_of(from, n), str_of(to, m));
    }
    if (by->bin_width > 0)
        return range_of(a, by->field, number_text_of(a, s->f64),
                        number_text_of(a, s->f64 + by->bin_width));
    if (s->lane == LANE_BOOL)
        return filter_equal(a, by->field, str_c(s->i64 ? "true" : "false"));
    return filter_equal(a, by->field, s->text);
}

void patterns_put_query(struct batch *b, const struct pipe *pipe, const struct group *g)
{
    struct reader r = reader_of(g->key);
    const struct filter *all[BY_MAX];
    struct arena a;
    struct buf out;
    arena_init(&a, 0, NULL);
    buf_init(&out, SIZE_MAX);
    for (uint32_t k = 0; k < pipe->n_by; k++) {
        struct scalar s = agg_cell(&r);
        all[k] = filter_of_cell(&a, &pipe->by[k], &s);
    }
    filter_write(pipe->n_by > 1 ? filter_list(&a, FILTER_AND, all, pipe->n_by) : all[0], &out);
    batch_text(b, STR("query"), LANE_STR, buf_str(&out));
    buf_release(&out);
    arena_release(&a);
}
