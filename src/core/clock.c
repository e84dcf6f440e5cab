/* Time and randomness. Both have a mode for tests: a fixed wall clock, a generator with a seed
 * (splitmix64: each call adds the golden ratio to the state and mixes it). */
#include "core/clock.h"

#include "core/err.h"
#include "core/hash.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

static _Atomic int64_t fixed_ns;
static _Atomic int64_t skipped_ns;
static _Atomic bool seeded;
static _Atomic uint64_t seed_state;

static int64_t read_clock(clockid_t id)
{
    struct timespec t;
    CHECK(clock_gettime(id, &t) == 0);
    return (int64_t)t.tv_sec * NS_PER_S + t.tv_nsec;
}

int64_t clock_now_ns(void)
{
    int64_t fixed = atomic_load_explicit(&fixed_ns, memory_order_relaxed);
    return fixed ? fixed : read_clock(CLOCK_REALTIME);
}

int64_t clock_mono_ns(void)
{
    return read_clock(CLOCK_MONOTONIC) + atomic_load_explicit(&skipped_ns, memory_order_relaxed);
}

int64_t clock_thread_ns(void)
{
    return read_clock(CLOCK_THREAD_CPUTIME_ID);
}

void clock_sleep_ms(int64_t ms)
{
    struct timespec left = {ms / 1000, (ms % 1000) * NS_PER_MS};
    while (ms > 0 && clock_nanosleep(CLOCK_MONOTONIC, 0, &left, &left) == EINTR)
        ;
}

void clock_set_ns(int64_t ns)
{
    fixed_ns = ns;
}

void clock_skip_ns(int64_t ns)
{
    CHECK(ns >= 0);
    skipped_ns += ns;
}

int64_t clock_skipped_ns(void)
{
    return skipped_ns;
}

void random_seed(uint64_t seed)
{
    seed_state = seed;
    seeded = seed != 0;
}

static uint64_t next_seeded(void)
{
    uint64_t step = 0x9e3779b97f4a7c15ULL;
    return hash_mix(atomic_fetch_add(&seed_state, step) + step);
}

void random_bytes(void *p, size_t n)
{
    char *at = p;
    while (n) {
        ssize_t got;
        if (seeded) {
            uint64_t v = next_seeded();
            got = n < sizeof(v) ? (ssize_t)n : (ssize_t)sizeof(v);
            memcpy(at, &v, (size_t)got);
        } else {
            got = getrandom(at, n, 0);
            CHECK(got > 0 || errno == EINTR);
        }
        if (got > 0) {
            at += got;
            n -= (size_t)got;
        }
    }
}

uint64_t random_u64(void)
{
    uint64_t v;
    random_bytes(&v, sizeof(v));
    return v;
}
