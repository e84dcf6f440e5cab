/* What the files of the predicate share; for nobody else. */
#ifndef WEIR_RECORD_PREDICATE_IMPL_H
#define WEIR_RECORD_PREDICATE_IMPL_H

#include "record/predicate.h"

/* number.c. Reads a whole number; its digits go to `room` (s.n bytes are enough); no f64. */
bool number_read(struct str s, char *room, struct number *ret);
/* floor(number * 10^scale), bounded to +-10^30; *ret_exact: nothing was cut off. */
__int128 number_floor(const struct number *n, unsigned scale, bool *ret_exact);
/* Decimal text of a mantissa with a scale; at most NUMBER_TEXT_MAX bytes. */
#define NUMBER_TEXT_MAX 48
size_t number_text(int64_t mantissa, unsigned scale, char *out);

/* predicate_text.c. PRED_TEXT on text. `scratch` takes folded text. */
bool text_match(const struct predicate *p, struct str s, struct buf *scratch);
/* The pattern against the whole of a number's text. */
bool text_match_whole(const struct predicate *p, struct str s);
void text_match_all(const struct predicate *p, const struct values *v, uint64_t *bits);

/* Where the pattern stands in folded text, at `from` or behind it. */
bool text_find(const struct predicate *p, struct str s, size_t from, size_t *ret_from,
               size_t *ret_to);

static inline bool predicate_is_wild(const struct predicate *p)
{
    return p->n_parts > 1 || p->parts[0].any_before || p->parts[0].skip || p->tail_any ||
           p->tail_skip;
}

/* predicate_range.c. Bounds on numbers and text. */
bool range_number_text(const struct predicate *p, struct str s);
bool range_text(const struct predicate *p, struct str s);
void range_match_ints(const struct predicate *p, const struct values *v, uint64_t *bits);
void range_match_decimals(const struct predicate *p, const struct values *v, uint64_t *bits);
void range_match_doubles(const struct predicate *p, const struct values *v, uint64_t *bits);
/* Makes a bound one on numbers: its number is set. */
void range_bound_number(struct predicate_bound *b, bool is_low);
/* Mantissas that are within the bounds; false: none, or the bounds are no numbers. */
bool range_mantissas(const struct predicate *p, unsigned scale, int64_t *ret_min, int64_t *ret_max);

/* regex.c */
enum err regex_compile(struct arena *a, struct str pattern, void **ret);
/* The same, with the byte of an error apart from its text. */
enum err regex_compile_at(struct arena *a, struct str pattern, void **ret, size_t *ret_at);
/* The groups that have a name, in the order of their numbers. */
struct regex_group {
    struct str name;
    uint32_t number;
};
#define REGEX_GROUPS_MAX 250
enum err regex_groups(const void *regex, struct arena *a, const struct regex_group **ret,
                      uint32_t *ret_n);
/* *ret_n: groups that may have taken part, 0 where nothing fits; of group i the begin and the end
 * are pair[2 * i] and the next, SIZE_MAX where it did not. Valid until the thread's next. `text`
 * is the pattern, for a message. */
enum err regex_find(const void *regex, struct str text, struct str s, const size_t **ret_pair,
                    uint32_t *ret_n);
/* Every match begins at the text's start. */
bool regex_is_anchored(const void *regex);
enum err regex_match(const struct predicate *p, struct str s, bool *ret);
bool regex_span(const struct predicate *p, struct str s, size_t at, size_t *ret_from,
                size_t *ret_to);
enum err regex_match_all(const struct predicate *p, const struct values *v, uint64_t *bits);

#endif
