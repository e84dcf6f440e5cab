#include "catalog/shared.h"
#include "catalog/sql.h"
#include "core/io.h"
#include "core/mem.h"
#include "mariadb_kit.h"
#include "postgresql_kit.h"
#include "test.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>

static struct pg_server postgresql;
static struct my_server mariadb;

struct fixture {
    char dir[300], path[400], url[500];
    const char *server; /* what a database server calls itself; NULL: a file */
    struct catalog *c;
    struct arena arena;
};

static struct fixture *new_fixture(void **state)
{
    struct fixture *f = NEW(struct fixture);
    snprintf(f->dir, sizeof(f->dir), "%s", test_dir());
    snprintf(f->path, sizeof(f->path), "%s/catalog.sqlite", f->dir);
    snprintf(f->url, sizeof(f->url), "sqlite:%s", f->path);
    arena_init(&f->arena, 0, NULL);
    *state = f;
    return f;
}

static int setup(void **state)
{
    struct fixture *f = new_fixture(state);
    return catalog_open(str_c(f->url), "", &f->c);
}

/* Of a catalog that is not there yet. */
static void server_url(const struct fixture *f, char *out, size_t size)
{
    if (f->server[0] == 'P')
        pg_url(&postgresql, out, size);
    else
        my_url(&mariadb, out, size, mariadb.port);
}

static int setup_server(void **state, const char *server)
{
    struct fixture *f = new_fixture(state);
    f->server = server;
    server_url(f, f->url, sizeof(f->url));
    return catalog_open(str_c(f->url), "", &f->c);
}

static int setup_postgresql(void **state)
{
    return setup_server(state, "PostgreSQL 1");
}

static int setup_mariadb(void **state)
{
    return setup_server(state, "MariaDB 1");
}

/* What an error says of it. */
static const char *broken_key(const struct fixture *f)
{
    return f->server && f->server[0] == 'M' ? "Duplicate entry" : "constraint";
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    catalog_close(f->c);
    arena_release(&f->arena);
    test_rmdir(f->dir);
    mem_free(f);
    return 0;
}

static void reopen(struct fixture *f)
{
    catalog_close(f->c);
    f->c = NULL;
    assert_ok(catalog_open(str_c(f->url), "", &f->c));
}

static size_t count_segments(struct fixture *f, struct catalog_segment **ret)
{
    struct catalog_segment *s = NULL;
    size_t n = 99;
    assert_ok(catalog_load_segments(f->c, &f->arena, &s, &n));
    if (ret)
        *ret = s;
    return n;
}

static uint64_t checkpoint(struct fixture *f, const char *consumer, uint32_t partition)
{
    uint64_t position = 99;
    assert_ok(catalog_checkpoint(f->c, str_c(consumer), partition, &position));
    return position;
}

static enum err move(struct fixture *f, uint64_t from, uint64_t to,
                     const struct catalog_segment *segment)
{
    return catalog_publish(
        f->c, &(struct catalog_publish){
                  .segment = segment, .consumer = STR("store"), .from = from, .to = to});
}

static const struct catalog_section sections[] = {
    {1, 20000, -5, INT64_MAX, 65536, 1 << 20, 4096, 512},
    {2, -1, INT64_MIN, 0, 1, 400, 5000, 77},
};

static void test_streams(void **state)
{
    struct fixture *f = *state;
    uint64_t a = 0, b = 0, again = 0;
    assert_ok(catalog_stream(f->c, STR("default"), STR("web"), &a));
    assert_ok(catalog_stream(f->c, STR("default"), STR("Web"), &b));
    assert_int_equal(a, 1);
    assert_int_equal(b, 2);
    assert_ok(catalog_stream(f->c, STR("default"), STR("web"), &again));
    assert_int_equal(again, a);
    assert_ok(catalog_stream(f->c, STR("other"), STR("web"), &again));
    assert_int_equal(again, 3);
    assert_ok(catalog_stream(f->c, STR("o'; DROP TABLE streams; --"), STR("жж"), &again));
    reopen(f);
    struct catalog_stream *s;
    size_t n;
    assert_ok(catalog_load_streams(f->c, &f->arena, &s, &n));
    assert_int_equal(n, 4);
    assert_str(s[1].name, "Web");
    assert_str(s[3].org, "o'; DROP TABLE streams; --");
    assert_str(s[3].name, "жж");
    assert_err(catalog_stream(f->c, STR("default"), STR(""), &a), ERR_LIMIT, "stream's name");
    assert_err(catalog_stream(f->c, STR("a\xff"), STR("x"), &a), ERR_INVALID, "at byte 1");
    assert_err(catalog_stream(f->c, STR("a\0b"), STR("x"), &a), ERR_INVALID, "organization");
    char big[300];
    memset(big, 'x', sizeof(big));
    assert_err(catalog_stream(f->c, STR("o"), str_of(big, 256), &a), ERR_LIMIT, "255");
    assert_ok(catalog_stream(f->c, STR("o"), str_of(big, 255), &a));
}

static void test_publish(void **state)
{
    struct fixture *f = *state;
    struct catalog_segment s = {7, 0, 123456, 1700000000000000000, 1, 10, sections, 2};
    assert_int_equal(checkpoint(f, "store", 0), 0);
    assert_ok(move(f, 0, 10, &s));
    assert_int_equal(checkpoint(f, "store", 0), 10);
    assert_int_equal(checkpoint(f, "store", 1), 0);
    assert_int_equal(checkpoint(f, "alerts", 0), 0);
    assert_err(move(f, 0, 20, NULL), ERR_CONFLICT, "not at 0 any more");
    assert_err(move(f, 9, 20, NULL), ERR_CONFLICT, "another process publishes");
    assert_ok(move(f, 10, 10, NULL)); /* an empty move is still one */
    assert_ok(move(f, 10, 30, NULL));
    s.id = 8;
    assert_err(move(f, 10, 40, &s), ERR_CONFLICT, "not at 10");
    assert_int_equal(count_segments(f, NULL), 1);
    s.id = 7; /* there already: the checkpoint must not move either */
    assert_err(move(f, 30, 40, &s), ERR_EXISTS, broken_key(f));
    assert_int_equal(checkpoint(f, "store", 0), 30);
    reopen(f);
    struct catalog_segment *got;
    assert_int_equal(count_segments(f, &got), 1);
    assert_int_equal(got->id, 7);
    assert_int_equal(got->bytes, 123456);
    assert_int_equal(got->created_ns, 1700000000000000000);
    assert_int_equal(got->position_min, 1);
    assert_int_equal(got->position_max, 10);
    assert_int_equal(got->n_sections, 2);
    assert_memory_equal(got->section, sections, sizeof(sections));
    assert_int_equal(checkpoint(f, "store", 0), 30);
}

/* What a small store pays for its catalog. */
static void test_small(void **state)
{
    struct fixture *f = *state;
    uint64_t stream = 0;
    struct stat file;
    assert_ok(catalog_stream(f->c, STR("default"), STR("web"), &stream));
    struct catalog_segment segment = {
        .id = 1, .bytes = 50000, .position_max = 9, .section = sections, .n_sections = 1};
    assert_ok(move(f, 0, 10, &segment));
    reopen(f);
    assert_int_equal(stat(f->path, &file), 0);
    assert_in_range(file.st_size, 512, 8192);
}

static void test_replace(void **state)
{
    struct fixture *f = *state;
    for (uint64_t i = 1; i <= 3; i++) {
        struct catalog_segment s = {i, 0, i, 0, i, i, sections, 2};
        assert_ok(move(f, i - 1, i, &s));
    }
    struct catalog_segment merged[2] = {{10, 1, 5, 0, 1, 2, sections, 1},
                                        {11, 1, 5, 0, 1, 2, sections + 1, 1}};
    uint64_t gone[] = {1, 9};
    assert_err(catalog_replace(f->c, &(struct catalog_replacement){gone, 2, merged, 2, 0}),
               ERR_CONFLICT, "segment 9");
    assert_int_equal(count_segments(f, NULL), 3);
    gone[1] = 2;
    assert_ok(catalog_replace(f->c, &(struct catalog_replacement){gone, 2, merged, 2, 0}));
    struct catalog_segment *got;
    assert_int_equal(count_segments(f, &got), 3);
    assert_int_equal(got[0].id, 3);
    assert_int_equal(got[0].n_sections, 2);
    assert_int_equal(got[2].id, 11);
    assert_int_equal(got[2].level, 1);
    assert_int_equal(got[2].n_sections, 1);
    assert_int_equal(got[2].section->stream_id, 2);
    gone[0] = 3;
    assert_ok(catalog_replace(f->c, &(struct catalog_replacement){gone, 1, NULL, 0, 0}));
    assert_int_equal(count_segments(f, NULL), 2);
}

static enum err put_keys(struct fixture *f, uint64_t *position, const struct catalog_key *key,
                         size_t n, int64_t expire, size_t max)
{
    struct catalog_publish p = {.consumer = STR("store"),
                                .from = *position,
                                .to = *position + 1,
                                .key = key,
                                .n_keys = n,
                                .keys_expire_before_ns = expire,
                                .keys_max = max};
    ++*position;
    return catalog_publish(f->c, &p);
}

static void assert_position(struct fixture *f, uint32_t partition, uint64_t want)
{
    uint64_t at = 77;
    assert_ok(catalog_checkpoint(f->c, STR("kafka:c/t"), partition, &at));
    assert_int_equal(at, want);
}

/* Checkpoints of partitions move with the publish, all of them or none. */
static void test_positions(void **state)
{
    struct fixture *f = *state;
    uint64_t at;
    struct catalog_position list[] = {{STR("kafka:c/t"), 0, 0, 500}, {STR("kafka:c/t"), 7, 0, 1}};
    struct catalog_publish p = {
        .consumer = STR("store"), .from = 0, .to = 3, .also = list, .n_also = 2};
    assert_ok(catalog_publish(f->c, &p));
    assert_position(f, 0, 500);
    assert_position(f, 7, 1);
    assert_position(f, 1, 0);
    /* Another has moved partition 7: nothing of the publish happened. */
    list[0].from = 500;
    list[0].to = 600;
    list[1].from = 0;
    list[1].to = 9;
    p.from = 3;
    p.to = 5;
    assert_int_equal(catalog_publish(f->c, &p), ERR_CONFLICT);
    assert_position(f, 0, 500);
    assert_ok(catalog_checkpoint(f->c, STR("store"), 0, &at));
    assert_int_equal(at, 3);
    list[1].from = 1;
    assert_ok(catalog_publish(f->c, &p));
    assert_position(f, 0, 600);
    assert_position(f, 7, 9);
}

static void test_keys(void **state)
{
    struct fixture *f = *state;
    uint64_t position = 0;
    struct catalog_key k[6];
    for (uint64_t i = 0; i < 6; i++)
        k[i] = (struct catalog_key){{i, ~i}, {i * 3, UINT64_MAX}, 100 + (int64_t)(i / 2), i + 1};
    assert_ok(put_keys(f, &position, k, 6, 0, 100));
    assert_ok(put_keys(f, &position, k, 1, 0, 100)); /* again: replaced */
    struct catalog_key *got;
    size_t n;
    assert_ok(catalog_load_keys(f->c, 0, &f->arena, &got, &n));
    assert_int_equal(n, 6);
    for (size_t i = 0; i < 6; i++) {
        size_t at = 0;
        while (at < 6 && memcmp(&got[at], &k[i], sizeof(k[i])) != 0)
            at++;
        assert_true(at < 6);
    }
    assert_ok(catalog_load_keys(f->c, 101, &f->arena, &got, &n));
    assert_int_equal(n, 4);
    assert_ok(put_keys(f, &position, k + 5, 1, 0, 3)); /* two of 102, one of 101 */
    assert_ok(catalog_load_keys(f->c, 0, &f->arena, &got, &n));
    assert_int_equal(n, 3);
    assert_int_equal(got[0].at_ns, 101);
    assert_ok(put_keys(f, &position, NULL, 0, 102, 100));
    assert_ok(catalog_load_keys(f->c, 0, &f->arena, &got, &n));
    assert_int_equal(n, 2);
}

static void test_segment_ids(void **state)
{
    struct fixture *f = *state;
    uint64_t last = 0, id;
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 1500; i++) {
            assert_ok(catalog_new_segment_id(f->c, &id));
            assert_true(id > last);
            last = id;
        }
        reopen(f);
    }
    assert_true(last < 10000);
}

static void test_meta(void **state)
{
    struct fixture *f = *state;
    struct str v;
    assert_err(catalog_meta_get(f->c, STR("x"), &f->arena, &v), ERR_NOTFOUND, "\"x\"");
    assert_ok(catalog_meta_set(f->c, STR("x"), STR("one")));
    assert_ok(catalog_meta_set(f->c, STR("x"), STR("two")));
    assert_ok(catalog_meta_set(f->c, STR("empty"), STR("")));
    assert_err(catalog_meta_set(f->c, STR("schema"), STR("9")), ERR_INVALID, "catalog's own");
    reopen(f);
    assert_ok(catalog_meta_get(f->c, STR("x"), &f->arena, &v));
    assert_str(v, "two");
    assert_ok(catalog_meta_get(f->c, STR("empty"), &f->arena, &v));
    assert_str(v, "");
}

static void test_refusals(void **state)
{
    struct fixture *f = *state;
    struct catalog *second = NULL;
    assert_err(catalog_open_sqlite(f->path, &second), ERR_UNAVAILABLE, "another process");
    assert_err(catalog_open_sqlite("/nowhere/at/all", &second), ERR_IO, "/nowhere/at/all");
    catalog_close(f->c);
    f->c = NULL;
    struct sql *db;
    assert_ok(sql_open_sqlite(f->path, &db));
    assert_err(db->driver->exec(db, "nonsense"), ERR_IO, "nonsense");
    assert_ok(db->driver->exec(db, "UPDATE meta SET value = '2' WHERE name = 'schema'"));
    db->driver->close(db);
    assert_err(catalog_open_sqlite(f->path, &f->c), ERR_UNSUPPORTED, "a newer one");
    assert_ok(io_write_file(f->path, STR("this is no database, and long enough to be told so "
                                         "....................................................")));
    assert_err(catalog_open_sqlite(f->path, &f->c), ERR_CORRUPT, "catalog.sqlite");
}

static void test_urls(void **state)
{
    struct fixture *f = *state;
    struct catalog *c = NULL, *second = NULL;
    char url[500];
    uint64_t id = 0;
    assert_false(catalog_is_shared(f->c));
    assert_ok(catalog_open(STR("sqlite:"), f->dir, &c));
    snprintf(url, sizeof(url), "%s/catalog.db", f->dir);
    assert_true(io_exists(url));
    assert_err(catalog_open(STR("sqlite:"), f->dir, &second), ERR_UNAVAILABLE, "another process");
    catalog_close(c);
    snprintf(url, sizeof(url), "sqlite:%s/common.db?shared=true", f->dir);
    assert_ok(catalog_open(str_c(url), "/nowhere", &c));
    assert_true(catalog_is_shared(c));
    assert_ok(catalog_open(str_c(url), "/nowhere", &second));
    assert_ok(catalog_stream(c, STR("o"), STR("one"), &id));
    assert_ok(catalog_stream(second, STR("o"), STR("two"), &id));
    assert_int_equal(id, 2);
    assert_ok(catalog_stream(second, STR("o"), STR("one"), &id));
    assert_int_equal(id, 1);
    catalog_close(second);
    catalog_close(c);
    assert_err(catalog_check_url(STR("sqlit:x")), ERR_INVALID, "sqlite:PATH");
    assert_err(catalog_check_url(STR("sqlite:x?shard=true")), ERR_INVALID, "\"shard=true\"");
    assert_err(catalog_check_url(STR("sqlite:?shared=true")), ERR_INVALID, "PATH?shared=true");
    assert_err(catalog_check_url(STR("sqlite:a\0b")), ERR_INVALID, "NUL");
}

/* Here and back: everything, and no more than once. */
static void test_copy(void **state)
{
    struct fixture *f = *state;
    struct catalog *to = NULL, *back = NULL;
    struct catalog_key k = {{1, 2}, {3, 4}, 5, 6};
    struct catalog_producer producer = {7, 8, 9, STR("window")};
    struct catalog_segment s = {7, 1, 123, 17, 1, 10, sections, 2}, *got;
    struct catalog_position also = {STR("kafka:c/t"), 3, 0, 500};
    struct catalog_publish p = {.segment = &s,
                                .consumer = STR("store"),
                                .to = 11,
                                .also = &also,
                                .n_also = 1,
                                .key = &k,
                                .n_keys = 1,
                                .producer = &producer,
                                .n_producers = 1};
    uint64_t id = 0, n = 0, again = 0, at = 0;
    char url[500];
    size_t count = 0;
    struct str identity, copied;
    struct catalog_key *keys;
    struct catalog_producer *producers;
    assert_ok(catalog_identity(f->c, &f->arena, &identity));
    assert_ok(catalog_stream(f->c, STR("o"), STR("жж"), &id));
    assert_ok(catalog_new_segment_id(f->c, &id));
    assert_ok(catalog_publish(f->c, &p));
    snprintf(url, sizeof(url), "sqlite:%s/to.db", f->dir);
    assert_ok(catalog_open(str_c(url), "", &to));
    assert_ok(catalog_copy(f->c, to, &n));
    assert_true(n > 8);
    assert_err(catalog_copy(f->c, to, &again), ERR_EXISTS, "not empty");
    assert_int_equal(again, 0);
    catalog_close(f->c);
    f->c = NULL;
    /* As it was, from the copy's copy. */
    if (f->server)
        server_url(f, f->url, sizeof(f->url));
    else
        snprintf(f->url, sizeof(f->url), "sqlite:%s/back.db", f->dir);
    assert_ok(catalog_open(str_c(f->url), "", &back));
    assert_ok(catalog_copy(to, back, &again));
    catalog_close(to);
    assert_true(f->server || again == n);
    f->c = back;
    assert_ok(catalog_identity(f->c, &f->arena, &copied));
    assert_true(str_eq(identity, copied));
    assert_int_equal(count_segments(f, &got), 1);
    assert_memory_equal(got->section, sections, sizeof(sections));
    assert_int_equal(got->created_ns, 17);
    assert_int_equal(checkpoint(f, "store", 0), 11);
    assert_int_equal(checkpoint(f, "kafka:c/t", 3), 500);
    assert_ok(catalog_load_keys(f->c, 0, &f->arena, &keys, &count));
    assert_int_equal(count, 1);
    assert_memory_equal(keys, &k, sizeof(k));
    assert_ok(catalog_load_producers(f->c, 0, &f->arena, &producers, &count));
    assert_int_equal(count, 1);
    assert_str(producers->window, "window");
    assert_ok(catalog_stream(f->c, STR("o"), STR("жж"), &at));
    assert_int_equal(at, 1);
    assert_ok(catalog_new_segment_id(f->c, &at));
    assert_true(at > id);
    /* What was a file of one server becomes one of several, and gives out no number again. */
    struct catalog_node first = {.name = STR("a"), .start = 1}, second = first;
    bool fresh;
    if (f->server) {
        assert_ok(catalog_node_join(f->c, &first, &fresh));
        snprintf(url, sizeof(url), "sqlite:%s/last.db", f->dir);
        assert_ok(catalog_open(str_c(url), "", &to));
        assert_ok(catalog_copy(f->c, to, &n));
        catalog_close(to);
    }
    snprintf(url, sizeof(url), "sqlite:%s/%s.db?shared=true", f->dir, f->server ? "last" : "to");
    assert_ok(catalog_open(str_c(url), "", &to));
    assert_ok(catalog_node_join(to, &second, &fresh));
    catalog_close(to);
    assert_int_equal(second.number, first.number + 1);
}

/* A data folder goes with one catalog, and with copies of it. */
static void test_home(void **state)
{
    struct fixture *f = *state;
    struct catalog *c = NULL;
    struct str id, again;
    char own[400], other[400], shared[400];
    snprintf(own, sizeof(own), "%s/catalog.db", f->dir);
    snprintf(shared, sizeof(shared), "sqlite:%s/shared.db?shared=true", f->dir);
    snprintf(other, sizeof(other), "sqlite:%s/other.db?shared=true", f->dir);
    assert_ok(catalog_open_home(str_c(shared), f->dir, &c));
    assert_ok(catalog_identity(c, &f->arena, &id));
    assert_int_equal(id.n, 32);
    catalog_close(c);
    assert_false(io_exists(own));
    assert_ok(catalog_open_home(str_c(shared), f->dir, &c));
    assert_ok(catalog_identity(c, &f->arena, &again));
    assert_true(str_eq(id, again));
    catalog_close(c);
    assert_err(catalog_open_home(STR("sqlite:"), f->dir, &c), ERR_CONFLICT, "shared.db, not to");
    assert_false(io_exists(own)); /* not even begun */
    assert_err(catalog_open_home(str_c(other), f->dir, &c), ERR_CONFLICT, "other.db");
    /* A copy of it, as the folder's own. */
    assert_ok(catalog_open(STR("sqlite:"), f->dir, &c));
    assert_ok(catalog_meta_set(c, STR("store"), id));
    catalog_close(c);
    assert_ok(catalog_open_home(STR("sqlite:"), f->dir, &c));
    catalog_close(c);
    /* Which it is from now on; the one before is a copy too. */
    assert_err(catalog_open_home(str_c(other), f->dir, &c), ERR_CONFLICT, "of its own");
    assert_ok(catalog_open_home(str_c(shared), f->dir, &c));
    catalog_close(c);
    /* Its own one, shared where it lies. */
    snprintf(own, sizeof(own), "%s/catalog.id", f->dir);
    assert_ok(io_unlink(own));
    snprintf(other, sizeof(other), "sqlite:%s/catalog.db?shared=true", f->dir);
    assert_ok(catalog_open_home(str_c(other), f->dir, &c));
    catalog_close(c);
    assert_true(io_exists(own));
    assert_ok(io_write_file(own, STR("nonsense")));
    assert_err(catalog_open_home(str_c(shared), f->dir, &c), ERR_CORRUPT, "catalog.id");
}

static void test_probe(void **state)
{
    struct fixture *f = *state;
    struct buf is;
    char url[500];
    buf_init(&is, 1000);
    assert_err(catalog_probe(STR("sqlite:"), f->dir, &is), ERR_NOTFOUND, "catalog.db");
    if (f->server) {
        assert_ok(catalog_probe(str_c(f->url), "", &is));
        assert_true(str_find(buf_str(&is), str_c(f->server)) == 0);
        assert_true(str_find(buf_str(&is), STR(" yet")) == SIZE_MAX);
        buf_clear(&is);
        server_url(f, url, sizeof(url));
        assert_ok(catalog_probe(str_c(url), "", &is));
        assert_true(str_find(buf_str(&is), STR("no catalog in it yet")) < is.n);
        buf_clear(&is);
        assert_ok(catalog_probe(str_c(url), "", &is)); /* nor was one made */
        assert_true(str_find(buf_str(&is), STR("no catalog in it yet")) < is.n);
    } else {
        catalog_close(f->c);
        f->c = NULL;
        assert_ok(catalog_probe(str_c(f->url), "", &is));
        assert_true(str_find(buf_str(&is), STR("SQLite")) == 0);
    }
    buf_release(&is);
}

static void *make_streams(void *arg)
{
    struct fixture *f = arg;
    for (int i = 0; i < 50; i++) {
        char name[32];
        uint64_t id;
        int n = snprintf(name, sizeof(name), "s%d", i % 10);
        assert_ok(catalog_stream(f->c, STR("o"), str_of(name, (size_t)n), &id));
        assert_true(id >= 1 && id <= 10);
    }
    return NULL;
}

static void test_threads(void **state)
{
    pthread_t t[3];
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&t[i], NULL, make_streams, *state), 0);
    for (int i = 0; i < 3; i++)
        pthread_join(t[i], NULL);
}

/* What servers that share a catalog learn of each other; an older file gets the tables for it. */
static void test_shared(void **state)
{
    struct fixture *f = *state;
    struct catalog_section section[2] = {{1, 2, 3, 4, 5, 6, 7, 8}, {2, 2, 3, 4, 5, 6, 7, 8}};
    struct catalog_segment one = {7, 0, 10, 20, 30, 40, section, 2}, got;
    struct catalog_publish p = {.segment = &one, .consumer = STR("store"), .to = 41};
    struct catalog_state s;
    char url[500];
    assert_ok(catalog_publish(f->c, &p));
    if (!catalog_is_shared(f->c)) {
        catalog_close(f->c);
        f->c = NULL;
        snprintf(url, sizeof(url), "sqlite:%s?shared=true", f->path);
        assert_ok(catalog_open(str_c(url), f->dir, &f->c));
    }
    assert_ok(catalog_look(f->c, true, &f->arena, &s));
    uint64_t changes = s.changes;
    assert_int_equal(s.n_segments, 1);
    assert_int_equal(s.segment[0], 7);
    assert_int_equal(catalog_state_at(&s, STR("store"), 0), 41);
    assert_int_equal(catalog_state_at(&s, STR("store"), 1), 0);
    assert_ok(catalog_load_segment(f->c, 7, &f->arena, &got));
    assert_int_equal(got.n_sections, 2);
    assert_int_equal(got.section[1].stream_id, 2);
    assert_int_equal(got.section[1].length, 8);
    assert_int_equal(got.position_max, 40);
    assert_err(catalog_load_segment(f->c, 8, &f->arena, &got), ERR_NOTFOUND, "segment 8");
    uint64_t gone = 7, *id;
    size_t n = 99;
    struct catalog_replacement r = {.remove = &gone, .n_remove = 1};
    assert_ok(catalog_replace(f->c, &r));
    assert_ok(catalog_look(f->c, false, &f->arena, &s));
    assert_int_equal(s.changes, changes + 1);
    assert_int_equal(s.n_segments, 0);
    assert_ok(catalog_load_garbage(f->c, INT64_MIN, &f->arena, &id, &n));
    assert_int_equal(n, 0);
    assert_ok(catalog_load_garbage(f->c, INT64_MAX, &f->arena, &id, &n));
    assert_int_equal(n, 1);
    assert_int_equal(id[0], 7);
    assert_ok(catalog_forget_garbage(f->c, id, n));
    assert_ok(catalog_load_garbage(f->c, INT64_MAX, &f->arena, &id, &n));
    assert_int_equal(n, 0);
    p = (struct catalog_publish){.consumer = STR("store"), .from = 41, .to = 42};
    assert_ok(catalog_publish(f->c, &p));
    assert_ok(catalog_look(f->c, false, &f->arena, &s));
    assert_int_equal(s.changes, changes + 2);
}

static int start_postgresql(void **state)
{
    pg_init(&postgresql);
    return 0;
}

static int stop_postgresql(void **state)
{
    pg_remove(&postgresql);
    return 0;
}

static int start_mariadb(void **state)
{
    my_init(&mariadb);
    return 0;
}

static int stop_mariadb(void **state)
{
    my_remove(&mariadb);
    return 0;
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_streams), T(test_publish),     T(test_small), T(test_replace),  T(test_positions),
        T(test_keys),    T(test_segment_ids), T(test_meta),  T(test_refusals), T(test_urls),
        T(test_home),    T(test_probe),       T(test_copy),  T(test_threads),  T(test_shared),
    };
#define S(name, setup) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define ON_SERVER(setup)                                                                           \
    S(test_probe, setup), S(test_copy, setup), S(test_streams, setup), S(test_publish, setup),     \
        S(test_replace, setup), S(test_positions, setup), S(test_keys, setup),                     \
        S(test_segment_ids, setup), S(test_meta, setup), S(test_threads, setup),                   \
        S(test_shared, setup)
    const struct CMUnitTest on_postgresql[] = {ON_SERVER(setup_postgresql)};
    const struct CMUnitTest on_mariadb[] = {ON_SERVER(setup_mariadb)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    failed += cmocka_run_group_tests(on_postgresql, start_postgresql, stop_postgresql);
    return failed + cmocka_run_group_tests(on_mariadb, start_mariadb, stop_mariadb);
}
