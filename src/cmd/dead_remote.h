/* weir dead --url: the same of a server, or of an agent that listens. */
#ifndef WEIR_CMD_DEAD_REMOTE_H
#define WEIR_CMD_DEAD_REMOTE_H

#include "cmd/options.h"

/* One of the verbs; route NULL for list, pipeline NULL for the main one. The exit status. */
int dead_remote(const struct command *c, const struct options *o, const char *what,
                const char *route, const char *pipeline);
/* dead.c: a line of the list. */
void dead_print(uint64_t letters, uint64_t bytes, const char *route, bool retrying);

#endif
