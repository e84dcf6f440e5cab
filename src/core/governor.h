/* One byte budget for everything that grows with data. A buffer, block, query or cache holds a
 * reservation under the name of its owner; what does not fit waits, spills or fails alone.
 * Threads: any; a single reservation is used by one thread at a time unless said otherwise. */
#ifndef WEIR_CORE_GOVERNOR_H
#define WEIR_CORE_GOVERNOR_H

#include "core/err.h"
#include "core/str.h"

#include <pthread.h>

enum owner {
    OWNER_INGEST,   /* request bodies and batches being decoded */
    OWNER_QUEUE,    /* frames waiting for their fsync */
    OWNER_MEMTABLE, /* frames and sealed blocks not yet in a segment */
    OWNER_ENCODE,   /* scratch of encoders */
    OWNER_QUERY,
    OWNER_CACHE, /* block cache and segment directories */
    OWNER_COMPACT,
    OWNER_OTHER,
    OWNER_COUNT
};

/* What several reservations, of any threads, may hold together: all that one query needs. Forced
 * bytes may stand above `max`. It outlives them. */
struct account {
    size_t max;
    _Atomic size_t used, peak;
};
struct reservation {
    enum owner owner;
    size_t bytes, max;  /* max 0: bounded by the budget alone */
    struct account *of; /* which bounds it, too; may be NULL */
};

/* Once at start. The default budget is 0: no limit. */
void governor_set_budget(size_t bytes);
size_t governor_budget(void);
size_t governor_used(void);
size_t governor_used_by(enum owner owner);
const char *governor_owner_name(enum owner owner);
/* Share of the budget an owner may take, in 1/1000; default 1000. */
void governor_set_share(enum owner owner, unsigned permille);

void reservation_init(struct reservation *r, enum owner owner, size_t max);
void reservation_init_of(struct reservation *r, enum owner owner, struct account *of);
/* ERR_NOMEM with a text that names the owner, the budget and who holds it. */
NODISCARD enum err reservation_grow(struct reservation *r, size_t bytes);
/* Always succeeds: for memory that exists already and cannot be refused (replay, a sealed block).
 */
void reservation_force(struct reservation *r, size_t bytes);
void reservation_shrink(struct reservation *r, size_t bytes);
void reservation_release(struct reservation *r);
/* Atomic accounting without a struct, for refcounted blobs; the same rules. */
NODISCARD enum err governor_take(enum owner owner, size_t bytes);
void governor_force(enum owner owner, size_t bytes);
void governor_give(enum owner owner, size_t bytes);

/* A gate for work that can wait: it takes its bytes in the order of asking, as many at a time as
 * fit `max`, but always one piece of work. They are charged to its owner until it leaves. Whoever
 * is inside must not enter again. */
struct gate {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    size_t max, used;
    uint64_t asked, admitted;
};
void gate_init(struct gate *g, size_t max); /* 0: no bound */
void gate_release(struct gate *g);
void gate_enter(struct gate *g, enum owner owner, size_t bytes); /* blocks */
void gate_leave(struct gate *g, enum owner owner, size_t bytes);
/* Leaves and enters again where others wait: for long work, where it holds little. */
void gate_yield(struct gate *g, enum owner owner, size_t bytes);

#endif
