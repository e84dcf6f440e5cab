/* Any HTTP endpoint that takes JSON: http+ndjson:// and https+ndjson:// post a record a line,
 * http+json:// and https+json:// an array. The URL's path is that of the endpoint.
 *
 * Any 2xx says that the whole body was taken. Every body has an Idempotency-Key made of sender,
 * sequence and place of its first record and of its length: an endpoint that heeds it takes a body
 * sent again once; at others it is at least once. _time=NAME: the record gets its time (RFC 3339)
 * as a member of that name. */
#include "core/clock.h"
#include "core/hash.h"
#include "core/mem.h"
#include "output/outputs.h"
#include "output/post.h"
#include "output/text.h"
#include "record/json.h"
#include "record/timestamp.h"

#include <inttypes.h>
#include <stdio.h>

struct lines_output {
    struct post_output base;
    char *time;                          /* the member's name; NULL: none */
    uint64_t producer, epoch, *sequence; /* of the bulk, and of each item */
    size_t cap;
};

static void begin(void *ctx, const struct output_bulk *bulk)
{
    struct lines_output *o = ctx;
    o->producer = bulk->producer;
    o->epoch = bulk->epoch;
    ARRAY_GROW(o->sequence, o->cap, bulk->n);
    for (uint32_t i = 0; i < bulk->n; i++)
        o->sequence[i] = bulk->item[i].sequence;
}

static enum err put_row(void *ctx, const struct output_row *row, struct buf *out, uint32_t *group)
{
    const struct lines_output *o = ctx;
    char time[TIME_TEXT_MAX];
    if (!o->time || text_has_member(row->json, str_c(o->time))) {
        buf_put_str(out, row->json);
        return OK;
    }
    buf_put_byte(out, '{');
    json_put_string(out, str_c(o->time));
    buf_put_c(out, ":\"");
    buf_put(out, time, time_rfc3339(row->time_ns, time));
    buf_put_c(out, row->json.n > 2 ? "\"," : "\"");
    buf_put_str(out, str_from(row->json, 1));
    return OK;
}

static void put_lines(void *ctx, const struct post_part *part, struct buf *out)
{
    for (uint32_t i = 0; i < part->n; i++) {
        buf_put_str(out, post_bytes(part, i));
        buf_put_byte(out, '\n');
    }
}

static void put_array(void *ctx, const struct post_part *part, struct buf *out)
{
    for (uint32_t i = 0; i < part->n; i++) {
        buf_put_byte(out, i ? ',' : '[');
        buf_put_str(out, post_bytes(part, i));
    }
    buf_put_byte(out, ']');
}

static void put_key(void *ctx, struct post *p, const struct post_part *part)
{
    const struct lines_output *o = ctx;
    const struct post_piece *first = &part->piece[part->at[0]];
    const uint64_t name[] = {o->producer, o->epoch,   o->sequence[first->item],
                             first->item, first->row, part->n};
    struct hash128 h = hash128(str_of((const char *)name, sizeof(name)));
    char text[40];
    snprintf(text, sizeof(text), "%016" PRIx64 "%016" PRIx64, h.hi, h.lo);
    post_header(p, "Idempotency-Key", text);
}

static const struct post_kind ndjson = {.content_type = "application/x-ndjson",
                                        .scheme_tls = true,
                                        .keyed = true,
                                        .begin = begin,
                                        .put_row = put_row,
                                        .put_body = put_lines,
                                        .put_headers = put_key};
static const struct post_kind json = {.content_type = "application/json",
                                      .scheme_tls = true,
                                      .keyed = true,
                                      .begin = begin,
                                      .put_row = put_row,
                                      .put_body = put_array,
                                      .put_headers = put_key};

static enum err lines_open(const struct url *url, struct output **ret)
{
    static const char *const known[] = {POST_PARAMS, "_time", NULL};
    TRY(url_check_params(url, known));
    bool lines = str_ends(url->scheme, STR("+ndjson"));
    struct str time = url_get(url, "_time");
    struct lines_output *o = NEW(struct lines_output);
    enum err err = post_new(url, lines ? &ndjson : &json, o, &o->base.post);
    if (err != OK) {
        mem_free(o);
        return err;
    }
    o->time = time.n ? mem_strdup(time) : NULL;
    o->base.base.type = &output_http_lines;
    *ret = &o->base.base;
    return OK;
}

static void lines_close(struct output *base)
{
    struct lines_output *o = (struct lines_output *)base;
    post_free(o->base.post);
    mem_free(o->time);
    mem_free(o->sequence);
    mem_free(o);
}

static const char *const schemes[] = {"http+ndjson", "https+ndjson", "http+json", "https+json",
                                      NULL};
const struct output_type output_http_lines = {
    .name = "http_lines",
    .schemes = schemes,
    .gather = {.rows = 1000, .bytes = 5 << 20, .wait_ns = 5 * NS_PER_S},
    .parallel_max = OUTPUT_PARALLEL_MAX,
    .open = lines_open,
    .send = post_send,
    .close = lines_close,
};
