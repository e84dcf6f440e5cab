/* Compaction: few files, in order, with every record once. */
#include "store_kit.h"

#include "store/segment.h"

#include <fcntl.h>

static void flush_of(uint32_t records)
{
    kit_deliver(&k, records);
    assert_ok(store_flush(k.store));
}

static struct segment *open_file(size_t i)
{
    struct kit_names files = kit_files(&k);
    assert_true(i < files.n);
    char path[400];
    struct segment *seg;
    snprintf(path, sizeof(path), "%s/segments/%s", k.dir, files.name[i]);
    assert_ok(segment_open(path, &seg));
    return seg;
}

/* Within each section of the file, blocks follow each other in time, and all but the last are full.
 */
static void assert_tidy(size_t file)
{
    struct segment *seg = open_file(file);
    uint64_t stream = 0;
    for (uint32_t i = 0; i < segment_sections(seg); i++) {
        struct section_info info;
        assert_ok(segment_section(seg, i, &info));
        assert_true(info.stream_id > stream); /* a stream has one section */
        stream = info.stream_id;
        int64_t last = INT64_MIN;
        for (uint32_t b = 0; b < info.blocks; b++) {
            struct segment_block_info block;
            assert_ok(segment_block(seg, i, b, &block));
            assert_true(block.time_min >= last);
            last = block.time_max;
            if (b + 1 < info.blocks)
                assert_int_equal(block.rows, k.o.block_rows);
        }
    }
    segment_unref(seg);
}

static void test_nothing_is_due(void **state)
{
    kit_open(&k);
    for (int i = 0; i < 3; i++)
        flush_of(30);
    assert_ok(store_compact(k.store, false)); /* 4 start a merge */
    assert_int_equal(kit_files(&k).n, 3);
    assert_int_equal(kit_stats(&k).merges, 0);
    assert_ok(store_compact(k.store, true));
    assert_int_equal(kit_files(&k).n, 1);
    assert_int_equal(kit_stats(&k).merges, 1);
    kit_check(&k);
    assert_ok(store_compact(k.store, true));
    assert_int_equal(kit_stats(&k).merges, 1);
}

static void test_overlapping_sources(void **state)
{
    k.shuffle_ns = 20 * NS_PER_S; /* of 10 ms steps: everything overlaps everything near it */
    k.o.block_rows = 50;
    kit_open(&k);
    for (int i = 0; i < 4; i++)
        flush_of(900);
    assert_ok(store_compact(k.store, false));
    assert_int_equal(kit_files(&k).n, 1);
    assert_tidy(0);
    kit_check(&k);
    kit_reopen(&k);
    kit_check(&k);
}

static void test_ordered_sources(void **state)
{
    k.o.block_rows = 50;
    kit_open(&k);
    for (int i = 0; i < 4; i++)
        flush_of(777);
    assert_ok(store_compact(k.store, false));
    assert_tidy(0);
    kit_check(&k);
}

/* More overlapping blocks than the window holds: blocks may overlap, rows must not be lost. */
static void test_more_than_a_window(void **state)
{
    k.shuffle_ns = 3600 * NS_PER_S;
    k.o.block_rows = 16;
    kit_open(&k);
    for (int i = 0; i < 4; i++)
        flush_of(1500);
    assert_ok(store_compact(k.store, false));
    assert_int_equal(kit_files(&k).n, 1);
    kit_check(&k);
}

static void test_days_are_parted(void **state)
{
    k.step_ns = 3600 * NS_PER_S; /* a record an hour */
    kit_open(&k);
    for (int i = 0; i < 4; i++)
        flush_of(48); /* two days each */
    assert_ok(store_compact(k.store, true));
    struct kit_names files = kit_files(&k);
    assert_int_equal(files.n, 9); /* 22:13 on the first day to 22:13 eight days on */
    for (size_t i = 0; i < files.n; i++) {
        struct segment *seg = open_file(i);
        struct section_info first, info;
        assert_ok(segment_section(seg, 0, &first));
        for (uint32_t s = 0; s < segment_sections(seg); s++) {
            assert_ok(segment_section(seg, s, &info));
            assert_int_equal(info.day, first.day);
            assert_true(info.time_min >= info.day * NS_PER_DAY);
            assert_true(info.time_max < (info.day + 1) * NS_PER_DAY);
        }
        segment_unref(seg);
    }
    kit_check(&k);
    kit_reopen(&k);
    kit_check(&k);
}

/* A month of hourly cuts: the number of files stays small at any time, and one a day is left. */
static void test_a_month(void **state)
{
    size_t most = 0;
    k.o.compact_files = 8;
    k.o.block_rows = 65536;
    k.step_ns = 300 * NS_PER_S;
    kit_open(&k);
    for (int hour = 0; hour < 30 * 24; hour++) {
        clock_set_ns(KIT_T0 + (hour + 1) * 3600 * NS_PER_S);
        flush_of(12);
        assert_ok(store_compact(k.store, false));
        struct store_stats t = kit_stats(&k);
        if (t.segments > most)
            most = t.segments;
    }
    assert_true(most <= 31 + 7 + 4);
    kit_check(&k);
    clock_set_ns(clock_now_ns() + NS_PER_DAY);
    assert_ok(store_compact(k.store, true));
    assert_int_equal(kit_stats(&k).segments, 31);
    kit_check(&k);
}

static void test_many_streams(void **state)
{
    kit_open(&k);
    for (int cut = 0; cut < 4; cut++) {
        for (uint64_t i = 0; i < 200; i++) {
            char name[32];
            int len = snprintf(name, sizeof(name), "stream-%03llu", (unsigned long long)i);
            struct blob *frame = kit_frame(
                &k,
                &(struct kit_frame){.stream = str_of(name, (size_t)len), .first = k.n, .count = 2});
            k.n += 2;
            kit_deliver_frames(&k, &frame, 1);
        }
        assert_ok(store_flush(k.store));
    }
    assert_ok(store_compact(k.store, false));
    assert_int_equal(kit_files(&k).n, 1);
    struct segment *seg = open_file(0);
    assert_int_equal(segment_sections(seg), 200);
    segment_unref(seg);
    kit_check(&k);
}

/* Frames whose shapes together pass a block's limit end in two blocks. */
static void test_limit_of_shapes(void **state)
{
    k.o.block_rows = 65536;
    kit_open(&k);
    for (int part = 0; part < 2; part++) {
        struct batch *b = batch_new();
        struct buf out;
        for (int i = 0; i < 3000; i++) {
            char key[32];
            int len = snprintf(key, sizeof(key), "k%d-%d", part, i);
            batch_begin(b);
            batch_int(b, STR("n"), (int64_t)k.n);
            batch_int(b, str_of(key, (size_t)len), i);
            batch_end(b, kit_time(&k, k.n++), STR("{}"));
        }
        struct frame_info info = {
            .org = STR("default"), .stream = STR("app"), .parts = 1, .arrival_ns = KIT_T0};
        buf_init(&out, 16 << 20);
        assert_ok(frame_encode(b, &info, &out));
        batch_free(b);
        struct blob *frame = blob_take(out.p, out.n, OWNER_QUEUE);
        kit_deliver_frames(&k, &frame, 1);
    }
    assert_ok(store_flush(k.store));
    kit_check(&k);
    struct segment *seg = open_file(0);
    struct section_info info;
    assert_ok(segment_section(seg, 0, &info));
    assert_int_equal(info.blocks, 2);
    segment_unref(seg);
    flush_of(10);
    assert_ok(store_compact(k.store, true));
    kit_check(&k);
}

/* A segment that cannot be read is left as it is; the others are merged, and nothing is lost from
 * them. */
static void test_damaged_source(void **state)
{
    kit_open(&k);
    flush_of(210);
    uint64_t first = k.n;
    for (int i = 0; i < 4; i++)
        flush_of(210);
    struct kit_names files = kit_files(&k);
    kit_close(&k);
    char path[400];
    snprintf(path, sizeof(path), "%s/segments/%s", k.dir, files.name[0]);
    int fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    for (off_t at = 64; at < 512; at += 8) /* in the chunks of the first blocks */
        assert_int_equal(pwrite(fd, "\xff", 1, at), 1);
    close(fd);
    kit_open(&k);
    log_set_level(LOG_ERROR + 1);
    assert_ok(store_compact(k.store, false));
    log_set_level(LOG_ERROR);
    assert_int_equal(kit_files(&k).n, 2);
    struct snapshot *snap = kit_snapshot(&k);
    struct kit_found f = {.times = NEW_ARRAY(uint8_t, k.n), .n = k.n};
    size_t n;
    const struct block_ref *ref = snapshot_blocks(snap, &n);
    unsigned bad = 0;
    for (size_t i = 0; i < n; i++)
        bad += kit_read_block(&k, snap, &ref[i], &f) != OK;
    snapshot_close(snap);
    assert_true(bad > 0);
    for (uint64_t i = first; i < k.n; i++)
        assert_int_equal(f.times[i], 1);
    kit_found_release(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_nothing_is_due, kit_setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_overlapping_sources, kit_setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_ordered_sources, kit_setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_more_than_a_window, kit_setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_days_are_parted, kit_setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_a_month, kit_setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_many_streams, kit_setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_limit_of_shapes, kit_setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_damaged_source, kit_setup, kit_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
