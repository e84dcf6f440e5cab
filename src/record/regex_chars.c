/* The characters of a pattern: plain, escaped, in classes.
 *
 * A set of characters is ASCII bytes and first bytes of longer characters; where it has such, any
 * number of continuation bytes may follow. With letter case ignored (UTF mode), only U+212A and
 * U+017F are the same as an ASCII letter, k and s. */
#include "record/regex_tree_impl.h"

/* ---- trees ---- */

struct regex_tree *pattern_node(struct pattern *r, enum regex_tree_kind kind)
{
    struct regex_tree *t = ARENA_NEW(r->a, struct regex_tree);
    t->kind = kind;
    return t;
}

const struct regex_tree *pattern_nothing(struct pattern *r)
{
    return pattern_node(r, TREE_ALL);
}

static void set_add(uint64_t set[4], unsigned from, unsigned to)
{
    for (unsigned c = from; c <= to; c++)
        set[c >> 6] |= 1ULL << (c & 63);
}

static const struct regex_tree *set_of(struct pattern *r, unsigned from, unsigned to)
{
    struct regex_tree *t = pattern_node(r, TREE_SET);
    set_add(t->set, from, to);
    return t;
}

const struct regex_tree *pattern_repeat(struct pattern *r, const struct regex_tree *of,
                                        uint32_t min, uint32_t max)
{
    struct regex_tree *t = pattern_node(r, TREE_REPEAT);
    t->first = of;
    t->min = min;
    t->max = max;
    return t;
}

/* One character of a set. */
static const struct regex_tree *character(struct pattern *r, const uint64_t set[4])
{
    struct regex_tree *t = pattern_node(r, TREE_SET);
    memcpy(t->set, set, sizeof(t->set));
    if (!(set[2] | set[3]))
        return t;
    struct regex_tree *all = pattern_node(r, TREE_ALL);
    t->next = pattern_repeat(r, set_of(r, 0x80, 0xbf), 0, REGEX_TREE_NO_MAX);
    all->first = t;
    return all;
}

static const struct regex_tree *any_character(struct pattern *r)
{
    uint64_t set[4] = {0};
    set_add(set, 0, 0x7f);
    set_add(set, 0xc2, 0xf4);
    return character(r, set);
}

/* Whatever a reference may stand for. */
const struct regex_tree *pattern_any_text(struct pattern *r)
{
    return pattern_repeat(r, set_of(r, 0, 0xff), 0, REGEX_TREE_NO_MAX);
}

/* ---- letter case ---- */

static void set_fold(uint64_t set[4])
{
    for (unsigned c = 'a'; c <= 'z'; c++) {
        unsigned upper = c - 32;
        if (!regex_set_has(set, (uint8_t)c) && !regex_set_has(set, (uint8_t)upper))
            continue;
        set_add(set, c, c);
        set_add(set, upper, upper);
        if (c == 'k')
            set_add(set, 0xe2, 0xe2); /* U+212A */
        if (c == 's')
            set_add(set, 0xc5, 0xc5); /* U+017F */
    }
}

static void set_add_wide(struct pattern *r, uint64_t set[4])
{
    set_add(set, 0xc2, 0xf4);
    if (r->fold) {
        set_add(set, 'k', 'k');
        set_add(set, 's', 's');
    }
}

/* ---- characters as they are written ---- */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

const struct regex_tree *pattern_fail(struct pattern *r)
{
    r->failed = true;
    r->at = r->s.n;
    return pattern_nothing(r);
}

static size_t utf8_bytes(struct pattern *r)
{
    size_t n = 1;
    while (((uint8_t)pattern_peek(r, n) & 0xc0) == 0x80)
        n++;
    return n;
}

/* The character at the reader, not only ASCII, as it is. */
const struct regex_tree *pattern_plain(struct pattern *r)
{
    size_t n = utf8_bytes(r);
    uint64_t set[4] = {0};
    if (n > 1 && !r->fold) {
        struct regex_tree *all = pattern_node(r, TREE_ALL);
        const struct regex_tree **link = &all->first;
        for (size_t i = 0; i < n; i++) {
            struct regex_tree *byte = (struct regex_tree *)set_of(r, (uint8_t)pattern_peek(r, i),
                                                                  (uint8_t)pattern_peek(r, i));
            *link = byte;
            link = &byte->next;
        }
        r->at += n;
        return all;
    }
    if (n > 1)
        set_add_wide(r, set);
    else
        set_add(set, (uint8_t)pattern_peek(r, 0), (uint8_t)pattern_peek(r, 0));
    if (r->fold)
        set_fold(set);
    r->at += n;
    return character(r, set);
}

/* ---- escapes ---- */

bool pattern_pass_to(struct pattern *r, char close)
{
    const char *end = r->at < r->s.n ? memchr(r->s.p + r->at, close, r->s.n - r->at) : NULL;
    if (!end)
        return false;
    r->at = (size_t)(end - r->s.p) + 1;
    return true;
}

/* \d and its like; false for other letters. */
static bool set_of_class(char c, uint64_t set[4])
{
    uint64_t is[4] = {0};
    switch (c | 0x20) {
    case 'd':
        set_add(is, '0', '9');
        break;
    case 'w':
        set_add(is, '0', '9');
        set_add(is, 'a', 'z');
        set_add(is, 'A', 'Z');
        set_add(is, '_', '_');
        break;
    case 's':
        set_add(is, 9, 13);
        set_add(is, ' ', ' ');
        break;
    default:
        return false;
    }
    bool negated = c < 'a';
    for (unsigned b = 0; b < 128; b++) {
        if (regex_set_has(is, (uint8_t)b) != negated)
            set_add(set, b, b);
    }
    if (negated)
        set_add(set, 0xc2, 0xf4);
    return true;
}

/* The byte of \n and its like, or -1. */
static int control_of(char c)
{
    static const char names[] = "ntrfea", bytes[] = "\n\t\r\f\x1b\a";
    const char *at = c ? strchr(names, c) : NULL;
    return at ? bytes[at - names] : -1;
}

/* Passes what may follow the letter of an escape that stands for one character (the reader is
 * behind the letter); false: not known. */
static bool pass_escape(struct pattern *r, char c)
{
    switch (c) {
    case 'h':
    case 'H':
    case 'v':
    case 'V':
        return true;
    case 'N':
        return !(pattern_peek(r, 0) == '{' && pattern_peek(r, 1) == 'U') || pattern_pass_to(r, '}');
    case 'p':
    case 'P':
    case 'x':
    case 'o':
        if (pattern_peek(r, 0) == '{')
            return pattern_pass_to(r, '}');
        if (c == 'o')
            return false;
        for (int n = c == 'x' ? 2 : 1; n > 0 && r->at < r->s.n; n--) {
            if (c == 'x' && !is_digit(pattern_peek(r, 0)) &&
                !((pattern_peek(r, 0) | 0x20) >= 'a' && (pattern_peek(r, 0) | 0x20) <= 'f'))
                break;
            r->at++;
        }
        return true;
    case 'c':
        r->at++;
        return true;
    default:
        return false;
    }
}

/* A reference to a group, by number or name, or an octal character; the reader is behind the
 * letter or digit. */
static const struct regex_tree *reference(struct pattern *r, char c)
{
    static const char open[] = "{<'", close[] = "}>'";
    const char *kind = pattern_peek(r, 0) ? strchr(open, pattern_peek(r, 0)) : NULL;
    if (!is_digit(c) && kind) {
        r->at++;
        if (!pattern_pass_to(r, close[kind - open]))
            return pattern_fail(r);
        return pattern_any_text(r);
    }
    if (!is_digit(c) && (pattern_peek(r, 0) == '-' || pattern_peek(r, 0) == '+'))
        r->at++;
    while (is_digit(pattern_peek(r, 0)))
        r->at++;
    return pattern_any_text(r);
}

const struct regex_tree *pattern_escape(struct pattern *r)
{
    r->at++;
    char c = pattern_peek(r, 0);
    uint64_t set[4] = {0};
    bool letter = (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
    if (c == 0)
        return pattern_fail(r);
    if (!letter && !is_digit(c))
        return pattern_plain(r);
    r->at++;
    if (strchr("bBAzZGK", c))
        return pattern_nothing(r);
    if (is_digit(c) || c == 'g' || c == 'k')
        return reference(r, c);
    if (c == 'R' || c == 'X')
        return pattern_any_text(r);
    int control = control_of(c);
    if (control >= 0)
        return set_of(r, (unsigned)control, (unsigned)control);
    if (set_of_class(c, set))
        return character(r, set);
    return pass_escape(r, c) ? any_character(r) : pattern_fail(r);
}

/* ---- classes ---- */

/* One element of a class from the reader on: *ret_low is its ASCII byte, or -1 where it was added
 * to the set or is beyond ASCII. */
static bool class_element(struct pattern *r, uint64_t set[4], int *ret_low)
{
    char c = pattern_peek(r, 0);
    *ret_low = -1;
    if (c == '[' && pattern_peek(r, 1) && strchr(":.=", pattern_peek(r, 1))) {
        set_add(set, 0, 0x7f); /* [:alpha:] or a plain bracket: either way no more than all */
        set_add_wide(r, set);
        size_t at = r->at + 2;
        while (at < r->s.n && r->s.p[at] >= 'a' && r->s.p[at] <= 'z')
            at++;
        if (pattern_peek(r, 1) != ':' || pattern_peek(r, 2) == '<' || pattern_peek(r, 2) == '>' ||
            pattern_peek(r, 2) == '^' || at + 1 >= r->s.n || r->s.p[at] != ':' ||
            r->s.p[at + 1] != ']')
            return false;
        r->at = at + 2;
        return true;
    }
    if (c != '\\') {
        size_t n = utf8_bytes(r);
        if (n == 1)
            *ret_low = (uint8_t)c;
        else
            set_add_wide(r, set);
        r->at += n;
        return true;
    }
    r->at++;
    c = pattern_peek(r, 0);
    bool letter = (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
    if (!letter && !is_digit(c)) {
        if (r->at < r->s.n && (uint8_t)c < 128)
            *ret_low = (uint8_t)c;
        else
            return false;
        r->at++;
        return true;
    }
    r->at++;
    *ret_low = c == 'b' ? '\b' : control_of(c);
    if (*ret_low >= 0 || set_of_class(c, set))
        return true;
    set_add(set, 0, 0x7f);
    set_add_wide(r, set);
    while (is_digit(c) && is_digit(pattern_peek(r, 0)))
        r->at++;
    return is_digit(c) || pass_escape(r, c);
}

static const struct regex_tree *negated(struct pattern *r, const uint64_t set[4])
{
    uint64_t other[4] = {~set[0], ~set[1], 0, 0};
    set_add(other, 0xc2, 0xf4);
    return character(r, other);
}

const struct regex_tree *pattern_class(struct pattern *r)
{
    uint64_t set[4] = {0};
    bool approximate = false; /* the set is larger than the class: no complement of it */
    r->at++;
    bool negate = pattern_peek(r, 0) == '^';
    r->at += negate;
    for (bool begun = false; pattern_peek(r, 0) != ']' || !begun; begun = true) {
        int low, high;
        size_t from = r->at;
        if (r->at >= r->s.n || !class_element(r, set, &low))
            return pattern_fail(r);
        char kind = r->s.p[from], letter = from + 1 < r->s.n ? r->s.p[from + 1] : 0;
        approximate |= low < 0 && (kind == '[' || (kind == '\\' && !strchr("dDwWsS", letter)) ||
                                   (r->fold && kind != '\\'));
        bool is_set = kind == '[' || (kind == '\\' && low < 0);
        if (is_set || pattern_peek(r, 0) != '-' || pattern_peek(r, 1) == ']') {
            if (low >= 0)
                set_add(set, (unsigned)low, (unsigned)low);
            continue;
        }
        r->at++;
        if (r->at >= r->s.n || !class_element(r, set, &high))
            return pattern_fail(r);
        if (high < 0) { /* up to beyond ASCII, or to what is no range */
            set_add_wide(r, set);
            approximate = true;
        }
        if (low >= 0)
            set_add(set, (unsigned)low, high < 0 ? 0x7f : (unsigned)high);
    }
    r->at++;
    if (negate && approximate)
        return any_character(r);
    if (r->fold)
        set_fold(set);
    return negate ? negated(r, set) : character(r, set);
}

const struct regex_tree *pattern_dot(struct pattern *r)
{
    r->at++;
    if (r->dot_all)
        return any_character(r);
    uint64_t newline[4] = {0};
    set_add(newline, '\n', '\n');
    return negated(r, newline);
}
