/* A connection to a peer, by TCP, TLS or UDP: blocking, with a time limit to every call.
 * Owner: one thread at a time. After any error but ERR_TIMEOUT of dial_read the connection is of no
 * more use and is to be closed. */
#ifndef WEIR_NET_DIAL_H
#define WEIR_NET_DIAL_H

#include "core/err.h"
#include "net/tls.h"

struct dial;
struct dial_options {
    struct str host; /* a name or an address */
    unsigned port;
    bool datagrams;         /* UDP: each write is one */
    struct tls_client *tls; /* NULL: none; the caller's, who keeps it */
};
/* Tries each address of the name. ERR_UNAVAILABLE names the peer and says why. */
NODISCARD enum err dial_open(const struct dial_options *o, int64_t timeout_ms, struct dial **ret);
/* All of it, to the system's buffers. */
NODISCARD enum err dial_write(struct dial *d, struct str bytes, int64_t timeout_ms);
/* At least one byte. ERR_EOF: the peer has ended its side in order, ERR_IO: not in order. */
NODISCARD enum err dial_read(struct dial *d, char *p, size_t n, int64_t timeout_ms, size_t *ret_n);
/* Tells the peer that nothing more comes; it may still answer. */
void dial_end(struct dial *d);
/* Whether the peer has gone or has sent something: of a connection on which nothing is expected. */
bool dial_stale(struct dial *d);
/* Bytes written that the peer's system has not confirmed yet (TCP). */
size_t dial_unconfirmed(const struct dial *d);
void dial_close(struct dial *d); /* NULL is fine */

#endif
