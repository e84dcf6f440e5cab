/* weir patterns: what kinds of lines there are, of a server's records or of files. It is search or
 * grep with the pipe `patterns` behind the query. */
#include "cmd/commands.h"
#include "cmd/remote.h"
#include "core/buf.h"
#include "core/mem.h"

#include <stdio.h>
#include <string.h>

enum { REMOTE_ONLY = 5, ARGS_MAX = 2 * REMOTE_ONLY + 6, FILES_MAX = 10000000 };
enum { QUERY_BYTES_MAX = 1 << 20, LIMIT_DEFAULT = 50 };
static const char *const of_remote[REMOTE_ONLY] = {"url", "user", "stream", "from", "to"};

static const struct option_def option_defs[] = {
    REMOTE_OPTIONS,
    {"stream", 's', "NAME,...", "Only these streams (all)."},
    {"from", 'f', "TIME", "From here on: 2025-02-15T12:00:00Z, 2025-02-15, -15m, now-1d."},
    {"to", 't', "TIME", "Up to here, exclusive."},
    {"field", 0, "NAME", "Patterns of this field (message)."},
    {"by", 'b', "NAME,...", "Apart by these fields too."},
    {"limit", 'n', "N", "The N most frequent; 0: all (50)."},
    {"examples", 'e', "N", "N examples of each, up to 10 (1; a table shows none)."},
    {"new-since", 'N', "TIME",
     "Only those not seen before: 1h, now-1d, a date. What was seen is told from --from on."},
    {"output", 'o', "FORMAT", "table or json (table on a terminal, else json).",
     .choices = "table|json"},
    {0},
};
const struct command patterns_command = {
    .name = "patterns",
    .summary = "Counts the kinds of lines there are",
    .usage = "[options] ['QUERY' [FILE...|-]]",
    .text = "Counts records by their pattern: the message with <*> for each variable, the most "
            "frequent first.\n"
            "Counts are exact. Asks the server, or with files reads those as weir grep does. The "
            "rows of a\n"
            "pattern are found by its id. Exits 1 when there are none. Without a query: '*', all "
            "there are.\n\n"
            "  weir patterns --from -1h\n"
            "  weir patterns 'level:ERROR' --by service\n"
            "  weir patterns '*' --from -7d --new-since 1h     never seen before, for a week\n"
            "  weir patterns 'timeout' app.log app.log.1.gz\n"
            "  weir search 'message:pattern(8c56b76320390e52)'",
    .options = option_defs,
    .takes_files = true,
    .args_max = FILES_MAX,
};

static void put_option(const struct options *o, const char *name, const char *prefix,
                       struct buf *out)
{
    if (options_has(o, name)) {
        buf_put_c(out, prefix);
        buf_put_c(out, options_value(o, name));
    }
}

static void put_query(const struct options *o, uint64_t limit, bool table, struct buf *out)
{
    buf_put_c(out, o->n_args ? o->arg[0] : "*");
    buf_put_c(out, " | patterns");
    put_option(o, "field", " ", out);
    if (limit)
        buf_printf(out, " limit=%llu", (unsigned long long)limit);
    put_option(o, "examples", " examples=", out);
    if (table && !options_has(o, "examples"))
        buf_put_c(out, " examples=0");
    put_option(o, "new-since", " new_since=", out);
    put_option(o, "by", " by ", out);
    if (!table)
        return;
    buf_put_c(out, " | fields count, first_seen, last_seen, id");
    put_option(o, "by", ", ", out);
    buf_put_c(out, options_has(o, "examples") ? ", pattern, examples" : ", pattern");
}

/* Asks a server. */
static int of_server(const struct options *o, bool table, char *query)
{
    static char command[] = "search", names[REMOTE_ONLY][16], output[] = "--output",
                as_table[] = "table", as_json[] = "json", end[] = "--";
    char *argv[ARGS_MAX];
    int n = 0;
    argv[n++] = command;
    for (int i = 0; i < REMOTE_ONLY; i++) {
        if (!options_has(o, of_remote[i]))
            continue;
        snprintf(names[i], sizeof(names[i]), "--%s", of_remote[i]);
        argv[n++] = names[i];
        argv[n++] = (char *)(uintptr_t)options_value(o, of_remote[i]);
    }
    argv[n++] = output;
    argv[n++] = table ? as_table : as_json;
    argv[n++] = end;
    argv[n++] = query;
    argv[n] = NULL;
    return cmd_search(n, argv);
}

/* Reads files. */
static int of_files(const struct options *o, bool table, char *query)
{
    static char command[] = "grep", json[] = "--json", end[] = "--";
    char **argv = NEW_ARRAY(char *, o->n_args + 5);
    int n = 0;
    argv[n++] = command;
    if (!table)
        argv[n++] = json;
    argv[n++] = end;
    argv[n++] = query;
    for (unsigned i = 1; i < o->n_args; i++)
        argv[n++] = o->arg[i];
    int status = cmd_grep(n, argv);
    mem_free(argv);
    return status;
}

int cmd_patterns(int argc, char **argv)
{
    struct options o;
    struct buf query;
    uint64_t limit;
    int status = options_parse(&o, &patterns_command, argc, argv);
    if (status >= 0)
        return status;
    if (!options_number(&o, "limit", 0, UINT32_MAX, LIMIT_DEFAULT, &limit))
        return 2;
    const char *output = options_value(&o, "output");
    bool table = output ? !strcmp(output, "table") : terminal_is_stdout();
    if (output && !table && strcmp(output, "json") != 0)
        return options_fail(&patterns_command, "--output: table or json is wanted");
    for (int i = 0; i < REMOTE_ONLY && o.n_args > 1; i++)
        if (options_has(&o, of_remote[i]))
            return options_fail(&patterns_command, "--%s is for a server, not for files",
                                of_remote[i]);
    buf_init(&query, QUERY_BYTES_MAX);
    put_query(&o, limit, table, &query);
    buf_put_byte(&query, 0);
    status = query.n == query.max ? options_fail(&patterns_command, "the query is too long")
             : o.n_args > 1       ? of_files(&o, table, query.p)
                                  : of_server(&o, table, query.p);
    buf_release(&query);
    return status;
}
