/* Elasticsearch's query DSL: JSON to the trees that everything else here runs on. A query becomes a
 * filter, a search becomes a find, an aggregation becomes groups of it. There is no second engine:
 * what the trees cannot say is refused, with its place in the JSON.
 *
 * What a field's name stands for: "@timestamp" is _time, "_index" the stream, "x.keyword" is x. The
 * fields of the alias `message` are texts, looked into by words; all others are keywords: `term`,
 * `prefix`, `wildcard` and `regexp` see their whole value.
 *
 * Everything made lives in the arena; JSON is only read. Threads: pure functions. Bounds: nesting
 * and clauses, below; the JSON's size is its owner's. */
#ifndef WEIR_QUERY_DSL_H
#define WEIR_QUERY_DSL_H

#include "filter/filter.h"

#include <jansson.h>

enum {
    DSL_NESTING_MAX = 100,
    DSL_CLAUSES_MAX = 20000,
};

struct dsl {
    struct arena *arena;
    int64_t now_ns;
    unsigned depth, clauses;
    char path[256]; /* where in the JSON */
    size_t path_n;
};

void dsl_init(struct dsl *d, struct arena *arena, int64_t now_ns);
/* The value of "query"; NULL: everything. ERR_INVALID with the place. */
NODISCARD enum err dsl_query(struct dsl *d, const json_t *query, const struct filter **ret);
/* The parameters q, df and default_operator of a URL. */
NODISCARD enum err dsl_query_text(struct dsl *d, struct str q, struct str df, bool and_default,
                                  const struct filter **ret);
struct str dsl_field(struct str name, struct arena *arena);
/* Whether the field is looked into by words. */
bool dsl_is_text(struct str name);

/* ERR_INVALID: the place, then what is wrong. */
enum err dsl_fail(struct dsl *d, const char *fmt, ...) __attribute__((format(printf, 2, 3), cold));
/* Goes down into a member or element and back; a mark is what dsl_down answered. */
size_t dsl_down(struct dsl *d, const char *key);
size_t dsl_down_at(struct dsl *d, size_t index);
void dsl_up(struct dsl *d, size_t mark);
/* A string, number or boolean as text. */
NODISCARD enum err dsl_text(struct dsl *d, const json_t *value, struct str *ret);
NODISCARD enum err dsl_object(struct dsl *d, const json_t *value); /* it is one */
/* {name: body}, and nothing else. */
NODISCARD enum err dsl_only(struct dsl *d, const json_t *object, const char **ret_name,
                            json_t **ret_body);
NODISCARD enum err dsl_bool(struct dsl *d, const json_t *object, const char *name, bool *ret);

#endif
