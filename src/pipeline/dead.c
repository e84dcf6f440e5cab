#include "pipeline/dead.h"

#include "core/clock.h"
#include "core/io.h"
#include "core/mem.h"
#include "record/timestamp.h"

#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <sys/file.h>

enum { CHUNK = 64 << 10 };
#define NO_LETTERS "the route %s has no dead letters"
#define RETRY_MARK STR(".retry-")
#define FILE_END STR(".ndjson")

/* ---- files ---- */

static char *path_of(const char *dir, const char *route)
{
    return mem_printf("%s/dead/%s.ndjson", dir, route);
}

char *dead_retry_path(const char *dir, const char *route, uint64_t id)
{
    return mem_printf("%s/dead/%s.retry-%016" PRIx64 ".ndjson", dir, route, id);
}

/* Opens and locks it; when it was renamed or removed before the lock came, its successor. */
static enum err open_locked(const char *path, enum io_mode mode, int *ret_fd)
{
    for (;;) {
        TRY(io_open(path, mode, ret_fd));
        if (flock(*ret_fd, LOCK_EX) != 0) {
            io_close(*ret_fd);
            return err_set_errno("flock %s", path);
        }
        if (io_is_at(*ret_fd, path))
            return OK;
        io_close(*ret_fd);
        if (mode == IO_READ && !io_exists(path))
            return err_set(ERR_NOTFOUND, "%s is gone", path);
    }
}

enum err dead_append(const char *path, struct str lines)
{
    int fd = -1;
    uint64_t size = 0;
    char last = '\n';
    enum err err = OK;
    TRY(open_locked(path, IO_WRITE, &fd));
    TRY_OUT(io_size(fd, &size));
    if (size)
        TRY_OUT(io_pread(fd, &last, 1, size - 1));
    if (last != '\n') { /* a crash left half a line: what it was about comes again */
        TRY_OUT(io_pwrite(fd, "\n", 1, size));
        size++;
    }
    TRY_OUT(io_pwrite(fd, lines.p, lines.n, size));
    TRY_OUT(io_sync(fd));
out:
    io_close(fd);
    return err;
}

static enum err count_letters(int fd, uint64_t *ret_letters, uint64_t *ret_bytes)
{
    char *p = mem_alloc(CHUNK);
    enum err err = io_size(fd, ret_bytes);
    *ret_letters = 0;
    for (uint64_t at = 0; err == OK && at < *ret_bytes;) {
        size_t n = *ret_bytes - at < CHUNK ? (size_t)(*ret_bytes - at) : CHUNK;
        err = io_pread(fd, p, n, at);
        for (size_t i = 0; err == OK && i < n; i++)
            *ret_letters += p[i] == '\n';
        at += n;
    }
    mem_free(p);
    return err;
}

/* ---- listing ---- */

struct listing {
    const char *dir, *route; /* route: NULL, or whose retry is looked for */
    enum err (*fn)(void *ctx, const struct dead_file *f);
    void *ctx;
    uint64_t id;
};

/* "ROUTE.ndjson" or "ROUTE.retry-ID.ndjson"; *ret_id 0 for the former. */
static bool parse_name(struct str name, struct str *ret_route, uint64_t *ret_id)
{
    *ret_id = 0;
    if (!str_ends(name, FILE_END))
        return false;
    name.n -= FILE_END.n;
    *ret_route = name;
    size_t mark = name.n > RETRY_MARK.n + 16 ? name.n - RETRY_MARK.n - 16 : 0;
    if (!mark || !str_starts(str_from(name, mark), RETRY_MARK))
        return name.n > 0;
    char hex[17];
    snprintf(hex, sizeof(hex), "%.16s", name.p + mark + RETRY_MARK.n);
    if (sscanf(hex, "%16" SCNx64, ret_id) == 1 && *ret_id)
        ret_route->n = mark;
    return true;
}

static enum err look_at(void *ctx, const char *name)
{
    struct listing *l = ctx;
    struct str route;
    uint64_t id;
    int fd;
    if (!parse_name(str_c(name), &route, &id))
        return OK;
    if (l->route) {
        if (id && str_eq_c(route, l->route))
            l->id = id;
        return OK;
    }
    struct dead_file f = {.retrying = id != 0};
    snprintf(f.route, sizeof(f.route), "%.*s", STR_ARG(route));
    snprintf(f.path, sizeof(f.path), "%s/dead/%s", l->dir, name);
    if (io_open(f.path, IO_READ, &fd) != OK)
        return io_exists(f.path) ? ERR_IO : OK; /* it has just gone */
    enum err err = count_letters(fd, &f.letters, &f.bytes);
    io_close(fd);
    return err == OK && f.letters ? l->fn(l->ctx, &f) : err;
}

static enum err list(struct listing *l)
{
    char *dir = mem_printf("%s/dead", l->dir);
    enum err err = io_exists(dir) ? io_list(dir, look_at, l) : OK;
    mem_free(dir);
    return err;
}

enum err dead_each(const char *dir, enum err (*fn)(void *ctx, const struct dead_file *f), void *ctx)
{
    struct listing l = {.dir = dir, .fn = fn, .ctx = ctx};
    return list(&l);
}

enum err dead_find_retry(const char *dir, const char *route, uint64_t *ret_id)
{
    struct listing l = {.dir = dir, .route = route};
    enum err err = list(&l);
    *ret_id = l.id;
    return err;
}

/* ---- what is done with them ---- */

static enum err take_away(const char *dir, const char *route, const char *to, uint64_t *ret_letters)
{
    char *path = path_of(dir, route);
    uint64_t bytes;
    int fd = -1;
    enum err err = io_exists(path) ? open_locked(path, IO_READ, &fd)
                                   : err_set(ERR_NOTFOUND, NO_LETTERS, route);
    if (err == OK)
        err = count_letters(fd, ret_letters, &bytes);
    if (err == OK && !*ret_letters)
        err = err_set(ERR_NOTFOUND, NO_LETTERS, route);
    if (err == OK)
        err = to ? io_rename(path, to) : io_unlink(path);
    io_close(fd);
    mem_free(path);
    return err;
}

enum err dead_retry(const char *dir, const char *route, uint64_t *ret_letters)
{
    uint64_t id;
    TRY(dead_find_retry(dir, route, &id));
    if (id)
        return err_set(ERR_CONFLICT, "some of the route %s are being tried again already", route);
    char *to = dead_retry_path(dir, route, random_u64() | 1);
    enum err err = take_away(dir, route, to, ret_letters);
    mem_free(to);
    return err;
}

enum err dead_delete(const char *dir, const char *route, uint64_t *ret_letters)
{
    return take_away(dir, route, NULL, ret_letters);
}

/* ---- a letter ---- */

static bool read_time(const json_t *head, const char *name, int64_t *ret)
{
    const char *text = json_string_value(json_object_get(head, name));
    struct time_form form;
    return text && time_parse(str_c(text), 0, &form, ret);
}

/* Quotes within texts are escaped, so that the first of these is the member. */
enum err dead_parse(struct str line, struct buf *stream, struct dead_letter *ret)
{
    const struct str mark = STR(",\"record\":");
    size_t at = str_find(line, mark);
    if (at == SIZE_MAX || line.n < at + mark.n + 3 || line.p[line.n - 1] != '}')
        return err_set(ERR_CORRUPT, "no dead letter: it has no record");
    char *text = mem_printf("%.*s}", (int)at, line.p);
    json_t *head = json_loads(text, 0, NULL);
    mem_free(text);
    const char *name = json_string_value(json_object_get(head, "stream"));
    const char *stage = json_string_value(json_object_get(head, "stage"));
    *ret = (struct dead_letter){
        .record = str_of(line.p + at + mark.n, line.n - at - mark.n - 1),
        .transform = stage && !strcmp(stage, "transform"),
    };
    bool good = name && read_time(head, "time", &ret->time_ns);
    if (good && !read_time(head, "at", &ret->at_ns)) /* the first versions had none */
        ret->at_ns = ret->time_ns;
    buf_clear(stream);
    if (good)
        buf_put_c(stream, name);
    ret->stream = buf_str(stream);
    json_decref(head);
    return good ? OK : err_set(ERR_CORRUPT, "no dead letter: its time or stream cannot be read");
}
