/* Several servers on one catalog: what another publishes, merges and expires is shown here too, and
 * what another has consumed in our place is not kept in memory.
 *
 * FOLLOWING. The catalog is read in one instant (catalog_look), and the manifest becomes what it
 * says. That is only right while the rest of what is shown here is of the same instant, or ahead of
 * it by what nobody else knows:
 *   - From before a publish of ours until the queue knows of it (`publishing`), the catalog may say
 *     that rows are in a segment which memory shows, too: then nothing is taken over.
 *   - A change of ours between reading and taking over (`changes_here`) may be missing in what was
 *     read: then it is read again.
 *   - A partition of which rows are in memory, or are about to be read, must stand where we think
 *     it stands (`agrees`). Else another has published from it: a reset is due, and what was read
 *     is not taken over, as its rows are in memory.
 * So a record is never shown twice, and one that was shown goes only by a reset.
 *
 * A RESET drops all that is not published: rows, ids, keys, sequences. What the catalog says takes
 * their place, and the queue reads again from its checkpoints. It is made by the thread that
 * delivers, under cut_lock: nothing is published meanwhile, so that the queue's marks go with the
 * rows that they stand for. Cuts that fail for it are not tried again before. Positions go on.
 *
 * ONE MERGES: the holder of the lease "compact". A holder renews it every LEASE_RENEW_NS; another
 * takes it when it has not been renewed for LEASE_NS of its own clock. Replacements name the
 * lease's token, and fail when it is another's.
 *
 * GARBAGE: objects of replaced segments are removed by the same server, options.garbage_age_ns
 * later, so that servers which have not followed yet, and their queries, still find them. That is
 * done in the background: this thread waits for nothing but the catalog. */
#include "catalog/shared.h"
#include "core/clock.h"
#include "core/log.h"
#include "core/mem.h"
#include "store/store_impl.h"

#include <inttypes.h>

#define FOLLOW_NS NS_PER_S
#define BEAT_NS (5 * NS_PER_S)
#define LEASE_NS (30 * NS_PER_S)
#define LEASE_RENEW_NS (10 * NS_PER_S)
enum { FOLLOW_TRIES = 4 };

/* ---- what was read, to be taken over ---- */

struct fresh {
    struct arena arena;
    struct catalog_state state;
    struct landed_others *others;
    uint64_t changes_here; /* before it was read */
    struct manifest_segment **add;
    size_t n, cap;
};

static void fresh_release(struct fresh *f)
{
    for (size_t i = 0; i < f->n; i++)
        manifest_segment_unref(f->add[i]);
    landed_others_unref(f->others);
    mem_free(f->add);
    arena_release(&f->arena);
}

/* What is in the catalog and not here. ERR_AGAIN: some of it went meanwhile. */
static enum err open_new(struct store *s, struct fresh *f)
{
    struct manifest *m = store_manifest(s);
    enum err err = OK;
    for (size_t i = 0; i < f->state.n_segments && err == OK; i++) {
        struct catalog_segment row;
        if (manifest_has(m, f->state.segment[i]))
            continue;
        ARRAY_GROW(f->add, f->cap, f->n + 1);
        err = catalog_load_segment(s->o.catalog, f->state.segment[i], &f->arena, &row);
        if (err == OK)
            err = manifest_learn_streams(s, &row, &f->arena);
        if (err == OK)
            err = manifest_segment_open(s, &row, true, &f->add[f->n]);
        f->n += err == OK;
    }
    manifest_unref(m);
    return err == ERR_NOTFOUND ? ERR_AGAIN : err;
}

static enum err read_fresh(struct store *s, struct fresh *f)
{
    arena_init(&f->arena, 0, NULL);
    pthread_mutex_lock(&s->lock);
    f->changes_here = s->changes_here;
    pthread_mutex_unlock(&s->lock);
    TRY(catalog_look(s->o.catalog, true, &f->arena, &f->state));
    f->others = landed_others_of(&f->state, s->o.node.number);
    return OK;
}

/* With the lock. */
static void take_over(struct store *s, const struct fresh *f)
{
    store_swap_manifest(
        s, manifest_keep(s->manifest, f->state.segment, f->state.n_segments, f->add, f->n));
    landed_others_unref(s->others);
    s->others = landed_others_ref(f->others);
    s->changes_known = f->state.changes;
    s->changes_here++;
    s->followed++;
    if (s->waiting)
        pthread_cond_broadcast(&s->arrived);
}

/* Local copies of what others have replaced; the objects are theirs to remove. */
static void drop_copies(struct store *s, const struct manifest *before)
{
    struct manifest *m = store_manifest(s);
    for (size_t i = 0, k = 0; i < before->n; i++) {
        while (k < m->n && m->segment[k]->id < before->segment[i]->id)
            k++;
        if (before->segment[i]->remote &&
            (k == m->n || m->segment[k]->id != before->segment[i]->id))
            before->segment[i]->doomed = true;
    }
    manifest_unref(m);
}

/* ---- following ---- */

void store_note_conflict(struct store *s)
{
    if (!store_is_shared(s))
        return;
    pthread_mutex_lock(&s->lock);
    bool known = s->conflict;
    s->conflict = true;
    pthread_mutex_unlock(&s->lock);
    if (known)
        return;
    if (s->o.conflict)
        s->o.conflict(s->o.ctx);
    else if (s->o.ousted) /* nobody else consumes what this server does */
        s->o.ousted(s->o.ctx);
}

/* Whether what was read may be taken over. */
static enum err judge(struct store *s, const struct fresh *f)
{
    enum err err = s->o.agrees ? s->o.agrees(s->o.ctx, &f->state) : OK;
    if (err == OK && catalog_state_at(&f->state, str_c(s->consumer), 0) != store_checkpoint(s))
        err = ERR_CONFLICT;
    return err;
}

static enum err follow_once(struct store *s)
{
    struct fresh f = {0};
    enum err err;
    TRY_OUT(read_fresh(s, &f));
    TRY_OUT(open_new(s, &f));
    pthread_mutex_lock(&s->lock);
    bool still = f.changes_here == s->changes_here && !s->publishing;
    pthread_mutex_unlock(&s->lock);
    err = still ? judge(s, &f) : ERR_AGAIN;
    struct manifest *before = store_manifest(s); /* its files are closed without the lock */
    pthread_mutex_lock(&s->lock);
    if (err != ERR_AGAIN && (f.changes_here != s->changes_here || s->publishing))
        err = ERR_AGAIN;
    if (err == OK && !s->conflict)
        take_over(s, &f);
    else if (err == OK)
        err = ERR_AGAIN;
    pthread_mutex_unlock(&s->lock);
    if (err == OK)
        drop_copies(s, before);
    manifest_unref(before);
    if (err == ERR_CONFLICT)
        store_note_conflict(s);
out:
    fresh_release(&f);
    return err;
}

/* Whether there is anything to follow. */
static enum err look(struct store *s, bool *ret_changed)
{
    struct arena a;
    struct catalog_state state;
    arena_init(&a, 0, NULL);
    enum err err = catalog_look(s->o.catalog, false, &a, &state);
    if (err == OK) {
        pthread_mutex_lock(&s->lock);
        *ret_changed = state.changes != s->changes_known;
        if (!*ret_changed)
            s->followed_mono_ns = clock_mono_ns();
        pthread_mutex_unlock(&s->lock);
    }
    arena_release(&a);
    return err;
}

static enum err follow(struct store *s)
{
    bool changed = false;
    int64_t now = clock_mono_ns();
    TRY(look(s, &changed));
    enum err err = OK;
    for (int i = 0; changed && i < FOLLOW_TRIES && (!i || err == ERR_AGAIN); i++)
        err = follow_once(s);
    if (changed && err == OK) {
        pthread_mutex_lock(&s->lock);
        s->followed_mono_ns = now;
        pthread_mutex_unlock(&s->lock);
    }
    return err;
}

enum err store_follow(struct store *s)
{
    pthread_mutex_lock(&s->follow_lock);
    enum err err = follow(s);
    pthread_mutex_unlock(&s->follow_lock);
    return err;
}

/* What was loaded is of several instants. */
static enum err follow_first(struct store *s)
{
    struct fresh f = {0};
    enum err err;
    TRY_OUT(read_fresh(s, &f));
    TRY_OUT(open_new(s, &f));
    struct manifest *before = store_manifest(s);
    pthread_mutex_lock(&s->lock);
    take_over(s, &f);
    pthread_mutex_unlock(&s->lock);
    drop_copies(s, before);
    manifest_unref(before);
out:
    fresh_release(&f);
    return err;
}

enum err store_follow_first(struct store *s)
{
    enum err err = OK;
    for (int i = 0; store_is_shared(s) && i < FOLLOW_TRIES && (!i || err == ERR_AGAIN); i++)
        err = follow_first(s);
    if (err == ERR_AGAIN)
        return err_set(ERR_UNAVAILABLE, "the catalog's segments change faster than they are read");
    return err;
}

void store_moved(struct store *s)
{
    pthread_mutex_lock(&s->lock);
    s->changes_here++;
    s->changes_known = 0;
    pthread_mutex_unlock(&s->lock);
}

/* ---- what has landed elsewhere ---- */

static enum err load_landed(struct store *s, struct landing *l, struct producers *p)
{
    struct arena a;
    struct catalog_key *key;
    struct catalog_producer *producer;
    size_t n;
    enum err err;
    arena_init(&a, 0, NULL);
    TRY_OUT(catalog_load_keys(s->o.catalog, clock_now_ns() - s->o.id_window_ns, &a, &key, &n));
    landing_load_keys(l, key, n);
    TRY_OUT(
        catalog_load_producers(s->o.catalog, clock_now_ns() - PRODUCER_KEPT_NS, &a, &producer, &n));
    err = producers_load(p, producer, n);
out:
    arena_release(&a);
    return err;
}

enum err store_take_over(struct store *s)
{
    TRY(store_follow(s));
    return load_landed(s, s->landing, s->producers);
}

/* ---- resets ---- */

/* What takes the place of what is forgotten. */
struct known {
    struct fresh fresh;
    struct landing *landing;
    struct producers *producers;
};

static enum err read_known(struct store *s, struct known *k)
{
    TRY(read_fresh(s, &k->fresh));
    if (catalog_state_at(&k->fresh.state, str_c(s->consumer), 0) != store_checkpoint(s)) {
        if (s->o.ousted)
            s->o.ousted(s->o.ctx);
        return err_set(ERR_CONFLICT,
                       "another process publishes as server %" PRIu64
                       " of the catalog: is its data folder a copy of this one's?",
                       s->o.node.number);
    }
    TRY(open_new(s, &k->fresh));
    return load_landed(s, k->landing, k->producers);
}

/* With cut_lock. ERR_AGAIN: a merge of ours came between. */
static enum err reset_once(struct store *s, void (*forget)(void *ctx), void *ctx)
{
    struct known k = {.landing = landing_new(s->o.id_window_ns, STORE_KEYS_MAX),
                      .producers = producers_new()};
    enum err err = read_known(s, &k);
    struct manifest *before = store_manifest(s);
    pthread_mutex_lock(&s->lock);
    memtable_rest(s);
    uint64_t rows = s->memtable_rows;
    if (err == OK && k.fresh.changes_here != s->changes_here)
        err = ERR_AGAIN;
    memtable_go_on(s, err == OK);
    if (err == OK) {
        forget(ctx);
        take_over(s, &k.fresh);
        landing_become(s->landing, k.landing);
        producers_become(s->producers, k.producers);
        s->since_cut_bytes = 0;
        s->oldest_unpublished_mono_ns = 0;
        s->conflict = s->cut_failed = s->cut_wanted = false;
        s->resets++;
        s->forgot_from = s->checkpoint;
        s->forgot_upto = s->delivered;
        metric_set(s->m.memtable_bytes, 0);
        pthread_cond_broadcast(&s->changed);
    }
    pthread_mutex_unlock(&s->lock);
    if (err == OK) {
        drop_copies(s, before);
        metric_add(s->m.resets, 1);
        log_warn("what is in no segment yet is read again: other servers read it, too",
                 "rows=%" PRIu64, rows);
    } else {
        landing_free(k.landing);
        producers_free(k.producers);
    }
    manifest_unref(before);
    fresh_release(&k.fresh);
    return err;
}

enum err store_reset(struct store *s, void (*forget)(void *ctx), void *ctx)
{
    pthread_mutex_lock(&s->cut_lock);
    enum err err = cut_resolve(s);
    for (int i = 0; err == OK && (!i || err == ERR_AGAIN) && i < FOLLOW_TRIES; i++)
        err = reset_once(s, forget, ctx);
    pthread_mutex_unlock(&s->cut_lock);
    return err;
}

/* ---- the lease ---- */

bool store_may_merge(struct store *s)
{
    if (!store_is_shared(s))
        return true;
    pthread_mutex_lock(&s->lock);
    bool held = s->merges_here;
    pthread_mutex_unlock(&s->lock);
    return held;
}

uint64_t store_lease_token(struct store *s)
{
    pthread_mutex_lock(&s->lock);
    uint64_t token = s->merges_here ? s->lease.token : 0;
    pthread_mutex_unlock(&s->lock);
    return token;
}

/* By the follow thread, which alone changes it. */
static void set_lease(struct store *s, const struct catalog_lease *lease, bool held, int64_t now)
{
    if (held && !s->merges_here)
        log_info("this server merges for all", "number=%" PRIu64, s->o.node.number);
    pthread_mutex_lock(&s->lock);
    s->lease = *lease;
    s->merges_here = held;
    s->lease_mono_ns = now;
    pthread_mutex_unlock(&s->lock);
    metric_set(s->m.merges_here, held);
}

static enum err renew_lease(struct store *s, int64_t now)
{
    struct catalog_lease lease = s->lease;
    if (now - s->lease_mono_ns < LEASE_RENEW_NS)
        return OK;
    enum err err = catalog_lease_renew(s->o.catalog, &lease);
    if (err == OK)
        set_lease(s, &lease, true, now);
    else if (err == ERR_CONFLICT)
        set_lease(s, &s->lease, false, now);
    return err == ERR_CONFLICT ? OK : err;
}

/* While the catalog is away: another may soon have it. */
static void let_lease_lapse(struct store *s, int64_t now)
{
    if (s->merges_here && now - s->lease_mono_ns > LEASE_NS - LEASE_RENEW_NS)
        set_lease(s, &s->lease, false, now);
}

static enum err seek_lease(struct store *s, int64_t now)
{
    struct catalog_lease lease;
    TRY(catalog_lease_look(s->o.catalog, &lease));
    bool moved = lease.token != s->lease.token || lease.beat != s->lease.beat;
    if (moved)
        set_lease(s, &lease, false, now);
    if (lease.holder && lease.holder != s->o.node.number && now - s->lease_mono_ns < LEASE_NS)
        return OK;
    enum err err = catalog_lease_take(s->o.catalog, s->o.node.number, &lease, &lease);
    if (err == OK)
        set_lease(s, &lease, true, now);
    return err == ERR_CONFLICT ? OK : err;
}

/* ---- garbage ---- */

enum err store_remove_garbage(struct store *s)
{
    struct objects_wait wait = store_until_closing(s);
    struct arena a;
    uint64_t *id;
    size_t n;
    arena_init(&a, 0, NULL);
    enum err err =
        catalog_load_garbage(s->o.catalog, clock_now_ns() - s->o.garbage_age_ns, &a, &id, &n);
    for (size_t i = 0; err == OK && i < n; i++) {
        char key[SEGMENT_KEY_MAX];
        err = objects_remove(s->o.objects, segment_key(id[i], key), &wait);
    }
    if (err == OK && n)
        err = catalog_forget_garbage(s->o.catalog, id, n);
    arena_release(&a);
    return err;
}

/* ---- the thread ---- */

struct turn {
    int64_t beat_at;
    bool failing; /* the log says so */
};

static enum err chores(struct store *s, struct turn *t, int64_t now)
{
    if (now >= t->beat_at) {
        enum err err = catalog_node_beat(s->o.catalog, &s->o.node);
        if (err == ERR_CONFLICT && s->o.ousted)
            s->o.ousted(s->o.ctx);
        TRY(err);
        t->beat_at = now + BEAT_NS;
    }
    return s->merges_here ? renew_lease(s, now) : seek_lease(s, now);
}

static void take_turn(struct store *s, struct turn *t)
{
    enum err err = store_follow(s);
    if (err == OK || err == ERR_AGAIN || err == ERR_CONFLICT)
        err = chores(s, t, clock_mono_ns());
    if (err != OK)
        let_lease_lapse(s, clock_mono_ns());
    if (err != OK && !t->failing)
        log_warn("what other servers do is not known", "error=\"%s\"", err_text());
    else if (err == OK && t->failing)
        log_info("what other servers do is known again", NULL);
    t->failing = err != OK;
    pthread_mutex_lock(&s->lock);
    metric_set(s->m.follow_age, (clock_mono_ns() - s->followed_mono_ns) / NS_PER_S);
    pthread_mutex_unlock(&s->lock);
}

void *follow_main(void *arg)
{
    struct store *s = arg;
    struct turn t = {0};
    while (!store_stopping(s)) {
        int64_t next = clock_mono_ns() + FOLLOW_NS;
        take_turn(s, &t);
        pthread_mutex_lock(&s->lock);
        while (!s->closing && clock_mono_ns() < next)
            (void)cond_wait_until(&s->changed, &s->lock, next);
        pthread_mutex_unlock(&s->lock);
    }
    return NULL;
}
