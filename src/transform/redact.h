/* Taking secrets out of text: card numbers (13 to 19 digits, with spaces or dashes, that begin as
 * cards do and pass the Luhn test), e-mail addresses, tokens (JSON web tokens, "Bearer ...", AWS
 * keys, and what stands behind password=, secret=, token=, api_key= or is the value of a field so
 * named), and patterns of one's own.
 * Owner: one thread. */
#ifndef WEIR_TRANSFORM_REDACT_H
#define WEIR_TRANSFORM_REDACT_H

#include "core/buf.h"
#include "core/err.h"

struct redactor;
struct redactor_options {
    struct str *what; /* "cards", "emails", "tokens"; none and no pattern: all three */
    uint32_t n_what;
    struct str *pattern; /* PCRE2 */
    uint32_t n_patterns;
    struct str with; /* what stands there instead */
};
/* ERR_INVALID says what is wrong. */
NODISCARD enum err redactor_new(const struct redactor_options *o, struct redactor **ret);
void redactor_free(struct redactor *r); /* NULL is fine */
/* False when nothing was found; else *ret is the text without it, until the next call. */
bool redactor_clean(struct redactor *r, struct str text, struct str *ret);
/* The same of a number, in which cards alone are looked for: *ret stands in its place. */
bool redactor_clean_number(struct redactor *r, struct str text, struct str *ret);
/* The same of an array or an object as JSON text: its strings, numbers and secret members. */
bool redactor_clean_json(struct redactor *r, struct str text, struct str *ret);
/* Whether what a field of this name holds goes as a whole; *ret then stands in its place. */
bool redactor_hides(const struct redactor *r, struct str name, struct str *ret);

#endif
