/* forward://[user:password@]host:port (forward+tls://): Fluentd, Fluent Bit, or another Weir by the
 * forward protocol (wire/forward.h).
 *
 *   tag=TEXT          with {field}s; without it a record's `tag` (which then is no field of what is
 *                     sent: the input puts it there), else its stream's name
 *   shared_key=KEY    and user and password of the URL, where the peer asks for them
 *   self_hostname=    our name in the handshake
 *   compress=gzip     CompressedPackedForward
 *   ack=no            no acknowledgement is asked for
 *
 * Every body of the spool is a message of its own (one for each tag in it), and the name of its
 * chunk is made of sender, sequence and tag: the same whenever it is sent. A Weir takes a chunk
 * once; Fluentd and Fluent Bit do not look at it, and there a message whose acknowledgement was
 * lost is doubled. Without acknowledgements what is sent counts as delivered when the peer's system
 * has it. */
#include "core/clock.h"
#include "core/hash.h"
#include "core/mem.h"
#include "net/dial.h"
#include "output/forward_wire.h"
#include "output/gzip.h"
#include "output/outputs.h"
#include "output/peer.h"
#include "output/pick.h"
#include "wire/msgpack_rows.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#define TAG_FIELD "tag"
enum {
    FORWARD_PORT = 24224,
    CHUNK_TEXT = 24, /* 16 bytes in base64 */
    SALT_BYTES = 16,
    OUT_MAX = 128, /* messages that are not acknowledged yet */
    CONFIRM_MS = 10,
};

struct message {
    uint64_t sequence; /* of its unit */
    struct buf tag, entries;
    uint32_t records;
    char chunk[CHUNK_TEXT + 1];
    bool sent, acknowledged;
};
struct forward_output {
    struct output base;
    struct peer peer;
    struct tls_client *tls; /* NULL: none */
    struct dial *dial;      /* NULL: not connected */
    char *host, *key, *user, *password, *own_name;
    bool gzip, ack;
    struct pick *pick;
    struct pick_text *tag; /* NULL: the field */
    unsigned tag_field;

    struct buf in; /* received */
    struct message *message;
    size_t cap;
    uint32_t n, held; /* messages of the bulk at hand; with memory */
    const struct output_bulk *bulk;
    struct buf scratch, out;
    uint64_t producer, epoch, first_sequence, rows, bytes; /* of the bulk at hand */
    uint32_t items;
    bool written;
};

/* ---- the connection ---- */

static void hang_up(struct forward_output *o)
{
    dial_close(o->dial);
    o->dial = NULL;
    buf_clear(&o->in);
    for (uint32_t i = 0; i < o->n; i++)
        o->message[i].sent = o->message[i].acknowledged;
}

/* The next reply, to be dropped by drop_reply. */
static enum err read_reply(struct forward_output *o, struct forward_reply *ret, size_t *ret_n)
{
    for (;;) {
        TRY(forward_reply_read(buf_str(&o->in), ret_n, ret));
        if (*ret_n)
            return OK;
        size_t n = 0;
        char *room = buf_reserve(&o->in, 4096);
        CHECK(room);
        TRY(dial_read(o->dial, room, 4096, o->peer.timeout_ms, &n));
        o->in.n += n;
    }
}

static void drop_reply(struct forward_output *o, size_t n)
{
    o->in.n -= n;
    memmove(o->in.p, o->in.p + n, o->in.n);
}

static enum err prove(struct forward_output *o)
{
    const struct forward_key key = {str_c(o->key), str_c(o->user), str_c(o->password),
                                    str_c(o->own_name)};
    struct forward_reply helo, pong;
    char salt[SALT_BYTES];
    size_t n, helo_n;
    random_bytes(salt, sizeof(salt));
    enum err err = read_reply(o, &helo, &helo_n);
    if (err == ERR_TIMEOUT)
        return err_set(ERR_AUTH, "the peer does not ask for a shared key");
    TRY(err);
    if (helo.kind != FORWARD_HELO)
        return err_set(ERR_AUTH, "the peer does not begin with HELO");
    char *nonce = mem_strdup(helo.nonce);
    struct str nonce_str = str_of(nonce, helo.nonce.n);
    buf_clear(&o->out);
    forward_put_ping(&key, &helo, str_of(salt, sizeof(salt)), &o->out);
    drop_reply(o, helo_n);
    err = dial_write(o->dial, buf_str(&o->out), o->peer.timeout_ms);
    if (err == OK)
        err = read_reply(o, &pong, &n);
    if (err == OK && (pong.kind != FORWARD_PONG || !pong.ok))
        err = err_set(ERR_AUTH, "the peer does not let us in: %.*s",
                      pong.reason.n > 200 ? 200 : (int)pong.reason.n, pong.reason.p);
    else if (err == OK && !forward_is_proof(&key, nonce_str, str_of(salt, sizeof(salt)), &pong))
        err = err_set(ERR_AUTH, "the peer does not know the shared key");
    if (err == OK)
        drop_reply(o, n);
    mem_free(nonce);
    return err;
}

static enum err connect_peer(struct forward_output *o)
{
    struct dial_options d = {.host = str_c(o->host), .port = o->peer.port, .tls = o->tls};
    if (o->dial && o->ack && dial_stale(o->dial))
        hang_up(o);
    if (o->dial)
        return OK;
    TRY(dial_open(&d, o->peer.timeout_ms, &o->dial));
    return o->key ? prove(o) : OK;
}

/* ---- messages ---- */

static void name_chunk(const struct forward_output *o, struct message *m)
{
    static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const uint64_t name[] = {o->bulk->producer, o->bulk->epoch, m->sequence,
                             hash64(buf_str(&m->tag))};
    struct hash128 h = hash128(str_of((const char *)name, sizeof(name)));
    uint8_t raw[18] = {0};
    for (int i = 0; i < 8; i++) {
        raw[i] = (uint8_t)(h.hi >> (56 - 8 * i));
        raw[8 + i] = (uint8_t)(h.lo >> (56 - 8 * i));
    }
    for (int i = 0; i < CHUNK_TEXT; i++) {
        unsigned bit = (unsigned)i * 6, two = (unsigned)raw[bit / 8] << 8;
        if (bit / 8 + 1 < sizeof(raw))
            two |= raw[bit / 8 + 1];
        m->chunk[i] = i < 22 ? digit[two >> (10 - bit % 8) & 63] : '=';
    }
    m->chunk[CHUNK_TEXT] = '\0';
}

static struct message *find_message(struct forward_output *o, uint64_t sequence, struct str tag)
{
    for (uint32_t i = o->n; i-- > 0 && o->message[i].sequence == sequence;)
        if (str_eq(buf_str(&o->message[i].tag), tag))
            return &o->message[i];
    ARRAY_GROW(o->message, o->cap, o->n + 1);
    struct message *m = &o->message[o->n];
    if (o->n == o->held) {
        buf_init(&m->tag, SIZE_MAX);
        buf_init(&m->entries, SIZE_MAX);
        o->held++;
    }
    o->n++;
    buf_clear(&m->tag);
    buf_clear(&m->entries);
    buf_put_str(&m->tag, tag);
    m->sequence = sequence;
    m->records = 0;
    m->sent = m->acknowledged = false;
    name_chunk(o, m);
    return m;
}

/* The message that the row belongs to; *ret_bare: its tag is the field, which is not sent. */
static struct message *message_of(struct forward_output *o, const struct output_row *row,
                                  bool *ret_bare)
{
    buf_clear(&o->scratch);
    bool there = o->tag ? pick_text_put(o->tag, o->pick, &o->scratch)
                        : pick_get(o->pick, o->tag_field, &o->scratch, NULL);
    there = there && o->scratch.n;
    if (!there) {
        buf_clear(&o->scratch);
        buf_put_str(&o->scratch, row->stream);
    }
    *ret_bare = there && !o->tag;
    return find_message(o, o->bulk->item[row->item].sequence, buf_str(&o->scratch));
}

static enum err put_item(void *ctx, uint32_t item, struct rows *rows, struct arena *a)
{
    struct forward_output *o = ctx;
    struct msgpack_rows *writer;
    const int64_t *time;
    TRY(rows_time(rows, &time));
    TRY(msgpack_rows_new(rows, o->tag ? (struct str){0} : STR(TAG_FIELD), a, &writer));
    for (uint32_t i = 0; i < rows->n; i++) {
        struct output_row row = {
            .item = item, .row = i, .stream = rows->stream, .time_ns = time[i], .rows = rows};
        bool bare;
        TRY(pick_row(o->pick, &row));
        struct message *m = message_of(o, &row, &bare);
        forward_put_time(time[i], &m->entries);
        msgpack_rows_put(writer, bare, &m->entries);
        m->records++;
    }
    return OK;
}

static enum err write_messages(struct forward_output *o, const struct output_bulk *bulk)
{
    uint64_t first = bulk->n ? bulk->item[0].sequence : 0;
    if (o->written && o->producer == bulk->producer && o->epoch == bulk->epoch &&
        o->first_sequence == first && o->items == bulk->n && o->rows == bulk->rows &&
        o->bytes == bulk->bytes)
        return OK; /* the same, sent again: what was acknowledged is done */
    o->written = false;
    o->n = 0;
    o->bulk = bulk;
    pick_begin(o->pick);
    TRY(output_each_item(bulk, put_item, o));
    o->producer = bulk->producer;
    o->epoch = bulk->epoch;
    o->first_sequence = first;
    o->items = bulk->n;
    o->rows = bulk->rows;
    o->bytes = bulk->bytes;
    o->written = true;
    return OK;
}

static enum err send_message(struct forward_output *o, struct message *m)
{
    struct forward_message f = {.tag = buf_str(&m->tag),
                                .entries = buf_str(&m->entries),
                                .records = m->records,
                                .chunk = o->ack ? str_c(m->chunk) : (struct str){0},
                                .gzip = o->gzip};
    if (o->gzip) {
        TRY(gzip_pack(f.entries, &o->scratch));
        f.entries = buf_str(&o->scratch);
    }
    buf_clear(&o->out);
    forward_put_message(&f, &o->out);
    TRY(dial_write(o->dial, buf_str(&o->out), o->peer.timeout_ms));
    m->sent = true;
    return OK;
}

static enum err read_ack(struct forward_output *o)
{
    struct forward_reply reply;
    size_t n;
    TRY(read_reply(o, &reply, &n));
    if (reply.kind == FORWARD_HELO)
        return err_set(ERR_AUTH, "the peer asks for a shared key: shared_key=KEY");
    if (reply.kind != FORWARD_ACK)
        return err_set(ERR_UNAVAILABLE, "the peer answers something else than an acknowledgement");
    for (uint32_t i = 0; i < o->n; i++)
        if (o->message[i].sent && str_eq_c(reply.ack, o->message[i].chunk))
            o->message[i].acknowledged = true;
    drop_reply(o, n);
    return OK;
}

static uint32_t count_out(const struct forward_output *o)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < o->n; i++)
        n += o->message[i].sent && !o->message[i].acknowledged;
    return n;
}

/* Until the peer's system has confirmed all bytes. */
static enum err wait_confirmed(struct forward_output *o)
{
    int64_t deadline = clock_mono_ns() + o->peer.timeout_ms * NS_PER_MS;
    while (dial_unconfirmed(o->dial)) {
        if (clock_mono_ns() > deadline || dial_stale(o->dial))
            return err_set(ERR_UNAVAILABLE, "the peer does not take what is sent");
        clock_sleep_ms(CONFIRM_MS);
    }
    return OK;
}

static enum err send_messages(struct forward_output *o)
{
    TRY(connect_peer(o));
    for (uint32_t i = 0; i < o->n; i++) {
        if (o->message[i].acknowledged)
            continue;
        TRY(send_message(o, &o->message[i]));
        while (o->ack && count_out(o) >= OUT_MAX)
            TRY(read_ack(o));
    }
    while (o->ack && count_out(o))
        TRY(read_ack(o));
    return o->ack ? OK : wait_confirmed(o);
}

static enum err forward_send(struct output *base, const struct output_bulk *bulk,
                             int64_t *ret_wait_ns)
{
    struct forward_output *o = (struct forward_output *)base;
    TRY(write_messages(o, bulk));
    enum err err = send_messages(o);
    if (err != OK) {
        hang_up(o);
        /* The route takes that for a refusal of the records. */
        return err == ERR_INVALID || err == ERR_LIMIT ? ERR_UNAVAILABLE : err;
    }
    o->written = false;
    return OK;
}

/* ---- opening and closing ---- */

static char *copy(struct str s)
{
    return s.n ? mem_strdup(s) : NULL;
}

static enum err configure(struct forward_output *o, const struct url *url)
{
    char own[256] = "weir";
    struct str tag = url_get(url, "tag"), name = url_get(url, "self_hostname"),
               compress = url_get(url, "compress");
    TRY(peer_read(url, FORWARD_PORT, &o->peer));
    TRY(peer_switch(url, "ack", true, &o->ack));
    o->gzip = str_eq_c(compress, "gzip");
    if (compress.p && !o->gzip && !str_eq_c(compress, "none"))
        return err_set(ERR_INVALID, "compress=%.*s: gzip or none is wanted", STR_ARG(compress));
    if (url->user.n && !url_get(url, "shared_key").n)
        return err_set(ERR_INVALID, "a user in the URL needs shared_key= too");
    if (!name.n && gethostname(own, sizeof(own) - 1) == 0)
        name = str_c(own);
    o->host = mem_strdup(o->peer.host);
    o->key = copy(url_get(url, "shared_key"));
    o->user = mem_strdup(url->user);
    o->password = mem_strdup(url->password);
    o->own_name = mem_strdup(name);
    if (tag.n)
        TRY(pick_text_new(o->pick, tag, &o->tag));
    return str_ends(url->scheme, STR("+tls")) ? tls_client_new(&o->peer.tls, &o->tls) : OK;
}

static void forward_close(struct output *base)
{
    struct forward_output *o = (struct forward_output *)base;
    dial_close(o->dial);
    tls_client_free(o->tls);
    pick_text_free(o->tag);
    pick_free(o->pick);
    for (uint32_t i = 0; i < o->held; i++) {
        buf_release(&o->message[i].tag);
        buf_release(&o->message[i].entries);
    }
    mem_free(o->message);
    buf_release(&o->in);
    buf_release(&o->scratch);
    buf_release(&o->out);
    mem_free(o->host);
    mem_free(o->key);
    mem_free(o->user);
    mem_free(o->password);
    mem_free(o->own_name);
    mem_free(o);
}

static enum err forward_open(const struct url *url, struct output **ret)
{
    static const char *const known[] = {PEER_PARAMS, "tag", "shared_key", "self_hostname",
                                        "compress",  "ack", NULL};
    TRY(url_check_params(url, known));
    struct forward_output *o = NEW(struct forward_output);
    o->base.type = &output_forward;
    o->pick = pick_new();
    o->tag_field = pick_add(o->pick, STR(TAG_FIELD));
    buf_init(&o->in, SIZE_MAX);
    buf_init(&o->scratch, SIZE_MAX);
    buf_init(&o->out, SIZE_MAX);
    enum err err = configure(o, url);
    if (err != OK) {
        forward_close(&o->base);
        return err;
    }
    *ret = &o->base;
    return OK;
}

static const char *const schemes[] = {"forward", "forward+tls", NULL};
const struct output_type output_forward = {
    .name = "forward",
    .schemes = schemes,
    .gather = {.rows = 5000, .bytes = 2 << 20, .wait_ns = NS_PER_S},
    .open = forward_open,
    .send = forward_send,
    .close = forward_close,
};
