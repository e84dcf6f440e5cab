/* Unpacking protobuf by protobuf-c, into arenas. Messages are described level by level (the .proto
 * files of this folder leave what is inside as bytes), and each level has its own memory, which is
 * given back when the next message of that level comes.
 * Owner: the decoder; one thread. Bounds: the reservation. */
#ifndef WEIR_WIRE_PROTO_H
#define WEIR_WIRE_PROTO_H

#include "core/arena.h"
#include "core/governor.h"

#include <protobuf-c/protobuf-c.h>

struct proto_level {
    struct arena arena;
    ProtobufCAllocator allocator;
};

void proto_init(struct proto_level *l, struct reservation *r);
void proto_release(struct proto_level *l);
/* What the level held before is gone. ERR_INVALID: it is no message of that kind; ERR_NOMEM. `what`
 * is for the text. */
NODISCARD enum err proto_unpack(struct proto_level *l, const ProtobufCMessageDescriptor *kind,
                                struct str bytes, const char *what, void *ret_message);
/* One more message beside what the level holds. */
NODISCARD enum err proto_unpack_more(struct proto_level *l, const ProtobufCMessageDescriptor *kind,
                                     struct str bytes, const char *what, void *ret_message);

static inline struct str proto_str(ProtobufCBinaryData b)
{
    return str_of((const char *)b.data, b.len);
}

#endif
