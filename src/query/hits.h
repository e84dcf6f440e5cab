/* The best rows of a scan in an order: by sort keys, or newest (or oldest) first. Each worker keeps
 * its own list and cuts it down to `keep` when it has twice as many; merged at the end. */
#ifndef WEIR_QUERY_HITS_H
#define WEIR_QUERY_HITS_H

#include "query/field.h"
#include "query/output.h"
#include "query/pipe.h"
#include "query/scan.h"

struct batch;

/* An order as text, for cursors; at most 64 bytes. */
size_t row_order_write(const struct row_order *o, char *out);
bool row_order_read(struct str s, struct row_order *ret);

/* What rows are sorted by; rows without a value come last either way. */
struct sort_keys {
    const struct sort_key *key;
    uint32_t n;
};
/* The keys of selected rows, n * k->n of them, in the arena. */
NODISCARD enum err sort_keys_read(const struct sort_keys *k, struct rows *rows, const uint32_t *row,
                                  uint32_t n, struct arena *arena, struct scalar **ret);
/* Of two rows' keys. */
int sort_keys_cmp(const struct sort_keys *k, const struct scalar *a, const struct scalar *b);

struct hit {
    struct row_order order;
    const struct scalar *key; /* keys.n */
    uint32_t number, row;     /* block of the scan, row in it */
    uint32_t part;            /* of what the scan's steps made of that row */
};
/* Newest first; the parts of one row in their order. */
int hit_order_cmp(const struct hit *a, const struct hit *b);
/* Of selected row i: where it is. */
NODISCARD enum err hit_of(const struct scan_block *b, uint32_t i, struct hit *ret);

/* A place in an order by keys: of the last row of a page. */
struct hits_after {
    const struct scalar *key;      /* keys.n */
    const struct row_order *order; /* NULL: rows with the same keys do not come behind it */
};

struct hits {
    struct sort_keys keys; /* none: newest first */
    uint64_t keep;
    bool oldest; /* without keys: oldest first */
    /* Without keys, may be NULL: only rows older than this; with `oldest` only newer ones. */
    const struct row_order *beyond;
    const struct hits_after *after; /* with keys, may be NULL: only rows that come behind it */
    struct account *memory;
    struct hits_worker *worker;
    unsigned n_workers;
    /* Without keys: rows older than this are not among the best; with `oldest` newer ones. */
    _Atomic int64_t edge;
    const struct hit *hit; /* after hits_finish: in order */
    uint64_t n;
};

void hits_init(struct hits *h, unsigned workers, struct account *memory);
void hits_release(struct hits *h);
/* As a scan's skip: no row of the block is among the best. */
bool hits_skip(const struct hits *h, const struct block_ref *ref);
/* As a scan's visit. */
NODISCARD enum err hits_visit(struct hits *h, const struct scan_block *b);
NODISCARD enum err hits_finish(struct hits *h);
size_t hits_bytes(const struct hits *h); /* that they hold of query.memory */
/* Adds a hit that was found by other means; before hits_finish, from one thread. */
NODISCARD enum err hits_add(struct hits *h, const struct hit *hit);
/* Calls `fn` with hits [from, to) in order and their lines; those that cannot be read are left out.
 */
NODISCARD enum err hits_each(struct hits *h, uint64_t from, uint64_t to, struct scan *s,
                             const struct row_style *style, void *ctx,
                             enum err (*fn)(void *ctx, const struct hit *hit, struct str line));
/* Writes hits [from, to) in order, one call of `write` a line. */
NODISCARD enum err hits_write(struct hits *h, uint64_t from, uint64_t to, struct scan *s,
                              const struct row_style *style, const struct query_sink *sink);
/* Appends them to a batch, in order. */
NODISCARD enum err hits_gather(struct hits *h, uint64_t from, uint64_t to, struct scan *s,
                               struct batch **ret);

#endif
