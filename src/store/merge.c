/* Merging: which rows make the next block, and making it.
 *
 * The usual case, everything fits one block, needs no keys: every source is appended whole and the
 * block's encoder orders the rows. Sources whose values lie in memory anyway stay open meanwhile:
 * their columns are put together one by one, when they are encoded. Otherwise a window of *keys*
 * (the total order: time, partition, position, index; and where the row is: source, row) is kept in
 * order. A source enters the window when one of its rows may belong among the next block_rows keys,
 * which its time_min tells; the window is bounded; past it blocks are made of what is known, and
 * later blocks overlap them in time, which readers allow for.
 *
 * The first block_rows keys of the window become a block: they are grouped by source, each source
 * is opened once more and its rows are appended to a batch. A block that is one whole source is
 * encoded as it was opened. When the window is full, and at the end, nothing can come between its
 * keys any more: all of them become blocks. When the union of shapes or paths passes a batch's
 * limits, the block ends there and the rest makes another: a single source keeps them by itself.
 *
 * Invariants: a key is in the window exactly once from the entering of its source to its block;
 * sources enter once, in order. */
#include "store/merge.h"

#include "core/clock.h"
#include "core/mem.h"
#include "record/batch.h"

#include <stdlib.h>

#define LATE_NS (7 * NS_PER_DAY)
#define FUTURE_NS NS_PER_DAY

struct key {
    struct row_order order;
    uint32_t source, row;
};

struct merging {
    const struct merge *m;
    struct arena arena;   /* the source that is open */
    struct arena scratch; /* the encoder's */
    struct batch *batch;  /* of the block being made */
    struct key *window;   /* in order, from `begin` to `n` */
    size_t begin, n, cap;
    uint64_t window_bytes; /* raw, about; of the rows that its keys are of */
    uint32_t next;         /* the first source that has not entered */
    uint64_t scratch_bytes;
};

int64_t day_of(int64_t time_ns)
{
    int64_t day = time_ns / NS_PER_DAY;
    return time_ns % NS_PER_DAY < 0 ? day - 1 : day;
}

static int64_t sub_clamped(int64_t a, int64_t b)
{
    int64_t r;
    return __builtin_sub_overflow(a, b, &r) ? (b > 0 ? INT64_MIN : INT64_MAX) : r;
}

bool retention_timely(int64_t time_min, int64_t time_max, int64_t arrival_ns)
{
    return time_min >= sub_clamped(arrival_ns, LATE_NS) &&
           time_max <= sub_clamped(arrival_ns, -FUTURE_NS);
}

int64_t retention_day(int64_t time_ns, int64_t arrival_ns)
{
    return day_of(retention_timely(time_ns, time_ns, arrival_ns) ? time_ns : arrival_ns);
}

/* ---- rows by origin ---- */

/* fn for each run of the rows, with its end. */
static enum err each_run(struct rows *r,
                         void (*fn)(void *ctx, const struct origin_run *run, uint32_t end,
                                    const int64_t *time),
                         void *ctx)
{
    const int64_t *time;
    const struct origin_run *run;
    uint32_t n_runs;
    TRY(rows_time(r, &time));
    TRY(r->ops->origin(r, &run, &n_runs));
    for (uint32_t i = 0; i < n_runs; i++)
        fn(ctx, &run[i], i + 1 < n_runs ? run[i + 1].row : r->n, time);
    return OK;
}

struct days {
    int64_t **day;
    size_t *n, *cap;
};

static void add_day(const struct days *d, int64_t day)
{
    for (size_t i = *d->n; i-- > 0;) /* the newest first: nearly always the one */
        if ((*d->day)[i] == day)
            return;
    ARRAY_GROW(*d->day, *d->cap, *d->n + 1);
    (*d->day)[(*d->n)++] = day;
}

static void run_days(void *ctx, const struct origin_run *run, uint32_t end, const int64_t *time)
{
    for (uint32_t row = run->row; row < end; row++)
        add_day(ctx, retention_day(time[row], run->arrival_ns));
}

/* NOLINTNEXTLINE(readability-non-const-parameter): written through `d` */
enum err retention_days(struct rows *r, int64_t **day, size_t *n, size_t *cap)
{
    struct days d = {day, n, cap};
    return each_run(r, run_days, &d);
}

struct flagging {
    const struct rows *rows;
    struct arena *arena;
    uint8_t *flags; /* made when the first is set */
};

static void run_flags(void *ctx, const struct origin_run *run, uint32_t end, const int64_t *time)
{
    struct flagging *f = ctx;
    if (retention_timely(f->rows->time_min, f->rows->time_max, run->arrival_ns))
        return;
    for (uint32_t row = run->row; row < end; row++) {
        if (retention_timely(time[row], time[row], run->arrival_ns))
            continue;
        if (!f->flags) {
            f->flags = arena_zalloc(f->arena, f->rows->n);
            if (f->rows->flags)
                memcpy(f->flags, f->rows->flags, f->rows->n);
        }
        f->flags[row] |= ROW_TIME_LATE;
    }
}

/* Flags the rows whose retention day is that of their arrival. */
static enum err flag_late(struct rows *r, struct arena *a)
{
    struct flagging f = {r, a, NULL};
    const uint8_t *had;
    TRY(rows_flags(r, &had));
    TRY(each_run(r, run_flags, &f));
    if (f.flags)
        r->flags = f.flags;
    return OK;
}

/* ---- making a block ---- */

static enum err emit_rows(struct merging *g, struct rows *r)
{
    if (g->m->stop && g->m->stop(g->m->ctx))
        return err_set(ERR_CANCELED, "the store is being closed");
    TRY(flag_late(r, &g->scratch));
    r->stream = g->m->stream;
    struct block *b;
    struct block_options o = {g->m->zstd_level, g->m->memory};
    enum err err = block_encode(r, &o, g->m->owner, &g->scratch, &b);
    arena_reset(&g->scratch);
    TRY(err);
    return g->m->emit(g->m->ctx, b);
}

static enum err emit_batch(struct merging *g)
{
    if (!batch_rows(g->batch))
        return OK;
    struct rows rows;
    batch_view(g->batch, &g->scratch, &rows);
    enum err err = emit_rows(g, &rows);
    batch_free(g->batch); /* not cleared: it would keep columns that later rows do not have */
    g->batch = batch_new();
    return err;
}

static enum err open_beside(struct merging *g, uint32_t source, struct rows *ret)
{
    if (g->m->opened)
        *g->m->opened = source;
    TRY(g->m->open(g->m->ctx, source, &g->arena, ret));
    CHECK(ret->n == g->m->source[source].rows);
    return OK;
}

static enum err open_source(struct merging *g, uint32_t source, struct rows *ret)
{
    arena_reset(&g->arena);
    return open_beside(g, source, ret);
}

/* Adds all rows of a source, which stays open until the block is made. */
static enum err hold_source(struct merging *g, uint32_t source)
{
    struct rows rows;
    TRY(open_beside(g, source, &rows));
    enum err err = batch_hold_rows(g->batch, &rows);
    if (err == ERR_LIMIT && batch_rows(g->batch)) {
        TRY(emit_batch(g));
        TRY(open_source(g, source, &rows));
        err = batch_hold_rows(g->batch, &rows);
    }
    return err;
}

/* `row` NULL: all of the n rows. */
static enum err append_source(struct merging *g, uint32_t source, const uint32_t *row, uint32_t n)
{
    struct rows rows;
    TRY(open_source(g, source, &rows));
    bool whole = n == rows.n;
    enum err err = batch_append_rows(g->batch, &rows, whole ? NULL : row, n);
    if (err == ERR_LIMIT && batch_rows(g->batch)) {
        TRY(emit_batch(g));
        err = batch_append_rows(g->batch, &rows, whole ? NULL : row, n);
    }
    return err;
}

static enum err encode_whole_source(struct merging *g, uint32_t source)
{
    struct rows rows;
    TRY(open_source(g, source, &rows));
    return emit_rows(g, &rows);
}

struct place {
    uint32_t source, row;
};

static int place_cmp(const void *pa, const void *pb)
{
    const struct place *a = pa, *b = pb;
    if (a->source != b->source)
        return a->source < b->source ? -1 : 1;
    return a->row < b->row ? -1 : a->row > b->row;
}

/* Appends the rows at the places source by source. */
static enum err append_places(struct merging *g, const struct place *place, size_t n)
{
    uint32_t *row = NEW_ARRAY(uint32_t, n);
    enum err err = OK;
    for (size_t i = 0; err == OK && i < n;) {
        uint32_t source = place[i].source, count = 0;
        for (; i < n && place[i].source == source; i++)
            row[count++] = place[i].row;
        err = append_source(g, source, row, count);
    }
    mem_free(row);
    return err;
}

static enum err make_block(struct merging *g, const struct key *key, size_t n)
{
    struct place *place = NEW_ARRAY(struct place, n);
    bool ordered = true;
    for (size_t i = 0; i < n; i++) {
        place[i] = (struct place){key[i].source, key[i].row};
        ordered = ordered && (!i || place_cmp(&place[i - 1], &place[i]) < 0);
    }
    if (!ordered)
        qsort(place, n, sizeof(*place), place_cmp);
    bool whole = place[0].source == place[n - 1].source && n == g->m->source[place[0].source].rows;
    enum err err = whole ? encode_whole_source(g, place[0].source) : append_places(g, place, n);
    mem_free(place);
    return err == OK ? emit_batch(g) : err;
}

/* ---- the window ---- */

static int key_cmp(const void *pa, const void *pb)
{
    const struct key *a = pa, *b = pb;
    return row_order_cmp(&a->order, &b->order);
}

struct entering {
    const struct merge *m;
    uint32_t source;
    struct key *key;
    size_t n;
    bool ordered;
};

static void run_keys(void *ctx, const struct origin_run *run, uint32_t end, const int64_t *time)
{
    struct entering *e = ctx;
    for (uint32_t row = run->row; row < end; row++) {
        if (e->m->one_day && retention_day(time[row], run->arrival_ns) != e->m->day)
            continue;
        struct key *k = &e->key[e->n];
        *k = (struct key){
            .order = {time[row], run->position, run->partition, run->index + (row - run->row)},
            .source = e->source,
            .row = row};
        e->ordered = e->ordered && (!e->n || key_cmp(k - 1, k) < 0);
        e->n++;
    }
}

/* Two ordered runs of keys into one: window[begin..n) and key[0..n). */
static void window_merge(struct merging *g, const struct key *key, size_t n)
{
    size_t had = g->n - g->begin;
    if (!n)
        return;
    if (!had || key_cmp(&g->window[g->n - 1], key) < 0) {
        if (had)
            memmove(g->window, g->window + g->begin, had * sizeof(*key));
        ARRAY_GROW(g->window, g->cap, had + n);
        memcpy(g->window + had, key, n * sizeof(*key));
    } else {
        struct key *out = NEW_ARRAY(struct key, had + n);
        const struct key *a = g->window + g->begin, *a_end = a + had, *b = key, *b_end = key + n;
        for (size_t i = 0; i < had + n; i++)
            out[i] = b == b_end || (a < a_end && key_cmp(a, b) <= 0) ? *a++ : *b++;
        mem_free(g->window);
        g->window = out;
        g->cap = had + n;
    }
    g->begin = 0;
    g->n = had + n;
}

static uint64_t row_bytes(const struct merging *g, uint32_t source)
{
    const struct merge_source *s = &g->m->source[source];
    return s->raw_bytes / (s->rows ? s->rows : 1);
}

static enum err enter_next(struct merging *g)
{
    struct rows rows;
    uint32_t source = g->next;
    TRY(open_source(g, source, &rows));
    struct entering e = {g->m, source, NEW_ARRAY(struct key, rows.n ? rows.n : 1), 0, true};
    enum err err = each_run(&rows, run_keys, &e);
    if (err == OK) {
        if (!e.ordered)
            qsort(e.key, e.n, sizeof(*e.key), key_cmp);
        window_merge(g, e.key, e.n);
        g->window_bytes += e.n * row_bytes(g, source);
        g->next++;
    }
    mem_free(e.key);
    return err;
}

/* How many keys from the window's begin make a block. */
static size_t block_keys(const struct merging *g)
{
    size_t have = g->n - g->begin, most = have < g->m->block_rows ? have : g->m->block_rows;
    uint64_t bytes = 0;
    for (size_t i = 0; i < most; i++) {
        bytes += row_bytes(g, g->window[g->begin + i].source);
        if (bytes > g->m->block_bytes)
            return i ? i : 1;
    }
    return most;
}

/* Lets sources in until no other can hold a row of the next block. *ret_full: until there was no
 * room for more. */
static enum err fill_window(struct merging *g, bool *ret_full)
{
    *ret_full = false;
    while (g->next < g->m->n) {
        size_t have = g->n - g->begin, block = block_keys(g);
        if ((have > block || have == g->m->block_rows) &&
            g->m->source[g->next].time_min > g->window[g->begin + block - 1].order.time)
            break;
        *ret_full = have >= (size_t)g->m->block_rows * MERGE_WINDOW_BLOCKS ||
                    g->window_bytes >= g->m->block_bytes * MERGE_WINDOW_BLOCKS;
        if (*ret_full)
            break;
        TRY(enter_next(g));
    }
    return OK;
}

/* The next block from the window's begin; then a turn for others. */
static enum err drain(struct merging *g)
{
    size_t n = block_keys(g);
    TRY(make_block(g, g->window + g->begin, n));
    for (; n; n--)
        g->window_bytes -= row_bytes(g, g->window[g->begin++].source);
    arena_reset(&g->arena);
    gate_yield(g->m->gate, g->m->scratch_owner, g->scratch_bytes);
    return OK;
}

static enum err merge_windows(struct merging *g)
{
    for (;;) {
        bool full;
        TRY(fill_window(g, &full));
        if (g->begin == g->n)
            return OK;
        bool all = full || g->next == g->m->n;
        do
            TRY(drain(g));
        while (all && g->begin < g->n);
    }
}

static bool fits_one_block(const struct merge *m)
{
    uint64_t rows = 0, bytes = 0;
    for (uint32_t i = 0; i < m->n; i++) {
        rows += m->source[i].rows;
        bytes += m->source[i].raw_bytes;
    }
    return rows <= m->block_rows && (bytes <= m->block_bytes || rows == 1);
}

static enum err merge_one_block(struct merging *g)
{
    uint32_t rows = 0;
    if (g->m->n == 1)
        return encode_whole_source(g, 0);
    for (uint32_t i = 0; i < g->m->n; i++)
        rows += g->m->source[i].rows;
    batch_rows_room(g->batch, rows);
    for (uint32_t i = 0; i < g->m->n; i++)
        TRY(g->m->held ? hold_source(g, i) : append_source(g, i, NULL, g->m->source[i].rows));
    return emit_batch(g);
}

/* About what a merge takes: its largest source decoded, the batch, twice a block for the encoder,
 * whose worst case is one column that holds nearly all, and the window, which is copied when a
 * source enters. */
static uint64_t scratch_bytes(const struct merge *m)
{
    uint64_t all = 0, largest = 0, rows = 0, most = (uint64_t)m->block_rows * MERGE_WINDOW_BLOCKS;
    uint64_t window_bytes = MERGE_WINDOW_BLOCKS * m->block_bytes;
    for (uint32_t i = 0; i < m->n; i++) {
        all += m->source[i].raw_bytes;
        rows += m->source[i].rows;
        if (m->source[i].raw_bytes > largest)
            largest = m->source[i].raw_bytes;
    }
    uint64_t block = all < m->block_bytes ? all : m->block_bytes;
    uint64_t keys = rows < most ? rows : most;
    if (all > window_bytes && all / window_bytes * keys > rows)
        keys = rows / (all / window_bytes);
    if (fits_one_block(m))
        keys = 0;
    return largest + 3 * block + 2 * keys * sizeof(struct key);
}

enum err merge_run(const struct merge *m)
{
    CHECK(m->block_rows > 0);
    if (!m->n)
        return OK;
    struct merging g = {.m = m, .batch = batch_new(), .scratch_bytes = scratch_bytes(m)};
    gate_enter(m->gate, m->scratch_owner, g.scratch_bytes);
    arena_init(&g.arena, 0, NULL);
    arena_init(&g.scratch, 0, NULL);
    enum err err = !m->one_day && fits_one_block(m) ? merge_one_block(&g) : merge_windows(&g);
    mem_free(g.window);
    batch_free(g.batch);
    arena_release(&g.arena);
    arena_release(&g.scratch);
    gate_leave(m->gate, m->scratch_owner, g.scratch_bytes);
    return err;
}
