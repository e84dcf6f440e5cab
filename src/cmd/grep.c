/* weir grep: the query language over files. What is printed and what the exit status says is
 * grep's: 0 a line matched, 1 none did, 2 something went wrong. */
#include "cmd/grep.h"
#include "cmd/commands.h"
#include "cmd/table.h"
#include "core/clock.h"
#include "core/mem.h"
#include "core/thread.h"

#include <stdlib.h>
#include <unistd.h>

enum { FILES_MAX = 10000000, CONTEXT_MAX = 100000, TABLE_ROWS_MAX = 10000 };
#define QUERY_MEMORY ((size_t)1 << 30)

static const struct option_def option_defs[] = {
    {"after-context", 'A', "N", "N lines behind each match too."},
    {"before-context", 'B', "N", "N lines in front of each match too."},
    {"context", 'C', "N", "N lines around each match."},
    {"count", 'c', NULL, "How many lines match, a file."},
    {"files-with-matches", 'l', NULL, "The names of files with a match."},
    {"only-matching", 'o', NULL, "What matches, each on a line of its own."},
    {"invert-match", 'v', NULL, "Lines that do not match."},
    {"fixed-strings", 'F', NULL, "QUERY is a text to be found as it is, anywhere in a field."},
    {"ignore-case", 'i', NULL, "With -F. Words and phrases do so anyway; a regex by /(?i).../."},
    {"max-count", 'm', "N", "At most N lines of a file."},
    {"line-number", 'n', NULL, "Line numbers (on a terminal)."},
    {"no-line-number", 'N', NULL, "No line numbers."},
    {"with-filename", 'H', NULL, "Names of files (where there are several)."},
    {"no-filename", 'I', NULL, "No names of files."},
    {"null", '0', NULL, "A NUL byte behind names of files."},
    {"heading", 0, NULL, "A file's name above its lines (on a terminal)."},
    {"no-heading", 0, NULL, "A file's name in front of each line."},
    {"color", 0, "WHEN", "auto, always or never; auto: on a terminal, unless NO_COLOR is set.",
     .choices = "auto|always|never"},
    {"json", 0, NULL, "Events as JSON lines, in the form of ripgrep's --json."},
    {"quiet", 'q', NULL, "Nothing is printed; stops at the first match."},
    {"no-messages", 's', NULL, "Nothing is said of files that cannot be read."},
    {"recursive", 'r', NULL, "Folders too, with all that is in them but hidden and binary files."},
    {"hidden", 0, NULL, "With -r: files whose names begin with a dot too."},
    {"threads", 'j', "N", "How many; 0: as many as cores (0)."},
    {0},
};
const struct command grep_command = {
    .name = "grep",
    .summary = "Finds lines in files, without a server, by the same language",
    .usage = "[options] 'QUERY' [FILE...|-]",
    .text = "Finds the lines of files that match, without a server, by the language of weir "
            "search. A line is\n"
            "a record: a JSON object's members are its fields; a line of text is `message`, and "
            "where it has\n"
            "them `level` and `_time`. `_stream` is the file's name. .gz, .zst, .bz2 and .xz are "
            "undone, Weir's\n"
            "segments are read as the records they hold. Pipes work too; their rows are JSON "
            "lines, or a table\n"
            "on a terminal. Exits 0 when something matched, 1 when nothing did, 2 after an "
            "error.\n\n"
            "  weir grep 'timeout -level:DEBUG' app.log app.log.1.gz\n"
            "  weir grep -r -C2 '\"connection reset\"' /var/log\n"
            "  weir grep 'status:>=500 | top 10 path' access.ndjson.zst\n"
            "  weir grep -F 'at com.example.Foo(' app.log\n"
            "  journalctl -o json | weir grep 'PRIORITY:<4' -",
    .options = option_defs,
    .takes_files = true,
    .args_min = 1,
    .args_max = FILES_MAX,
};

/* ---- rows of pipes ---- */

struct rows_output {
    struct grep *g;
    struct table *table; /* NULL: JSON lines */
    uint64_t rows;
    bool any;
};

static enum err write_rows(void *ctx, struct str bytes)
{
    struct rows_output *o = ctx;
    struct str line;
    if (!o->table) {
        o->any = true;
        if (fwrite(bytes.p, 1, bytes.n, stdout) != bytes.n || fflush(stdout) != 0)
            o->g->stop = true;
        return OK;
    }
    while (bytes.n && str_split(&bytes, '\n', &line)) {
        if (!line.n)
            continue;
        o->any = true;
        if (o->rows++ < TABLE_ROWS_MAX)
            TRY(table_add(o->table, line));
    }
    return OK;
}

static void rows_begin(void *ctx, struct grep_file *f)
{
}

static bool rows_piece(void *ctx, struct grep_file *f, struct grep_piece *p)
{
    struct rows_output *o = ctx;
    struct query_sink sink = {o, write_rows};
    struct arena arena;
    struct rows rows;
    if (!p->rows)
        return true;
    arena_init(&arena, 0, NULL);
    batch_view(p->rows, &arena, &rows);
    rows.stream = str_c(f->path);
    enum err err = query_local_add(o->g->query, &rows, &sink);
    arena_release(&arena);
    if (err != OK && err != ERR_EOF)
        grep_complain(o->g, err_text());
    if (err != OK)
        o->g->stop = true;
    return err == OK;
}

static void rows_end(void *ctx, struct grep_file *f)
{
}

static void rows_idle(void *ctx)
{
}

static int print_rows(struct grep *g, char **paths, unsigned n)
{
    struct rows_output o = {.g = g};
    struct grep_printer to = {&o, rows_begin, rows_piece, rows_end, rows_idle};
    struct query_sink sink = {&o, write_rows};
    if (terminal_is_stdout())
        o.table = table_new(false);
    grep_run(g, paths, n, &to);
    if (query_local_finish(g->query, &sink) != OK)
        grep_complain(g, err_text());
    if (o.table) {
        table_print(o.table);
        if (o.rows > TABLE_ROWS_MAX)
            fprintf(stderr, "weir grep: %llu rows; the table shows the first %d\n",
                    (unsigned long long)o.rows, TABLE_ROWS_MAX);
        table_free(o.table);
    }
    return g->failed ? 2 : o.any ? 0 : 1;
}

/* ---- the command line ---- */

/* A text as a regex that means just it. */
static char *quoted(const char *text, bool ignore_case)
{
    struct buf b;
    buf_init(&b, SIZE_MAX);
    buf_put_c(&b, ignore_case ? "/(?i)" : "/");
    for (const char *p = text; *p; p++) {
        bool plain = (*p >= '0' && *p <= '9') || (*p >= 'A' && *p <= 'Z') ||
                     (*p >= 'a' && *p <= 'z') || (unsigned char)*p >= 128 || *p == ' ' || *p == '_';
        if (!plain)
            buf_put_byte(&b, '\\');
        buf_put_byte(&b, *p);
    }
    buf_put_byte(&b, '/');
    char *query = mem_strdup(buf_str(&b));
    buf_release(&b);
    return query;
}

static bool read_when(const struct options *o, bool *ret)
{
    const char *when = options_value(o, "color");
    if (!when || !strcmp(when, "auto"))
        *ret = terminal_colours();
    else if (!strcmp(when, "always") || !strcmp(when, "never"))
        *ret = when[0] == 'a';
    else
        return false;
    return true;
}

static bool read_style(const struct options *o, struct grep_style *s)
{
    uint64_t around, before, after;
    bool terminal = terminal_is_stdout(), several = o->n_args > 2 || options_has(o, "recursive");
    if (!options_number(o, "context", 0, CONTEXT_MAX, 0, &around) ||
        !options_number(o, "before-context", 0, CONTEXT_MAX, around, &before) ||
        !options_number(o, "after-context", 0, CONTEXT_MAX, around, &after) ||
        !options_number(o, "max-count", 1, UINT64_MAX, UINT64_MAX, &s->max_count))
        return false;
    if (!read_when(o, &s->colours)) {
        options_fail(&grep_command, "--color: auto, always or never is wanted");
        return false;
    }
    s->before = (unsigned)before;
    s->after = (unsigned)after;
    s->count = options_has(o, "count");
    s->list = options_has(o, "files-with-matches");
    s->json = options_has(o, "json") && !s->count && !s->list;
    s->only = options_has(o, "only-matching");
    s->invert = options_has(o, "invert-match");
    s->null = options_has(o, "null");
    s->sanitise = terminal;
    s->heading = (terminal || options_has(o, "heading")) && !options_has(o, "no-heading");
    s->number = (terminal || options_has(o, "line-number")) && !options_has(o, "no-line-number");
    s->path = (several || options_has(o, "with-filename")) && !options_has(o, "no-filename");
    if (s->heading && terminal && !options_has(o, "no-filename"))
        s->path = true;
    if (s->json)
        s->colours = s->sanitise = false;
    return true;
}

static void set_needs(struct grep *g, const struct grep_style *s)
{
    bool lines = !s->count && !s->list && !g->quiet && !g->query;
    g->need_hits = lines;
    g->need_data = lines && (s->before || s->after);
    g->need_lines = lines && (s->number || s->json);
    g->first_only = s->list || g->quiet;
    g->reads_heads = g->query || filter_asks_beyond_text(g->filter);
    g->every_line = (g->query && g->invert) || !filter_needles(g->filter, &g->needles);
}

static enum err read_query(struct grep *g, const struct options *o)
{
    char *text = options_has(o, "fixed-strings") ? quoted(o->arg[0], options_has(o, "ignore-case"))
                                                 : mem_strdup(str_c(o->arg[0]));
    struct query_local *query;
    enum err err = query_local_new(str_c(text), clock_now_ns(), g->threads, QUERY_MEMORY, &query);
    mem_free(text);
    TRY(err);
    g->filter = query_local_filter(query);
    g->query = query;
    return OK;
}

/* Without files: standard input where something comes from it, or with -r this folder. */
static bool read_paths(const struct options *o, char ***ret, unsigned *ret_n)
{
    static char dash[] = "-", dot[] = ".";
    static char *fallback[1];
    *ret = o->arg + 1;
    *ret_n = o->n_args - 1;
    if (*ret_n)
        return true;
    if (!options_has(o, "recursive") && isatty(STDIN_FILENO))
        return false;
    fallback[0] = options_has(o, "recursive") ? dot : dash;
    *ret = fallback;
    *ret_n = 1;
    return true;
}

static int print_lines(struct grep *g, const struct grep_style *style, char **paths, unsigned n)
{
    struct grep_output *out = grep_output_new(g, style, stdout);
    struct grep_printer to = grep_output_printer(out);
    grep_run(g, paths, n, &to);
    grep_output_finish(out);
    bool any = grep_output_any(out);
    grep_output_free(out);
    return g->failed && !(g->quiet && any) ? 2 : any ? 0 : 1;
}

int cmd_grep(int argc, char **argv)
{
    struct options o;
    struct grep g = {0};
    struct grep_style style = {0};
    char **paths;
    unsigned n;
    uint64_t threads;
    int status = options_parse(&o, &grep_command, argc, argv);
    if (status >= 0)
        return status;
    if (!read_style(&o, &style) || !options_number(&o, "threads", 0, 64, 0, &threads))
        return 2;
    if (!read_paths(&o, &paths, &n))
        return options_fail(&grep_command, "which files? usage: weir grep %s", grep_command.usage);
    g.threads = threads ? (unsigned)threads : thread_cpus() > 64 ? 64 : thread_cpus();
    g.invert = style.invert;
    g.quiet = options_has(&o, "quiet");
    g.messages = !options_has(&o, "no-messages");
    g.recursive = options_has(&o, "recursive");
    g.hidden = options_has(&o, "hidden");
    if (read_query(&g, &o) != OK)
        return options_fail(&grep_command, "%s", err_text());
    struct query_local *query = g.query;
    if (query_local_is_filter(query))
        g.query = NULL;
    set_needs(&g, &style);
    status = g.query ? print_rows(&g, paths, n) : print_lines(&g, &style, paths, n);
    query_local_free(query);
    grep_pieces_release();
    return status;
}
