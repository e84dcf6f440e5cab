/* POST /v1/logs: OTLP/HTTP (opentelemetry.io/docs/specs/otlp), protobuf or JSON; the answer is of
 * the same kind as the request. 200 when what was accepted is durable and can be found; what was
 * refused is in partial_success. Errors are a google.rpc.Status. */
#include "api/push.h"

#include "record/json.h"
#include "wire/proto/otlp.pb-c.h"

enum { RPC_INVALID_ARGUMENT = 3, RPC_INTERNAL = 13, RPC_UNAVAILABLE = 14 };

static void reply_proto(struct http_request *r, unsigned status, const ProtobufCMessage *m)
{
    size_t n = protobuf_c_message_get_packed_size(m);
    char *p = arena_alloc(http_arena(r), n + 1);
    protobuf_c_message_pack(m, (uint8_t *)p);
    http_reply(r, status, "application/x-protobuf", str_of(p, n));
}

static ProtobufCBinaryData bytes_of(struct str s)
{
    return (ProtobufCBinaryData){s.n, (uint8_t *)s.p};
}

static void fail(struct http_request *r, unsigned status, struct str text)
{
    int code = status == 429 || status == 503 ? RPC_UNAVAILABLE
               : status < 500                 ? RPC_INVALID_ARGUMENT
                                              : RPC_INTERNAL;
    if (code == RPC_UNAVAILABLE)
        http_reply_header(r, "Retry-After", "1");
    if (!push_is_json(r)) {
        Otlp__Status m = OTLP__STATUS__INIT;
        m.code = code;
        m.message = bytes_of(text);
        reply_proto(r, status, &m.base);
        return;
    }
    struct buf out;
    buf_init(&out, 1 << 20);
    buf_printf(&out, "{\"code\":%d,\"message\":", code);
    json_put_string(&out, text);
    buf_put_c(&out, "}\n");
    http_reply(r, status, JSON_TYPE, buf_str(&out));
    buf_release(&out);
}

static void partial_json(struct http_request *r, uint64_t rejected, struct str text)
{
    struct buf out;
    buf_init(&out, 1 << 20);
    buf_put_byte(&out, '{');
    if (rejected) {
        buf_printf(&out, "\"partialSuccess\":{\"rejectedLogRecords\":\"%llu\",\"errorMessage\":",
                   (unsigned long long)rejected);
        json_put_string(&out, text);
        buf_put_byte(&out, '}');
    }
    buf_put_byte(&out, '}');
    http_reply(r, 200, JSON_TYPE, buf_str(&out));
    buf_release(&out);
}

static void answer(void *ctx, const struct ingest_result *result)
{
    struct http_request *r = ctx;
    if (result->err != OK) {
        unsigned status = result->err == ERR_CONFLICT ? 503 : http_status_of(result->err);
        fail(r, status, str_c(result->text));
        return;
    }
    struct str text = result->rejected ? push_refusals(r, result) : (struct str){0};
    if (push_is_json(r)) {
        partial_json(r, result->rejected, text);
        return;
    }
    Otlp__Response m = OTLP__RESPONSE__INIT;
    Otlp__PartialSuccess partial = OTLP__PARTIAL_SUCCESS__INIT;
    partial.rejected_log_records = (int64_t)result->rejected;
    partial.error_message = bytes_of(text);
    m.partial_success = result->rejected ? &partial : NULL;
    reply_proto(r, 200, &m.base);
}

void push_otlp(void *ctx, struct http_request *r)
{
    struct api *api = ctx;
    struct ingest_body body;
    enum err err = push_body(api, r, "otlp", answer, &body);
    if (err != OK) {
        fail(r, http_status_of(err), str_c(err_text()));
        return;
    }
    if (!push_is_json(r) && !push_is_protobuf(r)) {
        http_error(r, 415, "Content-Type: application/x-protobuf or application/json is wanted");
        return;
    }
    body.format = push_is_json(r) ? WIRE_OTLP_JSON : WIRE_OTLP;
    ingest_body(api->ingest, &body);
}
