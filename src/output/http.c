/* Another Weir: http://[user:password@]host:port. Frames go as they are (wire/frames.h), with the
 * sender's id and the sequence of each unit, so that what is sent again lands once. */
#include "core/clock.h"
#include "core/mem.h"
#include "net/http_client.h"
#include "output/outputs.h"
#include "output/peer.h"
#include "wire/frames.h"

#include <stdio.h>

enum { TIMEOUT_MS = 120000, ANSWER_MAX = 1 << 20 };

struct http_output {
    struct output base;
    struct http_client *client;
    struct buf body;
    int64_t timeout_ms;
};

static enum err http_open(const struct url *url, struct output **ret)
{
    static const char *const known[] = {PEER_PARAMS, NULL};
    struct peer peer;
    TRY(url_check_params(url, known));
    TRY(peer_read(url, 0, &peer));
    if (url->path.n > 1)
        return err_set(ERR_INVALID,
                       "an http:// output is another Weir: http://HOST:PORT, without "
                       "the path %.*s",
                       url->path.n > 100 ? 100 : (int)url->path.n, url->path.p);
    struct buf plain;
    buf_init(&plain, SIZE_MAX);
    url_put_plain(url, &plain);
    buf_put_byte(&plain, '\0');
    char *user =
        url->user.n ? mem_printf("%.*s:%.*s", STR_ARG(url->user), STR_ARG(url->password)) : NULL;
    struct http_output *o = NEW(struct http_output);
    enum err err = http_client_new(plain.p, user, &o->client);
    mem_free(user);
    buf_release(&plain);
    if (err != OK) {
        mem_free(o);
        return err;
    }
    if (str_eq_c(url->scheme, "https"))
        peer_secure(&peer, o->client);
    o->timeout_ms = url_get(url, "timeout").n ? peer.timeout_ms : TIMEOUT_MS;
    buf_init(&o->body, SIZE_MAX);
    o->base.type = &output_http;
    *ret = &o->base;
    return OK;
}

static void write_body(struct http_output *o, const struct output_bulk *bulk)
{
    buf_clear(&o->body);
    frames_begin(&o->body, &(struct frames_head){bulk->producer, bulk->epoch});
    for (uint32_t i = 0; i < bulk->n; i++)
        frames_add(&o->body, bulk->item[i].sequence, bulk->item[i].frame);
}

/* What the server said, without the JSON around it. */
static struct str said(const struct buf *body)
{
    struct str s = buf_str(body), name = STR("\"error\":\"");
    size_t at = str_find(s, name);
    if (at != SIZE_MAX)
        s = str_of(s.p + at + name.n, str_find_byte(s, '"', at + name.n) - at - name.n);
    s = str_trim(s);
    return s.n > 200 ? str_of(s.p, 200) : s;
}

static enum err judge(const struct http_answer *a)
{
    struct str text = said(&a->body);
    if (a->status == 202)
        return OK;
    enum err err = ERR_UNAVAILABLE;
    if (a->status == 400 || a->status == 413 || a->status == 415 || a->status == 422)
        err = ERR_INVALID;
    else if (a->status == 401 || a->status == 403)
        err = ERR_AUTH;
    return err_set(err, "the server answered %u: %.*s", a->status, STR_ARG(text));
}

static enum err http_send(struct output *base, const struct output_bulk *bulk, int64_t *ret_wait_ns)
{
    struct http_output *o = (struct http_output *)base;
    struct http_answer a = {0};
    buf_init(&a.body, ANSWER_MAX);
    write_body(o, bulk);
    http_client_begin(o->client, "POST", "/api/v1/logs/ingest");
    http_client_header(o->client, "Content-Type", FRAMES_TYPE);
    enum err err = http_client_send(o->client, buf_str(&o->body), o->timeout_ms, NULL, NULL, &a);
    if (err == OK) {
        err = judge(&a);
        *ret_wait_ns = a.retry_after_s * NS_PER_S;
    }
    buf_release(&a.body);
    return err;
}

static void http_close(struct output *base)
{
    struct http_output *o = (struct http_output *)base;
    http_client_free(o->client);
    buf_release(&o->body);
    mem_free(o);
}

static const char *const schemes[] = {"http", "https", NULL};
const struct output_type output_http = {
    .name = "http",
    .schemes = schemes,
    .gather = {.rows = UINT64_MAX, .bytes = 2 << 20, .wait_ns = 0},
    .open = http_open,
    .send = http_send,
    .close = http_close,
};
