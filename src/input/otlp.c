/* OTLP/gRPC: the one call of the logs' service (opentelemetry-proto, collector/logs/v1), as agents
 * and SDKs send to port 4317. The messages: wire/otlp.c; gRPC's framing: wire/grpc.h; HTTP/2:
 * net/h2.h.
 *
 * A call is answered when its records are durable: OK, with what was refused as partial success.
 * What may land later is UNAVAILABLE: the sender, who has the records, sends them again; nothing is
 * kept here meanwhile. A fault in one call ends that call alone. */
#include "core/governor.h"
#include "input/inputs.h"
#include "input/stream.h"
#include "net/h2.h"
#include "wire/grpc.h"
#include "wire/proto/otlp.pb-c.h"

#include <stdio.h>

enum { OTLP_PORT = 4317, TEXT_MAX = 200 };
#define EXPORT "/opentelemetry.proto.collector.logs.v1.LogsService/Export"

struct state {
    struct h2 *h2;
    struct conn *conn;
    struct buf plain, out;
    int32_t stream; /* of the body that was cut: its ack */
};

static enum err write_bytes(void *ctx, struct str bytes)
{
    return conn_write(((struct state *)ctx)->conn, bytes);
}

static enum err open_conn(void *ctx, struct conn *c, void *state)
{
    struct state *s = state;
    struct h2_options o = {.ctx = s, .write = write_bytes, .body_max = conn_message_max(c)};
    s->conn = c;
    buf_init(&s->plain, conn_message_max(c));
    buf_init(&s->out, SIZE_MAX);
    return h2_new(&o, &s->h2);
}

static void close_conn(void *ctx, void *state)
{
    struct state *s = state;
    h2_free(s->h2);
    buf_release(&s->plain);
    buf_release(&s->out);
}

/* ---- answers ---- */

static enum err answer(struct state *s, int32_t stream, enum grpc_status status, const char *text,
                       struct str message)
{
    char code[8];
    struct buf said;
    buf_init(&said, SIZE_MAX);
    grpc_put_text(str_of(text, strlen(text) < TEXT_MAX ? strlen(text) : TEXT_MAX), &said);
    snprintf(code, sizeof(code), "%d", status);
    struct h2_trailer trailer[] = {{"grpc-status", str_c(code)}, {"grpc-message", buf_str(&said)}};
    enum err err =
        h2_answer(s->h2, stream, STR("application/grpc"), message, trailer, said.n ? 2 : 1);
    buf_release(&said);
    return err;
}

static enum err answer_ok(struct state *s, int32_t stream, uint64_t rejected, const char *why)
{
    Otlp__Response m = OTLP__RESPONSE__INIT;
    Otlp__PartialSuccess partial = OTLP__PARTIAL_SUCCESS__INIT;
    struct buf packed;
    partial.rejected_log_records = (int64_t)rejected;
    partial.error_message = (ProtobufCBinaryData){strlen(why), (uint8_t *)(uintptr_t)why};
    m.partial_success = rejected ? &partial : NULL;
    size_t n = protobuf_c_message_get_packed_size(&m.base);
    buf_init(&packed, SIZE_MAX);
    if (!buf_reserve(&packed, n + 1))
        return err_set(ERR_NOMEM, "no memory to answer");
    packed.n = protobuf_c_message_pack(&m.base, (uint8_t *)packed.p);
    buf_clear(&s->out);
    grpc_put(buf_str(&packed), &s->out);
    buf_release(&packed);
    return answer(s, stream, GRPC_OK, "", buf_str(&s->out));
}

static enum grpc_status status_of(enum err err)
{
    switch (err) {
    case ERR_INVALID:
        return GRPC_INVALID_ARGUMENT;
    case ERR_LIMIT:
        return GRPC_RESOURCE_EXHAUSTED;
    case ERR_UNSUPPORTED:
        return GRPC_UNIMPLEMENTED;
    default:
        return ingest_may_retry(err) ? GRPC_UNAVAILABLE : GRPC_INTERNAL;
    }
}

/* ---- calls ---- */

static enum err judge(struct state *s, const struct h2_request *r, struct str *ret)
{
    if (strncmp(r->type, "application/grpc", 16) != 0 || strcmp(r->method, "POST") != 0)
        return err_set(ERR_INVALID, "a call of gRPC is wanted");
    if (strcmp(r->path, EXPORT) != 0)
        return err_set(ERR_UNSUPPORTED, "%s is not known here: " EXPORT " is", r->path);
    if (r->too_large)
        return err_set(ERR_LIMIT, "the calls of a connection may have %zu bytes at once",
                       conn_message_max(s->conn));
    return grpc_message(buf_str(&r->body), str_c(r->encoding), &s->plain, ret);
}

static enum err cut(void *ctx, struct conn *c, void *state, struct str in, bool ended,
                    struct stream_cut *ret)
{
    struct state *s = state;
    const struct h2_request *r;
    TRY(h2_take(s->h2, in, &ret->n, &r));
    if (!r) {
        if (h2_over(s->h2))
            conn_finish(c);
        return OK;
    }
    s->stream = r->stream;
    if (judge(s, r, &ret->body) != OK)
        return answer(s, r->stream,
                      status_of(strcmp(r->path, EXPORT) != 0 ? ERR_UNSUPPORTED
                                : r->too_large               ? ERR_LIMIT
                                                             : ERR_INVALID),
                      err_text(), STR(""));
    ret->ack = str_of((const char *)&s->stream, sizeof(s->stream));
    return ret->body.n ? OK : answer_ok(s, r->stream, 0, "");
}

static enum err settled(void *ctx, struct conn *c, void *state, struct str ack,
                        const struct stream_outcome *o)
{
    struct state *s = state;
    int32_t stream;
    CHECK(ack.n == sizeof(stream));
    memcpy(&stream, ack.p, sizeof(stream));
    return o->err == OK ? answer_ok(s, stream, o->refused, o->text)
                        : answer(s, stream, status_of(o->err), o->text, STR(""));
}

static const struct stream_protocol protocol = {
    .name = "otlp",
    .format = WIRE_OTLP,
    .state_size = sizeof(struct state),
    .default_port = OTLP_PORT,
    .alpn = "h2",
    .open = open_conn,
    .cut = cut,
    .settled = settled,
    .close = close_conn,
};

static enum err open_input(const struct input_options *o, const struct url *url, struct input **ret)
{
    return stream_input_open(&otlp_input, &protocol, o, url, ret);
}

const struct input_type otlp_input = {
    .name = "otlp",
    .schemes = (const char *const[]){"otlp+grpc", "otlp+grpc+tls", NULL},
    .open = open_input,
    .start = stream_input_start,
    .stop = stream_input_stop,
    .close = stream_input_close,
    .status = stream_input_status,
};
