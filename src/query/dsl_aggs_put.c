/* Writing aggregations: the tree is walked again, each level's rows found by their keys. */
#include "query/bins.h"
#include "query/dsl_aggs_impl.h"

#include "record/json.h"
#include "record/timestamp.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

struct str dsl_number_text(struct arena *a, double v)
{
    char text[40];
    struct str s = str_of(text, json_double_text(v, text));
    bool whole = v == rint(v) && fabs(v) < 1e15;
    return whole ? arena_printf(a, "%.1f", v) : arena_str(a, s);
}

/* ---- what was found ---- */

static uint32_t cells(const struct level *l)
{
    return l->n_by + l->n_functions;
}

static const struct scalar *row_cell(const struct level *l, uint32_t row, uint32_t cell)
{
    return &l->cell[(size_t)l->row[row] * cells(l) + cell];
}

static int keys_cmp(const struct scalar *a, const struct scalar *b, uint32_t n)
{
    for (uint32_t k = 0; k < n; k++) {
        int c = scalar_cmp(&a[k], &b[k]);
        if (c)
            return c;
        /* A number and a text of digits are different keys. */
        if (a[k].lane != b[k].lane && (a[k].lane == LANE_STR) != (b[k].lane == LANE_STR))
            return a[k].lane == LANE_STR ? 1 : -1;
    }
    return 0;
}

static int row_cmp(const void *a, const void *b, void *ctx)
{
    const struct level *l = ctx;
    return keys_cmp(&l->cell[(size_t) * (const uint32_t *)a * cells(l)],
                    &l->cell[(size_t) * (const uint32_t *)b * cells(l)], l->n_by);
}

/* Bins of time come as text. */
static void read_bins(struct level *l)
{
    for (uint32_t k = 0; k < l->n_by; k++)
        for (uint32_t i = 0; l->by[k].bin_time && i < l->n_rows; i++) {
            struct scalar *s = &l->cell[(size_t)i * cells(l) + k];
            int64_t ns, end;
            if (time_parse_query(s->text, 0, &ns, &end))
                *s = (struct scalar){
                    .lane = LANE_INT, .i64 = ns, .f64 = (double)ns, .numeric = true};
        }
}

static enum err read_result(struct level *l, const struct find_group *g, struct arena *a)
{
    struct rows rows;
    struct sort_key *key = ARENA_ARRAY(a, struct sort_key, cells(l));
    l->n_rows = batch_rows(g->result);
    if (l->n_rows == 0)
        return OK;
    batch_view(g->result, a, &rows);
    for (uint32_t k = 0; k < l->n_by; k++)
        key[k].field = l->by[k].name;
    for (uint32_t k = 0; k < l->n_functions; k++)
        key[l->n_by + k].field = l->function[k].name;
    l->row = ARENA_ARRAY(a, uint32_t, l->n_rows);
    for (uint32_t i = 0; i < l->n_rows; i++)
        l->row[i] = i;
    struct sort_keys keys = {key, cells(l)};
    TRY(sort_keys_read(&keys, &rows, l->row, l->n_rows, a, &l->cell));
    read_bins(l);
    if (l->n_rows > 1)
        qsort_r(l->row, l->n_rows, sizeof(*l->row), row_cmp, l);
    return OK;
}

/* The rows [*from, *to) whose first n keys are those. */
static void find_rows(const struct level *l, const struct scalar *key, uint32_t n, uint32_t *from,
                      uint32_t *to)
{
    uint32_t low = 0, high = l->n_rows;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (keys_cmp(row_cell(l, mid, 0), key, n) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    *from = low;
    high = l->n_rows;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (keys_cmp(row_cell(l, mid, 0), key, n) <= 0)
            low = mid + 1;
        else
            high = mid;
    }
    *to = low;
}

static uint64_t doc_count(const struct level *l, uint32_t row)
{
    return (uint64_t)row_cell(l, row, l->n_by)->i64;
}

/* ---- writing ---- */

struct writing {
    struct arena *arena;
    struct buf *out;
};

static enum err put_level(struct writing *w, const struct level *l, const struct scalar *key,
                          uint32_t row);

static void put_name(struct writing *w, struct str name, bool comma)
{
    if (comma)
        buf_put_byte(w->out, ',');
    json_put_string(w->out, name);
    buf_put_byte(w->out, ':');
}

/* A number with a point, as Elasticsearch writes those it computed. */
static void put_number(struct writing *w, const struct scalar *s)
{
    if (!s || s->lane == SCALAR_NONE || !s->numeric) {
        buf_put_c(w->out, "null");
        return;
    }
    struct str text = dsl_number_text(w->arena, s->f64);
    buf_put_str(w->out, text);
}

static const struct scalar *function_of(const struct level *l, uint32_t row, uint32_t function)
{
    return row < l->n_rows ? row_cell(l, row, l->n_by + function) : NULL;
}

static uint64_t count_of(const struct scalar *s)
{
    return s && s->lane == LANE_INT ? (uint64_t)s->i64 : 0;
}

static void put_metric(struct writing *w, const struct level *l, const struct node *n, uint32_t row)
{
    const struct scalar *s = function_of(l, row, n->first);
    buf_put_c(w->out, "{\"value\":");
    if (n->metric == AGG_COUNT || n->metric == AGG_DISTINCT)
        buf_printf(w->out, "%" PRIu64, count_of(s));
    else if (n->metric == AGG_SUM && (!s || s->lane == SCALAR_NONE))
        buf_put_c(w->out, "0.0");
    else
        put_number(w, s);
    if (s && s->lane == LANE_STR && str_eq_c(n->field, "_time")) {
        int64_t ns, end;
        if (time_parse_query(s->text, 0, &ns, &end)) {
            w->out->n -= 4; /* null */
            buf_printf(w->out, "%lld.0,\"value_as_string\":", (long long)(ns / NS_PER_MS));
            json_put_string(w->out, s->text);
        }
    }
    buf_put_byte(w->out, '}');
}

static void put_stats(struct writing *w, const struct level *l, const struct node *n, uint32_t row)
{
    static const char *const names[] = {"min", "max", "avg", "sum"};
    buf_printf(w->out, "{\"count\":%" PRIu64, count_of(function_of(l, row, n->first)));
    for (uint32_t i = 0; i < 4; i++) {
        buf_printf(w->out, ",\"%s\":", names[i]);
        put_number(w, function_of(l, row, n->first + 1 + i));
    }
    buf_put_byte(w->out, '}');
}

static void put_percentiles(struct writing *w, const struct level *l, const struct node *n,
                            uint32_t row)
{
    buf_put_c(w->out, n->keyed ? "{\"values\":{" : "{\"values\":[");
    for (uint32_t i = 0; i < n->n_functions; i++) {
        struct str percent = dsl_number_text(w->arena, n->percent[i]);
        if (n->keyed)
            put_name(w, percent, i > 0);
        else
            buf_printf(w->out, "%s{\"key\":%.*s,\"value\":", i ? "," : "", STR_ARG(percent));
        put_number(w, function_of(l, row, n->first + i));
        if (!n->keyed)
            buf_put_byte(w->out, '}');
    }
    buf_put_c(w->out, n->keyed ? "}}" : "]}");
}

/* The count of a bucket, and what is below it; `row` of the bucket's level, past its end: none. */
static enum err put_bucket(struct writing *w, const struct level *l, const struct scalar *key,
                           uint32_t row)
{
    buf_printf(w->out, "\"doc_count\":%" PRIu64, row < l->n_rows ? doc_count(l, row) : 0);
    TRY(put_level(w, l, key, row));
    buf_put_byte(w->out, '}');
    return OK;
}

/* ---- terms ---- */

struct picked {
    uint32_t row;
    double by; /* what orders it, but for its key */
};

static int picked_cmp(const void *a, const void *b, void *ctx)
{
    const struct node *n = ctx;
    const struct picked *x = a, *y = b;
    if (!n->by_key && x->by != y->by)
        return (x->by < y->by) == n->ascending ? -1 : 1;
    int c = (x->row > y->row) - (x->row < y->row); /* rows are in the order of their keys */
    return n->by_key && !n->ascending ? -c : c;
}

static double order_value(const struct node *n, uint32_t row)
{
    const struct level *l = n->level;
    struct str name = str_of(n->order.p, str_find_byte(n->order, '.', 0));
    for (uint32_t k = 0; n->order.n && k < l->n_nodes; k++) {
        if (!str_eq(l->node[k].name, name))
            continue;
        const struct scalar *s = function_of(l, row, l->node[k].first);
        return s && s->numeric ? s->f64 : n->ascending ? INFINITY : -INFINITY;
    }
    return (double)doc_count(l, row);
}

static void put_term_key(struct writing *w, const struct node *n, const struct scalar *s)
{
    buf_put_c(w->out, "{\"key\":");
    if (s->lane == SCALAR_NONE)
        json_put_string(w->out, n->missing);
    else if (s->lane == LANE_BOOL)
        buf_printf(w->out, "%d,\"key_as_string\":\"%s\"", s->i64 != 0, s->i64 ? "true" : "false");
    else
        scalar_json(w->out, s);
    buf_put_byte(w->out, ',');
}

static enum err put_terms(struct writing *w, const struct node *n, const struct scalar *key,
                          uint32_t n_keys)
{
    const struct level *l = n->level;
    uint32_t from, to, count = 0;
    uint64_t other = 0;
    find_rows(l, key, n_keys, &from, &to);
    struct picked *p = ARENA_ARRAY(w->arena, struct picked, to - from + 1);
    for (uint32_t row = from; row < to; row++) {
        bool none = row_cell(l, row, n_keys)->lane == SCALAR_NONE;
        if ((!none || n->missing.p) && doc_count(l, row) >= n->min_doc_count)
            p[count++] = (struct picked){row, order_value(n, row)};
    }
    if (count > 1)
        qsort_r(p, count, sizeof(*p), picked_cmp, (void *)(uintptr_t)n);
    for (uint32_t i = 0; i < count; i++)
        other += i >= n->size ? doc_count(l, p[i].row) : 0;
    buf_printf(w->out,
               "{\"doc_count_error_upper_bound\":0,\"sum_other_doc_count\":%" PRIu64
               ",\"buckets\":[",
               other);
    for (uint32_t i = 0; i < count && i < n->size; i++) {
        const struct scalar *cell = row_cell(l, p[i].row, 0);
        if (i)
            buf_put_byte(w->out, ',');
        put_term_key(w, n, &cell[n_keys]);
        TRY(put_bucket(w, l, cell, p[i].row));
    }
    buf_put_c(w->out, "]}");
    return OK;
}

/* ---- histograms ---- */

/* A bin by its beginning in time, or by its number. */
static int64_t bin_of(const struct node *n, const struct scalar *s)
{
    return n->type == TYPE_HISTOGRAM ? llround(s->f64 / n->by.bin_width) : s->i64;
}

static int64_t bin_behind(const struct node *n, int64_t bin)
{
    return n->type == TYPE_HISTOGRAM ? bin + 1 : bin_next(&n->by, bin);
}

/* The key of a bin, of time in milliseconds; in front of it its name where it is keyed. */
static void put_bin_key(struct writing *w, const struct node *n, int64_t bin)
{
    char time[TIME_TEXT_MAX];
    if (n->type == TYPE_HISTOGRAM) {
        struct str text = dsl_number_text(w->arena, (double)bin * n->by.bin_width);
        if (n->keyed)
            put_name(w, text, false);
        buf_printf(w->out, "{\"key\":%.*s,", STR_ARG(text));
        return;
    }
    long long ms = bin / NS_PER_MS - (bin % NS_PER_MS < 0);
    struct str text =
        n->as_text ? str_of(time, time_rfc3339(bin, time)) : arena_printf(w->arena, "%lld", ms);
    if (n->keyed)
        put_name(w, text, false);
    buf_put_c(w->out, "{\"key_as_string\":");
    json_put_string(w->out, text);
    buf_printf(w->out, ",\"key\":%lld,", ms);
}

/* The bins to write: those of rows [from, to), and of the bounds asked for. None: first > last. */
static void bin_range(const struct node *n, uint32_t from, uint32_t to, uint32_t cell,
                      int64_t *first, int64_t *last)
{
    *first = INT64_MAX;
    *last = INT64_MIN;
    if (to > from) {
        *first = bin_of(n, row_cell(n->level, from, cell));
        *last = bin_of(n, row_cell(n->level, to - 1, cell));
    }
    if (n->bounded && n->min_doc_count == 0) {
        int64_t low = bin_start(&n->by, n->bound_min), high = bin_start(&n->by, n->bound_max);
        *first = low < *first ? low : *first;
        *last = high > *last ? high : *last;
    }
}

/* Rows are in the order of their bins; the empty bins between them are put in. */
static enum err put_histogram(struct writing *w, const struct node *n, const struct scalar *key,
                              uint32_t n_keys)
{
    const struct level *l = n->level;
    uint32_t from, to, count = 0;
    int64_t bin, last;
    struct scalar *bucket = ARENA_ARRAY(w->arena, struct scalar, l->n_by);
    find_rows(l, key, n_keys, &from, &to);
    bin_range(n, from, to, n_keys, &bin, &last);
    memcpy(bucket, key, n_keys * sizeof(*bucket));
    buf_put_c(w->out, n->keyed ? "{\"buckets\":{" : "{\"buckets\":[");
    for (bool more = bin <= last; more;) {
        bool here = from < to && bin_of(n, row_cell(l, from, n_keys)) <= bin;
        if (here ? doc_count(l, from) >= n->min_doc_count : n->min_doc_count == 0) {
            if (count)
                buf_put_byte(w->out, ',');
            if (count++ == BUCKETS_MAX)
                return err_set(ERR_INVALID,
                               "[%.*s] more than %d buckets: a larger interval is "
                               "needed",
                               STR_ARG(n->name), BUCKETS_MAX);
            put_bin_key(w, n, bin);
            bucket[n_keys] =
                here ? row_cell(l, from, 0)[n_keys] : (struct scalar){.lane = SCALAR_NONE};
            TRY(put_bucket(w, l, bucket, here ? from : UINT32_MAX));
        }
        from += here;
        int64_t next = bin_behind(n, bin);
        if (n->min_doc_count) /* on to the next row */
            next = from < to ? bin_of(n, row_cell(l, from, n_keys)) : bin;
        more = next > bin && next <= last;
        bin = next;
    }
    buf_put_c(w->out, n->keyed ? "}}" : "]}");
    return OK;
}

/* ---- conditions ---- */

static enum err put_branch(struct writing *w, const struct node *n, const struct branch *b,
                           const struct scalar *key, uint32_t n_keys)
{
    uint32_t from = 0, to = 0;
    find_rows(b->level, key, n_keys, &from, &to);
    buf_put_byte(w->out, '{');
    if (n->type == TYPE_RANGE && !n->keyed) {
        buf_put_c(w->out, "\"key\":");
        json_put_string(w->out, b->name);
        buf_put_byte(w->out, ',');
    }
    if (n->type == TYPE_RANGE && !isnan(b->from))
        buf_printf(w->out, "\"from\":%.*s,", STR_ARG(dsl_number_text(w->arena, b->from)));
    if (n->type == TYPE_RANGE && !isnan(b->to))
        buf_printf(w->out, "\"to\":%.*s,", STR_ARG(dsl_number_text(w->arena, b->to)));
    return put_bucket(w, b->level, key, from < to ? from : UINT32_MAX);
}

static enum err put_conditions(struct writing *w, const struct node *n, const struct scalar *key,
                               uint32_t n_keys)
{
    if (n->type == TYPE_FILTER || n->type == TYPE_MISSING)
        return put_branch(w, n, &n->branch[0], key, n_keys);
    buf_put_c(w->out, n->keyed ? "{\"buckets\":{" : "{\"buckets\":[");
    for (uint32_t i = 0; i < n->n_branches; i++) {
        if (n->keyed)
            put_name(w, n->branch[i].name, i > 0);
        else if (i)
            buf_put_byte(w->out, ',');
        TRY(put_branch(w, n, &n->branch[i], key, n_keys));
    }
    buf_put_c(w->out, n->keyed ? "}}" : "]}");
    return OK;
}

static enum err put_node(struct writing *w, const struct level *l, const struct node *n,
                         const struct scalar *key, uint32_t row)
{
    switch (n->type) {
    case TYPE_TERMS:
        return put_terms(w, n, key, l->n_by);
    case TYPE_DATE_HISTOGRAM:
    case TYPE_HISTOGRAM:
        return put_histogram(w, n, key, l->n_by);
    case TYPE_METRIC:
        put_metric(w, l, n, row);
        return OK;
    case TYPE_STATS:
        put_stats(w, l, n, row);
        return OK;
    case TYPE_PERCENTILES:
        put_percentiles(w, l, n, row);
        return OK;
    default:
        return put_conditions(w, n, key, l->n_by);
    }
}

/* The aggregations of a level within the bucket of those keys; each with a comma before it. */
static enum err put_level(struct writing *w, const struct level *l, const struct scalar *key,
                          uint32_t row)
{
    for (uint32_t i = 0; i < l->n_nodes; i++) {
        put_name(w, l->node[i].name, true);
        TRY(put_node(w, l, &l->node[i], key, row));
    }
    return OK;
}

enum err dsl_put_aggs(struct dsl_aggs *a, const struct find *f, struct arena *arena,
                      struct buf *out)
{
    struct writing w = {arena, out};
    for (uint32_t i = 0; i < a->n; i++)
        TRY(read_result(a->level[i], &a->group[i], arena));
    struct scalar none = {.lane = SCALAR_NONE};
    size_t at = out->n;
    TRY(put_level(&w, a->level[0], &none, 0));
    out->p[at] = '{'; /* for the first comma */
    buf_put_byte(out, '}');
    return OK;
}
