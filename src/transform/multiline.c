/* What goes on with the record before, by the way each language prints what went wrong:
 *
 *   java     lines that begin with white space; "Caused by:", "Suppressed:"; "... 12 more"; and a
 *            line "package.Class: text" or "package.ClassException" behind a message
 *   python   "Traceback (most recent call last):", all that is indented behind it, the line with
 *            the exception (the first that is not indented), and the two sentences that chain
 *            tracebacks, with the empty lines around them
 *   go       "panic:" or "fatal error:" opens a block: "goroutine N [...]:", calls, indented lines,
 *            empty lines, "[signal ...", "exit status", "created by"
 *   dotnet   lines that begin with white space and "at ", "--->", "--- End of"; "Unhandled
 *            exception"
 *   mysql    the slow log: a record begins at "# Time:", or at "# User@Host:" when no "# Time:"
 *            came right before it
 *   mysql_error  the error log: a record begins as mysql_error.c says */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "transform/multiline.h"

#include "core/mem.h"
#include "transform/mysql_log_impl.h"

#include <ctype.h>
#include <pcre2.h>

enum kind { JAVA, PYTHON, GO, DOTNET, MYSQL, MYSQL_ERROR, BEGINS, CONTINUES };

struct multiline {
    enum kind kind;
    pcre2_code *regex;
    struct mysql_log *mysql; /* MYSQL_ERROR */
};

static enum err compile(struct multiline *m, struct str text)
{
    int code;
    size_t at;
    unsigned char why[256];
    m->regex = pcre2_compile((PCRE2_SPTR)text.p, text.n, PCRE2_MATCH_INVALID_UTF | PCRE2_UTF, &code,
                             &at, NULL);
    if (m->regex) {
        (void)pcre2_jit_compile(m->regex, PCRE2_JIT_COMPLETE);
        return OK;
    }
    pcre2_get_error_message(code, why, sizeof(why));
    return err_set(ERR_INVALID, "/%.*s/: %s at byte %zu", STR_ARG(text), (char *)why, at);
}

enum err multiline_new(struct str text, struct multiline **ret)
{
    static const struct {
        const char *name;
        enum kind kind;
    } kinds[] = {
        {"java", JAVA},     {"python", PYTHON}, {"go", GO},
        {"dotnet", DOTNET}, {"mysql", MYSQL},   {"mysql_error", MYSQL_ERROR},
    };
    static const struct str begins = {"begins:", 7}, continues = {"continues:", 10};
    struct multiline *m = NEW(struct multiline);
    enum err err = OK;
    size_t i = 0, n = sizeof(kinds) / sizeof(*kinds);
    while (i < n && !str_eq_c(text, kinds[i].name))
        i++;
    if (i < n) {
        m->kind = kinds[i].kind;
        if (m->kind == MYSQL_ERROR)
            err = mysql_log_new(&(struct mysql_log_options){.kind = MYSQL_LOG_ERROR}, &m->mysql);
    } else if (str_starts(text, begins)) {
        m->kind = BEGINS;
        err = compile(m, str_from(text, begins.n));
    } else if (str_starts(text, continues)) {
        m->kind = CONTINUES;
        err = compile(m, str_from(text, continues.n));
    } else {
        err = err_set(ERR_INVALID,
                      "multiline \"%.*s\": java, python, go, dotnet, mysql, mysql_error, "
                      "begins:REGEX or continues:REGEX is wanted",
                      text.n > 100 ? 100 : (int)text.n, text.p);
    }
    if (err != OK) {
        multiline_free(m);
        return err;
    }
    *ret = m;
    return OK;
}

void multiline_free(struct multiline *m)
{
    if (!m)
        return;
    pcre2_code_free(m->regex);
    mysql_log_free(m->mysql);
    mem_free(m);
}

static bool begins_with(struct str line, const char *const *heads)
{
    for (; *heads; heads++)
        if (str_starts(line, str_c(*heads)))
            return true;
    return false;
}

static bool indented(struct str line)
{
    return line.n && (line.p[0] == ' ' || line.p[0] == '\t');
}

/* A dotted name that ends in a class: "java.lang.IllegalStateException: text". */
static bool is_exception(struct str line)
{
    size_t n = 0;
    unsigned dots = 0;
    while (n < line.n && (isalnum((unsigned char)line.p[n]) || strchr("._$", line.p[n])))
        dots += line.p[n++] == '.';
    struct str name = str_of(line.p, n);
    if (n < line.n && line.p[n] != ':')
        return false;
    return dots > 0 && (str_ends(name, STR("Exception")) || str_ends(name, STR("Error")) ||
                        str_ends(name, STR("Throwable")));
}

static bool java(struct str line)
{
    static const char *const heads[] = {"Caused by:", "Suppressed:", "... ", NULL};
    return indented(line) || begins_with(line, heads) || is_exception(line);
}

static bool python(struct multiline_state *s, struct str line)
{
    static const char *const chains[] = {"During handling of the above exception",
                                         "The above exception was the direct cause", NULL};
    if (str_starts(line, STR("Traceback (most recent call last):"))) {
        s->within = true;
        return true;
    }
    if (begins_with(line, chains))
        return true;
    if (!line.n || indented(line))
        return s->within || indented(line);
    bool last = s->within; /* "ValueError: text" ends the block */
    s->within = false;
    return last;
}

static bool go(struct multiline_state *s, struct str line)
{
    static const char *const opens[] = {"panic: ", "fatal error: ", NULL};
    static const char *const inner[] = {"goroutine ", "[signal ", "exit status ", "created by ",
                                        "runtime.",   "main.",    "\t",           NULL};
    if (begins_with(line, opens)) {
        bool nested = s->within;
        s->within = true;
        return nested;
    }
    if (!s->within)
        return false;
    bool call = line.n && line.p[line.n - 1] == ')' && str_find_byte(line, '(', 0) < line.n &&
                str_find_byte(line, ' ', 0) > str_find_byte(line, '(', 0);
    s->within = !line.n || begins_with(line, inner) || call;
    return s->within;
}

static bool dotnet(struct str line)
{
    static const char *const heads[] = {"at ", "---> ", "--- End of", NULL};
    return indented(line) || begins_with(line, heads) || is_exception(line);
}

static bool mysql(struct multiline_state *s, struct str line)
{
    if (str_starts(line, STR("# Time:"))) {
        s->within = true; /* # User@Host: belongs to it */
        return false;
    }
    if (str_starts(line, STR("# User@Host:"))) {
        bool timed = s->within;
        s->within = false;
        return timed;
    }
    s->within = false;
    return true;
}

static bool matches(const struct multiline *m, struct str line)
{
    pcre2_match_data *data = pcre2_match_data_create(1, NULL);
    int n = pcre2_match(m->regex, (PCRE2_SPTR)line.p, line.n, 0, 0, data, NULL);
    pcre2_match_data_free(data);
    return n >= 0;
}

bool multiline_continues(const struct multiline *m, struct multiline_state *s, struct str line)
{
    switch (m->kind) {
    case JAVA:
        return java(line);
    case PYTHON:
        return python(s, line);
    case GO:
        return go(s, line);
    case DOTNET:
        return dotnet(line);
    case MYSQL:
        return mysql(s, line);
    case MYSQL_ERROR:
        return !mysql_log_is_entry(m->mysql, line);
    case BEGINS:
        return !matches(m, line);
    case CONTINUES:
        return matches(m, line);
    }
    return false;
}
