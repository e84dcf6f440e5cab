/* Running steps: `where` narrows the list of rows; `extract` and `unnest` build a batch of what
 * they add, a record a row, and zip it to the rows there were (record/derive.h). */
#include "query/steps.h"

#include "core/governor.h"
#include "query/field.h"
#include "record/bitmap.h"
#include "record/derive.h"

/* What a step adds; its memory is charged to the arena's reservation. */
struct side {
    struct batch *batch;
    struct reservation *res;
    size_t held;
};

static void side_free(void *arg)
{
    struct side *side = arg;
    batch_free(side->batch);
    if (side->res)
        reservation_shrink(side->res, side->held);
}

static struct side *side_new(struct arena *arena)
{
    struct side *side = ARENA_NEW(arena, struct side);
    *side = (struct side){.batch = batch_new(), .res = arena->res};
    arena_defer(arena, side_free, side);
    return side;
}

static enum err no_memory(uint32_t n)
{
    return err_set(ERR_NOMEM,
                   "a pipe over %u rows needs more memory than a query may hold "
                   "(query.memory)",
                   n);
}

static enum err side_charge(struct side *side)
{
    size_t bytes = batch_bytes(side->batch);
    if (!side->res || bytes <= side->held)
        return OK;
    if (reservation_grow(side->res, bytes - side->held) != OK)
        return no_memory(batch_rows(side->batch));
    side->held = bytes;
    return OK;
}

enum { CHARGE_ROWS = 1024 };

/* ---- where ---- */

static enum err step_where(const struct pipe *pipe, struct step_rows *s, struct arena *arena)
{
    uint64_t *bits = bitmap_new(arena, s->rows->n);
    uint32_t *row = ARENA_TRY_ARRAY(arena, uint32_t, s->n);
    uint32_t *from = ARENA_TRY_ARRAY(arena, uint32_t, s->n);
    if (!row || !from)
        return no_memory(s->n);
    TRY(filter_eval(pipe->where, s->rows, arena, bits));
    uint32_t n = 0;
    for (uint32_t i = 0; i < s->n; i++) {
        if (!bitmap_get(bits, s->row[i]))
            continue;
        row[n] = s->row[i];
        from[n++] = s->from ? s->from[i] : i;
    }
    s->row = row;
    s->from = from;
    s->n = n;
    return OK;
}

/* ---- extract ---- */

/* The text of a value as a pattern sees it; false where it has none. */
static bool value_text(const struct field_piece *piece, uint32_t i, struct buf *room,
                       struct str *ret)
{
    uint32_t at = piece->code ? piece->code[i] : i;
    if (lane_is_text(piece->v.lane)) {
        *ret = values_text(&piece->v, at);
        return true;
    }
    struct scalar s = scalar_of(&piece->v, at);
    buf_clear(room);
    scalar_json(room, &s);
    *ret = buf_str(room);
    return s.lane != SCALAR_NONE;
}

static void put_number(struct batch *b, struct str name, struct str text, bool whole)
{
    int64_t i;
    double f;
    bool digit = text.n && text.p[text.n - 1] >= '0' && text.p[text.n - 1] <= '9';
    if (str_to_i64(text, &i))
        batch_int(b, name, i);
    else if (!whole && digit && text.n < 64 && str_to_f64(text, &f) && __builtin_isfinite(f))
        batch_dbl(b, name, f);
    else
        batch_text(b, name, LANE_STR, text);
}

/* What is no number or no boolean stays the text it is. */
static void put_part(struct batch *b, const struct grok_field *f, struct str part)
{
    bool is_true = str_ieq(part, STR("true"));
    if (f->type == GROK_INT || f->type == GROK_FLOAT)
        put_number(b, f->name, part, f->type == GROK_INT);
    else if (f->type == GROK_BOOL && (is_true || str_ieq(part, STR("false"))))
        batch_bool(b, f->name, is_true);
    else
        batch_text(b, f->name, LANE_STR, part);
}

/* Appends the fields taken of a value as a record; *ret: there are any. */
static enum err extract_one(const struct extractor *x, struct str text, struct batch *b, bool *ret)
{
    const struct grok_field *field;
    struct str part[EXTRACT_FIELDS_MAX];
    uint32_t n = extractor_fields(x, &field);
    bool any = false;
    TRY(extractor_match(x, text, part, ret));
    for (uint32_t i = 0; *ret && i < n; i++)
        any |= part[i].p != NULL;
    *ret = any;
    if (!any)
        return OK;
    batch_begin(b);
    for (uint32_t i = 0; i < n; i++)
        if (part[i].p)
            put_part(b, &field[i], part[i]);
    batch_end(b, 0, STR("{}"));
    return OK;
}

/* Of each selected row: the value's piece and place in it. */
struct value_place {
    const struct field_piece *piece;
    uint32_t at;
};

static enum err value_places(struct rows *rows, struct str name, const struct step_rows *s,
                             struct arena *arena, struct value_place **ret)
{
    struct field_values values;
    struct value_place *place = ARENA_TRY_ARRAY(arena, struct value_place, s->n);
    if (!place)
        return no_memory(s->n);
    memset(place, 0, s->n * sizeof(*place));
    TRY(field_read(rows, name, s->row, s->n, arena, &values));
    for (uint32_t p = 0; p < values.n; p++)
        for (uint32_t i = 0; i < values.piece[p].n; i++) {
            uint32_t sel = values.piece[p].sel ? values.piece[p].sel[i] : i;
            place[sel] = (struct value_place){&values.piece[p], i};
        }
    *ret = place;
    return OK;
}

static enum err extract_rows(const struct pipe *pipe, const struct step_rows *s,
                             const struct value_place *place, struct side *side, uint32_t *side_of)
{
    struct buf room;
    enum err err = OK;
    buf_init(&room, SIZE_MAX);
    for (uint32_t i = 0; i < s->n && err == OK; i++) {
        struct str text;
        bool any;
        if (!place[i].piece || !value_text(place[i].piece, place[i].at, &room, &text))
            continue;
        err = extract_one(pipe->extractor, text, side->batch, &any);
        if (err == OK && any)
            side_of[s->row[i]] = batch_rows(side->batch) - 1;
        if (err == OK && i % CHARGE_ROWS == 0)
            err = side_charge(side);
    }
    buf_release(&room);
    return err;
}

/* Puts the batch's records to the rows. */
static enum err zip(struct step_rows *s, struct side *added, const uint32_t *side_of,
                    const struct str *field, uint32_t n_fields, struct arena *arena)
{
    struct rows *side = ARENA_NEW(arena, struct rows), *out = ARENA_NEW(arena, struct rows);
    TRY(side_charge(added));
    batch_view(added->batch, arena, side);
    TRY(rows_zip(s->rows, side, side_of, field, n_fields, arena, out));
    s->rows = out;
    return arena->failed ? no_memory(s->n) : OK;
}

static enum err step_extract(const struct pipe *pipe, struct step_rows *s, struct arena *arena)
{
    struct side *side = side_new(arena);
    struct value_place *place;
    const struct grok_field *field;
    uint32_t n = extractor_fields(pipe->extractor, &field);
    uint32_t *side_of = ARENA_TRY_ARRAY(arena, uint32_t, s->rows->n);
    struct str *name = ARENA_ARRAY(arena, struct str, n);
    if (!side_of)
        return no_memory(s->rows->n);
    memset(side_of, 0xff, s->rows->n * sizeof(*side_of));
    for (uint32_t i = 0; i < n; i++)
        name[i] = field[i].name;
    TRY(value_places(s->rows, pipe->from, s, arena, &place));
    TRY(extract_rows(pipe, s, place, side, side_of));
    return zip(s, side, side_of, name, n, arena);
}

/* ---- unnest ---- */

struct unnest {
    const struct pipe *pipe;
    struct arena *arena;
    struct side *side;
    uint32_t *src, *side_of, *from; /* by row made */
    uint32_t n, cap;
};

static enum err unnest_grow(struct unnest *u)
{
    uint32_t cap = u->cap ? u->cap * 2 : 1024;
    uint32_t *room = ARENA_TRY_ARRAY(u->arena, uint32_t, (size_t)cap * 3);
    if (!room || cap > UINT32_MAX / 8)
        return no_memory(u->n);
    if (u->n) {
        memcpy(room, u->src, u->n * sizeof(*room));
        memcpy(room + cap, u->side_of, u->n * sizeof(*room));
        memcpy(room + 2 * (size_t)cap, u->from, u->n * sizeof(*room));
    }
    u->src = room;
    u->side_of = room + cap;
    u->from = room + 2 * (size_t)cap;
    u->cap = cap;
    return side_charge(u->side);
}

static enum err add_row(struct unnest *u, uint32_t row, uint32_t from, bool added)
{
    if (u->n == u->cap)
        TRY(unnest_grow(u));
    u->src[u->n] = row;
    u->side_of[u->n] = added ? batch_rows(u->side->batch) - 1 : UINT32_MAX;
    u->from[u->n++] = from;
    return OK;
}

static enum err add_element(struct unnest *u, uint32_t row, uint32_t from,
                            const struct json_item *item)
{
    struct batch *b = u->side->batch;
    batch_begin(b);
    batch_put_json(b, u->pipe->into, item, u->arena);
    batch_end(b, 0, STR("{}"));
    return add_row(u, row, from, true);
}

/* An array gives a row an element, an empty one a row with null; any other value stays. */
static enum err unnest_row(struct unnest *u, uint32_t row, uint32_t from,
                           const struct value_place *p)
{
    struct json_walk w;
    struct json_item item;
    if (!p->piece || p->piece->v.lane != LANE_ARR)
        return add_row(u, row, from, false);
    uint32_t at = p->piece->code ? p->piece->code[p->at] : p->at, before = u->n;
    bool is = json_walk_begin(&w, values_text(&p->piece->v, at));
    while (is && json_walk_next(&w, &item))
        TRY(add_element(u, row, from, &item));
    item = (struct json_item){.lane = LANE_NULL};
    return u->n == before ? add_element(u, row, from, &item) : OK;
}

static enum err step_unnest(const struct pipe *pipe, struct step_rows *s, struct arena *arena)
{
    struct unnest u = {.pipe = pipe, .arena = arena, .side = side_new(arena)};
    struct rows *repeated = ARENA_NEW(arena, struct rows);
    struct value_place *place;
    TRY(value_places(s->rows, pipe->from, s, arena, &place));
    for (uint32_t i = 0; i < s->n; i++)
        TRY(unnest_row(&u, s->row[i], s->from ? s->from[i] : i, &place[i]));
    uint32_t *row = ARENA_TRY_ARRAY(arena, uint32_t, u.n);
    if (!row)
        return no_memory(u.n);
    for (uint32_t i = 0; i < u.n; i++)
        row[i] = i;
    TRY(rows_repeat(s->rows, u.src, u.n, arena, repeated));
    *s = (struct step_rows){.rows = repeated, .row = row, .from = u.from, .n = u.n};
    return zip(s, u.side, u.side_of, &pipe->into, 1, arena);
}

enum err steps_run(const struct pipe *const *step, uint32_t n, struct step_rows *s,
                   struct arena *arena)
{
    for (uint32_t i = 0; i < n && s->n; i++) {
        switch (step[i]->kind) {
        case PIPE_WHERE:
            TRY(step_where(step[i], s, arena));
            break;
        case PIPE_EXTRACT:
            TRY(step_extract(step[i], s, arena));
            break;
        case PIPE_UNNEST:
            TRY(step_unnest(step[i], s, arena));
            break;
        default:
            BUG("pipe kind %d is no step", step[i]->kind);
        }
        if (arena->failed)
            return no_memory(s->n);
    }
    return OK;
}
