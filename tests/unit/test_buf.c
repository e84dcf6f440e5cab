#include "core/buf.h"
#include "core/mem.h"
#include "test.h"

static void test_grows_to_its_maximum(void **state)
{
    struct buf b;
    buf_init(&b, 100);
    assert_null(b.p);
    for (int i = 0; i < 10; i++)
        assert_ok(buf_add(&b, "0123456789", 10));
    assert_int_equal(b.n, 100);
    assert_in_range(b.cap, 100, 100);
    assert_err(buf_add(&b, "x", 1), ERR_LIMIT, "100 bytes");
    assert_null(buf_reserve(&b, 1));
    assert_int_equal(b.n, 100);
    buf_put(&b, "x", 1);
    buf_put_byte(&b, 'x');
    assert_int_equal(b.n, 100);
    buf_clear(&b);
    assert_int_equal(b.cap, 100);
    assert_ok(buf_add(&b, NULL, 0));
    memcpy(buf_reserve(&b, 3), "abc", 3);
    assert_int_equal(b.n, 0);
    b.n = 3;
    assert_str(buf_str(&b), "abc");
    buf_release(&b);
    assert_ok(buf_add(&b, "again", 5));
    buf_release(&b);
}

static void test_put_cuts(void **state)
{
    struct buf b;
    buf_init(&b, 5);
    buf_put_c(&b, "abc");
    buf_put_str(&b, STR("defg"));
    assert_str(buf_str(&b), "abcde");
    buf_release(&b);
    struct buf uninitialised = {0};
    assert_dies(buf_put(&uninitialised, "x", 1));
    assert_dies(buf_init(&uninitialised, 0));
}

static void test_text(void **state)
{
    struct buf b;
    buf_init(&b, SIZE_MAX);
    buf_printf(&b, "%d-%s ", 5, "x");
    buf_put_i64(&b, INT64_MIN);
    buf_put_byte(&b, ' ');
    buf_put_i64(&b, 0);
    assert_str(buf_str(&b), "5-x -9223372036854775808 0");
    buf_clear(&b);
    buf_printf(&b, "%0300d", 1);
    assert_int_equal(b.n, 300);
    assert_int_equal(b.p[299], '1');
    buf_release(&b);
}

static void test_binary_round_trip(void **state)
{
    const uint64_t values[] = {0, 1, 127, 128, 16383, 16384, UINT32_MAX, UINT64_MAX};
    struct buf b;
    buf_init(&b, 4096);
    buf_put_u8(&b, 0xfe);
    buf_put_u16(&b, 0xfedc);
    buf_put_u32(&b, 0xfedcba98);
    buf_put_u64(&b, 0xfedcba9876543210);
    assert_memory_equal(b.p + 1, "\xdc\xfe\x98\xba\xdc\xfe\x10\x32", 8);
    for (size_t i = 0; i < 8; i++)
        buf_put_varint(&b, values[i]);
    buf_put_lstr(&b, STR("hello"));
    buf_put_lstr(&b, STR(""));
    struct reader r = reader_of(buf_str(&b));
    assert_int_equal(read_u8(&r), 0xfe);
    assert_int_equal(read_u16(&r), 0xfedc);
    assert_int_equal(read_u32(&r), 0xfedcba98);
    assert_int_equal(read_u64(&r), 0xfedcba9876543210);
    for (size_t i = 0; i < 8; i++)
        assert_int_equal(read_varint(&r), values[i]);
    assert_str(read_lstr(&r), "hello");
    assert_str(read_lstr(&r), "");
    assert_false(r.bad);
    assert_int_equal(reader_left(&r), 0);
    buf_release(&b);
}

static void test_reader_stays_bad(void **state)
{
    struct reader r = reader_of(STR("\x01\x02\x03"));
    assert_int_equal(read_u32(&r), 0);
    assert_true(r.bad);
    assert_int_equal(read_u8(&r), 0);
    assert_int_equal(read_u16(&r), 0);
    assert_int_equal(read_u64(&r), 0);
    assert_int_equal(read_varint(&r), 0);
    assert_int_equal(read_bytes(&r, 1).n, 0);
    r = reader_of(STR("\x01\x02\x03\x04\x05")); /* half of an u64 */
    assert_int_equal(read_u64(&r), 0);
    assert_true(r.bad);
}

static void test_bad_varints(void **state)
{
    struct reader r = reader_of(STR("\x80\x80"));
    assert_int_equal(read_varint(&r), 0);
    assert_true(r.bad);
    r = reader_of(STR("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02")); /* bit 65 */
    assert_int_equal(read_varint(&r), 0);
    assert_true(r.bad);
    r = reader_of(STR("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01"));
    assert_int_equal(read_varint(&r), 0);
    assert_true(r.bad);
    r = reader_of(STR("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01xx")); /* a length past the end */
    assert_int_equal(read_lstr(&r).n, 0);
    assert_true(r.bad);
}

static void test_zigzag(void **state)
{
    const int64_t values[] = {0, -1, 1, INT64_MIN, INT64_MAX};
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(unzigzag(zigzag(values[i])), values[i]);
    assert_int_equal(zigzag(-1), 1);
    assert_int_equal(zigzag(1), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_grows_to_its_maximum),
        cmocka_unit_test(test_put_cuts),
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_binary_round_trip),
        cmocka_unit_test(test_reader_stays_bad),
        cmocka_unit_test(test_bad_varints),
        cmocka_unit_test(test_zigzag),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
