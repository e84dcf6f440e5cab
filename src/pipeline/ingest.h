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

struct stages;
struct queue_body;
struct blob;
struct ingest_entry;
struct ingest_upload;

#define INGEST_DEAD_LETTERS STR("_dead_letters")

/* Where accepted bodies go, and who knows what has landed before: the store with its queue
 * (ingest_store.c), or an agent's spool (intake.h). Claims are as the store's (store/store.h).
 * Threads: any; append's `done` as queue_append's. */
struct ingest_ground {
    void *ctx;
    enum err (*admit)(void *ctx, size_t bytes);
    enum claim (*claim_key)(void *ctx, struct hash128 key, struct hash128 payload,
                            uint64_t *ret_records);
    void (*settle_key)(void *ctx, struct hash128 key, bool landed, uint64_t records);
    enum err (*claim_id)(void *ctx, struct str org, struct str stream, struct str id,
                         enum claim *ret);
    void (*settle_id)(void *ctx, struct str org, struct str stream, struct str id, bool landed);
    enum claim (*claim_sequence)(void *ctx, const struct store_sequence *n);
    void (*settle_sequence)(void *ctx, const struct store_sequence *n, bool landed);
    enum err (*append)(void *ctx, const struct queue_body *body, const struct ingest_entry *e);
    const char *(*full)(void *ctx); /* the disk is: what to tell the sender */
    bool (*slow)(void *ctx);        /* the disk is: INGEST_LZ4_AUTO compresses. NULL: never */
    bool counts; /* bodies of which nothing is left are appended too, for the books */
};
/* A body as the books see it. */
struct ingest_entry {
    struct str source;                   /* of ingest_body */
    uint64_t accepted, refused, dropped; /* dropped: by stages, of what was accepted */
    struct hash128 key, payload;         /* all 0: none */
    const struct store_sequence *sequence;
    uint32_t n_sequences;
};

struct ingest;
enum ingest_lz4 { INGEST_LZ4_NEVER, INGEST_LZ4_ALWAYS, INGEST_LZ4_AUTO };
struct ingest_options {
    struct ingest_ground ground;
    struct json_limits limits;
    size_t body_max;     /* of an inflated body */
    enum ingest_lz4 lz4; /* whether frames are compressed */
};
struct ingest *ingest_new(const struct ingest_options *o);
/* The ground of a server. Both outlive the ingest. */
struct ingest_store {
    struct store *store;
    struct queue *queue;
};
struct ingest_ground ingest_store_ground(struct ingest_store *s);
/* The same where others write to the queue too (queue_consumer.take): nothing is claimed before it
 * is read back. */
struct ingest_ground ingest_log_ground(struct ingest_store *s);
/* As queue_consumer.take: into the store, once. */
bool ingest_log_take(struct store *store, struct blob *frame, uint64_t position);
void ingest_free(struct ingest *g); /* nothing may be under way */
/* What every record goes through before it is appended (stages.h); NULL: nothing. Bodies under way
 * end with what they began with; the former may be freed once this has returned (stages_free waits
 * for them). */
void ingest_set_stages(struct ingest *g, struct stages *stages);
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
    uint64_t dropped; /* of the accepted: by transforms */
    bool duplicate;   /* the whole body had landed before */
    bool key_reused;  /* the key came before with another body; this one was stored all the same */
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
    struct str key;        /* Idempotency-Key; n == 0: none */
    struct str source;     /* for the books: which input, such as forward://127.0.0.1:24224 */
    struct stages *join;   /* makes records of lines, before all else; NULL: none */
    struct stages *stages; /* of the input, before those of all; NULL: none */
    void *ctx;
    void (*done)(void *ctx, const struct ingest_result *result);
};
void ingest_body(struct ingest *g, const struct ingest_body *body);

/* A body of lines that is decoded while it comes: what it says is kept as frames, and becomes
 * durable as a whole, when all of it is there. Only a few at a time are, for each holds a decoder;
 * others are to be gathered, and so are those that need all of their bytes at once: compressed
 * ones, those with an Idempotency-Key, where records go through stages, or have ids that may be
 * other bodies' (ingest_upload_take). `bytes`, ctx and done are not used, fields until the end.
 * NULL: to be gathered; *ret_crowded says that it need not be if an upload were set aside. */
struct ingest_upload *ingest_upload_begin(struct ingest *g, const struct ingest_body *body,
                                          uint64_t length, bool *ret_crowded);
/* Takes whole lines off the begin of `bytes` (JSON_PADDING readable bytes behind), and says how
 * many bytes they are: 0 where there is none. INGEST_UPLOAD_GATHER, before it took anything: the
 * body is to be gathered after all, and the upload is gone. Does not wait for others. 0 for good
 * once it is set aside, as it is at an id: what is left of the body is to be gathered. */
size_t ingest_upload_take(struct ingest_upload *u, struct str bytes);
#define INGEST_UPLOAD_GATHER SIZE_MAX
/* Frees the upload's place for another. From any thread, but one at a time for an upload. */
void ingest_upload_set_aside(struct ingest_upload *u);
/* With what is left of the body, as of ingest_body: `done` is called, and the upload is gone. */
void ingest_upload_end(struct ingest_upload *u, struct str rest, void *ctx,
                       void (*done)(void *ctx, const struct ingest_result *result));
/* The sender has left before the end: nothing of it lands. */
void ingest_upload_abandon(struct ingest_upload *u);

/* The body of an agent (wire/frames.h): `bytes`, `encoding`, `org`, ctx and done are used. A unit
 * lands once; what had landed before counts as duplicates. A body is refused as a whole. */
void ingest_frames(struct ingest *g, const struct ingest_body *body);

/* '[' begins JSON; '{' too, unless a line holds a whole object and another begins behind it:
 * NDJSON; all else is text. */
enum wire_format ingest_sniff(struct str bytes);
/* 1..200 bytes, no control characters, no '/', no leading '_' (reserved). */
NODISCARD enum err ingest_check_stream(struct str name);

#endif
