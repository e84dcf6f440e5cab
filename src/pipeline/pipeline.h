/* Pipelines as their configuration says them: what comes in, what to do with it, where it goes.
 *
 *   files: ['/var/log/<service>/app.log']
 *   multiline: java
 *   inputs: ['syslog+udp://127.0.0.1:5514']
 *   transforms:
 *     - level
 *     - redact: [cards, emails]
 *   routes:
 *     - output: http://logs:5080
 *     - name: errors
 *       output: http://other:5080
 *       where: 'level:ERROR'
 *       transforms: [ { set: { team: shop } } ]
 *   pipelines:
 *     audit:
 *       inputs: ...
 *
 * An agent's file is such a document. A server's has `transforms`, `routes` and `pipelines` among
 * its settings (core/conf_table.c). docs/pipelines.md describes both. Read by one thread; the
 * chains are then each the business of whoever runs them. */
#ifndef WEIR_PIPELINE_PIPELINE_H
#define WEIR_PIPELINE_PIPELINE_H

#include "filter/filter.h"
#include "pipeline/input.h"
#include "pipeline/route.h"
#include "pipeline/stages.h"

enum { PIPELINE_FILES_MAX = 100, PIPELINE_ROUTES_MAX = 32, PIPELINES_MAX = 16 };

struct pipeline_route {
    char name[ROUTE_NAME_MAX + 1];
    const char *output; /* URL */
    const char *where;  /* as written; NULL: everything */
    const struct filter *filter;
    struct chain *chain; /* NULL: none; a route takes it over by setting it NULL */
    struct route_settings settings;
    uint64_t hash;         /* of all that is said of it */
    const struct tree *at; /* where the URL stands in a file, or NULL */
};
struct pipeline {
    char name[ROUTE_NAME_MAX + 1]; /* empty: the main one */
    struct arena *arena;
    const struct tree *at;                    /* where it stands in a file, or NULL */
    const char *file[PIPELINE_FILES_MAX + 1]; /* ended by NULL */
    unsigned n_files;
    const char *input[INPUTS_MAX]; /* URLs */
    const struct tree *input_at[INPUTS_MAX];
    unsigned n_inputs;
    /* As written; NULL: not said. */
    const char *stream, *service, *host, *multiline, *encoding, *line_max, *spool, *watch;
    bool text;
    const struct tree *transforms; /* before the spool or the queue; NULL: none */
    struct chain *chain;           /* them, for the files; NULL: none */
    struct stages *stages;         /* them, for the inputs; NULL: none */
    struct pipeline_route route[PIPELINE_ROUTES_MAX];
    unsigned n_routes;
};
/* All of a configuration. Number 0 is the main one, and always there. */
struct pipelines {
    struct arena arena;
    unsigned holders; /* all of one thread */
    struct pipeline *list[PIPELINES_MAX];
    unsigned n;
    const char *listen; /* an agent's HTTP server; NULL: none */
    bool server;        /* read as a server's */
    bool nothing;       /* the file says nothing: it is good for a server and for an agent */
};
/* How to read a document: an agent's, a server's (what are its other settings is passed over), or
 * whichever it looks like. */
enum pipelines_of { PIPELINES_AGENT, PIPELINES_SERVER, PIPELINES_EITHER };

struct pipelines *pipelines_new(void); /* held once */
struct pipelines *pipelines_hold(struct pipelines *set);
void pipelines_free(struct pipelines *set); /* lets go: the last one frees it; NULL is fine */
/* Adds what the file says. ERR_INVALID begins with file:line:column, and suggests. Inputs and
 * outputs are judged by their own: input_open, output_open. */
NODISCARD enum err pipelines_load(struct pipelines *p, const char *path, enum pipelines_of of);
NODISCARD enum err pipelines_read(struct pipelines *p, struct str yaml, const char *name,
                                  enum pipelines_of of);
/* What an agent cannot start without: "--output is", to be followed by "wanted"; NULL: nothing. */
const char *pipelines_lack(const struct pipelines *set);
/* A route to a URL, named after it; the URL is copied. ERR_INVALID when there is one of that name.
 */
NODISCARD enum err pipeline_add_route(struct pipeline *p, const char *url);
NODISCARD enum err pipeline_add_file(struct pipeline *p, const char *pattern);
NODISCARD enum err pipeline_add_input(struct pipeline *p, const char *url);
/* Of an agent: an input, or what is followed as files are: kubernetes://, docker://, journald://,
 * stdin:// (input/tail.h). */
NODISCARD enum err pipeline_add_source(struct pipeline *p, const char *url);
/* The main pipeline's routes become those of a new one, whose input is the URL. ERR_INVALID: there
 * is one of that name, or one too many. */
NODISCARD enum err pipelines_move_routes(struct pipelines *set, const char *name, const char *url);
/* The pipelines as text, a line a stage, or as SVG. */
void pipelines_graph(const struct pipelines *set, bool svg, struct buf *out);

#endif
