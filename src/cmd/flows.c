#include "cmd/flows.h"

#include "core/io.h"
#include "core/log.h"
#include "core/mem.h"

#include <pthread.h>

enum { END_MS = 5000 };

struct flows {
    struct flows_options o;
    char *data;
    struct flow *flow[PIPELINES_MAX]; /* number 0 is the main one, where there is one */
    unsigned n;
    pthread_mutex_t lock; /* while others look at them */
};

/* A server has a main one always; an agent where it has somewhere to send to. */
static bool has_main(const struct flows *s, const struct pipelines *set)
{
    return s->o.ingest || set->list[0]->n_routes > 0;
}

static unsigned first(const struct flows *s, const struct pipelines *set)
{
    return has_main(s, set) ? 0 : 1;
}

/* Without a spool: its records go to the server's queue. */
static bool is_direct(const struct flows *s, const struct pipelines *set, unsigned at)
{
    return s->o.ingest && (!at || !set->list[at]->n_routes);
}

static enum err add_flow(struct flows *s, struct pipelines *set, unsigned at)
{
    const struct pipeline *p = set->list[at];
    bool direct = is_direct(s, set, at);
    char *dir = at ? mem_printf("%s/pipelines/%s", s->data, p->name) : mem_strdup(str_c(s->data));
    struct flow_options o = {.dir = direct ? NULL : dir,
                             .ingest = s->o.ingest,
                             .spool = direct && !at ? s->o.spool : NULL,
                             .state_dir = dir,
                             .limits = s->o.limits,
                             .body_max = s->o.body_max,
                             .connections_max = s->o.connections_max};
    struct flow *f;
    enum err err = flow_open(&o, set, at, &f);
    mem_free(dir);
    TRY(err);
    pthread_mutex_lock(&s->lock);
    s->flow[s->n++] = f;
    pthread_mutex_unlock(&s->lock);
    return OK;
}

static enum err make_folders(const struct flows *s, const struct pipelines *set)
{
    TRY(io_mkdir(s->data));
    char *dir = mem_printf("%s/pipelines", s->data);
    enum err err = set->n > 1 ? io_mkdir(dir) : OK;
    mem_free(dir);
    return err;
}

enum err flows_open(const struct flows_options *o, struct pipelines *set, struct flows **ret)
{
    struct flows *s = NEW(struct flows);
    s->o = *o;
    s->data = mem_strdup(str_c(o->data));
    pthread_mutex_init(&s->lock, NULL);
    enum err err = make_folders(s, set);
    for (unsigned i = first(s, set); err == OK && i < set->n; i++)
        err = add_flow(s, set, i);
    if (err != OK)
        flows_free(s);
    else
        *ret = s;
    return err;
}

enum err flows_start(struct flows *s)
{
    for (unsigned i = 0; i < s->n; i++)
        TRY(flow_start(s->flow[i]));
    return OK;
}

void flows_tick(struct flows *s)
{
    for (unsigned i = 0; i < s->n; i++)
        flow_tick(s->flow[i]);
}

void flows_stop_inputs(struct flows *s, int64_t wait_ms)
{
    for (unsigned i = 0; i < s->n; i++)
        flow_stop_inputs(s->flow[i], wait_ms);
}

void flows_stop_routes(struct flows *s, int64_t wait_ms)
{
    for (unsigned i = 0; i < s->n; i++)
        flow_stop_routes(s->flow[i], wait_ms);
}

void flows_free(struct flows *s)
{
    if (!s)
        return;
    for (unsigned i = 0; i < s->n; i++)
        flow_free(s->flow[i]);
    pthread_mutex_destroy(&s->lock);
    mem_free(s->data);
    mem_free(s);
}

/* ---- another configuration ---- */

/* The flow's pipeline in a configuration. One that would have a spool now, and had none, or the
 * other way, is another one. */
static unsigned find_pipeline(const struct flows *s, const struct pipelines *set,
                              const struct flow *f)
{
    unsigned i = first(s, set);
    while (i < set->n && (strcmp(set->list[i]->name, flow_name(f)) != 0 ||
                          is_direct(s, set, i) == flow_has_spool(f)))
        i++;
    return i;
}

static bool has_flow(const struct flows *s, const char *name)
{
    for (unsigned i = 0; i < s->n; i++)
        if (!strcmp(flow_name(s->flow[i]), name))
            return true;
    return false;
}

/* All that run on are asked first, so that a fault in one changes nothing in another. */
static enum err prepare_all(struct flows *s, struct pipelines *set)
{
    enum err err = OK;
    unsigned n = 0;
    if (flows_main(s) && !has_main(s, set))
        return err_set(ERR_INVALID, "there is no route for the main pipeline any more: restart");
    for (; err == OK && n < s->n; n++) {
        unsigned at = find_pipeline(s, set, s->flow[n]);
        if (at < set->n)
            err = flow_prepare(s->flow[n], set, at);
    }
    for (unsigned i = 0; err != OK && i < n; i++)
        flow_abandon(s->flow[i]);
    return err;
}

static void end_flow(struct flows *s, unsigned at)
{
    struct flow *f = s->flow[at];
    log_info("pipeline ends", "pipeline=%s", flow_name(f));
    flow_stop_inputs(f, END_MS);
    flow_stop_routes(f, END_MS);
    pthread_mutex_lock(&s->lock);
    memmove(&s->flow[at], &s->flow[at + 1], (--s->n - at) * sizeof(*s->flow));
    pthread_mutex_unlock(&s->lock);
    flow_free(f);
}

static void begin_flow(struct flows *s, struct pipelines *set, unsigned at)
{
    if (add_flow(s, set, at) == OK && flow_start(s->flow[s->n - 1]) == OK)
        log_info("pipeline begins", "pipeline=%s", set->list[at]->name);
    else
        log_error("a pipeline cannot be started", "pipeline=%s error=\"%s\"", set->list[at]->name,
                  err_text());
}

static void change_all(struct flows *s, struct pipelines *set)
{
    for (unsigned i = 0; i < s->n;) {
        if (find_pipeline(s, set, s->flow[i]) == set->n)
            end_flow(s, i);
        else
            flow_commit(s->flow[i++]);
    }
    for (unsigned i = first(s, set); i < set->n; i++)
        if (!has_flow(s, set->list[i]->name) && s->n < PIPELINES_MAX)
            begin_flow(s, set, i);
}

enum err flows_reload(struct flows *s, struct pipelines *set)
{
    TRY(make_folders(s, set));
    TRY(prepare_all(s, set));
    change_all(s, set);
    return OK;
}

/* ---- what they say ---- */

bool flows_all_sent(struct flows *s)
{
    for (unsigned i = 0; i < s->n; i++)
        if (!flow_all_sent(s->flow[i]))
            return false;
    return true;
}

bool flows_only_stdin(struct flows *s)
{
    return s->n == 1 && flow_only_stdin(s->flow[0]);
}

struct flow *flows_main(struct flows *s)
{
    return s->n && !*flow_name(s->flow[0]) ? s->flow[0] : NULL;
}

void flows_each(struct flows *s, void (*fn)(void *ctx, struct flow *f), void *ctx)
{
    pthread_mutex_lock(&s->lock);
    for (unsigned i = 0; i < s->n; i++)
        fn(ctx, s->flow[i]);
    pthread_mutex_unlock(&s->lock);
}

bool flows_write_books(struct flows *s, struct buf *out)
{
    bool balanced = true;
    pthread_mutex_lock(&s->lock);
    for (unsigned i = 0; i < s->n; i++) {
        buf_put_c(out, i ? "," : "");
        balanced = flow_write_books(s->flow[i], out) && balanced;
    }
    pthread_mutex_unlock(&s->lock);
    return balanced;
}
