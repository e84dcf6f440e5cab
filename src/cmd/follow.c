/* The tail's lines are held until the line of its cursor comes: what is shown is what the cursor
 * covers, and a connection that breaks in between costs nothing and repeats nothing. */
#include "cmd/follow.h"

#include "core/clock.h"

#include <jansson.h>
#include <stdio.h>

enum { BEGIN_RECORDS = 10, PAUSE_MS_FIRST = 100, PAUSE_MS_MAX = 5000, SILENT_S = 40 };

struct follower {
    const struct options *o;
    struct http_client *c;
    enum err (*record)(void *ctx, struct str line);
    void *ctx;
    struct buf cursor, rest, lines; /* cursor "": none yet */
    bool alive, complained;
};

static enum err show(struct follower *f, struct str meta)
{
    struct str lines = buf_str(&f->lines), line;
    json_t *row = json_loadb(meta.p, meta.n, 0, NULL);
    const char *cursor =
        json_string_value(json_object_get(json_object_get(row, "_meta"), "cursor"));
    enum err err = OK;
    while (lines.n && err == OK && str_split(&lines, '\n', &line))
        if (line.n)
            err = f->record(f->ctx, line);
    if (cursor) {
        buf_clear(&f->cursor);
        buf_put_str(&f->cursor, str_c(cursor));
    }
    json_decref(row);
    buf_clear(&f->lines);
    if (fflush(stdout) != 0)
        err = err_set(ERR_CANCELED, "cannot write to standard output");
    return err;
}

static enum err take_line(struct follower *f, struct str line)
{
    f->alive = true;
    if (str_starts(line, STR("{\"_meta\":{\"cursor\":")))
        return show(f, line);
    TRY(buf_add(&f->lines, line.p, line.n));
    return buf_add(&f->lines, "\n", 1);
}

static enum err take_bytes(void *ctx, struct str bytes)
{
    struct follower *f = ctx;
    size_t end;
    while ((end = str_find_byte(bytes, '\n', 0)) < bytes.n) {
        TRY(buf_add(&f->rest, bytes.p, end));
        if (f->rest.n)
            TRY(take_line(f, buf_str(&f->rest)));
        buf_clear(&f->rest);
        bytes = str_from(bytes, end + 1);
    }
    return buf_add(&f->rest, bytes.p, bytes.n);
}

static void begin_request(struct follower *f)
{
    static const char *const names[] = {"stream", "from", "to"};
    char limit[24];
    http_client_begin(f->c, "GET", "/api/v1/logs/tail");
    http_client_param(f->c, "q", str_c(f->o->arg[0]));
    http_client_param(f->c, "meta", STR("1"));
    for (int i = 0; i < 3; i++)
        if (options_has(f->o, names[i]))
            http_client_param(f->c, names[i], str_c(options_value(f->o, names[i])));
    snprintf(limit, sizeof(limit), "%d", BEGIN_RECORDS);
    if (f->cursor.n)
        http_client_param(f->c, "after", buf_str(&f->cursor));
    else
        http_client_param(f->c, "limit",
                          str_c(options_has(f->o, "limit") ? options_value(f->o, "limit") : limit));
    http_client_silence(f->c, SILENT_S);
    buf_clear(&f->rest);
    buf_clear(&f->lines);
    f->alive = false;
}

/* Whether it is worth to ask again; says why it is waited for, once an outage. */
static bool may_go_on(struct follower *f, enum err err, const struct http_answer *a)
{
    bool lost = err == ERR_UNAVAILABLE || err == ERR_TIMEOUT;
    bool ended = err == OK && a->status == 200, busy = err == OK && a->status >= 500;
    if (err == OK && !ended && !busy) {
        remote_explain(f->o->command, a);
        return false;
    }
    if (!lost && !ended && !busy)
        return false;
    if (f->alive)
        f->complained = false;
    if (!f->complained && lost)
        fprintf(stderr, "weir search: %s; waiting for it\n", err_text());
    else if (!f->complained)
        fprintf(stderr, "weir search: the server %s; waiting for it\n",
                ended ? "stopped" : "is not ready");
    f->complained = true;
    return true;
}

int follow(const struct options *o, struct http_client *c,
           enum err (*record)(void *ctx, struct str line), void *ctx)
{
    struct follower f = {.o = o, .c = c, .record = record, .ctx = ctx};
    struct http_answer a = {0};
    int64_t pause_ms = PAUSE_MS_FIRST;
    int status = 0;
    buf_init(&a.body, 1 << 20);
    buf_init(&f.cursor, 1 << 20);
    buf_init(&f.rest, 1 << 30);
    buf_init(&f.lines, 1 << 30);
    for (;;) {
        begin_request(&f);
        enum err err = http_client_send(c, STR(""), 0, take_bytes, &f, &a);
        if (!may_go_on(&f, err, &a)) {
            if (err != OK && err != ERR_CANCELED)
                status = options_fail(o->command, "%s", err_text());
            else if (err == OK)
                status = 2;
            break;
        }
        pause_ms = f.alive ? PAUSE_MS_FIRST : pause_ms * 2;
        clock_sleep_ms(pause_ms > PAUSE_MS_MAX ? PAUSE_MS_MAX : pause_ms);
    }
    buf_release(&a.body);
    buf_release(&f.cursor);
    buf_release(&f.rest);
    buf_release(&f.lines);
    return status;
}
