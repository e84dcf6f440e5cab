/* The cut: everything delivered up to a position goes to one level-0 segment, in one catalog
 * transaction with the checkpoint.
 *
 *   1. freeze     under the lock: the position P; ids, keys and sequences delivered before it
 *   2. seal       what of P's parts is not a sealed block yet, whatever its size
 *   3. write      sections by (stream, retention day), blocks in order; synced, renamed, opened;
 *                 put where segments are at rest
 *   4. publish    catalog: segment, checkpoint from -> P + 1 by compare-and-swap, keys,
 *                 producers
 *   5. swap       under the lock: the segment enters the manifest, parts and frozen ids leave
 *   6. published  the queue may trim
 *
 * A failure before 4 leaves nothing but blocks sealed early; the temporary file goes. So does the
 * segment when 4 fails, but for ERR_TIMEOUT: then the transaction may be there at the next start
 * all the same (a failed sync tells nothing about what reached the disk). Once the catalog can
 * write again, whatever was open is decided and the checkpoint tells; until then the outcome is
 * kept as a doubt, the file stays, and the next cut begins by resolving it.
 *
 * A cut that meets a full disk gives the reserve up (space.c) and tries once more.
 *
 * One cut at a time (cut_lock). Deliveries, queries and jobs for what comes behind P go on. */
#include "core/clock.h"
#include "core/log.h"
#include "core/mem.h"
#include "store/store_impl.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* A sealed part with its stream, in the order of the file. */
struct placed {
    struct mem_stream *st;
    struct part *part; /* the memtable keeps it until step 5: only cuts drop parts */
};

struct cut {
    struct store *s;
    struct arena arena;
    uint64_t upto, from; /* P; the checkpoint before */
    struct catalog_key *key;
    size_t n_keys;
    struct catalog_producer *producer;
    size_t n_producers;
    struct placed *placed;
    size_t n, cap;
    struct manifest_segment *segment; /* written and opened; NULL when there are no rows */
    struct catalog_segment row;
};

static bool anything_behind(const struct store *s)
{
    return s->delivered >= s->checkpoint && s->delivered;
}

bool cut_due(struct store *s)
{
    if (!anything_behind(s) || s->conflict)
        return false;
    return s->disk_low || s->cut_wanted || s->cut_failed || s->sealed_bytes >= s->o.cut_bytes ||
           s->since_cut_bytes >= s->o.cut_queue_bytes ||
           store_memory(s) >= s->o.memtable_max / 4 * 3 ||
           (s->o.ids_max && landing_ids(s->landing) >= s->o.ids_max) ||
           (s->oldest_unpublished_mono_ns &&
            clock_mono_ns() - s->oldest_unpublished_mono_ns >= s->o.cut_interval_ns);
}

/* ---- write ---- */

static int placed_cmp(const void *pa, const void *pb)
{
    const struct placed *a = pa, *b = pb;
    if (a->st->id != b->st->id)
        return a->st->id < b->st->id ? -1 : 1;
    if (a->part->day_min != b->part->day_min)
        return a->part->day_min < b->part->day_min ? -1 : 1;
    if (a->part->time_min != b->part->time_min)
        return a->part->time_min < b->part->time_min ? -1 : 1;
    return a->part->position_min < b->part->position_min
               ? -1
               : a->part->position_min > b->part->position_min;
}

static void collect(struct cut *c)
{
    struct store *s = c->s;
    pthread_mutex_lock(&s->lock);
    for (size_t i = 0; i < s->streams.n; i++) {
        struct mem_stream *st = s->streams.all[i];
        for (uint32_t k = 0; st->parts && k < st->parts->n; k++) {
            struct part *p = st->parts->part[k];
            if (p->position_max > c->upto)
                break;
            CHECK(p->sealed);
            ARRAY_GROW(c->placed, c->cap, c->n + 1);
            c->placed[c->n++] = (struct placed){st, p};
        }
    }
    pthread_mutex_unlock(&s->lock);
}

static enum err name_streams(struct cut *c)
{
    for (size_t i = 0; i < c->n; i++) {
        struct mem_stream *st = c->placed[i].st;
        uint64_t id;
        if (st->id)
            continue;
        TRY(catalog_stream(c->s->o.catalog, st->org, st->name, &id));
        st->id = id;
    }
    return OK;
}

static enum err write_sections(struct cut *c, struct segment_writer *w)
{
    for (size_t i = 0; i < c->n;) {
        struct mem_stream *st = c->placed[i].st;
        int64_t day = c->placed[i].part->day_min;
        TRY(segment_begin_section(w, st->id, st->org, st->name, day));
        for (; i < c->n && c->placed[i].st == st && c->placed[i].part->day_min == day; i++)
            TRY(segment_add_block(w, c->placed[i].part->block));
        TRY(segment_end_section(w));
    }
    return OK;
}

/* The blocks are those that were in memory: what was made of them is still found by their names. */
static void keep_numbers(struct cut *c)
{
    uint64_t *number = NEW_ARRAY(uint64_t, c->n);
    for (size_t i = 0; i < c->n; i++)
        number[i] = block_number(c->placed[i].part->block);
    manifest_segment_set_numbers(c->segment, number, c->n);
}

static enum err write_segment(struct cut *c)
{
    uint64_t id;
    struct segment_writer *w;
    TRY(name_streams(c));
    qsort(c->placed, c->n, sizeof(*c->placed), placed_cmp);
    TRY(catalog_new_segment_id(c->s->o.catalog, &id));
    char *path = store_segment_path(c->s, id);
    enum err err = segment_writer_open(path, id, 0, &w);
    mem_free(path);
    TRY(err);
    err = write_sections(c, w);
    if (err != OK) {
        segment_abort(w);
        return err;
    }
    TRY(segment_finish(w, c->from ? c->from : 1, c->upto, &c->arena, &c->row));
    c->row.created_ns = clock_now_ns();
    err = manifest_segment_open(c->s, &c->row, false, &c->segment);
    if (err != OK) {
        manifest_drop_file(c->s, id);
        return err;
    }
    keep_numbers(c);
    return objects_keep(c->s, c->segment);
}

/* ---- publish ---- */

/* From before the catalog's transaction until the queue knows of it, what the catalog says and what
 * is shown here differ. */
static void set_publishing(struct store *s, bool publishing)
{
    pthread_mutex_lock(&s->lock);
    s->publishing = publishing;
    s->changes_here++;
    pthread_mutex_unlock(&s->lock);
}

/* The parts leave and the segment comes, in one instant. */
static void swap(struct cut *c)
{
    struct store *s = c->s;
    pthread_mutex_lock(&s->lock);
    if (c->segment)
        store_swap_manifest(s, manifest_change(s->manifest, NULL, 0, &c->segment, 1));
    memtable_drop_upto(s, c->upto);
    landing_thaw(s->landing, true);
    producers_thaw(s->producers, true);
    s->checkpoint = c->upto + 1;
    s->frozen = 0;
    s->cuts++;
    s->changes_here++;
    s->oldest_unpublished_mono_ns = s->delivered > c->upto ? clock_mono_ns() : 0;
    metric_set(s->m.memtable_bytes, (int64_t)store_memory(s));
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
    metric_add(s->m.cuts, 1);
    bool own = c->segment && manifest_segment_is_own(c->segment);
    log_at(own ? LOG_DEBUG : LOG_INFO, "segment published",
           "id=%" PRIu64 " positions=%" PRIu64 "-%" PRIu64 " rows=%" PRIu64 " bytes=%" PRIu64
           " sections=%u",
           c->segment ? c->segment->id : 0, c->from, c->upto, c->segment ? c->segment->rows : 0,
           c->segment ? c->segment->bytes : 0, c->segment ? c->segment->n_sections : 0);
    if (s->o.published)
        s->o.published(s->o.ctx, c->upto + 1);
    set_publishing(s, false);
}

/* Keeps the text of the last error. */
static void drop_unpublished(struct cut *c)
{
    char text[300];
    if (!c->segment)
        return;
    snprintf(text, sizeof(text), "%s", err_text());
    c->segment->doomed = true;
    manifest_segment_unref(c->segment);
    c->segment = NULL;
    (void)err_set(ERR_IO, "%s", text);
}

enum err cut_outcome(struct store *s, uint64_t to, bool *ret_published)
{
    uint64_t at;
    TRY(catalog_meta_set(s->o.catalog, STR("settled"), STR("1")));
    TRY(catalog_checkpoint(s->o.catalog, str_c(s->consumer), 0, &at));
    *ret_published = at == to;
    return OK;
}

static enum err publish(struct cut *c)
{
    struct store *s = c->s;
    int64_t now = clock_now_ns();
    struct catalog_position *also = NULL;
    size_t n_also = 0;
    if (s->o.checkpoints)
        s->o.checkpoints(s->o.ctx, c->upto, &c->arena, &also, &n_also);
    struct catalog_publish p = {.segment = c->segment ? &c->row : NULL,
                                .consumer = str_c(s->consumer),
                                .from = c->from,
                                .to = c->upto + 1,
                                .also = also,
                                .n_also = n_also,
                                .key = c->key,
                                .n_keys = c->n_keys,
                                .keys_expire_before_ns = now - s->o.id_window_ns,
                                .keys_max = STORE_KEYS_MAX,
                                .producer = c->producer,
                                .n_producers = c->n_producers,
                                .producers_expire_before_ns = now - PRODUCER_KEPT_NS};
    set_publishing(s, true);
    enum err err = catalog_publish(s->o.catalog, &p);
    if (err == OK)
        return OK;
    char text[200];
    snprintf(text, sizeof(text), "%s", err_text());
    if (err == ERR_CONFLICT)
        store_note_conflict(s);
    bool published = false;
    if (err == ERR_TIMEOUT && cut_outcome(s, c->upto + 1, &published) != OK) {
        s->doubt = (struct doubt){true, c->upto + 1, c->segment, c->upto};
        c->segment = NULL;
        return err_set(err, "%s", text);
    }
    if (published)
        return OK;
    set_publishing(s, false);
    drop_unpublished(c);
    return err_set(err, "%s", text);
}

enum err cut_resolve(struct store *s)
{
    bool published;
    if (!s->doubt.set)
        return OK;
    TRY(cut_outcome(s, s->doubt.to, &published));
    struct cut c = {
        .s = s, .upto = s->doubt.upto, .from = s->checkpoint, .segment = s->doubt.segment};
    s->doubt = (struct doubt){0};
    if (published) {
        swap(&c);
        manifest_segment_unref(c.segment);
    } else {
        drop_unpublished(&c);
        set_publishing(s, false);
        pthread_mutex_lock(&s->lock);
        landing_thaw(s->landing, false);
        producers_thaw(s->producers, false);
        pthread_mutex_unlock(&s->lock);
    }
    return OK;
}

/* ---- the cut ---- */

/* Step 1; false when there is nothing to cut. */
static bool freeze(struct cut *c)
{
    struct store *s = c->s;
    pthread_mutex_lock(&s->lock);
    bool any = anything_behind(s);
    if (any) {
        c->upto = s->frozen = s->delivered;
        c->from = s->checkpoint;
        s->since_cut_bytes = 0;
        s->cut_wanted = false;
        landing_freeze(s->landing, &c->arena, &c->key, &c->n_keys);
        producers_freeze(s->producers, &c->arena, &c->producer, &c->n_producers);
    }
    pthread_mutex_unlock(&s->lock);
    return any;
}

static enum err cut_work(struct cut *c)
{
    struct store *s = c->s;
    pthread_mutex_lock(&s->lock);
    enum err err = memtable_seal_upto(s, c->upto);
    pthread_mutex_unlock(&s->lock);
    TRY(err);
    collect(c);
    if (c->n)
        err = write_segment(c);
    if (err == OK)
        return publish(c);
    drop_unpublished(c);
    return err;
}

static void cut_failed(struct cut *c)
{
    struct store *s = c->s;
    metric_add(s->m.cut_errors, 1);
    pthread_mutex_lock(&s->lock);
    bool conflict = s->conflict;
    s->frozen = 0;
    s->cut_failed = true;
    snprintf(s->cut_error, sizeof(s->cut_error), "%s", err_text());
    if (!s->doubt.set) {
        landing_thaw(s->landing, false);
        producers_thaw(s->producers, false);
    }
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
    log_at(conflict ? LOG_INFO : LOG_ERROR, "cut failed, it will be tried again",
           "upto=%" PRIu64 " error=%s", c->upto, err_text());
}

static enum err cut_locked(struct store *s)
{
    struct cut c = {.s = s};
    enum err err = cut_resolve(s);
    int64_t begun = clock_mono_ns();
    arena_init(&c.arena, 0, NULL);
    if (err == OK && freeze(&c)) {
        err = cut_work(&c);
        if (err == OK) {
            pthread_mutex_lock(&s->lock);
            s->cut_failed = false;
            pthread_mutex_unlock(&s->lock);
            swap(&c);
            metric_observe_ns(s->m.cut_seconds, clock_mono_ns() - begun);
        } else {
            cut_failed(&c);
        }
    } else if (err != OK) {
        cut_failed(&c);
    }
    manifest_segment_unref(c.segment);
    mem_free(c.placed);
    arena_release(&c.arena);
    return err;
}

enum err cut_run(struct store *s, uint64_t target)
{
    pthread_mutex_lock(&s->cut_lock);
    pthread_mutex_lock(&s->lock);
    bool there = s->checkpoint > target && !s->doubt.set;
    pthread_mutex_unlock(&s->lock);
    enum err err = there ? OK : cut_locked(s);
    if (err == ERR_FULL && space_give_up_reserve(s))
        err = cut_locked(s);
    pthread_mutex_unlock(&s->cut_lock);
    return err;
}
