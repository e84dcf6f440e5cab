/* Dead letters: what an output refused for good. DIR/dead/ROUTE.ndjson, a JSON object a line:
 *
 *   {"time":"...","route":"...","reason":"...","stream":"...","at":"...","stage":"output",
 *    "record":{...}}
 *
 * time: when it was refused; at: the record's own time; stage: "transform" where it was the route's
 * transforms that failed. The record stands last, as it was. A file whose letters are to be tried
 * again is DIR/dead/ROUTE.retry-ID.ndjson (ID: 16 hex digits, not 0): the route takes it from
 * there.
 *
 * Threads and processes: any. A file is locked (flock) by who appends, renames or removes it, so
 * that these work beside a running agent or server. */
#ifndef WEIR_PIPELINE_DEAD_H
#define WEIR_PIPELINE_DEAD_H

#include "core/buf.h"
#include "core/err.h"

struct dead_file {
    char route[80];
    uint64_t letters, bytes;
    bool retrying;
    char path[4096];
};
/* Calls fn with each file of DIR/dead. */
NODISCARD enum err dead_each(const char *dir, enum err (*fn)(void *ctx, const struct dead_file *f),
                             void *ctx);
/* Appends whole lines, synced. */
NODISCARD enum err dead_append(const char *path, struct str lines);
/* The route's letters are tried again: *ret_letters of them. ERR_NOTFOUND: it has none,
 * ERR_CONFLICT: some are being tried again already. */
NODISCARD enum err dead_retry(const char *dir, const char *route, uint64_t *ret_letters);
/* They are gone for good. ERR_NOTFOUND. Those that are being tried again stay. */
NODISCARD enum err dead_delete(const char *dir, const char *route, uint64_t *ret_letters);
/* The file of the route that is to be tried again: its id, or 0. */
NODISCARD enum err dead_find_retry(const char *dir, const char *route, uint64_t *ret_id);
/* Its path: the caller's, to mem_free. */
char *dead_retry_path(const char *dir, const char *route, uint64_t id);

/* A line taken apart; slices of it, but for stream, which is the buffer's. ERR_CORRUPT. */
struct dead_letter {
    struct str stream, record;
    int64_t time_ns, at_ns;
    bool transform; /* stage */
};
NODISCARD enum err dead_parse(struct str line, struct buf *stream, struct dead_letter *ret);

#endif
