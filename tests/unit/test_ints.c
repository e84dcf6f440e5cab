#include "core/clock.h"
#include "store/ints.h"
#include "test.h"

static struct arena arena;

static uint64_t rnd_state = 42;
static uint64_t rnd(void)
{
    rnd_state ^= rnd_state << 13;
    rnd_state ^= rnd_state >> 7;
    return rnd_state ^= rnd_state << 17;
}

/* Encodes, decodes, picks, truncates; returns the bytes used. */
static size_t round_trip(const int64_t *v, uint32_t n, enum ints_form form)
{
    struct buf b;
    buf_init(&b, SIZE_MAX);
    buf_put_c(&b, "x");
    ints_encode(v, n, form, &arena, &b);
    buf_put_c(&b, "behind");
    struct str bytes = str_from(buf_str(&b), 1);
    int64_t *back = ARENA_ARRAY(&arena, int64_t, n + 1);
    struct reader r = reader_of(bytes);
    assert_ok(ints_decode(&r, n, &arena, back));
    assert_int_equal(reader_left(&r), 6);
    assert_memory_equal(v, back, n * sizeof(*v));
    uint32_t *pos = ARENA_ARRAY(&arena, uint32_t, n + 1);
    for (uint32_t step = 1; step < 200; step = step * 3 + 1) {
        uint32_t k = 0;
        for (uint32_t i = (uint32_t)(rnd() % step); i < n; i += step)
            pos[k++] = i;
        r = reader_of(bytes);
        assert_ok(ints_get(&r, n, pos, k, &arena, back));
        for (uint32_t i = 0; i < k; i++)
            assert_int_equal(back[i], v[pos[i]]);
    }
    size_t used = bytes.n - 6;
    for (size_t cut = 0; cut < used; cut += 1 + used / 50) {
        r = reader_of(str_of(bytes.p, cut));
        assert_int_equal(ints_decode(&r, n, &arena, back), ERR_CORRUPT);
    }
    buf_release(&b);
    arena_reset(&arena);
    return used;
}

static void both(const int64_t *v, uint32_t n)
{
    round_trip(v, n, INTS_PACKED);
    round_trip(v, n, INTS_PLANES);
}

static void test_every_width(void **state)
{
    int64_t v[300];
    for (unsigned w = 0; w <= 64; w++)
        for (uint32_t n = 1; n < 300; n += 1 + n / 4) {
            for (uint32_t i = 0; i < n; i++)
                v[i] = (int64_t)(w == 64 ? rnd() : rnd() & (((uint64_t)1 << w) - 1));
            both(v, n);
            for (uint32_t i = 1; i < n; i++) /* a walk */
                v[i] = (int64_t)((uint64_t)v[i - 1] + (uint64_t)v[i]);
            both(v, n);
        }
}

static void test_extremes(void **state)
{
    int64_t a[] = {INT64_MIN, INT64_MAX, 0, -1, 1, INT64_MIN, INT64_MAX};
    both(a, 7);
    both(a, 1);
    both(a, 2);
    both(a, 0);
    int64_t b[1000];
    for (int i = 0; i < 1000; i++)
        b[i] = i % 500 ? i : INT64_MAX - i;
    both(b, 1000);
}

static void test_small_where_it_can_be(void **state)
{
    static int64_t v[65536];
    for (int i = 0; i < 65536; i++)
        v[i] = 7;
    assert_in_range(round_trip(v, 65536, INTS_PACKED), 2, 2);
    for (int i = 0; i < 65536; i++)
        v[i] = 1739620800000000000 + i * 250000000LL;
    assert_in_range(round_trip(v, 65536, INTS_PACKED), 1, 30); /* one delta */
    for (int i = 0; i < 65536; i++)
        v[i] = 1739620800000000000 + (int64_t)(rnd() % 1000) * 1000000000LL;
    assert_in_range(round_trip(v, 65536, INTS_PACKED), 65536, 65536 * 10 / 8 + 600); /* divisor */
    for (int i = 0; i < 65536; i++)
        v[i] = i / 5000 % 3 * 1000000;
    assert_in_range(round_trip(v, 65536, INTS_PACKED), 1, 80); /* runs */
    for (int i = 0; i < 65536; i++)
        v[i] = i < 128 ? (int64_t)(rnd() >> 1) : (int64_t)(rnd() & 1);
    assert_in_range(round_trip(v, 65536, INTS_PACKED), 8192, 8192 + 1600); /* widths a block */
}

/* Multiples of numbers of every kind, which are found, and among them one that is none. */
static void test_divisors(void **state)
{
    static const uint64_t divisor[] = {2, 3, 10, 1000, 4096, 999983, 1000000, 86400000000000};
    int64_t v[2000];
    for (size_t k = 0; k < sizeof(divisor) / sizeof(*divisor) + 60; k++) {
        uint64_t d = k < 60 ? (rnd() >> (4 + k) | 1) << (k < 20 ? rnd() % 4 : 0) : divisor[k - 60];
        uint64_t some = INT64_MAX / d < 15 ? INT64_MAX / d + 1 : 16;
        for (int i = 0; i < 2000; i++)
            v[i] = (int64_t)(rnd() % some * d) * (k % 3 == 2 ? -1 : 1);
        size_t bytes = round_trip(v, 2000, INTS_PACKED);
        both(v, 2000);
        assert_true(bytes <= 2000 / 2 + 100);
        v[rnd() % 2000]++;
        both(v, 2000);
    }
}

static void test_corruption_never_crashes(void **state)
{
    int64_t v[500], back[500];
    for (int kind = 0; kind < 4; kind++) {
        for (int i = 0; i < 500; i++)
            v[i] = kind == 0   ? (int64_t)(rnd() % 1000)
                   : kind == 1 ? i * 7 + (int64_t)(rnd() % 3)
                   : kind == 2 ? i / 100
                               : (int64_t)rnd();
        struct buf b;
        buf_init(&b, SIZE_MAX);
        ints_encode(v, 500, kind == 1 ? INTS_PLANES : INTS_PACKED, &arena, &b);
        for (int round = 0; round < 3000; round++) {
            size_t at = rnd() % (b.n < 40 || round % 2 ? b.n : 40);
            char was = b.p[at];
            b.p[at] = (char)rnd();
            struct reader r = reader_of(buf_str(&b));
            enum err err = ints_decode(&r, 500, &arena, back);
            assert_true(err == OK || err == ERR_CORRUPT);
            uint32_t pos[3] = {0, 77, 499};
            r = reader_of(buf_str(&b));
            err = ints_get(&r, 500, pos, 3, &arena, back);
            assert_true(err == OK || err == ERR_CORRUPT);
            b.p[at] = was;
        }
        buf_release(&b);
        arena_reset(&arena);
    }
}

int main(void)
{
    arena_init(&arena, 0, NULL);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_width),
        cmocka_unit_test(test_extremes),
        cmocka_unit_test(test_small_where_it_can_be),
        cmocka_unit_test(test_divisors),
        cmocka_unit_test(test_corruption_never_crashes),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    arena_release(&arena);
    return failed;
}
