/* Landing once: keys and ids, claimed, settled, found again in memory, in the catalog and in
 * segments. */
#include "store_kit.h"

#include "store/landing.h"

#include <pthread.h>
#include <stdatomic.h>

static int setup(void **state)
{
    kit_begin(&k);
    k.ids = true;
    return 0;
}

static int teardown(void **state)
{
    kit_end(&k);
    return 0;
}

static struct hash128 hash_of(const char *text)
{
    return hash128(str_c(text));
}

/* ---- keys ---- */

static enum claim claim_key(const char *key, const char *payload, uint64_t *records)
{
    return store_claim_key(k.store, hash_of(key), hash_of(payload), records);
}

static void test_key_life(void **state)
{
    uint64_t records = 99;
    kit_open(&k);
    assert_int_equal(claim_key("a", "body", &records), CLAIM_NEW);
    assert_int_equal(claim_key("a", "body", &records), CLAIM_PENDING);
    assert_int_equal(claim_key("a", "other", &records), CLAIM_OTHER);
    store_settle_key(k.store, hash_of("a"), false, 0);
    assert_int_equal(claim_key("a", "other", &records), CLAIM_NEW);
    assert_int_equal(records, 99);
    store_settle_key(k.store, hash_of("a"), true, 7);
    assert_int_equal(claim_key("a", "other", &records), CLAIM_SEEN);
    assert_int_equal(records, 7);
    assert_int_equal(claim_key("a", "body", &records), CLAIM_OTHER);
    store_settle_key(k.store, hash_of("never claimed"), true, 1);
}

static void deliver_with_key(const char *key, const char *payload, uint32_t count)
{
    struct blob *frame = kit_frame(&k, &(struct kit_frame){.stream = STR("app"),
                                                           .first = k.n,
                                                           .count = count,
                                                           .arrival_ns = clock_now_ns(),
                                                           .key = hash_of(key),
                                                           .payload = hash_of(payload)});
    k.n += count;
    kit_deliver_frames(&k, &frame, 1);
}

static void test_key_survives_publishing(void **state)
{
    uint64_t records = 0;
    kit_open(&k);
    assert_int_equal(claim_key("a", "body", &records), CLAIM_NEW);
    deliver_with_key("a", "body", 5);
    assert_int_equal(claim_key("a", "body", &records), CLAIM_PENDING); /* not answered yet */
    store_settle_key(k.store, hash_of("a"), true, 6);
    assert_ok(store_flush(k.store));
    assert_int_equal(claim_key("a", "body", &records), CLAIM_SEEN);
    kit_reopen(&k);
    assert_int_equal(claim_key("a", "body", &records), CLAIM_SEEN);
    assert_int_equal(records, 6);
    assert_int_equal(claim_key("a", "other", &records), CLAIM_OTHER);
}

static void test_key_survives_replay(void **state)
{
    uint64_t records = 0;
    kit_open(&k);
    deliver_with_key("a", "body", 5); /* as a replay does: nobody claimed it */
    assert_int_equal(claim_key("a", "body", &records), CLAIM_SEEN);
    assert_int_equal(records, 5);
    assert_ok(store_flush(k.store));
    kit_reopen(&k);
    assert_int_equal(claim_key("a", "body", &records), CLAIM_SEEN);
    assert_int_equal(records, 5);
}

static void test_key_window(void **state)
{
    uint64_t records = 0;
    kit_open(&k);
    deliver_with_key("a", "body", 5);
    assert_ok(store_flush(k.store));
    clock_set_ns(KIT_T0 + NS_PER_DAY - NS_PER_S);
    assert_int_equal(claim_key("a", "body", &records), CLAIM_SEEN);
    clock_set_ns(KIT_T0 + NS_PER_DAY + 60 * NS_PER_S);
    assert_int_equal(claim_key("a", "body", &records), CLAIM_NEW);
    store_settle_key(k.store, hash_of("a"), true, 5);
    kit_reopen(&k);
    assert_int_equal(claim_key("a", "body", &records), CLAIM_NEW);
}

static void test_keys_are_bounded(void **state)
{
    struct landing *l = landing_new(NS_PER_DAY, 100);
    for (uint64_t i = 1; i <= 1000; i++) {
        struct frame_info info = {.key = {i, i}, .payload = {1, 1}, .arrival_ns = clock_now_ns()};
        landing_note_key(l, &info, 1);
    }
    struct arena a;
    struct catalog_key *key;
    size_t n;
    arena_init(&a, 0, NULL);
    landing_freeze(l, &a, &key, &n);
    assert_true(n >= 100 && n <= 101);
    assert_int_equal(key[n - 1].key.lo, 1000);
    landing_thaw(l, false);
    landing_freeze(l, &a, &key, &n);
    assert_true(n >= 100); /* not published: once more */
    landing_thaw(l, true);
    landing_freeze(l, &a, &key, &n);
    assert_int_equal(n, 0);
    landing_thaw(l, true);
    arena_release(&a);
    landing_free(l);
}

/* ---- ids ---- */

static enum claim claim_id(const char *stream, const char *id)
{
    enum claim c;
    assert_ok(store_claim_id(k.store, STR("default"), str_c(stream), str_c(id), &c));
    return c;
}

static void settle_id(const char *stream, const char *id, bool landed)
{
    store_settle_id(k.store, STR("default"), str_c(stream), str_c(id), landed);
}

static void test_id_life(void **state)
{
    kit_open(&k);
    assert_int_equal(claim_id("app", "x"), CLAIM_NEW);
    assert_int_equal(claim_id("app", "x"), CLAIM_PENDING);
    assert_int_equal(claim_id("nginx", "x"), CLAIM_NEW);
    settle_id("app", "x", false);
    assert_int_equal(claim_id("app", "x"), CLAIM_NEW);
    settle_id("app", "x", true);
    assert_int_equal(claim_id("app", "x"), CLAIM_SEEN);
    assert_int_equal(claim_id("nginx", "x"), CLAIM_PENDING);
}

static void assert_ids_seen(uint64_t n)
{
    for (uint64_t i = 0; i < n; i += 37) {
        char id[32];
        snprintf(id, sizeof(id), "id-%llu", (unsigned long long)i);
        assert_int_equal(claim_id(kit_stream(i).p, id), CLAIM_SEEN);
    }
    assert_int_equal(claim_id("app", "id-no"), CLAIM_NEW);
    settle_id("app", "id-no", false);
    assert_int_equal(claim_id("app", "id-10000000"), CLAIM_NEW);
    settle_id("app", "id-10000000", false);
    assert_int_equal(claim_id("nginx", "id-0"), CLAIM_NEW); /* it is app's */
    settle_id("nginx", "id-0", false);
}

/* Replayed, flushed, merged, opened again: every id is found, no other. */
static void test_ids_through_their_life(void **state)
{
    kit_open(&k);
    for (int i = 0; i < 8; i++)
        kit_deliver(&k, 150);
    assert_ids_seen(k.n);
    kit_close(&k);
    k.position = 1;
    k.n = 0;
    kit_open(&k);
    for (int i = 0; i < 8; i++) {
        kit_deliver(&k, 150);
        if (i % 3 == 2)
            assert_ok(store_flush(k.store));
    }
    assert_ids_seen(k.n);
    assert_ok(store_flush(k.store));
    assert_ids_seen(k.n);
    assert_ok(store_compact(k.store, true));
    assert_ids_seen(k.n);
    kit_reopen(&k);
    assert_ids_seen(k.n);
    kit_check(&k);
}

static void test_id_window(void **state)
{
    kit_open(&k);
    kit_deliver(&k, 7);
    assert_ok(store_flush(k.store));
    clock_set_ns(KIT_T0 + 2 * NS_PER_DAY);
    assert_int_equal(claim_id("app", "id-3"), CLAIM_NEW);
}

static void test_ids_max(void **state)
{
    k.o.ids_max = 5;
    kit_open(&k);
    kit_deliver(&k, 7); /* app */
    assert_ok(store_flush(k.store));
    k.n = 21; /* app again */
    kit_deliver(&k, 7);
    assert_ok(store_flush(k.store));
    assert_int_equal(claim_id("app", "id-22"), CLAIM_SEEN);
    assert_int_equal(claim_id("app", "id-3"), CLAIM_NEW); /* beyond the newest 5 ids */
}

/* `_id` goes before `log_id`, integers count by their text. */
static void test_which_id(void **state)
{
    struct batch *b = batch_new();
    struct buf out;
    const struct {
        const char *id, *other;
    } rec[] = {{"both", "shadowed"}, {NULL, "alone"}, {"one", NULL}};
    for (size_t i = 0; i < 3; i++) {
        batch_begin(b);
        if (rec[i].other)
            batch_text(b, STR("log_id"), LANE_STR, str_c(rec[i].other));
        if (rec[i].id)
            batch_text(b, STR("_id"), LANE_STR, str_c(rec[i].id));
        batch_end(b, KIT_T0, STR("{}"));
    }
    batch_begin(b);
    batch_int(b, STR("log_id"), -42);
    batch_end(b, KIT_T0, STR("{}"));
    struct frame_info info = {
        .org = STR("default"), .stream = STR("app"), .parts = 1, .arrival_ns = KIT_T0};
    buf_init(&out, 1 << 20);
    assert_ok(frame_encode(b, &info, &out));
    batch_free(b);
    struct blob *frame = blob_take(out.p, out.n, OWNER_QUEUE);
    kit_open(&k);
    kit_deliver_frames(&k, &frame, 1);
    for (int stage = 0; stage < 2; stage++) {
        assert_int_equal(claim_id("app", "both"), CLAIM_SEEN);
        assert_int_equal(claim_id("app", "alone"), CLAIM_SEEN);
        assert_int_equal(claim_id("app", "one"), CLAIM_SEEN);
        assert_int_equal(claim_id("app", "-42"), CLAIM_SEEN);
        assert_int_equal(claim_id("app", "42"), CLAIM_NEW);
        settle_id("app", "42", false);
        assert_int_equal(claim_id("app", "shadowed"), CLAIM_NEW);
        settle_id("app", "shadowed", false);
        assert_ok(store_flush(k.store));
    }
}

/* ---- many at once ---- */

#define CONTENDED 600

struct contest {
    pthread_mutex_t lock; /* the queue's thread, so to say */
    _Atomic unsigned wins[CONTENDED];
    _Atomic bool failed;
};
static struct contest contest;

static void land(uint64_t n)
{
    pthread_mutex_lock(&contest.lock);
    struct blob *frame =
        kit_frame(&k, &(struct kit_frame){.stream = STR("app"), .first = n, .count = 1});
    kit_deliver_frames(&k, &frame, 1);
    pthread_mutex_unlock(&contest.lock);
}

static void *contender_main(void *arg)
{
    for (int round = 0; round < 3; round++)
        for (uint64_t i = 0; i < CONTENDED; i++) {
            uint64_t n = (i * 7 + (uintptr_t)arg * 13) % CONTENDED;
            char id[32];
            snprintf(id, sizeof(id), "id-%llu", (unsigned long long)n);
            enum claim c;
            if (store_claim_id(k.store, STR("default"), STR("app"), str_c(id), &c) != OK)
                contest.failed = true;
            else if (c == CLAIM_NEW) {
                contest.wins[n]++;
                land(n);
                settle_id("app", id, true);
            }
        }
    return NULL;
}

static void test_contended_ids_land_once(void **state)
{
    pthread_t thread[3];
    kit_open(&k);
    memset(&contest, 0, sizeof(contest));
    pthread_mutex_init(&contest.lock, NULL);
    for (uintptr_t i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, contender_main, (void *)i), 0);
    for (int i = 0; i < 30; i++) {
        assert_ok(store_flush(k.store));
        if (i % 10 == 9)
            assert_ok(store_compact(k.store, false));
        clock_sleep_ms(5);
    }
    for (size_t i = 0; i < 3; i++)
        pthread_join(thread[i], NULL);
    assert_false(contest.failed);
    for (size_t i = 0; i < CONTENDED; i++)
        assert_int_equal(contest.wins[i], 1);
    pthread_mutex_destroy(&contest.lock);
}

static void test_id_set(void **state)
{
    struct id_set s = {NULL, 0, 0};
    bool there[512] = {false};
    size_t n = 0;
    for (uint64_t i = 0; i < 20000; i++) {
        uint64_t r = hash_mix(i), v = r % 512;
        struct hash128 h = {hash_mix(v) & ~0x3ffull, v + 1}; /* homes collide */
        bool had = there[v];
        assert_int_equal(id_set_has(&s, h), had);
        if (r >> 60 & 1) {
            assert_int_equal(id_set_add(&s, h), !had);
            there[v] = true;
        } else {
            assert_int_equal(id_set_remove(&s, h), had);
            there[v] = false;
        }
        n += there[v] - had;
        assert_int_equal(s.n, n);
    }
    id_set_release(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_key_life, setup, teardown),
        cmocka_unit_test_setup_teardown(test_key_survives_publishing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_key_survives_replay, setup, teardown),
        cmocka_unit_test_setup_teardown(test_key_window, setup, teardown),
        cmocka_unit_test(test_keys_are_bounded),
        cmocka_unit_test_setup_teardown(test_id_life, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ids_through_their_life, setup, teardown),
        cmocka_unit_test_setup_teardown(test_id_window, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ids_max, setup, teardown),
        cmocka_unit_test_setup_teardown(test_which_id, setup, teardown),
        cmocka_unit_test_setup_teardown(test_contended_ids_land_once, setup, teardown),
        cmocka_unit_test(test_id_set),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
