/* "fields" of a hit: the record's leaves by their dotted names, each with an array of its values.
 */
#include "api/es.h"

#include "core/clock.h"
#include "query/dsl_search.h"
#include "record/json.h"
#include "record/json_walk.h"
#include "record/timestamp.h"

enum { LEAVES_MAX = 10000, DEPTH_MAX = 64 };

struct leaf {
    struct str name;
    struct str value; /* JSON */
    bool array;
};

struct flattening {
    struct arena *arena;
    const struct dsl_search *search;
    struct leaf *leaf;
    uint32_t n, cap;
    struct buf name;
};

static bool is_wanted(const struct dsl_search *s, struct str name)
{
    for (uint32_t i = 0; i < s->n_fields; i++) {
        struct str pattern = s->field[i].pattern;
        if (str_glob(pattern, name))
            return true;
        /* x.keyword is x */
        if (pattern.n > 8 && str_ends(pattern, STR(".keyword")) &&
            str_eq(str_of(pattern.p, pattern.n - 8), name))
            return true;
    }
    return false;
}

static void add_leaf(struct flattening *f, const struct json_item *item)
{
    if (item->lane == LANE_NULL || item->lane == LANE_OBJ || f->n == LEAVES_MAX ||
        !is_wanted(f->search, buf_str(&f->name)))
        return;
    if (f->n == f->cap) {
        uint32_t cap = f->cap ? f->cap * 2 : 64;
        struct leaf *grown = ARENA_ARRAY(f->arena, struct leaf, cap);
        if (f->n)
            memcpy(grown, f->leaf, f->n * sizeof(*grown));
        f->leaf = grown;
        f->cap = cap;
    }
    struct str value = item->text;
    if (item->lane == LANE_STR) /* with its quotes */
        value = str_of(value.p - 1, value.n + 2);
    f->leaf[f->n++] =
        (struct leaf){arena_str(f->arena, buf_str(&f->name)), value, item->lane == LANE_ARR};
}

static void flatten(struct flattening *f, struct str object, unsigned depth)
{
    struct json_walk w;
    struct json_item item;
    size_t prefix = f->name.n;
    if (!json_walk_begin(&w, object))
        return;
    while (json_walk_next(&w, &item)) {
        f->name.n = prefix;
        if (prefix)
            buf_put_byte(&f->name, '.');
        buf_put_str(&f->name, json_walk_text(item.key, f->arena));
        if (item.lane == LANE_JSON && depth < DEPTH_MAX)
            flatten(f, item.text, depth + 1);
        else
            add_leaf(f, &item);
    }
    f->name.n = prefix;
}

static void put_time(struct buf *out, const struct dsl_search *s, const struct hit *hit)
{
    char text[TIME_TEXT_MAX];
    bool millis = false;
    for (uint32_t i = 0; i < s->n_fields; i++)
        millis |= s->field[i].millis && str_eq_c(s->field[i].pattern, "@timestamp");
    buf_put_c(out, "\"@timestamp\":[\"");
    if (millis)
        buf_put_i64(out, hit->order.time / NS_PER_MS);
    else
        buf_put(out, text, time_rfc3339(hit->order.time, text));
    buf_put_c(out, "\"]");
}

void es_put_fields(struct buf *out, const struct dsl_search *s, const struct hit *hit,
                   struct str record, struct arena *arena)
{
    struct flattening f = {.arena = arena, .search = s};
    bool any = is_wanted(s, STR("@timestamp"));
    buf_init(&f.name, SIZE_MAX);
    flatten(&f, record, 0);
    buf_put_c(out, ",\"fields\":{");
    if (any)
        put_time(out, s, hit);
    for (uint32_t i = 0; i < f.n; i++) {
        const struct leaf *l = &f.leaf[i];
        if (str_eq_c(l->name, "@timestamp"))
            continue;
        if (any)
            buf_put_byte(out, ',');
        any = true;
        json_put_string(out, l->name);
        buf_put_c(out, l->array ? ":" : ":[");
        buf_put_str(out, l->value);
        if (!l->array)
            buf_put_byte(out, ']');
    }
    buf_put_byte(out, '}');
    buf_release(&f.name);
}
