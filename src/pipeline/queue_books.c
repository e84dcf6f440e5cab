/* DIR/books:
 *
 *   # weir books, version 1
 *   position N                 everything below it is counted
 *   stream RECORDS NAME        a name has no line feed
 */
#include "pipeline/queue_books.h"

#include "core/clock.h"
#include "core/io.h"
#include "core/log.h"
#include "core/mem.h"
#include "record/frame.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>

enum { BOOKS_MAX = 4 << 20 };
#define SAVE_EVERY_NS (3 * NS_PER_S)

struct stream {
    char *name;
    uint64_t records;
};
struct queue_books {
    struct spool *spool;
    char *path;
    unsigned hold;
    pthread_mutex_t lock;
    struct stream stream[QUEUE_BOOKS_STREAMS];
    unsigned n, last; /* last: found last */
    uint64_t position;
    bool unsaved;
    int64_t saved_ns;
};

/* With the lock. */
static struct stream *stream_of(struct queue_books *b, struct str name)
{
    if (b->last < b->n && str_eq_c(name, b->stream[b->last].name))
        return &b->stream[b->last];
    for (b->last = 0; b->last < b->n; b->last++)
        if (str_eq_c(name, b->stream[b->last].name))
            return &b->stream[b->last];
    if (b->n == QUEUE_BOOKS_STREAMS) {
        b->last = b->n - 1;
        return &b->stream[b->last];
    }
    b->stream[b->n] = (struct stream){mem_strdup(name), 0};
    return &b->stream[b->n++];
}

void queue_books_add(struct queue_books *b, struct str stream, uint64_t records)
{
    pthread_mutex_lock(&b->lock);
    stream_of(b, stream)->records += records;
    b->unsaved = true;
    pthread_mutex_unlock(&b->lock);
}

void queue_books_note(struct queue_books *b, struct blob *const *frame, uint32_t n,
                      uint64_t first_position)
{
    pthread_mutex_lock(&b->lock);
    for (uint32_t i = 0; i < n; i++) {
        struct frame_info info;
        uint32_t rows;
        int64_t time_min, time_max;
        if (first_position + i < b->position ||
            frame_peek(frame[i]->bytes, &info, &rows, &time_min, &time_max) != OK)
            continue;
        stream_of(b, info.stream)->records += rows;
    }
    if (first_position + n > b->position) {
        b->position = first_position + n;
        b->unsaved = true;
    }
    pthread_mutex_unlock(&b->lock);
}

/* ---- the file ---- */

static bool read_line(struct queue_books *b, struct str line)
{
    struct str word, number;
    uint64_t n;
    if (!line.n || line.p[0] == '#')
        return true;
    if (!str_split(&line, ' ', &word) || !str_split(&line, ' ', &number) || !str_to_u64(number, &n))
        return false;
    if (str_eq_c(word, "position")) {
        b->position = n;
        return true;
    }
    if (!str_eq_c(word, "stream") || !line.n)
        return false;
    stream_of(b, line)->records += n;
    return true;
}

static enum err load(struct queue_books *b)
{
    struct buf text;
    enum err err = OK;
    TRY(io_read_file(b->path, BOOKS_MAX, &text));
    struct str rest = buf_str(&text), line;
    while (err == OK && str_split(&rest, '\n', &line))
        if (!read_line(b, line))
            err =
                err_set(ERR_CORRUPT, "%s cannot be read: \"%.*s\"; without it the books begin anew",
                        b->path, line.n > 100 ? 100 : (int)line.n, line.p);
    buf_release(&text);
    return err;
}

void queue_books_save(struct queue_books *b, bool now)
{
    struct buf out;
    buf_init(&out, SIZE_MAX);
    pthread_mutex_lock(&b->lock);
    bool due = b->unsaved && (now || clock_mono_ns() - b->saved_ns >= SAVE_EVERY_NS);
    uint64_t position = b->position;
    if (due)
        buf_printf(&out, "# weir books, version 1\nposition %" PRIu64 "\n", position);
    for (unsigned i = 0; due && i < b->n; i++)
        buf_printf(&out, "stream %" PRIu64 " %s\n", b->stream[i].records, b->stream[i].name);
    b->unsaved = b->unsaved && !due;
    pthread_mutex_unlock(&b->lock);
    if (due) {
        b->saved_ns = clock_mono_ns();
        if (io_write_file(b->path, buf_str(&out)) == OK)
            spool_release(b->spool, b->hold, position, UINT64_MAX);
        else
            log_warn("the books cannot be written", "error=\"%s\"", err_text());
    }
    buf_release(&out);
}

/* ---- life ---- */

enum err queue_books_open(const char *dir, struct spool *spool, uint64_t position,
                          struct queue_books **ret, bool *ret_new)
{
    struct queue_books *b = NEW(struct queue_books);
    b->spool = spool;
    b->path = mem_printf("%s/books", dir);
    b->position = position;
    pthread_mutex_init(&b->lock, NULL);
    *ret_new = !io_exists(b->path);
    enum err err = *ret_new ? OK : load(b);
    if (err != OK) {
        queue_books_free(b);
        return err;
    }
    b->hold = spool_hold(spool, b->position);
    *ret = b;
    return OK;
}

uint64_t queue_books_total(struct queue_books *b)
{
    uint64_t sum = 0;
    pthread_mutex_lock(&b->lock);
    for (unsigned i = 0; i < b->n; i++)
        sum += b->stream[i].records;
    pthread_mutex_unlock(&b->lock);
    return sum;
}

void queue_books_list(struct queue_books *b, struct arena *a, struct queue_books_stream **ret,
                      unsigned *ret_n)
{
    pthread_mutex_lock(&b->lock);
    *ret = ARENA_ARRAY(a, struct queue_books_stream, b->n + 1);
    *ret_n = b->n;
    for (unsigned i = 0; i < b->n; i++)
        (*ret)[i] = (struct queue_books_stream){arena_str(a, str_c(b->stream[i].name)),
                                                b->stream[i].records};
    pthread_mutex_unlock(&b->lock);
}

void queue_books_free(struct queue_books *b)
{
    if (!b)
        return;
    for (unsigned i = 0; i < b->n; i++)
        mem_free(b->stream[i].name);
    pthread_mutex_destroy(&b->lock);
    mem_free(b->path);
    mem_free(b);
}
