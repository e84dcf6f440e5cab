/* Rows as OTLP's LogRecords (wire/proto/otlp.proto), with the Resource and the Scope that each
 * belongs to; otlp.c says what becomes which. Values come straight from the columns of the rows;
 * arrays, and what a frame keeps as JSON text, are read as such.
 * Threads: a writer is one thread's. It lives in the arena, which the rows outlive. */
#ifndef WEIR_OUTPUT_OTLP_RECORD_H
#define WEIR_OUTPUT_OTLP_RECORD_H

#include "record/rows.h"

struct otlp_rows;
/* by_json: every row by way of its JSON text, as those are whose shape is too deep; for tests. */
NODISCARD enum err otlp_rows_new(struct rows *rows, bool by_json, struct arena *a,
                                 struct otlp_rows **ret);

struct otlp_parts { /* where the members of the three messages are appended */
    struct buf *record, *resource, *scope;
};
/* The next row, from the first on. */
NODISCARD enum err otlp_rows_put(struct otlp_rows *w, const struct otlp_parts *to);

#endif
