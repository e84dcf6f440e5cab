/* JSON text that we wrote ourselves, as MessagePack. Integers of 64 bits are integers, other
 * numbers doubles where that loses no digit, else text; what nests deeper than MSGPACK_JSON_DEPTH
 * stays JSON text. Threads: pure functions. */
#ifndef WEIR_WIRE_MSGPACK_JSON_H
#define WEIR_WIRE_MSGPACK_JSON_H

#include "core/buf.h"
#include "record/type.h"

enum { MSGPACK_JSON_DEPTH = 128 };

/* An object or an array. */
void msgpack_put_json(struct buf *out, struct str json);
/* One value; of a string what stands between its quotes. */
void msgpack_put_json_value(struct buf *out, enum lane lane, struct str text);

#endif
