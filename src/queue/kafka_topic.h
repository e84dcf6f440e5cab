/* The topic of a Kafka queue: what it is, making it, how far a group has come.
 * Threads: any; calls block on brokers for a few seconds at most. */
#ifndef WEIR_QUEUE_KAFKA_TOPIC_H
#define WEIR_QUEUE_KAFKA_TOPIC_H

#include "net/kafka.h"

/* What is asked of it: the URL's parameters partitions, retention, replication. */
struct kafka_topic_asked {
    int64_t partitions;   /* 50 */
    int64_t retention_ns; /* 7 days */
    int64_t replication;  /* 0: the cluster's default */
    int64_t message_max;  /* bytes */
};
extern const char *const kafka_queue_params[]; /* of a queue's URL, ended by NULL */
NODISCARD enum err kafka_topic_read_asked(const struct url *url, struct kafka_topic_asked *ret);

struct kafka_topic {
    int32_t partitions, replication;
    int64_t retention_ms, message_max, min_insync; /* -1: not known */
};
/* ERR_NOTFOUND: there is none of that name. */
NODISCARD enum err kafka_topic_read(rd_kafka_t *rk, const char *topic, struct kafka_topic *ret);
/* ERR_EXISTS: there is one. */
NODISCARD enum err kafka_topic_create(rd_kafka_t *rk, const char *topic,
                                      const struct kafka_topic_asked *asked);
/* Calls say for each difference, with a sentence. */
void kafka_topic_compare(const struct kafka_topic *is, const struct kafka_topic_asked *asked,
                         void (*say)(void *ctx, const char *sentence), void *ctx);

#endif
