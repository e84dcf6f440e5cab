/* The growing dictionary of a batch: paths, columns and shapes, as a trie of tokens.
 *
 * A record is a walk down the trie, a step a token; where it ends stands its shape. Every step
 * remembers which step was taken behind it last, so that a record like the one before it is
 * followed by comparing keys alone; another way is found by hash; a new one grows the trie. Owner:
 * one batch. Bounds: shapes_next refuses past a few times the limits of record/type.h (the batch
 * judges a record by the limits themselves when it ends, and cuts what a refused one grew).
 * Numbers of steps, columns, nodes and shapes stay until shapes_clear or a cut. */
#ifndef WEIR_RECORD_SHAPES_H
#define WEIR_RECORD_SHAPES_H

#include "record/scan.h"
#include "record/type.h"

/* Kinds of steps beside the lanes. */
enum { STEP_OPEN = LANE_COUNT, STEP_CLOSE, STEP_NONE };
#define SHAPES_NONE UINT32_MAX
#define SHAPES_ROOT 1 /* the step before the first token; step 0 is none and matches nothing */

struct shapes_link { /* in a hash table */
    uint32_t hash, next;
};
struct shapes_table {
    uint32_t *bucket; /* index of the newest item, or SHAPES_NONE */
    uint32_t mask;
};

/* What a record is followed by that is like one before: small, for records of many shapes walk over
 * thousands of them. */
struct shapes_step {
    uint32_t key_off, key_n; /* in names; empty for STEP_CLOSE */
    uint32_t hot;            /* the child taken last, 0: none */
    uint32_t kind : 8;
    uint32_t column : 24; /* of a leaf */
};

struct shapes_way {          /* the rest of a step */
    struct shapes_link link; /* in the table, where its parent has `many` */
    uint32_t name_node;      /* the leaf's or the opened object's own node */
    uint32_t node;           /* the object the next token stands in */
    uint32_t parent;
    uint32_t shape;  /* of the records that end here, or SHAPES_NONE */
    uint32_t tokens; /* from the root to here */
    bool many;       /* children are in the table; else the only one is `hot` */
};

struct shapes_node { /* a place in the tree of keys; node 0 is the root object */
    struct shapes_link link;
    uint32_t parent, depth;
    uint32_t key_off, key_n;   /* in names */
    uint32_t path_off, path_n; /* in names; path_n 0: no leaf has asked for it yet */
};

struct shapes_column {
    struct shapes_link link;
    uint32_t node;
    uint16_t occ;
    uint8_t lane;
    uint8_t time_rank, id_rank; /* place in time_names and in log_id, _id; UINT8_MAX: none */
    uint32_t mark;              /* == shapes.mark: on the way to shapes.marked */
    uint32_t next_occ;          /* the column of the next occurrence, or SHAPES_NONE */
    uint32_t last_occ;          /* of occurrence 0: the highest known to be on the way ... */
    uint32_t last_mark;         /* ... where this is shapes.mark */
    uint64_t name_hash;
};

#define SHAPES_CANDIDATES 8
struct shapes_shape {
    uint32_t step;  /* its last */
    uint32_t token; /* place of its first one in shapes.token; their number is that of the step */
    uint32_t rows;  /* the batch's count */
    uint32_t id_column; /* or SHAPES_NONE */
    uint32_t n_time;
    uint32_t time_column[SHAPES_CANDIDATES]; /* columns that may hold its time, the best first */
};

struct shapes {
    struct shapes_step *step;
    struct shapes_way *way; /* of each step */
    struct shapes_node *node;
    struct shapes_column *column;
    struct shapes_shape *shape;
    uint32_t *token; /* of all shapes: columns, SHAPE_OPEN, SHAPE_CLOSE */
    char *names;
    uint32_t n_steps, n_nodes, n_columns, n_shapes, n_tokens;
    uint32_t n_linked; /* steps in the table */
    size_t names_n;
    size_t steps_cap, ways_cap, nodes_cap, columns_cap, shapes_cap, tokens_cap, names_cap;
    struct shapes_table steps, nodes, columns;
    uint32_t mark, marked; /* columns with this mark lead to step `marked` */
};

struct shapes_mark {
    uint32_t n_steps, n_nodes, n_columns, n_shapes, n_tokens;
    size_t names_n;
};

void shapes_init(struct shapes *s);
void shapes_release(struct shapes *s);
void shapes_clear(struct shapes *s);

/* The step behind `from` for a token: a lane with its key, STEP_OPEN with its key, STEP_CLOSE. 0
 * when a bound refuses it. STEP_CLOSE at the root is a BUG. */
uint32_t shapes_next(struct shapes *s, uint32_t from, struct str key, unsigned kind);
/* The same, where it is the one that was taken behind `from` last; else 0. */
static inline uint32_t shapes_hot(const struct shapes *s, uint32_t from, struct str key,
                                  unsigned kind)
{
    uint32_t hot = s->step[from].hot;
    const struct shapes_step *step = &s->step[hot];
    bool is_it = step->kind == kind && step->key_n == key.n &&
                 scan_equal(s->names + step->key_off, key.p, key.n);
    return is_it ? hot : 0;
}
/* The step of a whole record kept as JSON text. */
uint32_t shapes_whole(struct shapes *s);
/* The shape of the records that end at a step. */
uint32_t shapes_at(struct shapes *s, uint32_t step);
static inline struct str shapes_path(const struct shapes *s, uint32_t column)
{
    const struct shapes_node *n = &s->node[s->column[column].node];
    return (struct str){s->names + n->path_off, n->path_n};
}

static inline struct shape shapes_tokens(const struct shapes *s, uint32_t shape)
{
    const struct shapes_shape *of = &s->shape[shape];
    return (struct shape){s->token + of->token, s->way[of->step].tokens};
}

static inline struct shapes_mark shapes_mark(const struct shapes *s)
{
    return (struct shapes_mark){s->n_steps,  s->n_nodes,  s->n_columns,
                                s->n_shapes, s->n_tokens, s->names_n};
}
/* Forgets everything that was made since the mark. */
void shapes_cut(struct shapes *s, const struct shapes_mark *to);

#endif
