/* Searching texts that are held by references to other columns.
 *
 * A text is static pieces with values of other columns between them. What is looked for, or a
 * literal that every match holds, stands in a piece, in a value, or across the edge between two. Of
 * the first and the last the pieces tell, once for each different text; of the second the columns
 * themselves, by what they are held with, and for the rows whose text names them. Rows that none of
 * the three speaks for cannot match; what is left is put together and asked.
 *
 * No look at the whole is needed for a match inside a piece, with a byte of it on either side, nor
 * for one in a value that stands where its neighbours leave it as it is: between bytes that are no
 * part of any word, or anywhere, if no edge is asked for. A regex matches in the whole what it
 * matches in a part, if it looks at nothing but what it takes. */
#include "store/refs_read.h"

enum verdict { NO, MAYBE, YES };
enum { AT_ONCE = 256 };

/* The columns that a text names, a bit each; those that stand between bytes of no word at least
 * once. */
struct named {
    uint64_t any[2], clean[2];
};

struct matching {
    struct referring o;
    struct str literal;            /* folded, ASCII, at least one byte */
    const struct predicate *whole; /* where a match is just the literal, with its edges; or NULL */
    struct predicate part;         /* the literal, anywhere */
    bool anywhere;                 /* which is all that a match is */
    const struct predicate *regex; /* that matches in a whole what it matches in a part; or NULL */
    /* Bytes that a piece may end (begin) with, for a match to go on behind (have begun before). */
    bool out[256], in[256];
};

static char fold(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

/* The longest literal that every match must hold. */
static struct str literal_of(const struct predicate *p)
{
    struct str best = {0};
    if (p->kind == PRED_EQUAL)
        return p->text;
    if (p->kind == PRED_REGEX)
        return p->literal;
    for (uint32_t i = 0; p->kind == PRED_TEXT && i < p->n_parts; i++)
        if (p->parts[i].text.n > best.n)
            best = p->parts[i].text;
    return best;
}

/* Whether a match depends on nothing but the bytes that it takes: no anchor, no look around, and
 * nothing that gives no byte back. What is not known to be so is not. */
static bool regex_takes_all_it_sees(struct str p)
{
    bool class = false, quantifier = false;
    for (size_t i = 0; i < p.n; i++) {
        char c = p.p[i], next = i + 1 < p.n ? p.p[i + 1] : 0;
        if (c == '\\') {
            bool word = (next >= '0' && next <= '9') || (fold(next) >= 'a' && fold(next) <= 'z');
            if (!next || (word && !strchr("dswDSWtnr", next)))
                return false;
            i++;
            quantifier = false;
            continue;
        }
        if (class) {
            class = c != ']';
            continue;
        }
        if (c == '^' || c == '$' || (c == '+' && quantifier) ||
            (c == '(' && (next == '*' || (next == '?' && (i + 2 >= p.n || p.p[i + 2] != ':')))))
            return false;
        if (c == '[') {
            class = true;
            i += next == '^';
            if (i + 1 < p.n && (p.p[i + 1] == ']' || p.p[i + 1] == '['))
                return false;
        }
        quantifier = c == '*' || c == '+' || c == '?' || c == '}';
    }
    return true;
}

/* False where nothing is known that helps. */
static bool matching_init(struct matching *m, const struct predicate *p, struct arena *a)
{
    struct str s = literal_of(p);
    if (s.n == 0 || s.n > 256)
        return false;
    char *folded = arena_alloc(a, s.n + 2);
    for (size_t i = 0; i < s.n; i++) {
        folded[i + 1] = fold(s.p[i]);
        if ((uint8_t)s.p[i] >= 0x80 || s.p[i] == PATTERN_ANY || s.p[i] == PATTERN_ONE)
            return false;
    }
    folded[0] = folded[s.n + 1] = PATTERN_ANY;
    m->literal = str_of(folded + 1, s.n);
    for (unsigned c = 0; c < 256; c++) {
        m->out[c] = c >= 0x80 || memchr(m->literal.p, fold((char)c), s.n - 1);
        m->in[c] = c >= 0x80 || memchr(m->literal.p + 1, fold((char)c), s.n - 1);
    }
    bool plain = p->kind == PRED_TEXT && p->n_parts == 1 && !p->parts[0].any_before &&
                 !p->parts[0].skip && !p->tail_any && !p->tail_skip;
    m->whole = plain ? p : NULL;
    m->anywhere = p->kind == PRED_TEXT && p->n_parts == 1 && p->parts[0].any_before &&
                  !p->parts[0].skip && p->tail_any && !p->tail_skip;
    m->regex = p->kind == PRED_REGEX && regex_takes_all_it_sees(p->text) ? p : NULL;
    return predicate_text(a, str_of(folded, s.n + 2), &m->part) == OK;
}

/* Whether bytes are the literal's from `from` on; other scripts may fold to anything. */
static bool may_equal(const struct matching *m, const char *p, size_t n, size_t from)
{
    for (size_t i = 0; i < n; i++)
        if ((uint8_t)p[i] < 0x80 && fold(p[i]) != m->literal.p[from + i])
            return false;
    return true;
}

/* Whether a match may begin in the piece and go on behind it. */
static bool runs_out(const struct matching *m, struct str piece)
{
    size_t most = m->literal.n - 1 < piece.n ? m->literal.n - 1 : piece.n;
    if (!most || !m->out[(uint8_t)piece.p[piece.n - 1]])
        return false;
    for (size_t n = 1; n <= most; n++)
        if (may_equal(m, piece.p + piece.n - n, n, 0))
            return true;
    for (size_t i = piece.n - most; i < piece.n; i++)
        if ((uint8_t)piece.p[i] >= 0x80)
            return true;
    return false;
}

/* Whether a match may have begun before the piece. */
static bool runs_in(const struct matching *m, struct str piece)
{
    size_t most = m->literal.n - 1 < piece.n ? m->literal.n - 1 : piece.n;
    if (piece.n && !m->in[(uint8_t)piece.p[0]])
        return false;
    for (size_t i = 0; i < most; i++)
        if ((uint8_t)piece.p[i] >= 0x80)
            return true;
    for (size_t left = 1; left < m->literal.n; left++)
        if (may_equal(m, piece.p, left < piece.n ? left : piece.n, m->literal.n - left))
            return true;
    return false;
}

static enum err match_piece(const struct matching *m, struct str piece, bool last,
                            enum verdict *ret)
{
    bool hit;
    size_t from, to;
    TRY(predicate_match_text(m->whole ? m->whole : &m->part, LANE_STR, piece, &hit));
    if (!hit)
        return OK;
    *ret = m->anywhere ? YES : MAYBE;
    if (m->whole && predicate_span(m->whole, piece, 0, &from, &to) && from > 0 &&
        (to < piece.n || last) && (uint8_t)piece.p[from - 1] < 0x80 &&
        (last || (uint8_t)piece.p[to] < 0x80))
        *ret = YES;
    return OK;
}

/* No word goes on at byte i of a text with its references left open. */
static bool is_apart(struct str s, size_t i)
{
    uint8_t c = i < s.n ? (uint8_t)s.p[i] : ' ';
    bool word = (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || c == '_';
    return c < 0x80 && c != REF && !word;
}

static void note_named(struct named *n, struct str s, size_t at, uint32_t column)
{
    uint64_t bit = (uint64_t)1 << column % 64;
    n->any[column / 64] |= bit;
    if ((at == 0 || is_apart(s, at - 1)) && is_apart(s, at + 2))
        n->clean[column / 64] |= bit;
}

/* What a text says with its references left open; `holds`: the literal is somewhere in it. */
static enum err match_static(const struct matching *m, struct str s, bool holds,
                             struct named *named, enum verdict *ret)
{
    size_t at = 0, done = 0;
    enum verdict verdict = NO;
    for (bool found = true, first = true; found && verdict != YES; first = false) {
        uint32_t column = 0;
        TRY(referring_next(&m->o, s, &at, &column, &found));
        struct str piece = str_of(s.p + done, (found ? at : s.n) - done);
        enum verdict mine = NO;
        if (found && column < m->o.n)
            note_named(named, s, at, column);
        if (holds)
            TRY(match_piece(m, piece, !found, &mine));
        if ((found && (column == m->o.n || runs_out(m, piece))) ||
            (!first && (found || piece.n) && runs_in(m, piece)))
            mine = mine > MAYBE ? mine : MAYBE;
        verdict = mine > verdict ? mine : verdict;
        done = at += 2;
    }
    *ret = verdict;
    return OK;
}

/* Whether the literal could stand in the text of an integer. */
static bool may_be_number(struct str literal)
{
    for (size_t i = 0; i < literal.n; i++)
        if (literal.p[i] != '-' && (literal.p[i] < '0' || literal.p[i] > '9'))
            return false;
    return true;
}

static enum err match_numbers(const struct matching *m, uint32_t column, uint64_t *bits)
{
    const struct chunk *c = m->o.c;
    const uint32_t *at;
    struct values v;
    TRY(c->rows->refer(c->time_ctx, &m->o.name[column], NULL, c->n, m->o.a, &v, &at));
    for (uint32_t i = 0; i < c->n; i++) {
        struct ref_number number;
        bool hit = false;
        if (at[i] < v.n)
            TRY(predicate_match_text(&m->part, LANE_STR, ref_number_text(v.i64[at[i]], &number),
                                     &hit));
        if (hit)
            bitmap_set(bits, i);
    }
    return OK;
}

/* The texts of the values, and what is known of each. */
struct texts {
    struct values v;
    const uint32_t *code; /* of each value its text */
    uint8_t *verdict;     /* of each text */
    struct named *named;
};

/* Where column k holds the literal and the text names it, a value may match (bits of `maybe`) or
 * does (of `hit`). `sure`: bits of values that match by themselves. */
static void judge(const struct matching *m, const struct texts *t, uint32_t k,
                  const uint64_t *holds, const uint64_t *sure, uint64_t *maybe, uint64_t *hit)
{
    uint64_t bit = (uint64_t)1 << k % 64;
    for (uint32_t w = 0; w < bitmap_words(m->o.c->n); w++)
        for (uint64_t left = holds[w] & ~hit[w]; left; left &= left - 1) {
            uint32_t i = w * 64 + (uint32_t)__builtin_ctzll(left);
            const struct named *n = &t->named[t->code[i]];
            if (!(n->any[k / 64] & bit))
                continue;
            bool is = sure && bitmap_get(sure, i) && (m->anywhere || n->clean[k / 64] & bit);
            bitmap_set(is ? hit : maybe, i);
        }
}

static enum err match_column(const struct matching *m, const struct texts *t, uint32_t k,
                             uint64_t *maybe, uint64_t *hit)
{
    const struct chunk *c = m->o.c;
    uint64_t *holds = bitmap_new(m->o.a, c->n), *sure = NULL;
    if (m->o.name[k].lane != LANE_STR) {
        if (!may_be_number(m->literal))
            return OK;
        TRY(match_numbers(m, k, holds));
    } else {
        TRY(c->rows->match(c->time_ctx, &m->o.name[k], m->whole ? m->whole : &m->part, m->o.a,
                           holds));
        if (m->regex && bitmap_any(holds, c->n)) {
            sure = bitmap_new(m->o.a, c->n);
            TRY(c->rows->match(c->time_ctx, &m->o.name[k], m->regex, m->o.a, sure));
        } else if (m->whole || m->anywhere) {
            sure = holds;
        }
    }
    judge(m, t, k, holds, sure, maybe, hit);
    return OK;
}

/* Asks the columns that a text names which does not match by itself. */
static enum err match_columns(const struct matching *m, const struct texts *t, uint64_t *maybe,
                              uint64_t *hit)
{
    uint64_t any[2] = {0};
    for (uint32_t i = 0; i < t->v.n; i++)
        for (int w = 0; w < 2; w++)
            any[w] |= t->verdict[i] == YES ? 0 : t->named[i].any[w];
    for (uint32_t k = 0; k < m->o.n; k++)
        if (any[k / 64] >> k % 64 & 1)
            TRY(match_column(m, t, k, maybe, hit));
    return OK;
}

/* The different texts, and of each value its own. */
static enum err different_texts(struct matching *m, struct values *ret, const uint32_t **ret_code)
{
    struct arena *a = m->o.a;
    enum err err = chunk_codes(&m->o.texts, a, ret, ret_code);
    if (err != ERR_UNSUPPORTED)
        return err;
    TRY(chunk_values(&m->o.texts, a, ret));
    uint32_t *code = arena_try_alloc(a, ret->n * sizeof(*code));
    if (!code)
        return err_set(ERR_NOMEM, "no memory for %u codes", ret->n);
    for (uint32_t i = 0; i < ret->n; i++)
        code[i] = i;
    *ret_code = code;
    return OK;
}

static enum err match_texts(struct matching *m, struct texts *t)
{
    TRY(different_texts(m, &t->v, &t->code));
    t->verdict = ARENA_TRY_ARRAY(m->o.a, uint8_t, t->v.n);
    t->named = ARENA_TRY_ARRAY(m->o.a, struct named, t->v.n);
    if (!t->verdict || !t->named)
        return err_set(ERR_NOMEM, "no memory to match %u texts", t->v.n);
    uint64_t *holds = bitmap_new(m->o.a, t->v.n);
    TRY(predicate_match(&m->part, &t->v, holds));
    for (uint32_t i = 0; i < t->v.n; i++) {
        enum verdict verdict = NO;
        t->named[i] = (struct named){0};
        TRY(match_static(m, values_text(&t->v, i), bitmap_get(holds, i), &t->named[i], &verdict));
        t->verdict[i] = (uint8_t)verdict;
    }
    return OK;
}

/* Those that may match, put together and asked, some at a time. */
static enum err match_whole(struct matching *m, const struct texts *t, const struct predicate *p,
                            const uint32_t *pos, uint32_t n, uint64_t *bits)
{
    struct texts_of x = {&t->v, t->code, pos, n};
    struct arena some;
    enum err err = OK;
    arena_init(&some, 0, m->o.a->res);
    for (uint32_t from = 0; from < n && err == OK; from += AT_ONCE) {
        uint32_t to = n - from < AT_ONCE ? n : from + AT_ONCE;
        struct values v;
        uint64_t hit[AT_ONCE / 64] = {0};
        err = referring_texts(&m->o, &x, from, to, &some, &v);
        if (err == OK)
            err = predicate_match(p, &v, hit);
        for (uint32_t i = from; i < to && err == OK; i++)
            if (bitmap_get(hit, i - from))
                bitmap_set(bits, pos[i]);
        arena_reset(&some);
    }
    arena_release(&some);
    return err;
}

enum err refs_match(const struct chunk *c, const struct predicate *p, struct arena *a,
                    uint64_t *bits)
{
    struct matching m;
    struct texts t;
    struct values v;
    if (!matching_init(&m, p, a)) {
        TRY(chunk_values(c, a, &v));
        return predicate_match(p, &v, bits);
    }
    TRY(referring_open(c, a, &m.o));
    TRY(match_texts(&m, &t));
    uint32_t *pos = ARENA_TRY_ARRAY(a, uint32_t, c->n), n = 0;
    if (!pos)
        return err_set(ERR_NOMEM, "no memory to match %u texts", c->n);
    for (uint32_t i = 0; i < c->n; i++)
        if (t.verdict[t.code[i]] == YES)
            bitmap_set(bits, i);
    uint64_t *maybe = bitmap_new(a, c->n);
    TRY(match_columns(&m, &t, maybe, bits));
    for (uint32_t i = 0; i < c->n; i++)
        if (!bitmap_get(bits, i) && (t.verdict[t.code[i]] == MAYBE || bitmap_get(maybe, i)))
            pos[n++] = i;
    return match_whole(&m, &t, p, pos, n, bits);
}
