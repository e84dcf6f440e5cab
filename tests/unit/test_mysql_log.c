/* Logs of MySQL, Aurora and MariaDB: every variant against its golden file, fed in every way;
 * bounds, ends that are not the last, states, and what is left out. */
#include "mysql_kit.h"
#include "test.h"

#include "core/io.h"

static const struct {
    const char *name, *zone;
    enum mysql_log_kind kind;
} files[] = {
    {"slow-mysql57", "", MYSQL_LOG_SLOW},
    {"slow-mysql80-extra", "", MYSQL_LOG_SLOW},
    {"slow-mysql56", "-05:00", MYSQL_LOG_SLOW},
    {"slow-percona", "", MYSQL_LOG_SLOW},
    {"slow-mariadb", "", MYSQL_LOG_SLOW},
    {"slow-forged", "", MYSQL_LOG_SLOW},
    {"slow-restart", "", MYSQL_LOG_SLOW},
    {"slow-junk", "", MYSQL_LOG_SLOW},
    {"error-mysql80", "", MYSQL_LOG_ERROR},
    {"error-mysql57", "", MYSQL_LOG_ERROR},
    {"error-aurora2", "Europe/Berlin", MYSQL_LOG_ERROR},
    {"error-mariadb", "", MYSQL_LOG_ERROR},
    {"general-mysql80", "", MYSQL_LOG_GENERAL},
    {"general-mariadb", "", MYSQL_LOG_GENERAL},
    {"audit-mariadb", "+09:00", MYSQL_LOG_AUDIT},
    {"audit-aurora", "", MYSQL_LOG_AUDIT},
};
enum { FILES = sizeof(files) / sizeof(*files) };

static struct buf in, want, out;

static struct mysql_log_options options_of(size_t i)
{
    return (struct mysql_log_options){.kind = files[i].kind,
                                      .keep = MYSQL_LOG_KEEP_ALL,
                                      .time_zone = str_c(files[i].zone),
                                      .instance = STR("db-1")};
}

static void read_file(const char *name, const char *suffix, struct buf *ret)
{
    char path[512];
    snprintf(path, sizeof(path), "tests/golden/mysql/%s.%s", name, suffix);
    buf_release(ret);
    assert_ok(io_read_file(path, 1 << 20, ret));
}

static void check(size_t i, const struct mysql_log_options *o, struct mysql_kit_way way)
{
    struct mysql_log_counts counts;
    buf_clear(&out);
    mysql_kit_run(o, buf_str(&in), way, &out, &counts);
    if (!str_eq(buf_str(&out), buf_str(&want)))
        fail_msg("%s, seed %llu: gives\n%.*s\nwanted\n%.*s", files[i].name,
                 (unsigned long long)way.seed, STR_ARG(buf_str(&out)), STR_ARG(buf_str(&want)));
    if (!way.restart)
        assert_int_equal(counts.bytes, in.n);
}

static void test_golden(void **state)
{
    for (size_t i = 0; i < FILES; i++) {
        struct mysql_log_options o = options_of(i);
        struct mysql_log_counts counts;
        read_file(files[i].name, "log", &in);
        if (getenv("GOLDEN_WRITE")) {
            char path[512];
            snprintf(path, sizeof(path), "tests/golden/mysql/%s.out", files[i].name);
            buf_clear(&out);
            mysql_kit_run(&o, buf_str(&in), (struct mysql_kit_way){0}, &out, &counts);
            assert_ok(io_write_file(path, buf_str(&out)));
        }
        read_file(files[i].name, "out", &want);
        check(i, &o, (struct mysql_kit_way){0});
        o.kind = MYSQL_LOG_AUTO;
        check(i, &o, (struct mysql_kit_way){0});
    }
}

static void test_any_pieces(void **state)
{
    for (size_t i = 0; i < FILES; i++) {
        struct mysql_log_options o = options_of(i);
        read_file(files[i].name, "log", &in);
        read_file(files[i].name, "out", &want);
        for (uint64_t seed = 1; seed <= 30; seed++) {
            size_t max = seed < 5 ? 1 : seed < 20 ? 60 : 3000;
            o.kind = seed % 2 ? files[i].kind : MYSQL_LOG_AUTO;
            check(i, &o, (struct mysql_kit_way){.seed = seed, .piece_max = max});
        }
    }
}

static void test_goes_on_anywhere(void **state)
{
    for (size_t i = 0; i < FILES; i++) {
        struct mysql_log_options o = options_of(i);
        read_file(files[i].name, "log", &in);
        read_file(files[i].name, "out", &want);
        for (uint64_t seed = 1; seed <= 20; seed++)
            check(i, &o,
                  (struct mysql_kit_way){
                      .seed = seed, .piece_max = (size_t)in.n / 2, .restart = true});
    }
}

/* ---- bounds ---- */

#define HEADER                                                                                     \
    "# Time: 2025-08-03T15:30:45.000000Z\n# User@Host: a[a] @ h []  Id: 1\n"                       \
    "# Query_time: 1.5\nSET timestamp=1754235045;\n"

static void test_huge_statement(void **state)
{
    static const char line[] = "('0123456789abcdef', 17),\n# Time: 2025-08-03T15:30:45.000000Z\n";
    struct mysql_log_options o = {.kind = MYSQL_LOG_SLOW, .text_max = 4096};
    struct mysql_log_counts counts, same;
    struct buf first;
    buf_init(&first, SIZE_MAX);
    buf_clear(&in);
    for (int entry = 0; entry < 3; entry++) {
        buf_put_c(&in, HEADER "INSERT INTO t VALUES ");
        for (int i = 0; i < (entry == 1 ? 6000 : 2); i++)
            buf_put_c(&in, entry == 1 && i % 7 == 0 ? "(1, 2),\n" : line);
        for (int i = 0; entry == 1 && i < 200000; i++) /* and one long line */
            buf_put_byte(&in, 'x');
        buf_put_c(&in, "(3, 4);\n");
    }
    mysql_kit_run(&o, buf_str(&in), (struct mysql_kit_way){0}, &first, &counts);
    assert_int_equal(counts.records, 3);
    assert_int_equal(counts.bytes, in.n);
    assert_true(str_find(buf_str(&first), STR("\"truncated_bytes\":")) != SIZE_MAX);
    assert_true(counts.truncated_bytes > 500000 && counts.truncated_bytes < in.n - 4096);
    for (uint64_t seed = 1; seed < 20; seed++) {
        struct mysql_kit_way way = {.seed = seed, .piece_max = seed * seed * 700};
        buf_clear(&out);
        mysql_kit_run(&o, buf_str(&in), way, &out, &same);
        assert_true(str_eq(buf_str(&first), buf_str(&out)));
        assert_memory_equal(&counts, &same, sizeof(counts));
    }
    buf_release(&first);
}

/* Bytes of which nothing is a log do not gather. */
static void test_no_log_at_all(void **state)
{
    struct mysql_log_options o = {.text_max = 1024};
    struct mysql_log_counts counts;
    for (int with_lines = 0; with_lines < 2; with_lines++) {
        buf_clear(&in);
        buf_clear(&out);
        for (int i = 0; i < 1 << 20; i++)
            buf_put_byte(&in, with_lines && i % 50 == 0 ? '\n' : (char)('a' + i % 23));
        mysql_kit_run(&o, buf_str(&in), (struct mysql_kit_way){.seed = 3, .piece_max = 100000},
                      &out, &counts);
        assert_int_equal(counts.bytes, in.n);
        assert_int_equal(counts.unparsed, counts.records);
        assert_true(counts.truncated_bytes > in.n - 4096);
        assert_true(str_find(buf_str(&out), STR("\"unparsed\":true")) != SIZE_MAX);
    }
}

/* ---- ends ---- */

static struct mysql_log *parser(enum mysql_log_kind kind)
{
    struct mysql_log *m;
    assert_ok(mysql_log_new(&(struct mysql_log_options){.kind = kind}, &m));
    return m;
}

/* Feeds and says that this is all for now: how many records there are, and what is consumed. */
static uint32_t feed_end(struct mysql_log *m, struct batch *b, const char *text, uint64_t *ret_at)
{
    size_t used;
    bool more;
    batch_clear(b);
    assert_ok(mysql_log_feed(m, str_c(text), MYSQL_KIT_ARRIVAL, b, &used));
    assert_int_equal(used, strlen(text));
    assert_ok(mysql_log_end(m, false, MYSQL_KIT_ARRIVAL, b, &more));
    assert_false(more);
    *ret_at = mysql_log_consumed(m);
    return batch_rows(b);
}

static void test_end_for_now(void **state)
{
    static const char time[] = "# Time: 2025-08-03T15:30:45.000000Z\n",
                      user[] = "# User@Host: a[a] @ h []  Id: 1\n",
                      rest[] = "# Query_time: 1.5\nSET timestamp=1754235045;\n";
    struct mysql_log *m = parser(MYSQL_LOG_SLOW);
    struct batch *b = batch_new();
    uint64_t at;
    assert_int_equal(feed_end(m, b, "# Ti", &at), 0);
    assert_int_equal(feed_end(m, b, time + 4, &at), 0);
    assert_int_equal(feed_end(m, b, user, &at), 0);
    assert_int_equal(feed_end(m, b, rest, &at), 0); /* ends with ';', but holds no statement */
    assert_int_equal(feed_end(m, b, "SELECT 1", &at), 0);
    assert_int_equal(at, 0);
    assert_int_equal(feed_end(m, b, ";\n", &at), 1);
    assert_int_equal(at, strlen(time) + strlen(user) + strlen(rest) + 10);
    assert_int_equal(feed_end(m, b, "", &at), 0);
    mysql_log_free(m);
    m = parser(MYSQL_LOG_ERROR);
    assert_int_equal(feed_end(m, b, "2025-08-03 15:30:45 7 [Note] half of", &at), 0);
    assert_int_equal(feed_end(m, b, " it\nmore\n", &at), 1);
    assert_int_equal(at, 36 + 9);
    mysql_log_free(m);
    batch_free(b);
}

static void test_states(void **state)
{
    static const char *const bad[] = {"",
                                      "1",
                                      "2 slow 0 - -",
                                      "1 slow 0 -",
                                      "1 slow 0 - - -",
                                      "1 fast 0 - -",
                                      "1 slow x - -",
                                      "1 slow 0 soon -",
                                      "1 slow 0 - 7",
                                      "1 slow 0 - zz"};
    struct buf text;
    buf_init(&text, 1024);
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        struct mysql_log *m = parser(MYSQL_LOG_AUTO);
        assert_err(mysql_log_restore(m, str_c(bad[i])), ERR_INVALID, "state");
        mysql_log_free(m);
    }
    struct mysql_log *m = parser(MYSQL_LOG_AUTO);
    assert_ok(mysql_log_restore(m, STR("1 slow 4711 1754235045000000000 73686f70")));
    mysql_log_save(m, &text);
    assert_true(str_eq_c(buf_str(&text), "1 slow 4711 1754235045000000000 73686f70"));
    assert_int_equal(mysql_log_kind(m), MYSQL_LOG_SLOW);
    mysql_log_free(m);
    buf_release(&text);
    assert_err(mysql_log_new(&(struct mysql_log_options){.time_zone = STR("Mars/Olympus")}, &m),
               ERR_INVALID, "Mars/Olympus");
}

/* General and audit logs are left out, and counted. */
static void test_left_out(void **state)
{
    for (size_t i = 0; i < FILES; i++) {
        struct mysql_log_options o = options_of(i);
        struct mysql_log_counts counts;
        bool kept = files[i].kind == MYSQL_LOG_SLOW || files[i].kind == MYSQL_LOG_ERROR;
        o.kind = MYSQL_LOG_AUTO;
        o.keep = 0;
        read_file(files[i].name, "log", &in);
        buf_clear(&out);
        mysql_kit_run(&o, buf_str(&in), (struct mysql_kit_way){0}, &out, &counts);
        assert_true(kept ? counts.records > 0 && counts.filtered == 0
                         : counts.records == 0 && counts.filtered > 0);
        assert_int_equal(counts.bytes, in.n);
    }
}

static int begin(void **state)
{
    buf_init(&in, SIZE_MAX);
    buf_init(&want, SIZE_MAX);
    buf_init(&out, SIZE_MAX);
    return 0;
}

static int end(void **state)
{
    buf_release(&in);
    buf_release(&want);
    buf_release(&out);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),           cmocka_unit_test(test_any_pieces),
        cmocka_unit_test(test_goes_on_anywhere), cmocka_unit_test(test_huge_statement),
        cmocka_unit_test(test_no_log_at_all),    cmocka_unit_test(test_end_for_now),
        cmocka_unit_test(test_states),           cmocka_unit_test(test_left_out),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
