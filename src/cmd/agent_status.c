/* weir agent status: from the files of the agent's folder, as they were written a second ago. */
#include "cmd/agent.h"
#include "core/clock.h"
#include "core/io.h"
#include "core/mem.h"
#include "input/tail_positions.h"
#include "record/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { STATE_MAX = 4096 };

/* The last line of a state, if it is there. */
static void take_failing(struct agent_route *r, const char *text)
{
    const char *at = strstr(text, "\nfailing ");
    if (at && sscanf(at, " failing %lld %303[^\n]", &r->failing_since, r->error) < 1)
        r->failing_since = 0;
}

static enum err take_route(void *ctx, const char *name)
{
    struct agent_books *s = ctx;
    struct buf b;
    if (s->n_routes == AGENT_ROUTES_MAX || str_ends(str_c(name), STR(".tmp")))
        return OK;
    struct agent_route *r = &s->route[s->n_routes];
    char *path = mem_printf("%s/routes/%s", s->data, name);
    enum err err = io_read_file(path, STATE_MAX, &b);
    mem_free(path);
    TRY(err);
    buf_put_byte(&b, '\0');
    snprintf(r->name, sizeof(r->name), "%s", name);
    int n = sscanf(b.p,
                   "position %" SCNu64 " epoch %*x\nsent %" SCNu64 "\ndead %" SCNu64
                   "\ndropped %" SCNu64 "\nbefore %" SCNu64 "\nlost %" SCNu64,
                   &r->position, &r->sent, &r->dead, &r->dropped, &r->before, &r->lost);
    take_failing(r, b.p);
    buf_release(&b);
    s->n_routes += n >= 4; /* the first versions had no more */
    return OK;
}

static enum err take_queue_file(void *ctx, const char *name)
{
    struct agent_books *s = ctx;
    struct stat st;
    char *path = mem_printf("%s/queue/%s", s->data, name);
    if (stat(path, &st) == 0)
        s->spool_bytes += (uint64_t)st.st_blocks * 512;
    mem_free(path);
    return OK;
}

static int by_path(const void *a, const void *b)
{
    return strcmp(((const struct tail_entry *)a)->path, ((const struct tail_entry *)b)->path);
}

enum err agent_books_read(struct agent_books *s, const char *data)
{
    char path[4096];
    *s = (struct agent_books){.data = data ? data : "./weir-agent"};
    snprintf(path, sizeof(path), "%s/positions", s->data);
    if (!io_exists(path))
        return err_set(ERR_NOTFOUND, "%s is no agent's folder: it has no file \"positions\"",
                       s->data);
    TRY(tail_positions_load(&s->positions, path));
    if (s->positions.n)
        qsort(s->positions.entry, s->positions.n, sizeof(*s->positions.entry), by_path);
    s->records = s->positions.retired + s->positions.journal_records;
    for (size_t i = 0; i < s->positions.n; i++)
        s->records += s->positions.entry[i].records;
    TRY(intake_books_load(&s->intake, s->data));
    snprintf(path, sizeof(path), "%s/routes", s->data);
    TRY(io_list(path, take_route, s));
    snprintf(path, sizeof(path), "%s/queue", s->data);
    return io_list(path, take_queue_file, s);
}

/* The size of the entry's file now; false when its path leads to another, or nowhere. */
static bool size_now(const struct tail_entry *e, uint64_t *ret)
{
    struct stat st;
    bool same = stat(e->path, &st) == 0 && st.st_ino == e->inode && st.st_dev == e->device;
    *ret = same ? (uint64_t)st.st_size : e->offset;
    return same;
}

uint64_t agent_books_taken(const struct agent_books *s)
{
    uint64_t n = s->records - s->positions.dropped;
    for (unsigned i = 0; i < s->intake.n; i++) {
        const struct intake_source *in = &s->intake.source[i];
        n += in->accepted + in->refused - in->dropped;
    }
    return n;
}

static uint64_t waiting(const struct agent_books *s, const struct agent_route *r)
{
    uint64_t gone = r->before + r->sent + r->dead + r->dropped + r->lost;
    uint64_t taken = agent_books_taken(s);
    return taken > gone ? taken - gone : 0;
}

/* A route that has nothing to send has not tried again. */
static bool is_failing(const struct agent_books *s, const struct agent_route *r)
{
    return r->failing_since && waiting(s, r);
}

static void print_text(const struct agent_books *s)
{
    char a[STR_BYTES_TEXT], b[STR_BYTES_TEXT];
    int64_t now = clock_now_ns();
    printf("%12s %10s %10s %10s  %s\n", "offset", "behind", "records", "read", "file");
    for (size_t i = 0; i < s->positions.n; i++) {
        const struct tail_entry *e = &s->positions.entry[i];
        uint64_t size, lag;
        bool there = size_now(e, &size);
        lag = size > e->offset ? size - e->offset : 0;
        printf("%12" PRIu64 " %10s %10" PRIu64 " %8lld s  %s%s\n", e->offset, str_put_bytes(a, lag),
               e->records, (long long)((now - e->at_ns) / NS_PER_S), e->path,
               e->gone || !there ? " (gone)" : "");
    }
    if (s->positions.journal[0])
        printf("%12s %10s %10" PRIu64 " %10s  journald://\n", "", "", s->positions.journal_records,
               "");
    uint64_t dropped = s->positions.dropped;
    for (unsigned i = 0; i < s->intake.n; i++) {
        const struct intake_source *in = &s->intake.source[i];
        printf("%12s %10s %10" PRIu64 " %10s  %s\n", "", "", in->accepted + in->refused, "",
               in->name);
        dropped += in->dropped;
    }
    printf("\n%" PRIu64 " records read, %" PRIu64 " dropped, the spool takes %s\n\n",
           agent_books_taken(s) + dropped, dropped, str_put_bytes(b, s->spool_bytes));
    printf("%12s %10s %10s %10s  %s\n", "sent", "dropped", "dead", "waiting", "route");
    for (unsigned i = 0; i < s->n_routes; i++) {
        const struct agent_route *r = &s->route[i];
        printf("%12" PRIu64 " %10" PRIu64 " %10" PRIu64 " %10" PRIu64 "  %s\n", r->sent, r->dropped,
               r->dead, waiting(s, r), r->name);
        if (is_failing(s, r))
            printf("%12s %10s %10s %10s  cannot send for %lld s: %s\n", "", "", "", "",
                   (long long)(now / NS_PER_S) - r->failing_since, r->error);
    }
}

static void print_json(const struct agent_books *s)
{
    struct buf out;
    buf_init(&out, SIZE_MAX);
    buf_put_c(&out, "{\"files\":[");
    for (size_t i = 0; i < s->positions.n; i++) {
        const struct tail_entry *e = &s->positions.entry[i];
        uint64_t size;
        bool there = size_now(e, &size);
        buf_printf(&out, "%s{\"file\":", i ? "," : "");
        json_put_string(&out, str_c(e->path));
        buf_printf(&out,
                   ",\"offset\":%" PRIu64 ",\"size\":%" PRIu64 ",\"records\":%" PRIu64
                   ",\"age_s\":%lld,\"gone\":%s}",
                   e->offset, size, e->records, (long long)((clock_now_ns() - e->at_ns) / NS_PER_S),
                   e->gone || !there ? "true" : "false");
    }
    buf_put_c(&out, "],\"inputs\":[");
    for (unsigned i = 0; i < s->intake.n; i++) {
        const struct intake_source *in = &s->intake.source[i];
        buf_printf(&out, "%s{\"input\":", i ? "," : "");
        json_put_string(&out, str_c(in->name));
        buf_printf(&out,
                   ",\"accepted\":%" PRIu64 ",\"refused\":%" PRIu64 ",\"dropped\":%" PRIu64 "}",
                   in->accepted, in->refused, in->dropped);
    }
    buf_printf(&out,
               "],\"journal_records\":%" PRIu64 ",\"records\":%" PRIu64 ",\"dropped\":%" PRIu64
               ",\"spool_bytes\":%" PRIu64 ",\"routes\":[",
               s->positions.journal_records, s->records, s->positions.dropped, s->spool_bytes);
    for (unsigned i = 0; i < s->n_routes; i++) {
        const struct agent_route *r = &s->route[i];
        buf_printf(&out, "%s{\"route\":", i ? "," : "");
        json_put_string(&out, str_c(r->name));
        buf_printf(&out,
                   ",\"sent\":%" PRIu64 ",\"dropped\":%" PRIu64 ",\"dead\":%" PRIu64
                   ",\"waiting\":%" PRIu64,
                   r->sent, r->dropped, r->dead, waiting(s, r));
        if (is_failing(s, r)) {
            buf_printf(&out, ",\"failing_since\":%lld,\"error\":", r->failing_since);
            json_put_string(&out, str_c(r->error));
        }
        buf_put_byte(&out, '}');
    }
    buf_put_c(&out, "]}\n");
    fwrite(out.p, 1, out.n, stdout);
    buf_release(&out);
}

int agent_status(const struct command *c, const struct options *o)
{
    struct agent_books s;
    enum err err = agent_books_read(&s, options_value(o, "data"));
    if (err != OK)
        options_fail(c, "%s", err_text());
    else if (options_has(o, "json"))
        print_json(&s);
    else
        print_text(&s);
    tail_positions_release(&s.positions);
    return err == OK ? 0 : 1;
}
