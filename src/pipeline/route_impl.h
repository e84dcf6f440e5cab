/* The inside of a route, shared by its files: route.c reads the spool, hands bulks to senders and
 * settles them in order; route_bulk.c makes bulks of what was read; route_send.c sends one until it
 * is settled, behind the breaker; route_letters.c tries dead letters again.
 * Each function is the route's thread's alone, unless it says otherwise. */
#ifndef WEIR_PIPELINE_ROUTE_IMPL_H
#define WEIR_PIPELINE_ROUTE_IMPL_H

#include "core/metrics.h"
#include "pipeline/route.h"

/* A body of the spool in a bulk. */
struct unit {
    uint32_t first, n;  /* items */
    uint64_t rows, end; /* the position behind it */
    uint64_t dropped;   /* of the rows, by condition and transforms */
    uint64_t refused;   /* of those, by its transforms: to the dead letters */
};
/* Units that are sent together, and what became of them. */
struct route_bulk {
    struct output_item *item;
    struct blob **blob; /* of each item, referenced */
    size_t items_cap, blobs_cap, units_cap;
    uint32_t n, n_units;
    struct unit *unit;
    uint64_t rows, bytes;
    uint64_t epoch;     /* under which it is sent: the spool's, or of letters tried again */
    uint32_t settled;   /* units, from the first: sent, or to be dead letters */
    uint64_t dead_rows; /* of those, refused by the output */
    struct buf dead;    /* lines for the dead letters */
    size_t dead_kept;   /* of them, those that do not go away when a send is repeated */
    uint64_t refused;   /* rows, of the send at hand */
};

enum sender_state { SENDER_FREE, SENDER_LOADED, SENDER_DONE };
/* A bulk on its way through an output of its own. Where there is one, the route's thread sends by
 * itself. */
struct sender {
    struct route *r;
    struct output *output;
    struct route_bulk bulk; /* LOADED: the sender's thread's; else the route's */
    enum sender_state state;
    pthread_t thread;
    bool started;
};
/* After a failure nothing is sent until the pause is over, and then one bulk, to see. */
struct breaker {
    bool open, trying;
    int64_t until_ns, pause_ns;
};

struct route {
    struct route_options o;
    char *name, *state_path, *dead_path;
    unsigned hold;
    struct queue_reader *reader;
    pthread_t thread;
    bool started, is_new;
    struct sender *sender;
    unsigned n_senders;

    pthread_mutex_t lock; /* of what follows, and of the senders' states */
    pthread_cond_t wake;  /* of the route's thread */
    pthread_cond_t turn;  /* of who sends: a bulk, the breaker, a stop */
    bool woken, stopping, senders_end;
    int64_t stop_at; /* monotonic */
    struct breaker breaker;
    struct route_stats stats;
    bool untold; /* what the state file says of failures is no longer so */

    /* The thread's own. */
    uint64_t first, next; /* bulks under way: bulk i is in sender i % n_senders */
    uint64_t gathered;    /* the position behind what was read */
    struct route_bulk letters;
    size_t retry_room;
    uint64_t retry_id, retry_at; /* the file of letters tried again (0: none), and how far it is */
    int64_t retry_looked_ns;
    struct json_reader *json; /* of letters */
    int64_t saved_ns;
    bool unsaved;
    struct arena arena;
    struct batch *batch;
    struct metric *sent_metric, *dead_metric, *retries_metric, *lost_metric, *dropped_metric,
        *seconds_metric, *breaker_metric;
};

/* ---- route.c ---- */
bool route_must_stop(struct route *r); /* any thread, as the next */
bool route_is_stopping(struct route *r);
/* Until something is appended or a sender is done (unless only_stop), the time is over, or a
 * stop. */
void route_wait(struct route *r, int64_t deadline, bool only_stop);
/* Until no bulk is under way. ERR_CANCELED: a stop came first. */
NODISCARD enum err route_drain(struct route *r);
/* Blocks until the bulk's dead letters are on the disk. ERR_CANCELED: a stop came first, and they
 * are not. */
NODISCARD enum err route_save_dead(struct route *r, struct route_bulk *b);
NODISCARD enum err route_save_state(struct route *r);
/* If the state has changed, and (unless now) it was not saved a moment ago. The route's thread. */
void route_save_if_due(struct route *r, bool now);

/* ---- route_bulk.c ---- */
void route_bulk_init(struct route_bulk *b);
void route_bulk_clear(struct route_bulk *b);
void route_bulk_release(struct route_bulk *b);
/* As the route's condition and transforms leave it. */
void route_bulk_add(struct route *r, struct route_bulk *b, const struct queue_read *body);
/* The frame as this route wants it, a reference of the caller's; *rows: what is left in it. What
 * cannot be transformed does not go on (a secret may be in it): it goes to the dead letters. */
struct blob *route_bulk_change(struct route *r, struct route_bulk *b, struct blob *frame,
                               uint64_t position, uint32_t *rows, uint64_t *refused);
/* Takes the frame over. */
void route_bulk_item(struct route_bulk *b, struct blob *frame, uint64_t sequence, uint32_t rows);
/* Any thread that has the bulk. row UINT32_MAX: all of the item. */
void route_bulk_dead(struct route *r, struct route_bulk *b, const struct output_item *item,
                     uint32_t row, const char *reason, const char *stage);

/* ---- route_send.c ---- */
/* Sends the bulk until all of it is settled. ERR_CANCELED: a stop came first. Called by the thread
 * that has the bulk. */
NODISCARD enum err route_send(struct route *r, struct output *output, struct route_bulk *b);

/* ---- route_letters.c ---- */
/* Whether there was a lot to try again. Looked for now and then, as the file comes from another
 * process. */
bool route_retry_letters(struct route *r);

#endif
