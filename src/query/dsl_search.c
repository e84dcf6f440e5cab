/* Reading a search body. What would change the answer and is not had here is refused by name; what
 * only asks for more words about it (explain, profile) too; what tunes Elasticsearch (routing,
 * caches, boosts) is passed over. */
#include "query/dsl_search.h"

#include "record/json.h"
#include "record/timestamp.h"

#include <inttypes.h>
#include <stdio.h>

/* ---- lists of names ---- */

enum err dsl_names(struct dsl *d, const json_t *value, const struct str **ret, uint32_t *ret_n)
{
    size_t n = json_is_array(value) ? json_array_size(value) : 0;
    struct str text = {0}, part;
    if (!json_is_array(value)) {
        TRY(dsl_text(d, value, &text));
        for (size_t i = 0; i <= text.n; i++)
            n += i == text.n || text.p[i] == ',';
    }
    struct str *list = ARENA_ARRAY(d->arena, struct str, n + 1);
    uint32_t k = 0;
    for (size_t i = 0; json_is_array(value) && i < n; i++)
        TRY(dsl_text(d, json_array_get(value, i), &list[k++]));
    while (text.n && str_split(&text, ',', &part))
        if (str_trim(part).n)
            list[k++] = str_trim(part);
    *ret = list;
    *ret_n = k;
    return OK;
}

static enum err read_names(struct dsl *d, const json_t *object, const char *name, const char *other,
                           const struct str **ret, uint32_t *ret_n)
{
    const json_t *value = json_object_get(object, name);
    if (!value)
        value = json_object_get(object, other);
    return value ? dsl_names(d, value, ret, ret_n) : OK;
}

static enum err read_source(struct dsl *d, const json_t *value, struct dsl_search *s)
{
    s->source = true;
    if (!value)
        return OK;
    size_t mark = dsl_down(d, "_source");
    if (json_is_boolean(value)) {
        s->source = json_is_true(value);
    } else if (json_is_object(value)) {
        TRY(read_names(d, value, "includes", "include", &s->include, &s->n_include));
        TRY(read_names(d, value, "excludes", "exclude", &s->exclude, &s->n_exclude));
    } else {
        TRY(dsl_names(d, value, &s->include, &s->n_include));
    }
    dsl_up(d, mark);
    return OK;
}

static enum err read_fields(struct dsl *d, const json_t *body, struct dsl_search *s)
{
    static const char *const names[] = {"fields", "docvalue_fields"};
    struct dsl_shown *list = NULL;
    size_t n = 0, i;
    json_t *each;
    for (int k = 0; k < 2; k++)
        n += json_array_size(json_object_get(body, names[k]));
    list = ARENA_ARRAY(d->arena, struct dsl_shown, n + 1);
    for (int k = 0; k < 2; k++) {
        size_t mark = dsl_down(d, names[k]);
        json_array_foreach(json_object_get(body, names[k]), i, each)
        {
            const char *format = json_string_value(json_object_get(each, "format"));
            struct dsl_shown *f = &list[s->n_fields++];
            TRY(dsl_text(d, json_is_object(each) ? json_object_get(each, "field") : each,
                         &f->pattern));
            f->millis = format && !strcmp(format, "epoch_millis");
        }
        dsl_up(d, mark);
    }
    s->field = list;
    return OK;
}

/* ---- numbers ---- */

static enum err read_number(struct dsl *d, const json_t *body, const char *name, uint64_t max,
                            uint64_t *ret)
{
    const json_t *value = json_object_get(body, name);
    struct str text;
    if (!value || json_is_null(value))
        return OK;
    size_t mark = dsl_down(d, name);
    TRY(dsl_text(d, value, &text));
    if (!str_to_u64(text, ret) || *ret > max)
        return dsl_fail(d, "a whole number from 0 to %" PRIu64 " is expected", max);
    dsl_up(d, mark);
    return OK;
}

static enum err read_total(struct dsl *d, const json_t *value, struct dsl_search *s)
{
    s->total_max = DSL_TOTAL_DEFAULT;
    if (json_is_boolean(value)) {
        s->total_max = json_is_true(value) ? UINT64_MAX : 0;
    } else if (value) {
        int64_t n = json_integer_value(value);
        if (!json_is_integer(value) || n < -1)
            return dsl_fail(d, "track_total_hits: true, false or a number is expected");
        s->total_max = n < 0 ? 0 : (uint64_t)n;
    }
    return OK;
}

static enum err read_timeout(struct dsl *d, const json_t *value, struct dsl_search *s)
{
    struct str text;
    if (!value)
        return OK;
    TRY(dsl_text(d, value, &text));
    if (!str_eq_c(text, "-1") && !str_to_duration_ns(text, &s->timeout_ns))
        return dsl_fail(d, "timeout: a duration such as 10s is expected");
    return OK;
}

/* ---- sort ---- */

struct sorting {
    struct dsl_sort sort[DSL_SORTS_MAX + 1];
    struct sort_key key[DSL_SORTS_MAX];
    uint32_t n, n_keys;
    bool placed; /* the place was named: nothing behind it orders any more */
};

static enum err sort_by(struct dsl *d, struct sorting *o, struct str field, bool descending,
                        const json_t *options)
{
    const char *format = json_string_value(json_object_get(options, "format"));
    const char *missing = json_string_value(json_object_get(options, "missing"));
    if (o->n == DSL_SORTS_MAX)
        return dsl_fail(d, "more than %d sort keys", DSL_SORTS_MAX);
    if (missing && strcmp(missing, "_last") != 0)
        return dsl_fail(d, "missing: only _last is supported");
    struct dsl_sort *s = &o->sort[o->n++];
    if (str_eq_c(field, "_score")) {
        s->kind = DSL_SORT_SCORE;
        return OK;
    }
    if (str_eq_c(field, "_doc") || str_eq_c(field, "_shard_doc")) {
        s->kind = DSL_SORT_PLACE;
        o->placed = true;
        return OK;
    }
    if (o->placed)
        return dsl_fail(d, "nothing can be ordered behind _doc: it tells all records apart");
    struct str name = dsl_field(field, d->arena);
    bool time = str_eq_c(name, "_time");
    s->kind = time ? DSL_SORT_TIME : DSL_SORT_KEY;
    s->as_millis = format && !strcmp(format, "epoch_millis");
    s->as_text = format && !s->as_millis;
    s->key = o->n_keys;
    o->key[o->n_keys++] = (struct sort_key){arena_str(d->arena, name), descending};
    return OK;
}

static enum err read_order(struct dsl *d, const json_t *value, bool *ret)
{
    const char *order = json_string_value(value);
    if (order && strcasecmp(order, "asc") != 0 && strcasecmp(order, "desc") != 0)
        return dsl_fail(d, "order: asc or desc is expected");
    if (order)
        *ret = !strcasecmp(order, "desc");
    return OK;
}

/* "field", "field:desc", {"field": "desc"}, {"field": {"order": "desc"}}. */
static enum err read_sort(struct dsl *d, const json_t *each, struct sorting *o)
{
    const char *name;
    json_t *value;
    struct str text;
    bool descending;
    if (!json_is_object(each)) {
        TRY(dsl_text(d, each, &text));
        size_t colon = str_find_byte(text, ':', 0);
        struct str order = str_from(text, colon + 1);
        text.n = colon;
        descending = order.n ? str_ieq(order, STR("desc")) : str_eq_c(text, "_score");
        if (order.n && !descending && !str_ieq(order, STR("asc")))
            return dsl_fail(d, "asc or desc is expected behind ':'");
        return sort_by(d, o, text, descending, NULL);
    }
    json_object_foreach((json_t *)(uintptr_t)each, name, value)
    {
        size_t mark = dsl_down(d, name);
        descending = !strcmp(name, "_score");
        if (!strcmp(name, "_script") || !strcmp(name, "_geo_distance"))
            return dsl_fail(d, "sorting by this is not supported");
        TRY(read_order(d, json_is_object(value) ? json_object_get(value, "order") : value,
                       &descending));
        TRY(sort_by(d, o, arena_str(d->arena, str_c(name)), descending, value));
        dsl_up(d, mark);
    }
    return OK;
}

/* By time alone, the order of everything here: no keys are compared then. */
static bool is_by_time(const struct sorting *o)
{
    return o->n_keys == 0 || (o->n_keys == 1 && str_eq_c(o->key[0].field, "_time"));
}

enum err dsl_read_sort(struct dsl *d, const json_t *sort, bool place, struct dsl_search *s)
{
    struct sorting *o = ARENA_NEW(d->arena, struct sorting);
    size_t mark = dsl_down(d, "sort"), i;
    json_t *each;
    if (json_is_array(sort)) {
        json_array_foreach(sort, i, each) TRY(read_sort(d, each, o));
    } else if (sort && !json_is_null(sort)) {
        TRY(read_sort(d, sort, o));
    }
    s->n_shown = o->n;
    if (place && !o->placed)
        o->sort[o->n++].kind = DSL_SORT_PLACE;
    s->keys = (struct sort_keys){0};
    if (!is_by_time(o))
        s->keys = (struct sort_keys){o->key, o->n_keys};
    s->oldest = !s->keys.n && o->n_keys && !o->key[0].descending;
    s->sort = o->sort;
    s->n_sorts = o->n;
    dsl_up(d, mark);
    return OK;
}

/* ---- search_after ---- */

/* A value as it would come from a column. */
static enum err read_scalar(struct dsl *d, const json_t *value, struct scalar *ret)
{
    struct str text;
    *ret = (struct scalar){.lane = SCALAR_NONE};
    if (json_is_null(value))
        return OK;
    TRY(dsl_text(d, value, &text));
    if (json_is_boolean(value)) {
        *ret = (struct scalar){.lane = LANE_BOOL, .i64 = json_is_true(value)};
    } else if (json_is_integer(value)) {
        int64_t v = json_integer_value(value);
        *ret = (struct scalar){.lane = LANE_INT, .i64 = v, .f64 = (double)v, .numeric = true};
    } else {
        uint32_t *off = ARENA_ARRAY(d->arena, uint32_t, 2);
        off[1] = (uint32_t)text.n;
        struct values v = {.n = 1,
                           .lane = json_is_string(value) ? LANE_STR : LANE_NUM,
                           .off = off,
                           .bytes = text.p};
        *ret = scalar_of(&v, 0);
    }
    return OK;
}

static enum err read_instant(struct dsl *d, const json_t *value, int64_t *ret)
{
    struct str text;
    int64_t end;
    TRY(dsl_text(d, value, &text));
    if (json_is_integer(value) && (uint64_t)json_integer_value(value) > 100000000000000000ULL)
        *ret = json_integer_value(value);
    else if (!time_parse_query(text, d->now_ns, ret, &end))
        return dsl_fail(d, "a time is expected");
    return OK;
}

/* The value of one sort key. An instant stands for all that share it, until a place says more. */
static enum err read_after(struct dsl *d, const json_t *value, const struct dsl_sort *sort,
                           const struct dsl_search *s, struct hits_after *at, struct scalar *key,
                           struct row_order *order)
{
    struct str text;
    int64_t ns;
    switch (sort->kind) {
    case DSL_SORT_PLACE:
        TRY(dsl_text(d, value, &text));
        if (!row_order_read(text, order))
            return dsl_fail(d, "a place that this server gave out is expected");
        at->order = order;
        return OK;
    case DSL_SORT_TIME:
        TRY(read_instant(d, value, &ns));
        if (s->keys.n)
            key[sort->key] =
                (struct scalar){.lane = LANE_INT, .i64 = ns, .f64 = (double)ns, .numeric = true};
        else if (!at->order && s->oldest)
            *order = (struct row_order){ns, UINT64_MAX, UINT32_MAX, UINT32_MAX};
        else if (!at->order)
            *order = (struct row_order){.time = ns};
        return OK;
    case DSL_SORT_KEY:
        return read_scalar(d, value, &key[sort->key]);
    case DSL_SORT_SCORE:
        break;
    }
    return OK;
}

enum err dsl_read_after(struct dsl *d, const json_t *after, struct dsl_search *s)
{
    if (!after || json_is_null(after))
        return OK;
    size_t mark = dsl_down(d, "search_after");
    if (!json_is_array(after) || json_array_size(after) != s->n_sorts)
        return dsl_fail(d, "as many values as there are sort keys (%u) are expected", s->n_sorts);
    struct scalar *key = ARENA_ARRAY(d->arena, struct scalar, s->keys.n + 1);
    struct row_order *order = ARENA_NEW(d->arena, struct row_order);
    struct hits_after *at = ARENA_NEW(d->arena, struct hits_after);
    at->key = key;
    for (uint32_t i = 0; i < s->n_sorts; i++) {
        size_t inner = dsl_down_at(d, i);
        TRY(read_after(d, json_array_get(after, i), &s->sort[i], s, at, key, order));
        dsl_up(d, inner);
    }
    if (s->keys.n)
        s->after = at;
    else
        s->beyond = order;
    dsl_up(d, mark);
    return OK;
}

void dsl_put_sort(struct buf *out, const struct dsl_search *s, const struct hit *hit, uint32_t n)
{
    char text[64];
    buf_put_byte(out, '[');
    for (uint32_t i = 0; i < n; i++) {
        const struct dsl_sort *sort = &s->sort[i];
        if (i)
            buf_put_byte(out, ',');
        if (sort->kind == DSL_SORT_KEY) {
            scalar_json(out, &hit->key[sort->key]);
        } else if (sort->kind == DSL_SORT_SCORE) {
            buf_put_c(out, "1.0");
        } else if (sort->kind == DSL_SORT_PLACE) {
            json_put_string(out, str_of(text, row_order_write(&hit->order, text)));
        } else if (sort->as_text) {
            json_put_string(out, str_of(text, time_rfc3339(hit->order.time, text)));
        } else {
            buf_put_i64(out, sort->as_millis ? hit->order.time / 1000000 : hit->order.time);
        }
    }
    buf_put_byte(out, ']');
}

/* ---- the body ---- */

enum member_kind { READ, PASSED, REFUSED, REFUSED_TRUE, REFUSED_FILLED };
static const struct {
    const char *name;
    enum member_kind kind;
} members[] = {
    {"query", READ},
    {"sort", READ},
    {"from", READ},
    {"size", READ},
    {"search_after", READ},
    {"_source", READ},
    {"fields", READ},
    {"docvalue_fields", READ},
    {"track_total_hits", READ},
    {"aggs", READ},
    {"aggregations", READ},
    {"pit", READ},
    {"timeout", READ},
    {"version", READ},
    {"track_scores", PASSED},
    {"seq_no_primary_term", PASSED},
    {"stored_fields", PASSED},
    {"indices_boost", PASSED},
    {"highlight", PASSED},
    {"terminate_after", PASSED},
    {"stats", PASSED},
    {"ext", PASSED},
    {"explain", REFUSED_TRUE},
    {"profile", REFUSED_TRUE},
    {"script_fields", REFUSED_FILLED},
    {"runtime_mappings", REFUSED_FILLED},
    {"post_filter", REFUSED},
    {"min_score", REFUSED},
    {"collapse", REFUSED},
    {"rescore", REFUSED},
    {"suggest", REFUSED},
    {"slice", REFUSED},
    {"knn", REFUSED},
};

static enum err check_member(struct dsl *d, const char *name, const json_t *value)
{
    for (size_t i = 0; i < sizeof(members) / sizeof(*members); i++) {
        if (strcmp(members[i].name, name) != 0)
            continue;
        enum member_kind kind = members[i].kind;
        bool refused = kind == REFUSED || (kind == REFUSED_TRUE && json_is_true(value)) ||
                       (kind == REFUSED_FILLED && json_object_size(value));
        return refused ? dsl_fail(d, "\"%s\" is not supported", name) : OK;
    }
    return dsl_fail(d, "unknown member \"%.100s\"", name);
}

static enum err check_members(struct dsl *d, const json_t *body)
{
    const char *name;
    json_t *value;
    TRY(dsl_object(d, body));
    json_object_foreach((json_t *)(uintptr_t)body, name, value) TRY(check_member(d, name, value));
    return OK;
}

static enum err read_pit(struct dsl *d, const json_t *body, struct dsl_search *s)
{
    const json_t *pit = json_object_get(body, "pit");
    if (!pit)
        return OK;
    size_t mark = dsl_down(d, "pit");
    TRY(dsl_object(d, pit));
    TRY(dsl_text(d, json_object_get(pit, "id"), &s->pit));
    dsl_up(d, mark);
    return OK;
}

enum err dsl_search(struct dsl *d, const json_t *body, struct dsl_search *ret)
{
    struct dsl_search s = {
        .size = 10, .total_max = DSL_TOTAL_DEFAULT, .source = true, .scores = true};
    if (body)
        TRY(check_members(d, body));
    size_t mark = dsl_down(d, "query");
    d->path_n = mark; /* queries name their own place */
    TRY(dsl_query(d, json_object_get(body, "query"), &s.filter));
    TRY(read_pit(d, body, &s));
    TRY(dsl_read_sort(d, json_object_get(body, "sort"), s.pit.n > 0, &s));
    if (s.pit.n)
        s.n_shown = s.n_sorts;
    TRY(dsl_read_after(d, json_object_get(body, "search_after"), &s));
    TRY(read_number(d, body, "size", DSL_SIZE_MAX, &s.size));
    TRY(read_number(d, body, "from", DSL_SIZE_MAX, &s.from));
    if (s.from + s.size > DSL_SIZE_MAX)
        return dsl_fail(d, "from + size must be at most %d: use search_after to go on",
                        DSL_SIZE_MAX);
    TRY(read_source(d, json_object_get(body, "_source"), &s));
    TRY(read_fields(d, body, &s));
    TRY(read_total(d, json_object_get(body, "track_total_hits"), &s));
    TRY(read_timeout(d, json_object_get(body, "timeout"), &s));
    TRY(dsl_bool(d, body, "version", &s.version));
    const json_t *aggs = json_object_get(body, "aggs");
    TRY(dsl_read_aggs(d, aggs ? aggs : json_object_get(body, "aggregations"), &s.aggs));
    s.scores = s.n_shown == 0;
    *ret = s;
    return OK;
}
