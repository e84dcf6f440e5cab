/* `stats` on the scan: blocks are folded into groups, a table a worker, and merged. Of blocks that
 * lie whole in the time range answers are kept, one by one and many together (partial.h). */
#ifndef WEIR_QUERY_STATS_SCAN_H
#define WEIR_QUERY_STATS_SCAN_H

#include "query/pipe.h"
#include "query/scan.h"

struct batch;

/* Runs the scan; a record a group is appended to `out`. `plan` holds what the run needs. `next`:
 * the `n_next` pipes behind it; groups that they leave out anyway may be left out before. */
NODISCARD enum err stats_scan(struct scan *s, const struct pipe *pipe, const struct pipe *next,
                              uint32_t n_next, struct arena *plan, struct batch *out);

#endif
