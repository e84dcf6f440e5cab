/* What servers that share a catalog (catalog_is_shared) know of each other, all of it through the
 * catalog: who they are, what changed, who merges, what may be removed.
 * Threads and errors: as catalog.h. */
#ifndef WEIR_CATALOG_SHARED_H
#define WEIR_CATALOG_SHARED_H

#include "catalog/catalog.h"

/* ---- who they are ---- */

/* A server's number stays with its data folder; the secret tells the folder from one of another
 * catalog, `start` one start of it from the next. */
struct catalog_node {
    uint64_t number, secret; /* number 0: the folder has none yet */
    uint64_t start;
    struct str name; /* for people */
};
enum { CATALOG_NODES_MAX = 1 << 22 };
/* Goes on with the node's number, or takes one (and makes the secret): *ret_new. */
NODISCARD enum err catalog_node_join(struct catalog *c, struct catalog_node *node, bool *ret_new);
/* ERR_CONFLICT: another process has started with the number since. */
NODISCARD enum err catalog_node_beat(struct catalog *c, const struct catalog_node *node);

/* ---- what changed ---- */

struct catalog_at { /* where a consumer stands in a partition */
    struct str consumer;
    uint32_t partition;
    uint64_t position;
};
/* All of one instant. */
struct catalog_state {
    uint64_t changes; /* publishes and replacements there ever were */
    const struct catalog_at *at;
    size_t n_at;
    /* Where they were asked for: ids, ascending; and `at` has, as consumer CATALOG_STARTS with a
     * server's number, its `start`. */
    const uint64_t *segment;
    size_t n_segments;
};
#define CATALOG_STARTS STR("start")
/* Reads it in the arena, without holding anybody up; costs next to nothing without the segments. */
NODISCARD enum err catalog_look(struct catalog *c, bool segments, struct arena *a,
                                struct catalog_state *ret);
/* 0: it has no row. */
uint64_t catalog_state_at(const struct catalog_state *s, struct str consumer, uint32_t partition);
/* One segment. ERR_NOTFOUND: it is there no more. */
NODISCARD enum err catalog_load_segment(struct catalog *c, uint64_t id, struct arena *a,
                                        struct catalog_segment *ret);

/* ---- who merges ---- */

/* The lease "compact". Each renewal counts `beat` up, so that a holder who is gone is known by a
 * beat that stands still: no clocks are compared. Each taking counts `token` up, which guards what
 * is written under the lease (catalog_replacement). */
struct catalog_lease {
    uint64_t holder, token, beat; /* holder 0: nobody yet */
};
NODISCARD enum err catalog_lease_look(struct catalog *c, struct catalog_lease *ret);
/* ERR_CONFLICT: it is not as it was seen. */
NODISCARD enum err catalog_lease_take(struct catalog *c, uint64_t holder,
                                      const struct catalog_lease *seen, struct catalog_lease *ret);
/* ERR_CONFLICT: somebody else has taken it. */
NODISCARD enum err catalog_lease_renew(struct catalog *c, struct catalog_lease *held);

/* ---- what may be removed ---- */

/* Segments that were replaced before; their objects may still be there. */
NODISCARD enum err catalog_load_garbage(struct catalog *c, int64_t before_ns, struct arena *a,
                                        uint64_t **ret, size_t *ret_n);
NODISCARD enum err catalog_forget_garbage(struct catalog *c, const uint64_t *id, size_t n);

#endif
