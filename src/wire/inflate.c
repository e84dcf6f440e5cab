/* Content encodings: gzip (any number of members), deflate (with zlib's head or raw), zstd (any
 * number of frames), lz4 (frames), snappy (one block, or its framing), identity.
 *
 * One loop drives four libraries. Each turn gives the library what is left of the input and some
 * room; what it reports is how much it took and made and whether it stands at an end. A turn
 * without progress away from an end is a truncated body; bytes behind an end must be another
 * member, frame or, with deflate, nothing at all. When the room allowed is used up the library gets
 * one byte of spare room, and if that is filled the body is too large: a body that fits exactly
 * passes. */
#include "wire/decode.h"

#include "core/mem.h"

#include <lz4frame.h>
#include <snappy-c.h>
#include <stdio.h>
#include <zlib.h>
#include <zstd.h>

enum { ROOM = 128 << 10, ZSTD_WINDOW_LOG_MAX = 23 };

struct turn {
    const char *in;
    size_t in_n;
    char *out;
    size_t out_n;
    bool at_end; /* of a member or frame */
};

struct codec {
    const char *name;
    enum err (*open)(struct str body, void **ret_state);
    enum err (*step)(void *state, struct turn *t);
    void (*close)(void *state);
    bool single; /* only one member */
};

/* ---- zlib ---- */

struct zlib_state {
    z_stream z;
};

static enum err zlib_open(int bits, void **ret_state)
{
    struct zlib_state *s = NEW(struct zlib_state);
    if (inflateInit2(&s->z, bits) != Z_OK) {
        mem_free(s);
        return err_set(ERR_NOMEM, "no memory to inflate a body");
    }
    *ret_state = s;
    return OK;
}

static enum err gzip_open(struct str body, void **ret_state)
{
    return zlib_open(15 + 16, ret_state);
}

/* Some clients send raw deflate under this name: zlib's head tells. */
static enum err deflate_open(struct str body, void **ret_state)
{
    const unsigned char *p = (const unsigned char *)body.p;
    bool head = body.n >= 2 && (p[0] & 0x0f) == 8 && (p[0] << 8 | p[1]) % 31 == 0;
    return zlib_open(head ? 15 : -15, ret_state);
}

static enum err zlib_step(void *state, struct turn *t)
{
    z_stream *z = &((struct zlib_state *)state)->z;
    if (t->at_end && inflateReset(z) != Z_OK)
        return err_set(ERR_INVALID, "inflate: cannot start again");
    z->next_in = (Bytef *)t->in;
    z->avail_in = t->in_n > UINT32_MAX ? UINT32_MAX : (uInt)t->in_n;
    z->next_out = (Bytef *)t->out;
    z->avail_out = (uInt)t->out_n;
    int result = inflate(z, Z_NO_FLUSH);
    if (result == Z_MEM_ERROR)
        return err_set(ERR_NOMEM, "no memory to inflate a body");
    if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR)
        return err_set(ERR_INVALID, "%s", z->msg ? z->msg : "bad deflate data");
    t->in_n -= (size_t)((const char *)z->next_in - t->in);
    t->in = (const char *)z->next_in;
    t->out_n = (size_t)((char *)z->next_out - t->out);
    t->at_end = result == Z_STREAM_END;
    return OK;
}

static void zlib_close(void *state)
{
    inflateEnd(&((struct zlib_state *)state)->z);
    mem_free(state);
}

/* ---- zstd ---- */

static enum err zstd_open(struct str body, void **ret_state)
{
    ZSTD_DCtx *z = ZSTD_createDCtx();
    if (!z)
        return err_set(ERR_NOMEM, "no memory to decompress a body");
    /* HTTP's bound for zstd (RFC 9659): 8 MiB of window */
    CHECK(!ZSTD_isError(ZSTD_DCtx_setParameter(z, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG_MAX)));
    *ret_state = z;
    return OK;
}

static enum err zstd_step(void *state, struct turn *t)
{
    ZSTD_inBuffer in = {t->in, t->in_n, 0};
    ZSTD_outBuffer out = {t->out, t->out_n, 0};
    size_t result = ZSTD_decompressStream(state, &out, &in);
    if (ZSTD_isError(result))
        return err_set(ERR_INVALID, "%s", ZSTD_getErrorName(result));
    t->in += in.pos;
    t->in_n -= in.pos;
    t->out_n = out.pos;
    t->at_end = result == 0;
    return OK;
}

static void zstd_close(void *state)
{
    ZSTD_freeDCtx(state);
}

/* ---- lz4 ---- */

static enum err lz4_open(struct str body, void **ret_state)
{
    LZ4F_dctx *z;
    if (LZ4F_isError(LZ4F_createDecompressionContext(&z, LZ4F_VERSION)))
        return err_set(ERR_NOMEM, "no memory to decompress a body");
    *ret_state = z;
    return OK;
}

static enum err lz4_step(void *state, struct turn *t)
{
    size_t taken = t->in_n, made = t->out_n;
    size_t result = LZ4F_decompress(state, t->out, &made, t->in, &taken, NULL);
    if (LZ4F_isError(result))
        return err_set(ERR_INVALID, "%s", LZ4F_getErrorName(result));
    t->in += taken;
    t->in_n -= taken;
    t->out_n = made;
    t->at_end = result == 0;
    return OK;
}

static void lz4_close(void *state)
{
    LZ4F_freeDecompressionContext(state);
}

/* ---- the loop ---- */

static const struct codec codecs[] = {
    {"gzip", gzip_open, zlib_step, zlib_close, false},
    {"x-gzip", gzip_open, zlib_step, zlib_close, false},
    {"deflate", deflate_open, zlib_step, zlib_close, true},
    {"zlib", deflate_open, zlib_step, zlib_close, true}, /* what OpenTelemetry's collector says */
    {"zstd", zstd_open, zstd_step, zstd_close, false},
    {"lz4", lz4_open, lz4_step, lz4_close, false},
};

static enum err too_large(const struct buf *out)
{
    return err_set(ERR_LIMIT, "the body is larger than the limit of %zu bytes", out->max);
}

/* The codec's complaint, with the place. */
static enum err broken(const struct codec *c, enum err err, size_t at)
{
    if (err != ERR_INVALID)
        return err;
    char reason[96];
    snprintf(reason, sizeof(reason), "%s", err_text());
    return err_set(ERR_INVALID, "the body is no valid %s at byte %zu: %s", c->name, at, reason);
}

static enum err drive(const struct codec *c, void *state, struct str body, struct buf *out)
{
    struct turn t = {.in = body.p, .in_n = body.n};
    bool ended = false;
    while (!ended || t.in_n) {
        size_t at = body.n - t.in_n, left = out->max - out->n;
        char spare;
        if (ended && c->single)
            return err_set(ERR_INVALID, "%zu bytes behind the end of the %s body", t.in_n, c->name);
        t.out_n = left > ROOM ? ROOM : left ? left : 1;
        t.out = left ? buf_reserve(out, t.out_n) : &spare;
        t.at_end = ended;
        enum err err = c->step(state, &t);
        if (err != OK)
            return broken(c, err, at);
        if (left == 0 && t.out_n)
            return too_large(out);
        if (!t.at_end && t.out_n == 0 && body.n - t.in_n == at)
            return err_set(ERR_INVALID, "the %s body ends in the middle, at byte %zu", c->name, at);
        out->n += t.out_n;
        ended = t.at_end;
    }
    return OK;
}

static enum err identity(struct str body, struct buf *out)
{
    if (body.n > out->max - out->n)
        return too_large(out);
    return buf_add(out, body.p, body.n);
}

/* A block, not Snappy's framing: what Loki's and Prometheus's clients send. It is checked before
 * the room that it asks for is made. */
static enum err unsnap(struct str body, struct buf *out)
{
    size_t n;
    if (snappy_uncompressed_length(body.p, body.n, &n) != SNAPPY_OK ||
        snappy_validate_compressed_buffer(body.p, body.n) != SNAPPY_OK)
        return err_set(ERR_INVALID, "the body is no valid snappy block");
    if (n > out->max - out->n)
        return too_large(out);
    char *to = buf_reserve(out, n);
    if (snappy_uncompress(body.p, body.n, to, &n) != SNAPPY_OK)
        return err_set(ERR_INVALID, "the body is no valid snappy block");
    out->n += n;
    return OK;
}

/* Snappy's framing (github.com/google/snappy, framing_format.txt): chunks of
 *
 *     u8 type, u24 length (little-endian), so many bytes
 *
 *     0xff  "sNaPpY", at the beginning, and where streams were put behind each other
 *     0x00  u32 masked CRC-32C of the plain bytes, then a block of snappy
 *     0x01  the same, then plain bytes
 *     0x80 to 0xfe  are passed over; any other is an error
 *
 * Masked: the CRC turned right by 15, plus 0xa282ead8. A chunk has at most 65,536 plain bytes. */
static const struct str snappy_stream = {"\xff\x06\0\0sNaPpY", 10};

enum { SNAPPY_PLAIN = 65536, CHUNK_HEAD = 4, CHUNK_CRC = 4 };

static void fill_crc32c(uint32_t table[256])
{
    for (uint32_t i = 0; i < 256; i++) {
        table[i] = i;
        for (int bit = 0; bit < 8; bit++)
            table[i] = table[i] >> 1 ^ (table[i] & 1 ? 0x82f63b78 : 0);
    }
}

static uint32_t masked_crc32c(const uint32_t table[256], struct str s)
{
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < s.n; i++)
        crc = crc >> 8 ^ table[(crc ^ (unsigned char)s.p[i]) & 0xff];
    crc = ~crc;
    return (crc >> 15 | crc << 17) + 0xa282ead8;
}

/* A chunk with data, given from its CRC on. */
static enum err unsnap_chunk(const uint32_t table[256], unsigned type, struct str chunk,
                             struct buf *out)
{
    uint32_t crc;
    size_t from = out->n;
    if (chunk.n < CHUNK_CRC)
        return err_set(ERR_INVALID, "a chunk of the snappy body is too short");
    memcpy(&crc, chunk.p, sizeof(crc));
    struct str bytes = str_from(chunk, CHUNK_CRC);
    TRY(type ? identity(bytes, out) : unsnap(bytes, out));
    if (out->n - from > SNAPPY_PLAIN)
        return err_set(ERR_INVALID, "a chunk of the snappy body is too long");
    return masked_crc32c(table, str_from(buf_str(out), from)) == crc
               ? OK
               : err_set(ERR_INVALID, "the checksum of a chunk of the snappy body is wrong");
}

static enum err unsnap_chunks(struct str body, struct buf *out)
{
    uint32_t table[256];
    fill_crc32c(table);
    for (size_t at = 0; at < body.n;) {
        const unsigned char *head = (const unsigned char *)body.p + at;
        size_t left = body.n - at;
        size_t n = left < CHUNK_HEAD ? left : head[1] | head[2] << 8 | (size_t)head[3] << 16;
        if (left < CHUNK_HEAD || left - CHUNK_HEAD < n)
            return err_set(ERR_INVALID, "the snappy body ends in the middle, at byte %zu", body.n);
        struct str chunk = str_of(body.p + at, CHUNK_HEAD + n);
        if (head[0] < 2)
            TRY(unsnap_chunk(table, head[0], str_from(chunk, CHUNK_HEAD), out));
        else if (head[0] < 0x80 || (head[0] == 0xff && !str_eq(chunk, snappy_stream)))
            return err_set(ERR_INVALID, "the snappy body has a chunk of type %u", head[0]);
        at += chunk.n;
    }
    return OK;
}

/* The beginning of a stream is no block: it would copy from before its first byte. */
static enum err unsnap_any(struct str body, bool framed, struct buf *out)
{
    size_t before = out->n;
    bool stream = str_starts(body, snappy_stream);
    if (framed && !stream)
        return err_set(ERR_INVALID, "the body is no stream of snappy's framing");
    enum err err = stream ? unsnap_chunks(body, out) : unsnap(body, out);
    if (err != OK)
        out->n = before;
    return err;
}

static enum err inflate_by(const struct codec *c, struct str body, struct buf *out)
{
    void *state;
    size_t before = out->n;
    TRY(c->open(body, &state));
    enum err err = drive(c, state, body, out);
    c->close(state);
    if (err != OK)
        out->n = before;
    return err;
}

enum err wire_inflate(struct str encoding, struct str body, struct buf *out)
{
    encoding = str_trim(encoding);
    const struct codec *codec = NULL;
    for (size_t i = 0; i < sizeof(codecs) / sizeof(codecs[0]); i++)
        if (str_ieq(encoding, str_c(codecs[i].name)))
            codec = &codecs[i];
    if (codec)
        return inflate_by(codec, body, out);
    bool framed = str_ieq(encoding, STR("x-snappy-framed"));
    if (framed || str_ieq(encoding, STR("snappy")))
        return unsnap_any(body, framed, out);
    if (encoding.n == 0 || str_ieq(encoding, STR("identity")))
        return identity(body, out);
    return err_set(
        ERR_UNSUPPORTED,
        "content encoding \"%.*s\": gzip, deflate, zstd, lz4, snappy and identity are known",
        encoding.n > 64 ? 64 : (int)encoding.n, encoding.p);
}
