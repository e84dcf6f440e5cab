/* Finding bytes of a class, sixteen at a time, in the compiler's vectors: SSE2, NEON or plain words
 * by the machine. Threads: pure functions. */
#ifndef WEIR_RECORD_SCAN_H
#define WEIR_RECORD_SCAN_H

#include "core/str.h"

typedef uint8_t scan_bytes __attribute__((vector_size(16)));

#define SCAN_ALL(c) ((scan_bytes){c, c, c, c, c, c, c, c, c, c, c, c, c, c, c, c})

/* The first byte of a mask (0xff where the class holds) as an index, 16 where it is empty. */
static inline size_t scan_first(scan_bytes mask)
{
    uint64_t half[2];
    memcpy(half, &mask, sizeof(half));
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    if (half[0])
        return (size_t)__builtin_ctzll(half[0]) / 8;
    return half[1] ? 8 + (size_t)__builtin_ctzll(half[1]) / 8 : 16;
#else
    if (half[0])
        return (size_t)__builtin_clzll(half[0]) / 8;
    return half[1] ? 8 + (size_t)__builtin_clzll(half[1]) / 8 : 16;
#endif
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
/* A quote or a bracket: [ and ] are { and } with one bit less. */
static inline scan_bytes scan_bracket16(scan_bytes v)
{
    scan_bytes curly = v | SCAN_ALL(0x20);
    return (scan_bytes)((v == SCAN_ALL('"')) | (curly == SCAN_ALL('{')) | (curly == SCAN_ALL('}')));
}
static inline bool scan_bracket1(unsigned char c)
{
    return c == '"' || (c | 0x20) == '{' || (c | 0x20) == '}';
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
            size_t first = scan_first(scan_##class##16(v));                                        \
            if (first < sizeof(v))                                                                 \
                return i + first;                                                                  \
        }                                                                                          \
        while (i < n && !scan_##class##1((unsigned char)p[i]))                                     \
            i++;                                                                                   \
        return i;                                                                                  \
    }
SCAN_DEFINE(in_string)
SCAN_DEFINE(bracket)
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

/* The index behind the object or array whose bracket is at `at`, brackets counted without regard to
 * their kind; SIZE_MAX where it is not closed. */
static inline size_t scan_nested_end(const char *p, size_t at, size_t n)
{
    size_t depth = 0;
    while (at < n) {
        if (p[at] == '"') {
            at = scan_string_end(p, at, n);
        } else {
            depth += (p[at] | 0x20) == '{' ? 1 : (size_t)-1;
            at++;
            if (depth == 0)
                return at;
        }
        at += scan_bracket(p + at, n - at);
    }
    return SIZE_MAX;
}

#endif
