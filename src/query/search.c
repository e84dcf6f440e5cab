/* /search: the newest rows first, a page at a time, and how many there are in all. /histogram:
 * counts per time bucket. */
#include "query/chart.h"
#include "query/hits.h"

#include "core/clock.h"
#include "core/mem.h"
#include "record/json.h"
#include "record/timestamp.h"

#include <inttypes.h>

struct search {
    struct query_engine *engine;
    const struct query_request *request;
    struct arena arena;
    struct scan scan;
    struct hits hits;
    struct row_order before;
    _Atomic uint64_t total; /* rows older than the cursor are in it too */
};

static enum err visit(void *ctx, const struct scan_block *b)
{
    struct search *s = ctx;
    TRY(hits_visit(&s->hits, b));
    s->total += b->n;
    return OK;
}

/* A block too old for the page is not read when only its rows' number is wanted and it is known. */
static bool skip(void *ctx, const struct block_ref *ref)
{
    struct search *s = ctx;
    if (s->hits.keep && !hits_skip(&s->hits, ref))
        return false;
    if (!s->request->total)
        return true;
    if (!scan_whole(&s->scan, ref))
        return false;
    s->total += ref->rows;
    return true;
}

struct rows_out {
    struct buf *out;
    bool any;
};

static enum err write_row(void *ctx, struct str line)
{
    struct rows_out *o = ctx;
    if (o->any)
        buf_put_byte(o->out, ',');
    o->any = true;
    buf_put(o->out, line.p, line.n - 1);
    return OK;
}

static enum err search_open(struct search *s)
{
    const struct query_request *q = s->request;
    TRY(scan_open_filter(s->engine, q, &s->arena, &s->scan));
    if (q->cursor.n) {
        if (!row_order_read(q->cursor, &s->before))
            return err_set(ERR_INVALID, "cursor: not one that this server gave out");
        s->hits.beyond = &s->before;
    }
    s->hits.keep = (uint64_t)q->offset + q->limit;
    hits_init(&s->hits, scan_workers(&s->scan), &s->scan.memory);
    s->scan.visit = visit;
    s->scan.skip = skip;
    s->scan.ctx = s;
    return OK;
}

static enum err search_write(struct search *s, int64_t started, struct buf *out,
                             struct query_meta *ret)
{
    const struct query_request *q = s->request;
    struct rows_out rows = {.out = out};
    struct query_sink sink = {&rows, write_row};
    struct row_style style = {.search = true};
    if (q->total)
        buf_printf(out, "{\"total_hits\":%" PRIu64 ",\"logs\":[", (uint64_t)s->total);
    else
        buf_put_c(out, "{\"logs\":[");
    TRY(hits_write(&s->hits, q->offset, s->hits.n, &s->scan, &style, &sink));
    buf_put_c(out, "]");
    if (s->hits.n == s->hits.keep && q->limit) {
        char cursor[64];
        size_t n = row_order_write(&s->hits.hit[s->hits.n - 1].order, cursor);
        buf_printf(out, ",\"next_cursor\":\"%.*s\"", (int)n, cursor);
    }
    scan_meta(&s->scan, started, ret);
    ret->rows_matched = s->total;
    buf_printf(out, ",\"took_ms\":%.3f", (double)ret->took_ns / 1e6);
    if (!ret->complete) {
        buf_put_c(out, ",\"partial\":true,\"warning\":");
        json_put_string(out, str_c(ret->warning));
    }
    if (q->meta || q->explain) {
        buf_printf(out,
                   ",\"meta\":{\"blocks_total\":%" PRIu64 ",\"blocks_pruned\":%" PRIu64
                   ",\"blocks_scanned\":%" PRIu64 ",\"bytes_read\":%" PRIu64
                   ",\"memory_peak\":%" PRIu64,
                   ret->blocks_total, ret->blocks_pruned, ret->blocks_scanned, ret->bytes_read,
                   ret->memory_peak);
        query_put_complete(out, ret);
        buf_put_byte(out, '}');
    }
    buf_put_c(out, "}");
    return OK;
}

enum err query_search(struct query_engine *e, const struct query_request *q, struct buf *out,
                      struct query_meta *ret)
{
    int64_t started = clock_mono_ns();
    struct search s = {.engine = e, .request = q};
    enum err err;
    arena_init(&s.arena, 0, NULL);
    TRY_OUT(search_open(&s));
    TRY_OUT(scan_run(&s.scan));
    TRY_OUT(hits_finish(&s.hits));
    TRY_OUT(search_write(&s, started, out, ret));
out:
    hits_release(&s.hits);
    scan_close(&s.scan);
    arena_release(&s.arena);
    return err;
}

/* ---- histogram ---- */

struct histogram {
    struct scan scan;
    int64_t from, width;
    uint32_t n;
    _Atomic uint64_t *count;
};

static enum err visit_times(void *ctx, const struct scan_block *b)
{
    struct histogram *h = ctx;
    const int64_t *time;
    TRY(rows_time(b->rows, &time));
    /* Rows are in the order of time, as a rule: one addition a run. */
    for (uint32_t i = 0; i < b->n;) {
        uint64_t at = ((uint64_t)time[b->row[i]] - (uint64_t)h->from) / (uint64_t)h->width;
        uint64_t begin = (uint64_t)h->from + at * (uint64_t)h->width;
        uint32_t first = i;
        while (i < b->n && (uint64_t)time[b->row[i]] - begin < (uint64_t)h->width)
            i++;
        if (at < h->n)
            h->count[at] += i - first;
    }
    return OK;
}

static bool skip_times(void *ctx, const struct block_ref *ref)
{
    struct histogram *h = ctx;
    if (!scan_whole(&h->scan, ref))
        return false;
    uint64_t first = ((uint64_t)ref->time_min - (uint64_t)h->from) / (uint64_t)h->width;
    uint64_t last = ((uint64_t)ref->time_max - (uint64_t)h->from) / (uint64_t)h->width;
    if (first != last || first >= h->n)
        return false;
    h->count[first] += ref->rows;
    return true;
}

/* Open ends are those of the blocks. */
static void histogram_bounds(struct histogram *h, uint32_t buckets)
{
    int64_t from, to;
    (void)scan_bounds(&h->scan, &from, &to);
    uint64_t span = (uint64_t)to - (uint64_t)from;
    h->width = chart_width((int64_t)(span / buckets + (span % buckets != 0)));
    h->from = from / h->width * h->width - (from % h->width < 0 ? h->width : 0);
    h->n = (uint32_t)(((uint64_t)to - (uint64_t)h->from + (uint64_t)h->width - 1) /
                      (uint64_t)h->width);
}

static void histogram_write(const struct histogram *h, struct buf *out)
{
    char text[TIME_TEXT_MAX];
    buf_printf(out, "{\"bucket_ms\":%" PRId64 ",\"buckets\":[", (int64_t)(h->width / NS_PER_MS));
    for (uint32_t i = 0; i < h->n && h->scan.n_blocks; i++) {
        size_t n = time_rfc3339(h->from + (int64_t)i * h->width, text);
        buf_printf(out, "%s{\"time\":\"%.*s\",\"count\":%" PRIu64 "}", i ? "," : "", (int)n, text,
                   (uint64_t)h->count[i]);
    }
    buf_put_byte(out, ']');
    if (h->scan.unreadable) {
        buf_put_c(out, ",\"partial\":true,\"warning\":");
        json_put_string(out, str_c(h->scan.warning));
    }
    buf_put_byte(out, '}');
}

enum err query_histogram(struct query_engine *e, const struct query_request *q, uint32_t buckets,
                         struct buf *out)
{
    struct histogram h = {0};
    struct arena arena;
    enum err err;
    arena_init(&arena, 0, NULL);
    TRY_OUT(scan_open_filter(e, q, &arena, &h.scan));
    histogram_bounds(&h, buckets < 1 ? 1 : buckets > 10000 ? 10000 : buckets);
    h.count = (_Atomic uint64_t *)NEW_ARRAY(uint64_t, h.n);
    h.scan.visit = visit_times;
    h.scan.skip = skip_times;
    h.scan.ctx = &h;
    TRY_OUT(scan_run(&h.scan));
    histogram_write(&h, out);
out:
    mem_free((void *)h.count);
    scan_close(&h.scan);
    arena_release(&arena);
    return err;
}
