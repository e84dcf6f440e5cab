/* Answers of runs of blocks. What is kept of some hundred blocks is to be one answer, and when one
 * of them goes or comes, not all of it is to be made anew. So blocks in the scan's order are cut
 * into runs, these into shorter ones, down to single blocks, and an answer is kept of each: about a
 * third more than there are blocks. A block's name alone says whether a run of which length ends
 * with it, so that runs are the same in every search whose blocks include theirs, and a block that
 * goes or comes changes the few that it is in. Those at the two ends of a search's blocks are no
 * runs of others, and not kept: each is a few answers to merge.
 *
 * Threads: any, each with its own. */
#ifndef WEIR_QUERY_RUNS_H
#define WEIR_QUERY_RUNS_H

#include "query/partial.h"

struct runs {
    struct scan *scan;
    const struct pipe *pipe;
    struct str key;               /* partial_key's */
    const struct block_ref **ref; /* that may be kept, in the scan's order; all that there are */
    uint32_t n;
    /* Results. */
    bool *taken; /* of each: it is in the table */
    uint64_t matched;
};

/* Merges what is kept of the blocks, and keeps the runs that were not. `arena`: taken. */
NODISCARD enum err runs_merge(struct runs *r, struct arena *arena, struct agg_table *into);

#endif
