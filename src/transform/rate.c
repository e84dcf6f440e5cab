/* Stages that hold down how much comes, or leave it to chance: sample, throttle, choose.
 *
 * Chance is drawn from the arrival and the row's number, so that the same rows are drawn when they
 * come again; rates are those of the arrival times. */
#include "core/clock.h"
#include "core/hash.h"
#include "core/mem.h"
#include "transform/transform_impl.h"

/* ---- sample ---- */

enum { LEVELS_MAX = 16, SPIKE_LEAST = 1000, SPIKE_SECONDS = 60, SPIKE_TIMES = 5 };

struct level_share {
    struct str level;
    uint64_t share; /* of 2^32 */
};
struct sample {
    const struct filter *where; /* NULL: all */
    bool has_keep;
    uint64_t keep; /* of 2^32; of what no level is named for */
    struct level_share level[LEVELS_MAX];
    uint32_t n_levels;
    /* Only in a spike: more than so many a second, or so many times the mean of the last minute. */
    bool in_spike;
    double above, times;
    int64_t second; /* at hand */
    double count, mean;
    bool has_mean;
};

static enum err make_levels(struct stage *s, const struct tree *t, struct sample *p)
{
    if (t->kind != TREE_MAP || t->n > LEVELS_MAX)
        return tree_error(t, "levels: a map of levels and shares is wanted, such as {DEBUG: 10%%}");
    for (; p->n_levels < t->n; p->n_levels++) {
        struct level_share *l = &p->level[p->n_levels];
        struct str name = transform_level(t->key[p->n_levels].text);
        l->level = name;
        if (!name.n)
            return tree_error(&t->key[p->n_levels], "\"%.*s\" is no level",
                              STR_ARG(t->key[p->n_levels].text));
        TRY(arg_share(&t->item[p->n_levels], &l->share));
        if ((str_eq(name, STR("ERROR")) || str_eq(name, STR("FATAL"))) && l->share >> 32 == 0)
            return tree_error(&t->item[p->n_levels],
                              "%.*s is never dropped here: drop it by a query, with keep and where",
                              STR_ARG(name));
    }
    return OK;
}

/* "5x", "2000/s" */
static enum err make_spike(const struct tree *t, struct sample *p)
{
    struct str text = t->text;
    bool good = t->kind == TREE_TEXT;
    p->in_spike = true;
    if (good && str_ends(text, STR("/s"))) {
        good = str_to_f64(str_of(text.p, text.n - 2), &p->above) && p->above > 0;
    } else if (good && str_ends(text, STR("x"))) {
        p->above = SPIKE_LEAST;
        good = str_to_f64(str_of(text.p, text.n - 1), &p->times) && p->times > 1;
    } else {
        good = false;
    }
    return good ? OK : tree_error(t, "spike: a rate is wanted, such as 2000/s, or 5x the mean");
}

static void set_defaults(struct sample *p)
{
    const uint64_t tenth = (uint64_t)(0.1 * 4294967296.0);
    if (!p->in_spike && !p->has_keep && !p->n_levels) {
        p->in_spike = true;
        p->above = SPIKE_LEAST;
        p->times = SPIKE_TIMES;
    }
    if (!p->has_keep && !p->n_levels) {
        p->level[p->n_levels++] = (struct level_share){STR("TRACE"), tenth};
        p->level[p->n_levels++] = (struct level_share){STR("DEBUG"), tenth};
    }
}

static enum err make_sample(struct stage *s, const struct tree *args)
{
    static const char *const known[] = {"keep", "where", "levels", "spike", NULL};
    struct sample *p = ARENA_NEW(s->arena, struct sample);
    s->state = p;
    p->keep = (uint64_t)1 << 32;
    if (args && args->kind != TREE_MAP)
        return tree_error(args, "sample takes %s", s->type->args);
    if (args)
        TRY(tree_check_keys(args, known));
    const struct tree *keep = args ? tree_get(args, "keep") : NULL;
    const struct tree *where = args ? tree_get(args, "where") : NULL;
    const struct tree *levels = args ? tree_get(args, "levels") : NULL;
    const struct tree *spike = args ? tree_get(args, "spike") : NULL;
    p->has_keep = keep != NULL;
    if (keep)
        TRY(arg_share(keep, &p->keep));
    if (where)
        TRY(arg_filter(s, where, &p->where));
    if (levels)
        TRY(make_levels(s, levels, p));
    if (spike)
        TRY(make_spike(spike, p));
    set_defaults(p);
    return OK;
}

/* Counts the rows, and says whether they come in a spike. */
static bool is_spike(struct sample *p, const struct step *st)
{
    int64_t second = st->arrival_ns / NS_PER_S;
    if (second != p->second) {
        double silent = p->second ? (double)(second - p->second - 1) : 0;
        p->mean = p->has_mean ? p->mean + (p->count - p->mean) / SPIKE_SECONDS : p->count;
        p->has_mean = p->second != 0;
        for (int i = 0; i < silent && i < SPIKE_SECONDS; i++)
            p->mean -= p->mean / SPIKE_SECONDS;
        p->second = second;
        p->count = 0;
    }
    p->count += st->rows.n;
    double above = p->mean * p->times;
    return p->count > (above > p->above ? above : p->above);
}

static uint64_t share_of(const struct sample *p, struct str level)
{
    struct str usual = level.p ? transform_level(str_trim(level)) : STR("");
    bool kept = str_eq(usual, STR("ERROR")) || str_eq(usual, STR("FATAL"));
    for (uint32_t i = 0; i < p->n_levels; i++)
        if (str_eq(p->level[i].level, usual))
            return p->level[i].share;
    return p->n_levels && kept ? (uint64_t)1 << 32 : p->keep;
}

static enum err run_sample(struct stage *s, struct step *st)
{
    struct sample *p = s->state;
    uint64_t *bits;
    struct str *level = NULL;
    if (p->in_spike && !is_spike(p, st))
        return OK;
    TRY(step_match(st, p->where, &bits));
    if (p->n_levels)
        TRY(step_texts(st, STR("level"), &level));
    uint32_t *row = ARENA_ARRAY(st->arena, uint32_t, st->rows.n + 1), n = 0;
    for (uint32_t i = 0; i < st->rows.n; i++)
        if (!step_has(bits, i) || step_draw(st, i, 0) < (level ? share_of(p, level[i]) : p->keep))
            row[n++] = i;
    return step_select(st, row, n);
}

/* ---- throttle ---- */

enum { BUCKETS = 1 << 16 };

struct tokens {
    uint64_t key;
    double left;
    int64_t at_ns;
};
struct throttle {
    double rate, burst; /* a second; at once */
    struct str *by;
    uint32_t n_by;
    const struct filter *where;
    struct tokens *bucket; /* by the key's hash; a later key takes the place of an earlier one */
};

static enum err make_throttle(struct stage *s, const struct tree *args)
{
    static const char *const known[] = {"rate", "burst", "by", "where", NULL};
    struct throttle *p = ARENA_NEW(s->arena, struct throttle);
    const struct tree *rate = tree_get(args, "rate"), *by = tree_get(args, "by");
    const struct tree *where = tree_get(args, "where"), *burst = tree_get(args, "burst");
    int64_t per = NS_PER_S;
    struct str text, number;
    if (!args || args->kind != TREE_MAP || !rate || rate->kind != TREE_TEXT)
        return args ? tree_error(args, "throttle takes %s", s->type->args)
                    : err_set(ERR_INVALID, "throttle takes %s", s->type->args);
    s->state = p;
    TRY(tree_check_keys(args, known));
    text = rate->text;
    str_split(&text, '/', &number);
    if (text.n == 1) { /* "100/s": the unit of a duration */
        char one[3] = {'1', text.p[0], '\0'};
        text = arena_str(s->arena, str_c(one));
    }
    if (!str_to_f64(str_trim(number), &p->rate) || !(p->rate > 0) ||
        (text.n && (!str_to_duration_ns(text, &per) || per <= 0)))
        return tree_error(rate, "rate: so many in a time is wanted, such as 100/s or 1000/5m");
    p->burst = p->rate;
    p->rate /= (double)per / (double)NS_PER_S;
    if (burst &&
        (burst->kind != TREE_TEXT || !str_to_f64(burst->text, &p->burst) || !(p->burst >= 1)))
        return tree_error(burst, "burst: a number from 1 on is wanted");
    if (by)
        TRY(arg_list(s, by, &p->by, &p->n_by));
    if (where)
        TRY(arg_filter(s, where, &p->where));
    p->bucket = NEW_ARRAY(struct tokens, BUCKETS);
    return OK;
}

static void free_throttle(struct stage *s)
{
    mem_free(((struct throttle *)s->state)->bucket);
}

static bool take_token(struct throttle *p, uint64_t key, int64_t now)
{
    struct tokens *t = &p->bucket[key % BUCKETS];
    key = key ? key : 1;
    if (t->key != key)
        *t = (struct tokens){key, p->burst, now};
    if (now > t->at_ns) {
        t->left += (double)(now - t->at_ns) / (double)NS_PER_S * p->rate;
        t->left = t->left < p->burst ? t->left : p->burst;
        t->at_ns = now;
    }
    if (t->left < 1)
        return false;
    t->left--;
    return true;
}

static enum err run_throttle(struct stage *s, struct step *st)
{
    struct throttle *p = s->state;
    uint64_t *bits, *hash = ARENA_ARRAY(st->arena, uint64_t, st->rows.n + 1);
    uint32_t *row = ARENA_ARRAY(st->arena, uint32_t, st->rows.n + 1), n = 0;
    TRY(step_match(st, p->where, &bits));
    TRY(step_hash(st, p->by, p->n_by, hash));
    for (uint32_t i = 0; i < st->rows.n; i++)
        if (!step_has(bits, i) || take_token(p, hash[i], st->arrival_ns))
            row[n++] = i;
    return step_select(st, row, n);
}

/* ---- choose ---- */

struct choice {
    struct str field;
    const struct tree *value; /* a list */
};
struct choices {
    struct choice *choice;
    uint32_t n;
};

static enum err make_choose(struct stage *s, const struct tree *args)
{
    struct choices *c = ARENA_NEW(s->arena, struct choices);
    if (!args || args->kind != TREE_MAP || !args->n)
        return args ? tree_error(args, "choose takes %s", s->type->args)
                    : err_set(ERR_INVALID, "choose takes %s", s->type->args);
    s->state = c;
    c->choice = ARENA_ARRAY(s->arena, struct choice, args->n);
    for (; c->n < args->n; c->n++) {
        const struct tree *list = &args->item[c->n];
        struct tree *own = ARENA_NEW(s->arena, struct tree);
        if (list->kind != TREE_LIST || !list->n)
            return tree_error(list, "choose takes %s", s->type->args);
        *own = (struct tree){.kind = TREE_LIST, .n = list->n};
        own->item = ARENA_ARRAY(s->arena, struct tree, list->n);
        for (uint32_t i = 0; i < list->n; i++) {
            if (list->item[i].kind != TREE_TEXT)
                return tree_error(&list->item[i], "choose takes %s", s->type->args);
            own->item[i] = list->item[i];
            own->item[i].text = arena_str(s->arena, list->item[i].text);
        }
        c->choice[c->n] = (struct choice){arena_str(s->arena, args->key[c->n].text), own};
    }
    return OK;
}

static enum err run_choose(struct stage *s, struct step *st)
{
    const struct choices *c = s->state;
    for (uint32_t row = 0; row < st->rows.n; row++) {
        struct batch *b = step_begin(st, row);
        for (uint32_t i = 0; i < c->n; i++) {
            const struct choice *o = &c->choice[i];
            uint64_t drawn = step_draw(st, row, hash64(o->field));
            const struct tree *value = &o->value->item[drawn * o->value->n >> 32];
            if (value->quoted)
                batch_text(b, o->field, LANE_STR, value->text);
            else
                put_guess(b, o->field, value->text);
        }
        step_end(st, row);
    }
    return step_merge(st, false);
}

static const struct stage_type sample_stage = {
    "sample", "keep (a share), where (a query), levels (a map), spike (2000/s or 5x)", make_sample,
    run_sample, NULL};
static const struct stage_type throttle_stage = {
    "throttle", "rate (100/s), burst, by (a list), where (a query)", make_throttle, run_throttle,
    free_throttle};
static const struct stage_type choose_stage = {"choose", "a map of fields and lists of values",
                                               make_choose, run_choose, NULL};
const struct stage_type *const rate_stages[] = {&sample_stage, &throttle_stage, &choose_stage,
                                                NULL};
