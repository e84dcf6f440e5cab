/* weir: dispatches to the subcommands, one file each. */
#include "cmd/commands.h"
#include "cmd/options.h"

#include <signal.h>
#include <stdio.h>

static const struct {
    const char *name, *summary;
    int (*run)(int argc, char **argv);
} commands[] = {
    {"server", "Runs the server: takes logs in, stores them, answers searches", cmd_server},
    {"ingest", "Sends files or standard input to a server", cmd_ingest},
    {"search", "Finds records and prints them", cmd_search},
    {"grep", "Finds lines in files, without a server, by the same language", cmd_grep},
    {"status", "Shows how a server is: memory, queue, store, streams", cmd_status},
    {"config", "Shows, explains and checks the configuration", cmd_config},
    {"produce", "Makes sample logs, to standard output or to a server", cmd_produce},
    {"segment", "Looks into segment files: inspect, verify, cat", cmd_segment},
};
enum { COMMANDS = sizeof(commands) / sizeof(*commands) };

static void print_help(void)
{
    printf("Weir keeps logs: it takes them in durably, packs them small and finds them fast.\n\n"
           "usage: weir COMMAND [options]\n\ncommands:\n");
    for (int i = 0; i < COMMANDS; i++)
        printf("  %-9s %s\n", commands[i].name, commands[i].summary);
    printf(
        "\nA first walk:\n"
        "  weir server                            the server, on http://127.0.0.1:5080\n"
        "  weir produce --url http://127.0.0.1:5080 --count 10000\n"
        "  weir ingest /var/log/syslog            or:  journalctl -o json | weir ingest -\n"
        "  weir search 'level:ERROR timeout'      words, fields, \"phrases\", ranges, /regexes/\n"
        "  weir search '* | stats count() by service | sort -count'\n"
        "\nweir COMMAND --help says more; weir --version names this build.\n");
}

static int unknown(const char *name)
{
    const char *names[COMMANDS];
    for (int i = 0; i < COMMANDS; i++)
        names[i] = commands[i].name;
    const char *nearest = options_nearest(str_c(name), names, COMMANDS);
    if (nearest)
        fprintf(stderr, "weir: no command \"%s\"; did you mean \"weir %s\"?\n", name, nearest);
    else
        fprintf(stderr, "weir: no command \"%s\"; weir --help lists them\n", name);
    return 2;
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    if (argc < 2) {
        print_help();
        return 2;
    }
    struct str name = str_c(argv[1]);
    if (str_eq_c(name, "--version") || str_eq_c(name, "version")) {
        printf("weir %s\n", WEIR_VERSION);
        return 0;
    }
    if (str_eq_c(name, "--help") || str_eq_c(name, "-h") || str_eq_c(name, "help")) {
        if (argc < 3) {
            print_help();
            return 0;
        }
        static char help[] = "--help";
        argv[1] = argv[2];
        argv[2] = help;
        name = str_c(argv[1]);
    }
    for (int i = 0; i < COMMANDS; i++)
        if (str_eq_c(name, commands[i].name))
            return commands[i].run(argc - 1, argv + 1);
    return unknown(argv[1]);
}
