/* Repeated rows: every column is wrapped. Which of the base's values stand at the wrapped column's
 * positions is worked out when the column is first read; values are then read once each and spread.
 * And JSON values as members of a record. */
#include "record/derive.h"

#include "record/bitmap.h"
#include "record/predicate.h"

enum { DEPTH_MAX = 200 };

static enum err no_memory(uint32_t n)
{
    return err_set(ERR_NOMEM, "no memory for %u derived rows", n);
}

struct repeated {
    struct rows *base;
    const uint32_t *src;
    uint32_t n;
    struct origin_run *run; /* n, once asked for */
};

struct repeated_column {
    const struct repeated *of;
    uint32_t number; /* the base's column */
    struct arena *arena;
    uint32_t n;      /* values here */
    uint32_t *pos;   /* of each: the base's position; once asked for */
    uint32_t *entry; /* of each: the number of that position among `distinct` */
    uint32_t *distinct, n_distinct;
};

static const struct column *base_column(const struct repeated_column *c)
{
    return &c->of->base->columns[c->number];
}

static enum err repeated_positions(struct repeated_column *c)
{
    const struct repeated *of = c->of;
    struct presence has;
    if (c->pos)
        return OK;
    TRY(rows_presence(of->base, c->number, &has));
    uint32_t *pos = ARENA_TRY_ARRAY(c->arena, uint32_t, c->n);
    c->entry = ARENA_TRY_ARRAY(c->arena, uint32_t, c->n);
    c->distinct = ARENA_TRY_ARRAY(c->arena, uint32_t, c->n);
    if (!pos || !c->entry || !c->distinct)
        return no_memory(c->n);
    uint32_t k = 0;
    for (uint32_t i = 0; i < of->n && k < c->n; i++) {
        if (!presence_has(&has, of->src[i]))
            continue;
        pos[k] = presence_rank(&has, of->src[i]);
        if (k == 0 || pos[k] != pos[k - 1])
            c->distinct[c->n_distinct++] = pos[k];
        c->entry[k++] = c->n_distinct - 1;
    }
    if (k != c->n)
        return err_set(ERR_CORRUPT, "a column has fewer values than rows");
    c->pos = pos;
    return OK;
}

static enum err repeated_values(const struct column *col, struct arena *a, struct values *ret)
{
    struct repeated_column *c = (struct repeated_column *)col->impl;
    const struct column *base = base_column(c);
    struct values v;
    TRY(repeated_positions(c));
    TRY(base->ops->get(base, c->distinct, c->n_distinct, a, &v));
    return c->n_distinct == c->n ? (*ret = v, OK) : values_gather(&v, c->entry, c->n, a, ret);
}

static enum err repeated_get(const struct column *col, const uint32_t *pos, uint32_t n,
                             struct arena *a, struct values *ret)
{
    struct repeated_column *c = (struct repeated_column *)col->impl;
    const struct column *base = base_column(c);
    uint32_t *distinct = ARENA_TRY_ARRAY(a, uint32_t, n), *entry = ARENA_TRY_ARRAY(a, uint32_t, n);
    uint32_t m = 0;
    struct values v;
    if (!distinct || !entry)
        return no_memory(n);
    TRY(repeated_positions(c));
    for (uint32_t i = 0; i < n; i++) {
        if (m == 0 || distinct[m - 1] != c->pos[pos[i]])
            distinct[m++] = c->pos[pos[i]];
        entry[i] = m - 1;
    }
    TRY(base->ops->get(base, distinct, m, a, &v));
    return m == n ? (*ret = v, OK) : values_gather(&v, entry, n, a, ret);
}

static enum err repeated_match(const struct column *col, const struct predicate *p, struct arena *a,
                               uint64_t *bits)
{
    struct repeated_column *c = (struct repeated_column *)col->impl;
    const struct column *base = base_column(c);
    uint64_t *hit = bitmap_new(a, base->n);
    TRY(repeated_positions(c));
    TRY(base->ops->match(base, p, a, hit));
    for (uint32_t i = 0; i < c->n; i++)
        if (bitmap_get(hit, c->pos[i]))
            bitmap_set(bits, i);
    return OK;
}

static bool repeated_may_match(const struct column *col, const struct predicate *p)
{
    const struct column *base = base_column(col->impl);
    return !base->ops->may_match || base->ops->may_match(base, p);
}

static enum err repeated_codes(const struct column *col, struct arena *a, struct values *ret_dict,
                               const uint32_t **ret_code)
{
    struct repeated_column *c = (struct repeated_column *)col->impl;
    const struct column *base = base_column(c);
    const uint32_t *code;
    if (!base->ops->codes)
        return ERR_UNSUPPORTED;
    enum err err = base->ops->codes(base, a, ret_dict, &code);
    if (err != OK)
        return err;
    TRY(repeated_positions(c));
    uint32_t *mine = ARENA_TRY_ARRAY(a, uint32_t, c->n);
    if (!mine)
        return no_memory(c->n);
    for (uint32_t i = 0; i < c->n; i++)
        mine[i] = code[c->pos[i]];
    *ret_code = mine;
    return OK;
}

static const struct column_ops repeated_column_ops = {
    .values = repeated_values,
    .get = repeated_get,
    .match = repeated_match,
    .may_match = repeated_may_match,
    .codes = repeated_codes,
};

static enum err repeated_time(struct rows *r, const int64_t **ret)
{
    const struct repeated *of = r->impl;
    const int64_t *time;
    TRY(rows_time(of->base, &time));
    int64_t *to = ARENA_TRY_ARRAY(r->arena, int64_t, r->n);
    if (!to)
        return no_memory(r->n);
    for (uint32_t i = 0; i < r->n; i++)
        to[i] = time[of->src[i]];
    *ret = to;
    return OK;
}

static enum err repeated_shape_of(struct rows *r, const uint16_t **ret)
{
    const struct repeated *of = r->impl;
    const uint16_t *shape_of;
    TRY(rows_shape_of(of->base, &shape_of));
    uint16_t *to = ARENA_TRY_ARRAY(r->arena, uint16_t, r->n);
    if (!to)
        return no_memory(r->n);
    for (uint32_t i = 0; i < r->n; i++)
        to[i] = shape_of[of->src[i]];
    *ret = to;
    return OK;
}

static enum err repeated_runs(struct repeated *of, struct arena *arena)
{
    struct origin_run *run = ARENA_TRY_ARRAY(arena, struct origin_run, of->n);
    if (!run)
        return no_memory(of->n);
    for (uint32_t i = 0; i < of->n; i++) {
        if (i && of->src[i] == of->src[i - 1])
            run[i] = run[i - 1];
        else
            TRY(rows_origin(of->base, of->src[i], &run[i]));
        run[i].row = i;
    }
    of->run = run;
    return OK;
}

/* A run a row: repeated rows do not count on. */
static enum err repeated_origin(struct rows *r, const struct origin_run **ret, uint32_t *ret_n)
{
    struct repeated *of = r->impl;
    if (!of->run)
        TRY(repeated_runs(of, r->arena));
    *ret = of->run;
    *ret_n = of->n;
    return OK;
}

static enum err repeated_flags(struct rows *r, const uint8_t **ret)
{
    const struct repeated *of = r->impl;
    const uint8_t *flags;
    TRY(rows_flags(of->base, &flags));
    uint8_t *to = flags ? arena_try_alloc(r->arena, of->n) : NULL;
    if (flags && !to)
        return no_memory(of->n);
    for (uint32_t i = 0; to && i < of->n; i++)
        to[i] = flags[of->src[i]];
    *ret = to;
    return OK;
}

static const struct rows_ops repeated_rows_ops = {.time = repeated_time,
                                                  .shape_of = repeated_shape_of,
                                                  .origin = repeated_origin,
                                                  .flags = repeated_flags};

static enum err count_by_shape(const struct repeated *of, struct arena *a, uint32_t **ret)
{
    const uint16_t *shape_of;
    TRY(rows_shape_of(of->base, &shape_of));
    uint32_t *rows = ARENA_ARRAY(a, uint32_t, of->base->n_shapes + 1);
    for (uint32_t i = 0; i < of->n; i++)
        rows[shape_of[of->src[i]]]++;
    *ret = rows;
    return OK;
}

enum err rows_repeat(struct rows *base, const uint32_t *src, uint32_t n, struct arena *arena,
                     struct rows *ret)
{
    struct repeated *of = ARENA_NEW(arena, struct repeated);
    uint32_t *rows, *count = ARENA_ARRAY(arena, uint32_t, base->n_columns + 1);
    *of = (struct repeated){.base = base, .src = src, .n = n};
    TRY(count_by_shape(of, arena, &rows));
    for (uint32_t s = 0; s < base->n_shapes; s++)
        for (uint32_t t = 0; rows[s] && t < base->shapes[s].n; t++)
            if (base->shapes[s].token[t] < SHAPE_OPEN)
                count[base->shapes[s].token[t]] += rows[s];
    struct column *column = ARENA_ARRAY(arena, struct column, base->n_columns + 1);
    struct repeated_column *impl = ARENA_ARRAY(arena, struct repeated_column, base->n_columns + 1);
    for (uint32_t c = 0; c < base->n_columns; c++) {
        impl[c] = (struct repeated_column){.of = of, .number = c, .arena = arena, .n = count[c]};
        column[c] = base->columns[c];
        column[c].n = count[c];
        column[c].ops = &repeated_column_ops;
        column[c].impl = &impl[c];
    }
    *ret = (struct rows){.n = n,
                         .n_shapes = base->n_shapes,
                         .n_columns = base->n_columns,
                         .shapes = base->shapes,
                         .columns = column,
                         .ops = &repeated_rows_ops,
                         .impl = of,
                         .arena = arena,
                         .stream = base->stream,
                         .time_min = base->time_min,
                         .time_max = base->time_max};
    return OK;
}

/* ---- JSON values into a batch ---- */

static void put_item(struct batch *b, struct str key, const struct json_item *item,
                     struct arena *scratch, unsigned depth)
{
    struct json_walk w;
    struct json_item member;
    switch (item->lane) {
    case LANE_STR:
        batch_text(b, key, LANE_STR, json_walk_text(item->text, scratch));
        break;
    case LANE_NUM:
        batch_number(b, key, item->text);
        break;
    case LANE_BOOL:
        batch_bool(b, key, item->text.p[0] == 't');
        break;
    case LANE_NULL:
    case LANE_OBJ:
        batch_empty(b, key, item->lane);
        break;
    case LANE_JSON:
        if (depth < DEPTH_MAX && json_walk_begin(&w, item->text) && json_walk_next(&w, &member)) {
            batch_open(b, key);
            do
                put_item(b, json_walk_text(member.key, scratch), &member, scratch, depth + 1);
            while (json_walk_next(&w, &member));
            batch_close(b);
            break;
        }
        batch_text(b, key, LANE_JSON, item->text);
        break;
    default:
        batch_text(b, key, LANE_ARR, item->text);
    }
}

void batch_put_json(struct batch *b, struct str key, const struct json_item *item,
                    struct arena *scratch)
{
    put_item(b, key, item, scratch, 0);
}
