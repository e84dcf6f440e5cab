/* Looking inside objects that are kept as JSON text (LANE_JSON: records past the limits of shapes
 * or paths). Their leaves are seen as if each were a column: by the dotted name, with the lane that
 * its value has. Slow next to columns, and rare. Names are built in a buffer on the way down;
 * nothing is descended into that cannot hold the name asked for. */
#include "filter/eval.h"

#include "record/bitmap.h"
#include "record/json_walk.h"

#define DEPTH_MAX 256

struct inside {
    const struct predicate *p;
    enum name_test test;
    struct str name;
    struct buf path; /* dotted, of what is being looked at */
    struct buf room; /* of an unescaped string */
    bool match, has;
};

static bool name_fits(const struct inside *in, struct str path)
{
    switch (in->test) {
    case NAME_ANY:
        return true;
    case NAME_IS:
        return str_eq(path, in->name);
    case NAME_FITS:
        return filter_name_fits(in->name, path);
    }
    return false;
}

static enum err look_at_leaf(struct inside *in, const struct json_item *item)
{
    struct str path = buf_str(&in->path), text = item->text;
    /* An object exists where something in it does. */
    bool within =
        in->p->kind == PRED_EXISTS && in->test == NAME_IS && name_is_inside(path, in->name);
    bool is = name_fits(in, path);
    in->has = in->has || is;
    if (in->match || (!is && !within))
        return OK;
    if (item->lane == LANE_STR && json_walk_escaped(text)) {
        buf_clear(&in->room);
        json_walk_unescape(text, &in->room);
        text = buf_str(&in->room);
    }
    return predicate_match_text(in->p, item->lane, text, &in->match);
}

static bool may_hold(const struct inside *in)
{
    struct str path = buf_str(&in->path);
    return in->test != NAME_IS || name_is_inside(in->name, path) ||
           (in->p->kind == PRED_EXISTS &&
            (str_eq(path, in->name) || name_is_inside(path, in->name)));
}

static void push_key(struct inside *in, struct str key)
{
    if (in->path.n)
        buf_put_byte(&in->path, '.');
    json_walk_unescape(key, &in->path);
}

static enum err look_into(struct inside *in, struct str object, unsigned depth)
{
    struct json_walk w;
    struct json_item item;
    if (depth > DEPTH_MAX || !may_hold(in) || !json_walk_begin(&w, object))
        return OK;
    size_t path = in->path.n;
    while (json_walk_next(&w, &item)) {
        push_key(in, item.key);
        if (item.lane == LANE_JSON)
            TRY(look_into(in, item.text, depth + 1));
        else
            TRY(look_at_leaf(in, &item));
        in->path.n = path;
    }
    return OK;
}

static enum err look_at_column(struct eval *e, struct inside *in, uint32_t col, uint64_t *out,
                               uint64_t *has)
{
    const struct column *c = &e->rows->columns[col];
    struct values v;
    size_t words = bitmap_words(c->n) * sizeof(uint64_t);
    buf_clear(&in->path);
    path_name(c->path, &in->path);
    if (!may_hold(in))
        return OK;
    TRY(c->ops->values(c, e->arena, &v));
    memset(e->value_bits, 0, words);
    memset(e->value_bits2, 0, words);
    for (uint32_t i = 0; i < v.n; i++) {
        in->match = in->has = false;
        TRY(look_into(in, values_text(&v, i), 0));
        if (in->match)
            bitmap_set(e->value_bits, i);
        if (in->has)
            bitmap_set(e->value_bits2, i);
    }
    TRY(rows_spread(e->rows, col, e->value_bits, out));
    return has ? rows_spread(e->rows, col, e->value_bits2, has) : OK;
}

enum err eval_inside(struct eval *e, enum name_test test, struct str name,
                     const struct predicate *p, uint64_t *out, uint64_t *has)
{
    struct inside in = {.p = p, .test = test, .name = name};
    enum err err = OK;
    buf_init(&in.path, SIZE_MAX);
    buf_init(&in.room, SIZE_MAX);
    for (uint32_t i = 0; i < e->n_json && err == OK; i++)
        err = look_at_column(e, &in, e->json[i], out, has);
    buf_release(&in.path);
    buf_release(&in.room);
    return err;
}
