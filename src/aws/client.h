/* Requests to an AWS service: signed, retried by the SDKs' "standard" mode, with the clock of the
 * service.
 *
 * A *service* is what all clients of one share: where it is, who signs, how many retries may be had
 * (a bucket of 500 tokens: a retry takes 5, after a time-out 10, and gives them back when it
 * works), how far the clock is off. A *client* is a connection to it.
 * Threads: a service from any; a client from one at a time. Calls block. */
#ifndef WEIR_AWS_CLIENT_H
#define WEIR_AWS_CLIENT_H

#include "aws/credentials.h"
#include "net/http_client.h"

#include <stdatomic.h>

struct aws_service;
struct aws_client;

struct aws_answer {
    unsigned status;   /* 0: none came */
    unsigned attempts; /* requests that were sent */
    bool throttled;    /* the last one was refused for its rate */
    struct buf body;   /* initialised and released by the caller */
    char code[80];     /* of an error: "DBInstanceNotFound", ... */
    char message[300];
};

struct aws_service_options {
    struct aws_credentials *credentials;
    const char *service;  /* "rds" */
    const char *endpoint; /* NULL: aws_endpoint */
    const char *ca;       /* PEM file of authorities; NULL: AWS_CA_BUNDLE, or the system's */
    /* Before each request and after it; may be NULL. admit may block (a rate limit); an error of
     * it ends the call. */
    void *ctx;
    enum err (*admit)(void *ctx, const char *action);
    void (*judged)(void *ctx, const char *action, const struct aws_answer *a);
    const atomic_bool *stopping; /* no more retries; may be NULL */
};
NODISCARD enum err aws_service_new(const struct aws_service_options *o, struct aws_service **ret);
void aws_service_free(struct aws_service *s);
const char *aws_service_endpoint(const struct aws_service *s);

NODISCARD enum err aws_client_new(struct aws_service *s, struct aws_client **ret);
void aws_client_free(struct aws_client *c); /* NULL is fine */

struct aws_call {
    const char *action; /* for texts and for admit */
    const char *method;
    struct str path;          /* percent-encoded; n == 0: "/" */
    struct str query;         /* percent-encoded, without '?' */
    const char *content_type; /* NULL: none */
    const char *target;       /* x-amz-target; NULL: none */
    struct str body;
    /* A body that is read piece by piece instead; its hash, which it must have. */
    const struct http_upload *upload;
    const char *upload_sha256;
    const struct aws_header *header; /* further ones, signed; values end with NUL */
    unsigned n_headers;
    bool unsigned_payload, s3;
    int64_t timeout_ms; /* of one request; 0: one minute */
    unsigned silence_s; /* nothing moved for so long: ERR_TIMEOUT; 0: no bound of its own */
    /* Gives up, also between retries: ERR_CANCELED. May be NULL. */
    bool (*stop)(void *ctx);
    void *stop_ctx;
    /* The headers of each answer. May be NULL. */
    void (*on_header)(void *ctx, struct str name, struct str value);
    void *header_ctx;
    /* Takes a 2xx answer's bytes as they come, in place of answer->body. Once it has been called a
     * failure is not retried here. */
    enum err (*write)(void *ctx, struct str bytes);
    void *ctx;
};
/* OK: a 2xx answer. Else the last error, with the action, the service's code and its words:
 * ERR_NOTFOUND, ERR_AUTH, ERR_CONFLICT (a condition failed), ERR_EXISTS, ERR_INVALID; ERR_TIMEOUT
 * and ERR_UNAVAILABLE: perhaps later. */
NODISCARD enum err aws_send(struct aws_client *c, const struct aws_call *call,
                            struct aws_answer *ret);

#endif
