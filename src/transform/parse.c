/* Stages that take fields out of a text: json, logfmt, csv, extract, access, auto.
 *
 * The text stays, unless `remove: true` says otherwise: a parser mended tomorrow can be run over it
 * again. A text that does not parse is left alone and counted as missed. */
#include "core/mem.h"
#include "record/extract.h"
#include "transform/transform_impl.h"

#include <stdio.h>

enum { FIELDS_MAX = 256 };

struct parser {
    struct str from;
    bool remove;
    struct json_reader *json;
    struct str *column;
    uint32_t n_columns;
    char separator;
    const struct extractor *extractor;
    const struct grok_field *field;
    uint32_t n_fields;
    const struct extractor *head; /* auto: of the head of a line */
    const struct grok_field *head_field;
    uint32_t n_head_fields;
    struct buf text;
};

static enum err read_flag(const struct tree *t, const char *key, bool *ret)
{
    const struct tree *flag = tree_get(t, key);
    if (!flag)
        return OK;
    bool yes = flag->kind == TREE_TEXT && str_eq(flag->text, STR("true"));
    if (!yes && (flag->kind != TREE_TEXT || !str_eq(flag->text, STR("false"))))
        return tree_error(flag, "%s: true or false is wanted", key);
    *ret = yes;
    return OK;
}

/* What all parsers take: from, remove, and `more` (NULL-ended). */
static enum err make_parser(struct stage *s, const struct tree *args, const char *const *known,
                            struct parser **ret)
{
    struct parser *p = ARENA_NEW(s->arena, struct parser);
    s->state = p;
    p->from = STR("message");
    buf_init(&p->text, SIZE_MAX);
    *ret = p;
    if (!args)
        return OK;
    if (args->kind != TREE_MAP)
        return tree_error(args, "%s takes %s", s->type->name, s->type->args);
    TRY(tree_check_keys(args, known));
    TRY(arg_text(s, args, "from", "message", &p->from));
    return read_flag(args, "remove", &p->remove);
}

static void free_parser(struct stage *s)
{
    struct parser *p = s->state;
    json_reader_free(p->json);
    buf_release(&p->text);
}

/* ---- json ---- */

static enum err make_json(struct stage *s, const struct tree *args)
{
    static const char *const known[] = {"from", "remove", NULL};
    struct parser *p;
    TRY(make_parser(s, args, known, &p));
    p->json = json_reader_new(&(struct json_limits){.record_bytes = 8 << 20, .nesting = 128});
    return OK;
}

static bool read_json(struct parser *p, struct step *st, uint32_t row, struct str text)
{
    text = str_trim(text);
    if (text.n < 2 || text.p[0] != '{')
        return false;
    buf_clear(&p->text);
    if (!buf_reserve(&p->text, text.n + JSON_PADDING))
        return false;
    buf_put_str(&p->text, text);
    memset(p->text.p + text.n, 0, JSON_PADDING);
    (void)step_begin(st, row);
    step_cancel(st);
    uint32_t at = batch_rows(st->side);
    if (json_read_record(p->json, buf_str(&p->text), st->arrival_ns, st->side) != OK)
        return false;
    st->side_of[row] = at;
    return true;
}

static enum err run_json(struct stage *s, struct step *st)
{
    struct parser *p = s->state;
    struct str *text;
    TRY(step_texts(st, p->from, &text));
    for (uint32_t row = 0; row < st->rows.n; row++)
        st->missed += !read_json(p, st, row, text[row]);
    return step_merge_parsed(st, p->from, p->remove);
}

/* ---- logfmt ---- */

static enum err make_logfmt(struct stage *s, const struct tree *args)
{
    static const char *const known[] = {"from", "remove", NULL};
    struct parser *p;
    return make_parser(s, args, known, &p);
}

static bool key_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           strchr("_.-/@", c);
}

/* A value in quotes, its escapes undone; the place behind it. */
static size_t quoted(struct str text, size_t at, struct buf *out)
{
    buf_clear(out);
    for (at++; at < text.n && text.p[at] != '"'; at++) {
        bool escape = text.p[at] == '\\' && at + 1 < text.n;
        at += escape;
        char c = text.p[at];
        buf_put_byte(out, !escape ? c : c == 'n' ? '\n' : c == 't' ? '\t' : c);
    }
    return at < text.n ? at + 1 : SIZE_MAX;
}

/* The next key=value; false at the end. */
static bool next_pair(struct parser *p, struct str text, size_t *at, struct str *key,
                      struct str *value, bool *was_quoted)
{
    while (*at < text.n) {
        size_t begin = *at;
        while (*at < text.n && text.p[*at] && key_byte(text.p[*at]))
            ++*at;
        if (*at == begin || *at >= text.n || text.p[*at] != '=') {
            *at = str_find_byte(text, ' ', *at) + 1;
            continue;
        }
        *key = str_of(text.p + begin, *at - begin);
        size_t from = ++*at;
        *was_quoted = from < text.n && text.p[from] == '"';
        if (*was_quoted) {
            size_t end = quoted(text, from, &p->text);
            if (end != SIZE_MAX) {
                *value = buf_str(&p->text);
                *at = end;
                return true;
            }
        }
        *at = str_find_byte(text, ' ', from);
        *value = str_of(text.p + from, *at - from);
        return true;
    }
    return false;
}

static bool read_pairs(struct parser *p, struct step *st, uint32_t row, struct str text)
{
    size_t at = 0;
    struct str key, value;
    bool was_quoted;
    unsigned n = 0;
    if (!text.n)
        return false;
    struct batch *b = step_begin(st, row);
    for (; n < FIELDS_MAX && next_pair(p, text, &at, &key, &value, &was_quoted); n++) {
        if (was_quoted)
            batch_text(b, key, LANE_STR, value);
        else
            put_guess(b, key, value);
    }
    if (n)
        step_end(st, row);
    else
        step_cancel(st);
    return n > 0;
}

static enum err run_logfmt(struct stage *s, struct step *st)
{
    struct parser *p = s->state;
    struct str *text;
    TRY(step_texts(st, p->from, &text));
    for (uint32_t row = 0; row < st->rows.n; row++)
        st->missed += !read_pairs(p, st, row, text[row]);
    return step_merge_parsed(st, p->from, p->remove);
}

/* ---- csv ---- */

static enum err make_csv(struct stage *s, const struct tree *args)
{
    static const char *const known[] = {"from", "remove", "columns", "separator", NULL};
    struct parser *p;
    struct str separator;
    TRY(make_parser(s, args, known, &p));
    const struct tree *columns = args ? tree_get(args, "columns") : NULL;
    if (!columns || columns->kind != TREE_LIST || !columns->n)
        return err_set(ERR_INVALID, "csv takes %s", s->type->args);
    TRY(arg_list(s, columns, &p->column, &p->n_columns));
    TRY(arg_text(s, args, "separator", ",", &separator));
    if (separator.n != 1)
        return tree_error(tree_get(args, "separator"), "the separator is one byte");
    p->separator = separator.p[0];
    return OK;
}

/* A cell; "" within quotes is one. The place behind it, or SIZE_MAX where a quote is not closed. */
static size_t cell(struct parser *p, struct str text, size_t at, struct str *ret)
{
    if (at >= text.n || text.p[at] != '"') {
        size_t end = str_find_byte(text, p->separator, at);
        *ret = str_of(text.p + at, end - at);
        return end;
    }
    buf_clear(&p->text);
    for (at++; at < text.n; at++) {
        if (text.p[at] == '"' && (at + 1 >= text.n || text.p[at + 1] != '"'))
            break;
        at += text.p[at] == '"';
        buf_put_byte(&p->text, text.p[at]);
    }
    *ret = buf_str(&p->text);
    return at < text.n ? at + 1 : SIZE_MAX;
}

static bool read_cells(struct parser *p, struct step *st, uint32_t row, struct str text)
{
    if (!text.n)
        return false;
    struct batch *b = step_begin(st, row);
    size_t at = 0;
    uint32_t n = 0;
    bool good = true;
    for (; good && at <= text.n && n < p->n_columns; n++) {
        struct str value;
        bool in_quotes = at < text.n && text.p[at] == '"';
        size_t end = cell(p, text, at, &value);
        good = end != SIZE_MAX && (end >= text.n || text.p[end] == p->separator);
        if (good && in_quotes)
            batch_text(b, p->column[n], LANE_STR, value);
        else if (good && value.n)
            put_guess(b, p->column[n], value);
        at = end + 1;
    }
    good = good && n == p->n_columns && at > text.n;
    if (good)
        step_end(st, row);
    else
        step_cancel(st);
    return good;
}

static enum err run_csv(struct stage *s, struct step *st)
{
    struct parser *p = s->state;
    struct str *text;
    TRY(step_texts(st, p->from, &text));
    for (uint32_t row = 0; row < st->rows.n; row++)
        st->missed += !read_cells(p, st, row, text[row]);
    return step_merge_parsed(st, p->from, p->remove);
}

/* ---- extract: grok, regular expressions, places ---- */

static enum err make_extractor(struct stage *s, const struct tree *at, struct str pattern,
                               enum extract_syntax syntax, struct parser *p)
{
    size_t byte = 0;
    enum err err = extractor_new(pattern, syntax, NULL, s->arena, &p->extractor, &byte);
    if (err != OK)
        return tree_error(at, "byte %zu of the pattern: %s", byte + 1, err_text());
    p->n_fields = extractor_fields(p->extractor, &p->field);
    return OK;
}

static enum err make_pattern(struct stage *s, const struct tree *args, enum extract_syntax syntax)
{
    static const char *const known[] = {"from", "remove", "pattern", NULL};
    struct parser *p;
    const struct tree *text = args && args->kind == TREE_MAP ? tree_get(args, "pattern") : args;
    if (!text || text->kind != TREE_TEXT)
        return args ? tree_error(args, "%s takes %s", s->type->name, s->type->args)
                    : err_set(ERR_INVALID, "%s takes %s", s->type->name, s->type->args);
    TRY(make_parser(s, args->kind == TREE_MAP ? args : NULL, known, &p));
    return make_extractor(s, text, text->text, syntax, p);
}

static enum err make_grok(struct stage *s, const struct tree *args)
{
    return make_pattern(s, args, EXTRACT_GROK);
}

static enum err make_regex(struct stage *s, const struct tree *args)
{
    return make_pattern(s, args, EXTRACT_REGEX);
}

static enum err make_places(struct stage *s, const struct tree *args)
{
    return make_pattern(s, args, EXTRACT_PLACES);
}

static void put_typed(struct batch *b, const struct grok_field *f, struct str part)
{
    int64_t v;
    double d;
    if ((f->type == GROK_INT && str_to_i64(part, &v)) ||
        (f->type == GROK_FLOAT && str_to_f64(part, &d)) ||
        (f->type == GROK_BOOL && (str_eq(part, STR("true")) || str_eq(part, STR("false")))))
        put_guess(b, f->name, part);
    else
        batch_text(b, f->name, LANE_STR, part);
}

static enum err read_parts(struct parser *p, struct step *st, uint32_t row, struct str text,
                           bool *ret)
{
    struct str part[EXTRACT_FIELDS_MAX];
    *ret = false;
    if (!text.p)
        return OK;
    enum err err = extractor_match(p->extractor, text, part, ret);
    if (err == ERR_LIMIT) { /* too many steps: it does not fit */
        *ret = false;
        return OK;
    }
    TRY(err);
    if (!*ret)
        return OK;
    struct batch *b = step_begin(st, row);
    for (uint32_t i = 0; i < p->n_fields; i++)
        if (part[i].p)
            put_typed(b, &p->field[i], part[i]);
    step_end(st, row);
    return OK;
}

static enum err run_extract(struct stage *s, struct step *st)
{
    struct parser *p = s->state;
    struct str *text;
    TRY(step_texts(st, p->from, &text));
    for (uint32_t row = 0; row < st->rows.n; row++) {
        bool fits;
        TRY(read_parts(p, st, row, text[row], &fits));
        st->missed += !fits;
    }
    return step_merge_parsed(st, p->from, p->remove);
}

/* ---- access logs of web servers ---- */

#define ACCESS_COMMON                                                                              \
    "^(?<client>\\S+) \\S+ (?<user>\\S+) \\[(?<timestamp>[^\\]]+)\\] \"(?:(?<method>[A-Z]+) "      \
    "(?<path>\\S+)(?: HTTP/(?<http_version>[0-9.]+))?|[^\"]*)\" (?<status>[0-9]{3}) "              \
    "(?<bytes>[0-9]+|-)"
#define ACCESS_COMBINED ACCESS_COMMON "(?: \"(?<referrer>[^\"]*)\" \"(?<agent>[^\"]*)\")?"

static enum err make_access(struct stage *s, const struct tree *args)
{
    static const char *const known[] = {"from", "remove", NULL};
    struct parser *p;
    TRY(make_parser(s, args, known, &p));
    TRY(extractor_new(STR(ACCESS_COMBINED), EXTRACT_REGEX, NULL, s->arena, &p->extractor, NULL));
    p->n_fields = extractor_fields(p->extractor, &p->field);
    return OK;
}

static enum err read_access(struct parser *p, struct step *st, uint32_t row, struct str text,
                            bool *ret)
{
    struct str part[EXTRACT_FIELDS_MAX];
    *ret = false;
    if (!text.p)
        return OK;
    TRY(extractor_match(p->extractor, text, part, ret));
    if (!*ret)
        return OK;
    struct batch *b = step_begin(st, row);
    for (uint32_t i = 0; i < p->n_fields; i++) {
        struct str name = p->field[i].name;
        bool number = str_eq(name, STR("status")) || str_eq(name, STR("bytes"));
        if (!part[i].p || str_eq(part[i], STR("-")))
            continue;
        if (number)
            put_guess(b, name, part[i]);
        else
            batch_text(b, name, LANE_STR, part[i]);
    }
    step_end(st, row);
    return OK;
}

static enum err run_access(struct stage *s, struct step *st)
{
    struct parser *p = s->state;
    struct str *text;
    TRY(step_texts(st, p->from, &text));
    for (uint32_t row = 0; row < st->rows.n; row++) {
        bool fits = false;
        enum err err = read_access(p, st, row, text[row], &fits);
        if (err != OK && err != ERR_LIMIT)
            return err;
        st->missed += !fits;
    }
    return step_merge_parsed(st, p->from, p->remove);
}

/* ---- auto ---- */

/* "2025-02-15T12:00:00.123Z ERROR text", "2025-02-15 12:00:00,123 [main] WARN  a.b.C - text" */
#define LINE_HEAD                                                                                  \
    "(?s)^[\\[(]?(?<timestamp>[0-9]{4}[-/][0-9]{2}[-/][0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}"      \
    "(?:[.,][0-9]+)?(?: "                                                                          \
    "?(?:Z|UTC|[+-][0-9]{2}:?[0-9]{2}))?)[\\])]?\\s+(?:\\[(?<thread>[^\\]]+)\\]"                   \
    "\\s+)?[\\[(<]?(?<level>[A-Za-z]+)[\\])>]?:?\\s+(?<message>.*)$"

static enum err make_auto(struct stage *s, const struct tree *args)
{
    static const char *const known[] = {"from", "remove", NULL};
    struct parser *p;
    TRY(make_parser(s, args, known, &p));
    p->json = json_reader_new(&(struct json_limits){.record_bytes = 8 << 20, .nesting = 128});
    TRY(extractor_new(STR(ACCESS_COMBINED), EXTRACT_REGEX, NULL, s->arena, &p->extractor, NULL));
    p->n_fields = extractor_fields(p->extractor, &p->field);
    TRY(extractor_new(STR(LINE_HEAD), EXTRACT_REGEX, NULL, s->arena, &p->head, NULL));
    p->n_head_fields = extractor_fields(p->head, &p->head_field);
    return OK;
}

/* The head's time, thread and level become fields, and the rest is the message. */
static enum err read_head(struct parser *p, struct step *st, uint32_t row, struct str text,
                          bool *ret)
{
    struct str part[EXTRACT_FIELDS_MAX];
    TRY(extractor_match(p->head, text, part, ret));
    for (uint32_t i = 0; *ret && i < p->n_head_fields; i++)
        if (str_eq(p->head_field[i].name, STR("level")))
            *ret = transform_level(part[i]).n > 0;
    if (!*ret)
        return OK;
    struct batch *b = step_begin(st, row);
    for (uint32_t i = 0; i < p->n_head_fields; i++)
        if (part[i].p)
            batch_text(b, p->head_field[i].name, LANE_STR, part[i]);
    step_end(st, row);
    return OK;
}

/* Pairs make a line logfmt where it begins with one, and has two. */
static bool is_pairs(struct parser *p, struct str text)
{
    size_t at = 0;
    struct str key, value;
    bool was_quoted;
    return next_pair(p, text, &at, &key, &value, &was_quoted) && key.p == text.p &&
           next_pair(p, text, &at, &key, &value, &was_quoted);
}

static enum err read_any(struct parser *p, struct step *st, uint32_t row, struct str text,
                         bool *ret)
{
    *ret = text.n &&
           (read_json(p, st, row, text) || (is_pairs(p, text) && read_pairs(p, st, row, text)));
    if (*ret || !text.n)
        return OK;
    enum err err =
        text.p[text.n - 1] == '"' || (text.p[text.n - 1] >= '-' && text.p[text.n - 1] <= '9')
            ? read_access(p, st, row, text, ret)
            : OK;
    if (err == OK && !*ret)
        err = read_head(p, st, row, text, ret);
    return err == ERR_LIMIT ? OK : err;
}

static enum err run_auto(struct stage *s, struct step *st)
{
    struct parser *p = s->state;
    struct str *text;
    TRY(step_texts(st, p->from, &text));
    for (uint32_t row = 0; row < st->rows.n; row++) {
        bool fits;
        TRY(read_any(p, st, row, text[row], &fits));
        st->missed += !fits;
    }
    return step_merge_parsed(st, p->from, p->remove);
}

static const struct stage_type auto_stage = {"auto", "from, remove", make_auto, run_auto,
                                             free_parser};
static const struct stage_type json_stage = {"json", "from, remove", make_json, run_json,
                                             free_parser};
static const struct stage_type logfmt_stage = {"logfmt", "from, remove", make_logfmt, run_logfmt,
                                               free_parser};
static const struct stage_type csv_stage = {"csv", "columns (a list), separator, from, remove",
                                            make_csv, run_csv, free_parser};
static const struct stage_type grok_stage = {"grok", "a pattern, or pattern, from, remove",
                                             make_grok, run_extract, free_parser};
static const struct stage_type regex_stage = {"regex", "a pattern, or pattern, from, remove",
                                              make_regex, run_extract, free_parser};
static const struct stage_type extract_stage = {"extract", "a pattern, or pattern, from, remove",
                                                make_places, run_extract, free_parser};
static const struct stage_type access_stage = {"access", "from, remove", make_access, run_access,
                                               free_parser};
const struct stage_type *const parse_stages[] = {
    &json_stage,    &logfmt_stage, &csv_stage,  &grok_stage, &regex_stage,
    &extract_stage, &access_stage, &auto_stage, NULL,
};
