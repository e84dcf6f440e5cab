#include "core/clock.h"
#include "core/log.h"
#include "core/mem.h"
#include "filter/filter.h"
#include "pipeline/route_impl.h"
#include "record/derive.h"
#include "record/frame.h"
#include "record/json.h"
#include "record/timestamp.h"

#include <stdio.h>

void route_bulk_init(struct route_bulk *b)
{
    *b = (struct route_bulk){0};
    buf_init(&b->dead, SIZE_MAX);
}

void route_bulk_clear(struct route_bulk *b)
{
    for (uint32_t i = 0; i < b->n; i++)
        blob_unref(b->blob[i]);
    b->n = b->n_units = b->settled = 0;
    b->rows = b->bytes = b->dead_rows = 0;
    b->dead_kept = 0;
    buf_clear(&b->dead);
}

void route_bulk_release(struct route_bulk *b)
{
    route_bulk_clear(b);
    buf_release(&b->dead);
    mem_free(b->item);
    mem_free(b->blob);
    mem_free(b->unit);
}

/* ---- dead letters ---- */

struct row_wanted {
    struct route *r;
    struct buf *out;
    uint32_t row; /* UINT32_MAX: all */
    const char *reason, *stage;
};

static enum err put_dead(void *ctx, const struct output_row *row)
{
    struct row_wanted *w = ctx;
    struct buf *out = w->out;
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

void route_bulk_dead(struct route *r, struct route_bulk *b, const struct output_item *item,
                     uint32_t row, const char *reason, const char *stage)
{
    struct row_wanted w = {r, &b->dead, row, reason, stage};
    struct output_bulk one = {.item = item, .n = 1};
    if (output_each_row(&one, put_dead, &w) != OK)
        log_error("a dead letter cannot be written out", "route=%s error=\"%s\"", r->name,
                  err_text());
}

/* ---- gathering ---- */

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

struct blob *route_bulk_change(struct route *r, struct route_bulk *b, struct blob *frame,
                               uint64_t position, uint32_t *rows, uint64_t *refused)
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
        route_bulk_dead(r, b, &item, UINT32_MAX, reason, "transform");
        b->dead_kept = b->dead.n;
        *rows = 0;
        *refused += had;
    }
    struct blob *made = err == OK && out.n ? blob_copy(buf_str(&out), OWNER_QUEUE) : NULL;
    buf_release(&out);
    return made ? made : *rows ? blob_ref(frame) : NULL;
}

void route_bulk_item(struct route_bulk *b, struct blob *frame, uint64_t sequence, uint32_t rows)
{
    ARRAY_GROW(b->item, b->items_cap, b->n + 1);
    ARRAY_GROW(b->blob, b->blobs_cap, b->n + 1);
    b->blob[b->n] = frame;
    b->item[b->n++] = (struct output_item){sequence, frame->bytes, rows};
    b->bytes += frame->bytes.n;
}

void route_bulk_add(struct route *r, struct route_bulk *b, const struct queue_read *body)
{
    uint32_t first;
    struct unit u = {.first = b->n, .end = body->first_position + body->n};
    (void)spool_body_rows(body->frame, body->n, &first);
    for (uint32_t i = first; i < body->n; i++) {
        uint32_t rows = (uint32_t)spool_body_rows(&body->frame[i], 1, &(uint32_t){0}), left = rows;
        struct blob *frame =
            route_bulk_change(r, b, body->frame[i], body->first_position, &left, &u.refused);
        u.rows += rows;
        u.dropped += rows - left;
        if (left)
            route_bulk_item(b, frame, body->first_position, left);
    }
    u.n = b->n - u.first;
    b->rows += u.rows;
    ARRAY_GROW(b->unit, b->units_cap, b->n_units + 1);
    b->unit[b->n_units++] = u;
}
