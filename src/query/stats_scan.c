/* Running `stats` on a scan.
 *
 * Without anything to be kept, each worker folds its blocks into a table of its own. Else a block's
 * groups are made by themselves, kept, and merged under a lock into the table of its scope: blocks
 * in segments and sealed ones, or frames. Before the scan, what is kept takes blocks out of it:
 *
 *   of all that the last search had    and of each new block and frame
 *   of its blocks                      and of each new block, each frame     a frame is gone
 *   of runs of blocks (runs.h)         and of each frame                     a block is gone
 *   of what the range leaves of a block that it cuts, and of its other rows (edge.h)
 *
 * Behind it, the answers of all and of blocks are kept anew, where there was more. Where there is
 * none of all, one search makes it, others with the same question wait. A block that another one
 * is at for itself is left for later (flight.h). A search's own sums so cost as much as its groups,
 * however many blocks there are. */
#include "query/stats_scan.h"

#include "core/clock.h"
#include "core/mem.h"
#include "query/agg_impl.h"
#include "query/ahead.h"
#include "query/chart.h"
#include "query/edge.h"
#include "query/flight.h"
#include "query/partial.h"
#include "query/runs.h"

#include <pthread.h>
#include <stdatomic.h>

/* Who waits for another search looks so often whether its own client is still there. */
#define LOOK_UP_NS (20 * NS_PER_MS)

struct stats {
    struct scan *scan;
    const struct pipe *pipe;
    struct arena *plan;
    int64_t from, to;           /* scan_bounds, at the start */
    struct agg_table **table;   /* by worker */
    struct buf key;             /* n == 0: nothing is kept */
    _Atomic bool keeps_nothing; /* it is too large for that */
    pthread_mutex_t lock;
    /* Of blocks; of frames and what headers say, or of all that `base` is of; in the end of all. */
    struct agg_table *kept[PARTIAL_SCOPES];
    _Atomic uint64_t matched[PARTIAL_SCOPES];
    struct partial_blocks base; /* what the scan began with */
    enum partial_scope base_scope;
    struct partial *cut; /* kept of blocks that the range cuts; under lock */
    uint32_t n_cut, cut_cap;
    const struct block_ref **block; /* the scan's blocks, before any were taken out */
    uint32_t n_blocks;
    uint64_t most; /* 0: every group is wanted; else those with the most of this function */
    uint32_t most_of;
    const struct agg_table *_Atomic full; /* what kept answers do not fit into */
    const struct block_ref **later;       /* others are at them; under lock */
    uint32_t n_later;
    struct chunk_key at;  /* of the answer of all */
    _Atomic bool is_mine; /* the flight of it */
};

static void end_flight(struct stats *t)
{
    if (atomic_exchange(&t->is_mine, false))
        flight_end(&t->at);
}

static enum partial_scope scope_of(const struct block_ref *ref)
{
    return partial_in_scope(PARTIAL_BLOCKS, ref) ? PARTIAL_BLOCKS : PARTIAL_ALL;
}

static enum err visit_stats(void *ctx, const struct scan_block *b)
{
    struct stats *t = ctx;
    return agg_add(t->table[b->worker], b->rows, b->row, b->n, b->arena);
}

/* The groups of some rows by themselves, which are kept for the next query that asks the same. */
static enum err make_kept(struct stats *t, const struct scan_block *b, const uint32_t *row,
                          uint32_t n, struct str key, struct agg_table **ret)
{
    struct agg_table *one = agg_new(t->pipe, &t->scan->memory);
    enum err err = n ? agg_add(one, b->rows, row, n, b->arena) : OK;
    if (err != OK) {
        agg_free(one);
        return err;
    }
    if (!partial_put(b->ref, key, one, n)) {
        t->keeps_nothing = true;
        end_flight(t); /* there is nothing to wait for */
    }
    *ret = one;
    return OK;
}

static enum err visit_whole(struct stats *t, const struct scan_block *b)
{
    enum partial_scope scope = scope_of(b->ref);
    struct agg_table *one;
    if (t->full)
        return agg_too_large(t->full);
    partial_count(false, 1);
    TRY(make_kept(t, b, b->row, b->n, buf_str(&t->key), &one));
    pthread_mutex_lock(&t->lock);
    enum err err = agg_merge(t->kept[scope], one);
    pthread_mutex_unlock(&t->lock);
    t->matched[scope] += b->n;
    agg_free(one);
    return err;
}

/* The rows with a time in [from, to), then the others; returns the number of the former. */
static uint32_t split(const struct scan_block *b, const int64_t *time, int64_t from, int64_t to,
                      uint32_t *out)
{
    uint32_t in = 0, others = b->n;
    for (uint32_t i = 0; i < b->n; i++) {
        int64_t at = time[b->row[i]];
        if (at >= from && at < to)
            out[in++] = b->row[i];
    }
    for (uint32_t i = b->n; i-- > 0;) {
        int64_t at = time[b->row[i]];
        if (at < from || at >= to)
            out[--others] = b->row[i];
    }
    return in;
}

static void add_cut(struct stats *t, const struct partial *kept)
{
    pthread_mutex_lock(&t->lock);
    ARRAY_GROW(t->cut, t->cut_cap, t->n_cut + 1);
    t->cut[t->n_cut++] = *kept;
    pthread_mutex_unlock(&t->lock);
}

/* The rows behind a cut, for the searches to come. */
static void keep_edge(struct stats *t, const struct scan_block *b, const int64_t *time,
                      const struct edge_name *edge)
{
    if (!edge_is_wanted(t->scan->engine->edges, edge))
        return;
    uint32_t *row = ARENA_TRY_ARRAY(b->arena, uint32_t, b->rows->n), n = 0;
    for (uint32_t i = 0; row && i < b->rows->n; i++) {
        row[n] = i;
        n += time[i] >= edge->from && time[i] < edge->to;
    }
    if (row)
        edge_put(t->scan->engine->edges, edge, b->rows, row, n);
}

/* Of a block that the time range cuts, what lies between two times that stay the same for a while
 * is kept; only the rest is looked at for each query. */
static enum err visit_cut(struct stats *t, const struct scan_block *b, const struct cut *cut,
                          struct str key)
{
    struct agg_table *mine = t->table[b->worker], *one;
    const int64_t *time;
    struct partial kept;
    TRY(rows_time(b->rows, &time));
    uint32_t *row = ARENA_TRY_ARRAY(b->arena, uint32_t, b->n + 1);
    if (!row)
        return agg_too_large(mine);
    uint32_t n = split(b, time, cut->from, cut->to, row);
    if (partial_get(b->ref, key, &kept)) {
        add_cut(t, &kept);
    } else {
        TRY(make_kept(t, b, row, n, key, &one));
        enum err err = agg_merge(mine, one);
        agg_free(one);
        TRY(err);
    }
    if (n < b->n)
        TRY(agg_add(mine, b->rows, row + n, b->n - n, b->arena));
    for (uint32_t i = 0; i < cut->n_edges; i++)
        keep_edge(t, b, time, &cut->edge[i]);
    return OK;
}

/* What a cut of the block is kept under. The caller releases the key. */
static bool cut_of(struct stats *t, const struct block_ref *ref, struct buf *key, struct cut *ret)
{
    buf_init(key, SIZE_MAX);
    buf_put_str(key, buf_str(&t->key));
    return !t->keeps_nothing && partial_cut(t->scan, ref, key, ret);
}

static enum err visit_kept(void *ctx, const struct scan_block *b)
{
    struct stats *t = ctx;
    struct buf key;
    struct cut cut;
    if (!t->keeps_nothing && partial_may_keep(t->scan, b->ref))
        return visit_whole(t, b);
    enum err err = OK;
    if (cut_of(t, b->ref, &key, &cut))
        err = visit_cut(t, b, &cut, buf_str(&key));
    else if (b->n)
        err = agg_add(t->table[b->worker], b->rows, b->row, b->n, b->arena);
    buf_release(&key);
    return err;
}

/* Counts of whole blocks, altogether or by a bin of time that holds all of one, are their headers'
 * numbers of rows. */
static bool count_header(struct stats *t, const struct block_ref *ref, struct agg_table *into)
{
    if (!scan_whole(t->scan, ref))
        return false;
    pthread_mutex_lock(&t->lock);
    bool counted = agg_add_header(into, ref->time_min, ref->time_max, ref->rows);
    pthread_mutex_unlock(&t->lock);
    if (counted)
        t->scan->matched += ref->rows;
    return counted;
}

static bool skip_counted(void *ctx, const struct block_ref *ref)
{
    struct stats *t = ctx;
    return count_header(t, ref, t->kept[PARTIAL_ALL]);
}

/* Adds what is kept of the block, where there is something. */
static bool add_kept(struct stats *t, const struct block_ref *ref)
{
    enum partial_scope scope = scope_of(ref);
    struct partial kept;
    if (!partial_get(ref, buf_str(&t->key), &kept))
        return false;
    partial_count(true, 1);
    pthread_mutex_lock(&t->lock);
    enum err err = agg_merge_written(t->kept[scope], kept.table);
    pthread_mutex_unlock(&t->lock);
    blob_unref(kept.blob);
    if (err != OK) {
        t->full = t->kept[scope];
        return false;
    }
    t->matched[scope] += kept.matched;
    t->scan->matched += kept.matched;
    return true;
}

static bool skip_kept(struct stats *t, const struct block_ref *ref)
{
    enum partial_scope scope = scope_of(ref);
    if (!partial_may_keep(t->scan, ref))
        return false;
    if (agg_counts_rows(t->pipe) && count_header(t, ref, t->kept[scope])) {
        t->matched[scope] += ref->rows;
        return true;
    }
    return add_kept(t, ref);
}

/* Before a block is read: it is left for later when another search is at it, and not read when one
 * has kept it meanwhile. Where answers are too large to be kept, there is none to wait for. */
static bool skip_busy(void *ctx, const struct block_ref *ref)
{
    struct stats *t = ctx;
    if (!partial_may_keep(t->scan, ref))
        return false;
    struct chunk_key at = partial_place(ref, buf_str(&t->key));
    if (!flight_begin(&at)) {
        if (t->keeps_nothing)
            return false;
        pthread_mutex_lock(&t->lock);
        t->later[t->n_later++] = ref;
        pthread_mutex_unlock(&t->lock);
        return true;
    }
    bool kept = add_kept(t, ref);
    if (kept)
        flight_end(&at);
    return kept;
}

static void leave_block(void *ctx, const struct block_ref *ref)
{
    struct stats *t = ctx;
    if (!partial_may_keep(t->scan, ref))
        return;
    struct chunk_key at = partial_place(ref, buf_str(&t->key));
    flight_end(&at);
}

static enum err wait_for(struct stats *t, const struct chunk_key *at)
{
    while (!flight_wait(at, clock_mono_ns() + LOOK_UP_NS))
        TRY(scan_check(t->scan));
    return OK;
}

static enum err get_many(struct stats *t, enum partial_scope scope)
{
    t->base_scope = scope;
    return partial_get_many(t->scan, buf_str(&t->key), scope, t->plan, t->kept[scope], &t->base);
}

/* Begins with what is kept of many blocks, and remembers which the scan had before. Where nothing
 * is kept of all, one search at a time makes it. */
static enum err begin(struct stats *t)
{
    struct scan *s = t->scan;
    t->n_blocks = s->n_blocks;
    t->block = (const struct block_ref **)ARENA_ARRAY(t->plan, struct block_ref *, s->n_blocks + 1);
    memcpy(t->block, s->block, s->n_blocks * sizeof(*t->block));
    TRY(get_many(t, PARTIAL_ALL));
    if (!t->base.n) {
        t->is_mine = flight_begin(&t->at);
        if (!t->is_mine) {
            TRY(wait_for(t, &t->at));
            TRY(get_many(t, PARTIAL_ALL));
        }
    }
    if (!t->base.n)
        TRY(get_many(t, PARTIAL_BLOCKS));
    if (t->base.n)
        t->matched[t->base_scope] += t->base.matched;
    return OK;
}

/* Keeps what is now known of many blocks, where it is of more than before. */
static void keep_many(struct stats *t, enum partial_scope scope)
{
    struct partial_blocks all = {.matched = t->matched[scope]};
    all.ref = (const struct block_ref **)ARENA_ARRAY(t->plan, struct block_ref *, t->n_blocks + 1);
    for (uint32_t i = 0; i < t->n_blocks; i++)
        if (partial_may_keep(t->scan, t->block[i]) && partial_in_scope(scope, t->block[i]))
            all.ref[all.n++] = t->block[i];
    if (all.n > t->base.n)
        partial_put_many(t->scan, buf_str(&t->key), scope, &all, t->kept[scope]);
}

/* What the blocks gave each for themselves, in kept[PARTIAL_ALL]. */
static enum err end(struct stats *t, bool whole)
{
    if (whole && (!t->base.n || t->base_scope == PARTIAL_BLOCKS))
        keep_many(t, PARTIAL_BLOCKS);
    TRY(agg_merge(t->kept[PARTIAL_ALL], t->kept[PARTIAL_BLOCKS]));
    t->matched[PARTIAL_ALL] += t->matched[PARTIAL_BLOCKS];
    if (whole)
        keep_many(t, PARTIAL_ALL);
    return OK;
}

static enum err add_edge(struct stats *t, const struct edge *edge, struct arena *arena)
{
    struct rows rows;
    const uint32_t *row;
    uint32_t n;
    edge_rows(edge, arena, &rows);
    if (!rows.n)
        return OK;
    TRY(scan_match(t->scan, &rows, arena, &row, &n));
    t->scan->matched += n;
    return n ? agg_add(t->table[0], &rows, row, n, arena) : OK;
}

/* Of a block that the range cuts, what is kept of it and of its rows behind the cuts. *ret: all was
 * there. */
static enum err take_cut(struct stats *t, const struct block_ref *ref, struct arena *arena,
                         bool *ret)
{
    struct edge *edge[2] = {NULL};
    struct partial kept;
    struct buf key;
    struct cut cut;
    enum err err = OK;
    *ret = false;
    if (partial_may_keep(t->scan, ref))
        return OK;
    bool all = cut_of(t, ref, &key, &cut);
    for (uint32_t i = 0; all && i < cut.n_edges; i++)
        all = (edge[i] = edge_get(t->scan->engine->edges, &cut.edge[i])) != NULL;
    *ret = all && partial_get(ref, buf_str(&key), &kept);
    if (*ret) {
        add_cut(t, &kept);
        t->scan->matched += kept.matched;
        for (uint32_t i = 0; i < cut.n_edges && err == OK; i++)
            err = add_edge(t, edge[i], arena);
    }
    if (err == OK && arena->failed)
        err = agg_too_large(t->table[0]);
    buf_release(&key);
    edge_unref(edge[0]);
    edge_unref(edge[1]);
    return err;
}

/* What is kept of a frame, of a block by itself, or of what the range leaves of it. */
static enum err take_one(struct stats *t, const struct block_ref *ref, struct arena *arena,
                         bool *ret)
{
    *ret = skip_kept(t, ref);
    if (t->full)
        return agg_too_large(t->full);
    return *ret ? OK : take_cut(t, ref, arena, ret);
}

/* Whether the block's answer is one of many that are taken by their runs. Behind an answer of many,
 * what came since is taken one by one. */
static bool is_in_runs(const struct stats *t, const struct block_ref *ref)
{
    return !t->base.n && partial_may_keep(t->scan, ref) && partial_in_scope(PARTIAL_BLOCKS, ref) &&
           !(agg_counts_rows(t->pipe) && scan_whole(t->scan, ref));
}

static enum err take_runs(struct stats *t)
{
    struct scan *s = t->scan;
    struct runs r = {.scan = s, .pipe = t->pipe, .key = buf_str(&t->key)};
    uint32_t left = 0, k = 0;
    r.ref = (const struct block_ref **)ARENA_ARRAY(t->plan, struct block_ref *, s->n_blocks + 1);
    for (uint32_t i = 0; i < s->n_blocks; i++)
        if (is_in_runs(t, s->block[i]))
            r.ref[r.n++] = s->block[i];
    TRY(runs_merge(&r, t->plan, t->kept[PARTIAL_BLOCKS]));
    for (uint32_t i = 0; i < s->n_blocks; i++)
        if (!is_in_runs(t, s->block[i]) || !r.taken[k++])
            s->block[left++] = s->block[i];
    t->matched[PARTIAL_BLOCKS] += r.matched;
    s->matched += r.matched;
    s->n_blocks = left;
    return OK;
}

/* What is kept, before any other thread is asked to help: merging it is a short work. */
static enum err take_kept(struct stats *t)
{
    struct scan *s = t->scan;
    struct reservation res;
    struct arena arena;
    uint32_t had = s->n_blocks, left = 0;
    enum err err = OK;
    reservation_init_of(&res, OWNER_QUERY, &s->memory);
    arena_init(&arena, 0, &res);
    TRY_OUT(take_runs(t));
    for (uint32_t i = 0; i < s->n_blocks; i++) {
        bool is_taken;
        TRY_OUT(scan_check(s));
        TRY_OUT(take_one(t, s->block[i], &arena, &is_taken));
        if (!is_taken)
            s->block[left++] = s->block[i];
        arena_reset(&arena);
    }
    s->pruned_early += had - left;
    s->n_blocks = left;
out:
    arena_release(&arena);
    reservation_release(&res);
    return err;
}

/* The scan, and then again of the blocks that others were at, until there are none. */
static enum err scan_in_turns(struct stats *t)
{
    struct scan *s = t->scan;
    const struct block_ref **next;
    next = (const struct block_ref **)ARENA_ARRAY(t->plan, struct block_ref *, s->n_blocks + 1);
    t->later = (const struct block_ref **)ARENA_ARRAY(t->plan, struct block_ref *, s->n_blocks + 1);
    TRY(scan_run(s));
    while (t->n_later) {
        struct chunk_key at = partial_place(t->later[0], buf_str(&t->key));
        TRY(wait_for(t, &at));
        s->pruned_early -= t->n_later;
        s->block = t->later;
        s->n_blocks = t->n_later;
        t->later = next;
        t->n_later = 0;
        next = s->block;
        TRY(scan_run(s));
    }
    return OK;
}

static enum err scan_kept(struct stats *t)
{
    struct scan *s = t->scan;
    TRY(take_kept(t));
    uint64_t unreadable = s->unreadable;
    TRY(scan_in_turns(t));
    return end(t, !t->keeps_nothing && s->unreadable == unreadable);
}

static enum err run_kept(struct stats *t)
{
    struct scan *s = t->scan;
    t->at = partial_place_many(s, buf_str(&t->key), PARTIAL_ALL);
    s->visit = visit_kept;
    s->visit_empty = true;
    s->skip = skip_busy;
    s->leave = leave_block;
    enum err err = begin(t);
    if (err == OK)
        err = scan_kept(t);
    end_flight(t);
    return err;
}

static enum err run(struct stats *t)
{
    struct scan *s = t->scan;
    s->visit = visit_stats;
    s->ctx = t;
    if (partial_key(s, t->pipe, &t->key)) {
        ahead_note(s->engine->ahead, s, buf_str(&t->key), t->from, t->to);
        return run_kept(t);
    }
    if (agg_counts_rows(t->pipe) && !s->n_steps)
        s->skip = skip_counted;
    return scan_run(s);
}

static enum err result(struct stats *t, struct batch *out)
{
    struct agg_table *all = t->kept[PARTIAL_ALL];
    for (uint32_t i = 0; i < t->n_cut; i++)
        TRY(agg_merge_written(all, t->cut[i].table));
    for (unsigned i = 0; i < scan_workers(t->scan); i++)
        TRY(agg_merge(all, t->table[i]));
    agg_keep_most(all, t->most_of, t->most);
    return t->pipe->chart ? chart_result(all, t->scan->from, t->scan->to, out)
                          : agg_result(all, out);
}

/* Where `sort` by a count, the most first, and `limit` stand behind the groups: how many are
 * wanted, else 0. */
static uint64_t most_wanted(const struct pipe *pipe, const struct pipe *next, uint32_t n_next,
                            uint32_t *ret_agg)
{
    if (n_next < 2 || next[0].kind != PIPE_SORT || next[1].kind != PIPE_LIMIT || pipe->chart ||
        pipe->patterns || !next[0].key[0].descending || next[1].limit > UINT32_MAX ||
        next[1].offset > UINT32_MAX)
        return 0;
    struct str field = next[0].key[0].field;
    for (uint32_t k = 0; k < pipe->n_by; k++)
        if (str_eq(pipe->by[k].name, field))
            return 0;
    uint32_t named = 0;
    for (uint32_t a = 0; a < pipe->n_aggs; a++)
        if (str_eq(pipe->agg[a].name, field)) {
            *ret_agg = a;
            named++;
        }
    bool counts = named == 1 && pipe->agg[*ret_agg].kind == AGG_COUNT;
    return counts ? next[1].limit + next[1].offset : 0;
}

enum err stats_scan(struct scan *s, const struct pipe *pipe, const struct pipe *next,
                    uint32_t n_next, struct arena *plan, struct batch *out)
{
    struct stats t = {.scan = s, .plan = plan, .lock = PTHREAD_MUTEX_INITIALIZER};
    unsigned workers = scan_workers(s);
    (void)scan_bounds(s, &t.from, &t.to);
    t.pipe = chart_settle(pipe, t.from, t.to, plan);
    t.most = most_wanted(pipe, next, n_next, &t.most_of);
    t.table = ARENA_ARRAY(plan, struct agg_table *, workers);
    for (unsigned i = 0; i < workers; i++)
        t.table[i] = agg_new(t.pipe, &s->memory);
    for (int i = 0; i < PARTIAL_SCOPES; i++)
        t.kept[i] = agg_new(t.pipe, &s->memory);
    buf_init(&t.key, 1 << 20);
    enum err err = run(&t);
    if (err == OK)
        err = result(&t, out);
    buf_release(&t.key);
    for (uint32_t i = 0; i < t.n_cut; i++)
        blob_unref(t.cut[i].blob);
    mem_free(t.cut);
    for (int i = 0; i < PARTIAL_SCOPES; i++)
        agg_free(t.kept[i]);
    for (unsigned i = 0; i < workers; i++)
        agg_free(t.table[i]);
    return err;
}
