/* weir ingest: files to a server, in batches of whole lines, each under a key of its own so that a
 * retry lands once. A document that is one piece of JSON goes as one body. */
#include "pipeline/ingest.h"
#include "cmd/commands.h"
#include "cmd/sender.h"
#include "cmd/source.h"
#include "core/clock.h"

#include <stdio.h>
#include <unistd.h>

enum {
    BATCH_BYTES = 4 << 20,
    BODY_BYTES_MAX = 63 << 20,
    SNIFF_BYTES = 64 << 10,
    FILES_MAX = 1000000
};

static const struct option_def option_defs[] = {
    REMOTE_OPTIONS,
    {"stream", 's', "NAME", "The stream they go to (default)."},
    {"format", 'f', "FORMAT", "ndjson, json or text (what the first bytes look like).",
     .choices = "ndjson|json|text"},
    {"batch-bytes", 0, "BYTES", "Bytes of a batch (4194304)."},
    {"retry-for", 0, "SECONDS", "How long a batch is tried while the server is away (300)."},
    {"quiet", 'q', NULL, "No progress, no summary."},
    {0},
};
const struct command ingest_command = {
    .name = "ingest",
    .summary = "Sends files or standard input to a server",
    .usage = "[options] FILE...|-",
    .text = "Sends files, or standard input (-), to a server. A record is a line: a JSON object, "
            "or text.\n"
            ".gz and .zst are undone. What is acknowledged is durable; retries land once. Records "
            "that the\n"
            "server refuses are named here and kept there, in the stream _dead_letters.\n\n"
            "  weir ingest --stream app app.ndjson.zst /var/log/app/*.log.gz\n"
            "  journalctl -o json -f | weir ingest --stream journal -",
    .options = option_defs,
    .takes_files = true,
    .args_min = 1,
    .args_max = FILES_MAX,
};

struct upload {
    struct sender sender;
    const char *format; /* as asked, or NULL */
    size_t batch_bytes;
    bool bar, quiet;
    int64_t began_ns, shown_ns;
    const char *path; /* of the file under way */
    const struct source *source;
    struct buf pending;
    const char *type; /* of the file's bodies; NULL: not decided yet */
};

/* ---- progress ---- */

static void show(struct upload *u, const char *note)
{
    uint64_t done, total;
    int64_t now = clock_mono_ns();
    if (!u->bar || (!note && now - u->shown_ns < 100 * NS_PER_MS))
        return;
    u->shown_ns = now;
    source_progress(u->source, &done, &total);
    double seconds = (double)(now - u->began_ns) / 1e9;
    uint64_t records = u->sender.accepted + u->sender.rejected + u->sender.duplicates;
    char bar[31] = "", percent[16] = "";
    if (total) {
        int filled = (int)(done * 30 / total);
        for (int i = 0; i < 30; i++)
            bar[i] = i < filled ? '#' : '.';
        bar[30] = 0;
        snprintf(percent, sizeof(percent), " %3d%%", (int)(done * 100 / total));
    }
    fprintf(stderr, "\r\033[K%.30s %s%s  %llu records, %.0f/s%s%.60s", u->path, bar, percent,
            (unsigned long long)records, seconds > 0 ? (double)records / seconds : 0.0,
            note ? "  " : "", note ? note : "");
    fflush(stderr);
}

static void on_waiting(void *ctx, const char *why)
{
    struct upload *u = ctx;
    if (u->bar)
        show(u, why);
    else if (!u->quiet)
        fprintf(stderr, "weir ingest: waiting: %s\n", why);
}

/* ---- batches ---- */

static enum err decide_type(struct upload *u)
{
    static const char *const types[] = {[WIRE_JSON] = "application/json",
                                        [WIRE_NDJSON] = "application/x-ndjson",
                                        [WIRE_TEXT] = "text/plain"};
    const char *f = u->format;
    if (!f)
        u->type = types[ingest_sniff(buf_str(&u->pending))];
    else if (!strcmp(f, "ndjson"))
        u->type = types[WIRE_NDJSON];
    else if (!strcmp(f, "json"))
        u->type = types[WIRE_JSON];
    else if (!strcmp(f, "text"))
        u->type = types[WIRE_TEXT];
    else
        return err_set(ERR_INVALID, "--format %s: ndjson, json or text is wanted", f);
    return OK;
}

static bool by_line(const struct upload *u)
{
    return strcmp(u->type, "application/json") != 0;
}

/* Sends the whole lines that wait, or all when it is the end. */
static enum err flush(struct upload *u, bool end)
{
    size_t n = u->pending.n;
    while (!end && n > 0 && u->pending.p[n - 1] != '\n')
        n--;
    if (n == 0)
        return OK;
    TRY(sender_send(&u->sender, str_of(u->pending.p, n), u->type));
    memmove(u->pending.p, u->pending.p + n, u->pending.n - n);
    u->pending.n -= n;
    show(u, NULL);
    return OK;
}

static enum err take_some(struct upload *u, bool idle)
{
    struct buf *b = &u->pending;
    if (!u->type && (b->n >= SNIFF_BYTES || (idle && b->n > 0)))
        TRY(decide_type(u));
    if (!u->type)
        return OK;
    if (by_line(u) && (idle || b->n >= u->batch_bytes))
        TRY(flush(u, false));
    if (b->n > BODY_BYTES_MAX)
        return err_set(ERR_LIMIT, "a %s of more than %d bytes cannot be sent",
                       by_line(u) ? "line" : "JSON document (make it NDJSON: a record a line)",
                       BODY_BYTES_MAX);
    return OK;
}

static enum err upload_source(struct upload *u, struct source *s)
{
    for (;;) {
        bool idle;
        enum err err = source_read(s, &u->pending, &idle);
        if (err == ERR_EOF)
            break;
        TRY(err);
        TRY(take_some(u, idle));
        show(u, NULL);
    }
    if (!u->type)
        TRY(decide_type(u));
    if (by_line(u))
        TRY(flush(u, false));
    return flush(u, true);
}

static enum err upload_file(struct upload *u, const char *path)
{
    struct source *s;
    TRY(source_open(path, &s));
    u->path = path;
    u->source = s;
    u->type = NULL;
    buf_clear(&u->pending);
    enum err err = upload_source(u, s);
    show(u, "");
    source_close(s);
    return err;
}

static void summarise(const struct upload *u)
{
    double seconds = (double)(clock_mono_ns() - u->began_ns) / 1e9;
    const struct sender *s = &u->sender;
    if (u->quiet)
        return;
    fprintf(stderr, "%s%llu accepted, %llu refused, %llu duplicates in %.1f s\n",
            u->bar ? "\r\033[K" : "", (unsigned long long)s->accepted,
            (unsigned long long)s->rejected, (unsigned long long)s->duplicates, seconds);
}

int cmd_ingest(int argc, char **argv)
{
    struct options o;
    struct upload u = {0};
    uint64_t batch_bytes;
    int status = options_parse(&o, &ingest_command, argc, argv);
    if (status >= 0)
        return status;
    if (!options_number(&o, "batch-bytes", 1, BODY_BYTES_MAX - (1 << 20), BATCH_BYTES,
                        &batch_bytes))
        return 2;
    if (sender_init(&u.sender, &o) != OK)
        return options_fail(&ingest_command, "%s", err_text());
    u.batch_bytes = batch_bytes;
    u.format = options_value(&o, "format");
    u.quiet = options_has(&o, "quiet");
    u.bar = !u.quiet && isatty(STDERR_FILENO);
    u.sender.waiting = on_waiting;
    u.sender.ctx = &u;
    u.began_ns = clock_mono_ns();
    buf_init(&u.pending, (size_t)BODY_BYTES_MAX + (4 << 20));
    status = 0;
    for (unsigned i = 0; i < o.n_args && status == 0; i++) {
        if (upload_file(&u, o.arg[i]) != OK) {
            fprintf(stderr, "%sweir ingest: %s: %s\n", u.bar ? "\n" : "", o.arg[i], err_text());
            status = 1;
        }
    }
    summarise(&u);
    buf_release(&u.pending);
    sender_release(&u.sender);
    return status;
}
