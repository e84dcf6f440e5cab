#define PCRE2_CODE_UNIT_WIDTH 8
#include "transform/redact.h"

#include "core/mem.h"

#include <pcre2.h>

enum { RULES_MAX = 64, MATCH_STEPS_MAX = 1000000 };

/* Group 1, where there is one, is what goes; else all that matches. */
static const struct {
    const char *what, *pattern;
    bool luhn;
} builtin[] = {
    {"cards", "(?<![0-9])[0-9](?:[ -]?[0-9]){12,18}(?![0-9])", true},
    {"emails", "[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\\.[A-Za-z0-9-]+)*\\.[A-Za-z]{2,}", false},
    {"tokens", "eyJ[A-Za-z0-9_-]{5,}\\.[A-Za-z0-9_-]{5,}\\.[A-Za-z0-9_-]*", false},
    {"tokens", "(?i)\\b(?:bearer|basic)\\s+([A-Za-z0-9._~+/=-]{8,})", false},
    {"tokens", "\\b(?:AKIA|ASIA)[A-Z0-9]{16}\\b", false},
    {"tokens",
     "(?i)\\b(?:password|passwd|pwd|secret|token|api[_-]?key|access[_-]?key)\"?\\s*[=:]\\s*\"?"
     "([^\\s\"&,;]+)",
     false},
};
enum { BUILTIN = sizeof(builtin) / sizeof(*builtin) };

struct rule {
    pcre2_code *code;
    pcre2_match_data *data;
    bool luhn;
};

struct redactor {
    struct rule rule[RULES_MAX];
    unsigned n;
    pcre2_match_context *context;
    char *with;
    struct buf text, next;
};

static enum err add_rule(struct redactor *r, struct str pattern, bool luhn)
{
    int code;
    size_t at;
    unsigned char why[256];
    if (r->n == RULES_MAX)
        return err_set(ERR_LIMIT, "at most %d patterns", RULES_MAX);
    struct rule *rule = &r->rule[r->n];
    rule->code = pcre2_compile((PCRE2_SPTR)pattern.p, pattern.n,
                               PCRE2_UTF | PCRE2_MATCH_INVALID_UTF, &code, &at, NULL);
    if (!rule->code) {
        pcre2_get_error_message(code, why, sizeof(why));
        return err_set(ERR_INVALID, "/%.*s/: %s at byte %zu", STR_ARG(pattern), (char *)why, at);
    }
    (void)pcre2_jit_compile(rule->code, PCRE2_JIT_COMPLETE);
    rule->data = pcre2_match_data_create_from_pattern(rule->code, NULL);
    rule->luhn = luhn;
    r->n++;
    return OK;
}

static enum err add_builtin(struct redactor *r, struct str what)
{
    bool found = false;
    for (int i = 0; i < BUILTIN; i++)
        if (str_eq_c(what, builtin[i].what)) {
            TRY(add_rule(r, str_c(builtin[i].pattern), builtin[i].luhn));
            found = true;
        }
    return found
               ? OK
               : err_set(ERR_INVALID, "\"%.*s\": cards, emails or tokens is wanted", STR_ARG(what));
}

static enum err add_all(struct redactor *r, const struct redactor_options *o)
{
    static const struct str all[] = {{"cards", 5}, {"emails", 6}, {"tokens", 6}};
    bool none = !o->n_what && !o->n_patterns;
    for (uint32_t i = 0; i < (none ? 3 : o->n_what); i++)
        TRY(add_builtin(r, none ? all[i] : o->what[i]));
    for (uint32_t i = 0; i < o->n_patterns; i++)
        TRY(add_rule(r, o->pattern[i], false));
    return OK;
}

enum err redactor_new(const struct redactor_options *o, struct redactor **ret)
{
    struct redactor *r = NEW(struct redactor);
    r->with = mem_strdup(o->with);
    r->context = pcre2_match_context_create(NULL);
    pcre2_set_match_limit(r->context, MATCH_STEPS_MAX);
    buf_init(&r->text, SIZE_MAX);
    buf_init(&r->next, SIZE_MAX);
    enum err err = add_all(r, o);
    if (err != OK) {
        redactor_free(r);
        return err;
    }
    *ret = r;
    return OK;
}

void redactor_free(struct redactor *r)
{
    if (!r)
        return;
    for (unsigned i = 0; i < r->n; i++) {
        pcre2_code_free(r->rule[i].code);
        pcre2_match_data_free(r->rule[i].data);
    }
    pcre2_match_context_free(r->context);
    buf_release(&r->text);
    buf_release(&r->next);
    mem_free(r->with);
    mem_free(r);
}

/* The check digit of ISO/IEC 7812. */
static bool passes_luhn(struct str s)
{
    unsigned sum = 0, place = 0;
    for (size_t i = s.n; i-- > 0;) {
        if (s.p[i] < '0' || s.p[i] > '9')
            continue;
        unsigned d = (unsigned)(s.p[i] - '0') << (place++ & 1);
        sum += d > 9 ? d - 9 : d;
    }
    return sum % 10 == 0;
}

/* Appends the text without what the rule finds; false when that is nothing. */
static bool apply(struct redactor *r, const struct rule *rule, struct str text, struct buf *out)
{
    size_t at = 0, kept = 0;
    bool found = false;
    buf_clear(out);
    while (at <= text.n) {
        int n = pcre2_match(rule->code, (PCRE2_SPTR)text.p, text.n, at, 0, rule->data, r->context);
        if (n < 1)
            break;
        const size_t *v = pcre2_get_ovector_pointer(rule->data);
        size_t from = n > 1 && v[2] != PCRE2_UNSET ? v[2] : v[0];
        size_t to = n > 1 && v[2] != PCRE2_UNSET ? v[3] : v[1];
        bool goes = to > from && (!rule->luhn || passes_luhn(str_of(text.p + from, to - from)));
        if (goes) {
            buf_put(out, text.p + kept, from - kept);
            buf_put_c(out, r->with);
            kept = to;
            found = true;
        }
        at = v[1] > at ? v[1] : at + 1;
    }
    if (found)
        buf_put(out, text.p + kept, text.n - kept);
    return found;
}

bool redactor_clean(struct redactor *r, struct str text, struct str *ret)
{
    bool any = false;
    for (unsigned i = 0; i < r->n; i++) {
        if (!apply(r, &r->rule[i], text, &r->next))
            continue;
        struct buf swap = r->text;
        r->text = r->next;
        r->next = swap;
        text = buf_str(&r->text);
        any = true;
    }
    *ret = text;
    return any;
}
