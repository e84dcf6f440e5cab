/* Fetching. A large object comes by ranges, several at a time; a transfer that breaks off goes on
 * where it broke. The file is complete when every range is there, the service says that the object
 * has as many bytes as it should, and the SHA-256 is that of what was put. */
#include "core/clock.h"
#include "core/io.h"
#include "core/mem.h"
#include "objects/s3_impl.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>

enum { RANGE_BYTES = 16 << 20, THREADS = 4, BREAKS_MAX = 5, PIECE_BYTES = 256 << 10 };

struct getting {
    struct s3 *s;
    struct str key;
    uint64_t bytes;
    const struct objects_wait *wait;
    int fd;
    pthread_mutex_t lock;
    /* Under lock: */
    uint64_t next; /* the first byte that no range was begun for */
    enum err err;  /* the first */
    char text[300];
    char sha256[65]; /* as the service has it; "": it does not say */
};

/* One range on its way. */
struct range {
    struct s3 *s;
    uint64_t from, end, at; /* at: the next byte that comes */
    bool partial;           /* the answer is a range, and the one that was asked for */
    uint64_t total;         /* of the object; 0: not said */
    char sha256[65];
    int fd; /* or */
    struct buf *out;
};

static enum err on_bytes(void *ctx, struct str bytes)
{
    struct range *r = ctx;
    if (!r->partial && r->at != 0)
        return err_set(ERR_UNSUPPORTED, "%s: the service takes no ranges", r->s->o.name);
    if (bytes.n > r->end - r->at)
        return err_set(ERR_CORRUPT, "%s: the object is longer than it should be", r->s->o.name);
    TRY(r->out ? buf_add(r->out, bytes.p, bytes.n) : io_pwrite(r->fd, bytes.p, bytes.n, r->at));
    r->at += bytes.n;
    metric_add(r->s->received, (int64_t)bytes.n);
    return OK;
}

static void on_header(void *ctx, struct str name, struct str value)
{
    struct range *r = ctx;
    char expected[40];
    if (str_ieq(name, STR("content-range"))) {
        int n = snprintf(expected, sizeof(expected), "bytes %" PRIu64 "-", r->at);
        r->partial = str_starts(value, str_of(expected, (size_t)n));
        (void)str_to_u64(str_from(value, str_find_byte(value, '/', 0) + 1), &r->total);
    } else if (str_ieq(name, STR(S3_HASH_HEADER)) && value.n == 64) {
        snprintf(r->sha256, sizeof(r->sha256), "%.*s", STR_ARG(value));
    }
}

static enum err fetch_once(struct s3 *s, struct str key, struct range *r,
                           const struct objects_wait *w)
{
    char text[60];
    int n = snprintf(text, sizeof(text), "bytes=%" PRIu64 "-%" PRIu64, r->at, r->end - 1);
    struct aws_header header = {STR("range"), str_of(text, (size_t)n)};
    struct s3_request request = {.action = "GetObject",
                                 .method = "GET",
                                 .key = key,
                                 .header = &header,
                                 .n_headers = 1,
                                 .on_header = on_header,
                                 .write = on_bytes,
                                 .ctx = r};
    r->partial = false;
    TRY(s3_send(s, &request, w, NULL));
    if (r->at < r->end && r->total && r->total < r->end)
        return err_set(ERR_EOF, "%s: the object has %" PRIu64 " bytes, %" PRIu64 " were asked for",
                       s->o.name, r->total, r->end);
    return r->at == r->end ? OK : err_set(ERR_UNAVAILABLE, "%s: GetObject: broken off", s->o.name);
}

/* Goes on where it broke off, while there is progress. */
static enum err fetch_range(struct s3 *s, struct str key, struct range *r,
                            const struct objects_wait *w)
{
    enum err err = OK;
    unsigned broken = 0;
    while (r->at < r->end) {
        uint64_t before = r->at;
        err = fetch_once(s, key, r, w);
        if (err != ERR_UNAVAILABLE && err != ERR_TIMEOUT)
            return err;
        if (r->at == before || ++broken > BREAKS_MAX || objects_waited(&s->o, w) != OK)
            return err;
    }
    return OK;
}

/* ---- into memory ---- */

enum err s3_read(struct objects *o, struct str key, uint64_t at, size_t n, struct buf *ret,
                 const struct objects_wait *w)
{
    struct s3 *s = (struct s3 *)o;
    size_t had = ret->n;
    struct range r = {.s = s, .from = at, .at = at, .end = at + n, .fd = -1, .out = ret};
    enum err err = n ? fetch_range(s, key, &r, w) : OK;
    if (err != OK)
        ret->n = had;
    return err;
}

/* ---- into a file ---- */

static bool take_range(struct getting *g, struct range *r)
{
    pthread_mutex_lock(&g->lock);
    bool any = g->err == OK && g->next < g->bytes;
    uint64_t n = g->bytes - g->next < RANGE_BYTES ? g->bytes - g->next : RANGE_BYTES;
    *r = (struct range){.s = g->s, .from = g->next, .at = g->next, .end = g->next + n, .fd = g->fd};
    if (any)
        g->next += n;
    pthread_mutex_unlock(&g->lock);
    return any;
}

static void end_range(struct getting *g, const struct range *r, enum err err)
{
    if (err == OK && r->total && r->total != g->bytes)
        err =
            err_set(ERR_CORRUPT, "%s: the object has %" PRIu64 " bytes, the catalog says %" PRIu64,
                    g->s->o.name, r->total, g->bytes);
    pthread_mutex_lock(&g->lock);
    if (r->sha256[0])
        memcpy(g->sha256, r->sha256, sizeof(g->sha256));
    if (err != OK && g->err == OK) {
        g->err = err;
        snprintf(g->text, sizeof(g->text), "%s", err_text());
    }
    pthread_mutex_unlock(&g->lock);
}

static void *get_ranges(void *arg)
{
    struct getting *g = arg;
    struct range r;
    while (take_range(g, &r))
        end_range(g, &r, fetch_range(g->s, g->key, &r, g->wait));
    return NULL;
}

static enum err get_all(struct getting *g)
{
    pthread_t thread[THREADS];
    unsigned n = 0,
             most = (unsigned)(g->bytes / RANGE_BYTES < THREADS ? g->bytes / RANGE_BYTES : THREADS);
    pthread_mutex_init(&g->lock, NULL);
    while (n + 1 < most && thread_start(&thread[n], "fetch", get_ranges, g) == OK)
        n++;
    (void)get_ranges(g);
    while (n)
        pthread_join(thread[--n], NULL);
    pthread_mutex_destroy(&g->lock);
    return g->err == OK ? OK : err_set(g->err, "%s", g->text);
}

static enum err check_hash(const struct getting *g)
{
    unsigned char hash[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    char hex[65] = "", *piece = mem_alloc(PIECE_BYTES);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    enum err err = OK;
    CHECK(ctx && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1);
    for (uint64_t at = 0; err == OK && at < g->bytes;) {
        size_t part = g->bytes - at < PIECE_BYTES ? (size_t)(g->bytes - at) : PIECE_BYTES;
        err = io_pread(g->fd, piece, part, at);
        if (err == OK)
            CHECK(EVP_DigestUpdate(ctx, piece, part) == 1);
        at += part;
    }
    CHECK(EVP_DigestFinal_ex(ctx, hash, &n) == 1 && n == 32);
    for (unsigned i = 0; i < n; i++)
        snprintf(hex + (size_t)2 * i, 3, "%02x", hash[i]);
    if (err == OK && strcmp(hex, g->sha256) != 0)
        err = err_set(ERR_CORRUPT, "%s/%.*s: what came has the SHA-256 %s, %s was put",
                      g->s->o.name, STR_ARG(g->key), hex, g->sha256);
    EVP_MD_CTX_free(ctx);
    mem_free(piece);
    return err;
}

static enum err get_into(struct getting *g, const char *tmp)
{
    TRY(io_unlink(tmp));
    TRY(io_open(tmp, IO_CREATE, &g->fd));
    TRY(get_all(g));
    if (g->sha256[0])
        TRY(check_hash(g));
    return io_sync(g->fd);
}

enum err s3_get(struct objects *o, struct str key, uint64_t bytes, const char *path,
                const struct objects_wait *w)
{
    struct getting g = {.s = (struct s3 *)o, .key = key, .bytes = bytes, .wait = w, .fd = -1};
    char *tmp = mem_printf("%s.get.tmp", path), text[300];
    enum err err = get_into(&g, tmp);
    io_close(g.fd);
    if (err == OK)
        err = io_rename(tmp, path);
    if (err != OK) {
        snprintf(text, sizeof(text), "%s", err_text());
        (void)!io_unlink(tmp);
        (void)err_set(err, "%s", text);
    }
    mem_free(tmp);
    return err;
}
