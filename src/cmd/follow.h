/* weir search --follow: a server's live tail, resumed where it broke off. */
#ifndef WEIR_CMD_FOLLOW_H
#define WEIR_CMD_FOLLOW_H

#include "cmd/remote.h"

/* Calls `record` for each record, in the order in which they landed, each once, however often the
 * connection breaks. Ends when `record` fails (its reader left: 0) or the server refuses (2,
 * explained). */
int follow(const struct options *o, struct http_client *c,
           enum err (*record)(void *ctx, struct str line), void *ctx);

#endif
