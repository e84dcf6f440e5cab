/* Client ids in segments: does any published record of a stream have this id?
 *
 * Three sieves, each finer: segments that were published within the window (or, going back, until
 * they hold ids_max rows of the stream; that is said once); the segment's id filter; the token
 * filters and bounds of the blocks' `log_id` and `_id` columns. What passes is decided exactly, by
 * the set of all ids of the block. Such sets are kept, a few of them, because whoever sends a body
 * again asks for many ids of one block. */
#include "core/clock.h"
#include "core/log.h"
#include "core/mem.h"
#include "record/predicate.h"
#include "store/store_impl.h"

#define SETS_KEPT 8
/* How long a lookup waits for segments that are at rest elsewhere, and how long those behind one
 * that waited in vain do without. */
#define FETCH_NS (10 * NS_PER_S)
#define WITHOUT_NS (60 * NS_PER_S)

struct block_ids {
    uint64_t segment_id; /* never given out twice; 0: none */
    uint32_t section, block;
    uint64_t used;
    struct id_set ids;
};

struct id_cache {
    pthread_mutex_t lock;
    struct block_ids kept[SETS_KEPT];
    uint64_t uses;
    _Atomic int64_t without_until; /* what is not here is not waited for */
};

struct id_cache *id_cache_new(void)
{
    struct id_cache *c = NEW(struct id_cache);
    pthread_mutex_init(&c->lock, NULL);
    return c;
}

static void block_ids_clear(struct block_ids *b)
{
    id_set_release(&b->ids);
    *b = (struct block_ids){0};
}

void id_cache_free(struct id_cache *c)
{
    for (size_t i = 0; i < SETS_KEPT; i++)
        block_ids_clear(&c->kept[i]);
    pthread_mutex_destroy(&c->lock);
    mem_free(c);
}

/* A lookup's place: one block of one segment. */
struct place {
    struct manifest_segment *segment;
    struct segment *file;
    uint32_t section, block;
    struct mem_stream *st;
};

/* True when the block's set is kept; then *ret says whether it has the id. */
static bool kept_has(struct id_cache *c, const struct place *p, struct hash128 hash, bool *ret)
{
    bool found = false;
    pthread_mutex_lock(&c->lock);
    for (size_t i = 0; i < SETS_KEPT && !found; i++) {
        struct block_ids *b = &c->kept[i];
        if (b->segment_id != p->segment->id || b->section != p->section || b->block != p->block)
            continue;
        b->used = ++c->uses;
        *ret = id_set_has(&b->ids, hash);
        found = true;
    }
    pthread_mutex_unlock(&c->lock);
    return found;
}

static void keep(struct id_cache *c, const struct place *p, const struct id_set *ids)
{
    pthread_mutex_lock(&c->lock);
    struct block_ids *oldest = &c->kept[0];
    for (size_t i = 1; i < SETS_KEPT; i++)
        if (c->kept[i].used < oldest->used)
            oldest = &c->kept[i];
    block_ids_clear(oldest);
    *oldest = (struct block_ids){p->segment->id, p->section, p->block, ++c->uses, *ids};
    pthread_mutex_unlock(&c->lock);
}

/* Whether the columns' filters leave room for it. */
static bool block_may_hold(const struct rows *rows, const struct predicate *equal)
{
    static const struct str name[] = {{"log_id", 6}, {"_id", 3}};
    for (size_t i = 0; i < 2; i++)
        for (uint32_t col = rows_find(rows, name[i], 0); col != UINT32_MAX;
             col = rows_find(rows, name[i], col + 1))
            if (rows->columns[col].ops->may_match(&rows->columns[col], equal))
                return true;
    return false;
}

static enum err block_has(struct store *s, const struct place *p, const struct predicate *equal,
                          struct hash128 hash, struct arena *a, bool *ret)
{
    if (kept_has(s->id_cache, p, hash, ret))
        return OK;
    struct rows rows;
    struct str *id;
    TRY(segment_block_rows(p->file, p->section, p->block, a, NULL, &rows));
    if (!block_may_hold(&rows, equal)) {
        *ret = false;
        return OK;
    }
    TRY(landing_row_ids(&rows, a, &id));
    struct id_set ids = {NULL, 0, 0};
    for (uint32_t row = 0; id && row < rows.n; row++)
        if (id[row].n)
            (void)id_set_add(&ids, landing_id_hash(p->st->org, p->st->name, id[row]));
    *ret = id_set_has(&ids, hash);
    keep(s->id_cache, p, &ids);
    return OK;
}

/* A block that cannot be read must not stop every record that might be in it. */
static enum err pass_over_damage(struct manifest_segment *e, enum err err)
{
    if (err != ERR_CORRUPT && err != ERR_IO && err != ERR_EOF)
        return err;
    if (!e->damaged)
        log_error("client ids cannot be looked up in a damaged segment, repeats may land twice",
                  "error=%s", err_text());
    e->damaged = true;
    return OK;
}

static enum err file_has(struct store *s, struct manifest_segment *e, struct segment *file,
                         struct mem_stream *st, const struct predicate *equal, struct hash128 hash,
                         bool *ret)
{
    struct arena a;
    enum err err = OK;
    arena_init(&a, 0, NULL);
    for (uint32_t i = 0; err == OK && !*ret && i < e->n_sections; i++) {
        if (e->section[i].stream != st)
            continue;
        struct section_info info;
        err = segment_section(file, i, &info);
        for (uint32_t b = 0; err == OK && !*ret && b < info.blocks; b++) {
            struct place p = {e, file, i, b, st};
            arena_reset(&a);
            err = pass_over_damage(e, block_has(s, &p, equal, hash, &a, ret));
        }
    }
    arena_release(&a);
    return err;
}

/* NULL: it cannot be had. */
static struct segment *open_segment(struct store *s, struct manifest_segment *e,
                                    const struct objects_wait *w)
{
    struct segment *file;
    if (e->remote && clock_mono_ns() < s->id_cache->without_until && !copy_is_here(s, e))
        return NULL;
    if (copy_open(s, e, w, NULL, &file) == OK)
        return file;
    log_warn("client ids cannot be looked up, repeats may land twice", "error=%s", err_text());
    if (e->remote)
        s->id_cache->without_until = clock_mono_ns() + WITHOUT_NS;
    copy_ahead(s, e);
    return NULL;
}

/* `filter`: the id's hash for the filter of ids. */
static enum err segment_has(struct store *s, struct manifest_segment *e, struct mem_stream *st,
                            const struct predicate *equal, struct hash128 hash, uint64_t filter,
                            const struct objects_wait *w, bool *ret)
{
    enum err err = OK;
    struct segment *file = open_segment(s, e, w);
    if (!file)
        return OK;
    if (segment_may_hold_id(file, filter))
        err = file_has(s, e, file, st, equal, hash, ret);
    segment_unref(file);
    return err;
}

static uint64_t rows_of(const struct manifest_segment *e, const struct mem_stream *st)
{
    uint64_t rows = 0;
    for (uint32_t i = 0; i < e->n_sections; i++)
        if (e->section[i].stream == st)
            rows += e->section[i].rows;
    return rows;
}

enum err id_lookup(struct store *s, struct mem_stream *st, struct str id, struct hash128 hash,
                   bool *ret)
{
    struct manifest *m = store_manifest(s);
    int64_t since = clock_now_ns() - s->o.id_window_ns;
    struct arena a;
    struct predicate equal;
    arena_init(&a, 0, NULL);
    enum err err = predicate_equal(&a, id, &equal);
    uint64_t rows = 0, filter = hash64_seed(id, st->id);
    struct objects_wait wait = {.deadline_mono = clock_mono_ns() + FETCH_NS};
    bool found = false;
    for (size_t i = m->n; err == OK && !found && i-- > 0;) {
        struct manifest_segment *e = m->segment[i];
        uint64_t own = (e->remote || e->file) && e->created_ns >= since ? rows_of(e, st) : 0;
        if (!own)
            continue;
        if (s->o.ids_max && rows >= s->o.ids_max) {
            log_warn("client ids are remembered for a shorter time", "stream=%.*s ids_max=%llu",
                     STR_ARG(st->name), (unsigned long long)s->o.ids_max);
            break;
        }
        rows += own;
        err = segment_has(s, e, st, &equal, hash, filter, &wait, &found);
    }
    arena_release(&a);
    manifest_unref(m);
    TRY(err);
    *ret = found;
    return OK;
}
