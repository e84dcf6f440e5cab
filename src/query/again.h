/* Lines that a tail showed of rows that are in memory alone, until they are published: should the
 * server forget them (store_reset), each comes again, by its own hand or another's, at another
 * position, and is to be passed over then. They are known by what was shown of them; of two that
 * look alike it does not matter which is which.
 * Bounds: AGAIN_MAX lines; of more the oldest would be shown again. Threads: one. */
#ifndef WEIR_QUERY_AGAIN_H
#define WEIR_QUERY_AGAIN_H

#include "core/str.h"

enum { AGAIN_MAX = 1 << 17 };

struct again {
    struct again_line {
        uint64_t position, key;
    } * line; /* shown; ascending positions from `first` on */
    size_t first, n, cap;
    uint64_t *due; /* keys of those that come again, ascending, of each as many as come */
    size_t n_due;
};
void again_release(struct again *a);
/* `text` without its own `id`, wherever that stands. */
uint64_t again_key(struct str text, struct str id);
void again_shown(struct again *a, uint64_t position, uint64_t key);
void again_published(struct again *a, uint64_t below);
/* What was shown at positions from .. upto is forgotten. */
void again_forgotten(struct again *a, uint64_t from, uint64_t upto);
/* True: it was shown, and has now come again. */
bool again_came(struct again *a, uint64_t key);

#endif
