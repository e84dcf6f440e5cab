/* kafka://HOST:PORT[,HOST:PORT...]/TOPIC as the queue: a topic of frames, which this node writes to
 * as an idempotent producer, and reads as a member of a consumer group.
 *
 * MESSAGES. A body is cut by service (wire/kafka_pieces.h); each piece is a message, a frame whose
 * head says whose it is and which part of its unit. Its key is the service, so a service stands in
 * one partition. Headers repeat producer, epoch, sequence and part for those who look in from
 * outside; nobody here reads them. An agent whose output is format=frames writes the same.
 *
 * APPEND. A body is durable when every message of it is acknowledged by all in-sync replicas. Then
 * it is done as soon as this node has read it back and handed it to its consumer, as the disk
 * queue would, or at once for the messages in partitions that others read; after READ_BACK_NS in
 * any case. A message that is surely not there fails its body with ERR_UNAVAILABLE, one that may be
 * there with ERR_TIMEOUT. While no broker answers, bodies are refused at once.
 *
 * ONCE. What is in the topic twice (an agent that sent again, a sender that was not answered) is
 * seen by whoever consumes it, in the order of the partition, and only there: the consumer's `take`
 * gets each frame under the name that kafka_unit_of gives it.
 *
 * POSITIONS are this server's own: a number for each frame that was taken, in the order of taking.
 * `marks` says up to which offset of which partition each position stands for. A publish of all up
 * to a position moves the checkpoint of each partition (consumer "kafka:CLUSTER/TOPIC") in the same
 * transaction, by compare-and-swap; then the in-thread commits the offsets to the group, for others
 * to see and for the node that gets the partition next; nobody waits for that but a rebalance. A
 * partition is read from the larger of the two; of several servers on one catalog, from the
 * catalog's (kafka_group.c).
 *
 * REBALANCES. A partition that is taken from us in peace is stored first (`flush`), so that the
 * next reader begins behind. One that was lost (we were silent for too long) is not: what of it was
 * in memory is read again there, and stored here only where the catalog is our own. A client of
 * librdkafka that ends for good (a member that was fenced, a producer whose last messages the
 * brokers have lost) gets a successor.
 *
 * THREADS: "kafka-in" reads, delivers, and takes part in rebalances; "kafka-out" serves reports and
 * looks whether brokers answer. `lock` guards bodies, partitions and marks; no call of librdkafka
 * that waits is made under it. BOUNDS: waiting_max bytes of messages that wait for their
 * acknowledgement (OWNER_QUEUE); librdkafka's fetch queue (FETCH_KIB); a mark a frame that is not
 * published. */
#include "core/governor.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/thread.h"
#include "queue/kafka_inside.h"
#include "record/frame.h"
#include "wire/kafka_pieces.h"

#include <inttypes.h>
#include <stdio.h>

enum {
    FETCH_KIB = 16 << 10,
    HEADROOM = 4 << 10, /* of a message, beside its value */
    MESSAGE_MAX = 10 << 20,
    HEADER_MAX = 64,
};
#define TIMEOUT_NS (10 * NS_PER_S)
#define SESSION_NS (6 * NS_PER_S)
#define READ_BACK_NS NS_PER_S
#define START_WAIT_NS (10 * NS_PER_S)
#define IDLE_START_NS (4 * NS_PER_S)

/* ---- bodies ---- */

static bool is_read_back(struct kafka_queue *q, const struct body *b)
{
    for (uint32_t i = 0; i < b->n_places; i++) {
        const struct partition *p = kafka_partition(q, b->place[i].partition);
        if (p->ours && p->next <= b->place[i].offset)
            return false;
    }
    return true;
}

static void finish(struct body *b)
{
    struct kafka_queue *q = b->q;
    if (b->done)
        b->done(b->ctx, b->err, b->why, 0);
    governor_give(OWNER_QUEUE, b->bytes);
    pthread_mutex_lock(&q->lock);
    q->stats.waiting_bytes -= b->bytes;
    q->stats.appended_bodies += b->err == OK;
    q->open--;
    pthread_cond_broadcast(&q->changed);
    pthread_mutex_unlock(&q->lock);
    mem_free(b->place);
    mem_free(b);
}

/* Every message is answered: done, or in line until it has been read back. */
static void answered(struct body *b)
{
    struct kafka_queue *q = b->q;
    bool waits = false;
    pthread_mutex_lock(&q->lock);
    q->stats.syncs++;
    if (b->err == OK && !q->stop_in && !is_read_back(q, b)) {
        b->deadline = clock_mono_ns() + READ_BACK_NS;
        b->next = q->waiting;
        q->waiting = b;
        waits = true;
    }
    pthread_mutex_unlock(&q->lock);
    if (!waits)
        finish(b);
}

void kafka_finish_read_back(struct kafka_queue *q)
{
    struct body *done = NULL;
    int64_t now = clock_mono_ns();
    pthread_mutex_lock(&q->lock);
    for (struct body **at = &q->waiting; *at;) {
        struct body *b = *at;
        if (now >= b->deadline || q->stop_in || is_read_back(q, b)) {
            *at = b->next;
            b->next = done;
            done = b;
        } else {
            at = &b->next;
        }
    }
    pthread_mutex_unlock(&q->lock);
    while (done) {
        struct body *b = done;
        done = b->next;
        finish(b);
    }
}

static void heard(struct kafka_queue *q)
{
    q->heard_ns = clock_mono_ns();
    if (atomic_exchange(&q->away, false))
        log_info("Kafka answers again", "queue=%s", q->name);
}

/* One message of the body is answered. place NULL: it failed; `sure`: and is not there. */
static void settle_message(struct body *b, const struct place *place, enum err err, bool sure,
                           const char *why)
{
    struct kafka_queue *q = b->q;
    pthread_mutex_lock(&q->lock);
    if (place) {
        ARRAY_GROW(b->place, b->places_cap, b->n_places + 1);
        b->place[b->n_places++] = *place;
    } else if (b->err == OK || !sure) {
        b->err = sure ? err : ERR_TIMEOUT;
        snprintf(b->why, sizeof(b->why), "%s: %s", q->conf.topic, why);
    }
    bool last = --b->unanswered == 0;
    if (last && b->err != OK && b->n_places)
        b->err = ERR_TIMEOUT; /* some of it is there */
    pthread_mutex_unlock(&q->lock);
    if (last)
        answered(b);
}

static void on_report(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque)
{
    struct kafka_queue *q = opaque;
    struct place place = {m->partition, m->offset};
    bool large = m->err == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE;
    bool sure = rd_kafka_message_status(m) == RD_KAFKA_MSG_STATUS_NOT_PERSISTED;
    if (m->err == 0)
        heard(q);
    settle_message(m->_private, m->err ? NULL : &place, large ? ERR_LIMIT : ERR_UNAVAILABLE, sure,
                   rd_kafka_err2str(m->err));
}

static void on_error(rd_kafka_t *rk, int code, const char *reason, void *opaque)
{
    struct kafka_queue *q = opaque;
    if (code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN && !atomic_exchange(&q->away, true))
        log_error("Kafka is away: nothing is taken in until it answers", "queue=%s reason=%s",
                  q->name, reason);
    else if (code != RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN)
        log_warn("Kafka met an error", "queue=%s reason=%s", q->name, reason);
}

/* ---- append ---- */

static enum err admit(struct kafka_queue *q, size_t bytes)
{
    enum err err = OK;
    if (q->away)
        return err_set(ERR_UNAVAILABLE, "Kafka is away (%s): try again later", q->conf.brokers);
    pthread_mutex_lock(&q->lock);
    if (q->stats.waiting_bytes && q->stats.waiting_bytes + bytes > q->o.waiting_max)
        err = err_set(ERR_UNAVAILABLE,
                      "%" PRIu64 " bytes wait for Kafka's acknowledgement: try again later",
                      q->stats.waiting_bytes);
    else
        q->stats.waiting_bytes += bytes;
    pthread_mutex_unlock(&q->lock);
    if (err == OK)
        governor_force(OWNER_QUEUE, bytes);
    return err;
}

/* The frames of one unit from `first` on, cut; *ret_next: the first of the next. */
static enum err cut_unit(struct kafka_queue *q, const struct queue_body *body, uint32_t first,
                         struct kafka_pieces *p, uint32_t *ret_next)
{
    struct frame_info unit = {0};
    uint32_t at = first;
    for (; at < body->n; at++) {
        struct frame_info info;
        uint32_t rows;
        int64_t min, max;
        TRY(frame_peek(body->frame[at]->bytes, &info, &rows, &min, &max));
        if (at == first)
            unit = info;
        if (info.producer != unit.producer || info.epoch != unit.epoch ||
            info.sequence != unit.sequence)
            break;
        TRY(kafka_pieces_add(p, body->frame[at]->bytes, STR("service"), q->message_max));
    }
    kafka_pieces_stamp(p, unit.producer, unit.epoch, unit.sequence);
    *ret_next = at;
    return OK;
}

static enum err check_sizes(struct kafka_queue *q, const struct kafka_pieces *p)
{
    for (uint32_t i = 0; i < p->n; i++)
        if (!p->piece[i].bytes)
            return err_set(ERR_LIMIT,
                           "a record is larger than a message of the topic %s may be (%zu bytes; "
                           "max.message.bytes of the topic)",
                           q->conf.topic, q->message_max);
    return OK;
}

static enum err cut_body(struct kafka_queue *q, const struct queue_body *body, struct arena *a,
                         struct kafka_pieces **ret, uint32_t *ret_n, size_t *ret_bytes)
{
    struct kafka_pieces *unit = ARENA_ARRAY(a, struct kafka_pieces, body->n);
    uint32_t n = 0;
    size_t bytes = 0;
    for (uint32_t at = 0; at < body->n; n++) {
        unit[n].arena = a;
        TRY(cut_unit(q, body, at, &unit[n], &at));
        TRY(check_sizes(q, &unit[n]));
        for (uint32_t i = 0; i < unit[n].n; i++)
            bytes += unit[n].piece[i].bytes + HEADER_MAX * 4;
    }
    *ret = unit;
    *ret_n = n;
    *ret_bytes = bytes;
    return OK;
}

static rd_kafka_headers_t *headers_of(const struct kafka_piece *piece)
{
    struct frame_info info;
    uint32_t rows;
    int64_t min, max;
    char text[HEADER_MAX];
    rd_kafka_headers_t *h = rd_kafka_headers_new(4);
    CHECK(frame_peek(str_of(piece->frame, piece->bytes), &info, &rows, &min, &max) == OK);
    snprintf(text, sizeof(text), "%" PRIu32 "/%" PRIu32, info.part, info.parts);
    (void)rd_kafka_header_add(h, "part", -1, text, -1);
    if (!info.producer)
        return h;
    snprintf(text, sizeof(text), "%016" PRIx64, info.producer);
    (void)rd_kafka_header_add(h, "producer", -1, text, -1);
    snprintf(text, sizeof(text), "%016" PRIx64, info.epoch);
    (void)rd_kafka_header_add(h, "epoch", -1, text, -1);
    snprintf(text, sizeof(text), "%" PRIu64, info.sequence);
    (void)rd_kafka_header_add(h, "sequence", -1, text, -1);
    return h;
}

static void produce(struct kafka_queue *q, struct body *b, const struct kafka_piece *piece)
{
    rd_kafka_headers_t *h = headers_of(piece);
    rd_kafka_resp_err_t code = rd_kafka_producev(
        q->out, RD_KAFKA_V_TOPIC(q->conf.topic), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
        RD_KAFKA_V_KEY(piece->key.n ? piece->key.p : NULL, piece->key.n),
        RD_KAFKA_V_VALUE(piece->frame, piece->bytes), RD_KAFKA_V_HEADERS(h), RD_KAFKA_V_OPAQUE(b),
        RD_KAFKA_V_END);
    if (code == 0)
        return;
    rd_kafka_headers_destroy(h);
    settle_message(b, NULL,
                   code == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE ? ERR_LIMIT : ERR_UNAVAILABLE, true,
                   rd_kafka_err2str(code));
}

static struct body *new_body(struct kafka_queue *q, const struct queue_body *from, size_t bytes,
                             uint32_t messages)
{
    struct body *b = NEW(struct body);
    b->q = q;
    b->ctx = from->ctx;
    b->done = from->done;
    b->bytes = bytes;
    b->unanswered = messages;
    return b;
}

static enum err kafka_append(struct queue *base, const struct queue_body *body)
{
    struct kafka_queue *q = (struct kafka_queue *)base;
    struct kafka_pieces *unit = NULL;
    struct arena a;
    uint32_t units = 0, messages = 0;
    size_t bytes = 0;
    arena_init(&a, 0, NULL);
    enum err err = cut_body(q, body, &a, &unit, &units, &bytes);
    if (err == OK)
        err = admit(q, bytes);
    for (uint32_t i = 0; i < units && err == OK; i++)
        messages += unit[i].n;
    if (err == OK) {
        struct body *b = new_body(q, body, bytes, messages);
        pthread_mutex_lock(&q->lock);
        q->open++;
        q->stats.appended_frames += messages;
        q->stats.appended_bytes += bytes;
        pthread_mutex_unlock(&q->lock);
        for (uint32_t i = 0; i < body->n; i++)
            blob_unref(body->frame[i]);
        pthread_rwlock_rdlock(&q->out_lock);
        for (uint32_t i = 0; i < units; i++)
            for (uint32_t k = 0; k < unit[i].n; k++)
                produce(q, b, &unit[i].piece[k]);
        pthread_rwlock_unlock(&q->out_lock);
    }
    arena_release(&a);
    return err;
}

/* ---- reading ---- */

/* The name under which it lands once; *ret_frame: it is one. */
static void stamp(struct kafka_queue *q, const rd_kafka_message_t *m, char *bytes)
{
    struct frame_info info;
    struct kafka_unit unit;
    uint32_t rows;
    int64_t min, max;
    if (frame_peek(str_of(bytes, m->len), &info, &rows, &min, &max) != OK)
        return; /* whoever opens it says so */
    if (info.producer) {
        kafka_unit_of(&info, str_c(q->name), m->partition, m->offset, &unit);
        info.epoch = unit.epoch;
    }
    if (info.key.lo || info.key.hi) {
        uint64_t of[3] = {info.key.lo, info.key.hi, info.part};
        info.key = hash128(str_of((const char *)of, sizeof(of)));
    }
    info.part = 0;
    frame_restamp(bytes, &info);
    frame_set_parts(bytes, 1);
}

/* The mark stands before the frame is taken: a cut that has the frame has it, too. */
static void take_message(struct kafka_queue *q, const rd_kafka_message_t *m)
{
    bool taken = false;
    pthread_mutex_lock(&q->lock);
    kafka_add_mark(q, q->next_position, m->partition, m->offset + 1);
    pthread_mutex_unlock(&q->lock);
    if (m->len) {
        char *bytes = mem_alloc(m->len);
        memcpy(bytes, m->payload, m->len);
        stamp(q, m, bytes);
        struct blob *frame = blob_take(bytes, m->len, OWNER_QUEUE);
        taken = q->consumer.take(q->consumer.ctx, frame, q->next_position);
        blob_unref(frame);
    }
    pthread_mutex_lock(&q->lock);
    if (!taken)
        kafka_lower_mark(q, q->next_position);
    q->next_position += taken;
    kafka_partition(q, m->partition)->next = m->offset + 1;
    q->stats.next_position = q->next_position;
    q->stats.replayed_frames += !q->started;
    pthread_mutex_unlock(&q->lock);
}

void kafka_set_paused(struct kafka_queue *q, bool pause)
{
    rd_kafka_topic_partition_list_t *all = NULL;
    if (rd_kafka_assignment(q->in.rk, &all) != 0)
        return;
    if (pause)
        (void)rd_kafka_pause_partitions(q->in.rk, all);
    else
        (void)rd_kafka_resume_partitions(q->in.rk, all);
    rd_kafka_topic_partition_list_destroy(all);
}

/* By what fetches have said last: no broker is asked. */
static uint64_t lag_of(struct kafka_queue *q, const struct partition *p)
{
    int64_t low, high;
    if (!p->ours ||
        rd_kafka_get_watermark_offsets(q->in.rk, q->conf.topic, p->number, &low, &high) != 0)
        return 0;
    return high > p->next ? (uint64_t)(high - p->next) : 0;
}

static void measure_lag(struct kafka_queue *q)
{
    int64_t now = clock_mono_ns();
    if (now < q->lag_at_ns)
        return;
    q->lag_at_ns = now + POLL_MS * NS_PER_MS;
    pthread_mutex_lock(&q->lock);
    q->stats.lag = 0;
    for (size_t i = 0; i < q->n_partitions; i++)
        q->stats.lag += lag_of(q, &q->partition[i]);
    pthread_mutex_unlock(&q->lock);
}

/* One partition that has more, in turn. */
static void wake_fetch(struct kafka_queue *q)
{
    int32_t number = -1;
    pthread_mutex_lock(&q->lock);
    for (size_t i = 0; i < q->n_partitions && number < 0; i++) {
        const struct partition *p = &q->partition[q->woken++ % q->n_partitions];
        if (lag_of(q, p))
            number = p->number;
    }
    pthread_mutex_unlock(&q->lock);
    if (number >= 0)
        kafka_wake_fetch(q->in.rk, q->conf.topic, number);
}

static rd_kafka_message_t *next_message(struct kafka_queue *q, bool paused)
{
    rd_kafka_message_t *m = rd_kafka_consumer_poll(q->in.rk, paused ? PAUSE_MS : 0);
    if (m || paused)
        return m;
    kafka_finish_read_back(q);
    wake_fetch(q);
    return rd_kafka_consumer_poll(q->in.rk, POLL_MS);
}

/* ---- the in-thread ---- */

/* One message, if there is one. */
static void read_on(struct kafka_queue *q)
{
    bool room = !q->reset_due && q->consumer.has_room(q->consumer.ctx);
    if (room == q->paused)
        kafka_set_paused(q, q->paused = !room);
    rd_kafka_message_t *m = next_message(q, q->paused);
    if (m && m->err == 0) {
        heard(q);
        if (!kafka_pass_over(q, m))
            take_message(q, m);
    } else if (m && m->err != RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        log_warn("the queue cannot be read", "queue=%s reason=%s", q->name,
                 rd_kafka_message_errstr(m));
    }
    if (m)
        rd_kafka_message_destroy(m);
}

static void *in_main(void *arg)
{
    struct kafka_queue *q = arg;
    while (!q->stop_in) {
        bool on = kafka_member_is_on(&q->in);
        kafka_reset_on(q);
        q->polled_ns = clock_mono_ns();
        if (on) {
            read_on(q);
            kafka_commit_on(q);
            measure_lag(q);
        } else {
            q->paused = false;
            clock_sleep_ms(PAUSE_MS);
        }
        kafka_finish_read_back(q);
    }
    kafka_finish_read_back(q);
    return NULL;
}

static void joined(void *ctx)
{
    struct kafka_queue *q = ctx;
    pthread_mutex_lock(&q->lock);
    q->polled = rd_kafka_queue_get_consumer(q->in.rk);
    pthread_mutex_unlock(&q->lock);
}

/* ---- the out-thread ---- */

static void probe(struct kafka_queue *q)
{
    const struct rd_kafka_metadata *m = NULL;
    if (rd_kafka_metadata(q->out, 0, NULL, &m, POLL_MS * 10) == 0) {
        rd_kafka_metadata_destroy(m);
        heard(q);
    }
}

/* An idempotent producer ends for good when the brokers have lost what it wrote last. It takes
 * nothing any more; what it had taken has failed, or does within its time. */
static void renew_out(struct kafka_queue *q, const char *why)
{
    rd_kafka_t *next = NULL;
    while (rd_kafka_outq_len(q->out) > 0)
        (void)rd_kafka_poll(q->out, POLL_MS);
    if (kafka_new(RD_KAFKA_PRODUCER, &q->conf, &next) != OK) {
        log_error("the queue's producer cannot be made anew", "queue=%s error=\"%s\"", q->name,
                  err_text());
        clock_sleep_ms(POLL_MS);
        return;
    }
    log_error("the queue's producer has ended, and is made anew", "queue=%s reason=\"%s\"", q->name,
              why);
    pthread_rwlock_wrlock(&q->out_lock);
    rd_kafka_destroy(q->out);
    q->out = next;
    pthread_rwlock_unlock(&q->out_lock);
}

static void *out_main(void *arg)
{
    struct kafka_queue *q = arg;
    int64_t probe_at = 0;
    char why[300];
    while (!q->stop_out) {
        (void)rd_kafka_poll(q->out, POLL_MS);
        if (rd_kafka_fatal_error(q->out, why, sizeof(why)))
            renew_out(q, why);
        if (q->away && clock_mono_ns() >= probe_at) {
            probe(q);
            probe_at = clock_mono_ns() + PROBE_NS;
        }
    }
    return NULL;
}

/* ---- life ---- */

/* Whether everything is read that was there when the partitions became ours. */
static bool caught_up(struct kafka_queue *q, uint64_t *ret_done, uint64_t *ret_total)
{
    uint64_t left = 0;
    pthread_mutex_lock(&q->lock);
    bool assigned = q->assigned;
    for (size_t i = 0; i < q->n_partitions; i++) {
        const struct partition *p = &q->partition[i];
        if (p->ours && p->start_end > p->next)
            left += (uint64_t)(p->start_end - p->next);
    }
    *ret_done = q->stats.replayed_frames;
    pthread_mutex_unlock(&q->lock);
    *ret_total = *ret_done + left;
    return assigned && !left;
}

/* Search must not wait for brokers that are away. */
static void catch_up(struct kafka_queue *q, void (*progress)(uint64_t done, uint64_t total))
{
    uint64_t done = 0, total = 0, before = UINT64_MAX;
    int64_t patience = START_WAIT_NS, moved = clock_mono_ns();
    while (!caught_up(q, &done, &total)) {
        if (progress)
            progress(done, total);
        if (done != before && done) {
            moved = clock_mono_ns();
            patience = IDLE_START_NS;
        }
        before = done;
        if (q->away || clock_mono_ns() - moved > patience) {
            log_warn("the queue is not read to its end yet", "queue=%s frames=%" PRIu64, q->name,
                     total - done);
            break;
        }
        clock_sleep_ms(PAUSE_MS / 4);
    }
}

static enum err kafka_start(struct queue *base, uint64_t from,
                            const struct queue_consumer *consumer,
                            void (*progress)(uint64_t done, uint64_t total))
{
    struct kafka_queue *q = (struct kafka_queue *)base;
    CHECK(consumer->take && consumer->has_room && consumer->flush);
    q->consumer = *consumer;
    q->next_position = from ? from : 1;
    TRY(kafka_member_join(&q->in));
    TRY(thread_start(&q->out_thread, "kafka-out", out_main, q));
    q->out_runs = true;
    TRY(thread_start(&q->in_thread, "kafka-in", in_main, q));
    q->in_runs = true;
    catch_up(q, progress);
    pthread_mutex_lock(&q->lock);
    q->started = true;
    pthread_mutex_unlock(&q->lock);
    return OK;
}

static void kafka_drain(struct queue *base)
{
    struct kafka_queue *q = (struct kafka_queue *)base;
    pthread_mutex_lock(&q->lock);
    while (q->open)
        pthread_cond_wait(&q->changed, &q->lock);
    pthread_mutex_unlock(&q->lock);
}

static void kafka_rest(struct queue *base)
{
    struct kafka_queue *q = (struct kafka_queue *)base;
    q->stop_in = true;
    if (q->in_runs)
        pthread_join(q->in_thread, NULL);
    q->in_runs = false;
}

static void kafka_stats(struct queue *base, struct queue_stats *ret)
{
    struct kafka_queue *q = (struct kafka_queue *)base;
    pthread_mutex_lock(&q->lock);
    *ret = q->stats;
    ret->poisoned = q->away;
    pthread_mutex_unlock(&q->lock);
}

static void kafka_close(struct queue *base)
{
    struct kafka_queue *q = (struct kafka_queue *)base;
    kafka_rest(base);
    if (q->in.rk && q->commit_due && !q->away)
        kafka_commit_now(q);
    kafka_member_leave(&q->in);
    q->stop_out = true;
    if (q->out_runs)
        pthread_join(q->out_thread, NULL);
    if (q->out)
        rd_kafka_destroy(q->out);
    CHECK(!q->waiting);
    governor_give(OWNER_QUEUE, (size_t)FETCH_KIB << 10);
    if (q->in.topics)
        rd_kafka_topic_partition_list_destroy(q->in.topics);
    kafka_conf_release(&q->conf);
    kafka_conf_release(&q->in_conf);
    pthread_rwlock_destroy(&q->out_lock);
    pthread_cond_destroy(&q->changed);
    pthread_mutex_destroy(&q->lock);
    mem_free(q->partition);
    mem_free(q->mark);
    mem_free(q->group);
    mem_free(q->name);
    mem_free(q);
}

static const struct queue_ops kafka_ops = {
    .start = kafka_start,
    .append = kafka_append,
    .checkpoints = kafka_checkpoints,
    .agrees = kafka_agrees,
    .reset = kafka_reset,
    .trim = kafka_trim,
    .drain = kafka_drain,
    .rest = kafka_rest,
    .stats = kafka_stats,
    .close = kafka_close,
};

/* ---- opening ---- */

static enum err set_out(struct kafka_queue *q, const struct url *url, struct kafka_conf *c)
{
    struct str codec = url_get(url, "compression"), given = url_get(url, "timeout");
    int64_t timeout = TIMEOUT_NS;
    char *name = mem_strdup(codec.n ? codec : STR("lz4"));
    enum err err = kafka_conf_set(c, "compression.codec", name);
    mem_free(name);
    TRY(err);
    if (given.p && (!str_to_duration_ns(given, &timeout) || timeout < NS_PER_S))
        return err_set(ERR_INVALID, "timeout=%.*s: a duration is wanted, such as 10s",
                       STR_ARG(given));
    TRY(kafka_conf_set(c, "acks", "all"));
    TRY(kafka_conf_set(c, "enable.idempotence", "true"));
    TRY(kafka_conf_set(c, "partitioner", "murmur2_random"));
    TRY(kafka_conf_set(c, "linger.ms", "1"));
    TRY(kafka_conf_set_int(c, "message.timeout.ms", timeout / NS_PER_MS));
    TRY(kafka_conf_set_int(c, "message.max.bytes", MESSAGE_MAX));
    TRY(kafka_conf_set_int(c, "queue.buffering.max.kbytes",
                           (int64_t)(q->o.waiting_max >> 10) * 2 + (MESSAGE_MAX >> 10)));
    rd_kafka_conf_set_dr_msg_cb(c->conf, on_report);
    return OK;
}

static enum err set_in(struct kafka_queue *q, const struct url *url, struct kafka_conf *c)
{
    struct str group = url_get(url, "group"), given = url_get(url, "session");
    int64_t session = SESSION_NS;
    if (given.p && (!str_to_duration_ns(given, &session) || session < NS_PER_S))
        return err_set(ERR_INVALID, "session=%.*s: a duration is wanted, such as 6s",
                       STR_ARG(given));
    q->session_ns = session;
    q->group = mem_strdup(group.n ? group : STR("weir-store"));
    TRY(kafka_conf_set(c, "group.id", q->group));
    TRY(kafka_conf_set(c, "enable.auto.commit", "false"));
    TRY(kafka_conf_set(c, "enable.auto.offset.store", "false"));
    TRY(kafka_conf_set(c, "auto.offset.reset", "earliest"));
    TRY(kafka_conf_set(c, "partition.assignment.strategy", "cooperative-sticky"));
    TRY(kafka_conf_set_int(c, "session.timeout.ms", session / NS_PER_MS));
    TRY(kafka_conf_set_int(c, "heartbeat.interval.ms", session / NS_PER_MS / 6));
    TRY(kafka_conf_set_fetch(c, FETCH_KIB));
    rd_kafka_conf_set_rebalance_cb(c->conf, kafka_on_rebalance);
    return OK;
}

/* The member's name, which stays over restarts: the URL's, or one made with the data folder. */
static enum err set_instance(struct kafka_queue *q, const struct url *url, struct kafka_conf *c)
{
    struct str given = url_get(url, "instance"), name = {0};
    char text[40];
    struct arena a;
    arena_init(&a, 0, NULL);
    struct str key =
        q->o.node ? arena_printf(&a, "kafka.member/%" PRIu64, q->o.node) : STR("kafka.member");
    enum err err = given.n ? OK : catalog_meta_get(q->o.catalog, key, &a, &name);
    if (err == ERR_NOTFOUND) {
        snprintf(text, sizeof(text), "weir-%016" PRIx64, random_u64());
        name = str_c(text);
        err = catalog_meta_set(q->o.catalog, key, name);
    }
    if (err == OK)
        err = kafka_conf_set_instance(c, given.n ? given : name);
    arena_release(&a);
    return err;
}

static enum err configure(struct kafka_queue *q, const struct url *url, struct kafka_conf *c)
{
    TRY(kafka_conf_read(url, kafka_queue_params, c));
    rd_kafka_conf_set_opaque(c->conf, q);
    rd_kafka_conf_set_error_cb(c->conf, on_error);
    return OK;
}

static enum err open_in(struct kafka_queue *q, const struct url *url)
{
    TRY(configure(q, url, &q->in_conf));
    TRY(set_instance(q, url, &q->in_conf));
    TRY(set_in(q, url, &q->in_conf));
    q->in.conf = &q->in_conf;
    q->in.topics = rd_kafka_topic_partition_list_new(1);
    (void)rd_kafka_topic_partition_list_add(q->in.topics, q->conf.topic, RD_KAFKA_PARTITION_UA);
    q->in.name = q->name;
    q->in.ctx = q;
    q->in.joined = joined;
    q->in.ending = kafka_lose_partitions;
    return OK;
}

/* The cluster's own name makes the checkpoints' consumer; while no broker answers it is the one
 * that was known last. */
static enum err name_cluster(struct kafka_queue *q)
{
    struct arena a;
    struct str known = {0};
    char *id = kafka_cluster(q->out, ASK_MS);
    char *key = mem_printf("kafka.cluster/%s", q->conf.topic);
    arena_init(&a, 0, NULL);
    enum err err = catalog_meta_get(q->o.catalog, str_c(key), &a, &known);
    if (err == ERR_NOTFOUND && !id[0])
        err = err_set(ERR_UNAVAILABLE, "Kafka does not answer at %s", q->conf.brokers);
    else if (err == ERR_NOTFOUND || (err == OK && id[0] && !str_eq_c(known, id)))
        err = catalog_meta_set(q->o.catalog, str_c(key), str_c(id));
    q->away = !id[0];
    q->name = mem_printf("kafka:%.*s/%s", STR_ARG(id[0] ? str_c(id) : known), q->conf.topic);
    arena_release(&a);
    mem_free(key);
    mem_free(id);
    return err;
}

static void warn(void *ctx, const char *sentence)
{
    log_warn("the queue's topic is not as it should be", "topic=%s reason=%s", (const char *)ctx,
             sentence);
}

static enum err check_topic(struct kafka_queue *q, const struct url *url)
{
    struct kafka_topic_asked asked;
    struct kafka_topic is;
    TRY(kafka_check_topic(str_c(q->conf.topic)));
    TRY(kafka_topic_read_asked(url, &asked));
    q->message_max = MESSAGE_MAX - HEADROOM;
    if (q->away)
        return OK;
    enum err err = kafka_topic_read(q->out, q->conf.topic, &is);
    if (err == ERR_NOTFOUND)
        return err_set(err, "there is no topic \"%s\": weir queue init --queue URL makes it",
                       q->conf.topic);
    TRY(err);
    q->topic_partitions = is.partitions;
    if (is.message_max > 2 * HEADROOM && is.message_max < MESSAGE_MAX)
        q->message_max = (size_t)is.message_max - HEADROOM;
    asked.message_max = (int64_t)(q->o.record_max + HEADROOM);
    kafka_topic_compare(&is, &asked, warn, q->conf.topic);
    return OK;
}

static enum err open_all(struct kafka_queue *q, const struct url *url)
{
    TRY(configure(q, url, &q->conf));
    TRY(set_out(q, url, &q->conf));
    TRY(kafka_new(RD_KAFKA_PRODUCER, &q->conf, &q->out));
    TRY(kafka_check_topic(str_c(q->conf.topic)));
    TRY(name_cluster(q));
    TRY(check_topic(q, url));
    return open_in(q, url);
}

enum err queue_open_kafka(const struct kafka_queue_options *options, struct queue **ret)
{
    struct kafka_queue *q = NEW(struct kafka_queue);
    struct arena a;
    struct url url;
    q->base.ops = &kafka_ops;
    q->o = *options;
    pthread_mutex_init(&q->lock, NULL);
    pthread_rwlock_init(&q->out_lock, NULL);
    cond_init(&q->changed);
    governor_force(OWNER_QUEUE, (size_t)FETCH_KIB << 10);
    arena_init(&a, 0, NULL);
    enum err err = url_parse(options->url, &a, &url);
    if (err == OK)
        err = open_all(q, &url);
    arena_release(&a);
    if (err != OK) {
        char why[400];
        snprintf(why, sizeof(why), "%s", err_text());
        kafka_close(&q->base);
        return err_set(err, "%s", why);
    }
    *ret = &q->base;
    return OK;
}
