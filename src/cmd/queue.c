/* weir queue: the topic of a Kafka queue, without a server. */
#include "cmd/commands.h"
#include "cmd/settings.h"
#include "core/clock.h"
#include "core/mem.h"
#include "queue/kafka_topic.h"

#include <inttypes.h>
#include <stdio.h>

enum { WAIT_MS = 10000, PAUSE_MS = 100 };
#define DEFAULT_GROUP "weir-store"

static const char *const verbs[] = {"init", "status", NULL};
static const struct option_def option_defs[] = {
    SETTINGS_OPTIONS,
    {"queue", 'q', "URL", "kafka://HOST:PORT/TOPIC; queue.url otherwise."},
    {"json", 'j', NULL, "status: as JSON."},
    {0},
};
const struct command queue_command = {
    .name = "queue",
    .summary = "Makes the topic of a Kafka queue, or looks at it: init, status",
    .usage = "init|status [options]",
    .text =
        "The topic that a server uses as its queue (weir server --queue URL).\n\n"
        "init     makes it: 50 partitions, 7 days, replicas as the cluster makes them by default;\n"
        "         partitions=, retention= and replication= of the URL ask for others. A topic "
        "that\n"
        "         is there is left as it is; what differs is said (exit 1).\n"
        "status   its partitions, where each ends, how far the group has stored it\n\n"
        "  weir queue init --queue 'kafka://k1:9092,k2:9092/raw-logs?replication=3'\n"
        "  weir queue status --queue kafka://k1:9092/raw-logs",
    .options = option_defs,
    .verbs = verbs,
    .args_min = 1,
    .args_max = 1,
};

struct topic_tool {
    struct arena arena;
    struct url url;
    struct kafka_conf conf;
    struct kafka_topic_asked asked;
    const char *group;
    rd_kafka_t *rk;
    bool differs;
};

static void say(void *ctx, const char *sentence)
{
    struct topic_tool *t = ctx;
    t->differs = true;
    fprintf(stderr, "weir queue: %s: %s\n", t->conf.topic, sentence);
}

static enum err open_tool(struct topic_tool *t, const char *url)
{
    if (!str_starts(str_c(url), STR("kafka")))
        return err_set(ERR_INVALID,
                       "the queue is %.*s: only a topic of Kafka is looked after here "
                       "(--queue kafka://HOST:PORT/TOPIC)",
                       (int)str_find_byte(str_c(url), ':', 0), url);
    TRY(url_parse(str_c(url), &t->arena, &t->url));
    TRY(kafka_topic_read_asked(&t->url, &t->asked));
    TRY(kafka_conf_read(&t->url, kafka_queue_params, &t->conf));
    TRY(kafka_check_topic(str_c(t->conf.topic)));
    struct str group = url_get(&t->url, "group");
    t->group = arena_str(&t->arena, group.n ? group : STR(DEFAULT_GROUP)).p;
    TRY(kafka_conf_set(&t->conf, "group.id", t->group));
    return kafka_new(RD_KAFKA_CONSUMER, &t->conf, &t->rk);
}

static void close_tool(struct topic_tool *t)
{
    if (t->rk)
        rd_kafka_destroy(t->rk);
    kafka_conf_release(&t->conf);
    arena_release(&t->arena);
}

static enum err init(struct topic_tool *t)
{
    struct kafka_topic is;
    enum err err = kafka_topic_create(t->rk, t->conf.topic, &t->asked);
    if (err == OK) {
        printf("%s: made, %" PRId64 " partitions\n", t->conf.topic, t->asked.partitions);
        return OK;
    }
    if (err != ERR_EXISTS)
        return err;
    TRY(kafka_topic_read(t->rk, t->conf.topic, &is));
    kafka_topic_compare(&is, &t->asked, say, t);
    printf("%s: is there already\n", t->conf.topic);
    return OK;
}

/* ---- status ---- */

struct totals {
    int64_t messages, lag;
};

static void print_partition(int32_t number, int64_t low, int64_t high, int64_t at, bool json,
                            struct totals *sum)
{
    int64_t lag = high - (at > low ? at : low);
    sum->messages += high - low;
    sum->lag += lag;
    if (json)
        printf("%s{\"partition\":%d,\"first\":%" PRId64 ",\"end\":%" PRId64 ",\"stored\":%" PRId64
               ",\"lag\":%" PRId64 "}",
               number ? "," : "", number, low, high, at > 0 ? at : 0, lag);
    else if (high > 0)
        printf("%9d %12" PRId64 " %12" PRId64 " %12" PRId64 " %10" PRId64 "\n", number, low, high,
               at > 0 ? at : 0, lag);
}

/* A topic that was made just now may have no leader everybody knows. */
static rd_kafka_resp_err_t ask_ends(struct topic_tool *t, int32_t partition, int64_t *low,
                                    int64_t *high)
{
    int64_t until = clock_mono_ns() + WAIT_MS * NS_PER_MS;
    for (;;) {
        rd_kafka_resp_err_t code =
            rd_kafka_query_watermark_offsets(t->rk, t->conf.topic, partition, low, high, WAIT_MS);
        bool soon = code == RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION ||
                    code == RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE ||
                    code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
        if (!soon || clock_mono_ns() >= until)
            return code;
        clock_sleep_ms(PAUSE_MS);
    }
}

static enum err status(struct topic_tool *t, bool json)
{
    struct kafka_topic is;
    struct totals sum = {0};
    TRY(kafka_topic_read(t->rk, t->conf.topic, &is));
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(is.partitions);
    for (int32_t i = 0; i < is.partitions; i++)
        (void)rd_kafka_topic_partition_list_add(list, t->conf.topic, i);
    rd_kafka_resp_err_t code = rd_kafka_committed(t->rk, list, WAIT_MS);
    if (json)
        printf("{\"topic\":\"%s\",\"partitions\":%d,\"replication\":%d,\"retention_ms\":%" PRId64
               ",\"group\":\"%s\",\"partition\":[",
               t->conf.topic, is.partitions, is.replication, is.retention_ms, t->group);
    else
        printf("%s: %d partitions, %d replicas, kept for %" PRId64 " s; group %s\n"
               "partition        first          end       stored        lag\n",
               t->conf.topic, is.partitions, is.replication, is.retention_ms / 1000, t->group);
    for (int i = 0; i < list->cnt && code == 0; i++) {
        int64_t low = 0, high = 0;
        code = ask_ends(t, i, &low, &high);
        print_partition(i, low, high, list->elems[i].offset, json, &sum);
    }
    rd_kafka_topic_partition_list_destroy(list);
    if (json)
        printf("],\"messages\":%" PRId64 ",\"lag\":%" PRId64 "}\n", sum.messages, sum.lag);
    else
        printf("%" PRId64 " messages, %" PRId64 " of them not stored yet\n", sum.messages, sum.lag);
    return code ? kafka_error(t->conf.topic, code) : OK;
}

int cmd_queue(int argc, char **argv)
{
    struct options o;
    int done = options_parse(&o, &queue_command, argc, argv);
    if (done >= 0)
        return done;
    struct conf *conf = conf_new();
    struct topic_tool t = {0};
    arena_init(&t.arena, 0, NULL);
    enum err err = settings_load(&o, conf);
    if (err == OK)
        err = open_tool(&t, conf_string(conf, "queue.url"));
    if (err == OK)
        err = !strcmp(o.arg[0], "init") ? init(&t) : status(&t, options_has(&o, "json"));
    if (err != OK)
        fprintf(stderr, "weir queue: %s\n", err_text());
    close_tool(&t);
    conf_free(conf);
    return err != OK ? 2 : t.differs;
}
