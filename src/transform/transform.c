/* Chains: reading them, running them, and what stages do to rows.
 *
 * A side is a batch with a record for some of the rows. Names that it sets replace what the row has
 * under them: rows_zip is told all names of the side's columns. Times: the side's records find
 * their own as any record does (batch_end), and a stage may hand them on to the rows. */
#include "transform/transform.h"

#include "core/clock.h"
#include "core/hash.h"
#include "core/mem.h"
#include "filter/filter.h"
#include "record/derive.h"
#include "transform/transform_impl.h"

struct chain {
    struct arena arena;
    struct stage *stage;
    uint32_t n;
};

/* ---- reading ---- */

static const struct stage_type *const *const families[] = {
    parse_stages, mysql_stages,  shape_stages, select_stages, value_stages, nest_stages,
    rate_stages,  lookup_stages, time_stages,  stamp_stages,  join_stages,
};
enum {
    FAMILIES = sizeof(families) / sizeof(*families),
    TYPES_MAX = 64,
    STAGES_MAX = 100,
    ALIAS_NAMES_MAX = 32
};

static const struct stage_type *find_type(struct str name)
{
    for (int f = 0; f < FAMILIES; f++)
        for (const struct stage_type *const *t = families[f]; *t; t++)
            if (str_eq_c(name, (*t)->name))
                return *t;
    return NULL;
}

static enum err unknown(const struct tree *at)
{
    const char *names[TYPES_MAX];
    unsigned n = 0;
    for (int f = 0; f < FAMILIES; f++)
        for (const struct stage_type *const *t = families[f]; *t && n + 1 < TYPES_MAX; t++)
            names[n++] = (*t)->name;
    names[n] = NULL;
    const char *near = tree_nearest(at->text, names);
    return near ? tree_error(at, "no transform \"%.*s\"; did you mean \"%s\"?", STR_ARG(at->text),
                             near)
                : tree_error(at, "no transform \"%.*s\"", STR_ARG(at->text));
}

static enum err make_stage(struct chain *c, const struct tree *t)
{
    bool bare = t->kind == TREE_TEXT;
    if (!bare && (t->kind != TREE_MAP || t->n != 1))
        return tree_error(t, "a transform is a name, or a name with its arguments: - json, or "
                             "- set: {team: shop}");
    const struct tree *name = bare ? t : &t->key[0];
    struct stage *s = &c->stage[c->n];
    *s = (struct stage){.type = find_type(name->text), .arena = &c->arena};
    if (!s->type)
        return unknown(name);
    s->counts.name = s->type->name;
    c->n++;
    return s->type->make(s, bare ? NULL : &t->item[0]);
}

enum err chain_new(const struct tree *list, struct chain **ret)
{
    struct chain *c = NEW(struct chain);
    arena_init(&c->arena, 0, NULL);
    enum err err = OK;
    if (list->kind != TREE_LIST || list->n > STAGES_MAX)
        err = tree_error(list, "a list of at most %d transforms is wanted", STAGES_MAX);
    c->stage = err == OK ? ARENA_ARRAY(&c->arena, struct stage, list->n + 1) : NULL;
    for (uint32_t i = 0; err == OK && i < list->n; i++)
        err = make_stage(c, &list->item[i]);
    if (err != OK) {
        chain_free(c);
        return err;
    }
    *ret = c;
    return OK;
}

void chain_free(struct chain *c)
{
    if (!c)
        return;
    for (uint32_t i = 0; i < c->n; i++)
        if (c->stage[i].type->free && c->stage[i].state)
            c->stage[i].type->free(&c->stage[i]);
    arena_release(&c->arena);
    mem_free(c);
}

uint32_t chain_stages(const struct chain *c)
{
    return c->n;
}

void chain_stage(const struct chain *c, uint32_t stage, struct chain_stage *ret)
{
    *ret = c->stage[stage].counts;
}

/* ---- arguments ---- */

enum err arg_text(const struct stage *s, const struct tree *args, const char *key, const char *def,
                  struct str *ret)
{
    const char *text;
    TRY(tree_text(args, key, def, s->arena, &text));
    *ret = str_c(text ? text : "");
    return OK;
}

enum err arg_unit(const struct tree *t, int64_t *ret_ns)
{
    static const struct {
        const char *name;
        int64_t ns;
    } units[] = {{"s", NS_PER_S}, {"ms", NS_PER_MS}, {"us", 1000}, {"ns", 1}};
    for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++)
        if (t->kind == TREE_TEXT && str_eq_c(t->text, units[i].name)) {
            *ret_ns = units[i].ns;
            return OK;
        }
    return tree_error(t, "unit: s, ms, us or ns is wanted");
}

enum err arg_list(const struct stage *s, const struct tree *t, struct str **ret, uint32_t *ret_n)
{
    uint32_t n = t->kind == TREE_LIST ? t->n : 1;
    struct str *list = ARENA_ARRAY(s->arena, struct str, n + 1);
    for (uint32_t i = 0; i < n; i++) {
        const struct tree *item = t->kind == TREE_LIST ? &t->item[i] : t;
        if (item->kind != TREE_TEXT || !item->text.n)
            return tree_error(item, "%s takes %s", s->type->name, s->type->args);
        list[i] = arena_str(s->arena, item->text);
    }
    *ret = list;
    *ret_n = n;
    return OK;
}

enum err arg_filter(struct stage *s, const struct tree *t, const struct filter **ret)
{
    struct filter_options o = {.now_ns = clock_now_ns()};
    if (t->kind != TREE_TEXT)
        return tree_error(t, "%s: a query is wanted, such as 'level:DEBUG'", s->type->name);
    struct str text = arena_str(s->arena, t->text);
    enum err err = filter_parse(text, &o, s->arena, ret, NULL, NULL);
    return err == OK ? OK : tree_error(t, "%s", err_text());
}

enum err arg_share(const struct tree *t, uint64_t *ret)
{
    struct str text = t->text;
    double share = 0;
    bool percent = t->kind == TREE_TEXT && text.n > 1 && text.p[text.n - 1] == '%';
    text.n -= percent;
    if (t->kind != TREE_TEXT || !str_to_f64(str_trim(text), &share) || !(share >= 0) ||
        share > (percent ? 100 : 1))
        return tree_error(t, "a share is wanted, such as 10%% or 0.1");
    *ret = (uint64_t)((percent ? share / 100 : share) * 4294967296.0);
    return OK;
}

/* ---- rows ---- */

enum err step_match(struct step *st, const struct filter *where, uint64_t **ret)
{
    size_t words = ((size_t)st->rows.n + 63) / 64;
    uint64_t *bits = ARENA_ARRAY(st->arena, uint64_t, words + 1);
    if (where)
        TRY(filter_eval(where, &st->rows, st->arena, bits));
    else
        memset(bits, 0xff, words * sizeof(*bits));
    *ret = bits;
    return OK;
}

uint64_t step_draw(const struct step *st, uint32_t row, uint64_t seed)
{
    return hash_mix(hash_mix((uint64_t)st->arrival_ns ^ seed) + row) & 0xffffffff;
}

/* ---- texts ---- */

static enum err texts_of_column(struct step *st, uint32_t col, struct str *text)
{
    const struct column *c = &st->rows.columns[col];
    struct presence has;
    struct values v;
    if (lane_is_empty((enum lane)c->lane))
        return OK;
    TRY(rows_presence(&st->rows, col, &has));
    TRY(c->ops->values(c, st->arena, &v));
    struct buf b;
    buf_init(&b, SIZE_MAX);
    for (uint32_t row = 0, at = 0; row < st->rows.n; row++) {
        if (!presence_has(&has, row))
            continue;
        if (!text[row].p && lane_is_text((enum lane)c->lane)) {
            text[row] = values_text(&v, at);
        } else if (!text[row].p) {
            buf_clear(&b);
            json_put_value(&b, &v, at);
            text[row] = arena_str(st->arena, buf_str(&b));
        }
        at++;
    }
    buf_release(&b);
    return OK;
}

static enum err texts_of(struct step *st, const char *const *names, struct str **ret)
{
    struct str *text = ARENA_ARRAY(st->arena, struct str, st->rows.n + 1);
    for (; *names; names++)
        for (uint32_t col = rows_find(&st->rows, str_c(*names), 0); col != UINT32_MAX;
             col = rows_find(&st->rows, str_c(*names), col + 1))
            TRY(texts_of_column(st, col, text));
    *ret = text;
    return OK;
}

enum err step_texts_named(struct step *st, struct str field, struct str **ret)
{
    const char *own[2] = {arena_str(st->arena, field).p, NULL};
    return texts_of(st, own, ret);
}

enum err step_texts_of_lane(struct step *st, struct str field, enum lane lane, struct str **ret)
{
    struct str *text = ARENA_ARRAY(st->arena, struct str, st->rows.n + 1);
    for (uint32_t col = rows_find(&st->rows, field, 0); col != UINT32_MAX;
         col = rows_find(&st->rows, field, col + 1))
        if (st->rows.columns[col].lane == lane)
            TRY(texts_of_column(st, col, text));
    *ret = text;
    return OK;
}

enum err step_texts(struct step *st, struct str field, struct str **ret)
{
    const char *const *names = alias_names(field);
    return names ? texts_of(st, names, ret) : step_texts_named(st, field, ret);
}

enum err step_hash(struct step *st, const struct str *field, uint32_t n, uint64_t *hash)
{
    for (uint32_t f = 0; f < n; f++) {
        struct str *text;
        TRY(step_texts(st, field[f], &text));
        for (uint32_t i = 0; i < st->rows.n; i++)
            hash[i] = text[i].p ? hash64_seed(text[i], hash[i] + 1) : hash_mix(hash[i] + 2);
    }
    return OK;
}

void put_guess(struct batch *b, struct str key, struct str text)
{
    int64_t v;
    double d;
    bool digits =
        text.n && text.n < 40 && (text.p[0] == '-' || (text.p[0] >= '0' && text.p[0] <= '9'));
    bool zeros = text.n > 1 && text.p[0] == '0' && text.p[1] >= '0' && text.p[1] <= '9';
    for (size_t i = 1; digits && i < text.n; i++)
        digits = (text.p[i] >= '0' && text.p[i] <= '9') || text.p[i] == '.';
    bool pointed = digits && (text.p[text.n - 1] == '.' || text.p[0] == '.' ||
                              (text.n > 1 && text.p[0] == '-' && text.p[1] == '.'));
    zeros = zeros || (text.n > 2 && text.p[0] == '-' && text.p[1] == '0' && text.p[2] != '.');
    if (str_eq(text, STR("true")) || str_eq(text, STR("false")))
        batch_bool(b, key, text.n == 4);
    else if (digits && !zeros && !pointed && (str_to_i64(text, &v) || str_to_f64(text, &d)))
        batch_number(b, key, text);
    else
        batch_text(b, key, LANE_STR, text);
}

/* ---- values ---- */

enum err lane_values_read(const struct column *c, struct arena *a, struct lane_values *ret)
{
    *ret = (struct lane_values){.lane = (enum lane)c->lane};
    return lane_is_empty(ret->lane) ? OK : c->ops->values(c, a, &ret->v);
}

void lane_values_put(const struct lane_values *m, uint32_t i, struct batch *b, struct str key)
{
    switch (m->lane) {
    case LANE_INT:
        batch_int(b, key, m->v.i64[i]);
        break;
    case LANE_DEC:
        batch_dec(b, key, m->v.i64[i], m->v.scale[i]);
        break;
    case LANE_DBL:
        batch_dbl(b, key, m->v.f64[i]);
        break;
    case LANE_BOOL:
        batch_bool(b, key, m->v.u8[i]);
        break;
    case LANE_NULL:
    case LANE_OBJ:
        batch_empty(b, key, m->lane);
        break;
    default:
        batch_text(b, key, m->lane, values_text(&m->v, i));
    }
}

/* ---- the side ---- */

static void free_batch(void *b)
{
    batch_free(b);
}

struct batch *step_begin(struct step *st, uint32_t row)
{
    if (!st->side) {
        st->side = batch_new();
        arena_defer(st->arena, free_batch, st->side);
        st->side_of = ARENA_ARRAY(st->arena, uint32_t, st->rows.n + 1);
        memset(st->side_of, 0xff, st->rows.n * sizeof(*st->side_of));
    }
    batch_begin(st->side);
    return st->side;
}

void step_end(struct step *st, uint32_t row)
{
    uint32_t at = batch_rows(st->side);
    if (batch_try_end(st->side, st->arrival_ns, 0))
        st->side_of[row] = at;
    else
        batch_cancel(st->side);
}

void step_cancel(struct step *st)
{
    batch_cancel(st->side);
}

static enum err take_times(struct step *st, struct rows *side)
{
    const int64_t *had, *found;
    TRY(rows_time(side, &found));
    if (!st->time) {
        TRY(rows_time(&st->rows, &had));
        st->time = ARENA_ARRAY(st->arena, int64_t, st->rows.n + 1);
        memcpy(st->time, had, st->rows.n * sizeof(*had));
    }
    for (uint32_t row = 0; row < st->rows.n; row++) {
        uint32_t at = st->side_of[row];
        if (at != UINT32_MAX && !(side->flags && side->flags[at] & ROW_TIME_ARRIVAL))
            st->time[row] = found[at];
    }
    return OK;
}

enum err step_merge(struct step *st, bool times)
{
    struct batch *b = st->side;
    uint32_t *side_of = st->side_of;
    if (!b || !batch_rows(b))
        return OK;
    struct rows *side = ARENA_NEW(st->arena, struct rows);
    struct rows *base = ARENA_NEW(st->arena, struct rows);
    batch_view(b, st->arena, side);
    struct str *name = ARENA_ARRAY(st->arena, struct str, side->n_columns + 1);
    struct buf text;
    buf_init(&text, SIZE_MAX);
    for (uint32_t i = 0; i < side->n_columns; i++) {
        buf_clear(&text);
        path_name(side->columns[i].path, &text);
        name[i] = arena_str(st->arena, buf_str(&text));
    }
    buf_release(&text);
    if (times)
        TRY(take_times(st, side));
    *base = st->rows;
    st->side = NULL;
    return rows_zip(base, side, side_of, name, side->n_columns, st->arena, &st->rows);
}

/* ---- rows and columns that go ---- */

enum err step_select(struct step *st, const uint32_t *row, uint32_t n)
{
    if (n == st->rows.n)
        return OK;
    struct rows *base = ARENA_NEW(st->arena, struct rows);
    *base = st->rows;
    for (uint32_t i = 0; st->time && i < n; i++)
        st->time[i] = st->time[row[i]];
    if (!n) {
        st->rows.n = 0;
        return OK;
    }
    return rows_repeat(base, row, n, st->arena, &st->rows);
}

static bool named(const struct column *c, const struct str *name, uint32_t n, struct buf *text)
{
    buf_clear(text);
    path_name(c->path, text);
    struct str is = buf_str(text);
    for (uint32_t i = 0; i < n; i++)
        if (str_starts(is, name[i]) && (is.n == name[i].n || is.p[name[i].n] == '.'))
            return true;
    return false;
}

/* The tokens of columns that stay; objects that are empty then go. */
static struct shape remove_tokens(struct arena *a, const struct shape *from, const uint32_t *to)
{
    uint32_t *token = ARENA_ARRAY(a, uint32_t, from->n + 1), n = 0;
    for (uint32_t i = 0; i < from->n; i++) {
        uint32_t t = from->token[i];
        if (t < SHAPE_OPEN && to[t] == UINT32_MAX)
            continue;
        if (t == SHAPE_CLOSE && n && token[n - 1] == SHAPE_OPEN)
            n--;
        else
            token[n++] = t < SHAPE_OPEN ? to[t] : t;
    }
    return (struct shape){token, n};
}

struct narrowed {
    struct rows *base;
};

static enum err narrowed_time(struct rows *r, const int64_t **ret)
{
    return rows_time(((struct narrowed *)r->impl)->base, ret);
}

static enum err narrowed_shape_of(struct rows *r, const uint16_t **ret)
{
    return rows_shape_of(((struct narrowed *)r->impl)->base, ret);
}

static enum err narrowed_origin(struct rows *r, const struct origin_run **ret, uint32_t *ret_n)
{
    struct rows *base = ((struct narrowed *)r->impl)->base;
    return base->ops->origin(base, ret, ret_n);
}

static const struct rows_ops narrowed_ops = {narrowed_time, narrowed_shape_of, narrowed_origin};

static bool is_one_of(struct str is, const struct str *name, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (str_eq(is, name[i]))
            return true;
    return false;
}

/* The columns with any of the names go; with a lane, only those of it and of just that name. */
static enum err remove_columns(struct step *st, const struct str *name, uint32_t n, enum lane lane)
{
    struct rows *base = ARENA_NEW(st->arena, struct rows), r = st->rows;
    struct narrowed *of = ARENA_NEW(st->arena, struct narrowed);
    uint32_t *to = ARENA_ARRAY(st->arena, uint32_t, r.n_columns + 1);
    struct column *column = ARENA_ARRAY(st->arena, struct column, r.n_columns + 1);
    struct shape *shape = ARENA_ARRAY(st->arena, struct shape, r.n_shapes + 1);
    struct buf text;
    uint32_t left = 0;
    *base = r;
    of->base = base;
    buf_init(&text, SIZE_MAX);
    for (uint32_t i = 0; i < r.n_columns; i++) {
        bool goes = named(&r.columns[i], name, n, &text);
        if (goes && lane != LANE_COUNT)
            goes = r.columns[i].lane == lane && is_one_of(buf_str(&text), name, n);
        to[i] = goes ? UINT32_MAX : left;
        if (!goes)
            column[left++] = r.columns[i];
    }
    buf_release(&text);
    for (uint32_t i = 0; i < r.n_shapes; i++)
        shape[i] = remove_tokens(st->arena, &r.shapes[i], to);
    r.columns = column;
    r.n_columns = left;
    r.shapes = shape;
    r.ops = &narrowed_ops;
    r.impl = of;
    r.time_cache = NULL;
    r.shape_cache = NULL;
    r.index = NULL;
    st->rows = r;
    return OK;
}

enum err step_remove(struct step *st, const struct str *name, uint32_t n)
{
    return remove_columns(st, name, n, LANE_COUNT);
}

/* Of each row the field names[name_of[row]] goes (UINT32_MAX: none): it is first replaced by an
 * empty object, and that column then taken away. */
static enum err remove_of(struct step *st, const char *const *names, const uint32_t *name_of)
{
    struct str name[ALIAS_NAMES_MAX];
    uint32_t n = 0;
    for (; names[n] && n < ALIAS_NAMES_MAX; n++)
        name[n] = str_c(names[n]);
    for (uint32_t row = 0; row < st->rows.n; row++) {
        if (name_of[row] >= n)
            continue;
        batch_empty(step_begin(st, row), name[name_of[row]], LANE_OBJ);
        step_end(st, row);
    }
    if (!st->side)
        return OK;
    TRY(step_merge(st, false));
    return remove_columns(st, name, n, LANE_OBJ);
}

/* The name under which a row has the text, UINT32_MAX: none; of those that `from` stands for. */
static enum err find_names(struct step *st, const char *const *names, uint32_t *name_of)
{
    memset(name_of, 0xff, st->rows.n * sizeof(*name_of));
    for (uint32_t i = 0; names[i]; i++)
        for (uint32_t col = rows_find(&st->rows, str_c(names[i]), 0); col != UINT32_MAX;
             col = rows_find(&st->rows, str_c(names[i]), col + 1)) {
            struct presence has;
            TRY(rows_presence(&st->rows, col, &has));
            for (uint32_t row = 0; row < st->rows.n; row++)
                if (name_of[row] == UINT32_MAX && presence_has(&has, row))
                    name_of[row] = i;
        }
    return OK;
}

/* Rows of the side that have the name themselves keep it. */
static enum err spare_parsed(struct step *st, const char *const *names, uint32_t *name_of)
{
    struct rows side;
    batch_view(st->side, st->arena, &side);
    for (uint32_t row = 0; row < st->rows.n; row++)
        if (st->side_of[row] == UINT32_MAX)
            name_of[row] = UINT32_MAX;
    for (uint32_t i = 0; names[i]; i++)
        for (uint32_t col = rows_find(&side, str_c(names[i]), 0); col != UINT32_MAX;
             col = rows_find(&side, str_c(names[i]), col + 1)) {
            struct presence has;
            TRY(rows_presence(&side, col, &has));
            for (uint32_t row = 0; row < st->rows.n; row++)
                if (name_of[row] == i && presence_has(&has, st->side_of[row]))
                    name_of[row] = UINT32_MAX;
        }
    return OK;
}

enum err step_merge_parsed(struct step *st, struct str from, bool remove)
{
    const char *own[2] = {from.p, NULL}, *const *names = alias_names(from);
    bool any = st->side && batch_rows(st->side) > 0;
    names = names ? names : own;
    if (!any || !remove)
        return step_merge(st, true);
    uint32_t *name_of = ARENA_ARRAY(st->arena, uint32_t, st->rows.n + 1);
    TRY(find_names(st, names, name_of));
    TRY(spare_parsed(st, names, name_of));
    TRY(step_merge(st, true));
    return remove_of(st, names, name_of);
}

/* ---- running ---- */

struct retimed {
    struct rows *base;
    const int64_t *time;
};

static enum err retimed_time(struct rows *r, const int64_t **ret)
{
    *ret = ((struct retimed *)r->impl)->time;
    return OK;
}

static enum err retimed_shape_of(struct rows *r, const uint16_t **ret)
{
    return rows_shape_of(((struct retimed *)r->impl)->base, ret);
}

static enum err retimed_origin(struct rows *r, const struct origin_run **ret, uint32_t *ret_n)
{
    struct rows *base = ((struct retimed *)r->impl)->base;
    return base->ops->origin(base, ret, ret_n);
}

static const struct rows_ops retimed_ops = {retimed_time, retimed_shape_of, retimed_origin};

static void retime(struct step *st)
{
    struct retimed *of = ARENA_NEW(st->arena, struct retimed);
    struct rows *base = ARENA_NEW(st->arena, struct rows);
    if (!st->time || !st->rows.n)
        return;
    *base = st->rows;
    *of = (struct retimed){base, st->time};
    struct rows *r = &st->rows;
    r->ops = &retimed_ops;
    r->impl = of;
    r->time_cache = NULL;
    r->shape_cache = NULL;
    r->index = NULL;
    r->time_min = INT64_MAX;
    r->time_max = INT64_MIN;
    for (uint32_t i = 0; i < r->n; i++) {
        r->time_min = st->time[i] < r->time_min ? st->time[i] : r->time_min;
        r->time_max = st->time[i] > r->time_max ? st->time[i] : r->time_max;
    }
    st->time = NULL;
}

enum err chain_run(struct chain *c, uint32_t from, uint32_t to, struct rows *in, int64_t arrival_ns,
                   struct arena *a, struct rows *ret)
{
    struct step st = {.rows = *in, .arena = a, .arrival_ns = arrival_ns};
    for (uint32_t i = from; i < c->n && i < to && st.rows.n; i++) {
        struct chain_stage *n = &c->stage[i].counts;
        uint32_t had = st.rows.n;
        st.missed = 0;
        TRY(c->stage[i].type->run(&c->stage[i], &st));
        retime(&st);
        n->in += had;
        n->out += st.rows.n;
        n->dropped += had - st.rows.n;
        n->missed += st.missed;
    }
    *ret = st.rows;
    return OK;
}
