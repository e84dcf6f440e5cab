/* The Kafka queue as a member of its group: what is published, commits, rebalances, resets.
 *
 * SEVERAL SERVERS ON ONE CATALOG (o.node). The catalog's checkpoint is where a partition begins,
 * and the group's offset only where it has no row. A partition that comes here is `settling` until
 * that was read: nobody can say meanwhile whether memory agrees with the catalog (kafka_agrees).
 * Before its first message is taken, what others have published is taken over, as repetitions are
 * seen by it.
 *
 * When another has published what was taken here (a publish met ERR_CONFLICT, kafka_agrees found
 * it, or this server stood still for longer than a session), everything that was taken and is not
 * published is forgotten, rows and marks in one instant, and all our partitions are read again from
 * their checkpoints (kafka_reset). The client is told where to read (seek); what it had fetched
 * before is passed over. */
#include "core/log.h"
#include "core/mem.h"
#include "queue/kafka_inside.h"

#include <inttypes.h>

#define TELL_NS NS_PER_S

/* ---- partitions and marks: with the lock ---- */

struct partition *kafka_partition(struct kafka_queue *q, int32_t number)
{
    for (size_t i = 0; i < q->n_partitions; i++)
        if (q->partition[i].number == number)
            return &q->partition[i];
    ARRAY_GROW(q->partition, q->partitions_cap, q->n_partitions + 1);
    struct partition *p = &q->partition[q->n_partitions++];
    *p = (struct partition){.number = number, .next = -1};
    return p;
}

void kafka_add_mark(struct kafka_queue *q, uint64_t position, int32_t partition, int64_t next)
{
    for (size_t i = q->n_marks; i-- > 0 && q->mark[i].position == position;)
        if (q->mark[i].partition == partition) {
            q->mark[i].next = next;
            return;
        }
    ARRAY_GROW(q->mark, q->marks_cap, q->n_marks + 1);
    q->mark[q->n_marks++] = (struct mark){position, partition, next};
}

void kafka_lower_mark(struct kafka_queue *q, uint64_t position)
{
    if (!q->n_marks || q->mark[q->n_marks - 1].position != position)
        return;
    struct mark m = q->mark[--q->n_marks];
    kafka_add_mark(q, position - 1, m.partition, m.next);
}

/* ---- commits: on the in-thread ---- */

static rd_kafka_topic_partition_list_t *published_list(struct kafka_queue *q)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(8);
    pthread_mutex_lock(&q->lock);
    for (size_t i = 0; i < q->n_partitions; i++)
        if (q->partition[i].ours && q->partition[i].published > 0)
            rd_kafka_topic_partition_list_add(list, q->conf.topic, q->partition[i].number)->offset =
                q->partition[i].published;
    pthread_mutex_unlock(&q->lock);
    return list;
}

static void note_commit(struct kafka_queue *q, rd_kafka_resp_err_t code)
{
    if (code) {
        log_warn("offsets cannot be committed to the group", "queue=%s reason=%s", q->name,
                 rd_kafka_err2str(code));
        q->commit_due = true;
        q->commit_at_ns = clock_mono_ns() + PROBE_NS;
    }
    pthread_mutex_lock(&q->lock);
    q->committing = false;
    pthread_cond_broadcast(&q->changed);
    pthread_mutex_unlock(&q->lock);
}

static void begin_commit(struct kafka_queue *q)
{
    q->committing = true;
    q->commit_due = false;
    rd_kafka_topic_partition_list_t *list = published_list(q);
    rd_kafka_resp_err_t code = list->cnt ? kafka_member_commit(&q->in, list) : 0;
    if (code || !list->cnt)
        note_commit(q, code);
    rd_kafka_topic_partition_list_destroy(list);
}

void kafka_commit_on(struct kafka_queue *q)
{
    rd_kafka_resp_err_t code;
    if (q->committing && kafka_member_committed(&q->in, 0, &code))
        note_commit(q, code);
    if (q->commit_due && !q->committing && !q->away && clock_mono_ns() >= q->commit_at_ns)
        begin_commit(q);
}

/* Before partitions go in peace: their next reader is to begin behind what is published. */
void kafka_commit_now(struct kafka_queue *q)
{
    rd_kafka_resp_err_t code;
    begin_commit(q);
    if (q->committing)
        note_commit(
            q, kafka_member_committed(&q->in, ASK_MS, &code) ? code : RD_KAFKA_RESP_ERR__TIMED_OUT);
}

/* The client has ended: nothing of what it read is ours until another has joined. */
void kafka_lose_partitions(void *ctx)
{
    struct kafka_queue *q = ctx;
    pthread_mutex_lock(&q->lock);
    for (size_t i = 0; i < q->n_partitions; i++)
        q->partition[i].ours = false;
    q->commit_due = q->commit_due || q->committing;
    q->committing = false;
    if (q->polled)
        rd_kafka_queue_destroy(q->polled);
    q->polled = NULL;
    pthread_mutex_unlock(&q->lock);
}

/* ---- rebalances: on the in-thread ---- */

static bool has_marks(const struct kafka_queue *q, int32_t number)
{
    for (size_t i = 0; i < q->n_marks; i++)
        if (q->mark[i].partition == number)
            return true;
    return false;
}

/* The catalog's checkpoint; 0: no row. Where several servers share the catalog nothing can be read
 * without it. False: the queue is being closed. */
static bool read_checkpoint(struct kafka_queue *q, int32_t number, uint64_t *ret)
{
    for (int tries = 0; !q->stop_in || !tries; tries++) {
        if (catalog_checkpoint(q->o.catalog, str_c(q->name), (uint32_t)number, ret) == OK)
            return true;
        if (!tries)
            log_error("a checkpoint cannot be read", "queue=%s error=%s", q->name, err_text());
        if (!q->o.node)
            return true;
        clock_sleep_ms(POLL_MS);
    }
    return false;
}

/* Of a server alone: behind what it stored, what the group says, and what is in memory. */
static int64_t first_alone(struct partition *p, int64_t stored, int64_t group)
{
    p->published = stored;
    int64_t at = group > stored ? group : stored;
    return p->next > at ? p->next : at;
}

/* Of several, the catalog knows. What is in memory goes on where nobody else has published; where
 * somebody has, `published` stays what it was until the reset, so that none of it is published. */
static int64_t first_of_several(struct kafka_queue *q, struct partition *p, int64_t stored,
                                int64_t group)
{
    pthread_mutex_lock(&q->lock);
    bool held = has_marks(q, p->number);
    pthread_mutex_unlock(&q->lock);
    p->begin = stored ? stored : group;
    if (held && stored == p->published)
        return p->next;
    if (held)
        q->reset_due = true;
    else
        p->published = stored;
    return p->begin;
}

/* The offset, or where what there is begins. */
static int64_t within_topic(struct kafka_queue *q, struct partition *p, int64_t at)
{
    int64_t low = 0, high = 0;
    if (rd_kafka_query_watermark_offsets(q->in.rk, q->conf.topic, p->number, &low, &high, ASK_MS))
        return at;
    p->start_end = high;
    if (at > high) {
        log_error("the topic ends before what was read of it: it was made anew, or lost messages",
                  "queue=%s partition=%d read=%" PRId64 " end=%" PRId64, q->name, p->number, at,
                  high);
        return low;
    }
    if (at < low && at > 0)
        log_error("the topic's retention has deleted what was not read yet",
                  "queue=%s partition=%d messages=%" PRId64, q->name, p->number, low - at);
    return at < low ? low : at;
}

/* Where to begin. */
static int64_t begin_at(struct kafka_queue *q, rd_kafka_topic_partition_t *e, struct partition *p)
{
    uint64_t stored = 0;
    int64_t group = e->err == 0 && e->offset > 0 ? e->offset : 0;
    p->seek = !read_checkpoint(q, e->partition, &stored);
    int64_t at = q->o.node ? first_of_several(q, p, (int64_t)stored, group)
                           : first_alone(p, (int64_t)stored, group);
    return within_topic(q, p, at);
}

/* The publishes before which all partitions stood where they stand now say nothing about them. */
static void settled(struct kafka_queue *q)
{
    if (q->consumer.moved)
        q->consumer.moved(q->consumer.ctx);
    pthread_mutex_lock(&q->lock);
    for (size_t i = 0; i < q->n_partitions; i++)
        q->partition[i].settling = false;
    pthread_mutex_unlock(&q->lock);
}

/* What others have published is known here before the first message is taken. */
static void take_over(struct kafka_queue *q)
{
    bool said = false;
    q->flushing = true;
    while (q->consumer.take_over && !q->stop_in && !q->reset_due) {
        enum err err = q->consumer.take_over(q->consumer.ctx);
        if (err == OK)
            break;
        if (err != ERR_AGAIN && err != ERR_CONFLICT && !said)
            log_error("what other servers have stored cannot be read yet", "queue=%s error=\"%s\"",
                      q->name, err_text());
        said = said || (err != ERR_AGAIN && err != ERR_CONFLICT);
        clock_sleep_ms(PAUSE_MS);
    }
    q->flushing = false;
}

/* A cut that is published meanwhile moves what is published of it: then it is looked at again. */
static void get_partition(struct kafka_queue *q, rd_kafka_topic_partition_t *e)
{
    bool moved = true;
    struct partition p;
    while (moved) {
        pthread_mutex_lock(&q->lock);
        kafka_partition(q, e->partition)->settling = q->o.node != 0;
        p = *kafka_partition(q, e->partition);
        pthread_mutex_unlock(&q->lock);
        int64_t published = p.published;
        p.next = begin_at(q, e, &p);
        p.ours = true;
        pthread_mutex_lock(&q->lock);
        moved = kafka_partition(q, e->partition)->published != published;
        if (!moved)
            *kafka_partition(q, e->partition) = p;
        pthread_mutex_unlock(&q->lock);
    }
    e->offset = p.next;
    e->err = 0;
}

static void get_partitions(struct kafka_queue *q, rd_kafka_topic_partition_list_t *list)
{
    rd_kafka_resp_err_t code;
    while ((code = rd_kafka_committed(q->in.rk, list, ASK_MS)) != 0 && !q->stop_in)
        log_warn("the group's offsets cannot be read yet", "queue=%s reason=%s", q->name,
                 rd_kafka_err2str(code));
    for (int i = 0; i < list->cnt; i++)
        get_partition(q, &list->elems[i]);
    settled(q);
    take_over(q);
    pthread_mutex_lock(&q->lock);
    q->assigned = true;
    pthread_mutex_unlock(&q->lock);
}

static enum err flush(struct kafka_queue *q)
{
    q->flushing = true;
    enum err err = q->consumer.flush(q->consumer.ctx);
    q->flushing = false;
    return err;
}

/* Partitions are also lost in a rebalance that nobody was late for (a commit came into it): then
 * their next reader has not begun, and they are stored as in peace. Whoever stood still may still
 * try, by compare-and-swap; but what it has is known elsewhere for long, and would have to be read
 * again there. */
static void leave_partitions(struct kafka_queue *q, rd_kafka_t *rk,
                             const rd_kafka_topic_partition_list_t *list)
{
    bool lost = rd_kafka_assignment_lost(rk);
    bool silent = lost && clock_mono_ns() - q->polled_ns > q->session_ns;
    if (lost)
        log_warn("partitions were lost", "queue=%s partitions=%d silent=%s", q->name, list->cnt,
                 silent ? "yes" : "no");
    if (silent && q->o.node)
        q->reset_due = true;
    else if (lost && q->o.node && !q->stop_in)
        (void)!flush(q);
    else if (lost && !q->o.node)
        log_error("what this node has of them in memory is stored here, and read again elsewhere",
                  "queue=%s", q->name);
    else if (!lost && !q->stop_in && flush(q) == OK)
        kafka_commit_now(q);
    pthread_mutex_lock(&q->lock);
    for (int i = 0; i < list->cnt; i++)
        kafka_partition(q, list->elems[i].partition)->ours = false;
    pthread_mutex_unlock(&q->lock);
    kafka_finish_read_back(q);
}

/* Where each server has a catalog of its own, whoever runs several should know what that means. */
static void note_shared(struct kafka_queue *q)
{
    int32_t ours = 0;
    if (q->o.node)
        return;
    pthread_mutex_lock(&q->lock);
    for (size_t i = 0; i < q->n_partitions; i++)
        ours += q->partition[i].ours;
    pthread_mutex_unlock(&q->lock);
    if (q->shared || q->stop_in || ours >= q->topic_partitions)
        return;
    q->shared = true;
    log_warn("other servers read the topic, too: each keeps a catalog of its own",
             "queue=%s partitions=%d of=%d means=%s", q->name, ours, q->topic_partitions,
             "what a killed server had stored is found again when it is back, and the little that "
             "it stored in its last instant comes twice; with one --catalog and one --objects for "
             "all they are one store; kafka.md, Several servers");
}

void kafka_on_rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t code,
                        rd_kafka_topic_partition_list_t *list, void *opaque)
{
    struct kafka_queue *q = opaque;
    bool got = code == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
    if (got)
        get_partitions(q, list);
    else
        leave_partitions(q, rk, list);
    rd_kafka_error_t *error =
        got ? rd_kafka_incremental_assign(rk, list) : rd_kafka_incremental_unassign(rk, list);
    log_info(got ? "partitions got" : "partitions given", "queue=%s partitions=%d", q->name,
             list->cnt);
    if (error) {
        log_error("partitions cannot be assigned", "queue=%s reason=%s", q->name,
                  rd_kafka_error_string(error));
        rd_kafka_error_destroy(error);
    }
    note_shared(q);
}

/* ---- resets: on the in-thread ---- */

void kafka_reset(struct queue *base)
{
    struct kafka_queue *q = (struct kafka_queue *)base;
    pthread_mutex_lock(&q->lock);
    q->reset_due = true;
    if (q->polled)
        rd_kafka_queue_yield(q->polled);
    pthread_mutex_unlock(&q->lock);
}

/* With the rows go the marks; where the partitions stand has to be found out. */
static void forget(void *ctx)
{
    struct kafka_queue *q = ctx;
    pthread_mutex_lock(&q->lock);
    q->n_marks = 0;
    for (size_t i = 0; i < q->n_partitions; i++) {
        struct partition *p = &q->partition[i];
        p->settling = true;
        p->seek = p->ours;
        p->next = -1;
    }
    pthread_mutex_unlock(&q->lock);
}

static void stand_at_checkpoints(struct kafka_queue *q)
{
    for (size_t i = 0; i < q->n_partitions; i++) { /* only this thread adds to them */
        uint64_t stored = 0;
        pthread_mutex_lock(&q->lock);
        struct partition p = q->partition[i];
        pthread_mutex_unlock(&q->lock);
        if (p.ours && !read_checkpoint(q, p.number, &stored))
            return;
        p.published = (int64_t)stored;
        p.next = !p.ours ? -1 : stored ? (int64_t)stored : p.begin;
        if (p.ours && q->in.rk)
            p.next = within_topic(q, &p, p.next);
        pthread_mutex_lock(&q->lock);
        q->partition[i] = p;
        pthread_mutex_unlock(&q->lock);
    }
    settled(q);
}

/* Until the client has heard of it, what comes is from elsewhere. */
static void seek_on(struct kafka_queue *q)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(8);
    pthread_mutex_lock(&q->lock);
    for (size_t i = 0; i < q->n_partitions; i++)
        if (q->partition[i].seek && q->partition[i].ours)
            rd_kafka_topic_partition_list_add(list, q->conf.topic, q->partition[i].number)->offset =
                q->partition[i].next;
    pthread_mutex_unlock(&q->lock);
    if (list->cnt && clock_mono_ns() >= q->seek_at_ns) {
        rd_kafka_error_t *error = rd_kafka_seek_partitions(q->in.rk, list, ASK_MS);
        pthread_mutex_lock(&q->lock);
        for (int i = 0; i < list->cnt && !error; i++)
            if (!list->elems[i].err)
                kafka_partition(q, list->elems[i].partition)->seek = false;
        pthread_mutex_unlock(&q->lock);
        if (error)
            rd_kafka_error_destroy(error);
        q->seek_at_ns = clock_mono_ns() + PAUSE_MS * NS_PER_MS;
    }
    rd_kafka_topic_partition_list_destroy(list);
}

void kafka_reset_on(struct kafka_queue *q)
{
    if (q->reset_due && clock_mono_ns() >= q->seek_at_ns) {
        q->reset_due = false;
        q->flushing = true;
        enum err err = q->consumer.reset(q->consumer.ctx, forget, q);
        q->flushing = false;
        if (err == OK) {
            stand_at_checkpoints(q);
            if (q->paused && q->in.rk)
                kafka_set_paused(q, q->paused = false);
        } else {
            if (err != ERR_AGAIN && !q->resetting)
                log_error("what other servers have stored cannot be read yet",
                          "queue=%s error=\"%s\"", q->name, err_text());
            q->reset_due = true;
            q->seek_at_ns = clock_mono_ns() + POLL_MS * NS_PER_MS;
        }
        q->resetting = err != OK;
    }
    if (!q->reset_due && q->in.rk)
        seek_on(q);
}

bool kafka_pass_over(struct kafka_queue *q, const rd_kafka_message_t *m)
{
    pthread_mutex_lock(&q->lock);
    const struct partition *p = kafka_partition(q, m->partition);
    bool pass = q->o.node && (q->reset_due || !p->ours || p->seek || m->offset < p->next);
    pthread_mutex_unlock(&q->lock);
    return pass;
}

/* ---- what is published ---- */

void kafka_checkpoints(struct queue *base, uint64_t upto, struct arena *a,
                       struct catalog_position **ret, size_t *ret_n)
{
    struct kafka_queue *q = (struct kafka_queue *)base;
    size_t n = 0;
    pthread_mutex_lock(&q->lock);
    struct catalog_position *list = ARENA_ARRAY(a, struct catalog_position, q->n_partitions + 1);
    for (size_t i = 0; i < q->n_partitions; i++) {
        const struct partition *p = &q->partition[i];
        int64_t next = -1;
        for (size_t k = 0; k < q->n_marks && q->mark[k].position <= upto; k++)
            if (q->mark[k].partition == p->number)
                next = q->mark[k].next;
        if (next > 0 && next != p->published)
            list[n++] = (struct catalog_position){str_c(q->name), (uint32_t)p->number,
                                                  (uint64_t)p->published, (uint64_t)next};
    }
    pthread_mutex_unlock(&q->lock);
    *ret = list;
    *ret_n = n;
}

enum err kafka_agrees(struct queue *base, const struct catalog_state *state)
{
    struct kafka_queue *q = (struct kafka_queue *)base;
    enum err err = OK;
    pthread_mutex_lock(&q->lock);
    for (size_t i = 0; i < q->n_partitions && err != ERR_AGAIN; i++) {
        const struct partition *p = &q->partition[i];
        uint64_t stored = catalog_state_at(state, str_c(q->name), (uint32_t)p->number);
        if (p->settling)
            err = ERR_AGAIN;
        else if ((p->ours || has_marks(q, p->number)) && (int64_t)stored != p->published)
            err = err_set(ERR_CONFLICT, "partition %d was published by another server", p->number);
    }
    pthread_mutex_unlock(&q->lock);
    return err;
}

/* The in-thread tells the group what is published, at once. That is waited for, as what the group
 * does not know is read again by others if we are killed; but not for long. */
static void tell_group(struct kafka_queue *q)
{
    int64_t until = clock_mono_ns() + TELL_NS;
    pthread_mutex_lock(&q->lock);
    q->commit_due = true;
    if (q->polled)
        rd_kafka_queue_yield(q->polled);
    while ((q->commit_due || q->committing) && q->polled && !q->away && !q->flushing &&
           !q->stop_in && clock_mono_ns() < until)
        (void)cond_wait_until(&q->changed, &q->lock, until);
    pthread_mutex_unlock(&q->lock);
}

enum err kafka_trim(struct queue *base, uint64_t position)
{
    struct kafka_queue *q = (struct kafka_queue *)base;
    size_t n = 0;
    pthread_mutex_lock(&q->lock);
    for (; n < q->n_marks && q->mark[n].position < position; n++)
        kafka_partition(q, q->mark[n].partition)->published = q->mark[n].next;
    if (n)
        memmove(q->mark, q->mark + n, (q->n_marks - n) * sizeof(*q->mark));
    q->n_marks -= n;
    if (position > q->stats.trimmed_to)
        q->stats.trimmed_to = position;
    pthread_mutex_unlock(&q->lock);
    if (n)
        tell_group(q);
    return OK;
}
