/* The templates met so far: by their static text, by how their texts begin, and which came behind
 * which. Of one block, or kept from block to block (store/learnt.h), then with copies of the first
 * text of each, so that those of the next block need not be cut.
 *
 * Ownership: everything lives in the arena given; without copies it refers to the texts that were
 * cut. Threads: none of its own. */
#ifndef WEIR_STORE_TEMPLATE_KEPT_H
#define WEIR_STORE_TEMPLATE_KEPT_H

#include "store/template_like.h"

enum { MET_FOLLOWERS = 2, MET_WAYS = 4, MET_BEGIN_BITS = 11 /* at most */ };

struct met {
    struct like like; /* made when it is first asked for; its text is the first of the template */
    bool has_like;
    uint32_t block, number;              /* its number in the block at hand, if `block` is that */
    struct met *follower[MET_FOLLOWERS]; /* those that came last behind it, or NULL */
    struct template_var *var;            /* of the text */
};
/* By the hash of static text; met NULL: free. */
struct kept_slot {
    uint64_t hash;
    struct met *met;
};
/* A template of which a text began so. */
struct begun {
    uint64_t hash;
    struct met *met;
};
struct templates_kept {
    struct arena *a;
    bool copies;
    enum template_cut cut;
    uint32_t block; /* the one at hand */
    uint32_t n, mask;
    struct kept_slot *slot;
    unsigned begin_bits;
    struct begun *begun;   /* by how texts begin: MET_WAYS of the last */
    struct arena *scratch; /* of the block at hand, as what follows */
    char *frame;           /* of the text at hand */
    size_t frame_cap;
};

/* begin_bits: of the table by begins. */
void templates_kept_init(struct templates_kept *k, enum template_cut cut, unsigned begin_bits,
                         bool copies, struct arena *a);
/* Another block begins. */
void templates_kept_begin(struct templates_kept *k, struct arena *scratch);
/* The template of a text, which was cut into n variables; a new one where it was not met before. */
struct met *templates_kept_find(struct templates_kept *k, struct str s,
                                const struct template_var *var, uint32_t n);
/* How a text begins, as a number: its digits, and letters that are some in hexadecimal, are taken
 * as one. And the templates of the last texts that began as much like it as a table of them tells:
 * MET_WAYS, NULL behind them. */
uint64_t templates_begin(struct str s);
static inline struct begun *templates_kept_begun(const struct templates_kept *k, uint64_t begin)
{
    return &k->begun[(begin >> (64 - k->begin_bits)) * MET_WAYS];
}
/* x has none yet. */
void met_make_like(struct met *x, struct arena *a);

#endif
