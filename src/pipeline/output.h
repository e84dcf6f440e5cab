/* Outputs: where records go. An output is one struct of callbacks, found by the scheme of its URL;
 * output/outputs.h holds the table of all of them. What it gets is *bulks*: frames in the order of
 * the queue, which a route (route.h) has read, and sends again until they are settled.
 *
 * send blocks, and says what became of the bulk as a whole:
 *   OK             every record is durable there, or was refused one by one (`refuse`)
 *   ERR_INVALID,
 *   ERR_LIMIT      it will never be taken: the route divides it, and puts what remains to the dead
 *                  letters
 *   any other      not now; the text says why, *ret_wait_ns (0: not said) when to come again
 * Where a send fails for now although a part of the bulk was taken, *bulk->moved is set: the peer
 * works, at a pace of its own, and pauses do not grow.
 * A bulk that failed half way is sent again whole: an output whose peer cannot tell repeats is "at
 * least once", and its documentation says so.
 * Threads: one at a time for an output; a route that sends several bulks at a time opens more. */
#ifndef WEIR_PIPELINE_OUTPUT_H
#define WEIR_PIPELINE_OUTPUT_H

#include "core/arena.h"
#include "core/url.h"
#include "record/rows.h"

/* A frame; those of one sequence number are a unit, and stand together. */
struct output_item {
    uint64_t sequence; /* the position of its body in the queue: the same whenever it is sent */
    struct str frame;
    uint32_t rows;
};
struct output_bulk {
    uint64_t producer, epoch; /* who sends: with the sequence a name for every unit */
    const struct output_item *item;
    uint32_t n;
    uint64_t rows, bytes;
    void *ctx;
    /* Row `row` of item `item` was refused for good. */
    void (*refuse)(void *ctx, uint32_t item, uint32_t row, const char *reason);
    bool *moved; /* see above; NULL: nobody asks */
};

/* How its route gathers by default: a bulk is sent when it has so many records or bytes, or when
 * its first record has waited so long. */
struct output_gather {
    uint64_t rows, bytes;
    int64_t wait_ns;
};

enum { OUTPUT_PARALLEL_MAX = 32 };

struct output;
struct output_type {
    const char *name;
    const char *const *schemes; /* ended by NULL */
    struct output_gather gather;
    /* Bulks at a time, by default and at most; 0: one, as order matters, or the peer's memory of
     * what it has taken. */
    unsigned parallel, parallel_max;
    /* The URL is parsed already, of a scheme of this type. Connects to nothing yet. */
    enum err (*open)(const struct url *url, struct output **ret);
    enum err (*send)(struct output *o, const struct output_bulk *bulk, int64_t *ret_wait_ns);
    void (*close)(struct output *o);
};
/* Every output begins with this. */
struct output {
    const struct output_type *type;
    bool in_order; /* bulks by their sequence: one at a time, whatever the type allows */
};

/* Opens by the URL's scheme. types is ended by NULL. ERR_INVALID for an unknown scheme: the text
 * names those that there are. */
NODISCARD enum err output_open(const struct output_type *const *types, struct str url,
                               struct output **ret);
NODISCARD enum err output_send(struct output *o, const struct output_bulk *bulk,
                               int64_t *ret_wait_ns);
void output_close(struct output *o); /* NULL is fine */

/* Calls fn with the rows of every item, which live in the arena until it returns. */
NODISCARD enum err output_each_item(const struct output_bulk *bulk,
                                    enum err (*fn)(void *ctx, uint32_t item, struct rows *rows,
                                                   struct arena *a),
                                    void *ctx);
/* For outputs that write JSON: calls fn with every row of the bulk as a JSON object. Nothing about
 * a row is kept beyond its call. */
struct output_row {
    uint32_t item, row;
    struct str stream, json;
    int64_t time_ns;
    struct rows *rows; /* that it is one of: the same for all rows of an item */
};
NODISCARD enum err output_each_row(const struct output_bulk *bulk,
                                   enum err (*fn)(void *ctx, const struct output_row *row),
                                   void *ctx);

#endif
