/* The query language, filter and pipes: any bytes parse or are refused with a place inside them,
 * and what was parsed keeps its limits. Its stats run over a few records of every lane. */
#include "core/err.h"
#include "core/governor.h"
#include "core/mem.h"
#include "query/chart.h"
#include "query/steps.h"
#include "record/batch.h"

#define NOW_NS 1739620800000000000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ROWS = 40 };

static void add_record(struct batch *b, int i)
{
    batch_begin(b);
    batch_text(b, STR("service"), LANE_STR, i % 3 ? STR("pay") : STR("cart"));
    batch_int(b, STR("n"), i * 7);
    batch_dec(b, STR("d"), i * 15, 1);
    batch_dbl(b, STR("x"), i / 3.0);
    batch_bool(b, STR("ok"), i & 1);
    if (i & 2)
        batch_text(b, STR("list"), LANE_ARR, STR("[1, \"two\\n\",{\"k\":3},[4],true,null,-0]"));
    if (i & 4)
        batch_text(b, STR("n"), LANE_NUM, STR("1e400"));
    batch_end(b, NOW_NS + i, STR("{}"));
}

static struct batch *records(void)
{
    static struct batch *batch;
    if (!batch) {
        batch = batch_new();
        for (int i = 0; i < ROWS; i++)
            add_record(batch, i);
    }
    return batch;
}

static void aggregate(const struct pipe *pipe, struct arena *arena)
{
    struct rows rows;
    pipe = chart_settle(pipe, NOW_NS, NOW_NS + ROWS, arena);
    struct batch *out = batch_new();
    struct account memory = {.max = 2 << 20};
    struct agg_table *one = agg_new(pipe, &memory), *two = agg_new(pipe, &memory);
    uint32_t row[ROWS];
    for (uint32_t i = 0; i < ROWS; i++)
        row[i] = i;
    batch_view(records(), arena, &rows);
    enum err err = OK;
    TRY_OUT(agg_add(one, &rows, row, ROWS / 2, arena));
    TRY_OUT(agg_add(two, &rows, row + ROWS / 2, ROWS / 2, arena));
    TRY_OUT(agg_merge(one, two));
    TRY_OUT(pipe->chart ? chart_result(one, INT64_MIN, INT64_MAX, out) : agg_result(one, out));
    CHECK(pipe->n_by || batch_rows(out) == 1);
out:
    CHECK(err == OK || err == ERR_NOMEM || err == ERR_LIMIT);
    agg_free(one);
    agg_free(two);
    batch_free(out);
}

/* A step over all records: what comes of it is rows that can be written out. */
static void step(const struct pipe *pipe, struct arena *arena)
{
    struct rows rows;
    uint32_t row[ROWS];
    struct step_rows s = {.rows = &rows, .row = row, .n = ROWS};
    for (uint32_t i = 0; i < ROWS; i++)
        row[i] = i;
    batch_view(records(), arena, &rows);
    enum err err = steps_run(&pipe, 1, &s, arena);
    CHECK(err == OK || err == ERR_LIMIT);
    if (err != OK || !s.n)
        return;
    struct batch *copy = batch_new();
    CHECK(batch_append_rows(copy, s.rows, s.row, s.n) == OK && batch_rows(copy) == s.n);
    batch_free(copy);
}

static void check_pipe(const struct pipe *p, struct arena *arena)
{
    switch (p->kind) {
    case PIPE_STATS:
        CHECK(p->n_aggs >= 1 && p->n_aggs <= AGGS_MAX && p->n_by <= BY_MAX);
        CHECK(!p->chart || (p->n_by == 1u + p->chart->split && p->by[p->n_by - 1].bin_time));
        for (uint32_t i = 0; i < p->n_aggs; i++)
            CHECK(p->agg[i].name.n && p->agg[i].quantile >= 0 && p->agg[i].quantile <= 1);
        aggregate(p, arena);
        break;
    case PIPE_WHERE:
    case PIPE_EXTRACT:
    case PIPE_UNNEST:
        step(p, arena);
        break;
    case PIPE_DEDUP:
        CHECK(p->n_by >= 1 && p->n_by <= BY_MAX && p->limit >= 1);
        break;
    case PIPE_SORT:
        CHECK(p->n_keys >= 1 && p->n_keys <= 1 + BY_MAX);
        break;
    case PIPE_FIELDS:
        CHECK(p->n_fields >= 1);
        break;
    case PIPE_LIMIT:
    case PIPE_KIND_COUNT:
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = {(const char *)data, size};
    struct filter_options options = {.now_ns = NOW_NS, .or_default = size & 1};
    struct query_tree tree;
    struct arena arena;
    size_t at = 0;
    arena_init(&arena, 0, NULL);
    if (query_parse(text, &options, &arena, &tree, &at) == OK) {
        CHECK(tree.filter && tree.n_pipes <= PIPES_MAX + PIPE_EXPANDS_MAX);
        for (uint32_t i = 0; i < tree.n_pipes; i++)
            check_pipe(&tree.pipe[i], &arena);
    } else {
        CHECK(at <= size);
    }
    arena_release(&arena);
    return 0;
}
