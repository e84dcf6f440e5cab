/* What the URLs of outputs say about their peer, for all of them alike: whom to trust, who we are.
 *
 *   tls_ca=FILE            authorities (PEM) in place of the system's
 *   tls_cert=, tls_key=    a certificate to show, and its key (in the same file when left out)
 *   tls_verify=no          any certificate is taken
 *   timeout=30s            for an answer
 *
 * Threads: at the opening of an output only. */
#ifndef WEIR_OUTPUT_PEER_H
#define WEIR_OUTPUT_PEER_H

#include "core/url.h"
#include "net/http_client.h"
#include "net/tls.h"

/* For the list of known parameters. */
#define PEER_PARAMS "tls_ca", "tls_cert", "tls_key", "tls_verify", "timeout"

enum { PEER_TIMEOUT_MS = 30000 };

struct peer {
    struct str host; /* slices of the URL */
    unsigned port;
    int64_t timeout_ms;
    struct tls_client_options tls;
};
/* ERR_INVALID: no host, or a parameter that makes no sense. */
NODISCARD enum err peer_read(const struct url *url, unsigned default_port, struct peer *ret);
/* What the URL says of TLS, for a client that speaks it. */
void peer_secure(const struct peer *p, struct http_client *c);
/* "yes", "no"; absent: def. */
NODISCARD enum err peer_switch(const struct url *url, const char *name, bool def, bool *ret);
/* Appends the host as a URL writes it: with brackets where they are needed. */
void peer_put_host(struct str host, struct buf *out);

#endif
