#include "golden_wire.h"

#include "wire/syslog.h"

static void test_golden(void **state)
{
    golden_file("syslog-5424", WIRE_SYSLOG);
    golden_file("syslog-3164", WIRE_SYSLOG);
    golden_file("syslog-frames", WIRE_SYSLOG);
    golden_file("syslog-counted", WIRE_SYSLOG_COUNTED);
}

static void test_cut_takes_whole_messages_only(void **state)
{
    static const struct {
        const char *in;
        size_t whole;
    } cases[] = {
        {"", 0},
        {"<13>line", 0},
        {"<13>line\n<13>next", 9},
        {"5", 0},
        {"5 ", 0},
        {"5 <", 0},
        {"5 <13>", 0},
        {"5 <13>x", 7},
        {"5 <13>x5 <13>", 7},
        {"12 monkeys", 0},
        {"12 monkeys\n", 11},
        {"1234567890 <x", 0},
        {"1234567890 <x\n", 14},
        {"05 <13>x\n", 9},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct str in = str_c(cases[i].in);
        if (syslog_cut(in, false) != cases[i].whole)
            fail_msg("\"%s\": %zu, wanted %zu", cases[i].in, syslog_cut(in, false), cases[i].whole);
        assert_int_equal(syslog_cut(in, true), in.n);
    }
}

/* However a stream is torn, the same messages come out. */
static void test_cut_anywhere(void **state)
{
    struct buf in;
    struct golden whole, torn;
    uint32_t records;
    assert_ok(io_read_file("tests/golden/wire/syslog-frames.in", 1 << 20, &in));
    golden_init(&whole);
    assert_ok(golden_decode(&whole, WIRE_SYSLOG, buf_str(&in), &records));
    for (size_t step = 1; step < in.n; step += 3) {
        golden_init(&torn);
        for (size_t from = 0, end = step; from < in.n; end += step) {
            bool last = end >= in.n;
            struct str have = str_of(in.p + from, (last ? in.n : end) - from);
            size_t n = syslog_cut(have, last);
            if (n)
                assert_ok(golden_decode(&torn, WIRE_SYSLOG, str_of(have.p, n), &records));
            from += n;
        }
        assert_true(str_eq(buf_str(&whole.rows), buf_str(&torn.rows)));
        golden_release(&torn);
    }
    golden_release(&whole);
    buf_release(&in);
}

static void test_bad_count(void **state)
{
    struct golden g;
    uint32_t records;
    golden_init(&g);
    assert_err(golden_decode(&g, WIRE_SYSLOG_COUNTED, STR("3 abcx"), &records), ERR_INVALID,
               "message 1");
    assert_err(golden_decode(&g, WIRE_SYSLOG_COUNTED, STR("30 abc"), &records), ERR_INVALID,
               "message 0");
    golden_release(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),
        cmocka_unit_test(test_cut_takes_whole_messages_only),
        cmocka_unit_test(test_cut_anywhere),
        cmocka_unit_test(test_bad_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
