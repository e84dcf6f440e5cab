/* Which lines of a tail come again. */
#include "query/again.h"
#include "test.h"

static uint64_t key(const char *text, const char *id)
{
    return again_key(str_c(text), str_c(id));
}

static void test_keys(void **state)
{
    assert_true(key("{\"a\":1,\"_id\":\"0-a-0\"}", "0-a-0") ==
                key("{\"a\":1,\"_id\":\"0-ffff-0\"}", "0-ffff-0"));
    assert_true(key("0-a-0x0-a-0", "0-a-0") == key("0-bb-0x0-bb-0", "0-bb-0"));
    assert_true(key("{\"a\":1,\"_id\":\"0-a-0\"}", "0-a-0") !=
                key("{\"a\":2,\"_id\":\"0-a-0\"}", "0-a-0"));
    assert_true(key("{\"a\":1}", "0-a-0") == key("{\"a\":1}", "0-b-0"));
    assert_true(key("ab0-a-0", "0-a-0") != key("a0-a-0b", "0-a-0"));
}

static void test_forgotten_once(void **state)
{
    struct again a = {0};
    assert_false(again_came(&a, 1));
    for (uint64_t p = 1; p <= 6; p++)
        again_shown(&a, p, p / 2); /* keys 0 1 1 2 2 3 */
    again_published(&a, 2);
    again_forgotten(&a, 2, 5);
    assert_false(again_came(&a, 0));
    assert_true(again_came(&a, 1) && again_came(&a, 1));
    assert_false(again_came(&a, 1));
    /* Another time, before all of the first have come. */
    again_shown(&a, 7, 9);
    again_forgotten(&a, 7, 8);
    assert_true(again_came(&a, 9) && again_came(&a, 2) && again_came(&a, 2));
    assert_false(again_came(&a, 2) || again_came(&a, 3) || again_came(&a, 9));
    again_release(&a);
}

/* Of more than it holds the oldest are not known. */
static void test_bound(void **state)
{
    struct again a = {0};
    for (uint64_t p = 1; p <= AGAIN_MAX + 10; p++)
        again_shown(&a, p, p);
    assert_true(a.cap <= 4 * AGAIN_MAX);
    again_forgotten(&a, 1, UINT64_MAX - 1);
    assert_int_equal(a.n_due, AGAIN_MAX);
    assert_false(again_came(&a, 10));
    assert_true(again_came(&a, 11) && again_came(&a, AGAIN_MAX + 10));
    again_release(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_forgotten_once),
        cmocka_unit_test(test_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
