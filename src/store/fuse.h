/* Binary fuse filter, 8 bits (Graf and Lemire, "Binary Fuse Filters: Fast and Smaller Than Xor
 * Filters", 2022): about 9 bits a key, 0.4 % false positives, no false negatives. Keys are 64-bit
 * hashes. Bytes: fuse.c. Threads: pure functions. */
#ifndef WEIR_STORE_FUSE_H
#define WEIR_STORE_FUSE_H

#include "core/arena.h"
#include "core/buf.h"

/* Reorders `key` and may drop repeats in place; appends the filter's bytes. 0 keys is fine (matches
 * nothing). */
NODISCARD enum err fuse_build(uint64_t *key, uint32_t n, struct arena *scratch, struct buf *out);
/* A malformed filter answers true (may match). */
bool fuse_may_contain(struct str filter, uint64_t key);

#endif
