/* gzip files, of one member or several, read from their beginning to their end. The last RING bytes
 * can be had again: the part of a line that ended a read, and the bytes before an offset. */
#include "core/mem.h"
#include "input/tail_impl.h"

#include <errno.h>
#include <unistd.h>
#include <zlib.h>

enum { PIECE = 64 << 10, RING = 512 << 10, GZIP_WINDOW = 15 + 16 };

struct tail_packed {
    int fd;
    z_stream z;
    bool open, ended;         /* at the end of a member */
    uint64_t at;              /* bytes of the file given to zlib */
    uint64_t plain;           /* bytes given out */
    unsigned char last[RING]; /* plain bytes before `plain`, as a ring */
    unsigned char in[PIECE];
};

bool tail_packed_is(int fd)
{
    unsigned char magic[3];
    return pread(fd, magic, 3, 0) == 3 && magic[0] == 0x1f && magic[1] == 0x8b && magic[2] == 8;
}

struct tail_packed *tail_packed_new(int fd)
{
    struct tail_packed *p = NEW(struct tail_packed);
    p->fd = fd;
    return p;
}

static void rewind_to_start(struct tail_packed *p)
{
    if (p->open)
        inflateEnd(&p->z);
    p->open = p->ended = false;
    p->at = p->plain = 0;
}

void tail_packed_free(struct tail_packed *p)
{
    if (!p)
        return;
    rewind_to_start(p);
    mem_free(p);
}

static enum err feed(struct tail_packed *p, bool *ret_end)
{
    ssize_t n;
    *ret_end = false;
    if (p->z.avail_in)
        return OK;
    do
        n = pread(p->fd, p->in, PIECE, (off_t)p->at);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return err_set_errno("cannot read a packed file");
    p->at += (uint64_t)n;
    p->z.next_in = p->in;
    p->z.avail_in = (unsigned)n;
    *ret_end = n == 0;
    return OK;
}

static enum err begin(struct tail_packed *p)
{
    p->z = (z_stream){0};
    if (inflateInit2(&p->z, GZIP_WINDOW) != Z_OK)
        return err_set(ERR_NOMEM, "no memory to unpack a file");
    p->open = true;
    return OK;
}

/* The next plain bytes, up to n; *ret_n 0 at the end. */
static enum err next(struct tail_packed *p, char *to, size_t n, size_t *ret_n)
{
    *ret_n = 0;
    if (!p->open)
        TRY(begin(p));
    while (!*ret_n) {
        bool end;
        TRY(feed(p, &end));
        if (end)
            return p->ended ? OK : ERR_AGAIN;
        if (p->ended) { /* another member behind the last */
            p->ended = false;
            (void)inflateReset(&p->z);
        }
        p->z.next_out = (unsigned char *)to;
        p->z.avail_out = (unsigned)n;
        int code = inflate(&p->z, Z_NO_FLUSH);
        if (code != Z_OK && code != Z_STREAM_END && code != Z_BUF_ERROR)
            return err_set(ERR_CORRUPT, "a packed file is damaged: %s",
                           p->z.msg ? p->z.msg : "it cannot be unpacked");
        p->ended = code == Z_STREAM_END;
        *ret_n = n - p->z.avail_out;
    }
    for (size_t i = 0; i < *ret_n; i++)
        p->last[(p->plain + i) % RING] = (unsigned char)to[i];
    p->plain += *ret_n;
    return OK;
}

enum err tail_packed_read(struct tail_packed *p, uint64_t offset, char *to, size_t n, size_t *ret_n)
{
    if (offset < p->plain && offset + RING >= p->plain) {
        size_t have = (size_t)(p->plain - offset);
        *ret_n = have < n ? have : n;
        for (size_t i = 0; i < *ret_n; i++)
            to[i] = (char)p->last[(offset + i) % RING];
        return OK;
    }
    if (offset < p->plain)
        rewind_to_start(p);
    char skipped[4096];
    while (p->plain < offset) {
        size_t want =
            offset - p->plain < sizeof(skipped) ? (size_t)(offset - p->plain) : sizeof(skipped);
        TRY(next(p, skipped, want, ret_n));
        if (!*ret_n)
            return OK;
    }
    return next(p, to, n, ret_n);
}
