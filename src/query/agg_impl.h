/* What the files of aggregation share: agg.c (groups, states, merging), agg_codes.c (which group a
 * row belongs to), agg_result.c (reading out),
 * agg_patterns.c (what `patterns` adds). Owner: as agg.h. */
#ifndef WEIR_QUERY_AGG_IMPL_H
#define WEIR_QUERY_AGG_IMPL_H

#include "core/governor.h"
#include "query/agg.h"
#include "query/exact.h"
#include "query/field.h"

#include <math.h>

struct value_set {
    struct scalar *item;
    uint32_t *slot; /* item + 1 */
    uint32_t n, cap, slots;
};

struct state {
    uint64_t n;   /* values seen */
    void *sketch; /* quantile, distinct, value_set, examples, kept rows */
    union {
        struct { /* SUM, AVG */
            struct exact sum;
            bool real; /* some were no integers */
        };
        struct {                /* MIN, MAX, FIRST, LAST */
            struct scalar best; /* its text is in `text` */
            char *text;
            size_t text_cap;
            struct row_order order;
        };
    };
};

struct group {
    uint64_t hash;
    struct str key;
    struct state state[];
};

struct agg_table {
    const struct pipe *pipe;
    struct arena arena;
    struct reservation res;
    struct group **group;
    uint32_t *slot; /* group + 1 */
    uint32_t n, cap, slots;
};

#define CODE_NONE UINT32_MAX

/* The selected rows of a block, and the groups they belong to. */
struct fold {
    struct agg_table *t;
    struct rows *rows;
    const uint32_t *row;
    uint32_t n;
    struct arena *scratch;
    /* Of selected row i: code[i], CODE_NONE for none; with `begin`, code[begin[i]] up to
     * code[begin[i + 1]]. */
    const uint32_t *code, *begin;
    uint32_t n_codes;
    struct group **group; /* by code; NULL where `count` is 0 */
    uint32_t *count;      /* rows, by code */
};

/* The group of a key, made where it is new; NULL when the memory is used up. */
struct group *agg_group(struct agg_table *t, struct str key);
/* Makes room for so many groups at once; false when the memory is used up. */
bool agg_room(struct agg_table *t, uint64_t groups);
enum err agg_too_large(const struct agg_table *t);
/* Gives every selected row the codes of its groups (not where counts are all that is wanted: code
 * is then not set), and each code its group and count. */
NODISCARD enum err agg_codes(struct fold *f, bool only_counts);
/* Where counts by one field are all that is wanted and a column keeps a tally: adds it. *ret: that
 * was so. */
NODISCARD enum err agg_tally(struct fold *f, bool *ret);
/* The one column that gives each of the rows its value, where there is but one that may: *ret
 * NULL: there is none; n == 0: no column bears the name. */
NODISCARD enum err agg_only_column(struct rows *rows, struct str name, const struct column **ret,
                                   uint32_t *ret_number);

/* Adds a time to the state of a MIN or MAX of times. */
void agg_add_time(const struct agg_spec *spec, struct state *s, int64_t ns);

/* agg_patterns.c. Of a whole block that is asked for nothing but its patterns, what is known of
 * them is added. *ret: that was so. */
NODISCARD enum err agg_patterns(struct fold *f, bool *ret);
/* The examples of the groups of a block's rows. */
NODISCARD enum err fold_examples(struct fold *f, uint32_t agg);
size_t examples_merge(const struct agg_spec *spec, struct state *into, const struct state *from);
void examples_release(void *examples);
void examples_put(struct batch *b, struct str name, const struct state *s);
/* Whether `new_since` lets the group in. */
bool patterns_wanted(const struct pipe *pipe, const struct group *g);
/* The members `id` and `query` of a pattern's row. */
void patterns_put_id(struct batch *b, const struct group *g);
void patterns_put_query(struct batch *b, const struct pipe *pipe, const struct group *g);

/* Adds one state to another; returns the bytes that it grew by. */
size_t agg_merge_state(const struct agg_spec *spec, struct state *into, const struct state *from);
/* A state's result, as a member of the record that the batch has begun; and as a number, NaN where
 * it is none. */
void agg_put_result(struct batch *b, struct str name, const struct agg_spec *spec,
                    const struct state *s);
double agg_number(const struct agg_spec *spec, const struct state *s);
/* The next cell of a group's key. A time bin comes as an INT with `scale` 1. */
struct scalar agg_cell(struct reader *r);

#endif
