/* kafka://HOST:PORT[,HOST:PORT...]/TOPIC: a message a record, or frames. Parameters beside those of
 * net/kafka.h: format (json, text, msgpack, frames), key (the field whose value is the message's
 * key: service; empty: none), acks (all, 1, 0), compression (zstd, lz4, gzip, snappy, none),
 * timeout (after how long a message that was not acknowledged is given up for now: 30s).
 *
 * The producer is idempotent where acks=all: what librdkafka sends again by itself lands once, in
 * order. send hands the bulk to it and waits for every delivery report; what fails makes the bulk
 * come again, and then its other messages are there twice: at least once. But for frames: they say
 * whose they are (producer, epoch, sequence, part), and a Weir that reads them takes each once.
 *
 * A record that is too large for the topic is refused, alone. A fatal error of the producer (the
 * broker has forgotten it) makes a new one. */
#include "net/kafka.h"
#include "core/clock.h"
#include "core/log.h"
#include "core/mem.h"
#include "output/outputs.h"
#include "record/json.h"
#include "record/pick.h"
#include "wire/kafka_pieces.h"
#include "wire/msgpack_rows.h"

#include <inttypes.h>
#include <stdio.h>

enum {
    POLL_MS = 100,
    MESSAGE_MAX = 10 << 20,
    FRAME_MAX_DEFAULT = 900 << 10,
    BUFFER_KIB = 32 << 10
};
#define TIMEOUT_NS (30 * NS_PER_S)

enum format { FORMAT_JSON, FORMAT_TEXT, FORMAT_MSGPACK, FORMAT_FRAMES };

struct kafka_output {
    struct output base;
    struct kafka_conf conf;
    char *key; /* a field's name; empty: none */
    enum format format;
    rd_kafka_t *rk; /* NULL: made by the next send */
    int64_t timeout_ns;
    struct arena arena;
    struct buf value;
    /* The bulk under way: all on the thread of send. */
    const struct output_bulk *bulk;
    int64_t deadline;
    uint64_t waiting; /* messages without a report */
    rd_kafka_resp_err_t failed;
    struct str *row_key; /* of item rows_of, in the arena */
    uint32_t rows_of;
};

/* ---- opening ---- */

static void on_report(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque)
{
    struct kafka_output *o = opaque;
    uint64_t place = (uint64_t)(uintptr_t)m->_private;
    o->waiting--;
    if (m->err == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE)
        o->bulk->refuse(o->bulk->ctx, (uint32_t)(place >> 32), (uint32_t)place,
                        "the record is larger than a message of the topic may be");
    else if (m->err)
        o->failed = m->err;
}

static enum err configure(struct kafka_output *o, const struct url *url)
{
    static const char *const formats[] = {"json", "text", "msgpack", "frames", NULL};
    static const char *const acks[] = {"all", "1", "0", NULL};
    static const char *const codecs[] = {"zstd", "lz4", "gzip", "snappy", "none", NULL};
    struct kafka_conf *c = &o->conf;
    struct str key = url_get(url, "key"), timeout = url_get(url, "timeout");
    unsigned format = 0, ack = 0, codec = 0;
    TRY(kafka_check_topic(str_c(c->topic)));
    TRY(url_choice(url, "format", formats, &format));
    TRY(url_choice(url, "acks", acks, &ack));
    TRY(url_choice(url, "compression", codecs, &codec));
    o->format = (enum format)format;
    o->base.in_order = o->format == FORMAT_FRAMES;
    o->key = mem_strdup(key.p ? key : STR("service"));
    o->timeout_ns = TIMEOUT_NS;
    if (timeout.p && (!str_to_duration_ns(timeout, &o->timeout_ns) || o->timeout_ns < NS_PER_S))
        return err_set(ERR_INVALID, "timeout=%.*s: a duration is wanted, such as 30s",
                       STR_ARG(timeout));
    TRY(kafka_conf_set(c, "acks", acks[ack]));
    TRY(kafka_conf_set(c, "enable.idempotence", ack == 0 ? "true" : "false"));
    TRY(kafka_conf_set(c, "compression.codec", codecs[codec]));
    TRY(kafka_conf_set(c, "partitioner", "murmur2_random"));
    TRY(kafka_conf_set(c, "linger.ms", "5"));
    TRY(kafka_conf_set_int(c, "message.timeout.ms", o->timeout_ns / NS_PER_MS));
    TRY(kafka_conf_set_int(c, "message.max.bytes", MESSAGE_MAX));
    TRY(kafka_conf_set_int(c, "queue.buffering.max.kbytes", BUFFER_KIB));
    rd_kafka_conf_set_opaque(c->conf, o);
    rd_kafka_conf_set_dr_msg_cb(c->conf, on_report);
    return OK;
}

static void kafka_close(struct output *base)
{
    struct kafka_output *o = (struct kafka_output *)base;
    if (o->rk)
        rd_kafka_destroy(o->rk);
    kafka_conf_release(&o->conf);
    mem_free(o->key);
    buf_release(&o->value);
    arena_release(&o->arena);
    mem_free(o);
}

static enum err kafka_open(const struct url *url, struct output **ret)
{
    static const char *const known[] = {"format", "key", "acks", "compression", "timeout", NULL};
    struct kafka_output *o = NEW(struct kafka_output);
    o->base.type = &output_kafka;
    arena_init(&o->arena, 0, NULL);
    buf_init(&o->value, SIZE_MAX);
    enum err err = kafka_conf_read(url, known, &o->conf);
    if (err == OK)
        err = configure(o, url);
    if (err != OK) {
        kafka_close(&o->base);
        return err;
    }
    *ret = &o->base;
    return OK;
}

static enum err enter(struct kafka_output *o)
{
    return o->rk ? OK : kafka_new(RD_KAFKA_PRODUCER, &o->conf, &o->rk);
}

/* ---- messages ---- */

static enum err produce(struct kafka_output *o, struct str key, struct str value, uint64_t place)
{
    for (;;) {
        rd_kafka_resp_err_t code = rd_kafka_producev(
            o->rk, RD_KAFKA_V_TOPIC(o->conf.topic), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
            RD_KAFKA_V_KEY(key.n ? key.p : NULL, key.n), RD_KAFKA_V_VALUE((void *)value.p, value.n),
            RD_KAFKA_V_OPAQUE((void *)(uintptr_t)place), RD_KAFKA_V_END);
        if (code == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE) {
            o->bulk->refuse(o->bulk->ctx, (uint32_t)(place >> 32), (uint32_t)place,
                            "the record is larger than a message may be");
            return OK;
        }
        if (code == 0) {
            o->waiting++;
            return OK;
        }
        if (code != RD_KAFKA_RESP_ERR__QUEUE_FULL || clock_mono_ns() >= o->deadline)
            return kafka_error("a message is not taken", code);
        (void)rd_kafka_poll(o->rk, POLL_MS);
    }
}

static enum err put_json(struct rows *rows, uint32_t row, struct arena *a, struct buf *out)
{
    struct json_rows what = {.rows = rows, .row = &row, .n = 1, .arena = a};
    return json_put_rows(&what, out, NULL);
}

/* Records as lines of text; those that have none as JSON. */
static enum err put_texts(void *ctx, uint32_t item, struct rows *rows, struct arena *a)
{
    struct kafka_output *o = ctx;
    struct str *key = NULL, *text;
    if (o->key[0])
        TRY(rows_pick_text(rows, str_c(o->key), a, &key));
    TRY(rows_pick_text(rows, STR("message"), a, &text));
    for (uint32_t i = 0; i < rows->n; i++) {
        struct str value = text ? text[i] : (struct str){0};
        buf_clear(&o->value);
        if (!value.n)
            TRY(put_json(rows, i, a, &o->value));
        TRY(produce(o, key ? key[i] : (struct str){0}, value.n ? value : buf_str(&o->value),
                    (uint64_t)item << 32 | i));
    }
    return OK;
}

static enum err put_maps(void *ctx, uint32_t item, struct rows *rows, struct arena *a)
{
    struct kafka_output *o = ctx;
    struct msgpack_rows *writer;
    struct str *key = NULL;
    if (o->key[0])
        TRY(rows_pick_text(rows, str_c(o->key), a, &key));
    TRY(msgpack_rows_new(rows, (struct str){0}, a, &writer));
    for (uint32_t i = 0; i < rows->n; i++) {
        buf_clear(&o->value);
        msgpack_rows_put(writer, false, &o->value);
        TRY(produce(o, key ? key[i] : (struct str){0}, buf_str(&o->value),
                    (uint64_t)item << 32 | i));
    }
    return OK;
}

static enum err put_row(void *ctx, const struct output_row *row)
{
    struct kafka_output *o = ctx;
    if (o->rows_of != row->item) {
        arena_reset(&o->arena);
        o->row_key = NULL;
        o->rows_of = row->item;
        if (o->key[0])
            TRY(rows_pick_text(row->rows, str_c(o->key), &o->arena, &o->row_key));
    }
    struct str key = o->row_key ? o->row_key[row->row] : (struct str){0};
    return produce(o, key, row->json, (uint64_t)row->item << 32 | row->row);
}

static enum err put_pieces(struct kafka_output *o, uint32_t first, const struct kafka_pieces *p)
{
    for (uint32_t i = 0; i < p->n; i++) {
        const struct kafka_piece *piece = &p->piece[i];
        uint32_t item = first + piece->frame_no;
        if (piece->bytes)
            TRY(produce(o, piece->key, str_of(piece->frame, piece->bytes),
                        (uint64_t)item << 32 | piece->row));
        else
            o->bulk->refuse(o->bulk->ctx, item, piece->row,
                            "the record is larger than a message of frames may be");
    }
    return OK;
}

static enum err put_units(struct kafka_output *o)
{
    const struct output_bulk *bulk = o->bulk;
    for (uint32_t first = 0, next; first < bulk->n; first = next) {
        uint64_t sequence = bulk->item[first].sequence;
        struct kafka_pieces p = {.arena = &o->arena};
        arena_reset(&o->arena);
        for (next = first; next < bulk->n && bulk->item[next].sequence == sequence; next++)
            TRY(kafka_pieces_add(&p, bulk->item[next].frame, str_c(o->key), FRAME_MAX_DEFAULT));
        kafka_pieces_stamp(&p, bulk->producer, bulk->epoch, sequence);
        TRY(put_pieces(o, first, &p));
    }
    return OK;
}

/* ---- sending ---- */

/* librdkafka gives up what is not acknowledged within message.timeout.ms, so this ends. */
static void wait_for_reports(struct kafka_output *o)
{
    while (o->waiting)
        (void)rd_kafka_poll(o->rk, POLL_MS);
}

static void leave_when_fatal(struct kafka_output *o)
{
    char why[300];
    rd_kafka_resp_err_t code = rd_kafka_fatal_error(o->rk, why, sizeof(why));
    if (!code)
        return;
    log_warn("a Kafka producer is made anew", "reason=%s", why);
    rd_kafka_destroy(o->rk);
    o->rk = NULL;
}

static enum err kafka_send(struct output *base, const struct output_bulk *bulk,
                           int64_t *ret_wait_ns)
{
    struct kafka_output *o = (struct kafka_output *)base;
    char why[300] = "";
    TRY(enter(o));
    o->bulk = bulk;
    o->rows_of = UINT32_MAX;
    o->failed = 0;
    o->deadline = clock_mono_ns() + o->timeout_ns;
    enum err err = o->format == FORMAT_FRAMES    ? put_units(o)
                   : o->format == FORMAT_MSGPACK ? output_each_item(bulk, put_maps, o)
                   : o->format == FORMAT_TEXT    ? output_each_item(bulk, put_texts, o)
                                                 : output_each_row(bulk, put_row, o);
    snprintf(why, sizeof(why), "%s", err == OK ? "" : err_text());
    wait_for_reports(o);
    leave_when_fatal(o);
    arena_reset(&o->arena);
    if (err != OK)
        return err_set(err, "%s", why);
    return o->failed ? kafka_error(o->conf.topic, o->failed) : OK;
}

const struct output_type output_kafka = {
    .name = "kafka",
    .schemes = kafka_schemes,
    .gather = {.rows = 10000, .bytes = 4 << 20, .wait_ns = 100 * NS_PER_MS},
    .parallel_max = OUTPUT_PARALLEL_MAX,
    .open = kafka_open,
    .send = kafka_send,
    .close = kafka_close,
};
