/* Rows at the ends of time ranges. A range that slides cuts a block, and the rows on this side of
 * the cut are few, but to find them, the block's times are decoded and its filter's columns looked
 * through. So where searches come again, the rows between two times that stay the same for a while
 * are taken out of their block once, for all searches, and kept as they are: these few are looked
 * at instead. Exact: what is kept are the rows themselves, with their origins.
 *
 * Threads: any. Bounds: EDGES_MAX and EDGES_BYTES; those not used for the longest time go first. */
#ifndef WEIR_QUERY_EDGE_H
#define WEIR_QUERY_EDGE_H

#include "record/rows.h"
#include "store/store.h"

struct edges; /* of an engine */
struct edge;

/* The rows of the block with a time in [from, to). */
struct edge_name {
    uint64_t lasting, place;
    int64_t from, to;
};

struct edges *edges_new(void);
void edges_free(struct edges *e); /* NULL is fine */
/* A reference; NULL: nothing is kept. */
struct edge *edge_get(struct edges *e, const struct edge_name *name);
void edge_unref(struct edge *g); /* NULL is fine */
/* Those rows, in the arena, valid as long as the reference. */
void edge_rows(const struct edge *g, struct arena *arena, struct rows *ret);
/* Somebody had to read the block. True: it was so often that the caller, and nobody else, is to
 * call edge_put now. */
bool edge_is_wanted(struct edges *e, const struct edge_name *name);
/* Keeps rows row[0..n) of the block, where they fit. */
void edge_put(struct edges *e, const struct edge_name *name, struct rows *rows, const uint32_t *row,
              uint32_t n);

#endif
