/* weir produce: sample logs of an invented shop, the same for the same seed but for their times.
 * Fourteen fields, about 400 bytes each: what an application logs in JSON. */
#include "cmd/commands.h"
#include "cmd/sender.h"
#include "core/clock.h"
#include "core/hash.h"
#include "record/timestamp.h"

#include <inttypes.h>
#include <stdio.h>

enum { BATCH_RECORDS = 2000, RECORD_BYTES_MAX = 2048, TICK_MS = 200, STEP_US = 200 };

static const struct option_def option_defs[] = {
    REMOTE_OPTIONS,
    {"stream", 's', "NAME", "With --url: the stream they go to (default)."},
    {"count", 'n', "N", "How many; 0: without end (0)."},
    {"rate", 'r', "N", "Records a second; 0: as fast as may be (0)."},
    {"seed", 0, "N", "Another seed, other records (1)."},
    {"start", 0, "TIME",
     "The first record's time; the others follow some 0.2 ms apart (now, as it goes on)."},
    {"retry-for", 0, "SECONDS", "With --url: how long a batch is tried (300)."},
    {0},
};
const struct command produce_command = {
    .name = "produce",
    .summary = "Makes sample logs, to standard output or to a server",
    .usage = "[options]",
    .text = "Makes sample application logs, one JSON object a line, to standard output or, with "
            "--url, to a\n"
            "server.\n\n"
            "  weir produce --count 100000 > sample.ndjson\n"
            "  weir produce --url http://127.0.0.1:5080 --stream demo --rate 100",
    .options = option_defs,
};

struct producer {
    struct sender sender;
    bool remote;
    uint64_t state; /* of the generator */
    uint64_t count, rate, made;
    int64_t time_ns; /* 0: the clock's */
    struct buf batch;
};

static uint64_t draw(struct producer *p, uint64_t below)
{
    p->state += 0x9e3779b97f4a7c15ULL;
    return hash_mix(p->state) % below;
}

static void put_message(struct producer *p)
{
    struct buf *b = &p->batch;
    unsigned a = (unsigned)draw(p, 10000), c = (unsigned)draw(p, 10000);
    unsigned x = (unsigned)draw(p, 256), y = (unsigned)draw(p, 256);
    switch (draw(p, 10)) {
    case 0:
        buf_printf(b, "Payment failed: timeout connecting to stripe after %u ms", a);
        break;
    case 1:
        buf_printf(b, "Order %u accepted for user u_%u", a, c);
        break;
    case 2:
    case 3:
        buf_printf(b, "GET /api/v1/items/%u 200 in %u ms", a, c % 800);
        break;
    case 4:
        buf_printf(b, "cache miss key=sess:%x", a * 7919 + c);
        break;
    case 5:
        buf_printf(b, "retrying request req_%x attempt %u", a * 104729 + c, 1 + x % 5);
        break;
    case 6:
        buf_printf(b, "connection from 10.%u.%u.%u closed", x, y, a % 256);
        break;
    case 7:
        buf_printf(b, "slow query: SELECT * FROM orders WHERE id=%u took %u ms", a, 500 + c);
        break;
    case 8:
        buf_printf(b, "user u_%u logged in from 172.16.%u.%u", c, x, y);
        break;
    default:
        buf_printf(b, "disk usage of /var/lib/data at %u%%, %u MB free", 60 + x % 40, a);
    }
}

static void put_record(struct producer *p)
{
    static const char *const areas[] = {"payment", "order",     "user",     "cart",    "search",
                                        "auth",    "inventory", "shipping", "billing", "email"};
    static const char *const kinds[] = {"service", "worker", "api"};
    static const char *const regions[] = {"us-east-1", "eu-west-1", "ap-south-1"};
    char service[32], time[TIME_TEXT_MAX];
    struct buf *b = &p->batch;
    struct time_form form = {.kind = TIME_ISO, .digits = 3, .sep = 'T', .frac = '.', .zone = 'Z'};
    if (p->time_ns)
        p->time_ns += (int64_t)(1 + draw(p, 2 * STEP_US)) * 1000;
    size_t n = time_format(&form, p->time_ns ? p->time_ns : clock_now_ns(), time);
    uint64_t dice = draw(p, 100);
    const char *level = dice < 70 ? "INFO" : dice < 90 ? "DEBUG" : dice < 97 ? "WARN" : "ERROR";
    snprintf(service, sizeof(service), "%s-%s", areas[draw(p, 10)], kinds[draw(p, 3)]);
    buf_printf(b,
               "{\"timestamp\":\"%.*s\",\"level\":\"%s\",\"service\":\"%s\",\"host\":\"host-%04u\","
               "\"message\":\"",
               (int)n, time, level, service, (unsigned)draw(p, 5000));
    put_message(p);
    uint64_t id = hash_mix(p->state ^ 1), trace = hash_mix(p->state ^ 2);
    unsigned latency = (unsigned)(5000 / (1 + draw(p, 500)));
    buf_printf(b,
               "\",\"metadata\":{\"request_id\":\"req_%016" PRIx64
               "\",\"user_id\":\"u_%u\",\"latency_ms\":%u,",
               id, (unsigned)draw(p, 100000), latency);
    buf_printf(
        b,
        "\"trace_id\":\"%016" PRIx64 "%016" PRIx64 "\",\"region\":\"%s\",\"version\":\"1.%u.%u\",",
        trace, hash_mix(trace), regions[draw(p, 3)], (unsigned)draw(p, 4), (unsigned)draw(p, 10));
    buf_printf(b, "\"pod\":\"%s-%c%u-x7k2p\",\"thread\":\"worker-%u\"}}\n", service,
               (char)('a' + draw(p, 6)), (unsigned)draw(p, 100), (unsigned)draw(p, 32));
    p->made++;
}

static enum err send_batch(struct producer *p)
{
    enum err err = OK;
    if (p->batch.n == 0)
        return OK;
    if (p->remote)
        err = sender_send(&p->sender, buf_str(&p->batch), "application/x-ndjson");
    else if (fwrite(p->batch.p, 1, p->batch.n, stdout) != p->batch.n || fflush(stdout) != 0)
        err = err_set(ERR_EOF, "standard output is closed");
    buf_clear(&p->batch);
    return err;
}

/* Makes what is due now; sleeps when that is nothing. */
static enum err step(struct producer *p, int64_t began_ns)
{
    uint64_t due = UINT64_MAX, n = 0;
    if (p->rate)
        due = (uint64_t)((double)(clock_mono_ns() - began_ns) / 1e9 * (double)p->rate) + 1;
    if (p->count && due > p->count)
        due = p->count;
    for (; p->made < due && n < BATCH_RECORDS; n++)
        put_record(p);
    TRY(send_batch(p));
    if (p->rate && n < BATCH_RECORDS)
        clock_sleep_ms(TICK_MS);
    return OK;
}

static bool read_options(struct producer *p, const struct options *o)
{
    uint64_t seed;
    int64_t end;
    const char *start = options_value(o, "start");
    if (!options_number(o, "count", 0, UINT64_MAX, 0, &p->count) ||
        !options_number(o, "rate", 0, 10000000, 0, &p->rate) ||
        !options_number(o, "seed", 0, UINT64_MAX, 1, &seed))
        return false;
    p->state = hash_mix(seed + 1);
    if (start && !time_parse_query(str_c(start), clock_now_ns(), &p->time_ns, &end)) {
        options_fail(&produce_command, "--start %s is no time: write 2025-02-15T12:00:00Z or -1h",
                     start);
        return false;
    }
    return true;
}

int cmd_produce(int argc, char **argv)
{
    struct options o;
    struct producer p = {0};
    int status = options_parse(&o, &produce_command, argc, argv);
    if (status >= 0)
        return status;
    if (!read_options(&p, &o))
        return 2;
    p.remote = options_has(&o, "url");
    if (p.remote && sender_init(&p.sender, &o) != OK)
        return options_fail(&produce_command, "%s", err_text());
    buf_init(&p.batch, (size_t)BATCH_RECORDS * RECORD_BYTES_MAX);
    int64_t began_ns = clock_mono_ns();
    enum err err = OK;
    while (err == OK && (p.count == 0 || p.made < p.count))
        err = step(&p, began_ns);
    if (err != OK && err != ERR_EOF)
        status = options_fail(&produce_command, "%s", err_text());
    buf_release(&p.batch);
    if (p.remote)
        sender_release(&p.sender);
    return status < 0 ? 0 : 1;
}
