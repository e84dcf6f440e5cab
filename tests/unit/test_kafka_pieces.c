/* Frames cut for Kafka: by service, by size, always the same way; JSON as MessagePack. */
#include "test.h"

#include "record/json.h"
#include "wire/kafka_pieces.h"
#include "wire/msgpack.h"
#include "wire/msgpack_json.h"

static const struct json_limits limits = {.record_bytes = 1 << 20, .nesting = 32};

static void make_frame(const char *const *line, unsigned n, struct buf *out)
{
    struct batch *b = batch_new();
    struct json_reader *r = json_reader_new(&limits);
    for (unsigned i = 0; i < n; i++) {
        char padded[4096] = {0};
        snprintf(padded, sizeof(padded) - JSON_PADDING, "%s", line[i]);
        assert_ok(json_read_record(r, str_c(padded), 1000, b));
    }
    struct frame_info info = {
        .org = STR("default"), .stream = STR("s"), .arrival_ns = 77, .parts = 1};
    buf_init(out, 1 << 20);
    assert_ok(frame_encode(b, &info, out));
    json_reader_free(r);
    batch_free(b);
}

/* The rows of a piece as JSON lines. */
static struct str text_of(const struct kafka_piece *p, struct arena *a, struct frame_info *info)
{
    struct rows rows;
    struct buf out;
    buf_init(&out, 1 << 20);
    assert_ok(frame_open(str_of(p->frame, p->bytes), 0, 0, a, info, &rows));
    assert_int_equal(rows.n, p->rows);
    for (uint32_t i = 0; i < rows.n; i++) {
        struct json_rows what = {&rows, &i, 1, a, NULL, 0};
        assert_ok(json_put_rows(&what, &out, NULL));
    }
    struct str text = arena_str(a, buf_str(&out));
    buf_release(&out);
    return text;
}

static void test_a_service_each(void **state)
{
    static const char *const line[] = {
        "{\"service\":\"b\",\"n\":1}", "{\"service\":\"a\",\"n\":2}", "{\"n\":3}",
        "{\"app\":\"b\",\"n\":4}",     "{\"service\":7,\"n\":5}",
    };
    static const char *const want[][2] = {
        {"", "{\"n\":3}"},
        {"7", "{\"service\":7,\"n\":5}"},
        {"a", "{\"service\":\"a\",\"n\":2}"},
        {"b", "{\"service\":\"b\",\"n\":1}{\"app\":\"b\",\"n\":4}"},
    };
    struct buf frame;
    struct arena a;
    arena_init(&a, 0, NULL);
    make_frame(line, 5, &frame);
    struct kafka_pieces p = {.arena = &a};
    assert_ok(kafka_pieces_add(&p, buf_str(&frame), STR("service"), 1 << 20));
    kafka_pieces_stamp(&p, 5, 6, 9);
    assert_int_equal(p.n, 4);
    for (uint32_t i = 0; i < p.n; i++) {
        struct frame_info info;
        assert_str(p.piece[i].key, want[i][0]);
        assert_str(text_of(&p.piece[i], &a, &info), want[i][1]);
        assert_true(info.producer == 5 && info.epoch == 6 && info.sequence == 9);
        assert_true(info.part == i && info.parts == 4 && info.payload.lo == 77);
        assert_int_equal(info.arrival_ns, 77);
    }
    /* One service: the frame as it is. */
    struct kafka_pieces one = {.arena = &a};
    assert_ok(kafka_pieces_add(&one, buf_str(&frame), STR("no such field"), 1 << 20));
    assert_int_equal(one.n, 1);
    assert_memory_equal(one.piece[0].frame, frame.p, frame.n);
    assert_int_equal(kafka_pieces_add(&one, STR("WRF"), STR("service"), 1 << 20), ERR_CORRUPT);
    buf_release(&frame);
    arena_release(&a);
}

static void test_no_piece_is_too_large(void **state)
{
    char text[20][600];
    const char *line[20];
    struct buf frame;
    struct arena a;
    arena_init(&a, 0, NULL);
    for (unsigned i = 0; i < 20; i++) {
        snprintf(text[i], sizeof(text[i]), "{\"n\":%u,\"x\":\"%0*d\"}", i, i == 7 ? 500 : 40, 0);
        line[i] = text[i];
    }
    make_frame(line, 20, &frame);
    struct kafka_pieces p = {.arena = &a};
    assert_ok(kafka_pieces_add(&p, buf_str(&frame), STR("service"), 500));
    kafka_pieces_stamp(&p, 0, 0, 0);
    uint32_t rows = 0, left_out = 0;
    for (uint32_t i = 0; i < p.n; i++) {
        assert_true(p.piece[i].bytes <= 500);
        assert_int_equal(p.piece[i].row, rows);
        left_out += !p.piece[i].bytes;
        if (!p.piece[i].bytes)
            assert_true(p.piece[i].row == 7 && p.piece[i].rows == 1);
        rows += p.piece[i].rows;
    }
    assert_int_equal(rows, 20);
    assert_int_equal(left_out, 1);
    buf_release(&frame);
    arena_release(&a);
}

static void test_json_as_msgpack(void **state)
{
    static const struct {
        struct str json, msgpack;
    } cases[] = {
        {STR("{}"), STR("\x80")},
        {STR("[1,-1,true,false,null,{},[]]"), STR("\x97\x01\xff\xc3\xc2\xc0\x80\x90")},
        {STR("{\"a\\n\":\"\\u00e9\"}"), STR("\x81\xa2\x61\n\xa2\xc3\xa9")},
        {STR("{\"b\":{\"c\":[0.5]}}"), STR("\x81\xa1\x62\x81\xa1\x63\x91\xcb\x3f\xe0\0\0\0\0\0\0")},
        {STR("[18446744073709551615]"), STR("\x91\xcf\xff\xff\xff\xff\xff\xff\xff\xff")},
        {STR("[0.12345678901234567890]"), STR("\x91\xb6"
                                              "0.12345678901234567890")},
        {STR("[123456789012345678901234567890]"), STR("\x91\xbe"
                                                      "123456789012345678901234567890")},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct buf out;
        buf_init(&out, 1 << 16);
        msgpack_put_json(&out, cases[i].json);
        if (!str_eq(buf_str(&out), cases[i].msgpack))
            fail_msg("case %zu", i);
        buf_release(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_service_each),
        cmocka_unit_test(test_no_piece_is_too_large),
        cmocka_unit_test(test_json_as_msgpack),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
