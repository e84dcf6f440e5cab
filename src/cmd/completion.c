/* weir completion bash|zsh|fish, and weir man: both written from the tables that the command lines
 * are parsed by, so that they never lag behind. */
#include "cmd/commands.h"
#include "core/buf.h"

#include <stdio.h>

static const char *const shells[] = {"bash", "zsh", "fish", NULL};

const struct command completion_command = {
    .name = "completion",
    .summary = "Completion of the command line for a shell",
    .usage = "bash|zsh|fish",
    .text = "Prints a script that teaches a shell Weir's commands and options.\n\n"
            "  weir completion bash > /etc/bash_completion.d/weir\n"
            "  weir completion zsh > \"${fpath[1]}/_weir\"\n"
            "  weir completion fish > ~/.config/fish/completions/weir.fish",
    .verbs = shells,
    .args_min = 1,
    .args_max = 1,
};

static bool is_valued(const struct option_def *d, const char *kind)
{
    return d->value && strcmp(d->value, kind) == 0;
}

/* "a|b|c" with something else between. */
static void put_choices(struct buf *out, const char *choices, char between)
{
    for (const char *p = choices; *p; p++)
        buf_put_byte(out, *p == '|' ? between : *p);
}

static void put_verbs(struct buf *out, const struct command *c)
{
    for (const char *const *v = c->verbs; v && *v; v++) {
        buf_put_c(out, v == c->verbs ? "" : " ");
        buf_put_c(out, *v);
    }
}

/* ---- bash ---- */

/* "--name|-n": what stands before the value. */
static void bash_pattern(struct buf *out, const struct option_def *d)
{
    buf_printf(out, "--%s", d->name);
    if (d->letter)
        buf_printf(out, "|-%c", d->letter);
}

static void bash_values(struct buf *out, const struct command *c)
{
    buf_put_c(out, "        case $prev in\n");
    for (const struct option_def *d = c->options; d && d->name; d++) {
        if (!d->value)
            continue;
        buf_put_c(out, "        ");
        bash_pattern(out, d);
        buf_put_c(out, ") ");
        if (d->choices) {
            buf_put_c(out, "words='");
            put_choices(out, d->choices, ' ');
            buf_put_c(out, "'; value=words ;;\n");
        } else {
            const char *kind = is_valued(d, "FILE") ? "file" : is_valued(d, "DIR") ? "dir" : "none";
            buf_printf(out, "value=%s ;;\n", kind);
        }
    }
    buf_put_c(out, "        esac\n");
}

static void bash_command(struct buf *out, const struct command *c)
{
    buf_printf(out, "    %s)\n", c->name);
    bash_values(out, c);
    buf_put_c(out, "        options='--help");
    for (const struct option_def *d = c->options; d && d->name; d++)
        buf_printf(out, " --%s", d->name);
    buf_put_c(out, "'\n        verbs='");
    put_verbs(out, c);
    buf_printf(out, "'\n        files=%d ;;\n", c->takes_files);
}

static void bash(struct buf *out)
{
    buf_put_c(out, "# bash completion for weir; made by: weir completion bash\n"
                   "_weir() {\n"
                   "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}\n"
                   "    local options='' verbs='' words='' value='' files=0 commands='");
    for (const struct command_row *r = command_rows; r->command; r++)
        buf_printf(out, "%s ", r->command->name);
    buf_put_c(out, "help'\n"
                   "    COMPREPLY=()\n"
                   "    # --name=value comes as three words\n"
                   "    if [[ $cur == '=' ]]; then cur=''\n"
                   "    elif [[ $prev == '=' ]]; then prev=${COMP_WORDS[COMP_CWORD-2]}; fi\n"
                   "    if ((COMP_CWORD == 1)); then\n"
                   "        COMPREPLY=($(compgen -W \"$commands --help --version\" -- \"$cur\"))\n"
                   "        return\n"
                   "    fi\n"
                   "    case ${COMP_WORDS[1]} in\n"
                   "    help) verbs=$commands ;;\n");
    for (const struct command_row *r = command_rows; r->command; r++)
        bash_command(out, r->command);
    buf_put_c(out,
              "    esac\n"
              "    case $value in\n"
              "    words) COMPREPLY=($(compgen -W \"$words\" -- \"$cur\")); return ;;\n"
              "    file) compopt -o filenames; COMPREPLY=($(compgen -f -- \"$cur\")); return ;;\n"
              "    dir) compopt -o filenames; COMPREPLY=($(compgen -d -- \"$cur\")); return ;;\n"
              "    none) return ;;\n"
              "    esac\n"
              "    if [[ $cur == -* ]]; then\n"
              "        COMPREPLY=($(compgen -W \"$options\" -- \"$cur\"))\n"
              "    elif [[ $verbs ]] && ((COMP_CWORD == 2)); then\n"
              "        COMPREPLY=($(compgen -W \"$verbs\" -- \"$cur\"))\n"
              "    elif ((files)); then\n"
              "        compopt -o filenames\n"
              "        COMPREPLY=($(compgen -f -- \"$cur\"))\n"
              "    fi\n"
              "}\n"
              "complete -F _weir weir\n");
}

/* ---- zsh ---- */

/* For a text in single quotes; zsh's _arguments minds brackets and colons too. */
static void put_quoted(struct buf *out, const char *text, const char *minded)
{
    for (; *text; text++) {
        if (*text == '\'')
            buf_put_c(out, "'\\'");
        else if (strchr(minded, *text))
            buf_put_byte(out, '\\');
        buf_put_byte(out, *text);
    }
}

static void zsh_option(struct buf *out, const struct option_def *d)
{
    buf_put_c(out, "            ");
    const char *many = d->many ? "*" : "";
    if (d->letter && !d->many)
        buf_printf(out, "'(-%c --%s)'{-%c,--%s%s}", d->letter, d->name, d->letter, d->name,
                   d->value ? "=" : "");
    else if (d->letter)
        buf_printf(out, "'*'{-%c,--%s%s}", d->letter, d->name, d->value ? "=" : "");
    else
        buf_printf(out, "%s--%s%s", many, d->name, d->value ? "=" : "");
    buf_put_c(out, "'[");
    put_quoted(out, d->help, "[]:\\");
    buf_put_byte(out, ']');
    if (d->value) {
        buf_put_byte(out, ':');
        put_quoted(out, d->value, "[]:\\");
        buf_put_byte(out, ':');
        if (d->choices) {
            buf_put_byte(out, '(');
            put_choices(out, d->choices, ' ');
            buf_put_byte(out, ')');
        } else if (is_valued(d, "FILE")) {
            buf_put_c(out, "_files");
        } else if (is_valued(d, "DIR")) {
            buf_put_c(out, "_files -/");
        }
    }
    buf_put_c(out, "' \\\n");
}

static void zsh_command(struct buf *out, const struct command *c)
{
    buf_printf(out, "        %s)\n          _arguments -s \\\n", c->name);
    for (const struct option_def *d = c->options; d && d->name; d++)
        zsh_option(out, d);
    if (c->verbs) {
        buf_put_c(out, "            '1: :(");
        put_verbs(out, c);
        buf_put_c(out, ")' \\\n");
    } else if (c->args_min && c->takes_files && c->args_max > 1 && strstr(c->usage, "QUERY")) {
        buf_put_c(out, "            '1:query: ' \\\n");
    }
    buf_put_c(out, c->takes_files ? "            '*:file:_files' \\\n" : "");
    buf_put_c(out, "            '(- *)'{-h,--help}'[Shows help]' ;;\n");
}

static void zsh(struct buf *out)
{
    buf_put_c(out, "#compdef weir\n"
                   "# zsh completion for weir; made by: weir completion zsh\n"
                   "_weir() {\n"
                   "  local -a commands\n"
                   "  local state line\n"
                   "  commands=(\n");
    for (const struct command_row *r = command_rows; r->command; r++) {
        buf_printf(out, "    '%s:", r->command->name);
        put_quoted(out, r->command->summary, ":\\");
        buf_put_c(out, "'\n");
    }
    buf_put_c(out, "  )\n"
                   "  _arguments -C '1: :->command' '*:: :->words'\n"
                   "  case $state in\n"
                   "    command) _describe command commands ;;\n"
                   "    words)\n"
                   "      case $line[1] in\n"
                   "        help) _describe command commands ;;\n");
    for (const struct command_row *r = command_rows; r->command; r++)
        zsh_command(out, r->command);
    buf_put_c(out,
              "      esac ;;\n"
              "  esac\n"
              "}\n"
              "if [[ $funcstack[1] == _weir ]]; then _weir \"$@\"; else compdef _weir weir; fi\n");
}

/* ---- fish ---- */

static void fish_option(struct buf *out, const struct command *c, const struct option_def *d)
{
    buf_printf(out, "complete -c weir -n '__fish_seen_subcommand_from %s' -l %s", c->name, d->name);
    if (d->letter)
        buf_printf(out, " -s %c", d->letter);
    if (d->choices) {
        buf_put_c(out, " -x -a '");
        put_choices(out, d->choices, ' ');
        buf_put_byte(out, '\'');
    } else if (d->value) {
        buf_put_c(out, is_valued(d, "FILE")  ? " -r -F"
                       : is_valued(d, "DIR") ? " -x -a '(__fish_complete_directories)'"
                                             : " -x");
    }
    buf_put_c(out, " -d '");
    put_quoted(out, d->help, "");
    buf_put_c(out, "'\n");
}

static void fish(struct buf *out)
{
    buf_put_c(out,
              "# fish completion for weir; made by: weir completion fish\ncomplete -c weir -f\n");
    for (const struct command_row *r = command_rows; r->command; r++) {
        const struct command *c = r->command;
        buf_printf(out, "complete -c weir -n __fish_use_subcommand -a %s -d '", c->name);
        put_quoted(out, c->summary, "");
        buf_put_c(out, "'\n");
        if (c->verbs) {
            buf_printf(out, "complete -c weir -n '__fish_seen_subcommand_from %s' -a '", c->name);
            put_verbs(out, c);
            buf_put_c(out, "'\n");
        }
        if (c->takes_files)
            buf_printf(out, "complete -c weir -n '__fish_seen_subcommand_from %s' -F\n", c->name);
        for (const struct option_def *d = c->options; d && d->name; d++)
            fish_option(out, c, d);
    }
}

static int print(struct buf *out)
{
    bool good = fwrite(out->p, 1, out->n, stdout) == out->n && fflush(stdout) == 0;
    buf_release(out);
    return good ? 0 : 1;
}

int cmd_completion(int argc, char **argv)
{
    struct options o;
    struct buf out;
    int status = options_parse(&o, &completion_command, argc, argv);
    if (status >= 0)
        return status;
    buf_init(&out, SIZE_MAX);
    if (!strcmp(o.arg[0], "bash"))
        bash(&out);
    else if (!strcmp(o.arg[0], "zsh"))
        zsh(&out);
    else if (!strcmp(o.arg[0], "fish"))
        fish(&out);
    else
        return options_fail(&completion_command, "\"%s\" is not a shell of bash, zsh and fish",
                            o.arg[0]);
    return print(&out);
}
