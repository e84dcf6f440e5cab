/* JSON records, a line each, on their way to an output: what weir web does with what it generates,
 * reads and fetches. Lines that are no records are counted and told, and the others go on.
 * Owner: one thread. Bounds: one batch, and one line of FEED_LINE_MAX. */
#ifndef WEIR_CMD_FEED_H
#define WEIR_CMD_FEED_H

#include "core/buf.h"
#include "core/err.h"

enum { FEED_LINE_MAX = 1 << 20, FEED_ERRORS_MAX = 10 };

struct feed;
struct feed_options {
    const char *output;       /* URL of an output that sends what it is given */
    const char *stream;       /* of the records */
    struct str asset, region; /* members that each record gets in place of its own; n == 0: none */
    int64_t patience_ns;      /* how long a batch is tried */
};
struct feed_stats {
    uint64_t lines, sent, failed; /* failed: lines that are no records, and records refused */
};

NODISCARD enum err feed_new(const struct feed_options *o, struct feed **ret);
void feed_free(struct feed *f); /* NULL is fine; what was not flushed is not sent */
/* One line, without its end; empty ones are passed over. Errors are those of sending. */
NODISCARD enum err feed_line(struct feed *f, struct str line);
/* Bytes of a file, in pieces as they come; feed_end is for the last line, which may have no end. */
NODISCARD enum err feed_bytes(struct feed *f, struct str bytes);
NODISCARD enum err feed_end(struct feed *f);
NODISCARD enum err feed_flush(struct feed *f);
void feed_stats(const struct feed *f, struct feed_stats *ret);
/* The first failures as a JSON array: [{"line": 3, "error": "..."}]. */
void feed_put_errors(const struct feed *f, struct buf *out);

#endif
