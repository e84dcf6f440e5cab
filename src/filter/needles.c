/* What a matching record's source must hold.
 *
 * AND is served by any one of its children: the one with the fewest and longest texts. OR needs
 * those of all. NOT, ranges and existence promise nothing.
 *
 * In JSON a value may be written with escapes. Those that stand for a control character, a quote, a
 * backslash or a slash are kept out by cutting the text at such bytes; \uXXXX may stand for any, so
 * it is looked for too, and a line with one is looked at. Number lanes compare by value, whatever
 * the digits, so that a text that is a number promises nothing in JSON. */
#include "filter/filter_impl.h"

#include "record/text_line.h"

static bool find(const struct filter *f, bool json, struct filter_needles *out);

static bool add(struct filter_needles *out, struct str text, bool fold)
{
    if (out->n == NEEDLES_MAX)
        return false;
    for (uint32_t i = 0; i < out->n; i++)
        if (str_eq(out->needle[i].text, text) && out->needle[i].fold == fold)
            return true;
    needle_init(&out->needle[out->n++], text, fold);
    return true;
}

static bool escaped_in_json(char c)
{
    return (unsigned char)c < 0x20 || c == '"' || c == '\\' || c == '/' || c == 0x7f;
}

/* The longest part that JSON writes as it is. */
static struct str plain_part(struct str s)
{
    struct str best = {0};
    for (size_t at = 0; at < s.n; at++) {
        size_t from = at;
        while (at < s.n && !escaped_in_json(s.p[at]))
            at++;
        if (at - from > best.n)
            best = str_of(s.p + from, at - from);
    }
    return best;
}

/* A text looked for in words that a line need not hold: klog's letters made words. */
static bool add_made_levels(const struct filter *leaf, struct filter_needles *out)
{
    static const char *const begins[] = {"\nI", "\nW", "\nE", "\nF"};
    for (int i = 0; text_line_made_levels[i]; i++) {
        bool is = true;
        struct str level = str_c(text_line_made_levels[i]);
        if (predicate_match_text(&leaf->pred, LANE_STR, level, &is) == OK && !is)
            continue;
        if (!add(out, str_c(begins[i]), false))
            return false;
    }
    return true;
}

static bool asks_for_level(const struct filter *leaf)
{
    if (leaf->field_kind == FIELD_ANY)
        return true;
    if (leaf->field_kind == FIELD_WILD)
        return filter_name_fits(leaf->field, STR("level"));
    for (uint32_t i = 0; leaf->field_kind == FIELD_NAME && i < leaf->n_names; i++)
        if (str_eq_c(leaf->name[i], "level"))
            return true;
    return false;
}

static bool add_text(struct str text, bool fold, bool json, struct filter_needles *out)
{
    if (json)
        text = plain_part(text);
    return text.n && add(out, text, fold);
}

/* What the predicate's values must hold one of: as given, or folded. */
static bool add_texts(const struct predicate *p, bool json, struct filter_needles *out)
{
    if (p->kind == PRED_EQUAL)
        return add_text(p->text, false, json, out);
    if (p->kind == PRED_TEXT)
        return p->has_needle && add_text(p->needle.text, true, json, out);
    for (uint32_t i = 0; i < p->n_needles; i++)
        if (!add_text(p->needles[i].text, p->needles[i].fold, json, out))
            return false;
    return p->kind == PRED_REGEX && p->n_needles > 0;
}

static bool find_leaf(const struct filter *leaf, bool json, struct filter_needles *out)
{
    const struct predicate *p = &leaf->pred;
    if (leaf->field_kind > FIELD_WILD || (json && p->is_number) || !add_texts(p, json, out))
        return false;
    /* What folds into ASCII letters, where the text has those. */
    if (p->kind == PRED_TEXT && p->needle_rare_fold &&
        !(add(out, STR("\xc4\xb0"), false) && add(out, STR("\xe2\x84\xaa"), false)))
        return false;
    if (json)
        return add(out, STR("\\u"), false);
    return !asks_for_level(leaf) || add_made_levels(leaf, out);
}

static size_t shortest(const struct filter_needles *n)
{
    size_t least = SIZE_MAX;
    for (uint32_t i = 0; i < n->n; i++)
        if (n->needle[i].fold || n->needle[i].text.n > 3)
            least = n->needle[i].text.n < least ? n->needle[i].text.n : least;
    return least;
}

static bool find_and(const struct filter *f, bool json, struct filter_needles *out)
{
    struct filter_needles best = {0};
    bool any = false;
    for (uint32_t i = 0; i < f->n; i++) {
        struct filter_needles these = {0};
        if (!find(f->child[i], json, &these))
            continue;
        if (!any || these.n < best.n || (these.n == best.n && shortest(&these) > shortest(&best)))
            best = these;
        any = true;
    }
    for (uint32_t i = 0; i < best.n; i++)
        if (!add(out, best.needle[i].text, best.needle[i].fold))
            return false;
    return any;
}

static bool find(const struct filter *f, bool json, struct filter_needles *out)
{
    switch (f->kind) {
    case FILTER_LEAF:
        return find_leaf(f, json, out);
    case FILTER_AND:
        return find_and(f, json, out);
    case FILTER_OR:
        for (uint32_t i = 0; i < f->n; i++)
            if (!find(f->child[i], json, out))
                return false;
        return f->n > 0;
    default:
        return false;
    }
}

/* Those with a byte above 127 need not be looked for where there is none. */
static void wide_last(struct filter_needles *n)
{
    struct filter_needles sorted = {0};
    for (int wide = 0; wide < 2; wide++) {
        for (uint32_t i = 0; i < n->n; i++)
            if (needle_wide(n->needle[i].text) == wide)
                sorted.needle[sorted.n++] = n->needle[i];
        sorted.n_ascii = wide ? sorted.n_ascii : sorted.n;
    }
    *n = sorted;
}

bool filter_needles(const struct filter *f, struct filter_needles *ret)
{
    struct filter_needles json = {0};
    *ret = (struct filter_needles){0};
    if (!find(f, false, ret))
        return false;
    if (!find(f, true, &json)) { /* all objects */
        json.n = 0;
        (void)add(&json, STR("\n{"), false);
    }
    for (uint32_t i = 0; i < json.n; i++)
        if (!add(ret, json.needle[i].text, json.needle[i].fold))
            return false;
    wide_last(ret);
    return true;
}

/* A regex that finds the same in a word as in the text around it: without anchors, groups (which
 * may look around) and classes by letter such as \b. */
static bool is_local(struct str pattern)
{
    for (size_t i = 0; i < pattern.n; i++) {
        char c = pattern.p[i], next = i + 1 < pattern.n ? pattern.p[i + 1] : 'b';
        bool named = (next >= '0' && next <= '9') || ((next | 0x20) >= 'a' && (next | 0x20) <= 'z');
        if (c == '^' || c == '$' || c == '(' || (c == '\\' && named))
            return false;
        i += c == '\\';
    }
    return true;
}

static bool leaf_asks_beyond_text(const struct filter *leaf)
{
    struct filter_needles made = {0};
    const struct predicate *p = &leaf->pred;
    if (leaf->field_kind == FIELD_NAME && leaf->n_names && str_eq_c(leaf->field, "message"))
        return false;
    if (leaf->field_kind != FIELD_ANY || (p->kind != PRED_TEXT && p->kind != PRED_REGEX))
        return true;
    return (p->kind == PRED_REGEX && !is_local(p->text)) || !add_made_levels(leaf, &made) || made.n;
}

bool filter_asks_beyond_text(const struct filter *f)
{
    if (f->kind == FILTER_LEAF)
        return leaf_asks_beyond_text(f);
    for (uint32_t i = 0; i < f->n; i++)
        if (filter_asks_beyond_text(f->child[i]))
            return true;
    return false;
}

/* ---- spans ---- */

static void leaf_spans(const struct filter *leaf, struct str text, void *ctx,
                       void (*fn)(void *ctx, size_t from, size_t to))
{
    size_t from, to;
    for (size_t at = 0; predicate_span(&leaf->pred, text, at, &from, &to);
         at = to > from ? to : to + 1)
        if (to > from)
            fn(ctx, from, to);
}

void filter_spans(const struct filter *f, struct str text, void *ctx,
                  void (*fn)(void *ctx, size_t from, size_t to))
{
    if (f->kind == FILTER_LEAF)
        leaf_spans(f, text, ctx, fn);
    for (uint32_t i = 0; f->kind != FILTER_NOT && i < f->n; i++)
        filter_spans(f->child[i], text, ctx, fn);
}
