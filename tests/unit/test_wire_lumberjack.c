#include "test.h"

#include "wire/lumberjack.h"

#include <zlib.h>

static struct buf in, lines, inflated;

static int setup(void **state)
{
    buf_init(&in, SIZE_MAX);
    buf_init(&lines, SIZE_MAX);
    buf_init(&inflated, SIZE_MAX);
    return 0;
}

static int teardown(void **state)
{
    buf_release(&in);
    buf_release(&lines);
    buf_release(&inflated);
    return 0;
}

static void put_u32(struct buf *b, uint32_t v)
{
    for (int i = 3; i >= 0; i--)
        buf_put_byte(b, (char)(v >> (8 * i)));
}

static void put_window(struct buf *b, uint32_t n)
{
    buf_put_c(b, "2W");
    put_u32(b, n);
}

static void put_json(struct buf *b, uint32_t sequence, const char *json)
{
    buf_put_c(b, "2J");
    put_u32(b, sequence);
    put_u32(b, (uint32_t)strlen(json));
    buf_put_c(b, json);
}

static void put_compressed(struct buf *b, struct str plain)
{
    Bytef packed[4096];
    uLongf n = sizeof(packed);
    assert_int_equal(compress(packed, &n, (const Bytef *)plain.p, plain.n), Z_OK);
    buf_put_c(b, "2C");
    put_u32(b, (uint32_t)n);
    buf_put(b, packed, n);
}

static enum err read_some(struct lumberjack *l, struct str bytes, size_t *ret_n, bool *ret_full)
{
    return lumberjack_read(l, bytes, SIZE_MAX, 1 << 20, &lines, &inflated, ret_n, ret_full);
}

static void test_frames(void **state)
{
    struct lumberjack l = {0};
    struct buf inner;
    size_t n;
    bool full;
    char ack[LUMBERJACK_ACK_BYTES];
    put_window(&in, 4);
    put_json(&in, 1, "{\"a\":\n1}");
    buf_put_c(&in, "1D");
    put_u32(&in, 2);
    put_u32(&in, 1);
    put_u32(&in, 4);
    buf_put_c(&in, "line");
    put_u32(&in, 3);
    buf_put_c(&in, "x\"y");
    buf_init(&inner, SIZE_MAX);
    put_json(&inner, 3, "{}");
    put_json(&inner, 4, "{\"d\":4}");
    put_compressed(&in, buf_str(&inner));
    put_window(&in, 1);
    assert_ok(read_some(&l, buf_str(&in), &n, &full));
    assert_true(full);
    assert_int_equal(n, in.n - 6);
    assert_int_equal(l.sequence, 4);
    assert_str(buf_str(&lines), "{\"a\": 1}\n{\"line\":\"x\\\"y\"}\n{}\n{\"d\":4}\n");
    lumberjack_ack(&l, l.sequence, ack);
    assert_memory_equal(ack, "2A\0\0\0\4", 6);
    assert_ok(read_some(&l, str_from(buf_str(&in), n), &n, &full));
    assert_false(full);
    assert_int_equal(n, 6);
    buf_release(&inner);
}

/* Torn anywhere, the same events come, and the window is full at the same byte. */
static void test_torn(void **state)
{
    struct buf inner, whole;
    buf_init(&inner, SIZE_MAX);
    buf_init(&whole, SIZE_MAX);
    put_window(&in, 3);
    put_json(&in, 1, "{\"n\":1}");
    put_json(&inner, 2, "{\"n\":2}");
    put_json(&inner, 3, "{\"n\":3}");
    put_compressed(&in, buf_str(&inner));
    for (size_t step = 1; step <= in.n; step++) {
        struct lumberjack l = {0};
        size_t from = 0;
        bool full = false;
        buf_clear(&lines);
        for (size_t have = 0; have < in.n;) {
            size_t n = 0;
            have = have + step < in.n ? have + step : in.n;
            assert_false(full);
            assert_ok(read_some(&l, str_of(in.p + from, have - from), &n, &full));
            from += n;
        }
        assert_true(full);
        assert_int_equal(from, in.n);
        assert_str(buf_str(&lines), "{\"n\":1}\n{\"n\":2}\n{\"n\":3}\n");
    }
    buf_release(&inner);
    buf_release(&whole);
}

static void test_what_is_wrong(void **state)
{
    struct lumberjack l = {0};
    struct buf inner, outer;
    size_t n;
    bool full;
    buf_init(&inner, SIZE_MAX);
    buf_init(&outer, SIZE_MAX);
    assert_err(read_some(&l, STR("GET /"), &n, &full), ERR_INVALID, "0x47");
    assert_err(read_some(&l, STR("2X"), &n, &full), ERR_INVALID, "0x58");
    assert_err(read_some(&l, STR("2C\0\0\0\3xyz"), &n, &full), ERR_INVALID, "deflate");
    put_json(&inner, 1, "{}");
    inner.n--;
    put_compressed(&in, buf_str(&inner));
    assert_err(read_some(&l, buf_str(&in), &n, &full), ERR_INVALID, "ends within");
    buf_clear(&in);
    put_compressed(&outer, STR("2J\0\0\0\0\0\0\0\0"));
    put_compressed(&in, buf_str(&outer));
    assert_err(read_some(&l, buf_str(&in), &n, &full), ERR_INVALID, "stands in another");
    buf_clear(&in);
    buf_clear(&inner);
    char *zeros = buf_reserve(&inner, 3 << 20);
    memset(zeros, '2', 3 << 20);
    inner.n = 3 << 20;
    put_compressed(&in, buf_str(&inner));
    assert_err(read_some(&l, buf_str(&in), &n, &full), ERR_LIMIT, "1048576");
    assert_err(read_some(&l, STR("2D\0\0\0\1\0\1\0\0"), &n, &full), ERR_LIMIT, "65536 fields");
    buf_release(&inner);
    buf_release(&outer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_frames, setup, teardown),
        cmocka_unit_test_setup_teardown(test_torn, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_is_wrong, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
