/* syslog+tcp://host:port, syslog+tls://, syslog+udp://: RFC 5424 messages.
 *
 *     <PRI>1 TIME HOST APP-NAME PROCID MSGID [SD] MESSAGE
 *
 * Facility, severity (else the level), host, service, procid (else pid), msgid and message of a
 * record have their places; its other fields are elements NAME="VALUE" of one structured datum.
 *
 *   facility=NAME     of records that say none (user)
 *   sd_id=ID          of the structured datum (weir@32473); sd_id=none leaves the fields out
 *   message=json      MESSAGE is the whole record as JSON, without structured data
 *   framing=newline   by TCP: a line feed behind each, line feeds within are blanks; without it
 *                     each has its length before it (RFC 6587, and RFC 5425 for TLS)
 *   max=8KiB          by UDP: longer messages are cut
 *   confirm=no        see below
 *
 * Syslog has no acknowledgements. By TCP and TLS every bulk goes over a connection of its own,
 * whose end the peer confirms when it closes: a peer that dies before it has read everything resets
 * it, and the bulk is sent again. (A Weir closes when all is durable.) So nothing is lost but what
 * the peer's process had read and not yet kept when it died. A peer that leaves connections open is
 * not asked again, and with confirm=no one connection is kept: then what is sent counts as
 * delivered when the peer's system has it. What is sent again is doubled. By UDP nothing is known.
 */
#include "core/clock.h"
#include "core/log.h"
#include "core/mem.h"
#include "net/dial.h"
#include "output/outputs.h"
#include "output/peer.h"
#include "output/pick.h"
#include "output/syslog_wire.h"
#include "output/text.h"

enum { SYSLOG_PORT = 514, SYSLOG_TLS_PORT = 6514, UDP_MAX = 65507, UDP_DEFAULT = 8192 };
enum { CONFIRM_MS = 10 };

struct syslog_output {
    struct output base;
    struct peer peer;
    struct tls_client *tls; /* NULL: none */
    struct dial *dial;      /* NULL: not connected */
    char *host;
    bool udp, confirm;
    struct syslog_writer *writer;
    struct buf text;
    size_t *end; /* of each message in the text */
    size_t cap, n;
};

static void hang_up(struct syslog_output *o)
{
    dial_close(o->dial);
    o->dial = NULL;
}

static enum err connect_peer(struct syslog_output *o)
{
    struct dial_options d = {
        .host = str_c(o->host), .port = o->peer.port, .datagrams = o->udp, .tls = o->tls};
    if (o->dial && !o->udp && dial_stale(o->dial))
        hang_up(o);
    return o->dial ? OK : dial_open(&d, o->peer.timeout_ms, &o->dial);
}

static enum err put_row(void *ctx, const struct output_row *row)
{
    struct syslog_output *o = ctx;
    TRY(syslog_put_row(o->writer, row, &o->text));
    ARRAY_GROW(o->end, o->cap, o->n + 1);
    o->end[o->n++] = o->text.n;
    return OK;
}

static enum err send_datagrams(struct syslog_output *o)
{
    for (size_t i = 0, from = 0; i < o->n; from = o->end[i++]) {
        /* An error of an earlier datagram comes with the next call: the port was closed. */
        enum err err =
            dial_write(o->dial, str_of(o->text.p + from, o->end[i] - from), o->peer.timeout_ms);
        if (err != OK)
            return err;
    }
    return OK;
}

/* Until the peer's system has confirmed all bytes. */
static enum err wait_taken(struct syslog_output *o)
{
    int64_t deadline = clock_mono_ns() + o->peer.timeout_ms * NS_PER_MS;
    while (dial_unconfirmed(o->dial)) {
        if (clock_mono_ns() > deadline)
            return err_set(ERR_TIMEOUT, "the peer does not take what is sent");
        clock_sleep_ms(CONFIRM_MS);
    }
    return dial_stale(o->dial) ? err_set(ERR_UNAVAILABLE, "the peer has hung up") : OK;
}

/* Ends the connection, and waits for the peer to do so. */
static enum err wait_closed(struct syslog_output *o)
{
    char bytes[512];
    size_t n;
    enum err err = OK;
    dial_end(o->dial);
    while (err == OK)
        err = dial_read(o->dial, bytes, sizeof(bytes), o->peer.timeout_ms, &n);
    if (err == ERR_TIMEOUT && !dial_unconfirmed(o->dial)) {
        log_warn("the syslog peer does not close connections: one is kept from here on", "peer=%s",
                 o->host);
        o->confirm = false;
        err = ERR_EOF;
    }
    hang_up(o);
    return err == ERR_EOF ? OK : err;
}

static enum err send_text(struct syslog_output *o)
{
    TRY(connect_peer(o));
    if (o->udp)
        return send_datagrams(o);
    TRY(dial_write(o->dial, buf_str(&o->text), o->peer.timeout_ms));
    return o->confirm ? wait_closed(o) : wait_taken(o);
}

static enum err syslog_send(struct output *base, const struct output_bulk *bulk,
                            int64_t *ret_wait_ns)
{
    struct syslog_output *o = (struct syslog_output *)base;
    buf_clear(&o->text);
    o->n = 0;
    syslog_writer_begin(o->writer);
    TRY(output_each_row(bulk, put_row, o));
    enum err err = send_text(o);
    if (err != OK)
        hang_up(o);
    return err;
}

/* ---- opening and closing ---- */

static enum err read_format(const struct url *url, bool udp, struct syslog_format *f)
{
    struct str facility = url_get(url, "facility"), framing = url_get(url, "framing"),
               message = url_get(url, "message"), max = url_get(url, "max"),
               sd_id = url_get(url, "sd_id");
    uint64_t bytes = UDP_DEFAULT;
    bool newline = str_eq_c(framing, "newline"), counted = str_eq_c(framing, "octet");
    f->facility = facility.p ? syslog_facility(facility) : 1;
    if (f->facility < 0)
        return err_set(ERR_INVALID, "facility=%.*s: kern, user, daemon, local0 and so on",
                       STR_ARG(facility));
    if (framing.p && ((!newline && !counted) || udp))
        return err_set(ERR_INVALID, "framing=%.*s: octet or newline is wanted, and none by UDP",
                       STR_ARG(framing));
    if (message.p && !str_eq_c(message, "json") && !str_eq_c(message, "text"))
        return err_set(ERR_INVALID, "message=%.*s: text or json is wanted", STR_ARG(message));
    if (max.p && (!udp || !str_to_bytes(max, &bytes) || bytes < 480 || bytes > UDP_MAX))
        return err_set(ERR_INVALID, "max=%.*s: by UDP, 480 to %d bytes", STR_ARG(max), UDP_MAX);
    f->json = str_eq_c(message, "json");
    f->framing = udp ? SYSLOG_BARE : newline ? SYSLOG_LINES : SYSLOG_COUNTED;
    f->max = udp ? bytes : 0;
    f->sd_id = !sd_id.p ? STR("weir@32473") : str_eq_c(sd_id, "none") ? STR("") : sd_id;
    return OK;
}

static enum err configure(struct syslog_output *o, const struct url *url)
{
    struct syslog_format f = {0};
    bool tls = str_ends(url->scheme, STR("+tls"));
    o->udp = !tls && !str_ends(url->scheme, STR("+tcp"));
    TRY(peer_read(url, tls ? SYSLOG_TLS_PORT : SYSLOG_PORT, &o->peer));
    TRY(peer_switch(url, "confirm", true, &o->confirm));
    TRY(read_format(url, o->udp, &f));
    o->host = mem_strdup(o->peer.host);
    TRY(syslog_writer_new(&f, &o->writer));
    return tls ? tls_client_new(&o->peer.tls, &o->tls) : OK;
}

static void syslog_close(struct output *base)
{
    struct syslog_output *o = (struct syslog_output *)base;
    dial_close(o->dial);
    tls_client_free(o->tls);
    syslog_writer_free(o->writer);
    buf_release(&o->text);
    mem_free(o->end);
    mem_free(o->host);
    mem_free(o);
}

static enum err syslog_open(const struct url *url, struct output **ret)
{
    static const char *const known[] = {PEER_PARAMS, "facility", "sd_id",   "message",
                                        "framing",   "max",      "confirm", NULL};
    TRY(url_check_params(url, known));
    struct syslog_output *o = NEW(struct syslog_output);
    o->base.type = &output_syslog;
    buf_init(&o->text, SIZE_MAX);
    enum err err = configure(o, url);
    if (err != OK) {
        syslog_close(&o->base);
        return err;
    }
    *ret = &o->base;
    return OK;
}

static const char *const schemes[] = {"syslog+tcp", "syslog+tls", "syslog+udp", "syslog", NULL};
const struct output_type output_syslog = {
    .name = "syslog",
    .schemes = schemes,
    .gather = {.rows = 1000, .bytes = 1 << 20, .wait_ns = NS_PER_S},
    .open = syslog_open,
    .send = syslog_send,
    .close = syslog_close,
};
