/* The store, the disk queue and the catalog under faults.
 *
 * Crashes: a child appends bodies, flushes and merges, and dies at the Nth I/O call, losing what
 * was not synced; the parent opens what is left, replays, and finds every acknowledged body exactly
 * once and no body in part. N walks over the whole run. Errors: the Nth call fails (full disk, I/O
 * error, failed sync); the store goes on, loses nothing and recovers when the disk does. */
#include "store_kit.h"

#include "core/fault.h"
#include "core/thread.h"
#include "queue/queue.h"

#include <sys/mman.h>
#include <sys/time.h>

#define BODIES 14
#define BODY_RECORDS 21
#define CRASHES 60 /* spread over the calls of a run */

/* What the child tells the parent, whatever happens to it. */
struct told {
    _Atomic bool acked[BODIES];
    _Atomic uint64_t calls;
    _Atomic bool finished;
};
static struct told *told;

static int setup(void **state)
{
    kit_begin(&k);
    k.pad = 1800; /* so that the queue has several files, and trims them */
    log_set_level(LOG_ERROR + 1);
    told = mmap(NULL, sizeof(*told), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(told != MAP_FAILED);
    return 0;
}

static int teardown(void **state)
{
    fault_set(NULL);
    munmap(told, sizeof(*told));
    kit_end(&k);
    log_set_level(LOG_ERROR);
    return 0;
}

/* ---- the real queue before the store ---- */

static struct queue *queue;

static void deliver(void *ctx, struct blob *const *frame, uint32_t n, uint64_t first,
                    void *body_ctx)
{
    store_deliver(k.store, frame, n, first);
}

static void trim(void *ctx, uint64_t position)
{
    if (queue && queue_trim(queue, position) != OK)
        return; /* it stays longer */
}

static void body_done(void *ctx, enum err err, const char *reason, uint64_t first_position)
{
    if (err == OK)
        *(_Atomic bool *)ctx = true;
}

/* Opens all three and replays. */
static enum err open_all(void)
{
    static const struct queue_consumer consumer = {.deliver = deliver};
    char path[300];
    struct queue_options o = {.file_bytes = 1, .sync = true, .waiting_max = 64 << 20};
    snprintf(path, sizeof(path), "%s/catalog.db", k.dir);
    TRY(catalog_open_sqlite(path, &k.catalog));
    k.o.catalog = k.catalog;
    k.o.published = trim;
    queue = NULL;
    TRY(store_open(&k.o, &k.store));
    snprintf(path, sizeof(path), "%s/queue", k.dir);
    o.dir = path;
    TRY(queue_open_disk(&o, &queue));
    TRY(queue_start(queue, store_checkpoint(k.store), &consumer, NULL));
    store_replayed(k.store);
    return OK;
}

/* The store first, whose background trims the queue. */
static void close_all(void)
{
    kit_close(&k);
    queue_close(queue);
    queue = NULL;
}

static void append_body(uint32_t i)
{
    struct blob *frame[BODY_RECORDS];
    k.n = (uint64_t)i * BODY_RECORDS;
    uint32_t n = kit_body(&k, BODY_RECORDS, frame);
    struct queue_body body = {
        .frame = frame, .n = n, .ctx = (void *)&told->acked[i], .done = body_done};
    if (queue_append(queue, &body) != OK)
        for (uint32_t f = 0; f < n; f++)
            blob_unref(frame[f]);
    queue_drain(queue);
}

/* What the child does: some of everything. Failures are part of it. */
static void live(void)
{
    if (open_all() != OK)
        _exit(0); /* the disk was bad from the start */
    for (uint32_t i = 0; i < BODIES; i++) {
        append_body(i);
        if (i % 3 == 2)
            (void)!store_flush(k.store);
        if (i % 6 == 5)
            (void)!store_compact(k.store, i > 6);
    }
}

static void child(const struct fault_plan *plan)
{
    /* On a disk that stays bad the queue waits for ever rather than leave an answer open. */
    if (plan->sticky)
        (void)setitimer(ITIMER_REAL, &(struct itimerval){.it_value = {0, 250000}}, NULL);
    fault_set(plan);
    live();
    told->calls = fault_calls();
    told->finished = true;
    _exit(0);
}

static void run_child(const struct fault_plan *plan)
{
    int status = 0;
    memset(told, 0, sizeof(*told));
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (!pid)
        child(plan);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (WIFEXITED(status))
        assert_int_equal(WEXITSTATUS(status), 0);
    else
        assert_true(WTERMSIG(status) == SIGKILL || (plan->sticky && WTERMSIG(status) == SIGALRM));
}

/* Every acknowledged body is there, every body is whole, nothing is there twice. */
static void check_bodies(uint64_t at)
{
    struct kit_found f;
    struct snapshot *snap = kit_snapshot(&k);
    assert_ok(kit_read_snapshot(&k, snap, BODIES * BODY_RECORDS, &f));
    snapshot_close(snap);
    assert_int_equal(f.stats.unreadable, 0);
    for (uint32_t i = 0; i < BODIES; i++)
        for (uint32_t r = 0; r < BODY_RECORDS; r++) {
            uint8_t first = f.times[i * BODY_RECORDS], times = f.times[i * BODY_RECORDS + r];
            if (times != first || times > 1 || (told->acked[i] && !times))
                fail_msg("crash at call %llu: record %u of body %u (%s) was found %u times",
                         (unsigned long long)at, r, i, told->acked[i] ? "acknowledged" : "open",
                         times);
        }
    kit_found_release(&f);
}

static void wipe(void)
{
    char command[400];
    snprintf(command, sizeof(command), "rm -rf '%s'/*", k.dir);
    assert_int_equal(system(command), 0);
}

static uint64_t count_calls(void)
{
    run_child(&(struct fault_plan){.kind = FAULT_COUNT_ONLY});
    assert_true(told->finished);
    uint64_t calls = told->calls;
    assert_ok(open_all());
    check_bodies(0);
    close_all();
    wipe();
    return calls;
}

static void crash_everywhere(bool lose)
{
    uint64_t calls = count_calls(), step = calls / CRASHES + 1, crashed = 0;
    assert_true(calls > 100);
    for (uint64_t at = 1; at <= calls; at += step) {
        run_child(
            &(struct fault_plan){.kind = FAULT_CRASH, .at = at, .seed = at * 31 + 7, .lose = lose});
        crashed += !told->finished;
        assert_ok(open_all());
        check_bodies(at);
        /* Life goes on, and the next start finds the same. */
        append_body(BODIES - 1);
        told->acked[BODIES - 1] = false;
        assert_ok(store_flush(k.store));
        close_all();
        wipe();
    }
    assert_true(crashed > CRASHES / 3);
}

static void test_power_cuts(void **state)
{
    crash_everywhere(true);
}

/* The store's own threads cut and merge whenever they like. */
static void test_power_cuts_in_the_background(void **state)
{
    k.o.background = true;
    k.o.cut_queue_bytes = 40 << 10;
    k.o.compact_files = 2;
    crash_everywhere(true);
}

static void test_kills(void **state)
{
    crash_everywhere(false);
}

/* The disk goes bad for good, and some time later the process ends: what a failed sync left in
 * files, and a transaction that was reported as failed, may be there at the next start all the
 * same. */
static void test_end_on_a_bad_disk(void **state)
{
    static const enum fault_kind kinds[] = {FAULT_FSYNC, FAULT_EIO};
    uint64_t calls = count_calls();
    for (size_t i = 0; i < 2; i++)
        for (uint64_t at = 20 + i; at <= calls; at += calls / 15 + 1) {
            run_child(&(struct fault_plan){.kind = kinds[i], .at = at, .sticky = true});
            assert_ok(open_all());
            check_bodies(at);
            close_all();
            wipe();
        }
}

/* A second crash while the first is being repaired. */
static void test_crash_in_recovery(void **state)
{
    for (uint64_t at = 40; at < 130; at += 15)
        for (uint64_t again = 1; again < 30; again += 7) {
            run_child(
                &(struct fault_plan){.kind = FAULT_CRASH, .at = at, .seed = at, .lose = true});
            bool acked[BODIES];
            for (size_t i = 0; i < BODIES; i++)
                acked[i] = told->acked[i];
            pid_t pid = fork();
            if (!pid) {
                fault_set(&(struct fault_plan){
                    .kind = FAULT_CRASH, .at = again, .seed = again, .lose = true});
                if (open_all() == OK)
                    (void)!store_compact(k.store, true);
                _exit(0);
            }
            int status;
            assert_int_equal(waitpid(pid, &status, 0), pid);
            for (size_t i = 0; i < BODIES; i++)
                told->acked[i] = acked[i];
            assert_ok(open_all());
            check_bodies(at);
            close_all();
            wipe();
        }
}

/* ---- errors that pass ---- */

/* All frames so far, for replays: the queue's part. */
static struct blob *sent[512];

static void send_some(uint32_t count)
{
    struct blob *frame[64];
    uint32_t n = kit_body(&k, count, frame);
    assert_true(k.position + n < 512);
    store_deliver(k.store, frame, n, k.position);
    for (uint32_t i = 0; i < n; i++)
        sent[k.position + i] = frame[i];
    k.position += n;
}

static void replay(void)
{
    for (uint64_t at = store_checkpoint(k.store); at < k.position; at++)
        if (at)
            store_deliver(k.store, &sent[at], 1, at);
}

static void one_life(const struct fault_plan *plan)
{
    kit_open(&k);
    fault_set(plan);
    for (int i = 0; i < 8; i++) {
        send_some(30);
        (void)!store_flush(k.store);
        if (i % 3 == 2)
            (void)!store_compact(k.store, true);
        kit_check(&k);
    }
    uint64_t calls = fault_calls();
    told->calls = calls;
    fault_set(NULL);
    kit_check(&k);
    /* The disk is well again: everything can be published. */
    assert_ok(store_flush(k.store));
    assert_int_equal(store_checkpoint(k.store), k.position);
    kit_check(&k);
    kit_reopen(&k);
    kit_check(&k);
    assert_ok(store_compact(k.store, true));
    kit_check(&k);
    assert_int_equal(kit_files(&k).n, kit_stats(&k).segments);
    kit_close(&k);
}

/* As above, but the process ends while the disk is bad. */
static void one_death(const struct fault_plan *plan)
{
    kit_open(&k);
    fault_set(plan);
    for (int i = 0; i < 4; i++) {
        send_some(30);
        (void)!store_flush(k.store);
    }
    (void)!store_compact(k.store, true);
    kit_close(&k);
    fault_set(NULL);
    kit_open(&k);
    replay();
    kit_check(&k);
    kit_close(&k);
}

static void fresh(void)
{
    for (size_t i = 0; i < 512; i++) {
        blob_unref(sent[i]);
        sent[i] = NULL;
    }
    k.position = 1;
    k.n = 0;
    wipe();
}

static void errors_everywhere(enum fault_kind kind, bool sticky, uint64_t runs)
{
    one_life(&(struct fault_plan){.kind = FAULT_COUNT_ONLY});
    uint64_t calls = told->calls, step = calls / runs + 1;
    fresh();
    for (uint64_t at = 1; at <= calls; at += step) {
        struct fault_plan plan = {.kind = kind, .at = at, .sticky = sticky};
        one_life(&plan);
        fresh();
        one_death(&plan);
        fresh();
    }
}

static void test_full_disk(void **state)
{
    errors_everywhere(FAULT_ENOSPC, false, 25);
    errors_everywhere(FAULT_ENOSPC, true, 10);
}

static void test_io_errors(void **state)
{
    errors_everywhere(FAULT_EIO, false, 25);
    errors_everywhere(FAULT_EIO, true, 10);
}

static void test_failed_syncs_and_short_writes(void **state)
{
    errors_everywhere(FAULT_FSYNC, false, 12);
    errors_everywhere(FAULT_FSYNC, true, 12);
    errors_everywhere(FAULT_SHORT, false, 12);
}

/* ---- a commit whose outcome nobody knows ---- */

static enum err flush(void)
{
    return store_flush(k.store);
}

static enum err compact(void)
{
    return store_compact(k.store, true);
}

/* The disk is well again: what was open is decided, and all is as if nothing had been. */
static void settle(enum err (*work)(void))
{
    assert_ok(work());
    assert_int_equal(store_checkpoint(k.store), k.position);
    assert_false(kit_stats(&k).cut_failing);
    kit_check(&k);
    assert_int_equal(kit_files(&k).n, kit_stats(&k).segments);
}

/* Every sync fails from the `at`th on, so that a failed commit cannot be taken back either. As long
 * as its outcome is open each record is there once, from memory or from a segment. Then the disk
 * recovers, or the process ends in doubt. Tells what the work answered. */
static enum err doubt_once(enum err (*work)(void), uint64_t at, bool recovers)
{
    kit_open(&k);
    send_some(30);
    if (work == compact) {
        assert_ok(flush());
        send_some(30);
        assert_ok(flush());
    }
    fault_set(&(struct fault_plan){.kind = FAULT_FSYNC, .at = at, .sticky = true});
    enum err err = work();
    if (err == ERR_TIMEOUT) {
        assert_non_null(strstr(err_text(), "it is not known whether this was stored"));
        kit_check(&k);
        assert_int_not_equal(work(), OK);
        send_some(30);
        kit_check(&k);
        if (recovers) {
            fault_set(NULL);
            settle(work);
        }
    }
    kit_close(&k);
    fault_set(NULL);
    kit_open(&k);
    replay();
    kit_check(&k);
    settle(work);
    kit_close(&k);
    fresh();
    return err;
}

static void doubt_everywhere(enum err (*work)(void))
{
    unsigned doubts = 0;
    enum err err = ERR_IO;
    for (uint64_t at = 1; err != OK; at++) {
        err = doubt_once(work, at, true);
        assert_true(at < 500);
        if (err == ERR_TIMEOUT)
            assert_int_equal(doubt_once(work, at, false), ERR_TIMEOUT);
        doubts += err == ERR_TIMEOUT;
    }
    assert_true(doubts > 0);
}

static void test_cut_in_doubt(void **state)
{
    doubt_everywhere(flush);
}

static void test_merge_in_doubt(void **state)
{
    doubt_everywhere(compact);
}

/* Whatever a cut was due for: it is due again when it has failed, with no record more. */
static void test_failed_cut_is_tried_again(void **state)
{
    k.o.background = true;
    k.o.cut_queue_bytes = 4096;
    clock_set_ns(0);
    kit_open(&k);
    fault_set(&(struct fault_plan){.kind = FAULT_FSYNC, .at = 1, .sticky = true});
    send_some(30);
    assert_soon(kit_stats(&k).cut_failing);
    fault_set(NULL);
    assert_soon(store_checkpoint(k.store) == k.position);
    settle(flush);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_power_cuts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_power_cuts_in_the_background, setup, teardown),
        cmocka_unit_test_setup_teardown(test_kills, setup, teardown),
        cmocka_unit_test_setup_teardown(test_end_on_a_bad_disk, setup, teardown),
        cmocka_unit_test_setup_teardown(test_crash_in_recovery, setup, teardown),
        cmocka_unit_test_setup_teardown(test_full_disk, setup, teardown),
        cmocka_unit_test_setup_teardown(test_io_errors, setup, teardown),
        cmocka_unit_test_setup_teardown(test_failed_syncs_and_short_writes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cut_in_doubt, setup, teardown),
        cmocka_unit_test_setup_teardown(test_merge_in_doubt, setup, teardown),
        cmocka_unit_test_setup_teardown(test_failed_cut_is_tried_again, setup, teardown),
    };
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
