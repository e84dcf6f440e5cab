/* How the server is: /healthz (the process answers), /readyz (replay is over: it takes and finds
 * records), /metrics (Prometheus), /api/v1/stats, /api/v1/streams, and the page at /. */
#include "api/internal.h"

#include "core/clock.h"
#include "core/governor.h"
#include "core/metrics.h"
#include "core/process.h"
#include "record/json.h"
#include "record/timestamp.h"

#include <malloc.h>
#include <stdio.h>
#include <unistd.h>

extern const unsigned char ui_index_html[];
extern const size_t ui_index_html_size;

void api_healthz(void *ctx, struct http_request *r)
{
    http_reply(r, 200, JSON_TYPE, STR("{\"status\":\"ok\"}\n"));
}

void api_readyz(void *ctx, struct http_request *r)
{
    if (api_is_ready(ctx, r))
        http_reply(r, 200, JSON_TYPE, STR("{\"status\":\"ready\"}\n"));
}

/* The page itself narrows the policy to the hashes of its script and style (ui/vite.config.ts). */
void api_page(void *ctx, struct http_request *r)
{
    http_reply_header(r, "Cache-Control", "no-cache");
    http_reply_header(r, "X-Content-Type-Options", "nosniff");
    http_reply_header(r, "Referrer-Policy", "no-referrer");
    http_reply_header(r, "Content-Security-Policy",
                      "default-src 'none'; connect-src 'self'; img-src data:; "
                      "script-src 'unsafe-inline'; style-src 'unsafe-inline'; base-uri 'none'; "
                      "form-action 'none'; frame-ancestors 'none'");
    http_reply(r, 200, "text/html; charset=utf-8",
               str_of((const char *)ui_index_html, ui_index_html_size));
}

/* ---- metrics ---- */

/* The allocator's view: what the program holds, and what it has given back but the system has not
 * got yet. */
static double read_heap_used(void *ctx)
{
    struct mallinfo2 m = mallinfo2();
    return (double)(m.uordblks + m.hblkhd);
}

static double read_heap_free(void *ctx)
{
    return (double)mallinfo2().fordblks;
}

static double read_owner(void *ctx)
{
    return (double)governor_used_by((enum owner)(uintptr_t)ctx);
}

static double read_budget(void *ctx)
{
    return (double)governor_budget();
}

static double read_ready(void *ctx)
{
    const struct api *api = ctx;
    return api->ready;
}

static struct queue_stats queue_numbers(void *ctx)
{
    const struct api *api = ctx;
    struct queue_stats s;
    queue_stats(api->queue, &s);
    return s;
}

static double read_queue_bytes(void *ctx)
{
    return (double)queue_numbers(ctx).bytes_on_disk;
}

static double read_queue_waiting(void *ctx)
{
    return (double)queue_numbers(ctx).waiting_bytes;
}

static double read_queue_slow(void *ctx)
{
    return queue_numbers(ctx).disk_is_slow;
}

static double read_queue_lag(void *ctx)
{
    return (double)queue_numbers(ctx).lag;
}

static double read_queue_quarantined(void *ctx)
{
    return (double)queue_numbers(ctx).quarantined_entries;
}

static double read_queue_torn(void *ctx)
{
    return (double)queue_numbers(ctx).torn_bytes;
}

static double read_queue_unreadable(void *ctx)
{
    return (double)queue_numbers(ctx).unreadable_bytes;
}

void api_register_metrics(struct api *api)
{
    for (int i = 0; i < OWNER_COUNT; i++) {
        char labels[64];
        snprintf(labels, sizeof(labels), "owner=\"%s\"", governor_owner_name((enum owner)i));
        metric_gauge_fn("weir_memory_reserved_bytes", labels,
                        "Bytes reserved from the memory budget.", read_owner, (void *)(uintptr_t)i);
    }
    metric_gauge_fn("weir_memory_budget_bytes", NULL, "The memory budget.", read_budget, NULL);
    metric_gauge_fn("weir_ready", NULL, "1 when replay is over.", read_ready, api);
    metric_gauge_fn("weir_queue_bytes", NULL, "Bytes of the queue on disk.", read_queue_bytes, api);
    metric_gauge_fn("weir_queue_waiting_bytes", NULL, "Bytes waiting to be synced.",
                    read_queue_waiting, api);
    metric_gauge_fn("weir_queue_disk_slow", NULL,
                    "1 while the disk is what senders wait for: entries are compressed where "
                    "queue.compression is auto.",
                    read_queue_slow, api);
    metric_gauge_fn("weir_queue_lag", NULL, "Kafka: messages that were not read yet.",
                    read_queue_lag, api);
    metric_gauge_fn("weir_queue_quarantined_entries", NULL,
                    "Queue entries found damaged or missing at the start.", read_queue_quarantined,
                    api);
    metric_gauge_fn("weir_queue_torn_bytes", NULL,
                    "Bytes of an unfinished write that the start cut off the queue.",
                    read_queue_torn, api);
    metric_gauge_fn("weir_queue_unreadable_bytes", NULL,
                    "Bytes of the queue that the disk would not give at the start.",
                    read_queue_unreadable, api);
    process_register_metrics();
    metric_gauge_fn("weir_heap_used_bytes", NULL, "Heap in use, with what no owner reserved.",
                    read_heap_used, NULL);
    metric_gauge_fn("weir_heap_free_bytes", NULL, "Heap that is free and kept for later.",
                    read_heap_free, NULL);
}

void api_metrics(void *ctx, struct http_request *r)
{
    struct buf out;
    buf_init(&out, 64 << 20);
    metrics_write(&out);
    http_reply(r, 200, "text/plain; version=0.0.4; charset=utf-8", buf_str(&out));
    buf_release(&out);
}

/* ---- stats ---- */

static void put_u64(struct buf *out, const char *name, uint64_t v)
{
    char last = out->n ? out->p[out->n - 1] : '{';
    buf_printf(out, "%s\"%s\":%llu", last == '{' ? "" : ",", name, (unsigned long long)v);
}

static void put_time(struct buf *out, const char *name, int64_t ns)
{
    char text[TIME_TEXT_MAX];
    size_t n = time_rfc3339(ns, text);
    buf_printf(out, ",\"%s\":\"%.*s\"", name, (int)n, text);
}

static void put_memory(struct buf *out)
{
    buf_put_c(out, ",\"memory\":{");
    put_u64(out, "resident", process_resident_bytes());
    put_u64(out, "budget", governor_budget());
    put_u64(out, "reserved", governor_used());
    buf_put_c(out, ",\"owners\":{");
    for (int i = 0; i < OWNER_COUNT; i++)
        put_u64(out, governor_owner_name((enum owner)i), governor_used_by((enum owner)i));
    buf_put_c(out, "}}");
}

static void put_queue(struct api *api, struct buf *out)
{
    struct queue_stats s;
    queue_stats(api->queue, &s);
    buf_put_c(out, ",\"queue\":{");
    put_u64(out, "bytes", s.bytes_on_disk);
    put_u64(out, "files", s.files);
    put_u64(out, "first_position", s.first_position);
    put_u64(out, "next_position", s.next_position);
    put_u64(out, "appended_bodies", s.appended_bodies);
    put_u64(out, "appended_frames", s.appended_frames);
    put_u64(out, "appended_bytes", s.appended_bytes);
    put_u64(out, "syncs", s.syncs);
    put_u64(out, "waiting_bytes", s.waiting_bytes);
    put_u64(out, "replayed_frames", s.replayed_frames);
    put_u64(out, "torn_bytes", s.torn_bytes);
    put_u64(out, "quarantined_entries", s.quarantined_entries);
    put_u64(out, "unreadable_bytes", s.unreadable_bytes);
    put_u64(out, "lag", s.lag);
    buf_printf(out, ",\"disk_is_slow\":%s", s.disk_is_slow ? "true" : "false");
    buf_printf(out, ",\"poisoned\":%s}", s.poisoned ? "true" : "false");
}

/* Of a store whose segments are at rest elsewhere. */
static void put_copies(struct buf *out, const struct store_stats *s)
{
    buf_put_c(out, ",\"copies\":{");
    put_u64(out, "segments", s->objects.copies);
    put_u64(out, "bytes", s->objects.copies_bytes);
    put_u64(out, "max_bytes", s->objects.copies_max);
    put_u64(out, "hits", s->objects.hits);
    put_u64(out, "fetched", s->objects.fetched);
    put_u64(out, "fetched_bytes", s->objects.fetched_bytes);
    put_u64(out, "evicted", s->objects.evicted);
    put_u64(out, "not_stored", s->objects.not_stored);
    buf_put_byte(out, '}');
}

static void put_store(struct api *api, struct buf *out)
{
    struct store_stats s;
    store_stats(api->store, &s);
    buf_put_c(out, ",\"store\":{");
    put_u64(out, "streams", s.streams);
    put_u64(out, "segments", s.segments);
    put_u64(out, "segment_bytes", s.segment_bytes);
    put_u64(out, "segment_rows", s.segment_rows);
    put_u64(out, "segment_raw_bytes", s.segment_raw_bytes);
    put_u64(out, "memtable_rows", s.memtable_rows);
    put_u64(out, "memtable_bytes", s.memtable_bytes);
    put_u64(out, "memtable_frame_bytes", s.memtable_frame_bytes);
    put_u64(out, "checkpoint", s.checkpoint);
    put_u64(out, "cuts", s.cuts);
    put_u64(out, "merges", s.merges);
    put_u64(out, "expired_segments", s.expired_segments);
    put_u64(out, "expired_bytes", s.expired_bytes);
    put_u64(out, "unreadable_segments", s.unreadable_segments);
    put_u64(out, "quarantined_frames", s.quarantined_frames);
    buf_printf(out, ",\"cut_failing\":%s", s.cut_failing ? "true" : "false");
    if (s.objects.remote)
        put_copies(out, &s);
    if (s.node) { /* of several servers on one catalog */
        put_u64(out, "node", s.node);
        put_u64(out, "merges_node", s.merges_node);
        put_u64(out, "resets", s.resets);
        put_u64(out, "followed_ago_ms", (uint64_t)(s.followed_ago_ns / NS_PER_MS));
    }
    if (s.segment_rows + s.memtable_rows) {
        put_time(out, "oldest", s.oldest_ns);
        put_time(out, "newest", s.newest_ns);
    }
    buf_put_byte(out, '}');
}

void api_stats(void *ctx, struct http_request *r)
{
    struct api *api = ctx;
    struct buf out;
    buf_init(&out, 1 << 20);
    buf_printf(&out, "{\"version\":\"%s\",\"ready\":%s", WEIR_VERSION,
               api->ready ? "true" : "false");
    put_time(&out, "started", api->started_ns);
    put_u64(&out, "uptime_s", (uint64_t)((clock_now_ns() - api->started_ns) / NS_PER_S));
    buf_put_c(&out, ",\"replay\":{");
    put_u64(&out, "done_bytes", api->replay_done);
    put_u64(&out, "total_bytes", api->replay_total);
    buf_put_byte(&out, '}');
    put_memory(&out);
    put_queue(api, &out);
    put_store(api, &out);
    buf_put_c(&out, ",\"inputs\":[");
    api->write_inputs(api->books_ctx, &out);
    buf_put_byte(&out, ']');
    buf_put_c(&out, "}\n");
    http_reply(r, 200, JSON_TYPE, buf_str(&out));
    buf_release(&out);
}

void api_streams(void *ctx, struct http_request *r)
{
    struct api *api = ctx;
    struct arena *a = http_arena(r);
    struct stream_stats *s;
    size_t n;
    enum err err = store_streams(api->store, API_ORG, a, &s, &n);
    if (err != OK) {
        http_error_of(r, err, err_text());
        return;
    }
    struct buf out;
    buf_init(&out, 64 << 20);
    buf_put_c(&out, "{\"streams\":[");
    for (size_t i = 0; i < n; i++) {
        if (!s[i].rows)
            continue;
        buf_printf(&out, "%s{\"name\":", out.p[out.n - 1] == '[' ? "" : ",");
        json_put_string(&out, s[i].name);
        put_u64(&out, "rows", s[i].rows);
        put_u64(&out, "bytes", s[i].bytes);
        put_u64(&out, "raw_bytes", s[i].raw_bytes);
        if (s[i].rows) {
            put_time(&out, "from", s[i].time_min);
            put_time(&out, "to", s[i].time_max);
        }
        buf_put_byte(&out, '}');
    }
    buf_put_c(&out, "]}\n");
    http_reply(r, 200, JSON_TYPE, buf_str(&out));
    buf_release(&out);
}
