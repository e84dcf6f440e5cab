#include "wire/syslog.h"
#include "input/datagrams.h"
#include "input/inputs.h"
#include "input/stream.h"

enum { SYSLOG_PORT = 514 };

/* ---- TCP and TLS ---- */

static enum err cut(void *ctx, struct conn *c, void *state, struct str in, bool ended,
                    struct stream_cut *ret)
{
    ret->n = syslog_cut(in, ended);
    ret->body = str_of(in.p, ret->n);
    return OK;
}

static const struct stream_protocol stream_protocol = {
    .name = "syslog",
    .format = WIRE_SYSLOG,
    .default_port = SYSLOG_PORT,
    .host_is_peer = true,
    .cut = cut,
};

static enum err open_stream(const struct input_options *o, const struct url *url,
                            struct input **ret)
{
    return stream_input_open(&syslog_stream_input, &stream_protocol, o, url, ret);
}

const struct input_type syslog_stream_input = {
    .name = "syslog",
    .schemes = (const char *const[]){"syslog+tcp", "syslog+tls", NULL},
    .open = open_stream,
    .start = stream_input_start,
    .stop = stream_input_stop,
    .close = stream_input_close,
    .status = stream_input_status,
};

/* ---- UDP ---- */

static enum err add(void *ctx, struct datagram_socket *s, const struct datagram *d,
                    struct buf *body)
{
    buf_printf(body, "%zu ", d->bytes.n);
    buf_put_str(body, d->bytes);
    return OK;
}

static const struct datagram_protocol datagram_protocol = {
    .name = "syslog",
    .format = WIRE_SYSLOG_COUNTED,
    .default_port = SYSLOG_PORT,
    .add = add,
};

static enum err open_datagram(const struct input_options *o, const struct url *url,
                              struct input **ret)
{
    return datagram_input_open(&syslog_datagram_input, &datagram_protocol, o, url, ret);
}

const struct input_type syslog_datagram_input = {
    .name = "syslog",
    .schemes = (const char *const[]){"syslog+udp", "syslog", NULL},
    .open = open_datagram,
    .start = datagram_input_start,
    .stop = datagram_input_stop,
    .close = datagram_input_close,
    .status = datagram_input_status,
};
