/* Parts of texts, of which each is worth a look only once: lines of stack traces and of scripts,
 * what the objects of a long list have in common. Long texts are cut at line breaks, and long lines
 * at commas, so that no word runs over an edge; which parts were seen is remembered in a table
 * where a later one takes the place of one before.
 *
 * Ownership: the table lives in the arena given and refers to the texts, which must outlive it.
 * Threads: none of its own. */
#ifndef WEIR_STORE_PARTS_SEEN_H
#define WEIR_STORE_PARTS_SEEN_H

#include "core/arena.h"
#include "store/quick_hash.h"

#define PARTS_LINE_FROM 64u  /* longer texts are cut at line breaks */
#define PARTS_LIST_FROM 256u /* and longer lines at commas */

struct parts_seen {
    struct str *part;
    uint32_t mask;
};

/* Of `size` parts, a power of two. */
static inline void parts_seen_init(struct parts_seen *p, uint32_t size, struct arena *a)
{
    *p = (struct parts_seen){ARENA_ARRAY(a, struct str, size), size - 1};
}

/* By its length and its first and last bytes. */
static inline struct str *parts_place(const struct parts_seen *p, struct str s)
{
    uint64_t first, last;
    if (s.n < sizeof(first))
        return &p->part[quick_hash(s) & p->mask];
    memcpy(&first, s.p, sizeof(first));
    memcpy(&last, s.p + s.n - sizeof(last), sizeof(last));
    return &p->part[quick_hash_mix(first, last ^ s.n) & p->mask];
}

static inline bool part_seen_before(struct parts_seen *p, struct str s)
{
    struct str *known = parts_place(p, s);
    if (known->p && str_eq(*known, s))
        return true;
    *known = s;
    return false;
}

/* Takes what stands up to the first `end`, and with it, from the rest; all where it is not to be
 * cut. */
static inline struct str part_take(struct str *rest, bool cut, char end)
{
    const char *p = cut ? memchr(rest->p, end, rest->n) : NULL;
    struct str part = str_of(rest->p, p ? (size_t)(p - rest->p) + 1 : rest->n);
    *rest = str_from(*rest, part.n);
    return part;
}

/* Calls fn for the parts of s that were not seen, in their order. */
static inline void parts_each(struct parts_seen *p, struct str s,
                              void (*fn)(void *ctx, struct str part), void *ctx)
{
    for (bool text = s.n > PARTS_LINE_FROM; s.n > 0;) {
        struct str line = part_take(&s, text, '\n');
        for (bool list = line.n > PARTS_LIST_FROM; line.n > 0;) {
            struct str part = part_take(&line, list, ',');
            if (!part_seen_before(p, part))
                fn(ctx, part);
        }
    }
}

#endif
