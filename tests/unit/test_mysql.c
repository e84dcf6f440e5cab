/* The driver for MySQL on a real MariaDB, whose settings are as unlike as they can be to what the
 * driver wants: what remote_kit.h asks of every driver, and what is MySQL's own. */
#include "catalog/catalog_impl.h"
#include "mariadb_kit.h"
#include "remote_kit.h"

static struct my_server server;

/* ---- the server ---- */

static unsigned port(void)
{
    return server.port;
}

static void url_through(char *out, size_t size, unsigned through)
{
    my_url(&server, out, size, through);
}

static void kill_server(void)
{
    my_end(&server, SIGKILL);
}

static void start_server(void)
{
    my_start(&server);
}

static void kill_sessions(struct sql *db)
{
    struct sql_stmt *s;
    int64_t id[50];
    char text[40];
    bool row = false;
    int n = 0;
    assert_ok(db->driver->prepare(db,
                                  "SELECT id FROM information_schema.processlist"
                                  " WHERE user = 'weir' AND id <> CONNECTION_ID()",
                                  &s));
    while (db->driver->step(s, &row) == OK && row && n < 50)
        id[n++] = db->driver->column_i64(s, 0);
    db->driver->finish(s);
    while (n--) {
        snprintf(text, sizeof(text), "KILL %lld", (long long)id[n]);
        (void)db->driver->exec(db, text); /* it may be gone by itself */
    }
}

static const struct engine engine = {
    .port = port,
    .url = url_through,
    .kill = kill_server,
    .start = start_server,
    .end_sessions = kill_sessions,
    .broken_key = "Duplicate entry '1' for key 'PRIMARY'",
    .ended = "catalog mysql://127.0.0.1:",
    .no_server = "Can't connect",
};

static void set_global(char *text)
{
    char socket[340];
    snprintf(socket, sizeof(socket), "--socket=%s/s", server.dir);
    char *argv[] = {"mariadb", "--no-defaults", socket, "-uroot", "-e", text, NULL};
    my_run(argv);
}

/* ---- statements ---- */

static void add(struct sql *db, int64_t id, struct str name)
{
    struct sql_stmt *s;
    assert_ok(db->driver->prepare(db, "INSERT INTO t (id, name) VALUES (?, ?)", &s));
    assert_ok(db->driver->bind_i64(s, 0, id));
    assert_ok(db->driver->bind_text(s, 1, name));
    assert_ok(db->driver->run(s));
    db->driver->finish(s);
}

/* Neither bytes nor numbers change on the way, whatever the server's character set and mode. */
static void test_values(void **state)
{
    static const char *const text[] = {"",  " ",          "a",    "a ",
                                       "A", "'\"\\`?;--", "näme", "\xff\xfe\x01"};
    enum { N = sizeof(text) / sizeof(*text) };
    static const int64_t number[N] = {0, -1, 1, INT64_MIN, INT64_MAX, -5, 7, 8};
    struct fixture *f = *state;
    struct sql_stmt *s;
    bool row;
    assert_ok(f->d->begin(f->db));
    for (int i = 0; i < N; i++)
        add(f->db, number[i], str_c(text[i]));
    assert_ok(f->d->commit(f->db));
    assert_ok(f->d->prepare(f->db, "SELECT id, name, 7 - ? FROM t WHERE name = ?", &s));
    for (int i = 0; i < N; i++) {
        assert_ok(f->d->bind_i64(s, 0, -5));
        assert_ok(f->d->bind_text(s, 1, str_c(text[i])));
        assert_ok(f->d->step(s, &row));
        assert_true(row);
        assert_int_equal(f->d->column_i64(s, 0), number[i]);
        assert_str(f->d->column_text(s, 1), text[i]);
        assert_int_equal(f->d->column_i64(s, 2), 12);
        assert_ok(f->d->step(s, &row));
        assert_false(row);
        f->d->reset(s);
    }
    f->d->finish(s);
}

/* More than one packet of the server's takes. */
static void test_many_and_large(void **state)
{
    enum { BYTES = 100000, ROWS = 40 };
    struct fixture *f = *state;
    char *large = mem_alloc(BYTES);
    memset(large, 'x', BYTES);
    assert_ok(f->d->begin(f->db));
    for (int i = 1; i <= ROWS; i++)
        add(f->db, i, str_of(large, BYTES));
    assert_ok(f->d->commit(f->db));
    assert_int_equal(count(f->db), ROWS);
    mem_free(large);
}

/* A transaction that a statement has ended is not gone on with: what comes would be stored at once.
 */
static void test_transaction_left(void **state)
{
    struct fixture *f = *state;
    assert_ok(f->d->begin(f->db));
    assert_err(f->d->exec(f->db, "CREATE TABLE other (id BIGINT PRIMARY KEY)"), ERR_UNAVAILABLE,
               "left the transaction");
    assert_int_equal(insert(f->db, 1, true), ERR_UNAVAILABLE);
    assert_int_equal(insert(f->db, 2, false), ERR_UNAVAILABLE);
    f->d->rollback(f->db);
    assert_int_equal(count(f->db), 0);
    assert_ok(f->d->begin(f->db));
    assert_int_equal(f->d->exec(f->db, "SELECT nonsense"), ERR_IO);
    assert_err(insert(f->db, 1, true), ERR_UNAVAILABLE, "has failed");
    assert_err(insert(f->db, 1, false), ERR_UNAVAILABLE, "has failed");
    f->d->rollback(f->db);
    assert_int_equal(count(f->db), 0);
}

/* The snapshot is not older than the turn, though the transaction began before another's commit. */
static void *write_late(void *arg)
{
    struct fixture *f = arg;
    struct sql *db;
    assert_ok(sql_open_url(str_c(f->url), "", true, &db));
    assert_ok(db->driver->begin(db)); /* waits for the other */
    assert_int_equal(count(db), 1);
    assert_ok(db->driver->commit(db));
    db->driver->close(db);
    return NULL;
}

static void test_snapshot(void **state)
{
    struct fixture *f = *state;
    pthread_t t;
    struct sql_stmt *s;
    bool waits = false;
    assert_ok(f->d->begin(f->db));
    assert_int_equal(pthread_create(&t, NULL, write_late, f), 0);
    assert_ok(
        f->d->prepare(f->db,
                      "SELECT 1 FROM information_schema.processlist"
                      " WHERE user = 'weir' AND info LIKE 'UPDATE turns%' AND db = DATABASE()",
                      &s));
    for (int64_t until = clock_mono_ns() + 60 * NS_PER_S; !waits; clock_sleep_ms(5)) {
        assert_true(clock_mono_ns() < until);
        assert_ok(f->d->step(s, &waits));
        f->d->reset(s);
    }
    f->d->finish(s);
    assert_ok(insert(f->db, 1, true));
    assert_ok(f->d->commit(f->db));
    pthread_join(t, NULL);
}

/* Who was the writer of a cluster, and is not any more. */
static void test_read_only(void **state)
{
    struct fixture *f = *state;
    struct sql *db;
    assert_ok(f->d->begin(f->db));
    assert_ok(insert(f->db, 1, true));
    assert_ok(f->d->commit(f->db));
    set_global("SET GLOBAL read_only = 1");
    assert_err(f->d->begin(f->db), ERR_UNAVAILABLE, "read-only");
    assert_err(f->d->exec(f->db, "SELECT 1"), ERR_UNAVAILABLE, "read-only");
    assert_err(sql_open_url(str_c(f->url), "", true, &db), ERR_UNAVAILABLE, "read-only");
    set_global("SET GLOBAL read_only = 0");
    assert_int_equal(count(f->db), 1);
    assert_ok(f->d->begin(f->db));
    assert_ok(insert(f->db, 2, true));
    assert_ok(f->d->commit(f->db));
}

/* ---- the schema ---- */

static void fill(struct catalog *c)
{
    uint64_t id = 0, again = 0;
    assert_ok(catalog_stream(c, STR("o"), STR("s"), &id));
    assert_ok(catalog_stream(c, STR("o"), STR("s "), &again));
    assert_int_not_equal(id, again);
    assert_ok(catalog_new_segment_id(c, &id));
    assert_int_equal(id, 1);
}

/* Killed between any two of its statements, the next makes the rest. */
static void test_half_a_schema(void **state)
{
    static const char *const tables[] = {"turns",       "meta",     "counters",         "streams",
                                         "segments",    "sections", "idempotency_keys", "producers",
                                         "checkpoints", "nodes",    "leases",           "garbage"};
    for (size_t left = 0; left < sizeof(tables) / sizeof(*tables); left++) {
        char url[300], text[100];
        struct catalog *c;
        struct sql *db;
        my_url(&server, url, sizeof(url), server.port);
        assert_ok(catalog_open(str_c(url), "", &c));
        catalog_close(c);
        assert_ok(sql_open_url(str_c(url), "", true, &db));
        assert_ok(db->driver->begin(db));
        assert_ok(db->driver->exec(db, "DELETE FROM meta"));
        assert_ok(db->driver->exec(db, "DELETE FROM counters"));
        assert_ok(db->driver->exec(db, "DELETE FROM leases"));
        assert_ok(db->driver->commit(db));
        assert_ok(db->driver->exec(db, "DROP INDEX idempotency_keys_at ON idempotency_keys"));
        for (size_t i = left; i < sizeof(tables) / sizeof(*tables); i++) {
            snprintf(text, sizeof(text), "DROP TABLE %s", tables[i]);
            assert_ok(db->driver->exec(db, text));
        }
        db->driver->close(db);
        assert_ok(catalog_open(str_c(url), "", &c));
        fill(c);
        assert_ok(c->db->driver->exec(c->db, "SELECT 1 FROM idempotency_keys"
                                             " FORCE INDEX (idempotency_keys_at)"));
        catalog_close(c);
    }
}

struct opening {
    const char *url;
    uint64_t id;
};

static void *open_and_take(void *arg)
{
    struct opening *o = arg;
    struct catalog *c;
    assert_ok(catalog_open(str_c(o->url), "", &c));
    assert_ok(catalog_new_segment_id(c, &o->id));
    catalog_close(c);
    return NULL;
}

/* Each has all of it, and nothing is made twice. */
static void test_opened_at_once(void **state)
{
    enum { N = 4 };
    for (int round = 0; round < 6; round++) {
        char url[300];
        pthread_t t[N];
        struct opening o[N];
        uint64_t sum = 0;
        my_url(&server, url, sizeof(url), server.port);
        for (int i = 0; i < N; i++) {
            o[i] = (struct opening){url, 0};
            assert_int_equal(pthread_create(&t[i], NULL, open_and_take, &o[i]), 0);
        }
        for (int i = 0; i < N; i++) {
            pthread_join(t[i], NULL);
            sum += o[i].id - 1;
        }
        assert_int_equal(sum, 0 + 1 + 2 + 3);
    }
}

/* ---- URLs ---- */

static void test_urls(void **state)
{
    assert_refused("mysql://h/d?tls_cs=x", ERR_INVALID, "did you mean \"tls_ca\"?");
    assert_refused("mysql://h/d?tls_ca=x", ERR_INVALID, "tls_ca is of mysql+tls://");
    assert_refused("mysql+tls://h/d?tls_verify=x", ERR_INVALID, "yes or no is wanted");
    assert_refused("mysql+tls://h/d?tls_cert=/x", ERR_INVALID, "together");
    assert_refused("mysql://u:hu/hush@h/d", ERR_INVALID, "'/' is written %2F");
    assert_refused("mysql://u:hush?hush@h/d", ERR_INVALID, "'?' %3F");
    assert_refused("mysql://u:hush%zz@h/d", ERR_INVALID, "password of the URL has a '%'");
    assert_refused("mysql://u:hush%00@h/d", ERR_INVALID, "password");
    assert_refused("mysql://u:hush@h:x/d", ERR_INVALID, "the port \"x\"");
    assert_refused("mysql://u:hush@h,i:y/d", ERR_INVALID, "the port \"y\"");
    assert_refused("mysql://u:hush@h", ERR_INVALID, "one database");
    assert_refused("mysql://u:hush@h/a/b", ERR_INVALID, "one database");
    assert_refused("mysql://u:hush@/d", ERR_INVALID, "USER@HOST/DATABASE");
    assert_refused("mysql://u:hush@h/d?socket=/s", ERR_INVALID, "both");
    assert_refused("mysql://u:hush@h/d?password_file=/x", ERR_INVALID, "both");
    assert_refused("mysql://u:hush@h/d?password_file=", ERR_INVALID, "empty");
    assert_refused("mysql://u:hush@h/d?connect_timeout=0", ERR_INVALID, "seconds");
    assert_ok(sql_check_url(STR("mysql+tls://u:p%40ss@h1:1,[::1]:2/d?tls_verify=no")));
    assert_ok(sql_check_url(STR("mysql:///d?socket=/run/mysqld/mysqld.sock&connect_timeout=7")));
}

static void open_refused(const char *user, const char *rest, enum err code, const char *text)
{
    char url[400];
    struct sql *db;
    snprintf(url, sizeof(url), "%s127.0.0.1:%u%s", user, server.port, rest);
    assert_err(sql_open_url(str_c(url), "", true, &db), code, text);
    assert_null(strstr(err_text(), "hush"));
}

static void test_opening(void **state)
{
    char url[500];
    struct sql *db;
    struct catalog *c;
    open_refused("mysql://weir:hush@", "/t1", ERR_AUTH, "Access denied for user 'weir'");
    open_refused("mysql://weir@", "/nowhere", ERR_AUTH, "to database 'nowhere'");
    open_refused("mysql+tls://weir@", "/t1", ERR_UNAVAILABLE, "TLS");
    open_refused("mysql+tls://weir@", "/t1?tls_verify=no", ERR_UNAVAILABLE, "TLS");
    snprintf(url, sizeof(url), "mysql://weir:hush@127.0.0.1:%u/t1", free_port());
    assert_err(sql_open_url(str_c(url), "", true, &db), ERR_UNAVAILABLE, "Can't connect");
    /* The first of several that there is; a socket. */
    snprintf(url, sizeof(url), "mysql://weir@127.0.0.1:%u,127.0.0.1:%u/t1", free_port(),
             server.port);
    assert_ok(sql_open_url(str_c(url), "", true, &db));
    db->driver->close(db);
    snprintf(url, sizeof(url), "mysql://weir@/t1?socket=%s/s", server.dir);
    assert_ok(sql_open_url(str_c(url), "", true, &db));
    db->driver->close(db);
    /* Rights, and a password with all that has to be escaped. */
    snprintf(url, sizeof(url), "mysql://guest:a%%22b'c@127.0.0.1:%u/t1", server.port);
    assert_err(catalog_open(str_c(url), "", &c), ERR_AUTH, "GRANT");
}

static int start(void **state)
{
    log_set_level(LOG_ERROR);
    my_init(&server);
    return 0;
}

static int stop(void **state)
{
    my_remove(&server);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        REMOTE_TESTS,
        REMOTE_TEST(test_values),
        REMOTE_TEST(test_many_and_large),
        REMOTE_TEST(test_transaction_left),
        REMOTE_TEST(test_snapshot),
        REMOTE_TEST(test_read_only),
        cmocka_unit_test(test_half_a_schema),
        cmocka_unit_test(test_opened_at_once),
        cmocka_unit_test(test_urls),
        cmocka_unit_test(test_opening),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
