/* Threads, and the pool: a ring of jobs under one mutex, workers that sleep on one condition. The
 * ring doubles up to queue_max; jobs start in the order of their submission. */
#include "core/thread.h"

#include "core/clock.h"
#include "core/mem.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>

struct start {
    void *(*fn)(void *);
    void *arg;
    char name[16];
};

static void *thread_main(void *arg)
{
    struct start start = *(struct start *)arg;
    mem_free(arg);
    pthread_setname_np(pthread_self(), start.name);
    return start.fn(start.arg);
}

enum err thread_start(pthread_t *ret, const char *name, void *(*fn)(void *), void *arg)
{
    struct start *start = NEW(struct start);
    start->fn = fn;
    start->arg = arg;
    snprintf(start->name, sizeof(start->name), "%s", name);
    sigset_t all, before;
    sigfillset(&all);
    sigdelset(&all, SIGBUS); /* of a mapped file that shrank: it is the thread's own */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(ret, NULL, thread_main, start);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed) {
        mem_free(start);
        errno = failed;
        (void)err_set_errno("cannot start thread %s", name);
        return ERR_UNAVAILABLE;
    }
    return OK;
}

unsigned thread_cpus(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof(set), &set) != 0)
        return 1;
    int n = CPU_COUNT(&set);
    return n > 0 ? (unsigned)n : 1;
}

void *thread_own(struct thread_own *o)
{
    if (!o->keyed) {
        pthread_mutex_lock(&o->lock);
        if (!o->keyed)
            CHECK(pthread_key_create(&o->key, o->free) == 0);
        o->keyed = true;
        pthread_mutex_unlock(&o->lock);
    }
    void *mine = pthread_getspecific(o->key);
    if (!mine) {
        mine = o->make();
        CHECK(pthread_setspecific(o->key, mine) == 0);
    }
    return mine;
}

void cond_init(pthread_cond_t *c)
{
    pthread_condattr_t attr;
    CHECK(pthread_condattr_init(&attr) == 0);
    CHECK(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0);
    CHECK(pthread_cond_init(c, &attr) == 0);
    pthread_condattr_destroy(&attr);
}

bool cond_wait_until(pthread_cond_t *c, pthread_mutex_t *m, int64_t deadline_mono_ns)
{
    deadline_mono_ns -= clock_skipped_ns(); /* the system's clock has not jumped */
    if (deadline_mono_ns < 0)
        deadline_mono_ns = 0;
    struct timespec t = {deadline_mono_ns / NS_PER_S, deadline_mono_ns % NS_PER_S};
    int r = pthread_cond_timedwait(c, m, &t);
    CHECK(r == 0 || r == ETIMEDOUT);
    return r == 0;
}

struct job {
    pool_fn *fn;
    void *arg;
};

struct pool_team {
    struct pool *pool;
    pthread_cond_t wake;
    size_t from; /* they work while more jobs wait */
};

struct pool {
    pthread_mutex_t lock;
    struct pool_team first, spare;
    struct job *ring;
    size_t head, count, cap, max;
    bool closing;
    char name[16];
    unsigned threads;
    pthread_t ids[];
};

static void *pool_main(void *arg)
{
    struct pool_team *team = arg;
    struct pool *p = team->pool;
    pthread_mutex_lock(&p->lock);
    for (;;) {
        while (p->count <= team->from && !p->closing)
            pthread_cond_wait(&team->wake, &p->lock);
        if (p->count == 0)
            break;
        struct job job = p->ring[p->head];
        p->head = (p->head + 1) % p->cap;
        p->count--;
        pthread_mutex_unlock(&p->lock);
        job.fn(job.arg);
        pthread_mutex_lock(&p->lock);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

static void team_init(struct pool_team *team, struct pool *p, size_t from)
{
    team->pool = p;
    team->from = from;
    cond_init(&team->wake);
}

static void team_start(struct pool_team *team, unsigned threads)
{
    struct pool *p = team->pool;
    for (unsigned i = 0; i < threads; i++) {
        if (thread_start(&p->ids[p->threads], p->name, pool_main, team) != OK) {
            /* Fewer workers are slower, none would hang. */
            if (p->threads == 0)
                BUG("%s", err_text());
            break;
        }
        p->threads++;
    }
}

struct pool *pool_new_spare(const char *name, unsigned threads, unsigned spare, size_t spare_from,
                            size_t queue_max)
{
    CHECK(queue_max > 0);
    if (threads == 0)
        threads = thread_cpus();
    struct pool *p = mem_zalloc(sizeof(*p) + (threads + spare) * sizeof(pthread_t));
    pthread_mutex_init(&p->lock, NULL);
    team_init(&p->first, p, 0);
    team_init(&p->spare, p, spare_from);
    p->max = queue_max;
    snprintf(p->name, sizeof(p->name), "%s", name);
    team_start(&p->first, threads);
    team_start(&p->spare, spare);
    return p;
}

struct pool *pool_new(const char *name, unsigned threads, size_t queue_max)
{
    return pool_new_spare(name, threads, 0, 0, queue_max);
}

static void ring_grow(struct pool *p)
{
    size_t cap = p->cap ? p->cap * 2 : 16;
    struct job *ring = NEW_ARRAY(struct job, cap);
    for (size_t i = 0; i < p->count; i++)
        ring[i] = p->ring[(p->head + i) % p->cap];
    mem_free(p->ring);
    p->ring = ring;
    p->cap = cap;
    p->head = 0;
}

enum err pool_submit(struct pool *p, pool_fn *fn, void *arg)
{
    pthread_mutex_lock(&p->lock);
    bool full = p->count >= p->max || p->closing;
    if (!full) {
        if (p->count == p->cap)
            ring_grow(p);
        p->ring[(p->head + p->count++) % p->cap] = (struct job){fn, arg};
        pthread_cond_signal(&p->first.wake);
        if (p->count > p->spare.from)
            pthread_cond_signal(&p->spare.wake);
    }
    pthread_mutex_unlock(&p->lock);
    if (full)
        return err_set(ERR_UNAVAILABLE, "%s: %zu jobs wait already", p->name, p->max);
    return OK;
}

size_t pool_waiting(struct pool *p)
{
    pthread_mutex_lock(&p->lock);
    size_t n = p->count;
    pthread_mutex_unlock(&p->lock);
    return n;
}

void pool_free(struct pool *p)
{
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    p->closing = true;
    pthread_cond_broadcast(&p->first.wake);
    pthread_cond_broadcast(&p->spare.wake);
    pthread_mutex_unlock(&p->lock);
    for (unsigned i = 0; i < p->threads; i++)
        pthread_join(p->ids[i], NULL);
    pthread_cond_destroy(&p->first.wake);
    pthread_cond_destroy(&p->spare.wake);
    pthread_mutex_destroy(&p->lock);
    mem_free(p->ring);
    mem_free(p);
}
