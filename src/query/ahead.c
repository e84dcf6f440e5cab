/* What is remembered of a search is its text, which is read again for each merge, and its key,
 * which must come out the same: then what is kept is what such a search would keep. */
#include "query/ahead.h"

#include "core/clock.h"
#include "core/hash.h"
#include "core/mem.h"
#include "core/metrics.h"
#include "query/chart.h"
#include "query/partial.h"
#include "query/run.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { AHEAD_SEARCHES = 64, AHEAD_TEXT_MAX = 64 << 10 };
enum { AHEAD_STREAMS_MAX = 1000 };
/* A search that was asked so often, the last time not longer ago than this. */
enum { AHEAD_TIMES = 2 };
#define AHEAD_FRESH_NS (300 * NS_PER_S)
#define AHEAD_LEAST_NS (5 * NS_PER_S)

struct search {
    uint64_t hash; /* of key and streams */
    uint64_t times;
    int64_t asked_mono;
    struct arena arena; /* of the rest */
    struct query_request request;
    struct str key;
    int64_t from, to;
};

struct ahead {
    struct query_engine *engine;
    _Atomic bool closing;
    pthread_mutex_t lock;
    struct search search[AHEAD_SEARCHES]; /* under lock */
    unsigned n;
};

static struct str copy(struct arena *a, struct str s)
{
    return s.n ? arena_str(a, s) : (struct str){0};
}

/* Not its times, nor who waits for it. */
static struct query_request copy_request(struct arena *a, const struct query_request *r)
{
    struct query_request q = {
        .org = copy(a, r->org),
        .q = copy(a, r->q),
        .pipes = copy(a, r->pipes),
        .default_field = copy(a, r->default_field),
        .or_default = r->or_default,
        .stream = copy(a, r->stream),
        .service = copy(a, r->service),
        .level = copy(a, r->level),
        .host = copy(a, r->host),
        .n_streams = r->n_streams,
        .now_ns = r->now_ns,
    };
    struct str *stream = ARENA_ARRAY(a, struct str, r->n_streams + 1);
    for (uint32_t i = 0; i < r->n_streams; i++)
        stream[i] = copy(a, r->streams[i]);
    q.streams = stream;
    return q;
}

static uint64_t search_hash(const struct query_request *r, struct str key)
{
    uint64_t hash = hash64_seed(r->stream, hash64_seed(r->org, hash64(key)));
    for (uint32_t i = 0; i < r->n_streams; i++)
        hash = hash64_seed(r->streams[i], hash);
    return hash;
}

/* That of the hash, or the place of a new one: with the lock. */
static struct search *find(struct ahead *a, uint64_t hash, bool *ret_new)
{
    struct search *oldest = &a->search[0];
    for (unsigned i = 0; i < a->n; i++) {
        struct search *s = &a->search[i];
        if (s->hash == hash) {
            *ret_new = false;
            return s;
        }
        if (s->asked_mono < oldest->asked_mono)
            oldest = s;
    }
    *ret_new = true;
    if (a->n < AHEAD_SEARCHES)
        return &a->search[a->n++];
    arena_release(&oldest->arena);
    return oldest;
}

void ahead_note(struct ahead *a, const struct scan *s, struct str key, int64_t from, int64_t to)
{
    const struct query_request *r = s->request;
    uint64_t hash = search_hash(r, key);
    bool is_new;
    if (key.n + r->q.n + r->pipes.n + r->stream.n > AHEAD_TEXT_MAX ||
        r->n_streams > AHEAD_STREAMS_MAX)
        return;
    pthread_mutex_lock(&a->lock);
    struct search *f = find(a, hash, &is_new);
    if (is_new) {
        *f = (struct search){.hash = hash};
        arena_init(&f->arena, 0, NULL);
        f->request = copy_request(&f->arena, r);
        f->key = copy(&f->arena, key);
    }
    f->times++;
    f->asked_mono = clock_mono_ns();
    f->request.from = s->from;
    f->request.to = s->to;
    f->from = from;
    f->to = to;
    pthread_mutex_unlock(&a->lock);
}

/* ---- behind a merge ---- */

/* A search that is asked of the new blocks. */
struct asked {
    struct scan scan;
    const struct pipe *pipe;
    struct str key;
    bool too_large;
};

struct one { /* block of one search */
    struct asked *asked;
    const struct block_ref *ref;
};

struct round {
    struct ahead *ahead;
    const struct merged *merged;
    struct arena arena;
    struct asked asked[AHEAD_SEARCHES];
    unsigned n;
    struct one *one;
    size_t n_ones, cap;
};

static unsigned copy_searches(struct ahead *a, struct arena *arena, struct search *out)
{
    int64_t now = clock_mono_ns();
    unsigned n = 0;
    pthread_mutex_lock(&a->lock);
    for (unsigned i = 0; i < a->n; i++) {
        const struct search *s = &a->search[i];
        if (s->times < AHEAD_TIMES || now - s->asked_mono > AHEAD_FRESH_NS)
            continue;
        out[n] = *s;
        out[n].request = copy_request(arena, &s->request);
        out[n].request.from = s->request.from;
        out[n].request.to = s->request.to;
        out[n++].key = copy(arena, s->key);
    }
    pthread_mutex_unlock(&a->lock);
    return n;
}

/* Its plan and its blocks; leaves it out where it does not come out as it did. */
static void add_search(struct round *r, const struct search *f)
{
    struct asked *q = &r->asked[r->n];
    const struct filter *filter;
    const struct pipe *pipe;
    struct buf key;
    struct query_request *request = ARENA_NEW(&r->arena, struct query_request);
    *request = f->request;
    if (query_stats_plan(request, &r->arena, &filter, &pipe) != OK ||
        scan_open_merged(r->ahead->engine, request, filter, r->merged, &r->arena, &q->scan) != OK)
        return;
    r->n++;
    q->pipe = chart_settle(pipe, f->from, f->to, &r->arena);
    q->key = f->key;
    buf_init(&key, 1 << 20);
    bool same = partial_key(&q->scan, q->pipe, &key) && str_eq(buf_str(&key), f->key);
    buf_release(&key);
    for (uint32_t i = 0; same && i < q->scan.n_blocks; i++) {
        if (!partial_may_keep(&q->scan, q->scan.block[i]))
            continue;
        ARRAY_GROW(r->one, r->cap, r->n_ones + 1);
        r->one[r->n_ones++] = (struct one){q, q->scan.block[i]};
    }
}

/* The newest first: most searches ask for them. */
static int one_cmp(const void *pa, const void *pb)
{
    const struct block_ref *a = ((const struct one *)pa)->ref, *b = ((const struct one *)pb)->ref;
    if (a->time_max != b->time_max)
        return a->time_max > b->time_max ? -1 : 1;
    if (a->lasting != b->lasting)
        return a->lasting < b->lasting ? -1 : 1;
    return (a->place > b->place) - (a->place < b->place);
}

static enum err answer(const struct one *o, struct rows *rows, struct arena *arena,
                       struct account *memory)
{
    struct asked *q = o->asked;
    struct scan *s = &q->scan;
    const uint32_t *row;
    uint32_t n;
    TRY(scan_select(s, rows, arena, &row, &n));
    struct agg_table *t = agg_new(q->pipe, memory);
    enum err err = n ? agg_add(t, rows, row, n, arena) : OK;
    if (err == OK && !arena->failed)
        q->too_large = !partial_put(o->ref, q->key, t, n);
    agg_free(t);
    return err;
}

/* All that is asked of one block. What cannot be read is left to the searches themselves. */
static void answer_block(const struct one *one, size_t n, struct arena *arena,
                         struct account *memory)
{
    struct rows rows;
    uint64_t made = 0;
    if (block_open(one->asked->scan.snapshot, one->ref, arena, &rows, NULL) != OK)
        return;
    for (size_t i = 0; i < n && !arena->failed; i++)
        if (!one[i].asked->too_large)
            made += answer(&one[i], &rows, arena, memory) == OK;
    metric_add(metric_counter("weir_query_kept_ahead_total", NULL,
                              "Answers of merged blocks that were made before their first search."),
               made);
}

static void answer_all(struct round *r)
{
    int64_t took = merged_took_ns(r->merged);
    int64_t until = clock_mono_ns() + (took > AHEAD_LEAST_NS ? took : AHEAD_LEAST_NS);
    struct reservation res;
    struct arena arena;
    struct account memory = {.max = r->ahead->engine->options.query_memory};
    reservation_init_of(&res, OWNER_QUERY, &memory);
    arena_init(&arena, 0, &res);
    for (size_t i = 0, end; i < r->n_ones; i = end) {
        for (end = i + 1; end < r->n_ones && one_cmp(&r->one[i], &r->one[end]) == 0;)
            end++;
        if (r->ahead->closing || clock_mono_ns() > until)
            break;
        answer_block(&r->one[i], end - i, &arena, &memory);
        arena_reset(&arena);
    }
    arena_release(&arena);
    reservation_release(&res);
}

static void merged(void *ctx, const struct merged *m)
{
    struct ahead *a = ctx;
    struct round *r = NEW(struct round);
    struct search *search = NEW_ARRAY(struct search, AHEAD_SEARCHES);
    r->ahead = a;
    r->merged = m;
    arena_init(&r->arena, 0, NULL);
    unsigned n = copy_searches(a, &r->arena, search);
    for (unsigned i = 0; i < n; i++)
        add_search(r, &search[i]);
    if (r->n_ones > 1)
        qsort(r->one, r->n_ones, sizeof(*r->one), one_cmp);
    answer_all(r);
    for (unsigned i = 0; i < r->n; i++)
        scan_close(&r->asked[i].scan);
    mem_free(r->one);
    arena_release(&r->arena);
    mem_free(search);
    mem_free(r);
}

struct ahead *ahead_new(struct query_engine *e)
{
    struct ahead *a = NEW(struct ahead);
    a->engine = e;
    pthread_mutex_init(&a->lock, NULL);
    store_on_merge(e->options.store, merged, a);
    return a;
}

void ahead_free(struct ahead *a)
{
    if (!a)
        return;
    a->closing = true;
    store_on_merge(a->engine->options.store, NULL, NULL);
    for (unsigned i = 0; i < a->n; i++)
        arena_release(&a->search[i].arena);
    pthread_mutex_destroy(&a->lock);
    mem_free(a);
}
