/* weir man: the manual page weir(1), made from the tables of the commands. Source:
 * groff_man(7). */
#include "cmd/commands.h"
#include "core/buf.h"

#include <stdio.h>

const struct command man_command = {
    .name = "man",
    .summary = "Prints the manual page",
    .usage = "",
    .text = "Prints the manual page weir(1), for man.\n\n"
            "  weir man | man -l -\n"
            "  weir man > /usr/local/share/man/man1/weir.1",
};

/* A hyphen that is typed, a backslash, and a line that would be a request. */
static void put_text(struct buf *out, const char *text)
{
    bool begin = true;
    for (; *text; text++) {
        if (begin && (*text == '.' || *text == '\''))
            buf_put_c(out, "\\&");
        if (*text == '\\')
            buf_put_c(out, "\\e");
        else if (*text == '-')
            buf_put_c(out, "\\-");
        else
            buf_put_byte(out, *text);
        begin = *text == '\n';
    }
}

static void put_option(struct buf *out, const struct option_def *d)
{
    buf_put_c(out, ".TP\n");
    if (d->letter)
        buf_printf(out, "\\fB\\-%c\\fR, ", d->letter);
    buf_put_c(out, "\\fB\\-\\-");
    put_text(out, d->name);
    buf_put_c(out, "\\fR");
    if (d->value) {
        buf_put_c(out, " \\fI");
        put_text(out, d->value);
        buf_put_c(out, "\\fR");
    }
    buf_put_byte(out, '\n');
    put_text(out, d->help);
    if (d->choices) {
        buf_put_c(out, " One of: ");
        for (const char *p = d->choices; *p; p++)
            buf_put_c(out, *p == '|' ? ", " : (char[]){*p, 0});
        buf_put_byte(out, '.');
    }
    buf_put_byte(out, '\n');
}

/* Text is filled; blocks of lines that begin with two spaces are examples and stay as they are. */
static void put_paragraphs(struct buf *out, const char *text)
{
    struct str rest = str_c(text), line;
    bool example = false;
    while (rest.p && str_split(&rest, '\n', &line)) {
        bool is_example = str_starts(line, STR("  "));
        if (is_example != example)
            buf_put_c(out, is_example ? ".PP\n.nf\n" : ".fi\n");
        example = is_example;
        if (line.n == 0) {
            buf_put_c(out, example ? "\n" : ".PP\n");
            continue;
        }
        char one[512];
        snprintf(one, sizeof(one), "%.*s", STR_ARG(line));
        put_text(out, one);
        buf_put_byte(out, '\n');
    }
    if (example)
        buf_put_c(out, ".fi\n");
}

static void put_command(struct buf *out, const struct command *c)
{
    buf_printf(out, ".SS \"weir %s\"\n.B weir %s\n", c->name, c->name);
    put_text(out, c->usage);
    buf_put_c(out, "\n.PP\n");
    put_paragraphs(out, c->text);
    for (const struct option_def *d = c->options; d && d->name; d++)
        put_option(out, d);
}

static void put_page(struct buf *out)
{
    buf_printf(out, ".TH WEIR 1 \"\" \"Weir %s\" \"User Commands\"\n.SH NAME\n", WEIR_VERSION);
    buf_put_c(out, "weir \\- takes logs in durably, packs them small and finds them fast\n"
                   ".SH SYNOPSIS\n.B weir\n.I COMMAND\n[\\fIoptions\\fR]\n"
                   ".SH DESCRIPTION\n"
                   "Weir keeps logs: a server that takes them in, stores them and answers "
                   "searches, and commands\nto send logs to it, to search it, and to search "
                   "files without it.\n"
                   "Every command explains itself with \\fB\\-\\-help\\fR.\n.PP\n");
    for (const struct command_row *r = command_rows; r->command; r++) {
        buf_printf(out, ".TP\n.B weir %s\n", r->command->name);
        put_text(out, r->command->summary);
        buf_put_c(out, ".\n");
    }
    buf_put_c(out, ".SH COMMANDS\n");
    for (const struct command_row *r = command_rows; r->command; r++)
        put_command(out, r->command);
    buf_put_c(out,
              ".SH ENVIRONMENT\n"
              ".TP\n.B WEIR_URL\nThe server that commands talk to (http://127.0.0.1:5080).\n"
              ".TP\n.B WEIR_ROOT_USER\\fR, \\fBWEIR_ROOT_PASSWORD\nCredentials of server and "
              "commands.\n"
              ".TP\n.B WEIR_TLS_CA\nAuthorities that commands take for the certificate of an https "
              "server (the system's).\n"
              ".TP\n.B WEIR_...\nAny setting of the server: store.retention is "
              "WEIR_STORE_RETENTION.\n"
              ".TP\n.B PAGER\nWhat shows long output on a terminal (less \\-RFX).\n"
              ".TP\n.B NO_COLOR\nWhen not empty: no colours.\n"
              ".SH EXIT STATUS\n"
              "0: all went well; 1: it failed, or \\fBsearch\\fR and \\fBgrep\\fR found nothing; "
              "2: the command line makes\nno sense, or the search went wrong.\n"
              ".SH FILES\n.TP\n.I ./weir\\-data\nWhat the server stores, unless "
              "\\fB\\-\\-data\\fR or server.data says another folder.\n"
              ".SH SEE ALSO\n.BR grep (1),\n.BR rg (1),\n.BR journalctl (1)\n");
}

int cmd_man(int argc, char **argv)
{
    struct options o;
    struct buf out;
    int status = options_parse(&o, &man_command, argc, argv);
    if (status >= 0)
        return status;
    buf_init(&out, SIZE_MAX);
    put_page(&out);
    bool good = fwrite(out.p, 1, out.n, stdout) == out.n && fflush(stdout) == 0;
    buf_release(&out);
    return good ? 0 : 1;
}
