/* GET /api/v1/logs/tail: records as they land, a JSON line each, until the client leaves or the
 * server stops. A thread a tail, for a tail waits nearly always; TAILS_MAX of them. Now and then an
 * empty line says that the server is alive, so that a client that is gone is noticed. With meta=1 a
 * line {"_meta":{"cursor":"..."}} follows what belongs to it, and takes the empty line's place:
 * after=CURSOR goes on behind it. timeout= ends it after that time. With aliases=1 a record has
 * what /search adds: log_id, timestamp, level, service, host, message. */
#include "api/internal.h"

#include "core/clock.h"
#include "core/mem.h"
#include "core/metrics.h"
#include "core/thread.h"
#include "query/tail.h"

#include <stdio.h>

enum { TAILS_MAX = 32, LIMIT_MOST = 1000, WAIT_MS = 500, ALIVE_S = 10, LINES_BYTES = 64 << 10 };

struct tail {
    struct api *api;
    struct http_request *r;
    struct query_tail *tail;
    bool meta;
    int64_t end_mono;
    struct buf out;
};

static enum err send_lines(struct tail *t)
{
    enum err err = t->out.n ? http_stream_write(t->r, buf_str(&t->out)) : OK;
    buf_clear(&t->out);
    return err;
}

static enum err write_line(void *ctx, struct str line)
{
    struct tail *t = ctx;
    TRY(buf_add(&t->out, line.p, line.n));
    return t->out.n >= LINES_BYTES ? send_lines(t) : OK;
}

static void put_cursor(struct tail *t)
{
    if (!t->meta)
        return;
    buf_put_str(&t->out, STR("{\"_meta\":{\"cursor\":\""));
    query_tail_put_cursor(t->tail, &t->out);
    buf_put_str(&t->out, STR("\"}}\n"));
}

static enum err follow(struct tail *t)
{
    const _Atomic bool *canceled = http_canceled(t->r);
    struct query_sink sink = {t, write_line};
    int64_t sent = clock_mono_ns();
    TRY(query_tail_begin(t->tail, &sink));
    put_cursor(t);
    TRY(send_lines(t));
    while (!*canceled && !t->api->stopping) {
        uint64_t n;
        int64_t now = clock_mono_ns();
        if (now >= t->end_mono)
            break;
        TRY(query_tail_next(t->tail, now + WAIT_MS * NS_PER_MS, &sink, &n));
        bool quiet = now - sent > ALIVE_S * NS_PER_S;
        if (n || quiet)
            put_cursor(t);
        if (quiet && !t->meta)
            buf_put_byte(&t->out, '\n');
        if (n || quiet)
            sent = now;
        TRY(send_lines(t));
    }
    return OK;
}

static struct metric *running(void)
{
    return metric_gauge("weir_tails_running", NULL, "Live tails under way.");
}

static void tail_free(struct tail *t)
{
    query_tail_free(t->tail);
    buf_release(&t->out);
    t->api->tails--;
    mem_free(t);
}

static void *run(void *arg)
{
    struct tail *t = arg;
    metric_add(running(), 1);
    http_stream_begin(t->r, 200, "application/x-ndjson");
    http_stream_end(t->r, follow(t) == OK);
    metric_add(running(), -1);
    tail_free(t);
    return NULL;
}

/* The tail's thread answers from here on. */
static void begin(struct api *api, struct http_request *r, struct query_tail *tail,
                  const struct query_request *q)
{
    pthread_t thread;
    struct tail *t = NEW(struct tail);
    *t = (struct tail){.api = api, .r = r, .tail = tail, .meta = q->meta};
    t->end_mono = q->deadline_ns ? clock_mono_ns() + q->deadline_ns : INT64_MAX;
    buf_init(&t->out, SIZE_MAX);
    enum err err = thread_start(&thread, "tail", run, t);
    if (err == OK) {
        pthread_detach(thread);
        return;
    }
    http_error_of(r, err, err_text());
    tail_free(t);
}

void api_tail(void *ctx, struct http_request *r)
{
    struct api *api = ctx;
    struct query_request q;
    struct query_tail *tail;
    struct str after = http_param(r, "after");
    if (!api_read_query(api, r, &q) || !api_param_bool(r, "aliases", &q.aliases))
        return;
    if (!http_param(r, "limit").n)
        q.limit = 0;
    if (q.limit > LIMIT_MOST) {
        http_error(r, 400, "limit=%u: a tail begins with at most %d records", q.limit, LIMIT_MOST);
        return;
    }
    if (++api->tails > TAILS_MAX || api->stopping) {
        api->tails--;
        http_error(r, 503, "%d live tails are running, no more are let in", TAILS_MAX);
        return;
    }
    enum err err = query_tail_open(api->engine, &q, after.n ? &after : NULL, &tail);
    if (err != OK) {
        api->tails--;
        http_error_of(r, err, err_text());
        return;
    }
    begin(api, r, tail, &q);
}

void api_stop_tails(struct api *api)
{
    api->stopping = true;
    while (api->tails > 0) {
        store_wake_waiting(api->store);
        clock_sleep_ms(5);
    }
}
