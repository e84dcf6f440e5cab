#include "block_kit.h"
#include "core/governor.h"
#include "core/hash.h"
#include "core/io.h"
#include "core/mem.h"
#include "store/chunk_cache.h"
#include "store/segment.h"

static struct arena arena, other;
static char dir[300], path[400];

/* A block of fresh random rows, and their dump. */
static struct block *some_block(uint32_t frames, uint32_t each, bool full, struct dumped **ret_want)
{
    struct batch *b = batch_new();
    struct rows rows;
    add_frames(b, frames, each, full);
    batch_view(b, &arena, &rows);
    if (ret_want)
        *ret_want = dump_rows(&rows, &arena);
    struct block *block = encode(&rows);
    batch_free(b);
    return block;
}

static struct block *block_with_ids(uint32_t from, uint32_t n)
{
    struct batch *b = batch_new();
    struct rows rows;
    for (uint32_t i = 0; i < n; i++) {
        batch_begin(b);
        if (i % 2)
            add_text(b, "log_id", "id-%u", from + i);
        else
            batch_int(b, STR("_id"), from + i);
        batch_end(b, 1739620800000000000LL + i, STR("{}"));
    }
    batch_view(b, &arena, &rows);
    struct block *block = encode(&rows);
    batch_free(b);
    return block;
}

struct want {
    struct dumped *rows;
    uint32_t n;
};

/* Two sections: streams "a" (3 blocks) and "b" (1 block); returns the catalog's row. */
static struct catalog_segment write_two(uint64_t id, uint32_t each, struct want want[4])
{
    struct segment_writer *w;
    struct catalog_segment row;
    assert_ok(segment_writer_open(path, id, 2, &w));
    for (uint32_t i = 0; i < 4; i++) {
        if (i == 0)
            assert_ok(segment_begin_section(w, 11, STR("default"), STR("a"), 20134));
        if (i == 3)
            assert_ok(segment_begin_section(w, 12, STR("default"), STR("b"), 20135));
        struct block *b = some_block(4 + i * 5, each, i != 1, &want[i].rows);
        want[i].n = block_rows(b);
        assert_ok(segment_add_block(w, b));
        block_unref(b);
        if (i >= 2)
            assert_ok(segment_end_section(w));
    }
    assert_ok(segment_finish(w, 1000, 2000, &arena, &row));
    return row;
}

static void test_round_trip(void **state)
{
    struct want want[4];
    struct segment *s;
    struct section_info info;
    struct catalog_segment row = write_two(77, 60, want);
    uint64_t size;
    int fd;
    assert_ok(io_open(path, IO_READ, &fd));
    assert_ok(io_size(fd, &size));
    io_close(fd);
    assert_int_equal(row.id, 77);
    assert_int_equal(row.level, 2);
    assert_int_equal(row.bytes, size);
    assert_int_equal(row.position_min, 1000);
    assert_int_equal(row.n_sections, 2);
    assert_int_equal(row.section[0].rows, want[0].n + want[1].n + want[2].n);
    assert_ok(segment_open(path, &s));
    assert_int_equal(segment_id(s), 77);
    assert_int_equal(segment_sections(s), 2);
    assert_ok(segment_section(s, 1, &info));
    assert_str(info.stream, "b");
    assert_str(info.org, "default");
    assert_int_equal(info.stream_id, 12);
    assert_int_equal(info.day, 20135);
    assert_int_equal(info.blocks, 1);
    assert_int_equal(info.time_min, row.section[1].time_min);
    for (int round = 0; round < 2; round++) /* cold, then through the cache */
        for (uint32_t i = 0; i < 4; i++) {
            struct rows rows;
            uint64_t read = 0;
            struct segment_block_info b;
            assert_ok(segment_block(s, i == 3, i % 3, &b));
            assert_int_equal(b.rows, want[i].n);
            assert_ok(segment_block_rows(s, i == 3, i % 3, &other, &read, &rows));
            assert_int_equal(b.time_min, rows.time_min);
            assert_str(rows.stream, i == 3 ? "b" : "a");
            assert_same_rows(want[i].rows, &rows, want[i].n, &other);
            assert_true(read > 0);
            arena_reset(&other);
        }
    struct chunk_cache_stats stats;
    chunk_cache_stats(&stats);
    assert_true(stats.hits > 0 && stats.bytes > 0);
    assert_int_equal(segment_block(s, 0, 3, &(struct segment_block_info){0}), ERR_NOTFOUND);
    assert_int_equal(segment_section(s, 2, &info), ERR_NOTFOUND);
    assert_false(segment_may_hold_id(s, 5));
    segment_unref(s);
    chunk_cache_stats(&stats);
    assert_int_equal(stats.bytes, 0);
    arena_reset(&arena);
}

static void test_client_ids(void **state)
{
    struct segment_writer *w;
    struct segment *s;
    struct catalog_segment row;
    assert_ok(segment_writer_open(path, 5, 0, &w));
    for (uint32_t k = 0; k < 3; k++) {
        assert_ok(segment_begin_section(w, 100 + k, STR("o"), STR("s"), 1));
        struct block *b = block_with_ids(k * 10000, 3000);
        assert_ok(segment_add_block(w, b));
        block_unref(b);
        assert_ok(segment_end_section(w));
    }
    assert_ok(segment_finish(w, 0, 0, &arena, &row));
    assert_ok(segment_open(path, &s));
    unsigned wrong = 0;
    char text[32];
    for (uint32_t k = 0; k < 3; k++)
        for (uint32_t i = 0; i < 3000; i++) {
            uint32_t id = k * 10000 + i;
            int n = snprintf(text, sizeof(text), i % 2 ? "id-%u" : "%u", id);
            assert_true(segment_may_hold_id(s, hash64_seed(str_of(text, (size_t)n), 100 + k)));
            wrong += segment_may_hold_id(s, hash64_seed(str_of(text, (size_t)n), 200 + k));
        }
    assert_in_range(wrong, 0, 90); /* of 9000 */
    segment_unref(s);
    arena_reset(&arena);
}

static void test_abort_leaves_nothing(void **state)
{
    struct segment_writer *w;
    struct block *b = some_block(2, 3, true, NULL);
    snprintf(path, sizeof(path), "%s/aborted", dir);
    assert_ok(segment_writer_open(path, 9, 0, &w));
    assert_ok(segment_begin_section(w, 1, STR("o"), STR("s"), 0));
    assert_ok(segment_add_block(w, b));
    segment_abort(w);
    block_unref(b);
    assert_false(io_exists(path));
    char tmp[500];
    snprintf(tmp, sizeof(tmp), "%s.tmp", path);
    assert_false(io_exists(tmp));
    snprintf(path, sizeof(path), "%s/segment", dir);
    arena_reset(&arena);
}

static void test_many_sections_and_wide(void **state)
{
    struct segment_writer *w;
    struct catalog_segment row;
    struct segment *s;
    assert_ok(segment_writer_open(path, 6, 0, &w));
    for (uint64_t k = 1; k <= 3000; k++) {
        char name[32];
        int n = snprintf(name, sizeof(name), "stream-%llu", (unsigned long long)k);
        struct block *b = block_with_ids((uint32_t)k, 1 + k % 3);
        assert_ok(segment_begin_section(w, k, STR("o"), str_of(name, (size_t)n), (int64_t)k));
        assert_ok(segment_add_block(w, b));
        assert_ok(segment_end_section(w));
        block_unref(b);
        arena_reset(&arena);
    }
    assert_ok(segment_finish(w, 0, 0, &arena, &row));
    assert_in_range(row.bytes, 1, 3000 * 700);
    assert_ok(segment_open(path, &s));
    assert_int_equal(segment_sections(s), 3000);
    struct rows rows;
    assert_ok(segment_block_rows(s, 2998, 0, &other, NULL, &rows));
    assert_str(rows.stream, "stream-2999");
    arena_reset(&other);
    segment_unref(s);
    struct buf problems;
    buf_init(&problems, SIZE_MAX);
    assert_ok(segment_verify(path, &problems));
    buf_release(&problems);
    arena_reset(&arena);
}

static enum err count_line(void *ctx, struct str line)
{
    assert_true(line.n > 1 && line.p[0] == '{' && line.p[line.n - 1] == '}');
    ++*(uint32_t *)ctx;
    return OK;
}

static enum err refuse_line(void *ctx, struct str line)
{
    return err_set(ERR_CANCELED, "enough");
}

static void overwrite(const char *name, struct str bytes)
{
    FILE *f = fopen(name, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes.p, 1, bytes.n, f), bytes.n);
    assert_int_equal(fclose(f), 0);
}

/* Whatever byte is changed, verify says so; nothing crashes; cat brings out what it can. */
static void test_every_flipped_byte_is_found(void **state)
{
    struct want want[4];
    struct buf file, problems;
    write_two(78, 3, want);
    uint32_t rows = want[0].n + want[1].n + want[2].n + want[3].n;
    assert_ok(io_read_file(path, SIZE_MAX, &file));
    char damaged[500];
    snprintf(damaged, sizeof(damaged), "%s/damaged", dir);
    buf_init(&problems, SIZE_MAX);
    for (size_t i = 0; i < file.n; i += 1 + rnd_below(7)) {
        uint32_t lines = 0;
        char was = file.p[i];
        file.p[i] = (char)(was ^ (1 << rnd_below(8)));
        overwrite(damaged, buf_str(&file));
        file.p[i] = was;
        buf_clear(&problems);
        enum err err = segment_verify(damaged, &problems);
        if (err != ERR_CORRUPT && err != ERR_UNSUPPORTED)
            fail_msg("byte %zu: %s", i, err_name(err));
        assert_true(problems.n > 0);
        buf_clear(&problems);
        err = segment_cat(damaged, count_line, &lines, &problems);
        assert_in_range(lines, 0, rows);
        if (lines < rows) {
            assert_int_not_equal(err, OK);
            assert_true(problems.n > 0);
        }
        assert_true(lines >= rows - want[0].n - want[1].n - want[2].n || lines >= want[0].n);
    }
    for (size_t n = 0; n < file.n; n += 1 + rnd_below(60)) {
        uint32_t lines = 0;
        overwrite(damaged, str_of(file.p, n));
        buf_clear(&problems);
        assert_int_equal(segment_verify(damaged, &problems), ERR_CORRUPT);
        enum err err = segment_cat(damaged, count_line, &lines, &problems);
        assert_int_equal(err, ERR_CORRUPT);
    }
    buf_release(&file);
    buf_release(&problems);
    arena_reset(&arena);
}

static void test_tools(void **state)
{
    struct want want[4];
    uint32_t lines = 0;
    struct buf out;
    write_two(79, 40, want);
    buf_init(&out, SIZE_MAX);
    assert_ok(segment_verify(path, &out));
    assert_ok(segment_cat(path, count_line, &lines, &out));
    assert_int_equal(out.n, 0);
    assert_int_equal(lines, want[0].n + want[1].n + want[2].n + want[3].n);
    assert_int_equal(segment_cat(path, refuse_line, NULL, &out), ERR_CANCELED);
    assert_ok(segment_inspect(path, false, true, &out));
    buf_put_byte(&out, 0);
    assert_non_null(strstr(out.p, "segment 79, level 2"));
    assert_non_null(strstr(out.p, "default/b (stream 12)"));
    assert_non_null(strstr(out.p, "metadata.request_id"));
    buf_clear(&out);
    assert_ok(segment_inspect(path, true, false, &out));
    buf_put_byte(&out, 0);
    assert_non_null(strstr(out.p, "\"stream\":\"a\""));
    assert_null(strstr(out.p, ",]"));
    assert_null(strstr(out.p, ",}"));
    assert_int_equal(segment_verify("/nonexistent/file", &out), ERR_NOTFOUND);
    buf_release(&out);
    arena_reset(&arena);
}

int main(void)
{
    arena_init(&arena, 0, NULL);
    arena_init(&other, 0, NULL);
    snprintf(dir, sizeof(dir), "%s", test_dir());
    snprintf(path, sizeof(path), "%s/segment", dir);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_client_ids),
        cmocka_unit_test(test_abort_leaves_nothing),
        cmocka_unit_test(test_many_sections_and_wide),
        cmocka_unit_test(test_every_flipped_byte_is_found),
        cmocka_unit_test(test_tools),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    arena_release(&arena);
    arena_release(&other);
    test_rmdir(dir);
    return failed;
}
