/* The groups of a block's rows, as small codes.
 *
 * (1) Each `by` gives every selected row a code: a value of a dictionary is looked at once, others
 * by interning; time bins by their number. (2) The codes of several `by`s are paired into one,
 * level by level, so that a row's group is one number; each distinct number is looked up in the
 * table once.
 *
 * A group's key is the concatenation of its cells: u8 lane, varint length, text. A time bin is lane
 * LANE_TIME and the int64 of its start. */
#include "query/agg_impl.h"

#include "core/hash.h"
#include "record/json_walk.h"

#include <math.h>

#define LANE_TIME 254

/* ---- cells ---- */

static void cell_put(struct buf *key, uint8_t lane, struct str text)
{
    buf_put_u8(key, lane);
    buf_put_lstr(key, text);
}

/* The cell of a scalar: its lane and its text. */
static void cell_of(struct buf *key, const struct scalar *s)
{
    if (s->lane == SCALAR_NONE || s->text.p || lane_is_text(s->lane)) {
        cell_put(key, s->lane, s->lane == SCALAR_NONE ? (struct str){0} : s->text);
        return;
    }
    char text[64];
    struct buf b = {.p = text, .cap = sizeof(text), .max = sizeof(text)};
    scalar_json(&b, s);
    cell_put(key, s->lane, buf_str(&b));
}

struct scalar agg_cell(struct reader *r)
{
    uint8_t lane = read_u8(r);
    struct str text = read_lstr(r);
    struct scalar s = {.lane = lane, .text = text};
    if (lane == LANE_TIME) {
        memcpy(&s.i64, text.p, sizeof(s.i64));
        s.numeric = true;
        s.f64 = (double)s.i64;
        s.lane = LANE_INT;
        s.scale = 1;
        return s;
    }
    if (lane == LANE_BOOL) {
        s.i64 = str_eq_c(text, "true");
        s.text = (struct str){0};
    } else if (lane_is_number(lane)) {
        s.numeric = str_to_f64(text, &s.f64);
        if (lane == LANE_INT)
            (void)str_to_i64(text, &s.i64);
    }
    return s;
}

/* ---- codes ---- */

/* Interns byte strings or pairs of codes, per block. */
struct intern {
    struct arena *arena;
    struct str *item;
    uint64_t *pair;
    uint32_t *slot;
    uint32_t n, cap, slots;
};

static void intern_grow(struct intern *in)
{
    uint32_t slots = in->slots ? in->slots * 4 : 256;
    uint32_t *slot = ARENA_ARRAY(in->arena, uint32_t, slots);
    struct str *item = ARENA_ARRAY(in->arena, struct str, slots / 2);
    uint64_t *pair = ARENA_ARRAY(in->arena, uint64_t, slots / 2);
    for (uint32_t k = 0; k < in->n; k++) {
        uint64_t hash = in->item[k].p ? hash64(in->item[k]) : hash_mix(in->pair[k]);
        uint32_t i = (uint32_t)hash & (slots - 1);
        while (slot[i])
            i = (i + 1) & (slots - 1);
        slot[i] = k + 1;
        item[k] = in->item[k];
        pair[k] = in->pair[k];
    }
    in->slot = slot;
    in->item = item;
    in->pair = pair;
    in->slots = slots;
}

static uint32_t intern_text(struct intern *in, struct str s)
{
    if ((in->n + 1) * 2 > in->slots)
        intern_grow(in);
    uint32_t i = (uint32_t)hash64(s) & (in->slots - 1);
    for (; in->slot[i]; i = (i + 1) & (in->slots - 1))
        if (str_eq(in->item[in->slot[i] - 1], s))
            return in->slot[i] - 1;
    in->item[in->n] = arena_str(in->arena, s);
    in->slot[i] = ++in->n;
    return in->n - 1;
}

static uint32_t intern_pair(struct intern *in, uint64_t pair)
{
    if ((in->n + 1) * 2 > in->slots)
        intern_grow(in);
    uint32_t i = (uint32_t)hash_mix(pair) & (in->slots - 1);
    for (; in->slot[i]; i = (i + 1) & (in->slots - 1))
        if (in->pair[in->slot[i] - 1] == pair)
            return in->slot[i] - 1;
    in->pair[in->n] = pair;
    in->slot[i] = ++in->n;
    return in->n - 1;
}

static int64_t floor_to(int64_t v, int64_t width)
{
    int64_t q = v / width;
    return (v % width < 0 ? q - 1 : q) * width;
}

static enum err code_time(struct fold *f, const struct by_spec *by, struct intern *in,
                          uint32_t *code)
{
    const int64_t *time;
    TRY(rows_time(f->rows, &time));
    int64_t last = 0;
    uint32_t last_code = UINT32_MAX;
    for (uint32_t i = 0; i < f->n; i++) {
        int64_t bin = floor_to(time[f->row[i]], by->bin_ns);
        if (last_code == UINT32_MAX || bin != last) {
            char cell[16];
            struct buf b = {.p = cell, .cap = sizeof(cell), .max = sizeof(cell)};
            cell_put(&b, LANE_TIME, str_of((const char *)&bin, sizeof(bin)));
            last_code = intern_text(in, buf_str(&b));
            last = bin;
        }
        code[i] = last_code;
    }
    return OK;
}

/* This pass's scalar of an array; false, and no value, when it has no such. */
static bool pick_element(struct fold *f, struct str array, struct scalar *ret)
{
    struct json_walk w;
    struct scalar s, picked = {.lane = SCALAR_NONE};
    uint32_t k = 0;
    bool is = json_walk_begin(&w, array);
    while (is && k < f->element + 2 && scalar_element(&w, f->scratch, &s)) {
        if (s.lane == SCALAR_NONE)
            continue;
        if (k == f->element)
            picked = s;
        k++;
    }
    f->more |= k == f->element + 2;
    *ret = picked;
    return k > f->element;
}

static uint32_t code_value(struct fold *f, const struct by_spec *by, struct intern *in,
                           const struct values *v, uint32_t i, struct buf *cell)
{
    struct scalar s = scalar_of(v, i);
    if (s.lane == LANE_ARR) {
        if (!pick_element(f, s.text, &s) && f->element > 0)
            return UINT32_MAX;
    } else if (f->element > 0) {
        return UINT32_MAX;
    }
    if (by->bin_width > 0 && s.lane != SCALAR_NONE) {
        double bin = s.numeric ? floor(s.f64 / by->bin_width) * by->bin_width : NAN;
        bool whole = bin == floor(bin) && fabs(bin) < 1e15;
        s = !s.numeric ? (struct scalar){.lane = SCALAR_NONE}
            : whole    ? (struct scalar){.lane = LANE_INT, .i64 = (int64_t)bin}
                       : (struct scalar){.lane = LANE_DBL, .f64 = bin};
    }
    buf_clear(cell);
    cell_of(cell, &s);
    return intern_text(in, buf_str(cell));
}

/* A dictionary of anything but arrays is coded whole, then each row is one look-up. */
static void code_dictionary(struct fold *f, const struct by_spec *by, struct intern *in,
                            const struct field_piece *piece, struct buf *cell, uint32_t *code)
{
    uint32_t *memo = arena_alloc(f->scratch, piece->v.n * sizeof(*memo));
    for (uint32_t i = 0; i < piece->v.n; i++)
        memo[i] = code_value(f, by, in, &piece->v, i, cell);
    if (!piece->sel)
        for (uint32_t i = 0; i < piece->n; i++)
            code[i] = memo[piece->code[i]];
    else
        for (uint32_t i = 0; i < piece->n; i++)
            code[piece->sel[i]] = memo[piece->code[i]];
}

static enum err code_field(struct fold *f, const struct by_spec *by, struct intern *in,
                           uint32_t *code)
{
    struct field_values values;
    TRY(field_read(f->rows, by->field, f->row, f->n, f->scratch, &values));
    struct buf cell;
    buf_init(&cell, SIZE_MAX);
    bool all = values.n && !values.piece[0].sel && values.piece[0].n == f->n;
    uint32_t missing = UINT32_MAX;
    if (!all && f->element == 0) {
        cell_put(&cell, SCALAR_NONE, (struct str){0});
        missing = intern_text(in, buf_str(&cell));
    }
    for (uint32_t i = 0; !all && i < f->n; i++)
        code[i] = missing;
    for (uint32_t p = 0; p < values.n; p++) {
        const struct field_piece *piece = &values.piece[p];
        if (piece->code && piece->v.lane != LANE_ARR && piece->v.n <= piece->n) {
            code_dictionary(f, by, in, piece, &cell, code);
            continue;
        }
        for (uint32_t i = 0; i < piece->n; i++)
            code[piece->sel ? piece->sel[i] : i] =
                code_value(f, by, in, &piece->v, piece->code ? piece->code[i] : i, &cell);
    }
    buf_release(&cell);
    return OK;
}

/* The key of combined code `c`: the cells of its parts, outermost level last. */
static void key_of(const struct intern *level, const struct intern *cells, uint32_t n_by,
                   uint32_t c, struct buf *key)
{
    uint32_t part[BY_MAX];
    for (uint32_t k = n_by; k-- > 1;) {
        uint64_t pair = level[k].pair[c];
        part[k] = (uint32_t)pair;
        c = (uint32_t)(pair >> 32);
    }
    part[0] = c;
    for (uint32_t k = 0; k < n_by; k++)
        buf_put_str(key, cells[k].item[part[k]]);
}

static enum err fold_groups(struct fold *f, const struct intern *level, const struct intern *cells,
                            uint32_t n_codes)
{
    struct buf key;
    buf_init(&key, SIZE_MAX);
    f->group = ARENA_ARRAY(f->scratch, struct group *, n_codes);
    /* Some codes were given before any row was known to have them: a group comes with its first
     * row. */
    f->count = ARENA_ARRAY(f->scratch, uint32_t, n_codes);
    f->n_codes = n_codes;
    for (uint32_t i = 0; i < f->n; i++)
        if (f->code[i] != UINT32_MAX)
            f->count[f->code[i]]++;
    enum err err = OK;
    for (uint32_t c = 0; c < n_codes && err == OK; c++) {
        if (!f->count[c])
            continue;
        buf_clear(&key);
        key_of(level, cells, f->t->pipe->n_by, c, &key);
        f->group[c] = agg_group(f->t, buf_str(&key));
        err = f->group[c] ? OK : agg_too_large(f->t);
    }
    buf_release(&key);
    return err;
}

enum err agg_codes(struct fold *f)
{
    const struct pipe *pipe = f->t->pipe;
    struct intern cells[BY_MAX], level[BY_MAX];
    uint32_t *code = arena_alloc(f->scratch, f->n * sizeof(*code));
    uint32_t *next = arena_alloc(f->scratch, f->n * sizeof(*next));
    if (pipe->n_by == 0) {
        memset(code, 0, f->n * sizeof(*code));
        f->code = code;
        f->group = ARENA_ARRAY(f->scratch, struct group *, 1);
        f->count = ARENA_ARRAY(f->scratch, uint32_t, 1);
        f->count[0] = f->n;
        f->n_codes = 1;
        f->group[0] = agg_group(f->t, (struct str){0});
        return f->group[0] ? OK : agg_too_large(f->t);
    }
    uint32_t element = f->element;
    for (uint32_t k = 0; k < pipe->n_by; k++) {
        const struct by_spec *by = &pipe->by[k];
        cells[k] = level[k] = (struct intern){.arena = f->scratch};
        uint32_t *mine = k == 0 ? code : next;
        if (k > 0)
            f->element = 0; /* only the first key's arrays are opened */
        bool more = f->more;
        TRY(by->bin_time ? code_time(f, by, &cells[k], mine) : code_field(f, by, &cells[k], mine));
        f->more = k == 0 ? f->more : more;
        for (uint32_t i = 0; k > 0 && i < f->n; i++)
            if (code[i] != UINT32_MAX)
                code[i] = intern_pair(&level[k], (uint64_t)code[i] << 32 | mine[i]);
    }
    f->element = element;
    f->code = code;
    uint32_t n_codes = pipe->n_by == 1 ? cells[0].n : level[pipe->n_by - 1].n;
    return fold_groups(f, level, cells, n_codes);
}
