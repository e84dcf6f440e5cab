/* What all that speaks to Kafka shares: the settings of librdkafka that a URL means, errors, and
 * its log.
 *
 *   kafka://[USER:PASSWORD@]HOST:PORT[,HOST:PORT...]/TOPIC?...      kafka+tls:// over TLS
 *
 * Parameters of all: sasl (PLAIN, SCRAM-SHA-256, SCRAM-SHA-512; where there is a user, by default
 * PLAIN over TLS and else the last), tls_ca, tls_cert, tls_key (PEM files), client_id, and
 * rdkafka.NAME=VALUE for any setting of librdkafka. User and password may also stand in
 * WEIR_KAFKA_USER and WEIR_KAFKA_PASSWORD, and
 * are written to no log.
 * Threads: pure functions; handles are librdkafka's. */
#ifndef WEIR_NET_KAFKA_H
#define WEIR_NET_KAFKA_H

#include "core/url.h"

#include <librdkafka/rdkafka.h>

extern const char *const kafka_schemes[]; /* ended by NULL */

struct kafka_conf {
    rd_kafka_conf_t *conf; /* kafka_new takes a copy */
    char *brokers;         /* HOST:PORT,... */
    char *topic;           /* the path without its first '/'; may be empty */
};
/* known: the parameters beside those of all, ended by NULL. */
NODISCARD enum err kafka_conf_read(const struct url *url, const char *const *known,
                                   struct kafka_conf *ret);
void kafka_conf_release(struct kafka_conf *c);
NODISCARD enum err kafka_conf_set(struct kafka_conf *c, const char *name, const char *value);
NODISCARD enum err kafka_conf_set_int(struct kafka_conf *c, const char *name, int64_t value);
/* A consumer that holds at most so much before it is polled, and fetches on soon after. */
NODISCARD enum err kafka_conf_set_fetch(struct kafka_conf *c, int64_t kib);
/* A static member of its group. Its name there is NAME-HASH, with a hash of the topics: brokers
 * give a name that is back within its session what it had, also of topics it reads no more. */
NODISCARD enum err kafka_conf_set_instance(struct kafka_conf *c, struct str name);
/* librdkafka before 2.2 lets a broker rest for up to a second once a bound was met, however soon
 * the queue is empty; any request to it ends that. For who finds nothing to read of a partition
 * that is known to have more. Waits for a few milliseconds. */
void kafka_wake_fetch(rd_kafka_t *rk, const char *topic, int32_t partition);
/* With the settings, which stay the caller's. It connects by itself, and to nobody before it is
 * asked for something. */
NODISCARD enum err kafka_new(rd_kafka_type_t type, struct kafka_conf *c, rd_kafka_t **ret);
/* The handle's topic names are judged: 1..249 of [a-zA-Z0-9._-]. */
NODISCARD enum err kafka_check_topic(struct str topic);
/* Sets ERR_UNAVAILABLE, or what fits better, with `what` before Kafka's text. */
enum err kafka_error(const char *what, rd_kafka_resp_err_t code);
/* The cluster's id, "" where it does not answer within so long. Freed with mem_free. */
char *kafka_cluster(rd_kafka_t *rk, int wait_ms);

#endif
