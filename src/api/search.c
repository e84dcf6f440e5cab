/* GET or POST /api/v1/logs/search, /api/v1/logs/query, /api/v1/logs/histogram.
 *
 * Common parameters: q, default_field, default_operator (AND, OR), stream (a comma list), service,
 * level, host, from (inclusive), to (exclusive), timeout (at most query.deadline). Times are RFC
 * 3339, dates, epoch numbers, or relative ("-15m", "now-1h"). `nocache` passes by what is kept
 * of earlier aggregations (query/partial.h). search: limit (50, at most 10000), offset,
 * cursor, total (1), explain. query: meta, explain, format (ndjson). Rows stream out while they are
 * found, so an error behind the first byte aborts the chunked answer. */
#include "api/internal.h"

#include "core/clock.h"
#include "core/metrics.h"
#include "record/timestamp.h"

#include <stdio.h>

enum {
    LIMIT_DEFAULT = 50,
    LIMIT_MAX = 10000,
    OFFSET_MAX = 10000000,
    BUCKETS_DEFAULT = 60,
    BUCKETS_MAX = 2000,
    CHUNK_BYTES = 64 << 10,
    ANSWER_BYTES_MAX = 1 << 30,
};
#define CHUNK_NS (50 * NS_PER_MS)

static bool read_time(struct http_request *r, const char *name, int64_t now, int64_t *ret)
{
    struct str s = http_param(r, name);
    int64_t end;
    if (s.n == 0 || time_parse_query(s, now, ret, &end))
        return true;
    http_error(
        r, 400,
        "%s=%.*s is no time: write RFC 3339 (2025-02-15T12:00:00Z), a date (2025-02-15), an epoch "
        "number, or a relative time (-15m, now-1h)",
        name, s.n > 100 ? 100 : (int)s.n, s.p);
    return false;
}

static bool read_timeout(struct http_request *r, int64_t *ret)
{
    struct str s = http_param(r, "timeout");
    if (s.n == 0 || (str_to_duration_ns(s, ret) && *ret > 0))
        return true;
    http_error(r, 400, "timeout=%.*s is no duration: write 10s, 500ms or 1m",
               s.n > 100 ? 100 : (int)s.n, s.p);
    return false;
}

static bool read_operator(struct http_request *r, bool *ret_or)
{
    struct str s = http_param(r, "default_operator");
    *ret_or = str_ieq(s, STR("or"));
    if (!s.p || *ret_or || str_ieq(s, STR("and")))
        return true;
    http_error(r, 400, "default_operator=%.*s: AND or OR is wanted", s.n > 100 ? 100 : (int)s.n,
               s.p);
    return false;
}

bool api_read_query(struct api *api, struct http_request *r, struct query_request *q)
{
    *q = (struct query_request){
        .org = API_ORG,
        .q = http_param(r, "q"),
        .default_field = http_param(r, "default_field"),
        .stream = http_param(r, "stream"),
        .service = http_param(r, "service"),
        .level = http_param(r, "level"),
        .host = http_param(r, "host"),
        .from = INT64_MIN,
        .to = INT64_MAX,
        .now_ns = clock_now_ns(),
        .limit = LIMIT_DEFAULT,
        .cursor = http_param(r, "cursor"),
        .total = true,
        .canceled = http_canceled(r),
    };
    return api_is_ready(api, r) && read_time(r, "from", q->now_ns, &q->from) &&
           read_time(r, "to", q->now_ns, &q->to) && read_timeout(r, &q->deadline_ns) &&
           read_operator(r, &q->or_default) && api_param_u32(r, "limit", LIMIT_MAX, &q->limit) &&
           api_param_u32(r, "offset", OFFSET_MAX, &q->offset) &&
           api_param_bool(r, "total", &q->total) && api_param_bool(r, "meta", &q->meta) &&
           api_param_bool(r, "explain", &q->explain) && api_param_bool(r, "nocache", &q->nocache);
}

/* ---- counting ---- */

static struct metric *running(void)
{
    return metric_gauge("weir_queries_running", NULL, "Queries under way.");
}

int64_t api_begin_query(void)
{
    metric_add(running(), 1);
    return clock_mono_ns();
}

void api_end_query(const char *kind, enum err err, int64_t began)
{
    char labels[64];
    metric_add(running(), -1);
    snprintf(labels, sizeof(labels), "kind=\"%s\",result=\"%s\"", kind,
             err == OK ? "ok" : err_name(err));
    metric_add(metric_counter("weir_queries_total", labels, "Queries by kind and result."), 1);
    snprintf(labels, sizeof(labels), "kind=\"%s\"", kind);
    metric_observe_ns(metric_histogram("weir_query_seconds", labels, "Time of a query."),
                      clock_mono_ns() - began);
}

/* ---- search and histogram: one answer ---- */

static void reply_json(struct http_request *r, enum err err, struct buf *out)
{
    if (err != OK)
        http_error_of(r, err, err_text());
    else
        http_reply(r, 200, JSON_TYPE, buf_str(out));
    buf_release(out);
}

void api_search(void *ctx, struct http_request *r)
{
    struct api *api = ctx;
    struct query_request q;
    struct query_meta meta;
    struct buf out;
    if (!api_read_query(api, r, &q))
        return;
    int64_t began = api_begin_query();
    buf_init(&out, ANSWER_BYTES_MAX);
    enum err err = query_search(api->engine, &q, &out, &meta);
    api_end_query("search", err, began);
    reply_json(r, err, &out);
}

void api_histogram(void *ctx, struct http_request *r)
{
    struct api *api = ctx;
    struct query_request q;
    struct buf out;
    uint32_t buckets = BUCKETS_DEFAULT;
    if (!api_read_query(api, r, &q) || !api_param_u32(r, "buckets", BUCKETS_MAX, &buckets))
        return;
    if (buckets == 0) {
        http_error(r, 400, "buckets=0: a whole number from 1 to %d is wanted", BUCKETS_MAX);
        return;
    }
    int64_t began = api_begin_query();
    buf_init(&out, ANSWER_BYTES_MAX);
    enum err err = query_histogram(api->engine, &q, buckets, &out);
    api_end_query("histogram", err, began);
    reply_json(r, err, &out);
}

/* ---- query: a stream of rows ---- */

/* Gathers lines, so that the connection is not woken for each of them. */
struct rows_out {
    struct http_request *r;
    struct buf waiting;
    bool begun;
    int64_t sent_ns;
};

static enum err send_rows(struct rows_out *o, struct str bytes)
{
    if (!o->begun)
        http_stream_begin(o->r, 200, "application/x-ndjson");
    o->begun = true;
    o->sent_ns = clock_mono_ns();
    return http_stream_write(o->r, bytes);
}

static enum err send_waiting(struct rows_out *o)
{
    enum err err = send_rows(o, buf_str(&o->waiting));
    buf_clear(&o->waiting);
    return err;
}

static enum err write_rows(void *ctx, struct str bytes)
{
    struct rows_out *o = ctx;
    if (o->waiting.n == 0 && bytes.n >= CHUNK_BYTES)
        return send_rows(o, bytes);
    TRY(buf_add(&o->waiting, bytes.p, bytes.n));
    if (o->waiting.n >= CHUNK_BYTES || clock_mono_ns() - o->sent_ns > CHUNK_NS)
        return send_waiting(o);
    return OK;
}

void api_query(void *ctx, struct http_request *r)
{
    struct api *api = ctx;
    struct query_request q;
    struct query_meta meta;
    struct str format = http_param(r, "format");
    if (!api_read_query(api, r, &q))
        return;
    if (format.n && !str_eq_c(format, "ndjson")) {
        http_error(r, 400, "format=%.*s: ndjson is what there is",
                   format.n > 100 ? 100 : (int)format.n, format.p);
        return;
    }
    struct rows_out o = {.r = r, .sent_ns = clock_mono_ns()};
    buf_init(&o.waiting, ANSWER_BYTES_MAX);
    struct query_sink sink = {&o, write_rows};
    int64_t began = api_begin_query();
    enum err err = query_run(api->engine, &q, &sink, &meta);
    if (err == OK && o.begun && o.waiting.n)
        err = send_waiting(&o);
    api_end_query("query", err, began);
    if (o.begun)
        http_stream_end(r, err == OK);
    else if (err == OK)
        http_reply(r, 200, "application/x-ndjson", buf_str(&o.waiting));
    else
        http_error_of(r, err, err_text());
    buf_release(&o.waiting);
}
