/* Reading a file, a pipe, and what is compressed in them. gzip may have many members one behind the
 * other, zstd many frames, bzip2 and xz many streams; a compressed file that ends in the middle is
 * an error, said at its end. */
#include "cmd/source.h"

#include "core/mem.h"

#include <bzlib.h>
#include <errno.h>
#include <fcntl.h>
#include <lzma.h>
#include <poll.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

enum {
    IN_BYTES = 256 << 10,
    OUT_BYTES = 256 << 10,
    IDLE_MS = 500,
    GZIP_WINDOW = 15 + 16,
    MAGIC_BYTES = 6
};

#define XZ_MEMORY_MAX (1ULL << 30)

enum kind { UNKNOWN, PLAIN, GZIP, ZSTD, BZIP2, XZ };

struct source {
    int fd;
    char *path;
    enum kind kind;
    uint64_t done, total;
    char *in;
    size_t at, n; /* what is left of the input */
    bool ended;   /* the file is */
    bool whole;   /* the compressed stream stands between two members */
    z_stream gzip;
    ZSTD_DStream *zstd;
    bz_stream bzip2;
    bool bzip2_open;
    lzma_stream xz;
};

static enum kind kind_of(struct str head)
{
    static const struct {
        struct str magic;
        enum kind kind;
    } known[] = {
        {{"\x1f\x8b", 2}, GZIP},
        {{"\x28\xb5\x2f\xfd", 4}, ZSTD},
        {{"BZh", 3}, BZIP2},
        {{"\xfd"
          "7zXZ",
          5},
         XZ},
    };
    for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
        if (str_starts(head, known[i].magic))
            return known[i].kind;
    return PLAIN;
}

bool source_is_compressed(struct str head)
{
    return kind_of(head) != PLAIN;
}

enum err source_open(const char *path, struct source **ret)
{
    struct stat st;
    int fd = strcmp(path, "-") != 0 ? open(path, O_RDONLY | O_CLOEXEC) : STDIN_FILENO;
    if (fd < 0)
        return err_set_errno("cannot open %s", path);
    if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode)) {
        close(fd);
        return err_set(ERR_INVALID, "%s is a folder: name the files in it", path);
    }
    struct source *s = NEW(struct source);
    s->fd = fd;
    s->path = mem_strdup(str_c(path));
    s->in = mem_alloc(IN_BYTES);
    s->whole = true;
    s->total = S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0;
    *ret = s;
    return OK;
}

void source_close(struct source *s)
{
    if (!s)
        return;
    if (s->kind == GZIP)
        inflateEnd(&s->gzip);
    ZSTD_freeDStream(s->zstd);
    if (s->bzip2_open)
        BZ2_bzDecompressEnd(&s->bzip2);
    if (s->kind == XZ)
        lzma_end(&s->xz);
    if (s->fd != STDIN_FILENO)
        close(s->fd);
    mem_free(s->in);
    mem_free(s->path);
    mem_free(s);
}

void source_progress(const struct source *s, uint64_t *ret_done, uint64_t *ret_total)
{
    *ret_done = s->done;
    *ret_total = s->total;
}

/* More input behind what is left of it. */
static enum err fill(struct source *s, bool *ret_idle)
{
    struct pollfd p = {.fd = s->fd, .events = POLLIN};
    if (s->at > 0) {
        memmove(s->in, s->in + s->at, s->n);
        s->at = 0;
    }
    int ready = poll(&p, 1, IDLE_MS);
    if (ready == 0) {
        *ret_idle = true;
        return OK;
    }
    ssize_t got;
    do
        got = read(s->fd, s->in + s->n, IN_BYTES - s->n);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return err_set_errno("cannot read %s", s->path);
    s->ended = got == 0;
    s->n += (size_t)got;
    s->done += (uint64_t)got;
    return OK;
}

static enum err find_kind(struct source *s)
{
    s->kind = kind_of(str_of(s->in + s->at, s->n));
    if (s->kind == GZIP && inflateInit2(&s->gzip, GZIP_WINDOW) != Z_OK) {
        s->kind = PLAIN;
        return err_set(ERR_NOMEM, "%s: no memory for gzip", s->path);
    }
    if (s->kind == ZSTD) {
        s->zstd = ZSTD_createDStream();
        CHECK(s->zstd);
        ZSTD_DCtx_setParameter(s->zstd, ZSTD_d_windowLogMax, 31);
    }
    if (s->kind == XZ && lzma_stream_decoder(&s->xz, XZ_MEMORY_MAX, LZMA_CONCATENATED) != LZMA_OK) {
        s->kind = PLAIN;
        return err_set(ERR_NOMEM, "%s: no memory for xz", s->path);
    }
    return OK;
}

static enum err read_plain(struct source *s, struct buf *out)
{
    TRY(buf_add(out, s->in + s->at, s->n));
    s->at = s->n = 0;
    return OK;
}

static enum err read_gzip(struct source *s, struct buf *out)
{
    char *to = buf_reserve(out, OUT_BYTES);
    if (!to)
        return err_set(ERR_LIMIT, "%s: a line is too long", s->path);
    s->gzip.next_in = (unsigned char *)s->in + s->at;
    s->gzip.avail_in = (unsigned)s->n;
    s->gzip.next_out = (unsigned char *)to;
    s->gzip.avail_out = OUT_BYTES;
    if (s->whole && inflateReset(&s->gzip) != Z_OK)
        return err_set(ERR_INVALID, "%s: gzip: cannot go on", s->path);
    s->whole = false;
    int r = inflate(&s->gzip, Z_NO_FLUSH);
    if (r != Z_OK && r != Z_STREAM_END && r != Z_BUF_ERROR)
        return err_set(ERR_INVALID, "%s is damaged: gzip: %s", s->path,
                       s->gzip.msg ? s->gzip.msg : "?");
    s->whole = r == Z_STREAM_END;
    s->at += s->n - s->gzip.avail_in;
    s->n = s->gzip.avail_in;
    out->n += OUT_BYTES - s->gzip.avail_out;
    return OK;
}

static enum err read_zstd(struct source *s, struct buf *out)
{
    char *to = buf_reserve(out, OUT_BYTES);
    if (!to)
        return err_set(ERR_LIMIT, "%s: a line is too long", s->path);
    ZSTD_inBuffer in = {s->in + s->at, s->n, 0};
    ZSTD_outBuffer bytes = {to, OUT_BYTES, 0};
    size_t r = ZSTD_decompressStream(s->zstd, &bytes, &in);
    if (ZSTD_isError(r))
        return err_set(ERR_INVALID, "%s is damaged: zstd: %s", s->path, ZSTD_getErrorName(r));
    s->whole = r == 0;
    s->at += in.pos;
    s->n -= in.pos;
    out->n += bytes.pos;
    return OK;
}

/* A stream behind another is a new decoder. */
static enum err read_bzip2(struct source *s, struct buf *out)
{
    char *to = buf_reserve(out, OUT_BYTES);
    if (!to)
        return err_set(ERR_LIMIT, "%s: a line is too long", s->path);
    if (s->whole) {
        if (s->bzip2_open)
            BZ2_bzDecompressEnd(&s->bzip2);
        s->bzip2 = (bz_stream){0};
        s->bzip2_open = BZ2_bzDecompressInit(&s->bzip2, 0, 0) == BZ_OK;
        if (!s->bzip2_open)
            return err_set(ERR_NOMEM, "%s: no memory for bzip2", s->path);
    }
    s->whole = false;
    s->bzip2.next_in = s->in + s->at;
    s->bzip2.avail_in = (unsigned)s->n;
    s->bzip2.next_out = to;
    s->bzip2.avail_out = OUT_BYTES;
    int r = BZ2_bzDecompress(&s->bzip2);
    if (r != BZ_OK && r != BZ_STREAM_END)
        return err_set(ERR_INVALID, "%s is damaged: bzip2: error %d", s->path, r);
    s->whole = r == BZ_STREAM_END;
    s->at += s->n - s->bzip2.avail_in;
    s->n = s->bzip2.avail_in;
    out->n += OUT_BYTES - s->bzip2.avail_out;
    return OK;
}

static enum err read_xz(struct source *s, struct buf *out)
{
    char *to = buf_reserve(out, OUT_BYTES);
    if (!to)
        return err_set(ERR_LIMIT, "%s: a line is too long", s->path);
    s->xz.next_in = (const uint8_t *)s->in + s->at;
    s->xz.avail_in = s->n;
    s->xz.next_out = (uint8_t *)to;
    s->xz.avail_out = OUT_BYTES;
    lzma_ret r = lzma_code(&s->xz, s->ended && s->n == 0 ? LZMA_FINISH : LZMA_RUN);
    if (r == LZMA_MEMLIMIT_ERROR)
        return err_set(ERR_LIMIT, "%s: xz: more than %llu MiB are needed to decompress it", s->path,
                       XZ_MEMORY_MAX >> 20);
    if (r != LZMA_OK && r != LZMA_STREAM_END && r != LZMA_BUF_ERROR)
        return err_set(ERR_INVALID, "%s is damaged: xz: error %d", s->path, (int)r);
    s->whole = r == LZMA_STREAM_END;
    s->at += s->n - s->xz.avail_in;
    s->n = s->xz.avail_in;
    out->n += OUT_BYTES - s->xz.avail_out;
    return OK;
}

static enum err read_some(struct source *s, struct buf *out)
{
    switch (s->kind) {
    case GZIP:
        return read_gzip(s, out);
    case ZSTD:
        return read_zstd(s, out);
    case BZIP2:
        return read_bzip2(s, out);
    case XZ:
        return read_xz(s, out);
    default:
        return read_plain(s, out);
    }
}

enum err source_read(struct source *s, struct buf *out, bool *ret_idle)
{
    *ret_idle = false;
    size_t before = out->n;
    if (s->n == 0 || (s->kind == UNKNOWN && s->n < MAGIC_BYTES)) {
        if (!s->ended)
            TRY(fill(s, ret_idle));
        if (*ret_idle)
            return OK;
    }
    if (s->kind == UNKNOWN) {
        if (s->n < MAGIC_BYTES && !s->ended)
            return OK;
        TRY(find_kind(s));
    }
    /* A decoder may hold output back although its input is used up, so it is asked even then. */
    if (s->kind == PLAIN || s->n > 0 || !s->whole)
        TRY(read_some(s, out));
    if (s->ended && s->n == 0 && out->n == before) {
        if (s->kind != PLAIN && !s->whole)
            return err_set(ERR_INVALID, "%s is cut off: its compressed data ends too soon",
                           s->path);
        return ERR_EOF;
    }
    return OK;
}
