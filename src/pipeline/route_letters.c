#include "core/clock.h"
#include "core/io.h"
#include "core/log.h"
#include "core/mem.h"
#include "pipeline/dead.h"
#include "pipeline/route_impl.h"
#include "record/frame.h"
#include "record/json.h"

#include <stdio.h>

enum { RETRY_ROWS = 500, RETRY_ROOM = 1 << 20, RETRY_ROOM_MAX = 64 << 20 };
#define RETRY_LOOK_NS (2 * NS_PER_S)

/* A line that cannot be read stays a dead letter. */
static void keep_letter(struct route *r, struct str line)
{
    log_error("a dead letter cannot be read", "route=%s error=\"%s\"", r->name, err_text());
    buf_put_str(&r->letters.dead, line);
    buf_put_byte(&r->letters.dead, '\n');
    r->letters.dead_kept = r->letters.dead.n;
}

/* The letters of one stream and stage from the beginning of `text`, as one unit; *ret_n: bytes of
 * them. */
static enum err take_letters(struct route *r, struct str text, size_t *ret_n)
{
    struct buf stream, first_stream, padded;
    struct dead_letter first = {0}, l;
    struct route_bulk *b = &r->letters;
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
        struct blob *changed = route_bulk_change(r, b, frame, r->retry_at + 1, &left, &u.refused);
        blob_unref(frame);
        frame = changed;
    }
    if (frame)
        route_bulk_item(b, frame, r->retry_at + 1, left);
    u.rows = rows;
    u.dropped = rows - left;
    u.n = b->n;
    ARRAY_GROW(b->unit, b->units_cap, 1);
    b->unit[0] = u;
    b->n_units = 1;
    b->rows = rows;
    buf_release(&stream);
    buf_release(&first_stream);
    buf_release(&padded);
    return err;
}

/* What became of the letters of the unit. */
static void settle_letters(struct route *r)
{
    const struct unit *u = &r->letters.unit[0];
    uint64_t dropped = u->dropped - u->refused, dead = r->letters.dead_rows + u->refused;
    pthread_mutex_lock(&r->lock);
    r->stats.sent += u->rows - dead - dropped;
    r->stats.dropped += dropped;
    r->stats.dead -= u->rows - dead < r->stats.dead ? u->rows - dead : r->stats.dead;
    pthread_mutex_unlock(&r->lock);
    metric_add(r->sent_metric, (int64_t)(u->rows - dead - dropped));
}

/* With no bulk under way: the output is the first sender's. */
static enum err send_letters(struct route *r)
{
    TRY(route_drain(r));
    r->letters.epoch = r->retry_id;
    TRY(route_send(r, r->sender[0].output, &r->letters));
    TRY(route_save_dead(r, &r->letters));
    settle_letters(r);
    return OK;
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
    if (err == OK && n)
        err = send_letters(r);
    route_bulk_clear(&r->letters);
    if (err == OK && !n && text.n == r->retry_room && text.n < RETRY_ROOM_MAX) {
        r->retry_room *= 2; /* a letter that is longer */
    } else if (err == OK && n) {
        r->retry_at += n;
        r->retry_room = RETRY_ROOM;
        r->unsaved = true;
        err = route_save_state(r);
    } else if (err == OK) {
        log_info("dead letters were tried again", "route=%s", r->name);
        r->retry_id = r->retry_at = 0;
        r->unsaved = true;
        err = io_unlink(path);
    }
    buf_release(&text);
    return err;
}

bool route_retry_letters(struct route *r)
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
        route_wait(r, clock_mono_ns() + NS_PER_S, true);
    }
    return err == OK;
}
