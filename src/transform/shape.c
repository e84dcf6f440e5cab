/* Stages that change which fields there are: set, rename, remove, only. */
#include "transform/transform_impl.h"

struct pair {
    struct str name;
    struct str value; /* set: the text; rename: the new name */
    bool text;        /* set: surely a text */
};
struct pairs {
    struct pair *pair;
    uint32_t n;
};

static enum err make_pairs(struct stage *s, const struct tree *args)
{
    struct pairs *p = ARENA_NEW(s->arena, struct pairs);
    if (!args || args->kind != TREE_MAP || !args->n)
        return args ? tree_error(args, "%s takes %s", s->type->name, s->type->args)
                    : err_set(ERR_INVALID, "%s takes %s", s->type->name, s->type->args);
    s->state = p;
    p->pair = ARENA_ARRAY(s->arena, struct pair, args->n);
    for (; p->n < args->n; p->n++) {
        const struct tree *v = &args->item[p->n];
        if (v->kind != TREE_TEXT)
            return tree_error(v, "%s takes %s", s->type->name, s->type->args);
        p->pair[p->n] = (struct pair){arena_str(s->arena, args->key[p->n].text),
                                      arena_str(s->arena, v->text), v->quoted};
    }
    return OK;
}

static enum err run_set(struct stage *s, struct step *st)
{
    const struct pairs *p = s->state;
    for (uint32_t row = 0; row < st->rows.n; row++) {
        struct batch *b = step_begin(st, row);
        for (uint32_t i = 0; i < p->n; i++) {
            if (p->pair[i].text)
                batch_text(b, p->pair[i].name, LANE_STR, p->pair[i].value);
            else
                put_guess(b, p->pair[i].name, p->pair[i].value);
        }
        step_end(st, row);
    }
    return step_merge(st, false);
}

/* ---- rename ---- */

struct moved {
    struct presence has;
    struct lane_values values;
    uint32_t at; /* of the next value */
};

/* Copies the columns of one name to the side under another; *ret: whether there are any. */
static enum err move_field(struct step *st, const struct pair *p, bool *ret)
{
    struct moved moved[LANE_COUNT * 2];
    uint32_t n = 0;
    for (uint32_t col = rows_find(&st->rows, p->name, 0); col != UINT32_MAX && n < LANE_COUNT * 2;
         col = rows_find(&st->rows, p->name, col + 1)) {
        const struct column *c = &st->rows.columns[col];
        struct moved *m = &moved[n++];
        *m = (struct moved){.at = 0};
        TRY(rows_presence(&st->rows, col, &m->has));
        TRY(lane_values_read(c, st->arena, &m->values));
    }
    for (uint32_t row = 0; n && row < st->rows.n; row++) {
        bool begun = false;
        for (uint32_t i = 0; i < n; i++) {
            if (!presence_has(&moved[i].has, row))
                continue;
            struct batch *b = begun ? st->side : step_begin(st, row);
            begun = true;
            lane_values_put(&moved[i].values, moved[i].at++, b, p->value);
        }
        if (begun)
            step_end(st, row);
    }
    *ret = n > 0;
    return OK;
}

static enum err run_rename(struct stage *s, struct step *st)
{
    const struct pairs *p = s->state;
    for (uint32_t i = 0; i < p->n; i++) {
        bool any;
        TRY(move_field(st, &p->pair[i], &any));
        if (!any)
            continue;
        TRY(step_remove(st, &p->pair[i].name, 1));
        TRY(step_merge(st, false));
    }
    return OK;
}

/* ---- remove, only ---- */

struct names {
    struct str *name;
    uint32_t n;
};

static enum err make_names(struct stage *s, const struct tree *args)
{
    struct names *n = ARENA_NEW(s->arena, struct names);
    if (!args)
        return err_set(ERR_INVALID, "%s takes %s", s->type->name, s->type->args);
    s->state = n;
    return arg_list(s, args, &n->name, &n->n);
}

static enum err run_remove(struct stage *s, struct step *st)
{
    const struct names *n = s->state;
    return step_remove(st, n->name, n->n);
}

static bool within(struct str name, const struct names *n)
{
    for (uint32_t i = 0; i < n->n; i++)
        if (str_starts(name, n->name[i]) && (name.n == n->name[i].n || name.p[n->name[i].n] == '.'))
            return true;
    return false;
}

static enum err run_only(struct stage *s, struct step *st)
{
    const struct names *n = s->state;
    struct str *others = ARENA_ARRAY(st->arena, struct str, st->rows.n_columns + 1);
    uint32_t n_others = 0;
    struct buf text;
    buf_init(&text, SIZE_MAX);
    for (uint32_t i = 0; i < st->rows.n_columns; i++) {
        buf_clear(&text);
        path_name(st->rows.columns[i].path, &text);
        if (!within(buf_str(&text), n))
            others[n_others++] = arena_str(st->arena, buf_str(&text));
    }
    buf_release(&text);
    return n_others ? step_remove(st, others, n_others) : OK;
}

static const struct stage_type set_stage = {"set", "a map of fields and values", make_pairs,
                                            run_set, NULL};
static const struct stage_type rename_stage = {"rename", "a map of old names and new ones",
                                               make_pairs, run_rename, NULL};
static const struct stage_type remove_stage = {"remove", "a list of fields", make_names, run_remove,
                                               NULL};
static const struct stage_type only_stage = {"only", "a list of fields", make_names, run_only,
                                             NULL};
const struct stage_type *const shape_stages[] = {&set_stage, &rename_stage, &remove_stage,
                                                 &only_stage, NULL};
