/* Parcels: what an input has handed to its sink and not yet had back. A parcel keeps its bytes
 * until it is done, so that a body which could not land now is handed over again later: after
 * RETRY_MIN_MS, twice that, ... up to RETRY_MAX_MS, each a random part shorter.
 *
 * Threads: everything on the reactor's thread; a sink's answer from any other is brought there. */
#ifndef WEIR_INPUT_PARCEL_H
#define WEIR_INPUT_PARCEL_H

#include "net/reactor.h"
#include "pipeline/input.h"
#include "transform/multiline.h"

#include <pthread.h>
#include <stdatomic.h>

struct parcel;

/* What the inputs with a reactor share: the target of their bodies and their counts. */
struct parcel_desk {
    struct reactor *reactor;
    struct sink sink;
    struct input_target target;
    struct arena arena; /* of the target, and of what follows */
    /* multiline=KIND: records are made of lines (transform/join.c), and what may go on with one is
     * waited for so long. */
    struct multiline *multiline; /* NULL: not */
    struct stages *join;
    int64_t wait_ns;
    enum wire_format format;
    const char *name;       /* of the input, for logs */
    struct parcel *waiting; /* for their next try */
    struct reactor_ticker ticker;
    bool stopped; /* no more tries */
    bool once;    /* what may land later is not tried again: its sender does that */
    atomic_ullong accepted, refused, duplicates, bytes, out, errors;
    pthread_mutex_t lock; /* of what follows */
    char last_error[256];
};

struct parcel {
    struct parcel_desk *desk;
    struct parcel *next;  /* of its owner */
    struct parcel *later; /* of desk->waiting */
    struct reactor_note note;
    void *owner;
    /* On the reactor's thread: it has landed (OK), or cannot land whatever is done. text: why. The
     * parcel is the owner's to free. */
    void (*done)(struct parcel *p, enum err err, const char *text);
    struct str bytes, key, host, stream; /* JSON_PADDING behind bytes */
    struct str ack;                      /* the owner's */
    bool landed;
    uint64_t accepted, refused; /* records, once landed */
    /* The sink's answer. */
    enum err err;
    char text[200];
    int64_t try_at_ns;
    unsigned tries;
};

void parcel_desk_init(struct parcel_desk *d, struct reactor *r, const struct input_options *o);
void parcel_desk_release(struct parcel_desk *d);
/* Reads the target, multiline and multiline_wait. `stream`: by default. */
NODISCARD enum err parcel_desk_read(struct parcel_desk *d, const struct url *url,
                                    const char *stream);
/* multiline and multiline_wait of a URL; both are left alone where they are not there. A sender
 * that does not pause is waited for MULTILINE_WAITS times as long. */
NODISCARD enum err multiline_read(const struct url *url, struct multiline **ret,
                                  int64_t *ret_wait_ns);
enum { MULTILINE_WAITS = 4 };
/* What is gathered for that at most, so that it is one batch. */
enum { PARCEL_GATHERED = 128 << 10 };
#define PARCEL_PARAMS "stream", "service", "host", "multiline", "multiline_wait"
/* Whether more is waited for: of `n` bytes that were received and not handed on (all of a source,
 * n > 0), which began and grew last at the times kept in `w`. *ret_forced: they have waited long
 * enough although more keeps coming. */
struct parcel_wait {
    size_t n;
    int64_t began_ns, grew_ns;
};
bool parcel_desk_waits(const struct parcel_desk *d, struct parcel_wait *w, size_t n,
                       bool *ret_forced);
/* Of these all but the bytes may be empty; the stream is then the target's. */
struct parcel_content {
    struct str bytes, key, host, stream, ack;
};
/* Hands a copy over. Before it returns nothing is called. */
struct parcel *parcel_send(struct parcel_desk *d, void *owner,
                           void (*done)(struct parcel *p, enum err err, const char *text),
                           const struct parcel_content *content);
void parcel_free(struct parcel *p);
/* What a sender was cut off for, or what could not land. */
void parcel_desk_error(struct parcel_desk *d, const char *peer, const char *text);
void parcel_desk_status(struct parcel_desk *d, struct input_status *ret);
/* From the thread that stops: waits until none is out, at most so long. Those that wait for their
 * next try are given up at the end. */
void parcel_desk_drain(struct parcel_desk *d, int64_t wait_ms);

#endif
