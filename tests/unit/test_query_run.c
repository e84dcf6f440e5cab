/* Running queries over a small store: a part of it in a segment, a part sealed, a part open, so
 * that every kind of block is read. The rows are known, and so are the answers. */
#include "core/governor.h"
#include "query/query.h"

#include "record/json.h"
#include "store/store_impl.h"
#include "store_kit.h"

/* Row i of the table below has _time KIT_T0 + i seconds. */
static const char *const records[] = {
    "{\"i\":0,\"service\":\"pay\",\"ms\":10,\"tags\":[\"a\",\"b\"],\"ok\":true}",
    "{\"i\":1,\"service\":\"pay\",\"ms\":20.5,\"tags\":[\"b\"],\"user\":\"ann\"}",
    "{\"i\":2,\"service\":\"cart\",\"ms\":30,\"tags\":[],\"user\":\"bob\"}",
    "{\"i\":3,\"service\":\"cart\",\"ms\":\"40\",\"tags\":\"c\",\"user\":\"ann\"}",
    "{\"i\":4,\"service\":\"cart\",\"ms\":-5,\"tags\":[3,true,null,[9],{\"x\":1}],\"user\":\"\"}",
    "{\"i\":5,\"service\":\"auth\",\"user\":null,\"ok\":false,\"msg\":\"caf\\u00e9 \\\"x\\\"\"}",
    "{\"i\":6,\"ms\":9007199254740993,\"user\":\"cy\",\"tags\":[\"q\\\"\\u0041\",\"b\"]}",
    "{\"i\":7,\"service\":\"pay\",\"ms\":1e400,\"deep\":{\"er\":{\"v\":7}}}",
    "{\"i\":8,\"service\":\"auth\",\"ms\":9007199254740992,\"user\":\"bob\"}",
    "{\"i\":9,\"service\":\"pay\",\"ms\":12,\"level\":\"ERROR\",\"user\":\"dee\"}",
};
enum { RECORDS = sizeof(records) / sizeof(*records) };

static struct kit kit;
static struct query_engine *engine;
static struct buf lines; /* of the last query */

static struct str own_record(uint32_t i)
{
    static char text[512]; /* the reader wants padding behind the text */
    snprintf(text, sizeof(text), "%s", records[i]);
    return str_c(text);
}

/* A frame of rows [from, to) of the table. */
static void deliver(uint32_t from, uint32_t to)
{
    struct batch *b = batch_new();
    struct json_limits limits = {.record_bytes = 1 << 20, .nesting = 128};
    struct json_reader *r = json_reader_new(&limits);
    struct frame_info info = {
        .org = STR("default"), .stream = STR("app"), .parts = 1, .arrival_ns = KIT_T0};
    for (uint32_t i = from; i < to; i++)
        assert_ok(json_read_record(r, own_record(i), KIT_T0 + i * NS_PER_S, b));
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
    kit.o.block_rows = 4;
    kit_open(&kit);
    deliver(0, 4);
    assert_ok(store_flush(kit.store));
    deliver(4, 8);
    deliver(8, 10);
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

static enum err run(const struct query_request *r, struct query_meta *meta)
{
    struct query_sink sink = {NULL, take};
    buf_clear(&lines);
    return query_run(engine, r, &sink, meta);
}

/* The rows of a query, a line each. */
static void expect(const char *q, const char *rows)
{
    struct query_request r = request(q);
    struct query_meta meta;
    assert_ok(run(&r, &meta));
    assert_true(meta.complete);
    if (!str_eq_c(buf_str(&lines), rows))
        fail_msg("%s\n%.*swanted\n%s", q, STR_ARG(buf_str(&lines)), rows);
}

/* Fails with a text that names what to do about it. */
static void refuse(const struct query_request *r, enum err code, const char *part)
{
    struct query_meta meta;
    assert_err(run(r, &meta), code, part);
}

/* ---- stats ---- */

static void test_numbers(void **state)
{
    expect("* | stats count(), count(ms), sum(i), sum(ms), avg(i), min(i), max(i), p50(i)",
           "{\"count\":10,\"count(ms)\":9,\"sum(i)\":45,\"sum(ms)\":18014398509482092,"
           "\"avg(i)\":4.5,\"min(i)\":0,\"max(i)\":9,\"p50(i)\":4}\n");
    /* Integers above 2^53 keep their last digit; a text that is a number counts as one. */
    expect(
        "* | stats min(ms), max(ms), avg(ms) by service",
        "{\"service\":\"auth\",\"min(ms)\":9007199254740992,\"max(ms)\":9007199254740992,"
        "\"avg(ms)\":9007199254740992}\n"
        "{\"service\":\"cart\",\"min(ms)\":-5,\"max(ms)\":\"40\",\"avg(ms)\":21.666666666666668}\n"
        "{\"service\":\"pay\",\"min(ms)\":10,\"max(ms)\":20.5,\"avg(ms)\":14.166666666666666}\n"
        "{\"service\":null,\"min(ms)\":9007199254740993,\"max(ms)\":9007199254740993,"
        "\"avg(ms)\":9007199254740992}\n");
    expect("i:<6 | stats min(ok), max(ok), min(user), max(user)",
           "{\"min(ok)\":false,\"max(ok)\":true,\"min(user)\":\"\",\"max(user)\":\"bob\"}\n");
}

static void test_sets(void **state)
{
    expect("* | stats distinct(user), values(user), first(user), last(user)",
           "{\"distinct(user)\":5,\"values(user)\":[\"\",\"ann\",\"bob\",\"cy\",\"dee\"],"
           "\"first(user)\":\"ann\",\"last(user)\":\"dee\"}\n");
    expect("* | stats values(ms)", "{\"values(ms)\":[-5,10,12,20.5,30,\"40\",9007199254740992,"
                                   "9007199254740993,1e400]}\n");
    expect("* | stats first(ms), last(ms) by service | fields service, first(ms), last(ms)",
           "{\"service\":\"auth\",\"first(ms)\":9007199254740992,\"last(ms)\":9007199254740992}\n"
           "{\"service\":\"cart\",\"first(ms)\":30,\"last(ms)\":-5}\n"
           "{\"service\":\"pay\",\"first(ms)\":10,\"last(ms)\":12}\n"
           "{\"service\":null,\"first(ms)\":9007199254740993,\"last(ms)\":9007199254740993}\n");
}

/* Arrays count by their top-level scalars; first and last take them whole. */
static void test_arrays(void **state)
{
    expect("* | stats values(tags), distinct(tags), sum(tags), max(tags), first(tags), last(tags)",
           "{\"values(tags)\":[3,true,\"a\",\"b\",\"c\",\"q\\\"A\"],\"distinct(tags)\":6,"
           "\"sum(tags)\":3,\"max(tags)\":3,\"first(tags)\":[\"a\",\"b\"],"
           "\"last(tags)\":[\"q\\\"\\u0041\",\"b\"]}\n");
    expect("* | stats count() by tags",
           "{\"tags\":3,\"count\":1}\n{\"tags\":true,\"count\":1}\n{\"tags\":\"a\",\"count\":1}\n"
           "{\"tags\":\"b\",\"count\":3}\n{\"tags\":\"c\",\"count\":1}\n"
           "{\"tags\":\"q\\\"A\",\"count\":1}\n{\"tags\":null,\"count\":5}\n");
    expect("* | stats max(i) by tags, service | where tags:b | sort service",
           "{\"tags\":\"b\",\"service\":\"pay\",\"max(i)\":1}\n"
           "{\"tags\":\"b\",\"service\":null,\"max(i)\":6}\n");
}

static void test_groups(void **state)
{
    expect("* | stats count(), sum(i) by service, ok",
           "{\"service\":\"auth\",\"ok\":false,\"count\":1,\"sum(i)\":5}\n"
           "{\"service\":\"auth\",\"ok\":null,\"count\":1,\"sum(i)\":8}\n"
           "{\"service\":\"cart\",\"ok\":null,\"count\":3,\"sum(i)\":9}\n"
           "{\"service\":\"pay\",\"ok\":true,\"count\":1,\"sum(i)\":0}\n"
           "{\"service\":\"pay\",\"ok\":null,\"count\":3,\"sum(i)\":17}\n"
           "{\"service\":null,\"ok\":null,\"count\":1,\"sum(i)\":6}\n");
    expect("* | stats count() by bin(5s)", "{\"_time\":\"2023-11-14T22:13:20Z\",\"count\":5}\n"
                                           "{\"_time\":\"2023-11-14T22:13:25Z\",\"count\":5}\n");
    expect("* | stats count() by bin(ms, 20)",
           "{\"ms\":-20,\"count\":1}\n{\"ms\":0,\"count\":2}\n{\"ms\":20,\"count\":2}\n"
           "{\"ms\":40,\"count\":1}\n{\"ms\":9007199254740980,\"count\":2}\n"
           "{\"ms\":null,\"count\":2}\n");
    expect("* | stats count() by deep.er.v",
           "{\"deep.er.v\":7,\"count\":1}\n{\"deep.er.v\":null,\"count\":9}\n");
    expect("* | stats count() by _stream, _time, _id, ingested_at | limit 1",
           "{\"_stream\":\"app\",\"_time\":\"2023-11-14T22:13:20Z\",\"_id\":\"0-1-0\","
           "\"ingested_at\":\"2023-11-14T22:13:20Z\",\"count\":1}\n");
}

/* Without `by` there is always a row. */
static void test_nothing_found(void **state)
{
    expect("zzz | stats count(), sum(i), avg(i), min(i), p50(i), values(i), distinct(i)",
           "{\"count\":0,\"sum(i)\":null,\"avg(i)\":null,\"min(i)\":null,\"p50(i)\":null,"
           "\"values(i)\":[],\"distinct(i)\":0}\n");
    expect("zzz | stats count() by i", "");
    expect("zzz | stats count() by i | stats count()", "{\"count\":0}\n");
    expect("zzz | sort i", "");
    expect("* | limit 0", "");
}

static void test_pipes_on_tables(void **state)
{
    expect("* | stats count() by service | where count > 2 | sort -service",
           "{\"service\":\"pay\",\"count\":4}\n{\"service\":\"cart\",\"count\":3}\n");
    expect("* | stats count() by service | sort -count, service | limit 1 offset 1",
           "{\"service\":\"cart\",\"count\":3}\n");
    expect("* | stats count() by service | stats max(count), count()",
           "{\"max(count)\":4,\"count\":4}\n");
    expect("* | top 2 service",
           "{\"service\":\"pay\",\"count\":4}\n{\"service\":\"cart\",\"count\":3}\n");
    expect("* | sort i | limit 5 | stats sum(i)", "{\"sum(i)\":10}\n");
    expect("* | limit 4 | sort i | where i > 7 | fields i", "{\"i\":8}\n{\"i\":9}\n");
}

/* ---- rows ---- */

static void test_sort(void **state)
{
    expect("* | sort -ms | fields i, ms",
           "{\"i\":7,\"ms\":1e400}\n{\"i\":6,\"ms\":9007199254740993}\n"
           "{\"i\":8,\"ms\":9007199254740992}\n{\"i\":3,\"ms\":\"40\"}\n{\"i\":2,\"ms\":30}\n"
           "{\"i\":1,\"ms\":20.5}\n{\"i\":9,\"ms\":12}\n{\"i\":0,\"ms\":10}\n"
           "{\"i\":4,\"ms\":-5}\n{\"i\":5}\n");
    expect("* | sort user, -i | fields i user",
           "{\"i\":4,\"user\":\"\"}\n{\"i\":3,\"user\":\"ann\"}\n{\"i\":1,\"user\":\"ann\"}\n"
           "{\"i\":8,\"user\":\"bob\"}\n{\"i\":2,\"user\":\"bob\"}\n{\"i\":6,\"user\":\"cy\"}\n"
           "{\"i\":9,\"user\":\"dee\"}\n{\"i\":7}\n{\"i\":5,\"user\":null}\n{\"i\":0}\n");
    expect("* | sort ms, -i | limit 3 | fields i", "{\"i\":4}\n{\"i\":0}\n{\"i\":9}\n");
    expect("* | sort i | limit 2 offset 9 | fields i", "{\"i\":9}\n");
    expect("* | sort i | limit 2 offset 10 | fields i", "");
}

static void test_newest(void **state)
{
    expect("* | limit 3 | fields i", "{\"i\":9}\n{\"i\":8}\n{\"i\":7}\n");
    expect("* | limit 2 offset 3 | fields i", "{\"i\":6}\n{\"i\":5}\n");
    expect("* | where service:pay | limit 2 | fields i", "{\"i\":9}\n{\"i\":7}\n");
}

/* What Weir adds, and what a record has of its own. */
static void test_members(void **state)
{
    expect("i:1", "{\"i\":1,\"service\":\"pay\",\"ms\":20.5,\"tags\":[\"b\"],\"user\":\"ann\","
                  "\"_time\":\"2023-11-14T22:13:21Z\",\"_stream\":\"app\",\"_id\":\"0-1-1\"}\n");
    expect("i:5 | fields message, _time, nothing, ingested_at",
           "{\"_time\":\"2023-11-14T22:13:25Z\",\"message\":\"caf\xc3\xa9 \\\"x\\\"\","
           "\"ingested_at\":\"2023-11-14T22:13:20Z\"}\n");
    expect("i:7 | fields deep", "{\"deep\":{\"er\":{\"v\":7}}}\n");
    expect("i:7 | fields nothing", "{}\n");
}

static unsigned count_lines(void)
{
    unsigned n = 0;
    for (size_t i = 0; i < lines.n; i++)
        n += lines.p[i] == '\n';
    return n;
}

static void test_request(void **state)
{
    struct query_meta meta;
    struct query_request r = request("*");
    assert_ok(run(&r, &meta));
    assert_int_equal(count_lines(), RECORDS);
    r.from = KIT_T0 + 2 * NS_PER_S;
    r.to = KIT_T0 + 5 * NS_PER_S; /* behind the last */
    assert_ok(run(&r, &meta));
    assert_int_equal(count_lines(), 3);
    assert_int_equal(meta.rows_matched, 3);
    r.service = STR("cart");
    r.q = STR("i:>2");
    assert_ok(run(&r, &meta));
    assert_int_equal(count_lines(), 2);
    r.stream = STR("other, app");
    assert_ok(run(&r, &meta));
    assert_int_equal(count_lines(), 2);
    r.stream = STR("other");
    assert_ok(run(&r, &meta));
    assert_int_equal(count_lines(), 0);
    r = request("*");
    r.level = STR("ERROR");
    assert_ok(run(&r, &meta));
    assert_int_equal(count_lines(), 1);
    r.host = STR("h1");
    assert_ok(run(&r, &meta));
    assert_int_equal(count_lines(), 0);
    r = request("* | limit 20000"); /* so many are streamed */
    assert_ok(run(&r, &meta));
    assert_int_equal(count_lines(), RECORDS);
}

static void test_meta_and_explain(void **state)
{
    struct query_meta meta;
    struct query_request r = request("service:pay | stats count()");
    r.meta = true;
    assert_ok(run(&r, &meta));
    assert_int_equal(count_lines(), 2);
    assert_non_null(strstr(lines.p, "\n{\"_meta\":{\"took_ms\":"));
    assert_non_null(strstr(lines.p, "\"rows_matched\":4,"));
    r.explain = true;
    assert_ok(run(&r, &meta));
    assert_int_equal(count_lines(), 1);
    assert_true(str_starts(buf_str(&lines), STR("{\"explain\":{\"filter\":")));
    assert_non_null(strstr(lines.p, "\"pipes\":[\"stats\"]"));
    assert_non_null(strstr(lines.p, "service"));
    /* What is older than all that is asked for is not read. */
    r = request("service:*");
    r.from = KIT_T0 + 8 * NS_PER_S;
    assert_ok(run(&r, &meta));
    assert_true(meta.blocks_pruned > 0);
    assert_int_equal(meta.blocks_pruned + meta.blocks_scanned, meta.blocks_total);
}

/* ---- what ends a query ---- */

static enum err hang_up(void *ctx, struct str bytes)
{
    return err_set(ERR_CANCELED, "gone");
}

static void test_ends_early(void **state)
{
    struct query_meta meta;
    const struct query_sink gone = {NULL, hang_up};
    const char *const queries[] = {"*", "* | limit 2", "* | sort i", "* | stats count()"};
    for (size_t i = 0; i < sizeof(queries) / sizeof(*queries); i++) {
        struct query_request r = request(queries[i]);
        assert_err(query_run(engine, &r, &gone, &meta), ERR_CANCELED, "gone");
        r.deadline_ns = 1;
        refuse(&r, ERR_TIMEOUT, "query.deadline");
        const _Atomic bool left = true;
        r.deadline_ns = 0;
        r.canceled = &left;
        refuse(&r, ERR_CANCELED, "the client has left");
    }
    struct query_request r = request("* | stats cuont()");
    refuse(&r, ERR_INVALID, "did you mean");
    assert_int_equal(lines.n, 0);
}

static void test_memory(void **state)
{
    struct query_engine *small;
    struct query_engine_options o = {
        .store = kit.store, .threads = 2, .query_memory = 256 << 10, .deadline_ns = 600 * NS_PER_S};
    struct query_sink sink = {NULL, take};
    struct query_meta meta;
    assert_ok(query_engine_new(&o, &small));
    kit_deliver(&kit, 6000);
    const char *const queries[] = {"* | stats count() by n", "* | stats values(msg)",
                                   "* | sort msg", "* | stats last(msg) by n, msg"};
    for (size_t i = 0; i < sizeof(queries) / sizeof(*queries); i++) {
        struct query_request r = request(queries[i]);
        assert_err(query_run(small, &r, &sink, &meta), ERR_NOMEM, "query.memory");
    }
    struct query_request r = request("n:* | stats count()"); /* others are not worse off */
    buf_clear(&lines);
    assert_ok(query_run(small, &r, &sink, &meta));
    assert_str(buf_str(&lines), "{\"count\":6000}\n");
    query_engine_free(small);
    expect("n:* | stats count() by n | stats count()", "{\"count\":6000}\n");
    expect("n:<5000 | stats count() by n | sort -n | limit 1", "{\"n\":4999,\"count\":1}\n");
}

static enum err note_memory(void *ctx, struct str bytes)
{
    size_t *most = ctx, held = governor_used_by(OWNER_QUERY);
    *most = held > *most ? held : *most;
    return OK;
}

/* The query in an engine of its own. *ret_held: the most bytes that were charged to queries while
 * rows came out. */
static enum err run_within(size_t memory, unsigned threads, const char *q, struct query_meta *ret,
                           size_t *ret_held)
{
    struct query_engine *e;
    struct query_engine_options o = {.store = kit.store,
                                     .threads = threads,
                                     .query_memory = memory,
                                     .deadline_ns = 600 * NS_PER_S};
    struct query_request r = request(q);
    struct query_sink sink = {ret_held, note_memory};
    *ret_held = 0;
    r.nocache = true;
    assert_ok(query_engine_new(&o, &e));
    enum err err = query_run(e, &r, &sink, ret);
    query_engine_free(e);
    assert_int_equal(governor_used_by(OWNER_QUERY), 0);
    return err;
}

/* From then on, what is read stays as it is. */
static void wait_for_encoders(void)
{
    struct store *s = kit.store;
    pthread_mutex_lock(&s->lock);
    while (s->jobs[0] || s->jobs[1])
        pthread_cond_wait(&s->changed, &s->lock);
    pthread_mutex_unlock(&s->lock);
}

/* What a query says that it held is what it was charged for, in all of its threads and steps
 * together: as much is enough, half of it is not. */
static void test_memory_is_told(void **state)
{
    static const char *const queries[] = {"*",
                                          "* | stats count() by n",
                                          "* | stats values(msg) by slow",
                                          "* | sort msg, -n",
                                          "* | dedup n | sort n",
                                          "n:* | stats max(n) by msg | sort -msg | stats count()"};
    kit_deliver(&kit, 20000);
    wait_for_encoders();
    for (size_t i = 0; i < sizeof(queries) / sizeof(*queries); i++) {
        struct query_meta one, many, less;
        size_t held;
        assert_ok(run_within(1 << 30, 1, queries[i], &one, &held));
        assert_true(held > 0 && held <= one.memory_peak);
        assert_ok(run_within(one.memory_peak, 1, queries[i], &less, &held));
        assert_int_equal(less.memory_peak, one.memory_peak);
        assert_err(run_within(one.memory_peak / 2, 1, queries[i], &less, &held), ERR_NOMEM,
                   "query.memory");
        for (size_t memory = one.memory_peak * 3; memory > one.memory_peak / 4; memory /= 2)
            if (run_within(memory, 4, queries[i], &many, &held) == OK)
                assert_true(held <= many.memory_peak && many.memory_peak <= memory);
    }
}

/* Rows of a block that are more than the query may hold, decoded, stream out in more parts. */
static void test_rows_stream_within_memory(void **state)
{
    enum { ROWS = 36000 };
    struct kit wide, was = kit;
    struct query_meta meta;
    size_t held;
    kit_begin(&wide);
    wide.o.block_rows = ROWS;
    wide.o.block_bytes = 64 << 20;
    wide.pad = 400;
    kit_open(&wide);
    kit_deliver(&wide, ROWS);
    assert_ok(store_flush(wide.store));
    kit = wide; /* for run_within */
    enum err err = run_within(5 << 20, 1, "*", &meta, &held);
    kit = was;
    kit_end(&wide);
    assert_ok(err);
    assert_int_equal(meta.rows_matched, ROWS);
    assert_true(meta.memory_peak <= 5 << 20);
}

/* ---- search ---- */

static struct query_meta search(const struct query_request *r)
{
    struct query_meta meta;
    buf_clear(&lines);
    assert_ok(query_search(engine, r, &lines, &meta));
    buf_put_byte(&lines, '\0');
    return meta;
}

static void test_search_pages(void **state)
{
    struct query_request r = request("*");
    char cursor[64], want[64];
    r.limit = 3;
    r.total = true;
    for (int i = RECORDS - 1; i >= 0; i -= 3) {
        search(&r);
        assert_non_null(strstr(lines.p, "{\"total_hits\":10,\"logs\":[{\"i\":"));
        snprintf(want, sizeof(want), "\"logs\":[{\"i\":%d,", i);
        assert_non_null(strstr(lines.p, want));
        const char *next = strstr(lines.p, "\"next_cursor\":\"");
        assert_true(!next == (i < 2)); /* the last page is not full */
        if (next) {
            assert_int_equal(sscanf(next, "\"next_cursor\":\"%63[^\"]", cursor), 1);
            r.cursor = str_c(cursor);
        }
    }
    r = request("*");
    r.limit = 1;
    r.offset = 4;
    r.meta = true;
    struct query_meta meta = search(&r);
    assert_true(str_starts(str_c(lines.p), STR("{\"logs\":[{\"i\":5,")));
    assert_non_null(strstr(lines.p, "\"meta\":{\"blocks_total\":"));
    assert_true(meta.complete);
}

static void test_search_answer(void **state)
{
    struct query_request r = request("level:error"); /* a word matches whatever its case */
    r.limit = 10;
    r.total = true;
    search(&r);
    assert_non_null(strstr(lines.p, "{\"total_hits\":1,\"logs\":[{\"i\":9,\"service\":\"pay\","
                                    "\"ms\":12,\"level\":\"ERROR\",\"user\":\"dee\","
                                    "\"_time\":\"2023-11-14T22:13:29Z\",\"_stream\":\"app\","));
    assert_non_null(strstr(lines.p, "\"timestamp\":\"2023-11-14T22:13:29Z\""));
    assert_non_null(strstr(lines.p, "\"log_id\":\""));
    r.q = STR("caf\xc3\xa9");
    search(&r);
    assert_non_null(strstr(lines.p, "\"message\":\"caf\xc3\xa9 \\\"x\\\"\""));
    r = request("*"); /* only the number is asked: headers give it */
    r.total = true;
    r.from = KIT_T0;
    struct query_meta meta = search(&r);
    assert_true(str_starts(str_c(lines.p), STR("{\"total_hits\":10,\"logs\":[]")));
    assert_int_equal(meta.blocks_scanned, 0);
}

static void test_search_refuses(void **state)
{
    struct query_meta meta;
    const char *const bad[] = {
        "x", "1.2.3", "1.2.3.4.5", "1.100000000.2.3", "1..2.3", "11111111111111111.1.1.1"};
    struct query_request r = request("*");
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        r.cursor = str_c(bad[i]);
        assert_err(query_search(engine, &r, &lines, &meta), ERR_INVALID, "cursor");
    }
    r = request("a:[1 TO");
    assert_err(query_search(engine, &r, &lines, &meta), ERR_INVALID, "^");
    r = request("*");
    r.deadline_ns = 1;
    assert_err(query_search(engine, &r, &lines, &meta), ERR_TIMEOUT, "query.deadline");
}

static void test_histogram(void **state)
{
    struct query_request r = request("service:pay");
    buf_clear(&lines);
    assert_ok(query_histogram(engine, &r, 2, &lines));
    assert_str(buf_str(&lines), "{\"bucket_ms\":5000,\"buckets\":["
                                "{\"time\":\"2023-11-14T22:13:20Z\",\"count\":2},"
                                "{\"time\":\"2023-11-14T22:13:25Z\",\"count\":2}]}");
    r.stream = STR("other");
    buf_clear(&lines);
    assert_ok(query_histogram(engine, &r, 10, &lines));
    assert_non_null(strstr(lines.p, "\"buckets\":[]"));
    r = request("(");
    assert_err(query_histogram(engine, &r, 10, &lines), ERR_INVALID, "^");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_sets),
        cmocka_unit_test(test_arrays),
        cmocka_unit_test(test_groups),
        cmocka_unit_test(test_nothing_found),
        cmocka_unit_test(test_pipes_on_tables),
        cmocka_unit_test(test_sort),
        cmocka_unit_test(test_newest),
        cmocka_unit_test(test_members),
        cmocka_unit_test(test_request),
        cmocka_unit_test(test_meta_and_explain),
        cmocka_unit_test(test_ends_early),
        cmocka_unit_test(test_search_pages),
        cmocka_unit_test(test_search_answer),
        cmocka_unit_test(test_search_refuses),
        cmocka_unit_test(test_histogram),
        cmocka_unit_test(test_memory), /* the last two: they add rows */
        cmocka_unit_test(test_memory_is_told),
        cmocka_unit_test(test_rows_stream_within_memory),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
