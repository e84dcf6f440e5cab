/* Records on a terminal. Log records are a line each: time, level, service, host, message, and what
 * else they hold dimmed behind it. Rows that pipes made are a table with a column a field. Threads:
 * one. */
#ifndef WEIR_CMD_TABLE_H
#define WEIR_CMD_TABLE_H

#include "core/err.h"
#include "core/str.h"

struct table;

struct table *table_new(bool logs);
void table_free(struct table *t);
/* A JSON object. Logs are printed at once, rows when table_print says so. */
NODISCARD enum err table_add(struct table *t, struct str record);
void table_print(struct table *t);
/* The message alone, or the record when it has none. */
void table_print_raw(struct str record);

#endif
