/* Protocols of other systems on the main port, at their customary paths: Loki, OTLP/HTTP, Splunk's
 * HTTP event collector, GELF. What their files share. Records go to the stream named after the
 * protocol, or to ?stream=; X-Service-Id, X-Host and Idempotency-Key mean what they mean at
 * /api/v1/logs/ingest. */
#ifndef WEIR_API_PUSH_H
#define WEIR_API_PUSH_H

#include "api/internal.h"

/* Ended by method NULL; ctx is filled in by api_routes. */
extern const struct http_route push_routes[];
extern const struct http_route openobserve_routes[]; /* openobserve.c */

/* Fills the body from the request but for its format. An error is to be answered in the protocol's
 * own way: ERR_UNAVAILABLE while the queue is replayed, ERR_INVALID for the stream's name. */
NODISCARD enum err push_body(struct api *api, struct http_request *r, const char *stream,
                             void (*done)(void *ctx, const struct ingest_result *result),
                             struct ingest_body *ret);
bool push_is_json(struct http_request *r);
bool push_is_protobuf(struct http_request *r);
/* "2 of 5 records were refused, the first at position 3: ..." */
struct str push_refusals(struct http_request *r, const struct ingest_result *result);

/* push.c */
void push_loki(void *ctx, struct http_request *r);
void push_gelf(void *ctx, struct http_request *r);
/* otlp.c */
void push_otlp(void *ctx, struct http_request *r);
/* hec.c */
void push_hec_event(void *ctx, struct http_request *r);
void push_hec_raw(void *ctx, struct http_request *r);
void push_hec_ack(void *ctx, struct http_request *r);
void push_hec_options(void *ctx, struct http_request *r);
void push_hec_health(void *ctx, struct http_request *r);

#endif
