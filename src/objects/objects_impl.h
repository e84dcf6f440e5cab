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

/* file.c */
NODISCARD enum err objects_open_file(struct str folder, bool apart, struct objects **ret);

/* s3.c */
NODISCARD enum err objects_check_s3(const struct url *url);
NODISCARD enum err objects_open_s3(const struct url *url, struct objects **ret);

/* s3_list.c: what ListObjectsV2 and ListMultipartUploads answer. */
struct s3_listed {
    struct str key, upload; /* upload: of ListMultipartUploads */
    uint64_t bytes;
    int64_t modified_ns;
};
struct s3_page {
    void *ctx;
    enum err (*fn)(void *ctx, const struct s3_listed *one);
    bool more;
    char next[4096], next_upload[4096]; /* where the next page begins */
};
/* ERR_INVALID with the place in the text; ERR_LIMIT; or what fn answered. */
NODISCARD enum err s3_read_page(struct str body, struct s3_page *page);

#endif
