/* The body that carries messages of one Kafka partition from the input to its decoder (WIRE_KAFKA,
 * and WIRE_KAFKA_JSON where every value is JSON and no place is wanted). kafka.c holds the bytes.
 * A message is one record, or an array of them in JSON and MessagePack; one without a value (a
 * tombstone) is none. A record without a time of its own gets its message's.
 * Threads: pure functions. Bounds: the buffer's maximum. */
#ifndef WEIR_WIRE_KAFKA_H
#define WEIR_WIRE_KAFKA_H

#include "core/buf.h"
#include "record/frame.h"

enum kafka_value {
    KAFKA_AUTO,
    KAFKA_JSON,
    KAFKA_TEXT,
    KAFKA_MSGPACK,
    KAFKA_REFUSED, /* for the dead letters; the key is the reason */
    KAFKA_VALUE_COUNT
};

struct kafka_head {
    enum kafka_value value;
    bool place; /* records get kafka.topic, kafka.partition, kafka.offset, kafka.key */
    struct str topic;
    int32_t partition;
};
struct kafka_message {
    int64_t offset;
    int64_t time_ms; /* below 0: none */
    struct str key, value;
};
void kafka_body_begin(struct buf *out, const struct kafka_head *h);
void kafka_body_add(struct buf *out, const struct kafka_message *m);

/* The name under which a frame from Kafka lands once: of its producer's sequence, where it has one,
 * else of its place. Within a partition the numbers of a (producer, epoch) ascend, but for what is
 * sent again: a unit's frame number i, in this partition, has an epoch of its own. */
struct kafka_unit {
    uint64_t producer, epoch, sequence;
};
void kafka_unit_of(const struct frame_info *info, struct str topic, int32_t partition,
                   int64_t offset, struct kafka_unit *ret);

#endif
