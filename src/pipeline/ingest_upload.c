/* Bodies that are decoded while they come.
 *
 * A job as any other, whose decoder is fed line by line: pieces are decoded while they are in the
 * processor's cache, and no body lies in memory as a whole. Nothing is appended before the end, so
 * that a body which breaks off leaves nothing behind.
 *
 * Ids. A record's id may be claimed by another body under way, and asking for it may take a disk;
 * neither is to be waited for here, nor may a slow sender keep others from an id. Records have ids
 * or have none, mostly: where the first has one, the body is gathered; from a later one on, what is
 * left of the body is, and decoded at its end. If another body has that id under way then, the
 * sender is told so, and may send again. */
#include "core/clock.h"
#include "core/mem.h"
#include "core/thread.h"
#include "pipeline/ingest_impl.h"

enum { UPLOADS_PER_CPU = 2 };

struct ingest_upload {
    struct ingest *g;
    struct job *job;
    struct wire_sink sink;
    bool has_id;    /* the first record that is left has one */
    uint64_t bytes; /* taken */
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

/* Its job has another end. */
static void upload_free(struct ingest_upload *u)
{
    pthread_mutex_lock(&u->g->lock);
    u->g->uploads--;
    pthread_mutex_unlock(&u->g->lock);
    mem_free(u);
}

struct ingest_upload *ingest_upload_begin(struct ingest *g, const struct ingest_body *body,
                                          uint64_t length)
{
    bool lines = !body->sniff && (body->format == WIRE_NDJSON || body->format == WIRE_TEXT);
    if (!lines || body->encoding.n || body->key.n || ingest_admit(g, length) != OK || !may_begin(g))
        return NULL;
    struct ingest_upload *u = NEW(struct ingest_upload);
    u->g = g;
    u->job = job_new(g, body);
    u->job->upload = u;
    if (job_changes(u->job)) {
        ingest_upload_abandon(u);
        return NULL;
    }
    u->sink = job_sink(u->job);
    u->sink.accept_id = stop_at_id;
    wire_decoder_defaults(u->job->w->decoder, body->service, body->host);
    wire_decoder_fields(u->job->w->decoder, body->fields, body->n_fields);
    wire_lines_begin(u->job->w->decoder, body->format, u->job->arrival_ns, &u->sink);
    return u;
}

/* How many bytes of them were taken. */
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
    const char *last = bytes.n && !u->has_id ? memrchr(bytes.p, '\n', bytes.n) : NULL;
    if (!last)
        return 0;
    size_t n = take_lines(u, str_of(bytes.p, (size_t)(last - bytes.p) + 1));
    if (u->has_id && !u->bytes) {
        ingest_upload_abandon(u);
        return INGEST_UPLOAD_GATHER;
    }
    return n;
}

void ingest_upload_end(struct ingest_upload *u, struct str rest, void *ctx,
                       void (*done)(void *ctx, const struct ingest_result *result))
{
    struct job *j = u->job;
    uint32_t records;
    j->ctx = ctx;
    j->done = done;
    j->began_ns = clock_mono_ns();
    u->sink.accept_id = job_sink(j).accept_id;
    (void)take_lines(u, rest);
    metric_add(u->g->bytes, (int64_t)u->bytes);
    job_fail(j, wire_lines_end(j->w->decoder, &records));
    if (j->failed == OK)
        job_fail(j, job_flush_dead(j));
    if (j->failed == OK)
        job_fail(j, ingest_admit(u->g, u->bytes));
    upload_free(u);
    job_end(j, j->failed == OK ? OK : err_set(j->failed, "%s", j->failed_text.p));
}

void ingest_upload_abandon(struct ingest_upload *u)
{
    struct job *j = u->job;
    uint32_t records;
    job_fail(j, err_set(ERR_CANCELED, "the body broke off"));
    if (u->sink.ctx)
        job_fail(j, wire_lines_end(j->w->decoder, &records));
    upload_free(u);
    job_abandon(j);
}
