/* A route: from the spool to one output. It reads the spool at a pace of its own, gathers bulks,
 * and sends each until it is settled: retries with pauses that double (and a random part, so that
 * many agents do not come back at once), dead letters for what will never be taken, counters. A
 * breaker: after a failure nothing else is tried until the pause is over, and then one bulk.
 * Outputs that let it send several bulks at a time, each by an output of its own, and in any order;
 * the route's place moves only over those that have nothing unsettled before them.
 *
 * Its state is one file, DIR/routes/NAME: how far it has come and what it has counted up to there,
 * written at most once a second; so after a crash position and counts agree, and what is sent again
 * is counted once. Dead letters are lines of JSON in DIR/dead/NAME.ndjson, synced before the route
 * moves on.
 * Threads: one of its own, and one for each of several bulks; every function from any, start and
 * stop from one. Bounds: `parallel` bulks. */
#ifndef WEIR_PIPELINE_ROUTE_H
#define WEIR_PIPELINE_ROUTE_H

#include "pipeline/output.h"
#include "pipeline/spool.h"
#include "transform/transform.h"

struct filter;

/* What a configuration may say of a route; 0: what the output's type says, or the default. */
struct route_settings {
    struct output_gather gather;
    bool has_wait;
    unsigned parallel;                  /* bulks at a time */
    int64_t retry_min_ns, retry_max_ns; /* of the pauses */
};

struct route;
struct route_options {
    const char *name; /* [a-z0-9._-], at most ROUTE_NAME_MAX bytes; also of its files */
    const char *dir;
    struct spool *spool;
    const unsigned *hold;  /* that of the route whose place this one takes; NULL: one of its own */
    bool running;          /* the spool is started already */
    struct output *output; /* the route's from here on */
    const struct output_type *const *types; /* with the next: to open more like it */
    const char *url;
    struct route_settings settings;
    const struct filter *where; /* NULL: everything; the caller's, as the next */
    struct chain *chain;        /* NULL: nothing is changed; run by the route alone */
};
enum { ROUTE_NAME_MAX = 64 };

struct route_stats {
    char name[ROUTE_NAME_MAX + 1];
    uint64_t position;       /* everything below is settled */
    uint64_t before;         /* records that the spool had taken before the route was there */
    uint64_t sent, dead;     /* records since then */
    uint64_t dropped;        /* that `where` or the chain did not let through */
    uint64_t waiting;        /* records in the spool and not settled */
    uint64_t passed;         /* records of the spool that do not wait: all of the above together */
    uint64_t lost_rows;      /* records that were given up: the route was too far behind */
    uint64_t lost;           /* entries of the spool that could not be read */
    uint64_t bulks, retries; /* since the start */
    uint32_t under_way;      /* bulks */
    const char *breaker;     /* closed, open, trying */
    bool failing;            /* the last try failed */
    int64_t failing_since_ns;
    char last_error[300];
};

NODISCARD enum err route_check_name(const char *name);
NODISCARD enum err route_check_settings(const struct route_settings *s,
                                        const struct output *output);
/* Reads the state and holds the spool there; before spool_start. */
NODISCARD enum err route_open(const struct route_options *o, struct route **ret);
/* After spool_start and spool_set_taken. */
NODISCARD enum err route_start(struct route *r);
unsigned route_hold(const struct route *r);
/* Forgets the state, too, and lets go of the spool: the route was taken out of the configuration.
 * Stopped. Its dead letters stay. */
void route_remove(struct route *r);
void route_wake(struct route *r); /* the spool has more */
/* Goes on until the spool is sent or `wait_ms` have passed, then stops and writes the state. */
void route_stop(struct route *r, int64_t wait_ms);
void route_free(struct route *r); /* stopped, or never started; NULL is fine */
void route_stats(struct route *r, struct route_stats *ret);

#endif
