/* What shippers of OpenObserve send: POST /api/{org}/{stream}/_json (an array of records, or one),
 * /api/{org}/{stream}/_multi (a record a line), /api/{org}/_bulk (es_bulk.c). There is one
 * organization, "default". 200 when what was accepted is durable and can be found:
 *   {"code":200,"status":[{"name":"app","successful":2,"failed":1,"error":"..."}]}
 * with the reason of the first record that was refused. */
#include "api/es.h"
#include "api/push.h"

#include "record/json.h"

static void reply_error(struct http_request *r, unsigned status, const char *text)
{
    struct buf out;
    buf_init(&out, ES_ANSWER_MAX);
    buf_printf(&out, "{\"code\":%u,\"message\":", status);
    json_put_string(&out, str_c(text));
    /* Beside it what all errors have. */
    buf_put_c(&out, ",\"error\":");
    json_put_string(&out, str_c(text));
    buf_printf(&out, ",\"status\":%u}\n", status);
    if (status == 503)
        http_reply_header(r, "Retry-After", "1");
    http_reply(r, status, JSON_TYPE, buf_str(&out));
    buf_release(&out);
}

static void answer(void *ctx, const struct ingest_result *result)
{
    struct http_request *r = ctx;
    struct buf out;
    if (result->err != OK) {
        reply_error(r, result->err == ERR_CONFLICT ? 503 : http_status_of(result->err),
                    result->text);
        return;
    }
    buf_init(&out, ES_ANSWER_MAX);
    buf_put_c(&out, "{\"code\":200,\"status\":[{\"name\":");
    json_put_string(&out, http_path_segment(r, 2));
    buf_printf(&out, ",\"successful\":%llu,\"failed\":%llu",
               (unsigned long long)result->accepted + result->duplicates,
               (unsigned long long)result->rejected);
    if (result->rejected) {
        buf_put_c(&out, ",\"error\":");
        json_put_string(&out, push_refusals(r, result));
    }
    buf_put_c(&out, "}]}\n");
    http_reply(r, 200, JSON_TYPE, buf_str(&out));
    buf_release(&out);
}

static bool is_known_org(struct http_request *r)
{
    struct str org = http_path_segment(r, 1);
    if (str_eq(org, API_ORG))
        return true;
    reply_error(r, 404, "there is one organization: default");
    return false;
}

static void send_records(struct api *api, struct http_request *r, enum wire_format format)
{
    struct ingest_body body;
    if (!is_known_org(r))
        return;
    struct str stream = arena_str(http_arena(r), http_path_segment(r, 2));
    enum err err = push_body(api, r, stream.p, answer, &body);
    if (err != OK) {
        reply_error(r, http_status_of(err), err_text());
        return;
    }
    body.format = format;
    ingest_body(api->ingest, &body);
}

static void push_json(void *ctx, struct http_request *r)
{
    send_records(ctx, r, WIRE_JSON);
}

static void push_multi(void *ctx, struct http_request *r)
{
    send_records(ctx, r, WIRE_NDJSON);
}

static void push_bulk(void *ctx, struct http_request *r)
{
    if (is_known_org(r))
        es_bulk(ctx, r);
}

const struct http_route openobserve_routes[] = {
    {"POST", "/api/{org}/{stream}/_json", HTTP_INGEST, false, push_json, NULL},
    {"POST", "/api/{org}/{stream}/_multi", HTTP_INGEST, false, push_multi, NULL},
    {"POST", "/api/{org}/_bulk", HTTP_INGEST, false, push_bulk, NULL},
    {0},
};
