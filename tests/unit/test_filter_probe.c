#include "core/hash.h"
#include "core/io.h"
#include "store/chunk_cache.h"
#include "store/filter_probe.h"
#include "store/fuse.h"
#include "test.h"

#include <stdio.h>
#include <unistd.h>

enum { KEYS = 60000, PLACE = 777 };

static struct buf filter;
static FILE *file;

static uint64_t nth_key(uint64_t i)
{
    return hash_mix(i * 0x9e3779b97f4a7c15ULL + 99);
}

static void write_byte(size_t at, char c)
{
    assert_int_equal(pwrite(fileno(file), &c, 1, (off_t)(PLACE + at)), 1);
}

/* A filter of the first KEYS keys in a file, under a segment number of its own. */
static struct filter_place make(uint64_t segment)
{
    struct arena a;
    arena_init(&a, 0, NULL);
    buf_init(&filter, SIZE_MAX);
    uint64_t *key = ARENA_ARRAY(&a, uint64_t, KEYS);
    for (uint32_t i = 0; i < KEYS; i++)
        key[i] = nth_key(i);
    assert_ok(fuse_build(key, KEYS, &a, &filter));
    arena_release(&a);
    file = tmpfile();
    assert_non_null(file);
    assert_int_equal(pwrite(fileno(file), filter.p, filter.n, PLACE), filter.n);
    return (struct filter_place){fileno(file), segment, PLACE, (uint32_t)filter.n,
                                 (uint32_t)hash64(buf_str(&filter))};
}

static void drop(const struct filter_place *at)
{
    chunk_cache_drop(at->segment);
    buf_release(&filter);
    fclose(file);
}

static bool has(const struct filter_place *at, uint64_t i, uint64_t *bytes)
{
    uint64_t key = nth_key(i);
    return filter_probe(at, &key, 1, bytes);
}

static void test_says_what_the_filter_says(void **state)
{
    struct filter_place at = make(1);
    uint64_t bytes = 0;
    assert_true(has(&at, 0, &bytes));
    assert_int_equal(bytes, filter.n); /* whole, for its checksum */
    bytes = 0;
    for (uint32_t i = 0; i < KEYS; i++)
        assert_true(has(&at, i, &bytes));
    assert_in_range(bytes / KEYS, 3, filter.n / 8);
    for (uint32_t i = KEYS; i < 2 * KEYS; i++)
        assert_int_equal(has(&at, i, NULL), fuse_may_contain(buf_str(&filter), nth_key(i)));
    drop(&at);
}

static void test_all_words_are_asked_for(void **state)
{
    struct filter_place at = make(2);
    uint32_t without = KEYS;
    while (fuse_may_contain(buf_str(&filter), nth_key(without)))
        without++;
    uint64_t key[3] = {nth_key(5), nth_key(6), nth_key(without)};
    for (int pass = 0; pass < 2; pass++) {
        assert_true(filter_probe(&at, key, 2, NULL));
        assert_false(filter_probe(&at, key, 3, NULL));
    }
    drop(&at);
}

static void test_without_a_cache(void **state)
{
    struct filter_place at = make(3);
    chunk_cache_set_max(0);
    for (uint32_t i = KEYS - 50; i < KEYS + 50; i++)
        assert_int_equal(has(&at, i, NULL), fuse_may_contain(buf_str(&filter), nth_key(i)));
    chunk_cache_set_max(64 << 20);
    drop(&at);
}

/* Bad when first read: it rules out nothing, and no digest of it is kept. */
static void test_bad_from_the_start(void **state)
{
    struct filter_place at = make(4);
    for (size_t byte = 0; byte < filter.n; byte += byte < FUSE_HEAD_BYTES ? 1 : 9973) {
        write_byte(byte, (char)~filter.p[byte]);
        for (uint32_t i = KEYS; i < KEYS + 20; i++)
            assert_true(has(&at, i, NULL));
        write_byte(byte, filter.p[byte]);
    }
    drop(&at);
}

/* Gone bad after it was found good: keys whose window it is are not ruled out, others still are. */
static void test_goes_bad_later(void **state)
{
    struct filter_place at = make(5);
    struct fuse_shape s;
    assert_true(fuse_shape_read(buf_str(&filter), filter.n, &s));
    assert_true(has(&at, 0, NULL));
    uint32_t bad = s.count / 2, inside = 0, outside = 0;
    for (uint32_t i = 0; i < s.segment; i++)
        write_byte(FUSE_HEAD_BYTES + (size_t)bad * s.segment + i, 0x55);
    for (uint32_t i = 0; i < 2 * KEYS; i++) {
        uint32_t first = fuse_window(&s, nth_key(i));
        bool in = first <= bad && bad < first + 3;
        assert_int_equal(has(&at, i, NULL), in || fuse_may_contain(buf_str(&filter), nth_key(i)));
        *(in ? &inside : &outside) += 1;
    }
    assert_true(inside > 100 && outside > KEYS);
    drop(&at);
}

static void test_file_cut_short_later(void **state)
{
    struct filter_place at = make(6);
    assert_true(has(&at, 0, NULL));
    assert_int_equal(ftruncate(fileno(file), PLACE + FUSE_HEAD_BYTES), 0);
    for (uint32_t i = 0; i < 2 * KEYS; i += 100)
        assert_true(has(&at, i, NULL));
    drop(&at);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_says_what_the_filter_says),
        cmocka_unit_test(test_all_words_are_asked_for),
        cmocka_unit_test(test_without_a_cache),
        cmocka_unit_test(test_bad_from_the_start),
        cmocka_unit_test(test_goes_bad_later),
        cmocka_unit_test(test_file_cut_short_later),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
