#include "aws/profile.h"

#include "core/io.h"

#include <stdio.h>
#include <stdlib.h>

enum { FILE_MAX = 1 << 20 };

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* A comment behind the value needs a blank before it. */
static struct str without_comment(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((s.p[i] == '#' || s.p[i] == ';') && (i == 0 || is_blank(s.p[i - 1])))
            return str_of(s.p, i);
    return s;
}

/* "[profile  name]" -> "profile name" with one blank; false: the line is no section. */
static bool read_section(struct str line, struct str *ret)
{
    line = str_trim(without_comment(line));
    if (line.n < 2 || line.p[0] != '[' || line.p[line.n - 1] != ']')
        return false;
    *ret = str_trim(str_of(line.p + 1, line.n - 2));
    return true;
}

static bool section_eq(struct str have, struct str want)
{
    size_t blank = str_find_byte(want, ' ', 0);
    if (blank == want.n)
        return str_eq(have, want);
    struct str head = str_of(want.p, blank), tail = str_from(want, blank + 1);
    return str_starts(have, head) && have.n > head.n && is_blank(have.p[head.n]) &&
           str_eq(str_trim(str_from(have, head.n)), tail);
}

static bool read_setting(struct str line, struct str *ret_name, struct str *ret_value)
{
    size_t eq = str_find_byte(line, '=', 0);
    if (eq == line.n)
        return false;
    *ret_name = str_trim(str_of(line.p, eq));
    *ret_value = str_trim(without_comment(str_from(line, eq + 1)));
    return ret_name->n > 0;
}

static bool is_passed_over(struct str line)
{
    struct str s = str_trim(line);
    return s.n == 0 || s.p[0] == '#' || s.p[0] == ';' || is_blank(line.p[0]);
}

struct str profile_find(struct str text, struct str section, const char *name)
{
    struct str line, found = {0}, have, key, value;
    bool inside = false;
    while (str_split(&text, '\n', &line)) {
        if (is_passed_over(line))
            continue;
        if (read_section(line, &have))
            inside = section_eq(have, section);
        else if (inside && read_setting(line, &key, &value) && str_ieq(key, str_c(name)))
            found = value;
    }
    return found;
}

enum err profile_check(struct str text, const char *file)
{
    struct str line, a, b;
    for (unsigned number = 1; str_split(&text, '\n', &line); number++)
        if (!is_passed_over(line) && !read_section(line, &a) && !read_setting(line, &a, &b))
            return err_set(ERR_INVALID, "%s:%u: neither [section] nor name = value", file, number);
    return OK;
}

/* ---- the files ---- */

static enum err load_file(struct arena *a, const char *variable, const char *name, struct str *ret)
{
    const char *path = getenv(variable), *home = getenv("HOME");
    char at_home[4096];
    struct buf text;
    *ret = (struct str){0};
    if (!path || !*path) {
        if (!home || !*home)
            return OK;
        snprintf(at_home, sizeof(at_home), "%s/.aws/%s", home, name);
        path = at_home;
    }
    enum err err = io_read_file(path, FILE_MAX, &text);
    if (err == ERR_NOTFOUND)
        return OK;
    TRY(err);
    *ret = arena_str(a, buf_str(&text));
    buf_release(&text);
    return profile_check(*ret, path);
}

enum err profiles_load(struct arena *a, const char *profile, struct profiles *ret)
{
    struct profiles p = {0};
    const char *env = getenv("AWS_PROFILE");
    TRY(load_file(a, "AWS_CONFIG_FILE", "config", &p.config));
    TRY(load_file(a, "AWS_SHARED_CREDENTIALS_FILE", "credentials", &p.credentials));
    p.profile = profile && *profile ? profile : env && *env ? env : "default";
    *ret = p;
    return OK;
}

struct str profiles_get(const struct profiles *p, const char *profile, const char *name)
{
    char section[300];
    struct str who = str_c(profile ? profile : p->profile);
    struct str found = profile_find(p->credentials, who, name);
    if (found.p)
        return found;
    snprintf(section, sizeof(section), "profile %.*s", STR_ARG(who));
    found = profile_find(p->config, str_c(section), name);
    if (!found.p && str_eq_c(who, "default"))
        found = profile_find(p->config, who, name);
    return found;
}
