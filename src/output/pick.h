/* Single fields of rows by their names, for outputs that need some apart: a tag, labels, a header.
 * The columns of a name are looked up once an item.
 * Owner: the output; one thread. */
#ifndef WEIR_OUTPUT_PICK_H
#define WEIR_OUTPUT_PICK_H

#include "core/buf.h"
#include "pipeline/output.h"

struct pick;
/* Takes names (dotted) by pick_add; `message`, `level`, `service`, `host` are the aliases of
 * records: the first of their names that the row has. */
struct pick *pick_new(void);
void pick_free(struct pick *p); /* NULL is fine */
/* The number of the name for pick_get. */
unsigned pick_add(struct pick *p, struct str name);
/* Before each output_each_row. */
void pick_begin(struct pick *p);
/* Moves to the row; ERR_NOMEM and what columns say otherwise. */
NODISCARD enum err pick_row(struct pick *p, const struct output_row *row);
/* Appends the text of the field: a string's bytes, a number, true; false where the row has none (or
 * null), and nothing is appended. *ret_name (may be NULL): the dotted name it was found under. */
bool pick_get(struct pick *p, unsigned field, struct buf *out, struct str *ret_name);

/* Texts with fields in them: "app.{service}". */
struct pick_text;
/* The fields are added to p. ERR_INVALID: a brace without its other. */
NODISCARD enum err pick_text_new(struct pick *p, struct str text, struct pick_text **ret);
void pick_text_free(struct pick_text *t); /* NULL is fine */
/* Appends the text for the row of `p`, a field that it lacks as nothing; false when it lacks them
 * all (and there are some). */
bool pick_text_put(const struct pick_text *t, struct pick *p, struct buf *out);

#endif
