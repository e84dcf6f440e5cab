/* What the files of the parser of pipes share; for nobody else. */
#ifndef WEIR_QUERY_PARSE_IMPL_H
#define WEIR_QUERY_PARSE_IMPL_H

#include "query/pipe.h"

struct parser {
    struct str text;
    size_t at;
    const struct filter_options *filter; /* how filters are read */
    struct arena *arena;
    size_t *ret_at;
};

/* ---- parse_lex.c ---- */

/* ERR_INVALID: what and where, the line, a caret, and where there is one a hint. */
enum err parse_fail(struct parser *p, size_t at, const char *what, const char *hint);
void parse_space(struct parser *p);
bool parse_peek(struct parser *p, char c);
bool parse_take(struct parser *p, char c);
/* The pipe ends here. */
bool parse_at_end(struct parser *p);
bool parse_is_word_byte(unsigned char c);
/* A bare word or a quoted one; n == 0 when neither stands here. */
struct str parse_word(struct parser *p);
/* Takes the keyword when it stands here as a whole word. */
bool parse_keyword(struct parser *p, const char *name);
bool parse_at_keyword(struct parser *p, const char *name);
/* field or function(field): the name of a stats result may be asked for as it was typed. */
enum err parse_field(struct parser *p, struct str *ret);
enum err parse_number(struct parser *p, uint64_t *ret);
/* A whole number where a digit stands here; else *ret stays. */
enum err parse_count(struct parser *p, uint64_t *ret);
/* name=value stands here: takes it. */
bool parse_option(struct parser *p, struct str *ret_name, struct str *ret_value, size_t *ret_at);
enum err parse_bool(struct parser *p, struct str value, size_t at, bool *ret);
/* Whether an item of a list follows: behind a comma, or with nothing but a space before it. */
bool parse_more(struct parser *p);
/* The nearest of `n` names by spelling, or NULL. */
const char *parse_nearest(struct str name, const char *const *names, size_t n);

/* ---- parse_stats.c ---- */

/* Each fills pipe[0] and, where it is written out as several, the ones behind; *n counts those
 * beyond the first. There is room for PIPE_EXPANDS_MAX. */
enum err parse_stats(struct parser *p, struct pipe *pipe, uint32_t *n);
enum err parse_top(struct parser *p, struct pipe *pipe, uint32_t *n);
enum err parse_rare(struct parser *p, struct pipe *pipe, uint32_t *n);
enum err parse_values(struct parser *p, struct pipe *pipe, uint32_t *n);
enum err parse_digest(struct parser *p, struct pipe *pipe, uint32_t *n);
enum err parse_timechart(struct parser *p, struct pipe *pipe, uint32_t *n);
enum err parse_patterns(struct parser *p, struct pipe *pipe, uint32_t *n);

/* ---- parse_rows.c ---- */

enum err parse_sort(struct parser *p, struct pipe *pipe, uint32_t *n);
enum err parse_limit(struct parser *p, struct pipe *pipe, uint32_t *n);
enum err parse_fields(struct parser *p, struct pipe *pipe, uint32_t *n);
enum err parse_dedup(struct parser *p, struct pipe *pipe, uint32_t *n);
enum err parse_extract(struct parser *p, struct pipe *pipe, uint32_t *n);
enum err parse_regex(struct parser *p, struct pipe *pipe, uint32_t *n);
enum err parse_grok(struct parser *p, struct pipe *pipe, uint32_t *n);
enum err parse_unnest(struct parser *p, struct pipe *pipe, uint32_t *n);
/* Sort keys, a comma or a space between them. */
enum err parse_sort_keys(struct parser *p, struct pipe *pipe);

#endif
