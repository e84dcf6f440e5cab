/* The two halves of weir ledger: a folder (ledger.c), and a process that answers HTTP. */
#ifndef WEIR_CMD_LEDGER_H
#define WEIR_CMD_LEDGER_H

#include "cmd/options.h"

/* The exit status. */
int ledger_remote(const struct command *c, const struct options *o);

#endif
