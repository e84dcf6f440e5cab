/* Queries that look into texts: match and its kin, query_string, simple_query_string.
 *
 * A text is cut into the tokens of Elasticsearch's standard analyzer, as near as the rules here
 * allow: words, where a '.' or an apostrophe between letters and a '.' or ',' between digits cuts
 * nothing. Each token is then a term of the filter language. */
#include "query/dsl_impl.h"

#include "record/words.h"

enum { TOKENS_MAX_IN_TEXT = 1024 };

/* ---- tokens ---- */

struct tokens {
    struct str text;
    struct str *token;
    uint32_t n;
};

static bool joins(struct str text, size_t end, size_t from)
{
    if (from != end + 1 || end == 0)
        return false;
    char c = text.p[end], before = text.p[end - 1], behind = text.p[from];
    bool digits = before >= '0' && before <= '9' && behind >= '0' && behind <= '9';
    bool letters = !(before >= '0' && before <= '9') && !(behind >= '0' && behind <= '9');
    return (digits && (c == '.' || c == ',')) || (letters && (c == '.' || c == '\''));
}

static void on_word(void *ctx, size_t from, size_t to)
{
    struct tokens *t = ctx;
    if (t->n) {
        struct str *last = &t->token[t->n - 1];
        size_t end = (size_t)(last->p - t->text.p) + last->n;
        if (joins(t->text, end, from)) {
            last->n = to - (size_t)(last->p - t->text.p);
            return;
        }
    }
    if (t->n < TOKENS_MAX_IN_TEXT)
        t->token[t->n] = str_of(t->text.p + from, to - from);
    t->n += t->n < TOKENS_MAX_IN_TEXT;
}

static struct tokens tokens_of(struct dsl *d, struct str text)
{
    struct tokens t = {.text = text,
                       .token = ARENA_ARRAY(d->arena, struct str, TOKENS_MAX_IN_TEXT)};
    words_each(text, on_word, &t);
    return t;
}

/* ---- match ---- */

enum match_kind { MATCH_WORDS, MATCH_PHRASE, MATCH_PHRASE_PREFIX, MATCH_BOOL_PREFIX };

struct match {
    enum match_kind kind;
    struct str text;
    bool and;
    const json_t *minimum;
};

static struct str with_any(struct dsl *d, struct str text)
{
    return arena_printf(d->arena, "%.*s%c", STR_ARG(text), PATTERN_ANY);
}

static enum err match_words(struct dsl *d, struct str field, const struct match *m,
                            const struct filter **ret)
{
    struct dsl_list l = {0};
    const struct filter *f;
    struct tokens t = tokens_of(d, m->text);
    for (uint32_t i = 0; i < t.n; i++) {
        bool open = m->kind == MATCH_BOOL_PREFIX && i + 1 == t.n;
        TRY(filter_term(d->arena, field, open ? with_any(d, t.token[i]) : t.token[i], d->now_ns,
                        &f));
        TRY(dsl_add(d, &l, f));
    }
    if (!l.n) { /* nothing but punctuation */
        *ret = dsl_none(d);
        return OK;
    }
    return dsl_at_least(d, &l, m->minimum, m->and ? l.n : 1, ret);
}

static enum err match_field(struct dsl *d, struct str field, const struct match *m,
                            const struct filter **ret)
{
    double number;
    if (m->kind == MATCH_WORDS || m->kind == MATCH_BOOL_PREFIX) {
        if (!str_to_f64(m->text, &number) && !str_eq_c(field, "_time"))
            return match_words(d, field, m, ret);
        return filter_term(d->arena, field, m->text, d->now_ns, ret);
    }
    struct str text = str_trim(m->text);
    if (!text.n) {
        *ret = dsl_none(d);
        return OK;
    }
    return filter_term(d->arena, field, m->kind == MATCH_PHRASE_PREFIX ? with_any(d, text) : text,
                       d->now_ns, ret);
}

/* What would match more than is asked for here. */
static enum err check_options(struct dsl *d, const json_t *options)
{
    const json_t *fuzziness = json_object_get(options, "fuzziness");
    const json_t *slop = json_object_get(options, "slop");
    struct str text = STR("0");
    if (fuzziness)
        TRY(dsl_text(d, fuzziness, &text));
    if (fuzziness && !str_eq_c(text, "0"))
        return dsl_fail(d, "fuzziness is not supported");
    if (slop)
        TRY(dsl_text(d, slop, &text));
    if (slop && !str_eq_c(text, "0"))
        return dsl_fail(d, "slop is not supported");
    return OK;
}

static enum err read_and(struct dsl *d, const json_t *options, const char *name, bool *ret)
{
    const json_t *value = json_object_get(options, name);
    const char *text = json_string_value(value);
    if (!value)
        return OK;
    if (!text || (strcasecmp(text, "and") != 0 && strcasecmp(text, "or") != 0))
        return dsl_fail(d, "%s: and, or is expected", name);
    *ret = !strcasecmp(text, "and");
    return OK;
}

static enum err read_match(struct dsl *d, const json_t *body, enum match_kind kind,
                           const struct filter **ret)
{
    const char *field;
    json_t *value;
    struct match m = {.kind = kind};
    TRY(dsl_only(d, body, &field, &value));
    (void)dsl_down(d, field);
    if (json_is_object(value)) {
        TRY(check_options(d, value));
        TRY(read_and(d, value, "operator", &m.and));
        m.minimum = json_object_get(value, "minimum_should_match");
        value = json_object_get(value, "query");
    }
    TRY(dsl_text(d, value, &m.text));
    return match_field(d, dsl_field(str_c(field), d->arena), &m, ret);
}

enum err dsl_match(struct dsl *d, const json_t *body, const struct filter **ret)
{
    return read_match(d, body, MATCH_WORDS, ret);
}

enum err dsl_match_phrase(struct dsl *d, const json_t *body, const struct filter **ret)
{
    return read_match(d, body, MATCH_PHRASE, ret);
}

enum err dsl_match_phrase_prefix(struct dsl *d, const json_t *body, const struct filter **ret)
{
    return read_match(d, body, MATCH_PHRASE_PREFIX, ret);
}

enum err dsl_match_bool_prefix(struct dsl *d, const json_t *body, const struct filter **ret)
{
    return read_match(d, body, MATCH_BOOL_PREFIX, ret);
}

/* ---- several fields ---- */

/* Names without their boosts, wildcards as the filter knows them; no array, "*" and "_all" are
 * every field, which is the empty name. */
static enum err read_fields(struct dsl *d, const json_t *fields, const char *one, struct str **ret,
                            uint32_t *ret_n)
{
    size_t n = fields ? json_array_size(fields) : 0, i;
    struct str *list = ARENA_ARRAY(d->arena, struct str, n + 1);
    if (fields && !json_is_array(fields) && !json_is_string(fields))
        return dsl_fail(d, "fields: an array is expected");
    if (json_is_string(fields))
        one = json_string_value(fields);
    for (i = 0; i < n || (i == 0 && n == 0); i++) {
        const char *name = n ? json_string_value(json_array_get(fields, i)) : one ? one : "*";
        if (!name)
            return dsl_fail(d, "fields: names are expected");
        struct str s = arena_str(d->arena, str_c(name));
        s.n = str_find_byte(s, '^', 0);
        if (str_eq_c(s, "_all") || str_eq_c(s, "*"))
            s.n = 0;
        char *bytes = (char *)(uintptr_t)s.p;
        for (size_t k = 0; k < s.n; k++)
            if (bytes[k] == '*')
                bytes[k] = PATTERN_ANY;
        list[i] = dsl_field(s, d->arena);
    }
    *ret = list;
    *ret_n = (uint32_t)i;
    return OK;
}

enum err dsl_multi_match(struct dsl *d, const json_t *body, const struct filter **ret)
{
    struct match m = {0};
    struct str *field;
    uint32_t n;
    struct dsl_list l = {0};
    const struct filter *f;
    TRY(dsl_object(d, body));
    TRY(check_options(d, body));
    TRY(read_and(d, body, "operator", &m.and));
    TRY(dsl_text(d, json_object_get(body, "query"), &m.text));
    TRY(read_fields(d, json_object_get(body, "fields"), NULL, &field, &n));
    const char *type = json_string_value(json_object_get(body, "type"));
    m.minimum = json_object_get(body, "minimum_should_match");
    m.kind = !type                            ? MATCH_WORDS
             : !strcmp(type, "phrase")        ? MATCH_PHRASE
             : !strcmp(type, "phrase_prefix") ? MATCH_PHRASE_PREFIX
             : !strcmp(type, "bool_prefix")   ? MATCH_BOOL_PREFIX
                                              : MATCH_WORDS;
    for (uint32_t i = 0; i < n; i++) {
        TRY(match_field(d, field[i], &m, &f));
        TRY(dsl_add(d, &l, f));
    }
    *ret = dsl_join(d, FILTER_OR, &l);
    return OK;
}

/* ---- query_string ---- */

static enum err parse_text(struct dsl *d, struct str text, const struct str *field, uint32_t n,
                           bool and_default, const struct filter **ret)
{
    struct filter_options o = {.now_ns = d->now_ns,
                               .or_default = !and_default,
                               .default_field = field[0],
                               .more_fields = field + 1,
                               .n_more_fields = n - 1,
                               .boosts = true,
                               .rename = dsl_field};
    if (filter_parse(arena_str(d->arena, text), &o, d->arena, ret, NULL, NULL) != OK)
        return dsl_fail(d, "%s", arena_str(d->arena, str_c(err_text())).p);
    return OK;
}

enum err dsl_query_string(struct dsl *d, const json_t *body, const struct filter **ret)
{
    struct str text, *field;
    uint32_t n;
    bool and_default = false;
    TRY(dsl_object(d, body));
    TRY(read_and(d, body, "default_operator", &and_default));
    TRY(dsl_text(d, json_object_get(body, "query"), &text));
    TRY(read_fields(d, json_object_get(body, "fields"),
                    json_string_value(json_object_get(body, "default_field")), &field, &n));
    return parse_text(d, text, field, n, and_default, ret);
}

enum err dsl_query_text(struct dsl *d, struct str q, struct str df, bool and_default,
                        const struct filter **ret)
{
    struct str field = dsl_field(df, d->arena);
    (void)dsl_down(d, "q");
    return parse_text(d, q, &field, 1, and_default, ret);
}

/* ---- simple_query_string: never an error in the text ---- */

/*   or   = and { "|" and }
 *   and  = unary { ["+"] unary }     (a space is OR unless the default operator is AND)
 *   unary = "-" unary | "(" or ")" | '"' phrase '"' | word ["*"]
 * What stands where it means nothing is passed over. */
struct simple {
    struct dsl *d;
    struct str text;
    size_t at;
    const struct str *field;
    uint32_t n_fields;
    bool and_default;
    unsigned depth;
};

static void pass_space(struct simple *s)
{
    while (s->at < s->text.n && strchr(" \t\r\n", s->text.p[s->at]) && s->text.p[s->at])
        s->at++;
}

static bool take(struct simple *s, char c)
{
    pass_space(s);
    bool is = s->at < s->text.n && s->text.p[s->at] == c;
    s->at += is;
    return is;
}

static enum err simple_or(struct simple *s, const struct filter **ret);

static enum err simple_term(struct simple *s, const struct match *m, const struct filter **ret)
{
    struct dsl_list l = {0};
    for (uint32_t i = 0; i < s->n_fields; i++) {
        const struct filter *f;
        TRY(match_field(s->d, s->field[i], m, &f));
        TRY(dsl_add(s->d, &l, f));
    }
    *ret = dsl_join(s->d, FILTER_OR, &l);
    return OK;
}

static enum err simple_word(struct simple *s, const struct filter **ret)
{
    size_t from = s->at;
    bool quoted = s->text.p[from] == '"';
    size_t end = quoted ? str_find_byte(s->text, '"', from + 1) : from;
    if (quoted) {
        s->at = end < s->text.n ? end + 1 : end;
        struct match phrase = {.kind = MATCH_PHRASE,
                               .text = str_of(s->text.p + from + 1, end - from - 1)};
        return simple_term(s, &phrase, ret);
    }
    while (end < s->text.n && !strchr(" \t\r\n|()\"", s->text.p[end]))
        end += s->text.p[end] == '\\' && end + 1 < s->text.n ? 2 : 1;
    end = end > s->text.n ? s->text.n : end;
    s->at = end > from ? end : from + 1;
    struct match word = {.text = str_of(s->text.p + from, end - from), .and = true};
    if (word.text.n > 1 && word.text.p[word.text.n - 1] == '*') {
        word.text.n--;
        word.kind = MATCH_BOOL_PREFIX;
    }
    return simple_term(s, &word, ret);
}

/* *ret NULL: nothing stands here. */
static enum err simple_unary(struct simple *s, const struct filter **ret)
{
    *ret = NULL;
    if (++s->depth > DSL_NESTING_MAX)
        return dsl_fail(s->d, "more than %d levels of nesting", DSL_NESTING_MAX);
    pass_space(s);
    if (take(s, '-')) {
        const struct filter *f;
        TRY(simple_unary(s, &f));
        *ret = f ? filter_not(s->d->arena, f) : NULL;
    } else if (take(s, '(')) {
        TRY(simple_or(s, ret));
        (void)take(s, ')');
    } else if (s->at < s->text.n && !strchr("|)", s->text.p[s->at])) {
        TRY(simple_word(s, ret));
    }
    s->depth--;
    return OK;
}

/* The operator in front of the next operand; the default one is a space. */
static enum err simple_or(struct simple *s, const struct filter **ret)
{
    struct dsl_list any = {0}, all = {0};
    bool and = true;
    for (;;) {
        const struct filter *f;
        (void)take(s, '+');
        size_t before = s->at;
        TRY(simple_unary(s, &f));
        if (f && !and&&all.n) {
            TRY(dsl_add(s->d, &any, dsl_join(s->d, FILTER_AND, &all)));
            all = (struct dsl_list){0};
        }
        if (f)
            TRY(dsl_add(s->d, &all, f));
        pass_space(s);
        if (s->at >= s->text.n || s->text.p[s->at] == ')')
            break;
        bool or = take(s, '|'), plus = take(s, '+');
        and = ! or &&(plus || s->and_default);
        if (! or &&!plus && s->at == before)
            s->at++;
    }
    if (all.n)
        TRY(dsl_add(s->d, &any, dsl_join(s->d, FILTER_AND, &all)));
    *ret = any.n ? dsl_join(s->d, FILTER_OR, &any) : NULL;
    return OK;
}

enum err dsl_simple_query_string(struct dsl *d, const json_t *body, const struct filter **ret)
{
    struct str *field;
    struct simple s = {.d = d};
    struct dsl_list all = {0};
    TRY(dsl_object(d, body));
    TRY(read_and(d, body, "default_operator", &s.and_default));
    TRY(dsl_text(d, json_object_get(body, "query"), &s.text));
    TRY(read_fields(d, json_object_get(body, "fields"), NULL, &field, &s.n_fields));
    s.field = field;
    while (s.at < s.text.n) {
        const struct filter *f;
        TRY(simple_or(&s, &f));
        if (f)
            TRY(dsl_add(d, &all, f));
        (void)take(&s, ')');
        pass_space(&s);
    }
    *ret = all.n ? dsl_join(d, FILTER_AND, &all) : dsl_none(d);
    return OK;
}
