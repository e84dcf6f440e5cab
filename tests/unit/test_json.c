#include "test.h"

#include "core/clock.h"
#include "core/mem.h"
#include "record/json.h"
#include "record/json_form.h"
#include "record/json_unescape.h"
#include "record/scan.h"

#include <dirent.h>
#include <jansson.h>
#include <math.h>

struct fixture {
    struct json_reader *reader;
    struct batch *batch;
    struct arena arena;
    struct buf in, out;
    struct rows rows;
};

static const struct json_limits limits = {.record_bytes = 8 << 20, .nesting = 128};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    f->reader = json_reader_new(&limits);
    f->batch = batch_new();
    arena_init(&f->arena, 0, NULL);
    buf_init(&f->in, SIZE_MAX);
    buf_init(&f->out, SIZE_MAX);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    json_reader_free(f->reader);
    batch_free(f->batch);
    arena_release(&f->arena);
    buf_release(&f->in);
    buf_release(&f->out);
    free(f);
    return 0;
}

/* Reads a record that stands before hostile padding: nothing behind the text may count. */
static enum err read_padded(struct fixture *f, struct str text)
{
    static const char behind[JSON_PADDING] = "123}}]],\"x\":1}\n{\"next\":true}";
    buf_clear(&f->in);
    buf_put_str(&f->in, text);
    buf_put(&f->in, behind, sizeof(behind));
    return json_read_record(f->reader, str_of(f->in.p, text.n), 0, f->batch);
}

static struct str write_all(struct fixture *f, const struct str *fields, uint32_t n_fields)
{
    arena_reset(&f->arena);
    batch_view(f->batch, &f->arena, &f->rows);
    uint32_t *row = ARENA_ARRAY(&f->arena, uint32_t, f->rows.n);
    for (uint32_t i = 0; i < f->rows.n; i++)
        row[i] = i;
    struct json_rows what = {&f->rows, row, f->rows.n, &f->arena, fields, n_fields};
    buf_clear(&f->out);
    assert_ok(json_put_rows(&what, &f->out, NULL));
    return buf_str(&f->out);
}

static struct str round_trip(struct fixture *f, struct str text)
{
    batch_clear(f->batch);
    assert_ok(read_padded(f, text));
    assert_int_equal(batch_rows(f->batch), 1);
    return write_all(f, NULL, 0);
}

static void assert_refused(struct fixture *f, struct str text, enum err code, const char *part)
{
    batch_clear(f->batch);
    enum err err = read_padded(f, text);
    if (err != code || !strstr(err_text(), part))
        fail_msg("%.*s: %s \"%s\", wanted %s \"%s\"", STR_ARG(text), err_name(err),
                 err ? err_text() : "", err_name(code), part);
    assert_int_equal(batch_rows(f->batch), 0);
    assert_ok(read_padded(f, STR("{\"a\":1}"))); /* the reader and the batch are sound */
    assert_int_equal(batch_rows(f->batch), 1);
}

static void test_round_trip(void **state)
{
    static const char *const same[] = {
        "{}",
        "{\"a\":1}",
        "{\"a\":{}}",
        "{\"a\":{\"b\":{\"c\":{\"d\":null}}}}",
        "{\"a\":{\"b\":{\"c\":1},\"d\":2},\"e\":{\"f\":{\"g\":3}}}",
        "{\"a\":[],\"b\":[1, 2,{\"x\":[ ]}],\"c\":\"\"}",
        "{\"\":1,\"a\":{\"\":{\"\":2}}}",
        "{\"a\":1,\"a\":\"x\",\"a\":1,\"a\":{\"a\":1},\"a\":{\"a\":1}}",
        "{\"a.b\":1,\"a\":{\"b\":2},\"a.b\":{\"c.d\":3}}",
        "{\"t\":true,\"f\":false,\"n\":null}",
        "{\"z\":1,\"y\":2,\"x\":3}",
        "{\"k\":\"\\\"\\\\\\b\\f\\n\\r\\t\\u0000\\u001f\x7f\"}",
        "{\"q\\\"k\\n\":1}",
        "{\"\\u001e\\u001f\":{\"\\u001fS\":1}}",
        "{\"k\":\"gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9d\x84\x9e\"}",
        "{\"n\":[1.50,-0,1E5]}",
        "{\"i\":0,\"j\":-1,\"k\":9223372036854775807,\"l\":-9223372036854775808}",
        "{\"i\":9223372036854775808,\"j\":123456789012345678901234567890}",
        "{\"i\":999999999999999999,\"j\":1000000000000000000,\"k\":-999999999999999999}",
        "{\"d\":1.50,\"e\":-0.5,\"f\":0.000000000000000001,\"g\":12345678901234567.8,\"h\":0.0}",
        "{\"d\":-0,\"e\":-0.0,\"f\":-0e0,\"g\":0e1,\"h\":1.0000000000000000000000001}",
        "{\"d\":1e+22,\"e\":1e22,\"f\":1E22,\"g\":1.5e-07,\"h\":1.5e-7,\"i\":1e9999,\"j\":5e-324}",
    };
    for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++)
        assert_str(round_trip(*state, str_c(same[i])), same[i]);
}

/* Lines of many kinds, good and bad, short ones and some that are longer than what is scanned
 * together. */
static void put_lines(struct buf *out, int n)
{
    static const char *const kinds[] = {
        "{\"message\":\"line #\"}",
        "{ \"m\" :\"# \\\"is it?\\\" #\" , \"n\": \"#\\u00e9\" }",
        "{\"time\":\"2025-02-15T11:00:#Z\",\"k\":\"#\",\"k\":\"again\"}",
        "{\"a\": {\"b\":\"#\", \"c\":{\"d\":\"#\\t\"}} ,\"e\":{\"f\":\"\" } }",
        "{\"a\":{\"b\":[1,2,{\"c\":\"x\"}]},\"n\":-1.50,\"t\":true,\"z\":null}",
        "{\"k\":\"\\\"\\u00fc\\n\\\\\"}  ",
        "{\"k\":\"gr\xc3\xbc\xc3\x9f\",\"k\":\"again\"}",
        "{ \"a\" : \"b\" , \"c\" : { } }",
        "12",
        "",
        "   ",
        "{\"a\":1} x",
        "{\"message\":\"\\q\"}",
        "{ \"m\" :\"# \\\"is it?\\\" #\" , \"n\": \"\\q\" }",
        "{\"message\":\"#\" \"x\"}",
        "{\"message\":\"#\"}}",
        "{\"a\" \"b\"}",
        "{\"a\":01}",
        "{\"a\":tru}",
        "{\"a\":[1,2}",
        "{\"a\":1",
        "[\"\\\\\"]",
        "{\"a\":[1,\r2]}", /* from here on those that spoil their neighbours' scan */
        "{\"a\":\"bad \xff utf-8\"}",
        "{\"a\":\"tab\there\"}",
        "{\"a\":\"open}",
    };
    enum { KINDS = sizeof(kinds) / sizeof(*kinds), CALM = 22, GOOD = 8 };
    uint64_t seed = 7;
    for (int i = 0; i < n; i++) {
        seed = seed * 6364136223846793005u + 1;
        unsigned kind = (unsigned)(seed >> 33) % (CALM + 1), spoils = CALM + i / 800 % 8;
        if (kind == CALM) /* in half of the parts there is none */
            kind = spoils < KINDS ? spoils : 0;
        if (seed >> 40 & 3)
            kind %= GOOD;
        if (i % 3000 < 400) /* more of a form than are added at once */
            kind = i / 3000 % 4;
        for (const char *c = kinds[kind]; *c; c++)
            if (*c == '#')
                buf_put_i64(out, (int64_t)(seed >> 20 & 0xffff) >> (seed >> 60));
            else
                buf_put_byte(out, *c);
        for (int k = 0; seed >> 54 == 1 && k < 9000; k++)
            buf_put_str(out, STR("     "));
        if (i + 1 < n)
            buf_put_byte(out, '\n');
    }
}

/* Records read ahead of are read as they are alone. */
static void test_lines(void **state)
{
    enum { LINES = 12800 };
    struct fixture *f = *state;
    struct json_reader *ahead = json_reader_new(&limits);
    struct batch *same = batch_new();
    struct buf lines, reason;
    unsigned good = 0, bad = 0, alike = 0;
    size_t bytes;
    batch_clear(f->batch);
    buf_init(&lines, SIZE_MAX);
    buf_init(&reason, SIZE_MAX);
    put_lines(&lines, LINES);
    size_t n = lines.n;
    buf_put(&lines, (char[JSON_PADDING]){'}'}, JSON_PADDING);
    json_reader_lines(ahead, str_of(lines.p, n));
    for (struct str rest = str_of(lines.p, n), line; str_split(&rest, '\n', &line);) {
        enum err err = json_read_record(f->reader, line, 0, f->batch);
        buf_clear(&reason);
        buf_put_str(&reason, str_c(err == OK ? "" : err_text()));
        assert_int_equal(json_read_record(ahead, line, 0, same), err);
        if (err != OK)
            assert_str(buf_str(&reason), err_text());
        *(err == OK ? &good : &bad) += 1;
        for (alike += json_read_alike(ahead, rest, 0, same, 0, &bytes); bytes; good++) {
            size_t left = rest.n;
            assert_true(str_split(&rest, '\n', &line));
            assert_ok(json_read_record(f->reader, line, 0, f->batch));
            bytes -= left - rest.n;
        }
        assert_int_equal(batch_rows(same), batch_rows(f->batch));
        assert_int_equal(batch_raw_bytes(same), batch_raw_bytes(f->batch));
    }
    assert_true(good > LINES / 2 && bad > LINES / 20 && alike > LINES / 50);
    struct str text = write_all(f, NULL, 0);
    buf_clear(&lines);
    buf_put_str(&lines, text);
    batch_free(f->batch);
    f->batch = same;
    assert_true(str_eq(write_all(f, NULL, 0), buf_str(&lines)));
    json_reader_free(ahead);
    buf_release(&lines);
    buf_release(&reason);
}

static void test_normalised(void **state)
{
    static const char *const cases[][2] = {
        {" \t{ \"a\" :\t1 , \"b\" : { \"c\" : true } } \r\n", "{\"a\":1,\"b\":{\"c\":true}}"},
        {"{\"a\":{ },\"b\": { \n } }", "{\"a\":{},\"b\":{}}"},
        {"{\"a\":\n[1,\r\n 2]\n}", "{\"a\":[1,   2]}"}, /* line breaks never stay */
        {"{\"a\":\"\\u0041\\/\\u00fc\"}", "{\"a\":\"A/\xc3\xbc\"}"},
        {"{\"a\":\"\\ud834\\udd1e\"}", "{\"a\":\"\xf0\x9d\x84\x9e\"}"},
        {"{\"\\u0061\":1}", "{\"a\":1}"},
        {"{\"a\" : 1 \n}", "{\"a\":1}"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_str(round_trip(*state, str_c(cases[i][0])), cases[i][1]);
}

static void assert_lane(struct fixture *f, const char *value, enum lane lane)
{
    char text[256];
    snprintf(text, sizeof(text), "{\"v\":%s}", value);
    assert_str(round_trip(f, str_c(text)), text);
    assert_int_equal(f->rows.n_columns, 1);
    if (f->rows.columns[0].lane != lane)
        fail_msg("%s is %s, wanted %s", value, lane_name(f->rows.columns[0].lane), lane_name(lane));
}

static void test_lanes(void **state)
{
    assert_lane(*state, "\"\"", LANE_STR);
    assert_lane(*state, "[]", LANE_ARR);
    assert_lane(*state, "{}", LANE_OBJ);
    assert_lane(*state, "null", LANE_NULL);
    assert_lane(*state, "true", LANE_BOOL);
    assert_lane(*state, "0", LANE_INT);
    assert_lane(*state, "-9223372036854775808", LANE_INT);
    assert_lane(*state, "9223372036854775808", LANE_DBL); /* 2^63 */
    assert_lane(*state, "9223372036854775809", LANE_NUM);
    assert_lane(*state, "-0", LANE_DBL);
    assert_lane(*state, "1.50", LANE_DEC);
    assert_lane(*state, "-0.5", LANE_DEC);
    assert_lane(*state, "0.0", LANE_DEC);
    assert_lane(*state, "-0.0", LANE_NUM);
    assert_lane(*state, "0.0000000000000000001", LANE_NUM);
    assert_lane(*state, "1e+22", LANE_DBL);
    assert_lane(*state, "1e22", LANE_NUM);
    assert_lane(*state, "1E400", LANE_NUM);
    struct fixture *f = *state;
    struct values v;
    round_trip(f, STR("{\"v\":-1.50}"));
    assert_ok(f->rows.columns[0].ops->values(&f->rows.columns[0], &f->arena, &v));
    assert_int_equal(v.i64[0], -150);
    assert_int_equal(v.scale[0], 2);
}

/* The bytes of the only string of a record. */
static struct str only_string(struct fixture *f, struct str text)
{
    struct values v;
    round_trip(f, text);
    assert_int_equal(f->rows.columns[0].lane, LANE_STR);
    assert_ok(f->rows.columns[0].ops->values(&f->rows.columns[0], &f->arena, &v));
    return values_text(&v, 0);
}

static void test_bad_unicode(void **state)
{
    struct fixture *f = *state;
    assert_str(only_string(f, STR("{\"v\":\"a\xff\xfe\x62\"}")), "a\xff\xfe\x62");
    assert_str(buf_str(&f->out), "{\"v\":\"a\xef\xbf\xbd\xef\xbf\xbd\x62\"}");
    assert_str(only_string(f, STR("{\"v\":\"\xe2\x82\"}")), "\xe2\x82");
    assert_str(buf_str(&f->out), "{\"v\":\"\xef\xbf\xbd\xef\xbf\xbd\"}");
    assert_str(only_string(f, STR("{\"v\":\"\\n\xc3\xbc\xff\\n\"}")), "\n\xc3\xbc\xff\n");
    assert_str(buf_str(&f->out), "{\"v\":\"\\n\xc3\xbc\xef\xbf\xbd\\n\"}");
    /* Lone surrogates become WTF-8, one mark each in the output. */
    assert_str(only_string(f, STR("{\"v\":\"\\ud800\"}")), "\xed\xa0\x80");
    assert_str(buf_str(&f->out), "{\"v\":\"\xef\xbf\xbd\"}");
    assert_str(only_string(f, STR("{\"v\":\"x\\udfff\\ud83dy\"}")), "x\xed\xbf\xbf\xed\xa0\xbdy");
    assert_str(only_string(f, STR("{\"v\":\"\\ud800\\ud83d\\ude00\"}")),
               "\xed\xa0\x80\xf0\x9f\x98\x80");
    assert_str(only_string(f, STR("{\"v\":\"\\ud83d\\n\"}")), "\xed\xa0\xbd\n");
    assert_str(only_string(f, STR("{\"\xff\":\"\\u00e9\"}")), "\xc3\xa9");
    assert_str(buf_str(&f->out), "{\"\xef\xbf\xbd\":\"\xc3\xa9\"}");
    assert_str(round_trip(f, STR("{\"v\":[\"\xff\", 1]}")), "{\"v\":[\"\xef\xbf\xbd\", 1]}");
    /* Only inside strings. */
    assert_refused(f, STR("{\"v\":1\xff}"), ERR_INVALID, "at byte 5");
    assert_refused(f, STR("{\xff\"v\":1}"), ERR_INVALID, "expected a key in quotes at byte 1");
    assert_refused(f, STR("{\"v\":\"\xff\"\x80}"), ERR_INVALID, "expected ',' or '}' at byte 8");
}

static void test_refused(void **state)
{
    static const char *const cases[][2] = {
        {"", "the record is empty"},
        {" \n ", "the record is empty"},
        {"[1]", "must be a JSON object: expected '{' at byte 0"},
        {"  3", "must be a JSON object: expected '{' at byte 2"},
        {"\"a\"", "must be a JSON object"},
        {"null", "must be a JSON object"},
        {"\xef\xbb\xbf{}", "expected '{' at byte 0"},
        {"{", "expected a key in quotes at byte 1 of the record, where it ends"},
        {"{\"a\"", "expected ':' at byte 4 of the record, where it ends"},
        {"{\"a\":", "expected a value at byte 5 of the record, where it ends"},
        {"{\"a\":12", "expected ',' or '}' at byte 7 of the record, where it ends"},
        {"{\"a\":1", "where it ends"},
        {"{\"a\":tru", "expected true, false or null at byte 5"},
        {"{\"a\":1,", "expected a key in quotes at byte 7"},
        {"{\"a\":1,}", "expected a key in quotes at byte 7"},
        {"{\"a\":1 \"b\":2}", "expected ',' or '}' at byte 7"},
        {"{\"a\":1]", "expected ',' or '}' at byte 6"},
        {"{\"a\":[1}", "expected ',' or ']' at byte 7"},
        {"{\"a\":[1,]}", "expected a value at byte 8"},
        {"{\"a\":[{\"x\" 1}]}", "expected ':' at byte 11"},
        {"{\"a\":[{x:1}]}", "expected a key in quotes at byte 7"},
        {"{\"a\":1}x", "expected nothing more behind the object at byte 7"},
        {"{}{}", "expected nothing more behind the object at byte 2"},
        {"{\"a\":01}", "surplus zeros or signs at byte 5"},
        {"{\"a\":-}", "at byte 5"},
        {"{\"a\":1.}", "expected a JSON number at byte 5"},
        {"{\"a\":1e}", "expected a JSON number at byte 5"},
        {"{\"a\":1\"b\"}", "expected a JSON number at byte 5"},
        {"{\"a\":\"\\x\"}", "bad escape in a string at byte 6"},
        {"{\"a\":\"ab\\u12g4\"}", "bad escape in a string at byte 8"},
        {"{\"a\\q\":1}", "bad escape in a string at byte 3"},
        {"{\"a\":[\"\\x\"]}", "bad escape in a string at byte 7"},
        {"{\"a\":\"b\nc\"}", "unescaped control character 0x0a in a string at byte 7"},
        {"{\"a\":\"b\\\nc\"}", "unescaped control character 0x0a in a string at byte 8"},
        {"{\"a\":\"b", "the string that starts at byte 5 of the record is not closed"},
        {"{\"a\":\"b\\\"}", "the string that starts at byte 5 of the record is not closed"},
        {"{\"a\": 'b'}", "expected a value at byte 6"},
        {"{\"a\":{\"b\":NaN}}", "expected a value at byte 10"},
        /* 5 or 6: on some machines simdjson's first stage ends the number here, on others not */
        {"{\"a\":1\f}", "at byte "},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_refused(*state, str_c(cases[i][0]), ERR_INVALID, cases[i][1]);
    assert_refused(*state, str_of("{\"a\":1\0}", 8), ERR_INVALID, "at byte 5");
    assert_refused(*state, str_of("{\"a\0\":1}", 8), ERR_INVALID, "control character 0x00");
}

static struct str nested(struct fixture *f, const char *open, const char *close, unsigned n)
{
    static char text[4096];
    size_t at = 0;
    for (unsigned i = 0; i < n; i++)
        at += (size_t)snprintf(text + at, sizeof(text) - at, "%s", open);
    text[at++] = '1';
    for (unsigned i = 0; i < n; i++)
        at += (size_t)snprintf(text + at, sizeof(text) - at, "%s", close);
    return str_of(text, at);
}

/* The twins agree on strings with many escapes, whole and broken ones, and write no further than
 * the string is long. */
static void test_unescape_twins(void **state)
{
#ifdef __x86_64__
    static const char *const parts[] = {
        "\\n",     "\\\\",  "\\\"",          "\\u0041", "\\ud83d\\ude00",
        "\\ud800", "plain", "a longer text", "\\t\\t",  "\xc3\xa9",
        "\\x",     "\\",    "\\u00g1",       "\\\xff",  "\\u12"};
    enum { WHOLE = 10, ALL = sizeof(parts) / sizeof(parts[0]), SLACK = 64 };
    if (!__builtin_cpu_supports("avx512vbmi2"))
        skip();
    uint64_t seed = 7;
    for (int round = 0; round < 20000; round++) {
        struct buf s;
        buf_init(&s, 4096);
        for (unsigned n = 0, want = (unsigned)round % 40; n < want; n++) {
            seed = seed * 6364136223846793005 + 1442695040888963407;
            buf_put_str(&s, str_c(parts[(seed >> 33) % (round % 5 ? WHOLE : ALL)]));
        }
        char *exact = mem_alloc(s.n), *one = mem_alloc(s.n), *two = mem_alloc(s.n + SLACK);
        memcpy(exact, s.n ? s.p : "", s.n);
        memset(two + s.n, '#', SLACK);
        size_t one_n = 0, two_n = 0, one_bad = 0, two_bad = 0;
        bool good = json_unescape_plain(str_of(exact, s.n), one, &one_n, &one_bad);
        assert_int_equal(json_unescape_avx512(str_of(exact, s.n), two, &two_n, &two_bad), good);
        assert_int_equal(one_n, two_n);
        assert_int_equal(one_bad, two_bad);
        assert_memory_equal(one, two, one_n);
        for (int i = 0; i < SLACK; i++)
            assert_int_equal(two[s.n + (size_t)i], '#');
        mem_free(exact);
        mem_free(one);
        mem_free(two);
        buf_release(&s);
    }
#endif
}

static void test_limits(void **state)
{
    struct fixture *f = *state;
    struct str deep = nested(f, "{\"a\":", "}", 128);
    assert_true(str_eq(round_trip(f, deep), deep));
    assert_refused(f, nested(f, "{\"a\":", "}", 129), ERR_LIMIT, "limit of 128 levels at byte 640");
    struct buf text;
    buf_init(&text, SIZE_MAX);
    for (unsigned levels = 127; levels <= 128; levels++) {
        buf_clear(&text);
        buf_put_c(&text, "{\"a\":");
        buf_put_str(&text, nested(f, "[", "]", levels));
        buf_put_byte(&text, '}');
        if (levels == 127)
            assert_true(str_eq(round_trip(f, buf_str(&text)), buf_str(&text)));
        else
            assert_refused(f, buf_str(&text), ERR_LIMIT, "limit of 128 levels");
    }
    /* Sizes: from small to the limit, and past it. */
    for (size_t n = 1; n <= limits.record_bytes; n = n * 3 + 1) {
        buf_clear(&text);
        buf_put_c(&text, "{\"a\":\"");
        for (size_t i = 0; i < n; i++)
            buf_put_byte(&text, (char)('a' + i % 26));
        buf_put_c(&text, "\"}");
        assert_true(str_eq(round_trip(f, buf_str(&text)), buf_str(&text)));
    }
    buf_clear(&text);
    memset(buf_reserve(&text, limits.record_bytes + 1), ' ', limits.record_bytes + 1);
    text.n = limits.record_bytes + 1;
    assert_refused(f, buf_str(&text), ERR_LIMIT, "has 8388609 bytes, the limit is 8388608");
    buf_release(&text);
}

static void test_many_rows(void **state)
{
    struct fixture *f = *state;
    struct buf want;
    buf_init(&want, SIZE_MAX);
    batch_clear(f->batch);
    for (int i = 0; i < 1000; i++) {
        char text[200];
        if (i % 7 == 3)
            assert_err(read_padded(f, STR("{\"a\":1,\"m\":{\"x\":2,]")), ERR_INVALID, "byte 18");
        snprintf(text, sizeof(text),
                 i % 3 ? "{\"a\":%d,\"m\":{\"x\":\"%d\"}}" : "{\"m\":{\"x\":%d},\"z\":%d.5}", i,
                 i * 2);
        assert_ok(read_padded(f, str_c(text)));
        buf_put_c(&want, text);
    }
    assert_true(str_eq(write_all(f, NULL, 0), buf_str(&want)));
    /* Some rows only, each with its end. */
    uint32_t row[] = {0, 1, 500, 999}, end[4], from = 0;
    struct json_rows what = {&f->rows, row, 4, &f->arena, NULL, 0};
    buf_clear(&f->out);
    assert_ok(json_put_rows(&what, &f->out, end));
    const char *wanted[] = {"{\"m\":{\"x\":0},\"z\":0.5}", "{\"a\":1,\"m\":{\"x\":\"2\"}}",
                            "{\"a\":500,\"m\":{\"x\":\"1000\"}}",
                            "{\"m\":{\"x\":999},\"z\":1998.5}"};
    for (int i = 0; i < 4; i++) {
        assert_str(str_of(f->out.p + from, end[i] - from), wanted[i]);
        from = end[i];
    }
    /* The same in two parts. */
    struct json_writer *w;
    struct buf again;
    buf_init(&again, SIZE_MAX);
    assert_ok(json_writer_new(&what, &w));
    assert_ok(json_writer_put(w, 1, &again));
    assert_ok(json_writer_put(w, 3, &again));
    assert_true(str_eq(buf_str(&again), buf_str(&f->out)));
    buf_release(&again);
    /* A maximum is an error, not a cut. */
    struct buf small;
    buf_init(&small, 40);
    assert_err(json_put_rows(&what, &small, end), ERR_LIMIT, "40 bytes");
    buf_release(&small);
    buf_release(&want);
}

static struct str with_fields(struct fixture *f, const char *text, const char *names)
{
    struct str fields[8], rest = str_c(names), name;
    uint32_t n = 0;
    while (str_split(&rest, ' ', &name))
        fields[n++] = name;
    batch_clear(f->batch);
    assert_ok(read_padded(f, str_c(text)));
    return write_all(f, fields, n);
}

static void test_fields(void **state)
{
    const char *text =
        "{\"a\":1,\"m\":{\"x\":2,\"y\":{\"z\":[3]},\"w\":\"w\"},\"m.x\":4,\"ab\":5,\"e\":{}}";
    assert_str(with_fields(*state, text, "a"), "{\"a\":1}");
    assert_str(with_fields(*state, text, "m"),
               "{\"m\":{\"x\":2,\"y\":{\"z\":[3]},\"w\":\"w\"},\"m.x\":4}");
    assert_str(with_fields(*state, text, "m.x"), "{\"m\":{\"x\":2},\"m.x\":4}");
    assert_str(with_fields(*state, text, "ab m.y.z"), "{\"m\":{\"y\":{\"z\":[3]}},\"ab\":5}");
    assert_str(with_fields(*state, text, "m.w a"), "{\"a\":1,\"m\":{\"w\":\"w\"}}");
    assert_str(with_fields(*state, text, "m.y"), "{\"m\":{\"y\":{\"z\":[3]}}}");
    assert_str(with_fields(*state, text, "e"), "{\"e\":{}}");
    assert_str(with_fields(*state, text, "x m.q"), "{}");
}

static struct str without_fields(struct fixture *f, const char *fields, const char *without)
{
    struct str list[2][8], rest, name;
    uint32_t n[2] = {0};
    const char *names[] = {fields, without};
    for (int k = 0; k < 2; k++) {
        rest = str_c(names[k]);
        while (rest.n && str_split(&rest, ' ', &name))
            list[k][n[k]++] = name;
    }
    arena_reset(&f->arena);
    batch_view(f->batch, &f->arena, &f->rows);
    struct json_rows what = {&f->rows, (uint32_t[]){0}, 1,    &f->arena, list[0],
                             n[0],     list[1],         n[1], true};
    buf_clear(&f->out);
    assert_ok(json_put_rows(&what, &f->out, NULL));
    return buf_str(&f->out);
}

static void test_without_fields(void **state)
{
    struct fixture *f = *state;
    static const char *const cases[][3] = {
        {"", "a", "{\"m\":{\"x\":2,\"y\":{\"z\":[3]}},\"ab\":5}"},
        {"", "m.x ab", "{\"a\":1,\"m\":{\"y\":{\"z\":[3]}}}"},
        {"a*", "", "{\"a\":1,\"ab\":5}"},
        {"m.*", "*.x", "{\"m\":{\"y\":{\"z\":[3]}}}"},
        {"*z", "", "{\"m\":{\"y\":{\"z\":[3]}}}"},
        {"m", "m.y", "{\"m\":{\"x\":2}}"},
    };
    batch_clear(f->batch);
    assert_ok(read_padded(f, STR("{\"a\":1,\"m\":{\"x\":2,\"y\":{\"z\":[3]}},\"ab\":5}")));
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_str(without_fields(f, cases[i][0], cases[i][1]), cases[i][2]);
    /* The same of a record that is kept as text. */
    struct buf text;
    buf_init(&text, SIZE_MAX);
    buf_put_c(&text, "{\"a\":1,\"m\":{\"x\":2,\"y\":{\"z\":[3]}},\"ab\":5");
    for (int i = 0; i <= PATHS_MAX; i++)
        buf_printf(&text, ",\"k%d\":%d", i, i);
    buf_put_byte(&text, '}');
    batch_clear(f->batch);
    assert_ok(read_padded(f, buf_str(&text)));
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char names[64];
        snprintf(names, sizeof(names), "k*%s%s", cases[i][1][0] ? " " : "", cases[i][1]);
        assert_str(without_fields(f, cases[i][0], names), cases[i][2]);
    }
    buf_release(&text);
}

/* A record of more columns than a batch takes is kept as text and behaves as any other. */
static void test_whole(void **state)
{
    struct fixture *f = *state;
    struct buf text;
    buf_init(&text, SIZE_MAX);
    buf_put_c(&text, "{\"m\":{\"a\":\"x,}\",\"b\":[1,{\"q\":2}]},\"s\\u0041\":\"\xff\",\"n\":{"
                     "\"o\":{\"p\":1.50}}");
    for (int i = 0; i <= PATHS_MAX; i++)
        buf_printf(&text, ",\"k%d\":%d", i, i);
    buf_put_byte(&text, '}');
    batch_clear(f->batch);
    assert_ok(read_padded(f, buf_str(&text)));
    struct str all = write_all(f, NULL, 0);
    assert_int_equal(f->rows.n_columns, 1);
    assert_int_equal(f->rows.columns[0].lane, LANE_JSON);
    assert_int_equal(all.n, text.n + 2); /* the bad byte became three */
    static const char *const cases[][2] = {
        {"k9", "{\"k9\":9}"},
        {"m", "{\"m\":{\"a\":\"x,}\",\"b\":[1,{\"q\":2}]}}"},
        {"m.b k10000", "{\"m\":{\"b\":[1,{\"q\":2}]},\"k10000\":10000}"},
        {"n.o.p sA", "{\"s\\u0041\":\"\xef\xbf\xbd\",\"n\":{\"o\":{\"p\":1.50}}}"},
        {"n.q k1.a none", "{}"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct str fields[3], rest = str_c(cases[i][0]), name;
        uint32_t n = 0;
        while (str_split(&rest, ' ', &name))
            fields[n++] = name;
        assert_str(write_all(f, fields, n), cases[i][1]);
    }
    buf_release(&text);
}

static void test_defaults(void **state)
{
    struct fixture *f = *state;
    json_reader_defaults(f->reader, STR("pay\"1"), STR("h7"));
    static const char *const cases[][2] = {
        {"{}", "{\"service\":\"pay\\\"1\",\"host\":\"h7\"}"},
        {"{\"a\":1}", "{\"a\":1,\"service\":\"pay\\\"1\",\"host\":\"h7\"}"},
        {"{\"service\":\"x\",\"host\":null}", "{\"service\":\"x\",\"host\":null}"},
        {"{\"service\":{\"id\":1}}",
         "{\"service\":{\"id\":1},\"service\":\"pay\\\"1\",\"host\":\"h7\"}"},
        {"{\"service\":{\"name\":\"x\"},\"hostname\":1}",
         "{\"service\":{\"name\":\"x\"},\"hostname\":1}"},
        {"{\"service.name\":\"x\"}", "{\"service.name\":\"x\",\"host\":\"h7\"}"},
        {"{\"a\":{\"service\":\"x\"},\"kubernetes\":{\"b\":1,\"labels\":{\"app\":\"y\"}}}",
         "{\"a\":{\"service\":\"x\"},\"kubernetes\":{\"b\":1,\"labels\":{\"app\":\"y\"}},\"host\":"
         "\"h7\"}"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_str(round_trip(f, str_c(cases[i][0])), cases[i][1]);
    json_reader_defaults(f->reader, STR(""), STR("h7"));
    assert_str(round_trip(f, STR("{\"a\":1}")), "{\"a\":1,\"host\":\"h7\"}");
    json_reader_defaults(f->reader, STR(""), STR(""));
    assert_str(round_trip(f, STR("{\"a\":1}")), "{\"a\":1}");
}

/* Whether two texts mean the same to another reader of JSON. */
static void assert_same_meaning(struct str a, struct str b)
{
    const size_t flags = JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL;
    json_error_t error;
    json_t *left = json_loadb(a.p, a.n, flags, &error), *right = json_loadb(b.p, b.n, flags, NULL);
    if (!left && strstr(error.text, "NUL byte in object key")) /* it cannot */
        return;
    if (!left || !right || !json_equal(left, right))
        fail_msg("%.*s and %.*s differ", STR_ARG(a), STR_ARG(b));
    json_decref(left);
    json_decref(right);
}

static void conformance_case(struct fixture *f, const char *name, struct str text)
{
    batch_clear(f->batch);
    enum err err = read_padded(f, text);
    bool accepts = name[0] == 'y' || strncmp(name, "i_accept", 8) == 0;
    if (accepts != (err == OK))
        fail_msg("%s: %s %s", name, err_name(err), err ? err_text() : "");
    if (!accepts) {
        if (!strstr(err_text(), "byte"))
            fail_msg("%s: no place in \"%s\"", name, err_text());
        return;
    }
    struct str out = write_all(f, NULL, 0);
    if (name[0] == 'y')
        assert_same_meaning(text, out);
    char *copy = strndup(out.p, out.n);
    assert_str(round_trip(f, str_c(copy)), copy); /* what was written stays */
    free(copy);
}

static void test_conformance(void **state)
{
    const char *folder = "tests/golden/json_conformance";
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    unsigned cases = 0;
    for (struct dirent *e; (e = readdir(dir));) {
        char path[512], text[8192];
        if (!str_ends(str_c(e->d_name), STR(".json")))
            continue;
        snprintf(path, sizeof(path), "%s/%s", folder, e->d_name);
        FILE *file = fopen(path, "rb");
        assert_non_null(file);
        size_t n = (size_t)snprintf(text, sizeof(text), "{\"v\":");
        n += fread(text + n, 1, sizeof(text) - n - 1, file);
        fclose(file);
        assert_true(n < sizeof(text) - 1);
        text[n++] = '}';
        conformance_case(*state, e->d_name, str_of(text, n));
        cases++;
    }
    closedir(dir);
    assert_true(cases > 250);
}

/* ---- random records ---- */

static uint64_t pick(uint64_t n)
{
    return random_u64() % n;
}

static void random_string(struct buf *out)
{
    static const char *const parts[] = {"a",
                                        "bc",
                                        " ",
                                        "\\n",
                                        "\\\"",
                                        "\\\\",
                                        "\xc3\xbc",
                                        "\\t",
                                        "key",
                                        ".",
                                        "\\u0000",
                                        "{",
                                        "]",
                                        ",",
                                        ":",
                                        "\\u001f",
                                        "\xf0\x9d\x84\x9e",
                                        "\\u001e",
                                        "S",
                                        "/",
                                        "0123456789abcdef"};
    buf_put_byte(out, '"');
    for (uint64_t n = pick(6); n > 0; n--)
        buf_put_c(out, parts[pick(sizeof(parts) / sizeof(parts[0]))]);
    buf_put_byte(out, '"');
}

static void random_number(struct buf *out)
{
    static const char *const some[] = {"0",    "-0",    "0.0",      "1e5",
                                       "1E-7", "1e+22", "-1.5e-07", "1e999"};
    if (pick(3) == 0) {
        buf_put_c(out, some[pick(sizeof(some) / sizeof(some[0]))]);
        return;
    }
    if (pick(2))
        buf_put_byte(out, '-');
    buf_put_byte(out, (char)('1' + pick(9)));
    for (uint64_t n = pick(22); n > 0; n--)
        buf_put_byte(out, (char)('0' + pick(10)));
    if (pick(2))
        return;
    buf_put_byte(out, '.');
    for (uint64_t n = 1 + pick(20); n > 0; n--)
        buf_put_byte(out, (char)('0' + pick(10)));
}

static void random_value(struct buf *out, unsigned depth)
{
    static const char *const words[] = {"true", "false", "null", "{}", "[]"};
    uint64_t kind = pick(depth > 4 ? 6 : 9);
    if (kind < 2) {
        random_string(out);
    } else if (kind < 4) {
        random_number(out);
    } else if (kind < 6) {
        buf_put_c(out, words[pick(5)]);
    } else {
        bool object = kind != 6;
        buf_put_byte(out, object ? '{' : '[');
        for (uint64_t n = 1 + pick(4); n > 0; n--) {
            if (object) {
                random_string(out);
                buf_put_byte(out, ':');
            }
            random_value(out, depth + 1);
            if (n > 1)
                buf_put_byte(out, ',');
        }
        buf_put_byte(out, object ? '}' : ']');
    }
}

static void random_record(struct buf *out)
{
    buf_clear(out);
    buf_put_c(out, "{\"id\":0");
    for (uint64_t n = pick(8); n > 0; n--) {
        buf_put_byte(out, ',');
        random_string(out);
        buf_put_byte(out, ':');
        random_value(out, 1);
    }
    buf_put_byte(out, '}');
}

static void test_random_round_trip(void **state)
{
    struct fixture *f = *state;
    struct buf text, all;
    buf_init(&text, SIZE_MAX);
    buf_init(&all, SIZE_MAX);
    random_seed(99);
    for (int round = 0; round < 200; round++) {
        batch_clear(f->batch);
        buf_clear(&all);
        for (int i = 0; i < 50; i++) {
            random_record(&text);
            assert_ok(read_padded(f, buf_str(&text)));
            buf_put_str(&all, buf_str(&text));
        }
        struct str out = write_all(f, NULL, 0);
        size_t at = 0;
        while (at < out.n && at < all.n && out.p[at] == all.p[at])
            at++;
        if (at < all.n || at < out.n)
            fail_msg("round %d: ...%.80s became ...%.80s", round, all.p + at - (at < 40 ? at : 40),
                     out.p + at - (at < 40 ? at : 40));
    }
    buf_release(&text);
    buf_release(&all);
}

/* Another reader agrees on what is JSON, for random damage to random records. */
static void test_random_damage(void **state)
{
    static const char bytes[] = "{}[],:\"\\ \n\t0123456789.-+eEutrfalsn/x\x01\x1f\x7f";
    struct fixture *f = *state;
    struct buf text;
    unsigned accepted = 0, refused = 0;
    buf_init(&text, SIZE_MAX);
    random_seed(7);
    for (int i = 0; i < 60000; i++) {
        random_record(&text);
        for (uint64_t n = 1 + pick(2); n > 0; n--) {
            size_t at = pick(text.n);
            if (pick(4) == 0) {
                memmove(text.p + at, text.p + at + 1, text.n - at - 1);
                text.n--;
            } else {
                text.p[at] = bytes[pick(sizeof(bytes) - 1)];
            }
        }
        json_error_t error;
        json_t *other =
            json_loadb(text.p, text.n, JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, &error);
        bool theirs = json_is_object(other);
        json_decref(other);
        /* What it refuses and we keep: numbers past doubles, bad UTF-8, lone surrogates, NUL in
         * keys. */
        if (!other &&
            (json_error_code(&error) == json_error_numeric_overflow ||
             json_error_code(&error) == json_error_invalid_utf8 ||
             strstr(error.text, "invalid Unicode") || strstr(error.text, "NUL byte in object key")))
            continue;
        batch_clear(f->batch);
        bool ours = read_padded(f, buf_str(&text)) == OK;
        if (ours != theirs)
            fail_msg("%.*s: %s, %s", STR_ARG(buf_str(&text)), ours ? "accepted" : err_text(),
                     theirs ? "accepted there" : error.text);
        if (ours)
            write_all(f, NULL, 0);
        accepted += ours;
        refused += !ours;
    }
    assert_true(accepted > 5000 && refused > 5000);
    buf_release(&text);
}

/* ---- bodies ---- */

struct found {
    struct buf text;
    uint32_t next, stop_at;
};

static enum err on_record(void *ctx, uint32_t position, struct str record)
{
    struct found *found = ctx;
    assert_int_equal(position, found->next++);
    buf_put_str(&found->text, record);
    buf_put_byte(&found->text, ';');
    return found->next == found->stop_at ? err_set(ERR_CANCELED, "enough") : OK;
}

static enum err each(struct fixture *f, const char *body, struct found *found)
{
    buf_clear(&f->in);
    buf_put_c(&f->in, body);
    size_t n = f->in.n;
    buf_put_c(&f->in,
              "]}\"]}\"]},{\"logs\":[1]} {} [] \"\" 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0");
    buf_clear(&found->text);
    found->next = 0;
    return json_each_record(f->reader, str_of(f->in.p, n), on_record, found);
}

static void test_bodies(void **state)
{
    static const char *const good[][2] = {
        {"{\"logs\":[]}", ""},
        {"{\"logs\":[{\"a\":1},{}]}", "{\"a\":1};{};"},
        {" { \"logs\" : [ {\"a\":[1,{}]} , {\"b\":\"]}\\\"\"} ] } ",
         "{\"a\":[1,{}]};{\"b\":\"]}\\\"\"};"},
        {"{\"n\":[{\"logs\":1}],\"logs\":[{}],\"s\":\"]}\",\"t\":true}", "{};"},
        {"{\"logs\":[{}],\"logs\":[{\"b\":2}]}", "{};{\"b\":2};"},
        {"[]", ""},
        {"[ ]", ""},
        {"\xef\xbb\xbf[{\"a\":1}]", "{\"a\":1};"},
        {"[{\"a\":1},2,\"x\",[3,4],null,{\"b\":}]", "{\"a\":1};2;\"x\";[3,4];null;{\"b\":};"},
        {"[{\"a\":\"\\\\\"},{\"b\":1}]", "{\"a\":\"\\\\\"};{\"b\":1};"},
        {"{\"a\":1}", "{\"a\":1};"},
        {"{}", "{};"},
        {" {\"a\":{\"logs\":[1]}}", "{\"a\":{\"logs\":[1]}};"},
        {"{\"a\":1}{\"b\":2}", "{\"a\":1}{\"b\":2};"}, /* one record, a bad one */
        {"{\"a\":1 \"logs\":[]}", "{\"a\":1 \"logs\":[]};"},
    };
    struct found found = {0};
    buf_init(&found.text, SIZE_MAX);
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_ok(each(*state, good[i][0], &found));
        assert_str(buf_str(&found.text), good[i][1]);
    }
    static const char *const bad[][2] = {
        {"", "expected a JSON object or array at byte 0 of the body, where it ends"},
        {"  ", "expected a JSON object or array at byte 2"},
        {"\"logs\"", "expected a JSON object or array at byte 0"},
        {"{\"logs\":{}}", "expected an array of records as `logs` at byte 8"},
        {"{\"logs\":null}", "expected an array of records as `logs` at byte 8"},
        {"{\"logs\":[{}}", "expected ',' or ']' at byte 11"},
        {"{\"logs\":[{}]", "expected ',' or '}' at byte 12 of the body, where it ends"},
        {"{\"logs\":[{},]}", "expected a record at byte 12"},
        {"{\"logs\":[{}],}", "expected a key and ':' at byte 13"},
        {"{\"logs\":[{}],\"a\":01}", "in what starts at byte 17 of the body: expected a number"},
        {"{\"a\\q\":1,\"logs\":[]}", "in what starts at byte 1 of the body: bad escape"},
        {"{\"logs\":[{}]} x", "expected nothing more behind the records at byte 14"},
        {"[{}", "expected ',' or ']' at byte 3 of the body, where it ends"},
        {"[{},{\"a\":1", "record 1, which starts at byte 4 of the body, does not end"},
        {"[{\"a\":\"]", "record 0, which starts at byte 1 of the body, does not end"},
        {"[,]", "expected a record at byte 1"},
        {"[{} {}]", "expected ',' or ']' at byte 4"},
        {"[{}]]", "expected nothing more behind the records at byte 4"},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_err(each(*state, bad[i][0], &found), ERR_INVALID, bad[i][1]);
    found.stop_at = 2;
    assert_err(each(*state, "[{},{},{}]", &found), ERR_CANCELED, "enough");
    assert_int_equal(found.next, 2);
    buf_release(&found.text);
}

static void test_parts(void **state)
{
    struct fixture *f = *state;
    struct str s;
    assert_true(json_unquote(STR("\"a\\n\\u00e9\""), &f->arena, &s));
    assert_str(s, "a\n\xc3\xa9");
    assert_true(json_unquote(STR("\"\""), &f->arena, &s));
    assert_int_equal(s.n, 0);
    static const char *const bad[] = {"",       "\"",       "a",       "\"a",    "a\"",
                                      "\"\\\"", "\"a\"b\"", "\"\\x\"", "\"\n\"", "\"\\u12\""};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(json_unquote(str_c(bad[i]), &f->arena, &s));
    buf_clear(&f->out);
    json_put_double(&f->out, 0.1);
    buf_put_byte(&f->out, ' ');
    json_put_double(&f->out, -1e300);
    buf_put_byte(&f->out, ' ');
    json_put_double(&f->out, NAN);
    buf_put_byte(&f->out, ' ');
    json_put_double(&f->out, 1234.5);
    assert_str(buf_str(&f->out), "0.1 -1e+300 null 1234.5");
    int64_t decimals[] = {150, -5, 0, INT64_MIN, 1};
    uint8_t scales[] = {2, 1, 3, 18, 18};
    struct values v = {.n = 5, .lane = LANE_DEC, .i64 = decimals, .scale = scales};
    buf_clear(&f->out);
    for (uint32_t i = 0; i < 5; i++) {
        json_put_value(&f->out, &v, i);
        buf_put_byte(&f->out, ' ');
    }
    assert_str(buf_str(&f->out), "1.50 -0.5 0.000 -9.223372036854775808 0.000000000000000001 ");
}

/* Strings of every length around the block sizes, with one special byte at each place. */
static void test_put_string_blocks(void **state)
{
    struct fixture *f = *state;
    static const char *const special[][2] = {{"\"", "\\\""},
                                             {"\x1f", "\\u001f"},
                                             {"\xff", "\xef\xbf\xbd"},
                                             {"\\", "\\\\"},
                                             {"\xc3", "\xef\xbf\xbd"}};
    for (size_t n = 0; n < 50; n++)
        for (size_t at = 0; at < n; at++)
            for (size_t k = 0; k < sizeof(special) / sizeof(special[0]); k++) {
                char text[50], want[80];
                memset(text, 'a', sizeof(text));
                text[at] = special[k][0][0];
                int m = snprintf(want, sizeof(want), "\"%.*s%s%.*s\"", (int)at, text, special[k][1],
                                 (int)(n - at - 1), text + at + 1);
                buf_clear(&f->out);
                json_put_string(&f->out, str_of(text, n));
                assert_true(str_eq(buf_str(&f->out), str_of(want, (size_t)m)));
            }
}

/* The end of a nested value by one byte after the other. */
static size_t naive_end(const char *p, size_t at, size_t n)
{
    size_t depth = 0;
    for (bool in_string = false, shielded = false; at < n; at++) {
        if (p[at] == '"' && !shielded)
            in_string = !in_string;
        else if (!in_string && strchr("{[", p[at]))
            depth++;
        else if (!in_string && strchr("}]", p[at]) && --depth == 0)
            return at + 1;
        shielded = p[at] == '\\' && !shielded;
    }
    return SIZE_MAX;
}

static void test_nested_end(void **state)
{
    static const char bytes[] = "{}[]{}[]\"\\xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";
    char text[700];
    unsigned closed = 0;
    random_seed(21);
    for (int i = 0; i < 50000; i++) {
        size_t n = 1 + pick(sizeof(text)), kinds = 2 + pick(sizeof(bytes) - 3);
        for (size_t k = 0; k < n; k++)
            text[k] = bytes[pick(kinds)];
        size_t at = pick(n);
        text[at] = '{';
        size_t want = naive_end(text, at, n);
        if (scan_nested_end(text, at, n) != want)
            fail_msg("%.*s from %zu: %zu, wanted %zu", (int)n, text, at,
                     scan_nested_end(text, at, n), want);
        closed += want != SIZE_MAX;
    }
    assert_true(closed > 10000 && closed < 45000);
    assert_int_equal(scan_special("", 0), 0);
    assert_int_equal(scan_high("aaaaaaaaaaaaaaaaaaaa\xc3", 21), 20);
    for (size_t n = 0; n < 40; n++) {
        memset(text, 'a', n);
        text[n] = '"';
        assert_int_equal(scan_in_string(text, n + 1), n);
        assert_int_equal(scan_in_string(text, n), n);
    }
}

#ifdef __x86_64__
/* What a twin puts, in memory that ends where it may write no more. */
struct put_out {
    char *bytes[2];
    uint32_t end[2][40];
    const char *behind;
    struct json_likes likes;
};

static void put_form(const struct json_form *f, struct str lines, size_t look, bool wide,
                     struct put_out *out)
{
    struct json_likes l = {.lines_end = lines.p + lines.n, .room = 5000, .extra = 10, .cost = 15};
    l.record_max = 300;
    l.max = 40;
    for (unsigned i = 0; i < 2; i++) {
        out->bytes[i] = mem_alloc(look + BATCH_FORM_BEHIND);
        l.like.to[i] = out->bytes[i];
        l.like.end[i] = out->end[i];
    }
    out->behind =
        (wide ? json_form_put_avx512 : json_form_put_plain)(f, lines.p, lines.p + look, &l);
    out->likes = l;
}

static void assert_same_put(struct put_out *a, struct put_out *b)
{
    assert_ptr_equal(a->behind, b->behind);
    assert_int_equal(a->likes.n, b->likes.n);
    assert_int_equal(a->likes.room, b->likes.room);
    assert_int_equal(a->likes.raw_n, b->likes.raw_n);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(a->likes.like.at[i], b->likes.like.at[i]);
        assert_memory_equal(a->bytes[i], b->bytes[i], a->likes.like.at[i]);
        assert_memory_equal(a->end[i], b->end[i], a->likes.n * sizeof(a->end[i][0]));
        assert_int_equal(a->likes.like.to[i] - a->bytes[i], a->likes.like.at[i]);
        mem_free(a->bytes[i]);
        mem_free(b->bytes[i]);
    }
}
#endif

/* Records of a form are put the same by whatever twin, to the byte at which each gives up. */
static void test_form_twins(void **state)
{
#ifdef __x86_64__
    static const char *const parts[] = {
        "a",
        "some text of a line",
        "\xc3\xa9",
        "\xff",
        "\\n",
        "\\\\",
        "\\\"",
        "\\u00e9",
        "0123456789012345678901234567890123456789012345678901234567890123",
        "\\x",
        "\t",
        "\"",
        "\\"};
    enum { GOOD = 9, ALL = sizeof(parts) / sizeof(parts[0]) };
    struct json_form f = {.strings = 2};
    unsigned met = 0, ended = 0;
    if (!json_has_avx512())
        skip();
    json_form_begin(&f);
    assert_true(json_form_piece(&f, STR("{\"key\": \"")));
    assert_true(
        json_form_piece(&f, STR("\", \"a key as long as more than sixty-four bytes are, which"
                                " is what is compared at once\": \"")));
    assert_true(json_form_piece(&f, STR("\"}")));
    f.strings = 2;
    random_seed(11);
    for (int round = 0; round < 20000; round++) {
        struct buf s;
        buf_init(&s, SIZE_MAX);
        for (unsigned i = 0, n = 1 + pick(50); i < n; i++) {
            for (unsigned k = 0; k < 3; k++) {
                buf_put(&s, f.text + f.piece[k].from, f.piece[k].n);
                for (unsigned m = k < 2 ? pick(6) : 0; m; m--)
                    buf_put_str(&s, str_c(parts[pick(pick(40) ? GOOD : ALL)]));
            }
            buf_put_str(&s, pick(80) ? STR("\n") : STR(" \n"));
        }
        if (!pick(4))
            s.p[pick(s.n)] ^= 1;
        size_t n = pick(3) ? s.n : pick(s.n), look = pick(3) ? n : pick(n + 1);
        char *exact = mem_alloc(n + JSON_PADDING);
        memcpy(exact, s.p, n);
        memcpy(exact + n, f.text, JSON_PADDING); /* as if it went on there */
        struct put_out one, two;
        put_form(&f, str_of(exact, n), look, false, &one);
        put_form(&f, str_of(exact, n), look, true, &two);
        assert_same_put(&one, &two);
        met += one.likes.n;
        ended += one.likes.n && one.behind == exact + n;
        mem_free(exact);
        buf_release(&s);
    }
    assert_true(met > 20000 && ended > 1000);
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unescape_twins), cmocka_unit_test(test_form_twins),
        cmocka_unit_test(test_round_trip),     cmocka_unit_test(test_lines),
        cmocka_unit_test(test_normalised),     cmocka_unit_test(test_lanes),
        cmocka_unit_test(test_bad_unicode),    cmocka_unit_test(test_refused),
        cmocka_unit_test(test_limits),         cmocka_unit_test(test_many_rows),
        cmocka_unit_test(test_fields),         cmocka_unit_test(test_without_fields),
        cmocka_unit_test(test_whole),          cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_conformance),    cmocka_unit_test(test_random_round_trip),
        cmocka_unit_test(test_random_damage),  cmocka_unit_test(test_bodies),
        cmocka_unit_test(test_parts),          cmocka_unit_test(test_put_string_blocks),
        cmocka_unit_test(test_nested_end),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
