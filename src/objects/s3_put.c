/* Putting a file: one request up to part_bytes, else a multipart upload of parts of that size. The
 * file is read once for its hashes and once for each time it is sent; no more of it is held in
 * memory than libcurl's buffer. An upload that fails is aborted; what a crash leaves of one is
 * found by the sweep. */
#include "aws/xml.h"
#include "core/clock.h"
#include "core/io.h"
#include "core/mem.h"
#include "objects/s3_impl.h"

#include <openssl/evp.h>
#include <stdio.h>

#define ABORT_NS (5 * NS_PER_S)
enum { READ_BYTES = 256 << 10, PARTS_MAX = 10000, ETAG_MAX = 200, UPLOAD_ID_MAX = 1024 };

/* A stretch of the file and what is said of it. */
struct part {
    uint64_t at, bytes;
    char sha256[65], md5[25]; /* hex; base64 */
    char etag[ETAG_MAX];      /* as the service gave it, with its quotes */
};
struct putting {
    struct s3 *s;
    struct str key;
    const struct objects_wait *wait;
    int fd;
    uint64_t bytes;
    char sha256[65];
    struct part *part;
    size_t n;
    char id[UPLOAD_ID_MAX];
};

/* ---- hashes ---- */

static void put_hex(EVP_MD_CTX *ctx, char out[65])
{
    unsigned char hash[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    CHECK(EVP_DigestFinal_ex(ctx, hash, &n) == 1 && n == 32);
    for (unsigned i = 0; i < n; i++)
        snprintf(out + (size_t)2 * i, 3, "%02x", hash[i]);
}

static void put_base64(EVP_MD_CTX *ctx, char out[25])
{
    unsigned char hash[EVP_MAX_MD_SIZE], text[40];
    unsigned n = 0;
    CHECK(EVP_DigestFinal_ex(ctx, hash, &n) == 1 && n == 16);
    (void)EVP_EncodeBlock(text, hash, 16);
    memcpy(out, text, 24);
    out[24] = '\0';
}

/* MD5 may be forbidden (FIPS): then it is left out. */
static EVP_MD_CTX *begin_md5(void)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    if (ctx && EVP_DigestInit_ex(ctx, EVP_md5(), NULL) == 1)
        return ctx;
    EVP_MD_CTX_free(ctx);
    return NULL;
}

static EVP_MD_CTX *begin_sha256(void)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    CHECK(ctx && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1);
    return ctx;
}

/* Hashes a part, and into that of the whole. */
static enum err hash_part(struct putting *p, struct part *part, EVP_MD_CTX *whole, char *piece)
{
    EVP_MD_CTX *sha = begin_sha256(), *md5 = begin_md5();
    enum err err = OK;
    for (uint64_t at = 0; err == OK && at < part->bytes;) {
        size_t n = part->bytes - at < READ_BYTES ? (size_t)(part->bytes - at) : READ_BYTES;
        err = objects_waited(&p->s->o, p->wait);
        if (err == OK)
            err = io_pread(p->fd, piece, n, part->at + at);
        if (err != OK)
            break;
        CHECK(EVP_DigestUpdate(sha, piece, n) == 1 && EVP_DigestUpdate(whole, piece, n) == 1);
        if (md5)
            CHECK(EVP_DigestUpdate(md5, piece, n) == 1);
        at += n;
    }
    put_hex(sha, part->sha256);
    if (md5)
        put_base64(md5, part->md5);
    EVP_MD_CTX_free(sha);
    EVP_MD_CTX_free(md5);
    return err;
}

static enum err hash_all(struct putting *p)
{
    EVP_MD_CTX *whole = begin_sha256();
    char *piece = mem_alloc(READ_BYTES);
    enum err err = OK;
    for (size_t i = 0; err == OK && i < p->n; i++)
        err = hash_part(p, &p->part[i], whole, piece);
    put_hex(whole, p->sha256);
    mem_free(piece);
    EVP_MD_CTX_free(whole);
    return err;
}

static void cut_into_parts(struct putting *p)
{
    uint64_t size = p->s->part_bytes;
    while (p->bytes / size >= PARTS_MAX)
        size *= 2;
    p->n = p->bytes ? (size_t)((p->bytes + size - 1) / size) : 1;
    p->part = NEW_ARRAY(struct part, p->n);
    for (size_t i = 0; i < p->n; i++) {
        p->part[i].at = size * i;
        p->part[i].bytes = p->bytes - size * i < size ? p->bytes - size * i : size;
    }
}

/* ---- sending ---- */

struct sending {
    struct putting *p;
    struct part *part;
};

static enum err read_part(void *ctx, uint64_t at, void *to, size_t n)
{
    struct sending *s = ctx;
    metric_add(s->p->s->sent, (int64_t)n);
    return io_pread(s->p->fd, to, n, s->part->at + at);
}

static void on_header(void *ctx, struct str name, struct str value)
{
    struct sending *s = ctx;
    if (str_ieq(name, STR("etag")) && value.n < ETAG_MAX)
        snprintf(s->part->etag, ETAG_MAX, "%.*s", STR_ARG(value));
}

/* `number` 0: the whole object. */
static enum err send_part(struct putting *p, struct part *part, unsigned number)
{
    struct sending sending = {p, part};
    struct http_upload upload = {part->bytes, read_part, &sending};
    struct aws_header header[2];
    struct buf query;
    unsigned n = 0;
    if (part->md5[0])
        header[n++] = (struct aws_header){STR("content-md5"), str_c(part->md5)};
    if (!number)
        header[n++] = (struct aws_header){STR(S3_HASH_HEADER), str_c(p->sha256)};
    buf_init(&query, 64 << 10);
    if (number) {
        buf_printf(&query, "partNumber=%u&uploadId=", number);
        aws_encode(&query, str_c(p->id), true);
    }
    struct s3_request r = {.action = number ? "UploadPart" : "PutObject",
                           .method = "PUT",
                           .key = p->key,
                           .query = buf_str(&query),
                           .upload = &upload,
                           .sha256 = part->sha256,
                           .header = header,
                           .n_headers = n,
                           .on_header = on_header,
                           .ctx = &sending};
    enum err err = s3_send(p->s, &r, p->wait, NULL);
    buf_release(&query);
    if (err == OK && number && !part->etag[0])
        return err_set(ERR_UNAVAILABLE, "%s: UploadPart: the answer has no ETag", p->s->o.name);
    return err;
}

/* ---- multipart uploads ---- */

static enum err begin_upload(struct putting *p)
{
    struct aws_header header = {STR(S3_HASH_HEADER), str_c(p->sha256)};
    struct aws_answer answer = {0};
    struct s3_request r = {.action = "CreateMultipartUpload",
                           .method = "POST",
                           .key = p->key,
                           .query = STR("uploads="),
                           .header = &header,
                           .n_headers = 1};
    buf_init(&answer.body, S3_ANSWER_MAX);
    enum err err = s3_send(p->s, &r, p->wait, &answer);
    if (err == OK && !xml_find(buf_str(&answer.body), "UploadId", p->id, sizeof(p->id)))
        err = err_set(ERR_UNAVAILABLE, "%s: CreateMultipartUpload: the answer has no UploadId",
                      p->s->o.name);
    buf_release(&answer.body);
    return err;
}

static enum err end_upload(struct putting *p)
{
    struct buf body, query;
    struct aws_answer answer = {0};
    buf_init(&body, SIZE_MAX);
    buf_init(&query, 64 << 10);
    buf_init(&answer.body, S3_ANSWER_MAX);
    buf_put_c(&body, "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
    for (size_t i = 0; i < p->n; i++)
        buf_printf(&body, "<Part><PartNumber>%zu</PartNumber><ETag>%s</ETag></Part>", i + 1,
                   p->part[i].etag);
    buf_put_c(&body, "</CompleteMultipartUpload>");
    buf_put_c(&query, "uploadId=");
    aws_encode(&query, str_c(p->id), true);
    struct s3_request r = {.action = "CompleteMultipartUpload",
                           .method = "POST",
                           .key = p->key,
                           .query = buf_str(&query),
                           .body = buf_str(&body),
                           .silence_s = S3_JOIN_SILENCE_S};
    enum err err = s3_send_slow(p->s, &r, p->wait, &answer);
    buf_release(&answer.body);
    buf_release(&query);
    buf_release(&body);
    return err;
}

/* Also when the caller wants no more, for a moment: what stays is found by the sweep. Keeps the
 * text of the last error. */
static void abort_upload(struct putting *p)
{
    char text[300];
    struct buf query;
    struct objects_wait wait = {.deadline_mono = clock_mono_ns() + ABORT_NS};
    snprintf(text, sizeof(text), "%s", err_text());
    buf_init(&query, 64 << 10);
    buf_put_c(&query, "uploadId=");
    aws_encode(&query, str_c(p->id), true);
    struct s3_request r = {.action = "AbortMultipartUpload",
                           .method = "DELETE",
                           .key = p->key,
                           .query = buf_str(&query)};
    (void)!s3_send(p->s, &r, &wait, NULL);
    buf_release(&query);
    (void)err_set(ERR_IO, "%s", text);
}

static enum err send_parts(struct putting *p)
{
    TRY(begin_upload(p));
    enum err err = OK;
    for (size_t i = 0; err == OK && i < p->n; i++)
        err = send_part(p, &p->part[i], (unsigned)i + 1);
    if (err == OK)
        err = end_upload(p);
    if (err != OK)
        abort_upload(p);
    return err;
}

/* ---- the whole ---- */

enum err s3_put(struct objects *o, const char *path, struct str key, const struct objects_wait *w)
{
    struct putting p = {.s = (struct s3 *)o, .key = key, .wait = w, .fd = -1};
    enum err err = io_open(path, IO_READ, &p.fd);
    if (err == OK)
        err = io_size(p.fd, &p.bytes);
    if (err == OK) {
        cut_into_parts(&p);
        err = hash_all(&p);
    }
    if (err == OK)
        err = p.n == 1 ? send_part(&p, &p.part[0], 0) : send_parts(&p);
    io_close(p.fd);
    mem_free(p.part);
    return err;
}

enum err s3_write_small(struct objects *o, struct str key, struct str bytes,
                        const struct objects_wait *w)
{
    struct s3_request r = {.action = "PutObject", .method = "PUT", .key = key, .body = bytes};
    return s3_send((struct s3 *)o, &r, w, NULL);
}
