/* Rounds of a live tail. A round scans the blocks that may hold rows behind the cursor, with the
 * workers of every query; lines are gathered with their places and written in order. A round whose
 * lines are more than `round_bytes` is begun anew for half of the positions, and again, until they
 * fit: what is left is the next one's. */
#include "query/tail.h"

#include "core/clock.h"
#include "core/mem.h"
#include "query/again.h"
#include "query/hits.h"
#include "store/landed.h"

#include <stdlib.h>

#define ROUND_BYTES_MAX ((size_t)32 << 20)
enum { ROUND_SHARE = 16 }; /* of query.memory */

struct line {
    uint64_t position, key;
    uint32_t partition, index;
    size_t from, n; /* in the round's text */
};
struct query_tail {
    struct query_engine *engine;
    struct query_request request;
    struct arena arena;
    const struct filter *filter;
    struct row_style style;
    size_t round_bytes;
    struct landed_cursor cursor;
    struct store_moves moves; /* of the last round that took all */
    struct again again;
    uint64_t resets;  /* that `again` knows of */
    struct buf begun; /* what query_tail_begin writes */
    /* Of the round. */
    struct snapshot_landed landed;
    struct scan *scan;
    bool full, bounded;
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

/* Of rows that may yet be forgotten. */
static void note_shown(struct query_tail *t, uint64_t position, uint64_t key)
{
    const struct snapshot_landed *l = &t->landed;
    if (l->forgets && position >> STORE_NODE_SHIFT == l->node && position >= l->published)
        again_shown(&t->again, position, key);
}

static uint64_t key_of(const struct origin_run *at, struct str text)
{
    char id[FILTER_ID_MAX];
    return again_key(text, str_of(id, filter_row_id(at, id)));
}

static enum err keep_line(void *ctx, const struct hit *hit, struct str line)
{
    struct query_tail *t = ctx;
    struct origin_run at = {.partition = hit->order.partition,
                            .position = hit->order.position,
                            .index = hit->order.index};
    ARRAY_GROW(t->line, t->lines_cap, t->n_lines + 1);
    t->line[t->n_lines++] = (struct line){.position = hit->order.position,
                                          .key = t->landed.forgets ? key_of(&at, line) : 0,
                                          .from = t->text.n,
                                          .n = line.n};
    return buf_add(&t->text, line.p, line.n);
}

static enum err find_newest(struct query_tail *t, struct scan *s)
{
    struct hits hits = {.keep = t->request.limit};
    enum err err;
    hits_init(&hits, scan_workers(s), &s->memory);
    s->visit = visit_hits;
    s->ctx = &hits;
    TRY_OUT(scan_run(s));
    TRY_OUT(hits_finish(&hits));
    TRY_OUT(hits_each(&hits, 0, hits.n, s, &t->style, t, keep_line));
    for (size_t i = t->n_lines; i-- > 0;) {
        buf_put(&t->begun, t->text.p + t->line[i].from, t->line[i].n);
        note_shown(t, t->line[i].position, t->line[i].key);
    }
out:
    hits_release(&hits);
    return err;
}

/* ---- the cursor ---- */

/* All of the round was seen. */
static void move_cursor(struct query_tail *t)
{
    const struct snapshot_landed *l = &t->landed;
    for (size_t i = 0; i < l->n; i++) {
        const struct landed_span *s = &l->span[i];
        bool ahead = s->life && s->upto >= s->published;
        *landed_cursor_at(&t->cursor, s->node) = (struct landed_seen){
            .node = s->node,
            .after = s->upto,
            .published = ahead ? s->published : 0,
            .life = ahead ? s->life : 0,
        };
    }
    if (t->request.window)
        return;
    t->cursor.ids = l->ids > t->cursor.ids ? l->ids : t->cursor.ids;
    t->moves = l->moves;
}

static enum err open_at_now(struct query_tail *t)
{
    struct scan scan;
    struct arena arena;
    arena_init(&arena, 0, NULL);
    enum err err = scan_open(t->engine, &t->request, t->filter, &arena, &scan);
    if (err == OK) {
        snapshot_landed(scan.snapshot, &t->landed);
        t->resets = t->landed.resets;
        move_cursor(t);
        if (t->request.limit)
            err = find_newest(t, &scan);
        scan_close(&scan);
    }
    arena_release(&arena);
    return err;
}

static enum err check_after(struct query_tail *t, struct str after, struct snapshot *snapshot)
{
    struct landed_cursor *c = &t->cursor;
    snapshot_landed(snapshot, &t->landed);
    t->resets = t->landed.resets;
    if (t->landed.node && c->n && c->seen->node == 0 && !c->ids)
        return err_set(ERR_INVALID, "after=%.*s is the cursor of a server that is alone",
                       STR_ARG(after));
    const struct landed_seen *own = landed_cursor_at(c, t->landed.node);
    if (own->after > t->landed.moves.delivered && !own->life)
        return err_set(ERR_INVALID, "after=%.*s is ahead of all that this server has",
                       STR_ARG(after));
    return OK;
}

static enum err open_after(struct query_tail *t, struct str after)
{
    struct snapshot *snapshot;
    struct snapshot_want nothing = {.org = t->request.org, .from = 1, .to = 0};
    if (!landed_cursor_read(after, &t->cursor))
        return err_set(ERR_INVALID, "after=%.*s is no cursor of a tail",
                       after.n > 100 ? 100 : (int)after.n, after.p);
    TRY(snapshot_open(t->engine->options.store, &nothing, &snapshot));
    enum err err = check_after(t, after, snapshot);
    snapshot_close(snapshot);
    t->moves = (struct store_moves){UINT64_MAX, UINT64_MAX};
    return err;
}

enum err query_tail_open(struct query_engine *e, const struct query_request *r,
                         const struct str *after, struct query_tail **ret)
{
    struct query_tail *t = NEW(struct query_tail);
    struct query_tree tree;
    enum err err;
    t->engine = e;
    t->request = *r;
    t->round_bytes = e->options.query_memory / ROUND_SHARE;
    if (!t->round_bytes || t->round_bytes > ROUND_BYTES_MAX)
        t->round_bytes = ROUND_BYTES_MAX;
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
        TRY_OUT(open_after(t, *after));
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
    landed_cursor_release(&t->cursor);
    again_release(&t->again);
    buf_release(&t->text);
    buf_release(&t->begun);
    pthread_mutex_destroy(&t->lock);
    arena_release(&t->arena);
    mem_free(t);
}

void query_tail_put_cursor(const struct query_tail *t, struct buf *out)
{
    landed_cursor_write(&t->cursor, out);
}

enum err query_tail_begin(struct query_tail *t, const struct query_sink *sink)
{
    enum err err = t->begun.n ? sink->write(sink->ctx, buf_str(&t->begun)) : OK;
    buf_release(&t->begun);
    return err;
}

/* ---- rounds ---- */

static bool may_hold(const struct query_tail *t, const struct rows *rows)
{
    return !rows->position_max ||
           landed_meets(t->landed.span, t->landed.n, rows->position_min, rows->position_max);
}

/* Of the selected rows those behind the cursor, with their places. */
static enum err pick_new(struct query_tail *t, const struct scan_block *b, uint32_t *row,
                         struct origin_run *at, uint32_t *ret_n)
{
    uint32_t n = 0;
    uint32_t all = may_hold(t, b->rows) ? b->n : 0;
    for (uint32_t i = 0; i < all; i++) {
        TRY(rows_origin(b->rows, b->row[i], &at[n]));
        if (landed_span_of(t->landed.span, t->landed.n, at[n].position))
            row[n++] = b->row[i];
    }
    *ret_n = n;
    return OK;
}

static enum err add_lines(struct query_tail *t, struct str text, const struct line *line,
                          uint32_t n)
{
    size_t base = t->text.n;
    t->full |= t->bounded && t->text.n && t->text.n + text.n > t->round_bytes;
    if (t->full) {
        t->scan->stop = true;
        return OK;
    }
    TRY(buf_add(&t->text, text.p, text.n));
    ARRAY_GROW(t->line, t->lines_cap, t->n_lines + n);
    for (uint32_t i = 0; i < n; i++) {
        t->line[t->n_lines] = line[i];
        t->line[t->n_lines++].from += base;
    }
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
    struct line *line = arena_alloc(b->arena, n * sizeof(*line));
    buf_init(&text, SIZE_MAX);
    enum err err = output_rows(b->rows, row, n, &t->style, b->arena, &text, end);
    for (uint32_t i = 0; i < n && err == OK; i++) {
        size_t from = i ? end[i - 1] : 0;
        line[i] = (struct line){.position = at[i].position,
                                .partition = at[i].partition,
                                .index = at[i].index,
                                .from = from,
                                .n = end[i] - from};
        if (t->landed.forgets)
            line[i].key = key_of(&at[i], str_of(text.p + from, line[i].n));
    }
    pthread_mutex_lock(&t->lock);
    if (err == OK)
        err = add_lines(t, buf_str(&text), line, n);
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

/* What the server forgot since the last round comes again. */
static void mind_forgotten(struct query_tail *t)
{
    const struct snapshot_landed *l = &t->landed;
    if (l->resets != t->resets)
        again_forgotten(&t->again, l->forgot_from, l->forgot_upto);
    t->resets = l->resets;
    again_published(&t->again, l->published);
}

/* Whether it is to be shown. */
static bool is_new(struct query_tail *t, const struct line *line)
{
    if (!t->landed.forgets)
        return true;
    bool came = again_came(&t->again, line->key);
    note_shown(t, line->position, line->key); /* it may be forgotten once more */
    return !came;
}

static enum err write_round(struct query_tail *t, const struct query_sink *sink, uint64_t *ret_n)
{
    mind_forgotten(t);
    if (t->n_lines > 1)
        qsort(t->line, t->n_lines, sizeof(*t->line), in_order);
    for (size_t i = 0; i < t->n_lines; i++) {
        if (!is_new(t, &t->line[i]))
            continue;
        TRY(sink->write(sink->ctx, str_of(t->text.p + t->line[i].from, t->line[i].n)));
        ++*ret_n;
    }
    return OK;
}

static uint64_t positions_of(const struct landed_span *s)
{
    return s->upto - s->after;
}

static const struct landed_span *widest(const struct snapshot_landed *l)
{
    const struct landed_span *most = l->span;
    for (size_t i = 1; i < l->n; i++)
        if (positions_of(&l->span[i]) > positions_of(most))
            most = &l->span[i];
    return most;
}

/* The first half of the widest span. */
static struct landed_span halve(const struct snapshot_landed *l)
{
    struct landed_span half = *widest(l);
    half.upto = half.after + positions_of(&half) / 2;
    return half;
}

/* ERR_AGAIN (without a text): there is too much, the window was made smaller. */
static enum err scan_round(struct query_tail *t, struct landed_span *window,
                           const struct query_sink *sink, uint64_t *ret_n)
{
    struct scan scan;
    struct arena arena;
    arena_init(&arena, 0, NULL);
    t->n_lines = 0;
    t->full = false;
    buf_clear(&t->text);
    enum err err = scan_open(t->engine, &t->request, t->filter, &arena, &scan);
    if (err == OK) {
        snapshot_landed(scan.snapshot, &t->landed);
        t->scan = &scan;
        t->bounded = positions_of(widest(&t->landed)) > 1; /* one is written whole */
        scan.visit = visit_new;
        scan.ctx = t;
        err = scan_run(&scan);
        if (err == OK && t->full) {
            *window = halve(&t->landed);
            err = ERR_AGAIN;
        }
        if (err == OK)
            move_cursor(t);
        scan_close(&scan); /* the reader may be slow */
    }
    arena_release(&arena);
    return err == OK ? write_round(t, sink, ret_n) : err;
}

enum err query_tail_next(struct query_tail *t, int64_t deadline_mono, const struct query_sink *sink,
                         uint64_t *ret_n)
{
    struct landed_span window;
    *ret_n = 0;
    if (!store_wait(t->engine->options.store, &t->moves, deadline_mono))
        return OK;
    t->request.behind = &t->cursor;
    t->request.window = NULL;
    enum err err = scan_round(t, &window, sink, ret_n);
    while (err == ERR_AGAIN && t->full) {
        t->request.window = &window;
        err = scan_round(t, &window, sink, ret_n);
    }
    return err;
}
