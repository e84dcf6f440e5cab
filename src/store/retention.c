/* Retention: what goes, and when.
 *
 * By age: a segment goes when the retention days of all its sections ended longer ago than
 * retention_ns. Compaction makes files of one day, so that only a fresh (level 0) file that spans
 * midnight waits for its younger part.
 *
 * By size: while segments and queue (whose callback may count the catalog in) are above max_disk,
 * whole segments go, those of the oldest day first. When nothing is left to go, admission closes
 * with the reason and what to do (space.c). Segments of several servers are not of one's disk, and
 * do not go by size.
 *
 * The catalog's transaction comes first, then the manifest, then the files, with their last reader:
 * a crash between leaves files that the next start removes. */
#include "core/clock.h"
#include "core/log.h"
#include "core/mem.h"
#include "store/store_impl.h"

#include <inttypes.h>
#include <stdlib.h>

static uint64_t bytes_used(const struct store *s, const struct manifest *m)
{
    uint64_t bytes = s->o.queue_bytes ? s->o.queue_bytes(s->o.ctx) : 0;
    for (size_t i = 0; i < m->n && !store_is_shared(s); i++)
        bytes += m->segment[i]->bytes;
    return bytes;
}

/* What the queue keeps only for speed must neither cost records nor hold ingest closed. */
uint64_t retention_bytes_used(const struct store *s, const struct manifest *m)
{
    uint64_t bytes = bytes_used(s, m);
    if (!s->o.max_disk || bytes <= s->o.max_disk || !s->o.reclaim)
        return bytes;
    s->o.reclaim(s->o.ctx);
    return bytes_used(s, m);
}

static int oldest_day_cmp(const void *a, const void *b)
{
    const struct manifest_segment *x = *(struct manifest_segment *const *)a;
    const struct manifest_segment *y = *(struct manifest_segment *const *)b;
    if (x->day_max != y->day_max)
        return x->day_max < y->day_max ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

static bool too_old(const struct store *s, const struct manifest_segment *e, int64_t now)
{
    int64_t age = (now - (e->day_max + 1) * NS_PER_DAY);
    return s->retention_ns && e->n_sections && age >= s->retention_ns;
}

/* Which segments go; references are taken. */
static void choose(struct store *s, const struct manifest *m, struct replacement *r)
{
    int64_t now = clock_now_ns();
    uint64_t used = retention_bytes_used(s, m);
    struct manifest_segment **by_day = NEW_ARRAY(struct manifest_segment *, m->n ? m->n : 1);
    memcpy(by_day, m->segment, m->n * sizeof(by_day[0]));
    qsort(by_day, m->n, sizeof(by_day[0]), oldest_day_cmp);
    r->remove = NEW_ARRAY(struct manifest_segment *, m->n ? m->n : 1);
    for (size_t i = 0; i < m->n; i++) {
        bool over = s->max_disk && used > s->max_disk && !store_is_shared(s);
        if (!over && !too_old(s, by_day[i], now))
            continue;
        r->remove[r->n_remove++] = manifest_segment_ref(by_day[i]);
        used -= by_day[i]->bytes;
    }
    mem_free(by_day);
}

enum err retention_run(struct store *s, uint64_t *ret_freed)
{
    TRY(manifest_resolve(s));
    struct manifest *m = store_manifest(s);
    struct replacement r = {0};
    uint64_t freed = 0, rows = 0;
    enum err err = OK;
    choose(s, m, &r);
    manifest_unref(m);
    size_t n = r.n_remove;
    for (size_t i = 0; i < n; i++) {
        freed += r.remove[i]->bytes;
        rows += r.remove[i]->rows;
    }
    if (n)
        err = manifest_replace(s, &r, NULL);
    replacement_release(&r);
    TRY(err);
    if (n) {
        log_info("segments expired", "segments=%zu rows=%" PRIu64 " bytes=%" PRIu64, n, rows,
                 freed);
        metric_add(s->m.expired_segments, (int64_t)n);
        metric_add(s->m.expired_bytes, (int64_t)freed);
        pthread_mutex_lock(&s->lock);
        s->expired_segments += n;
        s->expired_bytes += freed;
        pthread_mutex_unlock(&s->lock);
    }
    *ret_freed = freed;
    return OK;
}
