/* Listening addresses: "127.0.0.1:5080", "[::1]:0", "localhost:5080", ":5080" (every interface).
 * Threads: any; name look-ups may block. */
#ifndef WEIR_NET_LISTEN_H
#define WEIR_NET_LISTEN_H

#include "core/err.h"

#include <stdbool.h>
#include <stddef.h>

/* A listening TCP socket, non-blocking, close-on-exec. ERR_UNAVAILABLE when the port is taken. */
NODISCARD enum err listen_open(const char *address, int *ret_fd);
/* A bound UDP socket, likewise. */
NODISCARD enum err listen_open_datagram(const char *address, int *ret_fd);
/* The address with its real port, as a URL writes it; for every interface the loopback one. */
void listen_name(int fd, char *out, size_t n);
/* Whether only this machine can reach it. */
NODISCARD enum err listen_is_loopback(const char *address, bool *ret);

#endif
