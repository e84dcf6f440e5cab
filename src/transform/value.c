/* Stages that change values: level, convert, hash, redact. */
#include "core/clock.h"
#include "core/hash.h"
#include "transform/redact.h"
#include "transform/transform_impl.h"

#include <stdio.h>

/* ---- level ---- */

static enum err make_level(struct stage *s, const struct tree *args)
{
    if (args && args->kind != TREE_MAP)
        return tree_error(args, "level takes %s", s->type->args);
    static const char *const known[] = {"from", NULL};
    struct str *from = ARENA_NEW(s->arena, struct str);
    s->state = from;
    *from = STR("level");
    if (!args)
        return OK;
    TRY(tree_check_keys(args, known));
    return arg_text(s, args, "from", "level", from);
}

struct str transform_level(struct str word)
{
    static const struct {
        const char *word, *usual;
    } words[] = {
        {"trace", "TRACE"}, {"trc", "TRACE"},        {"finest", "TRACE"},  {"debug", "DEBUG"},
        {"dbg", "DEBUG"},   {"fine", "DEBUG"},       {"verbose", "DEBUG"}, {"d", "DEBUG"},
        {"info", "INFO"},   {"information", "INFO"}, {"inf", "INFO"},      {"i", "INFO"},
        {"notice", "INFO"}, {"log", "INFO"},         {"warn", "WARN"},     {"warning", "WARN"},
        {"wrn", "WARN"},    {"w", "WARN"},           {"error", "ERROR"},   {"err", "ERROR"},
        {"e", "ERROR"},     {"severe", "ERROR"},     {"fatal", "FATAL"},   {"critical", "FATAL"},
        {"crit", "FATAL"},  {"alert", "FATAL"},      {"emerg", "FATAL"},   {"emergency", "FATAL"},
        {"panic", "FATAL"}, {"f", "FATAL"},          {"7", "DEBUG"},       {"6", "INFO"},
        {"5", "INFO"},      {"4", "WARN"},           {"3", "ERROR"},       {"2", "FATAL"},
        {"1", "FATAL"},     {"0", "FATAL"},          {"10", "TRACE"},      {"20", "DEBUG"},
        {"30", "INFO"},     {"40", "WARN"},          {"50", "ERROR"},      {"60", "FATAL"},
    };
    for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
        if (str_ieq(word, str_c(words[i].word)))
            return str_c(words[i].usual);
    return STR("");
}

static enum err run_level(struct stage *s, struct step *st)
{
    struct str *text;
    TRY(step_texts(st, *(struct str *)s->state, &text));
    for (uint32_t row = 0; row < st->rows.n; row++) {
        struct str usual = text[row].p ? transform_level(str_trim(text[row])) : STR("");
        st->missed += !usual.n;
        if (!usual.n || str_eq(usual, text[row]))
            continue;
        batch_text(step_begin(st, row), STR("level"), LANE_STR, usual);
        step_end(st, row);
    }
    return step_merge(st, false);
}

/* ---- convert ---- */

enum type { TO_INT, TO_FLOAT, TO_BOOL, TO_TEXT };
struct conversion {
    struct str field;
    enum type to;
};
struct conversions {
    struct conversion *item;
    uint32_t n;
};

static enum err make_convert(struct stage *s, const struct tree *args)
{
    static const char *const types[] = {"int", "float", "bool", "string", NULL};
    struct conversions *c = ARENA_NEW(s->arena, struct conversions);
    if (!args || args->kind != TREE_MAP)
        return args ? tree_error(args, "convert takes %s", s->type->args)
                    : err_set(ERR_INVALID, "convert takes %s", s->type->args);
    s->state = c;
    c->item = ARENA_ARRAY(s->arena, struct conversion, args->n + 1);
    for (; c->n < args->n; c->n++) {
        const struct tree *t = &args->item[c->n];
        unsigned i = 0;
        while (types[i] && !(t->kind == TREE_TEXT && str_eq_c(t->text, types[i])))
            i++;
        if (!types[i])
            return tree_error(t, "int, float, bool or string is wanted");
        c->item[c->n] =
            (struct conversion){arena_str(s->arena, args->key[c->n].text), (enum type)i};
    }
    return OK;
}

static bool put_as(struct step *st, uint32_t row, const struct conversion *c, struct str text)
{
    int64_t i;
    double d;
    bool yes = str_ieq(text, STR("true")) || str_ieq(text, STR("yes")) || str_eq(text, STR("1"));
    bool no = str_ieq(text, STR("false")) || str_ieq(text, STR("no")) || str_eq(text, STR("0"));
    text = str_trim(text);
    if ((c->to == TO_INT && !str_to_i64(text, &i) && !str_to_f64(text, &d)) ||
        (c->to == TO_FLOAT && !str_to_f64(text, &d)) || (c->to == TO_BOOL && !yes && !no))
        return false;
    struct batch *b = step_begin(st, row);
    if (c->to == TO_INT && str_to_i64(text, &i))
        batch_int(b, c->field, i);
    else if (c->to == TO_INT && d > -9e18 && d < 9e18)
        batch_int(b, c->field, (int64_t)d);
    else if (c->to == TO_FLOAT && d - d == 0)
        batch_dbl(b, c->field, d);
    else if (c->to == TO_BOOL)
        batch_bool(b, c->field, yes);
    else
        batch_text(b, c->field, LANE_STR, text);
    step_end(st, row);
    return true;
}

static enum err run_convert(struct stage *s, struct step *st)
{
    const struct conversions *c = s->state;
    for (uint32_t i = 0; i < c->n; i++) {
        struct str *text;
        TRY(step_texts_named(st, c->item[i].field, &text));
        for (uint32_t row = 0; row < st->rows.n; row++)
            if (text[row].p && !put_as(st, row, &c->item[i], text[row]))
                st->missed++;
        TRY(step_merge(st, false));
    }
    return OK;
}

/* ---- hash ---- */

struct hashing {
    struct str *field;
    uint32_t n;
    struct str key;
};

static enum err make_hash(struct stage *s, const struct tree *args)
{
    static const char *const known[] = {"fields", "key", NULL};
    struct hashing *h = ARENA_NEW(s->arena, struct hashing);
    const struct tree *fields = tree_get(args, "fields");
    if (!args || args->kind != TREE_MAP || !fields)
        return args ? tree_error(args, "hash takes %s", s->type->args)
                    : err_set(ERR_INVALID, "hash takes %s", s->type->args);
    s->state = h;
    TRY(tree_check_keys(args, known));
    TRY(arg_list(s, fields, &h->field, &h->n));
    return arg_text(s, args, "key", "", &h->key);
}

static enum err run_hash(struct stage *s, struct step *st)
{
    const struct hashing *h = s->state;
    uint64_t seed = hash64(h->key);
    for (uint32_t i = 0; i < h->n; i++) {
        struct str *text;
        TRY(step_texts_named(st, h->field[i], &text));
        for (uint32_t row = 0; row < st->rows.n; row++) {
            char hex[24];
            if (!text[row].p)
                continue;
            int n = snprintf(hex, sizeof(hex), "%016llx",
                             (unsigned long long)hash64_seed(text[row], seed));
            batch_text(step_begin(st, row), h->field[i], LANE_STR, str_of(hex, (size_t)n));
            step_end(st, row);
        }
        TRY(step_merge(st, false));
    }
    return OK;
}

/* ---- redact ---- */

struct redaction {
    struct str *field; /* n == 0: every text */
    uint32_t n;
    struct redactor *redactor;
};

static enum err make_redact(struct stage *s, const struct tree *args)
{
    static const char *const known[] = {"fields", "what", "patterns", "with", NULL};
    struct redaction *r = ARENA_NEW(s->arena, struct redaction);
    const struct tree *what = tree_get(args, "what"), *patterns = tree_get(args, "patterns");
    const struct tree *fields = tree_get(args, "fields");
    struct redactor_options o = {.with = STR("***")};
    s->state = r;
    if (args && args->kind != TREE_MAP)
        what = args;
    else if (args)
        TRY(tree_check_keys(args, known));
    if (what)
        TRY(arg_list(s, what, &o.what, &o.n_what));
    if (patterns)
        TRY(arg_list(s, patterns, &o.pattern, &o.n_patterns));
    if (fields)
        TRY(arg_list(s, fields, &r->field, &r->n));
    if (args && args->kind == TREE_MAP)
        TRY(arg_text(s, args, "with", "***", &o.with));
    enum err err = redactor_new(&o, &r->redactor);
    return err == OK || !args ? err : tree_error(what ? what : args, "%s", err_text());
}

static void free_redact(struct stage *s)
{
    redactor_free(((struct redaction *)s->state)->redactor);
}

/* Where there may be something: all values of a lane under a name. */
struct target {
    struct str name;
    enum lane lane;
};

static bool redact_value(struct redaction *r, const struct target *t, struct str text,
                         struct str *ret)
{
    if (t->lane == LANE_ARR || t->lane == LANE_JSON)
        return redactor_clean_json(r->redactor, text, ret);
    if (redactor_hides(r->redactor, t->name, ret))
        return true;
    /* A pattern of one's own is for texts, and for the numbers of fields that are named. */
    return lane_is_number(t->lane) && !r->n ? redactor_clean_number(r->redactor, text, ret)
                                            : redactor_clean(r->redactor, text, ret);
}

static enum err redact_target(struct redaction *r, struct step *st, const struct target *t)
{
    struct str *text;
    enum lane lane = lane_is_number(t->lane) ? LANE_STR : t->lane;
    TRY(step_texts_of_lane(st, t->name, t->lane, &text));
    for (uint32_t row = 0; row < st->rows.n; row++) {
        struct str clean;
        if (!text[row].p || !redact_value(r, t, text[row], &clean))
            continue;
        batch_text(step_begin(st, row), t->name, lane, clean);
        step_end(st, row);
    }
    return step_merge(st, false);
}

static bool is_wanted(const struct redaction *r, const struct column *c, struct str name)
{
    bool wanted = !r->n;
    if (c->occ || !c->path.n || !(lane_is_text(c->lane) || lane_is_number(c->lane)))
        return false;
    for (uint32_t i = 0; i < r->n; i++)
        wanted = wanted || str_eq(r->field[i], name);
    return wanted;
}

static uint32_t find_targets(const struct redaction *r, struct step *st, struct target **ret)
{
    struct target *t = ARENA_ARRAY(st->arena, struct target, st->rows.n_columns + 1);
    uint32_t n = 0;
    struct buf text;
    buf_init(&text, SIZE_MAX);
    for (uint32_t i = 0; i < st->rows.n_columns; i++) {
        const struct column *c = &st->rows.columns[i];
        buf_clear(&text);
        path_name(c->path, &text);
        if (is_wanted(r, c, buf_str(&text)))
            t[n++] = (struct target){arena_str(st->arena, buf_str(&text)), (enum lane)c->lane};
    }
    buf_release(&text);
    *ret = t;
    return n;
}

static enum err run_redact(struct stage *s, struct step *st)
{
    struct target *t;
    uint32_t n = find_targets(s->state, st, &t);
    for (uint32_t i = 0; i < n; i++)
        TRY(redact_target(s->state, st, &t[i]));
    return OK;
}

static const struct stage_type level_stage = {"level", "from", make_level, run_level, NULL};
static const struct stage_type convert_stage = {
    "convert", "a map of fields and int, float, bool or string", make_convert, run_convert, NULL};
static const struct stage_type hash_stage = {"hash", "fields (a list), key", make_hash, run_hash,
                                             NULL};
static const struct stage_type redact_stage = {
    "redact", "a list of cards, emails, tokens; or what, patterns, fields, with", make_redact,
    run_redact, free_redact};
const struct stage_type *const value_stages[] = {&level_stage, &convert_stage, &hash_stage,
                                                 &redact_stage, NULL};
