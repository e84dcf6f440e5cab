#include "queue/queue_impl.h"

enum err queue_start(struct queue *q, uint64_t from, const struct queue_consumer *consumer,
                     void (*progress)(uint64_t done, uint64_t total))
{
    return q->ops->start(q, from, consumer, progress);
}

enum err queue_append(struct queue *q, const struct queue_body *body)
{
    return q->ops->append(q, body);
}

struct queue_reader *queue_reader_new(struct queue *q, uint64_t from)
{
    CHECK(q->ops->reader_new);
    struct queue_reader *r = q->ops->reader_new(q, from);
    r->ops = q->ops;
    return r;
}

void queue_reader_free(struct queue_reader *r)
{
    if (r)
        r->ops->reader_free(r);
}

enum err queue_reader_next(struct queue_reader *r, struct queue_read *ret)
{
    return r->ops->reader_next(r, ret);
}

uint64_t queue_reader_lost(const struct queue_reader *r)
{
    return r->ops->reader_lost(r);
}

void queue_checkpoints(struct queue *q, uint64_t upto, struct arena *a,
                       struct catalog_position **ret, size_t *ret_n)
{
    *ret_n = 0;
    if (q->ops->checkpoints)
        q->ops->checkpoints(q, upto, a, ret, ret_n);
}

enum err queue_agrees(struct queue *q, const struct catalog_state *state)
{
    return q->ops->agrees ? q->ops->agrees(q, state) : OK;
}

void queue_reset(struct queue *q)
{
    if (q->ops->reset)
        q->ops->reset(q);
}

enum err queue_trim(struct queue *q, uint64_t position)
{
    return q->ops->trim(q, position);
}

bool queue_disk_is_slow(const struct queue *q)
{
    return q->ops->disk_is_slow && q->ops->disk_is_slow(q);
}

void queue_reclaim(struct queue *q)
{
    if (q->ops->reclaim)
        q->ops->reclaim(q);
}

void queue_drain(struct queue *q)
{
    q->ops->drain(q);
}

void queue_rest(struct queue *q)
{
    if (q && q->ops->rest)
        q->ops->rest(q);
}

void queue_stats(struct queue *q, struct queue_stats *ret)
{
    q->ops->stats(q, ret);
}

void queue_close(struct queue *q)
{
    if (q)
        q->ops->close(q);
}
