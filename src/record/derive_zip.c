/* Zipped rows: shapes are pairs of a shape of the base and one of the side (or none), numbered as
 * they are met; their tokens are the base's, without the columns that the side's fields replace
 * (and without objects that this leaves empty), then the side's. Columns of the base that lost rows
 * that way, or that the side has too, are read and merged in row order; all others are the base's
 * or the side's own. A record kept as JSON text is mended in its text. */
#include "record/derive.h"
#include "record/json.h"

enum { PAIRS_MAX = 65535 };

static enum err no_memory(uint32_t n)
{
    return err_set(ERR_NOMEM, "no memory for %u derived rows", n);
}

struct zip {
    struct rows *base, *side;
    const uint32_t *side_of;
    const struct str *field;
    uint32_t n_fields;
    struct arena *arena;
    const uint16_t *base_shape, *side_shape; /* of the rows */
    uint32_t *clash;                         /* by column of the base: 1 + the field of its name */
    uint32_t *target;                        /* by column of the side: the column here */
    uint32_t *merged; /* by column of the base: 1 + the side's that it is merged with */
    uint8_t *sets;    /* by shape of the side and field: whether it sets it */
    uint16_t *pair;   /* by shapes of base and side: 1 + number */
    struct shape *shape;
    uint32_t n_shapes, shapes_cap;
    uint16_t *shape_of;
    struct column *column;
    uint32_t n_columns;
    bool *touched; /* by column of the base: some row lost it */
};

struct zipped {
    struct rows *base;
    const uint16_t *shape_of;
};

static bool name_within(struct str name, struct str field)
{
    return str_starts(name, field) && (name.n == field.n || name.p[field.n] == '.');
}

/* Which fields the shapes of the side set, and which columns of the base bear their names. */
static void find_fields(struct zip *z)
{
    struct rows *side = z->side, *base = z->base;
    struct buf name;
    buf_init(&name, SIZE_MAX);
    z->sets = ARENA_ARRAY(z->arena, uint8_t, (size_t)side->n_shapes * z->n_fields + 1);
    z->clash = ARENA_ARRAY(z->arena, uint32_t, base->n_columns + 1);
    for (uint32_t s = 0; s < side->n_shapes; s++)
        for (uint32_t t = 0; t < side->shapes[s].n; t++) {
            if (side->shapes[s].token[t] >= SHAPE_OPEN)
                continue;
            buf_clear(&name);
            path_name(side->columns[side->shapes[s].token[t]].path, &name);
            for (uint32_t f = 0; f < z->n_fields; f++)
                z->sets[(size_t)s * z->n_fields + f] |= name_within(buf_str(&name), z->field[f]);
        }
    for (uint32_t c = 0; c < base->n_columns; c++) {
        buf_clear(&name);
        path_name(base->columns[c].path, &name);
        for (uint32_t f = 0; f < z->n_fields; f++)
            if (name_within(buf_str(&name), z->field[f]))
                z->clash[c] = f + 1;
    }
    buf_release(&name);
}

static void place_columns(struct zip *z)
{
    struct rows *side = z->side, *base = z->base;
    z->target = ARENA_ARRAY(z->arena, uint32_t, side->n_columns + 1);
    z->merged = ARENA_ARRAY(z->arena, uint32_t, base->n_columns + 1);
    z->touched = ARENA_ARRAY(z->arena, bool, base->n_columns + 1);
    z->column = ARENA_ARRAY(z->arena, struct column, base->n_columns + side->n_columns + 1);
    if (base->n_columns)
        memcpy(z->column, base->columns, base->n_columns * sizeof(*z->column));
    z->n_columns = base->n_columns;
    for (uint32_t s = 0; s < side->n_columns; s++) {
        const struct column *col = &side->columns[s];
        uint32_t c = 0;
        while (c < base->n_columns &&
               !(z->column[c].name_hash == col->name_hash && z->column[c].lane == col->lane &&
                 z->column[c].occ == col->occ && str_eq(z->column[c].path, col->path)))
            c++;
        if (c < base->n_columns)
            z->merged[c] = s + 1;
        else
            z->column[c = z->n_columns++] = *col;
        z->target[s] = c;
    }
}

/* The tokens of the base's shape but for the columns replaced; objects left empty go too. */
static uint32_t put_base_tokens(struct zip *z, const struct shape *shape, const uint8_t *sets,
                                uint32_t *to)
{
    uint32_t n = 0;
    for (uint32_t t = 0; t < shape->n; t++) {
        uint32_t token = shape->token[t];
        if (token < SHAPE_OPEN && z->clash[token] && sets[z->clash[token] - 1]) {
            z->touched[token] = true;
            continue;
        }
        if (token == SHAPE_CLOSE && n && to[n - 1] == SHAPE_OPEN)
            n--;
        else
            to[n++] = token;
    }
    return n;
}

static bool is_whole(const struct rows *r, const struct shape *s)
{
    return s->n == 1 && s->token[0] < r->n_columns && r->columns[s->token[0]].path.n == 0;
}

static enum err make_pair(struct zip *z, uint16_t base, uint16_t side)
{
    const struct shape *b = &z->base->shapes[base], *s = &z->side->shapes[side];
    if (is_whole(z->side, s))
        return err_set(ERR_LIMIT, "more than %d kinds of records or %d fields at once", SHAPES_MAX,
                       PATHS_MAX);
    if (z->n_shapes == z->shapes_cap) {
        uint32_t cap = z->shapes_cap * 2;
        struct shape *grown = ARENA_ARRAY(z->arena, struct shape, cap);
        memcpy(grown, z->shape, z->n_shapes * sizeof(*grown));
        z->shape = grown;
        z->shapes_cap = cap;
    }
    if (z->n_shapes == PAIRS_MAX)
        return err_set(ERR_LIMIT, "more than %d kinds of records at once", PAIRS_MAX);
    uint32_t *token = ARENA_ARRAY(z->arena, uint32_t, b->n + s->n + 1);
    uint32_t n = b->n;
    if (is_whole(z->base, b)) {
        token[0] = b->token[0];
    } else {
        n = put_base_tokens(z, b, z->sets + (size_t)side * z->n_fields, token);
        for (uint32_t t = 0; t < s->n; t++)
            token[n++] = s->token[t] < SHAPE_OPEN ? z->target[s->token[t]] : s->token[t];
    }
    z->shape[z->n_shapes++] = (struct shape){token, n};
    return OK;
}

static enum err pair_shapes(struct zip *z)
{
    struct rows *base = z->base;
    TRY(rows_shape_of(base, &z->base_shape));
    TRY(rows_shape_of(z->side, &z->side_shape));
    z->pair = ARENA_TRY_ARRAY(z->arena, uint16_t, (size_t)base->n_shapes * z->side->n_shapes + 1);
    z->shape_of = ARENA_TRY_ARRAY(z->arena, uint16_t, base->n);
    if (!z->pair || !z->shape_of)
        return no_memory(base->n);
    memset(z->pair, 0, sizeof(*z->pair) * ((size_t)base->n_shapes * z->side->n_shapes + 1));
    z->shapes_cap = base->n_shapes + 16;
    z->shape = ARENA_ARRAY(z->arena, struct shape, z->shapes_cap);
    memcpy(z->shape, base->shapes, base->n_shapes * sizeof(*z->shape));
    z->n_shapes = base->n_shapes;
    for (uint32_t i = 0; i < base->n; i++) {
        z->shape_of[i] = z->base_shape[i];
        if (z->side_of[i] == UINT32_MAX)
            continue;
        uint16_t s = z->side_shape[z->side_of[i]];
        uint16_t *pair = &z->pair[(size_t)z->base_shape[i] * z->side->n_shapes + s];
        if (!*pair) {
            TRY(make_pair(z, z->base_shape[i], s));
            *pair = (uint16_t)z->n_shapes;
        }
        z->shape_of[i] = (uint16_t)(*pair - 1);
    }
    return OK;
}

/* ---- merged columns ---- */

static enum err concat_text(const struct values *a, const struct values *b, struct arena *arena,
                            struct values *ret)
{
    uint64_t na = a->off[a->n] - a->off[0], nb = b->off[b->n] - b->off[0];
    uint32_t *off = ARENA_TRY_ARRAY(arena, uint32_t, (size_t)a->n + b->n + 1);
    char *bytes = arena_try_alloc(arena, na + nb + 1);
    if (!off || !bytes)
        return no_memory(a->n + b->n);
    if (na + nb > UINT32_MAX)
        return err_set(ERR_LIMIT, "a column of more than 4 GiB");
    for (uint32_t i = 0; i <= a->n; i++)
        off[i] = a->off[i] - a->off[0];
    for (uint32_t i = 0; i <= b->n; i++)
        off[a->n + i] = (uint32_t)na + b->off[i] - b->off[0];
    memcpy(bytes, a->bytes + a->off[0], na);
    memcpy(bytes + na, b->bytes + b->off[0], nb);
    ret->off = off;
    ret->bytes = bytes;
    return OK;
}

static enum err concat_fixed(const void *a, size_t na, const void *b, size_t nb,
                             struct arena *arena, void *ret)
{
    char *to = arena_try_alloc(arena, na + nb + 1);
    if (!to)
        return err_set(ERR_NOMEM, "no memory for a merged column");
    memcpy(to, a, na);
    memcpy(to + na, b, nb);
    *(void **)ret = to;
    return OK;
}

/* The values of one column behind those of another of its lane. */
static enum err concat(const struct values *a, const struct values *b, struct arena *arena,
                       struct values *ret)
{
    *ret = (struct values){.n = a->n + b->n, .lane = a->lane};
    if (lane_is_text(a->lane))
        return concat_text(a, b, arena, ret);
    if (a->lane == LANE_INT || a->lane == LANE_DEC)
        TRY(concat_fixed(a->i64, a->n * sizeof(int64_t), b->i64, b->n * sizeof(int64_t), arena,
                         &ret->i64));
    if (a->lane == LANE_DEC)
        return concat_fixed(a->scale, a->n, b->scale, b->n, arena, &ret->scale);
    if (a->lane == LANE_DBL)
        return concat_fixed(a->f64, a->n * sizeof(double), b->f64, b->n * sizeof(double), arena,
                            &ret->f64);
    if (a->lane == LANE_BOOL)
        return concat_fixed(a->u8, a->n, b->u8, b->n, arena, &ret->u8);
    return OK;
}

static void plain_column(struct zip *z, uint32_t c, const struct values *v)
{
    struct values *kept = ARENA_NEW(z->arena, struct values);
    *kept = *v;
    z->column[c].n = v->n;
    z->column[c].ops = &plain_column_ops;
    z->column[c].impl = kept;
}

/* The values of a column of the base that lost rows or gained the side's, in row order. */
static enum err merge_column(struct zip *z, uint32_t c)
{
    struct rows *base = z->base, *side = z->side;
    const struct column *bc = &base->columns[c];
    uint32_t s = z->merged[c];
    struct presence in_base, in_side = {0};
    struct values v, more;
    TRY(rows_presence(base, c, &in_base));
    TRY(bc->ops->values(bc, z->arena, &v));
    if (s) {
        TRY(rows_presence(side, s - 1, &in_side));
        TRY(side->columns[s - 1].ops->values(&side->columns[s - 1], z->arena, &more));
        struct values own = v;
        TRY(concat(&own, &more, z->arena, &v));
    }
    uint32_t *pos = ARENA_TRY_ARRAY(z->arena, uint32_t, v.n);
    if (!pos)
        return no_memory(v.n);
    uint32_t n = 0;
    for (uint32_t i = 0; i < base->n; i++) {
        uint32_t at = z->side_of[i];
        bool replaced = at != UINT32_MAX && z->clash[c] &&
                        z->sets[(size_t)z->side_shape[at] * z->n_fields + z->clash[c] - 1];
        if (presence_has(&in_base, i) && !replaced)
            pos[n++] = presence_rank(&in_base, i);
        if (s && at != UINT32_MAX && presence_has(&in_side, at) &&
            !is_whole(base, &base->shapes[z->base_shape[i]]))
            pos[n++] = bc->n + presence_rank(&in_side, at);
    }
    TRY(values_gather(&v, pos, n, z->arena, &v));
    plain_column(z, c, &v);
    return OK;
}

/* ---- records kept as text ---- */

static bool is_set_key(const struct zip *z, uint32_t side_shape, struct str key)
{
    for (uint32_t f = 0; f < z->n_fields; f++)
        if (z->sets[(size_t)side_shape * z->n_fields + f] && str_eq(z->field[f], key))
            return true;
    return false;
}

/* An object's text with the members of another behind its own, but for those that it sets. */
static void mend_text(struct zip *z, struct str text, struct str side, uint32_t side_shape,
                      struct buf *out)
{
    struct json_walk w;
    struct json_item item;
    bool any = false;
    buf_put_byte(out, '{');
    bool is = json_walk_begin(&w, text);
    for (const char *from = w.p; is && json_walk_next(&w, &item); from = w.p) {
        if (is_set_key(z, side_shape, json_walk_text(item.key, z->arena)))
            continue;
        while (from < w.p && memchr(", \t\r\n", *from, 5))
            from++;
        if (any)
            buf_put_byte(out, ',');
        buf_put(out, from, (size_t)(w.p - from));
        any = true;
    }
    if (any && side.n > 2)
        buf_put_byte(out, ',');
    buf_put(out, side.p + 1, side.n - 1);
}

static enum err side_text(struct zip *z, uint32_t row, struct buf *out)
{
    struct json_rows one = {.rows = z->side, .row = &row, .n = 1, .arena = z->arena};
    buf_clear(out);
    return json_put_rows(&one, out, NULL);
}

static enum err mend_column(struct zip *z, uint32_t c, struct buf *side, struct buf *bytes)
{
    const struct column *col = &z->base->columns[c];
    struct presence has;
    struct values v;
    TRY(rows_presence(z->base, c, &has));
    TRY(col->ops->values(col, z->arena, &v));
    uint32_t *off = ARENA_TRY_ARRAY(z->arena, uint32_t, (size_t)v.n + 1);
    if (!off)
        return no_memory(v.n);
    for (uint32_t i = 0; i < z->base->n; i++) {
        if (!presence_has(&has, i))
            continue;
        uint32_t k = presence_rank(&has, i), at = z->side_of[i];
        off[k] = (uint32_t)bytes->n;
        if (at == UINT32_MAX) {
            buf_put_str(bytes, values_text(&v, k));
            continue;
        }
        TRY(side_text(z, at, side));
        mend_text(z, values_text(&v, k), buf_str(side), z->side_shape[at], bytes);
    }
    if (bytes->n > UINT32_MAX / 2)
        return err_set(ERR_LIMIT, "a column of more than 2 GiB");
    off[v.n] = (uint32_t)bytes->n;
    v.off = off;
    v.bytes = arena_str(z->arena, buf_str(bytes)).p;
    plain_column(z, c, &v);
    return OK;
}

static enum err mend_texts(struct zip *z)
{
    enum err err = OK;
    struct buf side, bytes;
    buf_init(&side, SIZE_MAX);
    buf_init(&bytes, SIZE_MAX);
    for (uint32_t c = 0; c < z->base->n_columns && err == OK; c++)
        if (z->base->columns[c].path.n == 0) {
            buf_clear(&bytes);
            err = mend_column(z, c, &side, &bytes);
        }
    buf_release(&side);
    buf_release(&bytes);
    return err;
}

/* The side's own columns, without what went into texts. */
static enum err drop_mended(struct zip *z, uint32_t s)
{
    const struct column *col = &z->side->columns[s];
    struct presence has;
    struct values v;
    TRY(rows_presence(z->side, s, &has));
    TRY(col->ops->values(col, z->arena, &v));
    uint32_t *pos = ARENA_TRY_ARRAY(z->arena, uint32_t, v.n);
    uint32_t n = 0;
    if (!pos)
        return no_memory(v.n);
    for (uint32_t i = 0; i < z->base->n; i++)
        if (z->side_of[i] != UINT32_MAX && presence_has(&has, z->side_of[i]) &&
            !is_whole(z->base, &z->base->shapes[z->base_shape[i]]))
            pos[n++] = presence_rank(&has, z->side_of[i]);
    TRY(values_gather(&v, pos, n, z->arena, &v));
    plain_column(z, z->target[s], &v);
    return OK;
}

static enum err zip_columns(struct zip *z)
{
    bool whole = false;
    for (uint32_t c = 0; c < z->base->n_columns; c++) {
        whole |= z->base->columns[c].path.n == 0;
        if (z->touched[c] || z->merged[c])
            TRY(merge_column(z, c));
    }
    if (!whole)
        return OK;
    TRY(mend_texts(z));
    for (uint32_t s = 0; s < z->side->n_columns; s++)
        if (z->target[s] >= z->base->n_columns)
            TRY(drop_mended(z, s));
    return OK;
}

/* ---- zipped rows ---- */

static enum err zipped_time(struct rows *r, const int64_t **ret)
{
    return rows_time(((const struct zipped *)r->impl)->base, ret);
}

static enum err zipped_shape_of(struct rows *r, const uint16_t **ret)
{
    *ret = ((const struct zipped *)r->impl)->shape_of;
    return OK;
}

static enum err zipped_origin(struct rows *r, const struct origin_run **ret, uint32_t *ret_n)
{
    struct rows *base = ((const struct zipped *)r->impl)->base;
    return base->ops->origin(base, ret, ret_n);
}

static enum err zipped_flags(struct rows *r, const uint8_t **ret)
{
    return rows_flags(((const struct zipped *)r->impl)->base, ret);
}

static const struct rows_ops zipped_rows_ops = {.time = zipped_time,
                                                .shape_of = zipped_shape_of,
                                                .origin = zipped_origin,
                                                .flags = zipped_flags};

enum err rows_zip(struct rows *base, struct rows *side, const uint32_t *side_of,
                  const struct str *field, uint32_t n_fields, struct arena *arena, struct rows *ret)
{
    struct zip z = {.base = base,
                    .side = side,
                    .side_of = side_of,
                    .field = field,
                    .n_fields = n_fields,
                    .arena = arena};
    if (side->n == 0) {
        *ret = *base;
        return OK;
    }
    find_fields(&z);
    place_columns(&z);
    TRY(pair_shapes(&z));
    TRY(zip_columns(&z));
    struct zipped *impl = ARENA_NEW(arena, struct zipped);
    *impl = (struct zipped){base, z.shape_of};
    *ret = *base;
    ret->n_shapes = z.n_shapes;
    ret->n_columns = z.n_columns;
    ret->shapes = z.shape;
    ret->columns = z.column;
    ret->ops = &zipped_rows_ops;
    ret->impl = impl;
    ret->arena = arena;
    ret->time_cache = NULL;
    ret->shape_cache = NULL;
    ret->index = NULL;
    return OK;
}
