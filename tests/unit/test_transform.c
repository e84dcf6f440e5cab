/* Transforms: every stage on records of its own, alone and behind each other; what they refuse of
 * their arguments. A case is the stages, the records, and what comes out, as JSON. */
#include "core/clock.h"
#include "core/io.h"
#include "core/mem.h"
#include "record/json.h"
#include "test.h"
#include "transform/transform.h"

static const int64_t arrival = 1700000000LL * NS_PER_S;

static void read_records(const char *lines, struct batch *b)
{
    struct json_reader *r =
        json_reader_new(&(struct json_limits){.record_bytes = 1 << 20, .nesting = 100});
    struct str rest = str_c(lines), line;
    char text[4096] = {0};
    while (str_split(&rest, '\n', &line)) {
        memset(text, 0, sizeof(text));
        memcpy(text, line.p, line.n);
        assert_ok(json_read_record(r, str_of(text, line.n), arrival, b));
    }
    json_reader_free(r);
}

static void put_rows(struct rows *rows, struct arena *a, struct buf *out)
{
    uint32_t *row = ARENA_ARRAY(a, uint32_t, rows->n + 1), *end = ARENA_ARRAY(a, uint32_t, rows->n);
    struct buf text;
    buf_init(&text, 1 << 20);
    for (uint32_t i = 0; i < rows->n; i++)
        row[i] = i;
    struct json_rows what = {.rows = rows, .row = row, .n = rows->n, .arena = a};
    assert_ok(json_put_rows(&what, &text, end));
    for (uint32_t i = 0, at = 0; i < rows->n; at = end[i++])
        buf_printf(out, "%s%.*s", i ? "\n" : "", (int)(end[i] - at), text.p + at);
    buf_release(&text);
}

/* Through a batch again: so what came out is proven to be whole. */
static void run(const char *yaml, const char *records, struct buf *out, int64_t *ret_time)
{
    struct arena a;
    struct tree t;
    struct chain *c;
    struct rows in, changed, again;
    struct batch *from = batch_new(), *to = batch_new();
    arena_init(&a, 0, NULL);
    assert_ok(tree_read(str_c(yaml), "T", &a, &t));
    assert_ok(chain_new(&t, &c));
    read_records(records, from);
    batch_view(from, &a, &in);
    assert_ok(chain_run(c, 0, UINT32_MAX, &in, arrival, &a, &changed));
    buf_init(out, 1 << 20);
    if (changed.n) {
        assert_ok(batch_append_rows(to, &changed, NULL, changed.n));
        batch_view(to, &a, &again);
        put_rows(&again, &a, out);
        const int64_t *time;
        assert_ok(rows_time(&again, &time));
        *ret_time = time[0];
    }
    chain_free(c);
    batch_free(to);
    arena_release(&a);
    batch_free(from);
}

static void check(const char *yaml, const char *records, const char *want)
{
    struct buf out;
    int64_t time = 0;
    run(yaml, records, &out, &time);
    if (!str_eq_c(buf_str(&out), want))
        fail_msg("%s\n%s\n gives\n%.*s\n wanted\n%s", yaml, records, STR_ARG(buf_str(&out)), want);
    buf_release(&out);
}

static void test_parsers(void **state)
{
    check("[json]", "{\"message\":\"{\\\"a\\\":1,\\\"b\\\":{\\\"c\\\":[2]}}\"}",
          "{\"message\":\"{\\\"a\\\":1,\\\"b\\\":{\\\"c\\\":[2]}}\",\"a\":1,\"b\":{\"c\":[2]}}");
    check("[json: {remove: true}]", "{\"message\":\"{\\\"message\\\":\\\"in\\\"}\",\"x\":1}",
          "{\"x\":1,\"message\":\"in\"}");
    check("[json: {remove: true}]",
          "{\"message\":\"{\\\"a\\\":1}\",\"x\":1}\n{\"message\":\"no "
          "JSON\"}\n{\"msg\":\"{\\\"b\\\":2}\"}",
          "{\"x\":1,\"a\":1}\n{\"message\":\"no JSON\"}\n{\"b\":2}");
    check("[json]", "{\"msg\":\"{\\\"x\\\":2}\",\"x\":1}", "{\"msg\":\"{\\\"x\\\":2}\",\"x\":2}");
    check("[json]", "{\"message\":\"{broken\"}\n{\"other\":1}",
          "{\"message\":\"{broken\"}\n{\"other\":1}");
    check("[logfmt: {from: line}]",
          "{\"line\":\"at=info took=1.5 n=007 ok=true msg=\\\"a \\\\\\\"b\\\\\\\"\\\" x= y\"}",
          "{\"line\":\"at=info took=1.5 n=007 ok=true msg=\\\"a \\\\\\\"b\\\\\\\"\\\" x= y\","
          "\"at\":\"info\",\"took\":1.5,\"n\":\"007\",\"ok\":true,\"msg\":\"a \\\"b\\\"\",\"x\":"
          "\"\"}");
    check("[csv: {columns: [a, b, c]}]", "{\"message\":\"1,\\\"x, \\\"\\\"y\\\"\\\"\\\",\"}",
          "{\"message\":\"1,\\\"x, \\\"\\\"y\\\"\\\"\\\",\",\"a\":1,\"b\":\"x, \\\"y\\\"\"}");
    check("[csv: {columns: [a], separator: ';'}]", "{\"message\":\"1;2\"}",
          "{\"message\":\"1;2\"}");
    check("[grok: '%{IP:client} %{NUMBER:ms:int}']", "{\"message\":\"10.0.0.1 42\"}",
          "{\"message\":\"10.0.0.1 42\",\"client\":\"10.0.0.1\",\"ms\":42}");
    check("[regex: 'n=(?<n>[0-9]+)']", "{\"message\":\"n=5\"}\n{\"message\":\"none\"}",
          "{\"message\":\"n=5\",\"n\":\"5\"}\n{\"message\":\"none\"}");
    check("[extract: 'took <ms> ms']", "{\"message\":\"it took 5 ms\"}",
          "{\"message\":\"it took 5 ms\",\"ms\":\"5\"}");
    check("[access: {remove: true}]",
          "{\"message\":\"1.2.3.4 - bob [15/Feb/2025:12:00:00 +0000] \\\"GET /a?b HTTP/1.1\\\" "
          "200 512 \\\"-\\\" \\\"curl/8\\\"\"}",
          "{\"client\":\"1.2.3.4\",\"user\":\"bob\",\"timestamp\":\"15/Feb/2025:12:00:00 +0000\","
          "\"method\":\"GET\",\"path\":\"/a?b\",\"http_version\":\"1.1\",\"status\":200,\"bytes\":"
          "512,\"agent\":\"curl/8\"}");
}

static void test_mysql(void **state)
{
    static const char slow[] =
        "{\"x\":1,\"message\":\"# User@Host: app[app] @ h [10.0.0.1]  Id: 42\\n# Query_time: 1.5  "
        "Rows_sent: 1\\nuse shop;\\nSET timestamp=1754235044;\\nselect a from t where id = 7;\"}";
    int64_t time;
    struct buf out;
    check(
        "[mysql_slow: {remove: true}]", slow,
        "{\"x\":1,\"log_type\":\"slowquery\",\"user\":\"app\",\"host\":\"h\",\"client_ip\":\"10.0."
        "0.1\",\"thread_id\":42,\"query_time\":1.5,\"rows_sent\":1,\"schema\":\"shop\",\"started_"
        "at\":"
        "\"2025-08-03T15:30:44Z\",\"statement\":\"select a from t where id = 7\",\"digest\":"
        "\"57f59e40e9d85c9b\",\"digest_text\":\"SELECT `a` FROM `t` WHERE `id` = ?\"}");
    run("[mysql_slow]", slow, &out, &time);
    assert_int_equal(time, 1754235044LL * NS_PER_S);
    buf_release(&out);
    check("[mysql_slow]", "{\"message\":\"# Userland\"}\n{\"x\":1}",
          "{\"message\":\"# Userland\"}\n{\"x\":1}");
    check(
        "[mysql_error: {time_zone: '+02:00'}]",
        "{\"message\":\"2025-08-03 15:30:45 12 [Note] InnoDB: a\\nb\",\"x\":1}",
        "{\"x\":1,\"log_type\":\"error\",\"timestamp\":\"2025-08-03 15:30:45\",\"level\":\"Note\","
        "\"thread_id\":12,\"subsystem\":\"InnoDB\",\"message\":\"InnoDB: a\\nb\"}");
    run("[mysql_error: {from: line, time_zone: '+02:00'}]",
        "{\"line\":\"2025-08-03 15:30:45 12 [Note] a\"}", &out, &time);
    assert_int_equal(time, (1754235045LL - 7200) * NS_PER_S);
    buf_release(&out);
}

/* Seed lines of logs as they come, and what is found out about them. */
static void test_auto(void **state)
{
    check(
        "[auto: {remove: true}, remove: metadata]",
        "{\"message\":\"2025-02-15T12:00:00.123Z ERROR Payment failed: timeout after 5000ms\"}\n"
        "{\"message\":\"{\\\"timestamp\\\":\\\"2025-02-15T12:00:00.123Z\\\",\\\"level\\\":\\\"ERROR"
        "\\\",\\\"message\\\":\\\"Payment failed: timeout after "
        "5000ms\\\",\\\"metadata\\\":{\\\"a\\\""
        ":1}}\"}",
        "{\"timestamp\":\"2025-02-15T12:00:00.123Z\",\"level\":\"ERROR\",\"message\":"
        "\"Payment failed: timeout after 5000ms\"}\n"
        "{\"timestamp\":\"2025-02-15T12:00:00.123Z\",\"level\":\"ERROR\",\"message\":"
        "\"Payment failed: timeout after 5000ms\"}");
    check("[auto]", "{\"message\":\"2025-02-15 12:00:00,5 [main] WARN  a.B - slow\\n\\tat x\"}",
          "{\"timestamp\":\"2025-02-15 12:00:00,5\",\"thread\":\"main\",\"level\":\"WARN\","
          "\"message\":\"a.B - slow\\n\\tat x\"}");
    check("[auto: {remove: true}]", "{\"message\":\"level=warn msg=\\\"a b\\\" n=1\"}",
          "{\"level\":\"warn\",\"msg\":\"a b\",\"n\":1}");
    check("[auto: {remove: true}, only: [client, status]]",
          "{\"message\":\"1.2.3.4 - - [15/Feb/2025:12:00:00 +0000] \\\"GET / HTTP/1.1\\\" 200 5\"}",
          "{\"client\":\"1.2.3.4\",\"status\":200}");
    check("[auto]",
          "{\"message\":\"plain words\"}\n{\"message\":\"2025-02-15 12:00:00 not a level\"}\n"
          "{\"message\":\"one=1 pair is none\"}\n{\"message\":\"\"}",
          "{\"message\":\"plain words\"}\n{\"message\":\"2025-02-15 12:00:00 not a level\"}\n"
          "{\"message\":\"one=1 pair is none\"}\n{\"message\":\"\"}");
}

static void test_nesting(void **state)
{
    check("[nest: {under: event, fields: [a, b.c]}]",
          "{\"a\":1.50,\"b\":{\"c\":[1],\"d\":2},\"e\":null}\n{\"e\":1}",
          "{\"b\":{\"d\":2},\"e\":null,\"event\":{\"a\":1.50,\"b\":{\"c\":[1]}}}\n{\"e\":1}");
    check("[nest: {under: event, fields: [a]}]", "{\"event\":{\"x\":1},\"a\":2}",
          "{\"event\":{\"x\":1,\"a\":2}}");
    check("[nest: {under: http, prefix: http_}]", "{\"http_status\":200,\"http_\":1,\"url\":\"/\"}",
          "{\"http_\":1,\"url\":\"/\",\"http\":{\"status\":200}}");
    check("[flatten]", "{\"a\":{\"b\":{\"c\":1,\"d\":{}},\"e\":\"x\"},\"f\":2}",
          "{\"f\":2,\"a.b.c\":1,\"a.b.d\":{},\"a.e\":\"x\"}");
    check("[flatten: {fields: [a], separator: _}]", "{\"a\":{\"b\":{\"c\":1}},\"z\":{\"y\":1}}",
          "{\"z\":{\"y\":1},\"a_b_c\":1}");
    check("[flatten: {fields: [a.b], prefix: ''}]",
          "{\"a\":{\"b\":{\"c\":1,\"d\":2},\"k\":3}}\n{\"a\":4}",
          "{\"a\":{\"k\":3},\"c\":1,\"d\":2}\n{\"a\":4}");
    check("[flatten, nest: {under: a, prefix: 'a.'}]",
          "{\"a\":{\"b\":1,\"c\":true}}\n{\"a\":{\"b\":2}}",
          "{\"a\":{\"b\":1,\"c\":true}}\n{\"a\":{\"b\":2}}");
}

static void test_route(void **state)
{
    check("[route: {ways: [{where: 'level:ERROR', to: errors}, {where: 'ms:>100', to: slow}], "
          "else: rest}]",
          "{\"level\":\"ERROR\",\"ms\":500}\n{\"ms\":101}\n{}",
          "{\"level\":\"ERROR\",\"ms\":500,\"route\":\"errors\"}\n{\"ms\":101,\"route\":\"slow\"}\n"
          "{\"route\":\"rest\"}");
    check("[route: {field: to, ways: [{where: 'a:1', to: x}]}]",
          "{\"a\":1}\n{\"a\":2,\"to\":\"y\"}", "{\"a\":1,\"to\":\"x\"}\n{\"a\":2,\"to\":\"y\"}");
}

static void test_choose(void **state)
{
    struct buf one, two;
    int64_t time;
    unsigned seen[3] = {0};
    struct buf lines;
    buf_init(&lines, 1 << 20);
    for (int i = 0; i < 3000; i++)
        buf_printf(&lines, "%s{}", i ? "\n" : "");
    buf_put_byte(&lines, '\0');
    run("[choose: {region: [eu, us, 'ap'], id: [1, 2]}]", lines.p, &one, &time);
    run("[choose: {region: [eu, us, 'ap'], id: [1, 2]}]", lines.p, &two, &time);
    assert_true(str_eq(buf_str(&one), buf_str(&two)));
    struct str rest = buf_str(&one), line;
    while (str_split(&rest, '\n', &line)) {
        seen[0] += str_find(line, STR("\"eu\",\"id\":1")) < line.n;
        seen[1] += str_find(line, STR("\"us\",\"id\":2")) < line.n;
        seen[2] += str_find(line, STR("\"ap\"")) < line.n;
    }
    assert_true(seen[0] > 400 && seen[0] < 600 && seen[1] > 400 && seen[1] < 600);
    assert_true(seen[2] > 850 && seen[2] < 1150);
    buf_release(&lines);
    buf_release(&one);
    buf_release(&two);
}

/* ---- rates: a chain over time ---- */

struct flow {
    struct arena arena;
    struct chain *chain;
};

static void flow_open(struct flow *f, const char *yaml)
{
    struct tree t;
    arena_init(&f->arena, 0, NULL);
    assert_ok(tree_read(str_c(yaml), "T", &f->arena, &t));
    assert_ok(chain_new(&t, &f->chain));
}

/* Sends n records {"level", "service"} that arrive at a second; how many are left. */
static uint32_t flow_send(struct flow *f, double second, uint32_t n, const char *level,
                          const char *service)
{
    struct arena a;
    struct rows in, out;
    struct batch *b = batch_new();
    arena_init(&a, 0, NULL);
    for (uint32_t i = 0; i < n; i++) {
        batch_begin(b);
        batch_text(b, STR("level"), LANE_STR, str_c(level));
        batch_text(b, STR("service"), LANE_STR, str_c(service));
        batch_end(b, arrival, STR("{}"));
    }
    batch_view(b, &a, &in);
    assert_ok(chain_run(f->chain, 0, UINT32_MAX, &in, arrival + (int64_t)(second * 1e9), &a, &out));
    uint32_t left = out.n;
    batch_free(b);
    arena_release(&a);
    return left;
}

static void flow_close(struct flow *f)
{
    chain_free(f->chain);
    arena_release(&f->arena);
}

static void test_throttle(void **state)
{
    struct flow f;
    flow_open(&f, "[throttle: {rate: 10/s, by: [service]}]");
    assert_int_equal(flow_send(&f, 0, 25, "INFO", "a"), 10);
    assert_int_equal(flow_send(&f, 0, 5, "INFO", "b"), 5);
    assert_int_equal(flow_send(&f, 0.5, 25, "INFO", "a"), 5);
    assert_int_equal(flow_send(&f, 9, 25, "INFO", "a"), 10);
    flow_close(&f);
    flow_open(&f, "[throttle: {rate: 60/1m, burst: 2, where: 'level:DEBUG'}]");
    assert_int_equal(flow_send(&f, 0, 5, "DEBUG", "a"), 2);
    assert_int_equal(flow_send(&f, 0, 5, "ERROR", "a"), 5);
    assert_int_equal(flow_send(&f, 1, 5, "DEBUG", "a"), 1);
    flow_close(&f);
}

/* What comes with no arguments: a tenth of DEBUG, all of the rest, and only in a spike. */
static void test_spike(void **state)
{
    struct flow f;
    flow_open(&f, "[sample]");
    for (int second = 0; second < 20; second++)
        assert_int_equal(flow_send(&f, second, 500, "DEBUG", "a"), 500);
    assert_int_equal(flow_send(&f, 20, 2400, "DEBUG", "a"), 2400);
    uint32_t left = flow_send(&f, 20.1, 4000, "debug", "a");
    assert_true(left > 300 && left < 500);
    assert_int_equal(flow_send(&f, 20.2, 4000, "ERROR", "a"), 4000);
    assert_int_equal(flow_send(&f, 20.3, 4000, "fatal", "a"), 4000);
    assert_int_equal(flow_send(&f, 20.4, 400, "INFO", "a"), 400);
    assert_int_equal(flow_send(&f, 21, 500, "DEBUG", "a"), 500);
    flow_close(&f);
    flow_open(&f, "[sample: {levels: {debug: 0%, info: 50%}, spike: 100/s}]");
    assert_int_equal(flow_send(&f, 0, 100, "DEBUG", "a"), 100);
    assert_int_equal(flow_send(&f, 0, 1, "DEBUG", "a"), 0);
    left = flow_send(&f, 0, 1000, "INFO", "a");
    assert_true(left > 400 && left < 600);
    assert_int_equal(flow_send(&f, 0, 9, "WARN", "a"), 9);
    flow_close(&f);
    flow_open(&f, "[sample: {keep: 0%, levels: {INFO: 100%}}]");
    assert_int_equal(flow_send(&f, 0, 9, "ERROR", "a"), 9);
    assert_int_equal(flow_send(&f, 0, 9, "INFO", "a"), 9);
    assert_int_equal(flow_send(&f, 0, 9, "WARN", "a"), 0);
    flow_close(&f);
}

static void test_lookup(void **state)
{
    char path[300], yaml[600];
    snprintf(path, sizeof(path), "%s/hosts.csv", test_dir());
    assert_ok(io_write_file(path, STR("host,team,cost,note\r\nh1,shop,12,\"a \"\"b\"\",\nc\"\r\n"
                                      "h2,ops,,x\nh1,second,1,\n\n")));
    snprintf(yaml, sizeof(yaml), "[lookup: {file: %s, from: host}]", path);
    check(yaml, "{\"host\":\"h1\"}\n{\"host\":\"h2\",\"team\":\"old\"}\n{\"host\":\"h3\"}\n{}",
          "{\"host\":\"h1\",\"team\":\"shop\",\"cost\":12,\"note\":\"a \\\"b\\\",\\nc\"}\n"
          "{\"host\":\"h2\",\"team\":\"ops\",\"note\":\"x\"}\n{\"host\":\"h3\"}\n{}");
    snprintf(yaml, sizeof(yaml),
             "[lookup: {file: %s, from: id, column: cost, take: [team], prefix: by_}]", path);
    check(yaml, "{\"id\":12}", "{\"id\":12,\"by_team\":\"shop\"}");

    struct flow f;
    snprintf(yaml, sizeof(yaml),
             "[lookup: {file: %s, from: service, column: host}, keep: 'team:new']", path);
    flow_open(&f, yaml);
    assert_int_equal(flow_send(&f, 0, 3, "INFO", "h1"), 0);
    assert_ok(io_write_file(path, STR("host,team\nh1,new\n")));
    clock_sleep_ms(1100);
    assert_int_equal(flow_send(&f, 0, 3, "INFO", "h1"), 3);
    assert_ok(io_write_file(path, STR("host,team\nh1\n"))); /* broken: the table stays */
    clock_sleep_ms(1100);
    assert_int_equal(flow_send(&f, 0, 3, "INFO", "h1"), 3);
    flow_close(&f);
}

static void test_shapes(void **state)
{
    check("[set: {team: shop, n: 5, s: '5', a: true}]", "{\"a\":1}",
          "{\"team\":\"shop\",\"n\":5,\"s\":\"5\",\"a\":true}");
    check("[rename: {a: b}]", "{\"a\":1.50,\"c\":2}\n{\"c\":3}", "{\"c\":2,\"b\":1.50}\n{\"c\":3}");
    check("[rename: {a: b}]", "{\"a\":1,\"b\":2}\n{\"a\":null}\n{\"a\":[1]}",
          "{\"b\":1}\n{\"b\":null}\n{\"b\":[1]}");
    check("[remove: [a, b.c]]", "{\"a\":1,\"b\":{\"c\":2},\"d\":3}\n{\"b\":{\"c\":1,\"x\":2}}",
          "{\"d\":3}\n{\"b\":{\"x\":2}}");
    check("[remove: a]", "{\"a\":{\"b\":1},\"ab\":2}", "{\"ab\":2}");
    check("[only: [a, b]]", "{\"a\":1,\"b\":{\"c\":2},\"d\":3}", "{\"a\":1,\"b\":{\"c\":2}}");
}

static void test_selection(void **state)
{
    check("[keep: 'level:ERROR']", "{\"level\":\"ERROR\"}\n{\"level\":\"INFO\"}",
          "{\"level\":\"ERROR\"}");
    check("[drop: 'level:ERROR']", "{\"level\":\"ERROR\"}\n{\"level\":\"INFO\"}",
          "{\"level\":\"INFO\"}");
    check("[drop: '*']", "{\"a\":1}", "");
    check("[dedup: {fields: [a]}]", "{\"a\":1,\"n\":1}\n{\"a\":2,\"n\":2}\n{\"a\":1,\"n\":3}\n{}",
          "{\"a\":1,\"n\":1}\n{\"a\":2,\"n\":2}\n{}");
    check("[sample: {keep: 0%}]", "{\"a\":1}", "");
    check("[sample: {keep: 100%}]", "{\"a\":1}", "{\"a\":1}");
    check("[sample: {keep: 0, where: 'level:DEBUG'}]",
          "{\"level\":\"DEBUG\"}\n{\"level\":\"ERROR\"}", "{\"level\":\"ERROR\"}");
}

/* The share that goes on is about what was asked for, and the same when it is run again. */
static void test_sample_share(void **state)
{
    struct buf lines, one, two;
    int64_t time;
    size_t n = 0;
    buf_init(&lines, 1 << 20);
    for (int i = 0; i < 4000; i++)
        buf_printf(&lines, "%s{\"n\":%d}", i ? "\n" : "", i);
    buf_put_byte(&lines, '\0');
    run("[sample: {keep: 25%}]", lines.p, &one, &time);
    run("[sample: {keep: 0.25}]", lines.p, &two, &time);
    assert_true(str_eq(buf_str(&one), buf_str(&two)));
    for (size_t i = 0; i < one.n; i++)
        n += one.p[i] == '{';
    assert_true(n > 850 && n < 1150);
    buf_release(&lines);
    buf_release(&one);
    buf_release(&two);
}

/* What is no text: numbers, arrays, values whose name says what they are. */
static void test_redact(void **state)
{
    check("[redact]", "{\"a\":{\"cc\":4111111111111111,\"n\":4111111111111112,\"f\":1.5}}",
          "{\"a\":{\"n\":4111111111111112,\"f\":1.5},\"a.cc\":\"***\"}");
    check("[redact]",
          "{\"a\":[4111111111111111,{\"m\":\"to a@b.de \\u00e4\\\"\",\"x\":[null,1.5,{}]}]}",
          "{\"a\":[\"***\",{\"m\":\"to *** \xc3\xa4\\\"\",\"x\":[null,1.5,{}]}]}");
    check("[redact]", "{\"a\":[1, \"b\\u00e4\"]}", "{\"a\":[1, \"b\\u00e4\"]}");
    check("[redact: [tokens]]",
          "{\"password\":\"x\",\"clientSecret\":7,\"max_tokens\":7,\"l\":[{\"api-key\":\"y\",\"k\":"
          "1}]}",
          "{\"max_tokens\":7,\"password\":\"***\",\"clientSecret\":\"***\",\"l\":[{\"api-key\":\"**"
          "*\","
          "\"k\":1}]}");
    check("[redact: [tokens]]", "{\"a\":\"client_secret=abc&x=1\"}",
          "{\"a\":\"client_secret=***&x=1\"}");
    check("[redact: [cards]]", "{\"password\":\"x\"}", "{\"password\":\"x\"}");
    /* Times and fractions, of which every tenth passes the test of the last digit. */
    check("[redact]",
          "{\"a\":\"1739620800126 2.5105105105105100 5105105105105100.5\",\"t\":1739620800126}",
          "{\"a\":\"1739620800126 2.5105105105105100 5105105105105100.5\",\"t\":1739620800126}");
    check("[redact: {patterns: ['[0-9]+'], fields: [b]}]", "{\"a\":12,\"b\":12}",
          "{\"a\":12,\"b\":\"***\"}");
    check("[redact: {patterns: ['[0-9]+']}]", "{\"a\":12,\"b\":\"x12\"}",
          "{\"a\":12,\"b\":\"x***\"}");
}

static void test_values(void **state)
{
    check("[level]", "{\"level\":\"warning\"}\n{\"severity\":\"err\"}\n{\"level\":\"INFO\"}\n{}",
          "{\"level\":\"WARN\"}\n{\"severity\":\"err\",\"level\":\"ERROR\"}\n{\"level\":\"INFO\"}\n"
          "{}");
    check("[level]", "{\"level\":4}\n{\"level\":\"odd\"}",
          "{\"level\":\"WARN\"}\n"
          "{\"level\":\"odd\"}");
    check("[convert: {a: int, b: float, c: bool, d: string}]",
          "{\"a\":\"12\",\"b\":\"1.5\",\"c\":\"yes\",\"d\":5}\n{\"a\":\"x\"}",
          "{\"a\":12,\"b\":1.5,\"c\":true,\"d\":\"5\"}\n{\"a\":\"x\"}");
    check("[redact]", "{\"a\":\"card 4111-1111-1111-1111 and 4111 1111 1111 1112\"}",
          "{\"a\":\"card *** and 4111 1111 1111 1112\"}");
    check("[redact: [emails]]", "{\"a\":\"to a.b+c@example.co.uk, 5105105105105100\"}",
          "{\"a\":\"to ***, 5105105105105100\"}");
    check("[redact: {what: [tokens], with: X}]",
          "{\"a\":\"password=geheim Authorization: Bearer abcdefgh1234\"}",
          "{\"a\":\"password=X Authorization: Bearer X\"}");
    check("[redact: {patterns: ['id-[0-9]+'], fields: [b]}]",
          "{\"a\":\"id-1\",\"b\":\"id-2 id-3\"}", "{\"a\":\"id-1\",\"b\":\"*** ***\"}");
    struct buf one, two;
    int64_t time;
    run("[hash: {fields: [user], key: k}]", "{\"user\":\"bob\"}", &one, &time);
    run("[hash: {fields: [user], key: other}]", "{\"user\":\"bob\"}", &two, &time);
    assert_true(one.n == strlen("{\"user\":\"0123456789abcdef\"}"));
    assert_false(str_eq(buf_str(&one), buf_str(&two)));
    buf_release(&one);
    buf_release(&two);
}

static void test_times(void **state)
{
    struct buf out;
    int64_t time = 0, noon = 1739620800LL * NS_PER_S;
    run("[timestamp: when]", "{\"when\":\"15/Feb/2025:12:00:00 +0000\"}", &out, &time);
    assert_true(time == noon);
    buf_release(&out);
    run("[json]", "{\"message\":\"{\\\"timestamp\\\":\\\"2025-02-15T12:00:00Z\\\"}\"}", &out,
        &time);
    assert_true(time == noon);
    buf_release(&out);
    run("[timestamp: when, set: {a: 1}, drop: 'b:1']", "{\"when\":\"2025-02-15T12:00:00Z\"}", &out,
        &time);
    assert_true(time == noon);
    buf_release(&out);
}

static void check_time(const char *args, const char *text, int64_t want_ms)
{
    char yaml[300], record[300];
    struct buf out;
    int64_t time = 0;
    snprintf(yaml, sizeof(yaml), "[timestamp: {from: t%s}]", args);
    snprintf(record, sizeof(record), "{\"t\":%s}", text);
    run(yaml, record, &out, &time);
    buf_release(&out);
    if (time != want_ms * NS_PER_MS)
        fail_msg("%s of %s: %lld ns, wanted %lld ms", yaml, record, (long long)time,
                 (long long)want_ms);
}

static void test_time_forms(void **state)
{
    const int64_t noon = 1739620800000, kept = arrival / NS_PER_MS;
    check_time(", format: '%d/%m/%Y %H:%M:%S'", "\"15/02/2025 12:00:00\"", noon);
    check_time(", format: '%d/%m/%Y %H:%M:%S', zone: Europe/Berlin", "\"15/02/2025 13:00:00\"",
               noon);
    check_time(", format: '%d/%m/%Y %H:%M:%S', zone: '-0330'", "\"15/02/2025 08:30:00\"", noon);
    check_time(", format: '%Y-%m-%dT%H:%M:%S.%f%z'", "\"2025-02-15T14:00:00.25+02:00\"",
               noon + 250);
    check_time(", format: ['%s', '%a %d. %B %Y, %I:%M %p']", "\"Sat 15. february 2025, 12:00 PM\"",
               noon);
    check_time(", format: ['%s', '%A %d. %b %Y, %I:%M %p']", "\"1739620800.5\"", noon + 500);
    check_time(", format: '%Y%j %R'", "\"2025046 12:00\"", noon);
    check_time(", format: '%y%m%d %T %Z', zone: Asia/Tokyo", "\"250215 12:00:00 UTC\"", noon);
    check_time(", format: '%D %e%%'", "\"02/15/25  15%\"", noon - 12 * 3600000);
    /* Without a year: nearest to the arrival, 2023-11-14. */
    check_time(", format: '%b %e %T'", "\"Jan  2 00:00:00\"", 1704153600000);
    check_time(", format: '%b %e %T'", "\"Oct 31 00:00:00\"", 1698710400000);
    check_time(", unit: ms", "1739620800000", noon);
    check_time(", unit: s", "1739620800.25", noon + 250);
    check_time(", unit: us", "\"1739620800000000\"", noon);
    check_time(", unit: s", "12", 12000);
    check_time(", zone: Europe/Berlin", "\"2025-07-15 14:00:00\"", 1752580800000);
    check_time(", zone: Europe/Berlin", "\"2025-02-15T12:00:00Z\"", noon);
    /* What is no time leaves the record's as it was. */
    check_time(", format: '%d/%m/%Y'", "\"31/02/2025\"", kept);
    check_time(", format: '%d/%m/%Y'", "\"15/02/2025 \\u00e4\"", kept);
    check_time(", format: '%H:%M %z'", "\"12:00 +\"", kept);
    check_time(", unit: s", "99999999999999", kept);
    check("[timestamp: {from: t, unit: s, to: at}, remove: t]", "{\"t\":1739620800}\n{\"t\":\"x\"}",
          "{\"at\":\"2025-02-15T12:00:00Z\"}\n{}");
}

static void test_behind_each_other(void **state)
{
    check("[json, {rename: {a: b}}, {keep: 'b:>1'}, {remove: message}, {set: {c: x}}]",
          "{\"message\":\"{\\\"a\\\":1}\"}\n{\"message\":\"{\\\"a\\\":2}\"}\n{\"message\":\"{"
          "\\\"a\\\":3}\"}",
          "{\"b\":2,\"c\":\"x\"}\n{\"b\":3,\"c\":\"x\"}");
}

static void test_multiline(void **state)
{
    /* Two sources by turns; what has no text passes; the first line's fields stay. */
    check("[multiline: java]",
          "{\"msg\":\"boom\",\"appname\":\"a\",\"n\":1}\n"
          "{\"msg\":\"java.lang.IllegalStateException: x\",\"appname\":\"a\",\"n\":2}\n"
          "{\"msg\":\"  at B.b(B.java:1)\",\"appname\":\"b\"}\n"
          "{\"other\":true}\n"
          "{\"msg\":\"\\tat A.a(A.java:2)\",\"appname\":\"a\",\"n\":3}\n"
          "{\"msg\":\"  at B.c(B.java:3)\",\"appname\":\"b\"}\n"
          "{\"msg\":\"next\",\"appname\":\"a\",\"n\":4}\n"
          "{\"msg\":\"Caused by: y\",\"appname\":\"a\",\"n\":5}",
          "{\"appname\":\"a\",\"n\":1,\"msg\":\"boom\\njava.lang.IllegalStateException: x\\n\\tat "
          "A.a(A.java:2)\"}\n"
          "{\"appname\":\"b\",\"msg\":\"  at B.b(B.java:1)\\n  at B.c(B.java:3)\"}\n"
          "{\"other\":true}\n"
          "{\"appname\":\"a\",\"n\":4,\"msg\":\"next\\nCaused by: y\"}");
    check("[multiline: {kind: 'begins:^#', from: text, by: [k]}]",
          "{\"text\":\"# 1\",\"k\":1,\"host\":\"a\"}\n{\"text\":\"more\",\"k\":1,\"host\":\"b\"}\n"
          "{\"text\":\"# 2\",\"k\":1}\n{\"text\":\"alone\",\"k\":2}",
          "{\"k\":1,\"host\":\"a\",\"text\":\"# 1\\nmore\"}\n{\"text\":\"# 2\",\"k\":1}\n"
          "{\"text\":\"alone\",\"k\":2}");
    check("[multiline: python]", "{\"message\":\"one\"}\n{\"message\":\"two\"}",
          "{\"message\":\"one\"}\n{\"message\":\"two\"}");
    /* Of its own stage's output other stages see the whole. */
    check("[multiline: {kind: 'continues:^ '}, {keep: 'message:inner'}]",
          "{\"message\":\"a\"}\n{\"message\":\" inner\"}\n{\"message\":\"b\"}",
          "{\"message\":\"a\\n inner\"}");
}

static void test_counts(void **state)
{
    struct arena a;
    struct tree t;
    struct chain *c;
    struct rows in, out;
    struct chain_stage s;
    struct batch *b = batch_new();
    arena_init(&a, 0, NULL);
    assert_ok(tree_read(STR("[json, drop: 'a:1']"), "T", &a, &t));
    assert_ok(chain_new(&t, &c));
    read_records("{\"message\":\"{\\\"a\\\":1}\"}\n{\"message\":\"no\"}", b);
    batch_view(b, &a, &in);
    assert_ok(chain_run(c, 0, UINT32_MAX, &in, arrival, &a, &out));
    chain_stage(c, 0, &s);
    assert_true(s.in == 2 && s.out == 2 && s.missed == 1 && s.dropped == 0);
    chain_stage(c, 1, &s);
    assert_true(s.in == 2 && s.out == 1 && s.dropped == 1);
    chain_free(c);
    arena_release(&a);
    batch_free(b);
}

static void test_bad_arguments(void **state)
{
    static const struct {
        const char *yaml, *text;
    } cases[] = {
        {"json", "T:1:1: a list of at most"},
        {"[multiline]", "multiline takes a kind"},
        {"[multiline: perl]", "T:1:13: "},
        {"[multiline: {kind: 'begins:('}]", "at byte 1"},
        {"[multiline: {kind: java, form: x}]", "did you mean \"from\"?"},
        {"[jsn]", "T:1:2: no transform \"jsn\"; did you mean \"json\"?"},
        {"[elephant]", "no transform \"elephant\""},
        {"[{json: {}, set: {}}]", "T:1:2: a transform is a name"},
        {"[sample: {rate: 3}]",
         "T:1:11: \"rate\" is not known here; there are keep, where, levels and spike"},
        {"[json: {form: x}]", "T:1:9: \"form\" is not known here; did you mean \"from\"?"},
        {"[json: {remove: maybe}]", "true or false"},
        {"[csv]", "csv takes columns"},
        {"[mysql_slow: {time_zone: Mars}]", "T:1:26: no time zone \"Mars\""},
        {"[mysql_error: {remove: maybe}]", "true or false"},
        {"[mysql_error: x]", "mysql_error takes from"},
        {"[grok: '%{NOPE:x}']", "byte 1 of the pattern"},
        {"[regex: '(?<a>']", "T:1:9: byte"},
        {"[set: x]", "set takes a map"},
        {"[drop: 'a:(']", "T:1:8: "},
        {"[sample: {keep: 200%}]", "T:1:17: a share is wanted"},
        {"[convert: {a: number}]", "int, float, bool or string"},
        {"[redact: [cats]]", "cards, emails or tokens"},
        {"[redact: {patterns: ['(']}]", "at byte 1"},
        {"[dedup: {fields: [a], within: soon}]", "a time is wanted"},
        {"[nest: {under: a}]", "nest takes under"},
        {"[flatten: {prefix: x}]", "fields"},
        {"[route: {ways: [{to: x}]}]", "a way is a map"},
        {"[route]", "route takes"},
        {"[choose: {a: x}]", "choose takes"},
        {"[throttle: {rate: fast}]", "100/s"},
        {"[throttle: {rate: 10/x}]", "100/s"},
        {"[throttle: {rate: 10/s, burst: 0}]", "from 1 on"},
        {"[sample: {levels: {ERROR: 10%}}]", "ERROR is never dropped here"},
        {"[sample: {levels: {loud: 10%}}]", "\"loud\" is no level"},
        {"[sample: {spike: much}]", "5x the mean"},
        {"[timestamp: {from: t, format: '%Q'}]", "%Q is not known"},
        {"[timestamp: {from: t, format: '%'}]", "is not known"},
        {"[timestamp: {from: t, zone: Mars/North}]", "Mars/North"},
        {"[timestamp: {from: t, unit: h}]", "s, ms, us or ns"},
        {"[lookup: {file: /none/such.csv, from: a}]", "/none/such.csv"},
        {"[lookup: {from: a}]", "lookup takes file"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct arena a;
        struct tree t;
        struct chain *c;
        arena_init(&a, 0, NULL);
        assert_ok(tree_read(str_c(cases[i].yaml), "T", &a, &t));
        assert_err(chain_new(&t, &c), ERR_INVALID, cases[i].text);
        arena_release(&a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parsers),
        cmocka_unit_test(test_mysql),
        cmocka_unit_test(test_shapes),
        cmocka_unit_test(test_selection),
        cmocka_unit_test(test_sample_share),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_redact),
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_behind_each_other),
        cmocka_unit_test(test_multiline),
        cmocka_unit_test(test_counts),
        cmocka_unit_test(test_bad_arguments),
        cmocka_unit_test(test_auto),
        cmocka_unit_test(test_nesting),
        cmocka_unit_test(test_route),
        cmocka_unit_test(test_choose),
        cmocka_unit_test(test_throttle),
        cmocka_unit_test(test_spike),
        cmocka_unit_test(test_lookup),
        cmocka_unit_test(test_time_forms),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
