#include "store/learnt.h"

#include "core/governor.h"
#include "core/mem.h"
#include "core/thread.h"

struct learnt {
    struct reservation res;
    size_t max;
    struct learnt_column *column[LEARNT_COLUMNS];
    uint32_t n;
    uint64_t asked;
};

static void *learnt_make(void)
{
    struct learnt *l = NEW(struct learnt);
    size_t share = LEARNT_BYTES / thread_cpus();
    l->max = share < LEARNT_THREAD_BYTES ? share : LEARNT_THREAD_BYTES;
    reservation_init(&l->res, OWNER_ENCODE, 0);
    return l;
}

static void drop(struct learnt *l, uint32_t i)
{
    arena_release(&l->column[i]->a);
    mem_free(l->column[i]);
    l->column[i] = l->column[--l->n];
}

static void learnt_free(void *p)
{
    struct learnt *l = p;
    while (l->n)
        drop(l, l->n - 1);
    reservation_release(&l->res);
    mem_free(l);
}

static struct thread_own own = THREAD_OWN(learnt_make, learnt_free);

static void drop_oldest(struct learnt *l)
{
    uint32_t oldest = 0;
    for (uint32_t i = 1; i < l->n; i++)
        if (l->column[i]->used < l->column[oldest]->used)
            oldest = i;
    drop(l, oldest);
}

void learnt_forget(struct learnt_column *c)
{
    arena_release(&c->a);
    c->templates = NULL;
}

struct learnt_column *learnt_column(uint64_t key)
{
    struct learnt *l = thread_own(&own);
    struct learnt_column *c = NULL;
    for (uint32_t i = 0; i < l->n && !c; i++)
        if (l->column[i]->key == key)
            c = l->column[i];
    if (c)
        c->used = ++l->asked;
    while (l->n > 1 && l->res.bytes > l->max)
        drop_oldest(l);
    if (c) {
        if (c->a.used > l->max / 2)
            learnt_forget(c);
        return c;
    }
    if (l->n == LEARNT_COLUMNS)
        drop_oldest(l);
    c = l->column[l->n++] = NEW(struct learnt_column);
    *c = (struct learnt_column){.key = key, .used = ++l->asked};
    arena_init(&c->a, 0, &l->res);
    return c;
}
