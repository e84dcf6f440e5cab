/* Templates: what texts of one column have in common. A text is cut into static text and variables;
 * texts with the same static text belong to one template, whose variables stand in its slots.
 *
 * What a variable is, is decided by its characters alone, so that equal lines are cut alike in
 * every block and on every machine: a token (letters, digits and the marks that join them, as in
 * 10.0.0.1:80 or /var/log/x) that holds a digit, or a path of at least two steps. A number's unit
 * (15ms) and the letters before a number (eth0) stay static; a date and the time behind it are one
 * variable; spaces that align a number belong to it. Hexadecimal numbers of different lengths make
 * different templates, so that the ids in a slot are of one length. A slot whose variable is the
 * same in every text is filled again, so that patterns hold no holes that tell nothing; texts that
 * repeat as a whole become patterns of their own. (CLP, OSDI '21, separates variables by digits
 * too; slots as columns are Logzip's and LogReducer's.)
 *
 * Ownership: everything lives in the arena given. Threads: pure functions. */
#ifndef WEIR_STORE_TEMPLATE_H
#define WEIR_STORE_TEMPLATE_H

#include "core/arena.h"
#include "record/rows.h"

/* Stands for a variable in a pattern. A text that holds this byte has no variables: it is a pattern
 * whose every such byte is escaped by itself (two of them in a row). */
#define TEMPLATE_HOLE '\x1a'

struct template_var {
    uint32_t from, to; /* bytes of its text */
};
struct text_template {
    uint32_t rows;       /* texts of it */
    const uint32_t *row; /* which, ascending */
    uint32_t n_slots;
    uint32_t *slot; /* numbers of the variables that fill the holes, ascending */
};
struct templates {
    const struct values *v;
    uint32_t n;
    struct text_template *t; /* in order of first appearance */
    const uint32_t *code;    /* of each text */
    const uint32_t *first;   /* variables of text i: [first[i], first[i + 1]) */
    struct template_var *var;
};

/* How texts are cut: with tokens joined by the marks inside them, or, for texts that are such
 * tokens themselves, at every mark. */
enum template_cut { TEMPLATE_JOINED, TEMPLATE_FINE };

/* False, at small cost, where the texts have too little in common. */
bool templates_find(const struct values *v, enum template_cut cut, struct arena *a,
                    struct templates *ret);
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
