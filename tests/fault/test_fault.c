/* The fault layer itself: every kind of plan strikes where it should, and a crash that loses what
 * was not synced loses nothing else. Crashes happen in children made by fork(). */
#include "core/io.h"
#include "core/mem.h"
#include "folder_kit.h"

#include <fcntl.h>
#include <sys/stat.h>

static void plan(enum fault_kind kind, uint64_t n)
{
    fault_set(&(struct fault_plan){.kind = kind, .at = n});
}

static char *content(const char *name)
{
    struct buf b;
    if (io_read_file(at(name), 1 << 24, &b) != OK)
        return NULL;
    char *text = mem_strdup(buf_str(&b));
    buf_release(&b);
    return text;
}

static void assert_content(const char *name, const char *want)
{
    char *text = content(name);
    assert_non_null(text);
    assert_string_equal(text, want);
    mem_free(text);
}

static void test_parse(void **state)
{
    struct fault_plan p = {0};
    assert_ok(fault_parse("crash@120:seed=7", &p));
    assert_true(p.kind == FAULT_CRASH && p.at == 120 && p.seed == 7 && p.lose && !p.sticky);
    assert_ok(fault_parse("crash@3:lose=0", &p));
    assert_true(p.at == 3 && !p.lose && p.seed == 0);
    assert_ok(fault_parse("eio@40:sticky=1:reads=1", &p));
    assert_true(p.kind == FAULT_EIO && p.sticky && p.reads);
    assert_ok(fault_parse("enospc", &p));
    assert_true(p.kind == FAULT_ENOSPC && p.at == 1);
    assert_ok(fault_parse("slow@5000", &p));
    assert_true(p.kind == FAULT_SLOW && p.at == 5000);
    assert_ok(fault_parse("short@2", &p));
    assert_ok(fault_parse("fsync@2", &p));
    assert_ok(fault_parse("count", &p));
    const char *bad[] = {"",         "crash@",       "crash@0",        "crash@x",
                         "boom@1",   "crash@1:seed", "crash@1:lose=2", "crash@1:what=1",
                         "crash@1:", "none@1"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_err(fault_parse(bad[i], &p), ERR_INVALID, "fault plan \"");
}

static void test_environment(void **state)
{
    unsetenv("WEIR_FAULT");
    assert_ok(fault_from_env());
    assert_false(fault_active());
    setenv("WEIR_FAULT", "eio@1", 1);
    assert_ok(fault_from_env());
    assert_true(fault_active());
    assert_err(io_write_file(at("f"), STR("x")), ERR_IO, "f.tmp: Input/output error");
    setenv("WEIR_FAULT", "eio@", 1);
    assert_err(fault_from_env(), ERR_INVALID, "eio@");
    unsetenv("WEIR_FAULT");
}

static void test_count(void **state)
{
    plan(FAULT_COUNT_ONLY, 1);
    assert_ok(io_write_file(at("f"), STR("x"))); /* create truncate write sync rename sync */
    assert_int_equal(fault_calls(), 6);
    assert_content("f", "x"); /* reads are not counted */
    assert_ok(io_mkdir(at("d")));
    assert_ok(io_unlink(at("f")));
    assert_int_equal(fault_calls(), 9);
    fault_set(&(struct fault_plan){.kind = FAULT_COUNT_ONLY, .reads = true});
    assert_null(content("f"));
    assert_int_equal(fault_calls(), 0);
    assert_ok(io_write_file(at("f"), STR("x")));
    assert_content("f", "x");
    assert_int_equal(fault_calls(), 7);
    assert_int_equal(fault_hits(), 0);
}

/* At whichever call it fails, the file is the old or the new one, and the next try works. */
static void walk_write_file(enum fault_kind kind, enum err want)
{
    for (uint64_t n = 1;; n++) {
        fault_set(NULL);
        assert_ok(io_write_file(at("f"), STR("old")));
        plan(kind, n);
        enum err err = io_write_file(at("f"), STR("new content"));
        if (fault_hits() == 0) {
            assert_int_equal(err, OK);
            assert_true(n > 2);
            break;
        }
        assert_int_equal(err, want);
        char *text = content("f");
        assert_non_null(text);
        assert_true(strcmp(text, "old") == 0 || strcmp(text, "new content") == 0);
        mem_free(text);
        assert_ok(io_write_file(at("f"), STR("again"))); /* not sticky */
        assert_content("f", "again");
    }
}

static void test_errors_at_each_call(void **state)
{
    walk_write_file(FAULT_EIO, ERR_IO);
    walk_write_file(FAULT_ENOSPC, ERR_FULL);
    walk_write_file(FAULT_SHORT, ERR_FULL);
    walk_write_file(FAULT_FSYNC, ERR_IO);
}

static void test_sticky(void **state)
{
    fault_set(&(struct fault_plan){.kind = FAULT_ENOSPC, .at = 1, .sticky = true});
    for (int i = 0; i < 3; i++)
        assert_err(io_mkdir(at("d")), ERR_FULL, "No space left");
    assert_int_equal(fault_hits(), 3);
    assert_ok(io_unlink(at("d"))); /* takes no space */
}

static void test_each_call_can_fail(void **state)
{
    int fd = -1;
    char c;
    assert_ok(io_open(at("f"), IO_CREATE, &fd));
    assert_ok(io_pwrite(fd, "abcd", 4, 0));
    fault_set(&(struct fault_plan){.kind = FAULT_EIO, .at = 1, .sticky = true, .reads = true});
    assert_err(io_open(at("g"), IO_CREATE, &fd), ERR_IO, "cannot create");
    assert_err(io_pread(fd, &c, 1, 0), ERR_IO, "cannot read");
    assert_err(io_pwrite(fd, "x", 1, 0), ERR_IO, "cannot write");
    assert_err(io_truncate(fd, 1), ERR_IO, "cannot remove");
    assert_err(io_truncate(fd, 9), ERR_IO, "cannot allocate");
    assert_err(io_allocate(fd, 9), ERR_IO, "cannot allocate");
    assert_err(io_sync(fd), ERR_IO, "cannot sync");
    assert_err(io_rename(at("f"), at("g")), ERR_IO, "cannot create");
    assert_err(io_unlink(at("f")), ERR_IO, "cannot remove");
    assert_err(io_sync_dir(dir), ERR_IO, "cannot sync");
    struct buf b;
    assert_err(io_read_file(at("f"), 10, &b), ERR_IO, "cannot read");
    fault_set(NULL);
    assert_content("f", "abcd");
    io_close(fd);
}

static void test_short_write_leaves_half(void **state)
{
    int fd = -1;
    uint64_t size = 0;
    assert_ok(io_open(at("f"), IO_CREATE, &fd));
    plan(FAULT_SHORT, 1);
    assert_err(io_pwrite(fd, "abcdefgh", 8, 0), ERR_FULL, "No space left");
    assert_ok(io_size(fd, &size));
    assert_int_equal(size, 4);
    io_close(fd);
    assert_content("f", "abcd");
}

/* Runs fn in a child that is to be killed by its plan. */
static void crash(void (*fn)(void), struct fault_plan p)
{
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        p.kind = FAULT_CRASH;
        fault_set(&p);
        fn();
        _exit(9);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
        fail_msg("at %d, seed %d: status %x", (int)p.at, (int)p.seed, (unsigned)status);
}

static void must(enum err err)
{
    if (err == OK)
        return;
    fprintf(stderr, "child: %s\n", err_text());
    _exit(8);
}

enum { HALF = 8192 };

/* 16 KiB of A, synced; then B over its second half and 8 KiB past it, not synced. 8 calls, then a
 * ninth. */
static void write_and_overwrite(void)
{
    static char a[2 * HALF], b[2 * HALF];
    int fd;
    memset(a, 'A', sizeof(a));
    memset(b, 'B', sizeof(b));
    must(io_open(at("f"), IO_CREATE, &fd));               /* 1 */
    must(io_pwrite(fd, a, sizeof(a), 0));                 /* 2 */
    must(io_sync(fd));                                    /* 3 */
    must(io_sync_dir(dir));                               /* 4 */
    must(io_pwrite(fd, b, HALF, HALF));                   /* 5 */
    must(io_pwrite(fd, b, 1000, 2 * HALF));               /* 6 */
    must(io_pwrite(fd, b, HALF - 1000, 2 * HALF + 1000)); /* 7 */
    must(io_sync(fd));                                    /* 8 */
    must(io_sync_dir(dir));                               /* 9 */
}

static void count_in(const char *text, size_t from, size_t n, size_t counts[256])
{
    memset(counts, 0, 256 * sizeof(counts[0]));
    for (size_t i = from; i < from + n; i++)
        counts[(unsigned char)text[i]]++;
}

static void test_unsynced_bytes_may_vanish_synced_never(void **state)
{
    bool lost = false, kept = false, torn = false, shorter = false, holes = false;
    for (uint64_t seed = 0; seed < 120; seed++) {
        unlink(at("f"));
        crash(write_and_overwrite, (struct fault_plan){.at = 8, .seed = seed, .lose = true});
        struct buf b;
        size_t counts[256];
        assert_ok(io_read_file(at("f"), 1 << 20, &b));
        assert_in_range(b.n, 2 * HALF, 3 * HALF);
        count_in(b.p, 0, HALF, counts);
        assert_int_equal(counts['A'], HALF); /* synced and not touched since */
        count_in(b.p, HALF, HALF, counts);
        assert_int_equal(counts['A'] + counts['B'], HALF); /* the old byte or the new one */
        assert_int_equal(counts['A'] % 512, 0);            /* whole sectors */
        lost |= counts['A'] == HALF;
        kept |= counts['B'] == HALF;
        torn |= counts['A'] && counts['B'];
        count_in(b.p, 2 * HALF, b.n - 2 * HALF, counts);
        assert_int_equal(counts['B'] + counts[0], b.n - 2 * HALF);
        shorter |= b.n < 3 * HALF;
        holes |= counts[0] > 0;
        buf_release(&b);
    }
    assert_true(lost && kept && torn && shorter && holes);
}

static void test_synced_is_kept(void **state)
{
    for (uint64_t seed = 0; seed < 20; seed++) {
        unlink(at("f"));
        crash(write_and_overwrite, (struct fault_plan){.at = 9, .seed = seed, .lose = true});
        struct buf b;
        size_t counts[256];
        assert_ok(io_read_file(at("f"), 1 << 20, &b));
        assert_int_equal(b.n, 3 * HALF);
        count_in(b.p, 0, b.n, counts);
        assert_int_equal(counts['A'], HALF);
        assert_int_equal(counts['B'], 2 * HALF);
        buf_release(&b);
    }
}

static void test_a_kill_keeps_everything(void **state)
{
    crash(write_and_overwrite, (struct fault_plan){.at = 8, .seed = 1, .lose = false});
    struct stat st;
    assert_int_equal(stat(at("f"), &st), 0);
    assert_int_equal(st.st_size, 3 * HALF);
}

static void change_names(void)
{
    int fd;
    must(io_rename(at("renamed"), at("target"))); /* 1 */
    must(io_unlink(at("removed")));               /* 2 */
    must(io_open(at("created"), IO_CREATE, &fd)); /* 3 */
    must(io_pwrite(fd, "c", 1, 0));               /* 4 */
    must(io_sync(fd));                            /* 5 */
    must(io_unlink(at("created2")));              /* 6: absent, nothing to undo */
    must(io_sync_dir(dir));                       /* 7 */
    must(io_mkdir(at("d")));                      /* 8 */
}

static void make_names(void)
{
    assert_ok(io_write_file(at("renamed"), STR("from")));
    assert_ok(io_write_file(at("target"), STR("replaced")));
    assert_ok(io_write_file(at("removed"), STR("gone")));
    assert_ok(io_unlink(at("created")));
}

static void test_unsynced_names_may_go_back(void **state)
{
    int renames_undone = 0, removals_undone = 0, creations_undone = 0;
    enum { ROUNDS = 60 };
    for (uint64_t seed = 0; seed < ROUNDS; seed++) {
        make_names();
        crash(change_names, (struct fault_plan){.at = 7, .seed = seed, .lose = true});
        bool back = io_exists(at("renamed"));
        assert_content("target", back ? "replaced" : "from");
        if (back)
            assert_content("renamed", "from");
        bool again = io_exists(at("removed"));
        if (again)
            assert_content("removed", "gone");
        bool created = io_exists(at("created"));
        if (created)
            assert_content("created", "c");
        /* In order: what came later goes first. */
        assert_true(!back || (again && !created));
        assert_true(!again || !created);
        renames_undone += back;
        removals_undone += again;
        creations_undone += !created;
    }
    assert_in_range(renames_undone, 1, ROUNDS - 1);
    assert_in_range(removals_undone, renames_undone + 1, ROUNDS - 1);
    assert_in_range(creations_undone, removals_undone + 1, ROUNDS - 1);
}

static void test_synced_names_stay(void **state)
{
    for (uint64_t seed = 0; seed < 20; seed++) {
        make_names();
        crash(change_names, (struct fault_plan){.at = 8, .seed = seed, .lose = true});
        assert_false(io_exists(at("renamed")) || io_exists(at("removed")));
        assert_content("target", "from");
        assert_content("created", "c");
    }
}

static void rewrite(void)
{
    must(io_write_file(at("f"), STR("new content")));
    must(io_mkdir(at("x")));
    must(io_mkdir(at("y")));
}

static void test_write_file_is_atomic(void **state)
{
    int olds = 0, news = 0;
    for (uint64_t n = 1; n <= 7; n++) {
        for (uint64_t seed = 0; seed < 15; seed++) {
            assert_ok(io_write_file(at("f"), STR("old")));
            rmdir(at("x"));
            crash(rewrite, (struct fault_plan){.at = n, .seed = seed, .lose = true});
            char *text = content("f");
            assert_non_null(text);
            bool old = strcmp(text, "old") == 0;
            assert_true(old || strcmp(text, "new content") == 0);
            assert_true(n < 7 || !old); /* the last sync was over */
            olds += old;
            news += !old;
            mem_free(text);
        }
    }
    assert_true(olds > 0 && news > 15);
}

/* Truncation and new writes into the same place: what is left was there at some moment. */
static void truncate_and_rewrite(void)
{
    int fd;
    must(io_open(at("t"), IO_WRITE, &fd)); /* 1 */
    must(io_truncate(fd, 1024));           /* 2 */
    static char c[2048];
    memset(c, 'C', sizeof(c));
    must(io_pwrite(fd, c, sizeof(c), 1024)); /* 3 */
    must(io_allocate(fd, 8192));             /* 4 */
    must(io_sync(fd));                       /* 5 */
}

static void test_truncation_goes_back_whole(void **state)
{
    bool old_seen = false, cut_seen = false, new_seen = false;
    static char d[4096];
    memset(d, 'D', sizeof(d));
    for (uint64_t seed = 0; seed < 80; seed++) {
        assert_ok(io_write_file(at("t"), str_of(d, sizeof(d))));
        crash(truncate_and_rewrite, (struct fault_plan){.at = 5, .seed = seed, .lose = true});
        struct buf b;
        size_t counts[256];
        assert_ok(io_read_file(at("t"), 1 << 20, &b));
        count_in(b.p, 0, 1024, counts);
        assert_int_equal(counts['D'], 1024);
        count_in(b.p, 1024, b.n - 1024, counts);
        assert_int_equal(counts['D'] + counts['C'] + counts[0], b.n - 1024);
        if (b.n == 4096) /* not truncated: nothing of it is missing */
            assert_int_equal(counts['D'], 3072);
        else
            assert_int_equal(counts['D'], 0);
        assert_true(b.n == 4096 || b.n == 1024 || b.n == 3072 || b.n == 8192);
        old_seen |= b.n == 4096;
        cut_seen |= b.n == 1024;
        new_seen |= b.n == 8192;
        buf_release(&b);
    }
    assert_true(old_seen && cut_seen && new_seen);
}

/* As a VFS does that knows paths alone. */
static void foreign_writer(void)
{
    char path[512];
    snprintf(path, sizeof(path), "%s/db", dir);
    int fd = open(path, O_RDWR | O_CREAT, 0600);
    for (int i = 0; i < 4; i++) {
        size_t part = 512;
        char page[512];
        memset(page, 'a' + i, sizeof(page));
        fault_lock();
        must(fault_step(FAULT_OP_WRITE, path, &part)); /* 1 3 5 7 */
        fault_note_write(-1, path, (uint64_t)i * 512, part);
        if (pwrite(fd, page, part, i * 512) != 512)
            _exit(7);
        fault_unlock();
        fault_lock();
        must(fault_step(FAULT_OP_SYNC, path, NULL)); /* 2 4 6 8 */
        if (i < 2)
            fault_note_sync(-1, path);
        fault_unlock();
    }
    fault_lock();
    must(fault_step(FAULT_OP_DROP, path, NULL)); /* 9 */
    fault_note_unlink(path);
    unlink(path);
    fault_unlock();
    fault_lock();
    must(fault_step(FAULT_OP_SYNC, path, NULL)); /* 10 */
}

static void test_foreign_files_take_part(void **state)
{
    int gone = 0, shorter = 0;
    for (uint64_t seed = 0; seed < 60; seed++) {
        unlink(at("db"));
        crash(foreign_writer, (struct fault_plan){.at = 10, .seed = seed, .lose = true});
        struct buf b;
        if (!io_exists(at("db"))) {
            gone++;
            continue;
        }
        assert_ok(io_read_file(at("db"), 1 << 20, &b));
        assert_in_range(b.n, 1024, 2048);
        assert_true(b.p[0] == 'a' && b.p[511] == 'a' && b.p[512] == 'b' && b.p[1023] == 'b');
        shorter += b.n < 2048;
        buf_release(&b);
    }
    assert_in_range(gone, 1, 59);
    assert_true(shorter > 0);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_parse),
        TEST(test_environment),
        TEST(test_count),
        TEST(test_errors_at_each_call),
        TEST(test_sticky),
        TEST(test_each_call_can_fail),
        TEST(test_short_write_leaves_half),
        TEST(test_unsynced_bytes_may_vanish_synced_never),
        TEST(test_synced_is_kept),
        TEST(test_a_kill_keeps_everything),
        TEST(test_unsynced_names_may_go_back),
        TEST(test_synced_names_stay),
        TEST(test_write_file_is_atomic),
        TEST(test_truncation_goes_back_whole),
        TEST(test_foreign_files_take_part),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
