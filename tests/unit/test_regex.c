/* Regular expressions over columns: the values that are found first must be at least those that
 * match. Random patterns and texts, each column against PCRE2 on every value. */
#include "core/mem.h"
#include "record/bitmap.h"
#include "record/predicate.h"
#include "rows_util.h"

static struct arena arena;

static int setup(void **state)
{
    arena_init(&arena, 0, NULL);
    return 0;
}

static int teardown(void **state)
{
    arena_release(&arena);
    return 0;
}

static struct predicate regex_of(const char *pattern)
{
    struct predicate p;
    assert_ok(predicate_regex(&arena, str_c(pattern), &p));
    return p;
}

/* ---- columns ---- */

struct texts {
    struct buf bytes, off;
    struct values v;
};

static void texts_init(struct texts *c)
{
    uint32_t zero = 0;
    buf_init(&c->bytes, SIZE_MAX);
    buf_init(&c->off, SIZE_MAX);
    buf_put(&c->off, &zero, sizeof(zero));
}

static void texts_release(struct texts *c)
{
    buf_release(&c->bytes);
    buf_release(&c->off);
}

static void texts_end(struct texts *c)
{
    uint32_t end = (uint32_t)c->bytes.n;
    buf_put(&c->off, &end, sizeof(end));
}

static const struct values *texts_values(struct texts *c)
{
    c->v = (struct values){.n = (uint32_t)(c->off.n / sizeof(uint32_t)) - 1,
                           .lane = LANE_STR,
                           .off = (const uint32_t *)c->off.p,
                           .bytes = c->bytes.p ? c->bytes.p : ""};
    return &c->v;
}

/* The column's answer against PCRE2's on each value; how many match. */
static uint32_t check(const struct predicate *p, const struct values *v)
{
    struct predicate plain = *p;
    uint64_t *bits = mem_zalloc(bitmap_words(v->n) * sizeof(uint64_t) + 8);
    uint32_t matches = 0;
    plain.has_needle = false;
    plain.n_needles = 0;
    plain.finder = NULL;
    enum err err = predicate_match(p, v, bits);
    for (uint32_t i = 0; err == OK && i < v->n; i++) {
        struct str s = values_text(v, i);
        bool want;
        if (predicate_match_text(&plain, LANE_STR, s, &want) != OK)
            break; /* too many steps */
        matches += want;
        if (bitmap_get(bits, i) != want)
            fail_msg("/%.*s/ on \"%.*s\", value %u of %u: %d in the column", STR_ARG(p->text),
                     STR_ARG(s), i, v->n, !want);
    }
    mem_free(bits);
    return matches;
}

/* ---- by example ---- */

static void finds(const char *pattern, const char *text, bool want)
{
    struct predicate p = regex_of(pattern);
    struct texts c;
    texts_init(&c);
    for (int i = 0; i < 3; i++) {
        buf_put_c(&c.bytes, i == 1 ? text : "zz");
        texts_end(&c);
    }
    check(&p, texts_values(&c));
    bool is;
    assert_ok(predicate_match_text(&p, LANE_STR, str_c(text), &is));
    if (is != want)
        fail_msg("/%s/ on \"%s\": %d", pattern, text, is);
    texts_release(&c);
}

static void test_case(void **state)
{
    finds("(?i)disk", "a DI\xc5\xbf\xe2\x84\xaa b", true); /* U+017F, U+212A */
    finds("(?i)[^a-z]isk", "ki\xc5\xbfk", false);
    finds("(?i)\xe2\x84\xaa", "k", true);
    finds("(?i)[\xe2\x84\xaa]x", "Kx", true);
    finds("(?i)[^\xc3\xa9]x", "kx", true);
    finds("(?i)[^\xe2\x84\xaa]x", "kx", false);
    finds("(?i)\xc3\x89t\xc3\xa9", "\xc3\xa9T\xc3\x89", true);
    finds("a(?i)b|c", "C", true);
    finds("(a(?i)b|c)d", "Cd", true);
    finds("(a(?i)b|c)d", "CD", false);
    finds("(?i:a)b", "AB", false);
    finds("(?i)a(?-i:b)c", "AbC", true);
    finds("(?i)a(?^)b", "AB", false);
}

static void test_wide(void **state)
{
    finds("a.c",
          "a\xe2\x82\xac"
          "c",
          true);
    finds("a.{2}c",
          "a\xe2\x82\xac"
          "bc",
          true);
    finds("a\\Wc",
          "a\xe2\x82\xac"
          "c",
          true);
    finds("a[^b]c",
          "a\xf0\x9f\x98\x80"
          "c",
          true);
    finds("[\xc3\xa0-\xc3\xbc]+x", "\xc3\xa9\xc3\xa9x", true);
    finds("[a-\xc3\xbc]x", "\xc3\xa9x", true);
    finds("a\\x{20ac}", "a\xe2\x82\xac", true);
    finds("a\\p{Sc}b",
          "a\xe2\x82\xac"
          "b",
          true);
    finds("a.c",
          "a\xff"
          "c",
          false);
    finds("a.c", "a\nc", false);
    finds("(?s)a.c", "a\nc", true);
    finds("a\\Nc\\R", "axc\r\n", true);
    finds("\xc3\xa9{2}", "\xc3\xa9\xc3\xa9", true);
}

static void test_constructs(void **state)
{
    finds("^ab$", "ab", true);
    finds("\\bab\\b..\\Bc", "ab ccc", true);
    finds("(?<=a)b(?!c)", "abd", true);
    finds("(?<!x)b(?=d)", "abd", true);
    finds("(a|b)\\1", "xbb", true);
    finds("(?<n>a|b)\\k<n>\\k{n}(?P=n)", "bbbb", true);
    finds("(a(b|(?1))c)d", "aabccd", true);
    finds("(?:a|ab)(?>c|cd)", "abc", true);
    finds("(?|(a)|(b))\\1", "bb", true);
    finds("a++b*+c??d{2,3}?", "aadd", true);
    finds("(?:x{2}){3}", "xxxxxx", true);
    finds("[]a-c-]{3}", "]-b", true);
    finds("[^]a]b", "xb", true);
    finds("[[:digit:][:alpha:]]{3}=", "a1b=", true);
    finds("[\\d\\-x]+[\\w-]", "1-x-", true);
    finds("[\\n-\\r]b",
          "\x0b"
          "b",
          true);
    finds("[\\x41-\\x43]b", "Bb", true);
    finds("a\\Kb", "ab", true);
    finds("a{,3}b|a{x}", "a{x}", true);
    finds("\\Qa.b\\E", "a.b", true);
    finds("(?x) a b # c", "ab", true);
    finds("a(?#c)b", "ab", true);
    finds("(a)(?(1)b|c)", "ab", true);
    finds("(*ANYCRLF)a.b",
          "a\x01"
          "b",
          true);
    finds("\\cAb\\x2a\\e",
          "\x01"
          "b*\x1b",
          true);
    finds("a|", "x", true);
    finds("(?:)", "", true);
    finds("\\01", "\x01", true);
    finds("[\\01]\\x{2a}", "\x01*", true);
}

/* Patterns whose automaton would be huge: what is made must still find, and soon. */
static void test_huge_patterns(void **state)
{
    static const char *const patterns[] = {
        "((((?=.){9}){9}){9}){9}x",
        "[ab]*a[ab]{15}b",
        "(a|b){1,200}c.{200}d",
        "a.{0,60}b.{0,60}c.{0,60}d",
        "([a-z0-9]{1,30}\\.){1,20}[a-z]{2,6}",
        "(x+x+)+y",
        "[^\\n]{1000}b",
        "ab.{500}cd|ef.{500}gh",
    };
    struct texts c;
    texts_init(&c);
    for (int i = 0; i < 3000; i++) {
        for (uint32_t n = rnd_below(i % 50 ? 60 : 1500); n; n--)
            buf_put_byte(&c.bytes, "abcd.xy"[rnd_below(7)]);
        texts_end(&c);
    }
    for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++) {
        struct predicate p = regex_of(patterns[i]);
        check(&p, texts_values(&c));
    }
    texts_release(&c);
}

static void test_what_has_a_finder(void **state)
{
    assert_non_null(regex_of("a|b").finder);
    assert_non_null(regex_of("(?i)error").finder);
    assert_non_null(regex_of("[0-9a-f]{32}").finder);
    assert_non_null(regex_of("a[ab]{40}b[ab]{40}c").finder);
    assert_null(regex_of("a*").finder);
    assert_null(regex_of("^a|^b").finder); /* PCRE2 sees at once */
    assert_null(regex_of("(?x)a b").finder);
}

/* "error|fatal"; folded ones in brackets. */
static void needles_are(const char *pattern, const char *want)
{
    struct predicate p = regex_of(pattern);
    struct buf b;
    buf_init(&b, SIZE_MAX);
    for (uint32_t i = 0; i < p.n_needles; i++) {
        const struct needle *n = &p.needles[i];
        buf_printf(&b, n->fold ? "%s[%.*s]" : "%s%.*s", i ? "|" : "", STR_ARG(n->text));
    }
    if (!str_eq_c(buf_str(&b), want))
        fail_msg("/%s/: \"%.*s\", wanted \"%s\"", pattern, STR_ARG(buf_str(&b)), want);
    buf_release(&b);
}

static void test_needles(void **state)
{
    needles_are("error|fatal", "error|fatal");
    needles_are("a(error|fatal: (x|y))b", "error|fatal: ");
    needles_are("(error|fatal) code=[0-9]", " code=");
    needles_are("(error|fatal) x", "error|fatal");
    needles_are("(?:(abc|def|ghi)+z){2}", "abc|def|ghi");
    needles_are("(?i)Connection (reset|refused)", "[connection ]");
    needles_are("(?i)denied|(?-i)Refused", "[denied]|Refused");
    needles_are("(?i)task", ""); /* k and s have more than two cases */
    needles_are("error|x", "");
    needles_are("(error|fatal)?", "");
    needles_are("abc|bcd|cde|def|efg|fgh|ghi|hij|ijk", "");
    needles_are("^a", "a"); /* without an automaton any literal helps */
}

/* ---- large columns ---- */

static void fill(struct texts *c, uint32_t n, const char *rare, uint32_t one_in)
{
    texts_init(c);
    for (uint32_t i = 0; i < n; i++) {
        for (uint32_t k = rnd_below(80); k; k--)
            buf_put_byte(&c->bytes, " abcdefghij0123456789=-:"[rnd_below(24)]);
        if (rnd_below(one_in) == 0)
            buf_put_c(&c->bytes, rare);
        texts_end(c);
    }
}

static void test_large_columns(void **state)
{
    static const char *const patterns[] = {"error|fatal", "(?i)ERROR", "err[aeo]r",     "r{2}o",
                                           "error",       "[k-z]{3}",  "[a-j]{6}[0-9]", "[0-9]",
                                           "e.*r.r$",     ":e|=r|or"};
    static const uint32_t one_in[] = {1, 2, 5, 1000, 1000000};
    uint32_t matches = 0;
    for (size_t k = 0; k < sizeof(one_in) / sizeof(one_in[0]); k++) {
        struct texts c;
        fill(&c, 40000, "error", one_in[k]);
        for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++) {
            struct predicate p = regex_of(patterns[i]);
            matches += check(&p, texts_values(&c));
        }
        texts_release(&c);
    }
    assert_in_range(matches, 100000, 2000000);
}

static void test_few_and_empty(void **state)
{
    struct predicate p = regex_of("b|c");
    struct texts c;
    texts_init(&c);
    check(&p, texts_values(&c));
    for (int i = 0; i < 10; i++)
        texts_end(&c);
    assert_int_equal(check(&p, texts_values(&c)), 0);
    buf_put_c(&c.bytes, "c");
    texts_end(&c);
    texts_end(&c);
    assert_int_equal(check(&p, texts_values(&c)), 1);
    texts_release(&c);
}

/* ---- random patterns ---- */

static const char *const atoms[] = {
    "a",       "b",      "ab",          "error",  "x",     ".",     "[ab]",   "[^a]",  "\\d",
    "\\w",     "\\W",    "\\s",         "[0-9-]", "é",     "[é-ü]", "k",      "s",     "[^k]",
    "=",       ": ",     "\\.",         "\\b",    "^",     "$",     "(?i)",   "K",     "(?s)",
    "(?-i)",   "\\x6b",  "\\S",         "\\R",    "(?=a)", "(?!b)", "[\\Wa]", "[k-s]", "[^\\Wx]",
    "\\p{Ll}", "(?<=a)", "[[:alpha:]]", "\\1",    "ERR",   "42"};
static const char *const counts[] = {"*", "+", "?", "{2}", "{1,3}", "{3,}", "{0}", "+?", "*+"};

static void random_pattern(struct buf *b, unsigned depth)
{
    for (uint32_t n = 1 + rnd_below(4); n; n--) {
        if (depth < 3 && rnd_below(4) == 0) {
            buf_put_c(b, rnd_below(2) ? "(" : "(?:");
            random_pattern(b, depth + 1);
            buf_put_c(b, ")");
        } else {
            buf_put_c(b, atoms[rnd_below(sizeof(atoms) / sizeof(atoms[0]))]);
        }
        if (rnd_below(3) == 0)
            buf_put_c(b, counts[rnd_below(sizeof(counts) / sizeof(counts[0]))]);
        if (depth && rnd_below(4) == 0)
            buf_put_c(b, "|");
    }
}

static void random_column(struct texts *c)
{
    static const char *const piece[] = {
        "a",        "b",    "ab",   "error", "x",   "é",  "ü",
        "k",        "K",    "s",    "S",     "=",   ": ", ".",
        "\n",       "\xff", "1",    "42",    "ERR", " ",  "\xe2\x84\xaa",
        "\xc5\xbf", "日",   "\r\n", "_"};
    texts_init(c);
    for (uint32_t n = rnd_below(60); n; n--) {
        for (uint32_t k = rnd_below(12); k; k--)
            buf_put_c(&c->bytes, piece[rnd_below(sizeof(piece) / sizeof(piece[0]))]);
        texts_end(c);
    }
}

static void test_random(void **state)
{
    uint32_t tried = 0, with_finder = 0, matches = 0;
    for (int i = 0; i < 6000; i++) {
        struct arena a;
        struct predicate p;
        struct buf pattern;
        struct texts c;
        arena_init(&a, 0, NULL);
        buf_init(&pattern, SIZE_MAX);
        random_pattern(&pattern, 0);
        if (predicate_regex(&a, buf_str(&pattern), &p) == OK) {
            tried++;
            with_finder += p.finder != NULL;
            if (p.finder && rnd_below(2))
                p.n_needles = 0; /* the automaton's turn, even where there is a literal */
            for (int k = 0; k < 3; k++) {
                random_column(&c);
                matches += check(&p, texts_values(&c));
                texts_release(&c);
            }
        }
        buf_release(&pattern);
        arena_release(&a);
    }
    assert_true(tried > 3000 && with_finder > 1000 && matches > 10000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_case),          cmocka_unit_test(test_wide),
        cmocka_unit_test(test_constructs),    cmocka_unit_test(test_huge_patterns),
        cmocka_unit_test(test_large_columns), cmocka_unit_test(test_what_has_a_finder),
        cmocka_unit_test(test_needles),       cmocka_unit_test(test_few_and_empty),
        cmocka_unit_test(test_random),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
