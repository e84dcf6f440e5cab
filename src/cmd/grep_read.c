/* Files to pieces of whole lines. A range of a plain file begins behind the first line's end in it,
 * or one byte in front of it, and ends with the line that its last byte is in: every line is read
 * by just one range. */
#include "cmd/grep.h"
#include "cmd/source.h"
#include "core/clock.h"
#include "core/mem.h"
#include "record/json.h"
#include "store/segment.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SNIFF_BYTES = 8192, STEP_BYTES = 64 << 10, SPARE_BUFFERS = 32, MAP_MIN = 1 << 20 };

/* Buffers whose memory is warm: fresh memory costs more than what is read into it. */
static struct {
    pthread_mutex_t lock;
    struct buf buf[SPARE_BUFFERS];
    unsigned n;
} spare = {.lock = PTHREAD_MUTEX_INITIALIZER};

struct grep_piece *grep_piece_new(void)
{
    struct grep_piece *p = NEW(struct grep_piece);
    buf_init(&p->data, (size_t)GREP_LINE_MAX + 2 * GREP_PIECE_BYTES);
    pthread_mutex_lock(&spare.lock);
    if (spare.n > 0)
        p->data = spare.buf[--spare.n];
    pthread_mutex_unlock(&spare.lock);
    return p;
}

void grep_piece_empty(struct grep_piece *p)
{
    p->bytes = (struct str){0};
    pthread_mutex_lock(&spare.lock);
    if (p->data.cap && p->data.cap <= 4 * GREP_PIECE_BYTES && spare.n < SPARE_BUFFERS) {
        buf_clear(&p->data);
        spare.buf[spare.n++] = p->data;
        p->data = (struct buf){0};
    }
    pthread_mutex_unlock(&spare.lock);
    buf_release(&p->data);
}

void grep_piece_free(struct grep_piece *p)
{
    if (!p)
        return;
    grep_piece_empty(p);
    mem_free(p->hit);
    batch_free(p->rows);
    mem_free(p);
}

void grep_pieces_release(void)
{
    while (spare.n > 0)
        buf_release(&spare.buf[--spare.n]);
}

/* ---- what a file is ---- */

static enum err sniff(struct grep_file *f, int fd, bool named)
{
    char head[SNIFF_BYTES];
    ssize_t n = pread(fd, head, sizeof(head), 0);
    if (n < 0)
        return err_set_errno("cannot read %s", f->path);
    struct str bytes = str_of(head, (size_t)n);
    if (str_starts(bytes, STR("WEIRSEG1")))
        f->kind = GREP_SEGMENT;
    else if (source_is_compressed(bytes))
        f->kind = GREP_STREAM;
    else if (!named && memchr(head, 0, (size_t)n))
        return err_set(ERR_UNSUPPORTED, "%s is binary", f->path);
    return OK;
}

static enum err look_at(struct grep_file *f, bool named)
{
    struct stat st;
    if (stat(f->path, &st) != 0)
        return err_set_errno("%s", f->path);
    if (S_ISDIR(st.st_mode))
        return err_set(ERR_INVALID, "%s is a folder: -r searches what is in it", f->path);
    f->mtime_ns = (int64_t)st.st_mtim.tv_sec * NS_PER_S + st.st_mtim.tv_nsec;
    f->live = !S_ISREG(st.st_mode);
    if (f->live && !named)
        return err_set(ERR_UNSUPPORTED, "%s is no file", f->path);
    f->bytes = f->live ? 0 : (uint64_t)st.st_size;
    f->kind = f->bytes ? GREP_PLAIN : GREP_STREAM; /* those of /proc have no size */
    if (f->bytes == 0)
        return OK;
    f->fd = open(f->path, O_RDONLY | O_CLOEXEC);
    return f->fd < 0 ? err_set_errno("%s", f->path) : sniff(f, f->fd, named);
}

enum err grep_file_open(const char *path, bool named, struct grep_file **ret)
{
    struct grep_file *f = NEW(struct grep_file);
    bool is_stdin = !strcmp(path, "-");
    f->path = mem_strdup(is_stdin ? STR("<stdin>") : str_c(path));
    f->fd = -1;
    f->kind = GREP_STREAM;
    f->live = is_stdin;
    f->mtime_ns = clock_now_ns();
    enum err err = is_stdin ? OK : look_at(f, named);
    if (err == OK && f->kind != GREP_PLAIN && f->fd >= 0) {
        close(f->fd);
        f->fd = -1;
    }
    if (err == OK && f->kind == GREP_PLAIN && f->bytes >= MAP_MIN)
        f->map = grep_map_open(f->fd, f->bytes);
    if (err != OK) {
        grep_file_free(f);
        return err;
    }
    *ret = f;
    return OK;
}

void grep_file_free(struct grep_file *f)
{
    grep_map_close(f->map);
    if (f->fd >= 0)
        close(f->fd);
    mem_free(f->path);
    mem_free(f);
}

/* ---- pieces ---- */

/* Judges the piece's bytes and hands it on. *ret_more: go on. */
static enum err judge_bytes(struct grep_scanner *s, const struct grep_file *f, struct grep_piece *p,
                            const struct grep_sink *sink, bool *ret_more)
{
    enum err err = grep_scan(s, f, p);
    if (err != OK) {
        grep_piece_free(p);
        return err;
    }
    p->n_bytes = p->bytes.n;
    if (!p->n_hits && !grep_needs_data(s))
        grep_piece_empty(p);
    *ret_more = sink->take(sink->ctx, p);
    return OK;
}

/* Bytes [from, to) of the piece's data. */
static enum err judge(struct grep_scanner *s, const struct grep_file *f, struct grep_piece *p,
                      size_t from, size_t to, const struct grep_sink *sink, bool *ret_more)
{
    if (!buf_reserve(&p->data, JSON_PADDING)) {
        grep_piece_free(p);
        return err_set(ERR_LIMIT, "%s: a line is longer than %d MiB", f->path, GREP_LINE_MAX >> 20);
    }
    p->bytes = str_of(p->data.p + from, to - from);
    p->offset += from;
    return judge_bytes(s, f, p, sink, ret_more);
}

/* Appends bytes [at, at + n) of the file, fewer at its end. */
static enum err read_at(const struct grep_file *f, uint64_t at, size_t n, struct buf *to)
{
    char *room = buf_reserve(to, n + JSON_PADDING);
    if (!room)
        return err_set(ERR_LIMIT, "%s: a line is longer than %d MiB", f->path, GREP_LINE_MAX >> 20);
    while (n > 0) {
        ssize_t got = pread(f->fd, to->p + to->n, n, (off_t)at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_set_errno("cannot read %s", f->path);
        if (got == 0)
            return OK;
        to->n += (size_t)got;
        at += (uint64_t)got;
        n -= (size_t)got;
    }
    return OK;
}

/* Where the first line of the range begins in the data, which has one byte more in front; data.n
 * when none does. */
static size_t first_line(const struct buf *data, uint64_t from, size_t range)
{
    if (from == 0)
        return 0;
    size_t newline = str_find_byte(buf_str(data), '\n', 0);
    return newline + 1 <= range ? newline + 1 : data->n;
}

/* Reads on until the last line is whole; its end. */
static enum err finish_line(const struct grep_file *f, uint64_t begin, struct buf *data)
{
    while (data->n > 0 && data->p[data->n - 1] != '\n') {
        size_t before = data->n;
        TRY(read_at(f, begin + before, STEP_BYTES, data));
        if (data->n == before)
            return OK;
        size_t end = str_find_byte(buf_str(data), '\n', before);
        if (end < data->n)
            data->n = end + 1;
    }
    return OK;
}

static enum err map_range(struct grep_scanner *s, const struct grep_file *f, uint64_t from,
                          uint64_t to, const struct grep_sink *sink)
{
    struct str all = str_of(grep_map_bytes(f->map), f->bytes);
    size_t begin = from ? str_find_byte(all, '\n', from - 1) + 1 : 0;
    if (begin >= to)
        return OK;
    size_t end = str_find_byte(all, '\n', to - 1);
    struct grep_piece *p = NEW(struct grep_piece);
    bool more;
    end = end < all.n ? end + 1 : all.n;
    buf_init(&p->data, 1);
    p->offset = begin;
    p->bytes = str_of(all.p + begin, end - begin);
    return judge_bytes(s, f, p, sink, &more);
}

enum err grep_read_range(struct grep_scanner *s, const struct grep_file *f, uint64_t from,
                         uint64_t to, const struct grep_sink *sink)
{
    if (f->map)
        return map_range(s, f, from, to, sink);
    uint64_t begin = from ? from - 1 : 0;
    struct grep_piece *p = grep_piece_new();
    bool more;
    p->offset = begin;
    enum err err = read_at(f, begin, (size_t)(to - begin), &p->data);
    size_t first = err == OK ? first_line(&p->data, from, (size_t)(to - begin)) : 0;
    if (err == OK && first < p->data.n)
        err = finish_line(f, begin, &p->data);
    if (err != OK || first >= p->data.n) {
        grep_piece_free(p);
        return err;
    }
    return judge(s, f, p, first, p->data.n, sink, &more);
}

static size_t whole_lines(const struct buf *data)
{
    const char *newline = data->n ? memrchr(data->p, '\n', data->n) : NULL;
    return newline ? (size_t)(newline - data->p) + 1 : 0;
}

/* The whole lines go on; what is left begins the next piece. */
static enum err pass_on(struct grep_scanner *s, const struct grep_file *f, struct grep_piece **p,
                        size_t upto, const struct grep_sink *sink, bool *ret_more)
{
    struct grep_piece *full = *p;
    *p = grep_piece_new();
    (*p)->offset = full->offset + upto;
    enum err err = buf_add(&(*p)->data, full->data.p + upto, full->data.n - upto);
    if (err != OK) {
        grep_piece_free(full);
        return err;
    }
    return judge(s, f, full, 0, upto, sink, ret_more);
}

static enum err read_source(struct grep_scanner *s, const struct grep_file *f, struct source *from,
                            struct grep_piece **p, const struct grep_sink *sink)
{
    bool idle, more = true;
    enum err err = OK;
    while (more && err == OK) {
        err = source_read(from, &(*p)->data, &idle);
        if (err == ERR_EOF)
            break;
        if (err == ERR_LIMIT || (*p)->data.n > GREP_LINE_MAX)
            return err_set(ERR_LIMIT, "%s: a line is longer than %d MiB", f->path,
                           GREP_LINE_MAX >> 20);
        TRY(err);
        more = !f->stop;
        size_t upto = f->live || (*p)->data.n >= GREP_PIECE_BYTES ? whole_lines(&(*p)->data) : 0;
        if (upto)
            err = pass_on(s, f, p, upto, sink, &more);
    }
    /* What a damaged file still held is searched before it is complained of. */
    if (more && (*p)->data.n && (err == OK || err == ERR_EOF)) {
        err = pass_on(s, f, p, (*p)->data.n, sink, &more);
        return err;
    }
    return err == ERR_EOF ? OK : err;
}

enum err grep_read_stream(struct grep_scanner *s, const struct grep_file *f,
                          const struct grep_sink *sink)
{
    struct source *from;
    struct grep_piece *p = grep_piece_new();
    enum err err = source_open(f->live && !strcmp(f->path, "<stdin>") ? "-" : f->path, &from);
    if (err == OK) {
        err = read_source(s, f, from, &p, sink);
        source_close(from);
    }
    grep_piece_free(p);
    return err;
}

/* ---- segments ---- */

static enum err read_block(struct grep_scanner *s, struct segment *seg, uint32_t section,
                           uint32_t block, struct arena *arena, struct grep_piece *p)
{
    struct rows rows;
    TRY(segment_block_rows_uncached(seg, section, block, arena, &rows));
    return grep_scan_rows(s, &rows, p);
}

static enum err read_sections(struct grep_scanner *s, const struct grep_file *f,
                              struct segment *seg, struct arena *arena,
                              const struct grep_sink *sink)
{
    bool more = true;
    for (uint32_t i = 0; i < segment_sections(seg) && more; i++) {
        struct section_info info;
        TRY(segment_section(seg, i, &info));
        for (uint32_t b = 0; b < info.blocks && more && !f->stop; b++) {
            struct grep_piece *p = grep_piece_new();
            enum err err = read_block(s, seg, i, b, arena, p);
            if (err != OK) {
                grep_piece_free(p);
                return err;
            }
            more = sink->take(sink->ctx, p);
            arena_reset(arena);
        }
    }
    return OK;
}

enum err grep_read_segment(struct grep_scanner *s, const struct grep_file *f,
                           const struct grep_sink *sink)
{
    struct segment *seg;
    struct arena arena;
    TRY(segment_open(f->path, &seg));
    arena_init(&arena, 0, NULL);
    enum err err = read_sections(s, f, seg, &arena, sink);
    arena_release(&arena);
    segment_unref(seg);
    return err;
}
