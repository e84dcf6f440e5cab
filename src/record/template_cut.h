/* Cutting a text into static text and variables: what templates are found by (store/template.h),
 * and what a pattern is to who looks at logs.
 *
 * What a variable is, is decided by its characters alone, so that equal lines are cut alike in
 * every block and on every machine: a token (letters, digits and the marks that join them, as in
 * 10.0.0.1:80 or /var/log/x) that holds a digit, or a path of at least two steps. A number's unit
 * (15ms) and the letters before a number (eth0) stay static; a date and the time behind it are one
 * variable; spaces that align a number belong to it.
 *
 * Whoever changes the cut changes the ids of patterns that users have noted. Threads: pure
 * functions. */
#ifndef WEIR_RECORD_TEMPLATE_CUT_H
#define WEIR_RECORD_TEMPLATE_CUT_H

#include "core/str.h"

/* Stands for a variable where templates are stored. A text that holds this byte has no variables:
 * it is a pattern whose every such byte is escaped by itself (two of them in a row). */
#define TEMPLATE_HOLE '\x1a'
#define TEMPLATE_SHOWN_HOLE "<*>"   /* and in a pattern as users see it */
#define TEMPLATE_DATE_BYTES 10      /* of a date, which may take the time of day behind it along */
#define TEMPLATE_DATE_TIME_BYTES 19 /* of both, which may take a fraction along */
#define TEMPLATE_VARS_MAX 4096u     /* of one text: what is behind is static */

struct template_var {
    uint32_t from, to; /* bytes of its text */
};
/* How texts are cut: with tokens joined by the marks inside them, or, for texts that are such
 * tokens themselves, at every mark. */
enum template_cut { TEMPLATE_JOINED, TEMPLATE_FINE };

/* The variables of a text, ascending; `to` has room for TEMPLATE_VARS_MAX. Returns how many. */
uint32_t template_vars(struct str s, enum template_cut cut, struct template_var *to);

/* What a text can be told by without being cut anew (store/template_like.h). The variable of the
 * token that begins at byte `at`, if there is one, and it is one; spaces in front of a number
 * belong to it down to `after`, the end of the variable before. */
bool template_token(struct str s, size_t at, enum template_cut cut, size_t after,
                    struct template_var *ret);
/* Whether the first bytes of s end every token that stands before them. */
bool template_ends_token(struct str s, enum template_cut cut);
/* Bytes at the begin of s that are letters; those before `end`, back to `from`; and whether letters
 * behind digits are a unit. */
size_t template_letters(struct str s);
size_t template_letters_before(struct str s, size_t from, size_t end);
bool template_is_unit(struct str letters);
/* Whether a variable is a token of words with marks between them that no number, name or date has:
 * every token with the same marks at the same places, and a digit, is a variable, too. */
bool template_is_joined(struct str var);

struct buf;
/* The pattern of a text, as it is shown: cut with tokens joined, every variable replaced by <*>. A
 * pattern is its own pattern. Appended to `out`. */
void template_pattern(struct str s, struct buf *out);
/* What a pattern is called: the same in every block, on every machine, for good. */
uint64_t template_id(struct str pattern);
uint64_t template_id_of(struct str s); /* of its text's pattern */
/* As text: 16 hexadecimal digits. */
#define TEMPLATE_ID_TEXT 16u
void template_id_write(uint64_t id, char *out);
bool template_id_read(struct str s, uint64_t *ret);

#endif
