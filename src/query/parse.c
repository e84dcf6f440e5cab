/* The parser of pipes. The filter in front and the conditions of `where` are filter_parse's; what
 * stands behind a '|' is read here, one function a pipe.
 *
 *   pipe   := "stats" agg ("," agg)* ["by" by ("," by)*] | "where" filter
 *           | "sort" ["by"] key ("," key)* | "limit" N ["offset" M]
 *           | "fields" name ("," name)* | "top" [N] ["by"] name ("," name)*
 *   agg    := name "(" [field] ")" ["as" name]
 *   by     := field | "bin" "(" [field ","] (duration | number) ")" ["as" name]
 *   key    := ["-" | "+"] field ["asc" | "desc"]
 * In `where`, "count > 5" may be written with spaces, as "count:>5". */
#include "query/pipe.h"

#include "core/buf.h"

#include <ctype.h>

struct parser {
    struct str text;
    size_t at;
    int64_t now_ns;
    struct arena *arena;
    size_t *ret_at;
};

static const char *const pipe_names[] = {"stats", "where",  "sort", "limit",
                                         "head",  "fields", "top"};
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

/* The line of the query that holds `at`, and a caret below; tabs would shift it, so they print as
 * spaces. */
static enum err fail(struct parser *p, size_t at, const char *what, const char *hint)
{
    if (p->ret_at)
        *p->ret_at = at;
    size_t from = at > 100 ? at - 100 : 0;
    size_t n = p->text.n - from > 180 ? 180 : p->text.n - from;
    char line[200];
    for (size_t i = 0; i < n; i++)
        line[i] = (unsigned char)p->text.p[from + i] < ' ' ? ' ' : p->text.p[from + i];
    return err_set(ERR_INVALID, "%s at column %zu\n  %.*s\n  %*s^%s%s", what, at + 1, (int)n, line,
                   (int)(at - from), "", hint ? "\nhint: " : "", hint ? hint : "");
}

static void skip_space(struct parser *p)
{
    while (p->at < p->text.n && isspace((unsigned char)p->text.p[p->at]))
        p->at++;
}

static bool peek(struct parser *p, char c)
{
    skip_space(p);
    return p->at < p->text.n && p->text.p[p->at] == c;
}

static bool take(struct parser *p, char c)
{
    bool is = peek(p, c);
    p->at += is;
    return is;
}

static bool at_end(struct parser *p)
{
    skip_space(p);
    return p->at >= p->text.n || p->text.p[p->at] == '|';
}

static bool is_word_byte(unsigned char c)
{
    return isalnum(c) || c == '_' || c == '.' || c == '@' || c == '$' || c == '/' || c == '-' ||
           c == '*' || c == ':' || c >= 0x80;
}

/* A bare word or a quoted one; n == 0 when neither stands here. */
static struct str word(struct parser *p)
{
    skip_space(p);
    size_t from = p->at;
    if (from < p->text.n && (p->text.p[from] == '"' || p->text.p[from] == '\'')) {
        char quote = p->text.p[from];
        size_t end = str_find_byte(p->text, quote, from + 1);
        if (end >= p->text.n)
            return (struct str){0};
        p->at = end + 1;
        return str_of(p->text.p + from + 1, end - from - 1);
    }
    while (p->at < p->text.n && is_word_byte((unsigned char)p->text.p[p->at]))
        p->at++;
    return str_of(p->text.p + from, p->at - from);
}

/* Takes the keyword when it stands here as a whole word. */
static bool keyword(struct parser *p, const char *name)
{
    skip_space(p);
    size_t save = p->at;
    struct str w = word(p);
    if (str_ieq(w, str_c(name)))
        return true;
    p->at = save;
    return false;
}

/* field or function(field): the name of a stats result may be asked for as it was typed. */
static enum err field_name(struct parser *p, struct str *ret)
{
    skip_space(p);
    size_t from = p->at;
    struct str w = word(p);
    if (w.n == 0)
        return fail(p, from, "a field name is expected", NULL);
    if (p->at < p->text.n && p->text.p[p->at] == '(') {
        size_t end = str_find_byte(p->text, ')', p->at);
        if (end >= p->text.n)
            return fail(p, p->at, "this '(' is never closed", NULL);
        struct str inside = str_trim(str_of(p->text.p + p->at + 1, end - p->at - 1));
        *ret = inside.n == 0 && str_ieq(w, STR("count"))
                   ? STR("count")
                   : arena_printf(p->arena, "%.*s(%.*s)", STR_ARG(w), STR_ARG(inside));
        p->at = end + 1;
        return OK;
    }
    *ret = w;
    return OK;
}

static enum err positive(struct parser *p, uint64_t *ret)
{
    skip_space(p);
    size_t from = p->at;
    struct str w = word(p);
    if (!str_to_u64(w, ret))
        return fail(p, from, "a whole number is expected", NULL);
    return OK;
}

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
        return fail(p, at, "there is no such function",
                    arena_printf(p->arena, "did you mean %s()?", nearest).p);
    return fail(p, at, "there is no such function",
                "count, sum, avg, min, max, p50 to p99, distinct, values, first, last");
}

static enum err parse_as(struct parser *p, struct str *name)
{
    if (!keyword(p, "as"))
        return OK;
    size_t at = p->at;
    *name = word(p);
    return name->n ? OK : fail(p, at, "a name is expected behind 'as'", NULL);
}

static enum err parse_agg(struct parser *p, struct agg_spec *ret)
{
    skip_space(p);
    size_t at = p->at;
    struct str name = word(p);
    if (name.n == 0)
        return fail(p, at, "a function is expected",
                    "for example: stats count(), p99(latency_ms) by service");
    TRY(agg_kind_of(p, name, at, ret));
    if (take(p, '(')) {
        if (!peek(p, ')'))
            TRY(field_name(p, &ret->field));
        if (str_eq_c(ret->field, "*") && ret->kind == AGG_COUNT)
            ret->field = (struct str){0};
        if (!take(p, ')'))
            return fail(p, p->at, "')' is expected", NULL);
    } else if (ret->kind != AGG_COUNT) {
        return fail(
            p, p->at, "'(' is expected",
            arena_printf(p->arena, "%.*s needs a field: %.*s(field)", STR_ARG(name), STR_ARG(name))
                .p);
    }
    if (ret->field.n == 0 && ret->kind != AGG_COUNT)
        return fail(p, at, "this function needs a field", NULL);
    ret->name = ret->field.n
                    ? arena_printf(p->arena, "%.*s(%.*s)", STR_ARG(name), STR_ARG(ret->field))
                    : STR("count");
    return parse_as(p, &ret->name);
}

static enum err parse_bin(struct parser *p, struct by_spec *ret)
{
    size_t at = p->at;
    struct str width = word(p);
    ret->field = STR("_time");
    if (take(p, ',')) {
        ret->field = width;
        skip_space(p);
        at = p->at;
        width = word(p);
    }
    if (str_to_f64(width, &ret->bin_width) && ret->bin_width > 0) {
        if (str_eq_c(ret->field, "_time"))
            return fail(p, at, "a width of time is expected",
                        "for example: bin(1m), bin(5s), bin(1d)");
    } else if (str_to_duration_ns(width, &ret->bin_ns) && ret->bin_ns > 0) {
        ret->bin_width = 0;
        ret->bin_time = true;
        if (!str_eq_c(ret->field, "_time"))
            return fail(p, at, "only _time is cut by durations",
                        "for a number: bin(latency_ms, 100)");
    } else {
        return fail(p, at, "a width is expected", "for example: bin(1m), bin(latency_ms, 100)");
    }
    ret->name = ret->field;
    return take(p, ')') ? OK : fail(p, p->at, "')' is expected", NULL);
}

static enum err parse_by(struct parser *p, struct by_spec *ret)
{
    skip_space(p);
    size_t save = p->at;
    if (keyword(p, "bin") && take(p, '(')) {
        TRY(parse_bin(p, ret));
    } else {
        p->at = save;
        TRY(field_name(p, &ret->field));
        ret->name = ret->field;
    }
    return parse_as(p, &ret->name);
}

static enum err parse_by_list(struct parser *p, struct pipe *pipe)
{
    struct by_spec *by = ARENA_ARRAY(p->arena, struct by_spec, BY_MAX);
    do {
        if (pipe->n_by == BY_MAX)
            return fail(p, p->at, "too many fields behind 'by' (at most 16)", NULL);
        TRY(parse_by(p, &by[pipe->n_by++]));
    } while (take(p, ','));
    pipe->by = by;
    return OK;
}

static enum err parse_stats(struct parser *p, struct pipe *pipe)
{
    pipe->kind = PIPE_STATS;
    struct agg_spec *agg = ARENA_ARRAY(p->arena, struct agg_spec, AGGS_MAX);
    do {
        if (pipe->n_aggs == AGGS_MAX)
            return fail(p, p->at, "too many functions (at most 64)", NULL);
        TRY(parse_agg(p, &agg[pipe->n_aggs++]));
    } while (take(p, ','));
    pipe->agg = agg;
    return keyword(p, "by") ? parse_by_list(p, pipe) : OK;
}

static enum err parse_sort(struct parser *p, struct pipe *pipe)
{
    pipe->kind = PIPE_SORT;
    struct sort_key *key = ARENA_ARRAY(p->arena, struct sort_key, BY_MAX);
    (void)keyword(p, "by");
    do {
        if (pipe->n_keys == BY_MAX)
            return fail(p, p->at, "too many sort keys (at most 16)", NULL);
        struct sort_key *k = &key[pipe->n_keys++];
        k->descending = take(p, '-');
        if (!k->descending)
            (void)take(p, '+');
        TRY(field_name(p, &k->field));
        if (keyword(p, "desc"))
            k->descending = true;
        else
            (void)keyword(p, "asc");
    } while (take(p, ','));
    pipe->key = key;
    return OK;
}

static enum err parse_limit(struct parser *p, struct pipe *pipe)
{
    pipe->kind = PIPE_LIMIT;
    TRY(positive(p, &pipe->limit));
    return keyword(p, "offset") ? positive(p, &pipe->offset) : OK;
}

static enum err parse_fields(struct parser *p, struct pipe *pipe)
{
    pipe->kind = PIPE_FIELDS;
    struct str *field = ARENA_ARRAY(p->arena, struct str, 1000);
    do {
        if (pipe->n_fields == 1000)
            return fail(p, p->at, "too many fields (at most 1000)", NULL);
        TRY(field_name(p, &field[pipe->n_fields++]));
    } while (take(p, ',') || !at_end(p));
    pipe->field = field;
    return OK;
}

/* top [N] field, ... = stats count() by field, ... | sort -count | limit N */
static enum err parse_top(struct parser *p, struct pipe *pipe, uint32_t *n)
{
    uint64_t limit = 10;
    skip_space(p);
    if (p->at < p->text.n && isdigit((unsigned char)p->text.p[p->at]))
        TRY(positive(p, &limit));
    (void)keyword(p, "by");
    struct agg_spec *count = ARENA_NEW(p->arena, struct agg_spec);
    count->name = STR("count");
    pipe[0] = (struct pipe){.kind = PIPE_STATS, .agg = count, .n_aggs = 1};
    TRY(parse_by_list(p, &pipe[0]));
    struct sort_key *key = ARENA_ARRAY(p->arena, struct sort_key, 1 + BY_MAX);
    key[0] = (struct sort_key){.field = STR("count"), .descending = true};
    for (uint32_t i = 0; i < pipe[0].n_by; i++)
        key[1 + i].field = pipe[0].by[i].name;
    pipe[1] = (struct pipe){.kind = PIPE_SORT, .key = key, .n_keys = 1 + pipe[0].n_by};
    pipe[2] = (struct pipe){.kind = PIPE_LIMIT, .limit = limit};
    *n += 2;
    return OK;
}

/* "count > 5" -> "count:>5", "a = b" -> a:="b", "a != b" -> NOT a:="b"; everything else as it
 * stands. The spaces and the operator are what is recognised: a plain filter never has an operator
 * behind a space. */
static struct str where_text(struct parser *p, struct str text)
{
    struct buf out;
    buf_init(&out, text.n * 4 + 64);
    size_t i = 0;
    size_t token = 0; /* in out: where the last bare token starts */
    bool bare = false;
    while (i < text.n) {
        char c = text.p[i];
        if (c == '"' || c == '/') {
            size_t end = i + 1;
            while (end < text.n && text.p[end] != c)
                end += text.p[end] == '\\' ? 2 : 1;
            end = end < text.n ? end + 1 : text.n;
            buf_put(&out, text.p + i, end - i);
            i = end;
            bare = false;
            continue;
        }
        size_t op = i;
        while (op < text.n && isspace((unsigned char)text.p[op]))
            op++;
        size_t end = op;
        while (end < text.n && end - op < 2 && strchr("<>=!", text.p[end]) && text.p[end])
            end++;
        struct str sign = str_of(text.p + op, end - op);
        if (bare && op > i && sign.n && !str_eq_c(sign, "!")) {
            while (end < text.n && isspace((unsigned char)text.p[end]))
                end++;
            if (str_eq_c(sign, "!=")) {
                struct str field = arena_str(p->arena, str_of(out.p + token, out.n - token));
                out.n = token;
                buf_put_c(&out, "NOT ");
                buf_put_str(&out, field);
                buf_put_c(&out, ":=");
            } else {
                buf_put_byte(&out, ':');
                if (str_eq_c(sign, "=="))
                    sign.n = 1;
                buf_put_str(&out, sign);
            }
            i = end;
            bare = false;
            continue;
        }
        bool name = is_word_byte((unsigned char)c) && c != ':';
        if (name && !bare)
            token = out.n;
        bare = name;
        buf_put_byte(&out, c);
        i++;
    }
    struct str ret = arena_str(p->arena, buf_str(&out));
    buf_release(&out);
    return ret;
}

static enum err parse_where(struct parser *p, struct pipe *pipe)
{
    pipe->kind = PIPE_WHERE;
    skip_space(p);
    size_t end = p->at;
    struct filter_options o = {.now_ns = p->now_ns, .stop_at_pipe = true};
    char quote = 0;
    for (; end < p->text.n &&
           (quote || p->text.p[end] != '|' || (end + 1 < p->text.n && p->text.p[end + 1] == '|'));
         end++) {
        char c = p->text.p[end];
        if (c == '\\')
            end++;
        else if (quote ? c == quote : c == '"')
            quote = quote ? 0 : c;
        else if (!quote && c == '|')
            end++;
    }
    end = end > p->text.n ? p->text.n : end;
    struct str text = where_text(p, str_of(p->text.p + p->at, end - p->at));
    size_t used, at = 0;
    enum err err = filter_parse(text, &o, p->arena, &pipe->where, &used, &at);
    if (err != OK && p->ret_at)
        *p->ret_at = p->at + at;
    p->at = end;
    return err;
}

static enum err parse_pipe(struct parser *p, struct pipe *pipe, uint32_t *n)
{
    skip_space(p);
    size_t at = p->at;
    struct str name = word(p);
    struct pipe *one = &pipe[(*n)++];
    if (str_ieq(name, STR("stats")))
        return parse_stats(p, one);
    if (str_ieq(name, STR("where")) || str_ieq(name, STR("filter")))
        return parse_where(p, one);
    if (str_ieq(name, STR("sort")) || str_ieq(name, STR("order")))
        return parse_sort(p, one);
    if (str_ieq(name, STR("limit")) || str_ieq(name, STR("head")))
        return parse_limit(p, one);
    if (str_ieq(name, STR("fields")) || str_ieq(name, STR("keep")))
        return parse_fields(p, one);
    if (str_ieq(name, STR("top")))
        return parse_top(p, one, n);
    const char *nearest = NULL;
    unsigned distance = 3;
    for (size_t i = 0; i < sizeof(pipe_names) / sizeof(*pipe_names) && name.n; i++) {
        unsigned d = str_distance(name, str_c(pipe_names[i]), 2);
        nearest = d < distance ? pipe_names[i] : nearest;
        distance = d < distance ? d : distance;
    }
    if (nearest)
        return fail(p, at, "there is no such pipe",
                    arena_printf(p->arena, "did you mean '%s'?", nearest).p);
    return fail(p, at, name.n ? "there is no such pipe" : "a pipe is expected behind '|'",
                "stats, where, sort, limit, fields, top");
}

enum err query_parse(struct str text, int64_t now_ns, struct arena *arena, struct query_tree *ret,
                     size_t *ret_at)
{
    struct parser p = {.text = text, .now_ns = now_ns, .arena = arena, .ret_at = ret_at};
    struct filter_options o = {.now_ns = now_ns, .stop_at_pipe = true};
    struct query_tree tree = {0};
    struct pipe *pipe = ARENA_ARRAY(arena, struct pipe, PIPES_MAX + 3);
    TRY(filter_parse(text, &o, arena, &tree.filter, &p.at, ret_at));
    while (take(&p, '|')) {
        if (tree.n_pipes >= PIPES_MAX)
            return fail(&p, p.at, "too many pipes (at most 64)", NULL);
        TRY(parse_pipe(&p, pipe, &tree.n_pipes));
        if (!at_end(&p))
            return fail(&p, p.at, "this is not understood here", "pipes are separated by '|'");
    }
    skip_space(&p);
    if (p.at < text.n)
        return fail(&p, p.at, "this is not understood here", NULL);
    tree.pipe = pipe;
    *ret = tree;
    return OK;
}
