/* The body, made by this process and read at once; numbers are varints, texts have their length
 * before them:
 *
 *   'K'  value (enum kafka_value)  place (0 or 1)  partition  topic
 *   messages, each: offset (zigzag), time_ms (zigzag), key, value
 *
 * Objects of JSON go to a batch of their own, which is faster (decode_impl.h); where a body goes to
 * and fro between those and others, all that comes behind goes to one.
 *
 * A value of KAFKA_AUTO is told by its first byte: '{' and '[' begin JSON, a map's or an array's of
 * MessagePack the latter; all else is text. Where what begins so does not go on so, it is text. */
#include "wire/kafka.h"

#include "core/clock.h"
#include "record/json.h"
#include "record/text_line.h"
#include "wire/decode_impl.h"
#include "wire/msgpack.h"

#include <inttypes.h>
#include <stdio.h>

enum { REASON_MAX = 400, TURNS_MAX = 8, VARINT_MAX = 10 };

void kafka_body_begin(struct buf *out, const struct kafka_head *h)
{
    buf_put_byte(out, 'K');
    buf_put_u8(out, (uint8_t)h->value);
    buf_put_u8(out, h->place);
    buf_put_varint(out, (uint32_t)h->partition);
    buf_put_lstr(out, h->topic);
}

static char *put_varint(char *p, uint64_t v)
{
    for (; v >= 0x80; v >>= 7)
        *p++ = (char)(v | 0x80);
    *p++ = (char)v;
    return p;
}

static char *put_bytes(char *p, struct str s)
{
    p = put_varint(p, s.n);
    if (s.n)
        memcpy(p, s.p, s.n);
    return p + s.n;
}

void kafka_body_add(struct buf *out, const struct kafka_message *m)
{
    char *p = buf_reserve(out, 4 * VARINT_MAX + m->key.n + m->value.n);
    CHECK(p);
    p = put_varint(p, zigzag(m->offset));
    p = put_varint(p, zigzag(m->time_ms));
    p = put_bytes(p, m->key);
    out->n = (size_t)(put_bytes(p, m->value) - out->p);
}

void kafka_unit_of(const struct frame_info *info, struct str topic, int32_t partition,
                   int64_t offset, struct kafka_unit *ret)
{
    bool own = info->producer != 0;
    uint64_t epoch = own ? info->epoch : 1, part = own ? info->part : 0;
    epoch = hash_mix(epoch ^ hash_mix((uint64_t)(uint32_t)partition << 32 | part));
    *ret = (struct kafka_unit){own ? info->producer : hash64(topic) | 1, epoch | 1,
                               own ? info->sequence : (uint64_t)offset + 1};
}

struct message {
    struct wire_decoder *d;
    const struct kafka_head *head;
    unsigned turns; /* from one of the decoder's batches to the other */
    struct kafka_message m;
    struct str record; /* one of the message's */
};

/* The place of the message before the reason. */
static enum err place_error(const struct message *m, enum err err)
{
    char why[REASON_MAX];
    snprintf(why, sizeof(why), "%s", err_text());
    return err_set(err, "%.*s/%" PRId32 "/%" PRId64 ": %s", STR_ARG(m->head->topic),
                   m->head->partition, m->m.offset, why);
}

/* ---- fields ---- */

static enum err put_place(const struct message *m, struct put *p, enum err err)
{
    if (err != OK)
        return place_error(m, err);
    if (!m->head->place)
        return OK;
    TRY(put_open(p, STR("kafka")));
    put_text(p, STR("topic"), m->head->topic);
    put_int(p, STR("partition"), m->head->partition);
    put_int(p, STR("offset"), m->m.offset);
    put_text_if(p, STR("key"), m->m.key);
    put_close(p);
    return OK;
}

static enum err put_json_record(void *ctx, struct put *p)
{
    struct message *m = ctx;
    return put_place(m, p, put_json_members(p, m->record));
}

static enum err put_msgpack_record(void *ctx, struct put *p)
{
    struct message *m = ctx;
    return put_place(m, p, wire_put_msgpack(m->d, p, m->record));
}

static enum err put_text_record(void *ctx, struct put *p)
{
    struct message *m = ctx;
    struct text_line says;
    text_line_read(m->record, m->d->arrival_ns, &says);
    put_text(p, STR("message"), m->record);
    put_text_if(p, STR("level"), says.level);
    return put_place(m, p, OK);
}

/* ---- records ---- */

static enum err refuse(struct message *m, struct str raw)
{
    (void)place_error(m, ERR_INVALID);
    wire_refuse(m->d, raw);
    return OK;
}

/* Straight to columns: nothing is added to the record. ERR_INVALID, ERR_LIMIT: it was not taken. */
static enum err read_json(struct message *m, struct str text)
{
    struct wire_decoder *d = m->d;
    TRY(wire_make_room(d, text.n));
    TRY(json_read_record(d->reader, text, d->arrival_ns, d->batch));
    d->position++;
    wire_admit(d);
    return OK;
}

static enum err turn_to(struct message *m, struct batch *b)
{
    if (m->d->batch == b)
        return OK;
    TRY(wire_flush(m->d));
    m->d->batch = b;
    batch_clear(b);
    m->turns++;
    return OK;
}

static enum err add_json(void *ctx, uint32_t position, struct str text)
{
    struct message *m = ctx;
    struct wire_record r = {.put = put_json_record, .ctx = m, .raw = text, .cost = text.n * 4};
    if (m->head->value == KAFKA_JSON && m->d->batch == m->d->json) {
        enum err err = read_json(m, text);
        return err == ERR_INVALID || err == ERR_LIMIT ? refuse(m, text) : err;
    }
    m->record = text;
    if (!text.n || text.p[0] != '{')
        (void)err_set(ERR_INVALID, "a JSON object is wanted");
    else if (json_check(m->d->reader, text) == OK)
        return wire_add(m->d, &r);
    return refuse(m, text);
}

static enum err add_text(struct message *m)
{
    struct text_line says;
    TRY(turn_to(m, m->d->plain));
    m->record = m->m.value;
    text_line_read(m->record, m->d->arrival_ns, &says);
    struct wire_record r = {.put = put_text_record,
                            .ctx = m,
                            .raw = m->record,
                            .cost = m->record.n + m->m.key.n + m->head->topic.n + 256,
                            .has_time = says.has_time,
                            .time_ns = says.time_ns};
    return wire_add(m->d, &r);
}

static bool is_json(struct wire_decoder *d, struct str value)
{
    return value.n && (value.p[0] == '{' || value.p[0] == '[') &&
           json_check(d->reader, value) == OK;
}

static enum err add_json_value(struct message *m)
{
    struct str value = str_trim(m->m.value);
    if (m->head->value == KAFKA_AUTO) {
        bool fast = !m->head->place && value.n && value.p[0] == '{' && m->turns < TURNS_MAX;
        if (fast)
            TRY(turn_to(m, m->d->json));
        enum err err = fast ? read_json(m, value) : is_json(m->d, value) ? OK : ERR_INVALID;
        if (err == ERR_INVALID)
            return add_text(m);
        if (fast)
            return err == ERR_LIMIT ? refuse(m, value) : err;
        TRY(turn_to(m, m->d->plain));
    }
    if (!value.n || value.p[0] != '[')
        return add_json(m, 0, value);
    enum err err = json_each_record(m->d->reader, value, add_json, m);
    return err == ERR_INVALID || err == ERR_LIMIT ? refuse(m, m->m.value) : err;
}

static enum err add_map(struct message *m, struct str map)
{
    TRY(turn_to(m, m->d->plain));
    struct wire_record r = {.put = put_msgpack_record, .ctx = m, .raw = map, .cost = map.n * 8};
    m->record = map;
    return wire_add(m->d, &r);
}

/* A map, or an array of maps; nothing behind it. */
static enum err add_msgpack(struct message *m)
{
    struct reader r = reader_of(m->m.value), whole = r;
    struct msgpack first;
    if (!msgpack_skip(&whole, 1) || reader_left(&whole)) {
        if (m->head->value == KAFKA_AUTO)
            return add_text(m);
        (void)err_set(ERR_INVALID, "the value is no MessagePack, or breaks off, or goes on");
        return refuse(m, m->m.value);
    }
    if (!msgpack_read(&r, &first) || first.kind != MSGPACK_ARRAY)
        return add_map(m, m->m.value);
    for (uint32_t i = 0; i < first.n; i++) {
        const char *from = (const char *)r.p;
        if (!msgpack_skip(&r, 1))
            return OK; /* it was whole a moment ago */
        TRY(add_map(m, str_of(from, (size_t)((const char *)r.p - from))));
    }
    return OK;
}

static enum kafka_value kind_of(const struct message *m)
{
    unsigned first = m->m.value.n ? (unsigned char)m->m.value.p[0] : 0;
    if (m->head->value != KAFKA_AUTO)
        return m->head->value;
    if (first == '{' || first == '[')
        return KAFKA_JSON;
    bool msgpack = (first & 0xe0) == 0x80 || (first >= 0xdc && first <= 0xdf);
    return msgpack ? KAFKA_MSGPACK : KAFKA_TEXT;
}

static enum err add_message(struct message *m)
{
    size_t max = m->d->limits.record_bytes;
    if (!m->m.value.n)
        return OK;
    if (m->m.value.n > max) {
        (void)err_set(ERR_LIMIT, "the message has %zu bytes, the limit is %zu", m->m.value.n, max);
        return refuse(m, m->m.value);
    }
    switch (kind_of(m)) {
    case KAFKA_JSON:
        return add_json_value(m);
    case KAFKA_MSGPACK:
        return add_msgpack(m);
    case KAFKA_REFUSED:
        (void)err_set(ERR_INVALID, "%.*s", m->m.key.n > 300 ? 300 : (int)m->m.key.n, m->m.key.p);
        return refuse(m, m->m.value);
    default:
        return add_text(m);
    }
}

/* ---- bodies ---- */

static enum err read_head(struct reader *r, struct kafka_head *h)
{
    uint8_t magic = read_u8(r), value = read_u8(r), place = read_u8(r);
    uint64_t partition = read_varint(r);
    *h = (struct kafka_head){(enum kafka_value)value, place, read_lstr(r), (int32_t)partition};
    if (r->bad || magic != 'K' || value >= KAFKA_VALUE_COUNT || place > 1 || partition > INT32_MAX)
        return err_set(ERR_INVALID, "this is no body of Kafka messages");
    return OK;
}

static enum err read_message(struct reader *r, struct kafka_message *m)
{
    m->offset = unzigzag(read_varint(r));
    m->time_ms = unzigzag(read_varint(r));
    m->key = read_lstr(r);
    m->value = read_lstr(r);
    return r->bad ? err_set(ERR_INVALID, "the body of Kafka messages breaks off") : OK;
}

/* Records without a time get the message's. */
static void set_time(struct wire_decoder *d, int64_t arrival_ns, int64_t time_ms)
{
    bool has = time_ms >= 0 && time_ms < INT64_MAX / NS_PER_MS;
    d->arrival_ns = has ? time_ms * NS_PER_MS : arrival_ns;
}

enum err wire_decode_kafka(struct wire_decoder *d, struct str body)
{
    struct reader r = reader_of(body);
    struct kafka_head head;
    struct message m = {.d = d, .head = &head};
    int64_t arrival_ns = d->arrival_ns;
    TRY(read_head(&r, &head));
    while (reader_left(&r)) {
        TRY(read_message(&r, &m.m));
        set_time(d, arrival_ns, m.m.time_ms);
        TRY(add_message(&m));
    }
    return OK;
}
