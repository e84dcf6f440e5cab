/* epoll, level-triggered; an eventfd wakes it for what is posted. Descriptors are handed to the
 * kernel with a pointer to their watch: one that is taken out while its event waits in the same
 * round is struck from the round. */
#include "net/reactor.h"

#include "core/clock.h"
#include "core/mem.h"
#include "core/thread.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { EVENTS = 64, TICK_MS = 250 };

struct reactor {
    int epoll_fd, wake_fd;
    pthread_t thread;
    bool running;
    bool ending; /* the thread's own */
    struct reactor_ticker *tickers;
    struct epoll_event round[EVENTS];
    int n_round;
    pthread_mutex_t lock; /* of the posted notes */
    struct reactor_note *first, **last;
};

enum err reactor_new(struct reactor **ret)
{
    struct reactor *r = NEW(struct reactor);
    pthread_mutex_init(&r->lock, NULL);
    r->last = &r->first;
    r->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    r->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = NULL};
    if (r->epoll_fd < 0 || r->wake_fd < 0 ||
        epoll_ctl(r->epoll_fd, EPOLL_CTL_ADD, r->wake_fd, &e) != 0) {
        enum err err = err_set_errno("cannot make an event loop");
        reactor_free(r);
        return err;
    }
    *ret = r;
    return OK;
}

/* ---- the thread ---- */

static void run_notes(struct reactor *r)
{
    uint64_t count;
    while (read(r->wake_fd, &count, sizeof(count)) < 0 && errno == EINTR)
        ;
    pthread_mutex_lock(&r->lock);
    struct reactor_note *note = r->first;
    r->first = NULL;
    r->last = &r->first;
    pthread_mutex_unlock(&r->lock);
    while (note) {
        struct reactor_note *next = note->next;
        note->fn(note->ctx);
        note = next;
    }
}

static void run_round(struct reactor *r)
{
    bool notes = false;
    for (int i = 0; i < r->n_round; i++) {
        struct reactor_watch *w = r->round[i].data.ptr;
        if (w)
            w->ready(w->ctx, r->round[i].events);
        else if (r->round[i].events)
            notes = true;
    }
    r->n_round = 0;
    if (notes)
        run_notes(r);
}

static void *loop(void *arg)
{
    struct reactor *r = arg;
    int64_t next_tick = clock_mono_ns() + TICK_MS * NS_PER_MS;
    while (!r->ending) {
        int64_t left = (next_tick - clock_mono_ns()) / NS_PER_MS;
        int wait = left < 0 ? 0 : left > TICK_MS ? TICK_MS : (int)left + 1;
        r->n_round = epoll_wait(r->epoll_fd, r->round, EVENTS, wait);
        CHECK(r->n_round >= 0 || errno == EINTR);
        run_round(r);
        if (clock_mono_ns() < next_tick)
            continue;
        next_tick = clock_mono_ns() + TICK_MS * NS_PER_MS;
        for (struct reactor_ticker *t = r->tickers; t; t = t->next)
            t->tick(t->ctx);
    }
    return NULL;
}

enum err reactor_run(struct reactor *r, const char *name)
{
    TRY(thread_start(&r->thread, name, loop, r));
    r->running = true;
    return OK;
}

static void end(void *ctx)
{
    ((struct reactor *)ctx)->ending = true;
}

void reactor_free(struct reactor *r)
{
    if (!r)
        return;
    if (r->running) {
        struct reactor_note note = {end, r, NULL};
        reactor_post(r, &note);
        pthread_join(r->thread, NULL);
    }
    if (r->epoll_fd >= 0)
        close(r->epoll_fd);
    if (r->wake_fd >= 0)
        close(r->wake_fd);
    pthread_mutex_destroy(&r->lock);
    mem_free(r);
}

/* ---- watches ---- */

static int control(struct reactor *r, int op, struct reactor_watch *w, uint32_t events)
{
    struct epoll_event e = {.events = events, .data.ptr = w};
    return epoll_ctl(r->epoll_fd, op, w->fd, &e);
}

enum err reactor_watch(struct reactor *r, struct reactor_watch *w, uint32_t events)
{
    if (control(r, EPOLL_CTL_ADD, w, events) != 0)
        return err_set_errno("cannot watch a socket");
    w->added = true;
    return OK;
}

void reactor_change(struct reactor *r, struct reactor_watch *w, uint32_t events)
{
    CHECK(w->added && control(r, EPOLL_CTL_MOD, w, events) == 0);
}

void reactor_unwatch(struct reactor *r, struct reactor_watch *w)
{
    if (!w->added)
        return;
    w->added = false;
    (void)control(r, EPOLL_CTL_DEL, w, 0);
    for (int i = 0; i < r->n_round; i++)
        if (r->round[i].data.ptr == w)
            r->round[i] = (struct epoll_event){0};
}

void reactor_tick(struct reactor *r, struct reactor_ticker *t)
{
    t->next = r->tickers;
    r->tickers = t;
}

/* ---- from other threads ---- */

void reactor_post(struct reactor *r, struct reactor_note *n)
{
    n->next = NULL;
    pthread_mutex_lock(&r->lock);
    bool first = !r->first;
    *r->last = n;
    r->last = &n->next;
    /* Written with the lock held: the reactor may be freed by what was posted. */
    if (first)
        CHECK(write(r->wake_fd, &(uint64_t){1}, sizeof(uint64_t)) == sizeof(uint64_t) ||
              errno == EAGAIN);
    pthread_mutex_unlock(&r->lock);
}

struct call {
    void (*fn)(void *ctx);
    void *ctx;
    pthread_mutex_t lock;
    pthread_cond_t done_cond;
    bool done;
};

static void run_call(void *ctx)
{
    struct call *c = ctx;
    c->fn(c->ctx);
    pthread_mutex_lock(&c->lock);
    c->done = true;
    pthread_cond_signal(&c->done_cond);
    pthread_mutex_unlock(&c->lock);
}

void reactor_call(struct reactor *r, void (*fn)(void *ctx), void *ctx)
{
    if (!r->running) {
        fn(ctx);
        return;
    }
    struct call c = {.fn = fn, .ctx = ctx};
    struct reactor_note note = {run_call, &c, NULL};
    pthread_mutex_init(&c.lock, NULL);
    cond_init(&c.done_cond);
    reactor_post(r, &note);
    pthread_mutex_lock(&c.lock);
    while (!c.done)
        pthread_cond_wait(&c.done_cond, &c.lock);
    pthread_mutex_unlock(&c.lock);
    pthread_cond_destroy(&c.done_cond);
    pthread_mutex_destroy(&c.lock);
}
