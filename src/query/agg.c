/* Aggregation.
 *
 * A block is folded in three steps. (1) Each `by` gives every selected row a small code: from the
 * column's dictionary where there is one, else by interning; time bins by their number. (2) The
 * codes of several `by`s are paired into one, so that a row's group is one number; each distinct
 * number is looked up in the table once. (3) Each function walks its field's values and updates the
 * state of each row's group. A group's key is the concatenation of its cells: lane, length, text;
 * equal keys are equal groups on every thread, and merging is a look-up a group. Rows whose first
 * key is an array count once per element: the block is folded again for the second elements, the
 * third, and so on. */
#include "query/agg.h"

#include "core/governor.h"
#include "core/hash.h"
#include "core/mem.h"
#include "query/field.h"
#include "query/sketch.h"
#include "record/json.h"
#include "record/timestamp.h"

#include <math.h>
#include <stdlib.h>

#define VALUES_MAX 10000 /* of values(): past it the list ends */
#define LANE_TIME 254    /* a key cell that is a time bin: text is its int64 */

struct order {
    int64_t time;
    uint64_t position;
    uint32_t partition, index;
};

struct value_set {
    struct scalar *item;
    uint32_t *slot; /* item + 1 */
    uint32_t n, cap, slots;
};

struct state {
    uint64_t n; /* values seen */
    int64_t sum;
    double fsum;
    bool real;          /* the sum left the integers */
    struct scalar best; /* MIN, MAX, FIRST, LAST; text is in `text` */
    char *text;
    size_t text_cap;
    struct order order;
    void *sketch; /* quantile, distinct, value_set */
};

struct group {
    uint64_t hash;
    struct str key;
    struct state state[];
};

struct agg_table {
    const struct pipe *pipe;
    struct arena arena;
    struct reservation res;
    struct group **group;
    uint32_t *slot; /* group + 1 */
    uint32_t n, cap, slots;
    size_t sketch_bytes;
};

struct agg_table *agg_new(const struct pipe *pipe, size_t max)
{
    struct agg_table *t = NEW(struct agg_table);
    t->pipe = pipe;
    reservation_init(&t->res, OWNER_QUERY, max);
    arena_init(&t->arena, 0, &t->res);
    return t;
}

static void set_release(struct value_set *s)
{
    for (uint32_t i = 0; i < s->n; i++)
        mem_free((char *)(uintptr_t)s->item[i].text.p);
    mem_free(s->item);
    mem_free(s->slot);
}

static void state_release(const struct agg_spec *spec, struct state *s)
{
    mem_free(s->text);
    if (!s->sketch)
        return;
    if (spec->kind == AGG_PERCENTILE)
        quantile_release(s->sketch);
    else if (spec->kind == AGG_DISTINCT)
        distinct_release(s->sketch);
    else
        set_release(s->sketch);
    mem_free(s->sketch);
}

void agg_free(struct agg_table *t)
{
    if (!t)
        return;
    for (uint32_t g = 0; g < t->n; g++)
        for (uint32_t a = 0; a < t->pipe->n_aggs; a++)
            state_release(&t->pipe->agg[a], &t->group[g]->state[a]);
    mem_free(t->group);
    mem_free(t->slot);
    arena_release(&t->arena);
    reservation_release(&t->res);
    mem_free(t);
}

size_t agg_bytes(const struct agg_table *t)
{
    return t->res.bytes;
}

static enum err too_large(const struct agg_table *t)
{
    return err_set(
        ERR_NOMEM,
        "this query needs more memory than it may hold (%zu MiB, query.memory): group by "
        "fewer values, narrow the time range or add a filter",
        t->res.max >> 20);
}

/* ---- groups ---- */

static void rehash(struct agg_table *t)
{
    uint32_t slots = t->slots ? t->slots * 2 : 64;
    uint32_t *slot = NEW_ARRAY(uint32_t, slots);
    for (uint32_t g = 0; g < t->n; g++) {
        uint32_t i = (uint32_t)t->group[g]->hash & (slots - 1);
        while (slot[i])
            i = (i + 1) & (slots - 1);
        slot[i] = g + 1;
    }
    mem_free(t->slot);
    t->slot = slot;
    t->slots = slots;
}

/* NULL when the memory is used up. */
static struct group *group_of(struct agg_table *t, struct str key)
{
    uint64_t hash = hash64(key);
    if ((t->n + 1) * 2 > t->slots) {
        if (t->slots > 64 && reservation_grow(&t->res, t->slots * 12) != OK)
            return NULL;
        rehash(t);
    }
    uint32_t i = (uint32_t)hash & (t->slots - 1);
    for (; t->slot[i]; i = (i + 1) & (t->slots - 1)) {
        struct group *g = t->group[t->slot[i] - 1];
        if (g->hash == hash && str_eq(g->key, key))
            return g;
    }
    size_t size = sizeof(struct group) + t->pipe->n_aggs * sizeof(struct state);
    struct group *g = arena_try_alloc(&t->arena, size + key.n);
    if (!g)
        return NULL;
    memset(g, 0, size);
    g->hash = hash;
    g->key = str_of((char *)g + size, key.n);
    if (key.n)
        memcpy((char *)g + size, key.p, key.n);
    ARRAY_GROW(t->group, t->cap, t->n + 1);
    t->group[t->n++] = g;
    t->slot[i] = t->n;
    return g;
}

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

/* ---- step 1 and 2: codes ---- */

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

struct fold {
    struct agg_table *t;
    struct rows *rows;
    const uint32_t *row;
    uint32_t n;
    struct arena *scratch;
    uint32_t element;     /* of an array key: this pass's */
    bool more;            /* some array has a further element */
    const uint32_t *code; /* per selected row, UINT32_MAX: not in this pass */
    struct group **group; /* by code */
};

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

/* Element number `want` of an array's text, as a scalar: false when it has no such. */
static bool array_element(struct str text, uint32_t want, struct arena *a, struct scalar *ret,
                          bool *ret_more);

static uint32_t code_value(struct fold *f, const struct by_spec *by, struct intern *in,
                           const struct values *v, uint32_t i, struct buf *cell)
{
    struct scalar s = scalar_of(v, i);
    if (s.lane == LANE_ARR) {
        bool more = false;
        bool has = array_element(s.text, f->element, f->scratch, &s, &more);
        f->more |= more;
        if (!has && f->element > 0)
            return UINT32_MAX;
        if (!has)
            s = (struct scalar){.lane = SCALAR_NONE};
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

static enum err code_field(struct fold *f, const struct by_spec *by, struct intern *in,
                           uint32_t *code)
{
    struct field_values values;
    TRY(field_read(f->rows, by->field, f->row, f->n, f->scratch, &values));
    struct buf cell;
    buf_init(&cell, SIZE_MAX);
    uint32_t missing = UINT32_MAX;
    if (f->element == 0) {
        cell_put(&cell, SCALAR_NONE, (struct str){0});
        missing = intern_text(in, buf_str(&cell));
    }
    for (uint32_t i = 0; i < f->n; i++)
        code[i] = missing;
    for (uint32_t p = 0; p < values.n; p++) {
        const struct field_piece *piece = &values.piece[p];
        uint32_t *memo = NULL;
        if (piece->code) {
            memo = arena_alloc(f->scratch, piece->v.n * sizeof(*memo));
            for (uint32_t i = 0; i < piece->v.n; i++)
                memo[i] = UINT32_MAX - 1;
        }
        for (uint32_t i = 0; i < piece->n; i++) {
            uint32_t sel = piece->sel ? piece->sel[i] : i;
            if (!memo) {
                code[sel] = code_value(f, by, in, &piece->v, i, &cell);
                continue;
            }
            uint32_t *m = &memo[piece->code[i]];
            if (*m == UINT32_MAX - 1)
                *m = code_value(f, by, in, &piece->v, piece->code[i], &cell);
            code[sel] = *m;
        }
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
    /* "Missing" has a code before anyone is known to miss: a group comes with its first row. */
    bool *used = ARENA_ARRAY(f->scratch, bool, n_codes);
    for (uint32_t i = 0; i < f->n; i++)
        if (f->code[i] != UINT32_MAX)
            used[f->code[i]] = true;
    enum err err = OK;
    for (uint32_t c = 0; c < n_codes && err == OK; c++) {
        if (!used[c])
            continue;
        buf_clear(&key);
        key_of(level, cells, f->t->pipe->n_by, c, &key);
        f->group[c] = group_of(f->t, buf_str(&key));
        err = f->group[c] ? OK : too_large(f->t);
    }
    buf_release(&key);
    return err;
}

/* Gives every selected row the code of its group, and each code its group. */
static enum err fold_codes(struct fold *f)
{
    const struct pipe *pipe = f->t->pipe;
    struct intern cells[BY_MAX], level[BY_MAX];
    uint32_t *code = arena_alloc(f->scratch, f->n * sizeof(*code));
    uint32_t *next = arena_alloc(f->scratch, f->n * sizeof(*next));
    if (pipe->n_by == 0) {
        memset(code, 0, f->n * sizeof(*code));
        f->code = code;
        f->group = ARENA_ARRAY(f->scratch, struct group *, 1);
        f->group[0] = group_of(f->t, (struct str){0});
        return f->group[0] ? OK : too_large(f->t);
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

/* ---- step 3: states ---- */

static void keep(struct state *s, const struct scalar *v)
{
    if (v->text.n > s->text_cap) {
        s->text_cap = v->text.n * 2;
        s->text = mem_realloc(s->text, s->text_cap);
    }
    if (v->text.n)
        memcpy(s->text, v->text.p, v->text.n);
    s->best = *v;
    s->best.text.p = s->text;
}

static void add_number(struct state *s, const struct scalar *v)
{
    if (!v->numeric)
        return;
    s->n++;
    s->fsum += v->f64;
    if (v->lane != LANE_INT || __builtin_add_overflow(s->sum, v->i64, &s->sum))
        s->real = true;
}

static uint64_t scalar_hash(const struct scalar *v)
{
    if (v->text.p)
        return hash64_seed(v->text, v->lane == LANE_STR);
    if (v->lane == LANE_INT)
        return hash_mix((uint64_t)v->i64 ^ 0x9e3779b97f4a7c15ULL);
    uint64_t bits;
    memcpy(&bits, &v->f64, sizeof(bits));
    return hash_mix((v->lane == LANE_BOOL ? (uint64_t)v->i64 : bits) +
                    0x517cc1b727220a95ULL * v->lane);
}

static size_t set_add(struct value_set *set, const struct scalar *v)
{
    if (set->n == VALUES_MAX)
        return 0;
    if ((set->n + 1) * 2 > set->slots) {
        uint32_t slots = set->slots ? set->slots * 2 : 16;
        mem_free(set->slot);
        set->slot = NEW_ARRAY(uint32_t, slots);
        set->slots = slots;
        for (uint32_t k = 0; k < set->n; k++) {
            uint32_t i = (uint32_t)scalar_hash(&set->item[k]) & (slots - 1);
            while (set->slot[i])
                i = (i + 1) & (slots - 1);
            set->slot[i] = k + 1;
        }
    }
    uint32_t i = (uint32_t)scalar_hash(v) & (set->slots - 1);
    for (; set->slot[i]; i = (i + 1) & (set->slots - 1)) {
        const struct scalar *have = &set->item[set->slot[i] - 1];
        if (have->lane == v->lane && scalar_cmp(have, v) == 0 && str_eq(have->text, v->text))
            return 0;
    }
    ARRAY_GROW(set->item, set->cap, set->n + 1);
    struct scalar *item = &set->item[set->n++];
    *item = *v;
    item->text.p = v->text.p ? mem_strdup(v->text) : NULL;
    set->slot[i] = set->n;
    return sizeof(*v) + v->text.n + 17;
}

static size_t sketch_add(const struct agg_spec *spec, struct state *s, const struct scalar *v)
{
    size_t before, after;
    switch (spec->kind) {
    case AGG_PERCENTILE:
        if (!v->numeric)
            return 0;
        if (!s->sketch)
            s->sketch = NEW(struct quantile);
        before = quantile_bytes(s->sketch);
        quantile_add(s->sketch, v->f64);
        after = quantile_bytes(s->sketch);
        return after > before ? after - before : 0;
    case AGG_DISTINCT:
        if (!s->sketch)
            s->sketch = NEW(struct distinct);
        before = distinct_bytes(s->sketch);
        distinct_add(s->sketch, scalar_hash(v));
        after = distinct_bytes(s->sketch);
        return after > before ? after - before : 0;
    default:
        if (!s->sketch)
            s->sketch = NEW(struct value_set);
        return set_add(s->sketch, v);
    }
}

static int order_cmp(const struct order *a, const struct order *b)
{
    if (a->time != b->time)
        return a->time < b->time ? -1 : 1;
    if (a->partition != b->partition)
        return a->partition < b->partition ? -1 : 1;
    if (a->position != b->position)
        return a->position < b->position ? -1 : 1;
    return (a->index > b->index) - (a->index < b->index);
}

static bool better(const struct agg_spec *spec, const struct state *s, const struct scalar *v,
                   const struct order *order)
{
    if (s->n == 0)
        return true;
    switch (spec->kind) {
    case AGG_MIN:
        return scalar_cmp(v, &s->best) < 0;
    case AGG_MAX: /* a number is preferred to a text here too */
        return v->numeric == s->best.numeric ? scalar_cmp(v, &s->best) > 0 : v->numeric;
    case AGG_FIRST:
        return order_cmp(order, &s->order) < 0;
    default:
        return order_cmp(order, &s->order) > 0;
    }
}

static size_t update(const struct agg_spec *spec, struct state *s, const struct scalar *v,
                     const struct order *order)
{
    switch (spec->kind) {
    case AGG_COUNT:
        s->n++;
        return 0;
    case AGG_SUM:
    case AGG_AVG:
        add_number(s, v);
        return 0;
    case AGG_MIN:
    case AGG_MAX:
    case AGG_FIRST:
    case AGG_LAST:
        if (better(spec, s, v, order)) {
            keep(s, v);
            s->order = *order;
        }
        s->n++;
        return 0;
    default:
        return sketch_add(spec, s, v);
    }
}

static enum err row_order(struct fold *f, uint32_t row, struct order *ret)
{
    const int64_t *time;
    struct origin_run origin;
    TRY(rows_time(f->rows, &time));
    TRY(rows_origin(f->rows, row, &origin));
    *ret = (struct order){time[row], origin.position, origin.partition, origin.index};
    return OK;
}

/* A value of an aggregated field: arrays count by element, but for count, first and last. */
static enum err fold_value(struct fold *f, const struct agg_spec *spec, struct state *s,
                           struct scalar v, const struct order *order, size_t *grown)
{
    if (v.lane != LANE_ARR || spec->kind == AGG_COUNT || spec->kind == AGG_FIRST ||
        spec->kind == AGG_LAST) {
        *grown += update(spec, s, &v, order);
        return OK;
    }
    struct str text = v.text;
    bool more = true;
    for (uint32_t k = 0; more && array_element(text, k, f->scratch, &v, &more); k++)
        if (v.lane != SCALAR_NONE)
            *grown += update(spec, s, &v, order);
    return OK;
}

static enum err fold_field(struct fold *f, uint32_t a)
{
    const struct agg_spec *spec = &f->t->pipe->agg[a];
    bool ordered = spec->kind == AGG_FIRST || spec->kind == AGG_LAST;
    struct field_values values;
    struct order order = {0};
    size_t grown = 0;
    TRY(field_read(f->rows, spec->field, f->row, f->n, f->scratch, &values));
    for (uint32_t p = 0; p < values.n; p++) {
        const struct field_piece *piece = &values.piece[p];
        for (uint32_t i = 0; i < piece->n; i++) {
            uint32_t sel = piece->sel ? piece->sel[i] : i;
            if (f->code[sel] == UINT32_MAX)
                continue;
            struct state *s = &f->group[f->code[sel]]->state[a];
            if (ordered)
                TRY(row_order(f, f->row[sel], &order));
            struct scalar v = scalar_of(&piece->v, piece->code ? piece->code[i] : i);
            TRY(fold_value(f, spec, s, v, &order, &grown));
        }
    }
    if (grown && reservation_grow(&f->t->res, grown) != OK)
        return too_large(f->t);
    return OK;
}

static void fold_count(struct fold *f, uint32_t a)
{
    if (f->t->pipe->n_by == 0) {
        f->group[0]->state[a].n += f->n;
        return;
    }
    for (uint32_t i = 0; i < f->n; i++)
        if (f->code[i] != UINT32_MAX)
            f->group[f->code[i]]->state[a].n++;
}

enum err agg_add(struct agg_table *t, struct rows *rows, const uint32_t *row, uint32_t n,
                 struct arena *scratch)
{
    struct fold f = {.t = t, .rows = rows, .row = row, .n = n, .scratch = scratch};
    do {
        f.more = false;
        TRY(fold_codes(&f));
        for (uint32_t a = 0; a < t->pipe->n_aggs; a++) {
            if (t->pipe->agg[a].kind == AGG_COUNT && t->pipe->agg[a].field.n == 0)
                fold_count(&f, a);
            else
                TRY(fold_field(&f, a));
        }
        f.element++;
    } while (f.more && f.element < 10000);
    return t->arena.failed ? too_large(t) : OK;
}

/* ---- arrays ---- */

static size_t skip_value(struct str s, size_t at)
{
    int depth = 0;
    for (; at < s.n; at++) {
        char c = s.p[at];
        if (c == '"') {
            for (at++; at < s.n && s.p[at] != '"'; at++)
                at += s.p[at] == '\\';
        } else if (c == '[' || c == '{') {
            depth++;
        } else if (c == ']' || c == '}') {
            if (depth-- == 0)
                return at;
        } else if (c == ',' && depth == 0) {
            return at;
        }
    }
    return s.n;
}

/* A scalar from its JSON text; nested arrays and objects are no scalar. */
static void element_scalar(struct str text, struct arena *a, struct scalar *ret)
{
    *ret = (struct scalar){.lane = SCALAR_NONE};
    if (text.n == 0 || text.p[0] == '[' || text.p[0] == '{' || text.p[0] == 'n')
        return;
    if (text.p[0] == 't' || text.p[0] == 'f') {
        *ret = (struct scalar){.lane = LANE_BOOL, .i64 = text.p[0] == 't'};
        return;
    }
    if (text.p[0] != '"') {
        uint32_t off[2] = {0, (uint32_t)text.n};
        struct values v = {.n = 1, .lane = LANE_NUM, .off = off, .bytes = text.p};
        *ret = scalar_of(&v, 0);
        if (str_to_i64(text, &ret->i64) && !str_eq_c(text, "-0")) {
            ret->lane = LANE_INT;
            ret->text = (struct str){0};
        }
        return;
    }
    struct str plain;
    if (json_unquote(text, a, &plain))
        *ret = (struct scalar){.lane = LANE_STR, .text = plain};
}

static bool array_element(struct str text, uint32_t want, struct arena *a, struct scalar *ret,
                          bool *ret_more)
{
    size_t at = 1; /* behind '[' */
    for (uint32_t k = 0; at < text.n; k++) {
        size_t end = skip_value(text, at);
        struct str one = str_trim(str_of(text.p + at, end - at));
        if (one.n == 0)
            return false;
        if (k == want) {
            element_scalar(one, a, ret);
            *ret_more = end < text.n && text.p[end] == ',';
            return true;
        }
        at = end + 1;
    }
    return false;
}

/* ---- merge ---- */

static size_t merge_state(const struct agg_spec *spec, struct state *into, const struct state *from)
{
    size_t grown = 0;
    switch (spec->kind) {
    case AGG_COUNT:
    case AGG_SUM:
    case AGG_AVG:
        into->n += from->n;
        into->fsum += from->fsum;
        into->real |= from->real;
        into->real |= __builtin_add_overflow(into->sum, from->sum, &into->sum);
        return 0;
    case AGG_MIN:
    case AGG_MAX:
    case AGG_FIRST:
    case AGG_LAST:
        if (from->n && better(spec, into, &from->best, &from->order)) {
            keep(into, &from->best);
            into->order = from->order;
        }
        into->n += from->n;
        return 0;
    case AGG_PERCENTILE:
        if (!from->sketch)
            return 0;
        if (!into->sketch)
            into->sketch = NEW(struct quantile);
        grown = quantile_bytes(into->sketch);
        quantile_merge(into->sketch, from->sketch);
        return quantile_bytes(into->sketch) - grown;
    case AGG_DISTINCT:
        if (!from->sketch)
            return 0;
        if (!into->sketch)
            into->sketch = NEW(struct distinct);
        grown = distinct_bytes(into->sketch);
        distinct_merge(into->sketch, from->sketch);
        return distinct_bytes(into->sketch) > grown ? distinct_bytes(into->sketch) - grown : 0;
    default:
        if (!from->sketch)
            return 0;
        if (!into->sketch)
            into->sketch = NEW(struct value_set);
        const struct value_set *set = from->sketch;
        for (uint32_t i = 0; i < set->n; i++)
            grown += set_add(into->sketch, &set->item[i]);
        return grown;
    }
}

enum err agg_merge(struct agg_table *into, const struct agg_table *from)
{
    for (uint32_t i = 0; i < from->n; i++) {
        struct group *g = group_of(into, from->group[i]->key);
        if (!g)
            return too_large(into);
        size_t grown = 0;
        for (uint32_t a = 0; a < into->pipe->n_aggs; a++)
            grown += merge_state(&into->pipe->agg[a], &g->state[a], &from->group[i]->state[a]);
        if (grown && reservation_grow(&into->res, grown) != OK)
            return too_large(into);
    }
    return OK;
}

/* ---- result ---- */

static void put_scalar(struct batch *b, struct str name, const struct scalar *s)
{
    switch (s->lane) {
    case LANE_INT:
        batch_int(b, name, s->i64);
        break;
    case LANE_DEC:
        batch_dec(b, name, s->i64, s->scale);
        break;
    case LANE_DBL:
        batch_dbl(b, name, s->f64);
        break;
    case LANE_BOOL:
        batch_bool(b, name, s->i64 != 0);
        break;
    case SCALAR_NONE:
        batch_empty(b, name, LANE_NULL);
        break;
    default:
        batch_text(b, name, s->lane, s->text);
    }
}

static void put_double(struct batch *b, struct str name, double v)
{
    if (isfinite(v)) {
        char text[40];
        size_t n = json_double_text(v, text);
        batch_number(b, name, str_of(text, n));
    } else {
        batch_empty(b, name, LANE_NULL);
    }
}

static int scalar_order(const void *a, const void *b)
{
    return scalar_cmp(a, b);
}

static void put_values(struct batch *b, struct str name, const struct state *s)
{
    struct buf out;
    buf_init(&out, SIZE_MAX);
    buf_put_byte(&out, '[');
    struct value_set *set = s->sketch;
    if (set)
        qsort(set->item, set->n, sizeof(*set->item), scalar_order);
    for (uint32_t i = 0; set && i < set->n; i++) {
        if (i)
            buf_put_byte(&out, ',');
        scalar_json(&out, &set->item[i]);
    }
    buf_put_byte(&out, ']');
    batch_text(b, name, LANE_ARR, buf_str(&out));
    buf_release(&out);
}

static void put_result(struct batch *b, const struct agg_spec *spec, const struct state *s)
{
    switch (spec->kind) {
    case AGG_COUNT:
        batch_int(b, spec->name, (int64_t)s->n);
        break;
    case AGG_SUM:
        if (s->n && s->real)
            put_double(b, spec->name, s->fsum);
        else if (s->n)
            batch_int(b, spec->name, s->sum);
        else
            batch_empty(b, spec->name, LANE_NULL);
        break;
    case AGG_AVG:
        put_double(b, spec->name, s->n ? s->fsum / (double)s->n : NAN);
        break;
    case AGG_PERCENTILE:
        put_double(b, spec->name, s->sketch ? quantile_get(s->sketch, spec->quantile) : NAN);
        break;
    case AGG_DISTINCT:
        batch_int(b, spec->name, s->sketch ? (int64_t)distinct_count(s->sketch) : 0);
        break;
    case AGG_VALUES:
        put_values(b, spec->name, s);
        break;
    default:
        if (s->n)
            put_scalar(b, spec->name, &s->best);
        else
            batch_empty(b, spec->name, LANE_NULL);
    }
}

static struct scalar cell_read(struct reader *r)
{
    uint8_t lane = read_u8(r);
    struct str text = read_lstr(r);
    struct scalar s = {.lane = lane, .text = text};
    if (lane == LANE_TIME) {
        memcpy(&s.i64, text.p, sizeof(s.i64));
        s.numeric = true;
        s.f64 = (double)s.i64;
        s.lane = LANE_INT;
        s.scale = 1; /* marks a time for put_key */
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

static void put_key(struct batch *b, const struct by_spec *by, const struct scalar *s)
{
    if (s->lane == LANE_INT && s->scale) {
        char text[TIME_TEXT_MAX];
        size_t n = time_rfc3339(s->i64, text);
        batch_text(b, by->name, LANE_STR, str_of(text, n));
    } else if (s->lane != SCALAR_NONE && lane_is_number(s->lane)) {
        batch_number(b, by->name, s->text);
    } else {
        put_scalar(b, by->name, s);
    }
}

static int group_order(const void *a, const void *b, void *ctx)
{
    const struct pipe *pipe = ctx;
    struct reader x = reader_of((*(struct group *const *)a)->key);
    struct reader y = reader_of((*(struct group *const *)b)->key);
    for (uint32_t k = 0; k < pipe->n_by; k++) {
        struct scalar s = cell_read(&x), t = cell_read(&y);
        int c = scalar_cmp(&s, &t);
        if (c)
            return c;
    }
    return 0;
}

enum err agg_result(struct agg_table *t, struct batch *out)
{
    const struct pipe *pipe = t->pipe;
    if (pipe->n_by == 0 && t->n == 0 && !group_of(t, (struct str){0}))
        return too_large(t);
    if (t->n > 1)
        qsort_r(t->group, t->n, sizeof(*t->group), group_order, (void *)(uintptr_t)pipe);
    for (uint32_t g = 0; g < t->n; g++) {
        struct reader key = reader_of(t->group[g]->key);
        batch_begin(out);
        for (uint32_t k = 0; k < pipe->n_by; k++) {
            struct scalar s = cell_read(&key);
            put_key(out, &pipe->by[k], &s);
        }
        for (uint32_t a = 0; a < pipe->n_aggs; a++)
            put_result(out, &pipe->agg[a], &t->group[g]->state[a]);
        batch_end(out, 0, (struct str){0});
    }
    return OK;
}
