/* Reading back: entry after entry of what disk.c has made durable, which nobody writes to any more.
 * The reader asks for the end of its file only when it has come to it. What is damaged is looked
 * past at every multiple of 8, as wal_read does, and counted. */
#include "core/io.h"
#include "core/log.h"
#include "core/mem.h"
#include "queue/disk_impl.h"
#include "queue/wal.h"

#include <inttypes.h>

struct disk_reader {
    struct queue_reader base;
    struct disk_queue *q;
    uint64_t position; /* the next to hand out */
    struct disk_span span;
    int fd; /* -1: no file is open */
    uint64_t at;
    uint64_t lost;
    struct blob **frame;
    size_t frames_cap;
    uint32_t n;
    uint64_t first;
};

struct queue_reader *disk_reader_new(struct queue *q, uint64_t from)
{
    struct disk_reader *r = NEW(struct disk_reader);
    r->q = (struct disk_queue *)q;
    r->position = from ? from : 1;
    r->fd = -1;
    return &r->base;
}

static void drop_frames(struct disk_reader *r)
{
    for (uint32_t i = 0; i < r->n; i++)
        blob_unref(r->frame[i]);
    r->n = 0;
}

static void leave_file(struct disk_reader *r)
{
    io_close(r->fd);
    r->fd = -1;
}

void disk_reader_free(struct queue_reader *base)
{
    struct disk_reader *r = (struct disk_reader *)base;
    drop_frames(r);
    leave_file(r);
    mem_free(r->frame);
    mem_free(r);
}

static enum err enter_file(struct disk_reader *r)
{
    char *path = disk_path_of(r->q, r->span.first_position);
    enum err err = io_open(path, IO_READ, &r->fd);
    mem_free(path);
    r->at = WAL_START;
    return err;
}

static void count_lost(struct disk_reader *r, uint64_t next)
{
    if (next <= r->position)
        return;
    r->lost += next - r->position;
    log_error("queue entries cannot be read", "from=%" PRIu64 " to=%" PRIu64, r->position,
              next - 1);
    r->position = next;
}

/* Makes sure that there is an entry to read at `at`. ERR_AGAIN: not yet. */
static enum err find_entry(struct disk_reader *r)
{
    for (;;) {
        if (r->fd >= 0 && r->at + WAL_ENTRY_BYTES <= r->span.end)
            return OK;
        struct disk_span span;
        if (!disk_span_of(r->q, r->position, &span))
            return ERR_AGAIN;
        if (r->fd >= 0 && span.salt == r->span.salt) {
            if (span.end == r->span.end && !span.last) {
                drop_frames(r);
                count_lost(r, span.limit);
                leave_file(r);
            } else if (span.end == r->span.end) {
                return ERR_AGAIN;
            }
            r->span = span;
            continue;
        }
        leave_file(r);
        drop_frames(r);
        count_lost(r, span.first_position);
        r->span = span;
        TRY(enter_file(r));
    }
}

static enum err read_entry(struct disk_reader *r, struct wal_entry *e, struct blob **ret)
{
    char head[WAL_ENTRY_BYTES];
    *ret = NULL;
    TRY(io_pread(r->fd, head, sizeof(head), r->at));
    if (!wal_entry_decode(head, r->span.salt, r->at, e) ||
        wal_entry_size(e->length) > r->span.end - r->at || e->position >= r->span.limit)
        return OK;
    if (e->position < r->position) { /* before what is asked for */
        r->at += wal_entry_size(e->length);
        return ERR_AGAIN;
    }
    char *p = mem_alloc(e->length ? e->length : 1);
    enum err err = io_pread(r->fd, p, e->length, r->at + WAL_ENTRY_BYTES);
    if (err == OK && hash64(str_of(p, e->length)) == e->hash)
        *ret = blob_take(p, e->length, OWNER_QUEUE);
    else
        mem_free(p);
    return err;
}

/* True when the body is whole. */
static bool take_part(struct disk_reader *r, const struct wal_entry *e, struct blob *payload)
{
    bool continues = r->n > 0 && e->part == r->n && e->position == r->first + r->n;
    if (!continues)
        drop_frames(r);
    if (!continues && e->part != 0) {
        blob_unref(payload);
        return false;
    }
    if (!r->n)
        r->first = e->position;
    ARRAY_GROW(r->frame, r->frames_cap, r->n + 1);
    r->frame[r->n++] = payload;
    return r->n == e->parts;
}

enum err disk_reader_next(struct queue_reader *base, struct queue_read *ret)
{
    struct disk_reader *r = (struct disk_reader *)base;
    drop_frames(r);
    for (;;) {
        struct wal_entry e;
        struct blob *payload;
        TRY(find_entry(r));
        enum err err = read_entry(r, &e, &payload);
        if (err == ERR_AGAIN)
            continue;
        TRY(err);
        if (!payload) {
            drop_frames(r);
            r->at += 8;
            continue;
        }
        r->at += wal_entry_size(e.length);
        if (!take_part(r, &e, payload))
            continue;
        count_lost(r, r->first);
        r->position = r->first + r->n;
        *ret = (struct queue_read){r->frame, r->n, r->first};
        return OK;
    }
}

uint64_t disk_reader_lost(const struct queue_reader *base)
{
    return ((const struct disk_reader *)base)->lost;
}
