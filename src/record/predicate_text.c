/* PRED_TEXT on text: does the folded value hold the folded pattern, with words' edges where they
 * are asked for?
 *
 * Three ways, the first that applies:
 * - Plain ASCII patterns are looked for in the raw bytes, upper case counting as lower: outside
 * ASCII nothing folds into ASCII but U+0130 and U+212A, and values with those take the third way.
 * - Patterns with a wildcard have one ASCII part looked for so; only values that hold it go on.
 * - The value is folded and the pattern matched on the result (edges are the same there).
 * On a whole column the first search runs over all its bytes at once and hits are mapped back to
 * values by their offsets; a hit across a border of two values is none.
 *
 * Wildcards: the pattern is a list of parts; between two parts stand `skip` code points exactly, or
 * at least so many behind a '*'. Parts joined without a '*' are a run. Each run is taken at the
 * first place that allows it; that is enough, for a later place never leaves more room for the next
 * run. */
#include "record/bitmap.h"
#include "record/predicate_impl.h"
#include "record/words.h"

/* Position after `n` code points from `at`, or SIZE_MAX where there are not so many. */
static size_t skip_points(struct str s, size_t at, uint32_t n)
{
    for (; n; n--) {
        if (at >= s.n)
            return SIZE_MAX;
        at += words_char_bytes(s, at);
    }
    return at;
}

static bool part_at(const struct predicate_part *part, struct str s, size_t at)
{
    return at <= s.n && part->text.n <= s.n - at &&
           (part->text.n == 0 || memcmp(s.p + at, part->text.p, part->text.n) == 0);
}

/* The end of the run of parts [first, last) when it starts at `at`, or SIZE_MAX. */
static size_t run_end(const struct predicate *p, uint32_t first, uint32_t last, struct str s,
                      size_t at)
{
    if (!part_at(&p->parts[first], s, at))
        return SIZE_MAX;
    at += p->parts[first].text.n;
    for (uint32_t i = first + 1; i < last; i++) {
        at = skip_points(s, at, p->parts[i].skip);
        if (at == SIZE_MAX || !part_at(&p->parts[i], s, at))
            return SIZE_MAX;
        at += p->parts[i].text.n;
    }
    return at;
}

static bool tail_holds(const struct predicate *p, struct str s, size_t end, bool whole)
{
    size_t rest = skip_points(s, end, p->tail_skip);
    if (rest == SIZE_MAX || (whole && !p->tail_any && rest != s.n))
        return false;
    return whole || !p->edge_right || words_edge(s, end);
}

/* The pattern on folded text from `at` on; `whole`: all of it, not only a part of it. */
static bool find_parts(const struct predicate *p, struct str s, bool whole, size_t at,
                       size_t *ret_from, size_t *ret_to)
{
    for (uint32_t first = 0, last; first < p->n_parts; first = last) {
        const struct predicate_part *part = &p->parts[first];
        for (last = first + 1; last < p->n_parts && !p->parts[last].any_before;)
            last++;
        bool fixed = whole && first == 0 && !part->any_before;
        size_t start = skip_points(s, at, part->skip), end = SIZE_MAX;
        for (; start <= s.n; start++) {
            size_t hop = str_find(str_from(s, start), part->text);
            if (hop == SIZE_MAX || (fixed && hop))
                return false;
            start += hop;
            end = run_end(p, first, last, s, start);
            if (end != SIZE_MAX && (whole || first || !p->edge_left || words_edge(s, start)) &&
                (last < p->n_parts || tail_holds(p, s, end, whole)))
                break;
            if (fixed)
                return false;
        }
        if (start > s.n)
            return false;
        if (first == 0)
            *ret_from = start;
        at = end;
    }
    *ret_to = at;
    return true;
}

static bool match_parts(const struct predicate *p, struct str s, bool whole)
{
    size_t from, to;
    return find_parts(p, s, whole, 0, &from, &to);
}

bool text_find(const struct predicate *p, struct str s, size_t from, size_t *ret_from,
               size_t *ret_to)
{
    return find_parts(p, s, false, from, ret_from, ret_to);
}

static bool match_folded(const struct predicate *p, struct str s, struct buf *scratch)
{
    buf_clear(scratch);
    words_fold(s, scratch);
    return match_parts(p, buf_str(scratch), false);
}

bool text_match_whole(const struct predicate *p, struct str s)
{
    char low[NUMBER_TEXT_MAX];
    if (s.n <= sizeof(low)) { /* number texts are ASCII; 'E' is all there is to fold */
        for (size_t i = 0; i < s.n; i++)
            low[i] = s.p[i] == 'E' ? 'e' : s.p[i];
        return match_parts(p, str_of(low, s.n), true);
    }
    struct buf folded;
    buf_init(&folded, SIZE_MAX);
    words_fold(s, &folded);
    bool is = match_parts(p, buf_str(&folded), true);
    buf_release(&folded);
    return is;
}

static bool is_simple(const struct predicate *p)
{
    return p->n_parts == 1 && p->parts[0].skip == 0 && p->tail_skip == 0;
}

static bool edge_at(struct str s, size_t at)
{
    if (at == 0 || at >= s.n)
        return true;
    uint8_t before = (uint8_t)s.p[at - 1], behind = (uint8_t)s.p[at];
    if ((before | behind) < 128)
        return !words_ascii[before] || !words_ascii[behind];
    return words_edge(s, at);
}

static bool hit_holds(const struct predicate *p, struct str value, size_t at)
{
    return (!p->edge_left || edge_at(value, at)) &&
           (!p->edge_right || edge_at(value, at + p->needle.text.n));
}

/* The code points that fold into ASCII: I WITH DOT ABOVE and KELVIN SIGN. */
static const char *const rare_folds[] = {"\xc4\xb0", "\xe2\x84\xaa"};

bool predicate_rare_fold(struct str s)
{
    return needle_wide(s) && (str_find(s, str_c(rare_folds[0])) != SIZE_MAX ||
                              str_find(s, str_c(rare_folds[1])) != SIZE_MAX);
}

bool text_match(const struct predicate *p, struct str s, struct buf *scratch)
{
    if (!p->has_needle)
        return (p->ascii || needle_wide(s)) && match_folded(p, s, scratch);
    size_t at = needle_next(&p->needle, s, 0);
    if (at != SIZE_MAX && !is_simple(p))
        return match_folded(p, s, scratch);
    for (; at != SIZE_MAX; at = needle_next(&p->needle, s, at + 1)) {
        if (hit_holds(p, s, at))
            return true;
    }
    return p->needle_rare_fold && predicate_rare_fold(s) && match_folded(p, s, scratch);
}

struct column_text {
    const struct values *v;
    struct str bytes; /* of all values */
    uint32_t row;     /* the value that the last place asked for is in */
};

static size_t value_from(const struct column_text *c)
{
    return c->v->off[c->row] - c->v->off[0];
}

static size_t value_end(const struct column_text *c)
{
    return c->v->off[c->row + 1] - c->v->off[0];
}

/* Moves to the value that holds the byte `at`; places ascend. */
static struct str value_at(struct column_text *c, size_t at)
{
    while (value_end(c) <= at)
        c->row++;
    CHECK(c->row < c->v->n);
    return values_text(c->v, c->row);
}

static void match_by_needle(const struct predicate *p, struct column_text *c, struct buf *scratch,
                            uint64_t *bits)
{
    bool simple = is_simple(p);
    size_t at = needle_next(&p->needle, c->bytes, 0);
    while (at != SIZE_MAX) {
        struct str value = value_at(c, at);
        size_t next = at + 1;
        if (at + p->needle.text.n > value_end(c)) {
            at = needle_next(&p->needle, c->bytes, next);
            continue;
        }
        bool holds =
            simple ? hit_holds(p, value, at - value_from(c)) : match_folded(p, value, scratch);
        if (holds)
            bitmap_set(bits, c->row);
        if (holds || !simple)
            next = value_end(c);
        at = needle_next(&p->needle, c->bytes, next);
    }
}

/* Values that hold one of those code points, whether the first search found them or not. */
static void match_rare_folds(const struct predicate *p, struct column_text *c, struct str rare,
                             struct buf *scratch, uint64_t *bits)
{
    struct needle needle;
    needle_init(&needle, rare, false);
    c->row = 0;
    size_t at = needle_next(&needle, c->bytes, 0);
    while (at != SIZE_MAX) {
        struct str value = value_at(c, at);
        if (!bitmap_get(bits, c->row) && match_folded(p, value, scratch))
            bitmap_set(bits, c->row);
        at = needle_next(&needle, c->bytes, value_end(c));
    }
}

void text_match_all(const struct predicate *p, const struct values *v, uint64_t *bits)
{
    if (v->n == 0)
        return;
    struct column_text c = {.v = v, .bytes = {v->bytes + v->off[0], v->off[v->n] - v->off[0]}};
    struct buf scratch;
    buf_init(&scratch, SIZE_MAX);
    if (p->has_needle) {
        match_by_needle(p, &c, &scratch, bits);
        for (int i = 0; i < 2 && p->needle_rare_fold && needle_wide(c.bytes); i++)
            match_rare_folds(p, &c, str_c(rare_folds[i]), &scratch, bits);
    } else if (p->ascii || needle_wide(c.bytes)) {
        for (uint32_t i = 0; i < v->n; i++) {
            struct str s = values_text(v, i);
            if ((p->ascii || needle_wide(s)) && match_folded(p, s, &scratch))
                bitmap_set(bits, i);
        }
    }
    buf_release(&scratch);
}
