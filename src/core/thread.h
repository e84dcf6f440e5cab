/* Threads with names and jobs, and a pool of workers behind a bounded queue. Mutexes and conditions
 * are pthreads' own, used directly. */
#ifndef WEIR_CORE_THREAD_H
#define WEIR_CORE_THREAD_H

#include "core/err.h"

#include <pthread.h>
#include <stdatomic.h>
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

/* What each thread has one of, made when it first asks and freed when it ends. One static a kind:
 *
 *     static struct thread_own contexts = THREAD_OWN(contexts_make, contexts_free);
 *     struct zstd_contexts *mine = thread_own(&contexts);
 *
 * make must not fail; the other members are thread_own's. */
struct thread_own {
    void *(*make)(void);
    void (*free)(void *);
    pthread_mutex_t lock;
    atomic_bool keyed;
    pthread_key_t key;
};
#define THREAD_OWN(make_, free_)                                                                   \
    {                                                                                              \
        .make = (make_), .free = (free_), .lock = PTHREAD_MUTEX_INITIALIZER                        \
    }
void *thread_own(struct thread_own *o);

/* A pool: submit never blocks; past `queue_max` waiting jobs it answers ERR_UNAVAILABLE
 * (back-pressure). */
struct pool;
typedef void pool_fn(void *arg);
struct pool *pool_new(const char *name, unsigned threads, size_t queue_max);
/* The same with `spare` more threads, which help only while more than `spare_from` jobs wait: for
 * work that costs less where fewer do it. */
struct pool *pool_new_spare(const char *name, unsigned threads, unsigned spare, size_t spare_from,
                            size_t queue_max);
NODISCARD enum err pool_submit(struct pool *p, pool_fn *fn, void *arg);
size_t pool_waiting(struct pool *p);
/* Finishes what waits, then joins. */
void pool_free(struct pool *p);

#endif
