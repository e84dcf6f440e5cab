#include "auth/auth.h"
#include "test.h"

static bool check(const char *header)
{
    struct auth_root root = {STR("root"), STR("se:cret")};
    return auth_root_check(&root, str_c(header));
}

static void test_good(void **state)
{
    assert_true(check("Basic cm9vdDpzZTpjcmV0"));
    assert_true(check("basic  cm9vdDpzZTpjcmV0 "));
}

static void test_bad(void **state)
{
    const char *bad[] = {
        "",
        "Basic",
        "Basic ",
        "Bearer cm9vdDpzZTpjcmV0",
        "Basic cm9vdDpzZTpjcmV",      /* root:se:cre */
        "Basic cm9vdDpzZTpjcmV0MQ==", /* root:se:cret1 */
        "Basic cm9vdDo=",             /* root: */
        "Basic cm9vdA==",             /* root */
        "Basic OnNlOmNyZXQ=",         /* :se:cret */
        "Basic cm9vdHM6c2U6Y3JldA==", /* roots:se:cret */
        "Basic cm9vdDpzZTpjcmV0!",    /* no base64 */
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        if (check(bad[i]))
            fail_msg("let in: %s", bad[i]);
    char longer[4000] = "Basic ";
    memset(longer + 6, 'A', sizeof(longer) - 7);
    assert_false(check(longer));
}

/* A password that repeats must not be matched by its repetition. */
static void test_lengths(void **state)
{
    struct auth_root root = {STR("a"), STR("b")};
    assert_true(auth_root_check(&root, STR("Basic YTpi")));      /* a:b */
    assert_false(auth_root_check(&root, STR("Basic YTpiYg=="))); /* a:bb */
    assert_false(auth_root_check(&root, STR("Basic YWE6Yg=="))); /* aa:b */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_lengths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
