/* XXH3 (xxhash.com), 64 and 128 bits; the values are part of on-disk formats. Threads: any. */
#ifndef WEIR_CORE_HASH_H
#define WEIR_CORE_HASH_H

#include "core/str.h"

struct hash128 {
    uint64_t lo, hi;
};
uint64_t hash64(struct str s);
uint64_t hash64_seed(struct str s, uint64_t seed);
struct hash128 hash128(struct str s);
/* Mixes a 64-bit value (splitmix64's finaliser). */
static inline uint64_t hash_mix(uint64_t x)
{
    x ^= x >> 30;
    x *= 0xbf58476d1ce4e5b9ULL;
    x ^= x >> 27;
    x *= 0x94d049bb133111ebULL;
    return x ^ (x >> 31);
}

#endif
