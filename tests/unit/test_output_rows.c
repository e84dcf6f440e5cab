/* Rows as lines: those written a few at a time, each copying what it shares with the one before,
 * are those that are written alone. */
#include "query/output.h"

#include "record/frame.h"
#include "record/json.h"
#include "record/timestamp.h"
#include "test.h"

#define T0 1700000000000000000

enum { ROWS = 3000 };

static struct arena arena;
static struct rows rows;
static struct buf frame;

/* Times that recur and that do not, own members of the names that are added, nothing at all. */
static struct str record(uint32_t i, char text[static 256])
{
    static const char *const kinds[] = {
        "",
        ",\"timestamp\":\"2024-05-01T10:00:00Z\"",
        ",\"timestamp\":\"2024-05-01T10:00:01Z\",\"level\":\"warn\"",
        ",\"_stream\":\"mine\"",
        ",\"_time\":\"mine\",\"_id\":7",
        ",\"service\":\"a \\\"b\\\"\",\"host\":\"h\"",
    };
    enum { KINDS = sizeof(kinds) / sizeof(*kinds) };
    uint32_t mixed = (i * 2654435761u >> 7) % (KINDS + 1);
    uint32_t kind = i % 512 < 256 ? mixed : i / 512 % KINDS;
    if (kind == KINDS)
        return STR("{}");
    return str_of(text, (size_t)snprintf(text, 256, "{\"n\":%u%s}", i, kinds[kind]));
}

static int setup(void **state)
{
    struct json_limits limits = {.record_bytes = 1 << 20, .nesting = 128};
    struct json_reader *r = json_reader_new(&limits);
    struct batch *b = batch_new();
    for (uint32_t i = 0; i < ROWS; i++) {
        char text[256 + JSON_PADDING] = "", own[256];
        struct str s = record(i, own);
        memcpy(text, s.p, s.n);
        assert_ok(json_read_record(r, str_of(text, s.n), T0, b));
    }
    struct frame_info info = {
        .org = STR("default"), .stream = STR("app"), .parts = 1, .arrival_ns = T0};
    buf_init(&frame, 64 << 20);
    assert_ok(frame_encode(b, &info, &frame));
    batch_free(b);
    json_reader_free(r);
    arena_init(&arena, 0, NULL);
    assert_ok(frame_open(buf_str(&frame), 77, 3, &arena, &info, &rows));
    return 0;
}

static int teardown(void **state)
{
    arena_release(&arena);
    buf_release(&frame);
    return 0;
}

static void check(const struct row_style *style, uint32_t some, uint32_t every)
{
    struct arena scratch;
    struct row_output *o;
    struct buf got, alone;
    uint32_t row[ROWS], n = 0;
    arena_init(&scratch, 0, NULL);
    buf_init(&got, SIZE_MAX);
    buf_init(&alone, SIZE_MAX);
    for (uint32_t i = 0; i < ROWS; i += every)
        row[n++] = i;
    assert_ok(output_begin(&rows, row, n, style, &scratch, &o));
    for (uint32_t at = 0; at < n; at += some)
        assert_ok(output_next(o, n - at < some ? n - at : some, &got));
    for (uint32_t i = 0; i < n; i++) {
        size_t end;
        assert_ok(output_rows(&rows, &row[i], 1, style, &scratch, &alone, &end));
        assert_int_equal(end, alone.n);
    }
    if (!str_eq(buf_str(&got), buf_str(&alone)))
        fail_msg("%u of %u rows, %u at a time", n, ROWS, some);
    buf_release(&got);
    buf_release(&alone);
    arena_release(&scratch);
}

static void test_parts(void **state)
{
    const struct str fields[] = {STR("n"), STR("_time"), STR("ingested_at")};
    const struct row_style styles[] = {
        {0}, {.search = true}, {.bare = true}, {.field = fields, .n_fields = 3}};
    for (size_t i = 0; i < sizeof(styles) / sizeof(*styles); i++) {
        check(&styles[i], ROWS, 1);
        check(&styles[i], 1, 1);
        check(&styles[i], 777, 1);
        check(&styles[i], 64, 3);
    }
}

/* The members themselves. */
static void test_members(void **state)
{
    struct buf out;
    uint32_t row[2] = {512 + 256, 512 + 257}; /* of the second kind */
    const char *want =
        "{\"n\":768,\"timestamp\":\"2024-05-01T10:00:00Z\",\"_time\":\"2024-05-01T10:00:00Z\","
        "\"_stream\":\"app\",\"_id\":\"3-4d-300\"}\n"
        "{\"n\":769,\"timestamp\":\"2024-05-01T10:00:00Z\",\"_time\":\"2024-05-01T10:00:00Z\","
        "\"_stream\":\"app\",\"_id\":\"3-4d-301\"}\n";
    buf_init(&out, SIZE_MAX);
    assert_ok(output_rows(&rows, row, 2, &(struct row_style){0}, &arena, &out, NULL));
    assert_true(str_eq_c(buf_str(&out), want));
    buf_release(&out);
}

/* Rows that say nothing of what is added: of several requests, times of several lengths, one record
 * that is empty; members are those that are put together here. */
static void test_tails(void **state)
{
    enum { N = 5000 };
    int64_t time[N];
    uint16_t shape_of[N];
    uint32_t row[N], n = 0, token = 0;
    const int64_t value[N] = {0};
    struct values values = {.n = N - 1, .lane = LANE_INT, .i64 = value};
    struct column column = {
        .path = STR("n"), .lane = LANE_INT, .n = N - 1, .ops = &plain_column_ops, .impl = &values};
    struct shape shapes[2] = {{.token = &token, .n = 1}, {0}};
    const struct origin_run runs[] = {
        {0, 250, 3, 77, T0}, {17, 0, 3, 78, T0}, {3000, 0xffff0, 0, 1, T0}};
    for (uint32_t i = 0; i < N; i++) {
        static const int64_t part[] = {0, 0, 5000000, 123456789, 120000};
        time[i] = T0 + i / 40 * 700000000LL + (i % 1000 < 500 ? 0 : part[i % 5]);
        shape_of[i] = i == 1234;
        if (i % 700 < 500 || i == 1234)
            row[n++] = i;
    }
    const struct plain_rows plain = {.time = time, .shape_of = shape_of, .run = runs, .n_runs = 3};
    struct rows made = {.n = N,
                        .n_shapes = 2,
                        .n_columns = 1,
                        .shapes = shapes,
                        .columns = &column,
                        .ops = &plain_rows_ops,
                        .impl = (void *)&plain,
                        .arena = &arena,
                        .stream = STR("say \"a\"")};
    struct buf got, want;
    struct row_output *o;
    buf_init(&got, SIZE_MAX);
    buf_init(&want, SIZE_MAX);
    assert_ok(output_begin(&made, row, n, &(struct row_style){0}, &arena, &o));
    for (uint32_t at = 0; at < n; at += 777)
        assert_ok(output_next(o, n - at < 777 ? n - at : 777, &got));
    for (uint32_t i = 0; i < n; i++) {
        const struct origin_run *run = &runs[row[i] < 17 ? 0 : row[i] < 3000 ? 1 : 2];
        char text[TIME_TEXT_MAX];
        size_t length = time_rfc3339(time[row[i]], text);
        buf_printf(&want,
                   "{%s\"_time\":\"%.*s\",\"_stream\":\"say \\\"a\\\"\",\"_id\":\"%x-%x-%x\"}\n",
                   row[i] == 1234 ? "" : "\"n\":0,", (int)length, text, run->partition,
                   (unsigned)run->position, run->index + row[i] - run->row);
    }
    assert_true(str_eq(buf_str(&got), buf_str(&want)));
    buf_release(&got);
    buf_release(&want);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parts),
        cmocka_unit_test(test_members),
        cmocka_unit_test(test_tails),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
