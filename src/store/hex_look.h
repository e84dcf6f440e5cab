/* What a text holds that may be a hexadecimal number, many bytes at a time. Threads: pure. */
#ifndef WEIR_STORE_HEX_LOOK_H
#define WEIR_STORE_HEX_LOOK_H

#include "record/scan.h"

enum { HEX_DIGITS = 1, HEX_LETTERS = 2, HEX_OTHER = 4 };

#define HEX_EACH(byte) (UINT64_MAX / 255 * (uint64_t)(byte))

/* The high bit of each byte of the low seven bits x that is in [from, to). */
static inline uint64_t hex_between(uint64_t x, unsigned from, unsigned to)
{
    return (x + HEX_EACH(0x80 - from)) & ~(x + HEX_EACH(0x80 - to));
}

static inline unsigned hex_look8(uint64_t x)
{
    const uint64_t high = HEX_EACH(0x80), ascii = ~x & high;
    uint64_t digit = hex_between(x & ~high, '0', '9' + 1) & ascii;
    uint64_t letter = hex_between((x | HEX_EACH(0x20)) & ~high, 'a', 'f' + 1) & ascii;
    return (digit ? HEX_DIGITS : 0u) | (letter ? HEX_LETTERS : 0u) |
           ((digit | letter) != high ? HEX_OTHER : 0u);
}

static inline unsigned hex_look16(const char *p)
{
    scan_bytes v;
    memcpy(&v, p, sizeof(v));
    uint32_t digits = scan_bits(scan_digits16(v));
    uint32_t letters =
        scan_bits((scan_bytes)((v | SCAN_ALL(0x20)) - SCAN_ALL('a') <= SCAN_ALL('f' - 'a')));
    return (digits ? HEX_DIGITS : 0u) | (letters ? HEX_LETTERS : 0u) |
           ((digits | letters) != 0xffff ? HEX_OTHER : 0u);
}

/* Which of digits, letters up to f of either case and other bytes there are; no more is looked at
 * behind one of the others. */
static inline unsigned hex_look(const char *p, size_t n)
{
    unsigned look = 0;
    uint64_t x;
    if (n < sizeof(x)) { /* each byte at least once */
        uint32_t first, last;
        if (n == 0)
            return 0;
        if (n >= sizeof(first)) {
            memcpy(&first, p, sizeof(first));
            memcpy(&last, p + n - sizeof(last), sizeof(last));
        } else {
            first = (uint32_t)(uint8_t)p[0] * 0x01010101U;
            last = (uint32_t)(uint8_t)p[n / 2] << 16 | (uint32_t)(uint8_t)p[n / 2] << 24 |
                   (uint32_t)(uint8_t)p[n - 1] << 8 | (uint8_t)p[n - 1];
        }
        return hex_look8((uint64_t)first << 32 | last);
    }
    if (n >= sizeof(scan_bytes)) {
        for (size_t i = 0; i + sizeof(scan_bytes) <= n && !(look & HEX_OTHER);
             i += sizeof(scan_bytes))
            look |= hex_look16(p + i);
        return look | hex_look16(p + n - sizeof(scan_bytes));
    }
    for (size_t i = 0; i + sizeof(x) <= n && !(look & HEX_OTHER); i += sizeof(x)) {
        memcpy(&x, p + i, sizeof(x));
        look |= hex_look8(x);
    }
    memcpy(&x, p + n - sizeof(x), sizeof(x));
    return look | hex_look8(x);
}

#endif
