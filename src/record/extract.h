/* Taking named parts out of text: what the pipe `extract` and parsers do. A pattern is
 *   a regular expression (PCRE2) with named groups          (?<status>[0-9]+)
 *   grok (grok.h)                                           %{IP:client} %{NUMBER:ms:float}
 *   text with places, as in LogsQL                          status=<status> in <_> ms
 * In the last, everything but <name> stands for itself; a place takes up to the text behind it,
 * <_> and <> take nothing away. Where a pattern fits more than once, the first fit counts.
 *
 * An extractor is immutable and lives in the arena it was made in; any thread may match with it. A
 * match that takes too many steps ends with ERR_LIMIT. */
#ifndef WEIR_RECORD_EXTRACT_H
#define WEIR_RECORD_EXTRACT_H

#include "record/grok.h"

enum { EXTRACT_FIELDS_MAX = GROK_FIELDS_MAX };

/* GUESS: %{ makes it grok, a named group a regular expression; else it is text with places. */
enum extract_syntax { EXTRACT_REGEX, EXTRACT_GROK, EXTRACT_PLACES, EXTRACT_GUESS };

struct extractor;

/* ERR_INVALID: the reason, without the place; that is *ret_at (may be NULL), a byte of the pattern.
 * A pattern that takes nothing is an error. */
NODISCARD enum err extractor_new(struct str pattern, enum extract_syntax syntax,
                                 const struct grok_pattern *own, struct arena *a,
                                 const struct extractor **ret, size_t *ret_at);
/* The fields that it may set, none twice. */
uint32_t extractor_fields(const struct extractor *x, const struct grok_field **ret);
/* *ret: whether it fits. part[i] is what field i takes of the text; p NULL: nothing. */
NODISCARD enum err extractor_match(const struct extractor *x, struct str text, struct str *part,
                                   bool *ret);

#endif
