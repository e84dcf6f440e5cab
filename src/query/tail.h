/* Live tail: records as they land, in the order in which they did, each once.
 *
 * The cursor is a position of the queue: everything at or below it has been written. A round pins a
 * snapshot, which holds all that was delivered up to a position P, and writes what matches of
 * (cursor, P], wherever it is by then, in memory or in segments. So nothing is lost however slow
 * the reader, and a reader that comes back with the cursor it saw last goes on from there, after a
 * restart of the server too.
 * Where several servers share a catalog it follows what this one takes in; the records of others
 * are among those that are there at the open.
 * Threads: one a tail. */
#ifndef WEIR_QUERY_TAIL_H
#define WEIR_QUERY_TAIL_H

#include "query/query.h"

struct query_tail;

/* r->q: a filter, perhaps with `where` and `fields`; its strings outlive the tail. after: a cursor
 * to go on from, or NULL: from now on, behind the newest r->limit records that are there.
 * ERR_INVALID: the query is wrong, or `after` is ahead of all there is. */
NODISCARD enum err query_tail_open(struct query_engine *e, const struct query_request *r,
                                   const uint64_t *after, struct query_tail **ret);
void query_tail_free(struct query_tail *t);
/* The newest records that were there at the open, oldest first. */
NODISCARD enum err query_tail_begin(struct query_tail *t, const struct query_sink *sink);
/* Waits for something behind the cursor, until `deadline_mono`, and writes what of it matches.
 * *ret_n: lines written. */
NODISCARD enum err query_tail_next(struct query_tail *t, int64_t deadline_mono,
                                   const struct query_sink *sink, uint64_t *ret_n);
uint64_t query_tail_cursor(const struct query_tail *t);

#endif
