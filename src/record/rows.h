/* Rows: a read-only set of records in columns. Everything that looks at records looks at this: the
 * filter, the aggregator, JSON output, the encoder. Implemented by open batches, by frames and by
 * encoded blocks (whose columns decode on demand). A column holds the values of the rows that have
 * it, in row order; the shape of each row says which those are.
 * Ownership: rows and what they hand out live in the arena they were opened with, above bytes that
 * their opener keeps alive. Threads: one at a time. Everything handed out is valid until the
 * arena's reset. */
#ifndef WEIR_RECORD_ROWS_H
#define WEIR_RECORD_ROWS_H

#include "core/arena.h"
#include "record/bitmap.h"
#include "record/type.h"

struct buf;
struct predicate;
struct rows;
struct column;

/* Decoded values of one column. Only the members of its lane are set. */
struct values {
    uint32_t n;
    enum lane lane;
    const uint32_t *off; /* text lanes: n + 1 offsets into bytes */
    const char *bytes;
    const struct str *text; /* or, where it is set, each where it lies */
    uint64_t text_bytes;    /* of those together */
    const uint32_t *same;   /* of each text, the first known to be equal, or itself; may be NULL */
    const int64_t *i64;     /* INT, DEC (mantissa) */
    const uint8_t *scale;   /* DEC */
    const double *f64;      /* DBL */
    const uint8_t *u8;      /* BOOL */
};

static inline struct str values_text(const struct values *v, uint32_t i)
{
    if (v->text)
        return v->text[i];
    return (struct str){v->bytes + v->off[i], v->off[i + 1] - v->off[i]};
}
/* Of all texts together. */
static inline uint64_t values_bytes(const struct values *v)
{
    return v->text ? v->text_bytes : v->off[v->n] - v->off[0];
}

/* The values at `n` positions, in any order, as a dense result in the arena: texts by offsets. */
NODISCARD enum err values_gather(const struct values *v, const uint32_t *pos, uint32_t n,
                                 struct arena *a, struct values *ret);

/* Whether it is less to say where n texts lie than to copy them. */
static inline bool texts_may_lie(uint32_t n, uint64_t bytes)
{
    return bytes >= n * sizeof(struct str);
}
/* The texts at `n` positions, in any order, where they lie. */
NODISCARD enum err values_pick(const struct values *v, const uint32_t *pos, uint32_t n,
                               struct arena *a, struct values *ret);

/* Texts that are written into JSON one by one, in quotes and with their escapes, as many as were
 * asked for: what holds them has them in pieces, and need not put them together first. */
struct json_texts {
    void (*put)(struct json_texts *, struct buf *out); /* the next one */
};

/* Of each pattern of a column: how many values have it, their least and greatest time, and the
 * positions of up to PATTERN_SAMPLES of them, UINT32_MAX where there are fewer. */
#define PATTERN_SAMPLES 3
struct pattern_sums {
    const uint32_t *count;
    const int64_t *first, *last;
    const uint32_t *sample; /* PATTERN_SAMPLES each, the last value's first */
};

/* Positions are into the column's own values (0..n-1), not rows. */
struct column_ops {
    /* Every value. */
    enum err (*values)(const struct column *, struct arena *, struct values *ret);
    /* The values at `n` ascending positions, as a dense result of n values. */
    enum err (*get)(const struct column *, const uint32_t *pos, uint32_t n, struct arena *,
                    struct values *ret);
    /* As get, in any order, where that is less than a gather of every value. May be NULL. */
    enum err (*pick)(const struct column *, const uint32_t *pos, uint32_t n, struct arena *,
                     struct values *ret);
    /* n values of a text lane, in that order, each where it lies; as they stand (pos NULL) so, or
     * together, if that is less. For who reads them once or twice. May be NULL. */
    enum err (*texts)(const struct column *, const uint32_t *pos, struct arena *,
                      struct values *ret);
    /* n neighbours from `from` on, of LANE_STR. ERR_UNSUPPORTED (without an error text) where they
     * are best had as values. May be NULL. */
    enum err (*json)(const struct column *, uint32_t from, uint32_t n, struct arena *,
                     struct json_texts **ret);
    /* Sets bit i of `bits` (col->n bits, all zero on entry) where value i matches. */
    enum err (*match)(const struct column *, const struct predicate *, struct arena *,
                      uint64_t *bits);
    /* False only where surely no value matches: from filters, dictionaries, min and max; cheap. */
    bool (*may_match)(const struct column *, const struct predicate *);
    /* Dictionary codes: *ret_dict holds the distinct values, *ret_code n codes into it.
     * ERR_UNSUPPORTED (without an error text) where the column is not held as a dictionary. May be
     * NULL. */
    enum err (*codes)(const struct column *, struct arena *, struct values *ret_dict,
                      const uint32_t **ret_code);
    /* The distinct values, and of each how many there are (0 for some, maybe). ERR_UNSUPPORTED
     * where that is not to be had for less than a look at every value. May be NULL. */
    enum err (*tally)(const struct column *, struct arena *, struct values *ret_dict,
                      const uint32_t **ret_count);
    /* The patterns of the values (record/template_cut.h), perhaps one several times; of each value
     * the number of its pattern; what is known of all values of each. The latter two may be NULL.
     * ERR_UNSUPPORTED where that is not to be had for less than a cut of every value. May be NULL.
     */
    enum err (*patterns)(const struct column *, struct arena *, struct values *ret_pattern,
                         const uint32_t **ret_code, struct pattern_sums *ret_sums);
};

struct column {
    struct str path;
    uint64_t name_hash; /* path_name_hash(path) */
    uint16_t occ;
    uint8_t lane;        /* enum lane */
    uint32_t n;          /* values = rows that have it; never 0 */
    uint64_t text_bytes; /* of text lanes; 0: not known */
    const struct column_ops *ops;
    const void *impl; /* the ops' own */
};

/* Where rows came from: runs of consecutive rows of one queue entry with consecutive indexes. */
struct origin_run {
    uint32_t row;   /* first row of the run */
    uint32_t index; /* of that row within its entry */
    uint32_t partition;
    uint64_t position; /* of the entry in the queue */
    int64_t arrival_ns;
};

/* A row's place in the total order: by time, partition, position, index. */
struct row_order {
    int64_t time;
    uint64_t position;
    uint32_t partition, index;
};
static inline int row_order_cmp(const struct row_order *a, const struct row_order *b)
{
    if (a->time != b->time)
        return a->time < b->time ? -1 : 1;
    if (a->partition != b->partition)
        return a->partition < b->partition ? -1 : 1;
    if (a->position != b->position)
        return a->position < b->position ? -1 : 1;
    return (a->index > b->index) - (a->index < b->index);
}

/* Row flags, kept per row in `flags` where any is set. */
enum row_flag {
    ROW_TIME_ARRIVAL = 1, /* no usable time of its own: _time is the arrival */
    ROW_TIME_BAD = 2,     /* it had one, but unparsable or out of range */
    ROW_TIME_LATE = 4,    /* retention day is the arrival's: too late or in the future */
};

struct rows_ops {
    enum err (*time)(struct rows *, const int64_t **ret); /* n times, ns UTC */
    /* n shape numbers; never called when n_shapes == 1. */
    enum err (*shape_of)(struct rows *, const uint16_t **ret);
    enum err (*origin)(struct rows *, const struct origin_run **ret, uint32_t *ret_n);
    /* n times enum row_flag, or NULL: none is set. May be NULL: `flags` says it all. */
    enum err (*flags)(struct rows *, const uint8_t **ret);
};

struct rows {
    uint32_t n;
    uint32_t n_shapes;
    uint32_t n_columns;
    const struct shape *shapes; /* tokens number `columns` */
    const struct column *columns;
    const struct rows_ops *ops;
    void *impl;
    struct arena *arena;
    struct str stream;          /* the stream's name */
    int64_t time_min, time_max; /* exact bounds */
    /* Of the queue entries that the rows come from; position_max 0: not known. */
    uint64_t position_min, position_max;
    const uint8_t *flags; /* n times enum row_flag, by rows_flags; NULL: none is set */
    /* Caches of rows.c; zero at first. */
    const int64_t *time_cache;
    const uint16_t *shape_cache;
    struct rows_index *index;
};

/* Which rows have a column: all of them, or those of a bitmap with a rank directory. */
struct presence {
    bool all;
    const uint64_t *bits; /* rows->n bits */
    const uint32_t *rank; /* rank[w]: set bits before word w */
};

NODISCARD enum err rows_time(struct rows *r, const int64_t **ret);
/* n times enum row_flag, or NULL: none is set. */
NODISCARD enum err rows_flags(struct rows *r, const uint8_t **ret);
/* n shape numbers (zeros when there is one shape). */
NODISCARD enum err rows_shape_of(struct rows *r, const uint16_t **ret);
NODISCARD enum err rows_presence(struct rows *r, uint32_t col, struct presence *ret);
/* Position of a row's value in its column; the row must have it. */
static inline uint32_t presence_rank(const struct presence *p, uint32_t row)
{
    if (p->all)
        return row;
    uint64_t below = p->bits[row >> 6] & (((uint64_t)1 << (row & 63)) - 1);
    return p->rank[row >> 6] + bitmap_ones(below);
}
static inline bool presence_has(const struct presence *p, uint32_t row)
{
    return p->all || (p->bits[row >> 6] >> (row & 63) & 1);
}
/* Spreads a bitmap over a column's values to a bitmap over rows: sets bits of `row_bits` (ORs). */
NODISCARD enum err rows_spread(struct rows *r, uint32_t col, const uint64_t *value_bits,
                               uint64_t *row_bits);
/* The first column number >= from with that name (dotted), or UINT32_MAX. */
uint32_t rows_find(const struct rows *r, struct str name, uint32_t from);
/* The path of the first leaf at or behind a token of a shape: of an object, the first within it. */
struct str rows_path_behind(const struct rows *r, const struct shape *s, uint32_t token);
/* Where a row came from. */
NODISCARD enum err rows_origin(struct rows *r, uint32_t row, struct origin_run *ret);
NODISCARD enum err rows_order(struct rows *r, uint32_t row, struct row_order *ret);

/* Rows in memory: impl is a `const struct plain_rows *`. */
struct plain_rows {
    const int64_t *time;
    const uint16_t *shape_of; /* may be NULL when there is one shape */
    const struct origin_run *run;
    uint32_t n_runs;
};
extern const struct rows_ops plain_rows_ops;

/* The ops of plain values in memory: impl is a `const struct values *`. */
extern const struct column_ops plain_column_ops;

#endif
