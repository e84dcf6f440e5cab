/* file:///DIR/NAME: an archive of NDJSON, a record a line. A name that ends in .zst is packed:
 * every bulk is a zstd frame of its own, and frames behind each other are one zstd file.
 *
 * A bulk is appended and synced before it counts as sent; what a failed write has left is cut off
 * at once. When the file would pass `max` (100 MiB; max=0: never) it is renamed to
 * NAME-20250215T120000Z-N and begun anew. At least once: the bulks of the last second before a
 * crash of the agent may be there twice. */
#include "core/clock.h"
#include "core/io.h"
#include "core/log.h"
#include "core/mem.h"
#include "output/outputs.h"

#include <stdio.h>
#include <time.h>
#include <zstd.h>

enum { ZSTD_LEVEL = 3, NAMES_MAX = 10000 };
#define MAX_DEFAULT "100MiB"

struct file_output {
    struct output base;
    char *path;
    uint64_t max;
    bool packed;
    uint64_t size; /* the last good end; known when `open` */
    int fd;        /* -1: not open */
    struct buf text, out;
};

static enum err file_open(const struct url *url, struct output **ret)
{
    static const char *const known[] = {"max", NULL};
    struct str max = url_get(url, "max");
    uint64_t bytes;
    TRY(url_check_params(url, known));
    if (url->host.n || url->path.n < 2)
        return err_set(ERR_INVALID, "a file output is file:///FOLDER/NAME");
    if (str_ends(url->path, STR("/")))
        return err_set(ERR_INVALID, "%.*s is a folder: file:///FOLDER/NAME is wanted",
                       STR_ARG(url->path));
    if (!str_to_bytes(max.p ? max : STR(MAX_DEFAULT), &bytes))
        return err_set(ERR_INVALID, "max=%.*s: a size is wanted, such as 100MiB", STR_ARG(max));
    struct file_output *o = NEW(struct file_output);
    o->base.type = &output_file;
    o->path = mem_strdup(url->path);
    o->packed = str_ends(url->path, STR(".zst"));
    o->max = bytes;
    o->fd = -1;
    buf_init(&o->text, SIZE_MAX);
    buf_init(&o->out, SIZE_MAX);
    *ret = &o->base;
    return OK;
}

static enum err make_folder(const struct file_output *o)
{
    char *folder = mem_strdup(str_of(o->path, (size_t)(strrchr(o->path, '/') - o->path)));
    enum err err = folder[0] ? io_mkdir(folder) : OK;
    mem_free(folder);
    return err;
}

static enum err enter(struct file_output *o)
{
    if (o->fd >= 0)
        return OK;
    TRY(make_folder(o));
    TRY(io_open(o->path, IO_WRITE, &o->fd));
    return io_size(o->fd, &o->size);
}

static void leave(struct file_output *o)
{
    io_close(o->fd);
    o->fd = -1;
}

/* The file gets a name with the time, and the next write begins a new one. */
static enum err rotate(struct file_output *o)
{
    char when[40];
    time_t now = (time_t)(clock_now_ns() / NS_PER_S);
    struct tm tm;
    (void)gmtime_r(&now, &tm);
    strftime(when, sizeof(when), "%Y%m%dT%H%M%SZ", &tm);
    leave(o);
    for (unsigned n = 1; n < NAMES_MAX; n++) {
        const char *end = o->packed ? ".zst" : "";
        size_t stem = strlen(o->path) - strlen(end);
        char *to = mem_printf("%.*s-%s-%u%s", (int)stem, o->path, when, n, end);
        bool taken = io_exists(to);
        enum err err = taken ? OK : io_rename(o->path, to);
        mem_free(to);
        if (!taken)
            return err == OK ? enter(o) : err;
    }
    return err_set(ERR_EXISTS, "%s has been rotated too often within a second", o->path);
}

static enum err put(void *ctx, const struct output_row *row)
{
    struct file_output *o = ctx;
    buf_put_str(&o->text, row->json);
    buf_put_byte(&o->text, '\n');
    return OK;
}

static enum err pack(struct file_output *o)
{
    size_t room = ZSTD_compressBound(o->text.n);
    buf_clear(&o->out);
    char *to = buf_reserve(&o->out, room);
    CHECK(to);
    size_t n = ZSTD_compress(to, room, o->text.p, o->text.n, ZSTD_LEVEL);
    if (ZSTD_isError(n))
        return err_set(ERR_NOMEM, "cannot pack: %s", ZSTD_getErrorName(n));
    o->out.n = n;
    return OK;
}

static enum err append(struct file_output *o, struct str bytes)
{
    TRY(enter(o));
    if (o->max && o->size && o->size + bytes.n > o->max)
        TRY(rotate(o));
    enum err err = io_pwrite(o->fd, bytes.p, bytes.n, o->size);
    if (err == OK)
        err = io_sync(o->fd);
    if (err == OK) {
        o->size += bytes.n;
        return OK;
    }
    char why[300];
    snprintf(why, sizeof(why), "%s", err_text());
    if (io_truncate(o->fd, o->size) != OK)
        log_error("an archive could not be cut back", "file=%s error=\"%s\"", o->path, err_text());
    return err_set(err, "%s", why);
}

static enum err file_send(struct output *base, const struct output_bulk *bulk, int64_t *ret_wait_ns)
{
    struct file_output *o = (struct file_output *)base;
    buf_clear(&o->text);
    TRY(output_each_row(bulk, put, o));
    if (o->packed)
        TRY(pack(o));
    return append(o, buf_str(o->packed ? &o->out : &o->text));
}

static void file_close(struct output *base)
{
    struct file_output *o = (struct file_output *)base;
    leave(o);
    buf_release(&o->text);
    buf_release(&o->out);
    mem_free(o->path);
    mem_free(o);
}

static const char *const schemes[] = {"file", NULL};
const struct output_type output_file = {
    .name = "file",
    .schemes = schemes,
    .gather = {.rows = 10000, .bytes = 4 << 20, .wait_ns = NS_PER_S},
    .open = file_open,
    .send = file_send,
    .close = file_close,
};
