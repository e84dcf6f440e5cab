/* Pipelines as text, a line a stage, and as SVG: beneath each other. URLs are shown without
 * credentials and parameters. */
#include "pipeline/pipeline.h"

static void put_url(const char *text, struct buf *out)
{
    struct arena a;
    struct url url;
    arena_init(&a, 0, NULL);
    if (url_parse(str_c(text), &a, &url) == OK)
        url_put_plain(&url, out);
    else
        buf_put_c(out, text);
    arena_release(&a);
}

/* The main one of a server, and its pipelines without routes, go to the server's own queue. */
static bool has_spool(const struct pipelines *set, unsigned i)
{
    return !set->server || (i > 0 && set->list[i]->n_routes);
}

static bool is_empty(const struct pipeline *p)
{
    return !p->n_files && !p->n_inputs && !p->n_routes && !p->chain;
}

static void put_chain(const struct chain *c, const char *indent, struct buf *out)
{
    for (uint32_t i = 0; c && i < chain_stages(c); i++) {
        struct chain_stage s;
        chain_stage(c, i, &s);
        buf_printf(out, "%s| %s\n", indent, s.name);
    }
}

static void draw_text(const struct pipelines *set, unsigned at, struct buf *out)
{
    const struct pipeline *p = set->list[at];
    if (at)
        buf_printf(out, "%s%s:\n", out->n ? "\n" : "", p->name);
    for (unsigned i = 0; i < p->n_files; i++)
        buf_printf(out, "%s\n", p->file[i]);
    for (unsigned i = 0; i < p->n_inputs; i++) {
        put_url(p->input[i], out);
        buf_put_byte(out, '\n');
    }
    put_chain(p->chain, "  ", out);
    if (has_spool(set, at))
        buf_printf(out, "  = spool%s%s\n", p->spool ? " " : "", p->spool ? p->spool : "");
    else
        buf_put_c(out, at ? "  = queue of the server\n" : "  = queue\n    > store\n");
    for (unsigned i = 0; i < p->n_routes; i++) {
        const struct pipeline_route *r = &p->route[i];
        buf_printf(out, "    > %s\n", r->name);
        if (r->where)
            buf_printf(out, "      ? %s\n", r->where);
        put_chain(r->chain, "      ", out);
        buf_put_c(out, "      > ");
        put_url(r->output, out);
        buf_put_byte(out, '\n');
    }
}

enum { BOX_W = 280, BOX_H = 28, STEP_X = 320, STEP_Y = 40, BOX_LETTERS = 36 };

struct drawing {
    struct buf *out;
    unsigned top, width, height;
};

static void put_escaped(struct buf *out, struct str text)
{
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] == '<')
            buf_put_c(out, "&lt;");
        else if (text.p[i] == '&')
            buf_put_c(out, "&amp;");
        else
            buf_put_byte(out, text.p[i]);
    }
}

/* As much of the text as a box holds. */
static struct str fitting(struct str text)
{
    size_t n = 0, cut = 0;
    for (size_t i = 0; i < text.n; i++) {
        if (((unsigned char)text.p[i] & 0xc0) == 0x80)
            continue; /* a letter's next byte */
        cut = n == BOX_LETTERS - 1 ? i : cut;
        n++;
    }
    return n > BOX_LETTERS ? str_of(text.p, cut) : text;
}

/* What does not fit is shown by the pointer. */
static void put_label(struct drawing *d, struct str text)
{
    struct str fits = fitting(text);
    put_escaped(d->out, fits);
    if (fits.n < text.n) {
        buf_put_c(d->out, "…<title>");
        put_escaped(d->out, text);
        buf_put_c(d->out, "</title>");
    }
}

static void box(struct drawing *d, unsigned x, unsigned y, const char *kind, struct str text)
{
    buf_printf(d->out,
               "<g class=\"%s\"><rect x=\"%u\" y=\"%u\" width=\"%d\" height=\"%d\" rx=\"4\"/>"
               "<text x=\"%u\" y=\"%u\">",
               kind, x, y, BOX_W, BOX_H, x + 8, y + 18);
    put_label(d, text);
    buf_put_c(d->out, "</text></g>\n");
    d->width = x + BOX_W + 20 > d->width ? x + BOX_W + 20 : d->width;
    d->height = y + BOX_H + 20 > d->height ? y + BOX_H + 20 : d->height;
}

static void url_box(struct drawing *d, unsigned x, unsigned y, const char *kind, const char *url)
{
    struct buf text;
    buf_init(&text, SIZE_MAX);
    put_url(url, &text);
    box(d, x, y, kind, buf_str(&text));
    buf_release(&text);
}

static void line(struct drawing *d, unsigned x1, unsigned y1, unsigned x2, unsigned y2)
{
    buf_printf(d->out, "<path d=\"M%u %uL%u %u\"/>\n", x1, y1, x2, y2);
}

static void line_down(struct drawing *d, unsigned x, unsigned y)
{
    line(d, x + BOX_W / 2, y + BOX_H, x + BOX_W / 2, y + STEP_Y);
}

static unsigned draw_chain(struct drawing *d, const struct chain *c, unsigned x, unsigned y)
{
    for (uint32_t i = 0; c && i < chain_stages(c); i++, y += STEP_Y) {
        struct chain_stage s;
        chain_stage(c, i, &s);
        box(d, x, y, "stage", str_c(s.name));
        line_down(d, x, y);
    }
    return y;
}

static void draw_routes(struct drawing *d, const struct pipeline *p, bool store, unsigned from_y)
{
    unsigned y = d->top, x = 20 + 2 * STEP_X, from_x = 20 + STEP_X + BOX_W;
    if (store) {
        line(d, from_x, from_y + BOX_H / 2, x, y + BOX_H / 2);
        box(d, x, y, "output", STR("store"));
        y += STEP_Y + 20;
    }
    for (unsigned i = 0; i < p->n_routes; i++) {
        const struct pipeline_route *r = &p->route[i];
        line(d, from_x, from_y + BOX_H / 2, x, y + BOX_H / 2);
        box(d, x, y, "route", str_c(r->name));
        line_down(d, x, y);
        y += STEP_Y;
        if (r->where) {
            box(d, x, y, "where", str_c(r->where));
            line_down(d, x, y);
            y += STEP_Y;
        }
        y = draw_chain(d, r->chain, x, y);
        url_box(d, x, y, "output", r->output);
        y += STEP_Y + 20;
    }
}

static void draw_one(struct drawing *d, const struct pipelines *set, unsigned at)
{
    const struct pipeline *p = set->list[at];
    unsigned sources = p->n_files + p->n_inputs, y = d->top;
    if (at) {
        buf_printf(d->out, "<text class=\"name\" x=\"20\" y=\"%u\">", y + 14);
        put_escaped(d->out, str_c(p->name));
        buf_put_c(d->out, "</text>\n");
        y = d->top = y + 24;
    }
    for (unsigned i = 0; i < sources; i++) {
        if (i < p->n_files)
            box(d, 20, y + i * STEP_Y, "file", str_c(p->file[i]));
        else
            url_box(d, 20, y + i * STEP_Y, "input", p->input[i - p->n_files]);
        line(d, 20 + BOX_W, y + i * STEP_Y + BOX_H / 2, 20 + STEP_X, y + BOX_H / 2);
    }
    y = draw_chain(d, p->chain, 20 + STEP_X, y);
    box(d, 20 + STEP_X, y, "spool",
        has_spool(set, at) ? STR("spool")
        : at               ? STR("queue of the server")
                           : STR("queue"));
    draw_routes(d, p, !at && set->server, y);
}

static void draw_svg(const struct pipelines *set, struct buf *out)
{
    struct buf body;
    struct drawing d = {.out = &body, .top = 20};
    buf_init(&body, SIZE_MAX);
    for (unsigned i = 0; i < set->n; i++) {
        if (!i && set->n > 1 && !set->server && is_empty(set->list[0]))
            continue;
        draw_one(&d, set, i);
        d.top = d.height + 10;
    }
    buf_printf(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%u\" height=\"%u\">\n"
        "<style>svg{background:#fff}rect{fill:#f4f6f8;stroke:#567}path{stroke:#567;fill:none}"
        "text{font:12px monospace;fill:#123}.name{font-weight:bold}"
        ".spool rect{fill:#fde9c8}"
        ".output rect{fill:#d8efdc}.where rect{fill:#e3e0f5}</style>\n",
        d.width, d.height);
    buf_put_str(out, buf_str(&body));
    buf_put_c(out, "</svg>\n");
    buf_release(&body);
}

void pipelines_graph(const struct pipelines *set, bool svg, struct buf *out)
{
    if (svg) {
        draw_svg(set, out);
        return;
    }
    for (unsigned i = 0; i < set->n; i++)
        if (i || set->n == 1 || set->server || !is_empty(set->list[0]))
            draw_text(set, i, out);
}
