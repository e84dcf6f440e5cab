/* What a kind of queue is made of: queue.h calls it through this. */
#ifndef WEIR_QUEUE_QUEUE_IMPL_H
#define WEIR_QUEUE_QUEUE_IMPL_H

#include "queue/queue.h"

/* As the functions of queue.h that they are named after; close is never called with NULL. */
struct queue_ops {
    enum err (*start)(struct queue *q, uint64_t from, const struct queue_consumer *consumer,
                      void (*progress)(uint64_t done, uint64_t total));
    enum err (*append)(struct queue *q, const struct queue_body *body);
    struct queue_reader *(*reader_new)(struct queue *q, uint64_t from); /* NULL: it has none */
    void (*reader_free)(struct queue_reader *r);
    enum err (*reader_next)(struct queue_reader *r, struct queue_read *ret);
    uint64_t (*reader_lost)(const struct queue_reader *r);
    void (*checkpoints)(struct queue *q, uint64_t upto, struct arena *a,
                        struct catalog_position **ret, size_t *ret_n);      /* NULL: none */
    enum err (*agrees)(struct queue *q, const struct catalog_state *state); /* NULL: always */
    void (*reset)(struct queue *q);                                         /* NULL: never */
    enum err (*trim)(struct queue *q, uint64_t position);
    bool (*disk_is_slow)(const struct queue *q); /* NULL: never */
    void (*reclaim)(struct queue *q);            /* NULL: nothing to give */
    void (*drain)(struct queue *q);
    void (*rest)(struct queue *q); /* NULL: a drained queue calls nobody */
    void (*stats)(struct queue *q, struct queue_stats *ret);
    void (*close)(struct queue *q);
};
/* Every queue begins with this, and every reader. */
struct queue {
    const struct queue_ops *ops;
};
struct queue_reader {
    const struct queue_ops *ops;
};

#endif
