/* The bytes of a column by template and slot, over all blocks of a section: for `weir segment
 * inspect`. Threads: pure functions over arenas. */
#ifndef WEIR_STORE_SEGMENT_TEMPLATES_H
#define WEIR_STORE_SEGMENT_TEMPLATES_H

#include "store/block_dir.h"

struct slot_sum {
    uint64_t values, bytes;
    uint32_t kinds; /* bit 1 << enum slot_kind: it is held so in some block */
};
struct template_sum {
    struct str pattern;   /* as shown */
    uint64_t rows, bytes; /* bytes: of its slots and its pattern */
    uint32_t n_slots;
    struct slot_sum *slot;
};
struct templates_sum {
    struct template_sum *t; /* the largest first */
    uint32_t n;
    /* What is no template's own: which template each text has, dictionaries that slots share, the
     * directory of slots. */
    uint64_t codes, words, heads;
};

/* Of blocks whose column is held by templates; what cannot be read is an error. `from` as it was
 * opened. */
NODISCARD enum err segment_templates(const struct dir *d, uint32_t column,
                                     const struct block_source *from, struct arena *a,
                                     struct templates_sum *ret);
const char *segment_slot_kind(unsigned kind); /* NULL: there is no such kind */

#endif
