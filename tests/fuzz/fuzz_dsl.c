/* Any JSON as the body of Elasticsearch's _search: it is read, or refused with its place. What was
 * read as a filter is written out, parses as the same tree again and is evaluated on a few records;
 * the groups of its aggregations are folded and written, and what was written is JSON. */
#include "core/mem.h"
#include "query/agg.h"
#include "query/dsl_search.h"
#include "record/bitmap.h"
#include "record/json.h"

#define NOW_NS 1739620800000000000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ROWS = 24 };

static struct batch *records(void)
{
    static struct batch *batch;
    if (batch)
        return batch;
    batch = batch_new();
    for (int i = 0; i < ROWS; i++) {
        batch_begin(batch);
        batch_int(batch, STR("_time"), NOW_NS / 1000000 + i * 1000);
        batch_text(batch, STR("message"), LANE_STR, i % 2 ? STR("a b timeout") : STR("c"));
        batch_int(batch, STR("n"), i);
        batch_bool(batch, STR("ok"), i & 1);
        if (i % 3)
            batch_text(batch, STR("a"), LANE_STR, i % 5 ? STR("x") : STR("12"));
        if (i % 4 == 0)
            batch_text(batch, STR("tags"), LANE_ARR, STR("[\"x\",1,null]"));
        batch_end(batch, NOW_NS + i, STR("{}"));
    }
    return batch;
}

static void check_filter(const struct filter *f, struct arena *a)
{
    struct buf text;
    struct rows rows;
    const struct filter *again;
    struct filter_options o = {.now_ns = NOW_NS};
    buf_init(&text, SIZE_MAX);
    filter_write(f, &text);
    /* Trees may be deeper and longer than a text may be. */
    enum err parsed = text.n < 1000 ? filter_parse(buf_str(&text), &o, a, &again, NULL, NULL) : OK;
    CHECK(parsed == OK || parsed == ERR_INVALID);
    buf_release(&text);
    batch_view(records(), a, &rows);
    enum err err = filter_eval(f, &rows, a, bitmap_new(a, rows.n));
    CHECK(err == OK || err == ERR_LIMIT);
}

static void check_aggs(struct dsl_search *s, struct arena *a)
{
    struct find f;
    struct rows rows;
    struct buf out;
    uint32_t row[ROWS];
    enum err err = OK;
    find_init(&f);
    dsl_groups(s->aggs, &f);
    buf_init(&out, SIZE_MAX);
    batch_view(records(), a, &rows);
    for (uint32_t i = 0; i < f.n_groups; i++) {
        struct account memory = {.max = 4 << 20};
        struct agg_table *t = agg_new(f.group[i].stats, &memory);
        uint64_t *bits = bitmap_new(a, rows.n);
        uint32_t n = ROWS;
        for (uint32_t k = 0; k < ROWS; k++)
            row[k] = k;
        if (err == OK && f.group[i].filter) {
            err = filter_eval(f.group[i].filter, &rows, a, bits);
            n = err == OK ? bitmap_list(bits, rows.n, row) : 0;
        }
        if (err == OK && n)
            err = agg_add(t, &rows, row, n, a);
        f.group[i].result = batch_new();
        if (err == OK)
            err = agg_result(t, f.group[i].result);
        agg_free(t);
    }
    if (err == OK && s->aggs)
        err = dsl_put_aggs(s->aggs, &f, a, &out);
    if (err == OK && s->aggs) {
        json_t *json = json_loadb(out.p, out.n, 0, NULL);
        CHECK(json);
        json_decref(json);
    }
    buf_release(&out);
    find_release(&f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct dsl d;
    struct dsl_search s;
    json_t *body = json_loadb((const char *)data, size, 0, NULL);
    if (!body)
        return 0;
    arena_init(&arena, 0, NULL);
    dsl_init(&d, &arena, NOW_NS);
    enum err err = dsl_search(&d, body, &s);
    CHECK(err == OK || err == ERR_INVALID);
    if (err == OK) {
        CHECK(s.filter && s.from + s.size <= DSL_SIZE_MAX && s.keys.n <= DSL_SORTS_MAX);
        check_filter(s.filter, &arena);
        check_aggs(&s, &arena);
    } else {
        CHECK(err_text()[0]);
    }
    json_decref(body);
    arena_release(&arena);
    return 0;
}
