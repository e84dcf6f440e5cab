/* One file: who it is, and its lines.
 *
 * What is between the offset and the end of the last whole record is read again each time: no part
 * of a line is kept anywhere, so the memory does not grow with the number of files. The record at
 * the end of a file that lacks its line feed is left alone until the file is gone, and a group of
 * lines (multiline) that may go on until QUIET_NS have passed without a change.
 *
 * BEFORE a read the bytes before the offset are hashed and compared: a file that was truncated and
 * has grown past the offset since is begun anew.
 *
 * A FILE THAT IS NEW to us may be a copy of one that we know (copy and truncation, a packed
 * rotation): when its first TAIL_MARK bytes are those of a known file, and so are the bytes before
 * the known offset, reading goes on there. While it is shorter than that and was changed a moment
 * ago, it may still be being copied, and is looked at later. */
#include "core/clock.h"
#include "core/hash.h"
#include "core/log.h"
#include "core/mem.h"
#include "input/tail_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { READ_BYTES = 256 << 10, TURN_BYTES = 4 << 20, GZIP_LEAST = 18 };
#define QUIET_NS NS_PER_S
#define COPYING_NS (5 * NS_PER_S)
#define GONE_LINKED_NS (300 * NS_PER_S)
#define GONE_DELETED_NS (5 * NS_PER_S)

static ssize_t read_at(int fd, char *to, size_t n, uint64_t at)
{
    ssize_t got;
    do
        got = pread(fd, to, n, (off_t)at);
    while (got < 0 && errno == EINTR);
    return got;
}

bool tail_hash_before(int fd, uint64_t to, uint32_t n, uint64_t *ret)
{
    char mark[TAIL_MARK];
    if (read_at(fd, mark, n, to - n) != (ssize_t)n)
        return false;
    *ret = hash64(str_of(mark, n));
    return true;
}

static uint32_t mark_of(uint64_t offset)
{
    return offset < TAIL_MARK ? (uint32_t)offset : TAIL_MARK;
}

/* ---- plain or packed ---- */

static bool hash_plain(struct tail_file *f, uint64_t to, uint32_t n, uint64_t *ret)
{
    char mark[TAIL_MARK];
    size_t got = 0, more = 1;
    if (!f->packed)
        return tail_hash_before(f->fd, to, n, ret);
    while (got < n && more) {
        if (tail_packed_read(f->packed, to - n + got, mark + got, n - got, &more) != OK)
            return false;
        got += more;
    }
    *ret = hash64(str_of(mark, n));
    return got == n;
}

static enum err read_some(struct tail *t, struct tail_file *f, uint64_t at, char *to, size_t n,
                          size_t *ret)
{
    if (f->packed)
        return tail_packed_read(f->packed, at, to, n, ret);
    ssize_t got = read_at(f->fd, to, n, at);
    if (got < 0)
        return err_set_errno("cannot read %s", f->e.path);
    *ret = (size_t)got;
    return OK;
}

/* Looks whether the file is packed until that is decided. */
static void unpack(struct tail_file *f)
{
    if (!f->known)
        f->is_packed = tail_packed_is(f->fd);
    if (f->is_packed && !f->packed)
        f->packed = tail_packed_new(f->fd);
}

/* ---- identity ---- */

/* Whether this is the file of the entry, and holds what was read of it. */
static bool holds(struct tail_file *f, const struct tail_entry *e)
{
    uint64_t hash;
    if (!e->offset)
        return !e->head_bytes ||
               (hash_plain(f, e->head_bytes, e->head_bytes, &hash) && hash == e->head_hash);
    if (!f->is_packed && f->size < e->offset)
        return false;
    return hash_plain(f, e->head_bytes, e->head_bytes, &hash) && hash == e->head_hash &&
           hash_plain(f, e->offset, mark_of(e->offset), &hash) && hash == e->tail_hash;
}

enum found { FOUND_NEW, FOUND_COPY, FOUND_LATER };

static enum found find_original(struct tail *t, struct tail_file *f, int64_t age_ns)
{
    enum found found = FOUND_NEW;
    uint64_t head, hash;
    if (!hash_plain(f, TAIL_MARK, TAIL_MARK, &head))
        return FOUND_NEW;
    for (size_t i = 0; i < t->positions.n; i++) {
        struct tail_entry *e = &t->positions.entry[i];
        if (e->head_bytes < TAIL_MARK || e->offset < TAIL_MARK || head != e->head_hash)
            continue;
        if (hash_plain(f, e->offset, TAIL_MARK, &hash) && hash == e->tail_hash) {
            if (e->offset > f->e.offset) {
                f->e.offset = e->offset;
                f->e.head_bytes = e->head_bytes;
                f->e.head_hash = e->head_hash;
                f->e.tail_hash = e->tail_hash;
                memcpy(f->e.ahead, e->ahead, sizeof(e->ahead));
            }
            found = FOUND_COPY;
        } else if (found == FOUND_NEW && age_ns < COPYING_NS) {
            found = FOUND_LATER;
        }
    }
    return found;
}

static void restart(struct tail *t, struct tail_file *f)
{
    log_info("file was written anew", "file=%s", f->e.path);
    f->e.offset = 0;
    f->e.head_bytes = 0;
    f->e.head_hash = f->e.tail_hash = 0;
    memset(f->e.ahead, 0, sizeof(f->e.ahead));
}

/* Whether it is a file that we have read before; with what is known of it. */
static bool is_ours(struct tail *t, struct tail_file *f)
{
    size_t at = tail_positions_find(&t->positions, f->e.device, f->e.inode);
    unpack(f);
    if (at != SIZE_MAX) {
        const struct tail_entry *e = &t->positions.entry[at];
        f->e.records = e->records;
        f->e.at_ns = e->at_ns;
        if (holds(f, e)) {
            f->e.head_bytes = e->head_bytes;
            f->e.head_hash = e->head_hash;
            f->e.offset = e->offset;
            f->e.tail_hash = e->tail_hash;
            memcpy(f->e.ahead, e->ahead, sizeof(e->ahead));
            return true;
        }
    }
    return false;
}

/* Decides where the reading of a file that has content now begins; false: not yet. */
static bool recognise(struct tail *t, struct tail_file *f)
{
    struct stat st;
    if (f->known || !f->size)
        return true;
    if (fstat(f->fd, &st) != 0 || (f->size < GZIP_LEAST && str_ends(str_c(f->e.path), STR(".gz"))))
        return false;
    int64_t age_ns = clock_now_ns() - (st.st_mtim.tv_sec * NS_PER_S + st.st_mtim.tv_nsec);
    f->known = find_original(t, f, age_ns) != FOUND_LATER;
    if (f->e.offset)
        log_info("a copy of what was read", "file=%s offset=%llu", f->e.path,
                 (unsigned long long)f->e.offset);
    return f->known;
}

/* ---- opening ---- */

static void add_file(struct tail *t, struct tail_file *f)
{
    ARRAY_GROW(t->file, t->cap, t->n + 1);
    t->file[t->n++] = f;
}

void tail_file_free(struct tail_file *f)
{
    tail_packed_free(f->packed);
    if (f->fd >= 0)
        close(f->fd);
    mem_free(f->e.path);
    mem_free(f->service);
    mem_free(f->link);
    tail_about_free(f->about);
    tail_carry_free(f->carry);
    mem_free(f);
}

enum err tail_file_open(struct tail *t, const char *path, struct str service)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return errno == ENOENT ? OK : err_set_errno("cannot open %s", path);
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        close(fd);
        return OK;
    }
    struct tail_file *f = NEW(struct tail_file);
    f->fd = fd;
    f->watch = -1;
    f->e.device = st.st_dev;
    f->e.inode = st.st_ino;
    f->e.path = mem_strdup(str_c(path));
    f->source = tail_source_of(t, path);
    f->service = mem_strdup(service);
    f->size = (uint64_t)st.st_size;
    f->grown_ns = clock_mono_ns();
    f->seen = f->dirty = true;
    f->known = is_ours(t, f);
    log_info("following", "file=%s offset=%llu", path, (unsigned long long)f->e.offset);
    add_file(t, f);
    return OK;
}

/* ---- looking ---- */

void tail_file_look(struct tail *t, struct tail_file *f)
{
    struct stat st;
    if (fstat(f->fd, &st) != 0)
        return;
    uint64_t size = (uint64_t)st.st_size;
    if (size != f->size)
        f->grown_ns = clock_mono_ns();
    f->size = size;
    f->dirty = f->dirty || (f->is_packed ? f->grown_ns > clock_mono_ns() - 2 * COPYING_NS
                                         : size != f->e.offset);
}

bool tail_file_over(struct tail *t, const struct tail_file *f)
{
    struct stat st;
    if (!f->gone || f->touched || fstat(f->fd, &st) != 0)
        return false;
    int64_t quiet = clock_mono_ns() - f->grown_ns;
    bool drained = f->is_packed || (uint64_t)st.st_size <= f->e.offset;
    return drained && quiet >= (st.st_nlink ? GONE_LINKED_NS : GONE_DELETED_NS);
}

/* ---- lines ---- */

/* A wide carriage return is cut off when the line has been converted. */
static struct str without_end(const char *p, size_t n, size_t unit)
{
    n -= unit;
    if (unit == 1 && n && p[n - 1] == '\r')
        n--;
    return str_of(p, n);
}

/* The end of the line that begins at `from`, behind its line feed; 0 when there is none. */
static size_t line_end(const struct tail *t, const char *p, size_t from, size_t n)
{
    if (!t->wide) {
        const char *lf = memchr(p + from, '\n', n - from);
        return lf ? (size_t)(lf - p) + 1 : 0;
    }
    size_t hi = t->wide == TAIL_WIDE_LITTLE ? 1 : 0;
    for (size_t i = from; i + 1 < n; i += 2)
        if (p[i + 1 - hi] == '\n' && !p[i + hi])
            return i + 2;
    return 0;
}

struct cutter {
    struct tail *t;
    struct tail_file *f;
    const char *p;
    size_t n, begin, end; /* of the buffer; of the group at hand */
    size_t unit;
};

static enum err emit(struct cutter *c, struct str text)
{
    return text.n ? tail_body_add(c->t, c->f, &(struct tail_line){.text = text}) : OK;
}

/* The group [begin, end) is whole. */
static enum err emit_group(struct cutter *c)
{
    if (c->end == c->begin)
        return OK;
    struct str text = without_end(c->p + c->begin, c->end - c->begin, c->unit);
    c->begin = c->end;
    return emit(c, text);
}

/* Whole lines; c->begin is then where the first that is not whole begins. */
static enum err cut_lines(struct cutter *c)
{
    const struct multiline *m = c->t->o.multiline;
    size_t end;
    for (size_t at = 0; (end = line_end(c->t, c->p, at, c->n)); at = end) {
        struct str line = without_end(c->p + at, end - at, c->unit);
        bool goes_on = m && multiline_continues(m, &c->f->group, line) && c->end > c->begin;
        if (!goes_on) {
            TRY(emit_group(c));
            c->begin = at;
        }
        c->end = end;
        if (!m || c->end - c->begin > c->t->o.line_max)
            TRY(emit_group(c));
    }
    return OK;
}

bool tail_is_quiet(const struct tail_file *f)
{
    return clock_mono_ns() - f->grown_ns >= QUIET_NS;
}

/* The length of a byte order mark. */
static size_t skip_mark(struct tail *t, struct tail_file *f, const char *p, size_t n)
{
    if (f->e.offset)
        return 0;
    if (t->wide)
        return n >= 2 && (!memcmp(p, "\xff\xfe", 2) || !memcmp(p, "\xfe\xff", 2)) ? 2 : 0;
    return n >= 3 && !memcmp(p, "\xef\xbb\xbf", 3) ? 3 : 0;
}

/* Takes what is whole of the n bytes in the buffer, all there is when `all`; *ret: how much. */
static enum err take_lines(struct tail *t, struct tail_file *f, size_t n, bool all, size_t *ret)
{
    size_t mark = skip_mark(t, f, t->read.p, n);
    struct cutter c = {
        .t = t, .f = f, .p = t->read.p + mark, .n = n - mark, .unit = t->wide ? 2 : 1};
    f->group = (struct multiline_state){0};
    TRY(cut_lines(&c));
    size_t last = c.end; /* behind the last line feed */
    bool quiet = tail_is_quiet(f) || f->gone || f->is_packed;
    if (all && quiet)
        TRY(emit_group(&c));
    if (all && quiet && (f->gone || f->is_packed) && last < c.n) {
        TRY(emit(&c, str_of(c.p + last, c.n - last)));
        c.begin = c.n;
    }
    *ret = c.begin ? c.begin + mark : 0;
    return OK;
}

/* A line longer than line_max: a piece of it. */
static enum err take_piece(struct tail *t, struct tail_file *f, size_t *ret)
{
    *ret = t->o.line_max & ~(size_t)1;
    return tail_body_add(t, f, &(struct tail_line){.text = str_of(t->read.p, *ret)});
}

/* ---- reading ---- */

void tail_file_remember(struct tail_file *f, uint64_t offset)
{
    uint64_t hash;
    f->e.offset = offset;
    if (f->e.head_bytes < TAIL_MARK && f->e.head_bytes < offset &&
        hash_plain(f, mark_of(offset), mark_of(offset), &hash)) {
        f->e.head_bytes = mark_of(offset);
        f->e.head_hash = hash;
    }
    if (hash_plain(f, offset, mark_of(offset), &hash))
        f->e.tail_hash = hash;
}

void tail_file_mark(struct tail_file *f, uint64_t end)
{
    uint64_t hash;
    if (f->e.head_bytes < mark_of(end) && !f->is_packed &&
        hash_plain(f, mark_of(end), mark_of(end), &hash)) {
        f->e.head_bytes = mark_of(end);
        f->e.head_hash = hash;
    }
}

static bool was_rewritten(struct tail_file *f)
{
    uint64_t hash;
    if (f->is_packed)
        return false;
    for (unsigned i = 0; i < TAIL_STREAMS; i++)
        if (f->size < f->e.ahead[i])
            return true;
    if (!f->e.offset)
        return false;
    if (f->size < f->e.offset)
        return true;
    return hash_plain(f, f->e.offset, mark_of(f->e.offset), &hash) && hash != f->e.tail_hash;
}

/* Reads to the buffer from the offset; *ret_all: up to the end of the file. */
static enum err fill(struct tail *t, struct tail_file *f, size_t room, size_t *ret_n, bool *ret_all)
{
    size_t got = 0, some = 1;
    buf_clear(&t->read);
    char *to = buf_reserve(&t->read, room + JSON_PADDING);
    CHECK(to);
    while (got < room && some) {
        TRY(read_some(t, f, f->e.offset + got, to + got, room - got, &some));
        got += some;
        if (!f->packed && got < room && f->e.offset + got >= f->size)
            break;
    }
    *ret_n = got;
    *ret_all = got < room;
    return OK;
}

static enum err read_turn(struct tail *t, struct tail_file *f, bool *ret_more)
{
    size_t room = READ_BYTES, taken = 0;
    for (uint64_t turn = 0; turn < TURN_BYTES || f->is_packed; turn += taken) {
        size_t n;
        bool all;
        TRY(fill(t, f, room, &n, &all));
        if (!n)
            return OK;
        bool full = room >= t->o.line_max + READ_BYTES;
        if (f->source)
            TRY(tail_container_take(t, f, n, all, full, &taken));
        else
            TRY(take_lines(t, f, n, all, &taken));
        if (!taken && all)
            return OK;
        if (!taken && room < t->o.line_max + READ_BYTES) {
            room = room * 2 < t->o.line_max ? room * 2 : t->o.line_max + READ_BYTES;
            continue;
        }
        if (!taken)
            TRY(f->source ? err_set(ERR_CORRUPT, "%s: a container's line is longer than %zu bytes",
                                    f->e.path, room)
                          : take_piece(t, f, &taken));
        metric_add(t->bytes_metric, (int64_t)taken);
        tail_file_remember(f, f->e.offset + taken);
        if (t->body.bytes >= TAIL_BODY_BYTES)
            TRY(tail_body_commit(t));
        room = READ_BYTES;
    }
    *ret_more = true;
    return OK;
}

enum err tail_file_read(struct tail *t, struct tail_file *f, bool *ret_more)
{
    if (f->source)
        TRY(tail_container_before(t, f));
    f->dirty = false;
    *ret_more = false;
    tail_file_look(t, f);
    f->dirty = false;
    unpack(f);
    if (was_rewritten(f))
        restart(t, f);
    enum err err = recognise(t, f) ? read_turn(t, f, ret_more) : OK;
    tail_packed_free(f->packed);
    f->packed = NULL;
    if (t->read.cap > 4 * READ_BYTES)
        buf_release(&t->read);
    return err;
}
