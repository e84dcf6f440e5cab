/* Whether the disk is what the queue waits for, and so whether bytes are worth the processor's time
 * that compressing them takes: measured at every group that is written, judged once a second.
 *
 * What of a write grows with its bytes is what took longer than a sync of next to nothing does
 * (`least_ns`, which no compression changes), without the processor's part of it. Compression is
 * begun when that fills half of the time or more, and half of it (what LZ4 mostly saves at least)
 * would be twice what compressing costs. It is ended when what it would take without is less than a
 * quarter of the time; or when less is saved than it costs: then it is not tried again for a while,
 * for such data does not compress. So a disk that gives more than some 120 MB/s never lets it
 * begin, and one that gives less only while it is asked for half of that.
 *
 * Threads: one writes; pace_is_slow from any. */
#ifndef WEIR_QUEUE_PACE_H
#define WEIR_QUEUE_PACE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct pace_bytes {
    uint64_t all;          /* as written */
    uint64_t packed, from; /* of them, those that somebody tried to compress; before that */
};
struct pace {
    _Atomic bool slow;
    int64_t least_ns; /* of a sync with hardly any bytes; 0: not known yet */
    int64_t not_before_ns;
    int64_t since_ns; /* of the second that is being measured; 0: none yet */
    int64_t took_ns;  /* in it, beyond least_ns each */
    struct pace_bytes bytes;
};

/* One write with its sync, at now_ns of the monotonic clock: it took took_ns of which the thread
 * itself computed cpu_ns. */
void pace_note(struct pace *p, int64_t now_ns, int64_t took_ns, int64_t cpu_ns,
               const struct pace_bytes *bytes);
/* Nothing was written for a while. */
void pace_idle(struct pace *p, int64_t now_ns);
static inline bool pace_is_slow(const struct pace *p)
{
    return atomic_load_explicit(&p->slow, memory_order_relaxed);
}

#endif
