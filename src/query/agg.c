/* Aggregation: groups, the states of their functions, merging.
 *
 * A block is folded in three steps. Each row is given the code of its group (agg_codes.c), each
 * code its group in the table, and then each function walks its field's values and updates the
 * state of each row's group. Equal keys are equal groups on every thread, and merging is a look-up
 * a group. A row whose keys hold arrays is in a group for each of their scalars. */
#include "query/agg_impl.h"

#include "core/hash.h"
#include "core/mem.h"
#include "query/sketch.h"
#include "record/json_walk.h"

enum { COUNTED_RANGE = 1 << 16 }; /* integers within are counted before they go to a digest */
#define VALUES_MAX 10000          /* of values(): past it the list ends */

struct agg_table *agg_new(const struct pipe *pipe, struct account *memory)
{
    struct agg_table *t = NEW(struct agg_table);
    t->pipe = pipe;
    reservation_init_of(&t->res, OWNER_QUERY, memory);
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

static bool is_sum(const struct agg_spec *spec)
{
    return spec->kind == AGG_SUM || spec->kind == AGG_AVG;
}

static void state_release(const struct agg_spec *spec, struct state *s)
{
    if (is_sum(spec))
        exact_release(&s->sum);
    else
        mem_free(s->text);
    if (!s->sketch)
        return;
    if (spec->kind == AGG_PERCENTILE)
        quantile_release(s->sketch);
    else if (spec->kind == AGG_DISTINCT)
        distinct_release(s->sketch);
    else if (spec->kind == AGG_VALUES)
        set_release(s->sketch);
    else if (spec->kind == AGG_EXAMPLES)
        examples_release(s->sketch);
    mem_free(s->sketch);
}

static void group_release(const struct pipe *pipe, struct group *g)
{
    for (uint32_t a = 0; a < pipe->n_aggs; a++)
        state_release(&pipe->agg[a], &g->state[a]);
}

void agg_free(struct agg_table *t)
{
    if (!t)
        return;
    for (uint32_t g = 0; g < t->n; g++)
        group_release(t->pipe, t->group[g]);
    mem_free(t->group);
    mem_free(t->slot);
    arena_release(&t->arena);
    reservation_release(&t->res);
    mem_free(t);
}

enum err agg_too_large(const struct agg_table *t)
{
    return err_set(
        ERR_NOMEM,
        "this query needs more memory than it may hold (%zu MiB of query.memory): group by "
        "fewer values, narrow the time range or add a filter",
        t->res.of->max >> 20);
}

/* ---- groups ---- */

static void rehash(struct agg_table *t, uint32_t slots)
{
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

bool agg_room(struct agg_table *t, uint64_t groups)
{
    uint32_t slots = t->slots ? t->slots : 64;
    if (groups > UINT32_MAX / 4)
        return false;
    while (groups * 2 > slots)
        slots *= 2;
    if (slots == t->slots)
        return true;
    if (slots > 64 && reservation_grow(&t->res, (size_t)(slots - t->slots) * 12) != OK)
        return false;
    rehash(t, slots);
    return true;
}

struct group *agg_group(struct agg_table *t, struct str key)
{
    uint64_t hash = hash64(key);
    if (!agg_room(t, (uint64_t)t->n + 1))
        return NULL;
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

/* ---- states ---- */

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

/* Returns the bytes that it grew by. */
static size_t add_number(struct state *s, const struct scalar *v)
{
    bool wide = s->sum.wide != NULL;
    if (!v->numeric)
        return 0;
    s->n++;
    if (v->lane == LANE_INT) {
        exact_add_int(&s->sum, v->i64);
        return 0;
    }
    s->real = true;
    exact_add(&s->sum, v->f64);
    return !wide && s->sum.wide ? sizeof(struct wide) : 0;
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
        struct scalar *have = &set->item[set->slot[i] - 1];
        if (have->lane != v->lane || scalar_cmp(have, v) != 0 || !str_eq(have->text, v->text))
            continue;
        if (scalar_plainer(v, have)) {
            have->i64 = v->i64;
            have->scale = v->scale;
        }
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

static bool better(const struct agg_spec *spec, const struct state *s, const struct scalar *v,
                   const struct row_order *order)
{
    int c;
    if (s->n == 0)
        return true;
    switch (spec->kind) {
    case AGG_MIN:
    case AGG_MAX:
        c = scalar_cmp(v, &s->best);
        if (c == 0)
            return scalar_plainer(v, &s->best);
        if (spec->kind == AGG_MIN || v->numeric != s->best.numeric)
            return c < 0; /* a number is preferred to a text by max, too */
        return c > 0;
    case AGG_FIRST:
        return row_order_cmp(order, &s->order) < 0;
    default:
        return row_order_cmp(order, &s->order) > 0;
    }
}

static size_t update(const struct agg_spec *spec, struct state *s, const struct scalar *v,
                     const struct row_order *order)
{
    switch (spec->kind) {
    case AGG_COUNT:
        s->n++;
        return 0;
    case AGG_SUM:
    case AGG_AVG:
        return add_number(s, v);
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

/* A value of an aggregated field: arrays count by element, but for count, first and last. */
static enum err fold_value(struct fold *f, const struct agg_spec *spec, struct state *s,
                           struct scalar v, const struct row_order *order, size_t *grown)
{
    if (v.lane != LANE_ARR || spec->kind == AGG_COUNT || spec->kind == AGG_FIRST ||
        spec->kind == AGG_LAST) {
        *grown += update(spec, s, &v, order);
        return OK;
    }
    struct json_walk w;
    if (json_walk_begin(&w, v.text))
        while (scalar_element(&w, f->scratch, &v))
            if (v.lane != SCALAR_NONE)
                *grown += update(spec, s, &v, order);
    return OK;
}

/* Integers into sums, those of a group first by themselves. */
static bool fold_sums(struct fold *f, uint32_t a, const struct field_piece *piece)
{
    struct part {
        int64_t sum;
        uint64_t n;
    } *part = ARENA_TRY_ARRAY(f->scratch, struct part, (size_t)f->n_codes + 1);
    if (!part)
        return false;
    memset(part, 0, ((size_t)f->n_codes + 1) * sizeof(*part));
    for (uint32_t i = 0; i < piece->n; i++) {
        uint32_t code = f->code[piece->sel ? piece->sel[i] : i];
        int64_t n = piece->v.i64[i];
        if (code == CODE_NONE)
            continue;
        struct part *p = &part[code];
        p->n++;
        if (__builtin_expect(__builtin_add_overflow(p->sum, n, &p->sum), 0)) {
            exact_add_int(&f->group[code]->state[a].sum, (int64_t)((uint64_t)p->sum - (uint64_t)n));
            p->sum = n;
        }
    }
    for (uint32_t c = 0; c < f->n_codes; c++)
        if (part[c].n) {
            exact_add_int(&f->group[c]->state[a].sum, part[c].sum);
            f->group[c]->state[a].n += part[c].n;
        }
    return true;
}

static bool fold_reals(struct fold *f, uint32_t a, const struct field_piece *piece, size_t *grown)
{
    for (uint32_t i = 0; i < piece->n; i++) {
        uint32_t code = f->code[piece->sel ? piece->sel[i] : i];
        if (code == CODE_NONE)
            continue;
        struct scalar v = scalar_of(&piece->v, piece->code ? piece->code[i] : i);
        *grown += add_number(&f->group[code]->state[a], &v);
    }
    return true;
}

/* How often each group has each integer, where there are few different ones near each other: a
 * digest takes equal values at once. */
struct counted {
    double *value;    /* ascending */
    uint32_t n;       /* of them */
    uint32_t *count;  /* of each group, by value */
    double *in_group; /* room */
};

/* Numbers the values in their order: ret_number[v - min]. False: their range is too large. */
static bool number_values(struct fold *f, const struct field_piece *piece, int64_t *ret_min,
                          uint32_t **ret_number, struct counted *c)
{
    const int64_t *v = piece->v.i64;
    int64_t min = INT64_MAX, max = INT64_MIN;
    for (uint32_t i = 0; i < piece->n; i++) {
        min = v[i] < min ? v[i] : min;
        max = v[i] > max ? v[i] : max;
    }
    uint64_t range = (uint64_t)max - (uint64_t)min;
    if (range >= COUNTED_RANGE || range > piece->n)
        return false;
    uint32_t *number = ARENA_TRY_ARRAY(f->scratch, uint32_t, range + 1);
    c->value = ARENA_TRY_ARRAY(f->scratch, double, 2 * (range + 1));
    if (!number || !c->value)
        return false;
    c->in_group = c->value + range + 1;
    memset(number, 0, (range + 1) * sizeof(*number));
    for (uint32_t i = 0; i < piece->n; i++)
        number[(uint64_t)v[i] - (uint64_t)min] = 1;
    for (uint64_t k = 0; k <= range; k++) {
        if (!number[k])
            continue;
        c->value[c->n] = (double)(min + (int64_t)k);
        number[k] = c->n++;
    }
    *ret_min = min;
    *ret_number = number;
    return true;
}

static bool count_values(struct fold *f, const struct field_piece *piece, struct counted *c)
{
    int64_t min;
    uint32_t *number;
    if (!piece->n || !number_values(f, piece, &min, &number, c) ||
        (uint64_t)c->n * f->n_codes > 8 * (uint64_t)piece->n)
        return false;
    c->count = ARENA_TRY_ARRAY(f->scratch, uint32_t, (size_t)c->n * f->n_codes + 1);
    if (!c->count)
        return false;
    memset(c->count, 0, (size_t)c->n * f->n_codes * sizeof(*c->count));
    for (uint32_t i = 0; i < piece->n; i++) {
        uint32_t code = f->code[piece->sel ? piece->sel[i] : i];
        uint32_t k = number[(uint64_t)piece->v.i64[i] - (uint64_t)min];
        if (code != CODE_NONE)
            c->count[(size_t)code * c->n + k]++;
    }
    return true;
}

/* Of a group, which has count[k] of each value: ascending runs of equal ones. */
static size_t add_counted(struct state *s, const struct counted *c, const uint32_t *count)
{
    double weight[QUANTILE_EXACT];
    struct quantile runs = {.value = c->in_group, .weight = weight};
    for (uint32_t k = 0; k < c->n; k++) {
        if (!count[k])
            continue;
        runs.value[runs.n] = c->value[k];
        runs.weight[runs.n++] = count[k];
        runs.total += count[k];
    }
    if (!runs.n)
        return 0;
    runs.min = runs.value[0];
    runs.max = runs.value[runs.n - 1];
    if (!s->sketch)
        s->sketch = NEW(struct quantile);
    size_t before = quantile_bytes(s->sketch);
    quantile_merge_runs(s->sketch, &runs);
    size_t after = quantile_bytes(s->sketch);
    return after > before ? after - before : 0;
}

static bool fold_counted(struct fold *f, uint32_t a, const struct field_piece *piece, size_t *grown)
{
    struct counted c = {0};
    if (!count_values(f, piece, &c) || c.n > QUANTILE_EXACT)
        return false;
    for (uint32_t code = 0; code < f->n_codes; code++)
        if (f->count[code])
            *grown += add_counted(&f->group[code]->state[a], &c, c.count + (size_t)code * c.n);
    return true;
}

/* Numbers into sums and percentiles, each into its one group: no more is done than that takes. */
static bool fold_numbers(struct fold *f, const struct agg_spec *spec, uint32_t a,
                         const struct field_piece *piece, size_t *grown)
{
    if (f->begin)
        return false;
    if (is_sum(spec) && (piece->v.lane == LANE_DEC || piece->v.lane == LANE_DBL))
        return fold_reals(f, a, piece, grown);
    if (piece->code || piece->v.lane != LANE_INT)
        return false;
    if (is_sum(spec))
        return fold_sums(f, a, piece);
    if (spec->kind != AGG_PERCENTILE)
        return false;
    if (fold_counted(f, a, piece, grown))
        return true;
    for (uint32_t i = 0; i < piece->n; i++) {
        uint32_t code = f->code[piece->sel ? piece->sel[i] : i];
        int64_t n = piece->v.i64[i];
        struct scalar v = {.lane = LANE_INT, .i64 = n, .f64 = (double)n, .numeric = true};
        if (code == CODE_NONE)
            continue;
        *grown += sketch_add(spec, &f->group[code]->state[a], &v);
    }
    return true;
}

void agg_add_time(const struct agg_spec *spec, struct state *s, int64_t ns)
{
    struct row_order none = {0};
    struct scalar v = {.lane = LANE_INT, .scale = 1, .i64 = ns, .f64 = (double)ns, .numeric = true};
    (void)update(spec, s, &v, &none);
}

/* The least and the greatest time, as times: as texts they would not be in their order. */
static enum err fold_times(struct fold *f, uint32_t a)
{
    const struct agg_spec *spec = &f->t->pipe->agg[a];
    bool least = spec->kind == AGG_MIN;
    const int64_t *time;
    TRY(rows_time(f->rows, &time));
    int64_t *best = arena_alloc(f->scratch, ((size_t)f->n_codes + 1) * sizeof(*best));
    for (uint32_t c = 0; c < f->n_codes; c++)
        best[c] = least ? INT64_MAX : INT64_MIN;
    for (uint32_t i = 0; i < f->n; i++) {
        int64_t ns = time[f->row[i]];
        uint32_t end = f->begin ? f->begin[i + 1] : i + 1;
        for (uint32_t k = f->begin ? f->begin[i] : i; k < end; k++) {
            uint32_t c = f->code[k];
            if (c != CODE_NONE && (least ? ns < best[c] : ns > best[c]))
                best[c] = ns;
        }
    }
    for (uint32_t c = 0; c < f->n_codes; c++)
        if (f->count[c])
            agg_add_time(spec, &f->group[c]->state[a], best[c]);
    return OK;
}

static enum err fold_field(struct fold *f, uint32_t a)
{
    const struct agg_spec *spec = &f->t->pipe->agg[a];
    if ((spec->kind == AGG_MIN || spec->kind == AGG_MAX) && str_eq_c(spec->field, "_time"))
        return fold_times(f, a);
    if (spec->kind == AGG_EXAMPLES)
        return fold_examples(f, a);
    bool ordered = spec->kind == AGG_FIRST || spec->kind == AGG_LAST;
    struct field_values values;
    struct row_order order = {0};
    size_t grown = 0;
    TRY(field_read(f->rows, spec->field, f->row, f->n, f->scratch, &values));
    for (uint32_t p = 0; p < values.n; p++) {
        const struct field_piece *piece = &values.piece[p];
        if (fold_numbers(f, spec, a, piece, &grown))
            continue;
        for (uint32_t i = 0; i < piece->n; i++) {
            uint32_t sel = piece->sel ? piece->sel[i] : i;
            struct scalar v = scalar_of(&piece->v, piece->code ? piece->code[i] : i);
            uint32_t end = f->begin ? f->begin[sel + 1] : sel + 1;
            if (ordered)
                TRY(rows_order(f->rows, f->row[sel], &order));
            for (uint32_t k = f->begin ? f->begin[sel] : sel; k < end; k++)
                if (f->code[k] != CODE_NONE)
                    TRY(fold_value(f, spec, &f->group[f->code[k]]->state[a], v, &order, &grown));
        }
    }
    if (grown && reservation_grow(&f->t->res, grown) != OK)
        return agg_too_large(f->t);
    return OK;
}

static void fold_count(struct fold *f, uint32_t a)
{
    for (uint32_t c = 0; c < f->n_codes; c++)
        if (f->count[c])
            f->group[c]->state[a].n += f->count[c];
}

static bool counts_rows(const struct agg_spec *spec)
{
    return spec->kind == AGG_COUNT && spec->field.n == 0;
}

bool agg_counts_rows(const struct pipe *pipe)
{
    for (uint32_t a = 0; a < pipe->n_aggs; a++)
        if (!counts_rows(&pipe->agg[a]))
            return false;
    return true;
}

enum err agg_add(struct agg_table *t, struct rows *rows, const uint32_t *row, uint32_t n,
                 struct arena *scratch)
{
    struct fold f = {.t = t, .rows = rows, .row = row, .n = n, .scratch = scratch};
    bool counts = agg_counts_rows(t->pipe), tallied = false;
    if (counts)
        TRY(agg_tally(&f, &tallied));
    else if (t->pipe->patterns)
        TRY(agg_patterns(&f, &tallied));
    if (tallied)
        return t->arena.failed ? agg_too_large(t) : OK;
    TRY(agg_codes(&f, counts));
    for (uint32_t a = 0; a < t->pipe->n_aggs; a++) {
        if (counts_rows(&t->pipe->agg[a]))
            fold_count(&f, a);
        else
            TRY(fold_field(&f, a));
    }
    return t->arena.failed ? agg_too_large(t) : OK;
}

/* ---- merge ---- */

size_t agg_merge_state(const struct agg_spec *spec, struct state *into, const struct state *from)
{
    size_t grown = 0;
    switch (spec->kind) {
    case AGG_COUNT:
        into->n += from->n;
        return 0;
    case AGG_SUM:
    case AGG_AVG:
        grown = into->sum.wide ? 0 : sizeof(struct wide);
        into->n += from->n;
        into->real |= from->real;
        exact_merge(&into->sum, &from->sum);
        return into->sum.wide ? grown : 0;
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
    case AGG_EXAMPLES:
        return examples_merge(spec, into, from);
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
        struct group *g = agg_group(into, from->group[i]->key);
        if (!g)
            return agg_too_large(into);
        size_t grown = 0;
        for (uint32_t a = 0; a < into->pipe->n_aggs; a++)
            grown += agg_merge_state(&into->pipe->agg[a], &g->state[a], &from->group[i]->state[a]);
        if (grown && reservation_grow(&into->res, grown) != OK)
            return agg_too_large(into);
    }
    return OK;
}

/* ---- the most ---- */

static void swap(uint64_t *a, uint64_t *b)
{
    uint64_t was = *a;
    *a = *b;
    *b = was;
}

/* The k-th least (from 0) of n > k numbers, which it moves about. */
static uint64_t select_number(uint64_t *v, uint32_t n, uint32_t k)
{
    for (;;) {
        uint64_t pivot = v[n / 2];
        uint32_t below = 0, at = 0, above = n; /* [below, at) are equal to it */
        while (at < above) {
            if (v[at] < pivot)
                swap(&v[at++], &v[below++]);
            else if (v[at] > pivot)
                swap(&v[at], &v[--above]);
            else
                at++;
        }
        if (k >= below && k < above)
            return pivot;
        if (k < below) {
            n = below;
        } else {
            v += above;
            n -= above;
            k -= above;
        }
    }
}

void agg_keep_most(struct agg_table *t, uint32_t agg, uint64_t most)
{
    if (most == 0 || t->n <= most)
        return;
    CHECK(t->pipe->agg[agg].kind == AGG_COUNT);
    uint64_t *count = mem_alloc(t->n * sizeof(*count));
    for (uint32_t g = 0; g < t->n; g++)
        count[g] = t->group[g]->state[agg].n;
    uint64_t least = select_number(count, t->n, t->n - (uint32_t)most);
    mem_free(count);
    uint32_t kept = 0;
    for (uint32_t g = 0; g < t->n; g++) {
        if (t->group[g]->state[agg].n >= least)
            t->group[kept++] = t->group[g];
        else
            group_release(t->pipe, t->group[g]);
    }
    t->n = kept;
}
