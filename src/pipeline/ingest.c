/* The way in.
 *
 * A body goes through: admission (replay over, memtable and disk have room) → inflate → claim of
 * its key → decode, where each full batch is encoded to a frame, a blob that is cut to its
 * size, and refused records gather in a batch of dead letters → append → done by the queue, which
 * settles the claims and answers. Up to the append everything happens on the caller's thread with a
 * *worker*: decoder, batches and scratch buffers, which are kept for the next body, so that the
 * steady state allocates blobs only.
 *
 * Claims. The key is claimed before decoding and settled last. A key that came before with another
 * payload is stored under a second key made of both, so that its own retries land once too. An id
 * is claimed when its record is decoded; PENDING means that this body has it already (a duplicate
 * within) or that another body under way has: then this body gives everything back, waits and
 * begins again, up to a second, because acknowledging it would promise what only the other body may
 * keep.
 *
 * Numbering: all frames of a body, dead letters too, count as its parts in the order they were
 * made, and first_index runs over them. Only frames of accepted records carry the key: what they
 * sum up to is what a retry is answered. */
#include "pipeline/ingest_impl.h"

#include "core/clock.h"
#include "core/log.h"
#include "core/mem.h"
#include "pipeline/stages.h"
#include "queue/queue.h"

#include <stdio.h>

enum {
    SCRATCH_KEPT_MAX = 8 << 20, /* larger buffers are freed after their body */
    INFLATE_GUESS = 4,          /* how many times larger a body gets: reserved before it is known */
    STREAM_NAME_MAX = 200,
    PENDING_MS_MAX = 512, /* the last and longest wait for another body with the same id */
};

struct ingest *ingest_new(const struct ingest_options *o)
{
    struct ingest *g = NEW(struct ingest);
    g->o = *o;
    pthread_mutex_init(&g->lock, NULL);
    g->records = metric_counter("weir_ingest_records_total", NULL, "Records accepted.");
    g->bytes = metric_counter("weir_ingest_bytes_total", NULL, "Bytes of bodies, inflated.");
    g->rejected =
        metric_counter("weir_ingest_rejected_total", NULL, "Records refused: dead letters.");
    g->duplicates = metric_counter("weir_ingest_duplicates_total", NULL,
                                   "Records dropped because they had landed before.");
    g->bodies = metric_counter("weir_ingest_bodies_total", NULL, "Bodies judged.");
    g->failed = metric_counter("weir_ingest_failed_total", NULL, "Bodies of which nothing landed.");
    g->seconds =
        metric_histogram("weir_ingest_seconds", NULL, "Time from a whole body to its answer.");
    return g;
}

static void worker_free(struct worker *w)
{
    wire_decoder_free(w->decoder);
    batch_free(w->dead);
    batch_free(w->changed);
    arena_release(&w->arena);
    json_reader_free(w->checker);
    buf_release(&w->frame);
    buf_release(&w->plain);
    mem_free(w);
}

void ingest_free(struct ingest *g)
{
    if (!g)
        return;
    while (g->idle) {
        struct worker *w = g->idle;
        g->idle = w->next;
        worker_free(w);
    }
    pthread_mutex_destroy(&g->lock);
    mem_free(g);
}

void ingest_open(struct ingest *g)
{
    g->open = true;
}

void ingest_set_stages(struct ingest *g, struct stages *stages)
{
    pthread_mutex_lock(&g->lock);
    g->stages = stages;
    pthread_mutex_unlock(&g->lock);
}

static struct worker *worker_take(struct ingest *g)
{
    pthread_mutex_lock(&g->lock);
    struct worker *w = g->idle;
    if (w)
        g->idle = w->next;
    pthread_mutex_unlock(&g->lock);
    if (w)
        return w;
    w = NEW(struct worker);
    w->decoder = wire_decoder_new(&g->o.limits);
    wire_decoder_inflate_max(w->decoder, g->o.body_max);
    w->dead = batch_new();
    w->changed = batch_new();
    arena_init(&w->arena, 0, NULL);
    buf_init(&w->frame, (size_t)FRAME_PLAIN_MAX + (1 << 20));
    buf_init(&w->plain, g->o.body_max + JSON_PADDING);
    return w;
}

static void buf_trim(struct buf *b)
{
    buf_clear(b);
    if (b->cap > SCRATCH_KEPT_MAX)
        buf_release(b);
}

static void worker_give(struct ingest *g, struct worker *w)
{
    buf_trim(&w->frame);
    buf_trim(&w->plain);
    batch_clear(w->dead);
    pthread_mutex_lock(&g->lock);
    w->next = g->idle;
    g->idle = w;
    pthread_mutex_unlock(&g->lock);
}

static const struct ingest_ground *ground_of(const struct job *j)
{
    return &j->g->o.ground;
}

void job_fail(struct job *j, enum err err)
{
    if (err == OK || j->failed != OK)
        return;
    j->failed = err;
    j->failed_text = arena_str(&j->arena, str_c(err_text()));
}

/* ---- ids ---- */

static uint32_t id_find(const struct job *j, struct str stream, struct str id)
{
    if (!j->id_slots)
        return UINT32_MAX;
    uint32_t mask = j->id_slots - 1, at = (uint32_t)hash64(id) & mask;
    while (j->id_slot[at] && (j->id[j->id_slot[at] - 1].stream.p != stream.p ||
                              !str_eq(j->id[j->id_slot[at] - 1].id, id)))
        at = (at + 1) & mask;
    return at;
}

static void id_grow(struct job *j)
{
    j->id_slots = j->id_slots ? j->id_slots * 2 : 64;
    mem_free(j->id_slot);
    j->id_slot = NEW_ARRAY(uint32_t, j->id_slots);
    for (uint32_t i = 0; i < j->n_ids; i++)
        j->id_slot[id_find(j, j->id[i].stream, j->id[i].id)] = i + 1;
}

static void id_add(struct job *j, struct str id)
{
    if ((j->n_ids + 1) * 2 > j->id_slots)
        id_grow(j);
    ARRAY_GROW(j->id, j->ids_cap, j->n_ids + 1);
    uint32_t at = id_find(j, j->stream, id);
    j->id[j->n_ids++] = (struct claimed){j->stream, arena_str(&j->arena, id)};
    j->id_slot[at] = j->n_ids;
}

bool job_accept_id(struct job *j, struct str id)
{
    if (j->failed != OK)
        return false;
    uint32_t at = id_find(j, j->stream, id);
    enum claim claim = CLAIM_SEEN;
    if (at == UINT32_MAX || !j->id_slot[at])
        job_fail(j, ground_of(j)->claim_id(ground_of(j)->ctx, j->org, j->stream, id, &claim));
    if (j->failed != OK)
        return false;
    if (claim == CLAIM_NEW) {
        id_add(j, id);
        return true;
    }
    if (claim == CLAIM_PENDING)
        job_fail(j, err_set(ERR_CONFLICT, "another request with the record \"%.*s\" is under way",
                            id.n > 64 ? 64 : (int)id.n, id.p));
    j->result.duplicates++;
    return false;
}

static bool accept_id(void *ctx, struct str id)
{
    return job_accept_id(ctx, id);
}

/* ---- frames ---- */

void job_add_blob(struct job *j, struct blob *frame, uint32_t rows)
{
    ARRAY_GROW(j->frame, j->frames_cap, j->n_frames + 1);
    j->frame[j->n_frames++] = frame;
    j->rows += rows;
}

static bool compresses(const struct ingest *g)
{
    const struct ingest_ground *ground = &g->o.ground;
    return g->o.lz4 == INGEST_LZ4_ALWAYS ||
           (g->o.lz4 == INGEST_LZ4_AUTO && ground->slow && ground->slow(ground->ctx));
}

enum err job_add_frame(struct job *j, struct batch *b, struct str stream, bool accepted)
{
    struct frame_info info = {
        .org = j->org,
        .stream = stream,
        .arrival_ns = j->arrival_ns,
        .part = j->n_frames,
        .parts = j->n_frames + 1,
        .first_index = j->rows,
        .lz4 = compresses(j->g),
    };
    if (accepted && j->keyed) {
        info.key = j->key;
        info.payload = j->payload;
    }
    struct buf frame;
    buf_init(&frame, (size_t)FRAME_PLAIN_MAX + (1 << 20));
    enum err err = frame_encode(b, &info, &frame);
    if (err != OK) {
        buf_release(&frame);
        return err;
    }
    if (accepted) {
        ARRAY_GROW(j->place, j->places_cap, j->n_places + 1);
        j->place[j->n_places++] = (struct ingest_place){
            .position = j->n_frames, .first_index = j->rows, .rows = batch_rows(b)};
    }
    j->plain_bytes += info.lz4 ? frame_plain_bytes(buf_str(&frame)) : 0;
    job_add_blob(j, blob_take(mem_realloc(frame.p, frame.n), frame.n, OWNER_QUEUE), batch_rows(b));
    return OK;
}

static enum err take_stream(void *ctx, struct str name)
{
    struct job *j = ctx;
    j->stream = name;
    return OK;
}

static enum err run_stages(struct job *j, struct stages *stages, struct rows *in, struct rows *ret)
{
    struct chain *chain = stages_take(stages);
    enum err err = chain_run(chain, 0, UINT32_MAX, in, j->arrival_ns, &j->w->arena, ret);
    stages_give(stages, chain);
    return err;
}

bool job_changes(const struct job *j)
{
    return j->stages[0] || j->stages[1] || j->stages[2];
}

enum err job_change(struct job *j, struct rows *rows, struct rows *ret)
{
    *ret = *rows;
    for (int i = 0; i < JOB_STAGES && ret->n; i++) {
        struct rows *in = ARENA_NEW(&j->w->arena, struct rows);
        *in = *ret;
        if (j->stages[i])
            TRY(run_stages(j, j->stages[i], in, ret));
    }
    j->result.dropped += rows->n - ret->n;
    return OK;
}

/* The batch as the stages leave it: NULL when nothing is left. */
static enum err change_batch(struct job *j, struct batch *b, struct batch **ret)
{
    struct worker *w = j->w;
    struct rows *rows = ARENA_NEW(&w->arena, struct rows), out;
    batch_view(b, &w->arena, rows);
    TRY(job_change(j, rows, &out));
    batch_clear(w->changed);
    if (out.n)
        TRY(batch_append_rows(w->changed, &out, NULL, out.n));
    *ret = out.n ? w->changed : NULL;
    return OK;
}

static enum err take_batch(void *ctx, struct batch *b)
{
    struct job *j = ctx;
    TRY(j->failed);
    if (!batch_rows(b))
        return OK;
    j->result.accepted += batch_rows(b);
    if (!job_changes(j))
        return job_add_frame(j, b, j->stream, true);
    enum err err = change_batch(j, b, &b);
    if (err == OK && b)
        err = job_add_frame(j, b, j->stream, true);
    arena_reset(&j->w->arena);
    return err;
}

enum err job_flush_dead(struct job *j)
{
    if (!batch_rows(j->w->dead))
        return OK;
    TRY(job_add_frame(j, j->w->dead, INGEST_DEAD_LETTERS, false));
    batch_clear(j->w->dead);
    return OK;
}

static void take_refused(void *ctx, uint32_t position, struct str raw, const char *reason)
{
    struct job *j = ctx;
    struct batch *b = j->w->dead;
    if (j->failed != OK)
        return;
    if (j->result.n_refusals < INGEST_REFUSALS_MAX) {
        if (!j->refusal)
            j->refusal = ARENA_ARRAY(&j->arena, struct ingest_refusal, INGEST_REFUSALS_MAX);
        j->refusal[j->result.n_refusals++] =
            (struct ingest_refusal){position, arena_str(&j->arena, str_c(reason))};
    }
    j->result.rejected++;
    size_t whole = raw.n;
    if (raw.n > j->g->o.limits.record_bytes)
        raw.n = j->g->o.limits.record_bytes;
    batch_begin(b);
    batch_text(b, STR("stream"), LANE_STR, j->stream);
    batch_int(b, STR("position"), position);
    batch_text(b, STR("reason"), LANE_STR, str_c(reason));
    batch_text(b, STR("raw"), LANE_STR, raw);
    if (raw.n < whole)
        batch_int(b, STR("raw_bytes"), (int64_t)whole);
    batch_end(b, j->arrival_ns, raw);
    if (batch_bytes(b) >= FRAME_BYTES_MAX - (64 << 10))
        job_fail(j, job_flush_dead(j));
}

/* ---- the end of a body ---- */

static void release_stages(struct job *j)
{
    for (int i = 0; i < JOB_STAGES; i++) {
        stages_release(j->stages[i]);
        j->stages[i] = NULL;
    }
}

static void job_free(struct job *j)
{
    if (j->w)
        worker_give(j->g, j->w);
    for (uint32_t i = 0; i < j->n_frames; i++)
        blob_unref(j->frame[i]);
    release_stages(j);
    arena_release(&j->bulk_arena);
    reservation_release(&j->inflated);
    mem_free(j->frame);
    mem_free(j->place);
    mem_free(j->id);
    mem_free(j->id_slot);
    mem_free(j->sequence);
    arena_release(&j->arena);
    mem_free(j);
}

static void count(struct job *j)
{
    struct ingest *g = j->g;
    const struct ingest_result *r = &j->result;
    metric_add(g->bodies, 1);
    metric_observe_ns(g->seconds, clock_mono_ns() - j->began_ns);
    if (r->err != OK)
        metric_add(g->failed, 1);
    if (r->err != OK || r->duplicate)
        return;
    metric_add(g->records, (int64_t)r->accepted);
    metric_add(g->rejected, (int64_t)r->rejected);
    metric_add(g->duplicates, (int64_t)r->duplicates);
}

static void settle_ids(struct job *j, bool landed)
{
    for (uint32_t i = 0; i < j->n_ids; i++)
        ground_of(j)->settle_id(ground_of(j)->ctx, j->org, j->id[i].stream, j->id[i].id, landed);
    j->n_ids = 0;
}

void job_abandon(struct job *j)
{
    settle_ids(j, false);
    job_free(j);
}

/* Settles the claims, answers, and frees the job. */
static void finish(struct job *j, enum err err, const char *text)
{
    struct ingest_result *r = &j->result;
    const struct ingest_ground *ground = ground_of(j);
    bool landed = err == OK;
    for (uint32_t i = 0; i < j->n_sequences; i++)
        ground->settle_sequence(ground->ctx, &j->sequence[i], landed);
    settle_ids(j, landed);
    /* A body without an accepted record is free to come again under its key. */
    if (j->keyed)
        ground->settle_key(ground->ctx, j->key, landed && r->accepted > 0, r->accepted);
    r->err = err;
    r->text = text;
    r->refusal = j->refusal;
    r->bulk = j->bulk.n ? &j->bulk : NULL;
    r->place = j->place;
    r->n_places = j->n_places;
    if (!landed)
        r->accepted = 0;
    count(j);
    j->done(j->ctx, r);
    job_free(j);
}

static void on_done(void *ctx, enum err err, const char *reason, uint64_t first_position)
{
    struct job *j = ctx;
    if (err == ERR_FULL)
        reason = ground_of(j)->full(ground_of(j)->ctx);
    if (err == ERR_IO) /* it is not there, and the queue goes on in another file */
        err = ERR_UNAVAILABLE;
    for (uint32_t i = 0; i < j->n_places; i++)
        j->place[i].position += first_position;
    finish(j, err, err == OK ? "" : reason ? reason : err_name(err));
}

static void append(struct job *j)
{
    for (uint32_t i = 0; i < j->n_frames; i++)
        frame_set_parts((char *)j->frame[i]->bytes.p, j->n_frames);
    struct queue_body body = {.frame = j->frame,
                              .n = j->n_frames,
                              .plain_bytes = j->plain_bytes,
                              .ctx = j,
                              .done = on_done};
    /* From acceptance on the blobs are the queue's and `done` may come at any moment: what the job
     * needs no longer goes now, and the array of frames stays its own until then. */
    struct worker *w = j->w;
    j->w = NULL;
    worker_give(j->g, w);
    release_stages(j);
    uint32_t n = j->n_frames;
    j->n_frames = 0;
    const struct ingest_entry entry = {
        .source = j->source,
        .accepted = j->result.accepted,
        .refused = j->result.rejected,
        .dropped = j->result.dropped,
        .key = j->keyed ? j->key : (struct hash128){0},
        .payload = j->payload,
        .sequence = j->sequence,
        .n_sequences = j->n_sequences,
    };
    enum err err = ground_of(j)->append(ground_of(j)->ctx, &body, &entry);
    if (err == OK)
        return;
    j->n_frames = n;
    finish(j, err, err_text());
}

/* ---- the way of a body ---- */

/* False when the body is answered without being decoded. */
static bool claim_key(struct job *j)
{
    const struct ingest_ground *ground = ground_of(j);
    uint64_t records = 0;
    enum claim claim = ground->claim_key(ground->ctx, j->key, j->payload, &records);
    if (claim == CLAIM_OTHER) {
        log_warn("an idempotency key came with two bodies", "stream=%.*s key=%.*s",
                 STR_ARG(j->stream), j->key_text.n > 64 ? 64 : (int)j->key_text.n, j->key_text.p);
        j->result.key_reused = true;
        struct hash128 both[2] = {j->key, j->payload};
        j->key = hash128(str_of((const char *)both, sizeof(both)));
        claim = ground->claim_key(ground->ctx, j->key, j->payload, &records);
    }
    bool keyed = j->keyed = claim == CLAIM_NEW; /* finish frees the job */
    if (claim == CLAIM_SEEN) {
        j->result.duplicate = true;
        j->result.accepted = records;
        finish(j, OK, "");
    } else if (claim != CLAIM_NEW) {
        finish(j, ERR_CONFLICT, "another request with this Idempotency-Key is under way");
    }
    return keyed;
}

static struct hash128 hash_key(struct job *j, struct str key)
{
    struct buf b;
    buf_init(&b, 64 << 10);
    buf_put_lstr(&b, j->org);
    buf_put_lstr(&b, j->stream);
    buf_put_str(&b, key);
    struct hash128 h = hash128(buf_str(&b));
    buf_release(&b);
    return h;
}

enum err job_inflate(struct job *j, struct str encoding, struct str *bytes)
{
    struct buf *out = &j->w->plain;
    size_t guess =
        bytes->n > j->g->o.body_max / INFLATE_GUESS ? j->g->o.body_max : bytes->n * INFLATE_GUESS;
    TRY(reservation_grow(&j->inflated, guess));
    buf_clear(out);
    size_t max = out->max;
    char limit[STR_BYTES_TEXT];
    out->max = j->g->o.body_max;
    enum err err = wire_inflate(encoding, *bytes, out);
    out->max = max;
    if (err == ERR_LIMIT)
        return err_set(ERR_LIMIT, "the body inflates to more than %s (limits.body_bytes)",
                       str_put_bytes(limit, j->g->o.body_max));
    TRY(err);
    if (out->cap > j->inflated.bytes)
        reservation_force(&j->inflated, out->cap - j->inflated.bytes);
    memset(buf_reserve(out, JSON_PADDING), 0, JSON_PADDING);
    *bytes = buf_str(out);
    return OK;
}

struct wire_sink job_sink(struct job *j)
{
    return (struct wire_sink){j, take_batch, take_refused, accept_id, take_stream};
}

struct whole {
    struct job *j;
    const struct ingest_body *body;
    struct str bytes;
};

static enum err decode_whole(void *ctx)
{
    const struct whole *w = ctx;
    struct job *j = w->j;
    struct wire_sink sink = job_sink(j);
    enum wire_format format = w->body->sniff ? ingest_sniff(w->bytes) : w->body->format;
    uint32_t records = 0;
    if (j->bulk.n)
        return wire_decode_bulk(j->w->decoder, &j->bulk, j->arrival_ns, &sink, &records);
    return wire_decode(j->w->decoder, format, w->bytes, j->arrival_ns, &sink, &records);
}

static void rewind_job(struct job *j)
{
    bool key_reused = j->result.key_reused;
    settle_ids(j, false);
    mem_free(j->id_slot);
    j->id_slot = NULL;
    j->id_slots = 0;
    while (j->n_frames > j->mark.n_frames)
        blob_unref(j->frame[--j->n_frames]);
    j->n_places = j->mark.n_places;
    j->rows = j->mark.rows;
    j->plain_bytes = j->mark.plain_bytes;
    j->failed = OK;
    j->result = j->mark.result;
    j->result.key_reused = key_reused;
    batch_clear(j->w->dead);
}

static enum err decode_once(struct job *j, enum err (*decode)(void *ctx), void *ctx)
{
    enum err err = decode(ctx);
    if (j->failed != OK)
        return err_set(j->failed, "%s", j->failed_text.p);
    TRY(err);
    return job_flush_dead(j);
}

/* Another body may have a record of the same id under way: whether it lands is known soon. All is
 * given back before the wait, so that two bodies never wait for each other. */
enum err job_decode(struct job *j, enum err (*decode)(void *ctx), void *ctx)
{
    enum err err = decode_once(j, decode, ctx);
    for (int ms = 1; err == ERR_CONFLICT && ms <= PENDING_MS_MAX; ms *= 2) {
        rewind_job(j);
        clock_sleep_ms(ms);
        err = decode_once(j, decode, ctx);
    }
    return err;
}

void job_rest(struct job *j)
{
    CHECK(!j->n_ids);
    j->mark = (struct job_mark){j->n_frames, j->rows, j->n_places, j->plain_bytes, j->result};
    worker_give(j->g, j->w);
    j->w = NULL;
}

void job_resume(struct job *j)
{
    j->w = worker_take(j->g);
}

static enum err decode(struct job *j, const struct ingest_body *body, struct str bytes)
{
    struct whole whole = {j, body, bytes};
    bool bulk = body->format == WIRE_BULK || body->format == WIRE_DOC;
    wire_decoder_defaults(j->w->decoder, body->service, body->host);
    wire_decoder_fields(j->w->decoder, body->fields, body->n_fields);
    if (bulk)
        TRY(job_read_bulk(j, body, bytes));
    if (bulk && !j->bulk.n)
        return OK;
    return job_decode(j, decode_whole, &whole);
}

struct job *job_new(struct ingest *g, const struct ingest_body *body)
{
    struct job *j = NEW(struct job);
    j->g = g;
    j->w = worker_take(g);
    arena_init(&j->arena, 0, NULL);
    j->org = arena_str(&j->arena, body->org);
    j->stream = arena_str(&j->arena, body->stream);
    j->key_text = arena_str(&j->arena, body->key);
    j->source = arena_str(&j->arena, body->source);
    if (!str_starts(body->stream, STR("_"))) { /* Weir's own log stays as it is */
        j->stages[0] = stages_hold(body->join);
        j->stages[1] = stages_hold(body->stages);
        pthread_mutex_lock(&g->lock);
        j->stages[2] = stages_hold(g->stages);
        pthread_mutex_unlock(&g->lock);
    }
    j->arrival_ns = clock_now_ns();
    j->began_ns = clock_mono_ns();
    j->ctx = body->ctx;
    j->done = body->done;
    reservation_init(&j->inflated, OWNER_INGEST, 0);
    arena_init(&j->bulk_arena, 0, &j->inflated);
    return j;
}

enum err ingest_admit(struct ingest *g, size_t bytes)
{
    if (!g->open)
        return err_set(ERR_UNAVAILABLE, "the queue is being replayed after a restart");
    return g->o.ground.admit(g->o.ground.ctx, bytes);
}

void job_end(struct job *j, enum err err)
{
    bool something = j->n_frames || (j->g->o.ground.counts && j->result.accepted);
    if (err != OK || !something)
        finish(j, err, err == OK ? "" : err_text());
    else
        append(j);
}

void ingest_body(struct ingest *g, const struct ingest_body *body)
{
    if (body->format == WIRE_FRAMES && !body->sniff) {
        ingest_frames(g, body);
        return;
    }
    struct job *j = job_new(g, body);
    struct str bytes = body->bytes;
    enum err err = ingest_admit(g, bytes.n);
    if (err == OK && body->key.n) {
        j->key = hash_key(j, body->key);
        j->payload = hash128(bytes);
        if (!claim_key(j))
            return;
    }
    if (err == OK && body->encoding.n)
        err = job_inflate(j, body->encoding, &bytes);
    metric_add(g->bytes, (int64_t)bytes.n);
    if (err == OK)
        err = decode(j, body, bytes);
    job_end(j, err);
}

/* ---- what callers ask ---- */

enum wire_format ingest_sniff(struct str bytes)
{
    size_t at = 0;
    while (at < bytes.n && strchr(" \t\r\n", bytes.p[at]) && bytes.p[at])
        at++;
    if (at == bytes.n || (bytes.p[at] != '{' && bytes.p[at] != '['))
        return at == bytes.n ? WIRE_NDJSON : WIRE_TEXT;
    if (bytes.p[at] == '[')
        return WIRE_JSON;
    size_t end = str_find_byte(bytes, '\n', at);
    struct str line = str_trim(str_of(bytes.p + at, end - at));
    struct str rest = str_trim(str_from(bytes, end));
    bool whole = line.n > 1 && line.p[line.n - 1] == '}';
    return whole && rest.n > 0 && rest.p[0] == '{' ? WIRE_NDJSON : WIRE_JSON;
}

enum err ingest_check_stream(struct str name)
{
    if (name.n == 0 || name.n > STREAM_NAME_MAX)
        return err_set(ERR_INVALID, "a stream's name has 1 to %d bytes, this one %zu",
                       STREAM_NAME_MAX, name.n);
    if (name.p[0] == '_')
        return err_set(ERR_INVALID, "stream \"%.*s\": names that begin with '_' are Weir's own",
                       STR_ARG(name));
    for (size_t i = 0; i < name.n; i++)
        if ((unsigned char)name.p[i] < 0x20 || name.p[i] == 0x7f || name.p[i] == '/')
            return err_set(ERR_INVALID,
                           "a stream's name may hold no '/' and no control characters");
    return OK;
}
