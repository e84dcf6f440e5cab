/* Nodes of the tree, made by the parser and by hand, and what a field's name means: a name of its
 * own, an alias with its candidates, a name of the row (_time, _stream, _id, ingested_at), a
 * pattern. */
#include "filter/filter_impl.h"

#include "record/batch.h"

const struct filter filter_all = {.kind = FILTER_ALL};

bool filter_has_wildcard(struct str s)
{
    return str_find_byte(s, PATTERN_ANY, 0) < s.n || str_find_byte(s, PATTERN_ONE, 0) < s.n;
}

static enum filter_field kind_of(struct str field)
{
    static const struct {
        const char *name;
        enum filter_field kind;
    } known[] = {{"_time", FIELD_TIME},
                 {"_stream", FIELD_STREAM},
                 {"_id", FIELD_ID},
                 {"ingested_at", FIELD_ARRIVAL}};
    if (field.n == 0 || (field.n == 1 && field.p[0] == PATTERN_ANY))
        return FIELD_ANY;
    if (filter_has_wildcard(field))
        return FIELD_WILD;
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (str_eq_c(field, known[i].name))
            return known[i].kind;
    }
    return FIELD_NAME;
}

void filter_set_field(struct arena *a, struct filter *leaf, struct str field)
{
    leaf->field_kind = kind_of(field);
    leaf->field = leaf->field_kind == FIELD_ANY ? (struct str){0} : arena_str(a, field);
    const char *const *alias = alias_names(field);
    uint32_t n = 0;
    while (alias && alias[n])
        n++;
    struct str *name = ARENA_ARRAY(a, struct str, n + 1);
    for (uint32_t i = 0; i < n; i++)
        name[i] = str_c(alias[i]);
    if (!alias)
        name[n++] = leaf->field;
    leaf->name = name;
    leaf->n_names = n;
}

struct filter *filter_leaf(struct arena *a, struct str field)
{
    struct filter *leaf = ARENA_NEW(a, struct filter);
    leaf->kind = FILTER_LEAF;
    filter_set_field(a, leaf, field);
    return leaf;
}

const struct filter *filter_list(struct arena *a, enum filter_kind kind,
                                 const struct filter *const *child, uint32_t n)
{
    CHECK(n > 0);
    if (n == 1)
        return child[0];
    struct filter *f = ARENA_NEW(a, struct filter);
    const struct filter **copy = ARENA_ARRAY(a, const struct filter *, n);
    memcpy(copy, child, n * sizeof(*copy));
    f->kind = kind;
    f->child = copy;
    f->n = n;
    return f;
}

const struct filter *filter_not(struct arena *a, const struct filter *f)
{
    if (f->kind == FILTER_NOT)
        return f->child[0];
    struct filter *not = ARENA_NEW(a, struct filter);
    const struct filter **child = ARENA_ARRAY(a, const struct filter *, 1);
    child[0] = f;
    not ->kind = FILTER_NOT;
    not ->child = child;
    not ->n = 1;
    return not ;
}

const struct filter *filter_equal(struct arena *arena, struct str field, struct str value)
{
    struct filter *leaf = filter_leaf(arena, field);
    CHECK(predicate_equal(arena, value, &leaf->pred) == OK);
    return leaf;
}

const struct filter *filter_lacks(struct arena *arena, struct str field)
{
    struct filter *leaf = filter_leaf(arena, field);
    predicate_exists(&leaf->pred);
    return filter_not(arena, leaf);
}

bool filter_is_time_field(const struct filter *leaf)
{
    return leaf->field_kind == FIELD_TIME || leaf->field_kind == FIELD_ARRIVAL;
}

const struct filter *filter_everything(void)
{
    return &filter_all;
}

const struct filter *filter_exists(struct arena *a, struct str field)
{
    struct filter *leaf = filter_leaf(a, field);
    predicate_exists(&leaf->pred);
    return leaf->field_kind == FIELD_ANY ? &filter_all : leaf;
}

static bool only_any(struct str pattern)
{
    for (size_t i = 0; i < pattern.n; i++) {
        if (pattern.p[i] != PATTERN_ANY)
            return false;
    }
    return pattern.n > 0;
}

enum err filter_term(struct arena *a, struct str field, struct str pattern, int64_t now_ns,
                     const struct filter **ret)
{
    if (only_any(pattern)) {
        *ret = filter_exists(a, field);
        return OK;
    }
    struct filter *leaf = filter_leaf(a, field);
    struct predicate_bound low, high;
    *ret = leaf;
    if (pattern.n == 0)
        return predicate_equal(a, pattern, &leaf->pred);
    if (filter_is_time_field(leaf) && !filter_has_wildcard(pattern) &&
        predicate_bound_time(pattern, true, true, now_ns, &low) &&
        predicate_bound_time(pattern, true, false, now_ns, &high))
        return predicate_range(a, &low, &high, &leaf->pred);
    leaf->source = arena_str(a, pattern);
    return predicate_text(a, pattern, &leaf->pred);
}

const struct filter *filter_pattern(struct arena *a, struct str field, uint64_t id)
{
    struct filter *leaf = filter_leaf(a, field);
    predicate_pattern(id, &leaf->pred);
    return leaf;
}

enum err filter_regex(struct arena *a, struct str field, struct str pattern,
                      const struct filter **ret)
{
    struct filter *leaf = filter_leaf(a, field);
    *ret = leaf;
    return predicate_regex(a, pattern, &leaf->pred);
}

static enum err read_bound(struct arena *a, const struct filter *leaf, struct filter_bound b,
                           bool is_low, int64_t now_ns, struct predicate_bound *ret)
{
    *ret = (struct predicate_bound){0};
    if (!b.text.p)
        return OK;
    if (!filter_is_time_field(leaf))
        predicate_bound_init(a, b.text, b.inclusive, is_low, now_ns, ret);
    else if (!predicate_bound_time(b.text, b.inclusive, is_low, now_ns, ret))
        return err_set(ERR_INVALID, "'%.*s' is no time", b.text.n < 60 ? (int)b.text.n : 60,
                       b.text.p);
    return OK;
}

enum err filter_range(struct arena *a, struct str field, struct filter_bound low,
                      struct filter_bound high, int64_t now_ns, const struct filter **ret)
{
    struct filter *leaf = filter_leaf(a, field);
    struct predicate_bound from, to;
    TRY(read_bound(a, leaf, low, true, now_ns, &from));
    TRY(read_bound(a, leaf, high, false, now_ns, &to));
    *ret = leaf;
    return predicate_range(a, &from, &to, &leaf->pred);
}

const struct filter *filter_and(struct arena *arena, const struct filter *a, const struct filter *b)
{
    if (filter_is_all(a))
        return b;
    if (filter_is_all(b))
        return a;
    return filter_list(arena, FILTER_AND, (const struct filter *const[]){a, b}, 2);
}

bool filter_is_all(const struct filter *f)
{
    return f->kind == FILTER_ALL;
}

bool filter_is_lasting(const struct filter *f)
{
    if (f->kind == FILTER_LEAF)
        return f->pred.kind != PRED_RANGE || (!f->pred.low.is_time && !f->pred.high.is_time);
    for (uint32_t i = 0; i < f->n; i++)
        if (!filter_is_lasting(f->child[i]))
            return false;
    return f->kind != FILTER_NOT || filter_is_lasting(f->child[0]);
}

/* The usual glob: on a mismatch go back to the last '*' and let it take one byte more. */
bool filter_name_fits(struct str pattern, struct str name)
{
    size_t i = 0, j = 0, star = SIZE_MAX, from = 0;
    while (i < name.n) {
        if (j < pattern.n && pattern.p[j] == PATTERN_ANY) {
            star = j++;
            from = i;
        } else if (j < pattern.n && (pattern.p[j] == PATTERN_ONE || pattern.p[j] == name.p[i])) {
            /* '?' takes a whole character. */
            bool one = pattern.p[j++] == PATTERN_ONE;
            i++;
            while (one && i < name.n && ((uint8_t)name.p[i] & 0xc0) == 0x80)
                i++;
        } else if (star != SIZE_MAX) {
            j = star + 1;
            i = ++from;
        } else {
            return false;
        }
    }
    while (j < pattern.n && pattern.p[j] == PATTERN_ANY)
        j++;
    return j == pattern.n;
}
