/* The memtable: parts, lists of parts, streams, and the jobs of the encoders.
 *
 * A part begins as one frame. When the parts of a stream that are neither sealed nor in a job reach
 * a block's rows or bytes, the longest run of them that fits is *sealed*: merged into a block of
 * one retention day (several, where the rows have several days), which then waits for its cut. Many
 * small frames (one record a body, say) are *gathered* before that: SMALL_GROUP parts of less than
 * SMALL_ROWS rows become one block of their rows, which counts as a part like a frame, so that a
 * reader never meets more than a few dozen small parts a stream. Age never seals.
 *
 * A job holds references to its parts, works without the lock and then, under the lock, replaces
 * them in the stream's list by what it made: parts of a job are neighbours in the list and stay so,
 * because lists only grow at the end or by such replacements. A job that fails (no memory, a
 * damaged frame) leaves the parts as they were; damaged frames are put aside first, so that they
 * cannot fail the next job as well.
 *
 * Cuts: `frozen` holds back the schedule from parts of the cut under way, whose leftovers
 * memtable_seal_upto() seals, whatever their size. Jobs carry the generation of their start; a cut
 * begins a new one and waits until no job of the old one runs. */
#include "store/memtable.h"

#include "core/clock.h"
#include "core/hash.h"
#include "core/log.h"
#include "core/mem.h"
#include "record/frame.h"
#include "store/merge.h"
#include "store/store_impl.h"

#include <stdatomic.h>
#include <stdlib.h>

#define SMALL_GROUP 32
#define SMALL_ROWS 1024
#define SEAL_ZSTD_LEVEL 1
#define GATHER_ZSTD_LEVEL 1

/* ---- parts ---- */

static struct part *part_ref(struct part *p)
{
    atomic_fetch_add_explicit(&p->refs, 1, memory_order_relaxed);
    return p;
}

void part_unref(struct part *p)
{
    if (!p || atomic_fetch_sub_explicit(&p->refs, 1, memory_order_acq_rel) != 1)
        return;
    blob_unref(p->frame);
    if (p->block)
        block_unref(p->block);
    mem_free(p);
}

enum err part_of_frame(struct blob *frame, uint64_t position, struct frame_info *ret_info,
                       struct part **ret)
{
    static _Atomic uint64_t next_number = 1;
    struct frame_info info;
    uint32_t rows;
    int64_t time_min, time_max;
    TRY(frame_peek(frame->bytes, &info, &rows, &time_min, &time_max));
    struct part *p = NEW(struct part);
    int64_t arrival_day = day_of(info.arrival_ns);
    *p = (struct part){.refs = 1,
                       .frame = blob_ref(frame),
                       .number = atomic_fetch_add_explicit(&next_number, 1, memory_order_relaxed),
                       .rows = rows,
                       .bytes = frame->bytes.n,
                       .raw_bytes =
                           info.raw_bytes > frame->bytes.n ? info.raw_bytes : frame->bytes.n,
                       .time_min = time_min,
                       .time_max = time_max,
                       .day_min = retention_day(time_min, info.arrival_ns),
                       .day_max = retention_day(time_max, info.arrival_ns),
                       .position_min = position,
                       .position_max = position};
    if (!retention_timely(time_min, time_max, info.arrival_ns)) {
        /* Some rows have the day of the arrival, the others may have any about it. */
        p->day_min = arrival_day - 8;
        p->day_max = arrival_day + 2;
    }
    *ret_info = info;
    *ret = p;
    return OK;
}

enum err part_open(const struct part *p, struct str stream, struct arena *a, uint64_t *bytes_read,
                   struct rows *ret)
{
    if (p->block)
        return block_rows_open(p->block, stream, a, bytes_read, ret);
    struct frame_info info;
    TRY(frame_open(p->frame->bytes, p->position_min, 0, a, &info, ret));
    if (bytes_read)
        *bytes_read += p->frame->bytes.n;
    return OK;
}

/* ---- lists ---- */

static struct part_list *list_new(uint32_t cap)
{
    struct part_list *l = mem_zalloc(sizeof(*l) + cap * sizeof(l->part[0]));
    l->refs = 1;
    l->cap = cap;
    return l;
}

void part_list_unref(struct part_list *l)
{
    if (!l || atomic_fetch_sub_explicit(&l->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (uint32_t i = 0; i < l->n; i++)
        part_unref(l->part[i]);
    mem_free(l);
}

static void account(struct store *s, const struct part *p, int sign)
{
    uint64_t *kind = p->block ? &s->sealed_bytes : &s->frame_bytes;
    *kind += sign > 0 ? p->bytes : -p->bytes;
    s->memtable_rows += sign > 0 ? p->rows : -(uint64_t)p->rows;
}

void memtable_append(struct store *s, struct mem_stream *st, struct part *p)
{
    struct part_list *l = st->parts;
    if (!l || l->n == l->cap) {
        struct part_list *grown = list_new(l ? l->cap * 2 : 4);
        for (uint32_t i = 0; l && i < l->n; i++)
            grown->part[grown->n++] = part_ref(l->part[i]);
        part_list_unref(l);
        st->parts = l = grown;
    }
    l->part[l->n++] = p;
    account(s, p, 1);
    st->open_rows += p->rows;
    st->open_bytes += p->raw_bytes;
    st->loose += p->rows < SMALL_ROWS;
}

/* Replaces parts [at, at + n) by m others; takes those over. */
static void list_replace(struct store *s, struct mem_stream *st, uint32_t at, uint32_t n,
                         struct part *const *with, uint32_t m)
{
    struct part_list *old = st->parts;
    CHECK(at + n <= old->n);
    uint32_t left = old->n - n + m;
    struct part_list *l = left ? list_new(left + 4) : NULL;
    for (uint32_t i = 0; i < old->n; i++) {
        if (i == at)
            for (uint32_t k = 0; k < m; k++) {
                account(s, with[k], 1);
                l->part[l->n++] = with[k];
            }
        if (i >= at && i < at + n)
            account(s, old->part[i], -1);
        else
            l->part[l->n++] = part_ref(old->part[i]);
    }
    st->parts = l;
    part_list_unref(old);
}

/* ---- streams ---- */

static uint64_t stream_hash(struct str org, struct str name)
{
    return hash64_seed(name, hash64(org));
}

static struct mem_stream **find_slot(struct stream_map *m, uint64_t hash, struct str org,
                                     struct str name)
{
    size_t mask = m->n_slots - 1;
    for (size_t i = hash & mask;; i = (i + 1) & mask) {
        struct mem_stream *st = m->slot[i];
        if (!st || (st->hash == hash && str_eq(st->org, org) && str_eq(st->name, name)))
            return &m->slot[i];
    }
}

static void map_grow(struct stream_map *m)
{
    if (m->n * 2 < m->n_slots)
        return;
    mem_free(m->slot);
    m->n_slots = m->n_slots ? m->n_slots * 2 : 64;
    m->slot = NEW_ARRAY(struct mem_stream *, m->n_slots);
    for (size_t i = 0; i < m->n; i++)
        *find_slot(m, m->all[i]->hash, m->all[i]->org, m->all[i]->name) = m->all[i];
}

struct mem_stream *memtable_find_stream(struct store *s, struct str org, struct str name)
{
    if (!s->streams.n_slots)
        return NULL;
    return *find_slot(&s->streams, stream_hash(org, name), org, name);
}

struct mem_stream *memtable_stream(struct store *s, struct str org, struct str name)
{
    struct stream_map *m = &s->streams;
    map_grow(m);
    uint64_t hash = stream_hash(org, name);
    struct mem_stream **slot = find_slot(m, hash, org, name);
    if (*slot)
        return *slot;
    struct mem_stream *st = NEW(struct mem_stream);
    st->hash = hash;
    st->org = (struct str){mem_strdup(org), org.n};
    st->name = (struct str){mem_strdup(name), name.n};
    *slot = st;
    ARRAY_GROW(m->all, m->cap, m->n + 1);
    st->number = m->n;
    m->all[m->n++] = st;
    return st;
}

void stream_map_release(struct stream_map *m)
{
    for (size_t i = 0; i < m->n; i++) {
        part_list_unref(m->all[i]->parts);
        mem_free((char *)m->all[i]->org.p);
        mem_free((char *)m->all[i]->name.p);
        mem_free(m->all[i]);
    }
    for (uint32_t i = 0; i < m->n_memories; i++)
        refs_memory_free(m->memory[i].learnt);
    mem_free(m->all);
    mem_free(m->slot);
}

static struct refs_memory *memory_at(struct stream_map *m, uint32_t i)
{
    struct refs_memory *learnt = m->memory[i].learnt;
    memmove(&m->memory[i], &m->memory[i + 1], (--m->n_memories - i) * sizeof(m->memory[0]));
    return learnt;
}

/* What was learnt of the stream, as far as no other job has it: for this one alone. */
static struct refs_memory *memory_take(struct store *s, const struct mem_stream *st)
{
    struct refs_memory *learnt = NULL;
    pthread_mutex_lock(&s->lock);
    for (uint32_t i = s->streams.n_memories; !learnt && i-- > 0;)
        if (s->streams.memory[i].st == st)
            learnt = memory_at(&s->streams, i);
    pthread_mutex_unlock(&s->lock);
    return learnt ? learnt : refs_memory_new();
}

/* With the lock. */
static void memory_put(struct store *s, const struct mem_stream *st, struct refs_memory *learnt)
{
    struct stream_map *m = &s->streams;
    if (!refs_memory_has(learnt)) {
        refs_memory_free(learnt);
        return;
    }
    if (m->n_memories == STREAM_MEMORIES)
        refs_memory_free(memory_at(m, 0));
    m->memory[m->n_memories++] = (struct stream_memory){st, learnt};
}

/* ---- jobs ---- */

struct job {
    struct store *s;
    struct mem_stream *st;
    struct part **part; /* referenced; neighbours in the list */
    struct merge_source *source;
    struct part **by_time; /* the same parts, as the sources stand */
    uint32_t n, n_sources;
    bool seal; /* else gather */
    unsigned generation;
    struct refs_memory *learnt; /* of the stream, while the job runs */
    struct part **out;
    size_t n_out, out_cap;
    int64_t day; /* of the blocks being made, when sealing */
    enum err err;
    struct job_wait *wait;
};
/* For whoever waits for a set of jobs. */
struct job_wait {
    enum err err;
    char text[160];
};

static enum err job_open(void *ctx, uint32_t i, struct arena *a, struct rows *ret)
{
    struct job *j = ctx;
    return part_open(j->by_time[i], j->st->name, a, NULL, ret);
}

static enum err job_emit(void *ctx, struct block *b)
{
    struct job *j = ctx;
    struct part *p = NEW(struct part);
    *p = (struct part){.refs = 1,
                       .sealed = j->seal,
                       .block = b,
                       .rows = block_rows(b),
                       .bytes = block_bytes(b),
                       .raw_bytes = block_raw_bytes(b),
                       .time_min = block_time_min(b),
                       .time_max = block_time_max(b),
                       .day_min = j->day,
                       .day_max = j->day,
                       .position_min = j->part[0]->position_min,
                       .position_max = j->part[j->n - 1]->position_max};
    for (uint32_t i = 0; !j->seal && i < j->n; i++) {
        if (!i || j->part[i]->day_min < p->day_min)
            p->day_min = j->part[i]->day_min;
        if (!i || j->part[i]->day_max > p->day_max)
            p->day_max = j->part[i]->day_max;
    }
    ARRAY_GROW(j->out, j->out_cap, j->n_out + 1);
    j->out[j->n_out++] = p;
    return OK;
}

static int by_time_cmp(const void *a, const void *b)
{
    const struct part *x = *(struct part *const *)a, *y = *(struct part *const *)b;
    if (x->time_min != y->time_min)
        return x->time_min < y->time_min ? -1 : 1;
    return x->position_min < y->position_min ? -1 : x->position_min > y->position_min;
}

static int day_cmp(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

/* The retention days of the job's rows, ascending. */
static enum err job_days(struct job *j, int64_t **ret, size_t *ret_n)
{
    int64_t *day = NULL;
    size_t n = 0, cap = 0;
    struct arena a;
    arena_init(&a, 0, NULL);
    enum err err = OK;
    for (uint32_t i = 0; err == OK && i < j->n_sources; i++) {
        struct rows rows;
        arena_reset(&a);
        err = part_open(j->by_time[i], j->st->name, &a, NULL, &rows);
        if (err == OK)
            err = retention_days(&rows, &day, &n, &cap);
    }
    arena_release(&a);
    if (err != OK) {
        mem_free(day);
        return err;
    }
    if (n)
        qsort(day, n, sizeof(*day), day_cmp);
    *ret = day;
    *ret_n = n;
    return OK;
}

static bool job_has_one_day(const struct job *j)
{
    for (uint32_t i = 0; i < j->n; i++)
        if (j->part[i]->day_min != j->part[0]->day_min ||
            j->part[i]->day_max != j->part[0]->day_min)
            return false;
    return true;
}

/* Compaction makes blocks of the full size; those before it are smaller, as several are made at a
 * time, each with scratch of several times its size, all of which is memory touched for the first
 * time where records come in a burst, and more than caches hold. Below five eighths of it, long
 * texts (Windows events) take more than 1.4 times what they do merged. */
static uint64_t seal_bytes(const struct store *s)
{
    return s->o.block_bytes / 8 * 5;
}

static enum err job_merge(struct job *j)
{
    struct merge m = {.source = j->source,
                      .n = j->n_sources,
                      .open = job_open,
                      .emit = job_emit,
                      .ctx = j,
                      .stream = j->st->name,
                      .block_rows = j->s->o.block_rows,
                      .block_bytes = seal_bytes(j->s),
                      .zstd_level = j->seal ? SEAL_ZSTD_LEVEL : GATHER_ZSTD_LEVEL,
                      .memory = j->learnt,
                      .owner = OWNER_MEMTABLE,
                      .scratch_owner = OWNER_ENCODE,
                      .gate = &j->s->scratch,
                      .held = true};
    j->day = j->part[0]->day_min;
    if (!j->seal || job_has_one_day(j))
        return merge_run(&m);
    int64_t *day;
    size_t n;
    TRY(job_days(j, &day, &n));
    enum err err = OK;
    for (size_t i = 0; err == OK && i < n; i++) {
        m.day = j->day = day[i];
        m.one_day = n > 1;
        err = merge_run(&m);
    }
    mem_free(day);
    return err;
}

static void job_clear_out(struct job *j)
{
    for (size_t i = 0; i < j->n_out; i++)
        part_unref(j->out[i]);
    j->n_out = 0;
}

/* Puts aside the frames that do not open, and leaves them out. True when there was one. */
static bool job_quarantine(struct job *j)
{
    struct arena a;
    uint32_t kept = 0;
    arena_init(&a, 0, NULL);
    for (uint32_t i = 0; i < j->n_sources; i++) {
        struct rows rows;
        struct part *p = j->by_time[i];
        arena_reset(&a);
        enum err err = part_open(p, j->st->name, &a, NULL, &rows);
        if (err == ERR_CORRUPT && p->frame &&
            store_quarantine(j->s, p->frame->bytes, p->position_min, err_text()) == OK)
            continue;
        j->source[kept] = j->source[i];
        j->by_time[kept++] = p;
    }
    bool any = kept < j->n_sources;
    j->n_sources = kept;
    arena_release(&a);
    return any;
}

static void job_sources(struct job *j)
{
    j->n_sources = j->n;
    memcpy(j->by_time, j->part, j->n * sizeof(struct part *));
    qsort(j->by_time, j->n, sizeof(struct part *), by_time_cmp);
    for (uint32_t i = 0; i < j->n; i++) {
        const struct part *p = j->by_time[i];
        j->source[i] = (struct merge_source){p->time_min, p->time_max, p->rows, p->raw_bytes};
    }
}

static void job_work(struct job *j)
{
    int64_t begun = clock_mono_ns();
    j->learnt = memory_take(j->s, j->st);
    job_sources(j);
    j->err = job_merge(j);
    if (j->err == ERR_CORRUPT && job_quarantine(j)) {
        job_clear_out(j);
        j->err = job_merge(j);
    }
    metric_observe_ns(j->s->m.seal_seconds, clock_mono_ns() - begun);
}

/* With the lock: the job's parts give way to what it made. */
static void job_commit(struct job *j)
{
    struct part_list *l = j->st->parts;
    uint32_t at = 0;
    while (at < l->n && l->part[at] != j->part[0])
        at++;
    CHECK(at + j->n <= l->n);
    for (uint32_t i = 0; i < j->n; i++)
        CHECK(l->part[at + i] == j->part[i]);
    list_replace(j->s, j->st, at, j->n, j->out, (uint32_t)j->n_out);
    for (size_t i = 0; i < j->n_out && !j->seal; i++) {
        j->st->open_rows += j->out[i]->rows;
        j->st->open_bytes += j->out[i]->raw_bytes;
        j->st->loose += j->out[i]->rows < SMALL_ROWS;
    }
    j->n_out = 0; /* the list's now */
}

/* With the lock: the parts may be scheduled again. */
static void job_give_back(struct job *j)
{
    for (uint32_t i = 0; i < j->n; i++) {
        j->part[i]->busy = false;
        j->st->open_rows += j->part[i]->rows;
        j->st->open_bytes += j->part[i]->raw_bytes;
    }
}

static void job_fail(struct job *j, const char *text)
{
    if (j->err != ERR_CANCELED)
        log_error("block cannot be made", "stream=%.*s error=%s", STR_ARG(j->st->name), text);
    if (j->wait && j->wait->err == OK) {
        j->wait->err = j->err;
        size_t n = strlen(text);
        if (n >= sizeof(j->wait->text))
            n = sizeof(j->wait->text) - 1;
        memcpy(j->wait->text, text, n);
        j->wait->text[n] = 0;
    }
}

static void job_free(struct job *j)
{
    job_clear_out(j);
    for (uint32_t i = 0; i < j->n; i++)
        part_unref(j->part[i]);
    mem_free(j->part);
    mem_free(j->by_time);
    mem_free(j->source);
    mem_free(j->out);
    mem_free(j);
}

/* A job of an encoder; its end may bring the next. */
static void job_run(void *arg)
{
    struct job *j = arg;
    struct store *s = j->s;
    if (store_stopping(s))
        j->err = err_set(ERR_CANCELED, "the store is being closed");
    else
        job_work(j);
    pthread_mutex_lock(&s->lock);
    if (j->learnt)
        memory_put(s, j->st, j->learnt);
    if (j->err == OK) {
        job_commit(j);
    } else {
        job_fail(j, err_text());
        job_give_back(j);
    }
    s->jobs[j->generation & 1]--;
    if (j->err == OK)
        memtable_schedule(s, j->st);
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
    job_free(j);
    if (s->o.relieved)
        s->o.relieved(s->o.ctx);
}

/* ---- schedule (all with the lock) ---- */

static struct job *job_new(struct store *s, struct mem_stream *st, uint32_t at, uint32_t n,
                           bool seal)
{
    struct job *j = NEW(struct job);
    *j = (struct job){.s = s,
                      .st = st,
                      .part = NEW_ARRAY(struct part *, n),
                      .n = n,
                      .source = NEW_ARRAY(struct merge_source, n),
                      .by_time = NEW_ARRAY(struct part *, n),
                      .seal = seal,
                      .generation = s->generation};
    for (uint32_t i = 0; i < n; i++) {
        struct part *p = st->parts->part[at + i];
        CHECK(!p->busy && !p->sealed);
        p->busy = true;
        j->part[i] = part_ref(p);
        st->open_rows -= p->rows;
        st->open_bytes -= p->raw_bytes;
    }
    s->jobs[s->generation & 1]++;
    return j;
}

static bool submit(struct store *s, struct mem_stream *st, uint32_t at, uint32_t n, bool seal)
{
    struct job *j = job_new(s, st, at, n, seal);
    if (pool_submit(s->encoders, job_run, j) == OK)
        return true;
    job_give_back(j); /* too many wait: a later delivery tries again */
    s->jobs[j->generation & 1]--;
    job_free(j);
    return false;
}

static bool is_free(const struct part *p, uint64_t above)
{
    return !p->sealed && !p->busy && p->position_min > above;
}

/* The end of the group of free parts that begins at `at`: at most a block. *ret_full: it cannot
 * grow. */
static uint32_t group_end(const struct store *s, const struct part_list *l, uint32_t at,
                          uint64_t above, uint64_t upto, bool *ret_full)
{
    uint64_t rows = 0, bytes = 0;
    uint32_t i = at;
    *ret_full = false;
    for (; i < l->n && is_free(l->part[i], above) && l->part[i]->position_max <= upto; i++) {
        rows += l->part[i]->rows;
        bytes += l->part[i]->raw_bytes;
        if (i > at && (rows > s->o.block_rows || bytes > seal_bytes(s))) {
            *ret_full = true;
            return i;
        }
    }
    *ret_full = rows >= s->o.block_rows || bytes >= seal_bytes(s);
    return i;
}

static void schedule_seals(struct store *s, struct mem_stream *st)
{
    const struct part_list *l = st->parts;
    for (uint32_t at = 0; at < l->n;) {
        bool full;
        uint32_t end = group_end(s, l, at, s->frozen, UINT64_MAX, &full);
        if (full && !submit(s, st, at, end - at, true))
            return;
        at = end > at ? end : at + 1;
    }
}

/* The number of free parts of less than `rows` rows at the end of the list. */
static uint32_t small_tail(const struct store *s, const struct part_list *l, uint32_t rows)
{
    uint32_t n = 0;
    while (n < l->n && is_free(l->part[l->n - 1 - n], s->frozen) &&
           l->part[l->n - 1 - n]->rows < rows)
        n++;
    return n;
}

static void schedule_gather(struct store *s, struct mem_stream *st)
{
    const struct part_list *l = st->parts;
    uint32_t small = small_tail(s, l, SMALL_ROWS), tiny = small_tail(s, l, SMALL_GROUP);
    st->loose = 0;
    if (small >= 2 * SMALL_GROUP)
        (void)submit(s, st, l->n - small, small, false);
    else if (tiny >= SMALL_GROUP)
        (void)submit(s, st, l->n - tiny, tiny, false);
}

void memtable_schedule(struct store *s, struct mem_stream *st)
{
    if (!st->parts || s->closing || s->resting)
        return;
    if (st->open_rows >= s->o.block_rows || st->open_bytes >= seal_bytes(s))
        schedule_seals(s, st);
    if (st->loose >= SMALL_GROUP)
        schedule_gather(s, st);
}

/* ---- cuts ---- */

struct job_list {
    struct job **job;
    size_t n, cap;
};

static void leftovers_of(struct store *s, struct mem_stream *st, uint64_t upto,
                         struct job_wait *wait, struct job_list *ret)
{
    for (uint32_t at = 0; st->parts && at < st->parts->n;) {
        bool full;
        uint32_t end = group_end(s, st->parts, at, 0, upto, &full);
        if (end == at) {
            at++;
            continue;
        }
        struct job *j = job_new(s, st, at, end - at, true);
        j->generation = s->generation - 1; /* of the cut, not of what comes behind it */
        s->jobs[s->generation & 1]--;
        s->jobs[j->generation & 1]++;
        j->wait = wait;
        ARRAY_GROW(ret->job, ret->cap, ret->n + 1);
        ret->job[ret->n++] = j;
        at = end;
    }
}

enum err memtable_seal_upto(struct store *s, uint64_t upto)
{
    struct job_wait wait = {OK, ""};
    struct job_list list = {NULL, 0, 0};
    unsigned generation = s->generation++;
    while (s->jobs[generation & 1])
        pthread_cond_wait(&s->changed, &s->lock);
    for (size_t i = 0; i < s->streams.n; i++)
        leftovers_of(s, s->streams.all[i], upto, &wait, &list);
    pthread_mutex_unlock(&s->lock);
    for (size_t i = 0; i < list.n; i++)
        if (pool_submit(s->encoders, job_run, list.job[i]) != OK)
            job_run(list.job[i]);
    pthread_mutex_lock(&s->lock);
    while (s->jobs[generation & 1])
        pthread_cond_wait(&s->changed, &s->lock);
    mem_free(list.job);
    return wait.err == OK ? OK : err_set(wait.err, "%s", wait.text);
}

void memtable_rest(struct store *s)
{
    s->resting = true;
    while (s->jobs[0] + s->jobs[1])
        pthread_cond_wait(&s->changed, &s->lock);
}

void memtable_go_on(struct store *s, bool drop)
{
    s->resting = false;
    for (size_t i = 0; drop && i < s->streams.n; i++) {
        struct mem_stream *st = s->streams.all[i];
        if (st->parts)
            list_replace(s, st, 0, st->parts->n, NULL, 0);
        st->open_rows = st->open_bytes = st->loose = 0;
    }
}

void memtable_drop_upto(struct store *s, uint64_t upto)
{
    for (size_t i = 0; i < s->streams.n; i++) {
        struct mem_stream *st = s->streams.all[i];
        uint32_t n = 0;
        while (st->parts && n < st->parts->n && st->parts->part[n]->position_max <= upto) {
            CHECK(st->parts->part[n]->sealed);
            n++;
        }
        if (n)
            list_replace(s, st, 0, n, NULL, 0);
    }
}
