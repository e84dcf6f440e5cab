/* The groups of a block's rows, as small codes.
 *
 * (1) Each `by` gives every selected row a code. A constant is one code for all, without a look at
 * any row; a dictionary's values are looked at once each, small ranges of integers too, others are
 * interned; times go by bins. A row that holds an array has a code for each of its scalars.
 * (2) The codes of several `by`s are paired into one, level by level, so that a row's group is one
 * number (several, where there are arrays: each scalar with each). (3) Each number that some row
 * has is looked up in the table once. Where only counts are wanted, a dictionary's codes are
 * counted as they stand.
 *
 * A group's key is the concatenation of its cells: u8 lane, varint length, text. A time bin is lane
 * LANE_TIME and the int64 of its start. */
#include "query/agg_impl.h"

#include "core/hash.h"
#include "query/bins.h"
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

/* Codes of a `by`. One of: `constant` for every row; memo[dict[i]]; code[i]; and with `begin`,
 * code[begin[i]] up to code[begin[i + 1]]. */
struct coding {
    bool is_constant;
    uint32_t constant;
    const uint32_t *dict, *memo;
    uint32_t n_dict;
    uint32_t *code, *begin;
};

enum { RANGE_MAX = 1 << 18, PAIRS_DENSE = 1 << 18, LANES = 4, LANES_DICT_MAX = 8192 };

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

/* NOLINTNEXTLINE(readability-non-const-parameter): written through `b` */
static struct str bin_cell(int64_t bin, char room[16])
{
    struct buf b = {.p = room, .cap = 16, .max = 16};
    cell_put(&b, LANE_TIME, str_of((const char *)&bin, sizeof(bin)));
    return buf_str(&b);
}

static uint32_t intern_bin(struct intern *in, int64_t bin)
{
    char room[16];
    return intern_text(in, bin_cell(bin, room));
}

bool agg_add_header(struct agg_table *t, int64_t time_min, int64_t time_max, uint64_t rows)
{
    const struct pipe *pipe = t->pipe;
    char room[16];
    struct str key = {0};
    if (pipe->n_by > 1 || (pipe->n_by == 1 && !pipe->by[0].bin_time))
        return false;
    if (pipe->n_by == 1) {
        int64_t bin = bin_start(&pipe->by[0], time_min);
        if (bin != bin_start(&pipe->by[0], time_max))
            return false;
        key = bin_cell(bin, room);
    }
    struct group *g = agg_group(t, key);
    for (uint32_t a = 0; g && a < pipe->n_aggs; a++)
        g->state[a].n += rows;
    return g;
}

static uint32_t *new_codes(struct fold *f)
{
    return arena_alloc(f->scratch, ((size_t)f->n + 1) * sizeof(uint32_t));
}

static enum err code_time(struct fold *f, const struct by_spec *by, struct intern *in,
                          struct coding *ret)
{
    int64_t first = bin_start(by, f->rows->time_min);
    if (first == bin_start(by, f->rows->time_max)) {
        *ret = (struct coding){.is_constant = true, .constant = intern_bin(in, first)};
        return OK;
    }
    const int64_t *time;
    TRY(rows_time(f->rows, &time));
    *ret = (struct coding){.code = new_codes(f)};
    int64_t bin = 0, next = 0;
    uint32_t code = UINT32_MAX;
    for (uint32_t i = 0; i < f->n; i++) {
        int64_t t = time[f->row[i]];
        if (code == UINT32_MAX || t < bin || t >= next) {
            bin = bin_start(by, t);
            next = bin_next(by, bin);
            code = intern_bin(in, bin);
        }
        ret->code[i] = code;
    }
    return OK;
}

/* One `by` being coded. */
struct by_coder {
    struct fold *f;
    const struct by_spec *by;
    struct intern *in;
    struct buf cell;
};

static uint32_t code_scalar(struct by_coder *c, struct scalar s)
{
    const struct by_spec *by = c->by;
    if (by->bin_width > 0 && s.lane != SCALAR_NONE) {
        double bin = s.numeric ? floor(s.f64 / by->bin_width) * by->bin_width : NAN;
        bool whole = bin == floor(bin) && fabs(bin) < 1e15;
        s = !s.numeric ? (struct scalar){.lane = SCALAR_NONE}
            : whole    ? (struct scalar){.lane = LANE_INT, .i64 = (int64_t)bin}
                       : (struct scalar){.lane = LANE_DBL, .f64 = bin};
    }
    if (by->required && s.lane == SCALAR_NONE)
        return CODE_NONE;
    buf_clear(&c->cell);
    cell_of(&c->cell, &s);
    return intern_text(c->in, buf_str(&c->cell));
}

static uint32_t code_missing(struct by_coder *c)
{
    return code_scalar(c, (struct scalar){.lane = SCALAR_NONE});
}

static uint32_t code_value(struct by_coder *c, const struct values *v, uint32_t i)
{
    if (v->lane != LANE_STR || c->by->bin_width > 0)
        return code_scalar(c, scalar_of(v, i));
    buf_clear(&c->cell); /* whether it is a number does not matter */
    cell_put(&c->cell, LANE_STR, values_text(v, i));
    return intern_text(c->in, buf_str(&c->cell));
}

static void set_code(uint32_t *code, const struct field_piece *piece, uint32_t i, uint32_t to)
{
    code[piece->sel ? piece->sel[i] : i] = to;
}

static const uint32_t *memo_of(struct by_coder *c, const struct values *dict)
{
    uint32_t *memo = arena_alloc(c->f->scratch, ((size_t)dict->n + 1) * sizeof(*memo));
    for (uint32_t i = 0; i < dict->n; i++)
        memo[i] = code_value(c, dict, i);
    return memo;
}

/* Integers of a small range: each is looked at once. */
static bool code_range(struct by_coder *c, const struct field_piece *piece, uint32_t *code)
{
    const int64_t *v = piece->v.i64;
    int64_t min = INT64_MAX, max = INT64_MIN;
    for (uint32_t i = 0; i < piece->n; i++) {
        min = v[i] < min ? v[i] : min;
        max = v[i] > max ? v[i] : max;
    }
    uint64_t range = (uint64_t)max - (uint64_t)min;
    if (range >= RANGE_MAX || range > (uint64_t)piece->n * 4 + 64)
        return false;
    uint32_t *memo = arena_alloc(c->f->scratch, (range + 1) * sizeof(*memo));
    memset(memo, 0xff, (range + 1) * sizeof(*memo));
    for (uint32_t i = 0; i < piece->n; i++) {
        uint32_t *known = &memo[(uint64_t)v[i] - (uint64_t)min];
        if (*known == UINT32_MAX)
            *known = code_value(c, &piece->v, i);
        set_code(code, piece, i, *known);
    }
    return true;
}

static uint64_t *grow_slots(struct arena *arena, const uint64_t *from, uint32_t *slots)
{
    uint32_t more = *slots * 4;
    uint64_t *to = ARENA_ARRAY(arena, uint64_t, more);
    for (uint32_t i = 0; i < *slots; i++) {
        uint32_t at = (uint32_t)(from[i] >> 32) & (more - 1);
        if (!from[i])
            continue;
        while (to[at])
            at = (at + 1) & (more - 1);
        to[at] = from[i];
    }
    *slots = more;
    return to;
}

/* Texts without a dictionary: told apart as they stand, so that only new ones become cells. */
static void code_texts(struct by_coder *c, const struct field_piece *piece, uint32_t *code)
{
    const struct values *v = &piece->v;
    uint32_t slots = 1024, n = 0;
    uint64_t *slot = ARENA_ARRAY(c->f->scratch, uint64_t, slots); /* hash, 1 + first value */
    for (uint32_t i = 0; i < piece->n; i++) {
        struct str s = values_text(v, i);
        uint64_t hash = hash64(s) & 0xffffffff00000000ULL;
        uint32_t at = (uint32_t)(hash >> 32) & (slots - 1), first = 0;
        for (; slot[at]; at = (at + 1) & (slots - 1)) {
            first = (uint32_t)slot[at];
            if ((slot[at] & 0xffffffff00000000ULL) == hash && str_eq(values_text(v, first - 1), s))
                break;
        }
        if (slot[at]) {
            set_code(code, piece, i, code[piece->sel ? piece->sel[first - 1] : first - 1]);
            continue;
        }
        set_code(code, piece, i, code_value(c, v, i));
        slot[at] = hash | (i + 1);
        if (++n * 2 > slots)
            slot = grow_slots(c->f->scratch, slot, &slots);
    }
}

static void code_piece(struct by_coder *c, const struct field_piece *piece, uint32_t *code)
{
    if (piece->code && piece->v.n <= piece->n) {
        const uint32_t *memo = memo_of(c, &piece->v);
        for (uint32_t i = 0; i < piece->n; i++)
            set_code(code, piece, i, memo[piece->code[i]]);
        return;
    }
    if (piece->v.lane == LANE_INT && !piece->code && piece->n && code_range(c, piece, code))
        return;
    if (piece->v.lane == LANE_STR && !piece->code) {
        code_texts(c, piece, code);
        return;
    }
    for (uint32_t i = 0; i < piece->n; i++)
        set_code(code, piece, i, code_value(c, &piece->v, piece->code ? piece->code[i] : i));
}

/* ---- arrays ---- */

/* Appends the codes of an array's scalars; the code of no value where it has none. */
static void code_array(struct by_coder *c, struct str array, struct buf *out)
{
    struct json_walk w;
    struct scalar s;
    size_t before = out->n;
    bool is = json_walk_begin(&w, array);
    while (is && scalar_element(&w, c->f->scratch, &s))
        if (s.lane != SCALAR_NONE)
            buf_put_u32(out, code_scalar(c, s));
    if (out->n == before)
        buf_put_u32(out, code_missing(c));
}

/* From one code a row to lists, where the pieces of arrays have them. */
static void code_arrays(struct by_coder *c, const struct field_values *values, struct coding *ret)
{
    struct fold *f = c->f;
    struct buf list;
    uint32_t *at = new_codes(f), *n = new_codes(f), total = 0;
    buf_init(&list, SIZE_MAX);
    for (uint32_t i = 0; i < f->n; i++)
        n[i] = UINT32_MAX;
    for (uint32_t p = 0; p < values->n; p++) {
        const struct field_piece *piece = &values->piece[p];
        for (uint32_t i = 0; piece->v.lane == LANE_ARR && i < piece->n; i++) {
            uint32_t sel = piece->sel ? piece->sel[i] : i;
            at[sel] = (uint32_t)(list.n / 4);
            code_array(c, values_text(&piece->v, piece->code ? piece->code[i] : i), &list);
            n[sel] = (uint32_t)(list.n / 4) - at[sel];
        }
    }
    for (uint32_t i = 0; i < f->n; i++)
        total += n[i] == UINT32_MAX ? 1 : n[i];
    uint32_t *code = arena_alloc(f->scratch, ((size_t)total + 1) * sizeof(*code));
    ret->begin = new_codes(f);
    total = 0;
    for (uint32_t i = 0; i < f->n; i++) {
        ret->begin[i] = total;
        if (n[i] == UINT32_MAX)
            code[total++] = ret->code[i];
        else if (n[i])
            memcpy(code + total, list.p + (size_t)at[i] * 4, (size_t)n[i] * 4);
        total += n[i] == UINT32_MAX ? 0 : n[i];
    }
    ret->begin[f->n] = total;
    ret->code = code;
    buf_release(&list);
}

static bool has_arrays(const struct by_spec *by, const struct field_values *values)
{
    for (uint32_t p = 0; p < values->n && !by->whole; p++)
        if (values->piece[p].v.lane == LANE_ARR)
            return true;
    return false;
}

static enum err code_field(struct fold *f, const struct by_spec *by, struct intern *in,
                           struct coding *ret)
{
    struct by_coder c = {.f = f, .by = by, .in = in};
    struct field_values values;
    TRY((by->pattern ? field_patterns : field_read)(f->rows, by->field, f->row, f->n, f->scratch,
                                                    &values));
    const struct field_piece *first = values.piece;
    bool all = values.n && !first->sel && first->n == f->n, arrays = has_arrays(by, &values);
    *ret = (struct coding){0};
    buf_init(&c.cell, SIZE_MAX);
    if (!values.n) {
        *ret = (struct coding){.is_constant = true, .constant = code_missing(&c)};
    } else if (all && first->code && !arrays && first->v.n == 1) {
        *ret = (struct coding){.is_constant = true, .constant = code_value(&c, &first->v, 0)};
    } else if (all && first->code && !arrays && first->v.n <= f->n) {
        *ret = (struct coding){
            .dict = first->code, .memo = memo_of(&c, &first->v), .n_dict = first->v.n};
    } else {
        ret->code = new_codes(f);
        uint32_t missing = all ? 0 : code_missing(&c);
        for (uint32_t i = 0; !all && i < f->n; i++)
            ret->code[i] = missing;
        for (uint32_t p = 0; p < values.n; p++)
            if (by->whole || values.piece[p].v.lane != LANE_ARR)
                code_piece(&c, &values.piece[p], ret->code);
        if (arrays)
            code_arrays(&c, &values, ret);
    }
    buf_release(&c.cell);
    return OK;
}

/* ---- several keys ---- */

/* As code[i], or with begin. */
static void spell_out(struct fold *f, struct coding *c)
{
    if (c->code)
        return;
    c->code = new_codes(f);
    for (uint32_t i = 0; i < f->n; i++)
        c->code[i] = c->is_constant ? c->constant : c->memo[c->dict[i]];
    c->is_constant = false;
    c->dict = NULL;
}

struct pairing {
    struct intern *level;
    uint32_t *dense; /* by a * n_b + b: 1 + code; NULL: by hash */
    uint32_t n_b;
};

static inline uint32_t pair(struct pairing *p, uint32_t a, uint32_t b)
{
    if (a == CODE_NONE || b == CODE_NONE)
        return CODE_NONE;
    uint64_t both = (uint64_t)a << 32 | b;
    if (!p->dense)
        return intern_pair(p->level, both);
    uint32_t *known = &p->dense[(size_t)a * p->n_b + b];
    if (!*known)
        *known = intern_pair(p->level, both) + 1;
    return *known - 1;
}

/* Two dictionaries: their codes are paired in one pass. */
static void pair_dicts(struct fold *f, struct pairing *p, struct coding *a, const struct coding *b)
{
    const uint32_t *a_dict = a->dict, *a_memo = a->memo, *b_dict = b->dict, *b_memo = b->memo;
    uint32_t *code = new_codes(f);
    for (uint32_t i = 0; i < f->n; i++)
        code[i] = pair(p, a_memo[a_dict[i]], b_memo[b_dict[i]]);
    *a = (struct coding){.code = code};
}

static enum err pair_lists(struct fold *f, struct pairing *p, struct coding *a,
                           const struct coding *b)
{
    uint64_t total = 0;
    for (uint32_t i = 0; i < f->n; i++)
        total += (uint64_t)(a->begin ? a->begin[i + 1] - a->begin[i] : 1) *
                 (b->begin ? b->begin[i + 1] - b->begin[i] : 1);
    if (total > UINT32_MAX / 8)
        return err_set(ERR_LIMIT, "arrays of too many elements to group by together");
    uint32_t *code = arena_try_alloc(f->scratch, (total + 1) * sizeof(*code));
    uint32_t *begin = new_codes(f), n = 0;
    if (!code)
        return agg_too_large(f->t);
    for (uint32_t i = 0; i < f->n; i++) {
        begin[i] = n;
        uint32_t a_end = a->begin ? a->begin[i + 1] : i + 1,
                 b_end = b->begin ? b->begin[i + 1] : i + 1;
        for (uint32_t x = a->begin ? a->begin[i] : i; x < a_end; x++)
            for (uint32_t y = b->begin ? b->begin[i] : i; y < b_end; y++)
                code[n++] = pair(p, a->code[x], b->code[y]);
    }
    begin[f->n] = n;
    a->code = code;
    a->begin = begin;
    return OK;
}

/* The codes of `a` become those of both. */
static enum err pair_codings(struct fold *f, struct intern *level, uint32_t n_a, uint32_t n_b,
                             struct coding *a, struct coding *b)
{
    struct pairing p = {.level = level, .n_b = n_b};
    if (a->is_constant && b->is_constant) {
        a->constant = pair(&p, a->constant, b->constant);
        return OK;
    }
    if ((uint64_t)n_a * n_b <= PAIRS_DENSE)
        p.dense = ARENA_ARRAY(f->scratch, uint32_t, (size_t)n_a * n_b + 1);
    if (a->dict && b->dict) {
        pair_dicts(f, &p, a, b);
        return OK;
    }
    spell_out(f, a);
    spell_out(f, b);
    if (a->begin || b->begin)
        return pair_lists(f, &p, a, b);
    for (uint32_t i = 0; i < f->n; i++)
        a->code[i] = pair(&p, a->code[i], b->code[i]);
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

/* ---- counting ---- */

/* Rows by dictionary code. Several tables, added up at the end: a run of one code would else wait
 * for its own last increment each time. */
static const uint32_t *count_dict(struct fold *f, const uint32_t *dict, uint32_t n_dict)
{
    uint32_t lanes = n_dict <= LANES_DICT_MAX ? LANES : 1, i = 0;
    uint32_t *table = ARENA_ARRAY(f->scratch, uint32_t, (size_t)n_dict * lanes + 1);
    if (lanes == LANES) {
        uint32_t *a = table, *b = a + n_dict, *c = b + n_dict, *d = c + n_dict;
        for (; i + LANES <= f->n; i += LANES) {
            a[dict[i]]++;
            b[dict[i + 1]]++;
            c[dict[i + 2]]++;
            d[dict[i + 3]]++;
        }
        for (uint32_t k = 0; k < n_dict; k++)
            a[k] += b[k] + c[k] + d[k];
    }
    for (; i < f->n; i++)
        table[dict[i]]++;
    return table;
}

static void count_codes(struct fold *f, const struct coding *c)
{
    if (c->is_constant) {
        if (c->constant != CODE_NONE)
            f->count[c->constant] = f->n;
    } else if (c->dict) {
        const uint32_t *rows = count_dict(f, c->dict, c->n_dict);
        for (uint32_t i = 0; i < c->n_dict; i++)
            if (c->memo[i] != CODE_NONE)
                f->count[c->memo[i]] += rows[i];
    } else {
        uint32_t n = c->begin ? c->begin[f->n] : f->n;
        for (uint32_t i = 0; i < n; i++)
            if (c->code[i] != CODE_NONE)
                f->count[c->code[i]]++;
    }
}

/* Some codes were given before any row was known to have them: a group comes with its first row. */
static enum err fold_groups(struct fold *f, const struct intern *level, const struct intern *cells,
                            uint32_t n_codes, const struct coding *c)
{
    struct buf key;
    buf_init(&key, SIZE_MAX);
    f->group = ARENA_ARRAY(f->scratch, struct group *, n_codes);
    f->count = ARENA_ARRAY(f->scratch, uint32_t, n_codes);
    f->n_codes = n_codes;
    count_codes(f, c);
    enum err err = OK;
    for (uint32_t i = 0; i < n_codes && err == OK; i++) {
        if (!f->count[i])
            continue;
        buf_clear(&key);
        key_of(level, cells, f->t->pipe->n_by, i, &key);
        f->group[i] = agg_group(f->t, buf_str(&key));
        err = f->group[i] ? OK : agg_too_large(f->t);
    }
    buf_release(&key);
    return err;
}

/* ---- tallies ---- */

enum err agg_only_column(struct rows *rows, struct str name, const struct column **ret,
                         uint32_t *ret_number)
{
    const char *const *names = alias_names(name);
    const char *const own[] = {NULL};
    struct str one = name;
    *ret = NULL;
    for (uint32_t c = 0; c < rows->n_columns; c++)
        if (rows->columns[c].lane == LANE_JSON)
            return OK;
    for (const char *const *n = names ? names : own;; n++) {
        if (names && !*n)
            return OK;
        if (names)
            one = str_c(*n);
        for (uint32_t c = rows_find(rows, one, 0); c != UINT32_MAX;
             c = rows_find(rows, one, c + 1)) {
            if (*ret) {
                *ret = NULL;
                return OK;
            }
            *ret = &rows->columns[c];
            *ret_number = c;
        }
        if (!names || (*ret && (*ret)->n == rows->n))
            return OK;
    }
}

/* Whether the selected rows are all there are, or just those that have the column; then
 * *ret_missing of them have it not. */
static enum err covers(struct fold *f, uint32_t number, uint32_t *ret_missing, bool *ret)
{
    uint32_t n = f->rows->columns[number].n;
    struct presence has;
    *ret_missing = f->rows->n - n;
    *ret = f->n == f->rows->n;
    if (*ret || f->n != n)
        return OK;
    *ret_missing = 0;
    TRY(rows_presence(f->rows, number, &has));
    for (uint32_t i = 0; i < n; i++)
        if (!presence_has(&has, f->row[i]))
            return OK;
    *ret = true;
    return OK;
}

static enum err add_count(struct fold *f, struct str cell, uint64_t n)
{
    if (n == 0)
        return OK;
    struct group *g = agg_group(f->t, cell);
    for (uint32_t a = 0; g && a < f->t->pipe->n_aggs; a++)
        g->state[a].n += n;
    return g ? OK : agg_too_large(f->t);
}

static enum err add_tally(struct fold *f, const struct values *v, const uint32_t *count,
                          uint32_t missing)
{
    bool text = v->lane == LANE_STR;
    struct buf cell;
    enum err err = OK;
    buf_init(&cell, SIZE_MAX);
    for (uint32_t i = 0; i < v->n && err == OK; i++) {
        struct scalar s = text ? (struct scalar){.lane = LANE_STR} : scalar_of(v, i);
        buf_clear(&cell);
        if (text)
            cell_put(&cell, LANE_STR, values_text(v, i));
        else
            cell_of(&cell, &s);
        err = add_count(f, buf_str(&cell), count[i]);
    }
    buf_clear(&cell);
    cell_put(&cell, SCALAR_NONE, (struct str){0});
    if (err == OK && !f->t->pipe->by[0].required)
        err = add_count(f, buf_str(&cell), missing);
    buf_release(&cell);
    return err;
}

enum err agg_tally(struct fold *f, bool *ret)
{
    const struct pipe *pipe = f->t->pipe;
    const struct by_spec *by = pipe->by;
    const struct column *col;
    uint32_t number = 0, missing;
    struct values v;
    const uint32_t *count;
    *ret = false;
    if (pipe->n_by != 1 || by->bin_time || by->pattern || by->bin_width > 0 || by->field.n == 0 ||
        by->field.p[0] == '_' || str_eq_c(by->field, "ingested_at"))
        return OK;
    TRY(agg_only_column(f->rows, by->field, &col, &number));
    if (!col || !col->ops->tally)
        return OK;
    TRY(covers(f, number, &missing, ret));
    if (!*ret)
        return OK;
    enum err err = col->ops->tally(col, f->scratch, &v, &count);
    *ret = err == OK;
    if (err != OK)
        return err == ERR_UNSUPPORTED ? OK : err;
    return add_tally(f, &v, count, missing);
}

static enum err one_group(struct fold *f)
{
    f->group = ARENA_ARRAY(f->scratch, struct group *, 1);
    f->count = ARENA_ARRAY(f->scratch, uint32_t, 1);
    f->count[0] = f->n;
    f->n_codes = 1;
    f->group[0] = agg_group(f->t, (struct str){0});
    return f->group[0] ? OK : agg_too_large(f->t);
}

enum err agg_codes(struct fold *f, bool only_counts)
{
    const struct pipe *pipe = f->t->pipe;
    struct intern cells[BY_MAX], level[BY_MAX];
    struct coding all = {.is_constant = true}, one;
    for (uint32_t k = 0; k < pipe->n_by; k++) {
        const struct by_spec *by = &pipe->by[k];
        struct coding *to = k ? &one : &all;
        uint32_t n = k == 0 ? 0 : k == 1 ? cells[0].n : level[k - 1].n;
        cells[k] = level[k] = (struct intern){.arena = f->scratch};
        TRY(by->bin_time ? code_time(f, by, &cells[k], to) : code_field(f, by, &cells[k], to));
        if (k)
            TRY(pair_codings(f, &level[k], n, cells[k].n, &all, &one));
    }
    if (pipe->n_by == 0) {
        TRY(one_group(f));
    } else {
        uint32_t n = pipe->n_by == 1 ? cells[0].n : level[pipe->n_by - 1].n;
        TRY(fold_groups(f, level, cells, n, &all));
    }
    if (!only_counts)
        spell_out(f, &all);
    f->code = all.code;
    f->begin = all.begin;
    return OK;
}
