/* Word rules over UTF-8. ASCII goes by a table of 256 entries; everything else by utf8proc's
 * properties, a code point at a time.
 *
 * Invariants:
 * - A byte that starts no valid UTF-8 sequence is a code point of its own, is no word character and
 *   folds to itself, so every text has exactly one reading and folding never fails.
 * - Folding keeps the kind of a character (word, ideograph, other): edges of the folded text are
 *   the edges of the text.
 * - Two code points outside ASCII fold into it: U+0130 to 'i' and U+212A to 'k'.
 *   Every other one folds to a code point outside ASCII. */
#include "record/words.h"

#include "core/hash.h"
#include "core/mem.h"

#include <utf8proc.h>

enum kind { KIND_OTHER, KIND_WORD, KIND_IDEOGRAPH };
enum { QUANTITY_DIGITS = WORDS_QUANTITY_DIGITS, QUANTITY_UNIT = 4 };

/* Code points that are each a word: CJK radicals, the Han letters of the symbols block, unified and
 * compatibility ideographs, and the planes set aside for ideographs. */
static bool is_ideograph(int32_t cp)
{
    static const struct {
        int32_t first, last;
    } range[] = {
        {0x2e80, 0x2fdf},   {0x3005, 0x3007},   {0x3021, 0x3029}, {0x3038, 0x303b},
        {0x3400, 0x4dbf},   {0x4e00, 0x9fff},   {0xf900, 0xfaff}, {0x17000, 0x18cff},
        {0x1b170, 0x1b2ff}, {0x20000, 0x3fffd},
    };
    for (size_t i = 0; i < sizeof(range) / sizeof(range[0]); i++) {
        if (cp >= range[i].first && cp <= range[i].last)
            return true;
    }
    return false;
}

static enum kind kind_of_wide(int32_t cp)
{
    if (cp < 0)
        return KIND_OTHER;
    switch (utf8proc_category(cp)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
        return cp >= 0x2e80 && is_ideograph(cp) ? KIND_IDEOGRAPH : KIND_WORD;
    default:
        return KIND_OTHER;
    }
}

const uint8_t words_ascii[256] = {
    ['0'] = '0', ['1'] = '1', ['2'] = '2', ['3'] = '3', ['4'] = '4', ['5'] = '5', ['6'] = '6',
    ['7'] = '7', ['8'] = '8', ['9'] = '9', ['_'] = '_', ['A'] = 'a', ['B'] = 'b', ['C'] = 'c',
    ['D'] = 'd', ['E'] = 'e', ['F'] = 'f', ['G'] = 'g', ['H'] = 'h', ['I'] = 'i', ['J'] = 'j',
    ['K'] = 'k', ['L'] = 'l', ['M'] = 'm', ['N'] = 'n', ['O'] = 'o', ['P'] = 'p', ['Q'] = 'q',
    ['R'] = 'r', ['S'] = 's', ['T'] = 't', ['U'] = 'u', ['V'] = 'v', ['W'] = 'w', ['X'] = 'x',
    ['Y'] = 'y', ['Z'] = 'z', ['a'] = 'a', ['b'] = 'b', ['c'] = 'c', ['d'] = 'd', ['e'] = 'e',
    ['f'] = 'f', ['g'] = 'g', ['h'] = 'h', ['i'] = 'i', ['j'] = 'j', ['k'] = 'k', ['l'] = 'l',
    ['m'] = 'm', ['n'] = 'n', ['o'] = 'o', ['p'] = 'p', ['q'] = 'q', ['r'] = 'r', ['s'] = 's',
    ['t'] = 't', ['u'] = 'u', ['v'] = 'v', ['w'] = 'w', ['x'] = 'x', ['y'] = 'y', ['z'] = 'z',
};

const char *words_version(void)
{
    return utf8proc_unicode_version();
}

/* The code point at `at` and its length; -1 and 1 for a byte that starts none. */
static size_t code_point(struct str s, size_t at, int32_t *ret)
{
    utf8proc_int32_t cp = -1;
    utf8proc_ssize_t n =
        utf8proc_iterate((const uint8_t *)s.p + at, (utf8proc_ssize_t)(s.n - at), &cp);
    if (n <= 0) {
        *ret = -1;
        return 1;
    }
    *ret = cp;
    return (size_t)n;
}

size_t words_char_bytes(struct str s, size_t at)
{
    int32_t cp;
    return (uint8_t)s.p[at] < 128 ? 1 : code_point(s, at, &cp);
}

static enum kind kind_at(struct str s, size_t at)
{
    uint8_t c = (uint8_t)s.p[at];
    if (c < 128)
        return words_ascii[c] ? KIND_WORD : KIND_OTHER;
    int32_t cp;
    code_point(s, at, &cp);
    return kind_of_wide(cp);
}

/* Of the code point that ends at `at` (> 0): the sequence, at most four bytes back, whose length
 * leads exactly there. */
static enum kind kind_before(struct str s, size_t at)
{
    uint8_t c = (uint8_t)s.p[at - 1];
    if (c < 128)
        return words_ascii[c] ? KIND_WORD : KIND_OTHER;
    s.n = at;
    for (size_t back = 2; back <= 4 && back <= at; back++) {
        uint8_t lead = (uint8_t)s.p[at - back];
        if ((lead & 0xc0) == 0x80)
            continue;
        int32_t cp;
        return code_point(s, at - back, &cp) == back ? kind_of_wide(cp) : KIND_OTHER;
    }
    return KIND_OTHER;
}

bool words_char_at(struct str s, size_t at)
{
    return at < s.n && kind_at(s, at) != KIND_OTHER;
}

bool words_char_before(struct str s, size_t at)
{
    return at > 0 && at <= s.n && kind_before(s, at) != KIND_OTHER;
}

bool words_edge(struct str s, size_t at)
{
    if (at == 0 || at >= s.n)
        return true;
    return kind_before(s, at) != KIND_WORD || kind_at(s, at) != KIND_WORD;
}

static size_t fold_wide(struct str s, size_t at, struct buf *out)
{
    int32_t cp;
    size_t n = code_point(s, at, &cp);
    int32_t low = cp < 0 ? cp : utf8proc_tolower(cp);
    if (low == cp) {
        buf_put(out, s.p + at, n);
    } else {
        uint8_t bytes[4];
        buf_put(out, bytes, (size_t)utf8proc_encode_char(low, bytes));
    }
    return n;
}

/* Eight bytes at once, all of ASCII, where carries cannot leave a byte: the high bit of each that
 * is at least `low` and at most `high`. */
#define EACH(c) (UINT64_C(0x0101010101010101) * (c))
static inline uint64_t between(uint64_t v, uint8_t low, uint8_t high)
{
    return (v + EACH(0x80 - low)) & ~(v + EACH(0x7f - high)) & EACH(0x80);
}

static inline bool fold_eight(const char *p, uint64_t *ret)
{
    uint64_t v;
    memcpy(&v, p, sizeof(v));
    *ret = v | between(v, 'A', 'Z') >> 2;
    return !(v & EACH(0x80));
}

static inline bool words_eight(uint64_t folded)
{
    uint64_t word =
        between(folded, 'a', 'z') | between(folded, '0', '9') | between(folded, '_', '_');
    return word == EACH(0x80);
}

void words_fold(struct str s, struct buf *out)
{
    size_t at = 0;
    while (at < s.n) {
        char *to = buf_reserve(out, s.n - at);
        if (!to)
            return;
        size_t n = 0;
        uint64_t eight;
        for (; s.n - at - n >= 8 && fold_eight(s.p + at + n, &eight); n += 8)
            memcpy(to + n, &eight, 8);
        for (; at + n < s.n && (uint8_t)s.p[at + n] < 128; n++) {
            char c = s.p[at + n];
            to[n] = c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
        }
        out->n += n;
        at += n;
        while (at < s.n && (uint8_t)s.p[at] >= 128)
            at += fold_wide(s, at, out);
    }
}

/* One past the end of the word that starts at `at`, whose kind is given. */
static size_t word_end(struct str s, size_t at, enum kind kind)
{
    at += words_char_bytes(s, at);
    if (kind == KIND_IDEOGRAPH)
        return at;
    for (uint64_t eight;;) {
        while (s.n - at >= 8 && fold_eight(s.p + at, &eight) && words_eight(eight))
            at += 8;
        while (at < s.n && words_ascii[(uint8_t)s.p[at]])
            at++;
        if (at == s.n || (uint8_t)s.p[at] < 128 || kind_at(s, at) != KIND_WORD)
            return at;
        at += words_char_bytes(s, at);
    }
}

void words_each(struct str s, void (*fn)(void *ctx, size_t from, size_t to), void *ctx)
{
    size_t at = 0;
    while (at < s.n) {
        enum kind kind = kind_at(s, at);
        if (kind == KIND_OTHER) {
            at += words_char_bytes(s, at);
            continue;
        }
        size_t end = word_end(s, at, kind);
        fn(ctx, at, end);
        at = end;
    }
}

uint64_t words_hash(struct str word)
{
    char small[64];
    size_t n = 0;
    for (; n < word.n && n < sizeof(small) && (uint8_t)word.p[n] < 128; n++) {
        char c = word.p[n];
        small[n] = c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
    }
    if (n == word.n)
        return hash64(str_of(small, n));
    struct buf folded;
    buf_init(&folded, SIZE_MAX);
    words_fold(word, &folded);
    uint64_t hash = hash64(buf_str(&folded));
    buf_release(&folded);
    return hash;
}

bool words_quantity(struct str word)
{
    size_t digits = 0, i;
    while (digits < word.n && (uint8_t)(word.p[digits] - '0') < 10)
        digits++;
    if (digits == 0 || digits > QUANTITY_DIGITS || word.n - digits > QUANTITY_UNIT)
        return false;
    bool unit = digits == word.n;
    for (i = digits; i < word.n; i++) {
        char c = (char)(word.p[i] | 0x20);
        if (c < 'a' || c > 'z')
            return false;
        unit |= c > 'f';
    }
    return unit;
}

/* Hashes in hex are, and most of what is in base64. */
#define SHORT_WORD 4096
#define LONG_WORD 16 /* from here on eight bytes at a time */

/* A word that may be long or hold anything; returns one past it. */
static size_t hash_any_word(struct str s, size_t at, void (*fn)(void *ctx, uint64_t hash),
                            void *ctx)
{
    enum kind kind = kind_at(s, at);
    if (kind == KIND_OTHER)
        return at + words_char_bytes(s, at);
    size_t end = word_end(s, at, kind);
    struct str word = str_of(s.p + at, end - at);
    if (!words_quantity(word))
        fn(ctx, words_hash(word));
    return end;
}

/* Folds on from n as long as eight bytes are of the word and within `most`. */
static size_t long_word(const char *p, size_t n, size_t most, char *to)
{
    uint64_t eight;
    for (; most - n >= 8 && fold_eight(p + n, &eight) && words_eight(eight); n += 8)
        memcpy(to + n, &eight, 8);
    return n;
}

/* Encoders call this for most bytes they store: the usual word, short and of ASCII, is folded on
 * the way to its end; any other begins anew in hash_any_word. */
void words_hashes(struct str s, void (*fn)(void *ctx, uint64_t hash), void *ctx)
{
    const uint8_t *p = (const uint8_t *)s.p;
    size_t at = 0;
    while (at < s.n) {
        char word[SHORT_WORD];
        size_t n = 0, most = s.n - at < SHORT_WORD ? s.n - at : SHORT_WORD;
        uint8_t low;
        for (; n < most && (low = words_ascii[p[at + n]]) != 0; n++) {
            word[n] = (char)low;
            if (n == LONG_WORD)
                n = long_word(s.p + at, n + 1, most, word) - 1;
        }
        bool whole = at + n == s.n || (n < most && p[at + n] < 128);
        if (!whole) {
            at = hash_any_word(s, at, fn, ctx);
            continue;
        }
        if (n && !(word[0] <= '9' && words_quantity(str_of(word, n))))
            fn(ctx, hash64(str_of(word, n)));
        at += n + 1; /* what ended it is no word character */
    }
}
