/* Folders are watched, not files: one watch serves them all, and tells of those to come. A renaming
 * comes as two events with one cookie, the old name first.
 *
 * A folder of a file system that other machines write to is not watched: the kernel tells only of
 * what this one does. Whoever asks looks at it by the clock, as at one that is not there yet. */
#include "core/log.h"
#include "core/mem.h"
#include "input/tail_impl.h"

#include <errno.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <sys/vfs.h>
#include <unistd.h>

struct folder {
    int watch;
    char *path;
};

struct tail_watch {
    int fd;
    bool complained;
    struct folder *folder;
    size_t n, cap;
    uint32_t cookie; /* of the old name seen last */
    char from[PATH_MAX];
};

struct tail_watch *tail_watch_new(void)
{
    int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (fd < 0) {
        log_warn("no inotify: folders are looked at by the clock", "error=\"%s\"", strerror(errno));
        return NULL;
    }
    struct tail_watch *w = NEW(struct tail_watch);
    w->fd = fd;
    return w;
}

void tail_watch_free(struct tail_watch *w)
{
    if (!w)
        return;
    for (size_t i = 0; i < w->n; i++)
        mem_free(w->folder[i].path);
    mem_free(w->folder);
    close(w->fd);
    mem_free(w);
}

int tail_watch_fd(const struct tail_watch *w)
{
    return w ? w->fd : -1;
}

static const char *path_of(const struct tail_watch *w, int watch)
{
    for (size_t i = 0; i < w->n; i++)
        if (w->folder[i].watch == watch)
            return w->folder[i].path;
    return NULL;
}

static bool is_remote(const char *path)
{
    static const uint32_t remote[] = {
        NFS_SUPER_MAGIC,  SMB_SUPER_MAGIC,  AFS_SUPER_MAGIC,  AFS_FS_MAGIC,     V9FS_MAGIC,
        CODA_SUPER_MAGIC, CEPH_SUPER_MAGIC, FUSE_SUPER_MAGIC, CIFS_SUPER_MAGIC, SMB2_SUPER_MAGIC};
    struct statfs s;
    if (statfs(path, &s) != 0)
        return false;
    for (size_t i = 0; i < sizeof(remote) / sizeof(*remote); i++)
        if ((uint32_t)s.f_type == remote[i])
            return true;
    return false;
}

static void complain(struct tail_watch *w, const char *path, const char *why)
{
    if (!w->complained)
        log_warn("a folder cannot be watched: it is looked at by the clock",
                 "folder=%s reason=\"%s\"", path, why);
    w->complained = true;
}

static void forget(struct tail_watch *w, int watch)
{
    for (size_t i = 0; i < w->n; i++)
        if (w->folder[i].watch == watch) {
            mem_free(w->folder[i].path);
            w->folder[i] = w->folder[--w->n];
            return;
        }
}

int tail_watch_folder(struct tail_watch *w, const char *path)
{
    if (!w)
        return -1;
    if (is_remote(path)) {
        complain(w, path, "others may write to its file system");
        return -1;
    }
    int watch = inotify_add_watch(
        w->fd, path, IN_MODIFY | IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_ONLYDIR);
    if (watch < 0 && errno != ENOENT)
        complain(w, path,
                 errno == ENOSPC ? "fs.inotify.max_user_watches are in use" : strerror(errno));
    if (watch >= 0 && !path_of(w, watch)) {
        ARRAY_GROW(w->folder, w->cap, w->n + 1);
        w->folder[w->n++] = (struct folder){watch, mem_strdup(str_c(path))};
    }
    return watch;
}

static void take_rename(struct tail_watch *w, const struct inotify_event *e,
                        const struct tail_watch_calls *calls)
{
    const char *folder = path_of(w, e->wd);
    char to[PATH_MAX];
    if (!folder || !e->len)
        return;
    if (snprintf(to, sizeof(to), "%s/%s", folder, e->name) >= (int)sizeof(to))
        return;
    if (e->mask & IN_MOVED_FROM) {
        w->cookie = e->cookie;
        memcpy(w->from, to, sizeof(to));
    } else if (w->cookie == e->cookie) {
        calls->renamed(calls->ctx, w->from, to);
    }
}

static void take_event(struct tail_watch *w, const struct inotify_event *e,
                       const struct tail_watch_calls *calls)
{
    if (e->mask & IN_MODIFY && e->len) {
        calls->written(calls->ctx, e->wd, e->name);
        return;
    }
    if (e->mask & IN_IGNORED) {
        forget(w, e->wd);
        return;
    }
    if (e->mask & (IN_MOVED_FROM | IN_MOVED_TO))
        take_rename(w, e, calls);
    calls->changed(calls->ctx);
}

void tail_watch_read(struct tail_watch *w, const struct tail_watch_calls *calls)
{
    char space[16 << 10] __attribute__((aligned(__alignof__(struct inotify_event))));
    ssize_t n;
    while ((n = read(w->fd, space, sizeof(space))) > 0) {
        for (ssize_t at = 0; at < n;) {
            const struct inotify_event *e = (const struct inotify_event *)(space + at);
            take_event(w, e, calls);
            at += (ssize_t)(sizeof(*e) + e->len);
        }
    }
}
