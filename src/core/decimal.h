/* Decimal digits of integers, two at a time. Threads: any. */
#ifndef WEIR_CORE_DECIMAL_H
#define WEIR_CORE_DECIMAL_H

#include <stdint.h>
#include <string.h>

extern const uint64_t decimal_power[20]; /* of ten */
extern const char decimal_pairs[201];    /* "00" to "99" */

/* How many digits v has; of 0 one. */
static inline unsigned decimal_digits(uint64_t v)
{
    unsigned n = (64 - (unsigned)__builtin_clzll(v | 1)) * 1233 >> 12; /* bits times log10(2) */
    return n + (v >= decimal_power[n]) + (v == 0);
}

/* The last n digits of *v, written before `end`; the first of them. *v is what is left. */
static inline char *decimal_put_before(char *end, uint64_t *v, unsigned n)
{
    uint64_t left = *v;
    for (; n >= 2; n -= 2, left /= 100) {
        end -= 2;
        memcpy(end, decimal_pairs + left % 100 * 2, 2);
    }
    if (n) {
        *--end = (char)('0' + left % 10);
        left /= 10;
    }
    *v = left;
    return end;
}

#endif
