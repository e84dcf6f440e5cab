/* gRPC's messages over HTTP/2 (grpc/doc/PROTOCOL-HTTP2.md), of calls with one message each way:
 *
 *   u8 compressed, u32 big-endian length, the message
 *
 * Threads: pure functions. */
#ifndef WEIR_WIRE_GRPC_H
#define WEIR_WIRE_GRPC_H

#include "core/buf.h"
#include "core/err.h"

enum grpc_status {
    GRPC_OK = 0,
    GRPC_INVALID_ARGUMENT = 3,
    GRPC_RESOURCE_EXHAUSTED = 8,
    GRPC_UNIMPLEMENTED = 12,
    GRPC_INTERNAL = 13,
    GRPC_UNAVAILABLE = 14,
};

/* The one message of a call's body; `encoding` (grpc-encoding) is that of a compressed one, which
 * is inflated to `plain`, whose max bounds it. *ret is a slice of either. ERR_INVALID, ERR_LIMIT,
 * ERR_UNSUPPORTED (the encoding). */
NODISCARD enum err grpc_message(struct str body, struct str encoding, struct buf *plain,
                                struct str *ret);
/* Appends a message. */
void grpc_put(struct str message, struct buf *out);
/* Appends a text as grpc-message has it: what is not printable ASCII, and '%', as %XX. */
void grpc_put_text(struct str text, struct buf *out);

#endif
