/* Bodies that are decoded while they come.
 *
 * A job as any other, whose decoder is fed line by line: pieces are decoded while they are in the
 * processor's cache, and no body lies in memory as a whole. Nothing is appended before the end, so
 * that a body which breaks off leaves nothing behind.
 *
 * An upload may be *set aside*: what it has come to becomes frames, its decoder is free for others,
 * and what is left of its body is gathered, and decoded at its end as a body that was gathered
 * whole. That happens to uploads that hardly come while others want their place, and to those that
 * come to an id.
 *
 * Ids. A record's id may be claimed by another body under way, and asking for it may take a disk;
 * neither is to be waited for here, nor may a slow sender keep others from an id. Records have ids
 * or have none, mostly: where the first has one, all of the body is gathered; at a later one the
 * upload is set aside. So no id is claimed before the end, and if another body has one under way
 * then, only what was gathered is decoded again. */
#include "core/clock.h"
#include "core/mem.h"
#include "core/thread.h"
#include "pipeline/ingest_impl.h"

enum { UPLOADS_PER_CPU = 2 };

struct ingest_upload {
    struct ingest *g;
    struct job *job;
    struct wire_sink sink;
    enum wire_format format;
    struct str service, host;
    const struct wire_field *fields;
    uint32_t n_fields;
    bool aside;
    bool has_id;       /* the first record that is left has one */
    uint64_t bytes;    /* taken */
    uint32_t position; /* set aside: of the first record that is left */
    struct str rest;   /* to be decoded at the end */
};

static bool stop_at_id(void *ctx, struct str id)
{
    struct job *j = ctx;
    j->upload->has_id = true;
    wire_lines_halt(j->w->decoder);
    return false;
}

static bool may_begin(struct ingest *g)
{
    pthread_mutex_lock(&g->lock);
    bool may = g->uploads < UPLOADS_PER_CPU * thread_cpus();
    g->uploads += may;
    pthread_mutex_unlock(&g->lock);
    return may;
}

static void leave_place(struct ingest *g)
{
    pthread_mutex_lock(&g->lock);
    g->uploads--;
    pthread_mutex_unlock(&g->lock);
}

/* Its job has another end. */
static void upload_free(struct ingest_upload *u)
{
    if (!u->aside)
        leave_place(u->g);
    mem_free(u);
}

static void begin_lines(struct ingest_upload *u)
{
    struct job *j = u->job;
    u->sink = job_sink(j);
    wire_decoder_defaults(j->w->decoder, u->service, u->host);
    wire_decoder_fields(j->w->decoder, u->fields, u->n_fields);
    wire_lines_begin(j->w->decoder, u->format, j->arrival_ns, &u->sink);
}

static bool can_be_taken(const struct ingest_body *body)
{
    bool lines = !body->sniff && (body->format == WIRE_NDJSON || body->format == WIRE_TEXT);
    return lines && !body->encoding.n && !body->key.n;
}

struct ingest_upload *ingest_upload_begin(struct ingest *g, const struct ingest_body *body,
                                          uint64_t length, bool *ret_crowded)
{
    *ret_crowded = false;
    if (!can_be_taken(body) || ingest_admit(g, length) != OK)
        return NULL;
    *ret_crowded = !may_begin(g);
    if (*ret_crowded)
        return NULL;
    struct job *j = job_new(g, body);
    if (job_changes(j)) {
        leave_place(g);
        job_abandon(j);
        return NULL;
    }
    struct ingest_upload *u = NEW(struct ingest_upload);
    u->g = g;
    u->job = j;
    u->format = body->format;
    u->service = arena_str(&j->arena, body->service);
    u->host = arena_str(&j->arena, body->host);
    u->fields = body->fields;
    u->n_fields = body->n_fields;
    j->upload = u;
    begin_lines(u);
    u->sink.accept_id = stop_at_id;
    return u;
}

/* What it has come to becomes frames. */
static void end_lines(struct job *j)
{
    uint32_t records;
    job_fail(j, wire_lines_end(j->w->decoder, &records));
    if (j->failed == OK)
        job_fail(j, job_flush_dead(j));
}

void ingest_upload_set_aside(struct ingest_upload *u)
{
    if (u->aside)
        return;
    u->position = wire_lines_position(u->job->w->decoder);
    end_lines(u->job);
    job_rest(u->job);
    u->aside = true;
    leave_place(u->g);
}

/* How many bytes of them were taken: all, if the upload is to fail. */
static size_t take_lines(struct ingest_upload *u, struct str lines)
{
    size_t n = lines.n;
    if (u->job->failed == OK && lines.n)
        job_fail(u->job, wire_lines(u->job->w->decoder, lines, &n));
    u->bytes += n;
    return n;
}

size_t ingest_upload_take(struct ingest_upload *u, struct str bytes)
{
    const char *last = bytes.n && !u->aside ? memrchr(bytes.p, '\n', bytes.n) : NULL;
    if (!last)
        return 0;
    size_t n = take_lines(u, str_of(bytes.p, (size_t)(last - bytes.p) + 1));
    if (u->has_id && !u->bytes) {
        ingest_upload_abandon(u);
        return INGEST_UPLOAD_GATHER;
    }
    if (u->has_id)
        ingest_upload_set_aside(u);
    return n;
}

static enum err decode_rest(void *ctx)
{
    struct ingest_upload *u = ctx;
    struct wire_decoder *d = u->job->w->decoder;
    uint32_t records;
    size_t n;
    begin_lines(u);
    if (u->bytes)
        wire_lines_skip(d, u->position);
    enum err err = u->rest.n ? wire_lines(d, u->rest, &n) : OK;
    enum err ended = wire_lines_end(d, &records);
    return err == OK ? ended : err;
}

void ingest_upload_end(struct ingest_upload *u, struct str rest, void *ctx,
                       void (*done)(void *ctx, const struct ingest_result *result))
{
    struct job *j = u->job;
    struct ingest *g = u->g;
    j->ctx = ctx;
    j->done = done;
    j->began_ns = clock_mono_ns();
    uint64_t bytes = u->bytes + rest.n;
    if (!u->aside) /* the end of its last line, which may have an id */
        rest = str_from(rest, take_lines(u, rest));
    if (u->has_id)
        ingest_upload_set_aside(u);
    if (!u->aside) {
        end_lines(j);
    } else if (j->failed == OK) {
        job_resume(j);
        u->rest = rest;
        job_fail(j, job_decode(j, decode_rest, u));
    }
    metric_add(g->bytes, (int64_t)bytes);
    if (j->failed == OK)
        job_fail(j, ingest_admit(g, bytes));
    upload_free(u);
    job_end(j, j->failed == OK ? OK : err_set(j->failed, "%s", j->failed_text.p));
}

void ingest_upload_abandon(struct ingest_upload *u)
{
    struct job *j = u->job;
    job_fail(j, err_set(ERR_CANCELED, "the body broke off"));
    if (!u->aside)
        end_lines(j);
    upload_free(u);
    job_abandon(j);
}
