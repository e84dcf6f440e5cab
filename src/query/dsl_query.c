/* Queries: bool and its kin, and those that ask for a value as a whole. */
#include "query/dsl_impl.h"

#include "record/batch.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

enum { AT_LEAST_OF_MAX = 12, PLACE_SHOWN = 200 };

/* ---- places and errors ---- */

void dsl_init(struct dsl *d, struct arena *arena, int64_t now_ns)
{
    *d = (struct dsl){.arena = arena, .now_ns = now_ns};
}

enum err dsl_fail(struct dsl *d, const char *fmt, ...)
{
    char what[300];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(what, sizeof(what), fmt, ap);
    va_end(ap);
    return err_set(ERR_INVALID, "[%.*s] %s", (int)d->path_n, d->path, what);
}

static void put_place(struct dsl *d, const char *text)
{
    size_t n = strlen(text);
    n = n < PLACE_SHOWN - d->path_n ? n : PLACE_SHOWN - d->path_n;
    memcpy(d->path + d->path_n, text, n);
    d->path_n += n;
}

size_t dsl_down(struct dsl *d, const char *key)
{
    size_t mark = d->path_n;
    if (mark)
        put_place(d, ".");
    put_place(d, key);
    return mark;
}

size_t dsl_down_at(struct dsl *d, size_t index)
{
    char text[32];
    size_t mark = d->path_n;
    snprintf(text, sizeof(text), "[%zu]", index);
    put_place(d, text);
    return mark;
}

void dsl_up(struct dsl *d, size_t mark)
{
    d->path_n = mark;
}

/* ---- reading JSON ---- */

enum err dsl_text(struct dsl *d, const json_t *value, struct str *ret)
{
    char number[32];
    switch (value ? json_typeof(value) : JSON_NULL) {
    case JSON_STRING:
        *ret = arena_str(d->arena, str_of(json_string_value(value), json_string_length(value)));
        return OK;
    case JSON_INTEGER:
        *ret = arena_printf(d->arena, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        return OK;
    case JSON_REAL:
        *ret = arena_str(d->arena, str_of(number, (size_t)snprintf(number, sizeof(number), "%.17g",
                                                                   json_real_value(value))));
        return OK;
    case JSON_TRUE:
    case JSON_FALSE:
        *ret = json_is_true(value) ? STR("true") : STR("false");
        return OK;
    default:
        return dsl_fail(d, "a text, a number or a boolean is expected");
    }
}

enum err dsl_object(struct dsl *d, const json_t *value)
{
    return json_is_object(value) ? OK : dsl_fail(d, "an object is expected");
}

enum err dsl_only(struct dsl *d, const json_t *object, const char **ret_name, json_t **ret_body)
{
    TRY(dsl_object(d, object));
    if (json_object_size(object) != 1)
        return dsl_fail(d, "an object with one member is expected, this has %zu",
                        json_object_size(object));
    void *at = json_object_iter((json_t *)(uintptr_t)object);
    *ret_name = json_object_iter_key(at);
    *ret_body = json_object_iter_value(at);
    return OK;
}

enum err dsl_bool(struct dsl *d, const json_t *object, const char *name, bool *ret)
{
    const json_t *value = json_object_get(object, name);
    if (!value)
        return OK;
    const char *text = json_string_value(value);
    if (json_is_boolean(value))
        *ret = json_is_true(value);
    else if (text && (!strcmp(text, "true") || !strcmp(text, "false")))
        *ret = text[0] == 't';
    else
        return dsl_fail(d, "%s: true or false is expected", name);
    return OK;
}

/* ---- fields ---- */

struct str dsl_field(struct str name, struct arena *arena)
{
    (void)arena;
    if (str_eq_c(name, "@timestamp"))
        return STR("_time");
    if (str_eq_c(name, "_index"))
        return STR("_stream");
    if (name.n > 8 && str_ends(name, STR(".keyword")))
        name.n -= 8;
    return name;
}

bool dsl_is_text(struct str name)
{
    for (const char *const *text = message_names; *text; text++)
        if (str_eq_c(name, *text))
            return true;
    return false;
}

/* {"field": value} or {"field": {"value": value, ...}}. *ret_options: the inner object, or NULL. */
static enum err field_and_value(struct dsl *d, const json_t *body, const char *key,
                                const char **ret_field, const json_t **ret_value,
                                const json_t **ret_options)
{
    json_t *value;
    TRY(dsl_only(d, body, ret_field, &value));
    (void)dsl_down(d, *ret_field);
    *ret_options = json_is_object(value) ? value : NULL;
    *ret_value = *ret_options ? json_object_get(value, key) : value;
    if (!*ret_value && !strcmp(key, "wildcard"))
        *ret_value = json_object_get(value, "value");
    if (!*ret_value && *ret_options)
        return dsl_fail(d, "\"%s\" is expected", key);
    return OK;
}

/* ---- lists ---- */

enum err dsl_add(struct dsl *d, struct dsl_list *l, const struct filter *f)
{
    if (++d->clauses > DSL_CLAUSES_MAX)
        return dsl_fail(d, "more than %d clauses", DSL_CLAUSES_MAX);
    if (l->n == l->cap) {
        uint32_t cap = l->cap ? l->cap * 2 : 8;
        const struct filter **grown =
            (const struct filter **)ARENA_ARRAY(d->arena, struct filter *, cap);
        if (l->n)
            memcpy(grown, l->f, l->n * sizeof(*grown));
        l->f = grown;
        l->cap = cap;
    }
    l->f[l->n++] = f;
    return OK;
}

const struct filter *dsl_none(struct dsl *d)
{
    return filter_not(d->arena, filter_everything());
}

const struct filter *dsl_join(struct dsl *d, enum filter_kind kind, const struct dsl_list *l)
{
    if (l->n == 0)
        return kind == FILTER_AND ? filter_everything() : dsl_none(d);
    return filter_list(d->arena, kind, l->f, l->n);
}

/* The first with k - 1 of the rest, or k of the rest. */
static const struct filter *at_least(struct dsl *d, const struct filter **f, uint32_t n, uint32_t k)
{
    if (k == 0)
        return filter_everything();
    if (k > n)
        return dsl_none(d);
    if (k == n || k == 1)
        return filter_list(d->arena, k == 1 ? FILTER_OR : FILTER_AND, f, n);
    const struct filter *with[] = {f[0], at_least(d, f + 1, n - 1, k - 1)};
    const struct filter *either[] = {filter_list(d->arena, FILTER_AND, with, 2),
                                     at_least(d, f + 1, n - 1, k)};
    return filter_list(d->arena, FILTER_OR, either, 2);
}

/* 2, "2", "-1", "75%", "-25%". */
static enum err read_minimum(struct dsl *d, const json_t *minimum, uint32_t n, uint32_t *ret)
{
    struct str text;
    int64_t v;
    TRY(dsl_text(d, minimum, &text));
    bool percent = text.n && text.p[text.n - 1] == '%';
    text.n -= percent;
    if (!str_to_i64(text, &v) || v < -1000000 || v > 1000000)
        return dsl_fail(d, "minimum_should_match: a number or a percentage is expected");
    if (percent)
        v = v * (int64_t)n / 100;
    v = v < 0 ? (int64_t)n + v : v;
    *ret = v < 0 ? 0 : (uint32_t)v;
    return OK;
}

enum err dsl_at_least(struct dsl *d, const struct dsl_list *l, const json_t *minimum,
                      uint32_t otherwise, const struct filter **ret)
{
    uint32_t k = otherwise;
    if (minimum)
        TRY(read_minimum(d, minimum, l->n, &k));
    if (k > 1 && k < l->n && l->n > AT_LEAST_OF_MAX)
        return dsl_fail(d, "minimum_should_match of more than %d clauses is not supported",
                        AT_LEAST_OF_MAX);
    *ret = at_least(d, l->f, l->n, k);
    return OK;
}

/* ---- bool and what holds queries ---- */

static enum err read_into(struct dsl *d, const json_t *query, struct dsl_list *l)
{
    const struct filter *f;
    TRY(dsl_query(d, query, &f));
    return dsl_add(d, l, f);
}

/* A member that is one query or an array of them. */
static enum err read_list(struct dsl *d, const json_t *body, const char *name, struct dsl_list *l)
{
    const json_t *value = json_object_get(body, name);
    if (!value)
        return OK;
    size_t mark = dsl_down(d, name), i;
    if (!json_is_array(value)) {
        TRY(read_into(d, value, l));
    } else {
        json_t *each;
        json_array_foreach(value, i, each)
        {
            size_t inner = dsl_down_at(d, i);
            TRY(read_into(d, each, l));
            dsl_up(d, inner);
        }
    }
    dsl_up(d, mark);
    return OK;
}

static enum err check_members(struct dsl *d, const json_t *body, const char *const *known)
{
    const char *key;
    json_t *value;
    TRY(dsl_object(d, body));
    json_object_foreach((json_t *)(uintptr_t)body, key, value)
    {
        const char *const *k = known;
        while (*k && strcmp(*k, key) != 0)
            k++;
        if (!*k)
            return dsl_fail(d, "unknown member \"%.100s\"", key);
    }
    return OK;
}

static enum err read_bool(struct dsl *d, const json_t *body, const struct filter **ret)
{
    static const char *const known[] = {"must",
                                        "filter",
                                        "should",
                                        "must_not",
                                        "minimum_should_match",
                                        "boost",
                                        "_name",
                                        "mustNot",
                                        "adjust_pure_negative",
                                        NULL};
    struct dsl_list all = {0}, should = {0}, not = {0};
    const struct filter *f;
    TRY(check_members(d, body, known));
    TRY(read_list(d, body, "must", &all));
    TRY(read_list(d, body, "filter", &all));
    TRY(read_list(d, body, "should", &should));
    TRY(read_list(d, body, "must_not", &not ));
    TRY(read_list(d, body, "mustNot", &not ));
    const json_t *minimum = json_object_get(body, "minimum_should_match");
    if (should.n) {
        TRY(dsl_at_least(d, &should, minimum, all.n == 0, &f));
        TRY(dsl_add(d, &all, f));
    }
    if (not .n)
        TRY(dsl_add(d, &all, filter_not(d->arena, dsl_join(d, FILTER_OR, &not ))));
    const struct filter *joined = filter_everything();
    for (uint32_t i = 0; i < all.n; i++)
        joined = filter_and(d->arena, joined, all.f[i]);
    *ret = all.n > 2 ? dsl_join(d, FILTER_AND, &all) : joined;
    return OK;
}

/* {"filter": query}, {"query": query}, {"positive": query}: what only orders is left out. */
static enum err read_member(struct dsl *d, const json_t *body, const char *name,
                            const struct filter **ret)
{
    struct dsl_list l = {0};
    TRY(dsl_object(d, body));
    TRY(read_list(d, body, name, &l));
    *ret = dsl_join(d, FILTER_AND, &l);
    return OK;
}

static enum err read_constant_score(struct dsl *d, const json_t *body, const struct filter **ret)
{
    return read_member(d, body, "filter", ret);
}

static enum err read_boosting(struct dsl *d, const json_t *body, const struct filter **ret)
{
    return read_member(d, body, "positive", ret);
}

static enum err read_inner_query(struct dsl *d, const json_t *body, const struct filter **ret)
{
    return read_member(d, body, "query", ret);
}

static enum err read_dis_max(struct dsl *d, const json_t *body, const struct filter **ret)
{
    struct dsl_list l = {0};
    TRY(dsl_object(d, body));
    TRY(read_list(d, body, "queries", &l));
    *ret = dsl_join(d, FILTER_OR, &l);
    return OK;
}

static enum err read_match_all(struct dsl *d, const json_t *body, const struct filter **ret)
{
    *ret = filter_everything();
    return dsl_object(d, body);
}

static enum err read_match_none(struct dsl *d, const json_t *body, const struct filter **ret)
{
    *ret = dsl_none(d);
    return dsl_object(d, body);
}

/* ---- whole values ---- */

/* A value's text between anchors, characters that mean something in a regular expression escaped;
 * `*` and `?` as wildcards where asked for. */
static struct str whole_pattern(struct dsl *d, struct str text, bool wildcards, bool prefix,
                                bool fold)
{
    struct buf b;
    buf_init(&b, SIZE_MAX);
    buf_put_c(&b, fold ? "(?si)\\A" : "(?s)\\A");
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        if (wildcards && c == '\\' && i + 1 < text.n) {
            buf_put_byte(&b, '\\');
            buf_put_byte(&b, text.p[++i]);
        } else if (wildcards && (c == '*' || c == '?')) {
            buf_put_c(&b, c == '*' ? ".*" : ".");
        } else {
            if (c && strchr("\\^$.[]|()?*+{}#", c))
                buf_put_byte(&b, '\\');
            buf_put_byte(&b, c);
        }
    }
    if (!prefix)
        buf_put_c(&b, "\\z");
    struct str pattern = arena_str(d->arena, buf_str(&b));
    buf_release(&b);
    return pattern;
}

/* The language's own pattern: '*' and '?' as wildcards where asked for. */
static struct str word_pattern(struct dsl *d, struct str text, bool wildcards, bool prefix)
{
    char *to = arena_alloc(d->arena, text.n + 1);
    size_t n = 0;
    for (size_t i = 0; i < text.n; i++) {
        if (wildcards && text.p[i] == '\\' && i + 1 < text.n)
            to[n++] = text.p[++i];
        else if (wildcards && (text.p[i] == '*' || text.p[i] == '?'))
            to[n++] = text.p[i] == '*' ? PATTERN_ANY : PATTERN_ONE;
        else
            to[n++] = text.p[i];
    }
    if (prefix)
        to[n++] = PATTERN_ANY;
    return str_of(to, n);
}

static enum err equal_to(struct dsl *d, struct str field, struct str value, bool fold,
                         const struct filter **ret)
{
    if (fold)
        return filter_regex(d->arena, dsl_field(field, d->arena),
                            whole_pattern(d, value, false, false, true), ret);
    struct str name = dsl_field(field, d->arena);
    if (dsl_is_text(field) || str_eq_c(name, "_time"))
        return filter_term(d->arena, name, value, d->now_ns, ret);
    const struct filter *f = filter_equal(d->arena, name, value);
    if (str_eq_c(name, "_id")) /* a record may be known by its log_id */
        f = filter_list(
            d->arena, FILTER_OR,
            (const struct filter *const[]){f, filter_equal(d->arena, STR("log_id"), value)}, 2);
    *ret = f;
    return OK;
}

/* A field, the text under `key`, and whether letters of either case are equal. */
static enum err text_to_match(struct dsl *d, const json_t *body, const char *key, struct str *field,
                              struct str *text, bool *fold)
{
    const char *name;
    const json_t *value, *options;
    *fold = false;
    TRY(field_and_value(d, body, key, &name, &value, &options));
    *field = str_c(name);
    TRY(dsl_text(d, value, text));
    return dsl_bool(d, options, "case_insensitive", fold);
}

static enum err read_term(struct dsl *d, const json_t *body, const struct filter **ret)
{
    struct str field, text;
    bool fold;
    TRY(text_to_match(d, body, "value", &field, &text, &fold));
    return equal_to(d, field, text, fold, ret);
}

static enum err read_values(struct dsl *d, struct str field, const json_t *values,
                            const struct filter **ret)
{
    struct dsl_list l = {0};
    const struct filter *f;
    struct str text;
    size_t i;
    json_t *each;
    if (!json_is_array(values))
        return dsl_fail(d, "an array is expected");
    json_array_foreach(values, i, each)
    {
        size_t mark = dsl_down_at(d, i);
        TRY(dsl_text(d, each, &text));
        TRY(equal_to(d, field, text, false, &f));
        TRY(dsl_add(d, &l, f));
        dsl_up(d, mark);
    }
    *ret = dsl_join(d, FILTER_OR, &l);
    return OK;
}

static enum err read_terms(struct dsl *d, const json_t *body, const struct filter **ret)
{
    const char *key;
    json_t *value;
    TRY(dsl_object(d, body));
    json_object_foreach((json_t *)(uintptr_t)body, key, value)
    {
        if (!strcmp(key, "boost") || !strcmp(key, "_name"))
            continue;
        (void)dsl_down(d, key);
        return read_values(d, str_c(key), value, ret);
    }
    return dsl_fail(d, "a field with an array of values is expected");
}

static enum err read_ids(struct dsl *d, const json_t *body, const struct filter **ret)
{
    TRY(dsl_object(d, body));
    (void)dsl_down(d, "values");
    return read_values(d, STR("_id"), json_object_get(body, "values"), ret);
}

static enum err read_exists(struct dsl *d, const json_t *body, const struct filter **ret)
{
    const char *name = json_string_value(json_object_get(body, "field"));
    if (!name)
        return dsl_fail(d, "\"field\" is expected");
    struct str field = dsl_field(str_c(name), d->arena);
    if (field.n && field.p[0] == '_') {
        *ret = filter_exists(d->arena, field);
        return OK;
    }
    /* An object exists with any field below it. */
    struct str below = arena_printf(d->arena, "%.*s.%c", STR_ARG(field), PATTERN_ANY);
    const struct filter *either[] = {filter_exists(d->arena, field),
                                     filter_exists(d->arena, below)};
    *ret = filter_list(d->arena, FILTER_OR, either, 2);
    return OK;
}

static enum err read_pattern(struct dsl *d, const json_t *body, bool prefix,
                             const struct filter **ret)
{
    struct str field, text;
    bool fold;
    TRY(text_to_match(d, body, prefix ? "value" : "wildcard", &field, &text, &fold));
    struct str name = dsl_field(field, d->arena);
    if (dsl_is_text(field))
        return filter_term(d->arena, name, word_pattern(d, text, !prefix, prefix), d->now_ns, ret);
    return filter_regex(d->arena, name, whole_pattern(d, text, !prefix, prefix, fold), ret);
}

static enum err read_prefix(struct dsl *d, const json_t *body, const struct filter **ret)
{
    return read_pattern(d, body, true, ret);
}

static enum err read_wildcard(struct dsl *d, const json_t *body, const struct filter **ret)
{
    return read_pattern(d, body, false, ret);
}

static enum err read_regexp(struct dsl *d, const json_t *body, const struct filter **ret)
{
    struct str field, text;
    bool fold;
    TRY(text_to_match(d, body, "value", &field, &text, &fold));
    bool words = dsl_is_text(field);
    struct str pattern = arena_printf(d->arena,
                                      words  ? "(?i)\\b(?:%.*s)\\b"
                                      : fold ? "(?si)\\A(?:%.*s)\\z"
                                             : "(?s)\\A(?:%.*s)\\z",
                                      STR_ARG(text));
    if (filter_regex(d->arena, dsl_field(field, d->arena), pattern, ret) != OK)
        return dsl_fail(d, "%s", arena_str(d->arena, str_c(err_text())).p);
    return OK;
}

/* ---- range ---- */

/* Date math with an anchor: "2025-02-15||+1d" stands for no instant here; "2025-02-15||/d" is the
 * day itself. */
static enum err bound_text(struct dsl *d, const json_t *value, const char *zone, struct str *ret)
{
    TRY(dsl_text(d, value, ret));
    size_t bars = str_find(*ret, STR("||"));
    if (bars != SIZE_MAX) {
        struct str math = str_from(*ret, bars + 2);
        if (math.n && !str_eq_c(math, "/d"))
            return dsl_fail(d, "date math behind a date is not supported: %.*s", STR_ARG(math));
        ret->n = bars;
    }
    bool clock = json_is_string(value) && str_find_byte(*ret, 'T', 0) < ret->n &&
                 str_find_byte(*ret, ':', 0) < ret->n;
    size_t day = str_find_byte(*ret, 'T', 0);
    struct str behind = str_from(*ret, day);
    bool zoned = str_find_byte(behind, 'Z', 0) < behind.n ||
                 str_find_byte(behind, '+', 0) < behind.n ||
                 str_find_byte(behind, '-', 0) < behind.n;
    if (zone && clock && !zoned)
        *ret = arena_printf(d->arena, "%.*s%s", STR_ARG(*ret), zone);
    return OK;
}

static enum err read_zone(struct dsl *d, const json_t *options, const char **ret)
{
    const char *zone = json_string_value(json_object_get(options, "time_zone"));
    *ret = NULL;
    if (!zone || !strcasecmp(zone, "utc") || !strcmp(zone, "Z"))
        return OK;
    if (zone[0] != '+' && zone[0] != '-')
        return dsl_fail(d, "time_zone: an offset such as +02:00 is expected");
    *ret = zone;
    return OK;
}

static enum err read_range(struct dsl *d, const json_t *body, const struct filter **ret)
{
    static const struct {
        const char *name;
        bool low, inclusive;
    } ends[] = {{"gte", true, true},  {"gt", true, false},  {"lte", false, true},
                {"lt", false, false}, {"from", true, true}, {"to", false, true}};
    const char *field, *zone;
    json_t *options;
    struct filter_bound low = {0}, high = {0};
    TRY(dsl_only(d, body, &field, &options));
    (void)dsl_down(d, field);
    TRY(dsl_object(d, options));
    TRY(read_zone(d, options, &zone));
    for (size_t i = 0; i < sizeof(ends) / sizeof(*ends); i++) {
        const json_t *value = json_object_get(options, ends[i].name);
        struct filter_bound *b = ends[i].low ? &low : &high;
        if (!value || json_is_null(value))
            continue;
        size_t mark = dsl_down(d, ends[i].name);
        TRY(bound_text(d, value, zone, &b->text));
        b->inclusive = ends[i].inclusive;
        dsl_up(d, mark);
    }
    TRY(dsl_bool(d, options, "include_lower", &low.inclusive));
    TRY(dsl_bool(d, options, "include_upper", &high.inclusive));
    struct str name = dsl_field(str_c(field), d->arena);
    if (!low.text.p && !high.text.p) {
        *ret = filter_exists(d->arena, name);
        return OK;
    }
    if (filter_range(d->arena, name, low, high, d->now_ns, ret) != OK)
        return dsl_fail(d, "%s", arena_str(d->arena, str_c(err_text())).p);
    return OK;
}

/* ---- all of them ---- */

static const struct {
    const char *name;
    dsl_reader *read;
} queries[] = {
    {"bool", read_bool},
    {"term", read_term},
    {"terms", read_terms},
    {"range", read_range},
    {"match", dsl_match},
    {"match_phrase", dsl_match_phrase},
    {"match_phrase_prefix", dsl_match_phrase_prefix},
    {"match_bool_prefix", dsl_match_bool_prefix},
    {"multi_match", dsl_multi_match},
    {"query_string", dsl_query_string},
    {"simple_query_string", dsl_simple_query_string},
    {"exists", read_exists},
    {"prefix", read_prefix},
    {"wildcard", read_wildcard},
    {"regexp", read_regexp},
    {"ids", read_ids},
    {"match_all", read_match_all},
    {"match_none", read_match_none},
    {"constant_score", read_constant_score},
    {"boosting", read_boosting},
    {"function_score", read_inner_query},
    {"nested", read_inner_query},
    {"dis_max", read_dis_max},
};

enum err dsl_query(struct dsl *d, const json_t *query, const struct filter **ret)
{
    const char *name;
    json_t *body;
    *ret = filter_everything();
    if (!query || json_is_null(query) || (json_is_object(query) && !json_object_size(query)))
        return OK;
    if (++d->depth > DSL_NESTING_MAX)
        return dsl_fail(d, "more than %d levels of nesting", DSL_NESTING_MAX);
    TRY(dsl_only(d, query, &name, &body));
    size_t mark = dsl_down(d, name);
    for (size_t i = 0; i < sizeof(queries) / sizeof(*queries); i++)
        if (!strcmp(queries[i].name, name)) {
            TRY(queries[i].read(d, body, ret));
            dsl_up(d, mark);
            d->depth--;
            return OK;
        }
    return dsl_fail(d, "queries of this kind are not supported");
}
