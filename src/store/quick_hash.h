/* A hash of texts for tables in memory, which stands in no format: most texts that encoders look up
 * are words and short values, for which a call costs as much as the hash. Threads: any. */
#ifndef WEIR_STORE_QUICK_HASH_H
#define WEIR_STORE_QUICK_HASH_H

#include "core/hash.h"

#include <string.h>

#define QUICK_HASH_LONG 64 /* from here on hash64 is quicker */

static inline uint64_t quick_hash_mix(uint64_t a, uint64_t b)
{
    unsigned __int128 x =
        (unsigned __int128)(a ^ 0xa0761d6478bd642fULL) * (b ^ 0xe7037ed1a0b428dbULL);
    return (uint64_t)x ^ (uint64_t)(x >> 64);
}

static inline uint64_t quick_hash(struct str s)
{
    uint64_t a = 0, b = 0, h = s.n;
    if (s.n > QUICK_HASH_LONG)
        return hash64(s);
    if (s.n < 8) { /* each byte at least once */
        uint32_t first = 0, last = 0;
        size_t n = s.n < sizeof(first) ? s.n : sizeof(first);
        if (n == sizeof(first)) {
            memcpy(&first, s.p, sizeof(first));
            memcpy(&last, s.p + s.n - sizeof(last), sizeof(last));
        } else if (n) {
            first = (uint32_t)(uint8_t)s.p[0] << 16 | (uint32_t)(uint8_t)s.p[n / 2] << 8;
            last = (uint8_t)s.p[n - 1];
        }
        return quick_hash_mix((uint64_t)first << 32 | last, h);
    }
    for (size_t i = 0; i + 16 < s.n; i += 16) {
        memcpy(&a, s.p + i, 8);
        memcpy(&b, s.p + i + 8, 8);
        h = quick_hash_mix(a ^ h, b);
    }
    size_t tail = s.n < 16 ? 0 : s.n - 16;
    memcpy(&a, s.p + tail, 8);
    memcpy(&b, s.p + s.n - 8, 8);
    return quick_hash_mix(a ^ h, b);
}

#endif
