/* What is kept of blocks, while many ask for it at once: each block is read once for all of them, a
 * search that fails or leaves costs the others nothing, cuts and merges cost nothing either, and an
 * answer is exact at any instant. What is kept as such is tests/integration/test_kept.py's. */
#include "core/metrics.h"
#include "query/flight.h"
#include "query/partial.h"
#include "query/run.h"
#include "store_kit.h"

#include <stdio.h>
#include <string.h>

enum { CLIENTS = 16, BLOCKS = 12 };
#define QUESTION "msg:request | stats count() as n, sum(n) as s, min(n) as low, max(n) as high"

static struct query_engine *engine;

static int64_t counted(const char *name, const char *labels)
{
    return metric_get(metric_counter(name, labels, "h"));
}

static int64_t misses(void)
{
    return counted("weir_query_kept_blocks_total", "result=\"miss\"");
}

static int64_t made_ahead(void)
{
    return counted("weir_query_kept_ahead_total", NULL);
}

static int setup_rows(uint32_t block_rows)
{
    kit_begin(&k);
    k.o.retention_ns = 0;
    k.o.block_rows = block_rows;
    kit_open(&k);
    struct query_engine_options o = {
        .store = k.store, .threads = 2, .query_memory = 64 << 20, .deadline_ns = 600 * NS_PER_S};
    assert_ok(query_engine_new(&o, &engine));
    return 0;
}

static int setup(void **state)
{
    return setup_rows(200);
}

static int setup_large_blocks(void **state)
{
    return setup_rows(12000);
}

static int teardown(void **state)
{
    query_engine_free(engine);
    kit_end(&k);
    return 0;
}

/* One client: a search, its answer, how it ended. */
struct client {
    struct query_request request;
    struct query_meta meta;
    struct buf out;
    enum err err;
    pthread_t thread;
};

static enum err take(void *ctx, struct str bytes)
{
    buf_put_str(ctx, bytes);
    return OK;
}

static void *client_main(void *arg)
{
    struct client *c = arg;
    struct query_sink sink = {&c->out, take};
    c->err = query_run(engine, &c->request, &sink, &c->meta);
    return NULL;
}

static void client_init(struct client *c, const char *q)
{
    *c = (struct client){.request = {.org = STR("default"),
                                     .q = str_c(q),
                                     .from = INT64_MIN,
                                     .to = INT64_MAX,
                                     .now_ns = KIT_T0}};
    buf_init(&c->out, SIZE_MAX);
}

static void ask(struct client *c, const char *q)
{
    client_init(c, q);
    client_main(c);
    assert_ok(c->err);
}

static void client_start(struct client *c, const char *q)
{
    client_init(c, q);
    assert_ok(thread_start(&c->thread, "client", client_main, c));
}

static void client_end(struct client *c)
{
    pthread_join(c->thread, NULL);
}

/* The records 0 .. n-1, as QUESTION answers; all of them were delivered in order. */
static void expect(struct client *c, uint64_t n)
{
    char want[160];
    snprintf(want, sizeof(want), "{\"n\":%llu,\"s\":%llu,\"low\":0,\"high\":%llu}\n",
             (unsigned long long)n, (unsigned long long)(n * (n - 1) / 2),
             (unsigned long long)(n - 1));
    assert_str(buf_str(&c->out), want);
    assert_int_equal(c->meta.rows_matched, n);
    buf_release(&c->out);
}

static void fill(uint32_t blocks)
{
    for (uint32_t i = 0; i < blocks * KIT_STREAMS; i++)
        kit_deliver(&k, k.o.block_rows);
}

static size_t blocks_now(void)
{
    size_t n;
    struct snapshot *s = kit_snapshot(&k);
    (void)snapshot_blocks(s, &n);
    snapshot_close(s);
    return n;
}

/* ---- equal searches at a time ---- */

static void test_once_for_all(void **state)
{
    struct client client[CLIENTS];
    fill(BLOCKS);
    assert_ok(store_flush(k.store));
    size_t blocks = blocks_now();
    assert_true(blocks >= BLOCKS);
    int64_t before = misses();
    for (int i = 0; i < CLIENTS; i++)
        client_start(&client[i], QUESTION);
    for (int i = 0; i < CLIENTS; i++) {
        client_end(&client[i]);
        assert_ok(client[i].err);
        expect(&client[i], k.n);
    }
    assert_int_equal(misses() - before, blocks);
}

/* Where the answer of the newest block is kept. */
static struct chunk_key first_place(const char *q)
{
    struct client c;
    struct arena a;
    struct scan s;
    struct buf key;
    const struct filter *filter;
    const struct pipe *pipe;
    client_init(&c, q);
    arena_init(&a, 0, NULL);
    buf_init(&key, 1 << 20);
    assert_ok(query_stats_plan(&c.request, &a, &filter, &pipe));
    assert_ok(scan_open(engine, &c.request, filter, &a, &s));
    assert_true(partial_key(&s, pipe, &key));
    struct chunk_key at = partial_place(s.block[0], buf_str(&key));
    scan_close(&s);
    buf_release(&key);
    arena_release(&a);
    return at;
}

/* Somebody is at the block and never comes back with an answer: who waits for it can leave, runs
 * into its deadline, or, once the other has given up, does the work. */
static void test_who_waits(void **state)
{
    struct client left, late, patient, other;
    _Atomic bool canceled = false;
    fill(BLOCKS);
    assert_ok(store_flush(k.store));
    struct chunk_key at = first_place(QUESTION);
    assert_true(flight_begin(&at));
    client_init(&left, QUESTION);
    left.request.canceled = &canceled;
    assert_ok(thread_start(&left.thread, "left", client_main, &left));
    client_init(&late, QUESTION);
    late.request.deadline_ns = 50 * NS_PER_MS;
    assert_ok(thread_start(&late.thread, "late", client_main, &late));
    client_start(&patient, QUESTION);
    ask(&other, "msg:request | stats count() as n"); /* another question does not wait */
    assert_int_equal(other.meta.rows_matched, k.n);
    buf_release(&other.out);
    client_end(&late);
    assert_int_equal(late.err, ERR_TIMEOUT);
    canceled = true;
    client_end(&left);
    assert_int_equal(left.err, ERR_CANCELED);
    assert_false(flight_begin(&at)); /* the patient one did not take it away */
    flight_end(&at);
    client_end(&patient);
    assert_ok(patient.err);
    expect(&patient, k.n);
    buf_release(&left.out);
    buf_release(&late.out);
}

/* Half of the clients leave at once, some of them while others wait for what they are at. */
static void test_who_leaves(void **state)
{
    struct client client[CLIENTS];
    _Atomic bool canceled[CLIENTS] = {false};
    for (int round = 0; round < 8; round++) {
        fill(2);
        for (int i = 0; i < CLIENTS; i++) {
            client_init(&client[i], QUESTION);
            client[i].request.canceled = &canceled[i];
            canceled[i] = false;
            assert_ok(thread_start(&client[i].thread, "client", client_main, &client[i]));
        }
        for (int i = 0; i < CLIENTS; i += 2)
            canceled[i] = true;
        for (int i = 0; i < CLIENTS; i++) {
            client_end(&client[i]);
            assert_true(client[i].err == OK || (i % 2 == 0 && client[i].err == ERR_CANCELED));
            if (client[i].err == OK)
                expect(&client[i], k.n);
            else
                buf_release(&client[i].out);
        }
    }
}

static void test_many_flights(void **state)
{
    struct chunk_key at = {1, 0, 0};
    for (at.offset = 0; at.offset < 1000; at.offset++)
        assert_true(flight_begin(&at)); /* beyond the bound, work is done twice */
    at.offset = 7;
    assert_false(flight_begin(&at));
    assert_false(flight_wait(&at, clock_mono_ns() + NS_PER_MS));
    for (at.offset = 0; at.offset < 1000; at.offset++)
        flight_end(&at);
    at.offset = 7;
    assert_true(flight_wait(&at, clock_mono_ns()));
    assert_true(flight_begin(&at));
    flight_end(&at);
}

/* ---- ranges that slide ---- */

static void ask_from(struct client *c, int64_t from, bool nocache)
{
    client_init(c,
                "msg:request | stats count() as n, sum(n) as s, first(n) as low, max(n) as high");
    c->request.from = from;
    c->request.stream = STR("app");
    c->request.nocache = nocache;
    client_main(c);
    assert_ok(c->err);
}

static void expect_same(const struct client *c, int64_t from)
{
    struct client plain;
    ask_from(&plain, from, true);
    buf_put_byte(&plain.out, 0);
    assert_str(buf_str(&c->out), plain.out.p);
    assert_int_equal(c->meta.rows_matched, plain.meta.rows_matched);
    buf_release(&plain.out);
}

/* A range cuts a block a stream, always between the same two times: after some searches, the blocks
 * are not read any more. */
static void test_edges(void **state)
{
    struct client c;
    for (int i = 0; i < 2; i++)
        kit_deliver(&k, 30000); /* a block a stream, whenever they are encoded */
    assert_ok(store_flush(k.store));
    for (int i = 0; i < 30; i++) {
        int64_t from = kit_time(&k, 9000) + i * 30 * NS_PER_MS;
        ask_from(&c, from, false);
        assert_true(i < 8 || c.meta.blocks_scanned == 0);
        expect_same(&c, from);
        buf_release(&c.out);
    }
}

static uint64_t looked_up(void)
{
    struct chunk_cache_stats s;
    chunk_cache_stats(&s);
    return s.hits + s.misses;
}

static int time_cmp(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

/* The oldest block leaves the range, again and again: of the others, answers of runs are merged. */
static void test_runs(void **state)
{
    enum { MANY = 120 };
    struct client c;
    int64_t begin[4 * MANY];
    uint32_t blocks = 0;
    size_t n;
    fill(MANY);
    assert_ok(store_flush(k.store));
    struct snapshot *s = kit_snapshot(&k);
    const struct block_ref *block = snapshot_blocks(s, &n);
    for (size_t i = 0; i < n; i++)
        if (str_eq_c(block[i].stream, "app"))
            begin[blocks++] = block[i].time_min;
    assert_true(blocks >= MANY);
    snapshot_close(s);
    qsort(begin, blocks, sizeof(*begin), time_cmp);
    ask_from(&c, begin[0], false);
    buf_release(&c.out);
    int64_t before = misses();
    for (uint32_t i = 1; i < blocks; i++) {
        uint64_t looks = looked_up();
        ask_from(&c, begin[i], false);
        looks = looked_up() - looks;
        assert_true(i == 1 || looks < blocks / 2); /* the first makes them */
        expect_same(&c, begin[i]);
        buf_release(&c.out);
    }
    assert_int_equal(misses() - before, 0);
}

/* ---- cuts and merges ---- */

static void test_a_cut_costs_nothing(void **state)
{
    struct client c;
    fill(BLOCKS);
    ask(&c, QUESTION);
    expect(&c, k.n);
    ask(&c, "msg:request | stats p50(n) by stream");
    buf_release(&c.out);
    assert_ok(store_flush(k.store)); /* what was not sealed is now */
    ask(&c, QUESTION);
    expect(&c, k.n);
    int64_t before = misses();
    kit_deliver(&k, 10);
    assert_ok(store_flush(k.store));
    ask(&c, QUESTION);
    expect(&c, k.n);
    assert_true(misses() - before <= 3); /* a new block a stream */
}

static void test_a_merge_costs_nothing(void **state)
{
    struct client c;
    const char *const asked[] = {QUESTION, "msg:took | stats max(n), distinct(slow) by slow",
                                 "slow:* | timechart count() by slow"};
    struct buf want[3];
    for (int round = 0; round < 4; round++) {
        fill(BLOCKS / 4);
        assert_ok(store_flush(k.store));
    }
    ask(&c, "msg:from | stats sum(n) as s"); /* once only: not worth it */
    buf_release(&c.out);
    for (int i = 0; i < 3; i++) {
        ask(&c, asked[i]);
        buf_release(&c.out);
        ask(&c, asked[i]);
        buf_put_byte(&c.out, 0);
        want[i] = c.out;
    }
    int64_t ahead = made_ahead(), before = misses();
    assert_ok(store_compact(k.store, true));
    size_t blocks = blocks_now();
    assert_int_equal(kit_files(&k).n, 1);
    assert_int_equal(made_ahead() - ahead, 3 * blocks);
    for (int i = 0; i < 3; i++) {
        ask(&c, asked[i]);
        assert_str(buf_str(&c.out), want[i].p);
        c.request.nocache = true;
        buf_clear(&c.out);
        client_main(&c);
        assert_str(buf_str(&c.out), want[i].p);
        buf_release(&c.out);
        buf_release(&want[i]);
    }
    assert_int_equal(misses() - before, 0);
    ask(&c, "msg:from | stats sum(n) as s");
    buf_release(&c.out);
    assert_int_equal(misses() - before, blocks);
}

/* Much is read meanwhile: what is kept stays. */
static void test_chunks_leave_answers_alone(void **state)
{
    struct chunk_key kept = {77, 0, CHUNK_KEY_KEPT | 1}, chunk = {78, 0, 0};
    for (uint64_t i = 0; i <= 200; i++) {
        struct blob *b = blob_take(mem_alloc(1 << 20), 1 << 20, OWNER_CACHE);
        chunk.offset = i;
        chunk_cache_put(i ? &chunk : &kept, b);
        blob_unref(b);
    }
    struct blob *b = chunk_cache_get(&kept);
    assert_non_null(b);
    blob_unref(b);
    chunk.offset = 1;
    assert_null(chunk_cache_get(&chunk));
    chunk_cache_drop(77);
    assert_null(chunk_cache_get(&kept));
    chunk_cache_drop(78);
}

/* ---- exact at any instant ---- */

struct reading {
    _Atomic bool stop;
    _Atomic uint64_t answers;
};

/* Records are delivered in order, and deletions take days from the front: whatever instant a search
 * sees, the numbers are those from `low` to `high`. */
static void *read_main(void *arg)
{
    struct reading *r = arg;
    while (!r->stop) {
        unsigned long long n, s, low, high;
        struct client c;
        ask(&c, QUESTION);
        assert_true(c.meta.complete);
        if (buf_str(&c.out).n > 40) {
            buf_put_byte(&c.out, '\0');
            assert_int_equal(sscanf(c.out.p, "{\"n\":%llu,\"s\":%llu,\"low\":%llu,\"high\":%llu}",
                                    &n, &s, &low, &high),
                             4);
            assert_int_equal(n, high - low + 1);
            assert_int_equal(s, (low + high) * n / 2);
        }
        buf_release(&c.out);
        r->answers++;
    }
    return NULL;
}

static void test_exact_at_any_instant(void **state)
{
    struct reading reading = {.stop = false};
    pthread_t reader[CLIENTS / 2];
    k.step_ns = 20 * NS_PER_S; /* some days in all */
    kit_deliver(&k, 100);
    for (int i = 0; i < CLIENTS / 2; i++)
        assert_ok(thread_start(&reader[i], "reader", read_main, &reading));
    for (int round = 0; round < 40; round++) {
        uint64_t freed;
        kit_deliver(&k, 500);
        if (round % 3 == 2)
            assert_ok(store_flush(k.store));
        if (round % 8 == 7)
            assert_ok(store_compact(k.store, round % 16 == 15));
        if (round % 10 == 9) {
            clock_set_ns(kit_time(&k, k.n));
            store_set_limits(k.store, 2 * NS_PER_DAY, 0);
            assert_ok(store_expire(k.store, &freed));
        }
        uint64_t enough = reading.answers + 4;
        while (reading.answers < enough)
            sched_yield();
    }
    reading.stop = true;
    for (int i = 0; i < CLIENTS / 2; i++)
        pthread_join(reader[i], NULL);
    assert_true(kit_stats(&k).merges > 0);
    assert_true(kit_stats(&k).expired_segments > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_once_for_all, setup, teardown),
        cmocka_unit_test_setup_teardown(test_who_waits, setup, teardown),
        cmocka_unit_test_setup_teardown(test_who_leaves, setup, teardown),
        cmocka_unit_test(test_many_flights),
        cmocka_unit_test_setup_teardown(test_edges, setup_large_blocks, teardown),
        cmocka_unit_test_setup_teardown(test_runs, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_cut_costs_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_merge_costs_nothing, setup, teardown),
        cmocka_unit_test(test_chunks_leave_answers_alone),
        cmocka_unit_test_setup_teardown(test_exact_at_any_instant, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
