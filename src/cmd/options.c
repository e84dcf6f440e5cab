/* Command lines. */
#include "cmd/options.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const struct option_def help_def = {"help", 'h', NULL, "Shows this.", false};

static void print_option(const struct option_def *d)
{
    char left[64];
    if (d->letter)
        snprintf(left, sizeof(left), "-%c, --%s%s%s", d->letter, d->name, d->value ? " " : "",
                 d->value ? d->value : "");
    else
        snprintf(left, sizeof(left), "    --%s%s%s", d->name, d->value ? " " : "",
                 d->value ? d->value : "");
    printf("  %-28s %s\n", left, d->help);
}

static void print_help(const struct command *c)
{
    printf("usage: weir %s%s%s\n\n%s\n", c->name, *c->usage ? " " : "", c->usage, c->text);
    printf("\noptions:\n");
    for (const struct option_def *d = c->options; d && d->name; d++)
        print_option(d);
    print_option(&help_def);
}

int options_fail(const struct command *c, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fprintf(stderr, "weir %s: ", c->name);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
    return 2;
}

const char *options_nearest(struct str name, const char *const *names, size_t n)
{
    const char *nearest = NULL;
    unsigned best = 3;
    for (size_t i = 0; i < n; i++) {
        unsigned d = str_distance(name, str_c(names[i]), 3);
        if (d < best) {
            best = d;
            nearest = names[i];
        }
        if (!nearest && name.n > 1 && str_starts(str_c(names[i]), name))
            nearest = names[i];
    }
    return nearest;
}

static const struct option_def *find(const struct command *c, struct str name, char letter)
{
    for (const struct option_def *d = c->options; d && d->name; d++)
        if ((name.n && str_eq_c(name, d->name)) || (letter && letter == d->letter))
            return d;
    if (str_eq_c(name, "help") || letter == 'h')
        return &help_def;
    return NULL;
}

static int fail_unknown(const struct command *c, struct str name)
{
    const char *names[64] = {"help"};
    size_t n = 1;
    for (const struct option_def *d = c->options; d && d->name && n < 64; d++)
        names[n++] = d->name;
    const char *nearest = options_nearest(name, names, n);
    if (nearest)
        return options_fail(c, "no option --%.*s; did you mean --%s?", STR_ARG(name), nearest);
    return options_fail(c, "no option --%.*s; see weir %s --help", STR_ARG(name), c->name);
}

static int fail_letter(const struct command *c, char letter)
{
    return options_fail(c, "no option -%c; see weir %s --help", letter, c->name);
}

static int add(struct options *o, const struct option_def *d, const char *value)
{
    if (o->n_given == OPTION_VALUES_MAX)
        return options_fail(o->command, "too many options");
    o->given[o->n_given].def = d;
    o->given[o->n_given++].value = value;
    return -1;
}

/* The option `d` with what stands behind it: NULL, or its value or other letters of the word. */
static int take(struct options *o, const struct option_def *d, const char *value, int argc,
                char **argv, int *i)
{
    if (d == &help_def) {
        print_help(o->command);
        return 0;
    }
    if (!d->value) {
        if (value)
            return options_fail(o->command, "--%s takes no value", d->name);
        return add(o, d, "");
    }
    if (!value && *i + 1 >= argc)
        return options_fail(o->command, "--%s wants a value: --%s %s", d->name, d->name, d->value);
    if (!value)
        value = argv[++*i];
    if (!d->many && options_has(o, d->name))
        return options_fail(o->command, "--%s is given twice", d->name);
    return add(o, d, value);
}

static int parse_long(struct options *o, int argc, char **argv, int *i)
{
    struct str name = str_from(str_c(argv[*i]), 2);
    const char *value = NULL;
    size_t eq = str_find_byte(name, '=', 0);
    if (eq < name.n) {
        value = name.p + eq + 1;
        name.n = eq;
    }
    const struct option_def *d = find(o->command, name, 0);
    return d ? take(o, d, value, argc, argv, i) : fail_unknown(o->command, name);
}

/* Letters: flags may stand together, the last may take a value: -in, -C3, -C 3. */
static int parse_letters(struct options *o, int argc, char **argv, int *i)
{
    for (const char *at = argv[*i] + 1; *at; at++) {
        const struct option_def *d = find(o->command, STR(""), *at);
        if (!d)
            return fail_letter(o->command, *at);
        const char *value = d->value && at[1] ? at + 1 : NULL;
        int status = take(o, d, value, argc, argv, i);
        if (status >= 0 || d->value)
            return status;
    }
    return -1;
}

static int parse_one(struct options *o, int argc, char **argv, int *i)
{
    return argv[*i][1] == '-' ? parse_long(o, argc, argv, i) : parse_letters(o, argc, argv, i);
}

int options_parse(struct options *o, const struct command *c, int argc, char **argv)
{
    *o = (struct options){.command = c, .arg = argv + 1};
    bool ended = false;
    for (int i = 1; i < argc; i++) {
        if (ended || argv[i][0] != '-' || argv[i][1] == 0) {
            o->arg[o->n_args++] = argv[i];
        } else if (!strcmp(argv[i], "--")) {
            ended = true;
        } else {
            int status = parse_one(o, argc, argv, &i);
            if (status >= 0)
                return status;
        }
    }
    if (o->n_args < c->args_min)
        return options_fail(c, "something is missing: weir %s %s; see weir %s --help", c->name,
                            c->usage, c->name);
    if (o->n_args > c->args_max)
        return options_fail(c, "what is \"%s\" for? usage: weir %s %s; see weir %s --help",
                            o->arg[c->args_max], c->name, c->usage, c->name);
    return -1;
}

const char *options_value(const struct options *o, const char *name)
{
    for (unsigned i = o->n_given; i-- > 0;)
        if (!strcmp(o->given[i].def->name, name))
            return o->given[i].value;
    return NULL;
}

const char *options_value_at(const struct options *o, const char *name, unsigned i)
{
    for (unsigned k = 0; k < o->n_given; k++)
        if (!strcmp(o->given[k].def->name, name) && i-- == 0)
            return o->given[k].value;
    return NULL;
}

bool options_number(const struct options *o, const char *name, uint64_t min, uint64_t max,
                    uint64_t def, uint64_t *ret)
{
    const char *text = options_value(o, name);
    uint64_t v = def;
    if (text && (!str_to_u64(str_c(text), &v) || v < min || v > max)) {
        options_fail(o->command, "--%s %s: a whole number from %llu to %llu is wanted", name, text,
                     (unsigned long long)min, (unsigned long long)max);
        return false;
    }
    *ret = v;
    return true;
}

static bool remembered, was_terminal, had_colours;

bool terminal_is_stdout(void)
{
    return remembered ? was_terminal : isatty(STDOUT_FILENO);
}

bool terminal_colours(void)
{
    const char *no = getenv("NO_COLOR"), *term = getenv("TERM");
    if (remembered)
        return had_colours;
    return isatty(STDOUT_FILENO) && !(no && *no) && !(term && !strcmp(term, "dumb"));
}

void terminal_remember(void)
{
    bool colours = terminal_colours();
    was_terminal = terminal_is_stdout();
    had_colours = colours;
    remembered = true;
}
