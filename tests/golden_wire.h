/* What tests of decoders share: a sink that writes records as JSON lines, each with its time before
 * it where that was asked for, and refusals as "POSITION: REASON". */
#ifndef WEIR_TESTS_GOLDEN_WIRE_H
#define WEIR_TESTS_GOLDEN_WIRE_H

#include "test.h"

#include "core/io.h"
#include "record/timestamp.h"
#include "wire/decode.h"

#define GOLDEN_ARRIVAL 1739620800000000000LL /* 2025-02-15T12:00:00Z */

struct golden {
    struct buf rows, refused;
};

static inline enum err golden_batch(void *ctx, struct batch *b)
{
    struct golden *g = ctx;
    struct arena arena;
    struct rows rows;
    const int64_t *time;
    arena_init(&arena, 0, NULL);
    batch_view(b, &arena, &rows);
    assert_ok(rows_time(&rows, &time));
    for (uint32_t i = 0; i < rows.n; i++) {
        char text[TIME_TEXT_MAX];
        struct json_rows what = {&rows, &i, 1, &arena, NULL, 0};
        buf_put(&g->rows, text, time_rfc3339(time[i], text));
        buf_put_byte(&g->rows, ' ');
        assert_ok(json_put_rows(&what, &g->rows, NULL));
        buf_put_byte(&g->rows, '\n');
    }
    arena_release(&arena);
    return OK;
}

static inline void golden_refused(void *ctx, uint32_t position, struct str raw, const char *reason)
{
    struct golden *g = ctx;
    buf_printf(&g->refused, "%u: %s\n", position, reason);
}

/* Decodes; what comes out is appended to the buffers. */
static inline enum err golden_decode(struct golden *g, enum wire_format format, struct str body,
                                     uint32_t *ret_records)
{
    static const struct json_limits limits = {.record_bytes = 1 << 20, .nesting = 32};
    struct wire_decoder *d = wire_decoder_new(&limits);
    struct wire_sink sink = {g, golden_batch, golden_refused, NULL};
    struct buf padded;
    buf_init(&padded, SIZE_MAX);
    buf_put_str(&padded, body);
    memset(buf_reserve(&padded, JSON_PADDING), 0, JSON_PADDING);
    enum err err = wire_decode(d, format, buf_str(&padded), GOLDEN_ARRIVAL, &sink, ret_records);
    buf_release(&padded);
    wire_decoder_free(d);
    return err;
}

static inline void golden_init(struct golden *g)
{
    buf_init(&g->rows, SIZE_MAX);
    buf_init(&g->refused, SIZE_MAX);
}

static inline void golden_release(struct golden *g)
{
    buf_release(&g->rows);
    buf_release(&g->refused);
}

/* tests/golden/wire/NAME.in decodes to NAME.out: the records, a line "-- refused" and the refusals
 * where there are some, "-- error" and its text where the body as a whole is refused. With
 * GOLDEN_WRITE set the file is written instead. */
static inline void golden_file(const char *name, enum wire_format format)
{
    struct golden g;
    struct buf in, want;
    char path[256];
    uint32_t records;
    golden_init(&g);
    snprintf(path, sizeof(path), "tests/golden/wire/%s.in", name);
    assert_ok(io_read_file(path, 64 << 20, &in));
    enum err err = golden_decode(&g, format, buf_str(&in), &records);
    if (g.refused.n) {
        buf_put_c(&g.rows, "-- refused\n");
        buf_put_str(&g.rows, buf_str(&g.refused));
    }
    if (err != OK)
        buf_printf(&g.rows, "-- error\n%s\n", err_text());
    snprintf(path, sizeof(path), "tests/golden/wire/%s.out", name);
    if (getenv("GOLDEN_WRITE")) {
        assert_ok(io_write_file(path, buf_str(&g.rows)));
    } else {
        assert_ok(io_read_file(path, 64 << 20, &want));
        if (!str_eq(buf_str(&g.rows), buf_str(&want)))
            fail_msg("%s: got\n%.*s\nwanted\n%.*s", path, STR_ARG(buf_str(&g.rows)),
                     STR_ARG(buf_str(&want)));
        buf_release(&want);
    }
    buf_release(&in);
    golden_release(&g);
}

#endif
