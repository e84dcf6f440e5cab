/* Streamed answers: a ring of bytes between the handler, which writes and waits while it is full,
 * and libmicrohttpd, which reads and suspends its connection while it is empty.
 *
 * States of the connection as seen under the request's lock: running (libmicrohttpd calls the
 * reader when the socket takes more) or suspended (it waits for us: whoever brings bytes or the end
 * resumes it). When the client leaves, libmicrohttpd completes the request; where it is suspended
 * and therefore blind, the server's watcher sets `canceled`: either wakes the writer, which answers
 * ERR_CANCELED from then on. */
#include "core/mem.h"
#include "net/http_internal.h"

enum { RING_BYTES = 1 << 20, MHD_BLOCK_BYTES = 64 << 10 };

void http_stream_free(struct http_stream *s)
{
    if (!s)
        return;
    if (s->ring) {
        mem_free(s->ring);
        governor_give(OWNER_QUERY, RING_BYTES);
    }
    mem_free(s);
}

static size_t take(struct http_stream *s, char *to, size_t n)
{
    if (n > s->count)
        n = s->count;
    size_t first = RING_BYTES - s->head;
    if (first > n)
        first = n;
    memcpy(to, s->ring + s->head, first);
    memcpy(to + first, s->ring, n - first);
    s->count -= n;
    /* An emptied ring starts over: a fast client keeps to its first pages. */
    s->head = s->count ? (s->head + n) % RING_BYTES : 0;
    return n;
}

static ssize_t read_stream(void *ctx, uint64_t pos, char *to, size_t max)
{
    struct http_request *r = ctx;
    struct http_stream *s = r->stream;
    pthread_mutex_lock(&r->lock);
    ssize_t result = 0;
    if (s->count > 0 && !s->failed) {
        result = (ssize_t)take(s, to, max);
        if (s->count <= RING_BYTES / 2) /* the writer shall not wake for every block */
            pthread_cond_signal(&r->moved);
    } else if (s->failed || (r->server->closing && !s->ended)) {
        result = MHD_CONTENT_READER_END_WITH_ERROR;
    } else if (s->ended) {
        result = MHD_CONTENT_READER_END_OF_STREAM;
    } else {
        r->suspended = true;
        MHD_suspend_connection(r->connection);
    }
    pthread_mutex_unlock(&r->lock);
    return result;
}

void http_stream_begin(struct http_request *r, unsigned status, const char *content_type)
{
    if (content_type)
        http_reply_header(r, "Content-Type", content_type);
    struct http_stream *s = NEW(struct http_stream);
    s->ring = mem_alloc(RING_BYTES);
    governor_force(OWNER_QUERY, RING_BYTES);
    struct MHD_Response *response =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, MHD_BLOCK_BYTES, read_stream, r, NULL);
    CHECK(response);
    pthread_mutex_lock(&r->lock);
    r->stream = s;
    http_request_answer(r, response, status);
    pthread_mutex_unlock(&r->lock);
}

static void wake_reader(struct http_request *r)
{
    if (r->suspended && r->connection) {
        r->suspended = false;
        MHD_resume_connection(r->connection);
    }
}

/* Puts what fits; the lock is held. */
static struct str put(struct http_stream *s, struct str bytes)
{
    size_t tail = (s->head + s->count) % RING_BYTES;
    size_t room = RING_BYTES - s->count;
    size_t n = bytes.n < room ? bytes.n : room;
    size_t first = RING_BYTES - tail;
    if (first > n)
        first = n;
    memcpy(s->ring + tail, bytes.p, first);
    memcpy(s->ring, bytes.p + first, n - first);
    s->count += n;
    return str_from(bytes, n);
}

enum err http_stream_write(struct http_request *r, struct str bytes)
{
    struct http_stream *s = r->stream;
    CHECK(s && !s->ended);
    pthread_mutex_lock(&r->lock);
    while (bytes.n > 0 && r->connection && !r->canceled) {
        if (s->count == RING_BYTES) {
            pthread_cond_wait(&r->moved, &r->lock);
            continue;
        }
        bytes = put(s, bytes);
        wake_reader(r);
    }
    bool gone = !r->connection || r->canceled;
    pthread_mutex_unlock(&r->lock);
    return gone ? err_set(ERR_CANCELED, "the client has left") : OK;
}

void http_stream_end(struct http_request *r, bool ok)
{
    pthread_mutex_lock(&r->lock);
    CHECK(r->stream && !r->stream->ended);
    r->stream->ended = true;
    r->stream->failed = !ok;
    wake_reader(r);
    pthread_mutex_unlock(&r->lock);
    http_request_unref(r);
}
