/* The parser of pipes. The filter in front and the conditions of `where` are filter_parse's; what
 * stands behind a '|' is read by one function a pipe: those of parse_stats.c and parse_rows.c, and
 * `where`, here.
 *
 *   pipe   := name ...
 * In `where`, "count > 5" may be written with spaces, as "count:>5". */
#include "query/parse_impl.h"

#include "core/buf.h"

#include <ctype.h>

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
        bool name = parse_is_word_byte((unsigned char)c) && c != ':';
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

static enum err parse_where(struct parser *p, struct pipe *pipe, uint32_t *n)
{
    pipe->kind = PIPE_WHERE;
    parse_space(p);
    size_t end = p->at;
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
    enum err err = filter_parse(text, p->filter, p->arena, &pipe->where, &used, &at);
    if (err != OK && p->ret_at)
        *p->ret_at = p->at + at;
    p->at = end;
    return err;
}

static const struct {
    const char *name;
    enum err (*parse)(struct parser *p, struct pipe *pipe, uint32_t *n);
} pipe_names[] = {
    {"stats", parse_stats},
    {"where", parse_where},
    {"sort", parse_sort},
    {"limit", parse_limit},
    {"fields", parse_fields},
    {"top", parse_top},
    {"rare", parse_rare},
    {"values", parse_values},
    {"timechart", parse_timechart},
    {"patterns", parse_patterns},
    {"digest", parse_digest},
    {"dedup", parse_dedup},
    {"extract", parse_extract},
    {"unnest", parse_unnest},
    /* What others call them. */
    {"filter", parse_where},
    {"order", parse_sort},
    {"head", parse_limit},
    {"keep", parse_fields},
    {"rex", parse_regex},
    {"extract_regexp", parse_regex},
    {"grok", parse_grok},
    {"unroll", parse_unnest},
    {"mvexpand", parse_unnest},
    {"expand", parse_unnest},
    {"uniq", parse_values},
    {"field_values", parse_values},
};
enum { PIPE_NAMES = sizeof(pipe_names) / sizeof(*pipe_names) };

const char *const pipe_kind_names[PIPE_KIND_COUNT] = {
    [PIPE_STATS] = "stats",   [PIPE_WHERE] = "where",   [PIPE_SORT] = "sort",
    [PIPE_LIMIT] = "limit",   [PIPE_FIELDS] = "fields", [PIPE_EXTRACT] = "extract",
    [PIPE_UNNEST] = "unnest", [PIPE_DEDUP] = "dedup",
};

static enum err parse_pipe(struct parser *p, struct pipe *pipe, uint32_t *n)
{
    parse_space(p);
    size_t at = p->at;
    struct str name = parse_word(p);
    struct pipe *one = &pipe[(*n)++];
    const char *names[PIPE_NAMES];
    for (size_t i = 0; i < PIPE_NAMES; i++) {
        names[i] = pipe_names[i].name;
        if (str_ieq(name, str_c(names[i])))
            return pipe_names[i].parse(p, one, n);
    }
    const char *nearest = parse_nearest(name, names, PIPE_NAMES);
    if (nearest)
        return parse_fail(p, at, "there is no such pipe",
                          arena_printf(p->arena, "did you mean '%s'?", nearest).p);
    return parse_fail(p, at, name.n ? "there is no such pipe" : "a pipe is expected behind '|'",
                      "stats, where, sort, limit, fields, top, rare, values, timechart, "
                      "patterns, digest, dedup, extract, unnest");
}

enum err query_parse(struct str text, const struct filter_options *o, struct arena *arena,
                     struct query_tree *ret, size_t *ret_at)
{
    struct filter_options filter = *o;
    struct parser p = {.text = text, .filter = &filter, .arena = arena, .ret_at = ret_at};
    struct query_tree tree = {0};
    struct pipe *pipe = ARENA_ARRAY(arena, struct pipe, PIPES_MAX + PIPE_EXPANDS_MAX);
    filter.stop_at_pipe = true;
    TRY(filter_parse(text, &filter, arena, &tree.filter, &p.at, ret_at));
    while (parse_take(&p, '|')) {
        if (tree.n_pipes >= PIPES_MAX)
            return parse_fail(&p, p.at, "too many pipes (at most 64)", NULL);
        TRY(parse_pipe(&p, pipe, &tree.n_pipes));
        if (!parse_at_end(&p))
            return parse_fail(&p, p.at, "this is not understood here",
                              "pipes are separated by '|'");
    }
    parse_space(&p);
    if (p.at < text.n)
        return parse_fail(&p, p.at, "this is not understood here", NULL);
    tree.pipe = pipe;
    *ret = tree;
    return OK;
}
