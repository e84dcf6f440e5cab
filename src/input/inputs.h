/* The inputs that there are. src/cmd puts them in its table. */
#ifndef WEIR_INPUT_INPUTS_H
#define WEIR_INPUT_INPUTS_H

#include "pipeline/input.h"

/* beats://, beats+tls://: Filebeat and its kin, Logstash. The frames: wire/lumberjack.h. */
extern const struct input_type beats_input;
/* gelf+tcp://, gelf+tls://; gelf+udp:// and gelf://. The messages: wire/gelf.c. */
extern const struct input_type gelf_stream_input;
extern const struct input_type gelf_datagram_input;
/* forward://, forward+tls://: Fluentd and Fluent Bit. The messages: wire/forward.h. */
extern const struct input_type forward_input;
/* kafka://, kafka+tls://: a member of a consumer group. */
extern const struct input_type kafka_input_type;
/* otlp+grpc://, otlp+grpc+tls://: OpenTelemetry's collectors and SDKs. */
extern const struct input_type otlp_input;
/* syslog+tcp://, syslog+tls://; syslog+udp:// and syslog://. The formats: wire/syslog.h. */
extern const struct input_type syslog_stream_input;
extern const struct input_type syslog_datagram_input;

#endif
