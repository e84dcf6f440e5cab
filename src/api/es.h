/* What the files of the Elasticsearch routes share (es_*.c). An index is a stream; the documents of
 * an index are the records of the stream. The headers and media types are those that the official
 * clients insist on: X-Elastic-Product with every answer, and the type that Accept asks for.
 * docs/elasticsearch.md says what is there and what is not. */
#ifndef WEIR_API_ES_H
#define WEIR_API_ES_H

#include "api/internal.h"

#include "core/buf.h"

/* The version that is claimed: what clients and shippers are told to speak. */
#define ES_VERSION "8.17.0"
#define ES_SHARDS "\"_shards\":{\"total\":1,\"successful\":1,\"skipped\":0,\"failed\":0}"
#define ES_ANSWER_MAX ((size_t)1 << 30)

/* Ended by method NULL; ctx is filled in by api_routes. */
extern const struct http_route es_routes[];

/* es_reply.c. JSON, with the headers. */
void es_reply(struct http_request *r, unsigned status, struct str body);
void es_reply_buf(struct http_request *r, enum err err, struct buf *out); /* releases it */
/* {"error":{"root_cause":[...],"type":...,"reason":...},"status":...} */
void es_error(struct http_request *r, unsigned status, const char *type, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
void es_error_of(struct http_request *r, enum err err, const char *text);
/* The object alone: {"root_cause":...}. */
void es_put_error(struct buf *out, const char *type, const char *reason);
const char *es_error_type(enum err err);
/* False, and answered: replay is not over. */
bool es_is_ready(struct api *api, struct http_request *r);
/* False, and answered 400, where the parameter is neither true nor false. */
bool es_param_bool(struct http_request *r, const char *name, bool *ret);

/* es_bulk.c */
void es_bulk(void *ctx, struct http_request *r);
void es_put_doc(void *ctx, struct http_request *r);
void es_create_doc(void *ctx, struct http_request *r);
/* es_info.c */
void es_root(void *ctx, struct http_request *r);

#endif
