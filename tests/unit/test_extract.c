/* Taking parts out of text: regular expressions, grok, places; and errors with their place. */
#include "record/extract.h"

#include "core/buf.h"

#include "test.h"

static struct arena arena;

/* "field=part,..." of a fit, in the order of the fields; "-" where nothing fits. */
static void takes(const char *pattern, const char *text, const char *want)
{
    const struct extractor *x;
    const struct grok_field *field;
    struct str part[EXTRACT_FIELDS_MAX];
    char got[1000] = "-";
    size_t n = 0;
    bool is;
    if (extractor_new(str_c(pattern), EXTRACT_GUESS, NULL, &arena, &x, NULL) != OK)
        fail_msg("%s: %s", pattern, err_text());
    uint32_t fields = extractor_fields(x, &field);
    assert_ok(extractor_match(x, str_c(text), part, &is));
    for (uint32_t i = 0; is && i < fields; i++)
        n += (size_t)snprintf(got + n, sizeof(got) - n, "%s%.*s=%.*s", i ? "," : "",
                              STR_ARG(field[i].name), part[i].p ? (int)part[i].n : 4,
                              part[i].p ? part[i].p : "none");
    if (strcmp(got, want) != 0)
        fail_msg("%s on %s\ngave   %s\nwanted %s", pattern, text, got, want);
}

static void refuse(const char *pattern, size_t at, const char *why)
{
    const struct extractor *x;
    size_t place = SIZE_MAX;
    assert_err(extractor_new(str_c(pattern), EXTRACT_GUESS, NULL, &arena, &x, &place), ERR_INVALID,
               why);
    assert_int_equal(place, at);
}

static void test_regex(void **state)
{
    takes("after (?<ms>[0-9]+) ms", "timeout after 5000 ms", "ms=5000");
    takes("(?P<a>x)|(?<b>y)", "y", "a=none,b=y");
    takes("(?<a>x)|y(?<a>z)", "yz", "a=z"); /* one field, two groups */
    takes("(?<all>.*)", "", "all=");
    takes("(?<w>caf\xc3\xa9)", "un caf\xc3\xa9", "w=caf\xc3\xa9");
    takes("(?<x>q)", "nothing", "-");
    takes("key (?<x>q)", "kez q", "-"); /* the literal is missing */
}

static void test_grok(void **state)
{
    takes("%{IP:ip} %{WORD:verb} %{NUMBER:ms:float}", "from 10.0.0.7 GET 12.5 ms",
          "ip=10.0.0.7,verb=GET,ms=12.5");
    takes("%{IP:[client][ip]}", "a 2001:db8::1 b", "client.ip=2001:db8::1");
    takes("%{WORD} %{WORD:second}", "one two", "second=two");
    takes("(?:%{INT:n}|%{WORD:w})", "abc", "n=none,w=abc");
    takes("\\%{x} (?<y>.)", "%{x} z", "y=z");
    takes("%{LOGLEVEL:level}", "[Warning] x", "level=Warning");
    takes("user=%{USER:user}(?: %{GREEDYDATA:rest})?$", "user=ann", "user=ann,rest=none");
    takes("%{DATA:a},%{DATA:b}$", "1,2,3", "a=1,b=2,3");
}

static void test_library(void **state)
{
    takes("%{COMBINEDAPACHELOG}",
          "203.0.113.9 - frank [10/Oct/2000:13:55:36 -0700] \"GET /a?b=1 HTTP/1.0\" 200 2326 "
          "\"http://x/\" \"curl/7 \\\"q\\\"\"",
          "clientip=203.0.113.9,ident=-,auth=frank,timestamp=10/Oct/2000:13:55:36 -0700,verb=GET,"
          "request=/a?b=1,httpversion=1.0,rawrequest=none,response=200,bytes=2326,"
          "referrer=\"http://x/\",agent=\"curl/7 \\\"q\\\"\"");
    takes("%{COMMONAPACHELOG}", "h - - [10/Oct/2000:13:55:36 +0000] \"-\" 408 -",
          "clientip=h,ident=-,auth=-,timestamp=10/Oct/2000:13:55:36 +0000,verb=none,request=none,"
          "httpversion=none,rawrequest=-,response=408,bytes=none");
    takes("%{SYSLOGLINE}", "Feb  5 17:32:18 web-1 sshd[2841]: Accepted password",
          "timestamp=Feb  5 17:32:18,facility=none,priority=none,logsource=web-1,program=sshd,"
          "pid=2841,message=Accepted password");
    takes("^%{TIMESTAMP_ISO8601:t} ", "2025-02-15T12:00:00.123Z x", "t=2025-02-15T12:00:00.123Z");
    takes("%{TIMESTAMP_ISO8601:t}$", "2025-02-15 12:00:00,123 +0100",
          "t=2025-02-15 12:00:00,123 +0100");
    takes("%{JAVASTACKTRACEPART}", "\tat a.b.C$D.run(C.java:17)",
          "class=a.b.C$D,method=run,file=C.java,line=17");
    takes("%{URI:u}", "see https://me:pw@h.example:8080/p/q?x=1 now",
          "u=https://me:pw@h.example:8080/p/q?x=1");
    takes("%{QS:q}", "say 'it\\'s' x", "q='it\\'s'");
    takes("%{UUID:u} %{MAC:m}", "123e4567-e89b-12d3-a456-426614174000 00:1b:44:11:3a:b7",
          "u=123e4567-e89b-12d3-a456-426614174000,m=00:1b:44:11:3a:b7");
    takes("%{PATH:p}", "C:\\temp\\x.log", "p=C:\\temp\\x.log");
    takes("%{EMAILADDRESS:e}", "<a.b+c@example.org>", "e=a.b+c@example.org");
    takes("^%{HOSTPORT:hp}$", "db.example:5432", "hp=db.example:5432");
}

static void test_addresses(void **state)
{
    static const char *const good[] = {"::",
                                       "::1",
                                       "1::",
                                       "fe80::1%eth0",
                                       "1:2:3:4:5:6:7:8",
                                       "1::8",
                                       "1:2::7:8",
                                       "::ffff:192.0.2.1",
                                       "64:ff9b::192.0.2.33",
                                       "0.0.0.0",
                                       "255.255.255.255",
                                       "10.1.2.3"};
    static const char *const bad[] = {"1:2:3",   "256.1.1.1", "1.2.3.4.5",
                                      "12345::", "a.b.c.d",   "1:2:3:4:5:6:7:8:9"};
    char want[100];
    for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
        snprintf(want, sizeof(want), "ip=%s", good[i]);
        takes("^%{IP:ip}$", good[i], want);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        takes("^%{IP:ip}$", bad[i], "-");
}

/* Every pattern of the library stands for itself. */
static void test_all_compile(void **state)
{
    char text[100];
    for (const struct grok_pattern *p = grok_patterns; p->name; p++) {
        const struct extractor *x;
        snprintf(text, sizeof(text), "%%{%s:it}", p->name);
        if (extractor_new(str_c(text), EXTRACT_GROK, NULL, &arena, &x, NULL) != OK)
            fail_msg("%s: %s", p->name, err_text());
        for (const struct grok_pattern *q = p + 1; q->name; q++)
            assert_string_not_equal(p->name, q->name);
    }
}

static void test_own(void **state)
{
    static const struct grok_pattern own[] = {
        {"ORDER", "ord-[0-9]+"}, {"WORD", "[a-z]"}, {"LOOP", "%{LOOP}"}, {NULL, NULL}};
    const struct extractor *x;
    const struct grok_field *field;
    struct str part[EXTRACT_FIELDS_MAX];
    bool is;
    assert_ok(
        extractor_new(STR("%{ORDER:id:string}%{WORD:w}"), EXTRACT_GROK, own, &arena, &x, NULL));
    assert_int_equal(extractor_fields(x, &field), 2);
    assert_ok(extractor_match(x, STR("ord-17xyz"), part, &is));
    assert_true(is);
    assert_str(part[0], "ord-17");
    assert_str(part[1], "x");
    assert_err(extractor_new(STR("%{LOOP:x}"), EXTRACT_GROK, own, &arena, &x, NULL), ERR_INVALID,
               "more than 16 levels");
}

static void test_places(void **state)
{
    takes("ip=<ip> user=<user>,", "x ip=1.2.3.4 user=ann, y", "ip=1.2.3.4,user=ann");
    takes("<a>: <rest>", "key: v: w", "a=key,rest=v: w");
    takes("[<_>] <word> (", "[x] y (z)", "word=y");
    takes("<a> <b>", "nospace", "-");
    takes("took <ms> ms (<code>)", "took 5 ms (.*)", "ms=5,code=.*");
    takes("<a>=<a>;", "1=2;", "a=1");
}

static void test_errors(void **state)
{
    refuse("%{IPP:ip}", 0, "did you mean %{IP}?");
    refuse("ab %{NOSUCHTHINGATALL:ip}", 3, "there is no pattern %{NOSUCHTHINGATALL}");
    refuse("x %{IP:ip:ipv4}", 2, "a type is");
    refuse("x %{IP", 2, "a pattern is written");
    refuse("x %{IP ADDRESS:a}", 2, "a pattern is written");
    refuse("(?<a>x", 6, "missing closing parenthesis");
    refuse("%{IP:ip} (x", 11, "missing closing parenthesis");
    refuse("no name at all", 0, "takes nothing");
    refuse("%{IP}", 0, "takes nothing");
    refuse("<a><b>", 3, "text is expected between");
}

static void test_bounds(void **state)
{
    struct buf text;
    const struct extractor *x;
    buf_init(&text, SIZE_MAX);
    for (int i = 0; i < 65; i++)
        buf_printf(&text, "%%{WORD:w%d} ", i);
    assert_err(extractor_new(buf_str(&text), EXTRACT_GUESS, NULL, &arena, &x, NULL), ERR_INVALID,
               "more than 64 fields");
    buf_clear(&text);
    for (int i = 0; i < 300; i++)
        buf_put_c(&text, "(x)");
    buf_put_c(&text, "(?<a>y)");
    assert_err(extractor_new(buf_str(&text), EXTRACT_GUESS, NULL, &arena, &x, NULL), ERR_INVALID,
               "more than 250 groups");
    buf_clear(&text);
    for (int i = 0; i < 5000; i++)
        buf_put_c(&text, "%{COMBINEDAPACHELOG}");
    assert_err(extractor_new(buf_str(&text), EXTRACT_GUESS, NULL, &arena, &x, NULL), ERR_INVALID,
               "more than 65536 bytes");
    /* A pattern that would never end is stopped. */
    struct str part[EXTRACT_FIELDS_MAX];
    bool is;
    buf_clear(&text);
    for (int i = 0; i < 40; i++)
        buf_put_c(&text, "a");
    assert_ok(extractor_new(STR("(?<x>(?:a+)+)[bc]$"), EXTRACT_GUESS, NULL, &arena, &x, NULL));
    buf_put_c(&text, "d");
    enum err err = extractor_match(x, buf_str(&text), part, &is);
    assert_true(err == ERR_LIMIT || (err == OK && !is));
    buf_release(&text);
}

static int set_up(void **state)
{
    arena_init(&arena, 0, NULL);
    return 0;
}

static int tear_down(void **state)
{
    arena_release(&arena);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_regex),       cmocka_unit_test(test_grok),
        cmocka_unit_test(test_library),     cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_all_compile), cmocka_unit_test(test_own),
        cmocka_unit_test(test_places),      cmocka_unit_test(test_errors),
        cmocka_unit_test(test_bounds),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
