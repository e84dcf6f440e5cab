/* Every setting of Weir, a section after the other, in the order of `weir config default`. */
#include "core/clock.h"
#include "core/conf.h"

#define KIB 1024LL
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)
#define TIB (1024 * GIB)
#define MINUTE (60 * NS_PER_S)
#define HOUR (60 * MINUTE)
#define YEAR (366 * NS_PER_DAY)

const struct conf_setting conf_table[] = {
    {"inputs", CONF_LIST, NULL, 0, 0,
     "Where records come in beside the HTTP API: URLs such as syslog+tcp://127.0.0.1:5514."},

    {"transforms", CONF_TREE, NULL, 0, 0,
     "What every record goes through before it is kept; see docs/transforms.md."},
    {"routes", CONF_TREE, NULL, 0, 0, "Where records go beside the store; see docs/pipelines.md."},
    {"pipelines", CONF_TREE, NULL, 0, 0,
     "Others, each with inputs, transforms and routes of its own; see docs/pipelines.md."},

    {"server.listen", CONF_STRING, "127.0.0.1:5080", 0, 0,
     "Address and port of the HTTP server; off loopback it needs auth.root_user and "
     "auth.root_password."},
    {"server.data", CONF_STRING, "./weir-data", 0, 0, "Folder of everything that Weir stores."},
    {"server.threads", CONF_INT, "0", 0, 1024, "HTTP threads; 0: as many as cores, at most 8."},
    {"server.connections", CONF_INT, "4096", 1, 1000000, "Connections at a time."},
    {"server.idle_timeout", CONF_DURATION, "60s", NS_PER_S, HOUR,
     "A connection without traffic for this long is closed."},
    {"server.stop_timeout", CONF_DURATION, "30s", 0, HOUR,
     "How long a stop waits for requests under way."},

    {"limits.body_bytes", CONF_BYTES, "64MiB", 4 * KIB, 4 * GIB,
     "Largest request body, before and after decompression; more is answered 413."},
    {"limits.record_bytes", CONF_BYTES, "8MiB", KIB, GIB, "Largest single record."},
    {"limits.nesting", CONF_INT, "128", 1, 1024, "Deepest nesting of JSON."},

    {"memory.budget", CONF_BYTES, "0", 0, 64 * TIB,
     "Bytes for all buffers, blocks, queries and caches; 0: half of the memory at most."},

    {"queue.url", CONF_STRING, "disk:", 0, 0,
     "Where records are durable before they are stored: disk:, or kafka://HOST:PORT/TOPIC."},
    {"queue.sync", CONF_BOOL, "true", 0, 0,
     "Acknowledge only what is synced to disk; false: a power cut may lose acknowledged records."},
    {"queue.file_bytes", CONF_BYTES, "64MiB", MIB, 64 * GIB,
     "Size at which a queue file is rotated; at most a sixteenth of the disk."},
    {"queue.behind_max", CONF_BYTES, "1GiB", MIB, 64 * TIB,
     "Bytes of queue that are kept for a route that is behind; older records it does not get."},
    {"queue.compression", CONF_STRING, "auto", 0, 0,
     "Compression of queue entries; auto: lz4 while the disk is what senders wait for.",
     .choices = "auto|none|lz4"},

    {"catalog.url", CONF_STRING, "sqlite:", 0, 0,
     "Where it is kept which segments there are: sqlite: (in server.data), or what several servers "
     "share: postgresql://USER@HOST/DATABASE, mysql://USER@HOST/DATABASE, "
     "sqlite:PATH?shared=true."},

    {"objects.url", CONF_STRING, "file:", 0, 0,
     "Where segments are at rest: file: (in server.data), file:///FOLDER, which several servers "
     "may "
     "reach, or s3://BUCKET/PREFIX; see docs/objects.md."},
    {"objects.cache_bytes", CONF_BYTES, "10GiB", 0, 0,
     "Local copies of segments that are at rest in S3; beyond it those go that were used longest "
     "ago; "
     "0: no limit."},
    {"objects.stray_age", CONF_DURATION, "1d", NS_PER_S, 365 * NS_PER_DAY,
     "Age at which objects go that were put and never published."},
    {"objects.garbage_age", CONF_DURATION, "10m", NS_PER_S, 30 * NS_PER_DAY,
     "Where servers share the catalog: how long after a merge or its expiry a segment's object "
     "goes; no search may take longer."},

    {"store.cut_bytes", CONF_BYTES, "64MiB", 64 * KIB, 16 * GIB,
     "Encoded bytes in memory at which they are written to a segment."},
    {"store.cut_queue_bytes", CONF_BYTES, "1GiB", MIB, TIB,
     "Bytes of queue not yet in segments at which one is written; at most an eighth of the disk."},
    {"store.cut_interval", CONF_DURATION, "1h", NS_PER_S, 30 * NS_PER_DAY,
     "Age of records in memory at which they are written to a segment; where servers share the "
     "catalog, 10s unless set."},
    {"store.block_rows", CONF_INT, "262144", 16, 1 << 20, "Most rows of a block."},
    {"store.block_bytes", CONF_BYTES, "32MiB", 64 * KIB, GIB, "Most raw bytes of a block."},
    {"store.compact_level_files", CONF_INT, "8", 2, 1000,
     "Segments of a level at which they are merged."},
    {"store.compact_level", CONF_INT, "9", 1, 19,
     "zstd level of merged segments; at least 15 up to 32 MiB of raw data."},
    {"store.retention", CONF_DURATION, "0", 0, 200 * YEAR,
     "Age at which records are deleted, such as 30d; 0: never."},
    {"store.max_disk", CONF_BYTES, "0", 0, 0,
     "Bytes of segments, queue and catalog beyond which the oldest segments are deleted; 0: no "
     "limit."},
    {"store.reserve_bytes", CONF_BYTES, "64MiB", 0, TIB,
     "File made when the disk gets full, at most an eighth of it: given up so that what is in "
     "memory can be written; 0: none."},
    {"store.idempotency_window", CONF_DURATION, "24h", MINUTE, 30 * NS_PER_DAY,
     "How long a repeated Idempotency-Key or record id is recognised."},

    {"query.deadline", CONF_DURATION, "30s", NS_PER_MS, NS_PER_DAY, "Longest time of a query."},
    {"query.memory", CONF_BYTES, "256MiB", MIB, 64 * TIB, "Most memory of one query."},
    {"query.threads", CONF_INT, "0", 0, 1024, "Threads that scan; 0: as many as cores."},
    {"query.concurrency", CONF_INT, "16", 1, 10000, "Queries at a time; more wait."},
    {"query.cache_bytes", CONF_BYTES, "64MiB", 0, 64 * TIB,
     "Memory for blocks read from segments, and about as much for answers kept of them."},

    {"auth.root_user", CONF_STRING, NULL, 0, 0, "Name of the root user (or WEIR_ROOT_USER)."},
    {"auth.root_password", CONF_STRING, NULL, 0, 0,
     "Password of the root user (or WEIR_ROOT_PASSWORD).", .secret = true},

    {"hec.tokens", CONF_LIST, NULL, 0, 0,
     "Tokens of senders to /services/collector; none: credentials as for the rest of the API.",
     .secret = true},

    {"log.level", CONF_STRING, "info", 0, 0, "Least level of Weir's own log on stderr.",
     .choices = "debug|info|warn|error"},
    {"log.format", CONF_STRING, "auto", 0, 0,
     "Form of Weir's own log; auto: text on a terminal, else JSON.", .choices = "auto|json|text"},
    {"log.self_ingest", CONF_BOOL, "false", 0, 0,
     "Keep Weir's own log as records of the stream _weir too."},
    {0},
};
