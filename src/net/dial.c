/* The socket does not block; every call waits for it by poll(2) until its deadline. */
#include "net/dial.h"

#include "core/clock.h"
#include "core/mem.h"

#include <errno.h>
#include <linux/sockios.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

struct dial {
    int fd;
    struct tls *tls; /* NULL: none */
    char name[300];  /* HOST:PORT, for texts */
};

static enum err wait_for(const struct dial *d, short events, int64_t deadline)
{
    for (;;) {
        int64_t left = deadline - clock_mono_ns();
        struct pollfd p = {.fd = d->fd, .events = events};
        if (left <= 0)
            return err_set(ERR_TIMEOUT, "%s does not answer in time", d->name);
        int n = poll(&p, 1, (int)(left / NS_PER_MS + 1));
        if (n > 0)
            return OK;
        if (n < 0 && errno != EINTR)
            return err_set_errno("waiting for %s", d->name);
    }
}

static enum err wait_for_tls(const struct dial *d, int64_t deadline)
{
    return wait_for(d, tls_wants(d->tls) == TLS_WRITE ? POLLOUT : POLLIN, deadline);
}

/* ---- opening ---- */

static enum err connect_one(struct dial *d, const struct addrinfo *a, int64_t deadline)
{
    int failed = 0, on = 1;
    socklen_t n = sizeof(failed);
    d->fd = socket(a->ai_family, a->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (d->fd < 0)
        return err_set_errno("cannot make a socket for %s", d->name);
    if (a->ai_socktype == SOCK_STREAM)
        (void)setsockopt(d->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    enum err err = OK;
    if (connect(d->fd, a->ai_addr, a->ai_addrlen) != 0) {
        failed = errno;
        if (failed == EINPROGRESS) {
            err = wait_for(d, POLLOUT, deadline);
            (void)getsockopt(d->fd, SOL_SOCKET, SO_ERROR, &failed, &n);
        }
    }
    if (err == OK && failed) {
        errno = failed;
        (void)err_set_errno("cannot connect to %s", d->name);
        err = ERR_UNAVAILABLE;
    }
    if (err != OK)
        close(d->fd);
    return err;
}

static enum err shake_hands(struct dial *d, const struct dial_options *o, int64_t deadline)
{
    TRY(tls_connect(o->tls, d->fd, o->host, &d->tls));
    for (;;) {
        enum err err = tls_handshake(d->tls);
        if (err == ERR_AGAIN)
            err = wait_for_tls(d, deadline);
        else if (err == OK)
            return OK;
        else
            return err_set(ERR_UNAVAILABLE, "%s: %s", d->name,
                           err == ERR_EOF ? "the peer has hung up" : err_text());
        TRY(err);
    }
}

enum err dial_open(const struct dial_options *o, int64_t timeout_ms, struct dial **ret)
{
    int64_t deadline = clock_mono_ns() + timeout_ms * NS_PER_MS;
    struct addrinfo hints = {.ai_socktype = o->datagrams ? SOCK_DGRAM : SOCK_STREAM}, *list;
    char port[12], *host = mem_strdup(o->host);
    struct dial *d = NEW(struct dial);
    snprintf(d->name, sizeof(d->name), "%.255s:%u", host, o->port);
    snprintf(port, sizeof(port), "%u", o->port);
    int failed = getaddrinfo(host, port, &hints, &list);
    mem_free(host);
    enum err err = OK;
    if (failed) {
        err = err_set(ERR_UNAVAILABLE, "cannot look up %s: %s", d->name, gai_strerror(failed));
    } else {
        for (const struct addrinfo *a = list; a; a = a->ai_next)
            if ((err = connect_one(d, a, deadline)) == OK)
                break;
        freeaddrinfo(list);
    }
    if (err != OK) {
        mem_free(d);
        return err;
    }
    if (o->tls && (err = shake_hands(d, o, deadline)) != OK) {
        dial_close(d);
        return err;
    }
    *ret = d;
    return OK;
}

/* ---- bytes ---- */

static enum err write_some(struct dial *d, struct str bytes, size_t *ret_n)
{
    if (d->tls)
        return tls_write(d->tls, bytes.p, bytes.n, ret_n);
    ssize_t n = send(d->fd, bytes.p, bytes.n, MSG_NOSIGNAL);
    if (n >= 0) {
        *ret_n = (size_t)n;
        return OK;
    }
    if (errno == EAGAIN || errno == EINTR)
        return ERR_AGAIN;
    return err_set_errno("%s: cannot send", d->name);
}

enum err dial_write(struct dial *d, struct str bytes, int64_t timeout_ms)
{
    int64_t deadline = clock_mono_ns() + timeout_ms * NS_PER_MS;
    while (bytes.n) {
        size_t n = 0;
        enum err err = write_some(d, bytes, &n);
        if (err == ERR_AGAIN)
            TRY(d->tls ? wait_for_tls(d, deadline) : wait_for(d, POLLOUT, deadline));
        else if (err == ERR_EOF)
            return err_set(ERR_IO, "%s has hung up", d->name);
        else if (err != OK)
            return err;
        bytes = str_from(bytes, n);
    }
    return OK;
}

static enum err read_some(struct dial *d, char *p, size_t n, size_t *ret_n)
{
    if (d->tls)
        return tls_read(d->tls, p, n, ret_n);
    ssize_t got = recv(d->fd, p, n, 0);
    if (got > 0) {
        *ret_n = (size_t)got;
        return OK;
    }
    if (got == 0)
        return ERR_EOF;
    if (errno == EAGAIN || errno == EINTR)
        return ERR_AGAIN;
    return err_set_errno("%s: cannot receive", d->name);
}

enum err dial_read(struct dial *d, char *p, size_t n, int64_t timeout_ms, size_t *ret_n)
{
    int64_t deadline = clock_mono_ns() + timeout_ms * NS_PER_MS;
    for (;;) {
        enum err err = read_some(d, p, n, ret_n);
        if (err == ERR_EOF)
            return err_set(ERR_EOF, "%s has hung up", d->name);
        if (err != ERR_AGAIN)
            return err;
        TRY(d->tls ? wait_for_tls(d, deadline) : wait_for(d, POLLIN, deadline));
    }
}

void dial_end(struct dial *d)
{
    if (d->tls)
        tls_bye(d->tls);
    (void)shutdown(d->fd, SHUT_WR);
}

bool dial_stale(struct dial *d)
{
    struct pollfd p = {.fd = d->fd, .events = POLLIN | POLLRDHUP};
    if (d->tls && tls_pending(d->tls))
        return true;
    if (poll(&p, 1, 0) == 0)
        return false;
    /* With TLS bytes may be the session's own: a ticket. */
    char byte;
    size_t n;
    return !d->tls || (p.revents & (POLLRDHUP | POLLHUP | POLLERR)) ||
           read_some(d, &byte, 1, &n) != ERR_AGAIN;
}

size_t dial_unconfirmed(const struct dial *d)
{
    int n = 0;
    return ioctl(d->fd, SIOCOUTQ, &n) == 0 && n > 0 ? (size_t)n : 0;
}

void dial_close(struct dial *d)
{
    if (!d)
        return;
    tls_free(d->tls);
    close(d->fd);
    mem_free(d);
}
