/* Bodies to batches: lines of JSON, lines of text, and JSON that holds an array of records.
 *
 * All three cut the body into records and give each to one place, which makes room, has it judged,
 * asks about its id and counts it. A batch goes to the sink before the record that might lead past
 * a frame's size, so that only a single large record makes a larger one.
 *
 * Lines of text have a batch of their own: they have one shape (and those with defaults), so the
 * limits of a batch are never met and no JSON text of theirs is needed, while a batch that lines of
 * JSON have filled with shapes might ask for it. */
#include "wire/decode.h"

#include "core/mem.h"

enum { DEFAULTS_COST = 64 }; /* keys, quotes and offsets of appended fields */

struct wire_decoder {
    struct json_limits limits;
    struct json_reader *reader;
    struct batch *json, *text; /* text: made when first needed */
    struct buf service, host;
    /* The body being decoded. */
    const struct wire_sink *sink;
    struct batch *batch;
    int64_t arrival_ns;
    uint32_t position, accepted;
};

struct wire_decoder *wire_decoder_new(const struct json_limits *limits)
{
    struct wire_decoder *d = NEW(struct wire_decoder);
    d->limits = *limits;
    d->reader = json_reader_new(limits);
    d->json = batch_new();
    buf_init(&d->service, SIZE_MAX);
    buf_init(&d->host, SIZE_MAX);
    return d;
}

void wire_decoder_free(struct wire_decoder *d)
{
    if (!d)
        return;
    json_reader_free(d->reader);
    batch_free(d->json);
    batch_free(d->text);
    buf_release(&d->service);
    buf_release(&d->host);
    mem_free(d);
}

void wire_decoder_defaults(struct wire_decoder *d, struct str service, struct str host)
{
    buf_clear(&d->service);
    buf_clear(&d->host);
    buf_put_str(&d->service, service);
    buf_put_str(&d->host, host);
    json_reader_defaults(d->reader, service, host);
}

static enum err flush(struct wire_decoder *d)
{
    if (batch_rows(d->batch) == 0)
        return OK;
    TRY(d->sink->batch(d->sink->ctx, d->batch));
    batch_clear(d->batch);
    return OK;
}

static enum err read_text(struct wire_decoder *d, struct str line)
{
    struct batch *b = d->batch;
    if (line.n > d->limits.record_bytes)
        return err_set(ERR_LIMIT, "the line has %zu bytes, the limit is %zu", line.n,
                       d->limits.record_bytes);
    batch_begin(b);
    batch_text(b, STR("message"), LANE_STR, line);
    if (d->service.n)
        batch_text(b, STR("service"), LANE_STR, buf_str(&d->service));
    if (d->host.n)
        batch_text(b, STR("host"), LANE_STR, buf_str(&d->host));
    batch_end(b, d->arrival_ns, line);
    return OK;
}

/* One record of the body: into the batch, or refused. */
static inline enum err add_record(struct wire_decoder *d, bool is_text, struct str record)
{
    const struct wire_sink *sink = d->sink;
    uint32_t position = d->position++;
    if (batch_full(d->batch, record.n + d->service.n + d->host.n + DEFAULTS_COST))
        TRY(flush(d));
    enum err err = is_text ? read_text(d, record)
                           : json_read_record(d->reader, record, d->arrival_ns, d->batch);
    if (err == ERR_INVALID || err == ERR_LIMIT) {
        sink->refused(sink->ctx, position, record, err_text());
        return OK;
    }
    TRY(err);
    struct str id;
    if (sink->accept_id && (id = batch_last_id(d->batch)).n && !sink->accept_id(sink->ctx, id))
        batch_pop(d->batch);
    else
        d->accepted++;
    return OK;
}

static enum err add_json(void *ctx, uint32_t position, struct str record)
{
    struct wire_decoder *d = ctx;
    CHECK(position == d->position);
    return add_record(d, false, record);
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

static enum err each_line(struct wire_decoder *d, bool is_text, struct str body)
{
    if (str_starts(body, STR("\xef\xbb\xbf")))
        body = str_from(body, 3); /* a byte order mark */
    while (body.n) {
        const char *newline = memchr(body.p, '\n', body.n);
        size_t n = newline ? (size_t)(newline - body.p) : body.n;
        struct str line = without_end(str_of(body.p, n), is_text);
        body = str_from(body, newline ? n + 1 : n);
        if (line.n)
            TRY(add_record(d, is_text, line));
    }
    return OK;
}

enum err wire_decode(struct wire_decoder *d, enum wire_format format, struct str body,
                     int64_t arrival_ns, const struct wire_sink *sink, uint32_t *ret_records)
{
    bool is_text = format == WIRE_TEXT;
    if (is_text && !d->text)
        d->text = batch_new();
    d->batch = is_text ? d->text : d->json;
    d->sink = sink;
    d->arrival_ns = arrival_ns;
    d->position = d->accepted = 0;
    batch_clear(d->batch);
    if (format == WIRE_JSON)
        TRY(json_each_record(d->reader, body, add_json, d));
    else
        TRY(each_line(d, is_text, body));
    TRY(flush(d));
    *ret_records = d->accepted;
    return OK;
}
