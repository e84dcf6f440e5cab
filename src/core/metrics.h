/* Counters, gauges and histograms, exposed as Prometheus text (exposition format 0.0.4). A metric
 * is registered once by name and labels and lives as long as the process; updates are one relaxed
 * atomic. Names follow Prometheus: weir_ingest_records_total, weir_query_seconds. Threads: any. */
#ifndef WEIR_CORE_METRICS_H
#define WEIR_CORE_METRICS_H

#include "core/buf.h"

struct metric;

/* labels: "stream=\"default\"" or NULL. The same name and labels give the same metric. */
struct metric *metric_counter(const char *name, const char *labels, const char *help);
struct metric *metric_gauge(const char *name, const char *labels, const char *help);
/* Seconds, buckets 1 ms to 60 s. */
struct metric *metric_histogram(const char *name, const char *labels, const char *help);
/* A gauge read when scraped. Registered again, the newer function takes its place; with fn NULL the
 * line disappears, and no call is under way once this returns: do that before ctx goes. fn must not
 * call functions of this header. */
void metric_gauge_fn(const char *name, const char *labels, const char *help, double (*fn)(void *),
                     void *ctx);
/* The same of a counter. */
void metric_counter_fn(const char *name, const char *labels, const char *help, double (*fn)(void *),
                       void *ctx);
void metric_add(struct metric *m, int64_t n);
void metric_set(struct metric *m, int64_t v);
int64_t metric_get(const struct metric *m); /* of a histogram: how many were observed */
void metric_observe_ns(struct metric *m, int64_t ns);
/* Appends a label to a label list, its value escaped: metric_label(&b, "stream", name). */
void metric_label(struct buf *labels, const char *name, struct str value);
void metrics_write(struct buf *out);

#endif
