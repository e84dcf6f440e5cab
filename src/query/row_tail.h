/* The members that are added to a row that says nothing of its own under their names, and the end
 * of its line: ,"_time":"...","_stream":"...","_id":"..."} as one text, in which from row to row
 * only what differs is written anew. Lives in an arena; one thread. */
#ifndef WEIR_QUERY_ROW_TAIL_H
#define WEIR_QUERY_ROW_TAIL_H

#include "core/buf.h"
#include "record/rows.h"

struct row_tail;

/* For n rows of ascending numbers; both stay. *ret is NULL where some row may have a member of one
 * of the names. */
NODISCARD enum err row_tail_new(struct rows *rows, const uint32_t *row, uint32_t n,
                                struct arena *arena, struct row_tail **ret);
/* Appends that of the i-th row, i ascending; `first`: no member stands before it. */
void row_tail_put(struct row_tail *t, uint32_t i, bool first, struct buf *out);

#endif
