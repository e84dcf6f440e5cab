/* Protocol bytes to batches. A decoder judges every record once: the good ones go to batches (one
 * frame's worth at a time), the bad ones are reported by position with the reason.
 * Threads: a decoder is one thread's, reusable. */
#ifndef WEIR_WIRE_DECODE_H
#define WEIR_WIRE_DECODE_H

#include "wire/bulk.h"

enum wire_format {
    WIRE_JSON,           /* the seed's {"logs":[...]}, an array, or one object */
    WIRE_NDJSON,         /* a record a line; empty lines are passed over */
    WIRE_TEXT,           /* a line a record (record/text_line.h); no trailing \r, no empty line */
    WIRE_SYSLOG,         /* as on a connection: wire/syslog.h */
    WIRE_SYSLOG_COUNTED, /* each message with its length before it: "LENGTH SP MESSAGE" */
    WIRE_FORWARD,        /* whole messages: wire/forward.h */
    WIRE_LOKI,           /* a push request as protobuf, plain: wire/loki.c */
    WIRE_LOKI_JSON,      /* the same as JSON */
    WIRE_OTLP,           /* an export request as protobuf: wire/otlp.c */
    WIRE_OTLP_JSON,      /* the same as JSON */
    WIRE_HEC,            /* Splunk's events: wire/hec.c */
    WIRE_GELF,           /* GELF messages with NULs between them: wire/gelf.c */
    WIRE_KAFKA,          /* messages of one partition: wire/kafka.h */
    WIRE_KAFKA_JSON,     /* the same, where all values are JSON and no place is wanted: faster */
    WIRE_FORMAT_COUNT,
    WIRE_BULK,   /* wire/bulk.h: by wire_decode_bulk alone */
    WIRE_DOC,    /* the whole body is one record of a bulk */
    WIRE_FRAMES, /* wire/frames.h: decoded already */
};

struct wire_sink {
    void *ctx;
    /* The batch is full or the body is over; the sink takes its rows and the decoder clears it. */
    enum err (*batch)(void *ctx, struct batch *b);
    /* A record was refused: position among the body's records (from 0), its bytes, the reason. */
    void (*refused)(void *ctx, uint32_t position, struct str raw, const char *reason);
    /* May be NULL. Called for every accepted record that has an id (batch_last_id) before it
     * counts; false: it is a duplicate and is dropped. */
    bool (*accept_id)(void *ctx, struct str id);
    /* Of a bulk: what follows is of this stream (bulk.stream). */
    enum err (*stream)(void *ctx, struct str name);
};

struct wire_decoder;
struct wire_decoder *wire_decoder_new(const struct json_limits *limits);
void wire_decoder_free(struct wire_decoder *d);
/* The most that what is compressed inside a body may inflate to; 64 MiB at first. */
void wire_decoder_inflate_max(struct wire_decoder *d, size_t bytes);
/* `body` must have JSON_PADDING readable bytes behind it. ERR_INVALID when the body as a whole
 * cannot be read (bad JSON around the records); then nothing more is handed to the sink.
 * *ret_records: accepted. */
NODISCARD enum err wire_decode(struct wire_decoder *d, enum wire_format format, struct str body,
                               int64_t arrival_ns, const struct wire_sink *sink,
                               uint32_t *ret_records);
/* A body of WIRE_NDJSON or WIRE_TEXT that comes in pieces: begun, then as many whole lines at a
 * time as there are (only the last may lack its line break; JSON_PADDING readable bytes behind
 * them), then ended, after an error too. What wire_decode would hand to the sink is handed to it.
 */
void wire_lines_begin(struct wire_decoder *d, enum wire_format format, int64_t arrival_ns,
                      const struct wire_sink *sink);
NODISCARD enum err wire_lines(struct wire_decoder *d, struct str lines, size_t *ret_n);
/* Behind wire_lines_begin: so many records of the body were judged before, by this decoder or by
 * another, and a byte-order mark was looked for. */
void wire_lines_skip(struct wire_decoder *d, uint32_t records);
/* How many records have been judged: the position of the next. */
uint32_t wire_lines_position(const struct wire_decoder *d);
/* From accept_id, which then answers false: the record at hand is not to be taken yet, nor what is
 * behind it. *ret_n of wire_lines says where it begins; else it is all of the lines. */
void wire_lines_halt(struct wire_decoder *d);
NODISCARD enum err wire_lines_end(struct wire_decoder *d, uint32_t *ret_records);
/* Decodes the items whose action is possible, stream by stream, each with the `_id` of its action,
 * and writes their outcomes; may be done again. Positions are those of the items. */
NODISCARD enum err wire_decode_bulk(struct wire_decoder *d, struct bulk *bulk, int64_t arrival_ns,
                                    const struct wire_sink *sink, uint32_t *ret_records);
/* Of the decoder: for bulk_parse. */
struct json_reader *wire_decoder_json(struct wire_decoder *d);
/* Extra fields (from headers: X-Service-Id, X-Host) that records lack: lowest precedence. Appended
 * at the record's end as `service`/`host` where its shape has none of the alias's names. Either may
 * be empty. */
void wire_decoder_defaults(struct wire_decoder *d, struct str service, struct str host);
/* Text fields that records of formats without JSON of their own get (lines of text, for one) where
 * they have none of that name. Valid until the next call. */
struct wire_field {
    struct str name, value;
};
void wire_decoder_fields(struct wire_decoder *d, const struct wire_field *fields, uint32_t n);
/* The coding of a GELF message by its first bytes: "gzip", "deflate" (zlib), or empty. */
struct str wire_gelf_encoding(struct str message);
/* gzip, deflate, zstd, lz4 (frame), snappy (a block), identity or empty: appends the plain bytes to
 * `out`, whose max bounds it. ERR_LIMIT (the text has that limit), ERR_INVALID for a broken, cut or
 * overlong body, ERR_UNSUPPORTED for other encodings; `out` then keeps what it had. zstd: windows
 * up to 8 MiB. */
NODISCARD enum err wire_inflate(struct str encoding, struct str body, struct buf *out);

#endif
