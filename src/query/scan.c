/* The parallel scan. Workers take block numbers from one counter; the first error ends all of them.
 * The caller waits only for the workers that have begun: a busy pool starts the rest after the scan
 * is closed, and they go home without touching it. */
#include "query/scan.h"

#include "core/clock.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/metrics.h"
#include "query/ahead.h"
#include "query/edge.h"
#include "query/turns.h"
#include "record/bitmap.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct scan_run {
    struct scan *scan; /* not to be touched once closed */
    pthread_mutex_t lock;
    pthread_cond_t idle;
    _Atomic uint32_t next;
    _Atomic unsigned workers;
    /* Under lock: */
    unsigned refs, active;
    bool closed;
    enum err err; /* the first */
    char text[512];
};

enum err query_engine_new(const struct query_engine_options *o, struct query_engine **ret)
{
    struct query_engine *e = NEW(struct query_engine);
    e->options = *o;
    e->deadline_ns = o->deadline_ns;
    e->threads = o->threads ? o->threads : thread_cpus();
    e->threads = e->threads > SCAN_WORKERS_MAX ? SCAN_WORKERS_MAX : e->threads;
    e->pool = e->threads > 1 ? pool_new("scan", e->threads - 1, 4096) : NULL;
    e->ahead = ahead_new(e);
    e->edges = edges_new();
    e->turns = turns_new(e->threads);
    *ret = e;
    return OK;
}

void query_engine_set_deadline(struct query_engine *e, int64_t deadline_ns)
{
    e->deadline_ns = deadline_ns;
}

void query_engine_free(struct query_engine *e)
{
    if (!e)
        return;
    ahead_free(e->ahead);
    if (e->pool)
        pool_free(e->pool);
    edges_free(e->edges);
    turns_free(e->turns);
    mem_free(e);
}

/* By the name where times are equal: a cut changes the snapshot's order, but no names. */
static int newest_first(const void *a, const void *b)
{
    const struct block_ref *x = *(const struct block_ref *const *)a;
    const struct block_ref *y = *(const struct block_ref *const *)b;
    if (x->time_max != y->time_max)
        return x->time_max < y->time_max ? 1 : -1;
    if (x->lasting != y->lasting)
        return x->lasting < y->lasting ? 1 : -1;
    return (x->place < y->place) - (x->place > y->place);
}

static const struct filter *with_parameters(const struct query_request *r,
                                            const struct filter *filter, struct arena *arena)
{
    const struct {
        const char *field;
        struct str value;
    } parameter[] = {{"service", r->service}, {"level", r->level}, {"host", r->host}};
    for (size_t i = 0; i < 3; i++)
        if (parameter[i].value.n)
            filter = filter_and(
                arena, filter_equal(arena, str_c(parameter[i].field), parameter[i].value), filter);
    return filter;
}

static uint32_t stream_list(struct str list, struct arena *arena, struct str **ret)
{
    struct str *stream = ARENA_ARRAY(arena, struct str, list.n / 2 + 1);
    struct str part;
    uint32_t n = 0;
    while (list.n && str_split(&list, ',', &part)) {
        part = str_trim(part);
        if (part.n)
            stream[n++] = part;
    }
    *ret = stream;
    return n;
}

static bool is_over(void *ctx)
{
    const struct query_request *r = ctx;
    return r->canceled && *r->canceled;
}

/* `m` NULL: of what the store has. */
static enum err open_scan(struct query_engine *e, const struct query_request *r,
                          const struct filter *filter, const struct merged *m, struct arena *arena,
                          struct scan *ret)
{
    int64_t deadline = e->deadline_ns;
    if (r->deadline_ns && (!deadline || r->deadline_ns < deadline))
        deadline = r->deadline_ns;
    *ret = (struct scan){
        .engine = e,
        .request = r,
        .filter = with_parameters(r, filter, arena),
        .from = r->from,
        .to = r->to,
        .deadline_mono = deadline ? clock_mono_ns() + deadline : INT64_MAX,
    };
    filter_time_bounds(ret->filter, &ret->from, &ret->to);
    struct str *stream;
    ret->wait = (struct objects_wait){ret->deadline_mono, is_over, (void *)r};
    struct snapshot_want want = {.org = r->org,
                                 .from = ret->from,
                                 .to = ret->to,
                                 .behind = r->behind,
                                 .window = r->window,
                                 .wait = &ret->wait};
    want.n_streams = stream_list(r->stream, arena, &stream);
    want.stream = stream;
    if (r->n_streams) {
        want.n_streams = r->n_streams;
        want.stream = r->streams;
    }
    TRY(m ? snapshot_open_merged(m, &want, &ret->snapshot)
          : snapshot_open(e->options.store, &want, &ret->snapshot));
    size_t n;
    const struct block_ref *block = snapshot_blocks(ret->snapshot, &n);
    ret->block = (const struct block_ref **)ARENA_ARRAY(arena, struct block_ref *, n);
    for (size_t i = 0; i < n; i++)
        if (filter_may_match_stream(ret->filter, block[i].stream))
            ret->block[ret->n_blocks++] = &block[i];
    if (ret->n_blocks > 1)
        qsort(ret->block, ret->n_blocks, sizeof(*ret->block), newest_first);
    struct snapshot_stats stats;
    snapshot_stats(ret->snapshot, &stats);
    ret->blocks_total = stats.blocks_total;
    ret->unreadable = stats.unreadable;
    ret->warned = stats.unreadable > 0;
    if (stats.unreadable && stats.why[0])
        snprintf(ret->warning, sizeof(ret->warning), "%" PRIu64 " sections are missing: %s",
                 stats.unreadable, stats.why);
    else if (stats.unreadable)
        snprintf(ret->warning, sizeof(ret->warning),
                 "%" PRIu64 " sections of segments are missing or damaged, the log names them",
                 stats.unreadable);
    ret->pruned_time = stats.blocks_total > ret->n_blocks ? stats.blocks_total - ret->n_blocks : 0;
    ret->memory.max = e->options.query_memory;
    return OK;
}

enum err scan_open(struct query_engine *e, const struct query_request *r,
                   const struct filter *filter, struct arena *arena, struct scan *ret)
{
    return open_scan(e, r, filter, NULL, arena, ret);
}

enum err scan_open_merged(struct query_engine *e, const struct query_request *r,
                          const struct filter *filter, const struct merged *m, struct arena *arena,
                          struct scan *ret)
{
    return open_scan(e, r, filter, m, arena, ret);
}

enum err query_filter(const struct query_request *r, struct arena *arena, const struct filter **ret)
{
    struct filter_options o = query_filter_options(r);
    return filter_parse(r->q, &o, arena, ret, NULL, NULL);
}

enum err scan_open_filter(struct query_engine *e, const struct query_request *r,
                          struct arena *arena, struct scan *ret)
{
    const struct filter *filter;
    TRY(query_filter(r, arena, &filter));
    return scan_open(e, r, filter, arena, ret);
}

static int oldest_first(const void *a, const void *b)
{
    const struct block_ref *x = *(const struct block_ref *const *)a;
    const struct block_ref *y = *(const struct block_ref *const *)b;
    if (x->time_min != y->time_min)
        return x->time_min < y->time_min ? -1 : 1;
    return (x->order > y->order) - (x->order < y->order);
}

void scan_oldest_first(struct scan *s)
{
    if (s->n_blocks > 1)
        qsort(s->block, s->n_blocks, sizeof(*s->block), oldest_first);
}

void scan_close(struct scan *s)
{
    if (s->snapshot)
        snapshot_close(s->snapshot);
    s->snapshot = NULL;
}

unsigned scan_workers(const struct scan *s)
{
    return s->engine->threads;
}

static void fail(struct scan_run *run, enum err err)
{
    pthread_mutex_lock(&run->lock);
    if (run->err == OK) {
        run->err = err;
        snprintf(run->text, sizeof(run->text), "%s", err_text());
    }
    pthread_mutex_unlock(&run->lock);
    run->scan->stop = true;
}

static bool is_damage(enum err err)
{
    return err == ERR_CORRUPT || err == ERR_IO || err == ERR_EOF;
}

bool scan_unreadable(struct scan *s, enum err err)
{
    if (!is_damage(err))
        return false;
    s->unreadable++;
    metric_add(metric_counter("weir_query_unreadable_blocks_total", NULL,
                              "Damaged blocks that queries left out."),
               1);
    if (!atomic_exchange(&s->warned, true)) {
        snprintf(s->warning, sizeof(s->warning), "%s", err_text());
        log_error("block cannot be read, the answer is partial", "error=%s", err_text());
    }
    return true;
}

enum err scan_check(struct scan *s)
{
    if (s->request && s->request->canceled && *s->request->canceled)
        return err_set(ERR_CANCELED, "the client has left");
    if (clock_mono_ns() > s->deadline_mono)
        return err_set(ERR_TIMEOUT,
                       "the query passed its deadline (query.deadline): narrow the time "
                       "range or the filter");
    return OK;
}

static bool time_within(const struct scan *s, int64_t min, int64_t max)
{
    return min >= s->from && (max < s->to || s->to == INT64_MAX);
}

bool scan_covers(const struct scan *s, const struct block_ref *ref)
{
    return time_within(s, ref->time_min, ref->time_max);
}

bool scan_whole(const struct scan *s, const struct block_ref *ref)
{
    return filter_is_all(s->filter) && scan_covers(s, ref);
}

static enum err mask_time(const struct scan *s, struct rows *rows, uint64_t *bits)
{
    if (time_within(s, rows->time_min, rows->time_max))
        return OK;
    const int64_t *time;
    TRY(rows_time(rows, &time));
    uint64_t from = (uint64_t)s->from;
    uint64_t width = (uint64_t)(s->to == INT64_MAX ? INT64_MAX : s->to - 1) - from;
    for (uint32_t at = 0; at < rows->n; at += 64) {
        uint32_t n = rows->n - at < 64 ? rows->n - at : 64;
        uint64_t in = 0;
        for (uint32_t i = 0; i < n; i++)
            in |= (uint64_t)((uint64_t)time[at + i] - from <= width) << i;
        bits[at / 64] &= in;
    }
    return OK;
}

/* A search that has read blocks for longer takes turns with others, of some blocks each. */
#define SHORT_NS (5 * NS_PER_MS)
#define TURN_NS (5 * NS_PER_MS)

enum { IDENTITY_ROWS = 1 << 17, AHEAD_BLOCKS = 16 };

static uint32_t identity[IDENTITY_ROWS];
static pthread_once_t identity_once = PTHREAD_ONCE_INIT;

static void identity_fill(void)
{
    for (uint32_t i = 0; i < IDENTITY_ROWS; i++)
        identity[i] = i;
}

/* 0, 1, 2, ...: what is selected of a block that is wanted whole. */
static const uint32_t *all_rows(uint32_t n, struct arena *arena)
{
    pthread_once(&identity_once, identity_fill);
    if (n <= IDENTITY_ROWS)
        return identity;
    uint32_t *row = arena_alloc(arena, n * sizeof(*row));
    for (uint32_t i = 0; i < n; i++)
        row[i] = i;
    return row;
}

static void take_all(struct rows *rows, struct arena *arena, const uint32_t **ret_row,
                     uint32_t *ret_n)
{
    *ret_row = all_rows(rows->n, arena);
    *ret_n = rows->n;
}

enum err scan_match(const struct scan *s, struct rows *rows, struct arena *arena,
                    const uint32_t **ret_row, uint32_t *ret_n)
{
    bool all = filter_is_all(s->filter);
    *ret_n = 0;
    if (all && time_within(s, rows->time_min, rows->time_max)) {
        take_all(rows, arena, ret_row, ret_n);
        return OK;
    }
    uint64_t *bits = bitmap_new(arena, rows->n);
    if (all)
        bitmap_fill(bits, rows->n);
    else
        TRY(filter_eval(s->filter, rows, arena, bits));
    TRY(mask_time(s, rows, bits));
    uint32_t n = bitmap_count(bits, rows->n);
    if (n == 0)
        return OK;
    if (n == rows->n) {
        take_all(rows, arena, ret_row, ret_n);
        return OK;
    }
    uint32_t *row = arena_alloc(arena, n * sizeof(*row));
    bitmap_list(bits, rows->n, row);
    *ret_row = row;
    *ret_n = n;
    return OK;
}

enum err scan_select(struct scan *s, struct rows *rows, struct arena *arena,
                     const uint32_t **ret_row, uint32_t *ret_n)
{
    *ret_n = 0;
    if (!filter_is_all(s->filter) && !filter_may_match(s->filter, rows)) {
        s->pruned_filter++;
        return OK;
    }
    s->scanned++;
    TRY(scan_match(s, rows, arena, ret_row, ret_n));
    s->empty += *ret_n == 0;
    return OK;
}

static enum err run_steps(struct scan *s, struct scan_block *b, struct arena *arena)
{
    struct step_rows rows = {.rows = b->rows, .row = b->row, .n = b->n};
    TRY(steps_run(s->step, s->n_steps, &rows, arena));
    uint32_t *source = ARENA_TRY_ARRAY(arena, uint32_t, rows.n);
    uint32_t *part = ARENA_TRY_ARRAY(arena, uint32_t, rows.n);
    if (!source || !part)
        return err_set(ERR_NOMEM, "no memory for %u rows (query.memory)", rows.n);
    for (uint32_t i = 0; i < rows.n; i++) {
        source[i] = b->row[rows.from ? rows.from[i] : i];
        part[i] = i && source[i] == source[i - 1] ? part[i - 1] + 1 : 0;
    }
    b->rows = rows.rows;
    b->row = rows.row;
    b->n = rows.n;
    b->source = source;
    b->part = part;
    return OK;
}

enum err scan_name_memory(const struct scan *s, enum err err)
{
    if (err != ERR_NOMEM || strstr(err_text(), "query.memory") ||
        strstr(err_text(), "memory.budget"))
        return err;
    char text[200];
    snprintf(text, sizeof(text), "%s", err_text());
    return err_set(ERR_NOMEM,
                   "this query needs more memory than it may hold (%zu MiB, query.memory): %s",
                   s->memory.max >> 20, text);
}

static enum err open_and_select(struct scan *s, struct scan_block *b, struct arena *arena,
                                uint64_t *bytes_read)
{
    TRY(block_open(s->snapshot, b->ref, arena, b->rows, bytes_read));
    return scan_select(s, b->rows, arena, &b->row, &b->n);
}

static enum err scan_block(struct scan *s, uint32_t number, unsigned worker, struct arena *arena)
{
    const struct block_ref *ref = s->block[number];
    struct rows rows;
    uint64_t bytes_read = 0;
    struct scan_block b = {
        .rows = &rows, .ref = ref, .number = number, .arena = arena, .worker = worker};
    enum err err = open_and_select(s, &b, arena, &bytes_read);
    if (is_damage(err) && block_suspect(s->snapshot, ref))
        err = open_and_select(s, &b, arena, &bytes_read);
    uint32_t matched = b.n;
    if (err == OK && b.n && s->n_steps)
        err = run_steps(s, &b, arena);
    if (err == OK && (b.n || s->visit_empty))
        err = s->visit(s->ctx, &b);
    if (err == OK)
        s->matched += matched;
    else if (is_damage(err))
        (void)block_suspect(s->snapshot, ref); /* the next one reads another copy */
    if (err != OK && scan_unreadable(s, err))
        err = OK;
    s->bytes_read += bytes_read;
    return err == OK && arena->failed ? err_set(ERR_NOMEM, "its rows do not fit") : err;
}

/* Not of the first blocks, which may be all that is wanted. */
static void look_ahead(struct scan *s, uint32_t number)
{
    if (number < s->engine->threads || !snapshot_is_remote(s->snapshot))
        return;
    for (uint32_t i = number + 1; i < s->n_blocks && i <= number + AHEAD_BLOCKS; i++)
        block_ahead(s->snapshot, s->block[i]);
}

/* Who waits for what is at rest elsewhere lets others have the turn. */
static enum err have_block(struct scan *s, const struct block_ref *ref, unsigned worker)
{
    if (!snapshot_is_remote(s->snapshot) || block_is_here(s->snapshot, ref))
        return OK;
    scan_pause(s, worker);
    enum err err = block_fetch(s->snapshot, ref);
    scan_resume(s, worker);
    return err;
}

static enum err scan_one(struct scan *s, uint32_t number, unsigned worker, struct arena *arena)
{
    const struct block_ref *ref = s->block[number];
    TRY(scan_check(s));
    if (s->skip && s->skip(s->ctx, ref)) {
        s->pruned_early++;
        return OK;
    }
    look_ahead(s, number);
    enum err err = have_block(s, ref, worker);
    if (err == OK)
        err = scan_block(s, number, worker, arena);
    else if (scan_unreadable(s, err))
        err = OK;
    if (s->leave)
        s->leave(s->ctx, ref);
    return scan_name_memory(s, err);
}

void scan_pause(struct scan *s, unsigned worker)
{
    if (s->in_turn[worker])
        turns_give(s->engine->turns);
}

void scan_resume(struct scan *s, unsigned worker)
{
    if (s->in_turn[worker])
        turns_take(s->engine->turns);
}

static void end_turn(struct scan *s, unsigned worker)
{
    scan_pause(s, worker);
    s->in_turn[worker] = false;
}

/* A turn begins before `skip`: who has said that it is at a block does not wait. */
static enum err scan_in_turn(struct scan *s, uint32_t number, unsigned worker, struct arena *arena)
{
    if (!s->in_turn[worker] && s->spent_ns > SHORT_NS) {
        s->in_turn[worker] = true;
        s->turn_ns[worker] = 0;
        scan_resume(s, worker);
    }
    int64_t began = clock_thread_ns();
    enum err err = scan_one(s, number, worker, arena);
    int64_t took = clock_thread_ns() - began;
    s->spent_ns += took;
    s->turn_ns[worker] += took;
    if (s->turn_ns[worker] > TURN_NS)
        end_turn(s, worker);
    return err;
}

static void work(struct scan_run *run)
{
    struct scan *s = run->scan;
    unsigned worker = run->workers++;
    struct reservation res;
    struct arena arena;
    reservation_init_of(&res, OWNER_QUERY, &s->memory);
    arena_init(&arena, 0, &res);
    while (!s->stop) {
        uint32_t number = run->next++;
        if (number >= s->n_blocks)
            break;
        enum err err = scan_in_turn(s, number, worker, &arena);
        if (err != OK)
            fail(run, err);
        arena_reset(&arena);
    }
    end_turn(s, worker);
    arena_release(&arena);
    reservation_release(&res);
}

static void unref(struct scan_run *run)
{
    pthread_mutex_lock(&run->lock);
    bool last = --run->refs == 0;
    pthread_mutex_unlock(&run->lock);
    if (!last)
        return;
    pthread_cond_destroy(&run->idle);
    pthread_mutex_destroy(&run->lock);
    mem_free(run);
}

static void pool_work(void *arg)
{
    struct scan_run *run = arg;
    pthread_mutex_lock(&run->lock);
    bool begin = !run->closed;
    run->active += begin;
    pthread_mutex_unlock(&run->lock);
    if (begin) {
        work(run);
        pthread_mutex_lock(&run->lock);
        if (--run->active == 0)
            pthread_cond_signal(&run->idle);
        pthread_mutex_unlock(&run->lock);
    }
    unref(run);
}

static void close_run(struct scan_run *run)
{
    pthread_mutex_lock(&run->lock);
    run->closed = true;
    while (run->active)
        pthread_cond_wait(&run->idle, &run->lock);
    pthread_mutex_unlock(&run->lock);
}

enum err scan_run(struct scan *s)
{
    struct scan_run *run = NEW(struct scan_run);
    run->scan = s;
    run->refs = 1;
    pthread_mutex_init(&run->lock, NULL);
    pthread_cond_init(&run->idle, NULL);
    unsigned helpers = s->engine->threads - 1;
    if (s->n_blocks < helpers + 1)
        helpers = s->n_blocks ? s->n_blocks - 1 : 0;
    for (unsigned i = 0; i < helpers; i++) {
        pthread_mutex_lock(&run->lock);
        run->refs++;
        pthread_mutex_unlock(&run->lock);
        if (pool_submit(s->engine->pool, pool_work, run) != OK)
            unref(run);
    }
    work(run);
    close_run(run);
    enum err err = run->err == OK ? OK : err_set(run->err, "%s", run->text);
    unref(run);
    return err;
}

/* The outputs of a row stand together and in order: those asked for are met in one pass. */
static enum err find_parts(const struct step_rows *made, const uint32_t *from, const uint32_t *part,
                           uint32_t n, uint32_t *ret_row)
{
    uint32_t k = 0;
    for (uint32_t i = 0, first = 0; i < made->n && k < n; i++) {
        uint32_t source = made->from ? made->from[i] : i;
        if (i && source != (made->from ? made->from[i - 1] : i - 1))
            first = i;
        while (k < n && from[k] == source && part[k] == i - first)
            ret_row[k++] = made->row[i];
    }
    return k == n ? OK : err_set(ERR_CORRUPT, "rows read again are not those read before");
}

enum err scan_reopen(struct scan *s, uint32_t number, const uint32_t *row, const uint32_t *part,
                     uint32_t n, struct arena *arena, struct rows *ret, uint32_t *ret_row)
{
    TRY(block_open(s->snapshot, s->block[number], arena, ret, NULL));
    memcpy(ret_row, row, n * sizeof(*row));
    if (!s->n_steps)
        return OK;
    uint32_t *once = arena_alloc(arena, n * sizeof(*once)), m = 0;
    uint32_t *from = arena_alloc(arena, n * sizeof(*from)); /* places in `once` */
    for (uint32_t i = 0; i < n; i++) {
        if (m == 0 || once[m - 1] != row[i])
            once[m++] = row[i];
        from[i] = m - 1;
    }
    struct rows *base = ARENA_NEW(arena, struct rows);
    *base = *ret;
    struct step_rows made = {.rows = base, .row = once, .n = m};
    TRY(steps_run(s->step, s->n_steps, &made, arena));
    TRY(find_parts(&made, from, part, n, ret_row));
    *ret = *made.rows;
    return OK;
}

bool scan_bounds(const struct scan *s, int64_t *ret_from, int64_t *ret_to)
{
    int64_t from = INT64_MAX, to = INT64_MIN;
    for (uint32_t i = 0; i < s->n_blocks; i++) {
        from = s->block[i]->time_min < from ? s->block[i]->time_min : from;
        to = s->block[i]->time_max > to ? s->block[i]->time_max : to;
    }
    if (s->n_blocks == 0)
        from = to = 0;
    to = to < INT64_MAX ? to + 1 : to;
    *ret_from = s->from != INT64_MIN ? s->from : from;
    *ret_to = s->to != INT64_MAX ? s->to : to;
    if (*ret_to <= *ret_from)
        *ret_to = *ret_from + 1;
    return s->n_blocks > 0;
}

struct filter_options query_filter_options(const struct query_request *q)
{
    return (struct filter_options){
        .now_ns = q->now_ns, .or_default = q->or_default, .default_field = q->default_field};
}

void scan_meta(const struct scan *s, int64_t started_mono, struct query_meta *ret)
{
    struct snapshot_stats stats = {0};
    if (s->snapshot)
        snapshot_stats(s->snapshot, &stats);
    *ret = (struct query_meta){
        .bytes_fetched = stats.fetched,
        .took_ns = clock_mono_ns() - started_mono,
        .blocks_total = s->blocks_total,
        .blocks_pruned = s->pruned_time + s->pruned_filter + s->pruned_early,
        .blocks_scanned = s->scanned,
        .bytes_read = s->bytes_read,
        .rows_matched = s->matched,
        .memory_peak = s->memory.peak,
        .unreadable = s->unreadable,
        .complete = !s->unreadable,
    };
    memcpy(ret->warning, s->warning, sizeof(ret->warning));
}
