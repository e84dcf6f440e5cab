#include "wire/syslog.h"

#include "core/mem.h"
#include "input/datagrams.h"
#include "input/inputs.h"
#include "input/stream.h"

enum { SYSLOG_PORT = 514, SOURCES = 512 };

/* ---- TCP and TLS ---- */

static enum err cut(void *ctx, struct conn *c, void *state, struct str in, bool ended,
                    struct stream_cut *ret)
{
    struct str some = str_of(in.p, in.n < ret->most ? in.n : ret->most);
    ret->n = syslog_cut(some, ended && some.n == in.n);
    if (!ret->n && some.n < in.n)
        ret->n = syslog_cut(in, ended);
    ret->body = str_of(in.p, ret->n);
    return OK;
}

static bool gathers(void *ctx, const void *state)
{
    return true;
}

/* A record of a body: where its first line begins, and its last one ends. */
struct span {
    size_t from, to;
    bool last; /* of its source */
};
struct source {
    uint64_t hash;
    uint32_t record; /* + 1; 0: nobody's place */
    struct multiline_state state;
};
struct spans {
    struct span *list;
    size_t cap;
    uint32_t n;
    struct source source[SOURCES]; /* open addressing, never more than half full */
    uint32_t n_sources;
};

static bool add_line(struct spans *s, const struct multiline *m, size_t at,
                     const struct syslog_line *line)
{
    uint32_t i = (uint32_t)line->source % SOURCES;
    while (s->source[i].record && s->source[i].hash != line->source)
        i = (i + 1) % SOURCES;
    struct source *of = &s->source[i];
    bool goes_on = multiline_continues(m, &of->state, line->content) && of->record;
    if (!of->record && ++s->n_sources > SOURCES / 2)
        return false;
    of->hash = line->source;
    if (!goes_on) {
        if (of->record)
            s->list[of->record - 1].last = false;
        ARRAY_GROW(s->list, s->cap, s->n + 1);
        s->list[s->n++] = (struct span){at, at, true};
        of->record = s->n;
    }
    s->list[of->record - 1].to = at + line->n;
    return true;
}

/* What a source said last may go on, unless that is half a body ago; no record is divided. */
static size_t find_end(const struct spans *s, size_t n)
{
    size_t end = n;
    for (uint32_t i = s->n; i-- > 0;)
        if ((s->list[i].last && s->list[i].from >= n / 2) || s->list[i].to > end)
            end = s->list[i].from;
    return end;
}

static size_t before_open(const struct multiline *m, struct str body)
{
    struct spans *s = NEW(struct spans);
    struct syslog_line line;
    size_t end = 0;
    bool good = true;
    for (size_t at = 0; good && at < body.n; at += line.n) {
        syslog_read_line(str_from(body, at), &line);
        good = add_line(s, m, at, &line);
    }
    if (good)
        end = find_end(s, body.n);
    mem_free(s->list);
    mem_free(s);
    return end;
}

static const struct stream_protocol stream_protocol = {
    .name = "syslog",
    .format = WIRE_SYSLOG,
    .default_port = SYSLOG_PORT,
    .host_is_peer = true,
    .cut = cut,
    .gathers = gathers,
    .before_open = before_open,
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
