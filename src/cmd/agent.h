/* The parts of weir agent. Threads: main only. */
#ifndef WEIR_CMD_AGENT_H
#define WEIR_CMD_AGENT_H

#include "cmd/options.h"

int agent_status(const struct command *c, const struct options *o);

#endif
