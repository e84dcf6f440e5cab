/* What the files of the Elasticsearch routes share (es_*.c). An index is a stream; the documents of
 * an index are the records of the stream. The headers and media types are those that the official
 * clients insist on: X-Elastic-Product with every answer, and the type that Accept asks for.
 * docs/elasticsearch.md says what is there and what is not. */
#ifndef WEIR_API_ES_H
#define WEIR_API_ES_H

#include "api/internal.h"

#include "core/buf.h"
#include "query/dsl_search.h"

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
/* es_index.c. The streams that an index expression names. ERR_NOTFOUND for a name, not a pattern,
 * that there is not. */
struct es_streams {
    struct stream_stats *stream;
    size_t n;
};
NODISCARD enum err es_resolve(struct api *api, struct str expression, bool ignore_missing,
                              struct arena *a, struct es_streams *ret);
/* False, and answered: not ready, or no such index. */
bool es_resolve_path(struct api *api, struct http_request *r, struct str expression,
                     struct arena *a, struct es_streams *ret);
/* Those streams alone. */
void es_want(const struct es_streams *s, struct arena *a, struct query_request *q);

/* es_body.c */
#define ES_JSON_MAX ((size_t)2 << 20)
/* The body, inflated where it must be. */
NODISCARD enum err es_read_body(struct http_request *r, struct buf *inflated, struct str *ret);
/* A JSON object, or NULL where there is no body. */
NODISCARD enum err es_read_json(struct http_request *r, json_t **ret);
/* Puts what parameters say into the body, which is made where there is none: q alone, and all. */
NODISCARD enum err es_add_query_param(struct http_request *r, json_t **body);
NODISCARD enum err es_add_params(struct http_request *r, json_t **body);
/* What the id of a scroll or a point in time holds. */
struct es_token {
    struct str index;
    int64_t arrival_ns; /* what arrived later is not in it; 0: none */
    /* Of a scroll; JSON is owned. */
    json_t *body, *after;
    uint64_t total;
    bool more;
};
void es_token_write(const struct es_token *t, struct buf *out);
NODISCARD enum err es_token_read(struct str id, struct arena *a, struct es_token *ret);

/* es_fields.c. ,"fields":{...} of a record given as JSON. */
void es_put_fields(struct buf *out, const struct dsl_search *s, const struct hit *hit,
                   struct str record, struct arena *arena);

/* es_search.c */
void es_search(void *ctx, struct http_request *r);
void es_msearch(void *ctx, struct http_request *r);
void es_count(void *ctx, struct http_request *r);
void es_scroll(void *ctx, struct http_request *r);
void es_close_scroll(void *ctx, struct http_request *r);
void es_open_pit(void *ctx, struct http_request *r);
void es_get_doc(void *ctx, struct http_request *r);
/* es_info.c */
void es_root(void *ctx, struct http_request *r);
void es_health(void *ctx, struct http_request *r);
void es_nodes(void *ctx, struct http_request *r);
void es_license(void *ctx, struct http_request *r);
void es_xpack(void *ctx, struct http_request *r);
void es_put_template(void *ctx, struct http_request *r);
void es_put_policy(void *ctx, struct http_request *r);
void es_put_pipeline(void *ctx, struct http_request *r);
void es_put_mapping(void *ctx, struct http_request *r);
void es_not_kept(void *ctx, struct http_request *r);
/* es_indices.c */
void es_get_mapping(void *ctx, struct http_request *r);
void es_get_index(void *ctx, struct http_request *r);
void es_field_caps(void *ctx, struct http_request *r);
void es_create_index(void *ctx, struct http_request *r);
void es_refresh(void *ctx, struct http_request *r);
void es_delete_index(void *ctx, struct http_request *r);
void es_get_data_stream(void *ctx, struct http_request *r);
void es_put_data_stream(void *ctx, struct http_request *r);
void es_cat_indices(void *ctx, struct http_request *r);

#endif
