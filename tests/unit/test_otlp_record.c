/* Rows as OTLP's records, held against what the same rows' JSON becomes. */
#include "output_kit.h"
#include "test.h"

#include "output/otlp_record.h"

static const char *const records[] = {
    "{}",
    "{\"message\":\"m\",\"level\":\"warn\",\"service\":\"s\",\"host\":\"h\",\"n\":1,\"b\":true}",
    "{\"level\":\"info\",\"message\":\"m\",\"body\":{\"a\":[1,{\"b\":2}],\"c\":{}},\"log\":\"l\"}",
    "{\"body\":\"first\",\"body\":\"again\",\"severity_text\":\"Odd\",\"severity_text\":1}",
    "{\"body\":null,\"message\":7,\"level\":3,\"service\":{\"name\":\"x\"},\"host\":[\"h\"]}",
    "{\"severity_number\":9,\"lvl\":\"x\",\"level\":\"INFO\",\"message\":\"m\"}",
    "{\"severity_number\":25,\"level\":\"INFO\"}",
    "{\"severity_number\":9.0,\"flags\":-1,\"observed_time_unix_nano\":\"1\"}",
    "{\"trace_id\":\"5b8aa5a2d2c872e8321cf37308d69df2\",\"span_id\":\"051581BF3CB55C13\"}",
    "{\"trace_id\":\"5b8aa5a2d2c872e8321cf37308d69dfg\",\"span_id\":5,\"event_name\":\"e\"}",
    "{\"flags\":4294967295,\"observed_time_unix_nano\":18446744073709551615,"
    "\"dropped_attributes_count\":0}",
    "{\"flags\":4294967296,\"observed_time_unix_nano\":18446744073709551616,\"event_name\":[]}",
    "{\"attributes\":{\"a\":{\"b\":{\"c\":1}},\"d\":[{}]},\"resource\":{\"service.name\":\"s\","
    "\"x\":{\"y\":null}},\"scope\":{\"name\":\"n\",\"version\":2,\"attributes\":{\"k\":1},\"z\":{}}"
    "}",
    "{\"attributes\":{},\"resource\":[],\"scope\":\"s\"}",
    "{\"resource\":{\"a\":1},\"service\":\"s\",\"app\":\"second\",\"node\":\"h\"}",
    "{\"n\":0.1,\"m\":12.50,\"o\":-0.5,\"p\":1e300,\"q\":1E2,\"r\":100000000000000000000,\"s\":1."
    "0}",
    "{\"n\":123456789012345.6789,\"m\":0.30000000000000004,\"o\":-9223372036854775808,\"p\":-0.0}",
    "{\"\":\"\",\"a.b\":\"c\",\"a\":{\"b\":{\"\":1}},\"k\":1,\"k\":{\"k\":2}}",
    "{\"bad \xff key\":\"bad \xc3 text\",\"\\u00e9\":\"\\ud800 lone, \xc3\xa9\",\"in\":[\"bad "
    "\xff\"],\"message\":\"\xfe\"}",
    "{\"control\":\"\\u0000\\u001f\\n\\\"\\\\\",\"esc\\\"aped\":\"\\/\"}",
};
enum { RECORDS = sizeof(records) / sizeof(records[0]), DEEP = 100 };

static enum err compare(void *ctx, uint32_t item, struct rows *rows, struct arena *a)
{
    struct otlp_rows *w[2];
    struct buf part[2][3];
    uint32_t *n = ctx;
    for (int way = 0; way < 2; way++)
        assert_ok(otlp_rows_new(rows, way, a, &w[way]));
    for (uint32_t i = 0; i < rows->n; i++) {
        for (int way = 0; way < 2; way++) {
            for (int p = 0; p < 3; p++)
                buf_init(&part[way][p], SIZE_MAX);
            assert_ok(otlp_rows_put(
                w[way], &(struct otlp_parts){&part[way][0], &part[way][1], &part[way][2]}));
        }
        for (int p = 0; p < 3; p++) {
            if (!str_eq(buf_str(&part[0][p]), buf_str(&part[1][p])))
                fail_msg("item %u, row %u, part %d", item, i, p);
            buf_release(&part[0][p]);
            buf_release(&part[1][p]);
        }
    }
    *n += rows->n;
    return OK;
}

static void test_as_json(void **state)
{
    struct output_kit k = {0};
    struct buf all;
    uint32_t n = 0;
    buf_init(&all, SIZE_MAX);
    for (int i = 0; i < RECORDS; i++)
        buf_printf(&all, "%s\n", records[i]);
    kit_add(&k, buf_str(&all));
    kit_add(&k, str_c(records[2]));
    assert_ok(output_each_item(&k.bulk, compare, &n));
    assert_int_equal(n, RECORDS + 1);
    kit_release(&k);
    buf_release(&all);
}

/* Of so many shapes that records become JSON texts, of so many members, and nested so deep. */
static void test_large(void **state)
{
    struct output_kit k = {0};
    struct buf all;
    uint32_t n = 0;
    buf_init(&all, SIZE_MAX);
    for (unsigned i = 0; i < 6000; i++)
        buf_printf(&all, "{\"k%u\":{\"a\":%u},\"level\":\"info\",\"message\":\"\xff %u\"}\n", i, i,
                   i);
    kit_add(&k, buf_str(&all));
    buf_clear(&all);
    for (unsigned i = 0; i < 70000; i++)
        buf_printf(&all, "%s\"m%u\":%u", i ? "," : "{", i, i);
    buf_put_c(&all, ",\"body\":\"b\"}");
    kit_add(&k, buf_str(&all));
    buf_clear(&all);
    for (unsigned depth = 60; depth < DEEP; depth++) {
        for (unsigned i = 0; i < depth; i++)
            buf_put_c(&all, "{\"o\":");
        buf_put_c(&all, "[{\"end\":1}]");
        for (unsigned i = 0; i < depth; i++)
            buf_put_c(&all, "}");
        buf_put_c(&all, "\n");
    }
    kit_add(&k, buf_str(&all));
    assert_ok(output_each_item(&k.bulk, compare, &n));
    assert_int_equal(n, 6000 + 1 + DEEP - 60);
    kit_release(&k);
    buf_release(&all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_as_json),
        cmocka_unit_test(test_large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
