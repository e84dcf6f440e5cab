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

/* For who has not all of a filter in memory: what a key asks of it lies in one window, three
 * segments next to each other. */
enum { FUSE_HEAD_BYTES = 16 };
struct fuse_shape {
    uint64_t seed;
    uint32_t segment, count; /* length of a segment; segments that a window may begin with */
};
/* From the first bytes of a filter of so many bytes (not 0). False: it is malformed. */
bool fuse_shape_read(struct str head, uint64_t length, struct fuse_shape *ret);
/* The number of the segment that the key's window begins with, below `count`; segment i stands
 * FUSE_HEAD_BYTES + i * segment bytes from the filter's start, and there are count + 2. */
uint32_t fuse_window(const struct fuse_shape *s, uint64_t key);
bool fuse_window_may_contain(const struct fuse_shape *s, struct str window, uint64_t key);

#endif
