/* A real PostgreSQL for a test program: Debian's, on a free port of loopback, without syncs. Who is
 * root runs it as user postgres, since it does not run as root. */
#ifndef WEIR_TESTS_POSTGRESQL_KIT_H
#define WEIR_TESTS_POSTGRESQL_KIT_H

#include "core/clock.h"
#include "core/io.h"
#include "core/mem.h"
#include "free_port.h"

#include <arpa/inet.h>
#include <glob.h>
#include <grp.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

struct pg_server {
    char dir[300];
    unsigned port;
    pid_t pid;
    unsigned schemas; /* given out */
};

static inline void pg_become(void)
{
    if (geteuid() == 0) {
        const struct passwd *user = getpwnam("postgres");
        if (!user || initgroups("postgres", user->pw_gid) || setgid(user->pw_gid) ||
            setuid(user->pw_uid))
            _exit(125);
    }
    prctl(PR_SET_PDEATHSIG, SIGQUIT);
    if (!freopen("/dev/null", "w", stdout) || !freopen("/dev/null", "w", stderr))
        _exit(125);
}

/* name: of a program of the newest PostgreSQL that is installed. */
static inline pid_t pg_spawn(const struct pg_server *s, const char *name, char *const *argv)
{
    char pattern[100];
    glob_t found;
    snprintf(pattern, sizeof(pattern), "/usr/lib/postgresql/*/bin/%s", name);
    assert_int_equal(glob(pattern, 0, NULL, &found), 0); /* the package postgresql is missing */
    pid_t pid = fork();
    if (pid == 0) {
        pg_become();
        if (chdir(s->dir) == 0)
            execv(found.gl_pathv[found.gl_pathc - 1], argv);
        _exit(126);
    }
    globfree(&found);
    return pid;
}

/* Its last word in the file of its process id. */
static inline bool pg_is_ready(const struct pg_server *s)
{
    char path[400];
    struct buf b;
    snprintf(path, sizeof(path), "%s/d/postmaster.pid", s->dir);
    if (io_read_file(path, 4096, &b) != OK)
        return false;
    bool ready = str_find(buf_str(&b), STR("\nready")) < b.n;
    buf_release(&b);
    return ready;
}

static inline void pg_start(struct pg_server *s)
{
    char port[16];
    snprintf(port, sizeof(port), "%u", s->port);
    char *argv[] = {"postgres",
                    "-D",
                    "d",
                    "-p",
                    port,
                    "-c",
                    "listen_addresses=127.0.0.1",
                    "-c",
                    "unix_socket_directories=",
                    "-c",
                    "fsync=off",
                    "-c",
                    "shared_buffers=8MB",
                    "-c",
                    "max_connections=30",
                    "-c",
                    "dynamic_shared_memory_type=mmap",
                    NULL};
    s->pid = pg_spawn(s, "postgres", argv);
    for (int64_t until = clock_mono_ns() + 120 * NS_PER_S; !pg_is_ready(s); clock_sleep_ms(20)) {
        assert_int_equal(waitpid(s->pid, NULL, WNOHANG), 0);
        assert_true(clock_mono_ns() < until);
    }
}

/* Its sessions would end by themselves, but not before they are in the way of the next. */
static inline void pg_kill_sessions(const char *pids)
{
    int pid, used;
    char path[64];
    for (; sscanf(pids, "%d%n", &pid, &used) == 1; pids += used) {
        snprintf(path, sizeof(path), "/proc/%d/cwd", pid); /* a zombie has none */
        kill(pid, SIGKILL);
        while (io_exists(path))
            clock_sleep_ms(5);
    }
}

/* signal: SIGINT to stop, SIGKILL. */
static inline void pg_end(struct pg_server *s, int signal)
{
    char path[400], children[2000] = "";
    snprintf(path, sizeof(path), "/proc/%d/task/%d/children", s->pid, s->pid);
    FILE *f = fopen(path, "r");
    if (f && signal == SIGKILL)
        (void)!fread(children, 1, sizeof(children) - 1, f);
    if (f)
        fclose(f);
    kill(s->pid, signal);
    assert_int_equal(waitpid(s->pid, NULL, 0), s->pid);
    pg_kill_sessions(children);
    snprintf(path, sizeof(path), "%s/d/postmaster.pid", s->dir);
    unlink(path); /* a killed one leaves it */
}

static inline void pg_init(struct pg_server *s)
{
    int status = 0;
    *s = (struct pg_server){.port = free_port()};
    snprintf(s->dir, sizeof(s->dir), "%s", test_dir_in_memory());
    if (geteuid() == 0) {
        const struct passwd *user = getpwnam("postgres");
        assert_non_null(user);
        assert_int_equal(chown(s->dir, user->pw_uid, user->pw_gid), 0);
    }
    char *argv[] = {
        "initdb",           "-D", "d", "-A", "trust", "-U", "weir", "--no-sync", "-E", "UTF8",
        "--locale=C.UTF-8", NULL};
    pid_t pid = pg_spawn(s, "initdb", argv);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    pg_start(s);
}

static inline void pg_remove(struct pg_server *s)
{
    pg_end(s, SIGINT);
    test_rmdir(s->dir);
}

/* Of a schema that nobody had before. */
static inline void pg_url(struct pg_server *s, char *out, size_t size)
{
    snprintf(out, size, "postgresql://weir@127.0.0.1:%u/postgres?schema=t%u", s->port,
             ++s->schemas);
}

#endif
