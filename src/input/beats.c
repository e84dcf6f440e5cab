/* Beats: Filebeat and its kin, Logstash's lumberjack and beats outputs. The frames:
 * wire/lumberjack.h.
 *
 * Events are handed on as they come; a window is acknowledged when its last event is durable, and
 * so all before it. While that takes time an acknowledgement of 0 says that nobody has died. */
#include "input/inputs.h"
#include "input/stream.h"
#include "wire/lumberjack.h"

enum { BEATS_PORT = 5044, LINES_MAX = 1 << 20, KEEP_ALIVE_TICKS = 20 /* 5 s */ };

struct state {
    struct lumberjack frames;
    struct buf lines, inflated;
    char ack[LUMBERJACK_ACK_BYTES];
    unsigned ticks;
};

static enum err open_conn(void *ctx, struct conn *c, void *state)
{
    struct state *s = state;
    buf_init(&s->lines, SIZE_MAX);
    buf_init(&s->inflated, SIZE_MAX);
    return OK;
}

static void close_conn(void *ctx, void *state)
{
    struct state *s = state;
    buf_release(&s->lines);
    buf_release(&s->inflated);
}

static enum err cut(void *ctx, struct conn *c, void *state, struct str in, bool ended,
                    struct stream_cut *ret)
{
    struct state *s = state;
    bool full;
    buf_clear(&s->lines);
    TRY(lumberjack_read(&s->frames, in, LINES_MAX, conn_message_max(c), &s->lines, &s->inflated,
                        &ret->n, &full));
    ret->body = buf_str(&s->lines);
    if (!full)
        return OK;
    lumberjack_ack(&s->frames, s->frames.sequence, s->ack);
    ret->ack = str_of(s->ack, sizeof(s->ack));
    return OK;
}

static enum err landed(void *ctx, struct conn *c, void *state, struct str ack)
{
    return conn_write(c, ack);
}

static void tick(void *ctx, struct conn *c, void *state, bool waiting)
{
    struct state *s = state;
    char wait[LUMBERJACK_ACK_BYTES];
    s->ticks = waiting ? s->ticks + 1 : 0;
    if (s->ticks < KEEP_ALIVE_TICKS)
        return;
    s->ticks = 0;
    lumberjack_ack(&s->frames, 0, wait);
    if (conn_write(c, str_of(wait, sizeof(wait))) != OK)
        conn_finish(c);
}

static const struct stream_protocol protocol = {
    .name = "beats",
    .format = WIRE_NDJSON,
    .state_size = sizeof(struct state),
    .default_port = BEATS_PORT,
    .open = open_conn,
    .cut = cut,
    .landed = landed,
    .close = close_conn,
    .tick = tick,
};

static enum err open_input(const struct input_options *o, const struct url *url, struct input **ret)
{
    return stream_input_open(&beats_input, &protocol, o, url, ret);
}

const struct input_type beats_input = {
    .name = "beats",
    .schemes = (const char *const[]){"beats", "beats+tls", NULL},
    .open = open_input,
    .start = stream_input_start,
    .stop = stream_input_stop,
    .close = stream_input_close,
    .status = stream_input_status,
};
