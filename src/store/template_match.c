/* Predicates on chunks of templates: first on patterns, then on the variables that could matter,
 * and only what is left on texts put together.
 *
 * 1. A needle is a text that every match holds: the pattern of a term or phrase, its longest part
 *    where it has wildcards, the required literal of a regex. It is compared without letter case,
 *    which only lets more through.
 * 2. A template whose static text alone matches has all its rows: a term or phrase found between
 *    two holes, and not in a word that goes on inside a hole, stands in every one of them.
 * 3. Else the needle needs a hole. Which holes could hold a part of it, tell the static text around
 *    them and the characters that their values are made of: walking the pattern forward with the
 *    set of the needle's prefixes that may end here (shift-and, one bit a prefix), and backward
 *    with the suffixes that may begin here, a hole takes part where a piece of allowed characters
 *    leads from one set to the other.
 *    Mostly the one byte on either side of a hole tells that it does not.
 * 4. The values of those slots are asked, a dictionary once an entry: does the needle stand in the
 *    value, begin or end in it, or go across it? Values that are templates again are asked the same
 *    way, with what stands around the hole.
 * 5. The rows that are left are put together, and the predicate decides.
 *
 * The bytes of the two letters outside ASCII that fold into it are let through everywhere: what
 * comes of them is decided in step 5. */
#include "store/template_read.h"

#include "record/words.h"

enum { NEEDLE_MAX = 63 };

struct query {
    const struct predicate *p;
    uint8_t text[NEEDLE_MAX]; /* lower case */
    uint32_t n;
    uint64_t at[256]; /* bit i: text[i] is this byte */
    uint64_t of_kind[BYTES_KINDS];
    struct needle needle;
    bool static_proves; /* static text alone can prove a match */
    bool rare_fold;     /* letters outside ASCII fold to some of it */
};

static uint8_t low(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? c | 0x20 : c;
}

/* False where the predicate has no needle. */
static bool query_init(const struct predicate *p, enum lane lane, struct query *q)
{
    struct str s = {"", 0};
    if (p->kind == PRED_REGEX)
        s = p->literal;
    else if (p->kind == PRED_EQUAL && lane != LANE_ARR)
        s = p->text;
    else if (p->kind == PRED_TEXT && !(lane == LANE_ARR && p->is_number))
        for (uint32_t i = 0; i < p->n_parts; i++)
            s = p->parts[i].text.n > s.n ? p->parts[i].text : s;
    *q = (struct query){.p = p, .static_proves = p->kind == PRED_TEXT};
    /* A hole's byte is none to look for: patterns without slots hold it twice. */
    for (;
         q->n < s.n && q->n < NEEDLE_MAX && (uint8_t)s.p[q->n] < 0x80 && s.p[q->n] != TEMPLATE_HOLE;
         q->n++)
        q->text[q->n] = low((uint8_t)s.p[q->n]);
    q->rare_fold =
        p->kind == PRED_TEXT && (memchr(q->text, 'k', q->n) || memchr(q->text, 'i', q->n));
    for (uint32_t i = 0; i < q->n; i++) {
        q->at[q->text[i]] |= (uint64_t)1 << i;
        if (q->text[i] >= 'a' && q->text[i] <= 'z')
            q->at[q->text[i] & 0xdf] |= (uint64_t)1 << i;
    }
    for (unsigned c = 0; c < 0x80; c++)
        q->of_kind[byte_kind_of(c)] |= q->at[c];
    for (const char *c = "\xc4\xb0\xe2\x84\xaa"; q->rare_fold && *c; c++)
        q->at[(uint8_t)*c] = ((uint64_t)1 << q->n) - 1;
    if (q->n)
        needle_init(&q->needle, str_of((const char *)q->text, q->n), true);
    return q->n > 0;
}

/* ---- what characters a slot's values are made of ---- */

/* As bits: bit i where the needle's byte i may be in a value. */
static uint64_t any_byte(const struct query *q)
{
    return ((uint64_t)1 << q->n) - 1;
}

static uint64_t allow_kinds(const struct query *q, uint16_t kinds)
{
    if (q->rare_fold && kinds & 1u << BYTES_WIDE)
        return any_byte(q);
    uint64_t at = 0;
    for (unsigned k = 0; k < BYTES_WIDE; k++)
        at |= kinds & 1u << k ? q->of_kind[k] : 0;
    return at;
}

static uint16_t slot_bytes(const struct templated *o, uint32_t slot)
{
    static const uint16_t number = 1u << BYTES_DIGIT | 1u << BYTES_DOT;
    const struct slot *s = &o->slot[slot];
    if (s->kind == SLOT_NUMBER)
        return s->form.pad == ' ' ? number | 1u << BYTES_SPACE : number;
    return s->kind == SLOT_OWN || s->kind == SLOT_TEXT ? s->bytes : o->dict_bytes[s->dict];
}

/* ---- the needle across a pattern ---- */

/* Bit i: a prefix of i bytes may end here (i < n). Whole matches are no longer of interest. */
static uint64_t step(const struct query *q, uint64_t prefixes, uint8_t c)
{
    return ((prefixes | 1) & q->at[c]) << 1;
}

/* From every prefix on by as many allowed bytes as there are. */
static uint64_t run_on(uint64_t from, uint64_t allowed)
{
    uint64_t at = from;
    for (;;) {
        uint64_t next = at | (at & allowed) << 1;
        if (next == at)
            return at;
        at = next;
    }
}

/* The same toward lower bits: bit i where allowed bytes lead from i to a bit of `to`. */
static uint64_t run_back(uint64_t to, uint64_t allowed)
{
    uint64_t at = to;
    for (;;) {
        uint64_t next = at | (at >> 1 & allowed);
        if (next == at)
            return at;
        at = next;
    }
}

/* Prefixes that may end behind the static text s, which only the last bytes of it decide. */
static uint64_t through(const struct query *q, uint64_t prefixes, struct str s)
{
    if (s.n > q->n) {
        prefixes = 0;
        s = str_from(s, s.n - q->n);
    }
    for (size_t i = 0; i < s.n; i++)
        prefixes = step(q, prefixes, (uint8_t)s.p[i]);
    return prefixes;
}

/* Bit i: the needle from byte i on may begin at the start of s; bit n stands for its end. */
static uint64_t back_through(const struct query *q, uint64_t suffixes, struct str s)
{
    uint64_t end = (uint64_t)1 << q->n;
    if (s.n > q->n) {
        suffixes = end;
        s.n = q->n;
    }
    for (size_t i = s.n; i-- > 0;)
        suffixes = (suffixes >> 1 & q->at[(uint8_t)s.p[i]]) | end;
    return suffixes;
}

/* Whether a hole between two static texts could take part, by their bytes beside it alone. */
static bool may_take_part(const struct query *q, uint64_t allowed, struct str left,
                          struct str right)
{
    uint64_t end = (uint64_t)1 << q->n;
    uint64_t before = left.n ? q->at[(uint8_t)left.p[left.n - 1]] << 1 | 1 : end - 1;
    uint64_t behind = right.n ? q->at[(uint8_t)right.p[0]] | end : end * 2 - 1;
    return run_on((before & allowed) << 1, allowed) & behind;
}

/* ---- templates ---- */

enum verdict { NO_ROW, SOME_ROWS, ALL_ROWS };

/* What of the needle may stand before a hole, and go on behind it: as step and back_through have
 * it. */
struct around {
    uint64_t before, behind;
};
struct matching {
    struct templated *o;
    const struct query *q;
    uint8_t *verdict; /* of each template */
    uint64_t **rank;  /* of each template with SOME_ROWS: which; NULL: all are to be asked */
    struct dict_hits **dict_hits;   /* of each dictionary, by what was asked of it */
    const struct predicate *inside; /* the needle, anywhere in a value; once made */
    uint64_t *pool_hit;             /* values of the pool of texts that hold it; once asked */
    struct dict_hits *pool_hits;    /* the same by what is around, of a pool of templates */
    uint32_t n_pool_hits;
    struct around around; /* the whole text */
    /* Of the template at hand: */
    struct str *piece;
    uint64_t *allowed, *behind; /* of each slot */
    uint16_t kinds;             /* the last that were asked for, and what they allow */
    uint64_t kinds_allow;
};
struct dict_hits {
    struct dict_hits *next;
    struct around around;
    uint64_t *hit; /* a bit an entry */
};

static bool is_word_byte(uint8_t c)
{
    return words_ascii[c] || c >= 0x80;
}

/* Static text without the words that may go on in a hole beside it, where that matters. */
static struct str inner_words(const struct predicate *p, struct str s, bool hole_before,
                              bool hole_behind)
{
    size_t from = 0, to = s.n;
    while (hole_before && p->edge_left && from < to && is_word_byte((uint8_t)s.p[from]))
        from++;
    while (hole_behind && p->edge_right && to > from && is_word_byte((uint8_t)s.p[to - 1]))
        to--;
    return str_of(s.p + from, to - from);
}

static enum err static_match(const struct matching *m, const struct str *piece, uint32_t n,
                             bool *ret)
{
    *ret = false;
    for (uint32_t i = 0; i < n && !*ret; i++) {
        struct str s = inner_words(m->q->p, piece[i], i > 0, i + 1 < n);
        if (s.n)
            TRY(predicate_match_text(m->q->p, LANE_STR, s, ret));
    }
    return OK;
}

/* Whether the needle could stand in a value, or go on from before it, or behind it. */
static bool overlaps(const struct query *q, const struct around *a, struct str v)
{
    uint64_t prefixes = a->before, ends = (uint64_t)1 << q->n;
    for (size_t i = 0; i < v.n; i++) {
        prefixes = step(q, prefixes, (uint8_t)v.p[i]);
        if (((uint8_t)v.p[i] >= 0x80 && q->at[(uint8_t)v.p[i]]) || prefixes & ends)
            return true;
    }
    return prefixes & a->behind & ~(uint64_t)1;
}

/* A dictionary is asked once for each two sets around its holes: mostly there are one or two. */
static enum err dict_hits(struct matching *m, uint32_t d, const struct around *around,
                          const struct values *dict, const uint64_t **ret)
{
    struct dict_hits *x = m->dict_hits[d];
    while (x && (x->around.before != around->before || x->around.behind != around->behind))
        x = x->next;
    if (!x) {
        uint64_t *hit = ARENA_TRY_ARRAY(m->o->a, uint64_t, bitmap_words(dict->n));
        x = ARENA_TRY_ARRAY(m->o->a, struct dict_hits, 1);
        if (!hit || !x)
            return err_set(ERR_NOMEM, "no memory to match %u words", dict->n);
        memset(hit, 0, bitmap_words(dict->n) * sizeof(*hit));
        for (uint32_t i = 0; i < dict->n; i++)
            if (overlaps(m->q, around, values_text(dict, i)))
                bitmap_set(hit, i);
        *x = (struct dict_hits){m->dict_hits[d], *around, hit};
        m->dict_hits[d] = x;
    }
    *ret = x->hit;
    return OK;
}

/* The values of a chunk that hold the needle whole: the chunk may know without a look at them. */
static enum err chunk_holds(struct matching *m, const struct chunk *c, uint64_t **ret)
{
    struct arena *a = m->o->a;
    if (!m->inside) {
        struct predicate *p = ARENA_TRY_ARRAY(a, struct predicate, 1);
        if (!p)
            return err_set(ERR_NOMEM, "no memory to match slots");
        TRY(predicate_text(
            a, arena_printf(a, "%c%.*s%c", PATTERN_ANY, (int)m->q->n, m->q->text, PATTERN_ANY), p));
        m->inside = p;
    }
    *ret = bitmap_new(a, c->n);
    return chunk_match(c, m->inside, a, *ret);
}

/* Of a slot in whose values the needle can only stand whole. */
static enum err whole_ranks(struct matching *m, uint32_t t, uint32_t slot, uint64_t *rank)
{
    const struct slot *s = &m->o->slot[slot];
    struct chunk *c = NULL;
    uint64_t *hit;
    if (s->kind == SLOT_OWN) {
        TRY(templated_own(m->o, t, slot, &c));
        TRY(chunk_holds(m, c, &hit));
        bitmap_or(rank, hit, c->n);
        return OK;
    }
    if (!m->pool_hit) {
        struct chunk pool;
        TRY(templated_pool(m->o, &pool));
        TRY(chunk_holds(m, &pool, &m->pool_hit));
    }
    for (uint32_t i = 0; i < m->o->rows[t]; i++)
        rank[i >> 6] |= (uint64_t)bitmap_get(m->pool_hit, s->at + i) << (i & 63);
    return OK;
}

static enum err nested_ranks(struct matching *m, const struct chunk *c, const struct around *around,
                             uint64_t *rank);

/* Beyond so many sets around holes, all texts of the pool are put together. */
enum { POOL_HITS_MAX = 8 };

/* Of a slot in the pool of texts, where that holds templates; ERR_UNSUPPORTED: ask the texts. */
static enum err pool_ranks(struct matching *m, uint32_t t, uint32_t slot,
                           const struct around *around, uint64_t *rank)
{
    struct templated *o = m->o;
    struct dict_hits *x = m->pool_hits;
    if (o->text)
        return ERR_UNSUPPORTED;
    while (x && (x->around.before != around->before || x->around.behind != around->behind))
        x = x->next;
    if (!x) {
        struct chunk *pool = ARENA_TRY_ARRAY(o->a, struct chunk, 1);
        x = ARENA_TRY_ARRAY(o->a, struct dict_hits, 1);
        if (!pool || !x)
            return err_set(ERR_NOMEM, "no memory to match slots");
        TRY(templated_pool(o, pool));
        if (pool->encoding != ENC_TEMPLATE || m->n_pool_hits == POOL_HITS_MAX)
            return ERR_UNSUPPORTED;
        *x = (struct dict_hits){m->pool_hits, *around, bitmap_new(o->a, pool->n)};
        TRY(nested_ranks(m, pool, around, x->hit));
        m->pool_hits = x;
        m->n_pool_hits++;
    }
    for (uint32_t i = 0; i < o->rows[t]; i++)
        rank[i >> 6] |= (uint64_t)bitmap_get(x->hit, o->slot[slot].at + i) << (i & 63);
    return OK;
}

/* Of a slot of few distinct values; ERR_UNSUPPORTED: it is none. */
static enum err coded_ranks(struct matching *m, const struct chunk *c, const struct around *around,
                            uint64_t *rank)
{
    struct values dict;
    const uint32_t *code;
    TRY(chunk_codes(c, m->o->a, &dict, &code));
    uint64_t *hit = ARENA_TRY_ARRAY(m->o->a, uint64_t, bitmap_words(dict.n));
    if (!hit)
        return err_set(ERR_NOMEM, "no memory to match %u words", dict.n);
    memset(hit, 0, bitmap_words(dict.n) * sizeof(*hit));
    for (uint32_t i = 0; i < dict.n; i++)
        if (overlaps(m->q, around, values_text(&dict, i)))
            bitmap_set(hit, i);
    for (uint32_t i = 0; i < c->n; i++)
        rank[i >> 6] |= (uint64_t)bitmap_get(hit, code[i]) << (i & 63);
    return OK;
}

/* Sets the ranks of the texts whose value in this slot could hold a part of the needle. */
static enum err slot_ranks(struct matching *m, uint32_t t, uint32_t slot,
                           const struct around *around, uint64_t *rank)
{
    uint32_t rows = m->o->rows[t];
    uint8_t kind = m->o->slot[slot].kind;
    if (kind == SLOT_WORDS || kind == SLOT_OWN_WORDS) {
        const struct values *dict = NULL;
        const int64_t *code = NULL;
        const uint64_t *hit = NULL;
        TRY(templated_words(m->o, t, slot, &dict, &code));
        TRY(dict_hits(m, m->o->slot[slot].dict, around, dict, &hit));
        for (uint32_t i = 0; i < rows; i++)
            rank[i >> 6] |= (uint64_t)bitmap_get(hit, (uint32_t)code[i]) << (i & 63);
        return OK;
    }
    bool whole = !around->before && !(around->behind & any_byte(m->q) & ~(uint64_t)1);
    if ((kind == SLOT_OWN || kind == SLOT_TEXT) && whole &&
        !memchr(m->q->text, PATTERN_ANY, m->q->n) && !memchr(m->q->text, PATTERN_ONE, m->q->n))
        return whole_ranks(m, t, slot, rank);
    if (kind == SLOT_OWN) {
        struct chunk *c = NULL;
        TRY(templated_own(m->o, t, slot, &c));
        enum err err = c->encoding == ENC_TEMPLATE ? nested_ranks(m, c, around, rank)
                                                   : coded_ranks(m, c, around, rank);
        if (err != ERR_UNSUPPORTED)
            return err;
    }
    if (kind == SLOT_TEXT) {
        enum err err = pool_ranks(m, t, slot, around, rank);
        if (err != ERR_UNSUPPORTED)
            return err;
    }
    struct values v;
    TRY(templated_slot(m->o, t, slot, NULL, rows, &v));
    for (uint32_t i = 0; i < rows; i++)
        rank[i >> 6] |= (uint64_t)overlaps(m->q, around, values_text(&v, i)) << (i & 63);
    return OK;
}

static uint64_t slot_allows(struct matching *m, uint32_t slot)
{
    uint16_t kinds = slot_bytes(m->o, slot);
    if (kinds != m->kinds) {
        m->kinds = kinds;
        m->kinds_allow = allow_kinds(m->q, kinds);
    }
    return m->kinds_allow;
}

static enum err ask_slots(struct matching *m, uint32_t t)
{
    struct templated *o = m->o;
    uint32_t first = o->first_slot[t], n = o->first_slot[t + 1] - first;
    uint64_t suffixes = m->around.behind, prefixes = m->around.before;
    for (uint32_t i = n; i-- > 0;) {
        m->behind[i] = suffixes = back_through(m->q, suffixes, m->piece[i + 1]);
        suffixes = run_back(suffixes, m->allowed[i]) | (uint64_t)1 << m->q->n;
    }
    for (uint32_t i = 0; i < n; i++) {
        prefixes = through(m->q, prefixes, m->piece[i]) | 1;
        /* One byte at least in this hole, then any number of them. */
        uint64_t on = run_on((prefixes & m->allowed[i]) << 1, m->allowed[i]);
        if (on & m->behind[i]) {
            if (!m->rank[t]) {
                m->rank[t] = bitmap_new(o->a, o->rows[t]);
                m->verdict[t] = SOME_ROWS;
            }
            struct around around = {prefixes & ~(uint64_t)1, m->behind[i]};
            TRY(slot_ranks(m, t, first + i, &around, m->rank[t]));
        }
        prefixes |= on;
    }
    return OK;
}

/* A template whose static text holds the needle. */
static enum err judge_static(struct matching *m, uint32_t t, struct str pattern)
{
    uint32_t n = m->o->first_slot[t + 1] - m->o->first_slot[t];
    bool hit = false;
    if (n == 0 || m->q->static_proves) {
        TRY(template_pieces(pattern, n, m->o->a, m->piece));
        if (n == 0)
            TRY(predicate_match_text(m->q->p, m->o->c->lane, m->piece[0], &hit));
        else
            TRY(static_match(m, m->piece, n + 1, &hit));
    }
    m->verdict[t] = hit ? ALL_ROWS : n ? SOME_ROWS : NO_ROW;
    return OK;
}

/* What is around the whole text is empty but for a slot's. */
static enum err matching_init(struct templated *o, const struct query *q,
                              const struct around *around, struct matching *ret)
{
    uint32_t most = 0;
    for (uint32_t t = 0; t < o->n; t++) {
        uint32_t n = o->first_slot[t + 1] - o->first_slot[t];
        most = n > most ? n : most;
    }
    *ret = (struct matching){.o = o,
                             .q = q,
                             .verdict = arena_try_alloc(o->a, o->n),
                             .rank = ARENA_TRY_ARRAY(o->a, uint64_t *, o->n),
                             .dict_hits = ARENA_TRY_ARRAY(o->a, struct dict_hits *, o->n_dicts + 1),
                             .around = *around,
                             .piece = ARENA_TRY_ARRAY(o->a, struct str, (size_t)most + 1),
                             .allowed = ARENA_TRY_ARRAY(o->a, uint64_t, (size_t)most + 1),
                             .behind = ARENA_TRY_ARRAY(o->a, uint64_t, (size_t)most + 1)};
    if (!ret->verdict || !ret->rank || !ret->dict_hits || !ret->piece || !ret->allowed ||
        !ret->behind)
        return err_set(ERR_NOMEM, "no memory to match %u templates", o->n);
    memset(ret->rank, 0, o->n * sizeof(*ret->rank));
    memset(ret->dict_hits, 0, o->n_dicts * sizeof(*ret->dict_hits));
    memset(ret->verdict, NO_ROW, o->n);
    return OK;
}

static enum err judge_holes(struct matching *m, uint32_t t, struct str pattern)
{
    uint32_t first = m->o->first_slot[t], n = m->o->first_slot[t + 1] - first;
    uint64_t any = 0;
    for (uint32_t i = 0; i < n; i++)
        any |= m->allowed[i] = slot_allows(m, first + i);
    if (!any)
        return OK;
    TRY(template_pieces(pattern, n, m->o->a, m->piece));
    for (uint32_t i = 0; i < n; i++)
        if (m->allowed[i] && may_take_part(m->q, m->allowed[i], m->piece[i], m->piece[i + 1]))
            return ask_slots(m, t);
    return OK;
}

/* What folds to ASCII from outside it is not found by the needle: such patterns are asked. */
static bool may_fold(const struct query *q, struct str pattern)
{
    return q->rare_fold && predicate_rare_fold(pattern);
}

/* One search over all patterns, then each template by whether it was found there. */
static enum err judge_all(struct matching *m, const struct values *patterns)
{
    struct str all = str_of(patterns->bytes, patterns->off[patterns->n]);
    size_t at = needle_next(&m->q->needle, all, patterns->off[0]);
    for (uint32_t t = 0; t < patterns->n; t++) {
        struct str pattern = values_text(patterns, t);
        while (at != SIZE_MAX && at < patterns->off[t])
            at = needle_next(&m->q->needle, all, patterns->off[t]);
        bool stands = at != SIZE_MAX && at + m->q->n <= patterns->off[t + 1];
        if (stands || may_fold(m->q, pattern))
            TRY(judge_static(m, t, pattern));
        else
            TRY(judge_holes(m, t, pattern));
    }
    return OK;
}

/* ---- templates in a slot ---- */

/* Whether what stands around a text makes a whole needle with its static text alone: with that in
 * front of the first hole, or behind the last. */
static bool edges_match(const struct matching *m, uint32_t n_slots)
{
    const struct query *q = m->q;
    struct str first = m->piece[0], last = m->piece[n_slots];
    uint64_t prefixes = m->around.before, ends = (uint64_t)1 << q->n;
    for (size_t i = 0; i < first.n && i < q->n; i++) {
        prefixes = step(q, prefixes, (uint8_t)first.p[i]);
        if (prefixes & ends)
            return true;
    }
    prefixes = through(q, n_slots ? 0 : m->around.before, last);
    return prefixes & m->around.behind & ~(uint64_t)1;
}

/* Where the needle could stand: in the static text, from it out into what is around, in a slot. */
static enum err judge_nested(struct matching *m, const struct values *patterns)
{
    struct str all = str_of(patterns->bytes, patterns->off[patterns->n]);
    size_t at = needle_next(&m->q->needle, all, patterns->off[0]);
    for (uint32_t t = 0; t < patterns->n; t++) {
        uint32_t n = m->o->first_slot[t + 1] - m->o->first_slot[t];
        struct str pattern = values_text(patterns, t);
        while (at != SIZE_MAX && at < patterns->off[t])
            at = needle_next(&m->q->needle, all, patterns->off[t]);
        bool stands = at != SIZE_MAX && at + m->q->n <= patterns->off[t + 1];
        TRY(template_pieces(pattern, n, m->o->a, m->piece));
        if (stands || may_fold(m->q, pattern) || edges_match(m, n))
            m->verdict[t] = ALL_ROWS;
        else
            TRY(judge_holes(m, t, pattern));
    }
    return OK;
}

static enum err nested_ranks(struct matching *m, const struct chunk *c, const struct around *around,
                             uint64_t *rank)
{
    struct arena *a = m->o->a;
    struct templated *o = ARENA_TRY_ARRAY(a, struct templated, 1);
    struct values patterns;
    struct matching in;
    if (!o)
        return err_set(ERR_NOMEM, "no memory to match templates");
    TRY(templated_open(c, a, o));
    TRY(chunk_values(&o->patterns, a, &patterns));
    TRY(matching_init(o, m->q, around, &in));
    TRY(judge_nested(&in, &patterns));
    uint32_t *seen = ARENA_TRY_ARRAY(a, uint32_t, o->n);
    if (!seen)
        return err_set(ERR_NOMEM, "no memory to match templates");
    memset(seen, 0, o->n * sizeof(*seen));
    for (uint32_t i = 0; i < c->n; i++) {
        uint32_t t = o->code[i], k = seen[t]++;
        bool hit =
            in.verdict[t] == ALL_ROWS || (in.verdict[t] == SOME_ROWS && bitmap_get(in.rank[t], k));
        rank[i >> 6] |= (uint64_t)hit << (i & 63);
    }
    return OK;
}

/* ---- rows ---- */

/* Sets the bits of rows that match for sure, lists those to be asked. */
static enum err sort_rows(struct matching *m, uint64_t *bits, uint32_t **ret, uint32_t *ret_n)
{
    struct templated *o = m->o;
    uint32_t *pos = ARENA_TRY_ARRAY(o->a, uint32_t, o->c->n), n = 0;
    uint32_t *seen = ARENA_TRY_ARRAY(o->a, uint32_t, o->n);
    if (!pos || !seen)
        return err_set(ERR_NOMEM, "no memory to match %u texts", o->c->n);
    memset(seen, 0, o->n * sizeof(*seen));
    for (uint32_t i = 0; i < o->c->n; i++) {
        uint32_t t = o->code[i], rank;
        if (m->verdict[t] == ALL_ROWS) {
            bitmap_set(bits, i);
        } else if (m->verdict[t] == SOME_ROWS) {
            rank = seen[t]++;
            if (!m->rank[t] || bitmap_get(m->rank[t], rank))
                pos[n++] = i;
        }
    }
    *ret = pos;
    *ret_n = n;
    return OK;
}

static enum err ask_rows(struct matching *m, const uint32_t *pos, uint32_t n, uint64_t *bits)
{
    struct values v;
    uint64_t *hit = ARENA_TRY_ARRAY(m->o->a, uint64_t, bitmap_words(n));
    if (!hit)
        return err_set(ERR_NOMEM, "no memory to match %u texts", n);
    memset(hit, 0, bitmap_words(n) * sizeof(*hit));
    TRY(templated_get(m->o, pos, n, &v));
    TRY(predicate_match(m->q->p, &v, hit));
    for (uint32_t i = 0; i < n; i++)
        if (bitmap_get(hit, i))
            bitmap_set(bits, pos[i]);
    return OK;
}

static enum err match_all(const struct chunk *c, const struct predicate *p, struct arena *a,
                          uint64_t *bits)
{
    struct templated o;
    struct values v;
    TRY(templated_open(c, a, &o));
    TRY(templated_values(&o, &v));
    return predicate_match(p, &v, bits);
}

enum err template_match(const struct chunk *c, const struct predicate *p, struct arena *a,
                        uint64_t *bits)
{
    struct query q;
    if (!query_init(p, c->lane, &q))
        return match_all(c, p, a, bits);
    struct templated o;
    struct values patterns;
    TRY(templated_open(c, a, &o));
    TRY(chunk_values(&o.patterns, a, &patterns));
    struct matching m;
    TRY(matching_init(&o, &q, &(struct around){0, (uint64_t)1 << q.n}, &m));
    TRY(judge_all(&m, &patterns));
    uint32_t any = NO_ROW, n, *pos;
    for (uint32_t t = 0; t < o.n; t++)
        any |= m.verdict[t];
    if (!any)
        return OK;
    TRY(sort_rows(&m, bits, &pos, &n));
    return n ? ask_rows(&m, pos, n, bits) : OK;
}
