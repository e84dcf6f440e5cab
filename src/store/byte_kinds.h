/* Which kinds of bytes texts are made of, in 16 bits: tells at once what cannot stand in any of
 * them. On disk: never renumber. Threads: pure functions. */
#ifndef WEIR_STORE_BYTE_KINDS_H
#define WEIR_STORE_BYTE_KINDS_H

#include "core/str.h"

/* Bit: bytes. */
enum byte_kind {
    BYTES_DIGIT,
    BYTES_LOW_HEX, /* a..f */
    BYTES_LOW,     /* g..z */
    BYTES_UP_HEX,  /* A..F */
    BYTES_UP,      /* G..Z */
    BYTES_SPACE,   /* the space alone */
    BYTES_DOT,     /* . */
    BYTES_COLON,   /* : */
    BYTES_DASH,    /* - */
    BYTES_SLASH,   /* / and the backslash */
    BYTES_LINE,    /* _ */
    BYTES_MARK,    /* @ + % , */
    BYTES_OTHER,   /* the rest of printable ASCII */
    BYTES_CONTROL, /* 0..31, 127 */
    BYTES_WIDE,    /* 128..255 */
    BYTES_KINDS
};
extern const uint16_t byte_kind_bit[256];

static inline enum byte_kind byte_kind_of(uint8_t c)
{
    return (enum byte_kind)__builtin_ctz(byte_kind_bit[c]);
}

static inline uint16_t byte_kinds(struct str s)
{
    const uint8_t *p = (const uint8_t *)s.p, *end = p + s.n;
    const uint16_t *bit = byte_kind_bit;
    unsigned kinds = 0;
    for (; end - p >= 4; p += 4)
        kinds |= bit[p[0]] | bit[p[1]] | bit[p[2]] | bit[p[3]];
    for (; p < end; p++)
        kinds |= bit[*p];
    return (uint16_t)kinds;
}

#endif
