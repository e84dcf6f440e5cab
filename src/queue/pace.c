#include "queue/pace.h"

#include "core/clock.h"

enum { SMALL_BYTES = 64 << 10, LEAST_GROWS = 64 };
#define WINDOW_NS NS_PER_S
#define AGAIN_NS (60 * NS_PER_S)
/* What LZ4 takes for a byte of a frame, and somewhat more than that. */
#define LZ4_NS 2.0

/* The least there was; where syncs have become slower for good, it follows little by little. */
static void note_small(struct pace *p, int64_t waited_ns)
{
    if (!p->least_ns || waited_ns < p->least_ns)
        p->least_ns = waited_ns > 0 ? waited_ns : 1;
    else
        p->least_ns += p->least_ns / LEAST_GROWS + 1;
}

static bool saves_time(const struct pace *p)
{
    const struct pace_bytes *b = &p->bytes;
    double a_byte = (double)p->took_ns / (double)b->all;
    return !b->packed || a_byte * ((double)b->from - (double)b->packed) >= (double)b->from * LZ4_NS;
}

static void judge(struct pace *p, int64_t now_ns)
{
    const struct pace_bytes *b = &p->bytes;
    double window = (double)(now_ns - p->since_ns), took = (double)p->took_ns;
    double plain = (double)b->all - (double)b->packed + (double)b->from;
    if (!pace_is_slow(p)) {
        p->slow =
            took >= window / 2 && took / 2 >= 2 * plain * LZ4_NS && now_ns >= p->not_before_ns;
    } else if (!b->all || took / (double)b->all * plain < window / 4) {
        p->slow = false;
    } else if (!saves_time(p)) {
        p->slow = false;
        p->not_before_ns = now_ns + AGAIN_NS;
    }
}

void pace_idle(struct pace *p, int64_t now_ns)
{
    if (!p->since_ns)
        p->since_ns = now_ns;
    if (now_ns - p->since_ns < WINDOW_NS)
        return;
    judge(p, now_ns);
    p->since_ns = now_ns;
    p->took_ns = 0;
    p->bytes = (struct pace_bytes){0};
}

void pace_note(struct pace *p, int64_t now_ns, int64_t took_ns, int64_t cpu_ns,
               const struct pace_bytes *bytes)
{
    int64_t waited = took_ns - cpu_ns;
    if (!p->since_ns)
        p->since_ns = now_ns - took_ns;
    if (bytes->all <= SMALL_BYTES) {
        note_small(p, waited);
    } else {
        if (waited > p->least_ns)
            p->took_ns += waited - p->least_ns;
        p->bytes.all += bytes->all;
        p->bytes.packed += bytes->packed;
        p->bytes.from += bytes->from;
    }
    pace_idle(p, now_ns);
}
