/* Rounds of discovery: which instances are there, which of their log files are new, have grown or
 * were rotated. Each such *version* of a file (name, size, last written) is written to the state
 * once, whoever of several discoverers sees it first, and published.
 *
 * The state is asked only about files that this process has not seen as they are. What was made
 * `discovered` and not published (a crash between the two, or a message that expired: 24 hours) is
 * published again.
 * Threads: one. */
#ifndef WEIR_AURORA_DISCOVER_H
#define WEIR_AURORA_DISCOVER_H

#include "aurora/logfile.h"
#include "aurora/source.h"
#include "aurora/state.h"
#include "cache/cache.h"

struct discover;
struct discover_options {
    struct state *state;
    struct cache *cache;
    struct aws_client *client;
    const char *engine; /* "aurora-mysql", "mysql", "mariadb"; NULL: these three */
    const char *tag;    /* "key=value", "key"; NULL: any */
    const char *name;   /* a glob; NULL: any */
    unsigned keep;      /* MYSQL_LOG_KEEP of kinds */
    unsigned batch;     /* instances whose files are listed before their messages go out */
    int64_t poll_ns;
    int64_t touch_s; /* so often the state is told that a quiet file is still there */
    const atomic_bool *stopping;
    void *ctx;
    enum err (*publish)(void *ctx, const struct logfile_message *m);
    bool must_expire; /* messages are lost after a day: those of files still discovered go again */
};
struct discover_round {
    uint64_t instances, files, published, again, failed; /* failed: instances */
    uint64_t requests_saved;                             /* by the cache */
};
struct discover *discover_new(const struct discover_options *o);
void discover_free(struct discover *d);
/* An error when the instances could not be listed, or the state not be reached; what an instance
 * does not answer is counted and logged. */
NODISCARD enum err discover_run(struct discover *d, struct discover_round *ret);

#endif
