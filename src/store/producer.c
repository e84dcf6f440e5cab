/* Producers: a hash table of windows, and a short list of what is claimed and not settled.
 *
 * The text of a window in the catalog: NUMBER:MARK, in hexadecimal, parted by spaces, ascending;
 * the last is the highest number that landed. */
#include "store/producer.h"

#include "core/clock.h"
#include "core/governor.h"
#include "core/mem.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

struct entry {
    uint64_t producer, epoch;
    uint64_t high;
    int64_t at_ns;
    uint64_t mark[PRODUCER_WINDOW]; /* of number n at n % PRODUCER_WINDOW; 0: not landed */
    bool fresh, freezing;           /* not in the catalog; in the cut under way */
};

/* Taken over whole by producers_become. */
struct known {
    struct entry **entry;
    size_t n, cap;
    uint32_t *table; /* open addressing: index + 1 */
    size_t n_table;
};

struct producers {
    pthread_mutex_t lock;
    struct known k;
    struct store_sequence *pending;
    size_t n_pending, pending_cap;
};

struct producers *producers_new(void)
{
    struct producers *p = NEW(struct producers);
    pthread_mutex_init(&p->lock, NULL);
    return p;
}

static void entry_free(struct entry *e)
{
    governor_give(OWNER_OTHER, sizeof(*e));
    mem_free(e);
}

void producers_free(struct producers *p)
{
    if (!p)
        return;
    for (size_t i = 0; i < p->k.n; i++)
        entry_free(p->k.entry[i]);
    mem_free(p->k.entry);
    mem_free(p->k.table);
    mem_free(p->pending);
    pthread_mutex_destroy(&p->lock);
    mem_free(p);
}

/* ---- the table ---- */

static size_t slot_of(const struct producers *p, uint64_t producer, uint64_t epoch)
{
    size_t mask = p->k.n_table - 1, at = hash_mix(producer ^ hash_mix(epoch)) & mask;
    while (p->k.table[at] && (p->k.entry[p->k.table[at] - 1]->producer != producer ||
                              p->k.entry[p->k.table[at] - 1]->epoch != epoch))
        at = (at + 1) & mask;
    return at;
}

static struct entry *find(const struct producers *p, uint64_t producer, uint64_t epoch)
{
    uint32_t i = p->k.n_table ? p->k.table[slot_of(p, producer, epoch)] : 0;
    return i ? p->k.entry[i - 1] : NULL;
}

static void rebuild(struct producers *p, size_t n_table)
{
    mem_free(p->k.table);
    p->k.n_table = n_table;
    p->k.table = NEW_ARRAY(uint32_t, n_table);
    for (size_t i = 0; i < p->k.n; i++)
        p->k.table[slot_of(p, p->k.entry[i]->producer, p->k.entry[i]->epoch)] = (uint32_t)i + 1;
}

/* The one not heard of for longest, if the catalog has what is known of it. */
static void drop_oldest(struct producers *p)
{
    size_t oldest = SIZE_MAX;
    for (size_t i = 0; i < p->k.n; i++)
        if (!p->k.entry[i]->fresh && !p->k.entry[i]->freezing &&
            (oldest == SIZE_MAX || p->k.entry[i]->at_ns < p->k.entry[oldest]->at_ns))
            oldest = i;
    if (oldest == SIZE_MAX)
        return;
    entry_free(p->k.entry[oldest]);
    p->k.entry[oldest] = p->k.entry[--p->k.n];
    rebuild(p, p->k.n_table);
}

static struct entry *add(struct producers *p, uint64_t producer, uint64_t epoch)
{
    if (p->k.n >= PRODUCERS_MAX)
        drop_oldest(p);
    struct entry *e = NEW(struct entry);
    governor_force(OWNER_OTHER, sizeof(*e));
    e->producer = producer;
    e->epoch = epoch;
    ARRAY_GROW(p->k.entry, p->k.cap, p->k.n + 1);
    p->k.entry[p->k.n++] = e;
    if (p->k.n * 2 > p->k.n_table)
        rebuild(p, p->k.n_table ? p->k.n_table * 2 : 64);
    else
        p->k.table[slot_of(p, producer, epoch)] = (uint32_t)p->k.n;
    return e;
}

/* ---- windows ---- */

static void land(struct entry *e, uint64_t number, uint64_t mark)
{
    if (number > e->high) {
        uint64_t gap = number - e->high;
        for (uint64_t i = 1; i <= gap && i <= PRODUCER_WINDOW; i++)
            e->mark[(e->high + i) % PRODUCER_WINDOW] = 0;
        if (gap > PRODUCER_WINDOW)
            memset(e->mark, 0, sizeof(e->mark));
        e->high = number;
    }
    if (e->high - number < PRODUCER_WINDOW && !e->mark[number % PRODUCER_WINDOW])
        e->mark[number % PRODUCER_WINDOW] = mark ? mark : 1;
}

static bool parse_mark(struct str text, uint64_t *ret_number, uint64_t *ret_mark)
{
    char copy[64];
    int used = 0;
    snprintf(copy, sizeof(copy), "%.*s", STR_ARG(text));
    return text.n < sizeof(copy) &&
           sscanf(copy, "%16" SCNx64 ":%16" SCNx64 "%n", ret_number, ret_mark, &used) == 2 &&
           (size_t)used == text.n;
}

enum err producers_load(struct producers *p, const struct catalog_producer *row, size_t n)
{
    enum err err = OK;
    pthread_mutex_lock(&p->lock);
    for (size_t i = 0; i < n && err == OK; i++) {
        struct entry *e = find(p, row[i].producer, row[i].epoch);
        struct str rest = row[i].window, part;
        if (!e)
            e = add(p, row[i].producer, row[i].epoch);
        if (row[i].at_ns > e->at_ns)
            e->at_ns = row[i].at_ns;
        while (err == OK && rest.n && str_split(&rest, ' ', &part)) {
            uint64_t number, mark;
            if (parse_mark(part, &number, &mark))
                land(e, number, mark);
            else
                err = err_set(ERR_CORRUPT,
                              "catalog: the window of producer %016" PRIx64
                              " cannot be read: \"%.*s\"",
                              row[i].producer, part.n > 80 ? 80 : (int)part.n, part.p);
        }
    }
    pthread_mutex_unlock(&p->lock);
    return err;
}

void producers_become(struct producers *p, struct producers *from)
{
    pthread_mutex_lock(&p->lock);
    struct known was = p->k;
    p->k = from->k;
    from->k = was;
    pthread_mutex_unlock(&p->lock);
    producers_free(from);
}

static struct str write_window(const struct entry *e, struct arena *a)
{
    struct buf text;
    buf_init(&text, 64 << 10);
    uint64_t from = e->high >= PRODUCER_WINDOW ? e->high - PRODUCER_WINDOW + 1 : 0;
    for (uint64_t n = from; n <= e->high; n++)
        if (e->mark[n % PRODUCER_WINDOW])
            buf_printf(&text, "%s%" PRIx64 ":%" PRIx64, text.n ? " " : "", n,
                       e->mark[n % PRODUCER_WINDOW]);
    struct str ret = arena_str(a, buf_str(&text));
    buf_release(&text);
    return ret;
}

/* ---- what the store asks ---- */

void producers_note(struct producers *p, const struct frame_info *info)
{
    if (!info->producer)
        return;
    pthread_mutex_lock(&p->lock);
    struct entry *e = find(p, info->producer, info->epoch);
    if (!e)
        e = add(p, info->producer, info->epoch);
    land(e, info->sequence, info->payload.lo);
    e->at_ns = info->arrival_ns;
    e->fresh = true;
    pthread_mutex_unlock(&p->lock);
}

static size_t find_pending(const struct producers *p, const struct store_sequence *s)
{
    size_t i = 0;
    while (i < p->n_pending &&
           (p->pending[i].producer != s->producer || p->pending[i].epoch != s->epoch ||
            p->pending[i].sequence != s->sequence))
        i++;
    return i;
}

static enum claim look(const struct producers *p, const struct store_sequence *s)
{
    const struct entry *e = find(p, s->producer, s->epoch);
    uint64_t mark = s->mark ? s->mark : 1;
    if (find_pending(p, s) < p->n_pending)
        return CLAIM_PENDING;
    if (!e || s->sequence > e->high)
        return CLAIM_NEW;
    if (e->high - s->sequence >= PRODUCER_WINDOW)
        return CLAIM_SEEN;
    uint64_t had = e->mark[s->sequence % PRODUCER_WINDOW];
    return !had ? CLAIM_NEW : had == mark ? CLAIM_SEEN : CLAIM_OTHER;
}

enum claim producers_claim(struct producers *p, const struct store_sequence *s)
{
    pthread_mutex_lock(&p->lock);
    enum claim claim = look(p, s);
    if (claim == CLAIM_NEW) {
        ARRAY_GROW(p->pending, p->pending_cap, p->n_pending + 1);
        p->pending[p->n_pending++] = *s;
    }
    pthread_mutex_unlock(&p->lock);
    return claim;
}

void producers_settle(struct producers *p, const struct store_sequence *s)
{
    pthread_mutex_lock(&p->lock);
    size_t i = find_pending(p, s);
    if (i < p->n_pending)
        p->pending[i] = p->pending[--p->n_pending];
    pthread_mutex_unlock(&p->lock);
}

void producers_freeze(struct producers *p, struct arena *a, struct catalog_producer **ret,
                      size_t *ret_n)
{
    size_t n = 0;
    pthread_mutex_lock(&p->lock);
    for (size_t i = 0; i < p->k.n; i++)
        n += p->k.entry[i]->fresh;
    struct catalog_producer *row = ARENA_ARRAY(a, struct catalog_producer, n);
    *ret = row;
    *ret_n = n;
    for (size_t i = 0; i < p->k.n; i++) {
        struct entry *e = p->k.entry[i];
        if (!e->fresh)
            continue;
        *row++ = (struct catalog_producer){e->producer, e->epoch, e->at_ns, write_window(e, a)};
        e->fresh = false;
        e->freezing = true;
    }
    pthread_mutex_unlock(&p->lock);
}

void producers_thaw(struct producers *p, bool published)
{
    pthread_mutex_lock(&p->lock);
    for (size_t i = 0; i < p->k.n; i++) {
        struct entry *e = p->k.entry[i];
        e->fresh = e->fresh || (e->freezing && !published);
        e->freezing = false;
    }
    pthread_mutex_unlock(&p->lock);
}
