/* Sends units to the outputs until each has them, and keeps what no output will ever take.
 * Threads: one at a time (a worker's own). */
#ifndef WEIR_AURORA_DELIVER_H
#define WEIR_AURORA_DELIVER_H

#include "aurora/unit.h"

#include <stdatomic.h>

struct deliver {
    struct state *state;
    struct output *output[UNIT_OUTPUTS_MAX]; /* the holder's */
    unsigned n_outputs;
    const atomic_bool *stopping;
};
/* OK: every output has every record, or a dead letter does. ERR_CANCELED: stopping. ERR_CONFLICT:
 * the strand was lost meanwhile. */
NODISCARD enum err deliver_unit(struct deliver *d, struct unit *u, struct strand *l,
                                struct str instance, struct str file);

struct dead_letter {
    struct str instance, file, log_type;
    uint64_t from, to; /* bytes of the file */
    const char *error;
    struct str payload; /* records as NDJSON; may be empty */
    uint32_t part;      /* of several of one unit */
    int64_t sequence;
};
/* Its id is made of what it is about: written again, it is the same one. */
NODISCARD enum err dead_letter_put(struct state *s, const struct dead_letter *d);

/* WEIR_AURORA_CRASH=STEP:N ends the process at the Nth such step, as kill -9 would: for tests. */
void deliver_step(const struct deliver *d, const char *step);

#endif
