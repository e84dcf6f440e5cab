#include "record/pick.h"

static enum err pick_column(struct rows *rows, uint32_t col, bool decimals, struct arena *a,
                            struct str *text)
{
    const struct column *c = &rows->columns[col];
    struct presence has;
    struct values v;
    if (c->lane != LANE_STR && c->lane != LANE_INT && !(decimals && c->lane == LANE_NUM))
        return OK;
    TRY(rows_presence(rows, col, &has));
    TRY(c->ops->values(c, a, &v));
    for (uint32_t row = 0, at = 0; row < rows->n; row++) {
        if (!presence_has(&has, row))
            continue;
        if (!text[row].n)
            text[row] = c->lane == LANE_INT ? arena_printf(a, "%lld", (long long)v.i64[at])
                                            : values_text(&v, at);
        at++;
    }
    return OK;
}

enum err rows_pick_name(struct rows *rows, struct str name, bool decimals, struct arena *a,
                        struct str **text)
{
    for (uint32_t col = rows_find(rows, name, 0); col != UINT32_MAX;
         col = rows_find(rows, name, col + 1)) {
        if (!*text)
            *text = ARENA_ARRAY(a, struct str, rows->n);
        TRY(pick_column(rows, col, decimals, a, *text));
    }
    return OK;
}

enum err rows_pick_text(struct rows *rows, struct str field, struct arena *a, struct str **ret)
{
    const char *const *name = alias_names(field);
    struct str *text = NULL;
    if (!name)
        TRY(rows_pick_name(rows, field, true, a, &text));
    for (; name && *name; name++)
        TRY(rows_pick_name(rows, str_c(*name), true, a, &text));
    *ret = text;
    return OK;
}
