/* A bulk that is refused as a whole is sent again unit by unit; the unit that is refused then goes
 * to the dead letters, and the others go on. */
#include "core/clock.h"
#include "core/log.h"
#include "core/thread.h"
#include "pipeline/route_impl.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ---- the breaker ---- */

enum { BREAKER_CLOSED, BREAKER_TRYING, BREAKER_OPEN };

/* With the lock. */
static void show_breaker(struct route *r)
{
    const struct breaker *b = &r->breaker;
    metric_set(r->breaker_metric, !b->open    ? BREAKER_CLOSED
                                  : b->trying ? BREAKER_TRYING
                                              : BREAKER_OPEN);
}

/* With the lock. */
static bool must_stop(const struct route *r)
{
    return r->stopping && clock_mono_ns() >= r->stop_at;
}

/* Waits until something may be sent. False: a stop came first. *ret_trial: this is the one bulk
 * that shows whether the peer is back. */
static bool may_send(struct route *r, bool *ret_trial)
{
    struct breaker *b = &r->breaker;
    pthread_mutex_lock(&r->lock);
    while (b->open && !must_stop(r) && (b->trying || clock_mono_ns() < b->until_ns)) {
        int64_t until = b->trying ? INT64_MAX : b->until_ns;
        if (r->stopping && r->stop_at < until)
            until = r->stop_at;
        (void)cond_wait_until(&r->turn, &r->lock, until);
    }
    bool may = !must_stop(r);
    *ret_trial = may && b->open;
    b->trying = b->trying || *ret_trial;
    show_breaker(r);
    pthread_mutex_unlock(&r->lock);
    return may;
}

/* With the lock. The pauses double, and have a random part. */
static void open_breaker(struct route *r, int64_t asked_ns)
{
    struct breaker *b = &r->breaker;
    const struct route_settings *s = &r->o.settings;
    int64_t ns = b->pause_ns / 2 + (int64_t)(random_u64() % (uint64_t)b->pause_ns);
    if (asked_ns > ns)
        ns = asked_ns < s->retry_max_ns ? asked_ns : s->retry_max_ns;
    b->pause_ns = b->pause_ns * 2 < s->retry_max_ns ? b->pause_ns * 2 : s->retry_max_ns;
    b->until_ns = clock_mono_ns() + ns;
    b->open = true;
}

static void note_works(struct route *r, bool trial)
{
    struct breaker *b = &r->breaker;
    pthread_mutex_lock(&r->lock);
    if (trial)
        b->trying = b->open = false;
    if (!b->open) {
        b->pause_ns = r->o.settings.retry_min_ns;
        if (r->stats.failing)
            log_info("route works again", "route=%s", r->name);
        r->untold = r->untold || r->stats.failing;
        r->stats.failing = false;
    }
    show_breaker(r);
    pthread_cond_broadcast(&r->turn);
    pthread_mutex_unlock(&r->lock);
}

/* moved: the peer has taken a part, so that the pauses begin anew. */
static void note_failure(struct route *r, bool trial, bool moved, const char *text,
                         int64_t asked_ns)
{
    metric_add(r->retries_metric, 1);
    log_warn("route cannot send, it will try again", "route=%s error=\"%s\"", r->name, text);
    pthread_mutex_lock(&r->lock);
    struct route_stats *s = &r->stats;
    if (!s->failing)
        s->failing_since_ns = clock_now_ns();
    r->untold = r->untold || !s->failing || strcmp(s->last_error, text) != 0;
    s->failing = true;
    s->retries++;
    snprintf(s->last_error, sizeof(s->last_error), "%s", text);
    if (trial)
        r->breaker.trying = false;
    if (moved)
        r->breaker.pause_ns = r->o.settings.retry_min_ns;
    if (trial || !r->breaker.open)
        open_breaker(r, asked_ns);
    show_breaker(r);
    pthread_cond_broadcast(&r->turn);
    pthread_mutex_unlock(&r->lock);
}

/* ---- sending ---- */

struct sending {
    struct route *r;
    struct route_bulk *b;
    const struct output_item *item; /* the first of those that are sent */
};

static void on_refused(void *ctx, uint32_t item, uint32_t row, const char *reason)
{
    const struct sending *s = ctx;
    s->b->refused++;
    route_bulk_dead(s->r, s->b, &s->item[item], row, reason, "output");
}

static void settle(struct route_bulk *b, uint32_t n, uint64_t dead)
{
    b->settled += n;
    b->dead_rows += dead;
    b->dead_kept = b->dead.n;
}

/* Tries units [from, from + n) until they are settled or refused as a whole (ERR_INVALID).
 * ERR_CANCELED: a stop came first. */
static enum err send_units(struct route *r, struct output *output, struct route_bulk *b,
                           uint32_t from, uint32_t n)
{
    const struct unit *first = &b->unit[from], *last = &b->unit[from + n - 1];
    struct sending sending = {r, b, b->item + first->first};
    bool moved = false;
    struct output_bulk bulk = {.producer = spool_producer(r->o.spool),
                               .epoch = b->epoch,
                               .item = sending.item,
                               .n = last->first + last->n - first->first,
                               .ctx = &sending,
                               .refuse = on_refused,
                               .moved = &moved};
    enum err err = OK;
    for (uint32_t i = 0; i < n; i++)
        bulk.rows += b->unit[from + i].rows;
    for (uint32_t i = 0; i < bulk.n; i++)
        bulk.bytes += bulk.item[i].frame.n;
    for (bool again = bulk.n; again;) {
        int64_t wait_ns = 0;
        bool trial;
        if (!may_send(r, &trial))
            return ERR_CANCELED;
        int64_t began = clock_mono_ns();
        b->dead.n = b->dead_kept;
        b->refused = 0;
        moved = false;
        err = output_send(output, &bulk, &wait_ns);
        metric_observe_ns(r->seconds_metric, clock_mono_ns() - began);
        again = err != OK && err != ERR_INVALID && err != ERR_LIMIT;
        if (again)
            note_failure(r, trial, moved, err_text(), wait_ns);
        else
            note_works(r, trial);
        if (again && !r->sender->started) /* this is the route's thread */
            route_save_if_due(r, false);
    }
    if (err == OK)
        settle(b, n, bulk.n ? b->refused : 0);
    return err == OK ? OK : ERR_INVALID;
}

/* A unit that will never be taken. */
static void bury(struct route *r, struct route_bulk *b, uint32_t at)
{
    const struct unit *u = &b->unit[at];
    char reason[300];
    snprintf(reason, sizeof(reason), "%s", err_text());
    log_error("refused for good: to the dead letters", "route=%s records=%" PRIu64 " reason=\"%s\"",
              r->name, u->rows, reason);
    b->dead.n = b->dead_kept;
    for (uint32_t i = u->first; i < u->first + u->n; i++)
        route_bulk_dead(r, b, &b->item[i], UINT32_MAX, reason, "output");
    settle(b, 1, u->rows - u->dropped);
}

enum err route_send(struct route *r, struct output *output, struct route_bulk *b)
{
    enum err err = send_units(r, output, b, 0, b->n_units);
    if (err != ERR_INVALID)
        return err;
    for (uint32_t i = 0; i < b->n_units; i++) {
        err = b->n_units > 1 ? send_units(r, output, b, i, 1) : ERR_INVALID;
        if (err == ERR_INVALID)
            bury(r, b, i);
        else
            TRY(err);
    }
    return OK;
}
