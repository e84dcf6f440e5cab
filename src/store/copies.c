/* One fetch a segment at a time (`fetching` of its entry), FETCHES_MAX in all; who wants a segment
 * that is being fetched waits. A fetch belongs to who asked first, and ends with his patience: the
 * next one then begins another. When the place of the objects does not answer, everybody is told so
 * at once for DOWN_NS, instead of each finding out by himself. */
#include "store/copies.h"

#include "core/clock.h"
#include "core/governor.h"
#include "core/io.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/metrics.h"
#include "store/segment_format.h"
#include "store/store_impl.h"

#include <inttypes.h>
#include <stdio.h>

enum { FETCHES_MAX = 8, AHEAD_THREADS = 8, AHEAD_FETCHES = 3, FULL_PAUSE_MS = 100 };
#define AHEAD_NS (60 * NS_PER_S)
#define FULL_NS (10 * NS_PER_S)
#define DOWN_NS (2 * NS_PER_S)
#define LOOK_NS (NS_PER_S / 10)
#define SUSPECT_EVERY_NS (600 * NS_PER_S)

void copies_init(struct copies *c, uint64_t max)
{
    pthread_mutex_init(&c->lock, NULL);
    cond_init(&c->changed);
    c->max = max;
    c->m_hits = metric_counter("weir_objects_copy_hits_total", NULL,
                               "Segments opened whose local copy was there.");
    c->m_fetched = metric_counter("weir_objects_copy_fetches_total", NULL, "Segments fetched.");
    c->m_evicted = metric_counter("weir_objects_copy_evictions_total", NULL,
                                  "Local copies removed to make room.");
    c->m_bytes = metric_gauge("weir_objects_copy_bytes", NULL, "Bytes of local copies.");
}

void copies_release(struct copies *c)
{
    pthread_cond_destroy(&c->changed);
    pthread_mutex_destroy(&c->lock);
}

/* ---- what is here ---- */

static void count(struct copies *c, int files, int64_t bytes)
{
    c->files += (unsigned)files;
    c->bytes += (uint64_t)bytes;
    metric_set(c->m_bytes, (int64_t)c->bytes);
}

void copy_here(struct store *s, struct manifest_segment *e)
{
    struct copies *c = &s->copies;
    pthread_mutex_lock(&c->lock);
    e->counted = true;
    e->used = ++c->uses;
    count(c, 1, (int64_t)e->bytes);
    pthread_mutex_unlock(&c->lock);
}

void copy_gone(struct store *s, struct manifest_segment *e)
{
    struct copies *c = &s->copies;
    pthread_mutex_lock(&c->lock);
    if (e->counted)
        count(c, -1, -(int64_t)e->bytes);
    e->counted = false;
    pthread_mutex_unlock(&c->lock);
}

/* ---- letting go ---- */

static bool may_go(const struct manifest_segment *e)
{
    return e->remote && e->stored && e->file && !e->fetching && segment_is_idle(e->file);
}

/* With the lock: the one that was used longest ago, marked so that nobody else touches it. */
static struct manifest_segment *choose_victim(const struct manifest *m)
{
    struct manifest_segment *oldest = NULL;
    for (size_t i = 0; i < m->n; i++)
        if (may_go(m->segment[i]) && (!oldest || m->segment[i]->used < oldest->used))
            oldest = m->segment[i];
    if (oldest)
        oldest->fetching = true;
    return oldest;
}

/* The blocks' times stay known, so that a search need not fetch what it will not read. */
static void keep_blocks(struct store *s, struct manifest_segment *e, struct segment *file);

static void let_go(struct store *s, struct manifest_segment *e)
{
    struct copies *c = &s->copies;
    struct segment *file = e->file; /* ours while e->fetching */
    keep_blocks(s, e, file);
    pthread_mutex_lock(&c->lock);
    bool idle = segment_is_idle(file);
    if (idle)
        e->file = NULL;
    pthread_mutex_unlock(&c->lock);
    if (idle) {
        segment_unref(file);
        copy_gone(s, e);
        if (io_unlink(e->path) != OK)
            log_warn("local copy stays behind", "path=%s error=%s", e->path, err_text());
    }
    pthread_mutex_lock(&c->lock);
    e->fetching = false;
    if (idle) {
        c->evicted++;
        metric_add(c->m_evicted, 1);
    } else {
        e->used = ++c->uses;
    }
    pthread_cond_broadcast(&c->changed);
    pthread_mutex_unlock(&c->lock);
}

void copies_evict(struct store *s, uint64_t room)
{
    struct copies *c = &s->copies;
    struct manifest *m = NULL;
    for (;;) {
        pthread_mutex_lock(&c->lock);
        bool over = c->max && c->bytes + room > c->max;
        pthread_mutex_unlock(&c->lock);
        if (!over)
            break;
        m = m ? m : store_manifest(s);
        pthread_mutex_lock(&c->lock);
        struct manifest_segment *e = choose_victim(m);
        pthread_mutex_unlock(&c->lock);
        if (!e)
            break;
        let_go(s, e);
    }
    manifest_unref(m);
}

bool copies_give_way(struct store *s)
{
    struct copies *c = &s->copies;
    struct manifest *m = store_manifest(s);
    pthread_mutex_lock(&c->lock);
    struct manifest_segment *e = choose_victim(m);
    pthread_mutex_unlock(&c->lock);
    if (e)
        let_go(s, e);
    manifest_unref(m);
    return e != NULL;
}

bool copy_suspect(struct store *s, struct manifest_segment *e)
{
    struct copies *c = &s->copies;
    int64_t now = clock_mono_ns();
    if (!e->remote)
        return false;
    pthread_mutex_lock(&c->lock);
    bool go = e->stored && e->file && !e->fetching &&
              (!e->suspected_mono || now - e->suspected_mono >= SUSPECT_EVERY_NS);
    struct segment *file = go ? e->file : NULL;
    if (go) {
        e->suspected_mono = now;
        e->fetching = true;
        e->file = NULL;
    }
    pthread_mutex_unlock(&c->lock);
    if (!go)
        return false;
    log_warn("local copy is damaged, it is fetched again", "path=%s", e->path);
    segment_unref(file); /* others may still read it: what they read is theirs to judge */
    copy_gone(s, e);
    (void)!io_unlink(e->path);
    pthread_mutex_lock(&c->lock);
    e->fetching = false;
    pthread_cond_broadcast(&c->changed);
    pthread_mutex_unlock(&c->lock);
    return true;
}

/* ---- fetching ---- */

/* What came is what the catalog says. */
static enum err open_copy(struct manifest_segment *e, struct segment **ret)
{
    struct segment *file;
    TRY(segment_open(e->path, &file));
    if (segment_id(file) == e->id && segment_sections(file) == e->n_sections &&
        segment_bytes(file) == e->bytes) {
        *ret = file;
        return OK;
    }
    segment_unref(file);
    return err_set(ERR_CORRUPT, "%s: it is another segment than the catalog says", e->path);
}

/* On a full disk: what nobody reads goes; else what others read will be idle in a moment. False:
 * there is no hope. */
static bool make_room(struct store *s, int64_t give_up, const struct objects_wait *w)
{
    char text[240];
    if (copies_give_way(s))
        return true;
    snprintf(text, sizeof(text), "%s", err_text());
    bool hope = clock_mono_ns() < give_up && objects_waited(s->o.objects, w) == OK;
    (void)err_set(ERR_FULL, "%s", text);
    if (hope)
        clock_sleep_ms(FULL_PAUSE_MS);
    return hope;
}

static enum err fetch_file(struct store *s, struct manifest_segment *e,
                           const struct objects_wait *w, struct segment **ret)
{
    char key[SEGMENT_KEY_MAX];
    struct str k = segment_key(e->id, key);
    int64_t give_up = clock_mono_ns() + FULL_NS;
    enum err err = objects_get(s->o.objects, k, e->bytes, e->path, w);
    while (err == ERR_FULL && make_room(s, give_up, w))
        err = objects_get(s->o.objects, k, e->bytes, e->path, w);
    TRY(err);
    err = open_copy(e, ret);
    if (err != OK)
        (void)!io_unlink(e->path);
    return err;
}

/* Failures of the place, and of the object, become ERR_IO: the answer is partial for it. Those of
 * the wait stay what they are. With the lock. */
static enum err judge(struct copies *c, const struct store *s, enum err err,
                      const struct objects_wait *w)
{
    char was[240];
    snprintf(was, sizeof(was), "%s", err_text());
    if (err == ERR_CANCELED || (err == ERR_TIMEOUT && objects_waited(s->o.objects, w) != OK))
        return err_set(err, "%s", was);
    if (err == ERR_UNAVAILABLE || err == ERR_TIMEOUT) {
        c->down_until = clock_mono_ns() + DOWN_NS;
        snprintf(c->down_text, sizeof(c->down_text), "%s", was);
    }
    return err_set(ERR_IO, "a segment cannot be fetched: %s", was);
}

/* With the lock, `e` being ours. */
static enum err fetch(struct store *s, struct manifest_segment *e, const struct objects_wait *w,
                      _Atomic uint64_t *fetched)
{
    struct copies *c = &s->copies;
    struct segment *file = NULL;
    e->fetching = true;
    c->fetching++;
    pthread_mutex_unlock(&c->lock);
    copies_evict(s, e->bytes);
    copy_here(s, e); /* so that those who fetch beside it count with it */
    enum err err = fetch_file(s, e, w, &file);
    if (err != OK)
        copy_gone(s, e);
    pthread_mutex_lock(&c->lock);
    c->fetching--;
    e->fetching = false;
    e->file = file;
    pthread_cond_broadcast(&c->changed);
    if (err != OK)
        return judge(c, s, err, w);
    c->fetched++;
    c->fetched_bytes += e->bytes;
    metric_add(c->m_fetched, 1);
    if (fetched)
        atomic_fetch_add(fetched, e->bytes);
    return OK;
}

/* With the lock. */
static enum err wait_for_fetch(struct store *s, const struct objects_wait *w)
{
    struct copies *c = &s->copies;
    (void)cond_wait_until(&c->changed, &c->lock, clock_mono_ns() + LOOK_NS);
    pthread_mutex_unlock(&c->lock);
    enum err err = objects_waited(s->o.objects, w);
    pthread_mutex_lock(&c->lock);
    return err;
}

static enum err open_locked(struct store *s, struct manifest_segment *e,
                            const struct objects_wait *w, _Atomic uint64_t *fetched,
                            struct segment **ret)
{
    struct copies *c = &s->copies;
    bool waited = false;
    while (!e->file) {
        if (e->fetching || c->fetching >= FETCHES_MAX) {
            TRY(wait_for_fetch(s, w));
        } else if (clock_mono_ns() < c->down_until) {
            return err_set(ERR_IO, "a segment cannot be fetched: %s", c->down_text);
        } else {
            TRY(fetch(s, e, w, fetched));
        }
        waited = true;
    }
    e->used = ++c->uses;
    c->hits += !waited;
    metric_add(c->m_hits, !waited);
    *ret = segment_ref(e->file);
    return OK;
}

enum err copy_open(struct store *s, struct manifest_segment *e, const struct objects_wait *w,
                   _Atomic uint64_t *fetched, struct segment **ret)
{
    if (!e->remote) {
        if (!e->file)
            return err_set(ERR_IO, "%s is missing or damaged", e->path);
        *ret = segment_ref(e->file);
        return OK;
    }
    pthread_mutex_lock(&s->copies.lock);
    enum err err = open_locked(s, e, w, fetched, ret);
    pthread_mutex_unlock(&s->copies.lock);
    return err;
}

bool copy_is_here(struct store *s, struct manifest_segment *e)
{
    if (!e->remote)
        return e->file != NULL;
    pthread_mutex_lock(&s->copies.lock);
    bool here = e->file != NULL;
    pthread_mutex_unlock(&s->copies.lock);
    return here;
}

/* ---- fetching ahead ---- */

struct errand {
    struct store *s;
    struct manifest_segment *segment;
};

static void run_errand(void *arg)
{
    struct errand *a = arg;
    struct objects_wait wait = store_until_closing(a->s);
    struct segment *file;
    wait.deadline_mono = clock_mono_ns() + AHEAD_NS;
    if (copy_open(a->s, a->segment, &wait, NULL, &file) == OK)
        segment_unref(file);
    manifest_segment_unref(a->segment); /* who needs it will say what is wrong with it */
    mem_free(a);
}

/* With the lock. What would take a large part of the room would only push out what is needed first.
 */
static bool is_worth_fetching(const struct copies *c, const struct manifest_segment *e)
{
    return !e->file && !e->fetching && !c->resting && (!c->max || e->bytes * 8 <= c->max) &&
           c->fetching < FETCHES_MAX / 2 && clock_mono_ns() >= c->down_until;
}

void copy_ahead(struct store *s, struct manifest_segment *e)
{
    struct copies *c = &s->copies;
    if (!e->remote)
        return;
    pthread_mutex_lock(&c->lock);
    bool worth = is_worth_fetching(c, e);
    if (worth && !c->ahead)
        c->ahead = pool_new("fetch", AHEAD_FETCHES, AHEAD_FETCHES);
    if (worth) {
        struct errand *a = NEW(struct errand);
        *a = (struct errand){s, manifest_segment_ref(e)};
        if (pool_submit(c->ahead, run_errand, a) != OK) {
            (void)atomic_fetch_sub(&e->refs, 1); /* not the last: the caller holds one */
            mem_free(a);
        }
    }
    pthread_mutex_unlock(&c->lock);
}

void copies_rest(struct store *s)
{
    struct copies *c = &s->copies;
    pthread_mutex_lock(&c->lock);
    struct pool *p = c->ahead;
    c->resting = true;
    c->ahead = NULL;
    pthread_mutex_unlock(&c->lock);
    if (p)
        pool_free(p);
}

/* ---- blocks of sections ---- */

static size_t blocks_bytes(uint32_t n)
{
    return sizeof(struct section_blocks) + n * sizeof(struct segment_block_info);
}

static struct section_blocks *new_blocks(uint32_t n)
{
    struct section_blocks *b = mem_zalloc(blocks_bytes(n));
    governor_force(OWNER_CACHE, blocks_bytes(n));
    b->n = n;
    return b;
}

void section_blocks_free(const struct section_blocks *b)
{
    if (!b)
        return;
    governor_give(OWNER_CACHE, blocks_bytes(b->n));
    mem_free((void *)(uintptr_t)b);
}

/* Of those who found out at the same time one is the first. */
static const struct section_blocks *set_blocks(struct manifest_section *sec,
                                               struct section_blocks *made)
{
    const struct section_blocks *was = NULL;
    if (atomic_compare_exchange_strong(&sec->known, &was, made))
        return made;
    section_blocks_free(made);
    return was;
}

static enum err blocks_of_file(struct manifest_segment *e, struct segment *file, uint32_t section,
                               const struct section_blocks **ret)
{
    struct section_info info;
    TRY(segment_section(file, section, &info));
    struct section_blocks *b = new_blocks(info.blocks);
    for (uint32_t i = 0; i < info.blocks; i++) {
        enum err err = segment_block(file, section, i, &b->block[i]);
        if (err != OK) {
            section_blocks_free(b);
            return err;
        }
    }
    *ret = set_blocks(&e->section[section], b);
    return OK;
}

static void keep_blocks(struct store *s, struct manifest_segment *e, struct segment *file)
{
    const struct section_blocks *b;
    for (uint32_t i = 0; i < e->n_sections; i++)
        if (!atomic_load(&e->section[i].known) && blocks_of_file(e, file, i, &b) != OK)
            log_warn("section cannot be read", "error=%s", err_text());
}

/* Its directory alone is asked for: where it lies is in the catalog. */
static enum err blocks_from_afar(struct store *s, struct manifest_segment *e, uint32_t section,
                                 const struct objects_wait *w, const struct section_blocks **ret)
{
    struct manifest_section *sec = &e->section[section];
    char key[SEGMENT_KEY_MAX];
    struct buf bytes;
    struct arena a;
    struct seg_tail tail;
    buf_init(&bytes, SIZE_MAX);
    arena_init(&a, 0, NULL);
    enum err err = objects_read(s->o.objects, segment_key(e->id, key), sec->tail_offset,
                                sec->tail_length, &bytes, w);
    if (err == OK)
        err = segment_tail_read(buf_str(&bytes), sec->tail_offset, &a, &tail);
    if (err == OK) {
        struct section_blocks *b = new_blocks(tail.dir.n_blocks);
        for (uint32_t i = 0; i < b->n; i++)
            b->block[i] =
                (struct segment_block_info){tail.dir.block[i].time_min, tail.dir.block[i].time_max,
                                            tail.dir.block[i].rows, tail.dir.block[i].length};
        *ret = set_blocks(sec, b);
    }
    arena_release(&a);
    buf_release(&bytes);
    if (err == OK)
        return OK;
    pthread_mutex_lock(&s->copies.lock);
    err = judge(&s->copies, s, err, w);
    pthread_mutex_unlock(&s->copies.lock);
    return err;
}

/* The file where it is here; NULL. */
static struct segment *file_here(struct store *s, struct manifest_segment *e)
{
    pthread_mutex_lock(&s->copies.lock);
    struct segment *file = e->file ? segment_ref(e->file) : NULL;
    pthread_mutex_unlock(&s->copies.lock);
    return file;
}

static enum err place_is_down(struct store *s)
{
    struct copies *c = &s->copies;
    enum err err = OK;
    pthread_mutex_lock(&c->lock);
    if (clock_mono_ns() < c->down_until)
        err = err_set(ERR_IO, "a segment cannot be fetched: %s", c->down_text);
    pthread_mutex_unlock(&c->lock);
    return err;
}

enum err copy_blocks(struct store *s, struct manifest_segment *e, uint32_t section,
                     const struct objects_wait *w, const struct section_blocks **ret)
{
    *ret = atomic_load(&e->section[section].known);
    if (*ret)
        return OK;
    struct segment *file = file_here(s, e);
    if (!file) {
        TRY(place_is_down(s));
        return blocks_from_afar(s, e, section, w, ret);
    }
    enum err err = blocks_of_file(e, file, section, ret);
    segment_unref(file);
    if (err == OK || !copy_suspect(s, e))
        return err;
    return blocks_from_afar(s, e, section, w, ret);
}

struct ahead {
    struct store *s;
    const struct section_place *place;
    size_t n;
    _Atomic size_t next;
    const struct objects_wait *wait;
};

static void *read_ahead(void *arg)
{
    struct ahead *a = arg;
    const struct section_blocks *b;
    for (size_t i; (i = a->next++) < a->n;)
        (void)!copy_blocks(a->s, a->place[i].segment, a->place[i].section, a->wait, &b);
    return NULL;
}

void copy_blocks_ahead(struct store *s, const struct section_place *place, size_t n,
                       const struct objects_wait *w)
{
    struct ahead a = {.s = s, .place = place, .n = n, .wait = w};
    pthread_t thread[AHEAD_THREADS];
    unsigned threads = 0;
    while (threads < AHEAD_THREADS && threads + 1 < n &&
           thread_start(&thread[threads], "directories", read_ahead, &a) == OK)
        threads++;
    (void)read_ahead(&a);
    while (threads)
        pthread_join(thread[--threads], NULL);
}
