/* What a filter rules out without reading values: false only where surely nothing matches. A NOT
 * rules out nothing but where its child is everything. */
#include "filter/eval.h"

static bool columns_may_match(const struct filter *leaf, const struct rows *r, bool *ret_own)
{
    bool may = false;
    struct buf room;
    buf_init(&room, SIZE_MAX);
    for (uint32_t c = 0; c < r->n_columns && !may; c++) {
        const struct column *col = &r->columns[c];
        bool asked = leaf->field_kind == FIELD_ANY || col->lane == LANE_JSON;
        if (!asked) {
            buf_clear(&room);
            path_name(col->path, &room);
            struct str name = buf_str(&room);
            asked = leaf->field_kind == FIELD_WILD && filter_name_fits(leaf->field, name);
            for (uint32_t i = 0; i < leaf->n_names && !asked; i++)
                asked = str_eq(name, leaf->name[i]) ||
                        (leaf->pred.kind == PRED_EXISTS && name_is_inside(name, leaf->name[i]));
        }
        if (!asked)
            continue;
        *ret_own = true;
        if (leaf->pred.kind == PRED_EXISTS)
            may = col->lane != LANE_NULL;
        else if (!lane_is_empty(col->lane))
            may = col->lane == LANE_JSON || !col->ops->may_match ||
                  col->ops->may_match(col, &leaf->pred);
    }
    buf_release(&room);
    return may;
}

/* The same for names, which columns are found by. */
static bool names_may_match(const struct filter *leaf, const struct rows *r, bool *ret_own)
{
    for (uint32_t i = 0; i < leaf->n_names; i++) {
        for (uint32_t c = rows_find(r, leaf->name[i], 0); c != UINT32_MAX;
             c = rows_find(r, leaf->name[i], c + 1)) {
            const struct column *col = &r->columns[c];
            *ret_own = true;
            if (!lane_is_empty(col->lane) &&
                (!col->ops->may_match || col->ops->may_match(col, &leaf->pred)))
                return true;
        }
    }
    for (uint32_t c = 0; c < r->n_columns; c++) {
        if (r->columns[c].lane == LANE_JSON)
            return true;
    }
    return false;
}

static bool leaf_may_match(const struct filter *leaf, const struct rows *r)
{
    bool own = false;
    bool by_name = leaf->field_kind != FIELD_ANY && leaf->field_kind != FIELD_WILD &&
                   leaf->pred.kind != PRED_EXISTS;
    if (by_name ? names_may_match(leaf, r, &own) : columns_may_match(leaf, r, &own))
        return true;
    bool of_row = leaf->field_kind >= FIELD_TIME;
    return of_row && row_field_may_match(leaf, r);
}

bool filter_may_match(const struct filter *f, struct rows *rows)
{
    bool may = f->kind != FILTER_OR;
    switch (f->kind) {
    case FILTER_ALL:
        return true;
    case FILTER_LEAF:
        return leaf_may_match(f, rows);
    case FILTER_NOT:
        return !filter_is_all(f->child[0]);
    case FILTER_AND:
        for (uint32_t i = 0; i < f->n && may; i++)
            may = filter_may_match(f->child[i], rows);
        return may;
    case FILTER_OR:
        for (uint32_t i = 0; i < f->n && !may; i++)
            may = filter_may_match(f->child[i], rows);
        return may;
    }
    return true;
}

/* A record's own _stream comes before its stream's name, and nothing here says which streams hold
 * such records (imported exports do): a name alone rules nothing out. Blocks, whose columns are
 * known, do it in filter_may_match. */
bool filter_may_match_stream(const struct filter *f, struct str stream)
{
    return f->kind != FILTER_NOT || !filter_is_all(f->child[0]);
}

static int64_t after(int64_t ns)
{
    return ns == INT64_MAX ? ns : ns + 1;
}

void filter_time_bounds(const struct filter *f, int64_t *from, int64_t *to)
{
    if (f->kind == FILTER_AND) {
        for (uint32_t i = 0; i < f->n; i++)
            filter_time_bounds(f->child[i], from, to);
        return;
    }
    if (f->kind != FILTER_LEAF || f->field_kind != FIELD_TIME || f->pred.kind != PRED_RANGE)
        return;
    const struct predicate_bound *low = &f->pred.low, *high = &f->pred.high;
    if (low->set && low->is_time) {
        int64_t first = low->inclusive ? low->time_ns : after(low->time_ns);
        *from = first > *from ? first : *from;
    }
    if (high->set && high->is_time) {
        int64_t end = high->inclusive ? after(high->time_ns) : high->time_ns;
        *to = end < *to ? end : *to;
    }
}
