/* weir produce: sample logs for demos and load, to standard output or to a server. They come at a
 * rate, with bursts and with spikes of errors, as real traffic does. */
#include "cmd/produce.h"
#include "cmd/commands.h"
#include "cmd/sender.h"
#include "core/clock.h"
#include "core/hash.h"
#include "record/timestamp.h"

#include <stdio.h>

enum { BATCH_RECORDS = 2000, TICK_MS = 200, STEP_US = 200, CYCLE_S = 60, SPIKE_S = 5 };

static const struct option_def option_defs[] = {
    REMOTE_OPTIONS,
    {"host", 'H', "URL", "The same as --url: http:// or https://, with /path of a proxy."},
    {"stream", 's', "NAME", "With --url: the stream they go to (default)."},
    {"kind", 'k', "KIND", "What they are (app).",
     .choices = "app|nginx|mysql-slow|mysql-error|k8s"},
    {"count", 'n', "N", "How many; 0: without end (0)."},
    {"rate", 'r', "N", "Records a second; 0: as fast as may be (0)."},
    {"delay", 'd', "SECONDS", "A pause behind each record, such as 0.1; instead of --rate."},
    {"burst", 'b', "N", "N times the rate for 5 seconds of each minute (1: no bursts)."},
    {"errors", 'e', "PERCENT", "How many are errors, such as 2.5 (as the kind has them)."},
    {"spike", 0, "PERCENT", "So many are errors in the middle 5 seconds of each minute."},
    {"batch", 0, "N", "Records of a request at most (2000)."},
    {"seed", 0, "N", "Another seed, other records (1)."},
    {"start", 0, "TIME",
     "The first record's time; the others follow some 0.2 ms apart (now, as it goes on)."},
    {"retry-for", 0, "SECONDS", "With --url: how long a batch is tried (300)."},
    {"quiet", 'q', NULL, "No summary."},
    {0},
};
const struct command produce_command = {
    .name = "produce",
    .summary = "Makes sample logs, to standard output or to a server",
    .usage = "[options]",
    .text =
        "Makes sample logs: of an application, nginx, MySQL, Kubernetes. To standard output, "
        "or with --url\n"
        "to a server, in batches that land once however often they are sent; at the end it says "
        "how many\n"
        "the server took.\n\n"
        "  weir produce --count 100000 > sample.ndjson\n"
        "  weir produce --url http://127.0.0.1:5080 --stream demo --rate 100 --burst 10\n"
        "  weir produce --kind nginx --count 100 --delay 0.1 --host https://logs.example.com\n"
        "  weir produce --kind k8s --rate 500 --spike 40 --url http://127.0.0.1:5080",
    .options = option_defs,
};

struct producer {
    struct sender sender;
    struct maker maker;
    const struct produce_kind *kind;
    bool remote, quiet;
    uint64_t count, rate, burst, batch_records;
    unsigned errors_1000, spike_1000;
    bool has_spike, is_dated;
    int64_t began_ns, delay_ns;
    double due; /* records that should be there by now */
    int64_t due_at_ns;
    struct buf batch;
};

/* ---- traffic ---- */

static bool in_seconds(const struct producer *p, int64_t now, int64_t from)
{
    int64_t at = (now - p->began_ns) / NS_PER_S % CYCLE_S;
    return at >= from && at < from + SPIKE_S;
}

/* The bursts are at the end of a minute, the spikes in its middle. */
static double rate_at(const struct producer *p, int64_t now)
{
    bool bursts = p->burst > 1 && in_seconds(p, now, CYCLE_S - SPIKE_S);
    return (double)p->rate * (bursts ? (double)p->burst : 1.0);
}

static void make(struct producer *p)
{
    struct maker *m = &p->maker;
    if (p->is_dated)
        m->time_ns += (int64_t)(1 + maker_draw(m, 2 * STEP_US)) * 1000;
    else
        m->time_ns = clock_now_ns();
    bool spikes = p->has_spike && in_seconds(p, clock_mono_ns(), (CYCLE_S - SPIKE_S) / 2);
    m->errors_1000 = spikes ? p->spike_1000 : p->errors_1000;
    p->kind->put(m, &p->batch);
    m->made++;
}

static enum err send_batch(struct producer *p)
{
    enum err err = OK;
    if (p->batch.n == 0)
        return OK;
    if (p->remote)
        err = sender_send(&p->sender, buf_str(&p->batch), p->kind->content_type);
    else if (fwrite(p->batch.p, 1, p->batch.n, stdout) != p->batch.n || fflush(stdout) != 0)
        err = err_set(ERR_EOF, "standard output is closed");
    buf_clear(&p->batch);
    return err;
}

static uint64_t due_now(struct producer *p)
{
    int64_t now = clock_mono_ns();
    if (!p->rate)
        return UINT64_MAX;
    p->due += (double)(now - p->due_at_ns) / 1e9 * rate_at(p, now);
    p->due_at_ns = now;
    return (uint64_t)p->due + 1;
}

/* Makes what is due now; sleeps when that is nothing. */
static enum err step(struct producer *p)
{
    uint64_t due = due_now(p), n = 0, most = p->delay_ns ? 1 : p->batch_records;
    if (p->count && due > p->count)
        due = p->count;
    for (; p->maker.made < due && n < most; n++)
        make(p);
    TRY(send_batch(p));
    bool more = p->count == 0 || p->maker.made < p->count;
    if (p->delay_ns && more)
        clock_sleep_ms((p->delay_ns + NS_PER_MS - 1) / NS_PER_MS);
    else if (p->rate && n < most && more)
        clock_sleep_ms(TICK_MS);
    return OK;
}

/* ---- the command line ---- */

/* A decimal from 0 to max; *ret_given: it was there. */
static bool read_decimal(const struct options *o, const char *name, double max, double *ret,
                         bool *ret_given)
{
    const char *text = options_value(o, name);
    *ret_given = text != NULL;
    if (!text || (str_to_f64(str_c(text), ret) && *ret >= 0 && *ret <= max))
        return true;
    options_fail(&produce_command, "--%s %s: a number from 0 to %g is wanted", name, text, max);
    return false;
}

static bool read_kind(struct producer *p, const struct options *o)
{
    const char *name = options_has(o, "kind") ? options_value(o, "kind") : "app";
    for (p->kind = produce_kinds; p->kind->name; p->kind++)
        if (!strcmp(p->kind->name, name))
            return true;
    options_fail(&produce_command, "--kind %s: there are", name);
    for (const struct produce_kind *k = produce_kinds; k->name; k++)
        fprintf(stderr, "  %-12s %s\n", k->name, k->what);
    return false;
}

static bool read_traffic(struct producer *p, const struct options *o)
{
    double delay = 0, errors = 0, spike = 0;
    bool has_delay, has_errors;
    if (!options_number(o, "count", 0, UINT64_MAX, 0, &p->count) ||
        !options_number(o, "rate", 0, 10000000, 0, &p->rate) ||
        !options_number(o, "burst", 1, 10000, 1, &p->burst) ||
        !options_number(o, "batch", 1, 100000, BATCH_RECORDS, &p->batch_records) ||
        !read_decimal(o, "delay", 86400, &delay, &has_delay) ||
        !read_decimal(o, "errors", 100, &errors, &has_errors) ||
        !read_decimal(o, "spike", 100, &spike, &p->has_spike))
        return false;
    if (has_delay && p->rate) {
        options_fail(&produce_command, "--delay and --rate are two ways to say the same");
        return false;
    }
    p->delay_ns = (int64_t)(delay * 1e9);
    p->errors_1000 = has_errors ? (unsigned)(errors * 10) : p->kind->errors_1000;
    p->spike_1000 = (unsigned)(spike * 10);
    return true;
}

static bool read_options(struct producer *p, const struct options *o)
{
    uint64_t seed;
    int64_t end;
    const char *start = options_value(o, "start");
    if (!read_kind(p, o) || !read_traffic(p, o) ||
        !options_number(o, "seed", 0, UINT64_MAX, 1, &seed))
        return false;
    p->maker.state = hash_mix(seed + 1);
    p->is_dated = start != NULL;
    p->quiet = options_has(o, "quiet");
    p->remote = options_has(o, "url") || options_has(o, "host");
    if (start && !time_parse_query(str_c(start), clock_now_ns(), &p->maker.time_ns, &end)) {
        options_fail(&produce_command, "--start %s is no time: write 2025-02-15T12:00:00Z or -1h",
                     start);
        return false;
    }
    return true;
}

static void summarise(const struct producer *p)
{
    double seconds = (double)(clock_mono_ns() - p->began_ns) / 1e9;
    const struct sender *s = &p->sender;
    fprintf(stderr,
            "%llu made, %llu accepted, %llu refused, %llu duplicates in %.1f s (%.0f a second), "
            "%llu requests, %llu sent again\n",
            (unsigned long long)p->maker.made, (unsigned long long)s->accepted,
            (unsigned long long)s->rejected, (unsigned long long)s->duplicates, seconds,
            seconds > 0 ? (double)p->maker.made / seconds : 0.0, (unsigned long long)s->batches,
            (unsigned long long)s->retries);
}

static void on_waiting(void *ctx, const char *why)
{
    const struct producer *p = ctx;
    if (!p->quiet)
        fprintf(stderr, "weir produce: waiting: %s\n", why);
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
    if (p.remote && sender_init(&p.sender, &o) != OK)
        return options_fail(&produce_command, "%s", err_text());
    p.sender.waiting = on_waiting;
    p.sender.ctx = &p;
    buf_init(&p.batch, (p.batch_records + 1) * PRODUCE_RECORD_MAX);
    p.began_ns = p.due_at_ns = clock_mono_ns();
    enum err err = OK;
    while (err == OK && (p.count == 0 || p.maker.made < p.count))
        err = step(&p);
    status = 0;
    if (err != OK && err != ERR_EOF)
        status = options_fail(&produce_command, "%s", err_text());
    if (p.remote && !p.quiet)
        summarise(&p);
    if (status == 0 && p.sender.rejected)
        status = 1;
    buf_release(&p.batch);
    if (p.remote)
        sender_release(&p.sender);
    return status;
}
