/* Any bytes as a body in each format and each content encoding: what is accepted and refused adds
 * up, and nothing larger than allowed comes out. The first byte chooses the encoding. Times and
 * times of queries are tried on the first line. */
#include "record/timestamp.h"
#include "wire/decode.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
    uint32_t rows, refused, last;
};

static enum err on_batch(void *ctx, struct batch *b)
{
    ((struct seen *)ctx)->rows += batch_rows(b);
    return OK;
}

static void on_refused(void *ctx, uint32_t position, struct str raw, const char *reason)
{
    struct seen *seen = ctx;
    CHECK(seen->refused == 0 || position > seen->last);
    CHECK(reason[0]);
    seen->last = position;
    seen->refused++;
}

static void decode(struct str body)
{
    struct wire_decoder *d =
        wire_decoder_new(&(struct json_limits){.record_bytes = 4096, .nesting = 16});
    wire_decoder_defaults(d, STR("s"), STR("h"));
    for (int format = WIRE_JSON; format <= WIRE_TEXT; format++) {
        struct seen seen = {0};
        struct wire_sink sink = {.ctx = &seen, .batch = on_batch, .refused = on_refused};
        uint32_t records = 0;
        enum err err = wire_decode(d, (enum wire_format)format, body, 0, &sink, &records);
        CHECK(err != OK || records == seen.rows);
        CHECK(err == OK || format == WIRE_JSON);
    }
    wire_decoder_free(d);
}

static void times(struct str line)
{
    struct time_form form;
    int64_t ns, end;
    char text[TIME_TEXT_MAX];
    if (time_parse(line, 0, &form, &ns)) {
        size_t n = time_format(&form, ns, text);
        CHECK(n <= sizeof(text));
        CHECK(!time_form_exact(&form) || str_eq(str_of(text, n), line));
    }
    if (time_parse_query(line, 0, &ns, &end))
        CHECK(end >= ns);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const encodings[] = {"", "gzip", "deflate", "zstd", "lz4", "snappy"};
    if (size == 0)
        return 0;
    struct buf plain;
    buf_init(&plain, 64 << 10);
    struct str body = str_of((const char *)data + 1, size - 1);
    if (wire_inflate(str_c(encodings[data[0] % 6]), body, &plain) == OK) {
        CHECK(plain.n <= 64 << 10);
        plain.max = SIZE_MAX;
        memset(buf_reserve(&plain, JSON_PADDING), '}', JSON_PADDING);
        decode(buf_str(&plain));
        times(str_of(plain.p, str_find_byte(buf_str(&plain), '\n', 0)));
    } else {
        CHECK(plain.n == 0);
    }
    buf_release(&plain);
    return 0;
}
