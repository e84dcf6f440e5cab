/* Feeder, workers and the order of output. Slots stand in a ring: the feeder fills them in the
 * order of the files, workers take them in that order, the caller's thread empties them in it. All
 * of it under one lock; what takes time (reading, judging, printing) is done outside.
 *
 * A worker that is ahead waits once it holds HELD_MAX pieces; the one on the slot being printed
 * never does for long, so nothing can lock up. */
#include "cmd/grep.h"
#include "core/mem.h"
#include "core/thread.h"

#include <dirent.h>
#include <errno.h>
#include <sys/stat.h>

enum { RING = 64, HELD_MAX = 8, WORKERS_MAX = 64, DEPTH_MAX = 256 };

struct slot {
    struct grep_file *file;
    uint64_t from, to;
    bool first, last; /* of the file's slots */
    bool done;
    unsigned held;
    struct grep_piece *head, *tail;
};

struct run {
    struct grep *g;
    char **paths;
    unsigned n_paths;
    pthread_mutex_t lock;
    pthread_cond_t fed, freed, made; /* a slot to take; room for the feeder or a worker; a piece */
    struct slot slot[RING];
    uint64_t n_fed, n_taken, n_emptied;
    bool fed_all;
};
struct worker {
    struct run *r;
    unsigned number;
    pthread_t thread;
    struct slot *slot; /* under way */
    uint64_t at;       /* its number */
};

void grep_complain(struct grep *g, const char *text)
{
    g->failed = true;
    if (g->messages)
        fprintf(stderr, "weir grep: %s\n", text);
}

/* ---- feeding ---- */

/* False: the run is over. */
static bool add_slot(struct run *r, const struct slot *slot)
{
    pthread_mutex_lock(&r->lock);
    while (r->n_fed - r->n_emptied == RING && !r->g->stop)
        pthread_cond_wait(&r->freed, &r->lock);
    bool is = !r->g->stop;
    if (is) {
        r->slot[r->n_fed++ % RING] = *slot;
        pthread_cond_signal(&r->fed);
        if (r->n_fed == r->n_emptied + 1)
            pthread_cond_signal(&r->made);
    }
    pthread_mutex_unlock(&r->lock);
    return is;
}

static void feed_file(struct run *r, struct grep_file *f)
{
    uint64_t at = 0;
    struct slot slot = {.file = f, .first = true};
    do {
        uint64_t rest = f->bytes - at;
        slot.from = at;
        slot.to = f->kind != GREP_PLAIN || rest <= GREP_PIECE_BYTES * 3 / 2 ? f->bytes
                                                                            : at + GREP_PIECE_BYTES;
        slot.last = slot.to == f->bytes;
        if (!add_slot(r, &slot)) {
            if (slot.first)
                grep_file_free(f);
            return; /* else the printer frees it */
        }
        slot.first = false;
        at = slot.to;
    } while (!slot.last);
}

static void feed_path(struct run *r, const char *path, bool named, unsigned depth);

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static void feed_folder(struct run *r, const char *path, unsigned depth)
{
    struct dirent **entry;
    int n = scandir(path, &entry, NULL, by_name);
    if (n < 0) {
        (void)err_set_errno("%s", path);
        grep_complain(r->g, err_text());
        return;
    }
    for (int i = 0; i < n; i++) {
        const char *name = entry[i]->d_name;
        bool is_self = !strcmp(name, ".") || !strcmp(name, "..");
        if (!is_self && (name[0] != '.' || r->g->hidden) && !r->g->stop) {
            bool slash = path[0] && path[strlen(path) - 1] == '/';
            char *child = mem_printf("%s%s%s", path, slash ? "" : "/", name);
            feed_path(r, child, false, depth + 1);
            mem_free(child);
        }
        mem_free(entry[i]);
    }
    mem_free(entry);
}

/* named: on the command line; then links are followed and everything is searched. */
static void feed_path(struct run *r, const char *path, bool named, unsigned depth)
{
    struct stat st;
    struct grep_file *f;
    if (r->g->stop)
        return;
    if (r->g->recursive && strcmp(path, "-") != 0) {
        if ((named ? stat(path, &st) : lstat(path, &st)) != 0) {
            (void)err_set_errno("%s", path);
            grep_complain(r->g, err_text());
            return;
        }
        if (S_ISDIR(st.st_mode) && depth < DEPTH_MAX) {
            feed_folder(r, path, depth);
            return;
        }
        if (!named && !S_ISREG(st.st_mode))
            return;
    }
    enum err err = grep_file_open(path, named, &f);
    if (err == OK)
        feed_file(r, f);
    else if (err != ERR_UNSUPPORTED)
        grep_complain(r->g, err_text());
}

static void *feeder(void *arg)
{
    struct run *r = arg;
    for (unsigned i = 0; i < r->n_paths; i++)
        feed_path(r, r->paths[i], true, 0);
    pthread_mutex_lock(&r->lock);
    r->fed_all = true;
    pthread_cond_broadcast(&r->fed);
    pthread_cond_broadcast(&r->made);
    pthread_mutex_unlock(&r->lock);
    return NULL;
}

/* ---- working ---- */

static bool take_piece(void *ctx, struct grep_piece *p)
{
    struct worker *w = ctx;
    struct run *r = w->r;
    struct slot *slot = w->slot;
    pthread_mutex_lock(&r->lock);
    while (slot->held >= HELD_MAX && !r->g->stop && !slot->file->stop)
        pthread_cond_wait(&r->freed, &r->lock);
    bool more = !r->g->stop && !slot->file->stop;
    if (more) {
        p->next = NULL;
        if (slot->tail)
            slot->tail->next = p;
        else
            slot->head = p;
        slot->tail = p;
        slot->held++;
        if (w->at == r->n_emptied)
            pthread_cond_signal(&r->made);
    }
    pthread_mutex_unlock(&r->lock);
    if (!more)
        grep_piece_free(p);
    return more;
}

static void work_on(struct worker *w, struct grep_scanner *scanner)
{
    struct slot *s = w->slot;
    struct grep_sink sink = {w, take_piece};
    enum err err = OK;
    if (s->file->stop || w->r->g->stop)
        return;
    switch (s->file->kind) {
    case GREP_PLAIN:
        err = grep_read_range(scanner, s->file, s->from, s->to, &sink);
        break;
    case GREP_STREAM:
        err = grep_read_stream(scanner, s->file, &sink);
        break;
    case GREP_SEGMENT:
        err = grep_read_segment(scanner, s->file, &sink);
        break;
    }
    if (err != OK && !s->file->stop)
        grep_complain(w->r->g, err_text());
}

static void *work(void *arg)
{
    struct worker *w = arg;
    struct run *r = w->r;
    struct grep_scanner *scanner = grep_scanner_new(r->g, w->number);
    pthread_mutex_lock(&r->lock);
    for (;;) {
        while (r->n_taken == r->n_fed && !r->fed_all && !r->g->stop)
            pthread_cond_wait(&r->fed, &r->lock);
        if (r->n_taken == r->n_fed || r->g->stop)
            break;
        w->at = r->n_taken++;
        w->slot = &r->slot[w->at % RING];
        pthread_mutex_unlock(&r->lock);
        work_on(w, scanner);
        pthread_mutex_lock(&r->lock);
        w->slot->done = true;
        if (w->at == r->n_emptied)
            pthread_cond_signal(&r->made);
    }
    pthread_mutex_unlock(&r->lock);
    grep_scanner_free(scanner);
    return NULL;
}

/* ---- printing ---- */

/* With the lock. Nothing can come of the slot any more. */
static bool is_over(const struct run *r, const struct slot *s)
{
    return s->done || (r->g->stop && r->n_taken <= r->n_emptied);
}

/* With the lock. The next piece of the slot being emptied; NULL: it is empty and done. */
static struct grep_piece *next_piece(struct run *r, struct slot *s, const struct grep_printer *to)
{
    while (!s->head && !is_over(r, s)) {
        pthread_mutex_unlock(&r->lock);
        to->idle(to->ctx);
        pthread_mutex_lock(&r->lock);
        if (!s->head && !is_over(r, s))
            pthread_cond_wait(&r->made, &r->lock);
    }
    struct grep_piece *p = s->head;
    if (!p)
        return NULL;
    s->head = p->next;
    if (!s->head)
        s->tail = NULL;
    s->held--;
    pthread_cond_broadcast(&r->freed);
    return p;
}

static void print_slot(struct run *r, struct slot *s, const struct grep_printer *to)
{
    struct grep_piece *p;
    pthread_mutex_unlock(&r->lock);
    if (s->first)
        to->begin(to->ctx, s->file);
    pthread_mutex_lock(&r->lock);
    while ((p = next_piece(r, s, to))) {
        pthread_mutex_unlock(&r->lock);
        if (!s->file->stop && !r->g->stop && !to->piece(to->ctx, s->file, p))
            s->file->stop = true;
        grep_piece_free(p);
        pthread_mutex_lock(&r->lock);
    }
    pthread_mutex_unlock(&r->lock);
    if (s->last) {
        to->end(to->ctx, s->file);
        if (grep_map_shrank(s->file->map)) {
            (void)err_set(ERR_IO, "%s was cut short while it was searched", s->file->path);
            grep_complain(r->g, err_text());
        }
        grep_file_free(s->file);
    }
    pthread_mutex_lock(&r->lock);
}

static void print_all(struct run *r, const struct grep_printer *to)
{
    struct grep_file *open = NULL;
    pthread_mutex_lock(&r->lock);
    for (;;) {
        while (r->n_emptied == r->n_fed && !r->fed_all && !r->g->stop) {
            pthread_mutex_unlock(&r->lock);
            to->idle(to->ctx);
            pthread_mutex_lock(&r->lock);
            if (r->n_emptied == r->n_fed && !r->fed_all && !r->g->stop)
                pthread_cond_wait(&r->made, &r->lock);
        }
        if (r->n_emptied == r->n_fed)
            break;
        struct slot *s = &r->slot[r->n_emptied % RING];
        open = s->last ? NULL : s->file;
        print_slot(r, s, to);
        memset(s, 0, sizeof(*s));
        r->n_emptied++;
        pthread_cond_broadcast(&r->freed);
    }
    pthread_mutex_unlock(&r->lock);
    if (open) /* stopped in its middle */
        grep_file_free(open);
}

void grep_run(struct grep *g, char **paths, unsigned n, const struct grep_printer *to)
{
    struct run *r = NEW(struct run);
    struct worker worker[WORKERS_MAX] = {0};
    pthread_t feed;
    unsigned started = 0;
    r->g = g;
    r->paths = paths;
    r->n_paths = n;
    pthread_mutex_init(&r->lock, NULL);
    cond_init(&r->fed);
    cond_init(&r->freed);
    cond_init(&r->made);
    if (thread_start(&feed, "feeder", feeder, r) != OK) {
        grep_complain(g, err_text());
        mem_free(r);
        return;
    }
    for (unsigned i = 0; i < g->threads && i < WORKERS_MAX; i++, started++) {
        worker[i] = (struct worker){.r = r, .number = i};
        if (thread_start(&worker[i].thread, "grep", work, &worker[i]) != OK)
            break;
    }
    CHECK(started > 0);
    print_all(r, to);
    pthread_mutex_lock(&r->lock);
    pthread_cond_broadcast(&r->fed);
    pthread_cond_broadcast(&r->freed);
    pthread_mutex_unlock(&r->lock);
    pthread_join(feed, NULL);
    for (unsigned i = 0; i < started; i++)
        pthread_join(worker[i].thread, NULL);
    pthread_mutex_destroy(&r->lock);
    mem_free(r);
}
