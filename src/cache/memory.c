/* The process's own cache: a hash table of lists, oldest values thrown out first. */
#include "cache/cache_impl.h"
#include "core/clock.h"
#include "core/hash.h"
#include "core/mem.h"

#include <pthread.h>

enum { SLOTS = 4096, BYTES_MAX = 64 << 20 };

struct entry {
    struct entry *next;          /* of its slot */
    struct entry *older, *newer; /* by when it was put */
    int64_t until_ns;
    size_t key_n, value_n;
    char bytes[];
};
struct memory_cache {
    struct cache base;
    pthread_mutex_t lock;
    struct entry *slot[SLOTS];
    struct entry *oldest, *newest;
    size_t bytes;
};

static struct entry **place_of(struct memory_cache *m, struct str key)
{
    struct entry **at = &m->slot[hash64(key) % SLOTS];
    while (*at && !str_eq(str_of((*at)->bytes, (*at)->key_n), key))
        at = &(*at)->next;
    return at;
}

static void drop(struct memory_cache *m, struct entry **at)
{
    struct entry *e = *at;
    *at = e->next;
    *(e->older ? &e->older->newer : &m->oldest) = e->newer;
    *(e->newer ? &e->newer->older : &m->newest) = e->older;
    m->bytes -= sizeof(*e) + e->key_n + e->value_n;
    mem_free(e);
}

static bool memory_get(struct cache *base, struct str key, struct buf *ret)
{
    struct memory_cache *m = (struct memory_cache *)base;
    pthread_mutex_lock(&m->lock);
    struct entry **at = place_of(m, key);
    bool hit = *at && (*at)->until_ns > clock_mono_ns();
    if (hit)
        hit = buf_add(ret, (*at)->bytes + (*at)->key_n, (*at)->value_n) == OK;
    else if (*at)
        drop(m, at);
    pthread_mutex_unlock(&m->lock);
    return hit;
}

static void memory_put(struct cache *base, struct str key, struct str value, int64_t seconds)
{
    struct memory_cache *m = (struct memory_cache *)base;
    struct entry *e = mem_alloc(sizeof(*e) + key.n + value.n);
    *e = (struct entry){
        .until_ns = clock_mono_ns() + seconds * NS_PER_S, .key_n = key.n, .value_n = value.n};
    memcpy(e->bytes, key.p, key.n);
    if (value.n)
        memcpy(e->bytes + key.n, value.p, value.n);
    pthread_mutex_lock(&m->lock);
    struct entry **at = place_of(m, key);
    if (*at)
        drop(m, at);
    m->bytes += sizeof(*e) + key.n + value.n;
    while (m->bytes > BYTES_MAX && m->oldest)
        drop(m, place_of(m, str_of(m->oldest->bytes, m->oldest->key_n)));
    at = place_of(m, key);
    *at = e;
    e->older = m->newest;
    *(m->newest ? &m->newest->newer : &m->oldest) = e;
    m->newest = e;
    pthread_mutex_unlock(&m->lock);
}

static void memory_close(struct cache *base)
{
    struct memory_cache *m = (struct memory_cache *)base;
    while (m->oldest)
        drop(m, place_of(m, str_of(m->oldest->bytes, m->oldest->key_n)));
    pthread_mutex_destroy(&m->lock);
    mem_free(m);
}

static const struct cache_driver driver = {memory_get, memory_put, memory_close};

struct cache *cache_open_memory(void)
{
    struct memory_cache *m = NEW(struct memory_cache);
    m->base.driver = &driver;
    pthread_mutex_init(&m->lock, NULL);
    return &m->base;
}
