/* Every subcommand: argv[0] is its name; the answer is the exit status: 0 good, 1 failed (search
 * and grep: found nothing), 2 the command line is wrong. */
#ifndef WEIR_CMD_COMMANDS_H
#define WEIR_CMD_COMMANDS_H

int cmd_server(int argc, char **argv);
int cmd_ingest(int argc, char **argv);
int cmd_search(int argc, char **argv);
int cmd_grep(int argc, char **argv);
int cmd_status(int argc, char **argv);
int cmd_config(int argc, char **argv);
int cmd_produce(int argc, char **argv);
int cmd_segment(int argc, char **argv);

#endif
