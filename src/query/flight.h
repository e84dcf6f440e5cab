/* One search at a time makes what is to be kept of a block. Others that ask the same leave the
 * block for later, and find it kept then: sixteen clients that come back to a dashboard do its work
 * once. Nobody waits while it holds a flight, so that nobody waits for long, or for itself.
 *
 * Threads: any. Bounds: FLIGHTS_MAX at a time; beyond them work may be done twice. */
#ifndef WEIR_QUERY_FLIGHT_H
#define WEIR_QUERY_FLIGHT_H

#include "store/chunk_cache.h"

/* Where the answer will be kept. False: somebody makes it now. True: it is yours to make, until
 * flight_end, which must come, whatever becomes of it. */
bool flight_begin(const struct chunk_key *at);
/* One that was not begun ends another's at worst: work is then done twice. */
void flight_end(const struct chunk_key *at);
/* Returns when nobody makes it, be it kept or not; false when the time is over. */
bool flight_wait(const struct chunk_key *at, int64_t deadline_mono_ns);

#endif
