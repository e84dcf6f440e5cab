#include "net/datagram.h"

#include "core/mem.h"
#include "net/listen.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { AT_ONCE = 32, DATAGRAM_MAX = 64 << 10, PADDING = 64, ROUNDS = 8, BUFFER_WANTED = 8 << 20 };

struct slot {
    struct sockaddr_storage from;
    struct iovec iov;
    char control[64];
};
struct datagram_socket {
    struct reactor *reactor;
    struct reactor_watch watch;
    void (*take)(void *ctx, const struct datagram *list, unsigned n);
    void *ctx;
    bool paused;
    atomic_ullong dropped;
    char address[80];
    char *bytes;
    struct slot slot[AT_ONCE];
    struct mmsghdr message[AT_ONCE];
    struct datagram list[AT_ONCE];
};

static void name_peer(struct datagram *d, const struct sockaddr_storage *s)
{
    if (s->ss_family == AF_INET) {
        inet_ntop(AF_INET, &((const struct sockaddr_in *)s)->sin_addr, d->peer, sizeof(d->peer));
        return;
    }
    const struct in6_addr *a = &((const struct sockaddr_in6 *)s)->sin6_addr;
    if (IN6_IS_ADDR_V4MAPPED(a))
        inet_ntop(AF_INET, a->s6_addr + 12, d->peer, sizeof(d->peer));
    else
        inet_ntop(AF_INET6, a, d->peer, sizeof(d->peer));
}

/* The kernel says with a datagram how many it has dropped so far. */
static void count_dropped(struct datagram_socket *s, struct msghdr *m)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
        uint32_t count;
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SO_RXQ_OVFL)
            continue;
        memcpy(&count, CMSG_DATA(c), sizeof(count));
        s->dropped = count;
    }
}

static int receive(struct datagram_socket *s)
{
    for (unsigned i = 0; i < AT_ONCE; i++) {
        struct slot *slot = &s->slot[i];
        slot->iov = (struct iovec){s->bytes + i * (size_t)(DATAGRAM_MAX + PADDING), DATAGRAM_MAX};
        s->message[i].msg_hdr = (struct msghdr){
            .msg_name = &slot->from,
            .msg_namelen = sizeof(slot->from),
            .msg_iov = &slot->iov,
            .msg_iovlen = 1,
            .msg_control = slot->control,
            .msg_controllen = sizeof(slot->control),
        };
    }
    return recvmmsg(s->watch.fd, s->message, AT_ONCE, MSG_DONTWAIT, NULL);
}

static void on_ready(void *ctx, uint32_t events)
{
    struct datagram_socket *s = ctx;
    for (int round = 0; round < ROUNDS && !s->paused; round++) {
        int n = receive(s);
        for (int i = 0; i < n; i++) {
            struct datagram *d = &s->list[i];
            d->bytes = str_of(s->slot[i].iov.iov_base, s->message[i].msg_len);
            d->address = &s->slot[i].from;
            d->address_n = s->message[i].msg_hdr.msg_namelen;
            name_peer(d, &s->slot[i].from);
            count_dropped(s, &s->message[i].msg_hdr);
        }
        if (n > 0)
            s->take(s->ctx, s->list, (unsigned)n);
        if (n < AT_ONCE)
            return;
    }
}

enum err datagram_new(struct reactor *r, const char *address,
                      void (*take)(void *ctx, const struct datagram *list, unsigned n), void *ctx,
                      struct datagram_socket **ret)
{
    int fd, size = BUFFER_WANTED, on = 1;
    TRY(listen_open_datagram(address, &fd));
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
    (void)setsockopt(fd, SOL_SOCKET, SO_RXQ_OVFL, &on, sizeof(on));
    struct datagram_socket *s = NEW(struct datagram_socket);
    s->reactor = r;
    s->take = take;
    s->ctx = ctx;
    s->watch = (struct reactor_watch){fd, on_ready, s, false};
    s->bytes = mem_zalloc(AT_ONCE * (size_t)(DATAGRAM_MAX + PADDING));
    listen_name(fd, s->address, sizeof(s->address));
    *ret = s;
    return OK;
}

enum err datagram_start(struct datagram_socket *s)
{
    return reactor_watch(s->reactor, &s->watch, s->paused ? 0 : EPOLLIN);
}

void datagram_stop(struct datagram_socket *s)
{
    reactor_unwatch(s->reactor, &s->watch);
}

void datagram_free(struct datagram_socket *s)
{
    if (!s)
        return;
    datagram_stop(s);
    close(s->watch.fd);
    mem_free(s->bytes);
    mem_free(s);
}

const char *datagram_address(const struct datagram_socket *s)
{
    return s->address;
}

void datagram_pause(struct datagram_socket *s, bool paused)
{
    if (s->paused == paused)
        return;
    s->paused = paused;
    if (s->watch.added)
        reactor_change(s->reactor, &s->watch, paused ? 0 : EPOLLIN);
}

void datagram_answer(struct datagram_socket *s, const struct datagram *to, struct str bytes)
{
    ssize_t sent = sendto(s->watch.fd, bytes.p, bytes.n, MSG_DONTWAIT | MSG_NOSIGNAL, to->address,
                          to->address_n);
    (void)sent; /* UDP: who asked asks again */
}

uint64_t datagram_dropped(const struct datagram_socket *s)
{
    return s->dropped;
}
