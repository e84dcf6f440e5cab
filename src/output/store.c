/* store://: this server's own store, for its named pipelines; and the sink of an input that makes
 * records of its own. Frames go the way of an agent's (wire/frames.h), with the sender's id and
 * sequences, so that each record lands once. */
#include "core/mem.h"
#include "core/thread.h"
#include "output/outputs.h"
#include "pipeline/input.h"
#include "record/json.h"
#include "wire/frames.h"

#include <pthread.h>
#include <stdio.h>

static struct ingest *own; /* set once, before anything is sent */

struct store_output {
    struct output base;
    struct sink sink; /* take NULL: the own store */
    struct buf body;
    pthread_mutex_t lock;
    pthread_cond_t answered;
    bool over;
    enum err err;
    char text[256];
};

void output_store_bind(struct ingest *g)
{
    own = g;
}

struct output *output_into(const struct sink *sink)
{
    struct store_output *o = NEW(struct store_output);
    o->base.type = &output_store;
    o->sink = *sink;
    buf_init(&o->body, SIZE_MAX);
    pthread_mutex_init(&o->lock, NULL);
    cond_init(&o->answered);
    return &o->base;
}

static enum err open_own(const struct url *url, struct output **ret)
{
    static const char *const known[] = {NULL};
    TRY(url_check_params(url, known));
    if (url->host.n || url->path.n > 1)
        return err_set(ERR_INVALID, "store:// is all: it is this server's own store");
    *ret = output_into(&(struct sink){0});
    return OK;
}

static void on_done(void *ctx, const struct ingest_result *result)
{
    struct store_output *o = ctx;
    pthread_mutex_lock(&o->lock);
    o->err = result->err;
    snprintf(o->text, sizeof(o->text), "%s", result->err == OK ? "" : result->text);
    o->over = true;
    pthread_cond_signal(&o->answered);
    pthread_mutex_unlock(&o->lock);
}

static enum err store_send(struct output *base, const struct output_bulk *bulk,
                           int64_t *ret_wait_ns)
{
    struct store_output *o = (struct store_output *)base;
    struct sink sink = o->sink.take || !own ? o->sink : ingest_sink(own);
    if (!sink.take)
        return err_set(ERR_UNAVAILABLE, "store:// is for the pipelines of a server");
    buf_clear(&o->body);
    frames_begin(&o->body, &(struct frames_head){bulk->producer, bulk->epoch});
    for (uint32_t i = 0; i < bulk->n; i++)
        frames_add(&o->body, bulk->item[i].sequence, bulk->item[i].frame);
    memset(buf_reserve(&o->body, JSON_PADDING), 0, JSON_PADDING);
    struct ingest_body body = {.org = STR("default"),
                               .bytes = buf_str(&o->body),
                               .format = WIRE_FRAMES,
                               .ctx = o,
                               .done = on_done};
    o->over = false;
    sink.take(sink.ctx, &body);
    pthread_mutex_lock(&o->lock);
    while (!o->over)
        pthread_cond_wait(&o->answered, &o->lock);
    pthread_mutex_unlock(&o->lock);
    if (o->err == OK)
        return OK;
    return err_set(ingest_may_retry(o->err) ? ERR_UNAVAILABLE : o->err, "%s", o->text);
}

static void store_close_output(struct output *base)
{
    struct store_output *o = (struct store_output *)base;
    buf_release(&o->body);
    pthread_cond_destroy(&o->answered);
    pthread_mutex_destroy(&o->lock);
    mem_free(o);
}

static const char *const schemes[] = {"store", NULL};
const struct output_type output_store = {
    .name = "store",
    .schemes = schemes,
    .gather = {.rows = UINT64_MAX, .bytes = 2 << 20, .wait_ns = 0},
    .open = open_own,
    .send = store_send,
    .close = store_close_output,
};
