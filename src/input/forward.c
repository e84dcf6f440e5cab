/* The forward protocol: forward://, forward+tls://. The messages: wire/forward.h.
 *
 * With shared_key= the peers prove that they know it before anything else is heard
 * (|| joins, all digests are SHA-512 in lower-case hex):
 *
 *     server  ["HELO", {"nonce": n, "auth": a, "keepalive": true}]
 *     client  ["PING", host, salt, sha512(salt || host || n || key), user, sha512(a || user || pw)]
 *     server  ["PONG", ok, reason, own host, sha512(salt || own host || n || key)]
 *
 * a is empty where the URL names no user. A chunk is acknowledged by {"ack": chunk} when its
 * records are durable; the same chunk sent again lands once. A UDP datagram on the same port is a
 * heartbeat, answered as it came. */
#include "wire/forward.h"
#include "core/clock.h"
#include "core/mem.h"
#include "input/inputs.h"
#include "input/stream.h"

#include <openssl/crypto.h>
#include <unistd.h>

enum {
    FORWARD_PORT = 24224,
    NONCE_BYTES = 16,
    PING_ELEMENTS = 6,
    HEARTBEAT_MAX = 64,
};

struct forward { /* what the URL says */
    struct str shared_key, user, password, host;
    bool by_tag; /* stream={tag} */
};
struct state {
    struct forward_scan scan;
    bool trusted;
    bool acks; /* it has asked for one */
    char nonce[NONCE_BYTES], salt[NONCE_BYTES];
};

/* ---- the handshake ---- */

static bool is_digest(struct str s, const struct str *part, unsigned n)
{
    char hex[FORWARD_DIGEST_BYTES];
    forward_digest(part, n, hex);
    return s.n == FORWARD_DIGEST_BYTES && CRYPTO_memcmp(s.p, hex, FORWARD_DIGEST_BYTES) == 0;
}

static enum err say(struct conn *c, struct buf *message)
{
    enum err err = conn_write(c, buf_str(message));
    buf_release(message);
    return err;
}

static enum err open_conn(void *ctx, struct conn *c, void *state)
{
    const struct forward *f = ctx;
    struct state *s = state;
    struct buf hello;
    s->trusted = !f->shared_key.n;
    if (s->trusted)
        return OK;
    random_bytes(s->nonce, sizeof(s->nonce));
    random_bytes(s->salt, sizeof(s->salt));
    buf_init(&hello, 1024);
    msgpack_put_array(&hello, 2);
    msgpack_put_str(&hello, STR("HELO"));
    msgpack_put_map(&hello, 3);
    msgpack_put_str(&hello, STR("nonce"));
    msgpack_put_bin(&hello, str_of(s->nonce, sizeof(s->nonce)));
    msgpack_put_str(&hello, STR("auth"));
    msgpack_put_bin(&hello, str_of(s->salt, f->user.n ? sizeof(s->salt) : 0));
    msgpack_put_str(&hello, STR("keepalive"));
    msgpack_put_bool(&hello, true);
    return say(c, &hello);
}

/* Why the sender is not believed, or NULL. */
static const char *judge_ping(const struct forward *f, const struct state *s,
                              const struct str e[PING_ELEMENTS])
{
    struct str nonce = str_of(s->nonce, sizeof(s->nonce)), salt = str_of(s->salt, sizeof(s->salt));
    struct str key[] = {e[2], e[1], nonce, f->shared_key};
    struct str password[] = {salt, f->user, f->password};
    if (!is_digest(e[3], key, 4))
        return "the shared key does not match";
    if (f->user.n && (!str_eq(e[4], f->user) || !is_digest(e[5], password, 3)))
        return "the user name or password is wrong";
    return NULL;
}

static enum err pong(const struct forward *f, const struct state *s, struct conn *c,
                     struct str salt, const char *wrong)
{
    struct buf out;
    char hex[FORWARD_DIGEST_BYTES];
    struct str part[] = {salt, f->host, str_of(s->nonce, sizeof(s->nonce)), f->shared_key};
    forward_digest(part, 4, hex);
    buf_init(&out, 4096);
    msgpack_put_array(&out, 5);
    msgpack_put_str(&out, STR("PONG"));
    msgpack_put_bool(&out, !wrong);
    msgpack_put_str(&out, str_c(wrong ? wrong : ""));
    msgpack_put_str(&out, f->host);
    msgpack_put_str(&out, str_of(hex, wrong ? 0 : sizeof(hex)));
    return say(c, &out);
}

static enum err shake_hands(const struct forward *f, struct conn *c, struct state *s,
                            struct str ping)
{
    struct reader r = reader_of(ping);
    struct msgpack m;
    struct str e[PING_ELEMENTS];
    bool good = msgpack_read(&r, &m) && m.kind == MSGPACK_ARRAY && m.n == PING_ELEMENTS;
    for (unsigned i = 0; good && i < PING_ELEMENTS; i++) {
        good = msgpack_read(&r, &m) && (m.kind == MSGPACK_STR || m.kind == MSGPACK_BIN);
        e[i] = good ? m.bytes : (struct str){0};
    }
    if (!good || !str_eq_c(e[0], "PING"))
        return err_set(ERR_AUTH, "a shared key is wanted, and the sender does not give one");
    const char *wrong = judge_ping(f, s, e);
    TRY(pong(f, s, c, e[2], wrong));
    s->trusted = !wrong;
    return wrong ? err_set(ERR_AUTH, "%s", wrong) : OK;
}

/* ---- messages ---- */

/* The message's tag where that can be a stream's name. */
static struct str stream_of(struct str message)
{
    struct reader r = reader_of(message);
    struct msgpack m;
    bool good = msgpack_read(&r, &m) && m.kind == MSGPACK_ARRAY && m.n && msgpack_read(&r, &m) &&
                (m.kind == MSGPACK_STR || m.kind == MSGPACK_BIN);
    return good && ingest_check_stream(m.bytes) == OK ? m.bytes : STR("forward");
}

static enum err cut(void *ctx, struct conn *c, void *state, struct str in, bool ended,
                    struct stream_cut *ret)
{
    const struct forward *f = ctx;
    struct state *s = state;
    struct str chunk, stream = {0};
    bool nil, any = false;
    size_t at = 0, n;
    while (at < in.n && at < ret->most) {
        struct str rest = str_from(in, at);
        TRY(forward_next(&s->scan, rest, &n, &chunk, &nil));
        if (!n || (chunk.n && at))
            break; /* what wants an acknowledgement of its own is a body of its own */
        if (f->by_tag && !nil)
            stream = stream_of(str_of(rest.p, n));
        if (any && !str_eq(stream, ret->stream))
            break; /* and so is what goes elsewhere */
        at += n;
        if (!s->trusted) {
            ret->n = at;
            return shake_hands(ctx, c, s, str_of(rest.p, n));
        }
        any |= !nil;
        ret->stream = stream;
        if (chunk.n) {
            s->acks = true;
            ret->key = ret->ack = chunk;
            break;
        }
    }
    ret->n = at;
    ret->body = str_of(in.p, any ? at : 0);
    return OK;
}

/* Who waits for acknowledgements sends nothing more before. */
static bool gathers(void *ctx, const void *state)
{
    const struct state *s = state;
    return s->trusted && !s->acks;
}

static enum err landed(void *ctx, struct conn *c, void *state, struct str chunk)
{
    struct buf ack;
    buf_init(&ack, 1 << 20);
    msgpack_put_map(&ack, 1);
    msgpack_put_str(&ack, STR("ack"));
    msgpack_put_str(&ack, chunk);
    return say(c, &ack);
}

static void heartbeat(void *ctx, struct datagram_socket *s, const struct datagram *list, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        if (list[i].bytes.n <= HEARTBEAT_MAX)
            datagram_answer(s, &list[i], list[i].bytes);
}

/* ---- the input ---- */

static enum err configure(const struct url *url, struct arena *arena, void **ret)
{
    char host[256] = "weir";
    struct forward *f = ARENA_NEW(arena, struct forward);
    struct str name = url_get(url, "self_hostname");
    if (gethostname(host, sizeof(host) - 1) != 0)
        host[0] = 0;
    f->host = arena_str(arena, name.n ? name : str_c(host));
    f->by_tag = str_eq_c(url_get(url, "stream"), "{tag}");
    f->shared_key = arena_str(arena, url_get(url, "shared_key"));
    f->user = arena_str(arena, url->user);
    f->password = arena_str(arena, url->password);
    if (f->user.n && !f->shared_key.n)
        return err_set(ERR_INVALID, "a user in the URL needs shared_key= too");
    *ret = f;
    return OK;
}

static const struct stream_protocol protocol = {
    .name = "forward",
    .format = WIRE_FORWARD,
    .state_size = sizeof(struct state),
    .params = (const char *const[]){"shared_key", "self_hostname", NULL},
    .default_port = FORWARD_PORT,
    .configure = configure,
    .open = open_conn,
    .cut = cut,
    .gathers = gathers,
    .landed = landed,
    .datagram = heartbeat,
};

static enum err open_input(const struct input_options *o, const struct url *url, struct input **ret)
{
    return stream_input_open(&forward_input, &protocol, o, url, ret);
}

const struct input_type forward_input = {
    .name = "forward",
    .schemes = (const char *const[]){"forward", "forward+tls", NULL},
    .open = open_input,
    .start = stream_input_start,
    .stop = stream_input_stop,
    .close = stream_input_close,
    .status = stream_input_status,
};
