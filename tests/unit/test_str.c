#include "test.h"

static void test_compare(void **state)
{
    struct str null = {0};
    assert_true(str_eq(null, STR("")));
    assert_false(str_eq(STR("a"), STR("b")));
    assert_true(str_starts(STR("abc"), STR("ab")) && str_starts(null, null));
    assert_false(str_starts(STR("a"), STR("ab")));
    assert_true(str_ends(STR("abc"), STR("bc")) && str_ends(null, null));
    assert_false(str_ends(STR("abc"), STR("ab")));
    assert_true(str_ieq(STR("AbC[1"), STR("aBc[1")));
    assert_false(str_ieq(STR("["), STR("{")));
    assert_false(str_ieq(STR("a"), STR("ab")));
    assert_true(str_cmp(STR("a"), STR("ab")) < 0);
    assert_true(str_cmp(STR("b"), STR("ab")) > 0);
    assert_true(str_cmp(STR("\xff"), STR("a")) > 0);
    assert_int_equal(str_cmp(null, STR("")), 0);
}

static void test_find_and_cut(void **state)
{
    assert_int_equal(str_find_byte(STR("a.b.c"), '.', 2), 3);
    assert_int_equal(str_find_byte(STR("abc"), 'x', 0), 3);
    assert_int_equal(str_find_byte(STR("abc"), 'a', 9), 3);
    assert_int_equal(str_find(STR("hello"), STR("lo")), 3);
    assert_int_equal(str_find(STR("hello"), STR("")), 0);
    assert_int_equal(str_find(STR("he"), STR("hello")), SIZE_MAX);
    assert_int_equal(str_find(STR("hello"), STR("xy")), SIZE_MAX);
    assert_str(str_trim(STR(" \t a b \r\n")), "a b");
    assert_str(str_trim(STR(" ")), "");
    assert_str(str_from(STR("abc"), 1), "bc");
    assert_str(str_from(STR("abc"), 4), "");
}

static void test_split(void **state)
{
    struct str rest = STR("a,,b,"), part;
    const char *want[] = {"a", "", "b", ""};
    for (int i = 0; i < 4; i++) {
        assert_true(str_split(&rest, ',', &part));
        assert_str(part, want[i]);
    }
    assert_false(str_split(&rest, ',', &part));
    rest = STR("");
    assert_true(str_split(&rest, ',', &part));
    assert_false(str_split(&rest, ',', &part));
}

static void test_numbers(void **state)
{
    int64_t i = 7;
    uint64_t u = 7;
    assert_true(str_to_i64(STR("-9223372036854775808"), &i) && i == INT64_MIN);
    assert_true(str_to_i64(STR("9223372036854775807"), &i) && i == INT64_MAX);
    assert_true(str_to_u64(STR("18446744073709551615"), &u) && u == UINT64_MAX);
    const char *bad[] = {"", "-", "+1", "1a", " 1", "9223372036854775808", "-9223372036854775809"};
    i = 7;
    for (size_t k = 0; k < 7; k++)
        assert_false(str_to_i64(str_c(bad[k]), &i));
    assert_int_equal(i, 7);
    assert_false(str_to_u64(STR("18446744073709551616"), &u));
    assert_false(str_to_u64(STR("-1"), &u));
}

static void test_doubles(void **state)
{
    double d = 7;
    assert_true(str_to_f64(STR("-1.5e3"), &d) && d == -1500);
    char longest[201];
    memset(longest, '1', 200);
    longest[200] = 0;
    assert_true(str_to_f64(str_of(longest, 200), &d) && d > 1e199);
    d = 7;
    const char *bad[] = {"", ".", "nan", "inf", "0x10", " 1", "1 ", "1e999", "1e", "1..2", "e5"};
    for (size_t k = 0; k < sizeof(bad) / sizeof(bad[0]); k++)
        assert_false(str_to_f64(str_c(bad[k]), &d));
    assert_true(d == 7);
}

static void check_bytes(const char *text, uint64_t want)
{
    uint64_t v = 1;
    assert_true(str_to_bytes(str_c(text), &v));
    assert_int_equal(v, want);
}

static void test_bytes(void **state)
{
    check_bytes("100", 100);
    check_bytes("0", 0);
    check_bytes("64MiB", 64 << 20);
    check_bytes("1.5 GB", 3ULL << 29);
    check_bytes("512k", 512 << 10);
    check_bytes("2T", 2ULL << 40);
    check_bytes("7b", 7);
    check_bytes(" 1ki ", 1024);
    uint64_t v = 7;
    const char *bad[] = {"",    "MiB", "1x",      "1.MB",      "-1",
                         "1kk", "1iB", "1 k B i", "20000000T", "1kib2"};
    for (size_t k = 0; k < sizeof(bad) / sizeof(bad[0]); k++)
        assert_false(str_to_bytes(str_c(bad[k]), &v));
    assert_int_equal(v, 7);
}

static void check_duration(const char *text, int64_t want)
{
    int64_t v = 1;
    assert_true(str_to_duration_ns(str_c(text), &v));
    assert_int_equal(v, want);
}

static void test_durations(void **state)
{
    check_duration("0", 0);
    check_duration("250ms", 250000000);
    check_duration("90s", 90000000000);
    check_duration("1.5m", 90000000000);
    check_duration("7d", 7 * 86400000000000);
    check_duration("1w", 7 * 86400000000000);
    check_duration("1h30m", 5400000000000);
    check_duration("3us", 3000);
    check_duration("3 ns", 3);
    int64_t v = 7;
    const char *bad[] = {"",   "1", "s", "1x", "-1s", "1h30", "20000w", "9999999999999999999s",
                         "1hm"};
    for (size_t k = 0; k < sizeof(bad) / sizeof(bad[0]); k++)
        assert_false(str_to_duration_ns(str_c(bad[k]), &v));
    assert_int_equal(v, 7);
}

static void test_distance(void **state)
{
    assert_int_equal(str_distance(STR("stor.retention"), STR("store.retention"), 3), 1);
    assert_int_equal(str_distance(STR("kitten"), STR("sitting"), 5), 3);
    assert_int_equal(str_distance(STR("Level"), STR("level"), 2), 0);
    assert_int_equal(str_distance(STR("abc"), STR("xyz"), 2), 3);
    assert_int_equal(str_distance(STR(""), STR("abcdef"), 2), 3);
    char longest[200] = {0};
    assert_int_equal(str_distance(str_of(longest, 200), str_of(longest, 200), 2), 3);
}

static void test_glob(void **state)
{
    static const struct {
        const char *pattern, *text;
        bool fits;
    } cases[] = {{"", "", true},           {"", "a", false},        {"*", "", true},
                 {"*", "abc", true},       {"abc", "abc", true},    {"abc", "ab", false},
                 {"a*", "abc", true},      {"*c", "abc", true},     {"a*c", "abbc", true},
                 {"a*c", "ab", false},     {"*b*", "abc", true},    {"**", "x", true},
                 {"a*b*c", "aXbYc", true}, {"a*b*c", "acb", false}, {"*ab", "aab", true}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        if (str_glob(str_c(cases[i].pattern), str_c(cases[i].text)) != cases[i].fits)
            fail_msg("%s and %s", cases[i].pattern, cases[i].text);
}

static void test_put_bytes(void **state)
{
    char out[STR_BYTES_TEXT];
    assert_string_equal(str_put_bytes(out, 0), "0 B");
    assert_string_equal(str_put_bytes(out, 1023), "1023 B");
    assert_string_equal(str_put_bytes(out, 100 << 10), "100 KiB");
    assert_string_equal(str_put_bytes(out, 1536), "1.5 KiB");
    assert_string_equal(str_put_bytes(out, 64 << 20), "64 MiB");
    assert_string_equal(str_put_bytes(out, UINT64_MAX), "16 EiB");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_compare),   cmocka_unit_test(test_find_and_cut),
        cmocka_unit_test(test_split),     cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_doubles),   cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_durations), cmocka_unit_test(test_distance),
        cmocka_unit_test(test_put_bytes), cmocka_unit_test(test_glob),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
