/* Values of a column of which each different text stands once: entries, and of each value which of
 * them it is. It saves who carries them the bytes of what repeats, and who encodes or searches them
 * a look at each value.
 * Ownership: everything points into what its maker keeps alive. Threads: pure functions. */
#ifndef WEIR_RECORD_CODED_H
#define WEIR_RECORD_CODED_H

#include "record/rows.h"

struct coded_values {
    struct values v;     /* the values, or their entries, by offsets */
    uint32_t n;          /* values */
    const uint8_t *code; /* NULL: v are the values; else each one's entry, `width` bytes each */
    unsigned width;      /* 1 or 2, little-endian */
    uint64_t text_bytes; /* of all values of a text lane */
};
#define CODED_ENTRIES_MAX (1u << 16)

static inline unsigned coded_width(uint32_t entries)
{
    return entries <= 1u << 8 ? 1 : 2;
}
static inline uint32_t coded_at(const struct coded_values *c, uint32_t i)
{
    uint16_t two;
    if (c->width == 1)
        return c->code[i];
    memcpy(&two, c->code + 2 * (size_t)i, sizeof(two));
    return two;
}
static inline struct str coded_text(const struct coded_values *c, uint32_t i)
{
    return values_text(&c->v, c->code ? coded_at(c, i) : i);
}

/* Whether values that stand as they are take clearly fewer bytes as entries and codes; those then,
 * in the arena. Entries stand in order of first appearance; a few may be equal. */
bool coded_make(const struct values *v, struct arena *a, struct coded_values *ret);

/* impl is a `const struct coded_values *` with codes. */
extern const struct column_ops coded_column_ops;

#endif
