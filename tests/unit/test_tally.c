/* Tallies of columns: counted once, then out of the cache; none where values hardly repeat. */
#include "store/tally.h"

#include "core/mem.h"
#include "test.h"

#include <stdio.h>

static struct arena arena;

/* Value i is "host-<i mod distinct>". */
static struct values texts(uint32_t n, uint32_t distinct)
{
    uint32_t *off = ARENA_ARRAY(&arena, uint32_t, n + 1);
    char *bytes = arena_alloc(&arena, (size_t)n * 20);
    for (uint32_t i = 0; i < n; i++)
        off[i + 1] = off[i] + (uint32_t)sprintf(bytes + off[i], "host-%u", i % distinct);
    return (struct values){.n = n, .lane = LANE_STR, .off = off, .bytes = bytes};
}

static struct values integers(uint32_t n, uint32_t distinct)
{
    int64_t *v = ARENA_ARRAY(&arena, int64_t, n);
    for (uint32_t i = 0; i < n; i++)
        v[i] = (int64_t)(i % distinct) * 1000003 - 5;
    return (struct values){.n = n, .lane = LANE_INT, .i64 = v};
}

static struct column column_of(const struct values *v)
{
    return (struct column){.lane = v->lane, .n = v->n, .ops = &plain_column_ops, .impl = v};
}

static void check(const struct values *v, uint64_t segment, uint32_t distinct)
{
    struct column col = column_of(v);
    struct chunk_key key = {segment, 4096, 0};
    for (int round = 0; round < 3; round++) {
        struct values dict;
        const uint32_t *count;
        uint64_t sum = 0;
        assert_ok(tally_of(&col, &key, &arena, &dict, &count));
        assert_int_equal(dict.n, distinct);
        assert_int_equal(dict.lane, v->lane);
        for (uint32_t i = 0; i < dict.n; i++) {
            sum += count[i];
            assert_int_equal(count[i], v->n / distinct + (i < v->n % distinct));
            if (v->lane == LANE_INT)
                assert_int_equal(dict.i64[i], v->i64[i]);
            else
                assert_true(str_eq(values_text(&dict, i), values_text(v, i)));
        }
        assert_int_equal(sum, v->n);
    }
}

static void test_counts(void **state)
{
    struct values a = texts(65536, 7), b = texts(65536, 5000), c = integers(40000, 999),
                  d = texts(3, 3), e = integers(1, 1);
    check(&a, 11, 7);
    check(&b, 12, 5000);
    check(&c, 13, 999);
    check(&d, 14, 3);
    check(&e, 15, 1);
}

/* The second time the answer does not come from the values. */
static void test_is_kept(void **state)
{
    struct values first = texts(1000, 10), other = texts(1000, 3), dict;
    struct column col = column_of(&first);
    struct chunk_key key = {21, 0, 0};
    const uint32_t *count;
    assert_ok(tally_of(&col, &key, &arena, &dict, &count));
    col = column_of(&other);
    assert_ok(tally_of(&col, &key, &arena, &dict, &count));
    assert_int_equal(dict.n, 10);
    chunk_cache_drop(21);
    assert_ok(tally_of(&col, &key, &arena, &dict, &count));
    assert_int_equal(dict.n, 3);
}

static void none(const struct values *v, uint64_t segment)
{
    struct column col = column_of(v);
    struct chunk_key key = {segment, 0, 0};
    struct values dict;
    const uint32_t *count;
    for (int round = 0; round < 2; round++)
        assert_int_equal(tally_of(&col, &key, &arena, &dict, &count), ERR_UNSUPPORTED);
}

static void test_none(void **state)
{
    struct values unique = texts(65536, 65536), many = integers(200000, 40000),
                  plain = texts(100, 2), array = texts(100, 2);
    none(&unique, 31);
    none(&many, 32);
    none(&plain, 0); /* what cannot be kept is not worth the work */
    array.lane = LANE_ARR;
    none(&array, 33);
}

static int set_up(void **state)
{
    arena_init(&arena, 0, NULL);
    return 0;
}

static int tear_down(void **state)
{
    arena_release(&arena);
    for (uint64_t s = 10; s < 40; s++)
        chunk_cache_drop(s);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counts),
        cmocka_unit_test(test_is_kept),
        cmocka_unit_test(test_none),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
