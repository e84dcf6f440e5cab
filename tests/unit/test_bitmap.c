#include "record/bitmap.h"
#include "test.h"

/* Sizes around the borders of words. */
static const uint32_t sizes[] = {0, 1, 63, 64, 65, 127, 128, 1000};

static void test_bits_past_the_end_stay_zero(void **state)
{
    struct arena a;
    arena_init(&a, 0, NULL);
    for (size_t k = 0; k < sizeof(sizes) / sizeof(sizes[0]); k++) {
        uint32_t n = sizes[k];
        uint64_t *b = bitmap_new(&a, n);
        assert_int_equal(bitmap_count(b, n), 0);
        assert_false(bitmap_any(b, n));
        bitmap_not(b, n);
        assert_int_equal(bitmap_count(b, n), n);
        assert_int_equal(bitmap_any(b, n), n > 0);
        bitmap_not(b, n);
        assert_int_equal(bitmap_count(b, n), 0);
        bitmap_fill(b, n);
        assert_int_equal(bitmap_count(b, n), n);
    }
    arena_release(&a);
}

static void test_sets_and_lists(void **state)
{
    struct arena a;
    arena_init(&a, 0, NULL);
    uint32_t n = 1000, list[1000];
    uint64_t *three = bitmap_new(&a, n), *five = bitmap_new(&a, n), *b = bitmap_new(&a, n);
    for (uint32_t i = 0; i < n; i++) {
        if (i % 3 == 0)
            bitmap_set(three, i);
        if (i % 5 == 0)
            bitmap_set(five, i);
    }
    bitmap_or(b, three, n);
    bitmap_and(b, five, n);
    uint32_t count = bitmap_list(b, n, list);
    assert_int_equal(count, 67);
    for (uint32_t i = 0; i < count; i++)
        assert_int_equal(list[i], i * 15);
    bitmap_or(b, three, n);
    bitmap_andnot(b, five, n);
    assert_int_equal(bitmap_count(b, n), 334 - 67);
    assert_true(bitmap_get(b, 3));
    assert_false(bitmap_get(b, 15));
    bitmap_clear(b, 3);
    assert_false(bitmap_get(b, 3));
    arena_release(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bits_past_the_end_stay_zero),
        cmocka_unit_test(test_sets_and_lists),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
