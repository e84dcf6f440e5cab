/* Every output there is. */
#ifndef WEIR_OUTPUT_OUTPUTS_H
#define WEIR_OUTPUT_OUTPUTS_H

#include "pipeline/output.h"

extern const struct output_type output_http, output_file, output_stdout, output_opensearch,
    output_openobserve, output_loki, output_otlp, output_http_lines, output_forward, output_syslog,
    output_kafka, output_store;

extern const struct output_type *const output_types[]; /* ended by NULL */

/* store:// means this one. */
struct ingest;
void output_store_bind(struct ingest *g);
/* What is sent goes to the sink, which outlives it. */
struct sink;
struct output *output_into(const struct sink *sink);

#endif
