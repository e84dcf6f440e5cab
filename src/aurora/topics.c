#include "aurora/topics.h"

#include "core/clock.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/metrics.h"
#include "core/thread.h"
#include "queue/kafka_topic.h"

#include <inttypes.h>
#include <stdio.h>

enum {
    POLL_MS = 200,
    DELIVERY_MS = 30000,
    ADMIN_MS = 15000,
    JOBS_ENOUGH = 20000,
    PARTITIONS = 12,
    MESSAGE_MAX = 1 << 20,
};
#define COMMIT_NS (1 * NS_PER_S)
#define LAG_NS (10 * NS_PER_S)
#define QUIET_NS (4 * NS_PER_S)
enum { ERROR_TOPIC, SLOW_TOPIC, TOPIC_COUNT };

/* A message that is out; its place in its partition's list. */
struct message {
    struct job_token token;
    struct partition *of; /* NULL: the partition is not ours any more */
    struct message *next;
    int64_t offset;
    bool done;
};
struct partition {
    struct partition *next;
    char *topic;
    int32_t number;
    struct message *first, **last; /* out, by offset */
    int64_t done_to;               /* everything below is read; -1: nothing was yet */
    int64_t committed;
};
struct topics {
    struct arena arena;
    struct url url;
    const char *topic[TOPIC_COUNT], *group;
    struct kafka_topic_asked asked;
    rd_kafka_t *producer, *consumer;
    pthread_t thread;
    bool started;
    const atomic_bool *stopping;
    struct jobs *jobs;
    pthread_mutex_t lock; /* of what follows */
    struct partition *partitions;
    uint64_t out;
    atomic_llong last_ns; /* a message came, or a rebalance */
    struct metric *lag[TOPIC_COUNT], *members, *taken;
};

/* ---- the URL ---- */

static const char *const params[] = {"group",       "partitions",      "retention",
                                     "error_topic", "slowquery_topic", NULL};

static const char *param(struct topics *t, const char *name, const char *def)
{
    struct str v = url_get(&t->url, name);
    return v.n ? arena_str(&t->arena, v).p : def;
}

static enum err read_url(struct topics *t, struct str text)
{
    struct str v, retention;
    int64_t n = PARTITIONS;
    TRY(url_parse(arena_str(&t->arena, text), &t->arena, &t->url));
    if (!str_eq_c(t->url.scheme, "kafka") && !str_eq_c(t->url.scheme, "kafka+tls"))
        return err_set(ERR_INVALID, "a queue is kafka://HOST:PORT");
    t->topic[ERROR_TOPIC] = param(t, "error_topic", "aurora-error-logs");
    t->topic[SLOW_TOPIC] = param(t, "slowquery_topic", "aurora-slowquery-logs");
    t->group = param(t, "group", "aurora-processor-group");
    v = url_get(&t->url, "partitions");
    if (v.p && (!str_to_i64(v, &n) || n < 1 || n > 10000))
        return err_set(ERR_INVALID, "partitions=%.*s: a number is wanted", STR_ARG(v));
    t->asked = (struct kafka_topic_asked){n, NS_PER_DAY, 0, MESSAGE_MAX};
    retention = url_get(&t->url, "retention");
    if (retention.p && !str_to_duration_ns(retention, &t->asked.retention_ns))
        return err_set(ERR_INVALID, "retention=%.*s: a time is wanted", STR_ARG(retention));
    for (int i = 0; i < TOPIC_COUNT; i++)
        TRY(kafka_check_topic(str_c(t->topic[i])));
    return OK;
}

/* settings: pairs, ended by NULL. */
static enum err make(struct topics *t, rd_kafka_type_t type, const char *const *settings,
                     void (*more)(rd_kafka_conf_t *conf, void *ctx), rd_kafka_t **ret)
{
    struct kafka_conf c;
    TRY(kafka_conf_read(&t->url, params, &c));
    enum err err = OK;
    for (; err == OK && *settings; settings += 2)
        err = kafka_conf_set(&c, settings[0], settings[1]);
    if (err == OK && more)
        more(c.conf, t);
    if (err == OK)
        err = kafka_new(type, &c, ret);
    kafka_conf_release(&c);
    return err;
}

/* ---- publishing ---- */

static void on_delivered(rd_kafka_t *rk, const rd_kafka_message_t *m, void *ctx)
{
    rd_kafka_resp_err_t *ret = m->_private;
    if (ret)
        *ret = m->err;
}

static void with_delivery(rd_kafka_conf_t *conf, void *ctx)
{
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivered);
}

enum err topics_publish(struct topics *t, const struct logfile_message *m)
{
    struct buf body, key;
    const char *topic =
        t->topic[logfile_kind(m->log_file_name) == MYSQL_LOG_SLOW ? SLOW_TOPIC : ERROR_TOPIC];
    struct str base = logfile_base(m->log_file_name);
    rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR__IN_PROGRESS;
    buf_init(&body, MESSAGE_MAX);
    buf_init(&key, MESSAGE_MAX);
    logfile_message_write(m, &body);
    buf_printf(&key, "%.*s/%.*s", STR_ARG(m->instance_id), STR_ARG(base));
    rd_kafka_resp_err_t sent = rd_kafka_producev(
        t->producer, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
        RD_KAFKA_V_KEY(key.p, key.n), RD_KAFKA_V_VALUE(body.p, body.n), RD_KAFKA_V_OPAQUE(&code),
        RD_KAFKA_V_END);
    buf_release(&body);
    buf_release(&key);
    if (sent)
        return kafka_error("publishing", sent);
    /* Its report comes, if only by its time-out: `code` must not go before. */
    while (code == RD_KAFKA_RESP_ERR__IN_PROGRESS)
        rd_kafka_poll(t->producer, 100);
    return code ? kafka_error("publishing", code) : OK;
}

static enum err make_topics(struct topics *t)
{
    for (int i = 0; i < TOPIC_COUNT; i++) {
        struct kafka_topic is;
        enum err err = kafka_topic_read(t->producer, t->topic[i], &is);
        if (err == ERR_NOTFOUND)
            err = kafka_topic_create(t->producer, t->topic[i], &t->asked);
        if (err != OK && err != ERR_EXISTS)
            return err;
    }
    return OK;
}

static enum err open_producer(struct topics *t)
{
    static const char *const settings[] = {"enable.idempotence",
                                           "true",
                                           "compression.codec",
                                           "lz4",
                                           "linger.ms",
                                           "0",
                                           "message.timeout.ms",
                                           "30000",
                                           NULL};
    TRY(make(t, RD_KAFKA_PRODUCER, settings, with_delivery, &t->producer));
    return make_topics(t);
}

/* ---- partitions; under the lock ---- */

static struct partition *partition_of(struct topics *t, const char *topic, int32_t number)
{
    for (struct partition *p = t->partitions; p; p = p->next)
        if (p->number == number && !strcmp(p->topic, topic))
            return p;
    struct partition *p = NEW(struct partition);
    p->topic = mem_strdup(str_c(topic));
    p->number = number;
    p->last = &p->first;
    p->done_to = p->committed = -1;
    p->next = t->partitions;
    t->partitions = p;
    return p;
}

/* What is done at the list's front goes; the others are told that the partition is. */
static void advance(struct topics *t, struct partition *p)
{
    struct message *m;
    while ((m = p->first) && m->done) {
        p->done_to = m->offset + 1;
        p->first = m->next;
        if (!p->first)
            p->last = &p->first;
        t->out--;
        mem_free(m);
    }
}

static void forget_partitions(struct topics *t)
{
    for (struct partition *p = t->partitions, *next; p; p = next) {
        next = p->next;
        for (struct message *m = p->first, *behind; m; m = behind) {
            behind = m->next;
            m->of = NULL;
            t->out--;
            if (m->done)
                mem_free(m);
        }
        mem_free(p->topic);
        mem_free(p);
    }
    t->partitions = NULL;
}

void topics_settle(struct topics *t, struct job_token *token)
{
    struct message *m = (struct message *)token;
    pthread_mutex_lock(&t->lock);
    m->done = true;
    if (m->of)
        advance(t, m->of);
    else
        mem_free(m);
    pthread_mutex_unlock(&t->lock);
}

/* ---- consuming ---- */

static void commit(struct topics *t, bool wait)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(16);
    pthread_mutex_lock(&t->lock);
    for (struct partition *p = t->partitions; p; p = p->next)
        if (p->done_to > p->committed) {
            rd_kafka_topic_partition_list_add(list, p->topic, p->number)->offset = p->done_to;
            p->committed = p->done_to;
        }
    pthread_mutex_unlock(&t->lock);
    if (list->cnt) {
        rd_kafka_resp_err_t code = rd_kafka_commit(t->consumer, list, !wait);
        if (code)
            log_warn("offsets could not be committed", "error=%s", rd_kafka_err2str(code));
    }
    rd_kafka_topic_partition_list_destroy(list);
}

/* In a poll, on the consumer's thread. All partitions go and come (the eager protocol). */
static void on_rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t code,
                         rd_kafka_topic_partition_list_t *list, void *ctx)
{
    struct topics *t = ctx;
    t->last_ns = clock_mono_ns();
    commit(t, true);
    pthread_mutex_lock(&t->lock);
    forget_partitions(t);
    pthread_mutex_unlock(&t->lock);
    bool assigned = code == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
    log_info("partitions of the queue", "assigned=%d", assigned ? list->cnt : 0);
    metric_set(t->members, assigned);
    rd_kafka_assign(rk, assigned ? list : NULL);
}

static void with_rebalance(rd_kafka_conf_t *conf, void *ctx)
{
    rd_kafka_conf_set_opaque(conf, ctx);
    rd_kafka_conf_set_rebalance_cb(conf, on_rebalance);
}

static void take(struct topics *t, const rd_kafka_message_t *k)
{
    struct arena a;
    struct logfile_message m;
    struct message *out = NEW(struct message);
    arena_init(&a, 0, NULL);
    pthread_mutex_lock(&t->lock);
    struct partition *p = partition_of(t, rd_kafka_topic_name(k->rkt), k->partition);
    *out = (struct message){.of = p, .offset = k->offset};
    *p->last = out;
    p->last = &out->next;
    t->out++;
    pthread_mutex_unlock(&t->lock);
    metric_add(t->taken, 1);
    enum err err = logfile_message_read(str_of(k->payload, k->len), &a, &m);
    if (err != OK) {
        log_error("a message of the queue is none", "topic=%s offset=%" PRId64 " error=%s",
                  rd_kafka_topic_name(k->rkt), k->offset, err_text());
        topics_settle(t, &out->token);
    }
    while (err == OK && jobs_put(t->jobs, &m, &out->token) != OK) {
        clock_sleep_ms(POLL_MS); /* too many: they are worked off */
        err = *t->stopping ? ERR_CANCELED : OK;
    }
    arena_release(&a);
}

static void measure(struct topics *t)
{
    int64_t behind[TOPIC_COUNT] = {0};
    pthread_mutex_lock(&t->lock);
    for (struct partition *p = t->partitions; p; p = p->next) {
        int64_t low, high;
        int i = strcmp(p->topic, t->topic[SLOW_TOPIC]) == 0 ? SLOW_TOPIC : ERROR_TOPIC;
        if (rd_kafka_get_watermark_offsets(t->consumer, p->topic, p->number, &low, &high) == 0 &&
            p->done_to >= 0 && high > p->done_to)
            behind[i] += high - p->done_to;
    }
    pthread_mutex_unlock(&t->lock);
    for (int i = 0; i < TOPIC_COUNT; i++)
        metric_set(t->lag[i], behind[i]);
}

static void *consumer_main(void *arg)
{
    struct topics *t = arg;
    int64_t commit_at = 0, measure_at = 0;
    while (!*t->stopping) {
        bool enough = jobs_waiting(t->jobs) > JOBS_ENOUGH;
        rd_kafka_message_t *k = enough ? NULL : rd_kafka_consumer_poll(t->consumer, POLL_MS);
        if (enough)
            clock_sleep_ms(POLL_MS);
        if (k && !k->err) {
            t->last_ns = clock_mono_ns();
            take(t, k);
        } else if (k && k->err != RD_KAFKA_RESP_ERR__PARTITION_EOF) {
            log_warn("the queue does not answer", "error=%s", rd_kafka_message_errstr(k));
        }
        if (k)
            rd_kafka_message_destroy(k);
        int64_t now = clock_mono_ns();
        if (now >= commit_at) {
            commit(t, false);
            commit_at = now + COMMIT_NS;
        }
        if (now >= measure_at) {
            measure(t);
            measure_at = now + LAG_NS;
        }
    }
    return NULL;
}

static enum err open_consumer(struct topics *t)
{
    const char *const settings[] = {"group.id",
                                    t->group,
                                    "enable.auto.commit",
                                    "false",
                                    "auto.offset.reset",
                                    "earliest",
                                    "session.timeout.ms",
                                    "10000",
                                    "partition.assignment.strategy",
                                    "range",
                                    NULL};
    TRY(make(t, RD_KAFKA_CONSUMER, settings, with_rebalance, &t->consumer));
    rd_kafka_poll_set_consumer(t->consumer);
    return OK;
}

enum err topics_start(struct topics *t, struct jobs *jobs, const atomic_bool *stopping)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(TOPIC_COUNT);
    t->jobs = jobs;
    t->stopping = stopping;
    t->last_ns = clock_mono_ns();
    for (int i = 0; i < TOPIC_COUNT; i++)
        rd_kafka_topic_partition_list_add(list, t->topic[i], RD_KAFKA_PARTITION_UA);
    rd_kafka_resp_err_t code = rd_kafka_subscribe(t->consumer, list);
    rd_kafka_topic_partition_list_destroy(list);
    if (code)
        return kafka_error("subscribing", code);
    TRY(thread_start(&t->thread, "aurora-take", consumer_main, t));
    t->started = true;
    return OK;
}

void topics_stop(struct topics *t)
{
    if (!t || !t->started)
        return;
    pthread_join(t->thread, NULL);
    t->started = false;
    commit(t, true);
    rd_kafka_consumer_close(t->consumer);
}

bool topics_are_idle(struct topics *t)
{
    pthread_mutex_lock(&t->lock);
    bool idle = !t->out && clock_mono_ns() - t->last_ns > QUIET_NS;
    pthread_mutex_unlock(&t->lock);
    return idle;
}

/* ---- life ---- */

static void make_metrics(struct topics *t, const char *labels)
{
    for (int i = 0; i < TOPIC_COUNT; i++) {
        struct buf label;
        buf_init(&label, 2048);
        if (labels)
            buf_put_c(&label, labels);
        metric_label(&label, "topic", str_c(t->topic[i]));
        buf_put_byte(&label, '\0');
        t->lag[i] = metric_gauge("weir_aurora_topic_lag", label.p,
                                 "Messages of our partitions whose files are not read yet.");
        buf_release(&label);
    }
    t->members = metric_gauge("weir_aurora_group_member", labels,
                              "1 while this process has partitions of its group.");
    t->taken = metric_counter("weir_aurora_messages_total", NULL, "Messages taken from the queue.");
}

enum err topics_open(struct str url, bool publishes, bool consumes, const char *labels,
                     struct topics **ret)
{
    struct topics *t = NEW(struct topics);
    arena_init(&t->arena, 0, NULL);
    pthread_mutex_init(&t->lock, NULL);
    enum err err = read_url(t, url);
    if (err == OK)
        make_metrics(t, labels);
    /* A processor makes them, too: whoever comes first. */
    if (err == OK && (publishes || consumes))
        err = open_producer(t);
    if (err == OK && consumes)
        err = open_consumer(t);
    if (err != OK) {
        topics_close(t);
        return err;
    }
    *ret = t;
    return OK;
}

void topics_close(struct topics *t)
{
    if (!t)
        return;
    pthread_mutex_lock(&t->lock);
    forget_partitions(t);
    pthread_mutex_unlock(&t->lock);
    if (t->consumer)
        rd_kafka_destroy(t->consumer);
    if (t->producer)
        rd_kafka_destroy(t->producer);
    pthread_mutex_destroy(&t->lock);
    arena_release(&t->arena);
    mem_free(t);
}

/* ---- orders about the group ---- */

static enum err group_error(const struct topics *t, rd_kafka_resp_err_t code)
{
    if (code == RD_KAFKA_RESP_ERR_NON_EMPTY_GROUP || code == RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID)
        return err_set(ERR_CONFLICT, "group %s has members: stop the processors first", t->group);
    if (code == RD_KAFKA_RESP_ERR_GROUP_ID_NOT_FOUND)
        return err_set(ERR_NOTFOUND, "there is no group %s", t->group);
    return code ? kafka_error(t->group, code) : OK;
}

static enum err deleted(const struct topics *t, rd_kafka_event_t *e)
{
    size_t n = 0;
    if (!e)
        return err_set(ERR_TIMEOUT, "no broker has answered");
    if (rd_kafka_event_error(e))
        return group_error(t, rd_kafka_event_error(e));
    const rd_kafka_group_result_t **list =
        rd_kafka_DeleteGroups_result_groups(rd_kafka_event_DeleteGroups_result(e), &n);
    const rd_kafka_error_t *error = n ? rd_kafka_group_result_error(list[0]) : NULL;
    return group_error(t, error ? rd_kafka_error_code(error) : 0);
}

enum err topics_delete_group(struct str url)
{
    struct topics *t;
    TRY(topics_open(url, true, false, NULL, &t));
    rd_kafka_DeleteGroup_t *what = rd_kafka_DeleteGroup_new(t->group);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(t->producer);
    rd_kafka_DeleteGroups(t->producer, &what, 1, NULL, queue);
    rd_kafka_event_t *e = rd_kafka_queue_poll(queue, ADMIN_MS);
    enum err err = deleted(t, e);
    if (e)
        rd_kafka_event_destroy(e);
    rd_kafka_queue_destroy(queue);
    rd_kafka_DeleteGroup_destroy(what);
    topics_close(t);
    return err;
}

/* Every partition of the topics at its beginning or its end. */
static enum err all_partitions(struct topics *t, bool to_latest,
                               rd_kafka_topic_partition_list_t *list)
{
    for (int i = 0; i < TOPIC_COUNT; i++) {
        struct kafka_topic is;
        TRY(kafka_topic_read(t->producer, t->topic[i], &is));
        for (int32_t p = 0; p < is.partitions; p++) {
            int64_t low, high;
            rd_kafka_resp_err_t code = rd_kafka_query_watermark_offsets(t->producer, t->topic[i], p,
                                                                        &low, &high, ADMIN_MS);
            if (code)
                return kafka_error(t->topic[i], code);
            rd_kafka_topic_partition_list_add(list, t->topic[i], p)->offset =
                to_latest ? high : low;
        }
    }
    return OK;
}

static enum err altered(const struct topics *t, rd_kafka_event_t *e)
{
    size_t n = 0;
    if (!e)
        return err_set(ERR_TIMEOUT, "no broker has answered");
    if (rd_kafka_event_error(e))
        return group_error(t, rd_kafka_event_error(e));
    const rd_kafka_group_result_t **list = rd_kafka_AlterConsumerGroupOffsets_result_groups(
        rd_kafka_event_AlterConsumerGroupOffsets_result(e), &n);
    if (!n)
        return OK;
    const rd_kafka_error_t *error = rd_kafka_group_result_error(list[0]);
    TRY(group_error(t, error ? rd_kafka_error_code(error) : 0));
    const rd_kafka_topic_partition_list_t *parts = rd_kafka_group_result_partitions(list[0]);
    for (int i = 0; parts && i < parts->cnt; i++)
        TRY(group_error(t, parts->elems[i].err));
    return OK;
}

enum err topics_reset(struct str url, bool to_latest)
{
    struct topics *t;
    TRY(topics_open(url, true, false, NULL, &t));
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(16);
    enum err err = all_partitions(t, to_latest, list);
    if (err == OK) {
        rd_kafka_AlterConsumerGroupOffsets_t *what =
            rd_kafka_AlterConsumerGroupOffsets_new(t->group, list);
        rd_kafka_queue_t *queue = rd_kafka_queue_new(t->producer);
        rd_kafka_AlterConsumerGroupOffsets(t->producer, &what, 1, NULL, queue);
        rd_kafka_event_t *e = rd_kafka_queue_poll(queue, ADMIN_MS);
        err = altered(t, e);
        if (e)
            rd_kafka_event_destroy(e);
        rd_kafka_queue_destroy(queue);
        rd_kafka_AlterConsumerGroupOffsets_destroy(what);
    }
    rd_kafka_topic_partition_list_destroy(list);
    topics_close(t);
    return err;
}
