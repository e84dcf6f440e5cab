/* weir agent: follows files and carries their lines to where they shall go. weir agent status: how
 * far that is, read from the agent's folder, whether it runs or not.
 *
 * The folder:
 *   positions       how far each file is read (input/tail_positions.h)
 *   queue/          the spool (pipeline/spool.h)
 *   routes/NAME     how far each output has come (pipeline/route.h)
 *   dead/NAME.ndjson  what an output refused for good
 *
 * Order of the start: the spool is opened, whose lock makes this the only agent of the folder; the
 * routes and the positions say from where they need it; it is replayed; then routes and files
 * begin. The stop goes the other way. */
#include "cmd/agent.h"

#include "cmd/commands.h"
#include "cmd/options.h"
#include "core/clock.h"
#include "core/fault.h"
#include "core/io.h"
#include "core/log.h"
#include "core/mem.h"
#include "input/tail.h"
#include "output/outputs.h"
#include "pipeline/ingest.h"
#include "pipeline/pipeline.h"

#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

enum { STOP_MS = 5000 };
#define ONCE_NS (1500 * NS_PER_MS) /* longer than a group of lines waits for more */
#define SPOOL_DEFAULT "1GiB"
#define LINE_DEFAULT "1MiB"

static const struct option_def option_defs[] = {
    {"file", 'f', "GLOB", "Files to follow; *, ?, [...], ** and <service>; may be given often.",
     .many = true},
    {"output", 'o', "URL",
     "http://HOST:PORT (Weir), opensearch://HOST:PORT/INDEX, file:///FILE, stdout://; often.",
     .many = true},
    {"config", 'c', "FILE", "All of it, and transforms and routes, as YAML; see weir pipeline."},
    {"data", 'd', "DIR", "The agent's folder: positions and spool (./weir-agent)."},
    {"stream", 's', "NAME", "The stream of the records (default)."},
    {"service", 0, "NAME", "Their service, where the path captures none (the file's name)."},
    {"host", 0, "NAME", "Their host (this machine's name)."},
    {"multiline", 'm', "KIND",
     "java, python, go, dotnet, mysql, begins:REGEX, continues:REGEX: lines that are one record."},
    {"encoding", 0, "NAME", "Of the files, such as latin1 or utf-16le (utf-8)."},
    {"text", 0, NULL, "Lines are text, even where they look like JSON."},
    {"line-max", 0, "BYTES", "Longer lines are cut into pieces of it (" LINE_DEFAULT ")."},
    {"spool", 0, "BYTES",
     "Largest spool while an output is away, at least 16MiB (" SPOOL_DEFAULT ")."},
    {"once", 0, NULL, "Ends when all that is there has been sent."},
    {"json", 'j', NULL, "status: as JSON."},
    {"log-level", 0, "LEVEL", "debug, info, warn or error (info)."},
    {0},
};
const struct command agent_command = {
    .name = "agent",
    .summary = "Follows files and sends their lines to a server, each once",
    .usage = "[options] | status --data DIR",
    .text = "Follows files through rotation, truncation and restarts, and sends their lines to a "
            "server.\n"
            "Each line arrives once: while the server is away lines wait in the spool, and what "
            "is sent again\n"
            "is recognised there. A record has message, host, file and service; a line that is a "
            "JSON object\n"
            "is that record.\n\n"
            "  weir agent --file '/var/log/*.log' --output http://127.0.0.1:5080 --data "
            "/var/lib/weir-agent\n"
            "  weir agent --file '/var/log/<service>/*.log' --output http://logs:5080 --multiline "
            "java\n"
            "  weir agent status --data /var/lib/weir-agent",
    .options = option_defs,
    .args_max = 1,
};

struct agent {
    const struct options *o;
    const char *data;
    struct spool *spool;
    struct tail *tail;
    struct multiline *multiline;
    struct route *route[PIPELINE_ROUTES_MAX];
    unsigned n_routes, hold;
    char host[256];
    struct pipeline p;
    char *positions;
};

/* ---- options ---- */

static enum err set_level(const struct options *o)
{
    static const char *const levels[] = {"debug", "info", "warn", "error"};
    const char *text = options_value(o, "log-level");
    if (!text)
        return OK;
    for (int i = 0; i < 4; i++)
        if (!strcmp(text, levels[i])) {
            log_set_level((enum log_level)i);
            return OK;
        }
    return err_set(ERR_INVALID, "--log-level %s: debug, info, warn or error is wanted", text);
}

/* The file first; what the command line says comes after it. */
static enum err read_pipeline(struct agent *a)
{
    const struct {
        const char *name, **to;
    } texts[] = {
        {"stream", &a->p.stream},       {"service", &a->p.service},   {"host", &a->p.host},
        {"multiline", &a->p.multiline}, {"encoding", &a->p.encoding}, {"line-max", &a->p.line_max},
        {"spool", &a->p.spool},
    };
    const char *value = options_value(a->o, "config");
    if (value)
        TRY(pipeline_load(&a->p, value));
    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
        if ((value = options_value(a->o, texts[i].name)))
            *texts[i].to = value;
    a->p.text = a->p.text || options_has(a->o, "text");
    for (unsigned i = 0; (value = options_value_at(a->o, "file", i)); i++)
        TRY(pipeline_add_file(&a->p, value));
    for (unsigned i = 0; (value = options_value_at(a->o, "output", i)); i++)
        TRY(pipeline_add_route(&a->p, value));
    if (!a->p.n_files || !a->p.n_routes)
        return err_set(ERR_INVALID, "--file and --output are wanted, or a --config with both");
    return OK;
}

static enum err open_route(struct agent *a, const struct pipeline_route *p)
{
    struct output *output;
    TRY(output_open(output_types, str_c(p->output), &output));
    struct route_options o = {.name = p->name,
                              .dir = a->data,
                              .spool = a->spool,
                              .output = output,
                              .gather = output->type->gather,
                              .retry_min_ns = 200 * NS_PER_MS,
                              .retry_max_ns = 30 * NS_PER_S,
                              .where = p->filter,
                              .chain = p->chain};
    enum err err = route_open(&o, &a->route[a->n_routes]);
    if (err != OK)
        output_close(output);
    else
        a->n_routes++;
    return err;
}

static enum err read_size(const char *name, const char *text, const char *def, uint64_t min,
                          uint64_t max, uint64_t *ret)
{
    if (!str_to_bytes(str_c(text ? text : def), ret) || *ret < min || *ret > max)
        return err_set(ERR_INVALID, "%s %s: a size from %llu to %llu bytes is wanted", name, text,
                       (unsigned long long)min, (unsigned long long)max);
    return OK;
}

static enum err open_tail(struct agent *a)
{
    const struct pipeline *p = &a->p;
    const char *stream = p->stream ? p->stream : "default";
    uint64_t line_max;
    TRY(read_size("line-max", p->line_max, LINE_DEFAULT, 1024, 8 << 20, &line_max));
    TRY(ingest_check_stream(str_c(stream)));
    if (p->multiline)
        TRY(multiline_new(str_c(p->multiline), &a->multiline));
    if (gethostname(a->host, sizeof(a->host) - 1) != 0)
        snprintf(a->host, sizeof(a->host), "localhost");
    a->positions = mem_printf("%s/positions", a->data);
    struct tail_options o = {.pattern = p->file,
                             .positions = a->positions,
                             .stream = str_c(stream),
                             .host = str_c(p->host ? p->host : a->host),
                             .service = str_c(p->service ? p->service : ""),
                             .text = p->text,
                             .line_max = line_max,
                             .encoding = p->encoding,
                             .multiline = a->multiline,
                             .chain = p->chain,
                             .poll_ns = NS_PER_S};
    return tail_new(&o, &a->tail);
}

/* ---- start and stop ---- */

static void on_note(void *ctx, struct str note, uint64_t position)
{
    tail_note(((struct agent *)ctx)->tail, note);
}

static void on_appended(void *ctx)
{
    struct agent *a = ctx;
    for (unsigned i = 0; i < a->n_routes; i++)
        route_wake(a->route[i]);
}

static enum err start(struct agent *a)
{
    uint64_t spool_max;
    TRY(fault_from_env());
    TRY(set_level(a->o));
    TRY(read_pipeline(a));
    TRY(read_size("spool", a->p.spool, SPOOL_DEFAULT, 16 << 20, 1ULL << 50, &spool_max));
    TRY(io_mkdir(a->data));
    TRY(open_tail(a));
    struct spool_options s = {.dir = a->data,
                              .bytes_max = spool_max,
                              .sync = true,
                              .ctx = a,
                              .note = on_note,
                              .appended = on_appended};
    TRY(spool_open(&s, &a->spool));
    for (unsigned i = 0; i < a->p.n_routes; i++)
        TRY(open_route(a, &a->p.route[i]));
    uint64_t notes_from = tail_notes_from(a->tail, spool_epoch(a->spool));
    a->hold = spool_hold(a->spool, notes_from);
    TRY(spool_start(a->spool, notes_from));
    for (unsigned i = 0; i < a->n_routes; i++)
        TRY(route_start(a->route[i]));
    return tail_start(a->tail, a->spool, a->hold);
}

static void stop(struct agent *a)
{
    if (a->tail)
        tail_stop(a->tail);
    for (unsigned i = 0; i < a->n_routes; i++)
        route_stop(a->route[i], STOP_MS);
    for (unsigned i = 0; i < a->n_routes; i++)
        route_free(a->route[i]);
    tail_free(a->tail);
    spool_close(a->spool);
    multiline_free(a->multiline);
    pipeline_release(&a->p);
    mem_free(a->positions);
}

/* Nothing is left to read or to send. */
static bool all_sent(struct agent *a)
{
    struct tail_status t;
    tail_status(a->tail, &t);
    if (!t.idle_since_ns || t.blocked || clock_mono_ns() - t.idle_since_ns < ONCE_NS)
        return false;
    for (unsigned i = 0; i < a->n_routes; i++) {
        struct route_stats s;
        route_stats(a->route[i], &s);
        if (s.waiting)
            return false;
    }
    return true;
}

static void wait_for_signal(struct agent *a)
{
    bool once = options_has(a->o, "once");
    const struct timespec tick = {.tv_sec = once ? 0 : 10, .tv_nsec = once ? 50 * NS_PER_MS : 0};
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    while (sigtimedwait(&set, NULL, &tick) < 0) {
        if (errno != EAGAIN)
            continue;
        malloc_trim(0);
        if (once && all_sent(a))
            return;
    }
    log_info("stopping", NULL);
}

static int run(struct options *o)
{
    const char *data = options_value(o, "data");
    struct agent a = {.o = o, .data = data ? data : "./weir-agent"};
    sigset_t set;
    pipeline_init(&a.p);
    /* Small buffers that come and go: pages go back, and few arenas hold them. */
    mallopt(M_ARENA_MAX, 2);
    mallopt(M_TRIM_THRESHOLD, 4 << 20);
    mallopt(M_MMAP_THRESHOLD, 8 << 20);
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    signal(SIGHUP, SIG_IGN);
    enum err err = start(&a);
    if (err == OK)
        wait_for_signal(&a);
    else
        options_fail(&agent_command, "%s", err_text());
    stop(&a);
    return err == OK ? 0 : err == ERR_INVALID || err == ERR_LIMIT ? 2 : 1;
}

int cmd_agent(int argc, char **argv)
{
    struct options o;
    int status = options_parse(&o, &agent_command, argc, argv);
    if (status >= 0)
        return status;
    if (o.n_args && !strcmp(o.arg[0], "status"))
        return agent_status(&agent_command, &o);
    if (o.n_args)
        return options_fail(&agent_command,
                            "what is \"%s\"? weir agent status is all that takes a word", o.arg[0]);
    return run(&o);
}
