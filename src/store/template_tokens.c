/* Words of templated texts.
 *
 * Around each slot lies a region: its variable with the word characters that stand before and
 * behind it in the static text, since a word may be made of both (eth0, 15ms). A region ends at a
 * code point that is no word character, or at the text's end, so that no word runs over its edge.
 * What lies between regions is the same in all texts of a template. Of a region the words are those
 * of its texts; where they can only be quantities, which filters leave out, it is passed over,
 * numbers are told by their values, and where a dictionary holds the variables each entry is looked
 * at once.
 *
 * Templates with words of other letters than ASCII's beside a region are read text by text. */
#include "store/template_tokens.h"

#include "core/hash.h"
#include "record/scan.h"
#include "record/words.h"
#include "store/parts_seen.h"
#include "store/template_words.h"

enum { PARTS = 4096 };

struct region {
    uint32_t first, last; /* slots in it */
    uint32_t before, behind;
};
struct tokens {
    const struct templates *t;
    const struct text_template *x;
    const struct slot_tokens *slot; /* of this template */
    struct word_sink *sink;
    struct region *region;
    uint32_t n_regions;
    struct parts_seen parts; /* of static text */
    struct words_told *told;
    uint64_t *seen; /* entries of a dictionary */
    uint32_t seen_max;
    const struct values *put[TEMPLATE_DICTS_MAX]; /* dictionaries of which all entries were */
    struct arena *a;
};

static void put_words(const struct tokens *k, struct str s)
{
    words_hashes_new(s, k->told, k->sink->fn, k->sink->ctx);
}

static const struct template_var *var_of(const struct tokens *k, uint32_t text, uint32_t slot)
{
    return &k->t->var[k->t->first[text] + k->x->slot[slot]];
}

/* Word characters of ASCII at the end of s, or at its begin; *wide: others stand there, too. */
static uint32_t word_behind(struct str s, bool *wide)
{
    size_t n = 0;
    while (n < s.n && words_ascii[(uint8_t)s.p[s.n - 1 - n]])
        n++;
    *wide |= words_char_before(s, s.n - n);
    return (uint32_t)n;
}

static uint32_t word_before(struct str s, bool *wide)
{
    size_t n = 0;
    while (n < s.n && words_ascii[(uint8_t)s.p[n]])
        n++;
    *wide |= words_char_at(s, n);
    return (uint32_t)n;
}

/* False where the template must be read text by text. */
static bool find_regions(struct tokens *k)
{
    uint32_t text = k->x->row[0];
    struct str s = values_text(k->t->v, text);
    size_t at = 0;
    bool wide = false;
    k->n_regions = 0;
    for (uint32_t i = 0; i < k->x->n_slots; i++) {
        const struct template_var *v = var_of(k, text, i);
        struct str piece = str_of(s.p + at, v->from - at);
        uint32_t before = word_behind(piece, &wide);
        if (i && before == piece.n) {
            k->region[k->n_regions - 1].last = i;
        } else {
            if (i)
                k->region[k->n_regions - 1].behind = word_before(piece, &wide);
            k->region[k->n_regions++] = (struct region){i, i, before, 0};
        }
        at = v->to;
    }
    if (k->n_regions)
        k->region[k->n_regions - 1].behind = word_before(str_from(s, at), &wide);
    return !wide;
}

/* The words of text i of the template were put with those of an equal one. */
static bool is_repeat(const struct tokens *k, uint32_t i)
{
    return k->t->equal[k->x->row[i]] != k->x->row[i];
}

static struct str region_text(const struct tokens *k, const struct region *r, uint32_t text)
{
    size_t from = var_of(k, text, r->first)->from - r->before;
    size_t to = var_of(k, text, r->last)->to + r->behind;
    return str_of(values_text(k->t->v, text).p + from, to - from);
}

static void put_part(void *ctx, struct str part)
{
    const struct tokens *k = ctx;
    if (!word_sink_full(k->sink))
        put_words(k, part);
}

/* Static text between variables: what an object's keys are made of stands in it again and again. */
static void put_piece(struct tokens *k, struct str s)
{
    if (!word_sink_full(k->sink))
        parts_each(&k->parts, s, put_part, k);
}

static void put_static(struct tokens *k)
{
    uint32_t text = k->x->row[0];
    struct str s = values_text(k->t->v, text);
    const char *at = s.p;
    for (uint32_t i = 0; i < k->n_regions; i++) {
        struct str r = region_text(k, &k->region[i], text);
        put_piece(k, str_of(at, (size_t)(r.p - at)));
        at = r.p + r.n;
    }
    put_piece(k, str_of(at, (size_t)(s.p + s.n - at)));
}

/* Whether digits with what stands behind them are a quantity. */
static bool only_quantities(const struct tokens *k, const struct region *r)
{
    char unit[8] = "1";
    if (r->first != r->last || r->before || !k->slot[r->first].quantities ||
        r->behind > sizeof(unit) - 2)
        return false;
    struct str s = region_text(k, r, k->x->row[0]);
    memcpy(unit + 1, s.p + s.n - r->behind, r->behind);
    return words_quantity(str_of(unit, 1 + r->behind));
}

/* No word goes on behind the variable, or before it. */
static bool stands_alone(const struct region *r)
{
    return r->first == r->last && !r->before && !r->behind;
}

/* Of a region with one variable, which is a number: the same number makes the same words, and alone
 * none unless it has more digits than a quantity. */
static void put_numbers(const struct tokens *k, const struct region *r)
{
    enum { KNOWN = 64 };
    uint32_t var = k->x->slot[r->first];
    bool alone = stands_alone(r);
    int64_t unit = numeral_power10[k->slot[r->first].frac], known[KNOWN];
    int64_t least = alone ? unit * numeral_power10[WORDS_QUANTITY_DIGITS] : 0;
    const struct numeral_form whole = {0};
    memset(known, 0xff, sizeof(known)); /* numbers are none below 0 */
    for (uint32_t i = 0; i < k->x->rows && !word_sink_full(k->sink); i++) {
        char digits[NUMERAL_TEXT_MAX];
        uint32_t text = k->x->row[i];
        int64_t m = k->t->number[k->t->first[text] + var];
        if (m < least || known[m % KNOWN] == m)
            continue;
        known[m % KNOWN] = m;
        put_words(k, alone ? str_of(digits, numeral_write(&whole, m / unit, digits))
                           : region_text(k, r, text));
    }
}

/* Of a dictionary's entries, each of which is a variable of some text. False: it has no place. */
static bool put_entries(struct tokens *k, const struct values *dict)
{
    uint32_t d = 0;
    while (d < TEMPLATE_DICTS_MAX && k->put[d] && k->put[d] != dict)
        d++;
    if (d == TEMPLATE_DICTS_MAX)
        return false;
    for (uint32_t i = 0; !k->put[d] && i < dict->n && !word_sink_full(k->sink); i++)
        put_words(k, values_text(dict, i));
    k->put[d] = dict;
    return true;
}

static void put_by_entry(struct tokens *k, const struct region *r)
{
    const struct slot_tokens *slot = &k->slot[r->first];
    if (stands_alone(r) && put_entries(k, slot->dict))
        return; /* all of them, for this slot and others */
    size_t words = ((size_t)slot->dict->n + 63) / 64;
    if (!k->seen || slot->dict->n > k->seen_max) {
        k->seen = arena_alloc(k->a, words * sizeof(*k->seen));
        k->seen_max = slot->dict->n;
    }
    memset(k->seen, 0, words * sizeof(*k->seen));
    for (uint32_t i = 0; i < k->x->rows && !word_sink_full(k->sink); i++) {
        if (is_repeat(k, i))
            continue;
        uint64_t *w = &k->seen[slot->code[i] / 64], bit = (uint64_t)1 << (slot->code[i] % 64);
        if (!(*w & bit))
            put_words(k, region_text(k, r, k->x->row[i]));
        *w |= bit;
    }
}

/* Where two texts differ first, back to a byte that surely ends a word; the length of s where they
 * are the same. */
static size_t changed_from(struct str s, struct str before)
{
    size_t i = scan_same(s.p, before.p, s.n < before.n ? s.n : before.n);
    if (i == s.n && i == before.n)
        return i;
    while (i > 0 && ((uint8_t)s.p[i - 1] >= 0x80 || words_ascii[(uint8_t)s.p[i - 1]]))
        i--;
    return i;
}

/* Where the words begin that are all quantities, up to the end of a text of ASCII. */
static size_t quantities_from(struct str s)
{
    size_t from = 0;
    for (size_t at = 0; at < s.n; at++) {
        size_t end = at;
        while (end < s.n && words_ascii[(uint8_t)s.p[end]])
            end++;
        if (end > at && !words_quantity(str_of(s.p + at, end - at)))
            from = end;
        at = end;
    }
    return from;
}

static bool only_digits_differ(struct str a, struct str b, size_t from)
{
    if (a.n != b.n)
        return false;
    for (size_t i = from; i < a.n; i++)
        if (a.p[i] != b.p[i] && ((uint8_t)(a.p[i] - '0') > 9 || (uint8_t)(b.p[i] - '0') > 9))
            return false;
    return true;
}

/* Of times mostly the seconds change, which are quantities whatever their digits. */
static void put_times(const struct tokens *k, const struct region *r)
{
    struct str last = {0};
    size_t plain = 0;
    for (uint32_t i = 0; i < k->x->rows && !word_sink_full(k->sink); i++) {
        if (is_repeat(k, i))
            continue;
        struct str s = region_text(k, r, k->x->row[i]);
        size_t from = changed_from(s, last);
        if (!last.n || from < plain || !only_digits_differ(s, last, from)) {
            put_words(k, str_from(s, from));
            plain = quantities_from(s);
        }
        last = s;
    }
}

static bool has_entries(const struct tokens *k, const struct region *r)
{
    return r->first == r->last && k->slot[r->first].code;
}

static void put_region(struct tokens *k, const struct region *r)
{
    struct str last = {0};
    if (only_quantities(k, r))
        return;
    if (r->first == r->last && k->slot[r->first].times) {
        put_times(k, r);
        return;
    }
    if (r->first == r->last && k->slot[r->first].numbers) {
        put_numbers(k, r);
        return;
    }
    for (uint32_t i = 0; i < k->x->rows && !word_sink_full(k->sink); i++) {
        if (is_repeat(k, i))
            continue;
        struct str s = region_text(k, r, k->x->row[i]);
        put_words(k, str_from(s, changed_from(s, last)));
        last = s;
    }
}

void template_tokens_put(const struct templates *t, const struct slot_tokens *slot,
                         struct word_sink *sink, struct arena *scratch)
{
    uint32_t most = 1, first = 0;
    for (uint32_t i = 0; i < t->n; i++)
        most = t->t[i].n_slots > most ? t->t[i].n_slots : most;
    struct tokens k = {
        .t = t, .sink = sink, .told = ARENA_NEW(scratch, struct words_told), .a = scratch};
    k.region = arena_alloc(scratch, most * sizeof(*k.region));
    parts_seen_init(&k.parts, PARTS, scratch);
    for (uint32_t i = 0; i < t->n && !word_sink_full(sink); i++) {
        k.x = &t->t[i];
        k.slot = slot + first;
        first += k.x->n_slots;
        if (!find_regions(&k)) {
            for (uint32_t r = 0; r < k.x->rows && !word_sink_full(sink); r++)
                if (!is_repeat(&k, r))
                    put_piece(&k, values_text(t->v, k.x->row[r]));
            continue;
        }
        put_static(&k);
        for (uint32_t r = 0; r < k.n_regions; r++) /* quick, and may fill the sink */
            if (has_entries(&k, &k.region[r]))
                put_by_entry(&k, &k.region[r]);
        for (uint32_t r = 0; r < k.n_regions && !word_sink_full(sink); r++)
            if (!has_entries(&k, &k.region[r]))
                put_region(&k, &k.region[r]);
    }
    sink->done = true;
}
