/* HTTP server on libmicrohttpd. Requests are read on its threads; a handler runs on a worker pool
 * once the whole body is there (the connection is suspended meanwhile), and answers when it likes,
 * from any thread: at once, or by a stream of bytes with back-pressure. HEAD is answered as GET
 * without the body. Bounds: body_max (413 with the limit in the text), header bytes 32 KiB,
 * connections_max; bodies are reserved with OWNER_INGEST (503 + Retry-After when refused). A body
 * that hardly comes keeps nothing that others want (http_slow.c). */
#ifndef WEIR_NET_HTTP_SERVER_H
#define WEIR_NET_HTTP_SERVER_H

#include "core/arena.h"
#include "core/err.h"

struct http_server;
struct http_request;

enum http_pool {
    HTTP_FAST,
    HTTP_INGEST,
    HTTP_QUERY,
    HTTP_POOL_COUNT
}; /* which workers run a handler */

struct http_route {
    const char *method; /* "GET", "POST"; GET serves HEAD too */
    /* Exact, or ending in "/+" for any rest, or with segments such as "{index}", each of which any
     * segment fits that is not empty. Of several that fit, the first in the table is taken, with
     * its methods alone. */
    const char *path;
    enum http_pool pool;
    bool open; /* needs no credentials */
    void (*handle)(void *ctx, struct http_request *r);
    void *ctx;
};
/* Takes large bodies of a declared length while they come, in place of their being gathered.
 * Threads: libmicrohttpd's, where nothing may wait; one at a time for an upload. */
struct http_taker {
    void *ctx;
    size_t least; /* bytes of a body that is worth it */
    /* The head is there. NULL: the body is to be gathered; *ret_crowded says that it need not be if
     * one of those under way were set aside. */
    void *(*begin)(void *ctx, struct http_request *r, uint64_t length, bool *ret_crowded);
    /* Takes as much as it can use off the begin of `bytes`, behind which 64 bytes are readable,
     * and says how much: what it leaves comes again, with more behind it, or is the rest of the
     * body that the handler finds. HTTP_GATHER, before it took any: the body is to be gathered
     * after all, and the upload is gone. */
    size_t (*take)(void *upload, struct str bytes);
    /* Others want its place, and it hardly comes: it takes no more. From any thread, but not while
     * another call for the upload is under way. */
    void (*set_aside)(void *upload);
    /* Whether bodies are to wait, unread, until http_server_go_on; asked after each piece. May be
     * NULL. */
    bool (*full)(void *ctx);
    /* The request ends before its handler. */
    void (*abandon)(void *upload);
};
#define HTTP_GATHER SIZE_MAX
struct http_server_options {
    const char *listen; /* "127.0.0.1:5080", "[::1]:0", ":5080" */
    size_t body_max;
    unsigned connections_max;
    unsigned threads;                  /* of libmicrohttpd; 0: 2 */
    unsigned idle_seconds;             /* a connection without traffic is closed; 0: 75 */
    unsigned slow_ms;                  /* bodies that take longer for 64 KiB are slow; 0: 1000 */
    unsigned workers[HTTP_POOL_COUNT]; /* 0: default */
    const struct http_route *routes;   /* ended by method NULL */
    /* May be NULL: no authentication. Answers whether the Authorization header's value (may be
     * empty) is good for the request. */
    bool (*authorize)(void *ctx, struct str authorization);
    void *auth_ctx;
    const struct http_taker *taker; /* of routes of HTTP_INGEST; may be NULL */
};
NODISCARD enum err http_server_start(const struct http_server_options *o, struct http_server **ret);
/* "127.0.0.1:5080", with the real port. */
const char *http_server_address(const struct http_server *s);
/* Stops accepting, waits for the answers under way up to `wait_ms`, then closes. */
void http_server_stop(struct http_server *s, int64_t wait_ms);

/* The taker has room again: bodies that wait are read on. From any thread. */
void http_server_go_on(struct http_server *s);

/* All of a request is valid until it is answered. */
struct str http_method(const struct http_request *r);
struct str http_path(const struct http_request *r);
/* The path's segment `i`, from 0; n == 0 when it has none. */
struct str http_path_segment(const struct http_request *r, unsigned i);
/* The path from segment `i` on, slashes included. */
struct str http_path_rest(const struct http_request *r, unsigned i);
/* Query parameters, percent-decoded ('+' is a space); n == 0 and p == NULL when absent. For POST
 * with application/x-www-form-urlencoded the body's are there too. */
struct str http_param(const struct http_request *r, const char *name);
struct str http_header(const struct http_request *r, const char *name);
/* What the taker began, once: it is the handler's from here on. NULL: the body was gathered. */
void *http_upload(struct http_request *r);
/* The body as received, or what the taker left of it; JSON_PADDING-like 64 readable zero bytes
 * follow it. */
struct str http_body(const struct http_request *r);
/* Frees the body before the answer; http_body is empty from then on. */
void http_body_release(struct http_request *r);
struct arena *http_arena(struct http_request *r);
/* Becomes true when the client has left. */
const _Atomic bool *http_canceled(const struct http_request *r);

/* Answers; each request exactly once. May be called from any thread. The body is copied. */
void http_reply(struct http_request *r, unsigned status, const char *content_type, struct str body);
/* {"error":"...","status":400} with the text escaped; adds Retry-After where status is 429, 503 or
 * 507. */
void http_error(struct http_request *r, unsigned status, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* An enum err as status (INVALID 400, LIMIT 413 or 400 ..., UNAVAILABLE 503, TIMEOUT 504, NOMEM 503
 * ...). */
void http_error_of(struct http_request *r, enum err err, const char *text);
unsigned http_status_of(enum err err);
/* As http_error, with "at": a byte of what was sent. */
void http_error_at(struct http_request *r, unsigned status, const char *text, size_t at);
void http_reply_header(struct http_request *r, const char *name,
                       const char *value); /* before the reply */
/* A streamed answer: begin, write any number (blocks when the client is slow; ERR_CANCELED when it
 * left), end. `ok` false aborts the chunked stream so that the client sees it is incomplete. */
void http_stream_begin(struct http_request *r, unsigned status, const char *content_type);
NODISCARD enum err http_stream_write(struct http_request *r, struct str bytes);
void http_stream_end(struct http_request *r, bool ok);

#endif
