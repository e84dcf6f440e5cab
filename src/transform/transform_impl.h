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

/* The text of a field in every row (p NULL: none): the first column of that name that holds text or
 * a number; an alias (message, level, ...) stands for its list. */
NODISCARD enum err step_texts(struct step *st, struct str field, struct str **ret);
/* The same, of this name alone. */
NODISCARD enum err step_texts_named(struct step *st, struct str field, struct str **ret);
/* A record beside row `row` (rows ascending): begin, fields by batch_*, end or cancel. */
struct batch *step_begin(struct step *st, uint32_t row);
void step_end(struct step *st, uint32_t row);
void step_cancel(struct step *st);
/* The side's fields take the place of those of the same names; a time that a side's record has of
 * its own becomes its row's, when `times`. */
NODISCARD enum err step_merge(struct step *st, bool times);
/* Only rows row[0..n) go on, ascending. */
NODISCARD enum err step_select(struct step *st, const uint32_t *row, uint32_t n);
/* The columns with any of the names, or within them, go. */
NODISCARD enum err step_remove(struct step *st, const struct str *name, uint32_t n);
/* A value of whatever kind the text looks like: number, true, false, or a text. */
void put_guess(struct batch *b, struct str key, struct str text);

/* Arguments. A list of texts, or one text. */
NODISCARD enum err arg_list(const struct stage *s, const struct tree *t, struct str **ret,
                            uint32_t *ret_n);
NODISCARD enum err arg_text(const struct stage *s, const struct tree *args, const char *key,
                            const char *def, struct str *ret);

#endif
