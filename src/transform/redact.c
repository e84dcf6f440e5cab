#define PCRE2_CODE_UNIT_WIDTH 8
#include "transform/redact.h"

#include "core/mem.h"
#include "record/json.h"
#include "record/json_walk.h"

#include <pcre2.h>

enum { RULES_MAX = 64, MATCH_STEPS_MAX = 1000000, CARD_DIGITS_LEAST = 13 };

#define SECRETS "password|passwd|pwd|secret|token|api[_-]?key|access[_-]?key"

/* client_secret, clientSecret, x-api-key, user.password; not max_tokens. */
static const char secret_names[] = "(?:^|[^A-Za-z0-9]|(?<=[a-z0-9])(?=[A-Z]))(?i:" SECRETS ")$";

/* Group 1, where there is one, is what goes; else all that matches. */
static const struct {
    const char *what, *pattern;
    bool luhn;
} builtin[] = {
    /* No network's numbers begin with 0, 1 or 7, but times since 1970 and fractions do. */
    {"cards", "(?<![0-9]|[0-9]\\.)[2-689](?:[ -]?[0-9]){12,18}(?!\\.?[0-9])", true},
    {"emails", "[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\\.[A-Za-z0-9-]+)*\\.[A-Za-z]{2,}", false},
    {"tokens", "eyJ[A-Za-z0-9_-]{5,}\\.[A-Za-z0-9_-]{5,}\\.[A-Za-z0-9_-]*", false},
    {"tokens", "(?i)\\b(?:bearer|basic)\\s+([A-Za-z0-9._~+/=-]{8,})", false},
    {"tokens", "\\b(?:AKIA|ASIA)[A-Z0-9]{16}\\b", false},
    {"tokens", "(?i)(?<![A-Za-z0-9])(?:" SECRETS ")\"?\\s*[=:]\\s*\"?([^\\s\"&,;]+)", false},
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
    struct rule names; /* of fields whose values go whole; code NULL: none do */
    pcre2_match_context *context;
    char *with;
    struct buf text, next, plain, json;
};

static enum err compile(struct rule *rule, struct str pattern, bool luhn)
{
    int code;
    size_t at;
    unsigned char why[256];
    rule->code = pcre2_compile((PCRE2_SPTR)pattern.p, pattern.n,
                               PCRE2_UTF | PCRE2_MATCH_INVALID_UTF, &code, &at, NULL);
    if (!rule->code) {
        pcre2_get_error_message(code, why, sizeof(why));
        return err_set(ERR_INVALID, "/%.*s/: %s at byte %zu", STR_ARG(pattern), (char *)why, at);
    }
    (void)pcre2_jit_compile(rule->code, PCRE2_JIT_COMPLETE);
    rule->data = pcre2_match_data_create_from_pattern(rule->code, NULL);
    rule->luhn = luhn;
    return OK;
}

static enum err add_rule(struct redactor *r, struct str pattern, bool luhn)
{
    if (r->n == RULES_MAX)
        return err_set(ERR_LIMIT, "at most %d patterns", RULES_MAX);
    TRY(compile(&r->rule[r->n], pattern, luhn));
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
    if (str_eq(what, STR("tokens")) && !r->names.code)
        TRY(compile(&r->names, STR(secret_names), false));
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
    buf_init(&r->plain, SIZE_MAX);
    buf_init(&r->json, SIZE_MAX);
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
    pcre2_code_free(r->names.code);
    pcre2_match_data_free(r->names.data);
    pcre2_match_context_free(r->context);
    buf_release(&r->text);
    buf_release(&r->next);
    buf_release(&r->plain);
    buf_release(&r->json);
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

/* ---- numbers, containers, names ---- */

bool redactor_clean_number(struct redactor *r, struct str text, struct str *ret)
{
    for (unsigned i = 0; text.n >= CARD_DIGITS_LEAST && i < r->n; i++)
        if (r->rule[i].luhn && apply(r, &r->rule[i], text, &r->next)) {
            *ret = str_c(r->with);
            return true;
        }
    return false;
}

bool redactor_hides(const struct redactor *r, struct str name, struct str *ret)
{
    *ret = str_c(r->with);
    return r->names.code && pcre2_match(r->names.code, (PCRE2_SPTR)name.p, name.n, 0, 0,
                                        r->names.data, r->context) > 0;
}

static bool put_container(struct redactor *r, struct str text, struct buf *out);

/* Appends the value; whether it is another now. */
static bool put_value(struct redactor *r, const struct json_item *v, struct buf *out)
{
    struct str instead;
    bool changed = false;
    if (v->lane == LANE_ARR || v->lane == LANE_JSON)
        return put_container(r, v->text, out);
    if (v->lane == LANE_STR || v->lane == LANE_NUM)
        changed = v->key.n && redactor_hides(r, v->key, &instead);
    if (v->lane == LANE_NUM && !changed)
        changed = redactor_clean_number(r, v->text, &instead);
    if (v->lane == LANE_STR && !changed) {
        buf_clear(&r->plain);
        json_walk_unescape(v->text, &r->plain);
        changed = redactor_clean(r, buf_str(&r->plain), &instead);
    }
    if (changed)
        json_put_string(out, instead);
    else if (v->lane == LANE_STR)
        buf_printf(out, "\"%.*s\"", STR_ARG(v->text));
    else
        buf_put_str(out, v->text);
    return changed;
}

static bool put_container(struct redactor *r, struct str text, struct buf *out)
{
    struct json_walk w;
    struct json_item v;
    bool changed = false;
    const char *part = "";
    if (!json_walk_begin(&w, text)) {
        buf_put_str(out, text);
        return false;
    }
    char close = w.close;
    buf_put_byte(out, close == ']' ? '[' : '{');
    for (; json_walk_next(&w, &v); part = ",") {
        buf_put_c(out, part);
        if (close == '}')
            buf_printf(out, "\"%.*s\":", STR_ARG(v.key));
        changed |= put_value(r, &v, out);
    }
    buf_put_byte(out, close);
    return changed;
}

bool redactor_clean_json(struct redactor *r, struct str text, struct str *ret)
{
    buf_clear(&r->json);
    bool changed = put_container(r, text, &r->json);
    *ret = buf_str(&r->json);
    return changed;
}
