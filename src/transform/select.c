/* Stages that decide which records go on, and where: keep, drop, dedup, route. */
#include "core/clock.h"
#include "core/hash.h"
#include "core/mem.h"
#include "transform/transform_impl.h"

struct selector {
    const struct filter *where; /* NULL: all */
    struct str *field;          /* dedup: what makes records the same */
    uint32_t n_fields;
    int64_t window_ns;
    uint64_t *seen; /* dedup: hashes of the window, open addressing */
    size_t n_seen, n_slots;
    int64_t began_ns;
};

static enum err make_where(struct stage *s, const struct tree *args)
{
    struct selector *p = ARENA_NEW(s->arena, struct selector);
    if (!args)
        return err_set(ERR_INVALID, "%s takes %s", s->type->name, s->type->args);
    s->state = p;
    return arg_filter(s, args, &p->where);
}

static enum err select_where(struct stage *s, struct step *st, bool wanted)
{
    uint64_t *bits;
    TRY(step_match(st, ((struct selector *)s->state)->where, &bits));
    uint32_t *row = ARENA_ARRAY(st->arena, uint32_t, st->rows.n + 1), n = 0;
    for (uint32_t i = 0; i < st->rows.n; i++)
        if (step_has(bits, i) == wanted)
            row[n++] = i;
    return step_select(st, row, n);
}

static enum err run_keep(struct stage *s, struct step *st)
{
    return select_where(s, st, true);
}

static enum err run_drop(struct stage *s, struct step *st)
{
    return select_where(s, st, false);
}

/* ---- dedup ---- */

enum { DEDUP_MAX = 1 << 20 };

static enum err make_dedup(struct stage *s, const struct tree *args)
{
    static const char *const known[] = {"fields", "within", NULL};
    struct selector *p = ARENA_NEW(s->arena, struct selector);
    const struct tree *fields = tree_get(args, "fields");
    struct str within;
    if (!args || args->kind != TREE_MAP || !fields)
        return args ? tree_error(args, "dedup takes %s", s->type->args)
                    : err_set(ERR_INVALID, "dedup takes %s", s->type->args);
    s->state = p;
    TRY(tree_check_keys(args, known));
    TRY(arg_list(s, fields, &p->field, &p->n_fields));
    TRY(arg_text(s, args, "within", "1m", &within));
    if (!str_to_duration_ns(within, &p->window_ns) || p->window_ns <= 0)
        return tree_error(args, "within: a time is wanted, such as 30s");
    return OK;
}

static void free_dedup(struct stage *s)
{
    mem_free(((struct selector *)s->state)->seen);
}

/* Adds the hash; false when it was there. */
static bool add_seen(struct selector *p, uint64_t hash)
{
    size_t mask = p->n_slots - 1, at = hash & mask;
    hash = hash ? hash : 1;
    while (p->seen[at] && p->seen[at] != hash)
        at = (at + 1) & mask;
    if (p->seen[at])
        return false;
    p->seen[at] = hash;
    p->n_seen++;
    return true;
}

/* A new window: what was seen before it is forgotten. */
static void turn_window(struct selector *p, int64_t now_ns)
{
    if (p->seen && now_ns - p->began_ns < p->window_ns && now_ns >= p->began_ns &&
        p->n_seen < DEDUP_MAX / 2)
        return;
    if (!p->seen) {
        p->n_slots = DEDUP_MAX;
        p->seen = NEW_ARRAY(uint64_t, p->n_slots);
    }
    memset(p->seen, 0, p->n_slots * sizeof(*p->seen));
    p->n_seen = 0;
    p->began_ns = now_ns;
}

static enum err run_dedup(struct stage *s, struct step *st)
{
    struct selector *p = s->state;
    uint64_t *hash = ARENA_ARRAY(st->arena, uint64_t, st->rows.n + 1);
    uint32_t *row = ARENA_ARRAY(st->arena, uint32_t, st->rows.n + 1), n = 0;
    TRY(step_hash(st, p->field, p->n_fields, hash));
    for (uint32_t i = 0; i < st->rows.n; i++) {
        turn_window(p, st->arrival_ns);
        if (add_seen(p, hash[i]))
            row[n++] = i;
    }
    return step_select(st, row, n);
}

/* ---- route ---- */

struct way {
    const struct filter *where;
    struct str to;
};
struct ways {
    struct str field, rest;
    struct way *way;
    uint32_t n;
};

static enum err make_way(struct stage *s, const struct tree *t, struct way *ret)
{
    static const char *const known[] = {"where", "to", NULL};
    const struct tree *where = tree_get(t, "where");
    if (t->kind != TREE_MAP || !where || !tree_get(t, "to"))
        return tree_error(t, "a way is a map: {where: 'level:ERROR', to: errors}");
    TRY(tree_check_keys(t, known));
    TRY(arg_text(s, t, "to", "", &ret->to));
    return arg_filter(s, where, &ret->where);
}

static enum err make_route(struct stage *s, const struct tree *args)
{
    static const char *const known[] = {"field", "ways", "else", NULL};
    struct ways *w = ARENA_NEW(s->arena, struct ways);
    const struct tree *ways = args ? tree_get(args, "ways") : NULL;
    if (!args || args->kind != TREE_MAP || !ways || ways->kind != TREE_LIST)
        return args ? tree_error(args, "route takes %s", s->type->args)
                    : err_set(ERR_INVALID, "route takes %s", s->type->args);
    s->state = w;
    TRY(tree_check_keys(args, known));
    TRY(arg_text(s, args, "field", "route", &w->field));
    TRY(arg_text(s, args, "else", "", &w->rest));
    w->way = ARENA_ARRAY(s->arena, struct way, ways->n + 1);
    for (; w->n < ways->n; w->n++)
        TRY(make_way(s, &ways->item[w->n], &w->way[w->n]));
    return OK;
}

/* The field says which way is the first that a record matches. */
static enum err run_route(struct stage *s, struct step *st)
{
    const struct ways *w = s->state;
    struct str *to = ARENA_ARRAY(st->arena, struct str, st->rows.n + 1);
    for (uint32_t i = 0; i < w->n; i++) {
        uint64_t *bits;
        TRY(step_match(st, w->way[i].where, &bits));
        for (uint32_t row = 0; row < st->rows.n; row++)
            if (!to[row].p && step_has(bits, row))
                to[row] = w->way[i].to;
    }
    for (uint32_t row = 0; row < st->rows.n; row++) {
        struct str way = to[row].p ? to[row] : w->rest;
        if (!way.n)
            continue;
        batch_text(step_begin(st, row), w->field, LANE_STR, way);
        step_end(st, row);
    }
    return step_merge(st, false);
}

static const struct stage_type keep_stage = {"keep", "a query", make_where, run_keep, NULL};
static const struct stage_type drop_stage = {"drop", "a query", make_where, run_drop, NULL};
static const struct stage_type dedup_stage = {"dedup", "fields (a list), within (1m)", make_dedup,
                                              run_dedup, free_dedup};
static const struct stage_type route_stage = {
    "route", "ways (a list of {where: a query, to: a name}), field, else", make_route, run_route,
    NULL};
const struct stage_type *const select_stages[] = {&keep_stage, &drop_stage, &dedup_stage,
                                                  &route_stage, NULL};
