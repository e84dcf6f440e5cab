/* Making predicates, and applying one to the values of a lane. What TEXT, RANGE and REGEX mean on a
 * value is in predicate_text.c, predicate_range.c and regex.c; here is which of them sees what on
 * which lane, once for whole columns and once for single texts. */
#include "record/predicate.h"

#include "core/mem.h"
#include "record/bitmap.h"
#include "record/json.h"
#include "record/json_walk.h"
#include "record/predicate_impl.h"
#include "record/template_cut.h"
#include "record/words.h"

/* ---- words that a match must hold ---- */

struct sure_words {
    struct str text;
    bool edge_left, edge_right; /* the text's own ends are sure to be words' edges */
    uint64_t *hash;             /* NULL: only counted */
    uint32_t n;
};

static void sure_word(void *ctx, size_t from, size_t to)
{
    struct sure_words *w = ctx;
    struct str word = {w->text.p + from, to - from};
    /* An ideograph is a word whatever stands beside it: an edge follows it in "xy" too. */
    char pair[16];
    size_t n = words_char_bytes(word, 0);
    bool ideograph = n == word.n && n <= 4 && n > 1;
    if (ideograph) {
        pair[0] = 'a';
        memcpy(pair + 1, word.p, n);
        ideograph = words_edge(str_of(pair, n + 1), 1);
    }
    if (!ideograph && ((from == 0 && !w->edge_left) || (to == w->text.n && !w->edge_right)))
        return;
    if (words_quantity(word)) /* filters hold none of these */
        return;
    if (w->hash)
        w->hash[w->n] = words_hash(word);
    w->n++;
}

/* Of each of n texts; the first and the last have the edges given. */
static void find_words(struct arena *a, struct predicate *p, const struct predicate_part *part,
                       uint32_t n, bool edge_left, bool edge_right)
{
    struct sure_words w = {0};
    for (int pass = 0; pass < 2; pass++) {
        w.hash = pass ? arena_alloc(a, w.n * sizeof(uint64_t) + 1) : NULL;
        w.n = 0;
        for (uint32_t i = 0; i < n; i++) {
            w.text = part[i].text;
            w.edge_left = edge_left && i == 0;
            w.edge_right = edge_right && i == n - 1;
            words_each(w.text, sure_word, &w);
        }
    }
    p->word_hash = w.hash;
    p->n_words = w.n;
}

/* ---- makers ---- */

#define LITERAL_BYTES_MIN 3 /* shorter ones are everywhere: an automaton finds better */

static bool is_wildcard(char c)
{
    return c == PATTERN_ANY || c == PATTERN_ONE;
}

/* The folded pattern, cut at its wildcards. */
static void split_parts(struct arena *a, struct predicate *p)
{
    struct str s = p->text;
    uint32_t most = 1;
    for (size_t i = 0; i < s.n; i++)
        most += is_wildcard(s.p[i]);
    struct predicate_part *part = ARENA_ARRAY(a, struct predicate_part, most), gap = {0};
    for (size_t i = 0; i < s.n;) {
        if (is_wildcard(s.p[i])) {
            gap.any_before |= s.p[i] == PATTERN_ANY;
            gap.skip += s.p[i++] == PATTERN_ONE;
            continue;
        }
        size_t from = i;
        while (i < s.n && !is_wildcard(s.p[i]))
            i++;
        gap.text = str_of(s.p + from, i - from);
        part[p->n_parts++] = gap;
        gap = (struct predicate_part){0};
    }
    if (p->n_parts == 0) {
        part[p->n_parts++] = gap; /* wildcards alone */
    } else {
        p->tail_any = gap.any_before;
        p->tail_skip = gap.skip;
    }
    p->parts = part;
}

static void choose_needle(struct predicate *p)
{
    struct str best = {0};
    for (uint32_t i = 0; i < p->n_parts; i++) {
        if (p->parts[i].text.n > best.n && !needle_wide(p->parts[i].text))
            best = p->parts[i].text;
    }
    p->has_needle = best.n > 0;
    if (!p->has_needle)
        return;
    needle_init(&p->needle, best, true);
    p->needle_rare_fold = memchr(best.p, 'k', best.n) || memchr(best.p, 'i', best.n);
}

/* TEXT and EQUAL of a number: a range of one. */
static void find_number(struct arena *a, struct predicate *p)
{
    p->is_number = number_parse(p->text, a, &p->number);
    if (!p->is_number)
        return;
    p->low = (struct predicate_bound){.set = true, .inclusive = true, .number = p->number};
    p->high = p->low;
    range_bound_number(&p->low, true);
    range_bound_number(&p->high, false);
}

enum err predicate_text(struct arena *a, struct str pattern, struct predicate *ret)
{
    struct predicate p = {.kind = PRED_TEXT};
    struct buf folded;
    if (pattern.n == 0)
        return err_set(ERR_INVALID, "an empty text to look for");
    buf_init(&folded, SIZE_MAX);
    words_fold(pattern, &folded);
    p.text = arena_str(a, buf_str(&folded));
    buf_release(&folded);
    p.ascii = !needle_wide(p.text);
    split_parts(a, &p);
    const struct predicate_part *first = &p.parts[0], *last = &p.parts[p.n_parts - 1];
    p.edge_left = !first->any_before && !first->skip && words_char_at(first->text, 0);
    p.edge_right = !p.tail_any && !p.tail_skip && words_char_before(last->text, last->text.n);
    choose_needle(&p);
    find_number(a, &p);
    find_words(a, &p, p.parts, p.n_parts, p.edge_left, p.edge_right);
    *ret = p;
    return OK;
}

enum err predicate_equal(struct arena *a, struct str text, struct predicate *ret)
{
    struct predicate p = {.kind = PRED_EQUAL, .text = arena_str(a, text)};
    p.ascii = !needle_wide(p.text);
    find_number(a, &p);
    find_words(a, &p, &(struct predicate_part){.text = p.text}, 1, true, true);
    *ret = p;
    return OK;
}

/* What a search for the pattern begins with: its literal, or one for each alternative. */
static void choose_needles(struct arena *a, const struct regex_tree *tree, struct predicate *p)
{
    struct regex_literal literal[REGEX_LITERALS_MAX] = {{p->literal, false}};
    uint32_t n = p->literal.n > 0;
    size_t least = p->finder ? LITERAL_BYTES_MIN : 1;
    if (p->literal.n < LITERAL_BYTES_MIN)
        n = regex_tree_literals(a, tree, literal);
    struct needle *needles = ARENA_ARRAY(a, struct needle, n + 1);
    for (uint32_t i = 0; i < n; i++) {
        if (literal[i].text.n < least)
            return;
        needle_init(&needles[i], literal[i].text, literal[i].fold);
    }
    p->needles = needles;
    p->n_needles = n;
}

enum err predicate_regex(struct arena *a, struct str pattern, struct predicate *ret)
{
    struct predicate p = {.kind = PRED_REGEX, .text = arena_str(a, pattern)};
    TRY(regex_compile(a, p.text, &p.regex));
    const struct regex_tree *tree = regex_tree(a, p.text);
    p.literal = regex_tree_literal(a, tree);
    p.finder = regex_is_anchored(p.regex) ? NULL : regex_finder(a, tree);
    p.has_needle = p.literal.n > 0;
    if (p.has_needle)
        needle_init(&p.needle, p.literal, false);
    choose_needles(a, tree, &p);
    find_words(a, &p, &(struct predicate_part){.text = p.literal}, 1, false, false);
    *ret = p;
    return OK;
}

enum err predicate_range(struct arena *a, const struct predicate_bound *low,
                         const struct predicate_bound *high, struct predicate *ret)
{
    struct predicate p = {.kind = PRED_RANGE};
    if (low)
        p.low = *low;
    if (high)
        p.high = *high;
    p.low.text = arena_str(a, p.low.text);
    p.high.text = arena_str(a, p.high.text);
    for (int i = 0; i < 2; i++) {
        struct predicate_bound *b = i ? &p.high : &p.low;
        if (b->set && !b->is_time && number_parse(b->text, a, &b->number))
            range_bound_number(b, i == 0);
    }
    *ret = p;
    return OK;
}

void predicate_exists(struct predicate *ret)
{
    *ret = (struct predicate){.kind = PRED_EXISTS};
}

void predicate_pattern(uint64_t id, struct predicate *ret)
{
    *ret = (struct predicate){.kind = PRED_PATTERN, .pattern = id};
}

bool predicate_needs_words(const struct predicate *p, enum lane lane)
{
    if (lane == LANE_STR)
        return true;
    /* Arrays hold escapes, and numbers that equal the asked one in other digits. */
    return lane == LANE_ARR && (p->kind == PRED_REGEX || (p->kind == PRED_TEXT && !p->is_number));
}

/* ---- single texts ---- */

static bool number_text_match(const struct predicate *p, struct str s)
{
    if (p->kind == PRED_RANGE || p->is_number)
        return range_number_text(p, s);
    return p->kind == PRED_TEXT && predicate_is_wild(p) && text_match_whole(p, s);
}

static bool scalar_match(const struct predicate *p, const struct json_item *item, struct buf *room)
{
    if (item->lane == LANE_NUM)
        return number_text_match(p, item->text);
    if (p->kind == PRED_TEXT || (item->lane != LANE_STR && item->lane != LANE_BOOL))
        return false;
    struct str s = item->text;
    if (item->lane == LANE_STR && json_walk_escaped(s)) {
        buf_clear(room);
        json_walk_unescape(s, room);
        s = buf_str(room);
    }
    return p->kind == PRED_EQUAL ? str_eq(s, p->text) : range_text(p, s);
}

/* Whether a top-level scalar of an array matches. */
static bool array_match(const struct predicate *p, struct str s)
{
    struct json_walk w;
    struct json_item item;
    struct buf room;
    bool is = false;
    if (!json_walk_begin(&w, s))
        return false;
    buf_init(&room, SIZE_MAX);
    while (!is && json_walk_next(&w, &item))
        is = scalar_match(p, &item, &room);
    buf_release(&room);
    return is;
}

static bool text_of_lane(const struct predicate *p, enum lane lane, struct str s)
{
    struct buf scratch;
    buf_init(&scratch, SIZE_MAX);
    bool is = text_match(p, s, &scratch);
    buf_release(&scratch);
    return is || (lane == LANE_ARR && p->is_number && array_match(p, s));
}

enum err predicate_match_text(const struct predicate *p, enum lane lane, struct str s, bool *ret)
{
    if (lane_is_empty(lane) || p->kind == PRED_EXISTS) {
        *ret = p->kind == PRED_EXISTS && lane != LANE_NULL;
        return OK;
    }
    if (p->kind == PRED_PATTERN) {
        *ret = template_id_of(s) == p->pattern;
        return OK;
    }
    if (p->kind == PRED_REGEX) {
        bool may = !p->has_needle || needle_next(&p->needle, s, 0) != SIZE_MAX;
        if (may)
            return regex_match(p, s, ret);
        *ret = false;
        return OK;
    }
    if (lane_is_number(lane))
        *ret = number_text_match(p, s);
    else if (p->kind == PRED_TEXT)
        *ret = text_of_lane(p, lane, s);
    else if (lane == LANE_ARR)
        *ret = array_match(p, s);
    else
        *ret = p->kind == PRED_EQUAL ? str_eq(s, p->text) : lane != LANE_JSON && range_text(p, s);
    return OK;
}

/* ---- columns ---- */

static void equal_all(const struct predicate *p, const struct values *v, uint64_t *bits)
{
    for (uint32_t i = 0; i < v->n; i++) {
        if (v->off[i + 1] - v->off[i] == p->text.n && str_eq(values_text(v, i), p->text))
            bitmap_set(bits, i);
    }
}

/* One by one: for what no search over all bytes decides. */
static enum err match_each(const struct predicate *p, const struct values *v, uint64_t *bits)
{
    for (uint32_t i = 0; i < v->n; i++) {
        bool is;
        if (bitmap_get(bits, i))
            continue;
        TRY(predicate_match_text(p, v->lane, values_text(v, i), &is));
        if (is)
            bitmap_set(bits, i);
    }
    return OK;
}

static enum err match_texts(const struct predicate *p, const struct values *v, uint64_t *bits)
{
    if (p->kind == PRED_REGEX)
        return regex_match_all(p, v, bits);
    if (p->kind == PRED_TEXT && v->lane != LANE_NUM) {
        text_match_all(p, v, bits);
        if (v->lane != LANE_ARR || !p->is_number)
            return OK;
    } else if (p->kind == PRED_EQUAL && (v->lane == LANE_STR || v->lane == LANE_JSON)) {
        equal_all(p, v, bits);
        return OK;
    }
    return match_each(p, v, bits);
}

static enum err match_bools(const struct predicate *p, const struct values *v, uint64_t *bits)
{
    bool is[2];
    TRY(predicate_match_text(p, LANE_BOOL, STR("false"), &is[0]));
    TRY(predicate_match_text(p, LANE_BOOL, STR("true"), &is[1]));
    for (uint32_t i = 0; i < v->n; i++) {
        if (is[v->u8[i] != 0])
            bitmap_set(bits, i);
    }
    return OK;
}

static struct str number_of(const struct values *v, uint32_t i, char *room)
{
    size_t n = v->lane == LANE_DBL
                   ? json_double_text(v->f64[i], room)
                   : number_text(v->i64[i], v->lane == LANE_DEC ? v->scale[i] : 0, room);
    return str_of(room, n);
}

static enum err match_numbers(const struct predicate *p, const struct values *v, uint64_t *bits)
{
    if (p->kind == PRED_RANGE || p->is_number) {
        if (v->lane == LANE_INT)
            range_match_ints(p, v, bits);
        else if (v->lane == LANE_DEC)
            range_match_decimals(p, v, bits);
        else
            range_match_doubles(p, v, bits);
        return OK;
    }
    if (p->kind == PRED_EQUAL || (p->kind == PRED_TEXT && !predicate_is_wild(p)))
        return OK;
    for (uint32_t i = 0; i < v->n; i++) {
        char room[NUMBER_TEXT_MAX];
        bool is;
        TRY(predicate_match_text(p, v->lane, number_of(v, i, room), &is));
        if (is)
            bitmap_set(bits, i);
    }
    return OK;
}

enum err predicate_match(const struct predicate *p, const struct values *v, uint64_t *bits)
{
    if (p->kind == PRED_EXISTS || lane_is_empty(v->lane)) {
        if (p->kind == PRED_EXISTS && v->lane != LANE_NULL)
            bitmap_fill(bits, v->n);
        return OK;
    }
    if (v->lane == LANE_BOOL)
        return match_bools(p, v, bits);
    if (lane_is_text(v->lane))
        return match_texts(p, v, bits);
    return match_numbers(p, v, bits);
}
