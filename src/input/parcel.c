#include "input/parcel.h"

#include "core/clock.h"
#include "core/governor.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/tree.h"
#include "pipeline/stages.h"

#include <stdio.h>

enum { RETRY_MIN_MS = 100, RETRY_MAX_MS = 5000, DRAIN_STEP_MS = 5 };

static void try_parcel(struct parcel *p);

static void on_tick(void *ctx)
{
    struct parcel_desk *d = ctx;
    int64_t now = clock_mono_ns();
    struct parcel *p = d->waiting;
    d->waiting = NULL;
    while (p) {
        struct parcel *later = p->later;
        if (now >= p->try_at_ns && !d->stopped) {
            try_parcel(p);
        } else {
            p->later = d->waiting;
            d->waiting = p;
        }
        p = later;
    }
}

void parcel_desk_init(struct parcel_desk *d, struct reactor *r, const struct input_options *o)
{
    d->reactor = r;
    d->sink = o->sink;
    pthread_mutex_init(&d->lock, NULL);
    d->ticker = (struct reactor_ticker){on_tick, d, NULL};
    reactor_tick(r, &d->ticker);
}

void parcel_desk_release(struct parcel_desk *d)
{
    stages_free(d->join);
    multiline_free(d->multiline);
    pthread_mutex_destroy(&d->lock);
}

/* ---- lines that belong together ---- */

enum err multiline_read(const struct url *url, struct multiline **ret, int64_t *ret_wait_ns)
{
    struct str kind = url_get(url, "multiline"), wait = url_get(url, "multiline_wait");
    if (!kind.n)
        return wait.n ? err_set(ERR_INVALID, "multiline_wait= needs multiline= too") : OK;
    *ret_wait_ns = 500 * NS_PER_MS;
    if (wait.n && (!str_to_duration_ns(wait, ret_wait_ns) || *ret_wait_ns < NS_PER_MS ||
                   *ret_wait_ns > 60 * NS_PER_S))
        return err_set(ERR_INVALID, "multiline_wait: a time up to 1m is wanted, such as 500ms");
    enum err err = multiline_new(kind, ret);
    return err == OK ? OK : err_set(err, "multiline: %s", err_text());
}

static enum err read_multiline(struct parcel_desk *d, const struct url *url)
{
    struct str kind = url_get(url, "multiline");
    TRY(multiline_read(url, &d->multiline, &d->wait_ns));
    if (!d->multiline)
        return OK;
    struct tree *list = ARENA_ARRAY(&d->arena, struct tree, 3);
    list[2] = (struct tree){.kind = TREE_TEXT, .text = arena_str(&d->arena, kind)};
    list[1] = (struct tree){.kind = TREE_MAP, .n = 1, .item = &list[2]};
    list[1].key = ARENA_NEW(&d->arena, struct tree);
    list[1].key[0] = (struct tree){.kind = TREE_TEXT, .text = STR("multiline")};
    list[0] = (struct tree){.kind = TREE_LIST, .n = 1, .item = &list[1]};
    return stages_new(list, &d->join);
}

enum err parcel_desk_read(struct parcel_desk *d, const struct url *url, const char *stream)
{
    TRY(input_read_target(url, stream, &d->arena, &d->target));
    return read_multiline(d, url);
}

bool parcel_desk_waits(const struct parcel_desk *d, struct parcel_wait *w, size_t n,
                       bool *ret_forced)
{
    int64_t now = clock_mono_ns();
    if (!w->n)
        w->began_ns = now;
    if (w->n != n)
        w->grew_ns = now;
    w->n = n;
    bool quiet = now - w->grew_ns >= d->wait_ns;
    *ret_forced = !quiet;
    if (!quiet && n < PARCEL_GATHERED && now - w->began_ns < MULTILINE_WAITS * d->wait_ns)
        return true;
    w->n = 0;
    return false;
}

/* ---- a parcel's way ---- */

static void wait_for_next_try(struct parcel *p)
{
    struct parcel_desk *d = p->desk;
    unsigned doubled = p->tries > 10 ? 10 : p->tries;
    int64_t ms = (int64_t)RETRY_MIN_MS << doubled;
    ms = ms > RETRY_MAX_MS ? RETRY_MAX_MS : ms;
    ms -= (int64_t)(random_u64() % (uint64_t)(ms / 2));
    p->tries++;
    p->try_at_ns = clock_mono_ns() + ms * NS_PER_MS;
    p->later = d->waiting;
    d->waiting = p;
    log_warn("an input waits", "input=%s error=\"%s\"", d->name, p->text);
}

/* On the reactor's thread. */
static void settle(void *ctx)
{
    struct parcel *p = ctx;
    struct parcel_desk *d = p->desk;
    if (ingest_may_retry(p->err) && !d->stopped && !d->once) {
        wait_for_next_try(p);
        return;
    }
    p->landed = p->err == OK;
    p->done(p, p->err, p->text);
    d->out--;
}

static void answered(void *ctx, const struct ingest_result *result)
{
    struct parcel *p = ctx;
    struct parcel_desk *d = p->desk;
    p->err = result->err;
    snprintf(p->text, sizeof(p->text), "%s", result->err == OK ? "" : result->text);
    if (result->err == OK) {
        p->accepted = result->accepted;
        p->refused = result->rejected;
        if (result->duplicate)
            d->duplicates += result->accepted;
        else
            d->accepted += result->accepted;
        d->refused += result->rejected;
        d->duplicates += result->duplicates;
    }
    if (result->err == OK && result->n_refusals)
        snprintf(p->text, sizeof(p->text), "%.*s", STR_ARG(result->refusal[0].reason));
    if (result->err == OK && result->n_refusals)
        parcel_desk_error(d, NULL, result->refusal[0].reason.p);
    p->note = (struct reactor_note){settle, p, NULL};
    reactor_post(d->reactor, &p->note);
}

static void try_parcel(struct parcel *p)
{
    struct parcel_desk *d = p->desk;
    const struct input_target *t = &d->target;
    struct ingest_body body = {
        .org = t->org,
        .stream = p->stream.n ? p->stream : t->stream,
        .bytes = p->bytes,
        .format = d->format,
        .join = d->join,
        .service = t->service,
        .host = t->host.n ? t->host : p->host,
        .key = p->key,
        .ctx = p,
        .done = answered,
    };
    d->sink.take(d->sink.ctx, &body);
}

struct parcel *parcel_send(struct parcel_desk *d, void *owner,
                           void (*done)(struct parcel *p, enum err err, const char *text),
                           const struct parcel_content *content)
{
    struct str bytes = content->bytes;
    size_t size = sizeof(struct parcel) + bytes.n + JSON_PADDING + content->key.n +
                  content->host.n + content->stream.n + content->ack.n;
    struct parcel *p = mem_alloc(size);
    char *at = (char *)(p + 1);
    *p = (struct parcel){.desk = d, .owner = owner, .done = done};
    p->bytes = str_of(at, bytes.n);
    memcpy(at, bytes.p, bytes.n);
    memset(at + bytes.n, 0, JSON_PADDING);
    at += bytes.n + JSON_PADDING;
    struct str *to[] = {&p->key, &p->host, &p->stream, &p->ack};
    struct str from[] = {content->key, content->host, content->stream, content->ack};
    for (int i = 0; i < 4; i++) {
        *to[i] = str_of(at, from[i].n);
        if (from[i].n)
            memcpy(at, from[i].p, from[i].n);
        at += from[i].n;
    }
    governor_force(OWNER_INGEST, bytes.n);
    d->bytes += bytes.n;
    d->out++;
    try_parcel(p);
    return p;
}

void parcel_free(struct parcel *p)
{
    governor_give(OWNER_INGEST, p->bytes.n);
    mem_free(p);
}

/* ---- for people ---- */

void parcel_desk_error(struct parcel_desk *d, const char *peer, const char *text)
{
    d->errors++;
    pthread_mutex_lock(&d->lock);
    snprintf(d->last_error, sizeof(d->last_error), "%s%s%s", peer ? peer : "", peer ? ": " : "",
             text);
    pthread_mutex_unlock(&d->lock);
    if (peer)
        log_warn("a sender was cut off", "input=%s sender=%s reason=\"%s\"", d->name, peer, text);
    else
        log_warn("an input's records were refused", "input=%s first=\"%s\"", d->name, text);
}

void parcel_desk_status(struct parcel_desk *d, struct input_status *ret)
{
    ret->accepted = d->accepted;
    ret->refused = d->refused;
    ret->duplicates = d->duplicates;
    ret->bytes = d->bytes;
    ret->waiting = d->out;
    ret->errors = d->errors;
    pthread_mutex_lock(&d->lock);
    memcpy(ret->last_error, d->last_error, sizeof(ret->last_error));
    pthread_mutex_unlock(&d->lock);
}

static void give_up(void *ctx)
{
    struct parcel_desk *d = ctx;
    d->stopped = true;
    while (d->waiting) {
        struct parcel *p = d->waiting;
        d->waiting = p->later;
        settle(p);
    }
}

void parcel_desk_drain(struct parcel_desk *d, int64_t wait_ms)
{
    int64_t deadline = clock_mono_ns() + wait_ms * NS_PER_MS;
    while (d->out && clock_mono_ns() < deadline)
        clock_sleep_ms(DRAIN_STEP_MS);
    reactor_call(d->reactor, give_up, d);
}
