/* weir aurora parse: log files to JSON lines. */
#include "cmd/aurora.h"
#include "record/json.h"
#include "record/timestamp.h"

#include <stdio.h>

static const struct option_def option_defs[] = {
    AURORA_LOG_OPTIONS,
    {"all", 'a', NULL, "With --kind auto: general and audit logs too."},
    {"names", 'n', NULL, "A field `log_file` of every record."},
    {"summary", 's', NULL, "What was met, on standard error as JSON: a line a file."},
    {0},
};
const struct command aurora_parse_command = {
    .name = "aurora parse",
    .summary = "Prints the records in log files as JSON lines",
    .usage = "[options] FILE...|-",
    .text = "Reads slow query logs, error logs, general and audit logs of MySQL, Aurora MySQL and "
            "MariaDB and\n"
            "prints their records as JSON lines. What is in none is a record with `message` and "
            "`unparsed`. Of\n"
            "files whose kind is not given, general and audit logs are left out. Compressed files "
            "are undone.\n\n"
            "  weir aurora parse --kind slow mysql-slowquery.log\n"
            "  weir aurora parse --kind error --time-zone Europe/Berlin mysql-error.log | jq "
            ".level\n"
            "  weir aurora parse --kind audit audit.log.0.* | sort    (one trail: _time is first)",
    .options = option_defs,
    .takes_files = true,
    .args_min = 1,
    .args_max = 10000000,
};

struct printer {
    struct buf text;
    struct arena arena;
};

static void put_line(struct printer *p, int64_t time_ns, struct str object, struct buf *out)
{
    char time[TIME_TEXT_MAX];
    buf_put_c(out, "{\"_time\":\"");
    buf_put(out, time, time_rfc3339(time_ns, time));
    buf_put_c(out, object.n > 2 ? "\"," : "\"");
    buf_put_str(out, str_from(object, 1));
    buf_put_byte(out, '\n');
}

static enum err print_rows(struct printer *p, struct rows *rows)
{
    uint32_t *row = ARENA_ARRAY(&p->arena, uint32_t, rows->n),
             *end = ARENA_ARRAY(&p->arena, uint32_t, rows->n);
    const int64_t *time;
    struct buf lines;
    for (uint32_t i = 0; i < rows->n; i++)
        row[i] = i;
    struct json_rows what = {.rows = rows, .row = row, .n = rows->n, .arena = &p->arena};
    buf_clear(&p->text);
    TRY(json_put_rows(&what, &p->text, end));
    TRY(rows_time(rows, &time));
    buf_init(&lines, SIZE_MAX);
    for (uint32_t i = 0, at = 0; i < rows->n; at = end[i++])
        put_line(p, time[i], str_of(p->text.p + at, end[i] - at), &lines);
    bool good = fwrite(lines.p, 1, lines.n, stdout) == lines.n && fflush(stdout) == 0;
    buf_release(&lines);
    return good ? OK : err_set_errno("cannot write to standard output");
}

static enum err print_batch(void *ctx, struct batch *b)
{
    struct printer *p = ctx;
    struct rows rows;
    arena_reset(&p->arena);
    batch_view(b, &p->arena, &rows);
    return print_rows(p, &rows);
}

static void print_summary(const char *path, const struct mysql_log_counts *c)
{
    struct buf name;
    buf_init(&name, SIZE_MAX);
    json_put_string(&name, str_c(path));
    fprintf(stderr,
            "{\"file\":%.*s,\"bytes\":%llu,\"lines\":%llu,\"records\":%llu,\"filtered\":%llu,"
            "\"banner_lines\":%llu,\"unparsed\":%llu,\"truncated_bytes\":%llu}\n",
            STR_ARG(buf_str(&name)), (unsigned long long)c->bytes, (unsigned long long)c->lines,
            (unsigned long long)c->records, (unsigned long long)c->filtered,
            (unsigned long long)c->banner_lines, (unsigned long long)c->unparsed,
            (unsigned long long)c->truncated_bytes);
    buf_release(&name);
}

int aurora_parse(int argc, char **argv)
{
    struct options o;
    struct mysql_log_options log;
    struct printer p;
    int status = options_parse(&o, &aurora_parse_command, argc, argv);
    if (status >= 0)
        return status;
    if (!aurora_log_options(&o, &log))
        return 2;
    if (options_has(&o, "all"))
        log.keep = MYSQL_LOG_KEEP_ALL;
    struct aurora_sink sink = {&p, print_batch};
    buf_init(&p.text, SIZE_MAX);
    arena_init(&p.arena, 0, NULL);
    status = 0;
    for (unsigned i = 0; i < o.n_args; i++) {
        struct mysql_log_counts counts = {0};
        if (options_has(&o, "names"))
            log.file = str_c(o.arg[i]);
        if (aurora_read_file(o.arg[i], &log, &sink, &counts) != OK) {
            fprintf(stderr, "weir aurora parse: %s\n", err_text());
            status = 1;
        }
        if (options_has(&o, "summary"))
            print_summary(o.arg[i], &counts);
    }
    buf_release(&p.text);
    arena_release(&p.arena);
    return status;
}
