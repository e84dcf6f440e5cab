/* The thread of a route goes round: gather a bulk, give it to the next sender, settle what senders
 * have done, in order, and note how far that is. The state file:
 *
 *   position N epoch HEX      of the spool
 *   sent N
 *   dead N
 *   dropped N                 by the route's condition and transforms
 *   before N                  records of the spool from before the route was there
 *   lost N                    records that it was too far behind to get
 *   retry ID(hex) OFFSET      of the dead letters that are tried again, those before are settled
 *   failing SINCE TEXT        only while it cannot send: since when (Unix seconds), and why
 *
 * A bulk whose neighbours are not settled yet has no trace but at the output: after a crash it is
 * sent again. */
#include "core/clock.h"
#include "core/io.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/thread.h"
#include "pipeline/dead.h"
#include "pipeline/route_impl.h"
#include "record/json.h"

#include <inttypes.h>
#include <stdio.h>

enum { STATE_MAX = 4096 };
#define SAVE_EVERY_NS NS_PER_S
#define RETRY_MIN_NS (200 * NS_PER_MS)
#define RETRY_MAX_NS (30 * NS_PER_S)
#define IDLE_NS (500 * NS_PER_MS)

/* ---- state ---- */

static enum err load_state(struct route *r)
{
    struct buf b;
    if (!io_exists(r->state_path))
        return OK;
    TRY(io_read_file(r->state_path, STATE_MAX, &b));
    buf_put_byte(&b, '\0');
    struct route_stats *s = &r->stats;
    uint64_t epoch = 0;
    int n = sscanf(b.p,
                   "position %" SCNu64 " epoch %" SCNx64 "\nsent %" SCNu64 "\ndead %" SCNu64
                   "\ndropped %" SCNu64 "\nbefore %" SCNu64 "\nlost %" SCNu64 "\nretry %" SCNx64
                   " %" SCNu64,
                   &s->position, &epoch, &s->sent, &s->dead, &s->dropped, &s->before, &s->lost_rows,
                   &r->retry_id, &r->retry_at);
    buf_release(&b);
    r->is_new = false;
    n = n == 7 || n == 9 ? 5 : n; /* the first versions had no more */
    if (n == 5 && epoch != spool_epoch(r->o.spool))
        s->position = 1; /* the spool is another one */
    return n == 5 ? OK : err_set(ERR_CORRUPT, "%s cannot be read", r->state_path);
}

enum err route_save_state(struct route *r)
{
    char text[400 + sizeof(r->stats.last_error)];
    struct route_stats s;
    route_stats(r, &s);
    int n = snprintf(text, sizeof(text),
                     "position %" PRIu64 " epoch %016" PRIx64 "\nsent %" PRIu64 "\ndead %" PRIu64
                     "\ndropped %" PRIu64 "\nbefore %" PRIu64 "\nlost %" PRIu64
                     "\nretry %016" PRIx64 " %" PRIu64 "\n",
                     s.position, spool_epoch(r->o.spool), s.sent, s.dead, s.dropped, s.before,
                     s.lost_rows, r->retry_id, r->retry_at);
    if (s.failing)
        n += snprintf(text + n, sizeof(text) - (size_t)n, "failing %lld %s\n",
                      (long long)(s.failing_since_ns / NS_PER_S), s.last_error);
    r->saved_ns = clock_mono_ns();
    TRY(io_write_file(r->state_path, str_of(text, (size_t)n)));
    r->unsaved = false;
    return OK;
}

/* What the file says is what may be trimmed. */
void route_save_if_due(struct route *r, bool now)
{
    if (!now && clock_mono_ns() - r->saved_ns < SAVE_EVERY_NS)
        return;
    pthread_mutex_lock(&r->lock);
    r->unsaved = r->unsaved || r->untold;
    r->untold = false;
    pthread_mutex_unlock(&r->lock);
    if (!r->unsaved)
        return;
    if (route_save_state(r) != OK)
        log_error("a route's state cannot be written", "route=%s error=\"%s\"", r->name,
                  err_text());
    else
        spool_release(r->o.spool, r->hold, r->stats.position, 0);
}

/* ---- stopping and waiting ---- */

bool route_must_stop(struct route *r)
{
    pthread_mutex_lock(&r->lock);
    bool stop = r->stopping && clock_mono_ns() >= r->stop_at;
    pthread_mutex_unlock(&r->lock);
    return stop;
}

bool route_is_stopping(struct route *r)
{
    pthread_mutex_lock(&r->lock);
    bool stop = r->stopping;
    pthread_mutex_unlock(&r->lock);
    return stop;
}

void route_wait(struct route *r, int64_t deadline, bool only_stop)
{
    pthread_mutex_lock(&r->lock);
    bool stopping = r->stopping;
    while (clock_mono_ns() < deadline && (only_stop || !r->woken) && r->stopping == stopping &&
           !(r->stopping && clock_mono_ns() >= r->stop_at)) {
        int64_t until = r->stopping && r->stop_at < deadline ? r->stop_at : deadline;
        (void)cond_wait_until(&r->wake, &r->lock, until);
    }
    r->woken = false;
    pthread_mutex_unlock(&r->lock);
}

/* ---- settling ---- */

enum err route_save_dead(struct route *r, struct route_bulk *b)
{
    while (b->dead.n && dead_append(r->dead_path, buf_str(&b->dead)) != OK) {
        log_error("dead letters cannot be written", "route=%s error=\"%s\"", r->name, err_text());
        if (route_must_stop(r))
            return ERR_CANCELED;
        route_wait(r, clock_mono_ns() + NS_PER_S, true);
    }
    buf_clear(&b->dead);
    b->dead_kept = 0;
    return OK;
}

/* As far as the bulk has come, once. */
static enum err settle(struct route *r, struct route_bulk *b)
{
    uint64_t rows = 0, dropped = 0, dead = b->dead_rows;
    TRY(route_save_dead(r, b));
    for (uint32_t i = 0; i < b->settled; i++) {
        rows += b->unit[i].rows;
        dropped += b->unit[i].dropped - b->unit[i].refused;
        dead += b->unit[i].refused;
    }
    pthread_mutex_lock(&r->lock);
    r->stats.sent += rows - dead - dropped;
    r->stats.dead += dead;
    r->stats.dropped += dropped;
    r->stats.position = b->unit[b->settled - 1].end;
    r->stats.bulks++;
    r->stats.lost = queue_reader_lost(r->reader);
    spool_release(r->o.spool, r->hold, 0, rows);
    pthread_mutex_unlock(&r->lock);
    metric_add(r->sent_metric, (int64_t)(rows - dead - dropped));
    metric_add(r->dead_metric, (int64_t)dead);
    metric_add(r->dropped_metric, (int64_t)dropped);
    r->unsaved = true;
    return OK;
}

/* ---- senders ---- */

static struct sender *sender_of(struct route *r, uint64_t bulk)
{
    return &r->sender[bulk % r->n_senders];
}

static enum sender_state state_of(struct sender *s)
{
    pthread_mutex_lock(&s->r->lock);
    enum sender_state state = s->state;
    pthread_mutex_unlock(&s->r->lock);
    return state;
}

static void set_state(struct sender *s, enum sender_state state)
{
    struct route *r = s->r;
    pthread_mutex_lock(&r->lock);
    s->state = state;
    r->stats.under_way = (uint32_t)(r->next - r->first);
    pthread_cond_broadcast(&r->turn);
    pthread_mutex_unlock(&r->lock);
}

static void *sender_main(void *arg)
{
    struct sender *s = arg;
    struct route *r = s->r;
    pthread_mutex_lock(&r->lock);
    for (;;) {
        while (s->state != SENDER_LOADED && !r->senders_end)
            pthread_cond_wait(&r->turn, &r->lock);
        if (s->state != SENDER_LOADED)
            break;
        pthread_mutex_unlock(&r->lock);
        enum err err = route_send(r, s->output, &s->bulk);
        (void)err; /* the bulk says how far it came */
        pthread_mutex_lock(&r->lock);
        s->state = SENDER_DONE;
        r->woken = true;
        pthread_cond_signal(&r->wake);
    }
    pthread_mutex_unlock(&r->lock);
    return NULL;
}

/* Settles what is done and has nothing before it. ERR_CANCELED: a bulk was given up. */
static enum err settle_done(struct route *r)
{
    while (r->first != r->next) {
        struct sender *s = sender_of(r, r->first);
        if (state_of(s) != SENDER_DONE)
            return OK;
        if (s->bulk.settled < s->bulk.n_units)
            return ERR_CANCELED;
        TRY(settle(r, &s->bulk));
        route_bulk_clear(&s->bulk);
        r->first++;
        set_state(s, SENDER_FREE);
    }
    return OK;
}

/* A stop makes an end of it, too. */
static void wait_done(struct sender *s)
{
    struct route *r = s->r;
    pthread_mutex_lock(&r->lock);
    while (s->state != SENDER_DONE)
        pthread_cond_wait(&r->wake, &r->lock);
    pthread_mutex_unlock(&r->lock);
}

enum err route_drain(struct route *r)
{
    while (r->first != r->next) {
        wait_done(sender_of(r, r->first));
        TRY(settle_done(r));
    }
    return OK;
}

static enum err give_to_sender(struct route *r)
{
    struct sender *s = sender_of(r, r->next++);
    set_state(s, SENDER_LOADED);
    if (s->started)
        return OK;
    enum err err = route_send(r, s->output, &s->bulk);
    set_state(s, SENDER_DONE);
    return err == OK ? settle_done(r) : err;
}

/* What is under way ends by itself at a stop; what was settled until then counts. */
static void end_senders(struct route *r)
{
    for (uint64_t i = r->first; i != r->next; i++)
        wait_done(sender_of(r, i));
    enum err err = settle_done(r);
    if (r->first != r->next && sender_of(r, r->first)->bulk.settled)
        err = settle(r, &sender_of(r, r->first)->bulk);
    if (err != OK)
        log_info("a stop came before all was sent", "route=%s", r->name);
    pthread_mutex_lock(&r->lock);
    r->senders_end = true;
    pthread_cond_broadcast(&r->turn);
    pthread_mutex_unlock(&r->lock);
    for (unsigned i = 0; i < r->n_senders; i++) {
        if (r->sender[i].started)
            pthread_join(r->sender[i].thread, NULL);
        r->sender[i].started = false;
        route_bulk_clear(&r->sender[i].bulk);
    }
}

/* ---- gathering ---- */

static bool bulk_full(const struct route *r, const struct route_bulk *b)
{
    const struct output_gather *g = &r->o.settings.gather;
    return b->rows >= g->rows || b->bytes >= g->bytes;
}

/* The queue under the spool keeps only so much for a route that is behind. */
static enum err catch_up(struct route *r)
{
    uint64_t position, rows;
    if (!spool_is_behind(r->o.spool, r->gathered))
        return OK;
    TRY(route_drain(r));
    if (!spool_left_behind(r->o.spool, r->hold, r->stats.position, &position, &rows))
        return OK;
    log_error("a route was too far behind: it goes on with what is kept",
              "route=%s lost_records=%" PRIu64, r->name, rows);
    queue_reader_free(r->reader);
    r->reader = queue_reader_new(spool_queue(r->o.spool), position);
    r->gathered = position;
    pthread_mutex_lock(&r->lock);
    r->stats.position = position;
    r->stats.lost_rows += rows;
    pthread_mutex_unlock(&r->lock);
    metric_add(r->lost_metric, (int64_t)rows);
    r->unsaved = true;
    return OK;
}

/* The sender's bulk. ERR_AGAIN: there is nothing to send. */
static enum err gather(struct route *r, struct route_bulk *b)
{
    struct queue_read body;
    int64_t began = clock_mono_ns();
    TRY(catch_up(r));
    b->epoch = spool_epoch(r->o.spool);
    for (;;) {
        enum err err = bulk_full(r, b) ? OK : queue_reader_next(r->reader, &body);
        if (bulk_full(r, b))
            return OK;
        if (err == OK) {
            route_bulk_add(r, b, &body);
            r->gathered = body.first_position + body.n;
            continue;
        }
        if (err != ERR_AGAIN) {
            log_error("the spool cannot be read", "route=%s error=\"%s\"", r->name, err_text());
            route_wait(r, clock_mono_ns() + NS_PER_S, true);
        }
        int64_t until = began + r->o.settings.gather.wait_ns;
        if (b->n_units && (clock_mono_ns() >= until || route_is_stopping(r)))
            return OK;
        if (!b->n_units)
            return ERR_AGAIN;
        route_wait(r, until, false);
        TRY(settle_done(r));
        route_save_if_due(r, false);
    }
}

/* ---- the thread ---- */

/* One turn. ERR_CANCELED: a stop came, or came and all is sent. */
static enum err go_on(struct route *r)
{
    bool stopping = route_is_stopping(r);
    TRY(settle_done(r));
    route_save_if_due(r, false);
    if (route_must_stop(r))
        return ERR_CANCELED;
    bool free = r->next - r->first < r->n_senders;
    enum err err = free ? gather(r, &sender_of(r, r->next)->bulk) : ERR_AGAIN;
    if (err == OK)
        return give_to_sender(r);
    if (err == ERR_AGAIN && stopping && r->first == r->next)
        return ERR_CANCELED;
    if (err == ERR_AGAIN)
        route_wait(r, clock_mono_ns() + IDLE_NS, false);
    return err == ERR_AGAIN ? OK : err;
}

static void *route_main(void *arg)
{
    struct route *r = arg;
    while (go_on(r) == OK)
        while (!route_is_stopping(r) && route_retry_letters(r))
            ;
    end_senders(r);
    route_save_if_due(r, true);
    return NULL;
}

/* ---- life ---- */

static void make_metrics(struct route *r)
{
    struct buf label;
    buf_init(&label, 1024);
    metric_label(&label, "route", str_c(r->name));
    buf_put_byte(&label, '\0');
    r->sent_metric =
        metric_counter("weir_route_records_total", label.p, "Records that an output has taken.");
    r->dead_metric =
        metric_counter("weir_route_dead_total", label.p, "Records put to a route's dead letters.");
    r->lost_metric = metric_counter("weir_route_lost_total", label.p,
                                    "Records that a route was too far behind to get.");
    r->dropped_metric = metric_counter("weir_route_dropped_total", label.p,
                                       "Records that a route's condition or transforms dropped.");
    r->retries_metric = metric_counter("weir_route_retries_total", label.p, "Bulks sent again.");
    r->seconds_metric = metric_histogram("weir_route_seconds", label.p, "Time to send a bulk.");
    r->breaker_metric =
        metric_gauge("weir_route_breaker", label.p,
                     "0: bulks are sent; 2: a failure has stopped that for a pause; 1: one is sent "
                     "to see whether the output works again.");
    buf_release(&label);
}

enum err route_check_name(const char *name)
{
    size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789._-");
    if (!n || name[n] || n > ROUTE_NAME_MAX || name[0] == '.')
        return err_set(ERR_INVALID, "\"%s\": a name has 1 to %d of a-z, 0-9, '.', '_', '-'", name,
                       ROUTE_NAME_MAX);
    return OK;
}

static enum err make_folders(const struct route *r)
{
    static const char *const names[] = {"routes", "dead"};
    for (int i = 0; i < 2; i++) {
        char *dir = mem_printf("%s/%s", r->o.dir, names[i]);
        enum err err = io_mkdir(dir);
        mem_free(dir);
        TRY(err);
    }
    return OK;
}

enum err route_check_settings(const struct route_settings *s, const struct output *output)
{
    const struct output_type *type = output->type;
    unsigned max = type->parallel_max && !output->in_order ? type->parallel_max : 1;
    if (s->parallel <= max)
        return OK;
    if (max == 1)
        return err_set(ERR_INVALID, "parallel: %s:// %ssends one bulk at a time, in order",
                       type->schemes[0], type->parallel_max ? "with these parameters " : "");
    return err_set(ERR_INVALID, "parallel: from 1 to %u is wanted", max);
}

static void fill_settings(struct route_settings *s, const struct output_type *type)
{
    const struct output_gather *usual = &type->gather;
    s->gather.rows = s->gather.rows ? s->gather.rows : usual->rows;
    s->gather.bytes = s->gather.bytes ? s->gather.bytes : usual->bytes;
    s->gather.wait_ns = s->has_wait ? s->gather.wait_ns : usual->wait_ns;
    s->parallel = s->parallel ? s->parallel : type->parallel ? type->parallel : 1;
    s->retry_min_ns = s->retry_min_ns ? s->retry_min_ns : RETRY_MIN_NS;
    s->retry_max_ns = s->retry_max_ns ? s->retry_max_ns : RETRY_MAX_NS;
    if (s->retry_max_ns < s->retry_min_ns)
        s->retry_max_ns = s->retry_min_ns;
}

/* An output for each sender; the first is the caller's. */
static enum err open_senders(struct route *r)
{
    r->n_senders = r->o.settings.parallel;
    r->sender = NEW_ARRAY(struct sender, r->n_senders);
    for (unsigned i = 0; i < r->n_senders; i++) {
        r->sender[i].r = r;
        route_bulk_init(&r->sender[i].bulk);
    }
    for (unsigned i = 1; i < r->n_senders; i++)
        TRY(output_open(r->o.types, str_c(r->o.url), &r->sender[i].output));
    return OK;
}

enum err route_open(const struct route_options *o, struct route **ret)
{
    struct route *r = NEW(struct route);
    r->o = *o;
    fill_settings(&r->o.settings, o->output->type);
    r->breaker.pause_ns = r->o.settings.retry_min_ns;
    r->name = mem_strdup(str_c(o->name));
    r->state_path = mem_printf("%s/routes/%s", o->dir, o->name);
    r->dead_path = mem_printf("%s/dead/%s.ndjson", o->dir, o->name);
    route_bulk_init(&r->letters);
    arena_init(&r->arena, 0, NULL);
    r->batch = batch_new();
    pthread_mutex_init(&r->lock, NULL);
    cond_init(&r->wake);
    cond_init(&r->turn);
    r->stats.position = 1;
    r->is_new = true;
    enum err err = route_check_name(o->name);
    if (err == OK)
        err = route_check_settings(&o->settings, o->output);
    if (err == OK)
        err = open_senders(r);
    if (err == OK)
        err = make_folders(r);
    if (err == OK)
        err = load_state(r);
    if (err != OK) {
        route_free(r);
        return err;
    }
    r->sender[0].output = o->output;
    snprintf(r->stats.name, sizeof(r->stats.name), "%s", o->name);
    make_metrics(r);
    if (o->hold)
        r->hold = *o->hold;
    else if (o->running)
        r->hold = spool_hold_next(o->spool, &r->stats.position);
    else
        r->hold = spool_hold(o->spool, r->stats.position);
    *ret = r;
    return OK;
}

/* Where there is one, the route's thread sends by itself. */
static enum err start_senders(struct route *r)
{
    for (unsigned i = 0; i < r->n_senders && r->n_senders > 1; i++) {
        TRY(thread_start(&r->sender[i].thread, "route-send", sender_main, &r->sender[i]));
        r->sender[i].started = true;
    }
    return OK;
}

enum err route_start(struct route *r)
{
    if (r->is_new || (r->o.running && !r->o.hold)) {
        struct route_stats *s = &r->stats;
        s->before = spool_passed(r->o.spool, r->hold) - s->sent - s->dead - s->dropped;
        TRY(route_save_state(r)); /* from now on it is in the books */
        r->saved_ns = 0;
    }
    r->reader = queue_reader_new(spool_queue(r->o.spool), r->stats.position);
    r->gathered = r->stats.position;
    TRY(start_senders(r));
    TRY(thread_start(&r->thread, "route", route_main, r));
    r->started = true;
    return OK;
}

unsigned route_hold(const struct route *r)
{
    return r->hold;
}

void route_remove(struct route *r)
{
    spool_unhold(r->o.spool, r->hold);
    if (io_unlink(r->state_path) != OK)
        log_warn("a route's state cannot be removed", "route=%s error=\"%s\"", r->name, err_text());
}

void route_wake(struct route *r)
{
    pthread_mutex_lock(&r->lock);
    r->woken = true;
    pthread_cond_signal(&r->wake);
    pthread_mutex_unlock(&r->lock);
}

void route_stop(struct route *r, int64_t wait_ms)
{
    if (!r->started)
        return;
    pthread_mutex_lock(&r->lock);
    r->stopping = true;
    r->stop_at = clock_mono_ns() + wait_ms * NS_PER_MS;
    r->breaker.until_ns = 0; /* one more try at once */
    pthread_cond_signal(&r->wake);
    pthread_cond_broadcast(&r->turn);
    pthread_mutex_unlock(&r->lock);
    pthread_join(r->thread, NULL);
    r->started = false;
}

void route_free(struct route *r)
{
    if (!r)
        return;
    if (!r->senders_end && r->sender)
        end_senders(r);
    queue_reader_free(r->reader);
    for (unsigned i = 0; r->sender && i < r->n_senders; i++) {
        output_close(r->sender[i].output);
        route_bulk_release(&r->sender[i].bulk);
    }
    mem_free(r->sender);
    route_bulk_release(&r->letters);
    arena_release(&r->arena);
    batch_free(r->batch);
    json_reader_free(r->json);
    mem_free(r->name);
    mem_free(r->state_path);
    mem_free(r->dead_path);
    pthread_cond_destroy(&r->wake);
    pthread_cond_destroy(&r->turn);
    pthread_mutex_destroy(&r->lock);
    mem_free(r);
}

void route_stats(struct route *r, struct route_stats *ret)
{
    pthread_mutex_lock(&r->lock);
    *ret = r->stats;
    ret->breaker = !r->breaker.open ? "closed" : r->breaker.trying ? "trying" : "open";
    ret->waiting = spool_waiting(r->o.spool, r->hold);
    ret->passed = spool_passed(r->o.spool, r->hold);
    pthread_mutex_unlock(&r->lock);
}
