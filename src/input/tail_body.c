/* From lines to bodies of the spool: a batch takes the records, a full one becomes a frame, frames
 * of BODY_BYTES become a body, with a note of every file that has a record in it. Only when the
 * spool has it the positions move. */
#include "core/clock.h"
#include "core/log.h"
#include "core/mem.h"
#include "input/tail_impl.h"
#include "record/derive.h"
#include "record/frame.h"
#include "record/text_line.h"

#include <errno.h>
#include <iconv.h>
#include <inttypes.h>
#include <stdio.h>

enum { RECORD_EXTRA = 1024 };
#define RETRY_NS (200 * NS_PER_MS)

static struct str service_of(struct tail *t, const struct tail_file *f)
{
    if (f->service[0])
        return str_c(f->service);
    if (t->service[0])
        return str_c(t->service);
    const char *slash = strrchr(f->e.path, '/');
    struct str name = str_c(slash ? slash + 1 : f->e.path);
    return str_of(name.p, str_find_byte(name, '.', 1));
}

/* ---- encodings ---- */

/* A line as UTF-8; what cannot be converted becomes U+FFFD. */
static struct str to_utf8(struct tail *t, struct str line)
{
    char *in = (char *)(uintptr_t)line.p;
    size_t left = line.n;
    buf_clear(&t->text);
    (void)iconv((iconv_t)t->iconv, NULL, NULL, NULL, NULL);
    while (left) {
        size_t room = left * 4 + 16, space = room;
        char *to = buf_reserve(&t->text, room + JSON_PADDING), *at = to;
        size_t n = iconv((iconv_t)t->iconv, &in, &left, &at, &space);
        t->text.n += room - space;
        if (n != (size_t)-1 || errno == E2BIG)
            continue;
        buf_put_c(&t->text, "\xef\xbf\xbd");
        in++;
        left--;
    }
    if (!buf_reserve(&t->text, JSON_PADDING))
        BUG("a text buffer without a bound is full");
    return buf_str(&t->text);
}

/* ---- records ---- */

/* What the chain makes of the batch; *ret: that, NULL when nothing is left. */
static enum err change(struct tail *t, struct batch **ret)
{
    struct tail_body *b = &t->body;
    struct rows *in = ARENA_NEW(&b->arena, struct rows), out;
    *ret = b->batch;
    if (!t->o.chain)
        return OK;
    batch_view(b->batch, &b->arena, in);
    TRY(chain_run(t->o.chain, 0, UINT32_MAX, in, b->arrival_ns, &b->arena, &out));
    b->dropped += in->n - out.n;
    batch_clear(b->changed);
    if (out.n)
        TRY(batch_append_rows(b->changed, &out, NULL, out.n));
    *ret = out.n ? b->changed : NULL;
    return OK;
}

static enum err encode(struct tail *t, const struct frame_info *info)
{
    struct tail_body *b = &t->body;
    struct batch *batch;
    TRY(change(t, &batch));
    return batch ? frame_encode(batch, info, &b->encoded) : OK;
}

static enum err seal(struct tail *t)
{
    struct tail_body *b = &t->body;
    if (!batch_rows(b->batch))
        return OK;
    struct frame_info info = {.org = STR("default"),
                              .stream = str_c(t->stream),
                              .arrival_ns = b->arrival_ns,
                              .part = b->n,
                              .parts = b->n + 1,
                              .lz4 = true};
    buf_clear(&b->encoded);
    enum err err = encode(t, &info);
    arena_reset(&b->arena);
    TRY(err);
    batch_clear(b->batch);
    if (!b->encoded.n)
        return OK;
    ARRAY_GROW(b->frame, b->cap, b->n + 1);
    b->frame[b->n++] = blob_copy(buf_str(&b->encoded), OWNER_QUEUE);
    b->bytes += b->encoded.n;
    return OK;
}

/* What a line's record has beside the line. */
struct envelope {
    const struct tail_line *line;
    const struct tail_about *about; /* NULL: no container */
    struct str host, service, path;
};

static struct envelope envelope_of(struct tail *t, struct tail_file *f,
                                   const struct tail_line *line)
{
    struct envelope e = {line, f->source ? tail_about_get(t, f) : NULL, str_c(t->host),
                         service_of(t, f), str_c(f->e.path)};
    if (e.about && e.about->host.n)
        e.host = buf_str(&e.about->host);
    if (e.about && e.about->service.n && !t->service[0])
        e.service = buf_str(&e.about->service);
    return e;
}

static void put_about(struct tail *t, const struct envelope *e)
{
    struct batch *b = t->body.batch;
    struct json_item item = {.text = buf_str(&e->about->json), .lane = LANE_JSON};
    batch_text(b, STR("stream"), LANE_STR, str_c(e->line->stream));
    batch_put_json(b, str_c(e->about->key), &item, &t->body.arena);
}

static void add_text(struct tail *t, const struct envelope *e, struct str line)
{
    struct batch *b = t->body.batch;
    struct text_line is;
    text_line_read(line, t->body.arrival_ns, &is);
    batch_begin(b);
    batch_text(b, STR("message"), LANE_STR, line);
    if (is.level.n)
        batch_text(b, STR("level"), LANE_STR, is.level);
    if (e->line->has_time)
        batch_time(b, e->line->time_ns);
    else if (is.has_time)
        batch_time(b, is.time_ns);
    if (e->about)
        put_about(t, e);
    batch_text(b, STR("host"), LANE_STR, e->host);
    if (e->path.n)
        batch_text(b, STR("file"), LANE_STR, e->path);
    batch_text(b, STR("service"), LANE_STR, e->service);
    batch_end(b, t->body.arrival_ns, line);
}

/* The members of a container behind those of the record. */
static struct str with_about(struct tail *t, const struct envelope *e, struct str line)
{
    struct buf *to = &t->text;
    buf_clear(to);
    buf_put(to, line.p, line.n - 1);
    buf_printf(to,
               "%s\"stream\":\"%s\",\"%s\":", str_trim(str_of(line.p + 1, line.n - 2)).n ? "," : "",
               e->line->stream, e->about->key);
    buf_put_str(to, buf_str(&e->about->json));
    buf_put_byte(to, '}');
    if (!buf_reserve(to, JSON_PADDING))
        BUG("a text buffer without a bound is full");
    return buf_str(to);
}

static bool add_json(struct tail *t, const struct envelope *e, struct str line)
{
    if (e->about)
        line = with_about(t, e, line);
    json_reader_defaults(t->json, e->service, e->host);
    json_reader_file(t->json, e->path);
    json_reader_time(t->json, e->line->has_time, e->line->time_ns);
    return json_read_record(t->json, line, t->body.arrival_ns, t->body.batch) == OK;
}

enum err tail_body_room(struct tail *t, size_t bytes)
{
    struct tail_body *b = &t->body;
    if (batch_full(b->batch, bytes + RECORD_EXTRA))
        TRY(seal(t));
    if (!batch_rows(b->batch))
        b->arrival_ns = clock_now_ns();
    return OK;
}

enum err tail_body_add(struct tail *t, struct tail_file *f, const struct tail_line *l)
{
    struct tail_body *b = &t->body;
    struct str line = l->text;
    if (t->iconv && !f->source) {
        line = to_utf8(t, line);
        line.n -= line.n && line.p[line.n - 1] == '\r';
    }
    struct envelope e = envelope_of(t, f, l);
    TRY(tail_body_room(t, line.n + (e.about ? e.about->json.n : 0)));
    bool json = !t->o.text && line.n > 1 && line.p[0] == '{' && line.p[line.n - 1] == '}';
    if (!json || !add_json(t, &e, line))
        add_text(t, &e, line);
    f->e.records++;
    f->touched = b->any = true;
    return OK;
}

/* ---- commit ---- */

static void note_entry(struct tail *t, const struct tail_file *f, struct buf *note)
{
    struct tail_entry e = f->e;
    e.at_ns = t->body.arrival_ns;
    tail_entry_write(&e, note);
}

static void pause_blocked(struct tail *t)
{
    pthread_mutex_lock(&t->lock);
    if (!t->status.blocked)
        log_warn("the spool takes nothing, the reading of files stands", "error=\"%s\"",
                 err_text());
    t->status.blocked = true;
    snprintf(t->status.last_error, sizeof(t->status.last_error), "%s", err_text());
    pthread_mutex_unlock(&t->lock);
    tail_save_if_due(t);
    clock_sleep_ms(RETRY_NS / NS_PER_MS);
}

static void committed(struct tail *t, uint64_t position)
{
    struct tail_body *b = &t->body;
    uint64_t records = 0;
    for (size_t i = 0; i < t->n; i++) {
        struct tail_file *f = t->file[i];
        if (!f->touched)
            continue;
        f->touched = false;
        f->e.at_ns = b->arrival_ns;
        size_t at = tail_positions_find(&t->positions, f->e.device, f->e.inode);
        records += f->e.records - (at == SIZE_MAX ? 0 : t->positions.entry[at].records);
        tail_positions_put(&t->positions, &f->e);
    }
    if (t->stdin)
        records += tail_stdin_committed(t, t->stdin);
    if (t->journal)
        records += tail_journal_committed(t, t->journal);
    t->positions.spool = position + b->n + 1;
    t->unsaved = true;
    t->positions.dropped += b->dropped;
    b->dropped = 0;
    b->any = false;
    b->n = 0;
    b->bytes = 0;
    metric_add(t->records_metric, (int64_t)records);
    pthread_mutex_lock(&t->lock);
    t->status.blocked = false;
    t->status.records += records;
    t->status.dropped = t->positions.dropped;
    t->status.idle_since_ns = clock_mono_ns();
    pthread_mutex_unlock(&t->lock);
}

enum err tail_body_commit(struct tail *t)
{
    struct tail_body *b = &t->body;
    struct buf note;
    uint64_t position = 0;
    TRY(seal(t));
    if (!b->any)
        return OK;
    buf_init(&note, SIZE_MAX);
    for (size_t i = 0; i < t->n; i++)
        if (t->file[i]->touched)
            note_entry(t, t->file[i], &note);
    if (t->stdin)
        tail_stdin_note(t, t->stdin, &note);
    if (t->journal)
        tail_journal_note(t->journal, &note);
    if (b->dropped)
        buf_printf(&note, "dropped %" PRIu64 "\n", t->positions.dropped + b->dropped);
    enum err err;
    while ((err = spool_append(t->spool, buf_str(&note), b->frame, b->n, &position)) != OK) {
        if (tail_stopping(t))
            break;
        pause_blocked(t);
    }
    buf_release(&note);
    if (err != OK)
        return ERR_CANCELED;
    committed(t, position);
    return OK;
}
