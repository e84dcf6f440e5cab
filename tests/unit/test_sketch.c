/* Quantiles and distinct counts: exact while small, within their bounds beyond, mergeable. */
#include "query/sketch.h"

#include "core/clock.h"
#include "core/hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
/* cmocka needs the headers above. */
#include <cmocka.h>
#include <math.h>

static uint64_t next_state = 42;

static double uniform(void)
{
    next_state += 0x9e3779b97f4a7c15ULL;
    return (double)(hash_mix(next_state) >> 11) / (double)(1ULL << 53);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The rank of v among sorted values, as a share: the nearest end of its run of equals. */
static double rank_error(const double *v, size_t n, double got, double phi)
{
    size_t below = 0, upto = 0;
    for (size_t i = 0; i < n; i++) {
        below += v[i] < got;
        upto += v[i] <= got;
    }
    double low = (double)below / (double)n, high = (double)upto / (double)n;
    return phi < low ? low - phi : phi > high ? phi - high : 0;
}

static void check_quantiles(double (*draw)(void), size_t n, unsigned parts)
{
    double *v = malloc(n * sizeof(*v));
    struct quantile part[8] = {0}, all = {0};
    for (size_t i = 0; i < n; i++) {
        v[i] = draw();
        quantile_add(&part[i % parts], v[i]);
    }
    for (unsigned p = 0; p < parts; p++) {
        quantile_merge(&all, &part[p]);
        quantile_release(&part[p]);
    }
    qsort(v, n, sizeof(*v), by_value);
    static const double phis[] = {0, 0.001, 0.01, 0.25, 0.5, 0.9, 0.95, 0.99, 0.999, 1};
    for (size_t i = 0; i < sizeof(phis) / sizeof(*phis); i++)
        assert_true(rank_error(v, n, quantile_get(&all, phis[i]), phis[i]) < 0.005);
    quantile_release(&all);
    free(v);
}

static double exponential(void)
{
    return -50 * log(1 - uniform());
}

static double few(void)
{
    return floor(uniform() * 5);
}

static void test_quantiles(void **state)
{
    (void)state;
    double (*const draws[])(void) = {uniform, exponential, few};
    for (int i = 0; i < 3; i++) {
        check_quantiles(draws[i], 10, 1);
        check_quantiles(draws[i], 3000, 3);
        check_quantiles(draws[i], 200000, 1);
        check_quantiles(draws[i], 200000, 8);
    }
}

/* As the kept answers of many blocks: each settled to few centroids, then all merged; among them
 * some that are exact still. */
static void test_settled_quantiles(void **state)
{
    (void)state;
    enum { PARTS = 150, EACH = 6000 };
    double *v = malloc((size_t)PARTS * EACH * sizeof(*v));
    struct quantile all = {0};
    size_t n = 0;
    for (int p = 0; p < PARTS; p++) {
        struct quantile part = {0};
        int few_values = p % 10 == 3 ? 500 : EACH;
        for (int i = 0; i < few_values; i++)
            quantile_add(&part, v[n++] = exponential());
        quantile_settle(&part);
        if (few_values == EACH)
            assert_in_range(part.n, 50, 500);
        else
            assert_int_equal(part.n, few_values);
        quantile_merge(&all, &part);
        quantile_release(&part);
    }
    qsort(v, n, sizeof(*v), by_value);
    assert_true(all.total == (double)n && all.min == v[0] && all.max == v[n - 1]);
    static const double phis[] = {0, 0.001, 0.01, 0.25, 0.5, 0.9, 0.95, 0.99, 0.999, 1};
    for (size_t i = 0; i < sizeof(phis) / sizeof(*phis); i++)
        assert_true(rank_error(v, n, quantile_get(&all, phis[i]), phis[i]) < 0.005);
    quantile_release(&all);
    free(v);
}

/* Digests whose means are in no order, equal, or no numbers at all. */
static void test_merges_of_any_order(void **state)
{
    (void)state;
    for (unsigned n = 1; n < 200; n++) {
        struct quantile all = {0};
        double value[200], weight[200], total = 0;
        for (unsigned i = 0; i < n; i++) {
            value[i] = i % 7 == 5 && n % 2 ? NAN : floor(uniform() * 50);
            weight[i] = 1 + floor(uniform() * 5);
            total += weight[i];
        }
        struct quantile from = {value, weight, n, n, 0, total, 0, 50};
        quantile_merge(&all, &from);
        double got = quantile_get(&all, 0.5);
        assert_true(n % 2 || (got >= 0 && got <= 50));
        for (uint32_t i = 1; i < all.n; i++)
            assert_true(n % 2 || all.value[i - 1] <= all.value[i]);
        assert_true(all.total == total);
        quantile_release(&all);
    }
}

/* Runs of equal values are as good as the values: exact while they are few, and beyond. */
static void test_runs(void **state)
{
    (void)state;
    double value[] = {-3, 0.5, 7}, weight[] = {1000, 1, 999};
    struct quantile runs = {value, weight, 3, 3, 0, 2000, -3, 7}, all = {0};
    for (int i = 0; i < 2; i++) {
        quantile_merge_runs(&all, &runs);
        assert_null(all.weight);
        assert_true(all.total == 2000 * (i + 1) && all.min == -3 && all.max == 7);
        assert_true(quantile_get(&all, 0.5) == -3);
        assert_true(quantile_get(&all, 0.5005) == 0.5);
        assert_true(quantile_get(&all, 0.501) == 7);
    }
    for (int i = 0; i < 50; i++)
        quantile_merge_runs(&all, &runs);
    assert_true(all.total == 52 * 2000 && all.min == -3 && all.max == 7);
    assert_true(quantile_get(&all, 0.45) == -3 && quantile_get(&all, 0.55) == 7);
    quantile_release(&all);
}

static void test_quantile_exact(void **state)
{
    (void)state;
    struct quantile q = {0};
    assert_true(isnan(quantile_get(&q, 0.5)));
    for (int i = 100; i >= 1; i--)
        quantile_add(&q, i);
    assert_true(quantile_get(&q, 0.99) == 99);
    assert_true(quantile_get(&q, 0.5) == 50);
    assert_true(quantile_get(&q, 0) == 1);
    assert_true(quantile_get(&q, 1) == 100);
    quantile_release(&q);
}

static void check_distinct(uint64_t n, unsigned parts)
{
    struct distinct part[4] = {0}, all = {0};
    for (uint64_t i = 0; n && i < n * 2; i++)
        distinct_add(&part[i % parts], hash_mix(i % n + 12345));
    for (unsigned p = 0; p < parts; p++) {
        distinct_merge(&all, &part[p]);
        distinct_release(&part[p]);
    }
    double got = (double)distinct_count(&all);
    assert_true(fabs(got - (double)n) <= (n <= DISTINCT_EXACT ? 0 : 0.02 * (double)n));
    distinct_release(&all);
}

static void test_distinct(void **state)
{
    (void)state;
    static const uint64_t sizes[] = {0, 1, 100, 8192, 8193, 20000, 99996, 170000, 300000, 1000000};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++)
        for (unsigned parts = 1; parts <= 4; parts++)
            check_distinct(sizes[i], sizes[i] ? parts : 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quantiles),           cmocka_unit_test(test_settled_quantiles),
        cmocka_unit_test(test_merges_of_any_order), cmocka_unit_test(test_runs),
        cmocka_unit_test(test_quantile_exact),      cmocka_unit_test(test_distinct),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
