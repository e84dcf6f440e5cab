/* What the commands that talk to a server share: where it is, who asks, and saying what it
 * answered. */
#ifndef WEIR_CMD_REMOTE_H
#define WEIR_CMD_REMOTE_H

#include "cmd/options.h"
#include "net/http_client.h"

/* For their tables. */
#define REMOTE_OPTIONS                                                                             \
    {"url", 'u', "URL", "The server ($WEIR_URL, http://127.0.0.1:5080)."},                         \
        {"user", 'U', "NAME:PASSWORD", "Credentials ($WEIR_ROOT_USER, $WEIR_ROOT_PASSWORD)."},     \
    {                                                                                              \
        "tls-ca", 0, "FILE",                                                                       \
            "Authorities of an https server, PEM, in place of the system's ($WEIR_TLS_CA)."        \
    }

NODISCARD enum err remote_open(const struct options *o, struct http_client **ret);
const char *remote_url(const struct options *o);
/* Explains an answer that is not 2xx on stderr: the server's own words where it gave some. */
void remote_explain(const struct command *c, const struct http_answer *a);

#endif
