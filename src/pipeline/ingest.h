/* The way in: a body of some protocol becomes frames, is appended to the queue, and is acknowledged
 * when it is durable and in the memtable. Refused records become entries of the stream
 * "_dead_letters" in the same body of the queue. A body with an Idempotency-Key, and a record with
 * an id, land once.
 *
 * Threads: ingest_body from any; `done` comes once for each, from the caller's thread or the
 * queue's. Bounds: bodies are the caller's memory; what they inflate to is OWNER_INGEST, frames are
 * OWNER_QUEUE. */
#ifndef WEIR_PIPELINE_INGEST_H
#define WEIR_PIPELINE_INGEST_H

#include "store/store.h"
#include "wire/decode.h"

#define INGEST_DEAD_LETTERS STR("_dead_letters")

struct ingest;
struct ingest_options {
    struct store *store;
    struct queue *queue;
    struct json_limits limits;
    size_t body_max; /* of an inflated body */
    bool lz4;        /* compress frames */
};
struct ingest *ingest_new(const struct ingest_options *o);
void ingest_free(struct ingest *g); /* nothing may be under way */
/* Until this is called every body is refused: the queue is being replayed. */
void ingest_open(struct ingest *g);

struct ingest_refusal {
    uint32_t position; /* among the body's records, from 0 */
    struct str reason;
};
/* Where the accepted records of a body came to stand: frame by frame, in the order in which they
 * were accepted. */
struct ingest_place {
    uint64_t position;
    uint32_t partition, first_index, rows;
};
struct ingest_result {
    /* OK: judged, and what was accepted is durable and searchable. ERR_INVALID, ERR_LIMIT: the body
     * as a whole. ERR_CONFLICT: another request with the same key is under way, or one with a
     * record of the same id was, for all of a second. ERR_UNAVAILABLE, ERR_NOMEM, ...: nothing
     * landed, try again. */
    enum err err;
    const char *text;
    uint64_t accepted, rejected, duplicates;
    bool duplicate;  /* the whole body had landed before */
    bool key_reused; /* the key came before with another body; this one was stored all the same */
    const struct ingest_refusal *refusal; /* the first of them */
    uint32_t n_refusals;
    const struct bulk *bulk; /* WIRE_BULK and WIRE_DOC, where it could be read: the items */
    const struct ingest_place *place;
    uint32_t n_places;
};
#define INGEST_REFUSALS_MAX 100

struct ingest_body {
    struct str org, stream;
    struct str bytes;    /* JSON_PADDING readable bytes behind; needed until ingest_body returns */
    struct str encoding; /* content coding; n == 0: none */
    enum wire_format
        format;      /* WIRE_BULK: `stream`, which may be empty, is that of actions without */
    enum bulk_op op; /* WIRE_DOC: what is asked for, */
    struct str id;   /* and the record's id; may be empty */
    bool sniff;      /* the format is not known: look at the bytes (ingest_sniff) */
    struct str service, host;        /* defaults of the lowest precedence */
    const struct wire_field *fields; /* wire_decoder_fields; needed until ingest_body returns */
    uint32_t n_fields;
    struct str key; /* Idempotency-Key; n == 0: none */
    void *ctx;
    void (*done)(void *ctx, const struct ingest_result *result);
};
void ingest_body(struct ingest *g, const struct ingest_body *body);

/* The body of an agent (wire/frames.h): `bytes`, `encoding`, `org`, ctx and done are used. A unit
 * lands once; what had landed before counts as duplicates. A body is refused as a whole. */
void ingest_frames(struct ingest *g, const struct ingest_body *body);

/* '[' begins JSON; '{' too, unless a line holds a whole object and another begins behind it:
 * NDJSON; all else is text. */
enum wire_format ingest_sniff(struct str bytes);
/* 1..200 bytes, no control characters, no '/', no leading '_' (reserved). */
NODISCARD enum err ingest_check_stream(struct str name);

#endif
