/* One record a second, a cut an hour, no retention: the number of files stays small, at every
 * moment and at the end. Three days of it here; with WEIR_SOAK=1 (make soak) a month. */
#include "store_kit.h"

enum {
    HOUR = 3600,
    DAYS = 3,
    DAYS_SOAK = 30,
    /* At any time: a merge's worth of fresh files, of files of a level for today and for yesterday,
     * which is settled two hours after its end; and one file for each day before. */
    FILES_ROLLING_MAX = 8 + 2 * 8,
};

static int setup(void **state)
{
    kit_begin(&k);
    k.step_ns = NS_PER_S;
    k.o.block_rows = 65536;
    k.o.block_bytes = 32 << 20;
    k.o.compact_files = 8;
    return 0;
}

static int teardown(void **state)
{
    kit_end(&k);
    return 0;
}

static void run_hour(void)
{
    for (int second = 0; second < HOUR; second++) {
        clock_set_ns(kit_time(&k, k.n));
        kit_deliver(&k, 1);
    }
    assert_ok(store_flush(k.store));
    assert_ok(store_compact(k.store, false));
}

static void test_record_a_second(void **state)
{
    int days = getenv("WEIR_SOAK") ? DAYS_SOAK : DAYS;
    size_t most = 0;
    int64_t began = clock_mono_ns();
    kit_open(&k);
    for (int hour = 0; hour < days * 24; hour++) {
        run_hour();
        size_t files = kit_files(&k).n;
        assert_true(files <= (size_t)(hour / 24) + FILES_ROLLING_MAX);
        most = files > most ? files : most;
    }
    struct store_stats t = kit_stats(&k);
    print_message(
        "%d days, %llu records: %zu files at the end, %zu at most; %llu bytes, %llu merges, "
        "%.1f s\n",
        days, (unsigned long long)k.n, kit_files(&k).n, most, (unsigned long long)t.segment_bytes,
        (unsigned long long)t.merges, (double)(clock_mono_ns() - began) / 1e9);
    assert_int_equal(k.n, days * 86400);
    assert_int_equal(t.segment_rows, k.n);
    kit_check(&k);
    kit_reopen(&k);
    kit_check(&k);

    /* Two hours into the next day, each day that is over is one file. */
    clock_set_ns(kit_time(&k, k.n) + NS_PER_DAY + 3 * HOUR * NS_PER_S);
    assert_ok(store_compact(k.store, true));
    assert_true(kit_files(&k).n <= (size_t)days + 1); /* the first and the last day are partial */
    kit_check(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_record_a_second, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
