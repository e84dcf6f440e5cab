/* A bump allocator whose memory dies together, with clean-up handlers that run then (newest first).
 * Bounded by `max` bytes and, where given, charged to a reservation of the governor: past either,
 * arena_try_alloc returns NULL; arena_alloc takes the memory by force and marks the arena as
 * failed, for its owner to look at when the step is over (what one step takes is bounded by a
 * block). Owner: whoever declared it; one thread at a time. Memory is 16-byte aligned and not
 * zeroed, unless asked. */
#ifndef WEIR_CORE_ARENA_H
#define WEIR_CORE_ARENA_H

#include "core/err.h"
#include "core/str.h"

struct reservation;
struct arena_chunk;
struct arena_cleanup;

struct arena {
    char *p, *end; /* free space of the newest chunk */
    struct arena_chunk *chunks;
    struct arena_cleanup *cleanups;
    struct reservation *res; /* may be NULL */
    size_t used, max;        /* bytes of chunks held, and their bound */
    bool failed;             /* a bound was met since the last reset */
};

/* max 0: no bound. */
void arena_init(struct arena *a, size_t max, struct reservation *res);
/* Runs the handlers, keeps one chunk for reuse. */
void arena_reset(struct arena *a);
void arena_release(struct arena *a);
/* Where an arena stands, to give back what is taken of it from here on: the scratch of a step whose
 * result goes elsewhere. Marks nest; no handler may be registered in between. */
struct arena_mark {
    char *p, *end;
    struct arena_chunk *chunk, *next;
};
struct arena_mark arena_mark(const struct arena *a);
void arena_rewind(struct arena *a, const struct arena_mark *m);
/* NULL when refused; sets a->failed. */
void *arena_try_alloc(struct arena *a, size_t n);
/* Never NULL: an arena with a bound that refuses is a BUG unless the caller checked; use it where
 * the size is small and bounded. */
void *arena_alloc(struct arena *a, size_t n) __attribute__((returns_nonnull));
void *arena_zalloc(struct arena *a, size_t n) __attribute__((returns_nonnull));
struct str arena_str(struct arena *a, struct str s); /* copy, with a NUL behind it */
struct str arena_printf(struct arena *a, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void arena_defer(struct arena *a, void (*fn)(void *), void *arg);

#define ARENA_NEW(a, type) ((type *)arena_zalloc((a), sizeof(type)))
#define ARENA_ARRAY(a, type, n) ((type *)arena_zalloc((a), sizeof(type) * (size_t)(n)))
/* May be NULL: for sizes that come from data. Not zeroed. */
#define ARENA_TRY_ARRAY(a, type, n) ((type *)arena_try_alloc((a), sizeof(type) * (size_t)(n)))

#endif
