#include "cmd/inputs.h"

#include "input/inputs.h"

const struct input_type *const cmd_input_types[] = {
    &syslog_stream_input,
    &syslog_datagram_input,
    NULL,
};
