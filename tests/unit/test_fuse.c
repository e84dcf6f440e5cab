#include "core/hash.h"
#include "store/fuse.h"
#include "test.h"

static uint64_t nth_key(uint64_t i)
{
    return hash_mix(i * 0x9e3779b97f4a7c15ULL + 12345);
}

static void build(uint32_t n, struct buf *out)
{
    struct arena a;
    arena_init(&a, 0, NULL);
    uint64_t *key = ARENA_ARRAY(&a, uint64_t, n + 1);
    for (uint32_t i = 0; i < n; i++)
        key[i] = nth_key(i);
    assert_ok(fuse_build(key, n, &a, out));
    arena_release(&a);
}

static void test_holds_every_key_and_few_others(void **state)
{
    static const uint32_t sizes[] = {1, 2, 3, 4, 5, 7, 10, 33, 100, 777, 1000, 5000, 65536, 300000};
    for (size_t s = 0; s < sizeof(sizes) / sizeof(*sizes); s++) {
        struct buf f;
        buf_init(&f, SIZE_MAX);
        build(sizes[s], &f);
        for (uint32_t i = 0; i < sizes[s]; i++)
            assert_true(fuse_may_contain(buf_str(&f), nth_key(i)));
        unsigned wrong = 0;
        for (uint32_t i = 0; i < 100000; i++)
            wrong += fuse_may_contain(buf_str(&f), nth_key(1000000 + i));
        assert_in_range(wrong, 0, 600); /* 0.39 % expected */
        if (sizes[s] >= 50000)
            assert_in_range(f.n * 8 / sizes[s], 8, 10);
        buf_release(&f);
    }
}

static void test_no_keys_and_repeats(void **state)
{
    struct buf f;
    buf_init(&f, SIZE_MAX);
    build(0, &f);
    assert_int_equal(f.n, 0);
    assert_false(fuse_may_contain(buf_str(&f), 1));
    uint64_t key[64];
    for (int i = 0; i < 64; i++)
        key[i] = (uint64_t)(i % 3);
    struct arena a;
    arena_init(&a, 0, NULL);
    assert_ok(fuse_build(key, 64, &a, &f));
    for (uint64_t i = 0; i < 3; i++)
        assert_true(fuse_may_contain(buf_str(&f), i));
    arena_release(&a);
    buf_release(&f);
}

static void test_malformed_says_maybe(void **state)
{
    struct buf f;
    buf_init(&f, SIZE_MAX);
    build(100, &f);
    for (size_t n = 1; n < f.n; n++)
        assert_true(fuse_may_contain(str_of(f.p, n), 42));
    for (int at = 8; at < 16; at++)
        for (int v = 0; v < 256; v++) {
            char was = f.p[at];
            f.p[at] = (char)v;
            if (f.p[at] != was)
                assert_true(fuse_may_contain(buf_str(&f), 42));
            f.p[at] = was;
        }
    buf_release(&f);
}

static void test_same_keys_same_bytes(void **state)
{
    struct buf a, b;
    buf_init(&a, SIZE_MAX);
    buf_init(&b, SIZE_MAX);
    build(3000, &a);
    build(3000, &b);
    assert_true(str_eq(buf_str(&a), buf_str(&b)));
    buf_release(&a);
    buf_release(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_holds_every_key_and_few_others),
        cmocka_unit_test(test_no_keys_and_repeats),
        cmocka_unit_test(test_malformed_says_maybe),
        cmocka_unit_test(test_same_keys_same_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
