/* Binary fuse filter with 8-bit fingerprints and three locations a key.
 *
 * Bytes:
 *   0  u64 seed
 *   8  u32 segment length (a power of two, at most 2^18)
 *   12 u32 segments in which a first location may fall (at least 1)
 *   16 u8[(segments + 2) * segment length] fingerprints
 * No bytes at all: the filter of no keys.
 *
 * A key h = mix(key + seed) has its first location in the window that h's high bits pick, and the
 * other two in the next two segments, by further bits of h. The fingerprints of the three, xored,
 * give the key's. Building peels: a location that a single key uses is that key's own; taking the
 * key away frees others. The order reversed is the order in which fingerprints may be set. With the
 * sizes of the paper the first seed mostly works; each further one is independent. Equal keys can
 * never be peeled: the keys are sorted and made unique only when a try has failed, for callers
 * mostly bring distinct ones. */
#include "store/fuse.h"

#include "core/hash.h"

#include <math.h>
#include <stdlib.h>

enum { HEAD = FUSE_HEAD_BYTES, SEGMENT_MAX = 1 << 18, TRIES = 200, KEYS_MAX = 1 << 26 };

struct places {
    uint32_t at[3];
};

static uint64_t load_u64(const uint8_t *p)
{
    uint64_t v = 0;
    for (int i = 7; i >= 0; i--)
        v = v << 8 | p[i];
    return v;
}

static uint32_t load_u32(const uint8_t *p)
{
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static uint8_t fingerprint(uint64_t h)
{
    return (uint8_t)(h ^ h >> 32);
}

static struct places places_of(const struct fuse_shape *s, uint64_t h)
{
    uint32_t mask = s->segment - 1;
    uint64_t span = (uint64_t)s->count * s->segment;
    uint32_t first = (uint32_t)((unsigned __int128)h * span >> 64);
    struct places p;
    p.at[0] = first;
    p.at[1] = (first + s->segment) ^ ((uint32_t)(h >> 18) & mask);
    p.at[2] = (first + 2 * s->segment) ^ ((uint32_t)h & mask);
    return p;
}

static struct fuse_shape shape_for(uint32_t n)
{
    double size = n > 1 ? n : 2;
    uint32_t segment = (uint32_t)1 << (int)floor(log(size) / log(3.33) + 2.25);
    segment = segment > SEGMENT_MAX ? SEGMENT_MAX : segment;
    double factor = fmax(1.125, 0.875 + 0.25 * log(1e6) / log(size));
    uint32_t want = (uint32_t)(size * factor) + 1;
    uint32_t segments = (want + segment - 1) / segment;
    return (struct fuse_shape){.segment = segment, .count = segments > 3 ? segments - 2 : 1};
}

static int key_cmp(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static uint32_t sort_unique(uint64_t *key, uint32_t n)
{
    qsort(key, n, sizeof(*key), key_cmp);
    uint32_t kept = 1;
    for (uint32_t i = 1; i < n; i++)
        if (key[kept - 1] != key[i])
            key[kept++] = key[i];
    return kept;
}

/* What building needs: per location the number of keys on it, and their hashes and slots xored. */
struct work {
    uint64_t *xored; /* per location */
    uint8_t *uses;   /* per location: keys << 2, ^ which of its three this is */
    uint64_t *order; /* per key: its hash, in order of peeling */
    uint8_t *slot;   /* per key: which of its three it owns */
    uint32_t *alone; /* queue of locations with one key */
    uint32_t locations;
};

static bool count_keys(const struct fuse_shape *s, const uint64_t *key, uint32_t n, struct work *w)
{
    bool overflow = false;
    memset(w->xored, 0, w->locations * sizeof(*w->xored));
    memset(w->uses, 0, w->locations);
    for (uint32_t i = 0; i < n; i++) {
        uint64_t h = hash_mix(key[i] + s->seed);
        struct places p = places_of(s, h);
        for (unsigned k = 0; k < 3; k++) {
            uint8_t *u = &w->uses[p.at[k]];
            *u = (uint8_t)((*u + 4) ^ k);
            overflow |= *u < 4;
            w->xored[p.at[k]] ^= h;
        }
    }
    return !overflow;
}

/* How many keys could be peeled. */
static uint32_t peel(const struct fuse_shape *s, struct work *w)
{
    uint32_t head = 0, tail = 0, done = 0;
    for (uint32_t i = 0; i < w->locations; i++)
        if (w->uses[i] >> 2 == 1)
            w->alone[tail++] = i;
    while (head < tail) {
        uint32_t at = w->alone[head++];
        if (w->uses[at] >> 2 != 1)
            continue;
        uint64_t h = w->xored[at];
        unsigned mine = w->uses[at] & 3;
        w->order[done] = h;
        w->slot[done++] = (uint8_t)mine;
        struct places p = places_of(s, h);
        for (unsigned k = 0; k < 3; k++) {
            uint32_t to = p.at[k];
            w->xored[to] ^= h;
            w->uses[to] = (uint8_t)((w->uses[to] - 4) ^ k);
            if (k != mine && w->uses[to] >> 2 == 1)
                w->alone[tail++] = to;
        }
    }
    return done;
}

static void assign(const struct fuse_shape *s, const struct work *w, uint32_t n, uint8_t *print)
{
    for (uint32_t i = n; i-- > 0;) {
        uint64_t h = w->order[i];
        struct places p = places_of(s, h);
        uint8_t f = fingerprint(h);
        for (unsigned k = 0; k < 3; k++)
            if (k != w->slot[i])
                f ^= print[p.at[k]];
        print[p.at[w->slot[i]]] = f;
    }
}

static bool try_seed(const struct fuse_shape *s, const uint64_t *key, uint32_t n, struct work *w,
                     struct buf *out)
{
    if (!count_keys(s, key, n, w) || peel(s, w) != n)
        return false;
    char *to = buf_reserve(out, HEAD + (size_t)w->locations);
    CHECK(to);
    buf_put_u64(out, s->seed);
    buf_put_u32(out, s->segment);
    buf_put_u32(out, s->count);
    memset(to + HEAD, 0, w->locations);
    assign(s, w, n, (uint8_t *)to + HEAD);
    out->n += w->locations;
    return true;
}

static bool work_init(struct work *w, const struct fuse_shape *s, uint32_t n, struct arena *scratch)
{
    *w = (struct work){.locations = (s->count + 2) * s->segment};
    w->xored = ARENA_TRY_ARRAY(scratch, uint64_t, w->locations);
    w->uses = ARENA_TRY_ARRAY(scratch, uint8_t, w->locations);
    w->alone = ARENA_TRY_ARRAY(scratch, uint32_t, (size_t)w->locations + 2 * (size_t)n);
    w->order = ARENA_TRY_ARRAY(scratch, uint64_t, n);
    w->slot = ARENA_TRY_ARRAY(scratch, uint8_t, n);
    return w->xored && w->uses && w->alone && w->order && w->slot;
}

enum err fuse_build(uint64_t *key, uint32_t n, struct arena *scratch, struct buf *out)
{
    if (n > KEYS_MAX)
        return err_set(ERR_LIMIT, "a filter holds at most %d keys", KEYS_MAX);
    if (n == 0)
        return OK;
    struct fuse_shape s = shape_for(n);
    struct work w;
    if (!work_init(&w, &s, n, scratch))
        return err_set(ERR_NOMEM, "no memory for a filter of %u keys", n);
    uint64_t state = n;
    for (int try = 0; try < TRIES; try++) {
        s.seed = hash_mix(state += 0x9e3779b97f4a7c15ULL);
        if (try_seed(&s, key, n, &w, out))
            return OK;
        if (try == 0)
            n = sort_unique(key, n);
    }
    return err_set(ERR_LIMIT, "no filter found for %u keys", n);
}

bool fuse_shape_read(struct str head, uint64_t length, struct fuse_shape *ret)
{
    const uint8_t *p = (const uint8_t *)head.p;
    if (head.n < HEAD || length < HEAD)
        return false;
    struct fuse_shape s = {load_u64(p), load_u32(p + 8), load_u32(p + 12)};
    bool power = s.segment && !(s.segment & (s.segment - 1)) && s.segment <= SEGMENT_MAX;
    if (!power || s.count == 0 || s.count > UINT32_MAX / SEGMENT_MAX - 2 ||
        length - HEAD != (uint64_t)(s.count + 2) * s.segment)
        return false;
    *ret = s;
    return true;
}

uint32_t fuse_window(const struct fuse_shape *s, uint64_t key)
{
    return places_of(s, hash_mix(key + s->seed)).at[0] / s->segment;
}

bool fuse_window_may_contain(const struct fuse_shape *s, struct str window, uint64_t key)
{
    CHECK(window.n == (size_t)3 * s->segment);
    uint64_t h = hash_mix(key + s->seed);
    struct places at = places_of(s, h);
    const uint8_t *print = (const uint8_t *)window.p;
    uint32_t from = at.at[0] / s->segment * s->segment;
    return fingerprint(h) ==
           (print[at.at[0] - from] ^ print[at.at[1] - from] ^ print[at.at[2] - from]);
}

bool fuse_may_contain(struct str filter, uint64_t key)
{
    struct fuse_shape s;
    if (filter.n == 0)
        return false;
    if (!fuse_shape_read(filter, filter.n, &s))
        return true;
    size_t from = HEAD + (size_t)fuse_window(&s, key) * s.segment;
    return fuse_window_may_contain(&s, str_of(filter.p + from, (size_t)3 * s.segment), key);
}
