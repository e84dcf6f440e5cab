/* weir aurora parse: log files to JSON lines. */
#include "cmd/aurora.h"
#include "core/mem.h"
#include "record/json.h"
#include "record/timestamp.h"

#include <stdio.h>
#include <stdlib.h>

static const struct option_def option_defs[] = {
    AURORA_LOG_OPTIONS,
    {"all", 'a', NULL, "With --kind auto: general and audit logs too."},
    {"names", 'n', NULL, "A field `log_file` of every record."},
    {"sort", 0, NULL, "By time, those of all files: they are held in memory (4 GiB at most)."},
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
            "  weir aurora parse --kind audit --sort audit.log.*        (one trail of four files)",
    .options = option_defs,
    .takes_files = true,
    .args_min = 1,
    .args_max = 10000000,
};

#define SORT_BYTES_MAX ((size_t)4 << 30)

struct sorted {
    int64_t time_ns;
    size_t at, n; /* in the printer's lines; `at` tells their order */
};
struct printer {
    struct buf text, lines;
    struct arena arena;
    bool sort;
    struct sorted *sorted; /* lines that wait */
    size_t n_sorted, sorted_cap;
};

static void put_line(struct printer *p, int64_t time_ns, struct str object)
{
    char time[TIME_TEXT_MAX];
    size_t at = p->lines.n;
    buf_put_c(&p->lines, "{\"_time\":\"");
    buf_put(&p->lines, time, time_rfc3339(time_ns, time));
    buf_put_c(&p->lines, object.n > 2 ? "\"," : "\"");
    buf_put_str(&p->lines, str_from(object, 1));
    buf_put_byte(&p->lines, '\n');
    if (!p->sort)
        return;
    ARRAY_GROW(p->sorted, p->sorted_cap, p->n_sorted + 1);
    p->sorted[p->n_sorted++] = (struct sorted){time_ns, at, p->lines.n - at};
}

static enum err write_out(struct str bytes)
{
    return fwrite(bytes.p, 1, bytes.n, stdout) == bytes.n && fflush(stdout) == 0
               ? OK
               : err_set_errno("cannot write to standard output");
}

static enum err print_rows(struct printer *p, struct rows *rows)
{
    uint32_t *row = ARENA_ARRAY(&p->arena, uint32_t, rows->n),
             *end = ARENA_ARRAY(&p->arena, uint32_t, rows->n);
    const int64_t *time;
    for (uint32_t i = 0; i < rows->n; i++)
        row[i] = i;
    struct json_rows what = {.rows = rows, .row = row, .n = rows->n, .arena = &p->arena};
    buf_clear(&p->text);
    TRY(json_put_rows(&what, &p->text, end));
    TRY(rows_time(rows, &time));
    for (uint32_t i = 0, at = 0; i < rows->n; at = end[i++])
        put_line(p, time[i], str_of(p->text.p + at, end[i] - at));
    if (p->sort)
        return p->lines.n < SORT_BYTES_MAX
                   ? OK
                   : err_set(ERR_LIMIT, "more than 4 GiB of records to sort: fewer files at once");
    enum err err = write_out(buf_str(&p->lines));
    buf_clear(&p->lines);
    return err;
}

static int by_time(const void *a, const void *b)
{
    const struct sorted *x = a, *y = b;
    if (x->time_ns != y->time_ns)
        return x->time_ns < y->time_ns ? -1 : 1;
    return x->at < y->at ? -1 : x->at > y->at;
}

static enum err print_sorted(struct printer *p)
{
    if (p->n_sorted)
        qsort(p->sorted, p->n_sorted, sizeof(*p->sorted), by_time);
    for (size_t i = 0; i < p->n_sorted; i++)
        if (fwrite(p->lines.p + p->sorted[i].at, 1, p->sorted[i].n, stdout) != p->sorted[i].n)
            return err_set_errno("cannot write to standard output");
    return write_out(STR(""));
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

static bool parse_files(const struct options *o, struct mysql_log_options *log, struct printer *p)
{
    struct aurora_sink sink = {p, print_batch};
    bool good = true;
    for (unsigned i = 0; i < o->n_args; i++) {
        struct mysql_log_counts counts = {0};
        if (options_has(o, "names"))
            log->file = str_c(o->arg[i]);
        if (aurora_read_file(o->arg[i], log, &sink, &counts) != OK) {
            fprintf(stderr, "weir aurora parse: %s\n", err_text());
            good = false;
        }
        if (options_has(o, "summary"))
            print_summary(o->arg[i], &counts);
    }
    return good;
}

int aurora_parse(int argc, char **argv)
{
    struct options o;
    struct mysql_log_options log;
    struct printer p = {0};
    int status = options_parse(&o, &aurora_parse_command, argc, argv);
    if (status >= 0)
        return status;
    if (!aurora_log_options(&o, &log))
        return 2;
    if (options_has(&o, "all"))
        log.keep = MYSQL_LOG_KEEP_ALL;
    p.sort = options_has(&o, "sort");
    buf_init(&p.text, SIZE_MAX);
    buf_init(&p.lines, SIZE_MAX);
    arena_init(&p.arena, 0, NULL);
    bool good = parse_files(&o, &log, &p);
    if (p.sort && print_sorted(&p) != OK) {
        fprintf(stderr, "weir aurora parse: %s\n", err_text());
        good = false;
    }
    mem_free(p.sorted);
    buf_release(&p.text);
    buf_release(&p.lines);
    arena_release(&p.arena);
    return good ? 0 : 1;
}
