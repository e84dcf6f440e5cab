/* The pipes that order, choose, change and multiply rows.
 *
 *   sort    := ["by"] key ([","] key)*             key := ["-" | "+"] field ["asc" | "desc"]
 *   limit   := N ["offset" M]
 *   fields  := name ([","] name)*
 *   dedup   := [N] ["by"] name ([","] name)* ["keepempty=" bool] ["sortby" key ([","] key)*]
 *   extract := [field | "field=" field] pattern ["from" field]
 *   pattern := "/" regex "/" | quoted
 *   unnest  := ["by"] field ["as" name]
 * A pattern in quotes is taken as it stands, but for the quote, which is written \". */
#include "query/parse_impl.h"

enum err parse_sort_keys(struct parser *p, struct pipe *pipe)
{
    struct sort_key *key = ARENA_ARRAY(p->arena, struct sort_key, BY_MAX);
    bool closed = parse_take(p, '(');
    do {
        if (pipe->n_keys == BY_MAX)
            return parse_fail(p, p->at, "too many sort keys (at most 16)", NULL);
        struct sort_key *k = &key[pipe->n_keys++];
        k->descending = parse_take(p, '-');
        if (!k->descending)
            (void)parse_take(p, '+');
        TRY(parse_field(p, &k->field));
        if (parse_keyword(p, "desc"))
            k->descending = true;
        else
            (void)parse_keyword(p, "asc");
    } while (parse_more(p));
    pipe->key = key;
    if (closed && !parse_take(p, ')'))
        return parse_fail(p, p->at, "')' is expected", NULL);
    if (closed && parse_keyword(p, "desc"))
        for (uint32_t i = 0; i < pipe->n_keys; i++)
            key[i].descending = !key[i].descending;
    return OK;
}

enum err parse_sort(struct parser *p, struct pipe *pipe, uint32_t *n)
{
    pipe->kind = PIPE_SORT;
    (void)parse_keyword(p, "by");
    return parse_sort_keys(p, pipe);
}

enum err parse_limit(struct parser *p, struct pipe *pipe, uint32_t *n)
{
    pipe->kind = PIPE_LIMIT;
    TRY(parse_number(p, &pipe->limit));
    return parse_keyword(p, "offset") ? parse_number(p, &pipe->offset) : OK;
}

enum err parse_fields(struct parser *p, struct pipe *pipe, uint32_t *n)
{
    pipe->kind = PIPE_FIELDS;
    struct str *field = ARENA_ARRAY(p->arena, struct str, 1000);
    do {
        if (pipe->n_fields == 1000)
            return parse_fail(p, p->at, "too many fields (at most 1000)", NULL);
        TRY(parse_field(p, &field[pipe->n_fields++]));
    } while (parse_take(p, ',') || !parse_at_end(p));
    pipe->field = field;
    return OK;
}

/* ---- dedup ---- */

static enum err dedup_option(struct parser *p, struct pipe *pipe, bool *ret_is)
{
    struct str name, value;
    size_t at;
    parse_space(p);
    size_t from = p->at;
    *ret_is = parse_option(p, &name, &value, &at);
    if (!*ret_is)
        return OK;
    if (str_ieq(name, STR("keepempty")))
        return parse_bool(p, value, at, &pipe->keep_empty);
    return parse_fail(p, from, "there is no such option", "keepempty=true keeps rows without it");
}

static enum err dedup_key(struct parser *p, struct pipe *pipe)
{
    struct by_spec *by = ARENA_ARRAY(p->arena, struct by_spec, BY_MAX);
    bool closed = parse_take(p, '('), option = false;
    do {
        TRY(dedup_option(p, pipe, &option));
        if (option)
            continue;
        if (pipe->n_by == BY_MAX)
            return parse_fail(p, p->at, "too many fields (at most 16)", NULL);
        struct by_spec *one = &by[pipe->n_by++];
        *one = (struct by_spec){.required = true, .whole = true};
        TRY(parse_field(p, &one->field));
        one->name = one->field;
    } while (!parse_at_keyword(p, "sortby") && parse_more(p));
    pipe->by = by;
    if (closed && !parse_take(p, ')'))
        return parse_fail(p, p->at, "')' is expected", NULL);
    return pipe->n_by ? OK : parse_fail(p, p->at, "a field name is expected", NULL);
}

/* dedup ... sortby key = sort key | dedup ... */
enum err parse_dedup(struct parser *p, struct pipe *pipe, uint32_t *n)
{
    struct pipe dedup = {.kind = PIPE_DEDUP, .limit = 1};
    parse_space(p);
    size_t at = p->at;
    TRY(parse_count(p, &dedup.limit));
    if (dedup.limit == 0 || dedup.limit > 10000)
        return parse_fail(p, at, "from 1 to 10000 rows may be kept", NULL);
    (void)parse_keyword(p, "by");
    TRY(dedup_key(p, &dedup));
    if (parse_keyword(p, "sortby")) {
        pipe->kind = PIPE_SORT;
        TRY(parse_sort_keys(p, pipe));
        pipe++;
        ++*n;
    }
    bool option = true;
    while (option)
        TRY(dedup_option(p, &dedup, &option));
    *pipe = dedup;
    return OK;
}

/* ---- extract ---- */

/* From its opening '/' or quote on; *ret_from: where its first byte stands. */
static enum err pattern_text(struct parser *p, struct str *ret, size_t *ret_from)
{
    parse_space(p);
    size_t open = p->at;
    char quote = open < p->text.n ? p->text.p[open] : 0;
    if (!quote || !strchr("/\"'`", quote))
        return parse_fail(p, open, "a pattern is expected",
                          "extract /(?<ms>[0-9]+) ms/ from message, "
                          "extract \"%{IP:client} <_>\" from message");
    char *to = arena_alloc(p->arena, p->text.n - open);
    size_t n = 0, at = open + 1;
    for (; at < p->text.n && p->text.p[at] != quote; at++) {
        if (p->text.p[at] == '\\' && at + 1 < p->text.n && quote != '`')
            if (p->text.p[++at] != quote)
                to[n++] = '\\';
        to[n++] = p->text.p[at];
    }
    if (at >= p->text.n)
        return parse_fail(p, open, "this pattern is never closed", NULL);
    p->at = at + 1;
    *ret = str_of(to, n);
    *ret_from = open + 1;
    return OK;
}

/* Where byte `at` of a pattern stands in the query: a shielded quote takes two bytes there. */
static size_t pattern_place(const struct parser *p, size_t from, size_t at)
{
    char quote = p->text.p[from - 1];
    for (; at && from < p->text.n && p->text.p[from] != quote; at--)
        from +=
            p->text.p[from] == '\\' && from + 1 < p->text.n && p->text.p[from + 1] == quote ? 2 : 1;
    return from;
}

static enum err make_extractor(struct parser *p, struct pipe *pipe, enum extract_syntax syntax)
{
    struct str pattern = {0};
    size_t from = 1, at = 0;
    TRY(pattern_text(p, &pattern, &from));
    if (p->text.p[from - 1] == '/')
        syntax = EXTRACT_REGEX;
    if (extractor_new(pattern, syntax, NULL, p->arena, &pipe->extractor, &at) == OK)
        return OK;
    struct str why = arena_str(p->arena, str_c(err_text()));
    const char *hint = str_find(why, STR("takes nothing")) == SIZE_MAX
                           ? NULL
                           : "name what is wanted: (?<name>...), %{IP:name} or <name>";
    return parse_fail(p, pattern_place(p, from, at), why.p, hint);
}

static enum err extract_from(struct parser *p, struct pipe *pipe)
{
    struct str name, value;
    size_t at;
    parse_space(p);
    size_t save = p->at;
    if (parse_option(p, &name, &value, &at)) {
        if (!str_ieq(name, STR("field")))
            return parse_fail(p, save, "there is no such option", "field=message");
        pipe->from = value;
        return OK;
    }
    if (save < p->text.n && p->text.p[save] != '/' && p->text.p[save] != '"' &&
        p->text.p[save] != '\'' && parse_is_word_byte((unsigned char)p->text.p[save]))
        return parse_field(p, &pipe->from);
    return OK;
}

static enum err extract_with(struct parser *p, struct pipe *pipe, enum extract_syntax syntax)
{
    pipe->kind = PIPE_EXTRACT;
    TRY(extract_from(p, pipe));
    TRY(make_extractor(p, pipe, syntax));
    if (parse_keyword(p, "from"))
        TRY(parse_field(p, &pipe->from));
    if (!pipe->from.n)
        pipe->from = STR("message");
    return OK;
}

enum err parse_extract(struct parser *p, struct pipe *pipe, uint32_t *n)
{
    return extract_with(p, pipe, EXTRACT_GUESS);
}

enum err parse_regex(struct parser *p, struct pipe *pipe, uint32_t *n)
{
    return extract_with(p, pipe, EXTRACT_REGEX);
}

enum err parse_grok(struct parser *p, struct pipe *pipe, uint32_t *n)
{
    return extract_with(p, pipe, EXTRACT_GROK);
}

/* ---- unnest ---- */

enum err parse_unnest(struct parser *p, struct pipe *pipe, uint32_t *n)
{
    pipe->kind = PIPE_UNNEST;
    (void)parse_keyword(p, "by");
    bool closed = parse_take(p, '(');
    TRY(parse_field(p, &pipe->from));
    if (parse_peek(p, ','))
        return parse_fail(p, p->at, "one field is taken apart at a time",
                          "unnest a | unnest b gives each of a with each of b");
    if (closed && !parse_take(p, ')'))
        return parse_fail(p, p->at, "')' is expected", NULL);
    pipe->into = pipe->from;
    if (!parse_keyword(p, "as"))
        return OK;
    size_t at = p->at;
    pipe->into = parse_word(p);
    return pipe->into.n ? OK : parse_fail(p, at, "a name is expected behind 'as'", NULL);
}
