/* Templates: what texts of one column have in common. A text is cut into static text and variables;
 * texts with the same static text belong to one template, whose variables stand in its slots.
 *
 * How a text is cut is record/template_cut.h's. Hexadecimal numbers of different lengths make
 * different templates, so that the ids in a slot are of one length. A slot whose variable is the
 * same in every text is filled again, so that patterns hold no holes that tell nothing; texts that
 * repeat as a whole become patterns of their own. (CLP, OSDI '21, separates variables by digits
 * too; slots as columns are Logzip's and LogReducer's.)
 *
 * All texts of a template have the same pattern (template_pattern): who counts patterns looks at
 * one text a template.
 *
 * Ownership: everything lives in the arena given. Threads: pure functions. */
#ifndef WEIR_STORE_TEMPLATE_H
#define WEIR_STORE_TEMPLATE_H

#include "core/arena.h"
#include "record/rows.h"
#include "record/template_cut.h"
#include "store/numeral.h"

/* What is known of a variable of a template over all its texts. */
struct var_look {
    bool same;    /* in every one */
    bool numeral; /* a number in every one, with as many digits behind the point */
    struct numeral_look number;
};
struct text_template {
    uint32_t rows;       /* texts of it */
    const uint32_t *row; /* which, ascending */
    uint32_t n_slots;
    uint32_t *slot;        /* numbers of the variables that fill the holes, ascending */
    struct var_look *look; /* of every variable; NULL where no slot is */
};
struct templates {
    const struct values *v;
    uint32_t n;
    struct text_template *t; /* in order of first appearance */
    const uint32_t *code;    /* of each text */
    const uint32_t *equal;   /* of each: one before it known to have the same bytes, or itself */
    const uint32_t *first;   /* where in var those of each text begin; equal texts may share them */
    struct template_var *var;
    const int64_t *number; /* the mantissas of variables that are numbers in every text */
};

/* False, at small cost, where the texts have too little in common. Texts of a template are patterns
 * of their own where one in `repeats` is not known to be equal to one before it. `learnt`: what is
 * known of the column from blocks before, which saves work (may be NULL). */
struct learnt_column;
enum { TEMPLATE_REPEATS_QUICK = 4, TEMPLATE_REPEATS = 8 };
bool templates_find(const struct values *v, enum template_cut cut, uint32_t repeats,
                    struct learnt_column *learnt, struct arena *a, struct templates *ret);
static inline struct str templates_var(const struct templates *t, uint32_t text, uint32_t var)
{
    const struct template_var *x = &t->var[t->first[text] + var];
    return (struct str){values_text(t->v, text).p + x->from, x->to - x->from};
}
/* The pattern of a template appended to `out` (at most its longest text and its escapes). */
struct buf;
void templates_pattern(const struct templates *t, uint32_t number, struct buf *out);

/* The length of a hexadecimal number, with letters, that is long enough to be an id; else 0. */
size_t template_hex_length(struct str s);

#endif
