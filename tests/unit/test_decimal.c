/* Decimal digits against printf. */
#include "core/decimal.h"

#include "core/buf.h"
#include "test.h"

#include <inttypes.h>

static void check(uint64_t v)
{
    char want[40], got[40];
    struct buf b;
    int n = snprintf(want, sizeof(want), "%" PRIu64, v);
    assert_int_equal(decimal_digits(v), n);
    uint64_t left = v;
    char *end = got + sizeof(got), *p = decimal_put_before(end, &left, (unsigned)n);
    assert_true(left == 0 && str_eq_c(str_of(p, (size_t)(end - p)), want));
    for (unsigned some = 0; some < (unsigned)n; some++) {
        left = v;
        p = decimal_put_before(end, &left, some);
        assert_true(str_eq_c(str_of(p, (size_t)(end - p)), want + n - some));
        assert_true(left == v / decimal_power[some]);
    }
    buf_init(&b, 64);
    buf_put_i64(&b, (int64_t)v);
    snprintf(want, sizeof(want), "%" PRId64, (int64_t)v);
    assert_str(buf_str(&b), want);
    buf_release(&b);
}

static void test_digits(void **state)
{
    uint64_t v = 88172645463325252u;
    for (unsigned i = 0; i < 20; i++)
        for (uint64_t near = 0; near < 3; near++)
            check(decimal_power[i] + near - 1);
    for (unsigned shift = 0; shift < 64; shift++)
        check((uint64_t)1 << shift);
    check(UINT64_MAX);
    check((uint64_t)INT64_MIN);
    for (uint32_t i = 0; i < 20000; i++) {
        v ^= v << 13;
        v ^= v >> 7;
        v ^= v << 17;
        check(v >> i % 64);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_digits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
