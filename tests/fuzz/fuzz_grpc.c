/* A connection of OTLP/gRPC: HTTP/2 frames, of which each request's body is one message of gRPC,
 * and is answered. The same bytes, a frame at a time. */
#include "net/h2.h"
#include "wire/grpc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum err write_nowhere(void *ctx, struct str bytes)
{
    *(size_t *)ctx += bytes.n;
    return OK;
}

static enum err serve(struct h2 *h, const struct h2_request *r, struct buf *plain)
{
    struct str message;
    bool good = grpc_message(buf_str(&r->body), str_c(r->encoding), plain, &message) == OK;
    struct h2_trailer t[] = {{"grpc-status", good ? STR("0") : STR("3")}};
    return h2_answer(h, r->stream, STR("application/grpc"), good ? STR("\0\0\0\0") : STR(""), t, 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str in = str_of((const char *)data, size);
    size_t written = 0, n = 1;
    struct h2 *h;
    struct buf plain;
    const struct h2_request *r;
    buf_init(&plain, 1 << 20);
    CHECK(h2_new(&(struct h2_options){&written, write_nowhere, 1 << 16}, &h) == OK);
    while (in.n && n) {
        if (h2_take(h, in, &n, &r) != OK)
            break;
        CHECK(n <= in.n);
        in = str_from(in, n);
        if (r && serve(h, r, &plain) != OK)
            break;
    }
    h2_free(h);
    buf_release(&plain);
    return 0;
}
