/* One thread takes the lines that have gathered and hands them to ingest as a body. */
#include "pipeline/self_log.h"

#include "core/clock.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/thread.h"
#include "record/timestamp.h"

#include <pthread.h>

enum { GATHER_MS = 200 };

struct self_log {
    struct ingest *g;
    struct self_log_sink to;
    pthread_t thread;
    bool running;
    atomic_bool stopping; /* set under lock */
    pthread_mutex_t lock;
    pthread_cond_t changed; /* lines came, a body is done, it is to stop */
    /* under lock: */
    struct buf waiting;
    uint64_t dropped;
    bool in_flight, failed; /* of the ingest */
};

/* Under the log's lock. */
static void take_line(void *ctx, struct str line)
{
    struct self_log *s = ctx;
    pthread_mutex_lock(&s->lock);
    if (buf_add(&s->waiting, line.p, line.n) != OK)
        s->dropped++;
    else if (s->waiting.n == line.n)
        pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
}

static void on_done(void *ctx, const struct ingest_result *result)
{
    struct self_log *s = ctx;
    pthread_mutex_lock(&s->lock);
    s->in_flight = false;
    s->failed = result->err != OK;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
}

static uint64_t count_lines(struct str s)
{
    uint64_t n = 0;
    for (size_t i = 0; i < s.n; i++)
        n += s.p[i] == '\n';
    return n;
}

static void put_dropped(struct buf *body, uint64_t dropped)
{
    char time[TIME_TEXT_MAX];
    size_t n = time_rfc3339(clock_now_ns(), time);
    buf_printf(body,
               "{\"time\":\"%.*s\",\"level\":\"warn\",\"message\":\"lines of the own log were "
               "dropped\",\"lines\":%llu}\n",
               (int)n, time, (unsigned long long)dropped);
}

static bool take_by_ingest(void *ctx, struct str bytes, const atomic_bool *stopping)
{
    struct self_log *s = ctx;
    struct ingest_body b = {
        .org = STR("default"),
        .stream = STORE_OWN_STREAM,
        .bytes = bytes,
        .format = WIRE_NDJSON,
        .ctx = s,
        .done = on_done,
    };
    s->in_flight = true;
    ingest_body(s->g, &b);
    pthread_mutex_lock(&s->lock);
    while (s->in_flight)
        pthread_cond_wait(&s->changed, &s->lock);
    bool taken = !s->failed;
    pthread_mutex_unlock(&s->lock);
    return taken;
}

/* With the lock, which is released while the body is under way. */
static void take_in(struct self_log *s, struct buf *body)
{
    buf_clear(body);
    if (s->dropped)
        put_dropped(body, s->dropped);
    s->dropped = 0;
    buf_put_str(body, buf_str(&s->waiting));
    buf_clear(&s->waiting);
    pthread_mutex_unlock(&s->lock);
    memset(buf_reserve(body, JSON_PADDING), 0, JSON_PADDING);
    bool taken = s->to.take(s->to.ctx, buf_str(body), &s->stopping);
    pthread_mutex_lock(&s->lock);
    if (!taken)
        s->dropped += count_lines(buf_str(body));
}

static void *run(void *arg)
{
    struct self_log *s = arg;
    struct buf body;
    buf_init(&body, SELF_LOG_BYTES + (64 << 10));
    log_mute_tap();
    pthread_mutex_lock(&s->lock);
    for (;;) {
        while (!s->waiting.n && !s->stopping)
            pthread_cond_wait(&s->changed, &s->lock);
        /* A few lines come together more often than alone. */
        int64_t until = clock_mono_ns() + GATHER_MS * NS_PER_MS;
        while (!s->stopping && cond_wait_until(&s->changed, &s->lock, until))
            ;
        if (s->waiting.n)
            take_in(s, &body);
        else if (s->stopping)
            break;
    }
    pthread_mutex_unlock(&s->lock);
    buf_release(&body);
    return NULL;
}

struct self_log *self_log_new_to(const struct self_log_sink *to)
{
    struct self_log *s = NEW(struct self_log);
    s->to = *to;
    pthread_mutex_init(&s->lock, NULL);
    cond_init(&s->changed);
    buf_init(&s->waiting, SELF_LOG_BYTES);
    self_log_set(s, true);
    return s;
}

struct self_log *self_log_new(struct ingest *g)
{
    struct self_log *s = self_log_new_to(&(struct self_log_sink){NULL, take_by_ingest});
    s->g = g;
    s->to.ctx = s; /* nothing is taken in before self_log_run */
    return s;
}

enum err self_log_run(struct self_log *s)
{
    TRY(thread_start(&s->thread, "self-log", run, s));
    s->running = true;
    return OK;
}

void self_log_set(struct self_log *s, bool on)
{
    log_set_tap(on ? take_line : NULL, s);
}

void self_log_stop(struct self_log *s)
{
    if (!s)
        return;
    self_log_set(s, false);
    pthread_mutex_lock(&s->lock);
    s->stopping = true;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
    if (s->running)
        pthread_join(s->thread, NULL);
    buf_release(&s->waiting);
    pthread_cond_destroy(&s->changed);
    pthread_mutex_destroy(&s->lock);
    mem_free(s);
}
