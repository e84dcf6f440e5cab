/* Retention: the right segments go, at the right time, and their files with them. */
#include "store_kit.h"

#include "store/merge.h"

static uint64_t queue_bytes;

static uint64_t queue_size(void *ctx)
{
    return queue_bytes;
}

/* The queue gives back what it keeps for speed. */
static void queue_shrinks(void *ctx)
{
    queue_bytes = 0;
}

static int setup(void **state)
{
    kit_begin(&k);
    queue_bytes = 0;
    k.step_ns = 3600 * NS_PER_S; /* a record an hour */
    return 0;
}

static int teardown(void **state)
{
    kit_end(&k);
    return 0;
}

static void test_days(void **state)
{
    int64_t day = NS_PER_DAY, t = 100 * day;
    assert_int_equal(day_of(0), 0);
    assert_int_equal(day_of(day - 1), 0);
    assert_int_equal(day_of(-1), -1);
    assert_int_equal(day_of(-day), -1);
    assert_int_equal(day_of(-day - 1), -2);
    assert_int_equal(retention_day(t, t), 100);
    assert_int_equal(retention_day(t - 7 * day, t), 93);
    assert_int_equal(retention_day(t - 7 * day - 1, t), 100);
    assert_int_equal(retention_day(t + day, t), 101);
    assert_int_equal(retention_day(t + day + 1, t), 100);
    assert_int_equal(retention_day(INT64_MAX, INT64_MIN), day_of(INT64_MIN));
    assert_int_equal(retention_day(INT64_MIN, INT64_MAX), day_of(INT64_MAX));
    assert_int_equal(retention_day(INT64_MIN, INT64_MIN), day_of(INT64_MIN));
    assert_true(retention_timely(t - day, t + day, t));
    assert_false(retention_timely(t - 8 * day, t, t));
    assert_false(retention_timely(t, t + 2 * day, t));
}

/* Ten days of hours, a segment a day. */
static void ten_days(void)
{
    kit_open(&k);
    for (int i = 0; i < 10; i++)
        kit_deliver(&k, 24);
    assert_ok(store_flush(k.store));
    kit_deliver(&k, 1);
    assert_ok(store_compact(k.store, true));
    assert_int_equal(kit_stats(&k).segments, 11);
}

static uint64_t rows_found(void)
{
    struct kit_found f;
    struct snapshot *snap = kit_snapshot(&k);
    assert_ok(kit_read_snapshot(&k, snap, k.n, &f));
    snapshot_close(snap);
    for (uint64_t i = 0; i < k.n; i++)
        assert_int_equal(f.times[i], i >= k.n - f.total); /* the newest are left */
    uint64_t total = f.total;
    kit_found_release(&f);
    return total;
}

static void test_by_age(void **state)
{
    uint64_t freed = 1;
    k.o.retention_ns = 3 * NS_PER_DAY;
    ten_days();
    int64_t first_day = day_of(KIT_T0);
    clock_set_ns((first_day + 1 + 3) * NS_PER_DAY -
                 1); /* the first day ended less than 3 days ago */
    assert_ok(store_expire(k.store, &freed));
    assert_int_equal(freed, 0);
    assert_int_equal(kit_stats(&k).segments, 11);
    clock_set_ns((first_day + 1 + 3) * NS_PER_DAY);
    assert_ok(store_expire(k.store, &freed));
    assert_true(freed > 0);
    assert_int_equal(kit_stats(&k).segments, 10);
    assert_int_equal(kit_files(&k).n, 10);
    assert_int_equal(rows_found(), k.n - 2); /* 22:13 and 23:13 */
    clock_set_ns((first_day + 1 + 5 + 3) * NS_PER_DAY);
    assert_ok(store_expire(k.store, &freed));
    assert_int_equal(kit_stats(&k).segments, 5);
    assert_int_equal(kit_stats(&k).expired_segments, 6);
    kit_reopen(&k);
    assert_int_equal(rows_found(), k.n - 2 - 5 * 24);
}

static void test_no_retention(void **state)
{
    uint64_t freed = 1;
    ten_days();
    clock_set_ns(KIT_T0 + 3650 * NS_PER_DAY);
    assert_ok(store_expire(k.store, &freed));
    assert_int_equal(freed, 0);
    kit_check(&k);
}

static void test_by_size(void **state)
{
    uint64_t freed;
    ten_days();
    uint64_t bytes = kit_stats(&k).segment_bytes;
    kit_close(&k);
    k.o.max_disk = bytes / 2;
    kit_open(&k);
    assert_ok(store_expire(k.store, &freed));
    struct store_stats t = kit_stats(&k);
    assert_true(t.segment_bytes <= bytes / 2);
    assert_true(t.segments >= 4 && t.segments <= 6);
    assert_int_equal(freed, bytes - t.segment_bytes);
    (void)rows_found();
    assert_ok(store_admit(k.store, 1));
}

/* Spare files of the queue cost no records, and do not close admission. */
static void test_spares_go_first(void **state)
{
    uint64_t freed;
    k.o.queue_bytes = queue_size;
    k.o.reclaim = queue_shrinks;
    k.o.max_disk = 1 << 20;
    ten_days();
    uint64_t segments = kit_stats(&k).segments;
    queue_bytes = 2 << 20;
    assert_ok(store_expire(k.store, &freed));
    assert_int_equal(freed, 0);
    assert_int_equal(kit_stats(&k).segments, segments);
    assert_ok(store_admit(k.store, 1));
}

/* What the queue takes counts, and when it alone is too much, admission says so. */
static void test_queue_counts(void **state)
{
    uint64_t freed;
    k.o.queue_bytes = queue_size;
    k.o.max_disk = 1 << 20;
    ten_days();
    assert_ok(store_expire(k.store, &freed));
    assert_int_equal(freed, 0);
    queue_bytes = 2 << 20;
    log_set_level(LOG_ERROR + 1);
    assert_ok(store_expire(k.store, &freed));
    log_set_level(LOG_ERROR);
    assert_int_equal(kit_stats(&k).segments, 0);
    assert_err(store_admit(k.store, 1), ERR_UNAVAILABLE, "max_disk");
    queue_bytes = 0;
    assert_ok(store_expire(k.store, &freed));
    assert_ok(store_admit(k.store, 1));
}

static void test_readers_keep_what_expires(void **state)
{
    uint64_t freed;
    struct kit_found f;
    k.o.retention_ns = NS_PER_DAY;
    ten_days();
    struct snapshot *snap = kit_snapshot(&k);
    clock_set_ns(KIT_T0 + 100 * NS_PER_DAY);
    assert_ok(store_expire(k.store, &freed));
    assert_int_equal(kit_stats(&k).segments, 0);
    assert_int_equal(kit_files(&k).n, 11);
    assert_ok(kit_read_snapshot(&k, snap, k.n, &f));
    assert_int_equal(f.total, k.n);
    kit_found_release(&f);
    snapshot_close(snap);
    assert_int_equal(kit_files(&k).n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_days),
        cmocka_unit_test_setup_teardown(test_by_age, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_retention, setup, teardown),
        cmocka_unit_test_setup_teardown(test_by_size, setup, teardown),
        cmocka_unit_test_setup_teardown(test_queue_counts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_spares_go_first, setup, teardown),
        cmocka_unit_test_setup_teardown(test_readers_keep_what_expires, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
