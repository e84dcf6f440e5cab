/* What an encoder learnt of columns, kept for the next block of the same column: the lines of a log
 * are those of an hour ago. What is kept only saves work: which bytes are written does not depend
 * on it.
 *
 * Owner: the thread, until it ends. Columns used longest ago are forgotten where there are more
 * than LEARNT_COLUMNS, or they take more than LEARNT_THREAD_BYTES or the thread's share of
 * LEARNT_BYTES by the cores; and one that alone takes more than half of that. Threads: each has its
 * own; what is handed out is the caller's until the same thread asks again. */
#ifndef WEIR_STORE_LEARNT_H
#define WEIR_STORE_LEARNT_H

#include "core/arena.h"

enum { LEARNT_COLUMNS = 64, LEARNT_BYTES = 128 << 20, LEARNT_THREAD_BYTES = 16 << 20 };

struct templates_kept;
struct learnt_column {
    uint64_t key, used;
    struct arena a;                   /* of all that is learnt of the column */
    struct templates_kept *templates; /* NULL: nothing yet */
};

/* `key` tells columns of all streams apart. */
struct learnt_column *learnt_column(uint64_t key);
void learnt_forget(struct learnt_column *c);

#endif
