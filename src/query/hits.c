/* Keeping the best rows, and fetching them again: rows are read block by block (a block is opened
 * once a page, whatever the order), then written in the order asked for. */
#include "query/hits.h"

#include "core/governor.h"
#include "core/mem.h"
#include "record/batch.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum { PAGE = 8192 };

struct hits_worker {
    struct hit *hit;
    size_t n, cap, sorted;
    struct arena arena, spare; /* key texts; the spare takes the survivors of a cut */
    struct reservation res;
};

size_t row_order_write(const struct row_order *o, char *out)
{
    return (size_t)snprintf(out, 64, "%" PRIx64 ".%x.%" PRIx64 ".%x", (uint64_t)o->time,
                            o->partition, o->position, o->index);
}

bool row_order_read(struct str s, struct row_order *ret)
{
    uint64_t part[4];
    for (int i = 0; i < 4; i++) {
        struct str text;
        if (!str_split(&s, '.', &text) || text.n == 0 || text.n > 16)
            return false;
        part[i] = 0;
        for (size_t k = 0; k < text.n; k++) {
            const char *digit = memchr("0123456789abcdef", text.p[k], 16);
            if (!digit)
                return false;
            static const char digits[] = "0123456789abcdef";
            part[i] = part[i] << 4 | (uint64_t)(strchr(digits, *digit) - digits);
        }
    }
    *ret = (struct row_order){(int64_t)part[0], part[2], (uint32_t)part[1], (uint32_t)part[3]};
    return s.n == 0 && part[1] <= UINT32_MAX && part[3] <= UINT32_MAX;
}

void hits_init(struct hits *h, unsigned workers, struct account *memory)
{
    h->n_workers = workers;
    h->worker = NEW_ARRAY(struct hits_worker, workers);
    h->edge = h->oldest ? INT64_MAX : INT64_MIN;
    h->memory = memory;
    for (unsigned i = 0; i < workers; i++) {
        struct hits_worker *w = &h->worker[i];
        reservation_init_of(&w->res, OWNER_QUERY, memory);
        arena_init(&w->arena, 0, &w->res);
        arena_init(&w->spare, 0, &w->res);
    }
}

void hits_release(struct hits *h)
{
    for (unsigned i = 0; i < h->n_workers; i++) {
        struct hits_worker *w = &h->worker[i];
        arena_release(&w->arena);
        arena_release(&w->spare);
        reservation_release(&w->res);
        mem_free(w->hit);
    }
    mem_free(h->worker);
    h->worker = NULL;
    h->n_workers = 0;
}

/* Times in nanoseconds: as texts they would not be in their order. */
static enum err read_times(const struct sort_keys *k, uint32_t f, struct rows *rows,
                           const uint32_t *row, uint32_t n, struct scalar *key)
{
    const int64_t *time;
    TRY(rows_time(rows, &time));
    for (uint32_t i = 0; i < n; i++)
        key[(size_t)i * k->n + f] = (struct scalar){
            .lane = LANE_INT, .i64 = time[row[i]], .f64 = (double)time[row[i]], .numeric = true};
    return OK;
}

enum err sort_keys_read(const struct sort_keys *k, struct rows *rows, const uint32_t *row,
                        uint32_t n, struct arena *arena, struct scalar **ret)
{
    struct scalar *key = arena_alloc(arena, ((size_t)n * k->n + 1) * sizeof(*key));
    for (size_t i = 0; i < (size_t)n * k->n; i++)
        key[i] = (struct scalar){.lane = SCALAR_NONE};
    for (uint32_t f = 0; f < k->n; f++) {
        struct field_values values;
        if (str_eq_c(k->key[f].field, "_time")) {
            TRY(read_times(k, f, rows, row, n, key));
            continue;
        }
        TRY(field_read(rows, k->key[f].field, row, n, arena, &values));
        for (uint32_t p = 0; p < values.n; p++) {
            const struct field_piece *piece = &values.piece[p];
            for (uint32_t i = 0; i < piece->n; i++)
                key[(size_t)(piece->sel ? piece->sel[i] : i) * k->n + f] =
                    scalar_of(&piece->v, piece->code ? piece->code[i] : i);
        }
    }
    *ret = key;
    return OK;
}

int sort_keys_cmp(const struct sort_keys *k, const struct scalar *a, const struct scalar *b)
{
    for (uint32_t f = 0; f < k->n; f++) {
        int c = scalar_cmp(&a[f], &b[f]);
        bool none = a[f].lane == SCALAR_NONE || b[f].lane == SCALAR_NONE;
        if (c)
            return k->key[f].descending && !none ? -c : c;
    }
    return 0;
}

static int hit_cmp(const void *a, const void *b, void *ctx)
{
    const struct hit *x = a, *y = b;
    const struct hits *h = ctx;
    int c = sort_keys_cmp(&h->keys, x->key, y->key);
    if (c)
        return c;
    return h->oldest ? hit_order_cmp(y, x) : hit_order_cmp(x, y);
}

int hit_order_cmp(const struct hit *a, const struct hit *b)
{
    int c = row_order_cmp(&b->order, &a->order);
    return c ? c : (a->part > b->part) - (a->part < b->part);
}

enum err hit_of(const struct scan_block *b, uint32_t i, struct hit *ret)
{
    *ret = (struct hit){.number = b->number,
                        .row = b->source ? b->source[i] : b->row[i],
                        .part = b->source ? b->part[i] : 0};
    return rows_order(b->rows, b->row[i], &ret->order);
}

static void copy_keys(const struct hits *h, struct hit *hit, struct arena *to)
{
    if (h->keys.n == 0)
        return;
    struct scalar *key = arena_alloc(to, h->keys.n * sizeof(*key));
    for (uint32_t k = 0; k < h->keys.n; k++) {
        key[k] = hit->key[k];
        if (key[k].text.n)
            key[k].text = arena_str(to, key[k].text);
    }
    hit->key = key;
}

/* Cuts a worker's list down to the best `keep`. */
static void cut(struct hits *h, struct hits_worker *w)
{
    if (w->n < h->keep || w->n == w->sorted)
        return;
    qsort_r(w->hit, w->n, sizeof(*w->hit), hit_cmp, h);
    if (w->n > h->keep && h->keys.n) {
        for (size_t i = 0; i < h->keep; i++)
            copy_keys(h, &w->hit[i], &w->spare);
        arena_release(&w->arena);
        struct arena swap = w->arena;
        w->arena = w->spare;
        w->spare = swap;
    }
    w->n = w->sorted = h->keep;
    if (h->keys.n || w->n == 0)
        return;
    int64_t last = w->hit[w->n - 1].order.time, edge = h->edge;
    while ((h->oldest ? edge > last : edge < last) &&
           !atomic_compare_exchange_weak(&h->edge, &edge, last))
        ;
}

static bool is_past(const struct hits *h, int64_t time)
{
    return h->keys.n == 0 && (h->oldest ? time > h->edge : time < h->edge);
}

bool hits_skip(const struct hits *h, const struct block_ref *ref)
{
    if (h->beyond && h->keys.n == 0 &&
        (h->oldest ? ref->time_max < h->beyond->time : ref->time_min > h->beyond->time))
        return true;
    return is_past(h, h->oldest ? ref->time_min : ref->time_max);
}

static enum err add(struct hits *h, struct hits_worker *w, const struct hit *hit)
{
    if (w->n >= 2 * h->keep + 1024)
        cut(h, w);
    if (w->n == w->cap) {
        size_t cap = w->cap ? w->cap * 2 : 256;
        if (reservation_grow(&w->res, (cap - w->cap) * sizeof(*hit)) != OK)
            return err_set(ERR_NOMEM,
                           "sorting needs more memory than a query may hold (%zu MiB, "
                           "query.memory): add a limit or narrow the filter",
                           h->memory->max >> 20);
        w->hit = mem_realloc(w->hit, cap * sizeof(*hit));
        w->cap = cap;
    }
    w->hit[w->n] = *hit;
    copy_keys(h, &w->hit[w->n++], &w->arena);
    return OK;
}

static bool comes_behind(const struct hits *h, const struct hit *hit)
{
    int c = sort_keys_cmp(&h->keys, hit->key, h->after->key);
    if (c || !h->after->order)
        return c > 0;
    return row_order_cmp(&hit->order, h->after->order) < 0;
}

enum err hits_visit(struct hits *h, const struct scan_block *b)
{
    struct hits_worker *w = &h->worker[b->worker];
    const int64_t *time;
    struct scalar *key = NULL;
    if (h->keep == 0)
        return OK;
    TRY(rows_time(b->rows, &time));
    if (h->keys.n)
        TRY(sort_keys_read(&h->keys, b->rows, b->row, b->n, b->arena, &key));
    for (uint32_t i = b->n; i-- > 0;) {
        uint32_t row = b->row[i];
        if (is_past(h, time[row]))
            continue;
        struct hit hit;
        TRY(hit_of(b, i, &hit));
        hit.key = key ? &key[(size_t)i * h->keys.n] : NULL;
        int side = h->beyond ? row_order_cmp(&hit.order, h->beyond) : 0;
        if (h->beyond && (h->oldest ? side <= 0 : side >= 0))
            continue;
        if (h->after && !comes_behind(h, &hit))
            continue;
        TRY(add(h, w, &hit));
    }
    cut(h, w);
    return w->arena.failed || w->spare.failed
               ? err_set(ERR_NOMEM,
                         "sorting needs more memory than a query may hold (query.memory)")
               : OK;
}

enum err hits_add(struct hits *h, const struct hit *hit)
{
    return add(h, &h->worker[0], hit);
}

enum err hits_finish(struct hits *h)
{
    struct hits_worker *first = &h->worker[0];
    for (unsigned i = 1; i < h->n_workers; i++) {
        struct hits_worker *w = &h->worker[i];
        size_t need = first->n + w->n;
        if (need > first->cap) {
            TRY(reservation_grow(&first->res, (need - first->cap) * sizeof(struct hit)));
            first->hit = mem_realloc(first->hit, need * sizeof(struct hit));
            first->cap = need;
        }
        if (w->n)
            memcpy(first->hit + first->n, w->hit, w->n * sizeof(struct hit));
        first->n = need;
    }
    if (first->n > 1)
        qsort_r(first->hit, first->n, sizeof(*first->hit), hit_cmp, h);
    h->hit = first->hit;
    h->n = first->n < h->keep ? first->n : h->keep;
    return OK;
}

/* ---- fetching ---- */

static int by_place(const void *a, const void *b, void *ctx)
{
    const struct hit *hit = ctx;
    const struct hit *x = &hit[*(const uint32_t *)a], *y = &hit[*(const uint32_t *)b];
    if (x->number != y->number)
        return x->number < y->number ? -1 : 1;
    if (x->row != y->row)
        return x->row < y->row ? -1 : 1;
    return (x->part > y->part) - (x->part < y->part);
}

struct page {
    const struct hit *hit;
    uint32_t n;
    uint32_t *place; /* hit numbers ordered by block and row */
    struct scan *scan;
    struct arena *arena; /* reset after each block */
    bool lossy;          /* the hits of a block that cannot be read are passed over */
    uint32_t number;     /* of the block being read */
};

typedef enum err page_fn(void *ctx, struct page *p, struct rows *rows, const uint32_t *row,
                         uint32_t n, const uint32_t *place);

/* The hits at places [from, to), which are of one block. */
static enum err read_page_block(struct page *p, uint32_t from, uint32_t to, void *ctx, page_fn *fn)
{
    uint32_t n = to - from;
    uint32_t *row = arena_alloc(p->arena, n * sizeof(*row));
    uint32_t *part = arena_alloc(p->arena, n * sizeof(*part));
    uint32_t *at = arena_alloc(p->arena, n * sizeof(*at));
    struct rows *rows = ARENA_NEW(p->arena, struct rows);
    for (uint32_t i = 0; i < n; i++) {
        row[i] = p->hit[p->place[from + i]].row;
        part[i] = p->hit[p->place[from + i]].part;
    }
    TRY(scan_reopen(p->scan, p->number, row, part, n, p->arena, rows, at));
    TRY(fn(ctx, p, rows, at, n, p->place + from));
    return p->arena->failed
               ? err_set(ERR_NOMEM, "the rows found need more memory than a query may hold "
                                    "(query.memory)")
               : OK;
}

/* Calls fn for each block of the page with its rows; hit number of row i is place[i]. */
static enum err each_block(struct page *p, void *ctx, page_fn *fn)
{
    for (uint32_t i = 0; i < p->n; i++)
        p->place[i] = i;
    if (p->n > 1)
        qsort_r(p->place, p->n, sizeof(*p->place), by_place, (void *)(uintptr_t)p->hit);
    for (uint32_t from = 0, to; from < p->n; from = to) {
        uint32_t number = p->hit[p->place[from]].number;
        for (to = from; to < p->n && p->hit[p->place[to]].number == number;)
            to++;
        arena_reset(p->arena);
        p->number = number;
        TRY(scan_check(p->scan));
        enum err err = read_page_block(p, from, to, ctx, fn);
        if (err != OK && !(p->lossy && scan_unreadable(p->scan, err)))
            return err;
    }
    return OK;
}

struct lines {
    const struct row_style *style;
    struct buf text;
    size_t *from, *to; /* by hit number of the page */
};

static enum err write_block(void *ctx, struct page *p, struct rows *rows, const uint32_t *row,
                            uint32_t n, const uint32_t *place)
{
    struct lines *l = ctx;
    size_t *end = arena_alloc(p->arena, n * sizeof(*end));
    size_t at = l->text.n;
    TRY(output_rows(rows, row, n, l->style, p->arena, &l->text, end));
    for (uint32_t i = 0; i < n; i++) {
        l->from[place[i]] = at;
        l->to[place[i]] = at = end[i];
    }
    return OK;
}

static enum err write_page(struct page *p, const struct row_style *style, void *ctx,
                           enum err (*fn)(void *ctx, const struct hit *hit, struct str line))
{
    struct lines l = {
        .style = style, .from = NEW_ARRAY(size_t, p->n), .to = NEW_ARRAY(size_t, p->n)};
    buf_init(&l.text, SIZE_MAX);
    enum err err = each_block(p, &l, write_block);
    for (uint32_t i = 0; i < p->n && err == OK; i++)
        if (l.to[i] > l.from[i])
            err = fn(ctx, &p->hit[i], str_of(l.text.p + l.from[i], l.to[i] - l.from[i]));
    buf_release(&l.text);
    mem_free(l.from);
    mem_free(l.to);
    return err;
}

static enum err each_page(struct hits *h, uint64_t from, uint64_t to, struct scan *s, void *ctx,
                          enum err (*fn)(void *ctx, struct page *p))
{
    struct reservation res;
    struct arena arena;
    reservation_init_of(&res, OWNER_QUERY, h->memory);
    arena_init(&arena, 0, &res);
    uint32_t *place = NEW_ARRAY(uint32_t, PAGE);
    enum err err = OK;
    to = to < h->n ? to : h->n;
    for (; from < to && err == OK; from += PAGE) {
        struct page p = {.hit = h->hit + from,
                         .n = to - from < PAGE ? (uint32_t)(to - from) : PAGE,
                         .place = place,
                         .scan = s,
                         .arena = &arena};
        err = fn(ctx, &p);
    }
    mem_free(place);
    arena_release(&arena);
    reservation_release(&res);
    return err;
}

struct write_ctx {
    const struct row_style *style;
    void *ctx;
    enum err (*fn)(void *ctx, const struct hit *hit, struct str line);
};

static enum err write_one_page(void *ctx, struct page *p)
{
    struct write_ctx *w = ctx;
    p->lossy = true;
    return write_page(p, w->style, w->ctx, w->fn);
}

enum err hits_each(struct hits *h, uint64_t from, uint64_t to, struct scan *s,
                   const struct row_style *style, void *ctx,
                   enum err (*fn)(void *ctx, const struct hit *hit, struct str line))
{
    struct write_ctx w = {style, ctx, fn};
    return each_page(h, from, to, s, &w, write_one_page);
}

static enum err write_hit(void *ctx, const struct hit *hit, struct str line)
{
    const struct query_sink *sink = ctx;
    return sink->write(sink->ctx, line);
}

enum err hits_write(struct hits *h, uint64_t from, uint64_t to, struct scan *s,
                    const struct row_style *style, const struct query_sink *sink)
{
    return hits_each(h, from, to, s, style, (void *)(uintptr_t)sink, write_hit);
}

struct gather {
    struct batch *batch; /* rows in the order they were read */
    uint32_t *at;        /* hit -> row of the batch */
    uint64_t base;
    uint32_t number; /* of the block that was read last */
    size_t memory;   /* of the batch */
};

static enum err gather_block(void *ctx, struct page *p, struct rows *rows, const uint32_t *row,
                             uint32_t n, const uint32_t *place)
{
    struct gather *g = ctx;
    uint32_t first = batch_rows(g->batch);
    for (uint32_t i = 0; i < n; i++)
        g->at[g->base + place[i]] = first + i;
    if (batch_bytes(g->batch) > g->memory)
        return err_set(ERR_NOMEM,
                       "the rows between two pipes need more memory than a query may hold "
                       "(%zu MiB, query.memory): add a limit or narrow the filter",
                       g->memory >> 20);
    return batch_append_rows(g->batch, rows, row, n);
}

static enum err gather_page(void *ctx, struct page *p)
{
    struct gather *g = ctx;
    enum err err = each_block(p, g, gather_block);
    g->number = p->number;
    g->base += p->n;
    return err;
}

/* Without the hits of one block, from `from` on; returns the new end. */
static uint64_t drop_block(struct hits *h, uint64_t from, uint64_t to, uint32_t number)
{
    struct hit *hit = h->worker[0].hit;
    uint64_t kept = from;
    for (uint64_t i = from; i < to; i++)
        if (hit[i].number != number)
            hit[kept++] = hit[i];
    return kept;
}

static enum err gather_ordered(struct hits *h, uint64_t from, uint64_t to, struct scan *s,
                               uint32_t *ret_number, struct batch **ret)
{
    struct gather g = {
        .batch = batch_new(), .at = NEW_ARRAY(uint32_t, to - from), .memory = h->memory->max};
    struct batch *ordered = batch_new();
    struct arena arena;
    arena_init(&arena, 0, NULL);
    enum err err;
    TRY_OUT(each_page(h, from, to, s, &g, gather_page));
    struct rows rows;
    batch_view(g.batch, &arena, &rows);
    TRY_OUT(batch_append_rows(ordered, &rows, g.at, (uint32_t)(to - from)));
    *ret = ordered;
    ordered = NULL;
out:
    *ret_number = g.number;
    arena_release(&arena);
    batch_free(ordered);
    batch_free(g.batch);
    mem_free(g.at);
    return err;
}

enum err hits_gather(struct hits *h, uint64_t from, uint64_t to, struct scan *s, struct batch **ret)
{
    to = to < h->n ? to : h->n;
    from = from < to ? from : to;
    if (to - from > UINT32_MAX / 2)
        return err_set(ERR_LIMIT, "more than 2 billion rows to sort");
    uint32_t number = 0;
    enum err err = gather_ordered(h, from, to, s, &number, ret);
    /* A batch that met damage halfway is given up, and made again without that block. */
    while (err != OK && scan_unreadable(s, err)) {
        to = drop_block(h, from, to, number);
        err = gather_ordered(h, from, to, s, &number, ret);
    }
    return err;
}
