/* GELF: gelf+tcp:// and gelf+tls:// (messages with a NUL behind each), gelf+udp:// and gelf://
 * (datagrams; gzip or zlib by their first bytes). The messages: wire/gelf.c.
 *
 * A message may come in up to 128 datagrams, each beginning with 0x1e 0x0f, an id of 8 bytes, its
 * number and how many there are. Parts are kept for PART_SECONDS, at most PENDING_MAX messages and
 * PENDING_BYTES; past that the oldest message goes. */
#include "core/clock.h"
#include "core/hash.h"
#include "core/mem.h"
#include "input/datagrams.h"
#include "input/inputs.h"
#include "input/stream.h"

enum {
    GELF_PORT = 12201,
    PARTS_MAX = 128,
    PART_HEAD = 12,
    PART_SECONDS = 5,
    PENDING_MAX = 512,
    PENDING_BYTES = 32 << 20,
};

/* ---- TCP ---- */

static enum err cut(void *ctx, struct conn *c, void *state, struct str in, bool ended,
                    struct stream_cut *ret)
{
    const char *last = memrchr(in.p, '\0', in.n);
    ret->n = ended ? in.n : last ? (size_t)(last - in.p) + 1 : 0;
    ret->body = str_of(in.p, ret->n);
    return OK;
}

static const struct stream_protocol stream_protocol = {
    .name = "gelf",
    .format = WIRE_GELF,
    .default_port = GELF_PORT,
    .cut = cut,
};

static enum err open_stream(const struct input_options *o, const struct url *url,
                            struct input **ret)
{
    return stream_input_open(&gelf_stream_input, &stream_protocol, o, url, ret);
}

const struct input_type gelf_stream_input = {
    .name = "gelf",
    .schemes = (const char *const[]){"gelf+tcp", "gelf+tls", NULL},
    .open = open_stream,
    .start = stream_input_start,
    .stop = stream_input_stop,
    .close = stream_input_close,
    .status = stream_input_status,
};

/* ---- UDP ---- */

struct pending { /* a message of which parts are there; n == 0: the place is free */
    uint64_t key;
    int64_t began_ns;
    unsigned n, have;
    size_t bytes;
    struct str part[PARTS_MAX]; /* mem_alloc'ed */
};
struct gelf {
    struct pending *pending[PENDING_MAX];
    unsigned n_pending;
    size_t bytes;
    size_t message_max;
    struct buf joined;
};

static void *new_state(const struct input_options *o)
{
    struct gelf *g = NEW(struct gelf);
    g->message_max = o->limits.record_bytes;
    buf_init(&g->joined, SIZE_MAX);
    return g;
}

static void drop(struct gelf *g, unsigned i)
{
    struct pending *p = g->pending[i];
    for (unsigned k = 0; k < p->n; k++)
        mem_free((char *)p->part[k].p);
    g->bytes -= p->bytes;
    mem_free(p);
    g->pending[i] = g->pending[--g->n_pending];
}

static void free_state(void *ctx)
{
    struct gelf *g = ctx;
    while (g->n_pending)
        drop(g, 0);
    buf_release(&g->joined);
    mem_free(g);
}

static unsigned oldest(const struct gelf *g)
{
    unsigned best = 0;
    for (unsigned i = 1; i < g->n_pending; i++)
        if (g->pending[i]->began_ns < g->pending[best]->began_ns)
            best = i;
    return best;
}

static void tick(void *ctx)
{
    struct gelf *g = ctx;
    int64_t now = clock_mono_ns();
    for (unsigned i = 0; i < g->n_pending;)
        if (now - g->pending[i]->began_ns > PART_SECONDS * NS_PER_S)
            drop(g, i);
        else
            i++;
}

static unsigned find(struct gelf *g, uint64_t key, unsigned n)
{
    for (unsigned i = 0; i < g->n_pending; i++)
        if (g->pending[i]->key == key && g->pending[i]->n == n)
            return i;
    if (g->n_pending == PENDING_MAX)
        drop(g, oldest(g));
    struct pending *p = NEW(struct pending);
    p->key = key;
    p->n = n;
    p->began_ns = clock_mono_ns();
    g->pending[g->n_pending] = p;
    return g->n_pending++;
}

/* Appends a whole message to the body, plain. */
static enum err add_message(struct gelf *g, struct str message, struct buf *body)
{
    size_t before = body->n;
    body->max = before + g->message_max;
    enum err err = wire_inflate(wire_gelf_encoding(message), message, body);
    body->max = SIZE_MAX;
    if (err != OK)
        body->n = before;
    else
        buf_put_byte(body, '\0');
    return err;
}

static enum err add_joined(struct gelf *g, unsigned i, struct buf *body)
{
    const struct pending *p = g->pending[i];
    buf_clear(&g->joined);
    for (unsigned k = 0; k < p->n; k++)
        buf_put_str(&g->joined, p->part[k]);
    drop(g, i);
    return add_message(g, buf_str(&g->joined), body);
}

static enum err add_part(struct gelf *g, const struct datagram *d, struct buf *body)
{
    unsigned number = (unsigned char)d->bytes.p[10], n = (unsigned char)d->bytes.p[11];
    struct str part = str_from(d->bytes, PART_HEAD);
    if (n == 0 || n > PARTS_MAX || number >= n)
        return err_set(ERR_INVALID, "part %u of %u of a GELF message", number, n);
    uint64_t key = hash64_seed(str_of(d->bytes.p + 2, 8), hash64(str_c(d->peer)));
    unsigned i = find(g, key, n);
    struct pending *p = g->pending[i];
    if (p->part[number].p)
        return OK; /* came twice */
    char *copy = mem_alloc(part.n + 1);
    memcpy(copy, part.p, part.n);
    p->part[number] = str_of(copy, part.n);
    p->bytes += part.n;
    g->bytes += part.n;
    if (++p->have == n)
        return add_joined(g, i, body);
    while (g->bytes > PENDING_BYTES)
        drop(g, oldest(g));
    return OK;
}

static enum err add(void *ctx, struct datagram_socket *s, const struct datagram *d,
                    struct buf *body)
{
    struct gelf *g = ctx;
    bool is_part = d->bytes.n >= PART_HEAD && d->bytes.p[0] == 0x1e && d->bytes.p[1] == 0x0f;
    return is_part ? add_part(g, d, body) : add_message(g, d->bytes, body);
}

static const struct datagram_protocol datagram_protocol = {
    .name = "gelf",
    .format = WIRE_GELF,
    .default_port = GELF_PORT,
    .new_state = new_state,
    .free_state = free_state,
    .add = add,
    .tick = tick,
};

static enum err open_datagram(const struct input_options *o, const struct url *url,
                              struct input **ret)
{
    return datagram_input_open(&gelf_datagram_input, &datagram_protocol, o, url, ret);
}

const struct input_type gelf_datagram_input = {
    .name = "gelf",
    .schemes = (const char *const[]){"gelf+udp", "gelf", NULL},
    .open = open_datagram,
    .start = datagram_input_start,
    .stop = datagram_input_stop,
    .close = datagram_input_close,
    .status = datagram_input_status,
};
