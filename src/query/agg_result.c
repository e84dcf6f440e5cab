/* Reading a table of groups out: a record a group, in the order of the groups' keys. */
#include "query/agg_impl.h"

#include "core/mem.h"
#include "query/sketch.h"
#include "record/json.h"
#include "record/timestamp.h"

#include <math.h>
#include <stdlib.h>

static void put_scalar(struct batch *b, struct str name, const struct scalar *s)
{
    char time[TIME_TEXT_MAX];
    switch (s->lane) {
    case LANE_INT: /* with a scale it is a time */
        if (s->scale)
            batch_text(b, name, LANE_STR, str_of(time, time_rfc3339(s->i64, time)));
        else
            batch_int(b, name, s->i64);
        break;
    case LANE_DEC:
        batch_dec(b, name, s->i64, s->scale);
        break;
    case LANE_DBL:
        batch_dbl(b, name, s->f64);
        break;
    case LANE_BOOL:
        batch_bool(b, name, s->i64 != 0);
        break;
    case SCALAR_NONE:
        batch_empty(b, name, LANE_NULL);
        break;
    default:
        batch_text(b, name, s->lane, s->text);
    }
}

static void put_double(struct batch *b, struct str name, double v)
{
    if (v == rint(v) && fabs(v) < 1e15) { /* 100000, not 1e+05 */
        batch_int(b, name, (int64_t)v);
    } else if (isfinite(v)) {
        char text[40];
        size_t n = json_double_text(v, text);
        batch_number(b, name, str_of(text, n));
    } else {
        batch_empty(b, name, LANE_NULL);
    }
}

static int item_order(const void *a, const void *b)
{
    return scalar_order(a, b);
}

static void put_values(struct batch *b, struct str name, const struct state *s)
{
    struct buf out;
    buf_init(&out, SIZE_MAX);
    buf_put_byte(&out, '[');
    struct value_set *set = s->sketch;
    if (set)
        qsort(set->item, set->n, sizeof(*set->item), item_order);
    for (uint32_t i = 0; set && i < set->n; i++) {
        if (i)
            buf_put_byte(&out, ',');
        scalar_json(&out, &set->item[i]);
    }
    buf_put_byte(&out, ']');
    batch_text(b, name, LANE_ARR, buf_str(&out));
    buf_release(&out);
}

double agg_number(const struct agg_spec *spec, const struct state *s)
{
    switch (spec->kind) {
    case AGG_COUNT:
        return (double)s->n;
    case AGG_SUM:
        return exact_get(&s->sum);
    case AGG_AVG:
        return s->n ? exact_get(&s->sum) / (double)s->n : NAN;
    case AGG_PERCENTILE:
        return s->sketch ? quantile_get(s->sketch, spec->quantile) : NAN;
    case AGG_DISTINCT:
        return s->sketch ? (double)distinct_count(s->sketch) : 0;
    case AGG_VALUES:
        return s->sketch ? ((const struct value_set *)s->sketch)->n : 0;
    default:
        return s->n && s->best.numeric ? s->best.f64 : NAN;
    }
}

static void put_sum(struct batch *b, struct str name, const struct state *s)
{
    int64_t whole;
    if (s->n && !s->real && exact_is_int(&s->sum, &whole))
        batch_int(b, name, whole);
    else
        put_double(b, name, s->n ? exact_get(&s->sum) : NAN);
}

void agg_put_result(struct batch *b, struct str name, const struct agg_spec *spec,
                    const struct state *s)
{
    switch (spec->kind) {
    case AGG_COUNT:
        batch_int(b, name, (int64_t)s->n);
        break;
    case AGG_SUM:
        put_sum(b, name, s);
        break;
    case AGG_AVG:
        put_double(b, name, s->n ? exact_get(&s->sum) / (double)s->n : NAN);
        break;
    case AGG_PERCENTILE:
        put_double(b, name, s->sketch ? quantile_get(s->sketch, spec->quantile) : NAN);
        break;
    case AGG_DISTINCT:
        batch_int(b, name, s->sketch ? (int64_t)distinct_count(s->sketch) : 0);
        break;
    case AGG_VALUES:
        put_values(b, name, s);
        break;
    case AGG_EXAMPLES:
        examples_put(b, name, s);
        break;
    default:
        if (s->n)
            put_scalar(b, name, &s->best);
        else
            batch_empty(b, name, LANE_NULL);
    }
}

static void put_key(struct batch *b, const struct by_spec *by, const struct scalar *s)
{
    if (s->lane == LANE_INT && s->scale) {
        char text[TIME_TEXT_MAX];
        size_t n = time_rfc3339(s->i64, text);
        batch_text(b, by->name, LANE_STR, str_of(text, n));
    } else if (s->lane != SCALAR_NONE && lane_is_number(s->lane)) {
        batch_number(b, by->name, s->text);
    } else {
        put_scalar(b, by->name, s);
    }
}

/* ---- order ---- */

struct ordered {
    struct group *group;
    const struct scalar *cell; /* of its key */
};

static int group_order(const void *a, const void *b, void *ctx)
{
    const struct pipe *pipe = ctx;
    const struct ordered *x = a, *y = b;
    for (uint32_t k = 0; k < pipe->n_by; k++) {
        int c = scalar_order(&x->cell[k], &y->cell[k]);
        if (c)
            return c;
    }
    return 0;
}

static void sort_groups(struct agg_table *t)
{
    uint32_t n_by = t->pipe->n_by;
    if (t->n < 2 || !n_by)
        return;
    struct ordered *order = NEW_ARRAY(struct ordered, t->n);
    struct scalar *cell = NEW_ARRAY(struct scalar, (size_t)t->n * n_by);
    for (uint32_t g = 0; g < t->n; g++) {
        struct reader key = reader_of(t->group[g]->key);
        order[g] = (struct ordered){t->group[g], cell + (size_t)g * n_by};
        for (uint32_t k = 0; k < n_by; k++)
            cell[(size_t)g * n_by + k] = agg_cell(&key);
    }
    qsort_r(order, t->n, sizeof(*order), group_order, (void *)(uintptr_t)t->pipe);
    for (uint32_t g = 0; g < t->n; g++)
        t->group[g] = order[g].group;
    mem_free(cell);
    mem_free(order);
}

enum err agg_result(struct agg_table *t, struct batch *out)
{
    const struct pipe *pipe = t->pipe;
    if (pipe->n_by == 0 && t->n == 0 && !agg_group(t, (struct str){0}))
        return agg_too_large(t);
    sort_groups(t);
    for (uint32_t g = 0; g < t->n; g++) {
        struct reader key = reader_of(t->group[g]->key);
        if (!patterns_wanted(pipe, t->group[g]))
            continue;
        batch_begin(out);
        if (pipe->patterns)
            patterns_put_id(out, t->group[g]);
        for (uint32_t k = 0; k < pipe->n_by; k++) {
            struct scalar s = agg_cell(&key);
            put_key(out, &pipe->by[k], &s);
        }
        for (uint32_t a = 0; a < pipe->n_aggs; a++)
            agg_put_result(out, pipe->agg[a].name, &pipe->agg[a], &t->group[g]->state[a]);
        if (pipe->patterns)
            patterns_put_query(out, pipe, t->group[g]);
        batch_end(out, 0, (struct str){0});
    }
    return OK;
}
