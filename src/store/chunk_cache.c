/* The chunk cache: shards of a chained hash table and a list in order of use.
 *
 * An entry holds a reference to its blob; eviction drops it, and readers that still use the blob
 * keep it alive. Invariant of a shard: `bytes` is the sum over its entries; it is at most the
 * shard's part of the maximum after every put. When the whole budget of the governor is used up, a
 * put makes room by evicting as much as it brings, so that the cache gives way before queries fail.
 */
#include "store/chunk_cache.h"

#include "core/hash.h"
#include "core/mem.h"
#include "store/store.h"

#include <pthread.h>
#include <stdatomic.h>

/* A set of shards for chunks, one for what queries keep, and a smaller one for what they keep of
 * frames, which are many and soon gone. */
enum { SHARDS = 8, ALL_SHARDS = 3 * SHARDS, BUCKETS = 1024 };
enum { FRAMES_PART = 8 }; /* of the maximum */
enum { MAX_DEFAULT = 64 << 20 };

struct entry {
    struct chunk_key key;
    struct blob *blob;
    struct entry *chain; /* of the bucket */
    struct entry *newer, *older;
};
struct shard {
    pthread_mutex_t lock;
    struct entry *bucket[BUCKETS];
    struct entry *newest, *oldest;
    size_t bytes;
    uint64_t entries, hits, misses;
};
static struct shard shards[ALL_SHARDS] = {
    [0 ... ALL_SHARDS - 1] = {.lock = PTHREAD_MUTEX_INITIALIZER},
};
static _Atomic size_t max_bytes = MAX_DEFAULT;

static uint64_t key_hash(const struct chunk_key *k)
{
    return hash_mix(k->segment * 0x9e3779b97f4a7c15ULL + hash_mix(k->offset + k->part));
}

static bool key_eq(const struct chunk_key *a, const struct chunk_key *b)
{
    return a->segment == b->segment && a->offset == b->offset && a->part == b->part;
}

static struct shard *shard_of(const struct chunk_key *k, uint64_t hash)
{
    bool frame = (k->segment & (LASTING_BLOCK | LASTING_FRAME)) == LASTING_FRAME;
    unsigned set = !(k->part & CHUNK_KEY_KEPT) ? 0 : frame ? 2 : 1;
    return &shards[set * SHARDS + hash % SHARDS];
}

static size_t shard_max(const struct shard *s, size_t max)
{
    return s - shards < 2 * SHARDS ? max / SHARDS : max / SHARDS / FRAMES_PART;
}

static struct entry **slot_of(struct shard *s, const struct chunk_key *key, uint64_t hash)
{
    struct entry **at = &s->bucket[hash / SHARDS % BUCKETS];
    while (*at && !key_eq(&(*at)->key, key))
        at = &(*at)->chain;
    return at;
}

static void list_remove(struct shard *s, struct entry *e)
{
    *(e->newer ? &e->newer->older : &s->newest) = e->older;
    *(e->older ? &e->older->newer : &s->oldest) = e->newer;
    e->newer = e->older = NULL;
}

static void list_add(struct shard *s, struct entry *e)
{
    e->older = s->newest;
    *(s->newest ? &s->newest->newer : &s->oldest) = e;
    s->newest = e;
}

static void evict(struct shard *s, struct entry *e)
{
    struct entry **at = slot_of(s, &e->key, key_hash(&e->key));
    CHECK(*at == e);
    *at = e->chain;
    list_remove(s, e);
    s->bytes -= e->blob->bytes.n;
    s->entries--;
    blob_unref(e->blob);
    mem_free(e);
}

struct blob *chunk_cache_get(const struct chunk_key *key)
{
    uint64_t hash = key_hash(key);
    struct shard *s = shard_of(key, hash);
    struct blob *found = NULL;
    pthread_mutex_lock(&s->lock);
    struct entry *e = *slot_of(s, key, hash);
    if (e) {
        list_remove(s, e);
        list_add(s, e);
        found = blob_ref(e->blob);
    }
    s->hits += e != NULL;
    s->misses += e == NULL;
    pthread_mutex_unlock(&s->lock);
    return found;
}

static void put(const struct chunk_key *key, struct blob *b, bool instead)
{
    uint64_t hash = key_hash(key);
    struct shard *s = shard_of(key, hash);
    size_t max = shard_max(s, atomic_load_explicit(&max_bytes, memory_order_relaxed));
    size_t n = b->bytes.n, budget = governor_budget();
    if (n > max)
        return;
    bool tight = budget && governor_used() > budget - budget / 8;
    pthread_mutex_lock(&s->lock);
    size_t bound = tight ? (s->bytes > n ? s->bytes - n : 0) : max - n;
    while (s->oldest && s->bytes > bound)
        evict(s, s->oldest);
    struct entry **at = slot_of(s, key, hash);
    if (instead && *at) {
        evict(s, *at);
        at = slot_of(s, key, hash);
    }
    if (!*at && s->bytes <= bound) {
        struct entry *e = NEW(struct entry);
        e->key = *key;
        e->blob = blob_ref(b);
        *at = e;
        list_add(s, e);
        s->bytes += n;
        s->entries++;
    }
    pthread_mutex_unlock(&s->lock);
}

void chunk_cache_put(const struct chunk_key *key, struct blob *b)
{
    put(key, b, false);
}

void chunk_cache_replace(const struct chunk_key *key, struct blob *b)
{
    put(key, b, true);
}

static void shard_trim(struct shard *s, size_t max)
{
    pthread_mutex_lock(&s->lock);
    while (s->oldest && s->bytes > max)
        evict(s, s->oldest);
    if (max == 0)
        while (s->oldest)
            evict(s, s->oldest);
    pthread_mutex_unlock(&s->lock);
}

void chunk_cache_set_max(size_t bytes)
{
    atomic_store_explicit(&max_bytes, bytes, memory_order_relaxed);
    for (int i = 0; i < ALL_SHARDS; i++)
        shard_trim(&shards[i], shard_max(&shards[i], bytes));
}

bool chunk_cache_keeps(void)
{
    return atomic_load_explicit(&max_bytes, memory_order_relaxed) > 0;
}

void chunk_cache_drop(uint64_t segment)
{
    for (int i = 0; i < ALL_SHARDS; i++) {
        struct shard *s = &shards[i];
        pthread_mutex_lock(&s->lock);
        for (struct entry *e = s->oldest, *next; e; e = next) {
            next = e->newer;
            if (e->key.segment == segment)
                evict(s, e);
        }
        pthread_mutex_unlock(&s->lock);
    }
}

void chunk_cache_stats(struct chunk_cache_stats *ret)
{
    *ret = (struct chunk_cache_stats){0};
    for (int i = 0; i < ALL_SHARDS; i++) {
        struct shard *s = &shards[i];
        pthread_mutex_lock(&s->lock);
        ret->hits += s->hits;
        ret->misses += s->misses;
        ret->bytes += s->bytes;
        ret->entries += s->entries;
        pthread_mutex_unlock(&s->lock);
    }
}
