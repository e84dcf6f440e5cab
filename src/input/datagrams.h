/* Inputs on a UDP socket: what arrives together from one sender becomes one body. UDP has no
 * back-pressure: while BYTES_OUT bytes are out the socket is not read, and what the kernel then
 * drops is counted as errors. With multiline= what one sender sends is gathered as on a connection
 * (stream.h), of the last 64 senders. URL parameters: stream, service, host, multiline,
 * multiline_wait. */
#ifndef WEIR_INPUT_DATAGRAMS_H
#define WEIR_INPUT_DATAGRAMS_H

#include "input/parcel.h"
#include "net/datagram.h"

struct datagram_protocol {
    const char *name;
    enum wire_format format;
    unsigned default_port;
    /* Its own state, made when the input opens; may be NULL. */
    void *(*new_state)(const struct input_options *o);
    void (*free_state)(void *ctx);
    /* Appends the datagram to a body, or keeps it where its rest is missing. ERR_INVALID,
     * ERR_LIMIT: it is dropped and counted. */
    enum err (*add)(void *ctx, struct datagram_socket *s, const struct datagram *d,
                    struct buf *body);
    void (*tick)(void *ctx); /* may be NULL */
};

NODISCARD enum err datagram_input_open(const struct input_type *type,
                                       const struct datagram_protocol *protocol,
                                       const struct input_options *o, const struct url *url,
                                       struct input **ret);
enum err datagram_input_start(struct input *in);
void datagram_input_stop(struct input *in, int64_t wait_ms);
void datagram_input_close(struct input *in);
void datagram_input_status(struct input *in, struct input_status *ret);

#endif
