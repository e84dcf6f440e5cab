#include "core/clock.h"
#include "core/io.h"
#include "core/mem.h"
#include "folder_kit.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>

static void test_open_modes(void **state)
{
    int fd = 77;
    assert_err(io_open(at("none"), IO_READ, &fd), ERR_NOTFOUND, "cannot open");
    assert_int_equal(fd, 77);
    assert_ok(io_open(at("f"), IO_CREATE, &fd));
    io_close(fd);
    assert_err(io_open(at("f"), IO_CREATE, &fd), ERR_EXISTS, "/f: File exists");
    assert_ok(io_open(at("f"), IO_WRITE, &fd));
    assert_ok(io_pwrite(fd, "abc", 3, 0));
    io_close(fd);
    assert_ok(io_open(at("f"), IO_READ, &fd));
    char got[4] = "";
    assert_ok(io_pread(fd, got, 3, 0));
    assert_string_equal(got, "abc");
    assert_err(io_pwrite(fd, "x", 1, 0), ERR_IO, "cannot write ");
    assert_err(io_truncate(fd, 1), ERR_IO, "cannot truncate");
    assert_err(io_allocate(fd, 1), ERR_IO, "cannot allocate");
    io_close(fd);
    io_close(-1);
    struct stat st;
    assert_int_equal(stat(at("f"), &st), 0);
    assert_int_equal(st.st_mode & 0007, 0);
}

static void test_read_past_the_end(void **state)
{
    int fd = -1;
    char got[8] = "";
    assert_ok(io_open(at("f"), IO_CREATE, &fd));
    assert_ok(io_pwrite(fd, "abc", 3, 5));
    assert_err(io_pread(fd, got, 4, 5), ERR_EOF, "/f ends at byte 8, 1 bytes before");
    assert_ok(io_pread(fd, got, 8, 0));
    assert_memory_equal(got, "\0\0\0\0\0abc", 8);
    io_close(fd);
    assert_err(io_pread(fd, got, 1, 0), ERR_IO, "cannot read");
    assert_err(io_sync(fd), ERR_IO, "cannot sync");
    uint64_t size;
    assert_err(io_size(fd, &size), ERR_IO, "cannot stat");
}

static void test_vector(void **state)
{
    /* More pieces than IOV_MAX, and empty ones. */
    enum { PIECES = 3000 };
    struct iovec *iov = NEW_ARRAY(struct iovec, PIECES);
    for (int i = 0; i < PIECES; i++)
        iov[i] = (struct iovec){.iov_base = i % 2 ? "ab" : "c", .iov_len = i % 3 == 0 ? 0 : 1};
    int fd = -1;
    uint64_t size = 0;
    assert_ok(io_open(at("v"), IO_CREATE, &fd));
    assert_ok(io_pwritev(fd, iov, PIECES, 10));
    assert_ok(io_size(fd, &size));
    assert_int_equal(size, 10 + 2000);
    char got[4];
    assert_ok(io_pread(fd, got, 4, 10));
    assert_memory_equal(got, "acca", 4);
    assert_ok(io_pwritev(fd, iov, 0, 0));
    io_close(fd);
    mem_free(iov);
}

static void test_sizes(void **state)
{
    int fd = -1;
    uint64_t size = 0;
    assert_ok(io_open(at("f"), IO_CREATE, &fd));
    assert_ok(io_pwrite(fd, "abcdef", 6, 0));
    assert_ok(io_truncate(fd, 3));
    assert_ok(io_size(fd, &size));
    assert_int_equal(size, 3);
    assert_ok(io_allocate(fd, 100000));
    assert_ok(io_allocate(fd, 10));
    assert_ok(io_allocate(fd, 0));
    assert_ok(io_size(fd, &size));
    assert_int_equal(size, 100000);
    char got[4] = "";
    assert_ok(io_pread(fd, got, 3, 0));
    assert_string_equal(got, "abc");
    assert_ok(io_sync(fd));
    io_close(fd);
}

static void test_names(void **state)
{
    assert_ok(io_write_file(at("a"), STR("one")));
    assert_ok(io_rename(at("a"), at("b")));
    assert_false(io_exists(at("a")));
    assert_true(io_exists(at("b")));
    assert_err(io_rename(at("a"), at("c")), ERR_NOTFOUND, "cannot rename");
    assert_ok(io_unlink(at("b")));
    assert_ok(io_unlink(at("b")));
    assert_ok(io_mkdir(at("d")));
    assert_err(io_unlink(at("d")), ERR_IO, "cannot remove");
    assert_ok(io_sync_dir(at("d")));
    assert_err(io_sync_dir(at("none")), ERR_NOTFOUND, "cannot open folder");
}

static void test_mkdir(void **state)
{
    assert_ok(io_mkdir(at("x/y//z/")));
    assert_ok(io_mkdir(at("x/y/z")));
    assert_ok(io_mkdir("/"));
    assert_ok(io_write_file(at("x/y/z/f"), STR("")));
    assert_err(io_mkdir(at("x/y/z/f")), ERR_EXISTS, "cannot make folder");
    assert_err(io_mkdir(at("x/y/z/f/g")), ERR_EXISTS, "cannot make folder");
    assert_err(io_mkdir(""), ERR_NOTFOUND, "cannot make folder");
    /* Relative to the current folder. */
    char before[512];
    assert_non_null(getcwd(before, sizeof(before)));
    assert_int_equal(chdir(dir), 0);
    assert_ok(io_mkdir("rel/ative"));
    assert_ok(io_write_file("rel.txt", STR("r")));
    assert_int_equal(chdir(before), 0);
    assert_true(io_exists(at("rel/ative")) && io_exists(at("rel.txt")));
}

static void test_whole_files(void **state)
{
    struct buf b;
    assert_ok(io_write_file(at("f"), STR("hello")));
    assert_ok(io_write_file(at("f"), STR("hi"))); /* shorter than before */
    assert_false(io_exists(at("f.tmp")));
    assert_ok(io_read_file(at("f"), 2, &b));
    assert_str(buf_str(&b), "hi");
    buf_release(&b);
    assert_err(io_read_file(at("f"), 1, &b), ERR_LIMIT, "/f is larger than 1 bytes");
    assert_err(io_read_file(at("none"), 1, &b), ERR_NOTFOUND, "none");
    assert_err(io_read_file(dir, 10, &b), ERR_IO, "cannot read");
    assert_err(io_write_file(at("no/f"), STR("x")), ERR_NOTFOUND, "no/f.tmp");
    assert_ok(io_mkdir(at("folder")));
    assert_err(io_write_file(at("folder"), STR("x")), ERR_IO, "cannot rename");
    assert_false(io_exists(at("folder.tmp")));
    assert_ok(io_read_file("/proc/self/status", 1 << 20, &b)); /* has no size */
    assert_true(b.n > 100);
    buf_release(&b);
    assert_ok(io_write_file(at("empty"), (struct str){0}));
    assert_ok(io_read_file(at("empty"), 10, &b));
    assert_int_equal(b.n, 0);
    buf_release(&b);
}

static enum err gather(void *ctx, const char *name)
{
    char *all = ctx;
    snprintf(all + strlen(all), 100 - strlen(all), "%s ", name);
    return strcmp(name, "stop") == 0 ? err_set(ERR_CANCELED, "stopped") : OK;
}

static void test_list(void **state)
{
    char all[100] = "";
    assert_ok(io_list(dir, gather, all));
    assert_string_equal(all, "");
    assert_ok(io_write_file(at("b"), STR("")));
    assert_ok(io_write_file(at("a"), STR("")));
    assert_ok(io_write_file(at("stop"), STR("")));
    assert_ok(io_write_file(at("z"), STR("")));
    assert_err(io_list(dir, gather, all), ERR_CANCELED, "stopped");
    assert_string_equal(all, "a b stop ");
    assert_err(io_list(at("none"), gather, all), ERR_NOTFOUND, "cannot list");
}

static void test_disk_space(void **state)
{
    uint64_t left = 0, total = 0;
    assert_ok(io_disk_space(dir, &left, &total));
    assert_true(total > 0 && left <= total);
    assert_err(io_disk_space(at("none"), &left, &total), ERR_NOTFOUND, "none");
}

/* A device that is always full gives ERR_FULL. */
static void test_full_device(void **state)
{
    int fd = open("/dev/full", O_RDWR);
    assert_true(fd >= 0);
    assert_err(io_pwrite(fd, "x", 1, 0), ERR_FULL, "No space left");
    io_close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_open_modes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_read_past_the_end, setup, teardown),
        cmocka_unit_test_setup_teardown(test_vector, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sizes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_names, setup, teardown),
        cmocka_unit_test_setup_teardown(test_mkdir, setup, teardown),
        cmocka_unit_test_setup_teardown(test_whole_files, setup, teardown),
        cmocka_unit_test_setup_teardown(test_list, setup, teardown),
        cmocka_unit_test_setup_teardown(test_disk_space, setup, teardown),
        cmocka_unit_test(test_full_device),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
