/* A pipeline as its configuration file says it: what to follow, what to do with it, where it goes.
 *
 *   files: ['/var/log/<service>/app.log']
 *   multiline: java
 *   transforms:
 *     - level
 *     - redact: [cards, emails]
 *   routes:
 *     - output: http://logs:5080
 *     - name: errors
 *       output: http://other:5080
 *       where: 'level:ERROR'
 *       transforms: [ { set: { team: shop } } ]
 *
 * docs/transforms.md describes it. Read once, by one thread; the chains are then each the business
 * of whoever runs them. */
#ifndef WEIR_PIPELINE_PIPELINE_H
#define WEIR_PIPELINE_PIPELINE_H

#include "filter/filter.h"
#include "pipeline/route.h"
#include "transform/transform.h"

enum { PIPELINE_FILES_MAX = 100, PIPELINE_ROUTES_MAX = 32 };

struct pipeline_route {
    char name[ROUTE_NAME_MAX + 1];
    const char *output; /* URL */
    const char *where;  /* as written; NULL: everything */
    const struct filter *filter;
    struct chain *chain; /* NULL: none */
};
struct pipeline {
    struct arena arena;
    const char *file[PIPELINE_FILES_MAX + 1]; /* ended by NULL */
    unsigned n_files;
    /* As written; NULL: not said. */
    const char *stream, *service, *host, *multiline, *encoding, *line_max, *spool;
    bool text;
    struct chain *chain; /* before the spool; NULL: none */
    struct pipeline_route route[PIPELINE_ROUTES_MAX];
    unsigned n_routes;
};

void pipeline_init(struct pipeline *p);
void pipeline_release(struct pipeline *p);
/* Adds what the file says. ERR_INVALID begins with file:line:column, and suggests. Outputs are
 * judged by their own: output_open. */
NODISCARD enum err pipeline_load(struct pipeline *p, const char *path);
NODISCARD enum err pipeline_read(struct pipeline *p, struct str yaml, const char *name);
/* A route to a URL, named after it; the URL is copied. ERR_INVALID when there is one of that name.
 */
NODISCARD enum err pipeline_add_route(struct pipeline *p, const char *url);
NODISCARD enum err pipeline_add_file(struct pipeline *p, const char *pattern);
/* The pipeline as text, a line a stage, or as SVG. */
void pipeline_graph(const struct pipeline *p, bool svg, struct buf *out);

#endif
