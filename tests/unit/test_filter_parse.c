/* The golden file holds queries, each with the tree or the error that must come of it; every tree's
 * text must parse to the same text again. WEIR_GOLDEN=update writes what is into the file. */
#include "arena_kit.h"
#include "core/mem.h"
#include "filter/filter.h"

#define GOLDEN "tests/golden/filter/parse.txt"

/* 2025-02-15T12:00:00Z */
static const struct filter_options plain = {.now_ns = 1739620800000000000};

static enum err parse(struct str text, const struct filter_options *o, struct buf *out)
{
    const struct filter *f;
    size_t end = 0, at = SIZE_MAX;
    enum err err = filter_parse(text, o, &arena, &f, &end, &at);
    buf_clear(out);
    if (err == OK) {
        filter_write(f, out);
        assert_true(end == text.n || (o->stop_at_pipe && text.p[end] == '|'));
    } else {
        assert_int_equal(err, ERR_INVALID);
        assert_true(at <= text.n);
        buf_put_c(out, err_text());
    }
    return err;
}

static struct str read_golden(void)
{
    FILE *f = fopen(GOLDEN, "rb");
    assert_non_null(f);
    char *text = arena_alloc(&arena, 1 << 20);
    size_t n = fread(text, 1, 1 << 20, f);
    assert_true(n > 0 && n < 1 << 20);
    fclose(f);
    return str_of(text, n);
}

/* Blocks: "> query", the lines of the result, an empty line. */
static void test_golden(void **state)
{
    struct str rest = read_golden();
    struct buf got, again, file;
    buf_init(&got, SIZE_MAX);
    buf_init(&again, SIZE_MAX);
    buf_init(&file, SIZE_MAX);
    unsigned n = 0, wrong = 0;
    while (rest.n) {
        assert_true(str_starts(rest, STR("> ")));
        size_t end = str_find(rest, STR("\n\n"));
        struct str block = str_of(rest.p, end == SIZE_MAX ? rest.n - 1 : end);
        size_t line = str_find_byte(block, '\n', 0);
        struct str query = str_of(block.p + 2, line - 2), want = str_from(block, line + 1);
        rest = str_from(rest, end == SIZE_MAX ? rest.n : end + 2);
        enum err err = parse(query, &plain, &got);
        if (!str_eq(buf_str(&got), want) && ++wrong)
            print_message("%.*s\n%.*s\nwanted:\n%.*s\n", STR_ARG(query), STR_ARG(buf_str(&got)),
                          STR_ARG(want));
        if (err == OK &&
            (parse(buf_str(&got), &plain, &again) != OK || !str_eq(buf_str(&got), buf_str(&again))))
            fail_msg("%.*s -> %.*s -> %.*s", STR_ARG(query), STR_ARG(buf_str(&got)),
                     STR_ARG(buf_str(&again)));
        buf_printf(&file, "> %.*s\n%.*s\n\n", STR_ARG(query), STR_ARG(buf_str(&got)));
        n++;
    }
    const char *update = getenv("WEIR_GOLDEN");
    if (update && strcmp(update, "update") == 0) {
        FILE *f = fopen(GOLDEN, "wb");
        assert_int_equal(fwrite(file.p, 1, file.n - 1, f), file.n - 1);
        fclose(f);
    } else {
        assert_int_equal(wrong, 0);
    }
    assert_true(n > 80);
    buf_release(&got);
    buf_release(&again);
    buf_release(&file);
}

static void tree_is(const struct filter_options *o, const char *query, const char *tree)
{
    struct buf got;
    buf_init(&got, SIZE_MAX);
    parse(str_c(query), o, &got);
    if (!str_eq_c(buf_str(&got), tree))
        fail_msg("%s: %.*s, wanted %s", query, STR_ARG(buf_str(&got)), tree);
    buf_release(&got);
}

static void test_space_means_or(void **state)
{
    struct filter_options o = plain;
    o.or_default = true;
    tree_is(&o, "a b", "(\"a\" OR \"b\")");
    tree_is(&o, "a AND b c", "((\"a\" AND \"b\") OR \"c\")");
    tree_is(&o, "+a b -c", "(\"a\" AND NOT \"c\")");
    tree_is(&o, "a b -c -d", "((\"a\" OR \"b\") AND NOT (\"c\" OR \"d\"))");
    tree_is(&o, "-a", "NOT \"a\"");
    tree_is(&o, "a OR -b", "(\"a\" OR NOT \"b\")");
    tree_is(&o, "+a +b c", "(\"a\" AND \"b\")");
    tree_is(&o, "f: x", "f:\"x\"");
    tree_is(&o, "f:(x y)", "(f:\"x\" OR f:\"y\")");
}

static void test_default_field(void **state)
{
    struct filter_options o = plain;
    o.default_field = STR("message");
    tree_is(&o, "a level:b *:c", "(message:\"a\" AND level:\"b\" AND \"c\")");
}

/* The hooks of other query languages: several fields, names that stand for others, boosts. */
static struct str renamed(struct str name, struct arena *a)
{
    return str_eq_c(name, "@timestamp") ? STR("_time") : name;
}

static void test_hooks(void **state)
{
    struct filter_options o = plain;
    const struct str more[] = {STR("b"), STR("c")};
    o.default_field = STR("a");
    o.more_fields = more;
    o.n_more_fields = 2;
    tree_is(&o, "x y:z", "((a:\"x\" OR b:\"x\" OR c:\"x\") AND y:\"z\")");
    tree_is(&o, "\"p q\"", "(a:\"p q\" OR b:\"p q\" OR c:\"p q\")");
    tree_is(&o, "y:(z)", "y:\"z\"");
    o = plain;
    o.rename = renamed;
    tree_is(&o, "@timestamp:>=2025-02-15", "_time:[\"2025-02-15\" TO *]");
    tree_is(&o, "_exists_:@timestamp", "_time:*");
    o = plain;
    o.boosts = true;
    tree_is(&o, "a^2 \"b c\"^0.5 f:d^3", "(\"a\" AND \"b c\" AND f:\"d\")");
    struct buf got;
    buf_init(&got, SIZE_MAX);
    assert_int_equal(parse(STR("a^x"), &o, &got), ERR_INVALID);
    assert_int_equal(parse(STR("a^2"), &plain, &got), ERR_INVALID);
    buf_release(&got);
}

static void stops_at(const char *query, size_t end)
{
    struct filter_options o = plain;
    const struct filter *f;
    size_t got;
    o.stop_at_pipe = true;
    assert_ok(filter_parse(str_c(query), &o, &arena, &f, &got, NULL));
    assert_int_equal(got, end);
}

static void test_pipes(void **state)
{
    stops_at("error | stats count()", 6);
    stops_at("error|stats", 5);
    stops_at("| stats", 0);
    stops_at("\"a | b\" | x", 8);
    stops_at("/a|b/ | x", 6);
    stops_at("a || b | x", 7);
    stops_at("a\\|b | x", 5);
    stops_at("f:[\"|\" TO b] | x", 13);
    stops_at("a", 1);
    struct filter_options o = plain;
    const struct filter *f;
    o.stop_at_pipe = true;
    assert_err(filter_parse(STR("(a | b)"), &o, &arena, &f, NULL, NULL), ERR_INVALID,
               "this '(' is never closed at column 1");
}

static void test_limits(void **state)
{
    char *text = mem_alloc(70000);
    const struct filter *f;
    memset(text, '(', 70000);
    assert_err(filter_parse(str_of(text, 65536), &plain, &arena, &f, NULL, NULL), ERR_INVALID,
               "more than 100 levels");
    assert_err(filter_parse(str_of(text, 65537), &plain, &arena, &f, NULL, NULL), ERR_INVALID,
               "65537 bytes");
    memset(text, '-', 70000);
    assert_err(filter_parse(str_of(text, 65536), &plain, &arena, &f, NULL, NULL), ERR_INVALID,
               "more than 100 levels");
    for (size_t i = 0; i < 65536; i++)
        text[i] = i % 2 ? ' ' : 'a';
    assert_ok(filter_parse(str_of(text, 65536), &plain, &arena, &f, NULL, NULL));
    mem_free(text);
}

static void test_time_bounds(void **state)
{
    const struct filter *f;
    int64_t from = 0, to = INT64_MAX;
    assert_ok(filter_parse(STR("x _time:>=2025-02-15 (_time:<now AND y)"), &plain, &arena, &f, NULL,
                           NULL));
    filter_time_bounds(f, &from, &to);
    assert_int_equal(from, 1739577600000000000);
    assert_int_equal(to, plain.now_ns);
    from = 0, to = 100;
    assert_ok(filter_parse(STR("x OR _time:2025"), &plain, &arena, &f, NULL, NULL));
    filter_time_bounds(f, &from, &to);
    assert_true(from == 0 && to == 100);
    from = 0, to = INT64_MAX;
    assert_ok(filter_parse(STR("_time:2025-02-15"), &plain, &arena, &f, NULL, NULL));
    filter_time_bounds(f, &from, &to);
    assert_int_equal(from, 1739577600000000000);
    assert_int_equal(to, 1739577600000000000 + 86400000000000);
}

static void test_made_by_hand(void **state)
{
    const struct filter *all, *a = filter_equal(&arena, STR("service"), STR("x\"y"));
    struct buf out;
    buf_init(&out, SIZE_MAX);
    assert_ok(filter_parse(STR(""), &plain, &arena, &all, NULL, NULL));
    assert_true(filter_is_all(all));
    assert_ptr_equal(filter_and(&arena, all, a), a);
    assert_ptr_equal(filter_and(&arena, a, all), a);
    filter_write(filter_and(&arena, a, a), &out);
    assert_str(buf_str(&out), "(service:=\"x\\\"y\" AND service:=\"x\\\"y\")");
    buf_release(&out);
    assert_true(filter_may_match_stream(a, STR("s")));
    const struct filter *none;
    assert_ok(filter_parse(STR("NOT *"), &plain, &arena, &none, NULL, NULL));
    assert_false(filter_may_match_stream(none, STR("s")));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_golden),      TEST(test_space_means_or), TEST(test_default_field),
        TEST(test_hooks),       TEST(test_pipes),          TEST(test_limits),
        TEST(test_time_bounds), TEST(test_made_by_hand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
