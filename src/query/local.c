/* Queries over files: rows are written as they come, or cut off after `limit`, or folded into
 * groups, or gathered for the pipes behind. */
#include "query/local.h"

#include "core/mem.h"
#include "query/chart.h"
#include "query/run.h"

struct query_local {
    struct arena arena;
    struct query_tree tree;
    const struct filter *filter;
    uint32_t next; /* the first pipe that is not absorbed */
    struct row_style style;
    struct account memory;
    struct agg_table **table; /* a worker's */
    unsigned workers;
    struct batch *rows;
    uint64_t skip, left; /* of a limit in front */
    bool limited;
};

static void absorb(struct query_local *l)
{
    for (; l->next < l->tree.n_pipes; l->next++) {
        const struct pipe *pipe = &l->tree.pipe[l->next];
        if (pipe->kind == PIPE_WHERE && !l->limited) {
            l->filter = filter_and(&l->arena, l->filter, pipe->where);
        } else if (pipe->kind == PIPE_FIELDS) {
            l->style.field = pipe->field;
            l->style.n_fields = pipe->n_fields;
        } else if (pipe->kind == PIPE_LIMIT && !l->limited) {
            l->limited = true;
            l->skip = pipe->offset;
            l->left = pipe->limit;
        } else {
            return;
        }
    }
}

static const struct pipe *front(const struct query_local *l)
{
    return l->next < l->tree.n_pipes ? &l->tree.pipe[l->next] : NULL;
}

enum err query_local_new(struct str text, int64_t now_ns, unsigned workers, size_t memory,
                         struct query_local **ret)
{
    struct query_local *l = NEW(struct query_local);
    arena_init(&l->arena, 0, NULL);
    struct filter_options o = {.now_ns = now_ns};
    enum err err = query_parse(arena_str(&l->arena, text), &o, &l->arena, &l->tree, NULL);
    if (err != OK) {
        query_local_free(l);
        return err;
    }
    l->filter = l->tree.filter;
    l->left = UINT64_MAX;
    l->memory.max = memory;
    l->style.local = true;
    absorb(l);
    l->workers = workers;
    if (query_local_folds(l)) {
        l->table = NEW_ARRAY(struct agg_table *, workers);
        for (unsigned i = 0; i < workers; i++)
            l->table[i] = agg_new(front(l), &l->memory);
    }
    *ret = l;
    return OK;
}

void query_local_free(struct query_local *l)
{
    if (!l)
        return;
    for (unsigned i = 0; l->table && i < l->workers; i++)
        agg_free(l->table[i]);
    mem_free(l->table);
    batch_free(l->rows);
    arena_release(&l->arena);
    mem_free(l);
}

const struct filter *query_local_filter(const struct query_local *l)
{
    return l->filter;
}

bool query_local_is_filter(const struct query_local *l)
{
    return l->tree.n_pipes == 0;
}

bool query_local_folds(const struct query_local *l)
{
    const struct pipe *pipe = front(l);
    return !l->limited && pipe && pipe->kind == PIPE_STATS &&
           (!pipe->chart || pipe->chart->span_ns);
}

enum err query_local_fold(struct query_local *l, unsigned worker, struct rows *rows,
                          const uint32_t *row, uint32_t n, struct arena *scratch)
{
    return agg_add(l->table[worker], rows, row, n, scratch);
}

static enum err hold(struct query_local *l, struct rows *rows, const uint32_t *row, uint32_t n)
{
    if (!l->rows)
        l->rows = batch_new();
    if (batch_bytes(l->rows) > l->memory.max)
        return err_set(ERR_LIMIT,
                       "the pipes behind need all rows at once, and these are more than %zu MiB: "
                       "narrow the filter, or begin with stats or limit",
                       l->memory.max >> 20);
    return batch_append_rows(l->rows, rows, row, n);
}

static enum err show(struct query_local *l, struct rows *rows, const uint32_t *row, uint32_t n,
                     const struct query_sink *sink)
{
    struct buf out;
    struct arena arena;
    arena_init(&arena, 0, NULL);
    buf_init(&out, SIZE_MAX);
    enum err err = output_rows(rows, row, n, &l->style, &arena, &out, NULL);
    if (err == OK)
        err = sink->write(sink->ctx, buf_str(&out));
    buf_release(&out);
    arena_release(&arena);
    return err;
}

enum err query_local_add(struct query_local *l, struct rows *rows, const struct query_sink *sink)
{
    uint32_t from = l->skip < rows->n ? (uint32_t)l->skip : rows->n;
    uint32_t n = rows->n - from < l->left ? rows->n - from : (uint32_t)l->left;
    l->skip -= from;
    if (l->left != UINT64_MAX)
        l->left -= n;
    uint32_t *row = NEW_ARRAY(uint32_t, n + 1);
    for (uint32_t i = 0; i < n; i++)
        row[i] = from + i;
    enum err err = OK;
    if (n)
        err = front(l) ? hold(l, rows, row, n) : show(l, rows, row, n, sink);
    mem_free(row);
    return err == OK && l->left == 0 ? ERR_EOF : err;
}

enum err query_local_finish(struct query_local *l, const struct query_sink *sink)
{
    struct batch *b = l->rows;
    uint32_t next = l->next;
    struct row_style style = l->style;
    l->rows = NULL;
    if (!front(l))
        return OK;
    if (!b)
        b = batch_new();
    if (query_local_folds(l)) {
        enum err err = OK;
        for (unsigned i = 1; i < l->workers && err == OK; i++)
            err = agg_merge(l->table[0], l->table[i]);
        if (err == OK)
            err = front(l)->chart ? chart_result(l->table[0], INT64_MIN, INT64_MAX, b)
                                  : agg_result(l->table[0], b);
        if (err != OK) {
            batch_free(b);
            return err;
        }
        style = (struct row_style){.bare = true};
        next++;
    }
    return query_run_table(&l->tree, next, style, l->memory.max, b, sink);
}
