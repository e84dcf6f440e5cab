/* The store: memtable, segments, manifest; cuts, compaction, retention.
 *
 * Records arrive as frames in queue order (store_deliver). Frames of a stream gather in its open
 * block; a full one (block_rows, block_bytes) is sealed: merged, sorted by (time, position, index),
 * encoded. A *cut* writes every sealed and open block delivered so far to one level-0 segment, a
 * section per stream and day, and publishes it with the checkpoint in one catalog transaction; then
 * the queue may be trimmed. Queries pin a snapshot: manifest and memtable of one instant; a record
 * is never in both nor in neither.
 *
 * Threads: store_deliver from the queue's thread only; everything else from any. Own threads:
 * encoders, one for cuts, one at low priority for compaction and retention, one that watches the
 * disk, and one that follows a shared catalog. Bounds: OWNER_MEMTABLE; above its high mark
 * store_admit answers ERR_UNAVAILABLE until a cut has freed it (replay cuts by itself and goes on).
 */
#ifndef WEIR_STORE_STORE_H
#define WEIR_STORE_STORE_H

#include "catalog/shared.h"
#include "objects/objects.h"
#include "queue/queue.h"
#include "record/rows.h"

struct landed_cursor;
struct landed_span;
struct store;

/* Positions of server number N begin at N << STORE_NODE_SHIFT. */
#define STORE_NODE_SHIFT 40

struct store_options {
    const char *dir; /* segments in dir/segments */
    struct catalog *catalog;
    struct objects *objects; /* where segments are at rest; NULL: file: */
    uint64_t copies_max; /* bytes of local copies of segments that are at rest elsewhere; 0: none */
    int64_t stray_age_ns; /* objects that nobody published go at that age; 0: never */
    /* Of several servers: those of replaced segments go so long after; no query takes longer. */
    int64_t garbage_age_ns;
    uint32_t block_rows;
    uint64_t block_bytes;
    uint64_t cut_bytes;       /* encoded bytes in the memtable that start a cut */
    uint64_t cut_queue_bytes; /* frames delivered since the last cut that start one */
    int64_t cut_interval_ns;
    size_t memtable_max;    /* bytes; at 3/4 a cut starts, at all of it admission closes */
    unsigned compact_files; /* files of a level that start a merge: 8 */
    int compact_zstd_level;
    int64_t retention_ns; /* 0: keep */
    uint64_t max_disk;    /* 0: no limit; segments, queue and catalog together */
    unsigned encoders;    /* threads; 0: one a core */
    size_t scratch_max;   /* bytes that encoders and merges take together; 0: no bound */
    int64_t id_window_ns; /* client ids and idempotency keys land once within it */
    uint64_t ids_max;
    bool background;                    /* false: no background work by itself (tests drive it) */
    uint64_t (*queue_bytes)(void *ctx); /* for max_disk: queue and catalog */
    /* Of a queue with partitions of its own: what a publish of all up to `upto` moves besides
     * (queue_checkpoints). May be NULL. */
    void (*checkpoints)(void *ctx, uint64_t upto, struct arena *a, struct catalog_position **ret,
                        size_t *ret_n);
    /* After a publish: everything below is in segments (trim the queue). May be NULL. */
    void (*published)(void *ctx, uint64_t position);
    /* A block was made: store_is_behind may say no now. From an encoder. May be NULL. */
    void (*relieved)(void *ctx);
    /* The disk is full: give back what is only kept for speed. May be NULL. */
    void (*reclaim)(void *ctx);
    uint64_t reserve_bytes; /* of the file that is given up on a full disk; 0: none */
    /* Of several servers on one catalog (follow.c): which this is; number 0: it is alone. */
    struct catalog_node node;
    /* Whether what was delivered stands where the catalog says that this server's consumption
     * stands: ERR_CONFLICT when another has published some of it, ERR_AGAIN when that cannot be
     * said right now. May be NULL: nobody else consumes what this one does. */
    enum err (*agrees)(void *ctx, const struct catalog_state *state);
    /* Another has published what is in memory here: store_reset is to be called. */
    void (*conflict)(void *ctx);
    /* Another process has started on a copy of this data folder: this one must end. */
    void (*ousted)(void *ctx);
    void *ctx;
};

/* Before a folder's catalog and queue are opened: on a full disk they could not be. */
NODISCARD enum err store_make_room(const char *dir);

NODISCARD enum err store_open(const struct store_options *options, struct store **ret);
/* Where replay starts: the position behind the last published. */
uint64_t store_checkpoint(struct store *s);
/* Weir's own log. What concerns only its records is logged at level debug. */
#define STORE_OWN_STREAM STR("_weir")
/* retention_ns and max_disk from now on. */
void store_set_limits(struct store *s, int64_t retention_ns, uint64_t max_disk);
/* As a queue_consumer's deliver. */
void store_deliver(struct store *s, struct blob *const *frame, uint32_t n, uint64_t first_position);
/* Replay is over: the ids of later frames come by claims, and deliver need not look into frames for
 * them any more. The first claim says the same. */
void store_replayed(struct store *s);
/* Whether encoders have more than enough to do: more records would only lie in memory until one is
 * done. Who can let senders wait does well to. */
bool store_is_behind(struct store *s);
/* Before a body is decoded. ERR_UNAVAILABLE with the reason when the memtable is full or the disk
 * is. */
NODISCARD enum err store_admit(struct store *s, size_t bytes);
/* ---- several servers on one catalog ---- */

/* From the thread that delivers: forgets everything that is not published, and goes on with what
 * the catalog says. `forget` is called in the instant in which it goes, so that the queue forgets
 * with it what was taken; it must not call the store. Positions go on. */
NODISCARD enum err store_reset(struct store *s, void (*forget)(void *ctx), void *ctx);
/* Takes in what others have published. ERR_CONFLICT: some of it is also in memory here; ERR_AGAIN
 * (without a text): not now. */
NODISCARD enum err store_follow(struct store *s);
/* The same, and what has landed elsewhere, for a part of the queue that others have consumed so
 * far. */
NODISCARD enum err store_take_over(struct store *s);
/* The queue stands elsewhere: what was read of the catalog before says nothing about it. */
void store_moved(struct store *s);

/* What is in memory is cut as soon as can be: the queue met a full disk, and its files are to go,
 * or they went by themselves. */
void store_cut_soon(struct store *s);
/* Cuts and publishes everything delivered before the call; returns when it is published. */
NODISCARD enum err store_flush(struct store *s);
/* Flushes, then merges until no level has two files that may be merged (`full`), or none is due. */
NODISCARD enum err store_compact(struct store *s, bool full);
/* Deletes what retention or the disk budget says; returns bytes freed. */
NODISCARD enum err store_expire(struct store *s, uint64_t *ret_freed);
void store_close(struct store *s); /* stops the background; does not flush */

/* Landing once. A key or id is claimed before its body is appended; the claim ends by settle, after
 * the body was delivered (or failed). Claims are only made when replay is over: until the first
 * one, deliver reads the ids out of the frames. */
enum claim { CLAIM_NEW, CLAIM_SEEN, CLAIM_PENDING, CLAIM_OTHER };
/* Idempotency-Key. NEW: yours, settle it. SEEN: landed before, *ret_records was the answer.
 * PENDING: another request with it is under way. OTHER: seen with another payload. */
enum claim store_claim_key(struct store *s, struct hash128 key, struct hash128 payload,
                           uint64_t *ret_records);
void store_settle_key(struct store *s, struct hash128 key, bool landed, uint64_t records);
/* A record's id within its stream. NEW, SEEN or PENDING. */
NODISCARD enum err store_claim_id(struct store *s, struct str org, struct str stream, struct str id,
                                  enum claim *ret);
void store_settle_id(struct store *s, struct str org, struct str stream, struct str id,
                     bool landed);

/* One number of an agent's sequence (store/producer.h). NEW: yours, settle it after its delivery or
 * failure. SEEN: landed before. PENDING: under way. OTHER: the number landed with another mark. */
struct store_sequence {
    uint64_t producer, epoch, sequence;
    uint64_t mark;
};
enum claim store_claim_sequence(struct store *s, const struct store_sequence *n);
void store_settle_sequence(struct store *s, const struct store_sequence *n);

/* ---- reading ---- */

struct snapshot;

/* What a query asks for. Streams whose name starts with '_' are only in when named. */
struct snapshot_want {
    struct str org;
    const struct str *stream; /* n_streams 0: all */
    uint32_t n_streams;
    int64_t from, to; /* [from, to) */
    /* Only blocks that may hold rows behind the cursor (and others besides), and of these only ones
     * of the window, unless it is NULL (landed.h). NULL: all. Both outlive the snapshot. */
    const struct landed_cursor *behind;
    const struct landed_span *window;
    /* How long to wait for what is at rest elsewhere; outlives the snapshot. NULL: as long as it
     * takes. */
    const struct objects_wait *wait;
};
/* One block: rows of one stream. Those of segments and sealed blocks are in total order; those of
 * the open part of the memtable are as they arrived, and a consumer that needs an order sorts them
 * itself. */
#define LASTING_BLOCK ((uint64_t)1 << 63)
#define LASTING_FRAME ((uint64_t)1 << 62)
struct block_ref {
    int64_t time_min, time_max;
    uint32_t rows;
    uint64_t bytes; /* encoded */
    struct str stream;
    uint64_t order; /* unique within the snapshot */
    /* Name the block for good, for who keeps what was made of it: its segment and place, or, also
     * once a cut has written it, the number of a block in memory, or of a frame, and one of these
     * bits. */
    uint64_t lasting, place;
    const void *impl;
};
struct snapshot_stats {
    uint64_t blocks_total; /* before pruning by stream and time */
    uint64_t segments, sections;
    uint64_t unreadable; /* sections that are missing or damaged: the answer is partial */
    uint64_t fetched;    /* bytes of segments that were at rest elsewhere; so far */
    char why[200];       /* of the first that is unreadable; "": the log says */
};
/* What is at rest elsewhere costs its fetch: ERR_CANCELED and ERR_TIMEOUT are those of the wait. */
NODISCARD enum err snapshot_open(struct store *s, const struct snapshot_want *want,
                                 struct snapshot **ret);
void snapshot_close(struct snapshot *n);

/* What a merge has written, before it takes its sources' place: nobody else sees it yet, but its
 * blocks have the names that they keep. What is read of them is not left in the cache. */
struct merged;
NODISCARD enum err snapshot_open_merged(const struct merged *m, const struct snapshot_want *want,
                                        struct snapshot **ret);
/* How long the merge took; what looks at it should not take longer. */
int64_t merged_took_ns(const struct merged *m);
/* `fn` is called with what each merge from now on has written, in the merging thread, at low
 * priority; the merge, and then deletions, wait for it. NULL: no more; returns when a call under
 * way has ended. */
void store_on_merge(struct store *s, void (*fn)(void *ctx, const struct merged *m), void *ctx);
/* What it shows behind want.behind, or in all. The spans live as long as the snapshot. */
struct store_moves {
    uint64_t delivered; /* the last queue position of this server */
    uint64_t followed;  /* how often the manifest became that of the others */
};
struct snapshot_landed {
    const struct landed_span *span; /* ascending by node */
    size_t n;
    uint64_t ids; /* as in landed_cursor, once all of it is seen */
    struct store_moves moves;
    /* This server's rows from this position on are in memory alone; where it may forget them
     * (forgets) and has done so `resets` times, those that it forgot last. */
    uint64_t node, published;
    bool forgets;
    uint64_t resets, forgot_from, forgot_upto;
};
void snapshot_landed(const struct snapshot *n, struct snapshot_landed *ret);
const struct block_ref *snapshot_blocks(const struct snapshot *n, size_t *ret_n);
void snapshot_stats(const struct snapshot *n, struct snapshot_stats *ret);
/* Columns decode on demand into the arena, which must not outlive the snapshot. ERR_CORRUPT names
 * file, block and column. Threads: any, each with its own arena. *ret_bytes_read (may be NULL in
 * arena lifetime) counts bytes read from chunks as columns are read. */
NODISCARD enum err block_open(const struct snapshot *s, const struct block_ref *b,
                              struct arena *arena, struct rows *ret, uint64_t *bytes_read);

/* Of a block that block_open would have to fetch: whether it is here, and fetching it. */
bool block_is_here(const struct snapshot *s, const struct block_ref *b);
NODISCARD enum err block_fetch(const struct snapshot *s, const struct block_ref *b);
/* It is wanted soon: begins to fetch what is at rest elsewhere. */
void block_ahead(const struct snapshot *s, const struct block_ref *b);
/* Whether that is worth asking. */
bool snapshot_is_remote(const struct snapshot *s);
/* What was read of the block was damaged. True: it is worth reading once more. */
bool block_suspect(const struct snapshot *s, const struct block_ref *b);

/* Waits until something was delivered, or came from other servers, since *moves; or until
 * store_wake_waiting is called or the time is over. True: there is something. */
bool store_wait(struct store *s, const struct store_moves *moves, int64_t deadline_mono);
void store_wake_waiting(struct store *s);

struct store_stats {
    uint64_t segments, segment_bytes, segment_rows, segment_raw_bytes;
    uint64_t memtable_rows, memtable_bytes, memtable_frame_bytes, streams;
    uint64_t cuts, merges, expired_segments, expired_bytes;
    uint64_t checkpoint;
    int64_t oldest_ns, newest_ns;
    uint64_t unreadable_segments; /* named by the catalog, missing or damaged on disk */
    uint64_t quarantined_frames;
    bool cut_failing; /* the last cut failed; it is being tried again */
    /* Of several servers: this one's number (0: it is alone), who merges (0: not known), how long
     * ago what others published was looked for, how often memory was dropped. */
    uint64_t node, merges_node, resets;
    int64_t followed_ago_ns;
    struct {
        bool remote; /* segments are at rest elsewhere; the others count their local copies */
        uint64_t copies, copies_bytes, copies_max, hits, fetched, fetched_bytes, evicted;
        uint64_t not_stored; /* segments that are only here, yet */
    } objects;
};
void store_stats(struct store *s, struct store_stats *ret);
/* Makes a stream that has no records yet; *ret_new: it was not there. Durable. */
NODISCARD enum err store_create_stream(struct store *s, struct str org, struct str name,
                                       bool *ret_new);
/* Those of the organisation by name, also without rows. */
struct stream_stats {
    struct str name; /* in the arena */
    uint64_t rows, bytes, raw_bytes;
    int64_t time_min, time_max;
};
NODISCARD enum err store_streams(struct store *s, struct str org, struct arena *a,
                                 struct stream_stats **ret, size_t *ret_n);

#endif
