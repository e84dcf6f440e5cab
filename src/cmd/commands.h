/* Every subcommand: argv[0] is its name; the answer is the exit status: 0 good, 1 failed (search
 * and grep: found nothing), 2 the command line is wrong. A command is a file with its table of
 * options and its function, and a row in commands.c. */
#ifndef WEIR_CMD_COMMANDS_H
#define WEIR_CMD_COMMANDS_H

#include "cmd/options.h"

#define COMMAND(name)                                                                              \
    extern const struct command name##_command;                                                    \
    int cmd_##name(int argc, char **argv)
COMMAND(server);
COMMAND(agent);
COMMAND(pipeline);
COMMAND(ledger);
COMMAND(dead);
COMMAND(ingest);
COMMAND(search);
COMMAND(grep);
COMMAND(patterns);
COMMAND(status);
COMMAND(check);
COMMAND(config);
COMMAND(produce);
COMMAND(web);
COMMAND(segment);
COMMAND(queue);
COMMAND(catalog);
COMMAND(aurora);
COMMAND(completion);
COMMAND(man);

struct command_row {
    const struct command *command;
    int (*run)(int argc, char **argv);
};
extern const struct command_row command_rows[]; /* ended by command NULL */

#endif
