/* What a text looks like: a hash of its length and some of its bytes. Texts of one column that look
 * alike are mostly equal. Stands in no format. Threads: pure functions. */
#ifndef WEIR_RECORD_LOOKS_H
#define WEIR_RECORD_LOOKS_H

#include "core/str.h"

static inline uint64_t looks_load(const char *p, size_t n)
{
    uint64_t v = 0;
    memcpy(&v, p, n < sizeof(v) ? n : sizeof(v));
    return v;
}

static inline uint64_t looks_of(struct str s)
{
    uint64_t a, b = 0, c = 0, d = 0;
    if (s.n < sizeof(a)) {
        a = looks_load(s.p, s.n);
    } else {
        size_t last = s.n - sizeof(a);
        a = looks_load(s.p, sizeof(a));
        b = looks_load(s.p + last / 3, sizeof(b));
        c = looks_load(s.p + last * 2 / 3, sizeof(c));
        d = looks_load(s.p + last, sizeof(d));
    }
    uint64_t h = (a ^ s.n) * 0x9e3779b97f4a7c15ULL + (b ^ b >> 31) * 0xd6e8feb86659fd93ULL;
    h += (c ^ c >> 29) * 0xc2b2ae3d27d4eb4fULL + (d ^ d >> 32) * 0xff51afd7ed558ccdULL;
    h = (h ^ h >> 32) * 0x9e3779b97f4a7c15ULL;
    return h ^ h >> 29;
}

#endif
