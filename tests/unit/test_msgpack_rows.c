/* Rows as MessagePack, held against what the same rows' JSON becomes. */
#include "output_kit.h"
#include "test.h"

#include "record/json.h"
#include "wire/msgpack_json.h"
#include "wire/msgpack_rows.h"

static const char *const records[] = {
    "{}",
    "{\"a\":1,\"b\":\"two\",\"tag\":\"x\",\"c\":{\"d\":{\"e\":null,\"f\":{}},\"g\":[1,{\"h\":2}]},"
    "\"i\":true}",
    "{\"tag\":\"x\"}",
    "{\"a\":{\"tag\":\"x\",\"b\":1},\"tag\":\"y\"}",
    "{\"tag\":{\"a\":{\"b\":1},\"c\":2},\"d\":{\"e\":3}}",
    "{\"d\":{\"e\":3},\"tag\":{\"a\":{\"b\":1},\"c\":2}}",
    "{\"tag\":{},\"tag\":[],\"tag\":7,\"a\":7}",
    "{\"k\":1,\"k\":\"again\",\"k\":{\"k\":2}}",
    "{\"n\":[0.1,12.50,-0.5,1e300,1E2,18446744073709551615]}",
    "{\"n\":0.1}",
    "{\"n\":12.50}",
    "{\"n\":-0.5,\"m\":-3,\"o\":9223372036854775807,\"p\":-9223372036854775808}",
    "{\"n\":1e300,\"m\":1E2,\"o\":18446744073709551615,\"p\":100000000000000000000}",
    "{\"n\":123456789012345.6789,\"m\":0.30000000000000004,\"o\":999999999999999.9,\"p\":1.0}",
    "{\"long\":\"0123456789abcdef0123456789abcdef0123456789abcdef\",\"\":\"\",\"a.b\":\"c\"}",
    "{\"bad \xff key\":\"bad \xc3 text\",\"\\u00e9\":\"\\ud800 lone, \xc3\xa9\",\"in\":[\"bad "
    "\xff\"]}",
    "{\"control\":\"\\u0000\\u001f\\n\\\"\\\\\"}",
};
enum { RECORDS = sizeof(records) / sizeof(records[0]) };

struct comparing {
    unsigned ways; /* 2: without `tag`, too */
    uint32_t rows;
};

/* Two ways of the same rows: by their columns and by their JSON. */
static enum err compare(void *ctx, uint32_t item, struct rows *rows, struct arena *a)
{
    struct comparing *c = ctx;
    const struct str tag = STR("tag");
    struct buf json, want, got;
    buf_init(&json, SIZE_MAX);
    buf_init(&want, SIZE_MAX);
    buf_init(&got, SIZE_MAX);
    for (unsigned without = 0; without < c->ways; without++) {
        struct msgpack_rows *w;
        assert_ok(msgpack_rows_new(rows, tag, a, &w));
        for (uint32_t i = 0; i < rows->n; i++) {
            struct json_rows what = {
                .rows = rows, .row = &i, .n = 1, .arena = a, .without = &tag, .n_without = without};
            buf_clear(&json);
            buf_clear(&want);
            buf_clear(&got);
            assert_ok(json_put_rows(&what, &json, NULL));
            msgpack_put_json(&want, buf_str(&json));
            msgpack_rows_put(w, without, &got);
            if (!str_eq(buf_str(&want), buf_str(&got)))
                fail_msg("item %u, row %u: %.*s", item, i, STR_ARG(buf_str(&json)));
        }
    }
    c->rows += rows->n;
    buf_release(&json);
    buf_release(&want);
    buf_release(&got);
    return OK;
}

static void test_as_json(void **state)
{
    struct output_kit k = {0};
    struct buf all;
    struct comparing c = {.ways = 2};
    buf_init(&all, SIZE_MAX);
    for (int i = 0; i < RECORDS; i++)
        buf_printf(&all, "%s\n", records[i]);
    kit_add(&k, buf_str(&all));
    kit_add(&k, str_c(records[1]));
    assert_ok(output_each_item(&k.bulk, compare, &c));
    assert_int_equal(c.rows, RECORDS + 1);
    kit_release(&k);
    buf_release(&all);
}

/* Of so many shapes that records become JSON texts, and of texts longer than each head holds. */
static void test_large(void **state)
{
    static const unsigned length[] = {31, 32, 255, 256, 65535, 65536, 100000};
    struct output_kit k = {0};
    struct buf all;
    struct comparing c = {.ways = 1};
    buf_init(&all, SIZE_MAX);
    for (unsigned i = 0; i < 6000; i++)
        buf_printf(&all, "{\"k%u\":{\"a\":%u},\"tag\":\"t\",\"n\":[%u]}\n", i, i, i);
    kit_add(&k, buf_str(&all));
    buf_clear(&all);
    for (unsigned i = 0; i < sizeof(length) / sizeof(length[0]); i++)
        buf_printf(&all, "{\"text\":\"%0*d\"}\n", (int)length[i], 7);
    kit_add(&k, buf_str(&all));
    buf_clear(&all);
    buf_put_c(&all, "{");
    for (unsigned i = 0; i < 70000; i++)
        buf_printf(&all, "%s\"m%u\":%u", i ? "," : "", i, i);
    buf_put_c(&all, "}");
    kit_add(&k, buf_str(&all));
    assert_ok(output_each_item(&k.bulk, compare, &c));
    assert_int_equal(c.rows, 6000 + sizeof(length) / sizeof(length[0]) + 1);
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
