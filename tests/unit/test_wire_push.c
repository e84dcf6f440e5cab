/* Loki, OTLP, Splunk's events and GELF. tests/golden/wire/make/push.py writes what is binary. */
#include "golden_wire.h"

static void test_loki(void **state)
{
    golden_file("loki-push", WIRE_LOKI);
    golden_file("loki-promtail", WIRE_LOKI);
    golden_file("loki-escapes", WIRE_LOKI);
    golden_file("loki-json", WIRE_LOKI_JSON);
    golden_file("loki-json-broken", WIRE_LOKI_JSON);
}

static void test_otlp(void **state)
{
    golden_file("otlp", WIRE_OTLP);
    golden_file("otlp-bad", WIRE_OTLP);
    golden_file("otlp-deep", WIRE_OTLP);
    golden_file("otlp-json", WIRE_OTLP_JSON);
    golden_file("otlp-json-bad", WIRE_OTLP_JSON);
}

/* Both forms of the same request make the same records. */
static void test_otlp_forms_agree(void **state)
{
    struct buf a, b;
    assert_ok(io_read_file("tests/golden/wire/otlp.out", 1 << 20, &a));
    assert_ok(io_read_file("tests/golden/wire/otlp-json.out", 1 << 20, &b));
    assert_true(str_eq(buf_str(&a), buf_str(&b)));
    buf_release(&a);
    buf_release(&b);
}

static void test_hec(void **state)
{
    golden_file("hec", WIRE_HEC);
}

static void test_gelf(void **state)
{
    golden_file("gelf", WIRE_GELF);
}

/* A record wider than a batch may be is kept, as JSON text. */
static void test_too_wide(void **state)
{
    struct golden g;
    struct buf in;
    uint32_t records;
    buf_init(&in, SIZE_MAX);
    golden_init(&g);
    buf_put_c(&in, "{\"short_message\":\"wide\"");
    for (int i = 0; i < 20000; i++)
        buf_printf(&in, ",\"_f%d\":%d", i, i);
    buf_put_c(&in,
              ",\"level\":3,\"_o\":{\"a\":[1],\"e\":{},\"n\":null,\"b\":true,\"t\":\"q\\\"\"}}");
    assert_ok(golden_decode(&g, WIRE_GELF, buf_str(&in), &records));
    assert_int_equal(records, 1);
    assert_int_equal(g.refused.n, 0);
    assert_true(str_find(buf_str(&g.rows),
                         STR("\"f19999\":19999,\"level\":\"error\",\"o\":{\"a\":[1],"
                             "\"e\":{},\"n\":null,\"b\":true,\"t\":\"q\\\"\"}}")) != SIZE_MAX);
    golden_release(&g);
    buf_release(&in);
}

/* What records lack and the request says: it counts least. */
static void test_defaults_and_fields(void **state)
{
    static const struct json_limits limits = {.record_bytes = 1 << 20, .nesting = 32};
    static const struct wire_field fields[] = {{STR("source"), STR("src")},
                                               {STR("host"), STR("field-host")}};
    struct golden g;
    struct wire_sink sink = {&g, golden_batch, golden_refused, NULL};
    struct wire_decoder *d = wire_decoder_new(&limits);
    uint32_t records;
    char body[256] = "{\"event\":{\"app\":\"own\",\"source\":\"mine\"}}{\"event\":\"x\"}";
    golden_init(&g);
    wire_decoder_defaults(d, STR("svc"), STR("default-host"));
    wire_decoder_fields(d, fields, 2);
    assert_ok(wire_decode(d, WIRE_HEC, str_c(body), GOLDEN_ARRIVAL, &sink, &records));
    assert_str(
        buf_str(&g.rows),
        "2025-02-15T12:00:00Z {\"app\":\"own\",\"source\":\"mine\",\"host\":\"default-host\"}\n"
        "2025-02-15T12:00:00Z {\"message\":\"x\",\"service\":\"svc\",\"host\":\"default-host\","
        "\"source\":\"src\"}\n");
    golden_release(&g);
    wire_decoder_free(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_loki),
        cmocka_unit_test(test_otlp),
        cmocka_unit_test(test_otlp_forms_agree),
        cmocka_unit_test(test_hec),
        cmocka_unit_test(test_gelf),
        cmocka_unit_test(test_too_wide),
        cmocka_unit_test(test_defaults_and_fields),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
