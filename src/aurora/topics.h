/* Kafka between discoverers and processors: a topic for error logs, one for slow logs, whose
 * messages (logfile_message_write) say which file has something to read. Keyed by strand, so that
 * one log's messages come in order to one member.
 *
 *   kafka://[USER:PASSWORD@]HOST:PORT[,HOST:PORT...]?group=...&partitions=...
 *
 * Parameters beside those of net/kafka.h: group (aurora-processor-group), partitions (12) and
 * retention (24h) of topics that are made, error_topic (aurora-error-logs), slowquery_topic
 * (aurora-slowquery-logs).
 *
 * An offset is committed when the files of all messages before it have been read: a processor that
 * dies leaves its messages to the next one. What comes twice is read once: the checkpoints know.
 * Threads: publish from one at a time; the consumer has one of its own, and may be told from any
 * that a message is done. */
#ifndef WEIR_AURORA_TOPICS_H
#define WEIR_AURORA_TOPICS_H

#include "aurora/jobs.h"
#include "core/url.h"

#include <stdatomic.h>

struct topics;
/* Makes what topics are missing. ERR_UNAVAILABLE: no broker answers. */
/* labels: of its gauges; may be NULL. */
NODISCARD enum err topics_open(struct str url, bool publishes, bool consumes, const char *labels,
                               struct topics **ret);
void topics_close(struct topics *t); /* NULL is fine */
/* OK: the message is durable there. */
NODISCARD enum err topics_publish(struct topics *t, const struct logfile_message *m);
/* From now on messages become jobs; theirs are the tokens that topics_settle wants back. */
NODISCARD enum err topics_start(struct topics *t, struct jobs *jobs, const atomic_bool *stopping);
void topics_stop(struct topics *t); /* commits what is done; `stopping` is true */
void topics_settle(struct topics *t, struct job_token *token);
/* Nothing came for a while, and all that came is done. */
bool topics_are_idle(struct topics *t);

/* Of the group, by name: to the beginning or the end of the topics; or forgets it. ERR_CONFLICT
 * while it has members. */
NODISCARD enum err topics_reset(struct str url, bool to_latest);
NODISCARD enum err topics_delete_group(struct str url);

#endif
