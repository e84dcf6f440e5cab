/* What every test needs: cmocka with the headers it wants, results with their text, a folder to
 * write in, and captured output. */
#ifndef WEIR_TESTS_TEST_H
#define WEIR_TESTS_TEST_H

#include "core/err.h"
#include "core/str.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define assert_ok(expr)                                                                            \
    do {                                                                                           \
        enum err assert_err_ = (expr);                                                             \
        if (assert_err_ != OK)                                                                     \
            fail_msg("%s: %s (%s)", #expr, err_name(assert_err_), err_text());                     \
    } while (0)

/* Fails with just this code, and its text contains `part`. */
#define assert_err(expr, code, part)                                                               \
    do {                                                                                           \
        enum err assert_err_ = (expr);                                                             \
        if (assert_err_ != (code))                                                                 \
            fail_msg("%s: %s, wanted %s", #expr, err_name(assert_err_), err_name(code));           \
        if (!strstr(err_text(), (part)))                                                           \
            fail_msg("%s: \"%s\" lacks \"%s\"", #expr, err_text(), (part));                        \
    } while (0)

#define assert_str(s, literal)                                                                     \
    do {                                                                                           \
        struct str assert_str_ = (s);                                                              \
        if (!str_eq_c(assert_str_, (literal)))                                                     \
            fail_msg("\"%.*s\", wanted \"%s\"", STR_ARG(assert_str_), (literal));                  \
    } while (0)

/* Waits for what another thread does. Only a test that fails waits as long as that: the machine may
 * be busy with other things. */
#define assert_soon(condition)                                                                     \
    do {                                                                                           \
        bool soon_ = false;                                                                        \
        for (int wait_ = 0; wait_ < 60000 && !(soon_ = (condition)); wait_++)                      \
            usleep(1000);                                                                          \
        if (!soon_)                                                                                \
            fail_msg("not in a minute: %s", #condition);                                           \
    } while (0)

/* The statement ends the process: by a signal (CHECK, BUG), or by a sanitizer's exit. */
#define assert_dies(statement)                                                                     \
    do {                                                                                           \
        fflush(NULL);                                                                              \
        pid_t pid_ = fork();                                                                       \
        if (pid_ == 0) {                                                                           \
            if (!freopen("/dev/null", "w", stderr))                                                \
                _exit(1);                                                                          \
            signal(SIGABRT, SIG_DFL);                                                              \
            statement;                                                                             \
            _exit(0);                                                                              \
        }                                                                                          \
        int status_ = 0;                                                                           \
        assert_int_equal(waitpid(pid_, &status_, 0), pid_);                                        \
        if (status_ == 0)                                                                          \
            fail_msg("survives: %s", #statement);                                                  \
    } while (0)

/* A fresh folder under TMPDIR; its path is kept until the next call. Remove it with test_rmdir. */
static inline const char *test_dir(void)
{
    static char path[256];
    const char *tmp = getenv("TMPDIR");
    snprintf(path, sizeof(path), "%s/weir-test-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    assert_non_null(mkdtemp(path));
    return path;
}

/* The same in memory where there is a folder for that: for tests that break the disk by the I/O
 * layer, which decides what a power cut loses. Real syncs would only take time. */
static inline const char *test_dir_in_memory(void)
{
    if (access("/dev/shm", W_OK) == 0)
        setenv("TMPDIR", "/dev/shm", 0);
    return test_dir();
}

static inline void test_rmdir(const char *path)
{
    char command[512];
    assert_non_null(strstr(path, "weir-test-"));
    snprintf(command, sizeof(command), "rm -rf '%s'", path);
    assert_int_equal(system(command), 0);
}

#endif
