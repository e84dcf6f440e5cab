/* Wall clock, monotonic clock and randomness, all drivable by tests. Threads: any. */
#ifndef WEIR_CORE_CLOCK_H
#define WEIR_CORE_CLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NS_PER_S 1000000000LL
#define NS_PER_MS 1000000LL
#define NS_PER_DAY (86400LL * NS_PER_S)

int64_t clock_now_ns(void);    /* UTC since 1970 */
int64_t clock_mono_ns(void);   /* never goes back */
int64_t clock_thread_ns(void); /* what the processor spent on this thread */
void clock_sleep_ms(int64_t ms);
/* Tests: fixes the wall clock (0 sets it free again); it moves only by further calls. */
void clock_set_ns(int64_t ns);
/* Tests: the monotonic clock jumps ahead by ns; deadlines past it are over at their next wait. */
void clock_skip_ns(int64_t ns);
int64_t clock_skipped_ns(void);
void random_bytes(void *p, size_t n); /* getrandom(2), or the seeded generator */
void random_seed(uint64_t seed);      /* tests: deterministic from here on; 0 sets it free */
uint64_t random_u64(void);

#endif
