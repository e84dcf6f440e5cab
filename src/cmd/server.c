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
 * never less than two of the largest. With what the allocator keeps, which goes back when it is
 * quiet, and TRIM_EVERY_NS later where it is much, these bounds keep the process below 512 MB under
 * a full load of ingest. */
#include "api/api.h"
#include "catalog/catalog.h"
#include "cmd/catalog_start.h"
#include "cmd/commands.h"
#include "cmd/flows.h"
#include "cmd/settings.h"
#include "cmd/topic_routes.h"
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
#include "output/outputs.h"
#include "pipeline/queue_books.h"
#include "pipeline/self_log.h"
#include "record/json.h"
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
#define DIRECT_MIN (256 << 10) /* smaller groups are a sync more than a copy */
#define INGEST_MAX (96 * MIB)
#define TRIM_ABOVE (64 * MIB)
#define TRIM_EVERY_NS 250000000
#define QUIET_TICKS 4
enum { IDS_MAX = 20000000, ENCODERS_MAX = 8, ROUTES_WAIT_MS = 5000 };
enum { BOOKS_TRIES = 20, BOOKS_PAUSE_MS = 5 };

static const struct option_def option_defs[] = {
    SETTINGS_OPTIONS,
    {"queue", 'q', "URL", "disk: (the default), or kafka://HOST:PORT/TOPIC."},
    {"catalog", 0, "URL", "sqlite: (the default), postgresql://USER@HOST/DATABASE, or mysql://..."},
    {"objects", 0, "URL",
     "file: (the default), file:///FOLDER, or s3://BUCKET/PREFIX: where segments are at rest."},
    {"input", 'i', "URL", "One more input, such as forward://127.0.0.1:24224; may be given often.",
     .many = true},
    {"output", 'o', "URL",
     "Where all records go, too, such as http://HOST:PORT; may be given often.", .many = true},
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
    struct objects *objects;
    struct catalog_node node; /* of a catalog that several servers share */
    struct store *store;
    struct queue *queue;
    struct query_engine *engine;
    struct ingest_store ground;
    struct ingest *ingest;
    struct spool *spool; /* over the queue, for the routes */
    struct queue_books *books;
    struct flows *flows;
    struct http_server *http;
    pthread_mutex_t http_lock; /* where it comes and goes */
    struct api api;
    struct http_taker taker;
    struct str *hec_tokens;
    pthread_t replay;
    bool replay_started;
    atomic_bool replay_failed, ousted;
};
static struct server server = {.http_lock = PTHREAD_MUTEX_INITIALIZER,
                               .lock_fd =
                                   -1}; /* one a process: the replay's progress has no context */

/* ---- configuration ---- */

static struct json_limits json_limits(const struct conf *c)
{
    return (struct json_limits){.record_bytes = conf_bytes(c, "limits.record_bytes"),
                                .nesting = (unsigned)conf_int(c, "limits.nesting")};
}

/* The pipelines of the file; the main one's inputs are a setting like others. */
static enum err read_pipelines(const struct options *o, const struct conf *c,
                               struct pipelines **ret)
{
    struct pipelines *set = pipelines_new();
    const char *file = options_value(o, "config"), *url;
    enum err err = file ? pipelines_load(set, file, PIPELINES_SERVER) : OK;
    for (size_t i = 0; err == OK && (url = conf_list_item(c, "inputs", i)); i++)
        err = pipeline_add_input(set->list[0], url);
    for (unsigned i = 0; err == OK && (url = options_value_at(o, "input", i)); i++)
        err = pipeline_add_input(set->list[0], url);
    for (unsigned i = 0; err == OK && (url = options_value_at(o, "output", i)); i++)
        err = pipeline_add_route(set->list[0], url);
    if (err == OK && str_starts(str_c(conf_string(c, "queue.url")), STR("kafka")))
        err = topic_routes(set, conf_string(c, "queue.url"));
    if (err != OK)
        pipelines_free(set);
    else
        *ret = set;
    return err;
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
    if (s->spool)
        spool_published(s->spool, position);
    else if (queue_trim(s->queue, position) != OK)
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
        .node = s->node.number,
    };
    return queue_open_kafka(&o, &s->queue);
}

/* A small disk would be full before the first of so many bytes could go. */
enum { FILE_PART = 16, CUT_PART = 8 };

static uint64_t part_of_disk(const char *data, uint64_t bytes, unsigned part)
{
    uint64_t free_bytes, total;
    if (io_disk_space(data, &free_bytes, &total) != OK || bytes < total / part)
        return bytes;
    return total / part;
}

static enum err open_queue(struct server *s, const char *data, size_t budget)
{
    char dir[4096];
    if (is_kafka(s))
        return open_kafka(s, budget);
    TRY(queue_check_url(str_c(conf_string(s->conf, "queue.url"))));
    snprintf(dir, sizeof(dir), "%s/queue", data);
    struct queue_options o = {
        .dir = dir,
        .file_bytes = part_of_disk(data, conf_bytes(s->conf, "queue.file_bytes"), FILE_PART),
        .sync = conf_bool(s->conf, "queue.sync"),
        .waiting_max = smaller(QUEUE_MAX, budget / 6) + conf_bytes(s->conf, "limits.body_bytes"),
        .direct_min = DIRECT_MIN,
    };
    return queue_open_disk(&o, &s->queue);
}

/* ---- several servers on one catalog ---- */

static enum err agrees(void *ctx, const struct catalog_state *state)
{
    return queue_agrees(((struct server *)ctx)->queue, state);
}

static void conflict(void *ctx)
{
    queue_reset(((struct server *)ctx)->queue);
}

static void ousted(void *ctx)
{
    struct server *s = ctx;
    if (atomic_exchange(&s->ousted, true))
        return;
    log_error("this server ends, as another has its place", "error=\"%s\"", err_text());
    kill(getpid(), SIGTERM);
}

/* Encoders know nothing of whether the server is being started or stopped. */
static void relieved(void *ctx)
{
    struct server *s = ctx;
    pthread_mutex_lock(&s->http_lock);
    if (s->http)
        http_server_go_on(s->http);
    pthread_mutex_unlock(&s->http_lock);
}

/* The number of a data folder stays with it, so that its positions in the queue are its own. */
static enum err read_node(const char *path, struct catalog_node *ret)
{
    struct buf text;
    unsigned long long number, secret;
    int used = 0;
    if (!io_exists(path))
        return OK;
    buf_init(&text, 256);
    enum err err = io_read_file(path, 256, &text);
    if (err == OK)
        err = buf_add(&text, "", 1);
    if (err == OK &&
        (sscanf(text.p, "number=%llu\nsecret=%llx\n%n", &number, &secret, &used) != 2 ||
         (size_t)used + 1 != text.n))
        err = err_set(ERR_CORRUPT,
                      "%s cannot be read: with it removed, the server gets another number", path);
    if (err == OK) {
        ret->number = number;
        ret->secret = secret;
    }
    buf_release(&text);
    return err;
}

/* What a folder's own queue holds would be passed over under a new number: its positions are below
 * all that follow. */
static enum err check_no_queue(const struct server *s, const char *data, const char *why)
{
    char *path = mem_printf("%s/queue", data);
    bool there = !is_kafka(s) && io_exists(path);
    mem_free(path);
    return there ? err_set(ERR_INVALID, "the data folder %s has a queue of its own, %s", data, why)
                 : OK;
}

static enum err join_catalog(struct server *s, const char *data)
{
    char host[128] = "", name[256], line[80];
    bool is_new = false;
    if (!catalog_is_shared(s->catalog))
        return OK;
    if (!objects_are_apart(s->objects))
        log_warn("segments stay in this server's own folder: other servers of the catalog cannot "
                 "read them",
                 "means=%s", "--objects names a place that all of them reach");
    char *path = mem_printf("%s/node", data);
    (void)!gethostname(host, sizeof(host) - 1);
    snprintf(name, sizeof(name), "%s %s", host, conf_string(s->conf, "server.listen"));
    s->node.name = str_c(mem_strdup(str_c(name)));
    s->node.start = random_u64() >> 1;
    enum err err = read_node(path, &s->node);
    bool had = s->node.number != 0;
    if (err == OK && !had)
        err =
            check_no_queue(s, data, "from before it shared a catalog: start with an empty folder");
    if (err == OK)
        err = catalog_node_join(s->catalog, &s->node, &is_new);
    if (err == OK && had && is_new)
        err = check_no_queue(s, data,
                             "whose server the catalog does not know any more: put the catalog "
                             "back as it was, or start with an empty folder");
    snprintf(line, sizeof(line), "number=%" PRIu64 "\nsecret=%" PRIx64 "\n", s->node.number,
             s->node.secret);
    if (err == OK && is_new)
        err = io_write_file(path, str_c(line));
    mem_free(path);
    return err;
}

/* Cuts are what other servers see of this one's records, and what a reset costs. */
#define SHARED_CUT_NS (10 * NS_PER_S)

static int64_t cut_interval(const struct server *s)
{
    bool given = strcmp(conf_source(s->conf, "store.cut_interval"), "default") != 0;
    return s->node.number && !given ? SHARED_CUT_NS
                                    : conf_duration_ns(s->conf, "store.cut_interval");
}

static enum err open_store(struct server *s, const char *data, size_t budget)
{
    const struct conf *c = s->conf;
    unsigned cpus = thread_cpus();
    struct store_options o = {
        .dir = data,
        .catalog = s->catalog,
        .objects = s->objects,
        .copies_max = conf_bytes(c, "objects.cache_bytes"),
        .stray_age_ns = conf_duration_ns(c, "objects.stray_age"),
        .garbage_age_ns = conf_duration_ns(c, "objects.garbage_age"),
        .block_rows = (uint32_t)conf_int(c, "store.block_rows"),
        .block_bytes = conf_bytes(c, "store.block_bytes"),
        .cut_bytes = conf_bytes(c, "store.cut_bytes"),
        .cut_queue_bytes = part_of_disk(data, conf_bytes(c, "store.cut_queue_bytes"), CUT_PART),
        .cut_interval_ns = cut_interval(s),
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
        .node = s->node,
        .agrees = is_kafka(s) ? agrees : NULL,
        .conflict = is_kafka(s) ? conflict : NULL,
        .ousted = ousted,
        .relieved = relieved,
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

static enum ingest_lz4 compression(const char *setting)
{
    return strcmp(setting, "lz4") == 0    ? INGEST_LZ4_ALWAYS
           : strcmp(setting, "none") == 0 ? INGEST_LZ4_NEVER
                                          : INGEST_LZ4_AUTO;
}

static void open_ingest(struct server *s)
{
    s->ground = (struct ingest_store){s->store, s->queue};
    struct ingest_options o = {
        .ground = is_kafka(s) ? ingest_log_ground(&s->ground) : ingest_store_ground(&s->ground),
        .limits = json_limits(s->conf),
        .body_max = conf_bytes(s->conf, "limits.body_bytes"),
        .lz4 = compression(conf_string(s->conf, "queue.compression")),
    };
    s->ingest = ingest_new(&o);
}

static void wake_main(void *ctx)
{
    struct flow *f = flows_main(((struct server *)ctx)->flows);
    if (f)
        flow_wake(f);
}

static enum err open_spool(struct server *s, const char *data)
{
    struct spool_options o = {.dir = data, .ctx = s, .appended = wake_main};
    if (is_kafka(s)) /* has no readers of ours */
        return OK;
    return spool_over(&o, s->queue, conf_bytes(s->conf, "queue.behind_max"), &s->spool);
}

/* Books that are new begin with what is in the store. */
static enum err open_books(struct server *s, const char *data)
{
    struct stream_stats *stream;
    struct arena a;
    bool is_new;
    size_t n;
    if (!s->spool)
        return OK;
    TRY(queue_books_open(data, s->spool, store_checkpoint(s->store), &s->books, &is_new));
    if (!is_new)
        return OK;
    arena_init(&a, 0, NULL);
    enum err err = store_streams(s->store, STR("default"), &a, &stream, &n);
    for (size_t i = 0; err == OK && i < n; i++)
        queue_books_add(s->books, stream[i].name, stream[i].rows);
    arena_release(&a);
    return err;
}

static enum err open_flows(struct server *s, const struct options *o, const char *data)
{
    struct pipelines *set;
    struct flows_options f = {
        .data = data,
        .ingest = s->ingest,
        .spool = s->spool,
        .limits = json_limits(s->conf),
        .body_max = conf_bytes(s->conf, "limits.body_bytes"),
        .connections_max = (unsigned)conf_int(s->conf, "server.connections"),
    };
    output_store_bind(s->ingest);
    TRY(read_pipelines(o, s->conf, &set));
    enum err err = flows_open(&f, set, &s->flows);
    pipelines_free(set);
    return err;
}

/* ---- what it tells of pipelines ---- */

static void write_flow_inputs(void *ctx, struct flow *f)
{
    input_set_write(flow_inputs(f), ctx);
}

static void write_inputs(void *ctx, struct buf *out)
{
    flows_each(((struct server *)ctx)->flows, write_flow_inputs, out);
}

/* Where the queue is Kafka, others take from it too: what is stored is what was taken. */
static void list_taken(struct server *s, const struct stream_stats *stored, size_t n_stored,
                       struct arena *a, struct queue_books_stream **ret, unsigned *ret_n)
{
    if (s->books) {
        queue_books_list(s->books, a, ret, ret_n);
        return;
    }
    *ret = ARENA_ARRAY(a, struct queue_books_stream, n_stored + 1);
    *ret_n = (unsigned)n_stored;
    for (size_t i = 0; i < n_stored; i++)
        (*ret)[i] = (struct queue_books_stream){stored[i].name, stored[i].rows};
}

/* "streams": of each what its queue has ever taken, and what is in the store now. True: they agree.
 * What retention has deleted is in the first alone. */
static bool write_streams(struct server *s, struct buf *out)
{
    struct arena a;
    struct queue_books_stream *taken;
    struct stream_stats *stored;
    struct store_stats stats;
    unsigned n;
    size_t n_stored = 0;
    uint64_t all = 0, there = 0;
    bool expires =
        conf_duration_ns(s->conf, "store.retention") || conf_bytes(s->conf, "store.max_disk");
    arena_init(&a, 0, NULL);
    if (store_streams(s->store, STR("default"), &a, &stored, &n_stored) != OK)
        log_warn("the store's streams cannot be listed", "error=\"%s\"", err_text());
    list_taken(s, stored, n_stored, &a, &taken, &n);
    store_stats(s->store, &stats);
    buf_put_c(out, "\"streams\":[");
    for (unsigned i = 0; i < n; i++) {
        uint64_t rows = 0;
        for (size_t k = 0; k < n_stored; k++)
            rows = str_eq(stored[k].name, taken[i].name) ? stored[k].rows : rows;
        buf_printf(out, "%s{\"stream\":", i ? "," : "");
        json_put_string(out, taken[i].name);
        buf_printf(out, ",\"taken\":%" PRIu64 ",\"stored\":%" PRIu64 "}", taken[i].records, rows);
        all += taken[i].records;
        there += rows;
    }
    buf_printf(out,
               "],\"taken\":%" PRIu64 ",\"stored\":%" PRIu64 ",\"in_memory\":%" PRIu64
               ",\"expired\":%" PRIu64,
               all, there, stats.memtable_rows, all > there ? all - there : 0);
    arena_release(&a);
    return expires ? there <= all : there == all;
}

static void write_books(void *ctx, struct buf *out)
{
    struct server *s = ctx;
    size_t began = out->n;
    bool balanced = false;
    for (int i = 0; i < BOOKS_TRIES && !balanced; i++) {
        clock_sleep_ms(i ? BOOKS_PAUSE_MS : 0);
        out->n = began;
        buf_put_byte(out, '{');
        balanced = write_streams(s, out);
    }
    buf_put_c(out, ",\"pipelines\":[");
    balanced = flows_write_books(s->flows, out) && balanced;
    buf_put_c(out, "],\"inputs\":[");
    write_inputs(s, out);
    buf_printf(out, "],\"balanced\":%s}\n", balanced ? "true" : "false");
}

/* ---- the HTTP server ---- */

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
    s->api.write_inputs = write_inputs;
    s->api.write_books = write_books;
    s->api.books_ctx = s;
    s->api.data = conf_string(s->conf, "server.data");
    read_hec_tokens(s);
    s->api.authorize = s->root.user.n ? authorize : NULL;
    s->api.auth_ctx = s;
    s->api.started_ns = clock_now_ns();
    api_register_metrics(&s->api);
    s->taker = api_taker(&s->api);
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
        .taker = &s->taker,
    };
    struct http_server *http = NULL;
    enum err err = http_server_start(&o, &http);
    pthread_mutex_lock(&s->http_lock);
    s->http = http;
    if (http)
        http_server_go_on(http); /* what has come to wait before this */
    pthread_mutex_unlock(&s->http_lock);
    return err;
}

/* ---- replay ---- */

static void deliver(void *ctx, struct blob *const *frame, uint32_t n, uint64_t first_position,
                    void *body_ctx)
{
    struct server *s = ctx;
    queue_books_note(s->books, frame, n, first_position);
    store_deliver(s->store, frame, n, first_position);
    spool_deliver(s->spool, frame, n, first_position);
}

static void committed(void *ctx)
{
    spool_committed(((struct server *)ctx)->spool);
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

static enum err reset_store(void *ctx, void (*forget)(void *queue), void *queue)
{
    return store_reset(((struct server *)ctx)->store, forget, queue);
}

static enum err take_over(void *ctx)
{
    return store_take_over(((struct server *)ctx)->store);
}

static void queue_moved(void *ctx)
{
    store_moved(((struct server *)ctx)->store);
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
                                      .committed = committed,
                                      .lost = queue_lost,
                                      .take = take_frame,
                                      .has_room = has_room,
                                      .flush = flush_store};
    if (s->node.number) {
        consumer.reset = reset_store;
        consumer.take_over = take_over;
        consumer.moved = queue_moved;
    }
    int64_t began = clock_mono_ns();
    uint64_t from = store_checkpoint(s->store);
    if (is_kafka(s)) {
        store_replayed(s->store); /* what was read of it is in the catalog */
    } else {
        spool_published(s->spool, from);
        from = spool_from(s->spool) < from ? spool_from(s->spool) : from;
    }
    if (queue_start(s->queue, from, &consumer, on_progress) != OK) {
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
    if (s->spool)
        spool_set_taken(s->spool, queue_books_total(s->books));
    if (flows_start(s->flows) != OK) {
        log_error("a pipeline cannot be started", "error=\"%s\"", err_text());
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
    TRY(fault_from_env());
    TRY(settings_check_auth(s->conf, &s->root));
    s->asked = &s->root;
    size_t budget = s->budget = set_budget(s->conf);
    TRY(lock_data(s, data));
    TRY(store_make_room(data));
    TRY(explain_catalog(catalog_start(s->conf, &s->catalog)));
    TRY(objects_open(str_c(conf_string(s->conf, "objects.url")), data, &s->objects));
    TRY(join_catalog(s, data));
    TRY(open_queue(s, data, budget));
    TRY(open_spool(s, data));
    TRY(explain_catalog(open_store(s, data, budget)));
    TRY(open_books(s, data));
    TRY(open_engine(s));
    open_ingest(s);
    s->self_log = self_log_new(s->ingest);
    self_log_set(s->self_log, conf_bool(s->conf, "log.self_ingest"));
    TRY(open_flows(s, o, data));
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
    pthread_mutex_lock(&s->http_lock);
    struct http_server *http = s->http;
    s->http = NULL;
    pthread_mutex_unlock(&s->http_lock);
    http_server_stop(http, wait_ms);
    if (s->replay_started) {
        pthread_join(s->replay, NULL);
        flows_stop_inputs(s->flows, wait_ms);
        flows_stop_routes(s->flows, wait_ms < ROUTES_WAIT_MS ? wait_ms : ROUTES_WAIT_MS);
    }
    self_log_stop(s->self_log);
    if (s->replay_started) {
        if (!s->replay_failed)
            queue_drain(s->queue);
        queue_rest(s->queue);
        if (!s->replay_failed && s->books)
            queue_books_save(s->books, true);
    }
    /* Every body that an input handed on has been answered. */
    flows_free(s->flows);
    /* The store's threads trim the queue, so it goes first; the queue has nothing left to deliver.
     */
    query_engine_free(s->engine);
    if (s->store)
        store_close(s->store);
    queue_books_free(s->books);
    spool_close(s->spool);
    queue_close(s->queue);
    ingest_free(s->ingest);
    objects_close(s->objects);
    if (s->catalog)
        catalog_close(s->catalog);
    mem_free(s->hec_tokens);
    mem_free((char *)s->node.name.p);
    if (s->lock_fd >= 0)
        close(s->lock_fd);
}

/* What malloc holds beside the reservations is given back when it is quiet: a server that was busy
 * an hour ago does not look busy. Under load it would be asked for again at once, page by page;
 * there only as much of the budget as keeps the promise above matters. */
static void give_back_memory(void)
{
    static unsigned quiet;
    bool busy = governor_used_by(OWNER_INGEST) || governor_used_by(OWNER_QUEUE) ||
                governor_used_by(OWNER_ENCODE) || governor_used_by(OWNER_COMPACT);
    size_t resident = process_resident_bytes();
    quiet = busy ? 0 : quiet + 1;
    if (resident > governor_used() + TRIM_ABOVE &&
        (quiet >= QUIET_TICKS || resident > governor_budget() / 8 * 3))
        malloc_trim(0);
}

static void do_chores(struct server *s)
{
    give_back_memory();
    if (!s->api.ready)
        return;
    flows_tick(s->flows);
    if (s->books)
        queue_books_save(s->books, false);
}

/* ---- reading the configuration again ---- */

static const char *const reloadable[] = {
    "log.level",          "log.format",
    "log.self_ingest",    "store.retention",
    "store.max_disk",     "query.cache_bytes",
    "query.deadline",     "auth.root_user",
    "auth.root_password", "inputs",
    "transforms",         "routes",
    "pipelines",          NULL,
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
    struct pipelines *set = NULL;
    enum err err = settings_load(o, c);
    if (err == OK)
        err = settings_check_auth(c, &root);
    if (err == OK && !s->api.ready)
        err = err_set(ERR_UNAVAILABLE, "the server is starting");
    if (err == OK)
        err = read_pipelines(o, c, &set);
    if (err == OK)
        err = flows_reload(s->flows, set);
    pipelines_free(set);
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
            do_chores(s);
    }
    log_info("stopping", "signal=%s", number == SIGINT ? "SIGINT" : "SIGTERM");
}

static void greet_inputs(void *ctx, struct flow *f)
{
    struct buf *name = ctx;
    buf_clear(name);
    for (unsigned i = 0; input_set_name(flow_inputs(f), i, name); i++, buf_clear(name))
        printf("and on  %.*s\n", STR_ARG(buf_str(name)));
}

static void greet(const struct server *s)
{
    printf("Weir %s keeps %s and listens on  http://%s/\n", WEIR_VERSION,
           conf_string(s->conf, "server.data"), http_server_address(s->http));
    struct buf name;
    buf_init(&name, 256);
    flows_each(s->flows, greet_inputs, &name);
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
    /* One arena, so that freed memory is found again by any thread; threads keep small pieces to
     * themselves, and large ones are not asked for often enough to be waited for. */
    mallopt(M_ARENA_MAX, 1);
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
    return err == OK && !s->replay_failed && !s->ousted ? 0 : 1;
}
