/* Frame: the accepted records of one body for one stream, serialised. It is the WAL's entry, the
 * agent's spool and body, the Kafka value and the open part of the memtable; replay never decodes a
 * protocol again. Versioned, self-describing, checksummed by its carrier. At most FRAME_BYTES_MAX
 * but for a single larger record. The byte layout is written down in frame.c and docs/format.md.
 * Threads: pure functions. */
#ifndef WEIR_RECORD_FRAME_H
#define WEIR_RECORD_FRAME_H

#include "core/hash.h"
#include "record/batch.h"

#define FRAME_BYTES_MAX (512u << 10)
#define FRAME_ROWS_MAX (1u << 20)    /* of any frame */
#define FRAME_PLAIN_MAX (256u << 20) /* of any frame, its columns before LZ4 */

struct frame_info {
    struct str org; /* "default" */
    struct str stream;
    int64_t arrival_ns;
    uint32_t part, parts; /* this frame is part `part` of `parts` (from 0) of its body */
    uint32_t
        first_index;    /* records of the body in earlier parts: row i has index first_index + i */
    struct hash128 key; /* Idempotency-Key, hashed; zero: none */
    struct hash128 payload;             /* of the body as received; zero: none */
    uint64_t producer, epoch, sequence; /* an agent's; zero: none */
    uint64_t raw_bytes; /* of the records as received; encode: 0 means batch_raw_bytes */
    bool lz4;           /* encode: compress the columns with LZ4 */
};

/* Appends the frame of all rows of the batch to `out`. ERR_INVALID when it has none, ERR_LIMIT past
 * a limit above or the buffer's; `out` is unchanged then. */
NODISCARD enum err frame_encode(struct batch *b, const struct frame_info *info, struct buf *out);
/* What a frame that frame_encode made would take without compression. */
size_t frame_plain_bytes(struct str frame);
/* The number of parts is known only behind the last: writes it into a frame that nobody shares yet.
 */
void frame_set_parts(char *frame, uint32_t parts);
/* The same for what the receiver of an agent's frame decides: part, first_index, arrival_ns, key,
 * payload, producer, epoch and sequence of `info`. The bytes are a frame (frame_peek said so). */
void frame_restamp(char *frame, const struct frame_info *info);
/* Opens a frame: everything is bounds-checked, and shapes, columns and counts agree with each
 * other, or ERR_CORRUPT. `bytes` must outlive the arena. `position` and `partition` become the
 * origin's. */
NODISCARD enum err frame_open(struct str bytes, uint64_t position, uint32_t partition,
                              struct arena *arena, struct frame_info *ret_info,
                              struct rows *ret_rows);
/* Only the head: info and the number of rows. */
NODISCARD enum err frame_peek(struct str bytes, struct frame_info *ret_info, uint32_t *ret_rows,
                              int64_t *ret_time_min, int64_t *ret_time_max);

#endif
