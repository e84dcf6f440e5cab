#include "core/clock.h"
#include "core/conf.h"
#include "core/io.h"
#include "core/log.h"
#include "test.h"

static struct conf *conf;

static int setup(void **state)
{
    conf = conf_new();
    return 0;
}

static int teardown(void **state)
{
    conf_free(conf);
    return 0;
}

#define assert_yaml_error(text, part)                                                              \
    assert_err(conf_load_yaml(conf, STR(text), "weir.yaml"), ERR_INVALID, part)

static void test_defaults(void **state)
{
    assert_string_equal(conf_string(conf, "server.listen"), "127.0.0.1:5080");
    assert_int_equal(conf_bytes(conf, "limits.body_bytes"), 64 << 20);
    assert_int_equal(conf_int(conf, "limits.nesting"), 128);
    assert_true(conf_bool(conf, "queue.sync"));
    assert_int_equal(conf_duration_ns(conf, "store.cut_interval"), 3600 * NS_PER_S);
    assert_null(conf_string(conf, "auth.root_user"));
    assert_string_equal(conf_source(conf, "server.listen"), "default");
    conf_free(NULL);
    assert_dies(conf_string(conf, "no.such"));
    assert_dies(conf_int(conf, "server.listen"));
    assert_dies(conf_source(conf, "no.such"));
    assert_dies(conf_text(conf, "no.such"));
}

/* Names are unique, the settings of a group stand together, each has help that ends its sentence.
 */
static void test_table(void **state)
{
    for (size_t i = 0; conf_table[i].name; i++) {
        struct str name = str_c(conf_table[i].name), help = str_c(conf_table[i].help);
        size_t dot = str_find_byte(name, '.', 0);
        assert_true(help.n > 10 && help.p[help.n - 1] == '.');
        assert_true(str_find_byte(help, '\n', 0) == help.n);
        if (dot == name.n) { /* lists of URLs stand alone, before the groups */
            assert_true(conf_table[i].type == CONF_LIST || conf_table[i].type == CONF_TREE);
            assert_true(i == 0 || !strchr(conf_table[i - 1].name, '.'));
            continue;
        }
        bool left = false;
        for (size_t k = i + 1; conf_table[k].name; k++) {
            struct str other = str_c(conf_table[k].name);
            bool same = str_starts(other, str_of(name.p, dot + 1));
            assert_false(str_eq(name, other));
            assert_false(same && left);
            left |= !same;
        }
    }
}

static void test_yaml(void **state)
{
    assert_ok(conf_load_yaml(conf,
                             STR("# comment\n"
                                 "server:\n"
                                 "  listen: \"0.0.0.0:80\"\n"
                                 "  threads: 3\n"
                                 "store.retention: 30d\n"
                                 "queue:\n"
                                 "  sync: off\n"
                                 "  compression: 'lz4'\n"
                                 "query: {deadline: 1m, memory: 1.5 GiB}\n"
                                 "auth:\n"
                                 "log:\n"
                                 "  level:\n"),
                             "weir.yaml"));
    assert_string_equal(conf_string(conf, "server.listen"), "0.0.0.0:80");
    assert_string_equal(conf_source(conf, "server.listen"), "weir.yaml:3:11");
    assert_int_equal(conf_int(conf, "server.threads"), 3);
    assert_int_equal(conf_duration_ns(conf, "store.retention"), 30 * NS_PER_DAY);
    assert_false(conf_bool(conf, "queue.sync"));
    assert_string_equal(conf_string(conf, "queue.compression"), "lz4");
    assert_int_equal(conf_bytes(conf, "query.memory"), 3ULL << 29);
    assert_string_equal(conf_string(conf, "log.level"), "info");
    assert_ok(conf_load_yaml(conf, STR(""), "empty.yaml"));
    assert_ok(conf_load_yaml(conf, STR("# only a comment\n"), "empty.yaml"));
    assert_ok(conf_load_yaml(conf, STR("~"), "empty.yaml"));
}

static void test_unknown_names(void **state)
{
    assert_yaml_error("a: 1\n", "weir.yaml:1:1: unknown setting \"a\"");
    assert_yaml_error("\nstor:\n  retention: 7d\n",
                      "weir.yaml:3:3: unknown setting \"stor.retention\"; did you mean "
                      "\"store.retention\"?");
    assert_yaml_error("retention: 7d\n", "did you mean \"store.retention\"?");
    assert_yaml_error("store:\n  retention:\n    days: 7\n", "\"store.retention.days\"");
    assert_yaml_error("what:\n", "weir.yaml:1:1: unknown setting \"what\"");
    assert_yaml_error("x.memory: 5\n", "did you mean \"query.memory\"");
    assert_yaml_error("zzzzzzzz: [1]\n", "unknown setting \"zzzzzzzz\"");
    assert_null(strstr(err_text(), "did you mean"));
}

static void test_bad_values(void **state)
{
    assert_yaml_error("limits:\n  nesting: many\n",
                      "weir.yaml:2:12: limits.nesting: \"many\" is not a whole number");
    assert_yaml_error("limits.nesting: 0", "limits.nesting: 0 is less than the least, 1");
    assert_yaml_error("limits.nesting: 99999", "99999 is more than the most, 1024");
    assert_yaml_error("limits.body_bytes: 1k", "1k is less than the least, 4KiB");
    assert_yaml_error("limits.body_bytes: 5TB", "5TB is more than the most, 4GiB");
    assert_yaml_error("limits.body_bytes: 5 apples", "\"5 apples\" is not a size (such as");
    assert_yaml_error("query.deadline: 30", "\"30\" is not a duration (such as");
    assert_yaml_error("query.deadline: 9w", "9w is more than the most, 1d");
    assert_yaml_error("query.deadline: 1us", "1us is less than the least, 1ms");
    assert_yaml_error("store.max_disk: 9999999999999999999", "is not a size");
    assert_yaml_error("queue.sync: maybe", "\"maybe\" is not true or false");
    assert_yaml_error("queue.compression: zip", "\"zip\" is none of auto|none|lz4");
    assert_yaml_error("server.data: \"a\\0b\"", "a NUL byte");
    assert_yaml_error("server.listen: [a, b]", "server.listen takes one value, not a list");
    assert_yaml_error("server.listen: [{a: b}]", "an item of the list is not a plain value");
    assert_string_equal(conf_string(conf, "queue.compression"), "auto"); /* untouched */
}

static void test_bad_structure(void **state)
{
    assert_yaml_error("- a\n", "weir.yaml:1:1: the file must be a map");
    assert_yaml_error("server:\n\tlisten: x\n", "weir.yaml:2:1: ");
    assert_yaml_error("server: {", "weir.yaml:2:1: while parsing");
    assert_yaml_error("a: \"\xff\"", "weir.yaml:");
    assert_yaml_error("server: 5\n", "\"server\" is a group of settings");
    assert_yaml_error("[a]: 5\n", "must be a word");
    assert_yaml_error("query.threads: 1\nquery:\n  threads: 2\n",
                      "weir.yaml:3:3: \"query.threads\" is set in line 1 already");
    assert_yaml_error("a: &x\n  b: *x\n", "nested too deeply"); /* a loop */
    char name[400];
    memset(name, 'n', sizeof(name));
    memcpy(name + 390, ": 5", 3);
    assert_err(conf_load_yaml(conf, str_of(name, 393), "w"), ERR_INVALID, "w:1:1: the name is too");
}

static void test_set(void **state)
{
    assert_ok(conf_set(conf, "server.listen", STR("[::1]:9"), "--listen"));
    assert_string_equal(conf_string(conf, "server.listen"), "[::1]:9");
    assert_string_equal(conf_source(conf, "server.listen"), "--listen");
    assert_err(conf_set(conf, "server.listn", STR(""), "--listen"), ERR_INVALID,
               "--listen: unknown setting \"server.listn\"; did you mean \"server.listen\"?");
    assert_err(conf_set_list(conf, "no.such", NULL, 0, "x"), ERR_INVALID, "unknown setting");
}

static void test_environment(void **state)
{
    setenv("WEIR_STORE_RETENTION", "7d", 1);
    setenv("WEIR_STORE_MAX_DISK", "", 1);
    setenv("WEIR_ROOT_USER", "root", 1);
    setenv("WEIR_ROOT_PASSWORD", "sec ret", 1);
    setenv("WEIR_PORT", "tcp://10.0.0.1:80", 1); /* of Kubernetes */
    setenv("WEIR_STORE_RETENTIN", "8d", 1);      /* a slip: warned of */
    assert_ok(conf_load_env(conf));
    assert_int_equal(conf_duration_ns(conf, "store.retention"), 7 * NS_PER_DAY);
    assert_int_equal(conf_bytes(conf, "store.max_disk"), 0);
    assert_string_equal(conf_string(conf, "auth.root_user"), "root");
    assert_string_equal(conf_string(conf, "auth.root_password"), "sec ret");
    assert_string_equal(conf_source(conf, "store.retention"), "WEIR_STORE_RETENTION");
    setenv("WEIR_STORE_RETENTION", "soon", 1);
    assert_err(conf_load_env(conf), ERR_INVALID,
               "WEIR_STORE_RETENTION: store.retention: \"soon\" is not a duration");
    unsetenv("WEIR_STORE_RETENTION");
    unsetenv("WEIR_STORE_RETENTIN");
    unsetenv("WEIR_ROOT_USER");
    unsetenv("WEIR_ROOT_PASSWORD");
}

static struct str written(const struct conf *c, struct buf *b)
{
    buf_init(b, 1 << 20);
    if (c)
        conf_write(c, b);
    else
        conf_write_default(b);
    return buf_str(b);
}

/* What of a list is secret is not shown: whole items, users and parameters of URLs. */
static void test_secrets_of_lists_are_not_shown(void **state)
{
    struct str urls[] = {STR("forward://bob:geheim@127.0.0.1:24224?shared_key=geheim"),
                         STR("syslog+tcp://127.0.0.1:5514")};
    struct buf b;
    assert_ok(conf_set_list(conf, "inputs", urls, 2, "--input"));
    assert_ok(conf_set(conf, "hec.tokens", STR("geheim, auch"), "--set"));
    struct str text = written(conf, &b);
    assert_true(str_find(text, STR("geheim")) == SIZE_MAX);
    assert_true(str_find(text, STR("auch")) == SIZE_MAX);
    assert_true(str_find(text, STR("inputs: [\"forward://***@127.0.0.1:24224?***\", "
                                   "\"syslog+tcp://127.0.0.1:5514\"]")) < text.n);
    assert_true(str_find(text, STR("tokens: [\"***\", \"***\"]")) < text.n);
    buf_release(&b);
}

static void test_default_file_reads_back(void **state)
{
    struct buf b, force;
    struct str text = written(NULL, &b);
    assert_true(str_find(text, STR("\nserver:\n  # Address and port")) < text.n);
    assert_true(str_find(text, STR("  listen: \"127.0.0.1:5080\"\n")) < text.n);
    assert_true(str_find(text, STR("  # root_password:\n")) < text.n);
    assert_true(str_find(text, STR("One of auto|none|lz4.")) < text.n);
    struct conf *again = conf_new();
    assert_ok(conf_load_yaml(again, text, "default.yaml"));
    for (size_t i = 0; conf_table[i].name; i++) {
        const char *want = conf_text(conf, conf_table[i].name);
        const char *got = conf_text(again, conf_table[i].name);
        assert_true(!want == !got);
        if (!want)
            continue;
        assert_string_equal(got, want);
        if (strncmp(conf_source(again, conf_table[i].name), "default.yaml:", 13) != 0)
            fail_msg("%s is not in the default file", conf_table[i].name);
    }
    conf_free(again);
    buf_release(&b);
    /* What is in force reads back too. */
    assert_ok(conf_set(conf, "server.data", STR("a \"b\" \\ \x01 \xc3\xa4: #x"), "--data"));
    assert_ok(conf_set(conf, "auth.root_password", STR("sec ret"), "env"));
    text = written(conf, &force);
    assert_true(str_find(text, STR("sec ret")) == SIZE_MAX);
    assert_true(str_find(text, STR("  # root_password: \"***\"  # env\n")) < text.n);
    assert_true(str_find(text, STR("  # --data\n")) < text.n);
    again = conf_new();
    assert_ok(conf_load_yaml(again, text, "force.yaml"));
    assert_string_equal(conf_string(again, "server.data"), "a \"b\" \\ \x01 \xc3\xa4: #x");
    conf_free(again);
    buf_release(&force);
}

/* Lists and settings without a group: of a table that is the test's own. */
static void test_lists(void **state)
{
    static const struct conf_setting table[] = {
        {"names", CONF_LIST, "a, b", 0, 0, "Names of things."},
        {"deep.down.list", CONF_LIST, NULL, 0, 0, "A list below."},
        {"deep.number", CONF_INT, "-3", -5, 5, "A number."},
        {0},
    };
    struct conf *c = conf_new_of(table);
    assert_string_equal(conf_list_item(c, "names", 1), "b");
    assert_null(conf_list_item(c, "names", 2));
    assert_null(conf_list_item(c, "deep.down.list", 0));
    assert_int_equal(conf_int(c, "deep.number"), -3);
    assert_err(conf_set(c, "deep.number", STR("-6"), "x"), ERR_INVALID, "less than the least, -5");
    assert_ok(conf_load_yaml(c, STR("deep:\n  down:\n    list: [\"a, b\", 'x: y', \"\"]\n"), "l"));
    assert_string_equal(conf_list_item(c, "deep.down.list", 0), "a, b");
    assert_ok(conf_load_yaml(c, STR("names: x"), "l")); /* a single one needs no brackets */
    assert_string_equal(conf_list_item(c, "names", 0), "x");
    assert_null(conf_list_item(c, "names", 1));
    struct buf b;
    struct str text = written(c, &b);
    assert_true(str_find(text, STR("\nnames: [x]  # l:1:8\n")) < text.n);
    assert_true(str_find(text, STR("\ndeep:\n  down:\n    list: [\"a, b\", \"x: y\", \"\"]  #")) <
                text.n);
    struct conf *again = conf_new_of(table);
    assert_ok(conf_load_yaml(again, text, "again"));
    assert_string_equal(conf_list_item(again, "deep.down.list", 1), "x: y");
    assert_string_equal(conf_list_item(again, "deep.down.list", 2), "");
    assert_ok(conf_set(again, "names", STR(""), "x"));
    assert_null(conf_list_item(again, "names", 0));
    buf_release(&b);
    conf_free(again);
    conf_free(c);
}

static void test_file(void **state)
{
    char dir[256], path[512], want[600];
    snprintf(dir, sizeof(dir), "%s", test_dir());
    snprintf(path, sizeof(path), "%s/weir.yaml", dir);
    assert_err(conf_load_file(conf, path), ERR_NOTFOUND, "weir.yaml");
    assert_ok(io_write_file(path, STR("query.threads: 5\nquery.deadlin: 3s\n")));
    snprintf(want, sizeof(want), "%s:2:1: unknown setting \"query.deadlin\"; did you", path);
    assert_err(conf_load_file(conf, path), ERR_INVALID, want);
    assert_ok(io_write_file(path, STR(""))); /* all defaults */
    assert_ok(conf_load_file(conf, path));
    assert_ok(io_write_file(path, STR("query.threads: 5\n")));
    assert_ok(conf_load_file(conf, path));
    assert_int_equal(conf_int(conf, "query.threads"), 5);
    test_rmdir(dir);
}

int main(void)
{
    log_set_level(LOG_ERROR);
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_defaults),      TEST(test_table),       TEST(test_yaml),
        TEST(test_unknown_names), TEST(test_bad_values),  TEST(test_bad_structure),
        TEST(test_set),           TEST(test_environment), TEST(test_default_file_reads_back),

        TEST(test_lists),         TEST(test_file),        TEST(test_secrets_of_lists_are_not_shown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
