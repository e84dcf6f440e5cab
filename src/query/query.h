/* The query language: a filter, then pipes; planned, run over a snapshot in parallel, streamed out.
 *
 *   level:ERROR service:pay* | stats count(), p99(latency_ms) by service, bin(1m) | sort -count
 *     | limit 10
 *
 * Threads: a query is run by the thread that calls query_run; the scan is spread over the query
 * pool. */
#ifndef WEIR_QUERY_QUERY_H
#define WEIR_QUERY_QUERY_H

#include "core/buf.h"
#include "store/store.h"

struct query_engine; /* the scan pool and its limits; one per process */
struct query_engine_options {
    struct store *store;
    unsigned threads;    /* 0: one a core */
    size_t query_memory; /* bytes a query may hold */
    int64_t deadline_ns; /* default and upper bound */
};
NODISCARD enum err query_engine_new(const struct query_engine_options *o,
                                    struct query_engine **ret);
void query_engine_free(struct query_engine *e);
/* The deadline of queries from now on. */
void query_engine_set_deadline(struct query_engine *e, int64_t deadline_ns);

struct query_request {
    struct str org;
    struct str q;                            /* filter, and pipes where allowed */
    struct str pipes;                        /* "| ..." behind q, which then has none of its own */
    struct str default_field;                /* of terms without a field; n == 0: every field */
    bool or_default;                         /* a space between terms means OR */
    struct str stream, service, level, host; /* n == 0: any; `stream` may be a comma list */
    const struct str *streams;               /* n_streams > 0: in place of `stream` */
    uint32_t n_streams;
    int64_t from, to; /* INT64_MIN, INT64_MAX: open */
    int64_t now_ns;
    int64_t deadline_ns;                /* 0: the engine's */
    uint32_t limit, offset;             /* search */
    struct str cursor;                  /* search: continue behind it */
    const struct landed_cursor *behind; /* tail: only what may be behind it; NULL: all */
    const struct landed_span *window;   /* and of this only */
    bool total;                         /* search: count all hits */
    bool meta;                          /* query: a last line {"_meta":{...}} */
    bool explain;
    bool nocache; /* nothing that was made of a block before is used, or kept */
    bool aliases; /* tail: rows as of search, with log_id, timestamp and what fields stand for */
    const _Atomic bool *canceled; /* may be NULL; looked at between blocks */
};
#define QUERY_WARNING_MAX 300

/* Where rows go. A non-OK answer ends the query with it (the client left). Called from one thread
 * at a time, in order. Bytes are whole lines of JSON for query_run. */
struct query_sink {
    void *ctx;
    enum err (*write)(void *ctx, struct str bytes);
};
struct query_meta {
    int64_t took_ns;
    uint64_t blocks_total, blocks_pruned, blocks_scanned, bytes_read, rows_matched, memory_peak;
    uint64_t bytes_fetched; /* of segments that were at rest elsewhere */
    uint64_t unreadable;    /* blocks and sections left out because they are damaged or missing */
    bool complete;          /* nothing was left out */
    char warning[QUERY_WARNING_MAX]; /* what was the first, where */
};

/* /query: one JSON row a line. Parse errors come before anything is written. An answer that is not
 * complete ends with the line of its meta, asked for or not. */
NODISCARD enum err query_run(struct query_engine *e, const struct query_request *r,
                             const struct query_sink *sink, struct query_meta *ret);
/* /search: newest first; appends the whole answer {"total_hits":..,"logs":[..],"took_ms":..,...}.
 */
NODISCARD enum err query_search(struct query_engine *e, const struct query_request *r,
                                struct buf *out, struct query_meta *ret);
/* Counts per time bucket for the page: {"buckets":[{"time":..,"count":..}]} with about `buckets`
 * bins. */
NODISCARD enum err query_histogram(struct query_engine *e, const struct query_request *r,
                                   uint32_t buckets, struct buf *out);

#endif
