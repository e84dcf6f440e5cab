/* Decoding a body: what all formats share, and the formats of records that stand behind each other
 * as JSON or as lines.
 *
 * Batches are handed on when the next record might lead past a frame's size, and at the end; a
 * single large record makes a larger one. */
#include "wire/decode_impl.h"

#include "core/hash.h"
#include "core/mem.h"
#include "record/text_line.h"

enum {
    DEFAULTS_COST = 64, /* keys, quotes and offsets of appended fields */
    LEVEL_COST = 32,    /* the same of a line's level */
    SCRATCH_KEPT_MAX = 1 << 20,
    INFLATED_MAX = 64 << 20,
    INFLATE_GUESS = 4, /* how many times larger: reserved before it is known */
};

static void default_init(struct wire_default *f, struct str key)
{
    const char *const *name = alias_names(key);
    f->key = key;
    buf_init(&f->value, SIZE_MAX);
    for (; name && name[f->n_names]; f->n_names++) {
        CHECK(f->n_names < WIRE_ALIAS_NAMES_MAX);
        f->name_hash[f->n_names] = hash64(str_c(name[f->n_names]));
    }
}

struct wire_decoder *wire_decoder_new(const struct json_limits *limits)
{
    struct wire_decoder *d = NEW(struct wire_decoder);
    d->limits = *limits;
    d->reader = json_reader_new(limits);
    d->json = batch_new();
    default_init(&d->defaults[0], STR("service"));
    default_init(&d->defaults[1], STR("host"));
    buf_init(&d->as_json, SIZE_MAX);
    buf_init(&d->inflated, SIZE_MAX);
    buf_init(&d->value, SIZE_MAX);
    buf_init(&d->text, SIZE_MAX);
    d->inflated_max = INFLATED_MAX;
    reservation_init(&d->inflated_reserved, OWNER_INGEST, 0);
    arena_init(&d->arena, 0, NULL);
    return d;
}

void wire_decoder_free(struct wire_decoder *d)
{
    if (!d)
        return;
    json_reader_free(d->reader);
    batch_free(d->json);
    batch_free(d->plain);
    for (unsigned i = 0; i < 2; i++)
        buf_release(&d->defaults[i].value);
    buf_release(&d->as_json);
    buf_release(&d->inflated);
    buf_release(&d->value);
    buf_release(&d->text);
    arena_release(&d->arena);
    mem_free(d);
}

void wire_decoder_defaults(struct wire_decoder *d, struct str service, struct str host)
{
    struct str value[] = {service, host};
    for (unsigned i = 0; i < 2; i++) {
        buf_clear(&d->defaults[i].value);
        buf_put_str(&d->defaults[i].value, value[i]);
    }
    json_reader_defaults(d->reader, service, host);
}

enum err wire_flush(struct wire_decoder *d)
{
    if (batch_rows(d->batch) == 0)
        return OK;
    TRY(d->sink->batch(d->sink->ctx, d->batch));
    batch_clear(d->batch);
    return OK;
}

void wire_admit(struct wire_decoder *d)
{
    const struct wire_sink *sink = d->sink;
    struct str id;
    if (sink->accept_id && (id = batch_last_id(d->batch)).n && !sink->accept_id(sink->ctx, id))
        batch_pop(d->batch);
    else
        d->accepted++;
}

enum err wire_padded(struct wire_decoder *d, struct str s, struct str *ret)
{
    char *to = arena_try_alloc(&d->arena, s.n + JSON_PADDING);
    if (!to)
        return err_set(ERR_NOMEM, "no memory to decode a body");
    if (s.n)
        memcpy(to, s.p, s.n);
    memset(to + s.n, 0, JSON_PADDING);
    *ret = str_of(to, s.n);
    return OK;
}

/* What may be added to a record. */
static size_t record_extra(const struct wire_decoder *d)
{
    return d->defaults[0].value.n + d->defaults[1].value.n + DEFAULTS_COST;
}

enum err wire_make_room(struct wire_decoder *d, size_t bytes)
{
    return batch_full(d->batch, bytes + record_extra(d)) ? wire_flush(d) : OK;
}

void wire_decoder_fields(struct wire_decoder *d, const struct wire_field *fields, uint32_t n)
{
    d->fields = fields;
    d->n_fields = n;
}

void wire_decoder_inflate_max(struct wire_decoder *d, size_t bytes)
{
    d->inflated_max = bytes;
}

enum err wire_inflate_part(struct wire_decoder *d, struct str encoding, struct str bytes,
                           struct str *ret)
{
    struct buf *out = &d->inflated;
    size_t max = d->inflated_max;
    size_t guess = bytes.n > max / INFLATE_GUESS ? max : bytes.n * INFLATE_GUESS;
    buf_clear(out);
    if (guess > d->inflated_reserved.bytes)
        TRY(reservation_grow(&d->inflated_reserved, guess - d->inflated_reserved.bytes));
    out->max = max;
    enum err err = wire_inflate(encoding, bytes, out);
    out->max = SIZE_MAX;
    if (out->cap > d->inflated_reserved.bytes)
        reservation_force(&d->inflated_reserved, out->cap - d->inflated_reserved.bytes);
    TRY(err);
    memset(buf_reserve(out, JSON_PADDING), 0, JSON_PADDING);
    *ret = buf_str(out);
    return OK;
}

/* ---- JSON and lines ---- */

enum err wire_add_json(struct wire_decoder *d, struct str record)
{
    const struct wire_sink *sink = d->sink;
    uint32_t position = d->position++;
    TRY(wire_make_room(d, record.n));
    enum err err = json_read_record(d->reader, record, d->arrival_ns, d->batch);
    if (err == ERR_INVALID || err == ERR_LIMIT) {
        sink->refused(sink->ctx, position, record, err_text());
        return OK;
    }
    TRY(err);
    wire_admit(d);
    return OK;
}

struct line {
    struct str text;
    struct text_line says;
};

static enum err put_line(void *ctx, struct put *p)
{
    const struct line *l = ctx;
    put_text(p, STR("message"), l->text);
    put_text_if(p, STR("level"), l->says.level);
    return OK;
}

static enum err add_text(struct wire_decoder *d, struct str line)
{
    struct line l = {.text = line};
    if (line.n > d->limits.record_bytes) {
        (void)err_set(ERR_LIMIT, "the line has %zu bytes, the limit is %zu", line.n,
                      d->limits.record_bytes);
        wire_refuse(d, line);
        return OK;
    }
    text_line_read(line, d->arrival_ns, &l.says);
    struct wire_record r = {.put = put_line,
                            .ctx = &l,
                            .raw = line,
                            .cost = line.n + LEVEL_COST,
                            .has_time = l.says.has_time,
                            .time_ns = l.says.time_ns};
    return wire_add(d, &r);
}

static enum err add_json(void *ctx, uint32_t position, struct str record)
{
    struct wire_decoder *d = ctx;
    CHECK(position == d->position);
    return wire_add_json(d, record);
}

static struct str without_end(struct str line, bool is_text)
{
    if (line.n && line.p[line.n - 1] == '\r')
        line.n--;
    if (is_text)
        return line;
    while (line.n && (line.p[0] == ' ' || line.p[0] == '\t' || line.p[0] == '\r'))
        line = str_from(line, 1);
    return line;
}

/* The records that are like the one before, of which nothing but their number is to be judged;
 * answers their bytes. */
static size_t add_alike(struct wire_decoder *d, struct str lines)
{
    size_t bytes;
    uint32_t n =
        json_read_alike(d->reader, lines, d->arrival_ns, d->batch, record_extra(d), &bytes);
    d->position += n;
    d->accepted += n;
    return bytes;
}

/* *ret_n: the bytes of the lines before that at which it was halted. */
static enum err each_line(struct wire_decoder *d, struct str body, bool is_text, size_t *ret_n)
{
    const char *begin = body.p;
    d->halted = false;
    while (body.n) {
        *ret_n = (size_t)(body.p - begin);
        const char *newline = memchr(body.p, '\n', body.n);
        size_t n = newline ? (size_t)(newline - body.p) : body.n;
        struct str line = without_end(str_of(body.p, n), is_text);
        body = str_from(body, newline ? n + 1 : n);
        if (line.n)
            TRY(is_text ? add_text(d, line) : wire_add_json(d, line));
        if (d->halted) {
            d->position--;
            return OK;
        }
        if (!is_text)
            body = str_from(body, add_alike(d, body));
    }
    *ret_n = (size_t)(body.p - begin);
    return OK;
}

static enum err decode_json(struct wire_decoder *d, struct str body)
{
    return json_each_record(d->reader, body, add_json, d);
}

static struct str without_mark(struct str body)
{
    return str_starts(body, STR("\xef\xbb\xbf")) ? str_from(body, 3) : body;
}

static enum err json_lines(struct wire_decoder *d, struct str lines, size_t *ret_n)
{
    json_reader_lines(d->reader, lines);
    enum err err = each_line(d, lines, false, ret_n);
    json_reader_lines(d->reader, (struct str){0});
    return err;
}

static enum err decode_ndjson(struct wire_decoder *d, struct str body)
{
    size_t n;
    return json_lines(d, without_mark(body), &n);
}

static enum err decode_text(struct wire_decoder *d, struct str body)
{
    size_t n;
    return each_line(d, without_mark(body), true, &n);
}

/* ---- bodies ---- */

static const struct {
    enum err (*decode)(struct wire_decoder *d, struct str body);
    bool json; /* its records are JSON texts */
} formats[WIRE_FORMAT_COUNT] = {
    [WIRE_JSON] = {decode_json, true},
    [WIRE_NDJSON] = {decode_ndjson, true},
    [WIRE_TEXT] = {decode_text, false},
    [WIRE_SYSLOG] = {wire_decode_syslog, false},
    [WIRE_LOKI] = {wire_decode_loki, false},
    [WIRE_LOKI_JSON] = {wire_decode_loki_json, false},
    [WIRE_OTLP] = {wire_decode_otlp, false},
    [WIRE_OTLP_JSON] = {wire_decode_otlp_json, false},
    [WIRE_HEC] = {wire_decode_hec, false},
    [WIRE_GELF] = {wire_decode_gelf, false},
    [WIRE_FORWARD] = {wire_decode_forward, false},
    [WIRE_KAFKA] = {wire_decode_kafka, false},
    [WIRE_KAFKA_JSON] = {wire_decode_kafka, true},
    [WIRE_SYSLOG_COUNTED] = {wire_decode_syslog_counted, false},
};

static void scratch_trim(struct buf *b)
{
    if (b->cap > SCRATCH_KEPT_MAX)
        buf_release(b);
}

static void body_begin(struct wire_decoder *d, enum wire_format format, int64_t arrival_ns,
                       const struct wire_sink *sink)
{
    bool json = formats[format].json;
    if (!json && !d->plain)
        d->plain = batch_new();
    d->batch = json ? d->json : d->plain;
    d->sink = sink;
    d->arrival_ns = arrival_ns;
    d->position = d->accepted = 0;
    batch_clear(d->batch);
}

static enum err body_end(struct wire_decoder *d, enum err err, uint32_t *ret_records)
{
    if (err == OK)
        err = wire_flush(d);
    arena_reset(&d->arena);
    scratch_trim(&d->as_json);
    scratch_trim(&d->inflated);
    scratch_trim(&d->value);
    scratch_trim(&d->text);
    reservation_release(&d->inflated_reserved);
    TRY(err);
    *ret_records = d->accepted;
    return OK;
}

enum err wire_decode(struct wire_decoder *d, enum wire_format format, struct str body,
                     int64_t arrival_ns, const struct wire_sink *sink, uint32_t *ret_records)
{
    body_begin(d, format, arrival_ns, sink);
    return body_end(d, formats[format].decode(d, body), ret_records);
}

void wire_lines_begin(struct wire_decoder *d, enum wire_format format, int64_t arrival_ns,
                      const struct wire_sink *sink)
{
    CHECK(format == WIRE_NDJSON || format == WIRE_TEXT);
    body_begin(d, format, arrival_ns, sink);
    d->text_lines = format == WIRE_TEXT;
    d->at_start = true;
}

enum err wire_lines(struct wire_decoder *d, struct str lines, size_t *ret_n)
{
    struct str rest = d->at_start ? without_mark(lines) : lines;
    size_t n = 0;
    TRY(d->text_lines ? each_line(d, rest, true, &n) : json_lines(d, rest, &n));
    d->at_start = d->at_start && !n;
    *ret_n = n ? lines.n - rest.n + n : 0;
    return OK;
}

void wire_lines_skip(struct wire_decoder *d, uint32_t records)
{
    d->position = records;
    d->at_start = false;
}

uint32_t wire_lines_position(const struct wire_decoder *d)
{
    return d->position;
}

void wire_lines_halt(struct wire_decoder *d)
{
    d->halted = true;
}

enum err wire_lines_end(struct wire_decoder *d, uint32_t *ret_records)
{
    return body_end(d, OK, ret_records);
}
