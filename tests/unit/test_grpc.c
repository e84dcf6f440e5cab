/* HTTP/2 and gRPC without sockets: nghttp2's client side talks to ours through buffers. */
#include "net/h2.h"
#include "test.h"
#include "wire/grpc.h"

#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <zlib.h>

/* ---- messages ---- */

static void test_messages(void **state)
{
    struct buf out, plain;
    struct str got;
    char packed[200];
    z_stream z = {0};
    buf_init(&out, SIZE_MAX);
    buf_init(&plain, 1000);
    grpc_put(STR("hello"), &out);
    assert_ok(grpc_message(buf_str(&out), STR(""), &plain, &got));
    assert_str(got, "hello");
    assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_in = (unsigned char *)"hello again";
    z.avail_in = 11;
    z.next_out = (unsigned char *)packed;
    z.avail_out = sizeof(packed);
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    buf_clear(&out);
    grpc_put(str_of(packed, z.total_out), &out);
    deflateEnd(&z);
    out.p[0] = 1;
    assert_ok(grpc_message(buf_str(&out), STR("gzip"), &plain, &got));
    assert_str(got, "hello again");
    assert_err(grpc_message(buf_str(&out), STR(""), &plain, &got), ERR_INVALID, "grpc-encoding");
    assert_err(grpc_message(buf_str(&out), STR("br"), &plain, &got), ERR_UNSUPPORTED, "br");
    assert_err(grpc_message(str_of(out.p, out.n - 1), STR("gzip"), &plain, &got), ERR_INVALID,
               "one message is wanted");
    assert_err(grpc_message(STR("abc"), STR(""), &plain, &got), ERR_INVALID, "5 bytes");
    buf_clear(&out);
    grpc_put_text(STR("50% \xc3\xa4\n"), &out);
    assert_str(buf_str(&out), "50%25 %C3%A4%0A");
    buf_release(&out);
    buf_release(&plain);
}

/* ---- a client ---- */

struct client {
    nghttp2_session *session;
    struct h2 *server;
    struct buf to_client, got; /* got: bodies of answers */
    char status[8];
    unsigned ended;
    struct str body; /* still to be sent */
    uint32_t reset;
};

static enum err to_client(void *ctx, struct str bytes)
{
    buf_put_str(&((struct client *)ctx)->to_client, bytes);
    return OK;
}

static int on_header(nghttp2_session *s, const nghttp2_frame *f, const uint8_t *name, size_t name_n,
                     const uint8_t *value, size_t n, uint8_t flags, void *arg)
{
    struct client *c = arg;
    if (str_eq_c(str_of((const char *)name, name_n), "grpc-status"))
        snprintf(c->status, sizeof(c->status), "%.*s", (int)n, (const char *)value);
    return 0;
}

static int on_data(nghttp2_session *s, uint8_t flags, int32_t id, const uint8_t *p, size_t n,
                   void *arg)
{
    buf_put(&((struct client *)arg)->got, p, n);
    return 0;
}

static int on_close(nghttp2_session *s, int32_t id, uint32_t code, void *arg)
{
    struct client *c = arg;
    c->ended++;
    c->reset = code;
    return 0;
}

static void client_open(struct client *c, size_t body_max)
{
    nghttp2_session_callbacks *calls;
    *c = (struct client){0};
    buf_init(&c->to_client, SIZE_MAX);
    buf_init(&c->got, SIZE_MAX);
    assert_int_equal(nghttp2_session_callbacks_new(&calls), 0);
    nghttp2_session_callbacks_set_on_header_callback(calls, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(calls, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(calls, on_close);
    assert_int_equal(nghttp2_session_client_new(&c->session, calls, c), 0);
    nghttp2_session_callbacks_del(calls);
    assert_int_equal(nghttp2_submit_settings(c->session, 0, NULL, 0), 0);
    assert_ok(h2_new(&(struct h2_options){.ctx = c, .write = to_client, .body_max = body_max},
                     &c->server));
}

static void client_close(struct client *c)
{
    nghttp2_session_del(c->session);
    h2_free(c->server);
    buf_release(&c->to_client);
    buf_release(&c->got);
}

static ssize_t send_body(nghttp2_session *s, int32_t id, uint8_t *to, size_t room, uint32_t *flags,
                         nghttp2_data_source *source, void *arg)
{
    struct client *c = arg;
    size_t n = c->body.n < room ? c->body.n : room;
    memcpy(to, c->body.p, n);
    c->body = str_from(c->body, n);
    if (!c->body.n)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)n;
}

static int32_t begin(struct client *c, const char *path, struct str body)
{
#define NV(name, value)                                                                            \
    {(uint8_t *)(name), (uint8_t *)(uintptr_t)(value), strlen(name), strlen(value), 0}
    nghttp2_nv nv[] = {NV(":method", "POST"), NV(":scheme", "http"), NV(":path", path),
                       NV(":authority", "x"), NV("content-type", "application/grpc")};
    nghttp2_data_provider source = {.read_callback = send_body};
    c->body = body;
    return nghttp2_submit_request(c->session, NULL, nv, 5, &source, NULL);
}

/* Moves bytes both ways until nothing does, byte by byte to the server; answers what is asked. */
static enum err talk(struct client *c, struct buf *asked)
{
    static char pending[1 << 20];
    size_t n_pending = 0;
    for (bool moved = true; moved;) {
        const uint8_t *p;
        ssize_t n = nghttp2_session_mem_send(c->session, &p);
        moved = n > 0 || c->to_client.n;
        for (ssize_t i = 0; i < n; i++) {
            const struct h2_request *r;
            size_t taken;
            pending[n_pending++] = (char)p[i];
            TRY(h2_take(c->server, str_of(pending, n_pending), &taken, &r));
            assert_true(taken == 0 || taken == n_pending);
            n_pending = taken ? 0 : n_pending;
            if (!r)
                continue;
            buf_printf(asked, "%s %s %zu%s\n", r->method, r->path, r->body.n,
                       r->too_large ? " too large" : "");
            struct h2_trailer t[] = {{"grpc-status", r->too_large ? STR("8") : STR("0")}};
            TRY(h2_answer(c->server, r->stream, STR("application/grpc"),
                          r->too_large ? STR("") : STR("answer"), t, 1));
        }
        ssize_t took =
            nghttp2_session_mem_recv(c->session, (uint8_t *)c->to_client.p, c->to_client.n);
        assert_int_equal(took, c->to_client.n);
        buf_clear(&c->to_client);
    }
    return OK;
}

static void test_calls(void **state)
{
    struct client c;
    struct buf asked;
    static char large[300000];
    client_open(&c, 200000);
    buf_init(&asked, 1 << 20);
    assert_true(begin(&c, "/a", STR("body")) > 0);
    assert_ok(talk(&c, &asked));
    assert_str(buf_str(&asked), "POST /a 4\n");
    assert_str(buf_str(&c.got), "answer");
    assert_string_equal(c.status, "0");
    assert_int_equal(c.ended, 1);
    buf_clear(&asked);
    assert_true(begin(&c, "/large", str_of(large, 150000)) > 0);
    assert_ok(talk(&c, &asked));
    assert_str(buf_str(&asked), "POST /large 150000\n");
    assert_int_equal(c.ended, 2);
    buf_clear(&asked);
    assert_true(begin(&c, "/larger", str_of(large, sizeof(large))) > 0);
    assert_ok(talk(&c, &asked));
    assert_true(str_find(buf_str(&asked), STR(" too large")) < asked.n);
    assert_string_equal(c.status, "8");
    /* The bytes of one that was too large are given back. */
    buf_clear(&asked);
    assert_true(begin(&c, "/again", str_of(large, 150000)) > 0);
    assert_ok(talk(&c, &asked));
    assert_str(buf_str(&asked), "POST /again 150000\n");
    client_close(&c);
    buf_release(&asked);
}

/* Given up in the middle: what was received goes, and an answer to it is nothing. */
static void test_given_up(void **state)
{
    struct client c;
    struct buf asked;
    client_open(&c, 200000);
    buf_init(&asked, 1 << 20);
    int32_t id = begin(&c, "/a", STR("body"));
    assert_int_equal(nghttp2_submit_rst_stream(c.session, 0, id, NGHTTP2_CANCEL), 0);
    assert_ok(talk(&c, &asked));
    struct h2_trailer t[] = {{"grpc-status", STR("0")}};
    assert_ok(h2_answer(c.server, 1, STR("x"), STR("y"), t, 1));
    assert_ok(h2_answer(c.server, 77, STR("x"), STR("y"), t, 1));
    assert_true(begin(&c, "/open", STR("left open")) > 0); /* freed with the session */
    client_close(&c);
    buf_release(&asked);
}

static void test_no_http2(void **state)
{
    struct client c;
    const struct h2_request *r;
    size_t n;
    client_open(&c, 1000);
    assert_ok(h2_take(c.server, STR("PRI * HT"), &n, &r));
    assert_int_equal(n, 0);
    assert_err(h2_take(c.server, STR("POST / HTTP/1.1\r\n\r\n"), &n, &r), ERR_INVALID, "no HTTP/2");
    client_close(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_messages),
        cmocka_unit_test(test_calls),
        cmocka_unit_test(test_given_up),
        cmocka_unit_test(test_no_http2),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
