/* Rows as maps of MessagePack, straight from their columns, and nested as the records are. The
 * values are what msgpack_json.h makes of the same record's JSON.
 *
 * Threads: a writer is one thread's. It lives in the arena, and so do the values that it reads; the
 * rows outlive it. */
#ifndef WEIR_WIRE_MSGPACK_ROWS_H
#define WEIR_WIRE_MSGPACK_ROWS_H

#include "record/rows.h"

struct msgpack_rows;
/* `key`: a member of the top level that a row can be put without; empty: none. (A row that is one
 * JSON text keeps it: there it is no column either.) */
NODISCARD enum err msgpack_rows_new(struct rows *rows, struct str key, struct arena *a,
                                    struct msgpack_rows **ret);
/* Appends the next row, from the first on. */
void msgpack_rows_put(struct msgpack_rows *w, bool without_key, struct buf *out);

#endif
