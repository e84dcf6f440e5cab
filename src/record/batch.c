/* Building a batch, record by record.
 *
 * A record is a walk down the dictionary's trie (shapes.c). The usual field is one comparison with
 * the key of the step that was taken last time, and one append to that step's column. Everything
 * else about a record is known by the step it ends at: its shape, with it the columns that may hold
 * its time and its id.
 *
 * Taking a record back needs no log: a column occurs at most once in a record, so walking from its
 * last step to the root takes one value off each column of the way, and the dictionary is cut to
 * where it was when the record began.
 *
 * Limits are those of what is used: a shape counts when its first row comes, with its columns that
 * no used shape had. What the dictionary knows from earlier batches and is not used does not count,
 * and is left out of views; batch_clear forgets it all when it is much more than what was used. One
 * shape and one column are kept for whole records as JSON text, so that there is always room for
 * those. */
#include "record/batch_impl.h"
#include "record/joined.h"

#include "record/frame.h"
#include "record/json.h"
#include "record/scan.h"
#include "record/timestamp.h"

enum { FIRST_ROWS = 16, FIRST_BYTES = 64, FORGET_FACTOR = 8, FORGET_MIN = 256, FRAME_HEAD = 1024 };

static size_t fixed_size(unsigned lane)
{
    switch ((enum lane)lane) {
    case LANE_INT:
    case LANE_DEC:
    case LANE_DBL:
        return 8;
    case LANE_BOOL:
        return 1;
    case LANE_NULL:
    case LANE_OBJ:
        return 0;
    default:
        return sizeof(uint32_t);
    }
}

struct batch *batch_new(void)
{
    struct batch *b = NEW(struct batch);
    shapes_init(&b->shapes);
    buf_init(&b->id_text, SIZE_MAX);
    arena_init(&b->scratch, 0, NULL);
    b->at = SHAPES_ROOT;
    b->form_shape = SHAPES_NONE;
    return b;
}

void batch_columns_cut(struct batch *b, uint32_t from)
{
    for (uint32_t i = from; i < b->n_columns; i++) {
        mem_free(b->column[i].fixed);
        mem_free(b->column[i].bytes);
    }
    b->n_columns = b->n_columns < from ? b->n_columns : from;
}

void batch_free(struct batch *b)
{
    if (!b)
        return;
    batch_columns_cut(b, 0);
    shapes_release(&b->shapes);
    mem_free(b->column);
    mem_free(b->use);
    mem_free(b->time);
    mem_free(b->shape_of);
    mem_free(b->flags);
    mem_free(b->run);
    mem_free(b->piece);
    buf_release(&b->id_text);
    arena_release(&b->scratch);
    mem_free(b);
}

/* Whether the dictionary holds much that this batch had no use for. */
static bool must_forget(const struct batch *b)
{
    const struct shapes *s = &b->shapes;
    return s->n_shapes > SHAPES_MAX || s->n_columns > PATHS_MAX || s->n_steps > TOKENS_MAX ||
           s->n_tokens > TOKENS_MAX || s->names_n > 2 * PATH_BYTES_MAX ||
           s->n_columns > FORGET_MIN + FORGET_FACTOR * b->used_columns ||
           s->n_shapes > FORGET_MIN + FORGET_FACTOR * b->used_shapes;
}

void batch_clear(struct batch *b)
{
    if (b->n && must_forget(b)) {
        batch_columns_cut(b, 0);
        shapes_clear(&b->shapes);
    }
    for (uint32_t i = 0; i < b->shapes.n_columns; i++) {
        b->column[i].n = b->column[i].bytes_n = 0;
        b->use[i] = (struct batch_use){0};
    }
    for (uint32_t i = 0; i < b->shapes.n_shapes; i++)
        b->shapes.shape[i].rows = 0;
    b->n = b->n_flagged = b->n_runs = b->n_pieces = 0;
    b->bytes = 0;
    b->raw_bytes = 0;
    b->used_shapes = b->used_columns = b->used_tokens = b->used_path_bytes = 0;
    b->at = SHAPES_ROOT;
    b->ended = b->over = b->whole_used = false;
    b->form_shape = SHAPES_NONE;
    b->version++;
}

uint32_t batch_rows(const struct batch *b)
{
    return b->n;
}

size_t batch_bytes(const struct batch *b)
{
    return b->bytes;
}

size_t batch_room(const struct batch *b)
{
    size_t max = FRAME_BYTES_MAX - FRAME_HEAD;
    return !b->n ? SIZE_MAX : b->bytes > max ? 0 : max - b->bytes;
}

bool batch_full(const struct batch *b, size_t next)
{
    size_t room = batch_room(b);
    return !room || next > room;
}

uint64_t batch_raw_bytes(const struct batch *b)
{
    return b->raw_bytes;
}

/* ---- columns ---- */

void batch_columns_make(struct batch *b)
{
    const struct shapes *s = &b->shapes;
    if (s->n_columns <= b->n_columns)
        return;
    ARRAY_GROW(b->column, b->columns_cap, s->n_columns);
    ARRAY_GROW(b->use, b->uses_cap, s->n_columns);
    for (uint32_t i = b->n_columns; i < s->n_columns; i++) {
        b->column[i] = (struct batch_column){.lane = s->column[i].lane};
        b->use[i] = (struct batch_use){0};
    }
    b->n_columns = s->n_columns;
}

static void bytes_grow(struct batch_column *c, size_t need)
{
    size_t cap = c->bytes_cap;
    ARRAY_GROW(c->bytes, cap, need);
    c->bytes_cap = cap < UINT32_MAX ? (uint32_t)cap : UINT32_MAX;
}

/* A text column has one offset more than values, the first is 0. */
static void values_grow(struct batch_column *c, uint32_t need)
{
    uint32_t cap = c->cap < FIRST_ROWS ? FIRST_ROWS : c->cap * 2;
    cap = cap < need ? need : cap;
    size_t size = fixed_size(c->lane);
    if (size) {
        c->fixed = mem_realloc(c->fixed, (cap + 1) * size);
    }
    if (lane_is_text(c->lane)) {
        c->off[0] = 0;
        bytes_grow(c, FIRST_BYTES);
    }
    if (c->lane == LANE_DEC)
        c->scale = mem_realloc(c->scale, cap);
    c->cap = cap;
}

void batch_column_room(struct batch_column *c, uint32_t n, size_t bytes)
{
    CHECK(n <= UINT32_MAX / 4 - c->n);
    if (c->cap - c->n < n || !c->cap)
        values_grow(c, c->n + n);
    if (lane_is_text(c->lane)) {
        CHECK(bytes <= UINT32_MAX - c->bytes_n); /* callers hand batches on long before */
        bytes_grow(c, (size_t)c->bytes_n + bytes);
    }
}

/* ---- the record ---- */

static __attribute__((noinline)) bool advance_slow(struct batch *b, struct str key, unsigned kind)
{
    if (b->over)
        return false;
    uint32_t to = shapes_next(&b->shapes, b->at, key, kind);
    if (!to) {
        b->over = true;
        return false;
    }
    b->at = to;
    batch_columns_make(b);
    return true;
}

/* Moves to the step of the token; false when the record is over the bounds: the token is passed
 * over. */
static inline bool advance(struct batch *b, struct str key, unsigned kind)
{
    uint32_t hot = shapes_hot(&b->shapes, b->at, key, kind);
    if (__builtin_expect(hot != 0, 1)) {
        b->at = hot;
        return true;
    }
    return advance_slow(b, key, kind);
}

bool batch_has_name(const struct batch *b, const uint64_t *name_hash, unsigned n)
{
    const struct shapes *s = &b->shapes;
    for (uint32_t i = b->at; i != SHAPES_ROOT; i = s->way[i].parent) {
        if (s->step[i].kind >= LANE_COUNT)
            continue;
        uint64_t hash = s->column[s->step[i].column].name_hash;
        for (unsigned k = 0; k < n; k++)
            if (name_hash[k] == hash)
                return true;
    }
    return false;
}

void batch_time(struct batch *b, int64_t time_ns)
{
    b->time_given = true;
    b->given_time = time_ns;
}

static inline struct batch_column *column_at(struct batch *b)
{
    return &b->column[b->shapes.step[b->at].column];
}

void batch_begin(struct batch *b)
{
    b->at = SHAPES_ROOT;
    b->over = b->ended = b->time_given = false;
    b->mark = shapes_mark(&b->shapes);
}

void batch_open(struct batch *b, struct str key)
{
    advance(b, key, STEP_OPEN);
}

void batch_close(struct batch *b)
{
    advance(b, (struct str){0}, STEP_CLOSE);
}

/* A copy without a call for the usual short values: words that may overlap. */
static inline void copy_text(char *to, const char *from, size_t n)
{
    char a[16], b[16], y[16], z[16];
    if (n > 64) {
        memcpy(to, from, n);
    } else if (n > 32) {
        memcpy(a, from, 16);
        memcpy(b, from + 16, 16);
        memcpy(y, from + n - 32, 16);
        memcpy(z, from + n - 16, 16);
        memcpy(to, a, 16);
        memcpy(to + 16, b, 16);
        memcpy(to + n - 32, y, 16);
        memcpy(to + n - 16, z, 16);
    } else if (n >= 16) {
        memcpy(a, from, 16);
        memcpy(z, from + n - 16, 16);
        memcpy(to, a, 16);
        memcpy(to + n - 16, z, 16);
    } else if (n >= 8) {
        memcpy(a, from, 8);
        memcpy(z, from + n - 8, 8);
        memcpy(to, a, 8);
        memcpy(to + n - 8, z, 8);
    } else if (n >= 4) {
        memcpy(a, from, 4);
        memcpy(z, from + n - 4, 4);
        memcpy(to, a, 4);
        memcpy(to + n - 4, z, 4);
    } else if (n) {
        to[0] = from[0];
        to[n / 2] = from[n / 2];
        to[n - 1] = from[n - 1];
    }
}

static inline void append_text(struct batch_column *c, struct str bytes)
{
    if (__builtin_expect(c->n >= c->cap || bytes.n > c->bytes_cap - c->bytes_n, 0))
        batch_column_room(c, 1, bytes.n);
    copy_text(c->bytes + c->bytes_n, bytes.p, bytes.n);
    c->bytes_n += (uint32_t)bytes.n;
    c->off[++c->n] = c->bytes_n;
}

void batch_text(struct batch *b, struct str key, enum lane lane, struct str bytes)
{
    if (!advance(b, key, lane))
        return;
    append_text(column_at(b), bytes);
    b->bytes += COST_TEXT + bytes.n;
}

/* The column with room for one more value. */
static inline struct batch_column *column_for_one(struct batch *b)
{
    struct batch_column *c = column_at(b);
    if (__builtin_expect(c->n >= c->cap, 0))
        values_grow(c, c->n + 1);
    return c;
}

void batch_int(struct batch *b, struct str key, int64_t v)
{
    if (!advance(b, key, LANE_INT))
        return;
    struct batch_column *c = column_for_one(b);
    c->i64[c->n++] = v;
    b->bytes += COST_WORD;
}

void batch_dec(struct batch *b, struct str key, int64_t mantissa, uint8_t scale)
{
    CHECK(scale >= 1 && scale <= 18);
    if (!advance(b, key, LANE_DEC))
        return;
    struct batch_column *c = column_for_one(b);
    c->scale[c->n] = scale;
    c->i64[c->n++] = mantissa;
    b->bytes += COST_WORD + COST_SCALE;
}

void batch_dbl(struct batch *b, struct str key, double v)
{
    if (!advance(b, key, LANE_DBL))
        return;
    struct batch_column *c = column_for_one(b);
    c->f64[c->n++] = v;
    b->bytes += COST_WORD;
}

void batch_bool(struct batch *b, struct str key, bool v)
{
    if (!advance(b, key, LANE_BOOL))
        return;
    struct batch_column *c = column_for_one(b);
    c->u8[c->n++] = v;
    b->bytes += 1;
}

void batch_empty(struct batch *b, struct str key, enum lane lane)
{
    if (advance(b, key, lane))
        column_at(b)->n++;
}

/* Digits with at most one point; false for exponents and for more than an int64 holds. */
static bool decimal_parse(struct str text, int64_t *ret_mantissa, unsigned *ret_scale)
{
    bool negative = text.n && text.p[0] == '-';
    uint64_t m = 0;
    size_t point = text.n;
    for (size_t i = negative; i < text.n; i++) {
        unsigned digit = (unsigned)(text.p[i] - '0');
        if (digit > 9) {
            if (text.p[i] != '.' || point != text.n)
                return false;
            point = i;
            continue;
        }
        if (m > (UINT64_MAX >> 1) / 10)
            return false;
        m = m * 10 + digit;
    }
    if (m > INT64_MAX || (negative && m == 0)) /* "-0" and "-0.0" would lose their sign */
        return false;
    *ret_mantissa = negative ? -(int64_t)m : (int64_t)m;
    *ret_scale = point == text.n ? 0 : (unsigned)(text.n - point - 1);
    return true;
}

void batch_number(struct batch *b, struct str key, struct str text)
{
    int64_t mantissa;
    unsigned scale;
    if (decimal_parse(text, &mantissa, &scale) && scale <= 18) {
        if (scale)
            batch_dec(b, key, mantissa, (uint8_t)scale);
        else
            batch_int(b, key, mantissa);
        return;
    }
    if (str_to_i64(text, &mantissa) && mantissa == INT64_MIN) {
        batch_int(b, key, mantissa);
        return;
    }
    double v;
    char shortest[32];
    if (text.n <= sizeof(shortest) && str_to_f64(text, &v) && __builtin_isfinite(v) &&
        str_eq(str_of(shortest, json_double_text(v, shortest)), text))
        batch_dbl(b, key, v);
    else
        batch_text(b, key, LANE_NUM, text);
}

/* ---- its end ---- */

void batch_rows_room(struct batch *b, uint32_t n)
{
    CHECK(n <= UINT32_MAX / 4 - b->n);
    if (b->rows_cap - b->n >= n && b->rows_cap)
        return;
    uint32_t cap = b->rows_cap < FIRST_ROWS ? FIRST_ROWS : b->rows_cap * 2;
    cap = cap < b->n + n ? b->n + n : cap;
    b->time = mem_realloc(b->time, cap * sizeof(*b->time));
    b->shape_of = mem_realloc(b->shape_of, cap * sizeof(*b->shape_of));
    b->flags = mem_realloc(b->flags, cap);
    b->rows_cap = cap;
}

/* What a shape has that no used shape has. */
struct share {
    uint32_t columns, tokens;
    size_t path_bytes;
};

static size_t share_cost(const struct share *sum)
{
    return COST_SHAPE + 3 * (size_t)sum->tokens + COST_COLUMN * (size_t)sum->columns +
           sum->path_bytes;
}

/* Counts a shape's columns as used by it, and answers what is new by that. */
static struct share count_in(struct batch *b, uint32_t shape)
{
    const struct shape s = shapes_tokens(&b->shapes, shape);
    struct share sum = {.tokens = s.n};
    for (uint32_t i = 0; i < s.n; i++) {
        uint32_t column = s.token[i];
        if (column >= SHAPE_OPEN || b->use[column].shapes++)
            continue;
        sum.columns++;
        sum.path_bytes += shapes_path(&b->shapes, column).n;
    }
    return sum;
}

/* The reverse: answers what is gone by that. */
static struct share count_out(struct batch *b, uint32_t shape)
{
    const struct shape s = shapes_tokens(&b->shapes, shape);
    struct share sum = {.tokens = s.n};
    for (uint32_t i = 0; i < s.n; i++) {
        uint32_t column = s.token[i];
        if (column >= SHAPE_OPEN || --b->use[column].shapes)
            continue;
        sum.columns++;
        sum.path_bytes += shapes_path(&b->shapes, column).n;
    }
    return sum;
}

static bool is_whole(const struct batch *b, uint32_t shape)
{
    uint32_t step = b->shapes.shape[shape].step;
    return b->shapes.step[step].kind == LANE_JSON && b->shapes.way[step].name_node == 0;
}

bool batch_use_shape(struct batch *b, uint32_t shape)
{
    struct share sum = count_in(b, shape);
    bool whole = is_whole(b, shape);
    uint32_t spare = whole || b->whole_used ? 0 : 1;
    if (b->used_shapes + 1 + spare > SHAPES_MAX ||
        b->used_columns + sum.columns + spare > PATHS_MAX || sum.tokens > SHAPE_TOKENS_MAX ||
        b->used_tokens + sum.tokens + spare > TOKENS_MAX ||
        b->used_path_bytes + sum.path_bytes > PATH_BYTES_MAX) {
        count_out(b, shape);
        return false;
    }
    b->used_shapes++;
    b->used_columns += sum.columns;
    b->used_tokens += sum.tokens;
    b->used_path_bytes += (uint32_t)sum.path_bytes;
    b->bytes += share_cost(&sum);
    b->whole_used |= whole;
    return true;
}

void batch_unuse_shape(struct batch *b, uint32_t shape)
{
    struct share sum = count_out(b, shape);
    b->used_shapes--;
    b->used_columns -= sum.columns;
    b->used_tokens -= sum.tokens;
    b->used_path_bytes -= (uint32_t)sum.path_bytes;
    b->bytes -= share_cost(&sum);
    b->whole_used &= !is_whole(b, shape);
}

/* A value of a column as a time. */
static bool column_time(const struct batch_column *c, uint32_t i, int64_t near_ns, int64_t *ret)
{
    struct time_form form;
    struct str text;
    double v;
    switch ((enum lane)c->lane) {
    case LANE_INT:
        return time_from_number(c->i64[i], 0, ret);
    case LANE_DEC:
        return time_from_number(c->i64[i], c->scale[i], ret);
    case LANE_DBL:
        return time_from_double(c->f64[i], ret);
    case LANE_NUM:
        text = str_of(c->bytes + c->off[i], c->off[i + 1] - c->off[i]);
        return str_to_f64(text, &v) && __builtin_isfinite(v) && time_from_double(v, ret);
    default:
        text = str_of(c->bytes + c->off[i], c->off[i + 1] - c->off[i]);
        return time_parse(text, near_ns, &form, ret);
    }
}

/* Of the record whose values have `behind` others behind them. */
static inline int64_t resolve_time(const struct batch *b, const struct shapes_shape *shape,
                                   uint32_t behind, int64_t arrival_ns, uint8_t *ret_flags)
{
    int64_t t;
    *ret_flags = 0;
    if (b->time_given)
        return b->given_time;
    for (uint32_t i = 0; i < shape->n_time; i++) {
        const struct batch_column *c = &b->column[shape->time_column[i]];
        if (column_time(c, c->n - 1 - behind, arrival_ns, &t))
            return t;
    }
    *ret_flags = shape->n_time ? ROW_TIME_ARRIVAL | ROW_TIME_BAD : ROW_TIME_ARRIVAL;
    return arrival_ns;
}

/* The last value of the shape's id column as text, in b->id_text where it is a number. */
static struct str id_of(struct batch *b, const struct shapes_shape *shape)
{
    if (shape->id_column == SHAPES_NONE)
        return (struct str){0};
    const struct batch_column *c = &b->column[shape->id_column];
    uint32_t last = c->n - 1;
    if (c->lane != LANE_INT)
        return str_of(c->bytes + c->off[last], c->off[last + 1] - c->off[last]);
    buf_clear(&b->id_text);
    buf_put_i64(&b->id_text, c->i64[last]);
    return buf_str(&b->id_text);
}

/* Takes the values of the record back, and what it added to the dictionary. */
static void record_undo(struct batch *b)
{
    const struct shapes *s = &b->shapes;
    for (uint32_t i = b->at; i != SHAPES_ROOT; i = s->way[i].parent) {
        if (s->step[i].kind >= LANE_COUNT)
            continue;
        struct batch_column *c = &b->column[s->step[i].column];
        c->n--;
        b->bytes -= batch_cost(c, c->n);
        c->bytes_n = lane_is_text(c->lane) ? c->off[c->n] : 0;
    }
    b->at = SHAPES_ROOT;
    b->form_shape = SHAPES_NONE;
    b->version++;
    shapes_cut(&b->shapes, &b->mark);
    batch_columns_cut(b, b->shapes.n_columns);
}

/* The record, of the shape given so far, as one leaf of JSON text. */
static uint32_t become_whole(struct batch *b, uint32_t of, struct str raw)
{
    struct str id = id_of(b, &b->shapes.shape[of]);
    if (id.p != b->id_text.p) {
        buf_clear(&b->id_text);
        buf_put_str(&b->id_text, id);
    }
    b->whole_id = str_of(b->id_text.p, id.n);
    record_undo(b);
    b->at = shapes_whole(&b->shapes);
    batch_columns_make(b);
    append_text(column_at(b), raw);
    b->bytes += COST_TEXT + raw.n;
    uint32_t shape = shapes_at(&b->shapes, b->at);
    CHECK(b->shapes.shape[shape].rows || batch_use_shape(b, shape));
    return shape;
}

/* Whether the last run goes on with the last row. */
static inline bool goes_on(const struct batch *b, const struct origin_run *of)
{
    uint32_t row = b->n - 1;
    const struct origin_run *last = b->n_runs ? &b->run[b->n_runs - 1] : NULL;
    return last && last->position == of->position && last->partition == of->partition &&
           last->arrival_ns == of->arrival_ns && last->index + (row - last->row) == of->index;
}

void batch_origin_add(struct batch *b, const struct origin_run *of)
{
    uint32_t row = b->n - 1;
    if (goes_on(b, of))
        return;
    ARRAY_GROW(b->run, b->runs_cap, b->n_runs + 1);
    b->run[b->n_runs] = *of; /* NOLINT(clang-analyzer-core.NullDereference): grown above */
    b->run[b->n_runs++].row = row;
}

static inline void add_row(struct batch *b, uint32_t shape, int64_t time, uint8_t flags,
                           int64_t arrival_ns)
{
    b->shapes.shape[shape].rows++;
    if (__builtin_expect(b->n == b->rows_cap, 0))
        batch_rows_room(b, 1);
    b->time[b->n] = time;
    b->shape_of[b->n] = (uint16_t)shape;
    b->flags[b->n] = flags;
    b->n_flagged += flags != 0;
    b->n++;
    struct origin_run of = {.index = b->n - 1, .arrival_ns = arrival_ns};
    if (!goes_on(b, &of))
        batch_origin_add(b, &of);
    b->bytes += COST_ROW;
}

static inline void count_end(struct batch *b, size_t raw_n)
{
    b->last_raw = raw_n;
    b->raw_bytes += raw_n;
    b->ended = true;
    b->version++;
}

/* raw: the record's JSON text; where its pointer is NULL there is none, and what is too wide is
 * left under way. */
static inline bool end(struct batch *b, int64_t arrival_ns, struct str raw)
{
    CHECK(!b->ended && (b->over || b->shapes.way[b->at].node == 0));
    uint32_t shape = shapes_at(&b->shapes, b->at);
    bool wide = __builtin_expect(b->over || !b->shapes.shape[shape].rows, 0) &&
                (b->over || !batch_use_shape(b, shape));
    if (wide && !raw.p)
        return false;
    uint8_t flags;
    int64_t time = resolve_time(b, &b->shapes.shape[shape], 0, arrival_ns, &flags);
    b->whole_id = (struct str){0};
    if (wide)
        shape = become_whole(b, shape, raw);
    add_row(b, shape, time, flags, arrival_ns);
    count_end(b, raw.n);
    return true;
}

void batch_end(struct batch *b, int64_t arrival_ns, struct str raw)
{
    CHECK(end(b, arrival_ns, raw.p ? raw : STR("")));
}

bool batch_try_end(struct batch *b, int64_t arrival_ns, size_t raw_n)
{
    return end(b, arrival_ns, str_of(NULL, raw_n));
}

/* ---- records like the one before ---- */

static uint32_t find_form(const struct batch *b, uint32_t number, uint32_t *column)
{
    const struct shape shape = shapes_tokens(&b->shapes, number);
    uint32_t n = 0;
    for (uint32_t i = 0; i < shape.n; i++) {
        if (shape.token[i] >= SHAPE_OPEN)
            continue;
        if (n == BATCH_FORM_MAX || b->column[shape.token[i]].lane != LANE_STR)
            return 0;
        column[n++] = shape.token[i];
    }
    return n;
}

uint32_t batch_form(struct batch *b)
{
    if (!b->ended)
        return 0;
    uint32_t shape = b->shape_of[b->n - 1];
    if (b->form_shape != shape) {
        b->form_shape = shape;
        b->form_n = find_form(b, shape, b->form_column);
    }
    return b->form_n;
}

uint64_t batch_version(const struct batch *b)
{
    return b->version;
}

/* Their times: one of all where none of the fields is asked. */
static void add_like_times(struct batch *b, uint32_t n, int64_t arrival_ns)
{
    const struct shapes_shape *shape = &b->shapes.shape[b->form_shape];
    bool asked = !b->time_given && shape->n_time;
    int64_t *time = b->time + b->n;
    uint8_t *flags = b->flags + b->n;
    for (uint32_t i = 0; asked && i < n; i++) {
        time[i] = resolve_time(b, shape, n - 1 - i, arrival_ns, &flags[i]);
        b->n_flagged += flags[i] != 0;
    }
    if (asked)
        return;
    int64_t one = resolve_time(b, shape, 0, arrival_ns, &flags[0]);
    for (uint32_t i = 0; i < n; i++)
        time[i] = one;
    b->n_flagged += flags[0] ? n : 0;
    memset(flags, flags[0], n);
}

static void add_like_rows(struct batch *b, uint32_t n, int64_t arrival_ns)
{
    uint32_t had = b->n;
    batch_rows_room(b, n);
    add_like_times(b, n, arrival_ns);
    b->shapes.shape[b->form_shape].rows += n;
    for (uint32_t i = 0; i < n; i++)
        b->shape_of[had + i] = (uint16_t)b->form_shape;
    b->n = had + 1;
    batch_origin_add(b, &(struct origin_run){.index = had, .arrival_ns = arrival_ns});
    b->n = had + n; /* the others go on from there */
}

size_t batch_form_cost(const struct batch *b)
{
    return COST_ROW + COST_TEXT * (size_t)b->form_n;
}

void batch_like_begin(struct batch *b, uint32_t n, size_t bytes, struct batch_like *ret)
{
    CHECK(b->ended && b->form_shape == b->shape_of[b->n - 1]);
    for (uint32_t i = 0; i < b->form_n; i++) {
        struct batch_column *c = &b->column[b->form_column[i]];
        batch_column_room(c, n, bytes + BATCH_FORM_BEHIND);
        ret->to[i] = c->bytes + c->bytes_n;
        ret->end[i] = c->off + c->n + 1;
        ret->at[i] = c->bytes_n;
    }
}

void batch_like_end(struct batch *b, const struct batch_like *put, uint32_t n, int64_t arrival_ns,
                    size_t raw_n, size_t last_raw_n)
{
    CHECK(n);
    batch_begin(b);
    b->at = b->shapes.shape[b->form_shape].step;
    b->whole_id = (struct str){0};
    b->bytes += n * batch_form_cost(b);
    for (uint32_t i = 0; i < b->form_n; i++) {
        struct batch_column *c = &b->column[b->form_column[i]];
        b->bytes += put->at[i] - c->bytes_n;
        c->n += n;
        c->bytes_n = put->at[i];
    }
    add_like_rows(b, n, arrival_ns);
    b->raw_bytes += raw_n - last_raw_n;
    count_end(b, last_raw_n);
}

bool batch_form_has_id(const struct batch *b)
{
    return b->shapes.shape[b->form_shape].id_column != SHAPES_NONE;
}

void batch_cancel(struct batch *b)
{
    CHECK(!b->ended);
    record_undo(b);
    b->over = false;
}

struct str batch_last_id(const struct batch *b)
{
    if (!b->ended || b->whole_id.p)
        return b->ended ? b->whole_id : (struct str){0};
    /* id_text is scratch. */
    return id_of((struct batch *)b, &b->shapes.shape[b->shape_of[b->n - 1]]);
}

void batch_pop(struct batch *b)
{
    CHECK(b->ended && b->n);
    b->n--;
    uint32_t shape = b->shape_of[b->n];
    if (--b->shapes.shape[shape].rows == 0)
        batch_unuse_shape(b, shape);
    b->n_flagged -= b->flags[b->n] != 0;
    if (b->run[b->n_runs - 1].row == b->n)
        b->n_runs--;
    b->bytes -= COST_ROW;
    b->raw_bytes -= b->last_raw;
    record_undo(b);
    b->ended = false;
}

/* ---- looking at it ---- */

/* Columns whose values lie elsewhere. */
static void view_held(const struct batch *b, struct arena *a, struct column *column, uint32_t n,
                      const uint32_t *number)
{
    struct joined *joined = ARENA_ARRAY(a, struct joined, n);
    struct coded_values *part = ARENA_ARRAY(a, struct coded_values, b->n_pieces);
    for (uint32_t i = 0; i < b->n_pieces; i++)
        joined[number[b->piece[i].column]].n_parts++;
    for (uint32_t k = 0; k < n; k++) {
        joined[k].part = part;
        part += joined[k].n_parts;
        joined[k].n_parts = 0;
    }
    for (uint32_t i = 0; i < b->n_pieces; i++) {
        struct joined *j = &joined[number[b->piece[i].column]];
        j->part[j->n_parts++] = b->piece[i].values;
    }
    for (uint32_t k = 0; k < n; k++) {
        column[k].ops = &joined_column_ops;
        column[k].impl = &joined[k];
    }
}

static void view_columns(struct batch *b, struct arena *a, struct rows *r, uint32_t *number)
{
    const struct shapes *s = &b->shapes;
    struct column *column = ARENA_ARRAY(a, struct column, b->used_columns);
    struct values *values = ARENA_ARRAY(a, struct values, b->used_columns);
    for (uint32_t i = 0; i < s->n_columns; i++) {
        if (!b->use[i].shapes)
            continue;
        const struct batch_column *c = &b->column[i];
        uint32_t k = r->n_columns++;
        number[i] = k;
        values[k] = (struct values){.n = c->n, .lane = c->lane};
        if (lane_is_text(c->lane)) {
            values[k].off = c->off;
            values[k].bytes = c->bytes;
        } else if (c->lane == LANE_INT || c->lane == LANE_DEC) {
            values[k].i64 = c->i64;
            values[k].scale = c->lane == LANE_DEC ? c->scale : NULL;
        } else if (c->lane == LANE_DBL) {
            values[k].f64 = c->f64;
        } else if (c->lane == LANE_BOOL) {
            values[k].u8 = c->u8;
        }
        column[k] = (struct column){
            .path = shapes_path(s, i),
            .name_hash = s->column[i].name_hash,
            .occ = s->column[i].occ,
            .lane = c->lane,
            .n = c->n,
            .text_bytes = b->use[i].held,
            .ops = &plain_column_ops,
            .impl = &values[k],
        };
    }
    if (b->n_pieces)
        view_held(b, a, column, r->n_columns, number);
    CHECK(r->n_columns == b->used_columns);
    r->columns = column;
}

static struct shape view_shape(const struct batch *b, struct arena *a, uint32_t shape,
                               const uint32_t *number)
{
    const struct shape s = shapes_tokens(&b->shapes, shape);
    uint32_t *token = ARENA_ARRAY(a, uint32_t, s.n);
    for (uint32_t i = 0; i < s.n; i++)
        token[i] = s.token[i] < SHAPE_OPEN ? number[s.token[i]] : s.token[i];
    return (struct shape){token, s.n};
}

/* Numbers the used shapes from 0 and gives the rows those numbers. */
static const uint16_t *view_shapes(struct batch *b, struct arena *a, struct rows *r,
                                   const uint32_t *number)
{
    const struct shapes *s = &b->shapes;
    struct shape *shape = ARENA_ARRAY(a, struct shape, b->used_shapes);
    uint16_t *shape_number = ARENA_ARRAY(a, uint16_t, s->n_shapes);
    for (uint32_t i = 0; i < s->n_shapes; i++) {
        if (!s->shape[i].rows)
            continue;
        shape_number[i] = (uint16_t)r->n_shapes;
        shape[r->n_shapes++] = view_shape(b, a, i, number);
    }
    CHECK(r->n_shapes == b->used_shapes);
    r->shapes = shape;
    if (r->n_shapes == 1)
        return NULL;
    uint16_t *of = arena_alloc(a, b->n * sizeof(*of));
    for (uint32_t i = 0; i < b->n; i++)
        of[i] = shape_number[b->shape_of[i]];
    return of;
}

void batch_view(struct batch *b, struct arena *arena, struct rows *ret)
{
    struct rows r = {.n = b->n, .ops = &plain_rows_ops, .arena = arena};
    uint32_t *number = ARENA_ARRAY(arena, uint32_t, b->shapes.n_columns);
    view_columns(b, arena, &r, number);
    struct plain_rows *plain = ARENA_NEW(arena, struct plain_rows);
    plain->time = b->time;
    plain->shape_of = view_shapes(b, arena, &r, number);
    plain->run = b->run;
    plain->n_runs = b->n_runs;
    r.impl = plain;
    r.flags = b->n_flagged ? b->flags : NULL;
    int64_t min = b->n ? b->time[0] : 0, max = min;
    bool same = b->n && memcmp(b->time, b->time + 1, (b->n - 1) * sizeof(*b->time)) == 0;
    for (uint32_t i = 1; !same && i < b->n; i++) {
        min = b->time[i] < min ? b->time[i] : min;
        max = b->time[i] > max ? b->time[i] : max;
    }
    r.time_min = min;
    r.time_max = max;
    *ret = r;
}
