/* The filter language: any bytes parse or are refused with a place inside them; what was parsed,
 * written and parsed again is written the same; and it evaluates on a few records of every lane. */
#include "core/err.h"
#include "core/mem.h"
#include "filter/filter.h"
#include "record/batch.h"
#include "record/bitmap.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void add_record(struct batch *b, int i)
{
    batch_begin(b);
    batch_text(b, STR("message"), LANE_STR, i & 1 ? STR("Connection refused: h7") : STR("ошибка"));
    batch_int(b, STR("n"), i * 7);
    batch_dec(b, STR("d"), i * 15, 1);
    batch_dbl(b, STR("x"), i / 3.0);
    batch_bool(b, STR("ok"), i & 1);
    batch_empty(b, STR("none"), LANE_NULL);
    if (i & 2)
        batch_text(b, STR("list"), LANE_ARR, STR("[1,\"two\",{\"k\":3},true]"));
    else
        batch_text(b, STR("o"), LANE_JSON, STR("{\"a\":{\"b\":\"c\"},\"n\":1e2,\"e\":{}}"));
    batch_end(b, 1739620800000000000 + i, STR("{}"));
}

static void evaluate(const struct filter *f, struct arena *arena)
{
    static struct batch *batch;
    if (!batch) {
        batch = batch_new();
        for (int i = 0; i < 70; i++)
            add_record(batch, i);
    }
    struct rows rows;
    uint64_t bits[2] = {0};
    batch_view(batch, arena, &rows);
    enum err err = filter_eval(f, &rows, arena, bits);
    CHECK(err == OK || err == ERR_LIMIT);
    CHECK(err != OK || filter_may_match(f, &rows) || !bitmap_any(bits, rows.n));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    struct filter_options o = {
        .now_ns = 1739620800000000000, .or_default = data[0] & 1, .stop_at_pipe = data[0] & 2};
    struct str text = {(const char *)data + 1, size - 1};
    struct arena arena;
    const struct filter *f, *again;
    size_t end = 0, at = 0;
    arena_init(&arena, 0, NULL);
    if (filter_parse(text, &o, &arena, &f, &end, &at) == OK) {
        struct buf one, two;
        buf_init(&one, SIZE_MAX);
        buf_init(&two, SIZE_MAX);
        CHECK(end <= text.n);
        filter_write(f, &one);
        struct filter_options plain = {.now_ns = o.now_ns};
        if (one.n <= 65536 &&
            filter_parse(buf_str(&one), &plain, &arena, &again, NULL, NULL) == OK) {
            filter_write(again, &two);
            CHECK(str_eq(buf_str(&one), buf_str(&two)));
        }
        evaluate(f, &arena);
        buf_release(&one);
        buf_release(&two);
    } else {
        CHECK(at <= text.n);
    }
    arena_release(&arena);
    return 0;
}
