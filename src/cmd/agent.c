/* weir agent: carries records from files and other inputs to where they shall go. weir agent
 * status: how far that is, read from the agent's folder, whether it runs or not.
 *
 * The folder is the main pipeline's (flow.h, flows.h); each named pipeline has one of its own in
 * pipelines/NAME. SIGHUP reads the configuration again. */
#include "cmd/agent.h"

#include "api/api.h"
#include "cmd/commands.h"
#include "cmd/flows.h"
#include "cmd/options.h"
#include "cmd/settings.h"
#include "core/clock.h"
#include "core/fault.h"
#include "core/log.h"

#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>

enum { STOP_MS = 5000, RECORD_BYTES = 8 << 20, NESTING = 128, BODY_BYTES = 64 << 20 };
enum { CONNECTIONS_MAX = 4096, TRIM_TICKS = 10 };

static const struct option_def option_defs[] = {
    {"file", 'f', "GLOB", "Files to follow; *, ?, [...], ** and <service>; may be given often.",
     .many = true},
    {"input", 'i', "URL",
     "Another input, such as kubernetes://, docker://, journald:// or forward://127.0.0.1:24224; "
     "may be given often.",
     .many = true},
    {"stdin", 0, NULL, "Standard input's lines; alone, the agent ends when they are sent."},
    {"output", 'o', "URL",
     "Where to: http://HOST:PORT (Weir), opensearch://HOST/INDEX, forward://HOST, stdout:// and "
     "others; often.",
     .many = true},
    {"config", 'c', "FILE", "All of it, and transforms and routes, as YAML; see weir pipeline."},
    {"listen", 'l', "HOST:PORT",
     "An HTTP server that takes records (as weir server does) and tells of the agent."},
    {"data", 'd', "DIR", "The agent's folder: positions and spool (./weir-agent)."},
    {"stream", 's', "NAME", "The stream of the records (default)."},
    {"service", 0, "NAME", "Their service, where the path captures none (the file's name)."},
    {"host", 0, "NAME", "Their host (this machine's name)."},
    {"multiline", 'm', "KIND",
     "java, python, go, dotnet, mysql, mysql_error, begins:REGEX, continues:REGEX: lines that are "
     "one record."},
    {"encoding", 0, "NAME", "Of the files, such as latin1 or utf-16le (utf-8)."},
    {"text", 0, NULL, "Lines are text, even where they look like JSON."},
    {"line-max", 0, "BYTES", "Longer lines are cut into pieces of it (1MiB)."},
    {"spool", 0, "BYTES", "Largest spool while an output is away, at least 16MiB (1GiB)."},
    {"watch", 0, "HOW",
     "events: the system tells of new lines and files; poll: it is not asked, but looked every "
     "second (events)."},
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
    struct flows *flows;
    struct conf *conf; /* of the HTTP server */
    struct auth_root root;
    struct api api;
    struct http_server *http;
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

/* What the command line says of the main pipeline comes after the file. */
static enum err add_options(const struct options *o, struct pipelines *set)
{
    struct pipeline *p = set->list[0];
    const struct {
        const char *name, **to;
    } texts[] = {
        {"stream", &p->stream},       {"service", &p->service},   {"host", &p->host},
        {"multiline", &p->multiline}, {"encoding", &p->encoding}, {"line-max", &p->line_max},
        {"spool", &p->spool},         {"watch", &p->watch},
    };
    const char *value;
    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
        if ((value = options_value(o, texts[i].name)))
            *texts[i].to = value;
    p->text = p->text || options_has(o, "text");
    for (unsigned i = 0; (value = options_value_at(o, "file", i)); i++)
        TRY(pipeline_add_file(p, value));
    for (unsigned i = 0; (value = options_value_at(o, "input", i)); i++)
        TRY(pipeline_add_source(p, value));
    for (unsigned i = 0; (value = options_value_at(o, "output", i)); i++)
        TRY(pipeline_add_route(p, value));
    if (options_has(o, "stdin"))
        TRY(pipeline_add_source(p, "stdin://"));
    if ((value = options_value(o, "listen")))
        set->listen = value;
    return OK;
}

enum err agent_pipelines(const struct options *o, struct pipelines **ret)
{
    struct pipelines *set = pipelines_new();
    const char *config = options_value(o, "config");
    enum err err = config ? pipelines_load(set, config, PIPELINES_AGENT) : OK;
    if (err == OK)
        err = add_options(o, set);
    const char *lack = pipelines_lack(set);
    if (err == OK && lack)
        err = err_set(ERR_INVALID, "%s wanted, or a --config with such", lack);
    if (err != OK)
        pipelines_free(set);
    else
        *ret = set;
    return err;
}

/* ---- start and stop ---- */

static void write_books(void *ctx, struct buf *out)
{
    struct agent *a = ctx;
    buf_put_c(out, "{\"pipelines\":[");
    bool balanced = flows_write_books(a->flows, out);
    buf_printf(out, "],\"balanced\":%s}\n", balanced ? "true" : "false");
}

static bool authorize(void *ctx, struct str authorization)
{
    return auth_root_check(&((struct agent *)ctx)->root, authorization);
}

/* Credentials are asked for as a server does: from WEIR_ROOT_USER and WEIR_ROOT_PASSWORD. */
static enum err start_http(struct agent *a, const char *listen)
{
    a->conf = conf_new();
    TRY(conf_load_env(a->conf));
    TRY(conf_set(a->conf, "server.listen", str_c(listen), "listen"));
    TRY(settings_check_auth(a->conf, &a->root));
    a->api.ingest = flow_ingest(flows_main(a->flows));
    a->api.write_books = write_books;
    a->api.books_ctx = a;
    a->api.data = a->data;
    a->api.authorize = a->root.user.n ? authorize : NULL;
    a->api.auth_ctx = a;
    a->api.started_ns = clock_now_ns();
    a->api.ready = true;
    struct http_server_options o = {
        .listen = listen,
        .body_max = BODY_BYTES,
        .connections_max = CONNECTIONS_MAX,
        .threads = 1,
        .workers = {1, 1, 1},
        .routes = api_agent_routes(&a->api),
        .authorize = a->api.authorize,
        .auth_ctx = a,
    };
    TRY(http_server_start(&o, &a->http));
    log_info("listening", "address=%s", http_server_address(a->http));
    return OK;
}

static enum err start(struct agent *a)
{
    struct pipelines *set;
    TRY(fault_from_env());
    TRY(set_level(a->o));
    TRY(agent_pipelines(a->o, &set));
    struct flows_options o = {.data = a->data,
                              .limits = {.record_bytes = RECORD_BYTES, .nesting = NESTING},
                              .body_max = BODY_BYTES,
                              .connections_max = CONNECTIONS_MAX};
    enum err err = flows_open(&o, set, &a->flows);
    if (err == OK)
        err = flows_start(a->flows);
    if (err == OK && set->listen)
        err = start_http(a, set->listen);
    pipelines_free(set); /* the flows hold it */
    return err;
}

static void stop(struct agent *a)
{
    if (a->http)
        http_server_stop(a->http, STOP_MS);
    if (a->flows) {
        flows_stop_inputs(a->flows, STOP_MS);
        flows_stop_routes(a->flows, STOP_MS);
    }
    flows_free(a->flows);
    conf_free(a->conf);
}

/* ---- reading the configuration again ---- */

/* SIGHUP: a configuration with a fault changes nothing. */
static void reload(struct agent *a)
{
    struct pipelines *set = NULL;
    enum err err = agent_pipelines(a->o, &set);
    if (err == OK)
        err = flows_reload(a->flows, set);
    pipelines_free(set);
    if (err != OK)
        log_error("configuration not reloaded, the old one stays", "error=\"%s\"", err_text());
    else
        log_info("configuration reloaded", NULL);
}

/* ---- running ---- */

static void tick(struct agent *a)
{
    static unsigned ticks;
    flows_tick(a->flows);
    if (++ticks % TRIM_TICKS == 0)
        malloc_trim(0);
}

static void wait_for_signal(struct agent *a, const sigset_t *set)
{
    bool once = options_has(a->o, "once") || (!a->http && flows_only_stdin(a->flows));
    const struct timespec wait = {.tv_sec = once ? 0 : 1, .tv_nsec = once ? 50 * NS_PER_MS : 0};
    int number;
    while ((number = sigtimedwait(set, NULL, &wait)) < 0 || number == SIGHUP) {
        if (number == SIGHUP)
            reload(a);
        else if (errno == EAGAIN)
            tick(a);
        if (once && flows_all_sent(a->flows))
            return;
    }
    log_info("stopping", NULL);
}

static int run(struct options *o)
{
    const char *data = options_value(o, "data");
    struct agent a = {.o = o, .data = data ? data : "./weir-agent"};
    sigset_t set;
    /* Small buffers that come and go: pages go back, and few arenas hold them. */
    mallopt(M_ARENA_MAX, 2);
    mallopt(M_TRIM_THRESHOLD, 4 << 20);
    mallopt(M_MMAP_THRESHOLD, 8 << 20);
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    enum err err = start(&a);
    if (err == OK) {
        log_info("ready", "data=%s", a.data);
        wait_for_signal(&a, &set);
    } else {
        options_fail(&agent_command, "%s", err_text());
    }
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
