/* Inputs on a connection: a listener, a protocol that finds whole messages in what is received, and
 * a sink. Each input of this kind (syslog, forward, gelf, beats) is one struct stream_protocol.
 *
 * A sender may have BODIES_OUT bodies or BYTES_OUT bytes out that are not durable yet; then it is
 * not read until one is. Acknowledgements go out in the order of the messages. A connection that
 * its sender has ended is closed when all it sent is durable.
 * With multiline= a sender's messages are gathered until nothing has come for multiline_wait, or
 * PARCEL_GATHERED bytes are there; a sender that waits for acknowledgements is not made to wait.
 * URL parameters of all of them: stream, service, host, multiline, multiline_wait; tls_cert,
 * tls_key, tls_ca (PEM files). */
#ifndef WEIR_INPUT_STREAM_H
#define WEIR_INPUT_STREAM_H

#include "input/parcel.h"
#include "net/datagram.h"
#include "net/listener.h"

struct stream_input;

/* What the protocol found at the beginning of what was received. */
struct stream_cut {
    size_t most; /* given: a body of several messages is hardly more than so many bytes */
    size_t n;    /* bytes done with; 0: more is needed */
    /* The body to hand on, whole messages; n == 0: none (a handshake, a heartbeat). It may lie
     * in what was received or in the connection's state. */
    struct str body;
    struct str key;    /* Idempotency-Key; n == 0: none */
    struct str ack;    /* for `landed`; copied */
    struct str stream; /* n == 0: the one that the URL names */
};

/* How a body has ended. */
struct stream_outcome {
    enum err err; /* OK: it is durable, but for: */
    uint64_t refused;
    const char *text; /* why it, or the first of the refused, was not taken; may be empty */
};

struct stream_protocol {
    const char *name;
    enum wire_format format;
    size_t state_size;         /* of a connection, zeroed at first */
    const char *const *params; /* beside those of all; ended by NULL; may be NULL */
    unsigned default_port;
    const char *alpn;  /* the protocol's name in TLS; NULL: none is agreed on */
    bool host_is_peer; /* records without a host get the sender's address */
    /* Reads its own parameters; may be NULL. What it makes in the arena becomes its ctx. */
    enum err (*configure)(const struct url *url, struct arena *arena, void **ret);
    enum err (*open)(void *ctx, struct conn *c, void *state); /* may be NULL */
    /* Judges the bytes; an error cuts the sender off. `ended`: nothing more comes. */
    enum err (*cut)(void *ctx, struct conn *c, void *state, struct str in, bool ended,
                    struct stream_cut *ret);
    /* Whether messages may be gathered before they are cut; may be NULL: never. */
    bool (*gathers)(void *ctx, const void *state);
    /* How many of the bytes of a body, which `cut` found, are before the records that what comes
     * may go on with. May be NULL: all. */
    size_t (*before_open)(const struct multiline *m, struct str body);
    /* A body is durable: says so to the sender. May be NULL. */
    enum err (*landed)(void *ctx, struct conn *c, void *state, struct str ack);
    /* In place of `landed`, where what cannot land, or not now, is told to the sender, who is not
     * cut off and sends it again. May be NULL. */
    enum err (*settled)(void *ctx, struct conn *c, void *state, struct str ack,
                        const struct stream_outcome *o);
    void (*close)(void *ctx, void *state); /* may be NULL */
    /* About four times a second; `waiting`: bodies are out. May be NULL. */
    void (*tick)(void *ctx, struct conn *c, void *state, bool waiting);
    /* May be NULL. Datagrams that come to the same port by UDP, for it to answer. */
    void (*datagram)(void *ctx, struct datagram_socket *s, const struct datagram *list, unsigned n);
};

NODISCARD enum err stream_input_open(const struct input_type *type,
                                     const struct stream_protocol *protocol,
                                     const struct input_options *o, const struct url *url,
                                     struct input **ret);
/* The rest of an input_type's callbacks. */
enum err stream_input_start(struct input *in);
void stream_input_stop(struct input *in, int64_t wait_ms);
void stream_input_close(struct input *in);
void stream_input_status(struct input *in, struct input_status *ret);

/* HOST:PORT of a URL; ERR_INVALID without a port and a default one. */
NODISCARD enum err input_address(const struct url *url, unsigned default_port, char *out, size_t n);

#endif
