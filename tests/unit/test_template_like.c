/* What is told by likeness is what cutting finds. */
#include "store/template_like.h"

#include "core/buf.h"
#include "store/hex_look.h"
#include "store/template.h"
#include "test.h"

enum { TEXT_MAX = 96, ROUNDS = 60000 };

static uint64_t state = 88172645463325252ULL;

static uint32_t below(uint32_t n)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 33) % n;
}

static const char *const pieces[] = {" ",
                                     "  ",
                                     "   ",
                                     "12",
                                     "7",
                                     "0042",
                                     "3.25",
                                     "eth0",
                                     "ms ",
                                     "15ms",
                                     "2025-02-15",
                                     "12:00:00",
                                     ",123",
                                     ".5",
                                     "x",
                                     "-",
                                     ":",
                                     "::",
                                     "/var/log/x1",
                                     "a/b/c",
                                     "deadbeef1",
                                     "0x1f",
                                     "10.0.0.1",
                                     "@",
                                     "%",
                                     "=",
                                     "[",
                                     "]",
                                     "word",
                                     "id7f",
                                     "Z",
                                     "1234567890123",
                                     "a1b2c3d4e5f60718",
                                     "\xc3\xa4",
                                     "\x1a",
                                     "cafe0123",
                                     "(",
                                     "_",
                                     "5:",
                                     "12K",
                                     "C:\\d1",
                                     "1e5",
                                     "0xff",
                                     "0x2a7",
                                     "0x48000000",
                                     "0xe000-0xe0ff",
                                     "12ab",
                                     " 14:00:00",
                                     "C-0x7f3bd6c47f40",
                                     "0b23bd3e-876a-4af3-b920-c50a90c90b04"};

/* A text of such pieces. */
static struct str make(char *to)
{
    size_t n = 0;
    for (uint32_t i = below(12); i > 0; i--) {
        const char *p = pieces[below(sizeof(pieces) / sizeof(*pieces))];
        if (n + strlen(p) > TEXT_MAX)
            break;
        memcpy(to + n, p, strlen(p));
        n += strlen(p);
    }
    return str_of(to, n);
}

/* The text with some of its bytes changed, put in or left out: mostly digits. */
static struct str change(struct str s, char *to)
{
    static const char other[] = "0123456789999 afx.:-/,";
    size_t n = 0;
    for (size_t i = 0; i < s.n && n + 2 < TEXT_MAX * 2; i++) {
        bool digit = s.p[i] >= '0' && s.p[i] <= '9';
        uint32_t what = below(digit ? 8 : 200);
        if (what == 0)
            continue;
        to[n++] = what < 4 && (digit || what == 1)
                      ? (digit ? '0' + (char)below(10) : other[below(sizeof(other) - 1)])
                      : s.p[i];
        if (what == 5 && (digit || below(8) == 0))
            to[n++] = digit ? '0' + (char)below(10) : other[below(sizeof(other) - 1)];
    }
    return str_of(to, n);
}

static struct str var_text(struct str s, const struct template_var *v)
{
    return str_of(s.p + v->from, v->to - v->from);
}

/* The texts have the same frame. */
static bool alike(struct str a, const struct template_var *x, uint32_t n, struct str b,
                  const struct template_var *y, uint32_t m)
{
    size_t at = 0, to = 0;
    if (n != m)
        return false;
    for (uint32_t i = 0; i < n; i++) {
        if (!str_eq(str_of(a.p + at, x[i].from - at), str_of(b.p + to, y[i].from - to)) ||
            template_hex_length(var_text(a, &x[i])) != template_hex_length(var_text(b, &y[i])))
            return false;
        at = x[i].to;
        to = y[i].to;
    }
    return str_eq(str_from(a, at), str_from(b, to));
}

static bool same_parts(const struct numeral_parts *a, const struct numeral_parts *b)
{
    return a->mantissa == b->mantissa && a->spaces == b->spaces && a->whole == b->whole &&
           a->frac == b->frac && a->zero == b->zero;
}

static void check(struct str text, struct str s, enum template_cut cut, uint32_t *like,
                  uint32_t *matched)
{
    static struct template_var x[TEMPLATE_VARS_MAX], y[TEMPLATE_VARS_MAX], z[TEMPLATE_VARS_MAX];
    static struct numeral_parts parts[TEMPLATE_VARS_MAX];
    struct arena a;
    struct like l;
    struct numeral_parts want;
    arena_init(&a, 0, NULL);
    uint32_t n = template_vars(text, cut, x), m = template_vars(s, cut, y);
    like_begin(text, cut, x, n, &l);
    like_make(&l, x, &a);
    bool is_like = alike(text, x, n, s, y, m),
         match = l.var && like_may_match(&l, s) && like_match(&l, s, z, parts);
    if (match && !is_like)
        printf("cut %d: like {%.*s}, text {%.*s}\n", cut, (int)text.n, text.p, (int)s.n, s.p);
    assert_true(is_like || !match);
    *like += is_like;
    *matched += match;
    for (uint32_t i = 0; match && i < n; i++) {
        assert_int_equal(z[i].from, y[i].from);
        assert_int_equal(z[i].to, y[i].to);
        struct numeral_parts was;
        bool number = numeral_parse(var_text(s, &y[i]), &want);
        number = number && numeral_parse(var_text(text, &x[i]), &was);
        assert_true(number == (parts[i].whole > 0));
        assert_true(!number || same_parts(&want, &parts[i]));
    }
    arena_release(&a);
}

static void test_match_is_what_cutting_finds(void **unused)
{
    (void)unused;
    uint32_t like = 0, matched = 0;
    for (uint32_t i = 0; i < ROUNDS; i++) {
        char a[TEXT_MAX + 1], b[TEXT_MAX * 2 + 2];
        struct str text = make(a);
        check(text, change(text, b), (enum template_cut)(i & 1), &like, &matched);
    }
    assert_true(like > ROUNDS / 8);
    assert_true(matched > like - like / 1000); /* what is missed is cut, which only takes longer */
}

static void test_edges(void **unused)
{
    static const char *const pair[][2] = {
        {"2025-02-15 abc1 x", "2025-02-15 14:00:00 x"}, /* a date goes on with a time */
        {"2025-02-15 14:00:00,a1", "2025-02-15 14:00:00,51"},
        {"label EFI%20x", "label %20x"}, /* a mark begins no token */
        {"[python3.7 (53123)]", "[/usr/bin/python3 (1)]"},
        {"a   7 b", "a 7 b"},
        {"a 7 b", "a    7 b"},
        {"id 123456789012345678901234567890", "id 1"},
        {"x 1.5ms", "x 1.5.2ms"},
        {"5: x", "5:7 x"},
        {"id 12ab x", "id 0xff x"}, /* zero and a unit */
        {"id 0x2a x", "id 0xff x"},
        {"id 0x2a x", "id 0x7 x"},
        {"id 0x2a x", "id 0xa2 x"},
        {"id 0x48000000 x", "id 0x2c800000 x"}, /* no id, and one */
        {"id 1x48000000 x", "id 0x48000000 x"},
        {"id 1xab00cdef x", "id 0xab00cdef x"},
        {"at 0xe000-0xe0ff x", "at 0x1234-0xabcd x"},
        {"at 0xe0-a x", "at 0xaa-1 x"},
        {"at a-b-c-1e x", "at 2022-01-02 x"},
        {"2025-02-15 14:00:00, x", "2025-02-15 14:00:01,5 x"},
        {"at 2025-02-15 x", "at 2025-02-15 10:11:12 x"},
        {"C-0x7f3bd6c47f40 x", "C-0xa1b2c3d4efab x"},
        {"a 1234567890abcdef.77 x", "a aaaaaaaaaaaaaaaa.bb x"},
        {"a 1234567890123456.77 x", "a 12345678901234ab.77 x"},
        {"0b23bd3e-876a-4af3-b920-c50a90c90b04", "abcdefab-abcd-abcd-abcd-abcdefabcdef"},
        {"", "1"},
        {"\x1a 1", "\x1a 2"},
        {"t 12", "t 0012"},
    };
    (void)unused;
    uint32_t like = 0, matched = 0;
    for (size_t i = 0; i < sizeof(pair) / sizeof(*pair); i++)
        for (int k = 0; k < 4; k++)
            check(str_c(pair[i][k & 1]), str_c(pair[i][!(k & 1)]), (enum template_cut)(k >> 1),
                  &like, &matched);
    assert_true(matched > 0 && matched <= like);
}

/* Every byte at every place, in texts of all lengths up to two looks and more. */
static void test_hex_look(void **unused)
{
    char text[40];
    for (size_t n = 0; n <= sizeof(text); n++)
        for (size_t at = 0; at < n; at++)
            for (unsigned c = 0; c < 256; c++) {
                bool digit = c >= '0' && c <= '9';
                bool letter = (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
                memset(text, '7', n);
                text[at] = (char)c;
                unsigned want = digit ? HEX_DIGITS : letter ? HEX_LETTERS : HEX_OTHER;
                assert_int_equal(hex_look(text, n), want | (n > 1 ? HEX_DIGITS : 0u));
            }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_match_is_what_cutting_finds),
                                       cmocka_unit_test(test_edges),
                                       cmocka_unit_test(test_hex_look)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
