/* Appending rows of other rows to a batch.
 *
 * Shapes are translated once a call: the tokens of each source shape that a wanted row has are
 * walked down the batch's trie, which also says which source column becomes which column here. Then
 * columns are appended one by one, each as a whole: its wanted values in the order of the wanted
 * rows. When every row is wanted in order, that is the source's own array and no presence is asked
 * for.
 *
 * Everything that can fail (limits, corrupt or unreadable sources, memory of arenas) happens before
 * the first value is appended; what the dictionary learned by then is cut off again. */
#include "record/batch_impl.h"

struct append {
    struct batch *b;
    struct rows *src;
    const uint32_t *row; /* NULL: 0, 1, 2, ... */
    uint32_t n;
    bool all;  /* every row, in order */
    bool hold; /* values stay where they are */
    bool ascending;
    const uint16_t *shape_of;    /* of the source's rows; NULL: they have the one */
    uint32_t *rows_of_shape;     /* by source shape: wanted rows */
    uint32_t *shape;             /* by source shape: the batch's */
    uint32_t *column;            /* by source column: the batch's, or SHAPES_NONE: not wanted */
    struct coded_values *values; /* by source column: the wanted ones in order */
    struct buf key;
};

static uint32_t row_at(const struct append *a, uint32_t i)
{
    return a->row ? a->row[i] : i;
}

static uint32_t shape_at(const struct append *a, uint32_t row)
{
    return a->shape_of ? a->shape_of[row] : 0;
}

static enum err no_memory(void)
{
    return err_set(ERR_NOMEM, "no memory to gather rows");
}

static enum err count_rows(struct append *a)
{
    struct rows *src = a->src;
    struct arena *arena = &a->b->scratch;
    if (src->n_shapes > 1)
        TRY(rows_shape_of(src, &a->shape_of));
    a->rows_of_shape = ARENA_ARRAY(arena, uint32_t, src->n_shapes);
    a->shape = ARENA_ARRAY(arena, uint32_t, src->n_shapes);
    a->column = ARENA_ARRAY(arena, uint32_t, src->n_columns);
    a->values = ARENA_ARRAY(arena, struct coded_values, src->n_columns);
    memset(a->column, 0xff, src->n_columns * sizeof(*a->column));
    a->ascending = true;
    if (!a->row && !a->shape_of)
        a->rows_of_shape[0] = a->n;
    for (uint32_t i = 0; !a->row && a->shape_of && i < a->n; i++) {
        CHECK(a->shape_of[i] < src->n_shapes);
        a->rows_of_shape[a->shape_of[i]]++;
    }
    for (uint32_t i = 0; a->row && i < a->n; i++) {
        uint32_t row = row_at(a, i);
        CHECK(row < src->n && shape_at(a, row) < src->n_shapes);
        a->ascending &= i == 0 || row > row_at(a, i - 1);
        a->rows_of_shape[shape_at(a, row)]++;
    }
    a->all = a->n == src->n && a->ascending;
    return OK;
}

/* The key at a depth of the first leaf at or behind token `t`; slices or a->key. */
static bool key_at(struct append *a, const struct shape *shape, uint32_t t, unsigned depth,
                   struct str *ret)
{
    while (t < shape->n && shape->token[t] == SHAPE_OPEN)
        t++;
    if (t == shape->n || shape->token[t] >= a->src->n_columns)
        return false;
    struct str segment = path_segment(a->src->columns[shape->token[t]].path, depth);
    *ret = segment;
    if (str_find_byte(segment, PATH_ESC, 0) < segment.n) {
        buf_clear(&a->key);
        path_key(segment, &a->key);
        *ret = buf_str(&a->key);
    }
    return segment.n > 0;
}

static enum err bad_shape(uint32_t shape)
{
    return err_set(ERR_CORRUPT, "shape %u is not one of a record", shape);
}

static enum err too_many(void)
{
    return err_set(ERR_LIMIT, "more than %d shapes, %d paths or %u tokens in a batch", SHAPES_MAX,
                   PATHS_MAX, TOKENS_MAX);
}

/* Notes that a source column becomes the column of the step. */
static bool note_column(struct append *a, uint32_t token, uint32_t step)
{
    const struct shapes *s = &a->b->shapes;
    uint32_t column = s->step[step].column;
    uint32_t *known = &a->column[token];
    if (*known != SHAPES_NONE && *known != column)
        return false;
    *known = column;
    return s->column[column].occ == a->src->columns[token].occ;
}

/* The step that was taken behind `at` last, where it is that of a leaf met before or of an object's
 * end: most steps have one behind them. Else 0. */
static inline uint32_t step_before(const struct append *a, uint32_t at, uint32_t token)
{
    uint32_t hot = a->b->shapes.step[at].hot;
    const struct shapes_step *step = &a->b->shapes.step[hot];
    bool is_it = token == SHAPE_CLOSE ? step->kind == STEP_CLOSE
                                      : token < a->src->n_columns && step->kind < LANE_COUNT &&
                                            a->column[token] == step->column;
    return is_it ? hot : 0;
}

static enum err translate_shape(struct append *a, uint32_t number)
{
    struct shapes *s = &a->b->shapes;
    const struct shape *shape = &a->src->shapes[number];
    uint32_t at = SHAPES_ROOT;
    unsigned depth = 0;
    for (uint32_t t = 0; t < shape->n; t++) {
        uint32_t token = shape->token[t], hot = step_before(a, at, token);
        struct str key = {0};
        if (hot) {
            depth -= token == SHAPE_CLOSE;
            at = hot;
            continue;
        }
        if (token == SHAPE_CLOSE) {
            if (depth-- == 0 || s->step[at].kind == STEP_OPEN)
                return bad_shape(number);
            at = shapes_next(s, at, key, STEP_CLOSE);
        } else if (token == SHAPE_OPEN) {
            if (!key_at(a, shape, t, depth++, &key))
                return bad_shape(number);
            hot = shapes_hot(s, at, key, STEP_OPEN);
            at = hot ? hot : shapes_next(s, at, key, STEP_OPEN);
        } else if (token < a->src->n_columns && a->src->columns[token].path.n == 0) {
            if (at != SHAPES_ROOT)
                return bad_shape(number);
            at = shapes_whole(s);
        } else {
            if (!key_at(a, shape, t, depth, &key))
                return bad_shape(number);
            at = shapes_next(s, at, key, a->src->columns[token].lane);
        }
        if (!at)
            return too_many();
        if (token < SHAPE_OPEN && !note_column(a, token, at))
            return bad_shape(number);
    }
    a->shape[number] = shapes_at(s, at);
    return depth ? bad_shape(number) : OK;
}

/* Counts the wanted rows of the source shapes below `end` out again. */
static void unuse_shapes(struct append *a, uint32_t end)
{
    for (uint32_t i = 0; i < end; i++) {
        if (!a->rows_of_shape[i])
            continue;
        struct shapes_shape *to = &a->b->shapes.shape[a->shape[i]];
        to->rows -= a->rows_of_shape[i];
        if (!to->rows)
            batch_unuse_shape(a->b, a->shape[i]);
    }
}

static enum err use_shapes(struct append *a)
{
    struct rows *src = a->src;
    for (uint32_t i = 0; i < src->n_shapes; i++)
        if (a->rows_of_shape[i])
            TRY(translate_shape(a, i));
    batch_columns_make(a->b);
    for (uint32_t i = 0; i < src->n_shapes; i++) {
        if (!a->rows_of_shape[i])
            continue;
        struct shapes_shape *to = &a->b->shapes.shape[a->shape[i]];
        if (!to->rows && !batch_use_shape(a->b, a->shape[i])) {
            unuse_shapes(a, i);
            return too_many();
        }
        to->rows += a->rows_of_shape[i];
    }
    return OK;
}

/* Positions of the wanted rows' values in a column. */
static enum err positions(struct append *a, uint32_t col, uint32_t **ret, uint32_t *ret_n)
{
    struct presence p;
    TRY(rows_presence(a->src, col, &p));
    uint32_t *pos = ARENA_TRY_ARRAY(&a->b->scratch, uint32_t, a->n);
    if (!pos)
        return no_memory();
    uint32_t n = 0;
    for (uint32_t i = 0; i < a->n; i++) {
        uint32_t row = row_at(a, i);
        if (presence_has(&p, row))
            pos[n++] = presence_rank(&p, row);
    }
    *ret = pos;
    *ret_n = n;
    return OK;
}

static enum err fetch_values(struct append *a, uint32_t col)
{
    const struct column *c = &a->src->columns[col];
    struct arena *arena = &a->b->scratch;
    struct values *v = &a->values[col].v;
    if (a->hold && c->ops == &coded_column_ops) {
        a->values[col] = *(const struct coded_values *)c->impl;
    } else if (a->hold) {
        TRY(c->ops->values(c, a->src->arena, v));
    } else if (a->all) {
        TRY(c->ops->values(c, arena, v));
    } else {
        uint32_t *pos = NULL, n = 0;
        TRY(positions(a, col, &pos, &n));
        if (a->ascending) {
            TRY(c->ops->get(c, pos, n, arena, v));
        } else {
            struct values every;
            TRY(c->ops->values(c, arena, &every));
            TRY(values_gather(&every, pos, n, arena, v));
        }
    }
    struct coded_values *got = &a->values[col];
    if (!got->code) {
        got->n = v->n;
        got->text_bytes = lane_is_text(c->lane) && v->n ? values_bytes(v) : 0;
    }
    uint64_t held = a->b->use[a->column[col]].held + a->b->column[a->column[col]].bytes_n;
    if (got->text_bytes && held + got->text_bytes > UINT32_MAX / 2)
        return err_set(ERR_LIMIT, "a column of a batch has more than 2 GiB");
    return OK;
}

static void append_texts(struct batch_column *c, const struct values *v)
{
    uint32_t bytes = v->off[v->n] - v->off[0];
    batch_column_room(c, v->n, bytes);
    uint32_t shift = c->bytes_n - v->off[0];
    uint32_t *to = c->off + c->n + 1;
    for (uint32_t i = 0; i < v->n; i++)
        to[i] = v->off[i + 1] + shift;
    if (bytes)
        memcpy(c->bytes + c->bytes_n, v->bytes + v->off[0], bytes);
    c->bytes_n += bytes;
}

static void append_values(struct batch *b, struct batch_column *c, const struct values *v)
{
    size_t n = v->n;
    if (!n)
        return;
    if (lane_is_text(c->lane)) {
        append_texts(c, v);
        b->bytes += n * COST_TEXT + v->off[n] - v->off[0];
    } else {
        batch_column_room(c, v->n, 0);
    }
    if (c->lane == LANE_INT || c->lane == LANE_DEC)
        memcpy(c->i64 + c->n, v->i64, n * sizeof(*v->i64));
    if (c->lane == LANE_DEC)
        memcpy(c->scale + c->n, v->scale, n);
    if (c->lane == LANE_DBL)
        memcpy(c->f64 + c->n, v->f64, n * sizeof(*v->f64));
    if (c->lane == LANE_BOOL)
        memcpy(c->u8 + c->n, v->u8, n);
    if (!lane_is_text(c->lane))
        b->bytes += n * batch_cost(c, 0);
    c->n += v->n;
}

static void hold_values(struct batch *b, uint32_t column, const struct coded_values *v)
{
    struct batch_column *c = &b->column[column];
    if (!v->n)
        return;
    b->use[column].held += v->text_bytes;
    b->bytes += v->text_bytes + v->n * (lane_is_text(c->lane) ? COST_TEXT : batch_cost(c, 0));
    ARRAY_GROW(b->piece, b->pieces_cap, b->n_pieces + 1);
    b->piece[b->n_pieces++] = (struct batch_piece){column, *v};
    c->n += v->n;
}

/* The run of a row; runs are usually met in order. */
static uint32_t run_of(const struct origin_run *run, uint32_t n_runs, uint32_t row, uint32_t hint)
{
    if (run[hint].row <= row && (hint + 1 == n_runs || run[hint + 1].row > row))
        return hint;
    uint32_t low = 0, high = n_runs;
    while (high - low > 1) {
        uint32_t mid = low + (high - low) / 2;
        if (run[mid].row <= row)
            low = mid;
        else
            high = mid;
    }
    return low;
}

/* Rows 0, 1, 2, ... */
static void append_first(struct append *a, const int64_t *time, const uint8_t *flags,
                         const struct origin_run *run, uint32_t n_runs)
{
    struct batch *b = a->b;
    uint32_t had = b->n;
    memcpy(b->time + had, time, a->n * sizeof(*time));
    for (uint32_t i = 0; a->shape_of && i < a->n; i++)
        b->shape_of[had + i] = (uint16_t)a->shape[a->shape_of[i]];
    for (uint32_t i = 0, one = a->shape[0]; !a->shape_of && i < a->n; i++)
        b->shape_of[had + i] = (uint16_t)one;
    if (flags)
        memcpy(b->flags + had, flags, a->n);
    else
        memset(b->flags + had, 0, a->n);
    uint32_t flagged = 0;
    for (uint32_t i = 0; flags && i < a->n; i++)
        flagged += flags[i] != 0;
    b->n_flagged += flagged;
    for (uint32_t r = 0; r < n_runs && run[r].row < a->n; r++) {
        b->n = had + run[r].row + 1;
        batch_origin_add(b, &run[r]);
    }
    b->n = had + a->n;
    b->bytes += (size_t)a->n * COST_ROW;
}

static void append_rows(struct append *a, const int64_t *time, const uint8_t *flags,
                        const struct origin_run *run, uint32_t n_runs)
{
    struct batch *b = a->b;
    uint32_t at = 0;
    batch_rows_room(b, a->n);
    if (!a->row) {
        append_first(a, time, flags, run, n_runs);
        return;
    }
    for (uint32_t i = 0; i < a->n; i++) {
        uint32_t row = row_at(a, i);
        b->time[b->n] = time[row];
        b->shape_of[b->n] = (uint16_t)a->shape[shape_at(a, row)];
        b->flags[b->n] = flags ? flags[row] : 0;
        b->n_flagged += b->flags[b->n] != 0;
        b->n++;
        at = run_of(run, n_runs, row, at);
        struct origin_run of = run[at];
        of.index += row - of.row;
        batch_origin_add(b, &of);
    }
    b->bytes += (size_t)a->n * COST_ROW;
}

static enum err append(struct append *a)
{
    const int64_t *time;
    const uint8_t *flags;
    const struct origin_run *run;
    uint32_t n_runs;
    TRY(rows_time(a->src, &time));
    TRY(rows_flags(a->src, &flags));
    TRY(a->src->ops->origin(a->src, &run, &n_runs));
    if (!n_runs || run[0].row != 0)
        return err_set(ERR_CORRUPT, "rows without an origin");
    TRY(count_rows(a));
    TRY(use_shapes(a));
    enum err err = OK;
    for (uint32_t i = 0; i < a->src->n_columns && err == OK; i++)
        if (a->column[i] != SHAPES_NONE)
            err = fetch_values(a, i);
    if (err != OK) {
        unuse_shapes(a, a->src->n_shapes);
        return err;
    }
    for (uint32_t i = 0; i < a->src->n_columns; i++)
        if (a->column[i] != SHAPES_NONE && a->hold)
            hold_values(a->b, a->column[i], &a->values[i]);
        else if (a->column[i] != SHAPES_NONE)
            append_values(a->b, &a->b->column[a->column[i]], &a->values[i].v);
    append_rows(a, time, flags, run, n_runs);
    return OK;
}

static enum err add_rows(struct batch *b, struct rows *src, const uint32_t *row, uint32_t n,
                         bool hold)
{
    if (!n)
        return OK;
    CHECK(b->n == 0 || hold == b->holds);
    b->holds = hold;
    struct append a = {.b = b, .src = src, .row = row, .n = n, .hold = hold};
    struct shapes_mark mark = shapes_mark(&b->shapes);
    buf_init(&a.key, SIZE_MAX);
    b->ended = false; /* what was ended before can no longer be taken back */
    enum err err = append(&a);
    if (err != OK) {
        shapes_cut(&b->shapes, &mark);
        batch_columns_cut(b, b->shapes.n_columns);
    }
    buf_release(&a.key);
    arena_reset(&b->scratch);
    return err;
}

enum err batch_append_rows(struct batch *b, struct rows *src, const uint32_t *row, uint32_t n)
{
    return add_rows(b, src, row, n, false);
}

enum err batch_hold_rows(struct batch *b, struct rows *src)
{
    return add_rows(b, src, NULL, src->n, true);
}
