/* The thread: waits for something to be written (inotify, and the clock), looks for files, reads
 * what there is in turns, puts it to the spool, writes the positions.
 *
 * Between two rounds of reading at least LINGER_NS pass, so that a file that gets a line now and
 * then does not make a body of each; but for a folder that changes, which is looked at at once. A
 * file that was made and renamed between two looks is found by the event of its renaming.
 *
 * A file that no pattern finds any more (renamed, deleted) is read on until it has been quiet for a
 * while (tail_file_over); its entry stays for KEPT_NS, to know copies by. After a start, files that
 * were open and are found by no pattern are looked for by inode in the folder where they were: they
 * were renamed while nobody looked. */
#include "input/tail.h"

#include "core/clock.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/thread.h"
#include "input/tail_impl.h"

#include <dirent.h>
#include <errno.h>
#include <iconv.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { GONE_MAX = 10000, ABOUT_BYTES = 64 << 10 };
#define LINGER_NS (100 * NS_PER_MS)
#define SCAN_NS (10 * NS_PER_S) /* where all folders tell of new files; else poll_ns */
#define SAVE_NS NS_PER_S
#define KEPT_NS (7 * NS_PER_DAY)

bool tail_stopping(struct tail *t)
{
    pthread_mutex_lock(&t->lock);
    bool stopping = t->stopping;
    pthread_mutex_unlock(&t->lock);
    return stopping;
}

static void complain(struct tail *t, const char *event)
{
    log_error(event, "error=\"%s\"", err_text());
    pthread_mutex_lock(&t->lock);
    t->status.errors++;
    snprintf(t->status.last_error, sizeof(t->status.last_error), "%s", err_text());
    pthread_mutex_unlock(&t->lock);
}

/* ---- scanning ---- */

static struct tail_file *find_file(struct tail *t, uint64_t device, uint64_t inode)
{
    for (size_t i = 0; i < t->n; i++)
        if (t->file[i]->e.inode == inode && t->file[i]->e.device == device)
            return t->file[i];
    return NULL;
}

static void found_again(struct tail_file *f, const char *path)
{
    if (f->seen)
        return; /* by another name */
    f->seen = true;
    f->gone = false;
    if (strcmp(f->e.path, path) != 0) {
        log_info("file was renamed", "file=%s to=%s", f->e.path, path);
        mem_free(f->e.path);
        f->e.path = mem_strdup(str_c(path));
    }
}

/* Kubelet's links lead to the files that are rotated: those are followed, and the name of the link,
 * which says more than theirs, is kept. */
static const char *behind_link(const struct tail *t, const char *path, char real[PATH_MAX])
{
    struct stat st;
    bool link = tail_source_of(t, path) && lstat(path, &st) == 0 && S_ISLNK(st.st_mode);
    return link && realpath(path, real) ? real : path;
}

static void on_file(void *ctx, const char *path, struct str service)
{
    struct tail *t = ctx;
    struct stat st;
    char real[PATH_MAX];
    if (stat(path, &st) != 0 || !S_ISREG(st.st_mode))
        return;
    const char *target = behind_link(t, path, real);
    struct tail_file *f = find_file(t, st.st_dev, st.st_ino);
    if (f) {
        found_again(f, target);
        return;
    }
    size_t before = t->n;
    if (t->n < TAIL_FILES_MAX && tail_file_open(t, target, service) != OK)
        complain(t, "a file cannot be followed");
    if (t->n > before && target != path) {
        t->file[before]->link = mem_strdup(str_c(path));
        t->file[before]->source = tail_source_of(t, path);
    }
}

static void on_folder(void *ctx, const char *path)
{
    struct tail *t = ctx;
    t->blind += tail_watch_folder(t->watch, path) < 0;
}

/* A folder's watch has the same number however often it is asked for. */
static void assign_watches(struct tail *t)
{
    char folder[4096];
    for (size_t i = 0; i < t->n; i++) {
        struct tail_file *f = t->file[i];
        const char *slash = strrchr(f->e.path, '/');
        if (f->watch >= 0 || f->gone)
            continue;
        snprintf(folder, sizeof(folder), "%.*s", slash ? (int)(slash - f->e.path) : 1,
                 slash ? f->e.path : ".");
        f->watch = tail_watch_folder(t->watch, folder[0] ? folder : "/");
    }
}

struct search {
    struct tail *t;
    const struct tail_entry *e;
    char path[4096];
};

/* The folder of the entry's path has its inode under another name. */
static bool find_inode(struct search *s)
{
    const char *slash = strrchr(s->e->path, '/');
    char folder[4096];
    bool found = false;
    struct dirent *d;
    snprintf(folder, sizeof(folder), "%.*s", slash ? (int)(slash - s->e->path) : 1,
             slash ? s->e->path : ".");
    DIR *dir = opendir(folder[0] ? folder : "/");
    while (dir && !found && (d = readdir(dir))) {
        found = d->d_ino == s->e->inode;
        if (found &&
            snprintf(s->path, sizeof(s->path), "%s/%s", folder, d->d_name) >= (int)sizeof(s->path))
            found = false;
    }
    if (dir)
        closedir(dir);
    return found;
}

/* Once, behind the first scan. */
static void find_renamed(struct tail *t)
{
    size_t had = t->positions.n;
    for (size_t i = 0; i < had; i++) {
        const struct tail_entry *e = &t->positions.entry[i];
        struct search s = {.t = t, .e = e};
        if (e->gone || find_file(t, e->device, e->inode) || !find_inode(&s))
            continue;
        size_t before = t->n;
        if (tail_file_open(t, s.path, STR("")) != OK)
            complain(t, "a renamed file cannot be followed");
        if (t->n > before && t->file[before]->e.offset != e->offset) {
            tail_file_free(t->file[before]); /* the inode has become another file */
            t->n = before;
        }
    }
}

static void scan(struct tail *t)
{
    static const struct tail_glob_visitor calls = {.file = on_file, .folder = on_folder};
    struct tail_glob_visitor visitor = calls;
    visitor.ctx = t;
    t->blind = 0;
    for (size_t i = 0; i < t->n; i++)
        t->file[i]->seen = false;
    for (unsigned i = 0; i < t->n_patterns; i++)
        if (tail_glob_walk(t->pattern[i].glob, &visitor) != OK)
            complain(t, "a pattern cannot be followed");
    if (!t->first_scan_done)
        find_renamed(t);
    t->first_scan_done = true;
    for (size_t i = 0; i < t->n; i++) {
        struct tail_file *f = t->file[i];
        if (!f->seen && !f->gone)
            f->dirty = true; /* what it has left */
        f->gone = !f->seen;
    }
    if (t->watch)
        assign_watches(t);
    t->scan_at = clock_mono_ns() + (t->blind ? t->o.poll_ns : SCAN_NS);
}

/* ---- files that are over, entries that are old ---- */

static void close_over(struct tail *t)
{
    for (size_t i = 0; i < t->n;) {
        struct tail_file *f = t->file[i];
        if (!tail_file_over(t, f)) {
            i++;
            continue;
        }
        size_t at = tail_positions_find(&t->positions, f->e.device, f->e.inode);
        if (at != SIZE_MAX)
            t->positions.entry[at].gone = true;
        t->unsaved = true;
        log_info("file is over", "file=%s offset=%llu", f->e.path, (unsigned long long)f->e.offset);
        tail_file_free(f);
        t->file[i] = t->file[--t->n];
    }
}

static void forget_old(struct tail *t)
{
    int64_t now = clock_now_ns();
    size_t gone = 0;
    for (size_t i = 0; i < t->positions.n;) {
        const struct tail_entry *e = &t->positions.entry[i];
        bool unknown = !find_file(t, e->device, e->inode);
        gone += unknown;
        if (unknown && (now - e->at_ns > KEPT_NS || gone > GONE_MAX)) {
            t->positions.retired += e->records;
            tail_positions_remove(&t->positions, i);
            t->unsaved = true;
        } else {
            i++;
        }
    }
}

/* ---- the round ---- */

static void on_written(void *ctx, int watch, const char *name)
{
    struct tail *t = ctx;
    for (size_t i = 0; i < t->n; i++) {
        struct tail_file *f = t->file[i];
        if (f->watch != watch)
            continue;
        const char *slash = strrchr(f->e.path, '/');
        if (!strcmp(slash ? slash + 1 : f->e.path, name)) {
            f->dirty = true;
            f->grown_ns = clock_mono_ns();
        }
    }
}

static void on_changed(void *ctx)
{
    ((struct tail *)ctx)->scan_at = 0;
}

/* A file of ours may have come and been renamed since the last scan. */
static void on_renamed(void *ctx, const char *from, const char *to)
{
    struct tail *t = ctx;
    struct str service;
    struct stat st;
    for (unsigned i = 0; i < t->n_patterns; i++) {
        if (!tail_glob_match(t->pattern[i].glob, str_c(from), &service))
            continue;
        if (stat(to, &st) == 0 && S_ISREG(st.st_mode) && !find_file(t, st.st_dev, st.st_ino) &&
            tail_file_open(t, to, service) != OK)
            complain(t, "a renamed file cannot be followed");
        return;
    }
}

/* Waits until something happens or `until` (monotonic); `more`: also until standard input or the
 * journal have something. */
static void wait_until(struct tail *t, int64_t until, bool more)
{
    const struct tail_watch_calls calls = {t, on_written, on_changed, on_renamed};
    struct pollfd fds[4] = {{.fd = t->wake_fd, .events = POLLIN},
                            {.fd = tail_watch_fd(t->watch), .events = POLLIN},
                            {.fd = more ? tail_stdin_fd(t->stdin) : -1, .events = POLLIN},
                            {.fd = more ? tail_journal_fd(t->journal) : -1, .events = POLLIN}};
    int64_t now = clock_mono_ns();
    int64_t ms = until > now ? (until - now) / NS_PER_MS + 1 : 0;
    (void)poll(fds, 4, (int)ms);
    if (t->watch)
        tail_watch_read(t->watch, &calls);
}

static void wait_for_work(struct tail *t, int64_t began)
{
    int64_t until = t->poll_at < t->scan_at ? t->poll_at : t->scan_at;
    int64_t due = tail_stdin_due(t->stdin);
    wait_until(t, until < due ? until : due, true);
    while (t->scan_at && clock_mono_ns() < began + LINGER_NS && !tail_stopping(t))
        wait_until(t, began + LINGER_NS, false);
}

static void look_at_all(struct tail *t)
{
    uint64_t behind = 0;
    for (size_t i = 0; i < t->n; i++) {
        struct tail_file *f = t->file[i];
        tail_file_look(t, f);
        if (!f->is_packed && f->size > f->e.offset)
            behind += f->size - f->e.offset;
    }
    close_over(t);
    pthread_mutex_lock(&t->lock);
    t->status.files = t->n;
    t->status.behind = behind;
    t->status.ended = t->stdin && tail_stdin_over(t->stdin);
    if (!t->status.idle_since_ns)
        t->status.idle_since_ns = clock_mono_ns();
    pthread_mutex_unlock(&t->lock);
    t->poll_at = clock_mono_ns() + t->o.poll_ns;
}

static enum err read_others(struct tail *t, bool *more)
{
    bool left = false;
    if (t->stdin)
        TRY(tail_stdin_read(t, t->stdin, &left));
    *more = *more || left;
    if (!t->journal)
        return OK;
    enum err err = tail_journal_read(t, t->journal, &left);
    *more = *more || left;
    if (err != OK && err != ERR_CANCELED)
        complain(t, "the journal cannot be read");
    return err == ERR_CANCELED ? err : OK;
}

/* Turns until nothing is left. ERR_CANCELED: a stop. */
static enum err read_all(struct tail *t)
{
    for (bool more = true; more && !tail_stopping(t);) {
        more = false;
        for (size_t i = 0; i < t->n; i++) {
            struct tail_file *f = t->file[i];
            bool left = false;
            if (!f->dirty)
                continue;
            enum err err = tail_file_read(t, f, &left);
            if (err == ERR_CANCELED)
                return err;
            if (err != OK && err != ERR_AGAIN)
                complain(t, "a file cannot be read");
            f->dirty = left;
            more = more || left;
        }
        TRY(read_others(t, &more));
    }
    return tail_body_commit(t);
}

static void save(struct tail *t)
{
    t->saved_ns = clock_mono_ns();
    forget_old(t);
    /* What others have put to the spool meanwhile has no note of ours. */
    uint64_t next = spool_next(t->spool);
    t->unsaved = t->unsaved || next > t->positions.spool;
    if (next > t->positions.spool)
        t->positions.spool = next;
    if (!t->unsaved)
        return;
    if (tail_positions_save(&t->positions, t->positions_path) != OK) {
        complain(t, "the positions cannot be written");
        return;
    }
    t->unsaved = false;
    spool_release(t->spool, t->hold, t->positions.spool, UINT64_MAX);
}

void tail_save_if_due(struct tail *t)
{
    if (clock_mono_ns() - t->saved_ns >= SAVE_NS)
        save(t);
}

static void *tail_main(void *arg)
{
    struct tail *t = arg;
    enum err err = OK;
    while (err == OK && !tail_stopping(t)) {
        int64_t began = clock_mono_ns();
        if (began >= t->scan_at)
            scan(t);
        if (began >= t->poll_at)
            look_at_all(t);
        err = read_all(t);
        tail_save_if_due(t);
        wait_for_work(t, began);
    }
    save(t);
    return NULL;
}

/* ---- life ---- */

static void more_files(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static enum err open_encoding(struct tail *t)
{
    if (!t->encoding[0] || str_ieq(str_c(t->encoding), STR("utf-8")))
        return OK;
    iconv_t cd = iconv_open("UTF-8", t->encoding);
    if (cd == (iconv_t)-1)
        return err_set(ERR_INVALID, "the encoding \"%s\" is not known", t->encoding);
    t->iconv = cd;
    if (str_ieq(str_c(t->encoding), STR("utf-16le")))
        t->wide = TAIL_WIDE_LITTLE;
    else if (str_ieq(str_c(t->encoding), STR("utf-16be")))
        t->wide = TAIL_WIDE_BIG;
    else if (str_starts(str_c(t->encoding), STR("utf-")) ||
             str_starts(str_c(t->encoding), STR("UTF-")))
        return err_set(ERR_INVALID,
                       "the encoding \"%s\": utf-8, utf-16le, utf-16be, or one of a "
                       "byte a letter is wanted",
                       t->encoding);
    if (t->wide && t->o.multiline)
        return err_set(ERR_INVALID, "lines of %s cannot be put together", t->encoding);
    return OK;
}

enum err tail_new(const struct tail_options *o, struct tail **ret)
{
    struct tail *t = NEW(struct tail);
    t->o = *o;
    t->positions_path = mem_strdup(str_c(o->positions));
    t->stream = mem_strdup(o->stream);
    t->host = mem_strdup(o->host);
    t->service = mem_strdup(o->service);
    t->encoding = mem_strdup(str_c(o->encoding ? o->encoding : ""));
    t->wake_fd = -1;
    t->body.batch = batch_new();
    t->body.changed = batch_new();
    arena_init(&t->body.arena, 0, NULL);
    buf_init(&t->body.encoded, SIZE_MAX);
    buf_init(&t->read, SIZE_MAX);
    buf_init(&t->text, SIZE_MAX);
    t->json = json_reader_new(
        &(struct json_limits){.record_bytes = o->line_max + ABOUT_BYTES, .nesting = 128});
    pthread_mutex_init(&t->lock, NULL);
    t->records_metric =
        metric_counter("weir_tail_records_total", NULL, "Records of files put to the spool.");
    t->bytes_metric = metric_counter("weir_tail_bytes_total", NULL, "Bytes read from files.");
    enum err err = tail_sources_open(t);
    if (err == OK)
        err = open_encoding(t);
    if (err == OK)
        err = tail_positions_load(&t->positions, t->positions_path);
    if (err != OK) {
        tail_free(t);
        return err;
    }
    *ret = t;
    return OK;
}

void tail_note(struct tail *t, struct str note)
{
    if (tail_positions_read(&t->positions, note, "a note of the spool") != OK)
        log_error("a note of the spool cannot be read", "error=\"%s\"", err_text());
    t->unsaved = true;
}

uint64_t tail_notes_from(struct tail *t, uint64_t epoch)
{
    if (t->positions.epoch != epoch)
        t->positions.spool = 1;
    t->positions.epoch = epoch;
    return t->positions.spool;
}

void tail_totals(const struct tail *t, uint64_t *ret_records, uint64_t *ret_dropped)
{
    *ret_records = t->positions.retired + t->positions.journal_records;
    for (size_t i = 0; i < t->positions.n; i++)
        *ret_records += t->positions.entry[i].records;
    *ret_dropped = t->positions.dropped;
}

enum err tail_start(struct tail *t, struct spool *spool, unsigned hold)
{
    t->spool = spool;
    t->hold = hold;
    t->positions.spool = spool_next(spool);
    t->unsaved = true;
    tail_totals(t, &t->status.records, &t->status.dropped);
    t->stopping = false;
    more_files();
    if (t->wake_fd < 0)
        t->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (t->wake_fd < 0)
        return err_set_errno("eventfd");
    if (!t->watch && !t->o.polls)
        t->watch = tail_watch_new();
    TRY(thread_start(&t->thread, "tail", tail_main, t));
    t->started = true;
    return OK;
}

void tail_stop(struct tail *t)
{
    uint64_t one = 1;
    if (!t->started)
        return;
    pthread_mutex_lock(&t->lock);
    t->stopping = true;
    pthread_mutex_unlock(&t->lock);
    if (write(t->wake_fd, &one, sizeof(one)) < 0)
        log_debug("eventfd", NULL);
    pthread_join(t->thread, NULL);
    t->started = false;
}

static void unwatch(struct tail *t)
{
    tail_watch_free(t->watch);
    t->watch = NULL;
    for (size_t i = 0; i < t->n; i++)
        t->file[i]->watch = -1;
}

enum err tail_reconfigure(struct tail *t, const struct tail_options *o)
{
    struct tail *n;
    TRY(tail_new(o, &n));
    SWAP(t->o, n->o);
    SWAP(t->stream, n->stream);
    SWAP(t->host, n->host);
    SWAP(t->service, n->service);
    SWAP(t->encoding, n->encoding);
    tail_sources_swap(t, n);
    SWAP(t->iconv, n->iconv);
    SWAP(t->wide, n->wide);
    SWAP(t->json, n->json);
    t->scan_at = t->poll_at = 0;
    if (t->o.polls)
        unwatch(t);
    tail_free(n);
    return OK;
}

void tail_free(struct tail *t)
{
    if (!t)
        return;
    for (size_t i = 0; i < t->n; i++)
        tail_file_free(t->file[i]);
    tail_sources_close(t);
    for (uint32_t i = 0; i < t->body.n; i++)
        blob_unref(t->body.frame[i]);
    if (t->iconv)
        iconv_close((iconv_t)t->iconv);
    if (t->wake_fd >= 0)
        close(t->wake_fd);
    tail_watch_free(t->watch);
    tail_positions_release(&t->positions);
    json_reader_free(t->json);
    tail_assembly_free(t->assembly);
    batch_free(t->body.batch);
    batch_free(t->body.changed);
    arena_release(&t->body.arena);
    buf_release(&t->body.encoded);
    buf_release(&t->read);
    buf_release(&t->text);
    pthread_mutex_destroy(&t->lock);
    mem_free(t->body.frame);
    mem_free(t->file);
    mem_free(t->positions_path);
    mem_free(t->stream);
    mem_free(t->host);
    mem_free(t->service);
    mem_free(t->encoding);
    mem_free(t);
}

void tail_status(struct tail *t, struct tail_status *ret)
{
    pthread_mutex_lock(&t->lock);
    *ret = t->status;
    pthread_mutex_unlock(&t->lock);
}
