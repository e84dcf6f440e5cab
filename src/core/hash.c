/* XXH3 compiled into this one file, so that short keys are hashed without a call into the library.
 */
#include "core/hash.h"

#include "core/hash_avx2.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

/* Longer keys are hashed in stripes. */
#define LONG_KEY 240

uint64_t hash64(struct str s)
{
#ifdef __x86_64__
    if (s.n > LONG_KEY && __builtin_cpu_supports("avx2"))
        return hash64_avx2(s);
#endif
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
