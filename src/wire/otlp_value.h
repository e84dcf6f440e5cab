/* The values of OTLP, in either of its two forms, into records: what otlp.c shares with
 * otlp_value.c. Threads: those of the decoder. */
#ifndef WEIR_WIRE_OTLP_VALUE_H
#define WEIR_WIRE_OTLP_VALUE_H

#include "wire/proto.h"
#include "wire/record.h"

#include "wire/proto/otlp.pb-c.h"

/* A value or attributes, in one of the two forms. */
struct otlp_any {
    struct str proto; /* an AnyValue */
    struct str json;  /* an object of one member */
    bool there;
};
struct otlp_attributes {
    Otlp__KeyValue **proto;
    size_t n;
    struct str json; /* an array of {"key", "value"} */
};

/* l: memory for what is unpacked on the way. ERR_INVALID and ERR_LIMIT refuse the record. */
NODISCARD enum err otlp_put(struct proto_level *l, struct put *p, struct str key,
                            const struct otlp_any *any);
/* As an object; {} where there are none. */
NODISCARD enum err otlp_put_object(struct proto_level *l, struct put *p, struct str key,
                                   const struct otlp_attributes *a);
bool otlp_is_empty(const struct otlp_attributes *a);

#endif
