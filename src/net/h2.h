/* The server's side of HTTP/2 (RFC 9113) on one connection, by nghttp2: bytes in, requests out, and
 * answers with trailers as gRPC has them. It knows no sockets.
 *
 * Bounds: 100 streams at once; the bodies of a connection together body_max bytes, reserved with
 * OWNER_INGEST; of the headers only those of struct h2_request are kept, each at most 256 bytes.
 * A sender that goes past the first of these is answered by the stream's end (REFUSED_STREAM).
 * Threads: one. */
#ifndef WEIR_NET_H2_H
#define WEIR_NET_H2_H

#include "core/buf.h"
#include "core/err.h"

struct h2;
struct h2_options {
    void *ctx;
    enum err (*write)(void *ctx, struct str bytes); /* to the peer */
    size_t body_max;
};
struct h2_request {
    int32_t stream;
    char method[8], path[256], type[256], encoding[256]; /* content-type, grpc-encoding */
    struct buf body;
    bool too_large; /* the body is not whole: it was larger than may be */
};
struct h2_trailer {
    const char *name;
    struct str value;
};

NODISCARD enum err h2_new(const struct h2_options *o, struct h2 **ret);
void h2_free(struct h2 *h); /* NULL is fine */
/* Takes the frame at the beginning of `in`; *ret_n 0: it is not all there. *ret_request: the
 * request that is whole now, or NULL; valid until the next call. ERR_INVALID: this is no HTTP/2. */
NODISCARD enum err h2_take(struct h2 *h, struct str in, size_t *ret_n,
                           const struct h2_request **ret_request);
/* Answers a stream (nothing happens when the peer has given it up): 200, a body, and trailers.
 * Without a body the trailers are the answer's headers. Everything is copied. */
NODISCARD enum err h2_answer(struct h2 *h, int32_t stream, struct str type, struct str body,
                             const struct h2_trailer *trailer, unsigned n);
/* Neither side has anything more to say. */
bool h2_over(struct h2 *h);

#endif
