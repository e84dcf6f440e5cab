/* What batch.c and batch_append.c share of a batch; for nobody else. */
#ifndef WEIR_RECORD_BATCH_IMPL_H
#define WEIR_RECORD_BATCH_IMPL_H

#include "core/mem.h"
#include "record/batch.h"
#include "record/coded.h"
#include "record/shapes.h"

/* The values of one column; column i of the dictionary has its values in batch_column i. */
struct batch_column {
    uint32_t n, cap;
    union {
        void *fixed;
        uint32_t *off; /* text lanes: n + 1 */
        int64_t *i64;
        double *f64;
        uint8_t *u8;
    };
    union {
        char *bytes;    /* text lanes */
        uint8_t *scale; /* DEC */
    };
    uint32_t bytes_n, bytes_cap; /* the last offset is read nowhere else so often */
    uint8_t lane;
};

/* What is asked of a column less often. */
struct batch_use {
    uint32_t shapes; /* used ones that hold it */
    uint64_t held;   /* bytes of texts that stay where they are */
};

/* Values of a column that stay where they are (batch_hold_rows). */
struct batch_piece {
    uint32_t column;
    struct coded_values values;
};

struct batch {
    struct shapes shapes;
    struct batch_column *column;
    struct batch_use *use; /* of each column */
    uint32_t n_columns;    /* made; those of the dictionary and what a cut left over */
    size_t columns_cap, uses_cap;

    uint32_t n, rows_cap;
    int64_t *time;
    uint16_t *shape_of; /* numbers of the dictionary */
    uint8_t *flags;
    uint32_t n_flagged;
    struct origin_run *run;
    uint32_t n_runs;
    size_t runs_cap;
    size_t bytes;

    /* What the used shapes have together. */
    uint32_t used_shapes, used_columns, used_tokens, used_path_bytes;
    bool whole_used;

    /* The record under way: from batch_begin to the next one, so that it can be taken back when
     * ended. */
    uint32_t at; /* its last step */
    bool over;   /* it passed a bound of the dictionary */
    bool ended;
    bool time_given;
    int64_t given_time;
    uint64_t raw_bytes; /* of all records */
    size_t last_raw;
    struct shapes_mark mark;
    struct str whole_id; /* of a record kept as JSON text */
    struct buf id_text;

    /* What batch_form found out about a shape. */
    uint32_t form_shape; /* SHAPES_NONE: nothing */
    uint32_t form_n, form_column[BATCH_FORM_MAX];
    uint64_t version;

    bool holds; /* rows whose values stay where they are: pieces, where there are any */
    struct batch_piece *piece;
    uint32_t n_pieces;
    size_t pieces_cap;

    struct arena scratch; /* batch_append_rows */
};

/* Room for `n` more values and `bytes` more bytes of text in a column. */
void batch_column_room(struct batch_column *c, uint32_t n, size_t bytes);
/* Makes the columns that the dictionary has gained. */
void batch_columns_make(struct batch *b);
/* Frees the columns from a number on. */
void batch_columns_cut(struct batch *b, uint32_t from);
/* Counts a shape without rows as used; false, and nothing is counted, past the limits. The last
 * shape and column are kept for whole records. */
bool batch_use_shape(struct batch *b, uint32_t shape);
void batch_unuse_shape(struct batch *b, uint32_t shape);
/* Row b->n - 1 comes from there: lengthens the last run or begins one. */
void batch_origin_add(struct batch *b, const struct origin_run *of);

/* About the bytes of a value in a frame. */
enum {
    COST_ROW = 11,
    COST_TEXT = 4,
    COST_WORD = 8,
    COST_SCALE = 1,
    COST_COLUMN = 32,
    COST_SHAPE = 8
};
static inline size_t batch_cost(const struct batch_column *c, uint32_t i)
{
    switch ((enum lane)c->lane) {
    case LANE_INT:
    case LANE_DBL:
        return COST_WORD;
    case LANE_DEC:
        return COST_WORD + COST_SCALE;
    case LANE_BOOL:
        return 1;
    case LANE_NULL:
    case LANE_OBJ:
        return 0;
    default:
        return COST_TEXT + c->off[i + 1] - c->off[i];
    }
}

#endif
