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
#include "record/scan.h"

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

/* Bytes of ASCII: folded, and a bit for each that is of a word. */
enum { LOOK = 1024, LANES = sizeof(scan_bytes), SHORT = sizeof(uint64_t) };
struct look {
    char folded[LOOK + SHORT]; /* a short word may be read as if it were longer */
    uint64_t word[LOOK / 64];
};

/* Folds sixteen bytes to `to`; returns the bits of words, *wide: of bytes above ASCII. */
static inline uint32_t look_16(const char *p, char *to, uint32_t *wide)
{
    scan_bytes v;
    memcpy(&v, p, LANES);
    *wide = scan_bits((scan_bytes)(v > SCAN_ALL(0x7f)));
    scan_bytes up = (scan_bytes)(v - SCAN_ALL('A') <= SCAN_ALL('Z' - 'A'));
    v |= up & SCAN_ALL(0x20);
    memcpy(to, &v, LANES);
    return scan_bits((scan_bytes)(v - SCAN_ALL('a') <= SCAN_ALL('z' - 'a')) | scan_digits16(v) |
                     (scan_bytes)(v == SCAN_ALL('_')));
}

/* Takes up to LOOK bytes; returns how many: up to the first that is not of ASCII. */
static size_t look_at(const char *p, size_t n, struct look *l)
{
    uint32_t bits, wide;
    for (size_t i = 0; i < n; i += LANES) {
        if (n - i >= LANES) {
            bits = look_16(p + i, l->folded + i, &wide);
        } else if (n >= LANES) { /* the last sixteen again */
            unsigned again = LANES - (unsigned)(n - i);
            bits = look_16(p + n - LANES, l->folded + n - LANES, &wide) >> again;
            wide >>= again;
        } else {
            char few[LANES] = {0};
            memcpy(few, p, n);
            bits = look_16(few, l->folded, &wide);
        }
        uint64_t *word = &l->word[i / 64];
        *word = (i % 64 ? *word : 0) | (uint64_t)bits << i % 64;
        if (wide)
            return i + (size_t)__builtin_ctz(wide);
    }
    return n;
}

/* Whether a word of n bytes was told, or is a quantity, which is not told; from now on it was. */
static inline bool was_told(struct words_told *told, const char *p, size_t n)
{
    static const char mask[2 * SHORT] = "\xff\xff\xff\xff\xff\xff\xff\xff";
    uint64_t word, own;
    memcpy(&word, p, sizeof(word));
    memcpy(&own, mask + SHORT - n, sizeof(own));
    word &= own; /* no word has a zero */
    uint64_t *place = &told->word[word * 0x9e3779b97f4a7c15ULL >> 53];
    if (*place == word)
        return true;
    *place = word;
    return false;
}

/* Who is told the hashes of words. */
struct teller {
    struct words_told *told; /* NULL: all of them are */
    void (*fn)(void *ctx, uint64_t hash);
    void *ctx;
};

static inline void hash_folded(const char *p, size_t n, const struct teller *t)
{
    if (t->told && n <= SHORT && was_told(t->told, p, n))
        return;
    if (!(*p <= '9' && words_quantity(str_of(p, n))))
        t->fn(t->ctx, hash64(str_of(p, n)));
}

/* The words in n bytes. Returns how many bytes are done with: all, or those before a word that may
 * go on behind them (unless nothing follows: `last`). */
static size_t hash_looked(const struct look *l, size_t n, bool last, const struct teller *t)
{
    size_t begin = 0;
    uint64_t inside = 0; /* the bit before */
    for (size_t at = 0; at < n; at += 64) {
        uint64_t word = l->word[at / 64];
        if (n - at < 64)
            word &= (1ULL << (n - at)) - 1;
        uint64_t was = inside;
        inside = word >> 63;
        for (uint64_t edge = word ^ (word << 1 | was); edge; edge &= edge - 1, was ^= 1) {
            size_t to = at + (size_t)__builtin_ctzll(edge);
            if (!was)
                begin = to;
            else if (to < n || last)
                hash_folded(l->folded + begin, to - begin, t);
            else
                return begin;
        }
    }
    if (!inside)
        return n;
    if (last)
        hash_folded(l->folded + begin, n - begin, t);
    return last ? n : begin;
}

/* Encoders call this for most bytes they store: what is of ASCII is folded and cut many bytes at a
 * time; a word that is not, or is longer than a look, goes through hash_any_word. */
static inline void hash_words(struct str s, const struct teller *t)
{
    struct look l;
    for (size_t at = 0; at < s.n;) {
        size_t n = s.n - at < LOOK ? s.n - at : LOOK, took = look_at(s.p + at, n, &l);
        size_t done = hash_looked(&l, took, at + took == s.n, t);
        at += done;
        if (at < s.n && (took < n || !done))
            at = hash_any_word(s, at, t->fn, t->ctx);
    }
}

void words_hashes(struct str s, void (*fn)(void *ctx, uint64_t hash), void *ctx)
{
    hash_words(s, &(struct teller){NULL, fn, ctx});
}

void words_hashes_new(struct str s, struct words_told *told, void (*fn)(void *ctx, uint64_t hash),
                      void *ctx)
{
    hash_words(s, &(struct teller){told, fn, ctx});
}
