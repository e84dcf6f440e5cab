#include "net/h2.h"

#include "core/governor.h"
#include "core/mem.h"

#include <nghttp2/nghttp2.h>
#include <stdio.h>

enum {
    STREAMS_MAX = 100,
    WINDOW_BYTES = 1 << 20,
    FRAME_HEAD = 9,
    FRAME_MAX = 16384,
    TRAILERS_MAX = 8
};

/* A stream with what was received and what is being sent. */
struct stream {
    struct h2_request request;
    struct stream *next, **back; /* of the session's */
    struct buf out;
    size_t sent;
    struct buf trailers; /* name NUL value NUL ... */
    unsigned n_trailers;
};

struct h2 {
    struct h2_options o;
    nghttp2_session *session;
    size_t held;             /* bytes of bodies */
    bool greeted;            /* the preface has come */
    struct stream *complete; /* told, and kept until the next h2_take */
    bool complete_closed;    /* nghttp2 has forgotten it */
    struct stream *first;
};

/* ---- streams ---- */

static void drop_body(struct h2 *h, struct stream *s)
{
    h->held -= s->request.body.n;
    governor_give(OWNER_INGEST, s->request.body.n);
    buf_release(&s->request.body);
}

static void stream_free(struct h2 *h, struct stream *s)
{
    drop_body(h, s);
    *s->back = s->next;
    if (s->next)
        s->next->back = s->back;
    buf_release(&s->out);
    buf_release(&s->trailers);
    mem_free(s);
}

static void let_go(struct h2 *h)
{
    struct stream *s = h->complete;
    h->complete = NULL;
    if (s && h->complete_closed)
        stream_free(h, s);
    else if (s)
        drop_body(h, s);
    h->complete_closed = false;
}

static struct stream *stream_of(struct h2 *h, int32_t id)
{
    return nghttp2_session_get_stream_user_data(h->session, id);
}

/* ---- what nghttp2 tells ---- */

static int on_begin(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
        return 0;
    struct h2 *h = arg;
    struct stream *s = NEW(struct stream);
    s->request.stream = frame->hd.stream_id;
    s->next = h->first;
    s->back = &h->first;
    if (s->next)
        s->next->back = &s->next;
    h->first = s;
    buf_init(&s->request.body, h->o.body_max);
    buf_init(&s->out, SIZE_MAX);
    buf_init(&s->trailers, SIZE_MAX);
    return nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, s);
}

static void keep(char *to, size_t room, const uint8_t *value, size_t n)
{
    if (n < room) {
        memcpy(to, value, n);
        to[n] = '\0';
    }
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_n, const uint8_t *value, size_t n, uint8_t flags, void *arg)
{
    struct stream *s = stream_of(arg, frame->hd.stream_id);
    struct str is = str_of((const char *)name, name_n);
    if (!s)
        return 0;
    if (str_eq(is, STR(":method")))
        keep(s->request.method, sizeof(s->request.method), value, n);
    else if (str_eq(is, STR(":path")))
        keep(s->request.path, sizeof(s->request.path), value, n);
    else if (str_eq(is, STR("content-type")))
        keep(s->request.type, sizeof(s->request.type), value, n);
    else if (str_eq(is, STR("grpc-encoding")))
        keep(s->request.encoding, sizeof(s->request.encoding), value, n);
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *p, size_t n,
                   void *arg)
{
    struct h2 *h = arg;
    struct stream *s = stream_of(h, id);
    if (!s || s->request.too_large)
        return 0;
    if (h->held + n > h->o.body_max || buf_add(&s->request.body, p, n) != OK) {
        s->request.too_large = true;
        return 0;
    }
    h->held += n;
    governor_force(OWNER_INGEST, n);
    return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    struct h2 *h = arg;
    bool ends = (frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA) &&
                frame->hd.flags & NGHTTP2_FLAG_END_STREAM;
    if (ends)
        h->complete = stream_of(h, frame->hd.stream_id);
    return 0;
}

static int on_close(nghttp2_session *session, int32_t id, uint32_t code, void *arg)
{
    struct h2 *h = arg;
    struct stream *s = stream_of(h, id);
    if (s && s == h->complete)
        h->complete_closed = true;
    else if (s)
        stream_free(h, s);
    return 0;
}

/* ---- life ---- */

static enum err failed(ssize_t code)
{
    return err_set(code == NGHTTP2_ERR_NOMEM ? ERR_NOMEM : ERR_INVALID, "HTTP/2: %s",
                   nghttp2_strerror((int)code));
}

static int open_session(struct h2 *h)
{
    nghttp2_session_callbacks *calls;
    int r = nghttp2_session_callbacks_new(&calls);
    if (r != 0)
        return r;
    nghttp2_session_callbacks_set_on_begin_headers_callback(calls, on_begin);
    nghttp2_session_callbacks_set_on_header_callback(calls, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(calls, on_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(calls, on_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(calls, on_close);
    r = nghttp2_session_server_new(&h->session, calls, h);
    nghttp2_session_callbacks_del(calls);
    return r;
}

static enum err flush(struct h2 *h)
{
    const uint8_t *p;
    ssize_t n;
    while ((n = nghttp2_session_mem_send(h->session, &p)) > 0)
        TRY(h->o.write(h->o.ctx, str_of((const char *)p, (size_t)n)));
    return n < 0 ? failed(n) : OK;
}

enum err h2_new(const struct h2_options *o, struct h2 **ret)
{
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, STREAMS_MAX},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, WINDOW_BYTES},
    };
    struct h2 *h = NEW(struct h2);
    h->o = *o;
    int r = open_session(h);
    if (r == 0)
        r = nghttp2_submit_settings(h->session, 0, settings, 2);
    if (r == 0)
        r = nghttp2_session_set_local_window_size(h->session, 0, 0, WINDOW_BYTES);
    enum err err = r == 0 ? flush(h) : failed(r);
    if (err != OK) {
        h2_free(h);
        return err;
    }
    *ret = h;
    return OK;
}

void h2_free(struct h2 *h)
{
    if (!h)
        return;
    while (h->first)
        stream_free(h, h->first);
    nghttp2_session_del(h->session);
    mem_free(h);
}

/* ---- in ---- */

/* How long the first frame is, or the preface; SIZE_MAX: more is needed to know. */
static size_t frame_bytes(const struct h2 *h, struct str in)
{
    const uint8_t *p = (const uint8_t *)in.p;
    if (!h->greeted)
        return NGHTTP2_CLIENT_MAGIC_LEN;
    if (in.n < FRAME_HEAD)
        return SIZE_MAX;
    size_t n = (size_t)p[0] << 16 | (size_t)p[1] << 8 | p[2];
    return n > FRAME_MAX ? FRAME_HEAD : FRAME_HEAD + n; /* too long a one: nghttp2 says so */
}

enum err h2_take(struct h2 *h, struct str in, size_t *ret_n, const struct h2_request **ret_request)
{
    size_t n = frame_bytes(h, in), preface = n < in.n ? n : in.n;
    *ret_n = 0;
    *ret_request = NULL;
    let_go(h);
    if (!h->greeted && memcmp(in.p, NGHTTP2_CLIENT_MAGIC, preface) != 0)
        return err_set(ERR_INVALID, "no HTTP/2: gRPC is spoken here");
    if (n == SIZE_MAX || in.n < n)
        return OK;
    h->greeted = true;
    ssize_t taken = nghttp2_session_mem_recv(h->session, (const uint8_t *)in.p, n);
    if (taken < 0)
        return failed(taken);
    TRY(flush(h));
    *ret_n = n;
    *ret_request = h->complete ? &h->complete->request : NULL;
    return OK;
}

/* ---- out ---- */

static nghttp2_nv pair(const char *name, struct str value)
{
    return (nghttp2_nv){(uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value.p, strlen(name),
                        value.n, NGHTTP2_NV_FLAG_NONE};
}

static ssize_t read_body(nghttp2_session *session, int32_t id, uint8_t *to, size_t room,
                         uint32_t *flags, nghttp2_data_source *source, void *arg)
{
    struct stream *s = source->ptr;
    nghttp2_nv nv[TRAILERS_MAX];
    size_t left = s->out.n - s->sent, n = left < room ? left : room;
    memcpy(to, s->out.p + s->sent, n);
    s->sent += n;
    if (s->sent < s->out.n)
        return (ssize_t)n;
    *flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
    const char *at = s->trailers.p;
    for (unsigned i = 0; i < s->n_trailers; i++) {
        const char *value = at + strlen(at) + 1;
        nv[i] = pair(at, str_c(value));
        at = value + strlen(value) + 1;
    }
    int r = nghttp2_submit_trailer(session, id, nv, s->n_trailers);
    return r == 0 ? (ssize_t)n : r;
}

enum err h2_answer(struct h2 *h, int32_t id, struct str type, struct str body,
                   const struct h2_trailer *trailer, unsigned n)
{
    struct stream *s = stream_of(h, id);
    nghttp2_nv nv[2 + TRAILERS_MAX] = {pair(":status", STR("200")), pair("content-type", type)};
    CHECK(n <= TRAILERS_MAX);
    if (!s || s->n_trailers)
        return OK;
    for (unsigned i = 0; i < n; i++) {
        nv[2 + i] = pair(trailer[i].name, trailer[i].value);
        buf_put(&s->trailers, trailer[i].name, strlen(trailer[i].name) + 1);
        buf_put_str(&s->trailers, trailer[i].value);
        buf_put_byte(&s->trailers, '\0');
    }
    s->n_trailers = n;
    buf_put_str(&s->out, body);
    nghttp2_data_provider source = {.source.ptr = s, .read_callback = read_body};
    int r =
        nghttp2_submit_response(h->session, id, nv, body.n ? 2 : 2 + n, body.n ? &source : NULL);
    return r == 0 ? flush(h) : failed(r);
}

bool h2_over(struct h2 *h)
{
    return !nghttp2_session_want_read(h->session) && !nghttp2_session_want_write(h->session);
}
