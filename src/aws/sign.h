/* AWS Signature Version 4: the Authorization header of a request. Source: "Create a signed AWS API
 * request" in the IAM User Guide; S3's differences from "Authenticating Requests" in its API
 * reference. Threads: pure functions. Nothing here logs, or puts keys into an error's text. */
#ifndef WEIR_AWS_SIGN_H
#define WEIR_AWS_SIGN_H

#include "core/buf.h"

/* Who signs. Every text is the holder's to free, by aws_keys_release. */
struct aws_keys {
    char *access, *secret;
    char *token;        /* of temporary keys; NULL: none */
    int64_t expires_ns; /* 0: never */
};
void aws_keys_release(struct aws_keys *k); /* wipes the secrets */
void aws_keys_copy(const struct aws_keys *from, struct aws_keys *ret);

struct aws_header {
    struct str name; /* in lower case */
    struct str value;
};
enum { AWS_HEADERS_MAX = 16, AWS_PARAMS_MAX = 64 };

struct aws_signing {
    const char *method, *service, *region;
    struct str host;  /* as in the Host header: with its port unless it is the scheme's own */
    struct str path;  /* as it is sent: percent-encoded; "/" at least */
    struct str query; /* as it is sent, without '?': names and values percent-encoded */
    const struct aws_header *header; /* further ones to be signed */
    unsigned n_headers;
    struct str body;
    const char *sha256;    /* of a body that is not here, in hex; NULL: of `body` */
    bool unsigned_payload; /* the body is not hashed: it is streamed, over TLS */
    bool s3;               /* the path is encoded once; the payload's hash is a header */
    int64_t time_s;        /* as the service's clock says */
};
struct aws_signature {
    char date[17];      /* x-amz-date */
    char payload[65];   /* x-amz-content-sha256, which only S3 wants */
    struct buf headers; /* the value of Authorization; initialised by aws_sign */
};
/* ERR_LIMIT when there are more than AWS_PARAMS_MAX parameters or AWS_HEADERS_MAX headers. */
NODISCARD enum err aws_sign(const struct aws_keys *k, const struct aws_signing *s,
                            struct aws_signature *ret);

/* Percent-encodes all but letters, digits and "-_.~"; `slash`: and '/'. */
void aws_encode(struct buf *out, struct str s, bool slash);
void aws_sha256_hex(struct str s, char out[65]);

#endif
