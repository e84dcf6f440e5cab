/* What a power cut could take back.
 *
 * Data. Each changed file (by device and inode; a descriptor of our own keeps the inode from being
 * reused) has a list of changes since its last sync: a write with the bytes that it replaced, a
 * truncation with the bytes that it cut off, each with the size before. At the crash the file gets
 * a moment for its size and each of its 512-byte sectors a moment of its own, drawn from the seed:
 * changes past that moment are undone, newest first. So a sector shows all the writes up to some
 * moment and none after it, as a page that was written back then; sectors of one write may differ
 * (a torn write); a size that arrived without its data reads as zeros. A truncation goes back as a
 * whole, with the size, for its blocks are freed only with it. A quarter of the files lose
 * everything, a quarter nothing, so that the plain cases are frequent too.
 *
 * Names. Each folder has a list of creations, renames and removals since its last sync. At the
 * crash a folder gets a moment, and what came after it is undone, newest first: names of one folder
 * come in order, as a journal keeps them. A replaced or removed file is held open and copied back:
 * after the data is undone, so that its own unsynced bytes are lost as well.
 *
 * A failing system call in here would make a crash look milder than it is: it ends the process by
 * BUG. */
#include "core/fault_undo.h"

#include "core/err.h"
#include "core/hash.h"
#include "core/mem.h"
#include "core/str.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SECTOR = 512 };

struct change {
    bool truncation;
    uint64_t off, n; /* what was written, or cut off */
    uint64_t size_before;
    char *old; /* the bytes of [off, off + n) before, as far as there were any */
    uint64_t old_n;
};

struct file {
    dev_t dev;
    ino_t ino;
    int fd;    /* our own */
    bool keep; /* known by path alone: not to be closed, see fault.h */
    struct change *changes;
    size_t count, cap;
};

enum name_kind { NAME_CREATED, NAME_RENAMED, NAME_REMOVED };

struct name {
    enum name_kind kind;
    char *dir;
    char *path; /* of a rename, the new one */
    char *from;
    int old_fd; /* the file that was replaced or removed; -1: none */
};

static struct file *files;
static size_t file_count, file_cap;
static struct name *names;
static size_t name_count, name_cap;

static void changes_free(struct file *f)
{
    for (size_t i = 0; i < f->count; i++)
        mem_free(f->changes[i].old);
    mem_free(f->changes);
    f->changes = NULL;
    f->count = f->cap = 0;
}

static void name_release(struct name *n)
{
    mem_free(n->dir);
    mem_free(n->path);
    mem_free(n->from);
    if (n->old_fd >= 0)
        close(n->old_fd);
}

void undo_reset(void)
{
    for (size_t i = 0; i < file_count; i++) {
        changes_free(&files[i]);
        close(files[i].fd);
    }
    for (size_t i = 0; i < name_count; i++)
        name_release(&names[i]);
    mem_free(files);
    mem_free(names);
    files = NULL;
    names = NULL;
    file_count = file_cap = name_count = name_cap = 0;
}

/* The absolute path of the folder of `path`, so that one folder has one spelling. */
static char *folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *dir = slash == path ? mem_strdup(STR("/"))
                : slash       ? mem_strdup(str_of(path, (size_t)(slash - path)))
                              : mem_strdup(STR("."));
    char resolved[4096];
    if (realpath(dir, resolved)) {
        mem_free(dir);
        dir = mem_strdup(str_c(resolved));
    }
    return dir;
}

static bool find_stat(int fd, const char *path, struct stat *ret)
{
    return fd >= 0 ? fstat(fd, ret) == 0 : stat(path, ret) == 0;
}

static struct file *find_file(const struct stat *st)
{
    for (size_t i = 0; i < file_count; i++) {
        if (files[i].dev == st->st_dev && files[i].ino == st->st_ino)
            return &files[i];
    }
    return NULL;
}

static struct file *track_file(int fd, const char *path, struct stat *ret_stat)
{
    if (!find_stat(fd, path, ret_stat))
        BUG("undo log: stat %s: %s", path ? path : "descriptor", strerror(errno));
    struct file *f = find_file(ret_stat);
    if (f) {
        f->keep |= fd < 0;
        return f;
    }
    char self[64];
    snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
    int own = open(fd >= 0 ? self : path, O_RDWR | O_CLOEXEC);
    if (own < 0)
        BUG("undo log: open %s: %s", fd >= 0 ? self : path, strerror(errno));
    ARRAY_GROW(files, file_cap, file_count + 1);
    f = &files[file_count++];
    *f = (struct file){.dev = ret_stat->st_dev, .ino = ret_stat->st_ino, .fd = own, .keep = fd < 0};
    return f;
}

static void read_old(const struct file *f, struct change *c)
{
    if (c->off >= c->size_before)
        return;
    uint64_t left = c->size_before - c->off;
    c->old_n = left < c->n ? left : c->n;
    c->old = mem_alloc(c->old_n);
    for (uint64_t at = 0; at < c->old_n;) {
        ssize_t got = pread(f->fd, c->old + at, c->old_n - at, (off_t)(c->off + at));
        CHECK(got > 0);
        at += (uint64_t)got;
    }
}

static void add_change(struct file *f, struct change c)
{
    read_old(f, &c);
    ARRAY_GROW(f->changes, f->cap, f->count + 1);
    f->changes[f->count++] = c;
}

void undo_note_write(int fd, const char *path, uint64_t off, size_t n)
{
    struct stat st;
    struct file *f = track_file(fd, path, &st);
    add_change(f, (struct change){.off = off, .n = n, .size_before = (uint64_t)st.st_size});
}

void undo_note_truncate(int fd, const char *path, uint64_t size)
{
    struct stat st;
    struct file *f = track_file(fd, path, &st);
    uint64_t before = (uint64_t)st.st_size;
    uint64_t cut = before > size ? before - size : 0;
    add_change(f,
               (struct change){.truncation = true, .off = size, .n = cut, .size_before = before});
}

void undo_forget_file(int fd, const char *path)
{
    struct stat st;
    if (!find_stat(fd, path, &st))
        return;
    struct file *f = find_file(&st);
    if (!f)
        return;
    changes_free(f);
    if (!f->keep) {
        close(f->fd);
        *f = files[--file_count];
    }
}

static void add_name(enum name_kind kind, const char *path, const char *from, bool hold_old)
{
    struct name n = {.kind = kind, .path = mem_strdup(str_c(path)), .old_fd = -1};
    n.dir = folder_of(path);
    n.from = from ? mem_strdup(str_c(from)) : NULL;
    if (hold_old)
        n.old_fd = open(path, O_RDONLY | O_CLOEXEC);
    ARRAY_GROW(names, name_cap, name_count + 1);
    names[name_count++] = n;
}

void undo_note_create(const char *path)
{
    if (access(path, F_OK) != 0)
        add_name(NAME_CREATED, path, NULL, false);
}

void undo_note_rename(const char *from, const char *to)
{
    if (access(from, F_OK) == 0)
        add_name(NAME_RENAMED, to, from, true);
}

void undo_note_unlink(const char *path)
{
    if (access(path, F_OK) == 0)
        add_name(NAME_REMOVED, path, NULL, true);
}

static bool names_hold_files(void)
{
    for (size_t i = 0; i < name_count; i++) {
        if (names[i].old_fd >= 0)
            return true;
    }
    return false;
}

/* A file without a name that no undone name can bring back is nobody's. */
static void drop_nameless_files(void)
{
    size_t kept = 0;
    for (size_t i = 0; i < file_count; i++) {
        struct stat st;
        if (fstat(files[i].fd, &st) == 0 && st.st_nlink == 0) {
            changes_free(&files[i]);
            close(files[i].fd);
        } else {
            files[kept++] = files[i];
        }
    }
    file_count = kept;
}

void undo_forget_dir(const char *path)
{
    char resolved[4096];
    if (!realpath(path, resolved))
        return;
    size_t kept = 0;
    for (size_t i = 0; i < name_count; i++) {
        if (strcmp(names[i].dir, resolved) == 0)
            name_release(&names[i]);
        else
            names[kept++] = names[i];
    }
    name_count = kept;
    if (!names_hold_files())
        drop_nameless_files();
}

static void write_all(int fd, const char *p, uint64_t n, uint64_t off)
{
    while (n) {
        ssize_t put = pwrite(fd, p, n, (off_t)off);
        if (put <= 0)
            BUG("undo log: write: %s", strerror(errno));
        p += put;
        n -= (uint64_t)put;
        off += (uint64_t)put;
    }
}

/* Undoes [from, from + n) of a change; what was not there before becomes zeros. */
static void restore(const struct file *f, const struct change *c, uint64_t from, uint64_t n)
{
    static const char zeros[SECTOR];
    uint64_t rel = from - c->off;
    uint64_t old = rel < c->old_n ? c->old_n - rel : 0;
    old = old < n ? old : n;
    if (old)
        write_all(f->fd, c->old + rel, old, from);
    for (uint64_t at = old; at < n;) {
        uint64_t part = n - at < SECTOR ? n - at : SECTOR;
        write_all(f->fd, zeros, part, from + at);
        at += part;
    }
}

/* Moment m of a list of `count` changes: those with an index of m and more are undone. */
static size_t draw_moment(uint64_t random, size_t count)
{
    return (size_t)(hash_mix(random) % (count + 1));
}

static void undo_write(const struct file *f, size_t index, uint64_t seed)
{
    const struct change *c = &f->changes[index];
    uint64_t end = c->off + c->n;
    for (uint64_t at = c->off; at < end;) {
        uint64_t sector = at / SECTOR;
        uint64_t next = (sector + 1) * SECTOR < end ? (sector + 1) * SECTOR : end;
        if (index >= draw_moment(seed + sector * 0x9e3779b97f4a7c15ULL, f->count))
            restore(f, c, at, next - at);
        at = next;
    }
}

static void undo_file(const struct file *f, uint64_t seed)
{
    enum { LOSE_ALL, LOSE_NOTHING, LOSE_SOME_A, LOSE_SOME_B, MODES };
    uint64_t mode = hash_mix(seed) % MODES;
    if (mode == LOSE_NOTHING || f->count == 0)
        return;
    struct stat st;
    CHECK(fstat(f->fd, &st) == 0);
    size_t size_moment = mode == LOSE_ALL ? 0 : draw_moment(seed + 1, f->count);
    uint64_t size =
        size_moment < f->count ? f->changes[size_moment].size_before : (uint64_t)st.st_size;
    for (size_t i = f->count; i-- > 0;) {
        const struct change *c = &f->changes[i];
        if (mode == LOSE_ALL || (c->truncation && i >= size_moment))
            restore(f, c, c->off, c->n);
        else if (!c->truncation)
            undo_write(f, i, seed);
    }
    if (ftruncate(f->fd, (off_t)size) != 0)
        BUG("undo log: truncate: %s", strerror(errno));
}

static void copy_back(const struct name *n)
{
    if (n->old_fd < 0)
        return;
    int to = open(n->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
    if (to < 0)
        BUG("undo log: create %s: %s", n->path, strerror(errno));
    char bytes[16384];
    uint64_t off = 0;
    ssize_t got;
    while ((got = pread(n->old_fd, bytes, sizeof(bytes), (off_t)off)) > 0) {
        write_all(to, bytes, (uint64_t)got, off);
        off += (uint64_t)got;
    }
    CHECK(got == 0);
    close(to);
}

/* A call that was noted and then failed has changed nothing: then the name is not where it would
 * be, and there is nothing to take back. */
static void undo_name(const struct name *n)
{
    bool there = access(n->path, F_OK) == 0;
    switch (n->kind) {
    case NAME_CREATED:
        unlink(n->path);
        break;
    case NAME_RENAMED:
        if (!there || access(n->from, F_OK) == 0)
            return;
        CHECK(rename(n->path, n->from) == 0);
        copy_back(n);
        break;
    case NAME_REMOVED:
        if (!there)
            copy_back(n);
        break;
    }
}

/* The folder of a name as a number that does not depend on where the test's folder lies. */
static size_t folder_number(const struct name *n)
{
    size_t i = 0;
    while (strcmp(names[i].dir, n->dir) != 0)
        i++;
    return i;
}

void undo_apply(uint64_t seed)
{
    for (size_t i = 0; i < file_count; i++)
        undo_file(&files[i], hash_mix(seed + 1) + (i + 1) * 0xd1342543de82ef95ULL);
    for (size_t i = name_count; i-- > 0;) {
        uint64_t folder = hash_mix(seed + 2) + folder_number(&names[i]);
        if (i >= draw_moment(folder, name_count))
            undo_name(&names[i]);
    }
}
