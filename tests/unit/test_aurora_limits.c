/* The token bucket and the circuit breakers; names of log files; the process's own cache. */
#include "test.h"

#include "aurora/limits.h"
#include "aurora/logfile.h"
#include "cache/cache.h"
#include "core/clock.h"

static struct limits *make(double rate)
{
    struct limits_options o = {.rate = rate, .failures_max = 3, .open_ns = 30 * NS_PER_S};
    return limits_new(&o);
}

static void test_breaker(void **state)
{
    struct limits *l = make(1e6);
    struct buf out;
    buf_init(&out, SIZE_MAX);
    for (int i = 0; i < 3; i++) {
        assert_ok(limits_admit(l, "A", STR("db-1")));
        limits_judge(l, "A", STR("db-1"), LIMITS_BAD);
    }
    assert_err(limits_admit(l, "B", STR("db-1")), ERR_AGAIN,
               "circuit breaker is open: instance:db-1");
    assert_err(limits_admit(l, "A", STR("db-2")), ERR_AGAIN, "api:A");
    assert_ok(limits_admit(l, "B", STR("db-2")));
    limits_write(l, &out);
    assert_true(str_find(buf_str(&out), STR("\"state\":\"open\"")) != SIZE_MAX);
    /* Half open: one probe, which closes it or opens it anew. */
    clock_skip_ns(31 * NS_PER_S);
    assert_ok(limits_admit(l, "A", STR("")));
    assert_err(limits_admit(l, "A", STR("")), ERR_AGAIN, "open");
    limits_judge(l, "A", STR(""), LIMITS_BAD);
    assert_err(limits_admit(l, "A", STR("")), ERR_AGAIN, "open");
    clock_skip_ns(31 * NS_PER_S);
    assert_ok(limits_admit(l, "A", STR("")));
    limits_judge(l, "A", STR(""), LIMITS_GOOD);
    assert_ok(limits_admit(l, "A", STR("")));
    assert_int_equal(limits_reset(l, STR("instance:db-1")), 1);
    assert_ok(limits_admit(l, "B", STR("db-1")));
    buf_release(&out);
    limits_free(l);
}

static void test_rate(void **state)
{
    struct limits *l = make(100);
    int64_t began = clock_mono_ns();
    for (int i = 0; i < 30; i++)
        assert_ok(limits_admit(l, "A", STR("")));
    int64_t took = clock_mono_ns() - began;
    assert_true(took > 200 * NS_PER_MS);
    for (int i = 0; i < 20; i++)
        limits_judge(l, "A", STR(""), i % 2 ? LIMITS_GOOD : LIMITS_THROTTLED);
    struct buf out;
    buf_init(&out, SIZE_MAX);
    limits_write(l, &out);
    assert_true(str_starts(buf_str(&out), STR("{\"rate\":1"))); /* a tenth, and some */
    buf_release(&out);
    limits_free(l);
}

static void test_names(void **state)
{
    assert_int_equal(logfile_kind(STR("slowquery/mysql-slowquery.log.15")), MYSQL_LOG_SLOW);
    assert_int_equal(logfile_kind(STR("error/mysql-error-running.log")), MYSQL_LOG_ERROR);
    assert_int_equal(logfile_kind(STR("audit/audit.log.0.2025-01-01")), MYSQL_LOG_AUDIT);
    assert_int_equal(logfile_kind(STR("general/mysql-general.log")), MYSQL_LOG_GENERAL);
    assert_int_equal(logfile_kind(STR("trace/x")), MYSQL_LOG_AUTO);
    assert_str(logfile_base(STR("slowquery/mysql-slowquery.log.2025-08-03.15")),
               "slowquery/mysql-slowquery.log");
    assert_true(logfile_is_live(STR("slowquery/mysql-slowquery.log")));
    assert_false(logfile_is_live(STR("slowquery/mysql-slowquery.log.15")));
    assert_true(logfile_is_passed_over(STR("error/mysql-error.log")));
    assert_false(logfile_is_passed_over(STR("error/mysql-error-running.log")));
}

static void test_memory_cache(void **state)
{
    struct cache *c;
    struct buf out;
    struct cache_stats stats;
    char key[32];
    char *large = calloc(1, 1 << 20);
    buf_init(&out, SIZE_MAX);
    assert_ok(cache_open(STR("memory:"), &c));
    assert_false(cache_get(c, STR("k"), &out));
    cache_put(c, STR("k"), STR("one"), 10);
    cache_put(c, STR("k"), STR("two"), 10);
    assert_true(cache_get(c, STR("k"), &out));
    assert_str(buf_str(&out), "two");
    clock_skip_ns(11 * NS_PER_S);
    assert_false(cache_get(c, STR("k"), &out));
    for (int i = 0; i < 100; i++) { /* more than it may hold: the oldest go */
        snprintf(key, sizeof(key), "large%d", i);
        cache_put(c, str_c(key), str_of(large, 1 << 20), 1000);
    }
    assert_false(cache_get(c, STR("large0"), &out));
    assert_true(cache_get(c, STR("large99"), &out));
    cache_stats(c, &stats);
    assert_int_equal(stats.hits, 2);
    assert_int_equal(stats.misses, 3);
    cache_close(c);
    assert_err(cache_open(STR("memcached://x"), &c), ERR_INVALID, "valkey");
    assert_err(cache_open(STR("redis://x/y"), &c), ERR_INVALID, "database");
    buf_release(&out);
    free(large);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_breaker),
        cmocka_unit_test(test_rate),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_memory_cache),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
