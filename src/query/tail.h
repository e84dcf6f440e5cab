/* Live tail: records as they land, each once; those of a server in the order in which they did.
 *
 * The cursor is a position of the queue, or one of each server that shares the catalog: everything
 * at or below it has been written (store/landed.h). A round pins a snapshot, which holds all of
 * this server up to a position, and all of the others that they have published and this one
 * follows, and writes what matches of that behind the cursor, wherever it is by then, in memory or
 * in segments. So nothing is lost however slow the reader, and a reader that comes back with the
 * cursor it saw last goes on from there, after a restart of the server too, and at another server.
 * What this server shows from memory and then forgets, as others have read it too, comes again at
 * other positions; the tail that showed it passes it over (query/again.h).
 * Memory: the lines of a round, bounded. Threads: one a tail. */
#ifndef WEIR_QUERY_TAIL_H
#define WEIR_QUERY_TAIL_H

#include "query/query.h"

struct query_tail;

/* r->q: a filter, perhaps with `where` and `fields`; its strings outlive the tail. after: a cursor
 * to go on from, or NULL: from now on, behind the newest r->limit records that are there.
 * ERR_INVALID: the query is wrong, or `after` is ahead of all there is. */
NODISCARD enum err query_tail_open(struct query_engine *e, const struct query_request *r,
                                   const struct str *after, struct query_tail **ret);
void query_tail_free(struct query_tail *t);
/* The newest records that were there at the open, oldest first. */
NODISCARD enum err query_tail_begin(struct query_tail *t, const struct query_sink *sink);
/* Waits for something behind the cursor, until `deadline_mono`, and writes what of it matches.
 * *ret_n: lines written. */
NODISCARD enum err query_tail_next(struct query_tail *t, int64_t deadline_mono,
                                   const struct query_sink *sink, uint64_t *ret_n);
/* Its text: digits, dots and underscores. */
void query_tail_put_cursor(const struct query_tail *t, struct buf *out);

#endif
