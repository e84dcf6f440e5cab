/* What the families of routes share. */
#ifndef WEIR_API_INTERNAL_H
#define WEIR_API_INTERNAL_H

#include "api/api.h"

#define API_ORG STR("default")
#define JSON_TYPE "application/json"

/* ingest.c */
void api_ingest(void *ctx, struct http_request *r);
/* search.c */
void api_search(void *ctx, struct http_request *r);
void api_query(void *ctx, struct http_request *r);
void api_histogram(void *ctx, struct http_request *r);
/* tail.c */
void api_tail(void *ctx, struct http_request *r);
/* status.c */
void api_healthz(void *ctx, struct http_request *r);
void api_readyz(void *ctx, struct http_request *r);
void api_metrics(void *ctx, struct http_request *r);
void api_stats(void *ctx, struct http_request *r);
void api_streams(void *ctx, struct http_request *r);
void api_page(void *ctx, struct http_request *r);
/* ledger.c */
void api_ledger(void *ctx, struct http_request *r);
/* dead_letters.c */
void api_dead_letters(void *ctx, struct http_request *r);
void api_dead_letters_of(void *ctx, struct http_request *r);
void api_dead_letters_retry(void *ctx, struct http_request *r);
void api_dead_letters_delete(void *ctx, struct http_request *r);
/* openapi.c */
void api_openapi(void *ctx, struct http_request *r);
/* admin.c */
void api_flush(void *ctx, struct http_request *r);
void api_compact(void *ctx, struct http_request *r);

/* explore.c */
void api_fields(void *ctx, struct http_request *r);
void api_patterns(void *ctx, struct http_request *r);
void api_values(void *ctx, struct http_request *r);
void api_context(void *ctx, struct http_request *r);

/* search.c: the parameters that all queries have. False: answered. */
struct query_request;
bool api_read_query(struct api *api, struct http_request *r, struct query_request *ret);
/* Counts a query from its begin to its end. */
int64_t api_begin_query(void);
void api_end_query(const char *kind, enum err err, int64_t began);

/* Parameters. False: the request has been answered with 400. An absent one leaves *ret as it is. */
bool api_param_u32(struct http_request *r, const char *name, uint32_t max, uint32_t *ret);
bool api_param_bool(struct http_request *r, const char *name, bool *ret);
/* Content-Encoding, empty where it is identity. */
struct str api_plain_encoding(struct http_request *r);
/* False, and answered 503: replay is not over. */
bool api_is_ready(struct api *api, struct http_request *r);

#endif
