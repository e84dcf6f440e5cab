/* aurora://?state=URL&poll=TIME&...: what `weir aurora run` does, in a server or an agent. Its
 * units go to the input's sink as frames with their names (producer, epoch, sequence), as they go
 * to another Weir by HTTP, and so land once; transforms are those of the sink.
 *
 * Parameters are the command's options: state, cache, queue, region, profile, engine, tag, name,
 * poll, logs, time_zone.
 *
 * Its thread "aurora-tend" looks whether the collector was ordered to stop (weir aurora stop). Then
 * the collector ends, and the input rests until the state holds the order to go on (weir aurora
 * resume), or the input is started anew. */
#include "aurora/input.h"

#include "aurora/collector.h"
#include "core/clock.h"
#include "core/hash.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/thread.h"

#include <stdio.h>

enum { ADDRESS_MAX = 79, REST_S = 5 };

struct aurora_input_of {
    struct input base;
    struct arena arena; /* of the options' texts */
    struct sink sink;
    struct collector_options o;
    char address[ADDRESS_MAX + 1];
    pthread_t tender;
    bool tended;
    atomic_bool stopping;
    pthread_mutex_t lock;           /* of what follows, for status */
    struct collector *collector;    /* NULL: it rests */
    struct collector_counts before; /* of those that have ended */
    char trouble[160];
};

static const char *text_of(struct aurora_input_of *in, const struct url *url, const char *name)
{
    struct str v = url_get(url, name);
    return v.n ? arena_str(&in->arena, v).p : NULL;
}

/* What tells this input from others of the process: "rds?region=eu-central-1&tag=team=shop". */
static void make_address(struct aurora_input_of *in)
{
    const struct collector_options *o = &in->o;
    const struct {
        const char *name, *value;
    } params[] = {{"region", o->region}, {"profile", o->profile}, {"engine", o->engine},
                  {"tag", o->tag},       {"name", o->name},       {"state", o->state}};
    struct buf text;
    buf_init(&text, SIZE_MAX);
    buf_put_c(&text, "rds");
    for (size_t i = 0; i < sizeof(params) / sizeof(*params); i++)
        if (params[i].value)
            buf_printf(&text, "%c%s=%s", text.n > 3 ? '&' : '?', params[i].name, params[i].value);
    if (text.n > ADDRESS_MAX) { /* cut, but still another than others */
        uint64_t hash = hash64(buf_str(&text));
        text.n = ADDRESS_MAX - 9;
        buf_printf(&text, "~%08x", (unsigned)hash);
    }
    snprintf(in->address, sizeof(in->address), "%.*s", STR_ARG(buf_str(&text)));
    buf_release(&text);
    in->o.input = in->address;
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
    make_address(in);
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

/* The collector, which is not the input's any more. */
static struct collector *take_out(struct aurora_input_of *in)
{
    pthread_mutex_lock(&in->lock);
    struct collector *c = in->collector;
    in->collector = NULL;
    if (c) {
        struct collector_counts n;
        collector_counts(c, &n);
        in->before.records += n.records;
        in->before.bytes += n.bytes;
        in->before.failed += n.failed;
    }
    pthread_mutex_unlock(&in->lock);
    return c;
}

static enum err put_in(struct aurora_input_of *in)
{
    struct collector *c;
    TRY(collector_start(&in->o, &c));
    pthread_mutex_lock(&in->lock);
    in->collector = c;
    in->trouble[0] = '\0';
    pthread_mutex_unlock(&in->lock);
    return OK;
}

static void note_trouble(struct aurora_input_of *in, const char *text)
{
    pthread_mutex_lock(&in->lock);
    snprintf(in->trouble, sizeof(in->trouble), "%s", text);
    pthread_mutex_unlock(&in->lock);
}

static void try_to_go_on(struct aurora_input_of *in)
{
    bool may;
    enum err err = collector_may_go_on(&in->o, &may);
    if (err == OK && may) {
        err = put_in(in);
        if (err == OK)
            log_info("collecting goes on: ordered to", "input=%s", in->address);
    }
    if (err != OK) {
        log_warn("an input rests", "input=%s error=%s", in->address, err_text());
        note_trouble(in, err_text());
    }
}

static void *tend(void *arg)
{
    struct aurora_input_of *in = arg;
    int64_t looked_ns = 0;
    while (!in->stopping) {
        clock_sleep_ms(100);
        if (in->collector && collector_is_ordered_to_stop(in->collector)) {
            collector_stop(take_out(in));
            note_trouble(in, "stopped by weir aurora stop; weir aurora resume lets it go on");
            looked_ns = clock_mono_ns();
        }
        if (!in->collector && clock_mono_ns() - looked_ns > REST_S * NS_PER_S) {
            try_to_go_on(in);
            looked_ns = clock_mono_ns();
        }
    }
    return NULL;
}

static enum err aurora_start(struct input *base)
{
    struct aurora_input_of *in = (struct aurora_input_of *)base;
    in->stopping = false;
    TRY(put_in(in));
    enum err err = thread_start(&in->tender, "aurora-tend", tend, in);
    if (err != OK)
        collector_stop(take_out(in));
    in->tended = err == OK;
    return err;
}

static void aurora_stop(struct input *base, int64_t wait_ms)
{
    struct aurora_input_of *in = (struct aurora_input_of *)base;
    in->stopping = true;
    if (in->tended)
        pthread_join(in->tender, NULL);
    in->tended = false;
    collector_stop(take_out(in));
}

static void aurora_status(struct input *base, struct input_status *ret)
{
    struct aurora_input_of *in = (struct aurora_input_of *)base;
    *ret = (struct input_status){0};
    snprintf(ret->address, sizeof(ret->address), "%s", in->address);
    pthread_mutex_lock(&in->lock);
    struct collector_counts n = {0};
    if (in->collector)
        collector_counts(in->collector, &n);
    ret->accepted = in->before.records + n.records;
    ret->bytes = in->before.bytes + n.bytes;
    ret->errors = in->before.failed + n.failed;
    ret->lag = n.waiting;
    snprintf(ret->last_error, sizeof(ret->last_error), "%s", in->trouble);
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
