/* The store: opening and closing, delivery and admission, its threads, its numbers.
 *
 * "cut" publishes what has gathered when one of the triggers says so, and again with growing pauses
 * while that fails. "compact" merges segments (not before the replay is over, which has the memory
 * to itself) and expires them, at low priority. "space" watches the disk, and waits for nothing
 * else: a merge may take minutes, and a place of objects that does not answer longer.
 * With options.background false neither runs: flush, compact and expire are then the caller's, and
 * a delivery that meets a full memtable cuts by itself.
 *
 * Deliveries come from one thread, in order. A body becomes visible at once, under the lock. What
 * was published before (a replay that starts early) is passed over; a frame that does not open is
 * put aside under quarantine/ and reported, and the others land. */
#include "store/store.h"

#include "core/clock.h"
#include "core/io.h"
#include "core/log.h"
#include "core/mem.h"
#include "record/frame.h"
#include "store/store_impl.h"

#include <inttypes.h>
#include <stdlib.h>
#include <sys/resource.h>

#define ENCODERS_WAITING_MAX 4096
enum { FIRST_TRIES = 5, ENCODERS_SPARE_FROM = 2 /* blocks that wait */ };
#define TICK_NS NS_PER_S
#define RETRY_MAX_NS (30 * NS_PER_S)
#define CLEAN_EVERY_NS (3600 * NS_PER_S)
#define GARBAGE_EVERY_NS (60 * NS_PER_S)
#define EXPIRE_EVERY_NS (60 * NS_PER_S)
#define WATCH_EVERY_NS NS_PER_S
#define WATCH_TIGHT_NS (NS_PER_S / 10) /* while a reserve stands: the disk is rather full */

bool store_stopping(struct store *s)
{
    pthread_mutex_lock(&s->lock);
    bool stopping = s->closing;
    pthread_mutex_unlock(&s->lock);
    return stopping;
}

static bool is_closing(void *ctx)
{
    return store_stopping(ctx);
}

struct objects_wait store_until_closing(struct store *s)
{
    return (struct objects_wait){.stop = is_closing, .ctx = s};
}

uint64_t store_checkpoint(struct store *s)
{
    pthread_mutex_lock(&s->lock);
    uint64_t at = s->checkpoint;
    pthread_mutex_unlock(&s->lock);
    return at;
}

/* ---- delivery ---- */

enum err store_quarantine(struct store *s, struct str frame, uint64_t position, const char *why)
{
    log_error("frame cannot be read, it is put aside", "position=%" PRIu64 " bytes=%zu error=%s",
              position, frame.n, why);
    char *dir = mem_printf("%s/quarantine", s->dir);
    char *path = mem_printf("%s/%016" PRIx64 ".frame", dir, position);
    enum err err = io_mkdir(dir);
    if (err == OK)
        err = io_write_file(path, frame);
    if (err != OK)
        log_error("frame cannot be put aside", "path=%s error=%s", path, err_text());
    mem_free(path);
    mem_free(dir);
    metric_add(s->m.quarantined, 1);
    pthread_mutex_lock(&s->lock);
    s->quarantined++;
    pthread_mutex_unlock(&s->lock);
    return err;
}

struct incoming {
    struct part *part;
    struct frame_info info;
};

/* At replay nobody claims ids, they are in the frames; and a frame is looked at once more, because
 * it has been on a disk. */
static enum err look_into(struct store *s, struct blob *frame, uint64_t position)
{
    struct arena a;
    struct frame_info info;
    struct rows rows;
    arena_init(&a, 0, NULL);
    enum err err = frame_open(frame->bytes, position, 0, &a, &info, &rows);
    if (err == OK)
        err = landing_note_ids(s->landing, info.org, info.stream, &rows);
    arena_release(&a);
    return err;
}

static bool take_in(struct store *s, struct blob *frame, uint64_t position, struct incoming *ret)
{
    enum err err = landing_live(s->landing) ? OK : look_into(s, frame, position);
    if (err == OK)
        err = part_of_frame(frame, position, &ret->info, &ret->part);
    if (err != OK) {
        /* Where it cannot be put aside either, the log has said so twice. */
        (void)!store_quarantine(s, frame->bytes, position, err_text());
        return false;
    }
    blob_charge(frame, OWNER_MEMTABLE);
    return true;
}

/* With the lock: the last resort. Admission has been closed for long when this waits for a live
 * body. */
static void wait_for_room(struct store *s)
{
    enum err err = OK;
    while (!s->closing && err == OK && store_memory(s) >= s->o.memtable_max) {
        if (!s->threads) {
            pthread_mutex_unlock(&s->lock);
            err = cut_run(s, UINT64_MAX);
            pthread_mutex_lock(&s->lock);
        } else if (s->conflict || (s->cut_failed && store_memory(s) < 2 * s->o.memtable_max)) {
            /* What was admitted is bounded by the queue's waiting bytes; a reset is waited for by
             * nobody but who delivers. */
            return;
        } else {
            pthread_cond_broadcast(&s->changed);
            pthread_cond_wait(&s->changed, &s->lock);
        }
    }
}

static void insert(struct store *s, struct incoming *in)
{
    struct mem_stream *st = memtable_stream(s, in->info.org, in->info.stream);
    landing_note_key(s->landing, &in->info, in->part->rows);
    producers_note(s->producers, &in->info);
    s->since_cut_bytes += in->part->bytes;
    if (in->part->rows)
        memtable_append(s, st, in->part);
    else
        part_unref(in->part);
    memtable_schedule(s, st);
}

void store_deliver(struct store *s, struct blob *const *frame, uint32_t n, uint64_t first_position)
{
    struct incoming *in = NEW_ARRAY(struct incoming, n ? n : 1);
    uint64_t checkpoint = store_checkpoint(s);
    uint32_t got = 0;
    for (uint32_t i = 0; i < n; i++)
        if (first_position + i >= checkpoint)
            got += take_in(s, frame[i], first_position + i, &in[got]);
    pthread_mutex_lock(&s->lock);
    wait_for_room(s);
    for (uint32_t i = 0; i < got; i++)
        insert(s, &in[i]);
    if (n && first_position + n - 1 > s->delivered)
        s->delivered = first_position + n - 1;
    if (s->waiting)
        pthread_cond_broadcast(&s->arrived);
    if (!s->oldest_unpublished_mono_ns && s->delivered >= s->checkpoint)
        s->oldest_unpublished_mono_ns = clock_mono_ns();
    if (cut_due(s))
        pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
    mem_free(in);
}

void store_set_limits(struct store *s, int64_t retention_ns, uint64_t max_disk)
{
    s->retention_ns = retention_ns;
    s->max_disk = max_disk;
    s->limits_new = true;
}

/* With the lock. */
static bool has_moved(const struct store *s, const struct store_moves *since)
{
    return s->delivered != since->delivered || s->followed != since->followed;
}

bool store_wait(struct store *s, const struct store_moves *moves, int64_t deadline_mono)
{
    pthread_mutex_lock(&s->lock);
    s->waiting++;
    if (!has_moved(s, moves) && !s->closing)
        cond_wait_until(&s->arrived, &s->lock, deadline_mono);
    s->waiting--;
    bool moved = has_moved(s, moves);
    pthread_mutex_unlock(&s->lock);
    return moved;
}

void store_wake_waiting(struct store *s)
{
    pthread_mutex_lock(&s->lock);
    pthread_cond_broadcast(&s->arrived);
    pthread_mutex_unlock(&s->lock);
}

enum claim store_claim_sequence(struct store *s, const struct store_sequence *n)
{
    return producers_claim(s->producers, n);
}

void store_settle_sequence(struct store *s, const struct store_sequence *n)
{
    producers_settle(s->producers, n);
}

void store_replayed(struct store *s)
{
    landing_set_live(s->landing);
}

bool store_is_behind(struct store *s)
{
    pthread_mutex_lock(&s->lock);
    bool behind = s->jobs[s->generation & 1] > s->n_encoders;
    pthread_mutex_unlock(&s->lock);
    return behind;
}

enum err store_admit(struct store *s, size_t bytes)
{
    enum err err = OK;
    pthread_mutex_lock(&s->lock);
    uint64_t held = store_memory(s);
    if (s->closing)
        err = err_set(ERR_UNAVAILABLE, "the store is being closed");
    else if (s->disk_low)
        err = err_set(ERR_UNAVAILABLE, "%s", s->disk_text);
    else if (held + bytes > s->o.memtable_max && held)
        err = err_set(ERR_UNAVAILABLE,
                      "the memtable is full (%" PRIu64 " of %zu bytes) until the next cut has been "
                      "published%s%s: try again later",
                      held, s->o.memtable_max, s->cut_failed ? "; the last one failed: " : "",
                      s->cut_failed ? s->cut_error : "");
    pthread_mutex_unlock(&s->lock);
    return err;
}

/* ---- asked for ---- */

enum err store_flush(struct store *s)
{
    pthread_mutex_lock(&s->lock);
    uint64_t target = s->delivered;
    bool nothing = s->checkpoint > target || !target;
    pthread_mutex_unlock(&s->lock);
    return nothing ? OK : cut_run(s, target);
}

enum err store_compact(struct store *s, bool full)
{
    bool did = true;
    TRY(store_flush(s));
    pthread_mutex_lock(&s->compact_lock);
    enum err err = OK;
    while (err == OK && did)
        err = compact_once(s, full, &did);
    pthread_mutex_unlock(&s->compact_lock);
    return err;
}

enum err store_expire(struct store *s, uint64_t *ret_freed)
{
    pthread_mutex_lock(&s->compact_lock);
    enum err err = retention_run(s, ret_freed);
    if (err == ERR_FULL && space_give_up_reserve(s))
        err = retention_run(s, ret_freed);
    pthread_mutex_unlock(&s->compact_lock);
    (void)space_watch(s);
    return err;
}

void store_on_merge(struct store *s, void (*fn)(void *ctx, const struct merged *m), void *ctx)
{
    pthread_mutex_lock(&s->merged_lock);
    s->merged = fn;
    s->merged_ctx = ctx;
    pthread_mutex_unlock(&s->merged_lock);
}

/* ---- threads ---- */

static void *cut_main(void *arg)
{
    struct store *s = arg;
    int64_t pause = 0, not_before = 0;
    pthread_mutex_lock(&s->lock);
    while (!s->closing) {
        if (!cut_due(s) || clock_mono_ns() < not_before) {
            (void)cond_wait_until(&s->changed, &s->lock, clock_mono_ns() + TICK_NS);
            continue;
        }
        pthread_mutex_unlock(&s->lock);
        bool failed = cut_run(s, UINT64_MAX) != OK;
        pause = !failed ? 0 : pause ? pause * 2 : NS_PER_S;
        if (pause > RETRY_MAX_NS)
            pause = RETRY_MAX_NS;
        not_before = clock_mono_ns() + pause;
        pthread_mutex_lock(&s->lock);
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

/* Merges until none is due, or one fails. */
static bool merge_due(struct store *s)
{
    bool did = true;
    enum err err = OK;
    while (err == OK && did && !store_stopping(s) && store_may_merge(s)) {
        pthread_mutex_lock(&s->compact_lock);
        err = compact_once(s, false, &did);
        pthread_mutex_unlock(&s->compact_lock);
    }
    return err == OK;
}

static void clean_objects(struct store *s)
{
    if (store_is_shared(s) && store_follow(s) != OK)
        return; /* it is not known what others have published */
    pthread_mutex_lock(&s->compact_lock);
    if (s->surveyed && objects_clean(s, s->o.stray_age_ns) != OK)
        log_warn("strays cannot be looked for", "error=%s", err_text());
    pthread_mutex_unlock(&s->compact_lock);
}

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Objects that nobody published, or that were replaced. */
static void clean_when_due(struct store *s, int64_t now, int64_t *clean_at, int64_t *garbage_at)
{
    if (!store_may_merge(s))
        return;
    if (s->o.stray_age_ns && now >= *clean_at) {
        *clean_at = now + smaller(s->o.stray_age_ns, CLEAN_EVERY_NS);
        clean_objects(s);
    }
    if (store_is_shared(s) && now >= *garbage_at) {
        *garbage_at = now + smaller(s->o.garbage_age_ns, GARBAGE_EVERY_NS);
        if (store_remove_garbage(s) != OK && !store_stopping(s))
            log_warn("replaced segments cannot be removed", "error=%s", err_text());
    }
}

static void *space_main(void *arg)
{
    struct store *s = arg;
    while (!store_stopping(s)) {
        bool over = space_watch(s);
        int64_t next = clock_mono_ns() + (s->reserved ? WATCH_TIGHT_NS : WATCH_EVERY_NS);
        pthread_mutex_lock(&s->lock);
        if (over) {
            s->limits_new = true; /* segments go now */
            pthread_cond_broadcast(&s->changed);
        }
        while (!s->closing && clock_mono_ns() < next)
            (void)cond_wait_until(&s->changed, &s->lock, next);
        pthread_mutex_unlock(&s->lock);
    }
    return NULL;
}

static void *background_main(void *arg)
{
    struct store *s = arg;
    int64_t expire_at = 0, merge_at = 0, clean_at = 0, garbage_at = 0;
    (void)setpriority(PRIO_PROCESS, 0, 10); /* on Linux: of this thread */
    while (!store_stopping(s)) {
        int64_t now = clock_mono_ns();
        if (store_may_merge(s) && (now >= expire_at || atomic_exchange(&s->limits_new, false))) {
            uint64_t freed;
            expire_at = now + EXPIRE_EVERY_NS;
            if (store_expire(s, &freed) != OK)
                log_error("expiry failed", "error=%s", err_text());
        }
        objects_chores(s);
        clean_when_due(s, now, &clean_at, &garbage_at);
        if (now >= merge_at && store_may_merge(s) && landing_live(s->landing) &&
            compact_is_due(s) && !merge_due(s))
            merge_at = clock_mono_ns() + RETRY_MAX_NS;
        pthread_mutex_lock(&s->lock);
        if (!s->closing)
            (void)cond_wait_until(&s->changed, &s->lock, now + TICK_NS);
        pthread_mutex_unlock(&s->lock);
    }
    return NULL;
}

/* ---- life ---- */

static void metrics_init(struct store_metrics *m)
{
    m->cuts = metric_counter("weir_store_cuts_total", NULL, "Cuts published.");
    m->cut_errors = metric_counter("weir_store_cut_errors_total", NULL, "Cuts that failed.");
    m->cut_seconds = metric_histogram("weir_store_cut_seconds", NULL, "Time of a cut.");
    m->merges = metric_counter("weir_store_merges_total", NULL, "Merges of segments.");
    m->merge_errors = metric_counter("weir_store_merge_errors_total", NULL, "Merges that failed.");
    m->merge_seconds = metric_histogram("weir_store_merge_seconds", NULL, "Time of a merge.");
    m->seal_seconds = metric_histogram("weir_store_seal_seconds", NULL, "Time to encode a block.");
    m->expired_segments =
        metric_counter("weir_store_expired_segments_total", NULL, "Segments past their retention.");
    m->expired_bytes =
        metric_counter("weir_store_expired_bytes_total", NULL, "Bytes freed by retention.");
    m->quarantined = metric_counter("weir_store_quarantined_frames_total", NULL,
                                    "Frames put aside because they cannot be read.");
    m->memtable_bytes =
        metric_gauge("weir_store_memtable_bytes", NULL, "Frames and blocks in no segment yet.");
    m->segments = metric_gauge("weir_store_segments", NULL, "Segments searched.");
    m->segment_bytes = metric_gauge("weir_store_segment_bytes", NULL, "Bytes of the segments.");
    m->unreadable = metric_gauge("weir_store_unreadable_segments", NULL,
                                 "Segments of the catalog whose file is missing or damaged.");
    m->disk_low = metric_gauge("weir_store_disk_low", NULL,
                               "1 while ingest is closed because the disk is full.");
    m->resets = metric_counter("weir_store_resets_total", NULL,
                               "Times that memory was dropped, as others had published it.");
    m->follow_age = metric_gauge("weir_store_follow_age_seconds", NULL,
                                 "Since what other servers published was last looked for.");
    m->merges_here =
        metric_gauge("weir_store_merges_here", NULL, "1 where this server merges for all.");
}

/* The first position of a server with a number is above those of all with lower ones. */
static enum err publish_first(struct store *s, uint64_t first)
{
    struct catalog_publish p = {.consumer = str_c(s->consumer), .to = first};
    bool published = false;
    enum err err = ERR_TIMEOUT;
    for (int i = 0; err == ERR_TIMEOUT && i < FIRST_TRIES; i++) {
        err = catalog_publish(s->o.catalog, &p);
        if (err == ERR_TIMEOUT)
            TRY(cut_outcome(s, first, &published));
        if (published)
            return OK;
    }
    return err;
}

static enum err load_checkpoint(struct store *s)
{
    uint64_t first = (s->o.node.number << STORE_NODE_SHIFT) + 1;
    TRY(catalog_checkpoint(s->o.catalog, str_c(s->consumer), 0, &s->checkpoint));
    if (s->checkpoint || !store_is_shared(s))
        return OK;
    TRY(publish_first(s, first));
    s->checkpoint = first;
    return OK;
}

static enum err load(struct store *s)
{
    struct arena a;
    struct catalog_key *key;
    struct catalog_producer *producer;
    size_t n;
    enum err err;
    arena_init(&a, 0, NULL);
    if (objects_are_apart(s->o.objects))
        TRY_OUT(catalog_ids_given(s->o.catalog, &s->ids_given));
    TRY_OUT(objects_ready(s));
    TRY_OUT(io_mkdir(s->segments_dir));
    TRY_OUT(load_checkpoint(s));
    s->delivered = s->checkpoint ? s->checkpoint - 1 : 0;
    s->followed_mono_ns = clock_mono_ns();
    TRY_OUT(manifest_load(s));
    TRY_OUT(store_follow_first(s));
    TRY_OUT(catalog_load_keys(s->o.catalog, clock_now_ns() - s->o.id_window_ns, &a, &key, &n));
    landing_load_keys(s->landing, key, n);
    TRY_OUT(
        catalog_load_producers(s->o.catalog, clock_now_ns() - PRODUCER_KEPT_NS, &a, &producer, &n));
    TRY_OUT(producers_load(s->producers, producer, n));
out:
    arena_release(&a);
    return err;
}

static enum err start_threads(struct store *s)
{
    const struct {
        const char *name;
        void *(*run)(void *arg);
    } all[STORE_THREADS] = {{"cut", cut_main},
                            {"compact", background_main},
                            {"space", space_main},
                            {"follow", follow_main}};
    unsigned n = store_is_shared(s) ? STORE_THREADS : STORE_THREADS - 1;
    for (unsigned i = 0; i < n; i++) {
        TRY(thread_start(&s->thread[i], all[i].name, all[i].run, s));
        s->n_threads++;
        s->threads = true;
    }
    return OK;
}

/* How many of the encoders have enough to do with what the other cores receive and decode, which is
 * a third of the work. More at once make no more blocks of it, but each learns the same columns
 * anew and has a block's memory of its own. */
static unsigned steady_encoders(unsigned threads)
{
    unsigned n = (threads * 5 + 4) / 8;
    return n ? n : 1;
}

enum err store_open(const struct store_options *options, struct store **ret)
{
    CHECK(options->block_rows > 0 && options->block_rows <= BLOCK_ROWS_MAX);
    CHECK(options->block_bytes > 0);
    CHECK(options->compact_files >= 2);
    struct store *s = NEW(struct store);
    s->o = *options;
    s->dir = mem_strdup(str_c(options->dir));
    s->o.dir = s->dir;
    if (!s->o.objects) {
        CHECK(objects_open(STR("file:"), s->dir, &s->own_objects) == OK);
        s->o.objects = s->own_objects;
    }
    s->segments_dir = objects_are_remote(s->o.objects)
                          ? mem_printf("%s/segments", s->dir)
                          : objects_path(s->o.objects, STR("segments"));
    s->consumer = store_is_shared(s) ? mem_printf("store/%" PRIu64, s->o.node.number)
                                     : mem_strdup(STR("store"));
    pthread_mutex_init(&s->lock, NULL);
    pthread_mutex_init(&s->cut_lock, NULL);
    pthread_mutex_init(&s->follow_lock, NULL);
    pthread_mutex_init(&s->compact_lock, NULL);
    pthread_mutex_init(&s->merged_lock, NULL);
    pthread_mutex_init(&s->space_lock, NULL);
    cond_init(&s->changed);
    cond_init(&s->arrived);
    pthread_mutex_init(&s->forget_lock, NULL);
    copies_init(&s->copies, options->copies_max);
    gate_init(&s->scratch, options->scratch_max);
    store_set_limits(s, s->o.retention_ns, s->o.max_disk);
    s->manifest = manifest_empty();
    s->landing = landing_new(options->id_window_ns, STORE_KEYS_MAX);
    s->producers = producers_new();
    s->id_cache = id_cache_new();
    metrics_init(&s->m);
    unsigned threads = options->encoders ? options->encoders : thread_cpus();
    s->n_encoders = steady_encoders(threads);
    s->encoders = pool_new_spare("encode", s->n_encoders, threads - s->n_encoders,
                                 ENCODERS_SPARE_FROM, ENCODERS_WAITING_MAX);
    enum err err = load(s);
    if (err == OK)
        space_init(s);
    if (err == OK && options->background)
        err = start_threads(s);
    if (err != OK) {
        store_close(s);
        return err;
    }
    *ret = s;
    return OK;
}

void store_close(struct store *s)
{
    if (!s)
        return;
    pthread_mutex_lock(&s->lock);
    s->closing = true;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
    while (s->n_threads)
        pthread_join(s->thread[--s->n_threads], NULL);
    copies_rest(s);
    pool_free(s->encoders);
    gate_release(&s->scratch);
    /* A doubt stays one: the catalog decides at the next start. */
    manifest_segment_unref(s->doubt.segment);
    replacement_release(&s->replace_doubt);
    stream_map_release(&s->streams);
    manifest_unref(s->manifest);
    landed_others_unref(s->others);
    landing_free(s->landing);
    producers_free(s->producers);
    id_cache_free(s->id_cache);
    pthread_cond_destroy(&s->changed);
    pthread_cond_destroy(&s->arrived);
    pthread_mutex_destroy(&s->lock);
    pthread_mutex_destroy(&s->cut_lock);
    pthread_mutex_destroy(&s->follow_lock);
    pthread_mutex_destroy(&s->compact_lock);
    pthread_mutex_destroy(&s->merged_lock);
    pthread_mutex_destroy(&s->space_lock);
    pthread_mutex_destroy(&s->forget_lock);
    copies_release(&s->copies);
    mem_free(s->forget);
    objects_close(s->own_objects);
    mem_free(s->segments_dir);
    mem_free(s->consumer);
    mem_free(s->dir);
    mem_free(s);
}

/* ---- numbers ---- */

static void widen(struct store_stats *t, int64_t time_min, int64_t time_max)
{
    if (time_min < t->oldest_ns)
        t->oldest_ns = time_min;
    if (time_max > t->newest_ns)
        t->newest_ns = time_max;
}

static void count_segments(const struct manifest *m, struct store_stats *t)
{
    for (size_t i = 0; i < m->n; i++) {
        const struct manifest_segment *e = m->segment[i];
        t->segments++;
        t->segment_bytes += e->bytes;
        t->segment_rows += e->rows;
        t->segment_raw_bytes += e->raw_bytes;
        t->unreadable_segments += !e->remote && !e->file;
        t->objects.not_stored += e->remote && !e->stored;
        for (uint32_t k = 0; k < e->n_sections; k++)
            widen(t, e->section[k].time_min, e->section[k].time_max);
    }
}

static void count_copies(struct store *s, struct store_stats *t)
{
    struct copies *c = &s->copies;
    t->objects.remote = objects_are_remote(s->o.objects);
    pthread_mutex_lock(&c->lock);
    t->objects.copies = c->files;
    t->objects.copies_bytes = c->bytes;
    t->objects.copies_max = c->max;
    t->objects.hits = c->hits;
    t->objects.fetched = c->fetched;
    t->objects.fetched_bytes = c->fetched_bytes;
    t->objects.evicted = c->evicted;
    pthread_mutex_unlock(&c->lock);
}

void store_stats(struct store *s, struct store_stats *ret)
{
    struct store_stats t = {.oldest_ns = INT64_MAX, .newest_ns = INT64_MIN};
    pthread_mutex_lock(&s->lock);
    struct manifest *m = manifest_ref(s->manifest);
    t.memtable_rows = s->memtable_rows;
    t.memtable_bytes = store_memory(s);
    t.memtable_frame_bytes = s->frame_bytes;
    t.streams = s->streams.n;
    t.cuts = s->cuts;
    t.merges = s->merges;
    t.expired_segments = s->expired_segments;
    t.expired_bytes = s->expired_bytes;
    t.checkpoint = s->checkpoint;
    t.quarantined_frames = s->quarantined;
    t.cut_failing = s->cut_failed;
    t.node = s->o.node.number;
    t.merges_node = s->merges_here ? t.node : s->lease.holder;
    t.resets = s->resets;
    t.followed_ago_ns = t.node ? clock_mono_ns() - s->followed_mono_ns : 0;
    for (size_t i = 0; i < s->streams.n; i++) {
        const struct part_list *l = s->streams.all[i]->parts;
        for (uint32_t k = 0; l && k < l->n; k++)
            widen(&t, l->part[k]->time_min, l->part[k]->time_max);
    }
    metric_set(s->m.memtable_bytes, (int64_t)t.memtable_bytes);
    pthread_mutex_unlock(&s->lock);
    count_segments(m, &t);
    manifest_unref(m);
    count_copies(s, &t);
    if (t.oldest_ns > t.newest_ns)
        t.oldest_ns = t.newest_ns = 0;
    *ret = t;
}

static void add_to_stream(struct stream_stats *t, uint64_t rows, uint64_t bytes, uint64_t raw,
                          int64_t time_min, int64_t time_max)
{
    if (!t->rows || time_min < t->time_min)
        t->time_min = time_min;
    if (!t->rows || time_max > t->time_max)
        t->time_max = time_max;
    t->rows += rows;
    t->bytes += bytes;
    t->raw_bytes += raw;
}

static int stream_name_cmp(const void *a, const void *b)
{
    return str_cmp(((const struct stream_stats *)a)->name, ((const struct stream_stats *)b)->name);
}

/* Those of the organisation, to the front. */
static size_t keep_streams(struct stream_stats *list, size_t n, struct mem_stream *const *all,
                           struct str org, struct arena *a)
{
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        if (!str_eq(all[i]->org, org))
            continue;
        list[kept] = list[i];
        list[kept++].name = arena_str(a, all[i]->name);
    }
    return kept;
}

enum err store_create_stream(struct store *s, struct str org, struct str name, bool *ret_new)
{
    uint64_t id;
    pthread_mutex_lock(&s->lock);
    *ret_new = !memtable_find_stream(s, org, name);
    pthread_mutex_unlock(&s->lock);
    if (!*ret_new)
        return OK;
    TRY(catalog_stream(s->o.catalog, org, name, &id)); /* a cut asks for it by name */
    pthread_mutex_lock(&s->lock);
    (void)memtable_stream(s, org, name);
    pthread_mutex_unlock(&s->lock);
    return OK;
}

enum err store_streams(struct store *s, struct str org, struct arena *a, struct stream_stats **ret,
                       size_t *ret_n)
{
    pthread_mutex_lock(&s->lock);
    struct manifest *m = manifest_ref(s->manifest);
    size_t n = s->streams.n;
    struct mem_stream **all = ARENA_ARRAY(a, struct mem_stream *, n + 1);
    struct stream_stats *list = ARENA_ARRAY(a, struct stream_stats, n + 1);
    for (size_t i = 0; i < n; i++) {
        all[i] = s->streams.all[i];
        const struct part_list *l = all[i]->parts;
        for (uint32_t k = 0; l && k < l->n; k++) {
            const struct part *p = l->part[k];
            add_to_stream(&list[i], p->rows, p->bytes, p->raw_bytes, p->time_min, p->time_max);
        }
    }
    pthread_mutex_unlock(&s->lock);
    for (size_t i = 0; i < m->n; i++)
        for (uint32_t k = 0; k < m->segment[i]->n_sections; k++) {
            const struct manifest_section *e = &m->segment[i]->section[k];
            if (e->stream && e->stream->number < n)
                add_to_stream(&list[e->stream->number], e->rows, e->bytes, e->raw_bytes,
                              e->time_min, e->time_max);
        }
    manifest_unref(m);
    *ret_n = keep_streams(list, n, all, org, a);
    qsort(list, *ret_n, sizeof(*list), stream_name_cmp);
    *ret = list;
    return OK;
}
