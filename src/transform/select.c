/* Stages that decide which records go on: keep, drop, sample, dedup. What depends on chance draws
 * from the arrival and the row's number, so that the same rows are drawn when they come again. */
#include "core/clock.h"
#include "core/hash.h"
#include "core/mem.h"
#include "filter/filter.h"
#include "record/bitmap.h"
#include "transform/transform_impl.h"

#define WORDS(n) (((size_t)(n) + 63) / 64)

struct selector {
    const struct filter *where; /* NULL: all */
    uint64_t rate;              /* of 2^32: what goes on */
    struct str *field;          /* dedup: what makes records the same */
    uint32_t n_fields;
    int64_t window_ns;
    uint64_t *seen; /* dedup: hashes of the window, open addressing */
    size_t n_seen, n_slots;
    int64_t began_ns;
};

static enum err make_filter(struct stage *s, const struct tree *t, const struct filter **ret)
{
    struct filter_options o = {.now_ns = clock_now_ns()};
    if (t->kind != TREE_TEXT)
        return tree_error(t, "%s: a query is wanted, such as 'level:DEBUG'", s->type->name);
    struct str text = arena_str(s->arena, t->text);
    enum err err = filter_parse(text, &o, s->arena, ret, NULL, NULL);
    return err == OK ? OK : tree_error(t, "%s", err_text());
}

static enum err make_where(struct stage *s, const struct tree *args)
{
    struct selector *p = ARENA_NEW(s->arena, struct selector);
    if (!args)
        return err_set(ERR_INVALID, "%s takes %s", s->type->name, s->type->args);
    s->state = p;
    return make_filter(s, args, &p->where);
}

static enum err match(const struct selector *p, struct step *st, uint64_t **ret)
{
    uint64_t *bits = ARENA_ARRAY(st->arena, uint64_t, WORDS(st->rows.n) + 1);
    if (p->where)
        TRY(filter_eval(p->where, &st->rows, st->arena, bits));
    else
        memset(bits, 0xff, WORDS(st->rows.n) * sizeof(*bits));
    *ret = bits;
    return OK;
}

static bool has(const uint64_t *bits, uint32_t row)
{
    return bits[row / 64] >> row % 64 & 1;
}

static enum err select_where(struct stage *s, struct step *st, bool wanted)
{
    uint64_t *bits;
    TRY(match(s->state, st, &bits));
    uint32_t *row = ARENA_ARRAY(st->arena, uint32_t, st->rows.n + 1), n = 0;
    for (uint32_t i = 0; i < st->rows.n; i++)
        if (has(bits, i) == wanted)
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

/* ---- sample ---- */

static enum err make_sample(struct stage *s, const struct tree *args)
{
    static const char *const known[] = {"keep", "where", NULL};
    struct selector *p = ARENA_NEW(s->arena, struct selector);
    const struct tree *keep = tree_get(args, "keep"), *where = tree_get(args, "where");
    double share = 0;
    if (!args || args->kind != TREE_MAP || !keep)
        return args ? tree_error(args, "sample takes %s", s->type->args)
                    : err_set(ERR_INVALID, "sample takes %s", s->type->args);
    s->state = p;
    TRY(tree_check_keys(args, known));
    struct str text = keep->text;
    bool percent = keep->kind == TREE_TEXT && text.n > 1 && text.p[text.n - 1] == '%';
    text.n -= percent;
    if (keep->kind != TREE_TEXT || !str_to_f64(str_trim(text), &share) || share < 0 ||
        share > (percent ? 100 : 1))
        return tree_error(keep, "keep: a share is wanted, such as 10%% or 0.1");
    p->rate = (uint64_t)((percent ? share / 100 : share) * 4294967296.0);
    return where ? make_filter(s, where, &p->where) : OK;
}

static enum err run_sample(struct stage *s, struct step *st)
{
    const struct selector *p = s->state;
    uint64_t *bits;
    TRY(match(p, st, &bits));
    uint32_t *row = ARENA_ARRAY(st->arena, uint32_t, st->rows.n + 1), n = 0;
    for (uint32_t i = 0; i < st->rows.n; i++) {
        uint64_t drawn = hash_mix(hash_mix((uint64_t)st->arrival_ns) + i) & 0xffffffff;
        if (!has(bits, i) || drawn < p->rate)
            row[n++] = i;
    }
    return step_select(st, row, n);
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
    for (uint32_t f = 0; f < p->n_fields; f++) {
        struct str *text;
        TRY(step_texts(st, p->field[f], &text));
        for (uint32_t i = 0; i < st->rows.n; i++)
            hash[i] = text[i].p ? hash64_seed(text[i], hash[i] + 1) : hash_mix(hash[i] + 2);
    }
    for (uint32_t i = 0; i < st->rows.n; i++) {
        turn_window(p, st->arrival_ns);
        if (add_seen(p, hash[i]))
            row[n++] = i;
    }
    return step_select(st, row, n);
}

static const struct stage_type keep_stage = {"keep", "a query", make_where, run_keep, NULL};
static const struct stage_type drop_stage = {"drop", "a query", make_where, run_drop, NULL};
static const struct stage_type sample_stage = {"sample", "keep (a share), where (a query)",
                                               make_sample, run_sample, NULL};
static const struct stage_type dedup_stage = {"dedup", "fields (a list), within (1m)", make_dedup,
                                              run_dedup, free_dedup};
const struct stage_type *const select_stages[] = {&keep_stage, &drop_stage, &sample_stage,
                                                  &dedup_stage, NULL};
