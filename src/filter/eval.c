/* Evaluating a filter on rows: a tree of bitmaps. A leaf asks whole columns, never values: first
 * what is known without reading (may_match), then the column's own match, then the bits of its
 * values are spread to rows. The lanes and dotted twins of a name are ORed.
 *
 * An alias is the first of its candidates that a record's shape has, so its candidates are asked in
 * turn, each only for rows that have none before it. Fields of the row count where the record has
 * no key of that name. AND asks its cheapest child first and stops when nothing is left; OR stops
 * when all is there. NOT is the complement, taken once. */
#include "filter/eval.h"

#include "record/bitmap.h"

static enum err eval(struct eval *e, const struct filter *f, uint64_t *out);

/* ---- columns ---- */

enum err eval_presence(struct eval *e, uint32_t col, uint64_t *out)
{
    struct presence p;
    TRY(rows_presence(e->rows, col, &p));
    if (p.all)
        bitmap_fill(out, e->rows->n);
    else
        bitmap_or(out, p.bits, e->rows->n);
    return OK;
}

static bool column_may_match(const struct column *c, const struct predicate *p)
{
    if (p->kind == PRED_EXISTS)
        return c->lane != LANE_NULL;
    return !lane_is_empty(c->lane) && (!c->ops->may_match || c->ops->may_match(c, p));
}

enum err eval_column(struct eval *e, uint32_t col, const struct predicate *p, uint64_t *out)
{
    const struct column *c = &e->rows->columns[col];
    if (c->lane == LANE_JSON && p->kind != PRED_EXISTS)
        return OK; /* eval_inside asks its leaves */
    if (!column_may_match(c, p))
        return OK;
    if (p->kind == PRED_EXISTS)
        return eval_presence(e, col, out);
    memset(e->value_bits, 0, bitmap_words(c->n) * sizeof(uint64_t));
    TRY(c->ops->match(c, p, e->arena, e->value_bits));
    return bitmap_any(e->value_bits, c->n) ? rows_spread(e->rows, col, e->value_bits, out) : OK;
}

/* The dotted name; the path itself where it has but one segment. */
static struct str column_name(const struct column *c, struct buf *room)
{
    buf_clear(room);
    path_name(c->path, room);
    return buf_str(room);
}

/* Columns whose name passes a test, one by one: `fn` is called until it fails. */
static enum err each_named(struct eval *e, enum name_test test, struct str name,
                           const struct predicate *p, uint64_t *out)
{
    struct buf room;
    enum err err = OK;
    buf_init(&room, SIZE_MAX);
    for (uint32_t c = 0; c < e->rows->n_columns && err == OK; c++) {
        struct str is = column_name(&e->rows->columns[c], &room);
        if (test == NAME_FITS ? filter_name_fits(name, is) : name_is_inside(is, name))
            err = eval_column(e, c, p, out);
    }
    buf_release(&room);
    return err;
}

static enum err eval_name(struct eval *e, struct str name, const struct predicate *p, uint64_t *out,
                          uint64_t *has)
{
    for (uint32_t c = rows_find(e->rows, name, 0); c != UINT32_MAX;
         c = rows_find(e->rows, name, c + 1)) {
        TRY(eval_column(e, c, p, out));
        if (has)
            TRY(eval_presence(e, c, has));
    }
    /* An object exists where something in it does. */
    if (p->kind == PRED_EXISTS)
        TRY(each_named(e, NAME_IS, name, p, out));
    return e->n_json ? eval_inside(e, NAME_IS, name, p, out, has) : OK;
}

/* ---- leaves ---- */

/* An object of the name has no column of its own, but exists. */
static bool may_have(const struct eval *e, struct str name, const struct predicate *p)
{
    return e->n_json || p->kind == PRED_EXISTS || rows_find(e->rows, name, 0) != UINT32_MAX;
}

/* Each candidate for the rows that have none before it; then, for fields of the row, the row. */
static enum err eval_candidates(struct eval *e, const struct filter *leaf, uint64_t *out)
{
    uint32_t n = e->rows->n;
    uint64_t *covered = bitmap_new(e->arena, n), *match = bitmap_new(e->arena, n),
             *has = bitmap_new(e->arena, n);
    size_t bytes = bitmap_words(n) * sizeof(uint64_t);
    for (uint32_t i = 0; i < leaf->n_names && bitmap_count(covered, n) < n; i++) {
        if (!may_have(e, leaf->name[i], &leaf->pred))
            continue;
        memset(match, 0, bytes);
        memset(has, 0, bytes);
        TRY(eval_name(e, leaf->name[i], &leaf->pred, match, has));
        bitmap_andnot(match, covered, n);
        bitmap_or(out, match, n);
        bitmap_or(covered, has, n);
    }
    if (leaf->field_kind == FIELD_NAME || bitmap_count(covered, n) == n)
        return OK;
    memset(match, 0, bytes);
    TRY(eval_row_field(e, leaf, match));
    bitmap_andnot(match, covered, n);
    bitmap_or(out, match, n);
    return OK;
}

static enum err eval_any(struct eval *e, const struct predicate *p, uint64_t *out)
{
    for (uint32_t c = 0; c < e->rows->n_columns; c++)
        TRY(eval_column(e, c, p, out));
    return e->n_json ? eval_inside(e, NAME_ANY, (struct str){0}, p, out, NULL) : OK;
}

static enum err eval_wild(struct eval *e, const struct filter *leaf, uint64_t *out)
{
    TRY(each_named(e, NAME_FITS, leaf->field, &leaf->pred, out));
    return e->n_json ? eval_inside(e, NAME_FITS, leaf->field, &leaf->pred, out, NULL) : OK;
}

static enum err eval_leaf(struct eval *e, const struct filter *leaf, uint64_t *out)
{
    switch (leaf->field_kind) {
    case FIELD_ANY:
        return eval_any(e, &leaf->pred, out);
    case FIELD_WILD:
        return eval_wild(e, leaf, out);
    case FIELD_NAME:
        if (leaf->n_names == 1)
            return eval_name(e, leaf->name[0], &leaf->pred, out, NULL);
        return eval_candidates(e, leaf, out);
    default:
        if (!may_have(e, leaf->name[0], &leaf->pred))
            return eval_row_field(e, leaf, out);
        return eval_candidates(e, leaf, out);
    }
}

/* ---- what is cheap ---- */

static uint64_t column_cost(const struct column *c, const struct predicate *p)
{
    if (!column_may_match(c, p) || p->kind == PRED_EXISTS)
        return 0;
    uint64_t each = !lane_is_text(c->lane) ? 1 : c->lane == LANE_JSON ? 200 : 16;
    return c->n * each * (p->kind == PRED_REGEX && lane_is_text(c->lane) ? 8 : 1);
}

static uint64_t leaf_cost(const struct eval *e, const struct filter *f)
{
    const struct rows *r = e->rows;
    uint64_t cost = 1;
    if (f->field_kind == FIELD_ANY || f->field_kind == FIELD_WILD) {
        for (uint32_t c = 0; c < r->n_columns; c++)
            cost += column_cost(&r->columns[c], &f->pred);
        return cost;
    }
    for (uint32_t i = 0; i < f->n_names; i++) {
        for (uint32_t c = rows_find(r, f->name[i], 0); c != UINT32_MAX;
             c = rows_find(r, f->name[i], c + 1))
            cost += column_cost(&r->columns[c], &f->pred);
    }
    if (f->field_kind == FIELD_TIME || f->field_kind == FIELD_ID)
        cost += r->n;
    return cost + (uint64_t)e->n_json * r->n * 200;
}

static uint64_t cost_of(const struct eval *e, const struct filter *f)
{
    uint64_t cost = 0;
    if (f->kind == FILTER_LEAF)
        return leaf_cost(e, f);
    for (uint32_t i = 0; i < f->n; i++)
        cost += cost_of(e, f->child[i]);
    return cost;
}

/* The children by ascending cost; equal ones as they were written. */
static const struct filter **by_cost(const struct eval *e, const struct filter *f)
{
    const struct filter **child = ARENA_ARRAY(e->arena, const struct filter *, f->n);
    uint64_t *cost = ARENA_ARRAY(e->arena, uint64_t, f->n);
    for (uint32_t i = 0; i < f->n; i++) {
        uint64_t c = cost_of(e, f->child[i]);
        uint32_t at = i;
        /* Long lists are of like terms: no more than 32 places are gone through. */
        for (; at > 0 && i - at < 32 && cost[at - 1] > c; at--) {
            cost[at] = cost[at - 1];
            child[at] = child[at - 1];
        }
        cost[at] = c;
        child[at] = f->child[i];
    }
    return child;
}

/* ---- trees ---- */

static enum err eval_and(struct eval *e, const struct filter *f, uint64_t *out)
{
    uint32_t n = e->rows->n;
    const struct filter **child = by_cost(e, f);
    uint64_t *bits = bitmap_new(e->arena, n);
    bitmap_fill(out, n);
    for (uint32_t i = 0; i < f->n && bitmap_any(out, n); i++) {
        bool not = child[i]->kind == FILTER_NOT;
        memset(bits, 0, bitmap_words(n) * sizeof(*bits));
        TRY(eval(e, not ? child[i]->child[0] : child[i], bits));
        if (not )
            bitmap_andnot(out, bits, n);
        else
            bitmap_and(out, bits, n);
    }
    return OK;
}

static enum err eval_or(struct eval *e, const struct filter *f, uint64_t *out)
{
    uint32_t n = e->rows->n;
    const struct filter **child = by_cost(e, f);
    uint64_t *bits = bitmap_new(e->arena, n);
    for (uint32_t i = 0; i < f->n && bitmap_count(out, n) < n; i++) {
        memset(bits, 0, bitmap_words(n) * sizeof(*bits));
        TRY(eval(e, child[i], bits));
        bitmap_or(out, bits, n);
    }
    return OK;
}

static enum err eval(struct eval *e, const struct filter *f, uint64_t *out)
{
    switch (f->kind) {
    case FILTER_ALL:
        bitmap_fill(out, e->rows->n);
        return OK;
    case FILTER_LEAF:
        return eval_leaf(e, f, out);
    case FILTER_NOT:
        TRY(eval(e, f->child[0], out));
        bitmap_not(out, e->rows->n);
        return OK;
    case FILTER_AND:
        return eval_and(e, f, out);
    case FILTER_OR:
        return eval_or(e, f, out);
    }
    return OK;
}

enum err filter_eval(const struct filter *f, struct rows *rows, struct arena *arena, uint64_t *bits)
{
    struct eval e = {.rows = rows, .arena = arena};
    if (rows->n == 0)
        return OK;
    if (f->kind == FILTER_ALL) {
        bitmap_fill(bits, rows->n);
        return OK;
    }
    e.value_bits = bitmap_new(arena, rows->n);
    e.json = ARENA_ARRAY(arena, uint32_t, rows->n_columns + 1);
    for (uint32_t c = 0; c < rows->n_columns; c++) {
        if (rows->columns[c].lane == LANE_JSON)
            e.json[e.n_json++] = c;
    }
    if (e.n_json)
        e.value_bits2 = bitmap_new(arena, rows->n);
    return eval(&e, f, bits);
}
