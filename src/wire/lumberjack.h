/* Lumberjack, the protocol of Beats and of Logstash's outputs, versions 1 and 2
 * (github.com/elastic/go-lumber; logstash-input-beats, PROTOCOL.md). Numbers are 32 bits
 * big-endian; V is the version's digit.
 *
 *     V 'W' count                            a window of so many events begins
 *     V 'J' sequence length bytes            an event, as JSON
 *     V 'D' sequence pairs (length key length value)...    an event, as texts
 *     V 'C' length bytes                     frames, compressed by zlib
 *     V 'A' sequence                         answered: everything up to there is durable; 0: wait
 *
 * Threads: pure functions. */
#ifndef WEIR_WIRE_LUMBERJACK_H
#define WEIR_WIRE_LUMBERJACK_H

#include "core/buf.h"

enum { LUMBERJACK_ACK_BYTES = 6 };

/* Where a connection stands; zero at first. */
struct lumberjack {
    char version;
    uint32_t window, seen; /* events of the window, and how many of them came */
    uint32_t sequence;     /* of the last one */
};
/* Reads the whole frames at the beginning of `in`, at least one where *ret_n is not 0, until the
 * window is full or `lines` has lines_max bytes. Events are appended to `lines`, each a line of
 * JSON. Compressed frames may inflate to inflated_max bytes, into `inflated`. *ret_full: the window
 * is; its last sequence wants an acknowledgement. ERR_INVALID, ERR_LIMIT: no such protocol. */
NODISCARD enum err lumberjack_read(struct lumberjack *l, struct str in, size_t lines_max,
                                   size_t inflated_max, struct buf *lines, struct buf *inflated,
                                   size_t *ret_n, bool *ret_full);
void lumberjack_ack(const struct lumberjack *l, uint32_t sequence, char out[LUMBERJACK_ACK_BYTES]);

#endif
