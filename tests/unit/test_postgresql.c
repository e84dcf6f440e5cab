/* The driver for PostgreSQL on a real server: what goes over the wire, and what is made of a wire
 * that breaks. Between both stands a relay of the test, which can cut it in the middle of a commit.
 */
#include "catalog/catalog.h"
#include "catalog/sql.h"
#include "core/log.h"
#include "core/thread.h"
#include "postgresql_kit.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>

static struct pg_server server;

/* ---- the relay ---- */

enum cut {
    CUT_NOTHING,
    CUT_BEFORE, /* the COMMIT does not arrive */
    CUT_AFTER,  /* it does, and its answer gets lost */
};

struct relay {
    int listener;
    unsigned port;
    pthread_t thread;
    _Atomic enum cut cut; /* at the next COMMIT, once */
    atomic_bool stop;
};

static int dial_server(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)server.port),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    return fd;
}

static bool send_all(int fd, const char *p, ssize_t n)
{
    while (n > 0) {
        ssize_t k = send(fd, p, (size_t)n, MSG_NOSIGNAL);
        if (k <= 0)
            return false;
        p += k;
        n -= k;
    }
    return true;
}

/* False: the connection is over. The commands are small, each batch of them comes in one piece. */
static bool carry(struct relay *r, int from, int to, bool asks)
{
    static char buffer[1 << 17];
    ssize_t n = recv(from, buffer, sizeof(buffer), 0);
    if (n <= 0)
        return false;
    /* With the NUL behind it: not the word in READ COMMITTED. */
    bool commit = asks && memmem(buffer, (size_t)n, "COMMIT", sizeof("COMMIT"));
    enum cut cut = commit ? atomic_exchange(&r->cut, CUT_NOTHING) : CUT_NOTHING;
    if (cut == CUT_BEFORE)
        return false;
    if (!send_all(to, buffer, n))
        return false;
    if (cut == CUT_AFTER)
        (void)!recv(to, buffer, sizeof(buffer), 0);
    return cut == CUT_NOTHING;
}

static void serve(struct relay *r, int client)
{
    int up = dial_server();
    struct pollfd p[2] = {{.fd = client, .events = POLLIN}, {.fd = up, .events = POLLIN}};
    bool good = true;
    while (good && !r->stop) {
        if (poll(p, 2, 50) <= 0)
            continue;
        if (p[0].revents)
            good = carry(r, client, up, true);
        if (good && p[1].revents)
            good = carry(r, up, client, false);
    }
    close(client);
    close(up);
}

static void *relay_run(void *arg)
{
    struct relay *r = arg;
    while (!r->stop) {
        struct pollfd p = {.fd = r->listener, .events = POLLIN};
        if (poll(&p, 1, 50) > 0)
            serve(r, accept(r->listener, NULL, NULL));
    }
    return NULL;
}

static void relay_start(struct relay *r)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(a);
    *r = (struct relay){.listener = socket(AF_INET, SOCK_STREAM, 0)};
    assert_int_equal(bind(r->listener, (struct sockaddr *)&a, n), 0);
    assert_int_equal(listen(r->listener, 5), 0);
    assert_int_equal(getsockname(r->listener, (struct sockaddr *)&a, &n), 0);
    r->port = ntohs(a.sin_port);
    assert_int_equal(pthread_create(&r->thread, NULL, relay_run, r), 0);
}

static void relay_stop(struct relay *r)
{
    r->stop = true;
    pthread_join(r->thread, NULL);
    close(r->listener);
}

/* ---- what the tests share ---- */

struct fixture {
    char url[300];
    struct sql *db;
    const struct sql_driver *d;
};

static int setup(void **state)
{
    struct fixture *f = NEW(struct fixture);
    *state = f;
    pg_url(&server, f->url, sizeof(f->url));
    if (sql_open_postgresql(str_c(f->url), true, &f->db) != OK)
        return 1;
    f->d = f->db->driver;
    assert_ok(f->d->begin(f->db));
    assert_ok(f->d->exec(f->db, "CREATE TABLE t (id BIGINT PRIMARY KEY, name TEXT NOT NULL)"));
    return f->d->commit(f->db) != OK;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    f->d->close(f->db);
    mem_free(f);
    return 0;
}

static enum err insert(struct sql *db, int64_t id, bool at_once)
{
    struct sql_stmt *s;
    bool row;
    assert_ok(db->driver->prepare(db, "INSERT INTO t (id, name) VALUES (?, ?)", &s));
    enum err err = db->driver->bind_i64(s, 0, id);
    if (err == OK)
        err = db->driver->bind_text(s, 1, STR("näme"));
    if (err == OK)
        err = at_once ? db->driver->step(s, &row) : db->driver->run(s);
    db->driver->finish(s);
    return err;
}

static int64_t count(struct sql *db)
{
    struct sql_stmt *s;
    bool row = false;
    assert_ok(db->driver->prepare(db, "SELECT COUNT(*) FROM t", &s));
    assert_ok(db->driver->step(s, &row));
    assert_true(row);
    int64_t n = db->driver->column_i64(s, 0);
    db->driver->finish(s);
    return n;
}

/* Ends what others have open. */
static void terminate_others(struct sql *db)
{
    assert_ok(db->driver->exec(db, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                                   " WHERE pid <> pg_backend_pid()"
                                   " AND backend_type = 'client backend'"));
}

/* ---- statements ---- */

static void test_statements(void **state)
{
    struct fixture *f = *state;
    struct sql_stmt *s;
    bool row = false;
    assert_true(f->db->shared);
    assert_ok(f->d->begin(f->db));
    for (int i = 1; i <= 1000; i++)
        assert_ok(insert(f->db, i, false));
    assert_int_equal(count(f->db), 1000);
    assert_ok(f->d->exec(f->db, "UPDATE t SET name = 'x' WHERE id <= 10"));
    assert_int_equal(f->d->affected(f->db), 10);
    assert_ok(f->d->exec(f->db, "UPDATE t SET name = 'x' WHERE id <= 10"));
    assert_int_equal(f->d->affected(f->db), 10); /* whether or not it changed them */
    assert_ok(f->d->commit(f->db));
    /* Rows come one by one; the rest of them can be left. */
    assert_ok(f->d->prepare(f->db, "SELECT id, name FROM t WHERE id > ? ORDER BY id", &s));
    for (int round = 0; round < 3; round++) {
        assert_ok(f->d->bind_i64(s, 0, 500));
        for (int i = 501; i < 501 + round; i++) {
            assert_ok(f->d->step(s, &row));
            assert_true(row);
            assert_int_equal(f->d->column_i64(s, 0), i);
            assert_str(f->d->column_text(s, 1), "näme");
        }
        f->d->reset(s);
    }
    assert_ok(f->d->bind_i64(s, 0, 999));
    assert_ok(f->d->step(s, &row));
    assert_true(row);
    assert_ok(f->d->step(s, &row));
    assert_false(row);
    assert_ok(f->d->step(s, &row));
    assert_false(row);
    f->d->finish(s);
    assert_err(f->d->exec(f->db, "SELECT nonsense"), ERR_IO, "nonsense");
    assert_int_equal(count(f->db), 1000);
}

static void test_failures(void **state)
{
    struct fixture *f = *state;
    struct sql_stmt *s;
    assert_ok(f->d->begin(f->db));
    assert_ok(insert(f->db, 1, true));
    assert_err(insert(f->db, 1, true), ERR_EXISTS, "constraint \"t_pkey\"");
    f->d->rollback(f->db);
    assert_int_equal(count(f->db), 0);
    /* What is run late is told late, and nothing of it stays. */
    assert_ok(f->d->begin(f->db));
    assert_ok(insert(f->db, 1, false));
    assert_ok(insert(f->db, 1, false));
    assert_ok(insert(f->db, 2, false));
    assert_err(f->d->commit(f->db), ERR_EXISTS, "t_pkey");
    assert_int_equal(count(f->db), 0);
    assert_ok(f->d->begin(f->db));
    assert_ok(insert(f->db, 1, false));
    assert_ok(insert(f->db, 1, false));
    assert_err(insert(f->db, 2, true), ERR_EXISTS, "t_pkey");
    f->d->rollback(f->db);
    assert_int_equal(count(f->db), 0);
    /* The disk that is full is the server's: nothing is gained by making room here. */
    assert_ok(f->d->begin(f->db));
    assert_err(f->d->exec(f->db, "DO $$ BEGIN RAISE 'no space' USING ERRCODE = '53100'; END $$"),
               ERR_UNAVAILABLE, "no space");
    f->d->rollback(f->db);
    /* A commit that the server makes a rollback. */
    assert_ok(f->d->begin(f->db));
    assert_ok(insert(f->db, 1, true));
    assert_int_equal(f->d->exec(f->db, "SELECT nonsense"), ERR_IO);
    assert_err(f->d->commit(f->db), ERR_IO, "rolled back");
    assert_int_equal(count(f->db), 0);
    assert_ok(f->d->prepare(f->db, "SELECT id FROM t WHERE name = ?", &s));
    assert_err(f->d->bind_text(s, 0, STR("a\0b")), ERR_INVALID, "NUL");
    f->d->finish(s);
}

/* ---- turns ---- */

static void *add_up(void *arg)
{
    struct fixture *f = arg;
    struct sql *db;
    assert_ok(sql_open_postgresql(str_c(f->url), true, &db));
    for (int i = 0; i < 20; i++) {
        assert_ok(db->driver->begin(db));
        assert_ok(insert(db, count(db) + 1, true));
        assert_ok(db->driver->commit(db));
    }
    db->driver->close(db);
    return NULL;
}

static void test_turns(void **state)
{
    struct fixture *f = *state;
    pthread_t t[3];
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&t[i], NULL, add_up, f), 0);
    for (int i = 0; i < 3; i++)
        pthread_join(t[i], NULL);
    assert_int_equal(count(f->db), 60);
}

static void test_turn_is_not_had(void **state)
{
    struct fixture *f = *state;
    struct sql *second, *other;
    char url[300];
    assert_ok(sql_open_postgresql(str_c(f->url), true, &second));
    pg_url(&server, url, sizeof(url));
    assert_ok(sql_open_postgresql(str_c(url), true, &other));
    assert_ok(f->d->begin(f->db));
    assert_ok(insert(f->db, 1, true));
    assert_ok(other->driver->begin(other)); /* another schema's turn */
    assert_ok(other->driver->commit(other));
    assert_int_equal(count(second), 0); /* to read takes no turn */
    assert_err(second->driver->begin(second), ERR_UNAVAILABLE, "another server has been writing");
    assert_ok(f->d->commit(f->db));
    assert_ok(second->driver->begin(second));
    assert_int_equal(count(second), 1);
    assert_ok(second->driver->commit(second));
    second->driver->close(second);
    other->driver->close(other);
}

/* ---- breaks ---- */

static void test_terminated(void **state)
{
    struct fixture *f = *state;
    struct sql *second;
    assert_ok(sql_open_postgresql(str_c(f->url), true, &second));
    terminate_others(second); /* while nothing is under way: nobody notices */
    assert_int_equal(count(f->db), 0);
    terminate_others(second);
    assert_ok(f->d->begin(f->db));
    assert_ok(insert(f->db, 1, true));
    terminate_others(second); /* within a transaction: it is over */
    assert_err(insert(f->db, 2, true), ERR_UNAVAILABLE, "terminat");
    assert_err(insert(f->db, 3, true), ERR_UNAVAILABLE, "terminat");
    assert_err(f->d->commit(f->db), ERR_UNAVAILABLE, "terminat");
    assert_int_equal(count(f->db), 0);
    assert_ok(f->d->begin(f->db));
    assert_ok(insert(f->db, 1, false));
    terminate_others(second); /* at the commit it is not known */
    assert_err(f->d->commit(f->db), ERR_TIMEOUT, "no answer to the commit");
    assert_int_equal(count(f->db), 0);
    second->driver->close(second);
}

static void test_killed(void **state)
{
    struct fixture *f = *state;
    assert_ok(f->d->begin(f->db));
    assert_ok(insert(f->db, 1, true));
    assert_ok(f->d->commit(f->db));
    assert_ok(f->d->begin(f->db));
    assert_ok(insert(f->db, 2, true));
    pg_end(&server, SIGKILL);
    assert_int_equal(insert(f->db, 3, true), ERR_UNAVAILABLE);
    f->d->rollback(f->db);
    assert_err(f->d->begin(f->db), ERR_UNAVAILABLE, "refused");
    assert_err(f->d->exec(f->db, "SELECT 1"), ERR_UNAVAILABLE, "refused");
    pg_start(&server);
    assert_ok(f->d->begin(f->db));
    assert_int_equal(count(f->db), 1);
    assert_ok(f->d->commit(f->db));
}

static void commit_through(struct fixture *f, struct relay *r, enum cut cut, int64_t id, bool there)
{
    char url[300];
    struct sql *db;
    int64_t before = count(f->db);
    const char *schema = strstr(f->url, "?schema=");
    snprintf(url, sizeof(url), "postgresql://weir@127.0.0.1:%u/postgres%s", r->port, schema);
    assert_ok(sql_open_postgresql(str_c(url), true, &db));
    assert_ok(db->driver->begin(db));
    assert_ok(insert(db, id, id % 2));
    r->cut = cut;
    assert_err(db->driver->commit(db), ERR_TIMEOUT, "no answer to the commit");
    /* The next who has the turn sees what became of it. */
    assert_ok(db->driver->begin(db));
    assert_int_equal(count(db), before + there);
    assert_ok(db->driver->commit(db));
    db->driver->close(db);
}

static void test_lost_commit(void **state)
{
    struct relay r;
    relay_start(&r);
    for (int64_t id = 1; id <= 6; id++) {
        commit_through(*state, &r, CUT_BEFORE, id, false);
        commit_through(*state, &r, CUT_AFTER, id, true);
    }
    relay_stop(&r);
}

/* A publish whose answer is lost is not said to have failed, and the checkpoint tells. */
static void test_lost_publish(void **state)
{
    struct relay r;
    struct catalog *c;
    char url[300];
    uint64_t at = 0, position = 0;
    unsigned n = ++server.schemas;
    relay_start(&r);
    snprintf(url, sizeof(url), "postgresql://weir@127.0.0.1:%u/postgres?schema=t%u", r.port, n);
    assert_ok(catalog_open(str_c(url), "", &c));
    for (int i = 0; i < 6; i++) {
        struct catalog_section section = {.stream_id = 1, .rows = 1};
        struct catalog_segment segment = {
            .id = (uint64_t)i + 1, .section = &section, .n_sections = 1};
        struct catalog_key key = {.key = {(uint64_t)i, 1}};
        struct catalog_publish p = {.segment = &segment,
                                    .consumer = STR("store"),
                                    .from = position,
                                    .to = position + 10,
                                    .key = &key,
                                    .n_keys = 1};
        r.cut = i % 2 ? CUT_BEFORE : CUT_AFTER;
        assert_err(catalog_publish(c, &p), ERR_TIMEOUT, "not known whether");
        assert_ok(catalog_meta_set(c, STR("settled"), STR("1")));
        assert_ok(catalog_checkpoint(c, STR("store"), 0, &at));
        assert_int_equal(at, i % 2 ? position : position + 10);
        position = at;
    }
    catalog_close(c);
    relay_stop(&r);
}

/* ---- URLs ---- */

static void assert_refused(const char *url, enum err code, const char *text)
{
    struct sql *db;
    assert_err(sql_check_url(str_c(url)), code, text);
    assert_null(strstr(err_text(), "hush"));
    assert_int_equal(sql_open_url(str_c(url), "", true, &db), code);
}

static void test_urls(void **state)
{
    assert_refused("postgresql://h/d?sslmod=x", ERR_INVALID, "did you mean \"sslmode\"?");
    assert_refused("postgresql://h/d?schem=x", ERR_INVALID, "did you mean \"schema\"?");
    assert_refused("postgresql://u:hush@hush@h/d", ERR_INVALID, "'@' %40");
    assert_refused("postgresql://u:hu/hush@h/d", ERR_INVALID, "'/' is written %2F");
    assert_refused("postgresql://u:hush%zz@h/d", ERR_INVALID, "'%' is %25");
    assert_refused("postgresql://u@h/d?password=hush%zz", ERR_INVALID, "'%' is %25");
    assert_refused("postgresql://u:hush@h/d?sslmode=x", ERR_INVALID, "sslmode value: \"x\"");
    assert_refused("postgresql://u:hush@[::1/d", ERR_INVALID, "IPv6");
    assert_refused("postgresql://u:hush@h:x/d", ERR_INVALID, "the port \"x\"");
    assert_refused("postgresql://u:hush@h/d?schema=%zz", ERR_INVALID, "schema");
    assert_refused("postgresql://u:hush@h/d?schema=", ERR_INVALID, "schema");
    assert_refused("postgresql://u:hush@h/d?password_file=/x", ERR_INVALID, "both");
    assert_ok(sql_check_url(STR("postgresql://u:p%40ss@h1:1,[::1]:2/d?sslmode=require&schema=a")));
    assert_ok(sql_check_url(STR("postgres:///d?host=/var/run/postgresql")));
}

static void test_opening(void **state)
{
    struct fixture *f = *state;
    char url[400];
    struct sql *db;
    bool there = true;
    snprintf(url, sizeof(url), "postgresql://hush@127.0.0.1:%u/postgres", server.port);
    assert_err(sql_open_url(str_c(url), "", true, &db), ERR_AUTH, "does not exist");
    snprintf(url, sizeof(url), "postgresql://weir:hush@127.0.0.1:%u/nowhere", server.port);
    assert_err(sql_open_url(str_c(url), "", true, &db), ERR_AUTH, "\"nowhere\" does not exist");
    assert_null(strstr(err_text(), "hush"));
    snprintf(url, sizeof(url), "postgresql://weir:hush@127.0.0.1:%u/postgres", pg_free_port());
    assert_err(sql_open_url(str_c(url), "", true, &db), ERR_UNAVAILABLE, "refused");
    assert_null(strstr(err_text(), "hush"));
    /* A schema of any name; tables of another are none of this one's. */
    snprintf(url, sizeof(url), "postgresql://weir@127.0.0.1:%u/postgres?schema=a%%22%%20b'",
             server.port);
    assert_ok(sql_open_url(str_c(url), "", true, &db));
    assert_ok(db->driver->has_table(db, "t", &there));
    assert_false(there);
    db->driver->close(db);
    assert_ok(f->d->has_table(f->db, "t", &there));
    assert_true(there);
    /* Rights, and encodings. */
    assert_ok(f->d->exec(f->db, "CREATE ROLE guest LOGIN"));
    snprintf(url, sizeof(url), "postgresql://guest@127.0.0.1:%u/postgres", server.port);
    struct catalog *c;
    assert_err(catalog_open(str_c(url), "", &c), ERR_AUTH, "GRANT");
}

static int start(void **state)
{
    log_set_level(LOG_ERROR);
    pg_init(&server);
    return 0;
}

static int stop(void **state)
{
    pg_remove(&server);
    return 0;
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_statements),
        T(test_failures),
        T(test_turns),
        T(test_turn_is_not_had),
        T(test_terminated),
        T(test_killed),
        T(test_lost_commit),
        cmocka_unit_test(test_lost_publish),
        cmocka_unit_test(test_urls),
        T(test_opening),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
