/* Landing once: the sets and the table behind claims.
 *
 * Ids: `pending` holds claims under way, `current` and `frozen` what landed behind and before the
 * last freeze. An id is settled after its frame was delivered, so what is in `frozen` belongs to
 * frames of the cut that froze it, and may be dropped in the instant in which that cut's segment
 * becomes visible. An id that is settled late, after the freeze that its frame was delivered
 * before, stays one cut longer. Ids are 128-bit hashes of (org, stream, id): two that collide by
 * chance would need 2^64 of them.
 *
 * Keys: a ring of entries in order of their first claim, found through a table of their sequence
 * numbers. An entry is pending until settled; it is `fresh` from the delivery of its first frame
 * until a cut has stored it, so that the catalog holds the keys of every published frame. The
 * oldest entries go when they are past the window or more than keys_max; a pending one at the front
 * holds back those behind it, for as long as its request takes. At replay, deliveries alone rebuild
 * both: every frame carries its key, and ids are read from the rows. */
#include "store/landing.h"

#include "core/clock.h"
#include "core/governor.h"
#include "core/mem.h"
#include "record/pick.h"
#include "store/store_impl.h"

/* ---- id sets ---- */

static bool hash_eq(struct hash128 a, struct hash128 b)
{
    return a.lo == b.lo && a.hi == b.hi;
}

static bool hash_none(struct hash128 h)
{
    return !h.lo && !h.hi;
}

void id_set_release(struct id_set *s)
{
    if (s->n_slots)
        governor_give(OWNER_OTHER, s->n_slots * sizeof(*s->slot));
    mem_free(s->slot);
    *s = (struct id_set){NULL, 0, 0};
}

/* The slot of h, or the empty one where it would go. Zero marks an empty slot. */
static size_t set_find(const struct id_set *s, struct hash128 h)
{
    size_t mask = s->n_slots - 1, i = h.lo & mask;
    while (!hash_none(s->slot[i]) && !hash_eq(s->slot[i], h))
        i = (i + 1) & mask;
    return i;
}

bool id_set_has(const struct id_set *s, struct hash128 h)
{
    return s->n && !hash_none(s->slot[set_find(s, h)]);
}

static void set_grow(struct id_set *s)
{
    struct id_set old = *s;
    s->n_slots = old.n_slots ? old.n_slots * 2 : 1024;
    s->slot = NEW_ARRAY(struct hash128, s->n_slots);
    governor_force(OWNER_OTHER, s->n_slots * sizeof(*s->slot));
    for (size_t i = 0; i < old.n_slots; i++)
        if (!hash_none(old.slot[i]))
            s->slot[set_find(s, old.slot[i])] = old.slot[i];
    id_set_release(&old);
}

bool id_set_add(struct id_set *s, struct hash128 h)
{
    if ((s->n + 1) * 3 > s->n_slots * 2)
        set_grow(s);
    size_t i = set_find(s, h);
    if (!hash_none(s->slot[i]))
        return false;
    s->slot[i] = h;
    s->n++;
    return true;
}

/* Linear probing without tombstones: what follows moves up where its home lies before the gap. */
bool id_set_remove(struct id_set *s, struct hash128 h)
{
    if (!id_set_has(s, h))
        return false;
    size_t mask = s->n_slots - 1, gap = set_find(s, h);
    for (size_t i = (gap + 1) & mask; !hash_none(s->slot[i]); i = (i + 1) & mask) {
        size_t home = s->slot[i].lo & mask;
        if (((i - home) & mask) >= ((i - gap) & mask)) {
            s->slot[gap] = s->slot[i];
            gap = i;
        }
    }
    s->slot[gap] = (struct hash128){0, 0};
    s->n--;
    return true;
}

/* ---- keys ---- */

enum key_state { KEY_GONE, KEY_PENDING, KEY_LANDED };

struct key_entry {
    struct hash128 key, payload;
    int64_t at_ns;
    uint64_t records;
    uint8_t state;
    bool fresh;    /* delivered, not in the catalog */
    bool freezing; /* with the cut under way */
};

/* All that is known, but for what stays with the store: taken over whole by landing_become. */
struct landed {
    struct id_set pending, current, frozen;
    struct key_entry *ring; /* of n_ring, a power of two; entry q is ring[q & (n_ring - 1)] */
    size_t n_ring;
    uint64_t first, next; /* sequence numbers, from 1 */
    uint64_t *table;      /* sequence numbers by key; 0: empty */
    size_t n_table;       /* twice n_ring */
};

struct landing {
    pthread_mutex_t lock;
    int64_t window_ns;
    size_t keys_max;
    _Atomic bool live;
    struct landed k;
};

static struct key_entry *entry_of(const struct landing *l, uint64_t q)
{
    return &l->k.ring[q & (l->k.n_ring - 1)];
}

static size_t table_find(const struct landing *l, struct hash128 key)
{
    size_t mask = l->k.n_table - 1, i = key.lo & mask;
    while (l->k.table[i] && !hash_eq(entry_of(l, l->k.table[i])->key, key))
        i = (i + 1) & mask;
    return i;
}

static void table_remove(struct landing *l, size_t gap)
{
    size_t mask = l->k.n_table - 1;
    for (size_t i = (gap + 1) & mask; l->k.table[i]; i = (i + 1) & mask) {
        size_t home = entry_of(l, l->k.table[i])->key.lo & mask;
        if (((i - home) & mask) >= ((i - gap) & mask)) {
            l->k.table[gap] = l->k.table[i];
            gap = i;
        }
    }
    l->k.table[gap] = 0;
}

static struct key_entry *key_find(const struct landing *l, struct hash128 key)
{
    uint64_t q = l->k.n_table ? l->k.table[table_find(l, key)] : 0;
    return q ? entry_of(l, q) : NULL;
}

static void key_forget(struct landing *l, struct key_entry *e)
{
    table_remove(l, table_find(l, e->key));
    e->state = KEY_GONE;
    e->fresh = e->freezing = false;
}

/* Drops what is too old or too much from the front. */
static void keys_trim(struct landing *l, int64_t now)
{
    while (l->k.first < l->k.next) {
        struct key_entry *e = entry_of(l, l->k.first);
        bool old = now - e->at_ns > l->window_ns || l->k.next - l->k.first > l->keys_max;
        if (e->state != KEY_GONE && (e->state == KEY_PENDING || !old))
            return;
        if (e->state != KEY_GONE)
            key_forget(l, e);
        l->k.first++;
    }
}

static size_t ring_bytes(const struct landing *l)
{
    return l->k.n_ring * sizeof(*l->k.ring) + l->k.n_table * sizeof(*l->k.table);
}

static void ring_grow(struct landing *l)
{
    struct key_entry *old = l->k.ring;
    size_t n_old = l->k.n_ring, bytes_old = ring_bytes(l);
    l->k.n_ring = n_old ? n_old * 2 : 64;
    l->k.ring = NEW_ARRAY(struct key_entry, l->k.n_ring);
    for (uint64_t q = l->k.first; q < l->k.next; q++)
        *entry_of(l, q) = old[q & (n_old - 1)];
    mem_free(old);
    mem_free(l->k.table);
    l->k.n_table = l->k.n_ring * 2;
    l->k.table = NEW_ARRAY(uint64_t, l->k.n_table);
    for (uint64_t q = l->k.first; q < l->k.next; q++)
        if (entry_of(l, q)->state != KEY_GONE)
            l->k.table[table_find(l, entry_of(l, q)->key)] = q;
    governor_force(OWNER_OTHER, ring_bytes(l) - bytes_old);
}

static struct key_entry *key_add(struct landing *l, struct hash128 key, struct hash128 payload,
                                 int64_t at_ns, enum key_state state)
{
    if (l->k.next - l->k.first == l->k.n_ring)
        ring_grow(l);
    uint64_t q = l->k.next++;
    struct key_entry *e = entry_of(l, q);
    *e =
        (struct key_entry){.key = key, .payload = payload, .at_ns = at_ns, .state = (uint8_t)state};
    l->k.table[table_find(l, key)] = q;
    return e;
}

void landing_load_keys(struct landing *l, const struct catalog_key *key, size_t n)
{
    pthread_mutex_lock(&l->lock);
    for (size_t i = 0; i < n; i++)
        if (!key_find(l, key[i].key))
            key_add(l, key[i].key, key[i].payload, key[i].at_ns, KEY_LANDED)->records =
                key[i].records;
    pthread_mutex_unlock(&l->lock);
}

void landing_become(struct landing *l, struct landing *from)
{
    pthread_mutex_lock(&l->lock);
    struct landed was = l->k;
    l->k = from->k;
    from->k = was;
    pthread_mutex_unlock(&l->lock);
    landing_free(from);
}

void landing_note_key(struct landing *l, const struct frame_info *info, uint32_t rows)
{
    if (hash_none(info->key))
        return;
    pthread_mutex_lock(&l->lock);
    struct key_entry *e = key_find(l, info->key);
    if (!e) {
        keys_trim(l, clock_now_ns());
        e = key_add(l, info->key, info->payload, info->arrival_ns, KEY_LANDED);
        e->fresh = true;
    }
    if (e->state == KEY_PENDING)
        e->fresh = true;
    if (e->fresh)
        e->records += rows;
    pthread_mutex_unlock(&l->lock);
}

enum claim store_claim_key(struct store *s, struct hash128 key, struct hash128 payload,
                           uint64_t *ret_records)
{
    struct landing *l = s->landing;
    int64_t now = clock_now_ns();
    enum claim claim = CLAIM_NEW;
    pthread_mutex_lock(&l->lock);
    l->live = true;
    keys_trim(l, now);
    struct key_entry *e = key_find(l, key);
    if (e && e->state == KEY_LANDED && now - e->at_ns > l->window_ns && !e->freezing) {
        key_forget(l, e);
        e = NULL;
    }
    if (!e) {
        (void)key_add(l, key, payload, now, KEY_PENDING);
    } else if (!hash_eq(e->payload, payload)) {
        claim = CLAIM_OTHER;
    } else if (e->state == KEY_PENDING) {
        claim = CLAIM_PENDING;
    } else {
        claim = CLAIM_SEEN;
        *ret_records = e->records;
    }
    pthread_mutex_unlock(&l->lock);
    return claim;
}

void store_settle_key(struct store *s, struct hash128 key, bool landed, uint64_t records)
{
    struct landing *l = s->landing;
    pthread_mutex_lock(&l->lock);
    struct key_entry *e = key_find(l, key);
    if (e && e->state == KEY_PENDING) {
        if (landed) {
            e->state = KEY_LANDED;
            e->records = records;
        } else {
            key_forget(l, e);
        }
    }
    pthread_mutex_unlock(&l->lock);
}

/* ---- cuts ---- */

static void ids_freeze(struct landing *l)
{
    if (!l->k.frozen.n) {
        struct id_set empty = l->k.frozen;
        l->k.frozen = l->k.current;
        l->k.current = empty;
        return;
    }
    /* The cut before failed: its ids are still in no segment. */
    for (size_t i = 0; i < l->k.current.n_slots; i++)
        if (!hash_none(l->k.current.slot[i]))
            (void)id_set_add(&l->k.frozen, l->k.current.slot[i]);
    id_set_release(&l->k.current);
}

void landing_freeze(struct landing *l, struct arena *a, struct catalog_key **ret, size_t *ret_n)
{
    pthread_mutex_lock(&l->lock);
    ids_freeze(l);
    size_t n = 0;
    for (uint64_t q = l->k.first; q < l->k.next; q++)
        n += entry_of(l, q)->fresh;
    struct catalog_key *key = ARENA_ARRAY(a, struct catalog_key, n);
    *ret = key;
    *ret_n = n;
    for (uint64_t q = l->k.first; q < l->k.next; q++) {
        struct key_entry *e = entry_of(l, q);
        if (e->fresh) {
            *key++ = (struct catalog_key){e->key, e->payload, e->at_ns, e->records};
            e->freezing = true;
            e->fresh = false;
        }
    }
    pthread_mutex_unlock(&l->lock);
}

void landing_thaw(struct landing *l, bool published)
{
    pthread_mutex_lock(&l->lock);
    for (uint64_t q = l->k.first; q < l->k.next; q++) {
        struct key_entry *e = entry_of(l, q);
        if (e->freezing) {
            e->freezing = false;
            e->fresh = !published;
        }
    }
    if (published)
        id_set_release(&l->k.frozen);
    pthread_mutex_unlock(&l->lock);
}

/* ---- ids ---- */

struct hash128 landing_id_hash(struct str org, struct str stream, struct str id)
{
    struct hash128 h = hash128(id);
    uint64_t seed = hash64_seed(stream, hash64(org));
    h.lo ^= seed;
    h.hi ^= hash_mix(seed);
    return hash_none(h) ? (struct hash128){1, 0} : h;
}

enum claim_state landing_claim_id(struct landing *l, struct hash128 id)
{
    enum claim_state state = CLAIMED_NEW;
    pthread_mutex_lock(&l->lock);
    if (id_set_has(&l->k.current, id) || id_set_has(&l->k.frozen, id))
        state = CLAIMED_LANDED;
    else if (!id_set_add(&l->k.pending, id))
        state = CLAIMED_PENDING;
    pthread_mutex_unlock(&l->lock);
    return state;
}

void landing_settle_id(struct landing *l, struct hash128 id, bool landed)
{
    pthread_mutex_lock(&l->lock);
    if (id_set_remove(&l->k.pending, id) && landed)
        (void)id_set_add(&l->k.current, id);
    pthread_mutex_unlock(&l->lock);
}

enum err landing_row_ids(struct rows *rows, struct arena *a, struct str **ret)
{
    *ret = NULL;
    TRY(rows_pick_name(rows, STR("_id"), false, a, ret));
    return rows_pick_name(rows, STR("log_id"), false, a, ret);
}

enum err landing_note_ids(struct landing *l, struct str org, struct str stream, struct rows *rows)
{
    struct arena a;
    struct str *id = NULL;
    arena_init(&a, 0, NULL);
    enum err err = landing_row_ids(rows, &a, &id);
    if (err == OK && id) {
        pthread_mutex_lock(&l->lock);
        for (uint32_t row = 0; row < rows->n; row++)
            if (id[row].n)
                (void)id_set_add(&l->k.current, landing_id_hash(org, stream, id[row]));
        pthread_mutex_unlock(&l->lock);
    }
    arena_release(&a);
    return err;
}

void store_settle_id(struct store *s, struct str org, struct str stream, struct str id, bool landed)
{
    landing_settle_id(s->landing, landing_id_hash(org, stream, id), landed);
}

enum err store_claim_id(struct store *s, struct str org, struct str stream, struct str id,
                        enum claim *ret)
{
    struct hash128 hash = landing_id_hash(org, stream, id);
    landing_set_live(s->landing);
    switch (landing_claim_id(s->landing, hash)) {
    case CLAIMED_LANDED:
        *ret = CLAIM_SEEN;
        return OK;
    case CLAIMED_PENDING:
        *ret = CLAIM_PENDING;
        return OK;
    case CLAIMED_NEW:
        break;
    }
    /* In no set: only now the segments are pinned, so that a cut between the two looks cannot hide
     * it. */
    bool stored = false;
    pthread_mutex_lock(&s->lock);
    struct mem_stream *st = memtable_find_stream(s, org, stream);
    pthread_mutex_unlock(&s->lock);
    enum err err = st ? id_lookup(s, st, id, hash, &stored) : OK;
    if (err != OK || stored)
        landing_settle_id(s->landing, hash, false);
    TRY(err);
    *ret = stored ? CLAIM_SEEN : CLAIM_NEW;
    return OK;
}

/* ---- life ---- */

size_t landing_ids(struct landing *l)
{
    pthread_mutex_lock(&l->lock);
    size_t n = l->k.current.n + l->k.frozen.n;
    pthread_mutex_unlock(&l->lock);
    return n;
}

bool landing_live(struct landing *l)
{
    return l->live;
}

void landing_set_live(struct landing *l)
{
    if (!l->live)
        l->live = true;
}

struct landing *landing_new(int64_t window_ns, size_t keys_max)
{
    struct landing *l = NEW(struct landing);
    pthread_mutex_init(&l->lock, NULL);
    l->window_ns = window_ns;
    l->keys_max = keys_max;
    l->k.first = l->k.next = 1;
    return l;
}

void landing_free(struct landing *l)
{
    id_set_release(&l->k.pending);
    id_set_release(&l->k.current);
    id_set_release(&l->k.frozen);
    governor_give(OWNER_OTHER, ring_bytes(l));
    mem_free(l->k.ring);
    mem_free(l->k.table);
    pthread_mutex_destroy(&l->lock);
    mem_free(l);
}
