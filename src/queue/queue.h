/* The queue: the spine between inputs and consumers. Durable before it says so. Embedded it is a
 * write-ahead log on disk (disk.c), in a cluster Kafka.
 *
 * A *body* is what one sender wants acknowledged as a whole: one or more frames. queue_append takes
 * it; when it is durable, the consumer is handed it, and when the consumer has taken it in, `done`
 * is called: then the sender may be answered. Positions number frames, from 1, without gaps, in
 * order.
 *
 * Ownership: the queue takes over the references to the frames' blobs of a queue_body it accepted.
 * Threads: queue_append from any; the consumer and `done` are called from the queue's own thread,
 * in order (at replay the consumer from queue_start's caller). Neither may call queue_drain or
 * queue_close.
 * Bounds: waiting bytes (OWNER_QUEUE); past them ERR_UNAVAILABLE. Crash: what was done is there,
 * what was not may be; never a part of a body. */
#ifndef WEIR_QUEUE_QUEUE_H
#define WEIR_QUEUE_QUEUE_H

#include "catalog/shared.h"
#include "core/blob.h"
#include "core/err.h"
#include "core/hash.h"
#include "core/str.h"

struct queue;

struct queue_body {
    struct blob **frame; /* n; the queue's from acceptance on, the array stays the caller's */
    uint32_t n;
    void *ctx; /* handed through to the consumer (NULL at replay) and to done */
    /* err OK: durable and consumed. Else the body is not there, and will not be; but for
     * ERR_TIMEOUT, which leaves that open (closed while the disk refuses everything). May be NULL.
     */
    void (*done)(void *ctx, enum err err, const char *reason, uint64_t first_position);
    uint64_t plain_bytes; /* what it was before it was compressed; 0: nobody tried */
};

struct queue_consumer {
    void *ctx;
    /* Takes in a whole body: frame i stands at first_position + i. It refs the blobs it keeps. Must
     * not fail: memory is forced, admission was earlier. `body_ctx` is NULL at replay. */
    void (*deliver)(void *ctx, struct blob *const *frame, uint32_t n, uint64_t first_position,
                    void *body_ctx);
    /* All bodies of one group commit have been delivered. May be NULL. */
    void (*committed)(void *ctx);
    /* The queue's files were removed under it: what is not trimmed stands with the consumer alone,
     * who does well to store it soon. Called by the queue's own thread. May be NULL. */
    void (*lost)(void *ctx);
    /* Of a queue that others write to as well (Kafka), in place of deliver: takes a frame in,
     * unless it has landed before (false: then `position` is not used up). What it keeps it refs.
     * Bytes that are no frame are its to put aside. On the queue's thread, as the next two. */
    bool (*take)(void *ctx, struct blob *frame, uint64_t position);
    /* Whether there is room for more: otherwise nothing is taken from the brokers for a while. */
    bool (*has_room)(void *ctx);
    /* Publishes all that was taken: partitions are about to go to another node. */
    enum err (*flush)(void *ctx);
    /* The next three where several servers share the catalog. Forgets all that was taken and is not
     * published; `forget` is to be called in the instant in which it goes. */
    enum err (*reset)(void *ctx, void (*forget)(void *queue), void *queue);
    /* Before anything is taken of partitions that others have read so far: takes in what they have
     * published. ERR_CONFLICT: some of it was taken here as well. */
    enum err (*take_over)(void *ctx);
    /* Partitions have come, or are read from elsewhere. */
    void (*moved)(void *ctx);
};

struct queue_stats {
    uint64_t bytes_on_disk, files, first_position, next_position, trimmed_to;
    uint64_t appended_bodies, appended_frames, appended_bytes, syncs;
    uint64_t replayed_frames, torn_bytes, quarantined_entries, unreadable_bytes;
    uint64_t waiting_bytes;
    uint64_t lag;      /* Kafka: messages that were not read yet */
    bool poisoned;     /* a sync failed; a new file was begun. Kafka: no broker answers */
    bool disk_is_slow; /* queue_disk_is_slow */
};

struct queue_options {
    const char *dir;     /* disk: the folder */
    uint64_t file_bytes; /* rotate at */
    bool sync;           /* false: tests only */
    size_t waiting_max;  /* bytes */
    size_t direct_min;   /* larger writes go past the page cache (direct.h); 0: none do */
    uint64_t disk_max;   /* bytes on disk past which appends answer ERR_UNAVAILABLE; 0: none */
};

NODISCARD enum err queue_open_disk(const struct queue_options *options, struct queue **ret);

/* What is wrong with the URL of a queue (disk: or kafka://...) and its parameters, as far as can be
 * said without reaching anything. */
NODISCARD enum err queue_check_url(struct str url);

struct kafka_queue_options {
    struct str url;          /* kafka://HOST:PORT/TOPIC?...; docs/kafka.md has the parameters */
    struct catalog *catalog; /* outlives the queue */
    size_t waiting_max;
    size_t record_max; /* the topic's messages should take that */
    uint64_t node;     /* number of this server, where several share the catalog; 0: it is alone */
};
/* ERR_UNAVAILABLE when no broker answers and this data folder has never seen the cluster,
 * ERR_NOTFOUND when there is no such topic. What the topic lacks of what is asked is logged. */
NODISCARD enum err queue_open_kafka(const struct kafka_queue_options *options, struct queue **ret);
/* Replays what lies at or behind `from` to the consumer, in constant memory, then serves appends.
 * Called once; blocks until the replay is over. `progress` (may be NULL) is called now and then
 * with bytes done and in all. A body that reaches to `from` is delivered whole. Quarantined entries
 * are counted and logged, never silently cut. */
NODISCARD enum err queue_start(struct queue *q, uint64_t from,
                               const struct queue_consumer *consumer,
                               void (*progress)(uint64_t done, uint64_t total));
NODISCARD enum err queue_append(struct queue *q, const struct queue_body *body);
/* For queues whose positions are made by who consumes them (Kafka): how far each of their
 * partitions is consumed once everything up to `upto` is published, for that transaction. Others
 * have none. The array is the arena's, its strings the queue's. */
void queue_checkpoints(struct queue *q, uint64_t upto, struct arena *a,
                       struct catalog_position **ret, size_t *ret_n);
/* Where several servers share the catalog: ERR_CONFLICT when what was taken and is not published
 * was published by another, as of `state`; ERR_AGAIN when that cannot be said right now. */
NODISCARD enum err queue_agrees(struct queue *q, const struct catalog_state *state);
/* That was found: all that was taken is to be forgotten, and read again. */
void queue_reset(struct queue *q);
/* Reading back what is durable, for whoever consumes at a pace of his own: routes to outputs. A
 * reader must not be behind what is trimmed; what it meets missing or damaged is logged, counted
 * and passed over. Owner: one thread; freed before the queue is closed. */
struct queue_reader;
struct queue_read {
    struct blob *const *frame; /* n; the reader's, until its next call */
    uint32_t n;
    uint64_t first_position;
};
/* Of a disk queue; what Kafka holds is read by a group of one's own. */
struct queue_reader *queue_reader_new(struct queue *q, uint64_t from);
void queue_reader_free(struct queue_reader *r);
/* The next body. ERR_AGAIN (without a text): there is none yet. */
NODISCARD enum err queue_reader_next(struct queue_reader *r, struct queue_read *ret);
uint64_t queue_reader_lost(const struct queue_reader *r); /* frames passed over */
/* Everything below `position` is published: files wholly below it go. */
NODISCARD enum err queue_trim(struct queue *q, uint64_t position);
/* Whether the disk is what appends wait for, so that frames had better be compressed (pace.h). Not
 * of Kafka, which compresses by itself. Costs next to nothing; from any thread. */
bool queue_disk_is_slow(const struct queue *q);
/* Gives back the space of files that are kept only to be written over. */
void queue_reclaim(struct queue *q);
/* Every append accepted before this call is done when it returns. */
void queue_drain(struct queue *q);
/* The consumer is called no more once this has returned: it may be closed. Drained before. */
void queue_rest(struct queue *q);
void queue_stats(struct queue *q, struct queue_stats *ret);
/* Finishes what was accepted, then closes. */
void queue_close(struct queue *q);

#endif
