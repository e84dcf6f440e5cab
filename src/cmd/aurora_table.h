/* What the commands of the collector print: objects with the same members, as aligned columns or
 * (--json) as JSON. Threads: main only. */
#ifndef WEIR_CMD_AURORA_TABLE_H
#define WEIR_CMD_AURORA_TABLE_H

#include "cmd/options.h"

#include <jansson.h>

#define AURORA_JSON_OPTION                                                                         \
    {                                                                                              \
        "json", 'j', NULL, "As JSON."                                                              \
    }

/* columns: names of members, ended by NULL, all others are for --json alone. Releases the list. */
void aurora_print_rows(const struct options *o, json_t *list, const char *const *columns);
/* One object, a line a member. */
void aurora_print_object(const struct options *o, json_t *object);
/* Epoch seconds as RFC 3339; "" for 0. */
json_t *aurora_time_json(int64_t seconds);
/* "7d" of an option, in seconds. False: explained. */
bool aurora_age_option(const struct options *o, const char *name, int64_t def, int64_t *ret);

#endif
