/* Running a query.
 *
 * Conditions in front of anything else are one filter. What comes next decides how the scan is
 * read:
 *   nothing        rows stream out as blocks are done, in any order
 *   limit          the newest N (a large N streams instead)
 *   sort [limit]   the best rows are kept, then fetched in order
 *   stats          blocks are folded into groups, a table a worker, merged
 * Pipes behind that work on a table in memory: a batch, read by the same filter and the same
 * fold. */
#include "query/run.h"
#include "query/agg.h"
#include "query/hits.h"

#include "core/clock.h"
#include "core/mem.h"
#include "record/bitmap.h"
#include "record/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { STREAM_ROWS = 4096, LIMIT_NEWEST = 10000 };

struct run {
    struct query_engine *engine;
    const struct query_sink *sink;
    struct query_tree tree;
    uint32_t next; /* the pipe to come */
    struct row_style style;
    struct scan scan;
    struct arena arena;   /* the plan */
    pthread_mutex_t lock; /* the sink */
    uint64_t rows_left;   /* streaming with a limit */
    struct buf *out;      /* a worker's lines */
    struct hits hits;
    struct agg_table **table; /* a worker's groups */
};

/* ---- rows stream out ---- */

static enum err send(struct run *r, struct buf *out, uint32_t rows)
{
    enum err err = OK;
    pthread_mutex_lock(&r->lock);
    size_t n = out->n;
    if (rows > r->rows_left) {
        uint64_t lines = r->rows_left;
        for (n = 0; lines; lines--)
            n = str_find_byte(buf_str(out), '\n', n) + 1;
        rows = (uint32_t)r->rows_left;
    }
    r->rows_left -= rows;
    if (r->rows_left == 0)
        r->scan.stop = true;
    if (n)
        err = r->sink->write(r->sink->ctx, str_of(out->p, n));
    pthread_mutex_unlock(&r->lock);
    buf_clear(out);
    return err;
}

static enum err visit_stream(void *ctx, const struct scan_block *b)
{
    struct run *r = ctx;
    struct buf *out = &r->out[b->worker];
    for (uint32_t at = 0; at < b->n && !r->scan.stop; at += STREAM_ROWS) {
        uint32_t n = b->n - at < STREAM_ROWS ? b->n - at : STREAM_ROWS;
        TRY(output_rows(b->rows, b->row + at, n, &r->style, b->arena, out, NULL));
        TRY(send(r, out, n));
    }
    return OK;
}

static enum err run_stream(struct run *r, uint64_t limit)
{
    r->rows_left = limit;
    if (limit == 0)
        return OK;
    r->out = NEW_ARRAY(struct buf, scan_workers(&r->scan));
    for (unsigned i = 0; i < scan_workers(&r->scan); i++)
        buf_init(&r->out[i], SIZE_MAX);
    r->scan.visit = visit_stream;
    r->scan.ctx = r;
    enum err err = scan_run(&r->scan);
    for (unsigned i = 0; i < scan_workers(&r->scan); i++)
        buf_release(&r->out[i]);
    mem_free(r->out);
    return err;
}

/* ---- tables ---- */

/* What stands between two pipes: rows of results, or of records. */
struct table {
    struct batch *batch;
    struct arena arena; /* of its view */
    struct rows rows;
};

static void table_set(struct table *t, struct batch *b)
{
    batch_free(t->batch);
    arena_reset(&t->arena);
    t->batch = b;
    batch_view(b, &t->arena, &t->rows);
}

static enum err table_pick(struct table *t, const uint32_t *row, uint32_t n)
{
    struct batch *b = batch_new();
    enum err err = n ? batch_append_rows(b, &t->rows, row, n) : OK;
    if (err == OK)
        table_set(t, b);
    else
        batch_free(b);
    return err;
}

static uint32_t *all_rows(struct table *t)
{
    uint32_t *row = arena_alloc(&t->arena, (t->rows.n + 1) * sizeof(*row));
    for (uint32_t i = 0; i < t->rows.n; i++)
        row[i] = i;
    return row;
}

static enum err table_where(struct table *t, const struct pipe *pipe)
{
    uint64_t *bits = bitmap_new(&t->arena, t->rows.n);
    TRY(filter_eval(pipe->where, &t->rows, &t->arena, bits));
    uint32_t *row = arena_alloc(&t->arena, (t->rows.n + 1) * sizeof(*row));
    uint32_t n = bitmap_list(bits, t->rows.n, row);
    return table_pick(t, row, n);
}

struct sorting {
    struct sort_keys keys;
    const struct scalar *key;
};

static int table_cmp(const void *a, const void *b, void *ctx)
{
    const struct sorting *s = ctx;
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    int c = sort_keys_cmp(&s->keys, &s->key[(size_t)x * s->keys.n], &s->key[(size_t)y * s->keys.n]);
    return c ? c : (x > y) - (x < y);
}

static enum err table_sort(struct table *t, const struct pipe *pipe)
{
    uint32_t *row = all_rows(t);
    struct sorting sorting = {.keys = {pipe->key, pipe->n_keys}};
    struct scalar *key;
    TRY(sort_keys_read(&sorting.keys, &t->rows, row, t->rows.n, &t->arena, &key));
    sorting.key = key;
    if (t->rows.n > 1)
        qsort_r(row, t->rows.n, sizeof(*row), table_cmp, &sorting);
    return table_pick(t, row, t->rows.n);
}

static enum err table_stats(struct table *t, const struct pipe *pipe, size_t max)
{
    struct agg_table *agg = agg_new(pipe, max);
    struct batch *b = batch_new();
    enum err err = OK;
    if (t->rows.n)
        TRY_OUT(agg_add(agg, &t->rows, all_rows(t), t->rows.n, &t->arena));
    TRY_OUT(agg_result(agg, b));
    table_set(t, b);
    b = NULL;
out:
    batch_free(b);
    agg_free(agg);
    return err;
}

static enum err table_limit(struct table *t, const struct pipe *pipe)
{
    uint32_t *row = all_rows(t);
    uint32_t from = pipe->offset < t->rows.n ? (uint32_t)pipe->offset : t->rows.n;
    uint32_t n = t->rows.n - from < pipe->limit ? t->rows.n - from : (uint32_t)pipe->limit;
    return table_pick(t, row + from, n);
}

static enum err table_pipe(struct run *r, struct table *t, const struct pipe *pipe)
{
    switch (pipe->kind) {
    case PIPE_WHERE:
        return table_where(t, pipe);
    case PIPE_SORT:
        return table_sort(t, pipe);
    case PIPE_LIMIT:
        return table_limit(t, pipe);
    case PIPE_FIELDS:
        r->style.field = pipe->field;
        r->style.n_fields = pipe->n_fields;
        return OK;
    case PIPE_STATS:
        r->style = (struct row_style){.bare = true};
        return table_stats(t, pipe, r->engine->options.query_memory);
    }
    BUG("pipe kind %d", pipe->kind);
}

/* Takes over `b`: the pipes left, then out. */
static enum err run_table(struct run *r, struct batch *b)
{
    struct table t = {0};
    struct buf out;
    enum err err = OK;
    arena_init(&t.arena, 0, NULL);
    buf_init(&out, SIZE_MAX);
    table_set(&t, b);
    for (; r->next < r->tree.n_pipes; r->next++)
        TRY_OUT(t.rows.n || r->tree.pipe[r->next].kind == PIPE_STATS
                    ? table_pipe(r, &t, &r->tree.pipe[r->next])
                    : OK);
    uint32_t *row = all_rows(&t);
    for (uint32_t at = 0; at < t.rows.n; at += STREAM_ROWS) {
        uint32_t n = t.rows.n - at < STREAM_ROWS ? t.rows.n - at : STREAM_ROWS;
        TRY_OUT(output_rows(&t.rows, row + at, n, &r->style, &t.arena, &out, NULL));
        TRY_OUT(r->sink->write(r->sink->ctx, buf_str(&out)));
        buf_clear(&out);
    }
out:
    buf_release(&out);
    batch_free(t.batch);
    arena_release(&t.arena);
    return err;
}

enum err query_run_table(const struct query_tree *tree, uint32_t next, struct row_style style,
                         size_t memory, struct batch *b, const struct query_sink *sink)
{
    struct query_engine limits = {.options.query_memory = memory};
    struct run r = {.engine = &limits, .sink = sink, .tree = *tree, .next = next, .style = style};
    return run_table(&r, b);
}

/* ---- stats ---- */

static enum err visit_stats(void *ctx, const struct scan_block *b)
{
    struct run *r = ctx;
    return agg_add(r->table[b->worker], b->rows, b->row, b->n, b->arena);
}

static enum err run_stats(struct run *r, const struct pipe *pipe)
{
    unsigned workers = scan_workers(&r->scan);
    enum err err;
    struct batch *b = batch_new();
    r->table = NEW_ARRAY(struct agg_table *, workers);
    for (unsigned i = 0; i < workers; i++)
        r->table[i] = agg_new(pipe, r->engine->options.query_memory / (workers + (i > 0)));
    r->scan.visit = visit_stats;
    r->scan.ctx = r;
    TRY_OUT(scan_run(&r->scan));
    for (unsigned i = 1; i < workers; i++) {
        TRY_OUT(agg_merge(r->table[0], r->table[i]));
        agg_free(r->table[i]);
        r->table[i] = NULL;
    }
    TRY_OUT(agg_result(r->table[0], b));
    r->style = (struct row_style){.bare = true};
    err = run_table(r, b);
    b = NULL;
out:
    batch_free(b);
    for (unsigned i = 0; i < workers; i++)
        agg_free(r->table[i]);
    mem_free(r->table);
    return err;
}

/* ---- sort, limit ---- */

static enum err visit_hits(void *ctx, const struct scan_block *b)
{
    struct run *r = ctx;
    return hits_visit(&r->hits, b);
}

static bool skip_old(void *ctx, const struct block_ref *ref)
{
    struct run *r = ctx;
    return r->hits.keys.n == 0 && ref->time_max < r->hits.floor;
}

static enum err run_hits(struct run *r, const struct pipe *sort, uint64_t limit, uint64_t offset)
{
    enum err err;
    r->hits = (struct hits){0};
    if (sort)
        r->hits.keys = (struct sort_keys){sort->key, sort->n_keys};
    r->hits.keep = limit > UINT64_MAX / 4 ? UINT64_MAX / 4 : limit + offset;
    hits_init(&r->hits, scan_workers(&r->scan), r->engine->options.query_memory);
    r->scan.visit = visit_hits;
    r->scan.skip = skip_old;
    r->scan.ctx = r;
    TRY_OUT(scan_run(&r->scan));
    TRY_OUT(hits_finish(&r->hits));
    if (r->next == r->tree.n_pipes) {
        TRY_OUT(hits_write(&r->hits, offset, r->hits.n, &r->scan, &r->style, r->sink));
    } else {
        struct batch *b;
        TRY_OUT(hits_gather(&r->hits, offset, r->hits.n, &r->scan, &b));
        err = run_table(r, b);
    }
out:
    hits_release(&r->hits);
    return err;
}

/* ---- the plan ---- */

/* Takes in the pipes that only narrow or project; returns the first that does more, or NULL. */
static const struct pipe *absorb(struct run *r, const struct filter **filter)
{
    for (; r->next < r->tree.n_pipes; r->next++) {
        const struct pipe *pipe = &r->tree.pipe[r->next];
        if (pipe->kind == PIPE_WHERE && filter) {
            *filter = filter_and(&r->arena, *filter, pipe->where);
        } else if (pipe->kind == PIPE_FIELDS) {
            r->style.field = pipe->field;
            r->style.n_fields = pipe->n_fields;
        } else {
            return pipe;
        }
    }
    return NULL;
}

static enum err run_pipes(struct run *r, const struct pipe *pipe)
{
    if (!pipe)
        return run_stream(r, UINT64_MAX);
    r->next++;
    if (pipe->kind == PIPE_STATS)
        return run_stats(r, pipe);
    const struct pipe *sort = pipe->kind == PIPE_SORT ? pipe : NULL;
    const struct pipe *limit = sort ? absorb(r, NULL) : pipe;
    if (!limit || limit->kind != PIPE_LIMIT)
        return run_hits(r, sort, UINT64_MAX, 0);
    r->next += sort != NULL;
    (void)absorb(r, NULL);
    bool last = r->next == r->tree.n_pipes;
    if (!sort && last && limit->offset == 0 && limit->limit > LIMIT_NEWEST)
        return run_stream(r, limit->limit);
    return run_hits(r, sort, limit->limit, limit->offset);
}

static const char *const pipe_text[] = {"stats", "where", "sort", "limit", "fields"};

/* What would have helped, where most of what was read held nothing. */
static void put_hint(struct buf *out, const struct scan *s)
{
    uint64_t read = s->scanned;
    if (read < 8 || s->empty * 2 < read)
        return;
    bool bounded = s->from != INT64_MIN || s->to != INT64_MAX;
    buf_printf(out,
               ",\"hint\":\"%" PRIu64 " of the %" PRIu64 " blocks read held no matching row: %s\"",
               (uint64_t)s->empty, read,
               bounded ? "whole words and field:term are pruned by filters; wildcards, regular "
                         "expressions and terms without a field read more"
                       : "a time range (from, to) lets blocks be left out by their times");
}

static enum err write_explain(struct run *r, const struct query_meta *meta)
{
    struct buf out, filter;
    buf_init(&out, SIZE_MAX);
    buf_init(&filter, SIZE_MAX);
    filter_write(r->scan.filter, &filter);
    buf_put_c(&out, "{\"explain\":{\"filter\":");
    json_put_string(&out, buf_str(&filter));
    buf_put_c(&out, ",\"pipes\":[");
    for (uint32_t i = 0; i < r->tree.n_pipes; i++)
        buf_printf(&out, "%s\"%s\"", i ? "," : "", pipe_text[r->tree.pipe[i].kind]);
    buf_printf(
        &out,
        "],\"blocks_total\":%" PRIu64 ",\"blocks_pruned\":%" PRIu64 ",\"blocks_scanned\":%" PRIu64
        ",\"bytes_read\":%" PRIu64 ",\"rows_matched\":%" PRIu64 ",\"threads\":%u"
        ",\"memory_peak\":%" PRIu64 ",\"took_ms\":%.3f",
        meta->blocks_total, meta->blocks_pruned, meta->blocks_scanned, meta->bytes_read,
        meta->rows_matched, r->engine->threads, meta->memory_peak, (double)meta->took_ns / 1e6);
    buf_printf(&out,
               ",\"pruned\":{\"stream_and_time\":%" PRIu64 ",\"filters\":%" PRIu64
               ",\"early_stop\":%" PRIu64 "},\"blocks_without_match\":%" PRIu64,
               r->scan.pruned_time, (uint64_t)r->scan.pruned_filter, (uint64_t)r->scan.pruned_early,
               (uint64_t)r->scan.empty);
    put_hint(&out, &r->scan);
    query_put_complete(&out, meta);
    buf_put_c(&out, "}}\n");
    enum err err = r->sink->write(r->sink->ctx, buf_str(&out));
    buf_release(&out);
    buf_release(&filter);
    return err;
}

void query_put_complete(struct buf *out, const struct query_meta *meta)
{
    buf_printf(out, ",\"complete\":%s", meta->complete ? "true" : "false");
    if (meta->complete)
        return;
    buf_printf(out, ",\"unreadable\":%" PRIu64 ",\"warning\":", meta->unreadable);
    json_put_string(out, str_c(meta->warning));
}

static enum err write_meta(const struct query_sink *sink, const struct query_meta *meta)
{
    struct buf line;
    buf_init(&line, 64 << 10);
    buf_printf(&line,
               "{\"_meta\":{\"took_ms\":%.3f,\"blocks_total\":%" PRIu64
               ",\"blocks_pruned\":%" PRIu64 ",\"blocks_scanned\":%" PRIu64
               ",\"bytes_read\":%" PRIu64 ",\"rows_matched\":%" PRIu64 ",\"memory_peak\":%" PRIu64,
               (double)meta->took_ns / 1e6, meta->blocks_total, meta->blocks_pruned,
               meta->blocks_scanned, meta->bytes_read, meta->rows_matched, meta->memory_peak);
    query_put_complete(&line, meta);
    buf_put_c(&line, "}}\n");
    enum err err = sink->write(sink->ctx, buf_str(&line));
    buf_release(&line);
    return err;
}

static enum err discard(void *ctx, struct str bytes)
{
    (void)ctx;
    (void)bytes;
    return OK;
}

enum err query_run(struct query_engine *e, const struct query_request *q,
                   const struct query_sink *sink, struct query_meta *ret)
{
    static const struct query_sink nowhere = {NULL, discard};
    int64_t started = clock_mono_ns();
    struct run r = {
        .engine = e, .sink = q->explain ? &nowhere : sink, .lock = PTHREAD_MUTEX_INITIALIZER};
    struct query_meta meta;
    enum err err;
    arena_init(&r.arena, 0, NULL);
    TRY_OUT(query_parse(q->q, q->now_ns, &r.arena, &r.tree, NULL));
    const struct filter *filter = r.tree.filter;
    const struct pipe *pipe = absorb(&r, &filter);
    TRY_OUT(scan_open(e, q, filter, &r.arena, &r.scan));
    TRY_OUT(run_pipes(&r, pipe));
    scan_meta(&r.scan, started, &meta);
    r.sink = sink;
    if (q->explain)
        TRY_OUT(write_explain(&r, &meta));
    else if (q->meta || !meta.complete)
        TRY_OUT(write_meta(sink, &meta));
    *ret = meta;
out:
    scan_close(&r.scan);
    arena_release(&r.arena);
    return err;
}
