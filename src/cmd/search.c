/* weir search: a query to a server, its rows as a table, as lines or as JSON.
 *
 * Without pipes it asks /search (newest first, a limit), with pipes /query (rows as the pipes make
 * them). The records are cut out of the answer as the text they are, so that json output is the
 * server's to the byte; only tables parse them. */
#include "cmd/commands.h"
#include "cmd/follow.h"
#include "cmd/pager.h"
#include "cmd/remote.h"
#include "cmd/table.h"
#include "core/mem.h"
#include "record/json.h"

#include <jansson.h>
#include <stdio.h>

enum { ANSWER_BYTES_MAX = 1 << 30, TABLE_ROWS_MAX = 10000 };

static const struct option_def option_defs[] = {
    REMOTE_OPTIONS,
    {"stream", 's', "NAME,...", "Only these streams (all)."},
    {"from", 'f', "TIME", "From here on: 2025-02-15T12:00:00Z, 2025-02-15, -15m, now-1d."},
    {"to", 't', "TIME", "Up to here, exclusive."},
    {"limit", 'n', "N", "Most records, without pipes; newest first (50)."},
    {"output", 'o', "FORMAT",
     "table, raw (the message alone) or json (table on a terminal, else json).",
     .choices = "table|raw|json"},
    {"follow", 'F', NULL, "Goes on: records as they land, after the newest 10 (or --limit)."},
    {"no-pager", 0, NULL, "Long output on a terminal is not shown by $PAGER (less)."},
    {0},
};
const struct command search_command = {
    .name = "search",
    .summary = "Finds records and prints them",
    .usage = "[options] 'QUERY'",
    .text = "Finds records and prints them, newest first. Exits 1 when there are none.\n\n"
            "  weir search 'level:ERROR timeout'               words, fields\n"
            "  weir search '\"connection reset\" -host:h7'       a phrase, and not\n"
            "  weir search 'latency_ms:>500 service:pay*' --from -1h\n"
            "  weir search '* | stats count(), p99(latency_ms) by service | sort -count'\n"
            "  weir search --follow 'level:ERROR'              live, each record once",
    .options = option_defs,
    .args_min = 1,
    .args_max = 1,
};

enum output { OUTPUT_TABLE, OUTPUT_RAW, OUTPUT_JSON };

struct search {
    const struct options *o;
    enum output output;
    bool pipes;
    uint64_t rows;
    struct table *table;
    struct buf rest; /* of a line that is not whole yet */
    struct buf padded;
    struct json_reader *reader;
};

/* A '|' outside quotes and regexes. */
static bool has_pipes(const char *q)
{
    char in = 0;
    for (const char *p = q; *p; p++) {
        bool starts_regex = *p == '/' && (p == q || strchr(" :(", p[-1]));
        if (*p == '\\' && p[1])
            p++;
        else if (in)
            in = *p == in ? 0 : in;
        else if (*p == '"' || starts_regex)
            in = *p;
        else if (*p == '|' && p[1] == '|')
            p++;
        else if (*p == '|')
            return true;
    }
    return false;
}

static enum err take_record(void *ctx, uint32_t position, struct str record)
{
    struct search *s = ctx;
    s->rows++;
    if (s->output == OUTPUT_TABLE)
        return s->rows <= TABLE_ROWS_MAX || options_has(s->o, "follow")
                   ? table_add(s->table, record)
                   : OK;
    if (s->output == OUTPUT_RAW)
        table_print_raw(record);
    else
        printf("%.*s\n", STR_ARG(record));
    return ferror(stdout) ? err_set(ERR_CANCELED, "cannot write to standard output") : OK;
}

/* An incomplete answer says so, whatever the output: {"complete":false,"warning":...} of /query's
 * last line, "warning" of /search. */
static void warn_partial(const json_t *about)
{
    const char *warning = json_string_value(json_object_get(about, "warning"));
    if (warning)
        fprintf(stderr, "weir search: the answer is not complete: %s\n", warning);
}

static bool take_meta(struct str line)
{
    if (!str_starts(line, STR("{\"_meta\":{")))
        return false;
    json_t *row = json_loadb(line.p, line.n, 0, NULL);
    warn_partial(json_object_get(row, "_meta"));
    json_decref(row);
    return true;
}

/* Lines of /query. */
static enum err take_bytes(void *ctx, struct str bytes)
{
    struct search *s = ctx;
    struct str line;
    size_t end;
    while ((end = str_find_byte(bytes, '\n', 0)) < bytes.n) {
        line = str_of(bytes.p, end);
        if (s->rest.n) {
            TRY(buf_add(&s->rest, line.p, line.n));
            line = buf_str(&s->rest);
        }
        if (line.n && !take_meta(line))
            TRY(take_record(s, 0, line));
        buf_clear(&s->rest);
        bytes = str_from(bytes, end + 1);
    }
    return buf_add(&s->rest, bytes.p, bytes.n);
}

/* The answer of /search has the seed's shape: {"logs":[...]}. */
static enum err take_answer(struct search *s, const struct buf *body)
{
    buf_clear(&s->padded);
    TRY(buf_add(&s->padded, body->p, body->n));
    char *end = buf_reserve(&s->padded, JSON_PADDING);
    if (!end)
        return err_set(ERR_LIMIT, "the answer is too large");
    memset(end, 0, JSON_PADDING);
    json_t *answer = json_loadb(body->p, body->n, 0, NULL);
    warn_partial(answer);
    json_decref(answer);
    return json_each_record(s->reader, buf_str(&s->padded), take_record, s);
}

static void add_params(const struct search *s, struct http_client *c)
{
    static const char *const names[] = {"stream", "from", "to"};
    http_client_param(c, "q", str_c(s->o->arg[0]));
    for (int i = 0; i < 3; i++)
        if (options_has(s->o, names[i]))
            http_client_param(c, names[i], str_c(options_value(s->o, names[i])));
    if (!s->pipes)
        http_client_param(c, "limit",
                          str_c(options_has(s->o, "limit") ? options_value(s->o, "limit") : "50"));
}

/* Answers the exit status. */
static int ask(struct search *s, struct http_client *c)
{
    struct http_answer a = {0};
    int status = 0;
    buf_init(&a.body, ANSWER_BYTES_MAX);
    http_client_begin(c, "GET", s->pipes ? "/api/v1/logs/query" : "/api/v1/logs/search");
    add_params(s, c);
    enum err err = http_client_send(c, STR(""), 0, s->pipes ? take_bytes : NULL, s, &a);
    if (err == OK && a.status != 200) {
        remote_explain(&search_command, &a);
        status = 2;
    } else if (err == OK && !s->pipes) {
        err = take_answer(s, &a.body);
    }
    if (err != OK) {
        options_fail(&search_command, "%s", err_text());
        status = 2;
    }
    buf_release(&a.body);
    return status;
}

static enum err take_live(void *ctx, struct str line)
{
    return take_record(ctx, 0, line);
}

static int run(struct search *s, struct http_client *c)
{
    if (options_has(s->o, "follow"))
        return follow(s->o, c, take_live, s);
    if (!options_has(s->o, "no-pager"))
        pager_start();
    int status = ask(s, c);
    if (status != 0)
        return status;
    table_print(s->table);
    if (s->output == OUTPUT_TABLE && s->rows > TABLE_ROWS_MAX)
        fprintf(stderr,
                "weir search: %llu rows; the table shows the first %d, --output json shows all\n",
                (unsigned long long)s->rows, TABLE_ROWS_MAX);
    if (s->rows == 0 && s->output == OUTPUT_TABLE)
        fprintf(stderr, "nothing found\n");
    return s->rows ? 0 : 1;
}

static bool read_output(struct search *s)
{
    const char *output = options_value(s->o, "output");
    if (!output)
        s->output = terminal_is_stdout() ? OUTPUT_TABLE : OUTPUT_JSON;
    else if (!strcmp(output, "table"))
        s->output = OUTPUT_TABLE;
    else if (!strcmp(output, "raw"))
        s->output = OUTPUT_RAW;
    else if (!strcmp(output, "json"))
        s->output = OUTPUT_JSON;
    else
        return false;
    return true;
}

int cmd_search(int argc, char **argv)
{
    struct options o;
    struct http_client *c;
    struct search s = {.o = &o};
    const struct json_limits limits = {.record_bytes = ANSWER_BYTES_MAX, .nesting = 1024};
    int status = options_parse(&o, &search_command, argc, argv);
    if (status >= 0)
        return status;
    if (!read_output(&s))
        return options_fail(&search_command, "--output: table, raw or json is wanted");
    if (remote_open(&o, &c) != OK)
        return options_fail(&search_command, "%s", err_text());
    s.pipes = has_pipes(o.arg[0]);
    s.table = table_new(!s.pipes || options_has(&o, "follow"));
    s.reader = json_reader_new(&limits);
    buf_init(&s.rest, ANSWER_BYTES_MAX);
    buf_init(&s.padded, (size_t)ANSWER_BYTES_MAX + JSON_PADDING);
    status = run(&s, c);
    pager_finish();
    buf_release(&s.rest);
    buf_release(&s.padded);
    json_reader_free(s.reader);
    table_free(s.table);
    http_client_free(c);
    return status;
}
