/* Sequence numbers of agents: claimed, landed, remembered across cuts, crashes and restarts. */
#include "store_kit.h"

#include "store/producer.h"

static struct store_sequence number(uint64_t n)
{
    return (struct store_sequence){7, 70, n, 1000 + n};
}

static enum claim claim(uint64_t n)
{
    struct store_sequence s = number(n);
    return store_claim_sequence(k.store, &s);
}

static void settle(uint64_t n)
{
    struct store_sequence s = number(n);
    store_settle_sequence(k.store, &s);
}

static void deliver(uint64_t n)
{
    struct blob *frame = kit_frame(&k, &(struct kit_frame){.stream = STR("app"),
                                                           .first = k.n,
                                                           .count = 3,
                                                           .arrival_ns = clock_now_ns(),
                                                           .payload = {1000 + n, 0},
                                                           .producer = 7,
                                                           .epoch = 70,
                                                           .sequence = n});
    k.n += 3;
    kit_deliver_frames(&k, &frame, 1);
}

static void land(uint64_t n)
{
    assert_int_equal(claim(n), CLAIM_NEW);
    deliver(n);
    settle(n);
}

static void test_life(void **state)
{
    kit_open(&k);
    assert_int_equal(claim(5), CLAIM_NEW);
    assert_int_equal(claim(5), CLAIM_PENDING);
    settle(5); /* it failed: the number is free */
    land(5);
    assert_int_equal(claim(5), CLAIM_SEEN);
    assert_int_equal(claim(6), CLAIM_NEW);
    settle(6);
    /* Another epoch and another agent have numbers of their own. */
    struct store_sequence other = {7, 71, 5, 1005};
    assert_int_equal(store_claim_sequence(k.store, &other), CLAIM_NEW);
    store_settle_sequence(k.store, &other);
    other = (struct store_sequence){8, 70, 5, 1005};
    assert_int_equal(store_claim_sequence(k.store, &other), CLAIM_NEW);
    store_settle_sequence(k.store, &other);
    /* The same number of the same agent, with something else in it. */
    other = (struct store_sequence){7, 70, 5, 99};
    assert_int_equal(store_claim_sequence(k.store, &other), CLAIM_OTHER);
}

static void test_out_of_order(void **state)
{
    kit_open(&k);
    land(10);
    land(40);
    land(12); /* within the window: 11 failed and comes later */
    land(11);
    assert_int_equal(claim(11), CLAIM_SEEN);
    assert_int_equal(claim(12), CLAIM_SEEN);
    land(10 + PRODUCER_WINDOW); /* now 10 is just below the window, and counts as landed */
    assert_int_equal(claim(10), CLAIM_SEEN);
    assert_int_equal(claim(9), CLAIM_SEEN);
    land(13); /* still within */
    land(100000);
    assert_int_equal(claim(14), CLAIM_SEEN);
    assert_int_equal(claim(100000 - PRODUCER_WINDOW + 1), CLAIM_NEW);
}

static void test_survives_publishing(void **state)
{
    kit_open(&k);
    for (uint64_t n = 1; n <= 100; n += n % 3 + 1)
        land(n);
    assert_ok(store_flush(k.store));
    kit_reopen(&k);
    uint64_t next = 1;
    for (uint64_t n = 1; n <= 100; n++) {
        bool landed = n == next || n + PRODUCER_WINDOW <= 100;
        if (n == next)
            next += n % 3 + 1;
        if (claim(n) != (landed ? CLAIM_SEEN : CLAIM_NEW))
            fail_msg("%llu", (unsigned long long)n);
        settle(n);
    }
    /* The mark is remembered too. */
    struct store_sequence other = {7, 70, 100, 5};
    assert_int_equal(store_claim_sequence(k.store, &other), CLAIM_OTHER);
}

/* A replay delivers what was landed and not published, and some of what was. */
static void test_replay(void **state)
{
    kit_open(&k);
    land(1);
    assert_ok(store_flush(k.store));
    land(2);
    kit_reopen(&k);
    k.position--;
    deliver(2);
    assert_int_equal(claim(1), CLAIM_SEEN);
    assert_int_equal(claim(2), CLAIM_SEEN);
    land(3);
    assert_ok(store_flush(k.store));
    kit_reopen(&k);
    for (uint64_t n = 1; n <= 3; n++)
        assert_int_equal(claim(n), CLAIM_SEEN);
}

static void test_forgotten_after_a_month(void **state)
{
    kit_open(&k);
    land(1);
    assert_ok(store_flush(k.store));
    clock_set_ns(clock_now_ns() + PRODUCER_KEPT_NS + 1);
    kit_reopen(&k);
    assert_int_equal(claim(1), CLAIM_NEW);
}

static void test_damaged_row(void **state)
{
    static const char *const bad[] = {"x", "1", "1:2:3", "1: 2 ", "zz:1", "1:2,3:4"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        struct producers *p = producers_new();
        struct catalog_producer row = {1, 1, 1, str_c(bad[i])};
        assert_err(producers_load(p, &row, 1), ERR_CORRUPT, "window of producer");
        producers_free(p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_life, kit_setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_out_of_order, kit_setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_survives_publishing, kit_setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_replay, kit_setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_forgotten_after_a_month, kit_setup, kit_teardown),
        cmocka_unit_test(test_damaged_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
