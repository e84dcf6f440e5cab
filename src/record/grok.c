/* Expanding grok. The text is copied as it stands; each %{...} in it becomes a group, named where a
 * field is taken and without a capture elsewhere, around its pattern, in which the same is done
 * again. A backslash shields the character behind it, so that \%{ is no pattern. */
#include "record/grok.h"

#include "core/buf.h"

#include <ctype.h>

const struct grok_pattern *const grok_library[] = {grok_patterns, grok_products, grok_firewalls,
                                                   grok_operations, NULL};

struct expansion {
    struct arena *arena;
    const struct grok_pattern *own;
    struct buf out;
    struct grok_field *field;
    uint32_t n_fields;
    struct grok_place *place;
    uint32_t n_places, places_cap;
    size_t top_at; /* of the text given: where the part that is being expanded stands */
    size_t *ret_at;
};

/* NAME[:field[:type]], as it stands between %{ and }. */
struct reference {
    struct str name, field, type;
};

static enum err fail_at(const struct expansion *x, enum err err)
{
    if (x->ret_at)
        *x->ret_at = x->top_at;
    return err;
}

static const char *find_in(const struct grok_pattern *list, struct str name)
{
    for (; list && list->name; list++)
        if (str_eq_c(name, list->name))
            return list->text;
    return NULL;
}

static void nearer(const struct grok_pattern *list, struct str name, const char **best,
                   unsigned *distance)
{
    for (; list && list->name; list++) {
        unsigned d = str_distance(name, str_c(list->name), 2);
        *best = d < *distance ? list->name : *best;
        *distance = d < *distance ? d : *distance;
    }
}

static const char *nearest(const struct expansion *x, struct str name)
{
    const char *best = NULL;
    unsigned distance = 3;
    nearer(x->own, name, &best, &distance);
    for (const struct grok_pattern *const *list = grok_library; *list; list++)
        nearer(*list, name, &best, &distance);
    return best;
}

static enum err find_pattern(const struct expansion *x, struct str name, struct str *ret)
{
    const char *text = find_in(x->own, name);
    for (const struct grok_pattern *const *list = grok_library; !text && *list; list++)
        text = find_in(*list, name);
    if (text) {
        *ret = str_c(text);
        return OK;
    }
    int n = name.n > 60 ? 60 : (int)name.n;
    const char *near = nearest(x, name);
    if (near)
        return fail_at(x, err_set(ERR_INVALID, "there is no pattern %%{%.*s}, did you mean %%{%s}?",
                                  n, name.p, near));
    return fail_at(x, err_set(ERR_INVALID, "there is no pattern %%{%.*s}", n, name.p));
}

static enum err read_type(const struct expansion *x, struct str s, enum grok_type *ret)
{
    static const struct {
        const char *name;
        enum grok_type type;
    } types[] = {{"string", GROK_TEXT}, {"int", GROK_INT},      {"integer", GROK_INT},
                 {"long", GROK_INT},    {"float", GROK_FLOAT},  {"double", GROK_FLOAT},
                 {"bool", GROK_BOOL},   {"boolean", GROK_BOOL}, {"number", GROK_FLOAT}};
    *ret = GROK_TEXT;
    if (!s.p)
        return OK;
    for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++)
        if (str_eq_c(s, types[i].name)) {
            *ret = types[i].type;
            return OK;
        }
    return fail_at(x, err_set(ERR_INVALID, "a type is int, float, bool or string, not '%.*s'",
                              s.n > 60 ? 60 : (int)s.n, s.p));
}

/* [a][b] as a.b; anything else as it stands. */
static struct str field_name(struct arena *a, struct str s)
{
    if (s.n < 3 || s.p[0] != '[' || s.p[s.n - 1] != ']')
        return arena_str(a, s);
    char *to = arena_alloc(a, s.n);
    size_t n = 0;
    for (size_t i = 1; i + 1 < s.n; i++) {
        if (s.p[i] == ']' && s.p[i + 1] == '[')
            to[n++] = '.';
        else if (s.p[i] != '[')
            to[n++] = s.p[i];
    }
    return str_of(to, n);
}

/* The number of the field, made where the name is new: alternatives may name a field twice. */
static enum err add_field(struct expansion *x, const struct reference *r, uint32_t *ret)
{
    struct grok_field f = {.name = field_name(x->arena, r->field)};
    TRY(read_type(x, r->type, &f.type));
    for (uint32_t i = 0; i < x->n_fields; i++)
        if (str_eq(x->field[i].name, f.name)) {
            *ret = i;
            return OK;
        }
    if (x->n_fields == GROK_FIELDS_MAX)
        return fail_at(x,
                       err_set(ERR_INVALID, "more than %d fields in a pattern", GROK_FIELDS_MAX));
    *ret = x->n_fields;
    x->field[x->n_fields++] = f;
    return OK;
}

static void add_place(struct expansion *x, size_t at, size_t n)
{
    if (x->n_places == x->places_cap) {
        uint32_t cap = x->places_cap ? x->places_cap * 2 : 16;
        struct grok_place *grown = ARENA_ARRAY(x->arena, struct grok_place, cap);
        if (x->n_places)
            memcpy(grown, x->place, x->n_places * sizeof(*grown));
        x->place = grown;
        x->places_cap = cap;
    }
    x->place[x->n_places++] = (struct grok_place){(uint32_t)x->out.n, (uint32_t)at, (uint32_t)n};
}

/* The length of the reference that begins with "%{" at `at`; 0 where it is none. */
static size_t read_reference(struct str text, size_t at, struct reference *ret)
{
    size_t end = str_find_byte(text, '}', at);
    if (end >= text.n)
        return 0;
    struct str rest = str_of(text.p + at + 2, end - at - 2);
    *ret = (struct reference){0};
    (void)str_split(&rest, ':', &ret->name);
    if (rest.p)
        (void)str_split(&rest, ':', &ret->field);
    ret->type = rest;
    for (size_t i = 0; i < ret->name.n; i++)
        if (!isalnum((unsigned char)ret->name.p[i]) && ret->name.p[i] != '_')
            return 0;
    return ret->name.n && (!ret->field.p || ret->field.n) ? end + 1 - at : 0;
}

static enum err expand(struct expansion *x, struct str text, unsigned depth);

static enum err expand_reference(struct expansion *x, const struct reference *r, unsigned depth)
{
    struct str pattern;
    uint32_t number;
    TRY(find_pattern(x, r->name, &pattern));
    if (r->field.n) {
        TRY(add_field(x, r, &number));
        buf_printf(&x->out, "(?<" GROK_GROUP "%u>", number);
    } else {
        buf_put_c(&x->out, "(?:");
    }
    TRY(expand(x, pattern, depth + 1));
    buf_put_byte(&x->out, ')');
    return OK;
}

static enum err expand(struct expansion *x, struct str text, unsigned depth)
{
    if (depth > GROK_DEPTH_MAX)
        return fail_at(
            x, err_set(ERR_INVALID, "more than %d levels of patterns in patterns", GROK_DEPTH_MAX));
    for (size_t at = 0; at < text.n;) {
        struct reference r;
        size_t n = text.p[at] == '\\' && at + 1 < text.n ? 2 : 1;
        bool is = text.p[at] == '%' && at + 1 < text.n && text.p[at + 1] == '{';
        size_t length = is ? read_reference(text, at, &r) : 0;
        if (depth == 0)
            x->top_at = at;
        if (is && !length)
            return fail_at(x, err_set(ERR_INVALID, "a pattern is written %%{NAME}, %%{NAME:field} "
                                                   "or %%{NAME:field:int}"));
        if (depth == 0)
            add_place(x, at, is ? length : n);
        if (is)
            TRY(expand_reference(x, &r, depth));
        else
            buf_put(&x->out, text.p + at, n);
        at += is ? length : n;
        if (x->out.n >= GROK_TEXT_MAX)
            return fail_at(x,
                           err_set(ERR_INVALID, "a pattern of more than %d bytes", GROK_TEXT_MAX));
    }
    return OK;
}

/* NOLINTBEGIN(readability-non-const-parameter): written through `x` */
enum err grok_expand(struct str text, const struct grok_pattern *own, struct arena *a,
                     struct grok *ret, size_t *ret_at)
/* NOLINTEND(readability-non-const-parameter) */
{
    struct expansion x = {.arena = a, .own = own, .ret_at = ret_at};
    x.field = ARENA_ARRAY(a, struct grok_field, GROK_FIELDS_MAX);
    buf_init(&x.out, GROK_TEXT_MAX + 4096);
    enum err err =
        text.n > GROK_TEXT_MAX
            ? fail_at(&x, err_set(ERR_INVALID, "a pattern of more than %d bytes", GROK_TEXT_MAX))
            : expand(&x, text, 0);
    if (err == OK)
        *ret = (struct grok){.regex = arena_str(a, buf_str(&x.out)),
                             .field = x.field,
                             .n_fields = x.n_fields,
                             .place = x.place,
                             .n_places = x.n_places};
    buf_release(&x.out);
    return err;
}

size_t grok_place_of(const struct grok *g, size_t regex_at)
{
    size_t at = 0;
    if (g->n_places && regex_at >= g->regex.n)
        return g->place[g->n_places - 1].text + g->place[g->n_places - 1].n;
    for (uint32_t i = 0; i < g->n_places && g->place[i].regex <= regex_at; i++) {
        size_t inside = regex_at - g->place[i].regex;
        at = g->place[i].text + (inside < g->place[i].n ? inside : 0);
    }
    return at;
}
