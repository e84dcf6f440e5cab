/* Reading the log back at a start. What is damaged is copied to quarantine/, counted and passed
 * over; an unfinished write at the end of the last file was acknowledged to nobody, and is cut off.
 */
#include "core/io.h"
#include "core/log.h"
#include "core/mem.h"
#include "queue/disk_inside.h"

#include <inttypes.h>
#include <stdio.h>

enum { COPY_CHUNK = 256 << 10, TORN_COPIES = 16 };
#define TORN_SUFFIX ".torn"

struct replay {
    struct disk_queue *q;
    uint64_t from;
    struct wal_file *files; /* as they were at the start: a trim may come in between */
    size_t n_files;
    size_t at; /* the file being read */
    int fd;
    uint64_t expect; /* the next position */
    uint64_t bytes_done, bytes_total, bytes_since_commit;
    void (*progress)(uint64_t done, uint64_t total);
};

static void replay_body(void *ctx, struct blob *const *frame, uint32_t n, uint64_t first_position)
{
    struct replay *r = ctx;
    if (first_position + n <= r->from)
        return;
    pthread_mutex_lock(&r->q->lock);
    r->q->stats.replayed_frames += n;
    pthread_mutex_unlock(&r->q->lock);
    r->q->consumer.deliver(r->q->consumer.ctx, frame, n, first_position, NULL);
    for (uint32_t i = 0; i < n; i++)
        r->bytes_since_commit += frame[i]->bytes.n;
    if (r->bytes_since_commit >= DISK_GROUP_BYTES) {
        r->bytes_since_commit = 0;
        if (r->q->consumer.committed)
            r->q->consumer.committed(r->q->consumer.ctx);
    }
}

static enum err copy_region(int from_fd, uint64_t from, uint64_t to, const char *path)
{
    int fd = -1;
    char *chunk = mem_alloc(COPY_CHUNK);
    uint64_t lost = 0, lost_end = 0;
    enum err err = OK;
    TRY_OUT(io_open(path, IO_WRITE, &fd));
    for (uint64_t at = from; at < to;) {
        size_t n = to - at < COPY_CHUNK ? (size_t)(to - at) : COPY_CHUNK;
        TRY_OUT(io_pread_around(from_fd, chunk, n, at, UINT64_MAX, &lost, &lost_end));
        TRY_OUT(io_pwrite(fd, chunk, n, at - from));
        at += n;
    }
    TRY_OUT(io_sync(fd));
out:
    io_close(fd);
    mem_free(chunk);
    return err;
}

/* Copies a region of the file being read to quarantine/FILE-OFFSET and the suffix; the path, to be
 * freed. A copy that fails is logged: the original is still there. */
static char *keep_copy(struct replay *r, uint64_t from, uint64_t to, const char *suffix)
{
    uint64_t first = r->files[r->at].header.first_position;
    char *folder = mem_printf("%s/quarantine", r->q->dir);
    char *path =
        mem_printf("%s/%016" PRIx64 FILE_SUFFIX "-%" PRIx64 "%s", folder, first, from, suffix);
    enum err err = io_mkdir(folder);
    if (err == OK)
        err = copy_region(r->fd, from, to, path);
    if (err != OK)
        log_error("cannot copy what is damaged", "copy=%s reason=%s", path, err_text());
    mem_free(folder);
    return path;
}

static void replay_damaged(void *ctx, uint64_t from, uint64_t to, uint64_t entries)
{
    struct replay *r = ctx;
    char *path = keep_copy(r, from, to, ".bin");
    disk_count_quarantined(r->q, entries);
    log_error("queue is damaged",
              "file=%016" PRIx64 FILE_SUFFIX " from=%" PRIu64 " to=%" PRIu64 " entries=%" PRIu64
              " copy=%s",
              r->files[r->at].header.first_position, from, to, entries, path);
    mem_free(path);
}

struct torn_copies {
    const char *folder;
    size_t n;
};

/* In the order of names, and so of positions; counts down to what stays. */
static enum err count_torn_copy(void *ctx, const char *name)
{
    struct torn_copies *t = ctx;
    t->n += str_ends(str_c(name), STR(TORN_SUFFIX));
    return OK;
}

static enum err drop_torn_copy(void *ctx, const char *name)
{
    struct torn_copies *t = ctx;
    if (!str_ends(str_c(name), STR(TORN_SUFFIX)) || t->n <= TORN_COPIES)
        return OK;
    char *path = mem_printf("%s/%s", t->folder, name);
    enum err err = io_unlink(path);
    mem_free(path);
    t->n--;
    return err;
}

/* An unfinished write was acknowledged to nobody. Should a power cut have taken the mark behind an
 * entry that was, and its disk damaged the entry, then this copy is all there is. */
static void keep_torn(struct replay *r, const struct wal_result *result)
{
    char *folder = mem_printf("%s/quarantine", r->q->dir);
    char *path = keep_copy(r, result->end, result->end + result->torn_bytes, TORN_SUFFIX);
    struct torn_copies copies = {.folder = folder};
    enum err err = io_list(folder, count_torn_copy, &copies);
    if (err == OK)
        err = io_list(folder, drop_torn_copy, &copies);
    if (err != OK)
        log_warn("old copies of torn tails stay", "reason=%s", err_text());
    pthread_mutex_lock(&r->q->lock);
    r->q->stats.torn_bytes += result->torn_bytes;
    pthread_mutex_unlock(&r->q->lock);
    log_warn("queue ends in an unfinished write, which is cut off",
             "file=%016" PRIx64 FILE_SUFFIX " bytes=%" PRIu64 " copy=%s",
             r->files[r->at].header.first_position, result->torn_bytes, path);
    mem_free(path);
    mem_free(folder);
}

static void note_unreadable(struct replay *r, uint64_t bytes)
{
    struct disk_queue *q = r->q;
    pthread_mutex_lock(&q->lock);
    q->stats.unreadable_bytes += bytes;
    for (size_t i = 0; i < q->n_files; i++)
        if (q->files[i].header.first_position == r->files[r->at].header.first_position)
            q->files[i].keep = true;
    pthread_mutex_unlock(&q->lock);
    log_error("queue file cannot be read in places, it is kept",
              "file=%016" PRIx64 FILE_SUFFIX " bytes=%" PRIu64 " advice=%s",
              r->files[r->at].header.first_position, bytes, SAVE_IT);
}

static void replay_progress(void *ctx, uint64_t offset)
{
    struct replay *r = ctx;
    if (r->progress)
        r->progress(r->bytes_done + offset, r->bytes_total);
}

/* What is between the last entry seen and `position` has no file any more. */
static void note_gap(struct replay *r, uint64_t position)
{
    uint64_t from = r->expect > r->from ? r->expect : r->from;
    if (position > from) {
        disk_count_quarantined(r->q, position - from);
        log_error("queue entries are missing", "from=%" PRIu64 " to=%" PRIu64, from, position - 1);
    }
    if (position > r->expect)
        r->expect = position;
}

static struct wal_span span_of(const struct replay *r)
{
    const struct wal_file *f = &r->files[r->at];
    struct wal_span span = {
        .fd = r->fd,
        .salt = f->header.salt,
        .end = f->bytes,
        .last = r->at + 1 == r->n_files,
        .position_min = r->expect,
        .position_limit = UINT64_MAX,
    };
    if (span.last)
        return span;
    const struct wal_header *next = &f[1].header;
    span.position_limit = next->first_position;
    /* A successor that knows another predecessor cannot say where this one ends. */
    if (next->prev_salt != f->header.salt)
        span.last = true;
    else if (next->prev_end < span.end)
        span.end = next->prev_end;
    return span;
}

static enum err explain_unreadable(const struct replay *r)
{
    char was[DISK_REASON_MAX];
    snprintf(was, sizeof(was), "%s", err_text());
    return err_set(ERR_IO,
                   "%s; nothing was changed; " SAVE_IT
                   ", or move the queue file %016" PRIx64 FILE_SUFFIX
                   " away to start without what it holds",
                   was, r->files[r->at].header.first_position);
}

static enum err replay_file(struct replay *r, struct wal_result *ret)
{
    struct wal_file *f = &r->files[r->at];
    char *path = disk_path_of(r->q, f->header.first_position);
    enum err err = io_open(path, IO_READ, &r->fd);
    mem_free(path);
    if (err == ERR_NOTFOUND && r->at + 1 < r->n_files) {
        *ret = (struct wal_result){.next_position = r->expect};
        return OK;
    }
    TRY_OUT(err);
    static const struct wal_visitor calls = {
        .body = replay_body,
        .damaged = replay_damaged,
        .progress = replay_progress,
    };
    struct wal_visitor visitor = calls;
    visitor.ctx = r;
    if (r->at + 1 == r->n_files)
        TRY_OUT(disk_sync(r->q, r->fd));
    note_gap(r, f->header.first_position);
    struct wal_span span = span_of(r);
    TRY_OUT(wal_read(&span, &visitor, ret));
    if (ret->torn_bytes)
        keep_torn(r, ret);
    if (ret->unreadable_bytes)
        note_unreadable(r, ret->unreadable_bytes);
out:
    if (err == ERR_IO)
        err = explain_unreadable(r);
    io_close(r->fd);
    r->fd = -1;
    return err;
}

static enum err replay_files(struct replay *r)
{
    struct disk_queue *q = r->q;
    struct wal_result result = {.end = WAL_START};
    for (r->at = 0; r->at < r->n_files; r->at++) {
        const struct wal_file *f = &r->files[r->at];
        bool last = r->at + 1 == r->n_files;
        if (!last && f[1].header.first_position <= r->from) {
            r->expect = f[1].header.first_position;
        } else {
            TRY(replay_file(r, &result));
            r->expect = result.next_position;
        }
        r->bytes_done += f->bytes;
        replay_progress(r, 0);
    }
    q->end = result.end;
    q->next = r->expect > r->from ? r->expect : r->from;
    pthread_mutex_lock(&q->lock);
    q->stats.next_position = q->next;
    if (r->n_files)
        q->files[q->n_files - 1].end = result.end;
    pthread_mutex_unlock(&q->lock);
    return OK;
}

enum err disk_replay(struct disk_queue *q, uint64_t from, void (*progress)(uint64_t, uint64_t))
{
    struct replay r = {.q = q, .from = from ? from : 1, .fd = -1, .progress = progress};
    r.n_files = q->n_files;
    r.files = NEW_ARRAY(struct wal_file, q->n_files + 1);
    if (q->n_files)
        memcpy(r.files, q->files, q->n_files * sizeof(*q->files));
    for (size_t i = 0; i < r.n_files; i++)
        r.bytes_total += r.files[i].bytes;
    r.expect = r.n_files ? r.files[0].header.first_position : r.from;
    enum err err = replay_files(&r);
    if (err == OK && q->consumer.committed && r.bytes_since_commit)
        q->consumer.committed(q->consumer.ctx);
    mem_free(r.files);
    return err;
}
