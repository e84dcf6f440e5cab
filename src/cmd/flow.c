#include "cmd/flow.h"

#include "cmd/inputs.h"
#include "core/clock.h"
#include "core/io.h"
#include "core/log.h"
#include "core/mem.h"
#include "input/tail.h"
#include "output/outputs.h"
#include "pipeline/intake.h"
#include "record/json.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#define LINE_DEFAULT "1MiB"
#define SPOOL_DEFAULT "1GiB"
#define ONCE_NS (1500 * NS_PER_MS) /* longer than a group of lines waits for more */
enum { REMOVE_WAIT_MS = 10000, SPOOL_LEAST = 16 << 20, BOOKS_TRIES = 20, BOOKS_PAUSE_MS = 5 };

/* What an input hands its bodies to. */
struct door {
    struct flow *f;
    char *url, *name;
};
struct flow_route {
    struct route *route;
    struct pipelines *set; /* has its filter and chain */
    uint64_t hash;
    char name[ROUTE_NAME_MAX + 1];
};
struct running {
    struct flow_route route[PIPELINE_ROUTES_MAX];
    unsigned n;
};

/* What a reload has opened. */
struct prepared {
    struct pipelines *set;
    unsigned at;
    struct output *output[PIPELINE_ROUTES_MAX]; /* of the routes that are new or changed */
    struct input_set *inputs;                   /* new ones */
    struct door *door[INPUTS_MAX];
    unsigned n_doors;
};

struct flow {
    struct flow_options o;
    struct pipelines *set;
    const struct pipeline *p;
    struct spool *spool;
    struct intake *intake;
    struct ingest *ingest;
    struct tail *tail;
    struct multiline *multiline;
    struct pipelines *tail_set; /* has the chain that the tail runs */
    uint64_t tail_hash;
    unsigned tail_hold;
    char *dir, *state_dir, *positions, *name;
    char host[256];
    pthread_mutex_t lock; /* of what other threads look at: routes, stages */
    struct running routes;
    struct stages *stages; /* without a spool: of its inputs */
    struct input_set *inputs;
    struct door *door[INPUTS_MAX];
    unsigned n_doors;
    struct prepared *next;
    bool started;
};

static bool has_spool(const struct flow *f)
{
    return f->dir != NULL;
}

/* ---- inputs ---- */

static void take(void *ctx, const struct ingest_body *body)
{
    const struct door *d = ctx;
    struct ingest_body b = *body;
    b.source = str_c(d->name);
    pthread_mutex_lock(&d->f->lock);
    b.stages = stages_hold(d->f->stages);
    pthread_mutex_unlock(&d->f->lock);
    struct sink sink = ingest_sink(d->f->ingest);
    sink.take(sink.ctx, &b);
    stages_release(b.stages);
}

static struct door *door_new(struct flow *f, const char *url)
{
    struct door *d = NEW(struct door);
    struct arena a;
    arena_init(&a, 0, NULL);
    *d = (struct door){f, mem_strdup(str_c(url)), mem_strdup(input_plain_url(str_c(url), &a))};
    arena_release(&a);
    return d;
}

static void door_free(struct door *d)
{
    mem_free(d->url);
    mem_free(d->name);
    mem_free(d);
}

static enum err add_input(struct flow *f, const char *url, struct input_set *to, struct door **door,
                          unsigned *n)
{
    struct door *d = door_new(f, url);
    struct input_options in = {.url = str_c(url),
                               .sink = {d, take},
                               .limits = f->o.limits,
                               .body_max = f->o.body_max,
                               .connections_max = f->o.connections_max};
    enum err err = input_set_add(to, &in);
    if (err != OK)
        door_free(d);
    else
        door[(*n)++] = d;
    return err;
}

/* ---- files ---- */

static uint64_t hash_text(uint64_t h, const char *text)
{
    return hash64_seed(str_c(text ? text : ""), hash_mix(h + (text != NULL)));
}

/* Of all that a tail is made from. */
static uint64_t hash_of_tail(const struct pipeline *p)
{
    uint64_t h = tree_hash(p->transforms) + p->text;
    const char *const texts[] = {p->stream,   p->service,  p->host, p->multiline,
                                 p->encoding, p->line_max, p->watch};
    for (unsigned i = 0; i < p->n_files; i++)
        h = hash_text(h, p->file[i]);
    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
        h = hash_text(h, texts[i]);
    return h;
}

static enum err read_size(const char *name, const char *text, const char *def, uint64_t min,
                          uint64_t max, uint64_t *ret)
{
    if (!str_to_bytes(str_c(text ? text : def), ret) || *ret < min || *ret > max)
        return err_set(ERR_INVALID, "%s %s: a size from %llu to %llu bytes is wanted", name, text,
                       (unsigned long long)min, (unsigned long long)max);
    return OK;
}

/* *ret_multiline belongs to the caller. */
static enum err tail_options_of(struct flow *f, const struct pipeline *p,
                                struct multiline **ret_multiline, struct tail_options *ret)
{
    const char *stream = p->stream ? p->stream : "default";
    uint64_t line_max;
    bool polls = p->watch && !strcmp(p->watch, "poll");
    if (p->watch && !polls && strcmp(p->watch, "events") != 0)
        return err_set(ERR_INVALID, "watch %s: events or poll is wanted", p->watch);
    TRY(read_size("line-max", p->line_max, LINE_DEFAULT, 1024, 8 << 20, &line_max));
    TRY(ingest_check_stream(str_c(stream)));
    if (p->multiline)
        TRY(multiline_new(str_c(p->multiline), ret_multiline));
    *ret = (struct tail_options){.pattern = p->file,
                                 .positions = f->positions,
                                 .stream = str_c(stream),
                                 .host = str_c(p->host ? p->host : f->host),
                                 .service = str_c(p->service ? p->service : ""),
                                 .text = p->text,
                                 .line_max = line_max,
                                 .encoding = p->encoding,
                                 .multiline = *ret_multiline,
                                 .chain = p->chain,
                                 .poll_ns = NS_PER_S,
                                 .polls = polls};
    return OK;
}

static enum err open_tail(struct flow *f)
{
    struct tail_options o;
    TRY(tail_options_of(f, f->p, &f->multiline, &o));
    f->tail_hash = hash_of_tail(f->p);
    f->tail_set = pipelines_hold(f->set);
    return tail_new(&o, &f->tail);
}

static enum err try_tail(struct flow *f, const struct pipeline *p)
{
    struct tail_options o;
    struct multiline *m = NULL;
    struct tail *t = NULL;
    enum err err = tail_options_of(f, p, &m, &o);
    if (err == OK)
        err = tail_new(&o, &t);
    tail_free(t);
    multiline_free(m);
    return err;
}

enum err flow_check(const struct pipeline *p)
{
    struct flow *f = NEW(struct flow);
    uint64_t spool_max;
    f->positions = mem_strdup(STR("")); /* names no file */
    enum err err = read_size("spool", p->spool, SPOOL_DEFAULT, SPOOL_LEAST, 1ULL << 50, &spool_max);
    if (err == OK)
        err = try_tail(f, p);
    mem_free(f->positions);
    mem_free(f);
    return err;
}

/* ---- routes ---- */

static enum err open_output(const char *url, struct output **ret)
{
    return output_open(output_types, str_c(url), ret);
}

/* The output is the route's when OK. */
static enum err make_route(struct flow *f, struct pipelines *set, const struct pipeline_route *p,
                           struct output *output, const unsigned *hold, struct flow_route *ret)
{
    struct route_options o = {.name = p->name,
                              .dir = f->state_dir,
                              .spool = f->spool,
                              .hold = hold,
                              .running = f->started,
                              .output = output,
                              .types = output_types,
                              .url = p->output,
                              .settings = p->settings,
                              .where = p->filter,
                              .chain = p->chain};
    *ret = (struct flow_route){.set = set, .hash = p->hash};
    snprintf(ret->name, sizeof(ret->name), "%s", p->name);
    TRY(route_open(&o, &ret->route));
    pipelines_hold(set);
    return OK;
}

static void drop_route(struct flow_route *r)
{
    route_free(r->route);
    pipelines_free(r->set);
}

static enum err open_routes(struct flow *f)
{
    CHECK(f->spool || !f->p->n_routes);
    for (unsigned i = 0; i < f->p->n_routes; i++) {
        struct output *output;
        TRY(open_output(f->p->route[i].output, &output));
        enum err err =
            make_route(f, f->set, &f->p->route[i], output, NULL, &f->routes.route[f->routes.n]);
        if (err != OK)
            output_close(output);
        TRY(err);
        f->routes.n++;
    }
    return OK;
}

void flow_wake(struct flow *f)
{
    pthread_mutex_lock(&f->lock);
    for (unsigned i = 0; i < f->routes.n; i++)
        route_wake(f->routes.route[i].route);
    pthread_mutex_unlock(&f->lock);
}

/* ---- start and stop ---- */

static void on_note(void *ctx, struct str note, uint64_t position)
{
    tail_note(((struct flow *)ctx)->tail, note);
}

static void on_books(void *ctx, struct str note, uint64_t behind)
{
    intake_note(((struct flow *)ctx)->intake, note, behind);
}

static void on_appended(void *ctx)
{
    flow_wake(ctx);
}

static enum err open_own(struct flow *f)
{
    uint64_t spool_max;
    TRY(read_size("spool", f->p->spool, SPOOL_DEFAULT, SPOOL_LEAST, 1ULL << 50, &spool_max));
    TRY(io_mkdir(f->dir));
    TRY(open_tail(f));
    struct spool_options s = {.dir = f->dir,
                              .bytes_max = spool_max,
                              .sync = true,
                              .ctx = f,
                              .note = on_note,
                              .books = on_books,
                              .appended = on_appended};
    TRY(spool_open(&s, &f->spool));
    TRY(intake_open(f->dir, f->spool, &f->intake));
    struct ingest_options in = {.ground = intake_ground(f->intake),
                                .limits = f->o.limits,
                                .body_max = f->o.body_max,
                                .lz4 = true};
    f->ingest = ingest_new(&in);
    ingest_set_stages(f->ingest, f->p->stages);
    return OK;
}

static enum err open_all(struct flow *f)
{
    if (has_spool(f))
        TRY(open_own(f));
    else if (f->p == f->set->list[0])
        ingest_set_stages(f->ingest, f->p->stages);
    else
        f->stages = f->p->stages;
    TRY(open_routes(f));
    for (unsigned i = 0; i < f->p->n_inputs; i++)
        TRY(add_input(f, f->p->input[i], f->inputs, f->door, &f->n_doors));
    return OK;
}

enum err flow_open(const struct flow_options *o, struct pipelines *set, unsigned at,
                   struct flow **ret)
{
    struct flow *f = NEW(struct flow);
    f->o = *o;
    f->set = pipelines_hold(set);
    f->p = set->list[at];
    pthread_mutex_init(&f->lock, NULL);
    f->ingest = o->ingest;
    f->spool = o->spool;
    f->inputs = input_set_new(cmd_input_types);
    f->dir = o->dir ? mem_strdup(str_c(o->dir)) : NULL;
    f->state_dir = mem_strdup(str_c(o->dir ? o->dir : o->state_dir ? o->state_dir : "."));
    f->name = mem_strdup(str_c(f->p->name));
    f->positions = mem_printf("%s/positions", f->state_dir);
    if (gethostname(f->host, sizeof(f->host) - 1) != 0)
        snprintf(f->host, sizeof(f->host), "localhost");
    enum err err = open_all(f);
    if (err != OK) {
        flow_free(f);
        return err;
    }
    *ret = f;
    return OK;
}

static enum err replay(struct flow *f)
{
    uint64_t records, dropped, from = tail_notes_from(f->tail, spool_epoch(f->spool));
    struct intake_source s;
    f->tail_hold = spool_hold(f->spool, from);
    TRY(spool_start(f->spool, from));
    tail_totals(f->tail, &records, &dropped);
    records -= dropped;
    for (unsigned i = 0; intake_source(f->intake, i, &s); i++)
        records += s.accepted + s.refused - s.dropped;
    spool_set_taken(f->spool, records);
    return OK;
}

enum err flow_start(struct flow *f)
{
    f->started = true;
    if (has_spool(f)) {
        TRY(replay(f));
        ingest_open(f->ingest);
    }
    for (unsigned i = 0; i < f->routes.n; i++)
        TRY(route_start(f->routes.route[i].route));
    TRY(input_set_start(f->inputs));
    return has_spool(f) ? tail_start(f->tail, f->spool, f->tail_hold) : OK;
}

void flow_stop_inputs(struct flow *f, int64_t wait_ms)
{
    if (f->started)
        input_set_stop(f->inputs, wait_ms);
    if (f->tail)
        tail_stop(f->tail);
    if (f->started && f->intake) {
        queue_drain(spool_queue(f->spool));
        intake_save(f->intake, true);
    }
}

void flow_stop_routes(struct flow *f, int64_t wait_ms)
{
    int64_t deadline = clock_mono_ns() + wait_ms * NS_PER_MS;
    for (unsigned i = 0; i < f->routes.n; i++) {
        int64_t left = (deadline - clock_mono_ns()) / NS_PER_MS;
        route_stop(f->routes.route[i].route, left > 0 ? left : 0);
    }
}

void flow_free(struct flow *f)
{
    if (!f)
        return;
    flow_abandon(f);
    input_set_free(f->inputs);
    for (unsigned i = 0; i < f->n_doors; i++)
        door_free(f->door[i]);
    for (unsigned i = 0; i < f->routes.n; i++)
        drop_route(&f->routes.route[i]);
    tail_free(f->tail);
    if (has_spool(f)) {
        spool_close(f->spool);
        ingest_free(f->ingest);
    }
    intake_free(f->intake);
    multiline_free(f->multiline);
    pipelines_free(f->tail_set);
    pipelines_free(f->set);
    pthread_mutex_destroy(&f->lock);
    mem_free(f->dir);
    mem_free(f->state_dir);
    mem_free(f->positions);
    mem_free(f->name);
    mem_free(f);
}

void flow_tick(struct flow *f)
{
    if (f->intake)
        intake_save(f->intake, false);
}

/* ---- another configuration ---- */

static const struct flow_route *running_route(const struct flow *f, const char *name)
{
    for (unsigned i = 0; i < f->routes.n; i++)
        if (!strcmp(f->routes.route[i].name, name))
            return &f->routes.route[i];
    return NULL;
}

static bool wants_input(const struct pipeline *p, const char *url)
{
    for (unsigned i = 0; i < p->n_inputs; i++)
        if (!strcmp(p->input[i], url))
            return true;
    return false;
}

/* An address that an input has which is to go is free only then: commit tries again. */
static bool some_input_goes(const struct flow *f, const struct pipeline *p)
{
    for (unsigned i = 0; i < f->n_doors; i++)
        if (!wants_input(p, f->door[i]->url))
            return true;
    return false;
}

static enum err prepare(struct flow *f, struct prepared *n)
{
    const struct pipeline *p = n->set->list[n->at];
    CHECK(f->spool || !p->n_routes);
    if (has_spool(f) && hash_of_tail(p) != f->tail_hash)
        TRY(try_tail(f, p));
    for (unsigned i = 0; i < p->n_routes; i++) {
        const struct flow_route *had = running_route(f, p->route[i].name);
        if (!had || had->hash != p->route[i].hash)
            TRY(open_output(p->route[i].output, &n->output[i]));
    }
    for (unsigned i = 0; i < p->n_inputs; i++) {
        if (input_set_has(f->inputs, str_c(p->input[i])))
            continue;
        enum err err = add_input(f, p->input[i], n->inputs, n->door, &n->n_doors);
        if (err != OK && !(err == ERR_UNAVAILABLE && some_input_goes(f, p)))
            return err;
    }
    return OK;
}

enum err flow_prepare(struct flow *f, struct pipelines *set, unsigned at)
{
    f->next = NEW(struct prepared);
    f->next->set = pipelines_hold(set);
    f->next->at = at;
    f->next->inputs = input_set_new(cmd_input_types);
    enum err err = prepare(f, f->next);
    if (err != OK)
        flow_abandon(f);
    return err;
}

void flow_abandon(struct flow *f)
{
    struct prepared *n = f->next;
    if (!n)
        return;
    input_set_free(n->inputs);
    for (unsigned i = 0; i < n->n_doors; i++)
        door_free(n->door[i]);
    for (int i = 0; i < PIPELINE_ROUTES_MAX; i++)
        output_close(n->output[i]);
    pipelines_free(n->set);
    mem_free(n);
    f->next = NULL;
}

static void swap_tail(struct flow *f, const struct pipeline *p)
{
    struct tail_options o;
    struct multiline *m = NULL;
    uint64_t hash = hash_of_tail(p);
    if (hash == f->tail_hash)
        return;
    tail_stop(f->tail);
    enum err err = tail_options_of(f, p, &m, &o);
    if (err == OK)
        err = tail_reconfigure(f->tail, &o);
    if (err == OK) {
        multiline_free(f->multiline);
        f->multiline = m;
        f->tail_hash = hash;
        pipelines_free(f->tail_set);
        f->tail_set = pipelines_hold(f->next->set);
        log_info("files' settings changed", NULL);
    } else { /* it was tried a moment ago */
        log_error("the files' settings stay as they were", "error=\"%s\"", err_text());
        multiline_free(m);
    }
    if (tail_start(f->tail, f->spool, f->tail_hold) != OK)
        log_error("files are not followed any more", "error=\"%s\"", err_text());
}

static void swap_stages(struct flow *f, const struct pipeline *p)
{
    if (has_spool(f) || p == f->next->set->list[0]) {
        ingest_set_stages(f->ingest, p->stages);
        return;
    }
    pthread_mutex_lock(&f->lock);
    f->stages = p->stages;
    pthread_mutex_unlock(&f->lock);
}

static void swap_inputs(struct flow *f, const struct pipeline *p)
{
    struct prepared *n = f->next;
    for (unsigned i = 0; i < f->n_doors;) {
        if (wants_input(p, f->door[i]->url)) {
            i++;
            continue;
        }
        log_info("input ends", "input=%s", f->door[i]->name);
        input_set_remove(f->inputs, str_c(f->door[i]->url), REMOVE_WAIT_MS);
        door_free(f->door[i]);
        f->door[i] = f->door[--f->n_doors];
    }
    for (unsigned i = 0; i < p->n_inputs; i++)
        if (!input_set_has(f->inputs, str_c(p->input[i])) &&
            !input_set_has(n->inputs, str_c(p->input[i])) &&
            add_input(f, p->input[i], n->inputs, n->door, &n->n_doors) != OK)
            log_error("an input cannot be opened", "error=\"%s\"", err_text());
    enum err err = input_set_join(f->inputs, n->inputs);
    for (unsigned i = 0; err == OK && i < n->n_doors; i++) {
        log_info("input begins", "input=%s", n->door[i]->name);
        f->door[f->n_doors++] = n->door[i];
    }
    if (err == OK) {
        n->n_doors = 0;
        err = input_set_start(f->inputs);
    }
    if (err != OK)
        log_error("an input cannot be started", "error=\"%s\"", err_text());
}

/* The routes that stay, and in the place of each that changed its successor, which has its hold of
 * the spool. */
static void keep_or_replace(struct flow *f, const struct pipeline *p, struct running *now)
{
    struct prepared *n = f->next;
    for (unsigned i = 0; i < p->n_routes; i++) {
        const struct flow_route *had = running_route(f, p->route[i].name);
        struct flow_route *r = &now->route[now->n];
        if (had && had->hash == p->route[i].hash) {
            now->route[now->n++] = *had;
            continue;
        }
        unsigned hold = 0;
        if (had) {
            route_stop(had->route, 0);
            hold = route_hold(had->route);
        }
        enum err err = make_route(f, n->set, &p->route[i], n->output[i], had ? &hold : NULL, r);
        if (err == OK) {
            n->output[i] = NULL;
            now->n++;
            err = route_start(r->route);
        }
        if (err != OK)
            log_error("a route cannot be started", "route=%s error=\"%s\"", p->route[i].name,
                      err_text());
        else
            log_info(had ? "route changed" : "route begins", "route=%s", p->route[i].name);
    }
}

static bool stays(const struct running *now, const struct route *route)
{
    for (unsigned i = 0; i < now->n; i++)
        if (now->route[i].route == route)
            return true;
    return false;
}

static bool is_named(const struct running *now, const char *name)
{
    for (unsigned i = 0; i < now->n; i++)
        if (!strcmp(now->route[i].name, name))
            return true;
    return false;
}

static void swap_routes(struct flow *f, const struct pipeline *p)
{
    struct running now = {.n = 0}, *was = NEW(struct running);
    keep_or_replace(f, p, &now);
    pthread_mutex_lock(&f->lock);
    *was = f->routes;
    f->routes = now;
    pthread_mutex_unlock(&f->lock);
    for (unsigned i = 0; i < was->n; i++) {
        struct flow_route *r = &was->route[i];
        if (stays(&now, r->route))
            continue;
        if (!is_named(&now, r->name)) {
            log_info("route ends", "route=%s", r->name);
            route_stop(r->route, REMOVE_WAIT_MS);
            route_remove(r->route);
        }
        drop_route(r);
    }
    mem_free(was);
}

void flow_commit(struct flow *f)
{
    struct prepared *n = f->next;
    const struct pipeline *p = n->set->list[n->at];
    if (f->tail)
        swap_tail(f, p);
    swap_stages(f, p);
    swap_inputs(f, p);
    if (f->spool)
        swap_routes(f, p);
    struct pipelines *was = f->set;
    f->set = pipelines_hold(n->set);
    f->p = p;
    pipelines_free(was);
    flow_abandon(f);
}

/* ---- what it says ---- */

bool flow_only_stdin(const struct flow *f)
{
    const struct pipeline *p = f->p;
    return p->n_files == 1 && !p->n_inputs && str_starts(str_c(p->file[0]), STR("stdin:"));
}

bool flow_all_sent(struct flow *f)
{
    struct tail_status t;
    tail_status(f->tail, &t);
    bool idle = t.idle_since_ns && clock_mono_ns() - t.idle_since_ns >= ONCE_NS;
    if (t.blocked || !(flow_only_stdin(f) ? t.ended : idle))
        return false;
    for (unsigned i = 0; i < f->routes.n; i++) {
        struct route_stats s;
        route_stats(f->routes.route[i].route, &s);
        if (s.waiting)
            return false;
    }
    return true;
}

bool flow_has_spool(const struct flow *f)
{
    return has_spool(f);
}

const char *flow_name(const struct flow *f)
{
    return f->name;
}

struct ingest *flow_ingest(struct flow *f)
{
    return f->ingest;
}

struct input_set *flow_inputs(struct flow *f)
{
    return f->inputs;
}

/* ---- the books ---- */

static void put_source(struct buf *out, const char *name, uint64_t in, uint64_t refused,
                       uint64_t dropped)
{
    buf_printf(out, "%s{\"source\":", out->p[out->n - 1] == '[' ? "" : ",");
    json_put_string(out, str_c(name));
    buf_printf(out,
               ",\"in\":%" PRIu64 ",\"refused\":%" PRIu64 ",\"dropped\":%" PRIu64
               ",\"out\":%" PRIu64 "}",
               in, refused, dropped, in - dropped);
}

/* *ret_out: what all of them put to the spool. */
static void put_sources(struct flow *f, struct buf *out, uint64_t *ret_out)
{
    struct intake_source s;
    struct tail_status t;
    *ret_out = 0;
    buf_put_byte(out, '[');
    tail_status(f->tail, &t);
    if (t.records)
        put_source(out, "files", t.records, 0, t.dropped);
    *ret_out += t.records - t.dropped;
    for (unsigned i = 0; intake_source(f->intake, i, &s); i++) {
        put_source(out, s.name, s.accepted + s.refused, s.refused, s.dropped);
        *ret_out += s.accepted + s.refused - s.dropped;
    }
    buf_put_byte(out, ']');
}

static void put_route(const struct route_stats *s, struct buf *out)
{
    buf_put_c(out, "{\"route\":");
    json_put_string(out, str_c(s->name));
    buf_printf(out,
               ",\"before\":%" PRIu64 ",\"sent\":%" PRIu64 ",\"dropped\":%" PRIu64
               ",\"dead\":%" PRIu64 ",\"lost\":%" PRIu64 ",\"waiting\":%" PRIu64
               ",\"retries\":%" PRIu64 ",\"under_way\":%u,\"breaker\":\"%s\",\"failing\":%s",
               s->before, s->sent, s->dropped, s->dead, s->lost_rows, s->waiting, s->retries,
               s->under_way, s->breaker, s->failing ? "true" : "false");
    if (s->failing) {
        buf_put_c(out, ",\"last_error\":");
        json_put_string(out, str_c(s->last_error));
    }
    buf_put_byte(out, '}');
}

static bool put_routes(struct flow *f, struct buf *out)
{
    bool balanced = true;
    buf_put_byte(out, '[');
    pthread_mutex_lock(&f->lock);
    for (unsigned i = 0; i < f->routes.n; i++) {
        struct route_stats s;
        route_stats(f->routes.route[i].route, &s);
        buf_put_c(out, i ? "," : "");
        put_route(&s, out);
        balanced = balanced && s.passed == s.before + s.sent + s.dropped + s.dead + s.lost_rows;
    }
    pthread_mutex_unlock(&f->lock);
    buf_put_byte(out, ']');
    return balanced;
}

static bool write_books(struct flow *f, struct buf *out)
{
    uint64_t handed_on = 0, taken = f->spool ? spool_taken(f->spool) : 0;
    bool agree = true;
    buf_put_c(out, "{\"pipeline\":");
    json_put_string(out, str_c(f->name));
    if (has_spool(f)) {
        buf_put_c(out, ",\"sources\":");
        put_sources(f, out, &handed_on);
        agree = handed_on == taken;
    }
    if (f->spool)
        buf_printf(out, ",\"taken\":%" PRIu64, taken);
    buf_put_c(out, ",\"routes\":");
    bool balanced = put_routes(f, out);
    buf_printf(out, ",\"balanced\":%s}", balanced && agree ? "true" : "false");
    return balanced && agree;
}

/* A body that is on its way makes sources and spool differ: then they are asked again. */
bool flow_write_books(struct flow *f, struct buf *out)
{
    size_t began = out->n;
    bool good = write_books(f, out);
    for (int i = 1; !good && i < BOOKS_TRIES; i++) {
        clock_sleep_ms(BOOKS_PAUSE_MS);
        out->n = began;
        good = write_books(f, out);
    }
    return good;
}
