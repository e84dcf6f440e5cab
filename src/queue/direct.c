#include "queue/direct.h"

#include "core/io.h"
#include "core/mem.h"

#include <sys/uio.h>

enum { PAGE = 4096, STAGE_BYTES = 1 << 20 };

void direct_init(struct direct *d, size_t least)
{
    *d = (struct direct){.least = least, .fd = -1};
}

static void stop(struct direct *d)
{
    io_close(d->fd);
    d->fd = -1;
}

void direct_release(struct direct *d)
{
    stop(d);
    mem_free(d->mem);
    d->mem = d->stage = NULL;
}

void direct_use(struct direct *d, const char *path)
{
    stop(d);
    if (d->least && io_open(path, IO_DIRECT, &d->fd) != OK)
        d->fd = -1;
}

static char *stage_of(struct direct *d)
{
    if (!d->mem) {
        d->mem = mem_alloc(STAGE_BYTES + PAGE);
        d->stage = (char *)(((uintptr_t)d->mem + PAGE - 1) & ~(uintptr_t)(PAGE - 1));
    }
    return d->stage;
}

/* The next n bytes of the vector. */
static void take(struct iovec **iov, size_t *at, char *to, size_t n)
{
    while (n) {
        size_t left = (*iov)->iov_len - *at, some = left < n ? left : n;
        memcpy(to, (const char *)(*iov)->iov_base + *at, some);
        to += some;
        n -= some;
        *at += some;
        if (*at == (*iov)->iov_len) {
            (*iov)++;
            *at = 0;
        }
    }
}

/* A device that wants larger blocks than a page says so here: then the cache takes it. */
static enum err write_pages(struct direct *d, int fd, const char *p, size_t n, uint64_t off)
{
    if (d->fd >= 0) {
        enum err err = io_pwrite(d->fd, p, n, off);
        if (err != ERR_IO)
            return err;
        stop(d);
    }
    return io_pwrite(fd, p, n, off);
}

enum err direct_pwritev(struct direct *d, int fd, struct iovec *iov, int count, uint64_t off)
{
    uint64_t end = off;
    for (int i = 0; i < count; i++)
        end += iov[i].iov_len;
    if (d->fd < 0 || end - off < d->least)
        return io_pwritev(fd, iov, count, off);
    char *stage = stage_of(d);
    size_t at = 0;
    while (off < end) {
        size_t in_page = off % PAGE, n = in_page ? PAGE - in_page : STAGE_BYTES;
        if (n > end - off)
            n = !in_page && end - off > PAGE ? (end - off) / PAGE * PAGE : end - off;
        take(&iov, &at, stage, n);
        if (n % PAGE)
            TRY(io_pwrite(fd, stage, n, off));
        else
            TRY(write_pages(d, fd, stage, n, off));
        off += n;
    }
    return OK;
}
