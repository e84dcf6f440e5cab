/* A unit's frames as Kafka carries them: each message a frame of one service, so that a service's
 * records stand in one partition, and none larger than the topic takes. The frame's head says whose
 * it is (producer, epoch, sequence) and which part of its unit: by that it lands once
 * (wire/kafka.h). Cutting is deterministic: what is sent again is cut the same.
 * Ownership: pieces live in the arena. Threads: pure functions. */
#ifndef WEIR_WIRE_KAFKA_PIECES_H
#define WEIR_WIRE_KAFKA_PIECES_H

#include "record/frame.h"

struct kafka_piece {
    struct str key;    /* the service; n == 0: none */
    char *frame;       /* of `bytes` */
    size_t bytes;      /* 0: the row is too large, and left out */
    uint32_t frame_no; /* of the unit's frames that were given, */
    uint32_t row;      /* and its first row in that */
    uint32_t rows;
};
struct kafka_pieces {
    struct arena *arena;
    struct kafka_piece *piece;
    uint32_t n, cap;
};

/* Adds those of one more frame of the unit. key: the field, mostly "service". ERR_CORRUPT. */
NODISCARD enum err kafka_pieces_add(struct kafka_pieces *p, struct str frame, struct str key,
                                    size_t bytes_max);
/* All of the unit are there: writes whose they are into the heads, and which part of the unit. A
 * frame that has no producer yet gets its arrival as its mark (store/producer.h). */
void kafka_pieces_stamp(struct kafka_pieces *p, uint64_t producer, uint64_t epoch,
                        uint64_t sequence);

#endif
