/* All pipelines of a process at work: the main one and those with names, in an agent and in a
 * server. Threads: one, but for what says otherwise. */
#ifndef WEIR_CMD_FLOWS_H
#define WEIR_CMD_FLOWS_H

#include "cmd/flow.h"

struct flows;
struct flows_options {
    const char *data; /* the main one's folder; those with names are in DATA/pipelines/NAME */
    /* A server's: the main one, and those without routes, put to its queue. NULL: an agent. */
    struct ingest *ingest;
    struct spool *spool; /* over its queue */
    struct json_limits limits;
    size_t body_max;
    unsigned connections_max;
};

/* Opens all, starts none. */
NODISCARD enum err flows_open(const struct flows_options *o, struct pipelines *set,
                              struct flows **ret);
NODISCARD enum err flows_start(struct flows *s);
/* All go over to another configuration, or none does: then the text says why. */
NODISCARD enum err flows_reload(struct flows *s, struct pipelines *set);
void flows_tick(struct flows *s); /* at least once a second */
void flows_stop_inputs(struct flows *s, int64_t wait_ms);
void flows_stop_routes(struct flows *s, int64_t wait_ms);
void flows_free(struct flows *s); /* stopped, or never started; NULL is fine */

bool flows_all_sent(struct flows *s);
bool flows_only_stdin(struct flows *s); /* there is nothing else to read from */
/* The main one, NULL where there is none. An agent's stays as long as `s`. */
struct flow *flows_main(struct flows *s);
/* Calls the function with each; any thread. */
void flows_each(struct flows *s, void (*fn)(void *ctx, struct flow *f), void *ctx);
/* The books of all, parted by commas; whether they balance. Any thread. */
bool flows_write_books(struct flows *s, struct buf *out);

#endif
