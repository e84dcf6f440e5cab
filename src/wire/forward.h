/* The forward protocol of Fluentd and Fluent Bit, version 1
 * (github.com/fluent/fluentd/wiki/Forward-Protocol-Specification-v1): MessagePack arrays
 *
 *     [tag, time, record, option?]               Message
 *     [tag, [[time, record], ...], option?]      Forward
 *     [tag, bytes, option?]                      PackedForward: entries as above, behind each other
 *                                                option.compressed "gzip", "zstd": compressed
 *
 * time: seconds, or EventTime (extension 0: seconds and nanoseconds, 32 bits big-endian each). An
 * entry of Fluent Bit may be [[time, metadata], record]. option.chunk asks for an acknowledgement.
 *
 * A record is the map's members, with `tag` behind them (`_tag` where the record has a `tag`), and
 * `metadata` where that is not empty. Its time is the entry's, but for time 0.
 * Threads: pure functions. */
#ifndef WEIR_WIRE_FORWARD_H
#define WEIR_WIRE_FORWARD_H

#include "wire/msgpack.h"

enum { FORWARD_ELEMENTS_MAX = 6 };

/* Where the search for the end of the first message stands; zero at first and after each. */
struct forward_scan {
    struct msgpack_scan scan;
    unsigned n, element;                /* elements of the array, and the one under way */
    size_t start[FORWARD_ELEMENTS_MAX]; /* of its elements */
    bool begun;
};
/* *ret_n: the bytes of the first message, 0 when they are not all there. *ret_chunk: what it wants
 * acknowledged, or empty. *ret_nil: it is a nil, a heartbeat. ERR_INVALID for what is no array. */
NODISCARD enum err forward_next(struct forward_scan *s, struct str in, size_t *ret_n,
                                struct str *ret_chunk, bool *ret_nil);

/* The proof of a shared key: SHA-512 of the parts behind each other, in lower-case hex. */
enum { FORWARD_DIGEST_BYTES = 128 };
void forward_digest(const struct str *part, unsigned n, char hex[FORWARD_DIGEST_BYTES]);

#endif
