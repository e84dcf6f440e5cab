/* The watcher: notices that a client has left while its connection is suspended, when libmicrohttpd
 * does not look. One thread sleeps in epoll on the sockets of the requests that ask for it. A
 * socket is watched from the dispatch of its request to its completion, during which libmicrohttpd
 * does not close it; an event carries the descriptor with a generation, so that one which was
 * collected before an unwatch never hits a later request on the same number. */
#include "net/http_watch.h"

#include "core/mem.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

static void client_left(struct http_server *s, uint64_t tag)
{
    uint32_t fd = (uint32_t)tag;
    pthread_mutex_lock(&s->lock);
    struct http_request *r = fd < s->watched_cap ? s->watched[fd] : NULL;
    if (r && r->watched_generation == (uint32_t)(tag >> 32)) {
        pthread_mutex_lock(&r->lock);
        r->canceled = true;
        pthread_cond_broadcast(&r->moved);
        pthread_mutex_unlock(&r->lock);
    }
    pthread_mutex_unlock(&s->lock);
}

static void *watch(void *arg)
{
    struct http_server *s = arg;
    struct epoll_event events[32];
    for (;;) {
        int n = epoll_wait(s->epoll_fd, events, 32, -1);
        if (n < 0 && errno != EINTR)
            BUG("epoll_wait: errno %d", errno);
        for (int i = 0; i < n; i++) {
            if (events[i].data.u64 == UINT64_MAX)
                return NULL;
            client_left(s, events[i].data.u64);
        }
    }
}

enum err http_watch_start(struct http_server *s)
{
    s->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (s->epoll_fd < 0)
        return err_set_errno("epoll_create");
    s->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = UINT64_MAX};
    enum err err = OK;
    if (s->wake_fd < 0)
        err = err_set_errno("eventfd");
    else if (epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, s->wake_fd, &event) != 0)
        err = err_set_errno("epoll_ctl");
    else
        err = thread_start(&s->watcher, "http-watch", watch, s);
    if (err == OK)
        return OK;
    if (s->wake_fd >= 0)
        close(s->wake_fd);
    close(s->epoll_fd);
    return err;
}

void http_watch_stop(struct http_server *s)
{
    uint64_t one = 1;
    CHECK(write(s->wake_fd, &one, sizeof(one)) == sizeof(one));
    pthread_join(s->watcher, NULL);
    close(s->wake_fd);
    close(s->epoll_fd);
}

void http_watch_add(struct http_request *r)
{
    struct http_server *s = r->server;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(r->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    if (!info || info->connect_fd < 0)
        return;
    int fd = info->connect_fd;
    pthread_mutex_lock(&s->lock);
    size_t cap = s->watched_cap;
    ARRAY_GROW(s->watched, s->watched_cap, fd + 1);
    for (; cap < s->watched_cap; cap++)
        s->watched[cap] = NULL;
    r->watched_generation = ++s->watch_generation & 0x7fffffff;
    uint64_t tag = (uint64_t)r->watched_generation << 32 | (uint32_t)fd;
    struct epoll_event event = {.events = EPOLLRDHUP | EPOLLONESHOT, .data.u64 = tag};
    /* Where the kernel refuses, the client's leaving is noticed later, by the first failing write.
     */
    if (epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0) {
        s->watched[fd] = r;
        r->watched_fd = fd;
    }
    pthread_mutex_unlock(&s->lock);
}

void http_watch_remove(struct http_request *r)
{
    struct http_server *s = r->server;
    if (r->watched_fd < 0)
        return;
    pthread_mutex_lock(&s->lock);
    s->watched[r->watched_fd] = NULL;
    (void)epoll_ctl(s->epoll_fd, EPOLL_CTL_DEL, r->watched_fd, NULL);
    r->watched_fd = -1;
    pthread_mutex_unlock(&s->lock);
}
