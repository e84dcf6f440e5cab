/* What a pattern's text says about the bytes that it can match, for searching many values before
 * PCRE2 looks at one. The tree stands for at least all that the pattern matches, written in sets of
 * bytes: assertions count as nothing, references as anything, a character beyond ASCII in a class
 * as any such character. So a tree may find too much and never too little. Where a pattern has what
 * this reader does not know (verbs, conditions, comments, \Q, the flag x), there is no tree: that
 * costs time, a wrong one would lose matches.
 * Trees live in the arena; immutable; threads: any. */
#ifndef WEIR_RECORD_REGEX_TREE_H
#define WEIR_RECORD_REGEX_TREE_H

#include "core/arena.h"

enum regex_tree_kind { TREE_SET, TREE_ALL, TREE_ANY, TREE_REPEAT };

struct regex_tree {
    enum regex_tree_kind kind;
    uint64_t set[4];                /* SET: one byte of these */
    const struct regex_tree *first; /* ALL, ANY, REPEAT: what it is of; ALL of none: "" */
    const struct regex_tree *next;  /* behind it in its ALL or ANY */
    uint32_t min, max;              /* REPEAT; REGEX_TREE_NO_MAX */
};
#define REGEX_TREE_NO_MAX UINT32_MAX

/* Of a pattern that PCRE2 compiles (in UTF mode), or NULL. */
const struct regex_tree *regex_tree(struct arena *a, struct str pattern);
/* The longest text that every match holds as it is written, or an empty one. tree: may be NULL. */
struct str regex_tree_literal(struct arena *a, const struct regex_tree *tree);
/* Texts of which every match holds one: where `fold`, in lower case, and the match may hold them in
 * any. Their number, 0 where there are none. */
#define REGEX_LITERALS_MAX 8
struct regex_literal {
    struct str text;
    bool fold;
};
uint32_t regex_tree_literals(struct arena *a, const struct regex_tree *tree,
                             struct regex_literal ret[REGEX_LITERALS_MAX]);

static inline bool regex_set_has(const uint64_t set[4], uint8_t byte)
{
    return set[byte >> 6] >> (byte & 63) & 1;
}

#endif
