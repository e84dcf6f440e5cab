/* Finding bytes of a class, sixteen at a time, in the compiler's vectors: SSE2, NEON or plain words
 * by the machine; and from them the structure of JSON as bits, 64 bytes at a time. Threads: pure
 * functions. */
#ifndef WEIR_RECORD_SCAN_H
#define WEIR_RECORD_SCAN_H

#include "core/str.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

typedef uint8_t scan_bytes __attribute__((vector_size(16)));

#define SCAN_ALL(c) ((scan_bytes){c, c, c, c, c, c, c, c, c, c, c, c, c, c, c, c})

/* A mask (bytes of 0xff where the class holds) as bits, the first byte lowest. */
static inline uint32_t scan_bits(scan_bytes mask)
{
#ifdef __SSE2__
    return (uint32_t)_mm_movemask_epi8((__m128i)mask);
#else
    /* Each byte keeps a bit of its own; the product gathers the eight of a word in its top byte. */
    const scan_bytes own = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
    uint64_t half[2];
    mask &= own;
    memcpy(half, &mask, sizeof(half));
    return (uint32_t)(half[0] * 0x0101010101010101ULL >> 56) |
           (uint32_t)(half[1] * 0x0101010101010101ULL >> 56) << 8;
#endif
}

/* Equality without a call for what is short mostly: two words that may overlap. */
static inline bool scan_equal(const char *a, const char *b, size_t n)
{
    uint64_t a0, a1, b0, b1;
    uint32_t c0, c1, d0, d1;
    if (n > 16)
        return memcmp(a, b, n) == 0;
    if (n >= 8) {
        memcpy(&a0, a, 8);
        memcpy(&b0, b, 8);
        memcpy(&a1, a + n - 8, 8);
        memcpy(&b1, b + n - 8, 8);
        return ((a0 ^ b0) | (a1 ^ b1)) == 0;
    }
    if (n >= 4) {
        memcpy(&c0, a, 4);
        memcpy(&d0, b, 4);
        memcpy(&c1, a + n - 4, 4);
        memcpy(&d1, b + n - 4, 4);
        return ((c0 ^ d0) | (c1 ^ d1)) == 0;
    }
    return n == 0 || (a[0] == b[0] && a[n / 2] == b[n / 2] && a[n - 1] == b[n - 1]);
}

/* How many bytes are the same from a and from b on, of n. */
static inline size_t scan_same(const char *a, const char *b, size_t n)
{
    size_t i = 0;
    for (; n - i >= sizeof(scan_bytes); i += sizeof(scan_bytes)) {
        scan_bytes x, y;
        memcpy(&x, a + i, sizeof(x));
        memcpy(&y, b + i, sizeof(y));
        uint32_t same = scan_bits((scan_bytes)(x == y));
        if (same != UINT16_MAX)
            return i + (size_t)__builtin_ctz(~same);
    }
    while (i < n && a[i] == b[i])
        i++;
    return i;
}

/* Of sixteen bytes: digits; and letters of ASCII, '_' and bytes above ASCII. */
static inline scan_bytes scan_digits16(scan_bytes v)
{
    return (scan_bytes)(v - SCAN_ALL('0') <= SCAN_ALL('9' - '0'));
}
static inline scan_bytes scan_letters16(scan_bytes v)
{
    scan_bytes ascii = (scan_bytes)((v | SCAN_ALL(0x20)) - SCAN_ALL('a') <= SCAN_ALL('z' - 'a'));
    return ascii | (scan_bytes)((v == SCAN_ALL('_')) | (v > SCAN_ALL(0x7f)));
}

/* The classes: a mask for sixteen bytes, and the same question for one. */
static inline scan_bytes scan_in_string16(scan_bytes v)
{
    return (scan_bytes)((v == SCAN_ALL('"')) | (v == SCAN_ALL('\\')));
}
static inline bool scan_in_string1(unsigned char c)
{
    return c == '"' || c == '\\';
}
/* What cannot stand for itself between quotes, and bytes above ASCII, which may be bad UTF-8. */
static inline scan_bytes scan_special16(scan_bytes v)
{
    return (scan_bytes)((v < SCAN_ALL(0x20)) | (v > SCAN_ALL(0x7f)) | (v == SCAN_ALL('"')) |
                        (v == SCAN_ALL('\\')));
}
static inline bool scan_special1(unsigned char c)
{
    return c < 0x20 || c > 0x7f || c == '"' || c == '\\';
}
static inline scan_bytes scan_high16(scan_bytes v)
{
    return (scan_bytes)(v > SCAN_ALL(0x7f));
}
static inline bool scan_high1(unsigned char c)
{
    return c > 0x7f;
}

/* size_t scan_CLASS(p, n): the index of the first byte of the class, or n. */
#define SCAN_DEFINE(class)                                                                         \
    static inline size_t scan_##class(const char *p, size_t n)                                     \
    {                                                                                              \
        size_t i = 0;                                                                              \
        for (; n - i >= sizeof(scan_bytes); i += sizeof(scan_bytes)) {                             \
            scan_bytes v;                                                                          \
            memcpy(&v, p + i, sizeof(v));                                                          \
            uint32_t bits = scan_bits(scan_##class##16(v));                                        \
            if (bits)                                                                              \
                return i + (size_t)__builtin_ctz(bits);                                            \
        }                                                                                          \
        while (i < n && !scan_##class##1((unsigned char)p[i]))                                     \
            i++;                                                                                   \
        return i;                                                                                  \
    }
SCAN_DEFINE(in_string)
SCAN_DEFINE(special)
SCAN_DEFINE(high)

/* The index behind the string whose opening quote is at `at`, or n where it is not closed. */
static inline size_t scan_string_end(const char *p, size_t at, size_t n)
{
    at++;
    for (;;) {
        at += scan_in_string(p + at, n - at);
        if (at >= n)
            return n;
        if (p[at] == '"')
            return at + 1;
        if (n - at < 2)
            return n;
        at += 2;
    }
}

/* What 64 bytes hold, a bit a byte. */
struct scan_block {
    uint64_t quote, backslash, open, close;
};

static inline void scan_block(const char *p, struct scan_block *ret)
{
    *ret = (struct scan_block){0};
    for (int i = 0; i < 4; i++) {
        scan_bytes v;
        memcpy(&v, p + i * 16, sizeof(v));
        scan_bytes curly = v | SCAN_ALL(0x20); /* [ and ] are { and } with one bit less */
        ret->quote |= (uint64_t)scan_bits((scan_bytes)(v == SCAN_ALL('"'))) << i * 16;
        ret->backslash |= (uint64_t)scan_bits((scan_bytes)(v == SCAN_ALL('\\'))) << i * 16;
        ret->open |= (uint64_t)scan_bits((scan_bytes)(curly == SCAN_ALL('{'))) << i * 16;
        ret->close |= (uint64_t)scan_bits((scan_bytes)(curly == SCAN_ALL('}'))) << i * 16;
    }
}

/* Of backslashes, a bit each, those that begin an escape, where the first byte stands for itself:
 * in a run the first, third and so on. Subtraction carries through each run. */
static inline uint64_t scan_escapes(uint64_t backslash)
{
    const uint64_t odd = UINT64_C(0xaaaaaaaaaaaaaaaa);
    uint64_t behind = backslash << 1;
    return (((behind | odd) - backslash) ^ odd) & backslash;
}

/* Which bytes a backslash before them shields; *carry: one shields the next block's first byte. */
static inline uint64_t scan_shielded(uint64_t backslash, uint64_t *carry)
{
    uint64_t begins = scan_escapes(backslash & ~*carry), shielded = begins << 1 | *carry;
    *carry = begins >> 63;
    return shielded;
}

/* Bit i of the result: whether an odd number of bits is set up to and with bit i. */
static inline uint64_t scan_parity(uint64_t bits)
{
    for (int shift = 1; shift < 64; shift *= 2)
        bits ^= bits << shift;
    return bits;
}

/* The index behind the object or array whose bracket is at `at`, brackets counted without regard to
 * their kind; SIZE_MAX where it is not closed. */
size_t scan_nested_end(const char *p, size_t at, size_t n);

#endif
