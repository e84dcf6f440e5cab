/* POST /loki/api/v1/push: protobuf in snappy, or JSON. 204 when all is durable and can be found;
 * 400 where records were refused, as Loki says it: the others landed all the same.
 * POST /gelf: one GELF message, or several with NULs between them. 202; 400 where one was refused.
 */
#include "api/push.h"

static struct str media_type(struct http_request *r)
{
    struct str type = http_header(r, "Content-Type");
    return str_trim(str_of(type.p, str_find_byte(type, ';', 0)));
}

bool push_is_json(struct http_request *r)
{
    return str_ieq(media_type(r), STR("application/json"));
}

bool push_is_protobuf(struct http_request *r)
{
    return str_ieq(media_type(r), STR("application/x-protobuf")) ||
           str_ieq(media_type(r), STR("application/protobuf"));
}

enum err push_body(struct api *api, struct http_request *r, const char *stream,
                   void (*done)(void *ctx, const struct ingest_result *result),
                   struct ingest_body *ret)
{
    struct str given = http_param(r, "stream");
    *ret = (struct ingest_body){
        .org = API_ORG,
        .stream = given.p ? given : str_c(stream),
        .bytes = http_body(r),
        .encoding = api_plain_encoding(r),
        .service = http_header(r, "X-Service-Id"),
        .host = http_header(r, "X-Host"),
        .key = str_trim(http_header(r, "Idempotency-Key")),
        .ctx = r,
        .done = done,
    };
    if (!api->ready)
        return err_set(ERR_UNAVAILABLE, "starting: the queue is being replayed");
    return ingest_check_stream(ret->stream);
}

struct str push_refusals(struct http_request *r, const struct ingest_result *result)
{
    uint64_t all = result->accepted + result->rejected + result->duplicates;
    return arena_printf(http_arena(r),
                        "%llu of %llu records %s refused, the first at position "
                        "%u: %.*s",
                        (unsigned long long)result->rejected, (unsigned long long)all,
                        result->rejected == 1 ? "was" : "were", result->refusal[0].position,
                        STR_ARG(result->refusal[0].reason));
}

/* An empty answer, or the error as Weir says it. */
static void answer_with(struct http_request *r, unsigned status, const struct ingest_result *result)
{
    if (result->err == ERR_CONFLICT)
        http_reply_header(r, "Retry-After", "1");
    if (result->err != OK)
        http_error_of(r, result->err, result->text);
    else if (result->rejected)
        http_error(r, 400, "%s", push_refusals(r, result).p);
    else
        http_reply(r, status, NULL, (struct str){0});
}

/* ---- Loki ---- */

static void answer_loki(void *ctx, const struct ingest_result *result)
{
    answer_with(ctx, 204, result);
}

void push_loki(void *ctx, struct http_request *r)
{
    struct api *api = ctx;
    struct ingest_body body;
    enum err err = push_body(api, r, "loki", answer_loki, &body);
    if (err != OK) {
        http_error_of(r, err, err_text());
        return;
    }
    bool proto = push_is_protobuf(r);
    if (!proto && !push_is_json(r)) {
        http_error(r, 415, "Content-Type: application/x-protobuf or application/json is wanted");
        return;
    }
    body.format = proto ? WIRE_LOKI : WIRE_LOKI_JSON;
    if (proto && !body.encoding.n)
        body.encoding = STR("snappy"); /* it need not be said */
    ingest_body(api->ingest, &body);
}

/* ---- GELF ---- */

static void answer_gelf(void *ctx, const struct ingest_result *result)
{
    if (result->err == OK && !result->accepted && !result->duplicates && !result->rejected)
        http_error(ctx, 400, "no GELF message is in the body");
    else
        answer_with(ctx, 202, result);
}

void push_gelf(void *ctx, struct http_request *r)
{
    struct api *api = ctx;
    struct ingest_body body;
    enum err err = push_body(api, r, "gelf", answer_gelf, &body);
    if (err != OK) {
        http_error_of(r, err, err_text());
        return;
    }
    body.format = WIRE_GELF;
    /* What clients say of the coding is not always so ("gzip,deflate" of a zlib stream). */
    body.encoding = wire_gelf_encoding(body.bytes);
    ingest_body(api->ingest, &body);
}

/* ---- the table ---- */

/* The collector's routes ask for its own tokens (hec.c). */
const struct http_route push_routes[] = {
    {"POST", "/loki/api/v1/push", HTTP_INGEST, false, push_loki, NULL},
    {"POST", "/api/prom/push", HTTP_INGEST, false, push_loki, NULL}, /* of Loki before 1.0 */
    {"POST", "/v1/logs", HTTP_INGEST, false, push_otlp, NULL},
    {"POST", "/otlp/v1/logs", HTTP_INGEST, false, push_otlp, NULL}, /* where Loki has it */
    {"POST", "/gelf", HTTP_INGEST, false, push_gelf, NULL},
    {"POST", "/services/collector", HTTP_INGEST, true, push_hec_event, NULL},
    {"POST", "/services/collector/event", HTTP_INGEST, true, push_hec_event, NULL},
    {"POST", "/services/collector/event/1.0", HTTP_INGEST, true, push_hec_event, NULL},
    {"POST", "/services/collector/raw", HTTP_INGEST, true, push_hec_raw, NULL},
    {"POST", "/services/collector/raw/1.0", HTTP_INGEST, true, push_hec_raw, NULL},
    {"OPTIONS", "/services/collector", HTTP_FAST, true, push_hec_options, NULL},
    {"OPTIONS", "/services/collector/event", HTTP_FAST, true, push_hec_options, NULL},
    {"OPTIONS", "/services/collector/event/1.0", HTTP_FAST, true, push_hec_options, NULL},
    {"POST", "/services/collector/ack", HTTP_INGEST, true, push_hec_ack, NULL},
    {"GET", "/services/collector/health", HTTP_FAST, true, push_hec_health, NULL},
    {"GET", "/services/collector/health/1.0", HTTP_FAST, true, push_hec_health, NULL},
    {0},
};
