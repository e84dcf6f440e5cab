/* Answers made ahead. A merge puts blocks with new names in the place of others, of which nothing
 * is kept: every search of a dashboard would have to read them all, and all at once. So searches
 * that come again and again are remembered, and asked of the blocks of a merge before these are
 * seen, in the merging thread, at its low priority: each block is read once for all of them.
 *
 * Threads: any. Bounds: AHEAD_SEARCHES of the last minutes, whose texts are short; no longer than
 * the merge took, or five seconds; memory of a query. */
#ifndef WEIR_QUERY_AHEAD_H
#define WEIR_QUERY_AHEAD_H

#include "query/scan.h"

struct ahead *ahead_new(struct query_engine *e); /* the engine's store tells it of merges */
void ahead_free(struct ahead *a);                /* waits for what is under way; NULL is fine */
/* The scan's request was asked, with the key of partial_key. Its times were [from, to). */
void ahead_note(struct ahead *a, const struct scan *s, struct str key, int64_t from, int64_t to);

#endif
