/* Rows as lines of JSON, with what Weir knows and the record does not say: _time, _stream, _id, and
 * for /search log_id, timestamp and the aliases. A record's own key of that name wins. */
#ifndef WEIR_QUERY_OUTPUT_H
#define WEIR_QUERY_OUTPUT_H

#include "record/rows.h"

struct row_style {
    const struct str *field; /* n_fields 0: all */
    uint32_t n_fields;
    bool search; /* log_id, timestamp and the aliases too */
    bool bare;   /* a table of results: nothing is added */
    bool local;  /* rows of files: there is no _id */
    /* {"_index":...,"_id":...,"_source":{...}} as Elasticsearch has it: the id is the record's own
     * or made, and stands in no source. */
    const struct document_style *document;
};
/* Names with '*' for any text. */
struct document_style {
    bool source;               /* _source is there, */
    const struct str *include; /* n_include 0: with all fields */
    uint32_t n_include;
    const struct str *exclude; /* but for these */
    uint32_t n_exclude;
    bool whole; /* a line with the whole record, but for its _id, stands before */
};

/* Appends a line a row (objects with '\n' behind); end[i] = out->n behind row i (end may be NULL).
 */
NODISCARD enum err output_rows(struct rows *rows, const uint32_t *row, uint32_t n,
                               const struct row_style *style, struct arena *arena, struct buf *out,
                               size_t *end);
/* The same a few rows at a time: columns are read once for all n, each call of output_next appends
 * the lines of the next ones. It lives in the arena, beside which rows, numbers and style stay. No
 * documents. */
struct row_output;
NODISCARD enum err output_begin(struct rows *rows, const uint32_t *row, uint32_t n,
                                const struct row_style *style, struct arena *arena,
                                struct row_output **ret);
NODISCARD enum err output_next(struct row_output *o, uint32_t n, struct buf *out);

#endif
