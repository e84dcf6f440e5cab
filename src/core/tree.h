/* A YAML document as a tree of maps, lists and texts, each with its place, for configuration that
 * is more than a table of settings. Immutable; lives in the arena it was read into. Bounds: 1 MiB
 * of text, TREE_DEPTH_MAX levels, TREE_NODES_MAX nodes. Threads: any. */
#ifndef WEIR_CORE_TREE_H
#define WEIR_CORE_TREE_H

#include "core/arena.h"
#include "core/err.h"

enum { TREE_DEPTH_MAX = 32, TREE_NODES_MAX = 100000 };
enum tree_kind { TREE_TEXT, TREE_LIST, TREE_MAP };

struct tree {
    enum tree_kind kind;
    struct str text;   /* TREE_TEXT */
    bool quoted;       /* it stood in quotes, or as a block: surely a text */
    uint32_t n;        /* of items: of a list, or members of a map */
    struct tree *item; /* values */
    struct tree *key;  /* of a map: TREE_TEXT each */
    const char *file;
    uint32_t line, column; /* from 1 */
};

/* ERR_INVALID begins with file:line:column. A key that comes twice is an error. */
NODISCARD enum err tree_read(struct str yaml, const char *file, struct arena *a, struct tree *ret);
NODISCARD enum err tree_read_file(const char *path, struct arena *a, struct tree *ret);
/* The member of a map; NULL when there is none, or `t` is no map (or NULL). */
const struct tree *tree_get(const struct tree *t, const char *key);
/* ERR_INVALID with the place of `at` before the text. */
#define tree_error(at, fmt, ...)                                                                   \
    err_set(ERR_INVALID, "%s:%u:%u: " fmt, (at)->file, (at)->line, (at)->column, ##__VA_ARGS__)
/* ERR_INVALID for the first key of the map that is not one of the NULL-ended `known`, with the
 * nearest that is. */
NODISCARD enum err tree_check_keys(const struct tree *map, const char *const *known);
/* Texts of members; `def` when there is none. ERR_INVALID when it is something else. */
NODISCARD enum err tree_text(const struct tree *map, const char *key, const char *def,
                             struct arena *a, const char **ret);
/* Of all that it says, places aside: NULL has one too. */
uint64_t tree_hash(const struct tree *t);
/* The nearest of NULL-ended words, or NULL. */
const char *tree_nearest(struct str word, const char *const *words);

#endif
