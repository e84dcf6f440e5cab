/* The pipes that gather rows into groups: stats, and top, rare, values, digest, timechart and
 * patterns, which are written out as it.
 *
 *   stats     := ["by" list] agg ("," agg)* ["by" list]
 *   list      := by ([","] by)* | "(" by ("," by)* ")"
 *   agg       := name "(" [field] ")" ["as" name]
 *   by        := field | "bin" "(" [field ","] (duration | number) ")" | "pattern" "(" field ")"
 *                ["as" name]
 *   patterns  := [N] [field] ("limit=" N | "examples=" N | "new_since=" time)* ["by" list]
 *   top, rare := [N | "limit=" N] ["by"] list
 *   values    := [N] ["by"] list ["limit" N]
 *   digest    := [N] ["by" list]
 *   timechart := option* [agg ("," agg)*] ["by" field] option*
 *   option    := "span=" duration | "bins=" N | "limit=" N | "useother=" bool | "usenull=" bool
 *              | "cont=" bool */
#include "query/parse_impl.h"

#include <ctype.h>

static const struct {
    const char *name;
    enum agg_kind kind;
} agg_names[] = {
    {"count", AGG_COUNT},
    {"sum", AGG_SUM},
    {"avg", AGG_AVG},
    {"mean", AGG_AVG},
    {"min", AGG_MIN},
    {"max", AGG_MAX},
    {"median", AGG_PERCENTILE},
    {"distinct", AGG_DISTINCT},
    {"dc", AGG_DISTINCT},
    {"count_distinct", AGG_DISTINCT},
    {"count_uniq", AGG_DISTINCT},
    {"uniq", AGG_DISTINCT},
    {"values", AGG_VALUES},
    {"first", AGG_FIRST},
    {"last", AGG_LAST},
};

/* p50 .. p99, p99.9: the quantile. */
static bool percentile_name(struct str name, double *ret)
{
    double v;
    if (name.n < 2 || name.p[0] != 'p' || !isdigit((unsigned char)name.p[1]) ||
        !str_to_f64(str_from(name, 1), &v) || v < 0 || v > 100)
        return false;
    *ret = v / 100;
    return true;
}

static enum err agg_kind_of(struct parser *p, struct str name, size_t at, struct agg_spec *ret)
{
    if (percentile_name(name, &ret->quantile)) {
        ret->kind = AGG_PERCENTILE;
        return OK;
    }
    const char *nearest = NULL;
    unsigned distance = 3;
    for (size_t i = 0; i < sizeof(agg_names) / sizeof(*agg_names); i++) {
        if (str_ieq(name, str_c(agg_names[i].name))) {
            ret->kind = agg_names[i].kind;
            ret->quantile = 0.5;
            return OK;
        }
        unsigned d = str_distance(name, str_c(agg_names[i].name), 2);
        nearest = d < distance ? agg_names[i].name : nearest;
        distance = d < distance ? d : distance;
    }
    if (nearest)
        return parse_fail(p, at, "there is no such function",
                          arena_printf(p->arena, "did you mean %s()?", nearest).p);
    return parse_fail(p, at, "there is no such function",
                      "count, sum, avg, min, max, p50 to p99, distinct, values, first, last");
}

static enum err parse_as(struct parser *p, struct str *name)
{
    if (!parse_keyword(p, "as"))
        return OK;
    size_t at = p->at;
    *name = parse_word(p);
    return name->n ? OK : parse_fail(p, at, "a name is expected behind 'as'", NULL);
}

static enum err parse_agg(struct parser *p, struct agg_spec *ret)
{
    parse_space(p);
    size_t at = p->at;
    struct str name = parse_word(p);
    if (name.n == 0)
        return parse_fail(p, at, "a function is expected",
                          "for example: stats count(), p99(latency_ms) by service");
    TRY(agg_kind_of(p, name, at, ret));
    if (parse_take(p, '(')) {
        if (!parse_peek(p, ')'))
            TRY(parse_field(p, &ret->field));
        if (str_eq_c(ret->field, "*") && ret->kind == AGG_COUNT)
            ret->field = (struct str){0};
        if (!parse_take(p, ')'))
            return parse_fail(p, p->at, "')' is expected", NULL);
    } else if (ret->kind != AGG_COUNT) {
        return parse_fail(
            p, p->at, "'(' is expected",
            arena_printf(p->arena, "%.*s needs a field: %.*s(field)", STR_ARG(name), STR_ARG(name))
                .p);
    }
    if (ret->field.n == 0 && ret->kind != AGG_COUNT)
        return parse_fail(p, at, "this function needs a field", NULL);
    ret->name = ret->field.n
                    ? arena_printf(p->arena, "%.*s(%.*s)", STR_ARG(name), STR_ARG(ret->field))
                    : STR("count");
    return parse_as(p, &ret->name);
}

static enum err parse_bin(struct parser *p, struct by_spec *ret)
{
    size_t at = p->at;
    struct str width = parse_word(p);
    ret->field = STR("_time");
    if (parse_take(p, ',')) {
        ret->field = width;
        parse_space(p);
        at = p->at;
        width = parse_word(p);
    }
    if (str_to_f64(width, &ret->bin_width) && ret->bin_width > 0) {
        if (str_eq_c(ret->field, "_time"))
            return parse_fail(p, at, "a width of time is expected",
                              "for example: bin(1m), bin(5s), bin(1d)");
    } else if (str_to_duration_ns(width, &ret->bin_ns) && ret->bin_ns > 0) {
        ret->bin_width = 0;
        ret->bin_time = true;
        if (!str_eq_c(ret->field, "_time"))
            return parse_fail(p, at, "only _time is cut by durations",
                              "for a number: bin(latency_ms, 100)");
    } else {
        return parse_fail(p, at, "a width is expected",
                          "for example: bin(1m), bin(latency_ms, 100)");
    }
    ret->name = ret->field;
    return parse_take(p, ')') ? OK : parse_fail(p, p->at, "')' is expected", NULL);
}

static void by_pattern(struct by_spec *by)
{
    by->pattern = by->whole = true;
    by->name = STR("pattern");
}

static enum err parse_by(struct parser *p, struct by_spec *ret)
{
    parse_space(p);
    size_t save = p->at;
    if (parse_keyword(p, "bin") && parse_take(p, '(')) {
        TRY(parse_bin(p, ret));
        return parse_as(p, &ret->name);
    }
    p->at = save;
    if (parse_keyword(p, "pattern") && parse_take(p, '(')) {
        TRY(parse_field(p, &ret->field));
        if (!parse_take(p, ')'))
            return parse_fail(p, p->at, "')' is expected", NULL);
        by_pattern(ret);
    } else {
        p->at = save;
        TRY(parse_field(p, &ret->field));
        ret->name = ret->field;
    }
    return parse_as(p, &ret->name);
}

static enum err parse_by_list(struct parser *p, struct pipe *pipe)
{
    struct by_spec *by = ARENA_ARRAY(p->arena, struct by_spec, BY_MAX);
    bool closed = parse_take(p, '(');
    do {
        if (pipe->n_by == BY_MAX)
            return parse_fail(p, p->at, "too many fields behind 'by' (at most 16)", NULL);
        TRY(parse_by(p, &by[pipe->n_by++]));
    } while (closed ? parse_take(p, ',') : parse_more(p));
    pipe->by = by;
    if (closed && !parse_take(p, ')'))
        return parse_fail(p, p->at, "')' is expected", NULL);
    return OK;
}

static enum err parse_aggs(struct parser *p, struct pipe *pipe)
{
    struct agg_spec *agg = ARENA_ARRAY(p->arena, struct agg_spec, AGGS_MAX);
    do {
        if (pipe->n_aggs == AGGS_MAX)
            return parse_fail(p, p->at, "too many functions (at most 64)", NULL);
        TRY(parse_agg(p, &agg[pipe->n_aggs++]));
    } while (parse_take(p, ','));
    pipe->agg = agg;
    return OK;
}

enum err parse_stats(struct parser *p, struct pipe *pipe, uint32_t *n)
{
    pipe->kind = PIPE_STATS;
    if (parse_keyword(p, "by")) { /* as LogsQL writes it: in parentheses, before the functions */
        if (!parse_peek(p, '('))
            return parse_fail(p, p->at, "'(' is expected",
                              "stats count() by service, or stats by (service) count()");
        TRY(parse_by_list(p, pipe));
        return parse_aggs(p, pipe);
    }
    TRY(parse_aggs(p, pipe));
    return parse_keyword(p, "by") ? parse_by_list(p, pipe) : OK;
}

/* ---- top, rare, values ---- */

static void count_by(struct parser *p, struct pipe *pipe)
{
    struct agg_spec *count = ARENA_NEW(p->arena, struct agg_spec);
    count->name = STR("count");
    *pipe = (struct pipe){.kind = PIPE_STATS, .agg = count, .n_aggs = 1};
}

/* pipe[0] is count() by something: ordered by the count, equal ones by their names; the first. */
static void best_of(struct parser *p, struct pipe *pipe, bool descending, uint64_t limit,
                    uint32_t *n)
{
    struct sort_key *key = ARENA_ARRAY(p->arena, struct sort_key, 1 + BY_MAX);
    key[0] = (struct sort_key){.field = STR("count"), .descending = descending};
    for (uint32_t i = 0; i < pipe[0].n_by; i++)
        key[1 + i].field = pipe[0].by[i].name;
    pipe[1] = (struct pipe){.kind = PIPE_SORT, .key = key, .n_keys = 1 + pipe[0].n_by};
    pipe[2] = (struct pipe){.kind = PIPE_LIMIT, .limit = limit};
    *n += 2;
}

static enum err limit_option(struct parser *p, uint64_t *ret)
{
    struct str name, value;
    size_t at;
    TRY(parse_count(p, ret));
    size_t from = p->at;
    if (!parse_option(p, &name, &value, &at))
        return OK;
    if (!str_ieq(name, STR("limit")))
        return parse_fail(p, from, "there is no such option", "limit=10");
    return str_to_u64(value, ret) ? OK : parse_fail(p, at, "a whole number is expected", NULL);
}

/* top [N] field, ... = stats count() by field, ... | sort -count | limit N */
static enum err parse_extreme(struct parser *p, struct pipe *pipe, bool most, uint32_t *n)
{
    uint64_t limit = 10;
    TRY(limit_option(p, &limit));
    (void)parse_keyword(p, "by");
    count_by(p, pipe);
    TRY(parse_by_list(p, pipe));
    best_of(p, pipe, most, limit, n);
    return OK;
}

enum err parse_top(struct parser *p, struct pipe *pipe, uint32_t *n)
{
    return parse_extreme(p, pipe, true, n);
}

enum err parse_rare(struct parser *p, struct pipe *pipe, uint32_t *n)
{
    return parse_extreme(p, pipe, false, n);
}

/* The values that there are: rows without one are not counted. */
enum err parse_values(struct parser *p, struct pipe *pipe, uint32_t *n)
{
    uint64_t limit = UINT64_MAX;
    TRY(limit_option(p, &limit));
    (void)parse_keyword(p, "by");
    count_by(p, pipe);
    struct by_spec *by = ARENA_ARRAY(p->arena, struct by_spec, BY_MAX);
    bool closed = parse_take(p, '(');
    do {
        if (pipe->n_by == BY_MAX)
            return parse_fail(p, p->at, "too many fields (at most 16)", NULL);
        struct by_spec *one = &by[pipe->n_by++];
        TRY(parse_field(p, &one->field));
        one->name = one->field;
        one->required = true;
    } while (closed ? parse_take(p, ',') : !parse_at_keyword(p, "limit") && parse_more(p));
    pipe->by = by;
    if (closed && !parse_take(p, ')'))
        return parse_fail(p, p->at, "')' is expected", NULL);
    if (parse_keyword(p, "limit"))
        TRY(parse_number(p, &limit));
    best_of(p, pipe, true, limit, n);
    return OK;
}

/* ---- digest ---- */

/* digest [N] [by field, ...]: statements of databases by their digest (of mysql_slow), as stats of
 * what they took, the costliest first. Records without a digest are none. */
enum err parse_digest(struct parser *p, struct pipe *pipe, uint32_t *n)
{
    static const struct agg_spec aggs[] = {
        {.kind = AGG_COUNT, .name = {"calls", 5}},
        {.kind = AGG_SUM, .field = {"query_time", 10}, .name = {"total_time", 10}},
        {.kind = AGG_AVG, .field = {"query_time", 10}, .name = {"avg_time", 8}},
        {.kind = AGG_PERCENTILE,
         .field = {"query_time", 10},
         .quantile = 0.95,
         .name = {"p95_time", 8}},
        {.kind = AGG_MAX, .field = {"query_time", 10}, .name = {"max_time", 8}},
        {.kind = AGG_SUM, .field = {"lock_time", 9}, .name = {"lock_time", 9}},
        {.kind = AGG_SUM, .field = {"rows_examined", 13}, .name = {"rows_examined", 13}},
        {.kind = AGG_SUM, .field = {"rows_sent", 9}, .name = {"rows_sent", 9}},
        {.kind = AGG_MIN, .field = {"_time", 5}, .name = {"first_seen", 10}},
        {.kind = AGG_MAX, .field = {"_time", 5}, .name = {"last_seen", 9}},
        {.kind = AGG_FIRST, .field = {"statement", 9}, .name = {"example", 7}},
    };
    uint64_t limit = UINT64_MAX;
    struct pipe more = {0};
    struct by_spec *by = ARENA_ARRAY(p->arena, struct by_spec, BY_MAX + 2);
    struct sort_key *key = ARENA_ARRAY(p->arena, struct sort_key, BY_MAX + 2);
    TRY(parse_count(p, &limit));
    if (parse_keyword(p, "by"))
        TRY(parse_by_list(p, &more));
    by[0] = (struct by_spec){.field = STR("digest"), .name = STR("digest"), .required = true};
    by[1] = (struct by_spec){.field = STR("digest_text"), .name = STR("digest_text")};
    for (uint32_t i = 0; i < more.n_by; i++)
        by[2 + i] = more.by[i];
    uint32_t n_by = 2 + more.n_by;
    if (n_by > BY_MAX)
        return parse_fail(p, p->at, "too many fields behind 'by' (at most 14)", NULL);
    key[0] = (struct sort_key){.field = STR("total_time"), .descending = true};
    for (uint32_t i = 0; i < n_by; i++)
        key[1 + i].field = by[i].name;
    pipe[0] = (struct pipe){.kind = PIPE_STATS,
                            .agg = aggs,
                            .n_aggs = sizeof(aggs) / sizeof(*aggs),
                            .by = by,
                            .n_by = n_by};
    pipe[1] = (struct pipe){.kind = PIPE_SORT, .key = key, .n_keys = 1 + n_by};
    pipe[2] = (struct pipe){.kind = PIPE_LIMIT, .limit = limit};
    *n += 2;
    return OK;
}

/* ---- timechart ---- */

static enum err chart_number(struct parser *p, struct str value, size_t at, uint32_t max,
                             uint32_t *ret)
{
    uint64_t v;
    if (!str_to_u64(value, &v) || v > max)
        return parse_fail(
            p, at, arena_printf(p->arena, "a whole number up to %u is expected", max).p, NULL);
    *ret = (uint32_t)v;
    return OK;
}

static enum err chart_option(struct parser *p, struct chart_spec *c, struct str name,
                             struct str value, size_t from, size_t at)
{
    if (str_ieq(name, STR("span")) || str_ieq(name, STR("step"))) {
        if (!str_to_duration_ns(value, &c->span_ns) || c->span_ns <= 0)
            return parse_fail(p, at, "a width of time is expected",
                              "for example: span=1m, span=5s, span=1d");
        return OK;
    }
    if (str_ieq(name, STR("bins")))
        return chart_number(p, value, at, 10000, &c->bins);
    if (str_ieq(name, STR("limit")))
        return chart_number(p, value, at, CHART_SERIES_MAX, &c->series);
    if (str_ieq(name, STR("useother")))
        return parse_bool(p, value, at, &c->other);
    if (str_ieq(name, STR("usenull")))
        return parse_bool(p, value, at, &c->null);
    if (str_ieq(name, STR("cont")))
        return parse_bool(p, value, at, &c->fill);
    return parse_fail(p, from, "there is no such option",
                      "span=1m, bins=100, limit=10, useother=true, usenull=true, cont=true");
}

static enum err chart_options(struct parser *p, struct chart_spec *c)
{
    struct str name, value;
    size_t at;
    parse_space(p);
    for (size_t from = p->at; parse_option(p, &name, &value, &at); from = p->at) {
        TRY(chart_option(p, c, name, value, from, at));
        parse_space(p);
    }
    return OK;
}

static enum err chart_split(struct parser *p, struct by_spec *by, struct chart_spec *c)
{
    TRY(parse_by(p, by));
    if (by->bin_time)
        return parse_fail(p, p->at, "the time is there already", "its width is span=1m");
    c->split = true;
    if (parse_peek(p, ','))
        return parse_fail(p, p->at, "a timechart splits by one field",
                          "for more: stats count() by bin(1m), a, b");
    return OK;
}

/* timechart span=1m count() by level = stats count() by level, bin(1m), laid out as a row a bin. */
enum err parse_timechart(struct parser *p, struct pipe *pipe, uint32_t *n)
{
    struct chart_spec *c = ARENA_NEW(p->arena, struct chart_spec);
    struct by_spec *by = ARENA_ARRAY(p->arena, struct by_spec, 2);
    *c = (struct chart_spec){.bins = 100, .series = 10, .other = true, .null = true, .fill = true};
    TRY(chart_options(p, c));
    count_by(p, pipe);
    if (!parse_at_end(p) && !parse_at_keyword(p, "by")) {
        pipe->n_aggs = 0;
        TRY(parse_aggs(p, pipe));
    }
    if (parse_keyword(p, "by"))
        TRY(chart_split(p, &by[pipe->n_by++], c));
    TRY(chart_options(p, c));
    by[pipe->n_by++] = (struct by_spec){
        .field = STR("_time"), .name = STR("_time"), .bin_time = true, .bin_ns = c->span_ns};
    if (!c->null && c->split)
        by[0].required = true;
    pipe->by = by;
    pipe->chart = c;
    return OK;
}

/* ---- patterns ---- */

static enum err since_option(struct parser *p, struct str value, size_t at, int64_t *ret)
{
    struct predicate_bound bound;
    int64_t ago;
    if (str_to_duration_ns(value, &ago) && ago > 0) {
        *ret = p->filter->now_ns - ago;
        return OK;
    }
    if (!predicate_bound_time(value, true, true, p->filter->now_ns, &bound))
        return parse_fail(p, at, "a time is expected",
                          "for example: new_since=1h, new_since=2025-02-15T12:00:00Z");
    *ret = bound.time_ns;
    return OK;
}

static enum err patterns_option(struct parser *p, struct str name, struct str value, size_t from,
                                size_t at, uint64_t *limit, uint64_t *examples,
                                struct patterns_spec *spec)
{
    uint64_t *number = str_ieq(name, STR("limit"))      ? limit
                       : str_ieq(name, STR("examples")) ? examples
                                                        : NULL;
    if (str_ieq(name, STR("new_since")))
        return since_option(p, value, at, &spec->new_since);
    if (!number)
        return parse_fail(p, from, "there is no such option", "limit=10, examples=3, new_since=1h");
    if (!str_to_u64(value, number))
        return parse_fail(p, at, "a whole number is expected", NULL);
    if (*examples > PATTERN_EXAMPLES_MAX)
        return parse_fail(p, at, "at most 10 examples", NULL);
    return OK;
}

/* [N] [field] option*, in any order but for the number, which is first. */
static enum err patterns_head(struct parser *p, struct str *field, uint64_t *limit,
                              uint64_t *examples, struct patterns_spec *spec)
{
    struct str name, value;
    size_t at;
    TRY(parse_count(p, limit));
    for (;;) {
        parse_space(p);
        size_t from = p->at;
        if (parse_at_end(p) || parse_at_keyword(p, "by"))
            return OK;
        if (parse_option(p, &name, &value, &at))
            TRY(patterns_option(p, name, value, from, at, limit, examples, spec));
        else if (!field->n)
            TRY(parse_field(p, field));
        else
            return OK;
    }
}

/* patterns = stats count() as count, min(_time), max(_time), examples by pattern(field), ...
 * | sort -count | limit N */
enum err parse_patterns(struct parser *p, struct pipe *pipe, uint32_t *n)
{
    struct agg_spec *agg = ARENA_ARRAY(p->arena, struct agg_spec, 4);
    struct by_spec *by = ARENA_ARRAY(p->arena, struct by_spec, BY_MAX);
    struct patterns_spec *spec = ARENA_NEW(p->arena, struct patterns_spec);
    struct str field = {0};
    uint64_t limit = UINT64_MAX, examples = 1;
    spec->new_since = INT64_MIN;
    TRY(patterns_head(p, &field, &limit, &examples, spec));
    field = field.n ? field : STR("message");
    agg[0] = (struct agg_spec){.kind = AGG_COUNT, .name = STR("count")};
    agg[1] = (struct agg_spec){.kind = AGG_MIN, .field = STR("_time"), .name = STR("first_seen")};
    agg[2] = (struct agg_spec){.kind = AGG_MAX, .field = STR("_time"), .name = STR("last_seen")};
    agg[3] = (struct agg_spec){
        .kind = AGG_EXAMPLES, .field = field, .name = STR("examples"), .most = (uint32_t)examples};
    struct pipe others = {0};
    if (parse_keyword(p, "by"))
        TRY(parse_by_list(p, &others));
    if (others.n_by == BY_MAX)
        return parse_fail(p, p->at, "too many fields behind 'by' (at most 15)", NULL);
    by[0].field = field;
    by_pattern(&by[0]);
    for (uint32_t i = 0; i < others.n_by; i++)
        by[1 + i] = others.by[i];
    *pipe = (struct pipe){.kind = PIPE_STATS,
                          .agg = agg,
                          .n_aggs = examples ? 4 : 3,
                          .by = by,
                          .n_by = 1 + others.n_by,
                          .patterns = spec};
    best_of(p, pipe, true, limit, n);
    return OK;
}
