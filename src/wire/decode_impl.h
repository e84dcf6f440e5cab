/* What the decoders of src/wire share of a wire_decoder; for nobody else. */
#ifndef WEIR_WIRE_DECODE_IMPL_H
#define WEIR_WIRE_DECODE_IMPL_H

#include "core/governor.h"
#include "wire/record.h"

enum { WIRE_ALIAS_NAMES_MAX = 32 };

/* A field that records get which have none of an alias's names. */
struct wire_default {
    struct str key;
    struct buf value; /* empty: none */
    uint64_t name_hash[WIRE_ALIAS_NAMES_MAX];
    unsigned n_names;
};

struct wire_decoder {
    struct json_limits limits;
    const struct wire_field *fields;
    uint32_t n_fields;
    struct json_reader *reader;
    /* Lines of JSON have a batch of their own: its records have JSON text, which they are kept as
     * when they are too wide; records of other kinds have none, and must not meet its limits. */
    struct batch *json, *plain; /* plain: made when first needed */
    struct wire_default defaults[2];
    struct buf as_json;  /* a record that is too wide */
    struct buf inflated; /* of what is compressed inside a body */
    size_t inflated_max;
    struct reservation inflated_reserved;
    struct buf value;   /* any decoder's scratch: a value as JSON text */
    struct buf text;    /* put's scratch */
    struct arena arena; /* any decoder's, reset after each body */
    /* The body being decoded. */
    const struct wire_sink *sink;
    struct batch *batch;
    int64_t arrival_ns;
    uint32_t position, accepted;
    bool text_lines, at_start; /* of a body in pieces: WIRE_TEXT; nothing of it came yet */
    bool halted;
};

/* Hands the batch on where a record of `bytes` JSON text, with what is added to it, might lead past
 * a frame. */
NODISCARD enum err wire_make_room(struct wire_decoder *d, size_t bytes);
/* Hands the batch on where it has rows. */
NODISCARD enum err wire_flush(struct wire_decoder *d);
/* The record just ended counts, or is dropped as a duplicate by its id. */
void wire_admit(struct wire_decoder *d);
/* One JSON object as the next record. JSON_PADDING readable bytes behind it. */
NODISCARD enum err wire_add_json(struct wire_decoder *d, struct str record);
/* A copy of bytes in the decoder's arena, JSON_PADDING readable bytes behind it. */
NODISCARD enum err wire_padded(struct wire_decoder *d, struct str s, struct str *ret);

/* What is compressed inside the body, plain: valid until the next call and the body's end.
 * ERR_LIMIT past the limit of a body, ERR_NOMEM where the governor refuses. */
NODISCARD enum err wire_inflate_part(struct wire_decoder *d, struct str encoding, struct str bytes,
                                     struct str *ret);

/* Puts the members of a MessagePack map, nested as they are; ERR_INVALID where it is none. */
NODISCARD enum err wire_put_msgpack(struct wire_decoder *d, struct put *p, struct str map);

/* The decoders, one a format: each reads a whole body. */
enum err wire_decode_syslog(struct wire_decoder *d, struct str body);
enum err wire_decode_loki(struct wire_decoder *d, struct str body);
enum err wire_decode_loki_json(struct wire_decoder *d, struct str body);
enum err wire_decode_otlp(struct wire_decoder *d, struct str body);
enum err wire_decode_otlp_json(struct wire_decoder *d, struct str body);
enum err wire_decode_hec(struct wire_decoder *d, struct str body);
enum err wire_decode_gelf(struct wire_decoder *d, struct str body);
enum err wire_decode_forward(struct wire_decoder *d, struct str body);
enum err wire_decode_kafka(struct wire_decoder *d, struct str body);
enum err wire_decode_syslog_counted(struct wire_decoder *d, struct str body);

#endif
