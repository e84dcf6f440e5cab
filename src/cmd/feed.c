#include "cmd/feed.h"

#include "core/clock.h"
#include "core/mem.h"
#include "output/outputs.h"
#include "record/frame.h"
#include "record/json.h"
#include "record/json_walk.h"

#include <inttypes.h>

enum { BATCH_ROWS = 500 };
#define PAUSE_NS (200 * NS_PER_MS)

struct feed {
    char *stream, *asset, *region;
    int64_t patience_ns;
    struct output *output;
    struct json_reader *reader;
    struct batch *batch;
    struct buf line, rest, frame, errors; /* rest: a line that is not whole */
    uint64_t *line_of;                    /* of each row of the batch */
    size_t cap;
    uint64_t producer, epoch, sequence;
    bool overlong; /* the line under way is, and is passed over */
    struct feed_stats stats;
};

enum err feed_new(const struct feed_options *o, struct feed **ret)
{
    static const struct json_limits limits = {.record_bytes = FEED_LINE_MAX, .nesting = 128};
    struct output *output;
    TRY(output_open(output_types, str_c(o->output), &output));
    struct feed *f = NEW(struct feed);
    f->output = output;
    f->stream = mem_strdup(str_c(o->stream));
    f->asset = mem_strdup(o->asset);
    f->region = mem_strdup(o->region);
    f->patience_ns = o->patience_ns;
    f->reader = json_reader_new(&limits);
    f->batch = batch_new();
    buf_init(&f->line, SIZE_MAX);
    buf_init(&f->rest, SIZE_MAX);
    buf_init(&f->frame, SIZE_MAX);
    buf_init(&f->errors, SIZE_MAX);
    f->producer = random_u64();
    f->epoch = random_u64();
    *ret = f;
    return OK;
}

void feed_free(struct feed *f)
{
    if (!f)
        return;
    output_close(f->output);
    json_reader_free(f->reader);
    batch_free(f->batch);
    buf_release(&f->line);
    buf_release(&f->rest);
    buf_release(&f->frame);
    buf_release(&f->errors);
    mem_free(f->line_of);
    mem_free(f->stream);
    mem_free(f->asset);
    mem_free(f->region);
    mem_free(f);
}

static void note(struct feed *f, uint64_t line, const char *error)
{
    if (f->stats.failed++ >= FEED_ERRORS_MAX)
        return;
    buf_printf(&f->errors, "%s{\"line\":%" PRIu64 ",\"error\":", f->errors.n ? "," : "", line);
    json_put_string(&f->errors, str_c(error));
    buf_put_byte(&f->errors, '}');
}

/* ---- sending ---- */

static void on_refused(void *ctx, uint32_t item, uint32_t row, const char *reason)
{
    struct feed *f = ctx;
    note(f, f->line_of[row], reason);
    f->stats.sent--;
}

static enum err send_patiently(struct feed *f, const struct output_bulk *bulk)
{
    int64_t pause = PAUSE_NS, until = clock_mono_ns() + f->patience_ns;
    for (;;) {
        int64_t wait = 0;
        enum err err = output_send(f->output, bulk, &wait);
        if (err == OK || err == ERR_INVALID || err == ERR_LIMIT || err == ERR_AUTH ||
            clock_mono_ns() + pause > until)
            return err;
        clock_sleep_ms(pause / NS_PER_MS);
        pause *= 2;
    }
}

enum err feed_flush(struct feed *f)
{
    struct frame_info info = {.org = STR("default"),
                              .stream = str_c(f->stream),
                              .arrival_ns = clock_now_ns(),
                              .parts = 1};
    uint32_t rows = batch_rows(f->batch);
    if (!rows)
        return OK;
    buf_clear(&f->frame);
    TRY(frame_encode(f->batch, &info, &f->frame));
    struct output_item item = {++f->sequence, buf_str(&f->frame), rows};
    struct output_bulk bulk = {.producer = f->producer,
                               .epoch = f->epoch,
                               .item = &item,
                               .n = 1,
                               .rows = rows,
                               .bytes = f->frame.n,
                               .ctx = f,
                               .refuse = on_refused};
    f->stats.sent += rows;
    enum err err = send_patiently(f, &bulk);
    if (err != OK)
        f->stats.sent -= rows;
    batch_clear(f->batch);
    return err;
}

/* ---- lines ---- */

/* The object without the members that are given, and with them at its end. */
static void put_members(struct feed *f, struct str object, struct buf *out)
{
    const struct {
        const char *name, *value;
    } given[] = {{"assetid", f->asset}, {"region", f->region}};
    struct json_walk w;
    struct json_item item;
    buf_put_byte(out, '{');
    bool any = false, good = json_walk_begin(&w, object);
    while (good && json_walk_next(&w, &item)) {
        bool taken = false;
        for (int i = 0; i < 2; i++)
            taken |= *given[i].value && str_eq_c(item.key, given[i].name);
        if (taken)
            continue;
        /* The member as it was written: from its key's quote to its value's end. */
        const char *end = item.text.p + item.text.n + (item.lane == LANE_STR);
        if (any)
            buf_put_byte(out, ',');
        buf_put(out, item.key.p - 1, (size_t)(end - item.key.p + 1));
        any = true;
    }
    for (int i = 0; i < 2; i++) {
        if (!*given[i].value)
            continue;
        buf_printf(out, "%s\"%s\":", any ? "," : "", given[i].name);
        json_put_string(out, str_c(given[i].value));
        any = true;
    }
    buf_put_byte(out, '}');
}

static enum err pad(struct feed *f, struct str line)
{
    buf_clear(&f->line);
    buf_put_str(&f->line, line);
    char *end = buf_reserve(&f->line, JSON_PADDING);
    CHECK(end);
    memset(end, 0, JSON_PADDING);
    return json_check(f->reader, buf_str(&f->line));
}

static enum err read_line(struct feed *f, struct str line)
{
    TRY(pad(f, line));
    if (line.p[0] != '{')
        return err_set(ERR_INVALID, "a line must be a JSON object");
    if (*f->asset || *f->region) {
        struct buf with;
        buf_init(&with, SIZE_MAX);
        put_members(f, line, &with);
        enum err err = pad(f, buf_str(&with));
        buf_release(&with);
        TRY(err);
    }
    return json_read_record(f->reader, buf_str(&f->line), clock_now_ns(), f->batch);
}

enum err feed_line(struct feed *f, struct str line)
{
    f->stats.lines++;
    line = str_trim(line);
    if (!line.n)
        return OK;
    if (batch_rows(f->batch) >= BATCH_ROWS || batch_full(f->batch, line.n + 256))
        TRY(feed_flush(f));
    if (read_line(f, line) != OK) {
        note(f, f->stats.lines, err_text());
        return OK;
    }
    ARRAY_GROW(f->line_of, f->cap, batch_rows(f->batch));
    f->line_of[batch_rows(f->batch) - 1] = f->stats.lines;
    return OK;
}

static void refuse_overlong(struct feed *f)
{
    f->stats.lines++;
    note(f, f->stats.lines, "the line is longer than 1 MiB");
    buf_clear(&f->rest);
    f->overlong = false;
}

enum err feed_bytes(struct feed *f, struct str bytes)
{
    for (;;) {
        size_t end = str_find_byte(bytes, '\n', 0);
        if (f->rest.n + end > FEED_LINE_MAX) {
            f->overlong = true;
            buf_clear(&f->rest);
        }
        if (!f->overlong && (f->rest.n || end == bytes.n))
            buf_put(&f->rest, bytes.p, end);
        if (end == bytes.n)
            return OK;
        if (f->overlong)
            refuse_overlong(f);
        else
            TRY(feed_line(f, f->rest.n ? buf_str(&f->rest) : str_of(bytes.p, end)));
        buf_clear(&f->rest);
        bytes = str_from(bytes, end + 1);
    }
}

enum err feed_end(struct feed *f)
{
    if (f->overlong)
        refuse_overlong(f);
    else if (f->rest.n)
        TRY(feed_line(f, buf_str(&f->rest)));
    buf_clear(&f->rest);
    return feed_flush(f);
}

void feed_stats(const struct feed *f, struct feed_stats *ret)
{
    *ret = f->stats;
}

void feed_put_errors(const struct feed *f, struct buf *out)
{
    buf_put_byte(out, '[');
    buf_put_str(out, buf_str(&f->errors));
    buf_put_byte(out, ']');
}
