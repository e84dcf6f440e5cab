/* weir ledger: where every record of an agent is. Three counts that know nothing of each other must
 * agree: what was read (the positions, and the notes in the spool that are newer), what lies in the
 * spool (its records are counted, one by one), and what each route has settled:
 *
 *     read = dropped + sent + dropped by the route + dead + waiting
 *
 * The folder is only read; where the agent runs, the counts may move while they are read. */
#include "cmd/ledger.h"
#include "cmd/agent.h"
#include "cmd/commands.h"
#include "cmd/remote.h"
#include "core/io.h"
#include "core/mem.h"
#include "pipeline/spool.h"
#include "queue/wal.h"
#include "record/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/file.h>

static const struct option_def option_defs[] = {
    {"data", 'd', "DIR", "An agent's folder, or that of one of its pipelines."},
    REMOTE_OPTIONS,
    {"json", 'j', NULL, "As JSON."},
    {0},
};
const struct command ledger_command = {
    .name = "ledger",
    .summary = "Shows where every record is, and whether the books balance",
    .usage = "[--data DIR | --url URL]",
    .text =
        "Of a server, or of an agent that listens, what it says itself: of each stream what was "
        "taken and is\n"
        "stored, of each pipeline what came from where and how far each route is. Exits 1 when "
        "it does not\n"
        "add up.\n\n"
        "Of an agent's folder: counts what an agent has read, what lies in its spool, and what "
        "each route has "
        "settled, and says\n"
        "whether they agree. The exit status is 1 when they do not and no agent runs.",
    .options = option_defs,
};

struct spool_file {
    char *path;
    uint64_t bytes;
    struct wal_header header;
};
struct ledger {
    struct agent_books books;
    struct spool_file *file;
    size_t n, cap;
    uint64_t waiting[AGENT_ROUTES_MAX];
    uint64_t quarantined; /* entries that cannot be read */
    bool running;
};

/* ---- the spool ---- */

static enum err take_file(void *ctx, const char *name)
{
    struct ledger *l = ctx;
    struct spool_file f = {.path = mem_printf("%s/queue/%s", l->books.data, name)};
    int fd = -1;
    enum err err = OK;
    if (!str_ends(str_c(name), STR(".wal"))) {
        mem_free(f.path);
        return OK;
    }
    TRY_OUT(io_open(f.path, IO_READ, &fd));
    TRY_OUT(io_size(fd, &f.bytes));
    TRY_OUT(wal_header_read(fd, f.path, &f.header));
    ARRAY_GROW(l->file, l->cap, l->n + 1);
    l->file[l->n++] = f;
    f.path = NULL;
out:
    io_close(fd);
    mem_free(f.path);
    return err;
}

static void count_body(void *ctx, struct blob *const *frame, uint32_t n, uint64_t position)
{
    struct ledger *l = ctx;
    uint32_t first;
    uint64_t rows = spool_body_rows(frame, n, &first);
    struct str note = first ? spool_note_of(frame[0]->bytes) : STR("");
    if (str_starts(note, SPOOL_BOOKS))
        intake_books_note(&l->books.intake, note, position + n);
    else if (first && position >= l->books.positions.spool &&
             tail_positions_read(&l->books.positions, note, "note") != OK)
        l->quarantined++;
    for (unsigned i = 0; i < l->books.n_routes; i++)
        if (l->books.route[i].position <= position)
            l->waiting[i] += rows;
}

static void count_damage(void *ctx, uint64_t from, uint64_t to, uint64_t entries)
{
    ((struct ledger *)ctx)->quarantined += entries;
}

static enum err count_file(struct ledger *l, size_t at)
{
    const struct spool_file *f = &l->file[at], *next = f + 1;
    struct wal_visitor v = {.ctx = l, .body = count_body, .damaged = count_damage};
    struct wal_result result;
    struct wal_span span = {.salt = f->header.salt,
                            .end = f->bytes,
                            .last = at + 1 == l->n,
                            .position_min = f->header.first_position,
                            .position_limit = UINT64_MAX};
    if (!span.last) {
        span.position_limit = next->header.first_position;
        if (next->header.prev_salt == f->header.salt)
            span.end = next->header.prev_end;
    }
    TRY(io_open(f->path, IO_READ, &span.fd));
    enum err err = wal_read(&span, &v, &result);
    io_close(span.fd);
    return err;
}

static enum err count_spool(struct ledger *l)
{
    char dir[4096];
    snprintf(dir, sizeof(dir), "%s/queue", l->books.data);
    TRY(io_list(dir, take_file, l));
    for (size_t i = 0; i < l->n; i++)
        TRY(count_file(l, i));
    return OK;
}

static bool agent_runs(const struct ledger *l)
{
    char path[4096];
    int fd = -1;
    snprintf(path, sizeof(path), "%s/queue/lock", l->books.data);
    if (io_open(path, IO_READ, &fd) != OK)
        return false;
    bool taken = flock(fd, LOCK_SH | LOCK_NB) != 0;
    io_close(fd);
    return taken;
}

/* ---- the books ---- */

static uint64_t from_files(const struct ledger *l)
{
    uint64_t n = l->books.positions.retired + l->books.positions.journal_records;
    for (size_t i = 0; i < l->books.positions.n; i++)
        n += l->books.positions.entry[i].records;
    return n;
}

static uint64_t read_records(const struct ledger *l)
{
    uint64_t n = from_files(l);
    for (unsigned i = 0; i < l->books.intake.n; i++)
        n += l->books.intake.source[i].accepted + l->books.intake.source[i].refused;
    return n;
}

static uint64_t dropped_before(const struct ledger *l)
{
    uint64_t n = l->books.positions.dropped;
    for (unsigned i = 0; i < l->books.intake.n; i++)
        n += l->books.intake.source[i].dropped;
    return n;
}

static int64_t off_by(const struct ledger *l, unsigned route)
{
    const struct agent_route *r = &l->books.route[route];
    return (int64_t)(dropped_before(l) + r->before + r->sent + r->dropped + r->dead + r->lost +
                     l->waiting[route]) -
           (int64_t)read_records(l);
}

static bool balanced(const struct ledger *l)
{
    bool all = !l->quarantined;
    for (unsigned i = 0; i < l->books.n_routes; i++)
        all = all && !off_by(l, i);
    return all;
}

static void print_sources(const struct ledger *l)
{
    if (!l->books.intake.n)
        return;
    printf("%12s %12s %12s  %s\n", "in", "refused", "dropped", "source");
    printf("%12" PRIu64 " %12d %12" PRIu64 "  files\n", from_files(l), 0,
           l->books.positions.dropped);
    for (unsigned i = 0; i < l->books.intake.n; i++) {
        const struct intake_source *s = &l->books.intake.source[i];
        printf("%12" PRIu64 " %12" PRIu64 " %12" PRIu64 "  %s\n", s->accepted + s->refused,
               s->refused, s->dropped, s->name);
    }
    printf("\n");
}

static void print_text(const struct ledger *l)
{
    printf("%12" PRIu64 "  read\n%12" PRIu64 "  dropped before the spool\n\n", read_records(l),
           dropped_before(l));
    print_sources(l);
    printf("%12s %12s %12s %12s  %s\n", "sent", "dropped", "dead", "waiting", "route");
    for (unsigned i = 0; i < l->books.n_routes; i++) {
        const struct agent_route *r = &l->books.route[i];
        int64_t off = off_by(l, i);
        printf("%12" PRIu64 " %12" PRIu64 " %12" PRIu64 " %12" PRIu64 "  %s", r->sent, r->dropped,
               r->dead, l->waiting[i], r->name);
        if (off)
            printf(": %" PRIi64 " records too %s", off > 0 ? off : -off, off > 0 ? "many" : "few");
        printf("\n");
    }
    if (l->quarantined)
        printf("\n%" PRIu64 " entries of the spool cannot be read\n", l->quarantined);
    printf("\nthe books %s%s\n", balanced(l) ? "balance" : "do not balance",
           l->running && !balanced(l) ? "; but the agent runs, and the counts move" : "");
}

static void print_json(const struct ledger *l)
{
    printf("{\"read\":%" PRIu64 ",\"dropped\":%" PRIu64 ",\"unreadable\":%" PRIu64
           ",\"running\":%s,\"balanced\":%s,\"sources\":[",
           read_records(l), dropped_before(l), l->quarantined, l->running ? "true" : "false",
           balanced(l) ? "true" : "false");
    printf("{\"source\":\"files\",\"in\":%" PRIu64 ",\"refused\":0,\"dropped\":%" PRIu64 "}",
           from_files(l), l->books.positions.dropped);
    for (unsigned i = 0; i < l->books.intake.n; i++) {
        const struct intake_source *s = &l->books.intake.source[i];
        struct buf name;
        buf_init(&name, SIZE_MAX);
        json_put_string(&name, str_c(s->name));
        printf(",{\"source\":%.*s,\"in\":%" PRIu64 ",\"refused\":%" PRIu64 ",\"dropped\":%" PRIu64
               "}",
               STR_ARG(buf_str(&name)), s->accepted + s->refused, s->refused, s->dropped);
        buf_release(&name);
    }
    printf("],\"routes\":[");
    for (unsigned i = 0; i < l->books.n_routes; i++) {
        const struct agent_route *r = &l->books.route[i];
        printf("%s{\"route\":\"%s\",\"sent\":%" PRIu64 ",\"dropped\":%" PRIu64 ",\"dead\":%" PRIu64
               ",\"waiting\":%" PRIu64 ",\"before\":%" PRIu64 ",\"lost\":%" PRIu64 "}",
               i ? "," : "", r->name, r->sent, r->dropped, r->dead, l->waiting[i], r->before,
               r->lost);
    }
    printf("]}\n");
}

int cmd_ledger(int argc, char **argv)
{
    struct options o;
    struct ledger l = {0};
    int status = options_parse(&o, &ledger_command, argc, argv);
    if (status >= 0)
        return status;
    if (!options_has(&o, "data"))
        return ledger_remote(&ledger_command, &o);
    enum err err = agent_books_read(&l.books, options_value(&o, "data"));
    if (err == OK) {
        l.running = agent_runs(&l);
        err = count_spool(&l);
    }
    if (err != OK)
        options_fail(&ledger_command, "%s", err_text());
    else if (options_has(&o, "json"))
        print_json(&l);
    else
        print_text(&l);
    bool good = err == OK && (l.running || balanced(&l));
    for (size_t i = 0; i < l.n; i++)
        mem_free(l.file[i].path);
    mem_free(l.file);
    tail_positions_release(&l.books.positions);
    return good ? 0 : 1;
}
