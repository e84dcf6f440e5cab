/* The filter language, by recursive descent:
 *
 *   or      = and { ( "OR" | "||" | space, where space means OR ) and }
 *   and     = unary { ( "AND" | "&&" | space, where space means AND ) unary }
 *   unary   = { "NOT" | "!" | "-" | "+" } clause
 *   clause  = "(" or ")" | field ":" ( value | "(" or ")" ) | value
 *   value   = word | quoted [ "*" ] | "/" regex "/" | "=" ( word | quoted )
 *           | ( ">" | ">=" | "<" | "<=" ) bound | ( "[" | "{" ) bound "TO" bound ( "]" | "}" )
 *           | "pattern(" ( id | quoted ) ")"
 *
 * Where space means OR, a list of clauses is Elasticsearch's: those with + must match, those with -
 * or NOT must not, of the others one must, unless there is a +. Elsewhere + says nothing.
 * A single '|' ends the filter. Limits: 64 KiB of text, 100 levels. */
#include "filter/filter_impl.h"

#include "record/template_cut.h"

#define PATTERN_CALL "pattern("

enum mark { MARK_NONE, MARK_MUST, MARK_NOT };

struct parser {
    struct lexer lex;
    const struct filter_options *o;
    struct str field; /* of the group that is being read */
    unsigned depth;
};

struct list {
    const struct filter **f;
    uint8_t *mark;
    uint32_t n, cap;
    struct arena *arena;
};

/* One parsed `or` operand: the mark holds only for a single clause, whose filter is without it. */
struct operand {
    const struct filter *f;
    enum mark mark;
};

static void list_add(struct list *l, const struct filter *f, enum mark mark)
{
    if (l->n == l->cap) {
        uint32_t cap = l->cap ? l->cap * 2 : 4;
        const struct filter **grown = ARENA_ARRAY(l->arena, const struct filter *, cap);
        uint8_t *marks = ARENA_ARRAY(l->arena, uint8_t, cap);
        if (l->n) {
            memcpy(grown, l->f, l->n * sizeof(*grown));
            memcpy(marks, l->mark, l->n);
        }
        l->f = grown;
        l->mark = marks;
        l->cap = cap;
    }
    l->f[l->n] = f;
    l->mark[l->n++] = (uint8_t)mark;
}

static enum err parse_or(struct parser *p, const struct filter **ret);

/* ---- where things begin and end ---- */

static bool at_pipe(const struct parser *p)
{
    return lex_peek(&p->lex, 0) == '|' && lex_peek(&p->lex, 1) != '|';
}

static bool at_end(struct parser *p)
{
    lex_space(&p->lex);
    return lex_done(&p->lex) || lex_peek(&p->lex, 0) == ')' || at_pipe(p);
}

static bool at_pair(const struct parser *p, char c)
{
    return lex_peek(&p->lex, 0) == c && lex_peek(&p->lex, 1) == c;
}

static bool at_and(const struct parser *p)
{
    return lex_keyword(&p->lex, "AND") || at_pair(p, '&');
}

static bool at_or(const struct parser *p)
{
    return lex_keyword(&p->lex, "OR") || at_pair(p, '|');
}

/* Passes an operator and makes sure that something follows. */
static enum err pass_operator(struct parser *p, const char *name)
{
    size_t at = p->lex.at;
    bool symbol = lex_peek(&p->lex, 0) != name[0];
    p->lex.at += symbol ? 2 : strlen(name);
    if (at_end(p))
        return lex_fail(&p->lex, at, "put the word in quotes to look for it",
                        "nothing follows '%s'", name);
    return OK;
}

/* ---- leaves ---- */

static enum err leaf_text(struct parser *p, struct str field, struct str pattern,
                          const struct filter **ret)
{
    return filter_term(p->lex.arena, field, pattern, p->o->now_ns, ret);
}

static enum err leaf_regex(struct parser *p, struct str field, const struct filter **ret)
{
    size_t at = p->lex.at;
    struct str pattern;
    TRY(lex_regex(&p->lex, &pattern));
    if (filter_regex(p->lex.arena, field, pattern, ret) != OK) {
        char why[200];
        struct str text = str_c(err_text());
        size_t n = text.n < sizeof(why) - 1 ? text.n : sizeof(why) - 1;
        memcpy(why, text.p, n);
        why[n] = 0;
        return lex_fail(&p->lex, at, "put a path or URL in quotes", "%s", why);
    }
    return OK;
}

static enum err leaf_exact(struct parser *p, struct str field, const struct filter **ret)
{
    size_t at = p->lex.at++;
    struct str text;
    if (lex_peek(&p->lex, 0) == '"') {
        TRY(lex_quoted(&p->lex, &text));
    } else {
        TRY(lex_word(&p->lex, false, &text));
        if (text.n == 0 || text.p[0] == '=')
            return lex_fail(&p->lex, at, "exact equality is written field:=\"text\"",
                            "no text behind ':='");
        if (filter_has_wildcard(text))
            return lex_fail(&p->lex, at, "put it in quotes to mean the characters",
                            "wildcards cannot stand in an exact text");
    }
    struct filter *leaf = filter_leaf(p->lex.arena, field);
    *ret = leaf;
    return predicate_equal(p->lex.arena, text, &leaf->pred);
}

/* Fills one end of a range; times are read as such where the field is one. */
static enum err make_bound(struct parser *p, const struct filter *leaf, struct str text, size_t at,
                           bool inclusive, bool is_low, struct predicate_bound *ret)
{
    if (!filter_is_time_field(leaf)) {
        predicate_bound_init(p->lex.arena, text, inclusive, is_low, p->o->now_ns, ret);
        return OK;
    }
    if (!predicate_bound_time(text, inclusive, is_low, p->o->now_ns, ret))
        return lex_fail(&p->lex, at,
                        "2025-02-15T12:00:00Z, 2025-02-15, an epoch, now-1h, -15m are times",
                        "'%.*s' is no time", (int)(text.n < 60 ? text.n : 60), text.p);
    return OK;
}

static enum err leaf_compare(struct parser *p, struct str field, const struct filter **ret)
{
    struct lexer *l = &p->lex;
    bool is_low = lex_peek(l, 0) == '>', inclusive = lex_peek(l, 1) == '=', open;
    struct predicate_bound bound;
    struct str text;
    l->at += inclusive ? 2 : 1;
    lex_space(l);
    size_t at = l->at;
    TRY(lex_bound(l, &text, &open));
    if (open || at == l->at)
        return lex_fail(l, at, "as in latency_ms:>500", "a value is expected behind '%s%s'",
                        is_low ? ">" : "<", inclusive ? "=" : "");
    struct filter *leaf = filter_leaf(l->arena, field);
    TRY(make_bound(p, leaf, text, at, inclusive, is_low, &bound));
    *ret = leaf;
    return predicate_range(l->arena, is_low ? &bound : NULL, is_low ? NULL : &bound, &leaf->pred);
}

static enum err range_end(struct parser *p, const struct filter *leaf, bool is_low,
                          struct predicate_bound *ret, size_t *ret_at)
{
    struct lexer *l = &p->lex;
    bool open;
    struct str text;
    lex_space(l);
    size_t at = *ret_at = l->at;
    TRY(lex_bound(l, &text, &open));
    if (l->at == at)
        return lex_fail(l, at, "ranges are field:[a TO b]; an open end is *",
                        "an end of the range is expected");
    *ret = (struct predicate_bound){0};
    return open ? OK : make_bound(p, leaf, text, at, true, is_low, ret);
}

/* '[' or '{' up to its end. Whether a bound is inclusive is known only behind the second: bounds
 * are made again then. */
static enum err leaf_range(struct parser *p, struct str field, const struct filter **ret)
{
    struct lexer *l = &p->lex;
    struct filter *leaf = filter_leaf(l->arena, field);
    struct predicate_bound low = {0}, high = {0};
    size_t open = l->at, low_at, high_at;
    bool low_in = lex_peek(l, 0) == '[';
    l->at++;
    TRY(range_end(p, leaf, true, &low, &low_at));
    lex_space(l);
    if (!lex_keyword(l, "TO"))
        return lex_fail(l, l->at, "ranges are field:[a TO b]", "'TO' is expected in the range");
    l->at += 2;
    TRY(range_end(p, leaf, false, &high, &high_at));
    lex_space(l);
    char close = lex_peek(l, 0);
    if (close != ']' && close != '}')
        return lex_fail(l, open, "close it with ] (inclusive) or } (exclusive)",
                        "this range is never closed");
    l->at++;
    if (low.set && !low_in)
        TRY(make_bound(p, leaf, low.text, low_at, false, true, &low));
    if (high.set && close == '}')
        TRY(make_bound(p, leaf, high.text, high_at, false, false, &high));
    *ret = leaf;
    return predicate_range(l->arena, &low, &high, &leaf->pred);
}

/* A phrase; a '*' right behind it lets its last word go on. */
static enum err leaf_quoted(struct parser *p, struct str field, const struct filter **ret)
{
    struct str text;
    TRY(lex_quoted(&p->lex, &text));
    char next = lex_peek(&p->lex, 1);
    bool ends = p->lex.at + 1 >= p->lex.text.n || (next && strchr(" \t\r\n)|", next));
    if (text.n && lex_peek(&p->lex, 0) == '*' && ends) {
        p->lex.at++;
        text = arena_printf(p->lex.arena, "%.*s%c", STR_ARG(text), PATTERN_ANY);
    }
    return leaf_text(p, field, text, ret);
}

static enum err leaf_word(struct parser *p, struct str field, const struct filter **ret)
{
    size_t at = p->lex.at;
    struct str word;
    TRY(lex_word(&p->lex, false, &word));
    if (word.n == 0)
        return lex_fail(&p->lex, at, "put the text in quotes to look for it", "unexpected '%c'",
                        lex_peek(&p->lex, 0));
    return leaf_text(p, field, word, ret);
}

/* Behind "pattern(": the id of a pattern, or a text that has it. */
static enum err leaf_pattern(struct parser *p, struct str field, const struct filter **ret)
{
    struct lexer *l = &p->lex;
    struct str text;
    uint64_t id;
    size_t open = l->at;
    l->at += sizeof(PATTERN_CALL) - 1;
    lex_space(l);
    size_t at = l->at;
    if (lex_peek(l, 0) == '"') {
        TRY(lex_quoted(l, &text));
        id = template_id_of(text);
    } else {
        TRY(lex_word(l, false, &text));
        if (!template_id_read(text, &id))
            return lex_fail(l, at, "or a text in quotes, for all that are like it",
                            "the id of a pattern is 16 hexadecimal digits");
    }
    lex_space(l);
    if (lex_peek(l, 0) != ')')
        return lex_fail(l, open, NULL, "this '(' is never closed");
    l->at++;
    *ret = filter_pattern(l->arena, field, id);
    return OK;
}

static bool at_pattern(const struct parser *p)
{
    return str_starts(str_from(p->lex.text, p->lex.at), STR(PATTERN_CALL));
}

static enum err parse_value(struct parser *p, struct str field, const struct filter **ret)
{
    char c = lex_peek(&p->lex, 0), next = lex_peek(&p->lex, 1);
    if (c == '"')
        return leaf_quoted(p, field, ret);
    if (c == '/')
        return leaf_regex(p, field, ret);
    if (field.n && c == 'p' && at_pattern(p))
        return leaf_pattern(p, field, ret);
    if (c == '=' && (field.n || next == '"'))
        return leaf_exact(p, field, ret);
    if (field.n && (c == '>' || c == '<'))
        return leaf_compare(p, field, ret);
    if (field.n && (c == '[' || c == '{'))
        return leaf_range(p, field, ret);
    if (field.n && c == '!' && next == '=')
        return lex_fail(&p->lex, p->lex.at, "write -field:value or NOT field:value",
                        "unknown operator '!='");
    return leaf_word(p, field, ret);
}

/* ---- clauses ---- */

static enum err enter(struct parser *p)
{
    if (++p->depth > FILTER_NESTING_MAX)
        return lex_fail(&p->lex, p->lex.at, NULL, "more than %d levels of nesting",
                        FILTER_NESTING_MAX);
    return OK;
}

static enum err parse_group(struct parser *p, struct str field, const struct filter **ret)
{
    size_t open = p->lex.at++;
    struct str outer = p->field;
    TRY(enter(p));
    p->field = field;
    if (at_end(p) && lex_peek(&p->lex, 0) == ')')
        return lex_fail(&p->lex, open, NULL, "nothing between '(' and ')'");
    if (lex_done(&p->lex))
        return lex_fail(&p->lex, open, NULL, "this '(' is never closed");
    TRY(parse_or(p, ret));
    if (lex_peek(&p->lex, 0) != ')')
        return lex_fail(&p->lex, open, at_pipe(p) ? "a '|' is searched for in quotes" : NULL,
                        "this '(' is never closed");
    p->lex.at++;
    p->field = outer;
    p->depth--;
    return OK;
}

/* A name and its ':', both passed; else nothing is. */
static enum err take_field(struct parser *p, struct str *ret, bool *ret_is)
{
    size_t from = p->lex.at;
    struct str name = {0};
    char c = lex_peek(&p->lex, 0);
    *ret_is = false;
    if (c == '"')
        TRY(lex_quoted(&p->lex, &name));
    else if (!c || !strchr("(/=<>[{", c))
        TRY(lex_word(&p->lex, true, &name));
    if (lex_peek(&p->lex, 0) != ':') {
        p->lex.at = from;
        return OK;
    }
    if (name.n == 0)
        return lex_fail(&p->lex, p->lex.at, "put the text in quotes to look for it",
                        "a field's name is expected before ':'");
    p->lex.at++;
    *ret = p->o->rename ? p->o->rename(name, p->lex.arena) : name;
    *ret_is = true;
    return OK;
}

static enum err parse_exists(struct parser *p, const struct filter **ret)
{
    size_t at = p->lex.at;
    struct str name;
    if (lex_peek(&p->lex, 0) == '"')
        TRY(lex_quoted(&p->lex, &name));
    else
        TRY(lex_word(&p->lex, false, &name));
    if (name.n == 0)
        return lex_fail(&p->lex, at, "as in _exists_:user", "a field's name is expected");
    if (p->o->rename)
        name = p->o->rename(name, p->lex.arena);
    *ret = filter_exists(p->lex.arena, name);
    return OK;
}

/* What follows "field:". */
static enum err parse_of_field(struct parser *p, struct str field, const struct filter **ret)
{
    size_t behind = p->lex.at;
    if (p->o->or_default)
        lex_space(&p->lex); /* as Lucene does */
    else if (!at_end(p) && p->lex.at > behind)
        return lex_fail(&p->lex, behind,
                        "write field:value without the space; put text with a ':' in quotes",
                        "no value behind ':'");
    if (at_end(p))
        return lex_fail(&p->lex, behind, "field:* asks whether it exists; quote text with a ':'",
                        "no value behind ':'");
    if (str_eq_c(field, "_exists_"))
        return parse_exists(p, ret);
    if (lex_peek(&p->lex, 0) == '(')
        return parse_group(p, field, ret);
    return parse_value(p, field, ret);
}

/* A value without a field: read again for each of the fields that it is looked for in. */
static enum err parse_of_defaults(struct parser *p, const struct filter **ret)
{
    struct list list = {.arena = p->lex.arena};
    const struct filter *f;
    size_t from = p->lex.at;
    TRY(parse_value(p, p->o->default_field, &f));
    list_add(&list, f, MARK_NONE);
    for (uint32_t i = 0; i < p->o->n_more_fields; i++) {
        p->lex.at = from;
        TRY(parse_value(p, p->o->more_fields[i], &f));
        list_add(&list, f, MARK_NONE);
    }
    *ret = filter_list(p->lex.arena, FILTER_OR, list.f, list.n);
    return OK;
}

static enum err parse_clause(struct parser *p, const struct filter **ret)
{
    struct str field;
    bool is;
    if (lex_peek(&p->lex, 0) == '(')
        return parse_group(p, p->field, ret);
    TRY(take_field(p, &field, &is));
    if (is)
        return parse_of_field(p, field, ret);
    return p->field.n ? parse_value(p, p->field, ret) : parse_of_defaults(p, ret);
}

/* A prefix here: '-' and '+' only with something right behind. */
static enum err take_prefix(struct parser *p, enum mark *ret)
{
    struct lexer *l = &p->lex;
    char c = lex_peek(l, 0), next = lex_peek(l, 1);
    *ret = MARK_NONE;
    if (lex_keyword(l, "NOT")) {
        TRY(pass_operator(p, "NOT"));
        *ret = MARK_NOT;
        return OK;
    }
    if (c != '!' && c != '-' && c != '+')
        return OK;
    if (c != '!' && (l->at + 1 == l->text.n || strchr(" \t\r\n)|", next)))
        return lex_fail(l, l->at, "remove the space behind it, or put it in quotes to look for it",
                        "nothing stands right behind '%c'", c);
    l->at++;
    if (at_end(p))
        return lex_fail(l, l->at - 1, NULL, "nothing follows '%c'", c);
    *ret = c == '+' ? MARK_MUST : MARK_NOT;
    return OK;
}

static enum err parse_unary(struct parser *p, struct operand *ret)
{
    unsigned depth = p->depth;
    bool not = false, must = false;
    for (;;) {
        enum mark mark;
        if (at_and(p) || at_or(p))
            return lex_fail(&p->lex, p->lex.at, "put the word in quotes to look for it",
                            "something is expected before '%s'", at_and(p) ? "AND" : "OR");
        TRY(take_prefix(p, &mark));
        if (mark == MARK_NONE)
            break;
        TRY(enter(p));
        not = not != (mark == MARK_NOT);
        must = must || mark == MARK_MUST;
    }
    TRY(parse_clause(p, &ret->f));
    p->depth = depth;
    ret->mark = not ? MARK_NOT : must ? MARK_MUST : MARK_NONE;
    return OK;
}

static const struct filter *apply_mark(struct parser *p, struct operand o)
{
    return o.mark == MARK_NOT ? filter_not(p->lex.arena, o.f) : o.f;
}

static enum err parse_and(struct parser *p, struct operand *ret)
{
    struct list list = {.arena = p->lex.arena};
    struct operand one = {0};
    for (;;) {
        TRY(parse_unary(p, &one));
        list_add(&list, apply_mark(p, one), MARK_NONE);
        if (at_end(p))
            break;
        if (at_and(p))
            TRY(pass_operator(p, "AND"));
        else if (p->o->or_default || at_or(p))
            break;
    }
    if (list.n == 1) {
        *ret = one;
        return OK;
    }
    *ret = (struct operand){.f = filter_list(p->lex.arena, FILTER_AND, list.f, list.n)};
    return OK;
}

/* The clauses with one mark, joined; NULL where there are none. */
static const struct filter *marked(const struct list *l, enum mark mark, enum filter_kind kind)
{
    struct list some = {.arena = l->arena};
    for (uint32_t i = 0; i < l->n; i++) {
        if (l->mark[i] == mark)
            list_add(&some, l->f[i], mark);
    }
    return some.n ? filter_list(l->arena, kind, some.f, some.n) : NULL;
}

/* Elasticsearch's list of clauses with + and -. */
static const struct filter *join_marked(const struct list *l)
{
    const struct filter *must = marked(l, MARK_MUST, FILTER_AND);
    const struct filter *not = marked(l, MARK_NOT, FILTER_OR);
    const struct filter *should = marked(l, MARK_NONE, FILTER_OR);
    const struct filter *f = must ? must : should;
    if (!not )
        return f;
    not = filter_not(l->arena, not );
    return f ? filter_list(l->arena, FILTER_AND, (const struct filter *const[]){f, not }, 2) : not ;
}

static enum err parse_or(struct parser *p, const struct filter **ret)
{
    struct list list = {.arena = p->lex.arena};
    bool explicit = false; /* the operator before the operand was written */
    for (;;) {
        struct operand one = {0};
        TRY(parse_and(p, &one));
        bool end = at_end(p), or = !end && at_or(p);
        /* Beside a written OR, and where space means AND, a mark is only a NOT. */
        if (explicit || or || !p->o->or_default)
            one = (struct operand){.f = apply_mark(p, one)};
        list_add(&list, one.f, one.mark);
        if (end)
            break;
        explicit = or ;
        if (or)
            TRY(pass_operator(p, "OR"));
    }
    *ret = join_marked(&list);
    return OK;
}

static enum err parse_all(struct parser *p, const struct filter **ret)
{
    struct lexer *l = &p->lex;
    *ret = &filter_all;
    if (!at_end(p))
        TRY(parse_or(p, ret));
    if (lex_peek(l, 0) == ')')
        return lex_fail(l, l->at, "it has no '('; put the text in quotes to look for it",
                        "unexpected ')'");
    if (!lex_done(l) && !p->o->stop_at_pipe)
        return lex_fail(l, l->at, "OR is written OR or ||; put the text in quotes to look for it",
                        "unexpected '|'");
    return OK;
}

enum err filter_parse(struct str text, const struct filter_options *options, struct arena *arena,
                      const struct filter **ret, size_t *ret_end, size_t *ret_at)
{
    struct parser p = {
        .lex = {.text = text, .arena = arena, .ret_at = ret_at, .boosts = options->boosts},
        .o = options};
    if (text.n > FILTER_TEXT_MAX) {
        if (ret_at)
            *ret_at = FILTER_TEXT_MAX;
        return err_set(ERR_INVALID, "the query has %zu bytes, more than %u", text.n,
                       FILTER_TEXT_MAX);
    }
    const struct filter *f;
    TRY(parse_all(&p, &f));
    if (ret_end)
        *ret_end = p.lex.at;
    *ret = f;
    return OK;
}
