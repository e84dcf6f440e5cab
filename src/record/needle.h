/* Finding a text in many bytes at memory speed: candidates by two of its bytes, 32 or 16 positions
 * at a time, then a full comparison. For the bytes of a whole column at once, or of one value.
 * Threads: pure functions. */
#ifndef WEIR_RECORD_NEEDLE_H
#define WEIR_RECORD_NEEDLE_H

#include "core/str.h"

struct needle {
    struct str text; /* not empty */
    bool fold; /* ASCII upper case in what is searched counts as lower case; text is lower case */
    uint32_t at[2];  /* the two bytes of text that are looked for first */
    uint8_t byte[2]; /* what they are, */
    uint8_t mask[2]; /* after setting these bits (0x20 where a letter is folded) */
};

/* Prepares a search; `text` must outlive it. */
void needle_init(struct needle *s, struct str text, bool fold);
/* The first position >= from where the text stands, or SIZE_MAX. */
size_t needle_next(const struct needle *s, struct str hay, size_t from);
/* The first position >= from where any of n <= NEEDLES_MAX texts stands, or SIZE_MAX: one pass. */
#define NEEDLES_MAX 16
size_t needle_first(const struct needle *s, unsigned n, struct str hay, size_t from);
/* Whether any byte is above 127. */
bool needle_wide(struct str hay);

/* The same without instructions of this machine; for tests. */
size_t needle_next_portable(const struct needle *s, struct str hay, size_t from);

#endif
