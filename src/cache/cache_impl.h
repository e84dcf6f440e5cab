/* What the caches share. */
#ifndef WEIR_CACHE_CACHE_IMPL_H
#define WEIR_CACHE_CACHE_IMPL_H

#include "cache/cache.h"

#include <stdatomic.h>

/* Every cache begins with this. */
struct cache {
    const struct cache_driver *driver;
    atomic_ullong hits, misses, errors;
};
struct cache *cache_open_memory(void);
NODISCARD enum err cache_open_redis(const struct url *url, struct cache **ret);

#endif
