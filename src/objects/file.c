/* Objects as files: a key is a path below a folder.
 *
 * A put copies to NAME.put-RANDOM in the object's folder, syncs, renames, syncs the folder: whoever
 * lists or opens sees the whole object or none. Where the file is the object's own (a segment is
 * written where it is to lie, and renamed when it is whole) there is nothing to do. */
#include "core/clock.h"
#include "core/io.h"
#include "core/mem.h"
#include "objects/objects_impl.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>

enum { COPY_BYTES = 1 << 20 };

/* Names that are no objects: being written, or on their way out. */
static bool is_passing(struct str name)
{
    return str_find(name, STR(".put-")) != SIZE_MAX || str_ends(name, STR(".tmp")) ||
           str_ends(name, STR(".del"));
}

static char *parent_of(const char *path)
{
    struct str p = str_c(path);
    while (p.n > 1 && p.p[p.n - 1] != '/')
        p.n--;
    return mem_strdup(str_of(p.p, p.n > 1 ? p.n - 1 : p.n));
}

static enum err copy_bytes(struct objects *o, int from, int to, const struct objects_wait *w)
{
    uint64_t size, at = 0;
    char *piece = mem_alloc(COPY_BYTES);
    enum err err = io_size(from, &size);
    while (err == OK && at < size) {
        size_t n = size - at < COPY_BYTES ? (size_t)(size - at) : COPY_BYTES;
        err = objects_waited(o, w);
        if (err == OK)
            err = io_pread(from, piece, n, at);
        if (err == OK)
            err = io_pwrite(to, piece, n, at);
        at += n;
    }
    mem_free(piece);
    return err;
}

static enum err copy(struct objects *o, const char *path, const char *tmp,
                     const struct objects_wait *w)
{
    int from = -1, to = -1;
    enum err err = io_open(path, IO_READ, &from);
    if (err == OK)
        err = io_open(tmp, IO_CREATE, &to);
    if (err == OK)
        err = copy_bytes(o, from, to, w);
    if (err == OK)
        err = io_sync(to);
    io_close(from);
    io_close(to);
    return err;
}

/* What was written as `tmp` becomes `path`. */
static enum err settle(const char *tmp, const char *path, enum err err)
{
    char text[300];
    char *folder = parent_of(path);
    if (err == OK)
        err = io_rename(tmp, path);
    if (err == OK)
        err = io_sync_dir(folder);
    snprintf(text, sizeof(text), "%s", err_text());
    mem_free(folder);
    if (err == OK)
        return OK;
    (void)!io_unlink(tmp);
    return err_set(err, "%s", text);
}

static char *temporary(const char *path)
{
    return mem_printf("%s.put-%016" PRIx64, path, random_u64());
}

static enum err make_parent(const char *path)
{
    char *folder = parent_of(path);
    enum err err = io_exists(folder) ? OK : io_mkdir(folder);
    mem_free(folder);
    return err;
}

static enum err file_put(struct objects *o, const char *path, struct str key,
                         const struct objects_wait *w)
{
    char *to = objects_path(o, key), *tmp = temporary(to);
    enum err err = OK;
    if (strcmp(path, to) != 0) {
        err = make_parent(to);
        if (err == OK)
            err = settle(tmp, to, copy(o, path, tmp, w));
    }
    mem_free(tmp);
    mem_free(to);
    return err;
}

static enum err file_read(struct objects *o, struct str key, uint64_t at, size_t n, struct buf *ret,
                          const struct objects_wait *w)
{
    char *path = objects_path(o, key), *piece = mem_alloc(n ? n : 1);
    int fd = -1;
    enum err err = io_open(path, IO_READ, &fd);
    if (err == OK)
        err = io_pread(fd, piece, n, at);
    if (err == OK)
        err = buf_add(ret, piece, n);
    io_close(fd);
    mem_free(piece);
    mem_free(path);
    return err;
}

static enum err file_remove(struct objects *o, struct str key, const struct objects_wait *w)
{
    char *path = objects_path(o, key);
    enum err err = io_unlink(path);
    mem_free(path);
    return err;
}

static enum err file_move(struct objects *o, struct str from, struct str to,
                          const struct objects_wait *w)
{
    char *a = objects_path(o, from), *b = objects_path(o, to);
    enum err err = make_parent(b);
    if (err == OK)
        err = io_rename(a, b);
    mem_free(b);
    mem_free(a);
    return err;
}

/* ---- listing ---- */

struct listing {
    struct objects *o;
    struct str prefix; /* with its '/' */
    char *folder;
    enum err (*fn)(void *ctx, const struct object *object);
    void *ctx;
    const struct objects_wait *wait;
    int64_t passing_before_ns; /* of a sweep: passing files that are older go; 0: it is a list */
};

/* False: it has gone meanwhile, or is no file. */
static bool look_at(const char *path, struct object *ret)
{
    struct stat st;
    if (stat(path, &st) != 0 || !S_ISREG(st.st_mode))
        return false;
    ret->bytes = (uint64_t)st.st_size;
    ret->modified_ns = st.st_mtim.tv_sec * NS_PER_S + st.st_mtim.tv_nsec;
    return true;
}

static enum err on_name(void *ctx, const char *name)
{
    struct listing *l = ctx;
    struct object object = {0};
    enum err err = objects_waited(l->o, l->wait);
    bool passing = is_passing(str_c(name));
    if (err != OK || passing != (l->passing_before_ns != 0))
        return err;
    char *path = mem_printf("%s/%s", l->folder, name);
    char *key = mem_printf("%.*s%s", STR_ARG(l->prefix), name);
    object.key = str_c(key);
    if (look_at(path, &object)) {
        if (!passing)
            err = l->fn(l->ctx, &object);
        else if (object.modified_ns < l->passing_before_ns)
            err = io_unlink(path);
    }
    mem_free(key);
    mem_free(path);
    return err;
}

static enum err each_name(struct listing *l)
{
    CHECK(str_ends(l->prefix, STR("/")));
    l->folder = objects_path(l->o, str_of(l->prefix.p, l->prefix.n - 1));
    enum err err = io_exists(l->folder) ? io_list(l->folder, on_name, l) : OK;
    mem_free(l->folder);
    return err;
}

static enum err file_list(struct objects *o, struct str prefix,
                          enum err (*fn)(void *ctx, const struct object *object), void *ctx,
                          const struct objects_wait *w)
{
    struct listing l = {.o = o, .prefix = prefix, .fn = fn, .ctx = ctx, .wait = w};
    return each_name(&l);
}

static enum err file_sweep(struct objects *o, int64_t before_ns, const struct objects_wait *w)
{
    struct listing l = {
        .o = o, .prefix = STR("segments/"), .wait = w, .passing_before_ns = before_ns};
    return o->apart ? each_name(&l) : OK; /* what is left in a data folder goes at its start */
}

/* ---- the marker ---- */

static enum err file_read_small(struct objects *o, struct str key, struct buf *ret,
                                const struct objects_wait *w)
{
    char *path = objects_path(o, key);
    struct buf text;
    enum err err = io_exists(path) ? io_read_file(path, OBJECTS_MARKER_MAX, &text)
                                   : err_set(ERR_NOTFOUND, "there is no %s", path);
    if (err == OK) {
        err = buf_add(ret, text.p, text.n);
        buf_release(&text);
    }
    mem_free(path);
    return err;
}

static enum err file_write_small(struct objects *o, struct str key, struct str bytes,
                                 const struct objects_wait *w)
{
    char *path = objects_path(o, key), *tmp = temporary(path);
    int fd = -1;
    enum err err = make_parent(path);
    if (err == OK)
        err = io_open(tmp, IO_CREATE, &fd);
    if (err == OK)
        err = io_pwrite(fd, bytes.p, bytes.n, 0);
    if (err == OK)
        err = io_sync(fd);
    io_close(fd);
    err = settle(tmp, path, err);
    mem_free(tmp);
    mem_free(path);
    return err;
}

static void file_close(struct objects *o)
{
    mem_free(o);
}

static const struct objects_driver driver = {.put = file_put,
                                             .read = file_read,
                                             .remove = file_remove,
                                             .move = file_move,
                                             .list = file_list,
                                             .sweep = file_sweep,
                                             .read_small = file_read_small,
                                             .write_small = file_write_small,
                                             .close = file_close};

enum err objects_open_file(struct str folder, bool apart, struct objects **ret)
{
    struct objects *o = NEW(struct objects);
    while (folder.n > 1 && folder.p[folder.n - 1] == '/')
        folder.n--;
    o->driver = &driver;
    o->folder = mem_strdup(folder);
    o->name = apart ? mem_printf("file://%s", o->folder) : mem_strdup(STR("file:"));
    o->apart = apart;
    *ret = o;
    return OK;
}
