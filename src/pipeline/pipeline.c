#include "pipeline/pipeline.h"

#include "core/clock.h"
#include "core/mem.h"

#include <stdio.h>

void pipeline_init(struct pipeline *p)
{
    *p = (struct pipeline){0};
    arena_init(&p->arena, 0, NULL);
}

void pipeline_release(struct pipeline *p)
{
    chain_free(p->chain);
    for (unsigned i = 0; i < p->n_routes; i++)
        chain_free(p->route[i].chain);
    arena_release(&p->arena);
}

enum err pipeline_add_file(struct pipeline *p, const char *pattern)
{
    if (p->n_files == PIPELINE_FILES_MAX)
        return err_set(ERR_LIMIT, "at most %d patterns of files", PIPELINE_FILES_MAX);
    p->file[p->n_files++] = arena_str(&p->arena, str_c(pattern)).p;
    return OK;
}

/* What the URL says, in the letters of a file's name, without credentials. */
static void name_of_url(struct str url, char out[ROUTE_NAME_MAX + 1])
{
    size_t n = 0, scheme = str_find(url, STR("://")), at = str_find(url, STR("@"));
    url = str_of(url.p, str_find_byte(url, '?', 0));
    for (size_t i = 0; i < url.n && n < ROUTE_NAME_MAX; i++) {
        char c = url.p[i];
        if (at != SIZE_MAX && scheme != SIZE_MAX && i >= scheme + 3 && i <= at)
            continue;
        c = c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
        bool plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (c == '.' && n);
        if (plain || (n && out[n - 1] != '-'))
            out[n++] = plain ? c : '-';
    }
    while (n && out[n - 1] == '-')
        n--;
    out[n] = '\0';
}

static enum err add_route(struct pipeline *p, const char *name, const char *url,
                          struct pipeline_route **ret)
{
    if (p->n_routes == PIPELINE_ROUTES_MAX)
        return err_set(ERR_LIMIT, "at most %d routes", PIPELINE_ROUTES_MAX);
    struct pipeline_route *r = &p->route[p->n_routes];
    *r = (struct pipeline_route){.output = arena_str(&p->arena, str_c(url)).p};
    if (name)
        snprintf(r->name, sizeof(r->name), "%s", name);
    else
        name_of_url(str_c(url), r->name);
    for (unsigned i = 0; i < p->n_routes; i++)
        if (!strcmp(p->route[i].name, r->name))
            return err_set(ERR_INVALID, "the route \"%s\" is there twice: give one another name",
                           r->name);
    p->n_routes++;
    *ret = r;
    return OK;
}

enum err pipeline_add_route(struct pipeline *p, const char *url)
{
    struct pipeline_route *r;
    return add_route(p, NULL, url, &r);
}

/* ---- reading ---- */

static enum err read_files(struct pipeline *p, const struct tree *t)
{
    uint32_t n = t->kind == TREE_LIST ? t->n : 1;
    for (uint32_t i = 0; i < n; i++) {
        const struct tree *item = t->kind == TREE_LIST ? &t->item[i] : t;
        if (item->kind != TREE_TEXT)
            return tree_error(item, "files: patterns are wanted, such as /var/log/*.log");
        if (pipeline_add_file(p, item->text.p) != OK)
            return tree_error(item, "%s", err_text());
    }
    return OK;
}

static enum err read_where(struct pipeline *p, const struct tree *t, struct pipeline_route *r)
{
    struct filter_options o = {.now_ns = clock_now_ns()};
    if (t->kind != TREE_TEXT)
        return tree_error(t, "where: a query is wanted, such as 'level:ERROR'");
    r->where = arena_str(&p->arena, t->text).p;
    enum err err = filter_parse(str_c(r->where), &o, &p->arena, &r->filter, NULL, NULL);
    return err == OK ? OK : tree_error(t, "%s", err_text());
}

static enum err read_route(struct pipeline *p, const struct tree *t)
{
    static const char *const known[] = {"name", "output", "where", "transforms", NULL};
    const char *name, *url;
    struct pipeline_route *r;
    if (t->kind != TREE_MAP)
        return tree_error(t, "a route is a map: output, and name, where, transforms");
    TRY(tree_check_keys(t, known));
    TRY(tree_text(t, "name", NULL, &p->arena, &name));
    TRY(tree_text(t, "output", NULL, &p->arena, &url));
    if (!url)
        return tree_error(t, "the route has no output, such as http://127.0.0.1:5080");
    if (add_route(p, name, url, &r) != OK)
        return tree_error(t, "%s", err_text());
    if (route_check_name(r->name) != OK || (name && strlen(name) > ROUTE_NAME_MAX))
        return tree_error(name ? tree_get(t, "name") : t, "%s", err_text());
    const struct tree *where = tree_get(t, "where"), *list = tree_get(t, "transforms");
    if (where)
        TRY(read_where(p, where, r));
    return list ? chain_new(list, &r->chain) : OK;
}

static enum err read_routes(struct pipeline *p, const struct tree *t)
{
    if (t->kind != TREE_LIST)
        return tree_error(t, "routes: a list is wanted");
    for (uint32_t i = 0; i < t->n; i++)
        TRY(read_route(p, &t->item[i]));
    return OK;
}

static enum err read_text(struct pipeline *p, const struct tree *t)
{
    const char *text = "false";
    TRY(tree_text(t, "text", "false", &p->arena, &text));
    p->text = p->text || !strcmp(text, "true");
    if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
        return tree_error(tree_get(t, "text"), "text: true or false is wanted");
    return OK;
}

static enum err read_settings(struct pipeline *p, const struct tree *t)
{
    const struct {
        const char *key, **to;
    } texts[] = {
        {"stream", &p->stream},       {"service", &p->service},   {"host", &p->host},
        {"multiline", &p->multiline}, {"encoding", &p->encoding}, {"line_max", &p->line_max},
        {"spool", &p->spool},
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
        TRY(tree_text(t, texts[i].key, *texts[i].to, &p->arena, texts[i].to));
    return read_text(p, t);
}

static enum err read_document(struct pipeline *p, const struct tree *t)
{
    static const char *const known[] = {"files",     "stream",     "service",  "host",
                                        "multiline", "encoding",   "line_max", "spool",
                                        "text",      "transforms", "routes",   NULL};
    const struct tree *part;
    if (t->kind != TREE_MAP)
        return tree_error(t, "the file must be a map: files, transforms, routes");
    TRY(tree_check_keys(t, known));
    TRY(read_settings(p, t));
    if ((part = tree_get(t, "files")))
        TRY(read_files(p, part));
    if ((part = tree_get(t, "transforms")))
        TRY(chain_new(part, &p->chain));
    part = tree_get(t, "routes");
    return part ? read_routes(p, part) : OK;
}

enum err pipeline_read(struct pipeline *p, struct str yaml, const char *name)
{
    struct tree t;
    TRY(tree_read(yaml, name, &p->arena, &t));
    return read_document(p, &t);
}

enum err pipeline_load(struct pipeline *p, const char *path)
{
    struct tree t;
    TRY(tree_read_file(path, &p->arena, &t));
    return read_document(p, &t);
}

/* ---- drawing ---- */

static void put_chain(const struct chain *c, const char *indent, struct buf *out)
{
    for (uint32_t i = 0; c && i < chain_stages(c); i++) {
        struct chain_stage s;
        chain_stage(c, i, &s);
        buf_printf(out, "%s| %s\n", indent, s.name);
    }
}

static void draw_text(const struct pipeline *p, struct buf *out)
{
    for (unsigned i = 0; i < p->n_files; i++)
        buf_printf(out, "%s\n", p->file[i]);
    put_chain(p->chain, "  ", out);
    buf_printf(out, "  = spool%s%s\n", p->spool ? " " : "", p->spool ? p->spool : "");
    for (unsigned i = 0; i < p->n_routes; i++) {
        const struct pipeline_route *r = &p->route[i];
        buf_printf(out, "    > %s\n", r->name);
        if (r->where)
            buf_printf(out, "      ? %s\n", r->where);
        put_chain(r->chain, "      ", out);
        buf_printf(out, "      > %s\n", r->output);
    }
}

enum { BOX_W = 240, BOX_H = 28, STEP_X = 280, STEP_Y = 40 };

struct drawing {
    struct buf *out;
    unsigned width, height;
};

static void put_escaped(struct buf *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '<')
            buf_put_c(out, "&lt;");
        else if (*text == '&')
            buf_put_c(out, "&amp;");
        else
            buf_put_byte(out, *text);
    }
}

static void box(struct drawing *d, unsigned x, unsigned y, const char *kind, const char *text)
{
    buf_printf(d->out,
               "<g class=\"%s\"><rect x=\"%u\" y=\"%u\" width=\"%d\" height=\"%d\" rx=\"4\"/>"
               "<text x=\"%u\" y=\"%u\">",
               kind, x, y, BOX_W, BOX_H, x + 8, y + 18);
    put_escaped(d->out, text);
    buf_put_c(d->out, "</text></g>\n");
    d->width = x + BOX_W + 20 > d->width ? x + BOX_W + 20 : d->width;
    d->height = y + BOX_H + 20 > d->height ? y + BOX_H + 20 : d->height;
}

static void line(struct drawing *d, unsigned x1, unsigned y1, unsigned x2, unsigned y2)
{
    buf_printf(d->out, "<path d=\"M%u %uL%u %u\"/>\n", x1, y1, x2, y2);
}

static unsigned draw_chain(struct drawing *d, const struct chain *c, unsigned x, unsigned y)
{
    for (uint32_t i = 0; c && i < chain_stages(c); i++, y += STEP_Y) {
        struct chain_stage s;
        chain_stage(c, i, &s);
        box(d, x, y, "stage", s.name);
        line(d, x + BOX_W / 2, y + BOX_H, x + BOX_W / 2, y + STEP_Y);
    }
    return y;
}

static void draw_routes(struct drawing *d, const struct pipeline *p, unsigned from_y)
{
    unsigned y = 20;
    for (unsigned i = 0; i < p->n_routes; i++) {
        const struct pipeline_route *r = &p->route[i];
        unsigned x = 20 + 2 * STEP_X;
        line(d, 20 + STEP_X + BOX_W, from_y + BOX_H / 2, x, y + BOX_H / 2);
        box(d, x, y, "route", r->name);
        line(d, x + BOX_W / 2, y + BOX_H, x + BOX_W / 2, y + STEP_Y);
        y += STEP_Y;
        if (r->where) {
            box(d, x, y, "where", r->where);
            line(d, x + BOX_W / 2, y + BOX_H, x + BOX_W / 2, y + STEP_Y);
            y += STEP_Y;
        }
        y = draw_chain(d, r->chain, x, y);
        box(d, x, y, "output", r->output);
        y += STEP_Y + 20;
    }
}

static void draw_svg(const struct pipeline *p, struct buf *out)
{
    struct buf body;
    struct drawing d = {.out = &body};
    buf_init(&body, SIZE_MAX);
    unsigned y = draw_chain(&d, p->chain, 20 + STEP_X, 20);
    for (unsigned i = 0; i < p->n_files; i++) {
        box(&d, 20, 20 + i * STEP_Y, "file", p->file[i]);
        line(&d, 20 + BOX_W, 20 + i * STEP_Y + BOX_H / 2, 20 + STEP_X, 20 + BOX_H / 2);
    }
    box(&d, 20 + STEP_X, y, "spool", "spool");
    draw_routes(&d, p, y);
    buf_printf(out,
               "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%u\" height=\"%u\">\n"
               "<style>rect{fill:#f4f6f8;stroke:#567}path{stroke:#567;fill:none}"
               "text{font:12px monospace;fill:#123}.spool rect{fill:#fde9c8}"
               ".output rect{fill:#d8efdc}.where rect{fill:#e3e0f5}</style>\n",
               d.width, d.height);
    buf_put_str(out, buf_str(&body));
    buf_put_c(out, "</svg>\n");
    buf_release(&body);
}

void pipeline_graph(const struct pipeline *p, bool svg, struct buf *out)
{
    if (svg)
        draw_svg(p, out);
    else
        draw_text(p, out);
}
