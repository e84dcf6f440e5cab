#include "output/outputs.h"

const struct output_type *const output_types[] = {
    &output_http,  &output_opensearch, &output_openobserve, &output_loki,
    &output_otlp,  &output_forward,    &output_syslog,      &output_http_lines,
    &output_kafka, &output_file,       &output_stdout,      &output_store,
    NULL,
};
