/* Reading a field: the columns that may hold it are asked one by one; each gives the selected rows
 * that no earlier one served. The usual field is one column that every row has; records and objects
 * that are kept as JSON text are looked into last. Where a shape holds a name twice (twins), its
 * columns are asked in the order in which they stand in the shape, not in that of the block: the
 * value that a record has first is its value wherever it lies. */
#include "query/field.h"

#include "filter/filter.h"
#include "record/bitmap.h"
#include "record/derive.h"
#include "record/json.h"
#include "record/json_walk.h"
#include "record/template_cut.h"
#include "record/timestamp.h"

#include <math.h>

enum { INSIDE_MAX = 256 };

struct reading {
    struct rows *rows;
    const uint32_t *row;
    uint32_t n;
    struct arena *arena;
    uint64_t *taken; /* over selected rows */
    uint32_t n_taken;
    struct field_piece *piece;
    uint32_t n_pieces, cap;
    bool patterns; /* of the values are wanted */
    /* While twins are read: the column whose turn it is, by shape; and the rows' shapes. */
    const uint32_t *turn;
    const uint16_t *shape_of;
};

/* Whether the column may serve the selected row. */
static bool may_serve(const struct reading *r, const struct presence *has, uint32_t col, uint32_t i)
{
    uint32_t row = r->row[i];
    return presence_has(has, row) && !bitmap_get(r->taken, i) &&
           (!r->turn || r->turn[r->shape_of[row]] == col);
}

static struct field_piece *piece_new(struct reading *r)
{
    if (r->n_pieces == r->cap) {
        uint32_t cap = r->cap ? r->cap * 2 : 4;
        struct field_piece *more = ARENA_ARRAY(r->arena, struct field_piece, cap);
        if (r->n_pieces)
            memcpy(more, r->piece, r->n_pieces * sizeof(*more));
        r->piece = more;
        r->cap = cap;
    }
    return &r->piece[r->n_pieces++];
}

/* ERR_UNSUPPORTED: there are none, or none worth the while. */
static enum err column_codes(struct reading *r, const struct column *col, struct field_piece *piece,
                             const uint32_t **ret)
{
    const struct column_ops *ops = col->ops;
    if (r->patterns && ops->patterns) {
        enum err err = ops->patterns(col, r->arena, &piece->v, ret, NULL);
        piece->cut = err == OK;
        if (err != ERR_UNSUPPORTED)
            return err;
    }
    return ops->codes ? ops->codes(col, r->arena, &piece->v, ret) : ERR_UNSUPPORTED;
}

/* Values of entries at positions `pos` of a column: by its dictionary where it has one. */
static enum err piece_fill(struct reading *r, const struct column *col, const uint32_t *pos,
                           struct field_piece *piece)
{
    const uint32_t *code;
    if (piece->n > col->n / 64) {
        enum err err = column_codes(r, col, piece, &code);
        if (err == OK && piece->n == col->n) {
            piece->code = code;
        } else if (err == OK) {
            uint32_t *mine = arena_alloc(r->arena, piece->n * sizeof(*mine));
            for (uint32_t i = 0; i < piece->n; i++)
                mine[i] = code[pos[i]];
            piece->code = mine;
        }
        if (err != ERR_UNSUPPORTED)
            return err;
    }
    if (piece->n == col->n)
        return col->ops->values(col, r->arena, &piece->v);
    return col->ops->get(col, pos, piece->n, r->arena, &piece->v);
}

static enum err read_column(struct reading *r, uint32_t c)
{
    const struct column *col = &r->rows->columns[c];
    if (lane_is_empty(col->lane))
        return OK;
    struct presence has;
    TRY(rows_presence(r->rows, c, &has));
    if (has.all && r->n_taken == 0 && !r->turn) {
        struct field_piece *piece = piece_new(r);
        *piece = (struct field_piece){.n = r->n};
        r->n_taken = r->n;
        return piece_fill(r, col, r->row, piece);
    }
    uint32_t *pos = arena_alloc(r->arena, r->n * sizeof(*pos));
    uint32_t *sel = arena_alloc(r->arena, r->n * sizeof(*sel));
    uint32_t m = 0;
    for (uint32_t i = 0; i < r->n; i++) {
        if (!may_serve(r, &has, c, i))
            continue;
        bitmap_set(r->taken, i);
        pos[m] = presence_rank(&has, r->row[i]);
        sel[m++] = i;
    }
    if (m == 0)
        return OK;
    r->n_taken += m;
    struct field_piece *piece = piece_new(r);
    *piece = (struct field_piece){.n = m, .sel = sel};
    return piece_fill(r, col, pos, piece);
}

/* ---- objects kept as JSON text ---- */

/* The first leaf of a dotted name in an object's text that is a value; `name` may be written in
 * several ways, as keys may hold dots. */
static bool find_inside(struct str object, struct str name, struct arena *arena, unsigned depth,
                        struct json_item *ret)
{
    struct json_walk w;
    struct json_item item;
    bool is = depth < INSIDE_MAX && json_walk_begin(&w, object);
    while (is && json_walk_next(&w, &item)) {
        struct str key = json_walk_text(item.key, arena);
        bool whole = str_eq(key, name);
        if (whole && !lane_is_empty(item.lane) && item.lane != LANE_JSON) {
            *ret = item;
            return true;
        }
        if (item.lane == LANE_JSON && name.n > key.n && name.p[key.n] == '.' &&
            str_starts(name, key) &&
            find_inside(item.text, str_from(name, key.n + 1), arena, depth + 1, ret))
            return true;
    }
    return false;
}

static void free_batch(void *b)
{
    batch_free(b);
}

/* What is looked for below a column of the name `of`; false when nothing can be. */
static bool name_below(struct str of, struct str name, struct str *ret)
{
    if (of.n == 0) {
        *ret = name;
        return true;
    }
    *ret = str_from(name, of.n + 1);
    return name.n > of.n && name.p[of.n] == '.' && str_starts(name, of);
}

/* The values found go through a batch, so that they are what they would be as a column. */
static enum err read_found(struct reading *r, struct batch *found, const uint32_t *sel)
{
    struct rows *rows = ARENA_NEW(r->arena, struct rows);
    batch_view(found, r->arena, rows);
    for (uint32_t c = 0; c < rows->n_columns; c++) {
        const struct column *col = &rows->columns[c];
        struct presence has;
        TRY(rows_presence(rows, c, &has));
        uint32_t *of = arena_alloc(r->arena, ((size_t)col->n + 1) * sizeof(*of)), m = 0;
        for (uint32_t i = 0; i < rows->n; i++)
            if (presence_has(&has, i))
                of[m++] = sel[i];
        struct field_piece *piece = piece_new(r);
        *piece = (struct field_piece){.n = m, .sel = of};
        TRY(col->ops->values(col, r->arena, &piece->v));
    }
    return OK;
}

static enum err read_inside(struct reading *r, uint32_t c, struct str name)
{
    const struct column *col = &r->rows->columns[c];
    struct presence has;
    struct values v;
    TRY(rows_presence(r->rows, c, &has));
    TRY(col->ops->values(col, r->arena, &v));
    struct batch *found = batch_new();
    uint32_t *sel = arena_alloc(r->arena, ((size_t)r->n + 1) * sizeof(*sel)), m = 0;
    arena_defer(r->arena, free_batch, found);
    for (uint32_t i = 0; i < r->n; i++) {
        struct json_item item;
        if (!may_serve(r, &has, c, i) ||
            !find_inside(values_text(&v, presence_rank(&has, r->row[i])), name, r->arena, 0, &item))
            continue;
        batch_begin(found);
        batch_put_json(found, STR("v"), &item, r->arena);
        batch_end(found, 0, STR("{}"));
        bitmap_set(r->taken, i);
        sel[m++] = i;
    }
    r->n_taken += m;
    return m ? read_found(r, found, sel) : OK;
}

/* ---- the columns of a name ---- */

enum candidate { NOT_NAMED, NAMED, MAY_HOLD }; /* a value; a text that may have one within */

/* What is to be looked for within an object's text; false: it cannot hold the name. */
static bool text_below(const struct reading *r, uint32_t c, struct str name, struct str *ret)
{
    struct buf path;
    buf_init(&path, SIZE_MAX);
    path_name(r->rows->columns[c].path, &path);
    bool may = name_below(buf_str(&path), name, ret); /* a part of the name, not of the path */
    buf_release(&path);
    return may;
}

static enum candidate candidate_of(const struct reading *r, uint32_t c, struct str name, bool named)
{
    enum lane lane = r->rows->columns[c].lane;
    struct str below;
    if (lane == LANE_JSON)
        return text_below(r, c, name, &below) ? MAY_HOLD : NOT_NAMED;
    return named && !lane_is_empty(lane) ? NAMED : NOT_NAMED;
}

/* An enum candidate a column. *ret_n: how many are any; NULL where none is. */
static const uint8_t *find_candidates(struct reading *r, struct str name, uint32_t *ret_n)
{
    const struct rows *rows = r->rows;
    uint8_t *kind = NULL;
    uint32_t named = rows_find(rows, name, 0);
    *ret_n = 0;
    for (uint32_t c = 0; c < rows->n_columns; c++) {
        if (c != named && rows->columns[c].lane != LANE_JSON)
            continue;
        enum candidate is = candidate_of(r, c, name, c == named);
        if (c == named)
            named = rows_find(rows, name, c + 1);
        if (is == NOT_NAMED)
            continue;
        if (!kind)
            kind = ARENA_ARRAY(r->arena, uint8_t, rows->n_columns);
        kind[c] = (uint8_t)is;
        ++*ret_n;
    }
    return kind;
}

static enum err read_candidate(struct reading *r, const uint8_t *kind, uint32_t c, struct str name)
{
    struct str below;
    if (kind[c] == NAMED)
        return read_column(r, c);
    return text_below(r, c, name, &below) ? read_inside(r, c, below) : OK;
}

/* The columns of a kind, in the block's order. */
static enum err read_kind(struct reading *r, const uint8_t *kind, enum candidate which,
                          struct str name)
{
    for (uint32_t c = 0; c < r->rows->n_columns && r->n_taken < r->n; c++)
        if (kind[c] == which)
            TRY(read_candidate(r, kind, c, name));
    return OK;
}

static bool any_twins(const struct rows *rows, const uint8_t *kind)
{
    for (uint32_t s = 0; s < rows->n_shapes; s++) {
        uint32_t n = 0;
        for (uint32_t t = 0; t < rows->shapes[s].n; t++) {
            uint32_t c = rows->shapes[s].token[t];
            n += c < SHAPE_OPEN && kind[c] != NOT_NAMED;
        }
        if (n > 1)
            return true;
    }
    return false;
}

/* Of each shape its candidate number `turn`, UINT32_MAX where it has no more: one that has a value
 * for sure is the last. False: no shape has one. */
static bool find_turns(const struct rows *rows, const uint8_t *kind, uint32_t turn, uint32_t *ret)
{
    bool any = false;
    for (uint32_t s = 0; s < rows->n_shapes; s++) {
        const struct shape *shape = &rows->shapes[s];
        uint32_t before = 0;
        ret[s] = UINT32_MAX;
        for (uint32_t t = 0; t < shape->n && before <= turn; t++) {
            uint32_t c = shape->token[t];
            if (c >= SHAPE_OPEN || kind[c] == NOT_NAMED)
                continue;
            if (before++ == turn)
                ret[s] = c;
            else if (kind[c] == NAMED)
                break;
        }
        any |= ret[s] != UINT32_MAX;
    }
    return any;
}

/* The columns whose turn it is, each for the rows of its shapes. */
static enum err read_turn(struct reading *r, const uint8_t *kind, struct str name)
{
    uint8_t *has_turn = ARENA_ARRAY(r->arena, uint8_t, r->rows->n_columns);
    for (uint32_t s = 0; s < r->rows->n_shapes; s++)
        if (r->turn[s] != UINT32_MAX)
            has_turn[r->turn[s]] = 1;
    for (uint32_t c = 0; c < r->rows->n_columns && r->n_taken < r->n; c++)
        if (has_turn[c])
            TRY(read_candidate(r, kind, c, name));
    return OK;
}

static enum err read_twins(struct reading *r, const uint8_t *kind, struct str name)
{
    uint32_t *turn = ARENA_TRY_ARRAY(r->arena, uint32_t, r->rows->n_shapes);
    enum err err = OK;
    if (!turn)
        return err_set(ERR_NOMEM, "no memory for the columns of a field (query.memory)");
    TRY(rows_shape_of(r->rows, &r->shape_of));
    r->turn = turn;
    for (uint32_t t = 0; err == OK && r->n_taken < r->n && find_turns(r->rows, kind, t, turn); t++)
        err = read_turn(r, kind, name);
    r->turn = NULL;
    return err;
}

static enum err read_name(struct reading *r, struct str name)
{
    uint32_t n;
    if (r->n_taken == r->n)
        return OK;
    const uint8_t *kind = find_candidates(r, name, &n);
    if (n == 0)
        return OK;
    if (n > 1 && any_twins(r->rows, kind))
        return read_twins(r, kind, name);
    TRY(read_kind(r, kind, NAMED, name));
    return read_kind(r, kind, MAY_HOLD, name);
}

/* Texts made for the rows that have no value yet. */
struct made {
    const int64_t *time;          /* by row */
    const struct origin_run *run; /* of the row before, and runs from there on */
    uint32_t runs;
    bool any;        /* row before there is, */
    int64_t last_ns; /* and its time */
    struct time_writer writer;
};
/* The length of a row's text, 0: it is that of the row before. */
typedef size_t (*make_fn)(struct made *m, uint32_t row, char *out);

/* Rows ascend. */
static const struct origin_run *run_of(struct made *m, uint32_t row)
{
    while (m->runs > 1 && m->run[1].row <= row) {
        m->run++;
        m->runs--;
    }
    return m->run;
}

static size_t put_made_time(struct made *m, int64_t ns, char *out)
{
    if (m->any && ns == m->last_ns)
        return 0; /* as records of one request share their arrival */
    m->any = true;
    return time_rfc3339_next(&m->writer, m->last_ns = ns, out);
}

static size_t make_time(struct made *m, uint32_t row, char *out)
{
    return put_made_time(m, m->time[row], out);
}

static size_t make_arrival(struct made *m, uint32_t row, char *out)
{
    return put_made_time(m, run_of(m, row)->arrival_ns, out);
}

static size_t make_id(struct made *m, uint32_t row, char *out)
{
    struct origin_run origin = *run_of(m, row);
    origin.index += row - origin.row;
    return filter_row_id(&origin, out);
}

static enum err made_begin(struct reading *r, make_fn make, struct made *m)
{
    *m = (struct made){0};
    if (make == make_time)
        return rows_time(r->rows, &m->time);
    TRY(r->rows->ops->origin(r->rows, &m->run, &m->runs));
    if (r->n && (!m->runs || m->run->row > r->row[0]))
        return err_set(ERR_CORRUPT, "row %u has no origin", r->row[0]);
    return OK;
}

static enum err read_made(struct reading *r, size_t max, make_fn make)
{
    uint32_t *sel = arena_alloc(r->arena, r->n * sizeof(*sel));
    uint32_t *code = arena_alloc(r->arena, r->n * sizeof(*code));
    uint32_t *off = arena_alloc(r->arena, (r->n + 1) * sizeof(*off));
    char *bytes = arena_alloc(r->arena, r->n * max + 1);
    uint32_t n = 0, texts = 0;
    struct made m;
    TRY(made_begin(r, make, &m));
    off[0] = 0;
    for (uint32_t i = 0; i < r->n; i++) {
        if (bitmap_get(r->taken, i))
            continue;
        size_t length = make(&m, r->row[i], bytes + off[texts]);
        if (length) {
            off[texts + 1] = off[texts] + (uint32_t)length;
            texts++;
        }
        code[n] = texts - 1;
        sel[n++] = i;
    }
    if (n)
        *piece_new(r) =
            (struct field_piece){.v = {.n = texts, .lane = LANE_STR, .off = off, .bytes = bytes},
                                 .code = texts < n ? code : NULL,
                                 .sel = sel,
                                 .n = n};
    return OK;
}

static enum err read_stream(struct reading *r)
{
    uint32_t *off = ARENA_ARRAY(r->arena, uint32_t, 2);
    uint32_t *code = ARENA_ARRAY(r->arena, uint32_t, r->n);
    uint32_t *sel = arena_alloc(r->arena, r->n * sizeof(*sel));
    uint32_t m = 0;
    for (uint32_t i = 0; i < r->n; i++)
        if (!bitmap_get(r->taken, i))
            sel[m++] = i;
    off[1] = (uint32_t)r->rows->stream.n;
    *piece_new(r) = (struct field_piece){.v = {.n = 1,
                                               .lane = LANE_STR,
                                               .off = off,
                                               .bytes = r->rows->stream.n ? r->rows->stream.p : ""},
                                         .code = code,
                                         .sel = sel,
                                         .n = m};
    return OK;
}

static enum err read_all(struct reading *r, struct str name)
{
    const char *const *names = alias_names(name);
    if (!names)
        TRY(read_name(r, name));
    for (; names && *names; names++)
        TRY(read_name(r, str_c(*names)));
    if (r->n_taken < r->n && name.n && name.p[0] == '_') {
        if (str_eq_c(name, "_time"))
            TRY(read_made(r, TIME_TEXT_MAX, make_time));
        else if (str_eq_c(name, "_id"))
            TRY(read_made(r, FILTER_ID_MAX, make_id));
        else if (str_eq_c(name, "_stream"))
            TRY(read_stream(r));
    } else if (r->n_taken < r->n && str_eq_c(name, "ingested_at")) {
        TRY(read_made(r, TIME_TEXT_MAX, make_arrival));
    }
    return OK;
}

static struct reading reading_of(struct rows *rows, const uint32_t *row, uint32_t n,
                                 struct arena *arena)
{
    return (struct reading){
        .rows = rows, .row = row, .n = n, .arena = arena, .taken = bitmap_new(arena, n)};
}

enum err field_read(struct rows *rows, struct str name, const uint32_t *row, uint32_t n,
                    struct arena *arena, struct field_values *ret)
{
    struct reading r = reading_of(rows, row, n, arena);
    TRY(read_all(&r, name));
    *ret = (struct field_values){r.piece, r.n_pieces};
    return OK;
}

/* ---- patterns ---- */

/* The pattern of each value's text, in place of the values. */
static enum err cut_values(struct arena *arena, struct values *v)
{
    struct buf text, all;
    uint32_t *off = arena_alloc(arena, ((size_t)v->n + 1) * sizeof(*off));
    buf_init(&text, SIZE_MAX);
    buf_init(&all, SIZE_MAX);
    off[0] = 0;
    for (uint32_t i = 0; i < v->n && all.n <= UINT32_MAX; i++) {
        if (lane_is_text(v->lane)) {
            template_pattern(values_text(v, i), &all);
        } else {
            buf_clear(&text);
            json_put_value(&text, v, i);
            template_pattern(buf_str(&text), &all);
        }
        off[i + 1] = (uint32_t)all.n;
    }
    char *bytes = all.n <= UINT32_MAX ? arena_try_alloc(arena, all.n + 1) : NULL;
    if (bytes && all.n)
        memcpy(bytes, all.p, all.n);
    *v = (struct values){.n = v->n, .lane = LANE_STR, .off = off, .bytes = bytes};
    buf_release(&text);
    buf_release(&all);
    return bytes ? OK : err_set(ERR_NOMEM, "no memory for patterns (query.memory)");
}

enum err field_patterns(struct rows *rows, struct str name, const uint32_t *row, uint32_t n,
                        struct arena *arena, struct field_values *ret)
{
    struct reading r = reading_of(rows, row, n, arena);
    r.patterns = true;
    TRY(read_all(&r, name));
    for (uint32_t i = 0; i < r.n_pieces; i++)
        if (!r.piece[i].cut)
            TRY(cut_values(arena, &r.piece[i].v));
    *ret = (struct field_values){r.piece, r.n_pieces};
    return OK;
}

static const double pow10_table[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8, 1e9,
                                     1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18};

struct scalar scalar_of(const struct values *v, uint32_t i)
{
    struct scalar s = {.lane = (uint8_t)v->lane};
    switch (v->lane) {
    case LANE_INT:
        s.i64 = v->i64[i];
        s.f64 = (double)s.i64;
        s.numeric = true;
        break;
    case LANE_DEC:
        s.i64 = v->i64[i];
        s.scale = v->scale[i];
        s.f64 = (double)s.i64 / pow10_table[s.scale <= 18 ? s.scale : 18];
        s.numeric = true;
        break;
    case LANE_DBL:
        s.f64 = v->f64[i];
        s.numeric = true;
        break;
    case LANE_BOOL:
        s.i64 = v->u8[i];
        break;
    case LANE_STR:
    case LANE_NUM:
    case LANE_ARR:
    case LANE_JSON:
        s.text = values_text(v, i);
        if (v->lane <= LANE_NUM && s.text.n && s.text.n < 64 &&
            (unsigned char)s.text.p[s.text.n - 1] <= '9')
            s.numeric = str_to_f64(s.text, &s.f64) && isfinite(s.f64);
        break;
    default:
        s.lane = SCALAR_NONE;
    }
    return s;
}

/* As scalar_of would give it, were it a column's: integers in their lane. */
static struct scalar scalar_number(struct str text)
{
    uint32_t off[2] = {0, (uint32_t)text.n};
    struct values v = {.n = 1, .lane = LANE_NUM, .off = off, .bytes = text.p};
    struct scalar s = scalar_of(&v, 0);
    if (str_to_i64(text, &s.i64) && !str_eq_c(text, "-0")) {
        s.lane = LANE_INT;
        s.text = (struct str){0};
    }
    return s;
}

bool scalar_element(struct json_walk *w, struct arena *a, struct scalar *ret)
{
    struct json_item item;
    if (!json_walk_next(w, &item))
        return false;
    *ret = (struct scalar){.lane = SCALAR_NONE};
    switch (item.lane) {
    case LANE_BOOL:
        *ret = (struct scalar){.lane = LANE_BOOL, .i64 = item.text.p[0] == 't'};
        break;
    case LANE_NUM:
        *ret = scalar_number(item.text);
        break;
    case LANE_STR:
        *ret = (struct scalar){.lane = LANE_STR, .text = json_walk_text(item.text, a)};
        break;
    default:;
    }
    return true;
}

/* What the nearest double of an integer leaves; every other number is as its double. */
static int64_t rest_of(const struct scalar *s)
{
    if (s->lane != LANE_INT)
        return 0;
    return s->f64 < 0x1p63 ? s->i64 - (int64_t)s->f64 : s->i64 - INT64_MAX - 1;
}

static int numbers_cmp(const struct scalar *a, const struct scalar *b)
{
    if (a->f64 != b->f64)
        return a->f64 > b->f64 ? 1 : -1;
    int64_t x = rest_of(a), y = rest_of(b);
    return (x > y) - (x < y);
}

int scalar_cmp(const struct scalar *a, const struct scalar *b)
{
    if (a->lane == SCALAR_NONE || b->lane == SCALAR_NONE)
        return (a->lane == SCALAR_NONE) - (b->lane == SCALAR_NONE);
    if (a->numeric != b->numeric)
        return a->numeric ? -1 : 1;
    if (a->numeric)
        return numbers_cmp(a, b);
    if (a->lane == LANE_BOOL || b->lane == LANE_BOOL) {
        if (a->lane != b->lane)
            return a->lane == LANE_BOOL ? -1 : 1;
        return (a->i64 > b->i64) - (a->i64 < b->i64);
    }
    return str_cmp(a->text, b->text);
}

bool scalar_plainer(const struct scalar *a, const struct scalar *b)
{
    if (a->lane != b->lane) /* text is the first lane */
        return b->lane == LANE_STR || (a->lane != LANE_STR && a->lane < b->lane);
    if (a->scale != b->scale)
        return a->scale < b->scale;
    int c = str_cmp(a->text, b->text);
    return c ? c < 0 : a->i64 < b->i64;
}

int scalar_order(const struct scalar *a, const struct scalar *b)
{
    int c = scalar_cmp(a, b);
    return c ? c : scalar_plainer(b, a) - scalar_plainer(a, b);
}

void scalar_json(struct buf *out, const struct scalar *s)
{
    if (s->lane == SCALAR_NONE) {
        buf_put_c(out, "null");
        return;
    }
    uint32_t off[2] = {0, (uint32_t)s->text.n};
    uint8_t flag = (uint8_t)s->i64;
    struct values v = {.n = 1,
                       .lane = s->lane,
                       .off = off,
                       .bytes = s->text.p,
                       .i64 = &s->i64,
                       .scale = &s->scale,
                       .f64 = &s->f64,
                       .u8 = &flag};
    json_put_value(out, &v, 0);
}
