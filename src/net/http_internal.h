/* What the files of the HTTP server share: http_server.c (the daemon and its callbacks),
 * http_request.c (what a handler asks of a request, and plain answers), http_stream.c (streamed
 * answers).
 *
 * A request has two kinds of owners: libmicrohttpd, until it says that the request is completed,
 * and the handler, until it has answered. Whoever comes last frees it. `lock` guards everything
 * below it; what stands above is written before the handler starts, by libmicrohttpd's thread with
 * `coming`: with that, others may take from a body that hardly comes what it holds (http_slow.c),
 * as long as it is not dispatched. Lock order: a request's `coming`, the server's lock, a request's
 * lock, then libmicrohttpd's own (suspend and resume are called with it held). With the server's
 * lock, `coming` is only tried. */
#ifndef WEIR_NET_HTTP_INTERNAL_H
#define WEIR_NET_HTTP_INTERNAL_H

#include "core/buf.h"
#include "core/governor.h"
#include "core/metrics.h"
#include "core/thread.h"
#include "net/http_server.h"

#include <microhttpd.h>
#include <stdatomic.h>

enum { HTTP_BODY_PADDING = 64 }; /* readable bytes behind a body */

struct route_slot { /* a route and its metrics */
    const struct http_route *route;
    struct metric *seconds;
};

struct http_server {
    struct http_server_options options;
    struct MHD_Daemon *daemon;
    struct pool *pool[HTTP_POOL_COUNT];
    struct route_slot *routes;
    size_t n_routes;
    char address[80];
    int epoll_fd, wake_fd; /* of the watcher */
    pthread_t watcher;
    atomic_bool stopping;      /* refuses new requests */
    atomic_bool closing;       /* and no longer waits for old ones */
    atomic_uint refs;          /* requests, and one for the owner */
    pthread_mutex_t lock;      /* of what follows */
    pthread_cond_t idle;       /* a request was completed */
    struct http_request *live; /* those that libmicrohttpd still has */
    size_t n_live;
    struct http_request **watched; /* by file descriptor */
    size_t watched_cap;
    uint32_t watch_generation;
};

struct http_pair {
    struct http_pair *next;
    struct str name, value;
};
struct http_answer_header {
    struct http_answer_header *next;
    const char *name, *value;
};

struct http_stream {
    struct MHD_Response *response;
    char *ring;
    size_t head, count; /* bytes waiting: count from head on, around the end */
    bool ended, failed;
};

struct http_request {
    struct http_server *server;
    struct http_request *next, *prev; /* of server->live */
    const struct route_slot *slot;    /* NULL: no such path */
    struct str method, path;
    struct http_pair *params;
    struct arena arena;
    pthread_mutex_t coming;
    struct buf body;
    struct reservation body_reserved;
    void *upload;       /* the taker's, until the handler has it; `body` is what is left to take */
    size_t taken;       /* bytes of the body that the taker has */
    bool aside;         /* the taker takes no more: what comes is gathered */
    bool shrunk;        /* memory is reserved for what has come alone */
    uint64_t length;    /* of the body, as declared; 0: not */
    uint64_t came;      /* of it, */
    uint64_t step_came; /* and of it when the last step (http_slow.c) was there, */
    _Atomic int64_t step_ns; /* which was then */
    size_t body_dropped;     /* bytes read and thrown away because the request is refused already */
    int64_t began_ns;
    bool refused; /* answered by an error before its body was there: the body is read past */
    _Atomic bool dispatched; /* the handler has it, or had */
    int watched_fd;          /* -1: not watched */
    uint32_t watched_generation;
    _Atomic bool canceled;
    atomic_uint refs;

    pthread_mutex_t lock;
    pthread_cond_t moved;              /* the stream has room again, or the client has left */
    struct MHD_Connection *connection; /* NULL when libmicrohttpd is done with it */
    bool suspended, answered;
    _Atomic bool waits; /* suspended amid its body: the taker is full */
    unsigned status;
    struct MHD_Response *response; /* to be queued */
    struct http_answer_header *headers;
    struct http_stream *stream;
};

/* http_request.c */
struct http_request *http_request_new(struct http_server *s, struct MHD_Connection *c,
                                      const char *path, const char *method);
void http_request_unref(struct http_request *r);
void http_server_unref(struct http_server *s); /* the last one frees it */
/* Adds the parameters of a form body to those of the address. */
void http_request_read_form(struct http_request *r);
/* Hands the response over: queues it by resuming the connection, or drops it when the client has
 * left. The lock is held. */
void http_request_answer(struct http_request *r, struct MHD_Response *response, unsigned status);
/* http_slow.c; of the three that others call, none with the server's lock */
void http_slow_step(struct http_request *r, size_t came);
/* A place with the taker is wanted: whether there may be one now. */
bool http_slow_set_aside(struct http_server *s);
/* Memory is wanted, by a request that was refused it: there may be more now. */
void http_slow_shrink(struct http_server *s);
/* And if that was too little: there is soon. */
void http_slow_cut(struct http_server *s);
/* http_stream.c */
void http_stream_free(struct http_stream *s);

#endif
