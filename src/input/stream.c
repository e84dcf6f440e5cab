/* A connection (listener.h) has as its state a pointer to its *sender*, which outlives it until the
 * last of its parcels is done. */
#include "input/stream.h"

#include "core/clock.h"
#include "core/mem.h"

#include <stdio.h>

enum { BODIES_OUT = 64, BYTES_OUT = 8 << 20, BODY_BYTES = 1 << 20, PARAMS_MAX = 24 };

struct stream_input {
    struct input input;
    const struct stream_protocol *protocol;
    struct parcel_desk desk;
    struct reactor *reactor;
    struct listener *listener;
    struct datagram_socket *socket; /* NULL: the protocol has none */
    struct tls_server *tls;
    void *ctx; /* the protocol's */
    struct reactor_ticker ticker;
    bool stopping;
    char thread[16];
};

struct sender {
    struct stream_input *in;
    struct conn *conn; /* NULL: closed */
    struct parcel *first, **last;
    unsigned n_out;
    size_t bytes_out;
    bool paused;
    bool ended;
    struct parcel_wait wait;
    _Alignas(16) char state[];
};

static const char *const common_params[] = {PARCEL_PARAMS, "tls_cert", "tls_key", "tls_ca", NULL};

/* ---- senders ---- */

static void sender_free(struct sender *s)
{
    const struct stream_protocol *p = s->in->protocol;
    if (p->close)
        p->close(s->in->ctx, s->state);
    mem_free(s);
}

static void pop_parcel(struct sender *s)
{
    struct parcel *p = s->first;
    s->first = p->next;
    if (!s->first)
        s->last = &s->first;
    s->n_out--;
    s->bytes_out -= p->bytes.n;
    parcel_free(p);
}

/* Ends a connection that does not get what it sent acknowledged. */
static void refuse(struct sender *s, const char *text)
{
    if (!s->conn)
        return;
    parcel_desk_error(&s->in->desk, conn_peer(s->conn), text);
    conn_finish(s->conn);
}

static enum err tell(struct sender *s, const struct parcel *parcel)
{
    const struct stream_protocol *p = s->in->protocol;
    const struct stream_outcome o = {parcel->err, parcel->refused, parcel->text};
    if (p->settled)
        return p->settled(s->in->ctx, s->conn, s->state, parcel->ack, &o);
    return p->landed ? p->landed(s->in->ctx, s->conn, s->state, parcel->ack) : OK;
}

static void acknowledge(struct sender *s)
{
    while (s->first && s->first->landed) {
        if (s->conn && s->first->ack.n && tell(s, s->first) != OK)
            refuse(s, err_text());
        pop_parcel(s);
    }
}

static bool is_full(const struct sender *s)
{
    return s->n_out >= BODIES_OUT || s->bytes_out >= BYTES_OUT;
}

static void parcel_done(struct parcel *p, enum err err, const char *text)
{
    struct sender *s = p->owner;
    if (err != OK && s->in->protocol->settled) {
        p->landed = true; /* it is told */
    } else if (err != OK) {
        /* It can never land; what came behind it may, but is not acknowledged before it. */
        refuse(s, text);
        p->landed = true;
        p->ack = (struct str){0};
    }
    acknowledge(s);
    if (!s->conn) {
        if (!s->first)
            sender_free(s);
        return;
    }
    if (s->paused && !is_full(s)) {
        s->paused = false;
        conn_resume(s->conn);
    }
    if (s->conn && s->ended && !s->first)
        conn_finish(s->conn);
}

/* ---- the listener's protocol ---- */

static struct sender *sender_of(struct conn *c)
{
    return *(struct sender **)conn_state(c);
}

static enum err on_open(void *ctx, struct conn *c)
{
    struct stream_input *in = ctx;
    struct sender *s = mem_zalloc(sizeof(*s) + in->protocol->state_size);
    s->in = in;
    s->conn = c;
    s->last = &s->first;
    *(struct sender **)conn_state(c) = s;
    return in->protocol->open ? in->protocol->open(in->ctx, c, s->state) : OK;
}

static void send_body(struct sender *s, const struct stream_cut *cut)
{
    struct stream_input *in = s->in;
    struct str host = in->protocol->host_is_peer ? str_c(conn_peer(s->conn)) : (struct str){0};
    struct parcel_content content = {cut->body, cut->key, host, cut->stream, cut->ack};
    struct parcel *p = parcel_send(&in->desk, s, parcel_done, &content);
    *s->last = p;
    s->last = &p->next;
    s->n_out++;
    s->bytes_out += cut->body.n;
}

/* What was sent before the fault is still acknowledged, then the connection ends. */
static void give_up(struct sender *s, const char *text)
{
    parcel_desk_error(&s->in->desk, conn_peer(s->conn), text);
    s->ended = true;
    conn_pause(s->conn);
    if (!s->first)
        conn_finish(s->conn);
}

/* More is waited for; *ret_forced: no longer, although it keeps coming. */
static bool gathers(struct sender *s, struct str bytes, bool ended, bool *ret_forced)
{
    const struct stream_protocol *p = s->in->protocol;
    *ret_forced = false;
    if (!s->in->desk.multiline || ended || s->in->stopping || !bytes.n || !p->gathers ||
        !p->gathers(s->in->ctx, s->state))
        return false;
    if (bytes.n < conn_message_max(s->conn) / 2)
        return parcel_desk_waits(&s->in->desk, &s->wait, bytes.n, ret_forced);
    s->wait.n = 0; /* more would be too long for one message */
    *ret_forced = true;
    return false;
}

/* Records that may go on stay, unless they are all that there is. */
static bool leave_open(const struct stream_input *in, struct stream_cut *cut)
{
    size_t n = in->protocol->before_open(in->desk.multiline, cut->body);
    if (n)
        cut->n = cut->body.n = n;
    return n > 0;
}

static enum err on_data(void *ctx, struct conn *c, struct str bytes, bool ended, size_t *ret_taken)
{
    struct stream_input *in = ctx;
    struct sender *s = sender_of(c);
    size_t at = 0;
    bool forced;
    enum err err = OK;
    if (gathers(s, bytes, ended, &forced))
        return OK;
    while (!is_full(s)) {
        struct stream_cut cut = {.most = in->desk.multiline ? PARCEL_GATHERED : BODY_BYTES};
        struct str rest = str_from(bytes, at);
        if (!rest.n)
            break;
        err = in->protocol->cut(in->ctx, c, s->state, rest, ended, &cut);
        if (err != OK || !cut.n)
            break;
        bool more = !ended && !in->stopping && (forced || cut.n < rest.n);
        bool left = more && cut.body.n && in->desk.multiline && in->protocol->before_open &&
                    leave_open(in, &cut);
        at += cut.n;
        if (cut.body.n)
            send_body(s, &cut);
        if (left && bytes.n - at < PARCEL_GATHERED)
            break;
    }
    *ret_taken = at;
    if (err != OK) {
        *ret_taken = bytes.n;
        give_up(s, err_text());
        return OK;
    }
    if (is_full(s) && !s->paused) {
        s->paused = true;
        conn_pause(c);
    } else if (ended) {
        s->ended = true;
        if (!s->first)
            conn_finish(c);
    }
    return OK;
}

static void on_close(void *ctx, struct conn *c, const char *reason)
{
    struct stream_input *in = ctx;
    struct sender *s = sender_of(c);
    if (reason)
        parcel_desk_error(&in->desk, conn_peer(c), reason);
    if (!s)
        return; /* not even open */
    s->conn = NULL;
    if (!s->first)
        sender_free(s);
}

static void on_tick(void *ctx, struct conn *c)
{
    struct stream_input *in = ctx;
    struct sender *s = sender_of(c);
    if (in->protocol->tick)
        in->protocol->tick(in->ctx, c, s->state, s->first != NULL);
}

static const struct listener_protocol listener_protocol = {
    .state_size = sizeof(struct sender *),
    .open = on_open,
    .data = on_data,
    .tick = on_tick,
    .close = on_close,
};

/* ---- the input ---- */

enum err input_address(const struct url *url, unsigned default_port, char *out, size_t n)
{
    bool v6 = str_find_byte(url->host, ':', 0) < url->host.n;
    if (!url->has_port && !default_port)
        return err_set(ERR_INVALID, "%.*s:// needs a port, such as %.*s://127.0.0.1:5514",
                       STR_ARG(url->scheme), STR_ARG(url->scheme));
    snprintf(out, n, "%s%.*s%s:%u", v6 ? "[" : "", url->host.n > 200 ? 200 : (int)url->host.n,
             url->host.p, v6 ? "]" : "", url->has_port ? url->port : default_port);
    return OK;
}

static enum err check_params(const struct stream_protocol *p, const struct url *url)
{
    const char *known[PARAMS_MAX];
    unsigned n = 0;
    for (unsigned i = 0; common_params[i]; i++)
        known[n++] = common_params[i];
    for (unsigned i = 0; p->params && p->params[i] && n < PARAMS_MAX - 1; i++)
        known[n++] = p->params[i];
    known[n] = NULL;
    return url_check_params(url, known);
}

static enum err open_tls(struct stream_input *in, const struct url *url, bool dry)
{
    struct tls_options o = {url_get(url, "tls_cert"), url_get(url, "tls_key"),
                            url_get(url, "tls_ca"), in->protocol->alpn};
    bool wanted = str_ends(url->scheme, STR("+tls"));
    if (wanted && !o.cert.n)
        return err_set(ERR_INVALID, "%.*s:// needs tls_cert=FILE", STR_ARG(url->scheme));
    return o.cert.n && !dry ? tls_server_new(&o, &in->tls) : OK;
}

static void on_datagrams(void *ctx, const struct datagram *list, unsigned n)
{
    struct stream_input *in = ctx;
    in->protocol->datagram(in->ctx, in->socket, list, n);
}

static enum err open_listener(struct stream_input *in, const struct input_options *o,
                              const struct url *url)
{
    char address[256];
    TRY(input_address(url, in->protocol->default_port, address, sizeof(address)));
    struct listener_options lo = {
        .address = address,
        .protocol = &listener_protocol,
        .ctx = in,
        .tls = in->tls,
        .message_max = o->body_max,
        .connections_max = o->connections_max,
    };
    if (o->dry)
        return OK;
    TRY(listener_new(in->reactor, &lo, &in->listener));
    if (!in->protocol->datagram)
        return OK;
    /* The port that it really is; the name of all interfaces stays that. */
    const char *port = strrchr(listener_address(in->listener), ':');
    snprintf(strrchr(address, ':'), 16, "%s", port ? port : "");
    return datagram_new(in->reactor, address, on_datagrams, in, &in->socket);
}

/* What was gathered may have waited long enough. */
static void on_ticker(void *ctx)
{
    struct stream_input *in = ctx;
    if (in->desk.multiline && in->listener)
        listener_offer(in->listener);
}

enum err stream_input_open(const struct input_type *type, const struct stream_protocol *protocol,
                           const struct input_options *o, const struct url *url, struct input **ret)
{
    enum err err = OK;
    TRY(check_params(protocol, url));
    struct stream_input *in = NEW(struct stream_input);
    in->input.type = type;
    in->protocol = protocol;
    arena_init(&in->desk.arena, 0, NULL);
    TRY_OUT(reactor_new(&in->reactor));
    parcel_desk_init(&in->desk, in->reactor, o);
    in->ticker = (struct reactor_ticker){on_ticker, in, NULL};
    reactor_tick(in->reactor, &in->ticker);
    in->desk.format = protocol->format;
    in->desk.name = protocol->name;
    in->desk.once = protocol->settled != NULL;
    snprintf(in->thread, sizeof(in->thread), "in-%s", protocol->name);
    TRY_OUT(parcel_desk_read(&in->desk, url, protocol->name));
    if (protocol->configure)
        TRY_OUT(protocol->configure(url, &in->desk.arena, &in->ctx));
    TRY_OUT(open_tls(in, url, o->dry));
    TRY_OUT(open_listener(in, o, url));
    *ret = &in->input;
out:
    if (err != OK)
        stream_input_close(&in->input);
    return err;
}

static void start(void *ctx)
{
    struct stream_input *in = ctx;
    enum err err = listener_start(in->listener);
    if (err == OK && in->socket)
        err = datagram_start(in->socket);
    if (err != OK)
        parcel_desk_error(&in->desk, "listener", err_text());
}

enum err stream_input_start(struct input *input)
{
    struct stream_input *in = (struct stream_input *)input;
    TRY(reactor_run(in->reactor, in->thread));
    reactor_call(in->reactor, start, in);
    return OK;
}

static void stop(void *ctx)
{
    struct stream_input *in = ctx;
    in->stopping = true;
    on_ticker(in);
    listener_stop(in->listener);
    if (in->socket)
        datagram_stop(in->socket);
}

void stream_input_stop(struct input *input, int64_t wait_ms)
{
    struct stream_input *in = (struct stream_input *)input;
    reactor_call(in->reactor, stop, in);
    parcel_desk_drain(&in->desk, wait_ms);
}

static void close_listener(void *ctx)
{
    struct stream_input *in = ctx;
    listener_free(in->listener);
    datagram_free(in->socket);
    in->listener = NULL;
    in->socket = NULL;
}

void stream_input_close(struct input *input)
{
    struct stream_input *in = (struct stream_input *)input;
    if (in->reactor)
        reactor_call(in->reactor, close_listener, in);
    reactor_free(in->reactor);
    tls_server_free(in->tls);
    parcel_desk_release(&in->desk);
    arena_release(&in->desk.arena);
    mem_free(in);
}

void stream_input_status(struct input *input, struct input_status *ret)
{
    struct stream_input *in = (struct stream_input *)input;
    snprintf(ret->address, sizeof(ret->address), "%s", listener_address(in->listener));
    ret->connections = listener_connections(in->listener);
    parcel_desk_status(&in->desk, ret);
}
