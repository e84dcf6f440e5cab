/* The spool's folder:
 *   queue/            the disk queue (queue/disk.c)
 *   queue/identity    "producer HEX\nepoch HEX\n"
 * A note is a queue entry that begins with NOTE_MAGIC; it is always the first of its body. */
#include "pipeline/spool.h"

#include "core/clock.h"
#include "core/io.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/thread.h"
#include "record/frame.h"

#include <inttypes.h>
#include <stdio.h>

enum { FILE_BYTES = 16 << 20, WAITING_MAX = 16 << 20, IDENTITY_MAX = 4096 };
#define NOTE_MAGIC STR("WNT\x01")

struct hold {
    uint64_t position, waiting;
};

/* Where the queue stood when so much had come: of a spool over a queue. */
struct mark {
    uint64_t position, bytes, rows;
};
enum { MARKS = 1024 };

struct spool {
    struct spool_options o;
    bool over;
    uint64_t behind_max, stored; /* stored: everything below is in the store */
    uint64_t bytes, rows;        /* delivered since the start */
    struct mark mark[MARKS];     /* a ring, the newest at n_marks - 1 */
    uint64_t n_marks;
    struct mark floor; /* what is before it is not kept for readers */
    struct queue *queue;
    uint64_t producer, epoch, notes_from;
    pthread_mutex_t lock;
    struct hold hold[SPOOL_HOLDS_MAX];
    unsigned n_holds;
    uint64_t next, taken;
};

/* ---- identity ---- */

static enum err read_identity(const char *path, struct spool *s)
{
    struct buf b;
    TRY(io_read_file(path, IDENTITY_MAX, &b));
    buf_put_byte(&b, '\0');
    int n = sscanf(b.p, "producer %" SCNx64 "\nepoch %" SCNx64, &s->producer, &s->epoch);
    buf_release(&b);
    return n == 2 && s->producer && s->epoch
               ? OK
               : err_set(ERR_CORRUPT,
                         "%s cannot be read: if the spool beside it is empty, remove "
                         "it and a new one is made",
                         path);
}

static enum err make_identity(const char *path, struct spool *s)
{
    char text[80];
    s->producer = random_u64() | 1;
    s->epoch = random_u64() | 1;
    int n = snprintf(text, sizeof(text), "producer %016" PRIx64 "\nepoch %016" PRIx64 "\n",
                     s->producer, s->epoch);
    return io_write_file(path, str_of(text, (size_t)n));
}

static enum err load_identity(struct spool *s)
{
    char *dir = mem_printf("%s/queue", s->o.dir);
    enum err made = io_mkdir(dir);
    mem_free(dir);
    TRY(made);
    char *path = mem_printf("%s/queue/identity", s->o.dir);
    enum err err = io_exists(path) ? read_identity(path, s) : make_identity(path, s);
    mem_free(path);
    return err;
}

/* ---- life ---- */

enum err spool_open(const struct spool_options *o, struct spool **ret)
{
    struct spool *s = NEW(struct spool);
    s->o = *o;
    s->o.dir = mem_strdup(str_c(o->dir));
    s->next = 1;
    pthread_mutex_init(&s->lock, NULL);
    char *dir = mem_printf("%s/queue", o->dir);
    struct queue_options q = {.dir = dir,
                              .file_bytes = FILE_BYTES,
                              .sync = o->sync,
                              .waiting_max = WAITING_MAX,
                              .disk_max = o->bytes_max};
    enum err err = queue_open_disk(&q, &s->queue);
    if (err == OK)
        err = load_identity(s);
    mem_free(dir);
    if (err != OK) {
        spool_close(s);
        return err;
    }
    *ret = s;
    return OK;
}

enum err spool_over(const struct spool_options *o, struct queue *queue, uint64_t behind_max,
                    struct spool **ret)
{
    struct spool *s = NEW(struct spool);
    s->o = *o;
    s->o.dir = mem_strdup(str_c(o->dir));
    s->next = s->stored = 1;
    s->queue = queue;
    s->over = true;
    s->behind_max = behind_max;
    pthread_mutex_init(&s->lock, NULL);
    enum err err = load_identity(s);
    if (err != OK) {
        spool_close(s);
        return err;
    }
    *ret = s;
    return OK;
}

void spool_close(struct spool *s)
{
    if (!s)
        return;
    if (!s->over)
        queue_close(s->queue);
    pthread_mutex_destroy(&s->lock);
    mem_free((char *)(uintptr_t)s->o.dir);
    mem_free(s);
}

static bool is_note(struct str entry)
{
    return str_starts(entry, NOTE_MAGIC);
}

struct str spool_note_of(struct str entry)
{
    return str_from(entry, NOTE_MAGIC.n);
}

uint64_t spool_body_rows(struct blob *const *frame, uint32_t n, uint32_t *ret_first)
{
    uint64_t sum = 0;
    *ret_first = n && is_note(frame[0]->bytes);
    for (uint32_t i = *ret_first; i < n; i++) {
        struct frame_info info;
        uint32_t rows;
        int64_t time_min, time_max;
        if (frame_peek(frame[i]->bytes, &info, &rows, &time_min, &time_max) == OK)
            sum += rows;
    }
    return sum;
}

/* Every body comes by here, at the replay and when it is appended. */
static void deliver(void *ctx, struct blob *const *frame, uint32_t n, uint64_t first_position,
                    void *body_ctx)
{
    struct spool *s = ctx;
    uint32_t first;
    uint64_t rows = spool_body_rows(frame, n, &first);
    struct str note = first ? spool_note_of(frame[0]->bytes) : STR("");
    bool books = str_starts(note, SPOOL_BOOKS);
    if (books && s->o.books)
        s->o.books(s->o.ctx, note, first_position + n);
    if (first && !books && !body_ctx && s->o.note && first_position >= s->notes_from)
        s->o.note(s->o.ctx, note, first_position);
    pthread_mutex_lock(&s->lock);
    s->next = first_position + n;
    s->taken += rows;
    for (unsigned i = 0; i < s->n_holds; i++)
        if (s->hold[i].position <= first_position)
            s->hold[i].waiting += rows;
    pthread_mutex_unlock(&s->lock);
}

unsigned spool_hold(struct spool *s, uint64_t position)
{
    CHECK(s->n_holds < SPOOL_HOLDS_MAX);
    s->hold[s->n_holds] = (struct hold){.position = position ? position : 1};
    return s->n_holds++;
}

unsigned spool_hold_next(struct spool *s, uint64_t *ret_position)
{
    pthread_mutex_lock(&s->lock);
    unsigned i = 0;
    while (i < s->n_holds && s->hold[i].position != UINT64_MAX)
        i++;
    CHECK(i < SPOOL_HOLDS_MAX);
    s->n_holds += i == s->n_holds;
    s->hold[i] = (struct hold){.position = s->next};
    *ret_position = s->next;
    pthread_mutex_unlock(&s->lock);
    return i;
}

void spool_unhold(struct spool *s, unsigned hold)
{
    spool_release(s, hold, UINT64_MAX, UINT64_MAX);
}

void spool_set_taken(struct spool *s, uint64_t records)
{
    pthread_mutex_lock(&s->lock);
    s->taken = records;
    pthread_mutex_unlock(&s->lock);
}

uint64_t spool_taken(struct spool *s)
{
    pthread_mutex_lock(&s->lock);
    uint64_t n = s->taken;
    pthread_mutex_unlock(&s->lock);
    return n;
}

uint64_t spool_passed(struct spool *s, unsigned hold)
{
    pthread_mutex_lock(&s->lock);
    uint64_t n = s->taken - s->hold[hold].waiting;
    pthread_mutex_unlock(&s->lock);
    return n;
}

/* With the lock. */
static uint64_t readers_from(const struct spool *s)
{
    uint64_t min = UINT64_MAX;
    for (unsigned i = 0; i < s->n_holds; i++)
        if (s->hold[i].position < min)
            min = s->hold[i].position;
    return min;
}

/* With the lock: the newest mark that leaves no more than behind_max behind it is the floor. */
static void raise_floor(struct spool *s)
{
    uint64_t i = s->n_marks > MARKS ? s->n_marks - MARKS : 0;
    while (i < s->n_marks && s->bytes - s->mark[i % MARKS].bytes > s->behind_max)
        i++;
    if (i < s->n_marks && s->mark[i % MARKS].position > s->floor.position && i)
        s->floor = s->mark[i % MARKS];
}

/* With the lock: what may be trimmed. */
static uint64_t held_from(struct spool *s)
{
    uint64_t from = readers_from(s);
    if (!s->over)
        return from;
    if (from < s->stored)
        raise_floor(s);
    from = from < s->floor.position ? s->floor.position : from;
    return from < s->stored ? from : s->stored;
}

uint64_t spool_from(struct spool *s)
{
    pthread_mutex_lock(&s->lock);
    uint64_t from = readers_from(s);
    pthread_mutex_unlock(&s->lock);
    return from;
}

/* With the lock. */
static void put_mark(struct spool *s, uint64_t position)
{
    const struct mark *last = &s->mark[(s->n_marks + MARKS - 1) % MARKS];
    if (!s->n_marks || s->bytes - last->bytes >= s->behind_max / (MARKS / 2))
        s->mark[s->n_marks++ % MARKS] = (struct mark){position, s->bytes, s->rows};
}

void spool_deliver(struct spool *s, struct blob *const *frame, uint32_t n, uint64_t first_position)
{
    uint32_t first;
    uint64_t rows = spool_body_rows(frame, n, &first);
    pthread_mutex_lock(&s->lock);
    put_mark(s, first_position);
    for (uint32_t i = 0; i < n; i++)
        s->bytes += frame[i]->bytes.n;
    s->rows += rows;
    s->taken += rows;
    s->next = first_position + n;
    for (unsigned i = 0; i < s->n_holds; i++)
        if (s->hold[i].position <= first_position)
            s->hold[i].waiting += rows;
    pthread_mutex_unlock(&s->lock);
}

void spool_committed(struct spool *s)
{
    if (s->o.appended)
        s->o.appended(s->o.ctx);
}

static void trim(struct spool *s, uint64_t to)
{
    if (to < UINT64_MAX && queue_trim(s->queue, to) != OK)
        log_warn("the spool cannot be trimmed", "error=\"%s\"", err_text());
}

void spool_published(struct spool *s, uint64_t position)
{
    pthread_mutex_lock(&s->lock);
    if (position > s->stored)
        s->stored = position;
    uint64_t to = held_from(s);
    pthread_mutex_unlock(&s->lock);
    trim(s, to);
}

bool spool_is_behind(struct spool *s, uint64_t position)
{
    pthread_mutex_lock(&s->lock);
    bool behind = s->over && position < s->floor.position;
    pthread_mutex_unlock(&s->lock);
    return behind;
}

bool spool_left_behind(struct spool *s, unsigned hold, uint64_t position, uint64_t *ret_position,
                       uint64_t *ret_rows)
{
    pthread_mutex_lock(&s->lock);
    struct hold *h = &s->hold[hold];
    bool behind = s->over && position < s->floor.position;
    if (behind) {
        uint64_t left = s->rows - s->floor.rows;
        *ret_rows = h->waiting > left ? h->waiting - left : 0;
        *ret_position = s->floor.position;
        h->waiting -= *ret_rows;
        h->position = s->floor.position;
    }
    pthread_mutex_unlock(&s->lock);
    return behind;
}

enum err spool_start(struct spool *s, uint64_t notes_from)
{
    struct queue_consumer consumer = {.ctx = s, .deliver = deliver};
    s->notes_from = notes_from;
    uint64_t from = held_from(s);
    if (notes_from < from)
        from = notes_from;
    TRY(queue_start(s->queue, from, &consumer, NULL));
    struct queue_stats stats;
    queue_stats(s->queue, &stats);
    pthread_mutex_lock(&s->lock);
    s->next = stats.next_position;
    pthread_mutex_unlock(&s->lock);
    return OK;
}

void spool_release(struct spool *s, unsigned hold, uint64_t position, uint64_t rows)
{
    pthread_mutex_lock(&s->lock);
    struct hold *h = &s->hold[hold];
    uint64_t before = held_from(s);
    if (position > h->position)
        h->position = position;
    h->waiting -= rows < h->waiting ? rows : h->waiting;
    uint64_t after = held_from(s);
    pthread_mutex_unlock(&s->lock);
    if (after > before)
        trim(s, after);
}

uint64_t spool_waiting(struct spool *s, unsigned hold)
{
    pthread_mutex_lock(&s->lock);
    uint64_t n = s->hold[hold].waiting;
    pthread_mutex_unlock(&s->lock);
    return n;
}

uint64_t spool_next(struct spool *s)
{
    pthread_mutex_lock(&s->lock);
    uint64_t n = s->next;
    pthread_mutex_unlock(&s->lock);
    return n;
}

/* ---- appending ---- */

struct waiter {
    pthread_mutex_t lock;
    pthread_cond_t done;
    bool over;
    enum err err;
    char reason[256];
    uint64_t position;
};

static void on_done(void *ctx, enum err err, const char *reason, uint64_t first_position)
{
    struct waiter *w = ctx;
    pthread_mutex_lock(&w->lock);
    w->err = err;
    snprintf(w->reason, sizeof(w->reason), "%s", reason ? reason : "");
    w->position = first_position;
    w->over = true;
    pthread_cond_signal(&w->done);
    pthread_mutex_unlock(&w->lock);
}

static enum err wait_for(struct waiter *w)
{
    pthread_mutex_lock(&w->lock);
    while (!w->over)
        pthread_cond_wait(&w->done, &w->lock);
    pthread_mutex_unlock(&w->lock);
    return w->err == OK ? OK : err_set(w->err, "%s", w->reason);
}

static struct blob *note_blob(struct str note)
{
    struct buf b;
    buf_init(&b, SIZE_MAX);
    buf_put_str(&b, NOTE_MAGIC);
    buf_put_str(&b, note);
    return blob_take(b.p, b.n, OWNER_QUEUE);
}

/* A body on its way. */
struct passage {
    struct spool *s;
    uint32_t notes; /* 1: a note stands before the frames */
    void *ctx;
    void (*done)(void *ctx, enum err err, const char *reason, uint64_t first_position);
};

static void arrived(void *ctx, enum err err, const char *reason, uint64_t first_position)
{
    struct passage p = *(struct passage *)ctx;
    mem_free(ctx);
    if (err == OK && p.s->o.appended)
        p.s->o.appended(p.s->o.ctx);
    if (p.done)
        p.done(p.ctx, err, reason, first_position + p.notes);
}

enum err spool_put(struct spool *s, struct str note, const struct queue_body *body)
{
    struct passage *p = NEW(struct passage);
    struct blob **all = NEW_ARRAY(struct blob *, body->n + 1);
    *p = (struct passage){s, note.n > 0, body->ctx, body->done};
    if (note.n)
        all[0] = note_blob(note);
    for (uint32_t i = 0; i < body->n; i++)
        all[p->notes + i] = body->frame[i];
    struct queue_body whole = {.frame = all, .n = p->notes + body->n, .ctx = p, .done = arrived};
    enum err err = queue_append(s->queue, &whole);
    if (err != OK && note.n)
        blob_unref(all[0]);
    if (err != OK)
        mem_free(p);
    mem_free(all);
    return err;
}

enum err spool_append(struct spool *s, struct str note, struct blob **frame, uint32_t n,
                      uint64_t *ret_position)
{
    struct waiter w = {.err = OK};
    pthread_mutex_init(&w.lock, NULL);
    cond_init(&w.done);
    for (uint32_t i = 0; i < n; i++)
        blob_ref(frame[i]); /* ours stay until it is known to be there */
    struct queue_body body = {.frame = frame, .n = n, .ctx = &w, .done = on_done};
    enum err err = spool_put(s, note, &body);
    if (err == OK)
        err = wait_for(&w);
    else
        for (uint32_t i = 0; i < n; i++)
            blob_unref(frame[i]);
    pthread_cond_destroy(&w.done);
    pthread_mutex_destroy(&w.lock);
    if (err != OK)
        return err;
    for (uint32_t i = 0; i < n; i++)
        blob_unref(frame[i]);
    *ret_position = w.position - (note.n > 0);
    return OK;
}

struct queue *spool_queue(struct spool *s)
{
    return s->queue;
}

uint64_t spool_producer(const struct spool *s)
{
    return s->producer;
}

uint64_t spool_epoch(const struct spool *s)
{
    return s->epoch;
}
