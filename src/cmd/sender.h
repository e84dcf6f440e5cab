/* Sends batches of records to a server so that each lands once: a key a batch, retries with pauses.
 * Threads: one. */
#ifndef WEIR_CMD_SENDER_H
#define WEIR_CMD_SENDER_H

#include "cmd/remote.h"

struct sender {
    const struct command *command;
    struct http_client *client;
    const char *stream;  /* NULL: the server's default */
    int64_t patience_ns; /* how long one batch is tried */
    char run[33];        /* random: what the keys of this run begin with */
    uint64_t batches, retries, accepted, rejected, duplicates;
    unsigned complaints;                         /* refusals shown so far */
    char why[256];                               /* the batch waits, as was said */
    void (*waiting)(void *ctx, const char *why); /* may be NULL: a pause begins for a new reason */
    void *ctx;
};

NODISCARD enum err sender_init(struct sender *s, const struct options *o);
void sender_release(struct sender *s);
/* OK: the batch is durable, or its records are among the dead letters. */
NODISCARD enum err sender_send(struct sender *s, struct str body, const char *content_type);

#endif
