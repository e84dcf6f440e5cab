/* Escapes found and undone 64 bytes at a time; this file alone is compiled for AVX-512 with VBMI2
 * (CMakeLists.txt). What it cannot tell by itself (\u, and what is no escape) ends a step, and is
 * looked at as everywhere else. */
#include "record/json_unescape.h"
#include "record/scan.h"

#ifdef __AVX512VBMI2__
#include <immintrin.h>

enum { STEP = 64 };

/* The bytes of a step, of which `n` are there: as many as were taken, which may be none where the
 * first begins an escape that is not undone here. */
static inline unsigned unescape_step(const char *p, unsigned n, char **to)
{
    const bool whole = n == STEP;
    const __m512i low = _mm512_loadu_si512(json_escapes),
                  high = _mm512_loadu_si512(json_escapes + STEP);
    uint64_t inside = n < STEP ? _bzhi_u64(UINT64_MAX, n) : UINT64_MAX;
    __m512i v = _mm512_maskz_loadu_epi8(inside, p);
    uint64_t backslash = _mm512_cmpeq_epi8_mask(v, _mm512_set1_epi8('\\'));
    uint64_t begins = scan_escapes(backslash), escaped = begins << 1;
    __m512i means = _mm512_permutex2var_epi8(low, v, high);
    uint64_t unknown = escaped & (_mm512_testn_epi8_mask(means, means) | _mm512_movepi8_mask(v));
    /* The last byte may begin an escape, too. */
    uint64_t stop = unknown >> 1 | (begins & UINT64_C(1) << (n - 1));
    if (stop) {
        n = (unsigned)_tzcnt_u64(stop);
        inside = _bzhi_u64(UINT64_MAX, n);
    }
    uint64_t kept = inside & ~begins;
    unsigned left = (unsigned)_mm_popcnt_u64(kept);
    v = _mm512_maskz_compress_epi8(kept, _mm512_mask_mov_epi8(v, escaped, means));
    if (whole)
        _mm512_storeu_si512(*to, v); /* what is too much is written over: the source is ahead */
    else
        _mm512_mask_storeu_epi8(*to, _bzhi_u64(UINT64_MAX, left), v);
    *to += left;
    return n;
}

bool json_unescape_avx512(struct str s, char *to, size_t *ret_n, size_t *ret_bad)
{
    char *start = to;
    const char *p = s.p, *end = s.p + s.n;
    while (p < end) {
        size_t left = (size_t)(end - p);
        unsigned n = unescape_step(p, left < STEP ? (unsigned)left : STEP, &to);
        p += n;
        if (p < end && *p == '\\' && n < STEP && !json_unescape_one(&p, end, &to)) {
            *ret_bad = (size_t)(p - s.p);
            return false;
        }
    }
    *ret_n = (size_t)(to - start);
    return true;
}
#endif
