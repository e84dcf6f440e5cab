/* The store as a whole: what is delivered is what a snapshot shows, at every stage of its life, and
 * what the stages leave on the disk. */
#include "store_kit.h"

#include "core/thread.h"
#include "store/segment.h"

#include <pthread.h>
#include <stdatomic.h>

static void test_empty(void **state)
{
    kit_open(&k);
    kit_check(&k);
    assert_ok(store_flush(k.store));
    assert_int_equal(store_checkpoint(k.store), 0);
    assert_int_equal(k.published, 0);
    struct store_stats t = kit_stats(&k);
    assert_int_equal(t.segments, 0);
    assert_int_equal(t.memtable_rows, 0);
}

static void test_one_record_through_its_life(void **state)
{
    kit_open(&k);
    kit_deliver(&k, 1);
    kit_check(&k);
    struct store_stats t = kit_stats(&k);
    assert_int_equal(t.memtable_rows, 1);
    assert_true(t.memtable_frame_bytes > 0);
    assert_ok(store_flush(k.store));
    kit_check(&k);
    assert_int_equal(k.published, 2);
    assert_int_equal(store_checkpoint(k.store), 2);
    t = kit_stats(&k);
    assert_int_equal(t.segments, 1);
    assert_int_equal(t.segment_rows, 1);
    assert_int_equal(t.memtable_rows, 0);
    assert_int_equal(t.memtable_bytes, 0);
    assert_int_equal(t.oldest_ns, KIT_T0);
    kit_reopen(&k);
    assert_int_equal(store_checkpoint(k.store), 2);
    kit_check(&k);
}

static void test_flush_twice_publishes_once(void **state)
{
    kit_open(&k);
    kit_deliver(&k, 50);
    assert_ok(store_flush(k.store));
    assert_ok(store_flush(k.store));
    assert_int_equal(kit_stats(&k).cuts, 1);
    assert_int_equal(kit_files(&k).n, 1);
}

/* Waits until the encoders have nothing to do for the rows delivered. */
static void wait_sealed(uint64_t most_frame_bytes)
{
    assert_soon(kit_stats(&k).memtable_frame_bytes <= most_frame_bytes);
}

static void test_full_blocks_are_sealed(void **state)
{
    k.o.block_rows = 70;
    kit_open(&k);
    for (int i = 0; i < 100; i++)
        kit_deliver(&k, 21); /* 7 of each stream */
    uint64_t all = 100 * 3 * 100;
    wait_sealed(all);
    kit_check(&k);
    struct kit_found f;
    struct snapshot *snap = kit_snapshot(&k);
    assert_ok(kit_read_snapshot(&k, snap, k.n, &f));
    size_t blocks;
    const struct block_ref *ref = snapshot_blocks(snap, &blocks);
    for (size_t i = 0; i < blocks; i++)
        assert_true(ref[i].rows <= 70);
    snapshot_close(snap);
    kit_found_release(&f);
}

/* A frame of more rows than a block, in no order of time. */
static void test_large_unordered_frames(void **state)
{
    k.o.block_rows = 64;
    k.shuffle_ns = 3 * NS_PER_S;
    kit_open(&k);
    struct blob *frame = kit_frame(&k, &(struct kit_frame){.stream = STR("app"), .count = 1000});
    k.n = 1000;
    kit_deliver_frames(&k, &frame, 1);
    kit_check(&k);
    assert_ok(store_flush(k.store));
    kit_check(&k);
    struct snapshot *snap = kit_snapshot(&k);
    size_t blocks;
    const struct block_ref *ref = snapshot_blocks(snap, &blocks);
    assert_int_equal(blocks, 16);
    for (size_t i = 0; i < blocks; i++) {
        assert_true(ref[i].rows <= 64);
        if (i)
            assert_true(ref[i - 1].time_max <= ref[i].time_min);
    }
    snapshot_close(snap);
}

static size_t blocks_now(void)
{
    struct snapshot *snap = kit_snapshot(&k);
    size_t blocks;
    (void)snapshot_blocks(snap, &blocks);
    snapshot_close(snap);
    return blocks;
}

/* One record a body: parts are gathered, so that a reader meets few. */
static void test_small_frames_are_gathered(void **state)
{
    k.o.block_rows = 65536;
    kit_open(&k);
    for (int i = 0; i < 3000; i++)
        kit_deliver(&k, 1);
    kit_check(&k);
    assert_soon(blocks_now() < 3 * 3 * 64);
    kit_check(&k);
    assert_ok(store_flush(k.store));
    kit_check(&k);
    assert_int_equal(kit_files(&k).n, 1);
}

/* Rows of several retention days in one block go to a section each; late ones to their arrival's.
 */
static void test_retention_days(void **state)
{
    kit_open(&k);
    k.step_ns = NS_PER_DAY / 10; /* 200 records: 20 days */
    struct kit_frame f = {
        .stream = STR("app"), .count = 200, .arrival_ns = KIT_T0 + 10 * NS_PER_DAY};
    struct blob *frame = kit_frame(&k, &f);
    k.n = 200;
    kit_deliver_frames(&k, &frame, 1);
    assert_ok(store_flush(k.store));
    kit_check(&k);
    struct kit_found found;
    struct snapshot *snap = kit_snapshot(&k);
    assert_ok(kit_read_snapshot(&k, snap, k.n, &found));
    snapshot_close(snap);
    /* arrival is day 10: 7 days back and 1 day on, inclusive, are records 30 to 110 */
    assert_int_equal(found.late, 200 - 81);
    struct kit_names files = kit_files(&k);
    assert_int_equal(files.n, 1);
    char path[400];
    snprintf(path, sizeof(path), "%s/segments/%s", k.dir, files.name[0]);
    struct segment *seg;
    assert_ok(segment_open(path, &seg));
    uint64_t rows = 0;
    int64_t day = -1;
    for (uint32_t i = 0; i < segment_sections(seg); i++) {
        struct section_info info;
        assert_ok(segment_section(seg, i, &info));
        assert_true(info.day > day);
        day = info.day;
        rows += info.rows;
    }
    assert_int_equal(rows, 200);
    assert_true(segment_sections(seg) == 9 || segment_sections(seg) == 10);
    segment_unref(seg);
    kit_found_release(&found);
}

static void test_want(void **state)
{
    kit_open(&k);
    kit_deliver(&k, 210); /* 70 of each stream */
    struct blob *frame =
        kit_frame(&k, &(struct kit_frame){.stream = STR("_dead"), .first = 210, .count = 5});
    kit_deliver_frames(&k, &frame, 1);
    for (int stage = 0; stage < 2; stage++) {
        struct str one[] = {STR("nginx")}, dead[] = {STR("_dead"), STR("absent")};
        struct {
            struct snapshot_want want;
            uint64_t rows;
        } cases[] = {
            {{STR("default"), NULL, 0, INT64_MIN, INT64_MAX}, 210},
            {{STR("default"), one, 1, INT64_MIN, INT64_MAX}, 70},
            {{STR("default"), dead, 2, INT64_MIN, INT64_MAX}, 5},
            {{STR("other"), NULL, 0, INT64_MIN, INT64_MAX}, 0},
            {{STR("default"), NULL, 0, INT64_MIN, KIT_T0}, 0},
            {{STR("default"), NULL, 0, KIT_T0 + 3600 * NS_PER_S, INT64_MAX}, 0},
        };
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
            struct snapshot *snap;
            size_t n;
            uint64_t rows = 0;
            assert_ok(snapshot_open(k.store, &cases[i].want, &snap));
            const struct block_ref *ref = snapshot_blocks(snap, &n);
            for (size_t b = 0; b < n; b++)
                rows += ref[b].rows;
            assert_int_equal(rows, cases[i].rows);
            struct snapshot_stats t;
            snapshot_stats(snap, &t);
            assert_true(t.blocks_total >= n);
            if (i == 1)
                assert_true(t.blocks_total > n);
            snapshot_close(snap);
        }
        assert_ok(store_flush(k.store));
    }
    struct arena a;
    struct stream_stats *list;
    size_t n;
    arena_init(&a, 0, NULL);
    assert_ok(store_streams(k.store, STR("default"), &a, &list, &n));
    assert_int_equal(n, 4);
    assert_str(list[0].name, "_dead");
    assert_str(list[1].name, "app");
    assert_int_equal(list[1].rows, 70);
    assert_int_equal(list[1].time_min, KIT_T0);
    arena_release(&a);
}

/* A snapshot keeps showing its instant, whatever happens behind it. */
static void test_snapshot_is_stable(void **state)
{
    kit_open(&k);
    kit_deliver(&k, 500);
    struct snapshot *before = kit_snapshot(&k);
    uint64_t n = k.n;
    kit_deliver(&k, 500);
    assert_ok(store_flush(k.store));
    struct snapshot *flushed = kit_snapshot(&k);
    kit_deliver(&k, 500);
    assert_ok(store_compact(k.store, true));
    struct kit_found f;
    assert_ok(kit_read_snapshot(&k, before, k.n, &f));
    assert_int_equal(f.total, n);
    kit_found_release(&f);
    assert_ok(kit_read_snapshot(&k, flushed, k.n, &f));
    assert_int_equal(f.total, 1000);
    kit_found_release(&f);
    snapshot_close(before);
    snapshot_close(flushed);
    kit_check(&k);
    assert_int_equal(kit_files(&k).n, 1); /* the merged ones went with their last reader */
}

/* A full memtable cuts by itself, also while replaying, and memory stays bounded. */
static void test_memtable_is_bounded(void **state)
{
    for (int background = 0; background < 2; background++) {
        k.o.memtable_max = 64 << 10;
        k.o.background = background;
        if (background)
            kit_reopen(&k);
        else
            kit_open(&k);
        uint64_t most = 0;
        for (int i = 0; i < 200; i++) {
            kit_deliver(&k, 100);
            uint64_t held = kit_stats(&k).memtable_bytes;
            if (held > most)
                most = held;
        }
        assert_true(most < (64 << 10) + (32 << 10));
        assert_true(kit_stats(&k).cuts > 1);
        kit_check(&k);
        assert_ok(store_flush(k.store)); /* there is no queue here to replay from */
    }
}

static void test_admission(void **state)
{
    k.o.memtable_max = 16 << 10;
    kit_open(&k);
    assert_ok(store_admit(k.store, 1000));
    kit_deliver(&k, 200);
    assert_err(store_admit(k.store, 16 << 10), ERR_UNAVAILABLE, "memtable is full");
    assert_ok(store_flush(k.store));
    assert_ok(store_admit(k.store, 16 << 10));
}

/* A replay that begins early, or twice, adds nothing. */
static void test_replay_from_before_the_checkpoint(void **state)
{
    kit_open(&k);
    struct blob *frame[64];
    uint32_t n = kit_body(&k, 100, frame);
    store_deliver(k.store, frame, n, 1);
    assert_ok(store_flush(k.store));
    kit_reopen(&k);
    assert_int_equal(store_checkpoint(k.store), n + 1);
    store_deliver(k.store, frame, n, 1);
    k.position = n + 1;
    for (uint32_t i = 0; i < n; i++)
        blob_unref(frame[i]);
    kit_deliver(&k, 30);
    kit_check(&k);
}

static void test_bad_frame_is_put_aside(void **state)
{
    kit_open(&k);
    kit_deliver(&k, 10);
    struct blob *bad = blob_copy(STR("this is no frame at all"), OWNER_QUEUE);
    log_set_level(LOG_ERROR + 1);
    kit_deliver_frames(&k, &bad, 1);
    log_set_level(LOG_ERROR);
    kit_deliver(&k, 10);
    assert_ok(store_flush(k.store));
    kit_check(&k);
    assert_int_equal(kit_stats(&k).quarantined_frames, 1);
    char path[400];
    snprintf(path, sizeof(path), "%s/quarantine", k.dir);
    struct kit_names l = {0};
    assert_ok(io_list(path, kit_add_name, &l));
    assert_int_equal(l.n, 1);
}

/* ---- files that do not belong ---- */

static void put_file(const char *name)
{
    char path[400];
    snprintf(path, sizeof(path), "%s/segments/%s", k.dir, name);
    assert_ok(io_write_file(path, STR("left behind")));
}

static void test_leftovers_are_removed(void **state)
{
    kit_open(&k);
    kit_deliver(&k, 10);
    assert_ok(store_flush(k.store));
    kit_deliver(&k, 10);
    assert_ok(store_flush(k.store));
    assert_ok(store_compact(k.store, true)); /* ids 1 and 2 were given out and are gone */
    kit_close(&k);
    assert_int_equal(kit_files(&k).n, 1);
    put_file("0000000000000001.seg");
    put_file("0000000000000002.seg.del");
    put_file("0000000000000009.seg.tmp");
    kit_open(&k);
    assert_int_equal(kit_files(&k).n, 1);
    kit_check(&k);
}

/* With an older catalog the files it does not know are kept, and never overwritten. */
static void test_lost_catalog(void **state)
{
    kit_open(&k);
    for (int i = 0; i < 3; i++) {
        kit_deliver(&k, 10);
        assert_ok(store_flush(k.store));
    }
    kit_close(&k);
    char command[400];
    snprintf(command, sizeof(command), "rm -f %s/catalog.db*", k.dir);
    assert_int_equal(system(command), 0);
    log_set_level(LOG_ERROR + 1);
    kit_open(&k);
    log_set_level(LOG_ERROR);
    assert_int_equal(kit_files(&k).n, 0);
    char path[400];
    struct kit_names l = {0};
    snprintf(path, sizeof(path), "%s/lost", k.dir);
    assert_ok(io_list(path, kit_add_name, &l));
    assert_int_equal(l.n, 3);
}

static void test_missing_segment_is_partial(void **state)
{
    kit_open(&k);
    for (int i = 0; i < 2; i++) {
        kit_deliver(&k, 30);
        assert_ok(store_flush(k.store));
    }
    struct kit_names files = kit_files(&k);
    kit_close(&k);
    char path[400];
    snprintf(path, sizeof(path), "%s/segments/%s", k.dir, files.name[0]);
    assert_ok(io_unlink(path));
    log_set_level(LOG_ERROR + 1);
    kit_open(&k);
    log_set_level(LOG_ERROR);
    struct kit_found f;
    struct snapshot *snap = kit_snapshot(&k);
    assert_ok(kit_read_snapshot(&k, snap, k.n, &f));
    snapshot_close(snap);
    assert_int_equal(f.total, 30);
    assert_true(f.stats.unreadable > 0);
    kit_found_release(&f);
    assert_int_equal(kit_stats(&k).unreadable_segments, 1);
    kit_deliver(&k, 5);
    assert_ok(store_compact(k.store, true));
}

/* ---- properties ---- */

static void test_random_life(void **state)
{
    for (uint64_t seed = 1; seed <= 6; seed++) {
        uint64_t r = seed * 77;
        k.shuffle_ns = seed % 3 == 0 ? 0 : (int64_t)(seed * 500) * NS_PER_MS;
        k.step_ns = seed % 2 ? 10 * NS_PER_MS : 7000 * NS_PER_S / 1000;
        k.o.block_rows = (uint32_t)(20 + hash_mix(r) % 300);
        k.position = 1;
        k.n = 0;
        kit_open(&k);
        for (int step = 0; step < 60; step++) {
            r = hash_mix(r + (uint64_t)step);
            switch (r % 12) {
            case 0:
                assert_ok(store_flush(k.store));
                break;
            case 1:
                assert_ok(store_compact(k.store, r % 2));
                break;
            case 2:
                assert_ok(store_flush(k.store));
                kit_reopen(&k);
                break;
            default:
                kit_deliver(&k, (uint32_t)(1 + (r >> 8) % (r % 5 ? 120 : 900)));
            }
            kit_check(&k);
        }
        kit_close(&k);
        char command[400];
        snprintf(command, sizeof(command), "rm -rf %s/*", k.dir);
        assert_int_equal(system(command), 0);
    }
}

struct reading {
    _Atomic uint64_t delivered;
    _Atomic bool over;
    _Atomic uint64_t snapshots;
    const char *_Atomic wrong; /* NULL: nothing yet */
};

static void *is_wrong(struct reading *r, const char *what)
{
    r->wrong = what;
    return NULL;
}

/* Reads snapshots for as long as the writer writes: never less than was delivered before, nothing
 * twice. */
static void *reader_main(void *arg)
{
    struct reading *r = arg;
    uint64_t last = 0;
    while (!r->over) {
        uint64_t least = r->delivered;
        struct snapshot_want want = {.org = STR("default"), .from = INT64_MIN, .to = INT64_MAX};
        struct snapshot *snap;
        struct kit_found f;
        if (snapshot_open(k.store, &want, &snap) != OK)
            return is_wrong(r, "a snapshot cannot be opened");
        enum err err = kit_read_snapshot(&k, snap, 1 << 20, &f);
        snapshot_close(snap);
        if (err != OK)
            return is_wrong(r, "a block cannot be read");
        bool ok = f.total >= least && f.total >= last;
        for (uint64_t n = 0; n < f.total; n++)
            ok = ok && f.times[n] == 1;
        last = f.total;
        kit_found_release(&f);
        if (!ok)
            return is_wrong(r, "records are missing or doubled");
        r->snapshots++;
    }
    return NULL;
}

static void test_readers_during_everything(void **state)
{
    struct reading r = {0};
    pthread_t reader[2];
    k.o.block_rows = 300;
    kit_open(&k);
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&reader[i], NULL, reader_main, &r), 0);
    for (int i = 0; i < 150; i++) {
        kit_deliver(&k, 40);
        r.delivered = k.n;
        if (i % 11 == 0)
            assert_ok(store_flush(k.store));
        if (i % 37 == 0)
            assert_ok(store_compact(k.store, i % 2));
        assert_soon(r.snapshots >= (uint64_t)i / 7 || r.wrong); /* they are read meanwhile */
    }
    r.over = true;
    for (size_t i = 0; i < 2; i++)
        pthread_join(reader[i], NULL);
    if (r.wrong)
        fail_msg("%s", r.wrong);
    kit_check(&k);
}

/* The background does the same by itself. */
static void test_background(void **state)
{
    k.o.background = true;
    k.o.cut_queue_bytes = 4096;
    k.o.compact_files = 2;
    clock_set_ns(0);
    kit_open(&k);
    store_replayed(k.store); /* merges wait for it */
    for (int i = 0; i < 40; i++) {
        kit_deliver(&k, 60);
        clock_sleep_ms(2);
    }
    assert_soon(kit_stats(&k).merges > 0);
    assert_true(kit_stats(&k).cuts > 1);
    kit_check(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_empty, kit_setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_one_record_through_its_life, kit_setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_flush_twice_publishes_once, kit_setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_full_blocks_are_sealed, kit_setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_large_unordered_frames, kit_setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_small_frames_are_gathered, kit_setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_retention_days, kit_setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_want, kit_setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_snapshot_is_stable, kit_setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_memtable_is_bounded, kit_setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_admission, kit_setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_replay_from_before_the_checkpoint, kit_setup,
                                        kit_teardown),
        cmocka_unit_test_setup_teardown(test_bad_frame_is_put_aside, kit_setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_leftovers_are_removed, kit_setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_lost_catalog, kit_setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_missing_segment_is_partial, kit_setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_random_life, kit_setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_readers_during_everything, kit_setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_background, kit_setup, kit_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
