/* Nodes of the tree, made by the parser and by hand, and what a field's name means: a name of its
 * own, an alias with its candidates, a name of the row (_time, _stream, _id, ingested_at), a
 * pattern. */
#include "filter/filter_impl.h"

#include "record/batch.h"

const struct filter filter_all = {.kind = FILTER_ALL};

static bool is_pattern(struct str s)
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
    if (is_pattern(field))
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
