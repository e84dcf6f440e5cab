/* What the tests of the store share: a store over a catalog in a folder of its own, frames of
 * numbered records, and the check that a snapshot holds each number delivered exactly once.
 *
 * Record number n is {"n": n, "msg": "...", "log_id": "id-<n>" where asked}; its stream and its
 * time follow from n alone, so that every copy can be checked by itself. */
#ifndef WEIR_TESTS_STORE_KIT_H
#define WEIR_TESTS_STORE_KIT_H

#include "core/clock.h"
#include "core/hash.h"
#include "core/io.h"
#include "core/log.h"
#include "core/mem.h"
#include "record/frame.h"
#include "store/store.h"
#include "test.h"

#define KIT_T0 (1700000000LL * NS_PER_S) /* 2023-11-14T22:13:20Z */
#define KIT_STREAMS 3
#define KIT_PAD_MAX 4096

struct kit {
    char dir[256];
    struct catalog *catalog;
    struct store *store;
    struct store_options o;
    uint64_t position; /* the next */
    uint64_t n;        /* the next record number */
    int64_t step_ns;   /* time of record n: KIT_T0 + n * step_ns, give or take the shuffle */
    int64_t shuffle_ns;
    bool ids;
    uint32_t pad; /* bytes of noise in each record, at most KIT_PAD_MAX */
    uint64_t published;
};

static inline void kit_published(void *ctx, uint64_t position)
{
    ((struct kit *)ctx)->published = position;
}

static inline void kit_options(struct kit *k)
{
    k->o = (struct store_options){.dir = k->dir,
                                  .block_rows = 200,
                                  .block_bytes = 1 << 20,
                                  .cut_bytes = 64 << 20,
                                  .cut_queue_bytes = 1 << 30,
                                  .cut_interval_ns = 3600 * NS_PER_S,
                                  .memtable_max = 256 << 20,
                                  .compact_files = 4,
                                  .compact_zstd_level = 3,
                                  .encoders = 2,
                                  .id_window_ns = NS_PER_DAY,
                                  .ids_max = 20000000,
                                  .published = kit_published,
                                  .ctx = k};
}

static inline void kit_open(struct kit *k)
{
    char path[300];
    snprintf(path, sizeof(path), "%s/catalog.db", k->dir);
    assert_ok(catalog_open_sqlite(path, &k->catalog));
    k->o.catalog = k->catalog;
    k->o.dir = k->dir;
    k->o.ctx = k;
    assert_ok(store_open(&k->o, &k->store));
}

static inline void kit_close(struct kit *k)
{
    store_close(k->store);
    catalog_close(k->catalog);
    k->store = NULL;
    k->catalog = NULL;
}

static inline void kit_reopen(struct kit *k)
{
    kit_close(k);
    kit_open(k);
}

static inline void kit_begin(struct kit *k)
{
    *k = (struct kit){.position = 1, .step_ns = 10 * NS_PER_MS};
    log_set_level(LOG_ERROR);
    snprintf(k->dir, sizeof(k->dir), "%s", test_dir_in_memory());
    clock_set_ns(KIT_T0);
    kit_options(k);
}

static inline void kit_end(struct kit *k)
{
    if (k->store)
        kit_close(k);
    clock_set_ns(0);
    test_rmdir(k->dir);
}

/* ---- what follows from a record's number ---- */

static inline struct str kit_stream(uint64_t n)
{
    static const char *const names[KIT_STREAMS] = {"app", "nginx", "audit"};
    return str_c(names[n / 7 % KIT_STREAMS]);
}

static inline int64_t kit_time(const struct kit *k, uint64_t n)
{
    int64_t shift = k->shuffle_ns ? (int64_t)(hash_mix(n + 1) % (uint64_t)k->shuffle_ns) : 0;
    return KIT_T0 + (int64_t)n * k->step_ns + shift;
}

/* ---- frames ---- */

struct kit_frame {
    struct str stream;
    uint64_t first;
    uint32_t count;
    uint32_t stride;    /* between the numbers */
    int64_t arrival_ns; /* 0: that of the last record's time */
    struct hash128 key, payload;
    uint64_t producer, epoch, sequence;
};

static inline void kit_pad(struct batch *b, uint64_t n, uint32_t bytes)
{
    char text[KIT_PAD_MAX];
    for (uint32_t i = 0; i < bytes; i++)
        text[i] = (char)('!' + hash_mix(n * KIT_PAD_MAX + i) % 90);
    batch_text(b, STR("pad"), LANE_STR, str_of(text, bytes));
}

static inline void kit_record(const struct kit *k, struct batch *b, uint64_t n)
{
    char text[160], id[32];
    batch_begin(b);
    batch_int(b, STR("n"), (int64_t)n);
    int len = snprintf(text, sizeof(text), "request %llu took %llu ms from 10.0.%llu.%llu",
                       (unsigned long long)n, (unsigned long long)(hash_mix(n) % 900),
                       (unsigned long long)(n % 7), (unsigned long long)(n % 251));
    batch_text(b, STR("msg"), LANE_STR, str_of(text, (size_t)len));
    if (n % 5 == 0)
        batch_bool(b, STR("slow"), n % 2);
    if (k->pad)
        kit_pad(b, n, k->pad);
    if (k->ids) {
        len = snprintf(id, sizeof(id), "id-%llu", (unsigned long long)n);
        batch_text(b, STR("log_id"), LANE_STR, str_of(id, (size_t)len));
    }
    batch_end(b, kit_time(k, n), str_of(text, 40));
}

static inline struct blob *kit_frame(const struct kit *k, const struct kit_frame *f)
{
    struct batch *b = batch_new();
    struct buf out;
    uint32_t stride = f->stride ? f->stride : 1;
    for (uint32_t i = 0; i < f->count; i++)
        kit_record(k, b, f->first + (uint64_t)i * stride);
    struct frame_info info = {.org = STR("default"),
                              .stream = f->stream,
                              .parts = 1,
                              .key = f->key,
                              .payload = f->payload,
                              .producer = f->producer,
                              .epoch = f->epoch,
                              .sequence = f->sequence,
                              .arrival_ns = f->arrival_ns};
    if (!info.arrival_ns)
        info.arrival_ns = kit_time(k, f->first + (uint64_t)(f->count - 1) * stride);
    buf_init(&out, 64 << 20);
    assert_ok(frame_encode(b, &info, &out));
    batch_free(b);
    return blob_take(out.p, out.n, OWNER_QUEUE);
}

/* The next `count` records as a body: a frame for each run of one stream. */
static inline uint32_t kit_body(struct kit *k, uint32_t count, struct blob **frame)
{
    uint32_t frames = 0;
    while (count) {
        struct kit_frame f = {.stream = kit_stream(k->n), .first = k->n};
        while (f.count < count && str_eq(kit_stream(f.first + f.count), f.stream))
            f.count++;
        frame[frames++] = kit_frame(k, &f);
        k->n += f.count;
        count -= f.count;
    }
    return frames;
}

static inline void kit_deliver_frames(struct kit *k, struct blob **frame, uint32_t n)
{
    store_deliver(k->store, frame, n, k->position);
    k->position += n;
    for (uint32_t i = 0; i < n; i++)
        blob_unref(frame[i]);
}

static inline void kit_deliver(struct kit *k, uint32_t count)
{
    struct blob **frame = NEW_ARRAY(struct blob *, count);
    kit_deliver_frames(k, frame, kit_body(k, count, frame));
    mem_free(frame);
}

/* ---- reading ---- */

struct kit_found {
    uint8_t *times; /* how often each number was found */
    uint64_t n, total;
    uint64_t late;    /* rows flagged so */
    uint64_t ordered; /* blocks whose rows are in order of time */
    struct snapshot_stats stats;
};

static inline void kit_found_release(struct kit_found *f)
{
    mem_free(f->times);
}

static inline enum err kit_read_block(const struct kit *k, const struct snapshot *snap,
                                      const struct block_ref *ref, struct kit_found *f)
{
    struct arena a;
    struct rows rows;
    struct values v;
    const int64_t *time;
    uint64_t bytes = 0;
    arena_init(&a, 0, NULL);
    enum err err;
    TRY_OUT(block_open(snap, ref, &a, &rows, &bytes));
    TRY_OUT(rows_time(&rows, &time));
    assert_int_equal(rows.n, ref->rows);
    assert_int_equal(rows.time_min, ref->time_min);
    assert_int_equal(rows.time_max, ref->time_max);
    uint32_t col = rows_find(&rows, STR("n"), 0);
    assert_true(col != UINT32_MAX);
    assert_int_equal(rows.columns[col].n, rows.n);
    TRY_OUT(rows.columns[col].ops->values(&rows.columns[col], &a, &v));
    bool ordered = true;
    const uint8_t *flags;
    TRY_OUT(rows_flags(&rows, &flags));
    for (uint32_t i = 0; i < rows.n; i++) {
        uint64_t n = (uint64_t)v.i64[i];
        assert_true(n < f->n);
        f->times[n]++;
        assert_int_equal(time[i], kit_time(k, n));
        assert_true(time[i] >= ref->time_min && time[i] <= ref->time_max);
        ordered = ordered && (!i || time[i - 1] <= time[i]);
        f->late += flags && (flags[i] & ROW_TIME_LATE);
    }
    f->total += rows.n;
    f->ordered += ordered;
out:
    arena_release(&a);
    return err;
}

static inline enum err kit_read_snapshot(const struct kit *k, const struct snapshot *snap,
                                         uint64_t n, struct kit_found *ret)
{
    size_t blocks;
    const struct block_ref *ref = snapshot_blocks(snap, &blocks);
    *ret = (struct kit_found){.times = NEW_ARRAY(uint8_t, n + 1), .n = n};
    snapshot_stats(snap, &ret->stats);
    for (size_t i = 0; i < blocks; i++)
        TRY(kit_read_block(k, snap, &ref[i], ret));
    return OK;
}

static inline struct snapshot *kit_snapshot(struct kit *k)
{
    struct snapshot_want want = {.org = STR("default"), .from = INT64_MIN, .to = INT64_MAX};
    struct snapshot *snap;
    assert_ok(snapshot_open(k->store, &want, &snap));
    return snap;
}

/* Every record delivered is found once, nothing else is. */
static inline void kit_check(struct kit *k)
{
    struct kit_found f;
    struct snapshot *snap = kit_snapshot(k);
    assert_ok(kit_read_snapshot(k, snap, k->n, &f));
    snapshot_close(snap);
    for (uint64_t n = 0; n < k->n; n++)
        if (f.times[n] != 1)
            fail_msg("record %llu of %llu was found %d times", (unsigned long long)n,
                     (unsigned long long)k->n, f.times[n]);
    assert_int_equal(f.total, k->n);
    assert_int_equal(f.stats.unreadable, 0);
    kit_found_release(&f);
}

static inline struct store_stats kit_stats(struct kit *k)
{
    struct store_stats t;
    store_stats(k->store, &t);
    return t;
}

struct kit_names {
    size_t n;
    char name[64][64];
};

static inline enum err kit_add_name(void *ctx, const char *name)
{
    struct kit_names *l = ctx;
    if (l->n < 64)
        snprintf(l->name[l->n], sizeof(l->name[0]), "%s", name);
    l->n++;
    return OK;
}

/* The files of dir/segments. */
static inline struct kit_names kit_files(struct kit *k)
{
    struct kit_names l = {0};
    char path[300];
    snprintf(path, sizeof(path), "%s/segments", k->dir);
    assert_ok(io_list(path, kit_add_name, &l));
    return l;
}

/* The fixture, for tests that need no more than it. */
static struct kit k;

static inline int kit_setup(void **state)
{
    kit_begin(&k);
    return 0;
}

static inline int kit_teardown(void **state)
{
    kit_end(&k);
    return 0;
}

#endif
