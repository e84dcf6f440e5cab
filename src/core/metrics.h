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
/* A gauge read when scraped. */
void metric_gauge_fn(const char *name, const char *labels, const char *help, double (*fn)(void *),
                     void *ctx);
void metric_add(struct metric *m, int64_t n);
void metric_set(struct metric *m, int64_t v);
int64_t metric_get(const struct metric *m);
void metric_observe_ns(struct metric *m, int64_t ns);
void metrics_write(struct buf *out);

#endif
