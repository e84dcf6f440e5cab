/* Routes behind a queue that is a topic. Such a queue has no readers of ours; so its routes become
 * a pipeline named "queue", whose input reads the topic in a group of its own and whose spool holds
 * what outputs do not take. */
#ifndef WEIR_CMD_TOPIC_ROUTES_H
#define WEIR_CMD_TOPIC_ROUTES_H

#include "pipeline/pipeline.h"

/* Moves the main pipeline's routes there; queue_url is kafka://. ERR_INVALID: there is a pipeline
 * of that name. */
NODISCARD enum err topic_routes(struct pipelines *set, const char *queue_url);

#endif
