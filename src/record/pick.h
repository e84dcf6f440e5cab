/* The text of one field of every row, by its name or an alias's (message, level, service, host):
 * for keys, ids, names. Threads: as for rows. */
#ifndef WEIR_RECORD_PICK_H
#define WEIR_RECORD_PICK_H

#include "record/batch.h"

/* *ret: rows->n texts in the arena (n == 0: the row has none), or NULL when no row has one. Of
 * several names of an alias, and several lanes, the first counts that a row has; numbers are
 * written out as JSON writes them where they are integers. */
NODISCARD enum err rows_pick_text(struct rows *rows, struct str field, struct arena *a,
                                  struct str **ret);
/* The same of one name that is no alias, for the rows that have no text yet; *text: NULL, or what
 * an earlier name left. decimals: numbers that are no integers count, too. */
NODISCARD enum err rows_pick_name(struct rows *rows, struct str name, bool decimals,
                                  struct arena *a, struct str **text);

#endif
