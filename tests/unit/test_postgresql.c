/* The driver for PostgreSQL on a real server: what remote_kit.h asks of every driver, its URLs and
 * rights. */
#include "postgresql_kit.h"
#include "remote_kit.h"

static struct pg_server server;

/* ---- the server ---- */

static unsigned port(void)
{
    return server.port;
}

static void url_through(char *out, size_t size, unsigned through)
{
    snprintf(out, size, "postgresql://weir@127.0.0.1:%u/postgres?schema=t%u", through,
             ++server.schemas);
}

static void kill_server(void)
{
    pg_end(&server, SIGKILL);
}

static void start_server(void)
{
    pg_start(&server);
}

static void terminate_others(struct sql *db)
{
    assert_ok(db->driver->exec(db, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                                   " WHERE pid <> pg_backend_pid()"
                                   " AND backend_type = 'client backend'"));
}

static const struct engine engine = {
    .port = port,
    .url = url_through,
    .kill = kill_server,
    .start = start_server,
    .end_sessions = terminate_others,
    .broken_key = "constraint \"t_pkey\"",
    .ended = "terminat",
    .no_server = "refused",
};

/* ---- URLs ---- */

/* The disk that is full is the server's: nothing is gained by making room here. */
static void test_full_disk(void **state)
{
    struct fixture *f = *state;
    assert_ok(f->d->begin(f->db));
    assert_err(f->d->exec(f->db, "DO $$ BEGIN RAISE 'no space' USING ERRCODE = '53100'; END $$"),
               ERR_UNAVAILABLE, "no space");
    f->d->rollback(f->db);
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
    snprintf(url, sizeof(url), "postgresql://weir:hush@127.0.0.1:%u/postgres", free_port());
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
    const struct CMUnitTest tests[] = {
        REMOTE_TESTS,
        REMOTE_TEST(test_full_disk),
        cmocka_unit_test(test_urls),
        REMOTE_TEST(test_opening),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
