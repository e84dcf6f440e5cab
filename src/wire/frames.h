/* The body that carries frames from an agent to a server, content type FRAMES_TYPE: who sends, and
 * its frames with their sequence numbers. frames.c holds the bytes. Frames that stand behind each
 * other with one number are one *unit*, which lands as a whole, and once.
 * Threads: pure functions. Bounds: that of the body. */
#ifndef WEIR_WIRE_FRAMES_H
#define WEIR_WIRE_FRAMES_H

#include "core/buf.h"

#define FRAMES_TYPE "application/vnd.weir.frames"

struct frames_head {
    uint64_t producer, epoch; /* not 0 */
};
struct frames_item {
    uint64_t sequence; /* not 0; never smaller than that of the one before */
    struct str frame;  /* a slice of the body, its checksum right; not opened */
};

void frames_begin(struct buf *out, const struct frames_head *h);
void frames_add(struct buf *out, uint64_t sequence, struct str frame);

struct frames_reader {
    struct reader in;
    uint64_t last;
};
/* ERR_INVALID, with the place, when the body is not of this form. */
NODISCARD enum err frames_open(struct str body, struct frames_reader *r, struct frames_head *ret);
/* *ret_more false at the end. */
NODISCARD enum err frames_next(struct frames_reader *r, struct frames_item *ret, bool *ret_more);

#endif
