/* A connection's life: accepted → (TLS handshake) → open → data ... → closed.
 *
 * Everything that may end a connection only marks it (`dead` with a reason, `finishing`); it is
 * closed at one place, when the loop is out of the protocol's callbacks. Its interest in events is
 * computed anew from its state after each turn. */
#include "net/listener.h"

#include "core/buf.h"
#include "core/clock.h"
#include "core/governor.h"
#include "core/mem.h"
#include "net/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    READ_MIN = 16 << 10,
    READ_MAX = 1 << 20, /* buffered beyond a message, and read in one turn */
    PADDING = 64,
    ANSWERS_MAX = 1 << 20,
    WAIT_MEMORY_S = 30,
    ACCEPTS_A_TURN = 64,
    HANDSHAKE_S = 30,
};

struct conn {
    struct listener *listener;
    struct conn *next, *prev;
    struct reactor_watch watch;
    struct tls *tls;
    bool handshake; /* still under way */
    bool opened;    /* the protocol knows it */
    bool ended;     /* nothing more comes */
    bool finishing, dead;
    bool starved; /* waits for memory */
    bool in_data;
    unsigned paused;
    uint32_t interest;
    struct buf in, out;
    size_t out_sent;
    struct reservation reserved; /* in.cap */
    int64_t active_ns, starved_ns;
    char peer[INET6_ADDRSTRLEN];
    char reason[200];
    _Alignas(16) char state[];
};

struct listener {
    struct reactor *reactor;
    struct listener_options o;
    struct reactor_watch watch;
    struct reactor_ticker ticker;
    struct conn *conns;
    atomic_uint n_conns;
    bool full, stopped;
    char address[80];
};

/* ---- state ---- */

static void cut_off(struct conn *c, const char *reason)
{
    if (c->dead)
        return;
    c->dead = true;
    snprintf(c->reason, sizeof(c->reason), "%s", reason);
}

static bool wants_read(const struct conn *c)
{
    return !c->ended && !c->paused && !c->starved && !c->finishing && !c->listener->stopped;
}

static void update_interest(struct conn *c)
{
    uint32_t want = 0;
    if (!c->watch.added)
        return;
    if (c->handshake) {
        want = tls_wants(c->tls) == TLS_WRITE ? EPOLLOUT : EPOLLIN;
    } else {
        bool unsent = c->out.n > c->out_sent;
        bool swapped = c->tls && unsent && tls_wants(c->tls) == TLS_READ;
        want |= wants_read(c) || swapped ? EPOLLIN : 0u;
        want |= unsent && !swapped ? EPOLLOUT : 0u;
    }
    if (want == c->interest)
        return;
    c->interest = want;
    reactor_change(c->listener->reactor, &c->watch, want);
}

static void watch_accepts(struct listener *l)
{
    bool full = l->n_conns >= l->o.connections_max;
    if (l->stopped || full == l->full)
        return;
    l->full = full;
    reactor_change(l->reactor, &l->watch, full ? 0 : EPOLLIN);
}

static void close_conn(struct conn *c)
{
    struct listener *l = c->listener;
    if (c->opened || c->reason[0])
        l->o.protocol->close(l->o.ctx, c, c->reason[0] ? c->reason : NULL);
    reactor_unwatch(l->reactor, &c->watch);
    if (c->tls) {
        if (!c->handshake)
            tls_bye(c->tls);
        tls_free(c->tls);
    }
    close(c->watch.fd);
    *(c->prev ? &c->prev->next : &l->conns) = c->next;
    if (c->next)
        c->next->prev = c->prev;
    buf_release(&c->in);
    buf_release(&c->out);
    reservation_release(&c->reserved);
    mem_free(c);
    l->n_conns--;
    watch_accepts(l);
}

/* ---- sending ---- */

static enum err send_some(struct conn *c, const char *p, size_t n, size_t *ret_n)
{
    if (c->tls)
        return tls_write(c->tls, p, n, ret_n);
    ssize_t sent = send(c->watch.fd, p, n, MSG_NOSIGNAL);
    if (sent < 0)
        return errno == EAGAIN || errno == EINTR ? ERR_AGAIN : err_set_errno("cannot send");
    *ret_n = (size_t)sent;
    return OK;
}

static void flush(struct conn *c)
{
    while (c->out.n > c->out_sent && !c->dead) {
        size_t n = 0;
        enum err err = send_some(c, c->out.p + c->out_sent, c->out.n - c->out_sent, &n);
        if (err == ERR_AGAIN)
            return;
        if (err != OK)
            cut_off(c, err == ERR_EOF ? "" : err_text());
        c->out_sent += n;
        c->active_ns = clock_mono_ns();
    }
    buf_clear(&c->out);
    c->out_sent = 0;
    if (c->finishing)
        cut_off(c, "");
}

enum err conn_write(struct conn *c, struct str bytes)
{
    if (c->dead)
        return OK;
    if (c->out.n - c->out_sent + bytes.n > ANSWERS_MAX)
        return err_set(ERR_LIMIT, "the sender does not read its answers");
    if (c->out_sent) {
        memmove(c->out.p, c->out.p + c->out_sent, c->out.n - c->out_sent);
        c->out.n -= c->out_sent;
        c->out_sent = 0;
    }
    TRY(buf_add(&c->out, bytes.p, bytes.n));
    flush(c);
    if (!c->in_data)
        update_interest(c);
    return OK;
}

/* ---- receiving ---- */

static enum err receive(struct conn *c, char *p, size_t n, size_t *ret_n)
{
    if (c->tls)
        return tls_read(c->tls, p, n, ret_n);
    ssize_t got = recv(c->watch.fd, p, n, 0);
    if (got < 0)
        return errno == EAGAIN || errno == EINTR ? ERR_AGAIN : err_set_errno("cannot receive");
    *ret_n = (size_t)got;
    return got == 0 ? ERR_EOF : OK;
}

/* Room to read into; false: there is no memory now. */
static bool make_room(struct conn *c)
{
    size_t room = c->in.cap - c->in.n;
    if (c->in.cap && room >= READ_MIN / 2 + PADDING)
        return true;
    size_t grow = c->in.cap < READ_MIN ? READ_MIN + PADDING : c->in.cap;
    size_t limit = c->listener->o.message_max + READ_MAX + PADDING;
    if (c->in.n + grow > limit)
        grow = limit - c->in.n;
    if (c->in.n + grow > c->reserved.bytes) {
        if (reservation_grow(&c->reserved, c->in.n + grow - c->reserved.bytes) != OK) {
            c->starved_ns = c->starved ? c->starved_ns : clock_mono_ns();
            c->starved = true;
            return false;
        }
    }
    c->starved = false;
    (void)buf_reserve(&c->in, grow);
    if (c->in.cap > c->reserved.bytes)
        reservation_force(&c->reserved, c->in.cap - c->reserved.bytes);
    return true;
}

/* Hands on what is there. */
static void offer(struct conn *c)
{
    const struct listener_protocol *p = c->listener->o.protocol;
    size_t taken = 0;
    if (c->dead || c->finishing || c->paused || (!c->in.n && !c->ended))
        return;
    c->in_data = true;
    enum err err = p->data(c->listener->o.ctx, c, buf_str(&c->in), c->ended, &taken);
    c->in_data = false;
    CHECK(taken <= c->in.n);
    if (err != OK)
        cut_off(c, err_text());
    if (taken) {
        memmove(c->in.p, c->in.p + taken, c->in.n - taken);
        c->in.n -= taken;
    } else if (err == OK && !c->paused && c->in.n > c->listener->o.message_max) {
        char reason[120], limit[STR_BYTES_TEXT];
        snprintf(reason, sizeof(reason), "a message is longer than %s (limits.body_bytes)",
                 str_put_bytes(limit, c->listener->o.message_max));
        cut_off(c, reason);
    }
}

/* Reads what there is, up to a turn's share. */
static void read_some(struct conn *c)
{
    size_t total = 0;
    while (!c->dead && wants_read(c) && total < READ_MAX && make_room(c)) {
        size_t n = 0, room = c->in.cap - c->in.n - PADDING;
        enum err err = receive(c, c->in.p + c->in.n, room, &n);
        if (err == ERR_AGAIN)
            break;
        c->active_ns = clock_mono_ns();
        if (err == ERR_EOF)
            c->ended = true;
        else if (err != OK)
            cut_off(c, err_text());
        c->in.n += n;
        total += n;
        bool more = n == room || (c->tls && tls_pending(c->tls));
        if (!more || c->in.n >= READ_MAX) {
            offer(c);
            if (!more)
                break;
        }
    }
    if (total && c->in.n)
        offer(c);
}

/* ---- the loop's calls ---- */

static void begin_conn(struct conn *c)
{
    const struct listener_protocol *p = c->listener->o.protocol;
    c->opened = true;
    if (p->open && p->open(c->listener->o.ctx, c) != OK)
        cut_off(c, err_text());
}

static void shake_hands(struct conn *c)
{
    enum err err = tls_handshake(c->tls);
    if (err == ERR_AGAIN)
        return;
    c->handshake = false;
    if (err != OK)
        cut_off(c, err == ERR_EOF ? "it left during the handshake" : err_text());
    else
        begin_conn(c);
}

/* After each turn: closes, or waits for what comes next. */
static void settle(struct conn *c)
{
    if (c->dead)
        close_conn(c);
    else
        update_interest(c);
}

static void on_ready(void *ctx, uint32_t events)
{
    struct conn *c = ctx;
    if (c->handshake)
        shake_hands(c);
    if (!c->handshake && !c->dead && c->out.n > c->out_sent)
        flush(c);
    if (!c->handshake && !c->dead && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
        read_some(c);
    if (!c->dead && !wants_read(c) && (events & (EPOLLHUP | EPOLLERR))) {
        /* It has left; what it sent before is still worked on, but nothing more is to be seen. */
        c->ended = true;
        reactor_unwatch(c->listener->reactor, &c->watch);
        offer(c);
    }
    settle(c);
}

void *conn_state(struct conn *c)
{
    return c->state;
}

size_t conn_message_max(const struct conn *c)
{
    return c->listener->o.message_max;
}

const char *conn_peer(const struct conn *c)
{
    return c->peer;
}

void conn_pause(struct conn *c)
{
    c->paused++;
    if (!c->in_data && !c->dead)
        update_interest(c);
}

void conn_resume(struct conn *c)
{
    CHECK(c->paused > 0 && !c->in_data);
    if (--c->paused || c->dead)
        return;
    offer(c);
    /* What TLS has decrypted already, the socket does not tell of. */
    if (c->tls && !c->handshake && !c->dead && tls_pending(c->tls))
        read_some(c);
    if (!c->dead) /* else it is closed at the next tick: the caller may still hold it */
        update_interest(c);
}

void conn_finish(struct conn *c)
{
    c->finishing = true;
    if (c->out.n == c->out_sent)
        cut_off(c, "");
    else if (!c->in_data)
        update_interest(c);
}

static void name_peer(struct conn *c, const struct sockaddr_storage *s)
{
    if (s->ss_family == AF_INET) {
        inet_ntop(AF_INET, &((const struct sockaddr_in *)s)->sin_addr, c->peer, sizeof(c->peer));
        return;
    }
    const struct in6_addr *a = &((const struct sockaddr_in6 *)s)->sin6_addr;
    if (IN6_IS_ADDR_V4MAPPED(a))
        inet_ntop(AF_INET, a->s6_addr + 12, c->peer, sizeof(c->peer));
    else
        inet_ntop(AF_INET6, a, c->peer, sizeof(c->peer));
}

static void keep_alive(int fd)
{
    int on = 1, idle = 60, interval = 15, count = 4;
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof(interval));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof(count));
}

static enum err add_conn(struct listener *l, int fd, const struct sockaddr_storage *from)
{
    int on = 1;
    struct conn *c = mem_zalloc(sizeof(*c) + l->o.protocol->state_size);
    c->listener = l;
    c->watch = (struct reactor_watch){fd, on_ready, c, false};
    c->interest = EPOLLIN;
    c->active_ns = clock_mono_ns();
    buf_init(&c->in, SIZE_MAX);
    buf_init(&c->out, 2 * (size_t)ANSWERS_MAX);
    reservation_init(&c->reserved, OWNER_INGEST, 0);
    name_peer(c, from);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    keep_alive(fd);
    enum err err = l->o.tls ? tls_open(l->o.tls, fd, &c->tls) : OK;
    if (err == OK)
        err = reactor_watch(l->reactor, &c->watch, c->interest);
    if (err != OK) {
        tls_free(c->tls);
        mem_free(c);
        return err;
    }
    c->handshake = c->tls != NULL;
    c->next = l->conns;
    if (l->conns)
        l->conns->prev = c;
    l->conns = c;
    l->n_conns++;
    if (!c->tls)
        begin_conn(c);
    settle(c);
    return OK;
}

static void on_accept(void *ctx, uint32_t events)
{
    struct listener *l = ctx;
    for (int i = 0; i < ACCEPTS_A_TURN && l->n_conns < l->o.connections_max; i++) {
        struct sockaddr_storage from = {0};
        socklen_t size = sizeof(from);
        int fd =
            accept4(l->watch.fd, (struct sockaddr *)&from, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0)
            break;
        if (add_conn(l, fd, &from) != OK)
            close(fd);
    }
    watch_accepts(l);
}

/* What time does to a connection. */
static void tick_conn(struct conn *c, int64_t now)
{
    struct listener *l = c->listener;
    if (c->handshake && now - c->active_ns > HANDSHAKE_S * NS_PER_S)
        cut_off(c, "its TLS handshake takes too long");
    if (!c->dead && c->starved && now - c->starved_ns > WAIT_MEMORY_S * NS_PER_S)
        cut_off(c, "no memory to receive its messages (memory.budget)");
    if (!c->dead && c->starved && make_room(c))
        read_some(c);
    if (!c->dead && c->opened && l->o.protocol->tick)
        l->o.protocol->tick(l->o.ctx, c);
    if (!c->dead && !c->in.n && c->in.cap > READ_MIN && now - c->active_ns > NS_PER_S) {
        buf_release(&c->in);
        reservation_release(&c->reserved);
    }
    settle(c);
}

static void on_tick(void *ctx)
{
    struct listener *l = ctx;
    int64_t now = clock_mono_ns();
    for (struct conn *c = l->conns, *next; c; c = next) {
        next = c->next;
        tick_conn(c, now);
    }
}

void listener_offer(struct listener *l)
{
    for (struct conn *c = l->conns, *next; c; c = next) {
        next = c->next;
        if (c->opened && c->in.n)
            offer(c);
        settle(c);
    }
}

/* ---- start and stop ---- */

enum err listener_new(struct reactor *r, const struct listener_options *o, struct listener **ret)
{
    int fd;
    TRY(listen_open(o->address, &fd));
    struct listener *l = NEW(struct listener);
    l->reactor = r;
    l->o = *o;
    l->o.address = NULL;
    l->watch = (struct reactor_watch){fd, on_accept, l, false};
    l->ticker = (struct reactor_ticker){on_tick, l, NULL};
    listen_name(fd, l->address, sizeof(l->address));
    reactor_tick(r, &l->ticker);
    *ret = l;
    return OK;
}

enum err listener_start(struct listener *l)
{
    return reactor_watch(l->reactor, &l->watch, EPOLLIN);
}

void listener_stop(struct listener *l)
{
    l->stopped = true;
    reactor_unwatch(l->reactor, &l->watch);
    for (struct conn *c = l->conns; c; c = c->next)
        update_interest(c);
}

void listener_free(struct listener *l)
{
    if (!l)
        return;
    listener_stop(l);
    while (l->conns)
        close_conn(l->conns);
    close(l->watch.fd);
    mem_free(l);
}

const char *listener_address(const struct listener *l)
{
    return l->address;
}

unsigned listener_connections(const struct listener *l)
{
    return l->n_conns;
}
