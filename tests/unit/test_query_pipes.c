/* The pipes that change, multiply, choose and chart rows, over a small store: a part of it in a
 * segment, a part sealed, a part open; on the scan, and again on tables behind other pipes. */
#include "query/query.h"

#include "record/json.h"
#include "store_kit.h"

/* Row i has _time KIT_T0 + 10 * i seconds. */
static const char *const records[] = {
    "{\"i\":0,\"svc\":\"pay\",\"msg\":\"GET /a from 10.0.0.1 took 12 ms\",\"tags\":[\"x\",\"y\"]}",
    "{\"i\":1,\"svc\":\"pay\",\"msg\":\"GET /b from 10.0.0.2 took 7.5 ms\",\"tags\":[\"y\"]}",
    "{\"i\":2,\"svc\":\"cart\",\"msg\":\"nothing to see\",\"tags\":[]}",
    "{\"i\":3,\"svc\":\"cart\",\"msg\":\"POST /a from 10.0.0.1 took 30 ms\",\"verb\":\"old\"}",
    "{\"i\":4,\"msg\":\"PUT /c from ::1 took 1 "
    "ms\",\"items\":[{\"sku\":\"s1\",\"n\":2,\"d\":{\"z\":"
    "true}},{\"sku\":\"s2\",\"n\":3},7]}",
    "{\"i\":5,\"svc\":\"auth\",\"user\":{\"verb\":\"in\",\"id\":9},\"msg\":\"GET /a from 10.0.0.1 "
    "took "
    "5 ms\"}",
    "{\"i\":6,\"svc\":\"pay\",\"tags\":[\"x\",[1],null,3,true],\"verb\":{\"deep\":1}}",
    "{\"i\":7,\"svc\":[\"pay\",\"cart\"],\"tags\":[\"x\",\"z\"],\"msg\":\"took 99 ms\"}",
};
enum { RECORDS = sizeof(records) / sizeof(*records) };

static struct kit kit;
static struct query_engine *engine;
static struct buf lines; /* of the last query */

static void deliver(uint32_t from, uint32_t to)
{
    struct batch *b = batch_new();
    struct json_limits limits = {.record_bytes = 1 << 20, .nesting = 128};
    struct json_reader *r = json_reader_new(&limits);
    struct frame_info info = {
        .org = STR("default"), .stream = STR("app"), .parts = 1, .arrival_ns = KIT_T0};
    for (uint32_t i = from; i < to; i++) {
        char text[1024]; /* the reader wants padding behind the text */
        snprintf(text, sizeof(text), "%s", records[i]);
        assert_ok(json_read_record(r, str_c(text), KIT_T0 + i * 10 * NS_PER_S, b));
    }
    struct buf out;
    buf_init(&out, 64 << 20);
    assert_ok(frame_encode(b, &info, &out));
    struct blob *frame = blob_take(out.p, out.n, OWNER_QUEUE);
    kit_deliver_frames(&kit, &frame, 1);
    json_reader_free(r);
    batch_free(b);
}

static int setup(void **state)
{
    kit_begin(&kit);
    kit.o.block_rows = 3;
    kit_open(&kit);
    deliver(0, 3);
    assert_ok(store_flush(kit.store));
    deliver(3, 6);
    deliver(6, RECORDS);
    struct query_engine_options o = {
        .store = kit.store, .threads = 2, .query_memory = 64 << 20, .deadline_ns = 600 * NS_PER_S};
    assert_ok(query_engine_new(&o, &engine));
    buf_init(&lines, SIZE_MAX);
    return 0;
}

static int teardown(void **state)
{
    buf_release(&lines);
    query_engine_free(engine);
    kit_end(&kit);
    return 0;
}

static enum err take(void *ctx, struct str bytes)
{
    buf_put_str(&lines, bytes);
    return OK;
}

static struct query_request request(const char *q)
{
    return (struct query_request){
        .org = STR("default"), .q = str_c(q), .from = INT64_MIN, .to = INT64_MAX, .now_ns = KIT_T0};
}

static enum err run(const struct query_request *r)
{
    struct query_sink sink = {NULL, take};
    struct query_meta meta;
    buf_clear(&lines);
    return query_run(engine, r, &sink, &meta);
}

static void expect_of(const struct query_request *r, const char *rows)
{
    if (run(r) != OK)
        fail_msg("%.*s: %s", STR_ARG(r->q), err_text());
    if (!str_eq_c(buf_str(&lines), rows))
        fail_msg("%.*s\n%.*swanted\n%s", STR_ARG(r->q), STR_ARG(buf_str(&lines)), rows);
}

static void expect(const char *q, const char *rows)
{
    struct query_request r = request(q);
    expect_of(&r, rows);
}

/* ---- extract ---- */

#define TOOK "extract /(?<verb>[A-Z]+) (?<path>\\/\\w+) from (?<ip>\\S+) took/ from message"

static void test_extract(void **state)
{
    expect("i:<3 | " TOOK " | sort i | fields i, verb, path, ip",
           "{\"i\":0,\"verb\":\"GET\",\"path\":\"/a\",\"ip\":\"10.0.0.1\"}\n"
           "{\"i\":1,\"verb\":\"GET\",\"path\":\"/b\",\"ip\":\"10.0.0.2\"}\n{\"i\":2}\n");
    /* What was there under the name goes, but only where something is put in its place. */
    expect("i:(3 OR 6) | " TOOK " | sort i | fields verb",
           "{\"verb\":\"POST\"}\n{\"verb\":{\"deep\":1}}\n");
    expect("* | " TOOK " | stats count(), sum(i) by verb",
           "{\"verb\":\"GET\",\"count\":3,\"sum(i)\":6}\n"
           "{\"verb\":\"POST\",\"count\":1,\"sum(i)\":3}\n"
           "{\"verb\":\"PUT\",\"count\":1,\"sum(i)\":4}\n"
           "{\"verb\":null,\"count\":3,\"sum(i)\":15}\n");
    expect("* | " TOOK " | where verb:GET path:\"/a\" | sort -i | fields i",
           "{\"i\":5}\n{\"i\":0}\n");
    expect("* | " TOOK " | where ip:* | limit 2 | fields i, ip",
           "{\"i\":5,\"ip\":\"10.0.0.1\"}\n{\"i\":4,\"ip\":\"::1\"}\n");
    expect("* | fields i | " TOOK " | sort i | limit 1",
           "{\"i\":0,\"verb\":\"GET\",\"path\":\"/a\",\"ip\":\"10.0.0.1\"}\n");
}

static void test_extract_syntaxes(void **state)
{
    expect("* | extract \"from %{IP:client} took %{NUMBER:ms:float} ms\" | stats sum(ms) by client",
           "{\"client\":\"10.0.0.1\",\"sum(ms)\":47}\n{\"client\":\"10.0.0.2\",\"sum(ms)\":7.5}\n"
           "{\"client\":\"::1\",\"sum(ms)\":1}\n{\"client\":null,\"sum(ms)\":null}\n");
    expect("* | extract \"from <client> took <ms> ms\" | where ms > 7 | sort ms | fields ms",
           "{\"ms\":\"7.5\"}\n{\"ms\":\"12\"}\n{\"ms\":\"30\"}\n");
    expect("i:4 | rex field=message \"took (?<ms>\\d+)\" | fields ms", "{\"ms\":\"1\"}\n");
    expect("i:4 | grok message \"took %{INT:ms:int}\" | fields ms", "{\"ms\":1}\n");
    /* Numbers are read by their text, and what the pattern took is looked at again. */
    expect("i:4 | extract /(?<a>.)/ from i | extract \"<b>\" from a | fields a, b",
           "{\"a\":\"4\",\"b\":\"4\"}\n");
    expect("i:6 | extract /(?<a>,.*,)/ from tags | fields a", "{\"a\":\",[1],null,3,\"}\n");
    expect("i:5 | extract \"%{WORD:user.verb} /\" | fields user, user.verb",
           "{\"user\":{\"id\":9},\"user.verb\":\"GET\"}\n");
}

static void test_extract_on_tables(void **state)
{
    expect("* | sort i | limit 2 | " TOOK " | fields ip", "{\"ip\":\"10.0.0.1\"}\n{\"ip\":"
                                                          "\"10.0.0.2\"}\n");
    expect("svc:pay | stats count() by msg | extract \"took <ms> ms\" from msg | stats sum(ms)",
           "{\"sum(ms)\":118.5}\n");
    expect("* | stats count() by i | where i > 5 | unnest i | sort -i | fields i",
           "{\"i\":7}\n{\"i\":6}\n");
}

/* ---- unnest ---- */

static void test_unnest(void **state)
{
    expect("tags:* | unnest tags | sort i | fields i, tags",
           "{\"i\":0,\"tags\":\"x\"}\n{\"i\":0,\"tags\":\"y\"}\n{\"i\":1,\"tags\":\"y\"}\n"
           "{\"i\":2,\"tags\":null}\n{\"i\":6,\"tags\":\"x\"}\n{\"i\":6,\"tags\":[1]}\n"
           "{\"i\":6,\"tags\":null}\n{\"i\":6,\"tags\":3}\n{\"i\":6,\"tags\":true}\n"
           "{\"i\":7,\"tags\":\"x\"}\n{\"i\":7,\"tags\":\"z\"}\n");
    expect("i:4 | unnest items | fields i, items",
           "{\"i\":4,\"items\":{\"sku\":\"s1\",\"n\":2,\"d\":{\"z\":true}}}\n"
           "{\"i\":4,\"items\":{\"sku\":\"s2\",\"n\":3}}\n{\"i\":4,\"items\":7}\n");
    expect("* | unnest items | stats sum(items.n), count() by items.sku",
           "{\"items.sku\":\"s1\",\"sum(items.n)\":2,\"count\":1}\n"
           "{\"items.sku\":\"s2\",\"sum(items.n)\":3,\"count\":1}\n"
           "{\"items.sku\":null,\"sum(items.n)\":null,\"count\":8}\n");
    expect("* | unnest tags as tag | where tag:x | sort i | fields i, tag, tags",
           "{\"i\":0,\"tags\":[\"x\",\"y\"],\"tag\":\"x\"}\n"
           "{\"i\":6,\"tags\":[\"x\",[1],null,3,true],\"tag\":\"x\"}\n"
           "{\"i\":7,\"tags\":[\"x\",\"z\"],\"tag\":\"x\"}\n");
    expect("i:7 | unnest svc | unnest tags | fields svc, tags",
           "{\"svc\":\"pay\",\"tags\":\"x\"}\n{\"svc\":\"pay\",\"tags\":\"z\"}\n"
           "{\"svc\":\"cart\",\"tags\":\"x\"}\n{\"svc\":\"cart\",\"tags\":\"z\"}\n");
    /* Newest first, the elements of a row in their order; parts are found again when fetched. */
    expect("* | unnest tags | limit 3 | fields i, tags",
           "{\"i\":7,\"tags\":\"x\"}\n{\"i\":7,\"tags\":\"z\"}\n{\"i\":6,\"tags\":\"x\"}\n");
    expect("* | unnest tags | where tags:(3 OR z OR y) | sort tags, i | fields i, tags",
           "{\"i\":6,\"tags\":3}\n{\"i\":0,\"tags\":\"y\"}\n{\"i\":1,\"tags\":\"y\"}\n"
           "{\"i\":7,\"tags\":\"z\"}\n");
}

/* ---- arrays under several keys ---- */

static void test_arrays(void **state)
{
    expect("i:7 | stats count() by svc, tags", "{\"svc\":\"cart\",\"tags\":\"x\",\"count\":1}\n"
                                               "{\"svc\":\"cart\",\"tags\":\"z\",\"count\":1}\n"
                                               "{\"svc\":\"pay\",\"tags\":\"x\",\"count\":1}\n"
                                               "{\"svc\":\"pay\",\"tags\":\"z\",\"count\":1}\n");
    expect("* | stats sum(i) by i, tags | where tags:x | fields i, sum(i)",
           "{\"i\":0,\"sum(i)\":0}\n{\"i\":6,\"sum(i)\":6}\n{\"i\":7,\"sum(i)\":7}\n");
    expect("* | stats count() by bin(40s), tags | where tags:y",
           "{\"_time\":\"2023-11-14T22:13:20Z\",\"tags\":\"y\",\"count\":2}\n");
    expect("tags:=x | stats count()", "{\"count\":3}\n");
    expect("tags:3 | stats values(tags)", "{\"values(tags)\":[3,true,\"x\"]}\n");
}

/* ---- top, rare, values ---- */

static void test_extremes(void **state)
{
    expect("* | rare 2 svc", "{\"svc\":\"auth\",\"count\":1}\n{\"svc\":null,\"count\":1}\n");
    expect("* | rare svc | limit 3 offset 2",
           "{\"svc\":\"cart\",\"count\":3}\n{\"svc\":\"pay\",\"count\":4}\n");
    expect("* | top limit=1 svc", "{\"svc\":\"pay\",\"count\":4}\n");
    expect("* | top 2 by (svc, verb)", "{\"svc\":\"pay\",\"verb\":null,\"count\":4}\n"
                                       "{\"svc\":\"cart\",\"verb\":null,\"count\":2}\n");
    expect("* | values svc", "{\"svc\":\"pay\",\"count\":4}\n{\"svc\":\"cart\",\"count\":3}\n"
                             "{\"svc\":\"auth\",\"count\":1}\n");
    expect("* | values tags limit 1", "{\"tags\":\"x\",\"count\":3}\n");
    expect("* | uniq by (svc, tags) | where svc:auth", "");
    expect("* | stats by (svc) count() as n | where n = 4", "{\"svc\":\"pay\",\"n\":4}\n");
}

/* ---- dedup ---- */

static void test_dedup(void **state)
{
    expect("* | dedup svc | fields i", "{\"i\":7}\n{\"i\":6}\n{\"i\":5}\n{\"i\":3}\n");
    expect("* | dedup 2 svc | fields i",
           "{\"i\":7}\n{\"i\":6}\n{\"i\":5}\n{\"i\":3}\n{\"i\":2}\n{\"i\":1}\n");
    expect("* | dedup svc keepempty=true | fields i",
           "{\"i\":7}\n{\"i\":6}\n{\"i\":5}\n{\"i\":4}\n{\"i\":3}\n");
    expect("* | dedup svc | limit 2 offset 1 | fields i", "{\"i\":6}\n{\"i\":5}\n");
    expect("* | dedup svc sortby i | fields i", "{\"i\":0}\n{\"i\":2}\n{\"i\":5}\n{\"i\":7}\n");
    expect("* | " TOOK " | dedup verb ip | sort i | fields i",
           "{\"i\":1}\n{\"i\":3}\n{\"i\":4}\n{\"i\":5}\n");
    expect("* | unnest tags | dedup tags | fields i, tags",
           "{\"i\":7,\"tags\":\"x\"}\n{\"i\":7,\"tags\":\"z\"}\n{\"i\":6,\"tags\":[1]}\n"
           "{\"i\":6,\"tags\":3}\n{\"i\":6,\"tags\":true}\n{\"i\":1,\"tags\":\"y\"}\n");
    expect("* | dedup svc | stats sum(i)", "{\"sum(i)\":21}\n");
    expect("* | sort i | limit 4 | dedup svc | fields i", "{\"i\":0}\n{\"i\":2}\n");
    expect("* | sort i | dedup svc keepempty=t | fields i",
           "{\"i\":0}\n{\"i\":2}\n{\"i\":4}\n{\"i\":5}\n{\"i\":7}\n");
}

/* ---- timechart ---- */

static void test_timechart(void **state)
{
    expect("* | timechart span=20s count()", "{\"_time\":\"2023-11-14T22:13:20Z\",\"count\":2}\n"
                                             "{\"_time\":\"2023-11-14T22:13:40Z\",\"count\":2}\n"
                                             "{\"_time\":\"2023-11-14T22:14:00Z\",\"count\":2}\n"
                                             "{\"_time\":\"2023-11-14T22:14:20Z\",\"count\":2}\n");
    expect("* | timechart span=40s by svc",
           "{\"_time\":\"2023-11-14T22:13:20Z\",\"auth\":0,\"cart\":2,\"pay\":2,\"NULL\":0}\n"
           "{\"_time\":\"2023-11-14T22:14:00Z\",\"auth\":1,\"cart\":1,\"pay\":2,\"NULL\":1}\n");
    expect("* | timechart span=40s limit=1 usenull=f max(i), count() by svc",
           "{\"_time\":\"2023-11-14T22:13:20Z\",\"max(i): cart\":3,\"count: cart\":2,"
           "\"max(i): OTHER\":1,\"count: OTHER\":2}\n"
           "{\"_time\":\"2023-11-14T22:14:00Z\",\"max(i): cart\":7,\"count: cart\":1,"
           "\"max(i): OTHER\":7,\"count: OTHER\":3}\n");
    expect("* | timechart avg(i) by svc span=40s useother=false limit=1 usenull=false",
           "{\"_time\":\"2023-11-14T22:13:20Z\",\"cart\":2.5}\n"
           "{\"_time\":\"2023-11-14T22:14:00Z\",\"cart\":7}\n");
    /* Gaps are filled, unless they are not wanted. */
    expect("i:(0 OR 7) | timechart span=30s count(), sum(i)",
           "{\"_time\":\"2023-11-14T22:13:00Z\",\"count\":1,\"sum(i)\":0}\n"
           "{\"_time\":\"2023-11-14T22:13:30Z\",\"count\":0,\"sum(i)\":null}\n"
           "{\"_time\":\"2023-11-14T22:14:00Z\",\"count\":0,\"sum(i)\":null}\n"
           "{\"_time\":\"2023-11-14T22:14:30Z\",\"count\":1,\"sum(i)\":7}\n");
    expect("i:(0 OR 7) | timechart span=30s cont=false",
           "{\"_time\":\"2023-11-14T22:13:00Z\",\"count\":1}\n"
           "{\"_time\":\"2023-11-14T22:14:30Z\",\"count\":1}\n");
    expect("* | sort i | limit 4 | timechart span=20s sum(i)",
           "{\"_time\":\"2023-11-14T22:13:20Z\",\"sum(i)\":1}\n"
           "{\"_time\":\"2023-11-14T22:13:40Z\",\"sum(i)\":5}\n");
    expect("zzz | timechart span=20s", "");
}

static void test_timechart_range(void **state)
{
    struct query_request r = request("i:1 | timechart span=10s");
    r.from = KIT_T0;
    r.to = KIT_T0 + 30 * NS_PER_S;
    expect_of(&r, "{\"_time\":\"2023-11-14T22:13:20Z\",\"count\":0}\n"
                  "{\"_time\":\"2023-11-14T22:13:30Z\",\"count\":1}\n"
                  "{\"_time\":\"2023-11-14T22:13:40Z\",\"count\":0}\n");
    r.q = STR("i:1 | timechart bins=3 | stats count(), sum(count) as n");
    expect_of(&r, "{\"count\":3,\"n\":1}\n");
    r.q = STR("i:1 | timechart span=1ms");
    r.to = KIT_T0 + 3600 * NS_PER_S;
    assert_err(run(&r), ERR_LIMIT, "make span= wider");
}

/* ---- how a query is read ---- */

static void test_defaults(void **state)
{
    struct query_request r = request("nothing POST | stats count()");
    expect_of(&r, "{\"count\":0}\n");
    r.or_default = true;
    expect_of(&r, "{\"count\":2}\n");
    r.q = STR("cart old | stats count()");
    expect_of(&r, "{\"count\":3}\n");
    r.default_field = STR("svc");
    expect_of(&r, "{\"count\":3}\n");
    r.q = STR("old | stats count()");
    expect_of(&r, "{\"count\":0}\n");
    r.q = STR("* | where auth cart | stats count()");
    expect_of(&r, "{\"count\":4}\n");
}

/* A query that needs more than it may hold fails alone, with a text that says so. */
static void test_memory(void **state)
{
    struct query_engine *small, *whole = engine;
    struct query_engine_options o = {
        .store = kit.store, .threads = 1, .query_memory = 3000, .deadline_ns = 600 * NS_PER_S};
    static const char *const queries[] = {"* | unnest tags", "* | dedup i", ("* | " TOOK),
                                          "* | sort i | unnest tags", "* | timechart span=1s by i"};
    assert_ok(query_engine_new(&o, &small));
    engine = small;
    for (size_t i = 0; i < sizeof(queries) / sizeof(*queries); i++) {
        struct query_request r = request(queries[i]);
        assert_err(run(&r), ERR_NOMEM, "memory");
    }
    engine = whole;
    query_engine_free(small);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_extract),
        cmocka_unit_test(test_extract_syntaxes),
        cmocka_unit_test(test_extract_on_tables),
        cmocka_unit_test(test_unnest),
        cmocka_unit_test(test_arrays),
        cmocka_unit_test(test_extremes),
        cmocka_unit_test(test_dedup),
        cmocka_unit_test(test_timechart),
        cmocka_unit_test(test_timechart_range),
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
