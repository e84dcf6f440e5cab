/* A UDP socket on a reactor: datagrams are received many at a time and handed on with their
 * sender's address. What the kernel drops because nobody read is counted.
 * Threads: as net/listener.h. Bounds: a datagram is at most 64 KiB; the kernel buffers up to
 * BUFFER_WANTED where it may. */
#ifndef WEIR_NET_DATAGRAM_H
#define WEIR_NET_DATAGRAM_H

#include "core/str.h"
#include "net/reactor.h"

struct datagram_socket;
struct datagram {
    struct str bytes;
    char peer[64]; /* "127.0.0.1" */
    /* To answer it. */
    const void *address;
    unsigned address_n;
};

/* take: n datagrams, valid until it returns. */
NODISCARD enum err datagram_new(struct reactor *r, const char *address,
                                void (*take)(void *ctx, const struct datagram *list, unsigned n),
                                void *ctx, struct datagram_socket **ret);
NODISCARD enum err datagram_start(struct datagram_socket *s);
void datagram_stop(struct datagram_socket *s);
void datagram_free(struct datagram_socket *s);
const char *datagram_address(const struct datagram_socket *s);
void datagram_pause(struct datagram_socket *s, bool paused);
/* Sends an answer, where the kernel takes it. */
void datagram_answer(struct datagram_socket *s, const struct datagram *to, struct str bytes);
uint64_t datagram_dropped(const struct datagram_socket *s); /* by the kernel; any thread */

#endif
