/* As JSON is written (record/json_write.c): what stands between two values of a row (keys, and how
 * many members a map has) depends on its shape alone, and is made once for each shape as a
 * *program*. All rows are put, in order, so a column's values come one after the other. */
#include "wire/msgpack_rows.h"

#include "record/json.h"
#include "record/json_simd.h"
#include "wire/msgpack.h"
#include "wire/msgpack_json.h"

struct step {
    struct str before;
    uint32_t column;
    bool skip; /* its value is passed over */
};
struct program {
    struct step *step;
    uint32_t n;
    struct str head;  /* of the map */
    uint32_t members; /* of it */
    bool whole;       /* the row is one JSON text */
};
struct column_at {
    struct values values;
    uint32_t next;
    bool read;
};
struct msgpack_rows {
    struct rows *rows;
    struct arena *arena;
    struct str key;
    const uint16_t *shape_of;
    struct program *(*program)[2]; /* by shape: with the key, without it */
    struct column_at *column;
    struct buf *text; /* of the program that is being made */
    uint32_t next;
};

/* ---- values ---- */

static bool is_ascii(const char *p, size_t n)
{
    uint64_t high = 0, word;
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        memcpy(&word, p + i, 8);
        high |= word;
    }
    for (; i < n; i++)
        high |= (unsigned char)p[i];
    return !(high & 0x8080808080808080);
}

static void put_mended(struct buf *out, struct str s)
{
    struct buf scratch;
    buf_init(&scratch, SIZE_MAX);
    msgpack_put_str(out, json_shown(s, &scratch));
    buf_release(&scratch);
}

static inline void put_text(struct buf *out, struct str s)
{
    char *to;
    if (__builtin_expect(!is_ascii(s.p, s.n) && !json_simd_utf8(s.p, s.n), 0)) {
        put_mended(out, s);
    } else if (s.n < 256 && (to = buf_reserve(out, s.n + 2))) {
        size_t head = s.n < 32 ? 1 : 2;
        to[0] = (char)(s.n < 32 ? 0xa0 | s.n : 0xd9);
        to[1] = (char)s.n;
        if (s.n) /* p may be NULL where a column has empty texts alone */
            memcpy(to + head, s.p, s.n);
        out->n += head + s.n;
    } else {
        msgpack_put_str(out, s);
    }
}

/* What JSON would write as an integer is one. */
static bool put_double(struct buf *out, double v)
{
    if (!__builtin_isfinite(v)) {
        msgpack_put_nil(out);
        return true;
    }
    if (__builtin_fabs(v) < 0x1p64 && __builtin_trunc(v) == v)
        return false;
    msgpack_put_double(out, v);
    return true;
}

static void put_by_json(struct buf *out, const struct values *v, uint32_t i)
{
    struct buf json;
    buf_init(&json, SIZE_MAX);
    json_put_value(&json, v, i);
    msgpack_put_json_value(out, v->lane, buf_str(&json));
    buf_release(&json);
}

static inline void put_value(struct buf *out, const struct values *v, uint32_t i)
{
    double d;
    switch (v->lane) {
    case LANE_STR:
        put_text(out, values_text(v, i));
        return;
    case LANE_INT:
        msgpack_put_int(out, v->i64[i]);
        return;
    case LANE_BOOL:
        msgpack_put_bool(out, v->u8[i]);
        return;
    case LANE_DBL:
        if (put_double(out, v->f64[i]))
            return;
        break;
    case LANE_DEC:
        if (json_decimal_double(v->i64[i], v->scale[i], &d)) {
            msgpack_put_double(out, d);
            return;
        }
        break;
    default:
        break;
    }
    put_by_json(out, v, i);
}

/* ---- programs ---- */

/* A key as it is shown: mended where it is not UTF-8. */
static void put_key(struct msgpack_rows *w, struct str segment)
{
    struct buf key;
    buf_init(&key, SIZE_MAX);
    path_key(segment, &key);
    put_text(w->text, buf_str(&key));
    buf_release(&key);
}

static bool is_key(struct msgpack_rows *w, struct str path)
{
    struct buf key;
    buf_init(&key, SIZE_MAX);
    path_key(path_segment(path, 0), &key);
    bool is = str_eq(buf_str(&key), w->key);
    buf_release(&key);
    return is;
}

/* How many members the object has whose first token is at t; *ret_end: where it is closed. */
static uint32_t count_members(const struct shape *s, uint32_t t, uint32_t *ret_end)
{
    uint32_t n = 0, depth = 0;
    for (; t < s->n && (depth || s->token[t] != SHAPE_CLOSE); t++) {
        n += depth == 0;
        depth += s->token[t] == SHAPE_OPEN;
        depth -= s->token[t] == SHAPE_CLOSE;
    }
    *ret_end = t;
    return n;
}

static enum err add_step(struct msgpack_rows *w, struct program *p, uint32_t column, bool skip,
                         size_t *from)
{
    struct column_at *c = &w->column[column];
    const struct column *is = &w->rows->columns[column];
    if (!c->read)
        TRY(is->ops->values(is, w->arena, &c->values));
    c->read = true;
    p->step[p->n++] = (struct step){{NULL, w->text->n - *from}, column, skip};
    *from = w->text->n;
    return OK;
}

static enum err make_steps(struct msgpack_rows *w, const struct shape *s, bool without,
                           struct program *p)
{
    unsigned open = 0, gone = 0; /* objects that are open; the one that is left out, by depth */
    size_t from = 0;
    for (uint32_t t = 0; t < s->n; t++) {
        if (s->token[t] == SHAPE_CLOSE) {
            CHECK(open > 0);
            gone = gone == open-- ? 0 : gone;
            continue;
        }
        struct str path = rows_path_behind(w->rows, s, t);
        bool leave = without && open == 0 && is_key(w, path);
        p->members -= leave;
        if (!leave && !gone)
            put_key(w, path_segment(path, open));
        if (s->token[t] == SHAPE_OPEN) {
            uint32_t end, members = count_members(s, t + 1, &end);
            open++;
            gone = leave ? open : gone;
            if (!gone)
                msgpack_put_map(w->text, members);
        } else {
            TRY(add_step(w, p, s->token[t], leave || gone, &from));
        }
    }
    return OK;
}

static void place_text(struct msgpack_rows *w, struct program *p)
{
    struct str text = arena_str(w->arena, buf_str(w->text));
    for (uint32_t i = 0; i < p->n; i++) {
        p->step[i].before.p = text.p;
        text = str_from(text, p->step[i].before.n);
    }
    buf_clear(w->text);
    msgpack_put_map(w->text, p->members);
    p->head = arena_str(w->arena, buf_str(w->text));
}

static enum err make_program(struct msgpack_rows *w, const struct shape *s, bool without,
                             struct program **ret)
{
    struct program *p = ARENA_NEW(w->arena, struct program);
    size_t from = 0;
    uint32_t end;
    struct buf text;
    p->step = ARENA_ARRAY(w->arena, struct step, s->n + 1);
    p->whole = s->n == 1 && rows_path_behind(w->rows, s, 0).n == 0;
    p->members = p->whole ? 0 : count_members(s, 0, &end);
    buf_init(&text, SIZE_MAX);
    w->text = &text;
    enum err err =
        p->whole ? add_step(w, p, s->token[0], false, &from) : make_steps(w, s, without, p);
    if (err == OK)
        place_text(w, p);
    buf_release(&text);
    *ret = p;
    return err;
}

enum err msgpack_rows_new(struct rows *rows, struct str key, struct arena *a,
                          struct msgpack_rows **ret)
{
    struct msgpack_rows *w = ARENA_NEW(a, struct msgpack_rows);
    *w = (struct msgpack_rows){.rows = rows, .arena = a, .key = key};
    w->program = arena_zalloc(a, rows->n_shapes * sizeof(*w->program));
    w->column = ARENA_ARRAY(a, struct column_at, rows->n_columns);
    TRY(rows_shape_of(rows, &w->shape_of));
    for (uint32_t i = 0; i < rows->n; i++)
        for (int without = 0; without < 1 + (key.n > 0); without++) {
            uint16_t s = w->shape_of[i];
            if (!w->program[s][without])
                TRY(make_program(w, &rows->shapes[s], without, &w->program[s][without]));
        }
    *ret = w;
    return OK;
}

/* ---- rows ---- */

void msgpack_rows_put(struct msgpack_rows *w, bool without_key, struct buf *out)
{
    CHECK(w->next < w->rows->n);
    const struct program *p = w->program[w->shape_of[w->next++]][without_key && w->key.n];
    if (__builtin_expect(p->whole, 0)) {
        struct column_at *c = &w->column[p->step[0].column];
        put_by_json(out, &c->values, c->next++);
        return;
    }
    buf_put_str(out, p->head);
    for (uint32_t i = 0; i < p->n; i++) {
        const struct step *s = &p->step[i];
        struct column_at *c = &w->column[s->column];
        uint32_t at = c->next++;
        buf_put_str(out, s->before);
        if (!s->skip)
            put_value(out, &c->values, at);
    }
}
