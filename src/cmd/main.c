/* weir: dispatches to the subcommands, one file each. */
#include "cmd/commands.h"

#include <signal.h>
#include <stdio.h>

static void print_help(void)
{
    printf("Weir keeps logs: it takes them in durably, packs them small and finds them fast.\n\n"
           "usage: weir COMMAND [options]\n\ncommands:\n");
    for (const struct command_row *r = command_rows; r->command; r++)
        printf("  %-10s %s\n", r->command->name, r->command->summary);
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
    const char *names[64];
    size_t n = 0;
    for (const struct command_row *r = command_rows; r->command && n < 64; r++)
        names[n++] = r->command->name;
    const char *nearest = options_nearest(str_c(name), names, n);
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
    for (const struct command_row *r = command_rows; r->command; r++)
        if (str_eq_c(name, r->command->name))
            return r->run(argc - 1, argv + 1);
    return unknown(argv[1]);
}
