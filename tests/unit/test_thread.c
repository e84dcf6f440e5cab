#include "core/clock.h"
#include "core/mem.h"
#include "core/thread.h"
#include "test.h"

#include <stdatomic.h>

static void *name_of(void *arg)
{
    sigset_t blocked;
    pthread_sigmask(SIG_BLOCK, NULL, &blocked);
    assert_true(sigismember(&blocked, SIGTERM));
    pthread_getname_np(pthread_self(), arg, 16);
    return arg;
}

static void test_thread_name_and_signals(void **state)
{
    pthread_t t;
    char name[16] = "";
    assert_ok(thread_start(&t, "a-name-that-is-too-long", name_of, name));
    void *result;
    pthread_join(t, &result);
    assert_ptr_equal(result, name);
    assert_string_equal(name, "a-name-that-is-");
    sigset_t blocked;
    pthread_sigmask(SIG_BLOCK, NULL, &blocked);
    assert_false(sigismember(&blocked, SIGTERM));
    assert_true(thread_cpus() >= 1);
}

static void test_cond_deadline(void **state)
{
    pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
    pthread_cond_t c;
    cond_init(&c);
    pthread_mutex_lock(&m);
    int64_t start = clock_mono_ns();
    while (cond_wait_until(&c, &m, start + 20 * NS_PER_MS))
        ; /* spurious */
    assert_true(clock_mono_ns() >= start + 20 * NS_PER_MS);
    assert_false(cond_wait_until(&c, &m, -5));
    int64_t deadline = clock_mono_ns() + 3600 * NS_PER_S;
    clock_skip_ns(3600 * NS_PER_S);
    assert_true(clock_mono_ns() >= deadline);
    while (cond_wait_until(&c, &m, deadline)) /* over at once */
        ;
    while (cond_wait_until(&c, &m, clock_mono_ns() + 5 * NS_PER_MS)) /* and waits still end */
        ;
    pthread_mutex_unlock(&m);
    pthread_cond_destroy(&c);
}

static _Atomic int done;
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;

static void job(void *arg)
{
    pthread_mutex_lock(&gate);
    pthread_mutex_unlock(&gate);
    done++;
}

static int next_expected;
static void in_order(void *arg)
{
    assert_int_equal((int)(intptr_t)arg, next_expected);
    next_expected++;
}

static void test_pool_is_bounded_and_finishes(void **state)
{
    struct pool *p = pool_new("worker", 1, 40);
    pthread_mutex_lock(&gate);
    assert_ok(pool_submit(p, job, NULL));
    while (pool_waiting(p)) /* until the worker holds the first */
        clock_sleep_ms(1);
    for (int i = 0; i < 40; i++)
        assert_ok(pool_submit(p, job, NULL));
    assert_err(pool_submit(p, job, NULL), ERR_UNAVAILABLE, "worker: 40 jobs wait");
    assert_int_equal(pool_waiting(p), 40);
    pthread_mutex_unlock(&gate);
    pool_free(p);
    assert_int_equal(done, 41);
    pool_free(NULL);
}

static void test_pool_keeps_order(void **state)
{
    struct pool *p = pool_new("order", 1, 1000);
    for (int i = 0; i < 500; i++)
        assert_ok(pool_submit(p, in_order, (void *)(intptr_t)i));
    pool_free(p);
    assert_int_equal(next_expected, 500);
}

static void test_pool_spare_threads(void **state)
{
    done = 0;
    struct pool *p = pool_new_spare("spare", 1, 1, 2, 40);
    pthread_mutex_lock(&gate);
    assert_ok(pool_submit(p, job, NULL));
    while (pool_waiting(p)) /* the first thread holds it */
        clock_sleep_ms(1);
    for (int i = 0; i < 2; i++)
        assert_ok(pool_submit(p, job, NULL));
    clock_sleep_ms(20);
    assert_int_equal(pool_waiting(p), 2); /* none of the spare one's yet */
    assert_ok(pool_submit(p, job, NULL));
    while (pool_waiting(p) > 2) /* until it helps */
        clock_sleep_ms(1);
    pthread_mutex_unlock(&gate);
    pool_free(p);
    assert_int_equal(done, 4);
}

static void test_pool_default_size(void **state)
{
    done = 0;
    struct pool *p = pool_new("cpus", 0, 10);
    assert_ok(pool_submit(p, job, NULL));
    pool_free(p);
    assert_int_equal(done, 1);
    assert_dies(pool_new("none", 1, 0));
}

static _Atomic unsigned made, freed;

static void *own_make(void)
{
    made++;
    return NEW(unsigned);
}

static void own_free(void *p)
{
    freed++;
    mem_free(p);
}

static struct thread_own counters = THREAD_OWN(own_make, own_free);

static void *count_up(void *arg)
{
    for (int i = 0; i < 1000; i++)
        ++*(unsigned *)thread_own(&counters);
    return (void *)(uintptr_t) * (unsigned *)thread_own(&counters);
}

/* Each thread has its own, made once, and it goes with the thread. */
static void test_own(void **state)
{
    pthread_t t[4];
    for (int i = 0; i < 4; i++)
        assert_ok(thread_start(&t[i], "own", count_up, NULL));
    for (int i = 0; i < 4; i++) {
        void *count;
        pthread_join(t[i], &count);
        assert_int_equal((uintptr_t)count, 1000);
    }
    assert_int_equal(made, 4);
    assert_int_equal(freed, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_own),
        cmocka_unit_test(test_thread_name_and_signals),
        cmocka_unit_test(test_cond_deadline),
        cmocka_unit_test(test_pool_is_bounded_and_finishes),
        cmocka_unit_test(test_pool_keeps_order),
        cmocka_unit_test(test_pool_spare_threads),
        cmocka_unit_test(test_pool_default_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
