/* The pager runs as a child that reads what we write to standard output. */
#include "cmd/pager.h"

#include "cmd/options.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static pid_t child;

static bool in_path(const char *name)
{
    struct str path = str_c(getenv("PATH") ? getenv("PATH") : "/usr/bin:/bin"), folder;
    char file[4096];
    while (path.p && str_split(&path, ':', &folder)) {
        snprintf(file, sizeof(file), "%.*s/%s", STR_ARG(folder), name);
        if (access(file, X_OK) == 0)
            return true;
    }
    return false;
}

static const char *choose(void)
{
    const char *pager = getenv("PAGER");
    if (pager)
        return *pager && strcmp(pager, "cat") != 0 ? pager : NULL;
    return in_path("less") ? "less" : NULL;
}

static void run_pager(const char *pager, int from)
{
    signal(SIGPIPE, SIG_DFL);
    setenv("LESS", "RFX", 0);
    dup2(from, STDIN_FILENO);
    close(from);
    execlp("sh", "sh", "-c", pager, (char *)NULL);
    _exit(127);
}

void pager_start(void)
{
    int ends[2];
    const char *pager = terminal_is_stdout() ? choose() : NULL;
    if (!pager || pipe(ends) != 0)
        return;
    terminal_remember();
    fflush(stdout);
    child = fork();
    if (child == 0) {
        close(ends[1]);
        run_pager(pager, ends[0]);
    }
    close(ends[0]);
    if (child > 0) {
        dup2(ends[1], STDOUT_FILENO);
        signal(SIGINT, SIG_IGN); /* the reader's: its end shows as a closed pipe */
    }
    close(ends[1]);
}

void pager_finish(void)
{
    int status;
    if (child <= 0)
        return;
    fflush(stdout);
    close(STDOUT_FILENO);
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    child = 0;
}
