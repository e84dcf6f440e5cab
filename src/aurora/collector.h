/* The Aurora collector: discovery, processing, or both in one process.
 *
 * Its threads: "aurora-find" (discovery rounds), "aurora-N" (workers), "aurora-beat" (signs of life
 * and orders, in the table aurora-log-tracking).
 * Threads: start and stop from one; the rest from any. */
#ifndef WEIR_AURORA_COLLECTOR_H
#define WEIR_AURORA_COLLECTOR_H

#include "aurora/discover.h"
#include "aurora/visit.h"

enum { COLLECTOR_OUTPUTS_MAX = UNIT_OUTPUTS_MAX };
struct collector_options {
    const char *state, *cache; /* URLs */
    const char *queue;         /* kafka://...; NULL: embedded, or the state */
    const char *profile, *region;
    const char *engine, *tag, *name, *time_zone;
    const char *output[COLLECTOR_OUTPUTS_MAX];
    unsigned n_outputs;
    const struct output_type *const *output_types;
    const struct sink *sink; /* one more, of this process; NULL: none */
    const char *input;       /* the label `input` of its gauges; NULL: they have none */
    struct stages *stages;   /* what records go through; outlives the collector; NULL: nothing */
    unsigned keep;           /* kinds of logs */
    bool discovers, processes, once;
    int64_t poll_ns;       /* between rounds */
    double rate;           /* RDS_API_RATE_LIMIT: requests a second */
    unsigned batch_rows;   /* BATCH_SIZE */
    unsigned concurrency;  /* MAX_CONCURRENCY: files read at a time */
    unsigned batch_found;  /* DISCOVERY_BATCH_SIZE: instances */
    unsigned failures_max; /* CIRCUIT_BREAKER_MAX_FAILURES */
    int64_t open_ns;       /* CIRCUIT_BREAKER_TIMEOUT_SEC */
    int64_t lease_s;
    int64_t touch_s; /* so often the state is told that quiet files are still there */
};
/* The defaults, and what the environment says: NAME and WEIR_NAME, the latter first. ERR_INVALID
 * names the variable. */
NODISCARD enum err collector_options_env(struct collector_options *o);
/* "slow,error" -> bits of `keep`. */
NODISCARD enum err collector_read_kinds(struct str names, unsigned *ret);
/* The state where none is given: $WEIR_AURORA_STATE, or a file here. */
const char *collector_state_default(void);

struct collector;
NODISCARD enum err collector_start(const struct collector_options *o, struct collector **ret);
/* Nothing is under way or left to do, after at least one round (for --once). */
bool collector_is_idle(struct collector *c);
/* An order to stop came by the state. */
bool collector_is_ordered_to_stop(struct collector *c);
/* Whether the state says that those who were ordered to stop may go on. */
NODISCARD enum err collector_may_go_on(const struct collector_options *o, bool *ret);
/* Units under way are finished, at most so long; then it all ends. */
void collector_stop(struct collector *c); /* NULL is fine */
struct collector_counts {
    uint64_t records, bytes, failed;
    size_t waiting; /* files */
};
void collector_counts(const struct collector *c, struct collector_counts *ret);
/* One JSON object: what it has done and does. */
void collector_write(struct collector *c, struct buf *out);
/* The first round is done, the state answers. */
bool collector_is_ready(struct collector *c);

#endif
