/* Stages that change where fields stand: nest puts fields into an object, flatten takes the members
 * of objects out. Of every row the leaves that move are copied, in their order, to new places, and
 * then taken away from the old ones. */
#include "transform/transform_impl.h"

enum { DEPTH_MAX = 128 };

struct mover {
    struct str *field; /* of flatten: the objects; n_fields 0: all */
    uint32_t n_fields;
    struct str under, prefix; /* nest */
    bool has_prefix;          /* flatten: `prefix` stands for the object's name */
    struct str separator;
};

/* A column that moves. */
struct moving {
    struct str *segment; /* keys of its path; the last is the leaf's */
    uint32_t n_segments;
    struct lane_values values;
    struct presence has;
};

/* The objects that are open in the record under way. */
struct open_path {
    struct str key[DEPTH_MAX];
    uint32_t n;
};

/* ---- copying ---- */

static void read_segments(struct step *st, struct str path, struct moving *m)
{
    struct buf key;
    buf_init(&key, SIZE_MAX);
    uint32_t n = 0;
    while (path.n && n < DEPTH_MAX && path_segment(path, n).p)
        n++;
    m->segment = ARENA_ARRAY(st->arena, struct str, n + 2);
    for (uint32_t i = 0; i < n; i++) {
        buf_clear(&key);
        path_key(path_segment(path, i), &key);
        m->segment[i] = arena_str(st->arena, buf_str(&key));
    }
    m->n_segments = n;
    buf_release(&key);
}

/* Opens and closes objects until those of the leaf are open. */
static void go_to(struct batch *b, struct open_path *open, const struct moving *m)
{
    uint32_t depth = m->n_segments - 1, same = 0;
    while (same < depth && same < open->n && str_eq(open->key[same], m->segment[same]))
        same++;
    for (; open->n > same; open->n--)
        batch_close(b);
    for (; open->n < depth; open->n++) {
        open->key[open->n] = m->segment[open->n];
        batch_open(b, m->segment[open->n]);
    }
}

/* Copies the leaves of a row that move, in the row's order. */
static void copy_row(struct step *st, uint32_t row, const struct shape *shape,
                     struct moving *const *moving)
{
    struct open_path open = {.n = 0};
    struct batch *b = NULL;
    for (uint32_t i = 0; i < shape->n; i++) {
        struct moving *m = shape->token[i] < SHAPE_OPEN ? moving[shape->token[i]] : NULL;
        if (!m)
            continue;
        if (!b)
            b = step_begin(st, row);
        go_to(b, &open, m);
        lane_values_put(&m->values, presence_rank(&m->has, row), b, m->segment[m->n_segments - 1]);
    }
    for (; open.n; open.n--)
        batch_close(b);
    if (b)
        step_end(st, row);
}

/* Moves the columns: moving[i] is NULL where column i stays. The old places are `gone`. */
static enum err move_all(struct step *st, struct moving **moving, const struct str *gone,
                         uint32_t n_gone)
{
    const uint16_t *shape_of;
    bool any = false;
    for (uint32_t i = 0; i < st->rows.n_columns; i++) {
        if (!moving[i])
            continue;
        any = true;
        TRY(rows_presence(&st->rows, i, &moving[i]->has));
        TRY(lane_values_read(&st->rows.columns[i], st->arena, &moving[i]->values));
    }
    if (!any)
        return OK;
    TRY(rows_shape_of(&st->rows, &shape_of));
    for (uint32_t row = 0; row < st->rows.n; row++)
        copy_row(st, row, &st->rows.shapes[shape_of[row]], moving);
    TRY(step_remove(st, gone, n_gone));
    return step_merge(st, false);
}

static struct str name_of(struct step *st, uint32_t column)
{
    struct buf name;
    buf_init(&name, SIZE_MAX);
    path_name(st->rows.columns[column].path, &name);
    struct str ret = arena_str(st->arena, buf_str(&name));
    buf_release(&name);
    return ret;
}

static bool within(struct str name, struct str field)
{
    return str_starts(name, field) && (name.n == field.n || name.p[field.n] == '.');
}

/* ---- nest ---- */

static enum err make_nest(struct stage *s, const struct tree *args)
{
    static const char *const known[] = {"under", "fields", "prefix", NULL};
    struct mover *m = ARENA_NEW(s->arena, struct mover);
    if (!args || args->kind != TREE_MAP)
        return args ? tree_error(args, "nest takes %s", s->type->args)
                    : err_set(ERR_INVALID, "nest takes %s", s->type->args);
    s->state = m;
    TRY(tree_check_keys(args, known));
    const struct tree *fields = tree_get(args, "fields");
    if (fields)
        TRY(arg_list(s, fields, &m->field, &m->n_fields));
    TRY(arg_text(s, args, "prefix", "", &m->prefix));
    TRY(arg_text(s, args, "under", "", &m->under));
    if (!m->under.n || (!m->n_fields && !m->prefix.n))
        return tree_error(args, "nest takes %s", s->type->args);
    return OK;
}

/* Whether the column goes into the object; those that stand in it already are put anew with them.
 * */
static bool is_nested(const struct mover *m, struct str name, struct str first)
{
    for (uint32_t i = 0; i < m->n_fields; i++)
        if (within(name, m->field[i]))
            return true;
    return m->prefix.n && first.n > m->prefix.n && str_starts(first, m->prefix);
}

static enum err run_nest(struct stage *s, struct step *st)
{
    const struct mover *m = s->state;
    uint32_t n = st->rows.n_columns, n_gone = 0;
    struct moving **moving = ARENA_ARRAY(st->arena, struct moving *, n + 1);
    struct str *gone = ARENA_ARRAY(st->arena, struct str, n + 1);
    bool any = false;
    for (uint32_t i = 0; i < n; i++) {
        struct moving *one = ARENA_NEW(st->arena, struct moving);
        struct str name = name_of(st, i);
        read_segments(st, st->rows.columns[i].path, one);
        bool inside = one->n_segments > 1 && str_eq(one->segment[0], m->under);
        if (!one->n_segments || one->n_segments + 1 >= DEPTH_MAX ||
            (!inside && !is_nested(m, name, one->segment[0])))
            continue;
        any = any || !inside;
        moving[i] = one;
        gone[n_gone++] = name;
        if (inside)
            continue;
        if (m->prefix.n && str_starts(one->segment[0], m->prefix))
            one->segment[0] = str_from(one->segment[0], m->prefix.n);
        memmove(one->segment + 1, one->segment, one->n_segments * sizeof(*one->segment));
        one->segment[0] = m->under;
        one->n_segments++;
    }
    return any ? move_all(st, moving, gone, n_gone) : OK;
}

/* ---- flatten ---- */

static enum err make_flatten(struct stage *s, const struct tree *args)
{
    static const char *const known[] = {"fields", "separator", "prefix", NULL};
    struct mover *m = ARENA_NEW(s->arena, struct mover);
    s->state = m;
    m->separator = STR(".");
    if (!args)
        return OK;
    if (args->kind != TREE_MAP)
        return arg_list(s, args, &m->field, &m->n_fields);
    TRY(tree_check_keys(args, known));
    const struct tree *fields = tree_get(args, "fields");
    m->has_prefix = tree_get(args, "prefix") != NULL;
    if (fields)
        TRY(arg_list(s, fields, &m->field, &m->n_fields));
    TRY(arg_text(s, args, "separator", ".", &m->separator));
    TRY(arg_text(s, args, "prefix", "", &m->prefix));
    if (m->has_prefix && !m->n_fields)
        return tree_error(args, "prefix stands for the names of `fields`, which lacks");
    return OK;
}

/* How many segments of the name the object is that the leaf is taken out of; 0: it stays. */
static uint32_t object_of(const struct mover *m, struct str name)
{
    if (!m->n_fields)
        return 1;
    for (uint32_t i = 0; i < m->n_fields; i++) {
        uint32_t n = 1;
        for (size_t k = 0; k < m->field[i].n; k++)
            n += m->field[i].p[k] == '.';
        if (within(name, m->field[i]) && name.n > m->field[i].n)
            return n;
    }
    return 0;
}

static void join_segments(struct step *st, const struct mover *m, struct moving *one, uint32_t from)
{
    struct buf key;
    buf_init(&key, SIZE_MAX);
    if (m->has_prefix)
        buf_put_str(&key, m->prefix);
    for (uint32_t i = m->has_prefix ? from : 0; i < one->n_segments; i++) {
        if (i > (m->has_prefix ? from : 0))
            buf_put_str(&key, m->separator);
        buf_put_str(&key, one->segment[i]);
    }
    one->segment[0] = arena_str(st->arena, buf_str(&key));
    one->n_segments = 1;
    buf_release(&key);
}

static enum err run_flatten(struct stage *s, struct step *st)
{
    const struct mover *m = s->state;
    uint32_t n = st->rows.n_columns, n_gone = 0;
    struct moving **moving = ARENA_ARRAY(st->arena, struct moving *, n + 1);
    struct str *gone = ARENA_ARRAY(st->arena, struct str, n + 1);
    for (uint32_t i = 0; i < n; i++) {
        struct moving *one = ARENA_NEW(st->arena, struct moving);
        struct str name = name_of(st, i);
        read_segments(st, st->rows.columns[i].path, one);
        uint32_t object = object_of(m, name);
        if (!object || one->n_segments <= object)
            continue;
        join_segments(st, m, one, object);
        moving[i] = one;
        gone[n_gone++] = name;
    }
    return move_all(st, moving, gone, n_gone);
}

static const struct stage_type nest_stage = {
    "nest", "under (a field), and fields (a list) or prefix", make_nest, run_nest, NULL};
static const struct stage_type flatten_stage = {"flatten", "fields (a list), separator, prefix",
                                                make_flatten, run_flatten, NULL};
const struct stage_type *const nest_stages[] = {&nest_stage, &flatten_stage, NULL};
