/* What ingest decides without a store. The way of a body is tested against real servers
 * (tests/integration/test_http.py, test_crash.py). */
#include "pipeline/ingest.h"
#include "test.h"

static void test_sniff(void **state)
{
    static const struct {
        const char *bytes;
        enum wire_format format;
    } cases[] = {
        {"", WIRE_NDJSON},
        {" \r\n\t", WIRE_NDJSON},
        {"hello", WIRE_TEXT},
        {"2025-02-15 {\"a\":1}", WIRE_TEXT},
        {"\"text\"", WIRE_TEXT},
        {"[{\"a\":1}]", WIRE_JSON},
        {"\n {\"a\":1}", WIRE_JSON},
        {"{\"a\":1}\n", WIRE_JSON},
        {"{\"logs\":[\n{\"a\":1}\n]}", WIRE_JSON},
        {"{\n \"a\":1}\n", WIRE_JSON},
        {"{\"a\":1}\n{\"a\":2}", WIRE_NDJSON},
        {"{\"a\":1}\r\n\r\n  {\"a\":", WIRE_NDJSON},
        {"{}\n{}", WIRE_NDJSON},
        {"{\"a\":{}\n}", WIRE_JSON},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        if (ingest_sniff(str_c(cases[i].bytes)) != cases[i].format)
            fail_msg("%s: %d", cases[i].bytes, ingest_sniff(str_c(cases[i].bytes)));
    assert_int_equal(ingest_sniff(str_of("\0{", 2)), WIRE_TEXT);
}

static void test_stream_names(void **state)
{
    char longest[202];
    memset(longest, 'x', sizeof(longest));
    assert_ok(ingest_check_stream(STR("default")));
    assert_ok(ingest_check_stream(STR("a b.c-\xc3\xa9")));
    assert_ok(ingest_check_stream(str_of(longest, 200)));
    assert_err(ingest_check_stream(str_of(longest, 201)), ERR_INVALID,
               "1 to 200 bytes, this one 201");
    assert_err(ingest_check_stream(STR("")), ERR_INVALID, "1 to 200");
    assert_err(ingest_check_stream(STR("_dead_letters")), ERR_INVALID, "Weir's own");
    assert_err(ingest_check_stream(STR("a/b")), ERR_INVALID, "'/'");
    assert_err(ingest_check_stream(STR("a\nb")), ERR_INVALID, "control");
    assert_err(ingest_check_stream(str_of("a\0b", 3)), ERR_INVALID, "control");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sniff),
        cmocka_unit_test(test_stream_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
