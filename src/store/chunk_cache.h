/* Bytes of segment files kept in memory: chunks as they stand in the file, and their parts
 * decompressed; and answers that queries keep of blocks, which chunks do not drive out. One for the
 * process; least recently used goes first. Bounded by its own maximum, each of the two, and by the
 * governor (OWNER_CACHE): what does not fit is simply not kept. Threads: any; a lock per
 * shard. */
#ifndef WEIR_STORE_CHUNK_CACHE_H
#define WEIR_STORE_CHUNK_CACHE_H

#include "core/blob.h"

struct chunk_key {
    uint64_t segment, offset; /* segment is never 0 */
    uint64_t part;            /* 0: the stored chunk; else a part of it, decompressed */
};
#define CHUNK_KEY_KEPT ((uint64_t)1 << 63) /* in `part`: no chunk, but an answer of a query */
/* A reference, or NULL. */
struct blob *chunk_cache_get(const struct chunk_key *key);
/* Takes a reference of its own; the blob must be charged to OWNER_CACHE already. */
void chunk_cache_put(const struct chunk_key *key, struct blob *b);
/* In place of what is there: for what is no chunk and gets newer. */
void chunk_cache_replace(const struct chunk_key *key, struct blob *b);
/* Default 64 MiB; 0 keeps nothing. */
void chunk_cache_set_max(size_t bytes);
bool chunk_cache_keeps(void);            /* anything at all */
void chunk_cache_drop(uint64_t segment); /* all of a segment: its file is gone */
struct chunk_cache_stats {
    uint64_t hits, misses, bytes, entries;
};
void chunk_cache_stats(struct chunk_cache_stats *ret);

#endif
