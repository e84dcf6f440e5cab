#include "pipeline/output.h"

#include "core/mem.h"
#include "record/frame.h"
#include "record/json.h"

#include <stdio.h>

enum { SCHEMES_MAX = 64 };

static const struct output_type *find(const struct output_type *const *types, struct str scheme)
{
    for (; *types; types++)
        for (const char *const *s = (*types)->schemes; *s; s++)
            if (str_eq_c(scheme, *s))
                return *types;
    return NULL;
}

static enum err unknown(const struct output_type *const *types, struct str scheme)
{
    const char *known[SCHEMES_MAX + 1] = {0};
    for (unsigned n = 0; *types; types++)
        for (const char *const *s = (*types)->schemes; *s && n < SCHEMES_MAX; s++)
            known[n++] = *s;
    return url_unknown_scheme("output", scheme, known);
}

enum err output_open(const struct output_type *const *types, struct str text, struct output **ret)
{
    struct arena arena;
    struct url url;
    arena_init(&arena, 0, NULL);
    enum err err = url_parse(text, &arena, &url);
    const struct output_type *type = err == OK ? find(types, url.scheme) : NULL;
    if (type)
        err = type->open(&url, ret);
    else if (err == OK)
        err = unknown(types, url.scheme);
    arena_release(&arena);
    return err;
}

enum err output_send(struct output *o, const struct output_bulk *bulk, int64_t *ret_wait_ns)
{
    *ret_wait_ns = 0;
    return o->type->send(o, bulk, ret_wait_ns);
}

void output_close(struct output *o)
{
    if (o)
        o->type->close(o);
}

enum err output_each_item(const struct output_bulk *bulk,
                          enum err (*fn)(void *ctx, uint32_t item, struct rows *rows,
                                         struct arena *a),
                          void *ctx)
{
    struct arena a;
    enum err err = OK;
    arena_init(&a, 0, NULL);
    for (uint32_t i = 0; i < bulk->n && err == OK; i++) {
        struct frame_info info;
        struct rows rows;
        err = frame_open(bulk->item[i].frame, bulk->item[i].sequence, 0, &a, &info, &rows);
        if (err == OK)
            err = fn(ctx, i, &rows, &a);
        arena_reset(&a);
    }
    arena_release(&a);
    return err;
}

enum { ROWS_AT_A_TIME = 256 };

struct row_walk {
    enum err (*fn)(void *ctx, const struct output_row *row);
    void *ctx;
    struct buf text;
};

static enum err some_rows(struct row_walk *w, struct rows *rows, uint32_t item, uint32_t from,
                          struct arena *a)
{
    uint32_t row[ROWS_AT_A_TIME], end[ROWS_AT_A_TIME], n = 0;
    const int64_t *time;
    for (; n < ROWS_AT_A_TIME && from + n < rows->n; n++)
        row[n] = from + n;
    buf_clear(&w->text);
    TRY(rows_time(rows, &time));
    struct json_rows what = {.rows = rows, .row = row, .n = n, .arena = a};
    TRY(json_put_rows(&what, &w->text, end));
    for (uint32_t i = 0, at = 0; i < n; at = end[i++]) {
        struct output_row r = {
            item, row[i], rows->stream, str_of(w->text.p + at, end[i] - at), time[row[i]], rows};
        TRY(w->fn(w->ctx, &r));
    }
    return OK;
}

static enum err rows_of_item(void *ctx, uint32_t item, struct rows *rows, struct arena *a)
{
    for (uint32_t from = 0; from < rows->n; from += ROWS_AT_A_TIME)
        TRY(some_rows(ctx, rows, item, from, a));
    return OK;
}

enum err output_each_row(const struct output_bulk *bulk,
                         enum err (*fn)(void *ctx, const struct output_row *row), void *ctx)
{
    struct row_walk w = {.fn = fn, .ctx = ctx};
    buf_init(&w.text, SIZE_MAX);
    enum err err = output_each_item(bulk, rows_of_item, &w);
    buf_release(&w.text);
    return err;
}
