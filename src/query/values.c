/* The values of a field: groups of an aggregation, the most frequent of which are written. */
#include "query/explore.h"

#include "core/clock.h"
#include "core/mem.h"
#include "query/agg_impl.h"
#include "query/scan.h"
#include "record/json.h"

#include <inttypes.h>
#include <stdlib.h>

struct values_run {
    struct scan scan;
    struct agg_spec count;
    struct by_spec by;
    struct pipe pipe;
    struct agg_table **table; /* a worker's */
    _Atomic uint64_t total;
};

static enum err visit(void *ctx, const struct scan_block *b)
{
    struct values_run *v = ctx;
    v->total += b->n;
    return agg_add(v->table[b->worker], b->rows, b->row, b->n, b->arena);
}

struct value_group {
    struct scalar value;
    uint64_t count;
};

static int most_frequent(const void *a, const void *b)
{
    const struct value_group *x = a, *y = b;
    if (x->count != y->count)
        return x->count > y->count ? -1 : 1;
    return scalar_order(&x->value, &y->value);
}

/* The groups but that of no value, whose rows are *ret_missing. */
static struct value_group *list_groups(const struct agg_table *t, uint32_t *ret_n,
                                       uint64_t *ret_missing)
{
    struct value_group *list = NEW_ARRAY(struct value_group, t->n + 1);
    uint32_t n = 0;
    *ret_missing = 0;
    for (uint32_t g = 0; g < t->n; g++) {
        struct reader key = reader_of(t->group[g]->key);
        struct value_group *one = &list[n];
        *one = (struct value_group){agg_cell(&key), t->group[g]->state[0].n};
        if (one->value.lane == SCALAR_NONE)
            *ret_missing += one->count;
        else
            n++;
    }
    if (n > 1)
        qsort(list, n, sizeof(*list), most_frequent);
    *ret_n = n;
    return list;
}

/* A number's cell holds its text. */
static void write_value(const struct scalar *s, struct buf *out)
{
    if (lane_is_number(s->lane))
        buf_put_str(out, s->text);
    else
        scalar_json(out, s);
}

static void write_values(struct values_run *v, struct str field, uint32_t limit, int64_t started,
                         struct buf *out)
{
    uint32_t n;
    uint64_t missing, total = v->total;
    struct query_meta meta;
    struct value_group *list = list_groups(v->table[0], &n, &missing);
    buf_put_c(out, "{\"field\":");
    json_put_string(out, field);
    buf_printf(out, ",\"total\":%" PRIu64 ",\"missing\":%" PRIu64 ",\"distinct\":%u,\"values\":[",
               total, missing, n);
    for (uint32_t i = 0; i < n && i < limit; i++) {
        buf_put_c(out, i ? ",{\"value\":" : "{\"value\":");
        write_value(&list[i].value, out);
        buf_printf(out, ",\"count\":%" PRIu64 ",\"share\":", list[i].count);
        json_put_double(out, (double)list[i].count / (double)total);
        buf_put_byte(out, '}');
    }
    scan_meta(&v->scan, started, &meta);
    buf_put_byte(out, ']');
    query_put_end(out, &meta);
    mem_free(list);
}

enum err query_values(struct query_engine *e, const struct query_request *q, struct str field,
                      struct buf *out)
{
    int64_t started = clock_mono_ns();
    unsigned workers = e->threads;
    struct values_run v = {.count = {.kind = AGG_COUNT}, .by = {.field = field, .name = field}};
    struct arena arena;
    enum err err;
    v.pipe = (struct pipe){.agg = &v.count, .n_aggs = 1, .by = &v.by, .n_by = 1};
    arena_init(&arena, 0, NULL);
    v.table = NEW_ARRAY(struct agg_table *, workers);
    TRY_OUT(scan_open_filter(e, q, &arena, &v.scan));
    for (unsigned i = 0; i < workers; i++)
        v.table[i] = agg_new(&v.pipe, &v.scan.memory);
    v.scan.visit = visit;
    v.scan.ctx = &v;
    TRY_OUT(scan_run(&v.scan));
    for (unsigned i = 1; i < workers; i++)
        TRY_OUT(agg_merge(v.table[0], v.table[i]));
    write_values(&v, field, q->limit, started, out);
out:
    for (unsigned i = 0; i < workers; i++)
        agg_free(v.table[i]);
    mem_free(v.table);
    scan_close(&v.scan);
    arena_release(&arena);
    return err;
}
