#include "core/clock.h"
#include "core/mem.h"
#include "core/metrics.h"
#include "core/process.h"
#include "core/thread.h"
#include "test.h"

static char *written(void)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    metrics_write(&b);
    char *text = mem_strdup(buf_str(&b));
    buf_release(&b);
    return text;
}

static int count(const char *text, const char *part)
{
    int n = 0;
    while ((text = strstr(text, part))) {
        n++;
        text++;
    }
    return n;
}

static void assert_written(const char *part, int times)
{
    char *text = written();
    if (count(text, part) != times)
        fail_msg("%s is there %d times:\n%s", part, count(text, part), text);
    mem_free(text);
}

static void test_counters(void **state)
{
    struct metric *a = metric_counter("weir_test_total", "stream=\"a\"", "Tests\nrun, \\ each.");
    struct metric *b = metric_counter("weir_test_total", "stream=\"b\"", "Tests");
    assert_ptr_equal(metric_counter("weir_test_total", "stream=\"a\"", "Tests"), a);
    assert_ptr_not_equal(a, b);
    metric_add(a, 40);
    metric_add(a, 2);
    metric_add(b, 1);
    assert_int_equal(metric_get(a), 42);
    assert_written(
        "# HELP weir_test_total Tests\\nrun, \\\\ each.\n# TYPE weir_test_total counter\n"
        "weir_test_total{stream=\"a\"} 42\nweir_test_total{stream=\"b\"} 1\n",
        1);
    assert_dies(metric_gauge("weir_test_total", NULL, "Another type"));
    assert_dies(metric_gauge("weir-bad", NULL, "A bad name"));
    assert_dies(metric_gauge("9weir", NULL, "A bad name"));
    assert_dies(metric_gauge("weir_no_help", NULL, ""));
}

static double half(void *ctx)
{
    return *(double *)ctx / 2;
}

static void test_gauges(void **state)
{
    struct metric *g = metric_gauge("weir_test_bytes", NULL, "Bytes");
    metric_set(g, -7);
    assert_written("\nweir_test_bytes -7\n", 1);
    double one = 1, three = 3;
    metric_gauge_fn("weir_test_half", NULL, "Half", half, &one);
    assert_written("# TYPE weir_test_half gauge\nweir_test_half 0.5\n", 1);
    metric_gauge_fn("weir_test_half", NULL, "Half", half, &three);
    assert_written("\nweir_test_half 1.5\n", 1);
    double special[] = {0.0 / 0.0, 1.0 / 0.0, -1.0 / 0.0};
    const char *names[] = {"\nweir_test_half NaN\n", "\nweir_test_half +Inf\n",
                           "\nweir_test_half -Inf\n"};
    for (int i = 0; i < 3; i++) {
        metric_gauge_fn("weir_test_half", NULL, "Half", half, &special[i]);
        assert_written(names[i], 1);
    }
    metric_gauge_fn("weir_test_half", NULL, "Half", NULL, NULL);
    assert_written("weir_test_half", 0);
    metric_counter_fn("weir_test_halves_total", NULL, "Halves", half, &three);
    assert_written("# TYPE weir_test_halves_total counter\nweir_test_halves_total 1.5\n", 1);
}

static void test_process(void **state)
{
    static const char netstat[] = "TcpExt: InOctets\nTcpExt: 9\nIpExt: InNoRoutes InOctets\n"
                                  "IpExt: 1 18446744073709551615\n";
    assert_true(process_ip_number(str_c(netstat), STR("InOctets")) == UINT64_MAX);
    assert_int_equal(process_ip_number(str_c(netstat), STR("InNoRoutes")), 1);
    assert_int_equal(process_ip_number(str_c(netstat), STR("Nothing")), 0);
    assert_int_equal(process_ip_number(STR("IpExt: A B\nIpExt: 1"), STR("B")), 0);
    assert_int_equal(process_ip_number(STR("IpExt: A"), STR("A")), 0);
    assert_true(process_resident_bytes() > 100000);
    process_register_metrics();
    assert_written("# TYPE process_cpu_seconds_total counter\nprocess_cpu_seconds_total 0.", 1);
    assert_written("\nprocess_network_receive_bytes_total ", 1);
    assert_written("\nprocess_start_time_seconds 1", 1);
}

static void test_histogram(void **state)
{
    struct metric *h = metric_histogram("weir_test_seconds", "op=\"x\"", "Seconds");
    metric_observe_ns(h, 500000);         /* <= 1 ms */
    metric_observe_ns(h, 1 * NS_PER_MS);  /* a bound belongs to its bucket */
    metric_observe_ns(h, 3 * NS_PER_MS);  /* <= 5 ms */
    metric_observe_ns(h, 120 * NS_PER_S); /* above all */
    metric_observe_ns(h, -5);
    assert_int_equal(metric_get(h), 5);
    assert_written("# TYPE weir_test_seconds histogram\n"
                   "weir_test_seconds_bucket{op=\"x\",le=\"0.001\"} 3\n"
                   "weir_test_seconds_bucket{op=\"x\",le=\"0.0025\"} 3\n"
                   "weir_test_seconds_bucket{op=\"x\",le=\"0.005\"} 4\n",
                   1);
    assert_written("weir_test_seconds_bucket{op=\"x\",le=\"60\"} 4\n"
                   "weir_test_seconds_bucket{op=\"x\",le=\"+Inf\"} 5\n"
                   "weir_test_seconds_sum{op=\"x\"} 120.004500000\n"
                   "weir_test_seconds_count{op=\"x\"} 5\n",
                   1);
    struct metric *plain = metric_histogram("weir_test_plain_seconds", NULL, "Seconds");
    metric_observe_ns(plain, NS_PER_S);
    assert_written("weir_test_plain_seconds_bucket{le=\"1\"} 1\n", 1);
    assert_written("weir_test_plain_seconds_count 1\n", 1);
}

static void test_label(void **state)
{
    struct buf b;
    buf_init(&b, 1000);
    metric_label(&b, "stream", STR("a\"b\\c\nd"));
    metric_label(&b, "x", STR(""));
    assert_str(buf_str(&b), "stream=\"a\\\"b\\\\c\\nd\",x=\"\"");
    buf_release(&b);
}

/* Each family has its head once and its lines together. */
static void test_families_are_whole(void **state)
{
    metric_counter("weir_b_total", NULL, "B");
    metric_counter("weir_a_total", NULL, "A");
    metric_counter("weir_b_total", "x=\"1\"", "B");
    assert_written("# HELP weir_b_total", 1);
    assert_written("weir_a_total 0\n# HELP weir_b_total B\n# TYPE weir_b_total counter\n"
                   "weir_b_total 0\nweir_b_total{x=\"1\"} 0\n",
                   1);
}

static void *work(void *arg)
{
    for (int i = 0; i < 200; i++) {
        char labels[32];
        snprintf(labels, sizeof(labels), "n=\"%d\"", i % 50);
        metric_add(metric_counter("weir_threads_total", labels, "Threads"), 1);
    }
    return NULL;
}

static void test_threads_register_once(void **state)
{
    pthread_t t[4];
    for (int i = 0; i < 4; i++)
        assert_ok(thread_start(&t[i], "metrics", work, NULL));
    for (int i = 0; i < 4; i++)
        pthread_join(t[i], NULL);
    assert_written("weir_threads_total{n=\"", 50);
    assert_written("weir_threads_total{n=\"7\"} 16\n", 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counters),
        cmocka_unit_test(test_gauges),
        cmocka_unit_test(test_histogram),
        cmocka_unit_test(test_process),
        cmocka_unit_test(test_label),
        cmocka_unit_test(test_families_are_whole),
        cmocka_unit_test(test_threads_register_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
