/* The kinds of sample logs. */
#include "cmd/produce.h"

#include "core/clock.h"
#include "core/hash.h"
#include "record/timestamp.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

uint64_t maker_draw(struct maker *m, uint64_t below)
{
    m->state += 0x9e3779b97f4a7c15ULL;
    return hash_mix(m->state) % below;
}

static unsigned draw(struct maker *m, unsigned below)
{
    return (unsigned)maker_draw(m, below);
}

#define PICK(m, list) ((list)[draw(m, sizeof(list) / sizeof(*(list)))])

static bool is_error(struct maker *m)
{
    return draw(m, 1000) < m->errors_1000;
}

static void put_time(struct buf *b, const struct maker *m, unsigned digits)
{
    char text[TIME_TEXT_MAX];
    struct time_form form = {.kind = TIME_ISO,
                             .digits = (uint8_t)digits,
                             .sep = 'T',
                             .frac = digits ? '.' : 0,
                             .zone = 'Z'};
    buf_put(b, text, time_format(&form, m->time_ns, text));
}

/* ---- an application ---- */

static const char *const areas[] = {"payment", "order",     "user",     "cart",    "search",
                                    "auth",    "inventory", "shipping", "billing", "email"};

enum { DEBUG, INFO, WARN, ERROR };

/* What an application says at a level. `ms` is what the request took. */
static void put_message(struct maker *m, struct buf *b, unsigned level, unsigned ms)
{
    static const char *const verbs[] = {"GET", "GET", "GET", "PUT", "POST"};
    static const unsigned failures[] = {500, 502, 503, 504};
    unsigned a = draw(m, 10000), c = draw(m, 10000), x = draw(m, 256), y = draw(m, 256);
    switch (level * 4 + draw(m, 4)) {
    case DEBUG * 4:
        buf_printf(b, "cache miss key=sess:%x", a * 7919 + c);
        break;
    case DEBUG * 4 + 1:
        buf_printf(b, "connection from 10.%u.%u.%u closed", x, y, a % 256);
        break;
    case DEBUG * 4 + 2:
        buf_printf(b, "query done: SELECT * FROM orders WHERE id=%u took %u ms", a, ms);
        break;
    case DEBUG * 4 + 3:
        buf_printf(b, "pool db-main: %u active, %u idle", x % 24, y % 16);
        break;
    case INFO * 4:
        buf_printf(b, "Order %u accepted for user u_%u", a, c);
        break;
    case INFO * 4 + 1:
        buf_printf(b, "user u_%u logged in from 172.16.%u.%u", c, x, y);
        break;
    case INFO * 4 + 2:
    case INFO * 4 + 3:
        buf_printf(b, "%s /api/v1/items/%u 200 in %u ms", PICK(m, verbs), a, ms);
        break;
    case WARN * 4:
        buf_printf(b, "retrying request req_%x attempt %u", a * 104729 + c, 1 + x % 5);
        break;
    case WARN * 4 + 1:
        buf_printf(b, "slow query: SELECT * FROM orders WHERE id=%u took %u ms", a, ms);
        break;
    case WARN * 4 + 2:
        buf_printf(b, "disk usage of /var/lib/data at %u%%, %u MB free", 80 + x % 20, a);
        break;
    case WARN * 4 + 3:
        buf_printf(b, "rate limit reached for user u_%u, %u requests refused", c, x);
        break;
    case ERROR * 4:
        buf_printf(b, "Payment failed: timeout connecting to stripe after %u ms", ms);
        break;
    case ERROR * 4 + 1:
        buf_printf(b, "%s /api/v1/items/%u %u in %u ms", PICK(m, verbs), a, PICK(m, failures), ms);
        break;
    case ERROR * 4 + 2:
        buf_printf(b, "could not reserve item %u: deadlock found, transaction %u rolled back", a,
                   c);
        break;
    default:
        buf_printf(b, "connection refused: inventory-api at 10.%u.%u.%u:8443", x, y, a % 256);
    }
}

static void put_app(struct maker *m, struct buf *b)
{
    static const char *const levels[] = {"DEBUG", "INFO", "WARN", "ERROR"};
    static const char *const kinds[] = {"service", "worker", "api"};
    static const char *const regions[] = {"us-east-1", "eu-west-1", "ap-south-1"};
    char service[32];
    unsigned dice = draw(m, 970);
    unsigned level = is_error(m) ? ERROR : dice < 700 ? INFO : dice < 900 ? DEBUG : WARN;
    unsigned ms = level >= WARN ? 20000 / (1 + draw(m, 40)) : 5000 / (1 + draw(m, 500));
    const char *area = PICK(m, areas), *kind = PICK(m, kinds);
    snprintf(service, sizeof(service), "%s-%s", area, kind);
    buf_put_c(b, "{\"timestamp\":\"");
    put_time(b, m, 3);
    buf_printf(b, "\",\"level\":\"%s\",\"service\":\"%s\",\"host\":\"host-%04u\",\"message\":\"",
               levels[level], service, draw(m, 5000));
    put_message(m, b, level, ms);
    uint64_t id = hash_mix(m->state ^ 1), trace = hash_mix(m->state ^ 2);
    buf_printf(b,
               "\",\"metadata\":{\"request_id\":\"req_%016" PRIx64
               "\",\"user_id\":\"u_%u\",\"latency_ms\":%u,",
               id, draw(m, 100000), ms);
    const char *region = PICK(m, regions);
    unsigned minor = draw(m, 4), patch = draw(m, 10);
    buf_printf(b,
               "\"trace_id\":\"%016" PRIx64 "%016" PRIx64
               "\",\"region\":\"%s\",\"version\":\"1.%u.%u\",",
               trace, hash_mix(trace), region, minor, patch);
    char letter = (char)('a' + draw(m, 6));
    unsigned number = draw(m, 100), thread = draw(m, 32);
    buf_printf(b, "\"pod\":\"%s-%c%u-x7k2p\",\"thread\":\"worker-%u\"}}\n", service, letter, number,
               thread);
}

/* ---- nginx ---- */

/* An access log as JSON, with the fields of Elastic's nginx example. */
static void put_nginx(struct maker *m, struct buf *b)
{
    static const char *const agents[] = {
        "Debian APT-HTTP/1.3 (1.0.1ubuntu2)",
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/126.0 Safari/537.36",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15", "curl/8.8.0",
        "Go-http-client/1.1"};
    static const char *const verbs[] = {"GET", "GET", "GET", "GET", "HEAD", "POST"};
    static const unsigned good[] = {200, 200, 200, 304, 304, 206},
                          bad[] = {404, 404, 403, 500, 502};
    char time[32];
    time_t seconds = (time_t)(m->time_ns / NS_PER_S);
    struct tm tm;
    gmtime_r(&seconds, &tm);
    strftime(time, sizeof(time), "%d/%b/%Y:%H:%M:%S +0000", &tm);
    bool error = is_error(m);
    unsigned status = error ? PICK(m, bad) : PICK(m, good);
    unsigned a = 1 + draw(m, 222), c = draw(m, 256), d = draw(m, 256), e = draw(m, 256);
    const char *verb = PICK(m, verbs), *agent = PICK(m, agents);
    buf_printf(b,
               "{\"time\":\"%s\",\"remote_ip\":\"%u.%u.%u.%u\",\"remote_user\":\"-\",\"request\":"
               "\"%s /downloads/product_%u HTTP/1.1\",\"response\":%u,\"bytes\":%u,"
               "\"referrer\":\"-\",\"agent\":\"%s\"}\n",
               time, a, c, d, e, verb, 1 + draw(m, 3), status,
               status == 304 ? 0 : 300 + draw(m, 5000), agent);
}

/* ---- MySQL ---- */

/* An entry of the slow query log: lines that belong together, sent as one text. */
static void put_mysql_slow(struct maker *m, struct buf *b)
{
    static const char *const tables[] = {"orders", "order_items", "customers", "sessions"};
    unsigned ms = is_error(m) ? 10000 + draw(m, 50000) : 1000 + draw(m, 4000), id = draw(m, 100000);
    unsigned rows = draw(m, 5000), examined = rows + draw(m, 2000000), lock = draw(m, 300);
    const char *table = PICK(m, tables);
    buf_put_c(b, "{\"time\":\"");
    put_time(b, m, 6);
    buf_printf(
        b,
        "\",\"log\":\"slow\",\"message\":\"# User@Host: shop[shop] @ web-%02u "
        "[10.0.%u.%u]  Id: %u\\n# Query_time: %u.%06u  Lock_time: 0.%06u Rows_sent: %u  "
        "Rows_examined: %u\\nSET timestamp=%" PRId64
        ";\\nSELECT * FROM %s WHERE customer_id = %u ORDER BY created_at DESC LIMIT %u;\"}\n",
        draw(m, 40), draw(m, 256), draw(m, 256), id, ms / 1000, ms % 1000 * 1000 + draw(m, 1000),
        lock, rows, examined, (int64_t)(m->time_ns / NS_PER_S), table, id, rows);
}

static void put_mysql_error(struct maker *m, struct buf *b)
{
    static const char *const notes[] = {
        "[Note] [MY-010747] [Server] Plugin 'FEDERATED' is disabled.",
        "[Note] [MY-010925] [Repl] Forwarding events of the replication channel.",
        "[Warning] [MY-010055] [Server] IP address could not be resolved: no name is known",
        "[Note] [MY-013730] [Server] 'wait_timeout' period of 28800 seconds was exceeded"};
    static const char *const errors[] = {
        "[ERROR] [MY-012592] [InnoDB] Operating system error number 28 in a file operation.",
        "[ERROR] [MY-010584] [Repl] Error reconnecting to source, will retry in 60 s",
        "[ERROR] [MY-013183] [InnoDB] Assertion failure: row0mysql.cc:1234",
        "[ERROR] [MY-010326] [Server] Fatal error: Can't open and lock privilege tables"};
    unsigned thread = draw(m, 5000);
    put_time(b, m, 6);
    buf_printf(b, " %u %s\n", thread, is_error(m) ? PICK(m, errors) : PICK(m, notes));
}

/* ---- Kubernetes ---- */

/* A container's line as a collector on the node writes it. */
static void put_k8s(struct maker *m, struct buf *b)
{
    static const char *const namespaces[] = {"default", "shop", "shop", "kube-system",
                                             "monitoring"};
    unsigned n = draw(m, 40), number = draw(m, 100000), ms = draw(m, 900);
    bool error = is_error(m);
    const char *area = PICK(m, areas), *space = PICK(m, namespaces);
    uint64_t id = hash_mix(n * 31 + 7);
    buf_put_c(b, "{\"time\":\"");
    put_time(b, m, 9);
    buf_printf(b,
               "\",\"stream\":\"%s\",\"level\":\"%s\",\"log\":\"%s request %u in %u ms%s\","
               "\"kubernetes\":{\"pod_name\":\"%s-%08x-%05x\",\"namespace_name\":\"%s\","
               "\"container_name\":\"%s\",\"host\":\"node-%02u\",\"container_image\":"
               "\"registry.example/%s:1.%u.0\",\"labels\":{\"app\":\"%s\",\"version\":\"v%u\"}}}\n",
               error ? "stderr" : "stdout", error ? "error" : "info", error ? "failed" : "handled",
               number, ms,
               error ? ": upstream connect error or disconnect/reset before headers" : "", area,
               (unsigned)(id >> 32), (unsigned)(id & 0xfffff), space, area, n % 12, area, n % 5,
               area, 1 + n % 3);
}

const struct produce_kind produce_kinds[] = {
    {"app", "an application's JSON, fourteen fields", "application/x-ndjson", 30, put_app},
    {"nginx", "nginx's access log as JSON", "application/x-ndjson", 60, put_nginx},
    {"mysql-slow", "entries of MySQL's slow query log", "application/x-ndjson", 20, put_mysql_slow},
    {"mysql-error", "lines of MySQL's error log", "text/plain", 50, put_mysql_error},
    {"k8s", "containers' lines with Kubernetes' metadata", "application/x-ndjson", 20, put_k8s},
    {0},
};
