/* Rows as JSON lines: json_put_rows writes the records, then each object is copied with the members
 * that are added put in before its closing brace. */
#include "query/output.h"

#include "core/mem.h"
#include "filter/filter.h"
#include "query/field.h"
#include "record/json.h"

/* One member that may be added: its value for each row, where the row has no own key of the name.
 */
struct extra {
    struct str name;
    struct str source; /* the field that gives it */
    struct values const **value;
    uint32_t *at;
};

enum when { ALWAYS, SEARCH, ASKED }; /* and where it is asked for by name */
static const struct {
    const char *name, *source;
    enum when when;
} extras[] = {
    {"_time", "_time", ALWAYS},     {"_stream", "_stream", ALWAYS},
    {"_id", "_id", ALWAYS},         {"log_id", "_id", SEARCH},
    {"timestamp", "_time", SEARCH}, {"level", "level", SEARCH},
    {"service", "service", SEARCH}, {"host", "host", SEARCH},
    {"message", "message", SEARCH}, {"ingested_at", "ingested_at", ASKED},
};
enum { EXTRAS = sizeof(extras) / sizeof(*extras) };

/* Whether the style wants the member at all. Fields asked for by name include aliases. */
static bool wanted(const struct row_style *style, uint32_t i)
{
    if (style->bare || (style->local && str_eq_c(str_c(extras[i].source), "_id")))
        return false;
    if (style->n_fields == 0)
        return extras[i].when == ALWAYS || (style->search && extras[i].when == SEARCH);
    for (uint32_t f = 0; f < style->n_fields; f++)
        if (str_eq_c(style->field[f], extras[i].name))
            return true;
    return false;
}

static enum err extra_read(struct rows *rows, const uint32_t *row, uint32_t n, struct arena *arena,
                           struct extra *e)
{
    struct field_values values;
    e->value = (struct values const **)ARENA_ARRAY(arena, struct values *, n);
    e->at = ARENA_ARRAY(arena, uint32_t, n);
    TRY(field_read(rows, e->source, row, n, arena, &values));
    for (uint32_t p = 0; p < values.n; p++) {
        const struct field_piece *piece = &values.piece[p];
        for (uint32_t i = 0; i < piece->n; i++) {
            uint32_t sel = piece->sel ? piece->sel[i] : i;
            e->value[sel] = &piece->v;
            e->at[sel] = piece->code ? piece->code[i] : i;
        }
    }
    /* A row's own key of that very name stands already (unless source and name agree on the value).
     */
    for (uint32_t c = rows_find(rows, e->name, 0); c != UINT32_MAX;
         c = rows_find(rows, e->name, c + 1)) {
        struct presence has;
        TRY(rows_presence(rows, c, &has));
        for (uint32_t i = 0; i < n; i++)
            if (presence_has(&has, row[i]))
                e->value[i] = NULL;
    }
    return OK;
}

static void put_line(struct buf *out, struct str object, const struct extra *e, uint32_t n_extras,
                     uint32_t i)
{
    bool empty = object.n <= 2;
    buf_put(out, object.p, object.n - 1);
    for (uint32_t k = 0; k < n_extras; k++) {
        if (!e[k].value[i])
            continue;
        if (!empty)
            buf_put_byte(out, ',');
        empty = false;
        buf_put_byte(out, '"');
        buf_put_str(out, e[k].name);
        buf_put_c(out, "\":");
        json_put_value(out, e[k].value[i], e[k].at[i]);
    }
    buf_put_c(out, "}\n");
}

enum err output_rows(struct rows *rows, const uint32_t *row, uint32_t n,
                     const struct row_style *style, struct arena *arena, struct buf *out,
                     size_t *end)
{
    struct extra extra[EXTRAS];
    uint32_t n_extras = 0;
    for (uint32_t i = 0; i < EXTRAS; i++) {
        if (!wanted(style, i))
            continue;
        struct extra *e = &extra[n_extras++];
        *e = (struct extra){.name = str_c(extras[i].name), .source = str_c(extras[i].source)};
        TRY(extra_read(rows, row, n, arena, e));
    }
    struct buf text;
    buf_init(&text, SIZE_MAX);
    uint32_t *text_end = ARENA_ARRAY(arena, uint32_t, n);
    struct json_rows what = {rows, row, n, arena, style->field, style->n_fields};
    enum err err = json_put_rows(&what, &text, text_end);
    uint32_t from = 0;
    for (uint32_t i = 0; i < n && err == OK; i++) {
        put_line(out, str_of(text.p + from, text_end[i] - from), extra, n_extras, i);
        from = text_end[i];
        if (end)
            end[i] = out->n;
    }
    buf_release(&text);
    return err;
}
