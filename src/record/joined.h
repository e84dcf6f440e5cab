/* The values of a column in several parts, one behind the other: copied together when they are
 * asked for, and only the column that is. Ownership: parts and what they point to belong to whoever
 * made the column. Threads: as rows. */
#ifndef WEIR_RECORD_JOINED_H
#define WEIR_RECORD_JOINED_H

#include "record/coded.h"

struct joined {
    struct coded_values *part; /* n_parts of one lane */
    uint32_t n_parts;
};

/* impl is a `const struct joined *`. */
extern const struct column_ops joined_column_ops;

#endif
