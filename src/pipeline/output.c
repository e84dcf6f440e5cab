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

enum { ROWS_AT_A_TIME = 256 };

static enum err some_rows(struct rows *rows, const struct output_bulk *bulk, uint32_t item,
                          uint32_t from, struct arena *a, struct buf *text,
                          enum err (*fn)(void *ctx, const struct output_row *row), void *ctx)
{
    uint32_t row[ROWS_AT_A_TIME], end[ROWS_AT_A_TIME], n = 0;
    const int64_t *time;
    for (; n < ROWS_AT_A_TIME && from + n < rows->n; n++)
        row[n] = from + n;
    buf_clear(text);
    TRY(rows_time(rows, &time));
    struct json_rows what = {.rows = rows, .row = row, .n = n, .arena = a};
    TRY(json_put_rows(&what, text, end));
    for (uint32_t i = 0, at = 0; i < n; at = end[i++]) {
        struct output_row r = {
            item, row[i], rows->stream, str_of(text->p + at, end[i] - at), time[row[i]], rows};
        TRY(fn(ctx, &r));
    }
    return OK;
}

enum err output_each_row(const struct output_bulk *bulk,
                         enum err (*fn)(void *ctx, const struct output_row *row), void *ctx)
{
    struct arena a;
    struct buf text;
    enum err err = OK;
    arena_init(&a, 0, NULL);
    buf_init(&text, SIZE_MAX);
    for (uint32_t i = 0; i < bulk->n && err == OK; i++) {
        struct frame_info info;
        struct rows rows;
        err = frame_open(bulk->item[i].frame, bulk->item[i].sequence, 0, &a, &info, &rows);
        for (uint32_t from = 0; err == OK && from < rows.n; from += ROWS_AT_A_TIME)
            err = some_rows(&rows, bulk, i, from, &a, &text, fn, ctx);
        arena_reset(&a);
    }
    buf_release(&text);
    arena_release(&a);
    return err;
}
