/* The values of one named field over selected rows, whatever columns hold them: lanes, dotted
 * twins, the names of an alias in their order, and _time, _stream, _id, ingested_at. Each row gives
 * the first value it has, in its record's own order; null and objects are no value. Results live in
 * the arena. */
#ifndef WEIR_QUERY_FIELD_H
#define WEIR_QUERY_FIELD_H

#include "record/rows.h"

struct json_walk;

struct field_piece {
    struct values v;      /* one value an entry, or the dictionary of `code` */
    const uint32_t *code; /* NULL: entry i has value i */
    const uint32_t *sel;  /* entry i belongs to selected row sel[i]; NULL: to i */
    uint32_t n;           /* entries */
    bool cut;             /* its values are patterns already */
};
struct field_values {
    const struct field_piece *piece;
    uint32_t n;
};

/* `row`: n ascending row numbers. */
NODISCARD enum err field_read(struct rows *rows, struct str name, const uint32_t *row, uint32_t n,
                              struct arena *arena, struct field_values *ret);

/* The same with the patterns of the values' texts in place of them (record/template_cut.h): every
 * piece holds texts. */
NODISCARD enum err field_patterns(struct rows *rows, struct str name, const uint32_t *row,
                                  uint32_t n, struct arena *arena, struct field_values *ret);

/* One value, typed: what group keys, min, max, first, last and sort keys are made of. */
struct scalar {
    uint8_t lane;  /* enum lane; SCALAR_NONE: no value */
    uint8_t scale; /* DEC */
    int64_t i64;   /* INT, DEC, BOOL */
    double f64;    /* any number as a double; also of text that is a number */
    bool numeric;
    struct str text; /* text lanes */
};
#define SCALAR_NONE 255
struct scalar scalar_of(const struct values *v, uint32_t i);
/* The next element of an array: containers and null are no value. False at its end. */
bool scalar_element(struct json_walk *w, struct arena *a, struct scalar *ret);
/* Numbers before texts, integers exactly and others as the double they are nearest to; no value
 * last. <0, 0, >0; two that are equal to a third are equal. */
int scalar_cmp(const struct scalar *a, const struct scalar *b);
/* Of two that compare equal, whether a is the one to show, wherever they stand: 1 before 1.0 and
 * 1.00, and those before "1". */
bool scalar_plainer(const struct scalar *a, const struct scalar *b);
/* By scalar_cmp, the plainer first. */
int scalar_order(const struct scalar *a, const struct scalar *b);
void scalar_json(struct buf *out, const struct scalar *s);

#endif
