/* What a query made of one block, kept for the next that asks the same: searches of a dashboard
 * come again and again, and blocks never change. Kept in the chunk cache, under its bound, beside
 * the block's chunks; gone with its segment. Exact: the key is the whole query, not its hash alone,
 * and only blocks that lie whole in the time range are kept. Threads: any. */
#ifndef WEIR_QUERY_PARTIAL_H
#define WEIR_QUERY_PARTIAL_H

#include "query/agg.h"
#include "query/scan.h"

/* The query as bytes; false where it is none to be kept: it says something else of the same rows
 * later, holds what cannot be written down, or is answered by headers anyway. */
bool partial_key(const struct scan *s, const struct pipe *pipe, struct buf *key);
/* Adds what is kept of the block; false: there is nothing. */
bool partial_get(const struct scan *s, const struct block_ref *ref, struct str key,
                 struct agg_table *into, uint64_t *ret_matched);
/* False: it is too large to be kept, as others of the query will be. */
bool partial_put(const struct scan *s, const struct block_ref *ref, struct str key,
                 const struct agg_table *t, uint64_t matched);

/* agg_partial.c: a table as bytes, in the machine's order; each member at a multiple of 8. */
bool agg_can_write(const struct pipe *pipe);
void agg_write(const struct agg_table *t, struct buf *out);
/* Merges such a table into one of the same functions. */
NODISCARD enum err agg_merge_written(struct agg_table *into, struct str bytes);

#endif
