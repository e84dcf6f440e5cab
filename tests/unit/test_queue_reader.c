/* Reading a queue back while it is written: every body once, in order, from any position, across
 * files, restarts and damage. */
#include "core/buf.h"
#include "core/io.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/thread.h"
#include "queue/queue.h"
#include "test.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>

static char dir[300];
static struct queue *q;

static void deliver(void *ctx, struct blob *const *frame, uint32_t n, uint64_t first, void *body)
{
}

static void start(uint64_t from)
{
    struct queue_options o = {.dir = dir, .file_bytes = 64 << 10, .sync = false};
    struct queue_consumer consumer = {.deliver = deliver};
    assert_ok(queue_open_disk(&o, &q));
    assert_ok(queue_start(q, from, &consumer, NULL));
}

static int setup(void **state)
{
    snprintf(dir, sizeof(dir), "%s", test_dir());
    log_set_level(LOG_ERROR + 1);
    start(1);
    return 0;
}

static int teardown(void **state)
{
    queue_close(q);
    test_rmdir(dir);
    return governor_used() != 0;
}

/* Body number i: i % 3 + 1 frames, each a text that tells both numbers, and its padding. */
static void append(unsigned i)
{
    struct blob *frame[3];
    uint32_t n = i % 3 + 1;
    for (uint32_t k = 0; k < n; k++) {
        char *text = mem_printf("%u.%u%*s", i, k, (int)(i * 37 % 4000), "");
        frame[k] = blob_take(text, strlen(text), OWNER_QUEUE);
    }
    struct queue_body body = {.frame = frame, .n = n};
    assert_ok(queue_append(q, &body));
}

static void append_all(unsigned from, unsigned to)
{
    for (unsigned i = from; i < to; i++) {
        append(i);
        if (i % 10 == 9) /* a group of bodies goes to one file */
            queue_drain(q);
    }
    queue_drain(q);
}

static bool is_body(const struct queue_read *body, unsigned i)
{
    if (body->n != i % 3 + 1)
        return false;
    for (uint32_t k = 0; k < body->n; k++) {
        char head[32];
        snprintf(head, sizeof(head), "%u.%u ", i, k);
        if (i * 37 % 4000 && !str_starts(body->frame[k]->bytes, str_c(head)))
            return false;
    }
    return true;
}

static void check_all(struct queue_reader *r, unsigned from, unsigned to, uint64_t position)
{
    struct queue_read body;
    for (unsigned i = from; i < to; i++) {
        assert_ok(queue_reader_next(r, &body));
        if (!is_body(&body, i) || body.first_position != position)
            fail_msg("body %u, position %" PRIu64, i, body.first_position);
        position += body.n;
    }
    assert_int_equal(queue_reader_next(r, &body), ERR_AGAIN);
}

static void test_across_files(void **state)
{
    struct queue_reader *r = queue_reader_new(q, 1);
    struct queue_read body;
    assert_int_equal(queue_reader_next(r, &body), ERR_AGAIN);
    append_all(0, 300);
    struct queue_stats stats;
    queue_stats(q, &stats);
    assert_true(stats.files > 5);
    check_all(r, 0, 300, 1);
    append_all(300, 310);
    check_all(r, 300, 310, 601);
    queue_reader_free(r);
    /* From the middle; then from there again after a restart. */
    r = queue_reader_new(q, 601);
    check_all(r, 300, 310, 601);
    queue_reader_free(r);
    queue_close(q);
    start(601);
    r = queue_reader_new(q, 7);
    check_all(r, 3, 310, 7);
    assert_int_equal(queue_reader_lost(r), 0);
    append(310);
    queue_drain(q);
    check_all(r, 310, 311, 620);
    queue_reader_free(r);
}

static void test_behind_trim(void **state)
{
    append_all(0, 300);
    assert_ok(queue_trim(q, 301));
    struct queue_reader *r = queue_reader_new(q, 301);
    check_all(r, 150, 300, 301);
    queue_reader_free(r);
    /* Who asks for what is gone hears how much that was. */
    r = queue_reader_new(q, 1);
    struct queue_read body;
    assert_ok(queue_reader_next(r, &body));
    assert_true(body.first_position > 1);
    assert_int_equal(queue_reader_lost(r), body.first_position - 1);
    queue_reader_free(r);
}

static void flip(uint64_t file, uint64_t offset)
{
    char path[400], byte;
    snprintf(path, sizeof(path), "%s/%016" PRIx64 ".wal", dir, file);
    int fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &byte, 1, (off_t)offset), 1);
    byte ^= 4;
    assert_int_equal(pwrite(fd, &byte, 1, (off_t)offset), 1);
    close(fd);
}

static void test_damage(void **state)
{
    append_all(0, 300);
    /* Somewhere in the payload or head of an entry of the first file. */
    for (uint64_t at = 4160; at < 20000; at += 1777) {
        flip(1, at);
        struct queue_reader *r = queue_reader_new(q, 1);
        struct queue_read body;
        uint64_t next = 1, got = 0;
        while (queue_reader_next(r, &body) == OK) {
            assert_true(body.first_position >= next);
            next = body.first_position + body.n;
            got += body.n;
        }
        assert_int_equal(next, 601);
        assert_int_equal(got + queue_reader_lost(r), 600);
        assert_true(queue_reader_lost(r) <= 3);
        queue_reader_free(r);
        flip(1, at);
    }
}

static _Atomic bool writing;

static void *writer(void *arg)
{
    append_all(0, 2000);
    writing = false;
    return NULL;
}

static void test_while_written(void **state)
{
    pthread_t thread;
    struct queue_reader *r = queue_reader_new(q, 1);
    struct queue_read body;
    unsigned i = 0;
    writing = true;
    assert_ok(thread_start(&thread, "writer", writer, NULL));
    for (bool more = true; more;) {
        more = writing;
        while (queue_reader_next(r, &body) == OK) {
            assert_true(is_body(&body, i));
            i++;
            if (i % 100 == 0)
                assert_ok(queue_trim(q, body.first_position));
        }
        usleep(200);
    }
    assert_int_equal(i, 2000);
    assert_int_equal(queue_reader_lost(r), 0);
    pthread_join(thread, NULL);
    queue_reader_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_across_files, setup, teardown),
        cmocka_unit_test_setup_teardown(test_behind_trim, setup, teardown),
        cmocka_unit_test_setup_teardown(test_damage, setup, teardown),
        cmocka_unit_test_setup_teardown(test_while_written, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
