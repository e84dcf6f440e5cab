/* XXH3 compiled into this one file, so that short keys are hashed without a call into the library.
 */
#include "core/hash.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

uint64_t hash64(struct str s)
{
    return XXH3_64bits(s.p, s.n);
}

uint64_t hash64_seed(struct str s, uint64_t seed)
{
    return XXH3_64bits_withSeed(s.p, s.n, seed);
}

struct hash128 hash128(struct str s)
{
    XXH128_hash_t h = XXH3_128bits(s.p, s.n);
    return (struct hash128){.lo = h.low64, .hi = h.high64};
}
