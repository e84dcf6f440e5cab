#include "record/text_line.h"

#include "core/clock.h"
#include "record/json.h"
#include "record/timestamp.h"
#include "test.h"

#define NEAR 1739620800000000000LL /* 2025-02-15T12:00:00Z */

static void assert_line(const char *line, const char *time, const char *level)
{
    struct text_line is;
    char text[TIME_TEXT_MAX];
    text_line_read(str_c(line), NEAR, &is);
    size_t n = is.has_time ? time_rfc3339(is.time_ns, text) : 0;
    if (!str_eq(str_of(text, n), str_c(time)) || !str_eq(is.level, str_c(level)))
        fail_msg("\"%s\": time \"%.*s\" level \"%.*s\", wanted \"%s\" \"%s\"", line, (int)n, text,
                 STR_ARG(is.level), time, level);
}

static void reads_times(void **state)
{
    assert_line("2025-02-15T12:00:00.123Z hello", "2025-02-15T12:00:00.123Z", "");
    assert_line("2025-02-15 12:00:00,123 +0100 x", "2025-02-15T11:00:00.123Z", "");
    assert_line("[2025-02-15T12:00:00.123+0000][info][gc] GC(1)", "2025-02-15T12:00:00.123Z",
                "info");
    assert_line("2025-02-15 12:00:00.123 UTC [77] ERROR:  relation", "2025-02-15T12:00:00.123Z",
                "ERROR");
    assert_line("2025/02/15 12:00:00 [error] 7#7: *1 open() failed", "2025-02-15T12:00:00Z",
                "error");
    assert_line("Feb 15 11:59:59 h sshd[1]: error: PAM", "2025-02-15T11:59:59Z", "error");
    assert_line("<34>Feb  5 12:00:00 h su: x", "2025-02-05T12:00:00Z", "");
    assert_line("<165>1 2025-02-15T12:00:00.000003Z h app - - - x", "2025-02-15T12:00:00.000003Z",
                "");
    assert_line("[Sat Feb 15 12:00:00.000500 2025] [core:warn] x", "2025-02-15T12:00:00.000500Z",
                "warn");
    assert_line("Sat Feb  5 12:00:00 2025 x", "2025-02-05T12:00:00Z", "");
    assert_line("77:M 15 Feb 2025 12:00:00.123 * Ready", "", "");
    assert_line("15 Feb 2025 12:00:00,123 [main] INFO  a.b - x", "2025-02-15T12:00:00.123Z",
                "INFO");
    assert_line("17/06/09 20:10:40 INFO executor.Executor: x", "2017-06-09T20:10:40Z", "INFO");
    assert_line("250215  7:00:00 [Note] x", "2025-02-15T07:00:00Z", "");
    assert_line("20250215 12:00:00.5 x", "2025-02-15T12:00:00.500Z", "");
    assert_line("1739620800.123 x", "2025-02-15T12:00:00.123Z", "");
    assert_line("1739620800123 x", "2025-02-15T12:00:00.123Z", "");
    assert_line("1.2.3.4 - - [15/Feb/2025:12:00:00 +0200] \"GET /error HTTP/1.1\" 200",
                "2025-02-15T10:00:00Z", "");
}

static void reads_klog(void **state)
{
    assert_line("I0215 12:00:00.123456    1 main.go:7] x", "2025-02-15T12:00:00.123456Z", "INFO");
    assert_line("W0215 12:00:00.1 1 main.go:7] x", "2025-02-15T12:00:00.100Z", "WARNING");
    assert_line("E1231 23:59:59.000000 1 a.go:7] x", "2024-12-31T23:59:59Z", "ERROR");
    assert_line("X0215 12:00:00.123456    1 main.go:7] x", "", "");
}

static void reads_levels(void **state)
{
    assert_line("2025-02-15T12:00:00Z level=warn msg=\"ERROR x\"", "2025-02-15T12:00:00Z", "warn");
    assert_line("ts=1 severity=\"Info\" x", "", "Info");
    assert_line("CRITICAL: x", "", "CRITICAL");
    assert_line("2016-09-28 04:30:30, Info                  CBS    x", "2016-09-28T04:30:30Z", "");
    assert_line("081109 203615 148 INFO dfs.DataNode: x", "", "INFO");
    assert_line("an error happened", "", "");
    assert_line("GET /ERROR.html", "", "");
    assert_line("user=error", "", "");
    assert_line("ERRORS in PANICKED words", "", "");
    assert_line("", "", "");
}

static void reads_no_time_out_of_nonsense(void **state)
{
    assert_line("2025-13-15T12:00:00Z x", "", "");
    assert_line("2025-02-30 12:00:00 x", "", "");
    assert_line("Feb 31 12:00:00 x", "", "");
    assert_line("99/99/99 99:99:99 x", "", "");
    assert_line("2025-02-15T12:00", "", "");
    assert_line("12345678901234567890 x", "", "");
    assert_line("I9915 12:00:00.1 x", "", "");
    /* NUL bytes are no member of any set. */
    struct text_line is;
    char line[32] = "2025-02-15";
    text_line_read(str_of(line, sizeof(line)), NEAR, &is);
    assert_false(is.has_time);
}

/* The record holds the line to the byte. */
static void appends_records(void **state)
{
    struct batch *b = batch_new();
    struct arena arena;
    struct rows rows;
    struct buf out;
    arena_init(&arena, 0, NULL);
    buf_init(&out, 4096);
    text_line_append(b, STR("\t2025-02-15T12:00:00Z [ERROR] a \xff"), NEAR);
    text_line_append(b, STR("no time"), NEAR + 5);
    batch_view(b, &arena, &rows);
    const int64_t *time;
    assert_ok(rows_time(&rows, &time));
    assert_int_equal(time[0], NEAR);
    assert_int_equal(time[1], NEAR + 5);
    assert_int_equal(rows.flags[0], 0);
    assert_int_equal(rows.flags[1], ROW_TIME_ARRIVAL);
    struct values v;
    uint32_t message = rows_find(&rows, STR("message"), 0);
    assert_ok(rows.columns[message].ops->values(&rows.columns[message], &arena, &v));
    assert_str(values_text(&v, 0), "\t2025-02-15T12:00:00Z [ERROR] a \xff");
    struct json_rows what = {.rows = &rows, .row = (uint32_t[]){1}, .n = 1, .arena = &arena};
    assert_ok(json_put_rows(&what, &out, NULL));
    assert_str(buf_str(&out), "{\"message\":\"no time\"}");
    buf_release(&out);
    arena_release(&arena);
    batch_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_times),     cmocka_unit_test(reads_klog),
        cmocka_unit_test(reads_levels),    cmocka_unit_test(reads_no_time_out_of_nonsense),
        cmocka_unit_test(appends_records),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
