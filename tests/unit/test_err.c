#include "test.h"

#include <errno.h>
#include <pthread.h>

static enum err fail_once(enum err code)
{
    TRY(OK);
    TRY(code);
    return OK;
}

static enum err fail_out(enum err code, bool *ret_cleaned)
{
    enum err err = OK;
    TRY_OUT(code);
    *ret_cleaned = false;
    return OK;
out:
    *ret_cleaned = true;
    return err;
}

static void test_detail(void **state)
{
    assert_err(err_set(ERR_LIMIT, "body of %d bytes", 3), ERR_LIMIT, "body of 3 bytes");
    /* A new detail may quote the old one. */
    assert_err(err_set(ERR_INVALID, "part 2: %s", err_text()), ERR_INVALID, "part 2: body of 3");
    char longest[5000];
    memset(longest, 'x', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = 0;
    (void)err_set(ERR_INVALID, "%s", longest);
    assert_in_range(strlen(err_text()), 200, 4000);
}

static void test_errno(void **state)
{
    errno = ENOENT;
    assert_err(err_set_errno("open %s", "/x"), ERR_IO, "open /x: No such file or directory");
    errno = ENOSPC;
    assert_err(err_set_errno("write"), ERR_FULL, "No space left");
    errno = EDQUOT;
    assert_err(err_set_errno("write"), ERR_FULL, "write: ");
}

static void *other_thread(void *arg)
{
    (void)err_set(ERR_IO, "from the other");
    return NULL;
}

static void test_detail_is_per_thread(void **state)
{
    (void)err_set(ERR_IO, "from here");
    pthread_t t;
    assert_int_equal(pthread_create(&t, NULL, other_thread, NULL), 0);
    pthread_join(t, NULL);
    assert_string_equal(err_text(), "from here");
}

static void test_names_and_macros(void **state)
{
    for (int i = 0; i <= 16; i++)
        assert_string_not_equal(err_name((enum err) - i), "unknown");
    assert_string_equal(err_name((enum err) - 17), "unknown");
    assert_string_equal(err_name((enum err)1), "unknown");
    assert_string_equal(err_name(ERR_AGAIN), "try again");
    assert_string_equal(err_name(ERR_CORRUPT), "corrupt");
    assert_int_equal(fail_once(ERR_EOF), ERR_EOF);
    assert_int_equal(fail_once(OK), OK);
    bool cleaned = false;
    assert_int_equal(fail_out(ERR_EOF, &cleaned), ERR_EOF);
    assert_true(cleaned);
    assert_dies(CHECK(cleaned == false));
    assert_dies(BUG("at %d", 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_detail),
        cmocka_unit_test(test_errno),
        cmocka_unit_test(test_detail_is_per_thread),
        cmocka_unit_test(test_names_and_macros),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
