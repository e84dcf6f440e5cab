/* Texts that are like one seen before: the same static text, and at the same places variables. Most
 * lines of a log are told by a look at a template they are expected to have, without being cut
 * (record/template_cut.h) and looked up; what is found is what cutting would find.
 * Ownership: `like` refers to the text that it was made of, and lives in the arena given. Threads:
 * pure functions. */
#ifndef WEIR_STORE_TEMPLATE_LIKE_H
#define WEIR_STORE_TEMPLATE_LIKE_H

#include "core/arena.h"
#include "record/template_cut.h"
#include "store/numeral.h"

#include <string.h>

struct like_var {
    uint64_t first, mask; /* the static text before it and its bytes; mask 0: longer than 8 */
    uint32_t from, to;    /* in the text */
    uint32_t hex;         /* template_hex_length */
    uint32_t lead;        /* bytes of its token before it */
    bool numeral;         /* numeral_parse reads it */
    bool number;          /* and whatever digits it has, it is a variable of that place */
    bool padded;          /* more spaces may stand in front of it */
    bool fraction;        /* it may have a fraction */
    bool all_hex;         /* it has digits and letters up to f */
    bool short_hex;       /* and 0x before them, but is too short for an id */
    bool words;           /* it is a token of several words */
    bool ends;            /* what stands behind it ends its token */
};
struct like {
    struct str text;
    /* Up to eight bytes of the static text that it begins and ends with, and all of the latter. */
    uint64_t head, head_mask, tail, tail_mask;
    uint32_t tail_bytes;
    enum template_cut cut;
    uint32_t n;
    struct like_var *var; /* NULL: the text is of no use for this */
};

/* What is quick to tell of a text that was cut into n variables; the rest is like_make's. */
void like_begin(struct str text, enum template_cut cut, const struct template_var *var, uint32_t n,
                struct like *ret);
/* Whether s begins and ends as the text does, as far as eight bytes tell: lines that begin alike
 * mostly end otherwise. */
static inline bool like_may_match(const struct like *l, struct str s)
{
    uint64_t head, tail;
    if (s.n < sizeof(head))
        return s.n >= l->tail_bytes;
    memcpy(&head, s.p, sizeof(head));
    memcpy(&tail, s.p + s.n - sizeof(tail), sizeof(tail));
    return (tail & l->tail_mask) == l->tail && (head & l->head_mask) == l->head &&
           s.n >= l->tail_bytes;
}
void like_make(struct like *l, const struct template_var *var, struct arena *a);
/* Whether cutting s would leave the static text of `l` and as many variables, of the same lengths
 * where they are hexadecimal: those then, and of each the number that it is (whole 0: none, or one
 * where the text of `l` has none).
 * `to` and `parts` have room for l->n; what they hold is of no use where the answer is false.
 * What like_may_match() refuses is refused. */
bool like_match(const struct like *l, struct str s, struct template_var *to,
                struct numeral_parts *parts);

#endif
