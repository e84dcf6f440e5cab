#include "net/kafka.h"

#include "core/hash.h"
#include "core/log.h"
#include "core/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define FREE_SETTING STR("rdkafka.")
enum {
    TOPIC_MAX = 249,
    PORT_DEFAULT = 9092,
    SCRAM_MENDED = 0x020601ff,
    FETCH_MENDED = 0x020200ff,
    WAKE_MS = 100
};

const char *const kafka_schemes[] = {"kafka", "kafka+tls", NULL};

enum err kafka_conf_set(struct kafka_conf *c, const char *name, const char *value)
{
    char why[300];
    if (rd_kafka_conf_set(c->conf, name, value, why, sizeof(why)) == RD_KAFKA_CONF_OK)
        return OK;
    /* The text repeats the value, which may be a secret. */
    return err_set(ERR_INVALID,
                   "librdkafka does not take this value of its setting \"%s\", or has "
                   "none of that name",
                   name);
}

enum err kafka_conf_set_int(struct kafka_conf *c, const char *name, int64_t value)
{
    char text[24];
    snprintf(text, sizeof(text), "%" PRId64, value);
    return kafka_conf_set(c, name, text);
}

enum err kafka_conf_set_fetch(struct kafka_conf *c, int64_t kib)
{
    static const char pause_ms[] = "20";
    TRY(kafka_conf_set_int(c, "queued.max.messages.kbytes", kib));
    TRY(kafka_conf_set(c, "fetch.wait.max.ms", "50"));
    /* When the bound is met a partition rests so long; from 2.2 on by a setting of its own. */
    TRY(kafka_conf_set(c, "fetch.error.backoff.ms", pause_ms));
    (void)rd_kafka_conf_set(c->conf, "fetch.queue.backoff.ms", pause_ms, NULL, 0);
    return OK;
}

enum err kafka_conf_set_instance(struct kafka_conf *c, struct str name)
{
    uint32_t topics = (uint32_t)hash64(str_c(c->topic));
    char *full = mem_printf("%.*s-%08" PRIx32, STR_ARG(name), topics);
    enum err err = kafka_conf_set(c, "group.instance.id", full);
    mem_free(full);
    return err;
}

void kafka_wake_fetch(rd_kafka_t *rk, const char *topic, int32_t partition)
{
    int64_t low, high;
    if (rd_kafka_version() < FETCH_MENDED)
        (void)rd_kafka_query_watermark_offsets(rk, topic, partition, &low, &high, WAKE_MS);
}

static enum err set_str(struct kafka_conf *c, const char *name, struct str value)
{
    char *copy = mem_strdup(value);
    enum err err = kafka_conf_set(c, name, copy);
    mem_free(copy);
    return err;
}

/* ---- the URL ---- */

/* Parameters of librdkafka's own are left out. */
static enum err check_params(const struct url *url, const char *const *known)
{
    static const char *const common[] = {"sasl",    "tls_ca",    "tls_cert",
                                         "tls_key", "client_id", NULL};
    const char *all[URL_PARAMS_MAX + 1];
    struct url u = *url;
    unsigned n = 0;
    for (unsigned i = 0; common[i]; i++)
        all[n++] = common[i];
    for (; *known; known++) {
        CHECK(n < URL_PARAMS_MAX);
        all[n++] = *known;
    }
    all[n] = NULL;
    u.others = (struct str){0};
    u.n_params = 0;
    for (unsigned i = 0; i < url->n_params; i++)
        if (!str_starts(url->param[i].name, FREE_SETTING))
            u.param[u.n_params++] = url->param[i];
    return url_check_params(&u, all);
}

static enum err set_free_settings(struct kafka_conf *c, const struct url *url)
{
    for (unsigned i = 0; i < url->n_params; i++) {
        struct str name = url->param[i].name;
        if (!str_starts(name, FREE_SETTING))
            continue;
        char *key = mem_strdup(str_from(name, FREE_SETTING.n));
        enum err err = set_str(c, key, url->param[i].value);
        mem_free(key);
        TRY(err);
    }
    return OK;
}

static enum err set_security(struct kafka_conf *c, const struct url *url)
{
    static const struct {
        const char *param, *setting;
    } files[] = {{"tls_ca", "ssl.ca.location"},
                 {"tls_cert", "ssl.certificate.location"},
                 {"tls_key", "ssl.key.location"}};
    const char *env_user = getenv("WEIR_KAFKA_USER"), *env_password = getenv("WEIR_KAFKA_PASSWORD");
    struct str user = url->user, password = url->password, sasl = url_get(url, "sasl");
    bool tls = str_ends(url->scheme, STR("+tls"));
    if (!user.n && env_user)
        user = str_c(env_user);
    if (!password.n && env_password)
        password = str_c(env_password);
    for (unsigned i = 0; i < 3; i++) {
        struct str file = url_get(url, files[i].param);
        if (file.n && !tls)
            return err_set(ERR_INVALID, "%s is for kafka+tls://", files[i].param);
        if (file.n)
            TRY(set_str(c, files[i].setting, file));
    }
    if (sasl.n && !user.n)
        return err_set(ERR_INVALID, "sasl wants a user: kafka://USER:PASSWORD@HOST, or "
                                    "WEIR_KAFKA_USER and WEIR_KAFKA_PASSWORD");
    TRY(kafka_conf_set(c, "security.protocol",
                       user.n ? tls ? "sasl_ssl" : "sasl_plaintext"
                       : tls  ? "ssl"
                              : "plaintext"));
    if (!user.n)
        return OK;
    if (!sasl.n)
        sasl = tls ? STR("PLAIN") : STR("SCRAM-SHA-512");
    if (str_starts(sasl, STR("SCRAM")) && rd_kafka_version() < SCRAM_MENDED)
        log_warn("SCRAM may be refused", "librdkafka=%s reason=%s", rd_kafka_version_str(),
                 "brokers from 3.7.2, 3.8.1 and 3.9 on (CVE-2024-56128) take it from librdkafka "
                 "2.6.1 and newer; PLAIN over TLS works");
    TRY(set_str(c, "sasl.mechanisms", sasl));
    TRY(set_str(c, "sasl.username", user));
    return set_str(c, "sasl.password", password);
}

static char *broker_list(const struct url *url)
{
    bool v6 = str_find_byte(url->host, ':', 0) < url->host.n;
    return mem_printf("%s%.*s%s:%u%s%.*s", v6 ? "[" : "", STR_ARG(url->host), v6 ? "]" : "",
                      url->has_port ? url->port : PORT_DEFAULT, url->others.n ? "," : "",
                      STR_ARG(url->others));
}

/* ---- librdkafka's log ---- */

enum { SYSLOG_WARNING = 4, SYSLOG_NOTICE = 5 };

static void on_log(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
    enum log_level to = level <= SYSLOG_WARNING  ? LOG_WARN
                        : level <= SYSLOG_NOTICE ? LOG_INFO
                                                 : LOG_DEBUG;
    log_at(to, "kafka", "facility=%s text=%s", facility, text);
}

static enum err set_common(struct kafka_conf *c, const struct url *url)
{
    struct str id = url_get(url, "client_id");
    TRY(set_free_settings(c, url));
    TRY(kafka_conf_set(c, "bootstrap.servers", c->brokers));
    TRY(set_str(c, "client.id", id.n ? id : STR("weir")));
    TRY(kafka_conf_set(c, "log.connection.close", "false"));
    TRY(kafka_conf_set(c, "reconnect.backoff.max.ms", "2000"));
    TRY(kafka_conf_set(c, "allow.auto.create.topics", "false"));
    rd_kafka_conf_set_log_cb(c->conf, on_log);
    return set_security(c, url);
}

enum err kafka_conf_read(const struct url *url, const char *const *known, struct kafka_conf *ret)
{
    struct kafka_conf c = {0};
    TRY(check_params(url, known));
    if (!url->host.n)
        return err_set(ERR_INVALID, "kafka://HOST:PORT/TOPIC is wanted");
    c.conf = rd_kafka_conf_new();
    c.brokers = broker_list(url);
    c.topic = mem_strdup(str_from(url->path, 1));
    enum err err = set_common(&c, url);
    if (err != OK) {
        kafka_conf_release(&c);
        return err;
    }
    *ret = c;
    return OK;
}

void kafka_conf_release(struct kafka_conf *c)
{
    if (c->conf)
        rd_kafka_conf_destroy(c->conf);
    mem_free(c->brokers);
    mem_free(c->topic);
    *c = (struct kafka_conf){0};
}

enum err kafka_new(rd_kafka_type_t type, struct kafka_conf *c, rd_kafka_t **ret)
{
    char why[300];
    rd_kafka_conf_t *own = rd_kafka_conf_dup(c->conf);
    rd_kafka_t *rk = rd_kafka_new(type, own, why, sizeof(why));
    if (!rk) {
        rd_kafka_conf_destroy(own);
        return err_set(ERR_INVALID, "Kafka cannot be used so: %s", why);
    }
    *ret = rk;
    return OK;
}

enum err kafka_check_topic(struct str t)
{
    if (!t.n)
        return err_set(ERR_INVALID, "a topic is wanted: kafka://HOST:PORT/TOPIC");
    for (size_t i = 0; i < t.n; i++) {
        char ch = t.p[i], lower = (char)(ch | 0x20);
        if (!((lower >= 'a' && lower <= 'z') || (ch >= '0' && ch <= '9') || ch == '.' ||
              ch == '_' || ch == '-'))
            return err_set(ERR_INVALID,
                           "a topic's name has letters, digits, '.', '_' and '-', not \"%.*s\"",
                           t.n > 80 ? 80 : (int)t.n, t.p);
    }
    return t.n <= TOPIC_MAX
               ? OK
               : err_set(ERR_INVALID, "a topic's name has at most %d bytes", TOPIC_MAX);
}

enum err kafka_error(const char *what, rd_kafka_resp_err_t code)
{
    enum err err = ERR_UNAVAILABLE;
    if (code == RD_KAFKA_RESP_ERR__AUTHENTICATION ||
        code == RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED ||
        code == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED ||
        code == RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED ||
        code == RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED)
        err = ERR_AUTH;
    return err_set(err, "%s: %s", what, rd_kafka_err2str(code));
}

char *kafka_cluster(rd_kafka_t *rk, int wait_ms)
{
    char *id = rd_kafka_clusterid(rk, wait_ms);
    char *copy = mem_strdup(str_c(id ? id : ""));
    if (id)
        rd_kafka_mem_free(rk, id);
    return copy;
}
