#include "output/outputs.h"

const struct output_type *const output_types[] = {
    &output_http, &output_opensearch, &output_file, &output_stdout, &output_kafka, NULL,
};
