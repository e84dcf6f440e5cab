#include "record/needle.h"

#include "core/arena.h"
#include "core/buf.h"
#include "core/hash.h"
#include "filter/filter.h"
#include "test.h"

static size_t naive(const struct needle *s, unsigned n, struct str hay, size_t from)
{
    for (size_t i = from; i < hay.n; i++)
        for (unsigned k = 0; k < n; k++) {
            size_t m = 0;
            for (; m < s[k].text.n && i + m < hay.n; m++) {
                char c = hay.p[i + m];
                if (s[k].fold && c >= 'A' && c <= 'Z')
                    c |= 0x20;
                if (c != s[k].text.p[m])
                    break;
            }
            if (m == s[k].text.n)
                return i;
        }
    return SIZE_MAX;
}

/* Few letters, so that hits, near hits and overlaps are frequent at every distance from the end. */
static void finds_the_first_of_several(void **state)
{
    static const char *const texts[] = {
        "ab", "\nE", "bca", "\\u", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab", "c"};
    char hay[700];
    for (uint64_t round = 0; round < 3000; round++) {
        uint64_t seed = hash_mix(round + 1);
        size_t n = seed % sizeof(hay);
        const char *letters = round % 3 ? "abcABC\nE\\u" : "xxxxxxxxxa";
        for (size_t i = 0; i < n; i++)
            hay[i] = letters[hash_mix(seed + i) % 10];
        struct needle s[4];
        unsigned count = 1 + (unsigned)(seed >> 20) % 4;
        for (unsigned k = 0; k < count; k++)
            needle_init(&s[k], str_c(texts[(seed >> (24 + 3 * k)) % 6]),
                        (seed >> (40 + k)) % 2 == 0 && texts[(seed >> (24 + 3 * k)) % 6][1] != 'E');
        struct str bytes = str_of(hay, n);
        for (size_t from = 0; from <= n; from += 1 + seed % 37)
            assert_int_equal(needle_first(s, count, bytes, from), naive(s, count, bytes, from));
    }
}

struct marks {
    char text[64];
};

static void mark(void *ctx, size_t from, size_t to)
{
    struct marks *m = ctx;
    for (size_t i = from; i < to; i++)
        m->text[i] = '^';
}

static void assert_spans(const char *query, const char *line, const char *want)
{
    struct arena arena;
    struct filter_options o = {0};
    const struct filter *f;
    struct marks m;
    size_t end, n = strlen(line);
    arena_init(&arena, 0, NULL);
    assert_ok(filter_parse(str_c(query), &o, &arena, &f, &end, NULL));
    memset(m.text, ' ', sizeof(m.text));
    filter_spans(f, str_c(line), &m, mark);
    if (n != strlen(want) || memcmp(m.text, want, n) != 0)
        fail_msg("%s\n|%s|\n|%.*s|\n|%s|", query, line, (int)n, m.text, want);
    arena_release(&arena);
}

static void spans_show_what_matches(void **state)
{
    assert_spans("time", "Time timeout time", "^^^^         ^^^^");
    assert_spans("time*", "Time timeout", "^^^^ ^^^^   ");
    assert_spans("\"a b\"", "xa b a b", "     ^^^");
    assert_spans("/o+/ AND tim*", "Time foo", "^^^   ^^");
    assert_spans("a -b", "a b", "^  ");
    assert_spans("a?c", "abc axc", "^^^ ^^^");
    assert_spans("level:=\"b\"", "a b", "  ^");
    assert_spans("/x*/", "axxb", " ^^ ");
    assert_spans("n:>3", "n 4", "   ");
}

/* What a filter's lines must hold: "a|b", or "" where nothing is known. */
static void assert_needles(const char *query, const char *want)
{
    struct arena arena;
    struct filter_options o = {0};
    const struct filter *f;
    struct filter_needles needles;
    struct buf out;
    size_t end;
    arena_init(&arena, 0, NULL);
    buf_init(&out, 4096);
    assert_ok(filter_parse(str_c(query), &o, &arena, &f, &end, NULL));
    if (filter_needles(f, &needles))
        for (uint32_t i = 0; i < needles.n; i++) {
            buf_put_c(&out, i ? "|" : "");
            buf_put_str(&out, needles.needle[i].text);
        }
    if (!str_eq_c(buf_str(&out), want))
        fail_msg("%s: %.*s, wanted %s", query, STR_ARG(buf_str(&out)), want);
    buf_release(&out);
    arena_release(&arena);
}

static void needles_are_what_must_be_there(void **state)
{
    assert_needles("abc", "abc|\\u");
    assert_needles("field:abc", "abc|\\u");
    assert_needles("a long_word", "long_word|\\u");
    assert_needles("abc -xyz", "abc|\\u");
    assert_needles("abc OR def", "abc|def|\\u");
    assert_needles("abc OR -def", "");
    assert_needles("n:>3", "");
    assert_needles("*", "");
    assert_needles("500", "500|\n{");
    assert_needles("error", "error|\nE|\\u");
    assert_needles("level:error", "error|\nE|\\u");
    assert_needles("message:error", "error|\\u");
    assert_needles("wink", "wink|\\u|\xc4\xb0|\xe2\x84\xaa");
    assert_needles("\"a/long\"", "a/long|long|\\u");
    assert_needles("/x.*literal/", "literal|\\u");
    assert_needles("message:/x(refused|(?i)Denied)/", "refused|denied|\\u");
    assert_needles("message:/refused|a/", "");
    assert_needles("_time:2025-02-15", "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_the_first_of_several),
        cmocka_unit_test(spans_show_what_matches),
        cmocka_unit_test(needles_are_what_must_be_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
