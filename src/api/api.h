/* The HTTP routes. One struct api holds what they need; it is made by the server's command and
 * lives as long as the HTTP server. One file a family: ingest.c, search.c, status.c, admin.c;
 * routes.c has the table. */
#ifndef WEIR_API_API_H
#define WEIR_API_API_H

#include "net/http_server.h"
#include "pipeline/input.h"
#include "query/query.h"

#include <stdatomic.h>

struct api {
    struct store *store;
    struct queue *queue;
    struct ingest *ingest;
    struct query_engine *engine;
    /* Of /api/v1/stats: the items of a JSON array, each what an input says of itself. */
    void (*write_inputs)(void *ctx, struct buf *out);
    /* The books of all pipelines, as the answer of /api/v1/ledger. */
    void (*write_books)(void *ctx, struct buf *out);
    void *books_ctx;              /* of both */
    const char *data;             /* the folder whose routes' dead letters are told of */
    const struct str *hec_tokens; /* that Splunk's collector asks for */
    size_t n_hec_tokens;
    bool (*authorize)(void *ctx, struct str authorization); /* NULL: there are no credentials */
    void *auth_ctx;
    int64_t started_ns;
    atomic_bool ready;                          /* replay is over */
    _Atomic uint64_t replay_done, replay_total; /* bytes */
    _Atomic unsigned tails;                     /* live tails under way */
    atomic_bool stopping;
};

/* Large bodies of lines are decoded while they come. It lives as long as the API. */
struct http_taker api_taker(struct api *api);
/* The table for http_server_start: static, one a process; every handler's ctx is `api`. */
const struct http_route *api_routes(struct api *api);
/* That of an agent, which has no store: what takes records in, and tells of the process. */
const struct http_route *api_agent_routes(struct api *api);
/* Ends the live tails, which would not end by themselves. */
void api_stop_tails(struct api *api);
/* Gauges that are read when scraped: queue, memory, process. Once a process. */
void api_register_metrics(struct api *api);

#endif
