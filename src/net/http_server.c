/* The HTTP server: libmicrohttpd's daemon and its callbacks.
 *
 * Life of a request, all on one of libmicrohttpd's threads unless said otherwise:
 *   1. headers are there: a request is made, its route found, credentials and declared length
 *      judged; a request that is refused here is answered at once if the client waits for "100
 *      Continue" or sends no body, else after its body was read past (a client that is still
 *      sending would not read the answer and see a reset connection instead), up to DRAIN_FACTOR
 *      times the largest body;
 *   2. its body grows in one buffer, charged to the governor, or goes to a taker piece by piece;
 *   3. it is whole: the connection is suspended and the route's pool runs the handler;
 *   4. the handler or whoever it told answers, on any thread: the connection is resumed;
 *   5. libmicrohttpd calls back, the response is queued and sent; a streamed one suspends when it
 *      is dry;
 *   6. libmicrohttpd is done with it (sent, failed, or closed): metrics, and its reference goes.
 *
 * Stopping: no new connections, 503 to new requests on the old ones, wait, then cancel what is left
 * and resume it so that libmicrohttpd can close it. A handler that answers after that answers into
 * nothing. */
#include "net/http_server.h"

#include "core/clock.h"
#include "core/log.h"
#include "core/mem.h"
#include "net/http_internal.h"
#include "net/http_watch.h"
#include "net/listen.h"

#include <stdio.h>
#include <unistd.h>

enum {
    HEADER_BYTES_MAX = 32 << 10,
    /* Of libmicrohttpd for headers, and what one read of a body takes. What a connection was kept
     * for lies in memory as a whole, for it is cleared after each request; larger reads gain
     * nothing where the client may send ahead (widen_window). */
    CONNECTION_BYTES = 128 << 10,
    READ_GROWS_BYTES = 96 << 10,
    WINDOW_BYTES_MIN = 256 << 10,
    WINDOW_BYTES_MAX = 8 << 20,
    TAKE_STEP = 4 << 10, /* that much is copied first to find the end of what was left */
    DRAIN_FACTOR = 4,
    IDLE_SECONDS = 75,
    SLOW_MS = 1000,
    UPLOADS_MS = 2000, /* for bodies on their way when the server stops */
    CLOSE_MS = 200,    /* for answers already made to be sent when the server closes */
};

/* ---- 1: judging the head ---- */

static bool is_pattern(const char *path)
{
    return strchr(path, '{') != NULL;
}

static bool path_matches(const char *pattern, struct str path)
{
    struct str p = str_c(pattern), want, got;
    while (str_split(&p, '/', &want)) {
        if (!p.p && str_eq_c(want, "+"))
            return path.n > 0;
        if (!str_split(&path, '/', &got))
            return false;
        if (want.n && want.p[0] == '{' ? got.n == 0 : !str_eq(want, got))
            return false;
    }
    return !path.p;
}

static bool method_matches(const struct http_route *route, struct str method)
{
    return str_eq_c(method, route->method) ||
           (str_eq_c(method, "HEAD") && !strcmp(route->method, "GET"));
}

/* The path in the table that the request's fits: the first that does, whatever its methods. */
static const char *path_of(const struct http_request *r)
{
    for (size_t i = 0; i < r->server->n_routes; i++)
        if (path_matches(r->server->routes[i].route->path, r->path))
            return r->server->routes[i].route->path;
    return NULL;
}

/* Answers 404 with the nearest path, or 405 with the methods that the path has. */
static void refuse_unknown(struct http_request *r)
{
    const char *path = path_of(r), *nearest = NULL, *methods[4] = {0};
    unsigned distance = 6, n = 0;
    for (size_t i = 0; i < r->server->n_routes; i++) {
        const struct http_route *route = r->server->routes[i].route;
        if (path && strcmp(route->path, path) == 0 && n < 4)
            methods[n++] = route->method;
        unsigned d = str_distance(r->path, str_c(route->path), distance);
        if (d < distance && !is_pattern(route->path)) {
            distance = d;
            nearest = route->path;
        }
    }
    if (n > 0) {
        struct str allow =
            arena_printf(&r->arena, "%s%s%s%s%s", methods[0], n > 1 ? ", " : "",
                         n > 1 ? methods[1] : "", n > 2 ? ", " : "", n > 2 ? methods[2] : "");
        http_reply_header(r, "Allow", allow.p);
        http_error(r, 405, "%.*s does not take %.*s, but %s", STR_ARG(r->path), STR_ARG(r->method),
                   allow.p);
    } else if (nearest) {
        http_error(r, 404, "nothing is at %.*s; did you mean %s?", STR_ARG(r->path), nearest);
    } else {
        http_error(r, 404, "nothing is at %.*s; the page is at /, the API below /api/v1/",
                   STR_ARG(r->path));
    }
}

static void find_route(struct http_request *r)
{
    const char *path = path_of(r);
    for (size_t i = 0; path && i < r->server->n_routes && !r->slot; i++)
        if (strcmp(r->server->routes[i].route->path, path) == 0 &&
            method_matches(r->server->routes[i].route, r->method))
            r->slot = &r->server->routes[i];
}

static void refuse_size(struct http_request *r)
{
    char limit[STR_BYTES_TEXT];
    http_error(r, 413, "the body is larger than %s (limits.body_bytes)",
               str_put_bytes(limit, r->server->options.body_max));
}

static bool reserve_body(struct http_request *r, size_t n)
{
    size_t want = r->taken + r->body.n + n + HTTP_BODY_PADDING;
    if (want <= r->body_reserved.bytes)
        return true;
    size_t more = want - r->body_reserved.bytes;
    if (reservation_grow(&r->body_reserved, more) == OK)
        return true;
    http_slow_shrink(r->server);
    if (reservation_grow(&r->body_reserved, more) == OK)
        return true;
    http_error(r, 503, "no memory for the body: %s", err_text());
    http_slow_cut(r->server);
    return false;
}

/* Lets the client send a body ahead as far as it goes, up to a bound. By itself the kernel widens
 * the window little by little; and whenever it tells of room, what the client does with that is
 * done on this thread where both are on one machine. A low-water mark makes the room that it needs,
 * up to half of net.ipv4.tcp_rmem's maximum, and leaves the kernel to go on from there, which a
 * size of the buffer would not. */
static void widen_window(const struct http_request *r, uint64_t length)
{
    const union MHD_ConnectionInfo *c =
        MHD_get_connection_info(r->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    int mark = length < WINDOW_BYTES_MAX ? (int)length : WINDOW_BYTES_MAX, none = 1;
    if (!c || length < WINDOW_BYTES_MIN)
        return;
    (void)setsockopt(c->connect_fd, SOL_SOCKET, SO_RCVLOWAT, &mark, sizeof(mark));
    (void)setsockopt(c->connect_fd, SOL_SOCKET, SO_RCVLOWAT, &none, sizeof(none));
}

/* The body, which is charged, is to be taken in pieces, or gathered. */
static void prepare_body(struct http_request *r, uint64_t length)
{
    const struct http_taker *t = r->server->options.taker;
    bool crowded = false;
    widen_window(r, length);
    if (t && r->slot->route->pool == HTTP_INGEST && length >= t->least)
        r->upload = t->begin(t->ctx, r, length, &crowded);
    if (crowded && http_slow_set_aside(r->server))
        r->upload = t->begin(t->ctx, r, length, &crowded);
    if (!r->upload)
        (void)buf_reserve(&r->body, length + HTTP_BODY_PADDING);
}

/* Answers the request where its head already decides it. */
static void judge_head(struct http_request *r)
{
    const struct http_server_options *o = &r->server->options;
    const union MHD_ConnectionInfo *head =
        MHD_get_connection_info(r->connection, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    if (head && head->header_size > HEADER_BYTES_MAX) {
        http_error(r, 431, "the request's head is larger than %d bytes", HEADER_BYTES_MAX);
        return;
    }
    if (r->server->stopping) {
        http_reply_header(r, "Connection", "close");
        http_error(r, 503, "the server is stopping");
        return;
    }
    bool open = r->slot && r->slot->route->open;
    if (!open && o->authorize && !o->authorize(o->auth_ctx, http_header(r, "Authorization"))) {
        http_reply_header(r, "WWW-Authenticate", "Basic realm=\"weir\", charset=\"UTF-8\"");
        http_error(r, 401, "credentials are missing or wrong: send the root user's by basic auth");
        return;
    }
    if (!r->slot) {
        refuse_unknown(r);
        return;
    }
    uint64_t length = 0;
    if (str_to_u64(http_header(r, "Content-Length"), &length) && length > 0) {
        r->length = length;
        if (length > o->body_max)
            refuse_size(r);
        else if (reserve_body(r, length))
            prepare_body(r, length);
    } else if (http_header(r, "Transfer-Encoding").n) {
        widen_window(r, o->body_max); /* it may be as long */
    }
}

/* ---- 2: the body ---- */

static void abandon_upload(struct http_request *r)
{
    if (r->upload)
        r->server->options.taker->abandon(r->upload);
    r->upload = NULL;
}

/* What the taker takes of bytes that HTTP_BODY_PADDING readable ones are behind. */
static size_t take(struct http_request *r, struct str bytes)
{
    size_t took = r->server->options.taker->take(r->upload, bytes);
    if (took == HTTP_GATHER) {
        CHECK(!r->taken);
        r->upload = NULL;
        (void)buf_reserve(&r->body, r->body_reserved.bytes - r->body.n);
        return 0;
    }
    CHECK(took <= bytes.n);
    r->taken += took;
    return took;
}

/* Hands on what was left with its continuation, of which no more is copied than that takes; then
 * the rest from where it lies, all but as many bytes as must be readable behind. What is left of
 * all is kept. */
static void take_pieces(struct http_request *r, struct str s)
{
    for (size_t step = TAKE_STEP; r->upload && !r->aside && r->body.n && s.n; step *= 2) {
        size_t had = r->body.n, n = s.n < step ? s.n : step;
        buf_put(&r->body, s.p, n);
        memset(buf_reserve(&r->body, HTTP_BODY_PADDING), 0, HTTP_BODY_PADDING);
        size_t took = take(r, buf_str(&r->body));
        if (took > had) {
            s = str_from(s, took - had);
            buf_clear(&r->body);
        } else {
            s = str_from(s, n);
            r->body.n -= took;
            memmove(r->body.p, r->body.p + took, took ? r->body.n : 0);
        }
    }
    if (r->upload && !r->aside && !r->body.n && s.n > HTTP_BODY_PADDING)
        s = str_from(s, take(r, str_of(s.p, s.n - HTTP_BODY_PADDING)));
    buf_put(&r->body, s.p, s.n);
}

/* With the request's lock. */
static void read_on(struct http_request *r)
{
    if (!r->waits)
        return;
    r->waits = false;
    r->step_ns = clock_mono_ns();
    MHD_resume_connection(r->connection);
}

/* Reads no more of the body while the taker is full. It may have got room since it was asked. */
static void wait_for_room(struct http_request *r)
{
    const struct http_taker *t = r->server->options.taker;
    if (!r->upload || !t->full || !t->full(t->ctx))
        return;
    pthread_mutex_lock(&r->lock);
    if (!r->server->stopping) {
        r->waits = true;
        MHD_suspend_connection(r->connection);
        if (!t->full(t->ctx))
            read_on(r);
    }
    pthread_mutex_unlock(&r->lock);
}

void http_server_go_on(struct http_server *s)
{
    pthread_mutex_lock(&s->lock);
    for (struct http_request *r = s->live; r; r = r->next) {
        pthread_mutex_lock(&r->lock);
        read_on(r);
        pthread_mutex_unlock(&r->lock);
    }
    pthread_mutex_unlock(&s->lock);
}

/* Whether the client has left before the end of its body. libmicrohttpd waits for a change of the
 * socket, and sees none if the end was there when it read what is in front of it. */
static bool breaks_off(const struct http_request *r)
{
    const union MHD_ConnectionInfo *c =
        MHD_get_connection_info(r->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    char byte;
    return r->came < r->length && c && recv(c->connect_fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

static enum MHD_Result take_piece(struct http_request *r, const char *p, size_t got)
{
    http_slow_step(r, got);
    if (!r->answered && got > r->server->options.body_max - r->taken - r->body.n)
        refuse_size(r);
    if (!r->answered && reserve_body(r, got)) {
        /* Within the maximum, as was just judged. */
        take_pieces(r, str_of(p, got));
        if (r->body.cap > r->body_reserved.bytes && !r->shrunk)
            reservation_force(&r->body_reserved, r->body.cap - r->body_reserved.bytes);
        if (breaks_off(r))
            return MHD_NO;
        wait_for_room(r);
        return MHD_YES;
    }
    r->refused = true;
    abandon_upload(r);
    http_body_release(r);
    r->body_dropped += got;
    bool too_much = r->body_dropped / DRAIN_FACTOR > r->server->options.body_max;
    return too_much || breaks_off(r) ? MHD_NO : MHD_YES;
}

static enum MHD_Result take_body(struct http_request *r, const char *p, size_t *n)
{
    size_t got = *n;
    *n = 0;
    pthread_mutex_lock(&r->coming);
    enum MHD_Result result = take_piece(r, p, got);
    pthread_mutex_unlock(&r->coming);
    return result;
}

/* ---- 3: the handler ---- */

static void run_handler(void *arg)
{
    struct http_request *r = arg;
    /* A body of logs is never read as parameters, whatever its type claims to be. */
    if (r->slot->route->pool != HTTP_INGEST)
        http_request_read_form(r);
    r->slot->route->handle(r->slot->route->ctx, r);
}

static enum MHD_Result dispatch(struct http_request *r)
{
    const struct http_route *route = r->slot->route;
    pthread_mutex_lock(&r->coming);
    memset(buf_reserve(&r->body, HTTP_BODY_PADDING), 0, HTTP_BODY_PADDING);
    if (!r->taken)
        abandon_upload(r); /* all of it is here */
    if (route->pool == HTTP_QUERY)
        http_watch_add(r);
    pthread_mutex_lock(&r->lock);
    bool closing = r->server->closing;
    if (!closing) {
        r->suspended = true;
        MHD_suspend_connection(r->connection);
    }
    pthread_mutex_unlock(&r->lock);
    r->dispatched = !closing; /* from here on the body is the handler's */
    pthread_mutex_unlock(&r->coming);
    if (closing)
        return MHD_NO;
    atomic_fetch_add(&r->refs, 1);
    if (pool_submit(r->server->pool[route->pool], run_handler, r) != OK) {
        abandon_upload(r);
        http_error(r, 503, "the server is busy: %s", err_text());
    }
    return MHD_YES;
}

/* ---- 5: libmicrohttpd asks ---- */

static enum MHD_Result queue_response(struct http_request *r)
{
    pthread_mutex_lock(&r->lock);
    struct MHD_Response *response = r->response;
    r->response = NULL;
    unsigned status = r->status;
    pthread_mutex_unlock(&r->lock);
    if (!response) /* resumed by a stop without an answer */
        return MHD_NO;
    enum MHD_Result result = MHD_queue_response(r->connection, status, response);
    MHD_destroy_response(response);
    return result;
}

static struct http_request *begin(struct http_server *s, struct MHD_Connection *c, const char *url,
                                  const char *method)
{
    struct http_request *r = http_request_new(s, c, url, method);
    find_route(r);
    pthread_mutex_lock(&s->lock);
    r->next = s->live;
    if (s->live)
        s->live->prev = r;
    s->live = r;
    s->n_live++;
    pthread_mutex_unlock(&s->lock);
    return r;
}

static enum MHD_Result on_access(void *ctx, struct MHD_Connection *c, const char *url,
                                 const char *method, const char *version, const char *data,
                                 size_t *data_n, void **state)
{
    struct http_request *r = *state;
    if (!r) {
        *state = r = begin(ctx, c, url, method);
        pthread_mutex_lock(&r->coming);
        judge_head(r);
        r->refused = r->answered;
        pthread_mutex_unlock(&r->coming);
        bool waits = http_header(r, "Expect").n > 0;
        return r->refused && waits ? queue_response(r) : MHD_YES;
    }
    if (*data_n > 0)
        return take_body(r, data, data_n);
    return r->refused || r->dispatched ? queue_response(r) : dispatch(r);
}

/* ---- 6: the end ---- */

static void count(struct http_request *r)
{
    char labels[256];
    const char *path = r->slot ? r->slot->route->path : "other";
    snprintf(labels, sizeof(labels), "path=\"%s\",status=\"%u\"", path,
             r->answered ? r->status : 499);
    metric_add(
        metric_counter("weir_http_requests_total", labels, "HTTP requests by path and status."), 1);
    if (r->slot)
        metric_observe_ns(r->slot->seconds, clock_mono_ns() - r->began_ns);
}

static void on_completed(void *ctx, struct MHD_Connection *c, void **state,
                         enum MHD_RequestTerminationCode code)
{
    struct http_server *s = ctx;
    struct http_request *r = *state;
    if (!r)
        return;
    *state = NULL;
    http_watch_remove(r);
    pthread_mutex_lock(&r->coming);
    if (!r->dispatched)
        abandon_upload(r);
    pthread_mutex_unlock(&r->coming);
    pthread_mutex_lock(&r->lock);
    r->connection = NULL;
    r->canceled = true;
    pthread_cond_broadcast(&r->moved);
    count(r);
    pthread_mutex_unlock(&r->lock);
    pthread_mutex_lock(&s->lock);
    if (r->prev)
        r->prev->next = r->next;
    else
        s->live = r->next;
    if (r->next)
        r->next->prev = r->prev;
    s->n_live--;
    pthread_cond_broadcast(&s->idle);
    pthread_mutex_unlock(&s->lock);
    http_request_unref(r);
}

static void on_log(void *ctx, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));
static void on_log(void *ctx, const char *fmt, va_list ap)
{
    char text[512];
    vsnprintf(text, sizeof(text), fmt, ap);
    log_debug("libmicrohttpd", "%.*s", STR_ARG(str_trim(str_c(text))));
}

/* ---- start and stop ---- */

static void make_routes(struct http_server *s)
{
    while (s->options.routes[s->n_routes].method)
        s->n_routes++;
    s->routes = NEW_ARRAY(struct route_slot, s->n_routes + 1);
    for (size_t i = 0; i < s->n_routes; i++) {
        char labels[160];
        const struct http_route *route = &s->options.routes[i];
        snprintf(labels, sizeof(labels), "path=\"%s\"", route->path);
        s->routes[i].route = route;
        s->routes[i].seconds = metric_histogram("weir_http_seconds", labels,
                                                "Time from a request's head to its answer's end.");
    }
}

static void make_pools(struct http_server *s)
{
    static const char *const names[] = {"http-fast", "http-ingest", "http-query"};
    static const size_t waiting[] = {1024, 256, 128};
    unsigned cpus = thread_cpus();
    const unsigned defaults[] = {1, cpus, cpus < 4 ? 4 : cpus};
    for (int i = 0; i < HTTP_POOL_COUNT; i++) {
        unsigned n = s->options.workers[i] ? s->options.workers[i] : defaults[i];
        s->pool[i] = pool_new(names[i], n, waiting[i]);
    }
}

static enum err start_daemon(struct http_server *s, int fd)
{
    unsigned threads = s->options.threads ? s->options.threads : 2;
    struct MHD_OptionItem options[] = {
        {MHD_OPTION_EXTERNAL_LOGGER, (intptr_t)on_log, NULL},
        {MHD_OPTION_LISTEN_SOCKET, fd, NULL},
        {MHD_OPTION_CONNECTION_LIMIT, s->options.connections_max, NULL},
        {MHD_OPTION_CONNECTION_MEMORY_LIMIT, CONNECTION_BYTES, NULL},
        {MHD_OPTION_CONNECTION_MEMORY_INCREMENT, READ_GROWS_BYTES, NULL},
        {MHD_OPTION_CONNECTION_TIMEOUT, s->options.idle_seconds, NULL},
        {MHD_OPTION_NOTIFY_COMPLETED, (intptr_t)on_completed, s},
        {threads > 1 ? MHD_OPTION_THREAD_POOL_SIZE : MHD_OPTION_END, threads, NULL},
        {MHD_OPTION_END, 0, NULL},
    };
    s->daemon = MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0, NULL, NULL,
        on_access, s, MHD_OPTION_ARRAY, options, MHD_OPTION_END);
    return s->daemon ? OK
                     : err_set(ERR_UNAVAILABLE, "cannot start the HTTP server on %s", s->address);
}

static void release(struct http_server *s)
{
    for (int i = 0; i < HTTP_POOL_COUNT; i++)
        pool_free(s->pool[i]);
    http_server_unref(s);
}

enum err http_server_start(const struct http_server_options *o, struct http_server **ret)
{
    int fd;
    TRY(listen_open(o->listen, &fd));
    struct http_server *s = NEW(struct http_server);
    s->options = *o;
    if (!s->options.connections_max)
        s->options.connections_max = 4096;
    if (!s->options.idle_seconds)
        s->options.idle_seconds = IDLE_SECONDS;
    if (!s->options.slow_ms)
        s->options.slow_ms = SLOW_MS;
    if (!s->options.body_max)
        s->options.body_max = 64 << 20;
    s->refs = 1;
    pthread_mutex_init(&s->lock, NULL);
    cond_init(&s->idle);
    listen_name(fd, s->address, sizeof(s->address));
    make_routes(s);
    make_pools(s);
    enum err err = http_watch_start(s);
    if (err == OK) {
        err = start_daemon(s, fd);
        if (err != OK)
            http_watch_stop(s);
    }
    if (err != OK) {
        close(fd);
        release(s);
        return err;
    }
    *ret = s;
    return OK;
}

const char *http_server_address(const struct http_server *s)
{
    return s->address;
}

/* Resumes everything, so that libmicrohttpd may close it; nothing suspends from here on: whoever
 * would looks at `closing` under the request's lock. */
static void cancel_all(struct http_server *s)
{
    s->closing = true;
    pthread_mutex_lock(&s->lock);
    for (struct http_request *r = s->live; r; r = r->next) {
        pthread_mutex_lock(&r->lock);
        r->canceled = true;
        pthread_cond_broadcast(&r->moved);
        if (r->suspended) {
            r->suspended = false;
            if (r->stream)
                r->stream->failed = true;
            MHD_resume_connection(r->connection);
        }
        pthread_mutex_unlock(&r->lock);
    }
    pthread_mutex_unlock(&s->lock);
}

static bool any_dispatched(const struct http_server *s)
{
    for (const struct http_request *r = s->live; r; r = r->next)
        if (r->dispatched)
            return true;
    return false;
}

/* Until nothing is under way, or the deadline. Bodies still on their way are waited for until
 * `uploads` only: a client that never ends its body must not hold the stop. */
static void wait_idle(struct http_server *s, int64_t uploads, int64_t deadline)
{
    pthread_mutex_lock(&s->lock);
    while (s->n_live > 0) {
        int64_t now = clock_mono_ns();
        if (now >= deadline || (now >= uploads && !any_dispatched(s)))
            break;
        int64_t until = now < uploads && uploads < deadline ? uploads : deadline;
        (void)cond_wait_until(&s->idle, &s->lock, until);
    }
    pthread_mutex_unlock(&s->lock);
}

void http_server_stop(struct http_server *s, int64_t wait_ms)
{
    if (!s)
        return;
    s->stopping = true;
    http_server_go_on(s);
    MHD_socket fd = MHD_quiesce_daemon(s->daemon);
    if (fd != MHD_INVALID_SOCKET)
        close(fd);
    int64_t now = clock_mono_ns();
    wait_idle(s, now + UPLOADS_MS * NS_PER_MS, now + wait_ms * NS_PER_MS);
    cancel_all(s);
    now = clock_mono_ns() + CLOSE_MS * NS_PER_MS;
    wait_idle(s, now, now);
    MHD_stop_daemon(s->daemon);
    http_watch_stop(s);
    release(s);
}
