/* Aggregations: a tree of buckets with metrics in them becomes flat groups of one scan.
 *
 * A *level* is a place in the tree: the buckets that lead there by key (terms, histograms) are the
 * `by` of its group, those that lead there by a condition (filter, filters, range, missing) its
 * filter, and its count and metrics the group's functions. A bucket by key leads to one level, one
 * by conditions to a level for each of them. So every level is one `stats ... by` over some of the
 * rows, and all of them are folded in the same scan.
 *
 * Rendering walks the tree again: below a bucket, the rows of a level are those whose first keys
 * are the bucket's. Rows are sorted by their keys once, so that they stand together. */
#include "query/dsl_aggs_impl.h"

#include "record/json.h"
#include "record/timestamp.h"

#include <math.h>
#include <stdio.h>

/* ---- reading ---- */

struct reading {
    struct dsl *d;
    struct dsl_aggs *aggs;
};

static enum err read_level(struct reading *r, const json_t *aggs, const struct level *above,
                           const struct by_spec *by, const struct filter *filter,
                           struct level **ret);

static enum err add_function(struct reading *r, struct level *l, enum agg_kind kind,
                             struct str field, double quantile)
{
    if (l->n_functions == AGGS_MAX)
        return dsl_fail(r->d, "more than %d functions at one place", AGGS_MAX - 1);
    struct agg_spec *f = &l->function[l->n_functions];
    *f = (struct agg_spec){.kind = kind, .field = field, .quantile = quantile};
    f->name = arena_printf(r->d->arena, "f%u", l->n_functions++);
    return OK;
}

static enum err read_field(struct reading *r, const json_t *body, struct node *n)
{
    const char *name = json_string_value(json_object_get(body, "field"));
    if (json_object_get(body, "script"))
        return dsl_fail(r->d, "scripts are not supported");
    if (!name || !*name)
        return dsl_fail(r->d, "\"field\" is expected");
    n->field = dsl_field(arena_str(r->d->arena, str_c(name)), r->d->arena);
    return OK;
}

static enum err read_percents(struct reading *r, const json_t *body, struct node *n)
{
    static const double usual[] = {1, 5, 25, 50, 75, 95, 99};
    const json_t *percents = json_object_get(body, "percents");
    size_t count = percents ? json_array_size(percents) : sizeof(usual) / sizeof(*usual);
    if (count == 0 || count > PERCENTS_MAX)
        return dsl_fail(r->d, "percents: 1 to %d numbers are expected", PERCENTS_MAX);
    for (size_t i = 0; i < count; i++) {
        n->percent[i] = percents ? json_number_value(json_array_get(percents, i)) : usual[i];
        if (!(n->percent[i] >= 0 && n->percent[i] <= 100))
            return dsl_fail(r->d, "percents lie between 0 and 100");
    }
    n->n_functions = (uint32_t)count;
    n->keyed = true;
    return dsl_bool(r->d, body, "keyed", &n->keyed);
}

static enum err read_metric(struct reading *r, const json_t *body, struct level *l, struct node *n)
{
    static const enum agg_kind stats[] = {AGG_COUNT, AGG_MIN, AGG_MAX, AGG_AVG, AGG_SUM};
    TRY(dsl_object(r->d, body));
    TRY(read_field(r, body, n));
    if (json_object_get(body, "missing"))
        return dsl_fail(r->d, "\"missing\" is not supported here");
    n->first = l->n_functions;
    n->n_functions = n->type == TYPE_STATS ? 5 : 1;
    if (n->type == TYPE_PERCENTILES)
        TRY(read_percents(r, body, n));
    for (uint32_t i = 0; i < n->n_functions; i++) {
        enum agg_kind kind = n->type == TYPE_PERCENTILES ? AGG_PERCENTILE
                             : n->type == TYPE_STATS     ? stats[i]
                                                         : n->metric;
        TRY(add_function(r, l, kind, n->field, n->percent[i] / 100));
    }
    return OK;
}

static enum err read_count(struct reading *r, const json_t *body, const char *name, uint64_t *ret)
{
    const json_t *value = json_object_get(body, name);
    if (value && (!json_is_integer(value) || json_integer_value(value) < 0))
        return dsl_fail(r->d, "%s: a whole number is expected", name);
    if (value)
        *ret = (uint64_t)json_integer_value(value);
    return OK;
}

/* {"_count": "desc"}, {"_key": "asc"}, {"metric": "desc"}, or an array, whose first counts. */
static enum err read_terms_order(struct reading *r, const json_t *order, struct node *n)
{
    const char *by;
    json_t *direction;
    if (json_is_array(order))
        order = json_array_get(order, 0);
    if (!order)
        return OK;
    TRY(dsl_only(r->d, order, &by, &direction));
    const char *text = json_string_value(direction);
    if (!text || (strcasecmp(text, "asc") != 0 && strcasecmp(text, "desc") != 0))
        return dsl_fail(r->d, "order: asc or desc is expected");
    n->ascending = !strcasecmp(text, "asc");
    n->by_key = !strcmp(by, "_key") || !strcmp(by, "_term");
    if (!n->by_key && strcmp(by, "_count") != 0)
        n->order = arena_str(r->d->arena, str_c(by));
    return OK;
}

static enum err read_terms(struct reading *r, const json_t *body, struct node *n,
                           struct by_spec *by)
{
    const json_t *missing = json_object_get(body, "missing");
    TRY(dsl_object(r->d, body));
    TRY(read_field(r, body, n));
    n->size = TERMS_SIZE_DEFAULT;
    n->min_doc_count = 1;
    TRY(read_count(r, body, "size", &n->size));
    TRY(read_count(r, body, "min_doc_count", &n->min_doc_count));
    TRY(read_terms_order(r, json_object_get(body, "order"), n));
    if (json_object_get(body, "include") || json_object_get(body, "exclude"))
        return dsl_fail(r->d, "include and exclude are not supported");
    if (missing)
        TRY(dsl_text(r->d, missing, &n->missing));
    *by = (struct by_spec){.field = n->field, .required = !missing};
    return OK;
}

/* Intervals by the calendar. Weeks begin on Mondays; 1970 began on a Thursday. */
static bool named_interval(struct str text, struct by_spec *by)
{
    static const struct {
        const char *name, *short_name;
        int64_t ns;
        int32_t months;
    } known[] = {
        {"second", "1s", NS_PER_S, 0},
        {"minute", "1m", 60 * NS_PER_S, 0},
        {"hour", "1h", 3600 * NS_PER_S, 0},
        {"day", "1d", NS_PER_DAY, 0},
        {"week", "1w", 7 * NS_PER_DAY, 0},
        {"month", "1M", 0, 1},
        {"quarter", "1q", 0, 3},
        {"year", "1y", 0, 12},
    };
    for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
        if (!str_eq_c(text, known[i].name) && !str_eq_c(text, known[i].short_name))
            continue;
        by->bin_ns = known[i].ns;
        by->bin_months = known[i].months;
        by->bin_shift_ns = str_eq_c(text, "week") || str_eq_c(text, "1w") ? 3 * NS_PER_DAY : 0;
        return true;
    }
    return false;
}

static enum err read_interval(struct reading *r, const json_t *body, struct by_spec *by)
{
    static const char *const names[] = {"fixed_interval", "calendar_interval", "interval"};
    struct str text = {0};
    int k = 0;
    while (k < 3 && !json_object_get(body, names[k]))
        k++;
    if (k == 3)
        return dsl_fail(r->d, "fixed_interval or calendar_interval is expected");
    TRY(dsl_text(r->d, json_object_get(body, names[k]), &text));
    if (k > 0 && named_interval(text, by))
        return OK;
    if (k == 1)
        return dsl_fail(r->d, "calendar_interval: minute, hour, day, week, month, quarter or year "
                              "is expected");
    if (!str_to_duration_ns(text, &by->bin_ns) || by->bin_ns <= 0)
        return dsl_fail(r->d, "%s: a duration such as 30s is expected", names[k]);
    return OK;
}

static enum err read_instant(struct reading *r, const json_t *value, int64_t *ret)
{
    struct str text;
    int64_t end;
    TRY(dsl_text(r->d, value, &text));
    if (!time_parse_query(text, r->d->now_ns, ret, &end))
        return dsl_fail(r->d, "a time is expected");
    return OK;
}

static enum err read_bounds(struct reading *r, const json_t *body, struct node *n)
{
    const json_t *bounds = json_object_get(body, "extended_bounds");
    if (json_object_get(body, "hard_bounds"))
        return dsl_fail(r->d, "hard_bounds are not supported");
    if (!bounds)
        return OK;
    size_t mark = dsl_down(r->d, "extended_bounds");
    TRY(read_instant(r, json_object_get(bounds, "min"), &n->bound_min));
    TRY(read_instant(r, json_object_get(bounds, "max"), &n->bound_max));
    n->bounded = n->bound_min <= n->bound_max;
    dsl_up(r->d, mark);
    return OK;
}

/* +02:00, -0530, UTC, Z. */
static bool zone_offset(const char *zone, int64_t *ret)
{
    unsigned hours, minutes = 0;
    char sign;
    *ret = 0;
    if (!strcasecmp(zone, "utc") || !strcasecmp(zone, "gmt") || !strcmp(zone, "Z"))
        return true;
    if (sscanf(zone, "%c%2u:%2u", &sign, &hours, &minutes) < 2 || hours > 18 || minutes > 59)
        return false;
    *ret = (int64_t)(hours * 60 + minutes) * 60 * NS_PER_S * (sign == '-' ? -1 : 1);
    return sign == '+' || sign == '-';
}

/* A named zone's offset changes within the year, by quarters of an hour: bins that divide one are
 * not moved by any. */
static enum err read_zone(struct reading *r, const json_t *body, struct by_spec *by)
{
    const char *zone = json_string_value(json_object_get(body, "time_zone"));
    const char *offset = json_string_value(json_object_get(body, "offset"));
    int64_t ns = 0;
    if (zone && !zone_offset(zone, &ns) && (by->bin_months || 15 * 60 * NS_PER_S % by->bin_ns != 0))
        return dsl_fail(r->d, "time_zone: an offset such as +02:00 is expected, where bins are "
                              "not of minutes");
    by->bin_shift_ns += ns;
    if (!offset)
        return OK;
    bool back = offset[0] == '-';
    if (!str_to_duration_ns(str_c(offset + (back || offset[0] == '+')), &ns) ||
        ns > NS_PER_DAY * 366)
        return dsl_fail(r->d, "offset: a duration such as +6h is expected");
    by->bin_shift_ns += back ? ns : -ns;
    return OK;
}

static enum err read_date_histogram(struct reading *r, const json_t *body, struct node *n,
                                    struct by_spec *by)
{
    const char *format = json_string_value(json_object_get(body, "format"));
    TRY(dsl_object(r->d, body));
    TRY(read_field(r, body, n));
    if (!str_eq_c(n->field, "_time"))
        return dsl_fail(r->d, "only @timestamp is cut by time");
    *by = (struct by_spec){.field = n->field, .bin_time = true};
    TRY(read_interval(r, body, by));
    TRY(read_zone(r, body, by));
    TRY(read_count(r, body, "min_doc_count", &n->min_doc_count));
    TRY(dsl_bool(r->d, body, "keyed", &n->keyed));
    TRY(read_bounds(r, body, n));
    n->as_text = !(format && !strcmp(format, "epoch_millis"));
    n->ascending = n->by_key = true;
    n->by = *by;
    return OK;
}

static enum err read_histogram(struct reading *r, const json_t *body, struct node *n,
                               struct by_spec *by)
{
    TRY(dsl_object(r->d, body));
    TRY(read_field(r, body, n));
    double width = json_number_value(json_object_get(body, "interval"));
    if (!(width > 0 && isfinite(width)))
        return dsl_fail(r->d, "interval: a number above 0 is expected");
    if (json_object_get(body, "offset") || json_object_get(body, "extended_bounds"))
        return dsl_fail(r->d, "offset and extended_bounds are not supported here");
    TRY(read_count(r, body, "min_doc_count", &n->min_doc_count));
    TRY(dsl_bool(r->d, body, "keyed", &n->keyed));
    n->ascending = n->by_key = true;
    n->by = *by = (struct by_spec){.field = n->field, .bin_width = width, .required = true};
    return OK;
}

/* ---- conditions ---- */

static enum err new_branches(struct reading *r, struct node *n, size_t count)
{
    if (count > FILTERS_MAX)
        return dsl_fail(r->d, "more than %d buckets", FILTERS_MAX);
    n->branch = ARENA_ARRAY(r->d->arena, struct branch, count + 1);
    n->n_branches = (uint32_t)count;
    return OK;
}

static enum err read_filters(struct reading *r, const json_t *body, struct node *n)
{
    const json_t *filters = json_object_get(body, "filters");
    const char *key;
    json_t *value;
    size_t i = 0;
    if (json_object_get(body, "other_bucket") || json_object_get(body, "other_bucket_key"))
        return dsl_fail(r->d, "other_bucket is not supported");
    n->keyed = json_is_object(filters);
    if (!n->keyed && !json_is_array(filters))
        return dsl_fail(r->d, "\"filters\" is expected");
    TRY(new_branches(r, n, n->keyed ? json_object_size(filters) : json_array_size(filters)));
    if (!n->keyed) {
        json_array_foreach(filters, i, value) TRY(dsl_query(r->d, value, &n->branch[i].filter));
        return OK;
    }
    json_object_foreach((json_t *)(uintptr_t)filters, key, value)
    {
        n->branch[i].name = arena_str(r->d->arena, str_c(key));
        TRY(dsl_query(r->d, value, &n->branch[i++].filter));
    }
    return OK;
}

static enum err read_range_bucket(struct reading *r, const json_t *each, struct node *n,
                                  struct branch *b)
{
    const json_t *from = json_object_get(each, "from"), *to = json_object_get(each, "to");
    const char *key = json_string_value(json_object_get(each, "key"));
    struct filter_bound low = {.inclusive = true}, high = {0};
    if ((from && !json_is_number(from)) || (to && !json_is_number(to)))
        return dsl_fail(r->d, "from and to: numbers are expected");
    b->from = from ? json_number_value(from) : NAN;
    b->to = to ? json_number_value(to) : NAN;
    if (from)
        low.text = dsl_number_text(r->d->arena, b->from);
    if (to)
        high.text = dsl_number_text(r->d->arena, b->to);
    b->name = key ? arena_str(r->d->arena, str_c(key))
                  : arena_printf(r->d->arena, "%.*s-%.*s", from ? (int)low.text.n : 1,
                                 from ? low.text.p : "*", to ? (int)high.text.n : 1,
                                 to ? high.text.p : "*");
    if (!from && !to) {
        b->filter = filter_exists(r->d->arena, n->field);
        return OK;
    }
    return filter_range(r->d->arena, n->field, low, high, r->d->now_ns, &b->filter);
}

static enum err read_range(struct reading *r, const json_t *body, struct node *n)
{
    const json_t *ranges = json_object_get(body, "ranges");
    size_t i;
    json_t *each;
    TRY(read_field(r, body, n));
    if (!json_is_array(ranges))
        return dsl_fail(r->d, "\"ranges\" is expected");
    TRY(dsl_bool(r->d, body, "keyed", &n->keyed));
    TRY(new_branches(r, n, json_array_size(ranges)));
    json_array_foreach(ranges, i, each) TRY(read_range_bucket(r, each, n, &n->branch[i]));
    return OK;
}

static enum err read_conditions(struct reading *r, const json_t *body, struct node *n)
{
    TRY(dsl_object(r->d, body));
    if (n->type == TYPE_FILTERS)
        return read_filters(r, body, n);
    if (n->type == TYPE_RANGE)
        return read_range(r, body, n);
    TRY(new_branches(r, n, 1));
    if (n->type == TYPE_FILTER)
        return dsl_query(r->d, body, &n->branch[0].filter);
    TRY(read_field(r, body, n));
    n->branch[0].filter = filter_lacks(r->d->arena, n->field);
    return OK;
}

/* ---- the tree ---- */

static const struct {
    const char *name;
    enum agg_type type;
    enum agg_kind metric;
} types[] = {
    {"terms", TYPE_TERMS, 0},
    {"date_histogram", TYPE_DATE_HISTOGRAM, 0},
    {"histogram", TYPE_HISTOGRAM, 0},
    {"filter", TYPE_FILTER, 0},
    {"filters", TYPE_FILTERS, 0},
    {"range", TYPE_RANGE, 0},
    {"missing", TYPE_MISSING, 0},
    {"avg", TYPE_METRIC, AGG_AVG},
    {"sum", TYPE_METRIC, AGG_SUM},
    {"min", TYPE_METRIC, AGG_MIN},
    {"max", TYPE_METRIC, AGG_MAX},
    {"value_count", TYPE_METRIC, AGG_COUNT},
    {"cardinality", TYPE_METRIC, AGG_DISTINCT},
    {"stats", TYPE_STATS, 0},
    {"percentiles", TYPE_PERCENTILES, 0},
};

static enum err read_by_key(struct reading *r, const json_t *body, const json_t *below,
                            struct level *l, struct node *n)
{
    struct by_spec by;
    TRY(n->type == TYPE_TERMS            ? read_terms(r, body, n, &by)
        : n->type == TYPE_DATE_HISTOGRAM ? read_date_histogram(r, body, n, &by)
                                         : read_histogram(r, body, n, &by));
    return read_level(r, below, l, &by, NULL, &n->level);
}

static enum err read_by_conditions(struct reading *r, const json_t *body, const json_t *below,
                                   struct level *l, struct node *n)
{
    TRY(read_conditions(r, body, n));
    for (uint32_t i = 0; i < n->n_branches; i++)
        TRY(read_level(r, below, l, NULL, n->branch[i].filter, &n->branch[i].level));
    return OK;
}

static enum err read_node(struct reading *r, const json_t *body, struct level *l, struct node *n)
{
    const json_t *below = json_object_get(body, "aggs");
    const char *type = NULL, *key;
    json_t *value, *inner = NULL;
    TRY(dsl_object(r->d, body));
    if (!below)
        below = json_object_get(body, "aggregations");
    json_object_foreach((json_t *)(uintptr_t)body, key, value)
    {
        if (!strcmp(key, "aggs") || !strcmp(key, "aggregations") || !strcmp(key, "meta"))
            continue;
        if (type)
            return dsl_fail(r->d, "two kinds of aggregation, %.40s and %.40s", type, key);
        type = key;
        inner = value;
    }
    if (!type)
        return dsl_fail(r->d, "a kind of aggregation is expected");
    (void)dsl_down(r->d, type);
    for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++) {
        if (strcmp(types[i].name, type) != 0)
            continue;
        n->type = types[i].type;
        n->metric = types[i].metric;
        if (n->type >= TYPE_METRIC)
            return below ? dsl_fail(r->d, "nothing can be aggregated below a metric")
                         : read_metric(r, inner, l, n);
        if (n->type <= TYPE_HISTOGRAM)
            return read_by_key(r, inner, below, l, n);
        return read_by_conditions(r, inner, below, l, n);
    }
    return dsl_fail(r->d, "aggregations of this kind are not supported");
}

static enum err check_order(struct reading *r, const struct level *l)
{
    for (uint32_t i = 0; i < l->n_nodes; i++) {
        const struct node *n = &l->node[i];
        struct str name = str_of(n->order.p, str_find_byte(n->order, '.', 0));
        bool found = !n->order.n || !n->level;
        for (uint32_t k = 0; !found && k < n->level->n_nodes; k++)
            found = str_eq(n->level->node[k].name, name) && n->level->node[k].type == TYPE_METRIC;
        if (!found)
            return dsl_fail(r->d, "order: there is no metric \"%.*s\" below", STR_ARG(name));
    }
    return OK;
}

static enum err read_level(struct reading *r, const json_t *aggs, const struct level *above,
                           const struct by_spec *by, const struct filter *filter,
                           struct level **ret)
{
    struct arena *a = r->d->arena;
    struct level *l = *ret = ARENA_NEW(a, struct level);
    if (r->aggs->n == LEVELS_MAX)
        return dsl_fail(r->d, "more than %d places in the tree of aggregations", LEVELS_MAX);
    r->aggs->level[r->aggs->n++] = l;
    if (above) {
        memcpy(l->by, above->by, sizeof(l->by));
        l->n_by = above->n_by;
        l->filter = above->filter;
    }
    if (by && l->n_by == BY_MAX)
        return dsl_fail(r->d, "more than %d buckets within each other", BY_MAX);
    if (by) {
        l->by[l->n_by] = *by;
        l->by[l->n_by].name = arena_printf(a, "k%u", l->n_by);
        l->n_by++;
    }
    if (filter)
        l->filter = l->filter ? filter_and(a, l->filter, filter) : filter;
    TRY(add_function(r, l, AGG_COUNT, (struct str){0}, 0));
    if (!aggs)
        return OK;
    const char *name;
    json_t *body;
    size_t mark = dsl_down(r->d, "aggs");
    TRY(dsl_object(r->d, aggs));
    l->node = ARENA_ARRAY(a, struct node, json_object_size(aggs) + 1);
    json_object_foreach((json_t *)(uintptr_t)aggs, name, body)
    {
        struct node *n = &l->node[l->n_nodes++];
        size_t inner = dsl_down(r->d, name);
        n->name = arena_str(a, str_c(name));
        TRY(read_node(r, body, l, n));
        dsl_up(r->d, inner);
    }
    dsl_up(r->d, mark);
    return check_order(r, l);
}

enum err dsl_read_aggs(struct dsl *d, const json_t *aggs, struct dsl_aggs **ret)
{
    *ret = NULL;
    if (!aggs || (json_is_object(aggs) && !json_object_size(aggs)))
        return OK;
    struct reading r = {.d = d, .aggs = ARENA_NEW(d->arena, struct dsl_aggs)};
    struct level *root;
    TRY(read_level(&r, aggs, NULL, NULL, NULL, &root));
    *ret = r.aggs;
    return OK;
}

/* ---- finding ---- */

void dsl_groups(struct dsl_aggs *a, struct find *f)
{
    if (!a)
        return;
    a->group = ARENA_ARRAY(&f->arena, struct find_group, a->n);
    for (uint32_t i = 0; i < a->n; i++) {
        struct level *l = a->level[i];
        l->stats = (struct pipe){.kind = PIPE_STATS,
                                 .agg = l->function,
                                 .n_aggs = l->n_functions,
                                 .by = l->by,
                                 .n_by = l->n_by};
        a->group[i] = (struct find_group){.filter = l->filter, .stats = &l->stats};
    }
    f->group = a->group;
    f->n_groups = a->n;
}
