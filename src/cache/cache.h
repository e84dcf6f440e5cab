/* The cache seam: answers that are costly to get, by key, for so long. Chosen by a URL: memory: is
 * this process's own; redis:// and valkey:// share it among processes; none: keeps nothing.
 *
 *   redis://[user:password@]HOST[:6379][/DATABASE]
 *
 * A cache may lose anything at any time, and never fails its caller: what cannot be had is a miss,
 * what cannot be kept is not kept; it is counted, and logged.
 * Threads: any. Bounds: memory: 64 MiB, of which the oldest go; a value CACHE_VALUE_MAX. A server
 * that does not answer costs a caller at most a second, and is then left alone for five. */
#ifndef WEIR_CACHE_CACHE_H
#define WEIR_CACHE_CACHE_H

#include "core/buf.h"
#include "core/url.h"

enum { CACHE_VALUE_MAX = 8 << 20 };
struct cache;
struct cache_driver {
    bool (*get)(struct cache *c, struct str key, struct buf *ret);
    void (*put)(struct cache *c, struct str key, struct str value, int64_t seconds);
    void (*close)(struct cache *c);
};
struct cache_stats {
    uint64_t hits, misses, errors;
};
/* ERR_INVALID for a URL that is none of these. Does not connect yet. */
NODISCARD enum err cache_open(struct str url, struct cache **ret);
void cache_close(struct cache *c); /* NULL is fine */
/* Appends the value; false when there is none, or it is too old. */
bool cache_get(struct cache *c, struct str key, struct buf *ret);
void cache_put(struct cache *c, struct str key, struct str value, int64_t seconds);
void cache_stats(struct cache *c, struct cache_stats *ret);

#endif
