/* The forward protocol as its client writes and reads it; wire/forward.h has the messages, and
 * input/forward.c the handshake. Threads: pure functions. */
#ifndef WEIR_OUTPUT_FORWARD_WIRE_H
#define WEIR_OUTPUT_FORWARD_WIRE_H

#include "core/buf.h"

/* Appends what stands before the record in its entry [time, record]: the time as EventTime (seconds
 * as a double where that cannot hold it). */
void forward_put_time(int64_t time_ns, struct buf *out);

struct forward_message {
    struct str tag, entries; /* a time and a map each, or packed by gzip */
    uint32_t records;
    struct str chunk; /* n == 0: no acknowledgement is asked for */
    bool gzip;
};
/* PackedForward, or CompressedPackedForward. */
void forward_put_message(const struct forward_message *m, struct buf *out);

/* What a server says. Slices are of the bytes read. */
enum { FORWARD_REPLY_MAX = 1 << 16 };
enum forward_reply_kind { FORWARD_ACK, FORWARD_HELO, FORWARD_PONG };
struct forward_reply {
    enum forward_reply_kind kind;
    struct str ack;
    struct str nonce, auth;          /* HELO */
    bool ok;                         /* PONG */
    struct str reason, host, digest; /* PONG */
};
/* *ret_n: its bytes, 0 when they are not all there. ERR_INVALID: it is no reply. */
NODISCARD enum err forward_reply_read(struct str in, size_t *ret_n, struct forward_reply *ret);

struct forward_key {
    struct str key, user, password, host; /* host: our own name */
};
/* Appends a PING that answers the HELO. */
void forward_put_ping(const struct forward_key *k, const struct forward_reply *helo,
                      struct str salt, struct buf *out);
/* Whether the PONG proves that its sender knows the key. */
bool forward_is_proof(const struct forward_key *k, struct str nonce, struct str salt,
                      const struct forward_reply *pong);

#endif
