/* Finds where in many values a regular expression could match, without a look at each: an automaton
 * that reads a byte in a few instructions and never goes back, over four places of the column at
 * once. It is made of the pattern's tree and so finds at least all that matches; PCRE2 decides on
 * each value found.
 *
 * Finders live in the arena (at most 64 KiB); immutable; threads: any. */
#ifndef WEIR_RECORD_REGEX_FINDER_H
#define WEIR_RECORD_REGEX_FINDER_H

#include "record/regex_tree.h"
#include "record/rows.h"

struct regex_finder;

/* NULL where it could exclude nothing (the pattern matches an empty text) or nothing cheaply. */
const struct regex_finder *regex_finder(struct arena *a, const struct regex_tree *tree);

/* What to do with value `i`, which may match; false ends the search. */
typedef bool regex_found(void *ctx, uint32_t i);
/* Calls `found` for at least all values of [from, to) that match, each once, in no order. */
void regex_finder_run(const struct regex_finder *f, const struct values *v, uint32_t from,
                      uint32_t to, regex_found *found, void *ctx);

#endif
