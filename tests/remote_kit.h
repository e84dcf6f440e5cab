/* What a driver of a database server has to do, whichever it is: what goes over the wire, and what
 * is made of a wire that breaks. Between both stands a relay of the test, which can cut it in the
 * middle of a commit. */
#ifndef WEIR_TESTS_REMOTE_KIT_H
#define WEIR_TESTS_REMOTE_KIT_H

#include "catalog/catalog.h"
#include "catalog/sql.h"
#include "core/log.h"
#include "core/thread.h"
#include "test.h"

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>

/* A real server, by a table of the test program. */
struct engine {
    unsigned (*port)(void);
    /* Of a schema or database that nobody had before, through a port. */
    void (*url)(char *out, size_t size, unsigned port);
    void (*kill)(void);
    void (*start)(void);
    void (*end_sessions)(struct sql *db);       /* of all others */
    const char *broken_key, *ended, *no_server; /* what errors say */
};
static const struct engine engine;

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

static inline int dial_server(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)engine.port()),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    return fd;
}

static inline bool send_all(int fd, const char *p, ssize_t n)
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

/* With a NUL behind it, or at the end: not the word in READ COMMITTED. */
static inline bool is_commit(const char *p, size_t n)
{
    return memmem(p, n, "COMMIT", sizeof("COMMIT")) || (n > 6 && !memcmp(p + n - 6, "COMMIT", 6));
}

/* False: the connection is over. The commands are small, each batch of them comes in one piece. */
static inline bool carry(struct relay *r, int from, int to, bool asks)
{
    static char buffer[1 << 17];
    ssize_t n = recv(from, buffer, sizeof(buffer), 0);
    if (n <= 0)
        return false;
    bool commit = asks && is_commit(buffer, (size_t)n);
    enum cut cut = commit ? atomic_exchange(&r->cut, CUT_NOTHING) : CUT_NOTHING;
    if (cut == CUT_BEFORE)
        return false;
    if (!send_all(to, buffer, n))
        return false;
    if (cut == CUT_AFTER)
        (void)!recv(to, buffer, sizeof(buffer), 0);
    return cut == CUT_NOTHING;
}

static inline void serve(struct relay *r, int client)
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

static inline void *relay_run(void *arg)
{
    struct relay *r = arg;
    while (!r->stop) {
        struct pollfd p = {.fd = r->listener, .events = POLLIN};
        if (poll(&p, 1, 50) > 0)
            serve(r, accept(r->listener, NULL, NULL));
    }
    return NULL;
}

static inline void relay_start(struct relay *r)
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

static inline void relay_stop(struct relay *r)
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

static inline int setup(void **state)
{
    struct fixture *f = NEW(struct fixture);
    *state = f;
    char text[200];
    engine.url(f->url, sizeof(f->url), engine.port());
    if (sql_open_url(str_c(f->url), "", true, &f->db) != OK)
        return 1;
    f->d = f->db->driver;
    snprintf(text, sizeof(text), "CREATE TABLE t (id BIGINT PRIMARY KEY, name %s%s NOT NULL)",
             f->d->text, f->d->text_end);
    return f->d->exec(f->db, text) != OK;
}

static inline int teardown(void **state)
{
    struct fixture *f = *state;
    f->d->close(f->db);
    mem_free(f);
    return 0;
}

static inline enum err insert(struct sql *db, int64_t id, bool at_once)
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

static inline int64_t count(struct sql *db)
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

/* ---- statements ---- */

static inline void test_statements(void **state)
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

static inline void test_failures(void **state)
{
    struct fixture *f = *state;
    struct sql_stmt *s;
    assert_ok(f->d->begin(f->db));
    assert_ok(insert(f->db, 1, true));
    assert_err(insert(f->db, 1, true), ERR_EXISTS, engine.broken_key);
    f->d->rollback(f->db);
    assert_int_equal(count(f->db), 0);
    /* What is run late is told late, and nothing of it stays. */
    assert_ok(f->d->begin(f->db));
    assert_ok(insert(f->db, 1, false));
    assert_ok(insert(f->db, 1, false));
    assert_ok(insert(f->db, 2, false));
    assert_err(f->d->commit(f->db), ERR_EXISTS, engine.broken_key);
    assert_int_equal(count(f->db), 0);
    assert_ok(f->d->begin(f->db));
    assert_ok(insert(f->db, 1, false));
    assert_ok(insert(f->db, 1, false));
    assert_err(insert(f->db, 2, true), ERR_EXISTS, engine.broken_key);
    f->d->rollback(f->db);
    assert_int_equal(count(f->db), 0);
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

static inline void *add_up(void *arg)
{
    struct fixture *f = arg;
    struct sql *db;
    assert_ok(sql_open_url(str_c(f->url), "", true, &db));
    for (int i = 0; i < 20; i++) {
        assert_ok(db->driver->begin(db));
        assert_ok(insert(db, count(db) + 1, true));
        assert_ok(db->driver->commit(db));
    }
    db->driver->close(db);
    return NULL;
}

static inline void test_turns(void **state)
{
    struct fixture *f = *state;
    pthread_t t[3];
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&t[i], NULL, add_up, f), 0);
    for (int i = 0; i < 3; i++)
        pthread_join(t[i], NULL);
    assert_int_equal(count(f->db), 60);
}

static inline void test_turn_is_not_had(void **state)
{
    struct fixture *f = *state;
    struct sql *second, *other;
    char url[300];
    assert_ok(sql_open_url(str_c(f->url), "", true, &second));
    engine.url(url, sizeof(url), engine.port());
    assert_ok(sql_open_url(str_c(url), "", true, &other));
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

static inline void test_terminated(void **state)
{
    struct fixture *f = *state;
    struct sql *second;
    assert_ok(sql_open_url(str_c(f->url), "", true, &second));
    engine.end_sessions(second); /* while nothing is under way: nobody notices */
    assert_int_equal(count(f->db), 0);
    engine.end_sessions(second);
    assert_ok(f->d->begin(f->db));
    assert_ok(insert(f->db, 1, true));
    engine.end_sessions(second); /* within a transaction: it is over */
    assert_err(insert(f->db, 2, true), ERR_UNAVAILABLE, engine.ended);
    assert_err(insert(f->db, 3, true), ERR_UNAVAILABLE, engine.ended);
    assert_err(f->d->commit(f->db), ERR_UNAVAILABLE, engine.ended);
    assert_int_equal(count(f->db), 0);
    assert_ok(f->d->begin(f->db));
    assert_ok(insert(f->db, 1, false));
    engine.end_sessions(second); /* at the commit it is not known */
    assert_err(f->d->commit(f->db), ERR_TIMEOUT, "no answer to the commit");
    assert_int_equal(count(f->db), 0);
    second->driver->close(second);
}

static inline void test_killed(void **state)
{
    struct fixture *f = *state;
    assert_ok(f->d->begin(f->db));
    assert_ok(insert(f->db, 1, true));
    assert_ok(f->d->commit(f->db));
    assert_ok(f->d->begin(f->db));
    assert_ok(insert(f->db, 2, true));
    engine.kill();
    assert_int_equal(insert(f->db, 3, true), ERR_UNAVAILABLE);
    f->d->rollback(f->db);
    assert_err(f->d->begin(f->db), ERR_UNAVAILABLE, engine.no_server);
    assert_err(f->d->exec(f->db, "SELECT 1"), ERR_UNAVAILABLE, engine.no_server);
    engine.start();
    assert_ok(f->d->begin(f->db));
    assert_int_equal(count(f->db), 1);
    assert_ok(f->d->commit(f->db));
}

static inline void commit_through(struct fixture *f, struct relay *r, enum cut cut, int64_t id,
                                  bool there)
{
    char url[300], *port;
    struct sql *db;
    int64_t before = count(f->db);
    const char *path = strrchr(f->url, '/');
    snprintf(url, sizeof(url), "%s", f->url);
    port = strrchr(url, ':');
    snprintf(port, sizeof(url) - (size_t)(port - url), ":%u%s", r->port, path);
    assert_ok(sql_open_url(str_c(url), "", true, &db));
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

static inline void test_lost_commit(void **state)
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
static inline void test_lost_publish(void **state)
{
    struct relay r;
    struct catalog *c;
    char url[300];
    uint64_t at = 0, position = 0;
    relay_start(&r);
    engine.url(url, sizeof(url), r.port);
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

static inline void assert_refused(const char *url, enum err code, const char *text)
{
    struct sql *db;
    assert_err(sql_check_url(str_c(url)), code, text);
    assert_null(strstr(err_text(), "hush"));
    assert_int_equal(sql_open_url(str_c(url), "", true, &db), code);
}

#define REMOTE_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define REMOTE_TESTS                                                                               \
    REMOTE_TEST(test_statements), REMOTE_TEST(test_failures), REMOTE_TEST(test_turns),             \
        REMOTE_TEST(test_turn_is_not_had), REMOTE_TEST(test_terminated), REMOTE_TEST(test_killed), \
        REMOTE_TEST(test_lost_commit), cmocka_unit_test(test_lost_publish)

#endif
