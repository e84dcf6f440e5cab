/* Time zones: offsets, places by the machine's tzdata, and files that are damaged. */
#include "test.h"

#include "core/buf.h"
#include "core/io.h"
#include "record/timestamp_civil.h"
#include "record/zone.h"

static int64_t local(int64_t year, int month, int day, int hour, int minute)
{
    return civil_seconds(&(struct civil){year, month, day, hour, minute, 0});
}

static int64_t offset(const char *zone, int64_t at)
{
    struct zone *z;
    assert_ok(zone_new(str_c(zone), &z));
    int64_t ret = at - zone_utc(z, at);
    zone_free(z);
    return ret;
}

static void test_offsets(void **state)
{
    static const char *const bad[] = {"+",      "+1",    "+1:30", "+01:60",
                                      "+16:00", "+01:3", "5",     "+01:300"};
    assert_int_equal(offset("", 0), 0);
    assert_int_equal(offset("utc", 0), 0);
    assert_int_equal(offset("+05:30", 0), 19800);
    assert_int_equal(offset("-0800", 0), -28800);
    assert_int_equal(offset("+02", 1e9), 7200);
    struct zone *z;
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        assert_err(zone_new(str_c(bad[i]), &z), ERR_INVALID, bad[i]);
}

static void test_places(void **state)
{
    static const char *const bad[] = {"Europe/Nowhere", "../etc/passwd", "/etc/passwd", "Europe",
                                      "Europe/./Berlin"};
    struct zone *z;
    assert_int_equal(offset("Europe/Berlin", local(2025, 1, 15, 12, 0)), 3600);
    assert_int_equal(offset("Europe/Berlin", local(2025, 8, 3, 15, 30)), 7200);
    assert_int_equal(offset("Europe/Berlin", local(2025, 3, 30, 1, 59)), 3600);
    assert_int_equal(offset("Europe/Berlin", local(2025, 3, 30, 3, 0)), 7200);
    assert_int_equal(offset("Europe/Berlin", local(2025, 10, 26, 2, 30)), 7200); /* the first */
    assert_int_equal(offset("Europe/Berlin", local(2025, 10, 26, 3, 0)), 3600);
    assert_int_equal(offset("America/New_York", local(2030, 7, 1, 0, 0)), -14400);
    assert_int_equal(offset("Asia/Kolkata", local(2025, 8, 3, 15, 30)), 19800);
    assert_int_equal(offset("Australia/Lord_Howe", local(2025, 1, 1, 0, 0)), 39600);
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        assert_err(zone_new(str_c(bad[i]), &z), ERR_INVALID, bad[i]);
}

/* Cut anywhere, or with any byte another: a zone or an error, and no bytes read beyond. */
static void test_damaged(void **state)
{
    struct buf b;
    struct zone *z;
    buf_init(&b, 1 << 20);
    assert_ok(io_read_file("/usr/share/zoneinfo/Europe/Berlin", 1 << 20, &b));
    for (size_t n = 0; n < b.n; n++) {
        char *copy = malloc(n + 1);
        memcpy(copy, b.p, n);
        if (zone_read(str_of(copy, n), &z) == OK) {
            assert_true(n > 1000); /* the last part is not read */
            zone_free(z);
        }
        free(copy);
    }
    for (size_t i = 0; i < b.n; i++) {
        for (int bit = 0; bit < 8; bit += 3) {
            b.p[i] = (char)(b.p[i] ^ (1 << bit));
            if (zone_read(buf_str(&b), &z) == OK) {
                (void)zone_utc(z, 1754235045);
                zone_free(z);
            }
            b.p[i] = (char)(b.p[i] ^ (1 << bit));
        }
    }
    buf_release(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_offsets),
        cmocka_unit_test(test_places),
        cmocka_unit_test(test_damaged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
