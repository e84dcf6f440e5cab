/* Bins of time: of a fixed width, or of whole months by the calendar, both in a zone's own time.
 * Threads: pure functions. */
#ifndef WEIR_QUERY_BINS_H
#define WEIR_QUERY_BINS_H

#include "query/pipe.h"

/* Where the bin begins that holds the instant, and the one behind the bin that begins there. At the
 * ends of time both stop at what int64 can say. */
int64_t bin_start(const struct by_spec *by, int64_t ns);
int64_t bin_next(const struct by_spec *by, int64_t start);

#endif
