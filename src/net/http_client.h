/* A small HTTP client on libcurl, for the command line and outputs: one connection, one request at
 * a time. Owner: one thread at a time. Calls block until the answer is there or the time is over.
 */
#ifndef WEIR_NET_HTTP_CLIENT_H
#define WEIR_NET_HTTP_CLIENT_H

#include "core/buf.h"
#include "core/err.h"

struct http_client;

/* base: "http://127.0.0.1:5080"; user: "name:password" or NULL. */
NODISCARD enum err http_client_new(const char *base, const char *user, struct http_client **ret);
void http_client_free(struct http_client *c);
/* PEM files, each may be NULL: authorities in place of the system's; a certificate and key to show
 * (key NULL: in the same file). trust_anyone: the peer's certificate is not looked at. */
void http_client_tls(struct http_client *c, const char *ca, const char *cert, const char *key,
                     bool trust_anyone);

/* Whether the last request failed because the peer's certificate is not to be trusted, or the file
 * of authorities not to be read: what another try does not change. */
bool http_client_distrusts(const struct http_client *c);

/* Begins a new request line: method, and the path below the base. */
void http_client_begin(struct http_client *c, const char *method, const char *path);
void http_client_param(struct http_client *c, const char *name,
                       struct str value); /* percent-encoded */
void http_client_header(struct http_client *c, const char *name, const char *value);
/* For a streamed answer without end: nothing for so long ends it with ERR_TIMEOUT. Of this request
 * alone. */
void http_client_silence(struct http_client *c, unsigned seconds);

/* The rest of a request begun, of this one alone: */

/* The answer's headers as they come. */
void http_client_on_header(struct http_client *c,
                           void (*fn)(void *ctx, struct str name, struct str value), void *ctx);
/* Asked a few times a second while it is under way: true ends it with ERR_CANCELED. */
void http_client_stop(struct http_client *c, bool (*fn)(void *ctx), void *ctx);
/* A body that is read piece by piece, in place of the one of http_client_send: at most n bytes from
 * `at`. It may be read again from the beginning. What read answers ends the request. */
struct http_upload {
    uint64_t bytes;
    enum err (*read)(void *ctx, uint64_t at, void *p, size_t n);
    void *ctx;
};
void http_client_upload(struct http_client *c, const struct http_upload *u); /* copied */

struct http_answer {
    unsigned status;
    int64_t retry_after_s; /* 0: not said */
    int64_t date_s;        /* the server's clock, of its Date header; 0: not said */
    struct buf body;       /* of the caller, initialised by it; not filled when `write` is given */
};
/* Sends it with `body` (may be empty). `write` (may be NULL) is handed the bytes of a 2xx answer as
 * they come; what it answers other than OK ends the transfer. ERR_UNAVAILABLE: no connection, or
 * broken off; the text says why. Any status is OK. timeout_ms 0: none. */
NODISCARD enum err http_client_send(struct http_client *c, struct str body, int64_t timeout_ms,
                                    enum err (*write)(void *ctx, struct str bytes), void *ctx,
                                    struct http_answer *ret);

#endif
