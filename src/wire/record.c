/* Adding records that are not JSON.
 *
 * A record is put into the batch. If it is too wide for what is left of the batch's limits, it is
 * taken back, the batch is handed on, and it is put again; if it is too wide for an empty one, it
 * is put as JSON text, and the batch keeps that text. */
#include "wire/decode_impl.h"

#include "core/hash.h"
#include "record/json_walk.h"

/* A value takes up to COST_GROWTH times its bytes in a batch (a small integer takes one byte in
 * MessagePack and eight there). */
enum { COST_GROWTH = 8, COST_ENVELOPE = 256 };

/* ---- values ---- */

static void json_key(struct put *p, struct str key)
{
    struct buf *out = p->json;
    if (out->n && out->p[out->n - 1] != '{')
        buf_put_byte(out, ',');
    json_put_string(out, key);
    buf_put_byte(out, ':');
}

void put_text_json(struct put *p, struct str key, struct str v)
{
    json_key(p, key);
    json_put_string(p->json, v);
}

void put_int_json(struct put *p, struct str key, int64_t v)
{
    json_key(p, key);
    buf_put_i64(p->json, v);
}

static void put_number(struct put *p, struct str key, struct str text)
{
    if (p->batch) {
        batch_number(p->batch, key, text);
        return;
    }
    json_key(p, key);
    buf_put_str(p->json, text);
}

void put_uint(struct put *p, struct str key, uint64_t v)
{
    char text[24];
    if (v <= INT64_MAX)
        put_int(p, key, (int64_t)v);
    else
        put_number(
            p, key,
            str_of(text, (size_t)snprintf(text, sizeof(text), "%llu", (unsigned long long)v)));
}

/* At most 32 bytes; not for NaN and infinities. */
static struct str double_text(double v, char out[40])
{
    size_t n = json_double_text(v, out);
    if (!memchr(out, '.', n) && !memchr(out, 'e', n)) {
        out[n++] = '.';
        out[n++] = '0';
    }
    return str_of(out, n);
}

static struct str odd_double_text(double v)
{
    return __builtin_isnan(v) ? STR("NaN") : v > 0 ? STR("Infinity") : STR("-Infinity");
}

void put_double(struct put *p, struct str key, double v)
{
    char text[40];
    if (__builtin_isfinite(v))
        put_number(p, key, double_text(v, text));
    else
        put_text(p, key, odd_double_text(v));
}

void put_bool(struct put *p, struct str key, bool v)
{
    if (p->batch) {
        batch_bool(p->batch, key, v);
        return;
    }
    json_key(p, key);
    buf_put_c(p->json, v ? "true" : "false");
}

void put_null(struct put *p, struct str key)
{
    if (p->batch) {
        batch_empty(p->batch, key, LANE_NULL);
        return;
    }
    json_key(p, key);
    buf_put_c(p->json, "null");
}

void put_empty(struct put *p, struct str key)
{
    if (p->batch) {
        batch_empty(p->batch, key, LANE_OBJ);
        return;
    }
    json_key(p, key);
    buf_put_c(p->json, "{}");
}

void put_hex(struct put *p, struct str key, struct str bytes)
{
    static const char digit[] = "0123456789abcdef";
    buf_clear(p->scratch);
    for (size_t i = 0; i < bytes.n; i++) {
        buf_put_byte(p->scratch, digit[(unsigned char)bytes.p[i] >> 4]);
        buf_put_byte(p->scratch, digit[(unsigned char)bytes.p[i] & 15]);
    }
    put_text(p, key, buf_str(p->scratch));
}

static void base64(struct buf *out, struct str s)
{
    static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < s.n; i += 3) {
        unsigned a = (unsigned char)s.p[i], b = i + 1 < s.n ? (unsigned char)s.p[i + 1] : 0,
                 c = i + 2 < s.n ? (unsigned char)s.p[i + 2] : 0;
        buf_put_byte(out, digit[a >> 2]);
        buf_put_byte(out, digit[(a & 3) << 4 | b >> 4]);
        buf_put_byte(out, i + 1 < s.n ? digit[(b & 15) << 2 | c >> 6] : '=');
        buf_put_byte(out, i + 2 < s.n ? digit[c & 63] : '=');
    }
}

void put_base64(struct put *p, struct str key, struct str bytes)
{
    buf_clear(p->scratch);
    base64(p->scratch, bytes);
    put_text(p, key, buf_str(p->scratch));
}

void put_array(struct put *p, struct str key, struct str text)
{
    if (memchr(text.p, '\n', text.n) || memchr(text.p, '\r', text.n)) {
        /* White space alone can be that; what is kept as JSON text never breaks a line. */
        buf_clear(p->scratch);
        for (size_t i = 0; i < text.n; i++)
            buf_put_byte(p->scratch, text.p[i] == '\n' || text.p[i] == '\r' ? ' ' : text.p[i]);
        text = buf_str(p->scratch);
    }
    if (p->batch) {
        batch_text(p->batch, key, LANE_ARR, text);
        return;
    }
    json_key(p, key);
    buf_put_str(p->json, text);
}

enum err put_open(struct put *p, struct str key)
{
    if (p->depth + 1 >= p->nesting)
        return err_set(ERR_LIMIT, "the record nests deeper than the limit of %u levels",
                       p->nesting);
    p->depth++;
    if (p->batch) {
        batch_open(p->batch, key);
        return OK;
    }
    json_key(p, key);
    buf_put_byte(p->json, '{');
    return OK;
}

void put_close(struct put *p)
{
    CHECK(p->depth > 0);
    p->depth--;
    if (p->batch)
        batch_close(p->batch);
    else
        buf_put_byte(p->json, '}');
}

/* ---- JSON values ---- */

static enum err put_item(struct put *p, struct str key, const struct json_item *item)
{
    switch (item->lane) {
    case LANE_STR:
        if (!json_walk_escaped(item->text)) {
            put_text(p, key, item->text);
            return OK;
        }
        buf_clear(p->scratch);
        json_walk_unescape(item->text, p->scratch);
        put_text(p, key, buf_str(p->scratch));
        return OK;
    case LANE_BOOL:
        put_bool(p, key, item->text.p[0] == 't');
        return OK;
    case LANE_NULL:
        put_null(p, key);
        return OK;
    case LANE_OBJ:
        put_empty(p, key);
        return OK;
    case LANE_ARR:
        put_array(p, key, item->text);
        return OK;
    case LANE_JSON:
        TRY(put_open(p, key));
        TRY(put_json_members(p, item->text));
        put_close(p);
        return OK;
    default:
        put_number(p, key, item->text);
        return OK;
    }
}

enum err put_json_members(struct put *p, struct str object)
{
    struct json_walk w;
    struct json_item item;
    if (!json_walk_begin(&w, object) || w.close != '}')
        return err_set(ERR_INVALID, "a JSON object is wanted");
    while (json_walk_next(&w, &item)) {
        if (!json_walk_escaped(item.key)) {
            TRY(put_item(p, item.key, &item));
            continue;
        }
        struct buf key;
        buf_init(&key, SIZE_MAX);
        json_walk_unescape(item.key, &key);
        enum err err = put_item(p, buf_str(&key), &item);
        buf_release(&key);
        TRY(err);
    }
    return OK;
}

enum err put_json(struct put *p, struct str key, struct str text)
{
    struct json_item item;
    struct json_walk w = {.p = text.p, .end = text.p + text.n, .close = ']'};
    if (!json_walk_next(&w, &item))
        return err_set(ERR_INVALID, "a JSON value is wanted");
    return put_item(p, key, &item);
}

/* ---- texts in arrays ---- */

void json_text_int(struct buf *out, int64_t v)
{
    buf_put_i64(out, v);
}

void json_text_uint(struct buf *out, uint64_t v)
{
    buf_printf(out, "%llu", (unsigned long long)v);
}

void json_text_double(struct buf *out, double v)
{
    char text[40];
    if (__builtin_isfinite(v))
        buf_put_str(out, double_text(v, text));
    else
        json_put_string(out, odd_double_text(v));
}

void json_text_base64(struct buf *out, struct str bytes)
{
    buf_put_byte(out, '"');
    base64(out, bytes);
    buf_put_byte(out, '"');
}

/* ---- records ---- */

static enum err refuse(struct wire_decoder *d, uint32_t position, struct str raw, enum err err)
{
    if (err != ERR_INVALID && err != ERR_LIMIT)
        return err;
    d->sink->refused(d->sink->ctx, position, raw, err_text());
    return OK;
}

void wire_refuse(struct wire_decoder *d, struct str raw)
{
    d->sink->refused(d->sink->ctx, d->position++, raw, err_text());
}

/* In JSON text a field may stand there twice: it is the rare record that is too wide. */
static void put_fields(struct wire_decoder *d, struct put *p)
{
    for (uint32_t i = 0; i < d->n_fields; i++) {
        uint64_t hash = hash64(d->fields[i].name);
        if (!p->batch || !batch_has_name(p->batch, &hash, 1))
            put_text(p, d->fields[i].name, d->fields[i].value);
    }
}

/* The fields with their defaults. `missing`: which of those the record lacks; found out where it is
 * put into a batch. */
static enum err put_record(struct wire_decoder *d, const struct wire_record *r, struct put *p,
                           bool missing[2])
{
    TRY(r->put(r->ctx, p));
    CHECK(p->depth == 0);
    for (unsigned i = 0; i < 2; i++) {
        const struct wire_default *f = &d->defaults[i];
        if (!f->value.n)
            continue;
        if (p->batch)
            missing[i] = !batch_has_name(p->batch, f->name_hash, f->n_names);
        if (missing[i])
            put_text(p, f->key, buf_str(&f->value));
    }
    put_fields(d, p);
    return OK;
}

static struct put to_batch(struct wire_decoder *d)
{
    return (struct put){.batch = d->batch, .scratch = &d->text, .nesting = d->limits.nesting};
}

static enum err put_into_batch(struct wire_decoder *d, const struct wire_record *r, bool missing[2])
{
    struct put p = to_batch(d);
    batch_begin(d->batch);
    enum err err = put_record(d, r, &p, missing);
    if (err != OK)
        batch_cancel(d->batch);
    else if (r->has_time)
        batch_time(d->batch, r->time_ns);
    return err;
}

static enum err add_wide(struct wire_decoder *d, const struct wire_record *r, bool missing[2])
{
    struct put p = {.json = &d->as_json, .scratch = &d->text, .nesting = d->limits.nesting};
    buf_clear(&d->as_json);
    buf_put_byte(&d->as_json, '{');
    TRY(put_record(d, r, &p, missing));
    buf_put_byte(&d->as_json, '}');
    TRY(put_into_batch(d, r, missing));
    batch_end(d->batch, d->arrival_ns, buf_str(&d->as_json));
    return OK;
}

/* Once it is put. */
static struct str raw_of(const struct wire_record *r)
{
    return r->end ? str_of(r->raw.p, (size_t)(*r->end - r->raw.p)) : r->raw;
}

static enum err check_size(const struct wire_decoder *d, size_t n)
{
    return n <= d->limits.record_bytes
               ? OK
               : err_set(ERR_LIMIT, "the record has %zu bytes, the limit is %zu", n,
                         d->limits.record_bytes);
}

/* Its values are in the batch: whether they, and the names that it may bring, lead past a frame. */
static bool leads_past(const struct wire_decoder *d, size_t n)
{
    return batch_full(d->batch, n * COST_GROWTH + COST_ENVELOPE);
}

static enum err add_record(struct wire_decoder *d, const struct wire_record *r)
{
    bool missing[2] = {0};
    if (!r->end)
        TRY(check_size(d, r->raw.n));
    for (;;) {
        TRY(put_into_batch(d, r, missing));
        size_t n = raw_of(r).n;
        enum err err = check_size(d, n);
        if (err != OK) {
            batch_cancel(d->batch);
            return err;
        }
        if (!(r->end && leads_past(d, n)) && batch_try_end(d->batch, d->arrival_ns, n))
            return OK;
        batch_cancel(d->batch);
        if (!batch_rows(d->batch))
            return add_wide(d, r, missing);
        TRY(wire_flush(d));
    }
}

enum err wire_add(struct wire_decoder *d, const struct wire_record *r)
{
    uint32_t position = d->position++;
    size_t cost = r->end ? 0 : r->cost ? r->cost : r->raw.n * COST_GROWTH;
    if (batch_full(d->batch, cost + COST_ENVELOPE))
        TRY(wire_flush(d));
    enum err err = add_record(d, r);
    if (err != OK)
        return refuse(d, position, raw_of(r), err);
    wire_admit(d);
    return OK;
}
