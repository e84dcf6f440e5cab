/* A request as its handler sees it, and plain answers.
 *
 * Everything that is read from the connection (method, path, parameters, headers, body) is there
 * before the handler runs; headers are asked of libmicrohttpd, which keeps them while the request
 * lives. A handler that answers late may find the connection gone (client left, server stopped):
 * what it holds stays valid, its answer is dropped, headers read as absent. */
#include "core/clock.h"
#include "core/mem.h"
#include "net/http_internal.h"

#include <stdio.h>

enum { ARENA_BYTES_MAX = 16 << 20 };

static enum MHD_Result add_param(void *ctx, enum MHD_ValueKind kind, const char *key, size_t key_n,
                                 const char *value, size_t value_n)
{
    struct http_request *r = ctx;
    struct http_pair *pair = ARENA_NEW(&r->arena, struct http_pair);
    pair->name = arena_str(&r->arena, str_of(key, key_n));
    pair->value = value ? arena_str(&r->arena, str_of(value, value_n)) : STR("");
    struct http_pair **end = &r->params;
    while (*end)
        end = &(*end)->next;
    *end = pair;
    return MHD_YES;
}

struct http_request *http_request_new(struct http_server *s, struct MHD_Connection *c,
                                      const char *path, const char *method)
{
    struct http_request *r = NEW(struct http_request);
    r->server = s;
    r->connection = c;
    r->refs = 1;
    r->watched_fd = -1;
    r->step_ns = r->began_ns = clock_mono_ns();
    arena_init(&r->arena, ARENA_BYTES_MAX, NULL);
    buf_init(&r->body, s->options.body_max + 64);
    reservation_init(&r->body_reserved, OWNER_INGEST, 0);
    pthread_mutex_init(&r->coming, NULL);
    pthread_mutex_init(&r->lock, NULL);
    cond_init(&r->moved);
    r->path = arena_str(&r->arena, str_c(path));
    r->method = arena_str(&r->arena, str_c(method));
    MHD_get_connection_values_n(c, MHD_GET_ARGUMENT_KIND, add_param, r);
    atomic_fetch_add(&s->refs, 1);
    return r;
}

void http_server_unref(struct http_server *s)
{
    if (atomic_fetch_sub(&s->refs, 1) > 1)
        return;
    pthread_cond_destroy(&s->idle);
    pthread_mutex_destroy(&s->lock);
    mem_free(s->watched);
    mem_free(s->routes);
    mem_free(s);
}

void http_request_unref(struct http_request *r)
{
    if (atomic_fetch_sub(&r->refs, 1) > 1)
        return;
    if (r->response)
        MHD_destroy_response(r->response);
    http_stream_free(r->stream);
    http_body_release(r);
    arena_release(&r->arena);
    pthread_cond_destroy(&r->moved);
    pthread_mutex_destroy(&r->lock);
    pthread_mutex_destroy(&r->coming);
    struct http_server *s = r->server;
    mem_free(r);
    http_server_unref(s);
}

/* ---- what was asked ---- */

struct str http_method(const struct http_request *r)
{
    return r->method;
}

struct str http_path(const struct http_request *r)
{
    return r->path;
}

struct str http_path_rest(const struct http_request *r, unsigned i)
{
    struct str rest = str_from(r->path, 1), part;
    while (i-- > 0)
        (void)str_split(&rest, '/', &part);
    return rest;
}

struct str http_path_segment(const struct http_request *r, unsigned i)
{
    struct str rest = http_path_rest(r, i), part;
    return str_split(&rest, '/', &part) ? part : (struct str){0};
}

struct str http_param(const struct http_request *r, const char *name)
{
    for (const struct http_pair *p = r->params; p; p = p->next)
        if (str_eq_c(p->name, name))
            return p->value;
    return (struct str){0};
}

struct str http_header(const struct http_request *r, const char *name)
{
    struct http_request *w = (struct http_request *)r; /* the lock is no part of its value */
    struct str found = {0};
    pthread_mutex_lock(&w->lock);
    const char *value = NULL;
    size_t n = 0;
    if (r->connection && MHD_lookup_connection_value_n(r->connection, MHD_HEADER_KIND, name,
                                                       strlen(name), &value, &n) == MHD_YES)
        found = value ? arena_str(&w->arena, str_of(value, n)) : STR("");
    pthread_mutex_unlock(&w->lock);
    return found;
}

void *http_upload(struct http_request *r)
{
    void *upload = r->upload;
    r->upload = NULL;
    return upload;
}

struct str http_body(const struct http_request *r)
{
    return buf_str(&r->body);
}

void http_body_release(struct http_request *r)
{
    buf_release(&r->body);
    reservation_release(&r->body_reserved);
}

struct arena *http_arena(struct http_request *r)
{
    return &r->arena;
}

const _Atomic bool *http_canceled(const struct http_request *r)
{
    return &r->canceled;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* A '%' that no two hexadecimal digits follow stands for itself. */
static struct str url_decode(struct arena *a, struct str s)
{
    char *out = arena_alloc(a, s.n + 1);
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        int hi = s.p[i] == '%' && i + 2 < s.n ? hex_digit(s.p[i + 1]) : -1;
        int lo = hi >= 0 ? hex_digit(s.p[i + 2]) : -1;
        if (lo >= 0) {
            out[n++] = (char)(hi << 4 | lo);
            i += 2;
        } else {
            out[n++] = s.p[i] == '+' ? ' ' : s.p[i];
        }
    }
    out[n] = 0;
    return str_of(out, n);
}

void http_request_read_form(struct http_request *r)
{
    struct str type = http_header(r, "Content-Type");
    size_t end = str_find_byte(type, ';', 0);
    if (!str_ieq(str_trim(str_of(type.p, end)), STR("application/x-www-form-urlencoded")))
        return;
    if (r->body.n > ARENA_BYTES_MAX / 8)
        return;
    struct str rest = http_body(r), part;
    while (str_split(&rest, '&', &part)) {
        size_t eq = str_find_byte(part, '=', 0);
        if (part.n == 0)
            continue;
        struct str name = url_decode(&r->arena, str_of(part.p, eq));
        struct str value = url_decode(&r->arena, str_from(part, eq + 1));
        add_param(r, MHD_POSTDATA_KIND, name.p, name.n, value.p, value.n);
    }
}

/* ---- answers ---- */

void http_request_answer(struct http_request *r, struct MHD_Response *response, unsigned status)
{
    CHECK(!r->answered);
    r->answered = true;
    r->status = status;
    for (struct http_answer_header *h = r->headers; h; h = h->next)
        if (MHD_add_response_header(response, h->name, h->value) != MHD_YES)
            BUG("bad answer header %s", h->name);
    if (!r->connection) {
        MHD_destroy_response(response);
        return;
    }
    r->response = response;
    if (r->suspended) {
        r->suspended = false;
        MHD_resume_connection(r->connection);
    }
}

void http_reply_header(struct http_request *r, const char *name, const char *value)
{
    struct http_answer_header *h = ARENA_NEW(&r->arena, struct http_answer_header);
    h->name = arena_str(&r->arena, str_c(name)).p;
    h->value = arena_str(&r->arena, str_c(value)).p;
    h->next = r->headers;
    r->headers = h;
}

void http_reply(struct http_request *r, unsigned status, const char *content_type, struct str body)
{
    if (content_type)
        http_reply_header(r, "Content-Type", content_type);
    struct MHD_Response *response = MHD_create_response_from_buffer(
        body.n, (void *)(body.n ? body.p : ""), MHD_RESPMEM_MUST_COPY);
    CHECK(response);
    bool handler = r->dispatched;
    pthread_mutex_lock(&r->lock);
    http_request_answer(r, response, status);
    pthread_mutex_unlock(&r->lock);
    if (handler)
        http_request_unref(r);
}

/* The bytes of a JSON string without the quotes. The JSON module stands on this folder, not the
 * other way round, and errors are short: bytes that are no UTF-8 become '?'. */
static void put_escaped(struct buf *out, const char *s)
{
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        if (c == '"' || c == '\\')
            buf_printf(out, "\\%c", c);
        else if (c == '\n')
            buf_put_c(out, "\\n");
        else if (c < 0x20 || c == 0x7f)
            buf_printf(out, "\\u%04x", c);
        else
            buf_put_byte(out, (char)c);
    }
}

/* Length of the UTF-8 sequence at s, or 0. */
static size_t utf8_length(const unsigned char *s)
{
    if (s[0] < 0x80)
        return 1;
    size_t n = s[0] >= 0xc2 && s[0] < 0xe0   ? 2
               : s[0] >= 0xe0 && s[0] < 0xf0 ? 3
               : s[0] >= 0xf0 && s[0] < 0xf5 ? 4
                                             : 0;
    for (size_t i = 1; i < n; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
        (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
        return 0;
    return n;
}

static void mend_utf8(char *s)
{
    while (*s) {
        size_t n = utf8_length((unsigned char *)s);
        if (n == 0) {
            *s = '?';
            n = 1;
        }
        s += n;
    }
}

static void reply_error(struct http_request *r, unsigned status, const char *text, int64_t at)
{
    char clean[4096];
    snprintf(clean, sizeof(clean), "%s", text);
    mend_utf8(clean);
    struct buf out;
    buf_init(&out, 64 << 10);
    buf_put_c(&out, "{\"error\":\"");
    put_escaped(&out, clean);
    buf_printf(&out, "\",\"status\":%u", status);
    if (at >= 0)
        buf_printf(&out, ",\"at\":%lld", (long long)at);
    buf_put_c(&out, "}\n");
    if (status == 429 || status == 503 || status == 507)
        http_reply_header(r, "Retry-After", "1");
    http_reply(r, status, "application/json", buf_str(&out));
    buf_release(&out);
}

void http_error(struct http_request *r, unsigned status, const char *fmt, ...)
{
    char text[4096];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    reply_error(r, status, text, -1);
}

void http_error_at(struct http_request *r, unsigned status, const char *text, size_t at)
{
    reply_error(r, status, text, (int64_t)at);
}

unsigned http_status_of(enum err err)
{
    switch (err) {
    case OK:
        return 200;
    case ERR_INVALID:
    case ERR_UNSUPPORTED:
    case ERR_EOF:
        return 400;
    case ERR_LIMIT:
        return 413;
    case ERR_AUTH:
        return 401;
    case ERR_NOTFOUND:
        return 404;
    case ERR_EXISTS:
    case ERR_CONFLICT:
        return 409;
    case ERR_NOMEM:
    case ERR_UNAVAILABLE:
    case ERR_FULL:
    case ERR_AGAIN:
        return 503;
    case ERR_TIMEOUT:
        return 504;
    case ERR_CANCELED:
        return 499;
    case ERR_IO:
    case ERR_CORRUPT:
        return 500;
    }
    return 500;
}

void http_error_of(struct http_request *r, enum err err, const char *text)
{
    reply_error(r, http_status_of(err), text, -1);
}
