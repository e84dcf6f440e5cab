/* weir aurora cost: what the logs of a fleet cost a month in CloudWatch, and here.
 *
 * Bytes come from a server's streams, divided by the time they span, or from options; prices are
 * Amazon's list prices in us-east-1 unless a file or options say otherwise. A month has 30 days, a
 * GB a thousand million bytes, as in the bills' own examples. */
#include "cmd/aurora.h"
#include "cmd/remote.h"
#include "core/clock.h"
#include "core/tree.h"
#include "record/timestamp.h"

#include <jansson.h>
#include <stdio.h>

enum { ANSWER_BYTES_MAX = 64 << 20, DAYS_A_MONTH = 30 };
#define GB 1e9

enum price {
    CW_INGEST,
    CW_STORAGE,
    CW_SHARE,
    CW_SCAN,
    S3_STORAGE,
    S3_PUT,
    DDB_WRITE,
    DDB_READ,
    NODE,
    PRICES,
};
static const struct {
    const char *name;
    double price;
} prices[PRICES] = {
    [CW_INGEST] = {"cloudwatch_ingest", 0.50},   /* a GB */
    [CW_STORAGE] = {"cloudwatch_storage", 0.03}, /* a GB and month */
    [CW_SHARE] = {"cloudwatch_stored_share", 1}, /* of what is ingested that counts as stored */
    [CW_SCAN] = {"cloudwatch_scan", 0.005},      /* a GB that queries read */
    [S3_STORAGE] = {"s3_storage", 0.023},        /* a GB and month */
    [S3_PUT] = {"s3_put", 0.005},                /* a thousand requests */
    [DDB_WRITE] = {"dynamodb_write", 1.25},      /* a million requests */
    [DDB_READ] = {"dynamodb_read", 0.25},        /* a million requests */
    [NODE] = {"node", 200},                      /* a month, with all that runs on it */
};

static const struct option_def option_defs[] = {
    REMOTE_OPTIONS,
    {"stream", 's', "NAME,...", "Measured are these (slow_search_logs,error_logs)."},
    {"scale", 0, "FACTOR", "The fleet is so many times what was measured (1)."},
    {"raw", 0, "BYTES", "Not measured: logs a day, such as 1000GB."},
    {"stored", 0, "BYTES", "Not measured: what a day takes on disk."},
    {"scanned", 0, "BYTES", "What CloudWatch queries would read a day (0)."},
    {"retention", 0, "DURATION", "How long logs are kept (30d)."},
    {"puts", 0, "N", "S3 requests that write, a day (0)."},
    {"dynamodb-writes", 0, "N", "Requests a day (0: with SQLite there are none)."},
    {"dynamodb-reads", 0, "N", "Requests a day (0)."},
    {"rds-calls", 0, "N", "RDS requests a day; they cost nothing (0)."},
    {"nodes", 0, "N", "Machines (1)."},
    {"prices", 0, "FILE", "A YAML map of prices, as --price has them."},
    {"price", 'p', "NAME=USD", "Another price, such as cloudwatch_ingest=0.25.", .many = true},
    {"json", 'j', NULL, "As JSON."},
    {0},
};
const struct command aurora_cost_command = {
    .name = "aurora cost",
    .summary = "What the logs cost in CloudWatch, and here",
    .usage = "[options]",
    .text = "Compares what a month of the logs costs in CloudWatch with what it costs here: bytes "
            "as a server has\n"
            "measured them in its streams, or as --raw and --stored say. Prices, in US dollars "
            "(--price, --prices):\n"
            "cloudwatch_ingest and cloudwatch_scan (a GB), cloudwatch_storage and s3_storage (a GB "
            "and month),\n"
            "cloudwatch_stored_share (of the bytes ingested), s3_put (a thousand), dynamodb_write "
            "and\n"
            "dynamodb_read (a million), node (a month).\n\n"
            "  weir aurora cost --url http://logs:5080 --scale 3\n"
            "  weir aurora cost --raw 1000GB --stored 1000GB --dynamodb-writes 1.3M\n"
            "  weir aurora cost --price cloudwatch_ingest=0.25 --json",
    .options = option_defs,
};

struct cost {
    double price[PRICES];
    double raw, stored, scanned;       /* bytes a day */
    double puts, writes, reads, calls; /* a day */
    double days, nodes, scale;
    double span_days; /* that was measured; 0: none was */
};

/* ---- what was measured ---- */

static bool is_named(const char *list, const char *name)
{
    struct str rest = str_c(list), one;
    while (str_split(&rest, ',', &one))
        if (str_eq_c(str_trim(one), name))
            return true;
    return false;
}

static bool read_time(const json_t *from, const char *key, int64_t *ret)
{
    struct time_form form;
    const char *text = json_string_value(json_object_get(from, key));
    return text && time_parse(str_c(text), 0, &form, ret);
}

static enum err measure(const json_t *streams, const char *names, struct cost *c)
{
    double raw = 0, stored = 0;
    int64_t from = INT64_MAX, to = INT64_MIN, t;
    for (size_t i = 0; i < json_array_size(streams); i++) {
        const json_t *s = json_array_get(streams, i);
        const char *name = json_string_value(json_object_get(s, "name"));
        if (!name || !is_named(names, name))
            continue;
        raw += json_number_value(json_object_get(s, "raw_bytes"));
        stored += json_number_value(json_object_get(s, "bytes"));
        if (read_time(s, "from", &t) && t < from)
            from = t;
        if (read_time(s, "to", &t) && t > to)
            to = t;
    }
    if (from > to)
        return err_set(ERR_NOTFOUND,
                       "the server has no records in %s: --stream, or --raw and "
                       "--stored",
                       names);
    c->span_days = (double)(to - from) / (86400.0 * NS_PER_S);
    if (c->span_days < 1.0 / 24)
        c->span_days = 1.0 / 24;
    c->raw = raw / c->span_days;
    c->stored = stored / c->span_days;
    return OK;
}

static enum err ask(const struct options *o, struct http_client *h, struct cost *c)
{
    const char *names = options_value(o, "stream");
    struct http_answer a = {0};
    buf_init(&a.body, ANSWER_BYTES_MAX);
    http_client_begin(h, "GET", "/api/v1/streams");
    enum err err = http_client_send(h, STR(""), 0, NULL, NULL, &a);
    if (err == OK && a.status != 200) {
        remote_explain(&aurora_cost_command, &a);
        err = err_set(ERR_CANCELED, "the server has refused the request");
    } else if (err == OK) {
        json_t *answer = json_loadb(a.body.p, a.body.n, 0, NULL);
        err = measure(json_object_get(answer, "streams"),
                      names ? names : "slow_search_logs,error_logs", c);
        json_decref(answer);
    }
    buf_release(&a.body);
    return err;
}

static enum err ask_server(const struct options *o, struct cost *c)
{
    struct http_client *h;
    TRY(remote_open(o, &h));
    enum err err = ask(o, h, c);
    http_client_free(h);
    return err;
}

/* ---- options ---- */

static enum err set_price(struct cost *c, struct str name, struct str value)
{
    double v;
    for (int i = 0; i < PRICES; i++) {
        if (!str_eq_c(name, prices[i].name))
            continue;
        if (!str_to_f64(value, &v) || !(v >= 0))
            return err_set(ERR_INVALID, "price %s: a number is wanted, not \"%.*s\"",
                           prices[i].name, STR_ARG(value));
        c->price[i] = v;
        return OK;
    }
    return err_set(ERR_INVALID, "there is no price \"%.*s\"; --help has their names",
                   STR_ARG(name));
}

static enum err read_price_file(const char *path, struct cost *c)
{
    struct arena arena;
    struct tree t;
    arena_init(&arena, 0, NULL);
    enum err err = tree_read_file(path, &arena, &t);
    if (err == OK && t.kind != TREE_MAP)
        err = tree_error(&t, "a map of prices is wanted: cloudwatch_ingest: 0.5");
    for (uint32_t i = 0; err == OK && i < t.n; i++)
        if (set_price(c, t.key[i].text, t.item[i].text) != OK)
            err = tree_error(&t.key[i], "%s", err_text());
    arena_release(&arena);
    return err;
}

static enum err read_prices(const struct options *o, struct cost *c)
{
    const char *file = options_value(o, "prices"), *one;
    for (int i = 0; i < PRICES; i++)
        c->price[i] = prices[i].price;
    if (file)
        TRY(read_price_file(file, c));
    for (unsigned i = 0; (one = options_value_at(o, "price", i)); i++) {
        struct str value = str_c(one), name;
        (void)str_split(&value, '=', &name);
        TRY(set_price(c, name, value));
    }
    return OK;
}

/* "1000", "1.5M", "1000GB": of thousands, as prices are. */
static enum err read_amount(const struct options *o, const char *name, double def, double *ret)
{
    static const char units[] = "kMGTP";
    struct str text = str_c(options_value(o, name));
    *ret = def;
    if (!text.p)
        return OK;
    double unit = 1;
    if (text.n && text.p[text.n - 1] == 'B')
        text.n--;
    const char *letter = text.n ? strchr(units, text.p[text.n - 1]) : NULL;
    for (const char *u = units; letter && u <= letter; u++)
        unit *= 1000;
    text.n -= letter != NULL;
    if (!str_to_f64(text, ret) || !(*ret >= 0))
        return err_set(ERR_INVALID, "--%s: an amount is wanted, such as 1000GB or 1.5M", name);
    *ret *= unit;
    return OK;
}

static enum err read_options(const struct options *o, struct cost *c)
{
    const char *retention = options_value(o, "retention");
    int64_t kept = 30 * 86400 * NS_PER_S;
    TRY(read_prices(o, c));
    TRY(read_amount(o, "scale", 1, &c->scale));
    TRY(read_amount(o, "raw", -1, &c->raw));
    TRY(read_amount(o, "stored", -1, &c->stored));
    TRY(read_amount(o, "scanned", 0, &c->scanned));
    TRY(read_amount(o, "puts", 0, &c->puts));
    TRY(read_amount(o, "dynamodb-writes", 0, &c->writes));
    TRY(read_amount(o, "dynamodb-reads", 0, &c->reads));
    TRY(read_amount(o, "rds-calls", 0, &c->calls));
    TRY(read_amount(o, "nodes", 1, &c->nodes));
    if (retention && (!str_to_duration_ns(str_c(retention), &kept) || kept <= 0))
        return err_set(ERR_INVALID, "--retention: a duration is wanted, such as 30d");
    c->days = (double)kept / (86400.0 * NS_PER_S);
    if ((c->raw < 0) != (c->stored < 0))
        return err_set(ERR_INVALID, "--raw and --stored stand together");
    return OK;
}

/* ---- the comparison ---- */

struct line {
    const char *name;
    double amount;
    const char *unit;
    double there, here; /* US dollars a month */
};
enum { LINES = 6 };

static void compare(const struct cost *c, struct line ret[LINES])
{
    const double *p = c->price;
    double raw = c->raw * c->scale / GB, stored = c->stored * c->scale / GB,
           scanned = c->scanned * c->scale / GB, month = DAYS_A_MONTH * c->scale;
    const struct line lines[LINES] = {
        {"ingest", raw * DAYS_A_MONTH, "GB a month", raw * DAYS_A_MONTH * p[CW_INGEST], 0},
        {"storage there", raw * c->days * p[CW_SHARE], "GB kept",
         raw * c->days * p[CW_SHARE] * p[CW_STORAGE], 0},
        {"storage here", stored * c->days, "GB kept", 0, stored * c->days * p[S3_STORAGE]},
        {"queries", scanned * DAYS_A_MONTH, "GB a month", scanned * DAYS_A_MONTH * p[CW_SCAN], 0},
        {"requests", (c->puts + c->writes + c->reads + c->calls) * month, "a month", 0,
         month * (c->puts / 1e3 * p[S3_PUT] + c->writes / 1e6 * p[DDB_WRITE] +
                  c->reads / 1e6 * p[DDB_READ])},
        {"machines", c->nodes, "", 0, c->nodes * p[NODE]},
    };
    memcpy(ret, lines, sizeof(lines));
}

static void print(const struct cost *c, const struct line *line, double there, double here)
{
    if (c->span_days > 0)
        printf("measured over %.2f days: %.3f GB of logs a day, %.3f GB stored (%.1f times "
               "smaller)\n\n",
               c->span_days, c->raw / GB, c->stored / GB, c->stored > 0 ? c->raw / c->stored : 0);
    printf("%-14s %14s %-12s %14s %14s\n", "US$ a month", "", "", "CloudWatch", "Weir");
    for (int i = 0; i < LINES; i++)
        printf("%-14s %14.2f %-12s %14.2f %14.2f\n", line[i].name, line[i].amount, line[i].unit,
               line[i].there, line[i].here);
    printf("%-14s %14s %-12s %14.2f %14.2f\n", "total", "", "", there, here);
    if (there > 0)
        printf("\n%.1f %% of CloudWatch's price\n", 100 * here / there);
}

static void print_json(const struct cost *c, const struct line *line, double there, double here)
{
    printf("{\"raw_bytes_per_day\":%.0f,\"stored_bytes_per_day\":%.0f,\"measured_days\":%.4f,"
           "\"lines\":[",
           c->raw * c->scale, c->stored * c->scale, c->span_days);
    for (int i = 0; i < LINES; i++)
        printf("%s{\"name\":\"%s\",\"amount\":%.4f,\"unit\":\"%s\",\"cloudwatch_usd\":%.4f,"
               "\"weir_usd\":%.4f}",
               i ? "," : "", line[i].name, line[i].amount, line[i].unit, line[i].there,
               line[i].here);
    printf("],\"cloudwatch_usd\":%.4f,\"weir_usd\":%.4f", there, here);
    if (there > 0)
        printf(",\"share\":%.4f", here / there);
    printf("}\n");
}

int aurora_cost(int argc, char **argv)
{
    struct options o;
    struct cost c = {0};
    struct line line[LINES];
    double there = 0, here = 0;
    int status = options_parse(&o, &aurora_cost_command, argc, argv);
    if (status >= 0)
        return status;
    if (read_options(&o, &c) != OK || (c.raw < 0 && ask_server(&o, &c) != OK))
        return options_fail(&aurora_cost_command, "%s", err_text());
    compare(&c, line);
    for (int i = 0; i < LINES; i++) {
        there += line[i].there;
        here += line[i].here;
    }
    if (options_has(&o, "json"))
        print_json(&c, line, there, here);
    else
        print(&c, line, there, here);
    return 0;
}
