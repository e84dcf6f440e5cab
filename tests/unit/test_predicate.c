/* Predicates by example, and PRED_TEXT against an oracle that folds everything and tries every
 * place. */
#include "arena_kit.h"
#include "core/mem.h"
#include "record/bitmap.h"
#include "record/predicate.h"
#include "record/words.h"

/* '*' and '?' are wildcards, as the parser hands them over. */
static struct predicate text_of(const char *pattern)
{
    struct str copy = arena_str(&arena, str_c(pattern));
    for (char *c = (char *)copy.p; *c; c++)
        *c = *c == '*' ? PATTERN_ANY : *c == '?' ? PATTERN_ONE : *c;
    struct predicate p;
    assert_ok(predicate_text(&arena, copy, &p));
    return p;
}

static struct predicate equal_of(const char *text)
{
    struct predicate p;
    assert_ok(predicate_equal(&arena, str_c(text), &p));
    return p;
}

static struct predicate regex_of(const char *pattern)
{
    struct predicate p;
    assert_ok(predicate_regex(&arena, str_c(pattern), &p));
    return p;
}

/* "[1,5)", "(x,]": open ends are empty. */
static struct predicate range_of(const char *text)
{
    struct str inside = str_of(text + 1, strlen(text) - 2), low, high;
    struct predicate_bound bl = {0}, bh = {0};
    assert_true(str_split(&inside, ',', &low) && str_split(&inside, ',', &high));
    if (low.n)
        predicate_bound_init(&arena, low, text[0] == '[', true, 0, &bl);
    if (high.n)
        predicate_bound_init(&arena, high, text[strlen(text) - 1] == ']', false, 0, &bh);
    struct predicate p;
    assert_ok(predicate_range(&arena, &bl, &bh, &p));
    return p;
}

static struct values values_of(enum lane lane, const struct str *s, uint32_t n)
{
    struct values v = {.n = n, .lane = lane};
    uint32_t *off = ARENA_ARRAY(&arena, uint32_t, n + 1);
    size_t bytes = 3;
    for (uint32_t i = 0; i < n; i++)
        bytes += s[i].n;
    char *to = arena_alloc(&arena, bytes);
    off[0] = 3; /* the first value need not start at 0 */
    for (uint32_t i = 0; i < n; i++) {
        memcpy(to + off[i], s[i].p, s[i].n);
        off[i + 1] = off[i] + (uint32_t)s[i].n;
    }
    v.off = off;
    v.bytes = to;
    return v;
}

/* A column of three: the text between two others; and the text alone. Both must agree. */
static bool matches(struct predicate p, enum lane lane, struct str s)
{
    bool is;
    assert_ok(predicate_match_text(&p, lane, s, &is));
    if (!lane_is_text(lane))
        return is;
    struct values v = values_of(lane, (struct str[]){STR(""), s, STR("zz")}, 3);
    uint64_t bits[1] = {0};
    assert_ok(predicate_match(&p, &v, bits));
    if (bitmap_get(bits, 1) != is)
        fail_msg("\"%.*s\": %d alone, %d in a column", STR_ARG(s), is, !is);
    return is;
}

#define YES(p, lane, text) assert_true(matches(p, lane, str_c(text)))
#define NO(p, lane, text) assert_false(matches(p, lane, str_c(text)))

static void test_terms(void **state)
{
    struct predicate p = text_of("Error");
    YES(p, LANE_STR, "error");
    YES(p, LANE_STR, "an ERROR, here");
    YES(p, LANE_STR, "errors error");
    NO(p, LANE_STR, "errors");
    NO(p, LANE_STR, "my_error");
    NO(p, LANE_STR, "éerror");
    YES(p, LANE_STR, "中error文");
    YES(p, LANE_STR,
        "\xff"
        "error\xfe");
    NO(p, LANE_STR, "");
    p = text_of("connection time");
    YES(p, LANE_STR, "connection time out");
    NO(p, LANE_STR, "connection timeout");
    p = text_of("-x");
    YES(p, LANE_STR, "a-x");
    NO(p, LANE_STR, "a-xy");
    YES(text_of("kilo"), LANE_STR, "a \xe2\x84\xaa\xc4\xb0lo");
    NO(text_of("kilo"), LANE_STR, "a \xe2\x84\xaa\xc4\xb0los");
    YES(text_of("ÄRGER"), LANE_STR, "viel ärger!");
    NO(text_of("ärger"), LANE_STR, "ärgerlich");
    NO(text_of("ärger"), LANE_STR, "arger");
    YES(text_of("文"), LANE_STR, "中文字");
}

static void test_wildcards(void **state)
{
    YES(text_of("err*"), LANE_STR, "errors");
    NO(text_of("err*"), LANE_STR, "terrors");
    YES(text_of("*err"), LANE_STR, "a terr b");
    NO(text_of("*err"), LANE_STR, "terror");
    YES(text_of("t?st"), LANE_STR, "a tést b");
    NO(text_of("t?st"), LANE_STR, "a tst b");
    NO(text_of("t?st"), LANE_STR, "a tests");
    YES(text_of("t?st*"), LANE_STR, "a tests");
    YES(text_of("a*b?d*"), LANE_STR, "xx a--b.c b-de");
    NO(text_of("a*b?d"), LANE_STR, "xx a--b.c b-de");
    YES(text_of("?x"), LANE_STR, "éx");
    NO(text_of("?x"), LANE_STR, "x");
    YES(text_of("x??"), LANE_STR, "xéé");
    NO(text_of("x??"), LANE_STR, "xé");
    YES(text_of("??"), LANE_STR, "éé");
    NO(text_of("??"), LANE_STR, "é");
    YES(text_of("*"), LANE_STR, "");
    YES(text_of("пре*"), LANE_STR, "Предел");
    YES(text_of("*?ab"), LANE_STR, "abab");
    NO(text_of("*?ab"), LANE_STR, "ab");
}

static void test_numbers(void **state)
{
    static const int64_t ints[] = {42, -42, 420, 4, INT64_MAX, INT64_MIN};
    struct values v = {.n = 6, .lane = LANE_INT, .i64 = ints};
    uint64_t bits[1] = {0};
    struct {
        struct predicate p;
        uint64_t want;
    } of_int[] = {
        {text_of("42"), 1},         {text_of("42.0"), 1},
        {text_of("4.2e1"), 1},      {text_of("42.5"), 0},
        {text_of("x"), 0},          {text_of("4*"), 13},
        {text_of("?2*"), 21},       {text_of("*2"), 3},
        {equal_of("42"), 1},        {equal_of("42.00"), 1},
        {equal_of("a"), 0},         {range_of("[4,42]"), 9},
        {range_of("(4,42]"), 1},    {range_of("[4,42)"), 8},
        {range_of("(41.5,)"), 21},  {range_of("(,-41.5]"), 34},
        {range_of("[a,z]"), 0},     {range_of("[1e18,]"), 16},
        {range_of("[1e19,]"), 0},   {range_of("[,-1e18]"), 32},
        {range_of("[5,4]"), 0},     {regex_of("^42"), 5},
        {range_of("[-42,-42]"), 2}, {range_of("[9223372036854775807,]"), 16},
    };
    for (size_t i = 0; i < sizeof(of_int) / sizeof(of_int[0]); i++) {
        bits[0] = 0;
        assert_ok(predicate_match(&of_int[i].p, &v, bits));
        if (bits[0] != of_int[i].want)
            fail_msg("case %zu: %lx, wanted %lx", i, (long)bits[0], (long)of_int[i].want);
    }
}

static void test_decimals_and_doubles(void **state)
{
    static const int64_t mantissa[] = {150, 15, -5, 100};
    static const uint8_t scale[] = {2, 1, 2, 18};
    struct values v = {.n = 4, .lane = LANE_DEC, .i64 = mantissa, .scale = scale};
    static const double doubles[] = {0.1, 0.30000000000000004, 1e300, -2.5e-7};
    struct values w = {.n = 4, .lane = LANE_DBL, .f64 = doubles};
    struct {
        struct predicate p;
        uint64_t of_dec, of_dbl;
    } want[] = {
        {equal_of("1.5"), 3, 0},
        {text_of("1.500"), 3, 0},
        {equal_of("0.1"), 0, 1},
        {range_of("(0.1,]"), 3, 6},
        {range_of("[0.1,]"), 3, 7},
        {range_of("[,0.1)"), 12, 8},
        {range_of("[,0.1000000000000000055511151231257827]"), 12, 9},
        {range_of("[0.1000000000000000055511151231257827,]"), 3, 6},
        {equal_of("0.1000000000000000055511151231257827"), 0, 0},
        {equal_of("-0.05"), 4, 0},
        {equal_of("1e-16"), 8, 0},
        {range_of("[1e-16,1.49]"), 8, 3},
        {range_of("[1e400,]"), 0, 0},
        {range_of("[,1e400]"), 15, 15},
        {text_of("1.5*"), 3, 0},
        {text_of("*e-0?"), 0, 8},
        {regex_of("\\.5"), 3, 8},
    };
    for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
        uint64_t dec[1] = {0}, dbl[1] = {0};
        assert_ok(predicate_match(&want[i].p, &v, dec));
        assert_ok(predicate_match(&want[i].p, &w, dbl));
        if (dec[0] != want[i].of_dec || dbl[0] != want[i].of_dbl)
            fail_msg("case %zu: %lx %lx", i, (long)dec[0], (long)dbl[0]);
    }
}

static void test_number_texts(void **state)
{
    YES(equal_of("1e2"), LANE_NUM, "100.0000000000000000000000");
    YES(range_of("(100,101)"), LANE_NUM, "100.00000000000000000000001");
    NO(range_of("(100,101)"), LANE_STR, "abc");
    YES(range_of("(100,101)"), LANE_STR, "100.5");
    NO(range_of("[500,]"), LANE_STR, "unknown");
    YES(range_of("[b,c)"), LANE_STR, "bcd");
    NO(range_of("[b,c)"), LANE_STR, "c");
    NO(range_of("[b,c)"), LANE_NUM, "1");
    YES(range_of("[2025-02-15,2025-02-16)"), LANE_STR, "2025-02-15T23:59:59Z");
    YES(range_of("[2025-02-15,2025-02-15]"), LANE_STR, "2025-02-15 23:59:59");
    NO(range_of("(2025-02-15,]"), LANE_STR, "2025-02-15T23:59:59Z");
    NO(range_of("[2025-02-15,]"), LANE_STR, "yesterday");
    static const int64_t epochs[] = {1739620800, 1739620800123, 5};
    struct values v = {.n = 3, .lane = LANE_INT, .i64 = epochs};
    uint64_t bits[1] = {0};
    struct predicate p = range_of("[2025-02-15,2025-02-15]");
    assert_ok(predicate_match(&p, &v, bits));
    assert_int_equal(bits[0], 3);
}

static void test_equal_and_exists(void **state)
{
    struct predicate exists;
    predicate_exists(&exists);
    YES(equal_of("Ab"), LANE_STR, "Ab");
    NO(equal_of("Ab"), LANE_STR, "ab");
    NO(equal_of("Ab"), LANE_STR, "Abc");
    YES(equal_of(""), LANE_STR, "");
    YES(equal_of("true"), LANE_BOOL, "true");
    YES(text_of("TRUE"), LANE_BOOL, "true");
    NO(text_of("tru"), LANE_BOOL, "true");
    NO(exists, LANE_NULL, "");
    YES(exists, LANE_OBJ, "");
    YES(exists, LANE_ARR, "[]");
    NO(text_of("*"), LANE_OBJ, "");
    static const uint8_t bools[] = {1, 0};
    struct values v = {.n = 2, .lane = LANE_BOOL, .u8 = bools};
    uint64_t bits[1] = {0};
    struct predicate p = equal_of("false");
    assert_ok(predicate_match(&p, &v, bits));
    assert_int_equal(bits[0], 2);
}

static void test_arrays(void **state)
{
    const char *array =
        "[ \"a b\", 12.50, {\"k\":\"deep\"}, [\"in\"], true, null, \"\\u00e9\\n\" ]";
    YES(equal_of("a b"), LANE_ARR, array);
    YES(equal_of("12.5"), LANE_ARR, array);
    YES(equal_of("é\n"), LANE_ARR, array);
    YES(equal_of("true"), LANE_ARR, array);
    NO(equal_of("in"), LANE_ARR, array);
    NO(equal_of("deep"), LANE_ARR, array);
    NO(equal_of("null"), LANE_ARR, array);
    YES(text_of("deep"), LANE_ARR, array);
    YES(text_of("12.500"), LANE_ARR, array);
    NO(text_of("13"), LANE_ARR, array);
    YES(range_of("[12,13]"), LANE_ARR, array);
    NO(range_of("[13,]"), LANE_ARR, array);
    YES(regex_of("a b.*in"), LANE_ARR, array);
    NO(equal_of("x"), LANE_ARR, "[\"x");
    YES(text_of("deep"), LANE_JSON, "{\"k\":\"deep\"}");
}

static void test_regex(void **state)
{
    YES(regex_of("fo+ba[rz]"), LANE_STR, "xfooobazy");
    NO(regex_of("fo+ba[rz]"), LANE_STR, "FOOBAR");
    YES(regex_of("(?i)fo+ba[rz]"), LANE_STR, "FOOBAR");
    YES(regex_of("^b$"), LANE_STR, "b");
    YES(regex_of("é."), LANE_STR,
        "\xff"
        "éa");
    struct predicate p;
    assert_err(predicate_regex(&arena, STR("a(b"), &p), ERR_INVALID, "at byte 3");
    assert_err(predicate_regex(&arena, STR("\\C"), &p), ERR_INVALID, "regular expression");
    p = regex_of("(a*)*(a*)*(a*)*b\\1$");
    bool is;
    assert_err(predicate_match_text(&p, LANE_STR,
                                    STR("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab!"), &is),
               ERR_LIMIT, "steps");
}

static void literal_is(const char *pattern, const char *literal)
{
    struct predicate p = regex_of(pattern);
    if (!str_eq_c(p.literal, literal))
        fail_msg("/%s/: \"%.*s\", wanted \"%s\"", pattern, STR_ARG(p.literal), literal);
}

static void test_literals(void **state)
{
    literal_is("abc", "abc");
    literal_is("abc+de", "abc");
    literal_is("abc*defg", "defg");
    literal_is("ab?cd", "cd");
    literal_is("abé?", "ab");
    literal_is("ab{0,3}", "a");
    literal_is("abx{2}y", "abxx");
    literal_is("a|bcd", "");
    literal_is("(a|b)cd(ef)?gh", "cd");
    literal_is("[a]b(c]ef)gh[xyz]uvw", "abc]efgh");
    literal_is("\\d+\\.log\\b", ".log");
    literal_is("(?i)abc", "");
    literal_is("(?i)a(?-i)bc", "bc");
    literal_is("(?x) a b c", "");
    literal_is("(?#c)abc", "");
    literal_is("abc(?i:d)", "abc");
    literal_is("a(?:bc)+(?=c)xyz", "abc");
    literal_is("\\Qa.b\\E", "");
    literal_is("\\x41bc", "bc");
    literal_is("^GET /api$", "GET /api");
    literal_is("(\\)a)b\\bc", ")abc");
    literal_is("[]x]bc", "bc");
}

static void test_words_of_a_pattern(void **state)
{
    struct predicate p = text_of("Connection refused");
    assert_int_equal(p.n_words, 2);
    assert_true(p.word_hash[0] == words_hash(STR("connection")));
    assert_int_equal(text_of("conn* refused by*").n_words, 1);
    assert_int_equal(text_of("a-b").n_words, 2);
    assert_int_equal(text_of("*a-b-c*").n_words, 1);
    assert_int_equal(text_of("*中").n_words, 1);
    assert_int_equal(text_of("??").n_words, 0);
    assert_int_equal(equal_of("a b").n_words, 2);
    assert_int_equal(regex_of("x timed out y+").n_words, 2);
    assert_true(predicate_needs_words(&p, LANE_STR) && predicate_needs_words(&p, LANE_ARR));
    p = text_of("42");
    assert_true(predicate_needs_words(&p, LANE_STR) && !predicate_needs_words(&p, LANE_ARR));
}

static void test_pruning(void **state)
{
    struct predicate p = range_of("[10,20)");
    assert_true(predicate_may_match_ints(&p, 0, 10));
    assert_false(predicate_may_match_ints(&p, 0, 9));
    assert_true(predicate_may_match_ints(&p, 19, 100));
    assert_false(predicate_may_match_ints(&p, 20, 100));
    assert_true(predicate_may_match_decimals(&p, 0, 1000, 2));
    assert_false(predicate_may_match_decimals(&p, 0, 999, 2));
    p = text_of("7");
    assert_true(predicate_may_match_ints(&p, 7, 7));
    assert_false(predicate_may_match_ints(&p, 8, 9));
    p = text_of("7*");
    assert_true(predicate_may_match_ints(&p, 8, 9));
    p = text_of("x");
    assert_false(predicate_may_match_ints(&p, 8, 9));
    p = range_of("[2025-01-01,]");
    assert_true(predicate_may_match_ints(&p, 8, 9));
}

/* ---- the oracle ---- */

static uint64_t seed = 88172645463325252ULL;

static uint32_t any_below(uint32_t n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (uint32_t)(seed >> 33) % n;
}

static struct str random_text(const char *const *piece, uint32_t n_pieces, uint32_t most)
{
    struct buf b;
    buf_init(&b, SIZE_MAX);
    for (uint32_t i = any_below(most + 1); i; i--)
        buf_put_c(&b, piece[any_below(n_pieces)]);
    struct str s = arena_str(&arena, buf_str(&b));
    buf_release(&b);
    return s;
}

/* Does the pattern from byte j on match s from byte i on to some end? Plain recursion. */
static bool glob_from(struct str pat, size_t j, struct str s, size_t i, bool edge_right)
{
    if (j == pat.n)
        return !edge_right || words_edge(s, i);
    if (pat.p[j] == PATTERN_ANY) {
        for (size_t k = i; k <= s.n; k += k < s.n ? words_char_bytes(s, k) : 1) {
            if (glob_from(pat, j + 1, s, k, edge_right))
                return true;
        }
        return false;
    }
    if (i >= s.n)
        return false;
    if (pat.p[j] == PATTERN_ONE)
        return glob_from(pat, j + 1, s, i + words_char_bytes(s, i), edge_right);
    return pat.p[j] == s.p[i] && glob_from(pat, j + 1, s, i + 1, edge_right);
}

static bool oracle(struct str pattern, struct str s)
{
    struct buf p, t;
    buf_init(&p, SIZE_MAX);
    buf_init(&t, SIZE_MAX);
    words_fold(pattern, &p);
    words_fold(s, &t);
    struct str pat = buf_str(&p), text = buf_str(&t);
    bool left = words_char_at(pat, 0), right = words_char_before(pat, pat.n), is = false;
    for (size_t i = 0; i <= text.n && !is; i += i < text.n ? words_char_bytes(text, i) : 1)
        is = (!left || words_edge(text, i)) && glob_from(pat, 0, text, i, right);
    buf_release(&p);
    buf_release(&t);
    return is;
}

static const char *const text_pieces[] = {"a",  "b",        "A", "K",  "\xe2\x84\xaa",
                                          " ",  "-",        "i", "é",  "É",
                                          "中", "\xc4\xb0", "_", "ab", "\xff"};
static const char *const pattern_pieces[] = {"a", "b",  "k", "I", "é",    "中",
                                             " ", "ab", "A", "-", "\x01", "\x02"};

static void test_text_against_oracle(void **state)
{
    for (int round = 0; round < 4000; round++) {
        /* Half of the patterns have no wildcards. */
        struct str pattern = random_text(pattern_pieces, round & 1 ? 12 : 10, 4);
        struct str s[40];
        struct predicate p;
        uint64_t bits[1] = {0};
        if (pattern.n == 0)
            continue;
        assert_ok(predicate_text(&arena, pattern, &p));
        for (uint32_t i = 0; i < 40; i++)
            s[i] = random_text(text_pieces, 15, 8);
        struct values v = values_of(LANE_STR, s, 40);
        assert_ok(predicate_match(&p, &v, bits));
        for (uint32_t i = 0; i < 40; i++) {
            bool alone, want = oracle(pattern, s[i]);
            assert_ok(predicate_match_text(&p, LANE_STR, s[i], &alone));
            if (alone != want || bitmap_get(bits, i) != want)
                fail_msg("\"%.*s\" in \"%.*s\": %d alone, %d in column, wanted %d",
                         STR_ARG(pattern), STR_ARG(s[i]), alone, bitmap_get(bits, i), want);
        }
        arena_reset(&arena);
    }
}

static void test_needles(void **state)
{
    char hay[300];
    for (int round = 0; round < 3000; round++) {
        size_t n = any_below(sizeof(hay));
        for (size_t i = 0; i < n; i++)
            hay[i] = "abAB"[any_below(4)];
        /* An exact allocation, so that a sanitizer sees a read past the end. */
        char *exact = mem_alloc(n);
        memcpy(exact, hay, n);
        char text[6];
        size_t m = 1 + any_below(6);
        for (size_t i = 0; i < m; i++)
            text[i] = "ab"[any_below(2)];
        struct needle needle;
        needle_init(&needle, str_of(text, m), round & 1);
        size_t from = any_below(20), want = from;
        for (; want + m <= n; want++) {
            bool is = round & 1 ? str_ieq(str_of(exact + want, m), str_of(text, m))
                                : memcmp(exact + want, text, m) == 0;
            if (is)
                break;
        }
        if (want + m > n)
            want = SIZE_MAX;
        assert_true(needle_next(&needle, str_of(exact, n), from) == want);
        assert_true(needle_next_portable(&needle, str_of(exact, n), from) == want);
        assert_false(needle_wide(str_of(exact, n)));
        if (n) {
            exact[any_below((uint32_t)n)] = (char)0x80;
            assert_true(needle_wide(str_of(exact, n)));
        }
        mem_free(exact);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_terms),        TEST(test_wildcards),
        TEST(test_numbers),      TEST(test_decimals_and_doubles),
        TEST(test_number_texts), TEST(test_equal_and_exists),
        TEST(test_arrays),       TEST(test_regex),
        TEST(test_literals),     TEST(test_words_of_a_pattern),
        TEST(test_pruning),      TEST(test_text_against_oracle),
        TEST(test_needles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
