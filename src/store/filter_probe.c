/* Token filters are about an eighth of what a needle's column takes: those of 50 million records
 * are more than a cache holds, and one that is read whole for three of its bytes costs a hundred
 * times what it tells.
 *
 * So a filter is read whole once, and held to the checksum that its directory has. What is kept of
 * it, in the chunk cache, is its digest: the filter's head, and a checksum of each of its segments
 * (fuse.c), together a 500th of it. After that a word costs one read of the three segments next to
 * each other that its fingerprints lie in, each held to its sum: a filter that goes bad on disk
 * while the process lives hides no rows either. Where the digest was evicted, the filter is read
 * whole again. */
#include "store/filter_probe.h"

#include "core/blob.h"
#include "core/hash.h"
#include "core/io.h"
#include "core/mem.h"
#include "store/chunk_cache.h"
#include "store/fuse.h"

enum { DIGEST_PART = -3 /* of the filter's key */ };

static uint32_t sum_of(struct str s)
{
    return (uint32_t)hash64(s);
}

static void digest_put(const struct chunk_key *key, const struct fuse_shape *s, struct str filter)
{
    uint32_t segments = s->count + 2;
    size_t n = FUSE_HEAD_BYTES + (size_t)segments * sizeof(uint32_t);
    char *to = mem_alloc(n);
    memcpy(to, filter.p, FUSE_HEAD_BYTES);
    for (uint32_t i = 0; i < segments; i++) {
        const char *from = filter.p + FUSE_HEAD_BYTES + (size_t)i * s->segment;
        uint32_t sum = sum_of(str_of(from, s->segment));
        memcpy(to + FUSE_HEAD_BYTES + i * sizeof(sum), &sum, sizeof(sum));
    }
    struct blob *b = blob_take(to, n, OWNER_CACHE);
    chunk_cache_put(key, b);
    blob_unref(b);
}

/* Reads the filter whole, leaves its digest behind. */
static bool probe_whole(const struct filter_place *at, const struct chunk_key *key,
                        const uint64_t *word, uint32_t n_words)
{
    char *p = mem_alloc(at->length);
    struct str filter = str_of(p, at->length);
    struct fuse_shape s;
    bool may = true;
    if (io_pread(at->fd, p, at->length, at->offset) == OK && sum_of(filter) == at->sum &&
        fuse_shape_read(filter, at->length, &s)) {
        digest_put(key, &s, filter);
        for (uint32_t i = 0; i < n_words && may; i++)
            may = fuse_may_contain(filter, word[i]);
    }
    mem_free(p);
    return may;
}

static bool window_good(const struct fuse_shape *s, const char *sums, uint32_t first,
                        const char *window)
{
    for (uint32_t i = 0; i < 3; i++) {
        uint32_t sum;
        memcpy(&sum, sums + ((size_t)first + i) * sizeof(sum), sizeof(sum));
        if (sum != sum_of(str_of(window + (size_t)i * s->segment, s->segment)))
            return false;
    }
    return true;
}

static bool probe_windows(const struct filter_place *at, struct str digest, const uint64_t *word,
                          uint32_t n_words, uint64_t *bytes_read)
{
    struct fuse_shape s;
    if (!fuse_shape_read(digest, at->length, &s))
        return true;
    size_t n = (size_t)3 * s.segment;
    char *window = mem_alloc(n);
    bool may = true;
    for (uint32_t i = 0; i < n_words && may; i++) {
        uint32_t first = fuse_window(&s, word[i]);
        uint64_t from = at->offset + FUSE_HEAD_BYTES + (uint64_t)first * s.segment;
        if (io_pread(at->fd, window, n, from) == OK &&
            window_good(&s, digest.p + FUSE_HEAD_BYTES, first, window))
            may = fuse_window_may_contain(&s, str_of(window, n), word[i]);
        *bytes_read += n;
    }
    mem_free(window);
    return may;
}

bool filter_probe(const struct filter_place *at, const uint64_t *word, uint32_t n_words,
                  uint64_t *bytes_read)
{
    struct chunk_key key = {at->segment, at->offset, (uint32_t)DIGEST_PART};
    uint64_t unasked = 0, *bytes = bytes_read ? bytes_read : &unasked;
    struct blob *digest = chunk_cache_get(&key);
    if (!digest) {
        *bytes += at->length;
        return probe_whole(at, &key, word, n_words);
    }
    bool may = probe_windows(at, digest->bytes, word, n_words, bytes);
    blob_unref(digest);
    return may;
}
