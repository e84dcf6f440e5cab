/* The body that carries frames: what is written is read back, and nothing else is read. */
#include "test.h"
#include "wire/frames.h"

static struct buf body_of(void)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    frames_begin(&b, &(struct frames_head){11, 22});
    frames_add(&b, 1, STR("one"));
    frames_add(&b, 1, STR("one more"));
    frames_add(&b, 9, STR(""));
    return b;
}

static void test_round_trip(void **state)
{
    struct buf b = body_of();
    struct frames_reader r;
    struct frames_head head;
    struct frames_item item;
    bool more;
    assert_ok(frames_open(buf_str(&b), &r, &head));
    assert_true(head.producer == 11 && head.epoch == 22);
    assert_ok(frames_next(&r, &item, &more));
    assert_true(more && item.sequence == 1);
    assert_str(item.frame, "one");
    assert_ok(frames_next(&r, &item, &more));
    assert_str(item.frame, "one more");
    assert_ok(frames_next(&r, &item, &more));
    assert_true(more && item.sequence == 9 && item.frame.n == 0);
    assert_ok(frames_next(&r, &item, &more));
    assert_false(more);
    buf_release(&b);
}

static enum err read_all(struct str body)
{
    struct frames_reader r;
    struct frames_head head;
    struct frames_item item;
    bool more = true;
    TRY(frames_open(body, &r, &head));
    while (more)
        TRY(frames_next(&r, &item, &more));
    return OK;
}

static void test_damage(void **state)
{
    struct buf b = body_of();
    assert_ok(read_all(buf_str(&b)));
    /* Every cut but at the end of a frame, and every bit. */
    for (size_t n = 0; n < b.n; n++) {
        bool whole = n == 24 || n == 24 + 27 || n == 24 + 27 + 32;
        if ((read_all(str_of(b.p, n)) == OK) != whole)
            fail_msg("cut at %zu", n);
    }
    for (size_t i = 0; i < b.n * 8; i++) {
        b.p[i / 8] ^= (char)(1 << i % 8);
        bool head = i / 8 >= 8 && i / 8 < 24; /* who sends is not checked here */
        if ((read_all(buf_str(&b)) == OK) != head)
            fail_msg("bit %zu", i);
        b.p[i / 8] ^= (char)(1 << i % 8);
    }
    b.p[3] = 2;
    assert_err(read_all(buf_str(&b)), ERR_UNSUPPORTED, "version 2");
    buf_release(&b);
}

static void test_order(void **state)
{
    struct buf b = body_of();
    frames_add(&b, 8, STR("late"));
    assert_err(read_all(buf_str(&b)), ERR_INVALID, "sequence 8 behind 9");
    buf_release(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_damage),
        cmocka_unit_test(test_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
