/* File I/O: thin over the system calls, exact about partial results, and the one place where faults
 * enter.
 *
 * Each call that changes the disk goes through step_begin and step_end. Without a plan both are one
 * branch. With one, step_begin takes the plan's lock and asks fault_step; what a crash must be able
 * to undo is noted between them, before the system call. */
#include "core/io.h"

#include "core/fault.h"
#include "core/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <unistd.h>

enum { FILE_MODE = 0640, FOLDER_MODE = 0750, PAGE_BYTES = 4096 };

/* The path of a descriptor, for messages. */
static const char *fd_path(int fd, char out[PATH_MAX])
{
    char link[64];
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, out, PATH_MAX - 1);
    if (n < 0)
        return "file";
    out[n] = 0;
    return out;
}

/* path NULL: of fd. */
static enum err step_begin(enum fault_op op, int fd, const char *path, size_t *n)
{
    if (!fault_active())
        return OK;
    char name[PATH_MAX];
    fault_lock();
    return fault_step(op, path ? path : fd_path(fd, name), n);
}

static void step_end(void)
{
    if (fault_active())
        fault_unlock();
}

static enum err fail_path(const char *verb, const char *path)
{
    int number = errno;
    enum err err = err_set_errno("cannot %s %s", verb, path);
    if (number == ENOENT)
        return ERR_NOTFOUND;
    return number == EEXIST ? ERR_EXISTS : err;
}

static enum err fail_fd(const char *verb, int fd)
{
    char path[PATH_MAX];
    int number = errno;
    fd_path(fd, path);
    errno = number;
    return err_set_errno("cannot %s %s", verb, path);
}

static enum err open_flags(const char *path, int flags, int *ret_fd)
{
    int fd;
    do {
        fd = open(path, flags | O_CLOEXEC, FILE_MODE);
    } while (fd < 0 && errno == EINTR);
    if (fd < 0)
        return fail_path(flags & O_CREAT ? "create" : "open", path);
    *ret_fd = fd;
    return OK;
}

enum err io_open(const char *path, enum io_mode mode, int *ret_fd)
{
    if (mode == IO_READ)
        return open_flags(path, O_RDONLY, ret_fd);
    if (mode == IO_DIRECT)
        return open_flags(path, O_RDWR | O_DIRECT, ret_fd);
    enum err err = step_begin(FAULT_OP_NAME, -1, path, NULL);
    if (err == OK) {
        if (fault_active())
            fault_note_create(path);
        err = open_flags(path, O_RDWR | O_CREAT | (mode == IO_CREATE ? O_EXCL : 0), ret_fd);
    }
    step_end();
    return err;
}

void io_close(int fd)
{
    if (fd >= 0)
        close(fd);
}

enum err io_pread(int fd, void *p, size_t n, uint64_t off)
{
    enum err err = step_begin(FAULT_OP_READ, fd, NULL, NULL);
    step_end();
    TRY(err);
    if (fault_active() && fault_spoils(off, n)) {
        errno = EIO;
        return fail_fd("read", fd);
    }
    char *at = p;
    while (n) {
        ssize_t got = pread(fd, at, n, (off_t)off);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return fail_fd("read", fd);
        if (got == 0) {
            char path[PATH_MAX];
            return err_set(ERR_EOF, "%s ends at byte %llu, %zu bytes before what is asked",
                           fd_path(fd, path), (unsigned long long)off, n);
        }
        at += got;
        n -= (size_t)got;
        off += (uint64_t)got;
    }
    return OK;
}

enum err io_pread_around(int fd, void *p, size_t n, uint64_t off, uint64_t lost_max, uint64_t *lost,
                         uint64_t *lost_end)
{
    enum err err = io_pread(fd, p, n, off);
    if (err != ERR_IO)
        return err;
    for (uint64_t at = off, end = off + n, next; at < end; at = next) {
        next = (at / PAGE_BYTES + 1) * PAGE_BYTES;
        next = next < end ? next : end;
        char *page = (char *)p + (at - off);
        err = io_pread(fd, page, (size_t)(next - at), at);
        if (err != OK && err != ERR_IO)
            return err;
        if (err == OK)
            continue;
        memset(page, 0, (size_t)(next - at));
        *lost += next - at;
        *lost_end = next;
        if (*lost > lost_max)
            return err;
    }
    return OK;
}

/* Drops the first n bytes of the vector. */
static void iov_advance(struct iovec **iov, int *count, size_t n)
{
    while (*count && n >= (*iov)->iov_len) {
        n -= (*iov)->iov_len;
        (*iov)++;
        (*count)--;
    }
    if (*count) {
        (*iov)->iov_base = (char *)(*iov)->iov_base + n;
        (*iov)->iov_len -= n;
    }
}

static enum err write_vector(int fd, struct iovec *iov, int count, uint64_t off)
{
    iov_advance(&iov, &count, 0);
    while (count) {
        ssize_t put = pwritev(fd, iov, count < IOV_MAX ? count : IOV_MAX, (off_t)off);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return fail_fd("write", fd);
        off += (uint64_t)put;
        iov_advance(&iov, &count, (size_t)put);
    }
    return OK;
}

/* Keeps the first n bytes of the vector. */
static int iov_cut(struct iovec *iov, int count, size_t n)
{
    int i = 0;
    for (; i < count && n; i++) {
        if (iov[i].iov_len > n)
            iov[i].iov_len = n;
        n -= iov[i].iov_len;
    }
    return i;
}

static enum err write_under_plan(int fd, struct iovec *iov, int count, uint64_t off)
{
    size_t total = 0;
    for (int i = 0; i < count; i++)
        total += iov[i].iov_len;
    size_t part = total;
    enum err err = step_begin(FAULT_OP_WRITE, fd, NULL, &part);
    if (part) {
        fault_note_write(fd, NULL, off, part);
        enum err wrote = write_vector(fd, iov, iov_cut(iov, count, part), off);
        err = err == OK ? wrote : err;
    }
    step_end();
    return err;
}

enum err io_pwritev(int fd, struct iovec *iov, int count, uint64_t off)
{
    if (fault_active())
        return write_under_plan(fd, iov, count, off);
    return write_vector(fd, iov, count, off);
}

enum err io_pwrite(int fd, const void *p, size_t n, uint64_t off)
{
    struct iovec iov = {.iov_base = (void *)(uintptr_t)p, .iov_len = n};
    return io_pwritev(fd, &iov, 1, off);
}

enum err io_sync(int fd)
{
    enum err err = step_begin(FAULT_OP_SYNC, fd, NULL, NULL);
    /* Not repeated on EINTR or anything else: after a failure the pages may be gone, see fsync(2).
     */
    if (err == OK && fdatasync(fd) != 0)
        err = fail_fd("sync", fd);
    if (err == OK && fault_active())
        fault_note_sync(fd, NULL);
    step_end();
    return err;
}

static enum err set_size(int fd, uint64_t size)
{
    int r;
    do {
        r = ftruncate(fd, (off_t)size);
    } while (r != 0 && errno == EINTR);
    return r == 0 ? OK : fail_fd("truncate", fd);
}

enum err io_truncate(int fd, uint64_t size)
{
    uint64_t before = 0;
    if (fault_active())
        TRY(io_size(fd, &before));
    enum fault_op op = size > before ? FAULT_OP_GROW : FAULT_OP_DROP;
    enum err err = step_begin(op, fd, NULL, NULL);
    if (err == OK) {
        if (fault_active())
            fault_note_truncate(fd, NULL, size);
        err = set_size(fd, size);
    }
    step_end();
    return err;
}

static enum err allocate(int fd, uint64_t size)
{
    int failed;
    do {
        failed = posix_fallocate(fd, 0, (off_t)size);
    } while (failed == EINTR);
    if (failed == 0)
        return OK;
    errno = failed;
    return fail_fd("allocate", fd);
}

enum err io_allocate(int fd, uint64_t size)
{
    uint64_t before = 0;
    if (size == 0)
        return OK;
    if (fault_active())
        TRY(io_size(fd, &before));
    enum err err = step_begin(FAULT_OP_GROW, fd, NULL, NULL);
    if (err == OK) {
        if (size > before && fault_active())
            fault_note_truncate(fd, NULL, size);
        err = allocate(fd, size);
    }
    step_end();
    return err;
}

enum err io_size(int fd, uint64_t *ret)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return fail_fd("stat", fd);
    *ret = (uint64_t)st.st_size;
    return OK;
}

enum err io_rename(const char *from, const char *to)
{
    enum err err = step_begin(FAULT_OP_NAME, -1, to, NULL);
    if (err == OK) {
        if (fault_active())
            fault_note_rename(from, to);
        if (rename(from, to) != 0)
            err = fail_path("rename", from);
    }
    step_end();
    return err;
}

enum err io_unlink(const char *path)
{
    enum err err = step_begin(FAULT_OP_DROP, -1, path, NULL);
    if (err == OK) {
        if (fault_active())
            fault_note_unlink(path);
        if (unlink(path) != 0 && errno != ENOENT)
            err = fail_path("remove", path);
    }
    step_end();
    return err;
}

static enum err sync_folder(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return fail_path("open folder", path);
    int r = fsync(fd);
    int number = errno;
    close(fd);
    errno = number;
    return r == 0 ? OK : fail_path("sync folder", path);
}

enum err io_sync_dir(const char *path)
{
    enum err err = step_begin(FAULT_OP_SYNC, -1, path, NULL);
    if (err == OK)
        err = sync_folder(path);
    if (err == OK && fault_active())
        fault_note_sync_dir(path);
    step_end();
    return err;
}

/* The folder that holds `path`, to be freed. */
static char *parent_of(const char *path)
{
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/')
        n--;
    while (n && path[n - 1] != '/')
        n--;
    while (n > 1 && path[n - 1] == '/')
        n--;
    return mem_strdup(n ? str_of(path, n) : STR("."));
}

static bool is_folder(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static enum err make_folder(const char *path)
{
    enum err err = step_begin(FAULT_OP_NAME, -1, path, NULL);
    /* Somebody else may have made it meanwhile. */
    if (err == OK && mkdir(path, FOLDER_MODE) != 0 && !(errno == EEXIST && is_folder(path)))
        err = fail_path("make folder", path);
    step_end();
    return err;
}

enum err io_mkdir(const char *path)
{
    if (is_folder(path))
        return OK;
    char *parent = parent_of(path);
    enum err err = OK;
    if (!is_folder(parent))
        TRY_OUT(io_mkdir(parent));
    TRY_OUT(make_folder(path));
    TRY_OUT(io_sync_dir(parent));
out:
    mem_free(parent);
    return err;
}

bool io_exists(const char *path)
{
    return access(path, F_OK) == 0;
}

bool io_is_at(int fd, const char *path)
{
    struct stat open_file, named;
    return fstat(fd, &open_file) == 0 && stat(path, &named) == 0 &&
           open_file.st_dev == named.st_dev && open_file.st_ino == named.st_ino;
}

/* Reads to the end, whatever the size says (files of /proc have none). A full buffer is grown only
 * when another byte is there. */
static enum err read_rest(int fd, struct buf *b)
{
    for (;;) {
        char extra;
        size_t room = b->cap - b->n;
        ssize_t got = pread(fd, room ? b->p + b->n : &extra, room ? room : 1, (off_t)b->n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return fail_fd("read", fd);
        if (got == 0)
            return OK;
        if (room) {
            b->n += (size_t)got;
        } else if (buf_add(b, &extra, 1) != OK) {
            char path[PATH_MAX];
            return err_set(ERR_LIMIT, "%s is larger than %zu bytes", fd_path(fd, path), b->max);
        }
    }
}

enum err io_read_file(const char *path, size_t max, struct buf *ret)
{
    int fd = -1;
    uint64_t size = 0;
    struct buf b;
    buf_init(&b, max);
    TRY(io_open(path, IO_READ, &fd));
    enum err err = step_begin(FAULT_OP_READ, fd, NULL, NULL);
    step_end();
    TRY_OUT(err);
    TRY_OUT(io_size(fd, &size));
    (void)buf_reserve(&b, size < max ? size : max);
    TRY_OUT(read_rest(fd, &b));
    *ret = b;
out:
    if (err != OK)
        buf_release(&b);
    io_close(fd);
    return err;
}

static enum err write_new(const char *path, struct str bytes)
{
    int fd = -1;
    enum err err = OK;
    TRY(io_open(path, IO_WRITE, &fd));
    TRY_OUT(io_truncate(fd, 0));
    TRY_OUT(io_pwrite(fd, bytes.p, bytes.n, 0));
    TRY_OUT(io_sync(fd));
out:
    io_close(fd);
    return err;
}

enum err io_write_file(const char *path, struct str bytes)
{
    char *tmp = mem_printf("%s.tmp", path);
    char *parent = parent_of(path);
    enum err err = OK;
    TRY_OUT(write_new(tmp, bytes));
    TRY_OUT(io_rename(tmp, path));
    TRY_OUT(io_sync_dir(parent));
out:
    if (err != OK)
        unlink(tmp); /* what it held is not needed; the error above is what counts */
    mem_free(tmp);
    mem_free(parent);
    return err;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

struct name_list {
    char **names;
    size_t count, cap;
};

static enum err read_names(const char *path, struct name_list *list)
{
    DIR *dir = opendir(path);
    if (!dir)
        return fail_path("list", path);
    struct dirent *entry;
    while (errno = 0, (entry = readdir(dir)) != NULL) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        ARRAY_GROW(list->names, list->cap, list->count + 1);
        list->names[list->count++] = mem_strdup(str_c(entry->d_name));
    }
    enum err err = errno ? fail_path("list", path) : OK;
    closedir(dir);
    return err;
}

enum err io_list(const char *path, enum err (*fn)(void *ctx, const char *name), void *ctx)
{
    struct name_list list = {0};
    enum err err = read_names(path, &list);
    if (err == OK && list.count)
        qsort(list.names, list.count, sizeof(char *), by_name);
    for (size_t i = 0; i < list.count; i++) {
        if (err == OK)
            err = fn(ctx, list.names[i]);
        mem_free(list.names[i]);
    }
    mem_free(list.names);
    return err;
}

enum err io_disk_space(const char *path, uint64_t *ret_free, uint64_t *ret_total)
{
    struct statvfs st;
    if (statvfs(path, &st) != 0)
        return fail_path("ask the space of", path);
    *ret_free = (uint64_t)st.f_bavail * st.f_frsize;
    *ret_total = (uint64_t)st.f_blocks * st.f_frsize;
    return OK;
}
