/* What the files of the filter share; for nobody else. */
#ifndef WEIR_FILTER_FILTER_IMPL_H
#define WEIR_FILTER_FILTER_IMPL_H

#include "filter/filter.h"

#define FILTER_TEXT_MAX (64u << 10)
#define FILTER_NESTING_MAX 100

/* What a leaf looks at. The last four are of the row, where its record has no such key of its own.
 */
enum filter_field {
    FIELD_ANY,  /* every field */
    FIELD_NAME, /* the first of `name` that the record has */
    FIELD_WILD, /* every field whose name the pattern fits */
    FIELD_TIME,
    FIELD_STREAM,
    FIELD_ID,
    FIELD_ARRIVAL,
};

struct filter {
    enum filter_kind kind;
    const struct filter *const *child; /* AND, OR: n; NOT: 1 */
    uint32_t n;
    /* LEAF */
    enum filter_field field_kind;
    struct str field;       /* as asked for; wildcards as PATTERN_ANY and PATTERN_ONE */
    const struct str *name; /* FIELD_NAME and of the row: candidates, in order of precedence */
    uint32_t n_names;
    struct predicate pred;
    struct str source; /* TEXT: the pattern as given, before folding */
};

/* make.c. The pattern of a field: empty (any), a name, an alias, with wildcards. */
void filter_set_field(struct arena *a, struct filter *leaf, struct str field);
struct filter *filter_leaf(struct arena *a, struct str field);
bool filter_is_time_field(const struct filter *leaf);
bool filter_has_wildcard(struct str s);
extern const struct filter filter_all;
/* The whole of `name` fits the pattern; letter case counts. */
bool filter_name_fits(struct str pattern, struct str name);

/* lex.c */
struct lexer {
    struct str text;
    size_t at;
    struct arena *arena;
    size_t *ret_at; /* of an error; may be NULL */
    bool boosts;    /* ^2 is passed over */
};
/* ERR_INVALID: what and where, the line, a caret, and where there is one a hint. */
enum err lex_fail(struct lexer *l, size_t at, const char *hint, const char *fmt, ...)
    __attribute__((format(printf, 4, 5), cold));
void lex_space(struct lexer *l);
static inline char lex_peek(const struct lexer *l, size_t ahead)
{
    return ahead < l->text.n - l->at ? l->text.p[l->at + ahead] : 0;
}
static inline bool lex_done(const struct lexer *l)
{
    return l->at >= l->text.n;
}
/* The operator (AND, OR, NOT in capitals, with something else behind) stands here. */
bool lex_keyword(const struct lexer *l, const char *word);
/* A bare word: escapes undone, * and ? as PATTERN bytes. Ends at space, quotes, brackets and pipes,
 * at a
 * ':' too where `stop_at_colon`. May be empty. */
enum err lex_word(struct lexer *l, bool stop_at_colon, struct str *ret);
/* From the opening '"' on; escapes undone. */
enum err lex_quoted(struct lexer *l, struct str *ret);
/* From the opening '/' on: the pattern; "\/" is '/'. */
enum err lex_regex(struct lexer *l, struct str *ret);
/* An end of a range: bare up to space or bracket, or quoted; *ret_open: it is '*'. */
enum err lex_bound(struct lexer *l, struct str *ret, bool *ret_open);

#endif
