/* The best rows of a scan in an order: by sort keys, or newest first. Each worker keeps its own
 * list and cuts it down to `keep` when it has twice as many; merged at the end. */
#ifndef WEIR_QUERY_HITS_H
#define WEIR_QUERY_HITS_H

#include "query/field.h"
#include "query/output.h"
#include "query/pipe.h"
#include "query/scan.h"

struct batch;

/* A row's place in the total order. */
struct row_order {
    int64_t time;
    uint64_t position;
    uint32_t partition, index;
};
int row_order_cmp(const struct row_order *a, const struct row_order *b);
/* As text, for cursors; at most 64 bytes. */
size_t row_order_write(const struct row_order *o, char *out);
bool row_order_read(struct str s, struct row_order *ret);

struct hit {
    struct row_order order;
    const struct scalar *key; /* n_keys */
    uint32_t number, row;     /* block of the scan, row in it */
};

struct hits {
    const struct sort_key *key; /* n_keys 0: newest first */
    uint32_t n_keys;
    uint64_t keep;
    const struct row_order *before; /* newest first: only rows older than this; may be NULL */
    size_t memory_each;
    struct hits_worker *worker;
    unsigned n_workers;
    _Atomic int64_t floor; /* newest first: rows older than this are not among the best */
    const struct hit *hit; /* after hits_finish: in order */
    uint64_t n;
};

void hits_init(struct hits *h, unsigned workers, size_t memory);
void hits_release(struct hits *h);
/* As a scan's visit. */
NODISCARD enum err hits_visit(struct hits *h, const struct scan_block *b);
NODISCARD enum err hits_finish(struct hits *h);
/* Writes hits [from, to) in order, one call of `write` a line. */
NODISCARD enum err hits_write(struct hits *h, uint64_t from, uint64_t to, struct scan *s,
                              const struct row_style *style, const struct query_sink *sink);
/* Appends them to a batch, in order. */
NODISCARD enum err hits_gather(struct hits *h, uint64_t from, uint64_t to, struct scan *s,
                               struct batch **ret);

#endif
