/* Words that recur in the slots of templates: ids of requests, traces, sessions and connections,
 * paths, hosts. Slots whose values are mostly such words hold codes into dictionaries that all
 * slots share. Ownership: everything lives in the arena given. Threads: pure functions. */
#ifndef WEIR_STORE_TEMPLATE_WORDS_H
#define WEIR_STORE_TEMPLATE_WORDS_H

#include "store/template_read.h"

struct shared_slot {
    const uint32_t *code; /* of each text of its template; NULL: the slot is not shared */
    uint8_t dict;
};
struct shared_words {
    struct shared_slot *slot; /* of all templates, in order; NULL when none is shared */
    uint32_t n_dicts;
    struct values dict[TEMPLATE_DICTS_MAX]; /* in order of first appearance */
};
/* Also joins neighbouring slots of which one tells the other. */
NODISCARD enum err shared_words_find(struct templates *t, struct arena *a,
                                     struct shared_words *ret);

#endif
