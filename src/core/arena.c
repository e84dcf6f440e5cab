/* The bump allocator.
 *
 * Memory comes in chunks that double from 4 KiB to 1 MiB. A request that is large beside them gets
 * a chunk of its own, linked behind the newest, so that the newest one's free space is not lost. A
 * reset keeps the largest ordinary chunk. Under AddressSanitizer, free space and the rounding
 * behind each allocation are poisoned. */
#include "core/arena.h"

#include "core/governor.h"
#include "core/mem.h"

#include <stdarg.h>
#include <stdio.h>

#if defined(__SANITIZE_ADDRESS__)
#define ARENA_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_ASAN 1
#endif
#endif
#ifdef ARENA_ASAN
#include <sanitizer/asan_interface.h>
#define POISON(p, n) ASAN_POISON_MEMORY_REGION(p, n)
#define UNPOISON(p, n) ASAN_UNPOISON_MEMORY_REGION(p, n)
#else
#define POISON(p, n) ((void)(p), (void)(n))
#define UNPOISON(p, n) ((void)(p), (void)(n))
#endif

enum { ALIGN = 16, CHUNK_MIN = 4096, CHUNK_MAX = 1 << 20 };

struct arena_chunk {
    struct arena_chunk *next;
    size_t size; /* with this header */
    char bytes[] __attribute__((aligned(16)));
};

struct arena_cleanup {
    struct arena_cleanup *next;
    void (*fn)(void *);
    void *arg;
};

void arena_init(struct arena *a, size_t max, struct reservation *res)
{
    *a = (struct arena){.max = max, .res = res};
}

static void chunk_free(struct arena *a, struct arena_chunk *c)
{
    a->used -= c->size;
    if (a->res)
        reservation_shrink(a->res, c->size);
    UNPOISON(c->bytes, c->size - sizeof(*c));
    mem_free(c);
}

/* Charges a chunk of `size` bytes; `force` takes it past the bounds and marks the arena. */
static bool chunk_admit(struct arena *a, size_t size, bool force)
{
    bool fits = !a->max || (a->used <= a->max && size <= a->max - a->used);
    if (fits && (!a->res || reservation_grow(a->res, size) == OK))
        return true;
    if (force) {
        a->failed = true;
        if (a->res)
            reservation_force(a->res, size);
    }
    return force;
}

static struct arena_chunk *chunk_new(struct arena *a, size_t size)
{
    struct arena_chunk *c = mem_alloc(size);
    c->size = size;
    a->used += size;
    POISON(c->bytes, size - sizeof(*c));
    return c;
}

static void chunk_use(struct arena *a, struct arena_chunk *c)
{
    a->p = c->bytes;
    a->end = (char *)c + c->size;
}

static void *alloc_slow(struct arena *a, size_t n, bool force)
{
    size_t least = sizeof(struct arena_chunk) + n;
    size_t size = a->chunks ? a->chunks->size * 2 : CHUNK_MIN;
    size = size > CHUNK_MAX ? CHUNK_MAX : size < CHUNK_MIN ? CHUNK_MIN : size;
    bool own = n > size / 4;
    if (own)
        size = least;
    else if (a->max > a->used && size > a->max - a->used)
        size = a->max - a->used; /* the rest, which may still do */
    /* Near the bound a small chunk may still fit where a doubled one does not. */
    if (size < least || !chunk_admit(a, size, false)) {
        size = least;
        if (!chunk_admit(a, size, force)) {
            a->failed = true;
            return NULL;
        }
    }
    struct arena_chunk *c = chunk_new(a, size);
    if (own && a->chunks) {
        c->next = a->chunks->next;
        a->chunks->next = c;
        return c->bytes;
    }
    c->next = a->chunks;
    a->chunks = c;
    chunk_use(a, c);
    a->p += n;
    return c->bytes;
}

static void *alloc(struct arena *a, size_t n, bool force)
{
    CHECK(!force || n <= SIZE_MAX / 2);
    if (n > SIZE_MAX / 2) {
        a->failed = true;
        return NULL;
    }
    size_t rounded = (n + ALIGN - 1) & ~(size_t)(ALIGN - 1);
    rounded = rounded ? rounded : ALIGN;
    char *p = a->p;
    if (rounded <= (size_t)(a->end - a->p))
        a->p += rounded;
    else
        p = alloc_slow(a, rounded, force);
    if (p)
        UNPOISON(p, n);
    return p;
}

void *arena_try_alloc(struct arena *a, size_t n)
{
    return alloc(a, n, false);
}

void *arena_alloc(struct arena *a, size_t n)
{
    return alloc(a, n, true);
}

void *arena_zalloc(struct arena *a, size_t n)
{
    return memset(arena_alloc(a, n), 0, n);
}

struct str arena_str(struct arena *a, struct str s)
{
    char *p = arena_alloc(a, s.n + 1);
    if (s.n)
        memcpy(p, s.p, s.n);
    p[s.n] = 0;
    return str_of(p, s.n);
}

struct str arena_printf(struct arena *a, const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    CHECK(n >= 0);
    char *p = arena_alloc(a, (size_t)n + 1);
    vsnprintf(p, (size_t)n + 1, fmt, again);
    va_end(again);
    return str_of(p, (size_t)n);
}

/* The node is not of the arena: registering a clean-up must work in an arena that is full. */
void arena_defer(struct arena *a, void (*fn)(void *), void *arg)
{
    struct arena_cleanup *node = NEW(struct arena_cleanup);
    *node = (struct arena_cleanup){.next = a->cleanups, .fn = fn, .arg = arg};
    a->cleanups = node;
}

static void run_cleanups(struct arena *a)
{
    while (a->cleanups) {
        struct arena_cleanup *node = a->cleanups;
        a->cleanups = node->next;
        node->fn(node->arg);
        mem_free(node);
    }
}

void arena_reset(struct arena *a)
{
    run_cleanups(a);
    struct arena_chunk *kept = NULL;
    for (struct arena_chunk *c = a->chunks, *next; c; c = next) {
        next = c->next;
        bool better = c->size <= CHUNK_MAX && (!kept || c->size > kept->size);
        struct arena_chunk *drop = better ? kept : c;
        if (better)
            kept = c;
        if (drop)
            chunk_free(a, drop);
    }
    a->chunks = kept;
    a->p = a->end = NULL;
    a->failed = false;
    if (kept) {
        kept->next = NULL;
        POISON(kept->bytes, kept->size - sizeof(*kept));
        chunk_use(a, kept);
    }
}

struct arena_mark arena_mark(const struct arena *a)
{
    struct arena_chunk *c = a->chunks;
    return (struct arena_mark){a->p, a->end, c, c ? c->next : NULL};
}

/* Newer chunks stand before the one that was the newest; large ones right behind it. */
void arena_rewind(struct arena *a, const struct arena_mark *m)
{
    struct arena_chunk *c = a->chunks, *next;
    for (; c != m->chunk; c = next) {
        next = c->next;
        chunk_free(a, c);
    }
    a->chunks = c;
    for (c = c ? c->next : NULL; c != m->next; c = next) {
        next = c->next;
        chunk_free(a, c);
    }
    a->p = m->p;
    a->end = m->end;
    if (a->chunks) {
        a->chunks->next = m->next;
        POISON(a->p, (size_t)(a->end - a->p));
    }
}

void arena_release(struct arena *a)
{
    run_cleanups(a);
    for (struct arena_chunk *c = a->chunks, *next; c; c = next) {
        next = c->next;
        chunk_free(a, c);
    }
    arena_init(a, a->max, a->res);
}
