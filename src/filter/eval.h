/* One evaluation of a filter on rows; shared by the files that do it, for nobody else. */
#ifndef WEIR_FILTER_EVAL_H
#define WEIR_FILTER_EVAL_H

#include "filter/filter_impl.h"

struct eval {
    struct rows *rows;
    struct arena *arena;
    uint64_t *value_bits;  /* room for a column's bits */
    uint64_t *value_bits2; /* and for those of presence inside JSON */
    uint32_t *json;        /* the columns that hold objects as text */
    uint32_t n_json;
};

/* How a name is asked for. */
enum name_test { NAME_ANY, NAME_IS, NAME_FITS };

/* eval.c. ORs into `out` the rows where the column matches. */
enum err eval_column(struct eval *e, uint32_t col, const struct predicate *p, uint64_t *out);
/* ORs the rows that have the column. */
enum err eval_presence(struct eval *e, uint32_t col, uint64_t *out);
/* Whether `name` is inside the object that `object` names. */
static inline bool name_is_inside(struct str name, struct str object)
{
    return object.n == 0 ||
           (name.n > object.n && name.p[object.n] == '.' && str_starts(name, object));
}

/* inside.c. ORs the rows whose JSON text holds a leaf of that name that matches; into `has` (may be
 * NULL) those that have one at all. */
enum err eval_inside(struct eval *e, enum name_test test, struct str name,
                     const struct predicate *p, uint64_t *out, uint64_t *has);

/* row.c. What is of the row: its time, stream, id, arrival. */
enum err eval_row_field(struct eval *e, const struct filter *leaf, uint64_t *out);
bool row_field_may_match(const struct filter *leaf, const struct rows *rows);

#endif
