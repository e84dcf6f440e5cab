#include "cmd/inputs.h"

#include "aurora/input.h"
#include "input/inputs.h"

const struct input_type *const cmd_input_types[] = {
    &aurora_input,
    &beats_input,
    &forward_input,
    &gelf_stream_input,
    &gelf_datagram_input,
    &kafka_input_type,
    &otlp_input,
    &syslog_stream_input,
    &syslog_datagram_input,
    NULL,
};
