/* weir check: everything that a server with this configuration would need, tried before it runs or
 * beside one that does. Each check is a row of the table: it says what it found, and where it found
 * a fault what to do. What a running server holds locked is left to it. */
#include "cmd/check.h"
#include "auth/auth.h"
#include "catalog/catalog.h"
#include "cmd/commands.h"
#include "cmd/inputs.h"
#include "cmd/settings.h"
#include "core/clock.h"
#include "core/governor.h"
#include "core/io.h"
#include "core/thread.h"
#include "net/http_client.h"
#include "net/listen.h"
#include "pipeline/pipeline.h"
#include "queue/queue.h"
#include "record/json.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/timex.h>
#include <unistd.h>

enum { SYNCS = 5, PATH_ROOM = 4096, SPARE_FILES = 256 };
#define FREE_LEAST ((uint64_t)1 << 30)
#define SLOW_SYNC_NS (20 * NS_PER_MS)
#define BUILT_BEFORE_S 1735689600 /* 2025-01-01: no clock that is right says less */

static const struct option_def option_defs[] = {
    SETTINGS_OPTIONS,
    {"json", 'j', NULL, "The findings as JSON."},
    {0},
};
const struct command check_command = {
    .name = "check",
    .summary = "Tries everything a server would need, and says what to do about what fails",
    .usage = "[options]",
    .text = "Tries everything that weir server with these settings would need: the configuration, "
            "the data\n"
            "folder (is it writable, does a sync reach the disk and how fast, is there space), the "
            "catalog, the\n"
            "address, inputs, the clock, the limits of files and memory, and every output. Of an "
            "agent's file:\n"
            "what that needs. Changes nothing, sends nothing, but for a small object that it puts "
            "where\n"
            "segments are at rest, and removes; a server or agent may be running.\n"
            "Exits 1 when something failed; warnings do not count.\n\n"
            "  weir check --config /etc/weir.yaml\n"
            "  weir check --config agent.yaml --data /var/lib/weir-agent\n"
            "  weir check --data /var/lib/weir --json | jq '.checks[] | select(.status != \"ok\")'",
    .options = option_defs,
};

struct checking {
    struct conf *conf;
    struct pipelines *set;
    bool folder_exists, served; /* a server (an agent) runs on the data folder */
};

void found(struct finding *f, enum status status, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(f->detail, sizeof(f->detail), fmt, ap);
    va_end(ap);
    f->status = status;
}

void advise(struct finding *f, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(f->advice, sizeof(f->advice), fmt, ap);
    va_end(ap);
}

static const char *data_folder(const struct checking *c)
{
    return conf_string(c->conf, "server.data");
}

/* ---- the data folder ---- */

/* The folder itself, or the nearest above it that exists. */
static void nearest_folder(const char *path, char out[PATH_ROOM])
{
    struct stat st;
    snprintf(out, PATH_ROOM, "%s", path);
    while (stat(out, &st) != 0) {
        char *slash = strrchr(out, '/');
        if (!slash || slash == out) {
            snprintf(out, PATH_ROOM, "%s", slash ? "/" : ".");
            return;
        }
        *slash = 0;
    }
}

bool can_write_to(const char *folder)
{
    char near[PATH_ROOM];
    nearest_folder(folder, near);
    return access(near, W_OK | X_OK) == 0;
}

static bool is_agent(const struct checking *c)
{
    return !c->set->server;
}

static void check_folder(struct checking *c, struct finding *f)
{
    struct stat st;
    char near[PATH_ROOM], lock[PATH_ROOM];
    const char *data = data_folder(c);
    nearest_folder(data, near);
    c->folder_exists = stat(data, &st) == 0;
    if (c->folder_exists && !S_ISDIR(st.st_mode)) {
        found(f, FAILED, "%s is no folder", data);
        advise(f, "name another with --data or server.data");
        return;
    }
    if (access(near, W_OK | X_OK) != 0) {
        found(f, FAILED, "%s cannot be written: %s", near, strerror(errno));
        advise(f, "give it to the user that runs weir (uid %u): chown -R %u %s", geteuid(),
               geteuid(), near);
        return;
    }
    snprintf(lock, sizeof(lock), is_agent(c) ? "%s/queue/lock" : "%s/weir.lock", data);
    int fd = open(lock, O_RDWR | O_CLOEXEC);
    c->served = fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0;
    if (fd >= 0)
        close(fd);
    found(f, GOOD, "%s %s", data,
          c->served          ? is_agent(c) ? "is writable; a weir agent runs on it"
                                           : "is writable; a weir server runs on it"
          : c->folder_exists ? "is writable"
                             : "does not exist yet and can be made");
}

static int by_size(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* As the queue does it: append, sync. */
static enum err time_syncs(const char *path, int64_t took[SYNCS])
{
    int fd;
    char block[4096] = "weir check";
    TRY(io_open(path, IO_CREATE, &fd));
    enum err err = OK;
    for (int i = 0; i < SYNCS && err == OK; i++) {
        int64_t began = clock_mono_ns();
        err = io_pwrite(fd, block, sizeof(block), (uint64_t)i * sizeof(block));
        if (err == OK)
            err = io_sync(fd);
        took[i] = clock_mono_ns() - began;
    }
    close(fd);
    return err;
}

static void check_sync(struct checking *c, struct finding *f)
{
    char near[PATH_ROOM], path[PATH_ROOM + 64];
    int64_t took[SYNCS];
    nearest_folder(data_folder(c), near);
    snprintf(path, sizeof(path), "%s/.weir-check-%d", near, (int)getpid());
    enum err err = time_syncs(path, took);
    unlink(path);
    if (err != OK) {
        found(f, FAILED, "a file cannot be written and synced in %s: %s", near, err_text());
        advise(f, "look at the disk (dmesg, mount options); Weir acknowledges only what is synced");
        return;
    }
    qsort(took, SYNCS, sizeof(*took), by_size);
    int64_t median = took[SYNCS / 2];
    found(f, median > SLOW_SYNC_NS ? WARNING : GOOD, "a sync of 4 KiB takes %.2f ms (median of %d)",
          (double)median / 1e6, SYNCS);
    if (median > SLOW_SYNC_NS)
        advise(f,
               "every acknowledgement waits for a sync: a faster disk helps, larger batches too");
}

static void check_space(struct checking *c, struct finding *f)
{
    char near[PATH_ROOM], free_text[STR_BYTES_TEXT], all[STR_BYTES_TEXT];
    struct statvfs v;
    nearest_folder(data_folder(c), near);
    if (statvfs(near, &v) != 0) {
        found(f, FAILED, "%s: %s", near, strerror(errno));
        return;
    }
    uint64_t left = (uint64_t)v.f_bavail * v.f_frsize, size = (uint64_t)v.f_blocks * v.f_frsize;
    bool little = left < FREE_LEAST || left < size / 20, none = left < FREE_LEAST / 16;
    found(f,
          none     ? FAILED
          : little ? WARNING
                   : GOOD,
          "%s free of %s", str_put_bytes(free_text, left), str_put_bytes(all, size));
    if (little)
        advise(f, "free some, or set store.retention or store.max_disk so that old records go");
    else if (v.f_favail < 1000 && v.f_files)
        found(f, WARNING, "%llu inodes free", (unsigned long long)v.f_favail);
    uint64_t most = conf_bytes(c->conf, "store.max_disk");
    if (most > size)
        advise(f, "store.max_disk is more than the disk has");
}

static void check_catalog(struct checking *c, struct finding *f)
{
    struct str url = str_c(conf_string(c->conf, "catalog.url"));
    bool own = str_eq_c(url, "sqlite:");
    struct buf is;
    if (own && c->served) {
        found(f, SKIPPED, "in use by the server");
        return;
    }
    buf_init(&is, sizeof(f->detail));
    enum err err = catalog_probe(url, data_folder(c), &is);
    if (err == OK) {
        found(f, GOOD, "%.*s", STR_ARG(buf_str(&is)));
    } else if (err == ERR_NOTFOUND) {
        found(f, SKIPPED, "there is none yet");
    } else {
        found(f, FAILED, "%s", err_text());
        if (err == ERR_CORRUPT)
            advise(f, "put it back from a backup, or move it away: segments are then set aside in "
                      "lost/, where weir segment cat reads them");
        else if (err == ERR_UNAVAILABLE && !own)
            advise(f, "start the database server, or correct catalog.url: its host, port, "
                      "database");
        else if (err == ERR_AUTH)
            advise(f, "correct user, password or database in catalog.url, or let a superuser make "
                      "them: see docs/catalog.md");
    }
    buf_release(&is);
}

static void check_rest(struct checking *c, struct finding *f)
{
    check_objects(conf_string(c->conf, "objects.url"), data_folder(c), f);
}

/* ---- the address ---- */

/* What /healthz of a weir server says. */
bool is_weir_at(const char *url)
{
    struct http_client *client;
    struct http_answer a = {0};
    bool is = false;
    if (http_client_new(url, NULL, &client) != OK)
        return false;
    buf_init(&a.body, 1 << 20);
    http_client_begin(client, "GET", "/healthz");
    if (http_client_send(client, STR(""), 3000, NULL, NULL, &a) == OK && a.status == 200) {
        json_t *json = json_loadb(a.body.p ? a.body.p : "", a.body.n, 0, NULL);
        const char *says = json_string_value(json_object_get(json, "status"));
        is = says && !strcmp(says, "ok");
        json_decref(json);
    }
    buf_release(&a.body);
    http_client_free(client);
    return is;
}

static bool is_weir(const char *address)
{
    char url[300];
    snprintf(url, sizeof(url), "http://%s%s", address[0] == ':' ? "127.0.0.1" : "", address);
    return is_weir_at(url);
}

static void check_address(struct checking *c, struct finding *f)
{
    const char *address = conf_string(c->conf, "server.listen");
    int fd;
    enum err err = listen_open(address, &fd);
    if (err == OK) {
        close(fd);
        found(f, GOOD, "%s is free", address);
    } else if (err == ERR_UNAVAILABLE && is_weir(address)) {
        found(f, GOOD, "%s is served by Weir", address);
    } else {
        found(f, FAILED, "%s", err_text());
        advise(f, "choose another with --listen or server.listen (who has it: ss -ltnp)");
    }
}

static void check_credentials(struct checking *c, struct finding *f)
{
    struct auth_root root = {0};
    if (settings_check_auth(c->conf, &root) != OK)
        found(f, FAILED, "%s", err_text());
    else
        found(f, GOOD,
              root.user.n ? "asked of every request" : "none; only this machine can reach it");
}

static enum err try_input(const struct checking *c, const char *url, struct input_set *inputs,
                          struct input_options *in, unsigned *n, unsigned *taken)
{
    in->url = str_c(url);
    ++*n;
    enum err err = input_set_add(inputs, in);
    if (err != ERR_UNAVAILABLE || !c->served)
        return err;
    ++*taken;
    return OK;
}

static void check_queue(struct checking *c, struct finding *f)
{
    const char *url = conf_string(c->conf, "queue.url");
    if (queue_check_url(str_c(url)) != OK)
        found(f, FAILED, "queue.url: %s", err_text());
    else if (strcmp(url, "disk:") != 0)
        check_peer(url, f);
    else
        found(f, GOOD, "in the data folder");
}

/* Opened as the server does, and closed. What a running server has is taken, of course. */
static void check_inputs(struct checking *c, struct finding *f)
{
    struct input_options in = {
        .body_max = conf_bytes(c->conf, "limits.body_bytes"),
        .connections_max = (unsigned)conf_int(c->conf, "server.connections"),
    };
    struct input_set *inputs = input_set_new(cmd_input_types);
    const char *url;
    unsigned n = 0, taken = 0;
    enum err err = OK;
    for (size_t i = 0; err == OK && (url = conf_list_item(c->conf, "inputs", i)); i++)
        err = try_input(c, url, inputs, &in, &n, &taken);
    for (unsigned p = 0; err == OK && p < c->set->n; p++)
        for (unsigned i = 0; err == OK && i < c->set->list[p]->n_inputs; i++)
            err = try_input(c, c->set->list[p]->input[i], inputs, &in, &n, &taken);
    if (err != OK) {
        found(f, FAILED, "%s", err_text());
        advise(f, "correct the URL in inputs, or free the address (who has it: ss -ltnup)");
    } else if (!n) {
        found(f, SKIPPED, "none but HTTP");
    } else {
        found(f, GOOD, "%u open, %u in use by the server", n - taken, taken);
    }
    input_set_free(inputs);
}

/* ---- the machine ---- */

static void check_clock(struct checking *c, struct finding *f)
{
    struct timex t = {0};
    int state = adjtimex(&t);
    int64_t now = clock_now_ns();
    if (now / NS_PER_S < BUILT_BEFORE_S) {
        found(f, FAILED, "the clock says a time before 2025");
        advise(f, "set it: records without a time of their own get the clock's");
    } else if (state < 0 && errno != EPERM) {
        found(f, SKIPPED, "the kernel does not say whether it is synchronised");
    } else if (state == TIME_ERROR || (t.status & STA_UNSYNC)) {
        found(f, WARNING, "it is not synchronised");
        advise(f, "run chrony or systemd-timesyncd; in a container the host does it");
    } else {
        found(f, GOOD, "it is synchronised");
    }
}

static void check_files(struct checking *c, struct finding *f)
{
    struct rlimit limit;
    uint64_t want = (uint64_t)conf_int(c->conf, "server.connections") + SPARE_FILES;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        found(f, SKIPPED, "%s", strerror(errno));
        return;
    }
    found(f, limit.rlim_cur < want ? WARNING : GOOD,
          "%llu files may be open, %llu may be needed (server.connections and the store's)",
          (unsigned long long)limit.rlim_cur, (unsigned long long)want);
    if (limit.rlim_cur < want)
        advise(f,
               "ulimit -n %llu, or LimitNOFILE= in the service's unit, or a lower "
               "server.connections",
               (unsigned long long)want);
}

/* The machine's memory or the control group's, whichever is less. */
static uint64_t memory_there(void)
{
    uint64_t bytes = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE), most;
    char text[64];
    int fd = open("/sys/fs/cgroup/memory.max", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof(text)) : 0;
    if (fd >= 0)
        close(fd);
    if (n > 0 && str_to_u64(str_trim(str_of(text, (size_t)n)), &most) && most < bytes)
        bytes = most;
    return bytes;
}

static void check_memory(struct checking *c, struct finding *f)
{
    char a[STR_BYTES_TEXT], b[STR_BYTES_TEXT];
    uint64_t there = memory_there(), budget = conf_bytes(c->conf, "memory.budget");
    if (!budget)
        budget = settings_default_budget(there);
    found(f, budget > there / 4 * 3 ? WARNING : GOOD, "a budget of %s of %s",
          str_put_bytes(a, budget), str_put_bytes(b, there));
    if (budget > there / 4 * 3)
        advise(f, "set memory.budget to at most three quarters of it");
}

/* ---- all of them ---- */

static const struct {
    const char *name;
    void (*run)(struct checking *c, struct finding *f);
    bool server; /* no agent needs it */
} checks[] = {
    {"data folder", check_folder, false}, {"sync", check_sync, false},
    {"disk space", check_space, false},   {"queue", check_queue, true},
    {"catalog", check_catalog, true},     {"objects", check_rest, true},
    {"address", check_address, true},     {"credentials", check_credentials, true},
    {"inputs", check_inputs, false},      {"clock", check_clock, false},
    {"open files", check_files, false},   {"memory", check_memory, true},
};
enum { CHECKS = sizeof(checks) / sizeof(*checks) };

static const char *const status_names[] = {"ok", "warning", "failed", "skipped"};

static void print_finding(const char *name, const struct finding *f)
{
    static const char *const colours[] = {"\033[32m", "\033[33m", "\033[31m", "\033[2m"};
    bool coloured = terminal_colours();
    printf("%s%-8s%s %-14s %s\n", coloured ? colours[f->status] : "", status_names[f->status],
           coloured ? "\033[0m" : "", name, f->detail);
    if (f->advice[0])
        printf("%24s-> %s\n", "", f->advice);
}

static void put_finding(struct buf *out, const char *name, const struct finding *f)
{
    buf_printf(out, "%s{\"name\":\"%s\",\"status\":\"%s\",\"detail\":",
               out->p[out->n - 1] == '[' ? "" : ",", name, status_names[f->status]);
    json_put_string(out, str_c(f->detail));
    if (f->advice[0]) {
        buf_put_c(out, ",\"advice\":");
        json_put_string(out, str_c(f->advice));
    }
    buf_put_byte(out, '}');
}

struct report {
    struct buf out;
    bool json, failed;
};

static void add_finding(struct report *r, const char *name, const struct finding *f)
{
    r->failed = r->failed || f->status == FAILED;
    put_finding(&r->out, name, f);
    if (!r->json)
        print_finding(name, f);
}

/* Every file pattern and output of every pipeline. */
static void check_pipelines(const struct checking *c, struct report *r)
{
    char name[200];
    for (unsigned i = 0; i < c->set->n; i++) {
        const struct pipeline *p = c->set->list[i];
        for (unsigned k = 0; k < p->n_files; k++) {
            struct finding f = {0};
            check_pattern(p->file[k], &f);
            snprintf(name, sizeof(name), "files %s", p->file[k]);
            add_finding(r, name, &f);
        }
        for (unsigned k = 0; k < p->n_routes; k++) {
            struct finding f = {0};
            check_output(p->route[k].output, &f);
            snprintf(name, sizeof(name), "output %s%s%s", p->name, *p->name ? "/" : "",
                     p->route[k].name);
            add_finding(r, name, &f);
        }
    }
}

static int run(struct checking *c, const struct finding *conf, bool json)
{
    struct report r = {.json = json};
    buf_init(&r.out, 1 << 20);
    buf_put_c(&r.out, "{\"checks\":[");
    add_finding(&r, "configuration", conf);
    for (int i = 0; i < CHECKS && conf->status != FAILED; i++) {
        struct finding f = {0};
        if (checks[i].server && is_agent(c))
            continue;
        checks[i].run(c, &f);
        add_finding(&r, checks[i].name, &f);
    }
    if (conf->status != FAILED)
        check_pipelines(c, &r);
    buf_printf(&r.out, "],\"ok\":%s}\n", r.failed ? "false" : "true");
    if (json)
        fwrite(r.out.p, 1, r.out.n, stdout);
    buf_release(&r.out);
    return r.failed ? 1 : 0;
}

/* A server's file, or an agent's: then of the settings the data folder alone counts. */
static enum err load(const struct options *o, struct checking *c)
{
    const char *file = options_value(o, "config"), *data = options_value(o, "data");
    c->set->server = true;
    if (file)
        TRY(pipelines_load(c->set, file, PIPELINES_EITHER));
    if (c->set->server)
        return settings_load(o, c->conf);
    return conf_set(c->conf, "server.data", str_c(data ? data : "./weir-agent"), "--data");
}

int cmd_check(int argc, char **argv)
{
    struct options o;
    struct checking c = {0};
    struct finding conf = {0};
    int status = options_parse(&o, &check_command, argc, argv);
    if (status >= 0)
        return status;
    c.conf = conf_new();
    c.set = pipelines_new();
    if (load(&o, &c) != OK) {
        found(&conf, FAILED, "%s", err_text());
        advise(&conf, "weir config default explains every setting; weir config check FILE judges a "
                      "file");
    } else {
        found(&conf, GOOD, "%s",
              options_has(&o, "config") ? options_value(&o, "config")
                                        : "no file; defaults and environment");
    }
    status = run(&c, &conf, options_has(&o, "json"));
    pipelines_free(c.set);
    conf_free(c.conf);
    return status;
}
