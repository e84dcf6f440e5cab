/* The scan: a filter over the blocks of a snapshot, spread over the engine's pool. The calling
 * thread works too, so a query always moves on. Each worker has its own arena, reset after every
 * block. What cannot be read is left out and said so; what was folded of a block before its damage
 * was met stays in. */
#ifndef WEIR_QUERY_SCAN_H
#define WEIR_QUERY_SCAN_H

#include "core/governor.h"
#include "core/thread.h"
#include "filter/filter.h"
#include "query/query.h"
#include "query/steps.h"

struct query_engine {
    struct query_engine_options options;
    _Atomic int64_t deadline_ns; /* of the options, or set since */
    struct pool *pool;
    unsigned threads;
    struct ahead *ahead;
    struct edges *edges;
    struct turns *turns;
};

#define SCAN_WORKERS_MAX 64

/* One selected block, handed to the visitor: `row` are the matching rows, ascending. With steps,
 * rows and `row` are what the steps made of them. */
struct scan_block {
    struct rows *rows;
    const struct block_ref *ref;
    uint32_t number; /* in the scan's order */
    const uint32_t *row;
    const uint32_t *source; /* of each, the block's own row; NULL: `row` is */
    const uint32_t *part;   /* with `source`: the how manieth of what that row became */
    uint32_t n;
    struct arena *arena;
    unsigned worker; /* 0 .. scan_workers()-1 */
};
struct scan {
    struct query_engine *engine;
    const struct query_request *request;
    const struct filter *filter;
    const struct pipe *const *step; /* run on the rows that the filter selects */
    uint32_t n_steps;
    struct snapshot *snapshot;
    const struct block_ref **block; /* newest first */
    uint32_t n_blocks;
    int64_t from, to;
    int64_t deadline_mono;
    struct objects_wait wait; /* for what is at rest elsewhere; until the scan is closed */
    struct account memory;    /* of all that the query holds, in every thread */
    /* All from any worker. `skip` (may be NULL): true when the block need not be read; a block for
     * which `stop` becomes true ends the scan. `leave` (may be NULL): behind each that was not
     * skipped, read or not. */
    bool (*skip)(void *ctx, const struct block_ref *ref);
    void (*leave)(void *ctx, const struct block_ref *ref);
    enum err (*visit)(void *ctx, const struct scan_block *b);
    bool visit_empty; /* blocks without a matching row too */
    void *ctx;
    _Atomic int64_t spent_ns; /* CPU, of blocks that were read */
    bool in_turn[SCAN_WORKERS_MAX];
    int64_t turn_ns[SCAN_WORKERS_MAX]; /* CPU of this turn */
    /* Results. */
    _Atomic bool stop; /* a visitor may set it: enough */
    /* Blocks not read: outside the streams and times asked for; ruled out by their filters,
     * dictionaries and bounds; not needed any more (early stop, or counted by their header). */
    uint64_t pruned_time;
    _Atomic uint64_t pruned_filter, pruned_early;
    _Atomic uint64_t scanned, empty; /* read; of these, without a matching row */
    _Atomic uint64_t bytes_read, matched;
    uint64_t blocks_total;
    _Atomic uint64_t unreadable; /* blocks and sections that the answer lacks */
    _Atomic bool warned;
    char warning[QUERY_WARNING_MAX]; /* of the first; read when the workers are done */
};

/* Pins a snapshot and lists its blocks; `arena` holds the list. The request's stream, time and API
 * filters are taken in: the filter given is ANDed with them. */
NODISCARD enum err scan_open(struct query_engine *e, const struct query_request *r,
                             const struct filter *filter, struct arena *arena, struct scan *ret);
/* The same of the blocks of a merge that nobody sees yet. */
NODISCARD enum err scan_open_merged(struct query_engine *e, const struct query_request *r,
                                    const struct filter *filter, const struct merged *m,
                                    struct arena *arena, struct scan *ret);
/* The same as scan_open with the filter of the request's text, which may have no pipes. */
NODISCARD enum err scan_open_filter(struct query_engine *e, const struct query_request *r,
                                    struct arena *arena, struct scan *ret);
NODISCARD enum err query_filter(const struct query_request *r, struct arena *arena,
                                const struct filter **ret);
/* Before the run: blocks in the order of their first rows, the oldest first. */
void scan_oldest_first(struct scan *s);
NODISCARD enum err scan_run(struct scan *s);
/* Around what a visitor waits for, such as a client: others read blocks meanwhile. */
void scan_pause(struct scan *s, unsigned worker);
void scan_resume(struct scan *s, unsigned worker);
void scan_close(struct scan *s);
unsigned scan_workers(const struct scan *s);
/* The matching rows of an open block, ascending; none where its filters rule it out. */
NODISCARD enum err scan_select(struct scan *s, struct rows *rows, struct arena *arena,
                               const uint32_t **ret_row, uint32_t *ret_n);
/* The same of other rows than an open block's, which are not counted as one. */
NODISCARD enum err scan_match(const struct scan *s, struct rows *rows, struct arena *arena,
                              const uint32_t **ret_row, uint32_t *ret_n);
/* Reads rows again in the calling thread, outside the pool: of block `number` its rows row[i],
 * ascending, of each what the steps made of it as its part[i]th. ret_row[i]: its place in *ret. */
NODISCARD enum err scan_reopen(struct scan *s, uint32_t number, const uint32_t *row,
                               const uint32_t *part, uint32_t n, struct arena *arena,
                               struct rows *ret, uint32_t *ret_row);
/* ERR_CANCELED, ERR_TIMEOUT: for what goes on behind the scan. */
NODISCARD enum err scan_check(struct scan *s);
/* ERR_NOMEM gets a text that names the setting, where it has none yet; other errors stay. */
NODISCARD enum err scan_name_memory(const struct scan *s, enum err err);
/* The block lies whole in the time range. */
bool scan_covers(const struct scan *s, const struct block_ref *ref);
/* Every row of the block is wanted: what its header says needs no look at them. */
bool scan_whole(const struct scan *s, const struct block_ref *ref);
/* The times asked for; open ends are those of the blocks. False: there is no block. */
bool scan_bounds(const struct scan *s, int64_t *ret_from, int64_t *ret_to);
/* How the request wants its filters read. */
struct filter_options query_filter_options(const struct query_request *q);
/* A block whose bytes are damaged or gone costs its own rows, not the answer: true when `err` is of
 * that kind, which is then logged and counted, and makes the answer partial. */
bool scan_unreadable(struct scan *s, enum err err);
/* ,"complete":true, or false with how much is missing and why. */
void query_put_complete(struct buf *out, const struct query_meta *meta);
/* The end of an answer that is one object: ,"took_ms":..} and, where it is, that it is partial. */
void query_put_end(struct buf *out, const struct query_meta *meta);
void scan_meta(const struct scan *s, int64_t started_mono, struct query_meta *ret);

#endif
