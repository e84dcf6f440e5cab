/* Faults on purpose: makes the I/O layer fail at the Nth call. A plan comes from a test or from the
 * environment: WEIR_FAULT="crash@120:seed=7", "enospc@40", "eio@40", "short@40", "fsync@3".
 * `crash` ends the process (SIGKILL to itself) after undoing a random subset of what was written
 * but not synced since: bytes of files, lengths, created and renamed names whose folder was not
 * synced. `lose=0` keeps everything (a kill, not a power cut). With `count` the plan does nothing
 * but count calls, and fault_calls() tells how many there were. After a non-crash fault the calls
 * work again, unless `sticky`. Threads: any; the plan is set before the threads start. Costs one
 * branch where no plan is set. */
#ifndef WEIR_CORE_FAULT_H
#define WEIR_CORE_FAULT_H

#include "core/err.h"

#include <stdbool.h>
#include <stdint.h>

enum fault_kind {
    FAULT_NONE,
    FAULT_COUNT_ONLY,
    FAULT_CRASH,
    FAULT_ENOSPC,
    FAULT_EIO,
    FAULT_SHORT,
    FAULT_FSYNC
};
struct fault_plan {
    enum fault_kind kind;
    uint64_t at; /* the Nth I/O call from now, from 1 */
    uint64_t seed;
    bool lose;   /* crash: lose what was not synced */
    bool sticky; /* every call from `at` on */
};
void fault_set(const struct fault_plan *plan); /* NULL: none */
NODISCARD enum err fault_from_env(void);
uint64_t fault_calls(void);

#endif
