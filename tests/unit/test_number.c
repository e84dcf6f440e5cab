#include "arena_kit.h"
#include "record/predicate.h"

static struct number number(const char *text)
{
    struct number n;
    if (!number_parse(str_c(text), &arena, &n))
        fail_msg("\"%s\" is no number", text);
    return n;
}

static void test_what_is_a_number(void **state)
{
    static const char *const no[] = {"",
                                     "-",
                                     "+1",
                                     ".5",
                                     "5.",
                                     "1e",
                                     "1e+",
                                     "1x",
                                     " 1",
                                     "1 ",
                                     "0x1",
                                     "1.2.3",
                                     "--1",
                                     "NaN",
                                     "inf",
                                     "1e2e3",
                                     "1e99999999999999999999",
                                     "1e2000000000",
                                     "-a"};
    struct number n;
    for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++) {
        if (number_parse(str_c(no[i]), &arena, &n))
            fail_msg("\"%s\" is a number", no[i]);
    }
    n = number("-0.000");
    assert_int_equal(n.n_digits, 0);
    assert_false(n.neg);
    assert_true(n.is_i64 && n.i64 == 0);
    n = number("-12.50e3");
    assert_true(n.neg && n.is_i64 && n.i64 == -12500 && n.f64 == -12500.0);
    assert_str(str_of(n.digits, n.n_digits), "125");
    assert_int_equal(n.exp, 5);
    assert_true(number("9223372036854775807").i64 == INT64_MAX);
    assert_true(number("-9223372036854775808").i64 == INT64_MIN);
    assert_false(number("9223372036854775808").is_i64);
    assert_false(number("-9223372036854775809").is_i64);
    assert_false(number("99999999999999999999999").is_i64);
    assert_false(number("0.5").is_i64);
    assert_true(number("1e400").f64 > 1e308);
}

static void test_order(void **state)
{
    /* Ascending; those in one row are equal. */
    static const char *const rows[][4] = {
        {"-1e400"},
        {"-9223372036854775809"},
        {"-9223372036854775808", "-9.223372036854775808e18"},
        {"-10", "-1e1", "-10.00"},
        {"-9.99999999999999999999999999999999"},
        {"-0.1"},
        {"-1e-400"},
        {"0", "-0", "0.0", "0e99"},
        {"1e-400", "0.1e-399"},
        {"0.1", "1e-1", "0.10", "00.1"},
        {"0.1000000000000000055511151231257827"},
        {"0.11"},
        {"1", "1.0", "10e-1"},
        {"9007199254740992"},
        {"9007199254740993"},
        {"1e400", "10e399"},
    };
    size_t n = sizeof(rows) / sizeof(rows[0]);
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < n; j++) {
            for (int k = 0; k < 4 && rows[i][k]; k++) {
                for (int l = 0; l < 4 && rows[j][l]; l++) {
                    struct number a = number(rows[i][k]), b = number(rows[j][l]);
                    int cmp = number_cmp(&a, &b), want = (i > j) - (i < j);
                    if ((cmp > 0) - (cmp < 0) != want)
                        fail_msg("%s against %s: %d", rows[i][k], rows[j][l], cmp);
                }
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_what_is_a_number, setup, teardown),
        cmocka_unit_test_setup_teardown(test_order, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
