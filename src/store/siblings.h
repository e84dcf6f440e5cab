/* Slots of one template beside each other: the numbers of those before a slot, for an encoder that
 * may hold it by its difference to one of them (encoding_difference.c). */
#ifndef WEIR_STORE_SIBLINGS_H
#define WEIR_STORE_SIBLINGS_H

#include "store/numeral.h"

#define SIBLINGS_MAX 12

struct sibling {
    int64_t *number; /* mantissas, of so many values as the slot has */
    uint8_t frac;
    uint32_t slot; /* which of the template */
};
struct siblings {
    struct sibling s[SIBLINGS_MAX]; /* held as numerals, the newest last */
    uint32_t n;
    uint32_t slot; /* that is being encoded */
    /* Its numbers, once they were read; is_number false: they are none. */
    bool read, is_number;
    struct numeral_form form;
    int64_t *number; /* room for them */
};

#endif
