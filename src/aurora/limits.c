#include "aurora/limits.h"

#include "core/clock.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/metrics.h"

#include <pthread.h>
#include <stdio.h>

enum { BREAKERS_MAX = 20000, NAME_MAX_BYTES = 300, WAIT_STEP_MS = 20 };
#define PROBE_NS (60 * NS_PER_S) /* a probe whose end is never told does not block for ever */

struct breaker {
    char *name;
    struct breaker *next;
    enum breaker_state state;
    unsigned failures; /* in a row */
    int64_t until_ns;  /* open: when the next try may be; half open: when another probe may be */
    uint64_t opened;   /* how often */
    struct metric *metric;
};
struct limits {
    struct limits_options o;
    pthread_mutex_t lock;
    double rate, tokens;
    int64_t filled_ns;
    struct breaker *first;
    unsigned n;
    struct metric *throttled, *opened, *refused;
};

struct limits *limits_new(const struct limits_options *o)
{
    struct limits *l = NEW(struct limits);
    l->o = *o;
    pthread_mutex_init(&l->lock, NULL);
    l->rate = o->rate;
    l->tokens = 1;
    l->filled_ns = clock_mono_ns();
    l->throttled = metric_counter("weir_aurora_rds_throttled_total", NULL,
                                  "RDS requests that were refused for their rate.");
    l->opened = metric_counter("weir_aurora_breaker_opened_total", NULL,
                               "How often a circuit breaker opened.");
    l->refused = metric_counter("weir_aurora_breaker_refused_total", NULL,
                                "Calls that an open circuit breaker refused.");
    return l;
}

void limits_free(struct limits *l)
{
    if (!l)
        return;
    for (struct breaker *b = l->first, *next; b; b = next) {
        next = b->next;
        metric_set(b->metric, BREAKER_CLOSED);
        mem_free(b->name);
        mem_free(b);
    }
    pthread_mutex_destroy(&l->lock);
    mem_free(l);
}

/* ---- breakers; under the lock ---- */

static void set_state(struct breaker *b, enum breaker_state state)
{
    b->state = state;
    metric_set(b->metric, state);
}

/* NULL when there are too many. */
static struct breaker *breaker_of(struct limits *l, const char *kind, struct str name)
{
    char full[NAME_MAX_BYTES];
    struct breaker **at = &l->first;
    int n = snprintf(full, sizeof(full), "%s:%.*s", kind, STR_ARG(name));
    struct str key = str_of(full, (size_t)n < sizeof(full) ? (size_t)n : sizeof(full) - 1);
    for (; *at; at = &(*at)->next)
        if (str_eq_c(key, (*at)->name)) {
            struct breaker *b = *at; /* to the front: it will be asked for again */
            *at = b->next;
            b->next = l->first;
            l->first = b;
            return b;
        }
    if (l->n == BREAKERS_MAX)
        return NULL;
    struct buf label;
    buf_init(&label, 2048);
    if (l->o.labels)
        buf_put_c(&label, l->o.labels);
    metric_label(&label, "breaker", key);
    buf_put_byte(&label, '\0');
    struct breaker *b = NEW(struct breaker);
    b->name = mem_strdup(key);
    b->metric = metric_gauge("weir_aurora_breaker_state", label.p,
                             "Circuit breakers: 0 closed, 1 open, 2 half open.");
    buf_release(&label);
    b->next = l->first;
    l->first = b;
    l->n++;
    return b;
}

static enum err ask(struct limits *l, struct breaker *b, int64_t now)
{
    if (!b || b->state == BREAKER_CLOSED)
        return OK;
    if (now < b->until_ns) {
        metric_add(l->refused, 1);
        return err_set(ERR_AGAIN, "circuit breaker is open: %s, %lld s to its next try", b->name,
                       (long long)((b->until_ns - now) / NS_PER_S + 1));
    }
    set_state(b, BREAKER_HALF_OPEN);
    b->until_ns = now + PROBE_NS;
    return OK;
}

static void tell(struct limits *l, struct breaker *b, bool good, int64_t now)
{
    if (!b)
        return;
    if (good) {
        if (b->state != BREAKER_CLOSED)
            log_info("circuit breaker is closed", "breaker=%s", b->name);
        b->failures = 0;
        if (b->state != BREAKER_CLOSED)
            set_state(b, BREAKER_CLOSED);
        return;
    }
    b->failures++;
    if (b->state == BREAKER_HALF_OPEN ||
        (b->state == BREAKER_CLOSED && b->failures >= l->o.failures_max)) {
        set_state(b, BREAKER_OPEN);
        b->until_ns = now + l->o.open_ns;
        b->opened++;
        metric_add(l->opened, 1);
        log_error("circuit breaker is open", "breaker=%s failures=%u seconds=%lld", b->name,
                  b->failures, (long long)(l->o.open_ns / NS_PER_S));
    }
}

/* ---- the bucket ---- */

static bool take_token(struct limits *l, int64_t now)
{
    double most = l->rate > 1 ? l->rate : 1; /* a second's worth */
    l->tokens += (double)(now - l->filled_ns) / (double)NS_PER_S * l->rate;
    l->filled_ns = now;
    if (l->tokens > most)
        l->tokens = most;
    if (l->tokens < 1)
        return false;
    l->tokens -= 1;
    return true;
}

enum err limits_admit(struct limits *l, const char *action, struct str instance)
{
    enum err err;
    for (bool asked = false;;) {
        pthread_mutex_lock(&l->lock);
        int64_t now = clock_mono_ns();
        err = OK;
        if (!asked) {
            if (instance.n)
                err = ask(l, breaker_of(l, "instance", instance), now);
            if (err == OK)
                err = ask(l, breaker_of(l, "api", str_c(action)), now);
            asked = true;
        }
        bool took = err == OK && take_token(l, now);
        pthread_mutex_unlock(&l->lock);
        if (err != OK || took)
            return err;
        if (l->o.stopping && *l->o.stopping)
            return err_set(ERR_CANCELED, "stopping");
        clock_sleep_ms(WAIT_STEP_MS);
    }
}

void limits_judge(struct limits *l, const char *action, struct str instance,
                  enum limits_outcome outcome)
{
    pthread_mutex_lock(&l->lock);
    int64_t now = clock_mono_ns();
    if (outcome == LIMITS_THROTTLED) {
        l->rate *= 0.7;
        if (l->rate < l->o.rate / 10)
            l->rate = l->o.rate / 10;
        metric_add(l->throttled, 1);
    } else if (outcome == LIMITS_GOOD && l->rate < l->o.rate) {
        l->rate += l->o.rate / 100;
        if (l->rate > l->o.rate)
            l->rate = l->o.rate;
    }
    tell(l, breaker_of(l, "api", str_c(action)), outcome == LIMITS_GOOD, now);
    if (instance.n)
        tell(l, breaker_of(l, "instance", instance), outcome == LIMITS_GOOD, now);
    pthread_mutex_unlock(&l->lock);
}

unsigned limits_reset(struct limits *l, struct str name)
{
    unsigned n = 0;
    pthread_mutex_lock(&l->lock);
    for (struct breaker *b = l->first; b; b = b->next)
        if ((!name.n || str_eq_c(name, b->name)) && (b->failures || b->state != BREAKER_CLOSED)) {
            b->failures = 0;
            set_state(b, BREAKER_CLOSED);
            n++;
        }
    pthread_mutex_unlock(&l->lock);
    return n;
}

void limits_write(struct limits *l, struct buf *out)
{
    static const char *const names[] = {"closed", "open", "half-open"};
    bool any = false;
    pthread_mutex_lock(&l->lock);
    int64_t now = clock_mono_ns();
    buf_printf(out, "{\"rate\":%.2f,\"breakers\":[", l->rate);
    for (struct breaker *b = l->first; b; b = b->next) {
        if (b->state == BREAKER_CLOSED && !b->failures)
            continue;
        buf_printf(out,
                   "%s{\"name\":\"%s\",\"state\":\"%s\",\"failures\":%u,\"opened\":%llu,"
                   "\"next_try_s\":%lld}",
                   any ? "," : "", b->name, names[b->state], b->failures,
                   (unsigned long long)b->opened,
                   (long long)(b->state == BREAKER_OPEN && b->until_ns > now
                                   ? (b->until_ns - now) / NS_PER_S + 1
                                   : 0));
        any = true;
    }
    buf_put_c(out, "]}");
    pthread_mutex_unlock(&l->lock);
}
