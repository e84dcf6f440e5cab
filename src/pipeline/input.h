/* Inputs: where records come in by something else than the HTTP API. An input is one struct of
 * callbacks, found by the scheme of its URL; src/cmd holds the table of all of them.
 *
 * What it receives it cuts into *bodies*, whole messages of its protocol, and hands them to
 * its sink, which decodes and judges them (wire/decode.h) and says by `done` when what was accepted
 * is durable. Only then does the input acknowledge to its sender. A body that comes back with an
 * error that passes (unavailable, no memory, disk full, conflict) is kept and handed over again
 * later while the input reads no more from that sender: that is the back-pressure. So the sink may
 * be the store's door (ingest_sink) or a route of a pipeline; an input cannot tell.
 *
 * Life: open (checks the URL, binds; nothing is taken yet) → start → stop (takes nothing more,
 * answers what is under way, returns when no body is out) → close. Threads: those four from one
 * thread; status from any; `take` is called on the input's threads, `done` on any. */
#ifndef WEIR_PIPELINE_INPUT_H
#define WEIR_PIPELINE_INPUT_H

#include "core/url.h"
#include "pipeline/ingest.h"

/* Where bodies go. take: as ingest_body; `done` comes once for each, perhaps before take returns.
 * The body's bytes are needed until take returns, and no longer. */
struct sink {
    void *ctx;
    void (*take)(void *ctx, const struct ingest_body *body);
};

/* The store's own door. */
struct sink ingest_sink(struct ingest *g);
/* Whether a body that ended so may be handed over again: nothing of it landed, and it may yet. */
bool ingest_may_retry(enum err err);

struct input_options {
    struct str url; /* with its parameters; copied */
    struct sink sink;
    struct json_limits limits;
    size_t body_max;          /* of one message, also inflated */
    unsigned connections_max; /* of one listener */
    /* Only to find what is wrong with the URL: nothing is bound, read or reached, and it is closed
     * unstarted. */
    bool dry;
};

struct input_status {
    char address[80];     /* where it listens, with the real port; or what it reads */
    uint64_t connections; /* now */
    uint64_t accepted, refused, duplicates; /* records, since the start */
    uint64_t bytes;                         /* received */
    uint64_t waiting;                       /* bodies handed on and not done */
    uint64_t lag;    /* messages at the source that were not read yet, where it says */
    uint64_t errors; /* senders cut off for what they sent */
    char last_error[256];
};
#define INPUTS_MAX 64 /* of a process */

struct input;
struct input_type {
    const char *name;           /* "forward": also the stream of its records by default */
    const char *const *schemes; /* "forward", ...; ended by NULL */
    /* o->url is parsed already and has a scheme of this type. */
    enum err (*open)(const struct input_options *o, const struct url *url, struct input **ret);
    enum err (*start)(struct input *in);
    /* Waits at most wait_ms for what is under way. */
    void (*stop)(struct input *in, int64_t wait_ms);
    void (*close)(struct input *in); /* stopped, or never started */
    void (*status)(struct input *in, struct input_status *ret);
};
/* Every input begins with this. */
struct input {
    const struct input_type *type;
};

/* The parameters that every input has: stream, service, host. */
struct input_target {
    struct str org, stream, service, host;
};
/* Reads them; ERR_INVALID where a name cannot be a stream's. The strings are the arena's. */
NODISCARD enum err input_read_target(const struct url *url, const char *stream, struct arena *arena,
                                     struct input_target *ret);

/* Opens by the URL's scheme. types is ended by NULL. ERR_INVALID for an unknown scheme: the text
 * names those that there are. */
NODISCARD enum err input_open(const struct input_type *const *types, const struct input_options *o,
                              struct input **ret);
/* What is wrong with the URL and its parameters, as far as can be said without this machine. */
NODISCARD enum err input_check(const struct input_type *const *types, struct str url);
NODISCARD enum err input_start(struct input *in);
void input_stop(struct input *in, int64_t wait_ms);
void input_close(struct input *in); /* NULL is fine */
void input_status(struct input *in, struct input_status *ret);

/* All inputs of a process. Threads: one, but for input_set_write. */
struct input_set;
struct input_set *input_set_new(const struct input_type *const *types);
/* How a URL is shown: without credentials and parameters. */
struct str input_plain_url(struct str url, struct arena *a);
/* Opens one more; the error begins with the URL, without its parameters. */
NODISCARD enum err input_set_add(struct input_set *s, const struct input_options *o);
NODISCARD enum err input_set_start(struct input_set *s); /* those that are not yet */
bool input_set_has(const struct input_set *s, struct str url);
/* Stops and closes the one with that URL. */
void input_set_remove(struct input_set *s, struct str url, int64_t wait_ms);
/* All of `from`, which are not started, become members of `s`; ERR_LIMIT when there is no room. */
NODISCARD enum err input_set_join(struct input_set *s, struct input_set *from);
unsigned input_set_count(const struct input_set *s);
void input_set_stop(struct input_set *s, int64_t wait_ms);
void input_set_free(struct input_set *s); /* NULL is fine */
/* Appends items of a JSON array: of each what input_status says. */
void input_set_write(struct input_set *s, struct buf *out);
/* The URL of number i with its real address, or false. */
bool input_set_name(struct input_set *s, unsigned i, struct buf *out);

#endif
