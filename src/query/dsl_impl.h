/* What the files of the DSL share; for nobody else. */
#ifndef WEIR_QUERY_DSL_IMPL_H
#define WEIR_QUERY_DSL_IMPL_H

#include "query/dsl.h"

typedef enum err dsl_reader(struct dsl *d, const json_t *body, const struct filter **ret);

/* dsl_text.c: what looks into texts. */
dsl_reader dsl_match, dsl_match_phrase, dsl_match_phrase_prefix, dsl_match_bool_prefix,
    dsl_multi_match, dsl_query_string, dsl_simple_query_string;

/* A growing list of filters. */
struct dsl_list {
    const struct filter **f;
    uint32_t n, cap;
};
NODISCARD enum err dsl_add(struct dsl *d, struct dsl_list *l, const struct filter *f);
/* All, or one, of them; of none: everything, or nothing. */
const struct filter *dsl_join(struct dsl *d, enum filter_kind kind, const struct dsl_list *l);
/* At least k of them. */
NODISCARD enum err dsl_at_least(struct dsl *d, const struct dsl_list *l, const json_t *minimum,
                                uint32_t otherwise, const struct filter **ret);
const struct filter *dsl_none(struct dsl *d);

#endif
