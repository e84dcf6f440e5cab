#include "cmd/inputs.h"

#include "input/inputs.h"

const struct input_type *const cmd_input_types[] = {
    &forward_input,
    &syslog_stream_input,
    &syslog_datagram_input,
    NULL,
};
