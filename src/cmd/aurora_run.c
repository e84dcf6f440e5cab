/* weir aurora run, discover, process: the collector at work; init: its tables. */
#include "aurora/collector.h"
#include "cmd/aurora.h"
#include "cmd/aurora_state.h"
#include "core/clock.h"
#include "core/fault.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/metrics.h"
#include "core/process.h"
#include "net/http_server.h"
#include "output/outputs.h"
#include "pipeline/log_output.h"

#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>

enum { CONNECTIONS_MAX = 64, BODY_MAX = 64 << 10 };

#define COMMON_OPTIONS                                                                             \
    AURORA_STATE_OPTIONS,                                                                          \
        {"region", 0, "NAME", "The AWS region ($AWS_REGION, or the profile's)."},                  \
        {"profile", 0, "NAME", "The AWS profile ($AWS_PROFILE, or default)."},                     \
        {"listen", 'l', "HOST:PORT", "Where /healthz, /readyz and /metrics are answered (none)."}, \
        {"queue", 'q', "URL",                                                                      \
         "Kafka between discover and process: kafka://HOST:PORT (the state is the queue)."},       \
        {"logs", 0, "KINDS", "Which logs: slow, error, general, audit (slow,error)."},             \
        {"log-level", 0, "LEVEL", "debug, info, warn or error (info)."},                           \
        {"log-output", 0, "URL",                                                                   \
         "Where its own log lines go too, as an --output: otlp://HOST:4318 (stderr alone)."},      \
    {                                                                                              \
        "once", 0, NULL, "Ends when all that is there has been done."                              \
    }
#define DISCOVER_OPTIONS                                                                           \
    {"engine", 'e', "NAME", "Instances of that engine (aurora-mysql, mysql and mariadb)."},        \
        {"tag", 't', "KEY[=VALUE]", "Instances with that tag (any)."},                             \
        {"name", 'n', "GLOB", "Instances of that name (any)."},                                    \
        {"poll", 0, "TIME", "Between two rounds of discovery (5m)."},                              \
    {                                                                                              \
        "cache", 0, "URL", "Answers of RDS: memory:, redis://, valkey:// or none: (memory:)."      \
    }
#define PROCESS_OPTIONS                                                                            \
    {"output", 'o', "URL", "Where records go, as of weir agent; may be given often.",              \
     .many = true},                                                                                \
        {"transforms", 0, "FILE",                                                                  \
         "YAML with transforms that records go through, as those of weir agent (none)."},          \
    {                                                                                              \
        "time-zone", 'z', "ZONE",                                                                  \
            "Of times that name none, where an instance has no tag "                               \
            "time_zone (UTC)."                                                                     \
    }

#define ENVIRONMENT                                                                                \
    "\nFrom the environment, as it is spelled here or with WEIR_ before it:\n"                     \
    "  RDS_API_RATE_LIMIT             requests to RDS a second (10)\n"                             \
    "  MAX_CONCURRENCY                files read at a time (4)\n"                                  \
    "  BATCH_SIZE                     records sent at a time, about (10000)\n"                     \
    "  DISCOVERY_BATCH_SIZE           instances whose files are listed before they are published " \
    "(50)\n"                                                                                       \
    "  CIRCUIT_BREAKER_MAX_FAILURES   failures in a row that open a circuit breaker (5)\n"         \
    "  CIRCUIT_BREAKER_TIMEOUT_SEC    until an open one lets a request through (30)\n"             \
    "AWS keys are found as by AWS's own tools; AWS_ENDPOINT_URL_RDS and the like are honoured."

static const struct option_def run_options[] = {
    COMMON_OPTIONS, DISCOVER_OPTIONS, PROCESS_OPTIONS, {0}};
static const struct option_def discover_options[] = {COMMON_OPTIONS, DISCOVER_OPTIONS, {0}};
static const struct option_def process_options[] = {COMMON_OPTIONS, PROCESS_OPTIONS, {0}};

const struct command aurora_run_command = {
    .name = "aurora run",
    .summary = "Collects the logs of a fleet of RDS and Aurora instances",
    .usage = "--output URL [options]",
    .text =
        "Finds the instances and their log files by the RDS API, reads what is new in them, and\n"
        "sends the records, each once, whatever crashes. discover and process in one.\n\n"
        "  weir aurora run --output http://127.0.0.1:5080\n"
        "  weir aurora run --tag team=shop --poll 1m --output http://logs:5080 --state "
        "dynamodb:\n" ENVIRONMENT,
    .options = run_options,
};
const struct command aurora_discover_command = {
    .name = "aurora discover",
    .summary = "Finds new log files and publishes them; any number may run",
    .usage = "[options]",
    .text = "Finds the instances and what is new in their log files, for weir aurora "
            "process.\n" ENVIRONMENT,
    .options = discover_options,
};
const struct command aurora_process_command = {
    .name = "aurora process",
    .summary = "Reads the log files that discover has found; any number may run",
    .usage = "--output URL [options]",
    .text = "Reads the log files that weir aurora discover has found, and sends their "
            "records.\n" ENVIRONMENT,
    .options = process_options,
};

/* ---- the HTTP face ---- */

static struct collector *serving;

static void on_health(void *ctx, struct http_request *r)
{
    http_reply(r, 200, "application/json", STR("{\"status\":\"ok\"}\n"));
}

static void on_ready(void *ctx, struct http_request *r)
{
    if (collector_is_ready(serving))
        http_reply(r, 200, "application/json", STR("{\"status\":\"ready\"}\n"));
    else
        http_error(r, 503, "no round has succeeded yet");
}

static void on_metrics(void *ctx, struct http_request *r)
{
    struct buf out;
    buf_init(&out, SIZE_MAX);
    metrics_write(&out);
    http_reply(r, 200, "text/plain; version=0.0.4; charset=utf-8", buf_str(&out));
    buf_release(&out);
}

static void on_status(void *ctx, struct http_request *r)
{
    struct buf out;
    buf_init(&out, SIZE_MAX);
    collector_write(serving, &out);
    buf_put_byte(&out, '\n');
    http_reply(r, 200, "application/json", buf_str(&out));
    buf_release(&out);
}

static const struct http_route routes[] = {
    {"GET", "/healthz", HTTP_FAST, true, on_health, NULL},
    {"GET", "/readyz", HTTP_FAST, true, on_ready, NULL},
    {"GET", "/metrics", HTTP_FAST, true, on_metrics, NULL},
    {"GET", "/status", HTTP_FAST, true, on_status, NULL},
    {0},
};

static enum err listen_at(const char *address, struct http_server **ret)
{
    struct http_server_options o = {.listen = address,
                                    .body_max = BODY_MAX,
                                    .connections_max = CONNECTIONS_MAX,
                                    .threads = 1,
                                    .workers = {1, 1, 1},
                                    .routes = routes};
    TRY(http_server_start(&o, ret));
    log_info("listening", "address=%s", http_server_address(*ret));
    return OK;
}

/* ---- options ---- */

static enum err set_level(const char *text)
{
    static const char *const levels[] = {"debug", "info", "warn", "error"};
    for (int i = 0; text && i < 4; i++)
        if (!strcmp(text, levels[i])) {
            log_set_level((enum log_level)i);
            return OK;
        }
    return text ? err_set(ERR_INVALID, "--log-level %s: debug, info, warn or error is wanted", text)
                : OK;
}

static bool has(const struct options *o, const char *name)
{
    for (const struct option_def *d = o->command->options; d->name; d++)
        if (!strcmp(d->name, name))
            return options_has(o, name);
    return false;
}

static const char *value_of(const struct options *o, const char *name)
{
    return has(o, name) ? options_value(o, name) : NULL;
}

/* The file's list, whose texts live in the arena. */
static enum err read_transforms(const char *path, struct arena *a, struct stages **ret)
{
    static const char *const known[] = {"transforms", NULL};
    struct tree t;
    TRY(tree_read_file(path, a, &t));
    if (!tree_get(&t, "transforms"))
        return err_set(ERR_INVALID, "%s: transforms: [...] is wanted", path);
    TRY(tree_check_keys(&t, known));
    return stages_new(tree_get(&t, "transforms"), ret);
}

static enum err read_options(const struct options *o, struct arena *a, struct collector_options *c)
{
    const char *poll = value_of(o, "poll"), *cache = value_of(o, "cache"), *output;
    const char *transforms = value_of(o, "transforms"), *logs = options_value(o, "logs");
    TRY(set_level(options_value(o, "log-level")));
    TRY(collector_options_env(c));
    TRY(collector_read_kinds(str_c(logs ? logs : "slow,error"), &c->keep));
    c->state = aurora_state_url(o);
    c->queue = options_value(o, "queue");
    c->cache = cache ? cache : "memory:";
    c->region = options_value(o, "region");
    c->profile = options_value(o, "profile");
    c->engine = value_of(o, "engine");
    c->tag = value_of(o, "tag");
    c->name = value_of(o, "name");
    c->time_zone = value_of(o, "time-zone");
    c->once = options_has(o, "once");
    c->poll_ns = 5 * 60 * NS_PER_S;
    if (poll && (!str_to_duration_ns(str_c(poll), &c->poll_ns) || c->poll_ns < NS_PER_S / 10))
        return err_set(ERR_INVALID, "--poll %s: a time such as 5m is wanted", poll);
    if (transforms)
        TRY(read_transforms(transforms, a, &c->stages));
    c->output_types = output_types;
    for (unsigned i = 0; has(o, "output") && (output = options_value_at(o, "output", i)); i++) {
        if (i == COLLECTOR_OUTPUTS_MAX)
            return err_set(ERR_LIMIT, "more than %d outputs", COLLECTOR_OUTPUTS_MAX);
        c->output[c->n_outputs++] = output;
    }
    if (c->processes && !c->n_outputs)
        return err_set(ERR_INVALID, "--output is wanted, such as http://127.0.0.1:5080");
    return OK;
}

/* ---- life ---- */

static void wait_for_end(struct collector *c, bool once)
{
    const struct timespec tick = {.tv_nsec = 100 * NS_PER_MS};
    int64_t trimmed = clock_mono_ns();
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    while (sigtimedwait(&set, NULL, &tick) < 0) {
        if (errno != EAGAIN)
            continue;
        if (collector_is_ordered_to_stop(c) || (once && collector_is_idle(c)))
            break;
        if (clock_mono_ns() - trimmed > 10 * NS_PER_S) {
            trimmed = clock_mono_ns();
            malloc_trim(0);
        }
    }
    log_info("stopping", NULL);
}

static enum err collect(const struct options *o, const struct collector_options *options)
{
    const char *listen = options_value(o, "listen");
    struct collector *c;
    struct http_server *http = NULL;
    TRY(fault_from_env());
    TRY(collector_start(options, &c));
    serving = c;
    process_register_metrics();
    enum err err = listen ? listen_at(listen, &http) : OK;
    if (err == OK)
        wait_for_end(c, options->once);
    char why[256];
    snprintf(why, sizeof(why), "%s", err_text());
    if (http)
        http_server_stop(http, 1000);
    collector_stop(c);
    return err == OK ? OK : err_set(err, "%s", why);
}

static enum err serve(const struct options *o, const struct collector_options *options)
{
    const char *url = options_value(o, "log-output");
    struct log_output *log = NULL;
    if (url)
        TRY(log_output_open(output_types, url, "weir-aurora", &log));
    enum err err = collect(o, options);
    char why[256];
    snprintf(why, sizeof(why), "%s", err_text());
    log_output_close(log);
    return err == OK ? OK : err_set(err, "%s", why);
}

static int run(const struct command *command, bool discovers, bool processes, int argc, char **argv)
{
    struct options o;
    struct collector_options c = {.discovers = discovers, .processes = processes};
    struct arena arena;
    sigset_t set;
    int status = options_parse(&o, command, argc, argv);
    if (status >= 0)
        return status;
    log_set_capitals(true); /* the runbooks' words */
    /* Threads come and go with buffers of a megabyte: few arenas, and pages go back. */
    mallopt(M_ARENA_MAX, 4);
    mallopt(M_TRIM_THRESHOLD, 4 << 20);
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    arena_init(&arena, 0, NULL);
    enum err err = read_options(&o, &arena, &c);
    if (err == OK)
        err = serve(&o, &c);
    if (err != OK)
        options_fail(command, "%s", err_text());
    stages_free(c.stages);
    arena_release(&arena);
    return err == OK ? 0 : err == ERR_INVALID || err == ERR_LIMIT ? 2 : 1;
}

int aurora_run(int argc, char **argv)
{
    return run(&aurora_run_command, true, true, argc, argv);
}

int aurora_discover(int argc, char **argv)
{
    return run(&aurora_discover_command, true, false, argc, argv);
}

int aurora_process(int argc, char **argv)
{
    return run(&aurora_process_command, false, true, argc, argv);
}
