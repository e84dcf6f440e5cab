/* How hard the RDS API may be used: a token bucket that adapts to being throttled, and circuit
 * breakers for each API action and each instance.
 *
 * The bucket gives `rate` requests a second; each throttled answer takes three tenths off it (down
 * to a tenth of what is configured), each good one gives a hundredth back.
 * A breaker counts failures in a row (throttled, 5xx, broken, timed out, access denied). At
 * `failures_max` it opens: calls are refused with "circuit breaker is open". After `open_ns` one
 * call is let through; it closes the breaker, or opens it anew.
 * Threads: any. limits_admit blocks while the bucket is empty. */
#ifndef WEIR_AURORA_LIMITS_H
#define WEIR_AURORA_LIMITS_H

#include "core/buf.h"
#include "core/err.h"

#include <stdatomic.h>

struct limits;
struct limits_options {
    double rate; /* requests a second */
    unsigned failures_max;
    int64_t open_ns;
    const atomic_bool *stopping; /* waiting ends then, with ERR_CANCELED */
    const char *labels;          /* of the breakers' gauges; NULL: none; outlives it */
};
enum breaker_state { BREAKER_CLOSED, BREAKER_OPEN, BREAKER_HALF_OPEN };

struct limits *limits_new(const struct limits_options *o);
void limits_free(struct limits *l);
/* Before a request of `action`, about `instance` (may be empty). ERR_AGAIN: a breaker is open
 * (its text names it, and when its next try is). ERR_CANCELED: stopping. */
NODISCARD enum err limits_admit(struct limits *l, const char *action, struct str instance);
enum limits_outcome { LIMITS_GOOD, LIMITS_BAD, LIMITS_THROTTLED };
void limits_judge(struct limits *l, const char *action, struct str instance,
                  enum limits_outcome outcome);
/* Closes a breaker by its name ("api:NAME", "instance:NAME"), or all. How many there were. */
unsigned limits_reset(struct limits *l, struct str name);
/* JSON: {"rate":9.8,"breakers":[{"name":"api:...","state":"open","failures":5,...}]}; breakers that
 * have nothing to tell (closed, without failures) are left out. */
void limits_write(struct limits *l, struct buf *out);

#endif
