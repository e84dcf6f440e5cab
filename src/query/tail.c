/* Rounds of a live tail. A round scans the blocks that may hold rows behind the cursor, with the
 * workers of every query; lines are gathered with their places and written in order. */
#include "query/tail.h"

#include "core/clock.h"
#include "core/mem.h"
#include "query/hits.h"

#include <stdlib.h>

struct line {
    uint64_t position;
    uint32_t partition, index;
    size_t from, n; /* in the round's text */
};
struct query_tail {
    struct query_engine *engine;
    struct query_request request;
    struct arena arena;
    const struct filter *filter;
    struct row_style style;
    uint64_t cursor, last; /* of this server's positions, the largest there can be */
    struct buf begun;      /* what query_tail_begin writes */
    /* Of the round. */
    pthread_mutex_t lock;
    struct line *line;
    size_t n_lines, lines_cap;
    struct buf text;
};

static enum err read_pipes(struct query_tail *t, const struct query_tree *tree)
{
    t->filter = tree->filter;
    for (uint32_t i = 0; i < tree->n_pipes; i++) {
        const struct pipe *pipe = &tree->pipe[i];
        if (pipe->kind == PIPE_WHERE) {
            t->filter = filter_and(&t->arena, t->filter, pipe->where);
        } else if (pipe->kind == PIPE_FIELDS) {
            t->style.field = pipe->field;
            t->style.n_fields = pipe->n_fields;
        } else {
            return err_set(ERR_INVALID,
                           "a live tail has no end to count or sort up to: of the pipes, where and "
                           "fields can follow");
        }
    }
    return OK;
}

/* ---- the newest that are there ---- */

static enum err visit_hits(void *ctx, const struct scan_block *b)
{
    return hits_visit(ctx, b);
}

static enum err keep_line(void *ctx, struct str line)
{
    struct query_tail *t = ctx;
    ARRAY_GROW(t->line, t->lines_cap, t->n_lines + 1);
    t->line[t->n_lines++] = (struct line){.from = t->text.n, .n = line.n};
    return buf_add(&t->text, line.p, line.n);
}

static enum err find_newest(struct query_tail *t, struct scan *s)
{
    struct hits hits = {.keep = t->request.limit};
    struct query_sink sink = {t, keep_line};
    enum err err;
    hits_init(&hits, scan_workers(s), &s->memory);
    s->visit = visit_hits;
    s->ctx = &hits;
    TRY_OUT(scan_run(s));
    TRY_OUT(hits_finish(&hits));
    TRY_OUT(hits_write(&hits, 0, hits.n, s, &t->style, &sink));
    for (size_t i = t->n_lines; i-- > 0;)
        buf_put(&t->begun, t->text.p + t->line[i].from, t->line[i].n);
out:
    hits_release(&hits);
    return err;
}

static enum err open_at_now(struct query_tail *t)
{
    struct scan scan;
    struct arena arena;
    uint64_t first;
    store_own_positions(t->engine->options.store, &first, &t->last);
    arena_init(&arena, 0, NULL);
    enum err err = scan_open(t->engine, &t->request, t->filter, &arena, &scan);
    if (err == OK) {
        t->cursor = snapshot_position(scan.snapshot);
        if (t->request.limit)
            err = find_newest(t, &scan);
        scan_close(&scan);
    }
    arena_release(&arena);
    return err;
}

static enum err check_after(struct query_tail *t, uint64_t after)
{
    uint64_t first;
    store_own_positions(t->engine->options.store, &first, &t->last);
    if (store_wait(t->engine->options.store, 0, 0) < after)
        return err_set(ERR_INVALID, "after=%llu is ahead of all that this server has",
                       (unsigned long long)after);
    if (after && after < first)
        return err_set(ERR_INVALID, "after=%llu is a cursor of another server",
                       (unsigned long long)after);
    t->cursor = after ? after : first;
    return OK;
}

enum err query_tail_open(struct query_engine *e, const struct query_request *r,
                         const uint64_t *after, struct query_tail **ret)
{
    struct query_tail *t = NEW(struct query_tail);
    struct query_tree tree;
    enum err err;
    t->engine = e;
    t->request = *r;
    t->request.deadline_ns = 0; /* each round has the engine's */
    arena_init(&t->arena, 0, NULL);
    buf_init(&t->text, SIZE_MAX);
    buf_init(&t->begun, SIZE_MAX);
    pthread_mutex_init(&t->lock, NULL);
    struct filter_options parsing = query_filter_options(r);
    TRY_OUT(query_parse(r->q, &parsing, &t->arena, &tree, NULL));
    TRY_OUT(read_pipes(t, &tree));
    t->style.search = r->aliases;
    if (!after)
        TRY_OUT(open_at_now(t));
    else
        TRY_OUT(check_after(t, *after));
    *ret = t;
    t = NULL;
out:
    query_tail_free(t);
    return err;
}

void query_tail_free(struct query_tail *t)
{
    if (!t)
        return;
    mem_free(t->line);
    buf_release(&t->text);
    buf_release(&t->begun);
    pthread_mutex_destroy(&t->lock);
    arena_release(&t->arena);
    mem_free(t);
}

uint64_t query_tail_cursor(const struct query_tail *t)
{
    return t->cursor;
}

enum err query_tail_begin(struct query_tail *t, const struct query_sink *sink)
{
    enum err err = t->begun.n ? sink->write(sink->ctx, buf_str(&t->begun)) : OK;
    buf_release(&t->begun);
    return err;
}

/* ---- rounds ---- */

/* Of the selected rows those behind the cursor, with their places. */
static enum err pick_new(struct query_tail *t, const struct scan_block *b, uint32_t *row,
                         struct origin_run *at, uint32_t *ret_n)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < b->n; i++) {
        TRY(rows_origin(b->rows, b->row[i], &at[n]));
        if (at[n].position > t->cursor && at[n].position <= t->last)
            row[n++] = b->row[i];
    }
    *ret_n = n;
    return OK;
}

static enum err visit_new(void *ctx, const struct scan_block *b)
{
    struct query_tail *t = ctx;
    struct buf text;
    uint32_t n;
    uint32_t *row = arena_alloc(b->arena, ((size_t)b->n + 1) * sizeof(*row));
    size_t *end = arena_alloc(b->arena, ((size_t)b->n + 1) * sizeof(*end));
    struct origin_run *at = arena_alloc(b->arena, ((size_t)b->n + 1) * sizeof(*at));
    TRY(pick_new(t, b, row, at, &n));
    if (n == 0)
        return OK;
    buf_init(&text, SIZE_MAX);
    enum err err = output_rows(b->rows, row, n, &t->style, b->arena, &text, end);
    pthread_mutex_lock(&t->lock);
    ARRAY_GROW(t->line, t->lines_cap, t->n_lines + n);
    for (uint32_t i = 0; i < n && err == OK; i++) {
        size_t from = i ? end[i - 1] : 0;
        t->line[t->n_lines++] = (struct line){at[i].position, at[i].partition, at[i].index,
                                              t->text.n + from, end[i] - from};
    }
    if (err == OK)
        err = buf_add(&t->text, text.p, text.n);
    pthread_mutex_unlock(&t->lock);
    buf_release(&text);
    return err;
}

static int in_order(const void *a, const void *b)
{
    const struct line *x = a, *y = b;
    if (x->partition != y->partition)
        return x->partition < y->partition ? -1 : 1;
    if (x->position != y->position)
        return x->position < y->position ? -1 : 1;
    return (x->index > y->index) - (x->index < y->index);
}

static enum err write_round(struct query_tail *t, const struct query_sink *sink)
{
    if (t->n_lines > 1)
        qsort(t->line, t->n_lines, sizeof(*t->line), in_order);
    for (size_t i = 0; i < t->n_lines; i++)
        TRY(sink->write(sink->ctx, str_of(t->text.p + t->line[i].from, t->line[i].n)));
    return OK;
}

static enum err run_round(struct query_tail *t, const struct query_sink *sink)
{
    struct scan scan;
    struct arena arena;
    arena_init(&arena, 0, NULL);
    t->request.after = t->cursor;
    t->n_lines = 0;
    buf_clear(&t->text);
    enum err err = scan_open(t->engine, &t->request, t->filter, &arena, &scan);
    if (err == OK) {
        uint64_t upto = snapshot_position(scan.snapshot);
        scan.visit = visit_new;
        scan.ctx = t;
        err = scan_run(&scan);
        scan_close(&scan);
        if (err == OK)
            err = write_round(t, sink);
        if (err == OK)
            t->cursor = upto;
    }
    arena_release(&arena);
    return err;
}

enum err query_tail_next(struct query_tail *t, int64_t deadline_mono, const struct query_sink *sink,
                         uint64_t *ret_n)
{
    *ret_n = 0;
    if (store_wait(t->engine->options.store, t->cursor, deadline_mono) <= t->cursor)
        return OK;
    TRY(run_round(t, sink));
    *ret_n = t->n_lines;
    return OK;
}
