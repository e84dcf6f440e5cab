#include "query/turns.h"

#include "core/mem.h"

#include <pthread.h>
#include <stdbool.h>

struct waiter { /* on its thread's stack */
    pthread_cond_t called;
    bool has_turn;
    struct waiter *next;
};

struct turns {
    pthread_mutex_t lock;
    unsigned free; /* under lock, as the rest; 0 while somebody waits */
    struct waiter *first, **end;
};

struct turns *turns_new(unsigned n)
{
    struct turns *t = NEW(struct turns);
    pthread_mutex_init(&t->lock, NULL);
    t->free = n;
    t->end = &t->first;
    return t;
}

void turns_free(struct turns *t)
{
    if (!t)
        return;
    pthread_mutex_destroy(&t->lock);
    mem_free(t);
}

void turns_take(struct turns *t)
{
    pthread_mutex_lock(&t->lock);
    if (t->free) {
        t->free--;
    } else {
        struct waiter me = {.called = PTHREAD_COND_INITIALIZER};
        *t->end = &me;
        t->end = &me.next;
        while (!me.has_turn)
            pthread_cond_wait(&me.called, &t->lock);
        pthread_cond_destroy(&me.called);
    }
    pthread_mutex_unlock(&t->lock);
}

void turns_give(struct turns *t)
{
    pthread_mutex_lock(&t->lock);
    struct waiter *next = t->first;
    if (next) {
        t->first = next->next;
        if (!t->first)
            t->end = &t->first;
        next->has_turn = true;
        pthread_cond_signal(&next->called);
    } else {
        t->free++;
    }
    pthread_mutex_unlock(&t->lock);
}

unsigned turns_waiting(struct turns *t)
{
    unsigned n = 0;
    pthread_mutex_lock(&t->lock);
    for (const struct waiter *w = t->first; w; w = w->next)
        n++;
    pthread_mutex_unlock(&t->lock);
    return n;
}
