/* Rows of a bulk that share something which a body says once for all of them (labels, a resource):
 * the groups that there are, by the bytes of what they share.
 * Owner: an output; one thread. Grows with the bulk, whose rows bound it. */
#ifndef WEIR_OUTPUT_GROUPS_H
#define WEIR_OUTPUT_GROUPS_H

#include "core/buf.h"

enum { GROUPS_BUCKETS = 1024 };
struct group {
    uint64_t hash;
    size_t from, n, split; /* its bytes in `bytes`; where the first of their parts ends */
    uint32_t next;         /* of its bucket, + 1; 0: none */
};
struct groups {
    struct group *group;
    size_t cap;
    uint32_t n;
    uint32_t bucket[GROUPS_BUCKETS]; /* by the hash: a group, + 1 */
    struct buf bytes;
};
void groups_init(struct groups *g);
void groups_release(struct groups *g);
void groups_clear(struct groups *g);
/* The number of the group of the bytes that stand in `bytes` behind `from`; they go from there
 * again where it is known. `split` tells groups apart, too. */
uint32_t groups_find(struct groups *g, size_t from, size_t split);
static inline struct str groups_bytes(const struct groups *g, uint32_t i)
{
    struct str bytes = str_from(buf_str(&g->bytes), g->group[i].from);
    bytes.n = g->group[i].n;
    return bytes;
}

#endif
