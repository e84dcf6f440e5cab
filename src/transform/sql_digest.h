/* What a statement is, whatever its values: a normalised text in the manner of MySQL's DIGEST_TEXT,
 *
 *   select c.Name from t c where id in (1, 2) and x=-5 -- why
 *   SELECT `c` . `Name` FROM `t` `c` WHERE `id` IN (...) AND `x` = ?
 *
 * by which statements are grouped. Literals become ?, lists of them ?, ..., rows (?) and (...), and
 * several rows one, with a mark; comments go, words of the language are in capitals and names in
 * backquotes. A word that is both is a name, unless what stands beside it says otherwise: MySQL
 * decides that by its grammar, which is not here, so that its text may differ in quotes and
 * capitals. Any bytes are a statement.
 * Threads: any. */
#ifndef WEIR_TRANSFORM_SQL_DIGEST_H
#define WEIR_TRANSFORM_SQL_DIGEST_H

#include "core/buf.h"

enum { SQL_DIGEST_MAX = 4096 }; /* bytes; what is longer ends in "..." */

/* Appends the text of `sql`. */
void sql_digest_text(struct str sql, struct buf *out);
/* The text's name: 16 hexadecimal digits of its 64-bit XXH3. */
#define SQL_DIGEST_ID_BYTES 16
void sql_digest_id(struct str text, char ret[SQL_DIGEST_ID_BYTES]);

/* How far the quotes of a text have been followed; zeroed at its begin. */
struct sql_quotes {
    size_t at;
    char open; /* ', ", ` or * (a comment) within which `at` stands; 0: none */
};
/* Goes on from q->at to the end of `sql`: whether that is within a string, a quoted name or a
 * comment of the kind that is closed. The text may be longer the next time, by whole lines. */
bool sql_in_quotes(struct sql_quotes *q, struct str sql);

#endif
