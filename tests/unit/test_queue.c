#include "core/buf.h"
#include "core/fault.h"
#include "core/hash.h"
#include "core/io.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/thread.h"
#include "queue/queue.h"
#include "queue/wal.h"
#include "test.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <sys/stat.h>

/* What a consumer got: one text, "position:frame+frame;" a body, "|" at committed. */
struct sink {
    struct buf text;
    uint64_t frames, bytes, last;
    bool quiet; /* count only */
    _Atomic bool hold;
    _Atomic unsigned lost;
};

static void sink_deliver(void *ctx, struct blob *const *frame, uint32_t n, uint64_t first,
                         void *body_ctx)
{
    struct sink *s = ctx;
    while (s->hold)
        usleep(1000);
    if (!s->quiet)
        buf_printf(&s->text, "%" PRIu64 ":", first);
    assert_true(first > s->last);
    for (uint32_t i = 0; i < n; i++) {
        if (!s->quiet)
            buf_printf(&s->text, "%s%.*s", i ? "+" : "", (int)(frame[i]->bytes.n & 63),
                       frame[i]->bytes.p);
        s->bytes += frame[i]->bytes.n;
    }
    if (!s->quiet)
        buf_put_c(&s->text, ";");
    s->frames += n;
    s->last = first + n - 1;
}

static void sink_lost(void *ctx)
{
    struct sink *s = ctx;
    s->lost++;
}

struct answers {
    _Atomic unsigned ok, failed;
    _Atomic int last_err;
    _Atomic uint64_t last_position;
};

static void on_done(void *ctx, enum err err, const char *reason, uint64_t first_position)
{
    struct answers *a = ctx;
    a->last_err = err;
    a->last_position = first_position;
    if (err == OK)
        a->ok++;
    else
        a->failed++;
}

struct fixture {
    char dir[300];
    struct queue_options options;
    struct queue *q;
    struct sink sink;
    struct answers answers;
};

static int setup(void **state)
{
    struct fixture *f = NEW(struct fixture);
    snprintf(f->dir, sizeof(f->dir), "%s", test_dir());
    f->options = (struct queue_options){
        .dir = f->dir, .file_bytes = 1 << 20, .sync = true, .direct_min = 4096};
    log_set_level(LOG_ERROR + 1);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    fault_set(NULL);
    queue_close(f->q);
    buf_release(&f->sink.text);
    test_rmdir(f->dir);
    mem_free(f);
    return governor_used() != 0;
}

static void start(struct fixture *f, uint64_t from)
{
    buf_release(&f->sink.text);
    buf_init(&f->sink.text, 1 << 20);
    f->sink.frames = f->sink.bytes = f->sink.last = 0;
    assert_ok(queue_open_disk(&f->options, &f->q));
    struct queue_consumer consumer = {.ctx = &f->sink, .deliver = sink_deliver, .lost = sink_lost};
    assert_ok(queue_start(f->q, from, &consumer, NULL));
}

static void stop(struct fixture *f)
{
    queue_close(f->q);
    f->q = NULL;
}

/* The frames of a body are the words of `text`. */
static enum err append(struct fixture *f, const char *text)
{
    struct blob *frame[64];
    struct str rest = str_c(text), word;
    uint32_t n = 0;
    while (str_split(&rest, ' ', &word))
        frame[n++] = blob_copy(word, OWNER_INGEST);
    struct queue_body body = {.frame = frame, .n = n, .ctx = &f->answers, .done = on_done};
    enum err err = queue_append(f->q, &body);
    for (uint32_t i = 0; err != OK && i < n; i++)
        blob_unref(frame[i]);
    return err;
}

static void append_sized(struct fixture *f, size_t bytes, char fill)
{
    char *p = mem_alloc(bytes);
    memset(p, fill, bytes);
    struct blob *b = blob_take(p, bytes, OWNER_INGEST);
    assert_ok(queue_append(f->q, &(struct queue_body){&b, 1, &f->answers, on_done}));
    queue_drain(f->q);
}

static void assert_sink(struct fixture *f, const char *text)
{
    queue_drain(f->q);
    if (!str_eq_c(buf_str(&f->sink.text), text))
        fail_msg("\"%.*s\", wanted \"%s\"", STR_ARG(buf_str(&f->sink.text)), text);
}

static struct queue_stats stats(struct fixture *f)
{
    struct queue_stats s;
    queue_stats(f->q, &s);
    return s;
}

static char *file_of(struct fixture *f, uint64_t first)
{
    static char path[400];
    snprintf(path, sizeof(path), "%s/%016" PRIx64 ".wal", f->dir, first);
    return path;
}

/* XORs one byte. */
static void flip(const char *path, uint64_t off)
{
    int fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    char c;
    assert_int_equal(pread(fd, &c, 1, (off_t)off), 1);
    c ^= 0x10;
    assert_int_equal(pwrite(fd, &c, 1, (off_t)off), 1);
    close(fd);
}

static void test_append_and_replay(void **state)
{
    struct fixture *f = *state;
    start(f, 0);
    assert_sink(f, "");
    assert_ok(append(f, "a"));
    queue_drain(f->q);
    assert_ok(append(f, "b c d"));
    queue_drain(f->q);
    assert_int_equal(f->answers.last_position, 2);
    assert_ok(append(f, "e"));
    assert_sink(f, "1:a;2:b+c+d;5:e;");
    assert_int_equal(f->answers.ok, 3);
    struct queue_stats s = stats(f);
    assert_int_equal(s.appended_bodies, 3);
    assert_int_equal(s.appended_frames, 5);
    assert_int_equal(s.appended_bytes, 5);
    assert_int_equal(s.next_position, 6);
    assert_int_equal(s.files, 1);
    assert_int_equal(s.waiting_bytes, 0);
    assert_int_equal(governor_used_by(OWNER_QUEUE), 0);
    stop(f);
    start(f, 0);
    assert_sink(f, "1:a;2:b+c+d;5:e;");
    assert_int_equal(stats(f).replayed_frames, 5);
    assert_int_equal(stats(f).torn_bytes, 0);
    assert_ok(append(f, "f"));
    assert_sink(f, "1:a;2:b+c+d;5:e;6:f;");
    stop(f);
    start(f, 5);
    assert_sink(f, "5:e;6:f;");
    assert_int_equal(stats(f).next_position, 7);
}

static void test_empty_frames_and_sizes(void **state)
{
    struct fixture *f = *state;
    start(f, 0);
    size_t total = 0;
    for (size_t n = 0; n < 40; n++, total += n - 1)
        append_sized(f, n, 'x');
    append_sized(f, 3 << 20, 'y'); /* more than a file */
    append_sized(f, 700 << 10, 'z');
    total += (3 << 20) + (700 << 10);
    stop(f);
    f->sink.quiet = true;
    start(f, 0);
    assert_int_equal(f->sink.frames, 42);
    assert_int_equal(f->sink.bytes, total);
    assert_int_equal(stats(f).quarantined_entries, 0);
}

static void test_rotate_and_trim(void **state)
{
    struct fixture *f = *state;
    start(f, 0);
    for (int i = 0; i < 10; i++)
        append_sized(f, 400 << 10, (char)('a' + i));
    struct queue_stats s = stats(f);
    assert_int_equal(s.files, 5);
    assert_int_equal(s.first_position, 1);
    assert_true(s.bytes_on_disk > 4000 << 10 && s.bytes_on_disk < 6 << 20);
    assert_ok(queue_trim(f->q, 4));
    assert_int_equal(stats(f).files, 4);
    assert_false(io_exists(file_of(f, 1)));
    assert_true(io_exists(file_of(f, 3)));
    assert_ok(queue_trim(f->q, 2)); /* backwards: nothing */
    assert_int_equal(stats(f).files, 4);
    stop(f);
    start(f, 7);
    assert_int_equal(f->sink.frames, 4);
    assert_int_equal(stats(f).quarantined_entries, 0);
    assert_ok(queue_trim(f->q, 1000));
    assert_int_equal(stats(f).files, 1);
    stop(f);
    start(f, 11);
    assert_int_equal(f->sink.frames, 0);
    assert_ok(append(f, "next"));
    assert_sink(f, "11:next;");
}

/* A trimmed file begins a new life; what it held does not come back, and is no torn tail. */
static void test_spare_files(void **state)
{
    struct fixture *f = *state;
    f->sink.quiet = true;
    start(f, 0);
    for (int i = 0; i < 4; i++)
        append_sized(f, 400 << 10, (char)('a' + i));
    assert_int_equal(stats(f).files, 2);
    uint64_t before = stats(f).bytes_on_disk;
    assert_ok(queue_trim(f->q, 3));
    assert_int_equal(stats(f).files, 1);
    assert_int_equal(stats(f).bytes_on_disk, before);
    append_sized(f, 400 << 10, 'x'); /* it becomes the next file */
    assert_int_equal(stats(f).files, 2);
    assert_in_range(stats(f).bytes_on_disk, before / 2, before);
    stop(f);
    start(f, 3);
    assert_int_equal(f->sink.frames, 3);
    assert_int_equal(stats(f).torn_bytes, 0);
    assert_int_equal(stats(f).quarantined_entries, 0);
    assert_int_equal(stats(f).next_position, 6);
}

/* At rest there are no spares, and where all is published no entries; positions go on. */
static void test_at_rest(void **state)
{
    struct fixture *f = *state;
    f->sink.quiet = true;
    start(f, 0);
    for (int i = 0; i < 4; i++)
        append_sized(f, 400 << 10, (char)('a' + i));
    assert_ok(queue_trim(f->q, 5));
    stop(f);
    start(f, 5);
    assert_int_equal(stats(f).bytes_on_disk, WAL_HEADER_BYTES);
    assert_int_equal(f->sink.frames, 0);
    assert_ok(append(f, "e"));
    queue_drain(f->q);
    assert_int_equal(stats(f).next_position, 6);
    stop(f);
    start(f, 5);
    assert_int_equal(f->sink.frames, 1);
}

static void test_positions_go_on_behind_a_lost_folder(void **state)
{
    struct fixture *f = *state;
    start(f, 100);
    assert_ok(append(f, "a b"));
    assert_sink(f, "100:a+b;");
    stop(f);
    start(f, 500); /* the store knows more than the queue */
    assert_ok(append(f, "c"));
    assert_sink(f, "500:c;");
    stop(f);
    start(f, 1);
    assert_sink(f, "100:a+b;500:c;");
}

static void test_torn_tail(void **state)
{
    struct fixture *f = *state;
    start(f, 0);
    assert_ok(append(f, "a"));
    queue_drain(f->q);
    assert_ok(append(f, "b c"));
    stop(f);
    /* The second part of the body is cut through its payload: none of it is there. */
    uint64_t at = WAL_START + 2 * wal_entry_size(1) + WAL_ENTRY_BYTES;
    assert_int_equal(truncate(file_of(f, 1), (off_t)at), 0);
    start(f, 0);
    assert_sink(f, "1:a;");
    assert_int_equal(stats(f).torn_bytes, at - WAL_START - wal_entry_size(1));
    assert_int_equal(stats(f).quarantined_entries, 0);
    assert_ok(append(f, "d"));
    assert_sink(f, "1:a;2:d;");
    stop(f);
    start(f, 0);
    assert_sink(f, "1:a;2:d;");
    assert_int_equal(stats(f).torn_bytes, 0);
    assert_int_equal(stats(f).quarantined_entries, 0);
}

/* Whatever single byte of the entries is flipped, the neighbours live, and nothing is made up. */
static void test_flipped_bytes(void **state)
{
    struct fixture *f = *state;
    start(f, 0);
    const char *bodies[] = {"first-88", "second-8 third-88", "fourth-8"};
    for (int i = 0; i < 3; i++) {
        assert_ok(append(f, bodies[i]));
        queue_drain(f->q);
    }
    stop(f);
    uint64_t second = WAL_START + wal_entry_size(8), fourth = second + 2 * wal_entry_size(8);
    uint64_t end = fourth + wal_entry_size(8);
    for (uint64_t off = WAL_START; off < end; off += 3) {
        flip(file_of(f, 1), off);
        start(f, 0);
        bool last = off >= fourth;
        assert_sink(f, off < second ? "2:second-8+third-88;4:fourth-8;"
                       : last       ? "1:first-88;2:second-8+third-88;"
                                    : "1:first-88;4:fourth-8;");
        assert_int_equal(stats(f).quarantined_entries, last || off < second ? 1 : 2);
        assert_int_equal(stats(f).torn_bytes, 0);
        stop(f);
        flip(file_of(f, 1), off);
    }
    char path[500];
    snprintf(path, sizeof(path), "%s/quarantine/%016x.wal-%x.bin", f->dir, 1, (unsigned)second);
    struct buf copy;
    assert_ok(io_read_file(path, 1 << 20, &copy));
    assert_int_equal(copy.n, fourth - second);
    buf_release(&copy);
}

/* A power cut took the mark behind the last body: damage to it looks like a write that was never
 * finished, and its bytes are kept. */
static void test_damage_without_a_mark(void **state)
{
    struct fixture *f = *state;
    start(f, 0);
    assert_ok(append(f, "first-88"));
    queue_drain(f->q);
    assert_ok(append(f, "second-8"));
    stop(f);
    uint64_t second = WAL_START + wal_entry_size(8), end = second + wal_entry_size(8);
    assert_int_equal(truncate(file_of(f, 1), (off_t)end), 0);
    start(f, 0);
    assert_sink(f, "1:first-88;2:second-8;"); /* it may be absent */
    stop(f);
    flip(file_of(f, 1), second + WAL_ENTRY_BYTES);
    start(f, 0);
    assert_sink(f, "1:first-88;");
    assert_int_equal(stats(f).torn_bytes, wal_entry_size(8));
    assert_int_equal(stats(f).quarantined_entries, 0);
    char path[500];
    struct buf copy;
    snprintf(path, sizeof(path), "%s/quarantine/%016x.wal-%x.torn", f->dir, 1, (unsigned)second);
    assert_ok(io_read_file(path, 1 << 20, &copy));
    assert_int_equal(copy.n, wal_entry_size(8));
    assert_non_null(memmem(copy.p, copy.n, "econd-8", 7));
    buf_release(&copy);
    /* It goes on in a new file, and nothing of that comes back. */
    assert_ok(append(f, "third-88"));
    stop(f);
    start(f, 0);
    assert_sink(f, "1:first-88;2:third-88;");
}

static enum err count_name(void *ctx, const char *name)
{
    (*(unsigned *)ctx)++;
    return OK;
}

/* Torn tails are kept, but not without end. */
static void test_torn_copies_are_few(void **state)
{
    struct fixture *f = *state;
    char path[400];
    unsigned n = 0;
    for (uint64_t i = 1; i <= 20; i++) {
        start(f, i);
        assert_ok(append(f, "whole"));
        queue_drain(f->q);
        assert_ok(append(f, "torn"));
        stop(f);
        uint64_t at = WAL_START + wal_entry_size(5) + WAL_ENTRY_BYTES + 2;
        assert_int_equal(truncate(file_of(f, i), (off_t)at), 0);
    }
    start(f, 20);
    snprintf(path, sizeof(path), "%s/quarantine", f->dir);
    assert_ok(io_list(path, count_name, &n));
    assert_int_equal(n, 16);
    snprintf(path, sizeof(path), "%s/quarantine/%016x.wal-%x.torn", f->dir, 20,
             (unsigned)(WAL_START + wal_entry_size(5)));
    assert_true(io_exists(path));
}

/* Three bodies of 8000 bytes, from page 1 of the file on. */
static void write_pages(struct fixture *f)
{
    f->sink.quiet = true;
    start(f, 0);
    for (int i = 0; i < 3; i++)
        append_sized(f, 8000, (char)('a' + i));
    stop(f);
}

static void start_spoiled(struct fixture *f, uint64_t at)
{
    fault_set(&(struct fault_plan){.kind = FAULT_UNREADABLE, .at = at});
    start(f, 0);
    assert_true(fault_hits() > 0);
    fault_set(NULL);
}

/* The disk does not give one page: its body is missing and reported, the neighbours live, and the
 * file is kept for a better reader when it is trimmed. */
static void test_unreadable_page(void **state)
{
    struct fixture *f = *state;
    write_pages(f);
    start_spoiled(f, 14000); /* within the second body */
    assert_int_equal(f->sink.frames, 2);
    assert_int_equal(stats(f).quarantined_entries, 1);
    assert_int_equal(stats(f).unreadable_bytes, 4096);
    assert_int_equal(stats(f).torn_bytes, 0);
    append_sized(f, 100, 'd');
    assert_ok(queue_trim(f->q, 5));
    assert_false(io_exists(file_of(f, 1)));
    stop(f);
    char path[400];
    unsigned n = 0;
    snprintf(path, sizeof(path), "%s/quarantine", f->dir);
    assert_ok(io_list(path, count_name, &n));
    assert_int_equal(n, 2); /* the region with a hole, the whole file */
}

/* The last body's page, with and without a mark behind it, is no torn tail either. */
static void test_unreadable_end(void **state)
{
    struct fixture *f = *state;
    write_pages(f);
    start_spoiled(f, WAL_START + 2 * wal_entry_size(8000) + 4096);
    assert_int_equal(f->sink.frames, 2);
    assert_int_equal(stats(f).quarantined_entries, 1);
    stop(f);
    start(f, 0);
    assert_int_equal(f->sink.frames, 3); /* the disk has thought better of it */
    stop(f);
    assert_int_equal(truncate(file_of(f, 1), (off_t)(WAL_START + 3 * wal_entry_size(8000))), 0);
    start_spoiled(f, WAL_START + 2 * wal_entry_size(8000) + 4096);
    assert_int_equal(f->sink.frames, 2);
    assert_int_equal(stats(f).quarantined_entries, 1);
    assert_int_equal(stats(f).torn_bytes, 0);
    assert_int_equal(stats(f).next_position, 3);
}

static void test_unreadable_headers(void **state)
{
    struct fixture *f = *state;
    write_pages(f);
    start_spoiled(f, 1); /* one copy of it, and nothing else */
    assert_int_equal(f->sink.frames, 3);
    stop(f);
    /* A disk that fails all over: nothing is decided about what it holds. */
    fault_set(&(struct fault_plan){.kind = FAULT_UNREADABLE, .at = 1, .sticky = true});
    assert_err(queue_open_disk(&f->options, &f->q), ERR_IO, "nothing was changed");
    fault_set(NULL);
    assert_true(io_exists(file_of(f, 1)));
    start(f, 0);
    assert_int_equal(f->sink.frames, 3);
    append_sized(f, 3 << 20, 'x');
    stop(f);
    fault_set(&(struct fault_plan){.kind = FAULT_UNREADABLE, .at = 8192, .sticky = true});
    assert_ok(queue_open_disk(&f->options, &f->q));
    struct queue_consumer consumer = {.ctx = &f->sink, .deliver = sink_deliver};
    f->sink.last = 0;
    assert_err(queue_start(f->q, 0, &consumer, NULL), ERR_IO, "copy the data folder");
    fault_set(NULL);
    stop(f);
    start(f, 0);
    assert_int_equal(f->sink.frames, 4);
}

/* Removed, or moved away, under a running queue: the next body is refused, the one after it stands
 * in a new folder; and without any body it is noticed too. */
static void test_folder_removed(void **state)
{
    struct fixture *f = *state;
    char away[320];
    start(f, 0);
    assert_ok(append(f, "a"));
    queue_drain(f->q);
    /* At once: into a folder that is half removed the queue would put a new file. */
    snprintf(away, sizeof(away), "%s.removed", f->dir);
    assert_int_equal(rename(f->dir, away), 0);
    test_rmdir(away);
    assert_ok(append(f, "b"));
    queue_drain(f->q);
    bool refused = f->answers.failed == 1; /* unless a very slow machine noticed before */
    assert_true(refused ? f->answers.last_err == ERR_IO : f->answers.ok == 2);
    assert_int_equal(f->sink.lost, 1);
    assert_ok(append(f, "c"));
    assert_sink(f, refused ? "1:a;2:c;" : "1:a;2:b;3:c;");
    snprintf(away, sizeof(away), "%s.away", f->dir);
    assert_int_equal(rename(f->dir, away), 0);
    assert_soon(f->sink.lost == 2);
    assert_ok(append(f, "d"));
    assert_sink(f, refused ? "1:a;2:c;3:d;" : "1:a;2:b;3:c;4:d;");
    assert_int_equal(f->answers.failed, refused);
    struct queue *second = NULL;
    assert_err(queue_open_disk(&f->options, &second), ERR_UNAVAILABLE, "another process");
    stop(f);
    start(f, refused ? 3 : 4);
    assert_sink(f, refused ? "3:d;" : "4:d;");
    assert_int_equal(stats(f).quarantined_entries, 0);
    test_rmdir(away);
}

/* The last bodies of a file that is not the last are damaged: no torn tail. */
static void test_damage_at_the_end_of_an_old_file(void **state)
{
    struct fixture *f = *state;
    start(f, 0);
    assert_ok(append(f, "a"));
    queue_drain(f->q);
    assert_ok(append(f, "b"));
    stop(f);
    start(f, 0);
    assert_ok(append(f, "c"));
    stop(f);
    flip(file_of(f, 1), WAL_START + wal_entry_size(1) + WAL_ENTRY_BYTES);
    start(f, 0);
    assert_sink(f, "1:a;3:c;");
    assert_int_equal(stats(f).quarantined_entries, 1);
    stop(f);
    assert_int_equal(truncate(file_of(f, 1), WAL_START), 0);
    start(f, 0);
    assert_sink(f, "3:c;");
    assert_int_equal(stats(f).quarantined_entries, 2);
    stop(f);
    assert_ok(io_unlink(file_of(f, 1)));
    start(f, 2);
    assert_sink(f, "3:c;");
}

static void test_damaged_headers(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 3; i++) {
        start(f, 0);
        assert_ok(append(f, i == 0 ? "a" : i == 1 ? "b" : "c"));
        stop(f);
    }
    flip(file_of(f, 1), 20); /* one copy */
    start(f, 0);
    assert_sink(f, "1:a;2:b;3:c;");
    stop(f);
    flip(file_of(f, 1), WAL_COPY_OFFSET + 20); /* both: the successor knows the salt */
    start(f, 0);
    assert_sink(f, "1:a;2:b;3:c;");
    stop(f);
    flip(file_of(f, 3), 30);
    flip(file_of(f, 3), WAL_COPY_OFFSET + 30); /* nobody knows */
    start(f, 0);
    assert_sink(f, "1:a;2:b;");
    assert_int_equal(stats(f).quarantined_entries, 1);
    assert_false(io_exists(file_of(f, 3)));
    assert_ok(append(f, "d"));
    assert_sink(f, "1:a;2:b;3:d;");
}

static void test_refuses_what_it_does_not_know(void **state)
{
    struct fixture *f = *state;
    char head[WAL_START];
    wal_header_encode(&(struct wal_header){.first_position = 5, .salt = 9}, head);
    head[8] = 2;
    uint64_t sum = hash64(str_of(head, 56));
    memcpy(head + 56, &sum, 8);
    assert_ok(io_write_file(file_of(f, 5), str_of(head, sizeof(head))));
    assert_err(queue_open_disk(&f->options, &f->q), ERR_UNSUPPORTED, "version 2");
    wal_header_encode(&(struct wal_header){.first_position = 6, .salt = 9}, head);
    assert_ok(io_write_file(file_of(f, 5), str_of(head, sizeof(head))));
    assert_err(queue_open_disk(&f->options, &f->q), ERR_CORRUPT, "its name says 5");
    assert_ok(io_unlink(file_of(f, 5)));
    start(f, 0);
    struct queue *second = NULL;
    assert_err(queue_open_disk(&f->options, &second), ERR_UNAVAILABLE, "another process");
}

/* A log file inside a log file, and the bytes of an old file under a new one, are not entries. */
static void test_stale_and_nested_bytes(void **state)
{
    struct fixture *f = *state;
    start(f, 0);
    assert_ok(append(f, "secret"));
    stop(f);
    struct buf old;
    assert_ok(io_read_file(file_of(f, 1), 64 << 20, &old));
    old.n = WAL_START + wal_entry_size(6);
    assert_ok(io_unlink(file_of(f, 1)));
    start(f, 0);
    struct blob *b = blob_copy(buf_str(&old), OWNER_INGEST);
    assert_ok(queue_append(f->q, &(struct queue_body){&b, 1, &f->answers, on_done}));
    assert_ok(append(f, "x"));
    stop(f);
    flip(file_of(f, 1), WAL_START); /* now the reader looks for entries inside the payload */
    f->sink.quiet = false;
    start(f, 0);
    assert_sink(f, "2:x;");
    stop(f);
    flip(file_of(f, 1), WAL_START);
    /* The old file's entry behind the end of the new one. */
    int fd = open(file_of(f, 1), O_RDWR);
    uint64_t at = WAL_START + wal_entry_size(old.n) + wal_entry_size(1);
    assert_int_equal(pwrite(fd, old.p + WAL_START, wal_entry_size(6), (off_t)at),
                     wal_entry_size(6));
    close(fd);
    f->sink.quiet = true;
    start(f, 0);
    assert_int_equal(f->sink.frames, 2);
    assert_int_equal(stats(f).quarantined_entries, 0);
    assert_true(stats(f).torn_bytes > 0);
    buf_release(&old);
}

static void test_bounds(void **state)
{
    struct fixture *f = *state;
    f->options.waiting_max = 1000;
    f->options.disk_max = 300 << 10;
    assert_ok(queue_open_disk(&f->options, &f->q));
    assert_err(append(f, "early"), ERR_UNAVAILABLE, "replayed");
    stop(f);
    start(f, 0);
    assert_err(queue_append(f->q, &(struct queue_body){0}), ERR_LIMIT, "0 frames");
    f->sink.hold = true;
    struct blob *b = blob_take(mem_zalloc(900), 900, OWNER_INGEST);
    assert_ok(queue_append(f->q, &(struct queue_body){&b, 1, &f->answers, on_done}));
    struct blob *c = blob_take(mem_zalloc(900), 900, OWNER_INGEST);
    assert_err(queue_append(f->q, &(struct queue_body){&c, 1, &f->answers, on_done}),
               ERR_UNAVAILABLE, "queue.waiting_max");
    assert_int_equal(governor_used_by(OWNER_INGEST), 900);
    blob_unref(c);
    f->sink.hold = false;
    queue_drain(f->q);
    for (int i = 0; i < 4; i++)
        append_sized(f, 70 << 10, 'x');
    b = blob_take(mem_zalloc(70 << 10), 70 << 10, OWNER_INGEST);
    assert_err(queue_append(f->q, &(struct queue_body){&b, 1, &f->answers, on_done}),
               ERR_UNAVAILABLE, "queue.disk_max");
    assert_ok(queue_trim(f->q, 1000));
    assert_ok(queue_append(f->q, &(struct queue_body){&b, 1, &f->answers, on_done}));
}

static void *appender(void *arg)
{
    struct fixture *f = arg;
    for (int i = 0; i < 300; i++)
        assert_ok(append(f, i % 3 ? "one" : "one two three"));
    return NULL;
}

static void test_many_threads(void **state)
{
    struct fixture *f = *state;
    f->sink.quiet = true;
    start(f, 0);
    pthread_t t[4];
    for (int i = 0; i < 4; i++)
        assert_ok(thread_start(&t[i], "appender", appender, f));
    for (int i = 0; i < 4; i++)
        pthread_join(t[i], NULL);
    queue_drain(f->q);
    assert_int_equal(f->answers.ok, 1200);
    assert_int_equal(f->sink.frames, 4 * 500);
    struct queue_stats s = stats(f);
    assert_true(s.syncs < 1200); /* groups did form */
    stop(f);
    start(f, 0);
    assert_int_equal(f->sink.frames, 4 * 500);
}

static uint64_t progress_last, progress_total;
static void on_progress(uint64_t done, uint64_t total)
{
    assert_true(done >= progress_last && done <= total);
    progress_last = done;
    progress_total = total;
}

static void test_replay_reports_progress(void **state)
{
    struct fixture *f = *state;
    f->sink.quiet = true;
    start(f, 0);
    for (int i = 0; i < 40; i++)
        append_sized(f, 500 << 10, 'p');
    stop(f);
    f->sink.last = 0;
    assert_ok(queue_open_disk(&f->options, &f->q));
    struct queue_consumer consumer = {.ctx = &f->sink, .deliver = sink_deliver};
    assert_ok(queue_start(f->q, 0, &consumer, on_progress));
    assert_true(progress_total > 20000 << 10);
    assert_int_equal(progress_last, progress_total);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_append_and_replay),
        T(test_empty_frames_and_sizes),
        T(test_rotate_and_trim),
        T(test_spare_files),
        T(test_at_rest),
        T(test_positions_go_on_behind_a_lost_folder),
        T(test_torn_tail),
        T(test_flipped_bytes),
        T(test_damage_without_a_mark),
        T(test_torn_copies_are_few),
        T(test_unreadable_page),
        T(test_unreadable_end),
        T(test_unreadable_headers),
        T(test_folder_removed),
        T(test_damage_at_the_end_of_an_old_file),
        T(test_damaged_headers),
        T(test_refuses_what_it_does_not_know),
        T(test_stale_and_nested_bytes),
        T(test_bounds),
        T(test_many_threads),
        T(test_replay_reports_progress),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
