/* The inside of the Kafka queue, shared by kafka.c, which holds its rules, and kafka_group.c. */
#ifndef WEIR_QUEUE_KAFKA_INSIDE_H
#define WEIR_QUEUE_KAFKA_INSIDE_H

#include "core/clock.h"
#include "core/thread.h"
#include "net/kafka_member.h"
#include "queue/kafka_topic.h"
#include "queue/queue_impl.h"
#include "wire/kafka.h"

#include <stdatomic.h>

enum { POLL_MS = 100, PAUSE_MS = 20, ASK_MS = 5000 };
#define PROBE_NS NS_PER_S

struct body {
    struct body *next; /* of those that wait */
    struct kafka_queue *q;
    void *ctx;
    void (*done)(void *ctx, enum err err, const char *reason, uint64_t first_position);
    uint32_t unanswered; /* messages */
    enum err err;
    char why[160];
    size_t bytes;
    int64_t deadline; /* for reading back */
    struct place {
        int32_t partition;
        int64_t offset;
    } * place; /* of the acknowledged */
    uint32_t n_places, places_cap;
};

struct partition {
    int32_t number;
    bool ours;
    int64_t next;      /* offset behind the last taken; -1: none yet */
    int64_t start_end; /* where it ended when it became ours */
    int64_t published; /* the catalog's checkpoint; 0: no row */
    /* Where several servers share the catalog: where it begins without a row; it is being found out
     * where it stands; its messages are passed over until the client reads from `next`. */
    int64_t begin;
    bool settling, seek;
};

/* Up to `position`, the partition is consumed up to `next`. */
struct mark {
    uint64_t position;
    int32_t partition;
    int64_t next;
};

struct kafka_queue {
    struct queue base;
    struct kafka_queue_options o;
    struct kafka_conf conf; /* topic, brokers */
    char *name;             /* kafka:CLUSTER/TOPIC */
    char *group;
    size_t message_max;
    pthread_rwlock_t out_lock; /* read: out is used; write: another takes its place */
    rd_kafka_t *out;
    struct kafka_conf in_conf;
    struct kafka_member in;
    struct queue_consumer consumer;
    pthread_t in_thread, out_thread;
    bool started, in_runs, out_runs;
    atomic_bool stop_in, stop_out, away;
    atomic_llong heard_ns; /* that a broker answers */
    /* More is published than the group knows; the commit of it is under way; the in-thread waits
     * for a publish itself. */
    atomic_bool commit_due, committing, flushing;
    atomic_bool reset_due; /* what was taken and is not published is to be forgotten */
    /* The in-thread's: */
    uint64_t next_position; /* and start's */
    int64_t commit_at_ns, lag_at_ns, seek_at_ns;
    bool paused, resetting;        /* the log says that a reset waits */
    int64_t session_ns, polled_ns; /* when the client was asked last */

    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct partition *partition;
    size_t n_partitions, partitions_cap;
    size_t woken;      /* which had its turn last */
    struct mark *mark; /* by position */
    size_t n_marks, marks_cap;
    struct body *waiting;     /* acknowledged, not read back */
    uint64_t open;            /* bodies accepted and not done */
    bool assigned;            /* once */
    bool shared;              /* other servers read the topic in the group, and the log says so */
    int32_t topic_partitions; /* 0: not known */
    rd_kafka_queue_t *polled; /* by the in-thread; NULL: between two clients */
    struct queue_stats stats;
};

/* kafka.c */
void kafka_finish_read_back(struct kafka_queue *q);
void kafka_set_paused(struct kafka_queue *q, bool pause);

/* kafka_group.c: partitions and marks, with the lock. */
struct partition *kafka_partition(struct kafka_queue *q, int32_t number);
void kafka_add_mark(struct kafka_queue *q, uint64_t position, int32_t partition, int64_t next);
/* That of a frame which was not taken after all: its offset goes to the position before. */
void kafka_lower_mark(struct kafka_queue *q, uint64_t position);
/* Commits to the group, rebalances and resets: on the in-thread. */
void kafka_commit_on(struct kafka_queue *q);
void kafka_commit_now(struct kafka_queue *q);
void kafka_on_rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t code,
                        rd_kafka_topic_partition_list_t *list, void *opaque);
void kafka_lose_partitions(void *ctx); /* as kafka_member's `ending` */
void kafka_reset_on(struct kafka_queue *q);
/* The message was read before a reset, or of a partition that is not ours: it is none of ours. */
bool kafka_pass_over(struct kafka_queue *q, const rd_kafka_message_t *m);
/* Of queue_ops. */
void kafka_checkpoints(struct queue *base, uint64_t upto, struct arena *a,
                       struct catalog_position **ret, size_t *ret_n);
enum err kafka_agrees(struct queue *base, const struct catalog_state *state);
void kafka_reset(struct queue *base);
enum err kafka_trim(struct queue *base, uint64_t position);

#endif
