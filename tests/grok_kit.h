/* For tests of grok's library: lines, and what is taken of each. */
#ifndef WEIR_TESTS_GROK_KIT_H
#define WEIR_TESTS_GROK_KIT_H

#include "record/extract.h"
#include "record/grok.h"

#include "test.h"

/* `want`: "field=part" of all that the pattern sets on the line, in the order of the pattern,
 * parted by '|'. `pattern` may name a field behind it: "NAME:field". */
struct grok_example {
    const char *pattern, *line, *want;
};

static inline const struct extractor *grok_made(const char *name, struct arena *a)
{
    char text[120];
    const struct extractor *x;
    snprintf(text, sizeof(text), "%%{%s}", name);
    if (extractor_new(str_c(text), EXTRACT_GROK, NULL, a, &x, NULL) != OK)
        fail_msg("%s: %s", name, err_text());
    return x;
}

static inline void grok_take(const struct grok_example *e, struct arena *a)
{
    const struct extractor *x = grok_made(e->pattern, a);
    const struct grok_field *field;
    struct str part[EXTRACT_FIELDS_MAX];
    char got[2000] = "";
    size_t n = 0;
    bool is;
    uint32_t fields = extractor_fields(x, &field);
    assert_ok(extractor_match(x, str_c(e->line), part, &is));
    for (uint32_t f = 0; is && f < fields; f++)
        if (part[f].p)
            n += (size_t)snprintf(got + n, sizeof(got) - n, "%s%.*s=%.*s", n ? "|" : "",
                                  STR_ARG(field[f].name), STR_ARG(part[f]));
    if (strcmp(got, e->want) != 0)
        fail_msg("%s on %s\ngave   %s\nwanted %s", e->pattern, e->line, got, e->want);
}

/* A line that is cut anywhere is taken or not, but never at great length. */
static inline void grok_take_cut(const struct grok_example *e, struct arena *a)
{
    const struct extractor *x = grok_made(e->pattern, a);
    struct str line = str_c(e->line), part[EXTRACT_FIELDS_MAX];
    bool is;
    for (size_t n = 0; n < line.n; n++)
        assert_ok(extractor_match(x, str_of(line.p, n), part, &is));
}

static inline const char *grok_text(struct str name)
{
    for (const struct grok_pattern *const *list = grok_library; *list; list++)
        for (const struct grok_pattern *p = *list; p->name; p++)
            if (str_eq_c(name, p->name))
                return p->text;
    return NULL;
}

/* Whether the pattern is that of the name, or has it in it. */
static inline bool grok_uses(struct str pattern, const char *name)
{
    if (str_eq_c(pattern, name))
        return true;
    const char *text = grok_text(pattern);
    for (const char *at = text; at && (at = strstr(at, "%{")); at += 2)
        if (grok_uses(str_of(at + 2, strcspn(at + 2, ":}")), name))
            return true;
    return false;
}

/* Every pattern of the list compiles by itself, has its own name, and is part of an example. */
static inline void grok_covers(const struct grok_pattern *list, const struct grok_example *e,
                               size_t n, struct arena *a)
{
    for (const struct grok_pattern *p = list; p->name; p++) {
        char with_field[100];
        size_t i = 0;
        snprintf(with_field, sizeof(with_field), "%s:it", p->name);
        (void)grok_made(with_field, a);
        assert_ptr_equal(grok_text(str_c(p->name)), p->text);
        while (i < n && !grok_uses(str_of(e[i].pattern, strcspn(e[i].pattern, ":")), p->name))
            i++;
        if (i == n)
            fail_msg("no line shows what %s takes", p->name);
    }
}

#endif
