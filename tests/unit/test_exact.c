/* Exact sums: rounded once, whatever the order and the parts. */
#include "query/exact.h"

#include "core/hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
/* cmocka needs the headers above. */
#include <cmocka.h>
#include <float.h>
#include <math.h>

static uint64_t next_state = 7;

static uint64_t draw(uint64_t below)
{
    next_state += 0x9e3779b97f4a7c15ULL;
    return hash_mix(next_state) % below;
}

static double sum_of(const double *v, size_t n)
{
    struct exact e = {0};
    for (size_t i = 0; i < n; i++)
        exact_add(&e, v[i]);
    double sum = exact_get(&e);
    exact_release(&e);
    return sum;
}

#define SUM(...)                                                                                   \
    sum_of((const double[]){__VA_ARGS__}, sizeof((double[]){__VA_ARGS__}) / sizeof(double))

static bool same(double a, double b)
{
    return memcmp(&a, &b, sizeof(a)) == 0;
}

static void test_rounds_once(void **state)
{
    (void)state;
    double tenth[10];
    for (int i = 0; i < 10; i++)
        tenth[i] = 0.1;
    assert_true(same(sum_of(tenth, 10), 1.0)); /* one by one, they make 0.9999999999999999 */
    assert_true(same(SUM(0.1, 0.2), 0.30000000000000004));
    assert_true(same(SUM(0.1, 0.2, -0.3), 0x1p-55));
    assert_true(same(SUM(1e300, 1, -1e300), 1));
    assert_true(same(SUM(1e16, 1, -1e16), 1));
    assert_true(same(SUM(0x1p53, 1), 0x1p53)); /* a tie goes to even, */
    assert_true(same(SUM(0x1p53, 2, 1), 0x1p53 + 4));
    assert_true(same(SUM(0x1p53, 1, 0x1p-80), 0x1p53 + 2)); /* and what little is more decides */
    assert_true(same(SUM(0x1p53, 1, DBL_TRUE_MIN), 0x1p53 + 2));
    assert_true(same(SUM(0x1p53, 1, -DBL_TRUE_MIN), 0x1p53));
    assert_true(same(SUM(-0x1p53, -1, -DBL_TRUE_MIN), -0x1p53 - 2));
    assert_true(same(SUM(0.0, -0.0), 0.0));
}

static void test_ends_of_the_range(void **state)
{
    (void)state;
    assert_true(same(SUM(DBL_TRUE_MIN, DBL_TRUE_MIN), 2 * DBL_TRUE_MIN));
    assert_true(same(SUM(DBL_MIN, -DBL_TRUE_MIN), DBL_MIN - DBL_TRUE_MIN));
    assert_true(same(SUM(DBL_MIN), DBL_MIN));
    assert_true(same(SUM(DBL_MIN, DBL_TRUE_MIN), DBL_MIN + DBL_TRUE_MIN));
    assert_true(same(SUM(DBL_MAX, DBL_MAX, -DBL_MAX), DBL_MAX));
    assert_true(same(SUM(-DBL_MAX, -DBL_MAX), -(double)INFINITY));
    assert_true(same(SUM(1, (double)INFINITY, 1), (double)INFINITY));
    assert_true(same(SUM(1, -(double)INFINITY), -(double)INFINITY));
    assert_true(isnan(SUM((double)INFINITY, -(double)INFINITY)));
    assert_true(isnan(SUM((double)NAN, 1)));
}

static void test_integers(void **state)
{
    (void)state;
    struct exact e = {0};
    int64_t sum;
    exact_add_int(&e, INT64_MAX);
    exact_add_int(&e, INT64_MAX);
    assert_false(exact_is_int(&e, &sum));
    assert_true(same(exact_get(&e), 0x1p64));
    exact_add_int(&e, -INT64_MAX);
    exact_add_int(&e, -7);
    assert_true(exact_is_int(&e, &sum));
    assert_int_equal(sum, INT64_MAX - 7);
    exact_add(&e, 0.5);
    exact_add_int(&e, -sum);
    assert_false(exact_is_int(&e, &sum));
    assert_true(same(exact_get(&e), 0.5));
    exact_release(&e);
}

/* More than 128 bits of what is added as integers goes on beside it. */
static void test_many_near_the_edge(void **state)
{
    (void)state;
    struct exact e = {0}, twice = {0};
    for (int i = 0; i < 1000; i++)
        exact_add(&e, 0x1.8p49);
    exact_add(&e, 0.25);
    assert_non_null(e.wide);
    assert_true(same(exact_get(&e), 1500 * 0x1p49 + 0.25));
    exact_merge(&twice, &e);
    exact_merge(&twice, &e);
    assert_true(same(exact_get(&twice), 3000 * 0x1p49 + 0.5));
    for (int i = 0; i < 2000; i++)
        exact_add(&twice, -0x1.8p49);
    assert_true(same(exact_get(&twice), 0.5));
    exact_release(&e);
    exact_release(&twice);
}

static double random_double(unsigned kind)
{
    uint64_t bits = draw(UINT64_MAX);
    double v;
    switch (kind) {
    case 0: /* as logs have them */
        return (double)(int64_t)draw(2000000) / 1000 - 1000;
    case 1:
        return ldexp((double)(int64_t)bits, (int)draw(200) - 150);
    case 2: /* any at all */
        if ((bits >> 52 & 0x7ff) == 0x7ff)
            bits ^= (uint64_t)1 << 62;
        memcpy(&v, &bits, sizeof(v));
        return v;
    default:
        return (double)(int64_t)draw(1000);
    }
}

static double in_parts(const double *v, size_t n)
{
    struct exact part[5] = {0}, all = {0};
    for (size_t i = 0; i < n; i++) {
        struct exact *e = &part[draw(5)];
        if (v[i] == rint(v[i]) && fabs(v[i]) < 1e15 && draw(2))
            exact_add_int(e, (int64_t)v[i]);
        else
            exact_add(e, v[i]);
    }
    for (int p = 0; p < 5; p++) {
        exact_merge(&all, &part[p]);
        exact_release(&part[p]);
    }
    double sum = exact_get(&all);
    exact_release(&all);
    return sum;
}

static void test_order_and_parts_do_not_matter(void **state)
{
    (void)state;
    enum { N = 200, ROUNDS = 2000 };
    double v[N];
    for (int round = 0; round < ROUNDS; round++) {
        size_t n = 1 + draw(N);
        for (size_t i = 0; i < n; i++)
            v[i] = random_double(round % 5 < 4 ? (unsigned)round % 5 : (unsigned)draw(4));
        double sum = sum_of(v, n);
        assert_true(same(in_parts(v, n), sum));
        for (size_t i = n; i > 1; i--) {
            size_t k = draw(i);
            double swap = v[k];
            v[k] = v[i - 1];
            v[i - 1] = swap;
        }
        assert_true(same(sum_of(v, n), sum));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rounds_once),
        cmocka_unit_test(test_ends_of_the_range),
        cmocka_unit_test(test_integers),
        cmocka_unit_test(test_many_near_the_edge),
        cmocka_unit_test(test_order_and_parts_do_not_matter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
