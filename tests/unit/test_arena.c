#include "core/arena.h"
#include "core/governor.h"
#include "core/mem.h"
#include "test.h"

static char order[8];

static void note(void *arg)
{
    strncat(order, arg, 1);
}

static void test_alloc_and_reset(void **state)
{
    struct arena a;
    arena_init(&a, 0, NULL);
    for (int i = 0; i < 2000; i++) {
        size_t n = (size_t)i % 97;
        char *p = arena_alloc(&a, n);
        assert_int_equal((uintptr_t)p % 16, 0);
        memset(p, i, n);
    }
    char *large = arena_alloc(&a, 3 << 20);
    memset(large, 1, 3 << 20);
    assert_true(a.used > 3 << 20);
    arena_reset(&a);
    assert_in_range(a.used, 1, 1 << 20);
    int *zero = ARENA_ARRAY(&a, int, 100);
    for (int i = 0; i < 100; i++)
        assert_int_equal(zero[i], 0);
    arena_release(&a);
    assert_int_equal(a.used, 0);
    assert_non_null(arena_alloc(&a, 1));
    arena_release(&a);
}

/* Memory given out once is not given out again before a reset: every byte keeps its value. */
static void test_no_overlap(void **state)
{
    struct arena a;
    arena_init(&a, 0, NULL);
    unsigned char *p[300];
    for (unsigned i = 0; i < 300; i++) {
        size_t n = i % 50 == 49 ? 9000 : i;
        p[i] = memset(arena_alloc(&a, n), (int)(i % 251), n);
    }
    for (unsigned i = 0; i < 300; i++) {
        for (size_t k = 0; k < (i % 50 == 49 ? 9000 : i); k++)
            assert_int_equal(p[i][k], i % 251);
    }
    arena_release(&a);
}

static void test_text(void **state)
{
    struct arena a;
    arena_init(&a, 0, NULL);
    struct str s = arena_str(&a, STR("abc"));
    assert_string_equal(s.p, "abc");
    assert_str(arena_str(&a, (struct str){0}), "");
    assert_str(arena_printf(&a, "%05d", 42), "00042");
    arena_release(&a);
}

static void test_rewind(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 0, NULL);
    struct arena_mark empty = arena_mark(&a);
    memset(arena_alloc(&a, 100), 1, 100);
    arena_rewind(&a, &empty);
    assert_int_equal(a.used, 0);
    char *kept = memset(arena_alloc(&a, 1000), 7, 1000);
    memset(arena_alloc(&a, 2 << 20), 8, 2 << 20); /* a chunk of its own, older than the mark */
    size_t used = a.used;
    for (int round = 0; round < 3; round++) {
        struct arena_mark mark = arena_mark(&a);
        char *first = arena_alloc(&a, 16);
        for (size_t n = 1; n < 4 << 20; n = n * 3 + 1) {
            memset(arena_alloc(&a, n), 9, n);
            struct arena_mark inner = arena_mark(&a);
            memset(arena_alloc(&a, n * 2), 9, n * 2);
            arena_rewind(&a, &inner);
        }
        arena_rewind(&a, &mark);
        assert_int_equal(a.used, used);
        assert_ptr_equal(arena_alloc(&a, 16), first);
        arena_rewind(&a, &mark);
    }
    for (int i = 0; i < 1000; i++)
        assert_int_equal(kept[i], 7);
    arena_release(&a);
}

static void test_bound(void **state)
{
    struct arena a;
    arena_init(&a, 8192, NULL);
    assert_null(arena_try_alloc(&a, 8192));
    assert_true(a.failed);
    size_t got = 0;
    while (arena_try_alloc(&a, 16))
        got += 16;
    assert_in_range(got, 7500, 8192); /* the bound is used up to the last small chunk */
    assert_in_range(a.used, 1, 8192);
    a.failed = false;
    assert_non_null(arena_alloc(&a, 16)); /* past the bound, and says so */
    assert_true(a.failed);
    assert_null(arena_try_alloc(&a, SIZE_MAX));
    arena_reset(&a);
    assert_false(a.failed);
    assert_non_null(arena_try_alloc(&a, 16));
    arena_release(&a);
}

static void test_reservation(void **state)
{
    struct reservation res;
    struct arena a;
    reservation_init(&res, OWNER_QUERY, 64 << 10);
    arena_init(&a, 0, &res);
    assert_non_null(arena_try_alloc(&a, 10000));
    assert_int_equal(res.bytes, a.used);
    assert_int_equal(governor_used_by(OWNER_QUERY), a.used);
    assert_null(arena_try_alloc(&a, 64 << 10));
    assert_true(a.failed);
    arena_release(&a);
    assert_int_equal(governor_used_by(OWNER_QUERY), 0);
}

static void test_cleanups_newest_first(void **state)
{
    struct arena a;
    arena_init(&a, 1, NULL); /* even in a full arena */
    arena_defer(&a, note, "a");
    arena_defer(&a, note, "b");
    arena_reset(&a);
    assert_string_equal(order, "ba");
    arena_defer(&a, note, "c");
    arena_release(&a);
    arena_release(&a);
    assert_string_equal(order, "bac");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rewind),
        cmocka_unit_test(test_alloc_and_reset),
        cmocka_unit_test(test_no_overlap),
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_bound),
        cmocka_unit_test(test_reservation),
        cmocka_unit_test(test_cleanups_newest_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
