/* The objects seam: where segments are at rest. Chosen by a URL:
 *
 *   file:                      the data folder, as if there were no seam
 *   file:///shared/folder      a folder that several servers reach
 *   s3://BUCKET[/PREFIX]       S3, or what speaks like it; docs/objects.md has the parameters
 *
 * An object has a key, such as "segments/0000000000000007.seg", and never changes once it is there.
 * Where objects are files they are opened where they lie (objects_path); else they are fetched.
 *
 * Beside the objects lies the *marker*, "weir-store": the identity of the store that they belong
 * to, so that two stores do not share a place by mistake.
 *
 * Errors: ERR_NOTFOUND (no such object), ERR_AUTH, ERR_UNAVAILABLE (perhaps later), ERR_TIMEOUT
 * (past the wait's deadline), ERR_CANCELED, ERR_FULL, ERR_CORRUPT (what came is not what was put).
 * Texts begin with the place, and hold no secrets.
 * Threads: any, at once. Calls block; all but objects_path end soon after the wait says stop. */
#ifndef WEIR_OBJECTS_OBJECTS_H
#define WEIR_OBJECTS_OBJECTS_H

#include "core/buf.h"
#include "core/err.h"

struct objects;

/* How long a call may take; NULL, or zeros: as long as its retries do. */
struct objects_wait {
    int64_t deadline_mono; /* 0: none */
    bool (*stop)(void *ctx);
    void *ctx;
};

/* Whether the wait is over: OK, ERR_CANCELED or ERR_TIMEOUT. */
NODISCARD enum err objects_waited(const struct objects *o, const struct objects_wait *w);

/* ERR_INVALID says what is wrong, as far as can be said without reaching anything. */
NODISCARD enum err objects_check_url(struct str url);
/* `data`: the data folder, where the objects of file: lie. Reaches nothing yet. */
NODISCARD enum err objects_open(struct str url, const char *data, struct objects **ret);
void objects_close(struct objects *o); /* NULL is fine */
/* "s3://bucket/prefix", without parameters. */
const char *objects_name(const struct objects *o);
/* They are fetched, and not opened where they lie. */
bool objects_are_remote(const struct objects *o);
/* They lie where other servers may reach them too: not of file:. */
bool objects_are_apart(const struct objects *o);
/* The file of a key, to be freed; not of remote ones. */
char *objects_path(const struct objects *o, struct str key);

/* The store's identity, [0-9a-f]{32}: makes the marker where there is none. ERR_CONFLICT when it
 * names another store. Nothing happens for file:. */
NODISCARD enum err objects_claim(struct objects *o, struct str identity,
                                 const struct objects_wait *w);
/* The file becomes the object; durable when it returns. May be done again. Nothing happens where
 * the file is the object's own. */
NODISCARD enum err objects_put(struct objects *o, const char *path, struct str key,
                               const struct objects_wait *w);
/* Remote ones: to PATH.get.tmp, checked against `bytes` and what was put, synced, renamed. One
 * caller a path at a time. */
NODISCARD enum err objects_get(struct objects *o, struct str key, uint64_t bytes, const char *path,
                               const struct objects_wait *w);
/* n bytes from `at` on, appended; ERR_EOF when the object ends before. */
NODISCARD enum err objects_read(struct objects *o, struct str key, uint64_t at, size_t n,
                                struct buf *ret, const struct objects_wait *w);
/* Absent is OK. */
NODISCARD enum err objects_remove(struct objects *o, struct str key, const struct objects_wait *w);
/* Within one place; for objects that are set aside. */
NODISCARD enum err objects_move(struct objects *o, struct str from, struct str to,
                                const struct objects_wait *w);

struct object {
    struct str key;
    uint64_t bytes;
    int64_t modified_ns;
};
/* Calls fn for each object whose key begins with `prefix` (a folder's: "segments/"), in any order,
 * until it fails. What is being written is not among them. */
NODISCARD enum err objects_list(struct objects *o, struct str prefix,
                                enum err (*fn)(void *ctx, const struct object *object), void *ctx,
                                const struct objects_wait *w);
/* Removes what was left of puts that ended in their middle before that time. */
NODISCARD enum err objects_sweep(struct objects *o, int64_t before_ns,
                                 const struct objects_wait *w);

#endif
