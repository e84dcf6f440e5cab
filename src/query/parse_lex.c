/* The pieces of pipes: words, numbers, options, lists, and errors that show the place. */
#include "query/parse_impl.h"

#include <ctype.h>

/* The line of the query that holds `at`, and a caret below; tabs would shift it, so they print as
 * spaces. */
enum err parse_fail(struct parser *p, size_t at, const char *what, const char *hint)
{
    if (p->ret_at)
        *p->ret_at = at;
    size_t from = at > 100 ? at - 100 : 0;
    size_t n = p->text.n - from > 180 ? 180 : p->text.n - from;
    char line[200];
    for (size_t i = 0; i < n; i++)
        line[i] = (unsigned char)p->text.p[from + i] < ' ' ? ' ' : p->text.p[from + i];
    return err_set(ERR_INVALID, "%s at column %zu\n  %.*s\n  %*s^%s%s", what, at + 1, (int)n, line,
                   (int)(at - from), "", hint ? "\nhint: " : "", hint ? hint : "");
}

void parse_space(struct parser *p)
{
    while (p->at < p->text.n && isspace((unsigned char)p->text.p[p->at]))
        p->at++;
}

bool parse_peek(struct parser *p, char c)
{
    parse_space(p);
    return p->at < p->text.n && p->text.p[p->at] == c;
}

bool parse_take(struct parser *p, char c)
{
    bool is = parse_peek(p, c);
    p->at += is;
    return is;
}

bool parse_at_end(struct parser *p)
{
    parse_space(p);
    return p->at >= p->text.n || p->text.p[p->at] == '|';
}

bool parse_is_word_byte(unsigned char c)
{
    return isalnum(c) || c == '_' || c == '.' || c == '@' || c == '$' || c == '/' || c == '-' ||
           c == '*' || c == ':' || c >= 0x80;
}

struct str parse_word(struct parser *p)
{
    parse_space(p);
    size_t from = p->at;
    if (from < p->text.n && (p->text.p[from] == '"' || p->text.p[from] == '\'')) {
        char quote = p->text.p[from];
        size_t end = str_find_byte(p->text, quote, from + 1);
        if (end >= p->text.n)
            return (struct str){0};
        p->at = end + 1;
        return str_of(p->text.p + from + 1, end - from - 1);
    }
    while (p->at < p->text.n && parse_is_word_byte((unsigned char)p->text.p[p->at]))
        p->at++;
    return str_of(p->text.p + from, p->at - from);
}

bool parse_keyword(struct parser *p, const char *name)
{
    parse_space(p);
    size_t save = p->at;
    struct str w = parse_word(p);
    if (str_ieq(w, str_c(name)))
        return true;
    p->at = save;
    return false;
}

enum err parse_field(struct parser *p, struct str *ret)
{
    parse_space(p);
    size_t from = p->at;
    struct str w = parse_word(p);
    if (w.n == 0)
        return parse_fail(p, from, "a field name is expected", NULL);
    if (p->at < p->text.n && p->text.p[p->at] == '(') {
        size_t end = str_find_byte(p->text, ')', p->at);
        if (end >= p->text.n)
            return parse_fail(p, p->at, "this '(' is never closed", NULL);
        struct str inside = str_trim(str_of(p->text.p + p->at + 1, end - p->at - 1));
        *ret = inside.n == 0 && str_ieq(w, STR("count"))
                   ? STR("count")
                   : arena_printf(p->arena, "%.*s(%.*s)", STR_ARG(w), STR_ARG(inside));
        p->at = end + 1;
        return OK;
    }
    *ret = w;
    return OK;
}

enum err parse_number(struct parser *p, uint64_t *ret)
{
    parse_space(p);
    size_t from = p->at;
    struct str w = parse_word(p);
    if (!str_to_u64(w, ret))
        return parse_fail(p, from, "a whole number is expected", NULL);
    return OK;
}

bool parse_at_keyword(struct parser *p, const char *name)
{
    size_t save = p->at;
    bool is = parse_keyword(p, name);
    p->at = save;
    return is;
}

enum err parse_count(struct parser *p, uint64_t *ret)
{
    parse_space(p);
    bool digit = p->at < p->text.n && isdigit((unsigned char)p->text.p[p->at]);
    return digit ? parse_number(p, ret) : OK;
}

bool parse_option(struct parser *p, struct str *ret_name, struct str *ret_value, size_t *ret_at)
{
    size_t save = p->at;
    *ret_name = parse_word(p);
    if (ret_name->n && p->at < p->text.n && p->text.p[p->at] == '=') {
        p->at++;
        *ret_at = p->at;
        *ret_value = parse_word(p);
        return true;
    }
    p->at = save;
    return false;
}

enum err parse_bool(struct parser *p, struct str value, size_t at, bool *ret)
{
    static const char *const yes[] = {"true", "t", "1", "yes"}, *const no[] = {"false", "f", "0",
                                                                               "no"};
    for (int i = 0; i < 4; i++) {
        if (str_ieq(value, str_c(yes[i])) || str_ieq(value, str_c(no[i]))) {
            *ret = str_ieq(value, str_c(yes[i]));
            return OK;
        }
    }
    return parse_fail(p, at, "true or false is expected", NULL);
}

bool parse_more(struct parser *p)
{
    return parse_take(p, ',') || (!parse_at_end(p) && p->text.p[p->at] != ')');
}

const char *parse_nearest(struct str name, const char *const *names, size_t n)
{
    const char *nearest = NULL;
    unsigned distance = 3;
    for (size_t i = 0; i < n && name.n; i++) {
        unsigned d = str_distance(name, str_c(names[i]), 2);
        nearest = d < distance ? names[i] : nearest;
        distance = d < distance ? d : distance;
    }
    return nearest;
}
