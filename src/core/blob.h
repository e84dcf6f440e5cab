/* Immutable bytes with a reference count: a frame on its way from the decoder through the queue
 * into the memtable, a sealed block, a cached chunk. The bytes are charged to an owner of the
 * governor from birth (forced: admission is decided earlier) to the last unref. Threads: ref and
 * unref from any. */
#ifndef WEIR_CORE_BLOB_H
#define WEIR_CORE_BLOB_H

#include "core/governor.h"
#include "core/str.h"

struct blob {
    _Atomic uint32_t refs;
    enum owner owner;
    struct str bytes;
};

/* Takes over `p`, which came from mem_alloc (a buf's p, for example); refs is 1. */
struct blob *blob_take(char *p, size_t n, enum owner owner);
struct blob *blob_copy(struct str s, enum owner owner);
struct blob *blob_ref(struct blob *b);
void blob_unref(struct blob *b); /* NULL is fine */
/* Moves the charge, as when a queued frame enters the memtable. One thread at a time per blob. */
void blob_charge(struct blob *b, enum owner owner);

#endif
