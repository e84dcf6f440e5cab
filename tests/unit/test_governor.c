#include "core/blob.h"
#include "core/governor.h"
#include "core/mem.h"
#include "core/thread.h"
#include "test.h"

#include <stdatomic.h>

static int reset(void **state)
{
    governor_set_budget(0);
    return governor_used() != 0;
}

static void test_budget(void **state)
{
    struct reservation a, b;
    governor_set_budget(1000);
    assert_int_equal(governor_budget(), 1000);
    reservation_init(&a, OWNER_QUERY, 0);
    reservation_init(&b, OWNER_CACHE, 300);
    assert_ok(reservation_grow(&a, 600));
    assert_err(reservation_grow(&b, 301), ERR_NOMEM, "cache asks for 301");
    assert_ok(reservation_grow(&b, 300));
    assert_err(reservation_grow(&a, 101), ERR_NOMEM, "query 600, cache 300");
    assert_int_equal(governor_used(), 900);
    assert_ok(reservation_grow(&a, 100));
    assert_err(reservation_grow(&a, SIZE_MAX), ERR_NOMEM, "memory.budget");
    reservation_force(&b, 5000);
    assert_err(reservation_grow(&b, 0), ERR_NOMEM, "its limit is 300");
    assert_err(reservation_grow(&a, 1), ERR_NOMEM, "6000 of 1000");
    reservation_shrink(&b, 5000);
    assert_dies(reservation_shrink(&b, 301));
    reservation_release(&b);
    assert_ok(reservation_grow(&a, 300));
    reservation_release(&a);
    reservation_release(&a);
    assert_int_equal(governor_used_by(OWNER_QUERY), 0);
}

static void test_share(void **state)
{
    governor_set_budget(10000);
    governor_set_share(OWNER_INGEST, 250);
    assert_ok(governor_take(OWNER_INGEST, 2500));
    assert_err(governor_take(OWNER_INGEST, 1), ERR_NOMEM, "250 per mille");
    assert_ok(governor_take(OWNER_QUERY, 7500));
    governor_give(OWNER_QUERY, 7500);
    governor_give(OWNER_INGEST, 2500);
    governor_set_share(OWNER_INGEST, 1000);
    assert_ok(governor_take(OWNER_INGEST, 10000));
    governor_give(OWNER_INGEST, 10000);
    assert_dies(governor_give(OWNER_INGEST, 1));
}

static void test_no_budget_no_limit(void **state)
{
    assert_ok(governor_take(OWNER_OTHER, 1ULL << 50));
    governor_give(OWNER_OTHER, 1ULL << 50);
}

static void *take_and_give(void *arg)
{
    for (int i = 0; i < 20000; i++) {
        if (governor_take(OWNER_QUEUE, 40) == OK)
            governor_give(OWNER_QUEUE, 40);
    }
    return NULL;
}

static void test_many_threads_balance(void **state)
{
    pthread_t t[4];
    governor_set_budget(100);
    for (int i = 0; i < 4; i++)
        assert_ok(thread_start(&t[i], "taker", take_and_give, NULL));
    for (int i = 0; i < 4; i++)
        pthread_join(t[i], NULL);
    assert_int_equal(governor_used(), 0);
    assert_int_equal(governor_used_by(OWNER_QUEUE), 0);
}

static void test_names(void **state)
{
    for (int i = 0; i < OWNER_COUNT; i++)
        assert_non_null(governor_owner_name((enum owner)i));
    assert_dies(governor_owner_name(OWNER_COUNT));
}

static void test_blob(void **state)
{
    struct blob *b = blob_copy(STR("hello"), OWNER_QUEUE);
    assert_int_equal(governor_used_by(OWNER_QUEUE), 5);
    assert_ptr_equal(blob_ref(b), b);
    blob_unref(b);
    assert_str(b->bytes, "hello");
    blob_charge(b, OWNER_MEMTABLE);
    assert_int_equal(governor_used_by(OWNER_QUEUE), 0);
    assert_int_equal(governor_used_by(OWNER_MEMTABLE), 5);
    blob_unref(b);
    assert_int_equal(governor_used(), 0);
    blob_unref(NULL);
    b = blob_take(mem_zalloc(64), 64, OWNER_CACHE);
    assert_int_equal(governor_used_by(OWNER_CACHE), 64);
    blob_unref(b);
}

/* ---- the gate ---- */

struct guest {
    struct gate *gate;
    size_t bytes;
    atomic_bool in, leave;
};

static void *visit(void *arg)
{
    struct guest *g = arg;
    gate_enter(g->gate, OWNER_ENCODE, g->bytes);
    g->in = true;
    while (!g->leave)
        usleep(200);
    gate_leave(g->gate, OWNER_ENCODE, g->bytes);
    return NULL;
}

static uint64_t asked(struct gate *g)
{
    pthread_mutex_lock(&g->lock);
    uint64_t n = g->asked;
    pthread_mutex_unlock(&g->lock);
    return n;
}

/* As many bytes as fit, in the order of asking: a small one does not pass a large one that waits;
 * and one that is larger than all goes alone. */
static void test_gate(void **state)
{
    struct gate gate;
    gate_init(&gate, 100);
    struct guest g[4] = {{&gate, 60}, {&gate, 300}, {&gate, 10}, {&gate, 90}};
    pthread_t t[4];
    for (uint64_t i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&t[i], NULL, visit, &g[i]), 0);
        assert_soon(asked(&gate) == i + 1);
    }
    assert_soon(g[0].in);
    usleep(2000);
    assert_false(g[1].in || g[2].in || g[3].in);
    assert_int_equal(governor_used_by(OWNER_ENCODE), 60);
    g[0].leave = true;
    assert_soon(g[1].in);
    usleep(2000);
    assert_false(g[2].in || g[3].in);
    assert_int_equal(governor_used_by(OWNER_ENCODE), 300);
    g[1].leave = true;
    assert_soon(g[2].in && g[3].in); /* 10 and 90 fit together */
    g[2].leave = g[3].leave = true;
    for (int i = 0; i < 4; i++)
        pthread_join(t[i], NULL);
    assert_int_equal(governor_used_by(OWNER_ENCODE), 0);
    gate_release(&gate);
}

/* Long work lets in who waits, and waits for it; it goes on by itself where nobody does. */
static void test_gate_yield(void **state)
{
    struct gate gate;
    gate_init(&gate, 100);
    struct guest g = {&gate, 90};
    pthread_t t;
    gate_enter(&gate, OWNER_ENCODE, 60);
    gate_yield(&gate, OWNER_ENCODE, 60);
    assert_int_equal(governor_used_by(OWNER_ENCODE), 60);
    assert_int_equal(pthread_create(&t, NULL, visit, &g), 0);
    assert_soon(asked(&gate) == 2);
    usleep(2000);
    assert_false(g.in);
    g.leave = true;
    gate_yield(&gate, OWNER_ENCODE, 60);
    assert_true(g.in);
    pthread_join(t, NULL);
    assert_int_equal(governor_used_by(OWNER_ENCODE), 60);
    gate_leave(&gate, OWNER_ENCODE, 60);
    gate_release(&gate);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gate),
        cmocka_unit_test(test_gate_yield),
        cmocka_unit_test_teardown(test_budget, reset),
        cmocka_unit_test_teardown(test_share, reset),
        cmocka_unit_test_teardown(test_no_budget_no_limit, reset),
        cmocka_unit_test_teardown(test_many_threads_balance, reset),
        cmocka_unit_test_teardown(test_names, reset),
        cmocka_unit_test_teardown(test_blob, reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
