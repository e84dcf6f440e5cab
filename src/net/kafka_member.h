/* A member of a consumer group: a subscribed client of librdkafka, and a new one in its place after
 * an end that it does not come back from. Such is a static member that was fenced, because another
 * took its name, or because its broker crashed before it had written down the newest join.
 *
 * Commits are begun, and answered later; so nobody has to wait for brokers that are away.
 * Owner and thread: one, which polls `rk` itself. Leaving blocks while the group is told. */
#ifndef WEIR_NET_KAFKA_MEMBER_H
#define WEIR_NET_KAFKA_MEMBER_H

#include "net/kafka.h"

struct kafka_member {
    /* Set by the owner, whose they are; they outlive the member. */
    struct kafka_conf *conf;                 /* with callbacks and their opaque */
    rd_kafka_topic_partition_list_t *topics; /* to subscribe to */
    const char *name;                        /* in the log */
    void *ctx;
    void (*joined)(void *ctx); /* there is a client. May be NULL, as the next */
    void (*ending)(void *ctx); /* it is about to go: so must its messages */

    rd_kafka_t *rk; /* NULL: between two clients, or never joined */
    rd_kafka_queue_t *commits;
    unsigned unanswered; /* commits */
    int64_t joined_ns, join_at_ns, pause_ns;
};

NODISCARD enum err kafka_member_join(struct kafka_member *m);
void kafka_member_leave(struct kafka_member *m); /* not joined is fine */
/* True: `rk` may be polled. False: it ended, and is not to be replaced yet; ask again soon. The
 * pauses before a new client double while clients do not last. */
bool kafka_member_is_on(struct kafka_member *m);

rd_kafka_resp_err_t kafka_member_commit(struct kafka_member *m,
                                        const rd_kafka_topic_partition_list_t *list);
/* What became of the newest commit; false: not known within wait_ms. Called after a commit. */
bool kafka_member_committed(struct kafka_member *m, int wait_ms, rd_kafka_resp_err_t *ret);

#endif
