/* What the stages of a chain share. */
#ifndef WEIR_TRANSFORM_TRANSFORM_IMPL_H
#define WEIR_TRANSFORM_TRANSFORM_IMPL_H

#include "record/batch.h"
#include "record/json.h"
#include "transform/transform.h"

struct stage;
/* Rows on their way through the stages. */
struct step {
    struct rows rows;
    struct arena *arena;
    int64_t arrival_ns;
    int64_t *time; /* of the rows, where a stage has changed one; else NULL */
    uint64_t missed;
    /* The side under construction. */
    struct batch *side;
    uint32_t *side_of;
};

struct stage_type {
    const char *name;
    const char *args; /* for messages: what it takes */
    /* Reads the arguments (NULL: a bare name) into s->state, which lives in s->arena. */
    enum err (*make)(struct stage *s, const struct tree *args);
    enum err (*run)(struct stage *s, struct step *st);
    void (*free)(struct stage *s); /* may be NULL */
};

struct stage {
    const struct stage_type *type;
    struct arena *arena; /* the chain's */
    void *state;
    struct chain_stage counts;
};

extern const struct stage_type *const parse_stages[];  /* parse.c; all ended by NULL */
extern const struct stage_type *const mysql_stages[];  /* parse_mysql.c */
extern const struct stage_type *const shape_stages[];  /* shape.c */
extern const struct stage_type *const select_stages[]; /* select.c */
extern const struct stage_type *const value_stages[];  /* value.c */
extern const struct stage_type *const nest_stages[];   /* nest.c */
extern const struct stage_type *const rate_stages[];   /* rate.c */
extern const struct stage_type *const lookup_stages[]; /* lookup.c */
extern const struct stage_type *const time_stages[];   /* time.c */
extern const struct stage_type *const stamp_stages[];  /* stamp.c */
extern const struct stage_type *const join_stages[];   /* join.c */

/* The text of a field in every row (p NULL: none): the first column of that name that holds text or
 * a number; an alias (message, level, ...) stands for its list. */
NODISCARD enum err step_texts(struct step *st, struct str field, struct str **ret);
/* The same, of this name alone. */
NODISCARD enum err step_texts_named(struct step *st, struct str field, struct str **ret);
/* The same, of the columns of that name and lane. */
NODISCARD enum err step_texts_of_lane(struct step *st, struct str field, enum lane lane,
                                      struct str **ret);
/* Of each row a hash over the texts of the fields; `hash` is zeroed. */
NODISCARD enum err step_hash(struct step *st, const struct str *field, uint32_t n, uint64_t *hash);
/* A record beside row `row` (rows ascending): begin, fields by batch_*, end or cancel. */
struct batch *step_begin(struct step *st, uint32_t row);
void step_end(struct step *st, uint32_t row);
void step_cancel(struct step *st);
/* The side's fields take the place of those of the same names; a time that a side's record has of
 * its own becomes its row's, when `times`. */
NODISCARD enum err step_merge(struct step *st, bool times);
/* The rows that match, as a bitmap (where NULL: all). */
struct filter;
NODISCARD enum err step_match(struct step *st, const struct filter *where, uint64_t **ret);
static inline bool step_has(const uint64_t *bits, uint32_t row)
{
    return bits[row / 64] >> row % 64 & 1;
}
/* Chance: the same for the same row when it comes again. 0 to 2^32 - 1. */
uint64_t step_draw(const struct step *st, uint32_t row, uint64_t seed);
/* Only rows row[0..n) go on, ascending. */
NODISCARD enum err step_select(struct step *st, const uint32_t *row, uint32_t n);
/* The columns with any of the names, or within them, go. */
NODISCARD enum err step_remove(struct step *st, const struct str *name, uint32_t n);
/* The end of a parser: merges with times; `remove`: of the rows that were parsed the text that they
 * had under `from` (which may be an alias) goes, unless what was parsed has that name itself. */
NODISCARD enum err step_merge_parsed(struct step *st, struct str from, bool remove);
/* A value of whatever kind the text looks like: number, true, false, or a text. */
void put_guess(struct batch *b, struct str key, struct str text);

/* The values of a column, of whatever lane, to be put elsewhere. */
struct lane_values {
    enum lane lane;
    struct values v;
};
NODISCARD enum err lane_values_read(const struct column *c, struct arena *a,
                                    struct lane_values *ret);
void lane_values_put(const struct lane_values *m, uint32_t i, struct batch *b, struct str key);

/* The customary word (TRACE, DEBUG, INFO, WARN, ERROR, FATAL) for one of the many; n == 0: none. */
struct str transform_level(struct str word);

/* Arguments. A list of texts, or one text. */
NODISCARD enum err arg_list(const struct stage *s, const struct tree *t, struct str **ret,
                            uint32_t *ret_n);
NODISCARD enum err arg_filter(struct stage *s, const struct tree *t, const struct filter **ret);
/* A share, "10%" or 0.1, of 2^32. */
NODISCARD enum err arg_share(const struct tree *t, uint64_t *ret);
/* "s", "ms", "us" or "ns": nanoseconds of it. */
NODISCARD enum err arg_unit(const struct tree *t, int64_t *ret_ns);
NODISCARD enum err arg_text(const struct stage *s, const struct tree *args, const char *key,
                            const char *def, struct str *ret);

#endif
