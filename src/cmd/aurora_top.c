/* weir aurora top: the statements that take most, of a server's records or straight from log files;
 * and two windows of time beside each other.
 *
 * Both ways the work is that of the pipe `digest` of the query language; here its rows are put in
 * order, joined with those of the other window, and shown. */
#include "cmd/aurora.h"
#include "cmd/remote.h"
#include "cmd/table.h"
#include "core/clock.h"
#include "core/mem.h"
#include "query/local.h"
#include "record/batch.h"
#include "record/bitmap.h"
#include "record/timestamp.h"

#include <jansson.h>
#include <stdio.h>

enum { ANSWER_BYTES_MAX = 1 << 30, ROWS_MAX = 10000 };
#define QUERY_MEMORY ((size_t)1 << 30)

static const struct option_def option_defs[] = {
    REMOTE_OPTIONS,
    {"stream", 's', "NAME,...", "Of a server: only these streams (slow_search_logs)."},
    {"from", 'f', "TIME", "From here on: 2025-08-03T15:00:00Z, -1h, now-1d (of a server: -1h)."},
    {"to", 't', "TIME", "Up to here, exclusive."},
    {"compare", 'c', "DURATION", "Beside it, the window so much earlier: 1d, 1w."},
    {"baseline", 'b', "FILE", "Of files: beside it, those of other files.", .many = true},
    {"by", 0, "FIELD,...", "Apart by these too: instance, user, schema."},
    {"where", 'w', "FILTER", "Only of records that match: 'instance:db-1 -user:rdsadmin'."},
    {"sort", 0, "WHAT", "By what, falling (total; change where two windows are compared).",
     .choices = "total|calls|avg|p95|max|rows|change"},
    {"limit", 'n', "N", "So many (10)."},
    {"output", 'o', "FORMAT", "table or json (table on a terminal, else json).",
     .choices = "table|json"},
    AURORA_LOG_OPTIONS,
    {0},
};
const struct command aurora_top_command = {
    .name = "aurora top",
    .summary = "The statements that take most",
    .usage = "[options] [FILE...|-]",
    .text = "Groups slow queries by what they are, whatever their values, and shows what took "
            "most: of the records\n"
            "of a server, or of log files, where some are named. Times are seconds. With --compare "
            "or --baseline\n"
            "two windows beside each other: `change` is what the total time grew by, `new` what "
            "was not there.\n\n"
            "  weir aurora top --from -1h --by instance\n"
            "  weir aurora top --from -1h --compare 1d --where 'instance:db-1'\n"
            "  weir aurora top mysql-slowquery.log.2025-08-03.15\n"
            "  weir aurora top --baseline before.log after.log",
    .options = option_defs,
    .takes_files = true,
    .args_max = 10000000,
};

/* One window: its query's rows. */
struct window {
    const char *const *files; /* or NULL: of a server */
    unsigned n_files;
    int64_t from_ns, to_ns; /* INT64_MIN, INT64_MAX: open */
    json_t *rows;           /* an array of objects */
    struct buf line;        /* what of one has come */
};

struct top {
    const struct options *o;
    struct mysql_log_options log;
    struct query_local *query; /* of the window under way */
};

/* ---- the query of a window ---- */

static void put_time(struct buf *out, const char *sign, int64_t ns)
{
    char text[TIME_TEXT_MAX];
    buf_printf(out, " _time:%s\"", sign);
    buf_put(out, text, time_rfc3339(ns, text));
    buf_put_byte(out, '"');
}

static void put_query(const struct top *t, const struct window *w, struct buf *out)
{
    const char *where = options_value(t->o, "where"), *by = options_value(t->o, "by");
    if (where)
        buf_printf(out, "(%s)", where);
    else
        buf_put_byte(out, '*');
    if (w->from_ns != INT64_MIN)
        put_time(out, ">=", w->from_ns);
    if (w->to_ns != INT64_MAX)
        put_time(out, "<", w->to_ns);
    buf_put_c(out, " | digest");
    if (by)
        buf_printf(out, " by %s", by);
}

static enum err take_line(struct window *w, struct str line)
{
    json_t *row = json_loadb(line.p, line.n, 0, NULL);
    if (json_object_get(row, "digest"))
        json_array_append(w->rows, row);
    json_decref(row);
    return OK;
}

static enum err take_bytes(void *ctx, struct str bytes)
{
    struct window *w = ctx;
    size_t end;
    while ((end = str_find_byte(bytes, '\n', 0)) < bytes.n) {
        TRY(buf_add(&w->line, bytes.p, end));
        TRY(take_line(w, buf_str(&w->line)));
        buf_clear(&w->line);
        bytes = str_from(bytes, end + 1);
    }
    return buf_add(&w->line, bytes.p, bytes.n);
}

/* ---- of files ---- */

static enum err fold(void *ctx, struct batch *b)
{
    struct top *t = ctx;
    struct arena arena;
    struct rows rows;
    arena_init(&arena, 0, NULL);
    batch_view(b, &arena, &rows);
    uint64_t *bits = ARENA_ARRAY(&arena, uint64_t, rows.n / 64 + 1);
    uint32_t *row = ARENA_ARRAY(&arena, uint32_t, rows.n + 1);
    enum err err = filter_eval(query_local_filter(t->query), &rows, &arena, bits);
    if (err == OK)
        err = query_local_fold(t->query, 0, &rows, row, bitmap_list(bits, rows.n, row), &arena);
    arena_release(&arena);
    return err;
}

static enum err read_files(struct top *t, struct window *w)
{
    const struct aurora_sink sink = {t, fold};
    for (unsigned i = 0; i < w->n_files; i++) {
        struct mysql_log_counts counts;
        TRY(aurora_read_file(w->files[i], &t->log, &sink, &counts));
    }
    return query_local_finish(t->query, &(struct query_sink){w, take_bytes});
}

static enum err ask_files(struct top *t, struct window *w, struct str query)
{
    TRY(query_local_new(query, clock_now_ns(), 1, QUERY_MEMORY, &t->query));
    enum err err = query_local_folds(t->query)
                       ? read_files(t, w)
                       : err_set(ERR_INVALID, "--where: a filter is wanted, without pipes");
    query_local_free(t->query);
    return err;
}

/* ---- of a server ---- */

static enum err send_query(struct top *t, struct http_client *c, struct window *w, struct str query)
{
    const char *stream = options_value(t->o, "stream");
    struct http_answer a = {0};
    buf_init(&a.body, ANSWER_BYTES_MAX);
    http_client_begin(c, "GET", "/api/v1/logs/query");
    http_client_param(c, "q", query);
    http_client_param(c, "stream", str_c(stream ? stream : "slow_search_logs"));
    enum err err = http_client_send(c, STR(""), 0, take_bytes, w, &a);
    if (err == OK && a.status != 200) {
        remote_explain(&aurora_top_command, &a);
        err = err_set(ERR_CANCELED, "the server has refused the query");
    }
    buf_release(&a.body);
    return err;
}

static enum err ask_server(struct top *t, struct window *w, struct str query)
{
    struct http_client *c;
    TRY(remote_open(t->o, &c));
    enum err err = send_query(t, c, w, query);
    http_client_free(c);
    return err;
}

static enum err ask(struct top *t, struct window *w)
{
    struct buf query;
    buf_init(&query, SIZE_MAX);
    put_query(t, w, &query);
    w->rows = json_array();
    buf_init(&w->line, ANSWER_BYTES_MAX);
    enum err err = w->files ? ask_files(t, w, buf_str(&query)) : ask_server(t, w, buf_str(&query));
    buf_release(&w->line);
    buf_release(&query);
    return err;
}

/* ---- two windows beside each other ---- */

static double number(const json_t *row, const char *key)
{
    return json_number_value(json_object_get(row, key));
}

static int put_piece(const char *p, size_t n, void *out)
{
    buf_put(out, p, n);
    return 0;
}

static void put_json(struct buf *out, const json_t *value, size_t flags)
{
    (void)json_dump_callback(value, put_piece, out, flags);
}

/* What tells a row from all others: the digest, and what they are apart by. */
static char *name_of(const struct top *t, const json_t *row)
{
    struct buf out;
    const char *by = options_value(t->o, "by");
    struct str rest = str_c(by), field;
    buf_init(&out, SIZE_MAX);
    buf_put_c(&out, json_string_value(json_object_get(row, "digest")));
    while (by && str_split(&rest, ',', &field)) {
        field = str_trim(field);
        buf_put_byte(&out, '\n');
        put_json(&out, json_object_getn(row, field.p, field.n), JSON_ENCODE_ANY);
    }
    buf_put_byte(&out, 0);
    return out.p; /* to be released by mem_free */
}

static void set_before(json_t *row, const json_t *before)
{
    static const char *const keys[] = {"calls", "total_time", "avg_time", "p95_time"};
    for (int i = 0; i < 4; i++) {
        char name[32];
        snprintf(name, sizeof(name), "%s_before", keys[i]);
        json_t *value = json_object_get(before, keys[i]);
        json_object_set_new(row, name, value ? json_incref(value) : json_integer(0));
    }
    json_object_set_new(row, "change",
                        json_real(number(row, "total_time") - number(before, "total_time")));
    if (!before)
        json_object_set_new(row, "new", json_true());
}

/* What is no longer there stays to be seen, with nothing now. */
static json_t *gone(const json_t *before)
{
    json_t *row = json_deep_copy(before);
    static const char *const keys[] = {"calls",    "total_time",    "avg_time",  "p95_time",
                                       "max_time", "rows_examined", "lock_time", "rows_sent"};
    for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++)
        json_object_set_new(row, keys[i], json_integer(0));
    set_before(row, before);
    return row;
}

static void join(const struct top *t, struct window *now, struct window *before)
{
    json_t *names = json_object(), *row;
    size_t i;
    for (i = 0; (row = json_array_get(before->rows, i)); i++) {
        char *name = name_of(t, row);
        json_object_set(names, name, row);
        mem_free(name);
    }
    for (i = 0; (row = json_array_get(now->rows, i)); i++) {
        char *name = name_of(t, row);
        set_before(row, json_object_get(names, name));
        json_object_del(names, name);
        mem_free(name);
    }
    for (void *at = json_object_iter(names); at; at = json_object_iter_next(names, at))
        json_array_append_new(now->rows, gone(json_object_iter_value(at)));
    json_decref(names);
}

/* ---- showing ---- */

static const struct {
    const char *name, *key;
} orders[] = {
    {"total", "total_time"}, {"calls", "calls"},        {"avg", "avg_time"},  {"p95", "p95_time"},
    {"max", "max_time"},     {"rows", "rows_examined"}, {"change", "change"},
};

struct ranked {
    json_t *row;
    double by;
    size_t place;
};

static int by_rank(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    if (x->by != y->by)
        return x->by > y->by ? -1 : 1;
    return x->place < y->place ? -1 : 1;
}

/* A row as it is shown: what matters first. The table leaves out what is long or said already. */
static json_t *shown(const struct top *t, const json_t *row, double all, bool table)
{
    static const char *const keys[] = {
        "total_time", "total_time_before", "change",     "new",
        "calls",      "calls_before",      "avg_time",   "avg_time_before",
        "p95_time",   "p95_time_before",   "max_time",   "rows_examined",
        "rows_sent",  "lock_time",         "first_seen", "last_seen"};
    static const char *const hidden[] = {"avg_time_before", "rows_sent", "lock_time", "last_seen"};
    json_t *out = json_object();
    double total = number(row, "total_time");
    json_object_set_new(out, "share", json_real(all > 0 ? total / all : 0));
    for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
        json_t *value = json_object_get(row, keys[i]);
        bool hide = !value;
        for (int h = 0; table && h < 4; h++)
            hide |= !strcmp(keys[i], hidden[h]);
        if (!hide)
            json_object_set(out, keys[i], value);
    }
    struct str rest = str_c(options_value(t->o, "by")), field;
    while (rest.p && str_split(&rest, ',', &field)) {
        field = str_trim(field);
        json_t *value = json_object_getn(row, field.p, field.n);
        if (value)
            json_object_setn(out, field.p, field.n, value);
    }
    json_object_set(out, "digest", json_object_get(row, "digest"));
    json_object_set(out, "digest_text", json_object_get(row, "digest_text"));
    if (!table && json_object_get(row, "example"))
        json_object_set(out, "example", json_object_get(row, "example"));
    return out;
}

static enum err print(const struct top *t, const struct ranked *list, size_t n, double all,
                      bool table)
{
    struct table *to = table ? table_new(false) : NULL;
    enum err err = OK;
    struct buf text;
    buf_init(&text, SIZE_MAX);
    for (size_t i = 0; i < n && err == OK; i++) {
        json_t *row = shown(t, list[i].row, all, table);
        buf_clear(&text);
        put_json(&text, row, JSON_COMPACT | JSON_REAL_PRECISION(table ? 4 : 9));
        json_decref(row);
        if (table)
            err = table_add(to, buf_str(&text));
        else if (printf("%.*s\n", STR_ARG(buf_str(&text))) < 0)
            err = err_set_errno("cannot write to standard output");
    }
    if (table && err == OK)
        table_print(to);
    if (table)
        table_free(to);
    buf_release(&text);
    return err;
}

static enum err show(const struct top *t, const struct window *w, const char *order, uint64_t limit,
                     bool table)
{
    size_t n = json_array_size(w->rows), i = 0;
    struct ranked *list = NEW_ARRAY(struct ranked, n + 1);
    const char *key = NULL;
    double all = 0;
    for (size_t k = 0; k < sizeof(orders) / sizeof(*orders); k++)
        if (!strcmp(order, orders[k].name))
            key = orders[k].key;
    for (; i < n; i++) {
        json_t *row = json_array_get(w->rows, i);
        list[i] = (struct ranked){row, number(row, key), i};
        all += number(row, "total_time");
    }
    qsort(list, n, sizeof(*list), by_rank);
    enum err err = print(t, list, n < limit ? n : (size_t)limit, all, table);
    mem_free(list);
    return err;
}

/* ---- the command line ---- */

static bool read_window(const struct options *o, const char *name, int64_t *ret)
{
    const char *text = options_value(o, name);
    int64_t end;
    if (!text || time_parse_query(str_c(text), clock_now_ns(), ret, &end))
        return true;
    options_fail(o->command, "--%s: \"%s\" is no time", name, text);
    return false;
}

/* Both windows, as the options have them. `files`: room for the baseline's. False: explained. */
static bool read_windows(const struct options *o, struct window *now, struct window *before,
                         const char *files[OPTION_VALUES_MAX])
{
    const char *compare = options_value(o, "compare");
    int64_t shift = 0;
    *now = (struct window){.from_ns = INT64_MIN, .to_ns = INT64_MAX};
    if (compare && (!str_to_duration_ns(str_c(compare), &shift) || shift <= 0)) {
        options_fail(o->command, "--compare: a duration is wanted, such as 1d");
        return false;
    }
    if (!o->n_args)
        now->from_ns = clock_now_ns() - (shift ? shift : 3600 * NS_PER_S);
    if (!read_window(o, "from", &now->from_ns) || !read_window(o, "to", &now->to_ns))
        return false;
    now->files = o->n_args ? (const char *const *)o->arg : NULL;
    now->n_files = o->n_args;
    *before = *now;
    if (!shift)
        before->n_files = 0;
    while (!shift && (files[before->n_files] = options_value_at(o, "baseline", before->n_files)))
        before->n_files++;
    if (before->n_files && !now->files) {
        options_fail(o->command, "--baseline stands beside files: name those too");
        return false;
    }
    if (shift && now->files && now->from_ns == INT64_MIN) {
        options_fail(o->command, "--compare of files needs --from: files have no now");
        return false;
    }
    if (!shift)
        before->files = files;
    if (shift) {
        before->from_ns = now->from_ns - shift;
        int64_t end = now->to_ns == INT64_MAX ? clock_now_ns() : now->to_ns;
        before->to_ns = end - shift;
    }
    return true;
}

static int run(struct top *t, const char *order, uint64_t limit, bool table)
{
    struct window now, before;
    const char *files[OPTION_VALUES_MAX];
    if (!read_windows(t->o, &now, &before, files))
        return 2;
    bool two = options_has(t->o, "compare") || before.n_files;
    enum err err = ask(t, &now);
    if (err == OK && two)
        err = ask(t, &before);
    if (err == OK && two)
        join(t, &now, &before);
    if (err == OK)
        err = show(t, &now, order ? order : two ? "change" : "total", limit, table);
    int status = err != OK                   ? options_fail(&aurora_top_command, "%s", err_text())
                 : json_array_size(now.rows) ? 0
                                             : 1;
    json_decref(now.rows);
    json_decref(before.rows);
    return status;
}

int aurora_top(int argc, char **argv)
{
    struct options o;
    struct top t = {.o = &o};
    uint64_t limit;
    int status = options_parse(&o, &aurora_top_command, argc, argv);
    if (status >= 0)
        return status;
    const char *output = options_value(&o, "output"), *order = options_value(&o, "sort");
    bool table = output ? !strcmp(output, "table") : terminal_is_stdout(), known = !order;
    for (size_t i = 0; order && i < sizeof(orders) / sizeof(*orders); i++)
        known |= !strcmp(order, orders[i].name);
    if (!known)
        return options_fail(&aurora_top_command,
                            "--sort: total, calls, avg, p95, max, rows or change is wanted");
    if (output && !table && strcmp(output, "json") != 0)
        return options_fail(&aurora_top_command, "--output: table or json is wanted");
    if (!options_number(&o, "limit", 1, ROWS_MAX, 10, &limit) || !aurora_log_options(&o, &t.log))
        return 2;
    return run(&t, order, limit, table);
}
