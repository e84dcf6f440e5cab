/* Room on the disk.
 *
 * DIR/reserve is a file of zeros that is there to be given up: when a cut or an expiry meets a full
 * disk, the file goes and they try once more. So what is in memory gets into a segment, its queue
 * files go, and there is more room than before. It is made when the disk gets fuller (less than
 * RESERVE_WHEN times its size is free), again as soon as it fits, and removed when it is not needed
 * any more: on a disk with room a data folder holds nothing but data.
 *
 * Admission is closed while less than the low mark is free or the reserve is missing; that the
 * reserve must fit first keeps it from flapping. It is also closed while what is in memory would
 * not fit on the disk as a segment, the reserve given up: a cut that cannot be written frees no
 * queue file, and nothing would ever move again. While it is closed, the queue gives back what it
 * keeps for speed (options.reclaim) and whatever is in memory is cut. Nothing here waits for
 * anybody: space that is freed, by whom ever, is seen within WATCH_EVERY_NS. */
#include "core/io.h"
#include "core/log.h"
#include "core/mem.h"
#include "store/store_impl.h"

#include <inttypes.h>
#include <stdio.h>

/* What must stay free for queue, catalog and the next cut, on a large disk and on a small one. */
#define LOW_MARK (64ull << 20)
#define LOW_PART 20
#define RESERVE_PART 8
#define RESERVE_WHEN 16

struct space {
    uint64_t free_bytes, total, low;
    uint64_t reserve; /* how large it is to be; 0: not needed */
};

static char *reserve_path(const char *dir)
{
    return mem_printf("%s/reserve", dir);
}

static enum err look(const char *dir, uint64_t reserve_bytes, bool reserved, struct space *ret)
{
    struct space t;
    TRY(io_disk_space(dir, &t.free_bytes, &t.total));
    t.low = t.total / LOW_PART < LOW_MARK ? t.total / LOW_PART : LOW_MARK;
    t.reserve = t.total / RESERVE_PART < reserve_bytes ? t.total / RESERVE_PART : reserve_bytes;
    uint64_t room = t.free_bytes + (reserved ? t.reserve : 0);
    if (room >= t.low + t.reserve * RESERVE_WHEN)
        t.reserve = 0;
    *ret = t;
    return OK;
}

enum err store_make_room(const char *dir)
{
    struct space t;
    char *path = reserve_path(dir);
    enum err err = look(dir, 0, false, &t);
    if (err == OK && t.free_bytes < t.low && io_exists(path)) {
        log_warn("the disk is full, its reserve is given up", "free=%" PRIu64, t.free_bytes);
        err = io_unlink(path);
    }
    mem_free(path);
    return err;
}

/* The reserve as it should be, or not at all. */
static void make_reserve(struct store *s, uint64_t bytes)
{
    char *path = reserve_path(s->dir);
    int fd = -1;
    enum err err = io_open(path, IO_WRITE, &fd);
    if (err == OK)
        err = io_truncate(fd, bytes);
    if (err == OK)
        err = io_allocate(fd, bytes);
    io_close(fd);
    s->reserved = err == OK;
    if (err != OK) {
        log_warn("the reserve cannot be made", "bytes=%" PRIu64 " error=%s", bytes, err_text());
        if (io_unlink(path) != OK)
            log_warn("what there is of the reserve stays", "error=%s", err_text());
    }
    mem_free(path);
}

static void remove_reserve(struct store *s)
{
    char *path = reserve_path(s->dir);
    if (io_unlink(path) != OK)
        log_error("the reserve cannot be removed", "error=%s", err_text());
    s->reserved = false;
    mem_free(path);
}

/* Local copies are kept for speed alone: they go until a cut of `cut` bytes fits too. True when one
 * went. */
static bool make_copies_give_way(struct store *s, uint64_t cut, struct space *t)
{
    uint64_t missing = s->reserved ? 0 : t->reserve;
    bool any = false;
    while (t->free_bytes < t->low + missing + cut && copies_give_way(s)) {
        any = true;
        if (look(s->dir, s->o.reserve_bytes, s->reserved, t) != OK)
            break;
    }
    return any;
}

bool space_give_up_reserve(struct store *s)
{
    struct space t;
    pthread_mutex_lock(&s->lock);
    uint64_t cut = store_memory(s);
    pthread_mutex_unlock(&s->lock);
    pthread_mutex_lock(&s->space_lock);
    bool had = s->reserved;
    if (had)
        remove_reserve(s);
    bool gave = look(s->dir, 0, false, &t) == OK && make_copies_give_way(s, cut, &t);
    pthread_mutex_unlock(&s->space_lock);
    if (had)
        log_warn("the disk is full, its reserve is given up", NULL);
    if (s->o.reclaim)
        s->o.reclaim(s->o.ctx);
    return had || gave;
}

/* Looks, and mends what can be mended. */
static enum err look_and_mend(struct store *s, uint64_t cut, struct space *ret)
{
    TRY(look(s->dir, s->o.reserve_bytes, s->reserved, ret));
    if (s->reserved && !ret->reserve)
        remove_reserve(s);
    uint64_t missing = s->reserved ? 0 : ret->reserve;
    if (ret->free_bytes < ret->low + missing && s->o.reclaim) {
        s->o.reclaim(s->o.ctx);
        TRY(look(s->dir, s->o.reserve_bytes, s->reserved, ret));
    }
    (void)make_copies_give_way(s, cut, ret);
    if (missing && ret->free_bytes >= ret->low + missing) {
        make_reserve(s, missing);
        TRY(look(s->dir, s->o.reserve_bytes, s->reserved, ret));
    }
    return OK;
}

/* Empty: there is room. */
static void describe(struct store *s, char *text, size_t n)
{
    struct space t = {0};
    pthread_mutex_lock(&s->lock);
    uint64_t cut = store_memory(s);
    pthread_mutex_unlock(&s->lock);
    pthread_mutex_lock(&s->space_lock);
    enum err err = look_and_mend(s, cut, &t);
    uint64_t missing = s->reserved ? 0 : t.reserve;
    uint64_t room = t.free_bytes + (s->reserved ? t.reserve : 0);
    pthread_mutex_unlock(&s->space_lock);
    if (err != OK)
        log_warn("the disk cannot be looked at", "error=%s", err_text());
    else if (t.free_bytes < t.low || missing || room < t.low + cut)
        snprintf(text, n,
                 "the disk is full (%" PRIu64 " of %" PRIu64 " MiB free, %" PRIu64
                 " are needed): free some space, or set a lower store.max_disk or store.retention",
                 t.free_bytes >> 20, t.total >> 20, (t.low + missing + cut + (1 << 20) - 1) >> 20);
}

void space_init(struct store *s)
{
    char *path = reserve_path(s->dir);
    s->reserved = io_exists(path);
    mem_free(path);
    if (s->o.reserve_bytes)
        (void)space_watch(s);
}

bool space_watch(struct store *s)
{
    char text[sizeof(s->disk_text)] = "";
    struct manifest *m = store_manifest(s);
    uint64_t used = retention_bytes_used(s, m);
    bool shared = store_is_shared(s); /* then segments are not this folder's alone */
    bool over = s->max_disk && used > s->max_disk, segments = m->n > 0 && !shared;
    manifest_unref(m);
    describe(s, text, sizeof(text));
    if (!text[0] && over && !segments)
        snprintf(text, sizeof(text),
                 "store.max_disk (%" PRIu64 " MiB) is used up by what is not in segments yet "
                 "(%" PRIu64 " MiB): raise it",
                 (uint64_t)s->max_disk >> 20, used >> 20);
    pthread_mutex_lock(&s->lock);
    if (text[0] && !s->disk_low)
        log_error("ingest is closed", "reason=%s", text);
    else if (!text[0] && s->disk_low)
        log_info("ingest is open again", NULL);
    s->disk_low = text[0] != 0;
    metric_set(s->m.disk_low, s->disk_low);
    memcpy(s->disk_text, text, sizeof(text));
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
    return over && segments;
}

void store_cut_soon(struct store *s)
{
    pthread_mutex_lock(&s->lock);
    s->cut_wanted = true;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
}
