/* Running a query.
 *
 * Conditions in front of anything else are one filter; the steps behind it (steps.h) run on what it
 * selects, block by block. What comes next decides how the scan is read:
 *   nothing        rows stream out as blocks are done, in any order
 *   limit          the newest N (a large N streams instead)
 *   sort [limit]   the best rows are kept, then fetched in order
 *   dedup          of each key the newest rows are kept, then fetched in order
 *   stats          blocks are folded into groups, a table a worker, merged
 * Pipes behind that work on a table in memory: a batch, read by the same filter, the same steps
 * and the same fold. */
#include "query/run.h"
#include "query/agg.h"
#include "query/chart.h"
#include "query/dedup.h"
#include "query/stats_scan.h"

#include "core/clock.h"
#include "core/governor.h"
#include "core/mem.h"
#include "record/bitmap.h"
#include "record/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    STREAM_ROWS = 4096,
    DECODED_ROWS = 16384,
    DECODED_BYTES = 16 << 20,
    SENT_ROWS = 2048,
    LIMIT_NEWEST = 10000
};

struct stream_worker {
    struct buf out;       /* lines */
    uint64_t rows, bytes; /* decoded last, and what they took */
};

struct run {
    struct query_engine *engine;
    const struct query_sink *sink;
    struct query_tree tree;
    uint32_t next; /* the pipe to come */
    struct row_style style;
    const struct pipe *step[PIPES_MAX + PIPE_EXPANDS_MAX];
    struct scan scan;
    struct arena arena;   /* the plan */
    pthread_mutex_t lock; /* the sink */
    uint64_t rows_left;   /* streaming with a limit */
    struct stream_worker *worker;
    struct hits hits;
    struct dedup *dedup;
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

/* How many of n rows are decoded together, so many times as to be all: as a rule what one takes is
 * what the ones before took. All workers take a quarter of the query's memory for this, at most. */
static uint32_t rows_at_once(const struct run *r, const struct stream_worker *w, uint32_t n)
{
    uint64_t most = DECODED_ROWS, bytes = r->scan.memory.max / 4 / scan_workers(&r->scan);
    if (w->rows)
        most = (bytes < DECODED_BYTES ? bytes : DECODED_BYTES) / (w->bytes / w->rows + 1);
    most = most < STREAM_ROWS ? STREAM_ROWS : most;
    uint64_t times = (n - 1) / most + 1;
    return (uint32_t)((n - 1) / times + 1);
}

/* Decodes *n rows, or fewer where so many are more than the query may hold: those before them may
 * have been of another kind. */
static enum err begin_stream(const struct run *r, const struct scan_block *b, uint32_t at,
                             uint32_t *n, struct arena *arena, struct row_output **ret)
{
    enum err err = output_begin(b->rows, b->row + at, *n, &r->style, arena, ret);
    while ((err == ERR_NOMEM || arena->failed) && *n > STREAM_ROWS) {
        *n = *n / 4 > STREAM_ROWS ? *n / 4 : STREAM_ROWS;
        arena_reset(arena);
        err = output_begin(b->rows, b->row + at, *n, &r->style, arena, ret);
    }
    return err;
}

static enum err put_stream(struct run *r, struct stream_worker *w, const struct scan_block *b,
                           uint32_t at, uint32_t *n, struct arena *arena)
{
    struct row_output *o;
    TRY(begin_stream(r, b, at, n, arena, &o));
    for (uint32_t done = 0; done < *n && !r->scan.stop;) {
        uint32_t some = *n - done < SENT_ROWS ? *n - done : SENT_ROWS;
        TRY(output_next(o, some, &w->out));
        done += some;
        scan_pause(&r->scan, b->worker);
        enum err err = send(r, &w->out, some);
        scan_resume(&r->scan, b->worker);
        TRY(err);
    }
    return OK;
}

/* What the rows are decoded into goes with each batch of them: all of a block's would be more than
 * a query may hold. */
static enum err visit_stream(void *ctx, const struct scan_block *b)
{
    struct run *r = ctx;
    struct stream_worker *w = &r->worker[b->worker];
    struct reservation res;
    struct arena batch;
    enum err err = OK;
    uint32_t n;
    reservation_init_of(&res, OWNER_QUERY, &r->scan.memory);
    arena_init(&batch, 0, &res);
    for (uint32_t at = 0; at < b->n && !r->scan.stop && err == OK; at += n) {
        n = rows_at_once(r, w, b->n - at);
        err = put_stream(r, w, b, at, &n, &batch);
        w->rows = n;
        w->bytes = batch.used;
        b->arena->failed |= batch.failed;
        arena_reset(&batch);
    }
    arena_release(&batch);
    reservation_release(&res);
    return err;
}

static enum err run_stream(struct run *r, uint64_t limit)
{
    r->rows_left = limit;
    if (limit == 0)
        return OK;
    r->worker = NEW_ARRAY(struct stream_worker, scan_workers(&r->scan));
    for (unsigned i = 0; i < scan_workers(&r->scan); i++)
        buf_init(&r->worker[i].out, SIZE_MAX);
    r->scan.visit = visit_stream;
    r->scan.ctx = r;
    enum err err = scan_run(&r->scan);
    for (unsigned i = 0; i < scan_workers(&r->scan); i++)
        buf_release(&r->worker[i].out);
    mem_free(r->worker);
    return err;
}

/* ---- tables ---- */

/* What stands between two pipes: rows of results, or of records. */
struct table {
    struct batch *batch;
    struct reservation res;
    size_t held;        /* of it, for the batch */
    struct arena arena; /* of its view */
    struct rows rows;
};

static enum err table_large(const struct table *t)
{
    return err_set(ERR_NOMEM,
                   "the rows between two pipes need more memory than a query may hold (%zu MiB, "
                   "query.memory): add a limit or narrow the filter",
                   t->res.of->max >> 20);
}

/* Takes the batch over. */
static enum err table_set(struct table *t, struct batch *b)
{
    batch_free(t->batch);
    arena_reset(&t->arena);
    reservation_shrink(&t->res, t->held);
    t->held = 0;
    t->batch = b;
    batch_view(b, &t->arena, &t->rows);
    if (reservation_grow(&t->res, batch_bytes(b)) != OK)
        return table_large(t);
    t->held = batch_bytes(b);
    return OK;
}

static void table_release(struct table *t)
{
    batch_free(t->batch);
    arena_release(&t->arena);
    reservation_release(&t->res);
}

static enum err table_pick(struct table *t, const uint32_t *row, uint32_t n)
{
    struct batch *b = batch_new();
    enum err err = n ? batch_append_rows(b, &t->rows, row, n) : OK;
    if (err == OK)
        return table_set(t, b);
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

static enum err table_step(struct table *t, const struct pipe *pipe)
{
    struct step_rows s = {.rows = &t->rows, .row = all_rows(t), .n = t->rows.n};
    TRY(steps_run(&pipe, 1, &s, &t->arena));
    struct batch *b = batch_new();
    enum err err = s.n ? batch_append_rows(b, s.rows, s.row, s.n) : OK;
    if (err == OK)
        return table_set(t, b);
    batch_free(b);
    return err;
}

static enum err table_dedup(struct table *t, const struct pipe *pipe, struct account *memory)
{
    uint32_t n, *row = all_rows(t);
    TRY(dedup_table(pipe, &t->rows, all_rows(t), t->rows.n, memory, &t->arena, row, &n));
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

static enum err table_stats(struct table *t, const struct pipe *pipe, struct account *memory,
                            struct arena *plan)
{
    if (t->rows.n)
        pipe = chart_settle(pipe, t->rows.time_min, t->rows.time_max, plan);
    struct agg_table *agg = agg_new(pipe, memory);
    struct batch *b = batch_new();
    enum err err = OK;
    if (t->rows.n)
        TRY_OUT(agg_add(agg, &t->rows, all_rows(t), t->rows.n, &t->arena));
    TRY_OUT(pipe->chart ? chart_result(agg, INT64_MIN, INT64_MAX, b) : agg_result(agg, b));
    err = table_set(t, b);
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

/* Only these fields come out; what later steps add comes out too. */
static void choose_fields(struct run *r, const struct pipe *pipe)
{
    r->style.field = pipe->field;
    r->style.n_fields = pipe->n_fields;
}

static void add_fields(struct run *r, const struct pipe *pipe)
{
    const struct grok_field *field = NULL;
    uint32_t n = pipe->kind == PIPE_EXTRACT ? extractor_fields(pipe->extractor, &field)
                                            : pipe->kind == PIPE_UNNEST;
    if (!r->style.n_fields || !n)
        return;
    struct str *all = ARENA_ARRAY(&r->arena, struct str, r->style.n_fields + n);
    memcpy(all, r->style.field, r->style.n_fields * sizeof(*all));
    for (uint32_t i = 0; i < n; i++)
        all[r->style.n_fields + i] = field ? field[i].name : pipe->into;
    r->style.field = all;
    r->style.n_fields += n;
}

static enum err table_pipe(struct run *r, struct table *t, const struct pipe *pipe)
{
    struct account *memory = &r->scan.memory;
    switch (pipe->kind) {
    case PIPE_WHERE:
    case PIPE_EXTRACT:
    case PIPE_UNNEST:
        add_fields(r, pipe);
        return table_step(t, pipe);
    case PIPE_SORT:
        return table_sort(t, pipe);
    case PIPE_LIMIT:
        return table_limit(t, pipe);
    case PIPE_DEDUP:
        return table_dedup(t, pipe, memory);
    case PIPE_FIELDS:
        choose_fields(r, pipe);
        return OK;
    case PIPE_STATS:
        r->style = (struct row_style){.bare = true};
        return table_stats(t, pipe, memory, &r->arena);
    case PIPE_KIND_COUNT:
        break;
    }
    BUG("pipe kind %d", pipe->kind);
}

static enum err run_pipes_left(struct run *r, struct table *t)
{
    for (; r->next < r->tree.n_pipes; r->next++) {
        const struct pipe *pipe = &r->tree.pipe[r->next];
        TRY(scan_check(&r->scan));
        if (t->rows.n || pipe->kind == PIPE_STATS)
            TRY(table_pipe(r, t, pipe));
        else if (pipe->kind == PIPE_FIELDS)
            choose_fields(r, pipe);
        if (t->arena.failed)
            return table_large(t);
    }
    return OK;
}

/* Takes over `b`: the pipes left, then out. */
static enum err run_table(struct run *r, struct batch *b)
{
    struct table t = {0};
    struct buf out;
    enum err err = OK;
    reservation_init_of(&t.res, OWNER_QUERY, &r->scan.memory);
    arena_init(&t.arena, 0, &t.res);
    buf_init(&out, SIZE_MAX);
    TRY_OUT(table_set(&t, b));
    TRY_OUT(run_pipes_left(r, &t));
    uint32_t *row = all_rows(&t);
    for (uint32_t at = 0; at < t.rows.n; at += STREAM_ROWS) {
        uint32_t n = t.rows.n - at < STREAM_ROWS ? t.rows.n - at : STREAM_ROWS;
        TRY_OUT(scan_check(&r->scan));
        TRY_OUT(output_rows(&t.rows, row + at, n, &r->style, &t.arena, &out, NULL));
        TRY_OUT(r->sink->write(r->sink->ctx, buf_str(&out)));
        buf_clear(&out);
    }
out:
    buf_release(&out);
    table_release(&t);
    return err;
}

enum err query_run_table(const struct query_tree *tree, uint32_t next, struct row_style style,
                         size_t memory, struct batch *b, const struct query_sink *sink)
{
    struct run r = {.sink = sink, .tree = *tree, .next = next, .style = style};
    r.scan.deadline_mono = INT64_MAX;
    r.scan.memory.max = memory;
    arena_init(&r.arena, 0, NULL);
    enum err err = run_table(&r, b);
    arena_release(&r.arena);
    return err;
}

/* ---- stats ---- */

static enum err run_stats(struct run *r, const struct pipe *pipe)
{
    struct batch *b = batch_new();
    enum err err =
        stats_scan(&r->scan, pipe, r->tree.pipe + r->next, r->tree.n_pipes - r->next, &r->arena, b);
    if (err != OK) {
        batch_free(b);
        return err;
    }
    r->style = (struct row_style){.bare = true};
    return run_table(r, b);
}

/* ---- sort, limit ---- */

/* The hits from `offset` on, out or on to the pipes left. */
static enum err hand_on(struct run *r, uint64_t offset)
{
    struct batch *b;
    if (r->next == r->tree.n_pipes)
        return hits_write(&r->hits, offset, r->hits.n, &r->scan, &r->style, r->sink);
    TRY(hits_gather(&r->hits, offset, r->hits.n, &r->scan, &b));
    return run_table(r, b);
}

static enum err visit_hits(void *ctx, const struct scan_block *b)
{
    struct run *r = ctx;
    return hits_visit(&r->hits, b);
}

static bool skip_far(void *ctx, const struct block_ref *ref)
{
    struct run *r = ctx;
    return hits_skip(&r->hits, ref);
}

static enum err run_hits(struct run *r, const struct pipe *sort, uint64_t limit, uint64_t offset)
{
    enum err err;
    r->hits = (struct hits){0};
    if (sort)
        r->hits.keys = (struct sort_keys){sort->key, sort->n_keys};
    r->hits.keep = limit > UINT64_MAX / 4 ? UINT64_MAX / 4 : limit + offset;
    hits_init(&r->hits, scan_workers(&r->scan), &r->scan.memory);
    r->scan.visit = visit_hits;
    r->scan.skip = skip_far;
    r->scan.ctx = r;
    TRY_OUT(scan_run(&r->scan));
    TRY_OUT(hits_finish(&r->hits));
    err = hand_on(r, offset);
out:
    hits_release(&r->hits);
    return err;
}

/* ---- dedup ---- */

static enum err visit_dedup(void *ctx, const struct scan_block *b)
{
    struct run *r = ctx;
    return dedup_visit(r->dedup, b);
}

static enum err run_dedup(struct run *r, const struct pipe *pipe, uint64_t limit, uint64_t offset)
{
    unsigned workers = scan_workers(&r->scan);
    enum err err;
    r->dedup = dedup_new(pipe, workers, &r->scan.memory);
    r->hits = (struct hits){.keep = limit > UINT64_MAX / 4 ? UINT64_MAX / 4 : limit + offset};
    hits_init(&r->hits, workers, &r->scan.memory);
    r->scan.visit = visit_dedup;
    r->scan.ctx = r;
    TRY_OUT(scan_run(&r->scan));
    TRY_OUT(dedup_finish(r->dedup, &r->hits));
    TRY_OUT(hits_finish(&r->hits));
    dedup_free(r->dedup);
    r->dedup = NULL;
    err = hand_on(r, offset);
out:
    dedup_free(r->dedup);
    hits_release(&r->hits);
    return err;
}

/* ---- the plan ---- */

/* Takes in the pipes that work on one row at a time; returns the first that does more, or NULL. */
static const struct pipe *absorb(struct run *r, const struct filter **filter, uint32_t *n_steps)
{
    for (; r->next < r->tree.n_pipes; r->next++) {
        const struct pipe *pipe = &r->tree.pipe[r->next];
        if (pipe->kind == PIPE_FIELDS) {
            choose_fields(r, pipe);
        } else if (pipe->kind == PIPE_WHERE && !*n_steps) {
            *filter = filter_and(&r->arena, *filter, pipe->where);
        } else if (pipe_is_step(pipe)) {
            r->step[(*n_steps)++] = pipe;
            add_fields(r, pipe);
        } else {
            return pipe;
        }
    }
    return NULL;
}

/* Takes in pipes that only choose fields; returns the one behind them, or NULL. */
static const struct pipe *absorb_fields(struct run *r)
{
    for (; r->next < r->tree.n_pipes; r->next++) {
        if (r->tree.pipe[r->next].kind != PIPE_FIELDS)
            return &r->tree.pipe[r->next];
        choose_fields(r, &r->tree.pipe[r->next]);
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
    const struct pipe *limit = pipe->kind == PIPE_LIMIT ? pipe : absorb_fields(r);
    uint64_t n = UINT64_MAX, offset = 0;
    if (limit && limit->kind == PIPE_LIMIT) {
        r->next += limit != pipe;
        n = limit->limit;
        offset = limit->offset;
        (void)absorb_fields(r);
    }
    if (pipe->kind == PIPE_DEDUP)
        return run_dedup(r, pipe, n, offset);
    bool last = r->next == r->tree.n_pipes;
    if (pipe == limit && last && offset == 0 && n > LIMIT_NEWEST)
        return run_stream(r, n);
    return run_hits(r, pipe->kind == PIPE_SORT ? pipe : NULL, n, offset);
}

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
        buf_printf(&out, "%s\"%s\"", i ? "," : "", pipe_kind_names[r->tree.pipe[i].kind]);
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
    if (meta->bytes_fetched)
        buf_printf(out, ",\"bytes_fetched\":%" PRIu64, meta->bytes_fetched);
    buf_printf(out, ",\"complete\":%s", meta->complete ? "true" : "false");
    if (meta->complete)
        return;
    buf_printf(out, ",\"unreadable\":%" PRIu64 ",\"warning\":", meta->unreadable);
    json_put_string(out, str_c(meta->warning));
}

void query_put_end(struct buf *out, const struct query_meta *meta)
{
    buf_printf(out, ",\"took_ms\":%.3f", (double)meta->took_ns / 1e6);
    if (!meta->complete) {
        buf_put_c(out, ",\"partial\":true,\"warning\":");
        json_put_string(out, str_c(meta->warning));
    }
    buf_put_byte(out, '}');
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

static enum err parse(const struct query_request *q, struct arena *arena, struct query_tree *ret)
{
    struct filter_options o = query_filter_options(q);
    if (!q->pipes.n)
        return query_parse(q->q, &o, arena, ret, NULL);
    const struct filter *filter;
    TRY(query_filter(q, arena, &filter));
    TRY(query_parse(q->pipes, &o, arena, ret, NULL));
    ret->filter = filter;
    return OK;
}

enum err query_stats_plan(const struct query_request *q, struct arena *arena,
                          const struct filter **ret_filter, const struct pipe **ret_pipe)
{
    struct query_tree tree;
    TRY(parse(q, arena, &tree));
    const struct filter *filter = tree.filter;
    uint32_t i = 0;
    for (; i < tree.n_pipes && tree.pipe[i].kind != PIPE_STATS; i++)
        if (tree.pipe[i].kind == PIPE_WHERE)
            filter = filter_and(arena, filter, tree.pipe[i].where);
        else if (tree.pipe[i].kind != PIPE_FIELDS)
            break;
    if (i == tree.n_pipes || tree.pipe[i].kind != PIPE_STATS)
        return err_set(ERR_INVALID, "the query does not begin with stats");
    *ret_filter = filter;
    *ret_pipe = &tree.pipe[i];
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
    TRY_OUT(parse(q, &r.arena, &r.tree));
    const struct filter *filter = r.tree.filter;
    uint32_t n_steps = 0;
    const struct pipe *pipe = absorb(&r, &filter, &n_steps);
    TRY_OUT(scan_open(e, q, filter, &r.arena, &r.scan));
    r.scan.step = r.step;
    r.scan.n_steps = n_steps;
    TRY_OUT(scan_name_memory(&r.scan, run_pipes(&r, pipe)));
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
