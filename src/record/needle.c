/* Substring search by two bytes. The two are the rarest of the text by a rough order of how often
 * bytes occur in logs, as far apart as chance has them; both are compared at every position, 32
 * (AVX2, chosen at run time) or 16 (vectors of the compiler: SSE2, NEON) at a time, and only where
 * both agree is the whole text compared. Case: setting bit 0x20 makes an upper case letter the
 * lower case one; the comparison with a lower case letter then holds for these two only.
 *
 * Invariant: no byte outside `hay` is read; what is too short for a vector goes byte by byte. */
#include "record/needle.h"

#include "core/err.h"

enum { WINDOW = 4096 };

/* How common a byte is in logs, 0 to 9. Wrong guesses cost time only. */
static unsigned commonness(uint8_t c)
{
    if (c == ' ' || c == 'e')
        return 9;
    if (memchr("aionrst\"0", c, 9))
        return 8;
    if (memchr("cdlmpu12", c, 8))
        return 7;
    if (memchr("/.:-=,3456789", c, 13))
        return 6;
    if (c >= 'a' && c <= 'z')
        return memchr("jqxz", c, 4) ? 1 : 5;
    if (c >= 'A' && c <= 'Z')
        return 4;
    return 2;
}

static uint8_t fold_byte(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? c | 0x20 : c;
}

void needle_init(struct needle *s, struct str text, bool fold)
{
    CHECK(text.n > 0);
    *s = (struct needle){.text = text, .fold = fold};
    size_t far = text.n < 4096 ? text.n : 4096;
    for (size_t i = 1; i < far; i++) {
        if (commonness((uint8_t)text.p[i]) < commonness((uint8_t)text.p[s->at[0]]))
            s->at[0] = (uint32_t)i;
    }
    s->at[1] = s->at[0] == 0 && far > 1 ? 1 : 0;
    for (size_t i = 0; i < far; i++) {
        bool rarer = commonness((uint8_t)text.p[i]) < commonness((uint8_t)text.p[s->at[1]]);
        if (i != s->at[0] && rarer && text.p[i] != text.p[s->at[0]])
            s->at[1] = (uint32_t)i;
    }
    for (int k = 0; k < 2; k++) {
        s->byte[k] = (uint8_t)text.p[s->at[k]];
        s->mask[k] = fold && s->byte[k] >= 'a' && s->byte[k] <= 'z' ? 0x20 : 0;
    }
}

static bool text_at(const struct needle *s, const char *p)
{
    if (!s->fold)
        return memcmp(p, s->text.p, s->text.n) == 0;
    for (size_t i = 0; i < s->text.n; i++) {
        if (fold_byte((uint8_t)p[i]) != (uint8_t)s->text.p[i])
            return false;
    }
    return true;
}

/* Positions [from, end) are those where the whole text fits. */
static size_t next_bytewise(const struct needle *s, const char *p, size_t from, size_t end)
{
    for (size_t i = from; i < end; i++) {
        if (((uint8_t)p[i + s->at[0]] | s->mask[0]) == s->byte[0] && text_at(s, p + i))
            return i;
    }
    return SIZE_MAX;
}

typedef uint8_t vec16 __attribute__((vector_size(16)));
typedef uint64_t vec2 __attribute__((vector_size(16)));

static vec16 load16(const char *p)
{
    vec16 v;
    memcpy(&v, p, sizeof(v));
    return v;
}

static vec16 splat16(uint8_t c)
{
    return (vec16){0} + c;
}

static size_t next16(const struct needle *s, const char *p, size_t from, size_t end)
{
    vec16 b0 = splat16(s->byte[0]), b1 = splat16(s->byte[1]);
    vec16 m0 = splat16(s->mask[0]), m1 = splat16(s->mask[1]);
    size_t i = from;
    for (; i < end && end - i >= 16; i += 16) {
        vec16 hit = (vec16)(((load16(p + i + s->at[0]) | m0) == b0) &
                            ((load16(p + i + s->at[1]) | m1) == b1));
        vec2 half = (vec2)hit;
        if (!(half[0] | half[1]))
            continue;
        for (size_t k = 0; k < 16; k++) {
            if (hit[k] && text_at(s, p + i + k))
                return i + k;
        }
    }
    return next_bytewise(s, p, i, end);
}

#ifdef __x86_64__
#include <immintrin.h>

#define AVX2 __attribute__((target("avx2")))

struct two_bytes {
    __m256i byte[2], mask[2];
    size_t at[2];
};

AVX2 static inline struct two_bytes two_bytes_of(const struct needle *s)
{
    struct two_bytes t;
    for (int k = 0; k < 2; k++) {
        t.byte[k] = _mm256_set1_epi8((char)s->byte[k]);
        t.mask[k] = _mm256_set1_epi8((char)s->mask[k]);
        t.at[k] = s->at[k];
    }
    return t;
}

/* Bytes of ones where both agree, for the 32 positions from p on. */
AVX2 static inline __m256i hits32(const struct two_bytes *t, const char *p)
{
    __m256i v0 = _mm256_loadu_si256((const __m256i *)(p + t->at[0]));
    __m256i v1 = _mm256_loadu_si256((const __m256i *)(p + t->at[1]));
    return _mm256_and_si256(_mm256_cmpeq_epi8(_mm256_or_si256(v0, t->mask[0]), t->byte[0]),
                            _mm256_cmpeq_epi8(_mm256_or_si256(v1, t->mask[1]), t->byte[1]));
}

/* The first of the hits of 32 positions from `at` on where a whole text stands, or SIZE_MAX. */
AVX2 static inline size_t first_of32(const struct needle *s, unsigned n, const char *p, size_t at,
                                     __m256i hits)
{
    for (uint32_t bits = (uint32_t)_mm256_movemask_epi8(hits); bits; bits &= bits - 1) {
        size_t i = at + (size_t)__builtin_ctz(bits);
        for (unsigned k = 0; k < n; k++)
            if (text_at(&s[k], p + i))
                return i;
    }
    return SIZE_MAX;
}

AVX2 static size_t next32(const struct needle *s, const char *p, size_t from, size_t end)
{
    const struct two_bytes t = two_bytes_of(s);
    size_t i = from, found;
    for (; i < end && end - i >= 128; i += 128) {
        __m256i hits[4];
        for (int k = 0; k < 4; k++)
            hits[k] = hits32(&t, p + i + (size_t)k * 32);
        __m256i any =
            _mm256_or_si256(_mm256_or_si256(hits[0], hits[1]), _mm256_or_si256(hits[2], hits[3]));
        if (_mm256_testz_si256(any, any))
            continue;
        for (size_t k = 0; k < 4; k++) {
            if ((found = first_of32(s, 1, p, i + k * 32, hits[k])) != SIZE_MAX)
                return found;
        }
    }
    for (; i < end && end - i >= 32; i += 32) {
        if ((found = first_of32(s, 1, p, i, hits32(&t, p + i))) != SIZE_MAX)
            return found;
    }
    return next16(s, p, i, end);
}

/* Positions [from, end) are those where the longest text fits. *ret_at: where it stopped looking,
 * when nothing is found. */
AVX2 static size_t first32(const struct needle *s, unsigned n, const char *p, size_t from,
                           size_t end, size_t *ret_at)
{
    struct two_bytes t[NEEDLES_MAX];
    size_t i = from, found;
    for (unsigned k = 0; k < n; k++)
        t[k] = two_bytes_of(&s[k]);
    for (; i < end && end - i >= 64; i += 64) {
        __m256i low = hits32(&t[0], p + i), high = hits32(&t[0], p + i + 32);
        for (unsigned k = 1; k < n; k++) {
            low = _mm256_or_si256(low, hits32(&t[k], p + i));
            high = _mm256_or_si256(high, hits32(&t[k], p + i + 32));
        }
        __m256i any = _mm256_or_si256(low, high);
        if (_mm256_testz_si256(any, any))
            continue;
        if ((found = first_of32(s, n, p, i, low)) != SIZE_MAX ||
            (found = first_of32(s, n, p, i + 32, high)) != SIZE_MAX)
            return found;
    }
    *ret_at = i;
    return SIZE_MAX;
}

static bool have_avx2(void)
{
    return __builtin_cpu_supports("avx2");
}
#endif

size_t needle_next_portable(const struct needle *s, struct str hay, size_t from)
{
    if (s->text.n > hay.n || from > hay.n - s->text.n)
        return SIZE_MAX;
    return next16(s, hay.p, from, hay.n - s->text.n + 1);
}

size_t needle_next(const struct needle *s, struct str hay, size_t from)
{
    if (s->text.n > hay.n || from > hay.n - s->text.n)
        return SIZE_MAX;
#ifdef __x86_64__
    if (have_avx2())
        return next32(s, hay.p, from, hay.n - s->text.n + 1);
#endif
    return next16(s, hay.p, from, hay.n - s->text.n + 1);
}

/* The first of any in [from, to). */
static size_t first_between(const struct needle *s, unsigned n, struct str hay, size_t from,
                            size_t to)
{
    size_t best = SIZE_MAX;
    for (unsigned k = 0; k < n; k++) {
        size_t limit = best < to ? best : to;
        struct str part = str_of(hay.p, hay.n - limit < s[k].text.n ? hay.n : limit + s[k].text.n);
        size_t at = needle_next(&s[k], part, from);
        best = at < best ? at : best;
    }
    return best < to ? best : SIZE_MAX;
}

size_t needle_first(const struct needle *s, unsigned n, struct str hay, size_t from)
{
    CHECK(n > 0 && n <= NEEDLES_MAX);
    if (n == 1)
        return needle_next(s, hay, from);
#ifdef __x86_64__
    size_t longest = 0;
    for (unsigned k = 0; k < n; k++)
        longest = s[k].text.n > longest ? s[k].text.n : longest;
    if (have_avx2() && longest <= hay.n && from <= hay.n - longest) {
        size_t at = first32(s, n, hay.p, from, hay.n - longest + 1, &from);
        if (at != SIZE_MAX)
            return at;
    }
#endif
    /* Window by window, so that no needle is looked for far behind the first of another. */
    for (; from < hay.n; from += WINDOW) {
        size_t to = hay.n - from < WINDOW ? hay.n : from + WINDOW;
        size_t at = first_between(s, n, hay, from, to);
        if (at != SIZE_MAX)
            return at;
    }
    return SIZE_MAX;
}

bool needle_wide(struct str hay)
{
    size_t i = 0;
    for (; hay.n - i >= 64; i += 64) {
        vec2 any = (vec2)(load16(hay.p + i) | load16(hay.p + i + 16) | load16(hay.p + i + 32) |
                          load16(hay.p + i + 48));
        if ((any[0] | any[1]) & 0x8080808080808080U)
            return true;
    }
    for (; i < hay.n; i++) {
        if ((uint8_t)hay.p[i] >= 128)
            return true;
    }
    return false;
}
