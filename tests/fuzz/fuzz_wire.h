/* What the fuzz targets of decoders share: a sink that encodes each batch, so that whatever was
 * decoded must be a batch that a frame can hold. */
#ifndef WEIR_TESTS_FUZZ_WIRE_H
#define WEIR_TESTS_FUZZ_WIRE_H

#include "core/mem.h"
#include "record/frame.h"
#include "wire/decode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct fuzz_sink {
    struct buf frame;
    uint32_t accepted, refused;
};

static inline enum err fuzz_batch(void *ctx, struct batch *b)
{
    struct fuzz_sink *s = ctx;
    struct frame_info info = {.org = STR("o"), .stream = STR("s"), .parts = 1}, back;
    struct arena arena;
    struct rows rows;
    buf_clear(&s->frame);
    CHECK(frame_encode(b, &info, &s->frame) == OK);
    arena_init(&arena, 0, NULL);
    CHECK(frame_open(buf_str(&s->frame), 0, 0, &arena, &back, &rows) == OK);
    CHECK(rows.n == batch_rows(b));
    s->accepted += rows.n;
    arena_release(&arena);
    return OK;
}

static inline void fuzz_refused(void *ctx, uint32_t position, struct str raw, const char *reason)
{
    struct fuzz_sink *s = ctx;
    CHECK(reason && *reason);
    s->refused++;
}

/* Decodes with small limits; the same bytes must count the same twice. */
static inline void fuzz_decode(enum wire_format format, struct str body)
{
    static const struct json_limits limits = {.record_bytes = 64 << 10, .nesting = 16};
    static struct wire_decoder *d;
    struct fuzz_sink sink = {0};
    struct wire_sink w = {&sink, fuzz_batch, fuzz_refused, NULL};
    char *padded = mem_zalloc(body.n + JSON_PADDING);
    uint32_t records = 0;
    if (!d) {
        d = wire_decoder_new(&limits);
        wire_decoder_defaults(d, STR("svc"), STR("h"));
    }
    if (body.n)
        memcpy(padded, body.p, body.n);
    buf_init(&sink.frame, SIZE_MAX);
    if (wire_decode(d, format, str_of(padded, body.n), 1739620800000000000LL, &w, &records) == OK)
        CHECK(records == sink.accepted);
    buf_release(&sink.frame);
    mem_free(padded);
}

#endif
