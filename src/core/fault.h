/* Faults on purpose: makes the I/O layer fail at the Nth call. A plan comes from a test or from the
 * environment: WEIR_FAULT="crash@120:seed=7", "enospc@40", "eio@40", "short@40", "fsync@3",
 * "unreadable@8192", "slow@20000".
 *
 * Calls that change the disk are counted (create, write, truncate, allocate, sync, rename, unlink,
 * mkdir, sync of a folder); reads only with `reads`. A plan strikes at the first call from the Nth
 * on that it can apply to: enospc where space is taken, fsync at syncs, short at writes (half of
 * the bytes are written, then the disk is full), eio and crash at any. After a fault the calls work
 * again, unless `sticky`.
 *
 * `crash` ends the process (SIGKILL to itself) before that call, after undoing a random part of
 * what was written but not synced since: sectors, lengths, created, renamed and removed names whose
 * folder was not synced. `lose=0` keeps everything (a kill, not a power cut). With `count` the plan
 * does nothing but count calls, and fault_calls() tells how many there were. `unreadable@N` counts
 * nothing: it is a bad spot of the disk, the page with byte N of every file that io.h reads
 * (`sticky`: all from that page on). Nor does `slow@N`: every write takes a millisecond longer for
 * each N bytes, one after the other as on one disk.
 *
 * Threads: any; the plan is set before the threads start. Costs one branch where no plan is set. */
#ifndef WEIR_CORE_FAULT_H
#define WEIR_CORE_FAULT_H

#include "core/err.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum fault_kind {
    FAULT_NONE,
    FAULT_COUNT_ONLY,
    FAULT_CRASH,
    FAULT_ENOSPC,
    FAULT_EIO,
    FAULT_SHORT,
    FAULT_FSYNC,
    FAULT_UNREADABLE,
    FAULT_SLOW,
};
struct fault_plan {
    enum fault_kind kind;
    uint64_t at; /* the Nth I/O call from now, from 1 */
    uint64_t seed;
    bool lose;   /* crash: lose what was not synced */
    bool sticky; /* every call from `at` on */
    bool reads;  /* count reads too, and let eio strike them */
};
void fault_set(const struct fault_plan *plan); /* NULL: none */
/* Takes the plan from WEIR_FAULT, if that is set. */
NODISCARD enum err fault_from_env(void);
/* kind[@N][:seed=N][:lose=0|1][:sticky=0|1][:reads=0|1], kind one of crash enospc eio short fsync
 * unreadable slow count. */
NODISCARD enum err fault_parse(const char *text, struct fault_plan *ret);
/* Whether a read of these bytes meets a bad spot; counted as a hit. */
bool fault_spoils(uint64_t off, size_t n);
uint64_t fault_calls(void); /* counted since fault_set */
uint64_t fault_hits(void);  /* faults raised since fault_set */

/* For a layer that does its own I/O beside io.h (SQLite's VFS). Around each call, where
 * fault_active():
 *
 *     fault_lock();
 *     size_t part = n;
 *     enum err err = fault_step(FAULT_OP_WRITE, path, &part);
 *     if (part) {
 *         fault_note_write(fd, path, offset, part);
 *         ... write `part` bytes ...
 *     }
 *     fault_unlock();
 *
 * In a crash plan the lock holds every other I/O call off, so that what a crash undoes is what was
 * done. Where the descriptor is unknown it is -1 and the path says which file; such a file stays
 * open here until the next fault_set (closing it would drop the process's POSIX locks on it). */
enum fault_op {
    FAULT_OP_READ,
    FAULT_OP_WRITE,
    FAULT_OP_GROW, /* allocate, truncate to more */
    FAULT_OP_NAME, /* create, rename, mkdir */
    FAULT_OP_DROP, /* unlink, truncate to less */
    FAULT_OP_SYNC, /* of a file or a folder */
};

extern _Atomic bool fault_is_active;
static inline bool fault_active(void)
{
    return __builtin_expect(atomic_load_explicit(&fault_is_active, memory_order_relaxed), 0);
}
void fault_lock(void);
void fault_unlock(void);
/* Counts one call and applies the plan: OK, or the error to answer (its text names `path`), or no
 * return. n (may be NULL) is set on failure to how many of its bytes still reach the file: 0 but
 * for `short`. */
NODISCARD enum err fault_step(enum fault_op op, const char *path, size_t *n);
/* Before the change: */
void fault_note_write(int fd, const char *path, uint64_t off, size_t n);
void fault_note_truncate(int fd, const char *path, uint64_t size); /* and allocate */
void fault_note_create(const char *path); /* nothing is noted where the name exists */
void fault_note_rename(const char *from, const char *to);
void fault_note_unlink(const char *path);
/* After success: */
void fault_note_sync(int fd, const char *path);
void fault_note_sync_dir(const char *path);

#endif
