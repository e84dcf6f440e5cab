/* Searching texts that are held by references to other columns.
 *
 * A text is static pieces with values of other columns between them. What is looked for, or a
 * literal that every match holds, stands in a piece, in a value, or across the edge between two. Of
 * the first and the last the pieces tell, once for each different text; of the second the columns
 * themselves, by what they are held with. Rows that none of the three speaks for cannot match; what
 * is left is put together and asked. A match inside a piece, with a byte of it on either side,
 * needs no look at the whole. */
#include "store/refs_read.h"

enum verdict { NO, MAYBE, YES };

struct matching {
    struct referring o;
    struct str literal;            /* folded, ASCII, at least one byte */
    const struct predicate *whole; /* where a match is just the literal, with its edges; or NULL */
    struct predicate part;         /* the literal, anywhere */
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
    *ret = MAYBE;
    if (m->whole && predicate_span(m->whole, piece, 0, &from, &to) && from > 0 &&
        (to < piece.n || last) && (uint8_t)piece.p[from - 1] < 0x80 &&
        (last || (uint8_t)piece.p[to] < 0x80))
        *ret = YES;
    return OK;
}

/* What a text says with its references left open; `holds`: the literal is somewhere in it. */
static enum err match_static(const struct matching *m, struct str s, bool holds, enum verdict *ret)
{
    size_t at = 0, done = 0;
    enum verdict verdict = NO;
    for (bool found = true, first = true; found && verdict != YES; first = false) {
        uint32_t column = 0;
        TRY(referring_next(&m->o, s, &at, &column, &found));
        struct str piece = str_of(s.p + done, (found ? at : s.n) - done);
        enum verdict mine = NO;
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

/* Sets the bits of the rows where a column that is referred to may hold a match. */
static enum err match_columns(const struct matching *m, uint64_t *bits)
{
    const struct chunk *c = m->o.c;
    for (uint32_t k = 0; k < m->o.n; k++) {
        if (m->o.name[k].lane == LANE_STR)
            TRY(c->rows->match(c->time_ctx, &m->o.name[k], m->whole ? m->whole : &m->part, m->o.a,
                               bits));
        else if (may_be_number(m->literal))
            TRY(match_numbers(m, k, bits));
    }
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

static enum err match_texts(const struct matching *m, const struct values *texts, uint8_t *to)
{
    uint64_t *holds = bitmap_new(m->o.a, texts->n);
    TRY(predicate_match(&m->part, texts, holds));
    for (uint32_t i = 0; i < texts->n; i++) {
        enum verdict verdict = NO;
        TRY(match_static(m, values_text(texts, i), bitmap_get(holds, i), &verdict));
        to[i] = (uint8_t)verdict;
    }
    return OK;
}

/* Those that may match, put together and asked. */
static enum err match_whole(const struct chunk *c, const struct predicate *p, const uint32_t *pos,
                            uint32_t n, struct arena *a, uint64_t *bits)
{
    struct values v;
    uint64_t *hit = bitmap_new(a, n);
    if (n == 0)
        return OK;
    TRY(chunk_get(c, pos, n, a, &v));
    TRY(predicate_match(p, &v, hit));
    for (uint32_t i = 0; i < n; i++)
        if (bitmap_get(hit, i))
            bitmap_set(bits, pos[i]);
    return OK;
}

enum err refs_match(const struct chunk *c, const struct predicate *p, struct arena *a,
                    uint64_t *bits)
{
    struct matching m;
    struct values v;
    if (!matching_init(&m, p, a)) {
        TRY(chunk_values(c, a, &v));
        return predicate_match(p, &v, bits);
    }
    const uint32_t *code = NULL;
    TRY(referring_open(c, a, &m.o));
    TRY(different_texts(&m, &v, &code));
    uint8_t *verdict = ARENA_TRY_ARRAY(a, uint8_t, v.n);
    uint32_t *pos = ARENA_TRY_ARRAY(a, uint32_t, c->n), n = 0;
    if (!verdict || !pos)
        return err_set(ERR_NOMEM, "no memory to match %u texts", c->n);
    uint64_t *inside = bitmap_new(a, c->n);
    TRY(match_texts(&m, &v, verdict));
    TRY(match_columns(&m, inside));
    for (uint32_t i = 0; i < c->n; i++) {
        if (verdict[code[i]] == YES)
            bitmap_set(bits, i);
        else if (verdict[code[i]] == MAYBE || bitmap_get(inside, i))
            pos[n++] = i;
    }
    return match_whole(c, p, pos, n, a, bits);
}
