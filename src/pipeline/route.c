/* The thread of a route goes round: gather a bulk, send it until it is settled, note how far that
 * is. The state file:
 *
 *   position N epoch HEX      of the spool
 *   sent N
 *   dead N
 *   dropped N                 by the route's condition and transforms
 *   before N                  records of the spool from before the route was there
 *   lost N                    records that it was too far behind to get
 *   retry ID(hex) OFFSET      of the dead letters that are tried again, those before are settled
 *
 * A bulk that is refused as a whole is sent again unit by unit; the unit that is refused then goes
 * to the dead letters, and the others go on. */
#include "pipeline/route.h"

#include "core/clock.h"
#include "core/io.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/metrics.h"
#include "core/thread.h"
#include "filter/filter.h"
#include "pipeline/dead.h"
#include "record/derive.h"
#include "record/frame.h"
#include "record/json.h"
#include "record/timestamp.h"

#include <inttypes.h>
#include <stdio.h>

enum { STATE_MAX = 4096, RETRY_ROWS = 500, RETRY_ROOM = 1 << 20, RETRY_ROOM_MAX = 64 << 20 };
#define RETRY_LOOK_NS (2 * NS_PER_S)
#define SAVE_EVERY_NS NS_PER_S
#define RETRY_MIN_NS (200 * NS_PER_MS)
#define RETRY_MAX_NS (30 * NS_PER_S)
#define IDLE_NS (500 * NS_PER_MS)

/* A body of the spool in the bulk at hand. */
struct unit {
    uint32_t first, n;  /* items */
    uint64_t rows, end; /* the position behind it */
    uint64_t dropped;   /* of the rows, by condition and transforms */
    uint64_t refused;   /* by its transforms: to the dead letters */
};

struct route {
    struct route_options o;
    char *name, *state_path, *dead_path;
    unsigned hold;
    struct queue_reader *reader;
    pthread_t thread;
    bool started, is_new;

    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool woken, stopping;
    int64_t stop_at; /* monotonic */
    struct route_stats stats;

    /* The thread's own. */
    struct output_item *item;
    struct blob **blob; /* of each item, referenced */
    size_t items_cap, blobs_cap;
    uint32_t n;
    struct unit *unit;
    size_t units_cap;
    uint32_t n_units;
    uint64_t rows, bytes;
    uint64_t epoch; /* under which the units are sent: the spool's, or of letters tried again */
    size_t retry_room;
    uint64_t retry_id, retry_at; /* the file of letters tried again (0: none), and how far it is */
    int64_t retry_looked_ns;
    struct json_reader *json; /* of letters */
    int64_t saved_ns, pause_ns;
    bool unsaved;
    uint64_t refused;   /* rows, of the send at hand */
    struct buf dead;    /* lines for the dead letters */
    size_t dead_before; /* of them from transforms: they do not go away when a send is repeated */
    struct arena arena;
    struct batch *batch;
    struct metric *sent_metric, *dead_metric, *retries_metric, *lost_metric, *dropped_metric,
        *seconds_metric;
};

/* ---- state ---- */

static enum err load_state(struct route *r)
{
    struct buf b;
    if (!io_exists(r->state_path))
        return OK;
    TRY(io_read_file(r->state_path, STATE_MAX, &b));
    buf_put_byte(&b, '\0');
    struct route_stats *s = &r->stats;
    uint64_t epoch = 0;
    int n = sscanf(b.p,
                   "position %" SCNu64 " epoch %" SCNx64 "\nsent %" SCNu64 "\ndead %" SCNu64
                   "\ndropped %" SCNu64 "\nbefore %" SCNu64 "\nlost %" SCNu64 "\nretry %" SCNx64
                   " %" SCNu64,
                   &s->position, &epoch, &s->sent, &s->dead, &s->dropped, &s->before, &s->lost_rows,
                   &r->retry_id, &r->retry_at);
    buf_release(&b);
    r->is_new = false;
    n = n == 7 || n == 9 ? 5 : n; /* the first versions had no more */
    if (n == 5 && epoch != spool_epoch(r->o.spool))
        s->position = 1; /* the spool is another one */
    return n == 5 ? OK : err_set(ERR_CORRUPT, "%s cannot be read", r->state_path);
}

static enum err save_state(struct route *r)
{
    char text[400];
    struct route_stats s;
    route_stats(r, &s);
    int n = snprintf(text, sizeof(text),
                     "position %" PRIu64 " epoch %016" PRIx64 "\nsent %" PRIu64 "\ndead %" PRIu64
                     "\ndropped %" PRIu64 "\nbefore %" PRIu64 "\nlost %" PRIu64
                     "\nretry %016" PRIx64 " %" PRIu64 "\n",
                     s.position, spool_epoch(r->o.spool), s.sent, s.dead, s.dropped, s.before,
                     s.lost_rows, r->retry_id, r->retry_at);
    r->saved_ns = clock_mono_ns();
    TRY(io_write_file(r->state_path, str_of(text, (size_t)n)));
    r->unsaved = false;
    return OK;
}

/* What the file says is what may be trimmed. */
static void save_if_due(struct route *r, bool now)
{
    if (!r->unsaved || (!now && clock_mono_ns() - r->saved_ns < SAVE_EVERY_NS))
        return;
    if (save_state(r) != OK)
        log_error("a route's state cannot be written", "route=%s error=\"%s\"", r->name,
                  err_text());
    else
        spool_release(r->o.spool, r->hold, r->stats.position, 0);
}

/* ---- stopping and waiting ---- */

static bool must_stop(struct route *r)
{
    pthread_mutex_lock(&r->lock);
    bool stop = r->stopping && clock_mono_ns() >= r->stop_at;
    pthread_mutex_unlock(&r->lock);
    return stop;
}

static bool is_stopping(struct route *r)
{
    pthread_mutex_lock(&r->lock);
    bool stop = r->stopping;
    pthread_mutex_unlock(&r->lock);
    return stop;
}

/* Until something is appended, the time is over, or a stop. */
static void wait_until(struct route *r, int64_t deadline, bool only_stop)
{
    pthread_mutex_lock(&r->lock);
    bool stopping = r->stopping;
    while (clock_mono_ns() < deadline && (only_stop || !r->woken) && r->stopping == stopping &&
           !(r->stopping && clock_mono_ns() >= r->stop_at)) {
        int64_t until = r->stopping && r->stop_at < deadline ? r->stop_at : deadline;
        (void)cond_wait_until(&r->wake, &r->lock, until);
    }
    r->woken = false;
    pthread_mutex_unlock(&r->lock);
}

/* ---- dead letters ---- */

struct row_wanted {
    struct route *r;
    uint32_t row; /* UINT32_MAX: all */
    const char *reason, *stage;
};

static enum err put_dead(void *ctx, const struct output_row *row)
{
    struct row_wanted *w = ctx;
    struct buf *out = &w->r->dead;
    char time[TIME_TEXT_MAX];
    if (w->row != UINT32_MAX && row->row != w->row)
        return OK;
    buf_put_c(out, "{\"time\":\"");
    buf_put(out, time, time_rfc3339(clock_now_ns(), time));
    buf_put_c(out, "\",\"route\":");
    json_put_string(out, str_c(w->r->name));
    buf_put_c(out, ",\"reason\":");
    json_put_string(out, str_c(w->reason));
    buf_put_c(out, ",\"stream\":");
    json_put_string(out, row->stream);
    buf_put_c(out, ",\"at\":\"");
    buf_put(out, time, time_rfc3339(row->time_ns, time));
    buf_printf(out, "\",\"stage\":\"%s\",\"record\":", w->stage);
    buf_put_str(out, row->json);
    buf_put_c(out, "}\n");
    return OK;
}

static void note_dead(struct route *r, const struct output_item *item, uint32_t row,
                      const char *reason, const char *stage)
{
    struct row_wanted w = {r, row, reason, stage};
    struct output_bulk one = {.item = item, .n = 1};
    if (output_each_row(&one, put_dead, &w) != OK)
        log_error("a dead letter cannot be written out", "route=%s error=\"%s\"", r->name,
                  err_text());
}

static void on_refused(void *ctx, uint32_t item, uint32_t row, const char *reason)
{
    struct route *r = ctx;
    r->refused++;
    note_dead(r, &r->item[item], row, reason, "output");
}

static enum err append_dead(struct route *r)
{
    TRY(dead_append(r->dead_path, buf_str(&r->dead)));
    buf_clear(&r->dead);
    r->dead_before = 0;
    return OK;
}

/* Blocks until they are on the disk, or a stop: then nothing was settled. */
static enum err save_dead(struct route *r)
{
    while (r->dead.n && append_dead(r) != OK) {
        log_error("dead letters cannot be written", "route=%s error=\"%s\"", r->name, err_text());
        if (must_stop(r))
            return ERR_CANCELED;
        wait_until(r, clock_mono_ns() + NS_PER_S, true);
    }
    return OK;
}

/* ---- gathering ---- */

static void drop_bulk(struct route *r)
{
    for (uint32_t i = 0; i < r->n; i++)
        blob_unref(r->blob[i]);
    r->n = r->n_units = 0;
    r->rows = r->bytes = 0;
    r->dead_before = 0;
}

static enum err change_rows(struct route *r, struct rows *rows, int64_t arrival_ns)
{
    struct rows *in = ARENA_NEW(&r->arena, struct rows);
    uint64_t *bits = ARENA_ARRAY(&r->arena, uint64_t, rows->n / 64 + 1);
    uint32_t *row = ARENA_ARRAY(&r->arena, uint32_t, rows->n), n = 0;
    if (r->o.where) {
        struct rows *all = ARENA_NEW(&r->arena, struct rows);
        TRY(filter_eval(r->o.where, rows, &r->arena, bits));
        for (uint32_t i = 0; i < rows->n; i++)
            if (bits[i / 64] >> i % 64 & 1)
                row[n++] = i;
        *all = *rows;
        if (n && n < rows->n)
            TRY(rows_repeat(all, row, n, &r->arena, rows));
        rows->n = n;
    }
    *in = *rows;
    return r->o.chain && rows->n
               ? chain_run(r->o.chain, 0, UINT32_MAX, in, arrival_ns, &r->arena, rows)
               : OK;
}

static enum err change_frame(struct route *r, struct str bytes, uint64_t position, uint32_t *rows_n,
                             struct buf *out)
{
    struct frame_info info;
    struct rows rows;
    TRY(frame_open(bytes, position, 0, &r->arena, &info, &rows));
    uint32_t had = rows.n;
    TRY(change_rows(r, &rows, info.arrival_ns));
    *rows_n = rows.n;
    if (!rows.n || (rows.n == had && !r->o.chain))
        return OK;
    batch_clear(r->batch);
    TRY(batch_append_rows(r->batch, &rows, NULL, rows.n));
    return frame_encode(r->batch, &info, out);
}

/* The frame as this route wants it, a reference of the caller's; *rows: what is left in it. What
 * cannot be transformed does not go on (a secret may be in it): it goes to the dead letters. */
static struct blob *take_frame(struct route *r, struct blob *frame, uint64_t position,
                               uint32_t *rows, uint64_t *refused)
{
    struct buf out;
    if (!r->o.where && !r->o.chain)
        return blob_ref(frame);
    uint32_t had = *rows;
    buf_init(&out, SIZE_MAX);
    enum err err = change_frame(r, frame->bytes, position, rows, &out);
    arena_reset(&r->arena);
    if (err != OK) {
        struct output_item item = {position, frame->bytes, had};
        char reason[300];
        snprintf(reason, sizeof(reason), "it could not be transformed: %.250s", err_text());
        log_error("records could not be transformed: to the dead letters", "route=%s error=\"%s\"",
                  r->name, reason);
        note_dead(r, &item, UINT32_MAX, reason, "transform");
        r->dead_before = r->dead.n;
        *rows = 0;
        *refused += had;
    }
    struct blob *made = err == OK && out.n ? blob_copy(buf_str(&out), OWNER_QUEUE) : NULL;
    buf_release(&out);
    return made ? made : *rows ? blob_ref(frame) : NULL;
}

static void add_body(struct route *r, const struct queue_read *body)
{
    uint32_t first;
    struct unit u = {.first = r->n, .end = body->first_position + body->n};
    (void)spool_body_rows(body->frame, body->n, &first);
    for (uint32_t i = first; i < body->n; i++) {
        uint32_t rows = (uint32_t)spool_body_rows(&body->frame[i], 1, &(uint32_t){0}), left = rows;
        struct blob *frame = take_frame(r, body->frame[i], body->first_position, &left, &u.refused);
        u.rows += rows;
        u.dropped += rows - left;
        if (!left)
            continue;
        ARRAY_GROW(r->item, r->items_cap, r->n + 1);
        ARRAY_GROW(r->blob, r->blobs_cap, r->n + 1);
        r->blob[r->n] = frame;
        r->item[r->n++] = (struct output_item){body->first_position, frame->bytes, left};
        r->bytes += frame->bytes.n;
    }
    u.n = r->n - u.first;
    r->rows += u.rows;
    ARRAY_GROW(r->unit, r->units_cap, r->n_units + 1);
    r->unit[r->n_units++] = u;
}

static bool bulk_full(const struct route *r)
{
    const struct output_gather *g = &r->o.settings.gather;
    return r->rows >= g->rows || r->bytes >= g->bytes;
}

/* The queue under the spool keeps only so much for a route that is behind. */
static void catch_up(struct route *r)
{
    uint64_t position, rows;
    if (!spool_left_behind(r->o.spool, r->hold, r->stats.position, &position, &rows))
        return;
    log_error("a route was too far behind: it goes on with what is kept",
              "route=%s lost_records=%" PRIu64, r->name, rows);
    queue_reader_free(r->reader);
    r->reader = queue_reader_new(spool_queue(r->o.spool), position);
    pthread_mutex_lock(&r->lock);
    r->stats.position = position;
    r->stats.lost_rows += rows;
    pthread_mutex_unlock(&r->lock);
    metric_add(r->lost_metric, (int64_t)rows);
    r->unsaved = true;
}

/* False when there is nothing to send. */
static bool gather(struct route *r)
{
    struct queue_read body;
    int64_t began = clock_mono_ns();
    catch_up(r);
    for (;;) {
        enum err err = bulk_full(r) ? OK : queue_reader_next(r->reader, &body);
        if (bulk_full(r))
            return true;
        if (err == OK) {
            add_body(r, &body);
            continue;
        }
        if (err != ERR_AGAIN) {
            log_error("the spool cannot be read", "route=%s error=\"%s\"", r->name, err_text());
            wait_until(r, clock_mono_ns() + NS_PER_S, true);
        }
        int64_t until = began + r->o.settings.gather.wait_ns;
        if (r->n_units && (clock_mono_ns() >= until || is_stopping(r)))
            return true;
        if (!r->n_units)
            return false;
        wait_until(r, until, false);
    }
}

/* ---- sending ---- */

static void note_failure(struct route *r, enum err err, const char *text)
{
    pthread_mutex_lock(&r->lock);
    struct route_stats *s = &r->stats;
    if (err == OK) {
        if (s->failing)
            log_info("route works again", "route=%s", r->name);
        s->failing = false;
    } else {
        if (!s->failing)
            s->failing_since_ns = clock_now_ns();
        s->failing = true;
        s->retries++;
        snprintf(s->last_error, sizeof(s->last_error), "%s", text);
    }
    pthread_mutex_unlock(&r->lock);
}

static void pause_before_retry(struct route *r, int64_t asked_ns)
{
    int64_t ns = r->pause_ns / 2 + (int64_t)(random_u64() % (uint64_t)r->pause_ns);
    if (asked_ns > ns)
        ns = asked_ns < r->o.settings.retry_max_ns ? asked_ns : r->o.settings.retry_max_ns;
    wait_until(r, clock_mono_ns() + ns, true);
    r->pause_ns =
        r->pause_ns * 2 < r->o.settings.retry_max_ns ? r->pause_ns * 2 : r->o.settings.retry_max_ns;
}

/* Tries units [from, from + n) until they are settled or refused as a whole (ERR_INVALID).
 * ERR_CANCELED: a stop came first. */
static enum err send_units(struct route *r, uint32_t from, uint32_t n)
{
    const struct unit *first = &r->unit[from], *last = &r->unit[from + n - 1];
    struct output_bulk bulk = {.producer = spool_producer(r->o.spool),
                               .epoch = r->epoch,
                               .item = r->item + first->first,
                               .n = last->first + last->n - first->first,
                               .ctx = r,
                               .refuse = on_refused};
    for (uint32_t i = 0; i < n; i++)
        bulk.rows += r->unit[from + i].rows;
    for (uint32_t i = 0; i < bulk.n; i++)
        bulk.bytes += bulk.item[i].frame.n;
    if (!bulk.n)
        return save_dead(r);
    r->pause_ns = r->o.settings.retry_min_ns;
    for (;;) {
        int64_t wait_ns = 0, began = clock_mono_ns();
        r->dead.n = r->dead_before;
        r->refused = 0;
        enum err err = output_send(r->o.output, &bulk, &wait_ns);
        metric_observe_ns(r->seconds_metric, clock_mono_ns() - began);
        if (err == OK)
            err = save_dead(r);
        if (err == OK || err == ERR_CANCELED || err == ERR_INVALID || err == ERR_LIMIT) {
            note_failure(r, OK, "");
            return err == ERR_LIMIT ? ERR_INVALID : err;
        }
        metric_add(r->retries_metric, 1);
        log_warn("route cannot send, it will try again", "route=%s error=\"%s\"", r->name,
                 err_text());
        note_failure(r, err, err_text());
        if (must_stop(r))
            return ERR_CANCELED;
        pause_before_retry(r, wait_ns);
        if (must_stop(r))
            return ERR_CANCELED;
    }
}

static void settle(struct route *r, uint32_t from, uint32_t n, uint64_t dead)
{
    uint64_t rows = 0, dropped = 0;
    for (uint32_t i = from; i < from + n; i++) {
        rows += r->unit[i].rows;
        dropped += r->unit[i].dropped - r->unit[i].refused;
        dead += r->unit[i].refused;
    }
    pthread_mutex_lock(&r->lock);
    r->stats.sent += rows - dead - dropped;
    r->stats.dead += dead;
    r->stats.dropped += dropped;
    r->stats.position = r->unit[from + n - 1].end;
    r->stats.bulks++;
    r->stats.lost = queue_reader_lost(r->reader);
    spool_release(r->o.spool, r->hold, 0, rows);
    pthread_mutex_unlock(&r->lock);
    metric_add(r->sent_metric, (int64_t)(rows - dead - dropped));
    metric_add(r->dead_metric, (int64_t)dead);
    metric_add(r->dropped_metric, (int64_t)dropped);
    r->unsaved = true;
}

/* A unit that will never be taken. */
static enum err bury(struct route *r, uint32_t at)
{
    const struct unit *u = &r->unit[at];
    char reason[300];
    snprintf(reason, sizeof(reason), "%s", err_text());
    log_error("refused for good: to the dead letters", "route=%s records=%" PRIu64 " reason=\"%s\"",
              r->name, u->rows, reason);
    r->dead.n = r->dead_before;
    for (uint32_t i = u->first; i < u->first + u->n; i++)
        note_dead(r, &r->item[i], UINT32_MAX, reason, "output");
    TRY(save_dead(r));
    settle(r, at, 1, u->rows - u->dropped);
    return OK;
}

static enum err send_bulk(struct route *r)
{
    enum err err = send_units(r, 0, r->n_units);
    if (err == OK)
        settle(r, 0, r->n_units, r->refused);
    if (err != ERR_INVALID)
        return err;
    for (uint32_t i = 0; i < r->n_units; i++) {
        err = r->n_units > 1 ? send_units(r, i, 1) : ERR_INVALID;
        if (err == OK)
            settle(r, i, 1, r->refused);
        else if (err == ERR_INVALID)
            TRY(bury(r, i));
        else
            return err;
    }
    return OK;
}

/* ---- dead letters tried again ---- */

static void add_unit(struct route *r, struct blob *frame, uint64_t sequence, uint32_t rows)
{
    ARRAY_GROW(r->item, r->items_cap, r->n + 1);
    ARRAY_GROW(r->blob, r->blobs_cap, r->n + 1);
    r->blob[r->n] = frame;
    r->item[r->n++] = (struct output_item){sequence, frame->bytes, rows};
    r->bytes += frame->bytes.n;
}

/* A line that cannot be read stays a dead letter. */
static void keep_letter(struct route *r, struct str line)
{
    log_error("a dead letter cannot be read", "route=%s error=\"%s\"", r->name, err_text());
    buf_put_str(&r->dead, line);
    buf_put_byte(&r->dead, '\n');
    r->dead_before = r->dead.n;
}

/* The letters of one stream and stage from the beginning of `text`, as one unit; *ret_n: bytes of
 * them. */
static enum err take_letters(struct route *r, struct str text, size_t *ret_n)
{
    struct buf stream, first_stream, padded;
    struct dead_letter first = {0}, l;
    struct unit u = {.end = r->stats.position};
    struct str rest = text, line;
    uint32_t rows = 0;
    buf_init(&stream, 1 << 10);
    buf_init(&first_stream, 1 << 10);
    buf_init(&padded, SIZE_MAX);
    batch_clear(r->batch);
    *ret_n = 0;
    while (rows < RETRY_ROWS && str_split(&rest, '\n', &line) && rest.p) {
        bool good = dead_parse(line, &stream, &l) == OK;
        if (good && rows &&
            (!str_eq(l.stream, buf_str(&first_stream)) || l.transform != first.transform))
            break;
        if (good && !rows) {
            first = l;
            buf_put_str(&first_stream, l.stream);
        }
        *ret_n += line.n + 1;
        buf_clear(&padded);
        buf_put_str(&padded, good ? l.record : STR(""));
        memset(buf_reserve(&padded, JSON_PADDING), 0, JSON_PADDING);
        if (good && json_read_record(r->json, buf_str(&padded), l.at_ns, r->batch) == OK)
            rows++;
        else
            keep_letter(r, line);
    }
    struct frame_info info = {.org = STR("default"),
                              .stream = buf_str(&first_stream),
                              .arrival_ns = first.time_ns,
                              .parts = 1,
                              .lz4 = true};
    struct blob *frame = NULL;
    buf_clear(&padded);
    enum err err = rows ? frame_encode(r->batch, &info, &padded) : OK;
    if (err == OK && rows)
        frame = blob_copy(buf_str(&padded), OWNER_QUEUE);
    uint32_t left = rows;
    if (frame && first.transform) {
        struct blob *changed = take_frame(r, frame, r->retry_at + 1, &left, &u.refused);
        blob_unref(frame);
        frame = changed;
    }
    if (frame)
        add_unit(r, frame, r->retry_at + 1, left);
    u.rows = rows;
    u.dropped = rows - left;
    u.n = r->n;
    ARRAY_GROW(r->unit, r->units_cap, 1);
    r->unit[0] = u;
    r->n_units = 1;
    r->rows = rows;
    buf_release(&stream);
    buf_release(&first_stream);
    buf_release(&padded);
    return err;
}

/* What became of the letters of the unit; `dead` of them are dead letters anew. */
static void settle_letters(struct route *r, uint64_t dead)
{
    const struct unit *u = &r->unit[0];
    uint64_t dropped = u->dropped - u->refused;
    dead += u->refused;
    pthread_mutex_lock(&r->lock);
    r->stats.sent += u->rows - dead - dropped;
    r->stats.dropped += dropped;
    r->stats.dead -= u->rows - dead < r->stats.dead ? u->rows - dead : r->stats.dead;
    pthread_mutex_unlock(&r->lock);
    metric_add(r->sent_metric, (int64_t)(u->rows - dead - dropped));
}

static enum err send_letters(struct route *r)
{
    enum err err = send_units(r, 0, 1);
    if (err == OK) {
        settle_letters(r, r->refused);
    } else if (err == ERR_INVALID) {
        char reason[300];
        snprintf(reason, sizeof(reason), "%s", err_text());
        r->dead.n = r->dead_before;
        for (uint32_t i = 0; i < r->n; i++)
            note_dead(r, &r->item[i], UINT32_MAX, reason, "output");
        TRY(save_dead(r));
        settle_letters(r, r->unit[0].rows - r->unit[0].dropped);
        err = OK;
    }
    return err;
}

static enum err read_letters(struct route *r, const char *path, struct buf *text)
{
    uint64_t size = 0;
    int fd;
    TRY(io_open(path, IO_READ, &fd));
    enum err err = io_size(fd, &size);
    uint64_t n = size > r->retry_at ? size - r->retry_at : 0;
    n = n < r->retry_room ? n : r->retry_room;
    if (err == OK && n && buf_reserve(text, (size_t)n)) {
        err = io_pread(fd, text->p, (size_t)n, r->retry_at);
        text->n = (size_t)n;
    }
    if (err == OK && n && n == size - r->retry_at && text->p[n - 1] != '\n')
        buf_put_byte(text, '\n');
    io_close(fd);
    return err;
}

/* One lot of letters; the file goes when all are settled. What is settled is written down before
 * the next lot, and lots are the same when they are sent again, so that they land once where the
 * output can tell. */
static enum err retry_lot(struct route *r, const char *path)
{
    struct buf text;
    size_t n = 0;
    buf_init(&text, RETRY_ROOM_MAX + 1);
    enum err err = read_letters(r, path, &text);
    if (err == OK && text.n)
        err = take_letters(r, buf_str(&text), &n);
    if (err == OK && n) {
        r->epoch = r->retry_id;
        err = send_letters(r);
        r->epoch = spool_epoch(r->o.spool);
    }
    drop_bulk(r);
    if (err == OK && !n && text.n == r->retry_room && text.n < RETRY_ROOM_MAX) {
        r->retry_room *= 2; /* a letter that is longer */
    } else if (err == OK && n) {
        r->retry_at += n;
        r->retry_room = RETRY_ROOM;
        r->unsaved = true;
        err = save_state(r);
    } else if (err == OK) {
        log_info("dead letters were tried again", "route=%s", r->name);
        r->retry_id = r->retry_at = 0;
        r->unsaved = true;
        err = io_unlink(path);
    }
    buf_release(&text);
    return err;
}

/* Whether there was a lot. Looked for now and then, as the file comes from another process. */
static bool retry_letters(struct route *r)
{
    uint64_t id = 0;
    if (!r->retry_looked_ns || clock_mono_ns() - r->retry_looked_ns >= RETRY_LOOK_NS) {
        r->retry_looked_ns = clock_mono_ns();
        if (dead_find_retry(r->o.dir, r->name, &id) != OK)
            id = 0;
        if (id != r->retry_id)
            r->retry_at = 0;
        r->retry_room = RETRY_ROOM;
        r->retry_id = id;
    }
    if (!r->retry_id)
        return false;
    if (!r->json)
        r->json =
            json_reader_new(&(struct json_limits){.record_bytes = RETRY_ROOM_MAX, .nesting = 128});
    char *path = dead_retry_path(r->o.dir, r->name, r->retry_id);
    enum err err = retry_lot(r, path);
    mem_free(path);
    if (err != OK && err != ERR_CANCELED) {
        log_error("dead letters cannot be tried again", "route=%s error=\"%s\"", r->name,
                  err_text());
        wait_until(r, clock_mono_ns() + NS_PER_S, true);
    }
    return err == OK;
}

static void *route_main(void *arg)
{
    struct route *r = arg;
    for (;;) {
        while (!is_stopping(r) && retry_letters(r))
            ;
        if (gather(r)) {
            enum err err = send_bulk(r);
            drop_bulk(r);
            save_if_due(r, false);
            if (err == OK && !must_stop(r))
                continue;
        } else if (!is_stopping(r)) {
            save_if_due(r, false);
            wait_until(r, clock_mono_ns() + IDLE_NS, false);
            continue;
        }
        break;
    }
    drop_bulk(r);
    save_if_due(r, true);
    return NULL;
}

/* ---- life ---- */

static void make_metrics(struct route *r)
{
    struct buf label;
    buf_init(&label, 1024);
    metric_label(&label, "route", str_c(r->name));
    buf_put_byte(&label, '\0');
    r->sent_metric =
        metric_counter("weir_route_records_total", label.p, "Records that an output has taken.");
    r->dead_metric =
        metric_counter("weir_route_dead_total", label.p, "Records put to a route's dead letters.");
    r->lost_metric = metric_counter("weir_route_lost_total", label.p,
                                    "Records that a route was too far behind to get.");
    r->dropped_metric = metric_counter("weir_route_dropped_total", label.p,
                                       "Records that a route's condition or transforms dropped.");
    r->retries_metric = metric_counter("weir_route_retries_total", label.p, "Bulks sent again.");
    r->seconds_metric = metric_histogram("weir_route_seconds", label.p, "Time to send a bulk.");
    buf_release(&label);
}

enum err route_check_name(const char *name)
{
    size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789._-");
    if (!n || name[n] || n > ROUTE_NAME_MAX || name[0] == '.')
        return err_set(ERR_INVALID, "route \"%s\": a name has 1 to %d of a-z, 0-9, '.', '_', '-'",
                       name, ROUTE_NAME_MAX);
    return OK;
}

static enum err make_folders(const struct route *r)
{
    static const char *const names[] = {"routes", "dead"};
    for (int i = 0; i < 2; i++) {
        char *dir = mem_printf("%s/%s", r->o.dir, names[i]);
        enum err err = io_mkdir(dir);
        mem_free(dir);
        TRY(err);
    }
    return OK;
}

static void fill_settings(struct route_settings *s, const struct output_gather *usual)
{
    s->gather.rows = s->gather.rows ? s->gather.rows : usual->rows;
    s->gather.bytes = s->gather.bytes ? s->gather.bytes : usual->bytes;
    s->gather.wait_ns = s->has_wait ? s->gather.wait_ns : usual->wait_ns;
    s->retry_min_ns = s->retry_min_ns ? s->retry_min_ns : RETRY_MIN_NS;
    s->retry_max_ns = s->retry_max_ns ? s->retry_max_ns : RETRY_MAX_NS;
    if (s->retry_max_ns < s->retry_min_ns)
        s->retry_max_ns = s->retry_min_ns;
}

enum err route_open(const struct route_options *o, struct route **ret)
{
    struct route *r = NEW(struct route);
    r->o = *o;
    fill_settings(&r->o.settings, &o->output->type->gather);
    r->name = mem_strdup(str_c(o->name));
    r->state_path = mem_printf("%s/routes/%s", o->dir, o->name);
    r->dead_path = mem_printf("%s/dead/%s.ndjson", o->dir, o->name);
    buf_init(&r->dead, SIZE_MAX);
    arena_init(&r->arena, 0, NULL);
    r->batch = batch_new();
    r->epoch = spool_epoch(o->spool);
    pthread_mutex_init(&r->lock, NULL);
    cond_init(&r->wake);
    r->stats.position = 1;
    r->is_new = true;
    enum err err = route_check_name(o->name);
    if (err == OK)
        err = make_folders(r);
    if (err == OK)
        err = load_state(r);
    if (err != OK) {
        r->o.output = NULL; /* stays the caller's */
        route_free(r);
        return err;
    }
    snprintf(r->stats.name, sizeof(r->stats.name), "%s", o->name);
    make_metrics(r);
    if (o->hold)
        r->hold = *o->hold;
    else if (o->running)
        r->hold = spool_hold_next(o->spool, &r->stats.position);
    else
        r->hold = spool_hold(o->spool, r->stats.position);
    *ret = r;
    return OK;
}

enum err route_start(struct route *r)
{
    if (r->is_new || (r->o.running && !r->o.hold)) {
        struct route_stats *s = &r->stats;
        s->before = spool_passed(r->o.spool, r->hold) - s->sent - s->dead - s->dropped;
        TRY(save_state(r)); /* from now on it is in the books */
        r->saved_ns = 0;
    }
    r->reader = queue_reader_new(spool_queue(r->o.spool), r->stats.position);
    TRY(thread_start(&r->thread, "route", route_main, r));
    r->started = true;
    return OK;
}

unsigned route_hold(const struct route *r)
{
    return r->hold;
}

void route_remove(struct route *r)
{
    spool_unhold(r->o.spool, r->hold);
    if (io_unlink(r->state_path) != OK)
        log_warn("a route's state cannot be removed", "route=%s error=\"%s\"", r->name, err_text());
}

void route_wake(struct route *r)
{
    pthread_mutex_lock(&r->lock);
    r->woken = true;
    pthread_cond_signal(&r->wake);
    pthread_mutex_unlock(&r->lock);
}

void route_stop(struct route *r, int64_t wait_ms)
{
    if (!r->started)
        return;
    pthread_mutex_lock(&r->lock);
    r->stopping = true;
    r->stop_at = clock_mono_ns() + wait_ms * NS_PER_MS;
    pthread_cond_signal(&r->wake);
    pthread_mutex_unlock(&r->lock);
    pthread_join(r->thread, NULL);
    r->started = false;
}

void route_free(struct route *r)
{
    if (!r)
        return;
    queue_reader_free(r->reader);
    output_close(r->o.output);
    buf_release(&r->dead);
    arena_release(&r->arena);
    batch_free(r->batch);
    json_reader_free(r->json);
    mem_free(r->item);
    mem_free(r->blob);
    mem_free(r->unit);
    mem_free(r->name);
    mem_free(r->state_path);
    mem_free(r->dead_path);
    pthread_cond_destroy(&r->wake);
    pthread_mutex_destroy(&r->lock);
    mem_free(r);
}

void route_stats(struct route *r, struct route_stats *ret)
{
    pthread_mutex_lock(&r->lock);
    *ret = r->stats;
    ret->waiting = spool_waiting(r->o.spool, r->hold);
    ret->passed = spool_passed(r->o.spool, r->hold);
    pthread_mutex_unlock(&r->lock);
}
