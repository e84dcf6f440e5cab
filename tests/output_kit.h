/* For tests of outputs: a bulk made of JSON records, and an output opened by its URL. Also used by
 * fuzz targets, so it has no assertions of cmocka. */
#ifndef WEIR_TESTS_OUTPUT_KIT_H
#define WEIR_TESTS_OUTPUT_KIT_H

#include "core/mem.h"
#include "output/outputs.h"
#include "output/post.h"
#include "record/frame.h"
#include "record/json.h"

#define KIT_ARRIVAL 1739620800000000000LL /* 2025-02-15T12:00:00Z */
enum { KIT_ITEMS_MAX = 8 };

struct output_kit {
    struct output_bulk bulk;
    struct output_item item[KIT_ITEMS_MAX];
    struct buf frame[KIT_ITEMS_MAX];
};

/* An item more, of the JSON lines; empty lines are passed over. */
static inline void kit_add(struct output_kit *k, struct str lines)
{
    static const struct json_limits limits = {.record_bytes = 1 << 20, .nesting = 128};
    struct json_reader *reader = json_reader_new(&limits);
    struct batch *batch = batch_new();
    struct frame_info info = {
        .org = STR("default"), .stream = STR("shop"), .arrival_ns = KIT_ARRIVAL, .parts = 1};
    struct buf padded;
    struct str line;
    uint32_t n = k->bulk.n++;
    CHECK(n < KIT_ITEMS_MAX);
    buf_init(&padded, SIZE_MAX);
    while (str_split(&lines, '\n', &line)) {
        if (!line.n)
            continue;
        buf_clear(&padded);
        buf_put_str(&padded, line);
        memset(buf_reserve(&padded, JSON_PADDING), 0, JSON_PADDING);
        CHECK(json_read_record(reader, buf_str(&padded), KIT_ARRIVAL, batch) == OK);
    }
    buf_init(&k->frame[n], SIZE_MAX);
    CHECK(frame_encode(batch, &info, &k->frame[n]) == OK);
    k->item[n] = (struct output_item){100 + n, buf_str(&k->frame[n]), batch_rows(batch)};
    k->bulk.item = k->item;
    k->bulk.rows += batch_rows(batch);
    k->bulk.bytes += k->frame[n].n;
    k->bulk.producer = 0x1111;
    k->bulk.epoch = 0x2222;
    buf_release(&padded);
    batch_free(batch);
    json_reader_free(reader);
}

static inline void kit_release(struct output_kit *k)
{
    for (uint32_t i = 0; i < k->bulk.n; i++)
        buf_release(&k->frame[i]);
}

static inline struct output *kit_open(const char *url)
{
    struct output *o = NULL;
    CHECK(output_open(output_types, str_c(url), &o) == OK);
    return o;
}

static inline struct post *kit_post(struct output *o)
{
    return ((struct post_output *)o)->post;
}

#endif
