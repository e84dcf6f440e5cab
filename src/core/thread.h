/* Threads with names and jobs, and a pool of workers behind a bounded queue. Mutexes and conditions
 * are pthreads' own, used directly. */
#ifndef WEIR_CORE_THREAD_H
#define WEIR_CORE_THREAD_H

#include "core/err.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* name: at most 15 bytes. Signals are blocked in it. */
NODISCARD enum err thread_start(pthread_t *ret, const char *name, void *(*fn)(void *), void *arg);
unsigned thread_cpus(void); /* cores we may run on */
/* Waits on cond until `deadline` of clock_mono_ns; false when it passed. The condition must have
 * been made by cond_init. */
void cond_init(pthread_cond_t *c);
bool cond_wait_until(pthread_cond_t *c, pthread_mutex_t *m, int64_t deadline_mono_ns);

/* A pool: submit never blocks; past `queue_max` waiting jobs it answers ERR_UNAVAILABLE
 * (back-pressure). */
struct pool;
typedef void pool_fn(void *arg);
struct pool *pool_new(const char *name, unsigned threads, size_t queue_max);
NODISCARD enum err pool_submit(struct pool *p, pool_fn *fn, void *arg);
size_t pool_waiting(struct pool *p);
/* Finishes what waits, then joins. */
void pool_free(struct pool *p);

#endif
