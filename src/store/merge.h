/* Merging rows of one stream into encoded blocks: the one mechanism behind sealing and compaction.
 *
 * Sources are opened one at a time, but for those that are in memory anyway (`held`), so that
 * memory holds one decoded source, the rows of the block that is being made, and the order keys of
 * a window of sources, whatever the number of sources and however they overlap. Threads: any; a
 * merge is one thread's, which waits at the gate. */
#ifndef WEIR_STORE_MERGE_H
#define WEIR_STORE_MERGE_H

#include "core/governor.h"
#include "store/block.h"

struct merge_source {
    int64_t time_min, time_max;
    uint32_t rows;
    uint64_t raw_bytes; /* about; of its rows decoded */
};

struct merge {
    const struct merge_source *source; /* in ascending order of time_min */
    uint32_t n;
    /* Opens source i into the arena, which is reset before the next one is opened, unless they are
     * held. */
    enum err (*open)(void *ctx, uint32_t i, struct arena *a, struct rows *ret);
    /* Takes over the block. */
    enum err (*emit)(void *ctx, struct block *b);
    /* Asked between blocks; true ends the merge with ERR_CANCELED. May be NULL. */
    bool (*stop)(void *ctx);
    void *ctx;
    uint32_t *opened; /* the source opened last: the one that failed. May be NULL */
    struct str stream;
    uint32_t block_rows;
    uint64_t block_bytes;
    int zstd_level;
    struct refs_memory *memory; /* of the stream; may be NULL */
    enum owner owner;           /* of the blocks made */
    enum owner scratch_owner;   /* of what the merge itself takes */
    struct gate *gate;          /* which bounds what all merges take together */
    bool held;                  /* sources are frames in memory: as many are open as make a block */
    bool one_day;               /* only rows whose retention day is `day` */
    int64_t day;
};

/* Every row of every source (of that day) ends in exactly one emitted block, of at most block_rows
 * rows; blocks come in total order but where more than MERGE_WINDOW_BLOCKS blocks' worth of sources
 * overlap. */
NODISCARD enum err merge_run(const struct merge *m);

enum { MERGE_WINDOW_BLOCKS = 8 };

/* Days since 1970: that of `time` if it lies within arrival -7 .. +1 days, else that of arrival. */
int64_t retention_day(int64_t time_ns, int64_t arrival_ns);
/* True when no time of [time_min, time_max] is late or in the future for that arrival. */
bool retention_timely(int64_t time_min, int64_t time_max, int64_t arrival_ns);
/* Appends the distinct retention days of the rows to *day (n of them, room for cap, mem_alloc'd).
 */
NODISCARD enum err retention_days(struct rows *r, int64_t **day, size_t *n, size_t *cap);
int64_t day_of(int64_t time_ns);

#endif
