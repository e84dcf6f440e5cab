/* weir server: configuration, start, wait for a signal, stop.
 *
 * Start: the data folder is locked; catalog and store are opened; the HTTP server listens (/healthz
 * 200, /readyz 503); a thread replays the queue into the memtable; then ingest and queries are let
 * in. Stop (SIGTERM, SIGINT): no new requests; those under way are answered; the queue finishes
 * what it accepted; store and catalog are closed. Nothing is flushed: what is not in a segment is
 * in the queue. A stop during the replay ends the process at once, for the same reason.
 *
 * Memory. One budget (memory.budget; by default half of the machine's, at most 1 GiB) of
 * which the memtable takes at most a third and MEMTABLE_MAX, encoders and merges about a quarter
 * at a time, the queue's line a sixth and QUEUE_MAX, bodies and what they inflate to INGEST_MAX but
 * never less than two of the largest. With what the allocator keeps, which goes back TRIM_EVERY_NS
 * later, these bounds keep the process below 512 MB under a full load of ingest. */
#include "api/api.h"
#include "catalog/catalog.h"
#include "cmd/commands.h"
#include "cmd/inputs.h"
#include "cmd/settings.h"
#include "core/clock.h"
#include "core/conf.h"
#include "core/fault.h"
#include "core/governor.h"
#include "core/io.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/metrics.h"
#include "core/process.h"
#include "core/thread.h"
#include "pipeline/self_log.h"
#include "store/chunk_cache.h"

#include <errno.h>
#include <inttypes.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define MIB ((size_t)1 << 20)
#define MEMTABLE_MAX (128 * MIB)
#define QUEUE_MAX (64 * MIB)
#define INGEST_MAX (96 * MIB)
#define TRIM_ABOVE (64 * MIB)
#define TRIM_EVERY_NS 250000000
enum { IDS_MAX = 20000000, ENCODERS_MAX = 8 };

static const struct option_def option_defs[] = {
    SETTINGS_OPTIONS,
    {"queue", 'q', "URL", "disk: (the default), or kafka://HOST:PORT/TOPIC."},
    {"input", 'i', "URL", "One more input, such as forward://127.0.0.1:24224; may be given often.",
     .many = true},
    {0},
};
const struct command server_command = {
    .name = "server",
    .summary = "Runs the server: takes logs in, stores them, answers searches",
    .usage = "[options]",
    .text = "Runs the server. It needs no configuration: records are kept in ./weir-data, the page "
            "and the\n"
            "API are at http://127.0.0.1:5080.\n\n"
            "Settings come from the file, then from the environment (store.retention is\n"
            "WEIR_STORE_RETENTION), then from the command line. To listen on other addresses than\n"
            "loopback, set WEIR_ROOT_USER and WEIR_ROOT_PASSWORD.\n\n"
            "  weir server --data /var/lib/weir --listen 127.0.0.1:5080\n"
            "  weir server --set store.retention=30d --set store.max_disk=100GiB\n\n"
            "SIGTERM and SIGINT stop it; nothing that was acknowledged is lost by any kind of end.",
    .options = option_defs,
};

struct server {
    struct conf *conf;
    int lock_fd;
    struct conf *latest; /* read again since the start, or NULL */
    struct auth_root root;
    _Atomic(const struct auth_root *) asked; /* whose credentials are asked for */
    size_t budget;
    struct self_log *self_log;
    struct catalog *catalog;
    struct store *store;
    struct queue *queue;
    struct query_engine *engine;
    struct ingest_store ground;
    struct ingest *ingest;
    struct input_set *inputs;
    struct http_server *http;
    struct api api;
    struct str *hec_tokens;
    pthread_t replay;
    bool replay_started;
    atomic_bool replay_failed;
};
static struct server server = {.lock_fd =
                                   -1}; /* one a process: the replay's progress has no context */

/* ---- configuration ---- */

static struct json_limits json_limits(const struct conf *c)
{
    return (struct json_limits){.record_bytes = conf_bytes(c, "limits.record_bytes"),
                                .nesting = (unsigned)conf_int(c, "limits.nesting")};
}

static enum err add_inputs(struct server *s, const struct options *o)
{
    struct input_options in = {
        .sink = ingest_sink(s->ingest),
        .limits = json_limits(s->conf),
        .body_max = conf_bytes(s->conf, "limits.body_bytes"),
        .connections_max = (unsigned)conf_int(s->conf, "server.connections"),
    };
    const char *url;
    s->inputs = input_set_new(cmd_input_types);
    for (size_t i = 0; (url = conf_list_item(s->conf, "inputs", i)); i++) {
        in.url = str_c(url);
        TRY(input_set_add(s->inputs, &in));
    }
    for (unsigned i = 0; (url = options_value_at(o, "input", i)); i++) {
        in.url = str_c(url);
        TRY(input_set_add(s->inputs, &in));
    }
    return OK;
}

static void set_log(const struct conf *c)
{
    static const char *const levels[] = {"debug", "info", "warn", "error"};
    for (int i = 0; i < 4; i++)
        if (!strcmp(conf_string(c, "log.level"), levels[i]))
            log_set_level((enum log_level)i);
    const char *format = conf_string(c, "log.format");
    log_set_json(strcmp(format, "auto") != 0 ? !strcmp(format, "json") : !isatty(STDERR_FILENO));
}

/* ---- memory ---- */

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t set_budget(const struct conf *c)
{
    size_t budget = conf_bytes(c, "memory.budget");
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    if (!budget)
        budget = settings_default_budget(pages > 0 ? (uint64_t)pages * (uint64_t)page : 0);
    size_t ingest = 2 * (conf_bytes(c, "limits.body_bytes") + MIB);
    if (ingest < smaller(INGEST_MAX, budget / 4))
        ingest = smaller(INGEST_MAX, budget / 4);
    governor_set_budget(budget);
    chunk_cache_set_max(smaller(conf_bytes(c, "query.cache_bytes"), budget / 4));
    if (ingest < budget)
        governor_set_share(OWNER_INGEST, (unsigned)(ingest / (budget / 1000) + 1));
    return budget;
}

/* ---- start ---- */

static enum err lock_data(struct server *s, const char *data)
{
    char path[4096];
    TRY(io_mkdir(data));
    if (snprintf(path, sizeof(path), "%s/weir.lock", data) >= (int)sizeof(path))
        return err_set(ERR_INVALID, "the name of the data folder is too long");
    TRY(io_open(path, IO_WRITE, &s->lock_fd));
    if (flock(s->lock_fd, LOCK_EX | LOCK_NB) != 0)
        return err_set(
            ERR_UNAVAILABLE,
            "another weir server is running on the data folder %s: stop it, or choose another "
            "with --data",
            data);
    return OK;
}

static uint64_t catalog_bytes(const struct server *s)
{
    static const char *const suffix[] = {"", "-wal", "-shm"};
    uint64_t sum = 0;
    for (int i = 0; i < 3; i++) {
        char path[4096];
        struct stat st;
        snprintf(path, sizeof(path), "%s/catalog.db%s", conf_string(s->conf, "server.data"),
                 suffix[i]);
        if (stat(path, &st) == 0)
            sum += (uint64_t)st.st_size;
    }
    return sum;
}

/* What counts against store.max_disk beside the segments. */
static uint64_t other_bytes(void *ctx)
{
    struct server *s = ctx;
    struct queue_stats stats;
    queue_stats(s->queue, &stats);
    return stats.bytes_on_disk + catalog_bytes(s);
}

static void checkpoints(void *ctx, uint64_t upto, struct arena *a, struct catalog_position **ret,
                        size_t *ret_n)
{
    queue_checkpoints(((struct server *)ctx)->queue, upto, a, ret, ret_n);
}

static void published(void *ctx, uint64_t position)
{
    struct server *s = ctx;
    if (queue_trim(s->queue, position) != OK)
        log_warn("the queue cannot be trimmed", "error=%s", err_text());
}

static void reclaim(void *ctx)
{
    queue_reclaim(((struct server *)ctx)->queue);
}

static bool is_kafka(const struct server *s)
{
    return str_starts(str_c(conf_string(s->conf, "queue.url")), STR("kafka"));
}

static enum err open_kafka(struct server *s, size_t budget)
{
    struct kafka_queue_options o = {
        .url = str_c(conf_string(s->conf, "queue.url")),
        .catalog = s->catalog,
        .waiting_max = smaller(QUEUE_MAX, budget / 6) + conf_bytes(s->conf, "limits.body_bytes"),
        .record_max = conf_bytes(s->conf, "limits.record_bytes"),
    };
    return queue_open_kafka(&o, &s->queue);
}

static enum err open_queue(struct server *s, const char *data, size_t budget)
{
    char dir[4096];
    if (is_kafka(s))
        return open_kafka(s, budget);
    if (strcmp(conf_string(s->conf, "queue.url"), "disk:") != 0)
        return err_set(ERR_INVALID, "queue.url: disk: or kafka://HOST:PORT/TOPIC is wanted");
    snprintf(dir, sizeof(dir), "%s/queue", data);
    struct queue_options o = {
        .dir = dir,
        .file_bytes = conf_bytes(s->conf, "queue.file_bytes"),
        .sync = conf_bool(s->conf, "queue.sync"),
        .waiting_max = smaller(QUEUE_MAX, budget / 6) + conf_bytes(s->conf, "limits.body_bytes"),
    };
    return queue_open_disk(&o, &s->queue);
}

static enum err open_store(struct server *s, const char *data, size_t budget)
{
    const struct conf *c = s->conf;
    unsigned cpus = thread_cpus();
    struct store_options o = {
        .dir = data,
        .catalog = s->catalog,
        .block_rows = (uint32_t)conf_int(c, "store.block_rows"),
        .block_bytes = conf_bytes(c, "store.block_bytes"),
        .cut_bytes = conf_bytes(c, "store.cut_bytes"),
        .cut_queue_bytes = conf_bytes(c, "store.cut_queue_bytes"),
        .cut_interval_ns = conf_duration_ns(c, "store.cut_interval"),
        .memtable_max = smaller(MEMTABLE_MAX, budget / 3),
        .compact_files = (unsigned)conf_int(c, "store.compact_level_files"),
        .compact_zstd_level = (int)conf_int(c, "store.compact_level"),
        .retention_ns = conf_duration_ns(c, "store.retention"),
        .max_disk = conf_bytes(c, "store.max_disk"),
        .encoders = cpus > ENCODERS_MAX ? ENCODERS_MAX : cpus,
        .scratch_max = budget / 64 * 15,
        .id_window_ns = conf_duration_ns(c, "store.idempotency_window"),
        .ids_max = IDS_MAX,
        .background = true,
        .queue_bytes = other_bytes,
        .checkpoints = checkpoints,
        .published = published,
        .reclaim = reclaim,
        .reserve_bytes = conf_bytes(c, "store.reserve_bytes"),
        .ctx = s,
    };
    return store_open(&o, &s->store);
}

static enum err open_engine(struct server *s)
{
    struct query_engine_options o = {
        .store = s->store,
        .threads = (unsigned)conf_int(s->conf, "query.threads"),
        .query_memory = conf_bytes(s->conf, "query.memory"),
        .deadline_ns = conf_duration_ns(s->conf, "query.deadline"),
    };
    return query_engine_new(&o, &s->engine);
}

static void open_ingest(struct server *s)
{
    s->ground = (struct ingest_store){s->store, s->queue};
    struct ingest_options o = {
        .ground = is_kafka(s) ? ingest_log_ground(&s->ground) : ingest_store_ground(&s->ground),
        .limits = json_limits(s->conf),
        .body_max = conf_bytes(s->conf, "limits.body_bytes"),
        .lz4 = !strcmp(conf_string(s->conf, "queue.compression"), "lz4"),
    };
    s->ingest = ingest_new(&o);
}

static void read_hec_tokens(struct server *s)
{
    const char *token;
    size_t cap = 0;
    for (size_t i = 0; (token = conf_list_item(s->conf, "hec.tokens", i)); i++) {
        ARRAY_GROW(s->hec_tokens, cap, i + 1);
        s->hec_tokens[s->api.n_hec_tokens++] = str_c(token);
    }
    s->api.hec_tokens = s->hec_tokens;
}

static bool authorize(void *ctx, struct str authorization)
{
    struct auth_root root = *((struct server *)ctx)->asked;
    return auth_root_check(&root, authorization);
}

static enum err start_http(struct server *s)
{
    const struct conf *c = s->conf;
    unsigned threads = (unsigned)conf_int(c, "server.threads"), cpus = thread_cpus();
    s->api.store = s->store;
    s->api.queue = s->queue;
    s->api.ingest = s->ingest;
    s->api.engine = s->engine;
    s->api.inputs = s->inputs;
    read_hec_tokens(s);
    s->api.authorize = s->root.user.n ? authorize : NULL;
    s->api.auth_ctx = s;
    s->api.started_ns = clock_now_ns();
    api_register_metrics(&s->api);
    struct http_server_options o = {
        .listen = conf_string(c, "server.listen"),
        .body_max = conf_bytes(c, "limits.body_bytes"),
        .connections_max = (unsigned)conf_int(c, "server.connections"),
        .threads = threads    ? threads
                   : cpus > 8 ? 8
                              : cpus,
        .idle_seconds = (unsigned)(conf_duration_ns(c, "server.idle_timeout") / NS_PER_S),
        .workers = {1, cpus, (unsigned)conf_int(c, "query.concurrency")},
        .routes = api_routes(&s->api),
        .authorize = s->root.user.n ? authorize : NULL,
        .auth_ctx = s,
    };
    return http_server_start(&o, &s->http);
}

/* ---- replay ---- */

static void deliver(void *ctx, struct blob *const *frame, uint32_t n, uint64_t first_position,
                    void *body_ctx)
{
    struct server *s = ctx;
    store_deliver(s->store, frame, n, first_position);
}

/* The queue's files went from under it: memory holds all that is in no segment. */
static void queue_lost(void *ctx)
{
    store_cut_soon(((struct server *)ctx)->store);
}

static bool take_frame(void *ctx, struct blob *frame, uint64_t position)
{
    return ingest_log_take(((struct server *)ctx)->store, frame, position);
}

static bool has_room(void *ctx)
{
    return store_admit(((struct server *)ctx)->store, 0) == OK;
}

static enum err flush_store(void *ctx)
{
    return store_flush(((struct server *)ctx)->store);
}

static void on_progress(uint64_t done, uint64_t total)
{
    server.api.replay_done = done;
    server.api.replay_total = total;
}

static void *replay(void *arg)
{
    struct server *s = arg;
    struct queue_consumer consumer = {.ctx = s,
                                      .deliver = deliver,
                                      .lost = queue_lost,
                                      .take = take_frame,
                                      .has_room = has_room,
                                      .flush = flush_store};
    int64_t began = clock_mono_ns();
    if (is_kafka(s))
        store_replayed(s->store); /* what was read of it is in the catalog */
    if (queue_start(s->queue, store_checkpoint(s->store), &consumer, on_progress) != OK) {
        log_error("the queue cannot be replayed", "error=%s", err_text());
        s->replay_failed = true;
        kill(getpid(), SIGTERM);
        return NULL;
    }
    store_replayed(s->store);
    struct queue_stats stats;
    queue_stats(s->queue, &stats);
    ingest_open(s->ingest);
    if (self_log_run(s->self_log) != OK)
        log_warn("the own log is not taken in", "error=%s", err_text());
    if (input_set_start(s->inputs) != OK) {
        log_error("an input cannot be started", "error=\"%s\"", err_text());
        s->replay_failed = true;
        kill(getpid(), SIGTERM);
        return NULL;
    }
    s->api.ready = true;
    log_info("ready", "replayed_frames=%" PRIu64 " ms=%lld", stats.replayed_frames,
             (clock_mono_ns() - began) / NS_PER_MS);
    return NULL;
}

/* The one file that everything else needs. */
static enum err explain_catalog(enum err err)
{
    char was[400];
    if (err != ERR_CORRUPT || !str_starts(str_c(err_text()), STR("catalog ")))
        return err;
    snprintf(was, sizeof(was), "%s", err_text());
    return err_set(err,
                   "%s\nPut it back from a backup, or move it away and start without it: segments "
                   "are then set aside in lost/, where weir segment cat reads them",
                   was);
}

static enum err start(struct server *s, const struct options *o)
{
    const char *data = conf_string(s->conf, "server.data");
    char path[4096];
    TRY(fault_from_env());
    TRY(settings_check_auth(s->conf, &s->root));
    s->asked = &s->root;
    size_t budget = s->budget = set_budget(s->conf);
    TRY(lock_data(s, data));
    TRY(store_make_room(data));
    snprintf(path, sizeof(path), "%s/catalog.db", data);
    TRY(explain_catalog(catalog_open_sqlite(path, &s->catalog)));
    TRY(open_queue(s, data, budget));
    TRY(explain_catalog(open_store(s, data, budget)));
    TRY(open_engine(s));
    open_ingest(s);
    s->self_log = self_log_new(s->ingest);
    self_log_set(s->self_log, conf_bool(s->conf, "log.self_ingest"));
    TRY(add_inputs(s, o));
    TRY(start_http(s));
    TRY(thread_start(&s->replay, "replay", replay, s));
    s->replay_started = true;
    return OK;
}

/* ---- stop ---- */

static void stop(struct server *s)
{
    int64_t wait_ms = conf_duration_ns(s->conf, "server.stop_timeout") / NS_PER_MS;
    if (s->replay_started && !s->api.ready && !s->replay_failed) {
        log_info("stopped during the replay", NULL);
        _exit(0);
    }
    api_stop_tails(&s->api);
    http_server_stop(s->http, wait_ms);
    if (s->replay_started) {
        pthread_join(s->replay, NULL);
        input_set_stop(s->inputs, wait_ms);
    }
    self_log_stop(s->self_log);
    if (s->replay_started) {
        if (!s->replay_failed)
            queue_drain(s->queue);
        queue_rest(s->queue);
    }
    /* Every body that an input handed on has been answered. */
    input_set_free(s->inputs);
    /* The store's threads trim the queue, so it goes first; the queue has nothing left to deliver.
     */
    query_engine_free(s->engine);
    if (s->store)
        store_close(s->store);
    queue_close(s->queue);
    ingest_free(s->ingest);
    if (s->catalog)
        catalog_close(s->catalog);
    mem_free(s->hec_tokens);
    if (s->lock_fd >= 0)
        close(s->lock_fd);
}

/* What malloc holds beside the reservations is given back now and then: a server that was busy an
 * hour ago does not look busy. */
static void give_back_memory(void)
{
    if (process_resident_bytes() > governor_used() + TRIM_ABOVE)
        malloc_trim(0);
}

/* ---- reading the configuration again ---- */

static const char *const reloadable[] = {
    "log.level",          "log.format",
    "log.self_ingest",    "store.retention",
    "store.max_disk",     "query.cache_bytes",
    "query.deadline",     "auth.root_user",
    "auth.root_password", NULL,
};

/* Others in place of others; to ask for them at all, or no longer, is for a start. Requests under
 * way may still read the old ones, so they stay. */
static void set_credentials(struct server *s, const struct auth_root *root)
{
    if ((root->user.n > 0) != (s->root.user.n > 0)) {
        log_warn("setting needs a restart", "name=%s", "auth.root_user");
        return;
    }
    if (str_eq(root->user, s->asked->user) && str_eq(root->password, s->asked->password))
        return;
    struct auth_root *copy = NEW(struct auth_root);
    copy->user = str_c(mem_strdup(root->user));
    copy->password = str_c(mem_strdup(root->password));
    s->asked = copy;
}

static void apply(struct server *s, const struct conf *c)
{
    set_log(c);
    self_log_set(s->self_log, conf_bool(c, "log.self_ingest"));
    store_set_limits(s->store, conf_duration_ns(c, "store.retention"),
                     conf_bytes(c, "store.max_disk"));
    chunk_cache_set_max(smaller(conf_bytes(c, "query.cache_bytes"), s->budget / 4));
    query_engine_set_deadline(s->engine, conf_duration_ns(c, "query.deadline"));
}

/* SIGHUP: what can change changes, what cannot is said, and a configuration with a fault changes
 * nothing. */
static void reload(struct server *s, const struct options *o)
{
    struct conf *c = conf_new();
    struct auth_root root = {0};
    enum err err = settings_load(o, c);
    if (err == OK)
        err = settings_check_auth(c, &root);
    if (err != OK) {
        log_error("configuration not reloaded, the old one stays", "error=%s", err_text());
        conf_free(c);
        return;
    }
    settings_report(s->conf, s->latest ? s->latest : s->conf, c, reloadable);
    set_credentials(s, &root);
    apply(s, c);
    conf_free(s->latest);
    s->latest = c;
    log_info("configuration reloaded", NULL);
}

static void wait_for_signal(struct server *s, const struct options *o)
{
    const struct timespec tick = {.tv_nsec = TRIM_EVERY_NS};
    sigset_t set;
    int number;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    while ((number = sigtimedwait(&set, NULL, &tick)) < 0 || number == SIGHUP) {
        if (number == SIGHUP)
            reload(s, o);
        else if (errno == EAGAIN)
            give_back_memory();
    }
    log_info("stopping", "signal=%s", number == SIGINT ? "SIGINT" : "SIGTERM");
}

static void greet(const struct server *s)
{
    printf("Weir %s keeps %s and listens on  http://%s/\n", WEIR_VERSION,
           conf_string(s->conf, "server.data"), http_server_address(s->http));
    struct buf name;
    buf_init(&name, 256);
    for (unsigned i = 0; input_set_name(s->inputs, i, &name); i++, buf_clear(&name))
        printf("and on  %.*s\n", STR_ARG(buf_str(&name)));
    buf_release(&name);
    fflush(stdout);
}

int cmd_server(int argc, char **argv)
{
    struct options o;
    struct server *s = &server;
    int status = options_parse(&o, &server_command, argc, argv);
    if (status >= 0)
        return status;
    /* Few arenas, so that freed memory is found again by any thread and given back. */
    mallopt(M_ARENA_MAX, 2);
    /* Bodies and frames come and go by the hundred a second: their pages are kept, and given back
     * when it is quiet (give_back_memory). */
    mallopt(M_MMAP_THRESHOLD, 32 << 20);
    mallopt(M_TRIM_THRESHOLD, 128 << 20);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    s->conf = conf_new();
    enum err err = settings_load(&o, s->conf);
    if (err != OK) {
        options_fail(&server_command, "%s", err_text());
        conf_free(s->conf);
        return 2;
    }
    set_log(s->conf);
    err = start(s, &o);
    if (err == OK) {
        greet(s);
        wait_for_signal(s, &o);
    } else {
        options_fail(&server_command, "%s", err_text());
    }
    stop(s);
    conf_free(s->latest);
    conf_free(s->conf);
    return err == OK && !s->replay_failed ? 0 : 1;
}
