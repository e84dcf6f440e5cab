#include "query/edge.h"

#include "core/governor.h"
#include "core/mem.h"
#include "record/batch.h"

#include <pthread.h>
#include <stdatomic.h>

/* An end of a range has one or two blocks: enough for some dashboards at a time. */
enum { EDGES_MAX = 64, EDGES_BYTES = 32 << 20, EDGE_BYTES_MAX = 4 << 20 };
/* Blocks are read so often before their rows are taken out, which costs about as much. */
enum { TIMES = 4 };

struct edge {
    _Atomic uint32_t refs;
    struct batch *batch;
    struct str stream; /* behind it */
    size_t bytes;
};

struct slot {
    struct edge_name name;
    uint32_t times;
    bool busy; /* being made, or not to be had */
    uint64_t used;
    struct edge *edge;
};

struct edges {
    pthread_mutex_t lock;
    struct slot slot[EDGES_MAX]; /* under lock */
    uint64_t clock;
    size_t bytes;
};

struct edges *edges_new(void)
{
    struct edges *e = NEW(struct edges);
    pthread_mutex_init(&e->lock, NULL);
    return e;
}

void edge_unref(struct edge *g)
{
    if (!g || atomic_fetch_sub_explicit(&g->refs, 1, memory_order_acq_rel) != 1)
        return;
    governor_give(OWNER_CACHE, g->bytes);
    batch_free(g->batch);
    mem_free(g);
}

static void drop(struct edges *e, struct slot *s)
{
    if (s->edge)
        e->bytes -= s->edge->bytes;
    edge_unref(s->edge);
    *s = (struct slot){0};
}

void edges_free(struct edges *e)
{
    if (!e)
        return;
    for (int i = 0; i < EDGES_MAX; i++)
        drop(e, &e->slot[i]);
    pthread_mutex_destroy(&e->lock);
    mem_free(e);
}

static bool is_name(const struct edge_name *a, const struct edge_name *b)
{
    return a->lasting == b->lasting && a->place == b->place && a->from == b->from && a->to == b->to;
}

/* That of the name, or the one that was not used for the longest time: with the lock. */
static struct slot *find(struct edges *e, const struct edge_name *name)
{
    struct slot *oldest = &e->slot[0];
    for (int i = 0; i < EDGES_MAX; i++) {
        if (is_name(&e->slot[i].name, name))
            return &e->slot[i];
        if (e->slot[i].used < oldest->used)
            oldest = &e->slot[i];
    }
    return oldest;
}

struct edge *edge_get(struct edges *e, const struct edge_name *name)
{
    struct edge *found = NULL;
    pthread_mutex_lock(&e->lock);
    struct slot *s = find(e, name);
    if (is_name(&s->name, name) && s->edge) {
        s->used = ++e->clock;
        found = s->edge;
        atomic_fetch_add_explicit(&found->refs, 1, memory_order_relaxed);
    }
    pthread_mutex_unlock(&e->lock);
    return found;
}

void edge_rows(const struct edge *g, struct arena *arena, struct rows *ret)
{
    batch_view(g->batch, arena, ret);
    ret->stream = g->stream;
}

bool edge_is_wanted(struct edges *e, const struct edge_name *name)
{
    pthread_mutex_lock(&e->lock);
    struct slot *s = find(e, name);
    if (!is_name(&s->name, name)) {
        drop(e, s);
        s->name = *name;
    }
    s->used = ++e->clock;
    bool wanted = !s->edge && !s->busy && ++s->times >= TIMES;
    s->busy |= wanted;
    pthread_mutex_unlock(&e->lock);
    return wanted;
}

/* NULL: the rows are none to be kept. */
static struct edge *edge_new(struct rows *rows, const uint32_t *row, uint32_t n)
{
    struct batch *b = batch_new();
    struct edge *g = NULL;
    if (batch_append_rows(b, rows, row, n) == OK && batch_bytes(b) <= EDGE_BYTES_MAX &&
        governor_take(OWNER_CACHE, batch_bytes(b)) == OK) {
        g = mem_zalloc(sizeof(*g) + rows->stream.n);
        memcpy(g + 1, rows->stream.p, rows->stream.n);
        *g = (struct edge){.refs = 1,
                           .batch = b,
                           .stream = str_of((const char *)(g + 1), rows->stream.n),
                           .bytes = batch_bytes(b)};
        return g;
    }
    batch_free(b);
    return NULL;
}

void edge_put(struct edges *e, const struct edge_name *name, struct rows *rows, const uint32_t *row,
              uint32_t n)
{
    struct edge *g = edge_new(rows, row, n);
    if (!g)
        return;
    pthread_mutex_lock(&e->lock);
    struct slot *s = find(e, name);
    while (e->bytes + g->bytes > EDGES_BYTES) {
        struct slot *oldest = NULL;
        for (int i = 0; i < EDGES_MAX; i++)
            if (e->slot[i].edge && (!oldest || e->slot[i].used < oldest->used))
                oldest = &e->slot[i];
        drop(e, oldest);
    }
    if (is_name(&s->name, name) && !s->edge) {
        s->edge = g;
        e->bytes += g->bytes;
        g = NULL;
    }
    pthread_mutex_unlock(&e->lock);
    edge_unref(g);
}
