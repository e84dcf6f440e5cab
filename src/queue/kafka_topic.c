#include "queue/kafka_topic.h"

#include "core/clock.h"
#include "core/mem.h"
#include "queue/queue.h"

#include <inttypes.h>
#include <stdio.h>

enum { WAIT_MS = 10000, PARTITIONS = 50, RETENTION_DAYS = 7, MESSAGE_MAX = 10 << 20 };

const char *const kafka_queue_params[] = {"group",     "instance",    "session",
                                          "timeout",   "compression", "partitions",
                                          "retention", "replication", NULL};

static enum err read_number(const struct url *url, const char *name, int64_t max, int64_t *ret)
{
    struct str v = url_get(url, name);
    if (v.p && (!str_to_i64(v, ret) || *ret < 1 || *ret > max))
        return err_set(ERR_INVALID, "%s=%.*s: a number from 1 to %" PRId64 " is wanted", name,
                       STR_ARG(v), max);
    return OK;
}

enum err kafka_topic_read_asked(const struct url *url, struct kafka_topic_asked *ret)
{
    struct kafka_topic_asked a = {PARTITIONS, RETENTION_DAYS * NS_PER_DAY, 0, MESSAGE_MAX};
    struct str retention = url_get(url, "retention");
    TRY(read_number(url, "partitions", 100000, &a.partitions));
    TRY(read_number(url, "replication", 100, &a.replication));
    if (retention.p && (!str_to_duration_ns(retention, &a.retention_ns) || a.retention_ns < 1))
        return err_set(ERR_INVALID, "retention=%.*s: a duration is wanted, such as 7d",
                       STR_ARG(retention));
    *ret = a;
    return OK;
}

static enum err check_kafka_url(struct str text, struct arena *a)
{
    struct kafka_topic_asked asked;
    struct kafka_conf conf;
    struct url url;
    TRY(url_parse(text, a, &url));
    TRY(kafka_conf_read(&url, kafka_queue_params, &conf));
    enum err err = kafka_check_topic(str_c(conf.topic));
    kafka_conf_release(&conf);
    return err == OK ? kafka_topic_read_asked(&url, &asked) : err;
}

enum err queue_check_url(struct str text)
{
    struct arena a;
    if (str_eq_c(text, "disk:"))
        return OK;
    if (!str_starts(text, STR("kafka")))
        return err_set(ERR_INVALID, "disk: or kafka://HOST:PORT/TOPIC is wanted");
    arena_init(&a, 0, NULL);
    enum err err = check_kafka_url(text, &a);
    arena_release(&a);
    return err;
}

/* ---- what it is ---- */

static enum err read_shape(rd_kafka_t *rk, const char *topic, struct kafka_topic *ret)
{
    const struct rd_kafka_metadata *m = NULL;
    rd_kafka_topic_t *t = rd_kafka_topic_new(rk, topic, NULL);
    rd_kafka_resp_err_t code =
        t ? rd_kafka_metadata(rk, 0, t, &m, WAIT_MS) : RD_KAFKA_RESP_ERR__INVALID_ARG;
    if (code == 0 && m->topic_cnt == 1)
        code = m->topics[0].err;
    enum err err = OK;
    if (code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART || code == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC)
        err = err_set(ERR_NOTFOUND, "there is no topic \"%s\"", topic);
    else if (code)
        err = kafka_error(topic, code);
    if (err == OK) {
        ret->partitions = m->topics[0].partition_cnt;
        ret->replication = m->topics[0].partition_cnt ? m->topics[0].partitions[0].replica_cnt : 0;
    }
    if (m)
        rd_kafka_metadata_destroy(m);
    if (t)
        rd_kafka_topic_destroy(t);
    return err;
}

static void note_setting(struct kafka_topic *t, const char *name, const char *value)
{
    int64_t v;
    if (!value || !str_to_i64(str_c(value), &v))
        return;
    if (!strcmp(name, "retention.ms"))
        t->retention_ms = v;
    else if (!strcmp(name, "max.message.bytes"))
        t->message_max = v;
    else if (!strcmp(name, "min.insync.replicas"))
        t->min_insync = v;
}

static void note_settings(struct kafka_topic *t, rd_kafka_event_t *e)
{
    const rd_kafka_DescribeConfigs_result_t *r = rd_kafka_event_DescribeConfigs_result(e);
    size_t n = 0, entries = 0;
    const rd_kafka_ConfigResource_t **list =
        r ? rd_kafka_DescribeConfigs_result_resources(r, &n) : NULL;
    if (!n)
        return;
    const rd_kafka_ConfigEntry_t **entry = rd_kafka_ConfigResource_configs(list[0], &entries);
    for (size_t i = 0; i < entries; i++)
        note_setting(t, rd_kafka_ConfigEntry_name(entry[i]), rd_kafka_ConfigEntry_value(entry[i]));
}

enum err kafka_topic_read(rd_kafka_t *rk, const char *topic, struct kafka_topic *ret)
{
    struct kafka_topic t = {.retention_ms = -1, .message_max = -1, .min_insync = -1};
    TRY(read_shape(rk, topic, &t));
    rd_kafka_ConfigResource_t *what = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topic);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
    rd_kafka_DescribeConfigs(rk, &what, 1, NULL, queue);
    rd_kafka_event_t *e = rd_kafka_queue_poll(queue, WAIT_MS);
    if (e && !rd_kafka_event_error(e))
        note_settings(&t, e);
    if (e)
        rd_kafka_event_destroy(e);
    rd_kafka_queue_destroy(queue);
    rd_kafka_ConfigResource_destroy(what);
    *ret = t;
    return OK;
}

/* ---- making it ---- */

static enum err created(const char *topic, rd_kafka_event_t *e)
{
    size_t n = 0;
    if (!e)
        return err_set(ERR_UNAVAILABLE, "no broker has answered");
    if (rd_kafka_event_error(e))
        return kafka_error(topic, rd_kafka_event_error(e));
    const rd_kafka_topic_result_t **list =
        rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(e), &n);
    rd_kafka_resp_err_t code = n ? rd_kafka_topic_result_error(list[0]) : 0;
    if (code == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS)
        return err_set(ERR_EXISTS, "the topic \"%s\" is there already", topic);
    const char *text = code ? rd_kafka_topic_result_error_string(list[0]) : NULL;
    return code ? err_set(ERR_INVALID, "the topic cannot be made: %s",
                          text ? text : rd_kafka_err2str(code))
                : OK;
}

enum err kafka_topic_create(rd_kafka_t *rk, const char *topic,
                            const struct kafka_topic_asked *asked)
{
    char why[300], number[24];
    rd_kafka_NewTopic_t *t =
        rd_kafka_NewTopic_new(topic, (int)asked->partitions,
                              asked->replication ? (int)asked->replication : -1, why, sizeof(why));
    if (!t)
        return err_set(ERR_INVALID, "the topic cannot be made: %s", why);
    snprintf(number, sizeof(number), "%lld", asked->retention_ns / NS_PER_MS);
    (void)rd_kafka_NewTopic_set_config(t, "retention.ms", number);
    snprintf(number, sizeof(number), "%" PRId64, asked->message_max);
    (void)rd_kafka_NewTopic_set_config(t, "max.message.bytes", number);
    if (asked->replication > 2)
        (void)rd_kafka_NewTopic_set_config(t, "min.insync.replicas", "2");
    rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
    rd_kafka_CreateTopics(rk, &t, 1, NULL, queue);
    rd_kafka_event_t *e = rd_kafka_queue_poll(queue, 3 * WAIT_MS);
    enum err err = created(topic, e);
    if (e)
        rd_kafka_event_destroy(e);
    rd_kafka_queue_destroy(queue);
    rd_kafka_NewTopic_destroy(t);
    return err;
}

/* ---- what it lacks ---- */

void kafka_topic_compare(const struct kafka_topic *is, const struct kafka_topic_asked *asked,
                         void (*say)(void *ctx, const char *sentence), void *ctx)
{
    char text[200];
    int64_t asked_ms = asked->retention_ns / NS_PER_MS;
    if (is->partitions != asked->partitions) {
        snprintf(text, sizeof(text), "it has %d partitions, asked for are %" PRId64, is->partitions,
                 asked->partitions);
        say(ctx, text);
    }
    if (is->retention_ms != -1 && is->retention_ms != asked_ms) {
        snprintf(text, sizeof(text),
                 "it keeps messages for %" PRId64 " s, asked for are %" PRId64 " s",
                 is->retention_ms / 1000, asked_ms / 1000);
        say(ctx, text);
    }
    if (asked->replication && is->replication != asked->replication) {
        snprintf(text, sizeof(text), "it has %d replicas, asked for are %" PRId64, is->replication,
                 asked->replication);
        say(ctx, text);
    }
    if (is->replication > 1 && is->min_insync == 1)
        say(ctx, "min.insync.replicas is 1: what is acknowledged may stand on one broker alone");
    if (is->message_max != -1 && is->message_max < asked->message_max) {
        snprintf(text, sizeof(text),
                 "it takes messages up to %" PRId64 " bytes: larger records are refused",
                 is->message_max);
        say(ctx, text);
    }
}
