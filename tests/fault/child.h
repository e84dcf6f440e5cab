/* A test's victim: a child process that works under a fault plan and tells its parent, over a pipe,
 * what it was told. What it said before it was killed counts. */
#ifndef WEIR_TESTS_FAULT_CHILD_H
#define WEIR_TESTS_FAULT_CHILD_H

#include "core/fault.h"
#include "core/mem.h"
#include "test.h"

enum { CHILD_DONE = 0, CHILD_GAVE_UP = 7 };

/* One thing said: what, about which, and two numbers more. */
struct said {
    uint32_t what, id;
    int64_t a, b;
};
struct said_list {
    struct said *items;
    size_t n, cap;
    bool killed;    /* by the plan's crash */
    int code;       /* else its exit code */
    uint64_t calls; /* I/O calls it counted, where it came to its end */
};

static int child_fd = -1;

static inline void child_say(uint32_t what, uint32_t id, int64_t a, int64_t b)
{
    struct said s = {what, id, a, b};
    if (write(child_fd, &s, sizeof(s)) != (ssize_t)sizeof(s))
        _exit(99);
}

/* What a power cut takes is decided by the fault layer: the files can be in memory, which is
 * faster. */
static inline void child_use_memory(void)
{
    if (access("/dev/shm", W_OK) == 0)
        setenv("TMPDIR", "/dev/shm", 0);
}

enum { SAID_CALLS = 1000 };

/* Runs fn(arg) in a child under the plan; fn returns its exit code. */
static inline struct said_list child_run(const struct fault_plan *plan, int (*fn)(void *),
                                         void *arg)
{
    struct said_list list = {0};
    int fd[2], status = 0;
    assert_int_equal(pipe(fd), 0);
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        close(fd[0]);
        child_fd = fd[1];
        fault_set(plan);
        int code = fn(arg);
        child_say(SAID_CALLS, 0, (int64_t)fault_calls(), 0);
        _exit(code);
    }
    close(fd[1]);
    struct said s;
    while (read(fd[0], &s, sizeof(s)) == (ssize_t)sizeof(s)) {
        if (s.what == SAID_CALLS) {
            list.calls = (uint64_t)s.a;
            continue;
        }
        ARRAY_GROW(list.items, list.cap, list.n + 1);
        list.items[list.n++] = s;
    }
    close(fd[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    list.killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
    if (!list.killed && !WIFEXITED(status))
        fail_msg("the child died of signal %d", WTERMSIG(status));
    list.code = list.killed ? -1 : WEXITSTATUS(status);
    return list;
}

#endif
