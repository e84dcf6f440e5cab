/* An event loop: one named thread that waits for file descriptors, for time to pass, and for what
 * other threads post. Watches, tickers and notes are the caller's memory and stay where they are
 * while the reactor knows them; nothing is allocated on the way.
 * Threads: reactor_post and reactor_call from any; all else from the reactor's own thread, or
 * before reactor_run. Callbacks must not block. */
#ifndef WEIR_NET_REACTOR_H
#define WEIR_NET_REACTOR_H

#include "core/err.h"

#include <stdbool.h>
#include <stdint.h>

struct reactor;

struct reactor_watch {
    int fd;
    void (*ready)(void *ctx, uint32_t events); /* of epoll: EPOLLIN, EPOLLOUT, EPOLLHUP, ... */
    void *ctx;
    bool added;
};
struct reactor_ticker {
    void (*tick)(void *ctx);
    void *ctx;
    struct reactor_ticker *next;
};
/* At most once in the reactor's hands at a time. */
struct reactor_note {
    void (*fn)(void *ctx);
    void *ctx;
    struct reactor_note *next;
};

NODISCARD enum err reactor_new(struct reactor **ret);
NODISCARD enum err reactor_run(struct reactor *r, const char *name); /* starts the thread */
/* Runs what was posted before, ends the thread and frees the reactor. NULL is fine. */
void reactor_free(struct reactor *r);

/* events 0: errors and hang-ups only. */
NODISCARD enum err reactor_watch(struct reactor *r, struct reactor_watch *w, uint32_t events);
void reactor_change(struct reactor *r, struct reactor_watch *w, uint32_t events);
/* No callback of it comes from here on. The descriptor is still the caller's. */
void reactor_unwatch(struct reactor *r, struct reactor_watch *w);
/* About four times a second. */
void reactor_tick(struct reactor *r, struct reactor_ticker *t);
/* fn runs on the reactor's thread, in the order of posts. */
void reactor_post(struct reactor *r, struct reactor_note *n);
/* The same, and waits for it; not from the reactor's thread. Before reactor_run it runs here. */
void reactor_call(struct reactor *r, void (*fn)(void *ctx), void *ctx);

#endif
