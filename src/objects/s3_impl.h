/* The inside of the s3:// place, shared by its files: s3.c (opening, requests, what is small,
 * lists), s3_put.c and s3_get.c (whole files). */
#ifndef WEIR_OBJECTS_S3_IMPL_H
#define WEIR_OBJECTS_S3_IMPL_H

#include "aws/client.h"
#include "core/metrics.h"
#include "core/thread.h"
#include "objects/objects_impl.h"

/* Connections that are kept while nobody uses them. */
enum { S3_IDLE_MAX = 8, S3_ANSWER_MAX = 16 << 20 };
/* Nothing moved for so long: the request is given up, and tried again. Putting parts together may
 * take the service long. */
enum { S3_SILENCE_S = 30, S3_JOIN_SILENCE_S = 300, S3_REQUEST_MS = 3600 * 1000 };
/* The user's metadata that says what was put. */
#define S3_HASH_HEADER "x-amz-meta-weir-sha256"

struct s3 {
    struct objects o;
    struct aws_credentials *credentials;
    struct aws_service *service;
    char *bucket, *prefix; /* prefix: "" or "a/b/" */
    bool path_style;
    uint64_t part_bytes;
    pthread_mutex_t lock;
    struct aws_client *idle[S3_IDLE_MAX]; /* under lock, as n_idle */
    unsigned n_idle;
    struct metric *sent, *received;
};

/* One request: what is not the same for all of them. */
struct s3_request {
    const char *action, *method;
    struct str key;   /* n == 0: the bucket */
    struct str query; /* percent-encoded */
    const char *more; /* further segments of a query; "" or NULL: none */
    struct str body;  /* or */
    const struct http_upload *upload;
    const char *sha256; /* of the upload */
    const struct aws_header *header;
    unsigned n_headers;
    unsigned silence_s; /* 0: S3_SILENCE_S */
    void (*on_header)(void *ctx, struct str name, struct str value);
    enum err (*write)(void *ctx, struct str bytes);
    void *ctx; /* of the two */
};
/* `answer` (may be NULL): its body is initialised by the caller. */
NODISCARD enum err s3_send(struct s3 *s, const struct s3_request *r, const struct objects_wait *w,
                           struct aws_answer *answer);
/* The same, of an answer that may be 200 and tell of a failure in its body. */
NODISCARD enum err s3_send_slow(struct s3 *s, const struct s3_request *r,
                                const struct objects_wait *w, struct aws_answer *answer);

/* s3_put.c, s3_get.c */
NODISCARD enum err s3_put(struct objects *o, const char *path, struct str key,
                          const struct objects_wait *w);
NODISCARD enum err s3_write_small(struct objects *o, struct str key, struct str bytes,
                                  const struct objects_wait *w);
NODISCARD enum err s3_get(struct objects *o, struct str key, uint64_t bytes, const char *path,
                          const struct objects_wait *w);
NODISCARD enum err s3_read(struct objects *o, struct str key, uint64_t at, size_t n,
                           struct buf *ret, const struct objects_wait *w);

#endif
