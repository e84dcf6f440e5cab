#include "block_kit.h"
#include "core/governor.h"

static struct arena arena, other;

/* What goes in comes out, in total order, with its origin. */
static void round_trip(uint32_t frames, uint32_t each, bool full)
{
    struct batch *b = batch_new();
    struct rows in, out;
    add_frames(b, frames, each, full);
    batch_view(b, &arena, &in);
    struct dumped *want = dump_rows(&in, &arena);
    struct block *block = encode(&in);
    uint64_t read = 0;
    assert_ok(block_rows_open(block, STR("s"), &other, &read, &out));
    assert_same_rows(want, &out, in.n, &other);
    assert_true(read > 0 && read <= block_bytes(block));
    assert_int_equal(block_rows(block), in.n);
    assert_int_equal(block_time_min(block), want[0].time);
    assert_int_equal(block_time_max(block), want[in.n - 1].time);
    assert_int_equal(block_position_min(block), 1000);
    assert_int_equal(block_position_max(block), 1000 + (frames - 1) * 7);
    block_unref(block);
    arena_reset(&arena);
    arena_reset(&other);
    batch_free(b);
}

static void test_round_trip(void **state)
{
    size_t before = governor_used_by(OWNER_MEMTABLE);
    round_trip(1, 1, true);
    round_trip(1, 1, false);
    round_trip(3, 5, false);
    round_trip(20, 100, true);
    round_trip(20, 100, false);
    round_trip(60, 200, true);
    round_trip(100, 100, false);
    assert_int_equal(governor_used_by(OWNER_MEMTABLE), before);
}

static void test_get_is_values_at_positions(void **state)
{
    struct batch *b = batch_new();
    struct rows in, out;
    add_frames(b, 50, 100, false);
    batch_view(b, &arena, &in);
    struct block *block = encode(&in);
    assert_ok(block_rows_open(block, STR("s"), &other, NULL, &out));
    for (uint32_t c = 0; c < out.n_columns; c++) {
        const struct column *col = &out.columns[c];
        struct values all, some;
        assert_ok(col->ops->values(col, &other, &all));
        for (uint32_t step = 1; step < 900; step = step * 2 + 3) {
            uint32_t *pos = ARENA_ARRAY(&other, uint32_t, col->n), n = 0;
            for (uint32_t i = rnd_below(step); i < col->n; i += 1 + rnd_below(step))
                pos[n++] = i;
            assert_ok(col->ops->get(col, pos, n, &other, &some));
            assert_int_equal(some.n, n);
            struct buf x, y;
            buf_init(&x, SIZE_MAX);
            buf_init(&y, SIZE_MAX);
            for (uint32_t i = 0; i < n; i++) {
                dump_value(&some, i, &x);
                dump_value(&all, pos[i], &y);
            }
            assert_true(str_eq(buf_str(&x), buf_str(&y)));
            buf_release(&x);
            buf_release(&y);
        }
        const uint32_t *code;
        enum err err = col->ops->codes(col, &other, &some, &code);
        assert_true(err == OK || err == ERR_UNSUPPORTED);
        for (uint32_t i = 0; err == OK && i < col->n; i++)
            assert_true(str_eq(values_text(&some, code[i]), values_text(&all, i)));
    }
    block_unref(block);
    arena_reset(&arena);
    arena_reset(&other);
    batch_free(b);
}

/* A block's rows can be encoded again, as compaction does. */
static void test_block_from_block(void **state)
{
    struct batch *b = batch_new();
    struct rows in, mid, out;
    add_frames(b, 30, 80, false);
    batch_view(b, &arena, &in);
    struct dumped *want = dump_rows(&in, &arena);
    struct block *first = encode(&in);
    assert_ok(block_rows_open(first, STR("s"), &arena, NULL, &mid));
    struct block *second = encode(&mid);
    assert_ok(block_rows_open(second, STR("s"), &other, NULL, &out));
    assert_same_rows(want, &out, in.n, &other);
    block_unref(first);
    block_unref(second);
    arena_reset(&arena);
    arena_reset(&other);
    batch_free(b);
}

static void test_limits(void **state)
{
    struct rows none = {0};
    struct block *block = NULL;
    struct block_options o = {.zstd_level = 1};
    assert_err(block_encode(&none, &o, OWNER_MEMTABLE, &arena, &block), ERR_LIMIT, "1 to 1048576");
    assert_null(block);
}

int main(void)
{
    arena_init(&arena, 0, NULL);
    arena_init(&other, 0, NULL);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_get_is_values_at_positions),
        cmocka_unit_test(test_block_from_block),
        cmocka_unit_test(test_limits),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    arena_release(&arena);
    arena_release(&other);
    return failed;
}
