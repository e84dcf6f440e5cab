/* Weir's own log lines by an output, for processes without a store: otlp://HOST to an OpenTelemetry
 * collector, http://HOST to a Weir. Their event is the record's message; time, level and details
 * are its fields, `service` is its own.
 *
 * Bounded as self_log.h says: while the peer is away lines wait, and what does not fit is counted
 * in a line of its own. Nothing waits for it but the end of the process, two seconds at most.
 * Threads: open and close from one. One a process. */
#ifndef WEIR_PIPELINE_LOG_OUTPUT_H
#define WEIR_PIPELINE_LOG_OUTPUT_H

#include "pipeline/output.h"

struct log_output;
/* ERR_INVALID for a URL that is none of an output's. The service is copied. */
NODISCARD enum err log_output_open(const struct output_type *const *types, const char *url,
                                   const char *service, struct log_output **ret);
void log_output_close(struct log_output *l); /* NULL is fine */

#endif
