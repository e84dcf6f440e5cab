/* A real MariaDB for a test program: Debian's, on a free port of loopback. Who is root runs it as
 * user mysql. Its databases are t1, t2, ..., its user weir without a password. */
#ifndef WEIR_TESTS_MARIADB_KIT_H
#define WEIR_TESTS_MARIADB_KIT_H

#include "core/clock.h"
#include "core/io.h"
#include "core/mem.h"
#include "free_port.h"

#include <grp.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

enum { MY_DATABASES = 60 };
struct my_server {
    char dir[300];
    unsigned port;
    pid_t pid;
    unsigned databases; /* given out */
};

static inline pid_t my_spawn(char *const *argv)
{
    pid_t pid = fork();
    if (pid)
        return pid;
    /* Not by its --user: who changes his user outlives his parent. */
    const struct passwd *user = geteuid() ? NULL : getpwnam("mysql");
    if (user && (initgroups("mysql", user->pw_gid) || setgid(user->pw_gid) || setuid(user->pw_uid)))
        _exit(125);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (!freopen("/dev/null", "w", stdout) || !freopen("/dev/null", "w", stderr))
        _exit(125);
    execvp(argv[0], argv);
    _exit(126); /* the package mariadb-server is missing */
}

static inline void my_run(char *const *argv)
{
    int status = 0;
    pid_t pid = my_spawn(argv);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

/* It listens once what --init-file says is done. */
static inline bool my_is_ready(const struct my_server *s)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)s->port),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    char c;
    bool ready = connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0 && recv(fd, &c, 1, 0) == 1;
    close(fd);
    return ready;
}

/* Commits reach the system, not the disk: what is killed here is the process, not the machine. */
static inline void my_start(struct my_server *s)
{
    char port[40], data[340], socket[340], pid_file[340], init[340], log[340];
    snprintf(port, sizeof(port), "--port=%u", s->port);
    snprintf(data, sizeof(data), "--datadir=%s/d", s->dir);
    snprintf(socket, sizeof(socket), "--socket=%s/s", s->dir);
    snprintf(pid_file, sizeof(pid_file), "--pid-file=%s/p", s->dir);
    snprintf(init, sizeof(init), "--init-file=%s/init", s->dir);
    snprintf(log, sizeof(log), "--log-error=%s/log", s->dir);
    char *argv[] = {"/usr/sbin/mariadbd",
                    "--no-defaults",
                    "--bind-address=127.0.0.1",
                    "--skip-log-bin",
                    "--innodb-buffer-pool-size=16M",
                    "--innodb-log-file-size=8M",
                    "--innodb-flush-log-at-trx-commit=2",
                    "--max-allowed-packet=1M",
                    "--sql-mode=ANSI_QUOTES,NO_BACKSLASH_ESCAPES",
                    "--transaction-isolation=READ-UNCOMMITTED",
                    "--init-connect=SET autocommit = 0",
                    port,
                    data,
                    socket,
                    pid_file,
                    init,
                    log,
                    NULL};
    s->pid = my_spawn(argv);
    for (int64_t until = clock_mono_ns() + 120 * NS_PER_S; !my_is_ready(s); clock_sleep_ms(20)) {
        assert_int_equal(waitpid(s->pid, NULL, WNOHANG), 0);
        assert_true(clock_mono_ns() < until);
    }
}

/* signal: SIGTERM to stop, SIGKILL. */
static inline void my_end(struct my_server *s, int signal)
{
    kill(s->pid, signal);
    assert_int_equal(waitpid(s->pid, NULL, 0), s->pid);
}

static inline void my_init(struct my_server *s)
{
    char data[340], path[340];
    struct buf init;
    *s = (struct my_server){.port = free_port()};
    snprintf(s->dir, sizeof(s->dir), "%s", test_dir_in_memory());
    if (geteuid() == 0) {
        const struct passwd *user = getpwnam("mysql");
        assert_non_null(user);
        assert_int_equal(chown(s->dir, user->pw_uid, user->pw_gid), 0);
    }
    snprintf(data, sizeof(data), "--datadir=%s/d", s->dir);
    char *argv[] = {"mariadb-install-db",
                    "--no-defaults",
                    "--auth-root-authentication-method=normal",
                    "--skip-test-db",
                    data,
                    NULL};
    my_run(argv);
    buf_init(&init, 64 << 10);
    /* A statement a line. */
    buf_put_c(&init, "CREATE USER IF NOT EXISTS weir@'%';\n"
                     "GRANT PROCESS ON *.* TO weir@'%';\n"
                     "CREATE USER IF NOT EXISTS guest@'%' IDENTIFIED BY 'a\"b''c';\n");
    for (int i = 1; i <= MY_DATABASES; i++)
        buf_printf(&init, "CREATE DATABASE IF NOT EXISTS t%d;\nGRANT ALL ON t%d.* TO weir@'%%';\n",
                   i, i);
    buf_put_c(&init, "GRANT SELECT ON t1.* TO guest@'%';\n");
    snprintf(path, sizeof(path), "%s/init", s->dir);
    assert_ok(io_write_file(path, buf_str(&init)));
    assert_int_equal(chmod(path, 0644), 0);
    buf_release(&init);
    my_start(s);
}

static inline void my_remove(struct my_server *s)
{
    my_end(s, SIGTERM);
    test_rmdir(s->dir);
}

static inline void my_url(struct my_server *s, char *out, size_t size, unsigned port)
{
    assert_true(s->databases < MY_DATABASES);
    snprintf(out, size, "mysql://weir@127.0.0.1:%u/t%u", port, ++s->databases);
}

#endif
