#include "aurora/collector.h"

#include "aurora/jobs.h"
#include "aurora/topics.h"
#include "core/clock.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/metrics.h"
#include "core/thread.h"
#include "output/outputs.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    WORKERS_MAX = 256,
    TRIES_MAX = 10,
    BEAT_S = 5,
    SCAN_S = 5,
    AGAIN_MS_FIRST = 250,
    AGAIN_MS_MAX = 10000,
    PROCESS_DAYS = 7
};

struct worker {
    struct collector *c;
    pthread_t thread;
    bool started;
    char owner[220];
    struct visitor v;
};
struct collector {
    struct collector_options o;
    atomic_bool stopping, ordered, ready;
    struct aws_credentials *credentials;
    struct limits *limits;
    struct rds_source *source;
    struct state *state;
    struct cache *cache;
    struct jobs *jobs;
    struct topics *topics; /* NULL: the queue is embedded */
    char owner[200];
    struct aws_client *client; /* of discovery */
    struct discover *discover;
    pthread_t finder, beater;
    bool finder_started, beater_started;
    struct worker worker[WORKERS_MAX];
    unsigned n_workers;
    atomic_ullong rounds, rounds_failed, found, published, visits, failed, bytes, records, saved;
    atomic_uint active;
    atomic_uint ramp; /* workers that may work now */
    atomic_llong last_round_s, last_record_s;
    int64_t started_s;
    int64_t orders_s; /* the newest order obeyed */
    char *labels;     /* of gauges; NULL: none */
    struct metric *m_records, *m_bytes, *m_visits, *m_failures, *m_rounds, *m_published, *m_saved,
        *m_visit_seconds, *m_round_seconds;
};

static int64_t now_s(void)
{
    return clock_now_ns() / NS_PER_S;
}

/* ---- options ---- */

static const char *variable(const char *name)
{
    char with[80];
    snprintf(with, sizeof(with), "WEIR_%s", name);
    const char *value = getenv(with);
    if (!value || !*value)
        value = getenv(name);
    return value && *value ? value : NULL;
}

static enum err env_number(const char *name, double min, double max, double *io)
{
    double v;
    const char *text = variable(name);
    if (!text)
        return OK;
    if (!str_to_f64(str_c(text), &v) || !(v >= min && v <= max))
        return err_set(ERR_INVALID, "%s=%s: a number from %g to %g is wanted", name, text, min,
                       max);
    *io = v;
    return OK;
}

enum err collector_options_env(struct collector_options *o)
{
    double rate = 10, batch = 10000, concurrency = 4, found = 50, failures = 5, open = 30;
    double lease = 60, touch = 86400;
    TRY(env_number("RDS_API_RATE_LIMIT", 0.01, 10000, &rate));
    TRY(env_number("BATCH_SIZE", 1, 1000000, &batch));
    TRY(env_number("MAX_CONCURRENCY", 1, WORKERS_MAX, &concurrency));
    TRY(env_number("DISCOVERY_BATCH_SIZE", 1, 100000, &found));
    TRY(env_number("CIRCUIT_BREAKER_MAX_FAILURES", 1, 1000000, &failures));
    TRY(env_number("CIRCUIT_BREAKER_TIMEOUT_SEC", 0.1, 86400, &open));
    TRY(env_number("AURORA_LEASE_SEC", 2, 3600, &lease));
    TRY(env_number("AURORA_TOUCH_SEC", 1, 86400, &touch));
    o->rate = rate;
    o->batch_rows = (unsigned)batch;
    o->concurrency = (unsigned)concurrency;
    o->batch_found = (unsigned)found;
    o->failures_max = (unsigned)failures;
    o->open_ns = (int64_t)(open * (double)NS_PER_S);
    o->lease_s = (int64_t)lease;
    o->touch_s = (int64_t)touch;
    return OK;
}

enum err collector_read_kinds(struct str names, unsigned *ret)
{
    struct str rest = names, part;
    unsigned keep = 0;
    while (str_split(&rest, ',', &part)) {
        enum mysql_log_kind kind;
        if (!mysql_log_kind_of(str_trim(part), &kind) || kind == MYSQL_LOG_AUTO)
            return err_set(ERR_INVALID, "logs %.*s: slow, error, general and audit are known",
                           STR_ARG(names));
        keep |= MYSQL_LOG_KEEP(kind);
    }
    *ret = keep;
    return OK;
}

const char *collector_state_default(void)
{
    const char *env = getenv("WEIR_AURORA_STATE");
    return env && *env ? env : "sqlite:./weir-aurora.db";
}

/* ---- jobs ---- */

static enum err on_published(void *ctx, const struct logfile_message *m)
{
    struct collector *c = ctx;
    if (c->topics)
        return topics_publish(c->topics, m);
    return c->o.processes ? jobs_put(c->jobs, m, NULL) : OK;
}

/* What the state knows to be undone. */
static enum err on_undone(void *ctx, const struct state_item *i)
{
    struct collector *c = ctx;
    struct str status = state_text(i, "status");
    if (!str_eq_c(status, "discovered") && !str_eq_c(status, "processing"))
        return OK;
    struct logfile_message m = {.instance_id = state_text(i, "instance_id"),
                                .log_file_name = state_text(i, "log_file_name"),
                                .log_type = state_text(i, "log_type"),
                                .size = (uint64_t)state_int(i, "size"),
                                .last_written_ms = state_int(i, "last_written")};
    return jobs_put(c->jobs, &m, NULL);
}

static struct state_key key_of(const struct logfile_message *m)
{
    return (struct state_key){m->instance_id, m->log_file_name};
}

/* Sets the status of the version that was worked at; a newer one is another's business. */
static enum err set_status(struct collector *c, const struct logfile_message *m, const char *status,
                           const char *error)
{
    const struct state_cond same = {
        .op = STATE_IS_INT, .name = "last_written", .number = m->last_written_ms};
    struct state_item set = {0};
    state_set_text(&set, "status", str_c(status));
    state_set_int(&set, "updated_at", now_s());
    if (!strcmp(status, "processing"))
        state_set_int(&set, "started_at", now_s());
    if (error)
        state_set_text(&set, "error", str_c(error));
    enum err err = state_note(c->state, STATE_FILES, key_of(m), &set, &same, 1);
    return err == ERR_CONFLICT ? OK : err;
}

static void job_done(struct collector *c, struct job *job)
{
    for (struct job_token *token = jobs_done(c->jobs, job), *next; token; token = next) {
        next = token->next;
        topics_settle(c->topics, token);
    }
}

static void warn_if(enum err err, const char *what)
{
    if (err != OK)
        log_warn(what, "error=%s", err_text());
}

static int64_t pause_ns(unsigned tries)
{
    int64_t ms = tries < 5 ? AGAIN_MS_FIRST << tries : AGAIN_MS_MAX;
    return (ms / 2 + (int64_t)(random_u64() % (uint64_t)ms)) * NS_PER_MS;
}

static void give_up(struct worker *w, struct job *job, const char *why)
{
    struct collector *c = w->c;
    struct dead_letter d = {.instance = job->m.instance_id,
                            .file = job->m.log_file_name,
                            .log_type = job->m.log_type,
                            .to = job->m.size,
                            .error = why,
                            .sequence = job->m.last_written_ms};
    enum err err = dead_letter_put(c->state, &d);
    if (err == OK)
        err = set_status(c, &job->m, "failed", why);
    warn_if(err, "a failed file could not be noted");
    if (err == OK)
        job_done(c, job);
    else
        jobs_again(c->jobs, job, pause_ns(job->tries));
}

static void failed(struct worker *w, struct job *job, enum err err)
{
    struct collector *c = w->c;
    char why[256];
    snprintf(why, sizeof(why), "%s", err_text());
    if (err == ERR_CANCELED) {
        jobs_again(c->jobs, job, 0);
        return;
    }
    if (err == ERR_AGAIN || err == ERR_CONFLICT) { /* another has it, or a breaker is open */
        if (str_starts(str_c(why), STR("circuit breaker")))
            log_error("processing waits", "error=%s", why);
        jobs_again(c->jobs, job, pause_ns(0));
        return;
    }
    c->failed++;
    metric_add(c->m_failures, 1);
    if (err == ERR_NOTFOUND) {
        log_warn("log file has vanished", "instance=%.*s file=%.*s", STR_ARG(job->m.instance_id),
                 STR_ARG(job->m.log_file_name));
        warn_if(set_status(c, &job->m, "vanished", why), "a status could not be noted");
        job_done(c, job);
        return;
    }
    log_error("processing failed", "instance=%.*s file=%.*s error=%s", STR_ARG(job->m.instance_id),
              STR_ARG(job->m.log_file_name), why);
    bool passes = err == ERR_UNAVAILABLE || err == ERR_TIMEOUT || err == ERR_AUTH ||
                  err == ERR_FULL || err == ERR_NOMEM || err == ERR_IO;
    job->tries++;
    if (!passes && job->tries >= TRIES_MAX)
        give_up(w, job, why);
    else
        jobs_again(c->jobs, job, pause_ns(job->tries));
}

static void work(struct worker *w, struct job *job)
{
    struct collector *c = w->c;
    struct visit visit;
    int64_t began = clock_mono_ns();
    enum err err = set_status(c, &job->m, "processing", NULL);
    if (err == OK)
        err = visit_file(&w->v, &job->m, &visit);
    else
        visit = (struct visit){0};
    metric_observe_ns(c->m_visit_seconds, clock_mono_ns() - began);
    c->visits++;
    c->bytes += visit.bytes;
    c->records += visit.records;
    metric_add(c->m_visits, 1);
    metric_add(c->m_bytes, (int64_t)visit.bytes);
    metric_add(c->m_records, (int64_t)visit.records);
    if (visit.records) {
        c->last_record_s = now_s();
        log_info("checkpoint written", "instance=%.*s file=%.*s records=%" PRIu64 " bytes=%" PRIu64,
                 STR_ARG(job->m.instance_id), STR_ARG(job->m.log_file_name), visit.records,
                 visit.bytes);
    }
    if (err != OK) {
        failed(w, job, err);
        return;
    }
    job->tries = 0;
    if (visit.more) {
        jobs_again(c->jobs, job, 0);
        return;
    }
    if (visit.rest) { /* the last record may go on: it is looked at again when the file is quiet */
        jobs_again(c->jobs, job, c->o.lease_s * NS_PER_S / 3);
        return;
    }
    warn_if(set_status(c, &job->m, "completed", NULL), "a status could not be noted");
    job_done(c, job);
}

static void *worker_main(void *arg)
{
    struct worker *w = arg;
    struct collector *c = w->c;
    while (!c->stopping) {
        if ((unsigned)(w - c->worker) >= c->ramp) {
            clock_sleep_ms(100);
            continue;
        }
        struct job *job = jobs_take(c->jobs, 500);
        if (!job)
            continue;
        c->active++;
        work(w, job);
        c->active--;
    }
    return NULL;
}

/* ---- discovery ---- */

static void sleep_until(struct collector *c, int64_t until_ns)
{
    while (!c->stopping && clock_mono_ns() < until_ns)
        clock_sleep_ms(50);
}

static void one_round(struct collector *c)
{
    struct discover_round r;
    int64_t began = clock_mono_ns();
    enum err err = discover_run(c->discover, &r);
    metric_observe_ns(c->m_round_seconds, clock_mono_ns() - began);
    metric_add(c->m_published, (int64_t)r.published);
    metric_add(c->m_saved, (int64_t)r.requests_saved);
    c->published += r.published;
    c->saved += r.requests_saved;
    c->found = r.files;
    if (err == OK) {
        c->rounds++;
        c->ready = true;
        c->last_round_s = now_s();
        metric_add(c->m_rounds, 1);
        log_info("discovery round",
                 "instances=%" PRIu64 " files=%" PRIu64 " published=%" PRIu64 " failed=%" PRIu64
                 " cached=%" PRIu64,
                 r.instances, r.files, r.published, r.failed, r.requests_saved);
    } else if (err != ERR_CANCELED) {
        c->rounds_failed++;
        log_error("discovery failed", "error=%s", err_text());
    }
    warn_if(state_forget(c->state), "expired items stay");
}

/* Without discovery here, and without Kafka, the state is the queue: another process discovers. */
static void scan(struct collector *c)
{
    if (c->topics) {
        c->ready = true;
        c->rounds += 1;
        return;
    }
    enum err err = state_each(c->state, STATE_FILES, STR(""), on_undone, c);
    if (err == OK)
        c->ready = true;
    warn_if(err, "the state could not be read");
    c->rounds += err == OK;
}

static void *finder_main(void *arg)
{
    struct collector *c = arg;
    if (c->o.discovers && c->o.processes && !c->topics)
        warn_if(state_each(c->state, STATE_FILES, STR(""), on_undone, c),
                "the state could not be read");
    while (!c->stopping) {
        int64_t began = clock_mono_ns();
        if (c->o.discovers)
            one_round(c);
        else
            scan(c);
        /* A failed round is tried again soon, without hammering. */
        int64_t pause = !c->o.discovers ? SCAN_S * NS_PER_S : c->o.poll_ns;
        sleep_until(c, began + pause);
    }
    return NULL;
}

/* ---- signs of life and orders ---- */

void collector_write(struct collector *c, struct buf *out)
{
    buf_printf(out,
               "{\"role\":\"%s\",\"started_at\":%" PRId64 ",\"rounds\":%llu,\"rounds_failed\":%llu,"
               "\"files\":%llu,\"published\":%llu,\"visits\":%llu,\"failed\":%llu,\"bytes\":%llu,"
               "\"records\":%llu,\"waiting\":%zu,\"active\":%u,\"workers\":%u,\"last_round\":%lld,"
               "\"last_record\":%lld,\"requests_saved\":%llu,\"limits\":",
               c->o.discovers && c->o.processes ? "run"
               : c->o.discovers                 ? "discover"
                                                : "process",
               c->started_s, c->rounds, c->rounds_failed, c->found, c->published, c->visits,
               c->failed, c->bytes, c->records, jobs_waiting(c->jobs), c->active,
               c->ramp < c->n_workers ? c->ramp : c->n_workers, c->last_round_s, c->last_record_s,
               c->saved);
    limits_write(c->limits, out);
    buf_put_byte(out, '}');
}

static enum err beat(struct collector *c, const char *state)
{
    struct state_item set = {0};
    struct buf status;
    buf_init(&status, STATE_TEXT_MAX);
    collector_write(c, &status);
    state_set_text(&set, "status", str_c(state));
    state_set_text(&set, "report", buf_str(&status));
    state_set_int(&set, "updated_at", now_s());
    state_set_int(&set, "expires_at", now_s() + PROCESS_DAYS * 86400);
    enum err err = state_note(c->state, STATE_PROCESSES,
                              (struct state_key){str_c(c->owner), STR("")}, &set, NULL, 0);
    buf_release(&status);
    return err;
}

/* Whoever has started it is told, but may have other things to do. */
static void end_by_itself(struct collector *c)
{
    c->ordered = true;
    c->stopping = true;
    jobs_end(c->jobs);
}

/* Orders stand in the item "orders" of the same table: what is newer than us, and than what we have
 * obeyed. */
static enum err obey(struct collector *c)
{
    struct arena a;
    arena_init(&a, 0, NULL);
    struct state_item *i = ARENA_NEW(&a, struct state_item);
    enum err err = state_get(c->state, STATE_PROCESSES, STATE_ORDERS, &a, i);
    int64_t stop = state_int(i, "stop_at"), reset = state_int(i, "reset_at");
    if (err == OK && stop >= c->started_s && !c->ordered) {
        log_info("stopping: ordered to", NULL);
        end_by_itself(c);
    }
    if (err == OK && state_is_too_new(i) && !c->ordered) {
        log_error("stopping: the state belongs to a newer Weir now", NULL);
        end_by_itself(c);
    }
    if (err == OK && reset > c->orders_s) {
        c->orders_s = reset;
        unsigned n = limits_reset(c->limits, state_text(i, "reset_breaker"));
        log_info("circuit breakers were reset", "count=%u", n);
    }
    if (err == OK && state_int(i, "ramp_s") > 0 && state_int(i, "ramp_at") > 0) {
        int64_t passed = now_s() - state_int(i, "ramp_at"), whole = state_int(i, "ramp_s");
        c->ramp =
            passed >= whole ? UINT32_MAX : 1 + (unsigned)(passed * (c->n_workers - 1) / whole);
    }
    arena_release(&a);
    return err == ERR_NOTFOUND ? OK : err;
}

static void *beater_main(void *arg)
{
    struct collector *c = arg;
    while (!c->stopping) {
        int64_t began = clock_mono_ns();
        enum err err = beat(c, "running");
        if (err == OK)
            err = obey(c);
        warn_if(err, "the state does not answer");
        int64_t half = c->o.lease_s * NS_PER_S / 2;
        sleep_until(c, began + (half < BEAT_S * NS_PER_S ? half : BEAT_S * NS_PER_S));
    }
    return NULL;
}

/* ---- life ---- */

static enum err worker_open(struct collector *c, struct worker *w, unsigned number)
{
    struct visitor *v = &w->v;
    w->c = c;
    snprintf(w->owner, sizeof(w->owner), "%s/%u", c->owner, number);
    v->deliver = (struct deliver){.state = c->state, .stopping = &c->stopping};
    v->owner = w->owner;
    v->lease_s = c->o.lease_s;
    v->rows_max = c->o.batch_rows;
    v->keep = c->o.keep;
    v->time_zone = str_c(c->o.time_zone ? c->o.time_zone : "");
    unit_init(&v->unit, c->o.stages);
    c->n_workers++;
    for (unsigned i = 0; i < c->o.n_outputs; i++) {
        TRY(output_open(c->o.output_types, str_c(c->o.output[i]), &v->deliver.output[i]));
        v->deliver.n_outputs++;
    }
    if (c->o.sink)
        v->deliver.output[v->deliver.n_outputs++] = output_into(c->o.sink);
    return aws_client_new(rds_source_service(c->source), &v->client);
}

static void worker_close(struct worker *w)
{
    for (unsigned i = 0; i < w->v.deliver.n_outputs; i++)
        output_close(w->v.deliver.output[i]);
    aws_client_free(w->v.client);
    unit_release(&w->v.unit);
}

static void make_metrics(struct collector *c)
{
    c->m_records = metric_counter("weir_aurora_records_total", NULL,
                                  "Log records that are durable downstream.");
    c->m_bytes = metric_counter("weir_aurora_bytes_total", NULL, "Bytes of log files taken.");
    c->m_visits = metric_counter("weir_aurora_visits_total", NULL, "Visits to log files.");
    c->m_failures = metric_counter("weir_aurora_failures_total", NULL, "Visits that failed.");
    c->m_rounds = metric_counter("weir_aurora_rounds_total", NULL, "Discovery rounds.");
    c->m_published =
        metric_counter("weir_aurora_published_total", NULL, "File versions published.");
    c->m_saved = metric_counter("weir_aurora_cache_hits_total", NULL,
                                "RDS requests that the cache answered.");
    c->m_visit_seconds =
        metric_histogram("weir_aurora_visit_seconds", NULL, "Time of a visit to a log file.");
    c->m_round_seconds =
        metric_histogram("weir_aurora_round_seconds", NULL, "Time of a discovery round.");
}

static char *make_labels(const char *input)
{
    struct buf labels;
    if (!input)
        return NULL;
    buf_init(&labels, 1024);
    metric_label(&labels, "input", str_c(input));
    char *text = mem_strdup(buf_str(&labels));
    buf_release(&labels);
    return text;
}

static double waiting_now(void *ctx)
{
    return (double)jobs_waiting(((struct collector *)ctx)->jobs);
}

static double lag_now(void *ctx)
{
    int64_t oldest = jobs_oldest_ms(((struct collector *)ctx)->jobs);
    return oldest ? (double)(clock_now_ns() / NS_PER_MS - oldest) / 1000 : 0;
}

static double round_age(void *ctx)
{
    struct collector *c = ctx;
    return c->last_round_s ? (double)(now_s() - c->last_round_s) : 0;
}

static void set_gauges(struct collector *c, bool on)
{
    metric_gauge_fn("weir_aurora_waiting_files", c->labels, "Log files that wait to be read.",
                    on ? waiting_now : NULL, c);
    metric_gauge_fn("weir_aurora_lag_seconds", c->labels,
                    "Since the file that has waited longest was written to.", on ? lag_now : NULL,
                    c);
    metric_gauge_fn("weir_aurora_last_round_age_seconds", c->labels,
                    "Since the last discovery round that succeeded.", on ? round_age : NULL, c);
}

static enum err open_parts(struct collector *c)
{
    struct aws_credentials_options k = {.profile = c->o.profile, .region = c->o.region};
    struct limits_options l = {.rate = c->o.rate,
                               .failures_max = c->o.failures_max,
                               .open_ns = c->o.open_ns,
                               .labels = c->labels,
                               .stopping = &c->stopping};
    TRY(aws_credentials_new(&k, &c->credentials));
    TRY(state_open(str_c(c->o.state), c->credentials, &c->state));
    enum err joined = state_join(c->state);
    if (joined == ERR_INVALID)
        return joined;
    warn_if(joined, "the state does not answer"); /* it may later, and is then asked again */
    TRY(cache_open(str_c(c->o.cache), &c->cache));
    c->limits = limits_new(&l);
    TRY(rds_source_new(c->credentials, c->limits, &c->stopping, &c->source));
    if (c->o.queue)
        TRY(topics_open(str_c(c->o.queue), c->o.discovers, c->o.processes, c->labels, &c->topics));
    if (!c->o.discovers)
        return OK;
    TRY(aws_client_new(rds_source_service(c->source), &c->client));
    struct discover_options d = {.state = c->state,
                                 .cache = c->cache,
                                 .client = c->client,
                                 .engine = c->o.engine,
                                 .tag = c->o.tag,
                                 .name = c->o.name,
                                 .keep = c->o.keep,
                                 .batch = c->o.batch_found,
                                 .poll_ns = c->o.poll_ns,
                                 .touch_s = c->o.touch_s,
                                 .stopping = &c->stopping,
                                 .ctx = c,
                                 .publish = on_published,
                                 .must_expire = c->topics != NULL};
    c->discover = discover_new(&d);
    return OK;
}

static enum err start_threads(struct collector *c)
{
    char name[16];
    if (c->o.processes)
        for (unsigned i = 0; i < c->o.concurrency; i++)
            TRY(worker_open(c, &c->worker[i], i));
    for (unsigned i = 0; i < c->n_workers; i++) {
        snprintf(name, sizeof(name), "aurora-%hu", (unsigned short)i);
        TRY(thread_start(&c->worker[i].thread, name, worker_main, &c->worker[i]));
        c->worker[i].started = true;
    }
    if (c->topics && c->o.processes)
        TRY(topics_start(c->topics, c->jobs, &c->stopping));
    TRY(thread_start(&c->finder, "aurora-find", finder_main, c));
    c->finder_started = true;
    TRY(thread_start(&c->beater, "aurora-beat", beater_main, c));
    c->beater_started = true;
    return OK;
}

enum err collector_start(const struct collector_options *o, struct collector **ret)
{
    struct collector *c = NEW(struct collector);
    c->o = *o;
    c->ramp = UINT32_MAX;
    c->started_s = c->orders_s = now_s();
    c->jobs = jobs_new();
    strand_owner_make(c->owner);
    c->labels = make_labels(o->input);
    make_metrics(c);
    set_gauges(c, true);
    enum err err = open_parts(c);
    if (err == OK)
        err = start_threads(c);
    if (err != OK) {
        char why[256];
        snprintf(why, sizeof(why), "%s", err_text());
        collector_stop(c);
        return err_set(err, "%s", why);
    }
    *ret = c;
    return OK;
}

bool collector_is_idle(struct collector *c)
{
    return c->rounds > 0 && !jobs_waiting(c->jobs) && !c->active &&
           (!c->topics || !c->o.processes || topics_are_idle(c->topics));
}

bool collector_is_ordered_to_stop(struct collector *c)
{
    return c->ordered;
}

/* `weir aurora stop` takes an earlier `resume` back, so that what stands there came behind it. */
enum err collector_may_go_on(const struct collector_options *o, bool *ret)
{
    struct aws_credentials_options k = {.profile = o->profile, .region = o->region};
    struct aws_credentials *credentials;
    struct state *s = NULL;
    struct arena a;
    TRY(aws_credentials_new(&k, &credentials));
    arena_init(&a, 0, NULL);
    struct state_item *orders = ARENA_NEW(&a, struct state_item);
    enum err err = state_open(str_c(o->state), credentials, &s);
    if (err == OK)
        err = state_get(s, STATE_PROCESSES, STATE_ORDERS, &a, orders);
    *ret = err == OK && state_int(orders, "ramp_at") > 0;
    state_close(s);
    arena_release(&a);
    aws_credentials_free(credentials);
    return err == ERR_NOTFOUND ? OK : err;
}

void collector_counts(const struct collector *c, struct collector_counts *ret)
{
    *ret = (struct collector_counts){c->records, c->bytes, c->failed, jobs_waiting(c->jobs)};
}

bool collector_is_ready(struct collector *c)
{
    return c->ready;
}

static void give_back(void *ctx, struct job_token *token)
{
    topics_settle(((struct collector *)ctx)->topics, token);
}

void collector_stop(struct collector *c)
{
    if (!c)
        return;
    c->stopping = true;
    jobs_end(c->jobs);
    if (c->finder_started)
        pthread_join(c->finder, NULL);
    for (unsigned i = 0; i < c->n_workers; i++)
        if (c->worker[i].started)
            pthread_join(c->worker[i].thread, NULL);
    if (c->beater_started) {
        pthread_join(c->beater, NULL);
        warn_if(beat(c, "stopped"), "the end could not be noted");
    }
    topics_stop(c->topics);
    set_gauges(c, false);
    for (unsigned i = 0; i < c->n_workers; i++)
        worker_close(&c->worker[i]);
    discover_free(c->discover);
    aws_client_free(c->client);
    rds_source_free(c->source);
    jobs_free(c->jobs, give_back, c); /* what is undone was not committed: it comes again */
    topics_close(c->topics);
    limits_free(c->limits);
    cache_close(c->cache);
    state_close(c->state);
    aws_credentials_free(c->credentials);
    mem_free(c->labels);
    mem_free(c);
}
