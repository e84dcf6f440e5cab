/* What the two files of the pattern reader share; for nobody else. regex_tree.c reads groups and
 * quantifiers, regex_chars.c single characters: escapes and classes. */
#ifndef WEIR_RECORD_REGEX_TREE_IMPL_H
#define WEIR_RECORD_REGEX_TREE_IMPL_H

#include "record/regex_tree.h"

struct pattern {
    struct arena *a;
    struct str s;
    size_t at;
    unsigned depth;
    bool fold, dot_all;
    bool failed; /* something unknown: no tree */
};

static inline char pattern_peek(const struct pattern *r, size_t ahead)
{
    return r->at + ahead < r->s.n ? r->s.p[r->at + ahead] : 0;
}

/* Passes all up to a byte and the byte; false where it is not there. */
bool pattern_pass_to(struct pattern *r, char close);
const struct regex_tree *pattern_fail(struct pattern *r);

struct regex_tree *pattern_node(struct pattern *r, enum regex_tree_kind kind);
const struct regex_tree *pattern_nothing(struct pattern *r);
const struct regex_tree *pattern_repeat(struct pattern *r, const struct regex_tree *of,
                                        uint32_t min, uint32_t max);
/* Whatever a reference may stand for. */
const struct regex_tree *pattern_any_text(struct pattern *r);

/* What stands at the pattern's place, which moves behind it. */
const struct regex_tree *pattern_plain(struct pattern *r);
const struct regex_tree *pattern_escape(struct pattern *r);
const struct regex_tree *pattern_class(struct pattern *r);
const struct regex_tree *pattern_dot(struct pattern *r);

#endif
