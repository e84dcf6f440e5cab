/* weir aurora: dispatches to its subcommands. */
#include "cmd/aurora.h"
#include "cmd/commands.h"

static const struct command_row rows[] = {
    {&aurora_status_command, aurora_status},
    {&aurora_lag_command, aurora_lag},
    {&aurora_monitor_command, aurora_monitor},
    {&aurora_files_command, aurora_files},
    {&aurora_checkpoint_command, aurora_checkpoint},
    {&aurora_dlq_command, aurora_dlq},
    {&aurora_breaker_command, aurora_breaker},
    {&aurora_offsets_command, aurora_offsets},
    {&aurora_stop_command, aurora_stop},
    {&aurora_resume_command, aurora_resume},
    {&aurora_check_command, aurora_check},
    {&aurora_run_command, aurora_run},
    {&aurora_discover_command, aurora_discover},
    {&aurora_process_command, aurora_process},
    {&aurora_init_command, aurora_init},
    {&aurora_parse_command, aurora_parse},
    {&aurora_top_command, aurora_top},
    {&aurora_cost_command, aurora_cost},
    {0},
};

static const char *const verbs[] = {"status", "lag",     "monitor",  "files",   "checkpoint",
                                    "dlq",    "breaker", "offsets",  "stop",    "resume",
                                    "check",  "run",     "discover", "process", "init",
                                    "parse",  "top",     "cost",     NULL};
const struct command aurora_command = {
    .name = "aurora",
    .summary = "Logs of MySQL, Aurora and MariaDB: collects, reads and analyses them",
    .usage = "VERB [options] ...",
    .text = "Works with the logs of MySQL, Aurora MySQL and MariaDB servers.\n\n"
            "run       collects the logs of a fleet of RDS and Aurora instances\n"
            "discover  finds new log files; process reads them: run in two parts\n"
            "init      makes the tables of the collector's state\n"
            "check     tells what keeps logs from appearing: permissions, parameters\n"
            "status, lag, monitor          how it stands\n"
            "files, checkpoint, dlq        what it remembers, shown and changed\n"
            "breaker, offsets, stop, resume  orders to those who run\n"
            "parse     prints the records in log files as JSON lines\n"
            "top       the statements that take most; two windows compared\n"
            "cost      what the logs cost in CloudWatch, and here\n\n"
            "weir aurora VERB --help explains each.",
    .verbs = verbs,
    .takes_files = true,
    .args_min = 1,
    .args_max = 1,
};

/* The verb of a command: what is behind "aurora ". */
static const char *verb_of(const struct command_row *r)
{
    return r->command->name + strlen("aurora ");
}

int cmd_aurora(int argc, char **argv)
{
    struct options o;
    const char *names[32];
    size_t n = 0;
    for (const struct command_row *r = rows; r->command; r++) {
        if (argc > 1 && !strcmp(argv[1], verb_of(r)))
            return r->run(argc - 1, argv + 1);
        names[n++] = verb_of(r);
    }
    int status = options_parse(&o, &aurora_command, argc < 2 ? argc : 2, argv);
    if (status >= 0)
        return status;
    const char *nearest = options_nearest(str_c(o.arg[0]), names, n);
    return nearest ? options_fail(&aurora_command, "no command \"%s\"; did you mean \"%s\"?",
                                  o.arg[0], nearest)
                   : options_fail(&aurora_command, "no command \"%s\"", o.arg[0]);
}
