/* When the queue calls its disk slow: by what it takes for bytes, not for syncs. */
#include "core/clock.h"
#include "queue/pace.h"
#include "test.h"

#define MB 1000000

/* A second and a bit of writes of `bytes` each, one after the other but for `rest_ns`; `from` 0:
 * nobody compressed. */
static void writes(struct pace *p, int64_t *now, uint64_t bytes, uint64_t from, int64_t took_ns,
                   int64_t cpu_ns, int64_t rest_ns)
{
    for (int64_t end = *now + NS_PER_S + NS_PER_MS; *now < end;) {
        *now += rest_ns + took_ns;
        pace_note(p, *now, took_ns, cpu_ns, &(struct pace_bytes){bytes, from ? bytes : 0, from});
    }
}

/* A disk with syncs of 2 ms, that gives `mb` a second. */
static int64_t takes(uint64_t bytes, uint64_t mb)
{
    return 2 * NS_PER_MS + (int64_t)(bytes * 1000 / mb);
}

static struct pace begun(int64_t *now)
{
    struct pace p = {0};
    *now = 5 * NS_PER_S;
    pace_note(&p, *now, 2 * NS_PER_MS, 0, &(struct pace_bytes){.all = 4200});
    return p;
}

static void test_fast_disk(void **state)
{
    int64_t now;
    struct pace p = begun(&now);
    for (int i = 0; i < 5; i++) {
        writes(&p, &now, 8 * MB, 0, takes(8 * MB, 200), 0, 0);
        assert_false(pace_is_slow(&p));
    }
}

/* Groups that take what a sync takes are not made quicker by being smaller. */
static void test_slow_syncs(void **state)
{
    int64_t now;
    struct pace p = begun(&now);
    for (int i = 0; i < 5; i++) {
        writes(&p, &now, 20000, 0, 30 * NS_PER_MS, 0, 0);
        assert_false(pace_is_slow(&p));
    }
}

/* A processor that is busy with other things does not make the disk slow. */
static void test_processor(void **state)
{
    int64_t now;
    struct pace p = begun(&now);
    for (int i = 0; i < 5; i++) {
        writes(&p, &now, 8 * MB, 0, takes(8 * MB, 200) + 400 * NS_PER_MS, 400 * NS_PER_MS, 0);
        assert_false(pace_is_slow(&p));
    }
}

static void test_slow_disk(void **state)
{
    int64_t now;
    struct pace p = begun(&now);
    writes(&p, &now, 8 * MB, 0, takes(8 * MB, 30), 0, 0);
    assert_true(pace_is_slow(&p));
    /* A third of the bytes, a third of the time, and still the disk is what it is about. */
    for (int i = 0; i < 5; i++) {
        writes(&p, &now, 8 * MB, 24 * MB, takes(8 * MB, 30), 0, 100 * NS_PER_MS);
        assert_true(pace_is_slow(&p));
    }
    /* Little to do: without compression it would be a fifth of the time. */
    writes(&p, &now, MB, 3 * MB, takes(MB, 30), 0, 500 * NS_PER_MS);
    assert_false(pace_is_slow(&p));
}

/* What was in line when compression began says nothing about it. */
static void test_backlog(void **state)
{
    int64_t now;
    struct pace p = begun(&now);
    for (int i = 0; i < 5; i++) {
        writes(&p, &now, 8 * MB, 0, takes(8 * MB, 30), 0, 0);
        assert_true(pace_is_slow(&p));
    }
}

static void test_does_not_compress(void **state)
{
    int64_t now;
    struct pace p = begun(&now);
    writes(&p, &now, 8 * MB, 0, takes(8 * MB, 30), 0, 0);
    assert_true(pace_is_slow(&p));
    writes(&p, &now, 8 * MB, 8 * MB + MB / 10, takes(8 * MB, 30), 0, 0);
    assert_false(pace_is_slow(&p));
    int64_t until = now + 58 * NS_PER_S;
    while (now < until) {
        writes(&p, &now, 8 * MB, 0, takes(8 * MB, 30), 0, 0);
        assert_false(pace_is_slow(&p));
    }
    for (int i = 0; i < 4; i++)
        writes(&p, &now, 8 * MB, 0, takes(8 * MB, 30), 0, 0);
    assert_true(pace_is_slow(&p)); /* perhaps it is other data by now */
}

static void test_idle(void **state)
{
    int64_t now;
    struct pace p = begun(&now);
    writes(&p, &now, 8 * MB, 0, takes(8 * MB, 30), 0, 0);
    assert_true(pace_is_slow(&p));
    for (int i = 0; i < 2; i++) {
        now += 2 * NS_PER_S;
        pace_idle(&p, now);
    }
    assert_false(pace_is_slow(&p));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fast_disk), cmocka_unit_test(test_slow_syncs),
        cmocka_unit_test(test_processor), cmocka_unit_test(test_slow_disk),
        cmocka_unit_test(test_backlog),   cmocka_unit_test(test_does_not_compress),
        cmocka_unit_test(test_idle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
