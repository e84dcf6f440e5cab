/* The parts of the tail input that stand alone: patterns and positions. What they make together is
 * tested with real files (tests/integration/test_agent.py). */
#include "core/clock.h"
#include "core/io.h"
#include "core/mem.h"
#include "input/tail_glob.h"
#include "input/tail_positions.h"
#include "test.h"

#include <sys/stat.h>

/* ---- patterns ---- */

static bool matches(const char *pattern, const char *path, const char *service)
{
    struct tail_glob *g;
    struct str got = {0};
    assert_ok(tail_glob_new(str_c(pattern), &g));
    bool found = tail_glob_match(g, str_c(path), &got);
    if (found)
        assert_str(got, service);
    tail_glob_free(g);
    return found;
}

static void test_match(void **state)
{
    assert_true(matches("/var/log/*.log", "/var/log/app.log", ""));
    assert_false(matches("/var/log/*.log", "/var/log/sub/app.log", ""));
    assert_false(matches("/var/log/*.log", "/var/log/app.log.1", ""));
    assert_false(matches("/var/log/*.log", "/var/log/.hidden.log", ""));
    assert_true(matches("/var/log/app[0-9].lo?", "/var/log/app7.log", ""));
    assert_true(matches("/a/**/b.log", "/a/b.log", ""));
    assert_true(matches("/a/**/b.log", "/a/x/y/b.log", ""));
    assert_false(matches("/a/**/b.log", "/c/b.log", ""));
    assert_true(matches("/var/log/<service>/app.log", "/var/log/payment/app.log", "payment"));
    assert_true(matches("/var/log/app-<service>.log", "/var/log/app-web.log", "web"));
    assert_false(matches("/var/log/app-<service>.log", "/var/log/app-.log", ""));
    assert_true(matches("logs/*.log", "logs/a.log", ""));
    assert_true(matches("*.log", "./a.log", ""));
    assert_false(matches("/logs/*.log", "logs/a.log", ""));
}

static void test_bad_patterns(void **state)
{
    static const struct {
        const char *pattern, *text;
    } cases[] = {
        {"", "names no files"},
        {"/", "names no files"},
        {"/a/", "names no files"},
        {"/a/**", "names no files"},
        {"/a/<host>.log", "<service> is what can be captured"},
        {"/a/<service", "<service> is what can be captured"},
        {"/a/<service>*.log", "no wildcard"},
        {"/a/<service><service>", "no wildcard"},
        {"/<service>/<service>.log", "twice"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct tail_glob *g;
        assert_err(tail_glob_new(str_c(cases[i].pattern), &g), ERR_INVALID, cases[i].text);
    }
}

struct found {
    struct buf text;
    unsigned folders;
};

static void on_file(void *ctx, const char *path, struct str service)
{
    struct found *f = ctx;
    buf_printf(&f->text, "%s %.*s;", strrchr(path, '/') + 1, STR_ARG(service));
}

static void on_folder(void *ctx, const char *path)
{
    ((struct found *)ctx)->folders++;
}

static void make(const char *dir, const char *name)
{
    char path[600];
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    assert_ok(io_write_file(path, STR("x")));
}

static void test_walk(void **state)
{
    char dir[300], path[400];
    snprintf(dir, sizeof(dir), "%s", test_dir());
    snprintf(path, sizeof(path), "%s/web/deep", dir);
    assert_ok(io_mkdir(path));
    make(dir, "web/a.log");
    make(dir, "web/deep/b.log");
    make(dir, "top.log");
    struct found f = {0};
    struct tail_glob *g;
    struct tail_glob_visitor v = {&f, on_file, on_folder};
    buf_init(&f.text, 1000);
    snprintf(path, sizeof(path), "%s/<service>/*.log", dir);
    assert_ok(tail_glob_new(str_c(path), &g));
    assert_ok(tail_glob_walk(g, &v));
    assert_str(buf_str(&f.text), "a.log web;");
    assert_int_equal(f.folders, 2);
    tail_glob_free(g);
    buf_clear(&f.text);
    snprintf(path, sizeof(path), "%s/**/b.log", dir);
    assert_ok(tail_glob_new(str_c(path), &g));
    assert_ok(tail_glob_walk(g, &v));
    assert_str(buf_str(&f.text), "b.log ;");
    tail_glob_free(g);
    buf_release(&f.text);
    test_rmdir(dir);
}

/* ---- positions ---- */

static void test_positions(void **state)
{
    char dir[300], file[400];
    struct tail_positions p, again;
    snprintf(dir, sizeof(dir), "%s", test_dir());
    snprintf(file, sizeof(file), "%s/positions", dir);
    assert_ok(tail_positions_load(&p, file));
    assert_true(p.n == 0 && p.spool == 1);
    struct tail_entry e = {.device = 1,
                           .inode = 2,
                           .head_bytes = 256,
                           .head_hash = 0xfeedfacecafebeef,
                           .offset = 77,
                           .tail_hash = 1,
                           .records = 5,
                           .at_ns = 1700000000LL * NS_PER_S,
                           .path = (char[]){"/a b/\\x\ny.log"}};
    tail_positions_put(&p, &e);
    e.inode = 3;
    e.gone = true;
    tail_positions_put(&p, &e);
    p.epoch = 0xabc;
    p.spool = 9;
    p.retired = 4;
    assert_ok(tail_positions_save(&p, file));
    assert_ok(tail_positions_load(&again, file));
    assert_int_equal(again.n, 2);
    assert_true(again.epoch == 0xabc && again.spool == 9 && again.retired == 4);
    const struct tail_entry *got = &again.entry[tail_positions_find(&again, 1, 3)];
    assert_string_equal(got->path, "/a b/\\x\ny.log");
    assert_true(got->gone && got->offset == 77 && got->head_hash == e.head_hash &&
                got->at_ns == e.at_ns && got->records == 5 && got->head_bytes == 256);
    assert_true(tail_positions_find(&again, 2, 3) == SIZE_MAX);
    tail_positions_remove(&again, 0);
    assert_int_equal(again.n, 1);
    tail_positions_release(&p);
    tail_positions_release(&again);
    test_rmdir(dir);
}

static void test_bad_positions(void **state)
{
    static const char *const bad[] = {
        "nonsense",
        "spool 5",
        "spool 00000000000000zz 5",
        "1 2 256 0000000000000001 3 0000000000000002 4 2025-01-01T00:00:00Z open ",
        "1 2 257 0000000000000001 3 0000000000000002 4 2025-01-01T00:00:00Z open /a",
        "1 2 256 0000000000000001 3 0000000000000002 4 2025-01-01T00:00:00Z shut /a",
        "1 2 256 0000000000000001 3 0000000000000002 4 yesterday open /a",
        "1 2 256 1 3 0000000000000002 4 2025-01-01T00:00:00Z open /a",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        struct tail_positions p = {0};
        char text[300];
        snprintf(text, sizeof(text), "# fine\nretired 1\n%s\n", bad[i]);
        assert_err(tail_positions_read(&p, str_c(text), "P"), ERR_CORRUPT, "P: line 3");
        tail_positions_release(&p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_match),         cmocka_unit_test(test_bad_patterns),
        cmocka_unit_test(test_walk),          cmocka_unit_test(test_positions),
        cmocka_unit_test(test_bad_positions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
