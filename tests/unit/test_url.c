#include "arena_kit.h"

#include "core/buf.h"
#include "core/url.h"

static void parse(const char *text, struct url *ret)
{
    assert_ok(url_parse(str_c(text), &arena, ret));
}

static void test_every_part(void **state)
{
    struct url u;
    parse("Syslog+TCP://bob:p%40ss@log.example:5514/a%20b/c?x=1&empty&y=a%26b&x=2", &u);
    assert_str(u.scheme, "syslog+tcp");
    assert_str(u.user, "bob");
    assert_str(u.password, "p@ss");
    assert_str(u.host, "log.example");
    assert_true(u.has_port);
    assert_int_equal(u.port, 5514);
    assert_str(u.path, "/a b/c");
    assert_int_equal(u.n_params, 4);
    assert_str(url_get(&u, "x"), "2");
    assert_str(url_get(&u, "y"), "a&b");
    assert_str(url_get(&u, "empty"), "");
    assert_non_null(url_get(&u, "empty").p);
    assert_null(url_get(&u, "z").p);
}

static void test_hosts(void **state)
{
    struct url u;
    parse("forward://[::1]:24224", &u);
    assert_str(u.host, "::1");
    assert_int_equal(u.port, 24224);
    assert_str(u.path, "");
    parse("forward://:0", &u);
    assert_str(u.host, "");
    assert_true(u.has_port);
    assert_int_equal(u.port, 0);
    parse("file:///var/log/x", &u);
    assert_str(u.host, "");
    assert_false(u.has_port);
    assert_str(u.path, "/var/log/x");
    parse("http://a@b@host/", &u);
    assert_str(u.user, "a@b");
    assert_str(u.host, "host");
}

static void test_more_hosts(void **state)
{
    static const char *const known[] = {NULL};
    struct url u;
    parse("kafka://u:a,b@one:9092,two:9093,three/topic", &u);
    assert_str(u.password, "a,b");
    assert_str(u.host, "one");
    assert_int_equal(u.port, 9092);
    assert_str(u.others, "two:9093,three");
    assert_str(u.path, "/topic");
    assert_int_equal(url_check_params(&u, known), ERR_INVALID);
    assert_non_null(strstr(err_text(), "one host"));
}

static void test_what_is_wrong_is_said(void **state)
{
    static const struct {
        const char *text, *part;
    } bad[] = {
        {"", "scheme"},          {"127.0.0.1:24224", "scheme"},
        {"1a://x", "scheme"},    {"tcp:/x", "scheme"},
        {"a://h:70000", "port"}, {"a://h:", "port"},
        {"a://h:1x", "port"},    {"a://[::1", "IPv6"},
        {"a://[::1]5", "IPv6"},  {"a://h%zz", "host"},
        {"a://h/%2", "path"},    {"a://h?x=%", "value of a parameter"},
        {"a://h/ x", "byte 6"},  {"a://h/#x", "%23"},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct url u;
        assert_err(url_parse(str_c(bad[i].text), &arena, &u), ERR_INVALID, bad[i].part);
    }
}

static void test_choices(void **state)
{
    static const char *const kinds[] = {"auto", "json", "text", NULL};
    unsigned kind = 7;
    struct url u;
    assert_int_equal(url_parse(STR("a://h?kind=text&other=jsn"), &arena, &u), OK);
    assert_int_equal(url_choice(&u, "none", kinds, &kind), OK);
    assert_int_equal(kind, 7);
    assert_int_equal(url_choice(&u, "kind", kinds, &kind), OK);
    assert_int_equal(kind, 2);
    assert_err(url_choice(&u, "other", kinds, &kind), ERR_INVALID,
               "other=jsn: auto, json or text is wanted");
}

static void test_a_secret_is_not_in_the_error(void **state)
{
    struct url u;
    assert_err(url_parse(STR("a://u:geheim@h:9999999?k=geheim"), &arena, &u), ERR_INVALID, "port");
    assert_null(strstr(err_text(), "geheim"));
}

static void test_unknown_parameters(void **state)
{
    static const char *const known[] = {"stream", "shared_key", NULL};
    struct url u;
    parse("forward://h?stream=a&shared_key=b", &u);
    assert_ok(url_check_params(&u, known));
    parse("forward://h?shard_key=b", &u);
    assert_err(url_check_params(&u, known), ERR_INVALID, "did you mean \"shared_key\"?");
    parse("forward://h?something=b", &u);
    assert_err(url_check_params(&u, known), ERR_INVALID, "no parameter \"something\"");
}

static void test_plain(void **state)
{
    struct url u;
    struct buf b;
    buf_init(&b, 1024);
    parse("x://u:p@[::1]:5/q?k=v", &u);
    url_put_plain(&u, &b);
    assert_str(buf_str(&b), "x://[::1]:5/q");
    buf_clear(&b);
    parse("x://u:p@h?k=v", &u);
    url_put_plain(&u, &b);
    assert_str(buf_str(&b), "x://h");
    buf_release(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_every_part, setup, teardown),
        cmocka_unit_test_setup_teardown(test_hosts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_more_hosts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_is_wrong_is_said, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_secret_is_not_in_the_error, setup, teardown),
        cmocka_unit_test_setup_teardown(test_choices, setup, teardown),
        cmocka_unit_test_setup_teardown(test_unknown_parameters, setup, teardown),
        cmocka_unit_test_setup_teardown(test_plain, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
