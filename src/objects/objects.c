/* Opening by URL, the marker, and the calls' way to their place. */
#include "core/clock.h"
#include "core/mem.h"
#include "objects/objects_impl.h"

#include <inttypes.h>
#include <stdio.h>

/* "file:", "file://" and "file:///" all but name a folder. */
static bool is_own(struct str text)
{
    return str_eq_c(text, "file:") || str_eq_c(text, "file://");
}

static enum err check_folder(const struct url *url)
{
    static const char *const none[] = {NULL};
    if (url->host.n)
        return err_set(ERR_INVALID,
                       "objects: file://%.*s names a machine: three slashes begin a folder, as in "
                       "file:///%.*s%.*s",
                       STR_ARG(url->host), STR_ARG(url->host), STR_ARG(url->path));
    if (url->path.n < 2)
        return err_set(ERR_INVALID, "objects: file:/// names no folder");
    return url_check_params(url, none);
}

/* The URL taken apart, or *ret_own. */
static enum err read_url(struct str text, struct arena *a, struct url *ret, bool *ret_own)
{
    static const char *const known[] = {"file", "s3", NULL};
    *ret_own = is_own(text);
    if (*ret_own)
        return OK;
    TRY(url_parse(text, a, ret));
    if (str_eq_c(ret->scheme, "file"))
        return check_folder(ret);
    if (str_eq_c(ret->scheme, "s3"))
        return objects_check_s3(ret);
    return url_unknown_scheme("place of objects", ret->scheme, known);
}

enum err objects_check_url(struct str text)
{
    struct arena a;
    struct url url;
    bool own;
    arena_init(&a, 0, NULL);
    enum err err = read_url(text, &a, &url, &own);
    arena_release(&a);
    return err;
}

enum err objects_open(struct str text, const char *data, struct objects **ret)
{
    struct arena a;
    struct url url;
    bool own;
    arena_init(&a, 0, NULL);
    enum err err = read_url(text, &a, &url, &own);
    if (err == OK && own)
        err = objects_open_file(str_c(data), false, ret);
    else if (err == OK && str_eq_c(url.scheme, "file"))
        err = objects_open_file(url.path, true, ret);
    else if (err == OK)
        err = objects_open_s3(&url, ret);
    arena_release(&a);
    return err;
}

void objects_close(struct objects *o)
{
    if (!o)
        return;
    mem_free(o->name);
    mem_free(o->folder);
    o->driver->close(o);
}

const char *objects_name(const struct objects *o)
{
    return o->name;
}

bool objects_are_remote(const struct objects *o)
{
    return o->driver->get != NULL;
}

bool objects_are_apart(const struct objects *o)
{
    return o->apart;
}

char *objects_path(const struct objects *o, struct str key)
{
    CHECK(o->folder);
    return mem_printf("%s/%.*s", o->folder, STR_ARG(key));
}

enum err objects_waited(const struct objects *o, const struct objects_wait *w)
{
    if (w && w->stop && w->stop(w->ctx))
        return err_set(ERR_CANCELED, "%s: given up", o->name);
    if (w && w->deadline_mono && clock_mono_ns() >= w->deadline_mono)
        return err_set(ERR_TIMEOUT, "%s: out of time", o->name);
    return OK;
}

/* ---- the marker ---- */

/* "weir store 0123...\n" and more, for who finds it. */
static enum err judge_marker(const struct objects *o, struct str text, struct str identity)
{
    struct str line, word = STR("weir store ");
    (void)str_split(&text, '\n', &line);
    if (!str_starts(line, word))
        return err_set(ERR_CONFLICT,
                       "%s: its %.*s is no marker of Weir's: choose a folder or prefix of its own",
                       o->name, STR_ARG(OBJECTS_MARKER));
    line = str_trim(str_from(line, word.n));
    if (!str_eq(line, identity))
        return err_set(ERR_CONFLICT,
                       "%s belongs to another store (%.32s; this one is %.*s): choose another "
                       "folder or prefix, or start with that store's catalog",
                       o->name, line.p, STR_ARG(identity));
    return OK;
}

enum err objects_claim(struct objects *o, struct str identity, const struct objects_wait *w)
{
    struct buf text;
    if (!o->apart)
        return OK;
    buf_init(&text, OBJECTS_MARKER_MAX);
    enum err err = o->driver->read_small(o, OBJECTS_MARKER, &text, w);
    if (err == ERR_NOTFOUND) {
        buf_clear(&text);
        buf_printf(&text,
                   "weir store %.*s\nThe objects beside this belong to that store of Weir's: "
                   "neither remove nor change them.\n",
                   STR_ARG(identity));
        err = o->driver->write_small(o, OBJECTS_MARKER, buf_str(&text), w);
        buf_clear(&text);
        if (err == OK) /* somebody else may have done so at the same time */
            err = o->driver->read_small(o, OBJECTS_MARKER, &text, w);
    }
    if (err == OK)
        err = judge_marker(o, buf_str(&text), identity);
    buf_release(&text);
    return err;
}

/* ---- calls ---- */

enum err objects_put(struct objects *o, const char *path, struct str key,
                     const struct objects_wait *w)
{
    return o->driver->put(o, path, key, w);
}

enum err objects_get(struct objects *o, struct str key, uint64_t bytes, const char *path,
                     const struct objects_wait *w)
{
    CHECK(o->driver->get);
    return o->driver->get(o, key, bytes, path, w);
}

enum err objects_read(struct objects *o, struct str key, uint64_t at, size_t n, struct buf *ret,
                      const struct objects_wait *w)
{
    return o->driver->read(o, key, at, n, ret, w);
}

enum err objects_remove(struct objects *o, struct str key, const struct objects_wait *w)
{
    return o->driver->remove(o, key, w);
}

enum err objects_move(struct objects *o, struct str from, struct str to,
                      const struct objects_wait *w)
{
    return o->driver->move(o, from, to, w);
}

enum err objects_list(struct objects *o, struct str prefix,
                      enum err (*fn)(void *ctx, const struct object *object), void *ctx,
                      const struct objects_wait *w)
{
    return o->driver->list(o, prefix, fn, ctx, w);
}

enum err objects_sweep(struct objects *o, int64_t before_ns, const struct objects_wait *w)
{
    return o->driver->sweep(o, before_ns, w);
}
