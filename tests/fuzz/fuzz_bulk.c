/* Any bytes as a _bulk body: items are cut up and decoded or refused, each has an outcome, and the
 * outcomes add up to what the sink saw. Decoding again gives the same. */
#include "wire/decode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
    uint32_t rows, refused, duplicates, streams, asked;
};

static enum err on_batch(void *ctx, struct batch *b)
{
    ((struct seen *)ctx)->rows += batch_rows(b);
    return OK;
}

static void on_refused(void *ctx, uint32_t position, struct str raw, const char *reason)
{
    CHECK(reason[0]);
    ((struct seen *)ctx)->refused++;
}

/* Every third id is known. */
static bool accept_id(void *ctx, struct str id)
{
    struct seen *seen = ctx;
    CHECK(id.n);
    bool known = seen->asked++ % 3 == 2;
    seen->duplicates += known;
    return !known;
}

static enum err on_stream(void *ctx, struct str name)
{
    ((struct seen *)ctx)->streams++;
    return OK;
}

static void check_items(const struct bulk *bulk, const struct seen *seen, uint32_t records)
{
    uint32_t of[BULK_IMPOSSIBLE + 1] = {0}, row = 0;
    for (uint32_t i = 0; i < bulk->n; i++) {
        CHECK(bulk->order[i] < bulk->n);
        const struct bulk_item *item = &bulk->item[bulk->order[i]];
        CHECK(item->stream < bulk->n_streams && item->op <= BULK_DELETE);
        CHECK(item->outcome < BULK_REFUSED || item->reason);
        CHECK(item->outcome != BULK_CREATED || item->row == row++);
        of[item->outcome]++;
    }
    CHECK(of[BULK_WAITING] == 0 && records == seen->rows);
    CHECK(of[BULK_CREATED] == seen->rows && of[BULK_REFUSED] == seen->refused &&
          of[BULK_DUPLICATE] == seen->duplicates && seen->streams <= bulk->n_streams);
}

static void decode(struct wire_decoder *d, struct bulk *bulk)
{
    struct seen seen = {0};
    struct wire_sink sink = {&seen, on_batch, on_refused, accept_id, on_stream};
    uint32_t records = 0;
    CHECK(wire_decode_bulk(d, bulk, 0, &sink, &records) == OK);
    check_items(bulk, &seen, records);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct wire_decoder *d =
        wire_decoder_new(&(struct json_limits){.record_bytes = 4096, .nesting = 16});
    struct arena arena;
    struct buf body;
    struct bulk bulk;
    arena_init(&arena, 0, NULL);
    buf_init(&body, SIZE_MAX);
    buf_put(&body, data, size);
    memset(buf_reserve(&body, JSON_PADDING), '}', JSON_PADDING);
    if (bulk_parse(wire_decoder_json(d), buf_str(&body), STR("logs"), &arena, &bulk) == OK) {
        decode(d, &bulk);
        decode(d, &bulk);
    }
    bulk_one(BULK_CREATE, STR("logs"), STR("id"), buf_str(&body), &arena, &bulk);
    decode(d, &bulk);
    buf_release(&body);
    arena_release(&arena);
    wire_decoder_free(d);
    return 0;
}
