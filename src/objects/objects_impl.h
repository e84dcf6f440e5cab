/* What the places of objects share. */
#ifndef WEIR_OBJECTS_OBJECTS_IMPL_H
#define WEIR_OBJECTS_OBJECTS_IMPL_H

#include "core/url.h"
#include "objects/objects.h"

#define OBJECTS_MARKER STR("weir-store")
enum { OBJECTS_MARKER_MAX = 64 << 10, OBJECTS_KEY_MAX = 1024 };

struct objects_driver {
    enum err (*put)(struct objects *o, const char *path, struct str key,
                    const struct objects_wait *w);
    /* NULL: objects are files below o->folder. */
    enum err (*get)(struct objects *o, struct str key, uint64_t bytes, const char *path,
                    const struct objects_wait *w);
    enum err (*read)(struct objects *o, struct str key, uint64_t at, size_t n, struct buf *ret,
                     const struct objects_wait *w);
    enum err (*remove)(struct objects *o, struct str key, const struct objects_wait *w);
    enum err (*move)(struct objects *o, struct str from, struct str to,
                     const struct objects_wait *w);
    enum err (*list)(struct objects *o, struct str prefix,
                     enum err (*fn)(void *ctx, const struct object *object), void *ctx,
                     const struct objects_wait *w);
    enum err (*sweep)(struct objects *o, int64_t before_ns, const struct objects_wait *w);
    /* A small object, for the marker: the whole of it. ERR_NOTFOUND. */
    enum err (*read_small)(struct objects *o, struct str key, struct buf *ret,
                           const struct objects_wait *w);
    enum err (*write_small)(struct objects *o, struct str key, struct str bytes,
                            const struct objects_wait *w);
    void (*close)(struct objects *o);
};

/* Every place begins with this. */
struct objects {
    const struct objects_driver *driver;
    char *name;
    char *folder; /* of files */
    bool apart;
};

/* Whether the wait is over: OK, ERR_CANCELED or ERR_TIMEOUT, which names the place. */
NODISCARD enum err objects_waited(const struct objects *o, const struct objects_wait *w);

/* file.c */
NODISCARD enum err objects_open_file(struct str folder, bool apart, struct objects **ret);

#endif
