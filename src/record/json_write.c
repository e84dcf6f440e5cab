/* JSON out: rows as the objects they came from.
 *
 * Between two values of a row stand bytes that depend on its shape alone: commas, keys, colons,
 * brackets. So each shape among the rows is made a *program* once: a list of (bytes, column), and
 * the bytes behind the last value; a row is then a few copies and its values. Columns that no
 * program names are not read, and of the others only the values of the rows asked for: they come
 * from the column in row order, so a cursor per column is all it takes to put them in their places.
 *
 * A choice of fields is made in the programs: a nested object appears in them only where something
 * in it was chosen. Records kept as JSON text (LANE_JSON) have no columns: their text is walked
 * instead.
 *
 * Whatever bytes values hold, the output is valid UTF-8: each bad byte, and a surrogate's three
 * bytes together, comes out as U+FFFD. */
#include "record/json.h"

#include "core/decimal.h"
#include "record/json_simd.h"
#include "record/scan.h"

#define REPLACEMENT "\xef\xbf\xbd"

/* ---- values ---- */

/* The length of the sequence of UTF-8 at p, 0 where it is none. */
static size_t utf8_length(const unsigned char *p, size_t n)
{
    size_t length = p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : p[0] < 0xf5 ? 4 : 0;
    if (length == 0 || length > n)
        return 0;
    for (size_t i = 1; i < length; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
        (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
        return 0;
    return length;
}

/* Appends the bytes above ASCII at p, up to the next one that is not, mended; returns how many. */
static size_t put_high(struct buf *out, const char *text, size_t n)
{
    const unsigned char *p = (const unsigned char *)text;
    size_t at = 0, length;
    while (at < n && p[at] >= 0x80 && (length = utf8_length(p + at, n - at)) > 0)
        at += length;
    buf_put(out, p, at);
    if (at < n && p[at] >= 0x80) {
        buf_put(out, REPLACEMENT, 3);
        bool surrogate = n - at >= 3 && p[at] == 0xed && p[at + 1] >= 0xa0 && p[at + 1] <= 0xbf &&
                         (p[at + 2] & 0xc0) == 0x80;
        at += surrogate ? 3 : 1;
    }
    return at;
}

static inline void put_escape(struct buf *out, unsigned char c)
{
    static const char hex[] = "0123456789abcdef";
    static const char means[128] = {['"'] = '"',  ['\\'] = '\\', ['\b'] = 'b', ['\f'] = 'f',
                                    ['\n'] = 'n', ['\r'] = 'r',  ['\t'] = 't'};
    buf_put_byte(out, '\\');
    if (means[c])
        buf_put_byte(out, means[c]);
    else
        buf_put(out, (char[]){'u', '0', '0', hex[c >> 4], hex[c & 15]}, 5);
}

/* Puts what stands at the begin of s for a byte that cannot stand for itself; how much of s it is.
 */
static inline size_t put_special(struct buf *out, struct str s)
{
    if ((unsigned char)s.p[0] >= 0x80)
        return put_high(out, s.p, s.n);
    put_escape(out, (unsigned char)s.p[0]);
    return 1;
}

/* Copies up to the first byte that cannot stand for itself; what lies behind it in the n bytes of
 * room may be written over. */
static inline size_t copy_run(char *to, const char *from, size_t n)
{
    size_t i = 0;
    for (; n - i >= sizeof(scan_bytes); i += sizeof(scan_bytes)) {
        scan_bytes v;
        memcpy(&v, from + i, sizeof(v));
        memcpy(to + i, &v, sizeof(v));
        uint32_t bits = scan_bits(scan_special16(v));
        if (bits)
            return i + (size_t)__builtin_ctz(bits);
    }
    for (; i < n && !scan_special1((unsigned char)from[i]); i++)
        to[i] = from[i];
    return i;
}

void json_put_inside(struct buf *out, struct str s)
{
    while (s.n) {
        size_t run;
        if (buf_reserve(out, s.n)) {
            run = copy_run(out->p + out->n, s.p, s.n);
            out->n += run;
        } else { /* near the maximum */
            run = scan_special(s.p, s.n);
            buf_put(out, s.p, run);
        }
        s = str_from(s, run);
        if (s.n)
            s = str_from(s, put_special(out, s));
    }
}

static __attribute__((noinline)) void put_string_slow(struct buf *out, struct str s)
{
    buf_put_byte(out, '"');
    json_put_inside(out, s);
    buf_put_byte(out, '"');
}

static inline void put_copy(struct buf *out, struct str s)
{
    if (s.n <= out->cap - out->n) {
        str_copy(out->p + out->n, s);
        out->n += s.n;
        return;
    }
    buf_put_str(out, s);
}

/* Copies a text and says whether it may stand between quotes as it is. */
static inline bool copy_plain(char *to, const char *from, size_t n)
{
    scan_bytes v, bad = {0};
    if (n >= 16) {
        for (size_t i = 0;; i = i + 32 <= n ? i + 16 : n - 16) {
            memcpy(&v, from + i, 16);
            memcpy(to + i, &v, 16);
            bad |= scan_special16(v);
            if (i + 16 == n)
                return !scan_bits(bad);
        }
    }
    if (n >= 8) {
        uint64_t two[2];
        memcpy(&two[0], from, 8);
        memcpy(&two[1], from + n - 8, 8);
        memcpy(to, &two[0], 8);
        memcpy(to + n - 8, &two[1], 8);
        memcpy(&v, two, 16);
        return !scan_bits(scan_special16(v));
    }
    if (n >= 4) {
        uint32_t two[4];
        memcpy(&two[0], from, 4);
        memcpy(&two[1], from + n - 4, 4);
        memcpy(to, &two[0], 4);
        memcpy(to + n - 4, &two[1], 4);
        two[2] = two[3] = two[0];
        memcpy(&v, two, 16);
        return !scan_bits(scan_special16(v));
    }
    bool plain = true;
    for (size_t i = 0; i < n; i++) {
        to[i] = from[i];
        plain &= !scan_special1((unsigned char)from[i]);
    }
    return plain;
}

static inline void put_string(struct buf *out, struct str s)
{
    char *to = buf_reserve(out, s.n + 2);
    if (!to || !copy_plain(to + 1, s.p, s.n)) {
        put_string_slow(out, s);
        return;
    }
    to[0] = '"';
    to[s.n + 1] = '"';
    out->n += s.n + 2;
}

void json_put_string(struct buf *out, struct str s)
{
    put_string(out, s);
}

/* JSON text as it is, but for bad UTF-8 in its strings. */
static void put_json(struct buf *out, struct str s)
{
    if (json_simd_utf8(s.p, s.n)) {
        buf_put_str(out, s);
        return;
    }
    for (size_t at = 0; at < s.n;) {
        size_t run = scan_high(s.p + at, s.n - at);
        buf_put(out, s.p + at, run);
        at += run;
        if (at < s.n)
            at += put_high(out, s.p + at, s.n - at);
    }
}

struct str json_shown(struct str s, struct buf *scratch)
{
    if (json_simd_utf8(s.p, s.n))
        return s;
    buf_clear(scratch);
    put_json(scratch, s);
    return buf_str(scratch);
}

/* The quotient of two doubles that hold both parts exactly is the double nearest to the number. */
bool json_decimal_double(int64_t mantissa, unsigned scale, double *ret)
{
    static const double power[] = {1,   1e1, 1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                   1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};
    const int64_t most = 1000000000000000;
    if (scale > 15 || mantissa >= most || mantissa <= -most)
        return false;
    *ret = (double)mantissa / power[scale];
    return true;
}

void json_put_double(struct buf *out, double v)
{
    char text[32];
    if (__builtin_isfinite(v))
        buf_put(out, text, json_double_text(v, text));
    else
        buf_put(out, "null", 4);
}

static void put_decimal(struct buf *out, int64_t mantissa, unsigned scale)
{
    char text[24], *end = text + sizeof(text);
    uint64_t left = mantissa < 0 ? 0 - (uint64_t)mantissa : (uint64_t)mantissa;
    CHECK(scale >= 1 && scale <= 18);
    char *p = decimal_put_before(end, &left, scale);
    *--p = '.';
    p = decimal_put_before(p, &left, decimal_digits(left));
    if (mantissa < 0)
        *--p = '-';
    buf_put(out, p, (size_t)(end - p));
}

static inline void put_value(struct buf *out, const struct values *v, uint32_t i)
{
    switch (v->lane) {
    case LANE_STR:
        put_string(out, values_text(v, i));
        break;
    case LANE_INT:
        buf_put_i64(out, v->i64[i]);
        break;
    case LANE_DEC:
        put_decimal(out, v->i64[i], v->scale[i]);
        break;
    case LANE_DBL:
        json_put_double(out, v->f64[i]);
        break;
    case LANE_NUM:
        buf_put_str(out, values_text(v, i));
        break;
    case LANE_BOOL:
        buf_put_c(out, v->u8[i] ? "true" : "false");
        break;
    case LANE_NULL:
        buf_put(out, "null", 4);
        break;
    case LANE_OBJ:
        buf_put(out, "{}", 2);
        break;
    case LANE_ARR:
    case LANE_JSON:
        put_json(out, values_text(v, i));
        break;
    case LANE_COUNT:
        BUG("a value without a lane");
    }
}

void json_put_value(struct buf *out, const struct values *v, uint32_t i)
{
    put_value(out, v, i);
}

/* ---- programs ---- */

enum step_kind {
    STEP_VALUE,
    STEP_WHOLE,  /* the row is one JSON text */
    STEP_CHOOSE, /* the same, of which some fields are wanted */
};

struct step {
    struct str before;
    uint32_t source; /* of the value */
    enum step_kind kind;
};

struct program {
    struct step *step;
    uint32_t n;
    struct str after;
    uint32_t rows; /* of this shape among those asked for */
};

/* A column read for some rows. */
struct source {
    uint32_t column, n;
    uint32_t *position; /* NULL: every value of the column */
    struct presence has;
    struct json_texts *texts; /* NULL: the values are */
    struct values values;
    uint32_t next; /* the value to put */
};

struct json_writer {
    const struct json_rows *what;
    uint32_t at;      /* rows written */
    uint32_t *end_of; /* may be NULL */
    const uint16_t *shape_of;
    struct program **program; /* by shape; NULL where no row has it */
    uint32_t *source_of;      /* by column; 0: none, else its number + 1 */
    struct source *source;
    uint32_t n_sources, sources_cap;
    struct buf text, key; /* of the program being made, for names and for walks */
    struct buf *out;
};

/* Whether a list has the name, or an object that it lies in. */
static bool list_has(const struct json_rows *what, const struct str *list, uint32_t n,
                     struct str name)
{
    for (uint32_t i = 0; i < n; i++) {
        struct str f = list[i];
        if (str_starts(name, f) && (name.n == f.n || name.p[f.n] == '.'))
            return true;
        for (size_t end = 0; what->globs && end < name.n; end++) {
            end = str_find_byte(name, '.', end);
            if (str_glob(f, str_of(name.p, end)))
                return true;
        }
    }
    return false;
}

static bool name_chosen(const struct json_rows *what, struct str name)
{
    return (what->n_fields == 0 || list_has(what, what->fields, what->n_fields, name)) &&
           !list_has(what, what->without, what->n_without, name);
}

static bool is_choosing(const struct json_rows *what)
{
    return what->n_fields || what->n_without;
}

/* Whether a field lies below the name, or may. */
static bool name_leads(const struct json_rows *what, struct str name)
{
    if (what->globs)
        return true;
    for (uint32_t i = 0; i < what->n_fields; i++) {
        struct str f = what->fields[i];
        if (f.n > name.n && str_starts(f, name) && f.p[name.n] == '.')
            return true;
    }
    return false;
}

static bool column_chosen(struct json_writer *w, const struct column *c)
{
    if (!is_choosing(w->what) || c->path.n == 0)
        return true;
    buf_clear(&w->key);
    path_name(c->path, &w->key);
    struct str name = buf_str(&w->key);
    return name_chosen(w->what, name) || (c->lane == LANE_JSON && name_leads(w->what, name));
}

static void put_key(struct json_writer *w, struct str path, unsigned segment, bool comma)
{
    if (comma)
        buf_put_byte(&w->text, ',');
    buf_clear(&w->key);
    path_key(path_segment(path, segment), &w->key);
    put_string(&w->text, buf_str(&w->key));
    buf_put_byte(&w->text, ':');
}

static enum err source_for(struct json_writer *w, uint32_t column, uint32_t *ret)
{
    if (w->source_of[column]) {
        *ret = w->source_of[column] - 1;
        return OK;
    }
    if (w->n_sources == w->sources_cap) {
        uint32_t cap = w->sources_cap ? 2 * w->sources_cap : 32;
        struct source *grown = ARENA_TRY_ARRAY(w->what->arena, struct source, cap);
        if (!grown)
            return err_set(ERR_NOMEM, "no memory for the columns of an answer");
        if (w->n_sources)
            memcpy(grown, w->source, w->n_sources * sizeof(*grown));
        w->source = grown;
        w->sources_cap = cap;
    }
    struct source *s = &w->source[w->n_sources];
    *s = (struct source){.column = column};
    TRY(rows_presence(w->what->rows, column, &s->has));
    *ret = w->n_sources++;
    w->source_of[column] = w->n_sources;
    return OK;
}

/* The step for a leaf; the bytes before it are w->text from `from` on, placed when all are there.
 */
static enum err add_step(struct json_writer *w, struct program *p, uint32_t column, size_t from)
{
    const struct column *c = &w->what->rows->columns[column];
    struct step *s = &p->step[p->n];
    *s = (struct step){.before = {NULL, w->text.n - from}, .kind = STEP_VALUE};
    if (c->lane == LANE_JSON && c->path.n == 0)
        s->kind = is_choosing(w->what) ? STEP_CHOOSE : STEP_WHOLE;
    TRY(source_for(w, column, &s->source));
    p->n++;
    return OK;
}

/* The column of the first leaf at or behind a token. */
static uint32_t leaf_behind(const struct shape *shape, uint32_t t)
{
    while (t < shape->n && shape->token[t] == SHAPE_OPEN)
        t++;
    CHECK(t < shape->n && shape->token[t] != SHAPE_CLOSE);
    return shape->token[t];
}

/* Steps of the tokens. `open` objects were met, of which the first `written` are in the text. */
static enum err make_steps(struct json_writer *w, const struct shape *shape, struct program *p)
{
    const struct column *columns = w->what->rows->columns;
    unsigned open = 0, written = 0;
    bool comma = false;
    size_t from = 0;
    for (uint32_t t = 0; t < shape->n; t++) {
        uint32_t token = shape->token[t];
        if (token == SHAPE_OPEN) {
            open++;
        } else if (token == SHAPE_CLOSE) {
            CHECK(open > 0);
            if (written == open--) {
                buf_put_byte(&w->text, '}');
                written--;
                comma = true;
            }
        } else {
            CHECK(token == leaf_behind(shape, t) && token < w->what->rows->n_columns);
            if (!column_chosen(w, &columns[token]))
                continue;
            for (; written < open; written++, comma = false) {
                put_key(w, columns[token].path, written, comma);
                buf_put_byte(&w->text, '{');
            }
            if (columns[token].path.n)
                put_key(w, columns[token].path, open, comma);
            comma = true;
            TRY(add_step(w, p, token, from));
            from = w->text.n;
        }
    }
    CHECK(open == 0);
    return OK;
}

static enum err make_program(struct json_writer *w, const struct shape *shape, struct program **ret)
{
    struct program *p = ARENA_TRY_ARRAY(w->what->arena, struct program, 1);
    struct step *steps = p ? ARENA_TRY_ARRAY(w->what->arena, struct step, shape->n + 1) : NULL;
    if (!steps)
        return err_set(ERR_NOMEM, "no memory for the shape of an answer");
    *p = (struct program){.step = steps};
    buf_clear(&w->text);
    buf_put_byte(&w->text, '{');
    TRY(make_steps(w, shape, p));
    buf_put_byte(&w->text, '}');
    struct str text = arena_str(w->what->arena, buf_str(&w->text));
    for (uint32_t i = 0; i < p->n; i++) {
        p->step[i].before.p = text.p;
        text = str_from(text, p->step[i].before.n);
    }
    p->after = text;
    *ret = p;
    return OK;
}

/* ---- reading the columns ---- */

static enum err make_programs(struct json_writer *w)
{
    const struct json_rows *what = w->what;
    for (uint32_t i = 0; i < what->n; i++) {
        uint16_t s = w->shape_of[what->row[i]];
        if (!w->program[s])
            TRY(make_program(w, &what->rows->shapes[s], &w->program[s]));
        w->program[s]->rows++;
    }
    for (uint32_t s = 0; s < what->rows->n_shapes; s++)
        for (uint32_t i = 0; w->program[s] && i < w->program[s]->n; i++)
            w->source[w->program[s]->step[i].source].n += w->program[s]->rows;
    return OK;
}

/* Where the rows asked for are neighbours, so are their values. */
static void place_neighbours(struct source *s, uint32_t first_row)
{
    uint32_t first = presence_rank(&s->has, first_row);
    for (uint32_t i = 0; i < s->n; i++)
        s->position[i] = first + i;
}

static void place_scattered(struct json_writer *w)
{
    const struct json_rows *what = w->what;
    for (uint32_t i = 0; i < what->n; i++) {
        const struct program *p = w->program[w->shape_of[what->row[i]]];
        for (uint32_t k = 0; k < p->n; k++) {
            struct source *s = &w->source[p->step[k].source];
            if (s->position)
                s->position[s->next++] = presence_rank(&s->has, what->row[i]);
        }
    }
}

static bool are_neighbours(const struct json_rows *what)
{
    return what->row[what->n - 1] - what->row[0] == what->n - 1;
}

static enum err place_positions(struct json_writer *w)
{
    const struct json_rows *what = w->what;
    bool neighbours = are_neighbours(what);
    for (uint32_t k = 0; k < w->n_sources; k++) {
        struct source *s = &w->source[k];
        CHECK(s->n <= what->rows->columns[s->column].n);
        if (s->texts || s->n == what->rows->columns[s->column].n)
            continue;
        s->position = ARENA_TRY_ARRAY(what->arena, uint32_t, s->n);
        if (!s->position)
            return err_set(ERR_NOMEM, "no memory for the values of an answer");
        if (neighbours)
            place_neighbours(s, what->row[0]);
    }
    if (!neighbours)
        place_scattered(w);
    return OK;
}

/* Texts of neighbours that can be put where they go. */
static enum err find_texts(struct json_writer *w)
{
    const struct json_rows *what = w->what;
    for (uint32_t k = 0; k < w->n_sources && are_neighbours(what); k++) {
        struct source *s = &w->source[k];
        const struct column *c = &what->rows->columns[s->column];
        if (c->lane != LANE_STR || !c->ops->json)
            continue;
        uint32_t from = presence_rank(&s->has, what->row[0]);
        enum err err = c->ops->json(c, from, s->n, what->arena, &s->texts);
        if (err != ERR_UNSUPPORTED)
            TRY(err);
    }
    return OK;
}

static enum err read_sources(struct json_writer *w)
{
    TRY(find_texts(w));
    TRY(place_positions(w));
    for (uint32_t k = 0; k < w->n_sources; k++) {
        struct source *s = &w->source[k];
        const struct column *c = &w->what->rows->columns[s->column];
        if (s->texts)
            continue;
        if (s->position)
            TRY(c->ops->get(c, s->position, s->n, w->what->arena, &s->values));
        else
            TRY(c->ops->values(c, w->what->arena, &s->values));
        CHECK(s->values.n == s->n && s->values.lane == c->lane);
        s->next = 0;
    }
    return OK;
}

/* ---- records kept as text ---- */

/* Cuts `"key":value` off valid JSON that stands behind an opening brace or a comma. */
static bool cut_member(struct str *rest, struct str *ret_key, struct str *ret_value)
{
    *rest = str_trim(*rest);
    if (rest->n == 0 || rest->p[0] != '"')
        return false;
    size_t end = scan_string_end(rest->p, 0, rest->n);
    *ret_key = str_of(rest->p, end);
    *rest = str_trim(str_from(str_trim(str_from(*rest, end)), 1)); /* the colon */
    if (rest->n == 0)
        return false;
    if (rest->p[0] == '"')
        end = scan_string_end(rest->p, 0, rest->n);
    else if (rest->p[0] == '{' || rest->p[0] == '[')
        end = scan_nested_end(rest->p, 0, rest->n);
    else
        for (end = 0; end < rest->n && !memchr(",} \t\r\n", rest->p[end], 6);)
            end++;
    *ret_value = str_of(rest->p, end > rest->n ? rest->n : end);
    *rest = str_trim(str_from(*rest, end));
    if (rest->n && rest->p[0] == ',')
        *rest = str_from(*rest, 1);
    return true;
}

/* Puts the chosen members of an object; its dotted name is in w->key, with a point behind where it
 * is not empty. False when none is. */
static bool put_chosen(struct json_writer *w, struct str object)
{
    struct str rest = str_from(object, 1), key, value, plain;
    size_t prefix = w->key.n;
    bool any = false;
    buf_put_byte(w->out, '{');
    while (cut_member(&rest, &key, &value)) {
        size_t before = w->out->n;
        w->key.n = prefix;
        if (json_unquote(key, w->what->arena, &plain))
            buf_put_str(&w->key, plain);
        struct str name = buf_str(&w->key);
        bool chosen = name_chosen(w->what, name);
        bool whole = chosen && (!w->what->n_without || value.p[0] != '{');
        if (!chosen && (value.p[0] != '{' || !name_leads(w->what, name)))
            continue;
        if (any)
            buf_put_byte(w->out, ',');
        put_json(w->out, key);
        buf_put_byte(w->out, ':');
        buf_put_byte(&w->key, '.');
        if (whole)
            put_json(w->out, value);
        else if (!put_chosen(w, value) && !chosen)
            w->out->n = before;
        any |= w->out->n > before;
    }
    w->key.n = prefix;
    buf_put_byte(w->out, '}');
    return any;
}

/* ---- rows ---- */

static void put_row(struct json_writer *w, const struct program *p)
{
    struct buf *out = w->out;
    for (uint32_t i = 0; i < p->n; i++) {
        const struct step *step = &p->step[i];
        struct source *s = &w->source[step->source];
        uint32_t at = s->next++;
        if (__builtin_expect(step->kind != STEP_VALUE, 0)) {
            buf_clear(&w->key);
            if (step->kind == STEP_WHOLE)
                put_json(out, values_text(&s->values, at));
            else
                put_chosen(w, values_text(&s->values, at));
            return;
        }
        put_copy(out, step->before);
        if (s->texts)
            s->texts->put(s->texts, out);
        else
            put_value(out, &s->values, at);
    }
    put_copy(out, p->after);
}

static enum err json_writer_init(struct json_writer *w, const struct json_rows *what)
{
    *w = (struct json_writer){.what = what};
    buf_init(&w->text, SIZE_MAX);
    buf_init(&w->key, SIZE_MAX);
    w->program = ARENA_ARRAY(what->arena, struct program *, what->rows->n_shapes);
    w->source_of = ARENA_ARRAY(what->arena, uint32_t, what->rows->n_columns);
    TRY(rows_shape_of(what->rows, &w->shape_of));
    TRY(make_programs(w));
    return read_sources(w);
}

static void json_writer_release(struct json_writer *w)
{
    buf_release(&w->text);
    buf_release(&w->key);
}

static void release(void *w)
{
    json_writer_release(w);
}

enum err json_writer_new(const struct json_rows *what, struct json_writer **ret)
{
    struct json_writer *w = ARENA_NEW(what->arena, struct json_writer);
    struct json_rows *kept = ARENA_NEW(what->arena, struct json_rows);
    *kept = *what;
    enum err err = json_writer_init(w, kept);
    arena_defer(what->arena, release, w);
    if (err == OK)
        *ret = w;
    return err;
}

enum err json_writer_put(struct json_writer *w, uint32_t n, struct buf *out)
{
    const struct json_rows *what = w->what;
    CHECK(n <= what->n - w->at);
    w->out = out;
    for (uint32_t end = w->at + n; w->at < end; w->at++) {
        size_t begin = out->n;
        put_row(w, w->program[w->shape_of[what->row[w->at]]]);
        if (what->row_done)
            what->row_done(what->ctx, w->at, begin, out);
        if (out->n >= out->max || out->n > UINT32_MAX)
            return err_set(ERR_LIMIT, "the rows as JSON pass the limit of %zu bytes",
                           out->max < UINT32_MAX ? out->max : (size_t)UINT32_MAX);
        if (w->end_of)
            w->end_of[w->at] = (uint32_t)out->n;
    }
    return OK;
}

enum err json_put_rows(const struct json_rows *what, struct buf *out, uint32_t *ret_end_of)
{
    if (what->n == 0)
        return OK;
    struct json_writer w;
    enum err err = json_writer_init(&w, what);
    w.end_of = ret_end_of;
    if (err == OK)
        err = json_writer_put(&w, what->n, out);
    json_writer_release(&w);
    return err;
}
