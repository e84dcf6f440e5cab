/* A TCP listener on a reactor: it accepts, reads, hands the bytes to a protocol, and writes what
 * the protocol answers; TLS where asked. A connection that is paused is not read, so that the
 * sender feels it.
 *
 * Bounds: connections_max (the next ones wait in the kernel until one goes); a message at most
 * message_max bytes, else the connection is cut off; what is buffered is reserved with
 * OWNER_INGEST, and a connection for which there is no memory is not read until there is (cut off
 * when that takes 30 s); unsent answers at most 1 MiB; a TLS handshake 30 s. A connection without
 * traffic stays: TCP's keep-alive finds out where there is nobody any more.
 * Threads: new and free from one thread while the reactor does not run, or by reactor_call; all
 * else on the reactor's thread; listener_address from any. */
#ifndef WEIR_NET_LISTENER_H
#define WEIR_NET_LISTENER_H

#include "core/str.h"
#include "net/reactor.h"
#include "net/tls.h"

#include <stddef.h>

struct listener;
struct conn;

struct listener_protocol {
    size_t state_size; /* of a connection, zeroed at first */
    /* May be NULL. The connection is there (with TLS: after its handshake). */
    enum err (*open)(void *ctx, struct conn *c);
    /* Bytes have come, or it is no longer paused, or `ended`: the sender will send nothing more
     * (told each time from then on). *ret_taken: bytes used, which go. What it answers but OK cuts
     * the connection off. JSON_PADDING-like 64 bytes behind `in` are readable. */
    enum err (*data)(void *ctx, struct conn *c, struct str in, bool ended, size_t *ret_taken);
    void (*tick)(void *ctx, struct conn *c); /* about four times a second; may be NULL */
    /* The last call, also where a TLS handshake failed. reason: why it was cut off, or NULL. */
    void (*close)(void *ctx, struct conn *c, const char *reason);
};

struct listener_options {
    const char *address; /* "127.0.0.1:24224" */
    const struct listener_protocol *protocol;
    void *ctx;
    struct tls_server *tls; /* NULL: none; the caller's */
    size_t message_max;
    unsigned connections_max;
};
/* Binds. ERR_UNAVAILABLE when the port is taken. */
NODISCARD enum err listener_new(struct reactor *r, const struct listener_options *o,
                                struct listener **ret);
NODISCARD enum err listener_start(struct listener *l);  /* accepts from here on */
void listener_stop(struct listener *l);                 /* accepts and reads nothing more */
void listener_free(struct listener *l);                 /* closes what is open */
const char *listener_address(const struct listener *l); /* with the real port */
unsigned listener_connections(const struct listener *l);
/* Calls `data` of every connection that has bytes which were not taken, as if more had come. Not
 * from within a callback of a connection. */
void listener_offer(struct listener *l);

void *conn_state(struct conn *c);
size_t conn_message_max(const struct conn *c);
const char *conn_peer(const struct conn *c); /* "127.0.0.1" */
/* Queues bytes to be sent. ERR_LIMIT when the other side does not read them. */
NODISCARD enum err conn_write(struct conn *c, struct str bytes);
/* Pauses count: as many resumes lead back to reading. Not from within `data` to resume. */
void conn_pause(struct conn *c);
void conn_resume(struct conn *c);
/* Sends what is queued, then closes; `close` comes later, from the loop. */
void conn_finish(struct conn *c);

#endif
