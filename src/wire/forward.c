#include "wire/forward.h"

#include "core/clock.h"
#include "wire/decode_impl.h"

#include <openssl/evp.h>

enum { EVENT_TIME_EXT = 0, EVENT_TIME_BYTES = 8 };

/* ---- whole messages ---- */

/* The value of `name` in the map at the reader; nothing where it has none or is no map. */
static bool find_option(struct reader r, const char *name, struct msgpack *ret)
{
    struct msgpack map, key;
    if (!msgpack_read(&r, &map) || map.kind != MSGPACK_MAP)
        return false;
    for (uint32_t i = 0; i < map.n; i++) {
        if (!msgpack_read(&r, &key))
            return false;
        bool found = key.kind == MSGPACK_STR && str_eq_c(key.bytes, name);
        if (key.kind == MSGPACK_ARRAY || key.kind == MSGPACK_MAP)
            return false;
        if (found)
            return msgpack_read(&r, ret);
        if (!msgpack_skip(&r, 1))
            return false;
    }
    return false;
}

static bool is_text(const struct msgpack *m)
{
    return m->kind == MSGPACK_STR || m->kind == MSGPACK_BIN;
}

/* Reads the head of the message; nothing begins while that is not there. */
static enum err begin_message(struct forward_scan *s, struct str in)
{
    struct reader r = reader_of(in);
    struct msgpack m;
    unsigned first = in.n ? (unsigned char)in.p[0] : 0;
    if (!in.n || (!msgpack_read(&r, &m) && first != 0xc1))
        return OK;
    if (first == 0xc1 || (m.kind != MSGPACK_ARRAY && m.kind != MSGPACK_NIL))
        return err_set(ERR_INVALID,
                       "this is no message of the forward protocol: an array is wanted, and its "
                       "first byte is 0x%02x",
                       first);
    s->n = m.kind == MSGPACK_NIL ? 0 : m.n;
    if (m.kind == MSGPACK_ARRAY && (m.n < 2 || m.n > FORWARD_ELEMENTS_MAX))
        return err_set(ERR_INVALID, "a message of the forward protocol has 2 to 4 elements, not %u",
                       m.n);
    s->begun = true;
    s->scan.at = (size_t)((const char *)r.p - in.p);
    return OK;
}

/* What a whole message wants acknowledged. The option is the last element, but not where that is a
 * Message's record. */
static struct str find_chunk(const struct forward_scan *s, struct str message)
{
    struct msgpack m;
    if (s->n < 3)
        return (struct str){0};
    struct reader second = reader_of(str_from(message, s->start[1]));
    struct reader last = reader_of(str_from(message, s->start[s->n - 1]));
    if (s->n == 3 && msgpack_read(&second, &m) && !is_text(&m) && m.kind != MSGPACK_ARRAY)
        return (struct str){0};
    return find_option(last, "chunk", &m) && is_text(&m) ? m.bytes : (struct str){0};
}

enum err forward_next(struct forward_scan *s, struct str in, size_t *ret_n, struct str *ret_chunk,
                      bool *ret_nil)
{
    *ret_n = 0;
    *ret_chunk = (struct str){0};
    if (!s->begun)
        TRY(begin_message(s, in));
    if (!s->begun)
        return OK;
    for (; s->element < s->n; s->element++) {
        if (!s->scan.left) {
            s->start[s->element] = s->scan.at;
            s->scan.left = 1;
        }
        enum msgpack_found found = msgpack_scan(&s->scan, in);
        if (found == MSGPACK_BROKEN)
            return err_set(ERR_INVALID, "byte %zu of the message is no MessagePack", s->scan.at);
        if (found == MSGPACK_MORE)
            return OK;
    }
    *ret_n = s->scan.at;
    *ret_nil = s->n == 0;
    *ret_chunk = find_chunk(s, str_of(in.p, s->scan.at));
    *s = (struct forward_scan){0};
    return OK;
}

/* ---- records ---- */

struct event {
    struct wire_decoder *d;
    struct str tag;
    struct str record;   /* begins with the map, as MessagePack */
    struct str metadata; /* a map; n == 0: none */
    const char *end;     /* of the record's map, once it is put */
    bool breaks_off;
};

static enum err bad(const char *what)
{
    return err_set(ERR_INVALID, "%s", what);
}

static enum err json_value(struct buf *out, struct reader *r, const struct msgpack *m,
                           unsigned depth);

static enum err json_map(struct buf *out, struct reader *r, uint32_t n, unsigned depth)
{
    struct msgpack key, value;
    buf_put_byte(out, '{');
    for (uint32_t i = 0; i < n; i++) {
        if (!msgpack_read(r, &key) || !msgpack_read(r, &value))
            return bad("the record breaks off");
        if (!is_text(&key))
            return bad("a key in the record is no text");
        if (i)
            buf_put_byte(out, ',');
        json_put_string(out, key.bytes);
        buf_put_byte(out, ':');
        TRY(json_value(out, r, &value, depth));
    }
    buf_put_byte(out, '}');
    return OK;
}

static enum err json_array(struct buf *out, struct reader *r, uint32_t n, unsigned depth)
{
    struct msgpack value;
    buf_put_byte(out, '[');
    for (uint32_t i = 0; i < n; i++) {
        if (!msgpack_read(r, &value))
            return bad("the record breaks off");
        if (i)
            buf_put_byte(out, ',');
        TRY(json_value(out, r, &value, depth));
    }
    buf_put_byte(out, ']');
    return OK;
}

/* A value inside an array, as JSON text. */
static enum err json_value(struct buf *out, struct reader *r, const struct msgpack *m,
                           unsigned depth)
{
    if (depth == 0 && (m->kind == MSGPACK_ARRAY || m->kind == MSGPACK_MAP))
        return err_set(ERR_LIMIT, "an array of the record nests too deep");
    switch (m->kind) {
    case MSGPACK_NIL:
        buf_put_c(out, "null");
        return OK;
    case MSGPACK_BOOL:
        buf_put_c(out, m->b ? "true" : "false");
        return OK;
    case MSGPACK_INT:
        json_text_int(out, m->i);
        return OK;
    case MSGPACK_UINT:
        json_text_uint(out, m->u);
        return OK;
    case MSGPACK_DOUBLE:
        json_text_double(out, m->d);
        return OK;
    case MSGPACK_STR:
    case MSGPACK_BIN:
        json_put_string(out, m->bytes);
        return OK;
    case MSGPACK_ARRAY:
        return json_array(out, r, m->n, depth - 1);
    case MSGPACK_MAP:
        return json_map(out, r, m->n, depth - 1);
    case MSGPACK_EXT:
        json_text_base64(out, m->bytes);
        return OK;
    }
    return OK;
}

static enum err put_members(struct event *e, struct put *p, struct reader *r, uint32_t n,
                            bool *ret_has_tag);

static enum err put_value(struct event *e, struct put *p, struct reader *r, struct str key,
                          const struct msgpack *m)
{
    switch (m->kind) {
    case MSGPACK_STR:
    case MSGPACK_BIN:
        put_text(p, key, m->bytes);
        return OK;
    case MSGPACK_INT:
        put_int(p, key, m->i);
        return OK;
    case MSGPACK_UINT:
        put_uint(p, key, m->u);
        return OK;
    case MSGPACK_DOUBLE:
        put_double(p, key, m->d);
        return OK;
    case MSGPACK_BOOL:
        put_bool(p, key, m->b);
        return OK;
    case MSGPACK_NIL:
        put_null(p, key);
        return OK;
    case MSGPACK_MAP:
        if (!m->n) {
            put_empty(p, key);
            return OK;
        }
        TRY(put_open(p, key));
        TRY(put_members(e, p, r, m->n, NULL));
        put_close(p);
        return OK;
    case MSGPACK_ARRAY:
        buf_clear(&e->d->value);
        TRY(json_array(&e->d->value, r, m->n, p->nesting - p->depth));
        put_array(p, key, buf_str(&e->d->value));
        return OK;
    case MSGPACK_EXT:
        put_base64(p, key, m->bytes);
        return OK;
    }
    return OK;
}

static enum err put_members(struct event *e, struct put *p, struct reader *r, uint32_t n,
                            bool *ret_has_tag)
{
    struct msgpack key, value;
    for (uint32_t i = 0; i < n; i++) {
        if (!msgpack_read(r, &key) || !msgpack_read(r, &value))
            return bad("the record breaks off");
        if (!is_text(&key))
            return bad("a key of the record is no text");
        if (ret_has_tag && key.bytes.n == 3 && memcmp(key.bytes.p, "tag", 3) == 0)
            *ret_has_tag = true;
        if (value.kind == MSGPACK_STR)
            put_text(p, key.bytes, value.bytes);
        else if (value.kind == MSGPACK_INT)
            put_int(p, key.bytes, value.i);
        else
            TRY(put_value(e, p, r, key.bytes, &value));
    }
    return OK;
}

enum err wire_put_msgpack(struct wire_decoder *d, struct put *p, struct str map)
{
    struct event e = {.d = d};
    struct reader r = reader_of(map);
    struct msgpack m;
    if (!msgpack_read(&r, &m) || m.kind != MSGPACK_MAP)
        return bad("the record is no map");
    return put_members(&e, p, &r, m.n, NULL);
}

/* A record that was not read to its end: the next is behind it all the same. */
static enum err find_end(struct event *e, enum err err)
{
    struct reader r = reader_of(e->record);
    e->breaks_off = !msgpack_skip(&r, 1);
    e->end = e->breaks_off ? e->record.p + e->record.n : (const char *)r.p;
    return e->breaks_off && err == ERR_INVALID ? bad("the entries break off") : err;
}

static enum err put_map(struct event *e, struct put *p, struct reader *r, bool *ret_has_tag)
{
    struct msgpack m;
    if (!msgpack_read(r, &m) || m.kind != MSGPACK_MAP)
        return bad("the record is no map");
    return put_members(e, p, r, m.n, ret_has_tag);
}

static enum err put_event(void *ctx, struct put *p)
{
    struct event *e = ctx;
    struct reader r = reader_of(e->record);
    struct msgpack m;
    bool has_tag = false;
    enum err err = put_map(e, p, &r, &has_tag);
    if (err != OK)
        return find_end(e, err);
    e->end = (const char *)r.p;
    put_text(p, has_tag ? STR("_tag") : STR("tag"), e->tag);
    if (!e->metadata.n)
        return OK;
    r = reader_of(e->metadata);
    if (msgpack_read(&r, &m) && m.kind == MSGPACK_MAP && m.n)
        TRY(put_value(e, p, &r, STR("metadata"), &m));
    return OK;
}

static uint32_t big_endian(const char *p)
{
    const unsigned char *b = (const unsigned char *)p;
    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

/* False where it is no time; has_time stays unset for 0. */
static bool read_time(const struct msgpack *m, struct wire_record *r)
{
    double ns;
    switch (m->kind) {
    case MSGPACK_EXT:
        if (m->i != EVENT_TIME_EXT || m->bytes.n != EVENT_TIME_BYTES)
            return false;
        r->time_ns = (int64_t)big_endian(m->bytes.p) * NS_PER_S + big_endian(m->bytes.p + 4);
        break;
    case MSGPACK_INT:
        if (m->i > INT64_MAX / NS_PER_S || m->i < INT64_MIN / NS_PER_S)
            return false;
        r->time_ns = m->i * NS_PER_S;
        break;
    case MSGPACK_DOUBLE:
        ns = m->d * (double)NS_PER_S;
        if (!(ns > -9.2e18 && ns < 9.2e18))
            return false;
        r->time_ns = (int64_t)ns;
        break;
    default:
        return false;
    }
    r->has_time = r->time_ns != 0;
    return true;
}

/* The value at the reader as bytes, passed. */
static bool take_value(struct reader *r, struct str *ret)
{
    const char *from = (const char *)r->p;
    if (!msgpack_skip(r, 1))
        return false;
    *ret = str_of(from, (size_t)((const char *)r->p - from));
    return true;
}

/* The time at the reader, and what else stands with it. False: it is none, as err_text() says. */
static bool read_head(struct reader *r, struct event *e, struct wire_record *record)
{
    struct msgpack time = {0};
    bool good = msgpack_read(r, &time);
    if (good && time.kind == MSGPACK_ARRAY) { /* [time, metadata] */
        uint32_t n = time.n;
        good = n == 2 && msgpack_read(r, &time) && take_value(r, &e->metadata);
    }
    if (good && read_time(&time, record))
        return true;
    (void)err_set(ERR_INVALID, "the time of the event is none");
    return false;
}

/* Fluent Bit marks the begin and the end of a group of records by times of -1 and -2. */
static bool is_mark(const struct wire_record *r)
{
    return r->has_time && (r->time_ns == -NS_PER_S || r->time_ns == -2 * NS_PER_S);
}

static struct str rest_of(const struct reader *r)
{
    return str_of((const char *)r->p, reader_left(r));
}

/* An entry that is none: kept, and passed; with all behind it where it has no end. */
static void refuse_entry(struct wire_decoder *d, struct reader *r)
{
    struct str raw = rest_of(r);
    struct str whole;
    if (take_value(r, &whole)) {
        raw = whole;
    } else {
        (void)err_set(ERR_INVALID, "the entries break off");
        r->p = r->end;
    }
    wire_refuse(d, raw);
}

/* [time, record] behind each other, `n` of them or all there are. A record is read where it stands:
 * its end is known when it is in the batch. */
static enum err add_entries(struct wire_decoder *d, struct str tag, struct reader *r, uint64_t n)
{
    struct msgpack m;
    for (; n && r->p < r->end; n--) {
        struct reader at = *r;
        struct event e = {.d = d, .tag = tag};
        struct wire_record record = {.put = put_event, .ctx = &e, .raw = rest_of(r), .end = &e.end};
        bool pair = msgpack_read(&at, &m) && m.kind == MSGPACK_ARRAY && m.n == 2;
        if (!pair)
            (void)err_set(ERR_INVALID, "an entry is not [time, record]");
        if (!pair || !read_head(&at, &e, &record)) {
            refuse_entry(d, r);
        } else if (is_mark(&record)) {
            if (msgpack_skip(&at, 1))
                *r = at;
            else
                refuse_entry(d, r);
        } else {
            e.record = rest_of(&at);
            TRY(wire_add(d, &record));
            r->p = (const uint8_t *)e.end;
        }
    }
    return OK;
}

/* The message is its tag, and the time and record at the reader. */
static enum err add_single(struct wire_decoder *d, struct str tag, struct reader *r,
                           struct str message)
{
    struct event e = {.d = d, .tag = tag};
    struct wire_record record = {.put = put_event, .ctx = &e, .raw = message};
    if (!read_head(r, &e, &record)) {
        wire_refuse(d, message);
        return OK;
    }
    if (is_mark(&record))
        return OK;
    e.record = rest_of(r);
    record.cost = (message.n + tag.n) * 8;
    return wire_add(d, &record);
}

static enum err add_packed(struct wire_decoder *d, struct str tag, struct str bytes,
                           struct reader option)
{
    struct msgpack m;
    if (option.p && find_option(option, "compressed", &m) && is_text(&m) &&
        !str_eq_c(m.bytes, "text") && m.bytes.n) {
        struct str raw = bytes;
        enum err err = wire_inflate_part(d, m.bytes, raw, &bytes);
        if (err == ERR_INVALID || err == ERR_UNSUPPORTED) {
            wire_refuse(d, raw);
            return OK;
        }
        TRY(err);
    }
    struct reader r = reader_of(bytes);
    return add_entries(d, tag, &r, UINT64_MAX);
}

/* A whole message, as forward_next found it. */
static enum err add_message(struct wire_decoder *d, struct str message)
{
    struct reader r = reader_of(message), option = {0};
    struct msgpack head, tag, m;
    if (!msgpack_read(&r, &head) || head.kind != MSGPACK_ARRAY)
        return OK; /* a heartbeat */
    if (!msgpack_read(&r, &tag) || !is_text(&tag)) {
        (void)err_set(ERR_INVALID, "the tag of the message is no text");
        wire_refuse(d, message);
        return OK;
    }
    struct reader second = r;
    if (!msgpack_read(&r, &m))
        return OK;
    bool packed = is_text(&m), entries = m.kind == MSGPACK_ARRAY;
    if (!packed && !entries)
        return add_single(d, tag.bytes, &second, message);
    if (head.n >= 3) {
        option = r;
        if (entries && !msgpack_skip(&option, m.n))
            return OK;
    }
    return packed ? add_packed(d, tag.bytes, m.bytes, option) : add_entries(d, tag.bytes, &r, m.n);
}

enum err wire_decode_forward(struct wire_decoder *d, struct str body)
{
    while (body.n) {
        struct forward_scan scan = {0};
        size_t n;
        struct str chunk;
        bool nil;
        TRY(forward_next(&scan, body, &n, &chunk, &nil));
        if (!n)
            return err_set(ERR_INVALID, "the body ends within message %u", d->position);
        TRY(add_message(d, str_of(body.p, n)));
        body = str_from(body, n);
    }
    return OK;
}

/* ---- the shared key ---- */

void forward_digest(const struct str *part, unsigned n, char hex[FORWARD_DIGEST_BYTES])
{
    static const char digit[] = "0123456789abcdef";
    unsigned char raw[FORWARD_DIGEST_BYTES / 2];
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    CHECK(md && EVP_DigestInit_ex(md, EVP_sha512(), NULL) == 1);
    for (unsigned i = 0; i < n; i++)
        CHECK(EVP_DigestUpdate(md, part[i].p, part[i].n) == 1);
    CHECK(EVP_DigestFinal_ex(md, raw, NULL) == 1);
    EVP_MD_CTX_free(md);
    for (unsigned i = 0; i < sizeof(raw); i++) {
        hex[2 * i] = digit[raw[i] >> 4];
        hex[2 * i + 1] = digit[raw[i] & 15];
    }
}
