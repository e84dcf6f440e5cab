/* What a query made of one block, kept for the next that asks the same: searches of a dashboard
 * come again and again, and blocks never change. Kept in the chunk cache, under its bound, beside
 * the block's chunks; gone with its segment. Exact: the key is the whole query, not its hash alone,
 * and only blocks that lie whole in the time range are kept. Threads: any, but for a scan's list of
 * blocks. */
#ifndef WEIR_QUERY_PARTIAL_H
#define WEIR_QUERY_PARTIAL_H

#include "query/agg.h"
#include "query/edge.h"
#include "query/scan.h"
#include "store/chunk_cache.h"

/* The query as bytes; false where it is none to be kept: it says something else of the same rows
 * later, holds what cannot be written down, or is answered by headers anyway. */
bool partial_key(const struct scan *s, const struct pipe *pipe, struct buf *key);
/* A block whose answer may be kept: it lies whole in the time range. */
bool partial_may_keep(const struct scan *s, const struct block_ref *ref);
/* The part of a block at an end of the time range, cut at times that do not move with the range
 * for a while: rows in [from, to) may be kept together. The others are in one or two times more,
 * which are edge[]. The key gets the former. False: it is not worth it. */
struct cut {
    int64_t from, to;
    struct edge_name edge[2];
    uint32_t n_edges;
};
bool partial_cut(const struct scan *s, const struct block_ref *ref, struct buf *key,
                 struct cut *ret);
/* Where the answer of the block is kept. */
struct chunk_key partial_place(const struct block_ref *ref, struct str key);
/* What is kept of the block, a table as agg_write makes them within the blob, which is the
 * caller's. False: nothing. */
struct partial {
    struct blob *blob;
    struct str table;
    uint64_t matched;
};
bool partial_get(const struct block_ref *ref, struct str key, struct partial *ret);
/* For the metrics: blocks that may be kept were, or were not. */
void partial_count(bool hit, uint32_t blocks);
/* False: it is too large to be kept, as others of the query will be. */
bool partial_put(const struct block_ref *ref, struct str key, const struct agg_table *t,
                 uint64_t matched);

/* One answer of many blocks, kept besides theirs: the next search that asks the same of the same
 * blocks, and perhaps of more, begins with it. One is of all blocks, one only of those that last
 * longer than a frame in memory. */
enum partial_scope { PARTIAL_ALL, PARTIAL_BLOCKS, PARTIAL_SCOPES };
struct partial_blocks {
    const struct block_ref **ref; /* in the scan's order */
    uint32_t n;
    uint64_t matched;
};
bool partial_in_scope(enum partial_scope scope, const struct block_ref *ref);
/* Adds what is kept of many blocks, where all of them are among the scan's and may be kept, and
 * takes them out of the scan. *ret: which ones they were; n == 0: there is none such. `arena` holds
 * them. */
NODISCARD enum err partial_get_many(struct scan *s, struct str key, enum partial_scope scope,
                                    struct arena *arena, struct agg_table *into,
                                    struct partial_blocks *ret);
/* Where it is kept. */
struct chunk_key partial_place_many(const struct scan *s, struct str key, enum partial_scope scope);
void partial_put_many(const struct scan *s, struct str key, enum partial_scope scope,
                      const struct partial_blocks *blocks, const struct agg_table *t);

/* One answer of some blocks that follow each other in the scan's order, where nothing but these
 * blocks decides that they belong together: see stats_runs.c. */
bool partial_get_run(const struct block_ref *const *ref, uint32_t n, struct str key,
                     struct partial *ret);
void partial_put_run(const struct block_ref *const *ref, uint32_t n, struct str key,
                     const struct agg_table *t, uint64_t matched);

/* agg_partial.c: a table as bytes, in the machine's order; each member at a multiple of 8. */
bool agg_can_write(const struct pipe *pipe);
void agg_write(const struct agg_table *t, struct buf *out);
/* Merges such a table into one of the same functions. */
NODISCARD enum err agg_merge_written(struct agg_table *into, struct str bytes);

#endif
