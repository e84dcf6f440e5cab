/* Rows as JSON lines: json_put_rows writes the records, and into each, before its closing brace, go
 * the members that are added. */
#include "query/output.h"

#include "core/mem.h"
#include "filter/filter.h"
#include "query/field.h"
#include "query/row_tail.h"
#include "record/json.h"
#include "record/json_walk.h"

/* One member that may be added: its value for each row, where the row has no own key of the name.
 */
struct extra {
    struct str name;
    struct str source; /* the field that gives it */
    struct str head;   /* ,"name": */
    struct values const **value;
    uint32_t *at;
    size_t end; /* of its text in the row before */
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

static enum err values_read(struct rows *rows, const uint32_t *row, uint32_t n, struct arena *arena,
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
    return OK;
}

static bool text_has_key(struct str object, struct str name, struct arena *arena)
{
    struct json_walk w;
    struct json_item item;
    bool is = json_walk_begin(&w, object);
    while (is && json_walk_next(&w, &item))
        if (str_eq(json_walk_text(item.key, arena), name))
            return true;
    return false;
}

/* Takes the value from the rows that have a key of the name; `col` is theirs, or the text of whole
 * records. */
static enum err drop_by_column(struct rows *rows, const uint32_t *row, uint32_t n, uint32_t col,
                               struct str name, struct values const **value)
{
    const struct column *c = &rows->columns[col];
    bool whole = c->lane == LANE_JSON && c->path.n == 0;
    struct presence has;
    struct values v;
    TRY(rows_presence(rows, col, &has));
    if (whole)
        TRY(c->ops->values(c, rows->arena, &v));
    for (uint32_t i = 0; i < n; i++)
        if (presence_has(&has, row[i]) &&
            (!whole ||
             text_has_key(values_text(&v, presence_rank(&has, row[i])), name, rows->arena)))
            value[i] = NULL;
    return OK;
}

static enum err drop_own(struct rows *rows, const uint32_t *row, uint32_t n, struct str name,
                         struct values const **value)
{
    uint32_t named = rows_find(rows, name, 0);
    for (uint32_t c = 0; c < rows->n_columns; c++) {
        const struct column *col = &rows->columns[c];
        if (c == named || (col->lane == LANE_JSON && col->path.n == 0))
            TRY(drop_by_column(rows, row, n, c, name, value));
        if (c == named)
            named = rows_find(rows, name, c + 1);
    }
    return OK;
}

static enum err extra_read(struct rows *rows, const uint32_t *row, uint32_t n, struct arena *arena,
                           struct extra *e)
{
    e->head = arena_printf(arena, ",\"%.*s\":", STR_ARG(e->name));
    TRY(values_read(rows, row, n, arena, e));
    /* A row's own key of that very name stands already (unless source and name agree on the value).
     */
    return drop_own(rows, row, n, e->name, e->value);
}

/* What is added to each row, and where the lines end. */
struct row_output {
    struct extra extra[EXTRAS];
    uint32_t n_extras;
    struct row_tail *tail; /* NULL: there are `extra` */
    size_t *end;           /* may be NULL */
    struct buf *before;    /* where the row before stands; NULL: nowhere */
    size_t added;          /* what was added to it */
    struct json_writer *writer;
};

static bool is_same(const struct extra *e, uint32_t i)
{
    return e->value[i] && e->value[i] == e->value[i - 1] && e->at[i] == e->at[i - 1];
}

/* The members that the row before has too, copied from there; how many. */
static uint32_t put_same(const struct row_output *o, uint32_t i, struct buf *out)
{
    uint32_t k = 0;
    while (k < o->n_extras && is_same(&o->extra[k], i))
        k++;
    if (k) {
        size_t n = o->extra[k - 1].end - o->added;
        char *to = buf_reserve(out, n);
        if (!to)
            return 0;
        str_copy(to, str_of(out->p + o->added, n));
        out->n += n;
    }
    return k;
}

static void end_by_tail(void *ctx, uint32_t i, size_t begin, struct buf *out)
{
    struct row_output *o = ctx;
    bool empty = out->n - begin <= 2;
    out->n--;
    row_tail_put(o->tail, i, empty, out);
    if (o->end)
        o->end[i] = out->n;
}

static void end_line(void *ctx, uint32_t i, size_t begin, struct buf *out)
{
    struct row_output *o = ctx;
    bool empty = out->n - begin <= 2;
    size_t added = --out->n;
    uint32_t k = !empty && o->before == out ? put_same(o, i, out) : 0;
    for (uint32_t same = 0; same < k; same++)
        o->extra[same].end += added - o->added;
    o->before = empty ? NULL : out; /* its first member has no comma before it */
    o->added = added;
    for (; k < o->n_extras; k++) {
        struct extra *e = &o->extra[k];
        if (e->value[i]) {
            buf_put_str(out, str_from(e->head, empty));
            empty = false;
            json_put_value(out, e->value[i], e->at[i]);
        }
        e->end = out->n;
    }
    buf_put(out, "}\n", 2);
    if (o->end)
        o->end[i] = out->n;
}

/* ---- documents ---- */

struct texts {
    struct buf text;
    uint32_t *end;
    uint32_t from; /* of the next */
};

static enum err write_objects(struct rows *rows, const uint32_t *row, uint32_t n,
                              const struct document_style *d, bool whole, struct arena *arena,
                              struct texts *t)
{
    struct str *without = ARENA_ARRAY(arena, struct str, 1 + d->n_exclude);
    without[0] = STR("_id");
    for (uint32_t i = 0; i < d->n_exclude; i++)
        without[1 + i] = d->exclude[i];
    struct json_rows what = {
        .rows = rows, .row = row, .n = n, .arena = arena, .without = without, .n_without = 1};
    if (!whole) {
        what.fields = d->include;
        what.n_fields = d->n_include;
        what.n_without = 1 + d->n_exclude;
        what.globs = true;
    }
    t->end = ARENA_ARRAY(arena, uint32_t, n);
    return json_put_rows(&what, &t->text, t->end);
}

static void put_object(struct texts *t, uint32_t i, struct buf *out)
{
    buf_put(out, t->text.p + t->from, t->end[i] - t->from);
    t->from = t->end[i];
}

/* The _id of its own, else the log_id, else the made one; as a text whatever it is. */
static void put_id(const struct extra *own, const struct extra *log, uint32_t i, struct buf *out)
{
    const struct extra *e = own->value[i] || !log->value[i] ? own : log;
    struct buf value;
    buf_init(&value, SIZE_MAX);
    json_put_value(&value, e->value[i], e->at[i]);
    if (value.n && value.p[0] == '"')
        buf_put_str(out, buf_str(&value));
    else
        json_put_string(out, buf_str(&value));
    buf_release(&value);
}

static enum err read_ids(struct rows *rows, const uint32_t *row, uint32_t n, struct arena *arena,
                         struct extra *id)
{
    struct extra made = {.name = STR("_id"), .source = STR("_id")};
    struct extra log = {.name = STR("log_id"), .source = STR("log_id")};
    TRY(values_read(rows, row, n, arena, &made));
    TRY(values_read(rows, row, n, arena, &log));
    TRY(drop_own(rows, row, n, STR("_id"), log.value));
    id[0] = made;
    id[1] = log;
    for (uint32_t i = 0; i < n; i++)
        if (log.value[i])
            made.value[i] = NULL;
    return OK;
}

static enum err output_documents(struct rows *rows, const uint32_t *row, uint32_t n,
                                 const struct document_style *d, struct arena *arena,
                                 struct buf *out, size_t *end)
{
    struct texts source = {0}, whole = {0};
    struct extra id[2];
    enum err err;
    buf_init(&source.text, SIZE_MAX);
    buf_init(&whole.text, SIZE_MAX);
    TRY_OUT(read_ids(rows, row, n, arena, id));
    if (d->source)
        TRY_OUT(write_objects(rows, row, n, d, false, arena, &source));
    if (d->whole)
        TRY_OUT(write_objects(rows, row, n, d, true, arena, &whole));
    for (uint32_t i = 0; i < n; i++) {
        if (d->whole) {
            put_object(&whole, i, out);
            buf_put_byte(out, '\n');
        }
        buf_put_c(out, "{\"_index\":");
        json_put_string(out, rows->stream);
        buf_put_c(out, ",\"_id\":");
        put_id(&id[0], &id[1], i, out);
        if (d->source) {
            buf_put_c(out, ",\"_source\":");
            put_object(&source, i, out);
        }
        buf_put_c(out, "}\n");
        if (end)
            end[i] = out->n;
    }
out:
    buf_release(&source.text);
    buf_release(&whole.text);
    return err;
}

/* ---- rows ---- */

static enum err read_extras(struct rows *rows, const uint32_t *row, uint32_t n,
                            const struct row_style *style, struct arena *arena,
                            struct row_output *o)
{
    bool usual = !style->n_fields && !style->search && !style->bare && !style->local;
    if (usual)
        TRY(row_tail_new(rows, row, n, arena, &o->tail));
    if (o->tail)
        return OK;
    for (uint32_t i = 0; i < EXTRAS; i++) {
        if (!wanted(style, i))
            continue;
        struct extra *e = &o->extra[o->n_extras++];
        *e = (struct extra){.name = str_c(extras[i].name), .source = str_c(extras[i].source)};
        TRY(extra_read(rows, row, n, arena, e));
    }
    return OK;
}

static struct json_rows json_rows_of(struct rows *rows, const uint32_t *row, uint32_t n,
                                     const struct row_style *style, struct arena *arena,
                                     struct row_output *o)
{
    return (struct json_rows){.rows = rows,
                              .row = row,
                              .n = n,
                              .arena = arena,
                              .fields = style->field,
                              .n_fields = style->n_fields,
                              .row_done = o->tail ? end_by_tail : end_line,
                              .ctx = o};
}

enum err output_rows(struct rows *rows, const uint32_t *row, uint32_t n,
                     const struct row_style *style, struct arena *arena, struct buf *out,
                     size_t *end)
{
    if (style->document)
        return output_documents(rows, row, n, style->document, arena, out, end);
    struct row_output o = {.end = end};
    TRY(read_extras(rows, row, n, style, arena, &o));
    struct json_rows what = json_rows_of(rows, row, n, style, arena, &o);
    return json_put_rows(&what, out, NULL);
}

enum err output_begin(struct rows *rows, const uint32_t *row, uint32_t n,
                      const struct row_style *style, struct arena *arena, struct row_output **ret)
{
    struct row_output *o = ARENA_NEW(arena, struct row_output);
    TRY(read_extras(rows, row, n, style, arena, o));
    struct json_rows what = json_rows_of(rows, row, n, style, arena, o);
    TRY(json_writer_new(&what, &o->writer));
    *ret = o;
    return OK;
}

enum err output_next(struct row_output *o, uint32_t n, struct buf *out)
{
    o->before = NULL;
    return json_writer_put(o->writer, n, out);
}
