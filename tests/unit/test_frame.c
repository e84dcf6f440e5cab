/* Frames: records come back from their bytes; what does not agree with itself is refused. */
#include "core/mem.h"
#include "record/frame.h"
#include "records.h"

#define ARRIVAL 1739620800000000000LL

static struct frame_info some_info(bool lz4)
{
    return (struct frame_info){
        .org = STR("default"),
        .stream = STR("app logs"),
        .arrival_ns = ARRIVAL,
        .part = 2,
        .parts = 5,
        .first_index = 1000,
        .key = {1, 2},
        .payload = {3, UINT64_MAX},
        .producer = 7,
        .epoch = 8,
        .sequence = 9,
        .lz4 = lz4,
    };
}

static void info_is(const struct frame_info *got, bool lz4)
{
    struct frame_info want = some_info(lz4);
    assert_str(got->org, "default");
    assert_str(got->stream, "app logs");
    assert_int_equal(got->arrival_ns, want.arrival_ns);
    assert_int_equal(got->part, want.part);
    assert_int_equal(got->parts, want.parts);
    assert_int_equal(got->first_index, want.first_index);
    assert_memory_equal(&got->key, &want.key, sizeof(want.key));
    assert_memory_equal(&got->payload, &want.payload, sizeof(want.payload));
    assert_int_equal(got->producer, want.producer);
    assert_int_equal(got->epoch, want.epoch);
    assert_int_equal(got->sequence, want.sequence);
}

static void rows_agree(struct rows *a, struct rows *b)
{
    const int64_t *ta, *tb;
    struct buf x, y;
    buf_init(&x, SIZE_MAX);
    buf_init(&y, SIZE_MAX);
    assert_int_equal(a->n, b->n);
    assert_int_equal(a->n_shapes, b->n_shapes);
    assert_int_equal(a->n_columns, b->n_columns);
    assert_int_equal(a->time_min, b->time_min);
    assert_int_equal(a->time_max, b->time_max);
    assert_ok(rows_time(a, &ta));
    assert_ok(rows_time(b, &tb));
    for (uint32_t c = 0; c < a->n_columns; c++)
        assert_true(a->columns[c].name_hash == b->columns[c].name_hash);
    for (uint32_t i = 0; i < a->n; i++) {
        buf_clear(&x);
        buf_clear(&y);
        records_put_row(a, i, &x);
        records_put_row(b, i, &y);
        assert_true(str_eq(buf_str(&x), buf_str(&y)));
        assert_int_equal(ta[i], tb[i]);
        assert_int_equal(a->flags ? a->flags[i] : 0, b->flags ? b->flags[i] : 0);
    }
    buf_release(&x);
    buf_release(&y);
}

static void fill(struct batch *b, struct records_maker *m, unsigned n)
{
    struct buf text;
    buf_init(&text, SIZE_MAX);
    for (unsigned i = 0; i < n; i++) {
        uint64_t r = records_random(&m->seed);
        batch_begin(b);
        records_make(m, b, &text);
        if (r % 3)
            batch_int(b, STR("ts"), (int64_t)(1700000000000 + r % 100000));
        else if (r % 5 == 0)
            batch_text(b, STR("ts"), LANE_STR, STR("not a time"));
        batch_end(b, ARRIVAL, STR("{\"some\":\"text\"}"));
    }
    buf_release(&text);
}

static void round_trip(struct batch *b, bool lz4)
{
    struct arena a;
    struct rows before, after;
    struct buf out;
    struct frame_info info = some_info(lz4);
    uint32_t n;
    int64_t min, max;
    arena_init(&a, 0, NULL);
    buf_init(&out, SIZE_MAX);
    buf_put_c(&out, "in front");
    batch_view(b, &a, &before);
    assert_ok(frame_encode(b, &info, &out));
    struct str frame = str_from(buf_str(&out), 8);
    assert_ok(frame_open(frame, 77, 3, &a, &info, &after));
    info_is(&info, lz4);
    assert_int_equal(info.raw_bytes, batch_raw_bytes(b));
    assert_str(after.stream, "app logs");
    rows_agree(&before, &after);
    struct origin_run origin;
    assert_ok(rows_origin(&after, after.n - 1, &origin));
    assert_int_equal(origin.position, 77);
    assert_int_equal(origin.partition, 3);
    assert_int_equal(origin.index, 1000 + after.n - 1);
    assert_int_equal(origin.arrival_ns, ARRIVAL);
    info = (struct frame_info){0};
    assert_ok(frame_peek(frame, &info, &n, &min, &max));
    info_is(&info, lz4);
    assert_int_equal(n, before.n);
    assert_int_equal(min, before.time_min);
    assert_int_equal(max, before.time_max);
    arena_release(&a);
    buf_release(&out);
}

static void test_random_records_come_back(void **state)
{
    struct batch *b = batch_new();
    for (uint64_t seed = 1; seed <= 50; seed++) {
        struct records_maker m = {seed, 1 + (unsigned)seed % 17, 1 + (unsigned)seed % 10, false};
        fill(b, &m, (unsigned)(1 + seed * 5));
        round_trip(b, false);
        if (seed % 5 == 0)
            round_trip(b, true);
        batch_clear(b);
    }
    batch_free(b);
}

/* Two rows apart by `range`: every width of integers and lengths, and the ends of int64. */
static void test_every_width(void **state)
{
    static const int64_t range[] = {0, 255, 256, 65535, 65536, UINT32_MAX, (int64_t)UINT32_MAX + 1};
    struct batch *b = batch_new();
    char *text = mem_zalloc(70000);
    for (size_t i = 0; i < sizeof(range) / sizeof(range[0]); i++) {
        for (unsigned row = 0; row < 2; row++) {
            batch_begin(b);
            batch_int(b, STR("i"), row ? -5 + range[i] : -5);
            batch_dec(b, STR("d"), row ? range[i] : 0, (uint8_t)(1 + row * (i % 2)));
            batch_text(b, STR("s"), LANE_STR,
                       str_of(text, row && range[i] < 70000 ? (size_t)range[i] : 0));
            batch_end(b, ARRIVAL + (row ? range[i] : 0), STR("{}"));
        }
        round_trip(b, false);
        batch_clear(b);
    }
    for (unsigned row = 0; row < 2; row++) {
        batch_begin(b);
        batch_int(b, STR("i"), row ? INT64_MAX : INT64_MIN);
        batch_end(b, row ? INT64_MAX : INT64_MIN, STR("{}"));
    }
    round_trip(b, false);
    mem_free(text);
    batch_free(b);
}

static void test_many_shapes(void **state)
{
    struct batch *b = batch_new();
    struct records_maker m = {5, 40, 12, true};
    fill(b, &m, 600);
    struct arena a;
    struct rows r;
    arena_init(&a, 0, NULL);
    batch_view(b, &a, &r);
    assert_true(r.n_shapes > 256);
    arena_release(&a);
    round_trip(b, false);
    batch_free(b);
}

static void test_lz4_makes_it_smaller(void **state)
{
    struct batch *b = batch_new();
    struct buf plain, packed;
    buf_init(&plain, SIZE_MAX);
    buf_init(&packed, SIZE_MAX);
    for (unsigned i = 0; i < 500; i++) {
        batch_begin(b);
        batch_text(b, STR("message"), LANE_STR, STR("the same words again and again"));
        batch_end(b, ARRIVAL, STR("{}"));
    }
    struct frame_info info = some_info(false);
    assert_ok(frame_encode(b, &info, &plain));
    info.lz4 = true;
    assert_ok(frame_encode(b, &info, &packed));
    assert_true(packed.n < plain.n / 10);
    buf_release(&plain);
    buf_release(&packed);
    batch_free(b);
}

static void test_refusals_of_the_encoder(void **state)
{
    struct batch *b = batch_new();
    struct buf out;
    buf_init(&out, 100);
    buf_put_c(&out, "x");
    struct frame_info info = some_info(false);
    assert_err(frame_encode(b, &info, &out), ERR_INVALID, "needs a record");
    batch_begin(b);
    batch_end(b, ARRIVAL, STR("{}"));
    assert_err(frame_encode(b, &info, &out), ERR_LIMIT, "no room");
    assert_str(buf_str(&out), "x");
    buf_release(&out);
    batch_free(b);
}

static void encode_some(struct buf *out, bool lz4)
{
    struct batch *b = batch_new();
    struct records_maker m = {11, 9, 8, false};
    struct frame_info info = some_info(lz4);
    fill(b, &m, 10);
    assert_ok(frame_encode(b, &info, out));
    batch_free(b);
}

/* Opens bytes that may be anything and, where that works, reads every value and appends every row.
 */
static enum err read_all(struct str bytes)
{
    struct arena a;
    struct rows r;
    struct frame_info info;
    struct buf text;
    arena_init(&a, 0, NULL);
    buf_init(&text, SIZE_MAX);
    enum err err = frame_open(bytes, 1, 0, &a, &info, &r);
    if (err == OK) {
        struct batch *b = batch_new();
        for (uint32_t i = 0; i < r.n; i++)
            records_put_row(&r, i, &text);
        assert_ok(batch_append_rows(b, &r, NULL, r.n));
        batch_free(b);
    } else {
        assert_true(err == ERR_CORRUPT || err == ERR_UNSUPPORTED || err == ERR_NOMEM);
    }
    buf_release(&text);
    arena_release(&a);
    return err;
}

static void test_no_change_of_a_byte_breaks_the_reader(void **state)
{
    for (unsigned lz4 = 0; lz4 < 2; lz4++) {
        struct buf good;
        buf_init(&good, SIZE_MAX);
        encode_some(&good, lz4);
        assert_int_equal(read_all(buf_str(&good)), OK);
        uint64_t seed = 3;
        for (size_t i = 0; i < good.n; i++) {
            char was = good.p[i];
            good.p[i] = (char)(was ^ (1 << (records_random(&seed) & 7)));
            (void)read_all(buf_str(&good));
            good.p[i] = (char)records_random(&seed);
            (void)read_all(buf_str(&good));
            good.p[i] = was;
        }
        buf_release(&good);
    }
}

static void test_every_cut_is_corrupt(void **state)
{
    struct buf good;
    buf_init(&good, SIZE_MAX);
    encode_some(&good, false);
    for (size_t n = 0; n < good.n; n++) {
        /* Of its own, so that a read past the end is seen. */
        char *copy = mem_alloc(n);
        memcpy(copy, good.p, n);
        assert_int_equal(read_all(str_of(copy, n)), ERR_CORRUPT);
        mem_free(copy);
    }
    buf_put_byte(&good, 0);
    assert_err(read_all(buf_str(&good)), ERR_CORRUPT, "more than its body");
    good.p[3] = 3;
    assert_err(read_all(buf_str(&good)), ERR_UNSUPPORTED, "version 3");
    buf_release(&good);
}

/* Frames by hand: one row at time 0 with the given columns and shape. */
struct part {
    const char *path;
    unsigned occ, lane, n;
};

static enum err open_by_hand(const struct part *column, unsigned n_columns, const uint8_t *token,
                             unsigned n_tokens)
{
    struct buf body, out;
    buf_init(&body, SIZE_MAX);
    buf_init(&out, SIZE_MAX);
    buf_put(&body, "\0\1\0", 3); /* times: base 0, width 1, 0 */
    buf_put_varint(&body, n_columns);
    for (unsigned i = 0; i < n_columns; i++) {
        buf_put_lstr(&body, str_c(column[i].path));
        buf_put_varint(&body, column[i].occ);
        buf_put_u8(&body, (uint8_t)column[i].lane);
        buf_put_varint(&body, column[i].n);
    }
    buf_put_varint(&body, 1);
    buf_put_varint(&body, n_tokens);
    buf_put(&body, token, n_tokens);
    for (unsigned i = 0; i < n_columns; i++)
        if (!lane_is_empty(column[i].lane))
            buf_put(&body, "\0\1\0", 3); /* one empty text, or 0 */
    buf_put(&out, "WRF\x01\0\0\0\0\1\0\0\0", 12);
    buf_put_u32(&out, (uint32_t)body.n);
    buf_put_u32(&out, (uint32_t)body.n);
    for (unsigned i = 0; i < 26; i++)
        buf_put_u32(&out, 0);
    buf_put_str(&out, buf_str(&body));
    enum err err = read_all(buf_str(&out));
    buf_release(&body);
    buf_release(&out);
    return err;
}

#define BY_HAND(columns, ...)                                                                      \
    open_by_hand(columns, sizeof(columns) / sizeof((columns)[0]), (const uint8_t[]){__VA_ARGS__},  \
                 sizeof((const uint8_t[]){__VA_ARGS__}))

static void test_shapes_agree_with_their_columns(void **state)
{
    const struct part flat[] = {{"a", 0, LANE_INT, 1}};
    assert_int_equal(BY_HAND(flat, 2), OK);
    assert_err(BY_HAND(flat, 3), ERR_CORRUPT, "not there");
    assert_err(BY_HAND(flat, 2, 2), ERR_CORRUPT, "shape is not valid");
    assert_err(BY_HAND(flat, 0, 1, 2), ERR_CORRUPT, "shape is not valid"); /* empty object */
    assert_err(BY_HAND(flat, 0, 2, 1), ERR_CORRUPT, "shape is not valid"); /* too deep */
    assert_err(BY_HAND(flat, 2, 1), ERR_CORRUPT, "shape is not valid");
    assert_err(BY_HAND(flat, 0, 2), ERR_CORRUPT, "shape is not valid");
    const struct part nested[] = {{"a\x1f"
                                   "b",
                                   0, LANE_INT, 1},
                                  {"a\x1f"
                                   "c",
                                   0, LANE_STR, 1}};
    assert_int_equal(BY_HAND(nested, 0, 2, 3, 1), OK);
    assert_int_equal(BY_HAND(nested, 0, 2, 1, 0, 3, 1), OK);
    assert_err(BY_HAND(nested, 2, 3), ERR_CORRUPT, "shape is not valid");
    assert_err(BY_HAND(nested, 0, 2, 1), ERR_CORRUPT, "not as many values");
    const struct part apart[] = {{"a\x1f"
                                  "b",
                                  0, LANE_INT, 1},
                                 {"ab\x1f"
                                  "c",
                                  0, LANE_STR, 1}};
    assert_err(BY_HAND(apart, 0, 2, 3, 1), ERR_CORRUPT, "shape is not valid");
    assert_int_equal(BY_HAND(apart, 0, 2, 1, 0, 3, 1), OK);
    const struct part twice[] = {{"a", 0, LANE_INT, 1}, {"a", 1, LANE_INT, 1}};
    assert_int_equal(BY_HAND(twice, 2, 3), OK);
    assert_err(BY_HAND(twice, 3, 2), ERR_CORRUPT, "shape is not valid");
}

static void test_columns_are_valid(void **state)
{
    const struct part gap[] = {{"a", 0, LANE_INT, 1}, {"a", 2, LANE_INT, 1}};
    assert_err(BY_HAND(gap, 2, 3), ERR_CORRUPT, "lacks the one before");
    const struct part same[] = {{"a", 0, LANE_INT, 1}, {"a", 0, LANE_INT, 1}};
    assert_err(BY_HAND(same, 2, 3), ERR_CORRUPT, "stands twice");
    static const struct part bad[] = {
        {"a", 0, LANE_COUNT, 1},
        {"a", 0, LANE_INT, 0},
        {"a", 0, LANE_INT, 2},
        {"", 0, LANE_STR, 1},
        {"", 1, LANE_JSON, 1},
        {"a\x1f", 0, LANE_INT, 1},
        {"\x1f"
         "a",
         0, LANE_INT, 1},
        {"a\x1e"
         "X",
         0, LANE_INT, 1},
        {"a\x1e", 0, LANE_INT, 1},
        {"a\x1e"
         "N",
         0, LANE_INT, 1},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_err(open_by_hand(&bad[i], 1, (const uint8_t[]){2}, 1), ERR_CORRUPT,
                   "column is not valid");
    const struct part whole[] = {{"", 0, LANE_JSON, 1}};
    assert_int_equal(BY_HAND(whole, 2), OK);
    const struct part beside[] = {{"", 0, LANE_JSON, 1}, {"a", 0, LANE_INT, 1}};
    assert_err(BY_HAND(beside, 2, 3), ERR_CORRUPT, "shape is not valid");
    const struct part empty_key[] = {{"\x1e"
                                      "N",
                                      0, LANE_NULL, 1}};
    assert_int_equal(BY_HAND(empty_key, 2), OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_records_come_back),
        cmocka_unit_test(test_every_width),
        cmocka_unit_test(test_many_shapes),
        cmocka_unit_test(test_lz4_makes_it_smaller),
        cmocka_unit_test(test_refusals_of_the_encoder),
        cmocka_unit_test(test_no_change_of_a_byte_breaks_the_reader),
        cmocka_unit_test(test_every_cut_is_corrupt),
        cmocka_unit_test(test_shapes_agree_with_their_columns),
        cmocka_unit_test(test_columns_are_valid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
