#include "output/gzip.h"

#include <zlib.h>

enum { GZIP_LEVEL = 3, GZIP_HEAD = 16, WINDOW_BITS = 15, MEMORY = 8 };

enum err gzip_pack(struct str plain, struct buf *out)
{
    z_stream z = {0};
    if (deflateInit2(&z, GZIP_LEVEL, Z_DEFLATED, WINDOW_BITS + GZIP_HEAD, MEMORY,
                     Z_DEFAULT_STRATEGY) != Z_OK)
        return err_set(ERR_NOMEM, "no memory to compress");
    size_t room = deflateBound(&z, plain.n);
    buf_clear(out);
    z.next_in = (Bytef *)plain.p;
    z.avail_in = (uInt)plain.n;
    z.next_out = (Bytef *)buf_reserve(out, room);
    z.avail_out = (uInt)room;
    int end = deflate(&z, Z_FINISH);
    out->n = z.total_out;
    deflateEnd(&z);
    return end == Z_STREAM_END ? OK : err_set(ERR_NOMEM, "cannot compress");
}
