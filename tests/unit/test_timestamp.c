#include "test.h"

#include "core/clock.h"
#include "record/timestamp.h"

#define NEAR (1739620800LL * NS_PER_S) /* 2025-02-15T12:00:00Z */
#define S(seconds) ((seconds)*NS_PER_S)

static void test_known_values(void **state)
{
    static const struct {
        const char *text;
        int64_t ns;
        uint8_t kind;
        bool exact;
    } cases[] = {
        {"2025-02-15T12:00:00.123Z", NEAR + 123000000, TIME_ISO, true},
        {"2025-02-15T12:00:00Z", NEAR, TIME_ISO, true},
        {"2025-02-15t12:00:00z", NEAR, TIME_ISO, true},
        {"2025-02-15 12:00:00", NEAR, TIME_ISO, true},
        {"2025-02-15 12:00:00,123", NEAR + 123000000, TIME_ISO, true},
        {"2025-02-15 12:00:00.000000001 UTC", NEAR + 1, TIME_ISO, true},
        {"2025-02-15T14:00:00+02:00", NEAR, TIME_ISO, true},
        {"2025-02-15T14:00:00+0200", NEAR, TIME_ISO, true},
        {"2025-02-15T14:00:00+02", NEAR, TIME_ISO, true},
        {"2025-02-15T08:30:00-03:30", NEAR, TIME_ISO, true},
        {"2025-02-15T11:30:00-00:30", NEAR, TIME_ISO, true},
        {"2025-02-15 14:00:00 +0200", NEAR, TIME_ISO, true},
        {"2025-02-15 14:00:00 +02:00", NEAR, TIME_ISO, true},
        {"2025-02-15", S(1739577600LL), TIME_ISO, true},
        {"2024-02-29T00:00:00Z", S(1709164800LL), TIME_ISO, true},
        {"2000-02-29T00:00:00Z", S(951782400LL), TIME_ISO, true},
        {"1969-12-31T23:59:59.999999999Z", -1, TIME_ISO, true},
        {"1677-09-21T00:12:43.145224192Z", INT64_MIN, TIME_ISO, true},
        {"2262-04-11T23:47:16.854775807Z", INT64_MAX, TIME_ISO, true},
        {"2025/02/15 12:00:00", NEAR, TIME_SLASHED, true},
        {"2025/02/15 12:00:00.25", NEAR + 250000000, TIME_SLASHED, true},
        {"1739620800", NEAR, TIME_EPOCH_S, true},
        {"1739620800.5", NEAR + 500000000, TIME_EPOCH_S, true},
        {"1739620800123", NEAR + 123000000, TIME_EPOCH_MS, true},
        {"1739620800123.456", NEAR + 123456000, TIME_EPOCH_MS, true},
        {"1739620800123456", NEAR + 123456000, TIME_EPOCH_US, true},
        {"1739620800123456789", NEAR + 123456789, TIME_EPOCH_NS, true},
        {"15/Feb/2025:12:00:00 +0000", NEAR, TIME_APACHE, true},
        {"15/Feb/2025:07:00:00 -0500", NEAR, TIME_APACHE, true},
        {"15/Feb/2025:12:00:00.123", NEAR + 123000000, TIME_APACHE, true},
        {"Sat, 15 Feb 2025 12:00:00 GMT", NEAR, TIME_RFC1123, true},
        {"Sat, 15 Feb 2025 13:00:00 +0100", NEAR, TIME_RFC1123, true},
        {"Feb 15 12:00:00", NEAR, TIME_SYSLOG, true},
        {"Feb  5 12:00:00", NEAR - 10 * NS_PER_DAY, TIME_SYSLOG, true},
        {"Feb 05 12:00:00", NEAR - 10 * NS_PER_DAY, TIME_SYSLOG, true},
        {"Dec 31 23:59:59", S(1735689599LL), TIME_SYSLOG, true},
        {"Feb 29 00:00:00", S(1709164800LL), TIME_SYSLOG, true}, /* the nearest leap year */
        /* Read, but what was written does not follow from form and instant. */
        {"2025-02-15T12:00Z", NEAR, TIME_ISO, false},
        {"20250215T120000Z", NEAR, TIME_ISO, false},
        {"2025-02-15T12:00:00.0000000019Z", NEAR + 1, TIME_ISO, false},
        {"2025-02-15T12:00:00-00:00", NEAR, TIME_ISO, false},
        {"2025-02-15T11:59:60Z", NEAR, TIME_ISO, false},
        {"Sun, 15 Feb 2025 12:00:00 GMT", NEAR, TIME_RFC1123, false},
        {"Sat, 1 Feb 2025 12:00:00 GMT", NEAR - 14 * NS_PER_DAY, TIME_RFC1123, false},
        {"Feb 5 12:00:00", NEAR - 10 * NS_PER_DAY, TIME_SYSLOG, false},
        {"1739620800123456.0001", NEAR + 123456000, TIME_EPOCH_US, false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct time_form form;
        int64_t ns = 0;
        char out[TIME_TEXT_MAX];
        struct str text = str_c(cases[i].text);
        if (!time_parse(text, NEAR, &form, &ns))
            fail_msg("%s: no time", cases[i].text);
        if (ns != cases[i].ns || form.kind != cases[i].kind)
            fail_msg("%s: %lld, kind %d", cases[i].text, (long long)ns, form.kind);
        if (time_form_exact(&form) != cases[i].exact)
            fail_msg("%s: exact %d", cases[i].text, time_form_exact(&form));
        size_t n = time_format(&form, ns, out);
        assert_true(n <= TIME_TEXT_MAX);
        if (cases[i].exact && !str_eq(str_of(out, n), text))
            fail_msg("%s: comes back as %.*s", cases[i].text, (int)n, out);
    }
}

static void test_refused(void **state)
{
    static const char *const cases[] = {
        "",
        "now",
        "2025-02-31T00:00:00Z",
        "2023-02-29T00:00:00Z",
        "1900-02-29T00:00:00Z",
        "2025-13-01T00:00:00Z",
        "2025-00-01T00:00:00Z",
        "2025-01-00T00:00:00Z",
        "2025-04-31",
        "2025-02-15T24:00:00Z",
        "2025-02-15T12:60:00Z",
        "2025-02-15T12:00:61Z",
        "2025-02-15T12:00:00.Z",
        "2025-02-15T12:00:00 Z",
        "2025-02-15T12:00:00+24:00",
        "2025-02-15T12:00:00+02:60",
        "2025-02-15T12:00:00+2",
        "2025-02-15T12:00:00Zx",
        "2025-02-15X12:00:00Z",
        "2025-02-15T12:00:0:Z",
        "2025-02-15T12:00:0/Z",
        "2025-02-15T1\x80:00:00Z",
        "2025-02/15T12:00:00Z",
        "2025-02-15T",
        "2025-02-15T12",
        "1677-09-21T00:12:43.145224191Z",
        "2262-04-11T23:47:16.854775808Z",
        "9999-12-31T23:59:59Z",
        "12345678",
        "0123456789",
        "99999999999",
        "1739620800,5",
        "1739620800.",
        "17396208001234567890",
        "9999999999999999999",
        "15/Feb/2025 12:00:00",
        "32/Jan/2025:12:00:00 +0000",
        "15/feb/2025:12:00:00 +0000",
        "Xxx, 15 Feb 2025 12:00:00 GMT",
        "Sat, 31 Feb 2025 12:00:00 GMT",
        "Feb 30 12:00:00",
        "Feb  0 12:00:00",
        "Feb 15 12:00:00 2025",
        "2025-02-15T12:00:00.00000000000000000000000000000000000000000000000Z",
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct time_form form = {.kind = 77};
        int64_t ns = 77;
        if (time_parse(str_c(cases[i]), NEAR, &form, &ns))
            fail_msg("\"%s\" is a time: %lld", cases[i], (long long)ns);
        assert_int_equal(ns, 77);
        assert_int_equal(form.kind, 77);
    }
}

/* Random forms and instants: what is written reads back as the same instant and form, and the text
 * of an exact form is stable. */
static void test_property(void **state)
{
    static const uint8_t zones[] = {0, 'Z', 'z', ':', '+', 'H', 's', 'S', 'U', 'G'};
    random_seed(4711);
    for (int i = 0; i < 200000; i++) {
        struct time_form form = {.kind = (uint8_t)(random_u64() % TIME_KIND_COUNT)}, back;
        int64_t ns = (int64_t)random_u64() / 100 * 99, back_ns;
        bool epoch = form.kind >= TIME_EPOCH_S && form.kind <= TIME_EPOCH_NS;
        unsigned unit_digits = epoch ? (form.kind - TIME_EPOCH_S) * 3u : 0;
        form.digits = (uint8_t)(random_u64() % (10 - unit_digits));
        if (epoch && ns < 0)
            ns = -ns;
        if (epoch && ns < 100000000000LL * NS_PER_MS) /* all units recognisable by magnitude */
            continue;
        if (form.kind == TIME_RFC1123)
            form.digits = 0;
        form.frac = form.digits ? '.' : 0;
        int64_t grain = 1;
        for (unsigned d = form.digits + unit_digits; d < 9; d++)
            grain *= 10;
        ns -= ns % grain;
        if (!epoch && form.kind != TIME_SYSLOG)
            form.zone = zones[random_u64() % sizeof(zones)];
        if (form.zone && strchr(":+sS", form.zone))
            form.offset_min = (int16_t)((int)(random_u64() % 2878) - 1439);
        if (form.zone == 'H')
            form.offset_min = (int16_t)(((int)(random_u64() % 47) - 23) * 60);
        form.sep = form.kind == TIME_ISO || form.kind == TIME_SLASHED
                       ? (uint8_t) "T t"[random_u64() % 3]
                   : form.kind == TIME_SYSLOG ? ' '
                                              : 0;
        char text[TIME_TEXT_MAX], again[TIME_TEXT_MAX];
        size_t n = time_format(&form, ns, text);
        if (!time_parse(str_of(text, n), ns, &back, &back_ns))
            fail_msg("%.*s does not read back", (int)n, text);
        if (back_ns != ns || !time_form_eq(&form, &back) || !time_form_exact(&back))
            fail_msg("%.*s reads back as another time or form", (int)n, text);
        assert_true(str_eq(str_of(text, n), str_of(again, time_format(&back, back_ns, again))));
    }
}

/* One time after the other is what each is alone, whatever the form and the way between them. */
static void test_next(void **state)
{
    static const int64_t steps[] = {1, 1000, NS_PER_MS, NS_PER_S, 59 * NS_PER_S, 3600 * NS_PER_S};
    struct time_writer w = {0}, w_query = {0};
    struct time_form form = {0};
    int64_t ns = -S(86400);
    random_seed(815);
    for (int i = 0; i < 100000; i++) {
        if (i % 50 == 0) {
            form = (struct time_form){.kind = (uint8_t)(random_u64() % TIME_KIND_COUNT),
                                      .digits = (uint8_t)(random_u64() % 10),
                                      .sep = (uint8_t) "T \0"[random_u64() % 3],
                                      .zone = (uint8_t) "Z:"[random_u64() % 2]};
            form.frac = form.digits ? '.' : 0;
            form.offset_min = form.zone == ':' ? -210 : 0;
        }
        char text[TIME_TEXT_MAX], next[TIME_TEXT_MAX];
        struct str want = str_of(text, time_format(&form, ns, text));
        assert_true(str_eq(want, str_of(next, time_format_next(&w, &form, ns, next))));
        want.n = time_rfc3339(ns, text);
        assert_true(str_eq(want, str_of(next, time_rfc3339_next(&w_query, ns, next))));
        int64_t step = steps[random_u64() % 6] * (int64_t)(random_u64() % 3);
        ns += random_u64() % 4 ? step : -step;
    }
}

/* Any text near to a time: a parse never claims exactness it has not. */
static void test_property_mutated(void **state)
{
    static const char *const seeds[] = {
        "2025-02-15T12:00:00.123Z",
        "2025-02-15 12:00:00,123",
        "1739620800.123",
        "15/Feb/2025:12:00:00 +0000",
        "Sat, 15 Feb 2025 12:00:00 GMT",
        "Feb  5 12:00:00",
        "2025/02/15 12:00:00 -01:30",
        "20250215T120000Z",
    };
    static const char alphabet[] = "0123456789+-:., TZtz/GMUCS";
    unsigned parsed = 0;
    random_seed(12);
    for (int i = 0; i < 500000; i++) {
        char text[40], out[TIME_TEXT_MAX];
        const char *seed = seeds[random_u64() % (sizeof(seeds) / sizeof(seeds[0]))];
        size_t n = strlen(seed);
        memcpy(text, seed, n);
        for (uint64_t k = random_u64() % 3; k > 0; k--)
            text[random_u64() % n] = alphabet[random_u64() % (sizeof(alphabet) - 1)];
        struct time_form form;
        int64_t ns;
        if (!time_parse(str_of(text, n), NEAR, &form, &ns))
            continue;
        parsed++;
        if (time_form_exact(&form) &&
            !str_eq(str_of(out, time_format(&form, ns, out)), str_of(text, n)))
            fail_msg("%.*s claims to be exact", (int)n, text);
    }
    assert_true(parsed > 50000);
}

static void test_numbers(void **state)
{
    int64_t ns;
    assert_true(time_from_number(1739620800, 0, &ns) && ns == NEAR);
    assert_true(time_from_number(1739620800123, 3, &ns) && ns == NEAR + 123000000);
    assert_true(time_from_number(1739620800123, 0, &ns) && ns == NEAR + 123000000);
    assert_true(time_from_number(1739620800123456, 0, &ns) && ns == NEAR + 123456000);
    assert_true(time_from_number(1739620800123456789, 0, &ns) && ns == NEAR + 123456789);
    assert_true(time_from_number(1739620800123456789, 9, &ns) && ns == NEAR + 123456789);
    assert_true(time_from_number(1739620800123456789, 12, &ns) && ns == 1739620800123457LL - 1);
    assert_true(time_from_number(1739620800123456789, 18, &ns) && ns == 1739620800);
    assert_true(time_from_number(0, 0, &ns) && ns == 0);
    assert_true(time_from_number(-1, 0, &ns) && ns == -S(1));
    assert_true(time_from_number(-15, 10, &ns) && ns == -2); /* towards the past */
    assert_true(time_from_number(INT64_MIN, 0, &ns) && ns == INT64_MIN);
    assert_false(time_from_number(99999999999, 0, &ns));
    assert_false(time_from_number(1, 19, &ns));
    assert_true(time_from_double(1.7396208e9, &ns) && ns == NEAR);
    assert_true(time_from_double(1739620800.5, &ns) && ns == NEAR + 500000000);
    assert_true(time_from_double(1.739620800123e12, &ns) && ns == NEAR + 123000000);
    assert_true(time_from_double(-1.5, &ns) && ns == -1500000000);
    assert_false(time_from_double(1e300, &ns));
    assert_false(time_from_double(9e10, &ns));
    assert_false(time_from_double(0.0 / 0.0, &ns));
}

static void assert_rfc3339(int64_t ns, const char *want)
{
    char out[TIME_TEXT_MAX];
    assert_str(str_of(out, time_rfc3339(ns, out)), want);
}

static void test_rfc3339(void **state)
{
    assert_rfc3339(NEAR, "2025-02-15T12:00:00Z");
    assert_rfc3339(NEAR + 120000000, "2025-02-15T12:00:00.120Z");
    assert_rfc3339(NEAR + 1000, "2025-02-15T12:00:00.000001Z");
    assert_rfc3339(NEAR + 10, "2025-02-15T12:00:00.000000010Z");
    assert_rfc3339(INT64_MIN, "1677-09-21T00:12:43.145224192Z");
    assert_rfc3339(INT64_MAX, "2262-04-11T23:47:16.854775807Z");
}

static void test_query(void **state)
{
    const int64_t day = NS_PER_DAY, hour = 3600 * NS_PER_S, midnight = NEAR - 12 * hour;
    const struct {
        const char *text;
        int64_t from, to;
    } cases[] = {
        {"2025-02-15T12:00:00Z", NEAR, NEAR + NS_PER_S},
        {"2025-02-15T12:00:00.5Z", NEAR + 500000000, NEAR + 600000000},
        {"2025-02-15T12:00Z", NEAR, NEAR + 60 * NS_PER_S},
        {"20250215T120000Z", NEAR, NEAR + NS_PER_S},
        {"2025-02-15", midnight, midnight + day},
        {"2025-02", midnight - 14 * day, midnight + 14 * day},
        {"2025", midnight - 45 * day, midnight + 320 * day},
        {"1739620800", NEAR, NEAR + NS_PER_S},
        {"1739620800.5", NEAR + 500000000, NEAR + 600000000},
        {"1739620800123", NEAR + 123000000, NEAR + 124000000},
        {"1739620800123456789", NEAR + 123456789, NEAR + 123456790},
        {"0", 0, NS_PER_S},
        {"now", NEAR, NEAR + 1},
        {"-15m", NEAR - hour / 4, NEAR - hour / 4 + 1},
        {"now-1h", NEAR - hour, NEAR - hour + 1},
        {"now+1h30m", NEAR + hour * 3 / 2, NEAR + hour * 3 / 2 + 1},
        {"now-1d/d", midnight - day, midnight},
        {"now/d", midnight, midnight + day},
        {"now/d-1h", midnight - hour, midnight - hour + 1},
        {"now/w", midnight - 5 * day, midnight + 2 * day},
        {"now/M", midnight - 14 * day, midnight + 14 * day},
        {"now/y", midnight - 45 * day, midnight + 320 * day},
        {"-1M/M", midnight - 45 * day, midnight - 14 * day},
        {"now-1y", NEAR - 366 * day, NEAR - 366 * day + 1},
        {" -2w ", NEAR - 14 * day, NEAR - 14 * day + 1},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int64_t from = 0, to = 0;
        if (!time_parse_query(str_c(cases[i].text), NEAR, &from, &to))
            fail_msg("%s: no time", cases[i].text);
        if (from != cases[i].from || to != cases[i].to)
            fail_msg("%s: %lld to %lld", cases[i].text, (long long)from, (long long)to);
    }
    static const char *const bad[] = {"",
                                      "yesterday",
                                      "-",
                                      "-15",
                                      "-15q",
                                      "now-",
                                      "now/3d",
                                      "now1h",
                                      "nowish",
                                      "2025-13",
                                      "-1h/x",
                                      "1.2.3",
                                      "-99999999999999999999s",
                                      "-9999999999d",
                                      "-999999999M"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        int64_t from = 7, to = 7;
        if (time_parse_query(str_c(bad[i]), NEAR, &from, &to) || from != 7 || to != 7)
            fail_msg("\"%s\" passes", bad[i]);
    }
    int64_t from, to;
    const int64_t jan31 = S(1738324800LL); /* 2025-01-31T12:00:00Z */
    assert_true(time_parse_query(STR("1883-02-15T12:00:00Z"), NEAR, &from, &to) &&
                from < -2740000000000000000 && to == from + 1000000000);
    assert_true(time_parse_query(STR("+1M"), jan31, &from, &to) && from == jan31 + 28 * day);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_values), cmocka_unit_test(test_refused),
        cmocka_unit_test(test_property),     cmocka_unit_test(test_property_mutated),
        cmocka_unit_test(test_numbers),      cmocka_unit_test(test_rfc3339),
        cmocka_unit_test(test_query),        cmocka_unit_test(test_next),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
