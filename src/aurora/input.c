/* aurora://?state=URL&poll=TIME&...: what `weir aurora run` does, in a server or an agent. Its
 * units go to the input's sink as frames with their names (producer, epoch, sequence), as they go
 * to another Weir by HTTP, and so land once; transforms are those of the sink.
 *
 * Parameters are the command's options: state, cache, queue, region, profile, engine, tag, name,
 * poll, logs, time_zone. An order to stop (weir aurora stop) ends the collector alone, until the
 * input is started anew. */
#include "aurora/input.h"

#include "aurora/collector.h"
#include "core/clock.h"
#include "core/mem.h"

#include <pthread.h>
#include <stdio.h>

struct aurora_input_of {
    struct input base;
    struct arena arena; /* of the options' texts */
    struct sink sink;
    struct collector_options o;
    pthread_mutex_t lock; /* of the collector, for status */
    struct collector *collector;
};

static const char *text_of(struct aurora_input_of *in, const struct url *url, const char *name)
{
    struct str v = url_get(url, name);
    return v.n ? arena_str(&in->arena, v).p : NULL;
}

static enum err configure(struct aurora_input_of *in, const struct url *url)
{
    static const char *const known[] = {"state", "cache", "region", "profile", "engine",    "tag",
                                        "name",  "poll",  "logs",   "queue",   "time_zone", NULL};
    struct collector_options *o = &in->o;
    struct str poll = url_get(url, "poll"), logs = url_get(url, "logs");
    TRY(url_check_params(url, known));
    if (url->host.n || url->path.n)
        return err_set(ERR_INVALID,
                       "aurora://?poll=5m or such is wanted: a host means nothing here");
    TRY(collector_options_env(o));
    TRY(collector_read_kinds(logs.n ? logs : STR("slow,error"), &o->keep));
    o->poll_ns = 5 * 60 * NS_PER_S;
    if (poll.n && (!str_to_duration_ns(poll, &o->poll_ns) || o->poll_ns < NS_PER_S / 10))
        return err_set(ERR_INVALID, "poll=%.*s: a time such as 5m is wanted", STR_ARG(poll));
    o->state = text_of(in, url, "state");
    o->cache = text_of(in, url, "cache");
    o->queue = text_of(in, url, "queue");
    o->region = text_of(in, url, "region");
    o->profile = text_of(in, url, "profile");
    o->engine = text_of(in, url, "engine");
    o->tag = text_of(in, url, "tag");
    o->name = text_of(in, url, "name");
    o->time_zone = text_of(in, url, "time_zone");
    if (!o->state)
        o->state = collector_state_default();
    if (!o->cache)
        o->cache = "memory:";
    o->discovers = o->processes = true;
    o->sink = &in->sink;
    return OK;
}

static void aurora_close(struct input *base)
{
    struct aurora_input_of *in = (struct aurora_input_of *)base;
    arena_release(&in->arena);
    pthread_mutex_destroy(&in->lock);
    mem_free(in);
}

static enum err aurora_open(const struct input_options *options, const struct url *url,
                            struct input **ret)
{
    struct aurora_input_of *in = NEW(struct aurora_input_of);
    in->base.type = &aurora_input;
    in->sink = options->sink;
    arena_init(&in->arena, 0, NULL);
    pthread_mutex_init(&in->lock, NULL);
    enum err err = configure(in, url);
    if (err != OK) {
        aurora_close(&in->base);
        return err;
    }
    *ret = &in->base;
    return OK;
}

static enum err aurora_start(struct input *base)
{
    struct aurora_input_of *in = (struct aurora_input_of *)base;
    struct collector *c;
    TRY(collector_start(&in->o, &c));
    pthread_mutex_lock(&in->lock);
    in->collector = c;
    pthread_mutex_unlock(&in->lock);
    return OK;
}

static void aurora_stop(struct input *base, int64_t wait_ms)
{
    struct aurora_input_of *in = (struct aurora_input_of *)base;
    pthread_mutex_lock(&in->lock);
    struct collector *c = in->collector;
    in->collector = NULL;
    pthread_mutex_unlock(&in->lock);
    collector_stop(c);
}

static void aurora_status(struct input *base, struct input_status *ret)
{
    struct aurora_input_of *in = (struct aurora_input_of *)base;
    *ret = (struct input_status){.address = "rds"};
    pthread_mutex_lock(&in->lock);
    if (in->collector) {
        struct collector_counts n;
        collector_counts(in->collector, &n);
        ret->accepted = n.records;
        ret->bytes = n.bytes;
        ret->errors = n.failed;
        ret->lag = n.waiting;
        if (collector_is_ordered_to_stop(in->collector))
            snprintf(ret->last_error, sizeof(ret->last_error), "stopped by weir aurora stop");
    }
    pthread_mutex_unlock(&in->lock);
}

static const char *const schemes[] = {"aurora", NULL};
const struct input_type aurora_input = {.name = "aurora",
                                        .schemes = schemes,
                                        .open = aurora_open,
                                        .start = aurora_start,
                                        .stop = aurora_stop,
                                        .close = aurora_close,
                                        .status = aurora_status};
