/* A pipeline at work: in an agent, or beside a server's own.
 *
 * With a spool of its own (dir): files and inputs → transforms → spool → routes. Everything is in
 * its folder:
 *   positions, intake   how far its files are read, what its inputs have taken
 *   queue/              the spool
 *   routes/NAME         how far each route has come
 *   dead/NAME.ndjson    what an output refused for good
 * Without (`ingest`): its inputs' records go, through its transforms, into a server's queue; its
 * routes, where it has some, read that queue (`spool` is over it).
 *
 * Order of the start: the spool is opened, whose lock makes this the only one of the folder;
 * routes, inputs and files say from where they need it; it is replayed; then routes, inputs and
 * files begin. The stop goes the other way.
 *
 * Reload: flow_prepare opens what is new beside what runs, and may fail; flow_commit swaps, and
 * cannot. What is the same in both goes on untouched. Threads: one, but for what says otherwise. */
#ifndef WEIR_CMD_FLOW_H
#define WEIR_CMD_FLOW_H

#include "core/buf.h"
#include "pipeline/pipeline.h"

/* What of a configuration only inputs and outputs can judge. */
NODISCARD enum err pipelines_check(const struct pipelines *set);

/* Whether its files could be followed, by what its settings say; nothing is read or made. */
NODISCARD enum err flow_check(const struct pipeline *p);

struct flow;
struct flow_options {
    const char *dir;       /* made; NULL: without a spool of its own */
    struct ingest *ingest; /* without */
    struct spool *spool;   /* without: for the routes; NULL: there can be none */
    const char *state_dir; /* without: where the routes' state is; */
    struct json_limits limits;
    size_t body_max;
    unsigned connections_max;
};

/* Takes part in `set` (pipelines_hold) while it needs it. Opens everything but starts nothing. */
NODISCARD enum err flow_open(const struct flow_options *o, struct pipelines *set, unsigned at,
                             struct flow **ret);
/* Replays the spool (of one without, the server has done so), and begins. */
NODISCARD enum err flow_start(struct flow *f);
/* Whether it would run with another configuration. After OK, commit or abandon. */
NODISCARD enum err flow_prepare(struct flow *f, struct pipelines *set, unsigned at);
void flow_commit(struct flow *f);
void flow_abandon(struct flow *f);
/* Now and then, at least once a second. */
void flow_tick(struct flow *f);
/* The inputs and files end; then routes go on until all is sent, or wait_ms. */
void flow_stop_inputs(struct flow *f, int64_t wait_ms);
void flow_stop_routes(struct flow *f, int64_t wait_ms);
void flow_free(struct flow *f); /* stopped, or never started; NULL is fine */

/* Nothing is followed but standard input. */
bool flow_only_stdin(const struct flow *f);
/* Nothing is left to read or to send. */
bool flow_all_sent(struct flow *f);
bool flow_has_spool(const struct flow *f);
const char *flow_name(const struct flow *f);
/* The way into its spool, for an HTTP server. */
struct ingest *flow_ingest(struct flow *f);
struct input_set *flow_inputs(struct flow *f);
/* Calls route_wake on its routes. Any thread. */
void flow_wake(struct flow *f);
/* Any thread. The books as a JSON object (docs/pipelines.md); whether they balance. */
bool flow_write_books(struct flow *f, struct buf *out);

#endif
