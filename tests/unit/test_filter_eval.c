/* The filter on rows: by example over JSON records, and over random records and random filters
 * against a naive evaluator that knows nothing of columns. */
#include "core/mem.h"
#include "filter/filter.h"
#include "record/bitmap.h"
#include "record/json.h"
#include "test.h"

#include <ctype.h>
#include <strings.h>

static struct arena arena;
static struct batch *batch;
static struct rows rows;

static int setup(void **state)
{
    arena_init(&arena, 0, NULL);
    batch = batch_new();
    return 0;
}

static int teardown(void **state)
{
    batch_free(batch);
    arena_release(&arena);
    return 0;
}

#define NOON 1739620800000000000 /* 2025-02-15T12:00:00Z */

static void add_json(const char *text)
{
    struct json_limits limits = {.record_bytes = 1 << 20, .nesting = 128};
    struct json_reader *r = json_reader_new(&limits);
    char padded[4096] = {0};
    assert_true(strlen(text) + JSON_PADDING < sizeof(padded));
    memcpy(padded, text, strlen(text));
    assert_ok(json_read_record(r, str_of(padded, strlen(text)), NOON, batch));
    json_reader_free(r);
}

static void view(void)
{
    batch_view(batch, &arena, &rows);
    rows.stream = STR("web");
}

static uint64_t *eval(const char *query)
{
    struct filter_options o = {.now_ns = NOON};
    const struct filter *f;
    assert_ok(filter_parse(str_c(query), &o, &arena, &f, NULL, NULL));
    uint64_t *bits = bitmap_new(&arena, rows.n);
    assert_ok(filter_eval(f, &rows, &arena, bits));
    if (bitmap_any(bits, rows.n) && !filter_may_match(f, &rows))
        fail_msg("%s: pruned, but it matches", query);
    return bits;
}

/* The matching rows as digits: "013". */
static void rows_are(const char *query, const char *want)
{
    uint64_t *bits = eval(query);
    char got[32];
    size_t n = 0;
    for (uint32_t i = 0; i < rows.n; i++) {
        if (bitmap_get(bits, i))
            got[n++] = (char)('0' + i);
    }
    got[n] = 0;
    if (strcmp(got, want) != 0)
        fail_msg("%s: rows %s, wanted %s", query, got, want);
}

static bool may_match(const char *query)
{
    struct filter_options o = {.now_ns = NOON};
    const struct filter *f;
    assert_ok(filter_parse(str_c(query), &o, &arena, &f, NULL, NULL));
    return filter_may_match(f, &rows);
}

static void test_fields(void **state)
{
    add_json("{\"level\":\"ERROR\",\"message\":\"connection timeout\",\"latency_ms\":501,"
             "\"user\":{\"name\":\"Ann\",\"tags\":[\"a\",\"b c\"]}}");
    add_json("{\"level\":\"info\",\"message\":\"ok 501\",\"latency_ms\":\"500.5\",\"user\":null}");
    add_json("{\"level\":\"error\",\"latency_ms\":1.5e2,\"user.name\":\"Bob\",\"e\":{},\"l\":[]}");
    add_json("{\"message\":\"errors\",\"latency_ms\":true,\"user\":{\"name\":7}}");
    view();
    rows_are("level:error", "02");
    rows_are("level:=ERROR", "0");
    rows_are("-level:error", "13");
    rows_are("error", "02");
    rows_are("error*", "023");
    rows_are("501", "01");
    rows_are("latency_ms:501.0", "0");
    rows_are("latency_ms:>500", "01");
    rows_are("latency_ms:[150 TO 501}", "12");
    rows_are("latency_ms:true", "3");
    rows_are("\"connection timeout\"", "0");
    rows_are("user.name:(Ann OR bob OR 7)", "023");
    rows_are("user.tags:=\"b c\"", "0");
    rows_are("user:*", "023"); /* a dotted key is its twin */
    rows_are("NOT user:*", "1");
    rows_are("user*:ann", "0");
    rows_are("*.name:*", "023");
    rows_are("e:* l:*", "2");
    rows_are("e:x OR l:x", "");
    rows_are("*", "0123");
    rows_are("NOT *", "");
    rows_are("/time.ut/ OR message:/^ok/", "01");
    rows_are("message:\"\"", "");
    rows_are("nosuch:x", "");
    rows_are("NOT nosuch:x", "0123");
    rows_are("(level:error OR level:info) AND NOT latency_ms:<200", "01");
    assert_false(may_match("nosuch:x"));
    assert_false(may_match("nosuch:* OR (level:error AND nosuch:y)"));
    assert_true(may_match("NOT nosuch:x"));
    assert_false(may_match("NOT *"));
}

static void test_aliases(void **state)
{
    add_json("{\"message\":\"a\",\"log\":\"b\"}");
    add_json("{\"log\":\"b\",\"body\":\"a\"}");
    add_json("{\"body\":\"a\"}");
    add_json("{\"message\":null,\"msg\":\"a\"}");
    add_json("{\"message\":5,\"log\":\"a\",\"service\":{\"name\":\"pay\"}}");
    view();
    rows_are("message:a", "02");
    rows_are("message:b", "1");
    rows_are("log:b", "01");
    rows_are("message:5", "4");
    rows_are("message:*", "0124");
    rows_are("NOT message:a", "134");
    rows_are("service:pay", "4");
    rows_are("service:*", "4");
    assert_false(may_match("_time:<2020"));
    assert_true(may_match("_time:2025"));
    assert_false(may_match("_stream:other"));
    assert_true(may_match("_stream:we*"));
}

/* The same beside records that have it as a value, and without. */
static void test_an_alias_that_is_an_object(void **state)
{
    add_json("{\"message\":{\"x\":1}}");
    add_json("{\"level\":null}");
    view();
    rows_are("message:*", "0");
    add_json("{\"message\":\"y\"}");
    view();
    rows_are("message:*", "02");
    rows_are("level:*", "");
}

static void test_fields_of_the_row(void **state)
{
    add_json("{\"timestamp\":\"2025-02-15T10:00:00Z\"}");
    add_json("{\"timestamp\":\"2025-02-16T10:00:00.5Z\",\"_stream\":\"own\"}");
    add_json("{\"_time\":\"2025-02-17T00:00:00Z\",\"_id\":\"mine\"}");
    add_json("{\"x\":1}");
    view();
    rows_are("_time:2025-02-15", "03");
    rows_are("_time:[2025-02-15T10:00:00Z TO 2025-02-16T10:00:00Z]", "013");
    rows_are("_time:>2025-02-15", "12");
    rows_are("_time:>=now", "123");
    rows_are("_time:[now-3h TO now}", "0");
    rows_are("_time:2025-02-16T10:00:00.5Z", "1");
    rows_are("_time:<2020", "");
    rows_are("_time:*10\\:00*", "01");
    rows_are("_time:*", "0123");
    rows_are("_stream:web", "023");
    rows_are("_stream:own", "1");
    rows_are("_stream:w*", "023");
    rows_are("_stream:/^w/", "023");
    rows_are("_id:mine", "2");
    rows_are("_id:*", "0123");
    char id[FILTER_ID_MAX], query[64];
    for (uint32_t i = 0; i < 4; i++) {
        struct origin_run origin;
        assert_ok(rows_origin(&rows, i, &origin));
        size_t n = filter_row_id(&origin, id);
        snprintf(query, sizeof(query), "_id:%.*s", (int)n, id);
        rows_are(query, (const char *[]){"0", "1", "", "3"}[i]);
        snprintf(query, sizeof(query), "_id:=%.*s OR _id:/^%.*s$/", (int)n, id, (int)n, id);
        rows_are(query, (const char *[]){"0", "1", "", "3"}[i]);
    }
    rows_are("_id:0-0-01", "");
    rows_are("_id:0-0", "");
    rows_are("ingested_at:[2025-02-15 TO now]", "0123");
    rows_are("ingested_at:>now", "");
    assert_true(may_match("_stream:other")); /* row 1 has its own */
}

static void test_inside_json(void **state)
{
    batch_begin(batch);
    batch_text(
        batch, STR("o"), LANE_JSON,
        STR("{\"a\":{\"b\":\"Caf\\u00e9 x\",\"n\":1.50},\"k.l\":[1,\"two\"],\"e\":{},\"z\":null,"
            "\"t\":true}"));
    batch_end(batch, NOON, STR("{}"));
    batch_begin(batch);
    batch_int(batch, STR("o"), 4);
    batch_end(batch, NOON, STR("{}"));
    batch_begin(batch);
    batch_text(batch, STR("o"), LANE_JSON, STR("{\"a\":{\"b\":{\"c\":1}}}"));
    batch_end(batch, NOON, STR("{}"));
    view();
    rows_are("o.a.b:café", "0");
    rows_are("o.a.n:1.5", "0");
    rows_are("o.a.n:>1.6", "");
    rows_are("o.k.l:=two", "0");
    rows_are("o.e:*", "0");
    rows_are("o.z:*", "");
    rows_are("o:*", "012");
    rows_are("o.a.b:*", "02");
    rows_are("o.t:true", "0");
    rows_are("café", "0");
    rows_are("b", ""); /* a key */
    rows_are("*.c:1", "2");
    rows_are("1", "02");
    rows_are("o.a:x", "");
}

/* ---- random records, random filters ---- */

static uint64_t seed = 0x9e3779b97f4a7c15;

static uint32_t any_below(uint32_t n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (uint32_t)(seed >> 33) % n;
}

/* A field as the naive evaluator sees it: number texts and strings are texts. */
struct fact {
    char name[16], text[64];
    enum lane lane;
};
struct facts {
    struct fact f[12];
    unsigned n;
};

static const char *const words[] = {"error", "Err",  "timeout", "time", "42", "7",
                                    "a-b",   "4.20", "naïve",   "NA",   "x_y"};
#define N_WORDS (sizeof(words) / sizeof(words[0]))

static struct fact *add_fact(struct facts *r, const char *name, enum lane lane)
{
    struct fact *f = &r->f[r->n++];
    snprintf(f->name, sizeof(f->name), "%s", name);
    f->lane = lane;
    f->text[0] = 0;
    return f;
}

static void random_words(struct fact *f)
{
    size_t n = 0;
    for (unsigned k = 1 + any_below(4); k; k--)
        n += (size_t)snprintf(f->text + n, sizeof(f->text) - n, "%s%s", n ? " " : "",
                              words[any_below(N_WORDS)]);
}

static void random_value(struct facts *r, const char *name, const char *key)
{
    int v = (int)any_below(60) - 10;
    struct fact *f;
    switch (any_below(6)) {
    case 0:
        f = add_fact(r, name, LANE_INT);
        snprintf(f->text, sizeof(f->text), "%d", v);
        batch_int(batch, str_c(key), v);
        break;
    case 1:
        f = add_fact(r, name, LANE_DBL);
        snprintf(f->text, sizeof(f->text), "%g", v / 8.0);
        batch_dbl(batch, str_c(key), v / 8.0);
        break;
    case 2:
        f = add_fact(r, name, LANE_BOOL);
        snprintf(f->text, sizeof(f->text), "%s", v & 1 ? "true" : "false");
        batch_bool(batch, str_c(key), v & 1);
        break;
    case 3:
        add_fact(r, name, LANE_NULL);
        batch_empty(batch, str_c(key), LANE_NULL);
        break;
    default:
        f = add_fact(r, name, LANE_STR);
        random_words(f);
        batch_text(batch, str_c(key), LANE_STR, str_c(f->text));
    }
}

static void random_record(struct facts *r)
{
    static const char *const names[] = {"message", "msg", "level", "n", "m"};
    r->n = 0;
    batch_begin(batch);
    for (size_t i = 0; i < 5; i++) {
        if (any_below(3))
            random_value(r, names[i], names[i]);
    }
    if (any_below(2)) {
        batch_open(batch, STR("o"));
        random_value(r, "o.a", "a");
        random_value(r, "o.b", "b");
        batch_close(batch);
    } else if (any_below(2)) {
        struct fact *f = add_fact(r, "o.a", LANE_STR);
        random_words(f);
        char json[128];
        snprintf(json, sizeof(json), "{\"a\":\"%s\"}", f->text);
        batch_text(batch, STR("o"), LANE_JSON, str_c(json));
    }
    batch_end(batch, NOON, STR("{}"));
}

/* The naive filter: a leaf or a list. */
struct naive {
    char op; /* '&', '|', '!', or of a leaf: 't'erm, 'e'qual, '>' , '<', '*' */
    char field[16], text[64];
    struct naive *a, *b;
};

static struct naive *random_filter(unsigned depth)
{
    static const char *const fields[] = {"message", "msg", "level", "n", "m", "o.a", "o.b", "none"};
    struct naive *f = ARENA_NEW(&arena, struct naive);
    if (depth && any_below(3)) {
        f->op = "&|!"[any_below(3)];
        f->a = random_filter(depth - 1);
        f->b = f->op == '!' ? NULL : random_filter(depth - 1);
        return f;
    }
    f->op = "tttte><*"[any_below(8)];
    if (f->op != 't' || any_below(2))
        snprintf(f->field, sizeof(f->field), "%s", fields[any_below(8)]);
    if (f->op == '>' || f->op == '<')
        snprintf(f->text, sizeof(f->text), "%g", ((int)any_below(60) - 10) / 4.0);
    else if (any_below(4))
        snprintf(f->text, sizeof(f->text), "%s", words[any_below(N_WORDS)]);
    else
        snprintf(f->text, sizeof(f->text), "%s %s", words[any_below(N_WORDS)],
                 words[any_below(N_WORDS)]);
    return f;
}

static void put_naive(struct buf *out, const struct naive *f)
{
    if (f->op == '!' || f->op == '&' || f->op == '|') {
        buf_put_c(out, f->op == '!' ? "NOT (" : "(");
        put_naive(out, f->a);
        if (f->b) {
            buf_put_c(out, f->op == '&' ? " AND " : " OR ");
            put_naive(out, f->b);
        }
        buf_put_c(out, ")");
        return;
    }
    if (f->field[0])
        buf_printf(out, "%s:", f->field);
    if (f->op == '*')
        buf_put_c(out, "*");
    else if (f->op == '>' || f->op == '<')
        buf_printf(out, "%c%s", f->op, f->text);
    else
        buf_printf(out, "%s\"%s\"", f->op == 'e' ? "=" : "", f->text);
}

static bool is_number(const char *s, double *ret)
{
    return str_to_f64(str_c(s), ret);
}

/* The words used are ASCII but for one letter, which is a letter and in lower case. */
static bool is_word(const char *s, const char *at)
{
    return at >= s && (isalnum((unsigned char)*at) || *at == '_' || (*at & 0x80));
}

static bool naive_text(const char *pattern, const char *text)
{
    size_t n = strlen(pattern);
    for (const char *at = text; *at; at++) {
        if (strncasecmp(at, pattern, n) == 0 && !is_word(text, at - 1) && !is_word(text, at + n))
            return true;
    }
    return false;
}

static bool naive_fact(const struct naive *f, const struct fact *fact)
{
    double x, y;
    bool number = fact->lane == LANE_INT || fact->lane == LANE_DBL;
    if (fact->lane == LANE_NULL)
        return false;
    switch (f->op) {
    case '*':
        return true;
    case '>':
    case '<':
        return is_number(fact->text, &x) && is_number(f->text, &y) &&
               (f->op == '>' ? x > y : x < y);
    case 'e':
        return number ? is_number(fact->text, &x) && is_number(f->text, &y) && x == y
                      : strcmp(fact->text, f->text) == 0;
    default:
        return number ? is_number(fact->text, &x) && is_number(f->text, &y) && x == y
                      : naive_text(f->text, fact->text);
    }
}

static bool naive_has(const struct facts *r, const char *name)
{
    for (unsigned i = 0; i < r->n; i++) {
        if (strcmp(r->f[i].name, name) == 0)
            return true;
    }
    return false;
}

static bool naive_eval(const struct naive *f, const struct facts *r)
{
    if (f->op == '!')
        return !naive_eval(f->a, r);
    if (f->op == '&')
        return naive_eval(f->a, r) && naive_eval(f->b, r);
    if (f->op == '|')
        return naive_eval(f->a, r) || naive_eval(f->b, r);
    const char *field = f->field;
    if (strcmp(field, "message") == 0 && !naive_has(r, "message"))
        field = "msg";
    for (unsigned i = 0; i < r->n; i++) {
        if ((!field[0] || strcmp(field, r->f[i].name) == 0) && naive_fact(f, &r->f[i]))
            return true;
    }
    return false;
}

static void test_random_against_naive(void **state)
{
    enum { RECORDS = 150 };
    struct facts *facts = NEW_ARRAY(struct facts, RECORDS);
    struct buf query;
    buf_init(&query, SIZE_MAX);
    unsigned hits = 0, total = 0;
    for (int round = 0; round < 60; round++) {
        batch_clear(batch);
        for (int i = 0; i < RECORDS; i++)
            random_record(&facts[i]);
        view();
        for (int k = 0; k < 40; k++) {
            struct naive *f = random_filter(3);
            buf_clear(&query);
            put_naive(&query, f);
            buf_put(&query, "", 1);
            uint64_t *bits = eval(query.p);
            for (uint32_t i = 0; i < RECORDS; i++) {
                bool want = naive_eval(f, &facts[i]);
                hits += want;
                total++;
                if (bitmap_get(bits, i) != want)
                    fail_msg("%s: row %u %d, wanted %d", query.p, i, !want, want);
            }
        }
        arena_reset(&arena);
    }
    assert_in_range(hits, total / 10, total - total / 10);
    buf_release(&query);
    mem_free(facts);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_fields),      TEST(test_aliases),           TEST(test_an_alias_that_is_an_object),
        TEST(test_inside_json), TEST(test_fields_of_the_row), TEST(test_random_against_naive),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
