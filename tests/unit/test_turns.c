/* Turns of long searches: never more at a time than there are, in the order of asking; and who
 * waits for a client has none. */
#include "core/thread.h"
#include "query/query.h"
#include "query/turns.h"
#include "store_kit.h"

#include <sched.h>

enum { TURNS = 3, THREADS = 12, ROUNDS = 2000 };

struct crowd {
    struct turns *turns;
    _Atomic int inside, most;
    _Atomic uint64_t taken;
};

static void *crowd_main(void *arg)
{
    struct crowd *c = arg;
    for (int i = 0; i < ROUNDS; i++) {
        turns_take(c->turns);
        int now = ++c->inside, most = c->most;
        while (now > most && !atomic_compare_exchange_weak(&c->most, &most, now))
            ;
        c->taken++;
        while (!i && c->most < TURNS) /* others come in as well */
            sched_yield();
        if (i % 7 == 0)
            sched_yield();
        c->inside--;
        turns_give(c->turns);
    }
    return NULL;
}

static void test_no_more_than_there_are(void **state)
{
    struct crowd c = {.turns = turns_new(TURNS)};
    pthread_t thread[THREADS];
    for (int i = 0; i < THREADS; i++)
        assert_ok(thread_start(&thread[i], "crowd", crowd_main, &c));
    for (int i = 0; i < THREADS; i++)
        pthread_join(thread[i], NULL);
    assert_int_equal(c.taken, THREADS * ROUNDS);
    assert_int_equal(c.most, TURNS);
    for (int i = 0; i < TURNS; i++)
        turns_take(c.turns); /* all came back */
    turns_free(c.turns);
}

struct asker {
    struct turns *turns;
    int *order, *n;
    int me;
    pthread_t thread;
};

static void *asker_main(void *arg)
{
    struct asker *a = arg;
    turns_take(a->turns);
    a->order[(*a->n)++] = a->me;
    turns_give(a->turns);
    return NULL;
}

static void test_in_order(void **state)
{
    struct turns *turns = turns_new(1);
    struct asker asker[6];
    int order[6], n = 0;
    turns_take(turns);
    for (int i = 0; i < 6; i++) {
        asker[i] = (struct asker){.turns = turns, .order = order, .n = &n, .me = i};
        assert_ok(thread_start(&asker[i].thread, "asker", asker_main, &asker[i]));
        while (turns_waiting(turns) <= (unsigned)i)
            sched_yield();
    }
    turns_give(turns);
    for (int i = 0; i < 6; i++)
        pthread_join(asker[i].thread, NULL);
    for (int i = 0; i < 6; i++)
        assert_int_equal(order[i], i);
    turns_free(turns);
}

/* ---- clients that do not read ---- */

struct client {
    struct query_engine *engine;
    _Atomic uint32_t writes;
    _Atomic bool waits, may_go;
    enum err err;
    pthread_t thread;
};

static enum err write_until_full(void *ctx, struct str bytes)
{
    struct client *c = ctx;
    c->waits = ++c->writes >= 40;
    while (c->waits && !c->may_go)
        clock_sleep_ms(1);
    return OK;
}

static void *client_main(void *arg)
{
    struct client *c = arg;
    struct query_sink sink = {c, write_until_full};
    struct query_meta meta;
    struct query_request q = {
        .org = STR("default"), .q = STR("*"), .from = INT64_MIN, .to = INT64_MAX, .now_ns = KIT_T0};
    c->err = query_run(c->engine, &q, &sink, &meta);
    return NULL;
}

static enum err take(void *ctx, struct str bytes)
{
    buf_put_str(ctx, bytes);
    return OK;
}

static void test_clients_that_do_not_read(void **state)
{
    struct client client[4];
    struct query_engine *engine;
    kit_begin(&k);
    k.o.retention_ns = 0;
    k.o.block_rows = 1000;
    kit_open(&k);
    struct query_engine_options o = {
        .store = k.store, .threads = 2, .query_memory = 64 << 20, .deadline_ns = 600 * NS_PER_S};
    assert_ok(query_engine_new(&o, &engine));
    for (int i = 0; i < 60; i++)
        kit_deliver(&k, 1000);
    assert_ok(store_flush(k.store));
    for (int i = 0; i < 4; i++) {
        client[i] = (struct client){.engine = engine};
        assert_ok(thread_start(&client[i].thread, "client", client_main, &client[i]));
    }
    for (int i = 0; i < 4; i++)
        while (!client[i].waits)
            clock_sleep_ms(1);
    struct buf out;
    buf_init(&out, SIZE_MAX);
    struct query_sink sink = {&out, take};
    struct query_meta meta;
    struct query_request q = {.org = STR("default"),
                              .q = STR("* | stats distinct(n) as n, count(msg) as m by stream, n"),
                              .pipes = STR(""),
                              .from = INT64_MIN,
                              .to = INT64_MAX,
                              .now_ns = KIT_T0,
                              .nocache = true};
    assert_ok(query_run(engine, &q, &sink, &meta));
    assert_int_equal(meta.rows_matched, k.n);
    buf_release(&out);
    for (int i = 0; i < 4; i++)
        client[i].may_go = true;
    for (int i = 0; i < 4; i++) {
        pthread_join(client[i].thread, NULL);
        assert_ok(client[i].err);
    }
    query_engine_free(engine);
    kit_end(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_more_than_there_are),
        cmocka_unit_test(test_in_order),
        cmocka_unit_test(test_clients_that_do_not_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
