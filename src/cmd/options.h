/* Command lines: a table a command, from which they are parsed and --help is written. Options are
 * "--name value", "--name=value", "-n value"; "--" ends them. Texts go to the terminal as they are.
 * Threads: main only. */
#ifndef WEIR_CMD_OPTIONS_H
#define WEIR_CMD_OPTIONS_H

#include "core/str.h"

struct option_def {
    const char *name;    /* without the dashes */
    char letter;         /* 0: none */
    const char *value;   /* how the value is called in the help; NULL: a flag */
    const char *help;    /* one line; the default belongs in it */
    bool many;           /* may be given more than once */
    const char *choices; /* "auto|always|never", for completion; NULL: anything */
};
struct command {
    const char *name;                 /* "ingest" */
    const char *summary;              /* for the list of commands */
    const char *usage;                /* behind the name: "[options] FILE...|-" */
    const char *text;                 /* what it does, with examples; shown above the options */
    const struct option_def *options; /* ended by name NULL; NULL: none but "help" */
    const char *const *verbs;         /* what the first argument may be; NULL-ended, or NULL */
    bool takes_files;                 /* arguments, but for QUERY and verbs, are files */
    unsigned args_min, args_max;
};

enum { OPTION_VALUES_MAX = 128 };
struct options {
    const struct command *command;
    struct {
        const struct option_def *def;
        const char *value;
    } given[OPTION_VALUES_MAX];
    unsigned n_given;
    char **arg; /* what is no option, in order */
    unsigned n_args;
};

/* Parses argv[1..]: arguments are moved to the front of argv. Answers -1 to go on; else the exit
 * status: help was asked for (0), or the line is wrong and has been explained on stderr (2). */
int options_parse(struct options *o, const struct command *c, int argc, char **argv);
/* The last value given, or NULL; for a flag "" when it was given. */
const char *options_value(const struct options *o, const char *name);
/* The value number i (from 0) of an option that may be given many times, or NULL. */
const char *options_value_at(const struct options *o, const char *name, unsigned i);
static inline bool options_has(const struct options *o, const char *name)
{
    return options_value(o, name) != NULL;
}
/* A whole number from min to max; `def` when not given. False: explained on stderr. */
bool options_number(const struct options *o, const char *name, uint64_t min, uint64_t max,
                    uint64_t def, uint64_t *ret);
/* "weir NAME: ..." on stderr, with a hint at --help when `usage`; answers the exit status. */
int options_fail(const struct command *c, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* The nearest of NULL-ended names, or NULL: for "did you mean". */
const char *options_nearest(struct str name, const char *const *names, size_t n);

/* Whether stdout is a terminal, and one that takes colours (NO_COLOR is honoured). */
bool terminal_is_stdout(void);
bool terminal_colours(void);
/* What these two say now is what they say from now on: before standard output goes elsewhere. */
void terminal_remember(void);

#endif
