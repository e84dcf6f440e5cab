/* Reads patterns in PCRE2's syntax, as of a pattern that PCRE2 has taken: errors need no look. Here
 * are groups, alternatives and quantifiers. */
#include "record/regex_tree_impl.h"

#define PATTERN_BYTES_MAX 4096
#define DEPTH_MAX 100

static const struct regex_tree *read_any(struct pattern *r);

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* ---- groups ---- */

/* Up to its ')', with flags that end with it. */
static const struct regex_tree *group_body(struct pattern *r)
{
    bool fold = r->fold, dot_all = r->dot_all;
    if (++r->depth > DEPTH_MAX)
        return pattern_fail(r);
    const struct regex_tree *t = read_any(r);
    r->depth--;
    if (pattern_peek(r, 0) != ')')
        return pattern_fail(r);
    r->at++;
    r->fold = fold;
    r->dot_all = dot_all;
    return t;
}

static const struct regex_tree *assertion(struct pattern *r)
{
    (void)group_body(r);
    return pattern_nothing(r);
}

/* "i-s)" or "i-s:...)". */
static const struct regex_tree *flags(struct pattern *r)
{
    bool on = true, fold = r->fold, dot_all = r->dot_all;
    for (; pattern_peek(r, 0) != ')' && pattern_peek(r, 0) != ':'; r->at++) {
        switch (pattern_peek(r, 0)) {
        case '^':
            fold = dot_all = false;
            break;
        case '-':
            on = false;
            break;
        case 'i':
            fold = on;
            break;
        case 's':
            dot_all = on;
            break;
        case 'm':
        case 'n':
        case 'J':
        case 'U':
            break;
        default:
            return pattern_fail(r);
        }
    }
    bool here = pattern_peek(r, 0) == ')', was_fold = r->fold, was_dot_all = r->dot_all;
    r->at++;
    r->fold = fold;
    r->dot_all = dot_all;
    if (here)
        return pattern_nothing(r);
    const struct regex_tree *t = group_body(r);
    r->fold = was_fold;
    r->dot_all = was_dot_all;
    return t;
}

static const struct regex_tree *named(struct pattern *r, char close)
{
    return pattern_pass_to(r, close) ? group_body(r) : pattern_fail(r);
}

/* From its '(' on. */
static const struct regex_tree *group(struct pattern *r)
{
    r->at++;
    if (pattern_peek(r, 0) == '*')
        return pattern_fail(r);
    if (pattern_peek(r, 0) != '?')
        return group_body(r);
    r->at++;
    char c = pattern_peek(r, 0), behind = pattern_peek(r, 1);
    switch (c) {
    case ':':
    case '|':
    case '>':
        r->at++;
        return group_body(r);
    case '=':
    case '!':
        r->at++;
        return assertion(r);
    case '<':
        r->at += behind == '=' || behind == '!' ? 2 : 1;
        if (behind == '*')
            return pattern_fail(r);
        return behind == '=' || behind == '!' ? assertion(r) : named(r, '>');
    case '\'':
        r->at++;
        return named(r, '\'');
    case 'P':
        r->at += 2;
        if (behind == '<')
            return named(r, '>');
        return pattern_pass_to(r, ')') ? pattern_any_text(r) : pattern_fail(r);
    case 'R':
    case '&':
    case '+':
        return pattern_pass_to(r, ')') ? pattern_any_text(r) : pattern_fail(r);
    case '-':
        if (is_digit(behind))
            return pattern_pass_to(r, ')') ? pattern_any_text(r) : pattern_fail(r);
        return flags(r);
    default:
        if (is_digit(c))
            return pattern_pass_to(r, ')') ? pattern_any_text(r) : pattern_fail(r);
        return flags(r);
    }
}

/* ---- the pattern ---- */

static const struct regex_tree *atom(struct pattern *r)
{
    switch (pattern_peek(r, 0)) {
    case '(':
        return group(r);
    case '[':
        return pattern_class(r);
    case '\\':
        return pattern_escape(r);
    case '.':
        return pattern_dot(r);
    case '^':
    case '$':
        r->at++;
        return pattern_nothing(r);
    default:
        return pattern_plain(r);
    }
}

static uint32_t count(struct pattern *r)
{
    uint32_t n = 0;
    for (; is_digit(pattern_peek(r, 0)); r->at++)
        n = n < 100000 ? n * 10 + (uint32_t)(pattern_peek(r, 0) - '0') : n;
    return n;
}

/* "{2}", "{2,}", "{2,3}" from '{' on. Versions of PCRE2 differ on "{,3}" and on spaces within. */
static bool counts(struct pattern *r, uint32_t *ret_min, uint32_t *ret_max)
{
    size_t from = r->at++;
    size_t end = r->at;
    while (end < r->s.n && r->s.p[end] && strchr("0123456789, ", r->s.p[end]))
        end++;
    if (end == r->at || end >= r->s.n || r->s.p[end] != '}') {
        r->at = from;
        return false;
    }
    if (!is_digit(pattern_peek(r, 0))) {
        (void)pattern_fail(r);
        return false;
    }
    *ret_min = *ret_max = count(r);
    if (pattern_peek(r, 0) == ',') {
        r->at++;
        *ret_max = is_digit(pattern_peek(r, 0)) ? count(r) : REGEX_TREE_NO_MAX;
    }
    if (r->at != end) {
        (void)pattern_fail(r);
        return false;
    }
    r->at++;
    return true;
}

static bool quantifier(struct pattern *r, uint32_t *ret_min, uint32_t *ret_max)
{
    switch (pattern_peek(r, 0)) {
    case '*':
    case '+':
    case '?':
        *ret_min = pattern_peek(r, 0) == '+';
        *ret_max = pattern_peek(r, 0) == '?' ? 1 : REGEX_TREE_NO_MAX;
        r->at++;
        break;
    case '{':
        if (!counts(r, ret_min, ret_max))
            return false;
        break;
    default:
        return false;
    }
    if (pattern_peek(r, 0) == '?' || pattern_peek(r, 0) == '+') /* as few, or without a way back */
        r->at++;
    return true;
}

static const struct regex_tree *read_all(struct pattern *r)
{
    struct regex_tree *all = pattern_node(r, TREE_ALL);
    const struct regex_tree **link = &all->first;
    while (r->at < r->s.n && pattern_peek(r, 0) != '|' && pattern_peek(r, 0) != ')') {
        const struct regex_tree *t = atom(r);
        uint32_t min, max;
        while (quantifier(r, &min, &max))
            t = pattern_repeat(r, t, min, max);
        struct regex_tree *member = ARENA_NEW(r->a, struct regex_tree);
        *member = *t;
        *link = member;
        link = &member->next;
    }
    return all;
}

static const struct regex_tree *read_any(struct pattern *r)
{
    const struct regex_tree *t = read_all(r);
    if (pattern_peek(r, 0) != '|')
        return t;
    struct regex_tree *any = pattern_node(r, TREE_ANY);
    const struct regex_tree **link = &any->first;
    for (;;) {
        struct regex_tree *member = (struct regex_tree *)t;
        *link = member;
        link = &member->next;
        if (pattern_peek(r, 0) != '|')
            return any;
        r->at++;
        t = read_all(r);
    }
}

const struct regex_tree *regex_tree(struct arena *a, struct str pattern)
{
    struct pattern r = {.a = a, .s = pattern};
    if (pattern.n > PATTERN_BYTES_MAX)
        return NULL;
    const struct regex_tree *t = read_any(&r);
    return r.failed || r.at < pattern.n ? NULL : t;
}
