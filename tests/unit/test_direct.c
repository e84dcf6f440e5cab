/* Writes past the page cache: what a file holds after any sequence of them is what it would hold
 * after the same writes through the cache. */
#include "core/buf.h"
#include "core/hash.h"
#include "core/io.h"
#include "core/mem.h"
#include "queue/direct.h"
#include "test.h"

#include <stdio.h>
#include <sys/uio.h>

enum { FILE_MAX = 6 << 20, ROUNDS = 60 };

struct fixture {
    char dir[300], path[320];
    int fd;
    struct direct d;
    char *want;
    uint64_t seed;
};

static uint64_t draw(struct fixture *f, uint64_t below)
{
    f->seed = hash_mix(f->seed + 1);
    return f->seed % below;
}

static void open_file(struct fixture *f, size_t least)
{
    snprintf(f->dir, sizeof(f->dir), "%s", test_dir());
    snprintf(f->path, sizeof(f->path), "%s/file", f->dir);
    assert_ok(io_open(f->path, IO_CREATE, &f->fd));
    f->want = mem_zalloc(FILE_MAX);
    direct_init(&f->d, least);
    direct_use(&f->d, f->path);
}

static void close_file(struct fixture *f)
{
    direct_release(&f->d);
    io_close(f->fd);
    mem_free(f->want);
    test_rmdir(f->dir);
}

/* n bytes in pieces of any size, empty ones too. */
static void write_some(struct fixture *f, uint64_t off, size_t n)
{
    char *p = mem_alloc(n + 1);
    struct iovec iov[40];
    int count = 0;
    for (size_t i = 0; i < n; i++)
        p[i] = (char)draw(f, 256);
    for (size_t at = 0; at < n; count++) {
        size_t some = count == 39 || draw(f, 4) == 0 ? n - at : draw(f, n - at + 1);
        iov[count] = (struct iovec){p + at, some};
        at += some;
    }
    assert_ok(direct_pwritev(&f->d, f->fd, iov, count, off));
    memcpy(f->want + off, p, n);
    mem_free(p);
}

static void compare(struct fixture *f, uint64_t end)
{
    struct buf got;
    assert_ok(io_sync(f->fd));
    assert_ok(io_read_file(f->path, FILE_MAX, &got));
    assert_int_equal(got.n, end);
    assert_memory_equal(got.p, f->want, end);
    buf_release(&got);
}

/* Groups behind each other, a mark behind each through the cache, as the queue writes. */
static void test_appends(void **state)
{
    struct fixture f = {.seed = 7};
    uint64_t end = 64, marks = 0;
    open_file(&f, 4096);
    for (int i = 0; i < ROUNDS; i++) {
        static const size_t most[] = {100, 5000, 9000, 70000, 1500000};
        size_t n = 1 + draw(&f, most[i % 5]);
        if (end + n + 8 > FILE_MAX)
            break;
        write_some(&f, end, n);
        end += n;
        assert_ok(io_pwrite(f.fd, "the mark", 8, end));
        memcpy(f.want + end, "the mark", 8);
        marks++;
        if (i % 7 == 0)
            compare(&f, end + 8);
    }
    assert_true(marks > 8);
    compare(&f, end + 8);
    close_file(&f);
}

static void test_edges(void **state)
{
    static const size_t sizes[] = {4095, 4096,          4097,    8192,
                                   8193, (1 << 20) - 1, 1 << 20, (1 << 20) + 4097};
    struct fixture f = {.seed = 11};
    uint64_t end = 0;
    open_file(&f, 1);
    for (uint64_t off = 0; off < 3; off++) {
        for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
            uint64_t at = off == 2 ? 4095 : off;
            write_some(&f, at, sizes[i]);
            end = at + sizes[i] > end ? at + sizes[i] : end;
        }
    }
    compare(&f, end);
    close_file(&f);
}

/* Without O_DIRECT, or after it failed, everything goes through the cache. */
static void test_refused(void **state)
{
    struct fixture f = {.seed = 13};
    open_file(&f, 1);
    io_close(f.d.fd);
    assert_ok(io_open(f.path, IO_READ, &f.d.fd)); /* cannot be written to */
    write_some(&f, 0, 20000);
    assert_int_equal(f.d.fd, -1);
    write_some(&f, 20000, 20000);
    compare(&f, 40000);
    direct_use(&f.d, "/nonexistent/file");
    assert_int_equal(f.d.fd, -1);
    close_file(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_appends),
        cmocka_unit_test(test_edges),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
