#include "input/datagrams.h"

#include "core/log.h"
#include "core/mem.h"
#include "input/stream.h"

#include <stdio.h>

enum { BYTES_OUT = 16 << 20, BODY_MAX = 1 << 20, SENDERS = 64 };

/* What came from one sender. */
struct gathered {
    struct buf body;
    char peer[64];
    struct parcel_wait wait;
};
struct datagram_input {
    struct input input;
    const struct datagram_protocol *protocol;
    struct parcel_desk desk;
    struct reactor *reactor;
    struct datagram_socket *socket;
    struct reactor_ticker ticker;
    void *ctx; /* the protocol's */
    struct gathered
        of[SENDERS]; /* without multiline= the first alone, and not longer than a call */
    unsigned next;   /* of them: has to make room */
    size_t bytes_out;
    uint64_t dropped; /* told of */
    char thread[16];
};

static void done(struct parcel *p, enum err err, const char *text)
{
    struct datagram_input *in = p->owner;
    if (err != OK)
        parcel_desk_error(&in->desk, NULL, text);
    in->bytes_out -= p->bytes.n;
    parcel_free(p);
    datagram_pause(in->socket, in->bytes_out >= BYTES_OUT);
}

static void flush(struct datagram_input *in, struct gathered *g)
{
    if (!g->body.n)
        return;
    in->bytes_out += g->body.n;
    struct parcel_content content = {.bytes = buf_str(&g->body), .host = str_c(g->peer)};
    (void)parcel_send(&in->desk, in, done, &content);
    buf_clear(&g->body);
    g->wait = (struct parcel_wait){0};
    datagram_pause(in->socket, in->bytes_out >= BYTES_OUT);
}

static void flush_all(struct datagram_input *in)
{
    for (unsigned i = 0; i < SENDERS; i++)
        flush(in, &in->of[i]);
}

/* The sender's, or one that is made its. */
static struct gathered *gathered_of(struct datagram_input *in, const char *peer)
{
    unsigned n = in->desk.multiline ? SENDERS : 1;
    for (unsigned i = 0; i < n; i++)
        if (!strcmp(in->of[i].peer, peer))
            return &in->of[i];
    struct gathered *g = &in->of[in->next++ % n];
    flush(in, g);
    snprintf(g->peer, sizeof(g->peer), "%s", peer);
    return g;
}

static void take(void *ctx, const struct datagram *list, unsigned n)
{
    struct datagram_input *in = ctx;
    size_t most = in->desk.multiline ? PARCEL_GATHERED : BODY_MAX;
    for (unsigned i = 0; i < n; i++) {
        struct gathered *g = gathered_of(in, list[i].peer);
        if (g->body.n >= most)
            flush(in, g);
        if (in->protocol->add(in->ctx, in->socket, &list[i], &g->body) != OK)
            parcel_desk_error(&in->desk, NULL, err_text());
    }
    if (!in->desk.multiline)
        flush_all(in);
}

static void on_tick(void *ctx)
{
    struct datagram_input *in = ctx;
    uint64_t dropped = datagram_dropped(in->socket);
    bool forced;
    if (in->protocol->tick)
        in->protocol->tick(in->ctx);
    for (unsigned i = 0; i < SENDERS; i++)
        if (in->of[i].body.n &&
            !parcel_desk_waits(&in->desk, &in->of[i].wait, in->of[i].body.n, &forced))
            flush(in, &in->of[i]);
    if (dropped == in->dropped)
        return;
    log_warn("the kernel dropped datagrams", "input=%s dropped=%llu", in->protocol->name,
             (unsigned long long)(dropped - in->dropped));
    in->desk.errors += dropped - in->dropped;
    in->dropped = dropped;
}

/* ---- the input ---- */

static enum err open_socket(struct datagram_input *in, const struct url *url, bool dry)
{
    char address[256];
    TRY(input_address(url, in->protocol->default_port, address, sizeof(address)));
    return dry ? OK : datagram_new(in->reactor, address, take, in, &in->socket);
}

enum err datagram_input_open(const struct input_type *type,
                             const struct datagram_protocol *protocol,
                             const struct input_options *o, const struct url *url,
                             struct input **ret)
{
    static const char *const params[] = {PARCEL_PARAMS, NULL};
    enum err err = OK;
    TRY(url_check_params(url, params));
    struct datagram_input *in = NEW(struct datagram_input);
    in->input.type = type;
    in->protocol = protocol;
    arena_init(&in->desk.arena, 0, NULL);
    for (unsigned i = 0; i < SENDERS; i++)
        buf_init(&in->of[i].body, SIZE_MAX);
    TRY_OUT(reactor_new(&in->reactor));
    parcel_desk_init(&in->desk, in->reactor, o);
    in->desk.format = protocol->format;
    in->desk.name = protocol->name;
    in->ticker = (struct reactor_ticker){on_tick, in, NULL};
    reactor_tick(in->reactor, &in->ticker);
    snprintf(in->thread, sizeof(in->thread), "in-%s-udp", protocol->name);
    TRY_OUT(parcel_desk_read(&in->desk, url, protocol->name));
    if (protocol->new_state)
        in->ctx = protocol->new_state(o);
    TRY_OUT(open_socket(in, url, o->dry));
    *ret = &in->input;
out:
    if (err != OK)
        datagram_input_close(&in->input);
    return err;
}

static void start(void *ctx)
{
    struct datagram_input *in = ctx;
    if (datagram_start(in->socket) != OK)
        parcel_desk_error(&in->desk, "socket", err_text());
}

enum err datagram_input_start(struct input *input)
{
    struct datagram_input *in = (struct datagram_input *)input;
    TRY(reactor_run(in->reactor, in->thread));
    reactor_call(in->reactor, start, in);
    return OK;
}

static void stop(void *ctx)
{
    struct datagram_input *in = ctx;
    datagram_stop(in->socket);
    flush_all(in);
}

void datagram_input_stop(struct input *input, int64_t wait_ms)
{
    struct datagram_input *in = (struct datagram_input *)input;
    reactor_call(in->reactor, stop, in);
    parcel_desk_drain(&in->desk, wait_ms);
}

void datagram_input_close(struct input *input)
{
    struct datagram_input *in = (struct datagram_input *)input;
    reactor_free(in->reactor);
    datagram_free(in->socket);
    if (in->ctx)
        in->protocol->free_state(in->ctx);
    parcel_desk_release(&in->desk);
    for (unsigned i = 0; i < SENDERS; i++)
        buf_release(&in->of[i].body);
    arena_release(&in->desk.arena);
    mem_free(in);
}

void datagram_input_status(struct input *input, struct input_status *ret)
{
    struct datagram_input *in = (struct datagram_input *)input;
    snprintf(ret->address, sizeof(ret->address), "%s", datagram_address(in->socket));
    parcel_desk_status(&in->desk, ret);
}
