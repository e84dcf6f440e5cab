/* The inside of the way in, shared by its files: ingest.c (bodies of a protocol), ingest_upload.c
 * (bodies decoded while they come), ingest_frames.c (frames of an agent), ingest_bulk.c (what a
 * bulk is made of), ingest_batch.c (batches of an input in the same process). */
#ifndef WEIR_PIPELINE_INGEST_IMPL_H
#define WEIR_PIPELINE_INGEST_IMPL_H

#include "core/metrics.h"
#include "pipeline/ingest.h"
#include "record/frame.h"

#include <pthread.h>
#include <stdatomic.h>

struct worker {
    struct worker *next;
    struct wire_decoder *decoder;
    struct batch *dead, *changed;
    struct arena arena;          /* while stages run */
    struct json_reader *checker; /* NULL until frames are checked */
    struct buf frame, plain;
};

struct ingest {
    struct ingest_options o;
    atomic_bool open;
    pthread_mutex_t lock;
    struct stages *stages;
    struct worker *idle;
    unsigned uploads; /* under way */
    struct metric *records, *bytes, *rejected, *duplicates, *bodies, *failed, *seconds;
};

struct claimed {
    struct str stream, id; /* the stream's name is the same bytes for all of it */
};

/* What a job has come to; all of it 0 at first. */
struct job_mark {
    uint32_t n_frames, rows, n_places;
    uint64_t plain_bytes;
    struct ingest_result result; /* its counts */
};

enum { JOB_STAGES = 3 };
/* One body under way. */
struct job {
    struct ingest *g;
    struct worker *w;
    struct stages *stages[JOB_STAGES]; /* as of the body, and of all; held */
    struct arena arena;
    struct str org, stream, key_text, source;
    int64_t arrival_ns, began_ns;
    struct hash128 key, payload;
    bool keyed;                      /* the key is claimed by us */
    struct store_sequence *sequence; /* claimed by us */
    uint32_t n_sequences, sequences_cap;
    struct blob **frame;
    uint32_t n_frames, frames_cap, rows;
    uint64_t plain_bytes; /* as in queue_body */
    struct ingest_result result;
    struct ingest_refusal *refusal;
    struct bulk bulk;
    struct arena bulk_arena; /* its items */
    struct ingest_place *place;
    uint32_t n_places, places_cap;
    struct claimed *id; /* claimed by us */
    uint32_t n_ids, ids_cap;
    uint32_t *id_slot; /* open addressing: number + 1 */
    uint32_t id_slots;
    struct ingest_upload *upload; /* whose it is; NULL: of a body that was gathered */
    struct job_mark mark;         /* where decoding begins again: no id is claimed before it */
    enum err failed;              /* by a callback of the decoder, and why */
    struct str failed_text;
    struct reservation inflated;
    void *ctx;
    void (*done)(void *ctx, const struct ingest_result *result);
};

/* What a job is about: names and times; its worker is taken. */
struct job *job_new(struct ingest *g, const struct ingest_body *body);
/* The first failure stays. */
void job_fail(struct job *j, enum err err);
/* Claims a record's id: false when the record is a duplicate, or the job has failed. */
bool job_accept_id(struct job *j, struct str id);
/* Adds the rows as a frame. */
NODISCARD enum err job_add_frame(struct job *j, struct batch *b, struct str stream, bool accepted);
bool job_changes(const struct job *j); /* it has stages */
/* Runs the stages; *ret: what is left, in the worker's arena; what was dropped is counted. */
NODISCARD enum err job_change(struct job *j, struct rows *rows, struct rows *ret);
/* Takes a frame over. */
void job_add_blob(struct job *j, struct blob *frame, uint32_t rows);
/* Reads the items of a bulk, or makes the one of a document; streams are judged. */
NODISCARD enum err job_read_bulk(struct job *j, const struct ingest_body *body, struct str bytes);
/* Undoes the content coding, into the worker's buffer; *bytes then lie there. */
NODISCARD enum err job_inflate(struct job *j, struct str encoding, struct str *bytes);
/* Replay is over, and memtable and disk have room. */
NODISCARD enum err ingest_admit(struct ingest *g, size_t bytes);
/* The ends of the decoder, for the job's stream. */
struct wire_sink job_sink(struct job *j);
/* What was refused so far becomes a frame. */
NODISCARD enum err job_flush_dead(struct job *j);
/* Gives its worker to others until job_resume, and marks what it has come to. No id is claimed. */
void job_rest(struct job *j);
void job_resume(struct job *j);
/* Calls `decode` until no other body has an id of its records under way, or a second is over: all
 * that was claimed and made since the mark is given back before each wait. */
NODISCARD enum err job_decode(struct job *j, enum err (*decode)(void *ctx), void *ctx);
/* Gives back what was claimed, and ends the job without an answer. */
void job_abandon(struct job *j);
/* Appends what has come together, or answers the error: the end of the job either way. */
void job_end(struct job *j, enum err err);

#endif
