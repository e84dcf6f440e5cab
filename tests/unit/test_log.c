#include "core/clock.h"
#include "core/log.h"
#include "test.h"

#include <fcntl.h>

/* What is logged between start and stop. */
static char captured[1 << 16];
static int saved_stderr, pipe_fds[2];

static void capture_start(void)
{
    assert_int_equal(pipe2(pipe_fds, O_NONBLOCK), 0);
    saved_stderr = dup(STDERR_FILENO);
    dup2(pipe_fds[1], STDERR_FILENO);
    close(pipe_fds[1]);
}

static const char *capture_stop(void)
{
    dup2(saved_stderr, STDERR_FILENO);
    close(saved_stderr);
    ssize_t n, at = 0;
    while ((n = read(pipe_fds[0], captured + at, sizeof(captured) - 1 - (size_t)at)) > 0)
        at += n;
    captured[at] = 0;
    close(pipe_fds[0]);
    return captured;
}

#define assert_has(text, part)                                                                     \
    do {                                                                                           \
        if (!strstr((text), (part)))                                                               \
            fail_msg("lacks %s: %s", (part), (text));                                              \
    } while (0)

static void test_json(void **state)
{
    log_set_json(true);
    capture_start();
    log_info("segment published", "rows=%d file=%s took=%.3f ratio=%f id=%s", 12,
             "a \"b\" c=d\n\x01\xff", 0.25, 0.0 / 0.0, "42");
    const char *line = capture_stop();
    assert_has(line, "{\"time\":\"20");
    assert_has(line, "Z\",\"level\":\"info\",\"event\":\"segment published\",\"rows\":12,");
    assert_has(line, "\"file\":\"a \\\"b\\\" c=d\\n\\u0001\xef\xbf\xbd\",\"took\":0.250,");
    assert_has(line, "\"id\":\"42\"}\n"); /* %s stays text, nan is none of JSON's numbers */
    assert_null(strstr(line, ":nan"));
    assert_null(strstr(line, ":-nan"));
}

static void test_text(void **state)
{
    log_set_json(false);
    capture_start();
    log_warn("disk is filling", "free %d of it, path=%s", 5, "/a\x1b[1m");
    log_error("stopped", NULL);
    log_error("cut failed", "upto=%d error=%s copy=%s why=%s", 3, "cannot write \"x\": full", "a=b",
              "");
    log_debug("hidden", NULL);
    const char *lines = capture_stop();
    assert_has(lines, "Z WARN  disk is filling free 5 of it, path=/a\\u001b[1m\n");
    assert_has(lines, "Z ERROR stopped\n");
    assert_has(lines,
               "failed upto=3 error=\"cannot write \\\"x\\\": full\" copy=\"a=b\" why=\"\"\n");
    assert_null(strstr(lines, "hidden"));
}

static void test_detail_without_keys(void **state)
{
    log_set_json(true);
    capture_start();
    log_info("note", "plain %s", "words");
    assert_has(capture_stop(), "\"event\":\"note\",\"detail\":\"plain words\"}\n");
}

static void test_levels(void **state)
{
    log_set_level(LOG_ERROR);
    capture_start();
    log_warn("unseen", NULL);
    log_set_level(LOG_DEBUG);
    log_debug("seen", NULL);
    log_set_level(LOG_INFO);
    const char *lines = capture_stop();
    assert_null(strstr(lines, "unseen"));
    assert_has(lines, "\"debug\",\"event\":\"seen\"");
}

static void test_identical_lines_are_limited(void **state)
{
    capture_start();
    for (int i = 0; i < 50; i++)
        log_info("again", "n=%d", 1);
    for (int i = 0; i < 20; i++)
        log_info("differs", "n=%d", i);
    const char *at = capture_stop();
    int again = 0, differs = 0;
    for (const char *p = at; (p = strstr(p, "\"again\"")); p++)
        again++;
    for (const char *p = at; (p = strstr(p, "\"differs\"")); p++)
        differs++;
    assert_int_equal(again, 10);
    assert_int_equal(differs, 20);
}

static void test_suppressed_lines_are_told(void **state)
{
    capture_start();
    for (int i = 0; i < 35; i++)
        log_warn("flood", "n=%d", 1);
    clock_skip_ns(61 * NS_PER_S);
    log_info("later", NULL);
    clock_skip_ns(61 * NS_PER_S);
    log_info("later still", NULL); /* told once */
    log_warn("flood", "n=%d", 1);  /* and the window is new */
    const char *lines = capture_stop();
    const char *told =
        strstr(lines, "\"warn\",\"event\":\"repeated\",\"of\":\"flood\",\"times\":25}");
    assert_non_null(told);
    assert_true(told < strstr(lines, "\"later\""));
    assert_null(strstr(strchr(told, '}'), "\"of\":\"flood\""));
    assert_non_null(strstr(told, "\"event\":\"flood\""));
}

static void test_long_values_are_cut(void **state)
{
    static char huge[100000];
    memset(huge, '\x01', sizeof(huge) - 1);
    capture_start();
    log_info("huge", "value=%s", huge);
    const char *line = capture_stop();
    assert_in_range(strlen(line), 4000, 40000);
    assert_string_equal(line + strlen(line) - 3, "\"}\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_detail_without_keys),
        cmocka_unit_test(test_levels),
        cmocka_unit_test(test_identical_lines_are_limited),
        cmocka_unit_test(test_suppressed_lines_are_told),
        cmocka_unit_test(test_long_values_are_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
