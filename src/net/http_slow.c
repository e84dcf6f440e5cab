/* Bodies that hardly come.
 *
 * A body under way holds what others may want: a place with the taker; memory that is reserved for
 * what has yet to come; memory in which lies what came. Its client may be slow, may have stopped,
 * or be gone with its network. It keeps all of that while nobody wants it, for as long as the
 * connection lives. A body is slow if its last STEP_BYTES have taken longer than the server's
 * slow_ms, and from slow bodies, who finds nothing takes
 *   - the place of the slowest: what is left of that body is gathered;
 *   - what is reserved for what has not come: they ask for it again, piece by piece;
 *   - and if memory is still short, those that took CUT_FACTOR times as long and hold more than a
 *     step: they are cut off. Their clients see a closed connection and may send again.
 * Bodies that wait for the taker are not slow: they are not read.
 *
 * Nothing here runs unless something is short; all of it is on the threads of those who want it. */
#include "core/clock.h"
#include "net/http_internal.h"

#include <sys/socket.h>

enum { STEP_BYTES = 64 << 10, CUT_FACTOR = 10 };

void http_slow_step(struct http_request *r, size_t came)
{
    r->came += came;
    if (r->came - r->step_came < STEP_BYTES)
        return;
    r->step_came = r->came;
    r->step_ns = clock_mono_ns();
}

/* Holds `coming` of the request if it is slow, `factor` times. */
static bool hold_slow(struct http_request *r, unsigned factor)
{
    int64_t slow_ns = (int64_t)r->server->options.slow_ms * factor * NS_PER_MS;
    if (r->dispatched || r->waits || clock_mono_ns() - r->step_ns < slow_ns)
        return false;
    if (pthread_mutex_trylock(&r->coming) != 0) /* it comes */
        return false;
    if (!r->dispatched)
        return true;
    pthread_mutex_unlock(&r->coming);
    return false;
}

/* The slowest that has a place with the taker, with `coming` and a reference. */
static struct http_request *hold_slowest(struct http_server *s)
{
    struct http_request *slowest = NULL;
    pthread_mutex_lock(&s->lock);
    for (struct http_request *r = s->live; r; r = r->next) {
        if ((slowest && r->step_ns >= slowest->step_ns) || !hold_slow(r, 1))
            continue;
        struct http_request *other = r;
        if (r->upload && !r->aside) {
            other = slowest;
            slowest = r;
        }
        if (other)
            pthread_mutex_unlock(&other->coming);
    }
    if (slowest)
        atomic_fetch_add(&slowest->refs, 1);
    pthread_mutex_unlock(&s->lock);
    return slowest;
}

bool http_slow_set_aside(struct http_server *s)
{
    struct http_request *r = hold_slowest(s);
    if (!r)
        return false;
    r->aside = true;
    s->options.taker->set_aside(r->upload);
    pthread_mutex_unlock(&r->coming);
    http_request_unref(r);
    return true;
}

static size_t bytes_held(const struct http_request *r)
{
    return r->taken + r->body.n + HTTP_BODY_PADDING;
}

void http_slow_shrink(struct http_server *s)
{
    pthread_mutex_lock(&s->lock);
    for (struct http_request *r = s->live; r; r = r->next) {
        if (!hold_slow(r, 1))
            continue;
        size_t held = bytes_held(r);
        if (r->body_reserved.bytes > held) {
            reservation_shrink(&r->body_reserved, r->body_reserved.bytes - held);
            r->shrunk = true;
        }
        pthread_mutex_unlock(&r->coming);
    }
    pthread_mutex_unlock(&s->lock);
}

/* libmicrohttpd then finds the end of what the client sent, and closes the connection. Not while
 * something is there to be read: then it is we who are slow. */
static void cut(struct http_request *r)
{
    char byte;
    pthread_mutex_lock(&r->lock);
    const union MHD_ConnectionInfo *info =
        r->connection ? MHD_get_connection_info(r->connection, MHD_CONNECTION_INFO_CONNECTION_FD)
                      : NULL;
    if (info && recv(info->connect_fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) <= 0)
        (void)shutdown(info->connect_fd, SHUT_RD);
    pthread_mutex_unlock(&r->lock);
}

void http_slow_cut(struct http_server *s)
{
    pthread_mutex_lock(&s->lock);
    for (struct http_request *r = s->live; r; r = r->next) {
        if (!hold_slow(r, CUT_FACTOR))
            continue;
        if (bytes_held(r) > STEP_BYTES)
            cut(r);
        pthread_mutex_unlock(&r->coming);
    }
    pthread_mutex_unlock(&s->lock);
}
