#include "net/kafka_member.h"

#include "core/clock.h"
#include "core/log.h"

#define PAUSE_MIN_NS (2 * NS_PER_S)
#define PAUSE_MAX_NS (60 * NS_PER_S)

enum err kafka_member_join(struct kafka_member *m)
{
    TRY(kafka_new(RD_KAFKA_CONSUMER, m->conf, &m->rk));
    m->commits = rd_kafka_queue_new(m->rk);
    m->unanswered = 0;
    m->joined_ns = clock_mono_ns();
    (void)rd_kafka_poll_set_consumer(m->rk);
    rd_kafka_resp_err_t code = rd_kafka_subscribe(m->rk, m->topics);
    if (code) {
        kafka_member_leave(m);
        return kafka_error("the topics cannot be subscribed to", code);
    }
    if (m->joined)
        m->joined(m->ctx);
    return OK;
}

void kafka_member_leave(struct kafka_member *m)
{
    if (!m->rk)
        return;
    if (m->ending)
        m->ending(m->ctx);
    (void)rd_kafka_consumer_close(m->rk);
    rd_kafka_queue_destroy(m->commits);
    rd_kafka_destroy(m->rk);
    m->rk = NULL;
}

/* Two who have one name by mistake would else fence each other without end. */
static int64_t next_pause(const struct kafka_member *m, int64_t now)
{
    if (!m->pause_ns || now - m->joined_ns > PAUSE_MAX_NS)
        return PAUSE_MIN_NS;
    return m->pause_ns * 2 < PAUSE_MAX_NS ? m->pause_ns * 2 : PAUSE_MAX_NS;
}

bool kafka_member_is_on(struct kafka_member *m)
{
    char why[300];
    rd_kafka_resp_err_t code = m->rk ? rd_kafka_fatal_error(m->rk, why, sizeof(why)) : 0;
    if (m->rk && !code)
        return true;
    int64_t now = clock_mono_ns();
    if (m->rk) {
        kafka_member_leave(m);
        m->pause_ns = next_pause(m, now);
        m->join_at_ns = now + m->pause_ns;
        log_error("a member of a group has ended; it will join anew", "member=%s reason=\"%s\"",
                  m->name, why);
    }
    if (now < m->join_at_ns)
        return false;
    if (kafka_member_join(m) == OK) {
        log_info("a member joins its group anew", "member=%s", m->name);
        return true;
    }
    log_warn("a member cannot join its group", "member=%s error=\"%s\"", m->name, err_text());
    m->join_at_ns = now + m->pause_ns;
    return false;
}

rd_kafka_resp_err_t kafka_member_commit(struct kafka_member *m,
                                        const rd_kafka_topic_partition_list_t *list)
{
    rd_kafka_resp_err_t code = rd_kafka_commit_queue(m->rk, list, m->commits, NULL, NULL);
    m->unanswered += code == 0;
    return code;
}

bool kafka_member_committed(struct kafka_member *m, int wait_ms, rd_kafka_resp_err_t *ret)
{
    int64_t until = clock_mono_ns() + wait_ms * NS_PER_MS;
    while (m->unanswered) {
        int64_t left_ms = (until - clock_mono_ns()) / NS_PER_MS;
        rd_kafka_event_t *e = rd_kafka_queue_poll(m->commits, left_ms > 0 ? (int)left_ms : 0);
        if (!e)
            return false;
        *ret = rd_kafka_event_error(e);
        m->unanswered--;
        rd_kafka_event_destroy(e);
    }
    return true;
}
