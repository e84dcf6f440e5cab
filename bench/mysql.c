/* How fast a slow query log is read to records: `bench_mysql FILE [ROUNDS]`. The parser takes turns
 * with what is customary elsewhere: lines are grouped to entries, and one regular expression (with
 * PCRE2's compiler for the machine) takes the fields out of each; once as texts alone, and once
 * with what the parser does too: numbers that are numbers, and the digest. Medians of MB a CPU
 * second; the entries must be as many. */
#include "core/clock.h"
#include "core/io.h"
#include "core/mem.h"
#include "record/extract.h"
#include "transform/multiline.h"
#include "transform/mysql_log.h"
#include "transform/sql_digest.h"
#include "transform/transform_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { ROUNDS_MAX = 101, PIECE_BYTES = 1 << 20 };

static const char entry_regex[] =
    "\\A(?:# Time: (?<time>[^\\n]+)\\n)?"
    "# User@Host: (?<role>[^\\[]*)\\[(?<user>[^\\]]*)\\] @ (?<host>\\S*) \\[(?<ip>[^\\]]*)\\]"
    "(?:\\s+Id:\\s+(?<id>\\d+))?\\n"
    "(?:# Thread_id: (?<thread>\\d+)\\s+Schema: (?<schema>\\S*)\\s+QC_hit: (?<qc>\\w+)\\n)?"
    "# Query_time: (?<query_time>[\\d.]+)\\s+Lock_time: (?<lock_time>[\\d.]+)\\s+"
    "Rows_sent: (?<rows_sent>\\d+)\\s+Rows_examined: (?<rows_examined>\\d+)[^\\n]*\\n"
    "(?:# Rows_affected: (?<rows_affected>\\d+)\\s+Bytes_sent: (?<bytes_sent>\\d+)\\n)?"
    "(?:#[^\\n]*\\n)*(?:use (?<db>[^;\\n]+);\\n)?"
    "SET timestamp=(?<timestamp>\\d+);\\n(?<statement>(?s:.*))";

static double cpu_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static uint64_t by_parser(struct str file, struct batch *b)
{
    const struct mysql_log_options o = {.kind = MYSQL_LOG_SLOW};
    struct mysql_log *m;
    size_t used;
    bool more = true;
    CHECK(mysql_log_new(&o, &m) == OK);
    while (file.n) {
        struct str piece = str_of(file.p, file.n < PIECE_BYTES ? file.n : PIECE_BYTES);
        CHECK(mysql_log_feed(m, piece, 0, b, &used) == OK);
        file = str_from(file, used);
        if (used < piece.n)
            batch_clear(b);
    }
    while (more) {
        CHECK(mysql_log_end(m, true, 0, b, &more) == OK);
        batch_clear(b);
    }
    uint64_t records = mysql_log_counts(m)->records;
    mysql_log_free(m);
    return records;
}

struct regex {
    const struct extractor *x;
    const struct grok_field *field;
    uint32_t n;
    bool whole; /* numbers and digests too */
    struct buf text;
};

static void put_digest(struct regex *r, struct str statement, struct batch *b)
{
    char id[SQL_DIGEST_ID_BYTES];
    buf_clear(&r->text);
    sql_digest_text(statement, &r->text);
    sql_digest_id(buf_str(&r->text), id);
    batch_text(b, STR("digest"), LANE_STR, str_of(id, sizeof(id)));
    batch_text(b, STR("digest_text"), LANE_STR, buf_str(&r->text));
}

static bool take(struct regex *r, struct str entry, struct batch *b)
{
    struct str part[EXTRACT_FIELDS_MAX];
    bool fits = false;
    if (!entry.n || extractor_match(r->x, entry, part, &fits) != OK || !fits)
        return false;
    batch_begin(b);
    for (uint32_t i = 0; i < r->n; i++) {
        if (part[i].p && r->whole && i + 1 < r->n)
            put_guess(b, r->field[i].name, part[i]);
        else if (part[i].p)
            batch_text(b, r->field[i].name, LANE_STR, part[i]);
    }
    if (r->whole) /* the statement is the last part */
        put_digest(r, part[r->n - 1], b);
    if (!batch_try_end(b, 0, entry.n))
        batch_cancel(b);
    if (batch_full(b, entry.n * 2 + 4096))
        batch_clear(b);
    return true;
}

static uint64_t by_regex(struct str file, struct regex *r, const struct multiline *m,
                         struct batch *b)
{
    struct multiline_state state = {0};
    struct str rest = file, line;
    const char *begin = file.p;
    uint64_t records = 0;
    while (rest.n && str_split(&rest, '\n', &line)) {
        if (multiline_continues(m, &state, line))
            continue;
        records += take(r, str_of(begin, (size_t)(line.p - begin)), b);
        begin = line.p;
    }
    return records + take(r, str_of(begin, (size_t)(file.p + file.n - begin)), b);
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

enum { WAYS = 3 };
static const char *const ways[WAYS] = {"parser", "regex, texts alone", "regex, numbers, digest"};

static void run(struct str file, struct regex *r, const struct multiline *m, unsigned rounds)
{
    double speed[WAYS][ROUNDS_MAX];
    uint64_t records[WAYS];
    struct batch *b = batch_new();
    for (unsigned i = 0; i < rounds; i++) {
        for (int way = 0; way < WAYS; way++) {
            double t = cpu_seconds();
            r->whole = way == 2;
            records[way] = way ? by_regex(file, r, m, b) : by_parser(file, b);
            batch_clear(b);
            speed[way][i] = (double)file.n / 1e6 / (cpu_seconds() - t);
        }
    }
    batch_free(b);
    for (int way = 0; way < WAYS; way++) {
        qsort(speed[way], rounds, sizeof(**speed), by_size);
        printf("%-24s %8.1f MB/s  %llu records\n", ways[way], speed[way][rounds / 2],
               (unsigned long long)records[way]);
    }
}

int main(int argc, char **argv)
{
    unsigned rounds = argc > 2 ? (unsigned)atoi(argv[2]) : 5;
    struct buf file;
    struct arena arena;
    struct multiline *m;
    struct regex r;
    if (argc < 2 || rounds < 1 || rounds > ROUNDS_MAX)
        return fprintf(stderr, "usage: bench_mysql FILE [ROUNDS]\n"), 2;
    buf_init(&file, SIZE_MAX);
    buf_init(&r.text, SIZE_MAX);
    arena_init(&arena, 0, NULL);
    if (io_read_file(argv[1], (size_t)4 << 30, &file) != OK)
        return fprintf(stderr, "%s\n", err_text()), 1;
    CHECK(multiline_new(STR("mysql"), &m) == OK);
    CHECK(extractor_new(str_c(entry_regex), EXTRACT_REGEX, NULL, &arena, &r.x, NULL) == OK);
    r.n = extractor_fields(r.x, &r.field);
    run(buf_str(&file), &r, m, rounds);
    multiline_free(m);
    arena_release(&arena);
    buf_release(&r.text);
    buf_release(&file);
    return 0;
}
