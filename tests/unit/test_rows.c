/* Rows and paths: presence and spreading against a naive count, names, origins, gathered values. */
#include "record/bitmap.h"
#include "records.h"

#define ARRIVAL 1739620800000000000LL

/* Rows of which some have a, all have b, and c.d is rare. */
static void make_rows(struct batch *b, unsigned n, uint64_t seed)
{
    for (unsigned i = 0; i < n; i++) {
        uint64_t r = records_random(&seed);
        batch_begin(b);
        if (r & 3)
            batch_int(b, STR("a"), i);
        batch_int(b, STR("b"), i);
        if (r % 31 == 0) {
            batch_open(b, STR("c"));
            batch_text(b, STR("d"), LANE_STR, STR("x"));
            batch_close(b);
        }
        batch_end(b, ARRIVAL + i / 50, STR("{}"));
    }
}

static bool has(struct rows *r, uint32_t row, uint32_t col)
{
    const uint16_t *shape_of;
    assert_ok(rows_shape_of(r, &shape_of));
    const struct shape *s = &r->shapes[shape_of[row]];
    for (uint32_t t = 0; t < s->n; t++)
        if (s->token[t] == col)
            return true;
    return false;
}

static void column_agrees(struct rows *r, struct arena *a, uint32_t col, uint64_t *seed)
{
    struct presence p;
    uint32_t n = r->columns[col].n, rank = 0;
    uint64_t *values = ARENA_ARRAY(a, uint64_t, bitmap_words(n));
    uint64_t *rows = ARENA_ARRAY(a, uint64_t, bitmap_words(r->n));
    assert_ok(rows_presence(r, col, &p));
    assert_int_equal(p.all, n == r->n);
    for (uint32_t i = 0; i < n; i++)
        if (records_random(seed) % 3 == 0)
            bitmap_set(values, i);
    bitmap_set(rows, 0); /* what was set stays */
    assert_ok(rows_spread(r, col, values, rows));
    for (uint32_t row = 0; row < r->n; row++) {
        bool here = has(r, row, col);
        assert_int_equal(presence_has(&p, row), here);
        if (here)
            assert_int_equal(presence_rank(&p, row), rank);
        bool want = row == 0 || (here && bitmap_get(values, rank));
        assert_int_equal(bitmap_get(rows, row), want);
        rank += here;
    }
    assert_int_equal(rank, n);
}

static void test_presence_and_spread_agree_with_the_shapes(void **state)
{
    uint64_t seed = 1;
    for (unsigned n = 1; n < 400; n += 1 + n / 3) {
        struct batch *b = batch_new();
        struct arena a;
        struct rows r;
        arena_init(&a, 0, NULL);
        make_rows(b, n, n);
        batch_view(b, &a, &r);
        for (uint32_t c = 0; c < r.n_columns; c++)
            column_agrees(&r, &a, c, &seed);
        arena_release(&a);
        batch_free(b);
    }
}

static void test_one_shape_needs_no_numbers(void **state)
{
    struct batch *b = batch_new();
    struct arena a;
    struct rows r;
    struct presence p;
    arena_init(&a, 0, NULL);
    for (unsigned i = 0; i < 3; i++) {
        batch_begin(b);
        batch_int(b, STR("a"), i);
        batch_end(b, ARRIVAL, STR("{}"));
    }
    batch_view(b, &a, &r);
    assert_int_equal(r.n_shapes, 1);
    assert_ok(rows_presence(&r, 0, &p));
    assert_true(p.all);
    assert_int_equal(presence_rank(&p, 2), 2);
    assert_true(has(&r, 2, 0));
    arena_release(&a);
    batch_free(b);
}

static void test_a_column_that_lies_about_its_rows_is_corrupt(void **state)
{
    struct batch *b = batch_new();
    struct arena a;
    struct rows r;
    struct presence p;
    arena_init(&a, 0, NULL);
    make_rows(b, 100, 5);
    batch_view(b, &a, &r);
    uint32_t col = rows_find(&r, STR("a"), 0);
    ((struct column *)r.columns)[col].n--;
    assert_err(rows_presence(&r, col, &p), ERR_CORRUPT, "its shapes have");
    arena_release(&a);
    batch_free(b);
}

static void test_find_by_dotted_name(void **state)
{
    struct batch *b = batch_new();
    struct arena a;
    struct rows r;
    arena_init(&a, 0, NULL);
    batch_begin(b);
    batch_int(b, STR("a.b"), 1);
    batch_open(b, STR("a"));
    batch_int(b, STR("b"), 2);
    batch_int(b, STR(""), 3);
    batch_close(b);
    batch_int(b,
              STR("a\x1f"
                  "b"),
              4);
    batch_end(b, ARRIVAL, STR("{}"));
    batch_view(b, &a, &r);
    assert_int_equal(rows_find(&r, STR("a.b"), 0), 0);
    assert_int_equal(rows_find(&r, STR("a.b"), 1), 1);
    assert_int_equal(rows_find(&r, STR("a.b"), 2), UINT32_MAX);
    assert_int_equal(rows_find(&r, STR("a."), 0), 2);
    assert_int_equal(rows_find(&r,
                               STR("a\x1f"
                                   "b"),
                               0),
                     3);
    assert_int_equal(rows_find(&r, STR("a"), 0), UINT32_MAX);
    arena_release(&a);
    batch_free(b);
}

static void test_origin(void **state)
{
    struct batch *b = batch_new();
    struct arena a;
    struct rows r;
    arena_init(&a, 0, NULL);
    make_rows(b, 230, 9); /* the arrival changes every 50 rows */
    batch_view(b, &a, &r);
    for (uint32_t i = 0; i < r.n; i++) {
        struct origin_run o;
        assert_ok(rows_origin(&r, i, &o));
        assert_int_equal(o.index, i);
        assert_int_equal(o.row, i);
        assert_int_equal(o.arrival_ns, ARRIVAL + i / 50);
    }
    assert_dies((void)!rows_origin(&r, 230, &(struct origin_run){0}));
    arena_release(&a);
    batch_free(b);
}

static void test_get_gathers_every_lane(void **state)
{
    struct batch *b = batch_new();
    struct arena a;
    struct rows r;
    struct values v;
    const uint32_t pos[] = {1, 2};
    arena_init(&a, 0, NULL);
    for (unsigned i = 0; i < 3; i++) {
        char text[8];
        batch_begin(b);
        batch_text(b, STR("s"), LANE_STR,
                   str_of(text, (size_t)snprintf(text, 8, "%0*u", i + 1, i)));
        batch_int(b, STR("i"), i);
        batch_dec(b, STR("d"), i, (uint8_t)(i + 1));
        batch_dbl(b, STR("f"), i / 2.0);
        batch_bool(b, STR("b"), i & 1);
        batch_empty(b, STR("n"), LANE_NULL);
        batch_end(b, ARRIVAL, STR("{}"));
    }
    batch_view(b, &a, &r);
    for (uint32_t c = 0; c < r.n_columns; c++) {
        assert_ok(r.columns[c].ops->get(&r.columns[c], pos, 2, &a, &v));
        assert_int_equal(v.n, 2);
        assert_int_equal(v.lane, r.columns[c].lane);
        if (v.lane == LANE_STR)
            assert_str(values_text(&v, 1), "002");
        if (v.lane == LANE_INT)
            assert_int_equal(v.i64[0], 1);
        if (v.lane == LANE_DEC)
            assert_int_equal(v.scale[1], 3);
        if (v.lane == LANE_DBL)
            assert_true(v.f64[0] == 0.5);
        if (v.lane == LANE_BOOL)
            assert_int_equal(v.u8[0], 1);
        assert_true(r.columns[c].ops->may_match(&r.columns[c], NULL));
    }
    arena_release(&a);
    batch_free(b);
}

static void test_paths(void **state)
{
    struct buf path, text;
    buf_init(&path, SIZE_MAX);
    buf_init(&text, SIZE_MAX);
    path_push(&path, STR(""));
    path_push(&path, STR("a.b"));
    path_push(&path, STR("x\x1fy\x1ez"));
    assert_str(buf_str(&path), "\x1eN\x1f"
                               "a.b\x1fx\x1eSy\x1e"
                               "Ez");
    path_name(buf_str(&path), &text);
    assert_str(buf_str(&text), ".a.b.x\x1fy\x1ez");
    assert_true(path_has_name(buf_str(&path), buf_str(&text)));
    assert_false(path_has_name(buf_str(&path), STR(".a.b.x")));
    assert_false(path_has_name(buf_str(&path), STR(".a.b.x\x1fy\x1ezz")));
    assert_true(path_name_hash(buf_str(&path)) == path_name_hash(STR(".a.b.x\x1e"
                                                                     "Sy\x1e"
                                                                     "Ez")));
    assert_true(path_name_hash(STR("a\x1f"
                                   "b")) == path_name_hash(STR("a.b")));
    assert_int_equal(path_segment(buf_str(&path), 3).n, 0);
    for (unsigned i = 0; i < 3; i++) {
        static const char *const key[] = {"", "a.b", "x\x1fy\x1ez"};
        buf_clear(&text);
        path_key(path_segment(buf_str(&path), i), &text);
        assert_str(buf_str(&text), key[i]);
    }
    assert_true(path_valid(buf_str(&path)));
    assert_string_equal(lane_name(LANE_DEC), "decimal");
    assert_string_equal(lane_name(LANE_COUNT), "unknown");
    buf_release(&path);
    buf_release(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_presence_and_spread_agree_with_the_shapes),
        cmocka_unit_test(test_one_shape_needs_no_numbers),
        cmocka_unit_test(test_a_column_that_lies_about_its_rows_is_corrupt),
        cmocka_unit_test(test_find_by_dotted_name),
        cmocka_unit_test(test_origin),
        cmocka_unit_test(test_get_gathers_every_lane),
        cmocka_unit_test(test_paths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
