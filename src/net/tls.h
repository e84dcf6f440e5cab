/* TLS of listeners and of connections to peers, by OpenSSL: versions 1.2 and 1.3. Threads: a
 * tls_server and a tls_client from any; a session is one thread's. */
#ifndef WEIR_NET_TLS_H
#define WEIR_NET_TLS_H

#include "core/err.h"
#include "core/str.h"

struct tls_server;
struct tls;

struct tls_options {
    struct str cert, key; /* PEM files: the chain, and its key; key n == 0: in the same file */
    struct str ca;        /* PEM file; n > 0: clients must show a certificate signed by it */
    const char *alpn;     /* the one protocol that is agreed on (RFC 7301), static; NULL: none */
};
/* ERR_INVALID names the file that cannot be used, and why. */
NODISCARD enum err tls_server_new(const struct tls_options *o, struct tls_server **ret);
void tls_server_free(struct tls_server *s); /* NULL is fine; sessions may still be there */

struct tls_client;
struct tls_client_options {
    struct str ca;        /* PEM file; n == 0: the system's authorities */
    struct str cert, key; /* to be shown to peers that ask; n == 0: none, as above */
    bool trust_anyone;    /* neither name nor signature of the peer is looked at */
};
NODISCARD enum err tls_client_new(const struct tls_client_options *o, struct tls_client **ret);
void tls_client_free(struct tls_client *c); /* as tls_server_free */

/* A session on a non-blocking socket, which stays the caller's. */
NODISCARD enum err tls_open(struct tls_server *s, int fd, struct tls **ret);
/* The other side of one; host: whom the certificate must name (a name or an address). */
NODISCARD enum err tls_connect(struct tls_client *c, int fd, struct str host, struct tls **ret);
void tls_free(struct tls *t);
enum tls_want { TLS_NOTHING, TLS_READ, TLS_WRITE };
/* OK, and what was done in *ret_n; ERR_AGAIN, and what to wait for in tls_wants; ERR_EOF; ERR_IO
 * with the reason. */
NODISCARD enum err tls_handshake(struct tls *t);
NODISCARD enum err tls_read(struct tls *t, char *p, size_t n, size_t *ret_n);
NODISCARD enum err tls_write(struct tls *t, const char *p, size_t n, size_t *ret_n);
enum tls_want tls_wants(const struct tls *t);
/* Bytes decrypted and not yet read, of which the socket will not tell. */
bool tls_pending(const struct tls *t);
void tls_bye(struct tls *t); /* says that nothing more comes, where the socket takes it */

#endif
