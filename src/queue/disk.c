/* The disk queue: a folder of write-ahead log files (wal.c has the bytes), one writer thread, group
 * commit.
 *
 *   DIR/POSITION.wal   the files, in order, each named by the position of its first entry in 16
 *                      hexadecimal digits; the last is being written
 *   DIR/new.tmp        a file that is being made
 *   DIR/lock           held by flock(2) while the queue is open
 *   DIR/quarantine/    copies of damaged regions, FILE-OFFSET.bin, and of torn tails,
 *                      FILE-OFFSET.torn (the newest TORN_COPIES); files without a legible header;
 *                      files that could not be read in places, once they are trimmed
 *
 * GROUP COMMIT. queue_append hashes the payloads on its caller's thread and puts the body in line.
 * The writer takes all that waits, up to DISK_GROUP_BYTES, writes it with one call, and syncs once;
 * then every body is delivered, then the consumer hears `committed`, then every `done` is called.
 * What arrives meanwhile is the next group. Positions are given out by the writer, when it writes:
 * a body that fails leaves no gap. Behind what was synced stands a mark (wal.c), so that a later
 * reader can tell damage from a write that never was finished. A large group is written past the
 * page cache (direct.h), where options.direct_min says so.
 *
 * A NEW FILE is made as new.tmp with nothing but its header, synced, renamed to its name, and the
 * folder is synced. Its header says where the file before it ends, so from then on nothing may be
 * written to that one: `sealed` is set before the first step and stays until a new file stands,
 * however often making it fails. A file is begun: at the first write after a start (which cuts a
 * torn tail), when the last is full, and after a failed write that could not be taken back in
 * place.
 *
 * SPARE FILES. Writing over blocks that a file has already is several times cheaper than taking new
 * ones, which the file system must note at each sync. So trimmed files are kept, up to
 * SPARE_BYTES_MAX, and a new file is made from one where there is one. The salt makes what it held
 * illegible. Its old name must be gone for good before its header is written over: so one more sync
 * of the folder. On a full disk the spares go first.
 *
 * THE PACE of the disk is measured at each group (pace.h), for whoever makes frames and could make
 * them smaller.
 *
 * FAILED WRITES. A body that is answered with an error must not turn up at the next replay, though
 * its bytes may well be in the file, or in the page cache on their way there. So a failed group is
 * taken back, durably, before anyone is told:
 *   - A write failed (a full disk, mostly): the file is cut back to its last good end and synced.
 *     That needs no space, gives back what was taken, and the file goes on.
 *   - A sync failed, or the cut did: the kernel may have dropped what it could not write and call
 *     it clean, so this file is not trusted any more (`poisoned`). A new file is begun, whose
 *     header says that this one ends at its last good end. The same positions are given out again
 *     there.
 *   - That fails too: nothing can be said about the group, so nothing is. The writer tries again,
 *     with pauses, until it works or the queue is closed. Only then the bodies are answered with
 *     ERR_TIMEOUT, the one error that leaves open whether they are there.
 *
 * FILES THAT GO. Somebody may remove or move the folder under a running queue; a sync succeeds all
 * the same. So after each sync, and once a second at rest, the last file is looked for under its
 * name. When it is not there, the group is refused as after a failed sync, the folder is made anew
 * with a new file, and the consumer hears `lost`: it alone holds now what was not trimmed.
 *
 * AT START the last file is synced before it is read: what the replay delivers must not be lost by
 * a power cut after somebody was told, on the strength of it, that it is there. Then wal_read goes
 * through all files that reach to `from`. Damage is copied to quarantine/, counted and logged; the
 * originals stay until they are trimmed. An unfinished write at the end is cut by beginning a new
 * file at the first write. A file whose header is damaged twice is read with the salt that its
 * successor remembers; without one it is moved to quarantine/ as a whole. What the device does not
 * give is damage like any other, but its file is kept when it is trimmed, as another reader may get
 * more out of it. A last file whose header cannot be read, and a device that fails all over, fail
 * the start: it is for the operator to give up what they hold.
 *
 * LOCKS. `lock` guards the line, the list of files and the numbers; it is never held across a disk
 * call or a callback. The open file belongs to the writer alone. `trim_lock` keeps trims from each
 * other; it comes before `lock`. */
#include "core/clock.h"
#include "core/io.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/thread.h"
#include "queue/disk_inside.h"
#include "queue/wal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/uio.h>

enum {
    ALLOCATE_STEP = 16 << 20,
    FILE_BYTES_MIN = 64 << 10,
    NAME_DIGITS = 16,
    CLOSE_TRIES = 5,
    SPARE_BYTES_MAX = 1 << 30,
};
#define CHECK_EVERY_NS NS_PER_S
#define SPARE_PREFIX "spare-"

char *disk_path_of(const struct disk_queue *q, uint64_t first_position)
{
    return mem_printf("%s/%016" PRIx64 FILE_SUFFIX, q->dir, first_position);
}

enum err disk_sync(const struct disk_queue *q, int fd)
{
    return q->options.sync ? io_sync(fd) : OK;
}

void disk_count_quarantined(struct disk_queue *q, uint64_t entries)
{
    pthread_mutex_lock(&q->lock);
    q->stats.quarantined_entries += entries;
    pthread_mutex_unlock(&q->lock);
}

/* ---- files: opening, beginning, trimming ---- */

static char *spare_path(const struct disk_queue *q, uint64_t id)
{
    return mem_printf("%s/" SPARE_PREFIX "%016" PRIx64, q->dir, id);
}

/* A name of 16 hexadecimal digits between the two; not 0. */
static bool parse_name(const char *name, struct str prefix, struct str suffix, uint64_t *ret)
{
    struct str s = str_c(name);
    if (s.n != prefix.n + NAME_DIGITS + suffix.n || !str_starts(s, prefix) || !str_ends(s, suffix))
        return false;
    uint64_t v = 0;
    for (size_t i = prefix.n; i < prefix.n + NAME_DIGITS; i++) {
        char c = s.p[i];
        if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'f'))
            return false;
        v = v << 4 | (uint64_t)(c <= '9' ? c - '0' : c - 'a' + 10);
    }
    *ret = v;
    return v > 0;
}

static void add_spare(struct disk_queue *q, uint64_t id, uint64_t bytes)
{
    pthread_mutex_lock(&q->lock);
    ARRAY_GROW(q->spares, q->spares_cap, q->n_spares + 1);
    q->spares[q->n_spares++] = (struct spare){id, bytes};
    q->spare_bytes += bytes;
    pthread_mutex_unlock(&q->lock);
}

static bool pop_spare(struct disk_queue *q, struct spare *ret)
{
    pthread_mutex_lock(&q->lock);
    bool found = q->n_spares > 0;
    if (found) {
        *ret = q->spares[--q->n_spares];
        q->spare_bytes -= ret->bytes;
    }
    pthread_mutex_unlock(&q->lock);
    return found;
}

/* False when there was none. */
static bool drop_spares(struct disk_queue *q)
{
    struct spare s;
    bool any = false;
    for (; pop_spare(q, &s); any = true) {
        char *path = spare_path(q, s.id);
        if (io_unlink(path) != OK)
            log_warn("cannot remove a spare file", "reason=%s", err_text());
        mem_free(path);
    }
    return any;
}

static enum err find_spare(struct disk_queue *q, uint64_t id)
{
    char *path = spare_path(q, id);
    int fd = -1;
    uint64_t bytes = 0;
    enum err err = io_open(path, IO_READ, &fd);
    if (err == OK)
        err = io_size(fd, &bytes);
    if (err == OK)
        add_spare(q, id, bytes);
    io_close(fd);
    mem_free(path);
    return err;
}

static enum err add_file(void *ctx, const char *name)
{
    struct disk_queue *q = ctx;
    uint64_t first;
    if (parse_name(name, STR(SPARE_PREFIX), STR(""), &first))
        return find_spare(q, first);
    if (!parse_name(name, STR(""), STR(FILE_SUFFIX), &first))
        return OK;
    ARRAY_GROW(q->files, q->files_cap, q->n_files + 1);
    q->files[q->n_files++] = (struct wal_file){.header.first_position = first};
    return OK;
}

static enum err read_file_header(const struct disk_queue *q, struct wal_file *f)
{
    uint64_t named = f->header.first_position;
    char *path = disk_path_of(q, named);
    int fd = -1;
    enum err err = OK;
    TRY_OUT(io_open(path, IO_READ, &fd));
    TRY_OUT(io_size(fd, &f->bytes));
    err = wal_header_read(fd, path, &f->header);
    if (err == ERR_CORRUPT || err == ERR_IO) {
        log_error("queue file's header is damaged", "file=%s reason=%s", path, err_text());
        f->header.salt = 0;
        f->keep = err == ERR_IO;
        err = OK;
    } else if (err == OK && f->header.first_position != named) {
        err = err_set(ERR_CORRUPT, "%s: begins at position %" PRIu64 ", its name says %" PRIu64,
                      path, f->header.first_position, named);
    }
out:
    io_close(fd);
    mem_free(path);
    return err;
}

/* With all its bytes, under a name that no other gets. */
static enum err move_to_quarantine(struct disk_queue *q, const struct wal_file *f)
{
    uint64_t first = f->header.first_position;
    char *folder = mem_printf("%s/quarantine", q->dir), *path = disk_path_of(q, first);
    char *to = mem_printf("%s/%016" PRIx64 FILE_SUFFIX "-%016" PRIx64, folder, first, random_u64());
    enum err err = OK;
    TRY_OUT(io_mkdir(folder));
    TRY_OUT(io_rename(path, to));
    log_error("queue file put into quarantine", "file=%s bytes=%" PRIu64, to, f->bytes);
out:
    mem_free(to);
    mem_free(path);
    mem_free(folder);
    return err;
}

/* Out of the way: a new file may come to have this one's name. */
static enum err put_away(struct disk_queue *q, size_t index)
{
    TRY(move_to_quarantine(q, &q->files[index]));
    disk_count_quarantined(q, 1);
    memmove(&q->files[index], &q->files[index + 1],
            (q->n_files - index - 1) * sizeof(struct wal_file));
    q->n_files--;
    return OK;
}

/* Gives files with an illegible header the salt that their successor knows. */
static enum err mend_headers(struct disk_queue *q)
{
    for (size_t i = q->n_files; i-- > 0;) {
        struct wal_header *h = &q->files[i].header;
        if (h->salt == 0 && i + 1 < q->n_files)
            h->salt = q->files[i + 1].header.prev_salt;
        if (h->salt == 0 && q->files[i].keep)
            return err_set(ERR_IO,
                           "the header of queue file %s/%016" PRIx64 FILE_SUFFIX
                           " cannot be read, nothing was changed; " SAVE_IT
                           ", or move the file away to start without what it holds",
                           q->dir, h->first_position);
        if (h->salt == 0)
            TRY(put_away(q, i));
    }
    return OK;
}

/* Makes the folder, where it is not there (any more), and locks it. */
static enum err lock_folder(struct disk_queue *q)
{
    char *path = mem_printf("%s/lock", q->dir);
    int fd = -1;
    enum err err = OK;
    if (q->lock_fd >= 0 && io_is_at(q->lock_fd, path))
        goto out;
    TRY_OUT(io_mkdir(q->dir));
    TRY_OUT(io_open(path, IO_WRITE, &fd));
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        err = err_set(ERR_UNAVAILABLE, "queue folder %s is in use by another process", q->dir);
        goto out;
    }
    io_close(q->lock_fd);
    q->lock_fd = fd;
    fd = -1;
out:
    io_close(fd);
    mem_free(path);
    return err;
}

static enum err open_folder(struct disk_queue *q)
{
    TRY(lock_folder(q));
    TRY(io_list(q->dir, add_file, q));
    for (size_t i = 0; i < q->n_files; i++)
        TRY(read_file_header(q, &q->files[i]));
    return mend_headers(q);
}

/* Makes new.tmp of a spare file; 0 when there is none, or it cannot be done: then it is not
 * touched. */
static uint64_t reuse_spare(struct disk_queue *q, const char *tmp)
{
    struct spare s;
    if (!pop_spare(q, &s))
        return 0;
    char *path = spare_path(q, s.id);
    enum err err = io_rename(path, tmp);
    if (err == OK && q->options.sync)
        err = io_sync_dir(q->dir);
    if (err != OK)
        log_warn("cannot use a spare file", "file=%s reason=%s", path, err_text());
    mem_free(path);
    return err == OK ? s.bytes : 0;
}

/* What a write and its sync take. */
struct stopwatch {
    int64_t mono_ns, cpu_ns;
};

static struct stopwatch watch_start(void)
{
    return (struct stopwatch){clock_mono_ns(), clock_thread_ns()};
}

static void watch_note(struct disk_queue *q, const struct stopwatch *w, struct pace_bytes bytes)
{
    struct stopwatch now = watch_start();
    pace_note(&q->pace, now.mono_ns, now.mono_ns - w->mono_ns, now.cpu_ns - w->cpu_ns, &bytes);
}

/* new.tmp with the header of the file to come, durable. */
static enum err make_tmp(struct disk_queue *q, const char *tmp, const struct wal_header *h,
                         int *ret_fd, uint64_t *ret_bytes)
{
    char head[WAL_START + WAL_ENTRY_BYTES] = {0};
    wal_header_encode(h, head);
    int fd = -1;
    enum err err = OK;
    uint64_t bytes = reuse_spare(q, tmp);
    if (!bytes)
        TRY(io_unlink(tmp));
    TRY(io_open(tmp, bytes ? IO_WRITE : IO_CREATE, &fd));
    struct stopwatch watch = watch_start();
    TRY_OUT(io_pwrite(fd, head, sizeof(head), 0));
    TRY_OUT(disk_sync(q, fd));
    watch_note(q, &watch, (struct pace_bytes){.all = sizeof(head)});
    *ret_fd = fd;
    *ret_bytes = bytes > sizeof(head) ? bytes : sizeof(head);
    return OK;
out:
    io_close(fd);
    return err;
}

/* The new file stands: it becomes the last of the list. One that held no entries has the same name,
 * and was replaced. */
static void adopt_file(struct disk_queue *q, const struct wal_header *h, int fd, uint64_t bytes,
                       bool replaces)
{
    /* Preallocated space goes back. A file with a failed write is left alone: its end stands in the
     * header. */
    bool cut = q->fd >= 0 && !replaces && !q->dirty && io_truncate(q->fd, q->end) == OK;
    io_close(q->fd);
    pthread_mutex_lock(&q->lock);
    if (replaces) {
        q->n_files--;
    } else if (q->n_files) {
        struct wal_file *before = &q->files[q->n_files - 1];
        before->end = q->end;
        before->bytes = cut ? q->end : before->bytes;
    }
    ARRAY_GROW(q->files, q->files_cap, q->n_files + 1);
    q->files[q->n_files++] = (struct wal_file){*h, bytes, WAL_START};
    pthread_mutex_unlock(&q->lock);
    q->fd = fd;
    q->salt = h->salt;
    q->end = WAL_START;
    q->allocated = bytes;
    q->sealed = q->dirty = false;
}

/* Ends the last file at `end`, whatever stands behind that, and begins a new one. */
static enum err begin_file(struct disk_queue *q)
{
    q->sealed = true;
    pthread_mutex_lock(&q->lock);
    struct wal_header last = {0};
    if (q->n_files)
        last = q->files[q->n_files - 1].header;
    pthread_mutex_unlock(&q->lock);
    bool replaces = last.first_position == q->next;
    struct wal_header h = {.first_position = q->next, .salt = random_u64() | 1};
    h.prev_salt = replaces ? last.prev_salt : last.salt;
    h.prev_end = replaces ? last.prev_end : last.salt ? q->end : 0;
    char *tmp = mem_printf("%s/new.tmp", q->dir), *path = disk_path_of(q, q->next);
    int fd = -1;
    uint64_t bytes = 0;
    enum err err = OK;
    TRY_OUT(lock_folder(q));
    TRY_OUT(make_tmp(q, tmp, &h, &fd, &bytes));
    TRY_OUT(io_rename(tmp, path));
    if (q->options.sync)
        TRY_OUT(io_sync_dir(q->dir));
    adopt_file(q, &h, fd, bytes, replaces);
    direct_use(&q->direct, path);
    fd = -1;
out:
    io_close(fd);
    mem_free(tmp);
    mem_free(path);
    return err;
}

/* Takes the oldest file off the list if all of it is below the mark. */
static bool pop_trimmed(struct disk_queue *q, struct wal_file *ret)
{
    pthread_mutex_lock(&q->lock);
    bool found = q->n_files > 1 && q->files[1].header.first_position <= q->stats.trimmed_to;
    if (found) {
        *ret = q->files[0];
        memmove(q->files, q->files + 1, (q->n_files - 1) * sizeof(*q->files));
        q->n_files--;
    }
    pthread_mutex_unlock(&q->lock);
    return found;
}

static void push_front(struct disk_queue *q, const struct wal_file *f)
{
    pthread_mutex_lock(&q->lock);
    ARRAY_GROW(q->files, q->files_cap, q->n_files + 1);
    memmove(q->files + 1, q->files, q->n_files * sizeof(*q->files));
    q->files[0] = *f;
    q->n_files++;
    pthread_mutex_unlock(&q->lock);
}

/* A file that nobody needs any more: a spare, or gone. */
static enum err retire_file(struct disk_queue *q, const struct wal_file *f)
{
    uint64_t id = f->header.first_position;
    if (f->keep)
        return move_to_quarantine(q, f);
    char *path = disk_path_of(q, id), *spare = spare_path(q, id);
    pthread_mutex_lock(&q->lock);
    bool keep =
        f->bytes >= q->options.file_bytes / 2 && q->spare_bytes + f->bytes <= q->spare_bytes_max;
    pthread_mutex_unlock(&q->lock);
    enum err err = OK;
    if (keep && io_rename(path, spare) == OK)
        add_spare(q, id, f->bytes);
    else
        err = io_unlink(path);
    mem_free(path);
    mem_free(spare);
    return err;
}

static enum err disk_trim(struct queue *base, uint64_t position)
{
    struct disk_queue *q = (struct disk_queue *)base;
    pthread_mutex_lock(&q->trim_lock);
    pthread_mutex_lock(&q->lock);
    if (position > q->stats.trimmed_to)
        q->stats.trimmed_to = position;
    pthread_mutex_unlock(&q->lock);
    enum err err = OK;
    struct wal_file f;
    while (err == OK && pop_trimmed(q, &f)) {
        err = retire_file(q, &f);
        if (err != OK)
            push_front(q, &f);
    }
    pthread_mutex_unlock(&q->trim_lock);
    return err;
}

static void disk_reclaim(struct queue *base)
{
    (void)drop_spares((struct disk_queue *)base);
}

/* ---- the writer ---- */

static void group_push(struct group *g, struct pending *p)
{
    p->next = NULL;
    if (g->last)
        g->last->next = p;
    else
        g->head = p;
    g->last = p;
    g->bytes += p->bytes;
    g->packed_bytes += p->plain_bytes ? p->bytes : 0;
    g->plain_bytes += p->plain_bytes;
    g->bodies++;
    g->frames += p->n;
    for (uint32_t i = 0; i < p->n; i++)
        g->payload_bytes += p->frame[i]->bytes.n;
}

static struct pending *group_pop(struct group *g)
{
    struct pending *p = g->head;
    g->head = p->next;
    if (!g->head)
        g->last = NULL;
    g->bytes -= p->bytes;
    g->packed_bytes -= p->plain_bytes ? p->bytes : 0;
    g->plain_bytes -= p->plain_bytes;
    return p;
}

/* Waits for work, for a second at most; false when there is none and will be none. */
static bool take_group(struct disk_queue *q, struct group *ret)
{
    *ret = (struct group){0};
    int64_t until = clock_mono_ns() + CHECK_EVERY_NS;
    pthread_mutex_lock(&q->lock);
    while (!q->line.head && !q->closing && cond_wait_until(&q->wake, &q->lock, until))
        continue;
    bool more = q->line.head || !q->closing;
    while (q->line.head && (!ret->head || ret->bytes + q->line.head->bytes <= DISK_GROUP_BYTES))
        group_push(ret, group_pop(&q->line));
    pthread_mutex_unlock(&q->lock);
    return more;
}

static void add_iov(struct disk_queue *q, size_t *n, const void *p, size_t bytes)
{
    if (bytes)
        q->iov[(*n)++] = (struct iovec){(void *)(uintptr_t)p, bytes};
}

/* Lays the group out behind `end`; returns the number of pieces. */
static size_t lay_out(struct disk_queue *q, const struct group *g)
{
    static const char zeros[WAL_ENTRY_BYTES];
    ARRAY_GROW(q->iov, q->iov_cap, g->frames * 3 + 1);
    ARRAY_GROW(q->heads, q->heads_cap, g->frames * WAL_ENTRY_BYTES);
    uint64_t offset = q->end, position = q->next;
    char *head = q->heads;
    size_t n = 0;
    for (struct pending *p = g->head; p; p = p->next) {
        p->first_position = position;
        for (uint32_t i = 0; i < p->n; i++) {
            struct str bytes = p->frame[i]->bytes;
            struct wal_entry e = {position++, i, p->n, (uint32_t)bytes.n, p->hash[i]};
            wal_entry_encode(&e, q->salt, offset, head);
            add_iov(q, &n, head, WAL_ENTRY_BYTES);
            add_iov(q, &n, bytes.p, bytes.n);
            add_iov(q, &n, zeros, wal_padded(bytes.n) - bytes.n);
            head += WAL_ENTRY_BYTES;
            offset += wal_entry_size(bytes.n);
        }
    }
    CHECK(offset == q->end + g->bytes);
    add_iov(q, &n, zeros, sizeof(zeros));
    return n;
}

/* Ahead of the writes, so that a file's blocks lie together and a sync has less to note. Where
 * there is no space for it the write decides. */
static void allocate_ahead(struct disk_queue *q, uint64_t need)
{
    if (need <= q->allocated)
        return;
    uint64_t want = need + ALLOCATE_STEP;
    if (want > q->options.file_bytes)
        want = need > q->options.file_bytes ? need : q->options.file_bytes;
    q->allocated = io_allocate(q->fd, want) == OK ? want : need;
}

/* All before `end` is durable, and whoever reads it may know. Not synced: where it does not get to
 * the disk, or fails, the file is what it was without it. */
static void mark_end(struct disk_queue *q)
{
    char mark[WAL_ENTRY_BYTES];
    wal_entry_encode(&(struct wal_entry){.position = q->next}, q->salt, q->end, mark);
    if (io_pwrite(q->fd, mark, sizeof(mark), q->end) != OK)
        log_warn("cannot mark the end of the queue", "reason=%s", err_text());
}

/* Is the last file still where a restart would look for it? */
static enum err check_place(struct disk_queue *q)
{
    pthread_mutex_lock(&q->lock);
    uint64_t last = q->n_files ? q->files[q->n_files - 1].header.first_position : 0;
    pthread_mutex_unlock(&q->lock);
    char *path = disk_path_of(q, last);
    bool there = !last || (q->fd >= 0 ? io_is_at(q->fd, path) : io_exists(path));
    enum err err = OK;
    if (!there)
        err = err_set(ERR_IO, "the queue's file %s was removed under the running server", path);
    mem_free(path);
    return err;
}

static void note_lost(struct disk_queue *q)
{
    log_error("queue has lost its file", "reason=%s", err_text());
    if (q->consumer.lost)
        q->consumer.lost(q->consumer.ctx);
}

/* Once a second, with nothing to do. A new file is begun so that the next check finds one. */
static void check_at_rest(struct disk_queue *q)
{
    if (q->sealed && q->fd >= 0)
        return; /* after a failed write: the next one begins a file */
    if (check_place(q) == OK)
        return;
    note_lost(q);
    if (begin_file(q) != OK)
        log_error("cannot begin a new queue file", "reason=%s", err_text());
}

static enum err write_group(struct disk_queue *q, const struct group *g)
{
    if (q->gave_up)
        return err_set(ERR_UNAVAILABLE, "the queue is closing and its disk does not work");
    if (!q->sealed && q->end > WAL_START && q->end + g->bytes > q->options.file_bytes)
        q->sealed = true;
    if (q->sealed)
        TRY(begin_file(q));
    size_t n = lay_out(q, g);
    q->dirty = true;
    allocate_ahead(q, q->end + g->bytes + WAL_ENTRY_BYTES);
    CHECK(n <= INT32_MAX);
    struct stopwatch watch = watch_start();
    TRY(direct_pwritev(&q->direct, q->fd, q->iov, (int)n, q->end));
    enum err err = disk_sync(q, q->fd);
    if (err != OK) {
        q->sealed = true;
        pthread_mutex_lock(&q->lock);
        q->stats.poisoned = true;
        pthread_mutex_unlock(&q->lock);
        return err;
    }
    watch_note(q, &watch, (struct pace_bytes){g->bytes, g->packed_bytes, g->plain_bytes});
    err = check_place(q);
    if (err != OK) {
        q->sealed = true;
        note_lost(q);
        return err;
    }
    q->dirty = false;
    q->end += g->bytes;
    q->next += g->frames;
    mark_end(q);
    return OK;
}

/* Makes what stands behind `end` never have been. */
static enum err take_back(struct disk_queue *q)
{
    if (!q->sealed) {
        q->allocated = q->end;
        if (io_truncate(q->fd, q->end) == OK && disk_sync(q, q->fd) == OK) {
            q->dirty = false;
            if (q->end > WAL_START)
                mark_end(q);
            return OK;
        }
        q->sealed = true;
    }
    return begin_file(q);
}

static enum err take_back_at_last(struct disk_queue *q)
{
    int64_t pause_ms = 10;
    for (int tries = 1;; tries++) {
        if (take_back(q) == OK)
            return OK;
        log_error("queue cannot take back a failed write", "reason=%s", err_text());
        pthread_mutex_lock(&q->lock);
        q->gave_up = q->closing && tries >= CLOSE_TRIES;
        pthread_mutex_unlock(&q->lock);
        if (q->gave_up)
            return ERR_TIMEOUT;
        clock_sleep_ms(pause_ms);
        pause_ms = pause_ms < 500 ? pause_ms * 2 : 1000;
    }
}

static void deliver_group(struct disk_queue *q, const struct group *g)
{
    const struct queue_consumer *c = &q->consumer;
    for (const struct pending *p = g->head; p; p = p->next)
        c->deliver(c->ctx, p->frame, p->n, p->first_position, p->ctx);
    if (c->committed)
        c->committed(c->ctx);
}

static void count_group(struct disk_queue *q, const struct group *g, enum err err)
{
    pthread_mutex_lock(&q->lock);
    if (err == OK) {
        q->stats.appended_bodies += g->bodies;
        q->stats.appended_frames += g->frames;
        q->stats.appended_bytes += g->payload_bytes;
        q->stats.syncs++;
    }
    q->stats.waiting_bytes -= g->bytes;
    q->stats.next_position = q->next;
    if (q->n_files && q->fd >= 0) {
        struct wal_file *f = &q->files[q->n_files - 1];
        f->end = q->end;
        f->bytes = q->allocated > q->end ? q->allocated : q->end;
    }
    pthread_mutex_unlock(&q->lock);
}

static void answer_group(struct disk_queue *q, struct group *g, enum err err, const char *reason)
{
    for (struct pending *p = g->head, *next; p; p = next) {
        next = p->next;
        for (uint32_t i = 0; i < p->n; i++)
            blob_unref(p->frame[i]);
        if (p->done)
            p->done(p->ctx, err, reason, err == OK ? p->first_position : 0);
        mem_free(p);
    }
    pthread_mutex_lock(&q->lock);
    q->finished += g->bodies;
    pthread_cond_broadcast(&q->answered);
    pthread_mutex_unlock(&q->lock);
}

static void run_group(struct disk_queue *q, struct group *g)
{
    char reason[DISK_REASON_MAX] = "";
    enum err err = write_group(q, g);
    if (err == ERR_FULL && drop_spares(q) && (!q->dirty || take_back(q) == OK))
        err = write_group(q, g);
    if (err != OK) {
        snprintf(reason, sizeof(reason), "%s", err_text());
        log_error("queue write failed", "bodies=%" PRIu64 " reason=%s", g->bodies, reason);
    }
    if (q->dirty && !q->gave_up && take_back_at_last(q) != OK) {
        err = ERR_TIMEOUT;
        snprintf(reason, sizeof(reason), "it is not known whether this was stored: %.200s",
                 err_text());
    }
    if (err == OK)
        deliver_group(q, g);
    count_group(q, g, err);
    answer_group(q, g, err, err == OK ? NULL : reason);
}

static void *writer_main(void *arg)
{
    struct disk_queue *q = arg;
    struct group g;
    while (take_group(q, &g)) {
        if (g.head) {
            run_group(q, &g);
        } else {
            pace_idle(&q->pace, clock_mono_ns());
            check_at_rest(q);
        }
    }
    return NULL;
}

static enum err disk_start(struct queue *base, uint64_t from, const struct queue_consumer *consumer,
                           void (*progress)(uint64_t done, uint64_t total))
{
    struct disk_queue *q = (struct disk_queue *)base;
    CHECK(!q->started && consumer->deliver);
    q->consumer = *consumer;
    TRY(disk_replay(q, from, progress));
    TRY(thread_start(&q->thread, "wal", writer_main, q));
    pthread_mutex_lock(&q->lock);
    q->started = true;
    pthread_mutex_unlock(&q->lock);
    return OK;
}

/* ---- appending ---- */

/* What is on disk and still needed. The last file counts until all of it is published. */
static uint64_t disk_used(const struct disk_queue *q)
{
    uint64_t sum = 0;
    for (size_t i = 0; i + 1 < q->n_files; i++)
        sum += q->files[i].bytes;
    if (q->n_files && q->stats.trimmed_to < q->stats.next_position)
        sum += q->files[q->n_files - 1].end;
    return sum;
}

static enum err admit(const struct disk_queue *q, size_t bytes)
{
    if (!q->started || q->closing)
        return err_set(ERR_UNAVAILABLE,
                       q->closing ? "the queue is closing" : "the queue is still being replayed");
    uint64_t waiting = q->stats.waiting_bytes;
    if (q->options.waiting_max && waiting && waiting + bytes > q->options.waiting_max)
        return err_set(ERR_UNAVAILABLE,
                       "%" PRIu64 " bytes wait for the disk already, %zu may (queue.waiting_max): "
                       "send again a little later",
                       waiting, q->options.waiting_max);
    uint64_t used = q->options.disk_max ? disk_used(q) : 0;
    if (q->options.disk_max && used + waiting + bytes > q->options.disk_max)
        return err_set(ERR_UNAVAILABLE,
                       "the queue holds %" PRIu64 " bytes that are not in the store yet, %" PRIu64
                       " may (queue.disk_max): send again later, or see why publishing is behind",
                       used + waiting, q->options.disk_max);
    return OK;
}

static enum err check_body(const struct queue_body *body, size_t *ret_bytes)
{
    if (body->n == 0 || body->n > WAL_PARTS_MAX)
        return err_set(ERR_LIMIT, "a body of %u frames; 1 to %d are allowed", body->n,
                       WAL_PARTS_MAX);
    size_t bytes = 0;
    for (uint32_t i = 0; i < body->n; i++) {
        size_t n = body->frame[i]->bytes.n;
        if (n > WAL_PAYLOAD_MAX)
            return err_set(ERR_LIMIT, "a frame of %zu bytes; up to %u are allowed", n,
                           WAL_PAYLOAD_MAX);
        bytes += wal_entry_size(n);
    }
    *ret_bytes = bytes;
    return OK;
}

static struct pending *pending_new(const struct queue_body *body, size_t bytes)
{
    struct pending *p = mem_alloc(sizeof(*p) + body->n * (sizeof(*p->frame) + sizeof(*p->hash)));
    *p = (struct pending){.ctx = body->ctx,
                          .done = body->done,
                          .bytes = bytes,
                          .plain_bytes = body->plain_bytes,
                          .n = body->n};
    p->hash = (uint64_t *)(p + 1);
    p->frame = (struct blob **)(p->hash + body->n);
    for (uint32_t i = 0; i < body->n; i++) {
        p->frame[i] = body->frame[i];
        p->hash[i] = hash64(body->frame[i]->bytes);
    }
    return p;
}

static enum err disk_append(struct queue *base, const struct queue_body *body)
{
    struct disk_queue *q = (struct disk_queue *)base;
    size_t bytes = 0;
    TRY(check_body(body, &bytes));
    struct pending *p = pending_new(body, bytes);
    pthread_mutex_lock(&q->lock);
    enum err err = admit(q, bytes);
    if (err == OK) {
        for (uint32_t i = 0; i < p->n; i++)
            blob_charge(p->frame[i], OWNER_QUEUE);
        group_push(&q->line, p);
        q->stats.waiting_bytes += bytes;
        q->accepted++;
        pthread_cond_signal(&q->wake);
    }
    pthread_mutex_unlock(&q->lock);
    if (err != OK)
        mem_free(p);
    return err;
}

static void disk_drain(struct queue *base)
{
    struct disk_queue *q = (struct disk_queue *)base;
    pthread_mutex_lock(&q->lock);
    uint64_t until = q->accepted;
    while (q->finished < until)
        pthread_cond_wait(&q->answered, &q->lock);
    pthread_mutex_unlock(&q->lock);
}

/* ---- for readers ---- */

bool disk_span_of(struct disk_queue *q, uint64_t position, struct disk_span *ret)
{
    pthread_mutex_lock(&q->lock);
    size_t i = 0;
    while (i + 1 < q->n_files && q->files[i + 1].header.first_position <= position)
        i++;
    bool found = q->n_files > 0 && position < q->stats.next_position;
    if (found) {
        const struct wal_file *f = &q->files[i], *next = f + 1;
        *ret = (struct disk_span){.first_position = f->header.first_position,
                                  .salt = f->header.salt,
                                  .end = f->end,
                                  .limit = q->stats.next_position,
                                  .last = i + 1 == q->n_files};
        if (!ret->last) {
            bool known = next->header.prev_salt == f->header.salt;
            ret->end = known ? next->header.prev_end : f->bytes;
            ret->limit = next->header.first_position;
        }
    }
    pthread_mutex_unlock(&q->lock);
    return found;
}

static bool disk_is_slow(const struct queue *base)
{
    return pace_is_slow(&((const struct disk_queue *)base)->pace);
}

static void disk_stats(struct queue *base, struct queue_stats *ret)
{
    struct disk_queue *q = (struct disk_queue *)base;
    pthread_mutex_lock(&q->lock);
    *ret = q->stats;
    ret->disk_is_slow = disk_is_slow(base);
    ret->files = q->n_files;
    ret->bytes_on_disk = q->spare_bytes;
    for (size_t i = 0; i < q->n_files; i++)
        ret->bytes_on_disk += q->files[i].bytes;
    ret->first_position = q->n_files ? q->files[0].header.first_position : q->stats.next_position;
    pthread_mutex_unlock(&q->lock);
}

/* A queue at rest holds what is not published yet and nothing else: no spares, no preallocated
 * space, and where all is published no entries, nor a second copy of the header, which has none to
 * speak for. Whatever fails is left as it was. */
static void tidy(struct disk_queue *q)
{
    q->spare_bytes_max = 0;
    (void)drop_spares(q);
    if (q->fd < 0 || q->dirty || q->sealed)
        return;
    enum err err = OK;
    if (q->end > WAL_START && q->stats.trimmed_to >= q->next)
        err = begin_file(q);
    if (err == OK)
        err = io_truncate(q->fd, q->end > WAL_START ? q->end + WAL_ENTRY_BYTES /* the mark stays */
                                                    : WAL_HEADER_BYTES);
    if (err == OK)
        err = disk_trim(&q->base, q->stats.trimmed_to);
    if (err != OK)
        log_warn("the queue's files could not be tidied", "reason=%s", err_text());
}

static void disk_close(struct queue *base)
{
    struct disk_queue *q = (struct disk_queue *)base;
    pthread_mutex_lock(&q->lock);
    q->closing = true;
    pthread_cond_signal(&q->wake);
    pthread_mutex_unlock(&q->lock);
    if (q->started) {
        pthread_join(q->thread, NULL);
        tidy(q);
    }
    CHECK(!q->line.head);
    io_close(q->fd);
    direct_release(&q->direct);
    io_close(q->lock_fd);
    pthread_cond_destroy(&q->wake);
    pthread_cond_destroy(&q->answered);
    pthread_mutex_destroy(&q->lock);
    pthread_mutex_destroy(&q->trim_lock);
    mem_free(q->iov);
    mem_free(q->heads);
    mem_free(q->files);
    mem_free(q->spares);
    mem_free(q->dir);
    mem_free(q);
}

static const struct queue_ops disk_ops = {
    .start = disk_start,
    .append = disk_append,
    .reader_new = disk_reader_new,
    .reader_free = disk_reader_free,
    .reader_next = disk_reader_next,
    .reader_lost = disk_reader_lost,
    .trim = disk_trim,
    .disk_is_slow = disk_is_slow,
    .reclaim = disk_reclaim,
    .drain = disk_drain,
    .stats = disk_stats,
    .close = disk_close,
};

enum err queue_open_disk(const struct queue_options *options, struct queue **ret)
{
    struct disk_queue *q = NEW(struct disk_queue);
    q->base.ops = &disk_ops;
    q->options = *options;
    q->dir = mem_strdup(str_c(options->dir));
    q->options.dir = q->dir;
    q->lock_fd = q->fd = -1;
    direct_init(&q->direct, options->direct_min);
    q->sealed = true;
    /* So that a trim can give space back long before the bound. */
    if (options->disk_max && q->options.file_bytes > options->disk_max / 4)
        q->options.file_bytes = options->disk_max / 4;
    q->spare_bytes_max = SPARE_BYTES_MAX;
    if (options->disk_max && options->disk_max / 4 < SPARE_BYTES_MAX)
        q->spare_bytes_max = options->disk_max / 4;
    if (q->options.file_bytes < FILE_BYTES_MIN)
        q->options.file_bytes = FILE_BYTES_MIN;
    pthread_mutex_init(&q->trim_lock, NULL);
    pthread_mutex_init(&q->lock, NULL);
    cond_init(&q->wake);
    cond_init(&q->answered);
    enum err err = open_folder(q);
    if (err != OK) {
        disk_close(&q->base);
        return err;
    }
    *ret = &q->base;
    return OK;
}
