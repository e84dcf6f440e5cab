/* Extractors: every kind of pattern becomes a regular expression whose groups have names, and a
 * list of (group, field). The longest literal that a fit must hold is looked for first; most lines
 * of a mixed log never reach PCRE2. */
#include "record/extract.h"

#include "record/predicate_impl.h"

struct taken { /* a group and the field that it sets */
    uint32_t group, field;
};

struct extractor {
    void *regex;
    struct str text; /* the expression, for messages */
    struct grok_field *field;
    uint32_t n_fields;
    struct taken *taken; /* by group */
    uint32_t n_taken;
    bool has_needle;
    struct needle needle;
};

static enum err fail_at(size_t *ret_at, size_t at, enum err err)
{
    if (ret_at)
        *ret_at = at;
    return err;
}

/* ---- text with places ---- */

/* The name of the place at `at`, and its length; 0: none is there. */
static size_t read_place(struct str s, size_t at, struct str *ret)
{
    if (s.p[at] != '<')
        return 0;
    size_t end = at + 1;
    while (end < s.n && s.p[end] != '>' && s.p[end] != '<' && s.p[end] != ' ')
        end++;
    if (end == s.n || s.p[end] != '>')
        return 0;
    *ret = str_of(s.p + at + 1, end - at - 1);
    return end + 1 - at;
}

static enum err add_place_field(struct grok *g, struct grok_field *field, struct str name,
                                uint32_t *ret)
{
    for (*ret = 0; *ret < g->n_fields && !str_eq(field[*ret].name, name);)
        ++*ret;
    if (*ret == GROK_FIELDS_MAX)
        return err_set(ERR_INVALID, "more than %d fields in a pattern", GROK_FIELDS_MAX);
    field[*ret].name = name;
    g->n_fields += *ret == g->n_fields;
    return OK;
}

static enum err put_place(struct grok *g, struct grok_field *field, struct str name, bool last,
                          struct buf *out)
{
    uint32_t number;
    if (name.n == 0 || str_eq_c(name, "_")) {
        buf_put_c(out, last ? "" : "(?:[\\s\\S]*?)");
        return OK;
    }
    TRY(add_place_field(g, field, name, &number));
    buf_printf(out, "(?<" GROK_GROUP "%u>[\\s\\S]*%s)", number, last ? "" : "?");
    return OK;
}

static void put_literal(struct buf *out, char c)
{
    if (c && strchr("\\^$.[]|()?*+{}", c))
        buf_put_byte(out, '\\');
    buf_put_byte(out, c);
}

static enum err expand_places(struct str s, struct grok *g, struct grok_field *field,
                              struct buf *out, size_t *ret_at)
{
    bool behind_place = false;
    for (size_t at = 0; at < s.n;) {
        struct str name;
        size_t n = read_place(s, at, &name);
        if (n && behind_place)
            return fail_at(ret_at, at,
                           err_set(ERR_INVALID, "text is expected between two places, so that the "
                                                "end of the first can be told"));
        if (n && put_place(g, field, name, at + n == s.n, out) != OK)
            return fail_at(ret_at, at, ERR_INVALID);
        if (!n)
            put_literal(out, s.p[at]);
        behind_place = n > 0;
        at += n ? n : 1;
    }
    return OK;
}

static enum err places_expand(struct str s, struct arena *a, struct grok *ret, size_t *ret_at)
{
    struct grok_field *field = ARENA_ARRAY(a, struct grok_field, GROK_FIELDS_MAX + 1);
    struct buf out;
    *ret = (struct grok){.field = field};
    buf_init(&out, GROK_TEXT_MAX);
    enum err err = expand_places(s, ret, field, &out, ret_at);
    if (err == OK && out.n >= GROK_TEXT_MAX)
        err = fail_at(ret_at, 0,
                      err_set(ERR_INVALID, "a pattern of more than %d bytes", GROK_TEXT_MAX));
    if (err == OK)
        ret->regex = arena_str(a, buf_str(&out));
    buf_release(&out);
    return err;
}

/* ---- making ---- */

static enum extract_syntax guess(struct str s)
{
    static const char *const named[] = {"(?<", "(?P<", "(?'"};
    if (str_find(s, STR("%{")) != SIZE_MAX)
        return EXTRACT_GROK;
    for (size_t i = 0; i < 3; i++) {
        size_t at = str_find(s, str_c(named[i]));
        if (at != SIZE_MAX && at + 3 < s.n && !strchr("=!", s.p[at + 3]))
            return EXTRACT_REGEX;
    }
    return EXTRACT_PLACES;
}

/* The field of a group: ours by its number, or the user's own, called as the group is. */
static enum err field_of(struct extractor *x, struct str group, struct arena *a, uint32_t *ret)
{
    uint64_t number;
    struct str prefix = STR(GROK_GROUP);
    if (str_starts(group, prefix) && str_to_u64(str_from(group, prefix.n), &number) &&
        number < x->n_fields) {
        *ret = (uint32_t)number;
        return OK;
    }
    for (*ret = 0; *ret < x->n_fields; ++*ret)
        if (str_eq(x->field[*ret].name, group))
            return OK;
    if (x->n_fields == EXTRACT_FIELDS_MAX)
        return err_set(ERR_INVALID, "more than %d fields in a pattern", EXTRACT_FIELDS_MAX);
    x->field[x->n_fields++] = (struct grok_field){.name = arena_str(a, group)};
    return OK;
}

static enum err name_groups(struct extractor *x, struct arena *a)
{
    const struct regex_group *group;
    uint32_t n;
    TRY(regex_groups(x->regex, a, &group, &n));
    x->taken = ARENA_ARRAY(a, struct taken, n + 1);
    for (uint32_t i = 0; i < n; i++) {
        struct taken *t = &x->taken[x->n_taken++];
        t->group = group[i].number;
        TRY(field_of(x, group[i].name, a, &t->field));
    }
    if (n == 0)
        return err_set(ERR_INVALID, "the pattern takes nothing");
    return OK;
}

/* Where in the pattern the error at byte `at` of its regular expression is. */
static size_t place_of(const struct grok *g, size_t at)
{
    if (g->n_places)
        return grok_place_of(g, at);
    return g->field ? 0 : at; /* nobody knows what a place's text became */
}

static enum err make(struct extractor *x, const struct grok *g, struct arena *a, size_t *ret_at)
{
    x->text = g->regex;
    x->field = ARENA_ARRAY(a, struct grok_field, EXTRACT_FIELDS_MAX);
    x->n_fields = g->n_fields;
    if (g->n_fields)
        memcpy(x->field, g->field, g->n_fields * sizeof(*g->field));
    size_t at = 0;
    if (regex_compile_at(a, g->regex, &x->regex, &at) != OK)
        return fail_at(ret_at, place_of(g, at), ERR_INVALID);
    if (name_groups(x, a) != OK)
        return fail_at(ret_at, 0, ERR_INVALID);
    struct str literal = regex_tree_literal(a, regex_tree(a, g->regex));
    x->has_needle = literal.n > 1;
    if (x->has_needle)
        needle_init(&x->needle, literal, false);
    return OK;
}

enum err extractor_new(struct str pattern, enum extract_syntax syntax,
                       const struct grok_pattern *own, struct arena *a,
                       const struct extractor **ret, size_t *ret_at)
{
    struct grok g = {.regex = pattern};
    if (pattern.n > GROK_TEXT_MAX)
        return fail_at(ret_at, 0,
                       err_set(ERR_INVALID, "a pattern of more than %d bytes", GROK_TEXT_MAX));
    if (syntax == EXTRACT_GUESS)
        syntax = guess(pattern);
    if (syntax == EXTRACT_GROK)
        TRY(grok_expand(pattern, own, a, &g, ret_at));
    else if (syntax == EXTRACT_PLACES)
        TRY(places_expand(pattern, a, &g, ret_at));
    else
        g.regex = arena_str(a, pattern);
    struct extractor *x = ARENA_NEW(a, struct extractor);
    TRY(make(x, &g, a, ret_at));
    *ret = x;
    return OK;
}

uint32_t extractor_fields(const struct extractor *x, const struct grok_field **ret)
{
    *ret = x->field;
    return x->n_fields;
}

enum err extractor_match(const struct extractor *x, struct str text, struct str *part, bool *ret)
{
    const size_t *pair;
    uint32_t n;
    *ret = false;
    if (x->has_needle && needle_next(&x->needle, text, 0) == SIZE_MAX)
        return OK;
    TRY(regex_find(x->regex, x->text, text, &pair, &n));
    if (n == 0)
        return OK;
    memset(part, 0, x->n_fields * sizeof(*part));
    for (uint32_t i = 0; i < x->n_taken; i++) {
        const struct taken *t = &x->taken[i];
        struct str *to = &part[t->field];
        if (t->group < n && pair[2 * t->group] != SIZE_MAX && !to->p)
            *to = str_of((text.p ? text.p : "") + pair[2 * t->group],
                         pair[2 * t->group + 1] - pair[2 * t->group]);
    }
    *ret = true;
    return OK;
}
